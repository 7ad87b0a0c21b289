/*
 * Every public call, with its 1st, 2nd, ... n-th allocation failing: it gives LIBCACHE_ENOMEM or gets along without,
 * leaks nothing, and the handle goes on working. Calls that write allocate nothing at all. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "key", 3

/* ---- Calls on an open cache --------------------------------------------------------------------------------------- */

/* Each gives back what it took before it returns, and returns the result of its call. */
static int do_get(struct rig *rig)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(rig->ns, KEY, &value, LIBCACHE_TIMES);
    if (result == LIBCACHE_HIT)
        ck_assert_mem_eq(value.data, "value", 5);
    else
        ck_assert_ptr_null(value.data);
    libcache_release_value(&value);
    return result;
}

static int do_get_into_one_that_is_too_small(struct rig *rig)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t fail_at = rig->memory.fail_at;
    int result;

    rig->memory.fail_at = 0;
    ck_result(libcache_get(rig->ns, KEY, &value, 0), LIBCACHE_HIT);
    rig->memory.fail_at = fail_at;
    result = libcache_get(rig->ns, "long", 4, &value, 0);
    if (result == LIBCACHE_ENOMEM) /* what was in it may be lost, but it is whole and can be used again */
        ck_result(libcache_get(rig->ns, KEY, &value, 0), LIBCACHE_HIT);
    libcache_release_value(&value);
    return result;
}

static int do_get_many(struct rig *rig)
{
    libcache_slice keys[4] = { LIBCACHE_STR("key"), LIBCACHE_STR("absent"), LIBCACHE_STR("long"),
                               LIBCACHE_STR("number") };
    libcache_value values[4] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    int results[4], failed = 0, result = libcache_get_many(rig->ns, keys, 4, values, results, NULL, 0);

    for (int i = 0; i < 4; i++) {
        failed += results[i] == LIBCACHE_ENOMEM;
        ck_assert(results[i] == LIBCACHE_ENOMEM || results[i] == (i == 1 ? LIBCACHE_MISS : LIBCACHE_HIT));
        libcache_release_value(&values[i]);
    }
    ck_assert_int_le(failed, 1); /* one failure is one key's */
    ck_assert_int_eq(result == LIBCACHE_ENOMEM, failed);
    return result;
}

static int do_iterate(struct rig *rig)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    int result, n = 0;

    memset(&entry, 0, sizeof entry);
    while ((result = libcache_iterate(rig->cache, &cursor, &entry)) == LIBCACHE_HIT)
        n++;
    if (result == LIBCACHE_ENOMEM) { /* and it can be gone on with */
        while ((result = libcache_iterate(rig->cache, &cursor, &entry)) == LIBCACHE_HIT)
            n++;
        ck_result(result, LIBCACHE_MISS);
        result = LIBCACHE_ENOMEM;
    }
    ck_assert_int_eq(n, 3);
    libcache_release_value(&entry.key);
    return result;
}

static int do_exists(struct rig *rig)
{
    return look(rig->ns, "key");
}

static int do_ttl_left(struct rig *rig)
{
    uint64_t ms;
    return libcache_ttl_left(rig->ns, KEY, &ms, 0);
}

static int do_set(struct rig *rig)
{
    return put_tagged(rig->ns, "new", "value", "tag");
}

static int do_set_many(struct rig *rig)
{
    libcache_item items[2] = { { .key = LIBCACHE_STR("n1"), .value = LIBCACHE_STR("v") },
                               { .key = LIBCACHE_STR("n2"), .value = LIBCACHE_STR("v") } };
    return libcache_set_many(rig->ns, items, 2);
}

static int do_add(struct rig *rig)
{
    libcache_delete(rig->ns, "added", 5, 0);
    return libcache_add(rig->ns, "added", 5, "v", 1, NULL);
}

static int do_set_too_big(struct rig *rig)
{
    static char big[1 << 20];
    return libcache_set(rig->ns, "big", 3, big, sizeof big, NULL);
}

static int do_delete(struct rig *rig)
{
    return libcache_delete(rig->ns, "absent", 6, 0);
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
    return libcache_increment(rig->ns, "number", 6, 1, NULL, NULL);
}

static int do_decrement(struct rig *rig)
{
    return libcache_decrement(rig->ns, "number", 6, 1, NULL, NULL);
}

