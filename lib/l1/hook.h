/*
 * Points inside multi-word changes where a test may look, let another thread run, or kill the process; and guards, rules
 * that a test may break one at a time, to see that somebody notices. Both exist in the `hooks` build variant only;
 * elsewhere they compile to nothing. SPDX-License-Identifier: MIT
 */
#ifndef L1_HOOK_H
#define L1_HOOK_H

enum hook_point {
    HOOK_LOCKED,          /* a stripe's lock was just taken */
    HOOK_BYTES_WRITTEN,   /* an entry's bytes are in the log, its head not yet advanced */
    HOOK_HEAD_ADVANCED,   /* head advanced, slot not yet published */
    HOOK_PUBLISHED,       /* slot published, counters not yet updated */
    HOOK_WRAPPING,        /* end of the lap noted, head still in it */
    HOOK_BURIED,          /* an entry's head says that its slot is about to lead elsewhere, or nowhere */
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
    HOOK_READ_HINT,       /* a quick reader has read a hint, not yet the entry */
    HOOK_READ_BUCKET,     /* a quick reader has chosen the first bucket, not yet looked at it */
    HOOK_READ_SLOT,       /* a reader has read a slot, not yet the entry */
    HOOK_READ_COPIED,     /* a reader has copied the bytes, not yet validated them */
    HOOK_POINTS,          /* those of l1 end here */

    HOOK_ANSWERED = HOOK_POINTS + 8, /* Redis has done a change, nothing is applied here yet */
    HOOK_FOUND,           /* a value was found in Redis, not yet judged */
    HOOK_JUDGED,          /* it was given out, not yet copied to L1 */
    HOOK_EPOCH_BEGUN,     /* a segment epoch has begun, its mirror is not yet written */
    HOOK_MIRROR_WRITTEN,  /* a mirror is written, not yet the one that holds */
    HOOK_LOG_READ,        /* a page of the log was read, nothing of it is applied yet */
    HOOK_LOG_APPLIED,     /* its records are applied, which is not yet noted */
    HOOK_OWED_WRITTEN,    /* an owed name is written, not yet counted */
    HOOK_OWED_TOLD,       /* Redis was told what it is owed, which is not yet noted */
    HOOK_FLIGHT_TAKEN,    /* a flight's fields are written, its word not yet */
    HOOK_LOOKED,          /* a load has looked in Redis, where there is no L1; its flight is not yet taken */
    HOOK_OWED_ALL,        /* "everything" is owed, the queue is not yet emptied */
    HOOK_OWED_PAID,       /* the queue is emptied, "everything" not yet taken back */
    HOOK_ALL_POINTS
};

enum guard {
    GUARD_NONE,
    GUARD_GENERATION,     /* a fill of L1 stores nothing if its key's slot has changed since it began */
    GUARD_MARKS,          /* L1 serves nothing that a mark has overtaken */
    GUARD_JUDGE,          /* nor does it take such from Redis */
    GUARD_VERIFY,         /* what the marks here cannot judge is served only if Redis's can */
    GUARD_COPY_STAMP,     /* a copy from Redis keeps its stamp */
    GUARD_EPOCH,          /* what Redis has of another history is not there */
    GUARD_LOAD_EPOCH,     /* a load of another history stores nothing in Redis */
    GUARD_DROP,           /* L1 gives up what it has when the history is another one */
    GUARD_ORDER,          /* of two sets the one with the later position stays */
    GUARD_OWN_HOST,       /* an invalidation is applied here before it returns */
    GUARD_TOKEN,          /* a record of the log names the one before it */
    GUARD_GAP,            /* and follows it; a log that has forgotten some is noticed */
    GUARD_STALENESS,      /* what the last news does not cover is not served for longer than max_staleness */
    GUARD_SPACE_HORIZON,  /* marks of a namespace from before it was registered here are not known here */
    GUARD_OWED,           /* what Redis could not be told is kept for later */
    GUARD_COMMIT,         /* what a load commits is judged by the load's stamp */
    GUARD_LEAD_STAMP,     /* which is taken before the source can be read: when the load is begun, */
    GUARD_BYPASS_STAMP,   /* or given to who waits no longer, */
    GUARD_REFRESH_STAMP,  /* also when an older value is refreshed, */
    GUARD_BATCH_STAMP,    /* and when many are loaded at once */
    GUARD_COPY_GENERATION,/* a copy from Redis is overtaken by changes since Redis was asked, not since it answered */
    GUARD_LATE_MARKS,     /* a value within its grace is given out only if no mark has overtaken it */
    GUARD_SOFT,           /* past its soft TTL a value is STALE */
    GUARD_GRACE,          /* past its TTL it is there for the load functions only */
    GUARD_FLIGHT,         /* who asks while another leads does not lead */
    GUARD_FLIGHT_END,     /* a leader who comes too late does not end another's flight */
    GUARD_FLIGHT_LEASE,   /* a leader is believed for his lease only */
    GUARD_WAIT,           /* nobody waits for a leader for longer than he is ready to */
    GUARD_REDIS_LEASE,    /* while another host has the lease in Redis, this one does not lead */
    GUARD_NEEDLESS,       /* nor when Redis gave no lease for it had a value, which was invalidated before it arrived */
    GUARDS
};

#ifdef LIBCACHE_HOOKS
extern void (*hook_function)(enum hook_point point);
extern int broken_guard; /* enum guard */
#define hook(point) do { if (hook_function) hook_function(point); } while (0)
#define guard(which, holds) (broken_guard == (which) || (holds))
#define broken(which) (broken_guard == (which))
#else
#define hook(point) ((void)0)
#define guard(which, holds) (holds)
#define broken(which) 0
#endif

#endif
