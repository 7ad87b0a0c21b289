/* Cache: the handle, and what a whole cache can be asked. SPDX-License-Identifier: MIT */
#include "_core.h"
#include "_core_io.h"
#include "_core_port.h"

#include <stddef.h>
#include <structmember.h>

/* ---- Life ---------------------------------------------------------------------------------------------------------------- */

static uint64_t read_clock(void *arg)
{
    return __atomic_load_n(&((struct clock *)arg)->now_ms, __ATOMIC_RELAXED);
}

int cache_check(struct cache *cache)
{
    if (likely(cache->handle && !cache->closing))
        return 0;
    PyErr_SetString(cache->st->error[E_CLOSED], "the cache is closed");
    return -1;
}

static void close_handle(struct cache *cache)
{
    libcache *handle = cache->handle;
    struct io *io = cache->io;
    struct request *orphans = NULL;

    cache->handle = NULL;
    cache->io = NULL;
    if (!handle)
        return;
    if (io && !io_is_mine(io)) {
        io_leave(io);
        io = NULL;
    }
    Py_BEGIN_ALLOW_THREADS if (io) orphans = io_stop(io);
    libcache_close(handle);
    Py_END_ALLOW_THREADS reqs_forget(cache->st, orphans);
}

void cache_left(struct cache *cache)
{
    if (__atomic_sub_fetch(&cache->busy, 1, __ATOMIC_ACQ_REL) == 0 && cache->closing)
        close_handle(cache);
}

static PyObject *cache_close(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;

    (void)ignored;
    cache->closing = 1;
#ifndef Py_GIL_DISABLED
    /* Without a GIL others may be reading in L1 just now: the handle is closed with the last reference to it. */
    if (__atomic_load_n(&cache->busy, __ATOMIC_ACQUIRE) == 0)
        close_handle(cache);
#endif
    Py_RETURN_NONE;
}

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct cache *cache = (struct cache *)type->tp_alloc(type, 0);

    (void)args, (void)keywords;
    if (cache)
        cache->st = state_of_type(type);
    return (PyObject *)cache;
}

static int cache_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((struct cache *)self)->clock);
    return 0;
}

