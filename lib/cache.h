/* The handles, as the files of lib/ (not l1/) see them. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_CACHE_H
#define LIBCACHE_CACHE_H
#include <pthread.h>

#include "base/memory.h"
#include "coherence.h"
#include "l1/l1.h"
#include "l1/trace.h"
#include "l1/wakers.h"
#include "libcache.h"
#include "metrics/counters.h"
#include "policy.h"

struct libcache_ns {
    struct libcache *cache;
    struct l1_view view;    /* what a hit needs */
    uint32_t id;            /* in the segment */
    unsigned tiers;         /* policy's */
    int watched;            /* 1: a hit of a get may be one that a load is to refresh early: loads look at them closely */
    int slow;               /* 1: a get must look further than the common hit does (see cache.c) */
    struct seat *seats;     /* of its tally */
    libcache_policy policy; /* resolved; never changes */
    struct libcache_ns *next;
    char name[LIBCACHE_NAMESPACE_NAME_MAX + 1];
};

struct libcache {
    struct l1 l1;
    struct counters counters;
    void (*slow)(void *arg, const struct libcache_slow *operation); /* NULL: none */
    void *slow_arg;
    uint64_t slow_ns;
    libcache_allocator allocator; /* values point here: their owner */
    uint64_t (*random)(void *arg);
    void *random_arg;
    uint64_t random_state;        /* of the default random; relaxed atomics */
    uint64_t random_process;      /* whose state it is (counters_process) */
    struct policy_book *policies; /* of the policy file; NULL: none */
    int (*execute)(void *arg, void (*job)(void *), void *job_arg); /* NULL: none */
    void *execute_arg;
    struct coherence *coherence;  /* NULL: no Redis tier */
    struct waker waker;           /* of libcache_load_fd */
    unsigned timeout_ms;          /* for Redis, of one call */
    int listens_on_calls;         /* LIBCACHE_LISTEN_ON_CALLS, with a Redis tier */
    struct libcache_ns *spaces;   /* published by compare-and-swap; nodes are never removed before close */
};

/* remote.c: reading from Redis, and keeping copies in L1. */

/* What cache_get_remote does with what it finds. */
struct remote_key {
    struct l1_key l1;
    libcache_value *value;   /* NULL: only look */
    int result;              /* of libcache_get; in: MISS */
    enum miss why;           /* with a MISS; in: as far as L1 knows */
    uint64_t ttl_left_ms;    /* with a HIT, STALE or NEGATIVE */
    libcache_stamp *stamp;   /* NULL, or gets what a load that begins now, the value being missing, is to carry */
    int fresh_only;          /* what is stale is left where it is: STALE, and the value is untouched. So is what is so before ... */
    uint64_t ahead_ms;       /* ... so long from now */
    uint64_t soft_ttl_ms;    /* instead of the policy's; 0: the policy's */
    const char *owner;       /* NULL, or who is to have the lease of the key's load (L2_OWNER_BYTES); fresh_only: he does not wait for it */
    enum l2_leased leased;   /* whether he has it */
};

/* From when on a value is stale, where a call may say so itself (own; 0: it does not). 0: never. */
static inline uint64_t soft_ttl_of(const libcache_ns *ns, uint64_t own)
{
    return own ? own : ns->view.soft_ttl_ms;
}

/*
 * Looks n keys that L1 does not have up in Redis, in one round trip, and a second one where marks must be asked for. Fills
 * each result. Faults of Redis are misses (G6), counted. deadline: see coherence_look.
 */
void remote_get(libcache_ns *ns, struct remote_key *keys, size_t n, unsigned flags, uint64_t deadline);

/* Between the public calls. */

/* invalidate.c: hashes of n tags. OK or ETAG. */
int hash_tags(const libcache_slice *tags, size_t n, uint64_t *hashes);

/* L2_OWNER_BYTES of random hexadecimal digits. */
void random_owner(libcache *cache, char *owner);

/* A get that looks in L1 only, with no flag. HIT (counted), or MISS: anything else. *deadline: see coherence_look. */
int cache_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, uint64_t *deadline);

/* In both tiers, and what is past its end but within its grace as well: STALE. */
int look_for_late(libcache_ns *ns, const struct l1_key *key, libcache_value *value, uint64_t deadline);

/*
 * Stores n items that loads have found (load_ms: how long each took) and gives back leases (NULL: none), in one exchange with Redis
 * where there is something for it. Each has its result. *deadline: see coherence_look.
 */
