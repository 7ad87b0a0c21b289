/*
 * What is counted, by namespace and by reason, without Redis; and how long things take. With Redis: test_metrics_redis.c.
 * SPDX-License-Identifier: MIT
 */
#include "support/loads.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "cache.h"

#define KEY "key", 3

static libcache_ns_stats stats_of(libcache_ns *ns)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ck_result(libcache_read_ns_stats(ns, &stats), LIBCACHE_OK);
    return stats;
}

static libcache_ns_stats sum_of(libcache *cache)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ck_result(libcache_sum_stats(cache, &stats), LIBCACHE_OK);
    return stats;
}

/* Fails the test unless the last thing that happened in `ns` added to this field only, of all misses, by one. */
#define ck_missed(ns, reason, ...)                                                                            \
    do {                                                                                                      \
        libcache_ns_stats before_ = stats_of(ns), after_;                                                     \
        __VA_ARGS__;                                                                                          \
        after_ = stats_of(ns);                                                                                \
        ck_assert_uint_eq(after_.misses, before_.misses + 1);                                                 \
        ck_assert_msg(after_.reason == before_.reason + 1, "not counted as " #reason ": cold %d, expired %d, evicted %d, " \
                      "invalidated %d, fenced %d, unvouched %d, unavailable %d", \
                      (int)(after_.miss_cold - before_.miss_cold), (int)(after_.miss_expired - before_.miss_expired), \
                      (int)(after_.miss_evicted - before_.miss_evicted), (int)(after_.miss_invalidated - before_.miss_invalidated), \
                      (int)(after_.miss_fenced - before_.miss_fenced), (int)(after_.miss_unvouched - before_.miss_unvouched), \
                      (int)(after_.miss_unavailable - before_.miss_unavailable)); \
    } while (0)

static int seek(libcache_ns *ns, const char *key)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, 0);

    libcache_release_value(&value);
    return result;
}

static void get_many_one(libcache_ns *ns, const char *key, int result)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice slice = slice_of(key);
    int got;

    ck_result(libcache_get_many(ns, &slice, 1, &value, &got, NULL, 0), LIBCACHE_OK);
    ck_result(got, result);
    libcache_release_value(&value);
}

/* The ways to read that count: each must name the reason. */
static void ck_missed_in_all_ways(libcache_ns *ns, const char *key, const char *why)
{
    for (int way = 0; way < 4; way++) {
        libcache_ns_stats before = stats_of(ns), after;
        libcache_value value = LIBCACHE_VALUE_INIT;
        if (way == 0)
            ck_result(seek(ns, key), LIBCACHE_MISS);
        else if (way == 1)
            get_many_one(ns, key, LIBCACHE_MISS);
        else if (way == 2)
            ck_result(libcache_get(ns, key, strlen(key), &value, LIBCACHE_TIMES), LIBCACHE_MISS);
        else
            libcache_load_abort(begin(ns, key, 0, LIBCACHE_LEAD), 0);
        after = stats_of(ns);
        ck_assert_uint_eq(after.misses, before.misses + 1);
        ck_assert_msg((after.miss_cold > before.miss_cold) == !strcmp(why, "cold") &&
                          (after.miss_expired > before.miss_expired) == !strcmp(why, "expired") &&
                          (after.miss_evicted > before.miss_evicted) == !strcmp(why, "evicted") &&
                          (after.miss_invalidated > before.miss_invalidated) == !strcmp(why, "invalidated"),
                      "way %d: a miss that is %s was not counted so", way, why);
    }
}

/* ---- Reasons -------------------------------------------------------------------------------------------------------- */

START_TEST(a_key_that_nothing_is_known_of_is_cold)
{
    struct rig rig;

    rig_up(&rig);
    ck_missed_in_all_ways(rig.ns, "key", "cold");
    put(rig.ns, "key", "value");
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_OK);
    ck_missed_in_all_ways(rig.ns, "key", "cold");
    rig_down(&rig);
}
END_TEST

