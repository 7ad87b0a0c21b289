/*
 * Event counters of all processes of a segment, by namespace. SPDX-License-Identifier: MIT
 *
 *      in the segment                                   in each handle, in memory that a fork wipes
 *      +-------+---------+---------+---------+- - -     +----------------------------+
 *      | times | block 0 | block 1 | block 2 |          | tally of namespace 0       |
 *      +-------+---------+---------+---------+- - -     |   seat: thread -> block 2  |
 *                 ns 7      free      ns 0              |   seat: thread -> ...      |
 *                 pid 81              pid 93            +----------------------------+
 *
 * A hit takes some tens of nanoseconds; a shared atomic counter would cost as much again. So each thread of each process
 * adds, without atomics, to a block of its own, in lines that nobody else writes. It finds it by its thread pointer: a register,
 * where thread-local storage of a dlopen'ed library would be a call. Two threads alive at once never have the same thread
 * pointer; a new one that gets an old one's goes on with its block. A forked child finds its seats wiped, and takes blocks of its own.
 *
 * What was counted is in the segment at once: who is killed loses nothing. A block belongs to one namespace for ever and is
 * never cleared, so sums never go backwards; when its owner is gone, the next that counts in that namespace takes it over
 * and counts on. When no block is to be had, counts go to the namespace's total: a block that everybody adds to, atomically.
 */
#ifndef METRICS_COUNTERS_H
#define METRICS_COUNTERS_H
#include "base/memory.h"
#include "base/platform.h"
#include "metrics/times.h"

enum counter {
    COUNT_HIT,
    COUNT_STALE,
    COUNT_NEGATIVE, /* in this order, and those of Redis behind those of L1 */
    COUNT_HIT_L2,
    COUNT_STALE_L2,
    COUNT_NEGATIVE_L2,
    COUNT_MISS_COLD,
    COUNT_MISS_EXPIRED,
    COUNT_MISS_EVICTED,
    COUNT_MISS_INVALIDATED,
    COUNT_MISS_FENCED, /* as enum miss */
    COUNT_MISS_UNVOUCHED,
    COUNT_MISS_UNAVAILABLE,
    COUNT_SET,
    COUNT_ADD,
    COUNT_DELETE,
    COUNT_TOUCH,
    COUNT_INCREMENT,
    COUNT_FENCED,
    COUNT_SET_BYTES,
    COUNT_INVALIDATION,
    COUNT_L2_HIT,
    COUNT_L2_MISS,
    COUNT_L2_INVALIDATED,
    COUNT_L2_FOREIGN,
    COUNT_L2_VERIFIED,
    COUNT_L2_ERROR,
    COUNT_LOAD,
    COUNT_LOAD_ERROR,
    COUNT_LOAD_TIMEOUT,
    COUNT_LOAD_WAIT,
    COUNT_LOAD_BYPASS,
    COUNT_REFRESH,
    COUNT_SLOW,
    COUNT_CONNECT, /* these and what follows: under no namespace */
    COUNT_TIMEOUT,
    COUNT_RETRY,
    COUNT_SENT_BYTES,
    COUNT_RECEIVED_BYTES,
    COUNT_POOL_WAIT,
    COUNT_POOL_REFUSAL,
    COUNTERS
};

/* Why a get found nothing. */
enum miss {
    MISS_COLD,
    MISS_EXPIRED,
    MISS_EVICTED,
    MISS_INVALIDATED,
    MISS_FENCED,
    MISS_UNVOUCHED,
    MISS_UNAVAILABLE,
    MISSES
};

#define COUNTER_SEATS 64 /* threads of a process that have blocks of their own; a power of two */
#define COUNTER_HASH(self) ((self) / 4096 % COUNTER_SEATS) /* thread pointers lie pages apart */
#define COUNTER_EVERYBODY UINT64_MAX

struct counter_block {
    uint64_t
        owner; /* pid 24 | when it began 40; 0: nobody; COUNTER_EVERYBODY: a total, added to atomically. By compare-and-swap */
    uint32_t space; /* number of the namespace + 1; 0: none yet. Written once, by the owner */
    uint32_t unused;
    uint64_t count[COUNTERS] __attribute__((aligned(8)));
} __attribute__((aligned(2 * PLATFORM_LINE)));

/* The metrics' part of a segment, all zero in a new one. */
struct metrics_area {
    struct time_counts time[TIMES_KINDS];
    uint32_t used; /* blocks from here on were never taken. By compare-and-swap, raised before a block is */
    struct counter_block block[];
};

/* How much of a segment it is. */
uint64_t metrics_area_bytes(uint64_t total_bytes, uint32_t spaces);

/* A thread's place at a namespace's table. */
struct seat {
    uintptr_t owner; /* thread pointer; 0: free. By compare-and-swap */
    uint64_t *count; /* of its block */
};

/* One namespace, in one handle. */
struct tally {
    struct seat seat[COUNTER_SEATS];
    uint64_t before[COUNTER_SEATS][COUNTERS]; /* what the block held when it was taken */
    uint64_t shared[COUNTERS];                /* what was added to the total. Atomic adds */
    uint64_t shares;                          /* so many times there was no block. Relaxed */
    uint64_t *total;                          /* atomic; NULL: not looked for yet */
};

struct counters {
    struct metrics_area *area;
    uint32_t blocks, spaces;
    int read_only; /* nothing is written to the segment */
    int wiped;     /* a fork clears what follows */
    void *memory;
    size_t bytes;
    uint64_t *self;        /* this process, as an owner; 0: not known yet */
    uint8_t *used;         /* by namespace: 1: its tally holds something; relaxed */
    struct tally *tallies; /* of each namespace, and one for what concerns none */
};

/* area: of area_bytes. 0: no memory. */
int counters_open(struct counters *counters, struct metrics_area *area, uint64_t area_bytes, uint32_t spaces,
                  int read_only);
void counters_close(struct counters *counters);

/* A number that this process has and no other that lives; never 0. A forked child has another than its parent. */
uint64_t counters_process(struct counters *counters);

static force_inline struct tally *counters_tally(const struct counters *counters, uint32_t space)
{
    return &counters->tallies[space];
}

/* The number that stands for no namespace. */
static force_inline uint32_t counters_nowhere(const struct counters *counters)
{
    return counters->spaces;
}

/* For who has no seat yet. */
void counters_add_first(struct counters *counters, uint32_t space, enum counter which, uint64_t n);

static force_inline void counters_add(struct counters *counters, uint32_t space, enum counter which, uint64_t n)
{
    uintptr_t self = (uintptr_t)__builtin_thread_pointer();
    struct seat *seat = &counters_tally(counters, space)->seat[COUNTER_HASH(self)];

    if (likely(load_relaxed(&seat->owner) == self))
        add_own(&seat->count[which], n);
    else
        counters_add_first(counters, space, which, n);
}

/* What this handle has counted, in all namespaces together: fills count[COUNTERS], as all of these. */
void counters_own(const struct counters *counters, uint64_t *count);

/* What all have counted in one namespace since the segment was made. */
void counters_read(const struct counters *counters, uint32_t space, uint64_t *count);

/* The same for all namespaces together. */
void counters_read_all(const struct counters *counters, uint64_t *count);

#endif
