/*
 * Rings: S3-FIFO in the form of two circular logs. SPDX-License-Identifier: MIT
 *
 *                tail                        head
 *      ...........|##a##|xxxx|#b#|###c###|....|      lap k      # live   x dead   . free
 *
 * Offsets are 64-bit and only ever grow: a lap is 1 << lap_shift, the low bits of an offset are its place in the region, for
 * both rings, so that a reader need not know which ring it is. A ring has but a part of those places, its own from the first to its
 * limit; at the end of them the head jumps to the first one of the next lap, noting in wrap_end where this one ended. "Is that
 * entry still there" is one compare of its offset with the tail. An entry is always contiguous.
 * A lap of the small ring uses up ten to twenty times its bytes of offsets, which are below 2^49: they last for 25 TB of stores
 * in a stripe, three months at 3 MB a second. Then the stripe is emptied (stripe.c).
 *
 * Eviction is S3-FIFO (Yang, Zhang, Qiu, Yue, Vigfusson: "FIFO queues are all you need for cache eviction", SOSP 2023):
 *   small ring   newcomers. At its tail, an entry that was used twice or more moves to main; any other goes, and its slot
 *                stays behind as a ghost: a store of the same key soon after goes straight to main.
 *   main ring    at its tail, an entry that was used since its last pass is copied to the head with one use less; any
 *                other goes.
 *   filling      while nothing has had to go yet, or so much of main is dead (overwritten, deleted, expired) that nothing
 *                alive needs to go, whatever is alive moves on: that is also how dead room is compacted.
 * What no slot leads to is known by its head, mostly; else by looking for its slot, which is what an entry's key is hashed
 * for when the tail comes to it.
 * Survivors are copied forward before their tail is passed, so a reader always finds the entry in one place or the other.
 * That needs a gap between head and tail of at least the next survivor's size, which a reclaim leaves behind ("slack", the
 * largest entry of late). At the end of a lap, the head stays until the front has as much room. Where the gap does not do, or a reclaim has copied enough, entries go instead: the lock is held
 * for a bounded time.
 */
#include "l1/ring.h"

#include "base/hash.h"
#include "l1/hook.h"
#include "l1/index.h"

#define PROMOTE_USES 2          /* in the small ring; libCacheSim's default too */
#define SURVIVORS_MAX 256       /* entries copied forward in one reclaim ... */
#define SURVIVOR_BYTES_MAX (UINT64_C(2) << 20) /* ... and bytes, but one entry in any case */
#define SLACK_SHARE 8           /* the gap is at most this part of a ring */
#define BATCH_BYTES 2048        /* reclaim a little more than is needed, for locality */
#define DEAD_SHARE 16           /* more than this part of main dead: compact */

#define AHEAD_LEAST_BYTES (UINT64_C(4) << 20) /* smaller stripes are in the processor's cache anyway */

/* What one reclaim may still do. */
struct effort {
    unsigned survivors;
    uint64_t bytes;
};

static uint64_t lap_of(const struct shard *sh, uint64_t offset)
{
    return offset >> sh->lap_shift;
}

/* Where a lap begins. */
static uint64_t lap_begin(const struct shard *sh, enum ring r, uint64_t lap)
{
    return (lap << sh->lap_shift) + sh->begin[r];
}

/*
 * After this store no reader trusts bytes before the tail. The fence keeps the overwriting of those bytes behind it; it
 * pairs with the acquire fence between a reader's copy and its second look at the tail.
 */
static void set_tail(struct shard *sh, enum ring r, uint64_t tail)
{
    hook(HOOK_TAIL);
    store_release(&sh->s->tail[r], tail);
    fence_release();
}

void ring_make(struct shard *sh, enum ring r, uint64_t lap)
{
    struct ring_state *ring = &sh->s->ring[r];

    store_relaxed(&ring->live, 0);
    ring->dead = ring->wrap_end = ring->biggest = ring->biggest_before = ring->ahead = 0;
    store_relaxed(&ring->head, lap_begin(sh, r, lap));
    set_tail(sh, r, ring->head);
}

