/*
 * Event counters of one handle in one process. SPDX-License-Identifier: MIT
 *
 * A hit takes some tens of nanoseconds; a shared atomic counter would cost as much again. So each thread adds, without
 * atomics, to a block of its own, which it finds by its thread pointer: a register, where thread-local storage of a
 * dlopen'ed library would be a call. Two threads alive at once never have the same thread pointer; a new one that gets an
 * old one's goes on with its block, and nothing is lost. Who comes when all blocks are taken shares one, atomically.
 */
#ifndef METRICS_COUNTERS_H
#define METRICS_COUNTERS_H
#include "base/platform.h"

enum counter {
    COUNT_HIT, COUNT_STALE, COUNT_NEGATIVE, COUNT_MISS, COUNT_SET, COUNT_ADD, COUNT_DELETE, COUNT_TOUCH, COUNT_INCREMENT,
    COUNT_FENCED, COUNT_INVALIDATION, COUNT_L2_HIT, COUNT_L2_MISS, COUNT_L2_INVALIDATED, COUNT_L2_FOREIGN, COUNT_L2_VERIFIED,
    COUNT_L2_ERROR, COUNT_LOAD, COUNT_LOAD_ERROR, COUNT_LOAD_WAIT, COUNT_LOAD_BYPASS, COUNT_REFRESH, COUNTERS
};

#define COUNTER_BLOCKS 64 /* a power of two */
#define COUNTER_HASH(self) ((self) / 4096 % COUNTER_BLOCKS) /* thread pointers lie pages apart */

struct counter_block {
    uintptr_t owner; /* thread pointer; 0: free. By compare-and-swap */
    uint64_t count[COUNTERS] __attribute__((aligned(8)));
} __attribute__((aligned(2 * PLATFORM_LINE)));

struct counters {
    struct counter_block block[COUNTER_BLOCKS];
    uint64_t shared[COUNTERS]; /* atomic adds */
};

/* The caller's block, or NULL when all are taken. */
struct counter_block *counters_claim(struct counters *counters, uintptr_t self);

static force_inline void counters_add(struct counters *counters, enum counter which, uint64_t n)
{
    uintptr_t self = (uintptr_t)__builtin_thread_pointer();
    struct counter_block *block = &counters->block[COUNTER_HASH(self)];

    if (unlikely(load_relaxed(&block->owner) != self))
        block = counters_claim(counters, self);
    if (likely(block != NULL))
        add_own(&block->count[which], n);
    else
        __atomic_fetch_add(&counters->shared[which], n, __ATOMIC_RELAXED);
}

/* counters_add for a caller without a block, in a call that need not return to him; returns `result`. */
int counters_add_first(struct counters *counters, enum counter which, int result);

/* counters_add of 1 at the end of a function that gives back `result`. */
static force_inline int counters_add_one(struct counters *counters, enum counter which, int result)
{
    uintptr_t self = (uintptr_t)__builtin_thread_pointer();
    struct counter_block *block = &counters->block[COUNTER_HASH(self)];

    if (unlikely(load_relaxed(&block->owner) != self))
        return counters_add_first(counters, which, result);
    add_own(&block->count[which], 1);
    return result;
}

/* The sum over all threads. */
uint64_t counters_sum(const struct counters *counters, enum counter which);

#endif
