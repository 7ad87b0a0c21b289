/* Load calls with the n-th allocation failing, for every n. SPDX-License-Identifier: MIT */
#include "support/loads.h"

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

static struct source memory_source;

static int do_fetch(libcache_ns *ns)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = fetch(ns, "a", &memory_source, &value);

    libcache_release_value(&value);
    return result;
}

static int do_begin(libcache_ns *ns)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;
    int result = libcache_load_begin(&load, ns, "a", 1, &value, NULL);

    if (load)
        ck_result(commit(load, "v"), LIBCACHE_OK); /* that takes none */
    libcache_release_value(&value);
    return result == LIBCACHE_LEAD ? LIBCACHE_HIT : result;
}

static int do_fetch_many(libcache_ns *ns)
{
    struct batch b;

    batch_init(&b, ns, "abcab", &memory_source);
    memset(b.results, 0x55, sizeof b.results);
    fetch_batch(&b);
    for (size_t i = 0; i < b.n; i++) {
        ck_assert_msg(b.results[i] == LIBCACHE_HIT || b.results[i] == LIBCACHE_STALE || b.results[i] == LIBCACHE_ENOMEM,
                      "key %c: %s", b.letters[i], result_name(b.results[i]));
        ck_assert(b.result == LIBCACHE_ENOMEM || b.results[i] != LIBCACHE_ENOMEM);
    }
    batch_free(&b);
    return b.result == LIBCACHE_OK ? LIBCACHE_HIT : b.result;
}

static int do_warm(libcache_ns *ns)
{
    struct batch b;
    int result;

    batch_init(&b, ns, "abcab", &memory_source);
    result = libcache_warm(ns, b.keys, b.n, 2, source_load_many, &memory_source, NULL, NULL);
    return result == LIBCACHE_OK ? LIBCACHE_HIT : result;
}

/* ---- An executor that runs jobs of do_warm_beside only, in a thread, and waits for it ------------------------------------- */

static int runs_jobs;

struct thread_job {
    void (*run)(void *);
    void *arg;
};

static void *run_in_thread(void *arg)
{
    const struct thread_job *job = arg;

    job->run(job->arg);
    return NULL;
}

static int execute(void *arg, void (*job)(void *), void *job_arg)
{
    struct thread_job in_thread = { job, job_arg };
    pthread_t thread;

    (void)arg;
    if (!runs_jobs)
        return 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_in_thread, &in_thread), 0);
    pthread_join(thread, NULL);
    return 0;
}

/* The job does it all, unless it has no memory. */
static int do_warm_beside(libcache_ns *ns)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct batch b;
    int result;

    batch_init(&b, ns, "abcab", &memory_source);
    options.concurrency = 2;
    runs_jobs = 1;
    result = libcache_warm(ns, b.keys, b.n, 2, source_load_many, &memory_source, NULL, &options);
    runs_jobs = 0;
    return result == LIBCACHE_OK ? LIBCACHE_HIT : result;
}

START_TEST(a_load_without_memory_fails_cleanly)
{
    static int (*const calls[])(libcache_ns *) = { do_fetch, do_begin, do_fetch_many, do_warm, do_warm_beside };

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int stale = 0; stale < 2; stale++)
            for (unsigned nth = 1;; nth++) {
                struct rig rig;
                libcache_ns *ns;
                int64_t live;
                int result, failed;
                rig_prepare(&rig);
                rig.options.execute = execute;
                rig_open(&rig);
                ns = soft_space(&rig);
                memory_source = (struct source){ .text = "v" };
                if (stale) {
                    ck_fetch_many(ns, "abc", &memory_source, LIBCACHE_OK, "hhh", "v");
                    fake_clock_advance(&rig.clock, 10000);
                }
                live = rig.memory.live;
                rig.memory.fail_at = nth;
                result = calls[i](ns);
                failed = rig.memory.fail_at == 0;
                rig.memory.fail_at = 0;
                ck_assert_msg(result == LIBCACHE_HIT || result == LIBCACHE_STALE || (failed && result == LIBCACHE_ENOMEM),
                              "call %zu, stale %d, allocation %u: %s", i, stale, nth, result_name(result));
                ck_assert_msg(rig.memory.live == live, "call %zu, stale %d, allocation %u: a leak", i, stale, nth);
                ck_fetch(ns, "a", &memory_source, LIBCACHE_HIT, "v"); /* and nobody waits for whoever failed */
                ck_fetch(ns, "b", &memory_source, LIBCACHE_HIT, "v");
                source_done(&memory_source);
                rig_down(&rig);
                if (!failed)
                    break;
                ck_assert_uint_lt(nth, 100);
            }
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_memory", a_load_without_memory_fails_cleanly);
}
