/* Writing the native encoding (codec.h). References are written as what they refer to. SPDX-License-Identifier: MIT */
#include "codec.h"

struct encoding {
    php_libcache_cache *c;
    php_libcache_out *out;
    unsigned depth, n_shapes;
    struct {
        HashTable *first; /* alive as long as the value is */
        struct last_rows last;
        uint32_t hint;
    } shapes[SHAPES_MAX];
};

void php_libcache_out_grow(php_libcache_out *out, size_t more)
{
    size_t used = (size_t)(out->at - out->begin), size = used * 2 + more + 256;

    if (out->string) {
        out->string = zend_string_extend(out->string, size, 0);
    } else {
        out->string = zend_string_alloc(size, 0);
        memcpy(ZSTR_VAL(out->string), out->begin, used);
    }
    out->begin = ZSTR_VAL(out->string);
    out->at = out->begin + used;
    out->end = out->begin + size;
}

static zend_always_inline char *put_u32(char *at, uint32_t n)
{
#ifdef WORDS_BIGENDIAN
    n = __builtin_bswap32(n);
#endif
    memcpy(at, &n, sizeof n);
    return at + sizeof n;
}

static zend_always_inline char *put_u64(char *at, uint64_t n)
{
#ifdef WORDS_BIGENDIAN
    n = __builtin_bswap64(n);
#endif
    memcpy(at, &n, sizeof n);
    return at + sizeof n;
}

static void put_count(php_libcache_out *out, enum native_item item, uint32_t n)
{
    char *at = out_room(out, 5);

    *at++ = (char)item;
    out->at = put_u32(at, n);
}

static int write_item(struct encoding *e, zval *value);

static void write_long(php_libcache_out *out, zend_long n)
{
    char *at = out_room(out, 9);

    if (n == (signed char)n) {
        *at++ = ITEM_INT8;
        *at++ = (char)n;
    } else if (n == (int32_t)n) {
        *at++ = ITEM_INT32;
        at = put_u32(at, (uint32_t)n);
    } else {
        *at++ = ITEM_INT64;
        at = put_u64(at, (uint64_t)n);
    }
    out->at = at;
}

static void write_double(php_libcache_out *out, double value)
{
    char *at = out_room(out, 9);
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    *at++ = ITEM_DOUBLE;
    out->at = put_u64(at, bits);
}

static zend_always_inline void write_string(php_libcache_out *out, const zend_string *s)
{
    size_t size = ZSTR_LEN(s);
    char *at = out_room(out, size + 5);

    if (EXPECTED(size < 256)) {
        *at++ = ITEM_STR8;
        *at++ = (char)size;
    } else {
        *at++ = ITEM_STR32;
        at = put_u32(at, (uint32_t)size);
    }
    copy_bytes(at, ZSTR_VAL(s), size);
    out->at = at + size;
}

/* ---- Rows ---- */

/* Whether an array can be a row, and a hint of its shape. */
static int is_row(HashTable *ht, uint32_t *hint)
{
    uint32_t n = ht->nNumUsed, h = n;
    size_t size = 1 + n;

    if (n > SHAPE_KEYS_MAX || HT_IS_PACKED(ht) || !HT_IS_WITHOUT_HOLES(ht))
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        zend_string *key = ht->arData[i].key;
        if (!key || ZSTR_LEN(key) > SHAPE_KEY_MAX)
            return 0;
        h = (h << 5 | h >> 27) ^ (uint32_t)ZSTR_HASH(key);
        h *= 0x9e3779b1u;
        size += ZSTR_LEN(key);
    }
    *hint = h ^ h >> 15;
    return size <= UINT16_MAX;
}

static int same_keys(const HashTable *a, const HashTable *b)
{
    if (a->nNumUsed != b->nNumUsed)
        return 0;
    for (uint32_t i = 0; i < a->nNumUsed; i++) {
        const zend_string *x = a->arData[i].key, *y = b->arData[i].key;
        if (x != y && (!x || !y || ZSTR_LEN(x) != ZSTR_LEN(y) || memcmp(ZSTR_VAL(x), ZSTR_VAL(y), ZSTR_LEN(x))))
            return 0;
    }
    return 1;
}

