/*
 * Cached: what a decorated function is. SPDX-License-Identifier: MIT
 *
 *      call -> key of the arguments (_core_plan.c) -> L1 has it?  yes:        the value; for an async function a Done with the value
 *                                                                 no:         miss(key, args, kwargs)
 *                                                                 older than refresh: aged(value, key, args, kwargs)
 *
 * So a hit runs no line of Python. All that may wait, load or fail is in Python: miss and aged are libcache/loads.py's.
 *
 * To everybody who looks, it is a function: it has __code__, __defaults__, __globals__ and the rest of the function that it wraps
 * (inspect, asyncio and FastAPI find out with these what it is), and says so as its __class__, as wrapt's wrappers do: Starlette
 * takes for an endpoint what isinstance says is a function.
 */
#include "_core_key.h"

#include <structmember.h>

struct cached {
    PyObject_HEAD vectorcallfunc call;
    struct state *st;
    struct ns *ns;
    struct plan *plan;
    PyObject *function; /* the one that is wrapped */
    PyObject *miss;     /* miss(key, args, kwargs): the value, or for an async function a coroutine */
    PyObject *aged;     /* aged(value, key, args, kwargs): the same */
    PyObject *bind;     /* bind(self, object): what obj.method is when it is not called at once */
    PyObject *dict;
    PyObject *weakrefs;
    uint64_t hits;       /* atomic */
    uint64_t refresh_ms; /* 0: none */
    int is_async;
    int closely; /* the namespace refreshes early: each hit is a begin's to judge */
};

static void count_hit(struct cached *cached)
{
#ifdef Py_GIL_DISABLED
    __atomic_fetch_add(&cached->hits, 1, __ATOMIC_RELAXED);
#else
    __atomic_store_n(&cached->hits, cached->hits + 1, __ATOMIC_RELAXED);
#endif
}

/* Calls miss, or with a value aged. Steals value. */
static PyObject *call_python(struct cached *cached, PyObject *value, const struct key *key, PyObject *const *args,
                             Py_ssize_t n, PyObject *kwnames)
{
    PyObject *bytes = PyBytes_FromStringAndSize(key->data, (Py_ssize_t)key->size), *tuple = PyTuple_New(n),
             *dict = PyDict_New();
    PyObject *result = NULL;

    if (!bytes || !tuple || !dict)
        goto end;
    for (Py_ssize_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); i++)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(kwnames, i), args[n + i]) < 0)
            goto end;
    result = value ? PyObject_CallFunctionObjArgs(cached->aged, value, bytes, tuple, dict, NULL)
                   : PyObject_CallFunctionObjArgs(cached->miss, bytes, tuple, dict, NULL);
end:
    Py_XDECREF(value);
    Py_XDECREF(bytes);
    Py_XDECREF(tuple);
    Py_XDECREF(dict);
    return result;
}

/* With a memo the key is an object. */
static int look_with_memo(struct cached *cached, const struct text *k, PyObject **value)
{
    PyObject *key = PyBytes_FromStringAndSize(k->data, k->size);
    int found = key ? ns_look(cached->ns, key, k, value) : -1;

    Py_XDECREF(key);
    return found;
}

/* As ns_look, and 2: it is there and older than refresh. */
static int look_with_age(struct cached *cached, const struct text *k, PyObject **value)
{
    struct ns *ns = cached->ns;
    libcache_value v = LIBCACHE_VALUE_INIT;
    int found = 0;

    if (libcache_look(ns->handle, k->data, (size_t)k->size, &v, LIBCACHE_TIMES) == LIBCACHE_HIT &&
        !(v.flags & FLAG_RAISED)) {
        *value = ns_decode_or_miss(ns, v.data, v.size, v.codec);
        found = *value ? 1 + (v.age_ms >= cached->refresh_ms) : PyErr_Occurred() ? -1 : 0;
    }
    libcache_release_value(&v);
    return found;
}

static PyObject *cached_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    struct cached *cached = (struct cached *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    PyObject *value = NULL;
    struct text text;
    struct key key;
    int found = 0;

    key_start(&key);
    switch (plan_key(cached->plan, args, n, kwnames, 0, &key)) {
    case KEY_OK: break;
    case KEY_UNBOUND:
        key_end(&key);
        return PyObject_Vectorcall(cached->function, args, nargsf, kwnames); /* it says what is wrong */
    case KEY_RAISED: key_end(&key); return NULL;
    }
    text = (struct text){ key.data, (Py_ssize_t)key.size };
    if (likely(cached->ns->cache->handle != NULL &&
               !cached->closely)) /* one that has been closed is no fault of the call: miss sees to it */
        found = unlikely(cached->refresh_ms)         ? look_with_age(cached, &text, &value)
                : unlikely(cached->ns->memo != NULL) ? look_with_memo(cached, &text, &value)
                                                     : ns_look(cached->ns, NULL, &text, &value);
    if (likely(found == 1)) {
        count_hit(cached);
        if (cached->is_async)
            value = done_new(cached->st, value);
    } else if (found == 0) {
        value = call_python(cached, NULL, &key, args, n, kwnames);
    } else if (found == 2) {
        count_hit(cached);
        value = call_python(cached, value, &key, args, n, kwnames);
    }
    key_end(&key);
    return value;
}

