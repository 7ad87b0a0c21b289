/*
 * A mapped segment: made, joined, checked, let go. Knows nothing of entries. SPDX-License-Identifier: MIT
 */
#ifndef L1_SEGMENT_H
#define L1_SEGMENT_H
#include "l1/layout.h"
#include "libcache.h"

struct segment {
    unsigned char *base;
    struct layout layout;
    int kind; /* enum libcache_segment_kind */
    int fd;   /* of a named segment, holding a shared flock; else -1 */
    int sole; /* nobody else was using it when we opened it: locks may be made anew */
    int made; /* we made it: everything beyond the head is zero */
    int used; /* segment_let_in was called, and not read-only */
    int read_only;
    unsigned char *awake; /* a byte that is 1, but 0 in a child just forked (MADV_WIPEONFORK); NULL: not to be had */
    int repairer;         /* pid of who is seeing to a fork's consequences; 0: nobody */
};

/* What a segment is to be; head fields are taken from here when it is made. */
struct segment_wish {
    int kind;
    const char *name;
    struct layout layout; /* the six numbers; ignored when attach */
    int attach;           /* join only, whatever its numbers */
    int read_only;        /* attach, and map for reading only: no lock, no change */
    int any_identity;     /* attach whatever the entries are about */
    int huge_pages;
    unsigned lock_wait_ms;
    uint64_t identity, seed, epoch, origin_ms;
};

/* On success the segment's head is valid and, when segment->sole, no other process has it open. Codes as libcache_open. */
int segment_open(struct segment *segment, const struct segment_wish *wish, libcache_error *error);

/* With `sole` work done (locks made anew), lets others in. Nothing for segments that are not named. */
void segment_let_in(struct segment *segment);

void segment_close(struct segment *segment);

int segment_remove(const char *name, libcache_error *error);

static inline struct segment_head *segment_head(const struct segment *segment)
{
    return (struct segment_head *)(void *)segment->base;
}

#endif
