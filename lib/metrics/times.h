/*
 * How long things take: log-linear histograms, one for each kind, of all processes of a segment. SPDX-License-Identifier: MIT
 *
 *      ns   0 ... 32 | 36 40 44 48 52 56 60 64 | 72 80 ... 128 | 144 ... 256 | ...   2^37 | more
 *           bucket 0 | 1 ...                 8 | 9 ...      16 | ...                  256 | 257
 *
 * Eight buckets to each doubling: a bucket's bounds are at most an eighth apart. Adding is three atomic adds at most, which is nothing
 * beside a round trip to Redis or a load; hits are only sampled (cache.c).
 */
#ifndef METRICS_TIMES_H
#define METRICS_TIMES_H
#include "base/platform.h"
#include "libcache.h"

#define TIMES_KINDS LIBCACHE_TIMES_KINDS
#define TIME_BUCKETS LIBCACHE_TIME_BUCKETS

struct time_counts {
    uint64_t bucket[TIME_BUCKETS]; /* atomic adds, all of these */
    uint64_t sum_ns;
    uint64_t max_ns;     /* by compare-and-swap */
    uint64_t unused[12]; /* to a multiple of two lines */
};

unsigned times_bucket(uint64_t ns);
void times_add(struct time_counts *counts, uint64_t ns);
void times_read(const struct time_counts *counts, libcache_times *out);

#endif
