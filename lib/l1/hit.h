/*
 * The common hit, inlined into the call that the user makes. Why it is right: read.c. SPDX-License-Identifier: MIT
 *
 * A get is a chain: hash, bucket, slot, entry, bytes, each waiting for the one before (bench-l1 --bench chained: some 80 cycles
 * when all is in the first-level cache, twice that from the second, ten times from memory). What shortens it beyond that is
 * overlap with the next get's, which the processor begins as soon as its window (320 instructions) reaches that far: time is
 * the length of the chain times the number of instructions, by 320. So instructions count that delay nothing themselves. Hence:
 *   - hints (hint.h): no bucket for what is read most, which makes the chain two links shorter;
 *   - one inlined function, and one test for everything that is not common. What it leaves over starts again elsewhere;
 *   - keys of 17 to 32 bytes, which most are, have a function of their own: their hash and comparison have no branch;
 *   - everything that does not change is ready in struct l1_view (namespace) and struct quick (stripe, one line). That includes
 *     the index's shape as this process saw it last, so that no load waits for the stripe's own; only a miss compares it;
 *   - both rings lie in one space of offsets (ring.c): a slot's place is a mask away, whichever its ring;
 *   - no bounds are checked but that an entry begins where the longest one of the lean half may be read: behind it lies more
 *     of the region, at its end always the index;
 *   - a lean half, which calls nothing but the clock: values up to 128 bytes. Calls, even in branches not taken, made the
 *     compiler keep a dozen things in memory. The first get that needs more moves its namespace to the full half for good;
 *   - and within it a lasting one, without even that call, for entries that do not expire: its functions save but three registers,
 *     where the lean one's save six. What they need only at the end, or when it is no hit after all, is put on the stack. The first entry
 *     that expires, or with tags when a tag was invalidated since it was stored, moves its namespace to the lean half;
 *   - the clock is asked when all the rest is decided and little needs to be kept: neither before the key is compared (6
 *     more instructions) nor behind the copy (5 % slower). No hit of an entry that expires can do without it: that less than
 *     so much time has passed since it was last asked is not to be known from anything but a clock. This one is some loads
 *     from the kernel's page, no system call; reading the processor's own counter takes as long.
 */
#ifndef L1_HIT_H
#define L1_HIT_H
#include "l1/hint.h"
#include "l1/hook.h"

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
static force_inline int surely_unmoved(const struct quick *quick, uint64_t shape)
{
    fence_acquire();
    return likely(load_acquire(&quick->s->shape) == shape);
}

#define LAPS_FAR (OFFSET_MAX / 4) /* no ring is as long */

/*
 * still_there, of a slot that was found, without the shape. What a reset leaves behind has offsets below the new tails, or, where they
 * began anew, so far above them that no entry can be there.
 */
static force_inline int surely_there(const struct quick *quick, uint64_t slot)
{
    fence_acquire();
    return likely(slot_offset(slot) - load_acquire(&quick->tail[slot_ring(slot)]) < LAPS_FAR);
}

static force_inline void count_use(uint8_t *uses)
{
    uint8_t used = load_relaxed(uses);
    if (used < USES_MAX)
        store_relaxed(uses, (uint8_t)(used + 1));
}

#define L1_ASK 101      /* l1_get does not know: ask l1_get_any */
#define L1_ASK_FULL 102 /* the lean half does not know: ask the full one, and do so at once from now on */
#define L1_ASK_ROOM 103 /* the value has too little memory: ask the full half */
#define L1_ASK_LEAN 104 /* it needs the time, or a tag's mark: ask the lean half, and do so at once from now on */

/* How much a quick hit can do: LEAN calls nothing but the clock; LASTING not even that, nor does it look for marks of tags. */
enum half { FULL, LEAN, LASTING };

#define LEAN_KEY_MAX 64
#define LEAN_VALUE_MAX 128

_Static_assert(QUICK_ROOM >= ENTRY_HEADER + 8 + 8 * LIBCACHE_TAGS_MAX + LEAN_KEY_MAX + LEAN_VALUE_MAX, "an entry of the lean half may be read");

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

static force_inline uint64_t entry_word(const unsigned char *entry, int i)
{
    return load_relaxed((const uint64_t *)(const void *)entry + i);
}

/* 1: it no longer is, or nothing has been heard for too long. */
static force_inline int is_late(const struct l1_view *view, const unsigned char *entry, uint64_t life)
{
    uint64_t due, now;

    compute_now(entry); /* no address of the common way is kept for this one */
    due = due_time(view, life, entry_word(entry, 2));
    now = l1_time(view->l1);
    return now >= due || l1_unheard(view->l1, now);
}

