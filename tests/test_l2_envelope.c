/* Envelopes (lib/l2/envelope.c): what goes in comes out, and nothing else gets in. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/hash.h"
#include "l2/envelope.h"

#include <stdlib.h>
#include <string.h>

static const unsigned flags[] = { 0, ENVELOPE_COMPRESSED, ENVELOPE_NEGATIVE, ENVELOPE_COUNTER };

#define SIZE_OF_ALL(e) (ENVELOPE_SCRIPT_BYTES + envelope_size(e))

static unsigned char number[COUNTER_BYTES];
static unsigned char filler[1 << 20]; /* for names, tags and payloads: any bytes */

static void fill(void)
{
    struct dice dice = dice_of(1);

    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (unsigned char)dice_roll(&dice);
}

/* A counter's payload is its number, whatever payload_size says. */
static struct envelope envelope_of(unsigned flag, size_t n_tags, size_t ns_size, size_t key_size, size_t payload_size)
{
    struct envelope e = { .epoch = UINT64_C(0x0123456789abcdef), .stamp = 41, .born_ms = 1700000000000, .expiry_ms = 1700003600000,
                          .codec = 7, .user_flags = 0xfeedbeef, .load_ms = 12, .soft_ms = 60000 };

    e.flags = (uint8_t)flag;
    e.tags = filler;
    e.n_tags = n_tags;
    e.ns = (libcache_slice){ filler + 1000, ns_size };
    e.key = (libcache_slice){ filler + 2000, key_size };
    if (flag == ENVELOPE_COUNTER) {
        counter_pack(number, "-1234567890", 11);
        e.payload = (libcache_slice){ number, e.value_size = sizeof number };
        return e;
    }
    e.payload = (libcache_slice){ filler + 7000, payload_size };
    e.value_size = flag == ENVELOPE_COMPRESSED ? payload_size * 2 : payload_size;
    return e;
}

/* In a block of exactly its size, so that a sanitizer sees the first byte read beyond it. */
static unsigned char *copy_of(const void *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, size);
    return copy;
}

static unsigned char *pack(const struct envelope *e)
{
    unsigned char *bytes = malloc(SIZE_OF_ALL(e));

    ck_assert_ptr_nonnull(bytes);
    envelope_pack_script_part(bytes, e->epoch, e->stamp, e->born_ms, e->expiry_ms);
    envelope_pack(e, bytes + ENVELOPE_SCRIPT_BYTES);
    return bytes;
}

/* Both sums anew, over whatever the bytes are now: what one gets past who knows the format. */
static void seal(unsigned char *bytes, size_t size)
{
    uint64_t check = hash_bytes(bytes + 48, size - 48 - (bytes[48] & ENVELOPE_COUNTER ? COUNTER_BYTES : 0), 0);
    uint32_t fold = envelope_fold(bytes);

    for (int i = 0; i < 4; i++)
        bytes[4 + i] = (unsigned char)(fold >> 8 * i);
    for (int i = 0; i < 8; i++)
        bytes[40 + i] = (unsigned char)(check >> 8 * i);
}

static int read_copy(const void *bytes, size_t size)
{
    unsigned char *copy = copy_of(bytes, size);
    struct envelope out;
    int result = envelope_read(&out, copy, size);

    free(copy);
    return result;
}

static void ck_slice(libcache_slice got, libcache_slice wanted)
{
    ck_assert_uint_eq(got.size, wanted.size);
    ck_assert(memcmp(got.data, wanted.data, got.size) == 0);
}

