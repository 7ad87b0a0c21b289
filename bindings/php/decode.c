/* Reading the native encoding (codec.h). Runs no PHP code; never trusts a byte. SPDX-License-Identifier: MIT */
#include "codec.h"

struct decoding {
    const unsigned char *at, *end;
    unsigned depth, n_shapes;
    size_t owed; /* bytes that the lists and maps around this item need at least after it: no byte may be counted on twice */
    struct {
        struct shape *shape;
        struct last_rows last;
    } shapes[SHAPES_MAX];
};

static zend_always_inline size_t left(const struct decoding *d)
{
    return (size_t)(d->end - d->at);
}

/* Whether there may be n items of so many bytes at least. */
static zend_always_inline int may_hold(const struct decoding *d, uint32_t n, size_t size)
{
    return n && n <= left(d) / size && left(d) - n * size >= d->owed;
}

static zend_always_inline uint32_t u32_at(const unsigned char *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof n);
#ifdef WORDS_BIGENDIAN
    n = __builtin_bswap32(n);
#endif
    return n;
}

static zend_always_inline uint64_t u64_at(const unsigned char *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof n);
#ifdef WORDS_BIGENDIAN
    n = __builtin_bswap64(n);
#endif
    return n;
}

static int read_item(struct decoding *d, zval *out);
static int read_deep(struct decoding *d, zval *out);
static int read_row(struct decoding *d, unsigned number, zval *out);

/* A string of so many bytes; NULL: no memory. For short ones the size is a constant to the allocator, which is then much faster. */
static zend_always_inline zend_string *new_string(size_t size)
{
    zend_string *s;

    switch ((_ZSTR_HEADER_SIZE + size) / 8) {
    case 3: s = emalloc(32); break;
    case 4: s = emalloc(40); break;
    case 5: s = emalloc(48); break;
    case 6: s = emalloc(56); break;
    default: return size < 65536 ? zend_string_alloc(size, 0) : php_libcache_string(size);
    }
    GC_SET_REFCOUNT(s, 1);
    GC_TYPE_INFO(s) = GC_STRING;
    ZSTR_H(s) = 0;
    ZSTR_LEN(s) = size;
    return s;
}

/* Those two work on a copy of the place, which the compiler keeps in a register. */
static zend_always_inline int read_string(const unsigned char **at, const unsigned char *end, size_t size, zval *out)
{
    const unsigned char *p = *at;

    if (UNEXPECTED((size_t)(end - p) < size))
        return 0;
    *at = p + size;
    if (EXPECTED(size > 1)) {
        zend_string *s = new_string(size);
        if (UNEXPECTED(!s))
            return 0;
        copy_bytes(ZSTR_VAL(s), p, size);
        ZSTR_VAL(s)[size] = '\0';
        ZVAL_NEW_STR(out, s);
    } else if (size) {
        ZVAL_INTERNED_STR(out, ZSTR_CHAR(*p));
    } else {
        ZVAL_EMPTY_STRING(out);
    }
    return 1;
}

/* What can be read with a few bytes; 2: it is something else. */
static zend_always_inline int read_simple(const unsigned char **at, const unsigned char *end, zval *out)
{
    const unsigned char *p = *at;
    size_t n = (size_t)(end - p);

    if (UNEXPECTED(n < 2)) { /* at the very end: what has no bytes of its own */
        if (!n || (*p != ITEM_NULL && *p != ITEM_FALSE && *p != ITEM_TRUE && *p != ITEM_EMPTY && *p < ITEM_SAME))
            return 0;
    }
    switch (*p) {
    case ITEM_NULL: *at = p + 1; ZVAL_NULL(out); return 1;
    case ITEM_FALSE: *at = p + 1; ZVAL_FALSE(out); return 1;
    case ITEM_TRUE: *at = p + 1; ZVAL_TRUE(out); return 1;
    case ITEM_EMPTY: *at = p + 1; ZVAL_EMPTY_ARRAY(out); return 1;
    case ITEM_INT8:
        *at = p + 2;
        ZVAL_LONG(out, (signed char)p[1]);
        return 1;
    case ITEM_INT32:
        if (UNEXPECTED(n < 5))
            return 0;
        *at = p + 5;
        ZVAL_LONG(out, (int32_t)u32_at(p + 1));
        return 1;
    case ITEM_INT64:
        if (UNEXPECTED(n < 9))
            return 0;
        *at = p + 9;
        ZVAL_LONG(out, (zend_long)u64_at(p + 1));
        return 1;
    case ITEM_DOUBLE: {
        uint64_t bits;
        double value;
        if (UNEXPECTED(n < 9))
            return 0;
        *at = p + 9;
        bits = u64_at(p + 1);
        memcpy(&value, &bits, sizeof value);
        ZVAL_DOUBLE(out, value);
        return 1;
    }
    case ITEM_STR8:
        *at = p + 2;
        return read_string(at, end, p[1], out);
    case ITEM_STR32:
        if (UNEXPECTED(n < 5))
            return 0;
        *at = p + 5;
        return read_string(at, end, u32_at(p + 1), out);
    default:
        return 2;
    }
}

