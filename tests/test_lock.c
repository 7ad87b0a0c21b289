/* Locks and rates for applications: in a segment, and with Redis as the arbiter. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcache.h"
#include "support/redis_server.h"
#include "support/support.h"

#define LOCK "deploy", 6
#define LONG_MS 60000
#define WAKE_MS 30

static struct redis_server redis;
static libcache_owner nobody;

static libcache *open_segment(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache *cache = NULL;

    options.segment = LIBCACHE_SHARED;
    options.memory_bytes = 4 << 20;
    ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
    return cache;
}

/* A host of its own on the Redis that `redis_up` has started. */
static libcache *open_host(int listener)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error = { 0 };
    libcache *cache = NULL;

    options.memory_bytes = 4 << 20;
    options.redis_url = redis.url;
    options.redis_timeout_ms = 5000;
    options.listener = listener;
    ck_assert_msg(libcache_open(&cache, &options, &error) == LIBCACHE_OK, "%s", error.text);
    return cache;
}

/* What holds wherever the arbiter is. */
static void check_rules(libcache *cache, libcache *other)
{
    libcache_owner a = nobody, b = nobody, seen = nobody;
    uint64_t left_ms = 0;

    ck_result(libcache_lock_owner(cache, LOCK, &seen, NULL), LIBCACHE_MISS);
    ck_result(libcache_lock_take(cache, LOCK, &a, LONG_MS, 0), LIBCACHE_OK);
    ck_assert_uint_eq(strlen(a.text), 32);
    ck_result(libcache_lock_take(other, LOCK, &b, LONG_MS, 0), LIBCACHE_EXISTS);
    ck_assert_msg(!b.text[0], "an owner is filled in though the lock was not to be had");
    ck_result(libcache_lock_take(other, "other", 5, &b, LONG_MS, 0), LIBCACHE_OK);
    ck_result(libcache_lock_take(other, LOCK, &a, LONG_MS, 0), LIBCACHE_OK); /* restored by its owner */
    ck_result(libcache_lock_owner(other, LOCK, &seen, &left_ms), LIBCACHE_OK);
    ck_assert_str_eq(seen.text, a.text);
    ck_assert(left_ms > LONG_MS / 2 && left_ms <= LONG_MS);
    ck_result(libcache_lock_free(other, LOCK, &b), LIBCACHE_ELOST);
    ck_result(libcache_lock_keep(other, LOCK, &b, LONG_MS), LIBCACHE_ELOST);
    ck_result(libcache_lock_keep(other, LOCK, &a, 2 * LONG_MS), LIBCACHE_OK);
    ck_result(libcache_lock_owner(cache, LOCK, &seen, &left_ms), LIBCACHE_OK);
    ck_assert(left_ms > LONG_MS);
    ck_result(libcache_lock_free(cache, LOCK, &a), LIBCACHE_OK);
    ck_result(libcache_lock_free(cache, LOCK, &a), LIBCACHE_ELOST);
    ck_result(libcache_lock_break(cache, LOCK), LIBCACHE_MISS);
    ck_result(libcache_lock_take(cache, LOCK, &a, LONG_MS, 0), LIBCACHE_OK);
    ck_result(libcache_lock_break(other, LOCK), LIBCACHE_OK);
    ck_result(libcache_lock_free(cache, LOCK, &a), LIBCACHE_ELOST);
    ck_result(libcache_lock_free(other, "other", 5, &b), LIBCACHE_OK);
}

struct waiter {
    libcache *cache;
    libcache_owner owner;
    int result, waiting;
    uint64_t begun_ms, got_ms;
};

static void *wait_for_lock(void *arg)
{
    struct waiter *w = arg;
    w->begun_ms = real_ms();
    __atomic_store_n(&w->waiting, 1, __ATOMIC_RELEASE);
    w->result = libcache_lock_take(w->cache, LOCK, &w->owner, LONG_MS, 20000);
    w->got_ms = real_ms();
    return NULL;
}

/*
 * Frees a lock while another waits for it; it must get it by being told. Who is not told looks every 100 ms: he would have it some 80 ms
 * after it was freed. A busy machine may take the processor away, so the best of some attempts counts.
 */
