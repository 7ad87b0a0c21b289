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

#if defined(__SIZEOF_INT128__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !defined(LIBCACHE_PORTABLE)

static force_inline uint64_t hash_mix(const unsigned char *p, const uint64_t word[2], uint64_t seed)
{
    unsigned __int128 product = (unsigned __int128)(read_word(p) ^ (word[0] + seed)) * (read_word(p + 8) ^ (word[1] - seed));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of 17 to 64 bytes; seed 0 where the words have it already. */
static force_inline uint64_t hash_middle(const unsigned char *p, size_t size, const uint64_t word[HASH_WORDS], uint64_t seed)
{
    uint64_t hash = size * UINT64_C(0x9e3779b185ebca87);

    if (size > 32)
        hash += hash_mix(p + 16, word + 4, seed) + hash_mix(p + size - 32, word + 6, seed);
    hash += hash_mix(p, word, seed);
    compute_now(hash); /* two products at once would only mean moves between registers */
    hash += hash_mix(p + size - 16, word + 2, seed);
    hash = (hash ^ hash >> 37) * UINT64_C(0x165667919e3779f9);
    return hash ^ hash >> 32;
}

static force_inline uint64_t hash_with(const struct hash_seeded *with, const void *data, size_t size)
{
    if (unlikely(size <= 16))
        return hash_inline(data, size, with->seed);
    if (unlikely(size > 64))
        return hash_bytes(data, size, with->seed);
    return hash_middle(data, size, with->word, 0);
}

#else

static force_inline uint64_t hash_middle(const unsigned char *p, size_t size, const uint64_t word[HASH_WORDS], uint64_t seed)
{
    (void)word;
    return hash_inline(p, size, seed);
}

static force_inline uint64_t hash_with(const struct hash_seeded *with, const void *data, size_t size)
{
    return hash_inline(data, size, with->seed);
}

#endif

#endif