START_TEST(a_key_past_its_ttl_is_expired_within_its_grace_too)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns, *graceful;
    struct rig rig;

    rig_up(&rig);
    policy.ttl_ms = 1000;
    ns = space_with(&rig, "short", &policy);
    policy.grace_ms = 5000;
    graceful = space_with(&rig, "graceful", &policy);
    put(ns, "key", "value");
    put(graceful, "key", "value");
    fake_clock_advance(&rig.clock, 1001);
    ck_missed_in_all_ways(ns, "key", "expired");
    ck_missed(graceful, miss_expired, seek(graceful, "key"));
    rig_down(&rig);
}
END_TEST

START_TEST(what_was_invalidated_is_counted_so_for_tag_namespace_and_all)
{
    struct rig rig;

    rig_up(&rig);
    put_tagged(rig.ns, "key", "value", "tag");
    ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
    ck_missed_in_all_ways(rig.ns, "key", "invalidated");
    put(rig.ns, "key", "value");
    ck_result(libcache_invalidate_namespace(rig.ns, 0), LIBCACHE_OK);
    ck_missed_in_all_ways(rig.ns, "key", "invalidated");
    put(rig.ns, "key", "value");
    ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
    ck_missed_in_all_ways(rig.ns, "key", "invalidated");
    ck_assert_uint_eq(stats_of(rig.ns).invalidations, 1); /* of the namespace; the others concern none */
    ck_assert_uint_eq(sum_of(rig.cache).invalidations, 3);
    rig_down(&rig);
}
END_TEST

START_TEST(what_had_to_make_room_is_evicted_while_a_trace_is_left)
{
    enum { N = 20000 };
    static char value[400];
    struct rig rig;
    char key[32];
    unsigned missed = 0;
    libcache_ns_stats stats;

    rig_prepare(&rig);
    rig.options.memory_bytes = 1 << 20;
    rig.options.stripes = 1;
    rig_open(&rig);
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "%d", i);
        put(rig.ns, key, value);
        if (i % 3 == 0)
            for (int j = 0; j < 3; j++)
                seek(rig.ns, key);
    }
    stats = stats_of(rig.ns);
    ck_assert_uint_eq(stats.evictions, rig_stats(&rig).evictions);
    ck_assert_uint_eq(stats.evictions + stats.entries, N);
    ck_assert_uint_eq(stats.entries, rig_stats(&rig).entries);
    ck_assert_uint_eq(stats.live_bytes, rig_stats(&rig).live_bytes);
    for (int i = N - 1; i > N - 1500; i--) { /* those that went lately */
        libcache_ns_stats after;
        snprintf(key, sizeof key, "%d", i);
        if (seek(rig.ns, key) == LIBCACHE_MISS)
            missed++;
        after = stats_of(rig.ns);
        ck_assert_uint_eq(after.misses - stats.misses, missed);
    }
    ck_assert_uint_ge(missed, 50);
    ck_assert_uint_ge(stats_of(rig.ns).miss_evicted, missed / 2);
    rig_down(&rig);
}
END_TEST

START_TEST(who_waited_for_a_load_that_was_overtaken_missed_because_it_was_fenced)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *leader, *waiter;
    struct rig rig;

    rig_up(&rig);
    leader = begin(rig.ns, "key", 0, LIBCACHE_LEAD);
    ck_missed(rig.ns, miss_cold, waiter = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT));
    invalidate_tag(rig.cache, "tag");
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    ck_result(commit_tagged(leader, "old", "tag"), LIBCACHE_FENCED);
    ck_result(libcache_load_wait(&waiter, &value, 0), LIBCACHE_LEAD);
    libcache_load_abort(waiter, 0);
    ck_assert_uint_eq(stats_of(rig.ns).fenced, 1);
    ck_assert_uint_eq(stats_of(rig.ns).loads, 1);
    rig_down(&rig);
}
END_TEST

