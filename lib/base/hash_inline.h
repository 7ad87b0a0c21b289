/*
 * hash_bytes, inlined, for the one place where a call would cost as much as the hash. SPDX-License-Identifier: MIT
 *
 * For keys of the usual lengths, 17 to 64 bytes, XXH3 mixes each 16 bytes with two words of its secret; the seed is added
 * to one and taken from the other. Who always hashes with one seed keeps those words ready (struct hash_seeded), which
 * saves a fifth of the instructions. The hash is the same (tests/test_hash.c).
 */
#ifndef BASE_HASH_INLINE_H
#define BASE_HASH_INLINE_H
#include "base/hash.h"
#include "base/platform.h"

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

static force_inline uint64_t hash_inline(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

#if defined(__SIZEOF_INT128__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

static force_inline uint64_t hash_mix(const unsigned char *p, const uint64_t word[2])
{
    unsigned __int128 product = (unsigned __int128)(read_word(p) ^ word[0]) * (read_word(p + 8) ^ word[1]);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static force_inline uint64_t hash_with(const struct hash_seeded *with, const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t hash;

    if (unlikely(size <= 16))
        return hash_inline(data, size, with->seed);
    if (unlikely(size > 64))
        return hash_bytes(data, size, with->seed);
    hash = size * UINT64_C(0x9e3779b185ebca87);
    if (size > 32)
        hash += hash_mix(p + 16, with->word + 4) + hash_mix(p + size - 32, with->word + 6);
    hash += hash_mix(p, with->word);
    compute_now(hash); /* two products at once would only mean moves between registers */
    hash += hash_mix(p + size - 16, with->word + 2);
    hash = (hash ^ hash >> 37) * UINT64_C(0x165667919e3779f9);
    return hash ^ hash >> 32;
}

#else

static force_inline uint64_t hash_with(const struct hash_seeded *with, const void *data, size_t size)
{
    return hash_inline(data, size, with->seed);
}

#endif

#endif