static void cache_dealloc(PyObject *self)
{
    struct cache *cache = (struct cache *)self;
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (cache->weakrefs)
        PyObject_ClearWeakRefs(self);
    close_handle(cache);
    Py_CLEAR(cache->clock);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- Opening ---------------------------------------------------------------------------------------------------------------- */

enum option_kind { O_BYTES, O_UNSIGNED, O_FLAG, O_TEXT, O_MS };

static const struct option {
    const char *name;
    enum option_kind kind;
    size_t at;
} table[] = {
#define OPTION(name, kind, field)                     \
    {                                                 \
        name, kind, offsetof(libcache_options, field) \
    }
    OPTION("memory_bytes", O_BYTES, memory_bytes),
    OPTION("max_value_bytes", O_BYTES, max_value_bytes),
    OPTION("stripes", O_UNSIGNED, stripes),
    OPTION("max_namespaces", O_UNSIGNED, max_namespaces),
    OPTION("huge_pages", O_UNSIGNED, huge_pages),
    OPTION("lock_wait", O_MS, lock_wait_ms),
    OPTION("verify_values", O_FLAG, verify_values),
    OPTION("identity", O_TEXT, identity),
    OPTION("policy_file", O_TEXT, policy_file),
    OPTION("redis_url", O_TEXT, redis_url),
    OPTION("redis_prefix", O_TEXT, redis_prefix),
    OPTION("redis_timeout", O_MS, redis_timeout_ms),
    OPTION("pool_min", O_UNSIGNED, pool_min),
    OPTION("pool_max", O_UNSIGNED, pool_max),
    OPTION("pool_overflow", O_UNSIGNED, pool_overflow),
    OPTION("pool_wait", O_MS, pool_wait_ms),
    OPTION("pool_idle", O_MS, pool_idle_ms),
    OPTION("breaker_failures", O_UNSIGNED, breaker_failures),
    OPTION("breaker_backoff", O_MS, breaker_backoff_ms),
    OPTION("breaker_backoff_max", O_MS, breaker_backoff_max_ms),
    OPTION("max_reply_bytes", O_BYTES, max_reply_bytes),
    OPTION("max_staleness", O_MS, max_staleness_ms),
    OPTION("poll_interval", O_MS, poll_ms),
    OPTION("log_length", O_UNSIGNED, log_length),
};

static int read_unsigned(PyObject *value, uint64_t most, uint64_t *out, const char *name)
{
    int64_t number = 0;

    if (int64_of(value, &number, name) < 0)
        return -1;
    if (number < 0 || (uint64_t)number > most) {
        PyErr_Format(PyExc_ValueError, "%s is out of range: %lld", name, (long long)number);
        return -1;
    }
    *out = (uint64_t)number;
    return 0;
}

static int read_option(libcache_options *options, const struct option *option, PyObject *value)
{
    void *field = (char *)options + option->at;
    uint64_t number = 0;
    const char *text;
    unsigned ms = 0;

    if (value == Py_None)
        return 0;
    switch (option->kind) {
    case O_BYTES:
        if (read_unsigned(value, SIZE_MAX / 2, &number, option->name) < 0)
            return -1;
        *(size_t *)field = (size_t)number;
        return 0;
    case O_UNSIGNED:
        if (read_unsigned(value, UINT32_MAX, &number, option->name) < 0)
            return -1;
        *(unsigned *)field = (unsigned)number;
        return 0;
    case O_FLAG: *(int *)field = PyObject_IsTrue(value); return *(int *)field < 0 ? -1 : 0;
    case O_MS:
        if (ms_of_unsigned(value, &ms, option->name) < 0)
            return -1;
        *(unsigned *)field = ms;
        return 0;
    default:
        if (!PyUnicode_Check(value)) {
            PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", option->name, Py_TYPE(value)->tp_name);
            return -1;
        }
        text = PyUnicode_AsUTF8(value);
        *(const char **)field = text;
        return text ? 0 : -1;
    }
}

/* What is not simply a field. */
struct special {
    PyObject *name, *shared, *attach, *listen, *clock;
};

static int read_options(PyObject *keywords, libcache_options *options, struct special *special)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;

    while (keywords && PyDict_Next(keywords, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key);
        size_t i;
        if (!name)
            return -1;
        for (i = 0; i < sizeof table / sizeof *table && strcmp(name, table[i].name) != 0; i++)
            ;
        if (i < sizeof table / sizeof *table) {
            if (read_option(options, &table[i], value) < 0)
                return -1;
            continue;
        }
        PyObject **place = strcmp(name, "name") == 0     ? &special->name
                           : strcmp(name, "shared") == 0 ? &special->shared
                           : strcmp(name, "attach") == 0 ? &special->attach
                           : strcmp(name, "listen") == 0 ? &special->listen
                           : strcmp(name, "clock") == 0  ? &special->clock
                                                         : NULL;
        if (!place) {
            PyErr_Format(PyExc_TypeError, "Cache() has no option %R", key);
            return -1;
        }
        *place = value == Py_None ? NULL : value;
    }
    return 0;
}

static int open_handle(struct cache *cache, libcache_options *options, struct special *special)
{
    libcache_error error = { 0 };
    libcache *handle = NULL;
    int attach = special->attach ? PyObject_IsTrue(special->attach) : 0;
    int shared = special->shared ? PyObject_IsTrue(special->shared) : 0;
    int listen = special->listen ? PyObject_IsTrue(special->listen) : 1, result;

    if (attach < 0 || shared < 0 || listen < 0)
        return -1;
    if (special->name) {
        if (!PyUnicode_Check(special->name) || !(options->name = PyUnicode_AsUTF8(special->name))) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "name must be str, not %.100s", Py_TYPE(special->name)->tp_name);
            return -1;
        }
    } else if (attach) {
        PyErr_SetString(PyExc_ValueError, "attach needs a name");
        return -1;
    }
    if (special->clock) {
        if (Py_TYPE(special->clock) != cache->st->clock_type) {
            PyErr_SetString(PyExc_TypeError, "clock must be a TestClock");
            return -1;
        }
        cache->clock = (struct clock *)Py_NewRef(special->clock);
        options->clock_ms = read_clock;
        options->clock_arg = cache->clock;
    }
    options->segment = options->name ? LIBCACHE_NAMED : shared ? LIBCACHE_SHARED : LIBCACHE_PRIVATE;
    options->listener = options->redis_url && listen ? LIBCACHE_LISTEN_IN_THREAD : LIBCACHE_LISTEN_ON_CALLS;
    Py_BEGIN_ALLOW_THREADS if (attach)
    {
        const char *name = options->name;
        options->name = NULL;
        options->segment = 0;
        result = libcache_attach(&handle, name, options, &error);
    }
    else
    {
        result = libcache_open(&handle, options, &error);
    }
    Py_END_ALLOW_THREADS if (result != LIBCACHE_OK)
    {
        raise_code(cache->st, result, error.text);
        return -1;
    }
    cache->handle = handle;
    cache->has_redis = options->redis_url != NULL;
    cache->listens = options->listener == LIBCACHE_LISTEN_IN_THREAD;
    return 0;
}

