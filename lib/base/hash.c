/* SPDX-License-Identifier: MIT */
#include "base/hash_inline.h"

/* The first 64 bytes of XXH3's secret. */
static const uint64_t secret[HASH_WORDS] = {
    UINT64_C(0xbe4ba423396cfeb8), UINT64_C(0x1cad21f72c81017c), UINT64_C(0xdb979083e96dd4de),
    UINT64_C(0x1f67b3b7a4a44072), UINT64_C(0x78e5c0cc4ee679cb), UINT64_C(0x2172ffcc7dd05a82),
    UINT64_C(0x8e2443f7744608b8), UINT64_C(0x4c263a81e69035e0),
};

struct hash_seeded hash_seeded(uint64_t seed)
{
    struct hash_seeded with = { .seed = seed };

    for (int i = 0; i < HASH_WORDS; i++)
        with.word[i] = i % 2 ? secret[i] - seed : secret[i] + seed;
    return with;
}

/* Inlined XXH3 wants many registers: apart from the keys of usual lengths. */
static __attribute__((noinline)) uint64_t hash_unusual(const void *data, size_t size, uint64_t seed)
{
    return hash_inline(data, size, seed);
}

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    return likely(size > 16 && size <= 64) ? hash_middle(data, size, secret, seed) : hash_unusual(data, size, seed);
}
