/*
 * The in-memory tier: what cache.c may ask of it. Knows nothing of Redis. SPDX-License-Identifier: MIT
 *
 * Files: segment (memory), layout (what lies where), lock, stripe (one shard: rings + index + walker), ring (a circular
 * log), index (finding an entry), hint (finding it sooner), marks (invalidation), spaces (namespaces by name), hit and read (without a
 * lock), write, trace.
 *
 * Lock order: spaces_lock, then marks_lock (coherence.c runs a few lines of its own under that one). A stripe's lock is taken with neither held and takes no other. Nothing
 * foreign (callback, allocation, I/O) runs under any of them.
 */
#ifndef L1_L1_H
#define L1_L1_H
#include "base/hash.h"
#include "base/memory.h"
#include "l1/entry.h"
#include "l1/hook.h"
#include "l1/segment.h"
#include "libcache.h"
#include "metrics/counters.h"

#include <time.h>

/* A stripe and where it is mapped. One per stripe, made when the segment is opened. */
struct shard {
    struct stripe *s;
    unsigned char *region;
    uint64_t region_bytes, small_bytes;
    uint64_t lap_mask;      /* offset & mask is the place in the region, whichever the ring */
    unsigned lap_shift;
    uint64_t begin[2];      /* of each ring: the place of its first byte */
    uint64_t ring_bytes[2]; /* how many may be read, what the index has claimed of main included */
    struct l1 *l1;
    uint64_t now;         /* in the copy that a writing call makes of it: when it began */
};

#define QUICK_ROOM 768u /* from where an entry begins, so many bytes may be read: a region ends with more than that of index */

/*
 * What the quick hit (hit.h) needs of a shard. The shape (index.h) is the one that this process saw last, taken apart; that
 * nothing was found by it counts only if it is still the stripe's. Every number here, whichever refresh it is of, keeps
 * quick_index within the index. `last` is NULL where values are verified: no hit is quick there.
 */
struct quick {
    struct bucket *first_bucket; /* the others lie before it */
    uint64_t shape;
    uint32_t mask, half;          /* half: one bit fewer, for a bucket that does not exist yet */
    uint64_t place;               /* slot & place is where in the region, in units of 8 bytes */
    unsigned char *region;
    unsigned char *last;          /* where an entry may begin that is looked at here */
    const uint64_t *tail;         /* the stripe's */
    struct stripe *s;
    int refresher;                /* process that is at quick_refresh; 0: none */
} __attribute__((aligned(2 * PLATFORM_LINE)));

struct l1 {
    struct shard *shards; /* by number */
    struct quick *quick;  /* the same */
    uint64_t *hints;      /* see hint.h */
    uint64_t hint_mask;   /* how many, less one */
    void *shards_raw;     /* the memory of the three */
    uint64_t seed, origin_ms;
    uint64_t (*clock_ms)(void *arg);
    void *clock_arg;
    uint32_t stripes;
    unsigned lock_wait_ms;
    uint64_t max_stale_ms; /* what was stored before, and by so much, the last news came is not served. 0: no news needed */
    struct segment segment;
    struct segment_head *head;
    struct space *spaces;
    struct mark_set *marks;
    struct flight *flights;
    struct waker_place *wakers;
    struct metrics_area *metrics;
    struct trace_area *trace;
    int read_only;  /* mapped so: whatever would change something is EACCESS */
    uint64_t start; /* when process `start_pid` began; relaxed */
    uint32_t start_pid;
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
    uint64_t max_stale_ms;
    void (*prepare_upper)(void *upper); /* makes locks there, while nobody else has the segment. NULL: nothing to do */
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
    libcache_stamp since; /* see how */
    enum l1_how {
        L1_PLAIN,         /* the newest there is: since.position is now's, the rest unused */
        L1_FENCED,        /* a load or copy that began at `since`: store only if nothing was invalidated meanwhile */
        L1_ORDERED        /* a change that was given since.position in since.epoch: store only if no later one came */
    } how;
    uint64_t ttl_ms;     /* LIBCACHE_FOREVER: none */
    uint64_t age_ms;     /* it has this age already */
    uint32_t user_flags;
    uint8_t codec;
    int negative;
    uint32_t load_ms;    /* how long its load took; kept where it is not 0 */
    int only_absent;     /* libcache_add */
};

