/* The event counters of a handle (lib/metrics/counters.c). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "metrics/counters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct counters *counters_new(void)
{
    struct counters *counters = aligned_alloc(2 * PLATFORM_LINE, sizeof *counters);
    ck_assert_ptr_nonnull(counters);
    memset(counters, 0, sizeof *counters);
    return counters;
}

static int blocks_taken(const struct counters *counters)
{
    int n = 0;
    for (int i = 0; i < COUNTER_BLOCKS; i++)
        n += counters->block[i].owner != 0;
    return n;
}

START_TEST(one_thread_counts_in_one_block)
{
    struct counters *counters = counters_new();

    for (int which = 0; which < COUNTERS; which++)
        ck_assert_uint_eq(counters_sum(counters, (enum counter)which), 0);
    for (int which = 0; which < COUNTERS; which++)
        for (int i = 0; i <= which; i++)
            counters_add(counters, (enum counter)which, 3);
    for (int which = 0; which < COUNTERS; which++)
        ck_assert_uint_eq(counters_sum(counters, (enum counter)which), 3 * ((uint64_t)which + 1));
    ck_assert_int_eq(blocks_taken(counters), 1);
    for (int which = 0; which < COUNTERS; which++)
        ck_assert_uint_eq(counters->shared[which], 0);
    free(counters);
}
END_TEST

START_TEST(a_block_belongs_to_one_owner_and_no_block_means_the_shared_one)
{
    struct counters *counters = counters_new();
    struct counter_block *blocks[COUNTER_BLOCKS * 4];
    int refused = 0;

    for (uintptr_t i = 0; i < COUNTER_BLOCKS * 4; i++) {
        uintptr_t owner = (i + 1) << 12;
        blocks[i] = counters_claim(counters, owner);
        ck_assert_ptr_eq(counters_claim(counters, owner), blocks[i]); /* the same again */
        if (!blocks[i])
            refused++;
        for (uintptr_t k = 0; blocks[i] && k < i; k++)
            ck_assert_ptr_ne(blocks[k], blocks[i]);
    }
    ck_assert_int_ge(refused, COUNTER_BLOCKS * 3);
    ck_assert_int_gt(blocks_taken(counters), COUNTER_BLOCKS / 2);
    free(counters);
}
END_TEST

enum { MANY = 100, ADDS = 20000 };

static pthread_barrier_t all_here;

static void *count_some(void *arg)
{
    pthread_barrier_wait(&all_here); /* all alive at once: more threads than blocks */
    for (unsigned long i = scaled(ADDS); i; i--) {
        counters_add(arg, COUNT_HIT, 1);
        if (i % 16 == 0)
            counters_add(arg, COUNT_INVALIDATION, 5);
    }
    return NULL;
}

START_TEST(nothing_is_lost_when_there_are_more_threads_than_blocks)
{
    struct counters *counters = counters_new();
    pthread_t threads[MANY];
    uint64_t invalidations = 0;

    pthread_barrier_init(&all_here, NULL, MANY);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_some, counters), 0);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_here);
    for (unsigned long i = scaled(ADDS); i; i--)
        invalidations += i % 16 == 0 ? 5 : 0;
    ck_assert_uint_eq(counters_sum(counters, COUNT_HIT), MANY * (uint64_t)scaled(ADDS));
    ck_assert_uint_eq(counters_sum(counters, COUNT_INVALIDATION), MANY * invalidations);
    ck_assert_uint_eq(counters_sum(counters, COUNT_MISS), 0);
    free(counters);
}
END_TEST

static void *count_once(void *arg)
{
    counters_add(arg, COUNT_SET, 1);
    return NULL;
}

START_TEST(nothing_is_lost_when_threads_come_and_go)
{
    struct counters *counters = counters_new();
    unsigned long n = scaled(1000);

    for (unsigned long i = 0; i < n; i++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, count_once, counters), 0);
        pthread_join(thread, NULL);
        ck_assert_uint_eq(counters_sum(counters, COUNT_SET), i + 1);
    }
    free(counters);
}
END_TEST

int main(void)
{
    return RUN_TESTS("counters", one_thread_counts_in_one_block, a_block_belongs_to_one_owner_and_no_block_means_the_shared_one,
                     nothing_is_lost_when_there_are_more_threads_than_blocks, nothing_is_lost_when_threads_come_and_go);
}
