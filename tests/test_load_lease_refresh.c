/*
 * Refreshes and the lease in Redis: of all hosts that have an old value one replaces it. Two hosts, each with a segment and a clock
 * of its own. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <poll.h>
#include <string.h>

#define REST_MS 25 /* LOAD_REST_MS */

/* Soft TTL 10 s, TTL 60 s, grace 30 s, backoff 1 s; a lease lasts longer than any test. */
static libcache_policy soft_policy(void)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    policy.load_timeout_ms = 60000;
    policy.load_lease = LIBCACHE_LEASE_REDIS;
    return policy;
}

/* Both hosts have "key", which is "old", and that is so long ago. */
struct pair {
    struct hosts hosts;
    struct source source;
    libcache_ns *a, *b;
};

static void pair_prepare(struct pair *p)
{
    memset(p, 0, sizeof *p);
    hosts_prepare(&p->hosts, NULL);
    p->source.text = "old";
}

static void pair_open(struct pair *p, const libcache_policy *policy, uint64_t ago_ms)
{
    hosts_open(&p->hosts);
    p->a = space(&p->hosts.a, "soft", policy);
    p->b = space(&p->hosts.b, "soft", policy);
    ck_fetch(p->a, "key", &p->source, LIBCACHE_HIT, "old");
    ck_fetch(p->b, "key", &p->source, LIBCACHE_HIT, "old");
    ck_assert_uint_eq(p->source.calls, 1);
    fake_clock_advance(&p->hosts.a.clock, ago_ms);
    fake_clock_advance(&p->hosts.b.clock, ago_ms);
    p->source.text = "new";
}

static void pair_up(struct pair *p, uint64_t ago_ms)
{
    libcache_policy policy = soft_policy();

    pair_prepare(p);
    pair_open(p, &policy, ago_ms);
}

static void pair_down(struct pair *p)
{
    source_done(&p->source);
    hosts_down(&p->hosts);
}

/* Host B would ask again. */
static void rest(struct pair *p)
{
    fake_clock_advance(&p->hosts.b.clock, REST_MS);
}

static const char *lease_key(struct pair *p)
{
    static char answer[400];

    REDIS(&p->hosts.redis, answer, "KEYS", "*lease*");
    return answer;
}

/* Host A begins to refresh. */
static libcache_load *refresh_on_a(struct pair *p)
{
    libcache_load *load = begin_value(p->a, "key", 0, LIBCACHE_STALE, "old");

    ck_assert_ptr_nonnull(load);
    ck_result(libcache_load_recheck(load, NULL), LIBCACHE_MISS);
    ck_assert_str_ne(lease_key(p), "");
    return load;
}

START_TEST(of_two_hosts_one_refreshes_and_the_other_serves_what_it_has)
{
    for (int late = 0; late < 2; late++) { /* past its soft TTL; past its TTL */
        struct pair p;
        libcache_load *load;
        uint64_t before;
        pair_up(&p, late ? 70000 : 20000);
        load = refresh_on_a(&p);
        before = exchanges(&p.hosts.b);
        ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
        ck_assert_uint_eq(exchanges(&p.hosts.b), before + 1); /* value and lease at once */
        for (int i = 0; i < 10; i++)
            ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
        ck_assert_uint_eq(exchanges(&p.hosts.b), before + 1); /* nor does every read ask */
        rest(&p);
        ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
        ck_assert_uint_eq(exchanges(&p.hosts.b), before + 2);
        ck_assert_uint_eq(p.source.calls, 1);
        ck_assert_ptr_null(strstr(lease_key(&p), "waits"));
        before = exchanges(&p.hosts.a);
        ck_result(commit(load, "newer"), LIBCACHE_OK);
        ck_assert_uint_eq(exchanges(&p.hosts.a), before + 1); /* value stored and lease back at once */
        ck_assert_str_eq(lease_key(&p), "");
        ck_poll(&p.hosts.b);
        rest(&p);
        ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "newer");
        ck_from(p.b, "key", "newer", LIBCACHE_TIER_L1);
        ck_assert_uint_eq(p.source.calls, 1);
        pair_down(&p);
    }
}
END_TEST

static const uint64_t *fixed; /* NULL: as it comes */

static uint64_t fixed_or_dice(void *dice)
{
    return fixed ? *fixed : dice_roll(dice);
}

/* Looks ten load times ahead. */
static const uint64_t ten_times = (uint64_t)(0.0000453999 * 18446744073709551616.0);