/* Where item i of a packed array goes. */
static zend_always_inline zval *list_slot(zend_array *list, uint32_t i)
{
#if PHP_VERSION_ID >= 80200
    return list->arPacked + i;
#else
    list->arData[i].h = i;
    list->arData[i].key = NULL;
    return &list->arData[i].val;
#endif
}

/* What read_simple left over at `at`: rows at once, the rest the long way. Gives the place after it; NULL: it is unreadable. */
static zend_always_inline const unsigned char *read_further(struct decoding *d, const unsigned char *at, zval *out)
{
    int how;

    if (EXPECTED(*at == ITEM_ROW && d->end - at >= 2 && at[1] < d->n_shapes && d->depth < DEPTH_MAX)) {
        d->at = at + 2;
        d->depth++;
        how = read_row(d, at[1], out);
        d->depth--;
    } else {
        d->at = at;
        how = read_deep(d, out);
    }
    return how ? d->at : NULL;
}

static int read_list(struct decoding *d, zval *out)
{
    const unsigned char *at;
    uint32_t n, i = 0;
    zend_array *list;

    if (left(d) < 5)
        return 0;
    n = u32_at(d->at + 1);
    d->at += 5;
    if (!may_hold(d, n, 1))
        return 0;
    list = zend_new_array(n);
    zend_hash_real_init_packed(list);
    for (at = d->at; i < n; i++) {
        zval *to = list_slot(list, i);
        int how = read_simple(&at, d->end, to);
        if (EXPECTED(how == 1))
            continue;
        if (!how)
            break;
        d->owed += n - i - 1;
        at = read_further(d, at, to);
        d->owed -= n - i - 1;
        if (!at)
            break;
    }
    d->at = at;
    list->nNumUsed = list->nNumOfElements = i;
    list->nNextFreeElement = i;
    if (i < n) {
        zend_array_destroy(list);
        return 0;
    }
    ZVAL_ARR(out, list);
    return 1;
}

static int read_entry(struct decoding *d, zend_array *map)
{
    zend_ulong number;
    uint32_t size;
    zval item, *added;

    if (left(d) < 4)
        return 0;
    size = u32_at(d->at);
    d->at += 4;
    if (size == MAP_INT_KEY) {
        if (left(d) < 8)
            return 0;
        number = (zend_ulong)u64_at(d->at);
        d->at += 8;
        if (!read_item(d, &item))
            return 0;
        added = zend_hash_index_add(map, number, &item);
    } else {
        const char *bytes = (const char *)d->at;
        zend_string *key;
        if (left(d) < size || ZEND_HANDLE_NUMERIC_STR(bytes, size, number))
            return 0;
        d->at += size;
        if (!read_item(d, &item))
            return 0;
        key = size > 1 ? zend_string_init(bytes, size, 0) : size ? ZSTR_CHAR((unsigned char)*bytes) : ZSTR_EMPTY_ALLOC();
        added = zend_hash_add(map, key, &item);
        zend_string_release(key);
    }
    if (!added)
        zval_ptr_dtor_nogc(&item);
    return added != NULL;
}

#define MAP_ENTRY_MIN ((size_t)5) /* an empty key and an item */

static int read_map(struct decoding *d, zval *out)
{
    uint32_t n;
    zend_array *map;

    if (left(d) < 5)
        return 0;
    n = u32_at(d->at + 1);
    d->at += 5;
    if (!may_hold(d, n, MAP_ENTRY_MIN))
        return 0;
    map = zend_new_array(n);
    zend_hash_real_init_mixed(map);
    while (n--) {
        int how;
        d->owed += n * MAP_ENTRY_MIN;
        how = read_entry(d, map);
        d->owed -= n * MAP_ENTRY_MIN;
        if (UNEXPECTED(!how)) {
            zend_array_destroy(map);
            return 0;
        }
    }
    ZVAL_ARR(out, map);
    return 1;
}

/* The bytes of a shape at `at`. 0: there is none, or too many. */
static int read_shape(struct decoding *d)
{
    struct shape *shape;
    uint32_t hint;
    size_t size;

    if (left(d) < 7 || d->n_shapes == SHAPES_MAX)
        return 0;
    hint = u32_at(d->at + 1);
    size = (size_t)(d->at[5] | d->at[6] << 8);
    d->at += 7;
    if (left(d) < size)
        return 0;
    shape = shape_of(hint, d->at, size);
    d->at += size;
    if (!shape)
        return 0;
    d->shapes[d->n_shapes].shape = shape;
    d->shapes[d->n_shapes++].last.n = 0;
    return 1;
}

