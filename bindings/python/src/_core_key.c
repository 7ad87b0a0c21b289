/*
 * Python objects as bytes of a key. SPDX-License-Identifier: MIT
 *
 * Two objects have the same bytes if they have the same type (a subclass of a builtin type counts as that type) and the same content. Each
 * element says its type and where it ends, so that no two lists of elements have the same bytes:
 *
 *      N T F              None, True, False
 *      i42,               an integer of up to 64 bits; I-0x1f..., beyond
 *      f1.5,              a float: the shortest text that reads back as the same number
 *      s5:Alice  b2:..    text (UTF-8), bytes
 *      (...)  [...]       tuple, list
 *      {...}  <...>       dict, set: elements sorted by their own bytes
 *      o4:Name...         an object of a type that rules know: its name, and what stands for it
 *      -                  an argument that is left out because of its type
 *
 * Nothing of it depends on memory addresses, hash seeds, or the order in which a dict was filled.
 */
#include "_core_key.h"

#include <stdlib.h>
#include <string.h>

int key_grow(struct key *key, size_t more)
{
    size_t capacity = key->capacity * 2 > key->size + more ? key->capacity * 2 : key->size + more;
    char *data = PyMem_Malloc(capacity);

    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(data, key->data, key->size);
    key_end(key);
    key->data = data;
    key->capacity = capacity;
    return 0;
}

int key_put(struct key *key, const void *data, size_t size)
{
    if (key_room(key, size) < 0)
        return -1;
    memcpy(key->data + key->size, data, size);
    key->size += size;
    return 0;
}

static int put_char(struct key *key, char c)
{
    if (key_room(key, 1) < 0)
        return -1;
    key->data[key->size++] = c;
    return 0;
}

int key_put_number(struct key *key, long long number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0)
        *--at = '-';
    return key_put(key, at, (size_t)(digits + sizeof digits - at));
}

int key_put_tagged(struct key *key, char tag, const void *data, size_t size)
{
    if (put_char(key, tag) < 0 || key_put_number(key, (long long)size) < 0 || put_char(key, ':') < 0)
        return -1;
    return key_put(key, data, size);
}

static int put_int(struct key *key, PyObject *object)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    PyObject *text;
    Py_ssize_t size;
    const char *data;
    int result = -1;

    if (likely(!overflow)) {
        if (number == -1 && PyErr_Occurred())
            return -1;
        return put_char(key, 'i') < 0 || key_put_number(key, number) < 0 ? -1 : put_char(key, ',');
    }
    text = PyNumber_ToBase(object, 16); /* decimal text of a large number takes long, and may be forbidden */
    if (text && (data = PyUnicode_AsUTF8AndSize(text, &size)) && put_char(key, 'I') == 0 &&
        key_put(key, data, (size_t)size) == 0)
        result = put_char(key, ',');
    Py_XDECREF(text);
    return result;
}

static int put_float(struct key *key, PyObject *object)
{
    char *text = PyOS_double_to_string(PyFloat_AS_DOUBLE(object), 'r', 0, 0, NULL);
    int result;

    if (!text)
        return -1;
    result = put_char(key, 'f') < 0 || key_put(key, text, strlen(text)) < 0 ? -1 : put_char(key, ',');
    PyMem_Free(text);
    return result;
}

