/*
 * Codec 16, PHP's native encoding: made to be read fast, and to be read safely whoever wrote it. SPDX-License-Identifier: MIT
 *
 *      version | item                                             numbers are little-endian, nothing is aligned
 *
 *      null, false, true
 *      int8 i8 | int32 i32 | int64 i64 | double f64
 *      str8 u8 bytes | str32 u32 bytes
 *      empty array
 *      list u32 n, n items                                        0 .. n-1, in order
 *      map  u32 n, n times: key item                              key: u32 size bytes, or 0xffffffff i64
 *      new row, shape, as many items as the shape has keys        a map with up to 64 keys of up to 255 bytes
 *      row u8, as many items                                      of a shape that came before in this value, by number
 *      same 0..3                                                  in a row: the value that the last row of this shape has here,
 *                                                                 or the one before it ...: a string, or an array of up to 16
 *                                                                 plain values (of more, sharing would make small bytes large)
 *
 *      shape:  u32 hint | u16 size of the rest | u8 n | n times u8 size | the keys' bytes
 *
 * There is one reader, and it checks everything: sizes, counts, depth, duplicate and numeric keys, so that bytes which came
 * from Redis (where others may write) are as safe as our own; L1 keeps copies of those, so no tier tells who wrote them.
 * What makes it fast all the same is that the costly checks are of shapes, and that a shape which was checked once is kept
 * (shapes.c) with its whole hash table, ready to be copied. That bytes are of a kept shape is decided by comparing them all;
 * the hint only says where to look, so a forged one costs time and nothing else. No hash value is taken from the bytes.
 */
#ifndef PHP_LIBCACHE_CODEC_H
#define PHP_LIBCACHE_CODEC_H
#include "php_libcache.h"

enum { CODEC_BYTES = 0, CODEC_TEXT = 1, CODEC_INT = 2, CODEC_MSGPACK = 3, CODEC_JSON = 4, CODEC_NATIVE = 16, CODEC_SERIALIZE = 17,
       CODEC_IGBINARY = 18 };

#define NATIVE_VERSION 1

enum native_item {
    ITEM_NULL, ITEM_FALSE, ITEM_TRUE, ITEM_INT8, ITEM_INT32, ITEM_INT64, ITEM_DOUBLE, ITEM_STR8, ITEM_STR32, ITEM_EMPTY,
    ITEM_LIST, ITEM_MAP, ITEM_NEW_ROW, ITEM_ROW, ITEM_SAME /* and so many more: SAME_ROWS in all */
};

#define SAME_ROWS 4u /* a power of two */
#define SAME_ITEMS 16

#define DEPTH_MAX 512
#define SHAPES_MAX 64     /* in one value */
#define SHAPE_KEYS_MAX 64
#define SHAPE_KEY_MAX 255
#define MAP_INT_KEY UINT32_MAX

/*
 * memcpy. Where the compiler knows anything of the size it makes `rep movs` of it, which takes several times as long for the few
 * bytes of a string or a small table: a third of the time of decoding rows.
 */
static zend_always_inline void copy_bytes(void *to, const void *from, size_t size)
{
    struct half {
        uint64_t word[2];
    } first, last;

    if (size >= 8 && size <= 32) { /* its two ends, which may overlap */
        if (size < 16) {
            memcpy(&first.word[0], from, 8);
            memcpy(&last.word[0], (const char *)from + size - 8, 8);
            memcpy(to, &first.word[0], 8);
            memcpy((char *)to + size - 8, &last.word[0], 8);
        } else {
            memcpy(&first, from, 16);
            memcpy(&last, (const char *)from + size - 16, 16);
            memcpy(to, &first, 16);
            memcpy((char *)to + size - 16, &last, 16);
        }
        return;
    }
    __asm__("" : "+r"(size));
    memcpy(to, from, size);
}

/* The rows of one shape that were the last, to be shared from. */
struct last_rows {
    HashTable *row[SAME_ROWS];
    uint32_t n; /* all that there were */
};

static zend_always_inline void last_rows_add(struct last_rows *last, HashTable *row)
{
    last->row[last->n++ % SAME_ROWS] = row;
}

/* The one before the last, k times. NULL: there were not so many. */
static zend_always_inline HashTable *last_rows_back(const struct last_rows *last, uint32_t k)
{
    return k < last->n ? last->row[(last->n - 1 - k) % SAME_ROWS] : NULL;
}

/* A list of keys, and a hash table with them, all values null. */
struct shape {
    HashTable ready;      /* of an array that is to be made; its data are copied */
    HashTable table;      /* the original */
    uint32_t hint, heat;
    uint16_t size;
    uint8_t n;
    bool kept;       /* in the thread's table, its keys immortal; else of one decoding */
    struct shape *next;   /* of those given up */
    unsigned char text[]; /* size bytes: n, sizes, keys */
};

/* The shape of these bytes (n and all that follows). NULL: they are none. One that is not kept is released after use. */
struct shape *shape_of(uint32_t hint, const unsigned char *text, size_t size);
void shape_release(struct shape *shape);
/* No shape is in use: those that were given up are freed. */
void shapes_tidy(zend_libcache_globals *g);
void shapes_end(zend_libcache_globals *g);

/* 1, 0: the value is to go through an object codec; -1: thrown. */
int native_encode(php_libcache_cache *c, zval *value, php_libcache_out *out);
/* 1, or 0: not of this codec. */
int native_decode(const char *bytes, size_t size, zval *out);

/* 1, or -1: thrown. */
int msgpack_encode(php_libcache_cache *c, zval *value, php_libcache_out *out);
int msgpack_decode(const char *bytes, size_t size, zval *out);

/* Whether the bytes are UTF-8. */
int is_utf8(const char *bytes, size_t size);

#endif
