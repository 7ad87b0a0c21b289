/*
 * The coherence checker: proves G1 to G4, G6 and G7 on several hosts under chaos. SPDX-License-Identifier: MIT
 *
 *                  the database: a version per key, floors, histories          (shared memory, made before all forks)
 *                 /              |                \
 *        worker 0, 1       worker 2, 3, 4       worker 5, 6                     processes
 *            |                   |                  |
 *      segment of host 0   segment of host 1   segment of host 2                named segments of one machine
 *                 \              |                /
 *                      one redis-server                                         killed, stopped, emptied, put back, ...
 *
 * A "write" adds one to the version of a key in the database and then invalidates (the key, its tags, its namespace, or
 * everything) or sets. A "load" takes a stamp, reads the version, and stores it, as slowly as it likes. A value says which
 * key and version it is. When an invalidation has returned success, every version that had been in the database before it
 * began is *covered*: it raises
 *
 *   own floor     of each such key on this host, at once:                reads that begin later on this host give at
 *                                                                         least this version (G1, and G3: loads are slow)
 *   common floor  of each such key, max_staleness + slack later:          the same on every host (G2, G4)
 *
 * What errors is not covered (until a later success covers it). Floors only ever rise, so a process may be killed or
 * stopped between an invalidation's return and the raise: the check is then weaker, never wrong.
 *
 * That holds for whatever is given out as HIT, NEGATIVE or STALE, by a get or by any of the load functions. An old value is one that
 * has been there for long, not one that was invalidated: STALE obeys the same floors. Besides (loads.c, loaders.c, leads.c):
 *
 *   age           of what one namespace gives out: HIT up to its soft TTL, STALE after that, up to its end, or, by the load functions,
 *                 to the end of its grace
 *   flight        loaders of one key do not overlap on a host, from the row's reading to the commit, unless one was told BYPASS, is
 *                 dead, or has outlived its lease; nor on all hosts where the policy has the lease in Redis and nothing
 *                 has happened to Redis
 *   wait          who waits is told to go on when the last leader has ended or his lease is over, and never after wait_ms
 *   load          who ran a loader gets its very value; ELOAD is given only after a load that failed, and no error but that
 *
 * Loaders read the row when they begin, and are slow, fail, give up, forget their token, come back long after their lease is over,
 * or are killed. A version that is a multiple of 16 is a row that is missing: it is stored as NEGATIVE, and its version is in the flags.
 *
 * Two exceptions, both argued where they are made:
 *   - An explicit set is the last writer's. A key that is set has one writer at a time, and when nobody can know whether
 *     a set was done (error, killed) it has none until it must have been: `doubt`, in floors.c.
 *   - A Redis that comes back with an older copy has lost acknowledged invalidations. Until those who saw them can have
 *     spoken to it, the common floor is that of the copy; own floors hold at all times: `lenient_until`, in floors.c.
 */
#ifndef TESTS_COHERENCE_H
#define TESTS_COHERENCE_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libcache.h"
#include "support/redis_server.h"

enum {
    HOSTS_MAX = 8,
    WORKERS_MAX = 24,
    KEYS_MAX = 4096,
    SPACES = 3,
    SPACE_AGING = 2,    /* the one with a soft TTL, a grace, early refresh and the lease in Redis */
    HOT_KEYS = 24,      /* that most of the traffic is for */
    GROUPS = 16,        /* tags "group": every key that is not quiet has one */
    PAIRS = 8,          /* tags "pair": every third key has one too */
    EVENTS = 1024,      /* remembered of a key: a second or so of a busy one */
    SLICES = 64,        /* of the common floor */
    LAGS = 96,          /* buckets of the histogram */
    POINTS_MAX = 64,
    VALUE_BYTES_MAX = 2048,
    LOCK_WAIT_MS = 50,
    BACKOFF_MAX_MS = 500,
    DOUBT_MS = 5000,    /* longer than Redis is ever stopped */
    LENIENT_MS = 2500,  /* a breaker's longest pause, a few times over */
    STOP_MAX_MS = 3000, /* Redis is never stopped for longer */
    LEASE_MS = 300,     /* load_timeout */
    WAIT_MS = 2 * LEASE_MS, /* how long who does not say waits for another's load */
    FAILED_MS = 60,     /* load_backoff */
    SOFT_MS = 80,       /* of SPACE_AGING, and so on */
    AGING_TTL_MS = 700,
    GRACE_MS = 1500,
    STALL_MS = 100,     /* more than a call takes when all is well */
    AGE_SLACK_MS = 300  /* from the making of a value to its arrival, and the clocks' grain */
};

