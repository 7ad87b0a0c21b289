/*
 * Python objects to bytes. SPDX-License-Identifier: MIT
 *
 * Bytes, texts and integers are stored as they are, told apart by the codec byte; everything else is MessagePack, written
 * straight from the objects. Only exact types: a subclass would come back as something else, so it is refused by name.
 */
#include "_core.h"

#include <datetime.h>
#include <string.h>

int encode_start(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI ? 0 : -1;
}

void encoded_end(struct encoded *e)
{
    Py_CLEAR(e->held);
    free(e->owned);
    e->owned = NULL;
}

int import_lazy(struct state *st)
{
    PyObject *module;

    if (st->decimal && st->uuid)
        return 0;
    module = PyImport_ImportModule("decimal");
    if (!module)
        return -1;
    Py_XSETREF(st->decimal, PyObject_GetAttrString(module, "Decimal"));
    Py_DECREF(module);
    module = PyImport_ImportModule("uuid");
    if (!module)
        return -1;
    Py_XSETREF(st->uuid, PyObject_GetAttrString(module, "UUID"));
    Py_DECREF(module);
    return st->decimal && st->uuid ? 0 : -1;
}

/* ---- The buffer ------------------------------------------------------------------------------------------------------ */

struct writer {
    struct state *st;
    char *data;
    size_t size, capacity;
    int depth;
};

static int grow(struct writer *w, size_t more)
{
    size_t capacity = w->capacity ? w->capacity : 256;
    char *data;

    if (more > PY_SSIZE_T_MAX / 4 || w->size > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return -1;
    }
    while (capacity < w->size + more)
        capacity *= 2;
    data = realloc(w->data, capacity);
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    w->data = data;
    w->capacity = capacity;
    return 0;
}

static inline int room(struct writer *w, size_t more)
{
    return likely(w->capacity - w->size >= more) ? 0 : grow(w, more);
}

static inline void put(struct writer *w, uint8_t byte)
{
    w->data[w->size++] = (char)byte;
}

static inline void put_number(struct writer *w, uint64_t number, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        put(w, (uint8_t)(number >> (8 * i)));
}

