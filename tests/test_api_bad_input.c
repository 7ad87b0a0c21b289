/*
 * Wrong arguments: each is refused with its own error, says why where there is a text, and changes nothing.
 * SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "key", 3

static char long_key[LIBCACHE_KEY_MAX + 1];

/* ---- Calls on an open cache ---------------------------------------------------------------------------------------- */

/* The call gives the wanted error, and neither entries nor statistics are other than before. */
#define REFUSED(call, wanted)                                                                              \
    do {                                                                                                   \
        libcache_stats before_ = rig_stats(&rig), after_;                                                  \
        ck_result(call, wanted);                                                                           \
        after_ = rig_stats(&rig);                                                                          \
        ck_assert_msg(memcmp(&before_, &after_, sizeof before_) == 0, "%s changes the statistics", #call); \
        ck_value(rig.ns, "key", "value");                                                                  \
        ck_value(rig.ns, "number", "5");                                                                   \
    } while (0)

static void fill(struct rig *rig)
{
    memset(long_key, 'k', sizeof long_key);
    rig_up(rig);
    put_tagged(rig->ns, "key", "value", "tag");
    put(rig->ns, "number", "5");
}

START_TEST(bad_keys_are_refused)
{
    static const libcache_slice keys[] = {
        { NULL, 0 }, { NULL, 3 }, { "", 0 }, { "key", 0 }, { long_key, sizeof long_key }, { long_key, SIZE_MAX }
    };
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_stamp stamp;
    uint64_t ms = 4711;
    int64_t number = 4711;
    int result;
    size_t found;

    fill(&rig);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const void *key = keys[i].data;
        size_t size = keys[i].size;
        libcache_item item = { .key = keys[i], .value = LIBCACHE_STR("other") };
        REFUSED(libcache_get(rig.ns, key, size, &value, 0), LIBCACHE_EKEY);
        REFUSED(libcache_exists(rig.ns, key, size, 0), LIBCACHE_EKEY);
        REFUSED(libcache_ttl_left(rig.ns, key, size, &ms, 0), LIBCACHE_EKEY);
        REFUSED(libcache_set(rig.ns, key, size, "other", 5, NULL), LIBCACHE_EKEY);
        REFUSED(libcache_add(rig.ns, key, size, "other", 5, NULL), LIBCACHE_EKEY);
        REFUSED(libcache_set_many(rig.ns, &item, 1), LIBCACHE_EKEY);
        REFUSED(libcache_delete(rig.ns, key, size, 0), LIBCACHE_EKEY);
        REFUSED(libcache_delete_many(rig.ns, &keys[i], 1, NULL, 0), LIBCACHE_EKEY);
        REFUSED(libcache_touch(rig.ns, key, size, 1, 0), LIBCACHE_EKEY);
        REFUSED(libcache_increment(rig.ns, key, size, 1, NULL, &number), LIBCACHE_EKEY);
        REFUSED(libcache_decrement(rig.ns, key, size, 1, NULL, &number), LIBCACHE_EKEY);
        REFUSED(libcache_take_stamp(rig.ns, key, size, &stamp), LIBCACHE_EKEY);
        libcache_get_many(rig.ns, &keys[i], 1, &value, &result, &found, 0);
        ck_result(result, LIBCACHE_EKEY);
        ck_assert_uint_eq(found, 0);
    }
    ck_assert_uint_eq(ms, 4711);
    ck_assert_int_eq(number, 4711);
    ck_assert_ptr_null(value.data);
    ck_result(libcache_set(rig.ns, long_key, LIBCACHE_KEY_MAX, "longest", 7, NULL), LIBCACHE_OK);
    ck_result(libcache_exists(rig.ns, long_key, LIBCACHE_KEY_MAX, 0), LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

START_TEST(null_arguments_are_refused)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice key = LIBCACHE_STR("key");
    libcache_item item = { .key = LIBCACHE_STR("key"), .value = { NULL, 5 } };
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    static libcache_entry entry;
    libcache_stamp stamp;
    uint64_t ms;
    int result;

    fill(&rig);
    REFUSED(libcache_get(NULL, KEY, &value, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_get(rig.ns, KEY, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_get_many(NULL, &key, 1, &value, &result, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_get_many(rig.ns, NULL, 1, &value, &result, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_get_many(rig.ns, &key, 1, NULL, &result, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_get_many(rig.ns, &key, 1, &value, NULL, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_exists(NULL, KEY, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_ttl_left(NULL, KEY, &ms, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_ttl_left(rig.ns, KEY, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_set(NULL, KEY, "v", 1, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_set(rig.ns, KEY, NULL, 1, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_add(NULL, KEY, "v", 1, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_add(rig.ns, KEY, NULL, 1, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_set_many(NULL, &item, 1), LIBCACHE_EINVAL);
    REFUSED(libcache_set_many(rig.ns, NULL, 1), LIBCACHE_EINVAL);
    REFUSED(libcache_set_many(rig.ns, &item, 1), LIBCACHE_EINVAL);
    REFUSED(libcache_delete(NULL, KEY, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_delete_many(NULL, &key, 1, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_delete_many(rig.ns, NULL, 1, NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_touch(NULL, KEY, 1, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_increment(NULL, KEY, 1, NULL, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_decrement(NULL, KEY, 1, NULL, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_take_stamp(NULL, KEY, &stamp), LIBCACHE_EINVAL);
    REFUSED(libcache_take_stamp(rig.ns, KEY, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_invalidate_tags(NULL, &key, 1, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_invalidate_tags(rig.cache, NULL, 1, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_invalidate_namespace(NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_invalidate_all(NULL, 0), LIBCACHE_EINVAL);
    REFUSED(libcache_iterate(NULL, &cursor, &entry), LIBCACHE_EINVAL);
    REFUSED(libcache_iterate(rig.cache, NULL, &entry), LIBCACHE_EINVAL);
    REFUSED(libcache_iterate(rig.cache, &cursor, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_sweep(NULL, 1, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_read_stats(NULL, &stats), LIBCACHE_EINVAL);
    REFUSED(libcache_read_stats(rig.cache, NULL), LIBCACHE_EINVAL);
    REFUSED(libcache_read_policy(NULL, &policy), LIBCACHE_EINVAL);
    REFUSED(libcache_read_policy(rig.ns, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_set(rig.ns, "empty", 5, NULL, 0, NULL), LIBCACHE_OK); /* nothing is a value */
    ck_value(rig.ns, "empty", "");
    libcache_release_value(NULL);
    rig_down(&rig);
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
    const unsigned reads = LIBCACHE_NO_WAIT | LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2 | LIBCACHE_READ_ONLY,
                   writes = LIBCACHE_NO_WAIT | LIBCACHE_SKIP_L1 | LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH,
                   stores = writes | LIBCACHE_NEG,
                   invalidations = LIBCACHE_NO_WAIT | LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH;
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice key = LIBCACHE_STR("key"), tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    uint64_t ms;
    int result;

    fill(&rig);
    for (unsigned flag = 1u << 31; flag; flag >>= 1) {
        options.flags = flag;
        if (!(flag & (reads | LIBCACHE_TIMES))) {
            REFUSED(libcache_get(rig.ns, KEY, &value, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_get_many(rig.ns, &key, 1, &value, &result, NULL, flag), LIBCACHE_EINVAL);
        }
        if (!(flag & reads)) {
            REFUSED(libcache_exists(rig.ns, KEY, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_ttl_left(rig.ns, KEY, &ms, flag), LIBCACHE_EINVAL);
        }
        if (!(flag & writes)) {
            REFUSED(libcache_delete(rig.ns, KEY, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_delete_many(rig.ns, &key, 1, NULL, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_touch(rig.ns, KEY, 1, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_increment(rig.ns, "number", 6, 1, &options, NULL), LIBCACHE_EINVAL);
            REFUSED(libcache_decrement(rig.ns, "number", 6, 1, &options, NULL), LIBCACHE_EINVAL);
        }
        if (!(flag & invalidations)) {
            REFUSED(libcache_invalidate_tags(rig.cache, &tag, 1, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_invalidate_namespace(rig.ns, flag), LIBCACHE_EINVAL);
            REFUSED(libcache_invalidate_all(rig.cache, flag), LIBCACHE_EINVAL);
        }
        if (!(flag & stores)) {
            REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_EINVAL);
            REFUSED(libcache_add(rig.ns, KEY, "v", 1, &options), LIBCACHE_EINVAL);
        }
    }
    rig_down(&rig);
}
END_TEST

START_TEST(flags_of_the_redis_tier_are_known_without_one)
{
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    uint64_t ms;

    fill(&rig);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_SKIP_L2), LIBCACHE_HIT);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_READ_ONLY), LIBCACHE_HIT);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_SKIP_L1), LIBCACHE_MISS);
    ck_result(libcache_exists(rig.ns, KEY, LIBCACHE_SKIP_L1), LIBCACHE_MISS);
    ck_result(libcache_ttl_left(rig.ns, KEY, &ms, LIBCACHE_SKIP_L1), LIBCACHE_MISS);
    options.flags = LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH;
    ck_result(libcache_set(rig.ns, "new", 3, "v", 1, &options), LIBCACHE_OK);
    ck_value(rig.ns, "new", "v");
    options.flags = LIBCACHE_SKIP_L1;
    ck_result(libcache_set(rig.ns, "new", 3, "v", 1, &options), LIBCACHE_OK);
    ck_result(look(rig.ns, "new"), LIBCACHE_MISS); /* nowhere to go */
    ck_result(libcache_touch(rig.ns, KEY, 5000, LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_result(libcache_invalidate_tags(rig.cache, &tag, 1, LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(libcache_delete(rig.ns, "number", 6, LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH), LIBCACHE_OK);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(bad_tags_are_refused)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice many[LIBCACHE_TAGS_MAX + 1];
    libcache_slice bad[] = {
        { NULL, 0 }, { NULL, 3 }, { "", 0 }, { long_key, LIBCACHE_TAG_MAX + 1 }, { long_key, SIZE_MAX }
    };

    fill(&rig);
    for (int i = 0; i <= LIBCACHE_TAGS_MAX; i++)
        many[i] = slice_of("tag");
    options.tags = many;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        many[1] = bad[i];
        options.n_tags = 2;
        REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_ETAG);
        REFUSED(libcache_add(rig.ns, "absent", 6, "v", 1, &options), LIBCACHE_ETAG);
        REFUSED(libcache_increment(rig.ns, "number", 6, 1, &options, NULL), LIBCACHE_ETAG);
        REFUSED(libcache_invalidate_tags(rig.cache, many, 2, 0), LIBCACHE_ETAG); /* and the good one is not either */
    }
    many[1] = many[0];
    options.n_tags = LIBCACHE_TAGS_MAX + 1;
    REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_ETAG);
    options.n_tags = SIZE_MAX;
    REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_ETAG);
    options.tags = NULL;
    options.n_tags = 1;
    REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_ETAG);
    rig_down(&rig);
}
END_TEST

START_TEST(values_of_impossible_size_are_refused)
{
    struct rig rig;

    fill(&rig);
    put(rig.ns, "big", "old");
    ck_result(libcache_set(rig.ns, "big", 3, "v", SIZE_MAX, NULL), LIBCACHE_ETOOBIG);
    ck_result(look(rig.ns, "big"), LIBCACHE_MISS);
    ck_result(libcache_set(rig.ns, "big", 3, "v", (size_t)1 << 32, NULL), LIBCACHE_ETOOBIG);
    ck_value(rig.ns, "key", "value");
    rig_down(&rig);
}
END_TEST

START_TEST(a_load_has_no_place_in_an_increment)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;

    fill(&rig);
    ck_result(libcache_take_stamp(rig.ns, "number", 6, &stamp), LIBCACHE_OK);
    options.stamp = &stamp;
    REFUSED(libcache_increment(rig.ns, "number", 6, 1, &options, NULL), LIBCACHE_EINVAL);
    rig_down(&rig);
}
END_TEST

/* ---- Struct sizes ------------------------------------------------------------------------------------------------------ */

/* Each options struct as a newer header might have it. */
struct newer_set_options {
    libcache_set_options known;
    uint64_t unknown;
};
struct newer_options {
    libcache_options known;
    uint64_t unknown;
};
struct newer_policy {
    libcache_policy known;
    uint64_t unknown;
};

START_TEST(set_options_of_any_size_are_understood_or_refused)
{
    static const size_t wrong[] = { 0, 1, sizeof(size_t) - 1, SIZE_MAX };
    struct rig rig;
    struct newer_set_options newer;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    fill(&rig);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.struct_size = wrong[i];
        REFUSED(libcache_set(rig.ns, KEY, "v", 1, &options), LIBCACHE_EINVAL);
        REFUSED(libcache_add(rig.ns, "absent", 6, "v", 1, &options), LIBCACHE_EINVAL);
        REFUSED(libcache_increment(rig.ns, "number", 6, 1, &options, NULL), LIBCACHE_EINVAL);
    }
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.known.codec = 7;
    newer.unknown = 1;
    REFUSED(libcache_set(rig.ns, KEY, "v", 1, &newer.known), LIBCACHE_EINVAL);
    newer.unknown = 0;
    ck_result(libcache_set(rig.ns, "new", 3, "v", 1, &newer.known), LIBCACHE_OK);
    ck_value(rig.ns, "new", "v");

    memset(&options, 0xff, sizeof options); /* an older struct ends before what is wrong here */
    options.struct_size = offsetof(libcache_set_options, tags);
    options.ttl_ms = 5;
    ck_result(libcache_set(rig.ns, "old", 3, "v", 1, &options), LIBCACHE_OK);
    ck_value(rig.ns, "old", "v");
    fake_clock_advance(&rig.clock, 5);
    ck_result(look(rig.ns, "old"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(open_options_of_any_size_are_understood_or_refused)
{
    static const size_t wrong[] = { 0, 1, sizeof(size_t) - 1, SIZE_MAX };
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    struct newer_options newer;
    libcache_error error;
    libcache *cache = NULL;
    libcache_stats stats = LIBCACHE_STATS_INIT;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.struct_size = wrong[i];
        memset(&error, 0, sizeof error);
        ck_result(libcache_open(&cache, &options, &error), LIBCACHE_EINVAL);
        ck_assert_int_eq(error.code, LIBCACHE_EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "struct_size"));
        ck_result(libcache_attach(&cache, segment_name("absent"), &options, NULL), LIBCACHE_EINVAL);
    }
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.unknown = 1;
    ck_result(libcache_open(&cache, &newer.known, NULL), LIBCACHE_EINVAL);
    ck_assert_ptr_null(cache);
    newer.unknown = 0;
    ck_result(libcache_open(&cache, &newer.known, NULL), LIBCACHE_OK);
    libcache_close(cache);

    memset(&options, 0xff, sizeof options);
    options.struct_size = offsetof(libcache_options, max_value_bytes);
    options.segment = LIBCACHE_PRIVATE;
    options.name = NULL;
    options.memory_bytes = 1 << 20;
    ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
    ck_result(libcache_read_stats(cache, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.memory_bytes, 1 << 20);
    libcache_close(cache);
}
END_TEST

START_TEST(structs_that_are_filled_are_filled_as_far_as_they_go)
{
    struct rig rig;
    libcache_stats stats;
    libcache_policy policy;
    struct newer_policy newer;
    struct {
        libcache_stats known;
        uint64_t unknown;
    } newer_stats;

    fill(&rig);
    memset(&stats, 0xab, sizeof stats);
    stats.struct_size = offsetof(libcache_stats, entries);
    ck_result(libcache_read_stats(rig.cache, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.sets, 2);
    ck_assert_uint_eq(stats.struct_size, offsetof(libcache_stats, entries));
    ck_assert_uint_eq(stats.entries, UINT64_C(0xabababababababab));
    stats.struct_size = 3;
    ck_result(libcache_read_stats(rig.cache, &stats), LIBCACHE_EINVAL);

    memset(&newer_stats, 0xab, sizeof newer_stats);
    newer_stats.known.struct_size = sizeof newer_stats;
    ck_result(libcache_read_stats(rig.cache, &newer_stats.known), LIBCACHE_OK);
    ck_assert_uint_eq(newer_stats.known.entries, 2);
    ck_assert_uint_eq(newer_stats.unknown, 0);

    memset(&policy, 0xab, sizeof policy);
    policy.struct_size = offsetof(libcache_policy, soft_ttl_ms);
    ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_OK);
    ck_assert_uint_eq(policy.ttl_ms, 3600 * 1000);
    ck_assert_uint_eq(policy.negative_ttl_ms, 30 * 1000);
    ck_assert_uint_eq(policy.soft_ttl_ms, UINT64_C(0xabababababababab));
    policy.struct_size = 0;
    ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_EINVAL);

    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.known.ttl_ms = 1000;
    newer.unknown = 1;
    ck_result(libcache_open_namespace(&rig.ns, rig.cache, "newer", &newer.known, NULL), LIBCACHE_EINVAL);
    newer.unknown = 0;
    ck_result(libcache_open_namespace(&rig.ns, rig.cache, "newer", &newer.known, NULL), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

/* ---- Opening ------------------------------------------------------------------------------------------------------------- */

/* Opening with these options fails with this code and a text that has this word. */
static void cannot_open(const libcache_options *options, int code, const char *word)
{
    libcache *cache = NULL;
    libcache_error error;

    memset(&error, 0xff, sizeof error);
    ck_result(libcache_open(&cache, options, &error), code);
    ck_assert_int_eq(error.code, code);
    ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
    ck_assert_msg(strstr(error.text, word), "\"%s\" does not speak of %s", error.text, word);
    ck_assert_ptr_null(cache);
    ck_result(libcache_open(&cache, options, NULL), code);
}

#define CANNOT_OPEN(field, wrong_value, code, word)        \
    do {                                                   \
        libcache_options options_ = LIBCACHE_OPTIONS_INIT; \
        options_.field = (wrong_value);                    \
        cannot_open(&options_, code, word);                \
    } while (0)

START_TEST(bad_options_are_refused_by_name)
{
    libcache_allocator half = { .allocate = NULL, .release = NULL };
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    CANNOT_OPEN(segment, -1, LIBCACHE_EINVAL, "segment");
    CANNOT_OPEN(segment, 3, LIBCACHE_EINVAL, "segment");
    CANNOT_OPEN(memory_bytes, 1, LIBCACHE_EINVAL, "memory_bytes");
    CANNOT_OPEN(memory_bytes, (256 << 10) - 1, LIBCACHE_EINVAL, "memory_bytes");
    CANNOT_OPEN(memory_bytes, SIZE_MAX, LIBCACHE_EINVAL, "memory_bytes");
    CANNOT_OPEN(max_value_bytes, 64 << 20, LIBCACHE_EINVAL, "max_value_bytes");
    CANNOT_OPEN(max_value_bytes, SIZE_MAX, LIBCACHE_EINVAL, "max_value_bytes");
    CANNOT_OPEN(stripes, 257, LIBCACHE_EINVAL, "stripes");
    CANNOT_OPEN(max_namespaces, 4096, LIBCACHE_EINVAL, "max_namespaces");
    CANNOT_OPEN(huge_pages, 3, LIBCACHE_EINVAL, "huge_pages");
    CANNOT_OPEN(verify_values, 2, LIBCACHE_EINVAL, "verify_values");
    CANNOT_OPEN(verify_values, -1, LIBCACHE_EINVAL, "verify_values");
    CANNOT_OPEN(name, "name", LIBCACHE_EINVAL, "name");
    CANNOT_OPEN(allocator, &half, LIBCACHE_EINVAL, "allocator");
    CANNOT_OPEN(policy_file, "/nowhere/at/all.ini", LIBCACHE_ESYSTEM, "/nowhere/at/all.ini");
    CANNOT_OPEN(policy_file, "/dev/null", LIBCACHE_ESYSTEM, "regular");
    half.allocate = (void *(*)(void *, size_t))(uintptr_t)1;
    CANNOT_OPEN(allocator, &half, LIBCACHE_EINVAL, "allocator");
    options.memory_bytes = 1 << 20;
    options.stripes = 256;
    cannot_open(&options, LIBCACHE_EINVAL, "stripes");
    ck_result(libcache_open(NULL, NULL, NULL), LIBCACHE_EINVAL);
}
END_TEST

START_TEST(bad_segment_names_are_refused)
{
    static const char *const names[] = {
        "",    ".",   "..",       ".hidden", "a/b", "/a",
        "a b", "a\n", "\xc3\xbc", "a%",      "~a",  "12345678901234567890123456789012345678901234567890123456789012345"
    };
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    libcache *cache = NULL;

    options.segment = LIBCACHE_NAMED;
    cannot_open(&options, LIBCACHE_ENAME, "name");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        options.name = names[i];
        cannot_open(&options, LIBCACHE_ENAME, "name");
        ck_result(libcache_attach(&cache, names[i], NULL, &error), LIBCACHE_ENAME);
        ck_result(libcache_remove_segment(names[i], &error), LIBCACHE_ENAME);
    }
    ck_result(libcache_remove_segment(NULL, NULL), LIBCACHE_ENAME);
    ck_assert_ptr_null(cache);
}
END_TEST

START_TEST(bad_namespace_names_are_refused)
{
    static char longest[LIBCACHE_NAMESPACE_NAME_MAX + 2];
    static const char *const names[] = { NULL, "", "a\n", "\t", "a\x7f", "\x01", longest };
    struct rig rig;
    libcache_ns *ns = NULL;
    libcache_error error;

    fill(&rig);
    memset(longest, 'n', LIBCACHE_NAMESPACE_NAME_MAX + 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        REFUSED(libcache_open_namespace(&ns, rig.cache, names[i], NULL, &error), LIBCACHE_ENAME);
        ck_assert_int_eq(error.code, LIBCACHE_ENAME);
    }
    REFUSED(libcache_open_namespace(&ns, NULL, "name", NULL, &error), LIBCACHE_EINVAL);
    REFUSED(libcache_open_namespace(NULL, rig.cache, "name", NULL, &error), LIBCACHE_EINVAL);
    ck_assert_ptr_null(ns);
    longest[LIBCACHE_NAMESPACE_NAME_MAX] = '\0';
    ck_result(libcache_open_namespace(&ns, rig.cache, longest, NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, rig.cache, "\xc3\xbc [] = \" ;#", NULL, NULL), LIBCACHE_OK);
    rig_down(&rig);
}
END_TEST

#define BAD_POLICY(field, wrong_value, wanted)                                                        \
    do {                                                                                              \
        libcache_policy policy_ = LIBCACHE_POLICY_INIT;                                               \
        policy_.ttl_ms = 10000;                                                                       \
        policy_.field = (wrong_value);                                                                \
        memset(&error, 0, sizeof error);                                                              \
        REFUSED(libcache_open_namespace(&ns, rig.cache, "bad", &policy_, &error), wanted);            \
        ck_assert_int_eq(error.code, wanted);                                                         \
        ck_assert_msg(strstr(error.text, #field), "\"%s\" does not speak of %s", error.text, #field); \
    } while (0)

START_TEST(bad_policies_are_refused_by_field)
{
    uint64_t ten_years = UINT64_C(3650) * 24 * 3600 * 1000;
    struct rig rig;
    libcache_ns *ns = NULL;
    libcache_error error;

    fill(&rig);
    BAD_POLICY(ttl_ms, ten_years + 1, LIBCACHE_EPOLICY);
    BAD_POLICY(negative_ttl_ms, ten_years + 1, LIBCACHE_EPOLICY);
    BAD_POLICY(soft_ttl_ms, 10000, LIBCACHE_EPOLICY);
    BAD_POLICY(grace_ms, ten_years + 1, LIBCACHE_EPOLICY);
    BAD_POLICY(jitter_percent, 51, LIBCACHE_EPOLICY);
    BAD_POLICY(l1_share_percent, 101, LIBCACHE_EPOLICY);
    BAD_POLICY(max_value_bytes, (4 << 20) / 32 + 1, LIBCACHE_EPOLICY);
    BAD_POLICY(tiers, 4, LIBCACHE_EPOLICY);
    BAD_POLICY(l1_ttl_ms, ten_years + 1, LIBCACHE_EPOLICY);
    BAD_POLICY(tiers, LIBCACHE_TIER_L2, LIBCACHE_EUNSUPPORTED);
    BAD_POLICY(tiers, LIBCACHE_TIER_L1 | LIBCACHE_TIER_L2, LIBCACHE_EUNSUPPORTED);
    BAD_POLICY(struct_size, 1, LIBCACHE_EINVAL);
    ck_assert_ptr_null(ns);
    ck_result(libcache_open_namespace(&ns, rig.cache, "bad", NULL, NULL), LIBCACHE_OK); /* the name was not used up */
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api_bad_input", bad_keys_are_refused, null_arguments_are_refused, unknown_flags_are_refused,
                     flags_of_the_redis_tier_are_known_without_one,
                     bad_tags_are_refused, values_of_impossible_size_are_refused, a_load_has_no_place_in_an_increment,
                     set_options_of_any_size_are_understood_or_refused,
                     open_options_of_any_size_are_understood_or_refused,
                     structs_that_are_filled_are_filled_as_far_as_they_go, bad_options_are_refused_by_name,
                     bad_segment_names_are_refused, bad_namespace_names_are_refused, bad_policies_are_refused_by_field);
}
