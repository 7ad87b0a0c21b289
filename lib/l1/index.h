/* Finding an entry by its key's hash; see index.c. SPDX-License-Identifier: MIT */
#ifndef L1_INDEX_H
#define L1_INDEX_H
#include "l1/ring.h"

#define OFFSET_MAX (UINT64_C(1) << 49) /* offsets are below: units of 8 bytes in 46 bits */
#define SLOT_GUEST (UINT64_C(1) << 46) /* the entry is in the second of its buckets */

static force_inline uint64_t slot_make(uint64_t hash, enum ring r, uint64_t offset)
{
    return (hash >> 48 << 48) | (uint64_t)r << 47 | offset >> 3;
}

static force_inline enum ring slot_ring(uint64_t slot)
{
    return (enum ring)(slot >> 47 & 1);
}

static force_inline uint64_t slot_offset(uint64_t slot)
{
    return slot << 18 >> 15;
}

/*
 * A stripe's shape in one word: buckets in use (32 bits), how many of 32 bits are not needed to number them (8), and how
 * often slots were moved or the stripe was reset (24). The second is kept, not computed, because counting leading zeroes in
 * every get is slow where the compiler may not use lzcnt: a fifth of a hit.
 */
#define SHAPE_CHANGE (UINT64_C(1) << 40)

static force_inline uint32_t shape_buckets(uint64_t shape)
{
    return (uint32_t)shape;
}

static force_inline uint64_t shape_with(uint64_t shape, uint32_t buckets)
{
    return (shape & ~(SHAPE_CHANGE - 1)) | (uint64_t)__builtin_clz(buckets) << 32 | buckets;
}

/* 1 when no slot was moved and the stripe not reset in between; it may have grown. */
static force_inline int shape_kept(uint64_t before, uint64_t now)
{
    return (before ^ now) < SHAPE_CHANGE;
}

/* 1 when its other bits number its buckets and those are at most so many: then bucket_of stays among them. */
static force_inline int shape_sane(uint64_t shape, uint64_t most)
{
    uint64_t n = shape_buckets(shape);
    return n - 2 <= most - 2 && n >> (31 - (shape >> 32 & 31)) == 1;
}

static force_inline uint32_t shape_mask(uint64_t shape)
{
    return UINT32_MAX >> (shape >> 32 & 31);
}

/* A bucket of a hash: as many bits as number the buckets, and one fewer where that one does not exist yet. */
static force_inline uint32_t bucket_of(uint32_t h, uint64_t shape)
{
    uint32_t mask = shape_mask(shape), b = h & mask;
    return b < shape_buckets(shape) ? b : b & (mask >> 1);
}

static force_inline uint32_t hash_first(uint64_t hash)
{
    return (uint32_t)hash;
}

static force_inline uint32_t hash_second(uint64_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static force_inline struct bucket *index_bucket(const struct shard *sh, uint32_t i)
{
    return (struct bucket *)(void *)(sh->region + sh->region_bytes) - 1 - i;
}

/*
 * A set of a bucket's slots, those whose tag is a hash's: a bit for each, and nothing else. A hint: read the slot again.
 * With SSE2: the upper halves of the slots, and of the use counts, are gathered in two vectors and compared 16 bits at a time. What
 * their lower 16 bits say does not matter: packing keeps a half's sign, which is that of its upper 16 bits.
 */
static force_inline unsigned bucket_match(const struct bucket *b, uint64_t hash)
{
#if PLATFORM_SSE2
    const __m128i *lines = (const __m128i *)(const void *)b;
    const __m128i tag = _mm_shuffle_epi32(_mm_shufflelo_epi16(_mm_cvtsi64_si128((long long)hash), 0xff), 0);
    __m128 v0 = _mm_castsi128_ps(_mm_load_si128(lines)), v1 = _mm_castsi128_ps(_mm_load_si128(lines + 1));
    __m128 v2 = _mm_castsi128_ps(_mm_load_si128(lines + 2)), v3 = _mm_castsi128_ps(_mm_load_si128(lines + 3));
    __m128i low = _mm_cmpeq_epi16(_mm_castps_si128(_mm_shuffle_ps(v0, v1, 0xdd)), tag);
    __m128i high = _mm_cmpeq_epi16(_mm_castps_si128(_mm_shuffle_ps(v2, v3, 0xdd)), tag);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi32(low, high)) & 0x2aaa;
#else
    unsigned bits = 0;
    for (int i = 0; i < BUCKET_SLOTS; i++)
        bits |= (unsigned)((load_relaxed(&b->slot[i]) ^ hash) >> 48 == 0) << (2 * i + 1);
    return bits;
#endif
}

