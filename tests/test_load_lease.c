/*
 * The lease in Redis, by which one of all hosts loads; and loads without a Redis. Two hosts, each with a segment and a clock of
 * its own. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <stdio.h>
#include <string.h>

#define LEASE_MS 60000 /* longer than any test */

static libcache_policy lease_policy(void)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.load_lease = LIBCACHE_LEASE_REDIS;
    policy.load_timeout_ms = LEASE_MS;
    return policy;
}

static const char *lease_key(struct hosts *hosts)
{
    static char answer[400];

    REDIS(&hosts->redis, answer, "KEYS", "*lease*");
    return answer;
}

START_TEST(of_two_hosts_one_loads_and_the_other_is_given_its_value)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    struct source source = { .text = "not needed" };
    struct asker askers[3];
    libcache_load *load;
    libcache_ns *a, *b;
    uint64_t begun;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    b = space(&hosts.b, "shared", &policy);
    load = begin(a, "key", 0, LIBCACHE_LEAD);
    ck_assert_uint_gt(strlen(lease_key(&hosts)), 0);
    for (int i = 0; i < 3; i++) {
        askers[i] = (struct asker){ .ns = b, .key = "key", .source = &source };
        asker_start(&askers[i]);
    }
    until(rig_stats(&hosts.b).load_waits == 2 && strstr(lease_key(&hosts), "waits"));
    begun = real_ms();
    ck_result(commit(load, "value"), LIBCACHE_OK);
    for (int i = 0; i < 3; i++)
        asker_end(&askers[i], LIBCACHE_HIT, "value");
    ck_assert_uint_lt(real_ms() - begun, 10000);
    ck_assert_uint_eq(source.calls, 0);
    ck_assert_str_eq(lease_key(&hosts), "");
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_host_whose_load_fails_leaves_it_to_the_other)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    struct source source = { .text = "by b" };
    struct asker asker;
    libcache_load *load;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    b = space(&hosts.b, "shared", &policy);
    for (int how = 0; how < 3; how++) {
        load = begin(a, "key", 0, LIBCACHE_LEAD);
        asker = (struct asker){ .ns = b, .key = "key", .source = &source };
        asker_start(&asker);
        until(strstr(lease_key(&hosts), "waits"));
        if (how == 0) {
            libcache_load_abort(load, -1);
        } else if (how == 1) {
            libcache_load_abort(load, 0);
        } else {
            libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
            options.flags = LIBCACHE_NOT_STORED;
            ck_result(libcache_load_commit(load, "mine", 4, &options), LIBCACHE_OK);
        }
        asker_end(&asker, LIBCACHE_HIT, "by b");
        ck_assert_uint_eq(source.calls, how + 1);
        ck_assert_str_eq(lease_key(&hosts), "");
        ck_result(libcache_delete(b, "key", 3, 0), LIBCACHE_OK);
        ck_poll(&hosts.a);
        fake_clock_advance(&hosts.a.clock, 1000);
    }
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(who_has_waited_for_another_host_for_long_enough_loads_for_himself)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load, *mine = NULL;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    b = space(&hosts.b, "shared", &policy);
    load = begin(a, "key", 0, LIBCACHE_LEAD);
    options.wait_ms = 40;
    ck_result(libcache_load_begin(&mine, b, "key", 3, &value, &options), LIBCACHE_BYPASS);
    ck_result(commit(mine, "by b"), LIBCACHE_OK);
    ck_result(commit(load, "by a"), LIBCACHE_OK);
    ck_assert_str_eq(lease_key(&hosts), ""); /* whoever had it gave it back, nobody else */
    hosts_down(&hosts);
}
END_TEST