static void ck_round_trip(const struct envelope *e)
{
    unsigned char *bytes = pack(e), *again;
    size_t size = SIZE_OF_ALL(e);
    struct envelope out;

    ck_result(envelope_read(&out, bytes, size), LIBCACHE_OK);
    ck_assert_uint_eq(out.epoch, e->epoch);
    ck_assert_uint_eq(out.stamp, e->stamp);
    ck_assert_uint_eq(out.born_ms, e->born_ms);
    ck_assert_uint_eq(out.expiry_ms, e->expiry_ms);
    ck_assert_uint_eq(out.flags, e->flags);
    ck_assert_uint_eq(out.codec, e->codec);
    ck_assert_uint_eq(out.user_flags, e->user_flags);
    ck_assert_uint_eq(out.load_ms, e->load_ms);
    ck_assert_uint_eq(out.soft_ms, e->soft_ms);
    ck_assert_uint_eq(out.n_tags, e->n_tags);
    ck_assert(memcmp(out.tags, e->tags, e->n_tags * 8) == 0);
    ck_slice(out.ns, e->ns);
    ck_slice(out.key, e->key);
    ck_slice(out.payload, e->payload);
    ck_assert_uint_eq(out.value_size, e->value_size);
    again = pack(&out);
    ck_assert(SIZE_OF_ALL(&out) == size && memcmp(again, bytes, size) == 0);
    free(again);
    free(bytes);
}

START_TEST(the_bytes_are_those_that_the_format_says)
{
    static const unsigned char wanted[] = {
        0x8f, 'L', 'C', 1, 0x46, 0x5b, 0xab, 0x7b,              /* magic, fold */
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88,         /* epoch */
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,         /* stamp */
        0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,         /* born */
        0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,         /* expiry */
        0xcb, 0x05, 0x5b, 0x62, 0x24, 0x67, 0xee, 0x4c,         /* check: does not cover the number */
        4, 0x91, 2, 3, 5, 0, 0, 0,                              /* counter, codec, tags, ns size, key size, zero */
        0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4,         /* user flags, load cost */
        0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8,         /* soft ttl */
        24, 0, 0, 0, 24, 0, 0, 0,                               /* value size, payload size */
        0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,         /* first tag */
        0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,         /* second */
        'n', 's', '1', 'k', 'e', 'y', '0', '1',                 /* namespace, key, number and its sum */
        ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', '4', '2', 0xee, 0x3c, 0x00, 0x00
    };
    unsigned char tags[16], *bytes;
    struct envelope e = { .epoch = UINT64_C(0x8807060504030201), .stamp = UINT64_C(0x1817161514131211),
                          .born_ms = UINT64_C(0x2827262524232221), .expiry_ms = UINT64_C(0x3837363534333231),
                          .flags = ENVELOPE_COUNTER, .codec = 0x91, .user_flags = 0xa4a3a2a1, .load_ms = 0xb4b3b2b1,
                          .soft_ms = UINT64_C(0xc8c7c6c5c4c3c2c1), .tags = tags, .n_tags = 2, .ns = LIBCACHE_STR("ns1"),
                          .key = LIBCACHE_STR("key01"), .payload = { number, sizeof number }, .value_size = sizeof number };

    counter_pack(number, "42", 2);
    envelope_put_tag(tags, 0, UINT64_C(0xd8d7d6d5d4d3d2d1));
    envelope_put_tag(tags, 1, UINT64_C(0xe8e7e6e5e4e3e2e1));
    ck_assert_uint_eq(envelope_tag(tags, 0), UINT64_C(0xd8d7d6d5d4d3d2d1));
    ck_assert_uint_eq(envelope_tag(tags, 1), UINT64_C(0xe8e7e6e5e4e3e2e1));
    bytes = pack(&e);
    ck_assert_uint_eq(SIZE_OF_ALL(&e), sizeof wanted);
    ck_assert_mem_eq(bytes, wanted, sizeof wanted);
    ck_round_trip(&e);
    free(bytes);
}
END_TEST

