/* The hash of keys (lib/base/hash_inline.h). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/hash_inline.h"

#include <string.h>

START_TEST(every_way_to_hash_gives_what_xxh3_gives_for_every_length)
{
    static const uint64_t seeds[] = { 0, 1, UINT64_C(0x8000000000000000), UINT64_C(0x9e3779b97f4a7c15), UINT64_MAX };
    unsigned char bytes[301];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++) {
        const struct hash_seeded with = hash_seeded(seeds[s]);
        for (size_t size = 0; size < sizeof bytes; size++)
            for (size_t from = 0; from < 2 && from + size <= sizeof bytes; from++) { /* aligned and not */
                uint64_t hash = XXH3_64bits_withSeed(bytes + from, size, seeds[s]);
                ck_assert_uint_eq(hash_with(&with, bytes + from, size), hash);
                ck_assert_uint_eq(hash_bytes(bytes + from, size, seeds[s]), hash);
            }
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("hash", every_way_to_hash_gives_what_xxh3_gives_for_every_length);
}
