/*
 * The public calls that change something: checks, and the order of tiers. SPDX-License-Identifier: MIT
 *
 *                        Redis                                L1
 *      set               stored, position p, told to all      stored with stamp p, unless something later is known
 *      set, quiet        stored                               stored
 *      set with a stamp  stored unless changed since          stored unless changed since        (a fill: told to nobody)
 *      delete            deleted, position p, told to all     what is older than p goes
 *      invalidate        marked at p, told to all             marked at p
 *      touch             new end; told if it is earlier       new end
 *      increment         counted there only                   (counters are not kept in L1: they change too often)
 *
 * Redis first: L1 may never hold what a refused change would have put there, and a copy that another process makes between the two
 * steps is refused by the key's slot or goes with what is older than p. When Redis cannot be told, L1 changes at once, Redis
 * is owed the invalidation of the names (owed.c), and the caller gets the error.
 *
 * Namespaces without L2 are told to other hosts just the same, but for counters and touch, which are this host's own.
 */
#include "cache.h"

#include "l1/hook.h"
#include "base/options.h"

#include <string.h>

/* ---- What a call says ---------------------------------------------------------------------------------------- */

/* A TTL shortened at random by up to the policy's jitter. */
static uint64_t jittered(libcache_ns *ns, uint64_t ttl_ms)
{
    uint64_t most;

    if (!ns->policy.jitter_percent || ttl_ms == LIBCACHE_FOREVER)
        return ttl_ms;
    most = ttl_ms / 100 * ns->policy.jitter_percent + ttl_ms % 100 * ns->policy.jitter_percent / 100;
    return ttl_ms - cache_random(ns->cache) % (most + 1);
}

/* How long an entry is kept: for its TTL and the grace after that. */
static uint64_t kept(const libcache_ns *ns, uint64_t ttl_ms)
{
    return ttl_ms == LIBCACHE_FOREVER ? ttl_ms : ttl_ms + ns->policy.grace_ms;
}

static uint64_t l1_kept(const libcache_ns *ns, uint64_t ttl_ms)
{
    return kept(ns, ttl_ms < ns->policy.l1_ttl_ms ? ttl_ms : ns->policy.l1_ttl_ms);
}

static int ttl_ok(uint64_t ttl_ms)
{
    return ttl_ms <= LIBCACHE_TTL_MAX_MS || ttl_ms == LIBCACHE_FOREVER;
}

#define STORE_FLAGS ((unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_NEG) | REMOTE_WRITE_FLAGS)
#define CHANGE_FLAGS ((unsigned)LIBCACHE_NO_WAIT | REMOTE_WRITE_FLAGS)

/* One call that stores, checked. */
struct storing {
    struct l1_key key;
    struct l1_item item;
    uint64_t tags[LIBCACHE_TAGS_MAX];
    uint64_t ttl_ms; /* in Redis, the grace included */
    unsigned flags;
};

/* The caller's options, checked and turned into what the tiers take. */
static int read_set_options(libcache_ns *ns, const libcache_set_options *given, struct storing *s)
{
    struct l1_item *item = &s->item;
    libcache_set_options o;
    int result;

    if (given) {
        if (!options_read(&o, sizeof o, given) || !ttl_ok(o.ttl_ms) || (o.flags & ~STORE_FLAGS))
            return LIBCACHE_EINVAL;
        if (o.n_tags > LIBCACHE_TAGS_MAX || (o.n_tags && !o.tags))
            return LIBCACHE_ETAG;
        result = hash_tags(o.tags, o.n_tags, s->tags);
        if (result != LIBCACHE_OK)
            return result;
    } else {
        memset(&o, 0, sizeof o);
    }
    item->value = NULL;
    item->size = 0;
    item->tags = s->tags;
    item->n_tags = o.n_tags;
    item->negative = (o.flags & LIBCACHE_NEG) != 0;
    s->ttl_ms = jittered(ns, o.ttl_ms ? o.ttl_ms : item->negative ? ns->policy.negative_ttl_ms : ns->policy.ttl_ms);
    item->ttl_ms = l1_kept(ns, s->ttl_ms);
    s->ttl_ms = kept(ns, s->ttl_ms);
    item->age_ms = 0;
    item->load_ms = 0;
    item->user_flags = o.user_flags;
    item->codec = o.codec;
    item->only_absent = 0;
    if (o.stamp) {
        item->how = L1_FENCED;
        item->since = *o.stamp;
    } else {
        item->how = L1_PLAIN;
        memset(&item->since, 0, sizeof item->since);
        item->since.position = l1_position(&ns->cache->l1);
    }
    s->flags = o.flags;
    return LIBCACHE_OK;
}

