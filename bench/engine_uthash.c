/*
 * What a C programmer writes in an afternoon: uthash tables behind 64 mutexes, each with an LRU list and
 * a share of the budget. Hashed with XXH3 like libcache, so that hashing does not decide.
 */
#include "engine.h"

#ifdef HAVE_UTHASH
#include "harness.h"

#define XXH_INLINE_ALL
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include <xxhash.h>

enum { SHARD_BITS = 6, SHARDS = 1 << SHARD_BITS };

typedef struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* of the LRU list */
    size_t size;
    char key[ENGINE_KEY_BYTES];
    char value[];
} entry;

/* All fields are guarded by the lock. */
typedef struct shard {
    _Alignas(64) pthread_mutex_t lock;
    entry *table;
    entry *newest; /* newest->prev is the oldest */
    size_t used_bytes;
} shard;

typedef struct uthash_engine {
    shard shards[SHARDS];
    size_t value_bytes;
    size_t shard_budget_bytes;
} uthash_engine;

static void *open_engine(const engine_config *config)
{
    uthash_engine *self = aligned_alloc(64, sizeof *self);

    if (self == NULL)
        harness_die("no memory for an engine");
    memset(self, 0, sizeof *self);
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&self->shards[i].lock, NULL);
    self->value_bytes = config->value_bytes;
    self->shard_budget_bytes = config->budget_bytes / SHARDS;
    return self;
}

static void drop(shard *in, entry *item)
{
    HASH_DELETE(hh, in->table, item);
    DL_DELETE(in->newest, item);
    in->used_bytes -= item->size;
    free(item);
}

static void close_engine(void *opaque)
{
    uthash_engine *self = opaque;

    for (int i = 0; i < SHARDS; i++) {
        while (self->shards[i].newest != NULL)
            drop(&self->shards[i], self->shards[i].newest);
        pthread_mutex_destroy(&self->shards[i].lock);
    }
    free(self);
}

/* A new entry may go beyond the budget of small tests: one entry always fits. */
static entry *make_entry(shard *in, const char *key, unsigned hash, size_t size)
{
    entry *made = harness_allocate(sizeof *made + size);

    made->size = size;
    memcpy(made->key, key, ENGINE_KEY_BYTES);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, in->table, made->key, ENGINE_KEY_BYTES, hash, made);
    DL_PREPEND(in->newest, made);
    in->used_bytes += size;
    return made;
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    uthash_engine *self = opaque;
    uint64_t hash = XXH3_64bits(key, ENGINE_KEY_BYTES);
    shard *in = &self->shards[hash >> (64 - SHARD_BITS)];
    entry *found;

    (void)number;
    pthread_mutex_lock(&in->lock);
    HASH_FIND_BYHASHVALUE(hh, in->table, key, ENGINE_KEY_BYTES, (unsigned)hash, found);
    if (found == NULL)
        found = make_entry(in, key, (unsigned)hash, self->value_bytes);
    memcpy(found->value, value, self->value_bytes);
    while (in->used_bytes > self->shard_budget_bytes && in->newest->prev != found)
        drop(in, in->newest->prev);
    pthread_mutex_unlock(&in->lock);
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    uthash_engine *self = opaque;
    uint64_t hash = XXH3_64bits(key, ENGINE_KEY_BYTES);
    shard *in = &self->shards[hash >> (64 - SHARD_BITS)];
    entry *found;
    size_t size = 0;

    (void)number;
    pthread_mutex_lock(&in->lock);
    HASH_FIND_BYHASHVALUE(hh, in->table, key, ENGINE_KEY_BYTES, (unsigned)hash, found);
    if (found != NULL) {
        DL_DELETE(in->newest, found);
        DL_PREPEND(in->newest, found);
        size = found->size;
        memcpy(out, found->value, size);
    }
    pthread_mutex_unlock(&in->lock);
    return size;
}

const bench_engine engine_uthash_mutex = { "uthash-mutex", open_engine, close_engine, set, get, 1 };
#endif
