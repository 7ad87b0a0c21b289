/* Loads in steps: Namespace.begin, Load. SPDX-License-Identifier: MIT */
#include "_core_port.h"

#include <stddef.h>
#include <unistd.h>

static struct load *load_new(struct ns *ns, libcache_load *handle)
{
    struct load *load = PyObject_New(struct load, ns->st->load_type);

    if (!load) {
        libcache_load_abort(handle, 0);
        return NULL;
    }
    load->ns = (struct ns *)Py_NewRef((PyObject *)ns);
    load->handle = handle;
    load->pid = getpid();
    return load;
}

static libcache_load *take_handle(struct load *load)
{
    libcache_load *handle = __atomic_exchange_n(&load->handle, NULL, __ATOMIC_ACQ_REL);

    return load->pid == getpid() ? handle : NULL; /* in a forked child: it is the parent's, who is still at it */
}

PyObject *make_begun(struct ns *ns, int result, PyObject *value, libcache_load *handle, uint32_t flags)
{
    PyObject *load = handle ? (PyObject *)load_new(ns, handle) : Py_NewRef(Py_None);

    if (!load) {
        Py_XDECREF(value);
        return NULL;
    }
    return Py_BuildValue("(iNNI)", result, value ? value : Py_NewRef(Py_None), load, flags);
}

/*
 * What a begin gave. A value that cannot be decoded is one that is not there: with a load it is ours to load; without, NULL
 * without an exception, and the begin is to be made again with LIBCACHE_REFRESH.
 */
PyObject *begin_result(struct ns *ns, int result, libcache_value *v, libcache_load *handle)
{
    PyObject *value = NULL;

    if (result < 0)
        return raise_code(ns->st, result, "load");
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        value = ns_decode_flagged(ns, v);
        if (!value && PyErr_Occurred()) {
            if (handle)
                abort_behind(ns, handle, 0); /* which knows whether the cache is still open */
            return NULL;
        }
        if (!value && !handle)
            return NULL;
        if (!value)
            result = LIBCACHE_LEAD;
    }
    return make_begun(ns, result, value, handle, value ? v->flags : 0);
}

PyObject *ns_begin(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "key", "wait", "refresh", "soft_ttl" };
    struct ns *ns = (struct ns *)self;
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    PyObject *given[4], *value = NULL;
    int refresh, result, found;
    struct text k;

    if (read_args("begin", args, n, kwnames, names, 4, 1, 2, given) < 0 || text_of(given[0], &k, "key") < 0 ||
        ms_of_unsigned(given[1], &options.wait_ms, "wait") < 0 ||
        ms_of(given[3], &options.soft_ttl_ms, "soft_ttl", 0) < 0 ||
        (refresh = given[2] ? PyObject_IsTrue(given[2]) : 0) < 0 || ns_check(ns) < 0)
        return NULL;
    if (!refresh && !options.soft_ttl_ms && !ns->watched && (found = ns_look(ns, given[0], &k, &value)) != 0)
        return found < 0 ? NULL : make_begun(ns, LIBCACHE_HIT, value, NULL, 0);
    if (given[1] && given[1] != Py_None && !options.wait_ms)
        options.wait_ms = 1; /* 0 would mean the policy's */
    for (int again = 0; again < 2; again++) {
        libcache_load *handle = NULL;
        libcache_value v;
        if (ns_check(ns) < 0) /* a hook may have closed the cache */
            return NULL;
        value_start(&v);
        options.flags = refresh || again ? LIBCACHE_REFRESH : 0;
        WITHOUT_GIL_BEGIN(ns->cache)
        result = libcache_load_begin(&handle, ns->handle, k.data, (size_t)k.size, &v, &options);
        WITHOUT_GIL_END(ns->cache)
        value = begin_result(ns, result, &v, handle);
        value_end(&v);
        if (value || PyErr_Occurred())
            return value;
    }
    PyErr_SetString(ns->st->error[E_DECODE], "what others load for this key cannot be decoded");
    return NULL;
}

/* ---- Load ------------------------------------------------------------------------------------------------------------------ */

static int load_check(struct load *load)
{
    if (ns_check(load->ns) < 0)
        return -1;
    if (__atomic_load_n(&load->handle, __ATOMIC_ACQUIRE) && load->pid == getpid())
        return 0;
    PyErr_SetString(load->ns->st->error[E_INVALID], load->pid == getpid()
                                                        ? "this load has been ended before"
                                                        : "this load is that of the process that forked");
    return -1;
}

