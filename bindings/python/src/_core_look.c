/* What L1 has at hand, without giving the GIL away, and the memo of decoded objects. SPDX-License-Identifier: MIT */
#include "_core.h"
#include "_core_io.h"

/* ---- A hit in L1 ---------------------------------------------------------------------------------------------------------- */

/* Of a look: what cannot be decoded is not at hand. Whoever gets it next counts it. */
static int looked(PyObject *value)
{
    if (value)
        return 1;
    if (!is_of_decoding())
        return -1;
    PyErr_Clear();
    return 0;
}

static void *reserve_bytes(libcache_value *value, size_t size)
{
    PyObject **bytes = value->reserve_arg;

    Py_CLEAR(*bytes);
    *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!*bytes) {
        PyErr_Clear();
        return NULL;
    }
    return PyBytes_AS_STRING(*bytes);
}

/* libcache_look, to which an exception is no value. */
static inline int look(struct ns *ns, const struct text *k, libcache_value *v, unsigned flags)
{
    int result = libcache_look(ns->handle, k->data, (size_t)k->size, v, flags);

    return unlikely(result == LIBCACHE_HIT && (v->flags & FLAG_RAISED)) ? LIBCACHE_MISS : result;
}

/* A value too large for the stack goes straight into the bytes that are given out. */
static int look_large(struct ns *ns, const struct text *k, PyObject **value)
{
    PyObject *bytes = NULL;
    libcache_value v = { .reserve = reserve_bytes, .reserve_arg = &bytes };
    int result = look(ns, k, &v, 0);

    if (result == LIBCACHE_HIT && v.codec == CODEC_BYTES && !ns->decode && !ns->from_plain) {
        *value = bytes;
        return 1;
    }
    if (result == LIBCACHE_HIT)
        *value =
            ns->decode ? ns_decode_bytes(ns, bytes, v.codec) : ns_decode(ns, PyBytes_AS_STRING(bytes), v.size, v.codec);
    Py_XDECREF(bytes);
    return result == LIBCACHE_HIT ? looked(*value) : 0;
}

/* ---- The memo ----------------------------------------------------------------------------------------------------------- */

/*
 * memo[key] is (version, value): the object that was decoded from that version of the entry. Nothing has to be told to it: what was
 * set, deleted, invalidated or has expired since, anywhere, is no longer a hit of that version. When it is full it begins anew.
 */
static void memo_put(struct ns *ns, PyObject *key, uint64_t version, PyObject *value)
{
    PyObject *pair = Py_BuildValue("(KO)", (unsigned long long)version, value);

    if (PyDict_GET_SIZE(ns->memo) >= ns->memo_max)
        PyDict_Clear(ns->memo);
    if (!pair || PyDict_SetItem(ns->memo, key, pair) < 0)
        PyErr_Clear();
    Py_XDECREF(pair);
}

static int look_in_memo(struct ns *ns, PyObject *key, const struct text *k, PyObject **value)
{
    PyObject *pair;
    libcache_value v;
    int result, found = 0;

    value_start(&v);
    pair = PyDict_GetItemWithError(ns->memo, key);
    if (!pair && PyErr_Occurred())
        return -1;
    Py_XINCREF(pair);
    if (pair)
        v.version = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(pair, 0));
    if (ns_check(ns) < 0) { /* the key's own __hash__ may have closed the cache */
        Py_XDECREF(pair);
        return -1;
    }
    result = look(ns, k, &v, LIBCACHE_VERSION);
    if (result == LIBCACHE_HIT && pair && !v.data) {
        *value = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        found = 1;
    } else if (result == LIBCACHE_HIT) {
        *value = ns_decode(ns, v.data, v.size, v.codec);
        found = looked(*value);
        if (*value && v.version)
            memo_put(ns, key, v.version, *value);
    } else if (result < 0) {
        raise_code(ns->st, result, "get");
        found = -1;
    }
    value_end(&v);
    Py_XDECREF(pair);
    return found;
}

static __attribute__((noinline)) int look_with_memo(struct ns *ns, PyObject *key, const struct text *k,
                                                    PyObject **value)
{
    PyObject *own = key ? Py_NewRef(key) : PyBytes_FromStringAndSize(k->data, k->size);
    int found = own ? look_in_memo(ns, own, k, value) : -1;

    Py_XDECREF(own);
    return found;
}

#define ON_STACK 1024

int ns_look(struct ns *ns, PyObject *key, const struct text *k, PyObject **value)
{
    char memory[ON_STACK];
    libcache_value v;
    int result;

    if (unlikely(ns->memo != NULL))
        return look_with_memo(ns, key, k, value);
    memset(&v, 0, sizeof v);
    v.data = memory;
    v.capacity = sizeof memory;
    result = look(ns, k, &v, 0);
    if (likely(result == LIBCACHE_HIT)) {
        if (likely(v.codec == CODEC_BYTES && !ns->decode && !ns->from_plain)) {
            *value = PyBytes_FromStringAndSize(memory, (Py_ssize_t)v.size);
            return *value ? 1 : -1;
        }
        *value = ns_decode(ns, memory, v.size, v.codec);
        return looked(*value);
    }
    if (result == LIBCACHE_MISS)
        return 0;
    if (result == LIBCACHE_ETOOBIG)
        return look_large(ns, k, value);
    raise_code(ns->st, result, "get");
    return -1;
}
