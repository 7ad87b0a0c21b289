/*
 * Batches with Redis: values and leases of all keys in one exchange, what was loaded in another. Two hosts, each with a segment and a
 * clock of its own. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <stdio.h>
#include <string.h>

#define LEASE_MS 60000 /* longer than any test */

static libcache_policy lease_policy(void)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    policy.load_timeout_ms = LEASE_MS;
    policy.load_lease = LIBCACHE_LEASE_REDIS;
    return policy;
}

static struct hosts hosts;
static libcache_ns *a, *b;

static void up_with(const libcache_policy *policy)
{
    hosts_up(&hosts);
    a = space(&hosts.a, "many", policy);
    b = space(&hosts.b, "many", policy);
}

/* Without a soft TTL: what was stored for 15 s is past its end after 20 s, within its grace, and what is stored then for longer is not. */
static libcache_policy late_policy(void)
{
    libcache_policy policy = lease_policy();

    policy.soft_ttl_ms = 0;
    return policy;
}

static void up(void)
{
    libcache_policy policy = lease_policy();

    up_with(&policy);
}

static void advance(uint64_t ms)
{
    fake_clock_advance(&hosts.a.clock, ms);
    fake_clock_advance(&hosts.b.clock, ms);
}

/* How many leases there are, and how many of them are waited for. */
static unsigned leases(int waited_for)
{
    char answer[2000];
    unsigned n = 0, waits = 0;

    REDIS(&hosts.redis, answer, "KEYS", "*lease*");
    for (const char *at = answer; (at = strstr(at, ":lease")) != NULL; at++)
        n++;
    for (const char *at = answer; (at = strstr(at, ":lease-waits")) != NULL; at++)
        waits++;
    return waited_for ? waits : n - waits;
}

static struct {
    uint64_t exchanges;
    unsigned leases;
} seen; /* by a loader */

static void see(struct source *source, const libcache_slice *keys)
{
    (void)keys;
    seen.exchanges = exchanges(source->arg);
    seen.leases = leases(0);
}