/* What a worker may be told to do wrong, to see that the checker notices. */
enum sabotage {
    SABOTAGE_NONE, SABOTAGE_NO_STAMP, SABOTAGE_LATE_STAMP, SABOTAGE_NO_PUBLISH, SABOTAGE_FORGET, SABOTAGE_EARLY_ROW,
    SABOTAGE_LATE_RECHECK
};

struct settings {
    uint64_t seed;
    unsigned seconds, hosts, keys;
    unsigned staleness_ms, slack_ms; /* of G2 */
    unsigned timeout_ms, time_slack_ms; /* of G7 */
    unsigned pace;                   /* operations between naps of a millisecond; 0: no naps */
    uint64_t chaos;                  /* a bit per action of chaos.c */
    int with_redis, keep;
    int die;                         /* workers kill themselves at points inside libcache; hooks variant */
    enum sabotage sabotage;
};

/* ---- What is shared ---------------------------------------------------------------------------------------- */

enum event_type {
    EVENT_NONE, EVENT_DB_WRITE, EVENT_DELETE, EVENT_DELETED, EVENT_TAGS, EVENT_TAGS_DONE, EVENT_SPACE, EVENT_SPACE_DONE,
    EVENT_ALL, EVENT_ALL_DONE, EVENT_SET, EVENT_SET_DONE, EVENT_STAMP, EVENT_DB_READ, EVENT_STORE, EVENT_STORED,
    EVENT_HIT, EVENT_BEGIN, EVENT_BEGUN, EVENT_WAITED, EVENT_RECHECKED, EVENT_COMMIT, EVENT_COMMITTED, EVENT_ABORT, EVENT_GET_OR_LOAD,
    EVENT_GOT, EVENT_CHAOS, EVENT_RECOVERED, EVENT_BORN, EVENT_DEAD
};

struct event {
    uint64_t at_ns, version;
    int64_t more; /* a result, a position, an action */
    uint16_t type, worker;
};

/* Written by any process, by turns; the reader (after a violation) lives with a torn line. */
struct history {
    uint64_t next; /* atomic */
    struct event events[EVENTS];
};

/* All words are atomic. */
struct key_state {
    uint64_t db;                  /* version of the row */
    uint64_t owner;               /* worker + 1 who may write it, 0: nobody. Only of keys that are set */
    uint64_t doubt_until_ns;      /* nobody may write it until then. Guarded by owner */
    uint64_t own[HOSTS_MAX];      /* own floors */
    uint64_t own_ns[HOSTS_MAX];   /* when about they were raised; for the report */
    uint64_t seen[HOSTS_MAX];     /* version of the last read that the history has */
    uint64_t acked;               /* highest covered version, on whichever host */
    uint64_t copied;              /* `acked` when the last copy of Redis was begun */
    uint64_t settled;             /* common floor: what has left the slices */
    uint64_t leads[HOSTS_MAX];    /* who runs a loader for a host, and for all: see leads.c */
    uint64_t lead_of_all;
    uint64_t led_until_ns[HOSTS_MAX]; /* nobody leads whose lease ends later */
    uint64_t failed_ns[HOSTS_MAX];    /* the last load that failed */
    uint64_t slices[SLICES];      /* number of the slice of time << 40 | highest version covered in it */
    struct history history;
};

