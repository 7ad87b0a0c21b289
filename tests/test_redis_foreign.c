/*
 * What lies in Redis under our names and is not ours, or no longer whole: a miss that is counted, never an error and never a
 * wrong value; whatever writes next repairs it. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"

#include "l2/envelope.h"
#include "l2/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;
static const libcache_slice key = LIBCACHE_STR("key");

static uint64_t foreign(void)
{
    return rig_stats(&hosts.b).l2_foreign;
}

/* Fails the test unless these bytes are a counted miss for a host that has nothing in memory. */
static void ck_foreign(const void *bytes, size_t size)
{
    uint64_t before = foreign();

    raw_set(&hosts, "test", key, bytes, size);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_assert_uint_eq(foreign(), before + 1);
}

START_TEST(values_that_were_cut_or_changed_are_misses)
{
    unsigned char bytes[400], changed[400];
    libcache_slice tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    struct dice dice = dice_of(1);
    size_t size;

    hosts_up(&hosts);
    options.tags = &tag;
    options.n_tags = 1;
    options.ttl_ms = LIBCACHE_FOREVER;
    libcache_set(hosts.a.ns, KEY, "some value", 10, &options);
    ck_poll(&hosts.b);
    size = (size_t)raw_get(&hosts, "test", key, bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++)
        ck_foreign(bytes, cut);
    memcpy(changed, bytes, size);
    changed[size] = 0;
    ck_foreign(changed, size + 1);
    for (size_t bit = dice_below(&dice, 2); bit < 8 * size; bit += 2) {
        memcpy(changed, bytes, size);
        changed[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_foreign(changed, size);
    }
    memcpy(changed, bytes, size);
    changed[3] = 2; /* the version */
    ck_foreign(changed, size);
    ck_foreign("", 0);
    ck_foreign("O:8:\"stdClass\":0:{}", 19);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 0);
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_errors, 0);
    raw_set(&hosts, "test", key, bytes, size); /* and it was none of these that was missing */
    ck_from(hosts.b.ns, "key", "some value", L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(other_kinds_of_redis_s_own_are_misses_and_are_repaired)
{
    enum { SET, ADD, DELETE, FILL, INCREMENT, WRITES };
    static const char *const makes[][6] = { { "RPUSH", NULL, "x" },        { "HSET", NULL, "field", "x" },
                                            { "SADD", NULL, "x" },         { "ZADD", NULL, "1", "x" },
                                            { "XADD", NULL, "*", "f", "x" }, { "SET", NULL, "foreign" } };
    char answer[200];

    hosts_up(&hosts);
    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++)
        for (int write = SET; write < WRITES; write++) {
            libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
            libcache_stamp stamp;
            libcache_value value = LIBCACHE_VALUE_INIT;
            libcache_slice keys[2] = { key, LIBCACHE_STR("good") };
            libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
            uint64_t before = foreign(), ms;
            int64_t number = 0;
            int results[2];
            const char *argv[7] = { makes[i][0], raw_name("test", "key"), makes[i][2], makes[i][3], makes[i][4], NULL };
            REDIS(&hosts.redis, answer, "DEL", argv[1]);
            put(hosts.b.ns, "good", "value");
            ck_assert_msg(redis_server_strings(&hosts.redis, answer, sizeof answer, argv) >= 0, "%s", answer);
            ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
            ck_assert_uint_eq(foreign(), before + 1);
            ck_result(libcache_get_many(hosts.b.ns, keys, 2, values, results, NULL, LIBCACHE_SKIP_L1), LIBCACHE_OK);
            ck_result(results[0], LIBCACHE_MISS);
            ck_result(results[1], LIBCACHE_HIT);
            ck_result(libcache_exists(hosts.b.ns, KEY, 0), LIBCACHE_MISS);
            ck_result(libcache_ttl_left(hosts.b.ns, KEY, &ms, 0), LIBCACHE_MISS);
            ck_result(libcache_touch(hosts.b.ns, KEY, 1000, 0), LIBCACHE_MISS);
            libcache_take_stamp(hosts.b.ns, KEY, &stamp);
            options.stamp = &stamp;
            switch (write) {
            case SET: ck_result(put(hosts.b.ns, "key", "1"), LIBCACHE_OK); break;
            case ADD: ck_result(libcache_add(hosts.b.ns, KEY, "1", 1, NULL), LIBCACHE_OK); break;
            case DELETE: ck_result(libcache_delete(hosts.b.ns, KEY, 0), LIBCACHE_OK); break;
            case FILL: ck_result(libcache_set(hosts.b.ns, KEY, "1", 1, &options), LIBCACHE_OK); break;
            case INCREMENT: ck_result(libcache_increment(hosts.b.ns, KEY, 1, NULL, &number), LIBCACHE_OK); break;
            default: break;
            }
            before = foreign();
            ck_result(libcache_get(hosts.b.ns, KEY, &value, LIBCACHE_SKIP_L1), write == DELETE ? LIBCACHE_MISS : LIBCACHE_HIT);
            ck_assert_uint_eq(foreign(), before);
            libcache_release_value(&value);
            libcache_release_value(&values[1]);
            libcache_delete(hosts.b.ns, KEY, 0);
        }
    ck_assert_uint_eq(rig_stats(&hosts.b).l2_errors, 0);
    hosts_down(&hosts);
}
END_TEST

