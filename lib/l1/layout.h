/*
 * What lies where in a segment. Everything here may be mapped at different addresses in different processes: offsets
 * only, no pointers. SPDX-License-Identifier: MIT
 *
 *      +------+-------+-----------+--------+---------+-------+------------------+-----------+-----------+- - - -+
 *      | head | upper | spaces    | marks  | metrics | trace | stripe blocks    | region 0  | region 1  |       |
 *      +------+-------+-----------+--------+---------+-------+------------------+-----------+-----------+- - - -+
 *      what   not ours: names and  tag      counters  a queue, locks, words,      the logs and the index of
 *      it is  for who   namespace  marks    and times see      generations        each stripe:
 *             uses L1   marks                         trace.c                   | small | main ->      <- index |
 *                       (the table of flights lies before them)
 *
 * All places are computed from six numbers in the head (total bytes, stripes, namespaces, largest value, verify, upper), once,
 * when a process maps the segment; they are checked against the file's size and kept in the process's own memory, so
 * that nobody who scribbles over the segment can send a reader outside of it.
 */
#ifndef L1_LAYOUT_H
#define L1_LAYOUT_H
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/platform.h"

#define SEGMENT_MAGIC UINT64_C(0x3165686361636269) /* "ibcache1" */
#define SEGMENT_FORMAT 7u
#define SEGMENT_NAME_MAX 64
#define SPACE_NAME_MAX 100
#define SPACES_MAX 4095
#define STRIPES_MAX 256
#define SEGMENT_MIN_BYTES (UINT64_C(256) << 10)
#define SEGMENT_MAX_BYTES (UINT64_C(1) << 40)
#define HEAD_BYTES 4096u

/* Rings of a stripe: newcomers in the small one, what was used again in the main one. */
enum ring { SMALL = 0, MAIN = 1 };

struct segment_head {
    /* written once, before anybody else can see the segment */
    uint64_t magic;
    uint32_t format, struct_word; /* struct_word: sizes of all structs below, so that two builds refuse each other */
    uint64_t total_bytes;
    uint64_t max_value_bytes;
    uint32_t stripes, spaces, verify, upper_bytes;
    uint64_t seed;      /* of the key hash; random */
    uint64_t identity;  /* hash of what the entries are about */
    uint64_t origin_ms; /* clock when made: times in entries count from here */

    /* by the marks lock; read without */
    uint64_t position __attribute__((aligned(PLATFORM_LINE))); /* the latest that was issued, as far as this host knows */
    uint64_t mark_all;  /* entries older than this are not vouched for: the mark of "everything", or a new epoch's begin */
    uint64_t mark_tags; /* no tag's mark is higher: who is not older need not look for his tags' */
    uint64_t horizon;   /* marks from before this position are not known here: the latest epoch's begin */
    uint64_t epoch;     /* which history positions belong to; random at first, never 0; see marks.c */
    uint64_t heard_ms;  /* when this host last knew that it had heard of every invalidation; by compare-and-swap */

    pthread_mutex_t marks_lock __attribute__((aligned(PLATFORM_LINE))); /* guards marks, mark_all, mark_tags, space marks */
    pthread_mutex_t spaces_lock __attribute__((aligned(PLATFORM_LINE))); /* guards registration of names */
    pthread_mutex_t flights_lock __attribute__((aligned(PLATFORM_LINE))); /* guards the table of flights */
    uint32_t spaces_used; /* spaces_lock; published with release after the name is complete */
    uint32_t closed;      /* the last user let go in good order; under the exclusive flock of a named segment */
    uint32_t ready;       /* 0: whoever makes or adopts it has not finished, and may have died at it; as closed, read without */
};

/* A namespace. Name and size are written once, before spaces_used counts it. */
struct space {
    uint64_t mark;       /* by the marks lock; read without */
    uint64_t horizon;    /* the position when it was registered: what older marks it had is not known; as mark */
    uint64_t grace_ms;   /* an entry is kept for so long after its end; relaxed */
    uint8_t share;       /* percent of the memory; relaxed */
    uint8_t name_size;
    char name[SPACE_NAME_MAX + 2];
};

#define MARK_WAYS 3

/* One set of the table of tag marks; see marks.c. */
struct mark_set {
    uint64_t newest;  /* no mark here is higher, dropped ones included */
    uint64_t horizon; /* no dropped mark was higher */
    struct {
        uint64_t tag;  /* 0: free */
        uint64_t mark;
    } way[MARK_WAYS];
};

/* Somebody's load of a key; see flights.c. By the flights lock, but for the words. */
struct flight {
    uint64_t key;           /* hash; 0: free */
    uint32_t word;          /* number 28 | how it ended 4; waited for */
    uint32_t pid;           /* of the leader */
    uint64_t start;         /* when that process began */
    uint64_t until_ms;      /* the leader is believed until then */
    uint64_t not_before_ms; /* after a failure */
    uint32_t nudges;        /* counts news from elsewhere; waited for */
    uint32_t unused;
    uint64_t waiting;       /* event loops that want to be woken, a bit for each place in the table of wakers; atomic */
    uint64_t unused_too;
    char owner[32];         /* of a lock */
};

/* An event loop that can be woken; see wakers.c. */
struct waker_place {
    uint32_t pid;   /* 0: free; by compare-and-swap */
    uint32_t unused;
    uint64_t id[2]; /* of its address */
};

#define WAKER_PLACES 64

/* Something that happened to a sampled key; see trace.c. Atomics. */
struct trace_record {
    uint64_t turn; /* a checksum, written last */
    uint64_t word[3];
};

