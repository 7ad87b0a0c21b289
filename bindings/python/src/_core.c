/* The module libcache._core: constants, errors, TestClock. SPDX-License-Identifier: MIT */
#include "_core_key.h"

#include <structmember.h>

/* ---- State and errors ------------------------------------------------------------------------------------------------- */

struct state *state_of_type(PyTypeObject *type)
{
    for (; type; type = type->tp_base) {
        PyObject *module = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ? ((PyHeapTypeObject *)type)->ht_module : NULL;
        if (module && PyModule_Check(module) && PyModule_GetDef(module) == &core_module)
            return state_of_module(module);
    }
    Py_UNREACHABLE();
}

static enum error_class class_of(int code)
{
    switch (code) {
    case LIBCACHE_EINVAL:
    case LIBCACHE_EKEY:
    case LIBCACHE_ETAG:
    case LIBCACHE_EPOLICY:
    case LIBCACHE_ENAME: return E_INVALID;
    case LIBCACHE_ETOOBIG: return E_TOO_BIG;
    case LIBCACHE_ENUMBER:
    case LIBCACHE_EOVERFLOW: return E_NUMBER;
    case LIBCACHE_EBUSY: return E_BUSY;
    case LIBCACHE_EUNAVAILABLE:
    case LIBCACHE_ETIMEDOUT:
    case LIBCACHE_EREMOTE:
    case LIBCACHE_EDENIED:
    case LIBCACHE_EPROTOCOL: return E_REDIS;
    case LIBCACHE_ELOAD: return E_LOAD;
    case LIBCACHE_ELOST: return E_LOST;
    default: return E_BASE;
    }
}

PyObject *raise_code(struct state *st, int code, const char *detail)
{
    PyObject *class = st->error[class_of(code)], *error, *number;

    if (code == LIBCACHE_ENOMEM)
        return PyErr_NoMemory();
    error = detail && *detail
                ? PyObject_CallFunction(class, "N", PyUnicode_FromFormat("%s: %s", libcache_describe(code), detail))
                : PyObject_CallFunction(class, "s", libcache_describe(code));
    number = error ? PyLong_FromLong(code) : NULL;
    if (number && PyObject_SetAttr(error, st->str_code, number) == 0)
        PyErr_SetObject(class, error);
    Py_XDECREF(number);
    Py_XDECREF(error);
    return NULL;
}

static int add_errors(PyObject *module, struct state *st)
{
    static const struct {
        const char *name, *doc;
        enum error_class which;
        int builtin; /* 1: ValueError, 2: TypeError as well */
    } errors[] = {
        { "Error", "What all errors of the cache have in common; code is libcache.h's number.", E_BASE, 0 },
        { "InvalidError", "An argument, key, tag, name, policy or option is wrong.", E_INVALID, 1 },
        { "TooBigError", "The value is larger than the namespace allows.", E_TOO_BIG, 1 },
        { "NumberError", "Not a number, or past 64 bits.", E_NUMBER, 1 },
        { "BusyError", "A lock was not to be had in time.", E_BUSY, 0 },
        { "RedisError", "Redis did not take a change.", E_REDIS, 0 },
        { "LoadError", "A load failed, or did so lately and is not tried again yet.", E_LOAD, 0 },
        { "LostError", "The lock is not, or no longer, yours.", E_LOST, 0 },
        { "ClosedError", "The cache is closed.", E_CLOSED, 1 },
        { "EncodeError", "This value cannot be stored by this codec.", E_ENCODE, 3 },
        { "DecodeError", "These bytes are no value of this codec.", E_DECODE, 4 },
    };

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        char name[64];
        PyObject *bases, *class;
        switch (errors[i].builtin) {
        case 0: bases = i ? Py_BuildValue("(O)", st->error[E_BASE]) : Py_BuildValue("(O)", PyExc_Exception); break;
        case 1: bases = Py_BuildValue("(OO)", st->error[E_BASE], PyExc_ValueError); break;
        case 3: bases = Py_BuildValue("(O)", PyExc_TypeError); break;
        default: bases = Py_BuildValue("(O)", PyExc_ValueError); break;
        }
        snprintf(name, sizeof name, "libcache.%s", errors[i].name);
        class = bases ? PyErr_NewExceptionWithDoc(name, errors[i].doc, bases, NULL) : NULL;
        Py_XDECREF(bases);
        if (!class)
            return -1;
        st->error[errors[i].which] = class;
        if (errors[i].which < E_ENCODE) {
            PyObject *zero = PyLong_FromLong(0);
            if (!zero || PyObject_SetAttr(class, st->str_code, zero) < 0)
                return -1;
            Py_DECREF(zero);
        }
        if (PyModule_AddObjectRef(module, errors[i].name, class) < 0)
            return -1;
    }
    return 0;
}

