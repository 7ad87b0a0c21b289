/*
 * Loads in steps: every arrow of the drawing in lib/load.c, in one process and without Redis. The clock stands still, so
 * nobody's time is up unless a test says so. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#define NO_BLOCK LIBCACHE_NO_BLOCK

/* "loads" has soft TTL 10 s, TTL 60 s, grace 30 s, backoff 1 s, and loads are believed for 5 s. */
static libcache_ns *loads_space(const struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    policy.load_timeout_ms = 5000;
    policy.negative_ttl_ms = 20000;
    return space_with(rig, "loads", &policy);
}

static libcache_ns *up(struct rig *rig)
{
    rig_up(rig);
    return loads_space(rig);
}

static void load_now(libcache_ns *ns, const char *key, const char *text)
{
    ck_result(commit(begin(ns, key, NO_BLOCK, LIBCACHE_LEAD), text), LIBCACHE_OK);
}

/* ---- What begin gives ---------------------------------------------------------------------------------------------- */

START_TEST(what_is_fresh_is_a_hit_and_nobody_loads)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);

    load_now(ns, "key", "value");
    ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_HIT, "value"));
    fake_clock_advance(&rig.clock, 9999);
    ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_HIT, "value"));
    ck_assert_uint_eq(rig_stats(&rig).loads, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_known_to_be_missing_is_negative_until_its_own_ttl)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_load *refresh;

    options.flags = LIBCACHE_NEG;
    ck_result(libcache_load_commit(begin(ns, "key", 0, LIBCACHE_LEAD), NULL, 0, &options), LIBCACHE_OK);
    ck_assert_ptr_null(begin(ns, "key", 0, LIBCACHE_NEGATIVE));
    fake_clock_advance(&rig.clock, 19999);
    refresh = begin(ns, "key", LIBCACHE_REFRESH, LIBCACHE_LEAD);
    ck_assert_ptr_null(begin(ns, "key", NO_BLOCK, LIBCACHE_NEGATIVE)); /* for the others all is well */
    libcache_load_abort(refresh, 0);
    fake_clock_advance(&rig.clock, 1); /* no grace: it may exist by now */
    libcache_load_abort(begin(ns, "key", 0, LIBCACHE_LEAD), 0);
    ck_assert_uint_eq(rig_stats(&rig).negatives, 2);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_missing_has_one_leader_and_the_others_wait)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *waiter = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    libcache_load *other = begin(ns, "other", NO_BLOCK, LIBCACHE_LEAD), *elsewhere = begin(rig.ns, "key", NO_BLOCK, LIBCACHE_LEAD);

    ck_wait(&waiter, LIBCACHE_WAIT);
    ck_result(commit(other, "other"), LIBCACHE_OK);
    ck_result(commit(elsewhere, "elsewhere"), LIBCACHE_OK);
    ck_wait(&waiter, LIBCACHE_WAIT); /* those were not its key's */
    ck_result(commit(leader, "value"), LIBCACHE_OK);
    ck_wait(&waiter, LIBCACHE_HIT);
    ck_assert_ptr_null(waiter);
    ck_value(ns, "key", "value");
    ck_value(rig.ns, "key", "elsewhere");
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_past_its_soft_ttl_is_given_to_all_and_refreshed_by_one)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *refresh;

    load_now(ns, "key", "old");
    fake_clock_advance(&rig.clock, 10000);
    refresh = begin_value(ns, "key", 0, LIBCACHE_STALE, "old");
    ck_assert_ptr_nonnull(refresh);
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_STALE, "old"));
    ck_result(libcache_load_recheck(refresh, NULL), LIBCACHE_MISS); /* there is no Redis that could have it */
    ck_result(commit(refresh, "new"), LIBCACHE_OK);
    ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_HIT, "new"));
    ck_assert_uint_eq(rig_stats(&rig).refreshes, 1);
    ck_assert_uint_eq(rig_stats(&rig).load_waits, 0);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_past_its_ttl_is_given_by_loads_within_its_grace_and_by_gets_never)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *refresh;
    uint64_t left;

    load_now(ns, "key", "old");
    fake_clock_advance(&rig.clock, 60000);
    refresh = begin_value(ns, "key", 0, LIBCACHE_STALE, "old");
    ck_assert_ptr_nonnull(refresh);
    ck_result(look(ns, "key"), LIBCACHE_MISS);
    ck_result(libcache_ttl_left(ns, "key", 3, &left, 0), LIBCACHE_MISS);
    for (unsigned flags = 0; flags <= LIBCACHE_TIMES; flags += LIBCACHE_TIMES) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        libcache_slice keys[1] = { LIBCACHE_STR("key") };
        int result;
        ck_result(libcache_get(ns, "key", 3, &value, flags), LIBCACHE_MISS);
        ck_result(libcache_get_many(ns, keys, 1, &value, &result, NULL, flags), LIBCACHE_OK);
        ck_result(result, LIBCACHE_MISS);
        libcache_release_value(&value);
    }
    libcache_load_abort(refresh, 0);
    fake_clock_advance(&rig.clock, 29999);
    libcache_load_abort(begin_value(ns, "key", 0, LIBCACHE_STALE, "old"), 0);
    fake_clock_advance(&rig.clock, 1);
    libcache_load_abort(begin(ns, "key", 0, LIBCACHE_LEAD), 0);
    rig_down(&rig);
}
END_TEST

