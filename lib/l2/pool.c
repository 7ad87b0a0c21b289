/*
 * SPDX-License-Identifier: MIT
 *
 * Slots, each free, in use, or with an idle connection. The idle ones form a stack: the one used last is used next,
 * so few connections carry all of the work, and those at the bottom grow old and are closed (above pool_min). Nothing
 * here connects, sends or reads; the lock is held for a few instructions only, never over a system call that may
 * wait.
 *
 * Is an idle connection still alive? Asking costs a call each time, and the answer is old when it comes. So it is asked
 * only on suspicion: it has been idle for more than a second (load balancers, server timeouts, CLIENT KILL), or another
 * connection was found dead since it was used (the server was restarted). Else one sends and sees; see transport.c for
 * the retry.
 *
 * The retry budget: each exchange earns a tenth of a retry, each retry costs a whole one, and no more than 10 are
 * saved. A server that goes away meets at most 10 % more requests than usual, not twice as many.
 *
 * fork. The child has a copy of all of this: sockets that the parent talks on, a lock that some thread of the parent
 * may have held, and that thread does not exist here. So before anything else each entry asks "is this ours?". getpid
 * is a system call (300 ns here; an exchange over a Unix socket takes perhaps 20 us), so the owner's word is one that
 * each child finds zero (base/wiped.h): one load from the cache. Where that is not to be had, the word is the process
 * id and getpid is called.
 *
 *     *owner == mine        ours
 *     *owner == mine | 1    a thread of this process is taking it over: wait for it (it does nothing that waits)
 *     else                  inherited; the first to swap mine | 1 in takes it over
 *
 * Whoever is forked in the middle of a take-over finds zeroes, or another process's number, and begins again.
 *
 * Taking over: new lock, new condition, all slots free, descriptors closed. Plain close: the connection is the
 * parent's, who still has it; QUIT or shutdown would end it for him. The registry of descriptors must be right at
 * whatever instant the fork happened, so `fd` is written when the descriptor exists and set to -1 before it is
 * closed: the child may miss one, but never closes a number that means something else by now. An idle connection is
 * at rest and its memory is freed. One that was in use by another thread may be half-way through anything; its memory
 * is left where it is.
 */
#define _GNU_SOURCE
#include "l2/pool.h"

#include "base/platform.h"
#include "base/wiped.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SUSPICIOUS_MS 1000
#define RETRY_COST 10
#define RETRY_SAVED_MAX 100
#define NS_PER_S UINT64_C(1000000000)

/* ---- Whose is it? ------------------------------------------------------------------------------------------- */

static uint64_t my_word(const struct pool *pool)
{
    return pool->wiped ? 2 : (uint64_t)getpid() << 1;
}

static size_t capacity(const struct pool *pool)
{
    return (size_t)pool->limits.max + pool->limits.overflow;
}

