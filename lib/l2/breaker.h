/*
 * A circuit breaker in a few shared words (Nygard, Release It!, 2007). SPDX-License-Identifier: MIT
 */
#ifndef L2_BREAKER_H
#define L2_BREAKER_H
#include <stdint.h>

/* All zero: closed. Atomics; processes may share it, and any may die at any instruction. */
struct breaker {
    uint32_t failures;      /* in a row */
    uint32_t opened;        /* how often it opened in a row: the backoff's exponent; 0: closed */
    uint64_t retry_at_ms;   /* when open: nobody tries before */
    uint64_t opens;         /* statistics */
};

struct breaker_limits {
    unsigned failures, backoff_ms, backoff_max_ms;
    unsigned probe_ms;      /* how long a probe may take before another may try: its prober may be dead */
};

/* 1: go ahead (closed, or you are the one probe); 0: do not try. */
int breaker_allows(struct breaker *breaker, const struct breaker_limits *limits, uint64_t now_ms);

void breaker_success(struct breaker *breaker);
void breaker_failure(struct breaker *breaker, const struct breaker_limits *limits, uint64_t now_ms, uint64_t random);

/* 1: closed. */
int breaker_closed(const struct breaker *breaker);

#endif