/* What a hint is made of, at the end; volatile, so that it has no registers until then. */
struct due_hint {
    volatile uint64_t hash, era; /* era: the stripe's, before the slot was read */
};

/* How a reader came by a slot. */
struct way {
    const struct quick *quick;
    uint64_t slot;
    uint8_t *uses;             /* of the slot; NULL: by a hint */
    const struct due_hint *due; /* else */
};

/* This hit was a use. */
static force_inline void count_way(const struct l1_view *view, const struct way *way)
{
    uint8_t used;

    if (!way->uses)
        return;
    used = load_relaxed(way->uses);
    if (used < USES_MAX)
        store_relaxed(way->uses, (uint8_t)(used + 1));
    else
        hint_give(hint_of(view->hints, view->hint_mask, way->due->hash), way->slot, way->due->era);
}

/*
 * The second half of a hit: the entry is the namespace's, its key has that size and is at p, and no tag of it was invalidated.
 * `flags` are the user's.
 */
static force_inline int take_hit(const struct l1_view *view, const struct way *way, const unsigned char *entry,
                                 const unsigned char *p, uint64_t what, uint64_t stamp, volatile const uint32_t *flags,
                                 const void *key, size_t key_size,
                                 libcache_value *value, enum half half)
{
    int lean = half != FULL;
    uint64_t size, life;

    if (unlikely(word_above(&view->head->mark_all, stamp)) || unlikely(word_above(view->mark, stamp)))
        return L1_ASK;
    if (!lean && unlikely(p + key_size + (what & ENTRY_VALUE_MAX) > way->quick->last + QUICK_ROOM))
        return L1_ASK;
    if (unlikely(!shared_equal(p, key, key_size)))
        return L1_ASK;
    life = entry_word(entry, 1);
    p += key_size;
    compute_now(p); /* neither this nor the size is kept any earlier */
    compute_now(what);
    size = what & ENTRY_VALUE_MAX;
    if (lean && unlikely(size > LEAN_VALUE_MAX))
        return L1_ASK_FULL;
    if (unlikely(life << 24 | view->timed)) {
        if (half == LASTING)
            return L1_ASK_LEAN;
        if (is_late(view, entry, life))
            return L1_ASK;
    }
    if (unlikely(value->capacity < size || (!lean && value->reserve))) {
        int made;
        if (lean)
            return L1_ASK_ROOM;
        if (!surely_there(way->quick, way->slot))
            return L1_ASK;
        value->codec = entry_codec(what);
        value->tier = LIBCACHE_TIER_L1;
        made = l1_reserve(view->l1, value, size);
        if (made != LIBCACHE_OK)
            return made;
    }
    if (lean)
        shared_copy_short(value->data, p, size, view->wide);
    else
        shared_copy_value(value->data, p, size, view->wide);
    hook(HOOK_READ_COPIED);
    if (unlikely(!surely_there(way->quick, way->slot)))
        return L1_ASK;
    count_way(view, way);
    value->size = size;
    value->codec = entry_codec(what);
    value->flags = *flags;
    value->tier = LIBCACHE_TIER_L1;
    return LIBCACHE_HIT;
}

/* 1: none of the tags was invalidated since, as far as this half can tell. */
static force_inline int tags_vouch(const struct l1_view *view, const uint64_t *tags, uint64_t n, uint64_t stamp, enum half half)
{
    if (half == LASTING)
        return marks_tags_quiet(view->head, stamp);
    return half == LEAN ? marks_quiet(view->l1, tags, n, stamp) : marks_vouch_tags(view->l1, tags, n, stamp);
}

/* From a slot on: HIT, an error of l1_reserve, or L1_ASK and above. */
static force_inline int follow(const struct l1_view *view, const struct way *way, const void *key, size_t key_size,
                               libcache_value *value, enum half half)
{
    const unsigned char *entry = way->quick->region + (way->slot & way->quick->place) * 8, *p;
    volatile uint32_t flags = 0; /* no register */
    uint64_t what, stamp;

    if (unlikely(entry > way->quick->last))
        return L1_ASK;
    prefetch(entry + 64);
    prefetch(entry + 128);
    what = entry_word(entry, 0);
    stamp = entry_stamp(entry_word(entry, 2));
    compute_now(stamp);
    p = entry + ENTRY_HEADER;
    if (unlikely((what >> ENTRY_KEY_SHIFT) - key_size != view->what)) {
        /* User flags or tags, of which it is a plain value besides? */
        uint64_t n_tags = entry_word(entry, 3);

        compute_now(what); /* nothing is kept for this */
        flags = (uint32_t)n_tags;
        n_tags = n_tags >> 32 & ((unsigned)EXTRA_CHECK << 8 | 0xff);
        if (((what ^ ENTRY_WITH_EXTRA) >> ENTRY_KEY_SHIFT) - key_size != view->what || n_tags > LIBCACHE_TAGS_MAX)
            return L1_ASK;
        if (!tags_vouch(view, (const uint64_t *)(const void *)p + 1, n_tags, stamp, half))
            return half == LASTING ? L1_ASK_LEAN : half == LEAN ? L1_ASK_FULL : L1_ASK;
        p += 8 + n_tags * 8;
    }
    return take_hit(view, way, entry, p, what, stamp, &flags, key, key_size, value, half);
}

