/*
 * Group commit. SPDX-License-Identifier: MIT
 *
 *      thread 1 .. 4   ---- each on its way to Redis, with names of its own ----------------------->
 *      thread 5        gathers: waits for one of them to come back, then goes, with all that came meanwhile
 *      thread 6, 7 ..  join thread 5's flight and get its answer
 *
 * Up to FLIGHTS_MAX requests are under way, each without waiting for another. Beyond that, names are gathered into one request: one
 * position, one record in the log, one round trip, however many threads. The same tag, namespace or "everything" is told once.
 *
 * Who gathers came before those that join, so his deadline is the earliest: nobody waits longer than his own.
 */
#include "burst.h"

#include <string.h>

#define FLIGHTS_MAX 4
#define NAMES_MAX 1024 /* of one flight */

/* One caller's names, on his stack; he waits until `done`. */
struct member {
    const struct name *names;
    size_t n, gone;
    int done, result;
    struct history now;
    struct member *next;
};

struct flight {
    struct member *first, *last;
    size_t n;
};

void burst_init(struct burst *burst, const libcache_allocator *allocator)
{
    memset(burst, 0, sizeof *burst);
    pthread_mutex_init(&burst->lock, NULL);
    pthread_cond_init(&burst->changed, NULL);
    burst->allocator = allocator;
}

static int same(const struct name *a, const struct name *b)
{
    return a->kind == b->kind && a->tag == b->tag && a->ns.size == b->ns.size &&
           (!a->ns.size || memcmp(a->ns.data, b->ns.data, a->ns.size) == 0);
}

/* The names of all members, the same one once. */
static size_t gather(const struct flight *flight, struct name *out)
{
    size_t n = 0;

    for (const struct member *m = flight->first; m; m = m->next)
        for (size_t i = 0; i < m->n; i++) {
            size_t j = m->names[i].kind == NAME_KEY ? n : 0; /* each key has an answer of its own */
            while (j < n && !same(&out[j], &m->names[i]))
                j++;
            if (j == n)
                out[n++] = m->names[i];
        }
    return n;
}

/* Gives each member his share of the answer. Keys lie in `gone` in the order in which they were gathered. */
static void share_out(struct flight *flight, const struct name *names, size_t n, const unsigned char *gone, int result,
                      const struct history *now)
{
    size_t at = 0;

    for (struct member *m = flight->first; m; m = m->next) {
        m->result = result;
        m->now = *now;
        for (size_t i = 0; i < m->n; i++) {
            if (m->names[i].kind != NAME_KEY)
                continue;
            while (at < n && names[at].kind != NAME_KEY)
                at++;
            m->gone += result == LIBCACHE_OK && at < n && gone[at];
            at++;
        }
    }
}

static void fly(struct burst *burst, struct l2 *l2, struct flight *flight, uint64_t deadline)
{
    size_t bytes = flight->n * (sizeof(struct name) + 1);
    struct name *names = memory_get(burst->allocator, bytes);
    struct history now;
    unsigned char *gone;
    size_t n;
    int result;

    memset(&now, 0, sizeof now);
    if (!names) {
        share_out(flight, NULL, 0, NULL, LIBCACHE_ENOMEM, &now);
        return;
    }
    gone = (unsigned char *)(names + flight->n);
    n = gather(flight, names);
    result = l2_invalidate(l2, names, n, gone, &now, deadline);
    share_out(flight, names, n, gone, result, &now);
    memory_free(burst->allocator, names);
}

/* Gathers until there is room for a request, goes, and tells the others. Under the lock, which is given back meanwhile. */
static void lead(struct burst *burst, struct l2 *l2, struct member *self, uint64_t deadline)
{
    struct flight flight = { self, self, self->n };

    if (burst->flying >= FLIGHTS_MAX) {
        burst->gathering = &flight; /* cppcheck-suppress autoVariables ; it is taken back below, before this returns */
        while (burst->flying >= FLIGHTS_MAX) /* each of them has a deadline */
            pthread_cond_wait(&burst->changed, &burst->lock);
        if (burst->gathering == &flight)
            burst->gathering = NULL;
    }
    burst->flying++;
    pthread_mutex_unlock(&burst->lock);
    fly(burst, l2, &flight, deadline);
    pthread_mutex_lock(&burst->lock);
    burst->flying--;
    for (struct member *m = flight.first; m;) {
        struct member *next = m->next; /* once he is done, he and his stack are gone */
        m->done = 1;
        m = next;
    }
    pthread_cond_broadcast(&burst->changed);
}

int burst_invalidate(struct burst *burst, struct l2 *l2, const struct name *names, size_t n, size_t *gone,
                     struct history *now, uint64_t deadline)
{
    struct member self = { .names = names, .n = n };
    struct flight *flight;

    pthread_mutex_lock(&burst->lock);
    flight = burst->gathering;
    if (flight && flight->n + n <= NAMES_MAX) {
        flight->last->next = &self;
        flight->last = &self;
        flight->n += n;
        while (!self.done)
            pthread_cond_wait(&burst->changed, &burst->lock);
    } else {
        lead(burst, l2, &self, deadline);
    }
    pthread_mutex_unlock(&burst->lock);
    *gone = self.gone;
    *now = self.now;
    return self.result;
}
