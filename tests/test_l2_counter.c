/* A counter in its envelope (lib/l2/envelope.c): a number that a script changes in place. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/hash.h"
#include "l2/envelope.h"

#include <stdlib.h>
#include <string.h>

static void put_sum(unsigned char *payload)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < COUNTER_DIGITS; i++)
        sum += payload[i] * (2 * i + 3);
    for (unsigned i = 0; i < 4; i++)
        payload[COUNTER_DIGITS + i] = (unsigned char)(sum >> 8 * i);
}

/* 20 characters and their true sum, read as a counter's number; its size, 0 when refused. */
static size_t size_of_text(const char *text)
{
    unsigned char payload[COUNTER_BYTES];

    ck_assert_uint_eq(strlen(text), COUNTER_DIGITS);
    memcpy(payload, text, COUNTER_DIGITS);
    put_sum(payload);
    return counter_digits(payload).size;
}

START_TEST(a_number_is_padded_and_comes_back)
{
    static const char *const numbers[] = { "0", "7", "-1", "42", "-9223372036854775808", "9223372036854775807" };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        unsigned char payload[COUNTER_BYTES], wanted[COUNTER_BYTES];
        libcache_slice digits;
        size_t size = strlen(numbers[i]);
        memset(wanted, ' ', sizeof wanted);
        memcpy(wanted + COUNTER_DIGITS - size, numbers[i], size);
        put_sum(wanted);
        counter_pack(payload, numbers[i], size);
        ck_assert_mem_eq(payload, wanted, sizeof wanted);
        digits = counter_digits(payload);
        ck_assert_uint_eq(digits.size, size);
        ck_assert_mem_eq(digits.data, numbers[i], size);
    }
}
END_TEST

START_TEST(what_is_no_number_is_refused_under_a_right_sum)
{
    ck_assert_uint_eq(size_of_text("                  42"), 2);
    ck_assert_uint_eq(size_of_text("                  -4"), 2);
    ck_assert_uint_eq(size_of_text("12345678901234567890"), COUNTER_DIGITS);
    ck_assert_uint_eq(size_of_text("                    "), 0);
    ck_assert_uint_eq(size_of_text("                   -"), 0);
    ck_assert_uint_eq(size_of_text("                 --4"), 0);
    ck_assert_uint_eq(size_of_text("                 - 4"), 0);
    ck_assert_uint_eq(size_of_text("                 4 2"), 0);
    ck_assert_uint_eq(size_of_text("                 42 "), 0);
    ck_assert_uint_eq(size_of_text("                 +42"), 0);
    ck_assert_uint_eq(size_of_text("                 4.2"), 0);
    ck_assert_uint_eq(size_of_text("                 4/2"), 0); /* beside 0 and 9 in ASCII */
    ck_assert_uint_eq(size_of_text("                 4:2"), 0);
    ck_assert_uint_eq(size_of_text("                 1e5"), 0);
    ck_assert_uint_eq(size_of_text("\t                 42"), 0);
}
END_TEST

START_TEST(no_one_or_two_flipped_bits_of_a_number_go_unnoticed)
{
    static const char *const numbers[] = { "0", "1000", "-9223372036854775808" };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        unsigned char payload[COUNTER_BYTES];
        counter_pack(payload, numbers[i], strlen(numbers[i]));
        for (unsigned a = 0; a < COUNTER_BYTES * 8; a++)
            for (unsigned b = 0; b <= a; b++) {
                payload[a / 8] ^= (unsigned char)(1u << a % 8);
                if (b != a)
                    payload[b / 8] ^= (unsigned char)(1u << b % 8);
                if (counter_digits(payload).size != 0)
                    ck_abort_msg("%s: bits %u and %u may be flipped", numbers[i], a, b);
                payload[a / 8] ^= (unsigned char)(1u << a % 8);
                if (b != a)
                    payload[b / 8] ^= (unsigned char)(1u << b % 8);
            }
    }
}
END_TEST

START_TEST(a_script_may_change_the_number_and_nothing_else)
{
    unsigned char number[COUNTER_BYTES] = { 0 }, *bytes;
    struct envelope e = { .flags = ENVELOPE_COUNTER, .ns = LIBCACHE_STR("hits"), .key = LIBCACHE_STR("page:7"),
                          .payload = { number, sizeof number }, .value_size = sizeof number };
    size_t size = ENVELOPE_SCRIPT_BYTES + envelope_size(&e);
    struct envelope out;

    bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    envelope_pack_script_part(bytes, 1, 2, 3, 0);
    envelope_pack(&e, bytes + ENVELOPE_SCRIPT_BYTES); /* as a client does, which does not know the number */
    ck_result(envelope_read(&out, bytes, size), LIBCACHE_EPROTOCOL);
    counter_pack(bytes + size - COUNTER_BYTES, "41", 2);
    ck_result(envelope_read(&out, bytes, size), LIBCACHE_OK);
    counter_pack(bytes + size - COUNTER_BYTES, "-42", 3);
    ck_result(envelope_read(&out, bytes, size), LIBCACHE_OK);
    ck_assert_uint_eq(out.payload.size, COUNTER_BYTES);
    ck_assert_uint_eq(counter_digits(out.payload.data).size, 3);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (envelope_read(&out, bytes, size) != LIBCACHE_EPROTOCOL)
            ck_abort_msg("bit %zu of byte %zu may be flipped", bit % 8, bit / 8);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(bytes);
}
END_TEST

START_TEST(a_number_of_another_size_is_refused_under_right_sums)
{
    unsigned char number[COUNTER_BYTES], bytes[200];
    struct envelope e = { .flags = ENVELOPE_COUNTER, .ns = LIBCACHE_STR("hits"), .key = LIBCACHE_STR("page:7"),
                          .payload = { number, sizeof number }, .value_size = sizeof number }, out;
    size_t size = ENVELOPE_SCRIPT_BYTES + envelope_size(&e);

    counter_pack(number, "42", 2);
    envelope_pack_script_part(bytes, 1, 2, 3, 0);
    envelope_pack(&e, bytes + ENVELOPE_SCRIPT_BYTES);
    for (unsigned key = 1; key <= 8; key++) { /* the rest of the key goes to the number, or the other way */
        uint64_t check;
        bytes[52] = (unsigned char)key;
        bytes[72] = bytes[76] = (unsigned char)(COUNTER_BYTES + 6 - key);
        check = hash_bytes(bytes + 48, size - 48 - COUNTER_BYTES, 0);
        for (int i = 0; i < 8; i++)
            bytes[40 + i] = (unsigned char)(check >> 8 * i);
        ck_result(envelope_read(&out, bytes, size), key == 6 ? LIBCACHE_OK : LIBCACHE_EPROTOCOL);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_counter", a_number_is_padded_and_comes_back, what_is_no_number_is_refused_under_a_right_sum,
                     no_one_or_two_flipped_bits_of_a_number_go_unnoticed, a_script_may_change_the_number_and_nothing_else,
                     a_number_of_another_size_is_refused_under_right_sums);
}
