/*
 * KeyPlan: how the arguments of a function become a key. SPDX-License-Identifier: MIT
 *
 * Made once, when a function is decorated (libcache/keys.py reads its signature). For a call it does what the interpreter would: gives each
 * parameter its argument or its default, so that f(1), f(a=1) and f(1, b=default) have one key. Then one of three ways:
 *
 *      prefix and elements     app.users.profile(user_id,full)i42,T     each parameter by content (see _core_key.c)
 *      a template              user:42                                  key="user:{user_id}"
 *      a function of the user  what it returns: str or bytes as they are, anything else as prefix and element
 *
 * Elements that take more than KEY_BODY_MAX bytes are replaced by '#' and their digest.
 */
#include "_core_key.h"

#include <string.h>

#define KEY_BODY_MAX 800
#define SLOTS 24 /* parameters without an allocation */

enum how {
    HOW_CONTENT = 'k',
    HOW_LEFT_OUT = '-',
    HOW_SELF = 's',   /* by its class alone, or by content, as rules for self say */
    HOW_DIGEST = '#', /* a secret: by a digest of its bytes */
    HOW_NONE = 0      /* *args, **kwargs: the function has none */
};

struct plan {
    PyObject_HEAD PyObject *prefix; /* bytes */
    PyObject *names;    /* tuple of str: positional ones first, then keyword-only; without *args and **kwargs */
    PyObject *defaults; /* tuple; `missing` where there is none */
    PyObject *missing;
    PyObject *how; /* bytes: a letter for each name, then those of *args and **kwargs */
    Py_ssize_t n, positional_only, positional;
    struct key_rules rules, self_rules;
    PyObject *fail;     /* fail(name, error): raises the error that says which argument it was */
    PyObject *digest;   /* bytes -> bytes */
    PyObject *literals; /* tuple of bytes, one more than fields; NULL: no template */
    PyObject *fields;   /* bytes: indices into names */
    PyObject *text;     /* text(object, escape): str for a template */
    int escape;         /* a template with several fields */
    PyObject *custom;   /* NULL: none */
};

/* The arguments of one call, borrowed. */
struct bound {
    PyObject **slot;
    PyObject *own[SLOTS];
    PyObject *extra; /* **kwargs: a dict of ours, or NULL */
};

static void bound_end(struct bound *b)
{
    if (b->slot != b->own)
        PyMem_Free(b->slot);
    Py_XDECREF(b->extra);
}

/* ---- Binding ------------------------------------------------------------------------------------------------------------ */

static enum how how_of_rest(const struct plan *plan, int which)
{
    return (enum how)PyBytes_AS_STRING(plan->how)[plan->n + which];
}

#define REST_ARGS 0
#define REST_KWARGS 1

/* Index of a name, or -1; -2: raised. */
static Py_ssize_t find_name(const struct plan *plan, PyObject *name)
{
    for (Py_ssize_t i = 0; i < plan->n; i++)
        if (PyTuple_GET_ITEM(plan->names, i) == name)
            return i;
    for (Py_ssize_t i = 0; i < plan->n; i++) {
        int order = PyUnicode_Compare(PyTuple_GET_ITEM(plan->names, i), name);
        if (order == 0)
            return i;
        if (order == -1 && PyErr_Occurred())
            return -2;
    }
    return -1;
}

static enum key_result bind_keywords(const struct plan *plan, PyObject *const *values, PyObject *kwnames,
                                     struct bound *b)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        Py_ssize_t at = find_name(plan, name);
        if (at == -2)
            return KEY_RAISED;
        if (at >= plan->positional_only) {
            if (b->slot[at])
                return KEY_UNBOUND;
            b->slot[at] = values[i];
            continue;
        }
        if (how_of_rest(plan, REST_KWARGS) == HOW_NONE)
            return KEY_UNBOUND;
        if (!b->extra && !(b->extra = PyDict_New()))
            return KEY_RAISED;
        if (PyDict_SetItem(b->extra, name, values[i]) < 0)
            return KEY_RAISED;
    }
    return KEY_OK;
}

