/* Histograms of durations (lib/metrics/times.c). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "metrics/times.h"

#include <stdlib.h>
#include <string.h>

static uint64_t roll_duration(struct dice *dice)
{
    return dice_roll(dice) >> (16 + dice_below(dice, 48)); /* of any order of magnitude */
}

START_TEST(a_duration_lies_in_the_bucket_whose_bounds_enclose_it)
{
    struct dice dice = dice_of(1);

    ck_assert_uint_eq(times_bucket(0), 0);
    ck_assert_uint_eq(times_bucket(32), 0);
    ck_assert_uint_eq(times_bucket(33), 1);
    ck_assert_uint_eq(libcache_time_bound(LIBCACHE_TIME_BUCKETS - 1), UINT64_MAX);
    ck_assert_uint_eq(libcache_time_bound(LIBCACHE_TIME_BUCKETS - 2), UINT64_C(1) << 37);
    for (unsigned i = 0; i < LIBCACHE_TIME_BUCKETS - 1; i++) {
        ck_assert_uint_eq(times_bucket(libcache_time_bound(i)), i);
        ck_assert_uint_eq(times_bucket(libcache_time_bound(i) + 1), i + 1);
    }
    for (unsigned long n = scaled(100000); n; n--) {
        uint64_t ns = roll_duration(&dice);
        unsigned i = times_bucket(ns);
        ck_assert_uint_lt(i, LIBCACHE_TIME_BUCKETS);
        ck_assert_uint_le(ns, libcache_time_bound(i));
        ck_assert(i == 0 || ns > libcache_time_bound(i - 1));
    }
}
END_TEST

START_TEST(a_buckets_bounds_are_an_eighth_apart_at_most)
{
    for (unsigned i = 1; i < LIBCACHE_TIME_BUCKETS - 1; i++) {
        uint64_t from = libcache_time_bound(i - 1), to = libcache_time_bound(i);
        ck_assert_uint_lt(from, to);
        ck_assert_msg((to - from) * 8 <= from, "bucket %u is from %llu to %llu", i, (unsigned long long)from, (unsigned long long)to);
    }
}
END_TEST

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The nearest rank's. */
static uint64_t exact(const uint64_t *sorted, size_t n, unsigned permille)
{
    size_t rank = (n * permille + 999) / 1000;

    return sorted[rank ? rank - 1 : 0];
}

static void ck_near(uint64_t shown, uint64_t true_, const char *what)
{
    ck_assert_msg(shown >= true_ && (shown - true_) * 8 <= (true_ > 32 ? true_ : 32 * 8), "%s is shown as %llu, and is %llu", what,
                  (unsigned long long)shown, (unsigned long long)true_);
}

START_TEST(quantiles_are_within_the_bound_that_is_promised)
{
    enum { MOST = 20000 };
    static uint64_t durations[MOST];
    struct dice dice = dice_of(2);

    for (int round = 0; round < 30; round++) {
        static struct time_counts counts;
        libcache_times times = LIBCACHE_TIMES_INIT;
        size_t n = 1 + (size_t)dice_below(&dice, round < 10 ? 20 : MOST);
        uint64_t sum = 0;
        memset(&counts, 0, sizeof counts);
        for (size_t i = 0; i < n; i++) {
            durations[i] = roll_duration(&dice) % (UINT64_C(1) << 37);
            sum += durations[i];
            times_add(&counts, durations[i]);
        }
        qsort(durations, n, sizeof durations[0], by_size);
        times_read(&counts, &times);
        ck_assert_uint_eq(times.count, n);
        ck_assert_uint_eq(times.sum_ns, sum);
        ck_assert_uint_eq(times.max_ns, durations[n - 1]);
        ck_near(times.p50_ns, exact(durations, n, 500), "p50");
        ck_near(times.p90_ns, exact(durations, n, 900), "p90");
        ck_near(times.p99_ns, exact(durations, n, 990), "p99");
        ck_near(times.p999_ns, exact(durations, n, 999), "p99.9");
        ck_assert_uint_le(times.p999_ns, times.max_ns);
    }
}
END_TEST

START_TEST(quantiles_of_nothing_and_of_differences)
{
    static struct time_counts counts;
    libcache_times before = LIBCACHE_TIMES_INIT, after = LIBCACHE_TIMES_INIT;

    times_read(&counts, &before);
    ck_assert_uint_eq(before.count + before.sum_ns + before.max_ns + before.p50_ns + before.p999_ns, 0);
    ck_assert_uint_eq(libcache_time_quantile(before.bucket, 0.5), 0);
    ck_assert_uint_eq(libcache_time_quantile(NULL, 0.5), 0);
    for (int i = 0; i < 1000; i++)
        times_add(&counts, 1000000);
    times_read(&counts, &before);
    times_add(&counts, 50);
    times_add(&counts, UINT64_MAX / 2);
    times_read(&counts, &after);
    for (unsigned i = 0; i < LIBCACHE_TIME_BUCKETS; i++)
        after.bucket[i] -= before.bucket[i];
    ck_near(libcache_time_quantile(after.bucket, 0.5), 50, "p50 of the difference");
    ck_assert_uint_eq(libcache_time_quantile(after.bucket, 1), UINT64_MAX);
    ck_near(libcache_time_quantile(after.bucket, 0), 50, "p0");
    ck_assert_uint_eq(after.max_ns, UINT64_MAX / 2);
}
END_TEST

int main(void)
{
    return RUN_TESTS("times", a_duration_lies_in_the_bucket_whose_bounds_enclose_it, a_buckets_bounds_are_an_eighth_apart_at_most,
                     quantiles_are_within_the_bound_that_is_promised, quantiles_of_nothing_and_of_differences);
}
