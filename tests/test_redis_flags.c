/*
 * What a call leaves out when its flags or its namespace say so, and how many round trips the rest takes.
 * SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"

#include <stdio.h>
#include <string.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;

static int put_flags(libcache_ns *ns, const char *key, const char *value, unsigned flags)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    options.flags = flags;
    return libcache_set(ns, key, strlen(key), value, strlen(value), &options);
}

static int in_redis(const char *ns, const char *key)
{
    static char bytes[1000];

    return raw_get(&hosts, ns, slice_of(key), bytes, sizeof bytes) >= 0;
}

/* ---- Flags of calls that read ---------------------------------------------------------------------------------- */

START_TEST(reads_skip_the_tier_that_they_are_told_to)
{
    libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("far") };
    uint64_t ms = 4711, sent;
    int results[2];
    size_t found;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    put(hosts.a.ns, "far", "value");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    sent = exchanges(&hosts.b);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L2, LIBCACHE_HIT, L1);
    ck_get(hosts.b.ns, "far", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    ck_result(libcache_exists(hosts.b.ns, "far", 3, LIBCACHE_SKIP_L2), LIBCACHE_MISS);
    ck_result(libcache_ttl_left(hosts.b.ns, "far", 3, &ms, LIBCACHE_SKIP_L2), LIBCACHE_MISS);
    ck_assert_uint_eq(ms, 4711);
    ck_result(libcache_get_many(hosts.b.ns, keys, 2, values, results, &found, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_result(results[0], LIBCACHE_HIT);
    ck_result(results[1], LIBCACHE_MISS);
    ck_assert_uint_eq(found, 1);
    ck_assert_uint_eq(exchanges(&hosts.b), sent);
    ck_get(hosts.b.ns, "far", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    ck_result(libcache_get_many(hosts.b.ns, keys, 2, values, results, &found, LIBCACHE_SKIP_L1), LIBCACHE_OK);
    ck_assert_uint_eq(values[0].tier, L2);
    ck_assert_uint_eq(values[1].tier, L2);
    ck_assert_int_eq(in_l1(hosts.b.ns, "far"), 0); /* nor is a copy made of what was asked of Redis on purpose */
    ck_result(libcache_exists(hosts.b.ns, "far", 3, LIBCACHE_SKIP_L1), LIBCACHE_HIT);
    ck_assert_int_eq(in_l1(hosts.b.ns, "far"), 0);
    ck_get(hosts.b.ns, "far", LIBCACHE_READ_ONLY, LIBCACHE_HIT, L2);
    ck_assert_int_eq(in_l1(hosts.b.ns, "far"), 0);
    ck_result(libcache_get_many(hosts.b.ns, keys, 2, values, results, &found, LIBCACHE_READ_ONLY), LIBCACHE_OK);
    ck_assert_uint_eq(values[0].tier, L1);
    ck_assert_uint_eq(values[1].tier, L2);
    ck_assert_int_eq(in_l1(hosts.b.ns, "far"), 0);
    ck_result(libcache_exists(hosts.b.ns, "far", 3, 0), LIBCACHE_HIT);
    ck_assert_int_eq(in_l1(hosts.b.ns, "far"), 1);
    libcache_release_value(&values[0]);
    libcache_release_value(&values[1]);
    hosts_down(&hosts);
}
END_TEST

/* ---- Flags of calls that write ----------------------------------------------------------------------------------- */

START_TEST(writes_that_skip_redis_are_this_host_s_own)
{
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("x") }, tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_item item = { .key = LIBCACHE_STR("many"), .value = LIBCACHE_STR("v"), .options = &options };
    uint64_t position, sent;
    int64_t number = 0;

    hosts_up(&hosts);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    position = log_position(&hosts);
    sent = exchanges(&hosts.a);
    options.flags = LIBCACHE_SKIP_L2;
    ck_result(put_flags(hosts.a.ns, "own", "value", LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_result(libcache_add(hosts.a.ns, "added", 5, "v", 1, &options), LIBCACHE_OK);
    ck_result(libcache_set_many(hosts.a.ns, &item, 1), LIBCACHE_OK);
    ck_result(item.result, LIBCACHE_OK);
    ck_result(libcache_increment(hosts.a.ns, "number", 6, 5, &options, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, 5);
    ck_result(libcache_touch(hosts.a.ns, KEY, 10000, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_get(hosts.a.ns, "own", 0, LIBCACHE_HIT, L1);
    ck_get(hosts.a.ns, "many", 0, LIBCACHE_HIT, L1);
    ck_from(hosts.a.ns, "number", "5", L1);
    ck_result(libcache_delete(hosts.a.ns, KEY, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_result(libcache_delete_many(hosts.a.ns, keys, 2, NULL, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_result(libcache_invalidate_tags(hosts.a.cache, &tag, 1, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_result(libcache_invalidate_namespace(hosts.a.ns, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_get(hosts.a.ns, "own", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    put_flags(hosts.a.ns, "own", "value", LIBCACHE_SKIP_L2);
    ck_result(libcache_invalidate_all(hosts.a.cache, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_get(hosts.a.ns, "own", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    ck_assert_uint_eq(exchanges(&hosts.a), sent);
    ck_assert_uint_eq(log_position(&hosts), position);
    ck_assert_int_eq(in_redis("test", "own") + in_redis("test", "added") + in_redis("test", "many") + in_redis("test", "number"), 0);
    ck_assert_int_gt(raw_ttl(&hosts, "test", "key"), 1000000);
    ck_from(hosts.b.ns, "key", "value", L2); /* there it is as it was */
    hosts_down(&hosts);
}
END_TEST

START_TEST(writes_that_skip_memory_leave_nothing_there)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_result(put_flags(hosts.a.ns, "key", "new", LIBCACHE_SKIP_L1), LIBCACHE_OK);
    ck_assert_int_eq(in_l1(hosts.a.ns, "key"), 0);
    ck_from(hosts.a.ns, "key", "new", L2);
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_result(put_flags(hosts.a.ns, "key", "newer", LIBCACHE_SKIP_L1 | LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_assert_int_eq(in_l1(hosts.a.ns, "key"), 0);
    ck_from(hosts.a.ns, "key", "newer", L2);
    ck_result(put_flags(hosts.a.ns, "key", "", LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_assert_int_eq(in_l1(hosts.a.ns, "key"), 0);
    ck_from(hosts.a.ns, "key", "newer", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(quiet_writes_change_redis_and_leave_other_hosts_their_copies)
{
    libcache_slice keys[2] = { LIBCACHE_STR("many-1"), LIBCACHE_STR("many-2") }, tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_item items[2] = { { .key = keys[0], .value = LIBCACHE_STR("v"), .options = &options },
                               { .key = keys[1], .value = LIBCACHE_STR("v"), .options = &options } };
    int64_t number = 0;
    uint64_t position;
    size_t deleted = 0;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    position = log_position(&hosts);
    options.flags = LIBCACHE_NO_PUBLISH;
    ck_result(put_flags(hosts.a.ns, "key", "new", LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L1);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    ck_result(libcache_add(hosts.a.ns, "added", 5, "v", 1, &options), LIBCACHE_OK);
    ck_result(libcache_set_many(hosts.a.ns, items, 2), LIBCACHE_OK);
    ck_result(libcache_increment(hosts.a.ns, "number", 6, 3, &options, &number), LIBCACHE_OK);
    ck_from(hosts.b.ns, "number", "3", L2);
    ck_result(libcache_touch(hosts.a.ns, KEY, 10000, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_assert_int_le(raw_ttl(&hosts, "test", "key"), 10000);
    ck_get(hosts.b.ns, "added", 0, LIBCACHE_HIT, L2);
    ck_result(libcache_delete_many(hosts.a.ns, keys, 2, &deleted, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_assert_uint_eq(deleted, 2);
    ck_result(libcache_delete(hosts.a.ns, KEY, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_result(libcache_delete(hosts.a.ns, KEY, LIBCACHE_NO_PUBLISH), LIBCACHE_MISS);
    ck_result(libcache_delete(hosts.a.ns, "number", 6, LIBCACHE_NO_PUBLISH), LIBCACHE_OK); /* only Redis has it */
    ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_assert_int_eq(in_redis("test", "key") + in_redis("test", "many-1") + in_redis("test", "number"), 0);
    ck_assert_uint_eq(log_position(&hosts), position);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L1);
    put_tagged(hosts.a.ns, "tagged", "v", "tag");
    position = log_position(&hosts);
    ck_result(libcache_invalidate_tags(hosts.a.cache, &tag, 1, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_result(libcache_invalidate_namespace(hosts.a.ns, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_result(libcache_invalidate_all(hosts.a.cache, LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_assert_int_eq(in_l1(hosts.a.ns, "tagged"), 0);
    ck_assert_uint_eq(log_position(&hosts), position);
    hosts_down(&hosts);
}
END_TEST

/* ---- Tiers of a namespace ------------------------------------------------------------------------------------------- */

START_TEST(a_namespace_in_memory_only_is_kept_in_step_all_the_same)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *a, *b;
    int64_t number = 0;
    uint64_t sent, position;

    hosts_up(&hosts);
    policy.tiers = LIBCACHE_TIER_L1;
    a = space(&hosts.a, "near", &policy);
    b = space(&hosts.b, "near", &policy);
    put(b, "key", "of b");
    put(b, "stays", "of b");
    ck_result(put(a, "key", "of a"), LIBCACHE_OK);
    ck_assert_int_eq(in_redis("near", "key"), 0);
    ck_from(a, "key", "of a", L1);
    ck_from(b, "key", "of b", L1);
    ck_poll(&hosts.b);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    ck_from(b, "stays", "of b", L1);
    put(b, "key", "of b");
    ck_result(libcache_delete(a, KEY, 0), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    ck_result(libcache_invalidate_namespace(a, 0), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_get(b, "stays", 0, LIBCACHE_MISS, 0);
    sent = exchanges(&hosts.a);
    position = log_position(&hosts);
    ck_result(libcache_add(a, "added", 5, "v", 1, NULL), LIBCACHE_OK); /* replaces nothing of anybody's */
    ck_result(libcache_increment(a, "number", 6, 7, NULL, &number), LIBCACHE_OK);
    ck_result(libcache_touch(a, "added", 5, 5000, 0), LIBCACHE_OK);
    ck_get(a, "absent", 0, LIBCACHE_MISS, 0);
    ck_assert_uint_eq(exchanges(&hosts.a), sent);
    ck_from(a, "number", "7", L1);
    ck_get(b, "number", 0, LIBCACHE_MISS, 0);
    ck_result(put_flags(a, "key", "quiet", LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_assert_uint_eq(log_position(&hosts), position);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_namespace_in_redis_only_leaves_memory_alone)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("absent") };
    libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_ns *a, *b;
    uint64_t entries;
    int results[2];

    hosts_up(&hosts);
    policy.tiers = LIBCACHE_TIER_L2;
    a = space(&hosts.a, "far", &policy);
    b = space(&hosts.b, "far", &policy);
    entries = rig_stats(&hosts.a).entries;
    ck_result(put_tagged(a, "key", "value", "tag"), LIBCACHE_OK);
    ck_poll(&hosts.b);
    for (int i = 0; i < 2; i++) {
        ck_from(a, "key", "value", L2);
        ck_from(b, "key", "value", L2);
    }
    ck_result(libcache_get_many(a, keys, 2, values, results, NULL, 0), LIBCACHE_OK);
    ck_result(results[0], LIBCACHE_HIT);
    ck_result(results[1], LIBCACHE_MISS);
    ck_assert_uint_eq(values[0].tier, L2);
    ck_assert_uint_eq(rig_stats(&hosts.a).entries, entries);
    ck_result(libcache_add(b, KEY, "v", 1, NULL), LIBCACHE_EXISTS);
    ck_result(libcache_touch(b, KEY, 5000, 0), LIBCACHE_OK);
    ck_result(put(b, "key", "new"), LIBCACHE_OK);
    ck_from(a, "key", "new", L2); /* at once: there is no copy to be old */
    put_tagged(a, "tagged", "value", "tag");
    ck_result(invalidate_tag(hosts.b.cache, "tag"), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_get(a, "tagged", 0, LIBCACHE_MISS, 0);
    ck_get(b, "tagged", 0, LIBCACHE_MISS, 0);
    ck_result(libcache_delete(a, KEY, 0), LIBCACHE_OK);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    ck_get(a, "key", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    libcache_release_value(&values[0]);
    hosts_down(&hosts);
}
END_TEST

/* ---- Round trips ------------------------------------------------------------------------------------------------------ */

/* Does something, and, once Redis knows the scripts, fails the test unless it takes so many round trips. */
#define TAKES(n, ...)                                                                                            \
    do {                                                                                                         \
        uint64_t before_ = exchanges(&hosts.a), sent_;                                                           \
        __VA_ARGS__;                                                                                             \
        sent_ = exchanges(&hosts.a) - before_;                                                                   \
        ck_assert_msg(!steady || sent_ == (n), "%s takes %lu round trips", #__VA_ARGS__, (unsigned long)sent_);  \
    } while (0)

START_TEST(every_call_takes_one_round_trip)
{
    enum { N = 100, AT_ONCE = 64 };
    static char names[N][20];
    static libcache_slice keys[N], three[3];
    static libcache_value values[N];
    static libcache_item items[N];
    static int results[N];
    libcache_set_options loaded = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *near;
    uint64_t ms;

    hosts_up(&hosts);
    policy.tiers = LIBCACHE_TIER_L1;
    near = space(&hosts.a, "near", &policy);
    for (int i = 0; i < N; i++) {
        keys[i] = (libcache_slice){ names[i], (size_t)snprintf(names[i], sizeof names[i], "key-%d", i) };
        items[i] = (libcache_item){ .key = keys[i], .value = LIBCACHE_STR("value") };
        three[i % 3] = keys[i];
    }
    for (int steady = 0; steady < 2; steady++) {
        libcache_take_stamp(hosts.a.ns, "loaded", 6, &stamp);
        loaded.stamp = &stamp;
        TAKES(0, libcache_take_stamp(hosts.a.ns, "loaded", 6, &stamp));
        TAKES(1, ck_get(hosts.a.ns, "absent", 0, LIBCACHE_MISS, 0));
        TAKES(1, ck_result(put(hosts.a.ns, "key", "value"), LIBCACHE_OK));
        TAKES(0, ck_get(hosts.a.ns, "key", 0, LIBCACHE_HIT, L1));
        TAKES(1, ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2));
        TAKES(1, ck_result(libcache_exists(hosts.a.ns, "absent", 6, 0), LIBCACHE_MISS));
        TAKES(1, ck_result(libcache_ttl_left(hosts.a.ns, KEY, &ms, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_set(hosts.a.ns, "loaded", 6, "v", 1, &loaded), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_add(hosts.a.ns, KEY, "v", 1, NULL), LIBCACHE_EXISTS));
        TAKES(1, ck_result(libcache_touch(hosts.a.ns, KEY, 5000, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_increment(hosts.a.ns, "number", 6, 1, NULL, NULL), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_delete(hosts.a.ns, KEY, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_delete(hosts.a.ns, KEY, LIBCACHE_NO_PUBLISH), LIBCACHE_MISS));
        TAKES(1, ck_result(libcache_set_many(hosts.a.ns, items, AT_ONCE), LIBCACHE_OK));
        TAKES(2, ck_result(libcache_set_many(hosts.a.ns, items, N), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_get_many(hosts.a.ns, keys, N, values, results, NULL, LIBCACHE_SKIP_L1), LIBCACHE_OK));
        TAKES(0, ck_result(libcache_get_many(hosts.a.ns, keys, N, values, results, NULL, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_delete_many(hosts.a.ns, keys, N, NULL, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_get_many(hosts.a.ns, keys, N, values, results, NULL, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_invalidate_tags(hosts.a.cache, three, 3, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_invalidate_namespace(hosts.a.ns, 0), LIBCACHE_OK));
        TAKES(1, ck_result(libcache_invalidate_all(hosts.a.cache, 0), LIBCACHE_OK));
        TAKES(1, ck_poll(&hosts.a));
        TAKES(1, ck_result(put(near, "key", "value"), LIBCACHE_OK));
        TAKES(0, ck_get(near, "absent", 0, LIBCACHE_MISS, 0));
    }
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_connects, 1);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_connections, 1);
    for (int i = 0; i < N; i++)
        libcache_release_value(&values[i]);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_flags", reads_skip_the_tier_that_they_are_told_to, writes_that_skip_redis_are_this_host_s_own,
                     writes_that_skip_memory_leave_nothing_there,
                     quiet_writes_change_redis_and_leave_other_hosts_their_copies,
                     a_namespace_in_memory_only_is_kept_in_step_all_the_same,
                     a_namespace_in_redis_only_leaves_memory_alone, every_call_takes_one_round_trip);
}
