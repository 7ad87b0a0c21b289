/*
 * Every public call on both tiers, with its 1st, 2nd, ... n-th allocation failing: it gives LIBCACHE_ENOMEM, a read a miss, or gets
 * along without; it leaks nothing, and the handle goes on working. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct redis_server redis;

/* ---- Calls: each gives back what it took, and returns its call's result ------------------------------------------- */

static int get_of(struct rig *rig, const char *key, const char *wanted)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(rig->ns, key, strlen(key), &value, LIBCACHE_SKIP_L1);

    if (result == LIBCACHE_HIT)
        ck_assert(value.size == strlen(wanted) && memcmp(value.data, wanted, value.size) == 0);
    libcache_release_value(&value);
    return result;
}

static int do_get(struct rig *rig)
{
    return get_of(rig, "key", "value");
}

static int do_get_of_a_counter(struct rig *rig)
{
    return get_of(rig, "number", "5");
}

static int do_get_of_a_packed_value(struct rig *rig)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(rig->ns, "packed", 6, &value, LIBCACHE_SKIP_L1);

    if (result == LIBCACHE_HIT)
        ck_assert(value.size == 5000 && ((char *)value.data)[4999] == 'p');
    libcache_release_value(&value);
    return result;
}

static int do_get_many(struct rig *rig)
{
    libcache_slice keys[3] = { LIBCACHE_STR("key"), LIBCACHE_STR("absent"), LIBCACHE_STR("number") };
    libcache_value values[3] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    int results[3], result = libcache_get_many(rig->ns, keys, 3, values, results, NULL, LIBCACHE_SKIP_L1), found = 0;

    for (int i = 0; i < 3; i++) {
        found += results[i] == LIBCACHE_HIT;
        ck_assert(results[i] == LIBCACHE_HIT || results[i] == LIBCACHE_MISS || results[i] == LIBCACHE_ENOMEM);
        libcache_release_value(&values[i]);
    }
    return result == LIBCACHE_OK && found < 2 ? LIBCACHE_MISS : result;
}

static int do_exists(struct rig *rig)
{
    return libcache_exists(rig->ns, KEY, LIBCACHE_SKIP_L1);
}

static int do_ttl_left(struct rig *rig)
{
    uint64_t ms;
    int result = libcache_ttl_left(rig->ns, KEY, &ms, LIBCACHE_SKIP_L1);
    return result == LIBCACHE_OK ? LIBCACHE_HIT : result;
}

static int do_set(struct rig *rig)
{
    static unsigned turn;
    char text[20];
    uint64_t fail_at;
    int result;

    snprintf(text, sizeof text, "value %u", turn++);
    result = put_tagged(rig->ns, "new", text, "tag");
    fail_at = rig->memory.fail_at;
    rig->memory.fail_at = 0;
    if (result == LIBCACHE_OK) /* then it is in Redis */
        ck_result(get_of(rig, "new", text), LIBCACHE_HIT);
    rig->memory.fail_at = fail_at;
    return result;
}

static int do_set_packed(struct rig *rig)
{
    char bytes[5000];

    memset(bytes, 'p', sizeof bytes);
    return libcache_set(rig->ns, "packed", 6, bytes, sizeof bytes, NULL);
}

static int do_fill(struct rig *rig)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;

    libcache_take_stamp(rig->ns, "loaded", 6, &stamp);
    options.stamp = &stamp;
    return libcache_set(rig->ns, "loaded", 6, "value", 5, &options);
}

static int do_add(struct rig *rig)
{
    return libcache_add(rig->ns, KEY, "v", 1, NULL);
}

static int do_set_many(struct rig *rig)
{
    libcache_item items[2] = { { .key = LIBCACHE_STR("n1"), .value = LIBCACHE_STR("v") },
                               { .key = LIBCACHE_STR("n2"), .value = LIBCACHE_STR("v") } };
    return libcache_set_many(rig->ns, items, 2);
}

static int do_delete(struct rig *rig)
{
    return libcache_delete(rig->ns, "absent", 6, 0);
}

static int do_delete_quietly(struct rig *rig)
{
    return libcache_delete(rig->ns, "absent", 6, LIBCACHE_NO_PUBLISH);
}

static int do_delete_many(struct rig *rig)
{
    libcache_slice keys[2] = { LIBCACHE_STR("x"), LIBCACHE_STR("y") };
    return libcache_delete_many(rig->ns, keys, 2, NULL, 0);
}

static int do_touch(struct rig *rig)
{
    return libcache_touch(rig->ns, KEY, 0, 0);
}

static int do_increment(struct rig *rig)
{
    return libcache_increment(rig->ns, "number", 6, 0, NULL, NULL);
}

