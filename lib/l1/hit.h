/*
 * The common hit, inlined into the call that the user makes. Why it is right: read.c. SPDX-License-Identifier: MIT
 *
 * Hits of a large cache are bound by cache misses: a line of the index, then the entry. What one get can do about that is to
 * be short: about 300 instructions, hash and copy included, so that the processor's window reaches into the next get and
 * overlaps its misses with ours. Hence one inlined function, one test for everything that is not common, and no test twice.
 */
#ifndef L1_HIT_H
#define L1_HIT_H
#include "l1/hook.h"
#include "l1/index.h"

#define PREFETCH_BYTES 2048 /* of a large value, asked for at once; the rest is left to the processor */

/* Whatever the entry is, and whatever happens to it meanwhile (read.c). */
int l1_get_any(struct l1 *l1, const struct l1_key *key, uint64_t soft_ttl_ms, libcache_value *value, unsigned flags)
    __attribute__((noinline));

/* Memory for `size` bytes in the value. OK, ENOMEM or ETOOBIG. */
int l1_reserve(const struct l1 *l1, libcache_value *value, size_t size);

/* 1 when the bytes at the offset cannot have been overwritten before this call. */
static force_inline int still_there(const struct stripe *s, enum ring r, uint64_t offset, uint64_t shape)
{
    fence_acquire();
    return likely(load_acquire(&s->tail[r]) <= offset) && likely(shape_kept(shape, load_acquire(&s->shape)));
}

/* The same, cheaper: 0 also when the index has merely grown. */
static force_inline int surely_there(const struct stripe *s, enum ring r, uint64_t offset, uint64_t shape)
{
    fence_acquire();
    return likely(load_acquire(&s->tail[r]) <= offset) && likely(load_acquire(&s->shape) == shape);
}

/* l1_get does not know: ask l1_get_any. */
#define L1_ASK 101

/*
 * The common hit, in as few instructions as we could find: first match in a bucket, plain value with or without tags, memory
 * at hand. It looks at the tail once, at the end, which is enough: until then nothing is believed, only kept within the
 * ring. Anything else, including any doubt, is L1_ASK.
 */
static force_inline int l1_get(const struct l1_view *view, const void *key, size_t key_size, uint64_t hash,
                               libcache_value *value)
{
    const struct quick *quick = view->quick;
    const struct stripe *s;
    uint64_t shape, slot, what, life, birth, size, index, differs;
    const unsigned char *p, *end, *in_main, *end_of_main;
    uint32_t extra_flags = 0;
    int result = LIBCACHE_HIT;
    struct bucket *b;
    uint8_t *uses;
    size_t i;
    enum ring r;
    unsigned bits;

    if (view->stripes != 1) {
        never_select();
        quick += stripe_of(hash, view->stripes);
    }
    s = quick->s;
    shape = load_acquire(&s->shape);
    index = bucket_of(hash_first(hash), shape);
    if (unlikely(index >= quick->buckets))
        return L1_ASK;
    b = quick->first_bucket - index;
    bits = bucket_match(b, hash);
    if (unlikely(!bits)) {
        index = bucket_of(hash_second(hash), shape);
        if (unlikely(index >= quick->buckets))
            return L1_ASK;
        b = quick->first_bucket - index;
        bits = bucket_match(b, hash);
        if (unlikely(!bits))
            return L1_ASK;
    }
    i = (size_t)(unsigned)__builtin_ctz(bits);
    slot = load_acquire(&b->slot[i]);
    uses = &b->uses[i];
    r = slot_ring(slot);
    hook(HOOK_READ_SLOT);
    /* both rings' places are computed and one is chosen: no load waits for the ring's number */
    p = quick->ring[SMALL] + (slot & quick->place[SMALL]) * 8;
    in_main = quick->ring[MAIN] + (slot & quick->place[MAIN]) * 8;
    end = quick->ring[MAIN];
    end_of_main = quick->ring[MAIN + 1];
    compute_now(p);
    compute_now(in_main);
    compute_now(end);
    compute_now(end_of_main);
    p = unpredictable(r == MAIN) ? in_main : p;
    end = unpredictable(r == MAIN) ? end_of_main : end;
    if (unlikely(end - p < (ptrdiff_t)ENTRY_HEADER + 8))
        return L1_ASK;
    prefetch(p + 64);
    prefetch(p + 128);
    what = load_relaxed((const uint64_t *)(const void *)p);
    life = load_relaxed((const uint64_t *)(const void *)p + 1);
    birth = load_relaxed((const uint64_t *)(const void *)p + 2);
    p += ENTRY_HEADER;
    size = what & ENTRY_VALUE_MAX;
    if (unlikely(load_acquire(view->mark_all) > entry_stamp(birth) || load_acquire(view->mark) > entry_stamp(birth)))
        return L1_ASK;
    differs = (what ^ (view->what | (uint64_t)key_size << 28)) & (ENTRY_PLAIN_MASK | (uint64_t)ENTRY_EXTRA << 60);
    if (differs) {
        uint64_t extra = load_relaxed((const uint64_t *)(const void *)p), n_tags = extra >> 32 & 0xff;
        const uint64_t *tags = (const uint64_t *)(const void *)p + 1;
        p += 8 + n_tags * 8;
        extra_flags = (uint32_t)extra;
        if (differs != (uint64_t)ENTRY_EXTRA << 60 || extra >> 40 || p > end ||
            !marks_vouch_tags(view->l1, tags, n_tags, entry_stamp(birth)))
            return L1_ASK;
    }
    if ((life & ENTRY_TIME_MASK) | view->soft_ttl_ms) {
        uint64_t expiry = life & ENTRY_TIME_MASK, now = l1_now(view->l1);
        if (unlikely(expiry && now >= expiry))
            return L1_ASK;
        if (view->soft_ttl_ms && now >= entry_created(life, birth) + view->soft_ttl_ms)
            result = LIBCACHE_STALE;
    }
    if (unlikely(p + key_size + size > end || !shared_equal(p, key, key_size)))
        return L1_ASK;
    p += key_size;
    if (size > 2 * PLATFORM_LINE)
        for (uint64_t ahead = PLATFORM_LINE; ahead < size && ahead < PREFETCH_BYTES; ahead += PLATFORM_LINE)
            prefetch(p + ahead);
    if (unlikely(value->reserve || value->capacity < size)) {
        int made;
        if (!still_there(s, r, slot_offset(slot), shape))
            return L1_ASK;
        made = l1_reserve(view->l1, value, size);
        if (made != LIBCACHE_OK)
            return made;
    }
    shared_copy_value(value->data, p, size);
    hook(HOOK_READ_COPIED);
    if (unlikely(!surely_there(s, r, slot_offset(slot), shape)))
        return L1_ASK;
    if (load_relaxed(uses) < USES_MAX)
        store_relaxed(uses, (uint8_t)(load_relaxed(uses) + 1));
    value->size = size;
    value->codec = (uint8_t)(what >> 40);
    value->flags = extra_flags;
    value->tier = LIBCACHE_TIER_L1;
    return result;
}

#endif
