/* Single values in both tiers: what each call does, and which tier answers. SPDX-License-Identifier: MIT */
#include "support/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2
#define SLACK_MS 8000 /* real time that may pass in a test, while the clock stands still */

static struct hosts hosts;

/* ---- Values ------------------------------------------------------------------------------------------------------ */

START_TEST(a_value_is_read_from_redis_once_and_then_from_memory)
{
    libcache_stats stats;

    hosts_up(&hosts);
    ck_result(put(hosts.a.ns, "key", "value"), LIBCACHE_OK);
    ck_from(hosts.a.ns, "key", "value", L1);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_get(hosts.b.ns, "absent", 0, LIBCACHE_MISS, 0);
    stats = rig_stats(&hosts.b);
    ck_assert_uint_eq(stats.l2_hits, 1);
    ck_assert_uint_eq(stats.l2_misses, 1);
    ck_assert_uint_eq(stats.hits, 3);
    ck_assert_uint_eq(stats.misses, 1);
    ck_assert_uint_eq(stats.l2_errors + stats.l2_foreign + stats.l2_verified + stats.l2_invalidated, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_value_that_this_host_has_not_heard_of_is_given_out_but_not_kept)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_from(hosts.b.ns, "key", "value", L2); /* an invalidation of this host's own would have a lower position than the copy */
    ck_result(libcache_invalidate_all(hosts.b.cache, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_from(hosts.b.ns, "key", "value", L1);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_newer_value_replaces_copies_on_other_hosts)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    put(hosts.a.ns, "key", "new");
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_from(hosts.b.ns, "key", "old", L1); /* nobody has told it yet */
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "new", L2);
    put(hosts.b.ns, "key", "newest");
    ck_poll(&hosts.a);
    ck_from(hosts.a.ns, "key", "newest", L2);
    ck_poll(&hosts.b); /* its own change is in the log as well */
    ck_from(hosts.b.ns, "key", "newest", L1);
    hosts_down(&hosts);
}
END_TEST

START_TEST(every_shape_of_key_value_and_tag_comes_back_from_redis)
{
    static const size_t key_sizes[] = { 1, 5, 200, 201, LIBCACHE_KEY_MAX }, value_sizes[] = { 0, 1, 300, 70000, 1 << 20 };
    static char key[LIBCACHE_KEY_MAX], bytes[1 << 20], tag[LIBCACHE_TAG_MAX];
    libcache_slice tags[LIBCACHE_TAGS_MAX];
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct dice dice = dice_of(1);

    hosts_prepare(&hosts, NULL);
    hosts.a.options.memory_bytes = hosts.b.options.memory_bytes = (size_t)64 << 20;
    hosts_open(&hosts);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)dice_roll(&dice);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (char)dice_below(&dice, 4); /* zeroes among them */
    memset(tag, 't', sizeof tag);
    for (size_t i = 0; i < LIBCACHE_TAGS_MAX; i++)
        tags[i] = (libcache_slice){ tag, i ? i : LIBCACHE_TAG_MAX };
    options.tags = tags;
    for (size_t k = 0; k < sizeof key_sizes / sizeof *key_sizes; k++)
        for (size_t v = 0; v < sizeof value_sizes / sizeof *value_sizes; v++) {
            options.n_tags = v % 2 ? LIBCACHE_TAGS_MAX : v / 2;
            options.codec = (uint8_t)(255 - k * 5 - v);
            options.user_flags = 0xfffffff0u + (uint32_t)v;
            ck_result(libcache_set(hosts.a.ns, key, key_sizes[k], bytes, value_sizes[v], &options), LIBCACHE_OK);
            ck_poll(&hosts.b);
            for (int tier = L2; tier >= L1; tier--) {
                ck_result(libcache_get(hosts.b.ns, key, key_sizes[k], &value, 0), LIBCACHE_HIT);
                ck_assert_uint_eq(value.tier, (unsigned)tier);
                ck_assert_uint_eq(value.size, value_sizes[v]);
                ck_assert(value.size == 0 || memcmp(value.data, bytes, value.size) == 0);
                ck_assert_uint_eq(value.codec, options.codec);
                ck_assert_uint_eq(value.flags, options.user_flags);
            }
            if (options.n_tags)
                ck_result(libcache_invalidate_tags(hosts.a.cache, &tags[options.n_tags - 1], 1, 0), LIBCACHE_OK);
            ck_poll(&hosts.b);
            ck_result(libcache_get(hosts.b.ns, key, key_sizes[k], &value, 0), options.n_tags ? LIBCACHE_MISS : LIBCACHE_HIT);
        }
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

