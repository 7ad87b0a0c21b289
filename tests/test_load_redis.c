/*
 * Loads with Redis: two hosts, each with a segment and a clock of its own. The log is read only where a test says so.
 * SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <stdio.h>
#include <string.h>

/* Soft TTL 10 s, TTL 60 s, grace 30 s, backoff 1 s. */
static libcache_policy soft_policy(void)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    return policy;
}

static void advance(struct hosts *hosts, uint64_t ms)
{
    fake_clock_advance(&hosts->a.clock, ms);
    fake_clock_advance(&hosts->b.clock, ms);
}

/* New connections learn anew how far Redis's clock is from ours: for who has let his own go on. */
static void meet_again(struct hosts *hosts)
{
    char answer[100];

    REDIS(&hosts->redis, answer, "CLIENT", "KILL", "TYPE", "normal");
    until(libcache_poll(hosts->a.cache, 0) == LIBCACHE_OK);
    until(libcache_poll(hosts->b.cache, 0) == LIBCACHE_OK);
}

/* ---- What one host loads ---------------------------------------------------------------------------------------------------- */

START_TEST(what_one_host_has_loaded_the_other_need_not_load)
{
    struct hosts hosts;
    struct source source = { .text = "value", .as = { .codec = 4, .user_flags = 5 } };
    libcache_value value = LIBCACHE_VALUE_INIT;

    hosts_up(&hosts);
    ck_fetch(hosts.a.ns, "key", &source, LIBCACHE_HIT, "value");
    ck_result(fetch(hosts.b.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, LIBCACHE_TIER_L2);
    ck_assert_int_eq(value.codec, 4);
    ck_assert_uint_eq(value.flags, 5);
    ck_result(fetch(hosts.b.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, LIBCACHE_TIER_L1);
    ck_assert_uint_eq(source.calls, 1);
    source.as.flags = LIBCACHE_NEG;
    ck_fetch(hosts.a.ns, "none", &source, LIBCACHE_NEGATIVE, NULL);
    ck_fetch(hosts.b.ns, "none", &source, LIBCACHE_NEGATIVE, NULL);
    ck_assert_uint_eq(source.calls, 2);
    libcache_release_value(&value);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(what_is_within_its_grace_in_redis_is_served_when_the_load_fails)
{
    struct hosts hosts;
    struct source source = { .text = "old" };
    libcache_policy policy = soft_policy();
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "soft", &policy);
    b = space(&hosts.b, "soft", &policy);
    ck_fetch(a, "key", &source, LIBCACHE_HIT, "old");
    advance(&hosts, 70000); /* Redis's own clock has gone on by itself: not to the millisecond */
    ck_get(b, "key", 0, LIBCACHE_MISS, 0); /* a get is never given it */
    source.error = -1;
    ck_fetch(b, "key", &source, LIBCACHE_STALE, "old");
    ck_fetch(b, "key", &source, LIBCACHE_STALE, "old");
    ck_assert_uint_eq(source.calls, 2);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0); /* nor when it has been copied */
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_refresh_that_another_host_has_made_is_not_made_again)
{
    struct hosts hosts;
    struct source source = { .text = "old" };
    libcache_policy policy = soft_policy();
    libcache_ns *a, *b;

    hosts_up(&hosts);
    a = space(&hosts.a, "soft", &policy);
    b = space(&hosts.b, "soft", &policy);
    ck_fetch(a, "key", &source, LIBCACHE_HIT, "old");
    ck_fetch(b, "key", &source, LIBCACHE_HIT, "old");
    advance(&hosts, 20000);
    source.text = "new";
    ck_fetch(a, "key", &source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(source.calls, 2);
    meet_again(&hosts);
    ck_fetch(b, "key", &source, LIBCACHE_HIT, "new");
    ck_assert_uint_eq(source.calls, 2);
    ck_from(b, "key", "new", LIBCACHE_TIER_L1);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

static void ck_begin(libcache_ns *ns, const libcache_load_options *options, int result, const char *text, libcache_load **load)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    ck_result(libcache_load_begin(load, ns, "key", 3, &value, options), result);
    ck_assert_uint_eq(value.size, strlen(text));
    ck_assert_mem_eq(value.data, text, value.size);
    libcache_release_value(&value);
}

START_TEST(a_call_may_say_itself_how_old_is_too_old)
{
    struct hosts hosts;
    struct source source = { .text = "old" };
    libcache_policy policy = soft_policy();
    libcache_load_options young = LIBCACHE_LOAD_OPTIONS_INIT, older = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load, *another;
    libcache_ns *a, *b;

    hosts_up(&hosts);
    policy.soft_ttl_ms = LIBCACHE_FOREVER;
    a = space(&hosts.a, "hard", &policy);
    b = space(&hosts.b, "hard", &policy);
    young.soft_ttl_ms = 10000;
    older.soft_ttl_ms = 40000;
    ck_fetch(a, "key", &source, LIBCACHE_HIT, "old");
    ck_fetch(b, "key", &source, LIBCACHE_HIT, "old");
    advance(&hosts, 20000);
    ck_begin(a, &older, LIBCACHE_HIT, "old", &load);
    ck_assert_ptr_null(load);
    ck_begin(a, &young, LIBCACHE_STALE, "old", &load);
    ck_assert_ptr_nonnull(load);
    ck_begin(a, &young, LIBCACHE_STALE, "old", &another);
    ck_assert_ptr_null(another);
    ck_result(libcache_load_recheck(load, NULL), LIBCACHE_MISS); /* what Redis has is as old */
    ck_result(libcache_load_commit(load, "new", 3, NULL), LIBCACHE_OK);
    meet_again(&hosts);
    ck_begin(b, &older, LIBCACHE_HIT, "old", &load);
    ck_assert_ptr_null(load);
    ck_begin(b, &young, LIBCACHE_STALE, "old", &load);
    ck_assert_ptr_nonnull(load);
    ck_result(libcache_load_recheck(load, &value), LIBCACHE_HIT);
    ck_assert_mem_eq(value.data, "new", 3);
    ck_from(b, "key", "new", LIBCACHE_TIER_L1);
    advance(&hosts, 20000);
    source.text = "newest";
    ck_result(libcache_get_or_load(b, "key", 3, &value, source_load, &source, &older), LIBCACHE_HIT);
    ck_assert_uint_eq(source.calls, 1);
    ck_result(libcache_get_or_load(b, "key", 3, &value, source_load, &source, &young), LIBCACHE_HIT);
    ck_assert_uint_eq(source.calls, 2);
    young.soft_ttl_ms = LIBCACHE_TTL_MAX_MS + 1;
    ck_result(libcache_load_begin(&load, a, "key", 3, &value, &young), LIBCACHE_EINVAL);
    libcache_release_value(&value);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

static const uint64_t *fixed; /* NULL: as it comes */

static uint64_t fixed_or_dice(void *dice)
{
    return fixed ? *fixed : dice_roll(dice);
}

/* Looks ten load times ahead. */
static const uint64_t ten_times = (uint64_t)(0.0000453999 * 18446744073709551616.0);

START_TEST(an_early_refresh_is_not_content_with_the_same_old_value_from_redis)
{
    struct dice dice = dice_of(8);

    for (int copy_ends_first = 0; copy_ends_first < 2; copy_ends_first++) {
        struct hosts hosts;
        struct source source = { .text = "new" };
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        libcache_load *load;
        libcache_ns *a;
        hosts_prepare(&hosts, NULL);
        hosts.a.options.random = fixed_or_dice;
        hosts.a.options.random_arg = &dice;
        hosts_open(&hosts);
        policy.ttl_ms = 60000;
        policy.l1_ttl_ms = copy_ends_first ? 9000 : 0;
        policy.early_percent = 100;
        a = space(&hosts.a, "early", &policy);
        load = begin(a, "key", 0, LIBCACHE_LEAD);
        fake_clock_advance(&hosts.a.clock, 1000);
        ck_result(commit(load, "old"), LIBCACHE_OK); /* a second, that took */
        if (!copy_ends_first)
            fake_clock_advance(&hosts.a.clock, 52000);
        fixed = &ten_times;
        load = begin_value(a, "key", 0, LIBCACHE_HIT, "old");
        ck_assert_ptr_nonnull(load);
        libcache_load_abort(load, 0);
        ck_fetch(a, "key", &source, LIBCACHE_HIT, copy_ends_first ? "old" : "new");
        fixed = NULL;
        ck_assert_uint_eq(source.calls, copy_ends_first ? 0 : 1); /* a copy that ends before Redis's value is copied anew */
        source_done(&source);
        hosts_down(&hosts);
    }
}
END_TEST

START_TEST(a_host_whose_load_failed_takes_what_another_has_loaded_since)
{
    struct hosts hosts;
    struct source source = { .error = -1 };

    hosts_up(&hosts);
    ck_fetch(hosts.a.ns, "key", &source, LIBCACHE_ELOAD, NULL);
    ck_fetch(hosts.a.ns, "key", &source, LIBCACHE_ELOAD, NULL);
    ck_assert_uint_eq(source.calls, 1);
    source.error = 0;
    source.text = "value";
    ck_fetch(hosts.b.ns, "key", &source, LIBCACHE_HIT, "value");
    ck_fetch(hosts.a.ns, "key", &source, LIBCACHE_HIT, "value"); /* within its backoff; and it is not called stale */
    ck_assert_uint_eq(source.calls, 2);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(who_only_loads_reads_the_log_like_who_only_gets)
{
    for (int soft = 0; soft < 3; soft++) {
        struct hosts hosts;
        struct source source = { .text = "old" };
        libcache_policy policy = soft_policy();
        libcache_ns *a, *b;
        hosts_prepare(&hosts, NULL);
        hosts.b.options.poll_ms = 100;
        hosts_open(&hosts);
        policy.soft_ttl_ms = soft ? 10000 : 0;
        policy.early_percent = soft == 2 ? 100 : 0;
        a = space(&hosts.a, "soft", &policy);
        b = space(&hosts.b, "soft", &policy);
        ck_fetch(b, "key", &source, LIBCACHE_HIT, "old");
        ck_result(libcache_delete(a, "key", 3, 0), LIBCACHE_OK);
        source.text = "new";
        fake_clock_advance(&hosts.b.clock, 99);
        ck_fetch(b, "key", &source, LIBCACHE_HIT, "old"); /* not heard yet */
        fake_clock_advance(&hosts.b.clock, 1);
        ck_fetch(b, "key", &source, LIBCACHE_HIT, "new");
        source_done(&source);
        hosts_down(&hosts);
    }
}
END_TEST

/* ---- G3 ------------------------------------------------------------------------------------------------------------------------ */

enum { KINDS = 4 };

static void invalidate(struct rig *rig, libcache_ns *ns, int kind)
{
    if (kind == 0)
        ck_assert_int_ge(libcache_delete(ns, "key", 3, 0), 0);
    else if (kind == 1)
        ck_result(invalidate_tag(rig->cache, "tag"), LIBCACHE_OK);
    else if (kind == 2)
        ck_result(libcache_invalidate_namespace(ns, 0), LIBCACHE_OK);
    else
        ck_result(libcache_invalidate_all(rig->cache, 0), LIBCACHE_OK);
}

/* While a loader of host A runs, host B (or A itself) invalidates. */
struct overtaking {
    struct rig *rig;
    libcache_ns *ns;
    int kind;
};

static void overtake(struct source *source, const libcache_slice *key)
{
    struct overtaking *o = source->arg;

    (void)key;
    invalidate(o->rig, o->ns, o->kind);
}

enum path { FOREGROUND, REFRESH, LATE, BATCH, BATCH_STALE, FORCED, BYPASS, PATHS };

/* Runs a load on A by this path. Its value. */
static void load_by(enum path path, libcache_ns *ns, struct source *source, libcache_value *value)
{
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("other") };
    libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    int results[2];

    options.wait_ms = 1;
    options.flags = path == FORCED ? LIBCACHE_REFRESH : 0;
    if (path == BATCH || path == BATCH_STALE) {
        ck_result(libcache_get_or_load_many(ns, keys, 2, values, results, source_load_many, source, NULL), LIBCACHE_OK);
        ck_result(results[0], LIBCACHE_HIT);
        *value = values[0];
        libcache_release_value(&values[1]);
        return;
    }
    ck_result(libcache_get_or_load(ns, "key", 3, value, source_load, source, &options), LIBCACHE_HIT);
}

/* One path, one kind, on one host. Only A's clock goes on: B sees all that there is in Redis as it is. */
static void overtake_one(struct hosts *hosts, enum path path, int kind, int other, unsigned lease)
{
    libcache_policy policy = soft_policy();
    libcache_slice tags[1] = { LIBCACHE_STR("tag") };
    struct source source = { .text = "old", .as = { .tags = tags, .n_tags = 1 } };
    struct overtaking o = { .rig = other ? &hosts->b : &hosts->a, .kind = kind };
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *leader = NULL;
    libcache_ns *a, *b;

    policy.load_lease = lease;
    a = space(&hosts->a, "soft", &policy);
    b = space(&hosts->b, "soft", &policy);
    o.ns = other ? b : a;
    if (path == REFRESH || path == LATE || path == BATCH_STALE) {
        ck_fetch(a, "key", &source, LIBCACHE_HIT, "old");
        fake_clock_advance(&hosts->a.clock, path == LATE ? 70000 : 20000);
    }
    if (path == BYPASS)
        leader = begin(a, "key", LIBCACHE_NO_BLOCK, LIBCACHE_LEAD);
    source.text = "older";
    source.during = overtake;
    source.arg = &o;
    load_by(path, a, &source, &value);
    ck_assert_msg(value.size == 5 && memcmp(value.data, "older", 5) == 0, "path %d, kind %d, host %d: the caller has \"%.*s\"", path,
                  kind, other, (int)value.size, (char *)value.data); /* what he has loaded */
    if (!other || kind == 0) /* tags and wider: a host that has not heard of it yet keeps it until it has (G2) */
        ck_assert_msg(rig_stats(&hosts->a).fenced >= 1, "path %d, kind %d, host %d is not fenced", path, kind, other);
    ck_get(other ? b : a, "key", 0, LIBCACHE_MISS, 0);
    ck_poll(&hosts->a);
    ck_poll(&hosts->b);
    ck_get(a, "key", 0, LIBCACHE_MISS, 0);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    libcache_load_abort(leader, 0);
    source.during = NULL;
    source.text = "new";
    ck_fetch(a, "key", &source, LIBCACHE_HIT, "new");
    ck_fetch(b, "key", &source, LIBCACHE_HIT, "new");
    ck_result(libcache_invalidate_all(hosts->a.cache, 0), LIBCACHE_OK);
    libcache_release_value(&value);
    source_done(&source);
}

START_TEST(G3_whatever_loads_is_fenced_by_whatever_is_invalidated_on_whichever_host)
{
    struct hosts hosts;

    hosts_prepare(&hosts, NULL);
    for (int other = 0; other < 4; other++)
        for (int kind = 0; kind < KINDS; kind++)
            for (enum path path = FOREGROUND; path < PATHS; path++) {
                int lease = other < 2 ? LIBCACHE_LEASE_HOST : LIBCACHE_LEASE_REDIS;
                host_prepare(&hosts.a, &hosts.redis);
                host_prepare(&hosts.b, &hosts.redis);
                hosts_open(&hosts);
                overtake_one(&hosts, path, kind, other % 2, (unsigned)lease);
                rig_down(&hosts.a);
                rig_down(&hosts.b);
            }
    redis_server_stop(&hosts.redis);
}
END_TEST

START_TEST(G3_a_load_that_begins_after_an_invalidation_is_kept_although_its_host_has_not_heard_of_it)
{
    struct hosts hosts;
    libcache_slice tags[1] = { LIBCACHE_STR("tag") };
    struct source source = { .text = "new", .as = { .tags = tags, .n_tags = 1 } };

    hosts_up(&hosts);
    for (int i = 0; i < 2 * KINDS; i++) {
        int kind = i / 2;
        libcache_value value = LIBCACHE_VALUE_INIT;
        invalidate(&hosts.b, hosts.b.ns, kind);
        load_by(i % 2 ? BATCH : FOREGROUND, hosts.a.ns, &source, &value);
        libcache_release_value(&value);
        ck_from(hosts.b.ns, "key", "new", LIBCACHE_TIER_L2);
        ck_poll(&hosts.a);
        ck_from(hosts.a.ns, "key", "new", LIBCACHE_TIER_L1); /* nor does it go when its host hears of what came before */
        invalidate(&hosts.a, hosts.a.ns, 3);
        ck_poll(&hosts.b);
    }
    ck_assert_uint_eq(rig_stats(&hosts.a).fenced, 0);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

/* ---- Batches ---------------------------------------------------------------------------------------------------------------------- */

struct counted {
    const struct rig *rig;
    uint64_t exchanges;
};

static void note_exchanges(struct source *source, const libcache_slice *keys)
{
    struct counted *c = source->arg;

    (void)keys;
    c->exchanges = exchanges(c->rig);
}

START_TEST(a_batch_asks_redis_in_one_round_trip_and_the_loader_for_the_rest)
{
    struct hosts hosts;
    struct counted counted;
    struct source source = { .text = "v", .during = note_exchanges, .arg = &counted };
    libcache_slice keys[5] = { LIBCACHE_STR("a"), LIBCACHE_STR("b"), LIBCACHE_STR("c"), LIBCACHE_STR("d"), LIBCACHE_STR("e") };
    libcache_value values[5];
    int results[5];
    uint64_t before;

    hosts_up(&hosts);
    counted.rig = &hosts.b;
    memset(values, 0, sizeof values);
    put(hosts.a.ns, "b", "v");
    put(hosts.a.ns, "d", "v");
    ck_poll(&hosts.b);
    before = exchanges(&hosts.b);
    ck_result(libcache_get_or_load_many(hosts.b.ns, keys, 5, values, results, source_load_many, &source, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(counted.exchanges - before, 1);
    ck_assert_str_eq(source.asked, "a c e");
    for (int i = 0; i < 5; i++) {
        ck_result(results[i], LIBCACHE_HIT);
        ck_assert_int_eq(values[i].tier, i % 2 ? LIBCACHE_TIER_L2 : 0);
        libcache_release_value(&values[i]);
    }
    before = exchanges(&hosts.b);
    ck_result(libcache_get_or_load_many(hosts.b.ns, keys, 5, values, results, source_load_many, &source, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(exchanges(&hosts.b), before); /* all in L1 */
    ck_assert_uint_eq(source.calls, 1);
    for (int i = 0; i < 5; i++)
        libcache_release_value(&values[i]);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_batch_that_is_to_refresh_loads_what_redis_has)
{
    struct hosts hosts;
    struct source source = { .text = "new" };
    libcache_slice keys[1] = { LIBCACHE_STR("key") };
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    int result;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    options.flags = LIBCACHE_REFRESH;
    ck_result(libcache_get_or_load_many(hosts.a.ns, keys, 1, &value, &result, source_load_many, &source, &options), LIBCACHE_OK);
    ck_assert_uint_eq(source.calls, 1);
    ck_from(hosts.b.ns, "key", "new", LIBCACHE_TIER_L2);
    libcache_release_value(&value);
    source_done(&source);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_redis", what_one_host_has_loaded_the_other_need_not_load,
                     what_is_within_its_grace_in_redis_is_served_when_the_load_fails,
                     a_refresh_that_another_host_has_made_is_not_made_again, a_call_may_say_itself_how_old_is_too_old,
                     an_early_refresh_is_not_content_with_the_same_old_value_from_redis,
                     a_host_whose_load_failed_takes_what_another_has_loaded_since, who_only_loads_reads_the_log_like_who_only_gets,
                     G3_whatever_loads_is_fenced_by_whatever_is_invalidated_on_whichever_host,
                     G3_a_load_that_begins_after_an_invalidation_is_kept_although_its_host_has_not_heard_of_it,
                     a_batch_asks_redis_in_one_round_trip_and_the_loader_for_the_rest,
                     a_batch_that_is_to_refresh_loads_what_redis_has);
}
