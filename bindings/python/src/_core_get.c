/* Namespace: reading. SPDX-License-Identifier: MIT */
#include "_core_port.h"

/* ---- get --------------------------------------------------------------------------------------------------------------------- */

PyObject *get_result(struct ns *ns, int result, libcache_value *v, PyObject *fallback)
{
    if ((result == LIBCACHE_HIT || result == LIBCACHE_STALE) && !(v->flags & FLAG_RAISED)) {
        PyObject *value = ns_decode_or_miss(ns, v->data, v->size, v->codec);
        return value || PyErr_Occurred() ? value : Py_NewRef(fallback);
    }
    return result < 0 ? raise_code(ns->st, result, "get") : Py_NewRef(fallback);
}

/* Not at hand: a stale value, one that needs a closer look, Redis, or nothing. */
static __attribute__((noinline)) PyObject *get_further(struct ns *ns, const struct text *k, PyObject *fallback)
{
    libcache_value v;
    PyObject *value;
    int result;

    if (ns_check(ns) < 0) /* a hook that could not decode what was at hand may have closed the cache */
        return NULL;
    value_start(&v);
    if (ns->remote) {
        WITHOUT_GIL_BEGIN(ns->cache)
        result = libcache_get(ns->handle, k->data, (size_t)k->size, &v, 0);
        WITHOUT_GIL_END(ns->cache)
    } else {
        result = libcache_get(ns->handle, k->data, (size_t)k->size, &v, LIBCACHE_NO_WAIT);
    }
    value = get_result(ns, result, &v, fallback);
    value_end(&v);
    return value;
}

PyObject *ns_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct ns *ns = (struct ns *)self;
    PyObject *value = NULL;
    struct text k;
    int found;

    if (unlikely(n != 1 && n != 2))
        return PyErr_Format(PyExc_TypeError, "get() takes a key and a default (%zd given)", n);
    if (unlikely(ns_check(ns) < 0 || text_of(args[0], &k, "key") < 0))
        return NULL;
    found = ns_look(ns, args[0], &k, &value);
    if (likely(found))
        return value;
    return get_further(ns, &k, n == 2 ? args[1] : Py_None);
}

PyObject *ns_subscript(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    PyObject *args[2] = { key, ns->st->missing }, *value = ns_get(self, args, 2);

    if (value == ns->st->missing) {
        Py_DECREF(value);
        PyErr_SetObject(PyExc_KeyError, key);
        return NULL;
    }
    return value;
}

PyObject *make_lookup(struct ns *ns, int result, const libcache_value *v)
{
    PyObject *value = NULL;

    if (result < 0)
        return raise_code(ns->st, result, "lookup");
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        value = ns_decode_or_miss(ns, v->data, v->size, v->codec);
        if (!value && PyErr_Occurred())
            return NULL;
        if (!value)
            result = LIBCACHE_MISS;
    }
    if (result == LIBCACHE_MISS)
        return PyObject_CallFunction((PyObject *)ns->st->lookup_type, "iOOOiii", result, Py_None, Py_None, Py_None, 0,
                                     0, 0);
    return PyObject_CallFunction((PyObject *)ns->st->lookup_type, "iNNNiiI", result, value ? value : Py_NewRef(Py_None),
                                 seconds_of(v->age_ms), seconds_of(v->ttl_left_ms), v->tier, v->codec, v->flags);
}

PyObject *ns_lookup(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    libcache_value v;
    PyObject *found;
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return NULL;
    value_start(&v);
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_get(ns->handle, k.data, (size_t)k.size, &v, LIBCACHE_TIMES);
    WITHOUT_GIL_END(ns->cache)
    found = make_lookup(ns, result, &v);
    value_end(&v);
    return found;
}

/* ---- Many -------------------------------------------------------------------------------------------------------------------- */

PyObject *many_result(struct ns *ns, PyObject *into, PyObject *keys, size_t n, libcache_value *values,
                      const int *results, int result)
{
    if (result != LIBCACHE_OK)
        return raise_code(ns->st, result, "get_many");
    for (size_t i = 0; i < n; i++) {
        PyObject *value;
        int failed;
        if (results[i] < 0)
            return raise_code(ns->st, results[i], "get_many");
        if ((results[i] != LIBCACHE_HIT && results[i] != LIBCACHE_STALE) || (values[i].flags & FLAG_RAISED))
            continue;
        value = ns_decode_or_miss(ns, values[i].data, values[i].size, values[i].codec);
        if (!value && PyErr_Occurred())
            return NULL;
        if (!value)
            continue;
        failed = PyDict_SetItem(into, PyList_GET_ITEM(keys, (Py_ssize_t)i), value);
        Py_DECREF(value);
        if (failed)
            return NULL;
    }
    return Py_NewRef(into);
}

