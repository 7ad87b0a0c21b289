/*
 * The in-memory tier: what cache.c may ask of it. Knows nothing of Redis. SPDX-License-Identifier: MIT
 *
 * Files: segment (memory), layout (what lies where), lock, stripe (one shard: rings + index + walker), ring (a circular
 * log), index (finding an entry), marks (invalidation), spaces (namespaces by name), read (the lock-free hit), write.
 *
 * Lock order: spaces_lock, then marks_lock. A stripe's lock is taken with neither held and takes no other. Nothing
 * foreign (callback, allocation, I/O) runs under any of them.
 */
#ifndef L1_L1_H
#define L1_L1_H
#include "base/hash.h"
#include "base/memory.h"
#include "l1/segment.h"
#include "libcache.h"

/* A stripe and where it is mapped. One per stripe, made when the segment is opened. */
struct shard {
    struct stripe *s;
    unsigned char *region;
    uint64_t region_bytes, small_bytes;
    uint64_t lap_mask[2];   /* of each ring: offset & mask is the place in it */
    unsigned char *ring[2]; /* where its bytes begin */
    uint64_t ring_bytes[2]; /* how many may be read, what the index has claimed of main included */
    unsigned shift[2];
    struct l1 *l1;
    uint64_t now;         /* in the copy that a writing call makes of it: when it began */
};

#define QUICK_ROOM 32u /* bytes that an entry has at least */

/*
 * What the quick hit (hit.h) needs of a shard. The shape (index.h) is the one that this process saw last, taken apart; what
 * was found by it counts only if it is still the stripe's. Every number here, whichever refresh it is of, keeps
 * quick_index within the index. `last` is NULL where values are verified: no hit is quick there.
 */
struct quick {
    struct stripe *s;
    struct bucket *first_bucket; /* the others lie before it */
    uint64_t shape;
    uint32_t buckets, mask, half; /* half: one bit fewer, for a bucket that does not exist yet */
    uint64_t place[2];            /* of each ring: slot & place is where in it, in units of 8 bytes */
    unsigned char *ring[2];       /* where its bytes begin ... */
    unsigned char *last[2];       /* ... and where its last entry may */
} __attribute__((aligned(2 * PLATFORM_LINE)));

struct l1 {
    struct shard *shards; /* by number */
    struct quick *quick;  /* the same */
    void *shards_raw;     /* the memory of both */
    uint64_t seed, origin_ms;
    uint64_t (*clock_ms)(void *arg);
    void *clock_arg;
    uint32_t stripes;
    unsigned lock_wait_ms;
    struct segment segment;
    struct segment_head *head;
    struct space *spaces;
    struct mark_set *marks;
    struct layout layout; /* copy of the segment's */
    const libcache_allocator *allocator;
    uint64_t lock_fallbacks; /* relaxed adds */
};

#define L1_VALUE_MAX ((UINT64_C(1) << 28) - 1) /* what an entry's head has room for */

struct l1_options {
    struct segment_wish wish;
    uint64_t (*clock_ms)(void *arg);
    void *clock_arg;
    unsigned lock_wait_ms;
    const libcache_allocator *allocator; /* must outlive the l1 */
};

/* A key, hashed. */
struct l1_key {
    const void *data;
    size_t size;
    uint64_t hash;
    uint32_t ns;
};

/* What a write is to store. */
struct l1_item {
    const void *value;
    size_t size;
    const uint64_t *tags;
    size_t n_tags;
    libcache_stamp since; /* of the load's begin; not fenced: its position is now's, and the rest unused */
    int fenced;           /* store only if nothing was invalidated since */
    uint64_t ttl_ms;     /* LIBCACHE_FOREVER: none */
    uint32_t user_flags;
    uint8_t codec;
    int negative;
    int only_absent;     /* libcache_add */
};

int l1_open(struct l1 *l1, const struct l1_options *options, libcache_error *error);
void l1_close(struct l1 *l1);

uint64_t l1_now(const struct l1 *l1); /* in the segment's time */

/* What a look-up in one namespace needs, side by side: copies that never change, so that no hit computes them anew. */
struct l1_view {
    struct quick *quick;
    uint64_t stripes;
    int lean;                        /* relaxed: 0 once a get has needed more than the lean half of hit.h can do */
    const uint64_t *mark_all, *mark; /* invalidations that concern the namespace */
    uint64_t soft_ttl_ms;            /* the policy's, 0: none */
    uint64_t what;                   /* the namespace's bits in an entry's first word */
    struct hash_seeded hash;
    struct l1 *l1;
    uint32_t ns;
};

