/* The handles, as the files of lib/ (not l1/) see them. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_CACHE_H
#define LIBCACHE_CACHE_H
#include <pthread.h>

#include "base/memory.h"
#include "coherence.h"
#include "l1/l1.h"
#include "l1/wakers.h"
#include "libcache.h"
#include "metrics/counters.h"
#include "policy.h"

struct libcache_ns {
    struct libcache *cache;
    struct l1_view view;      /* what a hit needs */
    uint32_t id;              /* in the segment */
    unsigned tiers;           /* policy's */
    int watched;              /* 1: its hits may be stale or about to be: loads look at them closely */
    int slow;                 /* 1: a get must look further than the common hit does (see cache.c) */
    libcache_policy policy;   /* resolved; never changes */
    struct libcache_ns *next;
    char name[LIBCACHE_NAMESPACE_NAME_MAX + 1];
};

struct libcache {
    void *raw; /* the memory that the handle lies in: counters want an alignment of their own */
    struct l1 l1;
    struct counters counters;
    libcache_allocator allocator; /* values point here: their owner */
    uint64_t (*random)(void *arg);
    void *random_arg;
    uint64_t random_state;        /* of the default random; relaxed atomics */
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
    uint64_t ttl_left_ms;    /* with a HIT, STALE or NEGATIVE */
    libcache_stamp *stamp;   /* NULL, or gets what a load that begins now, the value being missing, is to carry */
};

/*
 * Looks n keys that L1 does not have up in Redis, in one round trip, and a second one where marks must be asked for. Fills
 * each result. Faults of Redis are misses (G6), counted. deadline: see coherence_look.
 */
void remote_get(libcache_ns *ns, struct remote_key *keys, size_t n, unsigned flags, uint64_t deadline);

/* Between the public calls. */

/* L2_OWNER_BYTES of random hexadecimal digits. */
void random_owner(libcache *cache, char *owner);

/* In both tiers, and what is past its end but within its grace as well: STALE. */
int look_for_late(libcache_ns *ns, const struct l1_key *key, libcache_value *value, uint64_t deadline);

/* libcache_set for a load that took so long. */
int store_loaded(libcache_ns *ns, const struct l1_key *key, const void *value, size_t size, const libcache_set_options *options,
                 uint64_t load_ms);

/* load.c: libcache_load_begin for n keys, with one look into Redis. loads: `stride` bytes apart. OK or ENOMEM. */
int begin_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
               const libcache_load_options *options, libcache_load **loads, size_t stride);

/* load.c: who waits for another's load loads for himself after all. BYPASS. */
int load_stop_waiting(libcache_load *load);

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
    counters_add(&ns->cache->counters, which, 1);
}

static inline void count_in(libcache *cache, enum counter which, uint64_t n)
{
    counters_add(&cache->counters, which, n);
}

/* 64 random bits, by the caller's function or our own. */
uint64_t cache_random(libcache *cache);

#endif
