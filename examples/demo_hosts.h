/* The demo's second act: what its processes share. SPDX-License-Identifier: MIT */
#ifndef DEMO_HOSTS_H
#define DEMO_HOSTS_H
#include "demo.h"

enum {
    HOSTS = 2, /* A, who changes something, and B, who hears of it */
    USERS_OF_HOSTS = 300,
    CHANGED_USER = 7,
    VALUE_BYTES = 300,
    ROUNDS = 400,           /* invalidations that are timed */
    COLUMNS = 40,           /* of the timeline, at most */
    MAX_STALENESS_MS = 2000 /* as it is by default */
};

#define SOURCE_NS UINT64_C(5000000) /* what a query of the made-up database takes */
#define COLUMN_NS UINT64_C(500000000)

/* What the hosts do, one after the other; the parent moves them on. */
enum { PHASE_OPEN = 1, PHASE_LATENCY, PHASE_LAG, PHASE_TRAFFIC, PHASE_END };

enum { FOUND_IN_L1, FOUND_IN_L2, FOUND_NOWHERE, FOUND };

/* Every field is written by one process, read by all, and changed atomically. */
struct column {
    uint64_t requests, found[FOUND], slowest_ns; /* slowest: of libcache's calls */
    uint64_t age_ms, down;                       /* as libcache_read_stats said: the highest age; 1: breaker open */
};

struct host_board {
    uint64_t done;                     /* the phase that it is done with */
    uint64_t age_ms, down, owed_bytes; /* the latest statistics */
    uint64_t new_ns;                   /* when it was first given the changed user's new data */
    uint64_t old_again, old_again_ns;  /* old ones given after Redis came back; when the last of them was asked for */
    uint64_t late;                     /* must stay 0: values older than `least` */
    struct column column[COLUMNS];
};

struct hosts_board {
    uint64_t phase;
    uint64_t version;      /* of the changed user's row in the "database" */
    uint64_t least[HOSTS]; /* a read must not give an older one */
    struct host_board host[HOSTS];

    uint64_t latency[FOUND][DEMO_BUCKETS];

    uint64_t ready, returned, seen; /* rounds: B has a copy in L1; the call has returned; B's copy has gone */
    uint64_t began_ns, returned_ns; /* of A's call */
    uint64_t call[DEMO_BUCKETS], lag[DEMO_BUCKETS], longest_lag_ns, sooner; /* sooner: B, than A's call returned */

    uint64_t traffic_ns; /* when it began */
    uint64_t change;     /* 1: host A, change the user; 2: done */
    uint64_t change_took_ns, changed_ns;
    int change_result;
    uint64_t redis_back; /* 1: it goes on again */
};

/* demo_host.c: what the process of host `number` does. Never returns. */
void demo_host(struct hosts_board *board, unsigned number, const char *redis_url) __attribute__((noreturn));

#endif
