/*
 * get and get_many against plain hiredis on the same keys: the same bytes, libcache's envelopes.
 * SPDX-License-Identifier: MIT
 *
 *      skip_l1     LIBCACHE_SKIP_L1: one round trip, judged by what this host knows
 *      copy        L1 is looked at, misses, and keeps a copy; too small for the keys, so that the next round misses, too
 *      verified    LIBCACHE_SKIP_L1 by a handle that was opened later than the value was stored, and that therefore asks
 *                  Redis for the marks as well: two round trips
 */
#include "bench_l2.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    l2_keys *keys;
    l2_cache cache;
    unsigned flags;
    libcache_value value;
    redisContext *raw;
    size_t reply_bytes; /* of the latest */
} reader;

static int get_by_libcache(void *self, size_t i)
{
    reader *r = self;

    l2_expect("libcache_get", libcache_get(r->cache.ns, r->keys->key[i].data, r->keys->key[i].size, &r->value, r->flags),
              LIBCACHE_HIT);
    l2_check_value(r->keys, i, r->value.data, r->value.size);
    return r->value.tier == LIBCACHE_TIER_L2;
}

static int get_by_hiredis(void *self, size_t i)
{
    reader *r = self;
    redisReply *reply = raw_get(r->raw, r->keys->name[i]);

    r->reply_bytes = reply->len;
    freeReplyObject(reply);
    return 1;
}

/* Small enough that few of the keys are there again when their turn comes. */
static libcache_options small_l1(size_t value_bytes)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.memory_bytes = value_bytes <= 100 ? (size_t)256 << 10 : value_bytes <= 1024 ? (size_t)1 << 20 : (size_t)4 << 20;
    return options;
}

static void put_ratios(l2_contender *c, const l2_contender *raw)
{
    l2_add_extra(&c->result, "over_hiredis", rounds_ratio(c, raw));
    l2_add_extra(&c->result, "over_hiredis_p50", rounds_ratio_p50(c, raw));
    l2_add_extra(&c->result, "p50_more_us", c->result.p50_us - raw->result.p50_us);
}

static void put_target(const l2_context *context, const char *bench, const char *what, size_t bytes, double value,
                       double limit, int at_least)
{
    char text[72];

    snprintf(text, sizeof text, "%s, %zu B, %s", what, bytes, context->socket);
    l2_emit_target(context, bench, text, value, "x", limit, at_least);
}

/* Keys that the rounds come to at most, the untimed ones included. */
static size_t asked_for(const l2_options *options)
{
    return (size_t)options->rounds * (options->round_ops + options->round_ops / 8 + 1);
}

static void get_size(const l2_context *context, size_t n, size_t value_bytes)
{
    const libcache_options small = small_l1(value_bytes);
    l2_keys keys;
    reader skip = { .keys = &keys, .flags = LIBCACHE_SKIP_L1 }, late = skip;
    reader copy = { .keys = &keys }, raw = { .keys = &keys };
    l2_contender c[4] = { { .operation = "get", .engine = "hiredis", .self = &raw, .run = get_by_hiredis },
                          { .operation = "get skip_l1", .engine = "libcache", .self = &skip, .run = get_by_libcache },
                          { .operation = "get copy", .engine = "libcache", .self = &copy, .run = get_by_libcache },
                          { .operation = "get verified", .engine = "libcache", .self = &late, .run = get_by_libcache } };
    libcache_stats stats;

    raw_empty(context);
    n /= context->options->size_divisor;
    l2_make_keys(&keys, n < asked_for(context->options) ? n : asked_for(context->options), value_bytes);
    skip.cache = l2_open_cache(context->url, NULL);
    copy.cache = l2_open_cache(context->url, &small);
    late.cache = l2_open_cache(context->url, NULL);
    raw.raw = raw_connect(context);
    /* From their first contact on they know the marks; the late one has his after the values were stored. */
    l2_expect("libcache_poll", libcache_poll(copy.cache.cache, 0), LIBCACHE_OK);
    l2_fill(&skip.cache, &keys, LIBCACHE_SKIP_L1);
    l2_expect("libcache_delete", libcache_delete(skip.cache.ns, "x", 1, 0), LIBCACHE_MISS);
    l2_expect("libcache_poll", libcache_poll(late.cache.cache, 0), LIBCACHE_OK);
    rounds_run(context, "get", c, 4, context->options->round_ops, &keys);

    l2_add_extra(&c[0].result, "reply_bytes", (double)raw.reply_bytes);
    for (unsigned i = 1; i < 4; i++)
        put_ratios(&c[i], &c[0]);
    stats = l2_stats(&copy.cache);
    l2_add_extra(&c[2].result, "l2_share", (double)stats.l2_hits / (double)stats.hits);
    l2_add_extra(&c[2].result, "l1_entries", (double)stats.entries);
    l2_add_extra(&c[1].result, "verified", (double)l2_stats(&skip.cache).l2_verified);
    l2_add_extra(&c[3].result, "verified", (double)l2_stats(&late.cache).l2_verified);
    for (unsigned i = 0; i < 4; i++)
        l2_emit(&c[i].result);
    put_target(context, "get", "get skip_l1 over hiredis GET", value_bytes, rounds_ratio_p50(&c[1], &c[0]), 1.10, 0);
    put_target(context, "get", "get with copy to L1 over hiredis GET", value_bytes, rounds_ratio_p50(&c[2], &c[0]), 1.10, 0);

    redisFree(raw.raw);
    libcache_release_value(&skip.value);
    libcache_release_value(&copy.value);
    libcache_release_value(&late.value);
    l2_close_cache(&skip.cache);
    l2_close_cache(&copy.cache);
    l2_close_cache(&late.cache);
    l2_free_keys(&keys);
}

