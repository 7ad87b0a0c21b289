/*
 * Packing and reading envelopes. SPDX-License-Identifier: MIT
 *
 * Reading is part of every get from Redis: cheap checks first, then one pass of XXH3 over the client's part; nothing is
 * copied. The magic goes first because most of what is not ours is told by it; the checksum goes last because it costs
 * most, and because it may only run over a size that is known to add up.
 */
#include "l2/envelope.h"

#include "base/hash.h"
#include "base/platform.h"

#include <assert.h>

/* Where things are in the script's part, and in the client's. */
enum { AT_FOLD = 4, AT_EPOCH = 8, AT_STAMP = 16, AT_BORN = 24, AT_EXPIRY = 32, SCRIPT_PART = 40 };
enum {
    AT_CHECK = 0,
    AT_FLAGS = 8,
    AT_CODEC = 9,
    AT_N_TAGS = 10,
    AT_NS_SIZE = 11,
    AT_KEY_SIZE = 12,
    AT_ZERO = 14,
    AT_USER_FLAGS = 16,
    AT_LOAD = 20,
    AT_SOFT = 24,
    AT_VALUE_SIZE = 32,
    AT_PAYLOAD_SIZE = 36,
    AT_REST = 40
};

_Static_assert(SCRIPT_PART == ENVELOPE_SCRIPT_BYTES && SCRIPT_PART + AT_REST == ENVELOPE_HEADER, "as the header says");
_Static_assert(LIBCACHE_TAGS_MAX <= UINT8_MAX, "the number of tags has one byte");
_Static_assert(LIBCACHE_NAMESPACE_NAME_MAX <= UINT8_MAX, "a namespace's size has one byte");
_Static_assert(LIBCACHE_KEY_MAX <= UINT16_MAX, "a key's size has two bytes");

static const unsigned char magic[4] = { 0x8f, 'L', 'C', 1 };

/* ---- Little-endian numbers: by shifts, which are right on every machine and one instruction on most --------------- */

static force_inline uint32_t get16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static force_inline uint32_t get32(const unsigned char *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static force_inline uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static force_inline void put16(unsigned char *p, uint32_t n)
{
    p[0] = (unsigned char)n;
    p[1] = (unsigned char)(n >> 8);
}

static force_inline void put32(unsigned char *p, uint32_t n)
{
    put16(p, n);
    put16(p + 2, n >> 16);
}

static force_inline void put64(unsigned char *p, uint64_t n)
{
    put32(p, (uint32_t)n);
    put32(p + 4, (uint32_t)(n >> 32));
}

uint64_t envelope_tag(const void *tags, size_t i)
{
    return get64((const unsigned char *)tags + i * 8);
}

void envelope_put_tag(void *tags, size_t i, uint64_t tag)
{
    put64((unsigned char *)tags + i * 8, tag);
}

/* ---- The script's part --------------------------------------------------------------------------------------------- */

uint32_t envelope_fold(const unsigned char *script_part)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < (SCRIPT_PART - AT_EPOCH) / 4; i++)
        sum += (uint64_t)get32(script_part + AT_EPOCH + i * 4) * (2 * i + 3);
    return (uint32_t)(sum % 4294967291u);
}

void envelope_pack_script_part(unsigned char *to, uint64_t epoch, uint64_t stamp, uint64_t born_ms, uint64_t expiry_ms)
{
    memcpy(to, magic, sizeof magic);
    put64(to + AT_EPOCH, epoch);
    put64(to + AT_STAMP, stamp);
    put64(to + AT_BORN, born_ms);
    put64(to + AT_EXPIRY, expiry_ms);
    put32(to + AT_FOLD, envelope_fold(to));
}

/* ---- The client's part --------------------------------------------------------------------------------------------- */

/* Flags and sizes in their limits, and agreeing: one judgement for what is packed and for what is read. */
static int is_sound(unsigned flags, size_t n_tags, size_t ns_size, size_t key_size, size_t value_size, size_t payload_size)
{
    if (n_tags > LIBCACHE_TAGS_MAX || ns_size - 1 >= LIBCACHE_NAMESPACE_NAME_MAX || key_size - 1 >= LIBCACHE_KEY_MAX ||
        value_size > ENVELOPE_VALUE_MAX)
        return 0;
    switch (flags) {
    case 0: return payload_size == value_size;
    case ENVELOPE_COUNTER: return payload_size == COUNTER_BYTES && value_size == COUNTER_BYTES;
    case ENVELOPE_NEGATIVE: return payload_size == 0 && value_size == 0;
    case ENVELOPE_COMPRESSED:
        return payload_size < value_size && value_size <= (uint64_t)payload_size * COMPRESS_RATIO_MAX;
    default: return 0;
    }
}

static size_t client_size(size_t n_tags, size_t ns_size, size_t key_size, size_t payload_size)
{
    return AT_REST + n_tags * 8 + ns_size + key_size + payload_size;
}

/* How much of the client's part the check covers: a counter's number changes where nobody can compute XXH3. */
static size_t checked_size(unsigned flags, size_t client_bytes)
{
    return client_bytes - AT_FLAGS - (flags & ENVELOPE_COUNTER ? COUNTER_BYTES : 0);
}

static uint32_t counter_sum(const unsigned char *digits)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < COUNTER_DIGITS; i++)
        sum += digits[i] * (2 * i + 3);
    return sum;
}