/* One writer each; the coordinator adds them up. */
struct counts {
    uint64_t reads, hits_l1, hits_l2, misses, loads, stored, fenced, load_errors, writes, write_errors;
    uint64_t stale, negatives, leads, refreshes, waits, bypasses, failures, refused, late_ends, batches, loaders, shared_leads;
    uint64_t calm_errors;         /* of writes and loads outside of chaos */
    uint64_t errors[24];          /* by code */
    uint64_t slowest_read_ns, slowest_write_ns, slowest_open_ns;
};

struct worker_state {
    struct counts counts;
    pid_t pid;                    /* coordinator's; 0: none */
    unsigned host, lives;         /* coordinator's */
    uint64_t born_ns;             /* coordinator's */
    uint64_t beat_ns;             /* atomic: last sign of life */
    uint64_t writing;             /* atomic: in a write; see pause_writers */
    uint64_t stops;               /* atomic: odd while stopped by a signal */
    uint64_t killed;              /* atomic: on purpose, by the coordinator or by itself */
    int doing;                    /* atomic: enum event_type, for the report of a hang */
};

struct host_state {
    uint64_t stops;               /* atomic: low byte: workers that are stopped; above: how often that changed */
    uint64_t mail;                /* atomic: a question how long news takes; see probe in worker.c */
    uint64_t written_ns, hit_ns;  /* atomic: last write that succeeded, last hit in L1 */
};

struct violation {
    uint64_t taken;               /* atomic: by the first */
    uint64_t complete;            /* atomic */
    uint64_t at_ns;
    char rule[16], text[700];
    unsigned key;                 /* KEYS_MAX: of no key */
    uint64_t given, wanted;       /* versions, if it is about such; for the report */
};

struct arena {
    struct settings settings;
    char redis_url[200];
    char segment[HOSTS_MAX][64];
    uint64_t begun_ns;
    uint64_t stop;                /* atomic: all workers end */
    uint64_t pause_writers;       /* atomic: no write begins */
    uint64_t chaos;               /* atomic: not 0 from the begin of an action until all hosts are well again */
    uint64_t calm_ns;             /* atomic: when chaos was last over */
    uint64_t stopped_ns;          /* atomic: when a process was last stopped or continued; 0: none ever */
    uint64_t stalled_ns;          /* atomic: when a call last took long, as on a machine that has too much to do */
    uint64_t lenient_until_ns;    /* atomic */
    uint64_t died[POINTS_MAX];    /* atomic: workers that killed themselves, by enum hook_point */
    uint64_t lags[LAGS];          /* atomic: how long news took, by bucket */
    uint64_t lags_stale;          /* atomic: of these, who had seen the old value meanwhile */
    struct history history;       /* of chaos, namespaces and everything */
    struct violation violation;
    struct host_state hosts[HOSTS_MAX];
    struct worker_state workers[WORKERS_MAX];
    unsigned n_workers;
    struct key_state keys[];
};

/* ---- floors.c: the arena and what is known of keys ----------------------------------------------------------- */

struct arena *arena_make(const struct settings *settings);
uint64_t now_ns(void);

uint64_t load_word(const uint64_t *word);
void store_word(uint64_t *word, uint64_t value);
void raise_word(uint64_t *word, uint64_t to);

/* What a read that begins now must give at least. */
struct floors {
    uint64_t begun_ns, own, common;
};
struct floors floors_now(const struct arena *arena, unsigned host, unsigned key);

/* An invalidation that covers `version` of this key has returned success. */
void floors_raise(struct arena *arena, unsigned host, unsigned key, uint64_t version);

/* Before a copy of Redis is made; and from the moment that Redis may answer from it. */
void floors_copy(struct arena *arena);
void floors_be_lenient(struct arena *arena, unsigned ms);

/* The right to write a key that is set. unlock: `doubt` if nobody knows whether the set was or will be done. */
int key_lock(struct arena *arena, unsigned worker, unsigned key);
void key_unlock(struct arena *arena, unsigned key, int doubt);
void keys_release_of(struct arena *arena, unsigned worker);

