/*
 * Hints: where this process last found the entries that are read most. SPDX-License-Identifier: MIT
 *
 *      hash --> hint --> entry --> ...            instead of            hash --> bucket --> slot --> entry --> ...
 *
 * A bucket is a line of memory for seven keys, of which one in a hundred is read often: the lines that frequent keys are found by
 * would fill the processor's caches eight times as fast as need be, and comparing seven tags takes longer than one. So a handle has a
 * small table, in memory of its own, of slots as they were read: a word of 8 bytes for those hash bits that choose neither the
 * bucket nor the tag. 32,768 of them are 256 KB, within a core's own cache today, and get 7 of 10 requests of a million keys
 * (Zipf 0.99). Nobody keeps them true. A hint is believed as far as the entry that it leads to bears it out:
 *
 *      - its tag is the hash's, or the bucket is asked;
 *      - the entry has the key, and its offset is not behind the tail: then it is what the slot once led to;
 *      - it is not buried. Before a slot is swung or cleared, the entry it led to says so in its first word (index_swing; not before it
 *        goes by the tail's passing over it, which says as much). So who reads an entry that is not buried reads what its
 *        slot leads to at that moment, which is where such a hit takes effect (G1), and who has seen the new slot, or
 *        begins when the change has returned, sees the flag.
 *
 * Everything else that is asked of an entry (marks, its end, the tail once more behind the copy) is in the entry, and asked as ever.
 * Whatever does not hold sends the reader to the bucket, as if there had been no hint.
 *
 * Only what was used so often that another use would not be counted (USES_MAX) gets a hint: so eviction knows as much as
 * before. It is written by who was sent to the bucket and hit, and by who replaces such an entry (write.c); two threads' words
 * overwrite each other, and that is all.
 *
 * Offsets begin anew when a stripe is emptied; then a hint of before could, years later, lead into the middle of an entry. So a
 * stripe counts how often it was emptied (its era), and its hints' tags have that number mixed in: after it, none of them is its key's. (The
 * tag of another key in the same place may be the same by chance, 1 in 65,536, and its key must be at that place then.)
 */
#ifndef L1_HINT_H
#define L1_HINT_H
#include "l1/index.h"

#define HINTS_MIN UINT64_C(256)
#define HINTS_MAX UINT64_C(32768)
#define HINT_SHARE 256 /* bytes of the segment for a hint: small entries are about that large */

#define ERA (UINT64_C(1) << 48) /* it is counted where a slot has its tag */

_Static_assert(HINTS_MIN >= STRIPES_MAX, "a place has hints of one stripe only");

/* How many a segment of so many bytes has: a power of two. */
static force_inline uint64_t hints_for(uint64_t bytes)
{
    uint64_t n = HINTS_MIN;

    while (n < HINTS_MAX && n < bytes / HINT_SHARE)
        n *= 2;
    return n;
}

/* Where a hash's hint is. The bits that choose the stripe are among those that choose the place. */
static force_inline uint64_t *hint_of(uint64_t *hints, uint64_t mask, uint64_t hash)
{
    return &hints[hash >> 32 & mask];
}

/* 1: the hint, as it was read, has the hash's tag. */
static force_inline int hint_matches(uint64_t hint, uint64_t hash, uint64_t era)
{
    return (hint ^ hash ^ era) < ERA;
}

/*
 * The slot was used for a hit, or published, when the stripe's era was this. Release: who comes by the hint (what he reads hangs on it
 * by its address) finds the entry's bytes, and never the older slot afterwards.
 */
static force_inline void hint_give(uint64_t *hint, uint64_t slot, uint64_t era)
{
    store_release(hint, slot ^ era);
}

#endif
