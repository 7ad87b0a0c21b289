/* The public calls that read: checks, the order of tiers, and nothing else. SPDX-License-Identifier: MIT */
#include "cache.h"

#include "base/hash_inline.h"
#include "base/options.h"
#include "l1/hit.h"

#include <limits.h>

#define BATCH 32 /* keys whose memory get_many has under way at once */

/* Hits of a thread: after one of so many, the next get is timed, and it is looked whether there is a trace. Powers of two. */
#define TIMED_EVERY 4096
#define LOOK_EVERY 256

static __attribute__((noinline)) int count_hit_first(libcache_ns *ns, int result)
{
    counters_add_first(&ns->cache->counters, ns->id, COUNT_HIT, 1);
    trace_look(ns); /* a thread for whom there is no place to count at comes by here only */
    return result;
}

/* So that all other hits need not: whether gets are to be timed or traced. */
static __attribute__((noinline)) int look_round(libcache_ns *ns, int result, uint64_t hits)
{
    if (!(hits % TIMED_EVERY))
        __atomic_fetch_or(&ns->view.lean, VIEW_TIMED, __ATOMIC_RELAXED);
    trace_look(ns);
    return result;
}

/* At the end of a hit in L1, whose result is given back. No clock, no atomics, no call: see metrics/counters.h. */
static force_inline int count_hit(libcache_ns *ns, int result)
{
    uintptr_t self = (uintptr_t)__builtin_thread_pointer();
    const struct seat *seat = &ns->seats[COUNTER_HASH(self)];

    if (unlikely(load_relaxed(&seat->owner) != self))
        return count_hit_first(ns, result);
    add_own(&seat->count[COUNT_HIT], 1);
    if (unlikely(!(load_relaxed(&seat->count[COUNT_HIT]) % LOOK_EVERY)))
        return look_round(ns, result, load_relaxed(&seat->count[COUNT_HIT]));
    return result;
}

static __attribute__((noinline)) int count_other(libcache_ns *ns, int result, enum miss why)
{
    count_read(ns, result, LIBCACHE_TIER_L1, why);
    trace_look(ns);
    return result;
}

/* The same at the end of any read that L1 answered. */
static force_inline int count_here(libcache_ns *ns, int result, enum miss why)
{
    return likely(result == LIBCACHE_HIT) ? count_hit(ns, result) : count_other(ns, result, why);
}

void libcache_release_value(libcache_value *value)
{
    if (!value)
        return;
    if (value->owner)
        memory_free(value->owner, value->data);
    value->data = NULL;
    value->size = value->capacity = 0;
    value->owner = NULL;
}

/* Whether this call may ask Redis when L1 has nothing. */
static force_inline int goes_to_redis(const libcache_ns *ns, unsigned flags)
{
    return ns->cache->coherence && (ns->tiers & LIBCACHE_TIER_L2) && !(flags & LIBCACHE_SKIP_L2);
}

/* L1 has nothing: what Redis says. */
static __attribute__((noinline)) int get_further(libcache_ns *ns, const struct l1_key *key, libcache_value *value,
                                                 uint64_t *ttl_left_ms, enum miss *why, unsigned flags,
                                                 uint64_t deadline)
{
    struct remote_key k = { .l1 = *key, .value = value, .result = LIBCACHE_MISS, .why = why ? *why : MISS_COLD };

    remote_get(ns, &k, 1, flags, deadline);
    if (ttl_left_ms)
        *ttl_left_ms = k.ttl_left_ms;
    if (why)
        *why = k.why;
    return k.result;
}

#define GET_FLAGS ((unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_TIMES) | REMOTE_READ_FLAGS)
#define L1_FLAGS ((unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_TIMES))

/* In L1, the quick way first. */
static force_inline int get_hashed(libcache_ns *ns, const struct l1_key *k, libcache_value *value, unsigned flags)
{
    int result = L1_ASK;

    if (likely(!flags && !ns->cache->l1.read_only))
        result = l1_get(&ns->view, k->data, k->size, k->hash, value, FULL);
    return likely(result != L1_ASK) ? result : l1_get_any(&ns->cache->l1, k, ns->view.soft_ttl_ms, value, flags);
}

#define LOOKED (1u << 30) /* an internal flag: the quick way has been tried */

