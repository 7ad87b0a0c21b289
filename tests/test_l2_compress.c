/*
 * Compression (lib/l2/compress.c): worth it or not done; undone exactly; hostile bytes write nowhere. LZ4 is built without
 * sanitizers, so blocks end at pages that nobody may touch. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/support.h"

#include "l2/envelope.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

/* A block whose last byte is followed by a page that ends the test when touched. */
struct edge {
    unsigned char *room; /* of ROOM bytes */
};

static struct edge edge_make(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *map = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(mprotect(map + ROOM, page, PROT_NONE), 0);
    return (struct edge){ map };
}

/* The last `size` bytes before the edge. */
static unsigned char *last(struct edge edge, size_t size)
{
    return edge.room + ROOM - size;
}

static struct edge text, packed, back;

static void edges_make(void)
{
    text = edge_make();
    packed = edge_make();
    back = edge_make();
}

/* Records as an API answers them, to the byte. */
static void write_records(unsigned char *to, size_t size, struct dice *dice)
{
    static const char *const states[] = { "open", "paid", "shipped", "cancelled" };
    char record[300];

    while (size) {
        int n = snprintf(record, sizeof record,
                         "{\"id\":%u,\"state\":\"%s\",\"total\":%u.%02u,\"currency\":\"EUR\",\"mail\":\"u%x@example.com\"},",
                         (unsigned)dice_below(dice, 1000000), states[dice_below(dice, 4)], (unsigned)dice_below(dice, 900),
                         (unsigned)dice_below(dice, 100), (unsigned)dice_roll(dice));
        size_t part = (size_t)n < size ? (size_t)n : size;
        memcpy(to, record, part);
        to += part;
        size -= part;
    }
}

static void write_random(unsigned char *to, size_t size, struct dice *dice)
{
    while (size--)
        *to++ = (unsigned char)dice_roll(dice);
}

/* Compresses `size` bytes of text into the end of packed; 0 or the compressed size, which is then undone and compared. */
static size_t there_and_back(size_t size)
{
    size_t room = compress_bound(size), n = compress_payload(last(text, size), size, last(packed, room), room);

    if (n == 0)
        return 0;
    ck_assert_uint_le(n, room);
    ck_assert_uint_le(n * 8, size * 7);
    ck_assert_uint_ge(n * COMPRESS_RATIO_MAX, size);
    memmove(last(packed, n), last(packed, room), n);
    ck_result(decompress_payload(last(packed, n), n, last(back, size), size), LIBCACHE_OK);
    ck_assert(memcmp(last(back, size), last(text, size), size) == 0);
    return n;
}

START_TEST(what_is_compressed_comes_back)
{
    struct dice dice = dice_of(1);

    edges_make();
    for (size_t size = 0; size <= 3000; size++) {
        write_records(last(text, size), size, &dice);
        there_and_back(size);
        memset(last(text, size), (int)size, size);
        there_and_back(size);
        write_random(last(text, size), size / 2, &dice);
        there_and_back(size);
    }
    for (size_t size = 4096; size <= ROOM; size *= 2)
        for (size_t less = 0; less < 2; less++) {
            write_records(last(text, size - less), size - less, &dice);
            ck_assert_uint_gt(there_and_back(size - less), 0);
            memset(last(text, size - less), 'x', size - less);
            ck_assert_uint_gt(there_and_back(size - less), 0);
        }
}
END_TEST

START_TEST(records_of_the_least_size_that_is_worth_it_shrink)
{
    struct dice dice = dice_of(2);

    edges_make();
    for (unsigned long n = scaled(1000); n; n--) {
        write_records(last(text, COMPRESS_WORTH_BYTES), COMPRESS_WORTH_BYTES, &dice);
        ck_assert_uint_gt(there_and_back(COMPRESS_WORTH_BYTES), 0);
    }
}
END_TEST

