/*
 * Codec 3, MessagePack, which the other languages read too: writing. SPDX-License-Identifier: MIT
 *
 * Lists become arrays, other arrays maps; a string becomes str where it is UTF-8, else bin. A DateTimeInterface becomes extension
 * 4 (ISO 8601 text); other objects have no form here. The types of extensions are those of docs/values.md.
 */
#include "codec.h"

#include "ext/date/php_date.h"
#include "zend_exceptions.h"

/* Well-formed UTF-8, RFC 3629: no surrogates, nothing overlong, nothing beyond U+10FFFF. */
int is_utf8(const char *bytes, size_t size)
{
    const unsigned char *p = (const unsigned char *)bytes, *end = p + size;

    while (p < end) {
        unsigned c = *p++, low = 0x80, high = 0xbf, more;
        if (c < 0x80)
            continue;
        more = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (!more || (size_t)(end - p) < more)
            return 0;
        if (c == 0xe0)
            low = 0xa0;
        if (c == 0xed)
            high = 0x9f;
        if (c == 0xf0)
            low = 0x90;
        if (c == 0xf4)
            high = 0x8f;
        for (; more; more--, p++, low = 0x80, high = 0xbf)
            if (*p < low || *p > high)
                return 0;
    }
    return 1;
}

/* A type byte and a big-endian number of so many bytes. */
static void put(php_libcache_out *out, unsigned type, uint64_t n, unsigned bytes)
{
    char *at = out_room(out, 9);

    *at++ = (char)type;
    while (bytes--)
        *at++ = (char)(n >> 8 * bytes);
    out->at = at;
}

static void write_long(php_libcache_out *out, zend_long n)
{
    if (n >= 0)
        put(out, n < 128 ? (unsigned)n : n <= UINT8_MAX ? 0xcc : n <= UINT16_MAX ? 0xcd : n <= UINT32_MAX ? 0xce : 0xcf, (uint64_t)n,
            n < 128 ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : n <= UINT32_MAX ? 4 : 8);
    else
        put(out, n >= -32 ? (unsigned)n & 0xff : n >= INT8_MIN ? 0xd0 : n >= INT16_MIN ? 0xd1 : n >= INT32_MIN ? 0xd2 : 0xd3, (uint64_t)n,
            n >= -32 ? 0 : n >= INT8_MIN ? 1 : n >= INT16_MIN ? 2 : n >= INT32_MIN ? 4 : 8);
}

static int write_string(php_libcache_out *out, const char *bytes, size_t size)
{
    if (size > UINT32_MAX / 4) {
        php_libcache_throw(EVALUE, "a string of more than 1 GiB cannot be stored");
        return -1;
    }
    if (is_utf8(bytes, size))
        put(out, size < 32 ? 0xa0 | (unsigned)size : size <= UINT8_MAX ? 0xd9 : size <= UINT16_MAX ? 0xda : 0xdb, size,
            size < 32 ? 0 : size <= UINT8_MAX ? 1 : size <= UINT16_MAX ? 2 : 4);
    else
        put(out, size <= UINT8_MAX ? 0xc4 : size <= UINT16_MAX ? 0xc5 : 0xc6, size, size <= UINT8_MAX ? 1 : size <= UINT16_MAX ? 2 : 4);
    out_bytes(out, bytes, size);
    return 1;
}

static int write_object(php_libcache_cache *c, php_libcache_out *out, zend_object *object)
{
    zval format, text, name, self;
    int ok;

    if (!instanceof_function(object->ce, php_date_get_interface_ce())) {
        php_libcache_throw(EVALUE, "namespace %s has the codec msgpack, which has no form for objects of class %s", ZSTR_VAL(c->name),
                           ZSTR_VAL(object->ce->name));
        return -1;
    }
    ZVAL_OBJ(&self, object);
    ZVAL_STRING(&name, "format");
    ZVAL_STRING(&format, "Y-m-d\\TH:i:s.uP");
    ZVAL_UNDEF(&text);
    ok = call_user_function(NULL, &self, &name, &text, 1, &format) == SUCCESS && Z_TYPE(text) == IS_STRING && Z_STRLEN(text) < 256;
    if (ok) {
        put(out, 0xc7, Z_STRLEN(text) << 8 | 4, 2);
        out_bytes(out, Z_STRVAL(text), Z_STRLEN(text));
    } else if (!EG(exception)) {
        php_libcache_throw(EVALUE, "a date that has no text cannot be stored");
    }
    zval_ptr_dtor(&name);
    zval_ptr_dtor(&format);
    zval_ptr_dtor(&text);
    return ok ? 1 : -1;
}

