/*
 * Warming up: batches one after the other, and several at once with an executor of each kind. SPDX-License-Identifier: MIT
 */
#include "support/crowd.h"

#include <stdio.h>
#include <string.h>

/* ---- One batch after the other ------------------------------------------------------------------------------------------------ */

struct progress {
    struct source source; /* the loader's argument is also progress's */
    size_t calls, last, stop_at;
};

static int note_progress(void *arg, size_t done, size_t n)
{
    struct progress *p = arg;

    ck_assert_uint_eq(n, 26);
    ck_assert_uint_gt(done, p->last);
    p->last = done;
    return ++p->calls == p->stop_at;
}

START_TEST(warming_up_loads_in_batches_tells_how_far_it_is_and_can_be_stopped)
{
    struct rig rig;
    struct batch b;
    struct progress p = { .source = { .text = "v" } };

    rig_up(&rig);
    batch_init(&b, rig.ns, "abcdefghijklmnopqrstuvwxyz", &p.source);
    put(rig.ns, "c", "fresh");
    p.stop_at = 2;
    ck_result(libcache_warm(rig.ns, b.keys, 26, 10, source_load_many, &p, note_progress, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.last, 20);
    ck_assert_uint_eq(p.source.calls, 2);
    ck_assert_uint_eq(p.source.keys, 19);
    ck_value(rig.ns, "c", "fresh");
    ck_value(rig.ns, "t", "v");
    ck_result(look(rig.ns, "u"), LIBCACHE_MISS);
    p.last = p.calls = p.stop_at = 0;
    ck_result(libcache_warm(rig.ns, b.keys, 26, 10, source_load_many, &p, note_progress, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.calls, 3);
    ck_assert_uint_eq(p.last, 26);
    ck_assert_str_eq(p.source.asked, "u v w x y z");
    ck_result(libcache_warm(rig.ns, b.keys, 26, 100, source_load_many, &p, NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_warm(rig.ns, NULL, 0, 10, source_load_many, &p, NULL, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.source.calls, 3);
    ck_result(libcache_warm(rig.ns, b.keys, 26, 0, source_load_many, &p, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_warm(rig.ns, b.keys, 26, 1, NULL, &p, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_warm(NULL, b.keys, 26, 1, source_load_many, &p, NULL, NULL), LIBCACHE_EINVAL);
    source_done(&p.source);
    rig_down(&rig);
}
END_TEST

START_TEST(warming_up_goes_on_after_a_failure_and_gives_the_first)
{
    struct rig rig;
    struct batch b;
    struct source source = { .text = "v", .fails_for = "b" };

    rig_up(&rig);
    batch_init(&b, rig.ns, "abcdef", &source);
    ck_result(libcache_warm(rig.ns, b.keys, 6, 2, source_load_many, &source, NULL, NULL), LIBCACHE_ELOAD);
    ck_value(rig.ns, "f", "v");
    ck_assert_uint_eq(rig_stats(&rig).loads, 5);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

/* ---- Several at once ------------------------------------------------------------------------------------------------------------ */

static struct executor executor;

static void *run_jobs(void *arg)
{
    (void)arg;
    while (run_job(&executor) || !GET(executor.stop))
        nap();
    return NULL;
}

/* A rig whose executor has threads. */
enum { THREADS = 4 };
static pthread_t threads[THREADS];

static void up_with_threads(struct rig *rig)
{
    rig_prepare(rig);
    executor_prepare(&executor, rig);
    rig_open(rig);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_jobs, NULL), 0);
}

static void down_with_threads(struct rig *rig)
{
    SET(executor.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rig_down(rig);
}

START_TEST(so_many_batches_are_loaded_at_once_and_no_more)
{
    for (unsigned concurrency = 0; concurrency <= THREADS; concurrency++) {
        unsigned at_once = concurrency ? concurrency : 1;
        struct rig rig;
        struct crowd c = { .during = crowd_meet, .wanted = at_once };
        up_with_threads(&rig);
        ck_result(crowd_warm(&c, rig.ns, LETTERS, 2, concurrency, crowd_told), LIBCACHE_OK);
        ck_assert_uint_eq(c.most, at_once);
        ck_assert_uint_eq(executor.taken, at_once - 1);
        ck_assert_uint_eq(c.source.calls, 13);
        ck_assert_uint_eq(c.told, 26);
        ck_each_once(&c, rig.ns);
        down_with_threads(&rig);
    }
}
END_TEST

START_TEST(there_are_no_more_jobs_than_batches)
{
    struct rig rig;
    struct crowd c = { .during = crowd_meet, .wanted = 3 };

    up_with_threads(&rig);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 10, (size_t)-1, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(c.most, 3);
    ck_assert_uint_eq(executor.taken, 2);
    ck_each_once(&c, rig.ns);
    down_with_threads(&rig);
}
END_TEST

static int is_asleep(long thread)
{
    char path[64], text[200] = "";
    FILE *file;
    const char *name_ends;

    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
    file = fopen(path, "re");
    if (file) {
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
    }
    name_ends = strrchr(text, ')');
    return name_ends && strncmp(name_ends, ") S", 3) == 0;
}

/* The caller's batch ends first. The others' end when he has been told, has said stop, and waits for them. */
static void outlast_the_caller(struct crowd *c, const libcache_slice *keys)
{
    crowd_meet(c, keys);
    if (!pthread_equal(c->caller, pthread_self()))
        await(c, GET(c->stopping) && is_asleep(c->caller_id));
}

static int say_stop(void *arg, size_t done, size_t n)
{
    struct crowd *c = arg;

    c->stop_at = 1;
    crowd_told(arg, done, n);
    SET(c->stopping, 1);
    return 1;
}

START_TEST(when_progress_says_stop_no_batch_begins_and_those_that_have_are_waited_for)
{
    struct rig rig;
    struct crowd c = { .during = outlast_the_caller, .wanted = 3 };

    up_with_threads(&rig);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 2, 3, say_stop), LIBCACHE_OK);
    ck_assert_uint_eq(c.inside, 0);
    ck_assert_uint_eq(c.source.calls, 3);
    ck_assert_uint_eq(c.tells, 1);
    ck_assert_uint_eq(c.told, 2);
    ck_assert_uint_eq(c.in_vain, 0);
    ck_assert_uint_eq(rig_stats(&rig).loads, 6);
    source_done(&c.source);
    down_with_threads(&rig);
}
END_TEST

/* The first batch fails last: when e is loaded, the batches between have ended. */
static void fail_last(struct crowd *c, const libcache_slice *keys)
{
    if (*(const char *)keys->data == 'a')
        await(c, GET(c->times['e' - 'a']));
}

START_TEST(of_batches_that_fail_the_first_in_order_gives_the_error_and_the_rest_is_loaded)
{
    struct rig rig;
    struct crowd c = { .source = { .fails_for = "a" }, .during = fail_last };

    up_with_threads(&rig);
    ck_result(crowd_warm(&c, rig.ns, "a-cdefg", 1, 2, crowd_told), LIBCACHE_ELOAD);
    ck_assert_uint_eq(c.told, 7);
    ck_assert_uint_eq(c.in_vain, 0);
    ck_value(rig.ns, "g", "v");
    ck_result(crowd_warm(&c, rig.ns, "-", 1, 2, NULL), LIBCACHE_EKEY);
    source_done(&c.source);
    down_with_threads(&rig);
}
END_TEST

/* ---- Executors of other kinds ---------------------------------------------------------------------------------------------------- */

static int refuse(void *arg, void (*job)(void *), void *job_arg)
{
    (void)job, (void)job_arg;
    ADD(*(unsigned *)arg);
    return 1;
}

START_TEST(an_executor_that_refuses_is_asked_once_and_the_caller_loads_it_all)
{
    struct rig rig;
    struct crowd c = { 0 };
    unsigned asked = 0;

    rig_prepare(&rig);
    rig.options.execute = refuse;
    rig.options.execute_arg = &asked;
    rig_open(&rig);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(asked, 1);
    ck_assert_uint_eq(c.most, 1);
    ck_assert_uint_eq(c.tells, 3);
    ck_each_once(&c, rig.ns);
    rig_down(&rig);
}
END_TEST

START_TEST(jobs_that_run_after_the_call_or_after_the_cache_do_nothing)
{
    struct rig rig;
    struct crowd c = { .stop_at = 2 };
    pthread_t thread;

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig_open(&rig);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 5, 4, crowd_told),
              LIBCACHE_OK); /* stopped: there is some left to begin with */
    ck_assert_uint_eq(c.tells, 2);
    ck_assert_uint_eq(executor.n, 3);
    ck_assert(run_job(&executor));
    executor.stop = 1; /* the thread runs what there is */
    ck_assert_int_eq(pthread_create(&thread, NULL, run_jobs, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(executor.n, 0);
    ck_assert_uint_eq(c.source.calls, 2);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 5, 3, NULL), LIBCACHE_OK);
    ck_each_once(&c, rig.ns);
    libcache_close(rig.cache);
    ck_assert_int_eq(rig.memory.live, 1); /* what two jobs share */
    ck_assert(run_job(&executor));
    ck_assert_int_eq(rig.memory.live, 1);
    ck_assert(run_job(&executor));
    ck_assert_int_eq(rig.memory.live, 0);
    ck_assert_uint_eq(c.source.calls, 6);
}
END_TEST

static int run_at_once(void *arg, void (*job)(void *), void *job_arg)
{
    ADD(*(unsigned *)arg);
    job(job_arg);
    return 0;
}

START_TEST(an_executor_that_runs_jobs_at_once_does_not_keep_the_caller_from_his_progress)
{
    struct rig rig;
    struct crowd c = { .stop_at = 2 };
    unsigned jobs = 0;

    rig_prepare(&rig);
    rig.options.execute = run_at_once;
    rig.options.execute_arg = &jobs;
    rig_open(&rig);
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(jobs, 2);
    ck_assert_uint_eq(c.told, 20);
    ck_assert_uint_eq(c.source.calls, 2);
    c.told = 0;
    ck_result(crowd_warm(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(c.tells, 5);
    ck_each_once(&c, rig.ns);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_stale_is_refreshed_before_it_returns)
{
    struct rig rig;
    struct crowd c = { 0 };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig_open(&rig);
    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    ns = space_with(&rig, "soft", &policy);
    put(ns, "a", "old");
    fake_clock_advance(&rig.clock, 10000);
    put(ns, "b", "v");
    ck_result(crowd_warm(&c, ns, "ab", 2, 0, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(executor.taken, 0);
    ck_assert_uint_eq(c.times[0], 1);
    ck_assert_uint_eq(c.times[1], 0);
    ck_value(ns, "a", "v");
    source_done(&c.source);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_warm", warming_up_loads_in_batches_tells_how_far_it_is_and_can_be_stopped,
                     warming_up_goes_on_after_a_failure_and_gives_the_first,
                     so_many_batches_are_loaded_at_once_and_no_more, there_are_no_more_jobs_than_batches,
                     when_progress_says_stop_no_batch_begins_and_those_that_have_are_waited_for,
                     of_batches_that_fail_the_first_in_order_gives_the_error_and_the_rest_is_loaded,
                     an_executor_that_refuses_is_asked_once_and_the_caller_loads_it_all,
                     jobs_that_run_after_the_call_or_after_the_cache_do_nothing,
                     an_executor_that_runs_jobs_at_once_does_not_keep_the_caller_from_his_progress,
                     what_is_stale_is_refreshed_before_it_returns);
}