/* ---- MISSING ------------------------------------------------------------------------------------------------------------ */

static PyObject *missing_repr(PyObject *self)
{
    (void)self;
    return PyUnicode_FromString("libcache.MISSING");
}

static int missing_bool(PyObject *self)
{
    (void)self;
    return 0;
}

static PyObject *missing_reduce(PyObject *self, PyObject *ignored)
{
    (void)self, (void)ignored;
    return PyUnicode_FromString("MISSING");
}

static PyMethodDef missing_methods[] = { { "__reduce__", missing_reduce, METH_NOARGS, NULL }, { 0 } };

static PyType_Slot missing_slots[] = { { Py_tp_repr, missing_repr },
                                       { Py_nb_bool, missing_bool },
                                       { Py_tp_methods, missing_methods },
                                       { Py_tp_doc, "A default that no stored value equals." },
                                       { 0, NULL } };

static PyType_Spec missing_spec = { .name = "libcache._core._Missing",
                                    .basicsize = sizeof(PyObject),
                                    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                    .slots = missing_slots };

/* ---- TestClock ------------------------------------------------------------------------------------------------------------ */

static PyObject *clock_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct clock *clock;

    (void)args, (void)keywords;
    clock = (struct clock *)type->tp_alloc(type, 0);
    if (clock)
        clock->now_ms = 86400000;
    return (PyObject *)clock;
}

static void clock_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *clock_advance(PyObject *self, PyObject *seconds)
{
    uint64_t ms = 0;

    if (ms_of(seconds, &ms, "seconds", 0) < 0)
        return NULL;
    __atomic_fetch_add(&((struct clock *)self)->now_ms, ms, __ATOMIC_RELAXED);
    Py_RETURN_NONE;
}

static PyObject *clock_now(PyObject *self, void *closure)
{
    (void)closure;
    return seconds_of(__atomic_load_n(&((struct clock *)self)->now_ms, __ATOMIC_RELAXED));
}

static PyMethodDef clock_methods[] = { { "advance", clock_advance, METH_O, "advance(seconds): time passes." }, { 0 } };
static PyGetSetDef clock_getset[] = { { "now", clock_now, NULL, "Seconds.", NULL }, { 0 } };
static PyType_Slot clock_slots[] = { { Py_tp_new, clock_new },
                                     { Py_tp_dealloc, clock_dealloc },
                                     { Py_tp_methods, clock_methods },
                                     { Py_tp_getset, clock_getset },
                                     { Py_tp_doc,
                                       "A clock for tests: Cache(clock=TestClock()). Moves by advance() only." },
                                     { 0, NULL } };
PyType_Spec clock_spec = {
    .name = "libcache.TestClock", .basicsize = sizeof(struct clock), .flags = Py_TPFLAGS_DEFAULT, .slots = clock_slots
};

/* ---- Functions ---------------------------------------------------------------------------------------------------------- */

static PyObject *core_remove_segment(PyObject *module, PyObject *name)
{
    libcache_error error;
    const char *text;
    int result;

    text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (!text)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "a segment's name must be str");
    Py_BEGIN_ALLOW_THREADS result = libcache_remove_segment(text, &error);
    Py_END_ALLOW_THREADS if (result == LIBCACHE_ENOTFOUND) Py_RETURN_FALSE;
    if (result != LIBCACHE_OK)
        return raise_code(state_of_module(module), result, error.text);
    Py_RETURN_TRUE;
}

static PyObject *bytes_of(struct encoded *e)
{
    if (e->held && PyBytes_CheckExact(e->held))
        return Py_NewRef(e->held);
    return PyBytes_FromStringAndSize(e->data, (Py_ssize_t)e->size);
}