static void check_waking(libcache *cache, libcache *other)
{
    uint64_t best_ms = UINT64_MAX;

    for (int attempt = 0; attempt < 20 && best_ms > WAKE_MS; attempt++) {
        struct waiter w = { .cache = other };
        libcache_owner a = nobody;
        uint64_t freed_ms;
        pthread_t thread;
        ck_result(libcache_lock_take(cache, LOCK, &a, LONG_MS, 0), LIBCACHE_OK);
        ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_lock, &w), 0);
        while (!__atomic_load_n(&w.waiting, __ATOMIC_ACQUIRE))
            sched_yield();
        usleep(20000); /* he is about to sleep: where he is does not matter but for what the attempt proves */
        freed_ms = real_ms();
        ck_result(libcache_lock_free(cache, LOCK, &a), LIBCACHE_OK);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_result(w.result, LIBCACHE_OK);
        if (w.begun_ms + 10 <= freed_ms && freed_ms <= w.begun_ms + 40 && w.got_ms - freed_ms < best_ms)
            best_ms = w.got_ms - freed_ms;
        ck_result(libcache_lock_free(other, LOCK, &w.owner), LIBCACHE_OK);
    }
    ck_assert_msg(best_ms <= WAKE_MS, "woken after %lu ms at best", (unsigned long)best_ms);
}

static void wait_readable(int fd)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };

    ck_assert_msg(poll(&polled, 1, 20000) == 1, "nobody has woken the event loop");
}

static uint64_t exchanges(libcache *cache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    ck_result(libcache_read_stats(cache, &stats), LIBCACHE_OK);
    return stats.l2_exchanges;
}

static int try_lock(libcache *cache, libcache_owner *owner, libcache_lock_wait *wait)
{
    return libcache_lock_try(cache, LOCK, owner, LONG_MS, wait);
}

/* An event loop that waits for a lock: told when it may be had, each time, and asks nobody in between. */
static void check_telling(libcache *cache, libcache *other)
{
    libcache_lock_wait wait = { 0 };
    libcache_owner a = nobody, b = nobody;
    int fd = libcache_load_fd(other);
    uint64_t asked;
    int looks;

    ck_assert_int_ge(fd, 0);
    for (int round = 0; round < 3; round++) {
        ck_result(libcache_lock_take(cache, LOCK, &a, LONG_MS, 0), LIBCACHE_OK);
        libcache_load_drain(other);
        looks = 0;
        do { /* earlier news may arrive, and on a slow machine a look of its own may be due */
            ck_assert_int_lt(looks++, 100);
            ck_result(try_lock(other, &b, &wait), LIBCACHE_WAIT);
            asked = exchanges(other);
            ck_result(try_lock(other, &b, &wait), LIBCACHE_WAIT);
        } while (exchanges(other) != asked);
        ck_assert_msg(!b.text[0], "an owner is filled in though the lock was not to be had");
        ck_result(libcache_lock_take(cache, LOCK, &a, LONG_MS, 0), LIBCACHE_OK); /* again, by its owner: a segment tells that */
        libcache_load_drain(other);
        ck_result(try_lock(other, &b, &wait), LIBCACHE_WAIT);
        ck_result(round == 1 ? libcache_lock_break(cache, LOCK) : libcache_lock_free(cache, LOCK, &a), LIBCACHE_OK);
        a = nobody;
        wait_readable(fd);
        libcache_load_drain(other);
        while (try_lock(other, &b, &wait) == LIBCACHE_WAIT) /* what woke it was about something earlier */
            wait_readable(fd);
        ck_assert_uint_eq(strlen(b.text), 32);
        ck_result(libcache_lock_free(other, LOCK, &b), LIBCACHE_OK);
        b = nobody;
        memset(&wait, 0, sizeof wait);
    }
}

