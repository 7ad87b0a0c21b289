/* Copies out of shared memory (lib/base/platform.h), as every processor does them. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/platform.h"
#include "cache.h"

#include <string.h>

enum { SHORT = 128, MARGIN = 64, AFTER = 0xee };

/* 0: as a processor without AVX does it; 1: with it, where this one has it. */
static int ways(void)
{
    return platform_wide() ? 2 : 1;
}

START_TEST(short_copies_are_whole_and_write_nothing_beyond)
{
    unsigned char from[SHORT + 2 * MARGIN], to[SHORT + 2 * MARGIN];

    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7 + 1);
    for (int wide = 0; wide < ways(); wide++)
        for (size_t at = 0; at < 16; at++)
            for (size_t size = 0; size <= SHORT; size++) {
                memset(to, AFTER, sizeof to);
                shared_copy_short(to + MARGIN, from + MARGIN + at, size, wide);
                for (size_t i = 0; i < sizeof to; i++) {
                    int inside = i >= MARGIN && i < MARGIN + size;
                    if (to[i] != (inside ? from[i + at] : AFTER))
                        ck_abort_msg("wide %d, %zu bytes from %zu: byte %zu is %u", wide, size, at, i, to[i]);
                }
            }
}
END_TEST

START_TEST(a_hit_gives_the_same_bytes_with_and_without_avx)
{
    struct rig rig;
    unsigned char bytes[300], out[sizeof bytes + MARGIN];

    rig_up(&rig);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 11 + 3);
    for (size_t size = 1; size <= sizeof bytes; size++)
        for (int wide = 0; wide < ways(); wide++) {
            libcache_value value = { .data = out, .capacity = size };
            ck_result(libcache_set(rig.ns, "a key of 24 bytes, as it", 24, bytes, size, NULL), LIBCACHE_OK);
            rig.ns->view.wide = wide;
            memset(out, AFTER, sizeof out);
            ck_result(libcache_get(rig.ns, "a key of 24 bytes, as it", 24, &value, 0), LIBCACHE_HIT);
            ck_assert_uint_eq(value.size, size);
            ck_assert_int_eq(memcmp(out, bytes, size), 0);
            for (size_t i = size; i < sizeof out; i++)
                ck_assert_uint_eq(out[i], AFTER);
        }
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("copies", short_copies_are_whole_and_write_nothing_beyond,
                     a_hit_gives_the_same_bytes_with_and_without_avx);
}
