/* The public calls on entries: checks, the order of tiers, and nothing else. SPDX-License-Identifier: MIT */
#include "cache.h"

#include "base/hash_inline.h"
#include "base/options.h"
#include "l1/hit.h"

#define BATCH 32 /* keys whose memory get_many has under way at once */

static force_inline int key_ok(const void *key, size_t size)
{
    return key && size - 1 < LIBCACHE_KEY_MAX;
}

static force_inline void count(libcache_ns *ns, enum counter which)
{
    counters_add(&ns->cache->counters, which, 1);
}

static force_inline void count_read(libcache_ns *ns, int result)
{
    static const uint8_t counter[] = { [LIBCACHE_HIT] = COUNT_HIT, [LIBCACHE_STALE] = COUNT_STALE,
                                       [LIBCACHE_NEGATIVE] = COUNT_NEGATIVE, [LIBCACHE_MISS] = COUNT_MISS };
    if (likely(result >= LIBCACHE_HIT && result <= LIBCACHE_MISS))
        count(ns, (enum counter)counter[result]);
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

/* A get of any kind. */
static __attribute__((noinline)) int get_any(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                             unsigned flags)
{
    struct l1_key k;
    int result;

    if (flags & ~(unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_TIMES))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    result = l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, value, flags);
    count_read(ns, result);
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

    if (unlikely(flags || !key_ok(key, key_size)))
        return get_any(ns, key, key_size, value, flags);
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, 0);
    if (unlikely(result == L1_ASK))
        return get_any(ns, key, key_size, value, 0);
    count_read(ns, result);
    return result;
}

static __attribute__((noinline)) int get_not_lean(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                                  int result)
{
    if (result == LIBCACHE_MISS) {
        count(ns, COUNT_MISS);
        return result;
    }
    if (result == L1_ASK)
        return get_any(ns, key, key_size, value, 0);
    store_relaxed(&ns->view.lean, 0);
    return get_full(ns, key, key_size, value, 0);
}

static __attribute__((noinline, flatten)) int get_lean(libcache_ns *ns, const void *key, size_t key_size,
                                                       libcache_value *value)
{
    int result;

    if (unlikely(!key || key_size - 1 >= LEAN_KEY_MAX))
        return get_full(ns, key, key_size, value, 0);
    result = l1_get(&ns->view, key, key_size, hash_with(&ns->view.hash, key, key_size), value, 1);
    if (unlikely(result != LIBCACHE_HIT))
        return get_not_lean(ns, key, key_size, value, result);
    return counters_add_one(&ns->cache->counters, COUNT_HIT, result);
}

int libcache_get(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, unsigned flags)
{
    if (unlikely(!ns || !value))
        return LIBCACHE_EINVAL;
    if (unlikely(flags || value->reserve || !load_relaxed(&ns->view.lean)))
        return get_full(ns, key, key_size, value, flags);
    return get_lean(ns, key, key_size, value);
}

static force_inline int get_hashed(libcache_ns *ns, const struct l1_key *k, libcache_value *value, unsigned flags)
{
    int result = L1_ASK;

    if (likely(!flags))
        result = l1_get(&ns->view, k->data, k->size, k->hash, value, 0);
    return likely(result != L1_ASK) ? result : l1_get_any(&ns->cache->l1, k, ns->view.soft_ttl_ms, value, flags);
}

