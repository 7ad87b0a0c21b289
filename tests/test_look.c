/* libcache_look: what L1 has at hand, and versions. SPDX-License-Identifier: MIT */
#include "support/hosts.h"

#include <stdlib.h>
#include <string.h>

#define KEY "key", 3

static struct hosts hosts;

/* A look for the version that `value` holds already. */
static int look_again(libcache_ns *ns, libcache_value *value)
{
    if (value->size)
        memset(value->data, '?', value->size);
    return libcache_look(ns, KEY, value, LIBCACHE_VERSION);
}

#define ck_text(value, text)                                 \
    do {                                                     \
        ck_assert_uint_eq((value)->size, strlen(text));      \
        ck_assert_mem_eq((value)->data, text, strlen(text)); \
    } while (0)

START_TEST(only_a_hit_in_memory_is_at_hand_and_nothing_else_is_counted)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_stats before, stats;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    before = rig_stats(&hosts.b);
    ck_result(libcache_look(hosts.b.ns, KEY, &value, 0), LIBCACHE_MISS);
    ck_result(libcache_look(hosts.b.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_MISS);
    stats = rig_stats(&hosts.b);
    ck_assert_uint_eq(stats.misses, before.misses);
    ck_assert_uint_eq(stats.l2_exchanges, before.l2_exchanges);
    ck_result(libcache_look(hosts.a.ns, KEY, &value, 0), LIBCACHE_HIT);
    ck_text(&value, "value");
    value.ttl_left_ms = 0;
    ck_result(libcache_look(hosts.a.ns, KEY, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_gt(value.ttl_left_ms, 0);
    ck_assert_uint_eq(rig_stats(&hosts.a).hits, 2);
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

START_TEST(nothing_is_at_hand_when_the_log_is_to_be_read)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.poll_ms = 100;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.a);
    ck_result(libcache_look(hosts.a.ns, KEY, &value, 0), LIBCACHE_HIT);
    fake_clock_advance(&hosts.a.clock, 100);
    ck_result(libcache_look(hosts.a.ns, KEY, &value, 0), LIBCACHE_MISS);
    ck_from(hosts.a.ns, "key", "value", LIBCACHE_TIER_L1); /* and this call reads it */
    ck_result(libcache_look(hosts.a.ns, KEY, &value, 0), LIBCACHE_HIT);
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

START_TEST(a_value_that_does_not_fit_is_said_so)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct rig rig;
    char memory[4];

    rig_up(&rig);
    put(rig.ns, "key", "value");
    value.data = memory;
    value.capacity = sizeof memory;
    ck_result(libcache_look(rig.ns, KEY, &value, 0), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(value.size, 5);
    ck_result(libcache_look(rig.ns, KEY, &value, LIBCACHE_VERSION), LIBCACHE_ETOOBIG);
    ck_assert_uint_eq(value.version, 0);
    ck_result(libcache_look(rig.ns, KEY, &value, LIBCACHE_NO_BLOCK), LIBCACHE_EINVAL);
    ck_result(libcache_look(NULL, KEY, &value, 0), LIBCACHE_EINVAL);
    ck_result(libcache_look(rig.ns, KEY, NULL, 0), LIBCACHE_EINVAL);
    ck_result(libcache_look(rig.ns, "", 0, &value, 0), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_value_whose_version_is_known_is_not_copied)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct rig rig;
    uint64_t version;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    ck_result(libcache_look(rig.ns, KEY, &value, LIBCACHE_VERSION), LIBCACHE_HIT);
    ck_text(&value, "value");
    version = value.version;
    ck_assert_uint_ne(version, 0);
    ck_result(look_again(rig.ns, &value), LIBCACHE_HIT);
    ck_text(&value, "?????");
    ck_assert_uint_eq(value.version, version);
    ck_result(libcache_touch(rig.ns, KEY, 5000, 0), LIBCACHE_OK);
    ck_result(look_again(rig.ns, &value), LIBCACHE_HIT);
    ck_assert_uint_eq(value.version, version);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(whatever_is_stored_anew_has_another_version)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct rig rig;

    rig_up(&rig);
    for (int i = 0; i < 1000; i++) {
        uint64_t version = value.version;
        put(rig.ns, "key", i % 2 ? "odd" : "eve");
        ck_result(look_again(rig.ns, &value), LIBCACHE_HIT);
        ck_text(&value, i % 2 ? "odd" : "eve");
        ck_assert_uint_ne(value.version, version);
    }
    libcache_delete(rig.ns, KEY, 0);
    ck_result(look_again(rig.ns, &value), LIBCACHE_MISS);
    put(rig.ns, "key", "new");
    ck_result(look_again(rig.ns, &value), LIBCACHE_HIT);
    ck_text(&value, "new");
    libcache_invalidate_all(rig.cache, 0);
    ck_result(look_again(rig.ns, &value), LIBCACHE_MISS);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_number_has_no_version)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct rig rig;
    int64_t number;

    rig_up(&rig);
    for (int i = 1; i < 5; i++) {
        const char text[] = { (char)('0' + i), 0 };
        ck_result(libcache_increment(rig.ns, KEY, 1, NULL, &number), LIBCACHE_OK);
        ck_result(look_again(rig.ns, &value), LIBCACHE_HIT);
        ck_text(&value, text);
        ck_assert_uint_eq(value.version, 0);
    }
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("look", only_a_hit_in_memory_is_at_hand_and_nothing_else_is_counted,
                     nothing_is_at_hand_when_the_log_is_to_be_read, a_value_that_does_not_fit_is_said_so,
                     a_value_whose_version_is_known_is_not_copied, whatever_is_stored_anew_has_another_version,
                     a_number_has_no_version);
}