START_TEST(everything_goes_in_and_comes_out_at_its_limits)
{
    static const size_t tags[] = { 0, 1, LIBCACHE_TAGS_MAX }, ns[] = { 1, LIBCACHE_NAMESPACE_NAME_MAX }, keys[] = { 1, LIBCACHE_KEY_MAX };
    static const size_t payloads[] = { 0, 1, 7, 4096, 1000000 };
    struct envelope e;

    fill();
    for (size_t f = 0; f < 4; f++)
        for (size_t i = 0; i < 3 * 2 * 2 * 5; i++) {
            e = envelope_of(flags[f], tags[i % 3], ns[i / 3 % 2], keys[i / 6 % 2], payloads[i / 12]);
            if (e.payload.size == 0 ? flags[f] == ENVELOPE_COMPRESSED : flags[f] == ENVELOPE_NEGATIVE)
                continue;
            ck_round_trip(&e);
        }
    e = envelope_of(0, 3, 3, 3, 3);
    e.epoch = e.stamp = e.born_ms = e.expiry_ms = e.soft_ms = UINT64_MAX;
    e.codec = UINT8_MAX;
    e.user_flags = e.load_ms = UINT32_MAX;
    ck_round_trip(&e);
    e.epoch = e.stamp = e.born_ms = e.expiry_ms = e.soft_ms = e.codec = e.user_flags = e.load_ms = 0;
    ck_round_trip(&e);
}
END_TEST