static void write_shape(php_libcache_out *out, const HashTable *ht, uint32_t hint)
{
    uint32_t n = ht->nNumUsed;
    size_t size = 1 + n;
    char *at;

    for (uint32_t i = 0; i < n; i++)
        size += ZSTR_LEN(ht->arData[i].key);
    at = out_room(out, 8 + size);
    *at++ = ITEM_NEW_ROW;
    at = put_u32(at, hint);
    *at++ = (char)(size & 255);
    *at++ = (char)(size >> 8);
    *at++ = (char)n;
    for (uint32_t i = 0; i < n; i++)
        *at++ = (char)ZSTR_LEN(ht->arData[i].key);
    for (uint32_t i = 0; i < n; i++) {
        copy_bytes(at, ZSTR_VAL(ht->arData[i].key), ZSTR_LEN(ht->arData[i].key));
        at += ZSTR_LEN(ht->arData[i].key);
    }
    out->at = at;
}

/* The number of the array's shape, new or not; -1: it is no row. Writes how the item begins. */
static int begin_row(struct encoding *e, HashTable *ht)
{
    uint32_t hint = 0;
    unsigned i = e->n_shapes;
    char *at;

    /* Most often it is the shape of the last one that was new. */
    if (i && !HT_IS_PACKED(ht) && HT_IS_WITHOUT_HOLES(ht) && same_keys(e->shapes[i - 1].first, ht)) {
        i--;
    } else {
        if (!is_row(ht, &hint))
            return -1;
        for (i = 0; i < e->n_shapes; i++)
            if (e->shapes[i].hint == hint && same_keys(e->shapes[i].first, ht))
                break;
    }
    if (i == SHAPES_MAX)
        return -1;
    if (i == e->n_shapes) {
        write_shape(e->out, ht, hint);
        e->shapes[i].first = ht;
        e->shapes[i].last.n = 0;
        e->shapes[i].hint = hint;
        e->n_shapes++;
        return (int)i;
    }
    at = out_room(e->out, 2);
    *at++ = ITEM_ROW;
    *at++ = (char)i;
    e->out->at = at;
    return (int)i;
}

static zend_always_inline int same_plain(const zval *x, const zval *y)
{
    if (Z_TYPE_P(x) != Z_TYPE_P(y))
        return 0;
    switch (Z_TYPE_P(x)) {
    case IS_STRING:
        return zend_string_equals(Z_STR_P(x), Z_STR_P(y));
    case IS_LONG:
        return Z_LVAL_P(x) == Z_LVAL_P(y);
    case IS_DOUBLE:
        return !memcmp(&Z_DVAL_P(x), &Z_DVAL_P(y), sizeof(double));
    default:
        return Z_TYPE_P(x) < IS_LONG;
    }
}

/* Whether two arrays of plain values are the same; gives up on what would take long to compare. */
static int same_array(HashTable *a, HashTable *b)
{
    uint32_t n = a->nNumUsed;

    if (n != b->nNumUsed || n > SAME_ITEMS || !HT_IS_WITHOUT_HOLES(a) || !HT_IS_WITHOUT_HOLES(b) || HT_IS_PACKED(a) != HT_IS_PACKED(b) ||
        !zend_hash_num_elements(a))
        return 0;
#if PHP_VERSION_ID >= 80200
    if (HT_IS_PACKED(a)) {
        for (uint32_t i = 0; i < n; i++)
            if (!same_plain(a->arPacked + i, b->arPacked + i))
                return 0;
        return 1;
    }
#endif
    for (uint32_t i = 0; i < n; i++) {
        const Bucket *x = a->arData + i, *y = b->arData + i;
        if (x->h != y->h || !x->key != !y->key || (x->key && !zend_string_equals(x->key, y->key)) || !same_plain(&x->val, &y->val))
            return 0;
    }
    return 1;
}

/* How many rows back the same value is in the same place, where it is worth sharing; -1: nowhere near. */
static zend_always_inline int find_same(zval *value, uint32_t column, const struct last_rows *last)
{
    HashTable *row;

    if (Z_TYPE_P(value) != IS_STRING && Z_TYPE_P(value) != IS_ARRAY)
        return -1;
    for (uint32_t k = 0; k < SAME_ROWS && (row = last_rows_back(last, k)) != NULL; k++) {
        zval *other = &row->arData[column].val;
        ZVAL_DEREF(other);
        if (Z_TYPE_P(value) != Z_TYPE_P(other))
            continue;
        if (Z_TYPE_P(value) == IS_STRING ? Z_STRLEN_P(value) > 1 && zend_string_equals(Z_STR_P(value), Z_STR_P(other))
                                         : same_array(Z_ARRVAL_P(value), Z_ARRVAL_P(other)))
            return (int)k;
    }
    return -1;
}

