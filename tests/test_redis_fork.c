/*
 * Threads that share a pool, and processes that are forked while it is in use: every answer is its asker's own.
 * SPDX-License-Identifier: MIT
 */
#include "support/fake_redis.h"
#include "support/hosts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2
#define TRY(condition)       \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

static struct hosts hosts;

/* ---- One user of a cache: a thread or a process. 0, or the line that fails. ------------------------------------------ */

static int gets(libcache_ns *ns, const char *key, const char *wanted, unsigned flags)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, flags);
    int good = result == LIBCACHE_HIT && value.size == strlen(wanted) && memcmp(value.data, wanted, value.size) == 0;

    libcache_release_value(&value);
    return good;
}

/* Does all there is to do, with keys of his own. */
static int work(struct rig *rig, const char *who, int rounds)
{
    libcache_ns *ns = rig->ns;
    char key[40], other[40], text[60];
    libcache_slice both[2] = { { key, 0 }, { other, 0 } }, tag = slice_of(who);
    libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    size_t n;
    int results[2];

    options.tags = &tag;
    options.n_tags = 1;
    for (int i = 0; i < rounds; i++) {
        libcache_stamp stamp;
        both[0].size = (size_t)snprintf(key, sizeof key, "%s-%d", who, i);
        both[1].size = (size_t)snprintf(other, sizeof other, "%s-other-%d", who, i);
        n = (size_t)snprintf(text, sizeof text, "value of %s", key);
        TRY(libcache_set(ns, key, both[0].size, text, n, &options) == LIBCACHE_OK);
        TRY(gets(ns, key, text, 0));
        TRY(gets(ns, key, text, LIBCACHE_SKIP_L1));
        libcache_take_stamp(ns, other, both[1].size, &stamp);
        options.stamp = &stamp;
        TRY(libcache_set(ns, other, both[1].size, other, both[1].size, &options) >= 0); /* or FENCED: its slot is shared */
        options.stamp = NULL;
        TRY(libcache_get_many(ns, both, 2, values, results, &n, LIBCACHE_SKIP_L1) == LIBCACHE_OK);
        TRY(results[0] == LIBCACHE_HIT && values[0].size == strlen(text) && memcmp(values[0].data, text, values[0].size) == 0);
        TRY(results[1] == LIBCACHE_MISS || memcmp(values[1].data, other, values[1].size) == 0);
        TRY(libcache_increment(ns, "all", 3, 1, NULL, NULL) == LIBCACHE_OK);
        TRY(libcache_delete(ns, key, both[0].size, 0) == LIBCACHE_OK);
        TRY(libcache_exists(ns, key, both[0].size, 0) == LIBCACHE_MISS);
        TRY(libcache_invalidate_tags(rig->cache, &tag, 1, 0) == LIBCACHE_OK);
        TRY(libcache_exists(ns, other, both[1].size, LIBCACHE_SKIP_L2) == LIBCACHE_MISS);
        if (i % 8 == 0)
            TRY(libcache_poll(rig->cache, 0) == LIBCACHE_OK);
    }
    libcache_release_value(&values[0]);
    libcache_release_value(&values[1]);
    return 0;
}

/* ---- Threads -------------------------------------------------------------------------------------------------------------- */

#define THREADS 12

struct worker {
    pthread_t thread;
    struct rig *rig;
    char who[20];
    int rounds, failed;
    const int *stop; /* NULL: rounds */
    unsigned long done;
};

static void *be_a_worker(void *arg)
{
    struct worker *w = arg;
    int failed;

    do {
        failed = work(w->rig, w->who, w->rounds);
        __atomic_store_n(&w->failed, failed, __ATOMIC_RELAXED);
        __atomic_fetch_add(&w->done, 1, __ATOMIC_RELAXED);
    } while (w->stop && !__atomic_load_n(w->stop, __ATOMIC_ACQUIRE) && !failed);
    return NULL;
}

static void start(struct worker *w, struct rig *rig, int nth, int rounds, const int *stop)
{
    *w = (struct worker){ .rig = rig, .rounds = rounds, .stop = stop };
    snprintf(w->who, sizeof w->who, "thread-%d", nth);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, be_a_worker, w), 0);
}

static void finish(struct worker *w)
{
    pthread_join(w->thread, NULL);
    ck_assert_msg(w->failed == 0, "%s fails in line %d", w->who, w->failed);
}

START_TEST(more_threads_than_connections_all_get_their_own_answers)
{
    struct worker workers[THREADS];
    char wanted[20];
    libcache_stats stats;
    int rounds = (int)scaled(60);

    hosts_prepare(&hosts, NULL);
    hosts.a.options.pool_max = 2;
    hosts.a.options.pool_overflow = 1;
    hosts_open(&hosts);
    for (int i = 0; i < THREADS; i++)
        start(&workers[i], i % 3 ? &hosts.a : &hosts.b, i, rounds, NULL);
    for (int i = 0; i < THREADS; i++)
        finish(&workers[i]);
    snprintf(wanted, sizeof wanted, "%d", THREADS * rounds);
    ck_from(hosts.a.ns, "all", wanted, L2);
    stats = rig_stats(&hosts.a);
    ck_assert_uint_le(stats.l2_connections, 2);
    ck_assert_uint_eq(stats.l2_errors, 0);
    ck_assert_uint_eq(stats.l2_foreign, 0);
    hosts_down(&hosts);
}
END_TEST