START_TEST(a_batch_asks_once_and_stores_once)
{
    struct source source = { .text = "v", .during = see, .arg = &hosts.b };
    uint64_t before;

    up();
    put(a, "b", "v");
    ck_poll(&hosts.b);
    ck_fetch_many(b, "w", &source, LIBCACHE_OK, "h", "v"); /* from now on Redis knows the scripts */
    before = exchanges(&hosts.b);
    ck_fetch_many(b, "abcdef", &source, LIBCACHE_OK, "hhhhhh", "v");
    ck_assert_str_eq(source.asked, "a c d e f");
    ck_assert_uint_eq(seen.exchanges, before + 1);
    ck_assert_uint_eq(seen.leases, 5); /* none for what is there */
    ck_assert_uint_eq(exchanges(&hosts.b), before + 2);
    ck_assert_uint_eq(leases(0), 0);
    ck_from(a, "f", "v", LIBCACHE_TIER_L2);
    source.error = -1;
    before = exchanges(&hosts.b);
    ck_fetch_many(b, "xyz", &source, LIBCACHE_ELOAD, "eee", NULL);
    ck_assert_uint_eq(seen.leases, 3);
    ck_assert_uint_eq(leases(0), 0);
    ck_assert_uint_eq(exchanges(&hosts.b),
                      before + 3); /* values and leases, leases back, and whether another host has them by now */
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

static void delete_c(struct source *source, const libcache_slice *keys)
{
    (void)keys;
    ck_assert_int_ge(libcache_delete(source->arg, "c", 1, 0), 0);
}

START_TEST(G3_of_a_batch_that_is_stored_at_once_each_key_is_judged_by_its_own_stamp)
{
    for (int other = 0; other < 2; other++)
        for (int lease = LIBCACHE_LEASE_HOST; lease <= LIBCACHE_LEASE_REDIS; lease++) {
            struct source source = { .text = "old", .during = delete_c };
            libcache_policy policy = lease_policy();
            policy.load_lease = (unsigned)lease;
            up_with(&policy);
            while (!stands_alone(a, "abcde", 'c')) {
                hosts_down(&hosts);
                up_with(&policy);
            }
            source.arg = other ? b : a;
            ck_fetch_many(a, "abcde", &source, LIBCACHE_OK, "hhhhh", "old"); /* the caller has all */
            ck_assert_uint_eq(rig_stats(&hosts.a).fenced, 1);
            ck_assert_uint_eq(leases(0), 0);
            ck_poll(&hosts.a);
            ck_poll(&hosts.b);
            for (char c = 'a'; c <= 'e'; c++) {
                const char key[] = { c, '\0' };
                ck_get(a, key, 0, c == 'c' ? LIBCACHE_MISS : LIBCACHE_HIT, LIBCACHE_TIER_L1);
                ck_get(b, key, 0, c == 'c' ? LIBCACHE_MISS : LIBCACHE_HIT, LIBCACHE_TIER_L2);
            }
            source_done(&source);
            hosts_down(&hosts);
        }
}
END_TEST

START_TEST(what_another_host_loads_a_batch_waits_for_after_the_rest_was_loaded)
{
    struct source source = { .text = "v" };
    libcache_load *other[3];
    struct batch batch;

    up();
    for (int i = 0; i < 3; i++)
        other[i] = begin(a, (char[]){ (char)('b' + i), 0 }, 0, LIBCACHE_LEAD);
    batch_init(&batch, b, "abcde", &source);
    ck_assert_int_eq(pthread_create(&batch.thread, NULL, fetch_batch, &batch), 0);
    until(rig_stats(&hosts.b).loads == 2 && __atomic_load_n(&source.given, __ATOMIC_ACQUIRE) == 2);
    ck_assert_str_eq(source.asked, "a e");
    until(leases(1) == 3); /* the other host is told who waits */
    ck_result(commit(other[0], "v"), LIBCACHE_OK);
    libcache_load_abort(other[1], -1); /* that one is ours after all: loaded before the last one is waited for */
    until(rig_stats(&hosts.b).loads == 3 && __atomic_load_n(&source.given, __ATOMIC_ACQUIRE) == 3);
    ck_assert_str_eq(source.asked, "c");
    ck_result(commit(other[2], "v"), LIBCACHE_OK);
    pthread_join(batch.thread, NULL);
    ck_batch(&batch, LIBCACHE_OK, "hhhhh", "v");
    ck_assert_uint_eq(source.keys, 3);
    ck_assert_uint_eq(rig_stats(&hosts.b).load_bypasses, 0);
    ck_assert_uint_eq(leases(0) + leases(1), 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_batch_that_has_waited_for_another_host_for_long_enough_loads_and_its_host_waits_for_it)
{
    struct source source = { .text = "v" }, none = { .text = "not needed" };
    libcache_load *other, *waits;
    struct batch batch;

    up();
    other = begin(a, "b", 0, LIBCACHE_LEAD);
    batch_init(&batch, b, "ab", &source);
    batch.wait_ms = 300;
    ck_assert_int_eq(pthread_create(&batch.thread, NULL, fetch_batch, &batch), 0);
    until(leases(1) == 1 || rig_stats(&hosts.b).load_bypasses);
    ck_fetch(b, "b", &none, LIBCACHE_HIT, "v"); /* who comes meanwhile is content with that */
    pthread_join(batch.thread, NULL);
    ck_batch(&batch, LIBCACHE_OK, "hh", "v");
    ck_assert_uint_eq(source.keys, 2);
    ck_assert_uint_eq(none.calls, 0);
    ck_assert_uint_eq(rig_stats(&hosts.b).load_bypasses, 1);
    ck_result(commit(other, "v"), LIBCACHE_OK);
    ck_assert_uint_eq(leases(0) + leases(1), 0);
    waits = begin(b, "b", LIBCACHE_NO_BLOCK, LIBCACHE_HIT);
    ck_assert_ptr_null(waits);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(two_batches_of_two_hosts_load_each_key_once)
{
    enum { KEYS = 12 };
    static const char *const letters[4] = { "abcdefghijkl", "lkjihgfedcba", "ghijklabcdef", "fedcbalkjihg" };
    struct source source = { .text = "v" };
    struct batch batch[4];

    up();
    for (int i = 0; i < 4; i++) {
        batch_init(&batch[i], i % 2 ? b : a, letters[i], &source);
        ck_assert_int_eq(pthread_create(&batch[i].thread, NULL, fetch_batch, &batch[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(batch[i].thread, NULL);
        ck_batch(&batch[i], LIBCACHE_OK, "hhhhhhhhhhhh", "v");
    }
    ck_assert_uint_eq(source.keys, KEYS);
    ck_assert_uint_eq(leases(0) + leases(1), 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

/* ---- What is stale ----------------------------------------------------------------------------------------------------- */

START_TEST(what_another_host_has_refreshed_a_batch_does_not_load_again)
{
    for (int lease = LIBCACHE_LEASE_HOST; lease <= LIBCACHE_LEASE_REDIS; lease++) {
        struct source source = { .text = "old", .as = { .ttl_ms = 15000 } };
        libcache_policy policy = late_policy();
        struct batch batch;
        uint64_t before;
        policy.load_lease = (unsigned)lease;
        up_with(&policy);
        ck_fetch_many(a, "abc", &source, LIBCACHE_OK, "hhh", "old");
        ck_fetch_many(b, "abc", &source, LIBCACHE_OK, "hhh", "old");
        ck_assert_uint_eq(source.calls, 1);
        advance(20000);
        source.text = "new";
        source.as.ttl_ms = 0;
        ck_fetch_many(a, "ab", &source, LIBCACHE_OK, "hh", "new");
        before = exchanges(&hosts.b);
        batch_init(&batch, b, "abc", &source);
        fetch_batch(&batch);
        ck_assert_str_eq(source.asked, "c");
        ck_assert_uint_eq(exchanges(&hosts.b), before + 2);
        ck_batch(&batch, LIBCACHE_OK, "hhh", "new");
        ck_from(b, "a", "new", LIBCACHE_TIER_L1);
        source_done(&source);
        hosts_down(&hosts);
    }
}
END_TEST

START_TEST(what_another_host_refreshes_a_batch_gives_as_it_is)
{
    struct source source = { .text = "old" };
    struct batch batch;
    libcache_load *load;

    up();
    ck_fetch_many(a, "abc", &source, LIBCACHE_OK, "hhh", "old");
    ck_fetch_many(b, "abc", &source, LIBCACHE_OK, "hhh", "old");
    advance(20000);
    load = begin(a, "b", 0, LIBCACHE_STALE);
    ck_result(libcache_load_recheck(load, NULL), LIBCACHE_MISS);
    source.text = "new";
    batch_init(&batch, b, "abc", &source);
    fetch_batch(&batch);
    ck_assert_str_eq(source.asked, "a c");
    ck_result(batch.results[1], LIBCACHE_STALE);
    ck_assert_mem_eq(batch.values[1].data, "old", 3);
    ck_result(batch.results[0], LIBCACHE_HIT);
    ck_result(batch.results[2], LIBCACHE_HIT);
    ck_result(batch.result, LIBCACHE_OK);
    batch_free(&batch);
    libcache_load_abort(load, 0);
    ck_assert_uint_eq(leases(0), 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

static struct executor executor;

START_TEST(a_batch_that_is_refreshed_in_the_background_asks_redis_and_takes_leases_there)
{
    struct source source = { .text = "old", .as = { .ttl_ms = 15000 } };
    libcache_policy policy = late_policy();
    uint64_t before;

    hosts_prepare(&hosts, NULL);
    executor_prepare(&executor, &hosts.b);
    hosts_open(&hosts);
    a = space(&hosts.a, "many", &policy);
    b = space(&hosts.b, "many", &policy);
    ck_fetch_many(a, "abc", &source, LIBCACHE_OK, "hhh", "old");
    ck_fetch_many(b, "abc", &source, LIBCACHE_OK, "hhh", "old");
    advance(20000);
    before = exchanges(&hosts.b);
    ck_fetch_many(b, "abc", &source, LIBCACHE_OK, "sss", "old");
    ck_assert_uint_eq(exchanges(&hosts.b), before); /* not in the way of the read */
    source.text = "new";
    source.as.ttl_ms = 0;
    ck_fetch_many(a, "a", &source, LIBCACHE_OK, "h", "new");
    source.during = see;
    source.arg = &hosts.b;
    before = exchanges(&hosts.b);
    ck_assert(run_job(&executor));
    ck_assert_str_eq(source.asked, "b c");
    ck_assert_uint_eq(seen.exchanges, before + 1);
    ck_assert_uint_eq(seen.leases, 2);
    ck_assert_uint_eq(exchanges(&hosts.b), before + 2);
    ck_assert_uint_eq(leases(0), 0);
    ck_fetch_many(b, "abc", &source, LIBCACHE_OK, "hhh", "new");
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(of_a_batch_that_fails_all_that_redis_still_has_is_found_at_once)
{
    struct source source = { .text = "old" };
    uint64_t before;

    up();
    ck_fetch_many(a, "abc", &source, LIBCACHE_OK, "hhh", "old");
    source.error = -1;
    ck_fetch_many(b, "xyz", &source, LIBCACHE_ELOAD, "eee", NULL);
    ck_fetch_many(a, "xyz", &source, LIBCACHE_ELOAD, "eee", NULL);
    source.error = 0;
    source.text = "v";
    advance(1000);
    ck_fetch_many(a, "xyz", &source, LIBCACHE_OK, "hhh", "v");
    ck_fetch_many(b, "xyz", &source, LIBCACHE_OK, "hhh", "v"); /* that its own load failed does not hide them */
    source.error = -1;
    ck_fetch_many(a, "uvw", &source, LIBCACHE_ELOAD, "eee", NULL);
    for (const char *c = "uvw"; *c; c++)
        put(b, (char[]){ *c, 0 }, "v");
    ck_poll(&hosts.a);
    before = exchanges(&hosts.a);
    ck_fetch_many(a, "uvw", &source, LIBCACHE_OK, "hhh",
                  "v"); /* within the backoff: fresh ones, and so they are called */
    ck_assert_uint_eq(exchanges(&hosts.a), before + 1);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_lease_many", a_batch_asks_once_and_stores_once,
                     G3_of_a_batch_that_is_stored_at_once_each_key_is_judged_by_its_own_stamp,
                     what_another_host_loads_a_batch_waits_for_after_the_rest_was_loaded,
                     a_batch_that_has_waited_for_another_host_for_long_enough_loads_and_its_host_waits_for_it,
                     two_batches_of_two_hosts_load_each_key_once,
                     what_another_host_has_refreshed_a_batch_does_not_load_again,
                     what_another_host_refreshes_a_batch_gives_as_it_is,
                     a_batch_that_is_refreshed_in_the_background_asks_redis_and_takes_leases_there,
                     of_a_batch_that_fails_all_that_redis_still_has_is_found_at_once);
}