START_TEST(what_would_not_shrink_by_an_eighth_stays_as_it_is)
{
    struct dice dice = dice_of(3);

    edges_make();
    for (size_t size = 0; size <= 12; size++) { /* too short for LZ4 */
        memset(last(text, size), 'x', size);
        ck_assert_uint_eq(there_and_back(size), 0);
    }
    for (size_t size = 64; size <= ROOM; size *= 4) {
        write_random(last(text, size), size, &dice);
        ck_assert_uint_eq(there_and_back(size), 0);
        memset(last(text, size / 16), 'x', size / 16); /* a sixteenth is not enough */
        ck_assert_uint_eq(there_and_back(size), 0);
        ck_assert_uint_eq(compress_payload(last(text, size), size, last(packed, ROOM), ROOM), 0); /* room or not */
        if (size < 1024)
            continue;
        memset(last(text, size / 4), 'x', size / 4);
        ck_assert_uint_gt(there_and_back(size), 0);
    }
}
END_TEST

START_TEST(the_bound_is_an_eighth_less)
{
    for (size_t size = 0; size < 10000; size++) {
        size_t bound = compress_bound(size);
        ck_assert(bound * 8 <= size * 7 && (bound + 1) * 8 > size * 7);
    }
    ck_assert_uint_lt(compress_bound(SIZE_MAX), SIZE_MAX);
}
END_TEST

START_TEST(too_little_room_means_not_compressed)
{
    struct dice dice = dice_of(4);
    size_t size = 5000, n;

    edges_make();
    write_records(last(text, size), size, &dice);
    n = there_and_back(size);
    ck_assert_uint_gt(n, 0);
    for (size_t room = 0; room < n; room++)
        ck_assert_uint_eq(compress_payload(last(text, size), size, last(packed, room), room), 0);
    ck_assert_uint_eq(compress_payload(last(text, size), size, last(packed, 2 * n), 2 * n), n);
}
END_TEST

START_TEST(sizes_beyond_all_limits_are_refused_unread)
{
    const size_t wide = SIZE_MAX > UINT32_MAX ? SIZE_MAX - UINT32_MAX : 0; /* what a cast to int would lose */
    struct dice dice = dice_of(8);
    unsigned char none[1] = { 0 };
    size_t size = 5000, n;

    edges_make();
    write_records(last(text, size), size, &dice);
    n = there_and_back(size);
    ck_assert_uint_gt(n, 0);
    if (wide) {
        ck_assert_uint_eq(compress_payload(last(text, size), wide + size, last(packed, ROOM), ROOM), 0);
        ck_result(decompress_payload(last(packed, n), wide + n, last(back, size), size), LIBCACHE_EPROTOCOL);
        ck_result(decompress_payload(last(packed, n), n, last(back, size), wide + size), LIBCACHE_EPROTOCOL);
    }
    ck_assert_uint_eq(compress_payload(none, (size_t)ENVELOPE_VALUE_MAX + 1, none, 1), 0);
    ck_assert_uint_eq(compress_payload(none, SIZE_MAX, none, SIZE_MAX), 0);
    ck_result(decompress_payload(none, ENVELOPE_VALUE_MAX, none, (size_t)ENVELOPE_VALUE_MAX + 1), LIBCACHE_EPROTOCOL);
    ck_result(decompress_payload(none, SIZE_MAX - 1, none, SIZE_MAX), LIBCACHE_EPROTOCOL);
    ck_result(decompress_payload(none, SIZE_MAX, none, 1000), LIBCACHE_EPROTOCOL);
    ck_result(decompress_payload(none, 0, none, 1), LIBCACHE_EPROTOCOL);
    ck_result(decompress_payload(none, 0, none, 0), LIBCACHE_EPROTOCOL);
    ck_result(decompress_payload(none, 1, none, 0), LIBCACHE_EPROTOCOL);
}
END_TEST

