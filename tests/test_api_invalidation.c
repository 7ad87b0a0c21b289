/*
 * Invalidation by tag, namespace and all, and the namespaces themselves. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

static void put_with_tags(libcache_ns *ns, const char *key, const char *const *tags, size_t n)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice slices[LIBCACHE_TAGS_MAX];

    for (size_t i = 0; i < n; i++)
        slices[i] = slice_of(tags[i]);
    options.tags = slices;
    options.n_tags = n;
    ck_result(libcache_set(ns, key, strlen(key), key, strlen(key), &options), LIBCACHE_OK);
}

static libcache_ns *open_ns(struct rig *rig, const char *name)
{
    libcache_ns *ns;
    ck_result(libcache_open_namespace(&ns, rig->cache, name, NULL, NULL), LIBCACHE_OK);
    return ns;
}

/* ---- Tags ------------------------------------------------------------------------------------------------------- */

START_TEST(any_one_of_its_tags_invalidates_an_entry)
{
    static const char *const tags[] = { "red", "green", "blue" };
    struct rig rig;

    rig_up(&rig);
    for (int i = 0; i < 3; i++) {
        put_with_tags(rig.ns, "key", tags, 3);
        ck_value(rig.ns, "key", "key");
        ck_result(invalidate_tag(rig.cache, tags[i]), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(an_entry_stored_after_an_invalidation_is_a_hit)
{
    static const char *const tags[] = { "red", "green", "blue" };
    struct rig rig;

    rig_up(&rig);
    for (int i = 0; i < 100; i++) {
        put_with_tags(rig.ns, "key", tags, 3);
        ck_result(look(rig.ns, "key"), LIBCACHE_HIT);
        invalidate_tag(rig.cache, tags[i % 3]);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    }
    put_with_tags(rig.ns, "key", tags, 3);
    ck_value(rig.ns, "key", "key");
    rig_down(&rig);
}
END_TEST

START_TEST(other_tags_and_untagged_entries_are_not_touched)
{
    static const char *const red[] = { "red" }, *const green[] = { "green" }, *const both[] = { "red", "green" };
    struct rig rig;
    libcache_ns *other;

    rig_up(&rig);
    other = open_ns(&rig, "other");
    put_with_tags(rig.ns, "r", red, 1);
    put_with_tags(rig.ns, "g", green, 1);
    put_with_tags(rig.ns, "rg", both, 2);
    put_with_tags(other, "r", red, 1);
    put_with_tags(other, "g", green, 1);
    put(rig.ns, "none", "none");
    invalidate_tag(rig.cache, "red");
    ck_result(look(rig.ns, "r"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "rg"), LIBCACHE_MISS);
    ck_result(look(other, "r"), LIBCACHE_MISS); /* tags are of the cache, not of a namespace */
    ck_result(look(rig.ns, "g"), LIBCACHE_HIT);
    ck_result(look(other, "g"), LIBCACHE_HIT);
    ck_result(look(rig.ns, "none"), LIBCACHE_HIT);
    invalidate_tag(rig.cache, "re");
    invalidate_tag(rig.cache, "green ");
    ck_result(look(rig.ns, "g"), LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

START_TEST(several_tags_are_invalidated_by_one_call)
{
    static const char *const red[] = { "red" }, *const green[] = { "green" }, *const blue[] = { "blue" };
    libcache_slice two[2] = { LIBCACHE_STR("red"), LIBCACHE_STR("blue") };
    struct rig rig;

    rig_up(&rig);
    put_with_tags(rig.ns, "r", red, 1);
    put_with_tags(rig.ns, "g", green, 1);
    put_with_tags(rig.ns, "b", blue, 1);
    ck_result(libcache_invalidate_tags(rig.cache, two, 2, LIBCACHE_NO_WAIT), LIBCACHE_OK);
    ck_result(look(rig.ns, "r"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "g"), LIBCACHE_HIT);
    ck_result(look(rig.ns, "b"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(an_entry_may_carry_sixty_four_tags_and_a_tag_any_byte)
{
    static char texts[LIBCACHE_TAGS_MAX][16], longest[LIBCACHE_TAG_MAX];
    const char *tags[LIBCACHE_TAGS_MAX];
    libcache_slice odd[3] = { LIBCACHE_STR("a\0b"), LIBCACHE_STR("\0"), { longest, sizeof longest } };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    struct rig rig;

    rig_up(&rig);
    for (int i = 0; i < LIBCACHE_TAGS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "tag %d", i);
        tags[i] = texts[i];
    }
    for (int i = 0; i < LIBCACHE_TAGS_MAX; i++) {
        put_with_tags(rig.ns, "key", tags, LIBCACHE_TAGS_MAX);
        ck_value(rig.ns, "key", "key");
        invalidate_tag(rig.cache, tags[i]);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    }
    options.tags = odd;
    options.n_tags = 3;
    for (int i = 0; i < 3; i++) {
        ck_result(libcache_set(rig.ns, "key", 3, "v", 1, &options), LIBCACHE_OK);
        invalidate_tag(rig.cache, "a");
        ck_result(look(rig.ns, "key"), LIBCACHE_HIT);
        ck_result(libcache_invalidate_tags(rig.cache, &odd[i], 1, 0), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(more_tags_than_marks_are_kept_cost_misses_and_nothing_else)
{
    enum { TAGS = 5000 }; /* far more than 256 KiB has marks for */
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;
    int lost = 0;
    char tag[16];

    rig_prepare(&rig);
    rig.options.memory_bytes = 256 << 10;
    rig_open(&rig);
    put_tagged(rig.ns, "old", "value", "never invalidated");
    put(rig.ns, "untagged", "value");
    for (int i = 0; i < TAGS; i++) {
        snprintf(tag, sizeof tag, "%d", i);
        ck_result(put_tagged(rig.ns, "key", tag, tag), LIBCACHE_OK);
        ck_value(rig.ns, "key", tag);
        ck_result(invalidate_tag(rig.cache, tag), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        put_tagged(rig.ns, "new", tag, tag);
        ck_value(rig.ns, "new", tag);
        ck_value(rig.ns, "untagged", "value"); /* in use, so it is not evicted either */
        lost |= libcache_get(rig.ns, "old", 3, &value, 0) == LIBCACHE_MISS;
    }
    ck_assert_int_eq(lost, 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(invalidated_tags_stay_so_however_many_follow)
{
    enum { TAGS = 3000 };
    struct rig rig;
    char tag[16], key[16];

    rig_prepare(&rig);
    rig.options.memory_bytes = 1 << 20;
    rig_open(&rig);
    for (int i = 0; i < TAGS; i++) {
        snprintf(tag, sizeof tag, "%d", i);
        ck_result(put_tagged(rig.ns, tag, "old", tag), LIBCACHE_OK);
    }
    for (int i = 0; i < TAGS; i++) {
        snprintf(tag, sizeof tag, "%d", i);
        ck_result(invalidate_tag(rig.cache, tag), LIBCACHE_OK);
    }
    for (int i = 0; i < TAGS; i++) {
        snprintf(key, sizeof key, "%d", i);
        ck_result(look(rig.ns, key), LIBCACHE_MISS);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(a_tag_hash_tells_tags_apart)
{
    ck_assert_uint_eq(libcache_hash_tag("tenant:7", 8), libcache_hash_tag("tenant:7", 8));
    ck_assert_uint_ne(libcache_hash_tag("tenant:7", 8), libcache_hash_tag("tenant:8", 8));
    ck_assert_uint_ne(libcache_hash_tag("tenant:7", 8), libcache_hash_tag("tenant:7", 7));
}
END_TEST

/* ---- Namespaces and everything ------------------------------------------------------------------------------------ */

START_TEST(an_invalidated_namespace_is_empty_and_the_others_are_not)
{
    struct rig rig;
    libcache_ns *other;

    rig_up(&rig);
    other = open_ns(&rig, "other");
    for (int round = 0; round < 3; round++) {
        put(rig.ns, "key", "value");
        put(other, "key", "other");
        ck_result(libcache_invalidate_namespace(rig.ns, 0), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        ck_value(other, "key", "other");
        put(rig.ns, "key", "again");
        ck_value(rig.ns, "key", "again");
    }
    rig_down(&rig);
}
END_TEST

START_TEST(invalidate_all_empties_every_namespace)
{
    struct rig rig;
    libcache_ns *other;

    rig_up(&rig);
    other = open_ns(&rig, "other");
    put(rig.ns, "key", "value");
    put_tagged(other, "key", "other", "t");
    ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(look(other, "key"), LIBCACHE_MISS);
    put(rig.ns, "key", "again");
    put_tagged(other, "key", "again", "t");
    ck_value(rig.ns, "key", "again");
    ck_value(other, "key", "again");
    rig_down(&rig);
}
END_TEST

START_TEST(namespace_and_key_never_run_into_each_other)
{
    struct rig rig;
    libcache_ns *a, *ab, *colon;

    rig_up(&rig);
    a = open_ns(&rig, "a");
    ab = open_ns(&rig, "ab");
    colon = open_ns(&rig, "a:");
    put(a, "bc", "a + bc");
    ck_result(look(ab, "c"), LIBCACHE_MISS);
    put(ab, "c", "ab + c");
    put(a, ":c", "a + :c");
    put(colon, "c", "a: + c");
    ck_value(a, "bc", "a + bc");
    ck_value(ab, "c", "ab + c");
    ck_value(a, ":c", "a + :c");
    ck_value(colon, "c", "a: + c");
    libcache_invalidate_namespace(a, 0);
    ck_result(look(a, "bc"), LIBCACHE_MISS);
    ck_value(ab, "c", "ab + c");
    ck_value(colon, "c", "a: + c");
    rig_down(&rig);
}
END_TEST

START_TEST(a_namespace_opened_again_is_the_same)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error = { 0 };
    libcache_ns *first, *again, *untouched = (libcache_ns *)&rig;

    rig_up(&rig);
    policy.ttl_ms = 5000;
    ck_result(libcache_open_namespace(&first, rig.cache, "users", &policy, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&again, rig.cache, "users", &policy, NULL), LIBCACHE_OK);
    ck_assert_ptr_eq(first, again);
    ck_result(libcache_open_namespace(&again, rig.cache, "users", NULL, NULL), LIBCACHE_OK);
    ck_assert_ptr_eq(first, again);
    policy.ttl_ms = 5001;
    ck_result(libcache_open_namespace(&untouched, rig.cache, "users", &policy, &error), LIBCACHE_EPOLICY);
    ck_assert_ptr_eq(untouched, &rig);
    ck_assert_int_eq(error.code, LIBCACHE_EPOLICY);
    ck_assert_int_gt((int)strlen(error.text), 0);
    rig_down(&rig);
}
END_TEST

START_TEST(namespaces_run_out_at_max_namespaces)
{
    struct rig rig;
    libcache_ns *ns[10], *one_more = NULL;
    libcache_error error = { 0 };
    char name[32];

    rig_prepare(&rig);
    rig.options.max_namespaces = 10;
    rig_open(&rig); /* with "test" in it */
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "number %d", i);
        ns[i] = open_ns(&rig, name);
        put(ns[i], "key", name);
    }
    ck_result(libcache_open_namespace(&one_more, rig.cache, "one more", NULL, &error), LIBCACHE_ENAME);
    ck_assert_ptr_null(one_more);
    ck_assert_int_gt((int)strlen(error.text), 0);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "number %d", i);
        ck_assert_ptr_eq(open_ns(&rig, name), ns[i]);
        ck_value(ns[i], "key", name);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(four_thousand_namespaces_are_possible)
{
    enum { N = 4095 };
    struct rig rig;
    static libcache_ns *ns[N];
    libcache_ns *one_more;
    uint64_t missing = 0;
    char name[LIBCACHE_NAMESPACE_NAME_MAX + 16];

    rig_prepare(&rig);
    rig.options.memory_bytes = 16 << 20;
    rig.options.max_namespaces = N;
    rig_open(&rig);
    ns[0] = rig.ns;
    for (int i = 1; i < N; i++) {
        snprintf(name, sizeof name, "%-100d", i);
        ns[i] = open_ns(&rig, name);
        ck_result(put(ns[i], "key", name), LIBCACHE_OK);
    }
    ck_result(libcache_open_namespace(&one_more, rig.cache, "one more", NULL, NULL), LIBCACHE_ENAME);
    libcache_invalidate_namespace(ns[N - 1], 0);
    for (int i = 1; i < N - 1; i++) {
        snprintf(name, sizeof name, "%-100d", i);
        if (look(ns[i], "key") == LIBCACHE_HIT)
            ck_value(ns[i], "key", name);
        else
            missing++;
    }
    ck_assert_uint_le(missing, rig_stats(&rig).evictions);
    ck_result(look(ns[N - 1], "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api_invalidation", any_one_of_its_tags_invalidates_an_entry,
                     an_entry_stored_after_an_invalidation_is_a_hit, other_tags_and_untagged_entries_are_not_touched,
                     several_tags_are_invalidated_by_one_call, an_entry_may_carry_sixty_four_tags_and_a_tag_any_byte,
                     more_tags_than_marks_are_kept_cost_misses_and_nothing_else,
                     invalidated_tags_stay_so_however_many_follow, a_tag_hash_tells_tags_apart,
                     an_invalidated_namespace_is_empty_and_the_others_are_not, invalidate_all_empties_every_namespace,
                     namespace_and_key_never_run_into_each_other, a_namespace_opened_again_is_the_same,
                     namespaces_run_out_at_max_namespaces, four_thousand_namespaces_are_possible);
}
