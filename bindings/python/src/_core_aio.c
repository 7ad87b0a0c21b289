/*
 * AsyncNamespace, and what of Cache can be awaited. SPDX-License-Identifier: MIT
 *
 * What L1 has at hand is given at once, in an awaitable that does not suspend. The rest is sent to the cache's thread. A namespace
 * without the Redis tier never waits for anything: its calls are the plain ones, done at once.
 */
#include "_core_many.h"
#include "_core_port.h"

#include <stdlib.h>

static PyObject *aio_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct state *st = state_of_type(type);
    PyObject *ns;
    struct aio *aio;

    if (keywords && PyDict_GET_SIZE(keywords))
        return PyErr_Format(PyExc_TypeError, "AsyncNamespace() takes one namespace");
    if (!PyArg_ParseTuple(args, "O!:AsyncNamespace", st->ns_type, &ns))
        return NULL;
    aio = (struct aio *)type->tp_alloc(type, 0);
    if (aio) {
        aio->st = st;
        aio->ns = (struct ns *)Py_NewRef(ns);
    }
    return (PyObject *)aio;
}

static int aio_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct aio *)self)->ns);
    return 0;
}

static void aio_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_CLEAR(((struct aio *)self)->ns);
    type->tp_free(self);
    Py_DECREF(type);
}

static struct ns *ns_of(PyObject *self)
{
    return ((struct aio *)self)->ns;
}

static PyObject *aio_get_sync(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef((PyObject *)ns_of(self));
}

/* By the plain method of this name. */
static PyObject *now_with(struct ns *ns, const char *name, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)ns, name), *value = NULL;

    if (method)
        value = PyObject_Vectorcall(method, args, (size_t)n, kwnames);
    Py_XDECREF(method);
    return done_new(ns->st, value);
}

/* A request about one key, of which n tags. NULL: raised. */
static struct request *about_key(struct ns *ns, enum request_kind kind, PyObject *key, const struct tags *tags)
{
    struct text k;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return NULL;
    return req_new(ns->cache, ns, kind, &k, tags ? tags->slices : NULL, tags ? tags->n : 0);
}

static PyObject *send(struct ns *ns, struct request *r)
{
    return r ? req_send(ns->cache, r) : NULL;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

static PyObject *aio_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct ns *ns = ns_of(self);
    PyObject *value = NULL;
    struct request *r;
    struct text k;
    int found;

    if (unlikely(n != 1 && n != 2))
        return PyErr_Format(PyExc_TypeError, "get() takes a key and a default (%zd given)", n);
    if (unlikely(ns_check(ns) < 0 || text_of(args[0], &k, "key") < 0))
        return NULL;
    found = ns_look(ns, args[0], &k, &value);
    if (likely(found))
        return done_new(ns->st, value);
    if (!ns->remote)
        return now_with(ns, "get", args, n, NULL);
    r = req_new(ns->cache, ns, R_GET, &k, NULL, 0);
    if (r)
        r->extra = Py_NewRef(n == 2 ? args[1] : Py_None);
    return send(ns, r);
}

static PyObject *aio_lookup(PyObject *self, PyObject *key)
{
    struct ns *ns = ns_of(self);
    struct request *r;

    if (!ns->remote)
        return now_with(ns, "lookup", &key, 1, NULL);
    r = about_key(ns, R_GET, key, NULL);
    if (r)
        r->flags = LIBCACHE_TIMES;
    return send(ns, r);
}

