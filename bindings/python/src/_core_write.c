/*
 * Namespace: writing. SPDX-License-Identifier: MIT
 *
 * Without a Redis tier a write takes some hundred nanoseconds and is done with the GIL held, but for the case that another
 * process sits on a lock: then it is done again without. With Redis, always without.
 */
#include "_core_many.h"
#include "_core_port.h"

#include <stdlib.h>

/* `call` uses `flags`. */
#define WRITE(ns, result, call)            \
    do {                                   \
        unsigned flags = LIBCACHE_NO_WAIT; \
        result = LIBCACHE_EBUSY;           \
        if (!(ns)->remote)                 \
            result = call;                 \
        if (result == LIBCACHE_EBUSY) {    \
            flags = 0;                     \
            WITHOUT_GIL_BEGIN((ns)->cache) \
            result = call;                 \
            WITHOUT_GIL_END((ns)->cache)   \
        }                                  \
    } while (0)

int set_options_of(struct ns *ns, PyObject *ttl, PyObject *tags_object, struct tags *tags, libcache_set_options *out)
{
    *out = (libcache_set_options)LIBCACHE_SET_OPTIONS_INIT;
    tags->held = NULL;
    if (ms_of(ttl, &out->ttl_ms, "ttl", 1) < 0 || tags_of(ns->st, tags_object, tags) < 0)
        return -1;
    if (ns_check(ns) < 0) { /* whatever gave the tags may have closed the cache */
        tags_end(tags);
        return -1;
    }
    out->tags = tags->slices;
    out->n_tags = tags->n;
    return 0;
}

/* ---- One ---------------------------------------------------------------------------------------------------------------- */

static const char *const set_names[] = { "key", "value", "ttl", "tags" };

/* set and add. LIBCACHE_ENOMEM with an exception: raised. */
static int store(struct ns *ns, PyObject *const *value, int add)
{
    libcache_set_options options;
    struct encoded e;
    struct tags tags;
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(value[0], &k, "key") < 0 ||
        set_options_of(ns, value[2], value[3], &tags, &options) < 0)
        return LIBCACHE_EINVAL;
    if (ns_encode(ns, value[1], &e) < 0) {
        tags_end(&tags);
        return LIBCACHE_EINVAL;
    }
    if (ns_check(ns) < 0) { /* a hook may have closed the cache */
        encoded_end(&e);
        tags_end(&tags);
        return LIBCACHE_EINVAL;
    }
    options.codec = e.codec;
    WRITE(ns, result,
          (options.flags = flags, add ? libcache_add(ns->handle, k.data, (size_t)k.size, e.data, e.size, &options)
                                      : libcache_set(ns->handle, k.data, (size_t)k.size, e.data, e.size, &options)));
    encoded_end(&e);
    tags_end(&tags);
    if (result < 0)
        raise_code(ns->st, result, add ? "add" : "set");
    return result;
}

PyObject *ns_set(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *value[4];

    if (read_args("set", args, n, kwnames, set_names, 4, 2, 4, value) < 0 || store((struct ns *)self, value, 0) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *ns_add(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    PyObject *value[4];
    int result;

    if (read_args("add", args, n, kwnames, set_names, 4, 2, 4, value) < 0 ||
        (result = store((struct ns *)self, value, 1)) < 0)
        return NULL;
    return PyBool_FromLong(result == LIBCACHE_OK);
}

PyObject *ns_set_negative(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "ttl", "tags" };
    struct ns *ns = (struct ns *)self;
    libcache_set_options options;
    PyObject *value[3];
    struct tags tags;
    struct text k;
    int result;

    if (read_args("set_negative", args, n, kwnames, names, 3, 1, 3, value) < 0 || ns_check(ns) < 0 ||
        text_of(value[0], &k, "key") < 0 || set_options_of(ns, value[1], value[2], &tags, &options) < 0)
        return NULL;
    WRITE(ns, result,
          (options.flags = flags | LIBCACHE_NEG, libcache_set(ns->handle, k.data, (size_t)k.size, NULL, 0, &options)));
    tags_end(&tags);
    if (result < 0)
        return raise_code(ns->st, result, "set_negative");
    Py_RETURN_NONE;
}

static int delete_key(struct ns *ns, PyObject *key)
{
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return LIBCACHE_EINVAL;
    WRITE(ns, result, libcache_delete(ns->handle, k.data, (size_t)k.size, flags));
    if (result < 0)
        raise_code(ns->st, result, "delete");
    return result;
}

PyObject *ns_delete(PyObject *self, PyObject *key)
{
    int result = delete_key((struct ns *)self, key);
    return result < 0 ? NULL : PyBool_FromLong(result == LIBCACHE_OK);
}

/* ns[key] = value, del ns[key] */
int ns_assign(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *args[4] = { key, value, NULL, NULL };
    int result = value ? store((struct ns *)self, args, 0) : delete_key((struct ns *)self, key);

    if (result < 0)
        return -1;
    if (!value && result != LIBCACHE_OK) {
        PyErr_SetObject(PyExc_KeyError, key);
        return -1;
    }
    return 0;
}

PyObject *ns_touch(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "ttl" };
    struct ns *ns = (struct ns *)self;
    PyObject *value[2];
    uint64_t ttl_ms = 0;
    struct text k;
    int result;

    if (read_args("touch", args, n, kwnames, names, 2, 1, 2, value) < 0 || ns_check(ns) < 0 ||
        text_of(value[0], &k, "key") < 0 || ms_of(value[1], &ttl_ms, "ttl", 1) < 0)
        return NULL;
    WRITE(ns, result, libcache_touch(ns->handle, k.data, (size_t)k.size, ttl_ms, flags));
    return yes_or_no(ns->st, result, "touch");
}

