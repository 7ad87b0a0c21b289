/* Circular logs with S3-FIFO eviction; see ring.c. Everything here is called under the stripe's lock. MIT */
#ifndef L1_RING_H
#define L1_RING_H
#include "l1/stripe.h"

static force_inline uint64_t ring_limit(const struct shard *sh, enum ring r)
{
    return r == SMALL ? sh->small_bytes : sh->s->main_limit;
}

/* Where in its ring an offset is. What is not in it has a place that is too large. */
static force_inline uint64_t ring_place(const struct shard *sh, enum ring r, uint64_t offset)
{
    return (offset & sh->lap_mask) - sh->begin[r];
}

/* Bytes that may be read from an offset on without leaving the region. */
static force_inline uint64_t ring_bytes_after(const struct shard *sh, enum ring r, uint64_t offset)
{
    uint64_t at = ring_place(sh, r, offset);
    return at < sh->ring_bytes[r] ? sh->ring_bytes[r] - at : 0;
}

/* Only for offsets with ring_bytes_after() of at least ENTRY_HEADER + 8. */
static force_inline unsigned char *ring_at(const struct shard *sh, uint64_t offset)
{
    return sh->region + (offset & sh->lap_mask);
}

/* Decodes the entry at an offset. 0: it is none. */
static force_inline int ring_entry(const struct shard *sh, enum ring r, uint64_t offset, struct entry *e, unsigned char **p)
{
    uint64_t room = ring_bytes_after(sh, r, offset);
    if (unlikely(room < ENTRY_HEADER + 8))
        return 0;
    *p = ring_at(sh, offset);
    return entry_read(e, *p, room) && e->ns < sh->l1->layout.spaces;
}

/* Empty, its head at the beginning of a lap. */
void ring_make(struct shard *sh, enum ring r, uint64_t lap);

/* The words of the ring are possible. */
int ring_sane(const struct shard *sh, enum ring r);

/* Bytes between tail and head, without the gap at the end of a lap. */
uint64_t ring_used(const struct shard *sh, enum ring r);

/*
 * Makes `bytes` contiguous bytes available at the head, evicting as needed. 1: ring_head may be written.
 * 0: the ring cannot hold that much.
 */
int ring_make_room(struct shard *sh, enum ring r, uint64_t bytes);

/* The head's offset; after ring_make_room. A guess where the lock is not held. */
static force_inline uint64_t ring_head(const struct shard *sh, enum ring r)
{
    return load_relaxed(&sh->s->ring[r].head);
}

/* The bytes at the head are an entry now. */
void ring_advance(struct shard *sh, enum ring r, uint64_t bytes);

/* So much of the main ring is dead that nothing alive needs to go. */
int main_is_sparse(const struct shard *sh);

/* Every entry between tail and head can be decoded, and they end at head. */
int ring_walkable(const struct shard *sh, enum ring r);

#endif
