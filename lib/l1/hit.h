/*
 * The common hit, inlined into the call that the user makes. Why it is right: read.c. SPDX-License-Identifier: MIT
 *
 * Hits of a large cache are bound by cache misses: a line of the index, then the entry. What one get can do about that is
 * to be short, so that the processor's window (320 instructions) reaches into the next get and overlaps its misses with
 * ours: at 1 M keys each instruction costs 0.4 ns, several times what it takes to execute. In a small cache, what counts
 * is how much of a get waits for what was before it. Hence:
 *   - one inlined function, and one test for everything that is not common. What it leaves over starts again elsewhere;
 *   - everything that does not change is ready in struct l1_view (namespace) and struct quick (stripe). That includes the
 *     index's shape as this process saw it last, so that no load waits for the stripe's own; that one is only compared;
 *   - a lean half, which calls nothing but the clock: values up to 128 bytes. Calls, even in branches not taken, made the
 *     compiler keep a dozen things in memory. The first get that needs more moves its namespace to the full half for good;
 *   - the clock is asked when all the rest is decided and little needs to be kept: neither before the key is compared (6
 *     more instructions) nor behind the copy (5 % slower). No hit of an entry that expires can do without it: that less than
 *     so much time has passed since it was last asked is not to be known from anything but a clock. This one is some loads
 *     from the kernel's page, no system call; reading the processor's own counter takes as long.
 */
#ifndef L1_HIT_H
#define L1_HIT_H
#include "l1/hook.h"
#include "l1/index.h"

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

/* 1 when neither a slot was moved, nor the stripe reset, nor even the index grown, since the shape was looked at. */
static force_inline int surely_unmoved(const struct stripe *s, uint64_t shape)
{
    fence_acquire();
    return likely(load_acquire(&s->shape) == shape);
}

/* still_there, cheaper: 0 also when the index has grown. */
static force_inline int surely_there(const struct stripe *s, uint64_t slot, uint64_t shape)
{
    fence_acquire();
    return likely(load_acquire(&s->tail[slot_ring(slot)]) <= slot_offset(slot)) && surely_unmoved(s, shape);
}

static force_inline void count_use(uint8_t *uses)
{
    uint8_t used = load_relaxed(uses);
    if (used < USES_MAX)
        store_relaxed(uses, (uint8_t)(used + 1));
}

#define L1_ASK 101      /* l1_get does not know: ask l1_get_any */
#define L1_ASK_FULL 102 /* the lean half does not know: ask the full one, and do so at once from now on */

#define LEAN_KEY_MAX 64
#define LEAN_VALUE_MAX 128

/* When an entry stops being a plain hit: UINT64_MAX is never. */
static force_inline uint64_t due_time(const struct l1_view *view, uint64_t life, uint64_t birth)
{
    uint64_t expiry = life & ENTRY_TIME_MASK, end = UINT64_MAX, soft = view->soft_ttl_ms;

    if (expiry)
        end = expiry > view->grace_ms ? expiry - view->grace_ms : 0;
    if (soft) {
        soft += entry_created(life, birth);
        end = soft < end ? soft : end;
    }
    return end;
}

/* 1: it no longer is, or nothing has been heard for too long. */
static force_inline int is_late(const struct l1_view *view, uint64_t due)
{
    uint64_t now = l1_time(view->l1);
    return now >= due || l1_unheard(view->l1, now);
}

static force_inline uint64_t entry_word(const unsigned char *entry, int i)
{
    return load_relaxed((const uint64_t *)(const void *)entry + i);
}

/*
 * The common hit, in as few instructions as we could find: first match in a bucket, plain value with or without tags,
 * memory at hand. It looks at the tail once, at the end, which is enough: until then nothing is believed, only kept
 * within the ring. No match in either bucket is a miss. Anything else, including any doubt, is L1_ASK.
 */
