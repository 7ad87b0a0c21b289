/* SPDX-License-Identifier: MIT */
#include "l1/stripe.h"

#include "l1/hook.h"
#include "l1/hint.h"
#include "l1/lock.h"

#include <unistd.h>

#define WALK_EVERY 8 /* stores per bucket that the walker looks at */

#ifdef LIBCACHE_HOOKS
void (*hook_function)(enum hook_point point);
int broken_guard;
#endif

void stripe_make(struct shard *sh)
{
    lock_make(&sh->s->lock);
    ring_make(sh, SMALL, 1);
    ring_make(sh, MAIN, 1);
    index_make(sh);
}

/* Its live entries, that is. */
static void stripe_forget_space(struct stripe *s, uint32_t ns)
{
    store_relaxed(&s->space[ns].bytes, 0);
    store_relaxed(&s->space[ns].entries, 0);
}

void stripe_reset(struct shard *sh)
{
    struct stripe *s = sh->s;

    store_relaxed(&s->dirty, 1);
    store_release(&s->shape, load_relaxed(&s->shape) + SHAPE_CHANGE);
    for (int r = SMALL; r <= MAIN; r++) {
        uint64_t tail = load_relaxed(&s->tail[r]), newest = s->ring[r].head > tail ? s->ring[r].head : tail;
        ring_make(sh, (enum ring)r, newest < OFFSET_MAX / 2 ? (newest >> sh->lap_shift) + 1 : 1);
    }
    store_release(&s->era, load_relaxed(&s->era) + ERA);
    hook(HOOK_RESET);
    index_make(sh);
    /* Once more: who began in between has met old slots with new tails. */
    store_release(&s->shape, load_relaxed(&s->shape) + SHAPE_CHANGE);
    fence_release();
    store_relaxed(&s->live_entries, 0);
    for (uint32_t i = 0; i < sh->l1->layout.spaces; i++)
        stripe_forget_space(s, i);
    s->soonest = s->soonest_round = s->walk_bucket = 0;
    s->walk_position = s->walk_clean = l1_position(sh->l1);
    s->main_filled = 0;
    bump(s->resets, 1);
    store_relaxed(&s->dirty, 0);
}

/* Offsets are used up after 2^49 bytes: begin anew rather than overflow (how readers see it: read.c, 5). */
static int worn_out(const struct stripe *s)
{
    return s->ring[SMALL].head > OFFSET_MAX / 16 * 15 || s->ring[MAIN].head > OFFSET_MAX / 16 * 15;
}

static void repair(struct shard *sh)
{
    bump(sh->s->owner_deaths, 1);
    if (load_relaxed(&sh->s->dirty) || !ring_sane(sh, SMALL) || !ring_sane(sh, MAIN) || !stripe_recount(sh))
        stripe_reset(sh);
}

/*
 * The child of a process with a private segment: its copy of a lock may be held by a thread that the child does not have.
 * The first caller makes all locks anew and repairs the stripes that were in use; the others wait for it. `repairer` is
 * its pid, so that the child of such a child, forked in the middle of that, does not wait for a thread it does not have.
 */
