/* How the C++ maps hold a key and a value of up to so many bytes. */
#pragma once

#include "engine.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct cell_key {
    char bytes[ENGINE_KEY_BYTES];

    explicit cell_key(const char *key)
    {
        std::memcpy(bytes, key, sizeof bytes);
    }
    cell_key() = default;
    bool operator==(const cell_key &other) const
    {
        return std::memcmp(bytes, other.bytes, sizeof bytes) == 0;
    }
};

/* XXH3 for all, so that hashing does not decide. Also spelled as TBB wants it. */
struct cell_hash {
    size_t operator()(const cell_key &key) const
    {
        return XXH3_64bits(key.bytes, sizeof key.bytes);
    }
    static size_t hash(const cell_key &key)
    {
        return cell_hash()(key);
    }
    static bool equal(const cell_key &left, const cell_key &right)
    {
        return left == right;
    }
};

/* The value within the map's own node or slot. */
template <size_t Capacity> class inline_cell
{
    uint32_t size_ = 0;
    char data_[Capacity];

  public:
    void put(const char *value, size_t size)
    {
        size_ = static_cast<uint32_t>(size);
        std::memcpy(data_, value, size);
    }
    size_t take(char *out) const
    {
        std::memcpy(out, data_, size_);
        return size_;
    }
};

/* The value in memory of its own, for maps that move their slots about. */
class heap_cell
{
    uint32_t size_ = 0;
    std::unique_ptr<char[]> data_;

  public:
    void put(const char *value, size_t size)
    {
        if (size != size_)
            data_.reset(new char[size]);
        size_ = static_cast<uint32_t>(size);
        std::memcpy(data_.get(), value, size);
    }
    size_t take(char *out) const
    {
        std::memcpy(out, data_.get(), size_);
        return size_;
    }
};
