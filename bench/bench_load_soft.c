/*
 * Readers of values past their soft TTL while an executor's threads refresh them, 50 ms each. Beside it, readers of values that are
 * never stale: what they see at worst is what the machine does to anybody. SPDX-License-Identifier: MIT
 */
#include "bench_load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 16, SOFT_MS = 200, LOAD_MS = 50, POOL = 8, JOBS_MAX = 64, PAUSE_NS = 10000, SAMPLES_MAX = 1 << 20 };

/* ---- An executor -------------------------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*job[JOBS_MAX])(void *);
    void *arg[JOBS_MAX];
    unsigned n;
    int stop;
    unsigned loads; /* atomic */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int take_job(void *arg, void (*job)(void *), void *job_arg)
{
    int taken;

    (void)arg;
    pthread_mutex_lock(&pool.lock);
    taken = pool.n < JOBS_MAX;
    if (taken) {
        pool.job[pool.n] = job;
        pool.arg[pool.n++] = job_arg;
        pthread_cond_signal(&pool.changed);
    }
    pthread_mutex_unlock(&pool.lock);
    return !taken;
}

static void *run_jobs(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pool.lock);
    while (pool.n || !pool.stop) {
        if (pool.n) {
            void (*job)(void *) = pool.job[--pool.n];
            void *job_arg = pool.arg[pool.n];
            pthread_mutex_unlock(&pool.lock);
            job(job_arg);
            pthread_mutex_lock(&pool.lock);
        } else {
            pthread_cond_wait(&pool.changed, &pool.lock);
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static int load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg, (void)key;
    nanosleep(&(struct timespec){ .tv_nsec = LOAD_MS * 1000000L }, NULL);
    __atomic_add_fetch(&pool.loads, 1, __ATOMIC_RELAXED);
    out->data = "a value that was loaded";
    out->size = 23;
    return LIBCACHE_OK;
}

/* ---- Readers -------------------------------------------------------------------------------------------------------------- */

static void wait_until_ns(uint64_t when)
{
    while (harness_now_ns() < when)
        ;
}

static void read_for(libcache_ns *ns, unsigned ms, const char *variant, int judged)
{
    double *took = harness_allocate(SAMPLES_MAX * sizeof *took);
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t begun = harness_now_ns(), next = begun, random = 7;
    size_t n = 0, stale = 0;
    unsigned loads = __atomic_load_n(&pool.loads, __ATOMIC_RELAXED);

    for (; n < SAMPLES_MAX && harness_now_ns() - begun < ms * UINT64_C(1000000); n++) {
        char key[2] = { 'k', (char)('a' + harness_random(&random) % KEYS) };
        uint64_t at;
        int result;
        wait_until_ns(next);
        at = harness_now_ns();
        result = libcache_get_or_load(ns, key, sizeof key, &value, load, NULL, NULL);
        took[n] = (double)(harness_now_ns() - at) / 1000;
        stale += result == LIBCACHE_STALE;
        if (result != LIBCACHE_HIT && result != LIBCACHE_STALE)
            harness_die("a reader got %d", result);
        next = at + PAUSE_NS;
    }
    LOAD_REPORT("soft", variant, { "p50_us", load_percentile(took, n, 0.5) }, { "p99_us", load_percentile(took, n, 0.99) },
                { "p99.9_us", load_percentile(took, n, 0.999) }, { "max_us", took[n - 1] }, { "reads", (double)n },
                { "stale", (double)stale }, { "loads", (double)(__atomic_load_n(&pool.loads, __ATOMIC_RELAXED) - loads) });
    if (judged)
        load_target("hits past their soft TTL while loads take 50 ms, p99.9", load_percentile(took, n, 0.999), 50, "us");
    libcache_release_value(&value);
    free(took);
}

void load_bench_soft(const load_options *options)
{
    libcache_options o = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    pthread_t threads[POOL];
    libcache_ns *soft, *plain;
    libcache *cache;

    o.execute = take_job;
    load_expect(libcache_open(&cache, &o, NULL), LIBCACHE_OK, "libcache_open");
    policy.ttl_ms = 3600000;
    load_expect(libcache_open_namespace(&plain, cache, "plain", &policy, NULL), LIBCACHE_OK, "libcache_open_namespace");
    policy.soft_ttl_ms = SOFT_MS;
    load_expect(libcache_open_namespace(&soft, cache, "soft", &policy, NULL), LIBCACHE_OK, "libcache_open_namespace");
    for (int i = 0; i < KEYS; i++) {
        char key[2] = { 'k', (char)('a' + i) };
        load_expect(libcache_set(soft, key, sizeof key, "first", 5, NULL), LIBCACHE_OK, "libcache_set");
        load_expect(libcache_set(plain, key, sizeof key, "first", 5, NULL), LIBCACHE_OK, "libcache_set");
    }
    pool.stop = 0;
    for (int i = 0; i < POOL; i++)
        if (pthread_create(&threads[i], NULL, run_jobs, NULL) != 0)
            harness_die("no thread");
    read_for(plain, options->soft_ms, "never stale", 0);
    read_for(soft, options->soft_ms, "refreshed in the background", 1);
    pthread_mutex_lock(&pool.lock);
    pool.stop = 1;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < POOL; i++)
        pthread_join(threads[i], NULL);
    libcache_close(cache);
}
