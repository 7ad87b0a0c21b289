/* Arguments: keys, tags, times, keywords. SPDX-License-Identifier: MIT */
#include "_core.h"

#include <datetime.h>
#include <math.h>
#include <string.h>

int args_start(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI ? 0 : -1;
}

int text_of(PyObject *object, struct text *out, const char *what)
{
    if (likely(PyUnicode_Check(object))) {
        out->data = PyUnicode_AsUTF8AndSize(object, &out->size);
        return out->data ? 0 : -1;
    }
    if (PyBytes_Check(object)) {
        out->data = PyBytes_AS_STRING(object);
        out->size = PyBytes_GET_SIZE(object);
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "a %s must be str or bytes, not %.100s", what, Py_TYPE(object)->tp_name);
    return -1;
}

/* Milliseconds, not rounded; NaN: raised. */
static double read_ms(PyObject *object, const char *what)
{
    double seconds;

    if (PyDelta_Check(object))
        return PyDateTime_DELTA_GET_DAYS(object) * 86400e3 + PyDateTime_DELTA_GET_SECONDS(object) * 1e3 +
               PyDateTime_DELTA_GET_MICROSECONDS(object) / 1e3;
    if (PyBool_Check(object) || !(PyLong_Check(object) || PyFloat_Check(object))) {
        PyErr_Format(PyExc_TypeError, "%s must be seconds (int, float or timedelta), not %.100s", what,
                     Py_TYPE(object)->tp_name);
        return NAN;
    }
    /* Of an int its digits: __float__ of a subclass could do anything, such as close the cache. */
    seconds = PyLong_Check(object) ? PyLong_AsDouble(object) : PyFloat_AS_DOUBLE(object);
    if (seconds == -1.0 && PyErr_Occurred())
        return NAN;
    if (isnan(seconds))
        PyErr_Format(PyExc_ValueError, "%s is not a number", what);
    return seconds * 1e3;
}

int ms_of(PyObject *object, uint64_t *ms, const char *what, int forever)
{
    double value;

    if (!object || object == Py_None)
        return 0;
    value = read_ms(object, what);
    if (isnan(value))
        return -1;
    if (value <= 0) {
        PyErr_Format(PyExc_ValueError, "%s must be more than 0 seconds", what);
        return -1;
    }
    if (isinf(value) && forever) {
        *ms = LIBCACHE_FOREVER;
        return 0;
    }
    if (value > (double)LIBCACHE_TTL_MAX_MS) {
        PyErr_Format(PyExc_ValueError, "%s is longer than ten years%s", what,
                     forever ? " (math.inf means for ever)" : "");
        return -1;
    }
    *ms = (uint64_t)ceil(value - 1e-6);
    if (!*ms)
        *ms = 1;
    return 0;
}

int ms_of_unsigned(PyObject *object, unsigned *ms, const char *what)
{
    double value;

    if (!object || object == Py_None)
        return 0;
    value = read_ms(object, what);
    if (isnan(value))
        return -1;
    if (value < 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be negative", what);
        return -1;
    }
    *ms = value >= 4294967295.0 ? UINT32_MAX : (unsigned)ceil(value - 1e-6);
    return 0;
}

PyObject *seconds_of(uint64_t ms)
{
    return PyFloat_FromDouble(ms == LIBCACHE_FOREVER ? INFINITY : (double)ms / 1e3);
}

int tags_of(struct state *st, PyObject *object, struct tags *out)
{
    Py_ssize_t n;

    out->n = 0;
    out->held = NULL;
    if (!object || object == Py_None || object == st->empty_tuple)
        return 0;
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "tags must be a list of tags, not one tag");
        return -1;
    }
    /* A tuple of our own: what the caller gave may change while we are without the GIL. */
    out->held = PySequence_Tuple(object);
    if (!out->held)
        return -1;
    n = PyTuple_GET_SIZE(out->held);
    if (n > LIBCACHE_TAGS_MAX) {
        char text[64];
        snprintf(text, sizeof text, "%zd tags, at most %d an entry", n, LIBCACHE_TAGS_MAX);
        raise_code(st, LIBCACHE_ETAG, text);
        tags_end(out);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        struct text tag;
        if (text_of(PyTuple_GET_ITEM(out->held, i), &tag, "tag") < 0) {
            tags_end(out);
            return -1;
        }
        out->slices[i] = (libcache_slice){ tag.data, (size_t)tag.size };
    }
    out->n = (size_t)n;
    return 0;
}

static int find_name(PyObject *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return i;
    return -1;
}

int read_args(const char *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, const char *const *names,
              int count, int required, int positional, PyObject **values)
{
    Py_ssize_t n_keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;

    if (n > positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)", function, positional,
                     n);
        return -1;
    }
    for (int i = 0; i < count; i++)
        values[i] = i < n ? args[i] : NULL;
    for (Py_ssize_t k = 0; k < n_keywords; k++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, k);
        int i = find_name(name, names, count);
        if (i < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", function, name);
            return -1;
        }
        if (values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R", function, name);
            return -1;
        }
        values[i] = args[n + k];
    }
    for (int i = 0; i < required; i++)
        if (!values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() needs the argument '%s'", function, names[i]);
            return -1;
        }
    return 0;
}

int int64_of(PyObject *object, int64_t *out, const char *what)
{
    long long value;

    if (!object)
        return 0;
    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be int, not %.100s", what, Py_TYPE(object)->tp_name);
        return -1;
    }
    value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred())
        return -1;
    *out = value;
    return 0;
}

int owner_of(PyObject *object, libcache_owner *owner)
{
    struct text text;

    memset(owner, 0, sizeof *owner);
    if (!object || object == Py_None)
        return 0;
    if (text_of(object, &text, "lock's owner") < 0)
        return -1;
    if (text.size != (Py_ssize_t)sizeof owner->text - 1 || strlen(text.data) != (size_t)text.size) {
        PyErr_Format(PyExc_ValueError, "a lock's owner has %d characters", (int)sizeof owner->text - 1);
        return -1;
    }
    memcpy(owner->text, text.data, sizeof owner->text - 1);
    return 0;
}