/* ---- Values under another's name ------------------------------------------------------------------------------------ */

START_TEST(a_value_that_belongs_to_another_key_is_a_miss)
{
    static char one[1000], other[1000], bytes[3000];
    libcache_slice long_one = { one, sizeof one }, long_other = { other, sizeof other };
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_ns *b;
    long size;

    hosts_up(&hosts);
    b = space(&hosts.b, "tes", NULL);
    memset(one, '1', sizeof one);
    memset(other, '2', sizeof other);
    libcache_set(hosts.a.ns, one, sizeof one, "of one", 6, NULL);
    put(hosts.a.ns, "key", "of key");
    ck_poll(&hosts.b);
    size = raw_get(&hosts, "test", long_one, bytes, sizeof bytes);
    raw_set(&hosts, "test", long_other, bytes, (size_t)size); /* as if both had the same hash */
    ck_result(libcache_get(hosts.b.ns, other, sizeof other, &value, 0), LIBCACHE_MISS);
    ck_result(libcache_get(hosts.b.ns, one, sizeof one, &value, 0), LIBCACHE_HIT);
    size = raw_get(&hosts, "test", key, bytes, sizeof bytes);
    raw_set(&hosts, "test", slice_of("kex"), bytes, (size_t)size);
    raw_set(&hosts, "tes", key, bytes, (size_t)size);
    ck_get(hosts.b.ns, "kex", 0, LIBCACHE_MISS, 0);
    ck_get(b, "key", 0, LIBCACHE_MISS, 0);
    ck_from(hosts.b.ns, "key", "of key", L2);
    ck_assert_uint_eq(foreign(), 0); /* they are ours */
    libcache_release_value(&value);
    hosts_down(&hosts);
}
END_TEST

START_TEST(values_of_another_history_or_of_the_future_are_misses)
{
    unsigned char bytes[400];
    struct envelope e;
    long size;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.b);
    size = raw_get(&hosts, "test", key, bytes, sizeof bytes);
    ck_result(envelope_read(&e, bytes, (size_t)size), LIBCACHE_OK);
    envelope_pack_script_part(bytes, e.epoch + 1, e.stamp, e.born_ms, e.expiry_ms);
    raw_set(&hosts, "test", key, bytes, (size_t)size);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    envelope_pack_script_part(bytes, e.epoch, e.stamp, e.born_ms, e.born_ms + 1);
    raw_set(&hosts, "test", key, bytes, (size_t)size);
    fake_clock_advance(&hosts.b.clock, 100000);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0); /* its end has come, whatever Redis does */
    envelope_pack_script_part(bytes, e.epoch, e.stamp, e.born_ms, e.expiry_ms);
    raw_set(&hosts, "test", key, bytes, (size_t)size);
    ck_from(hosts.b.ns, "key", "value", L2);
    hosts_down(&hosts);
}
END_TEST