static PyObject *aio_get_many(PyObject *self, PyObject *keys)
{
    struct ns *ns = ns_of(self);
    PyObject *into, *missing = NULL, *pair, *result = NULL;
    struct request *r;
    size_t n;

    if (!ns->remote)
        return now_with(ns, "get_many", &keys, 1, NULL);
    if (ns_check(ns) < 0 || !(into = PyDict_New()))
        return NULL;
    if (ns_look_many(ns, keys, into, &missing) < 0) {
        Py_DECREF(into);
        return NULL;
    }
    if (!PyList_GET_SIZE(missing)) {
        Py_DECREF(missing);
        return done_new(ns->st, into);
    }
    n = (size_t)PyList_GET_SIZE(missing);
    r = req_new(ns->cache, ns, R_GET_MANY, NULL, NULL, 0);
    pair = PyTuple_Pack(2, into, missing);
    if (r && pair && (r->many = calloc(n, sizeof(libcache_value) + sizeof(libcache_slice) + sizeof(int)))) {
        r->extra = Py_NewRef(pair);
        r->n = n;
        r->answers = r->many;
        r->slices = (libcache_slice *)(void *)(r->answers + n);
        r->results = (int *)(void *)(r->slices + n);
        for (size_t i = 0; i < n; i++) {
            struct text k = { NULL, 0 };
            text_of(PyList_GET_ITEM(missing, (Py_ssize_t)i), &k, "key");
            r->slices[i] = (libcache_slice){ k.data, (size_t)k.size }; /* of keys that the pair keeps */
            value_start(&r->answers[i]);
        }
        result = req_send(ns->cache, r);
    } else {
        if (r)
            req_free(r);
        PyErr_NoMemory();
    }
    Py_XDECREF(pair);
    Py_DECREF(into);
    Py_DECREF(missing);
    return result;
}

static PyObject *aio_exists(PyObject *self, PyObject *key)
{
    struct ns *ns = ns_of(self);
    return ns->remote ? send(ns, about_key(ns, R_EXISTS, key, NULL)) : now_with(ns, "exists", &key, 1, NULL);
}

static PyObject *aio_ttl_left(PyObject *self, PyObject *key)
{
    struct ns *ns = ns_of(self);
    return ns->remote ? send(ns, about_key(ns, R_TTL_LEFT, key, NULL)) : now_with(ns, "ttl_left", &key, 1, NULL);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------------------- */

static const char *const set_names[] = { "key", "value", "ttl", "tags" };

/* A request with ttl and tags. NULL: raised. */
static struct request *with_options(struct ns *ns, enum request_kind kind, PyObject *key, PyObject *ttl,
                                    PyObject *tags_object)
{
    libcache_set_options options;
    struct request *r;
    struct tags tags;

    if (set_options_of(ns, ttl, tags_object, &tags, &options) < 0)
        return NULL;
    r = about_key(ns, kind, key, &tags);
    if (r)
        r->options.ttl_ms = options.ttl_ms;
    tags_end(&tags);
    return r;
}

static PyObject *store(struct ns *ns, enum request_kind kind, const char *name, PyObject *const *args, Py_ssize_t n,
                       PyObject *kwnames)
{
    PyObject *value[4];
    struct request *r;
    struct encoded e;

    if (!ns->remote)
        return now_with(ns, name, args, n, kwnames);
    if (read_args(name, args, n, kwnames, set_names, 4, 2, 4, value) < 0 ||
        !(r = with_options(ns, kind, value[0], value[2], value[3])))
        return NULL;
    if (ns_encode(ns, value[1], &e) < 0) {
        req_free(r);
        return NULL;
    }
    req_take_value(r, &e);
    return send(ns, r);
}

static PyObject *aio_set(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return store(ns_of(self), R_SET, "set", args, n, kwnames);
}

static PyObject *aio_add(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return store(ns_of(self), R_ADD, "add", args, n, kwnames);
}

static PyObject *aio_set_negative(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "ttl", "tags" };
    struct ns *ns = ns_of(self);
    PyObject *value[3];
    struct request *r;

    if (!ns->remote)
        return now_with(ns, "set_negative", args, n, kwnames);
    if (read_args("set_negative", args, n, kwnames, names, 3, 1, 3, value) < 0 ||
        !(r = with_options(ns, R_SET, value[0], value[1], value[2])))
        return NULL;
    r->options.flags = LIBCACHE_NEG;
    return send(ns, r);
}

