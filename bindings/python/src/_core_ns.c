/* Namespace: opening, its properties, its type. SPDX-License-Identifier: MIT */
#include "_core.h"
#include "_core_port.h"

#include <stddef.h>
#include <structmember.h>

/* ---- Opening --------------------------------------------------------------------------------------------------------------------- */

static PyObject *ns_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct ns *ns = (struct ns *)type->tp_alloc(type, 0);

    (void)args, (void)keywords;
    if (ns)
        ns->st = state_of_type(type);
    return (PyObject *)ns;
}

struct ns_options {
    PyObject *cache, *name, *ttl, *negative_ttl, *soft_ttl, *grace, *l1_ttl, *load_timeout, *load_backoff;
    PyObject *encode, *decode, *to_plain, *from_plain;
};

static int read_policy(const struct ns_options *o, libcache_policy *policy, int jitter, int share, Py_ssize_t max_value,
                       int tiers, Py_ssize_t compress, int early, int lease)
{
    if (jitter < 0 || share < 0 || max_value < 0 || tiers < 0 || compress < 0 || early < 0 || lease < 0) {
        PyErr_SetString(PyExc_ValueError, "a policy's numbers must not be negative");
        return -1;
    }
    policy->jitter_percent = (unsigned)jitter;
    policy->l1_share_percent = (unsigned)share;
    policy->max_value_bytes = (size_t)max_value;
    policy->tiers = (unsigned)tiers;
    policy->compress_bytes = (size_t)compress;
    policy->early_percent = (unsigned)early;
    policy->load_lease = (unsigned)lease;
    return ms_of(o->ttl, &policy->ttl_ms, "ttl", 1) < 0 ||
                   ms_of(o->negative_ttl, &policy->negative_ttl_ms, "negative_ttl", 0) < 0 ||
                   ms_of(o->soft_ttl, &policy->soft_ttl_ms, "soft_ttl", 0) < 0 ||
                   ms_of(o->grace, &policy->grace_ms, "grace", 0) < 0 ||
                   ms_of(o->l1_ttl, &policy->l1_ttl_ms, "l1_ttl", 0) < 0 ||
                   ms_of(o->load_timeout, &policy->load_timeout_ms, "load_timeout", 0) < 0 ||
                   ms_of(o->load_backoff, &policy->load_backoff_ms, "load_backoff", 0) < 0
               ? -1
               : 0;
}

static int open_ns(struct ns *ns, struct cache *cache, const struct ns_options *o, libcache_policy *policy)
{
    libcache_policy given = *policy, empty = LIBCACHE_POLICY_INIT;
    const char *name = PyUnicode_AsUTF8(o->name);
    libcache_error error = { 0 };
    libcache_ns *handle = NULL;
    int result;

    if (!name || cache_check(cache) < 0)
        return -1;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_open_namespace(&handle, cache->handle, name, memcmp(&given, &empty, sizeof given) ? &given : NULL,
                                     &error);
    if (result == LIBCACHE_OK) {
        policy->struct_size = sizeof *policy;
        result = libcache_read_policy(handle, policy);
    }
    WITHOUT_GIL_END(cache)
    if (result != LIBCACHE_OK) {
        raise_code(ns->st, result, error.text);
        return -1;
    }
    ns->handle = handle;
    ns->cache = (struct cache *)Py_NewRef((PyObject *)cache);
    ns->name = Py_NewRef(o->name);
    ns->remote = cache->has_redis && (policy->tiers & LIBCACHE_TIER_L2);
    ns->watched =
        policy->soft_ttl_ms || policy->grace_ms || policy->early_percent || !(policy->tiers & LIBCACHE_TIER_L1);
    return 0;
}

static int set_hook(PyObject **place, PyObject *hook, const char *name)
{
    if (!hook || hook == Py_None)
        return 0;
    if (!PyCallable_Check(hook)) {
        PyErr_Format(PyExc_TypeError, "%s must be callable", name);
        return -1;
    }
    Py_XSETREF(*place, Py_NewRef(hook));
    return 0;
}

