/*
 * Invalidations across hosts: what one host changes, the others stop serving, from either tier; and no load that began before
 * brings it back (G1 to G3). SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"

#include <stdio.h>
#include <string.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;

/* ---- The ways to invalidate ----------------------------------------------------------------------------------------- */

static int by_key(struct rig *rig)
{
    return libcache_delete(rig->ns, KEY, 0) < 0;
}

static int by_keys(struct rig *rig)
{
    libcache_slice keys[2] = { LIBCACHE_STR("another"), LIBCACHE_STR("key") };
    return libcache_delete_many(rig->ns, keys, 2, NULL, 0);
}

static int by_tag(struct rig *rig)
{
    return invalidate_tag(rig->cache, "tag");
}

static int by_namespace(struct rig *rig)
{
    return libcache_invalidate_namespace(rig->ns, 0);
}

static int by_all(struct rig *rig)
{
    return libcache_invalidate_all(rig->cache, 0);
}

static const struct {
    int (*invalidate)(struct rig *rig);
    int by_key;
} ways[] = { { by_key, 1 }, { by_keys, 1 }, { by_tag, 0 }, { by_namespace, 0 }, { by_all, 0 } };

#define WAYS (sizeof ways / sizeof *ways)

/* libcache_set with the stamp of a load, and the tag. */
static int fill(struct rig *rig, const libcache_stamp *stamp, const char *value)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("tag");

    options.stamp = stamp;
    options.tags = &tag;
    options.n_tags = 1;
    return libcache_set(rig->ns, KEY, value, strlen(value), &options);
}

START_TEST(what_one_host_invalidates_is_gone_on_the_other)
{
    for (size_t i = 0; i < WAYS; i++) {
        hosts_up(&hosts);
        put_tagged(hosts.a.ns, "key", "value", "tag");
        ck_poll(&hosts.b);
        ck_from(hosts.b.ns, "key", "value", L2);
        ck_from(hosts.b.ns, "key", "value", L1);
        ck_result(ways[i].invalidate(&hosts.a), LIBCACHE_OK);
        ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
        ck_from(hosts.b.ns, "key", "value", L1);
        ck_poll(&hosts.b);
        ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
        ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
        ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_MISS, 0);
        ck_assert_uint_eq(rig_stats(&hosts.b).l2_invalidated, ways[i].by_key ? 0 : 1);
        put_tagged(hosts.b.ns, "key", "again", "tag"); /* and what is stored afterwards lives */
        ck_poll(&hosts.a);
        ck_from(hosts.a.ns, "key", "again", L2);
        ck_from(hosts.a.ns, "key", "again", L1);
        hosts_down(&hosts);
    }
}
END_TEST

START_TEST(names_reach_hosts_that_have_not_heard_of_the_namespace_s_keys)
{
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "late", NULL);
    put(a, "overtaken", "old");
    ck_poll(&hosts.b);
    ck_result(libcache_invalidate_namespace(a, 0), LIBCACHE_OK);
    put(a, "valid", "new");
    ck_poll(&hosts.b); /* where the name says nothing to anybody */
    b = space(&hosts.b, "late", NULL);
    ck_get(b, "overtaken", 0, LIBCACHE_MISS, 0);
    ck_from(b, "valid", "new", L2);
    ck_from(b, "valid", "new", L1);
    ck_get(b, "overtaken", LIBCACHE_SKIP_L1, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

/* ---- Loads ---------------------------------------------------------------------------------------------------------------- */

START_TEST(what_a_load_stores_is_told_to_nobody)
{
    libcache_stamp stamp;
    uint64_t position;

    hosts_up(&hosts);
    position = log_position(&hosts);
    ck_result(libcache_take_stamp(hosts.a.ns, KEY, &stamp), LIBCACHE_OK);
    ck_result(fill(&hosts.a, &stamp, "loaded"), LIBCACHE_OK);
    ck_assert_uint_eq(log_position(&hosts), position);
    ck_from(hosts.a.ns, "key", "loaded", L1);
    ck_from(hosts.b.ns, "key", "loaded", L2);
    ck_from(hosts.b.ns, "key", "loaded", L1);
    ck_result(by_tag(&hosts.b), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_slow_load_never_overwrites_an_invalidation_of_another_host)
{
    for (size_t i = 0; i < WAYS; i++)
        for (int heard = 0; heard < 2; heard++) {
            libcache_stamp stamp;
            int result;
            hosts_up(&hosts);
            put_tagged(hosts.a.ns, "key", "old", "tag");
            ck_poll(&hosts.b);
            ck_result(libcache_take_stamp(hosts.b.ns, KEY, &stamp), LIBCACHE_OK);
            ck_result(ways[i].invalidate(&hosts.a), LIBCACHE_OK);
            if (heard)
                ck_poll(&hosts.b);
            result = fill(&hosts.b, &stamp, "old");
            if (heard || ways[i].by_key) {
                ck_result(result, LIBCACHE_FENCED);
                ck_assert_uint_eq(rig_stats(&hosts.b).fenced, 1);
                ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 0);
            }
            ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0); /* whatever lies in Redis now */
            ck_poll(&hosts.b);
            ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
            ck_result(libcache_take_stamp(hosts.b.ns, KEY, &stamp), LIBCACHE_OK);
            ck_result(fill(&hosts.b, &stamp, "new"), LIBCACHE_OK);
            ck_from(hosts.a.ns, "key", "new", L2);
            hosts_down(&hosts);
        }
}
END_TEST

