/* Cache: statistics, and what lies in memory. SPDX-License-Identifier: MIT */
#include "_core.h"

#include <stddef.h>

/* ---- Statistics -------------------------------------------------------------------------------------------------------------- */

struct figure {
    const char *name;
    size_t at;
    int is_unsigned;
};

/* clang-format off */
#define LONG(name)  { #name, offsetof(STRUCT, name), 0 }
#define SHORT(name) { #name, offsetof(STRUCT, name), 1 }

#define STRUCT libcache_stats
static const struct figure of_handle[] = {
    LONG(hits), LONG(stale), LONG(negatives), LONG(misses), LONG(miss_cold), LONG(miss_expired), LONG(miss_evicted), LONG(miss_invalidated),
    LONG(miss_fenced), LONG(miss_unvouched), LONG(miss_unavailable), LONG(sets), LONG(adds), LONG(deletes), LONG(touches),
    LONG(increments), LONG(set_bytes), LONG(fenced), LONG(loads), LONG(load_errors), LONG(load_timeouts), LONG(load_waits),
    LONG(load_bypasses), LONG(refreshes), LONG(invalidations), LONG(slow), LONG(lock_fallbacks), LONG(entries), LONG(evictions),
    LONG(conflict_evictions), LONG(reclaimed), LONG(ghost_hits), LONG(survivors), LONG(owner_deaths), LONG(resets),
    LONG(memory_bytes), LONG(live_bytes), LONG(index_bytes), LONG(metrics_bytes), LONG(position), SHORT(stripes), SHORT(namespaces),
    LONG(l2_hits), LONG(l2_misses), LONG(l2_invalidated), LONG(l2_foreign), LONG(l2_verified), LONG(l2_errors), LONG(l2_exchanges),
    LONG(l2_connects), LONG(l2_timeouts), LONG(l2_retries), LONG(l2_bytes_out), LONG(l2_bytes_in), LONG(l2_time_us),
    LONG(pool_waits), LONG(pool_refusals), LONG(log_records), SHORT(l2_connections), SHORT(l2_up), SHORT(listening),
    LONG(coherence_age_ms), LONG(log_position), LONG(log_applied), LONG(epochs), LONG(owed_bytes), LONG(breaker_opens),
    SHORT(breaker_open),
};
#undef STRUCT

#define STRUCT libcache_ns_stats
static const struct figure of_segment[] = {
    LONG(hits_l1), LONG(hits_l2), LONG(stale_l1), LONG(stale_l2), LONG(negatives_l1), LONG(negatives_l2), LONG(misses), LONG(miss_cold),
    LONG(miss_expired), LONG(miss_evicted), LONG(miss_invalidated), LONG(miss_fenced), LONG(miss_unvouched), LONG(miss_unavailable),
    LONG(sets), LONG(adds), LONG(deletes), LONG(touches), LONG(increments), LONG(invalidations), LONG(set_bytes), LONG(fenced),
    LONG(loads), LONG(load_errors), LONG(load_timeouts), LONG(load_waits), LONG(load_bypasses), LONG(refreshes), LONG(l2_hits),
    LONG(l2_misses), LONG(l2_invalidated), LONG(l2_foreign), LONG(l2_verified), LONG(l2_errors), LONG(slow), LONG(entries),
    LONG(live_bytes), LONG(evictions), LONG(l2_connects), LONG(l2_timeouts), LONG(l2_retries), LONG(l2_bytes_out), LONG(l2_bytes_in),
    LONG(pool_waits), LONG(pool_refusals),
};
#undef STRUCT
/* clang-format on */

