/* Calls for many keys, across both tiers. SPDX-License-Identifier: MIT */
#include "support/hosts.h"
#include "support/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2
#define MANY 1100 /* more than one MGET takes, and more than one set_many or delete_many sends at once */

static struct hosts hosts;
static char names[MANY][20], texts[MANY][30];
static libcache_slice keys[MANY];
static libcache_item items[MANY];
static libcache_value values[MANY];
static int results[MANY];

static void fill_arrays(void)
{
    for (int i = 0; i < MANY; i++) {
        keys[i] = (libcache_slice){ names[i], (size_t)snprintf(names[i], sizeof names[i], "key-%d", i) };
        items[i] = (libcache_item){ .key = keys[i] };
        items[i].value = (libcache_slice){ texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "value of %d", i) };
    }
}

static void release_values(void)
{
    for (int i = 0; i < MANY; i++)
        libcache_release_value(&values[i]);
}

/* Fails the test unless values[i] is that of key i, from this tier. */
static void ck_item(int i, int tier)
{
    ck_assert_msg(results[i] == LIBCACHE_HIT, "key-%d: %s", i, result_name(results[i]));
    ck_assert_uint_eq(values[i].tier, (unsigned)tier);
    ck_assert(values[i].size == strlen(texts[i]) && memcmp(values[i].data, texts[i], values[i].size) == 0);
}

START_TEST(any_number_of_keys_is_stored_found_and_deleted)
{
    static const size_t sizes[] = { 0, 1, 2, 63, 64, 65, 511, 512, 513, MANY };
    size_t n = 0;

    fill_arrays();
    hosts_up(&hosts);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        ck_result(libcache_set_many(hosts.a.ns, items, sizes[s]), LIBCACHE_OK);
        ck_poll(&hosts.b);
        for (int tier = L2; tier >= L1; tier--) {
            n = 4711;
            ck_result(libcache_get_many(hosts.b.ns, keys, sizes[s], values, results, &n, 0), LIBCACHE_OK);
            ck_assert_uint_eq(n, sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++)
                ck_item((int)i, tier);
        }
        ck_result(libcache_delete_many(hosts.a.ns, keys, sizes[s], &n, 0), LIBCACHE_OK);
        ck_assert_uint_eq(n, sizes[s]);
        ck_result(libcache_delete_many(hosts.a.ns, keys, sizes[s], &n, 0), LIBCACHE_OK);
        ck_assert_uint_eq(n, 0);
        ck_poll(&hosts.b);
        ck_result(libcache_get_many(hosts.b.ns, keys, sizes[s], values, results, &n, 0), LIBCACHE_OK);
        ck_assert_uint_eq(n, 0);
    }
    release_values();
    hosts_down(&hosts);
}
END_TEST

START_TEST(each_key_has_a_result_of_its_own)
{
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice asked[8] = { LIBCACHE_STR("near"), LIBCACHE_STR("far"), { NULL, 3 }, LIBCACHE_STR("absent"),
                                LIBCACHE_STR("missing"), LIBCACHE_STR("far"), { "", 0 }, LIBCACHE_STR("large") };
    char small[4];
    size_t found = 0;
    libcache_stats stats;

    hosts_up(&hosts);
    negative.flags = LIBCACHE_NEG;
    put(hosts.a.ns, "near", "1");
    put(hosts.a.ns, "far", "22");
    put(hosts.a.ns, "large", "a large one");
    libcache_set(hosts.a.ns, "missing", 7, NULL, 0, &negative);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "near", "1", L2);
    values[7].data = small;
    values[7].capacity = sizeof small;
    ck_result(libcache_get_many(hosts.b.ns, asked, 8, values, results, &found, 0), LIBCACHE_EKEY); /* the first error */
    ck_result(results[0], LIBCACHE_HIT);
    ck_assert_uint_eq(values[0].tier, L1);
    ck_result(results[1], LIBCACHE_HIT);
    ck_assert_uint_eq(values[1].tier, L2);
    ck_result(results[2], LIBCACHE_EKEY);
    ck_result(results[3], LIBCACHE_MISS);
    ck_assert_ptr_null(values[3].data);
    ck_result(results[4], LIBCACHE_NEGATIVE);
    ck_result(results[5], LIBCACHE_HIT);
    ck_assert_mem_eq(values[5].data, "22", 2);
    ck_result(results[6], LIBCACHE_EKEY);
    ck_result(results[7], LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(values[7].size, 11);
    ck_assert_uint_eq(found, 3);
    stats = rig_stats(&hosts.b);
    ck_assert_uint_eq(stats.hits, 4);
    ck_assert_uint_eq(stats.negatives, 1);
    ck_assert_uint_eq(stats.misses, 1);
    values[7] = (libcache_value)LIBCACHE_VALUE_INIT;
    release_values();
    hosts_down(&hosts);
}
END_TEST