struct l1_view l1_view_of(struct l1 *l1, uint32_t ns, uint64_t soft_ttl_ms);

/* Of the hash of a key in a namespace. */
static force_inline uint64_t l1_seed(const struct l1 *l1, uint32_t ns)
{
    return l1->seed ^ ns * UINT64_C(0xd6e8feb86659fd93);
}

static inline struct l1_key l1_key_of(const struct l1 *l1, uint32_t ns, const void *data, size_t size)
{
    return (struct l1_key){ data, size, hash_bytes(data, size, l1_seed(l1, ns)), ns };
}

/*
 * Reading (hit.h, read.c). Results of libcache_get; `soft_ttl_ms` 0: never stale. value NULL: only look, count no use.
 * int l1_get(const struct l1_view *view, const void *key, size_t key_size, uint64_t hash, libcache_value *value, int lean);
 */
void l1_prefetch_index(const struct l1 *l1, const struct l1_key *key);
void l1_prefetch_entry(const struct l1 *l1, const struct l1_key *key);
int l1_ttl_left(struct l1 *l1, const struct l1_key *key, uint64_t *ttl_left_ms, unsigned flags);

/* Writing (write.c). no_wait: EBUSY rather than wait for a lock. */
int l1_set(struct l1 *l1, const struct l1_key *key, const struct l1_item *item, int no_wait);
int l1_delete(struct l1 *l1, const struct l1_key *key, int no_wait);
int l1_touch(struct l1 *l1, const struct l1_key *key, uint64_t ttl_ms, int no_wait);
int l1_add_number(struct l1 *l1, const struct l1_key *key, int64_t delta, int subtract, const struct l1_item *if_absent,
                  int64_t *out, int no_wait);
int l1_sweep(struct l1 *l1, size_t max_entries, size_t *reclaimed);

/* Loads: what must be unchanged when they store. */
uint64_t l1_position(const struct l1 *l1);
uint32_t l1_generation(const struct l1 *l1, const struct l1_key *key);

/* Invalidating (marks.c). Each gives the names one new position. */
int l1_invalidate_tags(struct l1 *l1, const uint64_t *tags, size_t n, int no_wait);
int l1_invalidate_space(struct l1 *l1, uint32_t ns, int no_wait);
int l1_invalidate_all(struct l1 *l1, int no_wait);

/*
 * Namespaces (spaces.c). Gives the id of a name, registering it when new: OK, ENAME (no room) or EBUSY. share_percent 0:
 * as it is (100 when new).
 */
int l1_space(struct l1 *l1, const char *name, unsigned share_percent, uint32_t *id);
/* The name of an id, valid while the segment is open; NULL: there is no such id. */
const char *l1_space_name(const struct l1 *l1, uint32_t id);

/* Tools (tools.c). */
int l1_iterate(struct l1 *l1, libcache_cursor *cursor, libcache_entry *entry, uint32_t *ns);
void l1_stats(const struct l1 *l1, libcache_stats *stats);

/* Verifies the invariants of all stripes, under their locks. 0: one does not hold; *what says which. */
int l1_check(struct l1 *l1, const char **what);

/* ---- between the files of l1/ only ---- */

#define NUMBER_TEXT 24

/* Decimal text of a number, into NUMBER_TEXT bytes; returns its length. */
size_t l1_number_text(char *text, int64_t number);

/* In a forked child of a private segment, makes its locks usable. One load when there is nothing to do. */
void l1_notice_fork(struct l1 *l1);

static force_inline uint64_t stripe_of(uint64_t hash, uint64_t stripes)
{
    return (hash & UINT64_C(0xffff) << 32) * stripes >> 48;
}

static force_inline uint32_t stripe_number(const struct l1 *l1, uint64_t hash)
{
    return (uint32_t)stripe_of(hash, l1->stripes);
}

/* Looks at the stripe's shape again (l1.c). */
void quick_refresh(struct quick *quick, const struct shard *sh);

static force_inline uint32_t quick_index(const struct quick *quick, uint32_t h)
{
    uint32_t b = h & load_relaxed(&quick->mask), folded = h & load_relaxed(&quick->half);
    return b < load_relaxed(&quick->buckets) ? b : folded;
}

static force_inline const struct shard *l1_shard(const struct l1 *l1, uint64_t hash)
{
    return &l1->shards[stripe_number(l1, hash)];
}

#endif
