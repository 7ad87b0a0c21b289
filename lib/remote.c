/*
 * Reading from Redis what L1 does not have. SPDX-License-Identifier: MIT
 *
 *      L1 missed --> what must be unchanged is noted --> GET or MGET --> judged by the marks that this host knows
 *                                                                        |         |          |
 *                                                                    invalid     valid     not known: HMGET, judged by Redis
 *                                                                        |         |          |
 *                                                                       miss       +----------+--> given out, copied to L1
 *
 * A copy into L1 is a load like any other (G3): it is stored only if its key's slot has had no change since before Redis was
 * asked, and with the stamp that it was found with. A value whose marks Redis vouched for is stamped anew: only that makes it
 * valid here, where the older marks are not known. The stamp is the position that was known before the value was read, not the one
 * for which Redis vouched: a delete in between has deleted what we hold, and must find it older than itself.
 *
 * Every fault of Redis is a miss that is counted (G6).
 */
#include "cache.h"

#include "l1/hit.h"
#include "l1/hook.h"

#include <string.h>

#define VERIFIED_AT_ONCE 64

/* One key while it is looked at. */
struct found {
    struct envelope e;
    uint64_t tags[LIBCACHE_TAGS_MAX];
    libcache_stamp stamp;  /* of the copy */
};

static void read_tags(const struct envelope *e, uint64_t *tags)
{
    for (size_t i = 0; i < e->n_tags; i++)
        tags[i] = envelope_tag(e->tags, i);
}

/* HIT, MISS, or STALE: Redis must be asked. */
static int judge(libcache_ns *ns, struct found *f)
{
    struct l1 *l1 = &ns->cache->l1;
    int known = coherence_to_local(ns->cache->coherence, f->e.epoch, f->e.stamp, &f->stamp);

    if (known != LIBCACHE_HIT)
        return known;
    read_tags(&f->e, f->tags);
    known = broken(GUARD_JUDGE) ? LIBCACHE_HIT : l1_judge(l1, ns->id, f->tags, f->e.n_tags, f->stamp.position);
    return known == LIBCACHE_HIT && l1_unheard(l1, l1_now(l1)) ? LIBCACHE_STALE : known;
}

/* Fills a value from an envelope. HIT, MISS (damaged), ENOMEM or ETOOBIG. */
static int copy_out(libcache_ns *ns, const struct envelope *e, libcache_value *value)
{
    const struct l1 *l1 = &ns->cache->l1;
    libcache_slice bytes = e->payload;
    size_t size = e->value_size;
    int result;

    if ((e->flags & ENVELOPE_COMPRESSED) && size > l1->layout.max_value_bytes)
        return LIBCACHE_MISS; /* nobody of ours has stored that, and it asks for more memory than its bytes are worth */
    if (e->flags & ENVELOPE_COUNTER) {
        bytes = counter_digits(e->payload.data);
        size = bytes.size;
        if (!size)
            return LIBCACHE_MISS;
    }
    if (value->reserve || value->capacity < size) {
        value->codec = e->codec;
        value->tier = LIBCACHE_TIER_L2;
        result = l1_reserve(l1, value, size);
        if (result != LIBCACHE_OK)
            return result;
    }
    if (e->flags & ENVELOPE_COMPRESSED) {
        if (decompress_payload(bytes.data, bytes.size, value->data, size) != LIBCACHE_OK)
            return LIBCACHE_MISS;
    } else if (size) {
        memcpy(value->data, bytes.data, size);
    }
    value->size = size;
    return LIBCACHE_HIT;
}

