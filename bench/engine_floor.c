/*
 * The floor: an array of values indexed by key number. No hashing, no compare, no lock, no eviction; what
 * is left is the loop of the harness, one cache miss and the copy. Nothing that looks keys up can be
 * faster. Sets race with gets: it is a yardstick, not a cache.
 */
#include "engine.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

typedef struct floor_engine {
    size_t value_bytes;
    size_t mapped_bytes;
    char *values;
} floor_engine;

static void *open_engine(const engine_config *config)
{
    floor_engine *self = harness_allocate(sizeof *self);

    self->value_bytes = config->value_bytes;
    self->mapped_bytes = config->keys * config->value_bytes;
    self->values = harness_map(self->mapped_bytes);
    return self;
}

static void close_engine(void *opaque)
{
    floor_engine *self = opaque;

    harness_unmap(self->values, self->mapped_bytes);
    free(self);
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    floor_engine *self = opaque;

    (void)key;
    memcpy(self->values + number * self->value_bytes, value, self->value_bytes);
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    floor_engine *self = opaque;

    (void)key;
    memcpy(out, self->values + number * self->value_bytes, self->value_bytes);
    return self->value_bytes;
}

const bench_engine engine_floor = { "floor", open_engine, close_engine, set, get, 0 };