#define SMALL_TABLE HT_SIZE_EX(HT_MIN_SIZE, HT_SIZE_TO_MASK(HT_MIN_SIZE))

/* An array of a shape, all its values null. */
static zend_always_inline zend_array *new_row(const struct shape *s)
{
    zend_array *row = emalloc(sizeof *row);
    const HashTable *table = &s->table;
    void *data;

    if (EXPECTED(table->nTableSize == HT_MIN_SIZE)) { /* a constant: much faster */
        data = emalloc(SMALL_TABLE);
        copy_bytes(data, HT_GET_DATA_ADDR(table), HT_USED_SIZE(table));
    } else {
        data = emalloc(HT_SIZE(table));
        memcpy(data, HT_GET_DATA_ADDR(table), HT_USED_SIZE(table));
    }
    memcpy(row, &s->ready, sizeof *row);
    HT_SET_DATA_ADDR(row, data);
    if (UNEXPECTED(!s->kept))
        for (uint32_t i = 0; i < s->n; i++)
            zend_string_addref(row->arData[i].key);
    return row;
}

/* Of arrays in arrays that share arrays, a few bytes could make a value that nobody can walk through. */
static zend_always_inline int may_share(zval *value)
{
    zval *item;

    if (EXPECTED(Z_TYPE_P(value) == IS_STRING))
        return 1;
    if (Z_TYPE_P(value) != IS_ARRAY || zend_hash_num_elements(Z_ARRVAL_P(value)) > SAME_ITEMS)
        return 0;
    ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(value), item) {
        if (Z_TYPE_P(item) == IS_ARRAY)
            return 0;
    } ZEND_HASH_FOREACH_END();
    return 1;
}

static int read_row(struct decoding *d, unsigned number, zval *out)
{
    const struct shape *shape = d->shapes[number].shape;
    zend_array *row = new_row(shape);
    const unsigned char *at = d->at;
    uint32_t n = shape->n;

    for (uint32_t i = 0; i < n; i++) {
        zval *to = &row->arData[i].val; /* its `next` is the hash chain's, and stays */
        int how = read_simple(&at, d->end, to);
        if (EXPECTED(how == 1))
            continue;
        if (how == 2 && *at >= ITEM_SAME) {
            const HashTable *last = last_rows_back(&d->shapes[number].last, *at - ITEM_SAME);
            how = *at < ITEM_SAME + SAME_ROWS && last && may_share(&last->arData[i].val);
            if (how)
                ZVAL_COPY(to, &last->arData[i].val);
            at++;
        } else if (how == 2) {
            how = (at = read_further(d, at, to)) != NULL;
        }
        if (UNEXPECTED(!how)) {
            ZVAL_NULL(to);
            zend_array_destroy(row);
            return 0;
        }
    }
    d->at = at;
    last_rows_add(&d->shapes[number].last, row);
    ZVAL_ARR(out, row);
    return 1;
}

static int read_nested(struct decoding *d, zval *out)
{
    switch (*d->at) {
    case ITEM_LIST:
        return read_list(d, out);
    case ITEM_MAP:
        return read_map(d, out);
    case ITEM_NEW_ROW:
        return read_shape(d) && read_row(d, d->n_shapes - 1, out);
    case ITEM_ROW:
        if (left(d) < 2 || d->at[1] >= d->n_shapes)
            return 0;
        d->at += 2;
        return read_row(d, d->at[-1], out);
    default:
        return 0;
    }
}

static int read_deep(struct decoding *d, zval *out)
{
    int how;

    if (UNEXPECTED(d->depth == DEPTH_MAX))
        return 0;
    d->depth++;
    how = read_nested(d, out);
    d->depth--;
    return how;
}

static int read_item(struct decoding *d, zval *out)
{
    int how = read_simple(&d->at, d->end, out);

    return how != 2 ? how : read_deep(d, out);
}

int native_decode(const char *bytes, size_t size, zval *out)
{
    zend_libcache_globals *g = ZEND_MODULE_GLOBALS_BULK(libcache);
    struct decoding d;
    int whole;

    if (UNEXPECTED(g->given_up))
        shapes_tidy(g);
    d.at = (const unsigned char *)bytes;
    d.end = d.at + size;
    d.depth = d.n_shapes = 0;
    d.owed = 0;
    if (!size || *d.at++ != NATIVE_VERSION)
        return 0;
    whole = read_item(&d, out);
    if (whole && d.at != d.end) {
        zval_ptr_dtor_nogc(out);
        whole = 0;
    }
    for (unsigned i = 0; i < d.n_shapes; i++)
        shape_release(d.shapes[i].shape);
    return whole;
}
