/* Cache: opening, views of namespaces, invalidating, statistics. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

#include "zend_exceptions.h"

static zend_object_handlers handlers;

/* ---- Errors ---- */

void php_libcache_throw(int code, const char *format, ...)
{
    va_list args;
    char text[512];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    zend_throw_exception(php_libcache_exception_ce, text, code);
}

static int is_misuse(int code)
{
    switch (code) {
    case LIBCACHE_EINVAL: case LIBCACHE_EKEY: case LIBCACHE_ETAG: case LIBCACHE_ENUMBER: case LIBCACHE_EOVERFLOW:
    case LIBCACHE_EPOLICY: case LIBCACHE_ENAME: case LIBCACHE_EUNSUPPORTED:
        return 1;
    default:
        return 0;
    }
}

int php_libcache_settle(php_libcache_cache *c, int result, const char *what)
{
    if (EXPECTED(result >= 0)) {
        c->last_error = 0;
        return 1;
    }
    c->last_error = result;
    if (is_misuse(result) && !EG(exception))
        php_libcache_throw(result, "%s: %s", what, libcache_describe(result));
    return 0;
}

/* ---- Objects ---- */

zend_object *php_libcache_cache_new(zend_class_entry *ce)
{
    php_libcache_cache *c = zend_object_alloc(sizeof *c, ce);

    memset(c, 0, offsetof(php_libcache_cache, std));
    zend_object_std_init(&c->std, ce);
    object_properties_init(&c->std, ce);
    c->std.handlers = &handlers;
    return &c->std;
}

static void free_cache(zend_object *object)
{
    php_libcache_cache *c = php_libcache_from(object);

    if (c->memo) {
        zend_hash_destroy(c->memo);
        FREE_HASHTABLE(c->memo);
    }
    if (c->settings.allowed)
        zend_array_release(c->settings.allowed);
    if (c->name)
        zend_string_release(c->name);
    php_libcache_handle_release(c->handle);
    zend_object_std_dtor(object);
}

void php_libcache_cache_start(void)
{
    memcpy(&handlers, &std_object_handlers, sizeof handlers);
    handlers.offset = offsetof(php_libcache_cache, std);
    handlers.free_obj = free_cache;
    handlers.clone_obj = NULL;
}

/* A view of a namespace, in `out`. Takes over the use of the handle. */
static void make_view(zval *out, php_libcache_handle *handle, zend_string *name, HashTable *given)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT, *said = NULL;
    libcache_error error = { 0, "" };
    php_libcache_cache *c;
    int result;

    object_init_ex(out, php_libcache_cache_ce);
    c = php_libcache_from(Z_OBJ_P(out));
    c->handle = handle;
    c->name = zend_string_copy(name);
    if (given) {
        libcache_policy none = LIBCACHE_POLICY_INIT;
        if (!php_libcache_policy_read(given, &policy, &c->settings))
            return;
        said = memcmp(&policy, &none, sizeof none) ? &policy : NULL;
    }
    if (has_zero_byte(name)) {
        php_libcache_throw(LIBCACHE_ENAME, "namespace: its name has a zero byte");
        return;
    }
    result = libcache_open_namespace(&c->ns, handle->cache, ZSTR_VAL(name), said, &error);
    if (result != LIBCACHE_OK)
        php_libcache_throw(result, "%s", error.text[0] ? error.text : libcache_describe(result));
}

static void give_view(zval *return_value)
{
    if (EG(exception)) {
        zval_ptr_dtor(return_value);
        ZVAL_NULL(return_value);
    }
}

ZEND_METHOD(Libcache_Cache, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(Libcache_Cache, open)
{
    HashTable *options = NULL;
    zval *name = NULL, *policy = NULL;
    zend_string *space;
    php_libcache_handle *handle;
    size_t own;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ARRAY_HT(options)
    ZEND_PARSE_PARAMETERS_END();

    if (options) {
        name = zend_hash_str_find_deref(options, ZEND_STRL("namespace"));
        policy = zend_hash_str_find_deref(options, ZEND_STRL("policy"));
        if (name && Z_TYPE_P(name) == IS_NULL)
            name = NULL;
        if (policy && Z_TYPE_P(policy) == IS_NULL)
            policy = NULL;
        own = zend_hash_num_elements(options) - zend_hash_str_exists(options, ZEND_STRL("namespace")) -
              zend_hash_str_exists(options, ZEND_STRL("policy"));
        if (!own)
            options = NULL;
    }
    if ((name && Z_TYPE_P(name) != IS_STRING) || (policy && Z_TYPE_P(policy) != IS_ARRAY)) {
        php_libcache_throw(LIBCACHE_EINVAL, "option namespace is a string, option policy an array");
        RETURN_THROWS();
    }
    handle = php_libcache_open(options);
    if (!handle)
        RETURN_THROWS();
    space = name ? zend_string_copy(Z_STR_P(name)) : zend_string_init(ZEND_STRL("default"), 0);
    make_view(return_value, handle, space, policy ? Z_ARRVAL_P(policy) : NULL);
    zend_string_release(space);
    give_view(return_value);
}

ZEND_METHOD(Libcache_Cache, namespace)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_string *name;
    HashTable *policy = NULL;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_STR(name)
        Z_PARAM_OPTIONAL
        Z_PARAM_ARRAY_HT(policy)
    ZEND_PARSE_PARAMETERS_END();

    if (c->handle->clock)
        c->handle->users++;
    make_view(return_value, c->handle, name, policy);
    give_view(return_value);
}