int ring_sane(const struct shard *sh, enum ring r)
{
    const struct ring_state *ring = &sh->s->ring[r];
    uint64_t tail = load_relaxed(&sh->s->tail[r]), head = ring->head;
    uint64_t place = r == SMALL ? sh->small_bytes : sh->region_bytes - sh->small_bytes;
    uint64_t laps = lap_of(sh, head) - lap_of(sh, tail);

    if (((head | tail | ring->wrap_end) & 7) || tail > head || head >= OFFSET_MAX || laps > 1 || lap_of(sh, tail) == 0 ||
        ring_place(sh, r, head) > place || ring_place(sh, r, tail) > place)
        return 0;
    if (laps == 1 && (ring->wrap_end > place || ring_place(sh, r, tail) > ring->wrap_end ||
                      ring_place(sh, r, head) > ring_place(sh, r, tail)))
        return 0;
    return 1;
}

uint64_t ring_used(const struct shard *sh, enum ring r)
{
    uint64_t tail = load_relaxed(&sh->s->tail[r]), head = sh->s->ring[r].head;

    if (lap_of(sh, tail) == lap_of(sh, head))
        return head - tail;
    return sh->s->ring[r].wrap_end - ring_place(sh, r, tail) + ring_place(sh, r, head);
}

/* From a tail that has reached the end of its lap to the next one. */
static uint64_t settled(const struct shard *sh, enum ring r, uint64_t tail)
{
    const struct ring_state *ring = &sh->s->ring[r];

    if (lap_of(sh, tail) < lap_of(sh, ring->head) && ring_place(sh, r, tail) >= ring->wrap_end)
        return lap_begin(sh, r, lap_of(sh, tail) + 1);
    return tail;
}

int ring_walkable(const struct shard *sh, enum ring r)
{
    uint64_t offset = settled(sh, r, load_relaxed(&sh->s->tail[r]));

    while (offset < sh->s->ring[r].head) {
        struct entry e;
        unsigned char *p;
        if (!ring_entry(sh, r, offset, &e, &p))
            return 0;
        offset = settled(sh, r, offset + e.bytes);
    }
    return offset == sh->s->ring[r].head;
}

/* has_room where the head or the tail is at the end of its lap. */
static __attribute__((noinline)) int has_room_at_end(struct shard *sh, enum ring r, uint64_t bytes)
{
    struct ring_state *ring = &sh->s->ring[r];
    uint64_t limit = ring_limit(sh, r), tail, at;

    if (bytes > limit)
        return 0;
    for (;;) {
        tail = load_relaxed(&sh->s->tail[r]);
        at = ring_place(sh, r, ring->head);
        if (lap_of(sh, tail) != lap_of(sh, ring->head)) {
            uint64_t end = ring_place(sh, r, tail);
            if (end >= ring->wrap_end) {
                set_tail(sh, r, settled(sh, r, tail));
                continue;
            }
            return at + bytes <= (end < limit ? end : limit);
        }
        if (at + bytes <= limit)
            return 1;
        if (tail != ring->head && ring_place(sh, r, tail) < bytes)
            return 0; /* stay: what is kept from the front must still find room here */
        ring->wrap_end = at;
        hook(HOOK_WRAPPING);
        store_relaxed(&ring->head, lap_begin(sh, r, lap_of(sh, ring->head) + 1));
        ring->biggest_before = ring->biggest;
        ring->biggest = 0;
    }
}

/* Contiguous bytes at the head without evicting anything, after a jump to the next lap where that helps. */
static force_inline int has_room(struct shard *sh, enum ring r, uint64_t bytes)
{
    const struct ring_state *ring = &sh->s->ring[r];
    uint64_t limit = ring_limit(sh, r), tail = load_relaxed(&sh->s->tail[r]);
    uint64_t last = ring_place(sh, r, ring->head) + bytes, end = ring_place(sh, r, tail);

    if (likely(lap_of(sh, tail) != lap_of(sh, ring->head) && end < ring->wrap_end))
        return last <= (end < limit ? end : limit);
    return has_room_at_end(sh, r, bytes);
}

void ring_advance(struct shard *sh, enum ring r, uint64_t bytes)
{
    struct ring_state *ring = &sh->s->ring[r];

    bump(ring->head, bytes);
    if (bytes > ring->biggest)
        ring->biggest = bytes;
    hook(HOOK_HEAD_ADVANCED);
}

