/*
 * A stripe: one shard of the cache, with one writer lock, an index and two rings. SPDX-License-Identifier: MIT
 *
 *      region:  +-------------+----------------------------------------+ - - - - +-------------+
 *               | small ring  | main ring                              |  claim  |       index |
 *               +-------------+----------------------------------------+ - - - - +-------------+
 *               0             small_bytes                   main_limit ->         <- n buckets
 *
 * The index grows from the region's end, a bucket at a time, into room that it claims from the main ring in steps, so that
 * mean entry sizes from 64 B to 64 KiB need no tuning: little entries get much index, large ones little.
 *
 * Who may do what:
 *   writer  holds stripe->lock; the only one that changes anything here, except `uses` bytes.
 *   reader  holds nothing; see read.c.
 *
 * Every change that readers or the next lock owner can see is one 8-byte store, in this order:
 *   store an entry   bytes, then head (the bytes are in the log), then slot (the entry can be found)
 *   move an entry    copy to the head of main, head, original buried (entry.h), slot swung to the copy, then tail past the original
 *   drop an entry    buried, then slot cleared; or left as a ghost, then tail
 *   replace one      as stored, but that the old one is buried before the slot is swung
 * so the lock's owner may die between any two of them: what is in the log without a slot is dead and will be passed over.
 * Only three changes do not allow that: splitting a bucket, moving a slot to its key's other bucket, and emptying the stripe. They
 * run with `dirty` set, and who inherits the lock with dirty set empties the stripe. Counters that the dead owner had no time to update are counted anew.
 */
#ifndef L1_STRIPE_H
#define L1_STRIPE_H
#include "l1/entry.h"
#include "l1/l1.h"
#include "l1/marks.h"

/* Adds to a counter that others may read without the lock. */
#define bump(counter, n) store_relaxed(&(counter), load_relaxed(&(counter)) + (uint64_t)(n))

/* A writing call's own copy of a shard, with the time. */
static force_inline struct shard shard_now(const struct l1 *l1, uint32_t number)
{
    struct shard sh = l1->shards[number];
    sh.now = l1_now(l1);
    return sh;
}

/* Takes the lock and repairs what a dead owner left. OK, EBUSY or ECORRUPT. Set sh->now before, with no lock held. */
int stripe_lock(struct shard *sh, int no_wait);
void stripe_unlock(struct shard *sh);

/* Makes locks and words of a new stripe (all zero before). */
void stripe_make(struct shard *sh);

/*
 * Takes over a stripe that nobody is using: new lock; empty when it is dirty or its words make no sense; when `doubt`, or
 * when its last owner died with the lock, counted anew and every entry looked at.
 */
void stripe_adopt(struct shard *sh, int doubt);

/* Empties the stripe. Under the lock. */
void stripe_reset(struct shard *sh);

/* Verifies every invariant, under the lock. NULL: all hold; else which does not. */
const char *stripe_check(struct shard *sh);

/* Counts live entries and bytes anew from the index; digs out what its slot still leads to. 0: something is not as it must be. */
int stripe_recount(struct shard *sh);

/* Accounting of an entry that can now be found, or cannot any more. */
static force_inline void stripe_count_in(struct shard *sh, enum ring r, uint32_t ns, uint64_t bytes)
{
    bump(sh->s->live_entries, 1);
    bump(sh->s->ring[r].live, bytes);
    bump(sh->s->space[ns].bytes, bytes);
    bump(sh->s->space[ns].entries, 1);
}

static force_inline void stripe_count_out(struct shard *sh, enum ring r, uint32_t ns, uint64_t bytes)
{
    bump(sh->s->live_entries, -1);
    bump(sh->s->ring[r].live, -bytes);
    bump(sh->s->space[ns].bytes, -bytes);
    bump(sh->s->space[ns].entries, -1);
}

/* The same, and its bytes stay until the tail passes. */
static force_inline void stripe_count_dead(struct shard *sh, enum ring r, const struct entry *e)
{
    stripe_count_out(sh, r, e->ns, e->bytes);
    sh->s->ring[r].dead += e->bytes;
}

/* Where values are verified: 1 when `value`, copied out of the entry at p, is what was stored. Elsewhere always 1. */
int entry_checks(const struct l1 *l1, const unsigned char *p, const struct entry *e, const void *value);

/* 1 when the entry at p is neither invalidated nor of an unknown namespace. */
static force_inline int stripe_vouch(const struct l1 *l1, const unsigned char *p, const struct entry *e)
{
    return e->ns < l1->layout.spaces && marks_vouch_space(l1, e->ns, e->stamp) &&
           marks_vouch_tags(l1, (const uint64_t *)(const void *)(p + e->tags_at), e->n_tags, e->stamp);
}

/* An entry expires then (0: never): the walker need not look before. */
void stripe_note_expiry(struct shard *sh, uint64_t expiry);

/* Looks at up to `buckets` buckets, on from the last time, and drops what is expired or invalidated; returns how many. */
size_t stripe_walk(struct shard *sh, size_t buckets);

/* A little of that, when there may be something to find. Called by every store. */
void stripe_walk_some(struct shard *sh);

#endif