START_TEST(an_early_refresh_takes_the_lease_and_without_it_the_value_is_a_hit_like_any)
{
    struct dice dice = dice_of(8);
    struct pair p;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_load *load;

    pair_prepare(&p);
    for (int i = 0; i < 2; i++) {
        struct rig *rig = i ? &p.hosts.b : &p.hosts.a;
        rig->options.random = fixed_or_dice;
        rig->options.random_arg = &dice;
    }
    policy.ttl_ms = 60000;
    policy.early_percent = 100;
    policy.load_lease = LIBCACHE_LEASE_REDIS;
    hosts_open(&p.hosts);
    p.a = space(&p.hosts.a, "early", &policy);
    p.b = space(&p.hosts.b, "early", &policy);
    load = begin(p.a, "key", 0, LIBCACHE_LEAD);
    fake_clock_advance(&p.hosts.a.clock, 1000);
    ck_result(commit(load, "old"), LIBCACHE_OK); /* a second, that took */
    ck_from(p.b, "key", "old", LIBCACHE_TIER_L2);
    fake_clock_advance(&p.hosts.a.clock, 52000);
    fake_clock_advance(&p.hosts.b.clock, 52000);
    fixed = &ten_times;
    load = begin_value(p.a, "key", 0, LIBCACHE_HIT, "old");
    ck_assert_ptr_nonnull(load);
    fixed = NULL; /* hosts have names of their own */
    ck_result(libcache_load_recheck(load, NULL), LIBCACHE_MISS);
    ck_assert_str_ne(lease_key(&p), "");
    fixed = &ten_times;
    p.source.text = "new";
    ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "old");
    ck_assert_uint_eq(p.source.calls, 0);
    libcache_load_abort(load, 0);
    rest(&p);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(p.source.calls, 1);
    ck_assert_str_eq(lease_key(&p), "");
    fixed = NULL;
    pair_down(&p);
}
END_TEST

START_TEST(a_refresh_that_comes_to_nothing_leaves_the_lease_to_the_other_host)
{
    for (int how = 0; how < 3; how++) {
        struct pair p;
        libcache_load *load;
        pair_up(&p, 20000);
        load = refresh_on_a(&p);
        ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
        if (how == 2) {
            libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
            options.flags = LIBCACHE_NOT_STORED;
            ck_result(libcache_load_commit(load, "mine", 4, &options), LIBCACHE_OK);
        } else {
            libcache_load_abort(load, how ? 0 : -1);
        }
        ck_assert_str_eq(lease_key(&p), "");
        rest(&p);
        ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "new");
        ck_assert_uint_eq(p.source.calls, 2);
        ck_assert_str_eq(lease_key(&p), "");
        pair_down(&p);
    }
}
END_TEST

START_TEST(the_lease_of_a_host_that_is_gone_ends_by_its_time)
{
    struct pair p;
    libcache_policy policy = soft_policy();
    libcache_load *gone;
    int result;

    policy.load_timeout_ms = 1000; /* of Redis's own time: it may be over at any moment from here on */
    pair_prepare(&p);
    pair_open(&p, &policy, 20000);
    gone = begin_value(p.a, "key", 0, LIBCACHE_STALE, "old");
    ck_result(libcache_load_recheck(gone, NULL), LIBCACHE_MISS);
    do {
        libcache_value value = LIBCACHE_VALUE_INIT;
        rest(&p);
        result = fetch(p.b, "key", &p.source, &value);
        libcache_release_value(&value);
        nap();
    } while (result == LIBCACHE_STALE);
    ck_result(result, LIBCACHE_HIT);
    ck_assert_uint_eq(p.source.calls, 2);
    ck_value(p.b, "key", "new");
    libcache_load_abort(gone, 0);
    pair_down(&p);
}
END_TEST

static struct executor executor;

START_TEST(the_executor_of_the_other_host_does_not_run_the_loader)
{
    struct pair p;
    libcache_policy policy = soft_policy();
    libcache_load *load;

    pair_prepare(&p);
    executor_prepare(&executor, &p.hosts.b);
    pair_open(&p, &policy, 20000);
    load = refresh_on_a(&p);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
    ck_assert(run_job(&executor));
    ck_assert_uint_eq(p.source.calls, 1);
    libcache_load_abort(load, 0);
    rest(&p);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
    ck_assert(run_job(&executor));
    ck_assert_uint_eq(p.source.calls, 2);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(executor.taken, 2);
    pair_down(&p);
}
END_TEST

START_TEST(a_redis_that_has_forgotten_the_scripts_is_told_them_in_the_same_call)
{
    struct pair p;
    libcache_load *load;
    char answer[100];

    pair_up(&p, 20000);
    REDIS(&p.hosts.redis, answer, "SCRIPT", "FLUSH");
    load = refresh_on_a(&p);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_STALE, "old");
    REDIS(&p.hosts.redis, answer, "SCRIPT", "FLUSH");
    ck_result(commit(load, "newer"), LIBCACHE_OK);
    ck_assert_str_eq(lease_key(&p), "");
    ck_poll(&p.hosts.b);
    rest(&p);
    ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "newer");
    ck_assert_uint_eq(p.source.calls, 1);
    pair_down(&p);
}
END_TEST

