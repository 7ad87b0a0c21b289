/*
 * Loads with a loader: remember, rememberMany. SPDX-License-Identifier: MIT
 *
 * A loader is PHP code, which may end in five ways: by a value, an exception, exit (an exception that cannot be caught), a bailout
 * (memory, time, a fatal error), or never (the process is killed; others find out). In all of them but the last the load has ended
 * before PHP goes on: a bailout is caught in `call_loader`, the core ends the load as failed, and only then is it let go on.
 */
#include "load.h"

#include "zend_exceptions.h"

struct remembering {
    php_libcache_cache *c;
    zend_fcall_info fci;
    zend_fcall_info_cache fcc;
    libcache_set_options options; /* of the call */
    php_libcache_tags tags;       /* the call's, then the Load's */
    int ttl_over;
    zval loaded;                  /* what the loader gave */
    php_libcache_load *load;      /* what it said; the object is `object` */
    zval object;
    int ran, failed, bailed;
};

static int begin_remembering(struct remembering *m, php_libcache_cache *c, zval *ttl, HashTable *tags, zend_long flags)
{
    zval list;
    int known;

    m->c = c;
    memset(&m->options, 0, sizeof m->options);
    ZVAL_UNDEF(&m->loaded);
    ZVAL_UNDEF(&m->object);
    m->ran = m->failed = m->bailed = 0;
    m->tags.n = 0;
    m->options.flags = flags_of(flags) & LIBCACHE_NO_PUBLISH;
    known = php_libcache_time(ttl, "ttl", &m->options.ttl_ms);
    m->ttl_over = known < 0;
    if (known && tags) {
        ZVAL_ARR(&list, tags);
        known = php_libcache_tags_add(&m->tags, &list);
    }
    return known;
}

static void end_remembering(struct remembering *m)
{
    zval_ptr_dtor(&m->loaded);
    zval_ptr_dtor(&m->object);
    php_libcache_tags_free(&m->tags);
}

/* Calls the loader with (first, Load). 1: it gave a value. */
static int call_loader(struct remembering *m, zval *first)
{
    zval arguments[2];
    volatile int ok = 0;

    m->ran = 1;
    zend_try {
        zval_ptr_dtor(&m->object);
        zval_ptr_dtor(&m->loaded);
        ZVAL_UNDEF(&m->loaded);
        m->load = make_load(&m->object, m->c, NULL, LEAD);
        ZVAL_COPY_VALUE(&arguments[0], first);
        ZVAL_COPY_VALUE(&arguments[1], &m->object);
        m->fci.params = arguments;
        m->fci.param_count = 2;
        if (m->fcc.function_handler->type == ZEND_INTERNAL_FUNCTION && !(m->fcc.function_handler->common.fn_flags & ZEND_ACC_VARIADIC))
            m->fci.param_count = MIN(2, m->fcc.function_handler->common.num_args); /* they mind what they do not know */
        m->fci.retval = &m->loaded;
        ok = zend_call_function(&m->fci, &m->fcc) == SUCCESS && !EG(exception) && Z_TYPE(m->loaded) != IS_UNDEF;
        if (ok && Z_ISREF(m->loaded))
            zend_unwrap_reference(&m->loaded);
        if (ok && Z_TYPE(m->load->tags) == IS_ARRAY)
            ok = php_libcache_tags_add(&m->tags, &m->load->tags);
        m->load->state = ENDED;
    } zend_catch {
        m->bailed = 1;
        ok = 0;
    } zend_end_try();
    m->failed = !ok;
    return ok;
}

/* What a loader's value goes into the cache with. */
static void fill(struct remembering *m, libcache_loaded *out, const libcache_slice *bytes, uint8_t codec)
{
    out->data = bytes->data;
    out->size = bytes->size;
    out->codec = codec;
    out->ttl_ms = m->load->ttl_ms ? m->load->ttl_ms : m->options.ttl_ms;
    out->tags = m->tags.slice;
    out->n_tags = m->tags.n;
    out->flags = m->options.flags | m->load->flags;
    if (m->load->ttl_over || (m->ttl_over && !m->load->ttl_ms))
        out->flags |= LIBCACHE_NOT_STORED;
}

/* php_libcache_encode that no bailout leaves. */
static int encode(struct remembering *m, zval *value, php_libcache_out *out, libcache_slice *bytes, uint8_t *codec)
{
    volatile int ok = 0;

    zend_try {
        ok = php_libcache_encode(m->c, value, out, bytes, codec);
    } zend_catch {
        m->bailed = 1;
        ok = 0;
    } zend_end_try();
    return ok;
}

/* The core's, for one key. */
struct one {
    struct remembering m;
    zend_string *key;
    php_libcache_out out;
};