/* Whether a call's effects leave this host. */
static int is_remote(const libcache_ns *ns, unsigned flags)
{
    return ns->cache->coherence && !(flags & LIBCACHE_SKIP_L2) &&
           ((ns->tiers & LIBCACHE_TIER_L2) || !(flags & LIBCACHE_NO_PUBLISH));
}

static int delete_key(libcache_ns *ns, const void *key, size_t key_size, unsigned flags, uint64_t *deadline);

/* A Redis error of a call that changed something, counted. */
static int failed(libcache_ns *ns, int result)
{
    if (result < 0 && result != LIBCACHE_ENUMBER && result != LIBCACHE_EOVERFLOW)
        count_one(ns, COUNT_L2_ERROR);
    return result;
}

/* ---- Storing -------------------------------------------------------------------------------------------------- */

/* In L1, or, when the namespace or the call wants nothing there, what is there goes. */
static int store_here(libcache_ns *ns, const struct storing *s)
{
    struct l1 *l1 = &ns->cache->l1;
    int no_wait = (s->flags & LIBCACHE_NO_WAIT) != 0, result;

    if ((ns->tiers & LIBCACHE_TIER_L1) && !(s->flags & LIBCACHE_SKIP_L1))
        return l1_set(l1, &s->key, &s->item, no_wait);
    if (s->item.how == L1_FENCED)
        return LIBCACHE_OK;
    result = s->item.how == L1_ORDERED ? l1_delete_before(l1, &s->key, s->item.since.position, no_wait)
                                       : l1_delete(l1, &s->key, no_wait);
    return result < 0 ? result : LIBCACHE_OK;
}

/* An envelope for Redis. *compressed: memory to free; the payload is in it. */
static struct envelope envelope_of(libcache_ns *ns, const struct storing *s, unsigned char *tags, void **compressed)
{
    const struct l1_item *item = &s->item;
    struct envelope e;
    size_t room, size;

    memset(&e, 0, sizeof e);
    e.flags = item->negative ? ENVELOPE_NEGATIVE : 0;
    e.codec = item->codec;
    e.user_flags = item->user_flags;
    e.load_ms = item->load_ms;
    e.soft_ms = ns->view.soft_ttl_ms;
    e.tags = tags;
    e.n_tags = item->n_tags;
    for (size_t i = 0; i < item->n_tags; i++)
        envelope_put_tag(tags, i, item->tags[i]);
    e.ns = space_slice(ns);
    e.key = (libcache_slice){ s->key.data, s->key.size };
    e.value_size = item->negative ? 0 : item->size;
    e.payload = (libcache_slice){ item->value, e.value_size };
    *compressed = NULL;
    if (e.value_size < ns->policy.compress_bytes || !e.value_size)
        return e;
    room = compress_bound(e.value_size);
    *compressed = memory_get(&ns->cache->allocator, room);
    size = *compressed ? compress_payload(item->value, e.value_size, *compressed, room) : 0;
    if (size) {
        e.flags |= ENVELOPE_COMPRESSED;
        e.payload = (libcache_slice){ *compressed, size };
    }
    return e;
}

/* One value on its way to Redis. */
struct sending {
    struct storing *storing;
    struct l2_store store;
    struct envelope envelope;
    unsigned char tags[LIBCACHE_TAGS_MAX * 8];
    void *compressed;
};