static PyObject *aio_set_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "items", "ttl", "tags" };
    struct ns *ns = ns_of(self);
    libcache_set_options common;
    PyObject *value[3], *result;
    struct items items;
    struct request *r;
    struct tags tags;

    if (!ns->remote)
        return now_with(ns, "set_many", args, n, kwnames);
    if (read_args("set_many", args, n, kwnames, names, 3, 1, 3, value) < 0 || ns_check(ns) < 0 ||
        set_options_of(ns, value[1], value[2], &tags, &common) < 0)
        return NULL;
    r = req_new(ns->cache, ns, R_SET_MANY, NULL, tags.slices, tags.n);
    tags_end(&tags);
    if (!r)
        return NULL;
    common.tags = r->slices;
    if (items_of(ns, value[0], &common, &items) < 0) {
        req_free(r);
        return NULL;
    }
    r->items = items.items;
    r->n = items.n;
    r->many = items.items;
    r->owned = (char *)items.options;
    r->encoded = items.values;
    r->extra = items.held; /* the keys */
    result = send(ns, r);
    return result;
}

static PyObject *aio_delete(PyObject *self, PyObject *key)
{
    struct ns *ns = ns_of(self);
    return ns->remote ? send(ns, about_key(ns, R_DELETE, key, NULL)) : now_with(ns, "delete", &key, 1, NULL);
}

static PyObject *aio_delete_many(PyObject *self, PyObject *object)
{
    struct ns *ns = ns_of(self);
    struct request *r;
    struct keys keys;

    if (!ns->remote)
        return now_with(ns, "delete_many", &object, 1, NULL);
    if (ns_check(ns) < 0 || keys_of(object, &keys) < 0)
        return NULL;
    r = req_new(ns->cache, ns, R_DELETE_MANY, NULL, NULL, 0);
    if (!r) {
        keys_end(&keys);
        return NULL;
    }
    r->many = keys.slices;
    r->slices = keys.slices;
    r->n = keys.n;
    r->extra = keys.held;
    return send(ns, r);
}

static PyObject *aio_touch(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "ttl" };
    struct ns *ns = ns_of(self);
    PyObject *value[2];
    struct request *r;
    uint64_t ttl_ms = 0;

    if (!ns->remote)
        return now_with(ns, "touch", args, n, kwnames);
    if (read_args("touch", args, n, kwnames, names, 2, 1, 2, value) < 0 || ms_of(value[1], &ttl_ms, "ttl", 1) < 0)
        return NULL;
    r = about_key(ns, R_TOUCH, value[0], NULL);
    if (r)
        r->ms = ttl_ms;
    return send(ns, r);
}

static PyObject *count(struct ns *ns, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, int down)
{
    static const char *const names[] = { "key", "delta", "ttl", "tags" };
    PyObject *value[4];
    int64_t delta = 1;
    struct request *r;

    if (!ns->remote)
        return now_with(ns, down ? "decr" : "incr", args, n, kwnames);
    if (read_args(down ? "decr" : "incr", args, n, kwnames, names, 4, 1, 4, value) < 0 ||
        int64_of(value[1], &delta, "delta") < 0)
        return NULL;
    if (down && delta == INT64_MIN)
        return raise_code(ns->st, LIBCACHE_EOVERFLOW, "decr");
    r = with_options(ns, R_INCREMENT, value[0], value[2], value[3]);
    if (r) {
        r->options.codec = CODEC_INT;
        r->delta = down ? -delta : delta;
    }
    return send(ns, r);
}

static PyObject *aio_incr(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return count(ns_of(self), args, n, kwnames, 0);
}

static PyObject *aio_decr(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return count(ns_of(self), args, n, kwnames, 1);
}

static PyObject *aio_clear(PyObject *self, PyObject *ignored)
{
    struct ns *ns = ns_of(self);

    (void)ignored;
    if (!ns->remote)
        return now_with(ns, "clear", NULL, 0, NULL);
    return ns_check(ns) < 0 ? NULL : send(ns, req_new(ns->cache, ns, R_CLEAR, NULL, NULL, 0));
}

/* ---- Loads ---------------------------------------------------------------------------------------------------------------------- */

static uint64_t give_up_at(unsigned wait_ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + (uint64_t)wait_ms * 1000000u;
}