void case_get(const l2_context *context)
{
    l2_pin(context);
    get_size(context, 40000, 100);
    get_size(context, 20000, 1024);
    get_size(context, 8000, 10240);
}

/* ---- get_many ------------------------------------------------------------------------------------------------ */

typedef struct batcher {
    l2_keys *keys;
    l2_cache cache;
    libcache_value values[L2_BATCH];
    int results[L2_BATCH];
    redisContext *raw;
} batcher;

/* The batch that round-robin gives for i: its first key. */
static size_t first_of(const batcher *b, size_t i)
{
    return i * L2_BATCH % b->keys->n;
}

static int many_by_libcache(void *self, size_t i)
{
    batcher *b = self;
    size_t first = first_of(b, i), found = 0;

    l2_expect("libcache_get_many", libcache_get_many(b->cache.ns, b->keys->key + first, L2_BATCH, b->values, b->results,
                                                     &found, LIBCACHE_SKIP_L1), LIBCACHE_OK);
    if (found != L2_BATCH)
        harness_die("libcache_get_many found %zu of %d", found, L2_BATCH);
    l2_check_value(b->keys, first + i % L2_BATCH, b->values[i % L2_BATCH].data, b->values[i % L2_BATCH].size);
    return 1;
}

static int singly_by_libcache(void *self, size_t i)
{
    batcher *b = self;
    size_t first = first_of(b, i);

    for (size_t k = 0; k < L2_BATCH; k++)
        l2_expect("libcache_get", libcache_get(b->cache.ns, b->keys->key[first + k].data, b->keys->key[first + k].size,
                                               &b->values[k], LIBCACHE_SKIP_L1), LIBCACHE_HIT);
    return 1;
}

static int mget_by_hiredis(void *self, size_t i)
{
    batcher *b = self;
    size_t first = first_of(b, i), sizes[L2_BATCH + 1] = { 4 };
    const char *argv[L2_BATCH + 1] = { "MGET" };
    redisReply *reply;

    for (size_t k = 0; k < L2_BATCH; k++) {
        argv[k + 1] = b->keys->name[first + k].data;
        sizes[k + 1] = b->keys->name[first + k].size;
    }
    reply = raw_command(b->raw, L2_BATCH + 1, argv, sizes, REDIS_REPLY_ARRAY);
    if (reply->elements != L2_BATCH || reply->element[0]->type != REDIS_REPLY_STRING)
        harness_die("MGET: not what was asked for");
    freeReplyObject(reply);
    return 1;
}

static int pipeline_by_hiredis(void *self, size_t i)
{
    batcher *b = self;
    size_t first = first_of(b, i);

    for (size_t k = 0; k < L2_BATCH; k++) {
        const char *argv[2] = { "GET", b->keys->name[first + k].data };
        const size_t sizes[2] = { 3, b->keys->name[first + k].size };
        redisAppendCommandArgv(b->raw, 2, argv, sizes);
    }
    for (size_t k = 0; k < L2_BATCH; k++) {
        void *reply;
        if (redisGetReply(b->raw, &reply) != REDIS_OK || ((redisReply *)reply)->type != REDIS_REPLY_STRING)
            harness_die("pipelined GET: not what was asked for");
        freeReplyObject(reply);
    }
    return 1;
}

static void many_of_size(const l2_context *context, size_t value_bytes)
{
    l2_keys keys;
    batcher *b = harness_allocate(sizeof *b);
    l2_contender c[4] = { { .operation = "MGET 100", .engine = "hiredis", .self = b, .run = mget_by_hiredis },
                          { .operation = "100 GET pipelined", .engine = "hiredis", .self = b, .run = pipeline_by_hiredis },
                          { .operation = "get_many 100", .engine = "libcache", .self = b, .run = many_by_libcache },
                          { .operation = "100 gets", .engine = "libcache", .self = b, .run = singly_by_libcache } };
    double ratio, speed;

    raw_empty(context);
    memset(b, 0, sizeof *b);
    b->keys = &keys;
    l2_make_keys(&keys, 10 * L2_BATCH, value_bytes);
    b->cache = l2_open_cache(context->url, NULL);
    b->raw = raw_connect(context);
    l2_fill(&b->cache, &keys, LIBCACHE_SKIP_L1);
    rounds_run(context, "get_many", c, 4, context->options->round_batches, &keys);
    ratio = rounds_ratio_p50(&c[2], &c[0]);
    speed = rounds_ratio_p50(&c[3], &c[2]);
    put_ratios(&c[2], &c[0]);
    l2_add_extra(&c[2].result, "over_pipelined_p50", rounds_ratio_p50(&c[2], &c[1]));
    l2_add_extra(&c[2].result, "faster_than_singly_p50", speed);
    for (unsigned i = 0; i < 4; i++)
        l2_emit(&c[i].result);
    put_target(context, "get_many", "get_many(100) over hiredis MGET", value_bytes, ratio, 1.5, 0);
    if (value_bytes <= 1024) /* larger ones are as fast as the bytes can be moved, one by one or together */
        put_target(context, "get_many", "get_many(100) faster than 100 gets", value_bytes, speed, 20, 1);

    for (unsigned k = 0; k < L2_BATCH; k++)
        libcache_release_value(&b->values[k]);
    redisFree(b->raw);
    l2_close_cache(&b->cache);
    l2_free_keys(&keys);
    free(b);
}

void case_get_many(const l2_context *context)
{
    l2_pin(context);
    many_of_size(context, 100);
    many_of_size(context, 1024);
    many_of_size(context, 10240);
}