void store_loaded(libcache_ns *ns, libcache_item *items, const uint64_t *load_ms, size_t n, struct l2_leases *done, uint64_t *deadline);

/* inspect.c: libcache_read_ns_stats for what concerns no namespace. */
void read_nowhere(libcache *cache, libcache_ns_stats *out);

/* Flags that every call takes when there is a Redis tier. */
#define REMOTE_READ_FLAGS (unsigned)(LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2 | LIBCACHE_READ_ONLY)
#define REMOTE_WRITE_FLAGS (unsigned)(LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH)

static inline libcache_slice space_slice(const libcache_ns *ns)
{
    return (libcache_slice){ ns->name, strlen(ns->name) };
}

static force_inline int key_ok(const void *key, size_t size)
{
    return key && size - 1 < LIBCACHE_KEY_MAX;
}

static force_inline void count_one(libcache_ns *ns, enum counter which)
{
    counters_add(&ns->cache->counters, ns->id, which, 1);
}

static inline void count_many(libcache_ns *ns, enum counter which, uint64_t n)
{
    counters_add(&ns->cache->counters, ns->id, which, n);
}

/* What concerns no namespace. */
static inline void count_in(libcache *cache, enum counter which, uint64_t n)
{
    counters_add(&cache->counters, counters_nowhere(&cache->counters), which, n);
}

/* What a read gave, and who answered (enum libcache_tier, as value->tier). An error counts as nothing. */
static inline void count_read(libcache_ns *ns, int result, int tier, enum miss why)
{
    if (result == LIBCACHE_MISS)
        count_one(ns, (enum counter)(COUNT_MISS_COLD + why));
    else if (result >= LIBCACHE_HIT && result <= LIBCACHE_NEGATIVE)
        count_one(ns, (enum counter)((tier == LIBCACHE_TIER_L2 ? COUNT_HIT_L2 : COUNT_HIT) + result - LIBCACHE_HIT));
}

/*
 * trace.c: tells the trace of the segment, if there is one (trace_is_on), of a read (as count_read has counted it) or a change. Cheap
 * where a key is not in the sample; takes no lock.
 */
void trace_read(libcache_ns *ns, const void *key, size_t key_size, int result, const libcache_value *value) __attribute__((noinline, cold));
void trace_stored(libcache_ns *ns, const void *key, size_t key_size, size_t size) __attribute__((noinline, cold));
void trace_deleted(libcache_ns *ns, const void *key, size_t key_size) __attribute__((noinline, cold));

/* The quick gets of this namespace look no further than VIEW_TRACED: sets it. */
void trace_notice(libcache_ns *ns) __attribute__((noinline, cold));

static force_inline void trace_look(libcache_ns *ns)
{
    if (trace_is_on(&ns->cache->l1))
        trace_notice(ns);
}

static force_inline int is_traced(const libcache_ns *ns)
{
    return unlikely(load_relaxed(&ns->view.lean) & VIEW_TRACED);
}

/* measure.c: how long an operation took that touched Redis, ran a loader or waited. */
struct operation {
    libcache *cache;
    const char *name; /* as in struct libcache_slow */
    libcache_ns *ns;  /* NULL: none */
    const void *key;  /* NULL: none, or several */
    size_t key_size;
    uint64_t begun_ns;
};

/* Now, in ns of CLOCK_MONOTONIC. */
static inline uint64_t measure_now(void)
{
    return deadline_after_ms(0);
}

static inline struct operation measure(libcache *cache, const char *name, libcache_ns *ns, const void *key,
                                       size_t key_size)
{
    return (struct operation){ cache, name, ns, key, key_size, measure_now() };
}

/* It has ended: tells options.slow if it was. Returns how long it took. */
uint64_t measure_end(const struct operation *operation, int result);

/* The same, and adds it to a histogram. */
void measure_time(const struct operation *operation, int result, int which);

/* Adds to a histogram, if this handle may. */
void measure_add(libcache *cache, int which, uint64_t ns);

/* EACCESS for what would change the segment of a handle that is only to look at it. */
static inline int may_write(const libcache *cache)
{
    return cache->l1.read_only ? LIBCACHE_EACCESS : LIBCACHE_OK;
}

/* 64 random bits, by the caller's function or our own. */
uint64_t cache_random(libcache *cache);

#endif
