/* What is counted where there is a Redis tier, by reason; its times; slow operations. SPDX-License-Identifier: MIT */
#include "support/hosts.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;

static libcache_ns_stats stats_of(libcache_ns *ns)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ck_result(libcache_read_ns_stats(ns, &stats), LIBCACHE_OK);
    return stats;
}

static uint64_t timed(const struct rig *rig, int which)
{
    libcache_times times = LIBCACHE_TIMES_INIT;

    ck_result(libcache_read_times(rig->cache, which, &times), LIBCACHE_OK);
    return times.count;
}

static void get_many_one(libcache_ns *ns, const char *key)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice slice = slice_of(key);
    int got;

    ck_result(libcache_get_many(ns, &slice, 1, &value, &got, NULL, 0), LIBCACHE_OK);
    libcache_release_value(&value);
}

/* The same reads in three ways: each must be a miss for this reason. */
#define ck_missed(ns, key, reason)                                                                  \
    do {                                                                                            \
        for (int way_ = 0; way_ < 3; way_++) {                                                      \
            libcache_ns_stats before_ = stats_of(ns), after_;                                       \
            libcache_value value_ = LIBCACHE_VALUE_INIT;                                            \
            libcache_load *load_ = NULL;                                                            \
            if (way_ == 0)                                                                          \
                ck_result(libcache_get(ns, key, strlen(key), &value_, 0), LIBCACHE_MISS);           \
            else if (way_ == 1)                                                                     \
                get_many_one(ns, key);                                                              \
            else                                                                                    \
                ck_result(libcache_load_begin(&load_, ns, key, strlen(key), &value_, NULL), LIBCACHE_LEAD); \
            libcache_load_abort(load_, 0);                                                          \
            after_ = stats_of(ns);                                                                  \
            ck_assert_uint_eq(after_.misses, before_.misses + 1);                                   \
            ck_assert_msg(after_.reason == before_.reason + 1, "way %d: not counted as " #reason    \
                          ": cold %d, expired %d, evicted %d, invalidated %d, unvouched %d, unavailable %d", way_, \
                          (int)(after_.miss_cold - before_.miss_cold), (int)(after_.miss_expired - before_.miss_expired), \
                          (int)(after_.miss_evicted - before_.miss_evicted), (int)(after_.miss_invalidated - before_.miss_invalidated), \
                          (int)(after_.miss_unvouched - before_.miss_unvouched), (int)(after_.miss_unavailable - before_.miss_unavailable)); \
        }                                                                                           \
    } while (0)