START_TEST(a_refresh_leads_although_there_is_a_fresh_value)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *load;

    load_now(ns, "key", "old");
    load = begin(ns, "key", LIBCACHE_REFRESH, LIBCACHE_LEAD);
    ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_HIT, "old")); /* for the others all is well */
    ck_result(commit(load, "new"), LIBCACHE_OK);
    ck_value(ns, "key", "new");
    rig_down(&rig);
}
END_TEST

/* ---- How a load ends, and what that means to who waits --------------------------------------------------------------- */

START_TEST(a_value_that_is_not_stored_is_loaded_by_each_for_himself)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *a = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    libcache_load *b = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);

    options.flags = LIBCACHE_NOT_STORED;
    ck_result(libcache_load_commit(leader, "mine", 4, &options), LIBCACHE_OK);
    ck_result(look(ns, "key"), LIBCACHE_MISS);
    ck_wait(&a, LIBCACHE_BYPASS);
    ck_wait(&b, LIBCACHE_BYPASS);
    ck_result(commit(a, "value"), LIBCACHE_OK); /* a bypass may store all the same */
    ck_value(ns, "key", "value");
    libcache_load_abort(b, -1);
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 2);
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_overtaken_is_not_stored_and_one_of_those_who_wait_loads_anew)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);

    for (int what = 0; what < 4; what++) {
        libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *a = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
        libcache_load *b = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
        if (what == 0)
            ck_result(libcache_delete(ns, "key", 3, 0), LIBCACHE_MISS);
        else if (what == 1)
            ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
        else if (what == 2)
            ck_result(libcache_invalidate_namespace(ns, 0), LIBCACHE_OK);
        else
            ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
        ck_result(commit_tagged(leader, "old", "tag"), LIBCACHE_FENCED);
        ck_result(look(ns, "key"), LIBCACHE_MISS);
        ck_wait(&a, LIBCACHE_LEAD);
        ck_wait(&b, LIBCACHE_WAIT);
        ck_result(commit_tagged(a, "new", "tag"), LIBCACHE_OK); /* its stamp is its own, not that of when it began to wait */
        ck_wait(&b, LIBCACHE_HIT);
        ck_value(ns, "key", "new");
        ck_result(libcache_delete(ns, "key", 3, 0), LIBCACHE_OK);
    }
    ck_assert_uint_eq(rig_stats(&rig).fenced, 4);
    rig_down(&rig);
}
END_TEST

START_TEST(a_refresh_and_a_bypass_are_overtaken_like_any_load)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *leader, *bypass = NULL, *refresh;

    load_now(ns, "key", "old");
    fake_clock_advance(&rig.clock, 10000);
    refresh = begin(ns, "key", 0, LIBCACHE_STALE);
    ck_result(libcache_delete(ns, "key", 3, 0), LIBCACHE_OK);
    ck_result(commit(refresh, "older"), LIBCACHE_FENCED);
    leader = begin(ns, "key", 0, LIBCACHE_LEAD);
    options.wait_ms = 1;
    ck_result(libcache_load_begin(&bypass, ns, "key", 3, &value, &options), LIBCACHE_BYPASS);
    ck_result(libcache_delete(ns, "key", 3, 0), LIBCACHE_MISS);
    ck_result(commit(bypass, "older"), LIBCACHE_FENCED);
    ck_result(commit(leader, "older"), LIBCACHE_FENCED);
    ck_result(look(ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_eq(rig_stats(&rig).load_waits, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(a_failed_load_is_not_tried_again_for_a_while)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *waiter = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);

    libcache_load_abort(leader, -5);
    ck_wait(&waiter, LIBCACHE_ELOAD);
    ck_assert_ptr_null(waiter);
    ck_assert_ptr_null(begin(ns, "key", 0, LIBCACHE_ELOAD));
    fake_clock_advance(&rig.clock, 999);
    ck_assert_ptr_null(begin(ns, "key", 0, LIBCACHE_ELOAD));
    fake_clock_advance(&rig.clock, 1);
    load_now(ns, "key", "value");
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(after_a_failure_what_is_stale_is_served_and_nobody_refreshes_for_a_while)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);

    load_now(ns, "key", "old");
    fake_clock_advance(&rig.clock, 10000);
    libcache_load_abort(begin(ns, "key", 0, LIBCACHE_STALE), -5);
    ck_assert_ptr_null(begin_value(ns, "key", 0, LIBCACHE_STALE, "old"));
    fake_clock_advance(&rig.clock, 1000);
    libcache_load_abort(begin_value(ns, "key", 0, LIBCACHE_STALE, "old"), 0);
    rig_down(&rig);
}
END_TEST