/* The copy in L1. Whether it is kept is its own affair. */
static void copy_up(libcache_ns *ns, const struct remote_key *k, const struct found *f, uint64_t age_ms, uint64_t left_ms,
                    const libcache_stamp *begun)
{
    struct l1 *l1 = &ns->cache->l1;
    struct l1_item item;

    if (f->e.flags & ENVELOPE_COUNTER || !f->stamp.position || f->stamp.epoch != begun->epoch ||
        l1_unheard(l1, l1_now(l1)))
        return;
    memset(&item, 0, sizeof item);
    item.value = f->e.payload.data;
    if (f->e.flags & ENVELOPE_COMPRESSED) {
        if (!k->value)
            return;
        item.value = k->value->data;
    }
    item.size = f->e.value_size;
    item.tags = f->tags;
    item.n_tags = f->e.n_tags;
    item.since = *begun;
    item.since.position = broken(GUARD_COPY_STAMP) ? l1_position(l1) : f->stamp.position;
    if (broken(GUARD_COPY_GENERATION)) {
        libcache_stamp now;
        l1_take_stamp(l1, &k->l1, &now);
        item.since.generation = now.generation;
    }
    item.how = L1_FENCED;
    item.ttl_ms = ns->policy.l1_ttl_ms == LIBCACHE_FOREVER ? left_ms : ns->policy.l1_ttl_ms + ns->policy.grace_ms;
    item.ttl_ms = left_ms < item.ttl_ms ? left_ms : item.ttl_ms;
    item.load_ms = ns->policy.early_percent && f->e.load_ms < LOAD_MS_MAX ? f->e.load_ms : 0;
    item.age_ms = age_ms;
    item.user_flags = f->e.user_flags;
    item.codec = f->e.codec;
    item.negative = (f->e.flags & ENVELOPE_NEGATIVE) != 0;
    l1_set(l1, &k->l1, &item, 1);
}

/* For how long a value is neither past its end nor stale. */
static uint64_t fresh_for(const libcache_ns *ns, uint64_t soft, uint64_t age_ms, uint64_t left_ms)
{
    uint64_t fresh;

    fresh = left_ms == LIBCACHE_FOREVER ? left_ms : left_ms > ns->policy.grace_ms ? left_ms - ns->policy.grace_ms : 0;
    if (soft && !broken(GUARD_SOFT))
        fresh = soft <= age_ms ? 0 : soft - age_ms < fresh ? soft - age_ms : fresh;
    return fresh;
}

/* A valid value: given out, and copied up. */
static void give_out(libcache_ns *ns, struct remote_key *k, const struct found *f, const libcache_stamp *begun, unsigned flags)
{
    uint64_t now = l2_redis_ms(coherence_l2(ns->cache->coherence));
    uint64_t age = now > f->e.born_ms ? now - f->e.born_ms : 0, left = LIBCACHE_FOREVER, fresh;
    int result = LIBCACHE_HIT;

    if (f->e.expiry_ms) {
        if (now >= f->e.expiry_ms)
            return;
        left = f->e.expiry_ms - now;
        if (!guard(GUARD_GRACE, left > ns->policy.grace_ms) && (!(flags & L1_LATE) || f->e.flags & ENVELOPE_NEGATIVE))
            return;
    }
    fresh = fresh_for(ns, soft_ttl_of(ns, k->soft_ttl_ms), age, left);
    if (k->fresh_only && fresh <= k->ahead_ms && !(f->e.flags & ENVELOPE_NEGATIVE)) {
        k->result = LIBCACHE_STALE;
        return;
    }
    if (f->e.flags & ENVELOPE_NEGATIVE)
        result = LIBCACHE_NEGATIVE;
    else if (k->value)
        result = copy_out(ns, &f->e, k->value);
    hook(HOOK_JUDGED);
    if (result == LIBCACHE_MISS)
        count_one(ns, COUNT_L2_FOREIGN);
    if (result == LIBCACHE_MISS || result < 0) {
        k->result = result;
        return;
    }
    if (result == LIBCACHE_HIT && !fresh)
        result = LIBCACHE_STALE;
    k->result = result;
    k->ttl_left_ms = left == LIBCACHE_FOREVER ? left : left > ns->policy.grace_ms ? left - ns->policy.grace_ms : 0;
    if (k->value) {
        k->value->codec = f->e.codec;
        k->value->flags = f->e.user_flags;
        k->value->tier = LIBCACHE_TIER_L2;
        if (flags & LIBCACHE_TIMES) {
            k->value->age_ms = age;
            k->value->ttl_left_ms = k->ttl_left_ms;
            k->value->load_ms = f->e.load_ms;
        }
    }
    if ((ns->tiers & LIBCACHE_TIER_L1) && !(flags & (LIBCACHE_SKIP_L1 | LIBCACHE_READ_ONLY)))
        copy_up(ns, k, f, age, left, begun);
}

/* Values that wait for Redis's judgement. */
struct pending {
    size_t n;
    struct {
        struct remote_key *key;
        struct found found;
        libcache_stamp begun;
    } item[VERIFIED_AT_ONCE];
};