/* 1: it is to be sent; 0: a load whose history is gone, or that began before there was one. */
static int prepare(libcache_ns *ns, struct storing *s, struct sending *out)
{
    memset(&out->store, 0, sizeof out->store);
    out->compressed = NULL;
    out->storing = s;
    out->store.how = s->item.how == L1_FENCED ? L2_FILL : s->item.only_absent ? L2_ADD : L2_SET;
    if (out->store.how == L2_FILL && !coherence_to_redis(ns->cache->coherence, &s->item.since, &out->store.since))
        return 0;
    out->envelope = envelope_of(ns, s, out->tags, &out->compressed);
    out->store.key = (struct l2_key){ out->envelope.ns, out->envelope.key };
    out->store.envelope = &out->envelope;
    out->store.ttl_ms = s->ttl_ms;
    out->store.quiet = (s->flags & LIBCACHE_NO_PUBLISH) != 0;
    return 1;
}

/* What Redis's answer means for L1, and what the caller gets. */
static int follow(libcache_ns *ns, struct storing *s, const struct l2_store *store, const struct asked *asked)
{
    struct coherence *coherence = ns->cache->coherence;
    const struct name name = { .kind = NAME_KEY, .ns = space_slice(ns), .key = { s->key.data, s->key.size } };
    libcache_stamp at;
    int here, learned, issued = store->result == LIBCACHE_OK && store->how != L2_FILL && !store->quiet;

    hook(HOOK_ANSWERED);
    learned = store->result >= 0 && coherence_learn(coherence, &store->now, asked, issued, &at) == LIBCACHE_HIT;
    if (store->result == LIBCACHE_EXISTS || store->result == LIBCACHE_FENCED)
        return store->result;
    if (store->result == LIBCACHE_OK) {
        if (s->item.how == L1_PLAIN && learned && !store->quiet) {
            s->item.how = L1_ORDERED;
            s->item.since = at;
        }
        s->item.only_absent = 0; /* Redis has decided that */
        if (issued && !learned)
            return coherence_distrust(coherence, (s->flags & LIBCACHE_NO_WAIT) != 0);
        here = store_here(ns, s);
        return here == LIBCACHE_FENCED && s->item.how != L1_FENCED ? LIBCACHE_OK : here;
    }
    failed(ns, store->result);
    if (s->item.only_absent)
        return store->result;
    here = store_here(ns, s);
    if (s->item.how != L1_FENCED)
        coherence_owe(coherence, &name, 1); /* Redis may hold what was there before, others copies of it */
    return here == LIBCACHE_FENCED ? here : store->result;
}

/* A namespace that keeps nothing in Redis: the others are told that their copies are old. */
static int tell_and_store(libcache_ns *ns, struct storing *s, uint64_t *deadline)
{
    const struct name name = { .kind = NAME_KEY, .ns = space_slice(ns), .key = { s->key.data, s->key.size } };
    struct asked asked;
    struct history now;
    libcache_stamp at;
    int result, here;

    if (s->item.how == L1_FENCED || s->item.only_absent)
        return store_here(ns, s);
    coherence_notice_fork(ns->cache->coherence);
    asked = coherence_ask(ns->cache->coherence);
    result = failed(ns, l2_invalidate(coherence_l2(ns->cache->coherence), &name, 1, NULL, &now,
                                      coherence_deadline(ns->cache->coherence, deadline)));
    if (result != LIBCACHE_OK) {
        coherence_owe(ns->cache->coherence, &name, 1);
    } else if (coherence_learn(ns->cache->coherence, &now, &asked, 1, &at) == LIBCACHE_HIT) {
        s->item.how = L1_ORDERED;
        s->item.since = at;
    }
    here = store_here(ns, s);
    return here != LIBCACHE_OK ? here : result;
}

/*
 * Both tiers. The values of `n` storings go to Redis in one exchange, and leases (NULL: none) are given back in it; results[i] is the
 * i-th's: what is not OK beforehand is passed over.
 */