/* A get of any kind: the tiers in their order, and the log read on the way where nobody else has for long. */
static __attribute__((noinline)) int get_any(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                             unsigned flags)
{
    struct l1_key k;
    uint64_t deadline = 0;
    enum miss why = MISS_COLD;
    int result = LIBCACHE_MISS;

    if (flags & ~(GET_FLAGS | LOOKED))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (ns->cache->listens_on_calls && !(flags & LIBCACHE_SKIP_L2))
        coherence_look(ns->cache->coherence, &deadline);
    if ((ns->tiers & LIBCACHE_TIER_L1) && !(flags & LIBCACHE_SKIP_L1))
        result = flags & LOOKED ? l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, value, 0)
                                : get_hashed(ns, &k, value, flags & L1_FLAGS);
    if (result != LIBCACHE_MISS)
        return count_here(ns, result, why);
    if (ns->tiers & LIBCACHE_TIER_L1)
        why = l1_why(&ns->cache->l1, &k);
    if (goes_to_redis(ns, flags))
        result = get_further(ns, &k, value, NULL, &why, flags & ~LOOKED, deadline);
    count_read(ns, result, LIBCACHE_TIER_L2, why);
    trace_look(ns);
    return result;
}

/*
 * Flattened: key to value in one function, hash included; see l1/hit.h. What it leaves over it hands on whole, in the
 * registers it came in: the hash is computed again, for keeping it would cost every hit a register.
 */
static __attribute__((noinline, flatten)) int get_full(libcache_ns *ns, const void *key, size_t key_size,
                                                       libcache_value *value, unsigned flags)
{
    int result;

    if (unlikely((flags | (unsigned)ns->slow) || !key_ok(key, key_size)))
        return get_any(ns, key, key_size, value, flags & LOOKED ? UINT_MAX : flags);
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, FULL);
    if (unlikely(result == L1_ASK || (result == LIBCACHE_MISS && goes_to_redis(ns, 0))))
        return get_any(ns, key, key_size, value, LOOKED);
    return count_here(ns, result, MISS_COLD); /* no slot has its tag: nothing is known of it */
}

static __attribute__((noinline)) int get_not_lean(libcache_ns *ns, const void *key, size_t key_size,
                                                  libcache_value *value, int result)
{
    if (result == LIBCACHE_MISS && !goes_to_redis(ns, 0)) {
        count_one(ns, COUNT_MISS_COLD);
        trace_look(ns);
        return result;
    }
    if (result == L1_ASK || result == LIBCACHE_MISS)
        return get_any(ns, key, key_size, value, LOOKED);
    if (result == L1_ASK_FULL)
        __atomic_fetch_and(&ns->view.lean, ~VIEW_LEAN, __ATOMIC_RELAXED);
    return get_full(ns, key, key_size, value, 0);
}

static __attribute__((noinline, flatten)) int get_lean(libcache_ns *ns, const void *key, size_t key_size,
                                                       libcache_value *value)
{
    int result;

    if (unlikely(!key || key_size - 1 >= LEAN_KEY_MAX))
        return get_full(ns, key, key_size, value, 0);
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, LEAN);
    if (unlikely(result != LIBCACHE_HIT))
        return get_not_lean(ns, key, key_size, value, result);
    return count_hit(ns, result);
}

/*
 * The same for keys of 17 to 32 bytes: their hash and their comparison have no branch. In three functions, of which the first calls
 * nothing but the other two, at its end: so it saves no registers, and who has no hint does nothing twice. Each for entries that last, where
 * the others need no registers saved either, and for those that may expire, whose clock is a call.
 */
static int get_middle_expiring(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value);

/* No hit in this half. */
static force_inline int get_middle_else(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, int result, enum half half)
{
    return half == LASTING && result == L1_ASK_LEAN ? get_middle_expiring(ns, key, key_size, value)
                                                     : get_not_lean(ns, key, key_size, value, result);
}

static force_inline int middle_by_bucket(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                         const struct quick *quick, uint64_t hash, enum half half)
{
    const void *volatile kept_key; /* no registers: for when this is no hit */
    volatile size_t kept_size;
    int result;

    if (half == LASTING) {
        kept_key = key;
        kept_size = key_size;
    }
    if (key_size - 17 > 15)
        __builtin_unreachable();
    result = l1_get_by_bucket(&ns->view, quick, hash, key, key_size, value, half);
    if (likely(result == LIBCACHE_HIT))
        return count_hit(ns, result);
    if (half == LASTING) {
        key = kept_key;
        key_size = kept_size;
    }
    return get_middle_else(ns, key, key_size, value, result, half);
}

