/*
 * The Redis tier: values, positions and the log, as the rest of libcache sees them. Knows nothing of L1.
 * SPDX-License-Identifier: MIT
 *
 * Positions here are Redis's own. Every answer tells where the history stands (struct history); what that means on this host is the
 * caller's business. This interface is what a cluster would implement anew; see DESIGN in docs/concepts.md.
 * All calls: one round trip (two where a script was not known), may block until the deadline, thread-safe.
 */
#ifndef L2_L2_H
#define L2_L2_H
#include "l2/envelope.h"
#include "l2/names.h"
#include "l2/transport.h"

/* Where a history stands. `epoch` and `token` are 8 bytes, as a number. */
struct history {
    uint64_t epoch;    /* 0: unknown */
    uint64_t position;
    uint64_t token;
};

enum l2_contact { L2_GOES_ON = 1, L2_GAP = 2, L2_OTHER = 3 }; /* what hello.lua found */

struct l2_options {
    struct transport_options transport; /* without greet */
    const char *prefix;
    unsigned log_length;
    /* What the host knows, before a connection says hello, and what it heard (known_epoch: what it had known). contact gives OK, or why not to go on. */
    void (*known)(void *arg, struct history *out);
    int (*contact)(void *arg, const struct history *now, enum l2_contact how, uint64_t known_epoch);
    void *arg;
};

struct l2;

int l2_open(struct l2 **out, const struct l2_options *options, libcache_error *error);
void l2_close(struct l2 *l2);
struct transport *l2_transport(struct l2 *l2);

/* Redis's clock in ms, as well as is known here: its own at the latest greeting or reading of the log, and ours since. */
uint64_t l2_redis_ms(const struct l2 *l2);

/* Says hello on a pooled connection: what came of it goes to `contact`. */
int l2_hello(struct l2 *l2, uint64_t deadline);

/* ---- Reading ------------------------------------------------------------------------------------------- */

struct l2_key {
    libcache_slice ns, key;
};

enum l2_leased {
    L2_LEASE_UNKNOWN,  /* Redis did not say */
    L2_LEASE_OURS,
    L2_LEASE_ANOTHERS,
    L2_LEASE_NEEDLESS  /* a value is there that stays fresh: nobody has it */
};

#define L2_OWNER_BYTES 32u

/* The lease of a load: of all hosts that want it, who has it loads. */
struct l2_lease {
    struct l2_key key;
    const char *owner;   /* L2_OWNER_BYTES */
    uint64_t ahead_ms;   /* what stays fresh for longer than this needs no load */
    int waits;           /* who does not get it waits, and is woken by a name in the log (NAME_WAKE) */
    enum l2_leased got;  /* the answer when it is taken */
};

struct l2_leases {
    struct l2_lease *item;
    size_t n;
    uint64_t ttl_ms, soft_ttl_ms, grace_ms; /* of the lease; of values (soft 0: none) */
    struct history now;                     /* the answer; epoch 0: none */
};

/*
 * Gets n values into `out`; l2_found says what the i-th is. In the same round trip: leases (NULL: none) are tried to be taken before
 * that, and now (NULL: not wanted) is where the history stood after it (epoch 0: not known). OK or an error of transport_exchange.
 */
int l2_get(struct l2 *l2, const struct l2_key *keys, size_t n, struct history *now, struct l2_leases *leases, struct replies *out,
           uint64_t deadline);

/* HIT (*envelope is filled, its slices point into the reply), MISS, or EPROTOCOL (not ours). */
int l2_found(struct l2 *l2, const struct replies *replies, size_t i, const struct l2_key *key, struct envelope *envelope);

/* Asks Redis whether marks have overtaken an entry. */
struct l2_question {
    libcache_slice ns;
    const void *tags; /* as in an envelope */
    size_t n_tags;
    uint64_t epoch, stamp;
    int valid;        /* the answer: 1 as of `now` */
};

int l2_verify(struct l2 *l2, struct l2_question *questions, size_t n, struct history *now, uint64_t deadline);

/* ---- Changing ---------------------------------------------------------------------------------------------- */

