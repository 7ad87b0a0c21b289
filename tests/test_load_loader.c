/* libcache_get_or_load: what a loader may say, and where its value goes. SPDX-License-Identifier: MIT */
#include "support/loads.h"

#include "cache.h"

#include <stdlib.h>
#include <string.h>

START_TEST(a_loader_is_asked_once_and_its_value_given_back_from_then_on)
{
    struct rig rig;
    struct source source = { .text = "value" };
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, 0);
    ck_assert_uint_eq(source.released, 1);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, LIBCACHE_TIER_L1);
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_eq(rig_stats(&rig).loads, 1);
    ck_assert_uint_eq(rig_stats(&rig).misses, 1);
    ck_assert_uint_eq(rig_stats(&rig).hits, 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_set_ttl_tags_flags_and_codec)
{
    struct rig rig;
    libcache_slice tags[2] = { LIBCACHE_STR("a"), LIBCACHE_STR("b") };
    struct source source = { .text = "value", .as = { .ttl_ms = 500, .tags = tags, .n_tags = 2, .user_flags = 77, .codec = 9 } };

    rig_up(&rig);
    for (int again = 0; again < 2; again++) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_HIT);
        ck_assert_int_eq(value.codec, 9);
        ck_assert_uint_eq(value.flags, 77);
        libcache_release_value(&value);
    }
    ck_assert_uint_eq(source.calls, 1);
    fake_clock_advance(&rig.clock, 500);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "value");
    ck_result(invalidate_tag(rig.cache, "b"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_say_that_there_is_none)
{
    struct rig rig;
    struct source source = { .text = "", .as = { .flags = LIBCACHE_NEG, .codec = 3 } };
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    rig_up(&rig);
    ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_OK);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(value.ttl_left_ms, policy.negative_ttl_ms);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(source.calls, 1);
    ck_result(look(rig.ns, "key"), LIBCACHE_NEGATIVE);
    fake_clock_advance(&rig.clock, policy.negative_ttl_ms);
    ck_result(fetch(rig.ns, "key", &source, &value), LIBCACHE_NEGATIVE);
    ck_assert_uint_eq(source.calls, 2);
    source_done(&source);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_may_keep_its_value_out_of_the_cache)
{
    struct rig rig;
    struct source source = { .text = "mine", .as = { .flags = LIBCACHE_NOT_STORED } };

    rig_up(&rig);
    for (unsigned i = 1; i < 4; i++) {
        ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "mine");
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        ck_assert_uint_eq(source.calls, i);
    }
    ck_assert_uint_eq(rig_stats(&rig).loads, 3);
    ck_assert_uint_eq(rig_stats(&rig).sets, 0);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loaders_error_is_eload_and_what_it_has_given_is_released)
{
    struct rig rig;
    struct source source = { .text = "half", .error = -99 };

    rig_up(&rig);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_ELOAD, NULL);
    ck_assert_uint_eq(source.released, 1);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_ELOAD, NULL); /* not asked again yet */
    ck_assert_uint_eq(source.calls, 1);
    fake_clock_advance(&rig.clock, 1000);
    source.error = 0;
    source.text = "whole";
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "whole");
    ck_assert_uint_eq(rig_stats(&rig).load_errors, 1);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void *reserve_here(libcache_value *value, size_t size)
{
    unsigned *calls = value->reserve_arg;

    ++*calls;
    return realloc(value->data, size ? size : 1);
}

