/* SPDX-License-Identifier: MIT */
#include "hosts.h"

#include "guards.h"

#include "l2/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "libcache"
#define HOUR_MS 3600000

void host_prepare(struct rig *rig, const struct redis_server *redis)
{
    rig_prepare(rig);
    rig->options.random = NULL; /* tokens and epochs must differ */
    rig->options.redis_url = redis->url;
    rig->options.redis_timeout_ms = 10000;
    rig->options.pool_wait_ms = 10000;
    rig->options.max_staleness_ms = HOUR_MS;
    rig->options.poll_ms = HOUR_MS;
}

void hosts_prepare(struct hosts *hosts, const struct redis_server_options *options)
{
    ck_assert_int_eq(guards_break_as_told(), 0);
    memset(hosts, 0, sizeof *hosts);
    REDIS_UP(&hosts->redis, options);
    host_prepare(&hosts->a, &hosts->redis);
    host_prepare(&hosts->b, &hosts->redis);
}

void ck_poll(struct rig *rig)
{
    ck_result(libcache_poll(rig->cache, 0), LIBCACHE_OK);
}

void host_open(struct rig *rig)
{
    rig_open(rig);
    ck_poll(rig);
}

void hosts_open(struct hosts *hosts)
{
    host_open(&hosts->a);
    host_open(&hosts->b);
}

void hosts_up(struct hosts *hosts)
{
    hosts_prepare(hosts, NULL);
    hosts_open(hosts);
}

void hosts_down(struct hosts *hosts)
{
    rig_down(&hosts->a);
    rig_down(&hosts->b);
    redis_server_stop(&hosts->redis);
}

libcache_ns *space(struct rig *rig, const char *name, const libcache_policy *policy)
{
    libcache_ns *ns = NULL;
    libcache_error error = { 0 };
    int result = libcache_open_namespace(&ns, rig->cache, name, policy, &error);

    ck_assert_msg(result == LIBCACHE_OK, "namespace %s: %s: %s", name, result_name(result), error.text);
    return ns;
}

uint64_t exchanges(const struct rig *rig)
{
    return rig_stats(rig).l2_exchanges;
}

uint64_t log_position(const struct hosts *hosts)
{
    char answer[100];

    REDIS(&hosts->redis, answer, "HGET", "{" PREFIX "}:meta", "seq");
    return strtoull(answer, NULL, 10);
}

void ck_get(libcache_ns *ns, const char *key, unsigned flags, int wanted, int tier)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, flags);

    ck_assert_msg(result == wanted, "get of \"%s\" gives %s, not %s", key, result_name(result), result_name(wanted));
    if (result != LIBCACHE_MISS)
        ck_assert_msg(value.tier == tier, "\"%s\" is from tier %d, not %d", key, value.tier, tier);
    libcache_release_value(&value);
}

void ck_from(libcache_ns *ns, const char *key, const char *wanted, int tier)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, 0);

    ck_assert_msg(result == LIBCACHE_HIT, "get of \"%s\" gives %s, not a hit with \"%s\"", key, result_name(result), wanted);
    ck_assert_msg(value.size == strlen(wanted) && (!value.size || memcmp(value.data, wanted, value.size) == 0),
                  "\"%s\" is \"%.*s\", not \"%s\"", key, (int)value.size, (const char *)value.data, wanted);
    ck_assert_msg(value.tier == tier, "\"%s\" is from tier %d, not %d", key, value.tier, tier);
    libcache_release_value(&value);
}

int in_l1(libcache_ns *ns, const char *key)
{
    return libcache_exists(ns, key, strlen(key), LIBCACHE_SKIP_L2) != LIBCACHE_MISS;
}

/* ---- Behind the cache's back ---------------------------------------------------------------------------------- */

static libcache_slice name_of(struct data_name *name, const char *ns, libcache_slice key)
{
    name_data(name, PREFIX, slice_of(ns), key);
    return (libcache_slice){ name->bytes, name->size };
}

long raw_get(const struct hosts *hosts, const char *ns, libcache_slice key, void *bytes, size_t room)
{
    struct data_name name;
    libcache_slice argv[2] = { LIBCACHE_STR("GET"), name_of(&name, ns, key) };
    long size = redis_server_command(&hosts->redis, argv, 2, bytes, room);

    ck_assert_msg(size >= 0, "Redis: %s", (char *)bytes);
    return size == 5 && memcmp(bytes, "(nil)", 5) == 0 ? -1 : size;
}

void raw_set(const struct hosts *hosts, const char *ns, libcache_slice key, const void *bytes, size_t size)
{
    struct data_name name;
    libcache_slice argv[3] = { LIBCACHE_STR("SET"), name_of(&name, ns, key), { bytes, size } };
    char answer[200];

    ck_assert_msg(redis_server_command(&hosts->redis, argv, 3, answer, sizeof answer) >= 0, "Redis: %s", answer);
}

long raw_ttl(const struct hosts *hosts, const char *ns, const char *key)
{
    char answer[200];

    REDIS(&hosts->redis, answer, "PTTL", raw_name(ns, key));
    return strtol(answer, NULL, 10);
}

const char *raw_name(const char *ns, const char *key)
{
    static char text[DATA_NAME_MAX + 1];
    struct data_name name;

    name_of(&name, ns, slice_of(key));
    memcpy(text, name.bytes, name.size);
    text[name.size] = '\0';
    return text;
}
