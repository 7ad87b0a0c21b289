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

/*
 * The common hit, in as few instructions as we could find: first match in a bucket, plain value with or without tags, memory at hand. It looks at the
 * tail once, at the end, which is enough: until then nothing is believed, only kept within the ring. Anything else,
 * including any doubt, is l1_get_any's.
 */
static force_inline int l1_get(struct l1 *l1, const struct l1_key *caller_key, uint64_t soft_ttl_ms, libcache_value *value, unsigned flags)
{
    const struct l1_key k = *caller_key, *const key = &k; /* in registers: only the way out needs it in memory */
    const struct shard *sh = l1_shard(l1, key->hash);
    const struct stripe *s = sh->s;
    uint64_t shape = load_acquire(&s->shape), slot, offset, at, what, life, birth, stamp, size, key_at = ENTRY_HEADER, now = 0;
    uint32_t index, extra_flags = 0;
    const unsigned char *p;
    struct bucket *b;
    enum ring r;
    unsigned bits;
    uint8_t uses;

    if (unlikely(flags))
        goto any;
    index = bucket_of(hash_first(key->hash), shape);
    if (unlikely(index >= sh->quick_buckets))
        goto any;
    b = index_bucket(sh, index);
    bits = bucket_match(b, key->hash);
    if (unlikely(!bits)) {
        index = bucket_of(hash_second(key->hash), shape);
        if (unlikely(index >= sh->quick_buckets))
            goto any;
        b = index_bucket(sh, index);
        bits = bucket_match(b, key->hash);
        if (unlikely(!bits))
            goto any;
    }
    bits = (unsigned)__builtin_ctz(bits);
    slot = load_acquire(&b->slot[bits]);
    r = slot_ring(slot);
    offset = slot_offset(slot);
    hook(HOOK_READ_SLOT);
    at = offset & sh->lap_mask[r];
    if (unlikely(at > sh->last_entry[r]))
        goto any;
    p = sh->ring[r] + at;
    prefetch(p + 64);
    prefetch(p + 128);
    what = load_relaxed((const uint64_t *)(const void *)p);
    life = load_relaxed((const uint64_t *)(const void *)p + 1);
    birth = load_relaxed((const uint64_t *)(const void *)p + 2);
    stamp = life >> 40 | birth >> 40 << 24;
    size = what & ENTRY_VALUE_MAX;
    if (size > 2 * PLATFORM_LINE)
        for (uint64_t ahead = 3 * PLATFORM_LINE; ahead < size && ahead < PREFETCH_BYTES; ahead += PLATFORM_LINE)
            prefetch(p + ahead);
    if (unlikely(((what ^ entry_what(0, (uint32_t)key->size, 0, key->ns, 0)) & ENTRY_PLAIN_MASK) != 0 || !marks_vouch_space(l1, key->ns, stamp)))
        goto any;
    if (what >> 60 & ENTRY_EXTRA) {
        uint64_t extra = load_relaxed((const uint64_t *)(const void *)p + 3), n_tags = extra >> 32 & 0xff;
        key_at += 8 + n_tags * 8;
        extra_flags = (uint32_t)extra;
        if (extra >> 40 || at + key_at > sh->ring_bytes[r] ||
            !marks_vouch_tags(l1, (const uint64_t *)(const void *)p + 4, n_tags, stamp))
            goto any;
    }
    if (unlikely(at + key_at + key->size + size > sh->ring_bytes[r] || !shared_equal(p + key_at, key->data, key->size)))
        goto any;
    life &= ENTRY_TIME_MASK;
    if (life | soft_ttl_ms | l1->max_stale_ms) {
        now = l1_now(l1);
        if (unlikely((life && now >= life) || l1_unheard(l1, now)))
            goto any;
    }
    if (unlikely(value->reserve || value->capacity < size)) {
        int result;
        if (!still_there(s, r, offset, shape))
            goto any;
        result = l1_reserve(l1, value, size);
        if (result != LIBCACHE_OK)
            return result;
    }
    shared_copy_value(value->data, p + key_at + key->size, size);
    hook(HOOK_READ_COPIED);
    if (unlikely(!still_there(s, r, offset, shape)))
        goto any;
    uses = load_relaxed(&b->uses[bits]);
    if (uses < USES_MAX)
        store_relaxed(&b->uses[bits], (uint8_t)(uses + 1));
    value->size = size;
    value->codec = (uint8_t)(what >> 40);
    value->flags = extra_flags;
    value->tier = LIBCACHE_TIER_L1;
    return unlikely(soft_ttl_ms && now >= (birth & ENTRY_TIME_MASK) + soft_ttl_ms) ? LIBCACHE_STALE : LIBCACHE_HIT;
any: {
    const struct l1_key in_memory = k;
    return l1_get_any(l1, &in_memory, soft_ttl_ms, value, flags);
}
}

#endif