START_TEST(no_flipped_bit_goes_unnoticed)
{
    fill();
    for (size_t f = 0; f < 4; f++) {
        struct envelope e = envelope_of(flags[f], f, 9, 20, flags[f] == ENVELOPE_NEGATIVE ? 0 : 50);
        unsigned char *bytes = pack(&e);
        ck_result(read_copy(bytes, SIZE_OF_ALL(&e)), LIBCACHE_OK);
        for (size_t bit = 0; bit < SIZE_OF_ALL(&e) * 8; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (read_copy(bytes, SIZE_OF_ALL(&e)) != LIBCACHE_EPROTOCOL)
                ck_abort_msg("flags %u: bit %zu of byte %zu may be flipped", flags[f], bit % 8, bit / 8);
            bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        free(bytes);
    }
}
END_TEST

START_TEST(no_two_flipped_bits_of_the_scripts_part_go_unnoticed)
{
    enum { BITS = ENVELOPE_SCRIPT_BYTES * 8 };
    struct dice dice = dice_of(2);
    struct envelope e = envelope_of(0, 0, 1, 1, 0), out;
    size_t size = SIZE_OF_ALL(&e);

    for (unsigned long round = scaled(5); round; round--) {
        unsigned char *bytes;
        e.epoch = dice_roll(&dice);
        e.stamp = dice_roll(&dice);
        e.born_ms = dice_roll(&dice);
        e.expiry_ms = dice_roll(&dice);
        bytes = pack(&e);
        for (unsigned a = 0; a < BITS; a++)
            for (unsigned b = 0; b < a; b++) {
                bytes[a / 8] ^= (unsigned char)(1u << a % 8);
                bytes[b / 8] ^= (unsigned char)(1u << b % 8);
                if (envelope_read(&out, bytes, size) != LIBCACHE_EPROTOCOL)
                    ck_abort_msg("bits %u and %u may be flipped", a, b);
                bytes[a / 8] ^= (unsigned char)(1u << a % 8);
                bytes[b / 8] ^= (unsigned char)(1u << b % 8);
            }
        ck_result(envelope_read(&out, bytes, size), LIBCACHE_OK);
        free(bytes);
    }
}
END_TEST

START_TEST(halves_that_have_changed_places_are_noticed)
{
    struct envelope e = envelope_of(0, 0, 1, 1, 0);
    unsigned char *bytes = pack(&e), *changed = copy_of(bytes, SIZE_OF_ALL(&e));

    for (size_t a = 8; a < 40; a += 4)
        for (size_t b = 8; b < a; b += 4) {
            memcpy(changed, bytes, SIZE_OF_ALL(&e));
            memcpy(changed + a, bytes + b, 4);
            memcpy(changed + b, bytes + a, 4);
            if (memcmp(changed, bytes, 40) != 0)
                ck_result(read_copy(changed, SIZE_OF_ALL(&e)), LIBCACHE_EPROTOCOL);
        }
    free(changed);
    free(bytes);
}
END_TEST

START_TEST(what_is_cut_or_too_long_is_refused)
{
    struct envelope e = envelope_of(0, 2, 10, 30, 100);
    unsigned char *bytes = pack(&e), *longer = calloc(1, SIZE_OF_ALL(&e) + 16);

    fill();
    for (size_t size = 0; size < SIZE_OF_ALL(&e); size++)
        ck_result(read_copy(bytes, size), LIBCACHE_EPROTOCOL);
    ck_result(read_copy(bytes, SIZE_OF_ALL(&e)), LIBCACHE_OK);
    ck_assert_ptr_nonnull(longer);
    memcpy(longer, bytes, SIZE_OF_ALL(&e));
    for (size_t more = 1; more <= 16; more++) {
        ck_result(read_copy(longer, SIZE_OF_ALL(&e) + more), LIBCACHE_EPROTOCOL);
        seal(longer, SIZE_OF_ALL(&e) + more);
        ck_result(read_copy(longer, SIZE_OF_ALL(&e) + more), LIBCACHE_EPROTOCOL);
    }
    for (size_t size = ENVELOPE_HEADER; size < SIZE_OF_ALL(&e); size++) {
        memcpy(longer, bytes, size);
        seal(longer, size);
        ck_result(read_copy(longer, size), LIBCACHE_EPROTOCOL);
    }
    free(longer);
    free(bytes);
}
END_TEST

START_TEST(another_version_is_refused_before_anything_else_is_believed)
{
    struct envelope e = envelope_of(0, 1, 2, 3, 4);
    unsigned char *bytes = pack(&e);

    for (int version = 0; version < 256; version++) {
        bytes[3] = (unsigned char)version;
        ck_result(read_copy(bytes, SIZE_OF_ALL(&e)), version == 1 ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
    }
    free(bytes);
}
END_TEST

START_TEST(what_others_keep_in_redis_is_refused)
{
    static const char *const texts[] = {
        "", "1", "123", "-9223372036854775808", "OK", "{\"id\":42,\"name\":\"Ada\"}", "a:1:{s:4:\"name\";s:3:\"Ada\";}",
        "O:8:\"stdClass\":1:{s:4:\"name\";s:3:\"Ada\";}", "\x80\x04\x95\x0a", "\x8fLC", "\x8fLC\x01", "LC\x01\x8f",
        "[{\"id\":1,\"type\":\"order\",\"status\":\"paid\",\"total\":17.5},{\"id\":2,\"type\":\"order\",\"status\":\"open\"}]"
    };
    unsigned char *same = malloc(4096);
    struct envelope out;

    ck_result(envelope_read(&out, NULL, 0), LIBCACHE_EPROTOCOL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_result(read_copy(texts[i], strlen(texts[i])), LIBCACHE_EPROTOCOL);
    ck_assert_ptr_nonnull(same);
    for (int byte = 0; byte < 256; byte++)
        for (size_t size = 0; size < 4096; size = size * 2 + 1) {
            memset(same, byte, size);
            ck_result(read_copy(same, size), LIBCACHE_EPROTOCOL);
            if (size < ENVELOPE_HEADER)
                continue;
            memcpy(same, "\x8fLC\x01", 4);
            ck_result(read_copy(same, size), LIBCACHE_EPROTOCOL);
            seal(same, size);
            if (read_copy(same, size) == LIBCACHE_OK)
                ck_abort_msg("%zu bytes of %d make an envelope", size, byte);
        }
    free(same);
}
END_TEST

/* Bytes of somebody who can compute the sums, but not keep to the limits. The total is right, whatever the fields say. */
static int read_forged(unsigned flag, size_t n_tags, size_t ns_size, size_t key_size, unsigned zero, size_t value_size,
                       size_t payload_size)
{
    size_t size = ENVELOPE_HEADER + n_tags * 8 + ns_size + key_size + payload_size;
    unsigned char *bytes = calloc(1, size);
    struct envelope out;
    int result;

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, "\x8fLC\x01", 4);
    bytes[48] = (unsigned char)flag;
    bytes[50] = (unsigned char)n_tags;
    bytes[51] = (unsigned char)ns_size;
    for (int i = 0; i < 4; i++) {
        if (i < 2) {
            bytes[52 + i] = (unsigned char)(key_size >> 8 * i);
            bytes[54 + i] = (unsigned char)(zero >> 8 * i);
        }
        bytes[72 + i] = (unsigned char)(value_size >> 8 * i);
        bytes[76 + i] = (unsigned char)(payload_size >> 8 * i);
    }
    seal(bytes, size);
    result = envelope_read(&out, bytes, size);
    free(bytes);
    return result;
}

START_TEST(fields_beyond_their_limits_are_refused_under_right_sums)
{
    const size_t most = ENVELOPE_VALUE_MAX, least = most / COMPRESS_RATIO_MAX + (most % COMPRESS_RATIO_MAX != 0);

    ck_result(read_forged(0, 0, 1, 1, 0, 9, 9), LIBCACHE_OK);
    ck_result(read_forged(0, 64, 100, 4095, 0, 9, 9), LIBCACHE_OK);
    ck_result(read_forged(0, 65, 1, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 255, 1, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 0, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 101, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 255, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 1, 0, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 1, 4096, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 1, 65535, 0, 9, 9), LIBCACHE_EPROTOCOL);
    for (int bit = 0; bit < 16; bit++)
        ck_result(read_forged(0, 0, 1, 1, 1u << bit, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(0, 0, 1, 1, 0, 10, 9), LIBCACHE_EPROTOCOL); /* not compressed: sizes are the same */
    ck_result(read_forged(0, 0, 1, 1, 0, 8, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 10, 9), LIBCACHE_OK);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 9, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 8, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 0, 0), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 1, 0), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 9 * COMPRESS_RATIO_MAX, 9), LIBCACHE_OK);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, 9 * COMPRESS_RATIO_MAX + 1, 9), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, most, least), LIBCACHE_OK);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, most, least - 1), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, most + 1, least + 1), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_COMPRESSED, 0, 1, 1, 0, UINT32_MAX, least + 1), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_NEGATIVE, 0, 1, 1, 0, 0, 0), LIBCACHE_OK);
    ck_result(read_forged(ENVELOPE_NEGATIVE, 0, 1, 1, 0, 1, 1), LIBCACHE_EPROTOCOL);
    ck_result(read_forged(ENVELOPE_NEGATIVE, 0, 1, 1, 0, 1, 0), LIBCACHE_EPROTOCOL);
}
END_TEST