static void store_remotely(libcache_ns *ns, struct storing *s, size_t n, struct sending *sending, struct l2_store *stores,
                           int *results, struct l2_leases *done, uint64_t *deadline)
{
    libcache *cache = ns->cache;
    struct asked asked;
    libcache_stamp at;
    size_t m = 0;
    int result = LIBCACHE_OK;

    coherence_notice_fork(cache->coherence);
    coherence_look(cache->coherence, deadline);
    for (size_t i = 0; i < n; i++) {
        sending[i].compressed = NULL;
        if (results[i] != LIBCACHE_OK)
            continue;
        if (!prepare(ns, &s[i], &sending[i])) {
            results[i] = store_here(ns, &s[i]);
            sending[i].storing = NULL; /* done */
            continue;
        }
        stores[m] = sending[i].store;
        sending[i].store.result = (int)m++;
    }
    asked = coherence_ask(cache->coherence);
    if (done && !done->n)
        done = NULL;
    if (m || done)
        result = l2_store(coherence_l2(cache->coherence), stores, m, done, coherence_deadline(cache->coherence, deadline));
    if (result != LIBCACHE_OK && !m)
        count_in(cache, COUNT_L2_ERROR, 1); /* else each item does */
    if (done && done->now.epoch)
        coherence_learn(cache->coherence, &done->now, &asked, 0, &at);
    if (done)
        done->n = 0; /* what came of it or not, it is not tried again: a lease ends by its time */
    for (size_t i = 0; i < n; i++) {
        if (results[i] == LIBCACHE_OK && sending[i].storing)
            results[i] = follow(ns, &s[i], &stores[sending[i].store.result], &asked);
        memory_free(&cache->allocator, sending[i].compressed);
    }
}

static int store_remotely_one(libcache_ns *ns, struct storing *s, struct l2_leases *done, uint64_t *deadline)
{
    struct sending sending;
    struct l2_store store;
    struct operation set = measure(ns->cache, "set", ns, s->key.data, s->key.size);
    int result = LIBCACHE_OK;

    if (!(ns->tiers & LIBCACHE_TIER_L2))
        result = tell_and_store(ns, s, deadline);
    else
        store_remotely(ns, s, 1, &sending, &store, &result, done, deadline);
    measure_end(&set, result);
    return result;
}

/* Checks a call and fills *s. OK, ETOOBIG, or what is wrong. */
static int read_call(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                     const libcache_set_options *options, int only_absent, struct storing *s)
{
    int result;

    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    result = read_set_options(ns, options, s);
    if (result != LIBCACHE_OK)
        return result;
    if (!value && size && !s->item.negative)
        return LIBCACHE_EINVAL;
    s->key = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    s->item.value = value;
    s->item.size = size;
    s->item.only_absent = only_absent;
    return size > ns->policy.max_value_bytes && !s->item.negative ? LIBCACHE_ETOOBIG : LIBCACHE_OK;
}

/* What was refused as too big replaces nothing, but what was there is not what the caller wants read any more. */
static int give_up_old(libcache_ns *ns, const struct storing *s, uint64_t *deadline)
{
    int deleted = delete_key(ns, s->key.data, s->key.size, s->flags & CHANGE_FLAGS, deadline);

    return deleted < 0 ? deleted : LIBCACHE_ETOOBIG;
}

static void count_stored(libcache_ns *ns, int result, int only_absent, size_t size)
{
    count_one(ns, result == LIBCACHE_FENCED ? COUNT_FENCED : only_absent ? COUNT_ADD : COUNT_SET);
    if (result == LIBCACHE_OK)
        count_many(ns, COUNT_SET_BYTES, size);
}

/* How long a load took, as an entry remembers it: only where that is needed. 0: it was no load. */
static uint32_t remembered_ms(const libcache_ns *ns, uint64_t load_ms)
{
    return !ns->policy.early_percent ? 0 : load_ms < 1 ? 1 : load_ms < LOAD_MS_MAX ? (uint32_t)load_ms : LOAD_MS_MAX;
}

