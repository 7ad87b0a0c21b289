/*
 * Floors: what may not be seen any more. SPDX-License-Identifier: MIT
 *
 * The common floor of a key must rise max_staleness + slack after each success, with bounded memory and writers that may
 * be killed at any instruction. Time is cut into slices; a ring of them keeps the highest version covered in each:
 *
 *     slices of time      ... | n-3 | n-2 | n-1 |  n  |          slices[n % SLICES] = n << 40 | version
 *                          ^ these are old enough  ^ now
 *
 * A slice that is about to be reused is older than twice max_staleness + slack; its version goes to `settled` first.
 */
#include "coherence/coherence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define VERSION_BITS 40
#define VERSION_MASK ((UINT64_C(1) << VERSION_BITS) - 1)

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t load_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

void store_word(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static int swap_word(uint64_t *word, uint64_t *expected, uint64_t wanted)
{
    return __atomic_compare_exchange_n(word, expected, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void raise_word(uint64_t *word, uint64_t to)
{
    uint64_t old = load_word(word);
    while (old < to && !swap_word(word, &old, to))
        ;
}

struct arena *arena_make(const struct settings *settings)
{
    size_t bytes = sizeof(struct arena) + settings->keys * sizeof(struct key_state);
    struct arena *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (arena == MAP_FAILED)
        return NULL;
    arena->settings = *settings;
    arena->begun_ns = now_ns();
    for (unsigned key = 0; key < settings->keys; key++)
        arena->keys[key].db = 1;
    return arena;
}

/* ---- Floors ------------------------------------------------------------------------------------------------ */

static uint64_t delay_ns(const struct arena *arena)
{
    return (uint64_t)(arena->settings.staleness_ms + arena->settings.slack_ms) * 1000000;
}

static uint64_t slice_of(const struct arena *arena, uint64_t at_ns)
{
    return (at_ns - arena->begun_ns) / (2 * delay_ns(arena) / SLICES);
}

static void cover(struct arena *arena, struct key_state *k, uint64_t version)
{
    uint64_t slice = slice_of(arena, now_ns()), wanted = slice << VERSION_BITS | version;
    uint64_t *word = &k->slices[slice % SLICES], old = load_word(word);

    raise_word(&k->acked, version);
    while (old < wanted) {
        if (old >> VERSION_BITS != slice)
            raise_word(&k->settled, old & VERSION_MASK);
        if (swap_word(word, &old, wanted))
            return;
    }
    if (old >> VERSION_BITS != slice) /* this process slept for a whole turn of the ring */
        raise_word(&k->settled, version);
}

void floors_raise(struct arena *arena, unsigned host, unsigned key, uint64_t version)
{
    struct key_state *k = &arena->keys[key];

    if (load_word(&k->own[host]) < version)
        store_word(&k->own_ns[host], now_ns());
    raise_word(&k->own[host], version);
    cover(arena, k, version);
}

static uint64_t common_floor(const struct arena *arena, const struct key_state *k, uint64_t begun_ns)
{
    uint64_t floor = load_word(&k->settled), old, limit;

    if (begun_ns - arena->begun_ns < delay_ns(arena))
        return 0;
    limit = slice_of(arena, begun_ns - delay_ns(arena));
    for (int i = 0; i < SLICES; i++) {
        old = load_word(&k->slices[i]);
        if (old >> VERSION_BITS < limit && (old & VERSION_MASK) > floor)
            floor = old & VERSION_MASK;
    }
    if (begun_ns < load_word(&arena->lenient_until_ns) && floor > load_word(&k->copied))
        floor = load_word(&k->copied);
    return floor;
}

struct floors floors_now(const struct arena *arena, unsigned host, unsigned key)
{
    const struct key_state *k = &arena->keys[key];
    struct floors floors = { now_ns(), 0, 0 };

    floors.own = load_word(&k->own[host]);
    floors.common = common_floor(arena, k, floors.begun_ns);
    return floors;
}

/*
 * G4's exception. When Redis comes back with an older copy, what was acknowledged after the copy is lost to it. A host that
 * had seen it knows (the counter is lower than one already seen) and begins a new epoch at its first contact, which ends
 * the matter for all. Until then a host that had not seen it can be given the copy's entries, and cannot know better. So for
 * LENIENT_MS after the copy is back, in which every host makes contact, the common floor is what was covered before the
 * copy was begun. Own floors stay as they are: a host knows what it has acknowledged itself.
 */
void floors_copy(struct arena *arena)
{
    for (unsigned key = 0; key < arena->settings.keys; key++)
        store_word(&arena->keys[key].copied, load_word(&arena->keys[key].acked));
}

void floors_be_lenient(struct arena *arena, unsigned ms)
{
    store_word(&arena->lenient_until_ns, now_ns() + (uint64_t)ms * 1000000);
}

/* ---- The right to write ------------------------------------------------------------------------------------- */

/*
 * Redis may do a set long after its sender has given up on it or has been killed: its bytes wait in a socket. If somebody
 * else wrote a newer version meanwhile, and that was done first, the old one would now be the last. So after a set that may
 * or may not be done the key gets no newer version for DOUBT_MS. Versions below are not in question: the set holds the
 * newest one. (An invalidation or a load that is done late does no harm, or libcache is to blame.)
 */
int key_lock(struct arena *arena, unsigned worker, unsigned key)
{
    struct key_state *k = &arena->keys[key];
    uint64_t nobody = 0;

    if (!swap_word(&k->owner, &nobody, worker + 1))
        return 0;
    if (load_word(&k->doubt_until_ns) <= now_ns())
        return 1;
    store_word(&k->owner, 0);
    return 0;
}

void key_unlock(struct arena *arena, unsigned key, int doubt)
{
    struct key_state *k = &arena->keys[key];

    if (doubt)
        store_word(&k->doubt_until_ns, now_ns() + (uint64_t)DOUBT_MS * 1000000);
    store_word(&k->owner, 0);
}

void keys_release_of(struct arena *arena, unsigned worker)
{
    for (unsigned key = 0; key < arena->settings.keys; key++)
        if (load_word(&arena->keys[key].owner) == worker + 1)
            key_unlock(arena, key, 1);
}

/* ---- Histories and violations ---------------------------------------------------------------------------------- */

void note(struct history *history, const struct arena *arena, unsigned worker, enum event_type type, uint64_t version,
          int64_t more)
{
    struct event *event;

    if (load_word(&arena->violation.taken))
        return; /* keep what led to it */
    event = &history->events[__atomic_fetch_add(&history->next, 1, __ATOMIC_RELAXED) % EVENTS];
    event->at_ns = now_ns();
    event->version = version;
    event->more = more;
    event->type = (uint16_t)type;
    event->worker = (uint16_t)worker;
}

void violate_versions(struct arena *arena, const char *rule, unsigned key, uint64_t given, uint64_t wanted,
                      const char *format, ...)
{
    struct violation *v = &arena->violation;
    uint64_t nobody = 0;
    va_list args;

    if (!swap_word(&v->taken, &nobody, 1))
        return;
    v->at_ns = now_ns();
    v->key = key;
    v->given = given;
    v->wanted = wanted;
    snprintf(v->rule, sizeof v->rule, "%s", rule);
    va_start(args, format);
    vsnprintf(v->text, sizeof v->text, format, args);
    va_end(args);
    store_word(&v->complete, 1);
    store_word(&arena->stop, 1);
}

/* ---- How long news takes ------------------------------------------------------------------------------------------ */

/* Four buckets for each doubling, from a microsecond. */
static unsigned bucket_of(uint64_t us)
{
    unsigned power = us < 4 ? 2 : 63 - (unsigned)__builtin_clzll(us);
    unsigned bucket = us < 4 ? (unsigned)us : (power - 1) * 4 + (unsigned)(us >> (power - 2) & 3);
    return bucket < LAGS ? bucket : LAGS - 1;
}

static double bucket_end_ms(unsigned bucket)
{
    unsigned power = bucket / 4 + 1;
    return bucket < 4 ? (bucket + 1) / 1e3 : (double)((UINT64_C(5) + bucket % 4) << (power - 2)) / 1e3;
}

void lags_add(struct arena *arena, uint64_t ns, int stale)
{
    __atomic_fetch_add(&arena->lags[bucket_of(ns / 1000)], 1, __ATOMIC_RELAXED);
    if (stale)
        __atomic_fetch_add(&arena->lags_stale, 1, __ATOMIC_RELAXED);
}

double lags_percentile(const struct arena *arena, double percent)
{
    uint64_t all = 0, sum = 0;

    for (unsigned i = 0; i < LAGS; i++)
        all += arena->lags[i];
    for (unsigned i = 0; i < LAGS; i++) {
        sum += arena->lags[i];
        if (sum && (double)sum >= (double)all * percent / 100)
            return bucket_end_ms(i);
    }
    return 0;
}
