/*
 * RocksDB's two block caches, used as object caches: values in memory of their own, copied in and out.
 *
 * HyperClockCache 7.8.3 takes keys of exactly 16 bytes, so it is given the XXH3_128 of the key. That is
 * generous to it: it never compares a key of ours, and would answer with a stranger's value on a collision.
 * Its insert of a key that is there keeps the old value, so a set is an erase and an insert.
 */
#include "engine.h"

#ifdef HAVE_ROCKSDB
#include "harness.h"

#include <cstdlib>
#include <cstring>
#include <rocksdb/cache.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using rocksdb::Cache;
using rocksdb::Slice;

namespace
{

struct block {
    size_t size;
    char data[];
};

struct rocksdb_engine {
    std::shared_ptr<Cache> cache;
    size_t value_bytes;
};

/* What RocksDB itself needs for an entry comes on top: kDontChargeCacheMetadata. */
size_t charge_of(const engine_config *config)
{
    return sizeof(block) + config->value_bytes;
}

/* Room for all, in every shard. */
size_t capacity_for(const engine_config *config, double slack)
{
    double room = config->room != 0 ? config->room : slack;
    size_t bytes = static_cast<size_t>(static_cast<double>(config->keys * charge_of(config)) * room);

    return bytes < (1u << 20) ? 1u << 20 : bytes;
}

/* 64 shards also for small caches, where the default would be few mutexes and so worse. */
void *open_lru(const engine_config *config)
{
    rocksdb::LRUCacheOptions options;

    options.capacity = capacity_for(config, 1.5);
    options.num_shard_bits = 6;
    options.metadata_charge_policy = rocksdb::kDontChargeCacheMetadata;
    return new rocksdb_engine{ rocksdb::NewLRUCache(options), config->value_bytes };
}

/* The estimate is exact. The slack is as small as keeps the table (a power of two) from doubling at 1 M keys. */
void *open_hyperclock(const engine_config *config)
{
    rocksdb::HyperClockCacheOptions options(capacity_for(config, 1.25), charge_of(config), -1, false, nullptr,
                                            rocksdb::kDontChargeCacheMetadata);

    return new rocksdb_engine{ options.MakeSharedCache(), config->value_bytes };
}

void close_engine(void *opaque)
{
    delete static_cast<rocksdb_engine *>(opaque);
}

void release_block(const Slice &, void *value)
{
    std::free(value);
}

void insert(rocksdb_engine *self, const Slice &key, const char *value)
{
    block *made = static_cast<block *>(harness_allocate(sizeof(block) + self->value_bytes));

    made->size = self->value_bytes;
    std::memcpy(made->data, value, made->size);
    if (!self->cache->Insert(key, made, sizeof(block) + made->size, release_block).ok())
        harness_die("rocksdb: insert failed");
}

size_t look_up(rocksdb_engine *self, const Slice &key, char *out)
{
    Cache::Handle *handle = self->cache->Lookup(key);

    if (handle == nullptr)
        return 0;
    const block *found = static_cast<const block *>(self->cache->Value(handle));
    size_t size = found->size;
    std::memcpy(out, found->data, size);
    self->cache->Release(handle);
    return size;
}

void set_lru(void *opaque, uint32_t, const char *key, const char *value)
{
    insert(static_cast<rocksdb_engine *>(opaque), Slice(key, ENGINE_KEY_BYTES), value);
}

size_t get_lru(void *opaque, uint32_t, const char *key, char *out)
{
    return look_up(static_cast<rocksdb_engine *>(opaque), Slice(key, ENGINE_KEY_BYTES), out);
}

void set_hyperclock(void *opaque, uint32_t, const char *key, const char *value)
{
    rocksdb_engine *self = static_cast<rocksdb_engine *>(opaque);
    XXH128_hash_t hash = XXH3_128bits(key, ENGINE_KEY_BYTES);
    Slice hashed(reinterpret_cast<const char *>(&hash), sizeof hash);

    self->cache->Erase(hashed);
    insert(self, hashed, value);
}

size_t get_hyperclock(void *opaque, uint32_t, const char *key, char *out)
{
    XXH128_hash_t hash = XXH3_128bits(key, ENGINE_KEY_BYTES);

    return look_up(static_cast<rocksdb_engine *>(opaque), Slice(reinterpret_cast<const char *>(&hash), sizeof hash),
                   out);
}

} // namespace

const bench_engine engine_rocksdb_lru = { "rocksdb-lru", open_lru, close_engine, set_lru, get_lru, 1 };
const bench_engine engine_rocksdb_hyperclock = { "rocksdb-hyperclock", open_hyperclock, close_engine, set_hyperclock,
                                                 get_hyperclock, 1 };
#endif