int main_is_sparse(const struct shard *sh)
{
    const struct ring_state *ring = &sh->s->ring[MAIN];

    return ring->dead > sh->s->main_limit / DEAD_SHARE;
}

/* The namespace has more than its share of this stripe. */
static int over_share(const struct shard *sh, uint32_t ns)
{
    uint32_t share = load_relaxed(&sh->l1->spaces[ns].share);

    return share < 100 && sh->s->space[ns].bytes > sh->region_bytes / 100 * share;
}

/* Copies the entry to main's head and swings its slot. 0: no room there. */
static int move_to_main(struct shard *sh, struct place place, enum ring from, unsigned char *p,
                        const struct entry *e, uint64_t hash, uint8_t uses)
{
    uint64_t to;

    if (!has_room(sh, MAIN, e->bytes))
        return 0;
    to = ring_head(sh, MAIN);
    shared_copy_in(ring_at(sh, to), p, e->bytes); /* only who has the lock writes entries that can be found */
    ring_advance(sh, MAIN, e->bytes);
    store_relaxed(&place.bucket->uses[place.i], uses);
    index_swing(place, p, slot_make(hash, MAIN, to) | (load_relaxed(&place.bucket->slot[place.i]) & SLOT_GUEST));
    hook(HOOK_SURVIVOR);
    bump(sh->s->ring[from].live, -e->bytes);
    bump(sh->s->ring[MAIN].live, e->bytes);
    bump(sh->s->survivors, 1);
    return 1;
}

/* The use count a survivor goes on with: used up by being kept, but not while nothing needs to go. */
static uint8_t uses_after(const struct shard *sh, enum ring r, uint8_t uses)
{
    if (r == SMALL)
        return sh->s->main_filled ? 0 : uses;
    return uses ? (uint8_t)(uses - 1) : 0;
}

static void evict(struct shard *sh, struct place place, enum ring r, const struct entry *e, unsigned char *p, int ghost)
{
    if (!ghost)
        index_swing(place, p, 0);
    else
        store_relaxed(&place.bucket->uses[place.i], 0);
    stripe_count_out(sh, r, e->ns, e->bytes);
}

/* What is to stay free behind the bytes asked for: in main, room for the next survivor. */
static uint64_t slack_of(const struct shard *sh, enum ring r)
{
    const struct ring_state *ring = &sh->s->ring[r];
    uint64_t limit = ring_limit(sh, r), slack = ring->biggest > ring->biggest_before ? ring->biggest : ring->biggest_before;

    if (r == SMALL)
        return 0;
    return slack < limit / SLACK_SHARE ? slack : limit / SLACK_SHARE;
}

static int is_spent(const struct effort *effort, uint64_t bytes)
{
    return effort->survivors >= SURVIVORS_MAX || (effort->survivors && effort->bytes + bytes > SURVIVOR_BYTES_MAX);
}

static int make_room(struct shard *sh, enum ring r, uint64_t bytes, struct effort *effort, int promotion);

/*
 * Asks for the memory that reclaiming the entry behind this one will need: its buckets, and the entry after it. A store in
 * a large cache is bound by these misses, which would otherwise follow each other under the lock.
 */
static void look_ahead(struct shard *sh, enum ring r, uint64_t next)
{
    struct ring_state *ring = &sh->s->ring[r];
    struct entry e;
    struct pair pair;
    unsigned char *p;

    if (sh->region_bytes < AHEAD_LEAST_BYTES || next >= ring->head || !ring_entry(sh, r, next, &e, &p))
        return;
    prefetch(p + e.bytes);
    prefetch(p + e.bytes + PLATFORM_LINE);
    if (e.flags & ENTRY_BURIED)
        return;
    ring->ahead = 0; /* no entry's: who dies here leaves no wrong hash */
    store_release(&ring->ahead_hash, l1_key_of(sh->l1, e.ns, p + e.key_at, e.key_size).hash);
    store_release(&ring->ahead, next);
    pair = index_pair(sh, ring->ahead_hash, load_relaxed(&sh->s->shape));
    prefetch(pair.bucket[0]);
    prefetch(pair.bucket[1]);
}

