/* Values of a namespace, its hooks included. SPDX-License-Identifier: MIT */
#include "_core.h"

#include <stddef.h>

/* ---- Values, hooks included ------------------------------------------------------------------------------------------ */

int ns_check(struct ns *ns)
{
    if (likely(ns->handle != NULL))
        return likely(ns->cache->handle && !ns->cache->closing) ? 0 : cache_check(ns->cache);
    PyErr_SetString(PyExc_TypeError, "this namespace has not been opened");
    return -1;
}

/* encode(value) gives (bytes-like, codec byte). */
static int encode_by_hook(struct ns *ns, PyObject *value, struct encoded *out)
{
    PyObject *pair = PyObject_CallOneArg(ns->encode, value), *bytes;
    long codec;

    if (!pair)
        return -1;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyLong_Check(PyTuple_GET_ITEM(pair, 1)) ||
        (codec = PyLong_AsLong(PyTuple_GET_ITEM(pair, 1))) < 0 || codec > 255) {
        Py_DECREF(pair);
        PyErr_SetString(PyExc_TypeError, "encode must give (bytes, codec byte from 0 to 255)");
        return -1;
    }
    bytes = PyBytes_FromObject(PyTuple_GET_ITEM(pair, 0)); /* the same object, if it is bytes */
    Py_DECREF(pair);
    if (!bytes)
        return -1;
    memset(out, 0, offsetof(struct encoded, small));
    out->held = bytes;
    out->data = PyBytes_AS_STRING(bytes);
    out->size = (size_t)PyBytes_GET_SIZE(bytes);
    out->codec = (uint8_t)codec;
    return 0;
}

int ns_encode(struct ns *ns, PyObject *value, struct encoded *out)
{
    PyObject *plain;
    int result;

    if (ns->encode)
        return encode_by_hook(ns, value, out);
    if (!ns->to_plain)
        return encode_value(ns->st, value, out);
    plain = PyObject_CallOneArg(ns->to_plain, value);
    if (!plain)
        return -1;
    result = encode_value(ns->st, plain, out);
    Py_DECREF(plain);
    return result;
}

PyObject *ns_decode_bytes(struct ns *ns, PyObject *bytes, uint8_t codec)
{
    PyObject *number = bytes ? PyLong_FromLong(codec) : NULL, *value = NULL;

    if (number)
        value = PyObject_CallFunctionObjArgs(ns->decode, bytes, number, NULL);
    Py_XDECREF(number);
    return value;
}

PyObject *ns_decode(struct ns *ns, const void *data, size_t size, uint8_t codec)
{
    PyObject *value, *plain;

    if (unlikely(ns->decode != NULL)) {
        PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
        value = ns_decode_bytes(ns, bytes, codec);
        Py_XDECREF(bytes);
        return value;
    }
    value = decode_value(ns->st, data, size, codec);
    if (likely(!ns->from_plain) || !value)
        return value;
    plain = value;
    value = PyObject_CallOneArg(ns->from_plain, plain);
    Py_DECREF(plain);
    return value;
}

/* The first one is said: logging.getLogger("libcache").warning(...). */
static void tell_decode_error(struct ns *ns)
{
    PyObject *type, *error, *trace, *logging, *logger = NULL, *done;

    PyErr_Fetch(&type, &error, &trace);
    logging = PyImport_ImportModule("logging");
    if (logging)
        logger = PyObject_CallMethod(logging, "getLogger", "s", "libcache");
    if (logger) {
        done = PyObject_CallMethod(logger, "warning", "sOO",
                                   "namespace %s: a value cannot be decoded and counts as missing: %s", ns->name,
                                   error ? error : Py_None);
        Py_XDECREF(done);
    }
    Py_XDECREF(logging);
    Py_XDECREF(logger);
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
}

/* Any exception of a codec, or of a hook. */
int is_of_decoding(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError);
}

/* NULL is a miss when the exception is one of decoding; it is counted and taken away. */
static PyObject *or_miss(struct ns *ns, PyObject *value)
{
    if (value || !is_of_decoding())
        return value;
    if (__atomic_fetch_add(&ns->decode_errors, 1, __ATOMIC_RELAXED) == 0)
        tell_decode_error(ns);
    else
        PyErr_Clear();
    return NULL;
}

PyObject *ns_decode_or_miss(struct ns *ns, const void *data, size_t size, uint8_t codec)
{
    return or_miss(ns, ns_decode(ns, data, size, codec));
}

PyObject *ns_decode_flagged(struct ns *ns, const libcache_value *v)
{
    return v->flags & FLAG_RAISED ? or_miss(ns, decode_value(ns->st, v->data, v->size, v->codec))
                                  : ns_decode_or_miss(ns, v->data, v->size, v->codec);
}