static force_inline int l1_get(const struct l1_view *view, const void *key, size_t key_size, uint64_t hash,
                               libcache_value *value, int lean)
{
    const struct quick *quick = view->quick;
    const unsigned char *entry, *in_main, *last, *last_of_main, *p;
    uint64_t shape, slot, what, life, stamp, size, differs;
    struct bucket *b;
    uint8_t *uses;
    uint32_t extra_flags;
    enum ring r;
    unsigned bits;
    size_t i;

    if (view->stripes != 1) {
        never_select();
        quick += stripe_of(hash, view->stripes);
    }
    shape = load_acquire(&quick->shape);
    b = quick->first_bucket - quick_index(quick, hash_first(hash));
    hook(HOOK_READ_BUCKET);
    bits = bucket_match(b, hash);
    if (unlikely(!bits)) {
        b = quick->first_bucket - quick_index(quick, hash_second(hash));
        bits = bucket_match(b, hash);
        if (unlikely(!bits))
            return surely_unmoved(quick->s, shape) ? LIBCACHE_MISS : L1_ASK;
    }
    i = (size_t)__builtin_ctz(bits);
    slot = load_acquire(&b->slot[i]);
    uses = &b->uses[i];
    compute_now(uses); /* one register for b and i */
    r = slot_ring(slot);
    hook(HOOK_READ_SLOT);
    /* Both rings' places are computed and one is chosen: no load waits for the ring's number. */
    entry = quick->ring[SMALL] + (slot & quick->place[SMALL]) * 8;
    in_main = quick->ring[MAIN] + (slot & quick->place[MAIN]) * 8;
    last = quick->last[SMALL];
    last_of_main = quick->last[MAIN];
    compute_now(entry);
    compute_now(in_main);
    compute_now(last);
    compute_now(last_of_main);
    entry = unpredictable(r == MAIN) ? in_main : entry;
    last = unpredictable(r == MAIN) ? last_of_main : last;
    compute_now(slot); /* the ring's number is computed again at the end rather than kept */
    if (unlikely(entry > last))
        return L1_ASK;
    prefetch(entry + 64);
    prefetch(entry + 128);
    p = entry + ENTRY_HEADER;
    what = entry_word(entry, 0);
    differs = (what ^ (view->what | (uint64_t)key_size << ENTRY_KEY_SHIFT)) >> ENTRY_KEY_SHIFT;
    if (differs) {
        uint64_t extra = entry_word(entry, 3), n_tags = extra >> 32 & 0xff;
        const uint64_t *tags = (const uint64_t *)(const void *)p + 1;
        stamp = entry_stamp(entry_word(entry, 2));
        p += 8 + n_tags * 8;
        if (differs != ENTRY_WITH_EXTRA >> ENTRY_KEY_SHIFT || extra >> 40 || p > last + QUICK_ROOM)
            return L1_ASK;
        if (lean && !marks_quiet(view->l1, tags, n_tags, stamp))
            return L1_ASK_FULL;
        if (!lean && !marks_vouch_tags(view->l1, tags, n_tags, stamp))
            return L1_ASK;
    }
    stamp = entry_stamp(entry_word(entry, 2));
    if (unlikely(load_acquire(view->mark_all) > stamp || load_acquire(view->mark) > stamp))
        return L1_ASK;
    size = what & ENTRY_VALUE_MAX;
    if (unlikely(p + key_size + size - QUICK_ROOM > last || !shared_equal(p, key, key_size)))
        return L1_ASK;
    p += key_size;
    if (lean && unlikely(size > LEAN_VALUE_MAX))
        return L1_ASK_FULL;
    life = entry_word(entry, 1);
    if ((life << 24 | view->timed) && is_late(view, due_time(view, life, entry_word(entry, 2))))
        return L1_ASK;
    if (unlikely(value->capacity < size || (!lean && value->reserve))) {
        int made;
        if (lean || !surely_there(quick->s, slot, shape))
            return L1_ASK;
        value->codec = entry_codec(what);
        value->tier = LIBCACHE_TIER_L1;
        made = l1_reserve(view->l1, value, size);
        if (made != LIBCACHE_OK)
            return made;
    }
    if (lean)
        shared_copy_short(value->data, p, size);
    else
        shared_copy_value(value->data, p, size);
    what = entry_word(entry, 0);
    extra_flags = 0;
    compute_now(extra_flags); /* not in a register since the caller's flags were seen to be 0 */
    if (what & ENTRY_WITH_EXTRA)
        extra_flags = (uint32_t)entry_word(entry, 3);
    hook(HOOK_READ_COPIED);
    if (unlikely(!surely_there(quick->s, slot, shape)))
        return L1_ASK;
    count_use(uses);
    value->size = size;
    value->codec = entry_codec(what);
    value->flags = extra_flags;
    value->tier = LIBCACHE_TIER_L1;
    return LIBCACHE_HIT;
}

#endif
