/*
 * libcache_get_or_load: who refreshes what is stale, and what a failing source costs.
 * SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- An executor ------------------------------------------------------------------------------------------------------- */

static void *run_jobs(void *executor)
{
    struct executor *x = executor;

    while (run_job(x) || !__atomic_load_n(&x->stop, __ATOMIC_ACQUIRE))
        nap();
    return NULL;
}

static struct executor executor;

static void up(struct rig *rig)
{
    rig_prepare(rig);
    executor_prepare(&executor, rig);
    rig_open(rig);
}

/* Soft TTL 10 s, TTL 60 s, grace 30 s, backoff 1 s. */
static libcache_ns *soft_space(const struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    return space_with(rig, "soft", &policy);
}

/* ---- Refreshing ------------------------------------------------------------------------------------------------------------ */

START_TEST(a_stale_value_is_given_at_once_and_refreshed_once_by_the_executor)
{
    struct rig rig;
    struct source source = { .text = "old" };
    libcache_ns *ns;

    up(&rig);
    ns = soft_space(&rig);
    ck_fetch(ns, "key", &source, LIBCACHE_HIT, "old");
    source.text = "new";
    fake_clock_advance(&rig.clock, 10000);
    for (int i = 0; i < 5; i++)
        ck_fetch(ns, "key", &source, LIBCACHE_STALE, "old");
    ck_assert_uint_eq(executor.taken, 1);
    ck_assert_uint_eq(source.calls, 1);
    ck_assert(run_job(&executor));
    ck_assert_uint_eq(source.calls, 2);
    ck_fetch(ns, "key", &source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(rig_stats(&rig).refreshes, 1);
    ck_assert_uint_eq(rig_stats(&rig).stale, 5);
    ck_assert_uint_eq(rig_stats(&rig).load_waits, 0);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(an_executor_that_refuses_leaves_the_refresh_to_the_caller)
{
    for (int with = 0; with < 2; with++) {
        struct rig rig;
        struct source source = { .text = "old" };
        libcache_ns *ns;
        if (with)
            up(&rig);
        else
            rig_up(&rig);
        executor.refuses = 1;
        ns = soft_space(&rig);
        ck_fetch(ns, "key", &source, LIBCACHE_HIT, "old");
        source.text = "new";
        fake_clock_advance(&rig.clock, 10000);
        ck_fetch(ns, "key", &source, LIBCACHE_HIT, "new"); /* he has loaded it, so he gets it */
        ck_assert_uint_eq(source.calls, 2);
        ck_fetch(ns, "key", &source, LIBCACHE_HIT, "new");
        source.error = -1;
        fake_clock_advance(&rig.clock, 10000);
        ck_fetch(ns, "key", &source, LIBCACHE_STALE, "new"); /* or has tried to */
        ck_assert_uint_eq(source.calls, 3);
        source_done(&source);
        rig_down(&rig);
    }
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

START_TEST(what_a_refresh_needs_is_kept_until_it_has_run)
{
    struct rig rig;
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_ns *ns;

    up(&rig);
    ns = soft_space(&rig);
    options.keep = keep;
    options.drop = drop;
    for (int refuses = 0; refuses < 2; refuses++) {
        struct source source = { .text = "old" };
        const char *key = refuses ? "refused" : "taken";
        size_t size = strlen(key);
        executor.refuses = (unsigned)refuses;
        executor.kept = executor.dropped = 0;
        ck_result(libcache_get_or_load(ns, key, size, &value, source_load, &source, &options), LIBCACHE_HIT);
        ck_assert_uint_eq(executor.kept, 0); /* only for later */
        fake_clock_advance(&rig.clock, 10000);
        source.text = "new";
        ck_result(libcache_get_or_load(ns, key, size, &value, source_load, &source, &options),
                  refuses ? LIBCACHE_HIT : LIBCACHE_STALE);
        source_done(&source);
        ck_assert_uint_eq(source.calls, refuses ? 2 : 1);
        memset(&source, 0, sizeof source); /* its own is gone when the refresh runs */
        ck_assert_int_eq(run_job(&executor), !refuses);
        ck_assert_uint_eq(executor.kept, 1);
        ck_assert_uint_eq(executor.dropped, 1);
        ck_value(ns, key, "new");
    }
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(threads_of_a_pool_refresh_while_readers_are_never_held_up)
{
    enum { READERS = 4, KEYS = 4 };
    struct rig rig;
    struct source source = { .text = "old" };
    struct asker askers[READERS * KEYS];
    char keys[KEYS][20];
    libcache_ns *ns;

    up(&rig);
    ns = soft_space(&rig);
    for (int k = 0; k < KEYS; k++) {
        snprintf(keys[k], sizeof keys[k], "key %d", k);
        ck_fetch(ns, keys[k], &source, LIBCACHE_HIT, "old");
    }
    fake_clock_advance(&rig.clock, 10000);
    source.text = "new";
    for (int i = 0; i < READERS * KEYS; i++) {
        askers[i] = (struct asker){ .ns = ns, .key = keys[i % KEYS], .source = &source };
        asker_start(&askers[i]);
    }
    for (int i = 0; i < READERS * KEYS; i++)
        asker_end(&askers[i], LIBCACHE_STALE, "old"); /* nobody runs the jobs yet */
    ck_assert_uint_eq(executor.taken, KEYS);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&executor.thread[i], NULL, run_jobs, &executor), 0);
    until(rig_stats(&rig).loads == 2 * KEYS);
    __atomic_store_n(&executor.stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(executor.thread[i], NULL);
    for (int k = 0; k < KEYS; k++)
        ck_fetch(ns, keys[k], &source, LIBCACHE_HIT, "new");
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void delete_it(struct source *source, const libcache_slice *key)
{
    libcache_delete(source->arg, key->data, key->size, 0);
}

START_TEST(G3_a_refresh_in_the_background_is_overtaken_like_any_load)
{
    struct rig rig;
    struct source source = { .text = "old" };
    libcache_ns *ns;

    up(&rig);
    ns = soft_space(&rig);
    for (int during = 0; during < 2; during++) {
        ck_fetch(ns, "key", &source, LIBCACHE_HIT, "old");
        fake_clock_advance(&rig.clock, 10000);
        ck_fetch(ns, "key", &source, LIBCACHE_STALE, "old");
        if (!during) /* before it has begun: its stamp is of when it was asked for */
            ck_result(libcache_delete(ns, "key", 3, 0), LIBCACHE_OK);
        source.during = during ? delete_it : NULL;
        source.arg = ns;
        ck_assert(run_job(&executor));
        source.during = NULL;
        ck_result(look(ns, "key"), LIBCACHE_MISS);
    }
    ck_assert_uint_eq(rig_stats(&rig).fenced, 2);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

/* ---- Failing sources ------------------------------------------------------------------------------------------------------------ */

START_TEST(a_failing_source_is_asked_once_a_backoff_and_what_is_stale_is_served_meanwhile)
{
    struct rig rig;
    struct source source = { .text = "old" };
    libcache_ns *ns;
    unsigned seconds = 0;

    rig_up(&rig);
    ns = soft_space(&rig);
    ck_fetch(ns, "key", &source, LIBCACHE_HIT, "old");
    source.error = -1;
    fake_clock_advance(&rig.clock, 10000);
    for (; seconds < 80; seconds++) /* past its soft TTL, past its TTL, to the end of its grace */
        for (int i = 0; i < 10; i++) {
            ck_fetch(ns, "key", &source, LIBCACHE_STALE, "old");
            ck_assert_uint_eq(source.calls, 1 + seconds + 1);
            fake_clock_advance(&rig.clock, 100);
        }
    for (int i = 0; i < 10; i++) {
        ck_fetch(ns, "key", &source, LIBCACHE_ELOAD, NULL);
        ck_assert_uint_eq(source.calls, 1 + seconds + 1);
        fake_clock_advance(&rig.clock, 100);
    }
    source.error = 0;
    ck_fetch(ns, "key", &source, LIBCACHE_HIT, "old");
    ck_assert_uint_eq(rig_stats(&rig).load_errors, seconds + 1);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void put_it(struct source *source, const libcache_slice *key)
{
    struct rig *rig = source->arg;

    (void)key;
    put(rig->ns, "key", "somebody else's");
}

START_TEST(after_a_failure_what_somebody_else_has_stored_meanwhile_is_given)
{
    struct rig rig;
    struct source source = { .error = -1, .during = put_it, .arg = &rig };
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result;

    rig_up(&rig);
    result = fetch(rig.ns, "key", &source, &value);
    ck_result(result, LIBCACHE_HIT); /* which is fresh, and not called stale */
    ck_assert_uint_eq(value.size, strlen("somebody else's"));
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_refresh", a_stale_value_is_given_at_once_and_refreshed_once_by_the_executor,
                     an_executor_that_refuses_leaves_the_refresh_to_the_caller, what_a_refresh_needs_is_kept_until_it_has_run,
                     threads_of_a_pool_refresh_while_readers_are_never_held_up,
                     G3_a_refresh_in_the_background_is_overtaken_like_any_load,
                     a_failing_source_is_asked_once_a_backoff_and_what_is_stale_is_served_meanwhile,
                     after_a_failure_what_somebody_else_has_stored_meanwhile_is_given);
}