ZEND_METHOD(Libcache_Cache, name)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_STR_COPY(THIS_CACHE()->name);
}

static void add_seconds(zval *array, const char *name, uint64_t ms)
{
    add_assoc_double(array, name, ms == LIBCACHE_FOREVER ? ZEND_INFINITY : (double)ms / 1000);
}

ZEND_METHOD(Libcache_Cache, policy)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_policy p = LIBCACHE_POLICY_INIT;

    ZEND_PARSE_PARAMETERS_NONE();
    libcache_read_policy(c->ns, &p);
    array_init(return_value);
    add_seconds(return_value, "ttl", p.ttl_ms);
    add_seconds(return_value, "negative_ttl", p.negative_ttl_ms);
    add_seconds(return_value, "soft_ttl", p.soft_ttl_ms ? p.soft_ttl_ms : LIBCACHE_FOREVER);
    add_seconds(return_value, "grace", p.grace_ms);
    add_assoc_long(return_value, "jitter", p.jitter_percent);
    add_assoc_long(return_value, "l1_share", p.l1_share_percent);
    add_assoc_long(return_value, "max_value", (zend_long)p.max_value_bytes);
    add_assoc_string(return_value, "tiers", p.tiers == LIBCACHE_TIER_L1 ? "l1" : p.tiers == LIBCACHE_TIER_L2 ? "l2" : "l1,l2");
    add_seconds(return_value, "l1_ttl", p.l1_ttl_ms);
    add_assoc_long(return_value, "compress", (zend_long)p.compress_bytes);
    add_seconds(return_value, "load_timeout", p.load_timeout_ms);
    add_seconds(return_value, "load_backoff", p.load_backoff_ms);
    add_assoc_long(return_value, "early", p.early_percent);
    add_assoc_string(return_value, "load_lease", p.load_lease == LIBCACHE_LEASE_REDIS ? "redis" : "host");
    add_assoc_string(return_value, "codec", c->settings.msgpack ? "msgpack" : "php");
    add_assoc_string(return_value, "serializer", c->settings.igbinary ? "igbinary" : "php");
    add_assoc_bool(return_value, "memo", c->settings.memo);
    if (c->settings.objects == OBJECTS_LISTED) {
        zval names, *name;
        array_init(&names);
        ZEND_HASH_FOREACH_VAL(c->settings.allowed, name) {
            Z_TRY_ADDREF_P(name);
            add_next_index_zval(&names, name);
        } ZEND_HASH_FOREACH_END();
        add_assoc_zval(return_value, "allowed_classes", &names);
    } else {
        add_assoc_bool(return_value, "allowed_classes", c->settings.objects == OBJECTS_ALL);
    }
}

/* ---- Tags and keys ---- */

static int add_tag(php_libcache_tags *tags, zval *given)
{
    zend_string *text;

    if (tags->n == LIBCACHE_TAGS_MAX) {
        php_libcache_throw(LIBCACHE_ETAG, "more than %d tags", LIBCACHE_TAGS_MAX);
        return 0;
    }
    text = zval_try_get_string(given);
    if (!text)
        return 0;
    tags->slice[tags->n] = (libcache_slice){ ZSTR_VAL(text), ZSTR_LEN(text) };
    tags->held[tags->n++] = text;
    return 1;
}

int php_libcache_tags_add(php_libcache_tags *tags, zval *given)
{
    zval *tag;

    if (!given)
        return 1;
    if (Z_TYPE_P(given) != IS_ARRAY)
        return add_tag(tags, given);
    ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(given), tag) {
        if (!add_tag(tags, tag))
            return 0;
    } ZEND_HASH_FOREACH_END();
    return 1;
}

void php_libcache_tags_free(php_libcache_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        zend_string_release(tags->held[i]);
    tags->n = 0;
}

