/*
 * Reading without a lock. SPDX-License-Identifier: MIT
 *
 *      slot --> tail --> header, key --> value copied --> tail again, shape again --> uses
 *      (or a hint, which may stand for the slot: hint.h)
 *
 * A reader writes nothing to the segment but at most one plain byte (uses) and a counter of his own (metrics/counters.h; he who only
 * looks at the segment not even those), takes no lock or pin, so a reader that
 * is killed leaves nothing behind. What keeps it right:
 *
 *   1. A slot is published (release) after the entry's bytes; it is read with acquire. So the bytes are there.
 *   2. A writer moves the tail before it overwrites what is behind it (release fence). The reader looks at the tail again
 *      after its copy (acquire fence): offset still >= tail means that no byte of the copy was overwritten.
 *   3. A key that differs means nothing until the same second look: reused bytes are not "another key". And "absent" is
 *      said only when `shape` is what it was, or a split may have moved the slot between our looks at the two buckets.
 *   4. A dead slot (behind the tail) is a ghost, unless it has been swung to a survivor's copy meanwhile: read it again.
 *   5. `shape` also counts moves between buckets, and resets of the stripe, after which offsets may begin anew.
 *      The quick look-up (hit.h) begins with the shape this process saw last; it says "absent" only if that is still the stripe's.
 *      For a hit that does not matter: a slot that was found leads to the key's entry or to none. A reset puts the tails
 *      beyond all slots there were, but where offsets begin anew, and then old ones are too far above the tail to be believed
 *      (but for ghosts of half the offsets ago, whose bytes are no longer their key's).
 *   6. An entry that was buried after its slot was read is still what was there when it was read; the quick look-up asks again, and
 *      must where it came by a hint.
 * Everything a header says is checked against the region before it is used, so nonsense cannot lead outside.
 *
 * Whoever loses that race 16 times takes the lock.
 *
 * Linearization: a hit takes effect when the slot is read, or, by a hint, the entry's first word; a set when the slot is published. A set that has returned has
 * published, so every later get reads the new slot (G1). Marks are read after the slot: an invalidation that has returned
 * before the get began is seen.
 */
#include "l1/hit.h"

#include "base/decimal.h"

#define RACES_MAX 16
#define LOCKED_TRIES 64

uint64_t l1_now(const struct l1 *l1)
{
    return l1_time(l1);
}

/* Memory for `size` bytes in the value. OK, ENOMEM or ETOOBIG. */
int l1_reserve(const struct l1 *l1, libcache_value *value, size_t size)
{
    if (value->reserve) {
        void *data = value->reserve(value, size);
        if (!data)
            return LIBCACHE_ENOMEM;
        value->data = data;
        value->capacity = size;
        return LIBCACHE_OK;
    }
    if (value->capacity >= size)
        return LIBCACHE_OK;
    if (value->data && !value->owner) {
        value->size = size;
        return LIBCACHE_ETOOBIG;
    } else {
        size_t capacity = (size + size / 4 + 64) & ~(size_t)63;
        void *data = memory_get(l1->allocator, capacity);
        if (!data)
            return LIBCACHE_ENOMEM;
        if (value->owner)
            memory_free(value->owner, value->data);
        value->data = data;
        value->capacity = capacity;
        value->owner = l1->allocator;
        return LIBCACHE_OK;
    }
}

/* 1: it was stored before the time of which nothing is known; what was stored since is bounded by its end (write.c). */
static force_inline int out_of_touch(const struct l1 *l1, const struct entry *e, uint64_t now)
{
    return l1_unheard(l1, now) && e->created <= l1_last_heard(l1) + l1->max_stale_ms;
}

