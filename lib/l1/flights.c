/*
 * Single flight among all threads and processes of a segment. SPDX-License-Identifier: MIT
 *
 *      slot:  | key hash | word: number 28, end 4 | owner: pid, start | lease until | not before | nudges |
 *
 *      nobody  -- begin -->  flying  -- end -->  stored, not stored, fenced, failed, elsewhere  -- begin -->  flying (next number)
 *                              |                                 (what it was is kept for those who wait; "failed" and "elsewhere" for
 *                              |                                 those who come, for a while)
 *                              +-- lease over, or owner dead: the next who begins takes it over (next number)
 *
 * A key has a few slots where its flight may be, by its hash. Slots are taken and ended under flights_lock, a robust lock that is held for
 * some tens of instructions; a killed owner leaves at worst a slot half taken: the word says first that what was there is over, then
 * the fields are written, and last the word says "flying". So it looks like a flight that has ended. Waiters sleep on the word (futex, shared between processes): the leader's end is one
 * store and one wake. They look after the leader twenty times a second as well, since a killed one wakes nobody.
 *
 * A leader that was taken for dead and comes back finds another number in the word: what it does to the slot then is nothing.
 */
#define _GNU_SOURCE
#include "l1/flights.h"

#include "base/process.h"
#include "l1/hook.h"
#include "l1/lock.h"
#include "l1/wakers.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROBES 8u
#define LOOK_AFTER_NS UINT64_C(50000000)
#define END_BITS 4u
#define END_MASK ((1u << END_BITS) - 1)

static uint32_t word_next(uint32_t word)
{
    return ((word >> END_BITS) + 1) << END_BITS; /* FLIGHT_FLYING is 0 */
}

static enum flight_end word_end(uint32_t word)
{
    return (enum flight_end)(word & END_MASK);
}

static void wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Threads that sleep on the word, and event loops. */
static void wake_all(const struct l1 *l1, struct flight *f)
{
    wake(&f->word);
    if (__atomic_load_n(&f->waiting, __ATOMIC_SEQ_CST))
        wakers_wake(l1, __atomic_exchange_n(&f->waiting, 0, __ATOMIC_ACQ_REL));
}

static int is_alive(const struct l1 *l1, const struct flight *f)
{
    uint32_t self = (uint32_t)getpid();

    /* Our own number: we, or who had it before us. In a container that begins anew all have the same numbers again. */
    if (load_relaxed(&f->pid) == self && load_acquire(&l1->start_pid) == self) {
        uint64_t start = load_relaxed(&f->start), own = load_relaxed(&l1->start);
        return !start || !own || start == own;
    }
    return process_lives((pid_t)load_relaxed(&f->pid), load_relaxed(&f->start));
}

/* Under flights_lock. */
static struct flight *find(struct l1 *l1, uint64_t key, uint64_t now, int for_new)
{
    uint32_t n = l1->layout.flights;
    struct flight *best = NULL;

    for (uint32_t i = 0; i < PROBES; i++) {
        struct flight *f = &l1->flights[(key + i) % n];
        int flying = word_end(load_relaxed(&f->word)) == FLIGHT_FLYING && load_relaxed(&f->key);
        if (load_relaxed(&f->key) == key)
            return f;
        if (flying && now < load_relaxed(&f->until_ms))
            continue;
        /* Free before ended, ended before kept for backoff. */
        if (!best || !load_relaxed(&f->key) || (load_relaxed(&best->key) && load_relaxed(&f->not_before_ms) < load_relaxed(&best->not_before_ms)))
            best = f;
    }
    return for_new ? best : NULL;
}

/* A key's number in the table: never 0. */
static uint64_t key_number(const struct l1_key *key)
{
    return key->hash ? key->hash : 1;
}

/* Looks when this process began, once. Before the lock: it reads a file. */
static void note_start(struct l1 *l1)
{
    uint32_t pid = (uint32_t)getpid();

    if (load_acquire(&l1->start_pid) != pid) { /* racy, and the same for all threads */
        store_relaxed(&l1->start, process_start((pid_t)pid));
        store_release(&l1->start_pid, pid);
    }
}