static __attribute__((noinline, flatten)) int get_middle_by_bucket(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                                   const struct quick *quick, uint64_t hash)
{
    return middle_by_bucket(ns, key, key_size, value, quick, hash, LASTING);
}

static __attribute__((noinline, flatten)) int get_middle_by_bucket_expiring(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                                            const struct quick *quick, uint64_t hash)
{
    return middle_by_bucket(ns, key, key_size, value, quick, hash, LEAN);
}

/* The hint has led to nothing. */
static __attribute__((noinline)) int get_middle_misled(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                       const struct quick *quick)
{
    return get_middle_by_bucket_expiring(ns, key, key_size, value, quick, hash_with(&ns->view.hash, key, key_size));
}

static force_inline int middle_by_hint(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                       const struct quick *quick, uint64_t hinted, enum half half)
{
    const void *volatile kept_key; /* no registers: for when this is no hit */
    volatile size_t kept_size;
    int result;

    if (half == LASTING) {
        kept_key = key;
        kept_size = key_size;
    }
    if (key_size - 17 > 15)
        __builtin_unreachable();
    result = l1_get_by_hint(&ns->view, quick, hinted, key, key_size, value, half);
    if (likely(result == LIBCACHE_HIT))
        return count_hit(ns, result);
    if (half == LASTING) {
        key = kept_key;
        key_size = kept_size;
    }
    return result == L1_ASK ? get_middle_misled(ns, key, key_size, value, quick)
                            : get_middle_else(ns, key, key_size, value, result, half);
}

static __attribute__((noinline, flatten)) int get_middle_by_hint(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                                 const struct quick *quick, uint64_t hinted)
{
    return middle_by_hint(ns, key, key_size, value, quick, hinted, LASTING);
}

static __attribute__((noinline, flatten)) int get_middle_by_hint_expiring(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                                          const struct quick *quick, uint64_t hinted)
{
    return middle_by_hint(ns, key, key_size, value, quick, hinted, LEAN);
}

static force_inline int get_middle(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, enum half half)
{
    const struct quick *quick;
    uint64_t hash, hint;

    if (key_size - 17 > 15)
        __builtin_unreachable();
    hash = hash_with(&ns->view.hash, key, key_size);
    quick = quick_for(&ns->view, hash);
    if (likely(l1_hinted(&ns->view, quick, hash, &hint)))
        return half == LASTING ? get_middle_by_hint(ns, key, key_size, value, quick, hint)
                               : get_middle_by_hint_expiring(ns, key, key_size, value, quick, hint);
    return half == LASTING ? get_middle_by_bucket(ns, key, key_size, value, quick, hash)
                           : get_middle_by_bucket_expiring(ns, key, key_size, value, quick, hash);
}

static __attribute__((noinline, flatten)) int get_middle_lean(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    return get_middle(ns, key, key_size, value, LEAN);
}

/* The first entry that is not for the lasting half (hit.h): where one expires, others do. */
static __attribute__((noinline)) int get_middle_expiring(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    __atomic_fetch_or(&ns->view.lean, VIEW_EXPIRING, __ATOMIC_RELAXED);
    return get_middle_lean(ns, key, key_size, value);
}

static force_inline int is_middle(const void *key, size_t key_size)
{
    return key && key_size - 17 <= 15;
}

static int get_watched(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, unsigned flags);

__attribute__((flatten)) int libcache_get(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, unsigned flags)
{
    int lean;

    if (unlikely(!ns || !value))
        return LIBCACHE_EINVAL;
    lean = load_relaxed(&ns->view.lean);
    if (unlikely(flags || value->reserve || (lean & ~VIEW_EXPIRING) != VIEW_LEAN)) {
        if (unlikely(lean & VIEW_WATCHED))
            return get_watched(ns, key, key_size, value, flags);
        return get_full(ns, key, key_size, value, flags);
    }
    if (unlikely(!is_middle(key, key_size)))
        return get_lean(ns, key, key_size, value);
    return lean == VIEW_LEAN ? get_middle(ns, key, key_size, value, LASTING) : get_middle_lean(ns, key, key_size, value);
}

/* If this one is to be timed: when it begins; else 0. */
static uint64_t begin_timing(libcache_ns *ns, int lean)
{
    if (!(lean & VIEW_TIMED))
        return 0;
    __atomic_fetch_and(&ns->view.lean, ~VIEW_TIMED, __ATOMIC_RELAXED);
    return measure_now();
}

