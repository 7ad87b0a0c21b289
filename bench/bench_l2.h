/*
 * bench-l2 from the inside. SPDX-License-Identifier: MIT
 *
 * The parent starts one redis-server (Unix socket and loopback TCP) and opens no cache. Each *case* runs in a forked child
 * of its own on an emptied server; its results come back through a pipe, and only the parent prints.
 *
 *     bench_l2.c              options, the server, the list of cases, the children
 *     bench_l2_report.c       JSON lines or tables, and the targets
 *     bench_l2_support.c      handles, keys, plain hiredis, waiting, percentiles
 *     bench_l2_rounds.c       contenders side by side: interleaved rounds, each operation timed
 *     bench_l2_reads.c        get, get_many
 *     bench_l2_changes.c      set, set_many, delete, invalidate
 *     bench_l2_hosts.c        propagation, flood: another process as another host
 *     bench_l2_faults.c       blackhole, breaker, recovery: a server that does not answer
 *     bench_l2_holes.c        the three ways in which it does not
 *     bench_l2_steady.c       idle, l1_hit: what the Redis tier costs who does not need it
 */
#ifndef BENCH_L2_H
#define BENCH_L2_H

#include <hiredis/hiredis.h>
#include <math.h>
#include <sys/types.h>

#include "harness.h"
#include "libcache.h"
#include "support/redis_server.h"

enum { L2_ROUNDS_MAX = 64, L2_CONTENDERS_MAX = 4, L2_NAMES_MAX = 16, L2_EXTRA_MAX = 12, L2_BATCH = 100 };

typedef struct l2_options {
    int json, tiny;
    enum { PIN_TOGETHER, PIN_APART, PIN_NOT } pin;
    int unix_socket, tcp;              /* which ones */
    const char *benches[L2_NAMES_MAX]; /* NULL-terminated; empty: all */
    unsigned rounds;                   /* contenders interleaved; at most L2_ROUNDS_MAX */
    unsigned rounds_ms;                /* no further round begins after so long, if there were ROUNDS_LEAST */
    unsigned round_ops, round_batches; /* operations of a round, of one key and of L2_BATCH keys */
    unsigned size_divisor;             /* of the numbers of keys */
    unsigned propagations, flood_ms;
    unsigned fault_timeout_ms, fault_calls, recoveries; /* calls of each kind, in each hole */
    unsigned idle_ms;
} l2_options;

/* What a case works with. */
typedef struct l2_context {
    const l2_options *options;
    struct redis_server *server;
    const char *socket; /* "unix" or "tcp" */
    const char *url;
} l2_context;

/* ---- Results: plain data, they cross the pipe as they are ----------------------------------------------- */

typedef struct l2_extra {
    char name[28];
    double value;
} l2_extra;

typedef struct l2_result {
    int is_target;
    char bench[16], operation[28], engine[20], socket[8];
    double value_bytes;
    uint64_t samples;
    double p50_us, p99_us, max_us; /* of single operations */
    double mean_us, fastest_us, slowest_us; /* median, least and most of the rounds' means; NAN: no rounds */
    unsigned n_extra;
    l2_extra extra[L2_EXTRA_MAX];
    /* a target, for which of the above only bench, operation and socket count */
    char what[72], unit[8];
    double value, limit;
    int at_least; /* else at most */
} l2_result;

/* A result with nothing measured yet. value_bytes 0: does not matter. */
l2_result l2_make_result(const l2_context *context, const char *bench, const char *operation, const char *engine,
                         double value_bytes);
void l2_add_extra(l2_result *result, const char *name, double value);
void l2_emit(const l2_result *result); /* in the child */
void l2_emit_target(const l2_context *context, const char *bench, const char *what, double value, const char *unit,
                    double limit, int at_least);
int l2_target_met(const l2_result *target);

void report_one(const l2_options *options, const l2_result *result);
void report_targets(const l2_result *results, size_t n);

/* ---- Handles, keys, values ------------------------------------------------------------------------------- */

#define L2_SPACE "bench"

typedef struct l2_cache {
    libcache *cache;
    libcache_ns *ns;
} l2_cache;

/* All defaults but for what is set in options (which may be NULL), and a long deadline; url NULL: no Redis tier. */
l2_cache l2_open_cache(const char *url, const libcache_options *options);
void l2_close_cache(l2_cache *cache);
libcache_stats l2_stats(const l2_cache *cache);

typedef struct l2_keys {
    size_t n, value_bytes;
    libcache_slice *key;  /* what libcache is asked for */
    libcache_slice *name; /* what Redis calls it */
    char *bytes;
} l2_keys;

