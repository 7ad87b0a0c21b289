/*
 * Points inside multi-word changes where a test may look, let another thread run, or kill the process. They exist in the
 * `hooks` build variant only; elsewhere they compile to nothing. SPDX-License-Identifier: MIT
 */
#ifndef L1_HOOK_H
#define L1_HOOK_H

enum hook_point {
    HOOK_LOCKED,          /* a stripe's lock was just taken */
    HOOK_BYTES_WRITTEN,   /* an entry's bytes are in the log, its head not yet advanced */
    HOOK_HEAD_ADVANCED,   /* head advanced, slot not yet published */
    HOOK_PUBLISHED,       /* slot published, counters not yet updated */
    HOOK_WRAPPING,        /* end of the lap noted, head still in it */
    HOOK_TAIL,            /* a reclaim is about to advance the tail */
    HOOK_SURVIVOR,        /* survivor copied and its slot swung, tail not yet advanced */
    HOOK_SPLIT_MARKED,    /* a split or a move: dirty set, new place not yet written */
    HOOK_SPLIT_COPIED,    /* new place written, shape not yet changed */
    HOOK_SPLIT_PUBLISHED, /* count published, moved slots still in the old bucket */
    HOOK_DELETED,         /* slot cleared, counters not yet updated */
    HOOK_RESET,           /* in the middle of emptying a stripe */
    HOOK_POSITION,        /* an invalidation has its position, its mark is not yet written */
    HOOK_MARK_CLEARED,    /* a mark's old owner is gone, the new one not yet there */
    HOOK_SPACE_NAMED,     /* a namespace's name is written, not yet visible */
    HOOK_FLIGHT_TAKEN,    /* a flight's fields are written, its word not yet */
    HOOK_READ_SLOT,       /* a reader has read a slot, not yet the entry */
    HOOK_READ_COPIED,     /* a reader has copied the bytes, not yet validated them */
    HOOK_POINTS
};

#ifdef LIBCACHE_HOOKS
extern void (*hook_function)(enum hook_point point);
#define hook(point) do { if (hook_function) hook_function(point); } while (0)
#else
#define hook(point) ((void)0)
#endif

#endif