int l1_open(struct l1 *l1, const struct l1_options *options, libcache_error *error);
void l1_close(struct l1 *l1);

/* Now, in the segment's time. */
uint64_t l1_now(const struct l1 *l1);
static force_inline uint64_t l1_time(const struct l1 *l1) /* the same, inlined */
{
    uint64_t now;

    if (likely(!l1->clock_ms)) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
        now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    } else {
        now = l1->clock_ms(l1->clock_arg);
    }
    now = now > l1->origin_ms ? now - l1->origin_ms : 0;
    return now < ENTRY_TIME_MAX ? now : ENTRY_TIME_MAX;
}

#define VIEW_LEAN 1
#define VIEW_TIMED 2
#define VIEW_TRACED 4
#define VIEW_EXPIRING 8
#define VIEW_WATCHED (VIEW_TIMED | VIEW_TRACED)

/* What a look-up in one namespace needs, side by side: copies that never change, so that no hit computes them anew. */
struct l1_view {
    uint64_t *hints, hint_mask;      /* as in struct l1 */
    struct quick *quick;
    uint64_t quick_places; /* bytes of the table quick, less one place */
    int lean; /* relaxed: VIEW_LEAN, until a get has needed more than the lean half of hit.h can do;
                                        VIEW_TIMED: the next get is to be timed;
                                        VIEW_TRACED: gets are written down;
                                        VIEW_EXPIRING: a get has needed more than the lasting half */
    const struct segment_head *head; /* marks of everything, and of any tag */
    const uint64_t *mark;            /* the namespace's */
    uint64_t soft_ttl_ms, grace_ms;  /* the policy's, 0: none */
    int wide;                        /* platform_wide */
    uint64_t timed;                  /* 1: a hit needs the time even if the entry does not expire */
    uint64_t what;                   /* the namespace's bits in an entry's first word, from ENTRY_KEY_SHIFT on */
    struct hash_seeded hash;
    struct l1 *l1;
    uint32_t ns;
};

struct l1_view l1_view_of(struct l1 *l1, uint32_t ns, uint64_t soft_ttl_ms, uint64_t grace_ms);

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
 * int l1_get(const struct l1_view *view, const void *key, size_t key_size, uint64_t hash, libcache_value *value, enum half half);
 */
void l1_prefetch_index(const struct l1 *l1, const struct l1_key *key);
int l1_prefetch_hinted(const struct l1 *l1, const struct l1_key *key); /* the entry, if there is a hint of it: 1 */
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
void l1_take_stamp(const struct l1 *l1, const struct l1_key *key, libcache_stamp *stamp);
uint64_t l1_position(const struct l1 *l1);
uint64_t l1_epoch(const struct l1 *l1);

/* A change of a key that was given this position: what is older goes, loads are overtaken. OK (it was there) or MISS. */
int l1_delete_before(struct l1 *l1, const struct l1_key *key, uint64_t position, int no_wait);

/* Invalidating (marks.c). */
struct l1_names {
    const uint64_t *tags;   /* hashes */
    size_t n_tags;
    const uint32_t *spaces; /* ids */
    size_t n_spaces;
    int all;
};

#define L1_NEXT 0 /* a position: the next one, issued here */

/* Gives the names a position of this epoch (0: whatever it is). OK, EBUSY, or FENCED: it is another epoch. */
int l1_invalidate(struct l1 *l1, const struct l1_names *names, uint64_t epoch, uint64_t position, int no_wait);

/* What the local marks know of an entry with this stamp: HIT (valid), MISS (invalidated), STALE (ask who knows older marks). */
int l1_judge(const struct l1 *l1, uint32_t ns, const uint64_t *tags, size_t n_tags, uint64_t stamp);

