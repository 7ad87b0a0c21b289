/* Cache: statistics, and what lies in memory. SPDX-License-Identifier: MIT */
#include "_core.h"

#include <stddef.h>

/* ---- Statistics -------------------------------------------------------------------------------------------------------------- */

static const struct figure {
    const char *name;
    size_t at;
    int is_unsigned;
} figures[] = {
#define LONG(name)                               \
    {                                            \
#name, offsetof(libcache_stats, name), 0 \
    }
#define SHORT(name)                              \
    {                                            \
#name, offsetof(libcache_stats, name), 1 \
    }
    LONG(hits),          LONG(stale),          LONG(negatives),        LONG(misses),         LONG(sets),
    LONG(adds),          LONG(deletes),        LONG(touches),          LONG(increments),     LONG(fenced),
    LONG(loads),         LONG(load_errors),    LONG(load_waits),       LONG(load_bypasses),  LONG(refreshes),
    LONG(invalidations), LONG(lock_fallbacks), LONG(entries),          LONG(evictions),      LONG(conflict_evictions),
    LONG(reclaimed),     LONG(ghost_hits),     LONG(survivors),        LONG(owner_deaths),   LONG(resets),
    LONG(memory_bytes),  LONG(live_bytes),     LONG(index_bytes),      LONG(position),       SHORT(stripes),
    SHORT(namespaces),   LONG(l2_hits),        LONG(l2_misses),        LONG(l2_invalidated), LONG(l2_foreign),
    LONG(l2_verified),   LONG(l2_errors),      LONG(l2_exchanges),     LONG(l2_connects),    LONG(l2_timeouts),
    LONG(l2_retries),    LONG(l2_bytes_out),   LONG(l2_bytes_in),      LONG(log_records),    SHORT(l2_connections),
    SHORT(l2_up),        SHORT(listening),     LONG(coherence_age_ms), LONG(log_position),   LONG(log_applied),
    LONG(epochs),        LONG(owed_bytes),     LONG(breaker_opens),
};

PyObject *cache_stats(PyObject *self, PyObject *ignored)
{
    struct cache *cache = (struct cache *)self;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    PyObject *dict;
    int result;

    (void)ignored;
    if (cache_check(cache) < 0)
        return NULL;
    result = libcache_read_stats(cache->handle, &stats);
    if (result != LIBCACHE_OK)
        return raise_code(cache->st, result, "stats");
    dict = PyDict_New();
    for (size_t i = 0; dict && i < sizeof figures / sizeof *figures; i++) {
        const void *field = (const char *)&stats + figures[i].at;
        PyObject *value =
            PyLong_FromUnsignedLongLong(figures[i].is_unsigned ? *(const unsigned *)field : *(const uint64_t *)field);
        if (!value || PyDict_SetItemString(dict, figures[i].name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
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
