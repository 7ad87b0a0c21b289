/*
 * memcached behind a Unix socket, one connection a thread, through libmemcached: what leaving the process costs.
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#ifdef HAVE_MEMCACHED
#include "child.h"
#include "harness.h"

#include <libmemcached/memcached.h>
#include <stdlib.h>
#include <string.h>

typedef struct memcached_engine {
    bench_child server;
    size_t value_bytes;
} memcached_engine;

static __thread memcached_st *connection;
static __thread void *connected_to;

static void *open_engine(const engine_config *config)
{
    memcached_engine *self = harness_allocate(sizeof *self);
    char megabytes[16];
    const char *arguments[] = {
        "memcached", "-s", self->server.socket, "-m", megabytes, "-t", "2", "-u", "root", NULL
    };

    snprintf(megabytes, sizeof megabytes, "%zu", config->budget_bytes / (1 << 20) + 64);
    child_make_directory(&self->server, "memcached");
    child_start(&self->server, arguments);
    self->value_bytes = config->value_bytes;
    return self;
}

static void close_engine(void *opaque)
{
    memcached_engine *self = opaque;

    if (connected_to == self) {
        memcached_free(connection);
        connected_to = NULL;
    }
    child_stop(&self->server);
    free(self);
}

static memcached_st *connect_to(memcached_engine *self)
{
    if (connected_to != self) {
        connection = memcached_create(NULL);
        if (connection == NULL ||
            memcached_server_add_unix_socket(connection, self->server.socket) != MEMCACHED_SUCCESS)
            harness_die("cannot connect to memcached");
        connected_to = self;
    }
    return connection;
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    memcached_engine *self = opaque;

    (void)number;
    if (memcached_set(connect_to(self), key, ENGINE_KEY_BYTES, value, self->value_bytes, 0, 0) != MEMCACHED_SUCCESS)
        harness_die("memcached does not take a value");
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    memcached_return_t result;
    uint32_t flags;
    size_t size = 0;
    char *value = memcached_get(connect_to(opaque), key, ENGINE_KEY_BYTES, &size, &flags, &result);

    (void)number;
    if (result != MEMCACHED_SUCCESS && result != MEMCACHED_NOTFOUND)
        harness_die("memcached: %s", memcached_strerror(connection, result));
    if (value == NULL)
        return 0;
    memcpy(out, value, size);
    free(value);
    return size;
}

const bench_engine engine_memcached = { "memcached", open_engine, close_engine, set, get, 1 };
#endif
