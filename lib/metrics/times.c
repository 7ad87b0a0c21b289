/* SPDX-License-Identifier: MIT */
#include "metrics/times.h"

#define FIRST_NS 32u /* of bucket 0 */
#define FIRST_BITS 5
#define STEP_BITS 3 /* buckets to a doubling */

_Static_assert(sizeof(struct time_counts) % (2 * PLATFORM_LINE) == 0, "what follows is aligned");

unsigned times_bucket(uint64_t ns)
{
    unsigned bits, bucket;

    if (ns <= FIRST_NS)
        return 0;
    bits = 63 - (unsigned)__builtin_clzll(--ns);
    bucket = 1 + ((bits - FIRST_BITS) << STEP_BITS) + (unsigned)(ns >> (bits - STEP_BITS) & ((1u << STEP_BITS) - 1));
    return bucket < TIME_BUCKETS ? bucket : TIME_BUCKETS - 1;
}

uint64_t libcache_time_bound(unsigned bucket)
{
    unsigned doubling, step;

    if (bucket == 0)
        return FIRST_NS;
    if (bucket >= TIME_BUCKETS - 1)
        return UINT64_MAX;
    doubling = (bucket - 1) >> STEP_BITS;
    step = (bucket - 1) & ((1u << STEP_BITS) - 1);
    return ((uint64_t)FIRST_NS << doubling) + ((uint64_t)(step + 1) << doubling) * (FIRST_NS >> STEP_BITS);
}

void times_add(struct time_counts *counts, uint64_t ns)
{
    uint64_t max = load_relaxed(&counts->max_ns);

    __atomic_fetch_add(&counts->bucket[times_bucket(ns)], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->sum_ns, ns, __ATOMIC_RELAXED);
    while (ns > max && !__atomic_compare_exchange_n(&counts->max_ns, &max, ns, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

uint64_t libcache_time_quantile(const uint64_t *buckets, double quantile)
{
    uint64_t count = 0, rank, seen = 0;

    if (!buckets)
        return 0;
    for (unsigned i = 0; i < TIME_BUCKETS; i++)
        count += buckets[i];
    if (!count || !(quantile >= 0))
        return 0;
    rank = quantile < 1 ? (uint64_t)((double)count * quantile) : count;
    rank += (double)rank < (double)count * quantile; /* the least whole number that is not less: nearest rank */
    rank = rank ? rank : 1;
    for (unsigned i = 0; i < TIME_BUCKETS; i++) {
        seen += buckets[i];
        if (seen >= rank)
            return libcache_time_bound(i);
    }
    return libcache_time_bound(TIME_BUCKETS - 1);
}

static uint64_t at_most(uint64_t ns, uint64_t max_ns)
{
    return ns < max_ns ? ns : max_ns;
}

void times_read(const struct time_counts *counts, libcache_times *out)
{
    out->count = 0;
    for (unsigned i = 0; i < TIME_BUCKETS; i++) {
        out->bucket[i] = load_relaxed(&counts->bucket[i]);
        out->count += out->bucket[i];
    }
    out->sum_ns = load_relaxed(&counts->sum_ns);
    out->max_ns = load_relaxed(&counts->max_ns);
    out->p50_ns = at_most(libcache_time_quantile(out->bucket, 0.5), out->max_ns);
    out->p90_ns = at_most(libcache_time_quantile(out->bucket, 0.9), out->max_ns);
    out->p99_ns = at_most(libcache_time_quantile(out->bucket, 0.99), out->max_ns);
    out->p999_ns = at_most(libcache_time_quantile(out->bucket, 0.999), out->max_ns);
}