static PyObject *dict_of(const struct figure *figures, size_t n, const void *stats)
{
    PyObject *dict = PyDict_New();

    for (size_t i = 0; dict && i < n; i++) {
        const void *field = (const char *)stats + figures[i].at;
        PyObject *value =
            PyLong_FromUnsignedLongLong(figures[i].is_unsigned ? *(const unsigned *)field : *(const uint64_t *)field);
        if (!value || PyDict_SetItemString(dict, figures[i].name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *dict_of_segment(const libcache_ns_stats *stats)
{
    return dict_of(of_segment, sizeof of_segment / sizeof *of_segment, stats);
}

PyObject *cache_stats(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    int result;

    (void)ignored;
    if (cache_check(cache) < 0)
        return NULL;
    result = libcache_read_stats(cache->handle, &stats);
    return result == LIBCACHE_OK ? dict_of(of_handle, sizeof of_handle / sizeof *of_handle, &stats)
                                 : raise_code(cache->st, result, "stats");
}

PyObject *cache_sum_stats(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
    int result;

    (void)ignored;
    if (cache_check(cache) < 0)
        return NULL;
    result = libcache_sum_stats(cache->handle, &stats);
    return result == LIBCACHE_OK ? dict_of_segment(&stats) : raise_code(cache->st, result, "sum_stats");
}

PyObject *cache_namespace_stats(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
    PyObject *all;
    int result;

    (void)ignored;
    if (cache_check(cache) < 0 || !(all = PyDict_New()))
        return NULL;
    while ((result = libcache_iterate_namespaces(cache->handle, &cursor, &stats)) == LIBCACHE_HIT) {
        PyObject *name = PyUnicode_DecodeUTF8(stats.name, (Py_ssize_t)strlen(stats.name), "replace");
        PyObject *dict = name ? dict_of_segment(&stats) : NULL;
        int failed = !dict || PyDict_SetItem(all, name, dict) < 0;
        Py_XDECREF(dict);
        Py_XDECREF(name);
        if (failed) {
            Py_DECREF(all);
            return NULL;
        }
    }
    if (result == LIBCACHE_MISS)
        return all;
    Py_DECREF(all);
    return raise_code(cache->st, result, "namespace_stats");
}

PyObject *ns_stats(PyObject *self, PyObject *ignored)
{
    struct ns *ns = (struct ns *)self;
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
    int result;

    (void)ignored;
    if (ns_check(ns) < 0)
        return NULL;
    result = libcache_read_ns_stats(ns->handle, &stats);
    return result == LIBCACHE_OK ? dict_of_segment(&stats) : raise_code(ns->st, result, "stats");
}

PyObject *cache_metrics(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    static const char *const names[] = { "json" };
    struct cache *cache = (struct cache *)self;
    libcache_value text = LIBCACHE_VALUE_INIT;
    PyObject *given[1], *string;
    int json, result;

    if (cache_check(cache) < 0 || read_args("metrics", args, n, kwnames, names, 1, 0, 0, given) < 0 ||
        (json = given[0] ? PyObject_IsTrue(given[0]) : 0) < 0)
        return NULL;
    WITHOUT_GIL_BEGIN(cache)
    result = libcache_metrics(cache->handle, &text, json ? LIBCACHE_METRICS_JSON : LIBCACHE_METRICS_OPENMETRICS);
    WITHOUT_GIL_END(cache)
    string = result == LIBCACHE_OK ? PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.size, "replace")
                                   : raise_code(cache->st, result, "metrics");
    libcache_release_value(&text);
    return string;
}

/* ---- Entries ------------------------------------------------------------------------------------------------------------------- */

struct entries {
    PyObject_HEAD struct cache *cache;
    libcache_cursor cursor;
    libcache_entry entry;
    char key[LIBCACHE_KEY_MAX +
             1]; /* the entry's: it needs no memory of the handle, which may be closed before this ends */
};

PyObject *cache_entries(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    struct entries *entries;

    (void)ignored;
    if (cache_check(cache) < 0)
        return NULL;
    entries = PyObject_New(struct entries, cache->st->entries_type);
    if (!entries)
        return NULL;
    entries->cache = (struct cache *)Py_NewRef(self);
    entries->cursor = (libcache_cursor)LIBCACHE_CURSOR_INIT;
    memset(&entries->entry, 0, sizeof entries->entry);
    entries->entry.key.data = entries->key;
    entries->entry.key.capacity = sizeof entries->key;
    return (PyObject *)entries;
}

static void entries_dealloc(PyObject *self)
{
    struct entries *entries = (struct entries *)self;
    PyTypeObject *type = Py_TYPE(self);

    Py_DECREF(entries->cache);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *entries_next(PyObject *self)
{
    struct entries *entries = (struct entries *)self;
    struct cache *cache = entries->cache;
    libcache_entry *e = &entries->entry;
    int result;

    if (cache_check(cache) < 0)
        return NULL;
    result = libcache_iterate(cache->handle, &entries->cursor, e);
    if (result == LIBCACHE_MISS)
        return NULL;
    if (result != LIBCACHE_HIT)
        return raise_code(cache->st, result, "entries");
    return PyObject_CallFunction((PyObject *)cache->st->entry_type, "sy#nNNii", e->ns_name, (const char *)e->key.data,
                                 (Py_ssize_t)e->key.size, (Py_ssize_t)e->value_bytes, seconds_of(e->age_ms),
                                 seconds_of(e->ttl_left_ms), e->codec, e->result);
}

static PyType_Slot entries_slots[] = {
    { Py_tp_dealloc, entries_dealloc }, { Py_tp_iter, PyObject_SelfIter }, { Py_tp_iternext, entries_next }, { 0, NULL }
};
PyType_Spec entries_spec = { .name = "libcache._core._Entries",
                             .basicsize = sizeof(struct entries),
                             .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                             .slots = entries_slots };