START_TEST(of_a_host_that_has_waited_for_long_enough_one_loads_and_the_others_wait_for_him)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    struct source source = { .text = "by b" };
    struct asker askers[4];
    libcache_load *stuck;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    b = space(&hosts.b, "shared", &policy);
    stuck = begin(a, "key", 0, LIBCACHE_LEAD);
    for (int i = 0; i < 4; i++) {
        askers[i] = (struct asker){ .ns = b, .key = "key", .source = &source, .wait_ms = i ? 0 : 1000 };
        asker_start(&askers[i]);
        if (!i)
            until(strstr(lease_key(&hosts), "waits")); /* he leads on his host */
    }
    for (int i = 0; i < 4; i++)
        asker_end(&askers[i], LIBCACHE_HIT, "by b");
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_eq(rig_stats(&hosts.b).load_bypasses, 1);
    ck_assert_uint_eq(rig_stats(&hosts.b).loads, 1);
    libcache_load_abort(stuck, 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_lease_is_given_back_in_the_exchange_that_stores_the_first_time_as_well)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    libcache_load *load;
    libcache_ns *a;
    uint64_t before;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    load = begin(a, "key", 0, LIBCACHE_LEAD);
    before = exchanges(&hosts.a);
    ck_result(commit(load, "value"), LIBCACHE_OK); /* nor is it given back first, because only the other script was new to Redis */
    ck_assert_uint_eq(exchanges(&hosts.a), before + 1);
    ck_assert_str_eq(lease_key(&hosts), "");
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_load_asks_redis_as_often_as_it_must)
{
    struct hosts hosts;
    struct source source = { .text = "value" };
    libcache_policy policy = lease_policy();
    libcache_ns *warm, *ns;
    uint64_t before;

    hosts_up(&hosts);
    warm = space(&hosts.a, "warm", &policy);
    ck_fetch(warm, "key", &source, LIBCACHE_HIT, "value"); /* from now on Redis knows the scripts */
    for (int far = 0; far < 2; far++)
        for (int lease = LIBCACHE_LEASE_HOST; lease <= LIBCACHE_LEASE_REDIS; lease++) {
            char name[20] = "near 0";
            libcache_load *load;
            name[0] = far ? 'f' : 'n';
            name[5] = (char)('0' + lease);
            policy.tiers = far ? LIBCACHE_TIER_L2 : 0;
            policy.load_lease = (unsigned)lease;
            ns = space(&hosts.a, name, &policy);
            ck_poll(&hosts.a);
            before = exchanges(&hosts.a);
            load = begin(ns, "key", 0, LIBCACHE_LEAD);
            ck_assert_uint_eq(exchanges(&hosts.a), before + (unsigned)lease); /* the value; the lease, and the value again */
            ck_result(commit(load, "value"), LIBCACHE_OK);
            ck_assert_uint_eq(exchanges(&hosts.a), before + (unsigned)lease + 1);
            ck_fetch(ns, "key", &source, LIBCACHE_HIT, "value");
            ck_assert_uint_eq(exchanges(&hosts.a), before + (unsigned)lease + 1 + (unsigned)far);
        }
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_leader_that_takes_over_on_its_host_takes_over_the_lease)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    libcache_load *forgotten, *next;
    libcache_ns *a;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    forgotten = begin(a, "key", 0, LIBCACHE_LEAD);
    fake_clock_advance(&hosts.a.clock, LEASE_MS); /* Redis, whose clock is another, believes him still */
    next = begin(a, "key", 0, LIBCACHE_LEAD);
    ck_assert_str_ne(lease_key(&hosts), "");
    ck_result(commit(next, "value"), LIBCACHE_OK);
    ck_assert_str_eq(lease_key(&hosts), "");
    libcache_load_abort(forgotten, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_leader_who_comes_late_does_not_give_back_the_lease_that_the_next_one_took_over)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_policy policy = lease_policy();
    struct hosts hosts;

    options.wait_ms = 40;
    hosts_up(&hosts);
    for (int how = 0; how < 3; how++) {
        libcache_ns *a = space(&hosts.a, "shared", &policy), *b = space(&hosts.b, "shared", &policy);
        libcache_load *forgotten = begin(a, "key", 0, LIBCACHE_LEAD), *next, *mine = NULL;
        fake_clock_advance(&hosts.a.clock, LEASE_MS);
        next = begin(a, "key", 0, LIBCACHE_LEAD);
        if (how == 2) {
            ck_result(libcache_delete(a, "key", 3, 0), LIBCACHE_MISS);
            ck_result(commit(forgotten, "old"), LIBCACHE_FENCED);
        } else {
            libcache_load_abort(forgotten, how ? -1 : 0);
        }
        ck_assert_str_ne(lease_key(&hosts), "");
        ck_result(libcache_load_begin(&mine, b, "key", 3, &value, &options), LIBCACHE_BYPASS);
        libcache_load_abort(mine, 0);
        libcache_load_abort(next, 0);
        ck_assert_str_eq(lease_key(&hosts), "");
    }
    hosts_down(&hosts);
}
END_TEST

/*
 * Who waits for another host's lease leads on his own. If he does not look for so long that another takes his place, that one leads, and he
 * waits for him, also when there is a stale value by now, which is the other's to refresh.
 */