/* One of many is timed, if L1 has it. */
static void end_timing(const libcache_ns *ns, int result, const libcache_value *value, uint64_t begun)
{
    if (begun && result == LIBCACHE_HIT && value->tier == LIBCACHE_TIER_L1)
        measure_add(ns->cache, LIBCACHE_TIME_GET, measure_now() - begun);
}

/* All are written down while there is a trace. */
static __attribute__((noinline)) int get_watched(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                 unsigned flags)
{
    int lean = load_relaxed(&ns->view.lean), result;
    uint64_t begun = begin_timing(ns, lean);

    if (flags || value->reserve || !(lean & VIEW_LEAN))
        result = get_full(ns, key, key_size, value, flags);
    else
        result = get_lean(ns, key, key_size, value);
    end_timing(ns, result, value, begun);
    if (lean & VIEW_TRACED)
        trace_read(ns, key, key_size, result, value);
    return result;
}

/* ---- What L1 has at hand ------------------------------------------------------------------------------------------ */

static __attribute__((noinline, flatten)) int look_full(libcache_ns *ns, const void *key, size_t key_size,
                                                        libcache_value *value)
{
    int result;

    if (unlikely(!key_ok(key, key_size)))
        return LIBCACHE_MISS;
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, FULL);
    if (result == LIBCACHE_HIT)
        return count_hit(ns, result);
    return result < 0 ? result : LIBCACHE_MISS;
}

static __attribute__((noinline, flatten)) int look_lean(libcache_ns *ns, const void *key, size_t key_size,
                                                        libcache_value *value)
{
    int result;

    if (unlikely(!key || key_size - 1 >= LEAN_KEY_MAX))
        return look_full(ns, key, key_size, value);
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, LEAN);
    if (likely(result == LIBCACHE_HIT))
        return count_hit(ns, result);
    return look_full(ns, key, key_size, value);
}

/* As get_watched. */
static __attribute__((noinline)) int look_watched(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    int lean = load_relaxed(&ns->view.lean), result;
    uint64_t begun = begin_timing(ns, lean);

    if (value->reserve || !(lean & VIEW_LEAN))
        result = look_full(ns, key, key_size, value);
    else
        result = look_lean(ns, key, key_size, value);
    end_timing(ns, result, value, begun);
    if ((lean & VIEW_TRACED) && result == LIBCACHE_HIT)
        trace_read(ns, key, key_size, result, value);
    return result;
}

/* A namespace that is not slow, or need not be now. */
static force_inline int look_here(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    int lean = load_relaxed(&ns->view.lean);

    if (unlikely(value->reserve || (lean & ~VIEW_EXPIRING) != VIEW_LEAN)) {
        if (unlikely(lean & VIEW_WATCHED))
            return look_watched(ns, key, key_size, value);
        return look_full(ns, key, key_size, value);
    }
    return look_lean(ns, key, key_size, value);
}

static __attribute__((noinline)) int look_slow(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                               uint64_t *deadline)
{
    if (ns->cache->listens_on_calls)
        coherence_look(ns->cache->coherence, deadline);
    return (ns->tiers & LIBCACHE_TIER_L1) && !ns->cache->l1.read_only ? look_here(ns, key, key_size, value)
                                                                       : LIBCACHE_MISS;
}

int cache_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, uint64_t *deadline)
{
    return unlikely(ns->slow) ? look_slow(ns, key, key_size, value, deadline) : look_here(ns, key, key_size, value);
}

/* Whether L1 may answer without further ado: there is one, and no call is due to read the log. */
static force_inline int at_hand(const libcache_ns *ns)
{
    return likely(!ns->slow) || ((ns->tiers & LIBCACHE_TIER_L1) && ns->cache->listens_on_calls &&
                                 !ns->cache->l1.read_only && !coherence_is_due(ns->cache->coherence));
}

/* With times or version, as the closer look at L1 gives them. */
static __attribute__((noinline)) int look_closer(libcache_ns *ns, const void *key, size_t key_size,
                                                 libcache_value *value, unsigned flags)
{
    struct l1_key k;
    int result;

    if (flags & ~(unsigned)(LIBCACHE_TIMES | LIBCACHE_VERSION))
        return LIBCACHE_EINVAL;
    if (!at_hand(ns) || !key_ok(key, key_size))
        return LIBCACHE_MISS;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    result = l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, value, flags | LIBCACHE_NO_WAIT);
    if (result == LIBCACHE_HIT) {
        count_read(ns, result, LIBCACHE_TIER_L1, MISS_COLD);
        if (is_traced(ns))
            trace_read(ns, key, key_size, result, value);
    }
    return result <= LIBCACHE_HIT ? result : LIBCACHE_MISS;
}

