/* Namespace: opening, and reading. SPDX-License-Identifier: MIT */
#include "_core.h"
#include "_core_port.h"

#include <stddef.h>
#include <structmember.h>

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

static PyObject *decode_by_hook(struct ns *ns, PyObject *bytes, uint8_t codec)
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
        value = decode_by_hook(ns, bytes, codec);
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

/* Whether the exception says that bytes are no value: any of a codec's, but for what says nothing of them. */
static int is_of_decoding(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError);
}

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

/* ---- A hit in L1 ---------------------------------------------------------------------------------------------------------- */

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
            ns->decode ? decode_by_hook(ns, bytes, v.codec) : ns_decode(ns, PyBytes_AS_STRING(bytes), v.size, v.codec);
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

/* ---- get --------------------------------------------------------------------------------------------------------------------- */

PyObject *get_result(struct ns *ns, int result, libcache_value *v, PyObject *fallback)
{
    if ((result == LIBCACHE_HIT || result == LIBCACHE_STALE) && !(v->flags & FLAG_RAISED)) {
        PyObject *value = ns_decode_or_miss(ns, v->data, v->size, v->codec);
        return value || PyErr_Occurred() ? value : Py_NewRef(fallback);
    }
    return result < 0 ? raise_code(ns->st, result, "get") : Py_NewRef(fallback);
}

/* Not at hand: a stale value, one that needs a closer look, Redis, or nothing. */
static __attribute__((noinline)) PyObject *get_further(struct ns *ns, const struct text *k, PyObject *fallback)
{
    libcache_value v;
    PyObject *value;
    int result;

    value_start(&v);
    if (ns->remote) {
        WITHOUT_GIL_BEGIN(ns->cache)
        result = libcache_get(ns->handle, k->data, (size_t)k->size, &v, 0);
        WITHOUT_GIL_END(ns->cache)
    } else {
        result = libcache_get(ns->handle, k->data, (size_t)k->size, &v, LIBCACHE_NO_WAIT);
    }
    value = get_result(ns, result, &v, fallback);
    value_end(&v);
    return value;
}

static PyObject *ns_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct ns *ns = (struct ns *)self;
    PyObject *value = NULL;
    struct text k;
    int found;

    if (unlikely(n != 1 && n != 2))
        return PyErr_Format(PyExc_TypeError, "get() takes a key and a default (%zd given)", n);
    if (unlikely(ns_check(ns) < 0 || text_of(args[0], &k, "key") < 0))
        return NULL;
    found = ns_look(ns, args[0], &k, &value);
    if (likely(found))
        return value;
    return get_further(ns, &k, n == 2 ? args[1] : Py_None);
}

static PyObject *ns_subscript(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    PyObject *args[2] = { key, ns->st->missing }, *value = ns_get(self, args, 2);

    if (value == ns->st->missing) {
        Py_DECREF(value);
        PyErr_SetObject(PyExc_KeyError, key);
        return NULL;
    }
    return value;
}

PyObject *make_lookup(struct ns *ns, int result, const libcache_value *v)
{
    PyObject *value = NULL;

    if (result < 0)
        return raise_code(ns->st, result, "lookup");
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        value = ns_decode_or_miss(ns, v->data, v->size, v->codec);
        if (!value && PyErr_Occurred())
            return NULL;
        if (!value)
            result = LIBCACHE_MISS;
    }
    if (result == LIBCACHE_MISS)
        return PyObject_CallFunction((PyObject *)ns->st->lookup_type, "iOOOiii", result, Py_None, Py_None, Py_None, 0,
                                     0, 0);
    return PyObject_CallFunction((PyObject *)ns->st->lookup_type, "iNNNiiI", result, value ? value : Py_NewRef(Py_None),
                                 seconds_of(v->age_ms), seconds_of(v->ttl_left_ms), v->tier, v->codec, v->flags);
}

static PyObject *ns_lookup(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    libcache_value v;
    PyObject *found;
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return NULL;
    value_start(&v);
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_get(ns->handle, k.data, (size_t)k.size, &v, LIBCACHE_TIMES);
    WITHOUT_GIL_END(ns->cache)
    found = make_lookup(ns, result, &v);
    value_end(&v);
    return found;
}

/* ---- Many -------------------------------------------------------------------------------------------------------------------- */