enum l2_how {
    L2_SET,      /* whatever is there */
    L2_ADD,      /* only where nothing valid is */
    L2_FILL      /* what a load found: only if nothing of it was changed since `since` */
};

struct l2_store {
    struct l2_key key;
    const struct envelope *envelope;
    uint64_t ttl_ms;      /* LIBCACHE_FOREVER: none */
    enum l2_how how;
    int quiet;            /* SET, ADD: not into the log */
    struct history since; /* FILL */
    /* the answer */
    int result;           /* OK, EXISTS, FENCED, or an error */
    struct history now;   /* with OK and not FILL: position is that of the change (quiet: the latest) */
};

/* Stores n values and then gives back leases (NULL: none). OK: see each result; else nothing is known to have been stored. */
int l2_store(struct l2 *l2, struct l2_store *items, size_t n, struct l2_leases *done, uint64_t deadline);

/* Deletes the keys among n names and gives all of them one position. gone[i] (NULL: not wanted): 1 if the i-th name is a
 * key that had a value. */
int l2_invalidate(struct l2 *l2, const struct name *names, size_t n, unsigned char *gone, struct history *now,
                  uint64_t deadline);

/* Deletes a value and tells nobody. */
int l2_forget(struct l2 *l2, const struct l2_key *key, size_t *gone, uint64_t deadline);

/* OK or MISS. */
int l2_touch(struct l2 *l2, const struct l2_key *key, uint64_t ttl_ms, int quiet, struct history *now, uint64_t deadline);

/* Adds to a counter, made with this envelope (no payload) where there is none. OK, ENUMBER, EOVERFLOW, EBUSY. */
int l2_increment(struct l2 *l2, const struct l2_key *key, const struct envelope *envelope, uint64_t ttl_ms, int64_t delta,
                 int subtract, int quiet, int64_t *out, struct history *now, uint64_t deadline);

/* ---- Locks --------------------------------------------------------------------------------------------------- */

struct l2_lock {
    struct l2_key name;
    const char *owner;         /* L2_OWNER_BYTES */
    uint64_t ttl_ms;           /* TAKE, KEEP */
};

enum l2_lock_step { L2_LOCK_TAKE, L2_LOCK_KEEP, L2_LOCK_FREE, L2_LOCK_BREAK, L2_LOCK_LOOK };

struct l2_lock_state {
    struct history now;
    char owner[L2_OWNER_BYTES]; /* before the step; zeroes: nobody */
    uint64_t left_ms;           /* after it */
};

/*
 * One step. OK: done (LOOK: somebody has it); EXISTS: not done, because another has it, or nobody. Who could not take it is woken by a
 * name in the log (NAME_WAKE) when it is given back.
 */
int l2_lock(struct l2 *l2, const struct l2_lock *lock, enum l2_lock_step step, struct l2_lock_state *state, uint64_t deadline);

/* Counts a hit in a window. */
int l2_rate(struct l2 *l2, const struct l2_key *name, uint64_t window_ms, uint64_t *count, uint64_t *left_ms, uint64_t deadline);

/* ---- The log ---------------------------------------------------------------------------------------------- */

struct log_record {
    uint64_t position, previous_token, token;
    const unsigned char *names; /* for name_read */
    size_t names_size;
};

/* What to ask, and how to read the answer, on a pooled connection or one of one's own. block_ms 0: do not wait. */
int l2_log_request(struct l2 *l2, struct request *request, uint64_t after, unsigned count, unsigned block_ms);

struct log_page {
    struct history then; /* where the history stood after the records were read; epoch 0: there is none */
    uint64_t marks;      /* fields in the metadata hash */
    const struct reply *records;
    size_t n;
};

/* OK, or EPROTOCOL and the like. answered_ms: the cache's clock when the answer came. */
int l2_log_page(struct l2 *l2, const struct replies *replies, uint64_t answered_ms, struct log_page *out);

/* OK or EPROTOCOL. */
int l2_log_record(const struct reply *record, struct log_record *out);

/* One step of forgetting old marks, where there are more than `keep` positions of them. *cursor: 0 at first, and when done. */
int l2_prune(struct l2 *l2, uint64_t keep, uint64_t *cursor, uint64_t deadline);

#endif
