/*
 * Where answers come to an event loop. SPDX-License-Identifier: MIT
 *
 * Each loop has one Port: a descriptor that is registered with add_reader once and left there. When it is readable, all that is done
 * is taken and the futures are resolved, in the loop's own thread. A waiter that was cancelled has a future that is done already:
 * its answer is dropped, and nobody else notices.
 */
#include "_core_port.h"

#include <stddef.h>
#include <stdlib.h>

struct py_port {
    PyObject_HEAD struct state *st;
    struct port *port;
    PyObject *loop; /* weak reference; its callback takes the port out of the table */
    PyObject *id;   /* the loop's address, as in the table */
};

/* ---- Requests ------------------------------------------------------------------------------------------------------------- */

struct request *req_new(struct cache *cache, struct ns *ns, enum request_kind kind, const struct text *key,
                        const libcache_slice *tags, size_t n_tags)
{
    size_t size = (key ? (size_t)key->size : 0) + n_tags * sizeof(libcache_slice);
    struct request *r;
    char *at;

    for (size_t i = 0; i < n_tags; i++)
        size += tags[i].size;
    r = malloc(sizeof *r + size + sizeof(void *));
    if (!r) {
        PyErr_NoMemory();
        return NULL;
    }
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->cache = cache->handle;
    r->ns = ns ? ns->handle : NULL;
    r->options = (libcache_set_options)LIBCACHE_SET_OPTIONS_INIT;
    r->owner_object = Py_NewRef(ns ? (PyObject *)ns : (PyObject *)cache);
    value_start(&r->answer);
    r->slices = (libcache_slice *)(void *)r->memory; /* memory is aligned: see the members before it */
    r->n = n_tags;
    at = r->memory + n_tags * sizeof(libcache_slice);
    for (size_t i = 0; i < n_tags; i++) {
        memcpy(at, tags[i].data, tags[i].size);
        r->slices[i] = (libcache_slice){ at, tags[i].size };
        at += tags[i].size;
    }
    r->options.tags = r->slices;
    r->options.n_tags = n_tags;
    if (key) {
        memcpy(at, key->data, (size_t)key->size);
        r->key = (libcache_slice){ at, (size_t)key->size };
    }
    return r;
}

_Static_assert(offsetof(struct request, memory) % _Alignof(libcache_slice) == 0, "slices lie in memory");

void req_take_value(struct request *r, struct encoded *e)
{
    r->held = e->held;
    r->owned = e->owned;
    if (e->data == e->small) { /* it moves */
        r->owned = malloc(sizeof e->small);
        if (r->owned)
            memcpy(r->owned, e->small, sizeof e->small);
    }
    r->value = (libcache_slice){ e->data == e->small ? r->owned : e->data, e->size };
    r->options.codec = e->codec;
    e->held = NULL;
    e->owned = NULL;
}

void req_free(struct request *r)
{
    value_end(&r->answer);
    if (r->answers)
        for (size_t i = 0; i < r->n; i++)
            value_end(&r->answers[i]);
    if (r->encoded)
        for (size_t i = 0; i < r->n; i++)
            encoded_end(&r->encoded[i]);
    free(r->encoded);
    free(r->many);
    free(r->owned);
    if (r->port)
        port_drop(r->port);
    Py_XDECREF((PyObject *)r->future);
    Py_XDECREF((PyObject *)r->extra);
    Py_XDECREF((PyObject *)r->held);
    Py_XDECREF((PyObject *)r->owner_object);
    free(r);
}

/* What nobody will hear of must not stay taken: a load is given up, a lock freed. The request is used up. */
static void undo(struct request *r)
{
    if (r->load && r->kind != R_ABORT) {
        abort_behind((struct ns *)r->owner_object, r->load, 0);
    } else if (r->kind == R_LOCK_TAKE && r->result == LIBCACHE_OK) {
        struct cache *cache = (struct cache *)r->owner_object;
        struct text name = { r->key.data, (Py_ssize_t)r->key.size };
        struct request *give_back =
            cache->handle && !cache->closing ? req_new(cache, NULL, R_LOCK_FREE, &name, NULL, 0) : NULL;
        if (give_back) {
            give_back->owner = r->owner;
            req_send_off(cache, give_back);
        } else {
            PyErr_Clear();
        }
    }
    req_free(r);
}

