/*
 * Eviction policies on paper: what a cache of so many bytes of keys and values would miss with each of them, without any
 * memory for itself. libcache's own replay pays for its index and headers out of the same budget.
 *
 *   lru       least recently used
 *   sieve     Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is simpler than LRU", NSDI 2024
 *   s3fifo    Yang, Zhang, Qiu, Yue, Vigfusson: "FIFO queues are all you need for cache eviction", SOSP 2023: a small queue of
 *             10 %, promotion after two uses, ghosts for 90 %
 *   wtinylfu  Einziger, Friedman, Manes: "TinyLFU: a highly efficient cache admission policy", ACM ToS 2017: a window of 1 %,
 *             a segmented LRU of 80 % protected, 4-bit counts that are halved every ten entries' worth of requests
 *
 * Every key has one node, by its number; nodes are linked into queues by number, too. Node 0 of the numbering below is "none",
 * so key k is node k + 1.
 */
#include "bench_replay.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUES = 4, NONE = 0, USES_MAX = 3 };

typedef struct node {
    uint32_t newer, older;
    uint64_t bytes;
    uint8_t queue; /* 0: in none; else its queue's number + 1 */
    uint8_t uses;  /* sieve: 0 or 1 */
} node;

typedef struct queue {
    uint32_t newest, oldest;
    uint64_t bytes, limit;
} queue;

typedef struct simulation {
    node *nodes;
    queue queues[QUEUES];
    uint64_t capacity;
    uint32_t hand;   /* sieve: the next to look at */
    uint8_t *counts; /* wtinylfu: four rows */
    uint64_t row_mask, asked, asked_until_halving;
} simulation;

/* ---- Queues ---------------------------------------------------------------------------------------------------------- */

static void put_newest(simulation *s, unsigned q, uint32_t n)
{
    queue *to = &s->queues[q];
    node *self = &s->nodes[n];

    self->queue = (uint8_t)(q + 1);
    self->older = to->newest;
    self->newer = NONE;
    if (to->newest != NONE)
        s->nodes[to->newest].newer = n;
    else
        to->oldest = n;
    to->newest = n;
    to->bytes += self->bytes;
}

static void take_out(simulation *s, uint32_t n)
{
    node *self = &s->nodes[n];
    queue *from = &s->queues[self->queue - 1];

    if (self->newer != NONE)
        s->nodes[self->newer].older = self->older;
    else
        from->newest = self->older;
    if (self->older != NONE)
        s->nodes[self->older].newer = self->newer;
    else
        from->oldest = self->newer;
    from->bytes -= self->bytes;
    self->queue = 0;
}

static void move_to(simulation *s, unsigned q, uint32_t n)
{
    take_out(s, n);
    put_newest(s, q, n);
}

/* ---- LRU ------------------------------------------------------------------------------------------------------------- */

static int lru_asks(simulation *s, uint32_t n, uint64_t bytes)
{
    if (s->nodes[n].queue) {
        move_to(s, 0, n);
        return 1;
    }
    if (bytes > s->capacity)
        return 0;
    while (s->queues[0].bytes + bytes > s->capacity)
        take_out(s, s->queues[0].oldest);
    s->nodes[n].bytes = bytes;
    put_newest(s, 0, n);
    return 0;
}

/* ---- SIEVE ----------------------------------------------------------------------------------------------------------- */

static void sieve_evicts(simulation *s)
{
    uint32_t n = s->hand != NONE ? s->hand : s->queues[0].oldest;

    while (s->nodes[n].uses) {
        s->nodes[n].uses = 0;
        n = s->nodes[n].newer != NONE ? s->nodes[n].newer : s->queues[0].oldest;
    }
    s->hand = s->nodes[n].newer;
    take_out(s, n);
}

