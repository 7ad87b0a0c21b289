/* Cache: get and its kin. SPDX-License-Identifier: MIT */
#include "codec.h"

#include <math.h>

/* What a get gave, to PHP. 1: `out` has a value. */
static zend_always_inline int take_value(php_libcache_cache *c, php_libcache_reading *r, int result, zval *out)
{
    if (EXPECTED(result == LIBCACHE_HIT || result == LIBCACHE_STALE)) {
        c->last_error = 0;
        if (EXPECTED(php_libcache_decode(c, r, out)))
            return 1;
        c->last_error = EVALUE;
        return 0;
    }
    reading_end(r);
    if (result == LIBCACHE_NEGATIVE) {
        c->last_error = 0;
        ZVAL_NULL(out);
        return 1;
    }
    php_libcache_settle(c, result, "key");
    return 0;
}

/* ---- The memo ---- */

/*
 * Decoded arrays that this object has given out, with the version of the entry that they were. A get asks L1 whether the entry still
 * is that one, so what others change or invalidate is seen as it is without a memo. Arrays only: they are shared by
 * counting, and copied by who changes them; objects would be shared for good, and strings are as soon copied.
 */
struct remembered {
    zval value;
    uint64_t version;
};

#define MEMO_MAX 1024 /* then it begins anew */

static void forget(zval *entry)
{
    struct remembered *m = Z_PTR_P(entry);

    zval_ptr_dtor(&m->value);
    efree(m);
}

static void remember(php_libcache_cache *c, zend_string *key, uint64_t version, zval *value)
{
    struct remembered *m;

    if (!c->memo) {
        ALLOC_HASHTABLE(c->memo);
        zend_hash_init(c->memo, 16, NULL, forget, 0);
    }
    if (zend_hash_num_elements(c->memo) >= MEMO_MAX)
        zend_hash_clean(c->memo);
    m = emalloc(sizeof *m);
    ZVAL_COPY(&m->value, value);
    m->version = version;
    zend_hash_update_ptr(c->memo, key, m);
}

/* A get by the memo. 1: `out` has the value; 0: libcache_get knows. */
static int get_known(php_libcache_cache *c, zend_string *key, zval *out)
{
    struct remembered *m = c->memo ? zend_hash_find_ptr(c->memo, key) : NULL;
    php_libcache_reading r;

    reading_begin(&r);
    r.value.version = m ? m->version : 0;
    if (libcache_look(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), &r.value, LIBCACHE_VERSION) != LIBCACHE_HIT) {
        reading_end(&r);
        return 0;
    }
    c->last_error = 0;
    if (m && r.value.version == m->version) {
        ZVAL_COPY(out, &m->value);
        return 1;
    }
    if (!php_libcache_decode(c, &r, out))
        return 0;
    if (Z_TYPE_P(out) == IS_ARRAY && r.value.version && r.value.codec == CODEC_NATIVE)
        remember(c, key, r.value.version, out);
    return 1;
}

ZEND_METHOD(Libcache_Cache, get)
{
    php_libcache_cache *c = THIS_CACHE();
    php_libcache_reading r;
    zend_string *key;
    zval *absent = NULL;
    zend_long flags = 0;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(absent)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    if (UNEXPECTED(c->settings.memo) && !flags && (get_known(c, key, return_value) || EG(exception)))
        return;
    reading_begin(&r);
    result = libcache_get(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), &r.value, flags_of(flags));
    if (!take_value(c, &r, result, return_value) && !EG(exception)) {
        if (absent)
            RETURN_COPY(absent);
        RETURN_NULL();
    }
}

static double seconds_of(uint64_t ms)
{
    return ms == LIBCACHE_FOREVER ? ZEND_INFINITY : (double)ms / 1000;
}

ZEND_METHOD(Libcache_Cache, getTimed)
{
    php_libcache_cache *c = THIS_CACHE();
    php_libcache_reading r;
    zend_string *key;
    zval *age = NULL, *ttl_left = NULL;
    zend_long flags = 0;
    uint64_t age_ms, left_ms;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 4)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(age)
        Z_PARAM_ZVAL(ttl_left)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    reading_begin(&r);
    result = libcache_get(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), &r.value, flags_of(flags) | LIBCACHE_TIMES);
    age_ms = r.value.age_ms;
    left_ms = r.value.ttl_left_ms;
    if (take_value(c, &r, result, return_value)) {
        if (age)
            ZEND_TRY_ASSIGN_REF_DOUBLE(age, seconds_of(age_ms));
        if (ttl_left)
            ZEND_TRY_ASSIGN_REF_DOUBLE(ttl_left, seconds_of(left_ms));
        return;
    }
    if (EG(exception))
        RETURN_THROWS();
    if (age)
        ZEND_TRY_ASSIGN_REF_NULL(age);
    if (ttl_left)
        ZEND_TRY_ASSIGN_REF_NULL(ttl_left);
}

ZEND_METHOD(Libcache_Cache, getMany)
{
    php_libcache_cache *c = THIS_CACHE();
    HashTable *given;
    zval *absent = NULL;
    zend_long flags = 0;
    php_libcache_keys keys;
    php_libcache_reading *r;
    libcache_value *values;
    int *results, result, fault = 0, bailed = 0;

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_ARRAY_HT(given)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(absent)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    if (!php_libcache_keys_read(&keys, given))
        RETURN_THROWS();
    r = safe_emalloc(keys.n, sizeof *r + sizeof *values + sizeof *results, 1);
    values = (libcache_value *)(void *)(r + keys.n);
    results = (int *)(void *)(values + keys.n);
    for (size_t i = 0; i < keys.n; i++) {
        reading_begin(&r[i]);
        r[i].scratch = 0;
        r[i].guarded = 1;
        values[i] = r[i].value;
    }
    array_init_size(return_value, (uint32_t)keys.n);
    result = libcache_get_many(c->ns, keys.slice, keys.n, values, results, NULL, flags_of(flags));
    for (size_t i = 0; i < keys.n; i++)
        bailed |= r[i].bailed;
    if (bailed)
        zend_bailout();
    if (result == LIBCACHE_EINVAL) /* of the call as a whole: there are no results */
        php_libcache_settle(c, result, "getMany");
    for (size_t i = 0; i < keys.n && !EG(exception); i++) {
        zval value;
        int found;
        r[i].value = values[i];
        found = take_value(c, &r[i], results[i], &value);
        if (c->last_error)
            fault = c->last_error;
        if (!found && absent && !EG(exception)) {
            ZVAL_COPY(&value, absent);
            found = 1;
        }
        if (found)
            zend_symtable_update(Z_ARRVAL_P(return_value), keys.name[i], &value);
    }
    c->last_error = fault;
    for (size_t i = 0; i < keys.n; i++)
        reading_end(&r[i]);
    efree(r);
    php_libcache_keys_free(&keys);
}

ZEND_METHOD(Libcache_Cache, has)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zend_long flags = 0;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    result = libcache_exists(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), flags_of(flags));
    php_libcache_settle(c, result, "key");
    RETURN_BOOL(result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE);
}

ZEND_METHOD(Libcache_Cache, ttlLeft)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zend_long flags = 0;
    uint64_t ms = 0;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    result = libcache_ttl_left(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), &ms, flags_of(flags));
    php_libcache_settle(c, result, "key");
    if (result != LIBCACHE_OK)
        RETURN_NULL();
    RETURN_DOUBLE(seconds_of(ms));
}