/* The trace of a live segment: what it is about, and a queue. All zero in a new one; all by atomics. */
struct trace_area {
    /* by the spaces' lock, but that anybody may end a trace by setting id to 0; read without, by every get that looks */
    uint64_t id; /* 0: nobody traces */
    uint64_t secret[2], threshold;
    uint64_t begun_ms, start; /* start: when the reader's process began */
    uint32_t pid, space;

    uint64_t until_ms __attribute__((aligned(2 * PLATFORM_LINE))); /* the reader is believed to live until then; his, as ... */
    uint64_t read;    /* ... this: the number of the record that he takes out next */

    uint64_t next __attribute__((aligned(2 * PLATFORM_LINE))); /* number of the record that is written next */
    uint64_t dropped; /* those of this trace that there was no room for */

    struct trace_record record[] __attribute__((aligned(2 * PLATFORM_LINE)));
};

#define BUCKET_SLOTS 7

/* One line of the index; see index.c. */
struct bucket {
    uint64_t slot[BUCKET_SLOTS];
    uint8_t uses[BUCKET_SLOTS]; /* how often a slot's entry was read lately, 0 to 3: racy bytes, by readers and writer */
    uint8_t unused;
};

#define GENERATIONS 256
#define USES_MAX 3

/* A ring's words that only its stripe's lock holder uses, but for the head. */
struct ring_state {
    uint64_t head;      /* where the next entry goes; read without the lock by who asks for that memory */
    uint64_t wrap_end;  /* where the lap before head's ended; means something while the tail is in it */
    uint64_t dead;      /* bytes of entries between tail and head that nothing refers to */
    uint64_t live;      /* bytes of the others */
    uint64_t biggest;   /* entry seen in this lap */
    uint64_t biggest_before;
    uint64_t ahead;     /* an offset near the tail whose entry's key was hashed already: to ahead_hash */
    uint64_t ahead_hash;
};

/* What a namespace has in a stripe. */
struct space_use {
    uint64_t bytes, entries; /* live ones */
    uint64_t evictions;
};

/* The block of one stripe. Who has `lock` writes everything; readers read the second line only. */
struct stripe {
    pthread_mutex_t lock;
    uint32_t held;  /* 1 while locked, for a forked child of a private segment */
    uint32_t dirty; /* 1 inside a multi-word change that cannot be picked up in the middle: owner died: empty the stripe */

    /* the readers' line */
    uint64_t shape __attribute__((aligned(PLATFORM_LINE))); /* of the index; see index.h */
    uint64_t tail[2]; /* of each ring: older offsets are dead */
    uint64_t era;     /* how often the stripe was emptied, in the upper 16 bits; see hint.h */

    struct ring_state ring[2] __attribute__((aligned(PLATFORM_LINE)));
    uint64_t main_limit;    /* bytes of the main ring's place that the index has not claimed */
    uint64_t live_entries;
    uint64_t walk_bucket;   /* where the walker goes on */
    uint64_t walk_position; /* position when its round began */
    uint64_t walk_clean;    /* position for which a whole round has found everything */
    uint64_t soonest;       /* no entry here expires earlier; 0: none expires */
    uint64_t soonest_round; /* the same, being gathered by the walker's round */
    uint32_t walk_debt;
    uint32_t main_filled;   /* main has had to reclaim: it was full once */
    /* statistics */
    uint64_t evictions, conflicts, reclaimed, ghost_hits, survivors, owner_deaths, resets;

    uint32_t generation[GENERATIONS] __attribute__((aligned(PLATFORM_LINE))); /* by key hash; read without the lock */
    uint64_t key_position[GENERATIONS]; /* of the latest change of a key there that had a position */
    struct space_use space[];           /* by namespace */
};

_Static_assert(sizeof(struct bucket) == PLATFORM_LINE, "a bucket is one cache line");
_Static_assert(sizeof(struct mark_set) == PLATFORM_LINE, "a set of marks is one cache line");
_Static_assert(sizeof(struct trace_record) == 32, "documented in docs/operations.md: 32 bytes a record");
_Static_assert(sizeof(struct trace_area) % (2 * PLATFORM_LINE) == 0, "records are aligned");
_Static_assert(sizeof(struct flight) % 16 == 0, "flights are aligned");
_Static_assert(sizeof(struct space) == 128, "documented in libcache.h: 128 bytes a namespace");
_Static_assert(sizeof(struct segment_head) <= HEAD_BYTES, "head has its page");
_Static_assert(offsetof(struct stripe, shape) % PLATFORM_LINE == 0, "readers' line is its own");
_Static_assert(offsetof(struct stripe, ring) - offsetof(struct stripe, shape) == PLATFORM_LINE,
               "readers' line is its own");
_Static_assert(offsetof(struct stripe, space) % 8 == 0, "words are aligned");

/* Where things are, as computed from the head's numbers. */
struct layout {
    uint64_t total_bytes, max_value_bytes;
    uint32_t stripes, spaces, verify, upper_bytes;
    uint64_t mark_sets;                 /* a power of two */
    uint32_t flights;
    uint32_t trace_records;             /* a power of two */
    uint64_t upper_at, flights_at, wakers_at, spaces_at, marks_at, metrics_at, metrics_bytes, trace_at, blocks_at, block_bytes,
        regions_at, region_bytes;
    uint64_t small_bytes;   /* of a region; main and index share the rest */
    unsigned lap_shift;     /* a lap of offsets is 1 << lap_shift, at least a region's bytes */
};

/* Computes *layout from its first six fields. 0: they make no sense together. */
int layout_compute(struct layout *layout);

/* A word that differs when any struct above does. */
uint32_t layout_struct_word(void);

#endif