static int do_increment_of_a_text(struct rig *rig)
{
    uint64_t fail_at = rig->memory.fail_at;

    rig->memory.fail_at = 0;
    put(rig->ns, "text", "41");
    rig->memory.fail_at = fail_at;
    return libcache_decrement(rig->ns, "text", 4, 1, NULL, NULL);
}

/* Of all hosts one loads; what cannot be given back for want of memory ends soon. */
static libcache_ns *leased_space(struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.load_lease = LIBCACHE_LEASE_REDIS;
    policy.load_timeout_ms = 20;
    return space(rig, "leased", &policy);
}

static int do_load(struct rig *rig)
{
    struct source source = { .text = "loaded" };
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result;
    uint64_t fail_at = rig->memory.fail_at;

    rig->memory.fail_at = 0;
    libcache_delete(leased_space(rig), "one", 3, 0);
    rig->memory.fail_at = fail_at;
    result = fetch(leased_space(rig), "one", &source, &value);
    if (result == LIBCACHE_HIT)
        ck_assert(value.size == 6 && memcmp(value.data, "loaded", 6) == 0);
    libcache_release_value(&value);
    source_done(&source);
    return result;
}

static int do_load_many(struct rig *rig)
{
    struct source source = { .text = "loaded" };
    struct batch b;
    uint64_t fail_at = rig->memory.fail_at;

    batch_init(&b, leased_space(rig), "abca", &source);
    rig->memory.fail_at = 0;
    libcache_delete_many(b.ns, b.keys, b.n, NULL, 0);
    rig->memory.fail_at = fail_at;
    fetch_batch(&b);
    for (size_t i = 0; i < b.n; i++) {
        ck_assert(b.results[i] == LIBCACHE_HIT || b.results[i] == LIBCACHE_ENOMEM);
        ck_assert(b.results[i] != LIBCACHE_HIT || (b.values[i].size == 6 && memcmp(b.values[i].data, "loaded", 6) == 0));
    }
    batch_free(&b);
    source_done(&source);
    return b.result;
}

static int do_invalidate_tags(struct rig *rig)
{
    return invalidate_tag(rig->cache, "another");
}

static int do_invalidate_namespace(struct rig *rig)
{
    return libcache_invalidate_namespace(space(rig, "other", NULL), 0);
}

static int do_poll(struct rig *rig)
{
    return libcache_poll(rig->cache, 0);
}

static int do_read_stats(struct rig *rig)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    return libcache_read_stats(rig->cache, &stats);
}

static const struct {
    const char *name;
    int (*call)(struct rig *rig);
    int usual; /* the result when nothing fails */
    int reads; /* 1: a failure may be a miss */
} calls[] = {
    { "get", do_get, LIBCACHE_HIT, 1 },
    { "get of a counter", do_get_of_a_counter, LIBCACHE_HIT, 1 },
    { "get of a packed value", do_get_of_a_packed_value, LIBCACHE_HIT, 1 },
    { "get_many", do_get_many, LIBCACHE_OK, 1 },
    { "exists", do_exists, LIBCACHE_HIT, 1 },
    { "ttl_left", do_ttl_left, LIBCACHE_HIT, 1 },
    { "set", do_set, LIBCACHE_OK, 0 },
    { "set of a large value", do_set_packed, LIBCACHE_OK, 0 },
    { "set of what was loaded", do_fill, LIBCACHE_OK, 0 },
    { "add", do_add, LIBCACHE_EXISTS, 0 },
    { "set_many", do_set_many, LIBCACHE_OK, 0 },
    { "delete", do_delete, LIBCACHE_MISS, 0 },
    { "quiet delete", do_delete_quietly, LIBCACHE_MISS, 0 },
    { "delete_many", do_delete_many, LIBCACHE_OK, 0 },
    { "touch", do_touch, LIBCACHE_OK, 0 },
    { "increment", do_increment, LIBCACHE_OK, 0 },
    { "increment of a text", do_increment_of_a_text, LIBCACHE_OK, 0 },
    { "get_or_load with a lease", do_load, LIBCACHE_HIT, 0 },
    { "get_or_load_many with leases", do_load_many, LIBCACHE_OK, 0 },
    { "invalidate_tags", do_invalidate_tags, LIBCACHE_OK, 0 },
    { "invalidate_namespace", do_invalidate_namespace, LIBCACHE_OK, 0 },
    { "poll", do_poll, LIBCACHE_OK, 0 },
    { "read_stats", do_read_stats, LIBCACHE_OK, 0 },
};

