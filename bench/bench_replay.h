/*
 * bench-replay from the inside:
 *
 *     bench_replay.c            options, the replay, output
 *     bench_replay_trace.c      reading a trace into memory
 *     bench_replay_policies.c   other eviction policies, simulated
 *     bench_replay_reference.c  miss ratios of other caches to compare with
 */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include <stddef.h>
#include <stdint.h>

typedef struct replay_key {
    const char *bytes;
    uint32_t length;
    int seen;             /* of a live cache: a request has been read */
    size_t missed;        /* of a live cache: its latest request missed: number + 1 */
    uint64_t value_bytes; /* the last size the trace gives; 0 where it gives none */
} replay_key;

enum replay_kind {
    REPLAY_GET,
    REPLAY_ABSENT, /* a get of what was never stored: a miss with any cache */
    REPLAY_SET,
    REPLAY_DELETE
};

/* A whole trace. Requests refer to keys by number. */
typedef struct replay_trace {
    char name[128]; /* file name without directory, .gz and .txt */
    int sized;      /* it says how large each value is */
    size_t n_requests, n_keys;
    uint32_t *requests;
    uint64_t *request_bytes; /* size that each request gives; NULL when not sized */
    replay_key *keys;
    double mean_value_bytes; /* over keys; 0 when not sized */

    /* of a live cache */
    int live;
    double rate;             /* share of the keys that are in it; 1 for other traces */
    uint8_t *kinds;          /* of each request; NULL: all are gets */
    uint64_t n_gets, misses; /* in it */
    uint64_t reads, dropped; /* of all keys while it was written; what the trace lacks. reads 0: not known */
    uint64_t memory_bytes;   /* of that cache; 0: not known */
    uint32_t *before;        /* requests that show that their key was there before */
    size_t n_before;
} replay_trace;

static inline enum replay_kind replay_kind_of(const replay_trace *trace, size_t request)
{
    return trace->kinds != NULL ? (enum replay_kind)trace->kinds[request] : REPLAY_GET;
}

/* Reads a trace, gzip or plain; dies, naming the line, when it makes no sense. */
void replay_read_trace(replay_trace *trace, const char *path);
void replay_release_trace(replay_trace *trace);

/* Simulated policies, numbered from 0; NULL beyond the last. */
const char *replay_policy_name(unsigned policy);

/*
 * How many gets miss with this policy and capacity, both in bytes of keys and values. footprint: of all keys;
 * bytes_of: of a request's key and value.
 */
uint64_t replay_simulate(unsigned policy, const replay_trace *trace, uint64_t capacity, double footprint,
                         uint64_t (*bytes_of)(void *arg, size_t request), void *arg);

/* The S3-FIFO miss ratio that the reference file gives, or NAN. */
double replay_find_reference(const char *path, const char *trace_name, double capacity_ratio);

#endif