int libcache_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, unsigned flags)
{
    if (unlikely(!ns || !value))
        return LIBCACHE_EINVAL;
    if (unlikely(flags))
        return look_closer(ns, key, key_size, value, flags);
    return at_hand(ns) ? look_here(ns, key, key_size, value) : LIBCACHE_MISS;
}

int look_for_late(libcache_ns *ns, const struct l1_key *key, libcache_value *value, uint64_t deadline)
{
    int result = LIBCACHE_MISS;

    if (ns->tiers & LIBCACHE_TIER_L1)
        result = l1_get_any(&ns->cache->l1, key, ns->view.soft_ttl_ms, value, LIBCACHE_TIMES | L1_LATE);
    if (result == LIBCACHE_MISS && goes_to_redis(ns, 0))
        result = get_further(ns, key, value, NULL, NULL, LIBCACHE_TIMES | L1_LATE, deadline);
    return result;
}

/* Those of many keys that L1 does not have, in one round trip. */
static int get_many_further(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                            size_t missing, unsigned flags, uint64_t deadline)
{
    const libcache_allocator *allocator = &ns->cache->allocator;
    struct remote_key *k = memory_get(allocator, missing * sizeof *k);
    size_t m = 0;

    if (!k)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (results[i] == LIBCACHE_MISS)
            k[m++] = (struct remote_key){ .l1 = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size),
                                          .value = &values[i],
                                          .result = LIBCACHE_MISS };
    for (size_t i = 0; i < m && (ns->tiers & LIBCACHE_TIER_L1); i++)
        k[i].why = l1_why(&ns->cache->l1, &k[i].l1);
    remote_get(ns, k, m, flags, deadline);
    for (size_t i = 0, j = 0; i < n; i++)
        if (results[i] == LIBCACHE_MISS) {
            results[i] = k[j].result;
            count_read(ns, k[j].result, LIBCACHE_TIER_L2, k[j].why);
            j++;
        }
    memory_free(allocator, k);
    return LIBCACHE_OK;
}

/* No Redis is asked: the missing ones are, for good. */
static void count_missing(libcache_ns *ns, const libcache_slice *keys, size_t n, const int *results)
{
    for (size_t i = 0; i < n; i++)
        if (results[i] == LIBCACHE_MISS) {
            struct l1_key k = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size);
            count_read(ns, LIBCACHE_MISS, 0, ns->tiers & LIBCACHE_TIER_L1 ? l1_why(&ns->cache->l1, &k) : MISS_COLD);
        }
}

/* The first BATCH keys, from L1. Those it has are counted. */
static size_t get_batch(libcache_ns *ns, const libcache_slice *keys, size_t m, libcache_value *values, int *results,
                        unsigned flags)
{
    struct l1_key batch[BATCH];
    uint32_t by_bucket = 0; /* those whose buckets were asked for, not yet their entries */
    size_t i, missing = 0;

    _Static_assert(BATCH <= 32, "a bit for each");

    for (i = 0; i < m; i++) {
        batch[i].data = NULL;
        if (!key_ok(keys[i].data, keys[i].size))
            continue;
        batch[i] = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size);
        if (!flags && l1_prefetch_hinted(&ns->cache->l1, &batch[i]))
            continue;
        l1_prefetch_index(&ns->cache->l1, &batch[i]);
        by_bucket |= UINT32_C(1) << i;
    }
    for (i = 0; i < m; i++)
        if (by_bucket >> i & 1)
            l1_prefetch_entry(&ns->cache->l1, &batch[i]);
    for (i = 0; i < m; i++) {
        results[i] = LIBCACHE_EKEY;
        if (batch[i].data)
            results[i] = get_hashed(ns, &batch[i], &values[i], flags);
        if (results[i] == LIBCACHE_MISS)
            missing++;
        else
            count_here(ns, results[i], MISS_COLD);
    }
    return missing;
}