START_TEST(a_lock_that_ends_by_itself_is_looked_at_then)
{
    struct rig rig;
    libcache_lock_wait wait = { 0 };
    libcache_owner a = nobody, b = nobody;
    uint64_t begun = real_ms();

    rig_up(&rig);
    ck_result(libcache_lock_take(rig.cache, LOCK, &a, 50, 0), LIBCACHE_OK);
    rig.random = 1; /* another owner */
    ck_result(try_lock(rig.cache, &b, &wait), LIBCACHE_WAIT);
    ck_assert_uint_gt(wait.look_ns / 1000000, begun + 50); /* after its end, and soon */
    ck_assert_uint_lt(wait.look_ns / 1000000, real_ms() + 60);
    fake_clock_advance(&rig.clock, 50);
    memset(&wait, 0, sizeof wait); /* as if look_ns had come */
    ck_result(try_lock(rig.cache, &b, &wait), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

START_TEST(a_segment_arbitrates_where_there_is_no_redis)
{
    libcache *cache = open_segment();

    check_rules(cache, cache);
    check_waking(cache, cache);
    check_telling(cache, cache);
    libcache_close(cache);
}
END_TEST

START_TEST(redis_arbitrates_between_hosts)
{
    libcache *a, *b, *c;

    REDIS_UP(&redis, NULL);
    a = open_host(LIBCACHE_LISTEN_IN_THREAD);
    b = open_host(LIBCACHE_LISTEN_IN_THREAD);
    c = open_host(LIBCACHE_LISTEN_ON_CALLS);
    check_rules(a, b);
    check_waking(a, b);
    check_waking(c, c); /* nobody reads the log there, nor need he */
    check_telling(a, b);
    libcache_close(a);
    libcache_close(b);
    libcache_close(c);
    redis_server_stop(&redis);
}
END_TEST

/* Who forks gives away a copy of all that he has, random numbers included. */
static void check_forks(libcache *cache)
{
    libcache_owner owner = nobody;

    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        ck_assert(child >= 0);
        if (child == 0)
            _exit(libcache_lock_take(cache, LOCK, &owner, LONG_MS, 0) != (i ? LIBCACHE_EXISTS : LIBCACHE_OK));
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(status == 0, "child %d: %s", i, i ? "has the lock of another" : "does not get the lock");
    }
    ck_result(libcache_lock_take(cache, LOCK, &owner, LONG_MS, 0), LIBCACHE_EXISTS);
    ck_result(libcache_lock_break(cache, LOCK), LIBCACHE_OK);
}

START_TEST(forked_processes_are_owners_of_their_own)
{
    libcache *cache = open_segment();

    check_forks(cache);
    libcache_close(cache);
    REDIS_UP(&redis, NULL);
    cache = open_host(LIBCACHE_LISTEN_ON_CALLS);
    check_forks(cache);
    libcache_close(cache);
    redis_server_stop(&redis);
}
END_TEST

START_TEST(a_lock_outlives_its_process_until_its_end)
{
    struct rig rig;
    libcache_owner owner = nobody;
    pid_t child;
    int status;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig_open(&rig);
    child = fork();
    ck_assert(child >= 0);
    if (child == 0)
        _exit(libcache_lock_take(rig.cache, LOCK, &owner, 1000, 0) != LIBCACHE_OK);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    rig.random = 1; /* another owner */
    ck_result(libcache_lock_take(rig.cache, LOCK, &owner, 1000, 0), LIBCACHE_EXISTS);
    fake_clock_advance(&rig.clock, 1000);
    ck_result(libcache_lock_take(rig.cache, LOCK, &owner, 1000, 0), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 1000);
    ck_result(libcache_lock_keep(rig.cache, LOCK, &owner, 1000), LIBCACHE_ELOST);
    rig_down(&rig);
}
END_TEST

START_TEST(locks_are_not_evicted_by_loads_or_values)
{
    struct rig rig;
    libcache_owner owners[16], other;

    rig_up(&rig);
    memset(owners, 0, sizeof owners);
    for (int i = 0; i < 16; i++)
        ck_result(libcache_lock_take(rig.cache, &i, sizeof i, &owners[i], LONG_MS, 0), LIBCACHE_OK);
    for (int i = 0; i < 20000; i++) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        libcache_load *load = NULL;
        if (libcache_load_begin(&load, rig.ns, &i, sizeof i, &value, NULL) != LIBCACHE_HIT && load)
            ck_assert(libcache_load_commit(load, "v", 1, NULL) >= 0);
        libcache_release_value(&value);
    }
    rig.random = 1; /* another owner */
    for (int i = 0; i < 16; i++) {
        other = nobody;
        ck_result(libcache_lock_take(rig.cache, &i, sizeof i, &other, LONG_MS, 0), LIBCACHE_EXISTS);
        ck_result(libcache_lock_free(rig.cache, &i, sizeof i, &owners[i]), LIBCACHE_OK);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    libcache *cache = open_segment();
    libcache_owner owner = nobody, bad = { "short" };
    libcache_lock_wait wait = { 0, UINT64_MAX }; /* of a place that there is not */
    char big[LIBCACHE_KEY_MAX + 1];

    memset(big, 'x', sizeof big);
    ck_result(libcache_lock_take(NULL, LOCK, &owner, 1, 0), LIBCACHE_EINVAL);
    ck_result(libcache_lock_take(cache, NULL, 1, &owner, 1, 0), LIBCACHE_EKEY);
    ck_result(libcache_lock_take(cache, "", 0, &owner, 1, 0), LIBCACHE_EKEY);
    ck_result(libcache_lock_take(cache, big, sizeof big, &owner, 1, 0), LIBCACHE_EKEY);
    ck_result(libcache_lock_take(cache, LOCK, NULL, 1, 0), LIBCACHE_EINVAL);
    ck_result(libcache_lock_take(cache, LOCK, &owner, 0, 0), LIBCACHE_EINVAL);
    ck_result(libcache_lock_take(cache, LOCK, &owner, LIBCACHE_TTL_MAX_MS + 1, 0), LIBCACHE_EINVAL);
    ck_result(libcache_lock_take(cache, LOCK, &bad, 1, 0), LIBCACHE_EINVAL);
    ck_result(libcache_lock_try(NULL, LOCK, &owner, 1, &wait), LIBCACHE_EINVAL);
    ck_result(libcache_lock_try(cache, "", 0, &owner, 1, &wait), LIBCACHE_EKEY);
    ck_result(libcache_lock_try(cache, LOCK, NULL, 1, &wait), LIBCACHE_EINVAL);
    ck_result(libcache_lock_try(cache, LOCK, &owner, 0, &wait), LIBCACHE_EINVAL);
    ck_result(libcache_lock_try(cache, LOCK, &bad, 1, &wait), LIBCACHE_EINVAL);
    ck_result(libcache_lock_try(cache, LOCK, &owner, 1, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_lock_free(cache, LOCK, &owner), LIBCACHE_EINVAL);
    ck_result(libcache_lock_free(cache, LOCK, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_lock_keep(cache, LOCK, &bad, 1), LIBCACHE_EINVAL);
    ck_result(libcache_lock_owner(cache, LOCK, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_rate_hit(NULL, LOCK, 1, 1, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_rate_hit(cache, "", 0, 1, 1, NULL), LIBCACHE_EKEY);
    ck_result(libcache_rate_hit(cache, LOCK, 1, 0, NULL), LIBCACHE_EINVAL);
    wait.look_ns = UINT64_MAX;
    ck_result(libcache_lock_try(cache, LOCK, &owner, 1, &wait), LIBCACHE_OK);
    libcache_close(cache);
}
END_TEST

START_TEST(a_rate_counts_its_window_and_begins_anew)
{
    struct rig rig;
    libcache_rate rate;

    rig_up(&rig);
    for (uint64_t i = 1; i <= 5; i++) {
        ck_result(libcache_rate_hit(rig.cache, "ip", 2, 3, 1000, &rate), i <= 3 ? LIBCACHE_OK : LIBCACHE_LIMITED);
        ck_assert_uint_eq(rate.hits, i);
        ck_assert_uint_eq(rate.remaining, i < 3 ? 3 - i : 0);
        ck_assert_uint_eq(rate.reset_ms, 1000 - (i - 1) * 100);
        fake_clock_advance(&rig.clock, 100);
    }
    ck_result(libcache_rate_hit(rig.cache, "else", 4, 3, 1000, NULL), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 500);
    ck_result(libcache_rate_hit(rig.cache, "ip", 2, 3, 1000, &rate), LIBCACHE_OK);
    ck_assert_uint_eq(rate.hits, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(hosts_count_together_and_each_alone_without_redis)
{
    libcache *a, *b;
    libcache_rate rate;

    REDIS_UP(&redis, NULL);
    a = open_host(LIBCACHE_LISTEN_ON_CALLS);
    b = open_host(LIBCACHE_LISTEN_ON_CALLS);
    ck_result(libcache_rate_hit(a, "ip", 2, 3, LONG_MS, &rate), LIBCACHE_OK);
    ck_result(libcache_rate_hit(b, "ip", 2, 3, LONG_MS, &rate), LIBCACHE_OK);
    ck_result(libcache_rate_hit(a, "ip", 2, 3, LONG_MS, &rate), LIBCACHE_OK);
    ck_result(libcache_rate_hit(b, "ip", 2, 3, LONG_MS, &rate), LIBCACHE_LIMITED);
    ck_assert_uint_eq(rate.hits, 4);
    ck_assert(rate.reset_ms > LONG_MS / 2 && rate.reset_ms <= LONG_MS);
    redis_server_kill(&redis);
    ck_result(libcache_rate_hit(b, "ip", 2, 3, LONG_MS, &rate), LIBCACHE_OK);
    ck_assert_uint_eq(rate.hits, 1);
    libcache_close(a);
    libcache_close(b);
    redis_server_stop(&redis);
}
END_TEST

int main(void)
{
    return RUN_TESTS("lock", a_segment_arbitrates_where_there_is_no_redis, redis_arbitrates_between_hosts,
                     forked_processes_are_owners_of_their_own, a_lock_that_ends_by_itself_is_looked_at_then,
                     a_lock_outlives_its_process_until_its_end, locks_are_not_evicted_by_loads_or_values, bad_calls_are_refused,
                     a_rate_counts_its_window_and_begins_anew, hosts_count_together_and_each_alone_without_redis);
}