static int do_take_stamp(struct rig *rig)
{
    libcache_stamp stamp;
    return libcache_take_stamp(rig->ns, KEY, &stamp);
}

static int do_invalidate_tags(struct rig *rig)
{
    return invalidate_tag(rig->cache, "another");
}

static int do_invalidate_namespace(struct rig *rig)
{
    int result = libcache_invalidate_namespace(rig->ns, 0);
    put(rig->ns, "key", "value");
    return result;
}

static int do_invalidate_all(struct rig *rig)
{
    int result = libcache_invalidate_all(rig->cache, 0);
    put(rig->ns, "key", "value");
    return result;
}

static int do_sweep(struct rig *rig)
{
    return libcache_sweep(rig->cache, 1000, NULL);
}

static int do_read_stats(struct rig *rig)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    return libcache_read_stats(rig->cache, &stats);
}

static int do_read_policy(struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    return libcache_read_policy(rig->ns, &policy);
}

static int do_reopen_namespace(struct rig *rig)
{
    libcache_ns *ns;
    return libcache_open_namespace(&ns, rig->cache, "test", NULL, NULL);
}

static const struct {
    const char *name;
    int (*call)(struct rig *rig);
    int usual;     /* result when nothing fails */
    int allocates; /* 0: must not */
} calls[] = {
    { "get", do_get, LIBCACHE_HIT, 1 },
    { "get into a value that is too small", do_get_into_one_that_is_too_small, LIBCACHE_HIT, 1 },
    { "get_many", do_get_many, LIBCACHE_OK, 1 },
    { "iterate", do_iterate, LIBCACHE_MISS, 1 },
    { "exists", do_exists, LIBCACHE_HIT, 0 },
    { "ttl_left", do_ttl_left, LIBCACHE_OK, 0 },
    { "set", do_set, LIBCACHE_OK, 0 },
    { "set_many", do_set_many, LIBCACHE_OK, 0 },
    { "add", do_add, LIBCACHE_OK, 0 },
    { "set of a value that is too big", do_set_too_big, LIBCACHE_ETOOBIG, 0 },
    { "delete", do_delete, LIBCACHE_MISS, 0 },
    { "delete_many", do_delete_many, LIBCACHE_OK, 0 },
    { "touch", do_touch, LIBCACHE_OK, 0 },
    { "increment", do_increment, LIBCACHE_OK, 0 },
    { "decrement", do_decrement, LIBCACHE_OK, 0 },
    { "take_stamp", do_take_stamp, LIBCACHE_OK, 0 },
    { "invalidate_tags", do_invalidate_tags, LIBCACHE_OK, 0 },
    { "invalidate_namespace", do_invalidate_namespace, LIBCACHE_OK, 0 },
    { "invalidate_all", do_invalidate_all, LIBCACHE_OK, 0 },
    { "sweep", do_sweep, LIBCACHE_OK, 0 },
    { "read_stats", do_read_stats, LIBCACHE_OK, 0 },
    { "read_policy", do_read_policy, LIBCACHE_OK, 0 },
    { "open_namespace of one that is open", do_reopen_namespace, LIBCACHE_OK, 0 },
};

static void fill(struct rig *rig)
{
    static char value[3000];
    rig_up(rig);
    put(rig->ns, "key", "value");
    libcache_set(rig->ns, "long", 4, value, sizeof value, NULL);
    libcache_increment(rig->ns, "number", 6, 5, NULL, NULL);
}

START_TEST(a_call_without_memory_fails_cleanly)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unsigned nth = 1;
        for (;; nth++) {
            struct rig rig;
            int64_t live;
            uint64_t before;
            int result, failed;
            fill(&rig);
            live = rig.memory.live;
            before = rig.memory.calls;
            rig.memory.fail_at = nth;
            result = calls[i].call(&rig);
            failed = rig.memory.fail_at == 0;
            rig.memory.fail_at = 0;
            if (!calls[i].allocates)
                ck_assert_msg(rig.memory.calls == before, "%s allocates", calls[i].name);
            ck_assert_msg(result == calls[i].usual || (failed && result == LIBCACHE_ENOMEM),
                          "%s with allocation %u failing gives %s", calls[i].name, nth, result_name(result));
            ck_assert_msg(rig.memory.live == live, "%s with allocation %u failing leaks", calls[i].name, nth);
            ck_value(rig.ns, "key", "value");
            ck_result(calls[i].call(&rig) == LIBCACHE_ENOMEM, 0); /* as if nothing had been */
            rig_down(&rig);
            if (!failed)
                break;
        }
        ck_assert_msg((nth > 1) == calls[i].allocates, "%s: %u allocations", calls[i].name, nth - 1);
    }
}
END_TEST