void counter_pack(unsigned char *to, const char *digits, size_t size)
{
    assert(size <= COUNTER_DIGITS);
    memset(to, ' ', COUNTER_DIGITS);
    memcpy(to + COUNTER_DIGITS - size, digits, size);
    put32(to + COUNTER_DIGITS, counter_sum(to));
}

libcache_slice counter_digits(const unsigned char *payload)
{
    size_t blanks = 0, at;

    while (blanks < COUNTER_DIGITS && payload[blanks] == ' ')
        blanks++;
    at = blanks < COUNTER_DIGITS && payload[blanks] == '-' ? blanks + 1 : blanks;
    if (at == COUNTER_DIGITS || get32(payload + COUNTER_DIGITS) != counter_sum(payload))
        return (libcache_slice){ payload, 0 };
    for (; at < COUNTER_DIGITS; at++)
        if ((unsigned)payload[at] - '0' > 9)
            return (libcache_slice){ payload, 0 };
    return (libcache_slice){ payload + blanks, COUNTER_DIGITS - blanks };
}

size_t envelope_size(const struct envelope *envelope)
{
    return client_size(envelope->n_tags, envelope->ns.size, envelope->key.size, envelope->payload.size);
}

static unsigned char *put_bytes(unsigned char *to, const void *from, size_t size)
{
    if (size) /* memcpy wants no null pointers, not even for nothing */
        memcpy(to, from, size);
    return to + size;
}

void envelope_pack(const struct envelope *envelope, unsigned char *to)
{
    unsigned char *end = to + AT_REST;

    assert(is_sound(envelope->flags, envelope->n_tags, envelope->ns.size, envelope->key.size, envelope->value_size,
                    envelope->payload.size));
    to[AT_FLAGS] = envelope->flags;
    to[AT_CODEC] = envelope->codec;
    to[AT_N_TAGS] = (unsigned char)envelope->n_tags;
    to[AT_NS_SIZE] = (unsigned char)envelope->ns.size;
    put16(to + AT_KEY_SIZE, (uint32_t)envelope->key.size);
    put16(to + AT_ZERO, 0);
    put32(to + AT_USER_FLAGS, envelope->user_flags);
    put32(to + AT_LOAD, envelope->load_ms);
    put64(to + AT_SOFT, envelope->soft_ms);
    put32(to + AT_VALUE_SIZE, (uint32_t)envelope->value_size);
    put32(to + AT_PAYLOAD_SIZE, (uint32_t)envelope->payload.size);
    end = put_bytes(end, envelope->tags, envelope->n_tags * 8);
    end = put_bytes(end, envelope->ns.data, envelope->ns.size);
    end = put_bytes(end, envelope->key.data, envelope->key.size);
    end = put_bytes(end, envelope->payload.data, envelope->payload.size);
    put64(to + AT_CHECK, hash_bytes(to + AT_FLAGS, checked_size(envelope->flags, (size_t)(end - to)), 0));
}

int envelope_read(struct envelope *out, const void *bytes, size_t size)
{
    const unsigned char *script = bytes, *client, *rest;
    size_t n_tags, ns_size, key_size, value_size, payload_size;

    if (size < ENVELOPE_HEADER || memcmp(script, magic, sizeof magic) != 0 ||
        get32(script + AT_FOLD) != envelope_fold(script))
        return LIBCACHE_EPROTOCOL;
    client = script + SCRIPT_PART;
    n_tags = client[AT_N_TAGS];
    ns_size = client[AT_NS_SIZE];
    key_size = get16(client + AT_KEY_SIZE);
    value_size = get32(client + AT_VALUE_SIZE);
    payload_size = get32(client + AT_PAYLOAD_SIZE);
    /* The sum of sizes does not overflow: is_sound has bounded every term of it. */
    if (!is_sound(client[AT_FLAGS], n_tags, ns_size, key_size, value_size, payload_size) || get16(client + AT_ZERO) != 0 ||
        size - SCRIPT_PART != client_size(n_tags, ns_size, key_size, payload_size) ||
        get64(client + AT_CHECK) != hash_bytes(client + AT_FLAGS, checked_size(client[AT_FLAGS], size - SCRIPT_PART), 0) ||
        ((client[AT_FLAGS] & ENVELOPE_COUNTER) && !counter_digits(script + size - COUNTER_BYTES).size))
        return LIBCACHE_EPROTOCOL;
    out->epoch = get64(script + AT_EPOCH);
    out->stamp = get64(script + AT_STAMP);
    out->born_ms = get64(script + AT_BORN);
    out->expiry_ms = get64(script + AT_EXPIRY);
    out->flags = client[AT_FLAGS];
    out->codec = client[AT_CODEC];
    out->user_flags = get32(client + AT_USER_FLAGS);
    out->load_ms = get32(client + AT_LOAD);
    out->soft_ms = get64(client + AT_SOFT);
    rest = client + AT_REST;
    out->tags = rest;
    out->n_tags = n_tags;
    rest += n_tags * 8;
    out->ns = (libcache_slice){ rest, ns_size };
    rest += ns_size;
    out->key = (libcache_slice){ rest, key_size };
    rest += key_size;
    out->payload = (libcache_slice){ rest, payload_size };
    out->value_size = value_size;
    return LIBCACHE_OK;
}
