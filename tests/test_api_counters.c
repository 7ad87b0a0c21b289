/* Numbers: increment and decrement. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "key", 3

static int64_t add(libcache_ns *ns, int64_t delta)
{
    int64_t number = 4711;
    ck_result(libcache_increment(ns, KEY, delta, NULL, &number), LIBCACHE_OK);
    return number;
}

static void ck_number(libcache_ns *ns, int64_t wanted)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, wanted);
    ck_value(ns, "key", text);
}

START_TEST(a_number_begins_at_zero_and_reads_as_decimal_text)
{
    static const int64_t numbers[] = { 1, -1, 9, 10, -10, 1234567890, 1000000000000000000, INT64_MAX, INT64_MIN + 1 };
    struct rig rig;

    rig_up(&rig);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        libcache_delete(rig.ns, KEY, 0);
        ck_assert_int_eq(add(rig.ns, numbers[i]), numbers[i]);
        ck_number(rig.ns, numbers[i]);
        ck_assert_int_eq(add(rig.ns, -numbers[i]), 0);
        ck_number(rig.ns, 0);
    }
    libcache_delete(rig.ns, KEY, 0);
    ck_result(libcache_increment(rig.ns, KEY, 0, NULL, NULL), LIBCACHE_OK);
    ck_number(rig.ns, 0);
    ck_result(libcache_decrement(rig.ns, KEY, 3, NULL, NULL), LIBCACHE_OK);
    ck_number(rig.ns, -3);
    rig_down(&rig);
}
END_TEST

START_TEST(a_number_read_into_memory_of_the_caller_wants_its_digits)
{
    struct rig rig;
    char buffer[8] = "........";
    libcache_value value = { .data = buffer, .capacity = 3 };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    rig_up(&rig);
    options.codec = 9;
    options.user_flags = 10;
    ck_result(libcache_increment(rig.ns, KEY, -123, &options, NULL), LIBCACHE_OK);
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(value.size, 4);
    ck_assert_mem_eq(buffer, "........", 8);
    value.capacity = 4;
    ck_result(libcache_get(rig.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_assert_mem_eq(buffer, "-123....", 8);
    ck_assert_uint_eq(value.codec, 9);
    ck_assert_uint_eq(value.flags, 10);
    rig_down(&rig);
}
END_TEST

START_TEST(a_number_that_was_set_as_text_can_be_incremented)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice tag = LIBCACHE_STR("t");

    rig_up(&rig);
    options.ttl_ms = 1000;
    options.codec = 4;
    options.user_flags = 5;
    options.tags = &tag;
    options.n_tags = 1;
    ck_result(libcache_set(rig.ns, KEY, "17", 2, &options), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 400);
    ck_assert_int_eq(add(rig.ns, 25), 42);
    ck_number(rig.ns, 42);
    ck_result(libcache_get(rig.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_eq(value.ttl_left_ms, 600);
    ck_assert_uint_eq(value.codec, 4);
    ck_assert_uint_eq(value.flags, 5);
    ck_result(invalidate_tag(rig.cache, "t"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    put(rig.ns, "key", "-9223372036854775808");
    ck_assert_int_eq(add(rig.ns, 1), INT64_MIN + 1);
    put(rig.ns, "key", "0");
    ck_assert_int_eq(add(rig.ns, 1), 1);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_set_takes_the_place_of_a_number)
{
    struct rig rig;

    rig_up(&rig);
    add(rig.ns, 5);
    put(rig.ns, "key", "five");
    ck_value(rig.ns, "key", "five");
    ck_result(libcache_increment(rig.ns, KEY, 1, NULL, NULL), LIBCACHE_ENUMBER);
    put(rig.ns, "key", "5");
    ck_assert_int_eq(add(rig.ns, 1), 6);
    rig_down(&rig);
}
END_TEST

START_TEST(an_increment_keeps_the_remaining_ttl_and_the_tags)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT, other = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("t"), other_tag = LIBCACHE_STR("u");
    uint64_t left;
    int64_t number;

    rig_up(&rig);
    options.ttl_ms = 1000;
    options.tags = &tag;
    options.n_tags = 1;
    other.ttl_ms = 9000;
    other.tags = &other_tag;
    other.n_tags = 1;
    ck_result(libcache_increment(rig.ns, KEY, 1, &options, &number), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 600);
    ck_result(libcache_increment(rig.ns, KEY, 1, &other, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, 2);
    ck_result(libcache_ttl_left(rig.ns, KEY, &left, 0), LIBCACHE_OK);
    ck_assert_uint_eq(left, 400);
    invalidate_tag(rig.cache, "u"); /* options count only for a number that begins */
    ck_number(rig.ns, 2);
    invalidate_tag(rig.cache, "t");
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(libcache_increment(rig.ns, KEY, 1, &options, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, 1);
    fake_clock_advance(&rig.clock, 999);
    ck_assert_int_eq(add(rig.ns, 1), 2);
    fake_clock_advance(&rig.clock, 1);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_assert_int_eq(add(rig.ns, 1), 1);
    rig_down(&rig);
}
END_TEST

