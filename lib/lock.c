/*
 * Locks and rates for applications. SPDX-License-Identifier: MIT
 *
 * With a Redis tier Redis is the arbiter, and a lock that is given back wakes who waits on other hosts by a name in the log, which their
 * listener hands on; without one, the segment is. Either way who waits sleeps on the lock's place in the table of flights
 * (l1/flights.c), until news or the lock's own end.
 */
#include "cache.h"

#include "l1/flights.h"

#include <string.h>

#define LOOK_MS 100  /* how often who waits looks by himself: news from another host may be late, or lost with Redis */

/* Names that no namespace of a user can have. */
#define LOCK_SPACE "\001lock"
#define RATE_SPACE "\001rate"

struct lock {
    libcache *cache;
    struct l1_key key;
    struct l2_lock l2;
};

void random_owner(libcache *cache, char *owner)
{
    for (size_t i = 0; i < L2_OWNER_BYTES; i += 16) {
        uint64_t n = cache_random(cache);
        for (size_t j = 0; j < 16; j++, n >>= 4)
            owner[i + j] = "0123456789abcdef"[n & 15];
    }
}

/* Checks a call. OK, EINVAL, EACCESS, EKEY, EBUSY or ENAME. */
static int begin(struct lock *lock, libcache *cache, const char *space, const void *name, size_t size)
{
    uint64_t grace_ms = 0;
    uint32_t id = 0;
    int result;

    if (!cache)
        return LIBCACHE_EINVAL;
    if (may_write(cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (!key_ok(name, size))
        return LIBCACHE_EKEY;
    result = l1_space(&cache->l1, space, 0, &grace_ms, &id);
    if (result != LIBCACHE_OK)
        return result == LIBCACHE_ENAME ? LIBCACHE_EBUSY : result;
    memset(lock, 0, sizeof *lock);
    lock->cache = cache;
    lock->key = l1_key_of(&cache->l1, id, name, size);
    lock->l2.name = (struct l2_key){ { space, strlen(space) }, { name, size } };
    return LIBCACHE_OK;
}

static int owner_ok(const libcache_owner *owner)
{
    return owner && memchr(owner->text, '\0', sizeof owner->text) == owner->text + L2_OWNER_BYTES;
}

/* One step in Redis. */
static int step(const struct lock *lock, enum l2_lock_step what, struct l2_lock_state *state)
{
    libcache *cache = lock->cache;
    struct operation operation = measure(cache, "lock", NULL, lock->key.data, lock->key.size);
    struct asked asked;
    libcache_stamp at;
    int result;

    coherence_notice_fork(cache->coherence);
    asked = coherence_ask(cache->coherence);
    result = l2_lock(coherence_l2(cache->coherence), &lock->l2, what, state, deadline_after_ms(cache->timeout_ms));
    if (result >= 0)
        coherence_learn(cache->coherence, &state->now, &asked, 0, &at);
    else
        count_in(cache, COUNT_L2_ERROR, 1);
    measure_end(&operation, result);
    return result;
}

/* OK, EXISTS (*left_ms: until its end), or an error. */
static int try_take(const struct lock *lock, uint64_t *left_ms)
{
    struct l2_lock_state state;
    char owner[L2_OWNER_BYTES];
    int result;

    if (lock->cache->coherence) {
        result = step(lock, L2_LOCK_TAKE, &state);
        *left_ms = state.left_ms;
        return result;
    }
    result = flight_lock(&lock->cache->l1, &lock->key, lock->l2.owner, lock->l2.ttl_ms);
    if (result == LIBCACHE_EXISTS && flight_lock_look(&lock->cache->l1, &lock->key, owner, left_ms) != LIBCACHE_OK)
        *left_ms = 0;
    return result;
}

/* Checks a call that takes a lock. text: L2_OWNER_BYTES, in whose name, for as long as the lock is asked for. */
static int begin_taking(struct lock *lock, libcache *cache, const void *name, size_t size, const libcache_owner *owner, uint64_t ttl_ms,
                        char *text)
{
    int result = begin(lock, cache, LOCK_SPACE, name, size);

    if (result != LIBCACHE_OK)
        return result;
    if (!owner || !ttl_ms || ttl_ms > LIBCACHE_TTL_MAX_MS || (owner->text[0] && !owner_ok(owner)))
        return LIBCACHE_EINVAL;
    if (owner->text[0])
        memcpy(text, owner->text, L2_OWNER_BYTES);
    else
        random_owner(cache, text);
    lock->l2.owner = text;
    lock->l2.ttl_ms = ttl_ms;
    return LIBCACHE_OK;
}

static int end_taking(int result, const char *text, libcache_owner *owner)
{
    if (result == LIBCACHE_OK) {
        memcpy(owner->text, text, L2_OWNER_BYTES);
        owner->text[L2_OWNER_BYTES] = '\0';
    }
    return result;
}

/* When who waits looks by himself, at the latest. */
static uint64_t look_at(uint64_t left_ms)
{
    return deadline_after_ms(left_ms < LOOK_MS ? left_ms + 1 : LOOK_MS);
}

int libcache_lock_take(libcache *cache, const void *name, size_t name_size, libcache_owner *owner, uint64_t ttl_ms,
                       unsigned wait_ms)
{
    uint64_t deadline = deadline_after_ms(wait_ms), left_ms = 0;
    char text[L2_OWNER_BYTES];
    struct flight_ref place;
    struct lock lock;
    int result = begin_taking(&lock, cache, name, name_size, owner, ttl_ms, text), watching;

    if (result != LIBCACHE_OK)
        return result;
    watching = wait_ms && flight_watch(&cache->l1, &lock.key, &place);
    for (;;) {
        uint32_t seen = watching ? flight_nudges(&cache->l1, &place) : 0;
        uint64_t now, until;
        result = try_take(&lock, &left_ms);
        now = deadline_after_ms(0);
        if (result != LIBCACHE_EXISTS || now >= deadline)
            break;
        until = look_at(left_ms);
        flight_wait_nudge(&cache->l1, watching ? &place : NULL, seen, until < deadline ? until : deadline);
    }
    return end_taking(result, text, owner);
}

/* `seen` of who waits: the place, plus one, above the news. 0: there is no place. */
static uint64_t seen_at(const struct l1 *l1, const struct flight_ref *place)
{
    return (uint64_t)(place->slot + 1) << 32 | flight_nudges(l1, place);
}

/* Nothing has come since this was seen, and what comes will be told. */
static int is_quiet(const libcache *cache, uint64_t seen)
{
    const struct flight_ref place = { .slot = (uint32_t)(seen >> 32) - 1 };

    if (!seen)
        return 1;
    return place.slot < cache->l1.layout.flights && seen_at(&cache->l1, &place) == seen &&
           (cache->waker.fd < 0 || flight_tells(&cache->l1, &place, cache->waker.place));
}

int libcache_lock_try(libcache *cache, const void *name, size_t name_size, libcache_owner *owner, uint64_t ttl_ms,
                      libcache_lock_wait *wait)
{
    char text[L2_OWNER_BYTES];
    struct flight_ref place;
    uint64_t left_ms = 0;
    struct lock lock;
    int result;

    if (!cache || !wait)
        return LIBCACHE_EINVAL;
    if (wait->look_ns && deadline_after_ms(0) < wait->look_ns && is_quiet(cache, wait->seen))
        return LIBCACHE_WAIT;
    result = begin_taking(&lock, cache, name, name_size, owner, ttl_ms, text);
    if (result != LIBCACHE_OK)
        return result;
    memset(wait, 0, sizeof *wait);
    if (flight_watch(&cache->l1, &lock.key, &place)) { /* before it is asked for: what comes after that is told */
        if (cache->waker.fd >= 0)
            flight_tell(&cache->l1, &place, cache->waker.place);
        wait->seen = seen_at(&cache->l1, &place);
    }
    result = try_take(&lock, &left_ms);
    if (result != LIBCACHE_EXISTS)
        return end_taking(result, text, owner);
    wait->look_ns = look_at(left_ms);
    return LIBCACHE_WAIT;
}

/* keep, free and break: ttl_ms 0: free. */
static int change(libcache *cache, const void *name, size_t name_size, const libcache_owner *owner, uint64_t ttl_ms,
                  enum l2_lock_step what)
{
    static const char nobody[L2_OWNER_BYTES];
    struct l2_lock_state state;
    struct lock lock;
    int result = begin(&lock, cache, LOCK_SPACE, name, name_size), otherwise = what == L2_LOCK_BREAK ? LIBCACHE_MISS : LIBCACHE_ELOST;

    if (result != LIBCACHE_OK)
        return result;
    if (what != L2_LOCK_BREAK && !owner_ok(owner))
        return LIBCACHE_EINVAL;
    lock.l2.owner = owner ? owner->text : nobody;
    lock.l2.ttl_ms = ttl_ms;
    if (cache->coherence) {
        result = step(&lock, what, &state);
        if (result == LIBCACHE_OK && what != L2_LOCK_KEEP)
            flight_nudge(&cache->l1, &lock.key); /* our own host need not wait for the log */
        return result == LIBCACHE_EXISTS ? otherwise : result;
    }
    result = flight_relock(&cache->l1, &lock.key, owner ? owner->text : NULL, ttl_ms);
    return result == LIBCACHE_MISS ? otherwise : result;
}

int libcache_lock_keep(libcache *cache, const void *name, size_t name_size, const libcache_owner *owner, uint64_t ttl_ms)
{
    if (!ttl_ms || ttl_ms > LIBCACHE_TTL_MAX_MS)
        return LIBCACHE_EINVAL;
    return change(cache, name, name_size, owner, ttl_ms, L2_LOCK_KEEP);
}

int libcache_lock_free(libcache *cache, const void *name, size_t name_size, const libcache_owner *owner)
{
    return change(cache, name, name_size, owner, 0, L2_LOCK_FREE);
}

int libcache_lock_break(libcache *cache, const void *name, size_t name_size)
{
    return change(cache, name, name_size, NULL, 0, L2_LOCK_BREAK);
}

int libcache_lock_owner(libcache *cache, const void *name, size_t name_size, libcache_owner *owner, uint64_t *left_ms)
{
    static const char nobody[L2_OWNER_BYTES];
    struct l2_lock_state state;
    struct lock lock;
    int result = begin(&lock, cache, LOCK_SPACE, name, name_size);

    if (result != LIBCACHE_OK)
        return result;
    if (!owner)
        return LIBCACHE_EINVAL;
    lock.l2.owner = nobody;
    if (cache->coherence)
        result = step(&lock, L2_LOCK_LOOK, &state);
    else
        result = flight_lock_look(&cache->l1, &lock.key, state.owner, &state.left_ms);
    if (result == LIBCACHE_OK) {
        memcpy(owner->text, state.owner, L2_OWNER_BYTES);
        owner->text[L2_OWNER_BYTES] = '\0';
        if (left_ms)
            *left_ms = state.left_ms;
    }
    return result == LIBCACHE_EXISTS ? LIBCACHE_MISS : result;
}

/* ---- Rates ----------------------------------------------------------------------------------------------------------- */

/* In L1, with a counter that ends with the window. */
static int hit_here(const struct lock *rate, uint64_t window_ms, uint64_t *hits, uint64_t *left_ms)
{
    struct l1 *l1 = &rate->cache->l1;
    struct l1_item item;
    int64_t n = 0;
    int result;

    memset(&item, 0, sizeof item);
    item.since.position = l1_position(l1);
    item.ttl_ms = window_ms;
    result = l1_add_number(l1, &rate->key, 1, 0, &item, &n, 0);
    if (result != LIBCACHE_OK)
        return result;
    *hits = (uint64_t)n;
    if (l1_ttl_left(l1, &rate->key, left_ms, 0) != LIBCACHE_OK)
        *left_ms = window_ms;
    return LIBCACHE_OK;
}

int libcache_rate_hit(libcache *cache, const void *name, size_t name_size, uint64_t limit, uint64_t window_ms, libcache_rate *rate)
{
    uint64_t hits = 0, left_ms = 0;
    struct lock lock;
    int result = begin(&lock, cache, RATE_SPACE, name, name_size);

    if (result != LIBCACHE_OK)
        return result;
    if (!window_ms || window_ms > LIBCACHE_TTL_MAX_MS)
        return LIBCACHE_EINVAL;
    if (cache->coherence) {
        struct operation operation = measure(cache, "rate", NULL, name, name_size);
        coherence_notice_fork(cache->coherence);
        result = l2_rate(coherence_l2(cache->coherence), &lock.l2.name, window_ms, &hits, &left_ms,
                         deadline_after_ms(cache->timeout_ms));
        if (result != LIBCACHE_OK)
            count_in(cache, COUNT_L2_ERROR, 1);
        measure_end(&operation, result);
    }
    if (!cache->coherence || result != LIBCACHE_OK) {
        result = hit_here(&lock, window_ms, &hits, &left_ms);
        if (result != LIBCACHE_OK)
            return result;
    }
    if (rate)
        *rate = (libcache_rate){ hits, hits < limit ? limit - hits : 0, left_ms };
    return hits <= limit ? LIBCACHE_OK : LIBCACHE_LIMITED;
}