static void *reserve_or_not(libcache_value *value, size_t size)
{
    struct { size_t asked; char room[16]; } *r = value->reserve_arg;

    ck_assert_uint_eq(value->codec, 0); /* known before the bytes are there, and who has them */
    ck_assert_uint_eq(value->tier, LIBCACHE_TIER_L2);
    r->asked = size;
    return size <= sizeof r->room ? r->room : NULL;
}

START_TEST(values_from_redis_go_where_the_caller_says)
{
    struct { size_t asked; char room[16]; } reserved = { 0 };
    char own[8] = "";
    libcache_value value = LIBCACHE_VALUE_INIT;

    hosts_up(&hosts);
    put(hosts.a.ns, "short", "12345678");
    put(hosts.a.ns, "long", "a value of some more bytes");
    value.data = own;
    value.capacity = sizeof own;
    ck_result(libcache_get(hosts.b.ns, "short", 5, &value, 0), LIBCACHE_HIT);
    ck_assert_ptr_eq(value.data, own);
    ck_assert_mem_eq(own, "12345678", 8);
    ck_result(libcache_get(hosts.b.ns, "long", 4, &value, 0), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(value.size, 26);
    ck_assert_ptr_eq(value.data, own);
    value = (libcache_value){ .reserve = reserve_or_not, .reserve_arg = &reserved, .codec = 99 };
    ck_result(libcache_get(hosts.b.ns, "short", 5, &value, LIBCACHE_SKIP_L1), LIBCACHE_HIT);
    ck_assert_uint_eq(reserved.asked, 8);
    ck_assert_ptr_eq(value.data, reserved.room);
    ck_assert_mem_eq(reserved.room, "12345678", 8);
    ck_result(libcache_get(hosts.b.ns, "long", 4, &value, LIBCACHE_SKIP_L1), LIBCACHE_ENOMEM);
    ck_assert_uint_eq(reserved.asked, 26);
    ck_value(hosts.b.ns, "long", "a value of some more bytes");
    hosts_down(&hosts);
}
END_TEST

START_TEST(known_missing_is_known_on_all_hosts)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t ms = 0;

    hosts_up(&hosts);
    options.flags = LIBCACHE_NEG;
    options.codec = 9;
    options.user_flags = 77;
    ck_result(libcache_set(hosts.a.ns, KEY, NULL, 0, &options), LIBCACHE_OK);
    ck_assert_int_gt(raw_ttl(&hosts, "test", "key"), 0);
    ck_assert_int_le(raw_ttl(&hosts, "test", "key"), 30000); /* the negative TTL */
    ck_poll(&hosts.b);
    for (int tier = L2; tier >= L1; tier--) {
        ck_result(libcache_get(hosts.b.ns, KEY, &value, 0), LIBCACHE_NEGATIVE);
        ck_assert_uint_eq(value.tier, (unsigned)tier);
        ck_assert_uint_eq(value.codec, 9);
        ck_assert_uint_eq(value.flags, 77);
        ck_assert_ptr_null(value.data);
    }
    ck_result(libcache_exists(hosts.b.ns, KEY, LIBCACHE_SKIP_L1), LIBCACHE_NEGATIVE);
    ck_result(libcache_ttl_left(hosts.b.ns, KEY, &ms, 0), LIBCACHE_OK);
    ck_assert_uint_le(ms, 30000);
    ck_result(libcache_add(hosts.b.ns, KEY, "v", 1, NULL), LIBCACHE_EXISTS);
    ck_result(put(hosts.b.ns, "key", "found"), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_from(hosts.a.ns, "key", "found", L2);
    hosts_down(&hosts);
}
END_TEST

/* ---- Calls that change ---------------------------------------------------------------------------------------------- */

START_TEST(add_looks_at_what_other_hosts_have_stored)
{
    hosts_up(&hosts);
    ck_result(libcache_add(hosts.a.ns, KEY, "first", 5, NULL), LIBCACHE_OK);
    ck_from(hosts.a.ns, "key", "first", L1);
    ck_result(libcache_add(hosts.b.ns, KEY, "second", 6, NULL), LIBCACHE_EXISTS);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 0);
    ck_from(hosts.b.ns, "key", "first", L2);
    ck_result(libcache_delete(hosts.a.ns, KEY, 0), LIBCACHE_OK);
    ck_result(libcache_add(hosts.b.ns, KEY, "second", 6, NULL), LIBCACHE_OK); /* though its copy of the first is still there */
    ck_from(hosts.b.ns, "key", "second", L1);
    put_tagged(hosts.a.ns, "tagged", "old", "tag");
    ck_result(invalidate_tag(hosts.b.cache, "tag"), LIBCACHE_OK);
    ck_result(libcache_add(hosts.b.ns, "tagged", 6, "new", 3, NULL), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_from(hosts.a.ns, "tagged", "new", L2);
    ck_assert_uint_eq(rig_stats(&hosts.b).adds, 3);
    hosts_down(&hosts);
}
END_TEST

START_TEST(delete_says_whether_any_tier_had_it)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_result(libcache_delete(hosts.b.ns, KEY, 0), LIBCACHE_OK); /* only Redis had it */
    ck_result(libcache_delete(hosts.b.ns, KEY, 0), LIBCACHE_MISS);
    ck_poll(&hosts.a);
    ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
    put(hosts.a.ns, "key", "value");
    ck_result(libcache_set(hosts.b.ns, KEY, "mine", 4, &(libcache_set_options){ .struct_size = sizeof(libcache_set_options),
                                                                               .flags = LIBCACHE_SKIP_L2 }), LIBCACHE_OK);
    ck_result(libcache_delete(hosts.a.ns, KEY, 0), LIBCACHE_OK);
    ck_result(libcache_delete(hosts.b.ns, KEY, 0), LIBCACHE_OK); /* only L1 had it */
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_is_too_big_is_not_readable_anywhere_any_more)
{
    static char big[200000];
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    policy.max_value_bytes = 1000;
    a = space(&hosts.a, "small", &policy);
    b = space(&hosts.b, "small", &policy);
    put(a, "key", "old");
    ck_from(b, "key", "old", L2);
    ck_result(libcache_add(a, KEY, big, 1001, NULL), LIBCACHE_ETOOBIG);
    ck_from(a, "key", "old", L1);
    ck_result(libcache_set(a, KEY, big, 1001, NULL), LIBCACHE_ETOOBIG);
    ck_get(a, "key", 0, LIBCACHE_MISS, 0);
    ck_poll(&hosts.b);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    ck_result(libcache_set(a, KEY, big, 1000, NULL), LIBCACHE_OK);
    ck_get(b, "key", 0, LIBCACHE_HIT, L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(touch_moves_the_end_in_both_tiers)
{
    uint64_t position, ms = 0;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    position = log_position(&hosts);
    ck_result(libcache_touch(hosts.b.ns, KEY, 7200000, 0), LIBCACHE_OK);
    ck_assert_uint_eq(log_position(&hosts), position); /* later: nobody needs to know */
    ck_assert_int_gt(raw_ttl(&hosts, "test", "key"), 7200000 - SLACK_MS);
    ck_result(libcache_ttl_left(hosts.a.ns, KEY, &ms, 0), LIBCACHE_OK); /* Redis knows better than this host's L1 */
    ck_assert_uint_gt(ms, 7200000 - SLACK_MS);
    ck_result(libcache_touch(hosts.b.ns, KEY, 50000, 0), LIBCACHE_OK);
    ck_assert_uint_eq(log_position(&hosts), position + 1); /* earlier: copies elsewhere would live too long */
    ck_poll(&hosts.a);
    ck_assert_int_eq(in_l1(hosts.a.ns, "key"), 0);
    ck_from(hosts.a.ns, "key", "value", L2);
    ck_result(libcache_ttl_left(hosts.a.ns, KEY, &ms, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_assert_uint_le(ms, 50000);
    ck_result(libcache_touch(hosts.b.ns, KEY, LIBCACHE_FOREVER, 0), LIBCACHE_OK);
    ck_assert_int_eq((int)raw_ttl(&hosts, "test", "key"), -1);
    ck_result(libcache_ttl_left(hosts.b.ns, KEY, &ms, 0), LIBCACHE_OK);
    ck_assert_uint_eq(ms, LIBCACHE_FOREVER);
    ck_result(libcache_touch(hosts.b.ns, KEY, 0, 0), LIBCACHE_OK); /* the policy's, an hour */
    ck_assert_int_gt(raw_ttl(&hosts, "test", "key"), 3600000 - SLACK_MS);
    ck_assert_int_le(raw_ttl(&hosts, "test", "key"), 3600000);
    ck_result(libcache_touch(hosts.b.ns, "absent", 6, 0, 0), LIBCACHE_MISS);
    ck_from(hosts.b.ns, "key", "value", L1);
    hosts_down(&hosts);
}
END_TEST

/* ---- Times ------------------------------------------------------------------------------------------------------------ */

/* Fails the test unless Redis says this age and this time left, but for the real time that has passed. */
static void ck_times(struct rig *rig, const char *key, uint64_t age_ms, uint64_t left_ms)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t left = 0;

    ck_result(libcache_get(rig->ns, key, strlen(key), &value, LIBCACHE_TIMES | LIBCACHE_SKIP_L1), LIBCACHE_HIT);
    ck_assert_uint_le(value.age_ms, age_ms + SLACK_MS);
    ck_assert_uint_ge(value.age_ms + SLACK_MS, age_ms);
    if (left_ms != LIBCACHE_FOREVER) {
        ck_assert_uint_le(value.ttl_left_ms, left_ms + SLACK_MS);
        ck_assert_uint_ge(value.ttl_left_ms + SLACK_MS, left_ms);
    } else {
        ck_assert_uint_eq(value.ttl_left_ms, LIBCACHE_FOREVER);
    }
    ck_result(libcache_ttl_left(rig->ns, key, strlen(key), &left, 0), LIBCACHE_OK);
    ck_assert_uint_eq(left, value.ttl_left_ms);
    libcache_release_value(&value);
}

START_TEST(age_and_time_left_are_those_of_redis)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    hosts_up(&hosts);
    options.ttl_ms = 600000;
    libcache_set(hosts.a.ns, KEY, "value", 5, &options);
    options.ttl_ms = LIBCACHE_FOREVER;
    libcache_set(hosts.a.ns, "stays", 5, "value", 5, &options);
    ck_times(&hosts.b, "key", 0, 600000);
    fake_clock_advance(&hosts.b.clock, 200000);
    ck_times(&hosts.b, "key", 200000, 400000);
    ck_times(&hosts.b, "stays", 200000, LIBCACHE_FOREVER);
    ck_assert_int_eq((int)raw_ttl(&hosts, "test", "stays"), -1);
    fake_clock_advance(&hosts.b.clock, 400000 + SLACK_MS);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_MISS, 0); /* Redis still has it; its end has come */
    ck_poll(&hosts.b); /* which corrects this host's idea of Redis's clock */
    ck_times(&hosts.b, "key", 0, 600000);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_copy_ends_with_the_original)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    uint64_t ms = 0;

    hosts_up(&hosts);
    options.ttl_ms = 100000;
    libcache_set(hosts.a.ns, KEY, "value", 5, &options);
    ck_poll(&hosts.b);
    fake_clock_advance(&hosts.b.clock, 60000);
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_result(libcache_ttl_left(hosts.b.ns, KEY, &ms, LIBCACHE_SKIP_L2), LIBCACHE_OK);
    ck_assert_uint_ge(ms + SLACK_MS, 40000);
    ck_assert_uint_le(ms, 40000 + SLACK_MS);
    fake_clock_advance(&hosts.b.clock, 40000 - SLACK_MS);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 1);
    fake_clock_advance(&hosts.b.clock, 2 * SLACK_MS);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(l1_keeps_entries_for_its_own_ttl_where_that_is_shorter)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    policy.l1_ttl_ms = 10000;
    policy.ttl_ms = 600000;
    a = space(&hosts.a, "short", &policy);
    b = space(&hosts.b, "short", &policy);
    put(a, "key", "value");
    ck_poll(&hosts.b);
    ck_from(b, "key", "value", L2);
    fake_clock_advance(&hosts.a.clock, 9999);
    fake_clock_advance(&hosts.b.clock, 9999);
    ck_from(a, "key", "value", L1);
    ck_from(b, "key", "value", L1);
    fake_clock_advance(&hosts.a.clock, 1);
    fake_clock_advance(&hosts.b.clock, 1);
    ck_from(a, "key", "value", L2);
    ck_from(a, "key", "value", L1); /* again for so long */
    ck_from(b, "key", "value", L2);
    ck_assert_int_gt(raw_ttl(&hosts, "short", "key"), 600000 - SLACK_MS);
    ck_result(libcache_touch(a, KEY, 300000, 0), LIBCACHE_OK);
    fake_clock_advance(&hosts.a.clock, 10000);
    ck_assert_int_eq(in_l1(a, "key"), 0);
    ck_from(a, "key", "value", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_copy_ends_with_its_original_whatever_the_policy_of_copies)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_set_options shortly = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    policy.ttl_ms = 3600000;
    policy.l1_ttl_ms = 1000000;
    a = space(&hosts.a, "copies", &policy);
    b = space(&hosts.b, "copies", &policy);
    shortly.ttl_ms = 100000;
    ck_result(libcache_set(a, KEY, "value", 5, &shortly), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_from(b, "key", "value", L2);
    ck_from(b, "key", "value", L1);
    fake_clock_advance(&hosts.b.clock, 100000 + SLACK_MS);
    ck_get(b, "key", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_value_is_as_stale_in_redis_as_in_memory)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    policy.soft_ttl_ms = 50000;
    policy.ttl_ms = 600000;
    a = space(&hosts.a, "soft", &policy);
    b = space(&hosts.b, "soft", &policy);
    put(a, "key", "value");
    put(a, "other", "value");
    ck_poll(&hosts.b);
    ck_get(b, "key", 0, LIBCACHE_HIT, L2);
    fake_clock_advance(&hosts.b.clock, 50000 + SLACK_MS);
    ck_get(b, "key", 0, LIBCACHE_STALE, L1);
    ck_get(b, "key", LIBCACHE_SKIP_L1, LIBCACHE_STALE, L2);
    ck_get(b, "other", 0, LIBCACHE_STALE, L2);
    ck_get(b, "other", 0, LIBCACHE_STALE, L1); /* a copy is not younger than its original */
    ck_result(libcache_exists(b, "other", 5, LIBCACHE_SKIP_L1), LIBCACHE_STALE);
    hosts_down(&hosts);
}
END_TEST

