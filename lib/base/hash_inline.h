/* hash_bytes, inlined, for the one place where a call would cost as much as the hash. SPDX-License-Identifier: MIT */
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

#endif
