/*
 * What tools and operators use: iteration, statistics, sweeping, the policy file, the log.
 * SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "key", 3

/* ---- Iteration ---------------------------------------------------------------------------------------------------- */

static int count_entries(const struct rig *rig)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    int n = 0;

    memset(&entry, 0, sizeof entry);
    while (libcache_iterate(rig->cache, &cursor, &entry) == LIBCACHE_HIT)
        n++;
    ck_result(libcache_iterate(rig->cache, &cursor, &entry), LIBCACHE_MISS);
    libcache_release_value(&entry.key);
    return n;
}

START_TEST(iteration_shows_each_live_entry_once)
{
    enum { N = 5000 };
    struct rig rig;
    static unsigned char seen[N];
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    char key[32];
    uint64_t evicted = 0;

    rig_prepare(&rig);
    rig.options.stripes = 4;
    rig_open(&rig);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_result(put_tagged(rig.ns, key, "value", i % 5 ? "kept" : "invalidated"), LIBCACHE_OK);
    }
    for (int i = 1; i < N; i += 5) {
        snprintf(key, sizeof key, "%d", i);
        libcache_delete(rig.ns, key, strlen(key), 0);
    }
    invalidate_tag(rig.cache, "invalidated");
    while (libcache_iterate(rig.cache, &cursor, &entry) == LIBCACHE_HIT) {
        int i;
        snprintf(key, sizeof key, "%.*s", (int)entry.key.size, (const char *)entry.key.data);
        i = atoi(key);
        ck_assert_msg(i >= 0 && i < N && i % 5 > 1, "entry \"%s\" is not live", key);
        ck_assert_msg(!seen[i]++, "entry \"%s\" is shown twice", key);
    }
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_assert_int_eq(seen[i], look(rig.ns, key) == LIBCACHE_HIT);
        evicted += i % 5 > 1 && !seen[i];
    }
    ck_assert_uint_le(evicted, rig_stats(&rig).evictions);
    libcache_release_value(&entry.key);
    rig_down(&rig);
}
END_TEST

START_TEST(iteration_describes_an_entry)
{
    struct rig rig;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[2] = { LIBCACHE_STR("red"), LIBCACHE_STR("blue") };
    static const char value[1000];

    rig_up(&rig);
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_MISS);
    options.tags = tags;
    options.n_tags = 2;
    options.ttl_ms = 5000;
    options.codec = 7;
    options.user_flags = 8;
    ck_result(libcache_set(rig.ns, "a\0b", 3, value, sizeof value, &options), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 1200);
    cursor = (libcache_cursor)LIBCACHE_CURSOR_INIT;
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_HIT);
    ck_assert_str_eq(entry.ns_name, "test");
    ck_assert_uint_eq(entry.key.size, 3);
    ck_assert_mem_eq(entry.key.data, "a\0b", 3);
    ck_assert_uint_eq(entry.value_bytes, 1000);
    ck_assert_uint_ge(entry.memory_bytes, 1003);
    ck_assert_uint_le(entry.memory_bytes, 1003 + 24 + 8 + 16 + 7); /* header, extra, tags, rounding */
    ck_assert_uint_eq(entry.age_ms, 1200);
    ck_assert_uint_eq(entry.ttl_left_ms, 3800);
    ck_assert_uint_eq(entry.n_tags, 2);
    ck_assert_uint_eq(entry.tags[0], libcache_hash_tag("red", 3));
    ck_assert_uint_eq(entry.tags[1], libcache_hash_tag("blue", 4));
    ck_assert_uint_eq(entry.codec, 7);
    ck_assert_uint_eq(entry.user_flags, 8);
    ck_assert_uint_le(entry.uses, 3);
    ck_result(entry.result, LIBCACHE_HIT);
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_MISS);
    fake_clock_advance(&rig.clock, 3800);
    cursor = (libcache_cursor)LIBCACHE_CURSOR_INIT;
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_MISS);
    libcache_release_value(&entry.key);
    rig_down(&rig);
}
END_TEST

START_TEST(iteration_tells_stale_and_negative_entries_from_fresh_ones)
{
    struct rig rig;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns *soft;
    int n = 0;

    rig_up(&rig);
    policy.soft_ttl_ms = 1000;
    ck_result(libcache_open_namespace(&soft, rig.cache, "soft", &policy, NULL), LIBCACHE_OK);
    negative.flags = LIBCACHE_NEG;
    put(rig.ns, "HIT", "value");
    put(soft, "STALE", "value");
    ck_result(libcache_set(rig.ns, "NEGATIVE", 8, NULL, 0, &negative), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 1001);
    while (libcache_iterate(rig.cache, &cursor, &entry) == LIBCACHE_HIT) {
        char key[16];
        snprintf(key, sizeof key, "%.*s", (int)entry.key.size, (const char *)entry.key.data);
        ck_assert_str_eq(result_name(entry.result), key);
        n++;
    }
    ck_assert_int_eq(n, 3);
    libcache_release_value(&entry.key);
    rig_down(&rig);
}
END_TEST

