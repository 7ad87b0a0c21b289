/*
 * Bytes, believed by nobody, to Python objects. SPDX-License-Identifier: MIT
 *
 * Whoever can write to Redis chooses these bytes. So: every length is compared with what is left before it is used; the items
 * that containers claim, all together, are at most as many as there are bytes (each takes one), so that no claim makes us
 * allocate more than a small multiple of the input; nesting has a limit; nothing is looked up or called by a name in the data.
 */
#include "_core.h"

#include <datetime.h>
#include <string.h>

int decode_start(void)
{
    PyDateTime_IMPORT;
    return PyDateTimeAPI ? 0 : -1;
}

struct reader {
    struct state *st;
    const uint8_t *p, *end;
    size_t budget; /* items that containers may still claim */
    int depth;
};

static PyObject *bad(struct reader *r, const char *why)
{
    if (!PyErr_Occurred())
        PyErr_Format(r->st->error[E_DECODE], "not a value: %s", why);
    return NULL;
}

/* An exception of a constructor's becomes ours, except for what says nothing of the data: what a signal's handler raises, too. */
static PyObject *refused(struct reader *r, const char *why)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return NULL;
    PyErr_Clear();
    return bad(r, why);
}

static inline size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}

static inline uint64_t number_at(const uint8_t *p, int bytes)
{
    uint64_t number = 0;

    for (int i = 0; i < bytes; i++)
        number = number << 8 | p[i];
    return number;
}

/* -1: not so many bytes are left. */
static inline int take_number(struct reader *r, int bytes, uint64_t *number)
{
    if (unlikely(left(r) < (size_t)bytes))
        return -1;
    *number = number_at(r->p, bytes);
    r->p += bytes;
    return 0;
}

static inline int64_t signed_of(uint64_t number, int bytes)
{
    int shift = 64 - 8 * bytes;
    return (int64_t)(number << shift) >> shift;
}

static PyObject *read_object(struct reader *r);

/* ---- Texts and bytes ---------------------------------------------------------------------------------------------- */

static inline PyObject *read_text(struct reader *r, size_t size)
{
    PyObject *text;

    if (unlikely(left(r) < size))
        return bad(r, "a text is longer than what is left");
    text = PyUnicode_DecodeUTF8((const char *)r->p, (Py_ssize_t)size, NULL);
    if (unlikely(!text))
        return refused(r, "a text is not UTF-8");
    r->p += size;
    return text;
}

static PyObject *read_bytes(struct reader *r, size_t size)
{
    PyObject *bytes;

    if (left(r) < size)
        return bad(r, "bytes are longer than what is left");
    bytes = PyBytes_FromStringAndSize((const char *)r->p, (Py_ssize_t)size);
    r->p += size;
    return bytes;
}

#ifndef Py_GIL_DISABLED
#define KEY_MAX 32

/*
 * Short ASCII texts as keys of maps: rows have the same keys again and again, and one object for each spares its allocation,
 * and its hash when it is put into a dict.
 */