START_TEST(each_item_is_stored_as_its_own_options_say)
{
    enum { PLAIN, NEGATIVE, FENCED, HERE, QUIET, BAD_KEY, BAD_TAG, TOO_BIG, LOADED, N };
    static char big[300000];
    libcache_set_options o[N];
    libcache_slice no_tag = { "", 0 }, tag = LIBCACHE_STR("tag");
    libcache_stamp stamp;
    libcache_item item[N];
    uint64_t position;

    fill_arrays();
    hosts_up(&hosts);
    while (!stands_alone_among(hosts.a.ns, keys, N, keys[LOADED])) {
        hosts_down(&hosts);
        hosts_up(&hosts);
    }
    put(hosts.b.ns, "key-7", "old");
    ck_poll(&hosts.a);
    libcache_take_stamp(hosts.a.ns, keys[FENCED].data, keys[FENCED].size, &stamp);
    put(hosts.b.ns, "key-2", "of another");
    for (int i = 0; i < N; i++) {
        o[i] = (libcache_set_options)LIBCACHE_SET_OPTIONS_INIT;
        item[i] = (libcache_item){ .key = keys[i], .value = LIBCACHE_STR("value"), .options = &o[i], .result = 4711 };
    }
    o[PLAIN].tags = &tag;
    o[PLAIN].n_tags = 1;
    o[NEGATIVE].flags = LIBCACHE_NEG;
    o[FENCED].stamp = &stamp;
    o[HERE].flags = LIBCACHE_SKIP_L2;
    o[QUIET].flags = LIBCACHE_NO_PUBLISH;
    item[BAD_KEY].key.size = 0;
    o[BAD_TAG].tags = &no_tag;
    o[BAD_TAG].n_tags = 1;
    item[TOO_BIG].value = (libcache_slice){ big, sizeof big };
    libcache_take_stamp(hosts.a.ns, keys[LOADED].data, keys[LOADED].size, &stamp);
    o[LOADED].stamp = &stamp;
    position = log_position(&hosts);
    ck_result(libcache_set_many(hosts.a.ns, item, N), LIBCACHE_EKEY);
    ck_result(item[PLAIN].result, LIBCACHE_OK);
    ck_result(item[NEGATIVE].result, LIBCACHE_OK);
    ck_result(item[FENCED].result, LIBCACHE_FENCED);
    ck_result(item[HERE].result, LIBCACHE_OK);
    ck_result(item[QUIET].result, LIBCACHE_OK);
    ck_result(item[BAD_KEY].result, LIBCACHE_EKEY);
    ck_result(item[BAD_TAG].result, LIBCACHE_ETAG);
    ck_result(item[TOO_BIG].result, LIBCACHE_ETOOBIG);
    ck_result(item[LOADED].result, LIBCACHE_OK);
    ck_assert_uint_eq(log_position(&hosts), position + 2); /* plain and negative together, and the old value that is gone */
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key-0", "value", L2);
    ck_get(hosts.b.ns, "key-1", 0, LIBCACHE_NEGATIVE, L2);
    ck_from(hosts.b.ns, "key-2", "of another", L1);
    ck_get(hosts.b.ns, "key-3", 0, LIBCACHE_MISS, 0);
    ck_from(hosts.a.ns, "key-3", "value", L1);
    ck_from(hosts.b.ns, "key-4", "value", L2);
    ck_get(hosts.b.ns, "key-7", 0, LIBCACHE_MISS, 0);
    ck_from(hosts.b.ns, "key-8", "value", L2);
    ck_result(invalidate_tag(hosts.b.cache, "tag"), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_get(hosts.a.ns, "key-0", 0, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(many_deletes_skip_bad_keys_and_do_the_rest)
{
    libcache_slice bad[4] = { LIBCACHE_STR("key-0"), { NULL, 1 }, LIBCACHE_STR("key-1"), LIBCACHE_STR("absent") };
    size_t deleted = 0;
    uint64_t position;

    fill_arrays();
    hosts_up(&hosts);
    libcache_set_many(hosts.a.ns, items, 2);
    position = log_position(&hosts);
    ck_result(libcache_delete_many(hosts.b.ns, bad, 4, &deleted, 0), LIBCACHE_EKEY);
    ck_assert_uint_eq(deleted, 2);
    ck_assert_uint_eq(log_position(&hosts), position + 1); /* one position for all of them */
    ck_poll(&hosts.a);
    ck_get(hosts.a.ns, "key-0", 0, LIBCACHE_MISS, 0);
    ck_get(hosts.a.ns, "key-1", 0, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(many_values_from_before_this_host_began_are_verified_together)
{
    libcache_slice tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    size_t found = 0;
    uint64_t sent;

    fill_arrays();
    options.tags = &tag;
    options.n_tags = 1;
    for (int i = 0; i < MANY; i += 10)
        items[i].options = &options;
    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    ck_result(libcache_set_many(hosts.a.ns, items, MANY), LIBCACHE_OK);
    ck_result(libcache_invalidate_tags(hosts.a.cache, &tag, 1, 0), LIBCACHE_OK);
    host_open(&hosts.b);
    sent = exchanges(&hosts.b);
    ck_result(libcache_get_many(hosts.b.ns, keys, MANY, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, MANY - MANY / 10);
    ck_assert_uint_le(exchanges(&hosts.b) - sent, 1 + (MANY + 63) / 64);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_verified, MANY);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_invalidated, MANY / 10);
    for (int i = 0; i < MANY; i++)
        if (i % 10)
            ck_item(i, L2);
        else
            ck_result(results[i], LIBCACHE_MISS);
    ck_result(libcache_get_many(hosts.b.ns, keys, MANY, values, results, &found, 0), LIBCACHE_OK);
    ck_item(1, L1);
    release_values();
    hosts_down(&hosts);
}
END_TEST

START_TEST(many_values_may_be_larger_than_one_reading_of_the_socket)
{
    enum { N = 40, SIZE = 120000 };
    char *text = malloc(SIZE);
    size_t found = 0;
    struct dice dice = dice_of(5);

    fill_arrays();
    for (int i = 0; i < SIZE; i++)
        text[i] = (char)dice_roll(&dice);
    hosts_prepare(&hosts, NULL);
    hosts.a.options.memory_bytes = hosts.b.options.memory_bytes = (size_t)64 << 20;
    hosts_open(&hosts);
    for (int i = 0; i < N; i++)
        items[i].value = (libcache_slice){ text + i, (size_t)(SIZE - i) };
    ck_result(libcache_set_many(hosts.a.ns, items, N), LIBCACHE_OK);
    ck_result(libcache_get_many(hosts.b.ns, keys, N, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, N);
    for (int i = 0; i < N; i++)
        ck_assert(values[i].size == (size_t)(SIZE - i) && memcmp(values[i].data, text + i, values[i].size) == 0);
    release_values();
    free(text);
    hosts_down(&hosts);
}
END_TEST

START_TEST(an_answer_that_is_larger_than_allowed_is_a_miss)
{
    enum { N = 40 };
    static char text[2000];
    size_t found = 0;

    fill_arrays();
    hosts_prepare(&hosts, NULL);
    hosts.b.options.max_reply_bytes = 20000;
    hosts_open(&hosts);
    for (int i = 0; i < N; i++)
        items[i].value = (libcache_slice){ text, sizeof text };
    ck_result(libcache_set_many(hosts.a.ns, items, N), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_result(libcache_get_many(hosts.b.ns, keys, N, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, 0);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_errors, 1);
    ck_result(libcache_get_many(hosts.b.ns, keys, 5, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, 5);
    release_values();
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_is_stored_together_has_one_position_and_one_record)
{
    uint64_t position, sent, records;

    fill_arrays();
    hosts_up(&hosts);
    ck_result(libcache_set_many(hosts.a.ns, items, 65), LIBCACHE_OK);
    ck_poll(&hosts.b);
    for (int i = 0; i < 65; i++)
        ck_from(hosts.b.ns, names[i], texts[i], L2);
    position = log_position(&hosts);
    ck_assert_uint_eq(position, 2); /* 64 in a round trip */
    sent = exchanges(&hosts.a);
    records = rig_stats(&hosts.b).log_records;
    items[7].value = (libcache_slice){ "seven", 5 };
    ck_result(libcache_set_many(hosts.a.ns, items, 64), LIBCACHE_OK);
    ck_assert_uint_eq(exchanges(&hosts.a), sent + 1);
    ck_assert_uint_eq(log_position(&hosts), position + 1);
    ck_poll(&hosts.a); /* its own record takes nothing away */
    ck_from(hosts.a.ns, names[7], "seven", L1);
    ck_poll(&hosts.b);
    ck_assert_uint_eq(rig_stats(&hosts.b).log_records, records + 1);
    ck_from(hosts.b.ns, names[7], "seven", L2); /* every copy is given up */
    ck_from(hosts.b.ns, names[63], texts[63], L2);
    ck_from(hosts.b.ns, names[64], texts[64], L1);
    hosts_down(&hosts);
}
END_TEST

START_TEST(of_two_values_for_one_key_the_later_one_stays_in_both_tiers)
{
    libcache_set_options quiet = LIBCACHE_SET_OPTIONS_INIT;

    fill_arrays();
    hosts_up(&hosts);
    quiet.flags = LIBCACHE_NO_PUBLISH;
    for (int i = 0; i < 8; i++)
        items[i].key = keys[i < 4 ? 0 : 1]; /* neighbours of one kind; and of different kinds, so in several calls */
    items[5].options = items[7].options = &quiet;
    ck_result(libcache_set_many(hosts.a.ns, items, 8), LIBCACHE_OK);
    items[5].options = items[7].options = NULL;
    ck_from(hosts.a.ns, "key-0", texts[3], L1);
    ck_from(hosts.b.ns, "key-0", texts[3], L2);
    ck_from(hosts.a.ns, "key-1", texts[7], L1);
    ck_from(hosts.b.ns, "key-1", texts[7], L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(of_what_is_stored_at_once_others_are_told_of_what_is_not_quiet)
{
    libcache_set_options quiet = LIBCACHE_SET_OPTIONS_INIT;
    libcache_item pair[4];

    fill_arrays();
    hosts_up(&hosts);
    put(hosts.a.ns, names[0], "old");
    put(hosts.a.ns, names[1], "old");
    for (int first = 0; first < 2; first++) {
        quiet.flags = LIBCACHE_NO_PUBLISH;
        ck_poll(&hosts.b);
        libcache_delete_many(hosts.a.ns, keys, 4, NULL, 0);
        for (int i = 0; i < 4; i++) {
            put(hosts.a.ns, names[i], "old");
            pair[i] = items[i];
            pair[i].options = i % 2 == first ? &quiet : NULL;
        }
        ck_poll(&hosts.b);
        for (int i = 0; i < 4; i++)
            ck_from(hosts.b.ns, names[i], "old", L2);
        ck_result(libcache_set_many(hosts.a.ns, pair, 4), LIBCACHE_OK);
        ck_poll(&hosts.b);
        for (int i = 0; i < 4; i++)
            ck_from(hosts.b.ns, names[i], i % 2 == first ? "old" : texts[i], i % 2 == first ? L1 : L2);
    }
    hosts_down(&hosts);
}
END_TEST

START_TEST(G3_loads_are_fenced_by_what_is_stored_together)
{
    libcache_set_options fill = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    char answer[100];

    fill_arrays();
    hosts_up(&hosts);
    for (int i = 0; i < 64; i += 9) {
        libcache_take_stamp(hosts.b.ns, keys[i].data, keys[i].size, &stamp);
        fill.stamp = &stamp;
        ck_result(libcache_set_many(hosts.a.ns, items, 64), LIBCACHE_OK);
        REDIS(&hosts.redis, answer, "DEL", raw_name("test", names[i])); /* evicted: only the key's slot remembers it */
        ck_result(libcache_set(hosts.b.ns, keys[i].data, keys[i].size, "old", 3, &fill), LIBCACHE_FENCED);
    }
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_many", any_number_of_keys_is_stored_found_and_deleted, each_key_has_a_result_of_its_own,
                     each_item_is_stored_as_its_own_options_say, many_deletes_skip_bad_keys_and_do_the_rest,
                     many_values_from_before_this_host_began_are_verified_together,
                     many_values_may_be_larger_than_one_reading_of_the_socket,
                     an_answer_that_is_larger_than_allowed_is_a_miss, what_is_stored_together_has_one_position_and_one_record,
                     of_two_values_for_one_key_the_later_one_stays_in_both_tiers,
                     of_what_is_stored_at_once_others_are_told_of_what_is_not_quiet, G3_loads_are_fenced_by_what_is_stored_together);
}
