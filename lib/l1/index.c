/*
 * The index: from a key's hash to its entry. SPDX-License-Identifier: MIT
 *
 * A bucket is one cache line: 7 slots of 8 bytes and 7 bytes of use counts.
 *
 *      slot    | tag 16 | ring 1 | guest 1 | offset / 8: 46 |        0: free
 *
 * A key may be in either of two buckets, chosen by two halves of its hash. A new one goes to the first if that has room, so
 * that most hits touch one line of the index at most (hint.h: none); the emptier of the two would mean two lines and a coin flip. Who found no room
 * there is a guest in his second bucket, and every hit of his costs a line more and a branch that was foreseen otherwise. So guests
 * are sent home: when their bucket is split and there is room, and when somebody comes home to find a guest in his place.
 * That leaves 1 in 10 (without it 1 in 5; hits of 10 k keys took 5 % longer). The 16-bit tag
 * lets a look-up pass over the other slots (it errs once in some 5000 look-ups); the full key is compared always. A slot
 * whose offset is behind the tail of its ring is dead. Dead slots of the small ring are the ghosts of S3-FIFO: who was
 * evicted without having been used again is remembered by its tag in its bucket, at no further cost, until the slot is
 * needed. Ghosts have what the load factor leaves free: 0.6 of the entries, and where entries are large and the index
 * costs next to nothing, 1.3 of them; but none is remembered for longer than S3-FIFO would. Miss ratios follow that: with
 * 0.23 of the entries as ghosts they were 3 to 6 % higher on the web and ORM traces of docs/performance.md.
 *
 * Growth is linear hashing (Litwin, VLDB 1980): n buckets in use, n any number; hash bits choose below the next power of
 * two, and fold back if that bucket does not exist yet. One more bucket = one old one is split. So the index is always as
 * full as it should be (10/16, about 15 bytes an entry) and never rebuilt. The buckets not yet split are up to twice as full
 * as the others: where both of a key's are full, an entry of theirs moves to its other bucket (one cuckoo step; without it
 * 1 % of the entries were lost to such conflicts). A reader may miss an entry on the move, so a move counts in `shape`.
 *
 * Readers during a split: the new bucket is complete before n is published, and moved slots leave the old one after. A
 * reader with the old n finds the entry in the old bucket, or looks at n again before it says "absent".
 */
#include "l1/index.h"

#include "base/hash.h"
#include "l1/hook.h"

#define FIRST_BUCKETS 16u
#define CLAIM_SHARE 256         /* of a region: the steps in which room is claimed from main */
#define CLAIM_MIN_BYTES 1024u
#define LOAD_NUMERATOR 10u      /* at most that many entries ... */
#define LOAD_DENOMINATOR 16u    /* ... per so many slots */
#define AMPLE_NUMERATOR 7u      /* while the index is a small part of the region, at most so many */
#define AMPLE_SHARE 64          /* that part */
#define GHOST_LAPS 10u          /* of the small ring: that long is a ghost remembered */

_Static_assert(FIRST_BUCKETS >= 2, "folding needs two");

static uint32_t buckets(const struct shard *sh)
{
    return shape_buckets(load_relaxed(&sh->s->shape));
}

static uint64_t claim_for(const struct shard *sh, uint64_t n)
{
    uint64_t step = sh->region_bytes / CLAIM_SHARE / PLATFORM_LINE * PLATFORM_LINE;
    uint64_t bytes = n * sizeof(struct bucket);

    if (step < CLAIM_MIN_BYTES)
        step = CLAIM_MIN_BYTES;
    return (bytes + step - 1) / step * step;
}

/* Bytes of main's place, limit + claim. */
static uint64_t main_place(const struct shard *sh)
{
    return sh->region_bytes - sh->small_bytes;
}

void index_make(struct shard *sh)
{
    uint32_t i, n = buckets(sh);

    if (n < FIRST_BUCKETS || (uint64_t)n * sizeof(struct bucket) > main_place(sh) / 2)
        n = FIRST_BUCKETS;
    for (i = 0; i < n; i++) {
        struct bucket *b = index_bucket(sh, i);
        for (int j = 0; j < BUCKET_SLOTS; j++)
            store_relaxed(&b->slot[j], 0);
    }
    store_relaxed(&sh->s->main_limit, main_place(sh) - claim_for(sh, n));
    store_release(&sh->s->shape, shape_with(load_relaxed(&sh->s->shape), n));
}

static int is_recent_ghost(const struct shard *sh, uint64_t slot)
{
    uint64_t laps = (sh->s->ring[SMALL].head >> sh->lap_shift) - (slot_offset(slot) >> sh->lap_shift);
    return slot && slot_ring(slot) == SMALL && slot_dead(sh, slot) && laps <= GHOST_LAPS;
}