static inline PyObject *read_key_text(struct reader *r, size_t size)
{
    uint64_t hash = size * UINT64_C(0x9e3779b97f4a7c15), word = 0;
    const uint8_t *p = r->p;
    PyObject **place, *text;

    if (unlikely(size > KEY_MAX || left(r) < size))
        return read_text(r, size);
    for (; size - (size_t)(p - r->p) >= 8; p += 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    for (word = 0; p < r->p + size; p++)
        word = word << 8 | *p;
    hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 32;
    place = &r->st->key_cache[hash % KEY_CACHE];
    text = *place;
    if (text && (size_t)PyUnicode_GET_LENGTH(text) == size && memcmp(PyUnicode_1BYTE_DATA(text), r->p, size) == 0) {
        r->p += size;
        return Py_NewRef(text);
    }
    text = read_text(r, size);
    if (text && PyUnicode_IS_COMPACT_ASCII(text)) {
        PyObject_Hash(text);
        Py_XSETREF(*place, Py_NewRef(text));
    }
    return text;
}
#else
#define read_key_text read_text
#endif

/* ---- Containers ------------------------------------------------------------------------------------------------------- */

static inline int enter(struct reader *r, size_t items)
{
    if (unlikely(items > r->budget || items > left(r))) {
        bad(r, "a container claims more than there is");
        return -1;
    }
    if (unlikely(++r->depth > DEPTH_MAX)) {
        bad(r, "nested too deep");
        return -1;
    }
    r->budget -= items;
    return 0;
}

static PyObject *read_list(struct reader *r, size_t n)
{
    PyObject *list;

    if (enter(r, n) < 0)
        return NULL;
    list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *item = read_object(r);
        if (unlikely(!item)) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    r->depth--;
    return list;
}

static inline PyObject *read_key(struct reader *r)
{
    uint64_t size;

    if (likely(r->p < r->end)) {
        uint8_t head = *r->p;
        if (likely(head >= 0xa0 && head <= 0xbf)) {
            r->p++;
            return read_key_text(r, head & 0x1f);
        }
        if (head == 0xd9) {
            r->p++;
            return take_number(r, 1, &size) < 0 ? bad(r, "cut off") : read_key_text(r, size);
        }
    }
    return read_object(r);
}

static inline PyObject *new_dict(size_t n)
{
#if PY_VERSION_HEX < 0x030d0000
    return n > 5 ? _PyDict_NewPresized((Py_ssize_t)n) : PyDict_New(); /* 5 fit into the first table */
#else
    (void)n;
    return PyDict_New();
#endif
}

static PyObject *read_dict(struct reader *r, size_t n)
{
    PyObject *dict;

    if (n > left(r) / 2) {
        bad(r, "a container claims more than there is");
        return NULL;
    }
    if (enter(r, 2 * n) < 0)
        return NULL;
    dict = new_dict(n);
    for (size_t i = 0; dict && i < n; i++) {
        PyObject *key = read_key(r), *value = key ? read_object(r) : NULL;
        int result = value ? PyDict_SetItem(dict, key, value) : -1;
        if (unlikely(result < 0 && value))
            refused(r, "a key that cannot be one");
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (unlikely(result < 0)) {
            Py_CLEAR(dict);
            break;
        }
    }
    r->depth--;
    return dict;
}

/* ---- Extensions ---------------------------------------------------------------------------------------------------------- */

/* Year, month and day of a day counted from 1970-01-01. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t in_era = z - era * 146097, y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * y + y / 4 - y / 100), m = (5 * in_year + 2) / 153;

    *day = (int)(in_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

#define SECONDS_LEAST INT64_C(-62135596800) /* the year 1 */
#define SECONDS_MOST INT64_C(253402300799)  /* the end of 9999 */

static PyObject *read_timestamp(struct reader *r, const uint8_t *p, size_t size)
{
    int64_t seconds, days;
    uint64_t ns = 0;
    int year, month, day, in_day;

    if (size == 4) {
        seconds = (int64_t)number_at(p, 4);
    } else if (size == 8) {
        uint64_t both = number_at(p, 8);
        ns = both >> 34;
        seconds = (int64_t)(both & ((UINT64_C(1) << 34) - 1));
    } else if (size == 12) {
        ns = number_at(p, 4);
        seconds = (int64_t)number_at(p + 4, 8);
    } else {
        return bad(r, "a timestamp of a size that there is not");
    }
    if (ns > 999999999 || seconds < SECONDS_LEAST || seconds > SECONDS_MOST)
        return bad(r, "a timestamp outside the years 1 to 9999");
    days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
    in_day = (int)(seconds - days * 86400);
    date_of(days, &year, &month, &day);
    return PyDateTimeAPI->DateTime_FromDateAndTime(year, month, day, in_day / 3600, in_day / 60 % 60, in_day % 60,
                                                   (int)(ns / 1000), PyDateTime_TimeZone_UTC,
                                                   PyDateTimeAPI->DateTimeType);
}

/* The payload's one value, which must be an array. */
static PyObject *read_array(struct reader *r, const uint8_t *p, size_t size)
{
    struct reader inner = *r;
    PyObject *list;

    inner.p = p;
    inner.end = p + size;
    if (++inner.depth > DEPTH_MAX)
        return bad(r, "nested too deep");
    list = read_object(&inner);
    r->budget = inner.budget;
    if (list && (!PyList_CheckExact(list) || inner.p != inner.end)) {
        Py_DECREF(list);
        return bad(r, "an extension's payload is not one array");
    }
    return list;
}

static PyObject *read_collection(struct reader *r, int type, const uint8_t *p, size_t size)
{
    PyObject *list = read_array(r, p, size), *made;

    if (!list)
        return NULL;
    made = type == EXT_TUPLE ? PyList_AsTuple(list) : type == EXT_SET ? PySet_New(list) : PyFrozenSet_New(list);
    Py_DECREF(list);
    return made ? made : refused(r, "a set of what cannot be in one");
}

static PyObject *read_timedelta(struct reader *r, const uint8_t *p, size_t size)
{
    PyObject *list = read_array(r, p, size), *made = NULL;
    long part[3];

    if (!list)
        return NULL;
    if (PyList_GET_SIZE(list) == 3) {
        for (int i = 0; i < 3; i++) {
            PyObject *item = PyList_GET_ITEM(list, i);
            part[i] = PyLong_CheckExact(item) ? PyLong_AsLong(item) : INT32_MAX;
            if (PyErr_Occurred())
                PyErr_Clear(), part[i] = INT32_MAX;
        }
        if (labs(part[0]) <= 999999999 && labs(part[1]) < 86400 && labs(part[2]) < 1000000)
            made = PyDelta_FromDSU((int)part[0], (int)part[1], (int)part[2]);
    }
    Py_DECREF(list);
    return made ? made : bad(r, "a timedelta that there is not");
}

/* type.fromisoformat(text) */
static PyObject *read_iso(struct reader *r, PyTypeObject *type, const uint8_t *p, size_t size)
{
    PyObject *made = PyObject_CallMethod((PyObject *)type, "fromisoformat", "s#", (const char *)p, (Py_ssize_t)size);
    return made ? made : refused(r, "a time that cannot be read");
}

static PyObject *read_bigint(struct reader *r, const uint8_t *p, size_t size)
{
    PyObject *text, *made = NULL;
    size_t digits = size && p[0] == '-' ? 1 : 0;

    if (size <= digits || size > 5000)
        return bad(r, "an integer of no or of too many digits");
    for (size_t i = digits; i < size; i++)
        if (p[i] < '0' || p[i] > '9')
            return bad(r, "an integer with other than digits");
    text = PyUnicode_DecodeASCII((const char *)p, (Py_ssize_t)size, NULL);
    if (text)
        made = PyLong_FromUnicodeObject(text, 10);
    Py_XDECREF(text);
    return made ? made : refused(r, "an integer of too many digits");
}

static PyObject *read_decimal(struct reader *r, const uint8_t *p, size_t size)
{
    PyObject *made;

    if (size > 5000)
        return bad(r, "a decimal of too many digits");
    if (import_lazy(r->st) < 0)
        return NULL;
    made = PyObject_CallFunction(r->st->decimal, "s#", (const char *)p, (Py_ssize_t)size);
    return made ? made : refused(r, "a decimal that cannot be read");
}

static PyObject *read_uuid(struct reader *r, const uint8_t *p, size_t size)
{
    PyObject *made;

    if (size != 16)
        return bad(r, "a UUID of other than 16 bytes");
    if (import_lazy(r->st) < 0)
        return NULL;
    made = PyObject_CallFunction(r->st->uuid, "Oy#", Py_None, (const char *)p, (Py_ssize_t)size);
    return made ? made : refused(r, "a UUID that cannot be read");
}

static PyObject *read_extension(struct reader *r, size_t size)
{
    const uint8_t *p;
    int type;

    if (left(r) < 1 || left(r) - 1 < size)
        return bad(r, "an extension is longer than what is left");
    type = (int8_t)r->p[0];
    p = r->p + 1;
    r->p += 1 + size;
    switch (type) {
    case EXT_TIMESTAMP: return read_timestamp(r, p, size);
    case EXT_TUPLE:
    case EXT_SET:
    case EXT_FROZENSET: return read_collection(r, type, p, size);
    case EXT_DATETIME: return read_iso(r, PyDateTimeAPI->DateTimeType, p, size);
    case EXT_DATE: return read_iso(r, PyDateTimeAPI->DateType, p, size);
    case EXT_TIME: return read_iso(r, PyDateTimeAPI->TimeType, p, size);
    case EXT_DECIMAL: return read_decimal(r, p, size);
    case EXT_UUID: return read_uuid(r, p, size);
    case EXT_BIGINT: return read_bigint(r, p, size);
    case EXT_TIMEDELTA: return read_timedelta(r, p, size);
    default: return bad(r, "an extension type that is not known");
    }
}

/* ---- One object ------------------------------------------------------------------------------------------------------------ */

static PyObject *read_float(struct reader *r, int bytes)
{
    uint64_t bits;
    double value;
    float narrow;

    if (take_number(r, bytes, &bits) < 0)
        return bad(r, "cut off");
    if (bytes == 4) {
        uint32_t half = (uint32_t)bits;
        memcpy(&narrow, &half, sizeof narrow);
        value = narrow;
    } else {
        memcpy(&value, &bits, sizeof value);
    }
    return PyFloat_FromDouble(value);
}

/* Heads from 0xc0 to 0xdf. */
static PyObject *read_headed(struct reader *r, uint8_t head)
{
    static const uint8_t width[32] = { [0x04] = 1, 2, 4, 1,          2, 4, [0x0c] = 1, 2, 4, 8, 1,
                                       2,          4, 8, [0x19] = 1, 2, 4, 2,          4, 2, 4 };
    int bytes = width[head - 0xc0];
    uint64_t n = 0;

    if (bytes && take_number(r, bytes, &n) < 0)
        return bad(r, "cut off");
    switch (head) {
    case 0xc0: return Py_NewRef(Py_None);
    case 0xc2: return Py_NewRef(Py_False);
    case 0xc3: return Py_NewRef(Py_True);
    case 0xc4:
    case 0xc5:
    case 0xc6: return read_bytes(r, n);
    case 0xc7:
    case 0xc8:
    case 0xc9: return read_extension(r, n);
    case 0xca: return read_float(r, 4);
    case 0xcb: return read_float(r, 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return PyLong_FromUnsignedLongLong(n);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return PyLong_FromLongLong(signed_of(n, bytes));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return read_extension(r, (size_t)1 << (head - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb: return read_text(r, n);
    case 0xdc:
    case 0xdd: return read_list(r, n);
    case 0xde:
    case 0xdf: return read_dict(r, n);
    default: return bad(r, "a byte that MessagePack does not use");
    }
}

static PyObject *read_object(struct reader *r)
{
    uint8_t head;

    if (unlikely(r->p == r->end))
        return bad(r, "cut off");
    head = *r->p++;
    if (head < 0x80)
        return PyLong_FromLong(head);
    if (head >= 0xe0)
        return PyLong_FromLong((int8_t)head);
    if (head >= 0xc0)
        return read_headed(r, head);
    if (head >= 0xa0)
        return read_text(r, head & 0x1f);
    return head >= 0x90 ? read_list(r, head & 0xf) : read_dict(r, head & 0xf);
}

PyObject *decode_packed(struct state *st, const void *data, size_t size)
{
    struct reader r = { .st = st, .p = data, .end = (const uint8_t *)data + size, .budget = size };
    PyObject *object = read_object(&r);

    if (object && r.p != r.end) {
        Py_DECREF(object);
        return bad(&r, "more bytes than the value has");
    }
    return object;
}

/* ---- The other codecs --------------------------------------------------------------------------------------------------------- */

static PyObject *decode_int(struct state *st, const char *p, size_t size)
{
    struct reader r = { .st = st };
    size_t digits = size && p[0] == '-' ? 1 : 0;
    uint64_t number = 0;

    if (size <= digits || size > digits + 19)
        return bad(&r, "an integer of no or of too many digits");
    for (size_t i = digits; i < size; i++) {
        if (p[i] < '0' || p[i] > '9')
            return bad(&r, "an integer with other than digits");
        number = number * 10 + (uint64_t)(p[i] - '0');
    }
    if (number > (uint64_t)INT64_MAX + digits)
        return bad(&r, "an integer beyond 64 bits");
    return PyLong_FromLongLong(digits ? (int64_t)(0 - number) : (int64_t)number);
}

static PyObject *decode_json(struct state *st, const char *data, size_t size)
{
    struct reader r = { .st = st };
    PyObject *json = PyImport_ImportModule("json"), *value = NULL;

    if (json)
        value = PyObject_CallMethod(json, "loads", "y#", data, (Py_ssize_t)size);
    Py_XDECREF(json);
    return value ? value : refused(&r, "this is not JSON");
}

PyObject *decode_value(struct state *st, const void *data, size_t size, uint8_t codec)
{
    struct reader r = { .st = st, .p = data, .end = (const uint8_t *)data + size };

    switch (codec) {
    case CODEC_BYTES: return PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    case CODEC_TEXT: return read_text(&r, size);
    case CODEC_INT: return decode_int(st, data, size);
    case CODEC_MSGPACK: return decode_packed(st, data, size);
    case CODEC_JSON: return decode_json(st, data, size);
    default:
        PyErr_Format(st->error[E_DECODE],
                     "a value of codec %d, which this namespace cannot read (16 to 18: PHP; 32: pickle; from 128: "
                     "an application's own)",
                     codec);
        return NULL;
    }
}