void reqs_forget(struct state *st, struct request *list)
{
    (void)st;
    while (list) {
        struct request *next = list->next;
        undo(list);
        list = next;
    }
}

/* ---- What an answer becomes ------------------------------------------------------------------------------------------------- */

static PyObject *nothing_or_raise(struct state *st, int result, const char *what)
{
    if (result < 0)
        return raise_code(st, result, what);
    Py_RETURN_NONE;
}

/* NULL without an exception: to be sent again. */
static PyObject *answer(struct state *st, struct request *r)
{
    struct ns *ns = (struct ns *)r->owner_object;

    switch (r->kind) {
    case R_GET:
        return r->flags & LIBCACHE_TIMES ? make_lookup(ns, r->result, &r->answer)
                                         : get_result(ns, r->result, &r->answer, r->extra);
    case R_GET_MANY: {
        PyObject *pair = r->extra; /* (into, keys) */
        return many_result(ns, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), r->n, r->answers, r->results,
                           r->result < 0 ? r->result : LIBCACHE_OK);
    }
    case R_EXISTS: return r->result == LIBCACHE_NEGATIVE ? Py_NewRef(Py_False) : yes_or_no(st, r->result, "exists");
    case R_TTL_LEFT:
        return r->result == LIBCACHE_OK ? seconds_of(r->left_ms) : nothing_or_raise(st, r->result, "ttl_left");
    case R_SET: return nothing_or_raise(st, r->result, "set");
    case R_SET_MANY: return nothing_or_raise(st, r->result, "set_many");
    case R_ADD: return yes_or_no(st, r->result, "add");
    case R_DELETE: return yes_or_no(st, r->result, "delete");
    case R_DELETE_MANY: return r->result < 0 ? raise_code(st, r->result, "delete_many") : PyLong_FromSize_t(r->count);
    case R_TOUCH: return yes_or_no(st, r->result, "touch");
    case R_INCREMENT: return r->result < 0 ? raise_code(st, r->result, "incr") : PyLong_FromLongLong(r->number);
    case R_CLEAR: return nothing_or_raise(st, r->result, "clear");
    case R_INVALIDATE: return nothing_or_raise(st, r->result, "invalidate");
    case R_CLEAR_ALL: return nothing_or_raise(st, r->result, "clear");
    case R_POLL: return poll_result(st, r->result);
    case R_LOCK_TAKE: return lock_result(st, r->result, &r->owner);
    case R_LOCK_KEEP:
    case R_LOCK_FREE: return yes_or_no(st, r->result, "lock");
    case R_RATE: return rate_result(st, r->result, &r->rate);
    case R_BEGIN: {
        libcache_load *load = r->load;
        r->load = NULL;
        return begin_result(ns, r->result, &r->answer, load);
    }
    case R_RECHECK: {
        libcache_load *load = r->load;
        r->load = NULL;
        return recheck_result(r->extra, r->result, &r->answer, load);
    }
    case R_COMMIT: return commit_result(st, r->result);
    case R_ABORT:
    case R_LOCK_LEAVE: break;
    }
    Py_RETURN_NONE;
}

/* 1: yes, so nobody waits for it. */
static int is_done(struct state *st, PyObject *future)
{
    PyObject *done = PyObject_CallMethodNoArgs(future, st->str_done);
    int result = done ? PyObject_IsTrue(done) : 1;

    Py_XDECREF(done);
    if (PyErr_Occurred())
        PyErr_Clear();
    return result != 0;
}

