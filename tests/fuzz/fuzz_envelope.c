/*
 * Any bytes as an envelope from Redis: refused, or every part of it is there to be used, packing gives the same bytes, and a
 * compressed payload fills exactly its room or is refused. SPDX-License-Identifier: MIT
 *
 * Each input is read as it is, then with its sums put right, then also with the payload's size made what is left: sums
 * and totals keep out accidents, not those who know the format.
 */
#define _GNU_SOURCE
#include "base/hash.h"
#include "l2/envelope.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

enum { ROOM = 1 << 20 };

/* ROOM bytes before a page that nobody may touch: LZ4 is built without sanitizers. */
static unsigned char *make_edge(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *map = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(map != MAP_FAILED && mprotect(map + ROOM, page, PROT_NONE) == 0);
    return map + ROOM;
}

static void put(unsigned char *to, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(n >> 8 * i);
}

static void seal(unsigned char *bytes, size_t size)
{
    size_t checked = size - 48;

    if ((bytes[48] & ENVELOPE_COUNTER) && checked >= 32 + COUNTER_BYTES) {
        unsigned char *digits = bytes + size - COUNTER_BYTES;
        uint32_t sum = 0;
        for (unsigned i = 0; i < COUNTER_DIGITS; i++)
            sum += digits[i] * (2 * i + 3);
        put(digits + COUNTER_DIGITS, sum, 4);
        checked -= COUNTER_BYTES;
    }
    put(bytes + 4, envelope_fold(bytes), 4);
    put(bytes + 40, hash_bytes(bytes + 48, checked, 0), 8);
}

static void fit_payload(unsigned char *bytes, size_t size)
{
    size_t before = ENVELOPE_HEADER + (size_t)bytes[50] * 8 + bytes[51] + ((size_t)bytes[52] | (size_t)bytes[53] << 8);

    if (before > size)
        return;
    put(bytes + 76, size - before, 4);
    if (bytes[48] != ENVELOPE_COMPRESSED)
        put(bytes + 72, size - before, 4);
}

/* Every byte, in a call that no optimizer takes away. */
static void touch(libcache_slice slice)
{
    hash_bytes(slice.data, slice.size, 1);
}

static void use_payload(const struct envelope *e)
{
    static unsigned char *from, *to;
    size_t n, size = e->value_size;

    if (!from) {
        from = make_edge();
        to = make_edge();
    }
    if (size > ROOM || size < 64)
        return;
    if (e->flags == ENVELOPE_COMPRESSED) {
        memcpy(from - e->payload.size, e->payload.data, e->payload.size);
        memset(to - size - (size < ROOM), 0x5a, 1);
        if (decompress_payload(from - e->payload.size, e->payload.size, to - size, size) == LIBCACHE_OK)
            touch((libcache_slice){ to - size, size });
        REQUIRE(size == ROOM || to[-(ptrdiff_t)size - 1] == 0x5a);
        return;
    }
    n = compress_payload(e->payload.data, size, from - compress_bound(size), compress_bound(size));
    REQUIRE(n <= compress_bound(size));
    if (n) {
        REQUIRE(decompress_payload(from - compress_bound(size), n, to - size, size) == LIBCACHE_OK);
        REQUIRE(memcmp(to - size, e->payload.data, size) == 0);
    }
}

static void use(const uint8_t *bytes, size_t size)
{
    struct envelope e;
    unsigned char *again;
    int result = envelope_read(&e, bytes, size);

    if (result != LIBCACHE_OK) {
        REQUIRE(result == LIBCACHE_EPROTOCOL);
        return;
    }
    REQUIRE(e.n_tags <= LIBCACHE_TAGS_MAX && e.value_size <= ENVELOPE_VALUE_MAX);
    REQUIRE(e.ns.size >= 1 && e.ns.size <= LIBCACHE_NAMESPACE_NAME_MAX && e.key.size >= 1 && e.key.size <= LIBCACHE_KEY_MAX);
    touch(e.ns);
    touch(e.key);
    touch(e.payload);
    touch((libcache_slice){ e.tags, e.n_tags * 8 });
    if (e.flags == ENVELOPE_COUNTER) {
        libcache_slice digits = counter_digits(e.payload.data);
        REQUIRE(digits.size >= 1 && (const char *)digits.data + digits.size == (const char *)e.payload.data + COUNTER_DIGITS);
    }
    REQUIRE(envelope_size(&e) + ENVELOPE_SCRIPT_BYTES == size);
    again = malloc(size);
    REQUIRE(again);
    envelope_pack_script_part(again, e.epoch, e.stamp, e.born_ms, e.expiry_ms);
    envelope_pack(&e, again + ENVELOPE_SCRIPT_BYTES);
    REQUIRE(memcmp(again, bytes, size) == 0);
    free(again);
    use_payload(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *changed;

    use(data, size);
    if (size < ENVELOPE_HEADER)
        return 0;
    changed = malloc(size);
    REQUIRE(changed);
    memcpy(changed, data, size);
    seal(changed, size);
    use(changed, size);
    fit_payload(changed, size);
    seal(changed, size);
    use(changed, size);
    free(changed);
    return 0;
}