PyObject *many_result(struct ns *ns, PyObject *into, PyObject *keys, size_t n, libcache_value *values,
                      const int *results, int result)
{
    if (result != LIBCACHE_OK)
        return raise_code(ns->st, result, "get_many");
    for (size_t i = 0; i < n; i++) {
        PyObject *value;
        int failed;
        if (results[i] < 0)
            return raise_code(ns->st, results[i], "get_many");
        if ((results[i] != LIBCACHE_HIT && results[i] != LIBCACHE_STALE) || (values[i].flags & FLAG_RAISED))
            continue;
        value = ns_decode_or_miss(ns, values[i].data, values[i].size, values[i].codec);
        if (!value && PyErr_Occurred())
            return NULL;
        if (!value)
            continue;
        failed = PyDict_SetItem(into, PyList_GET_ITEM(keys, (Py_ssize_t)i), value);
        Py_DECREF(value);
        if (failed)
            return NULL;
    }
    return Py_NewRef(into);
}

int ns_look_many(struct ns *ns, PyObject *keys, PyObject *into, PyObject **missing)
{
    PyObject *iterator = PyObject_GetIter(keys), *key;

    *missing = NULL;
    if (!iterator)
        return -1;
    *missing = PyList_New(0);
    while (*missing && (key = PyIter_Next(iterator))) {
        PyObject *value = NULL;
        struct text k;
        int found = text_of(key, &k, "key") < 0 ? -1 : ns_look(ns, key, &k, &value);
        if (found > 0)
            found = PyDict_SetItem(into, key, value);
        else if (found == 0)
            found = PyList_Append(*missing, key);
        Py_XDECREF(value);
        Py_DECREF(key);
        if (found < 0)
            Py_CLEAR(*missing);
    }
    Py_DECREF(iterator);
    if (*missing && PyErr_Occurred())
        Py_CLEAR(*missing);
    return *missing ? 0 : -1;
}

static PyObject *get_many_further(struct ns *ns, PyObject *keys, PyObject *into)
{
    size_t n = (size_t)PyList_GET_SIZE(keys);
    char *memory = PyMem_Calloc(n, sizeof(libcache_value) + sizeof(libcache_slice) + sizeof(int));
    libcache_value *values = (libcache_value *)(void *)memory;
    libcache_slice *slices = (libcache_slice *)(void *)(values + n);
    int *results = (int *)(void *)(slices + n), result;
    unsigned flags = ns->remote ? 0 : LIBCACHE_NO_WAIT;
    PyObject *found;

    if (!memory)
        return PyErr_NoMemory();
    for (size_t i = 0; i < n; i++) {
        struct text k = { NULL, 0 };
        text_of(PyList_GET_ITEM(keys, (Py_ssize_t)i), &k, "key"); /* was one before */
        slices[i] = (libcache_slice){ k.data, (size_t)k.size };
        value_start(&values[i]);
    }
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_get_many(ns->handle, slices, n, values, results, NULL, flags);
    WITHOUT_GIL_END(ns->cache)
    found = many_result(ns, into, keys, n, values, results, result < 0 ? result : LIBCACHE_OK);
    for (size_t i = 0; i < n; i++)
        value_end(&values[i]);
    PyMem_Free(memory);
    return found;
}

static PyObject *ns_get_many(PyObject *self, PyObject *keys)
{
    struct ns *ns = (struct ns *)self;
    PyObject *into, *missing, *found = NULL;

    if (ns_check(ns) < 0 || !(into = PyDict_New()))
        return NULL;
    if (ns_look_many(ns, keys, into, &missing) == 0) {
        found = PyList_GET_SIZE(missing) ? get_many_further(ns, missing, into) : Py_NewRef(into);
        Py_DECREF(missing);
    }
    Py_DECREF(into);
    return found;
}

/* ---- exists, ttl_left --------------------------------------------------------------------------------------------------------- */

static int ns_has(struct ns *ns, PyObject *key)
{
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return LIBCACHE_EINVAL;
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_exists(ns->handle, k.data, (size_t)k.size, 0);
    WITHOUT_GIL_END(ns->cache)
    if (result < 0)
        raise_code(ns->st, result, "exists");
    return result;
}

static int ns_contains(PyObject *self, PyObject *key)
{
    int result = ns_has((struct ns *)self, key);
    return result < 0 ? -1 : result == LIBCACHE_HIT || result == LIBCACHE_STALE;
}

static PyObject *ns_exists(PyObject *self, PyObject *key)
{
    int result = ns_contains(self, key);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

static PyObject *ns_ttl_left(PyObject *self, PyObject *key)
{
    struct ns *ns = (struct ns *)self;
    uint64_t left_ms = 0;
    struct text k;
    int result;

    if (ns_check(ns) < 0 || text_of(key, &k, "key") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(ns->cache)
    result = libcache_ttl_left(ns->handle, k.data, (size_t)k.size, &left_ms, 0);
    WITHOUT_GIL_END(ns->cache)
    if (result == LIBCACHE_OK)
        return seconds_of(left_ms);
    if (result < 0)
        return raise_code(ns->st, result, "ttl_left");
    Py_RETURN_NONE;
}

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
