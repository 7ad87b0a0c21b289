/* SPDX-License-Identifier: MIT */
#include "l2/names.h"

#include "base/hash.h"

#include <string.h>

static char *put(char *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static char *put_decimal(char *to, size_t n)
{
    char digits[20];
    size_t count = 0;

    do
        digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

static char *put_hex(char *to, uint64_t n)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[n >> shift & 15];
    return to;
}

/* All but the prefix: what the key is, whatever cache it is in. */
static char *put_key(char *to, libcache_slice ns, libcache_slice key)
{
    to = put_decimal(to, ns.size);
    *to++ = ':';
    to = put(to, ns.data, ns.size);
    *to++ = key.size > PLAIN_KEY_MAX ? '#' : ':';
    if (key.size <= PLAIN_KEY_MAX)
        return put(to, key.data, key.size);
    return put_hex(put_hex(to, hash_bytes(key.data, key.size, 1)), hash_bytes(key.data, key.size, 2));
}

void name_data(struct data_name *out, const char *prefix, libcache_slice ns, libcache_slice key)
{
    char *to = put(out->bytes, prefix, strlen(prefix));

    *to++ = ':';
    out->size = (size_t)(put_key(to, ns, key) - out->bytes);
}

void name_beside(struct data_name *out, const char *prefix, const char *word, libcache_slice ns, libcache_slice key)
{
    char *to = put(out->bytes, prefix, strlen(prefix));

    *to++ = ':';
    to = put(to, word, strlen(word));
    *to++ = ':';
    out->size = (size_t)(put_key(to, ns, key) - out->bytes);
}

size_t name_slot_field(char *out, libcache_slice ns, libcache_slice key)
{
    char bytes[DATA_NAME_MAX];
    size_t size = (size_t)(put_key(bytes, ns, key) - bytes);

    *out = 'k';
    return (size_t)(put_decimal(out + 1, hash_bytes(bytes, size, 0) % KEY_SLOTS) - out);
}

void name_put_u64(unsigned char *out, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(n >> 8 * i);
}

uint64_t name_get_u64(const unsigned char *bytes)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++)
        n |= (uint64_t)bytes[i] << 8 * i;
    return n;
}

size_t name_size(const struct name *name)
{
    switch (name->kind) {
    case NAME_SPACE: return 3 + name->ns.size;
    case NAME_TAG: return 3 + 8;
    case NAME_KEY:
    case NAME_WAKE: return 3 + 1 + name->ns.size + name->key.size;
    case NAME_ALL: break;
    }
    return 3;
}

void name_write(unsigned char *out, const struct name *name)
{
    size_t size = name_size(name) - 3;

    out[0] = (unsigned char)name->kind;
    out[1] = (unsigned char)size;
    out[2] = (unsigned char)(size >> 8);
    out += 3;
    if (name->kind == NAME_TAG)
        name_put_u64(out, name->tag);
    if (name->kind == NAME_KEY || name->kind == NAME_WAKE)
        *out++ = (unsigned char)name->ns.size;
    if (name->ns.size)
        memcpy(out, name->ns.data, name->ns.size);
    if (name->key.size)
        memcpy(out + name->ns.size, name->key.data, name->key.size);
}

int name_read(struct name *out, const unsigned char **bytes, size_t *size)
{
    const unsigned char *at = *bytes;
    size_t n;

    if (*size < 3 || *size - 3 < (n = at[1] | (size_t)at[2] << 8))
        return 0;
    memset(out, 0, sizeof *out);
    switch (at[0]) {
    case NAME_ALL:
        if (n != 0)
            return 0;
        break;
    case NAME_SPACE:
        if (n < 1 || n > LIBCACHE_NAMESPACE_NAME_MAX)
            return 0;
        out->ns = (libcache_slice){ at + 3, n };
        break;
    case NAME_TAG:
        if (n != 8)
            return 0;
        out->tag = name_get_u64(at + 3);
        break;
    case NAME_KEY:
    case NAME_WAKE:
        if (n < 3 || at[3] < 1 || at[3] > LIBCACHE_NAMESPACE_NAME_MAX || n < (size_t)at[3] + 2 ||
            n - 1 - at[3] > LIBCACHE_KEY_MAX)
            return 0;
        out->ns = (libcache_slice){ at + 4, at[3] };
        out->key = (libcache_slice){ at + 4 + at[3], n - 1 - at[3] };
        break;
    default:
        return 0;
    }
    out->kind = (enum name_kind)at[0];
    *bytes += 3 + n;
    *size -= 3 + n;
    return 1;
}