int load_read_commit(struct load *load, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, struct encoded *value,
                     struct tags *tags, libcache_set_options *options)
{
    static const char *const names[] = { "value", "ttl", "tags", "negative", "store", "raised" };
    PyObject *given[6];
    int negative, keep, raised;

    if (read_args("commit", args, n, kwnames, names, 6, 1, 3, given) < 0 || load_check(load) < 0 ||
        (negative = given[3] ? PyObject_IsTrue(given[3]) : 0) < 0 ||
        (keep = given[4] ? PyObject_IsTrue(given[4]) : 1) < 0 ||
        (raised = given[5] ? PyObject_IsTrue(given[5]) : 0) < 0 ||
        set_options_of(load->ns, given[1], given[2], tags, options) < 0)
        return -1;
    memset(value, 0, sizeof *value);
    value->data = "";
    if (!negative && keep &&
        (raised ? encode_value(load->ns->st, given[0], value) : ns_encode(load->ns, given[0], value)) < 0) {
        tags_end(tags);
        return -1;
    }
    if (load_check(load) < 0) { /* a hook may have ended it, or closed the cache */
        encoded_end(value);
        tags_end(tags);
        return -1;
    }
    options->user_flags = raised ? FLAG_RAISED : 0;
    options->codec = value->codec;
    options->flags = (negative ? LIBCACHE_NEG : 0) | (keep ? 0 : LIBCACHE_NOT_STORED);
    return 0;
}

/* Whether it was stored; only what the caller did wrong is raised. */
PyObject *commit_result(struct state *st, int result)
{
    if (result == LIBCACHE_EINVAL || result == LIBCACHE_ETAG || result == LIBCACHE_EPOLICY)
        return raise_code(st, result, "commit");
    return PyBool_FromLong(result == LIBCACHE_OK);
}

static PyObject *load_commit(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct load *load = (struct load *)self;
    libcache_set_options options;
    libcache_load *handle;
    struct encoded e;
    struct tags tags;
    int result;

    if (load_read_commit(load, args, n, kwnames, &e, &tags, &options) < 0)
        return NULL;
    handle = take_handle(load);
    WITHOUT_GIL_BEGIN(load->ns->cache)
    result = handle ? libcache_load_commit(handle, e.data, e.size, &options) : LIBCACHE_EINVAL;
    WITHOUT_GIL_END(load->ns->cache)
    encoded_end(&e);
    tags_end(&tags);
    return commit_result(load->ns->st, result);
}

/* What a recheck gave. The load is open on while it is to be loaded; else it has ended. */
PyObject *recheck_result(PyObject *self, int result, libcache_value *v, libcache_load *handle)
{
    struct load *load = (struct load *)self;
    PyObject *value = NULL;
    uint32_t flags = 0;

    if (handle && (result == LIBCACHE_MISS || result < 0))
        __atomic_store_n(&load->handle, handle, __ATOMIC_RELEASE);
    if (result < 0)
        return raise_code(load->ns->st, result, "recheck");
    if (result == LIBCACHE_HIT) {
        value = ns_decode_flagged(load->ns, v);
        if (!value && PyErr_Occurred())
            return NULL;
        if (value)
            flags = v->flags;
        else
            result = LIBCACHE_STALE; /* nothing to be used, and the load is over: the next one who asks loads */
    }
    return Py_BuildValue("(iNI)", result, value ? value : Py_NewRef(Py_None), flags);
}

static PyObject *recheck(PyObject *self)
{
    struct load *load = (struct load *)self;
    libcache_load *handle = take_handle(load);
    libcache_value v;
    PyObject *what;
    int result;

    value_start(&v);
    WITHOUT_GIL_BEGIN(load->ns->cache)
    result = libcache_load_recheck(handle, &v);
    WITHOUT_GIL_END(load->ns->cache)
    what = recheck_result(self, result, &v, handle);
    value_end(&v);
    return what;
}

static PyObject *load_recheck(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    return load_check((struct load *)self) < 0 ? NULL : recheck(self);
}

static PyObject *load_recheck_async(PyObject *self, PyObject *ignored)
{
    struct load *load = (struct load *)self;
    struct ns *ns = load->ns;
    struct request *r;

    (void)ignored;
    if (load_check(load) < 0)
        return NULL;
    if (!ns->remote) /* no Redis: nothing to wait for */
        return done_new(ns->st, recheck(self));
    r = req_new(ns->cache, ns, R_RECHECK, NULL, NULL, 0);
    if (!r)
        return NULL;
    r->extra = Py_NewRef(self);
    r->load = take_handle(load);
    return req_send(ns->cache, r);
}