static force_inline const struct quick *quick_for(const struct l1_view *view, uint64_t hash)
{
    const struct quick *quick = view->quick;

    if (__builtin_expect_with_probability(view->quick_places != 0, 1, 0.6)) {
        never_select();
        quick = quick_of(quick, view->quick_places, hash);
    }
    return quick;
}

/* 1: *slot is the one that this hash's hint stands for. (0, which never was one, leads nowhere.) */
static force_inline int l1_hinted(const struct l1_view *view, const struct quick *quick, uint64_t hash, uint64_t *slot)
{
    *slot = load_relaxed(hint_of(view->hints, view->hint_mask, hash));
    return likely(hint_matches(*slot, hash, load_relaxed(&quick->s->era)));
}

/*
 * The common hit, in as few instructions as we could find: by a hint, a plain value with or without tags, memory at hand. It
 * looks at the tail once, at the end, which is enough: until then nothing is believed, only kept within the region. What the hint does not
 * lead to is L1_ASK, and for l1_get_by_bucket: that is the same, by the first match in a bucket. No match in either bucket is a miss.
 * Anything else, including any doubt, is L1_ASK there.
 */
static force_inline int l1_get_by_hint(const struct l1_view *view, const struct quick *quick, uint64_t hinted, const void *key,
                                       size_t key_size, libcache_value *value, enum half half)
{
    struct way way = { .quick = quick, .slot = hinted };

    hook(HOOK_READ_HINT);
    return follow(view, &way, key, key_size, value, half);
}

static force_inline int l1_get_by_bucket(const struct l1_view *view, const struct quick *quick, uint64_t hash, const void *key,
                                         size_t key_size, libcache_value *value, enum half half)
{
    struct due_hint due;
    struct way way = { .quick = quick, .due = &due };
    struct bucket *b;
    uint64_t shape;
    unsigned bits;
    unsigned i;

    due.hash = hash;
    due.era = load_acquire(&quick->s->era);
    shape = load_acquire(&quick->shape);
    b = quick->first_bucket - quick_index(quick, hash_first(hash), shape);
    hook(HOOK_READ_BUCKET);
    bits = bucket_match(b, hash);
    if (unlikely(!bits)) {
        const struct quick *again = quick;
        compute_now(again);
        b = again->first_bucket - quick_index(again, hash_second(hash), shape);
        bits = bucket_match(b, hash);
        if (unlikely(!bits))
            return surely_unmoved(quick, shape) ? LIBCACHE_MISS : L1_ASK;
    }
    i = match_first(bits);
    way.uses = &b->uses[i];
    way.slot = load_acquire(&b->slot[i]);
    hook(HOOK_READ_SLOT);
    return follow(view, &way, key, key_size, value, half);
}

/* The second of the two, called (read.c): inlined behind the first, it would keep a dozen registers from it, 40 instructions of a hit. */
int l1_get_by_bucket_lean(const struct l1_view *view, const struct quick *quick, const void *key, size_t key_size,
                          libcache_value *value, uint64_t hash);
int l1_get_by_bucket_full(const struct l1_view *view, const struct quick *quick, const void *key, size_t key_size,
                          libcache_value *value, uint64_t hash);

static force_inline int l1_get(const struct l1_view *view, const void *key, size_t key_size, uint64_t hash,
                               libcache_value *value, enum half half)
{
    const struct quick *quick = quick_for(view, hash);
    uint64_t hint;
    int result = l1_hinted(view, quick, hash, &hint) ? l1_get_by_hint(view, quick, hint, key, key_size, value, half) : L1_ASK;

    if (likely(result != L1_ASK))
        return result;
    return half != FULL ? l1_get_by_bucket_lean(view, quick, key, key_size, value, hash)
                        : l1_get_by_bucket_full(view, quick, key, key_size, value, hash);
}

#endif