/* One item. load_ms: of a load, as remembered. done: leases that are given back in the same exchange, if there is one (NULL: none). */
static int store(libcache_ns *ns, const libcache_item *i, int only_absent, uint32_t load_ms, struct l2_leases *done, uint64_t *deadline)
{
    struct storing s;
    int result;

    if (!ns)
        return LIBCACHE_EINVAL;
    result = read_call(ns, i->key.data, i->key.size, i->value.data, i->value.size, i->options, only_absent, &s);
    if (result != LIBCACHE_OK && result != LIBCACHE_ETOOBIG)
        return result;
    s.item.load_ms = load_ms;
    if (result == LIBCACHE_OK)
        result = is_remote(ns, s.flags) ? store_remotely_one(ns, &s, done, deadline) : store_here(ns, &s);
    if (result == LIBCACHE_ETOOBIG && !only_absent)
        result = give_up_old(ns, &s, deadline);
    count_stored(ns, result, only_absent, s.item.negative ? 0 : i->value.size);
    if (trace_is_on(&ns->cache->l1) && result == LIBCACHE_OK)
        trace_stored(ns, i->key.data, i->key.size, s.item.negative ? 0 : i->value.size);
    return result;
}

static int store_one(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                     const libcache_set_options *options, int only_absent)
{
    const libcache_item item = { { key, key_size }, { value, size }, options, 0 };
    uint64_t deadline = 0;

    return store(ns, &item, only_absent, 0, NULL, &deadline);
}

int libcache_set(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                 const libcache_set_options *options)
{
    return store_one(ns, key, key_size, value, size, options, 0);
}

int libcache_add(libcache_ns *ns, const void *key, size_t key_size, const void *value, size_t size,
                 const libcache_set_options *options)
{
    return store_one(ns, key, key_size, value, size, options, 1);
}

/* ---- Storing many ------------------------------------------------------------------------------------------------- */

#define SENT_AT_ONCE 64

/* Memory for n items on their way. */
struct many {
    struct storing *storing;
    struct sending *sending;
    struct l2_store *stores;
    int *results, *done;
};

static int make_many(const libcache *cache, size_t n, struct many *m)
{
    m->storing = memory_get(&cache->allocator, n * (sizeof *m->storing + sizeof *m->sending + sizeof *m->stores + 2 * sizeof *m->results));
    if (!m->storing)
        return LIBCACHE_ENOMEM;
    m->sending = (struct sending *)(void *)(m->storing + n);
    m->stores = (struct l2_store *)(void *)(m->sending + n);
    m->results = (int *)(void *)(m->stores + n);
    m->done = m->results + n;
    return LIBCACHE_OK;
}

/* Checks one of many. What is not for Redis is done at once: then *result is EXISTS, and what came of it is the item's own. */
static void begin_item(libcache_ns *ns, libcache_item *item, struct storing *s, int *result, uint64_t *deadline)
{
    *result = read_call(ns, item->key.data, item->key.size, item->value.data, item->value.size, item->options, 0, s);
    item->result = LIBCACHE_OK;
    if (*result == LIBCACHE_OK && (s->flags & LIBCACHE_SKIP_L2)) {
        item->result = store_here(ns, s);
        *result = LIBCACHE_EXISTS;
    } else if (*result == LIBCACHE_ETOOBIG) {
        item->result = give_up_old(ns, s, deadline);
        *result = LIBCACHE_EXISTS;
    }
}

/* n items, in one exchange. load_ms: NULL, or how long each took to load. OK; ENOMEM: nothing was done. */
static int store_many(libcache_ns *ns, libcache_item *items, const uint64_t *load_ms, size_t n, struct l2_leases *done,
                      uint64_t *deadline)
{
    struct operation set;
    struct many m;

    if (make_many(ns->cache, n, &m) != LIBCACHE_OK)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        begin_item(ns, &items[i], &m.storing[i], &m.results[i], deadline);
        m.storing[i].item.load_ms = load_ms ? remembered_ms(ns, load_ms[i]) : 0;
        m.done[i] = m.results[i] == LIBCACHE_EXISTS;
    }
    set = measure(ns->cache, "set", ns, NULL, 0);
    store_remotely(ns, m.storing, n, m.sending, m.stores, m.results, done, deadline);
    measure_end(&set, LIBCACHE_OK);
    for (size_t i = 0; i < n; i++) {
        if (!m.done[i])
            items[i].result = m.results[i];
        count_stored(ns, items[i].result, 0,
                     items[i].result == LIBCACHE_OK && !m.storing[i].item.negative ? items[i].value.size : 0);
        if (trace_is_on(&ns->cache->l1) && items[i].result == LIBCACHE_OK)
            trace_stored(ns, items[i].key.data, items[i].key.size, m.storing[i].item.negative ? 0 : items[i].value.size);
    }
    memory_free(&ns->cache->allocator, m.storing);
    return LIBCACHE_OK;
}