START_TEST(who_waited_for_another_host_and_lost_his_flight_meanwhile_does_not_load_besides)
{
    libcache_policy policy = lease_policy();
    struct hosts hosts;

    policy.soft_ttl_ms = 50;
    hosts_up(&hosts);
    for (int stale = 0; stale < 2; stale++)
        for (int done = 0; done < 2; done++) {
            libcache_ns *a = space(&hosts.a, "shared", &policy), *b = space(&hosts.b, "shared", &policy);
            libcache_load *leads = begin(b, "key", 0, LIBCACHE_LEAD), *late, *next;
            libcache_value value = LIBCACHE_VALUE_INIT;
            late = begin(a, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
            fake_clock_advance(&hosts.a.clock, LEASE_MS);
            next = begin(a, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
            ck_wait(&late, LIBCACHE_WAIT);
            if (!stale) {
                libcache_load_abort(leads, 0);
                ck_wait(&late, LIBCACHE_WAIT);
                ck_poll(&hosts.a);
                ck_wait(&next, LIBCACHE_LEAD);
            } else {
                ck_result(commit(leads, "old"), LIBCACHE_OK);
                do { /* by Redis's clock, of which it hears in the log */
                    ck_poll(&hosts.a);
                } while (libcache_get(a, "key", 3, &value, LIBCACHE_SKIP_L1) == LIBCACHE_HIT);
                ck_wait(&next, LIBCACHE_STALE);
                ck_assert_ptr_nonnull(next); /* his to refresh */
            }
            ck_wait(&late, LIBCACHE_WAIT);
            if (done)
                ck_result(commit(next, "new"), LIBCACHE_OK);
            else
                libcache_load_abort(next, 0);
            ck_wait(&late, done ? LIBCACHE_HIT : stale ? LIBCACHE_STALE : LIBCACHE_LEAD);
            libcache_load_abort(late, 0);
            ck_assert_str_eq(lease_key(&hosts), "");
            libcache_release_value(&value);
            ck_result(libcache_invalidate_all(hosts.b.cache, 0), LIBCACHE_OK);
            ck_poll(&hosts.a);
        }
    hosts_down(&hosts);
}
END_TEST

START_TEST(the_time_that_a_host_waits_for_another_is_not_redis_time)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    struct source source = { .text = "not needed" };
    struct asker asker = { .key = "key", .source = &source };
    libcache_load *load;
    libcache_ns *a;
    uint64_t begun;

    hosts_prepare(&hosts, NULL);
    hosts.b.options.redis_timeout_ms = 2000; /* a machine that is busy may take the processor away for as long as that */
    hosts_open(&hosts);
    a = space(&hosts.a, "shared", &policy);
    load = begin(a, "key", 0, LIBCACHE_LEAD);
    asker.ns = space(&hosts.b, "shared", &policy);
    asker_start(&asker);
    begun = real_ms();
    until(real_ms() - begun > 2500);
    ck_assert_uint_eq(source.calls, 0);
    ck_result(commit(load, "value"), LIBCACHE_OK);
    asker_end(&asker, LIBCACHE_HIT, "value");
    ck_assert_uint_eq(source.calls, 0);
    hosts_down(&hosts);
}
END_TEST

/* ---- Without Redis ------------------------------------------------------------------------------------------------------------------- */

START_TEST(without_redis_loads_go_on_and_are_kept_in_L1)
{
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    struct source source = { .text = "value" };
    libcache_ns *a;

    hosts_up(&hosts);
    a = space(&hosts.a, "shared", &policy);
    redis_server_kill(&hosts.redis);
    for (int i = 0; i < 3; i++)
        ck_fetch(a, "key", &source, LIBCACHE_HIT, "value");
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_gt(rig_stats(&hosts.a).l2_errors, 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(where_nothing_can_be_kept_who_waits_loads_for_himself_and_not_by_turns)
{
    struct hosts hosts;
    struct source source = { .text = "mine" };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_load *leader, *a, *b;
    libcache_ns *ns;

    hosts_up(&hosts);
    policy.tiers = LIBCACHE_TIER_L2;
    ns = space(&hosts.a, "far", &policy);
    redis_server_kill(&hosts.redis);
    leader = begin(ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_LEAD);
    a = begin(ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
    b = begin(ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
    ck_assert_int_lt(commit(leader, "value"), 0);
    ck_wait(&a, LIBCACHE_BYPASS);
    ck_wait(&b, LIBCACHE_BYPASS);
    libcache_load_abort(a, 0);
    libcache_load_abort(b, 0);
    ck_fetch(ns, "key", &source, LIBCACHE_HIT, "mine");
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(G7_a_begin_or_commit_with_a_silent_redis_takes_one_timeout)
{
    enum { TIMEOUT = 400 };
    struct hosts hosts;
    libcache_policy policy = lease_policy();
    libcache_load *load = NULL;
    libcache_ns *a;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.redis_timeout_ms = TIMEOUT;
    hosts.a.options.breaker_failures = 1000;
    hosts_open(&hosts);
    a = space(&hosts.a, "shared", &policy);
    for (int when = 0; when < 2; when++) {
        uint64_t begun, took = 0;
        for (int attempt = 0; attempt < 5; attempt++) { /* a busy machine may take the processor away */
            if (when == 1)
                load = begin(a, "key", 0, LIBCACHE_LEAD);
            redis_server_pause(&hosts.redis);
            begun = real_ms();
            if (when == 0)
                load = begin(a, "key", 0, LIBCACHE_LEAD);
            else
                libcache_load_abort(load, -1);
            took = real_ms() - begun;
            redis_server_resume(&hosts.redis);
            if (when == 0)
                libcache_load_abort(load, 0);
            fake_clock_advance(&hosts.a.clock, 2 * LEASE_MS);
            if (took < TIMEOUT * 3 / 2)
                break;
        }
        ck_assert_msg(took < TIMEOUT * 3 / 2, "%s takes %u ms", when ? "commit" : "begin", (unsigned)took);
    }
    hosts_down(&hosts);
}
END_TEST

enum way { COLD, FAR, STALE, FAILING, BATCH, BATCH_STALE, BATCH_FAILING, WAYS };

static struct {
    uint64_t begun, loader;
} times;

static void note_time(struct source *source, const libcache_slice *key)
{
    (void)key;
    if (source->error) /* the lease is ours: there is something to tell Redis as well as something to ask it */
        redis_server_pause(source->arg);
    times.loader = real_ms();
}

START_TEST(G7_a_silent_redis_costs_one_timeout_before_the_loader_runs_and_one_after)
{
    enum { TIMEOUT = 300 };
    struct hosts hosts;
    libcache_policy policy = lease_policy();

    hosts_prepare(&hosts, NULL);
    hosts.a.options.redis_timeout_ms = TIMEOUT;
    hosts.a.options.breaker_failures = 1000;
    hosts_open(&hosts);
    policy.soft_ttl_ms = 10000;
    for (enum way way = COLD; way < WAYS; way++) {
        uint64_t before = 0, after = 0;
        for (int attempt = 0; attempt < 5; attempt++) { /* a busy machine may take the processor away */
            struct source source = { .text = "v" };
            char name[40];
            libcache_ns *ns;
            policy.tiers = way == FAR ? LIBCACHE_TIER_L2 : 0;
            snprintf(name, sizeof name, "way %d, attempt %d", (int)way, attempt);
            ns = space(&hosts.a, name, &policy);
            if (way == STALE || way == BATCH_STALE) {
                ck_fetch_many(ns, "abcd", &source, LIBCACHE_OK, "hhhh", "v");
                fake_clock_advance(&hosts.a.clock, 20000);
            }
            source.during = note_time;
            source.arg = &hosts.redis;
            source.error = way == FAILING || way == BATCH_FAILING ? -1 : 0;
            if (!source.error)
                redis_server_pause(&hosts.redis);
            times.begun = real_ms();
            if (way < BATCH)
                ck_fetch(ns, "a", &source, source.error ? LIBCACHE_ELOAD : LIBCACHE_HIT, "v");
            else
                ck_fetch_many(ns, "abcd", &source, source.error ? LIBCACHE_ELOAD : LIBCACHE_OK, source.error ? "eeee" : "hhhh", "v");
            before = times.loader - times.begun;
            after = real_ms() - times.loader;
            redis_server_resume(&hosts.redis);
            source_done(&source);
            if (before < TIMEOUT * 3 / 2 && after < TIMEOUT * 3 / 2)
                break;
        }
        ck_assert_msg(before < TIMEOUT * 3 / 2 && after < TIMEOUT * 3 / 2, "way %d: %u ms before the loader, %u after", (int)way,
                      (unsigned)before, (unsigned)after);
    }
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_lease", of_two_hosts_one_loads_and_the_other_is_given_its_value,
                     a_host_whose_load_fails_leaves_it_to_the_other,
                     who_has_waited_for_another_host_for_long_enough_loads_for_himself,
                     of_a_host_that_has_waited_for_long_enough_one_loads_and_the_others_wait_for_him,
                     a_lease_is_given_back_in_the_exchange_that_stores_the_first_time_as_well,
                     a_load_asks_redis_as_often_as_it_must, a_leader_that_takes_over_on_its_host_takes_over_the_lease,
                     a_leader_who_comes_late_does_not_give_back_the_lease_that_the_next_one_took_over,
                     who_waited_for_another_host_and_lost_his_flight_meanwhile_does_not_load_besides,
                     the_time_that_a_host_waits_for_another_is_not_redis_time, without_redis_loads_go_on_and_are_kept_in_L1,
                     where_nothing_can_be_kept_who_waits_loads_for_himself_and_not_by_turns,
                     G7_a_begin_or_commit_with_a_silent_redis_takes_one_timeout,
                     G7_a_silent_redis_costs_one_timeout_before_the_loader_runs_and_one_after);
}