/* HIT, STALE, NEGATIVE or MISS, of an entry that is the key's, at a time. Past its end it is STALE for who asks with L1_LATE. */
static force_inline int judge_at(const struct l1 *l1, const unsigned char *p, const struct entry *e, uint64_t soft_ttl_ms,
                                 uint64_t now, unsigned flags)
{
    if (entry_expired(e, now) ||
        unlikely(!stripe_vouch(l1, p, e) && !(broken(GUARD_LATE_MARKS) && entry_late(e, now, l1_grace(l1, e->ns)))) ||
        unlikely(out_of_touch(l1, e, now)))
        return LIBCACHE_MISS;
    if (unlikely(entry_late(e, now, l1_grace(l1, e->ns))))
        return guard(GUARD_GRACE, flags & L1_LATE) && !(e->flags & ENTRY_NEGATIVE) && !l1_unheard(l1, now) ? LIBCACHE_STALE : LIBCACHE_MISS;
    if (unlikely(e->flags & ENTRY_NEGATIVE))
        return LIBCACHE_NEGATIVE;
    return soft_ttl_ms && !guard(GUARD_SOFT, now < e->created + soft_ttl_ms) ? LIBCACHE_STALE : LIBCACHE_HIT;
}

/* The same now; the clock is asked only where it matters. */
static force_inline int judge(const struct l1 *l1, const unsigned char *p, const struct entry *e, uint64_t soft_ttl_ms,
                               unsigned flags, uint64_t *now)
{
    if (e->expiry || soft_ttl_ms || l1->max_stale_ms || (flags & LIBCACHE_TIMES))
        *now = l1_now(l1);
    return judge_at(l1, p, e, soft_ttl_ms, *now, flags);
}

/* What goes with the bytes. */
static force_inline void describe(const struct l1 *l1, libcache_value *value, const struct entry *e, uint64_t now, unsigned flags)
{
    value->codec = e->codec;
    value->flags = e->user_flags;
    value->tier = LIBCACHE_TIER_L1;
    if (flags & LIBCACHE_TIMES) {
        value->age_ms = now > e->created ? now - e->created : 0;
        value->ttl_left_ms = entry_left(e, now, l1_grace(l1, e->ns));
        value->load_ms = e->load_ms;
    }
}

/* A found entry: what copying it needs. */
struct found {
    const unsigned char *p;
    struct entry e;
    enum ring r;
    uint64_t offset, shape;
};

#define RACED 100 /* look again */

/*
 * Not 0, and another for what is stored for the key after it: a place in the log is used again only after a stripe's reset, by an
 * entry of another time. A number changes where it is: 0.
 */
static uint64_t version_of(const struct found *f)
{
    uint64_t place = f->offset << 1 | (f->r == MAIN), birth = entry_birth(f->e.created, f->e.stamp) ^ f->e.created << 32;

    return f->e.flags & ENTRY_NUMBER ? 0 : (place * UINT64_C(0x9e3779b97f4a7c15) ^ birth * UINT64_C(0xff51afd7ed558ccd)) | 1;
}

/* 1: the caller has this version, and need not be given its bytes. */
static force_inline int is_known(libcache_value *value, const struct found *f, unsigned flags)
{
    uint64_t version, before = value->version;

    if (likely(!(flags & LIBCACHE_VERSION)))
        return 0;
    version = version_of(f);
    value->version = version;
    if (!version || version != before)
        return 0;
    value->size = f->e.value_size;
    return 1;
}

/* Copies the value. HIT (bytes are valid), RACED, MISS (checksum), ENOMEM or ETOOBIG. */
static force_inline int copy_value(const struct l1 *l1, const struct stripe *s, const struct found *f, libcache_value *value)
{
    char text[DECIMAL_MAX];
    const void *from = f->p + f->e.value_at;
    size_t size = f->e.value_size;
    uint64_t word = 0;
    int whole;

    if (unlikely(f->e.word_at)) {
        word = load_acquire((const uint64_t *)(const void *)(f->p + f->e.word_at));
        if (f->e.flags & ENTRY_NUMBER) {
            size = decimal_write(text, (int64_t)word);
            from = text;
        }
    }
    if (unlikely(value->reserve || value->capacity < size)) {
        int result;
        if (!still_there(s, f->r, f->offset, f->shape))
            return RACED; /* do not ask the host for a size that is nonsense */
        value->codec = f->e.codec;
        value->tier = LIBCACHE_TIER_L1;
        result = l1_reserve(l1, value, size);
        if (result != LIBCACHE_OK)
            return result;
    }
    shared_copy_out(value->data, from, size);
    hook(HOOK_READ_COPIED);
    whole = entry_checks(l1, f->p, &f->e, value->data);
    if (unlikely(!still_there(s, f->r, f->offset, f->shape)))
        return RACED;
    if (unlikely(!whole))
        return LIBCACHE_MISS;
    value->size = size;
    return LIBCACHE_HIT;
}

