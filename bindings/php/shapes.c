/*
 * Shapes that this thread knows. SPDX-License-Identifier: MIT
 *
 *      shapes[hint & mask] --> shape: its bytes | a hash table with the keys in place, ready to be copied
 *      keys                    the strings that kept shapes use: immortal, like interned ones, so that nobody counts references
 *                              to them and PHP frees an array of a kept shape without looking at its keys
 *
 * A shape is kept from its second sight on: maps with keys of their own come once, rows come again. A kept one gives way to
 * another only after as many of those as it had hits, up to HEAT_MAX. Keys stay until the thread ends, for arrays
 * point to them; there are KEYS_MAX at most, after which no new shape is kept if it needs another key.
 */
#include "codec.h"

#define HEAT_MAX 15
#define KEYS_MAX 8192

/* ---- Keys ---- */

/* The table's own keys are the same strings: as they count as interned, it does not look at them again. */
static void free_key(zval *key)
{
    free(Z_PTR_P(key));
}

/* The immortal string of these bytes, or NULL. */
static zend_string *immortal_key(zend_libcache_globals *g, const char *bytes, size_t size)
{
    zend_string *key;

    if (!g->keys) {
        g->keys = pemalloc(sizeof *g->keys, 1);
        zend_hash_init(g->keys, 256, NULL, free_key, 1);
    }
    key = zend_hash_str_find_ptr(g->keys, bytes, size);
    if (key || zend_hash_num_elements(g->keys) >= KEYS_MAX)
        return key;
    key = zend_string_init(bytes, size, 1);
    zend_string_hash_val(key);
    GC_SET_REFCOUNT(key, 1);
    GC_TYPE_INFO(key) = GC_STRING | ((IS_STR_INTERNED | IS_STR_PERMANENT | IS_STR_PERSISTENT) << GC_FLAGS_SHIFT);
    zend_hash_add_new_ptr(g->keys, key, key);
    return key;
}

/* ---- One shape ---- */

static void free_shape(struct shape *s)
{
    zend_hash_destroy(&s->table);
    pefree(s, s->kept);
}

void shape_release(struct shape *s)
{
    if (!s->kept)
        free_shape(s);
}

/* 1: the sizes add up. */
static int is_whole(const unsigned char *text, size_t size)
{
    size_t n, sum;

    if (!size || !text[0] || text[0] > SHAPE_KEYS_MAX)
        return 0;
    n = text[0];
    sum = 1 + n;
    for (size_t i = 1; i <= n && i < size; i++)
        sum += text[i];
    return sum == size;
}

/* Checks all, and makes the table. NULL: it is none, or (kept) there is no room for its keys. */
static struct shape *make(zend_libcache_globals *g, uint32_t hint, const unsigned char *text, size_t size, int kept)
{
    const char *bytes = (const char *)text + 1 + text[0];
    zend_ulong number;
    struct shape *s;
    zval null;

    s = pemalloc(sizeof *s + size, kept);
    memset(s, 0, sizeof *s);
    s->hint = hint;
    s->size = (uint16_t)size;
    s->n = text[0];
    s->kept = kept != 0;
    memcpy(s->text, text, size);
    zend_hash_init(&s->table, s->n, NULL, NULL, kept);
    zend_hash_real_init_mixed(&s->table);
    ZVAL_NULL(&null);
    for (size_t i = 0; i < s->n; bytes += text[1 + i++]) {
        size_t length = text[1 + i];
        zend_string *key = NULL;
        zval *added = NULL;
        if (!ZEND_HANDLE_NUMERIC_STR(bytes, length, number))
            key = kept ? immortal_key(g, bytes, length) : length ? zend_string_init(bytes, length, 0) : ZSTR_EMPTY_ALLOC();
        if (key)
            added = zend_hash_add(&s->table, key, &null);
        if (key && !kept)
            zend_string_release(key);
        if (!added) {
            free_shape(s);
            return NULL;
        }
    }
    memcpy(&s->ready, &s->table, sizeof s->ready);
    GC_SET_REFCOUNT(&s->ready, 1);
    GC_TYPE_INFO(&s->ready) = GC_ARRAY;
    s->ready.pDestructor = ZVAL_PTR_DTOR;
    return s;
}

/* ---- The thread's table ---- */

struct shape *shape_of(uint32_t hint, const unsigned char *text, size_t size)
{
    zend_libcache_globals *g = ZEND_MODULE_GLOBALS_BULK(libcache);
    struct shape **slot = &g->shapes[hint % SHAPE_SLOTS].shape, *s = *slot;
    uint32_t *seen = &g->shapes[hint % SHAPE_SLOTS].seen;

    if (EXPECTED(s && s->hint == hint && s->size == size && !memcmp(s->text, text, size))) {
        s->heat += s->heat < HEAT_MAX;
        return s;
    }
    if (!is_whole(text, size))
        return NULL;
    if (*seen != hint) {
        *seen = hint;
        return make(g, hint, text, size, 0);
    }
    if (s && s->heat) {
        s->heat--;
        return make(g, hint, text, size, 0);
    }
    s = make(g, hint, text, size, 1);
    if (!s)
        return make(g, hint, text, size, 0);
    if (*slot) { /* somebody may be using it */
        (*slot)->next = g->given_up;
        g->given_up = *slot;
    }
    *slot = s;
    return s;
}

void shapes_tidy(zend_libcache_globals *g)
{
    while (g->given_up) {
        struct shape *s = g->given_up;
        g->given_up = s->next;
        free_shape(s);
    }
}

void shapes_end(zend_libcache_globals *g)
{
    for (size_t i = 0; i < SHAPE_SLOTS; i++)
        if (g->shapes[i].shape)
            free_shape(g->shapes[i].shape);
    memset(g->shapes, 0, sizeof g->shapes);
    shapes_tidy(g);
    if (g->keys) {
        zend_hash_destroy(g->keys);
        pefree(g->keys, 1);
        g->keys = NULL;
    }
}