static int write_row(struct encoding *e, HashTable *ht, int shape)
{
    int done, back;

    for (uint32_t i = 0; i < ht->nNumUsed; i++) {
        zval *value = &ht->arData[i].val;
        ZVAL_DEREF(value);
        back = find_same(value, i, &e->shapes[shape].last);
        if (back >= 0) {
            *out_room(e->out, 1) = (char)(ITEM_SAME + back);
            e->out->at++;
            continue;
        }
        done = write_item(e, value);
        if (done != 1)
            return done;
    }
    last_rows_add(&e->shapes[shape].last, ht);
    return 1;
}

/* ---- Lists and maps ---- */

static int write_list(struct encoding *e, HashTable *ht)
{
    zval *value;

    put_count(e->out, ITEM_LIST, zend_hash_num_elements(ht));
    ZEND_HASH_FOREACH_VAL(ht, value) {
        int done = write_item(e, value);
        if (done != 1)
            return done;
    } ZEND_HASH_FOREACH_END();
    return 1;
}

static int write_map(struct encoding *e, HashTable *ht)
{
    zend_ulong number;
    zend_string *key;
    zval *value;

    put_count(e->out, ITEM_MAP, zend_hash_num_elements(ht));
    ZEND_HASH_FOREACH_KEY_VAL(ht, number, key, value) {
        int done;
        if (key) {
            char *at = out_room(e->out, ZSTR_LEN(key) + 4);
            e->out->at = put_u32(at, (uint32_t)ZSTR_LEN(key));
            out_bytes(e->out, ZSTR_VAL(key), ZSTR_LEN(key));
        } else {
            char *at = out_room(e->out, 12);
            at = put_u32(at, MAP_INT_KEY);
            e->out->at = put_u64(at, (uint64_t)number);
        }
        done = write_item(e, value);
        if (done != 1)
            return done;
    } ZEND_HASH_FOREACH_END();
    return 1;
}

static int write_array(struct encoding *e, zend_array *ht)
{
    int done, shape, guarded = !(GC_FLAGS(ht) & GC_IMMUTABLE);

    if (!zend_hash_num_elements(ht)) {
        *out_room(e->out, 1) = ITEM_EMPTY;
        e->out->at++;
        return 1;
    }
    if (guarded && GC_IS_RECURSIVE(ht)) {
        php_libcache_throw(EVALUE, "an array that contains itself cannot be stored");
        return -1;
    }
    if (e->depth == DEPTH_MAX) {
        php_libcache_throw(EVALUE, "arrays nested deeper than %d cannot be stored", DEPTH_MAX);
        return -1;
    }
    if (guarded)
        GC_PROTECT_RECURSION(ht);
    e->depth++;
    if (zend_array_is_list(ht))
        done = write_list(e, ht);
    else
        done = (shape = begin_row(e, ht)) >= 0 ? write_row(e, ht, shape) : write_map(e, ht);
    e->depth--;
    if (guarded)
        GC_UNPROTECT_RECURSION(ht);
    return done;
}

static int write_item(struct encoding *e, zval *value)
{
    ZVAL_DEREF(value);
    if (UNEXPECTED(e->out->at - e->out->begin > UINT32_MAX / 4)) {
        php_libcache_throw(EVALUE, "a value of more than 1 GiB cannot be stored");
        return -1;
    }
    switch (Z_TYPE_P(value)) {
    case IS_STRING:
        if (Z_STRLEN_P(value) > UINT32_MAX / 4) {
            php_libcache_throw(EVALUE, "a string of more than 1 GiB cannot be stored");
            return -1;
        }
        write_string(e->out, Z_STR_P(value));
        return 1;
    case IS_LONG:
        write_long(e->out, Z_LVAL_P(value));
        return 1;
    case IS_ARRAY:
        return write_array(e, Z_ARR_P(value));
    case IS_DOUBLE:
        write_double(e->out, Z_DVAL_P(value));
        return 1;
    case IS_NULL: case IS_FALSE: case IS_TRUE:
        *out_room(e->out, 1) = (char)(Z_TYPE_P(value) == IS_NULL ? ITEM_NULL : Z_TYPE_P(value) == IS_TRUE ? ITEM_TRUE : ITEM_FALSE);
        e->out->at++;
        return 1;
    case IS_OBJECT:
        return 0;
    default:
        php_libcache_throw(EVALUE, "a %s cannot be stored", zend_zval_type_name(value));
        return -1;
    }
}

int native_encode(php_libcache_cache *c, zval *value, php_libcache_out *out)
{
    struct encoding e;

    e.c = c;
    e.out = out;
    e.depth = e.n_shapes = 0;
    *out_room(out, 1) = NATIVE_VERSION;
    out->at++;
    return write_item(&e, value);
}