static void verify(libcache_ns *ns, struct pending *p, const struct asked *before, unsigned flags, uint64_t deadline)
{
    struct coherence *coherence = ns->cache->coherence;
    struct l2_question questions[VERIFIED_AT_ONCE];
    struct asked asked = coherence_ask(coherence);
    struct history now;
    libcache_stamp at;
    int result, known;

    for (size_t i = 0; i < p->n; i++) {
        const struct envelope *e = &p->item[i].found.e;
        questions[i] = (struct l2_question){ e->ns, e->tags, e->n_tags, e->epoch, e->stamp, 0 };
    }
    result = l2_verify(coherence_l2(coherence), questions, p->n, &now, deadline);
    count_many(ns, result == LIBCACHE_OK ? COUNT_L2_VERIFIED : COUNT_L2_ERROR, result == LIBCACHE_OK ? p->n : 1);
    if (result != LIBCACHE_OK) {
        for (size_t i = 0; i < p->n; i++)
            p->item[i].key->why = MISS_UNVOUCHED;
        return;
    }
    known = coherence_learn(coherence, &now, &asked, 0, &at);
    if (known == LIBCACHE_HIT)
        known = coherence_to_local(coherence, before->redis_epoch, before->position, &at);
    for (size_t i = 0; i < p->n; i++) {
        struct found *f = &p->item[i].found;
        if (!guard(GUARD_VERIFY, questions[i].valid)) {
            p->item[i].key->why = MISS_INVALIDATED;
            count_one(ns, COUNT_L2_INVALIDATED);
            continue;
        }
        f->stamp = at;
        if (known != LIBCACHE_HIT)
            memset(&f->stamp, 0, sizeof f->stamp); /* given out, not copied */
        read_tags(&f->e, f->tags);
        give_out(ns, p->item[i].key, f, &p->item[i].begun, flags);
    }
}

/* One value: judged, and given out or put aside. */
static void take(libcache_ns *ns, struct remote_key *k, const struct replies *replies, size_t i, const struct l2_key *name,
                 const libcache_stamp *begun, struct pending *aside, unsigned flags)
{
    libcache *cache = ns->cache;
    struct found f;
    int result = l2_found(coherence_l2(cache->coherence), replies, i, name, &f.e);

    if (result == LIBCACHE_MISS)
        return;
    if (result != LIBCACHE_HIT) {
        count_one(ns, result == LIBCACHE_EPROTOCOL ? COUNT_L2_FOREIGN : COUNT_L2_ERROR);
        return;
    }
    hook(HOOK_FOUND);
    result = judge(ns, &f);
    if (result == LIBCACHE_HIT) {
        give_out(ns, k, &f, begun, flags);
    } else if (result == LIBCACHE_MISS) {
        k->why = f.stamp.epoch ? MISS_INVALIDATED : MISS_UNVOUCHED; /* of another history */
        count_one(ns, COUNT_L2_INVALIDATED);
    } else {
        aside->item[aside->n].key = k;
        aside->item[aside->n].found = f;
        aside->item[aside->n++].begun = *begun;
    }
}

/*
 * Stamps for loads of those that will turn out to be missing: the counter was read after their values were, so whatever it counts
 * happened before the load begins, whether this host has heard of it or not.
 */
static void give_stamps(libcache_ns *ns, const struct remote_key *keys, size_t n, const libcache_stamp *begun,
                        const struct history *now, const struct asked *asked)
{
    libcache_stamp at;
    int known = coherence_learn(ns->cache->coherence, now, asked, 0, &at);

    for (size_t i = 0; i < n; i++) {
        if (!keys[i].stamp)
            continue;
        *keys[i].stamp = begun[i];
        if (known == LIBCACHE_HIT && at.epoch == begun[i].epoch && at.position > begun[i].position)
            keys[i].stamp->position = at.position;
        else if (known == LIBCACHE_HIT && at.epoch != begun[i].epoch)
            l1_take_stamp(&ns->cache->l1, &keys[i].l1, keys[i].stamp); /* this very answer told of another history */
    }
}

