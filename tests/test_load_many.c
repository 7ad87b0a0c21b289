/*
 * Batches of loads: one call of the loader for what is missing, one flight a key. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static libcache_ns *soft_space(const struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    return space_with(rig, "soft", &policy);
}

/* ---- Batches ------------------------------------------------------------------------------------------------------------- */

START_TEST(the_loader_gets_what_is_missing_and_nothing_else_at_once)
{
    struct rig rig;
    struct source source = { .text = "v" };

    rig_up(&rig);
    put(rig.ns, "b", "v");
    put(rig.ns, "d", "v");
    ck_fetch_many(rig.ns, "abcde", &source, LIBCACHE_OK, "hhhhh", "v");
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_str_eq(source.asked, "a c e");
    ck_fetch_many(rig.ns, "edcba", &source, LIBCACHE_OK, "hhhhh", "v");
    ck_assert_uint_eq(source.calls, 1);
    ck_fetch_many(rig.ns, "", &source, LIBCACHE_OK, "", "");
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_eq(rig_stats(&rig).loads, 3);
    ck_assert_uint_eq(rig_stats(&rig).misses, 3);
    ck_assert_uint_eq(rig_stats(&rig).hits, 7);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_key_that_is_asked_for_twice_is_loaded_once)
{
    struct rig rig;
    struct source source = { .text = "v" };

    rig_up(&rig);
    ck_fetch_many(rig.ns, "aba", &source, LIBCACHE_OK, "hhh", "v");
    ck_assert_str_eq(source.asked, "a b");
    ck_assert_uint_eq(source.keys, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(some_of_a_batch_may_fail)
{
    struct rig rig;
    struct source source = { .text = "v", .fails_for = "b" };

    rig_up(&rig);
    ck_fetch_many(rig.ns, "abc", &source, LIBCACHE_ELOAD, "heh", "v");
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 1);
    ck_assert_uint_eq(rig_stats(&rig).loads, 2);
    ck_fetch_many(rig.ns, "abc", &source, LIBCACHE_ELOAD, "heh", "v"); /* not tried again yet */
    ck_assert_uint_eq(source.keys, 3);
    fake_clock_advance(&rig.clock, 1000);
    source.fails_for = NULL;
    ck_fetch_many(rig.ns, "abc", &source, LIBCACHE_OK, "hhh", "v");
    source.error = -1; /* all of it */
    ck_fetch_many(rig.ns, "adc", &source, LIBCACHE_ELOAD, "heh", "v");
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(of_a_batch_what_is_stale_is_refreshed_and_given_as_it_was_when_that_fails)
{
    struct rig rig;
    struct source source = { .text = "old" };
    libcache_ns *ns;

    rig_up(&rig);
    ns = soft_space(&rig);
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "hhh", "old");
    fake_clock_advance(&rig.clock, 10000);
    source.error = -1;
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "sss", "old");
    ck_assert_uint_eq(source.calls, 2);
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "sss", "old");
    ck_assert_uint_eq(source.calls, 2);
    fake_clock_advance(&rig.clock, 1000);
    source.error = 0;
    source.text = "new";
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "hhh", "new");
    fake_clock_advance(&rig.clock, 10000);
    source.as.flags = LIBCACHE_NEG;
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "nnn", "");
    ck_assert_uint_eq(rig_stats(&rig).refreshes, 9);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_stale_value_whose_refresh_does_not_fit_is_not_said_to_fit)
{
    struct rig rig;
    struct source source = { .text = "old" };
    struct batch b;
    char own[4];
    libcache_ns *ns;

    rig_up(&rig);
    ns = soft_space(&rig);
    ck_fetch_many(ns, "a", &source, LIBCACHE_OK, "h", "old");
    fake_clock_advance(&rig.clock, 10000);
    source.text = "much longer than before";
    batch_init(&b, ns, "a", &source);
    b.values[0] = (libcache_value){ .data = own, .capacity = sizeof own };
    fetch_batch(&b);
    ck_result(b.result, LIBCACHE_ETOOBIG);
    ck_result(b.results[0], LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(b.values[0].size, strlen(source.text));
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static uint64_t always_early(void *arg)
{
    (void)arg;
    return 0;
}

START_TEST(a_fresh_value_whose_early_refresh_fails_is_still_fresh)
{
    struct rig rig;
    struct source source = { .text = "v", .error = -1 };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;

    rig_prepare(&rig);
    rig.options.random = always_early;
    rig_open(&rig);
    policy.ttl_ms = 60000;
    policy.early_percent = 1000;
    ns = space_with(&rig, "early", &policy);
    {
        libcache_load *load = begin(ns, "a", 0, LIBCACHE_LEAD);
        fake_clock_advance(&rig.clock, 1000);
        ck_result(commit(load, "v"), LIBCACHE_OK);
    }
    ck_fetch_many(ns, "a", &source, LIBCACHE_OK, "h", "v");
    ck_assert_uint_eq(source.calls, 1);
    fake_clock_advance(&rig.clock, 1000);
    ck_fetch(ns, "a", &source, LIBCACHE_HIT, "v");
    ck_assert_uint_eq(source.calls, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(bad_keys_of_a_batch_are_their_own_affair)
{
    struct rig rig;
    struct source source = { .text = "v" };
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct batch b;

    rig_up(&rig);
    batch_init(&b, rig.ns, "abc", &source);
    b.keys[1].size = 0;
    fetch_batch(&b);
    ck_result(b.result, LIBCACHE_EKEY);
    ck_result(b.results[1], LIBCACHE_EKEY);
    ck_batch(&b, LIBCACHE_EKEY, "h?h", "v");
    ck_assert_str_eq(source.asked, "a c");
    ck_result(libcache_get_or_load_many(NULL, b.keys, 1, b.values, b.results, source_load_many, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load_many(rig.ns, b.keys, 1, b.values, b.results, NULL, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load_many(rig.ns, NULL, 1, b.values, b.results, source_load_many, &source, NULL), LIBCACHE_EINVAL);
    options.soft_ttl_ms = LIBCACHE_TTL_MAX_MS + 1;
    ck_result(libcache_get_or_load_many(rig.ns, b.keys, 1, b.values, b.results, source_load_many, &source, &options), LIBCACHE_EINVAL);
    options.soft_ttl_ms = 0;
    options.flags = 1u << 30;
    ck_result(libcache_get_or_load_many(rig.ns, b.keys, 1, b.values, b.results, source_load_many, &source, &options), LIBCACHE_EINVAL);
    rig_down(&rig);
}
END_TEST

static void delete_b(struct source *source, const libcache_slice *keys)
{
    (void)keys;
    libcache_delete(source->arg, "b", 1, 0);
}

START_TEST(G3_of_a_batch_only_what_was_overtaken_is_not_stored)
{
    struct rig rig;
    struct source source = { .text = "old", .during = delete_b };

    rig_up(&rig);
    while (!stands_alone(rig.ns, "abc", 'b')) {
        rig_down(&rig);
        rig_up(&rig);
    }
    source.arg = rig.ns;
    ck_fetch_many(rig.ns, "abc", &source, LIBCACHE_OK, "hhh", "old"); /* the caller has all */
    ck_value(rig.ns, "a", "old");
    ck_result(look(rig.ns, "b"), LIBCACHE_MISS);
    ck_value(rig.ns, "c", "old");
    ck_assert_uint_eq(rig_stats(&rig).fenced, 1);
    rig_down(&rig);
}
END_TEST

/* ---- In the background --------------------------------------------------------------------------------------------------- */

static struct executor executor;

START_TEST(what_is_stale_in_a_batch_is_refreshed_by_one_job)
{
    struct rig rig;
    struct source source = { .text = "old" };
    libcache_ns *ns;

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig_open(&rig);
    ns = soft_space(&rig);
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "hhh", "old");
    fake_clock_advance(&rig.clock, 10000);
    ck_fetch_many(ns, "cxbax", &source, LIBCACHE_OK, "shssh", "old"); /* only x is loaded in its caller's time */
    ck_assert_str_eq(source.asked, "x");
    ck_assert_uint_eq(executor.taken, 1);
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "sss", "old");
    ck_assert_uint_eq(executor.taken, 1);
    source.text = "new";
    ck_assert(run_job(&executor));
    ck_assert_str_eq(source.asked, "c b a");
    ck_fetch_many(ns, "abc", &source, LIBCACHE_OK, "hhh", "new");
    ck_assert_uint_eq(source.calls, 3);
    source.error = -1;
    fake_clock_advance(&rig.clock, 10000);
    ck_fetch_many(ns, "ab", &source, LIBCACHE_OK, "ss", "new");
    ck_assert(run_job(&executor));
    ck_fetch_many(ns, "ab", &source, LIBCACHE_OK, "ss", "new"); /* not again at once */
    ck_assert_uint_eq(executor.taken, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void *keep(void *arg)
{
    struct source *kept = malloc(sizeof *kept);

    executor.kept++;
    *kept = *(struct source *)arg;
    return kept;
}

static void drop(void *kept)
{
    source_done(kept);
    executor.dropped++;
    free(kept);
}

START_TEST(what_the_refresh_of_a_batch_needs_is_kept_until_it_has_run_or_was_refused)
{
    for (int refuses = 0; refuses < 2; refuses++) {
        struct rig rig;
        struct source source = { .text = "old" };
        libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
        struct batch b;
        libcache_ns *ns;
        rig_prepare(&rig);
        executor_prepare(&executor, &rig);
        executor.refuses = (unsigned)refuses;
        rig_open(&rig);
        ns = soft_space(&rig);
        ck_fetch_many(ns, "ab", &source, LIBCACHE_OK, "hh", "old");
        fake_clock_advance(&rig.clock, 10000);
        source.text = "new";
        options.keep = keep;
        options.drop = drop;
        batch_init(&b, ns, "aab", &source);
        b.result = libcache_get_or_load_many(ns, b.keys, b.n, b.values, b.results, source_load_many, &source, &options);
        /* Refused: who has to refresh gets what he has loaded; the second "a" was found while that was under way. */
        if (refuses) {
            ck_result(b.result, LIBCACHE_OK);
            ck_result(b.results[0], LIBCACHE_HIT);
            ck_result(b.results[1], LIBCACHE_STALE);
            ck_result(b.results[2], LIBCACHE_HIT);
            batch_free(&b);
        } else {
            ck_batch(&b, LIBCACHE_OK, "sss", "old");
        }
        ck_assert_uint_eq(executor.kept, 1);
        ck_assert_uint_eq(executor.dropped, (unsigned)refuses);
        source_done(&source);
        memset(&source, 0, sizeof source); /* its own is gone when the refresh runs */
        ck_assert_int_eq(run_job(&executor), !refuses);
        ck_assert_uint_eq(executor.dropped, 1);
        ck_value(ns, "a", "new");
        ck_value(ns, "b", "new");
        rig_down(&rig);
    }
}
END_TEST

static void delete_a(struct source *source, const libcache_slice *keys)
{
    (void)keys;
    libcache_delete(source->arg, "a", 1, 0);
}

START_TEST(G3_a_refresh_of_a_batch_in_the_background_is_overtaken_like_any_load)
{
    for (int during = 0; during < 2; during++) {
        struct rig rig;
        struct source source = { .text = "old" };
        libcache_ns *ns = NULL;
        while (!ns || !stands_alone(ns, "ab", 'a')) {
            if (ns)
                rig_down(&rig);
            rig_prepare(&rig);
            executor_prepare(&executor, &rig);
            rig_open(&rig);
            ns = soft_space(&rig);
        }
        ck_fetch_many(ns, "ab", &source, LIBCACHE_OK, "hh", "old");
        fake_clock_advance(&rig.clock, 10000);
        ck_fetch_many(ns, "ab", &source, LIBCACHE_OK, "ss", "old");
        source.arg = ns;
        if (!during)
            delete_a(&source, NULL);
        source.during = during ? delete_a : NULL;
        ck_assert(run_job(&executor));
        ck_result(look(ns, "a"), LIBCACHE_MISS);
        ck_value(ns, "b", "old");
        ck_assert_uint_eq(rig_stats(&rig).fenced, 1);
        source_done(&source);
        rig_down(&rig);
    }
}
END_TEST

/* ---- Batches and others -------------------------------------------------------------------------------------------------- */

START_TEST(what_others_are_loading_is_waited_for_after_the_rest_was_loaded)
{
    struct rig rig;
    struct source source = { .text = "v" };
    libcache_load *leader;
    struct batch b;

    rig_up(&rig);
    leader = begin(rig.ns, "b", 0, LIBCACHE_LEAD);
    batch_init(&b, rig.ns, "abc", &source);
    ck_assert_int_eq(pthread_create(&b.thread, NULL, fetch_batch, &b), 0);
    until(rig_stats(&rig).loads == 2); /* a and c, while b is under way */
    ck_assert_uint_eq(rig_stats(&rig).load_waits, 1);
    ck_result(commit(leader, "v"), LIBCACHE_OK);
    pthread_join(b.thread, NULL);
    ck_batch(&b, LIBCACHE_OK, "hhh", "v");
    ck_assert_uint_eq(source.keys, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_batch_that_has_waited_for_long_enough_loads_for_itself)
{
    struct rig rig;
    struct source source = { .text = "v" };
    libcache_load *leader;
    struct batch b;

    rig_up(&rig);
    leader = begin(rig.ns, "b", 0, LIBCACHE_LEAD);
    batch_init(&b, rig.ns, "abc", &source);
    b.wait_ms = 20;
    fetch_batch(&b);
    ck_batch(&b, LIBCACHE_OK, "hhh", "v");
    ck_assert_uint_eq(source.calls, 2);
    ck_assert_str_eq(source.asked, "b");
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 1);
    ck_value(rig.ns, "b", "v"); /* and keeps it, as any load may */
    ck_result(commit(leader, "v"), LIBCACHE_OK);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_key_that_comes_to_be_ours_is_loaded_before_others_are_waited_for)
{
    struct rig rig;
    struct source source = { .text = "v" };
    libcache_load *a, *b;
    struct batch batch;

    rig_up(&rig);
    a = begin(rig.ns, "a", 0, LIBCACHE_LEAD);
    b = begin(rig.ns, "b", 0, LIBCACHE_LEAD);
    batch_init(&batch, rig.ns, "ab", &source);
    ck_assert_int_eq(pthread_create(&batch.thread, NULL, fetch_batch, &batch), 0);
    until(rig_stats(&rig).load_waits == 2);
    libcache_load_abort(a, 0);
    until(look(rig.ns, "a") == LIBCACHE_HIT); /* b's leader might himself be waiting for a */
    ck_result(commit(b, "v"), LIBCACHE_OK);
    pthread_join(batch.thread, NULL);
    ck_batch(&batch, LIBCACHE_OK, "hh", "v");
    ck_assert_uint_eq(source.keys, 1);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(batches_that_wait_for_each_others_keys_load_each_once_when_the_leader_gives_up)
{
    enum { BATCHES = 4 };
    struct rig rig;
    struct source source = { .text = "v" };
    static const char *const letters[BATCHES] = { "abcdef", "fedcba", "cafebd", "dbfeca" };
    struct batch b[BATCHES];
    libcache_load *leaders[6];
    uint64_t begun;

    rig_up(&rig);
    for (int i = 0; i < 6; i++)
        leaders[i] = begin(rig.ns, (char[]){ (char)('a' + i), 0 }, 0, LIBCACHE_LEAD);
    for (int i = 0; i < BATCHES; i++) {
        batch_init(&b[i], rig.ns, letters[i], &source);
        ck_assert_int_eq(pthread_create(&b[i].thread, NULL, fetch_batch, &b[i]), 0);
    }
    until(rig_stats(&rig).load_waits == 6 * BATCHES);
    begun = real_ms();
    for (int i = 0; i < 6; i++)
        libcache_load_abort(leaders[i], 0);
    for (int i = 0; i < BATCHES; i++) {
        pthread_join(b[i].thread, NULL);
        ck_batch(&b[i], LIBCACHE_OK, "hhhhhh", "v");
    }
    ck_assert_uint_lt(real_ms() - begun, 8000); /* nobody held a key while he waited for another: that would be until the lease is over */
    ck_assert_uint_eq(source.keys, 6);
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 0);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_many", the_loader_gets_what_is_missing_and_nothing_else_at_once,
                     a_key_that_is_asked_for_twice_is_loaded_once, some_of_a_batch_may_fail,
                     of_a_batch_what_is_stale_is_refreshed_and_given_as_it_was_when_that_fails,
                     a_stale_value_whose_refresh_does_not_fit_is_not_said_to_fit,
                     a_fresh_value_whose_early_refresh_fails_is_still_fresh, bad_keys_of_a_batch_are_their_own_affair,
                     G3_of_a_batch_only_what_was_overtaken_is_not_stored,
                     what_is_stale_in_a_batch_is_refreshed_by_one_job,
                     what_the_refresh_of_a_batch_needs_is_kept_until_it_has_run_or_was_refused,
                     G3_a_refresh_of_a_batch_in_the_background_is_overtaken_like_any_load,
                     what_others_are_loading_is_waited_for_after_the_rest_was_loaded,
                     a_batch_that_has_waited_for_long_enough_loads_for_itself,
                     a_key_that_comes_to_be_ours_is_loaded_before_others_are_waited_for,
                     batches_that_wait_for_each_others_keys_load_each_once_when_the_leader_gives_up);
}