struct setter {
    pthread_t thread;
    int result; /* EINVAL: not yet */
};

static void *set_once(void *arg)
{
    struct setter *s = arg;

    __atomic_store_n(&s->result, put(hosts.a.ns, "key", "value"), __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(who_gets_no_connection_in_time_is_told_and_the_other_is_served)
{
    struct setter setters[2] = { { .result = LIBCACHE_EINVAL }, { .result = LIBCACHE_EINVAL } };
    int refused = 0;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.pool_max = 1;
    hosts.a.options.pool_wait_ms = 1;
    hosts_open(&hosts);
    redis_server_pause(&hosts.redis);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&setters[i].thread, NULL, set_once, &setters[i]), 0);
    ck_wait_until(__atomic_load_n(&setters[0].result, __ATOMIC_ACQUIRE) != LIBCACHE_EINVAL ||
                  __atomic_load_n(&setters[1].result, __ATOMIC_ACQUIRE) != LIBCACHE_EINVAL);
    redis_server_resume(&hosts.redis);
    for (int i = 0; i < 2; i++)
        pthread_join(setters[i].thread, NULL);
    refused = setters[1].result != LIBCACHE_OK;
    ck_result(setters[refused].result, LIBCACHE_EUNAVAILABLE);
    ck_result(setters[!refused].result, LIBCACHE_OK);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_connects, 1);
    ck_poll(&hosts.a);
    ck_result(put(hosts.a.ns, "key", "again"), LIBCACHE_OK);
    hosts_down(&hosts);
}
END_TEST

/* ---- Processes --------------------------------------------------------------------------------------------------------------- */

#define CHILDREN 4

static int be_a_child(struct rig *rig, int nth)
{
    char who[20];
    int failed;

    snprintf(who, sizeof who, "child-%d", nth);
    failed = work(rig, who, (int)scaled(25));
    if (!failed && libcache_set(rig->ns, who, strlen(who), "mine", 4, NULL) != LIBCACHE_OK)
        failed = __LINE__;
    if (nth % 2)
        libcache_close(rig->cache);
    return failed;
}

static void ck_children_end_well(const pid_t *children)
{
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;
        must(children[i] > 0 && waitpid(children[i], &status, 0) == children[i], "there is no child");
        must(WIFEXITED(status), "child %d ends with status %#x", i, (unsigned)status);
        must(WEXITSTATUS(status) == 0, "child %d fails in line %d", i, WEXITSTATUS(status));
    }
}

/*
 * Threads that work while the process is forked. Not under AddressSanitizer: a child would wait for ever for the lock of
 * its allocator (gcc 12), if another thread held that. There the process itself has used the cache just before.
 * ThreadSanitizer lets no child of a process with threads start one.
 */
#if defined(__SANITIZE_ADDRESS__)
#define WORKERS 0
#else
#define WORKERS 2
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_THREAD LIBCACHE_LISTEN_ON_CALLS
#else
#define WITH_THREAD LIBCACHE_LISTEN_IN_THREAD
#endif

static void wait_until_in_the_middle_of_work(struct worker *w)
{
    unsigned long before = __atomic_load_n(&w->done, __ATOMIC_RELAXED);

    while (!__atomic_load_n(&w->failed, __ATOMIC_RELAXED) && __atomic_load_n(&w->done, __ATOMIC_RELAXED) == before)
        breathe();
}

static void fork_with(int kind, int listener)
{
    struct worker workers[2];
    pid_t children[CHILDREN];
    int stop = 0, here = 0;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.segment = kind;
    hosts.a.options.name = kind == LIBCACHE_NAMED ? segment_name("fork") : NULL;
    hosts.a.options.listener = listener;
    hosts.a.options.lock_wait_ms = 20000; /* a machine that is busy may stop who has one for seconds */
    hosts.a.options.allocator = NULL; /* the counting one takes a lock of Check's: no good in a child */
    hosts_open(&hosts);
    for (int i = 0; i < WORKERS; i++)
        start(&workers[i], &hosts.a, i, 1, &stop);
    for (int i = 0; i < CHILDREN; i++) {
        if (WORKERS > 0)
            wait_until_in_the_middle_of_work(&workers[0]);
        else
            must(work(&hosts.a, "parent", 1) == 0, "the parent fails before");
        fflush(stdout);
        children[i] = fork();
        if (children[i] == 0) {
            int failed = be_a_child(&hosts.a, i);
            if (failed)
                fprintf(stderr, "child %d fails in line %d\n", i, failed);
            _exit(failed % 256);
        }
    }
    ck_children_end_well(children);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++)
        finish(&workers[i]);
    must(work(&hosts.a, "parent", 5) == 0, "the parent fails afterwards");
    ck_poll(&hosts.a);
    ck_poll(&hosts.b);
    for (int i = 0; i < CHILDREN; i++) {
        char who[20];
        snprintf(who, sizeof who, "child-%d", i);
        here += in_l1(hosts.a.ns, who);
        must(gets(hosts.a.ns, who, "mine", 0), "%s is not what it has set", who);
        ck_from(hosts.b.ns, who, "mine", L2);
    }
    if (kind == LIBCACHE_PRIVATE)
        must(here == 0, "a private segment has %d values of children", here);
    else /* not all for sure: a child's value stays out of L1 when a later change in its key slot was applied before it */
        must(here > 0, "a shared segment has no value of any child");
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_foreign, 0);
    ck_assert_uint_eq(rig_stats(&hosts.a).epochs, 1); /* nobody has found a gap */
    hosts_down(&hosts);
    if (kind == LIBCACHE_NAMED)
        libcache_remove_segment(segment_name("fork"), NULL);
}

