/*
 * How long an entry lives: TTLs, jitter, soft and negative TTLs, touch. All by the injected clock.
 * SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#define KEY "key", 3
#define DAY_MS (UINT64_C(24) * 3600 * 1000)

static int put_for(libcache_ns *ns, const char *key, uint64_t ttl_ms)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    return libcache_set(ns, key, strlen(key), "value", 5, &options);
}

static int put_negative(libcache_ns *ns, const char *key, uint64_t ttl_ms)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    options.ttl_ms = ttl_ms;
    options.flags = LIBCACHE_NEG;
    options.codec = 5;
    options.user_flags = 6;
    return libcache_set(ns, key, strlen(key), "ignored", 7, &options);
}

static uint64_t left(libcache_ns *ns, const char *key)
{
    uint64_t ttl_left_ms = 4711;
    ck_result(libcache_ttl_left(ns, key, strlen(key), &ttl_left_ms, 0), LIBCACHE_OK);
    return ttl_left_ms;
}

static libcache_ns *namespace_with(struct rig *rig, const char *name, const libcache_policy *policy)
{
    libcache_ns *ns;
    ck_result(libcache_open_namespace(&ns, rig->cache, name, policy, NULL), LIBCACHE_OK);
    return ns;
}

/* ---- TTL ------------------------------------------------------------------------------------------------------ */

START_TEST(an_entry_expires_at_exactly_its_ttl)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t ttl_left_ms = 4711;

    rig_up(&rig);
    ck_result(put_for(rig.ns, "key", 1000), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 999);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_eq(value.age_ms, 999);
    ck_assert_uint_eq(value.ttl_left_ms, 1);
    ck_assert_uint_eq(left(rig.ns, "key"), 1);
    fake_clock_advance(&rig.clock, 1);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_MISS);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(libcache_ttl_left(rig.ns, KEY, &ttl_left_ms, 0), LIBCACHE_MISS);
    ck_assert_uint_eq(ttl_left_ms, 4711);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(forever_is_forever)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    ck_result(put_for(rig.ns, "key", LIBCACHE_FOREVER), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 3000 * DAY_MS);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_eq(value.age_ms, 3000 * DAY_MS);
    ck_assert_uint_eq(value.ttl_left_ms, LIBCACHE_FOREVER);
    ck_assert_uint_eq(left(rig.ns, "key"), LIBCACHE_FOREVER);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(the_policy_gives_the_ttl_where_the_call_gives_none)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *minute, *forever;

    rig_up(&rig);
    policy.ttl_ms = 60 * 1000;
    minute = namespace_with(&rig, "minute", &policy);
    policy.ttl_ms = LIBCACHE_FOREVER;
    forever = namespace_with(&rig, "forever", &policy);
    put(rig.ns, "key", "value");
    put(minute, "key", "value");
    put(forever, "key", "value");
    ck_assert_uint_eq(left(rig.ns, "key"), 3600 * 1000);
    ck_assert_uint_eq(left(minute, "key"), 60 * 1000);
    ck_assert_uint_eq(left(forever, "key"), LIBCACHE_FOREVER);
    put_for(minute, "key", 5);
    ck_assert_uint_eq(left(minute, "key"), 5);
    put_for(minute, "key", LIBCACHE_FOREVER);
    ck_assert_uint_eq(left(minute, "key"), LIBCACHE_FOREVER);
    rig_down(&rig);
}
END_TEST