/* A leader that commits a value which was invalidated meanwhile, while another thread waits for it. */
START_TEST(a_thread_that_slept_through_an_overtaken_load_counts_as_fenced)
{
    struct source source = { .text = "new" };
    struct asker asker = { .key = "key", .source = &source };
    libcache_load *leader;
    struct rig rig;

    rig_up(&rig);
    asker.ns = rig.ns;
    leader = begin(rig.ns, "key", 0, LIBCACHE_LEAD);
    asker_start(&asker);
    until(stats_of(rig.ns).load_waits == 1);
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    ck_result(commit(leader, "old"), LIBCACHE_FENCED);
    asker_end(&asker, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(stats_of(rig.ns).miss_fenced, 1);
    ck_assert_uint_eq(stats_of(rig.ns).miss_cold, 1); /* the leader's own */
    ck_assert_uint_eq(stats_of(rig.ns).misses, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

/* ---- The rest ---------------------------------------------------------------------------------------------------------- */

START_TEST(reads_and_writes_count_in_their_own_namespace)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns_stats a, b, sum;
    libcache_stamp stamp;
    libcache_ns *ns;
    struct rig rig;

    rig_up(&rig);
    policy.soft_ttl_ms = 500;
    policy.ttl_ms = 5000;
    ns = space_with(&rig, "other", &policy);
    negative.flags = LIBCACHE_NEG;
    put(rig.ns, "key", "12345");
    put(ns, "key", "123");
    ck_result(libcache_add(ns, KEY, "x", 1, NULL), LIBCACHE_EXISTS);
    ck_result(libcache_add(ns, "add", 3, "xy", 2, NULL), LIBCACHE_OK);
    ck_result(libcache_set(ns, "not", 3, NULL, 0, &negative), LIBCACHE_OK);
    for (int i = 0; i < 7; i++)
        ck_result(seek(rig.ns, "key"), LIBCACHE_HIT);
    ck_result(seek(ns, "key"), LIBCACHE_HIT);
    ck_result(seek(ns, "not"), LIBCACHE_NEGATIVE);
    get_many_one(ns, "key", LIBCACHE_HIT);
    fake_clock_advance(&rig.clock, 600);
    ck_result(seek(ns, "key"), LIBCACHE_STALE);
    get_many_one(ns, "key", LIBCACHE_STALE);
    ck_result(libcache_touch(ns, KEY, 0, 0), LIBCACHE_OK);
    ck_result(libcache_increment(ns, "n", 1, 5, NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_take_stamp(ns, "add", 3, &stamp), LIBCACHE_OK);
    ck_result(libcache_delete(ns, "add", 3, 0), LIBCACHE_OK);
    negative.flags = 0;
    negative.stamp = &stamp;
    ck_result(libcache_set(ns, "add", 3, "z", 1, &negative), LIBCACHE_FENCED);
    a = stats_of(rig.ns);
    b = stats_of(ns);
    ck_assert_str_eq(a.name, "test");
    ck_assert_str_eq(b.name, "other");
    ck_assert_uint_eq(a.hits_l1, 7);
    ck_assert_uint_eq(a.sets, 1);
    ck_assert_uint_eq(a.set_bytes, 5);
    ck_assert_uint_eq(a.entries, 1);
    ck_assert_uint_eq(b.hits_l1, 2);
    ck_assert_uint_eq(b.stale_l1, 2);
    ck_assert_uint_eq(b.negatives_l1, 1);
    ck_assert_uint_eq(b.sets, 2);
    ck_assert_uint_eq(b.adds, 2);
    ck_assert_uint_eq(b.set_bytes, 5);
    ck_assert_uint_eq(b.touches, 1);
    ck_assert_uint_eq(b.increments, 1);
    ck_assert_uint_eq(b.deletes, 1);
    ck_assert_uint_eq(b.fenced, 1);
    ck_assert_uint_eq(b.entries, 3); /* key, not, n */
    ck_assert_uint_eq(b.hits_l2 + b.stale_l2 + b.negatives_l2 + b.l2_hits + b.l2_misses, 0);
    sum = sum_of(rig.cache);
    ck_assert_uint_eq(sum.hits_l1, a.hits_l1 + b.hits_l1);
    ck_assert_uint_eq(sum.set_bytes, a.set_bytes + b.set_bytes);
    ck_assert_uint_eq(sum.entries, a.entries + b.entries);
    ck_assert_uint_eq(sum.hits_l1, rig_stats(&rig).hits);
    rig_down(&rig);
}
END_TEST

START_TEST(a_handle_has_counts_of_its_own_beside_those_of_the_segment)
{
    struct rig one, two;
    const char *name = segment_name("own");

    rig_prepare(&one);
    one.options.segment = LIBCACHE_NAMED;
    one.options.name = name;
    rig_open(&one);
    rig_prepare(&two);
    two.options.segment = LIBCACHE_NAMED;
    two.options.name = name;
    rig_open(&two);
    put(one.ns, "key", "value");
    for (int i = 0; i < 5; i++)
        seek(one.ns, "key");
    for (int i = 0; i < 3; i++)
        seek(two.ns, "key");
    seek(two.ns, "other");
    ck_assert_uint_eq(rig_stats(&one).hits, 5);
    ck_assert_uint_eq(rig_stats(&two).hits, 3);
    ck_assert_uint_eq(rig_stats(&two).misses, 1);
    ck_assert_uint_eq(rig_stats(&two).miss_cold, 1);
    ck_assert_uint_eq(stats_of(one.ns).hits_l1, 8);
    ck_assert_uint_eq(stats_of(two.ns).hits_l1, 8);
    rig_down(&two);
    ck_assert_uint_eq(stats_of(one.ns).hits_l1, 8);
    ck_assert_uint_eq(stats_of(one.ns).misses, 1);
    rig_open(&two); /* counts on where it was, and knows that this was not it */
    ck_assert_uint_eq(rig_stats(&two).hits, 0);
    seek(two.ns, "key");
    ck_assert_uint_eq(rig_stats(&two).hits, 1);
    ck_assert_uint_eq(stats_of(one.ns).hits_l1, 9);
    rig_down(&two);
    rig_down(&one);
}
END_TEST

START_TEST(namespaces_are_iterated_by_name_also_those_that_others_opened)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
    libcache_owner owner = { "" };
    struct rig rig;
    unsigned n = 0;
    char names[100] = "";

    rig_up(&rig);
    space_with(&rig, "b", NULL);
    ck_result(libcache_lock_take(rig.cache, "lock", 4, &owner, 1000, 0), LIBCACHE_OK); /* a namespace that nobody is to see */
    space_with(&rig, "c \"quoted\"", NULL);
    while (libcache_iterate_namespaces(rig.cache, &cursor, &stats) == LIBCACHE_HIT) {
        n++;
        strcat(strcat(names, stats.name), ";");
    }
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(names, "test;b;c \"quoted\";");
    ck_result(libcache_iterate_namespaces(rig.cache, &cursor, &stats), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

static int fail_to_load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg;
    (void)key;
    (void)out;
    return -1;
}

START_TEST(loads_count_by_their_end)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_times times = LIBCACHE_TIMES_INIT;
    libcache_load *load;
    libcache_ns_stats s;
    libcache_ns *ns;
    struct rig rig;

    rig_up(&rig);
    policy.load_timeout_ms = 1000;
    ns = space_with(&rig, "loads", &policy);
    ck_result(commit(begin(ns, "quick", 0, LIBCACHE_LEAD), "value"), LIBCACHE_OK);
    load = begin(ns, "late", 0, LIBCACHE_LEAD);
    fake_clock_advance(&rig.clock, 1000);
    ck_result(commit(load, "value"), LIBCACHE_OK); /* just in time */
    load = begin(ns, "later", 0, LIBCACHE_LEAD);
    fake_clock_advance(&rig.clock, 1001);
    commit(load, "value");
    ck_result(libcache_get_or_load(ns, "bad", 3, &value, fail_to_load, NULL, NULL), LIBCACHE_ELOAD);
    ck_result(libcache_get_or_load(ns, "bad", 3, &value, fail_to_load, NULL, NULL), LIBCACHE_ELOAD); /* not tried again yet */
    s = stats_of(ns);
    ck_assert_uint_eq(s.loads, 3);
    ck_assert_uint_eq(s.load_timeouts, 1);
    ck_assert_uint_eq(s.load_errors, 1);
    ck_assert_uint_eq(s.misses, 5);
    ck_result(libcache_read_times(rig.cache, LIBCACHE_TIME_LOAD, &times), LIBCACHE_OK);
    ck_assert_uint_eq(times.count, 4);
    rig_down(&rig);
}
END_TEST

/* ---- Times ---------------------------------------------------------------------------------------------------------------- */

START_TEST(one_get_in_many_is_timed_in_whichever_way_it_is_made)
{
    enum { EVERY = 4096 };
    libcache_value value = LIBCACHE_VALUE_INIT, large = LIBCACHE_VALUE_INIT;
    libcache_times times = LIBCACHE_TIMES_INIT;
    struct source source = { .text = "value" };
    static char long_[2000];
    struct rig rig;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    for (int i = 0; i < 10 * EVERY + 1; i++)
        ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    libcache_read_times(rig.cache, LIBCACHE_TIME_GET, &times);
    ck_assert_uint_eq(times.count, 10);
    ck_assert_uint_gt(times.p50_ns, 0);
    for (int i = 0; i < 5 * EVERY; i++) /* of a value as found by get_or_load */
        ck_result(libcache_get_or_load(rig.ns, KEY, &value, source_load, &source, NULL), LIBCACHE_HIT);
    libcache_read_times(rig.cache, LIBCACHE_TIME_GET, &times);
    ck_assert_uint_eq(times.count, 15);
    memset(long_, 'x', sizeof long_ - 1); /* which the lean half does not do */
    put(rig.ns, "long", long_);
    for (int i = 0; i < 5 * EVERY; i++)
        ck_result(libcache_get(rig.ns, "long", 4, &large, 0), LIBCACHE_HIT);
    libcache_read_times(rig.cache, LIBCACHE_TIME_GET, &times);
    ck_assert_uint_eq(times.count, 20);
    ck_assert_uint_eq(stats_of(rig.ns).hits_l1, 20 * EVERY + 1);
    ck_assert_uint_eq(source.calls, 0);
    libcache_release_value(&value);
    libcache_release_value(&large);
    rig_down(&rig);
}
END_TEST

/* What options.slow was told. */
struct told {
    unsigned n;
    char operation[20], ns[20], key[20];
    uint64_t duration_ns;
    int result;
};

static void note_slow(void *arg, const libcache_slow *slow)
{
    struct told *told = arg;

    ck_assert_uint_eq(slow->struct_size, sizeof *slow);
    told->n++;
    snprintf(told->operation, sizeof told->operation, "%s", slow->operation);
    snprintf(told->ns, sizeof told->ns, "%s", slow->ns_name ? slow->ns_name : "none");
    snprintf(told->key, sizeof told->key, "%.*s", (int)slow->key_size, slow->key ? (const char *)slow->key : "");
    told->duration_ns = slow->duration_ns;
    told->result = slow->result;
}

static void take_ten_ms(struct source *source, const libcache_slice *key)
{
    uint64_t until_ms = real_ms() + 11;

    (void)source;
    (void)key;
    until(real_ms() >= until_ms);
}

START_TEST(a_slow_load_is_told_and_a_quick_one_is_not)
{
    struct source source = { .text = "value", .during = take_ten_ms }, quick = { .text = "value" };
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct told told = { 0 };
    struct rig rig;

    rig_prepare(&rig);
    rig.options.slow = note_slow;
    rig.options.slow_arg = &told;
    rig.options.slow_ms = 10;
    rig_open(&rig);
    ck_result(libcache_get_or_load(rig.ns, KEY, &value, source_load, &source, NULL), LIBCACHE_HIT);
    ck_assert_uint_eq(told.n, 1);
    ck_assert_str_eq(told.operation, "load");
    ck_assert_str_eq(told.ns, "test");
    ck_assert_str_eq(told.key, "key");
    ck_assert_uint_ge(told.duration_ns, 10000000);
    ck_assert_int_eq(told.result, LIBCACHE_OK);
    for (int i = 0; i < 100; i++)
        ck_result(libcache_get_or_load(rig.ns, KEY, &value, source_load, &source, NULL), LIBCACHE_HIT);
    ck_assert_uint_eq(told.n, 1);
    ck_assert_uint_eq(stats_of(rig.ns).slow, 1);
    ck_assert_uint_eq(rig_stats(&rig).slow, 1);
    libcache_release_value(&value);
    rig_down(&rig);

    rig_prepare(&rig); /* the default: 100 ms */
    rig.options.slow = note_slow;
    rig.options.slow_arg = &told;
    rig_open(&rig);
    told.n = 0;
    ck_result(libcache_get_or_load(rig.ns, KEY, &value, source_load, &quick, NULL), LIBCACHE_HIT);
    ck_assert_msg(told.n == 0 || told.duration_ns >= 100000000, "told of %llu ns", (unsigned long long)told.duration_ns);
    libcache_release_value(&value);
    rig_down(&rig);
    source_done(&source);
    source_done(&quick);
}
END_TEST

START_TEST(a_slow_wait_is_told)
{
    struct source source = { .text = "value", .during = take_ten_ms };
    struct asker asker = { .key = "key", .source = &source };
    libcache_times times = LIBCACHE_TIMES_INIT;
    struct told told = { 0 };
    libcache_load *load;
    struct rig rig;

    rig_prepare(&rig);
    rig.options.slow = note_slow;
    rig.options.slow_arg = &told;
    rig.options.slow_ms = 10;
    rig_open(&rig);
    asker.ns = rig.ns;
    load = begin(rig.ns, "key", 0, LIBCACHE_LEAD);
    asker_start(&asker);
    until(stats_of(rig.ns).load_waits == 1);
    take_ten_ms(NULL, NULL);
    ck_assert_uint_eq(told.n, 0);
    commit(load, "value"); /* the load's own is told here, or there */
    asker_end(&asker, LIBCACHE_HIT, "value");
    ck_assert_uint_eq(stats_of(rig.ns).slow, 2);
    libcache_read_times(rig.cache, LIBCACHE_TIME_WAIT, &times);
    ck_assert_uint_eq(times.count, 1);
    ck_assert_uint_ge(times.max_ns, 10000000);
    rig_down(&rig);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT, none = { 0 };
    libcache_times times = LIBCACHE_TIMES_INIT, no_times = { 0 };
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_value text = LIBCACHE_VALUE_INIT;
    struct rig rig;

    rig_up(&rig);
    ck_result(libcache_read_ns_stats(NULL, &stats), LIBCACHE_EINVAL);
    ck_result(libcache_read_ns_stats(rig.ns, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_read_ns_stats(rig.ns, &none), LIBCACHE_EINVAL);
    ck_result(libcache_sum_stats(NULL, &stats), LIBCACHE_EINVAL);
    ck_result(libcache_sum_stats(rig.cache, &none), LIBCACHE_EINVAL);
    ck_result(libcache_iterate_namespaces(NULL, &cursor, &stats), LIBCACHE_EINVAL);
    ck_result(libcache_iterate_namespaces(rig.cache, NULL, &stats), LIBCACHE_EINVAL);
    ck_result(libcache_iterate_namespaces(rig.cache, &cursor, &none), LIBCACHE_EINVAL);
    ck_result(libcache_read_times(NULL, 0, &times), LIBCACHE_EINVAL);
    ck_result(libcache_read_times(rig.cache, -1, &times), LIBCACHE_EINVAL);
    ck_result(libcache_read_times(rig.cache, LIBCACHE_TIMES_KINDS, &times), LIBCACHE_EINVAL);
    ck_result(libcache_read_times(rig.cache, 0, &no_times), LIBCACHE_EINVAL);
    ck_result(libcache_metrics(NULL, &text, 0), LIBCACHE_EINVAL);
    ck_result(libcache_metrics(rig.cache, NULL, 0), LIBCACHE_EINVAL);
    ck_result(libcache_metrics(rig.cache, &text, 2), LIBCACHE_EINVAL);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("metrics", a_key_that_nothing_is_known_of_is_cold, a_key_past_its_ttl_is_expired_within_its_grace_too,
                     what_was_invalidated_is_counted_so_for_tag_namespace_and_all,
                     what_had_to_make_room_is_evicted_while_a_trace_is_left,
                     who_waited_for_a_load_that_was_overtaken_missed_because_it_was_fenced,
                     a_thread_that_slept_through_an_overtaken_load_counts_as_fenced, reads_and_writes_count_in_their_own_namespace,
                     a_handle_has_counts_of_its_own_beside_those_of_the_segment,
                     namespaces_are_iterated_by_name_also_those_that_others_opened, loads_count_by_their_end,
                     one_get_in_many_is_timed_in_whichever_way_it_is_made, a_slow_load_is_told_and_a_quick_one_is_not,
                     a_slow_wait_is_told, bad_arguments_are_refused);
}