/* lenient: what is left out need not be given. */
static enum key_result bind(const struct plan *plan, PyObject *const *args, Py_ssize_t n, PyObject *kwnames,
                            int lenient, struct bound *b)
{
    Py_ssize_t given = n < plan->positional ? n : plan->positional;
    enum key_result result;

    b->extra = NULL;
    b->slot = b->own;
    if (unlikely(plan->n > SLOTS) && !(b->slot = PyMem_Malloc((size_t)plan->n * sizeof *b->slot))) {
        b->slot = b->own;
        PyErr_NoMemory();
        return KEY_RAISED;
    }
    if (n > given && how_of_rest(plan, REST_ARGS) == HOW_NONE)
        return KEY_UNBOUND;
    for (Py_ssize_t i = 0; i < plan->n; i++)
        b->slot[i] = i < given ? args[i] : NULL;
    if (kwnames && (result = bind_keywords(plan, args + n, kwnames, b)) != KEY_OK)
        return result;
    for (Py_ssize_t i = given; i < plan->n; i++) {
        if (b->slot[i])
            continue;
        b->slot[i] = PyTuple_GET_ITEM(plan->defaults, i);
        if (b->slot[i] == plan->missing && !(lenient && PyBytes_AS_STRING(plan->how)[i] == HOW_LEFT_OUT))
            return KEY_UNBOUND;
    }
    return KEY_OK;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------ */

/* Says in the TypeError that is set which argument it was. */
static void say_which(const struct plan *plan, PyObject *name)
{
    PyObject *type, *error, *trace, *result;

    if (!PyErr_ExceptionMatches(PyExc_TypeError))
        return;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    result = PyObject_CallFunctionObjArgs(plan->fail, name, error, NULL);
    if (result) {
        Py_DECREF(result);
        PyErr_Restore(type, error, trace);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
}

/* What stands in key from `from` on is replaced by the tag and its digest. */
static int digest_from(const struct plan *plan, struct key *key, size_t from, char tag)
{
    PyObject *digest = PyObject_CallFunction(plan->digest, "y#", key->data + from, (Py_ssize_t)(key->size - from));
    int result = -1;

    if (!digest)
        return -1;
    if (!PyBytes_Check(digest)) {
        PyErr_SetString(PyExc_SystemError, "digest must give bytes");
    } else {
        key->size = from;
        result = key_put_tagged(key, tag, PyBytes_AS_STRING(digest), (size_t)PyBytes_GET_SIZE(digest));
    }
    Py_DECREF(digest);
    return result;
}

static int put_self(const struct plan *plan, struct key *key, PyObject *self)
{
    PyObject *made, *rule = key_rule_of(&plan->self_rules, Py_TYPE(self), &made);
    int result;

    if (!rule)
        return -1;
    if (PyBytes_CheckExact(rule)) /* its class says it all */
        result = key_put(key, PyBytes_AS_STRING(rule), (size_t)PyBytes_GET_SIZE(rule));
    else
        result = key_encode(key, self, &plan->rules, 0);
    Py_XDECREF(made);
    return result;
}

static int put_argument(const struct plan *plan, struct key *key, enum how how, PyObject *object)
{
    size_t from = key->size;

    switch (how) {
    case HOW_CONTENT: return key_encode(key, object, &plan->rules, 0);
    case HOW_SELF: return put_self(plan, key, object);
    case HOW_DIGEST: return key_encode(key, object, &plan->rules, 0) < 0 ? -1 : digest_from(plan, key, from, 'h');
    default: return 0;
    }
}

/* *args and **kwargs. */
static int put_rest(const struct plan *plan, PyObject *const *args, Py_ssize_t n, struct bound *b, struct key *key)
{
    enum how how_args = how_of_rest(plan, REST_ARGS), how_kwargs = how_of_rest(plan, REST_KWARGS);
    PyObject *rest;
    int result = 0;

    if (how_args == HOW_CONTENT || how_args == HOW_DIGEST) {
        Py_ssize_t more = n > plan->positional ? n - plan->positional : 0;
        if (!(rest = PyTuple_New(more)))
            return -1;
        for (Py_ssize_t i = 0; i < more; i++)
            PyTuple_SET_ITEM(rest, i, Py_NewRef(args[plan->positional + i]));
        result = put_argument(plan, key, how_args, rest);
        Py_DECREF(rest);
    }
    if (result == 0 && (how_kwargs == HOW_CONTENT || how_kwargs == HOW_DIGEST)) {
        if (!b->extra && !(b->extra = PyDict_New()))
            return -1;
        result = put_argument(plan, key, how_kwargs, b->extra);
    }
    return result;
}

static int put_elements(struct plan *plan, PyObject *const *args, Py_ssize_t n, struct bound *b, struct key *key)
{
    const char *how = PyBytes_AS_STRING(plan->how);
    size_t from;

    if (key_put(key, PyBytes_AS_STRING(plan->prefix), (size_t)PyBytes_GET_SIZE(plan->prefix)) < 0)
        return -1;
    from = key->size;
    for (Py_ssize_t i = 0; i < plan->n; i++) {
        if (unlikely(put_argument(plan, key, (enum how)how[i], b->slot[i]) < 0)) {
            say_which(plan, PyTuple_GET_ITEM(plan->names, i));
            return -1;
        }
    }
    if (unlikely(how[plan->n] | how[plan->n + 1]) && put_rest(plan, args, n, b, key) < 0) {
        say_which(plan, Py_None);
        return -1;
    }
    return unlikely(key->size - from > KEY_BODY_MAX) ? digest_from(plan, key, from, '#') : 0;
}

/* An argument as text of a template. */
static int put_field(const struct plan *plan, struct key *key, PyObject *object)
{
    Py_ssize_t size;
    const char *data;
    PyObject *text;
    int overflow, result = -1;
    long long number;

    if (PyLong_CheckExact(object)) {
        number = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (!overflow)
            return number == -1 && PyErr_Occurred() ? -1 : key_put_number(key, number);
    }
    if (PyUnicode_CheckExact(object) && !plan->escape) {
        data = PyUnicode_AsUTF8AndSize(object, &size);
        return data ? key_put(key, data, (size_t)size) : -1;
    }
    text = PyObject_CallFunctionObjArgs(plan->text, object, plan->escape ? Py_True : Py_False, NULL);
    if (text && (data = PyUnicode_AsUTF8AndSize(text, &size)))
        result = key_put(key, data, (size_t)size);
    Py_XDECREF(text);
    return result;
}

static int put_template(const struct plan *plan, const struct bound *b, struct key *key)
{
    const unsigned char *fields = (const unsigned char *)PyBytes_AS_STRING(plan->fields);
    Py_ssize_t n = PyBytes_GET_SIZE(plan->fields);

    for (Py_ssize_t i = 0; i <= n; i++) {
        PyObject *literal = PyTuple_GET_ITEM(plan->literals, i);
        if (key_put(key, PyBytes_AS_STRING(literal), (size_t)PyBytes_GET_SIZE(literal)) < 0)
            return -1;
        if (i < n && put_field(plan, key, b->slot[fields[i]]) < 0) {
            say_which(plan, PyTuple_GET_ITEM(plan->names, fields[i]));
            return -1;
        }
    }
    return 0;
}

static int put_custom(const struct plan *plan, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, struct key *key)
{
    PyObject *object = PyObject_Vectorcall(plan->custom, args, (size_t)n, kwnames);
    struct text text;
    int result;

    if (!object)
        return -1;
    if (PyUnicode_Check(object) || PyBytes_Check(object)) {
        result = text_of(object, &text, "key");
        if (result == 0)
            result = key_put(key, text.data, (size_t)text.size);
    } else {
        result = key_put(key, PyBytes_AS_STRING(plan->prefix), (size_t)PyBytes_GET_SIZE(plan->prefix));
        if (result == 0 && (result = key_encode(key, object, &plan->rules, 0)) < 0)
            say_which(plan, Py_None);
        if (result == 0 && key->size - (size_t)PyBytes_GET_SIZE(plan->prefix) > KEY_BODY_MAX)
            result = digest_from(plan, key, (size_t)PyBytes_GET_SIZE(plan->prefix), '#');
    }
    Py_DECREF(object);
    return result;
}

enum key_result plan_key(struct plan *plan, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, int lenient,
                         struct key *key)
{
    struct bound b;
    enum key_result result;
    int written;

    if (unlikely(plan->custom != NULL))
        return put_custom(plan, args, n, kwnames, key) < 0 ? KEY_RAISED : KEY_OK;
    result = bind(plan, args, n, kwnames, lenient, &b);
    if (likely(result == KEY_OK)) {
        written = plan->literals ? put_template(plan, &b, key) : put_elements(plan, args, n, &b, key);
        result = likely(written == 0) ? KEY_OK : KEY_RAISED;
    }
    bound_end(&b);
    return result;
}

/* ---- The type ----------------------------------------------------------------------------------------------------------- */

static int plan_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct plan *plan = (struct plan *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(plan->defaults);
    Py_VISIT(plan->rules.known);
    Py_VISIT(plan->rules.rule);
    Py_VISIT(plan->self_rules.known);
    Py_VISIT(plan->self_rules.rule);
    Py_VISIT(plan->fail);
    Py_VISIT(plan->digest);
    Py_VISIT(plan->text);
    Py_VISIT(plan->custom);
    return 0;
}

/* Only what may be part of a cycle, and what a call does not need. */
static int plan_clear(PyObject *self)
{
    struct plan *plan = (struct plan *)self;

    Py_CLEAR(plan->custom);
    return 0;
}

static void plan_dealloc(PyObject *self)
{
    struct plan *plan = (struct plan *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_XDECREF(plan->prefix);
    Py_XDECREF(plan->names);
    Py_XDECREF(plan->defaults);
    Py_XDECREF(plan->missing);
    Py_XDECREF(plan->how);
    Py_XDECREF(plan->rules.known);
    Py_XDECREF(plan->rules.rule);
    Py_XDECREF(plan->self_rules.known);
    Py_XDECREF(plan->self_rules.rule);
    Py_XDECREF(plan->fail);
    Py_XDECREF(plan->digest);
    Py_XDECREF(plan->literals);
    Py_XDECREF(plan->fields);
    Py_XDECREF(plan->text);
    Py_XDECREF(plan->custom);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Whether what keys.py gave fits together: here is the last place where a mistake is not a crash. */
static int plan_check(const struct plan *plan)
{
    Py_ssize_t n = plan->n;

    if (PyTuple_GET_SIZE(plan->defaults) != n || PyBytes_GET_SIZE(plan->how) != n + 2 || plan->positional_only < 0 ||
        plan->positional_only > plan->positional || plan->positional > n)
        return 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!PyUnicode_Check(PyTuple_GET_ITEM(plan->names, i)))
            return 0;
    if (!plan->literals)
        return 1;
    if (PyTuple_GET_SIZE(plan->literals) != PyBytes_GET_SIZE(plan->fields) + 1)
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plan->literals); i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(plan->literals, i)))
            return 0;
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(plan->fields); i++)
        if ((unsigned char)PyBytes_AS_STRING(plan->fields)[i] >= n)
            return 0;
    return 1;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "prefix", "names", "defaults",   "missing",   "how",  "positional_only", "positional",
                             "known",  "rule",  "known_self", "rule_self", "fail", "digest",          "literals",
                             "fields", "text",  "escape",     "custom",    NULL };
    PyObject *prefix, *parameters, *defaults, *missing, *how, *known, *rule, *known_self, *rule_self, *fail, *digest;
    PyObject *literals = Py_None, *fields = Py_None, *text = Py_None, *custom = Py_None;
    Py_ssize_t positional_only, positional;
    int escape = 0;
    struct plan *plan;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SO!O!OSnnO!OO!OOO|OOOpO:KeyPlan", names, &prefix, &PyTuple_Type,
                                     &parameters, &PyTuple_Type, &defaults, &missing, &how, &positional_only,
                                     &positional, &PyDict_Type, &known, &rule, &PyDict_Type, &known_self, &rule_self,
                                     &fail, &digest, &literals, &fields, &text, &escape, &custom))
        return NULL;
    if (literals != Py_None && (!PyTuple_Check(literals) || !PyBytes_Check(fields))) {
        PyErr_SetString(PyExc_TypeError, "KeyPlan: literals must be a tuple and fields bytes");
        return NULL;
    }
    plan = (struct plan *)type->tp_alloc(type, 0);
    if (!plan)
        return NULL;
    plan->prefix = Py_NewRef(prefix);
    plan->names = Py_NewRef(parameters);
    plan->defaults = Py_NewRef(defaults);
    plan->missing = Py_NewRef(missing);
    plan->how = Py_NewRef(how);
    plan->n = PyTuple_GET_SIZE(parameters);
    plan->positional_only = positional_only;
    plan->positional = positional;
    plan->rules = (struct key_rules){ Py_NewRef(known), Py_NewRef(rule) };
    plan->self_rules = (struct key_rules){ Py_NewRef(known_self), Py_NewRef(rule_self) };
    plan->fail = Py_NewRef(fail);
    plan->digest = Py_NewRef(digest);
    if (literals != Py_None) {
        plan->literals = Py_NewRef(literals);
        plan->fields = Py_NewRef(fields);
        plan->text = Py_NewRef(text);
    }
    plan->escape = escape;
    plan->custom = custom == Py_None ? NULL : Py_NewRef(custom);
    if (!plan_check(plan)) {
        Py_DECREF(plan);
        PyErr_SetString(PyExc_ValueError, "KeyPlan: these do not fit together");
        return NULL;
    }
    return (PyObject *)plan;
}

static PyObject *plan_method_key(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct key key;
    PyObject *result = NULL;

    key_start(&key);
    switch (plan_key((struct plan *)self, args, n, kwnames, 1, &key)) {
    case KEY_OK: result = PyBytes_FromStringAndSize(key.data, (Py_ssize_t)key.size); break;
    case KEY_UNBOUND:
        PyErr_Format(PyExc_TypeError, "%s does not take these arguments",
                     PyBytes_AS_STRING(((struct plan *)self)->prefix));
        break;
    case KEY_RAISED: break;
    }
    key_end(&key);
    return result;
}

static PyMethodDef plan_methods[] = {
    { "key", FASTCALL(plan_method_key),
      "The key of a call with these arguments; what is left out of it need not be given." },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot plan_slots[] = {
    { Py_tp_new, plan_new },     { Py_tp_dealloc, plan_dealloc }, { Py_tp_traverse, plan_traverse },
    { Py_tp_clear, plan_clear }, { Py_tp_methods, plan_methods }, { 0, NULL },
};

PyType_Spec plan_spec = {
    .name = "libcache._core.KeyPlan",
    .basicsize = sizeof(struct plan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = plan_slots,
};