START_TEST(a_redis_that_refuses_leases_is_no_reason_not_to_refresh)
{
    struct pair p;
    char answer[100];

    pair_up(&p, 20000);
    REDIS(&p.hosts.redis, answer, "CONFIG", "SET", "min-replicas-to-write", "1"); /* NOREPLICAS */
    ck_fetch(p.b, "key", &p.source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(p.source.calls, 2);
    ck_assert_uint_gt(rig_stats(&p.hosts.b).l2_errors, 0);
    REDIS(&p.hosts.redis, answer, "CONFIG", "SET", "min-replicas-to-write", "0");
    pair_down(&p);
}
END_TEST

START_TEST(what_redis_has_that_is_old_too_replaces_nothing)
{
    for (int lease = LIBCACHE_LEASE_HOST; lease <= LIBCACHE_LEASE_REDIS; lease++) {
        struct pair p;
        libcache_policy policy = soft_policy();
        libcache_set_options here = LIBCACHE_SET_OPTIONS_INIT;
        libcache_value value = LIBCACHE_VALUE_INIT;
        libcache_load *load;
        policy.load_lease = (unsigned)lease;
        pair_prepare(&p);
        pair_open(&p, &policy, 1000);
        here.flags = LIBCACHE_SKIP_L2;
        ck_result(libcache_set(p.a, "key", 3, "of this host", 12, &here), LIBCACHE_OK);
        fake_clock_advance(&p.hosts.a.clock, 20000);
        ck_result(libcache_load_begin(&load, p.a, "key", 3, &value, NULL), LIBCACHE_STALE);
        ck_result(libcache_load_recheck(load, &value), LIBCACHE_MISS);
        ck_assert_uint_eq(value.size, 12);
        ck_assert_mem_eq(value.data, "of this host", 12);
        libcache_load_abort(load, 0);
        ck_result(libcache_get(p.a, "key", 3, &value, 0), LIBCACHE_STALE);
        ck_assert_uint_eq(value.size, 12);
        libcache_release_value(&value);
        pair_down(&p);
    }
}
END_TEST

START_TEST(a_recheck_never_waits_whatever_its_load_is)
{
    struct pair p;
    libcache_load *load, *other;

    pair_up(&p, 20000);
    load = refresh_on_a(&p);
    other = begin(p.b, "key", LIBCACHE_REFRESH, LIBCACHE_LEAD); /* forced */
    ck_result(libcache_load_recheck(other, NULL), LIBCACHE_STALE);
    ck_assert_ptr_null(strstr(lease_key(&p), "waits"));
    libcache_load_abort(load, 0);
    pair_down(&p);
}
END_TEST

/* ---- Without blocking --------------------------------------------------------------------------------------------------- */

static int readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

START_TEST(an_event_loop_does_not_wait_for_another_host_and_is_told)
{
    for (int fails = 0; fails < 2; fails++) {
        struct pair p;
        libcache_load *load, *leads, *waits;
        int fd;
        pair_up(&p, 0);
        load = begin(p.a, "cold", 0, LIBCACHE_LEAD);
        fd = libcache_load_fd(p.hosts.b.cache);
        ck_assert_int_ge(fd, 0);
        leads = begin(p.b, "cold", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT); /* on its host it leads */
        waits = begin(p.b, "cold", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
        ck_wait(&leads, LIBCACHE_WAIT);
        ck_wait(&waits, LIBCACHE_WAIT);
        ck_assert(!readable(fd));
        if (fails)
            libcache_load_abort(load, -1);
        else
            ck_result(commit(load, "value"), LIBCACHE_OK);
        ck_poll(&p.hosts.b);
        ck_assert(readable(fd));
        libcache_load_drain(p.hosts.b.cache);
        ck_wait(&waits, LIBCACHE_WAIT); /* his own host's leader has not been told yet */
        ck_wait(&leads, fails ? LIBCACHE_LEAD : LIBCACHE_HIT);
        if (fails)
            ck_result(commit(leads, "value"), LIBCACHE_OK);
        ck_assert(readable(fd));
        ck_wait(&waits, LIBCACHE_HIT);
        ck_value(p.b, "cold", "value");
        ck_assert_str_eq(lease_key(&p), "");
        pair_down(&p);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "load_lease_refresh", of_two_hosts_one_refreshes_and_the_other_serves_what_it_has,
        an_early_refresh_takes_the_lease_and_without_it_the_value_is_a_hit_like_any,
        a_refresh_that_comes_to_nothing_leaves_the_lease_to_the_other_host,
        the_lease_of_a_host_that_is_gone_ends_by_its_time, the_executor_of_the_other_host_does_not_run_the_loader,
        a_redis_that_has_forgotten_the_scripts_is_told_them_in_the_same_call,
        a_redis_that_refuses_leases_is_no_reason_not_to_refresh, what_redis_has_that_is_old_too_replaces_nothing,
                     a_recheck_never_waits_whatever_its_load_is,
        an_event_loop_does_not_wait_for_another_host_and_is_told);
}