START_TEST(a_slow_load_never_overwrites_a_value_that_was_set_meanwhile)
{
    libcache_stamp stamp, later;

    hosts_up(&hosts);
    ck_result(libcache_take_stamp(hosts.b.ns, KEY, &stamp), LIBCACHE_OK);
    put(hosts.a.ns, "key", "set");
    ck_result(fill(&hosts.b, &stamp, "older"), LIBCACHE_FENCED);
    ck_from(hosts.b.ns, "key", "set", L2);
    ck_poll(&hosts.b);
    ck_result(libcache_take_stamp(hosts.b.ns, KEY, &later), LIBCACHE_OK);
    ck_result(fill(&hosts.b, &later, "newer"), LIBCACHE_OK);
    ck_result(fill(&hosts.a, &stamp, "older"), LIBCACHE_FENCED); /* nor does one that began on another host's clock */
    ck_poll(&hosts.a);
    ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_load_from_before_redis_lost_its_memory_is_fenced)
{
    libcache_stamp stamp;
    char answer[100];

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    ck_result(libcache_take_stamp(hosts.b.ns, KEY, &stamp), LIBCACHE_OK);
    REDIS(&hosts.redis, answer, "FLUSHALL");
    ck_result(fill(&hosts.b, &stamp, "old"), LIBCACHE_FENCED);
    put(hosts.a.ns, "key", "new"); /* a new history begins */
    ck_result(fill(&hosts.b, &stamp, "old"), LIBCACHE_FENCED);
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "new", L2);
    ck_assert_uint_ge(rig_stats(&hosts.b).epochs, 2);
    hosts_down(&hosts);
}
END_TEST

/* ---- Hosts that come later -------------------------------------------------------------------------------------------------- */