void store_loaded(libcache_ns *ns, libcache_item *items, const uint64_t *load_ms, size_t n, struct l2_leases *done, uint64_t *deadline)
{
    int together = n > 1 && is_remote(ns, 0) && (ns->tiers & LIBCACHE_TIER_L2);

    if (!together || store_many(ns, items, load_ms, n, done, deadline) != LIBCACHE_OK)
        for (size_t i = 0; i < n; i++)
            items[i].result = store(ns, &items[i], 0, remembered_ms(ns, load_ms[i]), done, deadline);
    if (done && done->n) /* nothing has gone to Redis */
        store_remotely(ns, NULL, 0, NULL, NULL, NULL, done, deadline);
}

int libcache_set_many(libcache_ns *ns, libcache_item *items, size_t n)
{
    int first_error = LIBCACHE_OK, together;
    uint64_t deadline = 0; /* one for all */

    if (!ns || (n && !items))
        return LIBCACHE_EINVAL;
    together = is_remote(ns, 0) && (ns->tiers & LIBCACHE_TIER_L2);
    for (size_t i = 0; i < n; i++) {
        if (together) {
            size_t m = n - i < SENT_AT_ONCE ? n - i : SENT_AT_ONCE;
            int result = store_many(ns, items + i, NULL, m, NULL, &deadline);
            for (size_t j = i; result != LIBCACHE_OK && j < i + m; j++)
                items[j].result = result;
            i += m - 1;
            continue;
        }
        if (i + 1 < n && key_ok(items[i + 1].key.data, items[i + 1].key.size)) {
            struct l1_key next = l1_key_of(&ns->cache->l1, ns->id, items[i + 1].key.data, items[i + 1].key.size);
            l1_prefetch_index(&ns->cache->l1, &next);
        }
        items[i].result = store_one(ns, items[i].key.data, items[i].key.size, items[i].value.data, items[i].value.size,
                                    items[i].options, 0);
    }
    for (size_t i = 0; i < n && first_error == LIBCACHE_OK; i++)
        if (items[i].result < 0)
            first_error = items[i].result;
    return first_error;
}

/* ---- Deleting, touching, counting ------------------------------------------------------------------------------ */

/* Redis and L1, and nobody is told. */
static int delete_quietly(libcache_ns *ns, const struct l1_key *k, unsigned flags, uint64_t *deadline)
{
    const struct l2_key key = { space_slice(ns), { k->data, k->size } };
    size_t gone = 0;
    int result, here;

    coherence_notice_fork(ns->cache->coherence);
    result = failed(ns, l2_forget(coherence_l2(ns->cache->coherence), &key, &gone,
                                  coherence_deadline(ns->cache->coherence, deadline)));
    here = l1_delete(&ns->cache->l1, k, (flags & LIBCACHE_NO_WAIT) != 0);
    if (result != LIBCACHE_OK || here < 0)
        return result != LIBCACHE_OK ? result : here;
    return gone || here == LIBCACHE_OK ? LIBCACHE_OK : LIBCACHE_MISS;
}

/* Both, and the other hosts. */
static int delete_everywhere(libcache_ns *ns, const struct l1_key *k, unsigned flags, uint64_t *deadline)
{
    struct coherence *coherence = ns->cache->coherence;
    const struct name name = { .kind = NAME_KEY, .ns = space_slice(ns), .key = { k->data, k->size } };
    size_t there = 0;
    int result = failed(ns, coherence_invalidate(coherence, &name, 1, &there, (flags & LIBCACHE_NO_WAIT) != 0,
                                                 coherence_deadline(coherence, deadline)));

    return result != LIBCACHE_OK ? result : there ? LIBCACHE_OK : LIBCACHE_MISS;
}