/* Leases for those of the keys that want one; they have one soft TTL. NULL: none does, or there is no memory: then they go without. */
static struct l2_leases *leases_of(libcache_ns *ns, struct remote_key *keys, size_t n, struct l2_leases *leases,
                                   struct l2_lease *one)
{
    const libcache_policy *policy = &ns->policy;
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        keys[i].leased = L2_LEASE_UNKNOWN;
        m += keys[i].owner != NULL;
    }
    if (!m)
        return NULL;
    *leases = (struct l2_leases){ .n = m, .ttl_ms = policy->load_timeout_ms,
                                  .soft_ttl_ms = soft_ttl_of(ns, keys->soft_ttl_ms), .grace_ms = policy->grace_ms };
    leases->item = m == 1 ? one : memory_get(&ns->cache->allocator, m * sizeof *one);
    if (!leases->item)
        return NULL;
    m = 0;
    for (size_t i = 0; i < n; i++)
        if (keys[i].owner)
            leases->item[m++] = (struct l2_lease){ .key = { space_slice(ns), { keys[i].l1.data, keys[i].l1.size } },
                                                   .owner = keys[i].owner, .ahead_ms = keys[i].ahead_ms,
                                                   .waits = !keys[i].fresh_only };
    return leases;
}

/* What came of them. */
static void read_leases(libcache_ns *ns, struct remote_key *keys, size_t n, const struct l2_leases *leases)
{
    size_t m = 0, unknown = 0;

    for (size_t i = 0; i < n; i++)
        if (keys[i].owner) {
            keys[i].leased = leases->item[m++].got;
            unknown += keys[i].leased == L2_LEASE_UNKNOWN;
        }
    if (unknown)
        count_in(ns->cache, COUNT_L2_ERROR, 1);
}

static void get_some(libcache_ns *ns, struct remote_key *keys, size_t n, unsigned flags, libcache_stamp *begun,
                     struct l2_key *names, uint64_t deadline)
{
    libcache *cache = ns->cache;
    struct replies replies;
    struct pending aside;
    struct asked asked = coherence_ask(cache->coherence);
    struct l2_leases leasing, *leases;
    struct l2_lease one;
    struct history now;
    int result, wanted = 0;

    leases = leases_of(ns, keys, n, &leasing, &one);
    for (size_t i = 0; i < n; i++) {
        names[i] = (struct l2_key){ space_slice(ns), { keys[i].l1.data, keys[i].l1.size } };
        l1_take_stamp(&cache->l1, &keys[i].l1, &begun[i]);
        wanted |= keys[i].stamp != NULL;
    }
    replies_init(&replies, &cache->allocator);
    result = l2_get(coherence_l2(cache->coherence), names, n, wanted ? &now : NULL, leases, &replies, deadline);
    if (result == LIBCACHE_OK && leases)
        read_leases(ns, keys, n, leases);
    if (result == LIBCACHE_OK && wanted)
        give_stamps(ns, keys, n, begun, &now, &asked);
    if (result == LIBCACHE_OK) {
        aside.n = 0;
        for (size_t i = 0; i < n; i++) {
            take(ns, &keys[i], &replies, i, &names[i], &begun[i], &aside, flags);
            if (aside.n == VERIFIED_AT_ONCE || (aside.n && i + 1 == n)) {
                verify(ns, &aside, &asked, flags, deadline);
                aside.n = 0;
            }
        }
    } else {
        count_one(ns, COUNT_L2_ERROR);
        for (size_t i = 0; i < n; i++)
            if (keys[i].why != MISS_UNVOUCHED)
                keys[i].why = MISS_UNAVAILABLE;
    }
    replies_free(&replies);
    if (leases && leases->item != &one)
        memory_free(&cache->allocator, leases->item);
}

void remote_get(libcache_ns *ns, struct remote_key *keys, size_t n, unsigned flags, uint64_t deadline)
{
    libcache *cache = ns->cache;
    libcache_stamp one_stamp, *begun = &one_stamp;
    struct l2_key one_name, *names = &one_name;
    struct operation get = measure(cache, "get", ns, n == 1 ? keys->l1.data : NULL, n == 1 ? keys->l1.size : 0);
    void *memory = NULL;

    coherence_notice_fork(cache->coherence);
    coherence_look(cache->coherence, &deadline);
    if (n > 1) {
        memory = memory_get(&cache->allocator, n * (sizeof *begun + sizeof *names));
        if (!memory) {
            count_one(ns, COUNT_L2_ERROR);
            return;
        }
        begun = memory;
        names = (struct l2_key *)(void *)(begun + n);
    }
    get_some(ns, keys, n, flags, begun, names, coherence_deadline(cache->coherence, &deadline));
    memory_free(&cache->allocator, memory);
    for (size_t i = 0; i < n; i++)
        count_one(ns, keys[i].result == LIBCACHE_MISS ? COUNT_L2_MISS : COUNT_L2_HIT);
    measure_end(&get, n == 1 ? keys->result : LIBCACHE_OK);
}
