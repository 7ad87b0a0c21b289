/*
 * Changes, against plain hiredis doing what a cache without libcache would: SET with a TTL, DEL. The values that hiredis
 * sets are the envelopes that libcache has written, under keys of the same length. No targets: a change of libcache is
 * a script that also numbers the change and tells the other hosts. SPDX-License-Identifier: MIT
 */
#include "bench_l2.h"

#include <stdlib.h>
#include <string.h>

typedef struct writer {
    l2_keys *keys, *raw_keys;
    l2_cache cache;
    redisContext *raw;
    char *value;             /* as libcache is given it */
    libcache_slice envelope; /* as Redis is */
    libcache_item items[L2_BATCH];
} writer;

static int set_by_libcache(void *self, size_t i)
{
    writer *w = self;

    l2_expect("libcache_set", libcache_set(w->cache.ns, w->keys->key[i].data, w->keys->key[i].size, w->value,
                                           w->keys->value_bytes, NULL), LIBCACHE_OK);
    return 1;
}

static void append_set(writer *w, size_t i)
{
    const char *argv[5] = { "SET", w->raw_keys->name[i].data, w->envelope.data, "PX", "3600000" };
    const size_t sizes[5] = { 3, w->raw_keys->name[i].size, w->envelope.size, 2, 7 };

    redisAppendCommandArgv(w->raw, 5, argv, sizes);
}

static void take_status(writer *w)
{
    void *reply;

    if (redisGetReply(w->raw, &reply) != REDIS_OK || ((redisReply *)reply)->type != REDIS_REPLY_STATUS)
        harness_die("SET: not what was expected");
    freeReplyObject(reply);
}

static int set_by_hiredis(void *self, size_t i)
{
    append_set(self, i);
    take_status(self);
    return 1;
}

static size_t batch_key(const writer *w, size_t i, size_t k)
{
    return (i * L2_BATCH + k) % w->keys->n;
}

static int set_many_by_libcache(void *self, size_t i)
{
    writer *w = self;

    for (size_t k = 0; k < L2_BATCH; k++)
        w->items[k] = (libcache_item){ w->keys->key[batch_key(w, i, k)], { w->value, w->keys->value_bytes }, NULL, 0 };
    l2_expect("libcache_set_many", libcache_set_many(w->cache.ns, w->items, L2_BATCH), LIBCACHE_OK);
    return 1;
}

static int pipeline_sets(void *self, size_t i)
{
    writer *w = self;

    for (size_t k = 0; k < L2_BATCH; k++)
        append_set(w, batch_key(w, i, k));
    for (size_t k = 0; k < L2_BATCH; k++)
        take_status(w);
    return 1;
}

/* So that each delete has something to delete, in the tier that both know. */
static void put_back(void *self, size_t first, size_t n)
{
    writer *w = self;

    for (size_t i = 0; i < n; i++)
        set_by_libcache(w, (first + i) % w->keys->n);
}

static void put_back_raw(void *self, size_t first, size_t n)
{
    writer *w = self;

    for (size_t i = 0; i < n; i++)
        append_set(w, (first + i) % w->keys->n);
    for (size_t i = 0; i < n; i++)
        take_status(w);
}

static int delete_by_libcache(void *self, size_t i)
{
    writer *w = self;

    l2_expect("libcache_delete", libcache_delete(w->cache.ns, w->keys->key[i].data, w->keys->key[i].size, 0), LIBCACHE_OK);
    return 1;
}

static int delete_by_hiredis(void *self, size_t i)
{
    writer *w = self;
    const char *argv[2] = { "DEL", w->raw_keys->name[i].data };
    const size_t sizes[2] = { 3, w->raw_keys->name[i].size };
    redisReply *reply = raw_command(w->raw, 2, argv, sizes, REDIS_REPLY_INTEGER);

    if (reply->integer != 1)
        harness_die("DEL deleted %lld keys", reply->integer);
    freeReplyObject(reply);
    return 1;
}

static int invalidate_by_libcache(void *self, size_t i)
{
    writer *w = self;

    l2_expect("libcache_invalidate_tags", libcache_invalidate_tags(w->cache.cache, &w->keys->key[i], 1, 0), LIBCACHE_OK);
    return 1;
}

