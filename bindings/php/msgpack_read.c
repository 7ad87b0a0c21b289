/*
 * Codec 3, MessagePack: reading. Checks everything; whatever PHP has no form for makes the value unreadable, a miss.
 * SPDX-License-Identifier: MIT
 *
 * Tuples and sets become lists; timestamps and datetimes DateTimeImmutable; dates, times, decimals, UUIDs and integers beyond 64
 * bits strings; timedeltas seconds. No other class is ever made.
 */
#include "codec.h"

#include "ext/date/php_date.h"
#include "zend_exceptions.h"
#include "zend_interfaces.h"

struct decoding {
    const unsigned char *at, *end;
    unsigned depth;
    size_t owed; /* bytes that the arrays and maps around this item need at least after it: no byte may be counted on twice */
};

static int read_item(struct decoding *d, zval *out);

static size_t left(const struct decoding *d)
{
    return (size_t)(d->end - d->at);
}

/* A big-endian number of 1, 2, 4 or 8 bytes. 0: they are not there. */
static int read_number(struct decoding *d, unsigned bytes, uint64_t *out)
{
    uint64_t n = 0;

    if (left(d) < bytes)
        return 0;
    while (bytes--)
        n = n << 8 | *d->at++;
    *out = n;
    return 1;
}

static int read_bytes(struct decoding *d, uint64_t size, zval *out)
{
    if (left(d) < size)
        return 0;
    ZVAL_STRINGL_FAST(out, (const char *)d->at, (size_t)size);
    d->at += size;
    return 1;
}

static int read_array(struct decoding *d, uint64_t n, zval *out)
{
    zval item;
    int ok;

    if (n > left(d) || left(d) - n < d->owed)
        return 0;
    if (!n) {
        ZVAL_EMPTY_ARRAY(out);
        return 1;
    }
    array_init_size(out, (uint32_t)n);
    zend_hash_real_init_packed(Z_ARRVAL_P(out));
    while (n--) {
        d->owed += n;
        ok = read_item(d, &item);
        d->owed -= n;
        if (!ok) {
            zval_ptr_dtor_nogc(out);
            return 0;
        }
        zend_hash_next_index_insert_new(Z_ARRVAL_P(out), &item);
    }
    return 1;
}

/* Keys: str, or an integer. A key that comes twice is a mistake. */
static int read_entry(struct decoding *d, zend_array *map)
{
    zval key, item, *added = NULL;

    if (!read_item(d, &key))
        return 0;
    if (!read_item(d, &item)) {
        zval_ptr_dtor_nogc(&key);
        return 0;
    }
    if (Z_TYPE(key) == IS_LONG)
        added = zend_hash_index_add(map, (zend_ulong)Z_LVAL(key), &item);
    else if (Z_TYPE(key) == IS_STRING)
        added = zend_symtable_str_exists(map, Z_STRVAL(key), Z_STRLEN(key)) ? NULL : zend_symtable_update(map, Z_STR(key), &item);
    zval_ptr_dtor_nogc(&key);
    if (!added)
        zval_ptr_dtor_nogc(&item);
    return added != NULL;
}

static int read_map(struct decoding *d, uint64_t n, zval *out)
{
    int ok;

    if (n > left(d) / 2 || left(d) - 2 * n < d->owed)
        return 0;
    if (!n) {
        ZVAL_EMPTY_ARRAY(out);
        return 1;
    }
    array_init_size(out, (uint32_t)n);
    while (n--) {
        d->owed += 2 * n;
        ok = read_entry(d, Z_ARRVAL_P(out));
        d->owed -= 2 * n;
        if (!ok) {
            zval_ptr_dtor_nogc(out);
            return 0;
        }
    }
    return 1;
}

/* ---- Extensions ---- */

static int make_instant(const char *text, size_t size, zval *out)
{
    zval argument;

    object_init_ex(out, php_date_get_immutable_ce());
    ZVAL_STRINGL(&argument, text, size);
    zend_call_method_with_1_params(Z_OBJ_P(out), Z_OBJCE_P(out), &Z_OBJCE_P(out)->constructor, "__construct", NULL, &argument);
    zval_ptr_dtor(&argument);
    if (EG(exception)) {
        zend_clear_exception();
        zval_ptr_dtor(out);
        return 0;
    }
    return 1;
}