START_TEST(reads_are_counted_by_the_tier_that_answered)
{
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    libcache_policy soft = LIBCACHE_POLICY_INIT;
    libcache_ns_stats s;
    libcache_ns *ns;

    hosts_up(&hosts);
    soft.soft_ttl_ms = 60000;
    ns = space(&hosts.b, "soft", &soft);
    put(hosts.a.ns, "key", "value");
    put(space(&hosts.a, "soft", &soft), "key", "value");
    negative.flags = LIBCACHE_NEG;
    ck_result(libcache_set(hosts.a.ns, "not", 3, NULL, 0, &negative), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_get(hosts.b.ns, "not", 0, LIBCACHE_NEGATIVE, L2);
    ck_get(hosts.b.ns, "not", 0, LIBCACHE_NEGATIVE, L1);
    put(hosts.a.ns, "many", "value");
    ck_poll(&hosts.b);
    get_many_one(hosts.b.ns, "many");
    get_many_one(hosts.b.ns, "many");
    s = stats_of(hosts.b.ns);
    ck_assert_uint_eq(s.hits_l2, 2);
    ck_assert_uint_eq(s.hits_l1, 3);
    ck_assert_uint_eq(s.negatives_l2, 1);
    ck_assert_uint_eq(s.negatives_l1, 1);
    ck_assert_uint_eq(s.misses, 0);
    ck_assert_uint_eq(s.l2_hits, 3);
    ck_assert_uint_eq(rig_stats(&hosts.b).hits, 5);
    fake_clock_advance(&hosts.b.clock, 61000);
    ck_get(ns, "key", 0, LIBCACHE_STALE, L2);
    ck_get(ns, "key", 0, LIBCACHE_STALE, L1);
    s = stats_of(ns);
    ck_assert_uint_eq(s.stale_l2, 1);
    ck_assert_uint_eq(s.stale_l1, 1);
    ck_assert_uint_eq(s.hits_l1 + s.hits_l2, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_miss_has_the_reason_of_the_tier_that_knows_one)
{
    hosts_up(&hosts);
    ck_missed(hosts.a.ns, "none", miss_cold);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    invalidate_tag(hosts.a.cache, "tag");
    ck_missed(hosts.a.ns, "key", miss_invalidated);
    ck_poll(&hosts.b);
    ck_missed(hosts.b.ns, "key", miss_invalidated); /* L1 has it, and knows */
    put_tagged(hosts.a.ns, "only there", "value", "other");
    ck_poll(&hosts.b);
    invalidate_tag(hosts.a.cache, "other");
    ck_poll(&hosts.b);
    ck_missed(hosts.b.ns, "only there", miss_invalidated); /* Redis has it, and this host knows */
    ck_assert_uint_ge(stats_of(hosts.b.ns).l2_invalidated, 3);
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_only_redis_knows_to_be_invalid_is_counted_so)
{
    libcache_ns *ns;

    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    invalidate_tag(hosts.a.cache, "tag");
    host_open(&hosts.b); /* whose knowledge of marks begins now: it asks Redis */
    ns = hosts.b.ns;
    ck_missed(ns, "key", miss_invalidated);
    ck_assert_uint_ge(stats_of(ns).l2_verified, 1);
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_redis_does_not_judge_is_unvouched)
{
    char answer[200];

    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    invalidate_tag(hosts.a.cache, "another");
    host_open(&hosts.b); /* whose knowledge of marks begins now: it asks Redis */
    REDIS(&hosts.redis, answer, "ACL", "SETUSER", "default", "-hmget");
    ck_missed(hosts.b.ns, "key", miss_unvouched);
    REDIS(&hosts.redis, answer, "ACL", "SETUSER", "default", "+hmget");
    ck_from(hosts.b.ns, "key", "value", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(without_redis_a_miss_is_unavailable_or_unvouched)
{
    hosts_prepare(&hosts, NULL);
    hosts.a.options.max_staleness_ms = 2000;
    hosts.a.options.poll_ms = 2000;
    hosts.a.options.redis_timeout_ms = 200;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "value");
    redis_server_kill(&hosts.redis);
    ck_from(hosts.a.ns, "key", "value", L1); /* still fresh enough */
    ck_missed(hosts.a.ns, "none", miss_unavailable);
    fake_clock_advance(&hosts.a.clock, 2001);
    ck_missed(hosts.a.ns, "key", miss_unvouched);
    ck_assert_uint_ge(stats_of(hosts.a.ns).l2_errors, 4);
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_another_history_ends_is_unvouched)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    REDIS_AGAIN(&hosts.redis, REDIS_EMPTY);
    fake_clock_advance(&hosts.a.clock, 10000); /* the breaker's pause */
    ck_assert_int_ge(libcache_poll(hosts.a.cache, 0), LIBCACHE_EBUSY);
    ck_poll(&hosts.a);
    ck_missed(hosts.a.ns, "key", miss_unvouched);
    hosts_down(&hosts);
}
END_TEST

START_TEST(each_round_trip_is_timed_and_a_hit_is_not)
{
    uint64_t n;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    n = timed(&hosts.a, LIBCACHE_TIME_EXCHANGE);
    ck_assert_uint_ge(n, 2); /* the poll's, and this */
    for (int i = 0; i < 100; i++)
        ck_from(hosts.a.ns, "key", "value", L1);
    ck_assert_uint_eq(timed(&hosts.a, LIBCACHE_TIME_EXCHANGE), n);
    ck_get(hosts.a.ns, "none", 0, LIBCACHE_MISS, 0);
    ck_assert_uint_eq(timed(&hosts.a, LIBCACHE_TIME_EXCHANGE), n + 1);
    ck_assert_uint_eq(timed(&hosts.b, LIBCACHE_TIME_GET), 0);
    hosts_down(&hosts);
}
END_TEST

static libcache_ns_stats sum_of(const struct rig *rig)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ck_result(libcache_sum_stats(rig->cache, &stats), LIBCACHE_OK);
    return stats;
}

/* In a child, whose own statistics begin at 0 and end with it. */
static void put_in_a_child(const struct rig *rig)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        put(rig->ns, "child", "of the family");
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static void *get_for_nothing(void *arg)
{
    const struct rig *rig = arg;

    ck_get(rig->ns, "none", 0, LIBCACHE_MISS, 0);
    return NULL;
}

START_TEST(connections_are_counted_over_all_processes)
{
    libcache_ns_stats sum, later;
    pthread_t thread[3];

    hosts_prepare(&hosts, NULL);
    hosts.a.options.segment = LIBCACHE_NAMED;
    hosts.a.options.name = segment_name("traffic");
    hosts.a.options.pool_max = 1;
    hosts.a.options.pool_wait_ms = 20;
    hosts.a.options.redis_timeout_ms = 200;
    hosts.a.options.breaker_failures = 1000000;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "value");
    sum = sum_of(&hosts.a);
    ck_assert_uint_eq(sum.l2_connects, rig_stats(&hosts.a).l2_connects);
    ck_assert_uint_eq(sum.l2_bytes_out, rig_stats(&hosts.a).l2_bytes_out);
    ck_assert_uint_eq(sum.l2_bytes_in, rig_stats(&hosts.a).l2_bytes_in);
    ck_assert_uint_ge(sum.l2_bytes_out, sum.l2_connects);
    ck_assert_uint_eq(stats_of(hosts.a.ns).l2_bytes_out, 0); /* of no namespace */

    put_in_a_child(&hosts.a);
    later = sum_of(&hosts.a);
    ck_assert_uint_eq(later.l2_connects, sum.l2_connects + 1);
    ck_assert_uint_gt(later.l2_bytes_out, sum.l2_bytes_out + strlen("of the family"));
    ck_assert_uint_gt(later.l2_bytes_in, sum.l2_bytes_in);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_connects, sum.l2_connects);

    redis_server_pause(&hosts.redis); /* one waits for Redis, the others in vain for him */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, get_for_nothing, &hosts.a), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    redis_server_resume(&hosts.redis);
    later = sum_of(&hosts.a);
    ck_assert_uint_ge(later.pool_waits, 2);
    ck_assert_uint_ge(later.pool_refusals, 2);
    ck_assert_uint_ge(later.l2_timeouts, 1);
    ck_assert_uint_eq(later.l2_retries, 0);

    put(hosts.a.ns, "key", "again"); /* on a new connection */
    redis_server_kill(&hosts.redis);
    REDIS_AGAIN(&hosts.redis, REDIS_KEPT);
    libcache_exists(hosts.a.ns, "none", 4, 0); /* the connection has died: the request is repeated on another */
    ck_assert_uint_eq(sum_of(&hosts.a).l2_retries, 1);
    hosts_down(&hosts);
}
END_TEST

