/*
 * Reading and writing through the public calls: what goes in comes out, and nothing else is touched.
 * SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#define KEY "key", 3

/* ---- Values ------------------------------------------------------------------------------------------------- */

START_TEST(the_running_library_has_the_version_of_the_header)
{
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", LIBCACHE_VERSION_MAJOR, LIBCACHE_VERSION_MINOR,
             LIBCACHE_VERSION_PATCH);
    ck_assert_str_eq(libcache_version(), version);
}
END_TEST

START_TEST(every_code_has_a_description_of_its_own)
{
    for (int code = LIBCACHE_EUNSUPPORTED; code <= LIBCACHE_FENCED; code++) {
        ck_assert_ptr_nonnull(libcache_describe(code));
        ck_assert_str_ne(libcache_describe(code), libcache_describe(12345));
        for (int other = LIBCACHE_EUNSUPPORTED; other < code; other++)
            ck_assert_str_ne(libcache_describe(code), libcache_describe(other));
    }
}
END_TEST

START_TEST(a_cache_opens_with_all_defaults)
{
    libcache *cache;
    libcache_ns *ns;
    libcache_stats stats = LIBCACHE_STATS_INIT;

    ck_result(libcache_open(&cache, NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, cache, "users", NULL, NULL), LIBCACHE_OK);
    ck_result(put(ns, "42", "Ada"), LIBCACHE_OK);
    ck_value(ns, "42", "Ada");
    ck_result(libcache_read_stats(cache, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.memory_bytes, 64 << 20);
    libcache_close(cache);
    libcache_close(NULL);
}
END_TEST

START_TEST(a_hit_gives_back_codec_and_flags)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    options.codec = 0xc7;
    options.user_flags = 0xfeedbeef;
    ck_result(libcache_set(rig.ns, KEY, "value", 5, &options), LIBCACHE_OK);
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_mem_eq(value.data, "value", 5);
    ck_assert_uint_eq(value.codec, 0xc7);
    ck_assert_uint_eq(value.flags, 0xfeedbeef);
    ck_assert_uint_eq(value.tier, LIBCACHE_TIER_L1);
    ck_result(put(rig.ns, "key", "plain"), LIBCACHE_OK);
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_uint_eq(value.codec, 0);
    ck_assert_uint_eq(value.flags, 0);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(keys_differ_in_any_byte_and_in_length)
{
    struct rig rig;
    static const libcache_slice keys[] = { LIBCACHE_STR("a"),        LIBCACHE_STR("a\0"),      LIBCACHE_STR("a\0\0"),
                                           LIBCACHE_STR("\0"),       LIBCACHE_STR("\0\0"),     LIBCACHE_STR("a\0b"),
                                           LIBCACHE_STR("a\0c"),     LIBCACHE_STR("\xff"),     LIBCACHE_STR("A"),
                                           LIBCACHE_STR("aaaaaaaa"), LIBCACHE_STR("aaaaaaaaa") };
    enum { N = sizeof keys / sizeof *keys };
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    for (unsigned char i = 0; i < N; i++)
        ck_result(libcache_set(rig.ns, keys[i].data, keys[i].size, &i, 1, NULL), LIBCACHE_OK);
    for (unsigned char i = 0; i < N; i++) {
        ck_result(libcache_get(rig.ns, keys[i].data, keys[i].size, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.size, 1);
        ck_assert_uint_eq(*(unsigned char *)value.data, i);
    }
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(keys_and_values_of_every_length_come_back_whole)
{
    struct rig rig;
    static unsigned char bytes[200000], key[LIBCACHE_KEY_MAX];
    static const size_t edges[] = { 255, 256, 4095, 4096, 4097, 65535, 65536, 100000 };
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct dice dice = dice_of(1);

    rig_prepare(&rig);
    rig.options.memory_bytes = 32 << 20;
    rig.options.max_value_bytes = sizeof bytes;
    rig_open(&rig);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)dice_roll(&dice);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)dice_roll(&dice);
    for (size_t i = 0; i < 130 + sizeof edges / sizeof *edges; i++) {
        size_t size = i < 130 ? i : edges[i - 130];
        size_t key_size = size < 1 ? 1 : size < sizeof key ? size : sizeof key;
        ck_result(libcache_set(rig.ns, key, key_size, bytes + i, size, NULL), LIBCACHE_OK);
        ck_result(libcache_get(rig.ns, key, key_size, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.size, size);
        if (size)
            ck_assert_mem_eq(value.data, bytes + i, size);
    }
    ck_result(libcache_set(rig.ns, KEY, bytes, sizeof bytes, NULL), LIBCACHE_OK);
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_uint_eq(value.size, sizeof bytes);
    ck_assert_mem_eq(value.data, bytes, sizeof bytes);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_miss_leaves_the_value_untouched)
{
    struct rig rig;
    char buffer[16];
    libcache_value value, before;

    rig_up(&rig);
    memset(&value, 0, sizeof value);
    value.data = buffer;
    value.capacity = sizeof buffer;
    value.size = 7;
    value.flags = 8;
    value.codec = 9;
    value.tier = 10;
    value.age_ms = 11;
    value.ttl_left_ms = 12;
    before = value;
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_MISS);
    ck_assert_mem_eq(&value, &before, sizeof value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_hit_into_a_reused_value_allocates_nothing)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t calls;

    rig_up(&rig);
    put(rig.ns, "long", "0123456789012345678901234567890123456789");
    put(rig.ns, "short", "1");
    ck_result(libcache_get(rig.ns, "long", 4, &value, 0), LIBCACHE_HIT);
    calls = rig.memory.calls;
    for (int i = 0; i < 100; i++) {
        ck_result(libcache_get(rig.ns, "short", 5, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.size, 1);
        ck_result(libcache_get(rig.ns, "long", 4, &value, 0), LIBCACHE_HIT);
        ck_assert_mem_eq(value.data, "0123456789012345678901234567890123456789", 40);
        ck_result(libcache_get(rig.ns, "absent", 6, &value, 0), LIBCACHE_MISS);
        ck_result(put(rig.ns, "short", "2"), LIBCACHE_OK);
    }
    ck_assert_uint_eq(rig.memory.calls, calls);
    libcache_release_value(&value);
    ck_assert_ptr_null(value.data);
    ck_assert_uint_eq(value.size, 0);
    ck_assert_uint_eq(value.capacity, 0);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_value_grows_with_what_is_found)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    static char bytes[5000];

    rig_up(&rig);
    for (size_t size = 1; size < sizeof bytes; size += size / 3 + 1) {
        memset(bytes, (int)size, size);
        ck_result(libcache_set(rig.ns, KEY, bytes, size, NULL), LIBCACHE_OK);
        ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
        ck_assert_uint_eq(value.size, size);
        ck_assert_uint_ge(value.capacity, size);
        ck_assert_mem_eq(value.data, bytes, size);
    }
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(memory_of_the_caller_is_filled_in_place)
{
    struct rig rig;
    char buffer[8] = "........";
    libcache_value value = { .data = buffer, .capacity = 5 };
    uint64_t calls;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    calls = rig.memory.calls;
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_ptr_eq(value.data, buffer);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_mem_eq(buffer, "value...", 8);
    ck_assert_uint_eq(rig.memory.calls, calls);
    libcache_release_value(&value); /* it is ours: nothing to free */
    rig_down(&rig);
}
END_TEST

START_TEST(memory_of_the_caller_that_is_too_small_says_how_much_is_needed)
{
    struct rig rig;
    char buffer[8] = "........";
    libcache_value value = { .data = buffer, .capacity = 4 };

    rig_up(&rig);
    put(rig.ns, "key", "value");
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_ptr_eq(value.data, buffer);
    ck_assert_uint_eq(value.capacity, 4);
    ck_assert_mem_eq(buffer, "........", 8);
    value.capacity = value.size;
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_mem_eq(buffer, "value...", 8);
    rig_down(&rig);
}
END_TEST

/* ---- reserve -------------------------------------------------------------------------------------------------- */

struct host {
    char bytes[64];
    size_t asked;
    uint8_t codec, tier; /* of the value, when it was asked */
    int calls;
    int refuse;
    jmp_buf *leave_by;
};

static void *host_reserve(libcache_value *value, size_t size)
{
    struct host *host = value->reserve_arg;

    host->calls++;
    host->asked = size;
    host->codec = value->codec;
    host->tier = value->tier;
    if (host->leave_by)
        longjmp(*host->leave_by, 1);
    return host->refuse || size > sizeof host->bytes ? NULL : host->bytes;
}

START_TEST(reserve_is_asked_for_the_exact_size_and_filled)
{
    struct rig rig;
    struct host host = { .calls = 0 };
    libcache_value value = { .reserve = host_reserve, .reserve_arg = &host };
    uint64_t calls;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    put(rig.ns, "empty", "");
    calls = rig.memory.calls;
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_int_eq(host.calls, 1);
    ck_assert_uint_eq(host.asked, 5);
    ck_assert_ptr_eq(value.data, host.bytes);
    ck_assert_uint_eq(value.size, 5);
    ck_assert_mem_eq(host.bytes, "value", 5);
    ck_result(libcache_get(rig.ns, "empty", 5, &value, 0), LIBCACHE_HIT);
    ck_assert_uint_eq(value.size, 0);
    ck_assert_uint_eq(rig.memory.calls, calls);
    host.calls = 0;
    ck_result(libcache_get(rig.ns, "absent", 6, &value, 0), LIBCACHE_MISS);
    ck_assert_int_eq(host.calls, 0);
    rig_down(&rig);
}
END_TEST

START_TEST(reserve_knows_codec_and_tier)
{
    struct rig rig;
    struct host host = { .calls = 0 };
    libcache_value value = { .reserve = host_reserve, .reserve_arg = &host };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    rig_up(&rig);
    for (unsigned flags = 0; flags <= LIBCACHE_TIMES; flags += LIBCACHE_TIMES) { /* the quick way, and the thorough one */
        options.codec = (uint8_t)(7 + flags);
        ck_result(libcache_set(rig.ns, KEY, "value", 5, &options), LIBCACHE_OK);
        value.codec = value.tier = 0;
        ck_result(libcache_get(rig.ns, KEY, &value, flags), LIBCACHE_HIT);
        ck_assert_uint_eq(host.codec, options.codec);
        ck_assert_uint_eq(host.tier, LIBCACHE_TIER_L1);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(reserve_without_memory_is_enomem)
{
    struct rig rig;
    struct host host = { .refuse = 1 };
    libcache_value value = { .reserve = host_reserve, .reserve_arg = &host };

    rig_up(&rig);
    put(rig.ns, "key", "value");
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_ENOMEM);
    ck_assert_int_eq(host.calls, 1);
    host.refuse = 0;
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

static void *write_everything(void *arg)
{
    struct rig *rig = arg;
    uintptr_t failed = put(rig->ns, "key", "other") != LIBCACHE_OK ||
                       libcache_invalidate_all(rig->cache, 0) != LIBCACHE_OK ||
                       put(rig->ns, "key", "third") != LIBCACHE_OK || libcache_delete(rig->ns, KEY, 0) != LIBCACHE_OK ||
                       put(rig->ns, "key", "value") != LIBCACHE_OK;
    return (void *)failed;
}

START_TEST(a_longjmp_out_of_reserve_leaves_the_cache_usable)
{
    struct rig rig;
    struct host host = { .calls = 0 };
    libcache_value value = { .reserve = host_reserve, .reserve_arg = &host };
    libcache_value many[2] = { { .reserve = host_reserve, .reserve_arg = &host },
                               { .reserve = host_reserve, .reserve_arg = &host } };
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("key") };
    int results[2];
    volatile int left = 0;
    jmp_buf leave_by;
    pthread_t thread;
    void *failed;

    rig_prepare(&rig);
    rig.options.stripes = 1;
    rig_open(&rig);
    put(rig.ns, "key", "value");
    for (volatile int i = 0; i < 100; i++) {
        host.leave_by = &leave_by;
        if (setjmp(leave_by) == 0) {
            if (i % 2)
                libcache_get(rig.ns, KEY, &value, 0);
            else
                libcache_get_many(rig.ns, keys, 2, many, results, NULL, 0);
            ck_abort_msg("reserve was not called");
        }
        left = left + 1;
        host.leave_by = NULL;
        ck_assert_int_eq(pthread_create(&thread, NULL, write_everything, &rig), 0);
        pthread_join(thread, &failed);
        ck_assert_msg(!failed, "a writer failed after longjmp number %d", left);
        ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
        ck_assert_mem_eq(host.bytes, "value", 5);
    }
    rig_down(&rig);
}
END_TEST

/* ---- Several at once --------------------------------------------------------------------------------------------- */

START_TEST(get_many_gives_each_key_its_own_result)
{
    struct rig rig;
    char small[1];
    static const libcache_slice keys[] = { LIBCACHE_STR("a"), LIBCACHE_STR("absent"),   LIBCACHE_STR("b"), { "", 0 },
                                           LIBCACHE_STR("a"), LIBCACHE_STR("negative"), LIBCACHE_STR("b") };
    enum { N = sizeof keys / sizeof *keys };
    libcache_value values[N];
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    int results[N];
    size_t found = 99;

    rig_up(&rig);
    memset(values, 0, sizeof values);
    values[6].data = small;
    values[6].capacity = sizeof small;
    negative.flags = LIBCACHE_NEG;
    negative.codec = 3;
    put(rig.ns, "a", "value of a");
    put(rig.ns, "b", "value of b");
    ck_result(libcache_set(rig.ns, "negative", 8, NULL, 0, &negative), LIBCACHE_OK);
    ck_assert_int_ge(libcache_get_many(rig.ns, keys, 3, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, 2);
    libcache_get_many(rig.ns, keys, N, values, results, &found, LIBCACHE_TIMES);
    ck_result(results[0], LIBCACHE_HIT);
    ck_result(results[1], LIBCACHE_MISS);
    ck_result(results[2], LIBCACHE_HIT);
    ck_result(results[3], LIBCACHE_EKEY);
    ck_result(results[4], LIBCACHE_HIT);
    ck_result(results[5], LIBCACHE_NEGATIVE);
    ck_result(results[6], LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(found, 3);
    ck_assert_mem_eq(values[0].data, "value of a", 10);
    ck_assert_mem_eq(values[2].data, "value of b", 10);
    ck_assert_mem_eq(values[4].data, "value of a", 10);
    ck_assert_uint_eq(values[0].ttl_left_ms, 3600 * 1000);
    ck_assert_uint_eq(values[5].codec, 3);
    ck_assert_uint_eq(values[6].size, 10);
    ck_result(libcache_get_many(rig.ns, keys, 0, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_eq(found, 0);
    for (int i = 0; i < N; i++)
        libcache_release_value(&values[i]);
    rig_down(&rig);
}
END_TEST

START_TEST(get_many_agrees_with_get_on_many_keys)
{
    enum { N = 1000 };
    struct rig rig;
    static char texts[N][16];
    static libcache_slice keys[N];
    static libcache_value values[N];
    static int results[N];
    size_t found, counted = 0;

    rig_up(&rig);
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "key %d", i);
        keys[i] = slice_of(texts[i]);
        if (i % 3)
            ck_result(put(rig.ns, texts[i], texts[i]), LIBCACHE_OK);
    }
    ck_result(libcache_get_many(rig.ns, keys, N, values, results, &found, 0), LIBCACHE_OK);
    ck_assert_uint_ge(found, N - (N + 2) / 3 - rig_stats(&rig).evictions);
    for (int i = 0; i < N; i++) {
        ck_result(results[i], look(rig.ns, texts[i]));
        if (results[i] == LIBCACHE_HIT) {
            counted++;
            ck_assert_uint_eq(values[i].size, keys[i].size);
            ck_assert_mem_eq(values[i].data, texts[i], keys[i].size);
        }
        libcache_release_value(&values[i]);
    }
    ck_assert_uint_eq(counted, found);
    rig_down(&rig);
}
END_TEST

START_TEST(set_many_stores_all_that_can_be_stored)
{
    struct rig rig;
    static char big[1 << 20];
    libcache_set_options tagged = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("t");
    libcache_item items[] = {
        { .key = LIBCACHE_STR("a"), .value = LIBCACHE_STR("1"), .result = 99 },
        { .key = LIBCACHE_STR(""), .value = LIBCACHE_STR("2"), .result = 99 },
        { .key = LIBCACHE_STR("big"), .value = { big, sizeof big }, .result = 99 },
        { .key = LIBCACHE_STR("b"), .value = LIBCACHE_STR("3"), .options = &tagged, .result = 99 },
        { .key = LIBCACHE_STR("a"), .value = LIBCACHE_STR("4"), .result = 99 },
    };

    rig_up(&rig);
    tagged.tags = &tag;
    tagged.n_tags = 1;
    ck_result(libcache_set_many(rig.ns, items, 5), LIBCACHE_EKEY);
    ck_result(items[0].result, LIBCACHE_OK);
    ck_result(items[1].result, LIBCACHE_EKEY);
    ck_result(items[2].result, LIBCACHE_ETOOBIG);
    ck_result(items[3].result, LIBCACHE_OK);
    ck_result(items[4].result, LIBCACHE_OK);
    ck_value(rig.ns, "a", "4");
    ck_value(rig.ns, "b", "3");
    ck_result(look(rig.ns, "big"), LIBCACHE_MISS);
    ck_result(invalidate_tag(rig.cache, "t"), LIBCACHE_OK);
    ck_result(look(rig.ns, "b"), LIBCACHE_MISS);
    ck_result(libcache_set_many(rig.ns, items + 3, 2), LIBCACHE_OK);
    ck_result(libcache_set_many(rig.ns, items, 0), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

START_TEST(delete_many_deletes_all_that_are_there)
{
    struct rig rig;
    static const libcache_slice keys[] = {
        LIBCACHE_STR("a"), LIBCACHE_STR("absent"), { NULL, 0 }, LIBCACHE_STR("b"), LIBCACHE_STR("a")
    };
    size_t deleted = 99;

    rig_up(&rig);
    put(rig.ns, "a", "1");
    put(rig.ns, "b", "2");
    put(rig.ns, "c", "3");
    ck_result(libcache_delete_many(rig.ns, keys, 5, &deleted, 0), LIBCACHE_EKEY);
    ck_assert_uint_eq(deleted, 2);
    ck_result(look(rig.ns, "a"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "b"), LIBCACHE_MISS);
    ck_value(rig.ns, "c", "3");
    ck_result(libcache_delete_many(rig.ns, keys, 2, &deleted, 0), LIBCACHE_OK);
    ck_assert_uint_eq(deleted, 0);
    ck_result(libcache_delete_many(rig.ns, keys, 2, NULL, LIBCACHE_NO_WAIT), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

START_TEST(a_set_replaces_value_flags_tags_and_ttl)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("first");
    libcache_value value = LIBCACHE_VALUE_INIT;

    rig_up(&rig);
    options.tags = &tag;
    options.n_tags = 1;
    options.ttl_ms = 1000;
    options.codec = 1;
    ck_result(libcache_set(rig.ns, KEY, "the first", 9, &options), LIBCACHE_OK);
    tag = slice_of("second");
    options.ttl_ms = 5000;
    options.codec = 2;
    options.user_flags = 3;
    ck_result(libcache_set(rig.ns, KEY, "2nd", 3, &options), LIBCACHE_OK);
    ck_result(invalidate_tag(rig.cache, "first"), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 4000);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_eq(value.size, 3);
    ck_assert_mem_eq(value.data, "2nd", 3);
    ck_assert_uint_eq(value.codec, 2);
    ck_assert_uint_eq(value.flags, 3);
    ck_assert_uint_eq(value.age_ms, 4000);
    ck_assert_uint_eq(value.ttl_left_ms, 1000);
    ck_result(invalidate_tag(rig.cache, "second"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(what_was_passed_in_may_change_after_the_call)
{
    struct rig rig;
    char key[] = "key", text[] = "value", tag_text[] = "tag";
    libcache_slice tag = { tag_text, 3 };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    rig_up(&rig);
    options.tags = &tag;
    options.n_tags = 1;
    ck_result(libcache_set(rig.ns, key, 3, text, 5, &options), LIBCACHE_OK);
    memset(key, 'x', 3);
    memset(text, 'x', 5);
    memset(tag_text, 'x', 3);
    memset(&options, 0xff, sizeof options);
    memset(&rig.options, 0xff, sizeof rig.options);
    ck_value(rig.ns, "key", "value");
    ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_value_that_is_too_big_deletes_the_old_one)
{
    struct rig rig;
    static char bytes[2001];
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *small;

    rig_up(&rig);
    policy.max_value_bytes = 1000;
    ck_result(libcache_open_namespace(&small, rig.cache, "small", &policy, NULL), LIBCACHE_OK);
    ck_result(libcache_set(small, KEY, bytes, 1000, NULL), LIBCACHE_OK);
    ck_result(libcache_set(small, KEY, bytes, 1001, NULL), LIBCACHE_ETOOBIG);
    ck_result(look(small, "key"), LIBCACHE_MISS);
    ck_result(libcache_add(small, KEY, bytes, 1001, NULL), LIBCACHE_ETOOBIG);
    ck_result(libcache_set(rig.ns, KEY, bytes, 1001, NULL), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

START_TEST(the_largest_value_fits_and_one_byte_more_does_not)
{
    static const size_t memory[] = { 256 << 10, 1 << 20, 64 << 20 };
    static unsigned char bytes[(2 << 20) + 1];
    libcache_value value = LIBCACHE_VALUE_INIT;

    memset(bytes, 0x5a, sizeof bytes);
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        size_t most = memory[i] / 32 < 1 << 20 ? memory[i] / 32 : 1 << 20;

        rig_prepare(&rig);
        rig.options.memory_bytes = memory[i];
        rig_open(&rig);
        ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_OK);
        ck_assert_uint_eq(policy.max_value_bytes, most);
        /* Again and again, so that it also fits when logs wrap and entries move. */
        for (int round = 0; round < 50; round++) {
            char key[16];
            int size = snprintf(key, sizeof key, "%d", round);
            ck_result(libcache_set(rig.ns, key, (size_t)size, bytes, most, NULL), LIBCACHE_OK);
            ck_result(libcache_get(rig.ns, key, (size_t)size, &value, 0), LIBCACHE_HIT);
            ck_assert_uint_eq(value.size, most);
            ck_result(libcache_set(rig.ns, key, (size_t)size, bytes, most + 1, NULL), LIBCACHE_ETOOBIG);
        }
        libcache_release_value(&value);
        rig_down(&rig);
    }
}
END_TEST

START_TEST(an_add_stores_only_where_nothing_is)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("t");

    rig_up(&rig);
    options.tags = &tag;
    options.n_tags = 1;
    options.ttl_ms = 1000;
    ck_result(libcache_add(rig.ns, KEY, "absent", 6, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "absent");
    ck_result(libcache_add(rig.ns, KEY, "present", 7, &options), LIBCACHE_EXISTS);
    ck_value(rig.ns, "key", "absent");

    fake_clock_advance(&rig.clock, 1000);
    ck_result(libcache_add(rig.ns, KEY, "expired", 7, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "expired");

    invalidate_tag(rig.cache, "t");
    ck_result(libcache_add(rig.ns, KEY, "by tag", 6, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "by tag");

    libcache_invalidate_namespace(rig.ns, 0);
    ck_result(libcache_add(rig.ns, KEY, "by namespace", 12, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "by namespace");

    libcache_invalidate_all(rig.cache, 0);
    ck_result(libcache_add(rig.ns, KEY, "by all", 6, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "by all");

    libcache_delete(rig.ns, KEY, 0);
    ck_result(libcache_add(rig.ns, KEY, "deleted", 7, &options), LIBCACHE_OK);
    ck_value(rig.ns, "key", "deleted");
    ck_result(libcache_add(rig.ns, KEY, "present", 7, NULL), LIBCACHE_EXISTS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_delete_tells_whether_something_was_there)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    rig_up(&rig);
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    put(rig.ns, "key", "value");
    ck_result(libcache_delete(rig.ns, KEY, LIBCACHE_NO_WAIT), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    options.ttl_ms = 10;
    libcache_set(rig.ns, KEY, "value", 5, &options);
    fake_clock_advance(&rig.clock, 10);
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    put_tagged(rig.ns, "key", "value", "t");
    invalidate_tag(rig.cache, "t");
    ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(two_caches_know_nothing_of_each_other)
{
    struct rig one, other;

    rig_up(&one);
    rig_up(&other);
    put(one.ns, "key", "one");
    ck_result(look(other.ns, "key"), LIBCACHE_MISS);
    put(other.ns, "key", "other");
    libcache_invalidate_all(other.cache, 0);
    ck_value(one.ns, "key", "one");
    rig_down(&other);
    ck_value(one.ns, "key", "one");
    rig_down(&one);
}
END_TEST

START_TEST(a_cache_that_overflows_keeps_answering)
{
    struct rig rig;
    static const unsigned keys = 20000;
    unsigned hits = 0;
    char key[16], text[200];

    rig_prepare(&rig);
    rig.options.memory_bytes = 256 << 10;
    rig_open(&rig);
    memset(text, 'v', sizeof text);
    for (unsigned i = 0; i < keys; i++) {
        int size = snprintf(key, sizeof key, "%u", i);
        ck_result(libcache_set(rig.ns, key, (size_t)size, text, sizeof text, NULL), LIBCACHE_OK);
        ck_result(look(rig.ns, key), LIBCACHE_HIT);
    }
    for (unsigned i = 0; i < keys; i++) {
        snprintf(key, sizeof key, "%u", i);
        hits += look(rig.ns, key) == LIBCACHE_HIT;
    }
    ck_assert_uint_gt(hits, 500); /* 256 KiB hold about 1000 of them */
    ck_assert_uint_lt(hits, 1400);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api", the_running_library_has_the_version_of_the_header, every_code_has_a_description_of_its_own,
                     a_cache_opens_with_all_defaults, a_hit_gives_back_codec_and_flags,
                     keys_differ_in_any_byte_and_in_length, keys_and_values_of_every_length_come_back_whole,
                     a_miss_leaves_the_value_untouched, a_hit_into_a_reused_value_allocates_nothing,
                     a_value_grows_with_what_is_found, memory_of_the_caller_is_filled_in_place,
                     memory_of_the_caller_that_is_too_small_says_how_much_is_needed,
                     reserve_is_asked_for_the_exact_size_and_filled, reserve_knows_codec_and_tier,
                     reserve_without_memory_is_enomem,
                     a_longjmp_out_of_reserve_leaves_the_cache_usable, get_many_gives_each_key_its_own_result,
                     get_many_agrees_with_get_on_many_keys, set_many_stores_all_that_can_be_stored,
                     delete_many_deletes_all_that_are_there, a_set_replaces_value_flags_tags_and_ttl,
                     what_was_passed_in_may_change_after_the_call, a_value_that_is_too_big_deletes_the_old_one,
                     the_largest_value_fits_and_one_byte_more_does_not, an_add_stores_only_where_nothing_is,
                     a_delete_tells_whether_something_was_there, two_caches_know_nothing_of_each_other,
                     a_cache_that_overflows_keeps_answering);
}