static inline void put_bytes(struct writer *w, const void *data, size_t size)
{
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

/* A head with a count: `fix` with up to `fix_max`, else code8 (0: there is none), code16, code32. */
static int put_head(struct writer *w, size_t n, unsigned fix, size_t fix_max, unsigned code8, unsigned code16)
{
    if (room(w, 5) < 0)
        return -1;
    if (n <= fix_max) {
        put(w, (uint8_t)(fix | n));
    } else if (code8 && n <= 0xff) {
        put(w, (uint8_t)code8);
        put_number(w, n, 1);
    } else if (n <= 0xffff) {
        put(w, (uint8_t)code16);
        put_number(w, n, 2);
    } else if (n <= UINT32_MAX) {
        put(w, (uint8_t)(code16 + 1));
        put_number(w, n, 4);
    } else {
        PyErr_SetString(w->st->error[E_ENCODE], "more than 4 GiB cannot be stored");
        return -1;
    }
    return 0;
}

static int put_text(struct writer *w, const char *data, size_t size)
{
    if (put_head(w, size, 0xa0, 31, 0xd9, 0xda) < 0 || room(w, size) < 0)
        return -1;
    put_bytes(w, data, size);
    return 0;
}

static int put_binary(struct writer *w, const void *data, size_t size)
{
    if (put_head(w, size, 0, 0, 0xc4, 0xc5) < 0)
        return -1;
    if (!size) /* a fix head of 0 is a number; say bin 8, 0 */ {
        w->size--;
        put(w, 0xc4);
        put(w, 0);
    }
    if (room(w, size) < 0)
        return -1;
    put_bytes(w, data, size);
    return 0;
}

static int put_extension(struct writer *w, int type, const void *data, size_t size)
{
    if (room(w, size + 6) < 0)
        return -1;
    if (size == 1 || size == 2 || size == 4 || size == 8 || size == 16) {
        put(w, (uint8_t)(0xd4 + __builtin_ctzl(size)));
    } else if (size <= 0xff) {
        put(w, 0xc7);
        put_number(w, size, 1);
    } else if (size <= 0xffff) {
        put(w, 0xc8);
        put_number(w, size, 2);
    } else {
        put(w, 0xc9);
        put_number(w, size, 4);
    }
    put(w, (uint8_t)type);
    put_bytes(w, data, size);
    return 0;
}

/* The ASCII text of an object, by str() or a method without arguments. */
static int put_text_of(struct writer *w, int type, PyObject *text)
{
    Py_ssize_t size;
    const char *data;
    int result = -1;

    if (!text)
        return -1;
    data = PyUnicode_AsUTF8AndSize(text, &size);
    if (data)
        result = put_extension(w, type, data, (size_t)size);
    Py_DECREF(text);
    return result;
}

/* ---- Scalars ----------------------------------------------------------------------------------------------------------- */

static int put_int(struct writer *w, PyObject *object)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);

    if (overflow > 0) {
        unsigned long long number = PyLong_AsUnsignedLongLong(object);
        if (!PyErr_Occurred()) {
            if (room(w, 9) < 0)
                return -1;
            put(w, 0xcf), put_number(w, number, 8);
            return 0;
        }
        PyErr_Clear();
    }
    if (overflow) {
        PyObject *text = PyNumber_ToBase(object, 10);
        if (!text && PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_SetString(w->st->error[E_ENCODE], "an integer of so many digits cannot be stored");
        return put_text_of(w, EXT_BIGINT, text);
    }
    if (room(w, 9) < 0)
        return -1;
    if (value >= 0) {
        if (value < 0x80)
            put(w, (uint8_t)value);
        else if (value <= 0xff)
            put(w, 0xcc), put_number(w, (uint64_t)value, 1);
        else if (value <= 0xffff)
            put(w, 0xcd), put_number(w, (uint64_t)value, 2);
        else if (value <= UINT32_MAX)
            put(w, 0xce), put_number(w, (uint64_t)value, 4);
        else
            put(w, 0xcf), put_number(w, (uint64_t)value, 8);
    } else if (value >= -32) {
        put(w, (uint8_t)value);
    } else if (value >= INT8_MIN) {
        put(w, 0xd0), put_number(w, (uint64_t)value, 1);
    } else if (value >= INT16_MIN) {
        put(w, 0xd1), put_number(w, (uint64_t)value, 2);
    } else if (value >= INT32_MIN) {
        put(w, 0xd2), put_number(w, (uint64_t)value, 4);
    } else {
        put(w, 0xd3), put_number(w, (uint64_t)value, 8);
    }
    return 0;
}

static int put_float(struct writer *w, double value)
{
    uint64_t bits;

    if (room(w, 9) < 0)
        return -1;
    memcpy(&bits, &value, sizeof bits);
    put(w, 0xcb);
    put_number(w, bits, 8);
    return 0;
}