/* ---- The type ----------------------------------------------------------------------------------------------------------- */

static PyObject *cached_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    if (!object || object == Py_None)
        return Py_NewRef(self);
    return PyObject_CallFunctionObjArgs(((struct cached *)self)->bind, self, object, NULL);
}

static PyObject *cached_class(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(
        (PyObject *)(PyFunction_Check(((struct cached *)self)->function) ? &PyFunction_Type : Py_TYPE(self)));
}

static PyObject *cached_hits(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(__atomic_load_n(&((struct cached *)self)->hits, __ATOMIC_RELAXED));
}

static PyObject *cached_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<cached %R>", ((struct cached *)self)->function);
}

/* Pickled by its name, as functions are. */
static PyObject *cached_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self, "__qualname__");
}

static int cached_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct cached *cached = (struct cached *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(cached->ns);
    Py_VISIT(cached->plan);
    Py_VISIT(cached->function);
    Py_VISIT(cached->miss);
    Py_VISIT(cached->aged);
    Py_VISIT(cached->bind);
    Py_VISIT(cached->dict);
    return 0;
}

/* The rest is kept until the end, for a call may still come. */
static int cached_clear(PyObject *self)
{
    Py_CLEAR(((struct cached *)self)->dict);
    return 0;
}

static void cached_dealloc(PyObject *self)
{
    struct cached *cached = (struct cached *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (cached->weakrefs)
        PyObject_ClearWeakRefs(self);
    Py_XDECREF(cached->ns);
    Py_XDECREF(cached->plan);
    Py_XDECREF(cached->function);
    Py_XDECREF(cached->miss);
    Py_XDECREF(cached->aged);
    Py_XDECREF(cached->bind);
    Py_XDECREF(cached->dict);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *cached_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "namespace", "plan", "function", "miss",    "bind",
                             "is_async",  "aged", "refresh",  "closely", NULL };
    struct state *st = state_of_type(type);
    PyObject *ns, *plan, *function, *miss, *bind, *aged, *refresh = NULL;
    uint64_t refresh_ms = 0;
    struct cached *cached;
    int is_async, closely = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!OOOpO|Op:Cached", names, st->ns_type, &ns, st->plan_type, &plan,
                                     &function, &miss, &bind, &is_async, &aged, &refresh, &closely) ||
        ms_of(refresh, &refresh_ms, "refresh", 0) < 0)
        return NULL;
    cached = (struct cached *)type->tp_alloc(type, 0);
    if (!cached)
        return NULL;
    cached->call = cached_call;
    cached->st = st;
    cached->ns = (struct ns *)Py_NewRef(ns);
    cached->plan = (struct plan *)Py_NewRef(plan);
    cached->function = Py_NewRef(function);
    cached->miss = Py_NewRef(miss);
    cached->bind = Py_NewRef(bind);
    cached->aged = Py_NewRef(aged);
    cached->refresh_ms = refresh_ms;
    cached->is_async = is_async;
    cached->closely = closely;
    return (PyObject *)cached;
}

static PyMethodDef cached_methods[] = {
    { "__reduce__", cached_reduce, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef cached_getset[] = {
    { "__class__", cached_class, NULL, NULL, NULL },
    { "cache_hits", cached_hits, NULL, "Calls of this process that memory answered.", NULL },
    { "__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyMemberDef cached_members[] = {
    { "__vectorcalloffset__", T_PYSSIZET, offsetof(struct cached, call), READONLY, NULL },
    { "__dictoffset__", T_PYSSIZET, offsetof(struct cached, dict), READONLY, NULL },
    { "__weaklistoffset__", T_PYSSIZET, offsetof(struct cached, weakrefs), READONLY, NULL },
    { NULL, 0, 0, 0, NULL },
};

static PyType_Slot cached_slots[] = {
    { Py_tp_new, cached_new },
    { Py_tp_dealloc, cached_dealloc },
    { Py_tp_traverse, cached_traverse },
    { Py_tp_clear, cached_clear },
    { Py_tp_call, PyVectorcall_Call },
    { Py_tp_descr_get, cached_get },
    { Py_tp_repr, cached_repr },
    { Py_tp_methods, cached_methods },
    { Py_tp_getset, cached_getset },
    { Py_tp_members, cached_members },
    { 0, NULL },
};

PyType_Spec cached_spec = {
    .name = "libcache._core.Cached",
    .basicsize = sizeof(struct cached),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = cached_slots,
};