static int read_timestamp(const unsigned char *p, size_t size, zval *out)
{
    struct decoding d = { p, p + size, 0, 0 };
    uint64_t nanos = 0, word = 0;
    int64_t seconds = 0;
    char text[64];

    if (size == 4) {
        read_number(&d, 4, &word);
        seconds = (int64_t)word;
    } else if (size == 8) {
        read_number(&d, 8, &word);
        nanos = word >> 34;
        seconds = (int64_t)(word & ((UINT64_C(1) << 34) - 1));
    } else if (size == 12) {
        read_number(&d, 4, &nanos);
        read_number(&d, 8, &word);
        seconds = (int64_t)word;
    } else {
        return 0;
    }
    if (nanos > 999999999 || seconds > INT64_C(253402300799) || seconds < -INT64_C(62135596800))
        return 0; /* years 1 to 9999 */
    if (seconds < 0 && nanos) /* PHP reads "@-1.25" as 1.25 before */
        snprintf(text, sizeof text, "@%lld.%06u", (long long)seconds + 1, (unsigned)((1000000000 - nanos) / 1000));
    else
        snprintf(text, sizeof text, "@%lld.%06u", (long long)seconds, (unsigned)(nanos / 1000));
    if (seconds == -1 && nanos)
        snprintf(text, sizeof text, "@-0.%06u", (unsigned)((1000000000 - nanos) / 1000));
    return make_instant(text, strlen(text), out);
}

/* ISO 8601 and nothing else: PHP would also take "tomorrow". */
static int is_iso(const unsigned char *p, size_t size)
{
    if (size < 10 || size > 48 || p[4] != '-')
        return 0;
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789-+:.TZ ", p[i]) || !p[i])
            return 0;
    return 1;
}

/* Digits and what numbers, dates and times are written with. */
static int read_text(const unsigned char *p, size_t size, zval *out)
{
    if (!size || size > 4096 || !is_utf8((const char *)p, size))
        return 0;
    ZVAL_STRINGL(out, (const char *)p, size);
    return 1;
}

static int read_uuid(const unsigned char *p, size_t size, zval *out)
{
    char text[37], *at = text;

    if (size != 16)
        return 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = "0123456789abcdef"[p[i] >> 4];
        *at++ = "0123456789abcdef"[p[i] & 15];
    }
    ZVAL_STRINGL(out, text, 36);
    return 1;
}

/* One item, and nothing behind it. */
static int read_whole(struct decoding *outer, const unsigned char *p, size_t size, zval *out)
{
    struct decoding d = { p, p + size, outer->depth, 0 };

    if (!read_item(&d, out))
        return 0;
    if (d.at == d.end && Z_TYPE_P(out) == IS_ARRAY)
        return 1;
    zval_ptr_dtor_nogc(out);
    return 0;
}

static int read_timedelta(struct decoding *outer, const unsigned char *p, size_t size, zval *out)
{
    zval parts, *part;
    double factor[] = { 86400, 1, 1e-6 }, seconds = 0;
    unsigned n = 0;
    int ok;

    if (!read_whole(outer, p, size, &parts))
        return 0;
    ok = zend_hash_num_elements(Z_ARRVAL(parts)) == 3 && zend_array_is_list(Z_ARRVAL(parts));
    if (ok) {
        ZEND_HASH_FOREACH_VAL(Z_ARRVAL(parts), part) {
            ok = ok && Z_TYPE_P(part) == IS_LONG;
            seconds += ok ? (double)Z_LVAL_P(part) * factor[n++] : 0;
        } ZEND_HASH_FOREACH_END();
    }
    zval_ptr_dtor_nogc(&parts);
    if (ok)
        ZVAL_DOUBLE(out, seconds);
    return ok;
}

