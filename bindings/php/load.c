/*
 * Loads in steps: Load, begin. SPDX-License-Identifier: MIT
 *
 * Who leads, who waits and what is stored is the core's affair (docs/loads.md). A Load that PHP code holds ends at the latest
 * when the object goes; after a fatal error too, since objects are freed then.
 */
#include "load.h"

#include <unistd.h>

static zend_object_handlers handlers;

php_libcache_load *load_from(zend_object *object)
{
    return (php_libcache_load *)((char *)object - offsetof(php_libcache_load, std));
}
#define THIS_LOAD() load_from(Z_OBJ_P(ZEND_THIS))

zend_object *php_libcache_load_new(zend_class_entry *ce)
{
    php_libcache_load *l = zend_object_alloc(sizeof *l, ce);

    memset(l, 0, offsetof(php_libcache_load, std));
    zend_object_std_init(&l->std, ce);
    object_properties_init(&l->std, ce);
    l->std.handlers = &handlers;
    return &l->std;
}

static void end_load(php_libcache_load *l, int error)
{
    if (l->load && l->pid == getpid())
        libcache_load_abort(l->load, error);
    l->load = NULL;
    l->state = ENDED;
}

static void free_load(zend_object *object)
{
    php_libcache_load *l = load_from(object);

    end_load(l, 0);
    zval_ptr_dtor(&l->tags);
    if (l->c)
        OBJ_RELEASE(&l->c->std);
    zend_object_std_dtor(object);
}

void php_libcache_loads_start(void)
{
    memcpy(&handlers, &std_object_handlers, sizeof handlers);
    handlers.offset = offsetof(php_libcache_load, std);
    handlers.free_obj = free_load;
    handlers.clone_obj = NULL;
}

php_libcache_load *make_load(zval *out, php_libcache_cache *c, libcache_load *load, int state)
{
    php_libcache_load *l;

    object_init_ex(out, php_libcache_load_ce);
    l = load_from(Z_OBJ_P(out));
    GC_ADDREF(&c->std);
    l->c = c;
    l->load = load;
    l->state = state;
    l->borrowed = !load;
    l->pid = getpid();
    return l;
}

/* ---- What is said of a load ---- */

static int say_ttl(php_libcache_load *l, zval *ttl)
{
    int known = php_libcache_time(ttl, "ttl", &l->ttl_ms);

    l->ttl_over = known < 0;
    return known;
}

static void say_tags(php_libcache_load *l, HashTable *list, zend_string *one)
{
    zval *tag, copy;

    if (Z_TYPE(l->tags) != IS_ARRAY)
        array_init(&l->tags);
    if (one) {
        ZVAL_STR_COPY(&copy, one);
        add_next_index_zval(&l->tags, &copy);
        return;
    }
    ZEND_HASH_FOREACH_VAL(list, tag) {
        ZVAL_COPY_DEREF(&copy, tag);
        add_next_index_zval(&l->tags, &copy);
    } ZEND_HASH_FOREACH_END();
}

ZEND_METHOD(Libcache_Load, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(Libcache_Load, state)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_LONG(THIS_LOAD()->state);
}

ZEND_METHOD(Libcache_Load, ttl)
{
    zval *ttl;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ZVAL(ttl)
    ZEND_PARSE_PARAMETERS_END();
    if (!say_ttl(THIS_LOAD(), ttl))
        RETURN_THROWS();
    RETURN_COPY(ZEND_THIS);
}

ZEND_METHOD(Libcache_Load, tags)
{
    HashTable *list = NULL;
    zend_string *one = NULL;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ARRAY_HT_OR_STR(list, one)
    ZEND_PARSE_PARAMETERS_END();
    say_tags(THIS_LOAD(), list, one);
    RETURN_COPY(ZEND_THIS);
}

ZEND_METHOD(Libcache_Load, missing)
{
    ZEND_PARSE_PARAMETERS_NONE();
    THIS_LOAD()->flags |= LIBCACHE_NEG;
    RETURN_COPY(ZEND_THIS);
}