static PyObject *count(struct ns *ns, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, int down)
{
    static const char *const names[] = { "key", "delta", "ttl", "tags" };
    libcache_set_options options;
    PyObject *value[4];
    int64_t delta = 1, number = 0;
    struct tags tags;
    struct text k;
    int result;

    if (read_args(down ? "decr" : "incr", args, n, kwnames, names, 4, 1, 4, value) < 0 || ns_check(ns) < 0 ||
        text_of(value[0], &k, "key") < 0 || int64_of(value[1], &delta, "delta") < 0 ||
        set_options_of(ns, value[2], value[3], &tags, &options) < 0)
        return NULL;
    options.codec = CODEC_INT;
    WRITE(ns, result,
          (options.flags = flags,
           down ? libcache_decrement(ns->handle, k.data, (size_t)k.size, delta, &options, &number)
                : libcache_increment(ns->handle, k.data, (size_t)k.size, delta, &options, &number)));
    tags_end(&tags);
    if (result < 0)
        return raise_code(ns->st, result, down ? "decr" : "incr");
    return PyLong_FromLongLong(number);
}

PyObject *ns_incr(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return count((struct ns *)self, args, n, kwnames, 0);
}

PyObject *ns_decr(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    return count((struct ns *)self, args, n, kwnames, 1);
}

PyObject *ns_clear(PyObject *self, PyObject *ignored)
{
    struct ns *ns = (struct ns *)self;
    int result;

    (void)ignored;
    if (ns_check(ns) < 0)
        return NULL;
    WRITE(ns, result, libcache_invalidate_namespace(ns->handle, flags));
    if (result != LIBCACHE_OK)
        return raise_code(ns->st, result, "clear");
    Py_RETURN_NONE;
}

/* ---- Many ------------------------------------------------------------------------------------------------------------------ */

int keys_of(PyObject *object, struct keys *out)
{
    memset(out, 0, sizeof *out);
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "keys must be a list of keys, not one key");
        return -1;
    }
    out->held = PySequence_Tuple(object);
    if (!out->held)
        return -1;
    out->n = (size_t)PyTuple_GET_SIZE(out->held);
    out->slices = malloc((out->n + 1) * sizeof *out->slices);
    for (size_t i = 0; out->slices && i < out->n; i++) {
        struct text k;
        if (text_of(PyTuple_GET_ITEM(out->held, (Py_ssize_t)i), &k, "key") < 0) {
            keys_end(out);
            return -1;
        }
        out->slices[i] = (libcache_slice){ k.data, (size_t)k.size };
    }
    if (out->slices)
        return 0;
    keys_end(out);
    PyErr_NoMemory();
    return -1;
}

void keys_end(struct keys *keys)
{
    free(keys->slices);
    keys->slices = NULL;
    Py_CLEAR(keys->held);
}

