/* What the two halves of a worker share: worker.c reads and loads, writes.c changes things. SPDX-License-Identifier: MIT */
#ifndef TESTS_COHERENCE_WORKER_H
#define TESTS_COHERENCE_WORKER_H
#include "coherence/coherence.h"

enum { OPEN_LOADS = 8, BATCH = 8 };

struct load {
    int open, has_row;
    unsigned key;
    uint64_t begun_ns, version;
    libcache_stamp stamp;
};

struct worker {
    struct arena *arena;
    struct worker_state *state;
    struct host_state *host_state;
    unsigned number, host;
    uint64_t dice;
    libcache *cache;
    libcache_ns *spaces[SPACES];
    struct load loads[OPEN_LOADS];
    libcache_value values[BATCH];
    char bytes[VALUE_BYTES_MAX] __attribute__((aligned(16)));
    int schedstat;              /* file: how long this thread has waited for a processor */
    uint64_t waited_ns, waited_at_ns; /* as read last */
};

/* A call of libcache, from begin to end. */
struct call {
    uint64_t begun_ns, own_stops, host_stops;
};

struct call call_begin(struct worker *w, enum event_type doing);

/* G7. `locks`: how many locks it may have had to wait for. Gives how long it took. */
uint64_t call_end(struct worker *w, const struct call *call, unsigned key, unsigned locks, const char *what);

/* The set options that go with a version; `tags` holds the texts. */
struct tag_texts {
    libcache_slice slices[2];
    char texts[2][32];
};
libcache_set_options set_options(struct tag_texts *tags, unsigned key, uint64_t version);

unsigned pick_key(struct worker *w);

/* Counts a result of a write or a store; gives 1 for an error that chaos may cause, and violates for any other. */
int count_error(struct worker *w, int result, unsigned key, const char *what);

void change_something(struct worker *w);

#endif