static void take(struct l1 *l1, struct flight *f, uint64_t key, uint64_t until_ms)
{
    uint32_t next = word_next(load_relaxed(&f->word));

    store_release(&f->word, next | FLIGHT_FENCED); /* who had it, and is only late, can no more end it in another key's name */
    store_relaxed(&f->pid, (uint32_t)getpid());
    store_relaxed(&f->start, load_relaxed(&l1->start));
    store_relaxed(&f->until_ms, until_ms);
    store_relaxed(&f->not_before_ms, 0);
    store_release(&f->key, key);
    hook(HOOK_FLIGHT_TAKEN);
    store_release(&f->word, next);
    wake_all(l1, f); /* who waited for a dead leader, or for another key that had this slot */
}

/* dead: a flight whose leader was found dead, or NULL. */
static enum flight_role begin(struct l1 *l1, const struct l1_key *key, uint64_t lease_ms, int has_old,
                              const struct flight_ref *dead, struct flight_ref *ref)
{
    enum flight_role role = FLIGHT_LEAD;
    uint64_t number = key_number(key), now = l1_now(l1);
    uint32_t before = 0;
    int died = 0, inherits = 0;
    struct flight *f;

    if (lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return FLIGHT_NONE;
    f = find(l1, number, now, 1);
    if (!f) {
        role = FLIGHT_NONE;
    } else if (load_relaxed(&f->key) == number) {
        uint32_t word = load_relaxed(&f->word);
        inherits = word_end(word) == FLIGHT_FLYING;
        if (inherits && !broken(GUARD_FLIGHT) && guard(GUARD_FLIGHT_LEASE, now < load_relaxed(&f->until_ms)) &&
            !(dead && dead->slot == (uint32_t)(f - l1->flights) && dead->word == word))
            role = FLIGHT_WAIT;
        else if ((word_end(word) == FLIGHT_FAILED || (word_end(word) == FLIGHT_ELSEWHERE && has_old)) &&
                 now < load_relaxed(&f->not_before_ms))
            role = FLIGHT_BACKOFF;
        before = word;
    }
    if (f && role == FLIGHT_LEAD) {
        if (!inherits)
            memset(f->owner, 0, sizeof f->owner);
        take(l1, f, number, now + lease_ms);
    }
    if (f)
        *ref = (struct flight_ref){ (uint32_t)(f - l1->flights), load_relaxed(&f->word), before };
    lock_give(&l1->head->flights_lock);
    return role;
}

uint32_t flight_seen(const struct l1 *l1, const struct l1_key *key)
{
    uint64_t number = key_number(key);

    for (uint32_t i = 0; i < PROBES && l1->layout.flights; i++) {
        const struct flight *f = &l1->flights[(number + i) % l1->layout.flights];
        uint32_t word = load_acquire(&f->word);
        if (load_acquire(&f->key) == number)
            return word;
    }
    return 0;
}

enum flight_role flight_begin(struct l1 *l1, const struct l1_key *key, uint64_t lease_ms, int has_old, struct flight_ref *ref)
{
    struct flight_ref dead;
    enum flight_role role;

    if (!l1->layout.flights)
        return FLIGHT_NONE;
    l1_notice_fork(l1);
    note_start(l1);
    role = begin(l1, key, lease_ms, has_old, NULL, ref);
    while (role == FLIGHT_WAIT && !is_alive(l1, &l1->flights[ref->slot])) { /* looked at without the lock: the word tells whose it was */
        dead = *ref;
        role = begin(l1, key, lease_ms, has_old, &dead, ref);
    }
    return role;
}

void flight_owner(struct l1 *l1, const struct flight_ref *ref, char *owner)
{
    struct flight *f = &l1->flights[ref->slot];
    int died = 0;

    if (lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return;
    if (load_relaxed(&f->word) == ref->word) {
        if (f->owner[0])
            memcpy(owner, f->owner, sizeof f->owner);
        else
            memcpy(f->owner, owner, sizeof f->owner);
    }
    lock_give(&l1->head->flights_lock);
}

int flight_extend(struct l1 *l1, const struct flight_ref *ref, uint64_t lease_ms)
{
    struct flight *f = &l1->flights[ref->slot];
    uint64_t now = l1_now(l1);
    int died = 0, ours;

    if (lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return 1;
    ours = load_relaxed(&f->word) == ref->word;
    if (ours)
        store_relaxed(&f->until_ms, now + lease_ms);
    lock_give(&l1->head->flights_lock);
    return ours;
}

void flight_end(struct l1 *l1, const struct flight_ref *ref, enum flight_end how, uint64_t pause_ms)
{
    struct flight *f = &l1->flights[ref->slot];
    uint32_t word = ref->word;

    if ((how == FLIGHT_FAILED || how == FLIGHT_ELSEWHERE) && pause_ms) {
        uint64_t now = l1_now(l1);
        int died = 0;
        if (lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) == LIBCACHE_OK) {
            if (load_relaxed(&f->word) == word)
                store_relaxed(&f->not_before_ms, now + pause_ms);
            lock_give(&l1->head->flights_lock);
        }
    }
    if (broken(GUARD_FLIGHT_END))
        word = load_relaxed(&f->word);
    if (__atomic_compare_exchange_n(&f->word, &word, word | (uint32_t)how, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        wake_all(l1, f);
}

int flight_ended(struct l1 *l1, const struct flight_ref *ref, enum flight_end *how)
{
    struct flight *f = &l1->flights[ref->slot];
    uint32_t word = load_acquire(&f->word);

    *how = FLIGHT_FLYING;
    if (word >> END_BITS != ref->word >> END_BITS) {
        *how = FLIGHT_FENCED; /* it ended, and another one has begun: look again */
        return 1;
    }
    *how = word_end(word);
    return *how != FLIGHT_FLYING || !guard(GUARD_FLIGHT_LEASE, l1_now(l1) < load_relaxed(&f->until_ms)) || !is_alive(l1, f);
}

int flight_tell(struct l1 *l1, const struct flight_ref *ref, unsigned waker)
{
    enum flight_end how;

    __atomic_fetch_or(&l1->flights[ref->slot].waiting, UINT64_C(1) << waker, __ATOMIC_SEQ_CST);
    return !flight_ended(l1, ref, &how); /* looked at after the bit was set: whoever ends it later sees the bit */
}

int flight_tells(const struct l1 *l1, const struct flight_ref *ref, unsigned waker)
{
    return __atomic_load_n(&l1->flights[ref->slot].waiting, __ATOMIC_SEQ_CST) >> waker & 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Sleeps while the word has this value, until the deadline. */
static void sleep_on(uint32_t *word, uint32_t value, uint64_t now, uint64_t deadline)
{
    struct timespec pause;

    if (now >= deadline)
        return;
    pause.tv_sec = (time_t)((deadline - now) / UINT64_C(1000000000));
    pause.tv_nsec = (long)((deadline - now) % UINT64_C(1000000000));
    syscall(SYS_futex, word, FUTEX_WAIT, value, &pause, NULL, 0);
}

uint32_t flight_nudges(const struct l1 *l1, const struct flight_ref *ref)
{
    return load_acquire(&l1->flights[ref->slot].nudges);
}

void flight_wait_nudge(struct l1 *l1, const struct flight_ref *ref, uint32_t seen, uint64_t deadline)
{
    uint32_t nothing = 0;

    if (ref)
        sleep_on(&l1->flights[ref->slot].nudges, seen, now_ns(), deadline);
    else
        sleep_on(&nothing, 0, now_ns(), deadline);
}

int flight_wait(struct l1 *l1, const struct flight_ref *ref, uint64_t deadline, enum flight_end *how)
{
    struct flight *f = &l1->flights[ref->slot];

    for (;;) {
        uint64_t now = now_ns();
        if (flight_ended(l1, ref, how))
            return 1;
        if (!guard(GUARD_WAIT, now < deadline))
            return 0;
        sleep_on(&f->word, ref->word, now, deadline - now < LOOK_AFTER_NS ? deadline : now + LOOK_AFTER_NS);
    }
}

/* Wakes threads that wait for news; gives the event loops that are to be woken when the lock is given back. */
static uint64_t nudge(struct flight *f)
{
    __atomic_fetch_add(&f->nudges, 1, __ATOMIC_SEQ_CST);
    wake(&f->nudges);
    return __atomic_load_n(&f->waiting, __ATOMIC_SEQ_CST); /* left there: who waits for the end goes on waiting */
}

void flight_nudge(struct l1 *l1, const struct l1_key *key)
{
    struct flight *f;
    uint64_t now = l1_now(l1), waiting = 0;
    int died = 0;

    if (!l1->layout.flights || lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return;
    f = find(l1, key_number(key), now, 0);
    if (f)
        waiting = nudge(f);
    lock_give(&l1->head->flights_lock);
    wakers_wake(l1, waiting);
}

/* ---- Locks --------------------------------------------------------------------------------------------------------------- */

/* 1: the table's lock is ours; *now is read before, for the host's clock is not called under a lock. */
static int enter(struct l1 *l1, uint64_t *now)
{
    int died = 0;

    l1_notice_fork(l1);
    note_start(l1);
    *now = l1_now(l1);
    return lock_take(&l1->head->flights_lock, l1->lock_wait_ms, &died) == LIBCACHE_OK;
}

static int is_locked(const struct flight *f, uint64_t now)
{
    return word_end(load_relaxed(&f->word)) == FLIGHT_FLYING && now < load_relaxed(&f->until_ms);
}

int flight_lock(struct l1 *l1, const struct l1_key *key, const char *owner, uint64_t ttl_ms)
{
    struct flight *f;
    uint64_t now;
    int result = LIBCACHE_EBUSY;

    if (!enter(l1, &now))
        return result;
    f = find(l1, key_number(key), now, 1);
    if (f && load_relaxed(&f->key) == key_number(key) && is_locked(f, now) && memcmp(f->owner, owner, sizeof f->owner) != 0) {
        result = LIBCACHE_EXISTS;
    } else if (f) {
        memcpy(f->owner, owner, sizeof f->owner);
        take(l1, f, key_number(key), now + ttl_ms);
        result = LIBCACHE_OK;
    }
    lock_give(&l1->head->flights_lock);
    return result;
}

int flight_relock(struct l1 *l1, const struct l1_key *key, const char *owner, uint64_t ttl_ms)
{
    struct flight *f;
    uint64_t now, waiting = 0;
    int result = LIBCACHE_MISS;

    if (!enter(l1, &now))
        return LIBCACHE_EBUSY;
    f = find(l1, key_number(key), now, 0);
    if (f && is_locked(f, now) && (!owner || memcmp(f->owner, owner, sizeof f->owner) == 0)) {
        result = LIBCACHE_OK;
        if (ttl_ms) {
            store_relaxed(&f->until_ms, now + ttl_ms);
        } else {
            store_release(&f->word, load_relaxed(&f->word) | FLIGHT_STORED);
            waiting = nudge(f);
        }
    }
    lock_give(&l1->head->flights_lock);
    wakers_wake(l1, waiting);
    return result;
}

int flight_lock_look(struct l1 *l1, const struct l1_key *key, char *owner, uint64_t *left_ms)
{
    struct flight *f;
    uint64_t now;
    int result = LIBCACHE_MISS;

    if (!enter(l1, &now))
        return LIBCACHE_EBUSY;
    f = find(l1, key_number(key), now, 0);
    if (f && is_locked(f, now)) {
        memcpy(owner, f->owner, sizeof f->owner);
        *left_ms = load_relaxed(&f->until_ms) - now;
        result = LIBCACHE_OK;
    }
    lock_give(&l1->head->flights_lock);
    return result;
}

int flight_watch(struct l1 *l1, const struct l1_key *key, struct flight_ref *ref)
{
    struct flight *f;
    uint64_t now;

    if (!enter(l1, &now))
        return 0;
    f = find(l1, key_number(key), now, 1);
    if (f && load_relaxed(&f->key) != key_number(key)) {
        store_relaxed(&f->not_before_ms, 0);
        store_release(&f->key, key_number(key));
        store_release(&f->word, word_next(load_relaxed(&f->word)) | FLIGHT_STORED);
        wake(&f->word);
    }
    if (f)
        *ref = (struct flight_ref){ (uint32_t)(f - l1->flights), load_relaxed(&f->word), 0 };
    lock_give(&l1->head->flights_lock);
    return f != NULL;
}
