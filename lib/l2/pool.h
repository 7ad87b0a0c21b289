/* A process's connections to one server. SPDX-License-Identifier: MIT */
#ifndef L2_POOL_H
#define L2_POOL_H
#include "l2/connection.h"

#include <pthread.h>

struct pool_limits {
    unsigned min, max, overflow, wait_ms;
    uint64_t idle_ms;
};

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_IDLE };

/* A place for a connection. Who has it BUSY is the only one to touch it. */
struct slot {
    uint32_t state;                /* enum slot_state; changed under the lock, read without it after a fork */
    int fd;                        /* of the connection, also while it connects; -1: none. The connection writes it */
    struct connection *connection; /* NULL in a BUSY slot: there is room for one, make it */
    unsigned generation;           /* the pool's when it was connected */
    int reused;                    /* it has been used before: it may have died since */
    uint64_t idle_since_ms;
    unsigned deaths; /* the pool's when it became idle */
};

struct pool {
    struct pool_limits limits;
    const libcache_allocator *allocator;
    void (*counted)(void *arg, enum traffic which, uint64_t n); /* as of transport_options, told under the lock */
    void *counted_arg;
    uint64_t *owner;   /* see pool.c: whose the rest is */
    int wiped;         /* a fork clears *owner */
    uint64_t own_word; /* what `owner` points to when nothing can be wiped */

    pthread_mutex_t lock;  /* guards all below, and the states of the slots */
    pthread_cond_t freed;  /* a slot has become idle or free */
    struct slot *slots;    /* limits.max + limits.overflow of them */
    struct slot **idle;    /* a stack, the latest used on top, so oldest at the bottom */
    size_t n_idle, n_open; /* n_open: BUSY and IDLE */
    size_t n_leaving;      /* of n_open: about to be FREE, still being closed */
    size_t waiting;
    unsigned generation;  /* connections of an earlier one are closed when they come back */
    unsigned deaths;      /* found so far: what was idle then is looked at before use */
    int64_t retry_tenths; /* the retry budget, in tenths of a retry */
    struct transport_stats stats;
};

int pool_init(struct pool *pool, const struct pool_limits *limits, const libcache_allocator *allocator);
void pool_free(struct pool *pool);

/* A slot, BUSY: with an idle connection, or (connection NULL) with room for one. EUNAVAILABLE: none in time. */
int pool_checkout(struct pool *pool, struct slot **out, uint64_t deadline, uint64_t now_ms);

/* Gives it back; busy_ns is counted. A connection that is not usable, of an old generation, or one too many is closed. */
void pool_checkin(struct pool *pool, struct slot *slot, uint64_t now_ms, uint64_t busy_ns);

/* The connection in the slot is dead: closes it, so that another can be made there. The others come under suspicion. */
void pool_replace(struct pool *pool, struct slot *slot);

/* Closes all idle connections; those in use are closed when they come back. */
void pool_drop(struct pool *pool);

/* 1: one more retry is within the budget, and is taken from it. */
int pool_may_retry(struct pool *pool);

/* Adds one to a counter of pool->stats: of traffic, which `counted` is told as well, or another. */
void pool_count_traffic(struct pool *pool, enum traffic which);
void pool_count(struct pool *pool, uint64_t *counter);
void pool_stats(struct pool *pool, struct transport_stats *out);

#endif