START_TEST(looking_at_an_entry_is_no_use_of_it_and_reading_is)
{
    struct rig rig;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    uint64_t ms;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    for (int i = 0; i < 10; i++) {
        look(rig.ns, "key");
        libcache_ttl_left(rig.ns, KEY, &ms, 0);
    }
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_HIT);
    ck_assert_uint_eq(entry.uses, 0);
    for (int i = 0; i < 10; i++)
        ck_value(rig.ns, "key", "value");
    cursor = (libcache_cursor)LIBCACHE_CURSOR_INIT;
    ck_result(libcache_iterate(rig.cache, &cursor, &entry), LIBCACHE_HIT);
    ck_assert_uint_gt(entry.uses, 0);
    libcache_release_value(&entry.key);
    rig_down(&rig);
}
END_TEST

/* ---- Statistics ------------------------------------------------------------------------------------------------------ */

START_TEST(statistics_count_what_was_done)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice keys[3] = { LIBCACHE_STR("a"), LIBCACHE_STR("b"), LIBCACHE_STR("absent") };
    libcache_slice tags[2] = { LIBCACHE_STR("t"), LIBCACHE_STR("u") };
    libcache_value values[3] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_stamp stamp;
    libcache_stats stats;
    libcache_ns *ns;
    int results[3];

    rig_up(&rig);
    policy.soft_ttl_ms = 1000;
    ck_result(libcache_open_namespace(&ns, rig.cache, "soft", &policy, NULL), LIBCACHE_OK);
    put(ns, "a", "1"); /* sets 1 */
    put(ns, "b", "2"); /* sets 2 */
    options.flags = LIBCACHE_NEG;
    libcache_set(ns, "n", 1, NULL, 0, &options);              /* sets 3 */
    libcache_get_many(ns, keys, 3, values, results, NULL, 0); /* hits 2, misses 1 */
    libcache_get(ns, "n", 1, &value, 0);                      /* negatives 1 */
    fake_clock_advance(&rig.clock, 1500);
    libcache_get(ns, "a", 1, &value, 0);           /* stale 1 */
    libcache_get(ns, "gone", 4, &value, 0);        /* misses 2 */
    libcache_add(ns, "c", 1, "3", 1, NULL);        /* adds 1 */
    libcache_touch(ns, "c", 1, 0, 0);              /* touches 1 */
    libcache_increment(ns, "i", 1, 1, NULL, NULL); /* increments 1 */
    libcache_decrement(ns, "i", 1, 1, NULL, NULL); /* increments 2 */
    libcache_delete(ns, "b", 1, 0);                /* deletes 1 */
    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.entries, 4); /* a, n, c, i */
    ck_assert_uint_gt(stats.live_bytes, 4 * 25);
    libcache_take_stamp(ns, "a", 1, &stamp);
    libcache_invalidate_tags(rig.cache, tags, 2, 0); /* invalidations 2 */
    libcache_invalidate_namespace(ns, 0);            /* invalidations 3 */
    libcache_invalidate_all(rig.cache, 0);           /* invalidations 4 */
    options.flags = 0;
    options.stamp = &stamp;
    libcache_set(ns, "a", 1, "old", 3, &options); /* fenced 1 */

    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.hits, 2);
    ck_assert_uint_eq(stats.stale, 1);
    ck_assert_uint_eq(stats.negatives, 1);
    ck_assert_uint_eq(stats.misses, 2);
    ck_assert_uint_eq(stats.sets, 3);
    ck_assert_uint_eq(stats.adds, 1);
    ck_assert_uint_eq(stats.touches, 1);
    ck_assert_uint_eq(stats.increments, 2);
    ck_assert_uint_eq(stats.deletes, 1);
    ck_assert_uint_eq(stats.fenced, 1);
    ck_assert_uint_eq(stats.invalidations, 4);
    ck_assert_uint_ge(stats.position, 3);
    ck_assert_uint_eq(stats.memory_bytes, 4 << 20);
    ck_assert_uint_ge(stats.stripes, 1);
    ck_assert_uint_eq(stats.namespaces, 2);
    ck_assert_uint_gt(stats.index_bytes, 0);
    ck_assert_uint_eq(stats.evictions, 0);
    ck_assert_uint_eq(stats.resets, 0);
    ck_assert_uint_eq(stats.owner_deaths, 0);
    libcache_release_value(&value);
    for (int i = 0; i < 3; i++)
        libcache_release_value(&values[i]);
    rig_down(&rig);
}
END_TEST

