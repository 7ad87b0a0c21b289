/* Counters that all hosts share: they live in Redis. SPDX-License-Identifier: MIT */
#include "support/hosts.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define N "n", 1
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;

/* Fails the test unless adding gives the number. */
static void ck_add(libcache_ns *ns, const char *key, int64_t delta, int64_t wanted)
{
    int64_t number = 4711;
    int result = libcache_increment(ns, key, strlen(key), delta, NULL, &number);

    ck_assert_msg(result == LIBCACHE_OK, "%s + %" PRId64 " gives %s", key, delta, result_name(result));
    ck_assert_int_eq(number, wanted);
}

START_TEST(all_hosts_count_the_same_number)
{
    hosts_up(&hosts);
    ck_add(hosts.a.ns, "n", 5, 5);
    ck_add(hosts.b.ns, "n", 10, 15);
    ck_add(hosts.a.ns, "n", -20, -5);
    for (int i = 0; i < 2; i++) { /* nobody keeps a copy that would be old at once */
        ck_from(hosts.a.ns, "n", "-5", L2);
        ck_from(hosts.b.ns, "n", "-5", L2);
        ck_poll(&hosts.a);
        ck_poll(&hosts.b);
    }
    ck_assert_int_eq(in_l1(hosts.a.ns, "n") + in_l1(hosts.b.ns, "n"), 0);
    ck_result(libcache_exists(hosts.b.ns, N, 0), LIBCACHE_HIT);
    ck_result(libcache_add(hosts.b.ns, N, "1", 1, NULL), LIBCACHE_EXISTS);
    ck_result(libcache_delete(hosts.b.ns, N, 0), LIBCACHE_OK);
    ck_add(hosts.a.ns, "n", 1, 1);
    ck_result(put(hosts.a.ns, "n", "100"), LIBCACHE_OK);
    ck_add(hosts.b.ns, "n", 1, 101);
    ck_poll(&hosts.a);
    ck_from(hosts.a.ns, "n", "101", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_copy_of_a_number_goes_when_somebody_counts)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "n", "41");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "n", "41", L2);
    ck_from(hosts.b.ns, "n", "41", L1);
    ck_add(hosts.a.ns, "n", 1, 42);
    ck_from(hosts.a.ns, "n", "42", L2);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "n", "42", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(numbers_go_to_the_limits_and_not_beyond)
{
    int64_t number = 4711;

    hosts_up(&hosts);
    ck_add(hosts.a.ns, "n", INT64_MAX, INT64_MAX);
    ck_result(libcache_increment(hosts.a.ns, N, 1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_increment(hosts.b.ns, N, INT64_MAX, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(hosts.b.ns, N, -1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(hosts.b.ns, N, INT64_MIN, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_assert_int_eq(number, 4711);
    ck_from(hosts.b.ns, "n", "9223372036854775807", L2);
    ck_add(hosts.b.ns, "n", INT64_MIN, -1);
    ck_result(libcache_decrement(hosts.b.ns, N, INT64_MIN, NULL, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, INT64_MAX);
    ck_result(libcache_decrement(hosts.b.ns, N, INT64_MAX, NULL, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, 0);
    ck_result(libcache_decrement(hosts.b.ns, N, INT64_MIN, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_add(hosts.b.ns, "n", INT64_MIN, INT64_MIN);
    ck_result(libcache_increment(hosts.a.ns, N, -1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(hosts.a.ns, N, 1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_from(hosts.a.ns, "n", "-9223372036854775808", L2);
    ck_add(hosts.a.ns, "n", 0, INT64_MIN);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_errors + rig_stats(&hosts.b).l2_errors, 0); /* the caller's, not Redis's */
    hosts_down(&hosts);
}
END_TEST

/* ---- What is a number --------------------------------------------------------------------------------------------------- */

START_TEST(both_tiers_agree_on_what_is_a_number)
{
    static const struct {
        const char *text;
        size_t size; /* 0: all of it */
    } texts[] = { { "41", 0 }, { "0", 0 }, { "-0", 0 }, { "-41", 0 }, { "007", 0 }, { "-007", 0 },
                  { "9223372036854775806", 0 }, { "9223372036854775807", 0 }, { "9223372036854775808", 0 },
                  { "-9223372036854775808", 0 }, { "-9223372036854775809", 0 }, { "99999999999999999999", 0 },
                  { "0000000000000000000000000000000000041", 0 }, { "", 0 }, { "-", 0 }, { "--1", 0 }, { "+1", 0 },
                  { " 1", 0 }, { "1 ", 0 }, { "1\n", 0 }, { "0x10", 0 }, { "1e3", 0 }, { "1.5", 0 }, { "abc", 0 },
                  { "4\0001", 3 }, { "\xff", 0 }, { "1\0", 2 } };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *near;

    hosts_up(&hosts);
    policy.tiers = LIBCACHE_TIER_L1;
    near = space(&hosts.a, "near", &policy);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t size = texts[i].size ? texts[i].size : strlen(texts[i].text);
        int64_t here = 4711, there = 4711;
        int result;
        libcache_set(near, N, texts[i].text, size, NULL);
        libcache_set(hosts.a.ns, N, texts[i].text, size, NULL);
        result = libcache_increment(near, N, 1, NULL, &here);
        ck_assert_msg(libcache_increment(hosts.a.ns, N, 1, NULL, &there) == result, "\"%s\" is not %s in Redis",
                      texts[i].text, result_name(result));
        ck_assert_int_eq(here, there);
        if (result < 0) { /* and it is as it was */
            libcache_value value = LIBCACHE_VALUE_INIT;
            ck_result(libcache_get(hosts.b.ns, N, &value, LIBCACHE_SKIP_L1), LIBCACHE_HIT);
            ck_assert(value.size == size && (!size || memcmp(value.data, texts[i].text, size) == 0));
            libcache_release_value(&value);
        } else {
            char text[30];
            snprintf(text, sizeof text, "%" PRId64, there);
            ck_from(hosts.b.ns, "n", text, L2);
        }
        ck_poll(&hosts.b);
    }
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_packed_value_is_no_number_and_a_missing_one_counts_as_none)
{
    static char digits[5000];
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns *ns;

    hosts_up(&hosts);
    policy.compress_bytes = 100;
    ns = space(&hosts.a, "packed", &policy);
    memset(digits, 'x', sizeof digits);
    libcache_set(ns, N, digits, sizeof digits, NULL);
    ck_result(libcache_increment(ns, N, 1, NULL, NULL), LIBCACHE_ENUMBER);
    options.flags = LIBCACHE_NEG;
    libcache_set(ns, N, NULL, 0, &options);
    ck_add(ns, "n", 3, 3);
    ck_from(ns, "n", "3", L2);
    hosts_down(&hosts);
}
END_TEST

/* ---- What goes with it ------------------------------------------------------------------------------------------------------ */

START_TEST(counting_keeps_time_tags_codec_and_flags)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT, other = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("tag");
    libcache_value value = LIBCACHE_VALUE_INIT;
    static const char *const ways[] = { "made", "text" };

    hosts_up(&hosts);
    options.ttl_ms = 500000;
    options.tags = &tag;
    options.n_tags = 1;
    options.codec = 3;
    options.user_flags = 33;
    other.ttl_ms = 9000000;
    other.codec = 4;
    for (int i = 0; i < 2; i++) {
        const char *key = ways[i];
        size_t size = strlen(key);
        if (i == 0)
            ck_result(libcache_increment(hosts.a.ns, key, size, 41, &options, NULL), LIBCACHE_OK);
        else
            ck_result(libcache_set(hosts.a.ns, key, size, "41", 2, &options), LIBCACHE_OK);
        ck_result(libcache_increment(hosts.b.ns, key, size, 1, &other, NULL), LIBCACHE_OK);
        ck_result(libcache_increment(hosts.b.ns, key, size, 1, NULL, NULL), LIBCACHE_OK);
        ck_result(libcache_get(hosts.b.ns, key, size, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
        ck_assert_mem_eq(value.data, "43", 2);
        ck_assert_uint_eq(value.codec, 3);
        ck_assert_uint_eq(value.flags, 33);
        ck_assert_uint_le(value.ttl_left_ms, 600000); /* the clock stands still here, not in Redis */
        ck_assert_int_gt(raw_ttl(&hosts, "test", key), 400000);
        ck_assert_int_le(raw_ttl(&hosts, "test", key), 500000);
        ck_result(libcache_touch(hosts.b.ns, key, size, 700000, 0), LIBCACHE_OK);
        ck_assert_int_gt(raw_ttl(&hosts, "test", key), 500000);
        ck_poll(&hosts.a);
        ck_from(hosts.a.ns, key, "43", L2);
    }
    ck_result(invalidate_tag(hosts.a.cache, "tag"), LIBCACHE_OK);
    ck_get(hosts.a.ns, "made", 0, LIBCACHE_MISS, 0);
    ck_add(hosts.b.ns, "made", 7, 7); /* though this host has not heard of it */
    ck_add(hosts.b.ns, "text", 8, 8);
    ck_result(invalidate_tag(hosts.a.cache, "tag"), LIBCACHE_OK);
    ck_add(hosts.b.ns, "made", 1, 8); /* it was made without options: it has no tag any more */
    ck_result(libcache_invalidate_namespace(hosts.a.ns, 0), LIBCACHE_OK);
    ck_add(hosts.b.ns, "made", 1, 1);
    ck_result(libcache_invalidate_all(hosts.a.cache, 0), LIBCACHE_OK);
    ck_add(hosts.b.ns, "made", 2, 2);
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_counter_is_damaged_by_nobody_unnoticed)
{
    unsigned char bytes[300];
    long size;

    hosts_up(&hosts);
    ck_add(hosts.a.ns, "n", 1234, 1234);
    size = raw_get(&hosts, "test", slice_of("n"), bytes, sizeof bytes);
    ck_assert_int_gt(size, 24);
    bytes[size - 5] ^= 1; /* its last digit */
    raw_set(&hosts, "test", slice_of("n"), bytes, (size_t)size);
    ck_get(hosts.b.ns, "n", 0, LIBCACHE_MISS, 0);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_foreign, 1);
    hosts_down(&hosts);
}
END_TEST

/* ---- At the same time --------------------------------------------------------------------------------------------------------- */

#define THREADS 3
#define NUMBERS 40

static void *count_up(void *arg)
{
    struct rig *rig = arg;
    unsigned long n = scaled(10);

    for (unsigned long i = 0; i < NUMBERS * n; i++) {
        char key[20];
        int size = snprintf(key, sizeof key, "n-%lu", i / n), result;
        result = libcache_increment(rig->ns, key, (size_t)size, 1, NULL, NULL);
        if (result != LIBCACHE_OK)
            return (void *)result_name(result);
    }
    return NULL;
}

START_TEST(nothing_is_lost_when_all_count_at_once)
{
    pthread_t threads[2 * THREADS];
    char key[20], wanted[30];

    hosts_up(&hosts);
    for (int i = 0; i < NUMBERS; i += 2) { /* texts: one of them makes a counter of it, the others find one */
        snprintf(key, sizeof key, "n-%d", i);
        put(hosts.a.ns, key, "0");
    }
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_up, i % 2 ? &hosts.a : &hosts.b), 0);
    for (int i = 0; i < 2 * THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        ck_assert_msg(!failed, "%s", (const char *)failed);
    }
    snprintf(wanted, sizeof wanted, "%lu", 2 * THREADS * scaled(10));
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(key, sizeof key, "n-%d", i);
        ck_from(hosts.a.ns, key, wanted, L2);
    }
    hosts_down(&hosts);
}
END_TEST

START_TEST(without_redis_nothing_is_counted)
{
    int64_t number = 4711;

    hosts_up(&hosts);
    ck_add(hosts.a.ns, "n", 5, 5);
    redis_server_kill(&hosts.redis);
    ck_assert_int_lt(libcache_increment(hosts.a.ns, N, 1, NULL, &number), 0);
    ck_assert_int_eq(number, 4711);
    ck_get(hosts.a.ns, "n", 0, LIBCACHE_MISS, 0);
    REDIS_AGAIN(&hosts.redis, REDIS_EMPTY);
    fake_clock_advance(&hosts.a.clock, 10000); /* past the breaker's pause */
    ck_add(hosts.a.ns, "n", 1, 1);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_counters", all_hosts_count_the_same_number, a_copy_of_a_number_goes_when_somebody_counts,
                     numbers_go_to_the_limits_and_not_beyond, both_tiers_agree_on_what_is_a_number,
                     a_packed_value_is_no_number_and_a_missing_one_counts_as_none,
                     counting_keeps_time_tags_codec_and_flags, a_counter_is_damaged_by_nobody_unnoticed,
                     nothing_is_lost_when_all_count_at_once, without_redis_nothing_is_counted);
}