/* 1 when the entry with this use count, which the tail has reached, is to go on in main. */
static int is_kept(struct shard *sh, enum ring r, const struct entry *e, uint8_t uses, struct effort *effort)
{
    int wanted = uses >= (r == SMALL ? PROMOTE_USES : 1) || main_is_sparse(sh);

    if (r == MAIN)
        return wanted && !over_share(sh, e->ns) && !is_spent(effort, e->bytes);
    if ((!wanted && sh->s->main_filled) || over_share(sh, e->ns))
        return 0;
    return has_room(sh, MAIN, e->bytes + slack_of(sh, MAIN)) || (wanted && make_room(sh, MAIN, e->bytes, effort, 1));
}

/* Takes the entry at the tail out of its ring. 0: the ring is empty, or the stripe was found corrupt and emptied. */
static int reclaim_one(struct shard *sh, enum ring r, struct effort *effort)
{
    struct ring_state *ring = &sh->s->ring[r];
    uint64_t tail = settled(sh, r, load_relaxed(&sh->s->tail[r])), next, hash;
    struct place place = { NULL, 0 };
    struct entry e;
    unsigned char *p;
    uint8_t uses;

    if (tail == ring->head)
        return 0;
    if (r == MAIN)
        sh->s->main_filled = 1;
    if (!ring_entry(sh, r, tail, &e, &p)) {
        stripe_reset(sh);
        return 0;
    }
    next = tail + e.bytes;
    if (!(e.flags & ENTRY_BURIED)) {
        hash = ring->ahead == tail ? ring->ahead_hash : l1_key_of(sh->l1, e.ns, p + e.key_at, e.key_size).hash;
        look_ahead(sh, r, settled(sh, r, next));
        place = index_find_slot(sh, hash, slot_make(hash, r, tail));
    } else {
        look_ahead(sh, r, settled(sh, r, next));
    }
    if (!place.bucket) {
        ring->dead -= e.bytes < ring->dead ? e.bytes : ring->dead;
        set_tail(sh, r, settled(sh, r, next));
        return 1;
    }
    uses = load_relaxed(&place.bucket->uses[place.i]);
    if (entry_expired(&e, sh->now) || !stripe_vouch(sh->l1, p, &e)) {
        evict(sh, place, r, &e, p, 0);
        bump(sh->s->reclaimed, 1);
    } else {
        int keep = is_kept(sh, r, &e, uses, effort);
        if (settled(sh, r, load_relaxed(&sh->s->tail[r])) != tail)
            return 0; /* main was found corrupt meanwhile, and the stripe emptied */
        if (keep && move_to_main(sh, place, r, p, &e, hash, uses_after(sh, r, uses))) {
            effort->survivors++;
            effort->bytes += e.bytes;
        } else {
            evict(sh, place, r, &e, p, r == SMALL);
            bump(sh->s->evictions, 1);
            bump(sh->s->space[e.ns].evictions, 1);
        }
    }
    set_tail(sh, r, settled(sh, r, next));
    return 1;
}

static int make_room(struct shard *sh, enum ring r, uint64_t bytes, struct effort *effort, int promotion)
{
    uint64_t limit = ring_limit(sh, r);

    if (bytes > (r == SMALL ? limit : limit / 2))
        return 0;
    if (r == SMALL && !has_room(sh, r, bytes) && bytes + BATCH_BYTES < limit / 64)
        while (!has_room(sh, r, bytes + BATCH_BYTES))
            if (!reclaim_one(sh, r, effort))
                break;
    while (!has_room(sh, r, bytes + slack_of(sh, r))) {
        if (promotion && is_spent(effort, 0))
            return 0;
        if (!reclaim_one(sh, r, effort))
            return has_room(sh, r, bytes);
    }
    return 1;
}

int ring_make_room(struct shard *sh, enum ring r, uint64_t bytes)
{
    struct effort effort = { 0, 0 };

    if (likely(bytes <= ring_limit(sh, r) / 2 && has_room(sh, r, bytes + slack_of(sh, r))))
        return 1;
    return make_room(sh, r, bytes, &effort, 0);
}
