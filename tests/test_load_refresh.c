/*
 * libcache_get_or_load: what a loader may say, who refreshes what is stale, and what a failing source costs.
 * SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include "cache.h"
#include "l1/lock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- An executor ------------------------------------------------------------------------------------------------------- */

enum { JOBS_MAX = 8 };

/* Keeps jobs until they are run, by the test or by its threads. */
struct executor {
    pthread_mutex_t lock;
    void (*job[JOBS_MAX])(void *arg);
    void *arg[JOBS_MAX];
    unsigned n, taken, refuses, kept, dropped; /* taken: ever */
    int stop;
    pthread_t thread[2];
};

static int take_job(void *executor, void (*job)(void *), void *arg)
{
    struct executor *x = executor;
    int refused;

    pthread_mutex_lock(&x->lock);
    refused = x->refuses || x->n == JOBS_MAX;
    if (!refused) {
        x->job[x->n] = job;
        x->arg[x->n++] = arg;
        x->taken++;
    }
    pthread_mutex_unlock(&x->lock);
    return refused;
}

/* Runs one job. 0: there is none. */
static int run_job(struct executor *x)
{
    void (*job)(void *) = NULL;
    void *arg = NULL;

    pthread_mutex_lock(&x->lock);
    if (x->n) {
        job = x->job[--x->n];
        arg = x->arg[x->n];
    }
    pthread_mutex_unlock(&x->lock);
    if (job)
        job(arg);
    return job != NULL;
}

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
    memset(&executor, 0, sizeof executor);
    pthread_mutex_init(&executor.lock, NULL);
    rig->options.execute = take_job;
    rig->options.execute_arg = &executor;
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

/* ---- What a loader may say ------------------------------------------------------------------------------------------------ */

START_TEST(a_loader_is_asked_once_and_its_value_given_back_from_then_on)
{
    struct rig rig;
    struct source source = { .text = "value" };
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, 0);
    ck_assert_uint_eq(source.released, 1);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, LIBCACHE_TIER_L1);
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_eq(rig_stats(&rig).loads, 1);
    ck_assert_uint_eq(rig_stats(&rig).misses, 1);
    ck_assert_uint_eq(rig_stats(&rig).hits, 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_set_ttl_tags_flags_and_codec)
{
    struct rig rig;
    libcache_slice tags[2] = { LIBCACHE_STR("a"), LIBCACHE_STR("b") };
    struct source source = { .text = "value", .as = { .ttl_ms = 500, .tags = tags, .n_tags = 2, .user_flags = 77, .codec = 9 } };

    rig_up(&rig);
    for (int again = 0; again < 2; again++) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
        ck_assert_int_eq(value.codec, 9);
        ck_assert_uint_eq(value.flags, 77);
        libcache_release_value(&value);
    }
    ck_assert_uint_eq(source.calls, 1);
    fake_clock_advance(&rig.clock, 500);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "value");
    ck_result(invalidate_tag(rig.cache, "b"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_say_that_there_is_none)
{
    struct rig rig;
    struct source source = { .text = "", .as = { .flags = LIBCACHE_NEG, .codec = 3 } };
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    rig_up(&rig);
    ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_OK);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(value.ttl_left_ms, policy.negative_ttl_ms);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(source.calls, 1);
    ck_result(look(rig.ns, "key"), LIBCACHE_NEGATIVE);
    fake_clock_advance(&rig.clock, policy.negative_ttl_ms);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(source.calls, 2);
    source_done(&source);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_keep_its_value_out_of_the_cache)
{
    struct rig rig;
    struct source source = { .text = "mine", .as = { .flags = LIBCACHE_NOT_STORED } };

    rig_up(&rig);
    for (unsigned i = 1; i < 4; i++) {
        ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "mine");
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        ck_assert_uint_eq(source.calls, i);
    }
    ck_assert_uint_eq(rig_stats(&rig).loads, 3);
    ck_assert_uint_eq(rig_stats(&rig).sets, 0);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loaders_error_is_eload_and_what_it_has_given_is_released)
{
    struct rig rig;
    struct source source = { .text = "half", .error = -99 };

    rig_up(&rig);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_ELOAD, NULL);
    ck_assert_uint_eq(source.released, 1);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_ELOAD, NULL); /* not asked again yet */
    ck_assert_uint_eq(source.calls, 1);
    fake_clock_advance(&rig.clock, 1000);
    source.error = 0;
    source.text = "whole";
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "whole");
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 1);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void *reserve_here(libcache_value *value, size_t size)
{
    unsigned *calls = value->reserve_arg;

    ++*calls;
    return realloc(value->data, size ? size : 1);
}