ZEND_METHOD(Libcache_Load, dontStore)
{
    ZEND_PARSE_PARAMETERS_NONE();
    THIS_LOAD()->flags |= LIBCACHE_NOT_STORED;
    RETURN_COPY(ZEND_THIS);
}

/* ---- Ending a load ---- */

static int is_ours(php_libcache_load *l)
{
    const char *wrong = l->borrowed ? "remember ends this load itself" : !l->load ? "this load has ended"
                        : l->pid != getpid() ? "this load began in another process" : NULL;

    if (wrong)
        php_libcache_throw(LIBCACHE_EINVAL, "%s", wrong);
    return !wrong;
}

ZEND_METHOD(Libcache_Load, commit)
{
    php_libcache_load *l = THIS_LOAD();
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    php_libcache_tags tags;
    php_libcache_out out;
    libcache_slice bytes = { NULL, 0 };
    HashTable *more = NULL;
    zval *value, *ttl = NULL;
    int result, ok = 1;

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_ZVAL(value)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(more)
    ZEND_PARSE_PARAMETERS_END();

    if (!is_ours(l))
        RETURN_THROWS();
    if (l->state == WAITING) {
        php_libcache_throw(LIBCACHE_EINVAL, "this load waits for somebody else's");
        RETURN_THROWS();
    }
    if (ttl && Z_TYPE_P(ttl) != IS_NULL && !say_ttl(l, ttl))
        RETURN_THROWS();
    if (more && zend_hash_num_elements(more))
        say_tags(l, more, NULL);
    tags.n = 0;
    out_begin(&out);
    if (Z_TYPE(l->tags) == IS_ARRAY)
        ok = php_libcache_tags_add(&tags, &l->tags);
    if (ok && !(l->flags & LIBCACHE_NEG))
        ok = php_libcache_encode(l->c, value, &out, &bytes, &options.codec);
    if (ok && l->load) { /* PHP code of the value's may have ended it */
        libcache_load *load = l->load;
        options.ttl_ms = l->ttl_ms;
        options.tags = tags.slice;
        options.n_tags = tags.n;
        options.flags = l->flags | (l->ttl_over ? (unsigned)LIBCACHE_NOT_STORED : 0);
        l->load = NULL;
        l->state = ENDED;
        result = libcache_load_commit(load, bytes.data, bytes.size, &options);
        RETVAL_BOOL(php_libcache_settle(l->c, result, "commit") && result == LIBCACHE_OK);
    } else {
        end_load(l, 0);
    }
    out_end(&out);
    php_libcache_tags_free(&tags);
}

ZEND_METHOD(Libcache_Load, abort)
{
    php_libcache_load *l = THIS_LOAD();
    bool failed = false;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_BOOL(failed)
    ZEND_PARSE_PARAMETERS_END();
    if (l->borrowed) {
        is_ours(l);
        RETURN_THROWS();
    }
    end_load(l, failed ? LIBCACHE_ELOAD : 0);
}

/* ---- In steps ---- */

/* The value of a HIT, STALE or NEGATIVE. 0: it cannot be read. */
int value_of(php_libcache_cache *c, php_libcache_reading *r, int result, zval *out)
{
    if (result != LIBCACHE_NEGATIVE)
        return php_libcache_decode(c, r, out);
    ZVAL_NULL(out);
    return 1;
}

int has_value(int result)
{
    return result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE;
}

void throw_failed(const zend_string *key)
{
    php_libcache_throw(LIBCACHE_ELOAD, "key %.100s: a load failed, or did so less than load_backoff ago", ZSTR_VAL(key));
}

ZEND_METHOD(Libcache_Cache, begin)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    php_libcache_reading r;
    libcache_load *load = NULL;
    zend_string *key;
    zval *to = NULL, *wait = NULL, value;
    zend_long flags = 0;
    uint64_t ms;
    int result, known, readable = 1;

    ZEND_PARSE_PARAMETERS_START(1, 4)
        Z_PARAM_STR(key)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(to)
        Z_PARAM_ZVAL(wait)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    known = php_libcache_time(wait, "wait", &ms);
    if (!known)
        RETURN_THROWS();
    options.wait_ms = known < 0 ? 1 : ms > UINT_MAX ? UINT_MAX : (unsigned)ms;
    options.flags = flags_of(flags);