START_TEST(statistics_of_the_entries_come_back_to_zero)
{
    struct rig rig;
    libcache_stats stats;
    char key[16], value[300];
    struct dice dice = dice_of(4);

    rig_prepare(&rig);
    rig.options.memory_bytes = 512 << 10;
    rig_open(&rig);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "%d", (int)dice_below(&dice, 3000));
        libcache_set(rig.ns, key, strlen(key), value, dice_below(&dice, sizeof value), NULL);
    }
    stats = rig_stats(&rig);
    ck_assert_uint_gt(stats.entries, 300);
    ck_assert_uint_gt(stats.evictions, 1000);
    ck_assert_uint_lt(stats.live_bytes, 512 << 10);
    ck_assert_int_eq(count_entries(&rig), (int)stats.entries);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%d", i);
        libcache_delete(rig.ns, key, strlen(key), 0);
    }
    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.entries, 0);
    ck_assert_uint_eq(stats.live_bytes, 0);
    rig_down(&rig);
}
END_TEST

/* ---- Sweeping ---------------------------------------------------------------------------------------------------------- */

/* Sweeps until all has been looked at. */
static size_t sweep_all(const struct rig *rig)
{
    size_t sum = 0, reclaimed;
    for (int i = 0; i < 200; i++) {
        ck_result(libcache_sweep(rig->cache, 500, &reclaimed), LIBCACHE_OK);
        sum += reclaimed;
    }
    return sum;
}

START_TEST(a_sweep_reclaims_expired_and_invalidated_entries)
{
    struct rig rig;
    libcache_set_options soon = LIBCACHE_SET_OPTIONS_INIT;
    char key[16];
    libcache_stats stats;
    uint64_t evicted, reclaimed;

    rig_up(&rig);
    soon.ttl_ms = 1000;
    for (int i = 0; i < 900; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (i % 3 == 0)
            libcache_set(rig.ns, key, strlen(key), "v", 1, &soon);
        else if (i % 3 == 1)
            put_tagged(rig.ns, key, "v", "tag");
        else
            put(rig.ns, key, "v");
    }
    ck_assert_uint_eq(sweep_all(&rig), 0);
    evicted = rig_stats(&rig).evictions;
    ck_assert_uint_le(evicted, 5);
    ck_assert_uint_eq(rig_stats(&rig).entries, 900 - evicted);
    fake_clock_advance(&rig.clock, 1000);
    reclaimed = sweep_all(&rig);
    ck_assert_uint_ge(reclaimed, 295);
    ck_assert_uint_le(reclaimed, 300);
    invalidate_tag(rig.cache, "tag");
    reclaimed += sweep_all(&rig);
    ck_assert_uint_ge(reclaimed, 600 - evicted);
    ck_assert_uint_le(reclaimed, 600);
    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.entries, 900 - evicted - reclaimed);
    ck_assert_uint_eq(stats.reclaimed, reclaimed);
    ck_assert_int_eq(count_entries(&rig), (int)stats.entries);
    ck_result(libcache_sweep(rig.cache, 0, NULL), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

START_TEST(writers_reclaim_expired_entries_by_and_by)
{
    struct rig rig;
    libcache_set_options soon = LIBCACHE_SET_OPTIONS_INIT;
    char key[16];

    rig_up(&rig);
    soon.ttl_ms = 1000;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%d", i);
        libcache_set(rig.ns, key, strlen(key), "v", 1, &soon);
    }
    fake_clock_advance(&rig.clock, 1000);
    for (int i = 0; i < 20000; i++)
        put(rig.ns, "key", "value");
    ck_assert_uint_eq(rig_stats(&rig).entries, 1);
    rig_down(&rig);
}
END_TEST

/* ---- The policy file ----------------------------------------------------------------------------------------------------- */