static void after_fork(struct l1 *l1)
{
    int *repairer = &l1->segment.repairer, self = (int)getpid(), other = load_acquire(repairer);

    while (other == self || !__atomic_compare_exchange_n(repairer, &other, self, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        if (load_acquire(l1->segment.awake))
            return;
        other = load_acquire(repairer);
    }
    if (!load_acquire(l1->segment.awake)) {
        lock_make(&l1->head->marks_lock);
        lock_make(&l1->head->spaces_lock);
        lock_make(&l1->head->flights_lock);
        for (uint32_t i = 0; i < l1->stripes; i++) {
            struct shard sh = l1->shards[i];
            lock_make(&sh.s->lock);
            if (load_relaxed(&sh.s->held)) {
                store_relaxed(&sh.s->held, 0);
                repair(&sh);
            }
        }
        store_release(l1->segment.awake, 1);
    }
    store_release(repairer, 0);
}

void l1_notice_fork(struct l1 *l1)
{
    if (unlikely(l1->segment.kind == LIBCACHE_PRIVATE && l1->segment.awake && !load_acquire(l1->segment.awake)))
        after_fork(l1);
}

int stripe_lock(struct shard *sh, int no_wait)
{
    int died = 0, result;

    l1_notice_fork(sh->l1);
    result = lock_take(&sh->s->lock, no_wait ? 0 : sh->l1->lock_wait_ms, &died);
    if (result != LIBCACHE_OK)
        return result;
    store_relaxed(&sh->s->held, 1);
    hook(HOOK_LOCKED);
    if (unlikely(died))
        repair(sh);
    if (unlikely(worn_out(sh->s)))
        stripe_reset(sh);
    return LIBCACHE_OK;
}

void stripe_unlock(struct shard *sh)
{
    store_relaxed(&sh->s->held, 0);
    lock_give(&sh->s->lock);
}

int entry_checks(const struct l1 *l1, const unsigned char *p, const struct entry *e, const void *value)
{
    if (!l1->layout.verify)
        return 1;
    return e->word_at && !(e->flags & ENTRY_NUMBER) &&
           load_relaxed((const uint64_t *)(const void *)(p + e->word_at)) ==
               hash_bytes(value, e->value_size,
                          entry_seed(e->value_size, e->key_size, e->codec, e->ns, e->flags, e->user_flags));
}

void stripe_note_expiry(struct shard *sh, uint64_t expiry)
{
    struct stripe *s = sh->s;

    if (!expiry)
        return;
    s->soonest = s->soonest && s->soonest < expiry ? s->soonest : expiry;
    s->soonest_round = s->soonest_round && s->soonest_round < expiry ? s->soonest_round : expiry;
}

/* stripe_recount; strict: nor may what a slot leads to be buried. */
static int recount(struct shard *sh, int strict)
{
    struct stripe *s = sh->s;
    uint32_t n = shape_buckets(load_relaxed(&s->shape));
    uint64_t live[2] = { 0, 0 }, entries = 0;

    for (uint32_t i = 0; i < sh->l1->layout.spaces; i++)
        stripe_forget_space(s, i);
    s->soonest = s->soonest_round = 0;
    for (uint32_t b = 0; b < n; b++)
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = load_relaxed(&index_bucket(sh, b)->slot[i]);
            enum ring r = slot_ring(slot);
            struct entry e;
            unsigned char *p;
            if (!slot || slot_dead(sh, slot))
                continue;
            if (slot_offset(slot) >= s->ring[r].head || !ring_entry(sh, r, slot_offset(slot), &e, &p))
                return 0;
            if (e.flags & ENTRY_BURIED) {
                if (strict)
                    return 0;
                entry_dig_out(p);
            }
            entries++;
            live[r] += e.bytes;
            bump(s->space[e.ns].bytes, e.bytes);
            bump(s->space[e.ns].entries, 1);
            if (e.expiry && (!s->soonest || e.expiry < s->soonest))
                s->soonest = s->soonest_round = e.expiry;
        }
    store_relaxed(&s->live_entries, entries);
    for (int r = SMALL; r <= MAIN; r++) {
        uint64_t used = ring_used(sh, (enum ring)r);
        if (live[r] > used)
            return 0;
        store_relaxed(&s->ring[r].live, live[r]);
        s->ring[r].dead = used - live[r];
    }
    return 1;
}

int stripe_recount(struct shard *sh)
{
    return recount(sh, 0);
}