int libcache_get_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                      size_t *found, unsigned flags)
{
    size_t hits = 0;
    int first_error = LIBCACHE_OK;

    if (!ns || (n && (!keys || !values || !results)) || (flags & ~(unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_TIMES)))
        return LIBCACHE_EINVAL;
    for (size_t from = 0; from < n; from += BATCH) {
        struct l1_key batch[BATCH];
        size_t m = n - from < BATCH ? n - from : BATCH, i;
        for (i = 0; i < m; i++) {
            batch[i].data = NULL;
            if (!key_ok(keys[from + i].data, keys[from + i].size))
                continue;
            batch[i] = l1_key_of(&ns->cache->l1, ns->id, keys[from + i].data, keys[from + i].size);
            l1_prefetch_index(&ns->cache->l1, &batch[i]);
        }
        for (i = 0; i < m; i++)
            if (batch[i].data)
                l1_prefetch_entry(&ns->cache->l1, &batch[i]);
        for (i = 0; i < m; i++) {
            int result = LIBCACHE_EKEY;
            if (batch[i].data)
                result = get_hashed(ns, &batch[i], &values[from + i], flags);
            count_read(ns, result);
            results[from + i] = result;
            hits += result == LIBCACHE_HIT || result == LIBCACHE_STALE;
            if (result < 0 && first_error == LIBCACHE_OK)
                first_error = result;
        }
    }
    if (found)
        *found = hits;
    return first_error;
}

int libcache_exists(libcache_ns *ns, const void *key, size_t key_size, unsigned flags)
{
    struct l1_key k;

    if (!ns || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    return l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, NULL, flags);
}

int libcache_ttl_left(libcache_ns *ns, const void *key, size_t key_size, uint64_t *ttl_left_ms, unsigned flags)
{
    struct l1_key k;

    if (!ns || !ttl_left_ms || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    return l1_ttl_left(&ns->cache->l1, &k, ttl_left_ms, flags);
}

uint64_t libcache_hash_tag(const void *tag, size_t size)
{
    uint64_t hash = tag || !size ? hash_bytes(tag, size, 0) : 0;
    return hash ? hash : 1; /* 0 says "no tag" in the table of marks */
}

/* Hashes of n tags. OK or ETAG. */
static int hash_tags(const libcache_slice *tags, size_t n, uint64_t *hashes)
{
    for (size_t i = 0; i < n; i++) {
        if (!tags[i].data || tags[i].size < 1 || tags[i].size > LIBCACHE_TAG_MAX)
            return LIBCACHE_ETAG;
        hashes[i] = libcache_hash_tag(tags[i].data, tags[i].size);
    }
    return LIBCACHE_OK;
}

/* A TTL shortened at random by up to the policy's jitter. */
static uint64_t jittered(libcache_ns *ns, uint64_t ttl_ms)
{
    uint64_t most;

    if (!ns->policy.jitter_percent || ttl_ms == LIBCACHE_FOREVER)
        return ttl_ms;
    most = ttl_ms / 100 * ns->policy.jitter_percent + ttl_ms % 100 * ns->policy.jitter_percent / 100;
    return ttl_ms - cache_random(ns->cache) % (most + 1);
}

static int ttl_ok(uint64_t ttl_ms)
{
    return ttl_ms <= LIBCACHE_TTL_MAX_MS || ttl_ms == LIBCACHE_FOREVER;
}

/* The caller's options, checked and turned into what the tiers take. `tags` has room for LIBCACHE_TAGS_MAX. */
static int read_set_options(libcache_ns *ns, const libcache_set_options *given, struct l1_item *item, uint64_t *tags,
                            int *no_wait)
{
    libcache_set_options o;
    int result;

    if (given) {
        if (!options_read(&o, sizeof o, given) || !ttl_ok(o.ttl_ms) || (o.flags & ~(unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_NEG)))
            return LIBCACHE_EINVAL;
        if (o.n_tags > LIBCACHE_TAGS_MAX || (o.n_tags && !o.tags))
            return LIBCACHE_ETAG;
        result = hash_tags(o.tags, o.n_tags, tags);
        if (result != LIBCACHE_OK)
            return result;
    } else {
        memset(&o, 0, sizeof o);
    }
    item->tags = tags;
    item->n_tags = o.n_tags;
    item->negative = (o.flags & LIBCACHE_NEG) != 0;
    item->ttl_ms = jittered(ns, o.ttl_ms ? o.ttl_ms : item->negative ? ns->policy.negative_ttl_ms : ns->policy.ttl_ms);
    item->user_flags = o.user_flags;
    item->codec = o.codec;
    item->only_absent = 0;
    item->fenced = o.stamp != NULL;
    if (o.stamp) {
        item->since = *o.stamp;
    } else {
        memset(&item->since, 0, sizeof item->since);
        item->since.position = l1_position(&ns->cache->l1);
    }
    *no_wait = (o.flags & LIBCACHE_NO_WAIT) != 0;
    return LIBCACHE_OK;
}

static int store(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                 const libcache_set_options *options, int only_absent)
{
    uint64_t tags[LIBCACHE_TAGS_MAX];
    struct l1_item item;
    struct l1_key k;
    int no_wait, result;

    if (!ns)
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    result = read_set_options(ns, options, &item, tags, &no_wait);
    if (result != LIBCACHE_OK)
        return result;
    if (!value && size && !item.negative)
        return LIBCACHE_EINVAL;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (size > ns->policy.max_value_bytes && !item.negative)
        result = LIBCACHE_ETOOBIG;
    else {
        item.value = value;
        item.size = size;
        item.only_absent = only_absent;
        result = l1_set(&ns->cache->l1, &k, &item, no_wait);
    }
    if (result == LIBCACHE_ETOOBIG && !only_absent) {
        int deleted = l1_delete(&ns->cache->l1, &k, no_wait);
        result = deleted < 0 ? deleted : result;
    }
    count(ns, result == LIBCACHE_FENCED ? COUNT_FENCED : only_absent ? COUNT_ADD : COUNT_SET);
    return result;
}

int libcache_set(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                 const libcache_set_options *options)
{
    return store(ns, key, key_size, value, size, options, 0);
}

int libcache_add(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                 const libcache_set_options *options)
{
    return store(ns, key, key_size, value, size, options, 1);
}

int libcache_set_many(libcache_ns *ns, libcache_item *items, size_t n)
{
    int first_error = LIBCACHE_OK;

    if (!ns || (n && !items))
        return LIBCACHE_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && key_ok(items[i + 1].key.data, items[i + 1].key.size)) {
            struct l1_key next = l1_key_of(&ns->cache->l1, ns->id, items[i + 1].key.data, items[i + 1].key.size);
            l1_prefetch_index(&ns->cache->l1, &next);
        }
        items[i].result = store(ns, items[i].key.data, items[i].key.size, items[i].value.data, items[i].value.size,
                                items[i].options, 0);
        if (items[i].result < 0 && first_error == LIBCACHE_OK)
            first_error = items[i].result;
    }
    return first_error;
}

