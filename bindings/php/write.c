/* Cache: set and its kin. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

/* What a change is made with. */
struct writing {
    libcache_set_options options;
    php_libcache_tags tags;
};

/* 1; 0: thrown; -1: a ttl that is over. Only what is used is written: tags are large. */
static zend_always_inline int begin(struct writing *w, zval *ttl, HashTable *tags, zend_long flags)
{
    int known = 1;

    memset(&w->options, 0, sizeof w->options);
    w->options.struct_size = sizeof w->options;
    w->options.flags = flags_of(flags);
    w->tags.n = 0;
    if (ttl)
        known = php_libcache_time(ttl, "ttl", &w->options.ttl_ms);
    if (tags && zend_hash_num_elements(tags)) {
        zval list;
        ZVAL_ARR(&list, tags);
        if (!php_libcache_tags_add(&w->tags, &list))
            return 0;
        w->options.tags = w->tags.slice;
        w->options.n_tags = w->tags.n;
    }
    return known;
}

static zend_always_inline void end(struct writing *w)
{
    if (w->tags.n)
        php_libcache_tags_free(&w->tags);
}

/* The flags that a delete shares with a set. */
static int drop(php_libcache_cache *c, zend_string *key, zend_long flags)
{
    return libcache_delete(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), flags_of(flags));
}

static void store(INTERNAL_FUNCTION_PARAMETERS, int adding)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zval *value, *ttl = NULL;
    HashTable *tags = NULL;
    zend_long flags = 0;
    struct writing w;
    php_libcache_out out;
    libcache_slice bytes;
    int known, result;

    ZEND_PARSE_PARAMETERS_START(2, 5)
        Z_PARAM_STR(key)
        Z_PARAM_ZVAL(value)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    known = begin(&w, ttl, tags, flags);
    out_begin(&out);
    if (known && php_libcache_encode(c, value, &out, &bytes, &w.options.codec)) {
        if (known < 0)
            result = adding ? LIBCACHE_EXISTS : drop(c, key, flags);
        else
            result = adding ? libcache_add(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), bytes.data, bytes.size, &w.options)
                            : libcache_set(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), bytes.data, bytes.size, &w.options);
        RETVAL_BOOL(php_libcache_settle(c, result, "set") && (!adding || result == LIBCACHE_OK));
    }
    out_end(&out);
    end(&w);
}

ZEND_METHOD(Libcache_Cache, set)
{
    store(INTERNAL_FUNCTION_PARAM_PASSTHRU, 0);
}

ZEND_METHOD(Libcache_Cache, add)
{
    store(INTERNAL_FUNCTION_PARAM_PASSTHRU, 1);
}

ZEND_METHOD(Libcache_Cache, setMissing)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zval *ttl = NULL;
    HashTable *tags = NULL;
    zend_long flags = 0;
    struct writing w;
    int known, result;

    ZEND_PARSE_PARAMETERS_START(1, 4)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    known = begin(&w, ttl, tags, flags);
    if (known) {
        w.options.flags |= LIBCACHE_NEG;
        result = known < 0 ? drop(c, key, flags) : libcache_set(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), NULL, 0, &w.options);
        RETVAL_BOOL(php_libcache_settle(c, result, "setMissing"));
    }
    end(&w);
}

/* A value of setMany, until all are stored. */
struct kept {
    libcache_set_options options;
    php_libcache_out out;
    zval value; /* held: PHP code of the next value's may change what a reference has */
};

#define AT_ONCE 64

/* Stores up to AT_ONCE items, and lets go of them. */
static void set_some(php_libcache_cache *c, libcache_item *items, zend_string **names, struct kept *kept, size_t n, int *fault)
{
    if (n && !EG(exception)) {
        libcache_set_many(c->ns, items, n);
        for (size_t i = 0; i < n && !EG(exception); i++) {
            if (!php_libcache_settle(c, items[i].result, ZSTR_VAL(names[i])))
                *fault = items[i].result;
        }
    }
    for (size_t i = 0; i < n; i++) {
        out_end(&kept[i].out);
        zval_ptr_dtor(&kept[i].value);
        zend_string_release(names[i]);
    }
}