/* The first of a set that is not empty. */
static force_inline unsigned match_first(unsigned bits)
{
    return (unsigned)__builtin_ctz(bits) / 2;
}

/* A slot's place. */
struct place {
    struct bucket *bucket;
    int i;
};

/* Everything below is called under the stripe's lock. */

/* Empty, with the first few buckets. */
void index_make(struct shard *sh);

/* A key's two buckets, the same twice when they fall together. */
struct pair {
    struct bucket *bucket[2];
};

static force_inline struct pair index_pair(const struct shard *sh, uint64_t hash, uint64_t shape)
{
    return (struct pair){ { index_bucket(sh, bucket_of(hash_first(hash), shape)),
                            index_bucket(sh, bucket_of(hash_second(hash), shape)) } };
}

/*
 * What one look at a key's buckets says, as long as the shape stays. Reclaiming may swing the slot or make it a ghost; it
 * gives neither that nor a ghost's to another key.
 */
struct sought {
    struct pair pair;
    uint64_t shape;
    struct place place; /* of the key's live slot, or bucket NULL */
    struct place ghost; /* if that is NULL: of a slot that says it was evicted from the small ring not long ago, or NULL */
};

/* Looks for a key; its entry, where there is one, is decoded into *e, at *p. */
void index_seek(const struct shard *sh, const struct l1_key *key, struct sought *sought, struct entry *e, unsigned char **p);

/*
 * A slot for a new entry: the ghost's if there is one, else a free one or the oldest ghost's in the first bucket, else a guest's there
 * that can go home, else one in the second bucket, else that of the least used entry in both buckets, which is evicted.
 */
struct place index_take_place(struct shard *sh, const struct sought *sought);

/* What a slot of the key's says of its place, to be added to it. */
static force_inline uint64_t slot_guest(const struct pair *pair, const struct bucket *b)
{
    return b == pair->bucket[0] ? 0 : SLOT_GUEST;
}

/* Puts a slot word where it can be found: one 8-byte store. */
static force_inline void index_publish(struct place place, uint64_t slot)
{
    store_release(&place.bucket->slot[place.i], slot);
}

/* The slot of the entry at p leads to `slot` from now on: its next place, what replaces it, or (0) nothing. */
static force_inline void index_swing(struct place place, unsigned char *p, uint64_t slot)
{
    entry_bury(p);
    hook(HOOK_BURIED);
    index_publish(place, slot);
}

/* 1: the place's entry was expired or invalidated, and is dropped now. */
static force_inline int index_drop_stale(struct shard *sh, struct place place, uint64_t slot, const struct entry *e, unsigned char *p)
{
    if (!entry_expired(e, sh->now) && stripe_vouch(sh->l1, p, e))
        return 0;
    index_swing(place, p, 0);
    stripe_count_dead(sh, slot_ring(slot), e);
    bump(sh->s->reclaimed, 1);
    return 1;
}

/* The place that holds exactly this slot word, a guest's or not, or bucket NULL. */
static force_inline struct place index_find_slot(const struct shard *sh, uint64_t hash, uint64_t slot)
{
    struct pair pair = index_pair(sh, hash, load_relaxed(&sh->s->shape));

    for (int k = 0; k < 2; k++)
        for (int i = 0; i < BUCKET_SLOTS; i++)
            if (load_relaxed(&pair.bucket[k]->slot[i]) == (k ? slot | SLOT_GUEST : slot))
                return (struct place){ pair.bucket[k], i };
    return (struct place){ NULL, 0 };
}

/* NULL, or what is wrong with where slots are. */
const char *index_check(const struct shard *sh);

/* Grows by a bucket or two when the entries have become too many for it. */
void index_grow(struct shard *sh);

/* 1 when the slot's entry has been overwritten or dropped: free or a ghost. */
static force_inline int slot_dead(const struct shard *sh, uint64_t slot)
{
    return slot_offset(slot) < load_relaxed(&sh->s->tail[slot_ring(slot)]);
}

#endif