START_TEST(flags_that_are_unknown_or_contradict_each_other_are_refused)
{
    for (unsigned flag = 0; flag < 256; flag++) {
        int known = flag == 0 || flag == ENVELOPE_NEGATIVE;
        ck_result(read_forged(flag, 0, 1, 1, 0, 0, 0), known ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
        known = flag == 0;
        ck_result(read_forged(flag, 0, 1, 1, 0, 9, 9), known ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
        known = flag == ENVELOPE_COMPRESSED;
        ck_result(read_forged(flag, 0, 1, 1, 0, 10, 9), known ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
    }
}
END_TEST

START_TEST(sizes_that_exceed_the_bytes_are_refused_under_right_sums)
{
    static const struct { unsigned at, bytes; } sizes[] = { { 50, 1 }, { 51, 1 }, { 52, 2 }, { 72, 4 }, { 76, 4 } };
    struct envelope e = envelope_of(0, 2, 10, 30, 100);
    unsigned char *bytes = pack(&e), *changed = copy_of(bytes, SIZE_OF_ALL(&e));

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned bit = 0; bit < sizes[i].bytes * 8; bit++) {
            memcpy(changed, bytes, SIZE_OF_ALL(&e));
            changed[sizes[i].at + bit / 8] ^= (unsigned char)(1u << bit % 8);
            seal(changed, SIZE_OF_ALL(&e));
            ck_result(read_copy(changed, SIZE_OF_ALL(&e)), LIBCACHE_EPROTOCOL);
            if (sizes[i].at < 72)
                continue;
            for (unsigned b = 0; b < 4; b++) /* both sizes alike, so that only the total tells */
                changed[(72 ^ 76) ^ (sizes[i].at + b)] = changed[sizes[i].at + b];
            seal(changed, SIZE_OF_ALL(&e));
            ck_result(read_copy(changed, SIZE_OF_ALL(&e)), LIBCACHE_EPROTOCOL);
        }
    free(changed);
    free(bytes);
}
END_TEST

START_TEST(a_refusal_leaves_the_result_untouched)
{
    struct envelope e = envelope_of(0, 1, 2, 3, 4), out, before;
    unsigned char *bytes = pack(&e);

    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof out);
    for (size_t at = 0; at < SIZE_OF_ALL(&e); at++) {
        bytes[at] ^= 0xff;
        ck_result(envelope_read(&out, bytes, SIZE_OF_ALL(&e)), LIBCACHE_EPROTOCOL);
        bytes[at] ^= 0xff;
    }
    ck_assert_mem_eq(&out, &before, sizeof out);
    free(bytes);
}
END_TEST

/* Lua 5.1 has doubles only, and a % b is a - floor(a / b) * b. */
static void ck_fold_in_doubles(const uint32_t half[8])
{
    const double exact = 9007199254740992.0, prime = 4294967291.0;
    unsigned char part[ENVELOPE_SCRIPT_BYTES];
    double sum = 0, quotient, fold;
    uint64_t truth = 0;

    envelope_pack_script_part(part, (uint64_t)half[1] << 32 | half[0], (uint64_t)half[3] << 32 | half[2],
                              (uint64_t)half[5] << 32 | half[4], (uint64_t)half[7] << 32 | half[6]);
    for (int i = 0; i < 8; i++) {
        double term = (double)half[i] * (2 * i + 3);
        ck_assert(term < exact && sum + term < exact);
        sum += term;
        truth = (truth + (uint64_t)half[i] * (unsigned)(2 * i + 3) % 4294967291u) % 4294967291u;
    }
    quotient = (double)(uint64_t)(sum / prime);
    ck_assert(quotient * prime < exact);
    fold = sum - quotient * prime;
    ck_assert(fold >= 0 && fold < prime);
    ck_assert_uint_eq((uint64_t)fold, truth);
    ck_assert_uint_eq(envelope_fold(part), truth);
}

START_TEST(a_script_computes_the_same_fold_in_doubles)
{
    static const uint32_t edges[] = { 0, 1, 0x7fffffff, 0x80000000, 4294967290u, 4294967291u, 4294967292u, UINT32_MAX };
    struct dice dice = dice_of(3);
    uint32_t half[8];

    for (size_t edge = 0; edge < 8; edge++)
        for (unsigned which = 0; which < 256; which++) { /* the edge in some halves, in the others zero */
            for (int i = 0; i < 8; i++)
                half[i] = which >> i & 1 ? edges[edge] : 0;
            ck_fold_in_doubles(half);
        }
    for (unsigned long n = scaled(100000); n; n--) {
        for (int i = 0; i < 8; i++)
            half[i] = dice_chance(&dice, 50) ? edges[dice_below(&dice, 8)] : (uint32_t)dice_roll(&dice);
        ck_fold_in_doubles(half);
    }
    /* Sums beside a multiple of the prime, where a quotient that is rounded up would show. */
    for (uint64_t k = 1; k <= 17; k++)
        for (uint64_t near = 0; near < 200; near++) {
            uint64_t sum = k * 4294967291u + near - 100;
            memset(half, 0, sizeof half);
            half[7] = (uint32_t)(sum / 17 > UINT32_MAX ? UINT32_MAX : sum / 17);
            sum -= (uint64_t)half[7] * 17;
            half[0] = (uint32_t)(sum / 3);
            ck_fold_in_doubles(half);
        }
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_envelope", the_bytes_are_those_that_the_format_says, everything_goes_in_and_comes_out_at_its_limits,
                     no_flipped_bit_goes_unnoticed, no_two_flipped_bits_of_the_scripts_part_go_unnoticed,
                     halves_that_have_changed_places_are_noticed, what_is_cut_or_too_long_is_refused,
                     another_version_is_refused_before_anything_else_is_believed, what_others_keep_in_redis_is_refused,
                     fields_beyond_their_limits_are_refused_under_right_sums,
                     flags_that_are_unknown_or_contradict_each_other_are_refused,
                     sizes_that_exceed_the_bytes_are_refused_under_right_sums, a_refusal_leaves_the_result_untouched,
                     a_script_computes_the_same_fold_in_doubles);
}