START_TEST(a_loaded_value_goes_where_the_caller_wants_it)
{
    struct rig rig;
    struct source source = { .text = "quite a long value" };
    char own[20];
    unsigned reserved = 0;
    libcache_value mine = { .data = own, .capacity = sizeof own }, asked = { .reserve = reserve_here, .reserve_arg = &reserved };

    rig_up(&rig);
    ck_result(fetch(rig.ns, "1", &source, &mine), LIBCACHE_HIT);
    ck_assert_ptr_eq(mine.data, own);
    ck_assert_mem_eq(own, "quite a long value", 18);
    ck_result(fetch(rig.ns, "2", &source, &asked), LIBCACHE_HIT);
    ck_assert_uint_eq(reserved, 1);
    ck_assert_uint_eq(asked.size, 18);
    ck_assert_mem_eq(asked.data, "quite a long value", 18);
    free(asked.data);
    mine.capacity = 5;
    ck_result(fetch(rig.ns, "3", &source, &mine), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(mine.size, 18); /* so much is needed */
    mine.capacity = sizeof own;
    ck_result(fetch(rig.ns, "3", &source, &mine), LIBCACHE_HIT); /* it was stored all the same */
    ck_assert_int_eq(mine.tier, LIBCACHE_TIER_L1);
    ck_assert_uint_eq(source.calls, 3);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_that_gives_no_bytes_for_a_size_is_wrong)
{
    struct rig rig;
    struct source source = { .as = { 0 } };
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    ck_result(fetch(rig.ns, "empty", &source, &value), LIBCACHE_HIT); /* no bytes for no size are a value */
    ck_assert_uint_eq(value.size, 0);
    options.flags = LIBCACHE_NO_BLOCK;
    ck_result(libcache_get_or_load(rig.ns, "key", 3, &value, source_load, &source, &options), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "key", 3, &value, NULL, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(NULL, "key", 3, &value, source_load, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "key", 3, NULL, source_load, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "", 0, &value, source_load, &source, NULL), LIBCACHE_EKEY);
    ck_assert_uint_eq(source.calls, 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

static void look_and_invalidate(struct source *source, const libcache_slice *key)
{
    struct rig *rig = source->arg;

    ck_assert_int_eq((int)key->size, 3);
    libcache_delete(rig->ns, key->data, key->size, 0);
}

START_TEST(G3_the_caller_has_his_value_and_the_next_one_is_not_given_it)
{
    struct rig rig;
    struct source source = { .text = "old", .during = look_and_invalidate, .arg = &rig };

    rig_up(&rig);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "old");
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    source.text = "new";
    source.during = NULL;
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "new");
    ck_value(rig.ns, "key", "new");
    ck_assert_uint_eq(rig_stats(&rig).fenced, 1);
    rig_down(&rig);
}
END_TEST

static void load_inner(struct source *source, const libcache_slice *key)
{
    struct source inner = { .text = "inner" };
    struct rig *rig = source->arg;

    (void)key;
    for (uint32_t i = 0; i < rig->cache->l1.stripes; i++) /* no lock is held: any call may be made */
        ck_assert_int_eq(pthread_mutex_trylock(&rig->cache->l1.shards[i].s->lock), 0);
    for (uint32_t i = 0; i < rig->cache->l1.stripes; i++)
        pthread_mutex_unlock(&rig->cache->l1.shards[i].s->lock);
    ck_fetch(rig->ns, "inner", &inner, LIBCACHE_HIT, "inner");
    source_done(&inner);
}

START_TEST(a_loader_may_load_another_key)
{
    struct rig rig;
    struct source source = { .text = "outer", .during = load_inner, .arg = &rig };

    rig_up(&rig);
    ck_fetch(rig.ns, "outer", &source, LIBCACHE_HIT, "outer");
    ck_value(rig.ns, "inner", "inner");
    rig_down(&rig);
}
END_TEST

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
    ck_assert(result == LIBCACHE_HIT || result == LIBCACHE_STALE);
    ck_assert_uint_eq(value.size, strlen("somebody else's"));
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_refresh", a_loader_is_asked_once_and_its_value_given_back_from_then_on,
                     a_loader_may_set_ttl_tags_flags_and_codec, a_loader_may_say_that_there_is_none,
                     a_loader_may_keep_its_value_out_of_the_cache, a_loaders_error_is_eload_and_what_it_has_given_is_released,
                     a_loaded_value_goes_where_the_caller_wants_it, a_loader_that_gives_no_bytes_for_a_size_is_wrong,
                     G3_the_caller_has_his_value_and_the_next_one_is_not_given_it, a_loader_may_load_another_key,
                     a_stale_value_is_given_at_once_and_refreshed_once_by_the_executor,
                     an_executor_that_refuses_leaves_the_refresh_to_the_caller, what_a_refresh_needs_is_kept_until_it_has_run,
                     threads_of_a_pool_refresh_while_readers_are_never_held_up,
                     G3_a_refresh_in_the_background_is_overtaken_like_any_load,
                     a_failing_source_is_asked_once_a_backoff_and_what_is_stale_is_served_meanwhile,
                     after_a_failure_what_somebody_else_has_stored_meanwhile_is_given);
}