void note(struct history *history, const struct arena *arena, unsigned worker, enum event_type type, uint64_t version,
          int64_t more);

/* The first one stops everything. `given` and `wanted` are versions that the history is to be searched for, or 0. */
void violate_versions(struct arena *arena, const char *rule, unsigned key, uint64_t given, uint64_t wanted,
                      const char *format, ...) __attribute__((format(printf, 6, 7)));
#define violate(arena, rule, key, ...) violate_versions(arena, rule, key, 0, 0, __VA_ARGS__)

void lags_add(struct arena *arena, uint64_t ns, int stale);
double lags_percentile(const struct arena *arena, double percent); /* ms */

/* ---- values.c: keys, tags and what is stored ------------------------------------------------------------------- */

/* splitmix64 */
uint64_t dice_roll(uint64_t *dice);
uint64_t dice_below(uint64_t *dice, uint64_t n);
int dice_chance(uint64_t *dice, unsigned percent);

enum origin { ORIGIN_LOAD = 1, ORIGIN_SET = 2 };

/* The head of every value; the rest follows from key and version. */
struct payload {
    uint64_t check; /* of all that follows */
    uint64_t version;
    uint64_t begun_ns, stored_ns; /* of the load (or set) that brought it */
    uint32_t key, worker, origin, size;
};

int row_is_missing(uint64_t version);
int key_is_set(unsigned key);
unsigned key_space(unsigned key);
int key_is_quiet(unsigned key); /* seldom changed, so that its values may get old; its tag is its own */
int key_has_tag(unsigned key, unsigned tag); /* groups, then pairs */
size_t key_text(char text[32], unsigned key);
size_t tag_text(char text[32], unsigned tag);
unsigned key_tags(unsigned tags[2], unsigned key);

/* Fills in check, size and what follows the head; gives the size. `bytes` has VALUE_BYTES_MAX. */
size_t payload_finish(void *bytes, const struct payload *head);

/* The head of a NEGATIVE, which has no value but tells its version. NULL, or what is wrong with it. */
const char *payload_of_missing(const libcache_value *value, unsigned key, struct payload *head);

/* NULL, or what is wrong with it. */
const char *payload_check(const libcache_value *value, unsigned key, struct payload *head);

/* ---- worker.c ---------------------------------------------------------------------------------------------------- */

void worker_run(struct arena *arena, unsigned number) __attribute__((noreturn));

/* ---- chaos.c ----------------------------------------------------------------------------------------------------- */

struct coordinator {
    struct arena *arena;
    struct redis_server redis;
    uint64_t dice;
    uint64_t until_ns, next_line_ns;
    struct counts last;            /* as of the last line */
    const char *action;            /* last or present one */
    unsigned actions, slowest_recovery_ms;
};

/* The bits of a list of names, "all", "default" or "none"; 0 with *bad set if a name is unknown. */
uint64_t chaos_parse(const char *list, const char **bad);
void chaos_print_actions(void);
int chaos_strike(struct coordinator *c); /* one action, and the recovery; 0: go on, else it is over */
const char *chaos_name(int64_t action);

/* ---- main.c -------------------------------------------------------------------------------------------------------- */

/* Lets time pass: buries and replaces workers, prints lines, looks for hangs. Not 0: it is over. */
int watch(struct coordinator *c, unsigned ms);
void worker_kill(struct coordinator *c, unsigned number); /* another one takes its place */
void worker_stop(struct coordinator *c, unsigned number);
void worker_continue(struct coordinator *c, unsigned number);

/* ---- report.c ------------------------------------------------------------------------------------------------------- */

struct counts counts_sum(const struct arena *arena);
const char *event_name(int type);
void report_line(struct coordinator *c);
void report_violation(struct coordinator *c);
void report_summary(struct coordinator *c);

#endif