/* What options.slow was told. */
struct told {
    char operations[200];
    uint64_t least_ns;
};

static void note_slow(void *arg, const libcache_slow *slow)
{
    struct told *told = arg;
    size_t size = strlen(told->operations);

    snprintf(told->operations + size, sizeof told->operations - size, "%s(%s,%.*s)=%d ", slow->operation,
             slow->ns_name ? slow->ns_name : "-", (int)slow->key_size, slow->key ? (const char *)slow->key : "", slow->result);
    if (slow->duration_ns < told->least_ns)
        told->least_ns = slow->duration_ns;
}

/* Fails the test unless one operation was told of, so, and forgets it. */
static void ck_told(struct told *told, const char *operation)
{
    ck_assert_msg(strcmp(told->operations, operation) == 0, "told of \"%s\", not \"%s\"", told->operations, operation);
    told->operations[0] = '\0';
}

START_TEST(operations_that_redis_makes_slow_are_told_by_name)
{
    struct told told = { "", UINT64_MAX };
    libcache_owner owner = { "" };
    libcache_slice keys[] = { LIBCACHE_STR("a"), LIBCACHE_STR("b") };

    hosts_prepare(&hosts, NULL);
    hosts.a.options.slow = note_slow;
    hosts.a.options.slow_arg = &told;
    hosts.a.options.slow_ms = 20;
    hosts.a.options.redis_timeout_ms = 25;
    hosts.a.options.breaker_failures = 1000000;
    host_open(&hosts.b);
    rig_open(&hosts.a);
    put(hosts.b.ns, "key", "value");
    while (libcache_poll(hosts.a.cache, 1000) != LIBCACHE_OK)
        ; /* bounded by the test's own limit */
    told.operations[0] = '\0';
    redis_server_pause(&hosts.redis);
    ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_told(&told, "get(test,key)=4 ");
    libcache_exists(hosts.a.ns, KEY, 0);
    ck_told(&told, "get(test,key)=4 ");
    get_many_one(hosts.a.ns, "key");
    ck_told(&told, "get(test,key)=4 ");
    put(hosts.a.ns, "set", "value");
    ck_told(&told, "set(test,set)=-17 ");
    libcache_delete(hosts.a.ns, KEY, 0);
    ck_told(&told, "delete(test,key)=-17 ");
    libcache_delete_many(hosts.a.ns, keys, 2, NULL, 0);
    ck_told(&told, "delete(test,)=-17 ");
    libcache_touch(hosts.a.ns, KEY, 0, 0);
    ck_told(&told, "touch(test,key)=-17 ");
    libcache_increment(hosts.a.ns, "n", 1, 1, NULL, NULL);
    ck_told(&told, "increment(test,n)=-17 ");
    libcache_invalidate_namespace(hosts.a.ns, 0);
    ck_told(&told, "invalidate(test,)=-17 ");
    invalidate_tag(hosts.a.cache, "tag");
    ck_told(&told, "invalidate(-,)=-17 ");
    libcache_lock_take(hosts.a.cache, "lock", 4, &owner, 1000, 0);
    ck_told(&told, "lock(-,lock)=-17 ");
    libcache_rate_hit(hosts.a.cache, "rate", 4, 1, 1000, NULL);
    ck_told(&told, "rate(-,rate)=-17 ");
    put(hosts.a.ns, "here", "value");
    told.operations[0] = '\0';
    ck_from(hosts.a.ns, "here", "value", L1);
    ck_told(&told, "");
    ck_assert_uint_ge(told.least_ns, 20000000);
    ck_assert_uint_ge(stats_of(hosts.a.ns).slow, 9);
    redis_server_resume(&hosts.redis);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_looker_sees_the_hosts_figures_and_keeps_its_promise_of_staleness)
{
    libcache_options look = LIBCACHE_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT, own;
    libcache *looker;
    libcache_ns *ns;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.segment = LIBCACHE_NAMED;
    hosts.a.options.name = segment_name("host");
    hosts_open(&hosts);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    invalidate_tag(hosts.b.cache, "tag");
    ck_poll(&hosts.a);
    put(hosts.a.ns, "key", "value");
    look.read_only = 1;
    look.clock_ms = fake_clock_read;
    look.clock_arg = &hosts.a.clock;
    ck_result(libcache_attach(&looker, hosts.a.options.name, &look, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, looker, "test", NULL, NULL), LIBCACHE_OK);
    fake_clock_advance(&hosts.a.clock, 1500);
    ck_result(libcache_read_stats(looker, &stats), LIBCACHE_OK);
    own = rig_stats(&hosts.a);
    ck_assert_uint_ge(stats.log_position, 3);
    ck_assert_uint_eq(stats.log_position, own.log_position);
    ck_assert_uint_eq(stats.log_applied, own.log_applied);
    ck_assert_uint_eq(stats.coherence_age_ms, 1500);
    ck_assert_uint_eq(stats.breaker_open, 0);
    ck_assert_uint_eq(stats.l2_exchanges, 0);
    ck_result(libcache_get(ns, KEY, &value, 0), LIBCACHE_HIT);
    fake_clock_advance(&hosts.a.clock, 501); /* the default's 2 s are over */
    ck_result(libcache_get(ns, KEY, &value, 0), LIBCACHE_MISS);
    redis_server_kill(&hosts.redis);
    hosts.a.options.breaker_failures = 3;
    for (int i = 0; i < 5; i++)
        put(hosts.a.ns, "other", "value");
    ck_result(libcache_read_stats(looker, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.breaker_open, 1);
    ck_assert_uint_ge(stats.breaker_opens, 1);
    ck_assert_uint_gt(stats.owed_bytes, 0);
    libcache_release_value(&value);
    libcache_close(looker);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("metrics_redis", reads_are_counted_by_the_tier_that_answered, a_miss_has_the_reason_of_the_tier_that_knows_one,
                     what_only_redis_knows_to_be_invalid_is_counted_so, what_redis_does_not_judge_is_unvouched, without_redis_a_miss_is_unavailable_or_unvouched,
                     what_another_history_ends_is_unvouched, each_round_trip_is_timed_and_a_hit_is_not, connections_are_counted_over_all_processes,
                     operations_that_redis_makes_slow_are_told_by_name,
                     a_looker_sees_the_hosts_figures_and_keeps_its_promise_of_staleness);
}