static int cache_init(PyObject *self, PyObject *args, PyObject *keywords)
{
    struct cache *cache = (struct cache *)self;
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    struct special special = { 0 };

    if (PyTuple_GET_SIZE(args)) {
        PyErr_SetString(PyExc_TypeError, "Cache() takes its options by name");
        return -1;
    }
    if (cache->handle || cache->closing) {
        PyErr_SetString(PyExc_TypeError, "this cache has been opened before");
        return -1;
    }
    return read_options(keywords, &options, &special) < 0 ? -1 : open_handle(cache, &options, &special);
}

static PyObject *cache_get_closed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(!((struct cache *)self)->handle || ((struct cache *)self)->closing);
}

static PyObject *cache_get_has_redis(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((struct cache *)self)->has_redis);
}

/* ---- Invalidating ---------------------------------------------------------------------------------------------------------- */

static PyObject *cache_invalidate(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    struct cache *cache = (struct cache *)self;
    libcache_slice few[16], *tags = few;
    int result;

    if (cache_check(cache) < 0)
        return NULL;
    if (n > 16 && !(tags = PyMem_New(libcache_slice, (size_t)n)))
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++) {
        struct text tag;
        if (text_of(args[i], &tag, "tag") < 0) {
            if (tags != few)
                PyMem_Free(tags);
            return NULL;
        }
        tags[i] = (libcache_slice){ tag.data, (size_t)tag.size };
    }
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_invalidate_tags(cache->handle, tags, (size_t)n, 0);
    WITHOUT_GIL_END(cache)
    if (tags != few)
        PyMem_Free(tags);
    if (result != LIBCACHE_OK)
        return raise_code(cache->st, result, "invalidate");
    Py_RETURN_NONE;
}