void index_seek(const struct shard *sh, const struct l1_key *key, struct sought *sought, struct entry *e, unsigned char **p)
{
    struct place none = { NULL, 0 };

    sought->shape = load_relaxed(&sh->s->shape);
    sought->pair = index_pair(sh, key->hash, sought->shape);
    sought->place = sought->ghost = none;
    for (int k = 0; k < 2; k++) {
        struct bucket *b = sought->pair.bucket[k];
        for (unsigned bits = bucket_match(b, key->hash); bits; bits &= bits - 1) {
            struct place place = { b, (int)match_first(bits) };
            uint64_t slot = load_relaxed(&b->slot[place.i]);
            if (slot_dead(sh, slot)) {
                if (!sought->ghost.bucket && is_recent_ghost(sh, slot))
                    sought->ghost = place;
                continue;
            }
            if (ring_entry(sh, slot_ring(slot), slot_offset(slot), e, p) && e->ns == key->ns && e->key_size == key->size &&
                shared_equal(*p + e->key_at, key->data, key->size)) {
                sought->place = place;
                return;
            }
        }
    }
}

/* The most welcome of a bucket's dead slots: free ones first, then ghosts by age. Bucket NULL: all are alive. */
static struct place dead_slot(const struct shard *sh, struct bucket *b)
{
    uint64_t oldest = UINT64_MAX, tail_small = load_relaxed(&sh->s->tail[SMALL]), tail_main = load_relaxed(&sh->s->tail[MAIN]);
    struct place place = { NULL, 0 };

    for (int i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t slot = load_relaxed(&b->slot[i]), offset = slot_offset(slot);
        int in_main = slot_ring(slot) == MAIN;
        if (offset < (in_main ? tail_main : tail_small) && (in_main ? 1 : offset) < oldest) {
            oldest = in_main ? 1 : offset;
            place = (struct place){ b, i };
        }
    }
    return place;
}

/* How welcome it is that an entry goes: by use, then ring, then age. */
static uint64_t reluctance(struct place place)
{
    uint64_t slot = load_relaxed(&place.bucket->slot[place.i]);

    return (uint64_t)load_relaxed(&place.bucket->uses[place.i]) << 52 | (uint64_t)slot_ring(slot) << 51 | slot_offset(slot);
}

/*
 * Moves an entry of this bucket to its other one, if that has room, ghosts' or not. 1: the slot is free now. The walker may have
 * been in that bucket already and not in this one: what he would drop is dropped, and what he would note is noted.
 */
static int move_out(struct shard *sh, struct place from, int over_ghosts)
{
    uint64_t slot = load_relaxed(&from.bucket->slot[from.i]), shape = load_relaxed(&sh->s->shape);
    struct bucket *other;
    struct pair pair;
    struct place to;
    struct entry e;
    unsigned char *p;

    if (!ring_entry(sh, slot_ring(slot), slot_offset(slot), &e, &p))
        return 0;
    if (index_drop_stale(sh, from, slot, &e, p))
        return 1;
    pair = index_pair(sh, l1_key_of(sh->l1, e.ns, p + e.key_at, e.key_size).hash, shape);
    other = pair.bucket[slot & SLOT_GUEST ? 0 : 1];
    to = dead_slot(sh, other);
    if (other == from.bucket || !to.bucket || (!over_ghosts && is_recent_ghost(sh, load_relaxed(&to.bucket->slot[to.i]))))
        return 0;
    store_relaxed(&sh->s->dirty, 1);
    hook(HOOK_SPLIT_MARKED);
    store_relaxed(&to.bucket->uses[to.i], load_relaxed(&from.bucket->uses[from.i]));
    index_publish(to, slot ^ SLOT_GUEST);
    hook(HOOK_SPLIT_COPIED);
    store_release(&sh->s->shape, shape + SHAPE_CHANGE);
    index_publish(from, 0);
    store_relaxed(&sh->s->dirty, 0);
    stripe_note_expiry(sh, e.expiry);
    return 1;
}

/* All slots of both buckets are alive: a place for one more nevertheless. */
static __attribute__((noinline)) struct place make_place(struct shard *sh, const struct pair *pair)
{
    struct place best = { pair->bucket[0], 0 };
    struct entry e;
    unsigned char *p;
    uint64_t slot;

    for (int k = 0; k < 2; k++)
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            struct place place = { pair->bucket[k], i };
            if (move_out(sh, place, 1))
                return place;
            if (reluctance(place) < reluctance(best))
                best = place;
        }
    slot = load_relaxed(&best.bucket->slot[best.i]);
    if (ring_entry(sh, slot_ring(slot), slot_offset(slot), &e, &p)) {
        index_swing(best, p, 0);
        stripe_count_dead(sh, slot_ring(slot), &e);
        bump(sh->s->space[e.ns].evictions, 1);
    } else {
        index_publish(best, 0);
    }
    bump(sh->s->evictions, 1);
    bump(sh->s->conflicts, 1);
    return best;
}

static int is_guest(const struct shard *sh, struct place place)
{
    uint64_t slot = load_relaxed(&place.bucket->slot[place.i]);

    return (slot & SLOT_GUEST) && !slot_dead(sh, slot);
}