static int load_one(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    struct one *one = arg;
    libcache_slice bytes = { NULL, 0 };
    uint8_t codec = 0;
    zval name;

    (void)key;
    ZVAL_STR(&name, one->key);
    if (!call_loader(&one->m, &name))
        return LIBCACHE_ELOAD;
    if (!(one->m.load->flags & LIBCACHE_NEG) && !encode(&one->m, &one->m.loaded, &one->out, &bytes, &codec)) {
        if (one->m.bailed)
            return LIBCACHE_ELOAD;
        /* The exception tells the caller; nobody else need wait because of a value that cannot be stored. */
        out->flags = LIBCACHE_NOT_STORED;
        return LIBCACHE_OK;
    }
    fill(&one->m, out, &bytes, codec);
    return LIBCACHE_OK;
}

/* An old value was there in place of the one that the loader owed. 1: its exception is dropped. */
static int may_forget(void)
{
    if (!EG(exception) || !instanceof_function(EG(exception)->ce, zend_ce_exception))
        return 0;
    zend_clear_exception();
    return 1;
}

/* What libcache_get_or_load gave, to PHP. 1: once more, with what is there ignored. */
static int give(struct one *one, php_libcache_reading *r, int result, zval *return_value)
{
    struct remembering *m = &one->m;

    m->c->last_error = 0;
    if (m->ran && !m->failed) { /* whatever became of it in the cache */
        reading_end(r);
        if (!EG(exception)) {
            if (m->load->flags & LIBCACHE_NEG)
                ZVAL_NULL(return_value);
            else
                ZVAL_COPY(return_value, &m->loaded);
        }
        return 0;
    }
    if (m->failed && has_value(result) && may_forget())
        m->c->last_error = LIBCACHE_ELOAD;
    if (!EG(exception) && has_value(result)) {
        if (value_of(m->c, r, result, return_value))
            return 0;
        ZVAL_NULL(return_value);
        reading_end(r);
        return !m->ran && !EG(exception);
    }
    reading_end(r);
    if (EG(exception))
        return 0;
    if (result == LIBCACHE_ELOAD) {
        m->c->last_error = result;
        throw_failed(one->key);
    } else if (php_libcache_settle(m->c, result, "key") == 0 && !EG(exception)) {
        zval name; /* no memory for the value, or the like: a fault of the cache is none of the reader's */
        ZVAL_STR(&name, one->key);
        if (call_loader(m, &name))
            ZVAL_COPY(return_value, &m->loaded);
        else if (m->bailed)
            zend_bailout();
    }
    return 0;
}

ZEND_METHOD(Libcache_Cache, remember)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct one one;
    php_libcache_reading r;
    HashTable *tags = NULL;
    zval *ttl = NULL;
    zend_long flags = 0;
    int result;

    ZEND_PARSE_PARAMETERS_START(2, 5)
        Z_PARAM_STR(one.key)
        Z_PARAM_FUNC(one.m.fci, one.m.fcc)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    if (!begin_remembering(&one.m, c, ttl, tags, flags)) {
        end_remembering(&one.m);
        RETURN_THROWS();
    }
    GC_ADDREF(&c->std); /* the loader may drop the last variable that has it */
    out_begin(&one.out);
    options.flags = flags_of(flags) & ~(unsigned)LIBCACHE_NO_PUBLISH;
    do {
        reading_begin(&r);
        r.guarded = 1;
        result = libcache_get_or_load(c->ns, ZSTR_VAL(one.key), ZSTR_LEN(one.key), &r.value, load_one, &one,
                                      options.flags ? &options : NULL);
        if (UNEXPECTED(one.m.bailed || r.bailed))
            zend_bailout();
        options.flags |= LIBCACHE_REFRESH;
    } while (give(&one, &r, result, return_value));
    out_end(&one.out);
    end_remembering(&one.m);
    OBJ_RELEASE(&c->std);
}

/* The core's, for many keys. */
struct many {
    struct remembering m;
    php_libcache_out *outs; /* of what is being stored */
    size_t n_outs;
    HashTable got;          /* all that loaders gave, by key */
};

static void end_outs(struct many *many)
{
    for (size_t i = 0; i < many->n_outs; i++)
        out_end(&many->outs[i]);
    if (many->outs)
        efree(many->outs);
    many->outs = NULL;
    many->n_outs = 0;
}

/* May bail out. */
static int load_values(struct many *many, zval *names, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    if (!call_loader(&many->m, names))
        return LIBCACHE_ELOAD;
    if (Z_TYPE(many->m.loaded) != IS_ARRAY) {
        zend_type_error("rememberMany: the loader must return an array by key, %s returned", zend_zval_type_name(&many->m.loaded));
        return LIBCACHE_ELOAD;
    }
    end_outs(many);
    many->outs = safe_emalloc(n, sizeof *many->outs, 1);
    for (size_t i = 0; i < n; i++) {
        zval *value = zend_symtable_str_find(Z_ARRVAL(many->m.loaded), keys[i].data, keys[i].size), copy;
        libcache_slice bytes = { NULL, 0 };
        uint8_t codec = 0;
        results[i] = LIBCACHE_OK;
        if (!value) {
            out[i].flags = LIBCACHE_NOT_STORED;
            continue;
        }
        ZVAL_COPY_DEREF(&copy, value); /* the next value's PHP code may change what a reference has */
        value = zend_symtable_str_update(&many->got, keys[i].data, keys[i].size, &copy);
        out_begin(&many->outs[many->n_outs]);
        if (!encode(&many->m, value, &many->outs[many->n_outs++], &bytes, &codec)) {
            if (many->m.bailed)
                return LIBCACHE_ELOAD;
            out[i].flags = LIBCACHE_NOT_STORED;
            continue;
        }
        fill(&many->m, &out[i], &bytes, codec);
    }
    return LIBCACHE_OK;
}

