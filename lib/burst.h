/* Invalidations of many threads at once, told to Redis together. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_BURST_H
#define LIBCACHE_BURST_H
#include <pthread.h>

#include "l2/l2.h"

struct flight;

/* Of one process. */
struct burst {
    pthread_mutex_t lock;   /* guards all of it, and the members of a flight that gathers */
    pthread_cond_t changed;
    unsigned flying;        /* requests under way */
    struct flight *gathering; /* names that wait for one of them to come back; NULL: none wait */
    const libcache_allocator *allocator;
};

/* Also in a forked child, whose copy may be locked by a thread that it does not have. */
void burst_init(struct burst *burst, const libcache_allocator *allocator);

/* As l2_invalidate; *gone: how many of the names are keys that had a value. */
int burst_invalidate(struct burst *burst, struct l2 *l2, const struct name *names, size_t n, size_t *gone,
                     struct history *now, uint64_t deadline);

#endif