/* ---- Opening -------------------------------------------------------------------------------------------------------- */

START_TEST(a_namespace_that_cannot_be_allocated_is_not_opened)
{
    struct rig rig;
    libcache_ns *ns = NULL;
    libcache_error error = { 0 };

    fill(&rig);
    rig.memory.fail_at = 1;
    ck_result(libcache_open_namespace(&ns, rig.cache, "new", NULL, &error), LIBCACHE_ENOMEM);
    ck_assert_ptr_null(ns);
    ck_assert_int_eq(error.code, LIBCACHE_ENOMEM);
    ck_result(libcache_open_namespace(&ns, rig.cache, "new", NULL, &error), LIBCACHE_OK);
    put(ns, "key", "new");
    ck_value(ns, "key", "new");
    ck_value(rig.ns, "key", "value");
    rig_down(&rig);
}
END_TEST

/* Opens and closes with the n-th allocation failing, for every n. Returns how many allocations opening takes. */
static unsigned open_without(struct rig *rig, const char *attach_to)
{
    for (unsigned nth = 1;; nth++) {
        libcache_error error = { 0 };
        libcache *cache = NULL;
        int result;
        rig->memory.fail_at = nth;
        result = attach_to ? libcache_attach(&cache, attach_to, &rig->options, &error)
                           : libcache_open(&cache, &rig->options, &error);
        if (rig->memory.fail_at) {
            rig->memory.fail_at = 0;
            ck_result(result, LIBCACHE_OK);
            libcache_close(cache);
            ck_assert_int_eq((int)rig->memory.live, 0);
            return nth - 1;
        }
        if (result == LIBCACHE_OK) {
            libcache_close(cache);
        } else {
            ck_result(result, LIBCACHE_ENOMEM);
            ck_assert_int_eq(error.code, LIBCACHE_ENOMEM);
            ck_assert_ptr_null(cache);
        }
        ck_assert_int_eq((int)rig->memory.live, 0);
    }
}

START_TEST(opening_without_memory_fails_cleanly)
{
    char path[] = "/tmp/libcache-test-XXXXXX";
    static const char text[] = "[default]\nttl = 60s\n[namespace a]\nttl = 5s\n[namespace b]\nttl = 6s\n";
    const char *name = segment_name("memory");
    struct rig rig;
    libcache *cache;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, sizeof text - 1), (int)sizeof text - 1);
    close(fd);
    rig_prepare(&rig);
    ck_assert_uint_ge(open_without(&rig, NULL), 1);
    rig.options.policy_file = path;
    ck_assert_uint_ge(open_without(&rig, NULL), 3);
    rig.options.segment = LIBCACHE_SHARED;
    open_without(&rig, NULL);
    rig.options.segment = LIBCACHE_NAMED;
    rig.options.name = name;
    open_without(&rig, NULL);
    open_without(&rig, name);
    ck_result(libcache_open(&cache, &rig.options, NULL), LIBCACHE_OK);
    libcache_close(cache);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    unlink(path);
}
END_TEST

START_TEST(a_segment_that_cannot_be_mapped_is_enomem)
{
    struct rig rig;
    libcache *cache = NULL;
    libcache_error error = { 0 };

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_NAMED;
    rig.options.name = segment_name("huge");
    rig.options.memory_bytes = (size_t)1 << 40; /* more than any /dev/shm of a test machine may hold, or map */
    if (libcache_open(&cache, &rig.options, &error) == LIBCACHE_OK)
        libcache_close(cache); /* address space is cheap: it could be */
    else
        ck_assert_int_lt(error.code, 0);
    ck_assert_int_eq((int)rig.memory.live, 0);
}
END_TEST

int main(void)
{
    return RUN_TESTS("alloc_failures", a_call_without_memory_fails_cleanly,
                     a_namespace_that_cannot_be_allocated_is_not_opened, opening_without_memory_fails_cleanly,
                     a_segment_that_cannot_be_mapped_is_enomem);
}