static int ns_init(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "cache",
                             "name",
                             "ttl",
                             "negative_ttl",
                             "soft_ttl",
                             "grace",
                             "jitter_percent",
                             "l1_share_percent",
                             "max_value_bytes",
                             "tiers",
                             "l1_ttl",
                             "compress_bytes",
                             "load_timeout",
                             "load_backoff",
                             "early_percent",
                             "load_lease",
                             "encode",
                             "decode",
                             "to_plain",
                             "from_plain",
                             "memo",
                             NULL };
    struct ns *ns = (struct ns *)self;
    struct ns_options o = { 0 };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    int jitter = 0, share = 0, tiers = 0, early = 0, lease = 0;
    Py_ssize_t max_value = 0, compress = 0, memo = 0;

    if (ns->handle) {
        PyErr_SetString(PyExc_TypeError, "this namespace has been opened before");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!U|$OOOOiiniOnOOiiOOOOn:Namespace", names, ns->st->cache_type,
                                     &o.cache, &o.name, &o.ttl, &o.negative_ttl, &o.soft_ttl, &o.grace, &jitter, &share,
                                     &max_value, &tiers, &o.l1_ttl, &compress, &o.load_timeout, &o.load_backoff, &early,
                                     &lease, &o.encode, &o.decode, &o.to_plain, &o.from_plain, &memo) ||
        read_policy(&o, &policy, jitter, share, max_value, tiers, compress, early, lease) < 0 ||
        set_hook(&ns->encode, o.encode, "encode") < 0 || set_hook(&ns->decode, o.decode, "decode") < 0 ||
        set_hook(&ns->to_plain, o.to_plain, "to_plain") < 0 ||
        set_hook(&ns->from_plain, o.from_plain, "from_plain") < 0)
        return -1;
    if (!ns->encode != !ns->decode || (ns->encode && (ns->to_plain || ns->from_plain))) {
        PyErr_SetString(PyExc_TypeError, "give encode and decode, or to_plain and from_plain, or none of them");
        return -1;
    }
    if (memo < 0) {
        PyErr_SetString(PyExc_ValueError, "memo is how many values it keeps, 0 for none");
        return -1;
    }
    ns->memo_max = memo;
    if (memo && !(ns->memo = PyDict_New()))
        return -1;
    return open_ns(ns, (struct cache *)o.cache, &o, &policy);
}

static int ns_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct ns *ns = (struct ns *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(ns->cache);
    Py_VISIT(ns->encode);
    Py_VISIT(ns->decode);
    Py_VISIT(ns->to_plain);
    Py_VISIT(ns->from_plain);
    Py_VISIT(ns->memo);
    return 0;
}

static int ns_clear_references(PyObject *self)
{
    struct ns *ns = (struct ns *)self;

    ns->handle = NULL;
    Py_CLEAR(ns->encode);
    Py_CLEAR(ns->decode);
    Py_CLEAR(ns->to_plain);
    Py_CLEAR(ns->from_plain);
    Py_CLEAR(ns->memo);
    Py_CLEAR(ns->cache);
    return 0;
}

static void ns_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (((struct ns *)self)->weakrefs)
        PyObject_ClearWeakRefs(self);
    ns_clear_references(self);
    Py_CLEAR(((struct ns *)self)->name);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- Properties ------------------------------------------------------------------------------------------------------------------ */

static PyObject *ns_get_cache(PyObject *self, void *closure)
{
    struct ns *ns = (struct ns *)self;
    (void)closure;
    return ns->cache ? Py_NewRef((PyObject *)ns->cache) : Py_NewRef(Py_None);
}

static PyObject *ns_get_name(PyObject *self, void *closure)
{
    struct ns *ns = (struct ns *)self;
    (void)closure;
    return ns->name ? Py_NewRef(ns->name) : Py_NewRef(Py_None);
}

static PyObject *ns_get_decode_errors(PyObject *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLong(__atomic_load_n(&((struct ns *)self)->decode_errors, __ATOMIC_RELAXED));
}

static PyObject *ns_policy(PyObject *self, PyObject *ignored)
{
    struct ns *ns = (struct ns *)self;
    libcache_policy p = LIBCACHE_POLICY_INIT;
    int result;

    (void)ignored;
    if (ns_check(ns) < 0)
        return NULL;
    result = libcache_read_policy(ns->handle, &p);
    if (result != LIBCACHE_OK)
        return raise_code(ns->st, result, "policy");
    return Py_BuildValue("{sNsNsNsNsIsIsnsIsNsnsNsNsIsI}", "ttl", seconds_of(p.ttl_ms), "negative_ttl",
                         seconds_of(p.negative_ttl_ms), "soft_ttl", seconds_of(p.soft_ttl_ms), "grace",
                         seconds_of(p.grace_ms), "jitter_percent", p.jitter_percent, "l1_share_percent",
                         p.l1_share_percent, "max_value_bytes", (Py_ssize_t)p.max_value_bytes, "tiers", p.tiers,
                         "l1_ttl", seconds_of(p.l1_ttl_ms), "compress_bytes", (Py_ssize_t)p.compress_bytes,
                         "load_timeout", seconds_of(p.load_timeout_ms), "load_backoff", seconds_of(p.load_backoff_ms),
                         "early_percent", p.early_percent, "load_lease", p.load_lease);
}