/* ---- Names -------------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct data_name *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Sorts, and fails the test where two are the same. */
static void ck_all_differ(struct data_name *names, size_t n)
{
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 1; i < n; i++)
        ck_assert_msg(by_name(&names[i - 1], &names[i]) != 0, "two keys are called %.*s", (int)names[i].size, names[i].bytes);
}

/* The n-th text over an alphabet, shortest first. Returns its size. */
static size_t nth_text(char *out, size_t n, const char *alphabet)
{
    size_t letters = strlen(alphabet), size = 0;

    for (n++; n; n = (n - 1) / letters)
        out[size++] = alphabet[(n - 1) % letters];
    return size;
}

START_TEST(no_two_keys_of_any_namespaces_have_the_same_name)
{
    enum { TEXTS = 4 + 16 + 64, N = TEXTS * TEXTS };
    struct data_name *names = malloc(3 * N * sizeof *names);
    size_t n = 0;

    for (size_t i = 0; i < TEXTS; i++) /* all of up to three of the letters that names are made of */
        for (size_t j = 0; j < TEXTS; j++) {
            char ns[8], text[8];
            libcache_slice space_name = { ns, nth_text(ns, i, ":#1a") }, key_text = { text, nth_text(text, j, ":#1a") };
            name_data(&names[n++], "p", space_name, key_text);
            name_beside(&names[n++], "p", "lease", space_name, key_text);
            name_beside(&names[n++], "p", "waits", space_name, key_text);
        }
    ck_all_differ(names, n);
    free(names);
}
END_TEST

START_TEST(long_and_short_keys_by_chance_have_names_of_their_own)
{
    static char ns[LIBCACHE_NAMESPACE_NAME_MAX], text[LIBCACHE_KEY_MAX];
    unsigned long n = scaled(20000), at = 0;
    struct data_name *names = malloc(n * sizeof *names);
    struct dice dice = dice_of(7);

    while (at < n) { /* the first bytes of a key are its number, so none comes twice */
        size_t ns_size = 1 + dice_below(&dice, dice_chance(&dice, 90) ? 12 : sizeof ns);
        size_t size = 8 + dice_below(&dice, dice_chance(&dice, 90) ? 20 : sizeof text - 8);
        for (size_t i = 0; i < ns_size; i++)
            ns[i] = ":#01239ab"[dice_below(&dice, 9)];
        for (size_t i = 0; i < size; i++)
            text[i] = ":#01239ab"[dice_below(&dice, 9)];
        name_put_u64((unsigned char *)text, at);
        name_data(&names[at], "p:r", (libcache_slice){ ns, ns_size }, (libcache_slice){ text, size });
        ck_assert_uint_le(names[at].size, DATA_NAME_MAX);
        at++;
    }
    ck_all_differ(names, n);
    free(names);
}
END_TEST

START_TEST(two_prefixes_on_one_redis_do_not_meet)
{
    char answer[100];

    hosts_prepare(&hosts, NULL);
    hosts.b.options.redis_prefix = "another/prefix";
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "of a");
    put(hosts.b.ns, "key", "of b");
    ck_poll(&hosts.a);
    ck_poll(&hosts.b);
    ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2);
    ck_from(hosts.a.ns, "key", "of a", L1);
    ck_from(hosts.b.ns, "key", "of b", L1);
    ck_result(libcache_invalidate_all(hosts.b.cache, 0), LIBCACHE_OK);
    ck_poll(&hosts.a);
    ck_from(hosts.a.ns, "key", "of a", L1);
    REDIS(&hosts.redis, answer, "HGET", "{another/prefix}:meta", "seq");
    ck_assert_str_eq(answer, "2");
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_foreign", values_that_were_cut_or_changed_are_misses,
                     other_kinds_of_redis_s_own_are_misses_and_are_repaired, a_value_that_belongs_to_another_key_is_a_miss,
                     values_of_another_history_or_of_the_future_are_misses,
                     no_two_keys_of_any_namespaces_have_the_same_name, long_and_short_keys_by_chance_have_names_of_their_own,
                     two_prefixes_on_one_redis_do_not_meet);
}