/* The place of a guest of this bucket that could go home, or bucket NULL. */
static struct place turn_out(struct shard *sh, struct bucket *b)
{
    for (int i = 0; i < BUCKET_SLOTS; i++) {
        struct place place = { b, i };
        if (is_guest(sh, place) && move_out(sh, place, 1))
            return place;
    }
    return (struct place){ NULL, 0 };
}

struct place index_take_place(struct shard *sh, const struct sought *sought)
{
    struct place place = sought->ghost;

    if (!place.bucket)
        place = dead_slot(sh, sought->pair.bucket[0]);
    if (!place.bucket)
        place = turn_out(sh, sought->pair.bucket[0]);
    if (!place.bucket)
        place = dead_slot(sh, sought->pair.bucket[1]);
    return place.bucket ? place : make_place(sh, &sought->pair);
}

/* Room for n buckets. Claims more from main when nothing of main is there; else main's next laps end earlier. */
static int claim(struct shard *sh, uint32_t n)
{
    uint64_t limit = main_place(sh) - claim_for(sh, n);
    uint64_t head = sh->s->ring[MAIN].head, tail = load_relaxed(&sh->s->tail[MAIN]);

    if (limit < main_place(sh) / 2)
        return 0;
    if (limit < sh->s->main_limit)
        store_relaxed(&sh->s->main_limit, limit);
    if (ring_place(sh, MAIN, head) > limit)
        return 0;
    return head >> sh->lap_shift == tail >> sh->lap_shift || sh->s->ring[MAIN].wrap_end <= limit;
}

/* Guests of this bucket go home where there is room that nobody else could want. */
static void send_home(struct shard *sh, struct bucket *b)
{
    for (int i = 0; i < BUCKET_SLOTS; i++) {
        struct place place = { b, i };
        if (is_guest(sh, place))
            move_out(sh, place, 0);
    }
}

static void split(struct shard *sh)
{
    uint64_t shape = load_relaxed(&sh->s->shape), grown = shape_with(shape, shape_buckets(shape) + 1);
    uint32_t n = shape_buckets(shape), source = n - ((UINT32_MAX >> __builtin_clz(n)) + 1) / 2;
    struct bucket *from = index_bucket(sh, source), *to = index_bucket(sh, n);
    uint8_t moved = 0;

    store_relaxed(&sh->s->dirty, 1);
    hook(HOOK_SPLIT_MARKED);
    for (int i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t slot = load_relaxed(&from->slot[i]), hash;
        struct entry e;
        unsigned char *p;
        store_relaxed(&to->slot[i], 0);
        store_relaxed(&to->uses[i], load_relaxed(&from->uses[i]));
        if (!slot || slot_dead(sh, slot) || !ring_entry(sh, slot_ring(slot), slot_offset(slot), &e, &p))
            continue;
        hash = l1_key_of(sh->l1, e.ns, p + e.key_at, e.key_size).hash;
        if (bucket_of(slot & SLOT_GUEST ? hash_second(hash) : hash_first(hash), grown) == source)
            continue;
        store_relaxed(&to->slot[i], slot);
        moved |= (uint8_t)(1u << i);
    }
    hook(HOOK_SPLIT_COPIED);
    store_release(&sh->s->shape, grown);
    hook(HOOK_SPLIT_PUBLISHED);
    for (int i = 0; i < BUCKET_SLOTS; i++)
        if (moved >> i & 1)
            store_release(&from->slot[i], 0);
    store_relaxed(&sh->s->dirty, 0);
    send_home(sh, from);
    send_home(sh, to);
}

const char *index_check(const struct shard *sh)
{
    uint64_t shape = load_relaxed(&sh->s->shape);

    for (uint32_t n = 0; n < shape_buckets(shape); n++)
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            struct bucket *b = index_bucket(sh, n);
            uint64_t slot = load_relaxed(&b->slot[i]);
            struct pair pair;
            struct entry e;
            unsigned char *p;
            if (!slot || slot_dead(sh, slot) || !ring_entry(sh, slot_ring(slot), slot_offset(slot), &e, &p))
                continue;
            pair = index_pair(sh, l1_key_of(sh->l1, e.ns, p + e.key_at, e.key_size).hash, shape);
            if (pair.bucket[slot & SLOT_GUEST ? 1 : 0] != b || slot_guest(&pair, b) != (slot & SLOT_GUEST))
                return "a slot that is not where its key is looked for";
        }
    return NULL;
}

/* 1 when n buckets are too few. */
static int wants_more(const struct shard *sh, uint64_t n)
{
    uint64_t slots = n * BUCKET_SLOTS, entries = sh->s->live_entries * LOAD_DENOMINATOR;

    return entries > slots * LOAD_NUMERATOR ||
           (entries > slots * AMPLE_NUMERATOR && n * sizeof(struct bucket) < sh->region_bytes / AMPLE_SHARE);
}

void index_grow(struct shard *sh)
{
    for (int k = 0; k < 2; k++) {
        uint32_t n = buckets(sh);
        if (!wants_more(sh, n) || !claim(sh, n + 1))
            return;
        split(sh);
    }
}