static int sieve_asks(simulation *s, uint32_t n, uint64_t bytes)
{
    if (s->nodes[n].queue) {
        s->nodes[n].uses = 1;
        return 1;
    }
    if (bytes > s->capacity)
        return 0;
    while (s->queues[0].bytes + bytes > s->capacity)
        sieve_evicts(s);
    s->nodes[n].bytes = bytes;
    s->nodes[n].uses = 0;
    put_newest(s, 0, n);
    return 0;
}

/* ---- S3-FIFO ---------------------------------------------------------------------------------------------------------- */

enum { SMALL, MAIN, GHOST };

static void make_ghost(simulation *s, uint32_t n)
{
    move_to(s, GHOST, n);
    while (s->queues[GHOST].bytes > s->queues[GHOST].limit)
        take_out(s, s->queues[GHOST].oldest);
}

static void s3fifo_evicts_from_main(simulation *s)
{
    for (;;) {
        uint32_t n = s->queues[MAIN].oldest;

        if (s->nodes[n].uses == 0) {
            take_out(s, n);
            return;
        }
        s->nodes[n].uses--;
        move_to(s, MAIN, n);
    }
}

static void s3fifo_evicts(simulation *s)
{
    queue *small = &s->queues[SMALL];

    if (s->queues[MAIN].bytes > s->queues[MAIN].limit || small->oldest == NONE) {
        s3fifo_evicts_from_main(s);
        return;
    }
    while (small->oldest != NONE) {
        uint32_t n = small->oldest;

        if (s->nodes[n].uses < 2) {
            make_ghost(s, n);
            return;
        }
        s->nodes[n].uses = 0;
        move_to(s, MAIN, n);
    }
}

static int s3fifo_asks(simulation *s, uint32_t n, uint64_t bytes)
{
    node *self = &s->nodes[n];
    int known = self->queue == GHOST + 1;

    if (self->queue && !known) {
        self->uses = self->uses < USES_MAX ? self->uses + 1 : USES_MAX;
        return 1;
    }
    if (known)
        take_out(s, n);
    if (bytes > (known ? s->capacity : s->queues[SMALL].limit))
        return 0;
    while (s->queues[SMALL].bytes + s->queues[MAIN].bytes + bytes > s->capacity)
        s3fifo_evicts(s);
    self->bytes = bytes;
    self->uses = 0;
    put_newest(s, known ? MAIN : SMALL, n);
    return 0;
}

/* ---- W-TinyLFU --------------------------------------------------------------------------------------------------------- */

enum { WINDOW, PROBATION, PROTECTED, ROWS = 4, COUNT_MAX = 15, HALVING = 10 };

static uint8_t *count_of(const simulation *s, uint32_t n, unsigned row)
{
    uint64_t state = n * 4u + row;

    return &s->counts[row * (s->row_mask + 1) + (harness_random(&state) & s->row_mask)];
}

static unsigned frequency(const simulation *s, uint32_t n)
{
    unsigned least = COUNT_MAX;

    for (unsigned row = 0; row < ROWS; row++)
        least = *count_of(s, n, row) < least ? *count_of(s, n, row) : least;
    return least;
}

static void count(simulation *s, uint32_t n)
{
    unsigned before = frequency(s, n);

    for (unsigned row = 0; row < ROWS && before < COUNT_MAX; row++)
        if (*count_of(s, n, row) == before)
            ++*count_of(s, n, row);
    if (++s->asked < s->asked_until_halving)
        return;
    for (uint64_t i = 0; i < ROWS * (s->row_mask + 1); i++)
        s->counts[i] /= 2;
    s->asked = 0;
}

static uint64_t main_bytes(const simulation *s)
{
    return s->queues[PROBATION].bytes + s->queues[PROTECTED].bytes;
}

/* The window's oldest asks to be let into main, whose oldest has to go for it if it is asked for less often. */
static void admit(simulation *s, uint32_t candidate)
{
    uint64_t room = s->capacity - s->queues[WINDOW].limit;

    if (s->nodes[candidate].bytes > room) {
        take_out(s, candidate);
        return;
    }
    while (main_bytes(s) + s->nodes[candidate].bytes > room) {
        uint32_t victim =
            s->queues[PROBATION].oldest != NONE ? s->queues[PROBATION].oldest : s->queues[PROTECTED].oldest;

        if (frequency(s, candidate) <= frequency(s, victim)) {
            take_out(s, candidate);
            return;
        }
        take_out(s, victim);
    }
    move_to(s, PROBATION, candidate);
}

