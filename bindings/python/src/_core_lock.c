/* Cache: locks and rates. SPDX-License-Identifier: MIT */
#include "_core_port.h"

#include <time.h>

/* ---- Locks and rates --------------------------------------------------------------------------------------------------------- */

#define SLICE_MS 200 /* after so long, whoever waits looks whether a signal has come: its handler runs in Python */

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

PyObject *cache_lock_take(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "ttl", "wait", "owner" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[4];
    struct text name;
    libcache_owner owner;
    uint64_t ttl_ms = 0, until, now;
    unsigned wait_ms = 0;
    int result;

    if (cache_check(cache) < 0 || read_args("lock_take", args, n, kwnames, names, 4, 2, 4, value) < 0 ||
        text_of(value[0], &name, "lock's name") < 0 || ms_of(value[1], &ttl_ms, "ttl", 0) < 0 ||
        ms_of_unsigned(value[2], &wait_ms, "wait") < 0 || owner_of(value[3], &owner) < 0)
        return NULL;
    until = now_ms() + wait_ms;
    for (;;) {
        if (cache_check(cache) < 0) /* what gave the arguments, or a signal's handler, may have closed it */
            return NULL;
        WITHOUT_GIL_BEGIN(cache)
        result = libcache_lock_take(cache->handle, name.data, (size_t)name.size, &owner, ttl_ms,
                                    wait_ms < SLICE_MS ? wait_ms : SLICE_MS);
        WITHOUT_GIL_END(cache)
        if (result != LIBCACHE_EXISTS || wait_ms <= SLICE_MS)
            return lock_result(cache->st, result, &owner);
        if (PyErr_CheckSignals() < 0)
            return NULL;
        now = now_ms();
        wait_ms = now < until ? (unsigned)(until - now) : 0;
    }
}

PyObject *lock_result(struct state *st, int result, const libcache_owner *owner)
{
    if (result == LIBCACHE_EXISTS)
        Py_RETURN_NONE;
    return result == LIBCACHE_OK ? PyUnicode_FromString(owner->text) : raise_code(st, result, "lock");
}

/* True: OK. False: ELOST or MISS. */
PyObject *yes_or_no(struct state *st, int result, const char *what)
{
    if (result == LIBCACHE_OK || result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE)
        Py_RETURN_TRUE;
    if (result == LIBCACHE_ELOST || result == LIBCACHE_MISS || result == LIBCACHE_EXISTS || result == LIBCACHE_FENCED)
        Py_RETURN_FALSE;
    return raise_code(st, result, what);
}

PyObject *cache_lock_keep(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "owner", "ttl" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[3];
    struct text name;
    libcache_owner owner;
    uint64_t ttl_ms = 0;
    int result;

    if (cache_check(cache) < 0 || read_args("lock_keep", args, n, kwnames, names, 3, 3, 3, value) < 0 ||
        text_of(value[0], &name, "lock's name") < 0 || owner_of(value[1], &owner) < 0 ||
        ms_of(value[2], &ttl_ms, "ttl", 0) < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_lock_keep(cache->handle, name.data, (size_t)name.size, &owner, ttl_ms);
    WITHOUT_GIL_END(cache)
    return yes_or_no(cache->st, result, "lock");
}

PyObject *cache_lock_free(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "name", "owner" };
    struct cache *cache = (struct cache *)self;
    PyObject *value[2];
    struct text name;
    libcache_owner owner;
    int result;

    if (cache_check(cache) < 0 || read_args("lock_free", args, n, kwnames, names, 2, 2, 2, value) < 0 ||
        text_of(value[0], &name, "lock's name") < 0 || owner_of(value[1], &owner) < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_lock_free(cache->handle, name.data, (size_t)name.size, &owner);
    WITHOUT_GIL_END(cache)
    return yes_or_no(cache->st, result, "lock");
}

PyObject *cache_lock_break(PyObject *self, PyObject *object)
{
    struct cache *cache = (struct cache *)self;
    struct text name;
    int result;

    if (cache_check(cache) < 0 || text_of(object, &name, "lock's name") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_lock_break(cache->handle, name.data, (size_t)name.size);
    WITHOUT_GIL_END(cache)
    return yes_or_no(cache->st, result, "lock");
}

PyObject *cache_lock_owner(PyObject *self, PyObject *object)
{
    struct cache *cache = (struct cache *)self;
    struct text name;
    libcache_owner owner;
    uint64_t left_ms = 0;
    int result;

    if (cache_check(cache) < 0 || text_of(object, &name, "lock's name") < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_lock_owner(cache->handle, name.data, (size_t)name.size, &owner, &left_ms);
    WITHOUT_GIL_END(cache)
    if (result == LIBCACHE_MISS)
        Py_RETURN_NONE;
    return result == LIBCACHE_OK ? Py_BuildValue("(sN)", owner.text, seconds_of(left_ms))
                                 : raise_code(cache->st, result, "lock");
}

int read_rate(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, struct text *name, uint64_t *limit,
              uint64_t *window_ms)
{
    static const char *const names[] = { "name", "limit", "window" };
    PyObject *value[3];
    int64_t number = 0;

    if (read_args("rate_hit", args, n, kwnames, names, 3, 3, 3, value) < 0 ||
        text_of(value[0], name, "rate's name") < 0 || int64_of(value[1], &number, "limit") < 0 ||
        ms_of(value[2], window_ms, "window", 0) < 0)
        return -1;
    if (number < 0 || value[2] == Py_None) {
        PyErr_SetString(PyExc_ValueError,
                        number < 0 ? "limit must not be negative" : "window must be seconds, not None");
        return -1;
    }
    *limit = (uint64_t)number;
    return 0;
}

PyObject *rate_result(struct state *st, int result, const libcache_rate *rate)
{
    if (result != LIBCACHE_OK && result != LIBCACHE_LIMITED)
        return raise_code(st, result, "rate");
    return PyObject_CallFunction((PyObject *)st->rate_type, "NKKN", PyBool_FromLong(result == LIBCACHE_OK),
                                 (unsigned long long)rate->hits, (unsigned long long)rate->remaining,
                                 seconds_of(rate->reset_ms));
}

PyObject *cache_rate_hit(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    struct cache *cache = (struct cache *)self;
    struct text name;
    uint64_t limit, window_ms = 0;
    libcache_rate rate = { 0 };
    int result;

    if (cache_check(cache) < 0 || read_rate(args, n, kwnames, &name, &limit, &window_ms) < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_rate_hit(cache->handle, name.data, (size_t)name.size, limit, window_ms, &rate);
    WITHOUT_GIL_END(cache)
    return rate_result(cache->st, result, &rate);
}
