/*
 * Keeps L1 in step with what other hosts change: Redis's positions in the segment's numbers, the log applied to L1, what
 * Redis could not be told kept for later. Knows both tiers; they do not know each other. SPDX-License-Identifier: MIT
 */
#ifndef LIBCACHE_COHERENCE_H
#define LIBCACHE_COHERENCE_H
#include "l1/l1.h"
#include "l2/l2.h"

struct coherence;

struct coherence_options {
    struct l1 *l1;
    struct l2_options l2;        /* known and contact are set by coherence_open */
    unsigned timeout_ms, poll_ms;
    int threaded;                /* LIBCACHE_LISTEN_IN_THREAD */
    const libcache_allocator *allocator;
};

/* Bytes of the segment that it needs. */
size_t coherence_upper_bytes(uint64_t memory_bytes);

/* Makes locks in them: nobody else has the segment. */
void coherence_prepare(void *upper);

int coherence_open(struct coherence **out, const struct coherence_options *options, libcache_error *error);
void coherence_close(struct coherence *c); /* NULL allowed; ends the thread */

struct l2 *coherence_l2(struct coherence *c);

/* To be called before anything that may touch Redis: a forked child makes its own. */
void coherence_notice_fork(struct coherence *c);

/* ---- Positions, from Redis's numbers to the segment's and back --------------------------------------------- */

/*
 * The segment's epoch and position for a stamp found in Redis. HIT; STALE: it is from before this host's knowledge of marks
 * begins (then only the epoch is set); MISS: it is of another history.
 */
int coherence_to_local(const struct coherence *c, uint64_t redis_epoch, uint64_t redis_position, libcache_stamp *out);

/* What a load that began at `stamp` may claim to Redis. 1; 0: its history is gone (its epoch differs from this), or none is known. */
int coherence_to_redis(const struct coherence *c, const libcache_stamp *stamp, struct history *out);

/* What is known before Redis is asked: an answer that comes late, of a history that is gone, is told by it. */
struct asked {
    uint64_t epoch, redis_epoch, position;
};
struct asked coherence_ask(const struct coherence *c);

/*
 * An answer told where Redis's history stands; issued: the position is that of a change that we asked for. HIT, and the
 * position in the segment's numbers; MISS: it means nothing here (any more).
 */
int coherence_learn(struct coherence *c, const struct history *now, const struct asked *asked, int issued, libcache_stamp *out);

/*
 * Redis has done a change of ours in a history that is not the one this host goes by. Which of the two goes on, nobody here can say, and
 * what Redis holds of the one that is over may be older than the change. So the host goes by none: until Redis tells anew, in the next answer
 * to what is asked from now on, nothing that is there is taken, and nothing from before is served.
 */
int coherence_distrust(struct coherence *c, int no_wait);

/* ---- Invalidating ------------------------------------------------------------------------------------------------- */

/*
 * Redis, then L1: gives n names one position, everywhere. *there: keys that were in either tier. OK, or Redis's error: then it is
 * done in L1, and owed to Redis: it will be told when it can be reached.
 */
int coherence_invalidate(struct coherence *c, const struct name *names, size_t n, size_t *there, int no_wait,
                         uint64_t deadline);

/* Redis could not be told of these. */
void coherence_owe(struct coherence *c, const struct name *names, size_t n);

/* ---- Hearing ----------------------------------------------------------------------------------------------------- */

/* Reads the log until all is heard. OK, or why not. */
int coherence_poll(struct coherence *c, uint64_t deadline);

/*
 * Does that, if it is time and nobody else of the host does; cheap when it is not. Takes a quarter of what the caller has: *deadline
 * is the call's, and 0 as long as it has not touched Redis: then it is set by whoever touches it first (coherence_deadline).
 */
void coherence_look(struct coherence *c, uint64_t *deadline);
int coherence_is_due(const struct coherence *c); /* 1: it would */

/* The call's deadline, which begins to run when Redis is first needed. */
uint64_t coherence_deadline(const struct coherence *c, uint64_t *deadline);

struct coherence_stats {
    uint64_t age_ms;     /* since all was heard */
    uint64_t position, applied; /* Redis's latest known here, and how far the log was applied */
    uint64_t epochs;     /* how often the history was another, or had a gap */
    uint64_t owed;       /* bytes of names that Redis is yet to be told */
    uint64_t records;    /* of the log applied, by this process */
    uint64_t breaker_opens;
    int breaker_open;
    int listening; /* this process listens */
};

void coherence_stats(const struct coherence *c, struct coherence_stats *out);

/* The host's part of them, for who only looks at the segment. */
void coherence_look_at(struct l1 *l1, struct coherence_stats *out);

#endif
