/*
 * By Aumasson and Bernstein: "SipHash: a fast short-input PRF", INDOCRYPT 2012. XXH3, which hashes everything else here, is faster,
 * but who knows one key and its hash can compute the seed, and then try names. SPDX-License-Identifier: MIT
 */
#include "base/siphash.h"

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void rounds(struct sip *s, int n)
{
    while (n--) {
        s->a += s->b;
        s->b = rotate(s->b, 13) ^ s->a;
        s->a = rotate(s->a, 32);
        s->c += s->d;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a += s->d;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c += s->b;
        s->b = rotate(s->b, 17) ^ s->c;
        s->c = rotate(s->c, 32);
    }
}

static void take_in(struct sip *s, uint64_t word)
{
    s->d ^= word;
    rounds(s, 2);
    s->a ^= word;
}

/* Up to eight bytes as a little endian number. */
static uint64_t word_of(const unsigned char *p, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)p[i] << 8 * i;
    return word;
}

uint64_t siphash(const uint64_t key[2], uint64_t first, const void *data, size_t size)
{
    struct sip s = { key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573) };
    uint64_t length = (uint64_t)(size + sizeof first) << 56;
    const unsigned char *p = data;

    take_in(&s, first);
    for (; size >= 8; p += 8, size -= 8)
        take_in(&s, word_of(p, 8));
    take_in(&s, word_of(p, size) | length);
    s.c ^= 0xff;
    rounds(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}