START_TEST(a_loaded_value_goes_where_the_caller_wants_it)
{
    struct rig rig;
    struct source source = { .text = "quite a long value" };
    char own[20];
    unsigned reserved = 0;
    libcache_value mine = { .data = own, .capacity = sizeof own }, asked = { .reserve = reserve_here, .reserve_arg = &reserved };

    rig_up(&rig);
    ck_result(fetch(rig.ns, "1", &source, &mine), LIBCACHE_HIT);
    ck_assert_ptr_eq(mine.data, own);
    ck_assert_mem_eq(own, "quite a long value", 18);
    ck_result(fetch(rig.ns, "2", &source, &asked), LIBCACHE_HIT);
    ck_assert_uint_eq(reserved, 1);
    ck_assert_uint_eq(asked.size, 18);
    ck_assert_mem_eq(asked.data, "quite a long value", 18);
    free(asked.data);
    mine.capacity = 5;
    ck_result(fetch(rig.ns, "3", &source, &mine), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(mine.size, 18); /* so much is needed */
    mine.capacity = sizeof own;
    ck_result(fetch(rig.ns, "3", &source, &mine), LIBCACHE_HIT); /* it was stored all the same */
    ck_assert_int_eq(mine.tier, LIBCACHE_TIER_L1);
    ck_assert_uint_eq(source.calls, 3);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

START_TEST(a_loader_that_gives_no_bytes_for_a_size_is_wrong)
{
    struct rig rig;
    struct source source = { .as = { 0 } };
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    ck_result(fetch(rig.ns, "empty", &source, &value), LIBCACHE_HIT); /* no bytes for no size are a value */
    ck_assert_uint_eq(value.size, 0);
    options.flags = LIBCACHE_NO_BLOCK;
    ck_result(libcache_get_or_load(rig.ns, "key", 3, &value, source_load, &source, &options), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "key", 3, &value, NULL, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(NULL, "key", 3, &value, source_load, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "key", 3, NULL, source_load, &source, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_get_or_load(rig.ns, "", 0, &value, source_load, &source, NULL), LIBCACHE_EKEY);
    ck_assert_uint_eq(source.calls, 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

static void look_and_invalidate(struct source *source, const libcache_slice *key)
{
    struct rig *rig = source->arg;

    ck_assert_int_eq((int)key->size, 3);
    libcache_delete(rig->ns, key->data, key->size, 0);
}

START_TEST(G3_the_caller_has_his_value_and_the_next_one_is_not_given_it)
{
    struct rig rig;
    struct source source = { .text = "old", .during = look_and_invalidate, .arg = &rig };

    rig_up(&rig);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "old");
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    source.text = "new";
    source.during = NULL;
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "new");
    ck_value(rig.ns, "key", "new");
    ck_assert_uint_eq(rig_stats(&rig).fenced, 1);
    rig_down(&rig);
}
END_TEST

static void set_by_another(struct source *source, const libcache_slice *key)
{
    struct rig *rig = source->arg;

    ck_result(libcache_set(rig->ns, key->data, key->size, "another's", 9, NULL), LIBCACHE_OK);
}

START_TEST(what_is_fresh_by_the_time_that_a_load_fails_is_a_hit)
{
    struct rig rig;
    struct source source = { .error = -1, .during = set_by_another, .arg = &rig };

    rig_up(&rig);
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "another's");
    source_done(&source);
    rig_down(&rig);
}
END_TEST

static void load_inner(struct source *source, const libcache_slice *key)
{
    struct source inner = { .text = "inner" };
    struct rig *rig = source->arg;

    (void)key;
    for (uint32_t i = 0; i < rig->cache->l1.stripes; i++) /* no lock is held: any call may be made */
        ck_assert_int_eq(pthread_mutex_trylock(&rig->cache->l1.shards[i].s->lock), 0);
    for (uint32_t i = 0; i < rig->cache->l1.stripes; i++)
        pthread_mutex_unlock(&rig->cache->l1.shards[i].s->lock);
    ck_fetch(rig->ns, "inner", &inner, LIBCACHE_HIT, "inner");
    source_done(&inner);
}

START_TEST(a_loader_may_load_another_key)
{
    struct rig rig;
    struct source source = { .text = "outer", .during = load_inner, .arg = &rig };

    rig_up(&rig);
    ck_fetch(rig.ns, "outer", &source, LIBCACHE_HIT, "outer");
    ck_value(rig.ns, "inner", "inner");
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_loader", a_loader_is_asked_once_and_its_value_given_back_from_then_on,
                     a_loader_may_set_ttl_tags_flags_and_codec, a_loader_may_say_that_there_is_none,
                     a_loader_may_keep_its_value_out_of_the_cache, a_loaders_error_is_eload_and_what_it_has_given_is_released,
                     a_loaded_value_goes_where_the_caller_wants_it, a_loader_that_gives_no_bytes_for_a_size_is_wrong,
                     G3_the_caller_has_his_value_and_the_next_one_is_not_given_it,
                     what_is_fresh_by_the_time_that_a_load_fails_is_a_hit, a_loader_may_load_another_key);
}