static PyObject *aio_begin(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "wait", "refresh", "soft_ttl" };
    struct ns *ns = ns_of(self);
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    PyObject *given[4], *value = NULL;
    uint64_t soft_ttl_ms = 0;
    unsigned wait_ms = 0;
    struct request *r;
    struct text k;
    int refresh, found;

    if (read_args("begin", args, n, kwnames, names, 4, 1, 2, given) < 0 || text_of(given[0], &k, "key") < 0 ||
        ms_of_unsigned(given[1], &wait_ms, "wait") < 0 || ms_of(given[3], &soft_ttl_ms, "soft_ttl", 0) < 0 ||
        (refresh = given[2] ? PyObject_IsTrue(given[2]) : 0) < 0 || ns_check(ns) < 0)
        return NULL;
    if (!refresh && !soft_ttl_ms && !ns->watched && (found = ns_look(ns, given[0], &k, &value)) != 0)
        return found < 0 ? NULL : done_new(ns->st, make_begun(ns, LIBCACHE_HIT, value, NULL, 0));
    if (ns_check(ns) < 0) /* a hook may have closed the cache */
        return NULL;
    if (!given[1] || given[1] == Py_None) {
        libcache_read_policy(ns->handle, &policy);
        wait_ms = policy.load_timeout_ms < UINT32_MAX ? (unsigned)policy.load_timeout_ms : UINT32_MAX;
    }
    r = req_new(ns->cache, ns, R_BEGIN, &k, NULL, 0);
    if (r) {
        r->flags = refresh ? LIBCACHE_REFRESH : 0;
        r->ms = soft_ttl_ms;
        r->give_up_ns = give_up_at(wait_ms);
    }
    return send(ns, r);
}

/* ---- Of the whole cache ------------------------------------------------------------------------------------------------------------ */

PyObject *cache_invalidate_async(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct cache *cache = (struct cache *)self;
    PyObject *tuple;
    struct request *r;
    struct keys tags;

    if (cache_check(cache) < 0 || !(tuple = PyTuple_New(n)))
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    if (keys_of(tuple, &tags) < 0) {
        Py_DECREF(tuple);
        return NULL;
    }
    Py_DECREF(tuple);
    r = req_new(cache, NULL, R_INVALIDATE, NULL, NULL, 0);
    if (!r) {
        keys_end(&tags);
        return NULL;
    }
    r->many = tags.slices;
    r->slices = tags.slices;
    r->n = tags.n;
    r->extra = tags.held;
    return req_send(cache, r);
}

PyObject *cache_clear_async(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    struct request *r = cache_check(cache) < 0 ? NULL : req_new(cache, NULL, R_CLEAR_ALL, NULL, NULL, 0);

    (void)ignored;
    return r ? req_send(cache, r) : NULL;
}

PyObject *cache_poll_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "timeout" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[1];
    unsigned timeout = 0;
    struct request *r;

    if (cache_check(cache) < 0 || read_args("poll_async", args, n, kwnames, names, 1, 0, 1, value) < 0 ||
        ms_of_unsigned(value[0], &timeout, "timeout") < 0 || !(r = req_new(cache, NULL, R_POLL, NULL, NULL, 0)))
        return NULL;
    r->wait_ms = timeout;
    return req_send(cache, r);
}

/* A request about a lock. NULL: raised. */
static struct request *about_lock(struct cache *cache, enum request_kind kind, PyObject *name, PyObject *owner,
                                  PyObject *ttl)
{
    libcache_owner text;
    struct request *r;
    struct text k;
    uint64_t ttl_ms = 0;

    if (cache_check(cache) < 0 || text_of(name, &k, "lock's name") < 0 || owner_of(owner, &text) < 0 ||
        ms_of(ttl, &ttl_ms, "ttl", 0) < 0 || !(r = req_new(cache, NULL, kind, &k, NULL, 0)))
        return NULL;
    r->owner = text;
    r->ms = ttl_ms;
    return r;
}

PyObject *cache_lock_take_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "ttl", "wait", "owner" };
    unsigned wait_ms = 0;
    PyObject *value[4];
    struct request *r;

    if (read_args("lock_take_async", args, n, kwnames, names, 4, 2, 4, value) < 0 ||
        ms_of_unsigned(value[2], &wait_ms, "wait") < 0 ||
        !(r = about_lock((struct cache *)self, R_LOCK_TAKE, value[0], value[3], value[1])))
        return NULL;
    r->give_up_ns = wait_ms ? give_up_at(wait_ms) : 0;
    return req_send((struct cache *)self, r);
}