/* For who keeps words of his own in step with positions: OK or EBUSY; see marks.c. */
int l1_lock_marks(struct l1 *l1, int no_wait);
void l1_unlock_marks(struct l1 *l1);
void l1_learn(struct l1 *l1, uint64_t position);   /* it was issued. Under the lock */
uint64_t l1_begin_epoch(struct l1 *l1, uint64_t apart); /* a new history: its first position, a multiple of `apart`. Under the lock */

/* The host has heard of everything up to then (l1_now). */
void l1_heard(struct l1 *l1, uint64_t when_ms);
uint64_t l1_last_heard(const struct l1 *l1);
static force_inline int l1_unheard(const struct l1 *l1, uint64_t now)
{
    return l1->max_stale_ms && !guard(GUARD_STALENESS, now <= load_relaxed(&l1->head->heard_ms) + l1->max_stale_ms);
}

/* How long an entry of a namespace is kept after its end. */
static force_inline uint64_t l1_grace(const struct l1 *l1, uint32_t ns)
{
    return load_relaxed(&l1->spaces[ns].grace_ms);
}

#define L1_LATE (1u << 31)              /* a flag of reads: what is past its end, but kept, is STALE */
#define LOAD_MS_MAX ((1u << 23) - 1)    /* that an entry can remember */

/* Bytes of the segment for who uses L1, all zero in a new one. */
void *l1_upper(const struct l1 *l1);

/*
 * Namespaces (spaces.c). Gives the id of a name, registering it when new: OK, ENAME (no room) or EBUSY. share_percent 0:
 * as it is (100 when new). *grace_ms 0: as it is, and told (0 when new); else the policy of all from now on. Entries' expiries
 * include it, so that who stores or reads with another one takes them for older or younger than they are.
 */
int l1_space(struct l1 *l1, const char *name, unsigned share_percent, uint64_t *grace_ms, uint32_t *id);
/* The id of a name that is registered. 1 when it is. */
int l1_find_space(const struct l1 *l1, const char *name, size_t size, uint32_t *id);
/* How many there are: ids are 0 to that. */
uint32_t l1_spaces_used(const struct l1 *l1);
/* The name of an id, valid while the segment is open; NULL: there is no such id. */
const char *l1_space_name(const struct l1 *l1, uint32_t id);

/* Why a key's look-up ends with a miss; see docs/metrics.md. No lock, and a guess when it races with writers. */
enum miss l1_why(const struct l1 *l1, const struct l1_key *key);

/* Tools (tools.c). */
void l1_space_use(const struct l1 *l1, uint32_t id, struct space_use *out);
int l1_iterate(struct l1 *l1, libcache_cursor *cursor, libcache_entry *entry, uint32_t *ns);
void l1_stats(const struct l1 *l1, libcache_stats *stats);

/* Verifies the invariants of all stripes, under their locks. 0: one does not hold; *what says which. */
int l1_check(struct l1 *l1, const char **what);

/* ---- between the files of l1/ only ---- */

/* In a forked child of a private segment, makes its locks usable. One load when there is nothing to do. */
void l1_notice_fork(struct l1 *l1);

/* By bits that choose neither the bucket nor the tag. */
static force_inline uint32_t stripe_number(const struct l1 *l1, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (l1->stripes - 1);
}

/* The same, of a table; places: bytes of the table less one place. */
static force_inline const struct quick *quick_of(const struct quick *table, uint64_t places, uint64_t hash)
{
    _Static_assert(sizeof *table == 128, "shifted by 7 less than 32");
    return (const struct quick *)(const void *)((const unsigned char *)table + (hash >> 25 & places));
}

/* Looks at the stripe's shape again (l1.c). */
void quick_refresh(struct quick *quick, const struct shard *sh);

/* shape: quick->shape, loaded before. */
static force_inline uint32_t quick_index(const struct quick *quick, uint32_t h, uint64_t shape)
{
    uint32_t b = h & load_relaxed(&quick->mask), folded = h & load_relaxed(&quick->half);
    return b < (uint32_t)shape ? b : folded; /* shape_buckets */
}

static force_inline const struct shard *l1_shard(const struct l1 *l1, uint64_t hash)
{
    return &l1->shards[stripe_number(l1, hash)];
}

#endif