static int set_all(php_libcache_cache *c, HashTable *given, struct writing *w, int *fault)
{
    struct kept *kept = safe_emalloc(AT_ONCE, sizeof *kept, 0);
    libcache_item items[AT_ONCE];
    zend_string *names[AT_ONCE], *key;
    zend_ulong number;
    zval *value;
    size_t n = 0;
    int ok = 1;

    ZEND_HASH_FOREACH_KEY_VAL(given, number, key, value) {
        if (n == AT_ONCE) {
            set_some(c, items, names, kept, n, fault);
            n = 0;
        }
        if (EG(exception))
            break;
        memset(&items[n], 0, sizeof items[n]);
        names[n] = key ? zend_string_copy(key) : zend_long_to_str((zend_long)number);
        kept[n].options = w->options;
        out_begin(&kept[n].out);
        items[n].key = (libcache_slice){ ZSTR_VAL(names[n]), ZSTR_LEN(names[n]) };
        items[n].options = &kept[n].options;
        ZVAL_COPY_DEREF(&kept[n].value, value);
        ok = php_libcache_encode(c, &kept[n].value, &kept[n].out, &items[n].value, &kept[n].options.codec);
        n++;
        if (!ok)
            break;
    } ZEND_HASH_FOREACH_END();
    set_some(c, items, names, kept, n, fault);
    efree(kept);
    return ok;
}

/* What is stored with a ttl that is over, goes. */
static void drop_all(php_libcache_cache *c, HashTable *given, zend_long flags, int *fault)
{
    zend_ulong number;
    zend_string *key;

    ZEND_HASH_FOREACH_KEY(given, number, key) {
        zend_string *name = key ? zend_string_copy(key) : zend_long_to_str((zend_long)number);
        if (!php_libcache_settle(c, drop(c, name, flags), "setMany"))
            *fault = c->last_error;
        zend_string_release(name);
        if (EG(exception))
            break;
    } ZEND_HASH_FOREACH_END();
}

ZEND_METHOD(Libcache_Cache, setMany)
{
    php_libcache_cache *c = THIS_CACHE();
    HashTable *given, *tags = NULL;
    zval *ttl = NULL;
    zend_long flags = 0;
    struct writing w;
    int known, fault = 0;

    ZEND_PARSE_PARAMETERS_START(1, 4)
        Z_PARAM_ARRAY_HT(given)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    c->last_error = 0;
    known = begin(&w, ttl, tags, flags);
    if (known > 0)
        set_all(c, given, &w, &fault);
    else if (known < 0)
        drop_all(c, given, flags, &fault);
    end(&w);
    if (EG(exception))
        RETURN_THROWS();
    c->last_error = fault;
    RETURN_BOOL(!fault);
}

ZEND_METHOD(Libcache_Cache, delete)
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
    result = drop(c, key, flags);
    php_libcache_settle(c, result, "key");
    RETURN_BOOL(result == LIBCACHE_OK);
}

ZEND_METHOD(Libcache_Cache, deleteMany)
{
    php_libcache_cache *c = THIS_CACHE();
    HashTable *given;
    zend_long flags = 0;
    php_libcache_keys keys;
    size_t deleted = 0;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_ARRAY_HT(given)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    if (!php_libcache_keys_read(&keys, given))
        RETURN_THROWS();
    result = libcache_delete_many(c->ns, keys.slice, keys.n, &deleted, flags_of(flags));
    php_libcache_keys_free(&keys);
    php_libcache_settle(c, result, "deleteMany");
    RETURN_LONG((zend_long)deleted);
}

static void count(INTERNAL_FUNCTION_PARAMETERS, int down)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zval *ttl = NULL;
    HashTable *tags = NULL;
    zend_long by = 1, flags = 0;
    struct writing w;
    int64_t now = 0;
    int known, result;

    ZEND_PARSE_PARAMETERS_START(1, 5)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(by)
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    known = begin(&w, ttl, tags, flags);
    if (known < 0)
        php_libcache_throw(LIBCACHE_EINVAL, "ttl: 0 or less");
    if (known > 0) {
        w.options.codec = 2; /* a whole number, see docs/values.md */
        result = down ? libcache_decrement(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), by, &w.options, &now)
                      : libcache_increment(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), by, &w.options, &now);
        if (php_libcache_settle(c, result, "increment"))
            RETVAL_LONG(now);
        else
            RETVAL_FALSE;
    }
    end(&w);
}

ZEND_METHOD(Libcache_Cache, increment)
{
    count(INTERNAL_FUNCTION_PARAM_PASSTHRU, 0);
}

ZEND_METHOD(Libcache_Cache, decrement)
{
    count(INTERNAL_FUNCTION_PARAM_PASSTHRU, 1);
}

ZEND_METHOD(Libcache_Cache, touch)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *key;
    zval *ttl = NULL;
    zend_long flags = 0;
    uint64_t ms;
    int known, result;

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    known = php_libcache_time(ttl, "ttl", &ms);
    if (!known)
        RETURN_THROWS();
    result = known < 0 ? drop(c, key, flags) : libcache_touch(c->ns, ZSTR_VAL(key), ZSTR_LEN(key), ms, flags_of(flags));
    php_libcache_settle(c, result, "key");
    RETURN_BOOL(result == LIBCACHE_OK);
}