static int read_extension(struct decoding *d, uint64_t size, zval *out)
{
    const unsigned char *p;
    signed char type;

    if (left(d) < 1 || left(d) - 1 < size || left(d) - 1 - size < d->owed)
        return 0;
    type = (signed char)*d->at++;
    p = d->at;
    d->at += size;
    switch (type) {
    case -1:
        return read_timestamp(p, (size_t)size, out);
    case 1: case 2: case 3:
        return read_whole(d, p, (size_t)size, out);
    case 4:
        return is_iso(p, (size_t)size) && make_instant((const char *)p, (size_t)size, out);
    case 5: case 6: case 7: case 9:
        return read_text(p, (size_t)size, out);
    case 8:
        return read_uuid(p, (size_t)size, out);
    case 11:
        return read_timedelta(d, p, (size_t)size, out);
    default:
        return 0;
    }
}

/* ---- Items ---- */

static int read_int(struct decoding *d, unsigned type, zval *out)
{
    unsigned bytes = 1u << (type & 3);
    uint64_t n;

    if (!read_number(d, bytes, &n))
        return 0;
    if (type >= 0xd0) { /* signed */
        ZVAL_LONG(out, bytes == 1 ? (int8_t)n : bytes == 2 ? (int16_t)n : bytes == 4 ? (int32_t)n : (int64_t)n);
    } else if (n > (uint64_t)ZEND_LONG_MAX) {
        ZVAL_NEW_STR(out, zend_ulong_to_str((zend_ulong)n));
    } else {
        ZVAL_LONG(out, (zend_long)n);
    }
    return 1;
}

static int read_float(struct decoding *d, unsigned bytes, zval *out)
{
    uint64_t n;
    uint32_t half;
    float narrow;
    double wide;

    if (!read_number(d, bytes, &n))
        return 0;
    if (bytes == 4) {
        half = (uint32_t)n;
        memcpy(&narrow, &half, sizeof narrow);
        ZVAL_DOUBLE(out, (double)narrow);
    } else {
        memcpy(&wide, &n, sizeof wide);
        ZVAL_DOUBLE(out, wide);
    }
    return 1;
}

static int read_sized(struct decoding *d, unsigned type, zval *out)
{
    uint64_t n;

    switch (type) {
    case 0xc4: case 0xc5: case 0xc6:
        return read_number(d, 1u << (type - 0xc4), &n) && read_bytes(d, n, out);
    case 0xc7: case 0xc8: case 0xc9:
        return read_number(d, 1u << (type - 0xc7), &n) && read_extension(d, n, out);
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return read_extension(d, 1u << (type - 0xd4), out);
    case 0xd9: case 0xda: case 0xdb:
        return read_number(d, 1u << (type - 0xd9), &n) && read_bytes(d, n, out);
    case 0xdc: case 0xdd:
        return read_number(d, type == 0xdc ? 2 : 4, &n) && read_array(d, n, out);
    case 0xde: case 0xdf:
        return read_number(d, type == 0xde ? 2 : 4, &n) && read_map(d, n, out);
    default:
        return 0; /* 0xc1 */
    }
}

static int read_typed(struct decoding *d, unsigned type, zval *out)
{
    if (type >= 0xe0) {
        ZVAL_LONG(out, (signed char)type);
        return 1;
    }
    switch (type) {
    case 0xc0: ZVAL_NULL(out); return 1;
    case 0xc2: ZVAL_FALSE(out); return 1;
    case 0xc3: ZVAL_TRUE(out); return 1;
    case 0xca: return read_float(d, 4, out);
    case 0xcb: return read_float(d, 8, out);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return read_int(d, type, out);
    default: return read_sized(d, type, out);
    }
}

static int read_item(struct decoding *d, zval *out)
{
    unsigned type;
    int ok;

    if (!left(d) || d->depth == DEPTH_MAX)
        return 0;
    type = *d->at++;
    if (type < 0x80) {
        ZVAL_LONG(out, type);
        return 1;
    }
    d->depth++;
    ok = type < 0x90 ? read_map(d, type & 15, out) : type < 0xa0 ? read_array(d, type & 15, out)
         : type < 0xc0 ? read_bytes(d, type & 31, out) : read_typed(d, type, out);
    d->depth--;
    return ok;
}

int msgpack_decode(const char *bytes, size_t size, zval *out)
{
    struct decoding d = { (const unsigned char *)bytes, (const unsigned char *)bytes + size, 0, 0 };

    if (!read_item(&d, out))
        return 0;
    if (d.at == d.end)
        return 1;
    zval_ptr_dtor(out);
    return 0;
}
