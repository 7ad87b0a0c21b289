/*
 * libcuckoo's concurrent map: two buckets a key, a spinlock each. It never evicts. Small values live in
 * its slots, large ones behind a pointer (slots of 1 KiB would be moved about and mostly empty).
 */
#include "engine.h"

#ifdef HAVE_CUCKOO
#include "engine_cell.hh"

#include <libcuckoo/cuckoohash_map.hh>

namespace
{

template <class Cell> struct cuckoo_engine {
    libcuckoo::cuckoohash_map<cell_key, Cell, cell_hash> map;
    size_t value_bytes;

    explicit cuckoo_engine(const engine_config *config) : map(config->keys), value_bytes(config->value_bytes)
    {
    }

    void set(const char *key, const char *value)
    {
        auto store = [&](Cell &cell) { cell.put(value, value_bytes); };

        if (map.update_fn(cell_key(key), store))
            return;
        Cell made;
        made.put(value, value_bytes);
        map.upsert(cell_key(key), store, std::move(made));
    }

    size_t get(const char *key, char *out)
    {
        size_t size = 0;

        map.find_fn(cell_key(key), [&](const Cell &cell) { size = cell.take(out); });
        return size;
    }
};

using small_engine = cuckoo_engine<inline_cell<124>>;
using large_engine = cuckoo_engine<heap_cell>;

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

const bench_engine engine_libcuckoo = { "libcuckoo", open_engine, close_engine, set, get, 0 };
#endif