static int delete_key(libcache_ns *ns, const void *key, size_t key_size, unsigned flags, uint64_t *deadline)
{
    struct l1_key k;
    int result;

    if (!ns || (flags & ~CHANGE_FLAGS))
        return LIBCACHE_EINVAL;
    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (!is_remote(ns, flags)) {
        result = l1_delete(&ns->cache->l1, &k, (int)(flags & LIBCACHE_NO_WAIT));
    } else {
        struct operation delete = measure(ns->cache, "delete", ns, key, key_size);
        result = flags & LIBCACHE_NO_PUBLISH ? delete_quietly(ns, &k, flags, deadline)
                                             : delete_everywhere(ns, &k, flags, deadline);
        measure_end(&delete, result);
    }
    if (result >= 0) {
        count_one(ns, COUNT_DELETE);
        if (trace_is_on(&ns->cache->l1))
            trace_deleted(ns, key, key_size);
    }
    return result;
}

int libcache_delete(libcache_ns *ns, const void *key, size_t key_size, unsigned flags)
{
    uint64_t deadline = 0;

    return delete_key(ns, key, key_size, flags, &deadline);
}

#define NAMES_AT_ONCE 256

/* Up to NAMES_AT_ONCE keys, with one position. OK, or the first error. */
static int delete_some(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t *deleted, unsigned flags,
                       uint64_t *deadline)
{
    struct name *names = memory_get(&ns->cache->allocator, n * sizeof *names);
    struct operation delete = measure(ns->cache, "delete", ns, NULL, 0);
    size_t m = 0, there = 0;
    int result = LIBCACHE_OK, bad = LIBCACHE_OK;

    if (!names)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (key_ok(keys[i].data, keys[i].size))
            names[m++] = (struct name){ .kind = NAME_KEY, .ns = space_slice(ns), .key = keys[i] };
        else
            bad = LIBCACHE_EKEY;
    }
    if (m)
        result =
            failed(ns, coherence_invalidate(ns->cache->coherence, names, m, &there, (flags & LIBCACHE_NO_WAIT) != 0,
                                            coherence_deadline(ns->cache->coherence, deadline)));
    memory_free(&ns->cache->allocator, names);
    if (result >= 0)
        count_many(ns, COUNT_DELETE, m);
    for (size_t i = 0; trace_is_on(&ns->cache->l1) && result >= 0 && i < n; i++)
        if (key_ok(keys[i].data, keys[i].size))
            trace_deleted(ns, keys[i].data, keys[i].size);
    measure_end(&delete, result);
    *deleted += there;
    return result != LIBCACHE_OK ? result : bad;
}

