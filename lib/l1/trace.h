/*
 * What goes on in a segment, sampled, for one process that looks on. SPDX-License-Identifier: MIT
 */
#ifndef L1_TRACE_H
#define L1_TRACE_H
#include "l1/l1.h"

enum trace_what {
    TRACE_HIT,
    TRACE_STALE,
    TRACE_NEGATIVE,
    TRACE_ELSEWHERE, /* added to one of those: L1 did not have it, who uses L1 found it */
    TRACE_MISS = 2 * TRACE_ELSEWHERE,
    TRACE_SET,
    TRACE_DELETE,
    TRACE_WHATS
};

/* What a trace is to be. */
struct trace_wish {
    uint64_t id;        /* random, not 0 */
    uint64_t secret[2]; /* random */
    uint64_t threshold; /* keys whose hash is above it are left out */
    uint32_t space;     /* number of the only namespace, + 1; 0: all */
    uint32_t lease_ms;  /* after which the others stop if its reader is not heard of */
};

/* One that was begun here. Not thread-safe. */
struct trace_reader {
    uint64_t id;
    uint64_t read;    /* records that were taken out, or given up */
    uint64_t lost;    /* given up: nobody has finished them, or they are damaged */
    uint64_t hole_ns; /* since when the next one has been missing; 0: it has not */
    uint32_t lease_ms;
};

/* A record, taken out and checked. */
struct trace_seen {
    uint64_t key; /* hash */
    uint64_t time_ms;
    uint32_t space, value_size, key_size;
    enum trace_what what;
};

static force_inline int trace_is_on(const struct l1 *l1)
{
    return unlikely(load_relaxed(&l1->trace->id) != 0);
}

/* Writes down what happened to a key, if it is in the sample. 0: nobody wants to know any more. */
int trace_note(const struct l1 *l1, uint32_t space, const void *key, size_t key_size, enum trace_what what,
               size_t value_size);

/* OK; EBUSY (*pid: whose trace is in the way, or 0: the lock was not to be had); EACCESS. */
int trace_begin(struct l1 *l1, const struct trace_wish *wish, struct trace_reader *reader, uint32_t *pid);

/* Takes out up to n records and says that the reader lives. OK, or MISS: another one has begun, or this one had not been heard of. */
int trace_take(struct l1 *l1, struct trace_reader *reader, struct trace_seen *out, size_t n, size_t *taken);

void trace_end(struct l1 *l1, const struct trace_reader *reader);

/* Records of the present trace that there was no room for. */
uint64_t trace_dropped(const struct l1 *l1);

#endif