static const char *policy_file(const char *text)
{
    static char path[64];
    int fd;

    snprintf(path, sizeof path, "/tmp/libcache-test-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    return path;
}

START_TEST(namespaces_take_their_policy_from_the_file_and_code_overrides_it)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT, given = LIBCACHE_POLICY_INIT;
    libcache_ns *users, *sessions, *others;
    uint64_t left;

    rig_prepare(&rig);
    rig.options.policy_file = policy_file("[default]\nttl = 60s\n\n"
                                          "[namespace user_profile]\nttl = 300s\nsoft_ttl = 200s\njitter = 10%\n"
                                          "max_value = 4KiB\n\n"
                                          "[namespace session]\nttl = 2h ; longer than the rest\n");
    rig_open(&rig);
    unlink(rig.options.policy_file);
    ck_result(libcache_open_namespace(&users, rig.cache, "user_profile", NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_read_policy(users, &policy), LIBCACHE_OK);
    ck_assert_uint_eq(policy.ttl_ms, 300 * 1000);
    ck_assert_uint_eq(policy.soft_ttl_ms, 200 * 1000);
    ck_assert_uint_eq(policy.jitter_percent, 10);
    ck_assert_uint_eq(policy.max_value_bytes, 4096);
    ck_assert_uint_eq(policy.negative_ttl_ms, 30 * 1000);
    ck_assert_uint_eq(policy.l1_share_percent, 100);
    ck_assert_uint_eq(policy.tiers, LIBCACHE_TIER_L1);

    given.negative_ttl_ms = 5000;
    ck_result(libcache_open_namespace(&sessions, rig.cache, "session", &given, NULL), LIBCACHE_OK);
    ck_result(libcache_read_policy(sessions, &policy), LIBCACHE_OK);
    ck_assert_uint_eq(policy.ttl_ms, 2 * 3600 * 1000);
    ck_assert_uint_eq(policy.negative_ttl_ms, 5000);

    ck_result(libcache_open_namespace(&others, rig.cache, "others", NULL, NULL), LIBCACHE_OK);
    put(others, "key", "value");
    ck_result(libcache_ttl_left(others, KEY, &left, 0), LIBCACHE_OK);
    ck_assert_uint_eq(left, 60 * 1000);
    put(users, "key", "value");
    fake_clock_advance(&rig.clock, 200 * 1000 + 1);
    ck_result(look(users, "key"), LIBCACHE_STALE);
    ck_result(look(others, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_wrong_policy_file_is_refused_with_file_line_and_reason)
{
    static const char *const texts[] = { "[namespace a]\nttl = 5 parsecs\n", "[namespace a]\ncolour = red\n",
                                         "[namespace a]\nttl = 5s\nttl = 6s\n", "[unknown]\n",
                                         "[namespace a]\nttl = 5s\nsoft_ttl = 10s\n" };
    static const int lines[] = { 2, 2, 3, 1, 3 };
    struct rig rig;
    libcache_error error;
    libcache *cache = NULL;
    char place[96];

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        rig_prepare(&rig);
        rig.options.policy_file = policy_file(texts[i]);
        memset(&error, 0, sizeof error);
        ck_result(libcache_open(&cache, &rig.options, &error), LIBCACHE_EPOLICY);
        snprintf(place, sizeof place, "%s:%d: ", rig.options.policy_file, lines[i]);
        ck_assert_msg(strstr(error.text, place), "\"%s\" does not say \"%s\"", error.text, place);
        ck_assert_ptr_null(cache);
        ck_assert_int_eq((int)rig.memory.live, 0);
        unlink(rig.options.policy_file);
    }
}
END_TEST

/* ---- The log ------------------------------------------------------------------------------------------------------------ */

struct logged {
    int calls;
    char last[300];
};

static void take_log(void *arg, int level, const char *message)
{
    struct logged *logged = arg;
    logged->calls += level == LIBCACHE_LOG_ERROR;
    snprintf(logged->last, sizeof logged->last, "%s", message);
}

START_TEST(a_failed_open_is_logged_with_its_reason)
{
    struct rig rig;
    struct logged logged = { 0, "" };
    libcache *cache = NULL;

    rig_prepare(&rig);
    rig.options.log = take_log;
    rig.options.log_arg = &logged;
    rig.options.policy_file = "/nowhere/at/all.ini";
    ck_result(libcache_open(&cache, &rig.options, NULL), LIBCACHE_ESYSTEM);
    ck_assert_int_eq(logged.calls, 1);
    ck_assert_ptr_nonnull(strstr(logged.last, "/nowhere/at/all.ini"));
    rig.options.policy_file = NULL;
    rig_open(&rig);
    put(rig.ns, "key", "value");
    rig_down(&rig);
    ck_assert_int_eq(logged.calls, 1);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api_tools", iteration_shows_each_live_entry_once, iteration_describes_an_entry,
                     iteration_tells_stale_and_negative_entries_from_fresh_ones,
                     looking_at_an_entry_is_no_use_of_it_and_reading_is, statistics_count_what_was_done,
                     statistics_of_the_entries_come_back_to_zero, a_sweep_reclaims_expired_and_invalidated_entries,
                     writers_reclaim_expired_entries_by_and_by,
                     namespaces_take_their_policy_from_the_file_and_code_overrides_it,
                     a_wrong_policy_file_is_refused_with_file_line_and_reason, a_failed_open_is_logged_with_its_reason);
}
