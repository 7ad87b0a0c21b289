/* The handles, as the files of lib/ (not l1/) see them. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_CACHE_H
#define LIBCACHE_CACHE_H
#include <pthread.h>

#include "base/memory.h"
#include "l1/l1.h"
#include "libcache.h"
#include "metrics/counters.h"
#include "policy.h"

struct libcache_ns {
    struct libcache *cache;
    struct l1_view view;      /* what a hit needs */
    uint32_t id;              /* in the segment */
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
    struct libcache_ns *spaces;   /* published by compare-and-swap; nodes are never removed before close */
};

/* 64 random bits, by the caller's function or our own. */
uint64_t cache_random(libcache *cache);

#endif