START_TEST(a_load_that_is_given_up_is_tried_at_once_by_the_next)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *waiter = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);

    libcache_load_abort(leader, 0);
    ck_wait(&waiter, LIBCACHE_LEAD);
    ck_result(commit(waiter, "value"), LIBCACHE_OK);
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 0);
    libcache_load_abort(NULL, -1);
    rig_down(&rig);
}
END_TEST

START_TEST(one_who_waits_no_longer_ends_nothing)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *a = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    libcache_load *b = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);

    libcache_load_abort(a, -1);
    ck_wait(&b, LIBCACHE_WAIT);
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 0);
    ck_result(commit(leader, "value"), LIBCACHE_OK);
    ck_wait(&b, LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

START_TEST(what_cannot_be_stored_is_loaded_by_each_for_himself)
{
    static char big[1 << 20];
    struct rig rig;
    libcache_ns *ns = up(&rig);
    const libcache_slice bad_tag = { "", 0 };

    for (int what = 0; what < 3; what++) {
        libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
        libcache_load *leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *waiter = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
        options.tags = &bad_tag;
        options.n_tags = 1;
        if (what == 0)
            ck_result(libcache_load_commit(leader, "value", 5, &options), LIBCACHE_ETAG);
        else if (what == 1)
            ck_result(libcache_load_commit(leader, big, sizeof big, NULL), LIBCACHE_ETOOBIG);
        else
            ck_result(libcache_load_commit(leader, NULL, 5, NULL), LIBCACHE_EINVAL);
        ck_wait(&waiter, LIBCACHE_BYPASS);
        libcache_load_abort(waiter, 0);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(a_commit_with_wrong_options_ends_the_load_all_the_same)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp = { 0 };

    options.stamp = &stamp;
    ck_result(libcache_load_commit(begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), "v", 1, &options), LIBCACHE_EINVAL);
    options.stamp = NULL;
    options.struct_size = 1;
    ck_result(libcache_load_commit(begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), "v", 1, &options), LIBCACHE_EINVAL);
    ck_result(libcache_load_commit(NULL, "v", 1, NULL), LIBCACHE_EINVAL);
    load_now(ns, "key", "value");
    rig_down(&rig);
}
END_TEST

/* ---- Arguments ------------------------------------------------------------------------------------------------------------------- */

START_TEST(bad_arguments_are_refused_and_nothing_is_begun)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    static char long_key[LIBCACHE_KEY_MAX + 1];
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;

    ck_result(libcache_load_begin(NULL, ns, "key", 3, &value, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_load_begin(&load, NULL, "key", 3, &value, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_load_begin(&load, ns, "key", 3, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_load_begin(&load, ns, NULL, 3, &value, NULL), LIBCACHE_EKEY);
    ck_result(libcache_load_begin(&load, ns, "key", 0, &value, NULL), LIBCACHE_EKEY);
    ck_result(libcache_load_begin(&load, ns, long_key, sizeof long_key, &value, NULL), LIBCACHE_EKEY);
    options.flags = LIBCACHE_NEG;
    ck_result(libcache_load_begin(&load, ns, "key", 3, &value, &options), LIBCACHE_EINVAL);
    options.flags = 0;
    options.struct_size = 2;
    ck_result(libcache_load_begin(&load, ns, "key", 3, &value, &options), LIBCACHE_EINVAL);
    ck_result(libcache_load_wait(NULL, &value, 0), LIBCACHE_EINVAL);
    ck_result(libcache_load_wait(&load, &value, 0), LIBCACHE_EINVAL);
    ck_result(libcache_load_recheck(NULL, &value), LIBCACHE_EINVAL);
    ck_assert_ptr_null(load);
    load = begin(ns, "key", 0, LIBCACHE_LEAD);
    ck_result(libcache_load_wait(&load, &value, 0), LIBCACHE_EINVAL); /* who leads has nobody to wait for */
    libcache_load_abort(load, 0);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load", what_is_fresh_is_a_hit_and_nobody_loads,
                     what_is_known_to_be_missing_is_negative_until_its_own_ttl,
                     what_is_missing_has_one_leader_and_the_others_wait,
                     what_is_past_its_soft_ttl_is_given_to_all_and_refreshed_by_one,
                     what_is_past_its_ttl_is_given_by_loads_within_its_grace_and_by_gets_never,
                     a_refresh_leads_although_there_is_a_fresh_value, a_value_that_is_not_stored_is_loaded_by_each_for_himself,
                     what_is_overtaken_is_not_stored_and_one_of_those_who_wait_loads_anew,
                     a_refresh_and_a_bypass_are_overtaken_like_any_load, a_failed_load_is_not_tried_again_for_a_while,
                     after_a_failure_what_is_stale_is_served_and_nobody_refreshes_for_a_while,
                     a_load_that_is_given_up_is_tried_at_once_by_the_next, one_who_waits_no_longer_ends_nothing,
                     what_cannot_be_stored_is_loaded_by_each_for_himself,
                     a_commit_with_wrong_options_ends_the_load_all_the_same, bad_arguments_are_refused_and_nothing_is_begun);
}