START_TEST(ttls_in_redis_are_spread_by_the_jitter)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;
    long least = 1000000, most = 0;

    hosts_up(&hosts);
    policy.ttl_ms = 1000000;
    policy.jitter_percent = 50;
    ns = space(&hosts.a, "spread", &policy);
    for (int i = 0; i < 50; i++) {
        char key[20];
        long ttl;
        uint64_t here = 0;
        snprintf(key, sizeof key, "key-%d", i);
        put(ns, key, "value");
        ttl = raw_ttl(&hosts, "spread", key);
        ck_result(libcache_ttl_left(ns, key, strlen(key), &here, LIBCACHE_SKIP_L2), LIBCACHE_OK);
        ck_assert_int_le(labs(ttl - (long)here), SLACK_MS); /* one roll of the dice for both tiers */
        least = ttl < least ? ttl : least;
        most = ttl > most ? ttl : most;
    }
    ck_assert_int_ge(least, 500000 - SLACK_MS);
    ck_assert_int_le(most, 1000000);
    ck_assert_int_gt(most - least, 100000);
    hosts_down(&hosts);
}
END_TEST

/* ---- Compression --------------------------------------------------------------------------------------------------------- */

START_TEST(large_values_lie_compressed_in_redis_and_come_back_as_they_were)
{
    static char text[60000], noise[60000], bytes[200000];
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *a, *b;
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct dice dice = dice_of(3);

    hosts_up(&hosts);
    policy.compress_bytes = 4000;
    a = space(&hosts.a, "packed", &policy);
    b = space(&hosts.b, "packed", NULL); /* who reads need not pack */
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = "all the same words "[i % 19];
        noise[i] = (char)dice_roll(&dice);
    }
    libcache_set(a, "text", 4, text, sizeof text, NULL);
    libcache_set(a, "noise", 5, noise, sizeof noise, NULL);
    libcache_set(a, "short", 5, text, 3999, NULL);
    ck_assert_int_lt(raw_get(&hosts, "packed", slice_of("text"), bytes, sizeof bytes), 10000);
    ck_assert_int_gt(raw_get(&hosts, "packed", slice_of("noise"), bytes, sizeof bytes), 60000);
    ck_assert_int_gt(raw_get(&hosts, "packed", slice_of("short"), bytes, sizeof bytes), 3999);
    ck_poll(&hosts.b);
    ck_result(libcache_exists(b, "text", 4, 0), LIBCACHE_HIT);
    ck_assert_int_eq(in_l1(b, "text"), 0); /* nobody has unpacked it */
    for (int tier = L2; tier >= L1; tier--) {
        ck_result(libcache_get(b, "text", 4, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.tier, (unsigned)tier);
        ck_assert_uint_eq(value.size, sizeof text);
        ck_assert(memcmp(value.data, text, sizeof text) == 0);
        ck_result(libcache_get(b, "noise", 5, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.tier, (unsigned)tier);
        ck_assert(value.size == sizeof noise && memcmp(value.data, noise, sizeof noise) == 0);
        ck_result(libcache_get(b, "short", 5, &value, 0), LIBCACHE_HIT);
        ck_assert(value.size == 3999 && memcmp(value.data, text, 3999) == 0);
    }
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_api", a_value_is_read_from_redis_once_and_then_from_memory,
                     a_value_that_this_host_has_not_heard_of_is_given_out_but_not_kept,
                     a_newer_value_replaces_copies_on_other_hosts, every_shape_of_key_value_and_tag_comes_back_from_redis,
                     values_from_redis_go_where_the_caller_says, known_missing_is_known_on_all_hosts,
                     add_looks_at_what_other_hosts_have_stored, delete_says_whether_any_tier_had_it,
                     what_is_too_big_is_not_readable_anywhere_any_more, touch_moves_the_end_in_both_tiers,
                     age_and_time_left_are_those_of_redis, a_copy_ends_with_the_original,
                     l1_keeps_entries_for_its_own_ttl_where_that_is_shorter, a_copy_ends_with_its_original_whatever_the_policy_of_copies,
                     a_value_is_as_stale_in_redis_as_in_memory,
                     ttls_in_redis_are_spread_by_the_jitter,
                     large_values_lie_compressed_in_redis_and_come_back_as_they_were);
}
