/* SPDX-License-Identifier: MIT */
#include "base/hash_inline.h"

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    return hash_inline(data, size, seed);
}