static PyObject *core_encode(PyObject *module, PyObject *value)
{
    struct encoded e;
    PyObject *result;

    if (encode_value(state_of_module(module), value, &e) < 0)
        return NULL;
    result = Py_BuildValue("(Ni)", bytes_of(&e), e.codec);
    encoded_end(&e);
    return result;
}

static PyObject *core_pack(PyObject *module, PyObject *value)
{
    struct encoded e = { 0 };
    PyObject *result;

    if (encode_packed(state_of_module(module), value, &e) < 0)
        return NULL;
    result = bytes_of(&e);
    encoded_end(&e);
    return result;
}

static PyObject *core_decode(PyObject *module, PyObject *args)
{
    Py_buffer data;
    PyObject *value;
    unsigned char codec;

    if (!PyArg_ParseTuple(args, "y*b:decode", &data, &codec))
        return NULL;
    value = decode_value(state_of_module(module), data.buf, (size_t)data.len, codec);
    PyBuffer_Release(&data);
    return value;
}

static PyObject *core_unpack(PyObject *module, PyObject *object)
{
    Py_buffer data;
    PyObject *value;

    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    value = decode_packed(state_of_module(module), data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return value;
}

static PyMethodDef core_methods[] = {
    { "remove_segment", core_remove_segment, METH_O,
      "remove_segment(name): removes a named segment's name. False: there was none." },
    { "encode", core_encode, METH_O, "encode(value): bytes and codec byte, as the typed codec stores it." },
    { "decode", core_decode, METH_VARARGS, "decode(data, codec): the value." },
    { "pack", core_pack, METH_O, "pack(value): MessagePack." },
    { "unpack", core_unpack, METH_O, "unpack(data): the value of MessagePack." },
    { 0 },
};

/* ---- The module ------------------------------------------------------------------------------------------------------------ */

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

    if (type && name && PyModule_AddObjectRef(module, name, type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

/* collections.namedtuple(name, fields) */
static PyTypeObject *add_tuple(PyObject *module, const char *name, const char *fields)
{
    PyObject *collections = PyImport_ImportModule("collections"), *type = NULL, *text = NULL;

    if (collections)
        type = PyObject_CallMethod(collections, "namedtuple", "ss", name, fields);
    Py_XDECREF(collections);
    text = type ? PyUnicode_FromString("libcache") : NULL;
    if (!text || PyObject_SetAttrString(type, "__module__", text) < 0 || PyModule_AddObjectRef(module, name, type) < 0)
        Py_CLEAR(type);
    Py_XDECREF(text);
    return (PyTypeObject *)type;
}

static int add_results(PyObject *module)
{
    static const struct {
        const char *name;
        int value;
    } results[] = { { "HIT", LIBCACHE_HIT },      { "STALE", LIBCACHE_STALE }, { "NEGATIVE", LIBCACHE_NEGATIVE },
                    { "MISS", LIBCACHE_MISS },    { "LEAD", LIBCACHE_LEAD },   { "WAIT", LIBCACHE_WAIT },
                    { "BYPASS", LIBCACHE_BYPASS } };

    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (PyModule_AddIntConstant(module, results[i].name, results[i].value) < 0)
            return -1;
    return PyModule_AddStringConstant(module, "__version__", libcache_version());
}

/* What annotations call them: str | bytes, and int | float | timedelta. */
static int add_aliases(PyObject *module)
{
    PyObject *datetime = PyImport_ImportModule("datetime"),
             *delta = datetime ? PyObject_GetAttrString(datetime, "timedelta") : NULL;
    PyObject *key = PyNumber_Or((PyObject *)&PyUnicode_Type, (PyObject *)&PyBytes_Type);
    PyObject *number = PyNumber_Or((PyObject *)&PyLong_Type, (PyObject *)&PyFloat_Type);
    PyObject *seconds = number && delta ? PyNumber_Or(number, delta) : NULL;
    int result = key && seconds ? PyModule_AddObjectRef(module, "Key", key) : -1;

    if (result == 0)
        result = PyModule_AddObjectRef(module, "Seconds", seconds);
    Py_XDECREF(datetime);
    Py_XDECREF(delta);
    Py_XDECREF(key);
    Py_XDECREF(number);
    Py_XDECREF(seconds);
    return result;
}

static int core_exec(PyObject *module)
{
    struct state *st = state_of_module(module);
    PyTypeObject *missing;

    st->str_code = PyUnicode_InternFromString("code");
    st->str_done = PyUnicode_InternFromString("done");
    st->str_set_result = PyUnicode_InternFromString("set_result");
    st->str_set_exception = PyUnicode_InternFromString("set_exception");
    st->loop_keyword = Py_BuildValue("(s)", "loop");
    st->empty_tuple = PyTuple_New(0);
    st->ports = PyDict_New();
    if (!st->str_code || !st->str_done || !st->str_set_result || !st->str_set_exception || !st->loop_keyword ||
        !st->empty_tuple || !st->ports || args_start() < 0 || encode_start() < 0 || decode_start() < 0 ||
        add_errors(module, st) < 0 || add_results(module) < 0 || add_aliases(module) < 0)
        return -1;
    missing = add_type(module, &missing_spec, NULL);
    st->missing = missing ? missing->tp_alloc(missing, 0) : NULL;
    Py_XDECREF(missing);
    if (!st->missing || PyModule_AddObjectRef(module, "MISSING", st->missing) < 0 ||
        !(st->lookup_type = add_tuple(module, "Lookup", "result value age ttl_left tier codec flags")) ||
        !(st->rate_type = add_tuple(module, "Rate", "allowed hits remaining reset")) ||
        !(st->entry_type = add_tuple(module, "Entry", "namespace key value_bytes age ttl_left codec result")) ||
        !(st->clock_type = add_type(module, &clock_spec, "TestClock")) ||
        !(st->cache_type = add_type(module, &cache_spec, "Cache")) ||
        !(st->ns_type = add_type(module, &ns_spec, "Namespace")) ||
        !(st->aio_type = add_type(module, &aio_spec, "AsyncNamespace")) ||
        !(st->load_type = add_type(module, &load_spec, "Load")) ||
        !(st->done_type = add_type(module, &done_spec, "Done")) ||
        !(st->port_type = add_type(module, &port_spec, NULL)) ||
        !(st->entries_type = add_type(module, &entries_spec, NULL)) ||
        !(st->plan_type = add_type(module, &plan_spec, "KeyPlan")) ||
        !(st->cached_type = add_type(module, &cached_spec, "Cached")))
        return -1;
    return 0;
}

#define EACH_OBJECT(DO)                                                                                         \
    DO(st->cache_type)                                                                                          \
    DO(st->ns_type) DO(st->aio_type) DO(st->load_type) DO(st->done_type) DO(st->port_type) DO(st->clock_type)   \
        DO(st->entries_type) DO(st->plan_type) DO(st->cached_type) DO(st->lookup_type) DO(st->rate_type)        \
            DO(st->entry_type) DO(st->missing) DO(st->str_code) DO(st->str_done) DO(st->str_set_result)         \
                DO(st->str_set_exception) DO(st->loop_keyword) DO(st->decimal) DO(st->uuid) DO(st->empty_tuple) \
                    DO(st->get_running_loop) DO(st->reply_type) DO(st->ports)

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *st = state_of_module(module);

#define VISIT(object) Py_VISIT(object);
    EACH_OBJECT(VISIT)
    for (int i = 0; i < E_CLASSES; i++)
        Py_VISIT(st->error[i]);
    return 0;
}

static int core_clear(PyObject *module)
{
    struct state *st = state_of_module(module);

#define CLEAR(object) Py_CLEAR(object);
    EACH_OBJECT(CLEAR)
    for (int i = 0; i < E_CLASSES; i++)
        Py_CLEAR(st->error[i]);
#ifndef Py_GIL_DISABLED
    for (int i = 0; i < KEY_CACHE; i++)
        Py_CLEAR(st->key_cache[i]);
#endif
    return 0;
}

static void core_free(void *module)
{
    core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    { Py_mod_exec, core_exec },
#if PY_VERSION_HEX >= 0x030c0000
    { Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED },
#endif
    { 0, NULL },
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "libcache._core",
    .m_doc = "The C module of libcache; import libcache, not this.",
    .m_size = sizeof(struct state),
    .m_methods = core_methods,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