/* A host whose namespace packs, with all that the calls ask for. */
static void up(struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_slice loaded[3] = { LIBCACHE_STR("loaded"), LIBCACHE_STR("number"), LIBCACHE_STR("text") };

    host_prepare(rig, &redis);
    rig->options.memory_bytes = 1 << 20;
    rig_open(rig);
    policy.compress_bytes = 1000;
    rig->ns = space(rig, "packing", &policy);
    space(rig, "other", NULL);
    leased_space(rig);
    ck_poll(rig);
    libcache_delete_many(rig->ns, loaded, 3, NULL, 0);
    put(rig->ns, "key", "value");
    libcache_increment(rig->ns, "number", 6, 5, NULL, NULL);
    ck_result(do_set_packed(rig), LIBCACHE_OK);
}

/* One call without its nth allocation. 1: it takes so many. */
static int fails(struct rig *rig, size_t i, unsigned nth)
{
    int64_t live;
    int result, failed;

    up(rig);
    ck_result(calls[i].call(rig), calls[i].usual);
    if (calls[i].call == do_fill)
        libcache_delete(rig->ns, "loaded", 6, 0);
    live = rig->memory.live;
    rig->memory.fail_at = nth;
    result = calls[i].call(rig);
    failed = rig->memory.fail_at == 0;
    rig->memory.fail_at = 0;
    ck_assert_msg(result == calls[i].usual || (failed && result == (calls[i].reads ? LIBCACHE_MISS : LIBCACHE_ENOMEM)) ||
                      (failed && result == LIBCACHE_ENOMEM),
                  "%s with allocation %u failing gives %s", calls[i].name, nth, result_name(result));
    ck_value(rig->ns, "key", "value");
    ck_result(do_get(rig), LIBCACHE_HIT); /* on a connection again, if it was lost */
    ck_assert_msg(rig->memory.live == live, "%s with allocation %u failing leaks", calls[i].name, nth);
    ck_poll(rig);
    ck_assert_uint_eq(rig_stats(rig).owed_bytes, 0);
    if (calls[i].call == do_fill)
        libcache_delete(rig->ns, "loaded", 6, 0);
    ck_result(calls[i].call(rig), calls[i].usual);
    rig_down(rig);
    return failed;
}

START_TEST(a_call_without_memory_fails_cleanly)
{
    struct rig rig;

    REDIS_UP(&redis, NULL);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned nth = 1;
        while (fails(&rig, i, nth))
            nth++;
        ck_assert_msg(nth > 1 || calls[i].call == do_read_stats, "%s allocates nothing?", calls[i].name);
    }
    redis_server_stop(&redis);
}
END_TEST

START_TEST(opening_without_memory_fails_cleanly)
{
    struct rig rig;

    REDIS_UP(&redis, NULL);
    for (int listener = LIBCACHE_LISTEN_ON_CALLS; listener <= LIBCACHE_LISTEN_IN_THREAD; listener++) {
        host_prepare(&rig, &redis);
        rig.options.memory_bytes = 1 << 20;
        rig.options.listener = listener;
        for (unsigned nth = 1;; nth++) {
            libcache_error error = { 0 };
            libcache *cache = NULL;
            int result;
            rig.memory.fail_at = nth;
            result = libcache_open(&cache, &rig.options, &error);
            if (result == LIBCACHE_OK) { /* the thread may take what is left of it, at any time */
                libcache_close(cache);
                ck_assert_int_eq((int)rig.memory.live, 0);
                rig.memory.fail_at = 0;
                ck_assert_uint_ge(nth, 5);
                break;
            }
            ck_result(result, LIBCACHE_ENOMEM);
            ck_assert_int_eq(error.code, LIBCACHE_ENOMEM);
            ck_assert_ptr_null(cache);
            ck_assert_int_eq((int)rig.memory.live, 0);
        }
    }
    redis_server_stop(&redis);
}
END_TEST

START_TEST(the_first_contact_without_memory_can_be_tried_again)
{
    REDIS_UP(&redis, NULL);
    for (unsigned nth = 1;; nth++) {
        struct rig rig;
        int result, failed;
        host_prepare(&rig, &redis);
        rig.options.memory_bytes = 1 << 20;
        rig_open(&rig);
        rig.memory.fail_at = nth;
        result = libcache_poll(rig.cache, 0);
        failed = rig.memory.fail_at == 0;
        rig.memory.fail_at = 0;
        ck_assert_msg(result == LIBCACHE_OK || (failed && result == LIBCACHE_ENOMEM), "allocation %u failing gives %s", nth,
                      result_name(result));
        ck_assert_uint_eq(rig_stats(&rig).l2_up, 1); /* that says nothing about Redis */
        ck_poll(&rig);
        ck_result(put(rig.ns, "key", "value"), LIBCACHE_OK);
        rig_down(&rig);
        if (!failed)
            break;
    }
    redis_server_stop(&redis);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_alloc_failures", a_call_without_memory_fails_cleanly, opening_without_memory_fails_cleanly,
                     the_first_contact_without_memory_can_be_tried_again);
}