/* Finds the key's entry. HIT, MISS or RACED. */
static force_inline int find(const struct shard *sh, const struct l1_key *key, struct found *f, struct place *place)
{
    const struct stripe *s = sh->s;

    f->shape = load_acquire(&s->shape);
    if (unlikely(!shape_sane(f->shape, sh->region_bytes / sizeof(struct bucket))))
        return LIBCACHE_MISS;
    for (int k = 0; k < 2; k++) {
        struct bucket *b = index_bucket(sh, bucket_of(k ? hash_second(key->hash) : hash_first(key->hash), f->shape));
        for (unsigned bits = bucket_match(b, key->hash); bits; bits &= bits - 1) {
            int i = (int)match_first(bits);
            uint64_t slot = load_acquire(&b->slot[i]);
            unsigned char *p;
            int whole;
            f->r = slot_ring(slot);
            f->offset = slot_offset(slot);
            hook(HOOK_READ_SLOT);
            if (unlikely(load_acquire(&s->tail[f->r]) > f->offset)) {
                if (load_acquire(&b->slot[i]) != slot)
                    return RACED;
                continue;
            }
            if (unlikely(ring_bytes_after(sh, f->r, f->offset) < ENTRY_HEADER + 8))
                continue;
            p = ring_at(sh, f->offset);
            prefetch(p + 64);
            prefetch(p + 128);
            whole = ring_entry(sh, f->r, f->offset, &f->e, &p);
            if (likely(whole && f->e.ns == key->ns && f->e.key_size == key->size &&
                       shared_equal(p + f->e.key_at, key->data, key->size))) {
                f->p = p;
                *place = (struct place){ b, i };
                return LIBCACHE_HIT;
            }
            if (!still_there(s, f->r, f->offset, f->shape))
                return RACED;
        }
    }
    fence_acquire();
    return load_acquire(&s->shape) == f->shape ? LIBCACHE_MISS : RACED;
}

/* Size of the value as it is given out. */
static size_t size_out(const struct found *f)
{
    char text[DECIMAL_MAX];

    if (f->e.flags & ENTRY_NUMBER)
        return decimal_write(text, (int64_t)load_acquire((const uint64_t *)(const void *)(f->p + f->e.word_at)));
    return f->e.value_size;
}

/* The same under the lock; the value's memory is made ready with the lock given back. */
static __attribute__((noinline)) int get_locked(struct l1 *l1, const struct l1_key *key, uint64_t soft_ttl_ms,
                                                libcache_value *value, unsigned flags)
{
    struct shard sh = *l1_shard(l1, key->hash);
    size_t reserved = SIZE_MAX;

    __atomic_fetch_add(&l1->lock_fallbacks, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < LOCKED_TRIES; i++) {
        struct found f;
        struct place place;
        size_t size = 0;
        int result, memory_wanted = 0;
        sh.now = l1_now(l1);
        if (stripe_lock(&sh, flags & LIBCACHE_NO_WAIT) != LIBCACHE_OK)
            return LIBCACHE_MISS;
        result = find(&sh, key, &f, &place);
        if (result == LIBCACHE_HIT)
            result = judge_at(l1, f.p, &f.e, soft_ttl_ms, sh.now, flags);
        if (value && (result == LIBCACHE_HIT || result == LIBCACHE_STALE)) {
            void *(*reserve)(libcache_value *, size_t) = value->reserve;
            size = size_out(&f);
            if (reserve ? reserved == size : value->capacity >= size) {
                int copied;
                value->reserve = NULL;
                copied = copy_value(l1, sh.s, &f, value);
                value->reserve = reserve;
                value->version = flags & LIBCACHE_VERSION ? version_of(&f) : value->version;
                result = copied == LIBCACHE_HIT ? result : copied;
            } else {
                result = RACED;
                memory_wanted = 1;
            }
        }
        stripe_unlock(&sh);
        if (result == RACED && memory_wanted) {
            int made;
            value->codec = f.e.codec;
            value->tier = LIBCACHE_TIER_L1;
            made = l1_reserve(l1, value, size);
            if (made != LIBCACHE_OK)
                return made;
            reserved = size;
        }
        if (result == RACED)
            continue;
        if (value && result != LIBCACHE_MISS)
            describe(l1, value, &f.e, sh.now, flags);
        return result;
    }
    return LIBCACHE_MISS;
}