/* What lock_take_async gave was cancelled: nobody waits for that lock. */
PyObject *cache_lock_leave(PyObject *self, PyObject *future)
{
    struct cache *cache = (struct cache *)self;
    struct request *r;

    if (cache->handle && !cache->closing) {
        r = req_new(cache, NULL, R_LOCK_LEAVE, NULL, NULL, 0);
        if (!r)
            return NULL;
        r->extra = Py_NewRef(future);
        req_send_off(cache, r);
    }
    Py_RETURN_NONE;
}

PyObject *cache_lock_keep_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "owner", "ttl" };
    PyObject *value[3];
    struct request *r;

    if (read_args("lock_keep_async", args, n, kwnames, names, 3, 3, 3, value) < 0 ||
        !(r = about_lock((struct cache *)self, R_LOCK_KEEP, value[0], value[1], value[2])))
        return NULL;
    return req_send((struct cache *)self, r);
}

PyObject *cache_lock_free_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "owner" };
    PyObject *value[2];
    struct request *r;

    if (read_args("lock_free_async", args, n, kwnames, names, 2, 2, 2, value) < 0 ||
        !(r = about_lock((struct cache *)self, R_LOCK_FREE, value[0], value[1], NULL)))
        return NULL;
    return req_send((struct cache *)self, r);
}

PyObject *cache_rate_hit_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct cache *cache = (struct cache *)self;
    struct text name;
    uint64_t limit, window_ms = 0;
    struct request *r;

    if (cache_check(cache) < 0 || read_rate(args, n, kwnames, &name, &limit, &window_ms) < 0 ||
        !(r = req_new(cache, NULL, R_RATE, &name, NULL, 0)))
        return NULL;
    r->limit = limit;
    r->ms = window_ms;
    return req_send(cache, r);
}

/* ---- The type -----------------------------------------------------------------------------------------------------------------*/

static PyMethodDef aio_methods[] = {
    { "get", (PyCFunction)(void (*)(void))aio_get, METH_FASTCALL, "get(key, default=None)" },
    { "lookup", aio_lookup, METH_O, "lookup(key)" },
    { "get_many", aio_get_many, METH_O, "get_many(keys)" },
    { "exists", aio_exists, METH_O, "exists(key)" },
    { "ttl_left", aio_ttl_left, METH_O, "ttl_left(key)" },
    { "set", FASTCALL(aio_set), "set(key, value, ttl=None, tags=())" },
    { "set_negative", FASTCALL(aio_set_negative), "set_negative(key, ttl=None, tags=())" },
    { "add", FASTCALL(aio_add), "add(key, value, ttl=None, tags=())" },
    { "set_many", FASTCALL(aio_set_many), "set_many(items, ttl=None, tags=())" },
    { "delete", aio_delete, METH_O, "delete(key)" },
    { "delete_many", aio_delete_many, METH_O, "delete_many(keys)" },
    { "touch", FASTCALL(aio_touch), "touch(key, ttl=None)" },
    { "incr", FASTCALL(aio_incr), "incr(key, delta=1, ttl=None, tags=())" },
    { "decr", FASTCALL(aio_decr), "decr(key, delta=1, ttl=None, tags=())" },
    { "clear", aio_clear, METH_NOARGS, "clear()" },
    { "begin", FASTCALL(aio_begin), "begin(key, wait=None, *, refresh=False)" },
    { 0 },
};
static PyGetSetDef aio_getset[] = { { "sync", aio_get_sync, NULL, "The namespace.", NULL }, { 0 } };
static PyType_Slot aio_slots[] = {
    { Py_tp_new, aio_new },         { Py_tp_dealloc, aio_dealloc }, { Py_tp_traverse, aio_traverse },
    { Py_tp_methods, aio_methods }, { Py_tp_getset, aio_getset },   { 0, NULL },
};
PyType_Spec aio_spec = { .name = "libcache._core.AsyncNamespace",
                         .basicsize = sizeof(struct aio),
                         .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                         .slots = aio_slots };