again:
    reading_begin(&r);
    r.guarded = 1;
    result = libcache_load_begin(&load, c->ns, ZSTR_VAL(key), ZSTR_LEN(key), &r.value, &options);
    if (UNEXPECTED(r.bailed)) {
        libcache_load_abort(load, 0);
        zend_bailout();
    }
    ZVAL_NULL(&value);
    if (has_value(result) && !value_of(c, &r, result, &value)) {
        ZVAL_NULL(&value);
        reading_end(&r);
        if (!load && readable && !EG(exception)) { /* what is there is none of ours: load it */
            readable = 0;
            options.flags |= LIBCACHE_REFRESH;
            goto again;
        }
    }
    reading_end(&r);
    if (EG(exception)) {
        libcache_load_abort(load, 0);
        zval_ptr_dtor(&value);
        RETURN_THROWS();
    }
    if (result == LIBCACHE_ELOAD) {
        c->last_error = result;
        throw_failed(key);
        RETURN_THROWS();
    }
    php_libcache_settle(c, result, "key");
    if (to)
        ZEND_TRY_ASSIGN_REF_TMP(to, &value);
    else
        zval_ptr_dtor(&value);
    if (load)
        make_load(return_value, c, load,
                  result == LIBCACHE_LEAD ? LEAD : result == LIBCACHE_WAIT ? WAITING : result == LIBCACHE_BYPASS ? BYPASS : REFRESH);
}

ZEND_METHOD(Libcache_Load, recheck)
{
    php_libcache_load *l = THIS_LOAD();
    php_libcache_reading r;
    zval *to = NULL, value;
    int result;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(to)
    ZEND_PARSE_PARAMETERS_END();
    if (!is_ours(l))
        RETURN_THROWS();
    if (l->state == WAITING)
        RETURN_FALSE;
    reading_begin(&r);
    r.guarded = 1;
    result = libcache_load_recheck(l->load, &r.value);
    if (!has_value(result)) {
        reading_end(&r);
        RETURN_FALSE;
    }
    l->load = NULL;
    l->state = ENDED;
    if (r.bailed)
        zend_bailout();
    if (!value_of(l->c, &r, result, &value))
        ZVAL_NULL(&value);
    if (to)
        ZEND_TRY_ASSIGN_REF_TMP(to, &value);
    else
        zval_ptr_dtor(&value);
    RETURN_TRUE;
}

ZEND_METHOD(Libcache_Load, wait)
{
    php_libcache_load *l = THIS_LOAD();
    php_libcache_reading r;
    zval *to = NULL, *seconds = NULL, value;
    uint64_t ms = 0;
    int result, known = -1;

    ZEND_PARSE_PARAMETERS_START(0, 2)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(to)
        Z_PARAM_ZVAL(seconds)
    ZEND_PARSE_PARAMETERS_END();
    if (seconds && !(known = php_libcache_time(seconds, "seconds", &ms)))
        RETURN_THROWS();
    if (!is_ours(l))
        RETURN_THROWS();
    if (l->state != WAITING)
        RETURN_FALSE;
    reading_begin(&r);
    r.guarded = 1;
    result = libcache_load_wait(&l->load, &r.value, known < 0 ? 0 : ms > UINT_MAX ? UINT_MAX : (unsigned)ms);
    if (result == LIBCACHE_WAIT)
        RETURN_FALSE;
    l->state = !l->load ? ENDED : result == LIBCACHE_LEAD ? LEAD : result == LIBCACHE_BYPASS ? BYPASS : REFRESH;
    if (r.bailed)
        zend_bailout();
    if (result == LIBCACHE_ELOAD) {
        php_libcache_throw(LIBCACHE_ELOAD, "the load that was waited for failed");
        RETURN_THROWS();
    }
    if (!has_value(result) || !value_of(l->c, &r, result, &value)) {
        reading_end(&r);
        RETURN_FALSE;
    }
    if (to)
        ZEND_TRY_ASSIGN_REF_TMP(to, &value);
    else
        zval_ptr_dtor(&value);
    RETURN_BOOL(!l->load);
}
