/* Keys, or keys and values, of one call. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_PYTHON_MANY_H
#define LIBCACHE_PYTHON_MANY_H
#include "_core.h"

struct keys {
    libcache_slice *slices; /* malloc */
    size_t n;
    PyObject *held; /* tuple: what the slices lie in */
};

int keys_of(PyObject *object, struct keys *out); /* -1: raised */
void keys_end(struct keys *keys);

struct items {
    libcache_item *items;          /* malloc, and so are these */
    libcache_set_options *options; /* one each: the codecs differ */
    struct encoded *values;
    size_t n;
    PyObject *held; /* list of keys */
};

/* A mapping, or an iterable of pairs; `common` says the rest. Both lie at fixed places until items_end. -1: raised. */
int items_of(struct ns *ns, PyObject *object, const libcache_set_options *common, struct items *out);
void items_end(struct items *items);

#endif