static int load_many(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    struct many *many = arg;
    volatile int result = LIBCACHE_ELOAD;

    if (EG(exception) || many->m.bailed) /* the one before failed */
        return LIBCACHE_ELOAD;
    zend_try {
        zval names;
        array_init_size(&names, (uint32_t)n);
        for (size_t i = 0; i < n; i++)
            add_next_index_stringl(&names, keys[i].data, keys[i].size);
        result = load_values(many, &names, keys, n, out, results);
        zval_ptr_dtor(&names);
    } zend_catch {
        many->m.bailed = 1;
        result = LIBCACHE_ELOAD;
    } zend_end_try();
    return result;
}

/* One key's result into the array. 0: it is to be thrown. */
static int give_key(struct many *many, php_libcache_reading *r, int result, zend_string *key, zval *return_value)
{
    php_libcache_cache *c = many->m.c;
    zval value, *got = zend_symtable_find(&many->got, key);

    if (got) {
        ZVAL_COPY(&value, got);
    } else if (has_value(result) && r->value.tier) {
        if (!value_of(c, r, result, &value))
            return !EG(exception);
    } else if (result == LIBCACHE_NEGATIVE) {
        ZVAL_NULL(&value);
    } else {
        if (result == LIBCACHE_ELOAD)
            throw_failed(key);
        else if (result < 0)
            php_libcache_settle(c, result, "key");
        return !EG(exception);
    }
    zend_symtable_update(Z_ARRVAL_P(return_value), key, &value);
    return 1;
}

ZEND_METHOD(Libcache_Cache, rememberMany)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct many many;
    HashTable *given, *tags = NULL;
    php_libcache_keys keys;
    php_libcache_reading *r;
    libcache_value *values;
    int *results, result, bailed, stale = 0;
    zval *ttl = NULL;
    zend_long flags = 0;

    ZEND_PARSE_PARAMETERS_START(2, 5)
        Z_PARAM_ARRAY_HT(given)
        Z_PARAM_FUNC(many.m.fci, many.m.fcc)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_ARRAY_HT(tags)
        Z_PARAM_LONG(flags)
    ZEND_PARSE_PARAMETERS_END();

    if (!begin_remembering(&many.m, c, ttl, tags, flags) || !php_libcache_keys_read(&keys, given)) {
        end_remembering(&many.m);
        RETURN_THROWS();
    }
    GC_ADDREF(&c->std);
    many.outs = NULL;
    many.n_outs = 0;
    zend_hash_init(&many.got, 8, NULL, ZVAL_PTR_DTOR, 0);
    r = safe_emalloc(keys.n, sizeof *r + sizeof *values + sizeof *results, 1);
    values = (libcache_value *)(void *)(r + keys.n);
    results = (int *)(void *)(values + keys.n);
    for (size_t i = 0; i < keys.n; i++) {
        reading_begin(&r[i]);
        r[i].scratch = 0;
        r[i].guarded = 1;
        values[i] = r[i].value;
    }
    options.flags = flags_of(flags) & ~(unsigned)LIBCACHE_NO_PUBLISH;
    result = libcache_get_or_load_many(c->ns, keys.slice, keys.n, values, results, load_many, &many, options.flags ? &options : NULL);
    bailed = many.m.bailed;
    for (size_t i = 0; i < keys.n; i++)
        bailed |= r[i].bailed;
    if (UNEXPECTED(bailed))
        zend_bailout();
    c->last_error = 0;
    if (result == LIBCACHE_EINVAL || result == LIBCACHE_ENOMEM)
        php_libcache_settle(c, result, "rememberMany");
    for (size_t i = 0; i < keys.n; i++)
        stale += result >= 0 && has_value(results[i]);
    if (many.m.failed && EG(exception) && result >= 0 && (size_t)stale == keys.n && may_forget())
        c->last_error = LIBCACHE_ELOAD;
    array_init_size(return_value, (uint32_t)keys.n);
    for (size_t i = 0; i < keys.n && !EG(exception); i++) {
        r[i].value = values[i];
        if (!give_key(&many, &r[i], results[i], keys.name[i], return_value))
            break;
    }
    for (size_t i = 0; i < keys.n; i++)
        reading_end(&r[i]);
    efree(r);
    end_outs(&many);
    zend_hash_destroy(&many.got);
    php_libcache_keys_free(&keys);
    end_remembering(&many.m);
    OBJ_RELEASE(&c->std);
}