int l1_get_by_bucket_lean(const struct l1_view *view, const struct quick *quick, const void *key, size_t key_size,
                          libcache_value *value, uint64_t hash)
{
    return l1_get_by_bucket(view, quick, hash, key, key_size, value, LEAN);
}

int l1_get_by_bucket_full(const struct l1_view *view, const struct quick *quick, const void *key, size_t key_size,
                          libcache_value *value, uint64_t hash)
{
    return l1_get_by_bucket(view, quick, hash, key, key_size, value, FULL);
}

int l1_get_any(struct l1 *l1, const struct l1_key *key, uint64_t soft_ttl_ms, libcache_value *value, unsigned flags)
{
    uint32_t number = stripe_number(l1, key->hash);
    const struct shard *sh = &l1->shards[number];

    quick_refresh(&l1->quick[number], sh);
    for (int races = 0; races < RACES_MAX; races++) {
        struct found f;
        struct place place;
        uint64_t now = 0;
        int result = find(sh, key, &f, &place), copied;
        if (result == LIBCACHE_MISS)
            return result;
        if (unlikely(result == RACED))
            continue;
        result = judge(l1, f.p, &f.e, soft_ttl_ms, flags, &now);
        if (likely(value && (result == LIBCACHE_HIT || result == LIBCACHE_STALE))) {
            uint64_t before = value->version;
            if (unlikely(is_known(value, &f, flags)))
                copied = still_there(sh->s, f.r, f.offset, f.shape) ? LIBCACHE_HIT : RACED;
            else
                copied = copy_value(l1, sh->s, &f, value);
            if (unlikely(copied != LIBCACHE_HIT)) {
                value->version = before;
                if (copied == RACED)
                    continue;
                return copied;
            }
            if (likely(!l1->read_only))
                count_use(&place.bucket->uses[place.i]);
        } else if (!still_there(sh->s, f.r, f.offset, f.shape)) {
            continue;
        }
        if (value && result != LIBCACHE_MISS)
            describe(l1, value, &f.e, now, flags);
        return result;
    }
    return l1->read_only ? LIBCACHE_MISS : get_locked(l1, key, soft_ttl_ms, value, flags);
}

/* Of an entry of the key that is no hit. COLD: it is one, by now. */
static enum miss why_not(const struct l1 *l1, const struct found *f, uint64_t now)
{
    uint64_t tags[LIBCACHE_TAGS_MAX];
    size_t n = f->e.n_tags < LIBCACHE_TAGS_MAX ? f->e.n_tags : LIBCACHE_TAGS_MAX;

    if (entry_expired(&f->e, now) || entry_late(&f->e, now, l1_grace(l1, f->e.ns)))
        return MISS_EXPIRED;
    shared_copy_out(tags, f->p + f->e.tags_at, n * sizeof tags[0]);
    switch (l1_judge(l1, f->e.ns, tags, n, f->e.stamp)) {
    case LIBCACHE_MISS: return MISS_INVALIDATED;
    case LIBCACHE_STALE: return MISS_UNVOUCHED;
    default: return out_of_touch(l1, &f->e, now) ? MISS_UNVOUCHED : MISS_COLD;
    }
}