static int write_item(php_libcache_cache *c, php_libcache_out *out, zval *value, unsigned depth);

static int write_array(php_libcache_cache *c, php_libcache_out *out, zend_array *ht, unsigned depth)
{
    size_t n = zend_hash_num_elements(ht);
    int list = zend_array_is_list(ht), done = 1;
    zend_ulong number;
    zend_string *key;
    zval *value;

    if (depth == DEPTH_MAX) {
        php_libcache_throw(EVALUE, "arrays nested deeper than %d (or within themselves) cannot be stored", DEPTH_MAX);
        return -1;
    }
    put(out, n < 16 ? (list ? 0x90 : 0x80) | (unsigned)n : n <= UINT16_MAX ? (list ? 0xdc : 0xde) : list ? 0xdd : 0xdf, n,
        n < 16 ? 0 : n <= UINT16_MAX ? 2 : 4);
    GC_TRY_ADDREF(ht); /* an object's format() may change it through a reference */
    ZEND_HASH_FOREACH_KEY_VAL(ht, number, key, value) {
        if (key && !list)
            done = write_string(out, ZSTR_VAL(key), ZSTR_LEN(key));
        else if (!list)
            write_long(out, (zend_long)number);
        if (done < 0 || (done = write_item(c, out, value, depth + 1)) < 0)
            break;
    } ZEND_HASH_FOREACH_END();
    zend_array_release(ht);
    return done;
}

static int write_item(php_libcache_cache *c, php_libcache_out *out, zval *value, unsigned depth)
{
    double number;
    uint64_t bits;

    ZVAL_DEREF(value);
    if ((size_t)(out->at - out->begin) > UINT32_MAX / 4) {
        php_libcache_throw(EVALUE, "a value of more than 1 GiB cannot be stored");
        return -1;
    }
    switch (Z_TYPE_P(value)) {
    case IS_NULL:
        put(out, 0xc0, 0, 0);
        return 1;
    case IS_FALSE:
        put(out, 0xc2, 0, 0);
        return 1;
    case IS_TRUE:
        put(out, 0xc3, 0, 0);
        return 1;
    case IS_LONG:
        write_long(out, Z_LVAL_P(value));
        return 1;
    case IS_DOUBLE:
        number = Z_DVAL_P(value);
        memcpy(&bits, &number, sizeof bits);
        put(out, 0xcb, bits, 8);
        return 1;
    case IS_STRING:
        return write_string(out, Z_STRVAL_P(value), Z_STRLEN_P(value));
    case IS_ARRAY:
        if (!(GC_FLAGS(Z_ARR_P(value)) & GC_IMMUTABLE)) {
            int done;
            if (GC_IS_RECURSIVE(Z_ARR_P(value))) {
                php_libcache_throw(EVALUE, "an array that contains itself cannot be stored");
                return -1;
            }
            GC_PROTECT_RECURSION(Z_ARR_P(value));
            done = write_array(c, out, Z_ARR_P(value), depth);
            GC_UNPROTECT_RECURSION(Z_ARR_P(value));
            return done;
        }
        return write_array(c, out, Z_ARR_P(value), depth);
    case IS_OBJECT:
        return write_object(c, out, Z_OBJ_P(value));
    default:
        php_libcache_throw(EVALUE, "a %s cannot be stored", zend_zval_type_name(value));
        return -1;
    }
}

int msgpack_encode(php_libcache_cache *c, zval *value, php_libcache_out *out)
{
    return write_item(c, out, value, 0);
}