static int put_text(struct key *key, PyObject *object)
{
    Py_ssize_t size;
    const char *data = PyUnicode_AsUTF8AndSize(object, &size);
    PyObject *bytes;
    int result;

    if (likely(data != NULL))
        return key_put_tagged(key, 's', data, (size_t)size);
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return -1;
    PyErr_Clear();
    bytes = PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass");
    if (!bytes)
        return -1;
    result = key_put_tagged(key, 's', PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return result;
}

static int put_buffer(struct key *key, PyObject *object)
{
    PyObject *bytes = PyBytes_FromObject(object);
    int result;

    if (!bytes)
        return -1;
    result = key_put_tagged(key, 'b', PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return result;
}

/* Elements of a tuple that nobody changes. */
static int put_sequence(struct key *key, PyObject *tuple, char open, char close, const struct key_rules *rules,
                        int depth)
{
    if (put_char(key, open) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++)
        if (key_encode(key, PyTuple_GET_ITEM(tuple, i), rules, depth + 1) < 0)
            return -1;
    return put_char(key, close);
}

/* ---- Sets and dicts: sorted by the bytes of their elements ------------------------------------------------------------ */

struct piece {
    const char *base;
    size_t at, size, compared; /* compared: how many of its bytes say where it goes (of an item of a dict: its key's) */
};

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    size_t size = x->compared < y->compared ? x->compared : y->compared;
    int order = memcmp(x->base + x->at, y->base + y->at, size);

    return order ? order : x->compared < y->compared ? -1 : x->compared > y->compared;
}

static int sort_pieces(struct key *key, size_t from, struct piece *pieces, size_t n)
{
    size_t size = key->size - from, at = 0;
    char *copy = PyMem_Malloc(size + 1);

    if (!copy) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(copy, key->data + from, size);
    for (size_t i = 0; i < n; i++)
        pieces[i].base = copy;
    qsort(pieces, n, sizeof *pieces, compare_pieces);
    for (size_t i = 0; i < n; i++) {
        memcpy(key->data + from + at, copy + pieces[i].at, pieces[i].size);
        at += pieces[i].size;
    }
    PyMem_Free(copy);
    return 0;
}

/* items: a list of ours. pairs: its elements are (key, value). */
static int put_sorted(struct key *key, PyObject *items, int pairs, const struct key_rules *rules, int depth)
{
    size_t n = (size_t)PyList_GET_SIZE(items), from;
    struct piece *pieces = PyMem_Calloc(n + 1, sizeof *pieces);
    int result = -1;

    if (!pieces) {
        PyErr_NoMemory();
        return -1;
    }
    if (put_char(key, pairs ? '{' : '<') < 0)
        goto end;
    from = key->size;
    for (size_t i = 0; i < n; i++) {
        PyObject *item = PyList_GET_ITEM(items, (Py_ssize_t)i);
        pieces[i].at = key->size - from;
        if (key_encode(key, pairs ? PyTuple_GET_ITEM(item, 0) : item, rules, depth + 1) < 0)
            goto end;
        pieces[i].compared = key->size - from - pieces[i].at;
        if (pairs && key_encode(key, PyTuple_GET_ITEM(item, 1), rules, depth + 1) < 0)
            goto end;
        pieces[i].size = key->size - from - pieces[i].at;
    }
    if (sort_pieces(key, from, pieces, n) == 0)
        result = put_char(key, pairs ? '}' : '>');
end:
    PyMem_Free(pieces);
    return result;
}

/* ---- All types ---------------------------------------------------------------------------------------------------------- */

PyObject *key_rule_of(const struct key_rules *rules, PyTypeObject *type, PyObject **made)
{
    PyObject *rule = PyDict_GetItemWithError(rules->known, (PyObject *)type);

    *made = NULL;
    if (rule || PyErr_Occurred())
        return rule;
    return *made = PyObject_CallOneArg(rules->rule, (PyObject *)type);
}

static int put_by_rule(struct key *key, PyObject *object, const struct key_rules *rules, int depth)
{
    PyObject *made, *simpler, *rule = key_rule_of(rules, Py_TYPE(object), &made);
    const char *name;
    Py_ssize_t size;
    int result = -1;

    if (!rule)
        return -1;
    Py_INCREF(rule);
    if (rule == Py_None) {
        result = put_char(key, '-');
    } else if (!PyTuple_CheckExact(rule) || PyTuple_GET_SIZE(rule) != 2 ||
               !PyUnicode_Check(PyTuple_GET_ITEM(rule, 0))) {
        PyErr_Format(PyExc_SystemError, "bad rule for keys of %.100s", Py_TYPE(object)->tp_name);
    } else if ((name = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(rule, 0), &size)) &&
               (!size || key_put_tagged(key, 'o', name, (size_t)size) == 0)) {
        if (PyTuple_GET_ITEM(rule, 1) == Py_None) {
            result = 0;
        } else if ((simpler = PyObject_CallOneArg(PyTuple_GET_ITEM(rule, 1), object))) {
            result = key_encode(key, simpler, rules, depth + 1);
            Py_DECREF(simpler);
        }
    }
    Py_DECREF(rule);
    Py_XDECREF(made);
    return result;
}

static int put_container(struct key *key, PyObject *object, const struct key_rules *rules, int depth)
{
    PyObject *copy;
    int result;

    if (depth >= KEY_DEPTH) {
        PyErr_SetString(PyExc_TypeError, "nested too deeply");
        return -1;
    }
    if (PyTuple_CheckExact(object))
        return put_sequence(key, object, '(', ')', rules, depth);
    copy = PyList_CheckExact(object)   ? PyList_AsTuple(object)
           : PyDict_CheckExact(object) ? PyDict_Items(object)
                                       : PySequence_List(object);
    if (!copy)
        return -1;
    result = PyTuple_CheckExact(copy) ? put_sequence(key, copy, '[', ']', rules, depth)
                                      : put_sorted(key, copy, PyDict_CheckExact(object), rules, depth);
    Py_DECREF(copy);
    return result;
}

int key_encode(struct key *key, PyObject *object, const struct key_rules *rules, int depth)
{
    if (PyLong_CheckExact(object))
        return put_int(key, object);
    if (PyUnicode_CheckExact(object))
        return put_text(key, object);
    if (object == Py_None)
        return put_char(key, 'N');
    if (PyBool_Check(object))
        return put_char(key, object == Py_True ? 'T' : 'F');
    if (PyBytes_CheckExact(object))
        return key_put_tagged(key, 'b', PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    if (PyFloat_CheckExact(object))
        return put_float(key, object);
    if (PyTuple_CheckExact(object) || PyList_CheckExact(object) || PyDict_CheckExact(object) ||
        PyAnySet_CheckExact(object))
        return put_container(key, object, rules, depth);
    if (PyByteArray_Check(object) || PyMemoryView_Check(object))
        return put_buffer(key, object);
    if (depth >= KEY_DEPTH) {
        PyErr_SetString(PyExc_TypeError, "nested too deeply");
        return -1;
    }
    return put_by_rule(key, object, rules, depth);
}
