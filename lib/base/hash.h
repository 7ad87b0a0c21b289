/* Hashing, by XXH3 (Yann Collet, xxhash.com). SPDX-License-Identifier: MIT */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);

#define HASH_WORDS 8

/* What hash_with (hash_inline.h) needs of a seed to give the same hash as hash_bytes. */
struct hash_seeded {
    uint64_t seed;
    uint64_t word[HASH_WORDS]; /* of XXH3's secret, plus and minus the seed by turns */
};

struct hash_seeded hash_seeded(uint64_t seed);

#endif