static PyObject *cache_clear(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    int result;

    (void)ignored;
    if (cache_check(cache) < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_invalidate_all(cache->handle, 0);
    WITHOUT_GIL_END(cache)
    if (result != LIBCACHE_OK)
        return raise_code(cache->st, result, "clear");
    Py_RETURN_NONE;
}

static PyObject *cache_poll(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "timeout" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[1];
    unsigned timeout = 0;
    int result;

    if (cache_check(cache) < 0 || read_args("poll", args, n, kwnames, names, 1, 0, 1, value) < 0 ||
        ms_of_unsigned(value[0], &timeout, "timeout") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_poll(cache->handle, timeout);
    WITHOUT_GIL_END(cache)
    return poll_result(cache->st, result);
}

PyObject *poll_result(struct state *st, int result)
{
    if (result == LIBCACHE_EUNSUPPORTED || result == LIBCACHE_OK)
        Py_RETURN_TRUE; /* without Redis there is nothing to be behind of */
    if (result == LIBCACHE_EINVAL || result == LIBCACHE_ENOMEM)
        return raise_code(st, result, "poll");
    Py_RETURN_FALSE;
}

static PyObject *cache_sweep(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "max_entries" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[1];
    int64_t most = 10000;
    size_t reclaimed = 0;
    int result;

    if (cache_check(cache) < 0 || read_args("sweep", args, n, kwnames, names, 1, 0, 1, value) < 0 ||
        int64_of(value[0], &most, "max_entries") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_sweep(cache->handle, most > 0 ? (size_t)most : 0, &reclaimed);
    WITHOUT_GIL_END(cache)
    if (result != LIBCACHE_OK)
        return raise_code(cache->st, result, "sweep");
    return PyLong_FromSize_t(reclaimed);
}

/* ---- The type ------------------------------------------------------------------------------------------------------------------- */

static PyMethodDef cache_methods[] = {
    { "close", cache_close, METH_NOARGS, "Ends the handle. Entries of a named segment stay for others." },
    { "invalidate", (PyCFunction)(void (*)(void))cache_invalidate, METH_FASTCALL, "invalidate(*tags)" },
    { "clear", cache_clear, METH_NOARGS, "Invalidates everything." },
    { "poll", FASTCALL(cache_poll), "poll(timeout=None): reads the log. True: this host is up to date." },
    { "sweep", FASTCALL(cache_sweep), "sweep(max_entries=10000): how many dead entries were reclaimed." },
    { "stats", cache_stats, METH_NOARGS, "The figures of libcache_stats, as a dict." },
    { "sum_stats", cache_sum_stats, METH_NOARGS, "Counts of all processes of the segment: libcache_sum_stats." },
    { "namespace_stats", cache_namespace_stats, METH_NOARGS, "The same by namespace, whoever opened it." },
    { "metrics", FASTCALL(cache_metrics), "metrics(*, json=False): all metrics as text: libcache_metrics." },
    { "entries", cache_entries, METH_NOARGS, "Iterates over what is in memory. For tools." },
    { "lock_take", FASTCALL(cache_lock_take), "lock_take(name, ttl, wait=0, owner=None): the owner's text, or None." },
    { "lock_keep", FASTCALL(cache_lock_keep), "lock_keep(name, owner, ttl): whether it still was yours." },
    { "lock_free", FASTCALL(cache_lock_free), "lock_free(name, owner): whether it still was yours." },
    { "lock_break", cache_lock_break, METH_O, "lock_break(name): frees it, whoever has it." },
    { "lock_owner", cache_lock_owner, METH_O, "lock_owner(name): (owner, seconds left) or None." },
    { "rate_hit", FASTCALL(cache_rate_hit), "rate_hit(name, limit, window): counts a hit." },
    { "invalidate_async", (PyCFunction)(void (*)(void))cache_invalidate_async, METH_FASTCALL, "invalidate, awaitable" },
    { "clear_async", cache_clear_async, METH_NOARGS, "clear, awaitable" },
    { "poll_async", FASTCALL(cache_poll_async), "poll, awaitable" },
    { "lock_take_async", FASTCALL(cache_lock_take_async), "lock_take, awaitable" },
    { "lock_leave", cache_lock_leave, METH_O, "lock_leave(what lock_take_async gave): it was cancelled" },
    { "lock_keep_async", FASTCALL(cache_lock_keep_async), "lock_keep, awaitable" },
    { "lock_free_async", FASTCALL(cache_lock_free_async), "lock_free, awaitable" },
    { "rate_hit_async", FASTCALL(cache_rate_hit_async), "rate_hit, awaitable" },
    { 0 },
};

static PyGetSetDef cache_getset[] = { { "closed", cache_get_closed, NULL, NULL, NULL },
                                      { "has_redis", cache_get_has_redis, NULL, NULL, NULL },
                                      { 0 } };

static PyMemberDef cache_members[] = {
    { "__weaklistoffset__", T_PYSSIZET, offsetof(struct cache, weakrefs), READONLY, NULL }, { 0 }
};

static PyType_Slot cache_slots[] = {
    { Py_tp_new, cache_new },         { Py_tp_init, cache_init },
    { Py_tp_dealloc, cache_dealloc }, { Py_tp_traverse, cache_traverse },
    { Py_tp_methods, cache_methods }, { Py_tp_getset, cache_getset },
    { Py_tp_members, cache_members }, { 0, NULL },
};

PyType_Spec cache_spec = { .name = "libcache._core.Cache",
                           .basicsize = sizeof(struct cache),
                           .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                           .slots = cache_slots };