static PyObject *ns_dumps(PyObject *self, PyObject *value)
{
    struct ns *ns = (struct ns *)self;
    struct encoded e;
    PyObject *pair;

    if (ns_encode(ns, value, &e) < 0)
        return NULL;
    pair = Py_BuildValue("(y#i)", e.data, (Py_ssize_t)e.size, e.codec);
    encoded_end(&e);
    return pair;
}

static PyObject *ns_loads(PyObject *self, PyObject *args)
{
    Py_buffer data;
    PyObject *value;
    unsigned char codec;

    if (!PyArg_ParseTuple(args, "y*b:loads", &data, &codec))
        return NULL;
    value = ns_decode((struct ns *)self, data.buf, (size_t)data.len, codec);
    PyBuffer_Release(&data);
    return value;
}

static PyObject *ns_repr(PyObject *self)
{
    struct ns *ns = (struct ns *)self;
    return PyUnicode_FromFormat("<libcache namespace %R>", ns->name ? ns->name : Py_None);
}

/* ---- The type ------------------------------------------------------------------------------------------------------------------------ */

static PyMethodDef ns_methods[] = {
    { "get", (PyCFunction)(void (*)(void))ns_get, METH_FASTCALL, "get(key, default=None)" },
    { "lookup", ns_lookup, METH_O, "lookup(key): a Lookup: what is there, in which tier, how old." },
    { "get_many", ns_get_many, METH_O, "get_many(keys): a dict of those that were found." },
    { "exists", ns_exists, METH_O, "exists(key)" },
    { "ttl_left", ns_ttl_left, METH_O, "ttl_left(key): seconds, math.inf, or None when it is not there." },
    { "set", FASTCALL(ns_set), "set(key, value, ttl=None, tags=())" },
    { "set_negative", FASTCALL(ns_set_negative),
      "set_negative(key, ttl=None, tags=()): known to be missing at the source." },
    { "add", FASTCALL(ns_add), "add(key, value, ttl=None, tags=()): False when something is there." },
    { "set_many", FASTCALL(ns_set_many), "set_many(items, ttl=None, tags=())" },
    { "delete", ns_delete, METH_O, "delete(key): whether it was there." },
    { "delete_many", ns_delete_many, METH_O, "delete_many(keys): how many were there." },
    { "touch", FASTCALL(ns_touch), "touch(key, ttl=None): a new TTL from now. False when it is not there." },
    { "incr", FASTCALL(ns_incr), "incr(key, delta=1, ttl=None, tags=()): the new number." },
    { "decr", FASTCALL(ns_decr), "decr(key, delta=1, ttl=None, tags=()): the new number." },
    { "clear", ns_clear, METH_NOARGS, "Invalidates all of the namespace." },
    { "begin", FASTCALL(ns_begin), "begin(key, wait=None, *, refresh=False): (result, value, load or None)" },
    { "stats", ns_stats, METH_NOARGS, "Counts of all processes of the segment: libcache_read_ns_stats." },
    { "policy", ns_policy, METH_NOARGS, "The policy in force." },
    { "dumps", ns_dumps, METH_O, "dumps(value): (bytes, codec byte), as it would be stored." },
    { "loads", ns_loads, METH_VARARGS, "loads(data, codec): the value." },
    { 0 },
};

static PyGetSetDef ns_getset[] = { { "cache", ns_get_cache, NULL, NULL, NULL },
                                   { "name", ns_get_name, NULL, NULL, NULL },
                                   { "decode_errors", ns_get_decode_errors, NULL, NULL, NULL },
                                   { 0 } };

static PyMemberDef ns_members[] = { { "__weaklistoffset__", T_PYSSIZET, offsetof(struct ns, weakrefs), READONLY, NULL },
                                    { 0 } };

static PyType_Slot ns_slots[] = {
    { Py_tp_new, ns_new },
    { Py_tp_init, ns_init },
    { Py_tp_dealloc, ns_dealloc },
    { Py_tp_traverse, ns_traverse },
    { Py_tp_clear, ns_clear_references },
    { Py_tp_methods, ns_methods },
    { Py_tp_getset, ns_getset },
    { Py_tp_members, ns_members },
    { Py_tp_repr, ns_repr },
    { Py_mp_subscript, ns_subscript },
    { Py_mp_ass_subscript, ns_assign },
    { Py_sq_contains, ns_contains },
    { 0, NULL },
};

PyType_Spec ns_spec = { .name = "libcache._core.Namespace",
                        .basicsize = sizeof(struct ns),
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                        .slots = ns_slots };
