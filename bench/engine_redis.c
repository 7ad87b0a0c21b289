/* A redis-server behind a Unix socket, one connection a thread, through hiredis. SPDX-License-Identifier: MIT */
#include "engine.h"
#include "harness.h"
#include "support/redis_server.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

typedef struct redis_engine {
    struct redis_server server;
    size_t value_bytes;
} redis_engine;

static __thread redisContext *connection;
static __thread void *connected_to;

static void *open_engine(const engine_config *config)
{
    redis_engine *self = harness_allocate(sizeof *self);

    if (redis_server_start(&self->server, NULL) != 0)
        harness_die("%s", self->server.error);
    self->value_bytes = config->value_bytes;
    return self;
}

static void close_engine(void *opaque)
{
    redis_engine *self = opaque;

    if (connected_to == self) {
        redisFree(connection);
        connected_to = NULL;
    }
    redis_server_stop(&self->server);
    free(self);
}

static redisReply *ask(redis_engine *self, const char *const *words, const size_t *sizes, int n)
{
    redisReply *reply;

    if (connected_to != self) {
        connection = redisConnectUnix(self->server.socket);
        if (connection == NULL || connection->err)
            harness_die("cannot connect to redis-server");
        connected_to = self;
    }
    reply = redisCommandArgv(connection, n, (const char **)(uintptr_t)words, sizes);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        harness_die("redis-server: %s", reply != NULL ? reply->str : connection->errstr);
    return reply;
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    redis_engine *self = opaque;
    const char *words[] = { "SET", key, value };
    const size_t sizes[] = { 3, ENGINE_KEY_BYTES, self->value_bytes };

    (void)number;
    freeReplyObject(ask(self, words, sizes, 3));
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    const char *words[] = { "GET", key };
    const size_t sizes[] = { 3, ENGINE_KEY_BYTES };
    redisReply *reply = ask(opaque, words, sizes, 2);
    size_t size = reply->type == REDIS_REPLY_STRING ? reply->len : 0;

    (void)number;
    if (size != 0)
        memcpy(out, reply->str, size);
    freeReplyObject(reply);
    return size;
}

const bench_engine engine_redis = { "redis", open_engine, close_engine, set, get, 0 };
