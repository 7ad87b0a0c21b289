/*
 * bench-load from the inside: what loads cost. SPDX-License-Identifier: MIT
 *
 *     bench_load.c            options, results, targets
 *     bench_load_hit.c        hit: a hit through libcache_get_or_load beside a plain get
 *     bench_load_stampede.c   stampede: 64 threads in 8 processes ask for one cold key
 *     bench_load_soft.c       soft: readers while stale values are refreshed in the background
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "harness.h"
#include "libcache.h"

typedef struct load_options {
    int json;
    unsigned hit_rounds, hit_ops; /* interleaved; operations of each */
    size_t hit_keys;
    unsigned stampedes, kills;    /* of each variant */
    unsigned soft_ms;             /* of each variant */
} load_options;

typedef struct load_figure {
    const char *name; /* with its unit */
    double value;
} load_figure;

/* One line: a bench, which variant of it, and what was measured. Figures end with a name that is NULL. */
void load_report(const char *bench, const char *variant, const load_figure *figures);
#define LOAD_REPORT(bench, variant, ...) load_report(bench, variant, (const load_figure[]){ __VA_ARGS__, { NULL, 0 } })

/* What must be reached: at most `limit`. what is copied. */
void load_target(const char *what, double value, double limit, const char *unit);

/* Sorted in place; share 0.5: the median. n is at least 1. */
double load_percentile(double *values, size_t n, double share);

/* Dies, naming the call, unless it gave this. */
void load_expect(int result, int wanted, const char *what);

void load_bench_hit(const load_options *options);
void load_bench_stampede(const load_options *options);
void load_bench_soft(const load_options *options);

#endif