START_TEST(a_private_cache_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_PRIVATE, LIBCACHE_LISTEN_ON_CALLS);
}
END_TEST

START_TEST(a_shared_cache_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_SHARED, LIBCACHE_LISTEN_ON_CALLS);
}
END_TEST

START_TEST(a_named_cache_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_NAMED, LIBCACHE_LISTEN_ON_CALLS);
}
END_TEST

START_TEST(a_private_cache_that_listens_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_PRIVATE, WITH_THREAD);
}
END_TEST

START_TEST(a_shared_cache_that_listens_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_SHARED, WITH_THREAD);
}
END_TEST

START_TEST(a_named_cache_that_listens_is_forked_in_the_middle_of_its_use)
{
    fork_with(LIBCACHE_NAMED, WITH_THREAD);
}
END_TEST

START_TEST(a_child_uses_connections_of_its_own)
{
    pid_t child;
    int status = 0;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        libcache_stats stats = LIBCACHE_STATS_INIT;
        int good = gets(hosts.a.ns, "key", "value", 0) && gets(hosts.a.ns, "key", "value", LIBCACHE_SKIP_L1) &&
                   libcache_read_stats(hosts.a.cache, &stats) == LIBCACHE_OK && stats.l2_connections == 1;
        libcache_close(hosts.a.cache);
        libcache_close(hosts.b.cache); /* which it has not used */
        _exit(!good);
    }
    ck_assert_int_eq((int)waitpid(child, &status, 0), (int)child);
    ck_assert_int_eq(status, 0);
    ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    ck_poll(&hosts.b);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_connects, 1);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_connects, 1);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_retries, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_child_that_closes_what_it_was_given_has_no_descriptor_of_it_left)
{
    static const int segments[] = { LIBCACHE_PRIVATE, LIBCACHE_SHARED, LIBCACHE_NAMED };

    for (int kind = 0; kind < 3; kind++)
        for (int uses = 0; uses < 2; uses++) {
            unsigned none;
            pid_t child;
            int status = 0;
            hosts_prepare(&hosts, NULL);
            hosts.a.options.segment = segments[kind];
            hosts.a.options.name = segments[kind] == LIBCACHE_NAMED ? segment_name("fork") : NULL;
            hosts.a.options.listener = WITH_THREAD;
            hosts.a.options.allocator = hosts.b.options.allocator = NULL;
            none = open_files();
            hosts_open(&hosts);
            must(work(&hosts.a, "parent", 1) == 0, "the parent fails before");
            must(open_files() > none, "a cache has no descriptor");
            fflush(stdout);
            child = fork();
            if (child == 0) {
                int failed = uses ? work(&hosts.a, "child", 1) : 0;
                libcache_close(hosts.a.cache);
                libcache_close(hosts.b.cache);
                if (!failed && open_files() != none)
                    failed = __LINE__;
                _exit(failed % 256);
            }
            ck_assert_int_eq((int)waitpid(child, &status, 0), (int)child);
            must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "kind %d, %d uses: the child ends with %#x", kind, uses, (unsigned)status);
            must(work(&hosts.a, "parent", 1) == 0, "the parent fails afterwards");
            hosts_down(&hosts);
            if (segments[kind] == LIBCACHE_NAMED)
                libcache_remove_segment(segment_name("fork"), NULL);
        }
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_fork", more_threads_than_connections_all_get_their_own_answers,
                     who_gets_no_connection_in_time_is_told_and_the_other_is_served, a_child_uses_connections_of_its_own,
                     a_child_that_closes_what_it_was_given_has_no_descriptor_of_it_left,
                     a_private_cache_is_forked_in_the_middle_of_its_use, a_shared_cache_is_forked_in_the_middle_of_its_use,
                     a_named_cache_is_forked_in_the_middle_of_its_use,
                     a_private_cache_that_listens_is_forked_in_the_middle_of_its_use,
                     a_shared_cache_that_listens_is_forked_in_the_middle_of_its_use,
                     a_named_cache_that_listens_is_forked_in_the_middle_of_its_use);
}