static int wtinylfu_asks(simulation *s, uint32_t n, uint64_t bytes)
{
    node *self = &s->nodes[n];

    count(s, n);
    if (self->queue == WINDOW + 1 || self->queue == PROTECTED + 1) {
        move_to(s, self->queue - 1u, n);
        return 1;
    }
    if (self->queue == PROBATION + 1) {
        move_to(s, PROTECTED, n);
        while (s->queues[PROTECTED].bytes > s->queues[PROTECTED].limit)
            move_to(s, PROBATION, s->queues[PROTECTED].oldest);
        return 1;
    }
    if (bytes > s->capacity)
        return 0;
    self->bytes = bytes;
    put_newest(s, WINDOW, n);
    while (s->queues[WINDOW].bytes > s->queues[WINDOW].limit)
        admit(s, s->queues[WINDOW].oldest);
    return 0;
}

/* ---- A run -------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*asks)(simulation *s, uint32_t n, uint64_t bytes); /* 1: a hit */
    double limits[QUEUES];                                  /* shares of the capacity */
} policies[] = {
    { "lru", lru_asks, { 1 } },
    { "sieve", sieve_asks, { 1 } },
    { "s3fifo", s3fifo_asks, { 0.1, 0.9, 0.9 } },
    { "wtinylfu", wtinylfu_asks, { 0.01, 1, 0.99 * 0.8 } },
};

enum { POLICIES = sizeof policies / sizeof *policies };

const char *replay_policy_name(unsigned policy)
{
    return policy < POLICIES ? policies[policy].name : NULL;
}

static void forget(simulation *s, uint32_t n)
{
    if (s->hand == n)
        s->hand = s->nodes[n].newer;
    if (s->nodes[n].queue)
        take_out(s, n);
}

static void make_sketch(simulation *s, double entries)
{
    s->row_mask = 1023;
    while ((double)(s->row_mask + 1) < entries)
        s->row_mask = 2 * s->row_mask + 1;
    s->counts = harness_allocate(ROWS * (s->row_mask + 1));
    memset(s->counts, 0, ROWS * (s->row_mask + 1));
    s->asked_until_halving = (uint64_t)(HALVING * (entries > 1024 ? entries : 1024));
}

uint64_t replay_simulate(unsigned policy, const replay_trace *trace, uint64_t capacity, double footprint,
                         uint64_t (*bytes_of)(void *arg, size_t request), void *arg)
{
    simulation s = { .capacity = capacity };
    uint64_t misses = 0;

    s.nodes = harness_allocate((trace->n_keys + 1) * sizeof *s.nodes);
    memset(s.nodes, 0, (trace->n_keys + 1) * sizeof *s.nodes);
    for (unsigned i = 0; i < QUEUES; i++)
        s.queues[i].limit = (uint64_t)(policies[policy].limits[i] * (double)capacity);
    make_sketch(&s, (double)capacity / footprint * (double)trace->n_keys);
    for (size_t i = trace->n_before; i-- > 0;)
        policies[policy].asks(&s, trace->requests[trace->before[i]] + 1, bytes_of(arg, trace->before[i]));
    for (size_t i = 0; i < trace->n_requests; i++) {
        uint32_t n = trace->requests[i] + 1;

        switch (replay_kind_of(trace, i)) {
        case REPLAY_GET: misses += !policies[policy].asks(&s, n, bytes_of(arg, i)); break;
        case REPLAY_SET: policies[policy].asks(&s, n, bytes_of(arg, i)); break;
        case REPLAY_DELETE: forget(&s, n); break;
        default: misses++; break;
        }
    }
    free(s.nodes);
    free(s.counts);
    return misses;
}