/* future.set_exception(the exception that is set) */
static PyObject *fail(struct state *st, PyObject *future)
{
    PyObject *type, *error, *trace, *done;

    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    done = PyObject_CallMethodOneArg(future, st->str_set_exception, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return done;
}

static void resolve(struct state *st, struct request *r)
{
    PyObject *value, *done;

    if (!r->future || is_done(st, r->future)) {
        undo(r);
        return;
    }
    value = answer(st, r);
    if (!value && !PyErr_Occurred()) { /* a begin whose value cannot be decoded */
        struct ns *ns = (struct ns *)r->owner_object;
        if (!(r->flags & LIBCACHE_REFRESH) && ns_check(ns) == 0) {
            r->flags |= LIBCACHE_REFRESH;
            value_end(&r->answer);
            io_submit(ns->cache->io, r);
            return;
        }
        if (!PyErr_Occurred())
            PyErr_SetString(st->error[E_DECODE], "what others load for this key cannot be decoded");
    }
    done = value ? PyObject_CallMethodOneArg(r->future, st->str_set_result, value) : fail(st, r->future);
    if (!done) /* neither may end the loop's callback */
        PyErr_WriteUnraisable(r->future);
    Py_XDECREF(done);
    Py_XDECREF(value);
    req_free(r);
}

/* ---- Ports ------------------------------------------------------------------------------------------------------------------------ */

static PyObject *port_drain(PyObject *self, PyObject *ignored)
{
    struct py_port *port = (struct py_port *)self;
    struct request *r = port->port && port_is_mine(port->port) ? port_take(port->port) : NULL;

    (void)ignored;
    while (r) {
        struct request *next = r->next;
        resolve(port->st, r);
        r = next;
    }
    Py_RETURN_NONE;
}

/* The loop is gone, or closed. What comes from now on are orphans. */
static void port_end(struct py_port *port)
{
    struct port *ended = port->port;

    if (!ended)
        return;
    port->port = NULL; /* first: what is let go of here may come here again */
    if (!port_is_mine(ended)) {
        port_leave(ended);
        return;
    }
    port_close(ended);
    reqs_forget(port->st, port_take(ended));
    port_drop(ended);
}

/* The weak reference's callback. */
static PyObject *port_loop_gone(PyObject *self, PyObject *reference)
{
    struct py_port *port = (struct py_port *)self;

    (void)reference;
    if (port->st->ports && PyDict_GetItem(port->st->ports, port->id) == self &&
        PyDict_DelItem(port->st->ports, port->id) < 0)
        PyErr_Clear();
    port_end(port);
    Py_CLEAR(port->loop); /* and with it the circle: port, reference, callback, port */
    Py_RETURN_NONE;
}

static void port_dealloc(PyObject *self)
{
    struct py_port *port = (struct py_port *)self;
    PyTypeObject *type = Py_TYPE(self);

    port_end(port);
    Py_XDECREF(port->loop);
    Py_XDECREF(port->id);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef port_methods[] = { { "drain", port_drain, METH_NOARGS, NULL },
                                      { "_loop_gone", port_loop_gone, METH_O, NULL },
                                      { 0 } };
static PyType_Slot port_slots[] = { { Py_tp_dealloc, port_dealloc }, { Py_tp_methods, port_methods }, { 0, NULL } };
PyType_Spec port_spec = { .name = "libcache._core._Port",
                          .basicsize = sizeof(struct py_port),
                          .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                          .slots = port_slots };

static int import_asyncio(struct state *st)
{
    PyObject *module;

    if (st->reply_type)
        return 0;
    module = PyImport_ImportModule("asyncio");
    if (module)
        Py_XSETREF(st->get_running_loop, PyObject_GetAttrString(module, "get_running_loop"));
    Py_XDECREF(module);
    module = st->get_running_loop ? PyImport_ImportModule("libcache._reply") : NULL;
    if (module)
        Py_XSETREF(st->reply_type, PyObject_GetAttrString(module, "Reply"));
    Py_XDECREF(module);
    return st->reply_type ? 0 : -1;
}

/* Loops that were closed while answers were under way are kept alive by these: let go of them now and then. */
static void end_closed_ports(struct state *st)
{
    PyObject *ports = PyDict_Values(st->ports);

    for (Py_ssize_t i = 0; ports && i < PyList_GET_SIZE(ports); i++) {
        struct py_port *port = (struct py_port *)PyList_GET_ITEM(ports, i);
        /* Each of these may run Python, and with it other threads, which end ports as well. */
        PyObject *reference = Py_XNewRef(port->loop), *loop = reference ? PyObject_CallNoArgs(reference) : NULL;
        PyObject *closed = NULL;
        if (loop && loop != Py_None)
            closed = PyObject_CallMethod(loop, "is_closed", NULL);
        if (closed == Py_True && port->loop) {
            if (PyDict_GetItem(st->ports, port->id) == (PyObject *)port && PyDict_DelItem(st->ports, port->id) < 0)
                PyErr_Clear();
            port_end(port);
            Py_CLEAR(port->loop);
        }
        Py_XDECREF(closed);
        Py_XDECREF(loop);
        Py_XDECREF(reference);
        PyErr_Clear();
    }
    Py_XDECREF(ports);
}

static struct py_port *port_new(struct state *st, PyObject *loop, PyObject *id)
{
    struct py_port *port = PyObject_New(struct py_port, st->port_type);
    PyObject *callback, *drain, *done = NULL;

    if (!port)
        return NULL;
    port->st = st;
    port->loop = NULL;
    port->id = Py_NewRef(id);
    port->port = port_open();
    if (!port->port) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(port);
        return NULL;
    }
    callback = PyObject_GetAttrString((PyObject *)port, "_loop_gone");
    port->loop = callback ? PyWeakref_NewRef(loop, callback) : NULL;
    Py_XDECREF(callback);
    drain = port->loop ? PyObject_GetAttrString((PyObject *)port, "drain") : NULL;
    if (drain)
        done = PyObject_CallMethod(loop, "add_reader", "iO", port_fd(port->port), drain);
    Py_XDECREF(drain);
    if (!done || PyDict_SetItem(st->ports, id, (PyObject *)port) < 0) {
        Py_CLEAR(port->loop);
        Py_CLEAR(port);
    }
    Py_XDECREF(done);
    return port;
}

/* That of the running loop, borrowed; *loop: a new reference. */
static struct py_port *port_here(struct state *st, PyObject **loop)
{
    struct py_port *port = NULL;
    PyObject *id;

    if (import_asyncio(st) < 0)
        return NULL;
    *loop = PyObject_CallNoArgs(st->get_running_loop);
    if (!*loop)
        return NULL;
    id = PyLong_FromVoidPtr(*loop);
    if (id) {
        port = (struct py_port *)PyDict_GetItemWithError(st->ports, id);
        if (!port && !PyErr_Occurred()) {
            end_closed_ports(st);
            port = port_new(st, *loop, id);
            Py_XDECREF(port); /* the table has it */
        }
        Py_DECREF(id);
    }
    if (!port)
        Py_CLEAR(*loop);
    return port;
}

/* ---- Sending ------------------------------------------------------------------------------------------------------------------------ */

static struct io *io_of(struct cache *cache)
{
    struct request *orphans;

    if (cache_check(cache) < 0)
        return NULL;
    if (cache->io && !io_is_mine(cache->io)) {
        io_leave(cache->io);
        cache->io = NULL;
    }
    if (!cache->io && !(cache->io = io_start(cache->handle))) {
        raise_code(cache->st, LIBCACHE_ESYSTEM, "no thread for calls of event loops");
        return NULL;
    }
    orphans = io_orphans(cache->io);
    if (orphans) {
        reqs_forget(cache->st, orphans); /* lets go of objects, in whose finalizers the cache may be closed */
        if (cache_check(cache) < 0)
            return NULL;
    }
    return cache->io;
}

PyObject *req_send(struct cache *cache, struct request *r)
{
    struct state *st = cache->st;
    PyObject *loop = NULL, *future = NULL;
    struct py_port *port = cache_check(cache) < 0 ? NULL : port_here(st, &loop);
    struct io *io;

    if (port) {
        r->port = port->port;
        port_hold(r->port);
        future = PyObject_Vectorcall(st->reply_type, &loop, 0, st->loop_keyword);
        Py_DECREF(loop);
    }
    /* The thread last: all of the above runs Python, in which the cache may be closed, by this thread or another. */
    io = future ? io_of(cache) : NULL;
    if (!io) {
        Py_XDECREF(future);
        undo(r);
        return NULL;
    }
    r->future = Py_NewRef(future);
    io_submit(io, r);
    return future;
}

void req_send_off(struct cache *cache, struct request *r)
{
    struct io *io = io_of(cache);

    if (io) {
        io_submit(io, r);
        return;
    }
    PyErr_Clear();
    req_free(r);
}

void abort_behind(struct ns *ns, libcache_load *load, int error)
{
    struct request *r;

    if (!ns->handle || !ns->cache->handle || ns->cache->closing)
        return; /* the flight ends by its lease */
    if (!ns->remote) {
        libcache_load_abort(load, error);
        return;
    }
    r = req_new(ns->cache, ns, R_ABORT, NULL, NULL, 0);
    if (!r) {
        PyErr_Clear();
        libcache_load_abort(load, error);
        return;
    }
    r->load = load;
    r->error = error;
    req_send_off(ns->cache, r);
}