int libcache_get_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                      size_t *found, unsigned flags)
{
    size_t hits = 0, missing = 0;
    uint64_t deadline = 0;
    int first_error = LIBCACHE_OK;

    if (!ns || (n && (!keys || !values || !results)) || (flags & ~GET_FLAGS))
        return LIBCACHE_EINVAL;
    if (ns->cache->listens_on_calls && !(flags & LIBCACHE_SKIP_L2))
        coherence_look(ns->cache->coherence, &deadline);
    for (size_t from = 0; from < n; from += BATCH) {
        size_t m = n - from < BATCH ? n - from : BATCH;
        if ((ns->tiers & LIBCACHE_TIER_L1) && !(flags & LIBCACHE_SKIP_L1))
            missing += get_batch(ns, keys + from, m, values + from, results + from, flags & L1_FLAGS);
        else
            for (size_t i = from; i < from + m; i++) {
                results[i] = key_ok(keys[i].data, keys[i].size) ? LIBCACHE_MISS : LIBCACHE_EKEY;
                missing += results[i] == LIBCACHE_MISS;
            }
    }
    if (missing && (!goes_to_redis(ns, flags) ||
                    get_many_further(ns, keys, n, values, results, missing, flags, deadline) != LIBCACHE_OK))
        count_missing(ns, keys, n, results);
    for (size_t i = 0; i < n; i++) {
        hits += results[i] == LIBCACHE_HIT || results[i] == LIBCACHE_STALE;
        if (results[i] < 0 && first_error == LIBCACHE_OK)
            first_error = results[i];
    }
    if (found)
        *found = hits;
    for (size_t i = 0; is_traced(ns) && i < n; i++)
        trace_read(ns, keys[i].data, keys[i].size, results[i], &values[i]);
    trace_look(ns);
    return first_error;
}

#define LOOK_FLAGS ((unsigned)LIBCACHE_NO_WAIT | REMOTE_READ_FLAGS)

int libcache_exists(libcache_ns *ns, const void *key, size_t key_size, unsigned flags)
{
    struct l1_key k;
    int result = LIBCACHE_MISS;

    if (!ns || (flags & ~LOOK_FLAGS))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if ((ns->tiers & LIBCACHE_TIER_L1) && !(flags & LIBCACHE_SKIP_L1))
        result = l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, NULL, flags & LIBCACHE_NO_WAIT);
    if (result == LIBCACHE_MISS && goes_to_redis(ns, flags))
        result = get_further(ns, &k, NULL, NULL, NULL, flags, 0);
    return result;
}

int libcache_ttl_left(libcache_ns *ns, const void *key, size_t key_size, uint64_t *ttl_left_ms, unsigned flags)
{
    struct l1_key k;
    int result = LIBCACHE_MISS;

    if (!ns || !ttl_left_ms || (flags & ~LOOK_FLAGS))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (goes_to_redis(ns, flags)) { /* which may keep it longer than L1 does */
        uint64_t left = 0;
        result = get_further(ns, &k, NULL, &left, NULL, flags | LIBCACHE_SKIP_L1, 0);
        if (result != LIBCACHE_MISS) {
            *ttl_left_ms = left;
            return LIBCACHE_OK;
        }
    }
    if ((ns->tiers & LIBCACHE_TIER_L1) && !(flags & LIBCACHE_SKIP_L1))
        result = l1_ttl_left(&ns->cache->l1, &k, ttl_left_ms, flags & LIBCACHE_NO_WAIT);
    return result;
}

int libcache_take_stamp(libcache_ns *ns, const void *key, size_t key_size, libcache_stamp *stamp)
{
    struct l1_key k;
    uint64_t deadline = 0;

    if (!ns || !stamp)
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (ns->cache->listens_on_calls)
        coherence_look(ns->cache->coherence, &deadline);
    l1_take_stamp(&ns->cache->l1, &k, stamp);
    return LIBCACHE_OK;
}

int libcache_poll(libcache *cache, unsigned timeout_ms)
{
    if (!cache)
        return LIBCACHE_EINVAL;
    if (!cache->coherence)
        return LIBCACHE_EUNSUPPORTED;
    return coherence_poll(cache->coherence, deadline_after_ms(timeout_ms ? timeout_ms : cache->timeout_ms));
}

int libcache_sweep(libcache *cache, size_t max_entries, size_t *reclaimed)
{
    size_t dropped = 0;
    int result;

    if (!cache)
        return LIBCACHE_EINVAL;
    if (may_write(cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    result = l1_sweep(&cache->l1, max_entries, &dropped);
    if (result == LIBCACHE_OK && reclaimed)
        *reclaimed = dropped;
    return result;
}