void items_end(struct items *items)
{
    for (size_t i = 0; i < items->n; i++)
        encoded_end(&items->values[i]);
    free(items->items);
    free(items->options);
    free(items->values);
    memset(items, 0, offsetof(struct items, held));
    Py_CLEAR(items->held);
}

/* One pair: its key is kept in `held`, its value encoded. */
static int add_item(struct ns *ns, PyObject *pair, const libcache_set_options *common, struct items *out)
{
    size_t i = out->n;
    PyObject *two = PySequence_Tuple(pair);
    struct text k;
    int result = -1;

    if (!two)
        return -1;
    if (PyTuple_GET_SIZE(two) != 2) {
        PyErr_SetString(PyExc_ValueError, "set_many wants a mapping or pairs of key and value");
    } else if (text_of(PyTuple_GET_ITEM(two, 0), &k, "key") == 0 &&
               PyList_Append(out->held, PyTuple_GET_ITEM(two, 0)) == 0 &&
               ns_encode(ns, PyTuple_GET_ITEM(two, 1), &out->values[i]) == 0) {
        struct encoded *e = &out->values[i];
        out->options[i] = *common;
        out->options[i].codec = e->codec;
        out->items[i] = (libcache_item){ .key = { k.data, (size_t)k.size },
                                         .value = { e->data, e->size },
                                         .options = &out->options[i] };
        out->n++;
        result = 0;
    }
    Py_DECREF(two);
    return result;
}

int items_of(struct ns *ns, PyObject *object, const libcache_set_options *common, struct items *out)
{
    PyObject *pairs = NULL, *from = PyDict_Check(object) ? PyDict_Items(object) : NULL;
    size_t n;
    int result = 0;

    memset(out, 0, sizeof *out);
    if (!PyDict_Check(object))
        from = PyMapping_Check(object) && PyObject_HasAttrString(object, "items") ? PyMapping_Items(object)
                                                                                  : Py_NewRef(object);
    pairs = from ? PySequence_Tuple(from) : NULL;
    Py_XDECREF(from);
    if (!pairs)
        return -1;
    n = (size_t)PyTuple_GET_SIZE(pairs);
    out->items = malloc((n + 1) * sizeof *out->items);
    out->options = malloc((n + 1) * sizeof *out->options);
    out->values = malloc((n + 1) * sizeof *out->values);
    out->held = PyList_New(0);
    if (!out->items || !out->options || !out->values || !out->held) {
        PyErr_NoMemory();
        result = -1;
    }
    for (size_t i = 0; result == 0 && i < n; i++)
        result = add_item(ns, PyTuple_GET_ITEM(pairs, (Py_ssize_t)i), common, out);
    Py_DECREF(pairs);
    if (result < 0)
        items_end(out);
    return result;
}

PyObject *ns_set_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "items", "ttl", "tags" };
    struct ns *ns = (struct ns *)self;
    libcache_set_options common;
    PyObject *value[3];
    struct items items;
    struct tags tags;
    int result;

    if (read_args("set_many", args, n, kwnames, names, 3, 1, 3, value) < 0 || ns_check(ns) < 0 ||
        set_options_of(ns, value[1], value[2], &tags, &common) < 0)
        return NULL;
    if (items_of(ns, value[0], &common, &items) < 0) {
        tags_end(&tags);
        return NULL;
    }
    if (ns_check(ns) < 0) { /* what gave the items, or a hook, may have closed the cache */
        items_end(&items);
        tags_end(&tags);
        return NULL;
    }
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_set_many(ns->handle, items.items, items.n);
    WITHOUT_GIL_END(ns->cache)
    items_end(&items);
    tags_end(&tags);
    if (result < 0)
        return raise_code(ns->st, result, "set_many");
    Py_RETURN_NONE;
}

PyObject *ns_delete_many(PyObject *self, PyObject *object)
{
    struct ns *ns = (struct ns *)self;
    struct keys keys;
    size_t deleted = 0;
    int result;

    if (ns_check(ns) < 0 || keys_of(object, &keys) < 0)
        return NULL;
    if (ns_check(ns) < 0) { /* what gave the keys may have closed the cache */
        keys_end(&keys);
        return NULL;
    }
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_delete_many(ns->handle, keys.slices, keys.n, &deleted, 0);
    WITHOUT_GIL_END(ns->cache)
    keys_end(&keys);
    if (result < 0)
        return raise_code(ns->st, result, "delete_many");
    return PyLong_FromSize_t(deleted);
}