static int ping_by_hiredis(void *self, size_t i)
{
    (void)i;
    raw_ping(((writer *)self)->raw);
    return 1;
}

static void emit_pair(l2_contender *ours, l2_contender *theirs)
{
    l2_add_extra(&ours->result, "over_hiredis", rounds_ratio(ours, theirs));
    l2_add_extra(&ours->result, "over_hiredis_p50", rounds_ratio_p50(ours, theirs));
    l2_add_extra(&ours->result, "p50_more_us", ours->result.p50_us - theirs->result.p50_us);
    l2_emit(&theirs->result);
    l2_emit(&ours->result);
}

static void put_bytes(l2_contender *c, double bytes)
{
    l2_add_extra(&c->result, "stored_bytes", bytes);
}

static void compare_sets(const l2_context *context, writer *w)
{
    const l2_options *o = context->options;
    l2_contender one[2] = { { .operation = "SET", .engine = "hiredis", .self = w, .run = set_by_hiredis },
                            { .operation = "set", .engine = "libcache", .self = w, .run = set_by_libcache } };
    l2_contender many[2] = { { .operation = "100 SET pipelined", .engine = "hiredis", .self = w, .run = pipeline_sets },
                             { .operation = "set_many 100", .engine = "libcache", .self = w, .run = set_many_by_libcache } };

    rounds_run(context, "changes", one, 2, o->round_ops, w->keys);
    put_bytes(&one[0], (double)w->envelope.size);
    emit_pair(&one[1], &one[0]);
    rounds_run(context, "changes", many, 2, o->round_batches, w->keys);
    emit_pair(&many[1], &many[0]);
}

static void compare_deletes(const l2_context *context, writer *w)
{
    const l2_options *o = context->options;
    unsigned ops = o->round_ops < 400 ? o->round_ops : 400; /* no key comes twice in a round */
    l2_contender gone[2] = {
        { .operation = "DEL", .engine = "hiredis", .self = w, .prepare = put_back_raw, .run = delete_by_hiredis },
        { .operation = "delete", .engine = "libcache", .self = w, .prepare = put_back, .run = delete_by_libcache }
    };
    l2_contender tags[2] = { { .operation = "PING", .engine = "hiredis", .self = w, .run = ping_by_hiredis },
                             { .operation = "invalidate_tags 1", .engine = "libcache", .self = w,
                               .run = invalidate_by_libcache } };

    rounds_run(context, "changes", gone, 2, ops, w->keys);
    emit_pair(&gone[1], &gone[0]);
    rounds_run(context, "changes", tags, 2, o->round_ops, w->keys);
    emit_pair(&tags[1], &tags[0]);
}

static void change_size(const l2_context *context, size_t value_bytes)
{
    l2_keys keys, raw_keys;
    writer *w = harness_allocate(sizeof *w);
    redisReply *stored;

    raw_empty(context);
    l2_make_keys(&keys, 1000, value_bytes);
    l2_make_keys(&raw_keys, 1000, value_bytes);
    for (size_t i = 0; i < raw_keys.n; i++)
        memcpy((char *)raw_keys.name[i].data, "hiredis_", 8); /* for "libcache": as long */
    *w = (writer){ .keys = &keys, .raw_keys = &raw_keys };
    w->cache = l2_open_cache(context->url, NULL);
    w->raw = raw_connect(context);
    w->value = harness_allocate(value_bytes);
    l2_make_value(&keys, 0, w->value);
    set_by_libcache(w, 0);
    stored = raw_get(w->raw, keys.name[0]);
    w->envelope = (libcache_slice){ stored->str, stored->len };
    compare_sets(context, w);
    if (value_bytes == 100)
        compare_deletes(context, w);
    freeReplyObject(stored);
    redisFree(w->raw);
    l2_close_cache(&w->cache);
    free(w->value);
    free(w);
    l2_free_keys(&keys);
    l2_free_keys(&raw_keys);
}

void case_changes(const l2_context *context)
{
    l2_pin(context);
    change_size(context, 100);
    change_size(context, 1024);
    change_size(context, 10240);
}