START_TEST(another_size_than_the_true_one_is_refused)
{
    struct dice dice = dice_of(5);
    size_t size = 3000, n;

    edges_make();
    write_records(last(text, size), size, &dice);
    n = there_and_back(size);
    ck_assert_uint_gt(n, 0);
    for (size_t wrong = 0; wrong < 2 * size; wrong++)
        ck_result(decompress_payload(last(packed, n), n, last(back, wrong), wrong), wrong == size ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
}
END_TEST

START_TEST(what_is_cut_or_too_long_is_refused)
{
    struct dice dice = dice_of(6);
    unsigned char block[4096];
    size_t size = 3000, n;

    edges_make();
    write_records(last(text, size), size, &dice);
    n = there_and_back(size);
    ck_assert_uint_gt(n, 0);
    memcpy(block, last(packed, n), n);
    for (size_t cut = 0; cut < n; cut++) {
        memcpy(last(packed, cut), block, cut);
        ck_result(decompress_payload(last(packed, cut), cut, last(back, size), size), LIBCACHE_EPROTOCOL);
    }
    for (int byte = 0; byte < 256; byte++)
        for (size_t more = 1; more < 8; more++) {
            memset(block + n, byte, more);
            memcpy(last(packed, n + more), block, n + more);
            ck_result(decompress_payload(last(packed, n + more), n + more, last(back, size), size), LIBCACHE_EPROTOCOL);
        }
}
END_TEST

/* Neither writes nor reads beyond the edges, nor before them. Plain ifs: there are too many rounds for ck_assert. */
static void try_hostile(const unsigned char *block, size_t n, size_t size)
{
    static unsigned char before[64];
    int result;

    memcpy(last(packed, n), block, n);
    memset(last(back, size + sizeof before), 0, sizeof before);
    result = decompress_payload(last(packed, n), n, last(back, size), size);
    if (result != LIBCACHE_OK && result != LIBCACHE_EPROTOCOL)
        ck_abort_msg("%zu bytes for %zu give %s", n, size, result_name(result));
    if (memcmp(last(back, size + sizeof before), before, sizeof before) != 0)
        ck_abort_msg("%zu bytes for %zu have written before their room", n, size);
}

START_TEST(hostile_blocks_touch_nothing_beyond_their_edges)
{
    struct dice dice = dice_of(7);
    unsigned char block[4096], changed[4096];
    size_t size = 2000, n;

    edges_make();
    write_records(last(text, size), size, &dice);
    n = there_and_back(size);
    ck_assert_uint_gt(n, 0);
    memcpy(block, last(packed, n), n);
    for (size_t bit = 0; bit < n * 8; bit++) {
        block[bit / 8] ^= (unsigned char)(1u << bit % 8);
        try_hostile(block, n, size);
        block[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (unsigned long round = scaled(200000); round; round--) {
        size_t changes = 1 + dice_below(&dice, 8), given = 1 + dice_below(&dice, n);
        memcpy(changed, block, n);
        while (changes--)
            changed[dice_below(&dice, n)] = (unsigned char)(dice_chance(&dice, 30) ? 0xff : dice_roll(&dice));
        try_hostile(changed, dice_chance(&dice, 50) ? n : given, dice_chance(&dice, 50) ? size : 1 + dice_below(&dice, 4000));
    }
    for (unsigned long round = scaled(200000); round; round--) {
        size_t given = 1 + dice_below(&dice, 64);
        write_random(changed, given, &dice);
        try_hostile(changed, given, 1 + dice_below(&dice, 500));
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_compress", what_is_compressed_comes_back, records_of_the_least_size_that_is_worth_it_shrink,
                     what_would_not_shrink_by_an_eighth_stays_as_it_is, the_bound_is_an_eighth_less,
                     too_little_room_means_not_compressed, sizes_beyond_all_limits_are_refused_unread,
                     another_size_than_the_true_one_is_refused, what_is_cut_or_too_long_is_refused,
                     hostile_blocks_touch_nothing_beyond_their_edges);
}