void l2_make_keys(l2_keys *keys, size_t n, size_t value_bytes);
void l2_free_keys(l2_keys *keys);

/* A value begins with its key's number; the rest is noise. l2_check_value dies when it is another's. */
void l2_make_value(const l2_keys *keys, size_t number, char *out);
void l2_check_value(const l2_keys *keys, size_t number, const void *value, size_t size);

/* Stores all keys. flags: of the sets, LIBCACHE_SKIP_L1 to leave none in L1. */
void l2_fill(const l2_cache *cache, const l2_keys *keys, unsigned flags);

void l2_expect(const char *call, int result, int wanted); /* dies unless it is */

/* ---- Plain hiredis --------------------------------------------------------------------------------------- */

redisContext *raw_connect(const l2_context *context);
/* Blocking; dies unless the reply is of this type. Free it. */
redisReply *raw_command(redisContext *raw, int argc, const char **argv, const size_t *sizes, int type);
redisReply *raw_get(redisContext *raw, libcache_slice name);
void raw_ping(redisContext *raw);
void raw_empty(const l2_context *context); /* FLUSHALL */

/* ---- Contenders -------------------------------------------------------------------------------------------- */

typedef struct l2_contender {
    const char *operation, *engine;
    void *self;
    void (*prepare)(void *self, size_t first, size_t n); /* untimed, before each round; may be NULL */
    int (*run)(void *self, size_t i); /* one operation, with key i. 1; 0: this one does not count */
    unsigned per_run;                 /* operations of one run, where it does many; 0: one */
    /* filled by rounds_run */
    unsigned rounds;
    double round_us[L2_ROUNDS_MAX]; /* means */
    double round_p50_us[L2_ROUNDS_MAX];
    l2_result result;
} l2_contender;

/*
 * Each round runs each contender for `ops` operations (and an eighth of that before, untimed) on the same keys, in
 * turning order. Fills and returns results; emits nothing.
 */
void rounds_run(const l2_context *context, const char *bench, l2_contender *contenders, unsigned n, unsigned ops,
                const l2_keys *keys);

/* The median over the rounds of a's mean over b's; the same of the medians. */
double rounds_ratio(const l2_contender *a, const l2_contender *b);
double rounds_ratio_p50(const l2_contender *a, const l2_contender *b);

/* Sorts. part: 0 to 1. n at least 1. */
double l2_percentile(double *values, size_t n, double part);

/* Sorts microseconds and fills p50, p99, max and samples. */
void l2_distribution(l2_result *result, double *values_us, size_t n);

/* ---- Waiting and processes ----------------------------------------------------------------------------------- */

void l2_nap_us(unsigned us);
void l2_sleep_until(uint64_t ns); /* of CLOCK_MONOTONIC */
void l2_fine_timers(void);        /* naps of this thread end when they should, not up to 50 us later */
void l2_pin(const l2_context *context); /* this process and the server, as --pin says */
pid_t l2_fork(void (*run)(void *arg), void *arg); /* a child that dies with us */
void l2_reap(pid_t child, int must_succeed);      /* must_succeed 0: kills it */

/* ---- Cases -------------------------------------------------------------------------------------------------------- */

void case_get(const l2_context *context);
void case_get_many(const l2_context *context);
void case_changes(const l2_context *context);
void case_propagation(const l2_context *context);
void case_flood(const l2_context *context);
void case_blackhole(const l2_context *context);
void case_breaker(const l2_context *context);
void case_recovery(const l2_context *context);
void case_idle(const l2_context *context);
void case_l1_hit(const l2_context *context);

/* ---- Holes ---------------------------------------------------------------------------------------------------------- */

enum hole_kind { HOLE_STOPPED, HOLE_SILENT, HOLE_FULL, HOLE_KINDS };

typedef struct l2_hole {
    enum hole_kind kind;
    const char *name;
    char url[220];
    char path[160];    /* of a Unix socket to remove, or empty */
    struct redis_server *server;
    pid_t child;       /* who accepts and says nothing */
    int fds[24];
    unsigned n_fds;
} l2_hole;

void hole_open(l2_hole *hole, const l2_context *context, enum hole_kind kind);
void hole_dig(l2_hole *hole);  /* from now on nobody answers; only HOLE_STOPPED ever did */
void hole_fill(l2_hole *hole); /* HOLE_STOPPED: goes on */
void hole_close(l2_hole *hole);

#endif