int libcache_delete_many(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t *deleted, unsigned flags)
{
    int first_error = LIBCACHE_OK, result, together;
    uint64_t deadline = 0; /* one for all */
    size_t done = 0;

    if (!ns || (n && !keys) || (flags & ~CHANGE_FLAGS))
        return LIBCACHE_EINVAL;
    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    together = is_remote(ns, flags) && !(flags & LIBCACHE_NO_PUBLISH);
    for (size_t i = 0, m = 1; i < n; i += m) {
        if (together) {
            m = n - i < NAMES_AT_ONCE ? n - i : NAMES_AT_ONCE;
            result = delete_some(ns, keys + i, m, &done, flags, &deadline);
        } else {
            result = delete_key(ns, keys[i].data, keys[i].size, flags, &deadline);
            done += result == LIBCACHE_OK;
        }
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
    int result, there = LIBCACHE_MISS;

    if (!ns || !ttl_ok(ttl_ms) || (flags & ~CHANGE_FLAGS))
        return LIBCACHE_EINVAL;
    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    ttl_ms = jittered(ns, ttl_ms ? ttl_ms : ns->policy.ttl_ms);
    if ((ns->tiers & LIBCACHE_TIER_L2) && is_remote(ns, flags)) {
        const struct l2_key l2_key = { space_slice(ns), { key, key_size } };
        struct operation touch = measure(ns->cache, "touch", ns, key, key_size);
        struct asked asked = coherence_ask(ns->cache->coherence);
        struct history now;
        libcache_stamp at;
        coherence_notice_fork(ns->cache->coherence);
        there =
            failed(ns, l2_touch(coherence_l2(ns->cache->coherence), &l2_key, kept(ns, ttl_ms),
                                (flags & LIBCACHE_NO_PUBLISH) != 0, &now, deadline_after_ms(ns->cache->timeout_ms)));
        if (there >= 0)
            coherence_learn(ns->cache->coherence, &now, &asked, 0, &at);
        measure_end(&touch, there);
    }
    result = l1_touch(&ns->cache->l1, &k, l1_kept(ns, ttl_ms), (flags & LIBCACHE_NO_WAIT) != 0);
    if (there < 0)
        return there;
    if (there == LIBCACHE_OK && result >= 0)
        result = LIBCACHE_OK;
    if (result >= 0)
        count_one(ns, COUNT_TOUCH);
    return result;
}

/* In Redis, where the counter is. L1 holds none; what else it holds under the key goes. */
static int add_remotely(libcache_ns *ns, struct storing *s, int64_t delta, int subtract, int64_t *out)
{
    struct coherence *coherence = ns->cache->coherence;
    unsigned char tags[LIBCACHE_TAGS_MAX * 8];
    void *compressed;
    struct envelope e = envelope_of(ns, s, tags, &compressed);
    const struct l2_key key = { e.ns, e.key };
    struct asked asked = coherence_ask(coherence);
    struct history now;
    libcache_stamp at;
    int64_t number = 0;
    int result, here = LIBCACHE_OK;

    coherence_notice_fork(coherence);
    memset(&now, 0, sizeof now);
    result = failed(ns, l2_increment(coherence_l2(coherence), &key, &e, s->ttl_ms, delta, subtract,
                                     (s->flags & LIBCACHE_NO_PUBLISH) != 0, &number, &now,
                                     deadline_after_ms(ns->cache->timeout_ms)));
    memory_free(&ns->cache->allocator, compressed);
    if (result != LIBCACHE_OK)
        return result;
    if (coherence_learn(coherence, &now, &asked, 0, &at) == LIBCACHE_HIT)
        here = l1_delete_before(&ns->cache->l1, &s->key, at.position, (s->flags & LIBCACHE_NO_WAIT) != 0);
    else
        here = l1_delete(&ns->cache->l1, &s->key, (s->flags & LIBCACHE_NO_WAIT) != 0);
    if (out)
        *out = number;
    return here < 0 ? here : LIBCACHE_OK;
}

static int add_number(libcache_ns *ns, const void *key, size_t key_size, int64_t delta, int subtract,
                      const libcache_set_options *options, int64_t *out)
{
    struct storing s;
    int result;

    if (!ns)
        return LIBCACHE_EINVAL;
    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (!key_ok(key, key_size))
        return LIBCACHE_EKEY;
    result = read_set_options(ns, options, &s);
    if (result != LIBCACHE_OK)
        return result;
    if (s.item.negative || s.item.how == L1_FENCED)
        return LIBCACHE_EINVAL;
    s.key = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if ((ns->tiers & LIBCACHE_TIER_L2) && is_remote(ns, s.flags)) {
        struct operation increment = measure(ns->cache, "increment", ns, key, key_size);
        result = add_remotely(ns, &s, delta, subtract, out);
        measure_end(&increment, result);
    } else
        result =
            l1_add_number(&ns->cache->l1, &s.key, delta, subtract, &s.item, out, (s.flags & LIBCACHE_NO_WAIT) != 0);
    if (result >= 0)
        count_one(ns, COUNT_INCREMENT);
    return result;
}

int libcache_increment(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                       const libcache_set_options *options, int64_t *out)
{
    return add_number(ns, key, key_size, delta, 0, options, out);
}

int libcache_decrement(libcache_ns *ns, const void *key, size_t key_size, int64_t delta,
                       const libcache_set_options *options, int64_t *out)
{
    return add_number(ns, key, key_size, delta, 1, options, out);
}