int libcache_delete(libcache_ns *ns, const void *key, size_t key_size, unsigned flags)
{
    struct l1_key k;
    int result;

    if (!ns || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    result = l1_delete(&ns->cache->l1, &k, (int)(flags & LIBCACHE_NO_WAIT));
    if (result >= 0)
        count(ns, COUNT_DELETE);
    return result;
}

int libcache_delete_many(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t *deleted, unsigned flags)
{
    int first_error = LIBCACHE_OK;
    size_t done = 0;

    if (!ns || (n && !keys) || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int result = libcache_delete(ns, keys[i].data, keys[i].size, flags);
        done += result == LIBCACHE_OK;
        if (result < 0 && first_error == LIBCACHE_OK)
            first_error = result;
    }
    if (deleted)
        *deleted = done;
    return first_error;
}

int libcache_touch(libcache_ns *ns, const void *key, size_t key_size, uint64_t ttl_ms, unsigned flags)
{
    struct l1_key k;
    int result;

    if (!ns || !ttl_ok(ttl_ms) || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    result = l1_touch(&ns->cache->l1, &k, jittered(ns, ttl_ms ? ttl_ms : ns->policy.ttl_ms), (int)(flags & LIBCACHE_NO_WAIT));
    if (result >= 0)
        count(ns, COUNT_TOUCH);
    return result;
}

static int add_number(libcache_ns *ns, const void *key, size_t key_size, int64_t delta, int subtract,
                      const libcache_set_options *options, int64_t *out)
{
    uint64_t tags[LIBCACHE_TAGS_MAX];
    struct l1_item item;
    struct l1_key k;
    int no_wait, result;

    result = read_set_options(ns, options, &item, tags, &no_wait);
    if (result != LIBCACHE_OK)
        return result;
    if (item.negative || item.fenced)
        return LIBCACHE_EINVAL;
    item.value = NULL;
    item.size = 0;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    result = l1_add_number(&ns->cache->l1, &k, delta, subtract, &item, out, no_wait);
    if (result >= 0)
        count(ns, COUNT_INCREMENT);
    return result;
}

int libcache_increment(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                       const libcache_set_options *options, int64_t *out)
{
    if (!ns)
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    return add_number(ns, key, key_size, delta, 0, options, out);
}

int libcache_decrement(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                       const libcache_set_options *options, int64_t *out)
{
    if (!ns)
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    return add_number(ns, key, key_size, delta, 1, options, out);
}

int libcache_take_stamp(libcache_ns *ns, const void *key, size_t key_size, libcache_stamp *stamp)
{
    struct l1_key k;

    if (!ns || !stamp)
        return LIBCACHE_EINVAL;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    stamp->epoch = ns->cache->l1.head->epoch;
    stamp->generation = l1_generation(&ns->cache->l1, &k);
    stamp->position = l1_position(&ns->cache->l1);
    return LIBCACHE_OK;
}

int libcache_invalidate_tags(libcache *cache, const libcache_slice *tags, size_t n, unsigned flags)
{
    uint64_t hashes[LIBCACHE_TAGS_MAX];

    if (!cache || (n && !tags) || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    for (size_t i = 0; i < n; i++) /* all or none: look before the first is invalidated */
        if (hash_tags(tags + i, 1, hashes) != LIBCACHE_OK)
            return LIBCACHE_ETAG;
    for (size_t from = 0; from < n; from += LIBCACHE_TAGS_MAX) {
        size_t m = n - from < LIBCACHE_TAGS_MAX ? n - from : LIBCACHE_TAGS_MAX;
        int result;
        hash_tags(tags + from, m, hashes);
        result = l1_invalidate_tags(&cache->l1, hashes, m, (int)(flags & LIBCACHE_NO_WAIT));
        if (result != LIBCACHE_OK)
            return result;
        counters_add(&cache->counters, COUNT_INVALIDATION, m);
    }
    return LIBCACHE_OK;
}

int libcache_invalidate_namespace(libcache_ns *ns, unsigned flags)
{
    int result;

    if (!ns || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    result = l1_invalidate_space(&ns->cache->l1, ns->id, (int)(flags & LIBCACHE_NO_WAIT));
    if (result == LIBCACHE_OK)
        count(ns, COUNT_INVALIDATION);
    return result;
}

int libcache_invalidate_all(libcache *cache, unsigned flags)
{
    int result;

    if (!cache || (flags & ~(unsigned)LIBCACHE_NO_WAIT))
        return LIBCACHE_EINVAL;
    result = l1_invalidate_all(&cache->l1, (int)(flags & LIBCACHE_NO_WAIT));
    if (result == LIBCACHE_OK)
        counters_add(&cache->counters, COUNT_INVALIDATION, 1);
    return result;
}

int libcache_sweep(libcache *cache, size_t max_entries, size_t *reclaimed)
{
    size_t dropped = 0;
    int result;

    if (!cache)
        return LIBCACHE_EINVAL;
    result = l1_sweep(&cache->l1, max_entries, &dropped);
    if (result == LIBCACHE_OK && reclaimed)
        *reclaimed = dropped;
    return result;
}