int ns_look_many(struct ns *ns, PyObject *keys, PyObject *into, PyObject **missing)
{
    PyObject *iterator = PyObject_GetIter(keys), *key;

    *missing = NULL;
    if (!iterator)
        return -1;
    *missing = PyList_New(0);
    while (*missing && (key = PyIter_Next(iterator))) {
        PyObject *value = NULL;
        struct text k;
        /* What gives the keys, and hooks, may close the cache. */
        int found = ns_check(ns) < 0 || text_of(key, &k, "key") < 0 ? -1 : ns_look(ns, key, &k, &value);
        if (found > 0)
            found = PyDict_SetItem(into, key, value);
        else if (found == 0)
            found = PyList_Append(*missing, key);
        Py_XDECREF(value);
        Py_DECREF(key);
        if (found < 0)
            Py_CLEAR(*missing);
    }
    Py_DECREF(iterator);
    if (*missing && PyErr_Occurred())
        Py_CLEAR(*missing);
    return *missing ? 0 : -1;
}

static PyObject *get_many_further(struct ns *ns, PyObject *keys, PyObject *into)
{
    size_t n = (size_t)PyList_GET_SIZE(keys);
    char *memory = PyMem_Calloc(n, sizeof(libcache_value) + sizeof(libcache_slice) + sizeof(int));
    libcache_value *values = (libcache_value *)(void *)memory;
    libcache_slice *slices = (libcache_slice *)(void *)(values + n);
    int *results = (int *)(void *)(slices + n), result;
    unsigned flags = ns->remote ? 0 : LIBCACHE_NO_WAIT;
    PyObject *found;

    if (!memory)
        return PyErr_NoMemory();
    for (size_t i = 0; i < n; i++) {
        struct text k = { NULL, 0 };
        text_of(PyList_GET_ITEM(keys, (Py_ssize_t)i), &k, "key"); /* was one before */
        slices[i] = (libcache_slice){ k.data, (size_t)k.size };
        value_start(&values[i]);
    }
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_get_many(ns->handle, slices, n, values, results, NULL, flags);
    WITHOUT_GIL_END(ns->cache)
    found = many_result(ns, into, keys, n, values, results, result < 0 ? result : LIBCACHE_OK);
    for (size_t i = 0; i < n; i++)
        value_end(&values[i]);
    PyMem_Free(memory);
    return found;
}

PyObject *ns_get_many(PyObject *self, PyObject *keys)
{
    struct ns *ns = (struct ns *)self;
    PyObject *into, *missing, *found = NULL;

    if (ns_check(ns) < 0 || !(into = PyDict_New()))
        return NULL;
    if (ns_look_many(ns, keys, into, &missing) == 0) {
        if (!PyList_GET_SIZE(missing))
            found = Py_NewRef(into);
        else if (ns_check(ns) == 0)
            found = get_many_further(ns, missing, into);
        Py_DECREF(missing);
    }
    Py_DECREF(into);
    return found;
}

/* ---- exists, ttl_left --------------------------------------------------------------------------------------------------------- */

static int ns_has(struct ns *ns, PyObject *key)
{
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return LIBCACHE_EINVAL;
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_exists(ns->handle, k.data, (size_t)k.size, 0);
    WITHOUT_GIL_END(ns->cache)
    if (result < 0)
        raise_code(ns->st, result, "exists");
    return result;
}

int ns_contains(PyObject *self, PyObject *key)
{
    int result = ns_has((struct ns *)self, key);
    return result < 0 ? -1 : result == LIBCACHE_HIT || result == LIBCACHE_STALE;
}

PyObject *ns_exists(PyObject *self, PyObject *key)
{
    int result = ns_contains(self, key);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

PyObject *ns_ttl_left(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    uint64_t left_ms = 0;
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_ttl_left(ns->handle, k.data, (size_t)k.size, &left_ms, 0);
    WITHOUT_GIL_END(ns->cache)
    if (result == LIBCACHE_OK)
        return seconds_of(left_ms);
    if (result < 0)
        return raise_code(ns->st, result, "ttl_left");
    Py_RETURN_NONE;
}