int php_libcache_keys_read(php_libcache_keys *keys, HashTable *given)
{
    size_t n = zend_hash_num_elements(given);
    zval *key;

    keys->n = 0;
    keys->name = safe_emalloc(n, sizeof *keys->name + sizeof *keys->slice, 1);
    keys->slice = (libcache_slice *)(void *)(keys->name + n);
    ZEND_HASH_FOREACH_VAL(given, key) {
        zend_string *name = zval_try_get_string(key);
        if (!name) {
            php_libcache_keys_free(keys);
            return 0;
        }
        keys->name[keys->n] = name;
        keys->slice[keys->n++] = (libcache_slice){ ZSTR_VAL(name), ZSTR_LEN(name) };
    } ZEND_HASH_FOREACH_END();
    return 1;
}

void php_libcache_keys_free(php_libcache_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        zend_string_release(keys->name[i]);
    efree(keys->name);
}

/* ---- Invalidating ---- */

ZEND_METHOD(Libcache_Cache, invalidateTags)
{
    php_libcache_cache *c = THIS_CACHE();
    php_libcache_tags tags;
    zval one, *given;
    HashTable *list = NULL;
    zend_string *text = NULL;
    zend_long flags = 0;
    int result = LIBCACHE_OK, ok = 1;

    ZEND_PARSE_PARAMETERS_START(1, 2)
        Z_PARAM_ARRAY_HT_OR_STR(list, text)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    tags.n = 0;
    if (text) {
        ZVAL_STR(&one, text);
        ok = php_libcache_tags_add(&tags, &one);
    } else {
        ZEND_HASH_FOREACH_VAL(list, given) { /* more than an entry may have: so many at a time */
            if (tags.n == LIBCACHE_TAGS_MAX) {
                int part = libcache_invalidate_tags(c->handle->cache, tags.slice, tags.n, flags_of(flags));
                result = result < 0 ? result : part;
                php_libcache_tags_free(&tags);
            }
            if (!(ok = add_tag(&tags, given)))
                break;
        } ZEND_HASH_FOREACH_END();
    }
    if (ok) {
        int part = libcache_invalidate_tags(c->handle->cache, tags.slice, tags.n, flags_of(flags));
        result = result < 0 ? result : part;
    }
    php_libcache_tags_free(&tags);
    if (!ok)
        RETURN_THROWS();
    RETURN_BOOL(php_libcache_settle(c, result, "invalidateTags"));
}

ZEND_METHOD(Libcache_Cache, clear)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_long flags = 0;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    RETURN_BOOL(php_libcache_settle(c, libcache_invalidate_namespace(c->ns, flags_of(flags)), "clear"));
}

ZEND_METHOD(Libcache_Cache, clearAll)
{
    php_libcache_cache *c = THIS_CACHE();
    zend_long flags = 0;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();
    RETURN_BOOL(php_libcache_settle(c, libcache_invalidate_all(c->handle->cache, flags_of(flags)), "clearAll"));
}

ZEND_METHOD(Libcache_Cache, poll)
{
    php_libcache_cache *c = THIS_CACHE();
    zval *timeout = NULL;
    uint64_t ms;
    int known;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(timeout)
    ZEND_PARSE_PARAMETERS_END();
    known = php_libcache_time(timeout, "timeout", &ms);
    if (!known)
        RETURN_THROWS();
    if (known < 0)
        ms = 1;
    RETURN_BOOL(php_libcache_settle(c, libcache_poll(c->handle->cache, ms > UINT_MAX ? UINT_MAX : (unsigned)ms), "poll"));
}

/* ---- The rest ---- */

ZEND_METHOD(Libcache_Cache, forgetMemo)
{
    php_libcache_cache *c = THIS_CACHE();

    ZEND_PARSE_PARAMETERS_NONE();
    if (c->memo)
        zend_hash_clean(c->memo);
}

ZEND_METHOD(Libcache_Cache, lastError)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_LONG(THIS_CACHE()->last_error);
}

ZEND_METHOD(Libcache_Cache, describe)
{
    zend_long code;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_LONG(code)
    ZEND_PARSE_PARAMETERS_END();
    if (code == EVALUE)
        RETURN_STRING("a value that this namespace cannot store");
    RETURN_STRING(libcache_describe(code < INT_MIN || code > INT_MAX ? INT_MIN : (int)code));
}

ZEND_METHOD(Libcache_Cache, version)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_STRING(libcache_version());
}

ZEND_METHOD(Libcache_Cache, removeSegment)
{
    libcache_error error = { 0, "" };
    char *name;
    size_t size;
    int result;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_PATH(name, size)
    ZEND_PARSE_PARAMETERS_END();
    result = libcache_remove_segment(name, &error);
    if (result < 0 && result != LIBCACHE_ENOTFOUND) {
        php_libcache_throw(result, "%s", error.text[0] ? error.text : libcache_describe(result));
        RETURN_THROWS();
    }
    RETURN_BOOL(result == LIBCACHE_OK);
}
