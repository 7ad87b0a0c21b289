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
    uint64_t value_bytes; /* the last size the trace gives; 0 where it gives none */
} replay_key;

/* A whole trace. Requests refer to keys by number. */
typedef struct replay_trace {
    char name[128]; /* file name without directory, .gz and .txt */
    int sized;      /* it says how large each value is */
    size_t n_requests, n_keys;
    uint32_t *requests;
    uint64_t *request_bytes; /* size that each request gives; NULL when not sized */
    replay_key *keys;
    double mean_value_bytes; /* over keys; 0 when not sized */
} replay_trace;

/* Reads a trace, gzip or plain; dies, naming the line, when it makes no sense. */
void replay_read_trace(replay_trace *trace, const char *path);
void replay_release_trace(replay_trace *trace);

/* Simulated policies, numbered from 0; NULL beyond the last. */
const char *replay_policy_name(unsigned policy);

/*
 * How many requests miss with this policy and capacity, both in bytes of keys and values. footprint: of all keys;
 * bytes_of: of a request's key and value.
 */
uint64_t replay_simulate(unsigned policy, const replay_trace *trace, uint64_t capacity, double footprint,
                         uint64_t (*bytes_of)(void *arg, size_t request), void *arg);

/* The S3-FIFO miss ratio that the reference file gives, or NAN. */
double replay_find_reference(const char *path, const char *trace_name, double capacity_ratio);

#endif
