/* SPDX-License-Identifier: MIT */
#include "support/stage.h"

#include "support/guards.h"

static uint64_t host_random(void *arg)
{
    return __atomic_add_fetch(&((struct dice *)arg)->state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED) * UINT64_C(0xbf58476d1ce4e5b9);
}

void stage_prepare_host(struct host *host, const struct redis_server *redis, unsigned number)
{
    libcache_options *o = &host->rig.options;

    memset(host, 0, sizeof *host);
    rig_prepare(&host->rig);
    host->dice = dice_of(100 + number);
    o->random = host_random;
    o->random_arg = &host->dice;
    o->memory_bytes = 1 << 20;
    o->redis_url = redis->url;
    o->redis_prefix = PREFIX;
    o->redis_timeout_ms = 10000;
    o->breaker_backoff_ms = 1;
    o->breaker_backoff_max_ms = 1;
    o->max_staleness_ms = STALENESS_MS;
    o->poll_ms = POLL_MS;
}

void stage_open_host(struct host *host)
{
    rig_open(&host->rig);
    host->cache = host->rig.cache;
    host->ns = host->rig.ns;
    host->coherence = host->cache->coherence;
}

void stage_close_host(struct host *host)
{
    rig_down(&host->rig);
}

void stage_up(struct stage *stage, unsigned n)
{
    ck_assert_int_eq(guards_break_as_told(), 0);
    memset(stage, 0, sizeof *stage);
    REDIS_UP(&stage->redis, NULL);
    for (stage->n = 0; stage->n < n; stage->n++) {
        stage_prepare_host(&stage->host[stage->n], &stage->redis, stage->n);
        stage_open_host(&stage->host[stage->n]);
        hear(&stage->host[stage->n]);
    }
}

void stage_down(struct stage *stage)
{
    for (unsigned i = 0; i < stage->n; i++)
        stage_close_host(&stage->host[i]);
    redis_server_stop(&stage->redis);
}

void hear_again(struct host *host)
{
    int result = LIBCACHE_EBUSY;

    for (int i = 0; i < 20 && result != LIBCACHE_OK; i++) {
        fake_clock_advance(&host->rig.clock, 2); /* past the breaker's pause */
        result = libcache_poll(host->cache, 0);
    }
    ck_result(result, LIBCACHE_OK);
}

void hear(struct host *host)
{
    int result;

    do /* begun anew, it wants to be asked again */
        result = libcache_poll(host->cache, 0);
    while (result == LIBCACHE_EBUSY);
    ck_result(result, LIBCACHE_OK);
}

libcache_stamp begin_load(struct host *host, const char *key)
{
    libcache_stamp stamp;

    ck_result(libcache_take_stamp(host->ns, key, strlen(key), &stamp), LIBCACHE_OK);
    return stamp;
}

int end_load(struct host *host, const char *key, const char *value, const char *tag, const libcache_stamp *stamp)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[1] = { slice_of(tag) };

    options.tags = tags;
    options.n_tags = 1;
    options.stamp = stamp;
    return libcache_set(host->ns, key, strlen(key), value, strlen(value), &options);
}

int load(struct host *host, const char *key, const char *value, const char *tag)
{
    libcache_stamp stamp = begin_load(host, key);

    return end_load(host, key, value, tag, &stamp);
}

int look_l1(const struct host *host, const char *key)
{
    return libcache_exists(host->ns, key, strlen(key), LIBCACHE_SKIP_L2);
}

int look_l2(const struct host *host, const char *key)
{
    return libcache_exists(host->ns, key, strlen(key), LIBCACHE_SKIP_L1);
}

int delete_key(struct host *host, const char *key)
{
    return libcache_delete(host->ns, key, strlen(key), 0);
}

struct mirror mirror_of(const struct host *host)
{
    struct mirror m;

    mirror_read(host->coherence, &m);
    return m;
}

libcache_stats stats_of(const struct host *host)
{
    return rig_stats(&host->rig);
}

int invalidate_somehow(struct host *host, unsigned kind)
{
    int result;

    switch (kind) {
    case 0: result = delete_key(host, "key"); return result == LIBCACHE_MISS ? LIBCACHE_OK : result;
    case 1: return invalidate_tag(host->cache, "tag");
    case 2: return libcache_invalidate_namespace(host->ns, 0);
    default: return libcache_invalidate_all(host->cache, 0);
    }
}
