/*
 * oneTBB's concurrent_hash_map: chained buckets, a reader-writer lock per bucket and per node. It never
 * evicts. With malloc instead of its own allocator, so that it gets huge pages as the others do.
 */
#include "engine.h"

#ifdef HAVE_TBB
#include "engine_cell.hh"

#include <tbb/concurrent_hash_map.h>

namespace
{

template <class Cell> struct tbb_engine {
    using allocator = std::allocator<std::pair<const cell_key, Cell>>;
    using table = tbb::concurrent_hash_map<cell_key, Cell, cell_hash, allocator>;
    table map;
    size_t value_bytes;

    explicit tbb_engine(const engine_config *config) : map(config->keys), value_bytes(config->value_bytes)
    {
    }

    void set(const char *key, const char *value)
    {
        typename table::accessor place;

        map.insert(place, cell_key(key));
        place->second.put(value, value_bytes);
    }

    size_t get(const char *key, char *out) const
    {
        typename table::const_accessor place;

        return map.find(place, cell_key(key)) ? place->second.take(out) : 0;
    }
};

using small_engine = tbb_engine<inline_cell<124>>;
using large_engine = tbb_engine<inline_cell<1024>>;

/* One of the two is there. */
struct either {
    std::unique_ptr<small_engine> small;
    std::unique_ptr<large_engine> large;
};

void *open_engine(const engine_config *config)
{
    either *self = new either;

    if (config->value_bytes <= 124)
        self->small.reset(new small_engine(config));
    else
        self->large.reset(new large_engine(config));
    return self;
}

void close_engine(void *opaque)
{
    delete static_cast<either *>(opaque);
}

void set(void *opaque, uint32_t, const char *key, const char *value)
{
    either *self = static_cast<either *>(opaque);

    self->small ? self->small->set(key, value) : self->large->set(key, value);
}

size_t get(void *opaque, uint32_t, const char *key, char *out)
{
    either *self = static_cast<either *>(opaque);

    return self->small ? self->small->get(key, out) : self->large->get(key, out);
}

} // namespace

const bench_engine engine_tbb = { "tbb", open_engine, close_engine, set, get, 0 };
#endif