const char *stripe_check(struct shard *sh)
{
    struct stripe *s = sh->s;
    uint32_t n = shape_buckets(load_relaxed(&s->shape));
    uint64_t entries = load_relaxed(&s->live_entries), live[2] = { s->ring[SMALL].live, s->ring[MAIN].live };
    uint64_t dead[2] = { s->ring[SMALL].dead, s->ring[MAIN].dead }, soonest = s->soonest, round = s->soonest_round;
    uint64_t place = sh->region_bytes - sh->small_bytes;
    const char *misplaced;

    if (load_relaxed(&s->dirty))
        return "dirty outside of a change";
    if (n < 2 || (uint64_t)n * sizeof(struct bucket) > place / 2 + 4096)
        return "number of buckets";
    if (s->main_limit > place || s->main_limit < place / 2 || place - s->main_limit < (uint64_t)n * sizeof(struct bucket))
        return "main ring's limit";
    if (!ring_sane(sh, SMALL) || !ring_sane(sh, MAIN))
        return "a ring's words";
    if (!ring_walkable(sh, SMALL) || !ring_walkable(sh, MAIN))
        return "a ring's entries do not join up";
    if (!recount(sh, 1))
        return "a slot that leads to no entry";
    misplaced = index_check(sh);
    if (misplaced)
        return misplaced;
    if (s->live_entries != entries || s->ring[SMALL].live != live[SMALL] || s->ring[MAIN].live != live[MAIN])
        return "counts of live entries and bytes";
    if (s->ring[SMALL].dead != dead[SMALL] || s->ring[MAIN].dead != dead[MAIN])
        return "counts of dead bytes";
    if (s->soonest && (!soonest || soonest > s->soonest))
        return "an entry expires sooner than the soonest";
    s->soonest = soonest;
    s->soonest_round = round;
    return NULL;
}

/* Cheap, and enough that nothing below runs out of the region or for ever. */
static int words_sane(const struct shard *sh)
{
    uint32_t n = shape_buckets(load_relaxed(&sh->s->shape));
    uint64_t place = sh->region_bytes - sh->small_bytes, limit = sh->s->main_limit;

    return n >= 2 && shape_with(load_relaxed(&sh->s->shape), n) == load_relaxed(&sh->s->shape) && limit <= place && limit >= place / 2 && limit % 8 == 0 &&
           place - limit >= (uint64_t)n * sizeof(struct bucket) && ring_sane(sh, SMALL) && ring_sane(sh, MAIN) &&
           sh->s->live_entries <= (uint64_t)n * BUCKET_SLOTS;
}

void stripe_adopt(struct shard *sh, int doubt)
{
    doubt |= load_relaxed(&sh->s->held) != 0; /* its owner died, and nobody has taken the lock since */
    lock_make(&sh->s->lock);
    store_relaxed(&sh->s->held, 0);
    if (load_relaxed(&sh->s->dirty) || !words_sane(sh) ||
        (doubt && (!ring_walkable(sh, SMALL) || !ring_walkable(sh, MAIN) || !stripe_recount(sh))))
        stripe_reset(sh);
}

size_t stripe_walk(struct shard *sh, size_t buckets)
{
    struct stripe *s = sh->s;
    uint32_t n = shape_buckets(load_relaxed(&s->shape));
    size_t dropped = 0;

    while (buckets--) {
        if (s->walk_bucket >= n)
            s->walk_bucket = 0;
        if (s->walk_bucket == 0) {
            s->soonest_round = 0;
            s->walk_position = l1_position(sh->l1);
        }
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            struct place place = { index_bucket(sh, (uint32_t)s->walk_bucket), i };
            uint64_t slot = load_relaxed(&place.bucket->slot[i]);
            struct entry e;
            unsigned char *p;
            if (!slot || slot_dead(sh, slot) || !ring_entry(sh, slot_ring(slot), slot_offset(slot), &e, &p))
                continue;
            if (index_drop_stale(sh, place, slot, &e, p)) {
                dropped++;
            } else if (e.expiry && (!s->soonest_round || e.expiry < s->soonest_round)) {
                s->soonest_round = e.expiry;
            }
        }
        if (++s->walk_bucket >= n) {
            s->soonest = s->soonest_round;
            s->walk_clean = s->walk_position;
            s->walk_bucket = 0;
        }
    }
    return dropped;
}

void stripe_walk_some(struct shard *sh)
{
    struct stripe *s = sh->s;

    if (++s->walk_debt < WALK_EVERY)
        return;
    s->walk_debt = 0;
    if ((s->soonest && sh->now >= s->soonest) || s->walk_clean != l1_position(sh->l1) || s->walk_bucket)
        stripe_walk(sh, 1);
}