START_TEST(what_was_written_before_a_host_began_is_verified_once_and_then_kept)
{
    uint64_t sent;
    libcache_stats stats;

    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    put_tagged(hosts.a.ns, "key", "value", "tag");
    put_tagged(hosts.a.ns, "overtaken", "old", "other");
    ck_result(invalidate_tag(hosts.a.cache, "other"), LIBCACHE_OK);
    put(hosts.a.ns, "untagged", "value");
    host_open(&hosts.b);
    sent = exchanges(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    ck_assert_uint_eq(exchanges(&hosts.b), sent + 2);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_verified, 1);
    ck_from(hosts.b.ns, "key", "value", L1);
    put(hosts.a.ns, "something", "else");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_from(hosts.b.ns, "untagged", "value", L2);
    ck_get(hosts.b.ns, "overtaken", 0, LIBCACHE_MISS, 0);
    stats = rig_stats(&hosts.b);
    ck_assert_uint_ge(stats.l2_verified, 2);
    ck_assert_uint_eq(stats.l2_invalidated, 1);
    ck_result(by_tag(&hosts.a), LIBCACHE_OK); /* the copy has a stamp of this host's now, and goes like any other */
    ck_poll(&hosts.b);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_tag_whose_mark_redis_has_dropped_is_not_vouched_for)
{
    char answer[100];

    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    put_tagged(hosts.a.ns, "tagged", "old", "tag");
    put(hosts.a.ns, "untagged", "value");
    REDIS(&hosts.redis, answer, "HSET", "{libcache}:meta", "h", "2"); /* as pruning does: marks up to there may be gone */
    host_open(&hosts.b);
    ck_get(hosts.b.ns, "tagged", 0, LIBCACHE_MISS, 0);
    ck_from(hosts.b.ns, "untagged", "value", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_host_that_missed_a_part_of_the_log_gives_up_its_copies)
{
    uint64_t epochs;
    char answer[100];

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    put_tagged(hosts.a.ns, "stays", "value", "tag");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    ck_from(hosts.b.ns, "stays", "value", L2);
    epochs = rig_stats(&hosts.b).epochs;
    put(hosts.a.ns, "key", "new");
    put(hosts.a.ns, "another", "value");
    REDIS(&hosts.redis, answer, "XTRIM", "{libcache}:log", "MAXLEN", "1");
    ck_poll(&hosts.b);
    ck_assert_uint_eq(rig_stats(&hosts.b).epochs, epochs + 1);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key") + in_l1(hosts.b.ns, "stays"), 0);
    ck_from(hosts.b.ns, "key", "new", L2);
    ck_from(hosts.b.ns, "stays", "value", L2);
    ck_from(hosts.b.ns, "stays", "value", L1);
    hosts_down(&hosts);
}
END_TEST

/* ---- Without news ------------------------------------------------------------------------------------------------------------- */

START_TEST(memory_stops_answering_when_redis_has_not_been_heard_of_for_too_long)
{
    hosts_prepare(&hosts, NULL);
    hosts.b.options.max_staleness_ms = 2000;
    hosts.b.options.poll_ms = 100;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    fake_clock_advance(&hosts.b.clock, 2000);
    redis_server_kill(&hosts.redis);
    ck_from(hosts.b.ns, "key", "value", L1);
    ck_assert_uint_eq(rig_stats(&hosts.b).coherence_age_ms, 2000);
    fake_clock_advance(&hosts.b.clock, 1);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_get(hosts.b.ns, "key", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    ck_from(hosts.a.ns, "key", "value", L1); /* who allows an hour still has it */
    hosts_down(&hosts);
}
END_TEST

START_TEST(calls_read_the_log_when_nobody_else_has)
{
    hosts_prepare(&hosts, NULL);
    hosts.b.options.max_staleness_ms = 2000;
    hosts.b.options.poll_ms = 100;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    put(hosts.a.ns, "key", "new");
    fake_clock_advance(&hosts.b.clock, 99);
    ck_from(hosts.b.ns, "key", "old", L1);
    fake_clock_advance(&hosts.b.clock, 1);
    ck_from(hosts.b.ns, "key", "new", L2);
    ck_assert_uint_eq(rig_stats(&hosts.b).log_records, 2);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_hosts", what_one_host_invalidates_is_gone_on_the_other,
                     names_reach_hosts_that_have_not_heard_of_the_namespace_s_keys, what_a_load_stores_is_told_to_nobody,
                     a_slow_load_never_overwrites_an_invalidation_of_another_host,
                     a_slow_load_never_overwrites_a_value_that_was_set_meanwhile,
                     a_load_from_before_redis_lost_its_memory_is_fenced,
                     what_was_written_before_a_host_began_is_verified_once_and_then_kept,
                     a_tag_whose_mark_redis_has_dropped_is_not_vouched_for,
                     a_host_that_missed_a_part_of_the_log_gives_up_its_copies,
                     memory_stops_answering_when_redis_has_not_been_heard_of_for_too_long,
                     calls_read_the_log_when_nobody_else_has);
}