START_TEST(an_increment_does_not_vouch_for_what_was_invalidated)
{
    struct rig rig;

    rig_up(&rig);
    add(rig.ns, 5);
    libcache_invalidate_namespace(rig.ns, 0);
    ck_assert_int_eq(add(rig.ns, 1), 1);
    libcache_invalidate_all(rig.cache, 0);
    ck_assert_int_eq(add(rig.ns, 1), 1);
    libcache_delete(rig.ns, KEY, 0);
    ck_assert_int_eq(add(rig.ns, 1), 1);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_no_number_is_refused_and_stays)
{
    static const char *const texts[] = { "",
                                         "x",
                                         "1x",
                                         "x1",
                                         "1.5",
                                         " 1",
                                         "1 ",
                                         "--1",
                                         "-",
                                         "0x10",
                                         "1e3",
                                         "9223372036854775808",
                                         "-9223372036854775809",
                                         "100000000000000000000000000" };
    struct rig rig;
    int64_t number = 4711;

    rig_up(&rig);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int result;
        put(rig.ns, "key", texts[i]);
        result = libcache_increment(rig.ns, KEY, 1, NULL, &number);
        ck_assert_msg(result == LIBCACHE_ENUMBER, "\"%s\" counts as a number: %s", texts[i], result_name(result));
        ck_value(rig.ns, "key", texts[i]);
    }
    libcache_set(rig.ns, KEY, "1\0", 2, NULL);
    ck_result(libcache_increment(rig.ns, KEY, 1, NULL, &number), LIBCACHE_ENUMBER);
    ck_assert_int_eq(number, 4711);
    rig_down(&rig);
}
END_TEST

START_TEST(an_overflow_is_refused_and_changes_nothing)
{
    struct rig rig;
    int64_t number = 4711;

    rig_up(&rig);
    add(rig.ns, INT64_MAX - 1);
    ck_assert_int_eq(add(rig.ns, 1), INT64_MAX);
    ck_result(libcache_increment(rig.ns, KEY, 1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_increment(rig.ns, KEY, INT64_MAX, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(rig.ns, KEY, -1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(rig.ns, KEY, INT64_MIN, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_number(rig.ns, INT64_MAX);
    ck_assert_int_eq(add(rig.ns, INT64_MIN), -1);
    ck_result(libcache_decrement(rig.ns, KEY, INT64_MAX, NULL, NULL), LIBCACHE_OK);
    ck_number(rig.ns, INT64_MIN);
    ck_result(libcache_increment(rig.ns, KEY, -1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_increment(rig.ns, KEY, INT64_MIN, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_result(libcache_decrement(rig.ns, KEY, 1, NULL, &number), LIBCACHE_EOVERFLOW);
    ck_number(rig.ns, INT64_MIN);
    ck_assert_int_eq(number, 4711);
    ck_result(libcache_decrement(rig.ns, KEY, INT64_MIN, NULL, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, 0);

    libcache_delete(rig.ns, KEY, 0);
    number = 4711;
    ck_result(libcache_decrement(rig.ns, KEY, INT64_MIN, NULL, &number), LIBCACHE_EOVERFLOW); /* 0 - INT64_MIN */
    ck_assert_int_eq(number, 4711);
    ck_assert_int_eq(add(rig.ns, INT64_MIN), INT64_MIN);
    put(rig.ns, "key", "-1");
    ck_result(libcache_decrement(rig.ns, KEY, INT64_MIN, NULL, &number), LIBCACHE_OK);
    ck_assert_int_eq(number, INT64_MAX);
    rig_down(&rig);
}
END_TEST

/* ---- Concurrent ------------------------------------------------------------------------------------------------- */

enum { THREADS = 4 };

static void *count_up(void *arg)
{
    struct rig *rig = arg;
    uintptr_t failed = 0;

    for (unsigned long i = scaled(20000); i; i--) {
        failed += libcache_increment(rig->ns, KEY, 3, NULL, NULL) != LIBCACHE_OK;
        failed += libcache_decrement(rig->ns, KEY, 2, NULL, NULL) != LIBCACHE_OK;
    }
    return (void *)failed;
}

START_TEST(no_increment_of_any_thread_is_lost)
{
    struct rig rig;
    pthread_t threads[THREADS];
    void *failed;

    rig_up(&rig);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_up, &rig), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_number(rig.ns, (int64_t)scaled(20000) * THREADS);
    rig_down(&rig);
}
END_TEST

START_TEST(no_increment_of_any_process_is_lost)
{
    struct rig rig;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig_open(&rig);
    for (int i = 0; i < THREADS; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(count_up(&rig) ? 1 : 0);
    }
    for (int i = 0; i < THREADS; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_number(rig.ns, (int64_t)scaled(20000) * THREADS);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("api_counters", a_number_begins_at_zero_and_reads_as_decimal_text,
                     a_number_read_into_memory_of_the_caller_wants_its_digits,
                     a_number_that_was_set_as_text_can_be_incremented, a_set_takes_the_place_of_a_number,
                     an_increment_keeps_the_remaining_ttl_and_the_tags,
                     an_increment_does_not_vouch_for_what_was_invalidated, what_is_no_number_is_refused_and_stays,
                     an_overflow_is_refused_and_changes_nothing, no_increment_of_any_thread_is_lost,
                     no_increment_of_any_process_is_lost);
}