START_TEST(the_longest_ttl_is_ten_years)
{
    static const uint64_t ttls[] = { LIBCACHE_TTL_MAX_MS - 1, LIBCACHE_TTL_MAX_MS };
    struct rig rig;

    rig_up(&rig);
    ck_result(put_for(rig.ns, "key", LIBCACHE_TTL_MAX_MS + 1), LIBCACHE_EINVAL);
    ck_result(put_for(rig.ns, "key", LIBCACHE_FOREVER - 1), LIBCACHE_EINVAL);
    for (int i = 0; i < 2; i++) {
        ck_result(put_for(rig.ns, "key", ttls[i]), LIBCACHE_OK);
        fake_clock_advance(&rig.clock, 2000 * DAY_MS);
        ck_result(look(rig.ns, "key"), LIBCACHE_HIT);
        ck_assert_uint_ge(left(rig.ns, "key"), 1650 * DAY_MS - 1);
        ck_result(libcache_touch(rig.ns, KEY, ttls[i], 0), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_HIT);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(an_old_cache_still_knows_its_times)
{
    struct rig rig;

    rig_prepare(&rig);
    rig.clock.now_ms = UINT64_C(1) << 50; /* an uptime no machine has: only differences count */
    rig_open(&rig);
    for (int year = 0; year < 20; year++) {
        ck_result(put_for(rig.ns, "key", 1000), LIBCACHE_OK);
        fake_clock_advance(&rig.clock, 999);
        ck_assert_uint_eq(left(rig.ns, "key"), 1);
        fake_clock_advance(&rig.clock, 1);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        fake_clock_advance(&rig.clock, 365 * DAY_MS);
    }
    rig_down(&rig);
}
END_TEST

/* ---- Jitter --------------------------------------------------------------------------------------------------------- */

START_TEST(jitter_shortens_a_ttl_by_at_most_its_share)
{
    struct rig rig;
    struct dice dice = dice_of(1);
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;
    uint64_t least = UINT64_MAX, most = 0;

    rig_up(&rig);
    policy.ttl_ms = 100000;
    policy.jitter_percent = 20;
    ns = namespace_with(&rig, "jitter", &policy);
    for (int i = 0; i < 2000; i++) {
        uint64_t ms;
        rig.random = i == 0 ? 0 : i == 1 ? UINT64_MAX : dice_roll(&dice);
        ck_result(put(ns, "key", "value"), LIBCACHE_OK);
        ms = left(ns, "key");
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    ck_assert_uint_ge(least, 80000);
    ck_assert_uint_le(most, 100000);
    ck_assert_uint_lt(least, 80200); /* and it makes use of all of it */
    ck_assert_uint_gt(most, 99800);
    rig_down(&rig);
}
END_TEST

START_TEST(jitter_leaves_short_and_endless_ttls_alive)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;

    rig_up(&rig);
    policy.jitter_percent = 50;
    ns = namespace_with(&rig, "jitter", &policy);
    for (int i = 0; i < 2; i++) {
        rig.random = i ? UINT64_MAX : 0;
        ck_result(put_for(ns, "key", 1), LIBCACHE_OK);
        ck_assert_uint_eq(left(ns, "key"), 1);
        ck_result(put_for(ns, "key", LIBCACHE_FOREVER), LIBCACHE_OK);
        ck_assert_uint_eq(left(ns, "key"), LIBCACHE_FOREVER);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(without_an_injected_random_function_ttls_still_spread)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;
    uint64_t first;
    int same = 0;

    rig_prepare(&rig);
    rig.options.random = NULL;
    rig_open(&rig);
    policy.ttl_ms = 1000 * 1000;
    policy.jitter_percent = 50;
    ns = namespace_with(&rig, "jitter", &policy);
    put(ns, "key", "value");
    first = left(ns, "key");
    for (int i = 0; i < 100; i++) {
        put(ns, "key", "value");
        same += left(ns, "key") == first;
    }
    ck_assert_int_lt(same, 50);
    rig_down(&rig);
}
END_TEST

/* ---- Soft TTL --------------------------------------------------------------------------------------------------------- */

START_TEST(past_its_soft_ttl_a_hit_is_stale)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice key = LIBCACHE_STR("key");
    libcache_ns *ns;
    size_t found;
    int result;

    rig_up(&rig);
    policy.ttl_ms = 10000;
    policy.soft_ttl_ms = 4000;
    ns = namespace_with(&rig, "soft", &policy);
    put(ns, "key", "value");
    fake_clock_advance(&rig.clock, 3999);
    ck_result(libcache_get(ns, KEY, &value, 0), LIBCACHE_HIT);
    fake_clock_advance(&rig.clock, 2);
    ck_result(libcache_get(ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_STALE);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_mem_eq(value.data, "value", 5);
    ck_assert_uint_eq(value.ttl_left_ms, 5999);
    ck_result(look(ns, "key"), LIBCACHE_STALE);
    ck_result(libcache_get_many(ns, &key, 1, &value, &result, &found, 0), LIBCACHE_OK);
    ck_result(result, LIBCACHE_STALE);
    ck_assert_uint_eq(found, 1);
    ck_result(libcache_add(ns, KEY, "other", 5, NULL), LIBCACHE_EXISTS);
    put(ns, "key", "again");
    ck_result(libcache_get(ns, KEY, &value, 0), LIBCACHE_HIT);
    fake_clock_advance(&rig.clock, 10000);
    ck_result(libcache_get(ns, KEY, &value, 0), LIBCACHE_MISS);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

/* ---- Negative entries ---------------------------------------------------------------------------------------------------- */

START_TEST(a_negative_entry_says_so_and_gives_codec_and_flags)
{
    struct rig rig;
    char buffer[4] = "....";
    libcache_value value = { .data = buffer, .capacity = 2 };

    rig_up(&rig);
    ck_result(put_negative(rig.ns, "key", 0), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 10);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_NEGATIVE);
    ck_assert_mem_eq(buffer, "....", 4);
    ck_assert_uint_eq(value.codec, 5);
    ck_assert_uint_eq(value.flags, 6);
    ck_assert_uint_eq(value.age_ms, 10);
    ck_assert_uint_eq(value.ttl_left_ms, 30 * 1000 - 10);
    ck_result(look(rig.ns, "key"), LIBCACHE_NEGATIVE);
    ck_result(libcache_add(rig.ns, KEY, "value", 5, NULL), LIBCACHE_EXISTS);
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_negative_entry_has_a_ttl_of_its_own)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns, *short_ns;

    rig_up(&rig);
    policy.negative_ttl_ms = 2000;
    ns = namespace_with(&rig, "negative", &policy);
    put_negative(ns, "key", 0);
    ck_assert_uint_eq(left(ns, "key"), 2000);
    fake_clock_advance(&rig.clock, 1999);
    ck_result(look(ns, "key"), LIBCACHE_NEGATIVE);
    fake_clock_advance(&rig.clock, 1);
    ck_result(look(ns, "key"), LIBCACHE_MISS);
    put_negative(ns, "key", 70); /* the call's own TTL counts first */
    ck_assert_uint_eq(left(ns, "key"), 70);

    policy.negative_ttl_ms = 0;
    policy.ttl_ms = 1500;
    short_ns = namespace_with(&rig, "short", &policy);
    put_negative(short_ns, "key", 0);
    ck_assert_uint_eq(left(short_ns, "key"), 1500);
    rig_down(&rig);
}
END_TEST

START_TEST(a_value_takes_the_place_of_a_negative_entry_and_back)
{
    struct rig rig;

    rig_up(&rig);
    put_negative(rig.ns, "key", 0);
    put(rig.ns, "key", "value");
    ck_value(rig.ns, "key", "value");
    put_negative(rig.ns, "key", 0);
    ck_result(look(rig.ns, "key"), LIBCACHE_NEGATIVE);
    libcache_invalidate_namespace(rig.ns, 0);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

/* ---- Touch ------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_touch_gives_a_new_ttl_from_now)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    put_for(rig.ns, "key", 1000);
    fake_clock_advance(&rig.clock, 900);
    ck_result(libcache_touch(rig.ns, KEY, 5000, 0), LIBCACHE_OK);
    ck_assert_uint_eq(left(rig.ns, "key"), 5000);
    fake_clock_advance(&rig.clock, 4999);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_mem_eq(value.data, "value", 5);
    ck_assert_uint_eq(value.ttl_left_ms, 1);
    ck_result(libcache_touch(rig.ns, KEY, 0, LIBCACHE_NO_WAIT), LIBCACHE_OK);
    ck_assert_uint_eq(left(rig.ns, "key"), 3600 * 1000);
    ck_result(libcache_touch(rig.ns, KEY, LIBCACHE_FOREVER, 0), LIBCACHE_OK);
    ck_assert_uint_eq(left(rig.ns, "key"), LIBCACHE_FOREVER);
    ck_result(libcache_touch(rig.ns, KEY, 1, 0), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 1);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_touch_does_not_bring_anything_back)
{
    struct rig rig;

    rig_up(&rig);
    ck_result(libcache_touch(rig.ns, KEY, 1000, 0), LIBCACHE_MISS);
    put_for(rig.ns, "key", 1000);
    fake_clock_advance(&rig.clock, 1000);
    ck_result(libcache_touch(rig.ns, KEY, 1000, 0), LIBCACHE_MISS);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);

    put_tagged(rig.ns, "key", "value", "t");
    invalidate_tag(rig.cache, "t");
    ck_result(libcache_touch(rig.ns, KEY, 1000, 0), LIBCACHE_MISS);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);

    put_tagged(rig.ns, "key", "value", "t");
    ck_result(libcache_touch(rig.ns, KEY, 1000, 0), LIBCACHE_OK);
    invalidate_tag(rig.cache, "t"); /* touched is not stored anew */
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);

    put(rig.ns, "key", "value");
    libcache_invalidate_all(rig.cache, 0);
    ck_result(libcache_touch(rig.ns, KEY, 1000, 0), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api_ttl", an_entry_expires_at_exactly_its_ttl, forever_is_forever,
                     the_policy_gives_the_ttl_where_the_call_gives_none, the_longest_ttl_is_ten_years,
                     an_old_cache_still_knows_its_times, jitter_shortens_a_ttl_by_at_most_its_share,
                     jitter_leaves_short_and_endless_ttls_alive, without_an_injected_random_function_ttls_still_spread,
                     past_its_soft_ttl_a_hit_is_stale, a_negative_entry_says_so_and_gives_codec_and_flags,
                     a_negative_entry_has_a_ttl_of_its_own, a_value_takes_the_place_of_a_negative_entry_and_back,
                     a_touch_gives_a_new_ttl_from_now, a_touch_does_not_bring_anything_back);
}