static int read_failed(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, int *failed)
{
    static const char *const names[] = { "failed" };
    PyObject *given[1];

    if (read_args("abort", args, n, kwnames, names, 1, 0, 1, given) < 0)
        return -1;
    *failed = given[0] ? PyObject_IsTrue(given[0]) : 1;
    return *failed < 0 ? -1 : 0;
}

/* Aborting twice, or after commit, is nothing. */
static PyObject *load_abort(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct load *load = (struct load *)self;
    libcache_load *handle;
    int failed;

    if (read_failed(args, n, kwnames, &failed) < 0 || ns_check(load->ns) < 0)
        return NULL;
    handle = take_handle(load);
    WITHOUT_GIL_BEGIN(load->ns->cache)
    libcache_load_abort(handle, failed ? LIBCACHE_ELOAD : 0);
    WITHOUT_GIL_END(load->ns->cache)
    Py_RETURN_NONE;
}

static void abort_soon(struct load *load, int failed)
{
    libcache_load *handle = take_handle(load);

    if (handle)
        abort_behind(load->ns, handle, failed ? LIBCACHE_ELOAD : 0);
}

PyObject *load_abort_soon(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    int failed;

    if (read_failed(args, n, kwnames, &failed) < 0)
        return NULL;
    abort_soon((struct load *)self, failed);
    Py_RETURN_NONE;
}

PyObject *load_commit_async(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct load *load = (struct load *)self;
    struct ns *ns = load->ns;
    struct request *r;
    libcache_set_options options;
    struct encoded e;
    struct tags tags;

    if (load_read_commit(load, args, n, kwnames, &e, &tags, &options) < 0)
        return NULL;
    if (!ns->remote) { /* no Redis: nothing to wait for */
        libcache_load *handle = take_handle(load);
        int result;
        WITHOUT_GIL_BEGIN(ns->cache)
        result = handle ? libcache_load_commit(handle, e.data, e.size, &options) : LIBCACHE_EINVAL;
        WITHOUT_GIL_END(ns->cache)
        encoded_end(&e);
        tags_end(&tags);
        return done_new(ns->st, commit_result(ns->st, result));
    }
    r = req_new(ns->cache, ns, R_COMMIT, NULL, tags.slices, tags.n);
    tags_end(&tags);
    if (!r) {
        encoded_end(&e);
        return NULL;
    }
    options.tags = r->slices;
    r->options = options;
    req_take_value(r, &e);
    r->load = take_handle(load);
    return req_send(ns->cache, r);
}

static PyObject *load_get_ended(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(!__atomic_load_n(&((struct load *)self)->handle, __ATOMIC_ACQUIRE));
}

static void load_dealloc(PyObject *self)
{
    struct load *load = (struct load *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject *kind, *error, *trace;

    PyErr_Fetch(&kind, &error, &trace);
    abort_soon(load, 0);
    PyErr_Restore(kind, error, trace);
    Py_DECREF((PyObject *)load->ns);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef load_methods[] = {
    { "commit", FASTCALL(load_commit),
      "commit(value, ttl=None, tags=(), *, negative=False, store=True): whether it was stored." },
    { "recheck", load_recheck, METH_NOARGS,
      "recheck(): (result, value, flags) of what Redis has by now, before a refresh." },
    { "recheck_async", load_recheck_async, METH_NOARGS, "recheck, awaitable" },
    { "abort", FASTCALL(load_abort), "abort(failed=True)" },
    { "commit_async", FASTCALL(load_commit_async), "commit, awaitable" },
    { "abort_soon", FASTCALL(load_abort_soon), "abort_soon(failed=True): does not wait." },
    { 0 },
};
static PyGetSetDef load_getset[] = { { "ended", load_get_ended, NULL, NULL, NULL }, { 0 } };
static PyType_Slot load_slots[] = { { Py_tp_dealloc, load_dealloc },
                                    { Py_tp_methods, load_methods },
                                    { Py_tp_getset, load_getset },
                                    { Py_tp_doc, "A load that is yours to end, once." },
                                    { 0, NULL } };
PyType_Spec load_spec = { .name = "libcache.Load",
                          .basicsize = sizeof(struct load),
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                          .slots = load_slots };