/* 1: a slot says that the key, by its tag, was there and was evicted. */
static int left_a_ghost(const struct shard *sh, const struct l1_key *key)
{
    uint64_t shape = load_acquire(&sh->s->shape);

    if (!shape_sane(shape, sh->region_bytes / sizeof(struct bucket)))
        return 0;
    for (int k = 0; k < 2; k++) {
        const struct bucket *b = index_bucket(sh, bucket_of(k ? hash_second(key->hash) : hash_first(key->hash), shape));
        for (unsigned bits = bucket_match(b, key->hash); bits; bits &= bits - 1) {
            uint64_t slot = load_relaxed(&b->slot[match_first(bits)]);
            if (slot && load_acquire(&sh->s->tail[slot_ring(slot)]) > slot_offset(slot))
                return 1;
        }
    }
    return 0;
}

enum miss l1_why(const struct l1 *l1, const struct l1_key *key)
{
    const struct shard *sh = l1_shard(l1, key->hash);

    for (int races = 0; races < RACES_MAX; races++) {
        struct found f;
        struct place place;
        enum miss why;
        int result = find(sh, key, &f, &place);
        if (result == LIBCACHE_MISS)
            return left_a_ghost(sh, key) ? MISS_EVICTED : MISS_COLD;
        if (result == RACED)
            continue;
        why = why_not(l1, &f, l1_now(l1));
        if (still_there(sh->s, f.r, f.offset, f.shape))
            return why;
    }
    return MISS_COLD;
}

int l1_ttl_left(struct l1 *l1, const struct l1_key *key, uint64_t *ttl_left_ms, unsigned flags)
{
    struct shard sh = shard_now(l1, stripe_number(l1, key->hash));
    uint64_t now = sh.now;
    struct found f;
    struct place place;
    int result = RACED, locked = 0;

    for (int races = 0; result == RACED; races++) {
        if (races == RACES_MAX) {
            if (l1->read_only || stripe_lock(&sh, flags & LIBCACHE_NO_WAIT) != LIBCACHE_OK)
                return LIBCACHE_MISS;
            locked = 1;
        }
        result = find(&sh, key, &f, &place);
        if (result == LIBCACHE_HIT) {
            result = judge_at(l1, f.p, &f.e, 0, now, 0) == LIBCACHE_MISS ? LIBCACHE_MISS : LIBCACHE_OK;
            if (!still_there(sh.s, f.r, f.offset, f.shape))
                result = RACED;
        }
    }
    if (locked)
        stripe_unlock(&sh);
    if (result == LIBCACHE_OK)
        *ttl_left_ms = entry_left(&f.e, now, l1_grace(l1, f.e.ns));
    return result;
}

static void prefetch_entry(const struct shard *sh, uint64_t slot)
{
    const unsigned char *p = ring_at(sh, slot_offset(slot));

    prefetch(p);
    prefetch(p + 64);
    prefetch(p + 128);
}

void l1_prefetch_index(const struct l1 *l1, const struct l1_key *key)
{
    const struct shard *sh = l1_shard(l1, key->hash);
    uint64_t shape = load_relaxed(&sh->s->shape);

    prefetch(index_bucket(sh, bucket_of(hash_first(key->hash), shape)));
    prefetch(index_bucket(sh, bucket_of(hash_second(key->hash), shape)));
}

int l1_prefetch_hinted(const struct l1 *l1, const struct l1_key *key)
{
    const struct shard *sh = l1_shard(l1, key->hash);
    uint64_t hint = load_relaxed(hint_of(l1->hints, l1->hint_mask, key->hash));

    if (!hint_matches(hint, key->hash, load_relaxed(&sh->s->era)))
        return 0;
    prefetch_entry(sh, hint);
    return 1;
}

void l1_prefetch_entry(const struct l1 *l1, const struct l1_key *key)
{
    const struct shard *sh = l1_shard(l1, key->hash);
    uint64_t shape = load_relaxed(&sh->s->shape);

    if (!shape_sane(shape, sh->region_bytes / sizeof(struct bucket)))
        return;
    for (int k = 0; k < 2; k++) {
        struct bucket *b = index_bucket(sh, bucket_of(k ? hash_second(key->hash) : hash_first(key->hash), shape));
        unsigned bits = bucket_match(b, key->hash);
        if (bits) {
            prefetch_entry(sh, load_relaxed(&b->slot[match_first(bits)]));
            return;
        }
    }
}