static int put_buffer(struct writer *w, PyObject *object)
{
    Py_buffer view;
    int result;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    result = put_binary(w, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return result;
}

/* ---- Times ----------------------------------------------------------------------------------------------------------------- */

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400, in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int put_timestamp(struct writer *w, PyObject *t)
{
    int64_t seconds = days_of(PyDateTime_GET_YEAR(t), PyDateTime_GET_MONTH(t), PyDateTime_GET_DAY(t)) * 86400 +
                      PyDateTime_DATE_GET_HOUR(t) * 3600 + PyDateTime_DATE_GET_MINUTE(t) * 60 +
                      PyDateTime_DATE_GET_SECOND(t);
    uint64_t ns = (uint64_t)PyDateTime_DATE_GET_MICROSECOND(t) * 1000;

    if (room(w, 15) < 0)
        return -1;
    if (seconds >> 34 == 0) {
        if (!ns && seconds <= UINT32_MAX) {
            put(w, 0xd6), put(w, 0xff), put_number(w, (uint64_t)seconds, 4);
        } else {
            put(w, 0xd7), put(w, 0xff), put_number(w, ns << 34 | (uint64_t)seconds, 8);
        }
    } else {
        put(w, 0xc7), put(w, 12), put(w, 0xff), put_number(w, ns, 4), put_number(w, (uint64_t)seconds, 8);
    }
    return 0;
}

static int put_datetime(struct writer *w, PyObject *object)
{
    if (PyDateTime_DATE_GET_TZINFO(object) == PyDateTime_TimeZone_UTC)
        return put_timestamp(w, object);
    return put_text_of(w, EXT_DATETIME, PyObject_CallMethod(object, "isoformat", NULL));
}

static int put_object(struct writer *w, PyObject *object);

static int put_timedelta(struct writer *w, PyObject *object)
{
    struct writer part = { .st = w->st };
    PyObject *numbers[3] = { PyLong_FromLong(PyDateTime_DELTA_GET_DAYS(object)),
                             PyLong_FromLong(PyDateTime_DELTA_GET_SECONDS(object)),
                             PyLong_FromLong(PyDateTime_DELTA_GET_MICROSECONDS(object)) };
    int result = put_head(&part, 3, 0x90, 15, 0, 0xdc);

    for (int i = 0; i < 3; i++) {
        if (result == 0)
            result = numbers[i] ? put_int(&part, numbers[i]) : -1;
        Py_XDECREF(numbers[i]);
    }
    if (result == 0)
        result = put_extension(w, EXT_TIMEDELTA, part.data, part.size);
    free(part.data);
    return result;
}

/* ---- Containers -------------------------------------------------------------------------------------------------------------- */

static int deeper(struct writer *w)
{
    if (++w->depth <= DEPTH_MAX)
        return 0;
    PyErr_Format(w->st->error[E_ENCODE], "values nested deeper than %d (or in themselves) cannot be stored", DEPTH_MAX);
    return -1;
}

static int put_list(struct writer *w, PyObject *list)
{
    Py_ssize_t n = PyList_GET_SIZE(list);

    if (deeper(w) < 0 || put_head(w, (size_t)n, 0x90, 15, 0, 0xdc) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item;
        int result;
        if (i >= PyList_GET_SIZE(list)) {
            PyErr_SetString(PyExc_RuntimeError, "list changed while it was encoded");
            return -1;
        }
        item = Py_NewRef(PyList_GET_ITEM(list, i));
        result = put_object(w, item);
        Py_DECREF(item);
        if (result < 0)
            return -1;
    }
    w->depth--;
    return 0;
}

static int put_dict(struct writer *w, PyObject *dict)
{
    Py_ssize_t n = PyDict_GET_SIZE(dict), seen = 0, at = 0;
    PyObject *key, *value;

    if (deeper(w) < 0 || put_head(w, (size_t)n, 0x80, 15, 0, 0xde) < 0)
        return -1;
    while (PyDict_Next(dict, &at, &key, &value)) {
        int result;
        Py_INCREF(key);
        Py_INCREF(value);
        result = put_object(w, key);
        if (result == 0)
            result = put_object(w, value);
        Py_DECREF(key);
        Py_DECREF(value);
        if (result < 0)
            return -1;
        seen++;
        if (PyDict_GET_SIZE(dict) != n)
            break;
    }
    if (seen != n) {
        PyErr_SetString(PyExc_RuntimeError, "dict changed while it was encoded");
        return -1;
    }
    w->depth--;
    return 0;
}

/* An extension whose payload is one array: the items' bytes come first, the head is put before them after. */
static int put_items(struct writer *w, int type, PyObject *items)
{
    struct writer part = { .st = w->st, .depth = w->depth };
    PyObject *list = PyTuple_CheckExact(items) ? NULL : PySequence_List(items), *held = list ? list : items;
    Py_ssize_t n;
    int result = -1;

    if (!list && !PyTuple_CheckExact(items))
        return -1;
    n = PySequence_Fast_GET_SIZE(held);
    if (deeper(&part) == 0 && put_head(&part, (size_t)n, 0x90, 15, 0, 0xdc) == 0) {
        result = 0;
        for (Py_ssize_t i = 0; result == 0 && i < n; i++)
            result = put_object(&part, PySequence_Fast_GET_ITEM(held, i));
    }
    if (result == 0)
        result = put_extension(w, type, part.data, part.size);
    free(part.data);
    Py_XDECREF(list);
    return result;
}

static int put_rare(struct writer *w, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    if (type == &PyTuple_Type)
        return put_items(w, EXT_TUPLE, object);
    if (type == &PySet_Type)
        return put_items(w, EXT_SET, object);
    if (type == &PyFrozenSet_Type)
        return put_items(w, EXT_FROZENSET, object);
    if (PyDateTime_CheckExact(object))
        return put_datetime(w, object);
    if (PyDate_CheckExact(object))
        return put_text_of(w, EXT_DATE, PyObject_CallMethod(object, "isoformat", NULL));
    if (PyTime_CheckExact(object))
        return put_text_of(w, EXT_TIME, PyObject_CallMethod(object, "isoformat", NULL));
    if (PyDelta_CheckExact(object))
        return put_timedelta(w, object);
    if (type == &PyByteArray_Type || type == &PyMemoryView_Type)
        return put_buffer(w, object);
    if (import_lazy(w->st) < 0)
        return -1;
    if ((PyObject *)type == w->st->decimal)
        return put_text_of(w, EXT_DECIMAL, PyObject_Str(object));
    if ((PyObject *)type == w->st->uuid) {
        PyObject *bytes = PyObject_GetAttrString(object, "bytes");
        int result = bytes && PyBytes_CheckExact(bytes) && PyBytes_GET_SIZE(bytes) == 16
                         ? put_extension(w, EXT_UUID, PyBytes_AS_STRING(bytes), 16)
                         : -1;
        Py_XDECREF(bytes);
        return result;
    }
    PyErr_Format(
        w->st->error[E_ENCODE],
        "a %.100s cannot be stored: None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset, datetime, "
        "date, "
        "time, timedelta, Decimal and UUID can (no subclasses); for others give the namespace a type or a codec",
        type->tp_name);
    return -1;
}

static int put_object(struct writer *w, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    if (type == &PyUnicode_Type) {
        Py_ssize_t size;
        const char *data = PyUnicode_AsUTF8AndSize(object, &size);
        return data ? put_text(w, data, (size_t)size) : -1;
    }
    if (type == &PyLong_Type)
        return put_int(w, object);
    if (object == Py_None || object == Py_True || object == Py_False) {
        if (room(w, 1) < 0)
            return -1;
        put(w, object == Py_None ? 0xc0 : object == Py_False ? 0xc2 : 0xc3);
        return 0;
    }
    if (type == &PyFloat_Type)
        return put_float(w, PyFloat_AS_DOUBLE(object));
    if (type == &PyDict_Type)
        return put_dict(w, object);
    if (type == &PyList_Type)
        return put_list(w, object);
    if (type == &PyBytes_Type)
        return put_binary(w, PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    return put_rare(w, object);
}

int encode_packed(struct state *st, PyObject *value, struct encoded *out)
{
    struct writer w = { .st = st };

    if (put_object(&w, value) < 0) {
        free(w.data);
        return -1;
    }
    out->owned = w.data;
    out->data = w.data;
    out->size = w.size;
    out->codec = CODEC_MSGPACK;
    return 0;
}

/* A buffer that may change as soon as others run: copied. */
static int encode_buffer(PyObject *value, struct encoded *out)
{
    Py_buffer view;

    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    out->owned = malloc((size_t)view.len + 1);
    if (out->owned)
        memcpy(out->owned, view.buf, (size_t)view.len);
    else
        PyErr_NoMemory();
    out->data = out->owned;
    out->size = (size_t)view.len;
    PyBuffer_Release(&view);
    return out->owned ? 0 : -1;
}

int encode_value(struct state *st, PyObject *value, struct encoded *out)
{
    PyTypeObject *type = Py_TYPE(value);

    memset(out, 0, offsetof(struct encoded, small));
    if (type == &PyBytes_Type) {
        out->held = Py_NewRef(value);
        out->data = PyBytes_AS_STRING(value);
        out->size = (size_t)PyBytes_GET_SIZE(value);
        return 0;
    }
    if (type == &PyUnicode_Type) {
        Py_ssize_t size;
        out->data = PyUnicode_AsUTF8AndSize(value, &size);
        if (!out->data)
            return -1;
        out->held = Py_NewRef(value);
        out->size = (size_t)size;
        out->codec = CODEC_TEXT;
        return 0;
    }
    if (type == &PyLong_Type) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow) {
            out->size = (size_t)snprintf(out->small, sizeof out->small, "%lld", number);
            out->data = out->small;
            out->codec = CODEC_INT;
            return 0;
        }
    }
    if (type == &PyByteArray_Type || type == &PyMemoryView_Type)
        return encode_buffer(value, out);
    return encode_packed(st, value, out);
}
