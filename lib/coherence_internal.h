/* Between coherence.c, owed.c and listener.c only. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_COHERENCE_INTERNAL_H
#define LIBCACHE_COHERENCE_INTERNAL_H
#include "burst.h"
#include "coherence.h"

#include <pthread.h>

/* Redis's history in the segment's numbers. Words that change together: see mirror_read. */
struct mirror {
    uint64_t redis_epoch;            /* 0: none */
    uint64_t l1_epoch;               /* of the segment, for which the rest holds; another: it means nothing */
    uint64_t first;                  /* Redis's position when this began: marks from before are not known here */
    uint64_t base;                   /* the segment's position for `first` */
    uint64_t applied, applied_token; /* the log is applied up to there */
    uint64_t latest, latest_token;   /* the latest position known to be issued; never less than applied */
};

/* The segment's bytes that are ours. */
struct upper {
    struct breaker breaker;
    uint64_t sequence;         /* mirror[sequence & 1] is the one that holds; changed under the marks lock */
    struct mirror mirror[2];
    uint64_t tried_ms;         /* when a caller last set out to read the log; by compare-and-swap */
    uint64_t epochs;           /* statistics; relaxed */
    pthread_mutex_t listening; /* held by who listens, for as long as he does */
    pthread_mutex_t paying;    /* held by who tells Redis what is owed */
    /* what is owed: see owed.c. By the marks lock */
    uint32_t owed_all; /* how often "everything" was owed; 0: it is not */
    uint32_t owed_room;
    uint64_t owed_from, owed_to;
    uint64_t owed_telling; /* up to there somebody is telling it */
    unsigned char owed[];
};

struct coherence {
    struct l1 *l1;
    struct l2 *l2;
    struct upper *upper;
    unsigned timeout_ms, poll_ms;
    int threaded;
    const libcache_allocator *allocator;
    uint64_t *here;       /* 0 in a child that has not seen to the fork's consequences; NULL: not to be had, pid tells it */
    int pid;              /* of the process whose the rest is */
    int forking;          /* pid of who is seeing to a fork's consequences */
    uint64_t records;     /* relaxed adds */
    uint64_t prune_cursor; /* relaxed */
    uint64_t (*random)(void *arg);
    void *random_arg;
    struct burst burst;
    /* listener.c */
    pthread_t thread;
    int has_thread, listening; /* listening: relaxed */
    int stop;             /* relaxed */
    int wake_fd;          /* an eventfd */
    int heard_fd;         /* of the thread's connection, where a forked child finds it; -1: none */
};

void mirror_read(const struct coherence *c, struct mirror *out);

/*
 * Applies a page of the log that was asked for, at asked_ms, after m->applied. OK: all is heard as of then, or as of heard_ms, the wait's
 * end, when nothing came; MISS: there is more; or an error.
 */
int coherence_apply(struct coherence *c, const struct mirror *m, const struct log_page *page, unsigned asked_for,
                    uint64_t asked_ms, uint64_t heard_ms, uint64_t deadline);

/* Goes on forgetting old marks in Redis, where there are too many. */
void coherence_keep_small(struct coherence *c, const struct log_page *page, uint64_t deadline);

/* owed.c: tells Redis what it is owed, if anything is. owed_any: 1: something is. */
int owed_any(const struct coherence *c);
void owed_pay(struct coherence *c, uint64_t deadline);

/* listener.c */
int listener_start(struct coherence *c, libcache_error *error);
void listener_stop(struct coherence *c);
void listener_forget(struct coherence *c); /* in a forked child: the thread is not here */

#define LOG_PAGE 1000 /* records that are asked for at once */

#endif