static void make_locks(struct pool *pool)
{
    pthread_condattr_t attributes;

    memset(&pool->lock, 0, sizeof pool->lock);
    memset(&pool->freed, 0, sizeof pool->freed);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->freed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void take_over(struct pool *pool)
{
    make_locks(pool);
    for (size_t i = 0; i < capacity(pool); i++) {
        struct slot *slot = &pool->slots[i];
        int fd = load_relaxed(&slot->fd);
        if (fd >= 0)
            close(fd);
        if (load_acquire(&slot->state) == SLOT_IDLE)
            connection_forget(slot->connection);
        *slot = (struct slot){ .fd = -1 };
    }
    pool->n_idle = pool->n_open = pool->n_leaving = pool->waiting = 0;
    pool->retry_tenths = RETRY_SAVED_MAX;
    memset(&pool->stats, 0, sizeof pool->stats);
}

static void make_ours(struct pool *pool, uint64_t mine)
{
    for (;;) {
        uint64_t owner = load_acquire(pool->owner);
        if (owner == mine)
            return;
        if (owner == (mine | 1))
            sched_yield();
        else if (__atomic_compare_exchange_n(pool->owner, &owner, mine | 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            take_over(pool);
            store_release(pool->owner, mine);
            return;
        }
    }
}

static void enter(struct pool *pool)
{
    uint64_t mine = my_word(pool);

    if (unlikely(load_acquire(pool->owner) != mine))
        make_ours(pool, mine);
    pthread_mutex_lock(&pool->lock);
}

static void leave(struct pool *pool)
{
    pthread_mutex_unlock(&pool->lock);
}

/* ---- Making and ending ----------------------------------------------------------------------------------------- */

int pool_init(struct pool *pool, const struct pool_limits *limits, const libcache_allocator *allocator)
{
    uint64_t *wiped = wiped_word();

    memset(pool, 0, sizeof *pool);
    pool->limits = *limits;
    pool->allocator = allocator;
    pool->owner = wiped ? wiped : &pool->own_word;
    pool->wiped = wiped != NULL;
    pool->slots = memory_zero(allocator, capacity(pool) * sizeof *pool->slots);
    pool->idle = memory_zero(allocator, capacity(pool) * sizeof(struct slot *));
    if (!pool->slots || !pool->idle) {
        pool_free(pool);
        return LIBCACHE_ENOMEM;
    }
    for (size_t i = 0; i < capacity(pool); i++)
        pool->slots[i].fd = -1;
    take_over(pool);
    store_release(pool->owner, my_word(pool));
    return LIBCACHE_OK;
}

void pool_free(struct pool *pool)
{
    if (pool->slots && pool->idle) {
        pool_drop(pool); /* in a child that has not used it: takes it over first */
        pthread_cond_destroy(&pool->freed);
        pthread_mutex_destroy(&pool->lock);
    }
    memory_free(pool->allocator, pool->slots);
    memory_free(pool->allocator, pool->idle);
    if (pool->wiped)
        wiped_word_free(pool->owner);
    memset(pool, 0, sizeof *pool);
}

/* ---- Slots. All under the lock --------------------------------------------------------------------------------- */

static struct slot *take_free(struct pool *pool)
{
    struct slot *slot = pool->slots;

    while (slot->state != SLOT_FREE)
        slot++;
    slot->connection = NULL;
    slot->reused = 0;
    slot->generation = pool->generation;
    store_release(&slot->state, SLOT_BUSY);
    pool->n_open++;
    return slot;
}

static void set_free(struct pool *pool, struct slot *slot)
{
    store_release(&slot->state, SLOT_FREE);
    pool->n_open--;
    if (pool->waiting)
        pthread_cond_signal(&pool->freed);
}

static void add_traffic(struct pool *pool, enum traffic which, uint64_t n)
{
    struct transport_stats *s = &pool->stats;
    uint64_t *const counters[] = { &s->connects, &s->timeouts,   &s->retries,      &s->bytes_out,
                                   &s->bytes_in, &s->pool_waits, &s->pool_refusals };

    *counters[which] += n;
    if (pool->counted && n)
        pool->counted(pool->counted_arg, which, n);
}

static void count_bytes(struct pool *pool, struct connection *connection)
{
    if (!connection)
        return;
    add_traffic(pool, TRAFFIC_SENT_BYTES, connection->bytes_out);
    add_traffic(pool, TRAFFIC_RECEIVED_BYTES, connection->bytes_in);
    connection->bytes_out = connection->bytes_in = 0;
}

/* The oldest idle slot, now BUSY, when there are more than pool_min and it is too old. */
static struct slot *take_old(struct pool *pool, uint64_t now_ms)
{
    struct slot *slot = pool->n_idle ? pool->idle[0] : NULL;

    if (!slot || pool->n_open - pool->n_leaving <= pool->limits.min ||
        now_ms < slot->idle_since_ms + pool->limits.idle_ms)
        return NULL;
    memmove(pool->idle, pool->idle + 1, --pool->n_idle * sizeof(struct slot *));
    store_release(&slot->state, SLOT_BUSY);
    return slot;
}

/* Called under the lock; closes a BUSY slot's connection without it, as close may take its time, and frees the slot. */
static void leave_and_retire(struct pool *pool, struct slot *slot)
{
    struct connection *connection = slot->connection;

    count_bytes(pool, connection);
    slot->connection = NULL;
    pool->n_leaving++;
    leave(pool);
    connection_close(connection);
    enter(pool);
    pool->n_leaving--;
    set_free(pool, slot);
    leave(pool);
}

static void retire(struct pool *pool, struct slot *slot)
{
    enter(pool);
    leave_and_retire(pool, slot);
}

/* Called under the lock; gives it back. */
static void leave_and_retire_old(struct pool *pool, uint64_t now_ms)
{
    struct slot *old = take_old(pool, now_ms);

    if (old)
        leave_and_retire(pool, old);
    else
        leave(pool);
}

static struct timespec time_of(uint64_t ns)
{
    return (struct timespec){ (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
}

/* Waits until there is an idle slot or room for one. 0: not in time. */
static int wait_for_slot(struct pool *pool, uint64_t deadline)
{
    uint64_t until = deadline_after_ms(pool->limits.wait_ms);
    struct timespec time = time_of(until < deadline ? until : deadline);
    int result = 0;

    add_traffic(pool, TRAFFIC_POOL_WAIT, 1);
    pool->waiting++;
    while (result == 0 && !pool->n_idle && pool->n_open >= capacity(pool))
        result = pthread_cond_timedwait(&pool->freed, &pool->lock, &time);
    pool->waiting--;
    if (pool->n_idle || pool->n_open < capacity(pool))
        return 1;
    add_traffic(pool, TRAFFIC_POOL_REFUSAL, 1);
    return 0;
}

static struct slot *take_any(struct pool *pool, uint64_t deadline)
{
    struct slot *slot;

    if (!pool->n_idle && pool->n_open >= capacity(pool) && !wait_for_slot(pool, deadline))
        return NULL;
    if (!pool->n_idle)
        return take_free(pool);
    slot = pool->idle[--pool->n_idle];
    slot->reused = 1;
    store_release(&slot->state, SLOT_BUSY);
    return slot;
}

int pool_checkout(struct pool *pool, struct slot **out, uint64_t deadline, uint64_t now_ms)
{
    for (int first = 1;; first = 0) {
        struct slot *slot;
        int suspicious, stale;
        enter(pool);
        slot = take_any(pool, deadline);
        if (!slot) {
            leave(pool);
            return LIBCACHE_EUNAVAILABLE;
        }
        pool->stats.exchanges += (unsigned)first;
        pool->retry_tenths += first && pool->retry_tenths < RETRY_SAVED_MAX;
        suspicious = slot->connection && (now_ms > slot->idle_since_ms + SUSPICIOUS_MS || slot->deaths != pool->deaths);
        stale = slot->connection && slot->generation != pool->generation;
        leave_and_retire_old(pool, now_ms);
        if (slot->connection && (stale || !connection_usable(slot->connection) ||
                                 (suspicious && !socket_is_quiet(*slot->connection->fd)))) {
            retire(pool, slot);
            continue;
        }
        *out = slot;
        return LIBCACHE_OK;
    }
}

void pool_checkin(struct pool *pool, struct slot *slot, uint64_t now_ms, uint64_t busy_ns)
{
    enter(pool);
    pool->stats.busy_ns += busy_ns;
    if (!slot->connection || !connection_usable(slot->connection) || slot->generation != pool->generation ||
        (pool->n_open - pool->n_leaving > pool->limits.max && !pool->waiting)) {
        leave_and_retire(pool, slot);
        return;
    }
    count_bytes(pool, slot->connection);
    slot->idle_since_ms = now_ms;
    slot->deaths = pool->deaths;
    pool->idle[pool->n_idle++] = slot;
    store_release(&slot->state, SLOT_IDLE);
    if (pool->waiting)
        pthread_cond_signal(&pool->freed);
    leave_and_retire_old(pool, now_ms);
}

void pool_replace(struct pool *pool, struct slot *slot)
{
    struct connection *connection = slot->connection;

    enter(pool);
    count_bytes(pool, connection);
    pool->deaths++;
    slot->connection = NULL;
    slot->reused = 0;
    slot->generation = pool->generation;
    leave(pool);
    connection_close(connection);
}

void pool_drop(struct pool *pool)
{
    struct slot *slot;

    enter(pool);
    pool->generation++; /* first, so that what comes back meanwhile is closed too */
    leave(pool);
    do {
        enter(pool);
        slot = pool->n_idle ? pool->idle[--pool->n_idle] : NULL;
        if (slot) {
            store_release(&slot->state, SLOT_BUSY);
            leave_and_retire(pool, slot);
        } else {
            leave(pool);
        }
    } while (slot);
}

/* ---- Counting -------------------------------------------------------------------------------------------------- */

int pool_may_retry(struct pool *pool)
{
    int may;

    enter(pool);
    may = pool->retry_tenths >= RETRY_COST;
    if (may) {
        pool->retry_tenths -= RETRY_COST;
        add_traffic(pool, TRAFFIC_RETRY, 1);
    }
    leave(pool);
    return may;
}

void pool_count(struct pool *pool, uint64_t *counter)
{
    enter(pool);
    ++*counter;
    leave(pool);
}

void pool_count_traffic(struct pool *pool, enum traffic which)
{
    enter(pool);
    add_traffic(pool, which, 1);
    leave(pool);
}

void pool_stats(struct pool *pool, struct transport_stats *out)
{
    enter(pool);
    *out = pool->stats;
    out->connections = (unsigned)pool->n_open;
    leave(pool);
}
