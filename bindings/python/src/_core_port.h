/* Where answers come to an event loop. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_PYTHON_PORT_H
#define LIBCACHE_PYTHON_PORT_H
#include "_core.h"
#include "_core_io.h"
#include "_core_key.h"

/* What an answer becomes. */
PyObject *poll_result(struct state *st, int result);
PyObject *lock_result(struct state *st, int result, const libcache_owner *owner);
PyObject *rate_result(struct state *st, int result, const libcache_rate *rate);
PyObject *yes_or_no(struct state *st, int result, const char *what);
PyObject *get_result(struct ns *ns, int result, libcache_value *value, PyObject *fallback);
PyObject *many_result(struct ns *ns, PyObject *into, PyObject *keys, size_t n, libcache_value *values,
                      const int *results, int result);
PyObject *begin_result(struct ns *ns, int result, libcache_value *value, libcache_load *load);
PyObject *recheck_result(PyObject *load, int result, libcache_value *value, libcache_load *handle);
PyObject *commit_result(struct state *st, int result);
int read_rate(PyObject *const *args, Py_ssize_t n, PyObject *kwnames, struct text *name, uint64_t *limit,
              uint64_t *window_ms);

/* A request with copies of the key and of the tags. NULL: raised. owner: ns or cache, kept until it is done. */
struct request *req_new(struct cache *cache, struct ns *ns, enum request_kind kind, const struct text *key,
                        const libcache_slice *tags, size_t n_tags);

/* The request takes what an encoded value holds. */
void req_take_value(struct request *request, struct encoded *e);

/* Sends it; what it gives is awaited. Takes the request in any case. NULL: raised. */
PyObject *req_send(struct cache *cache, struct request *request);

/* Sends it with nobody waiting. Takes the request. */
void req_send_off(struct cache *cache, struct request *request);

void req_free(struct request *request);
void reqs_forget(struct state *st,
                 struct request *list); /* frees what was done for nobody; loads in them are given up */

/* Ends a load without waiting for Redis. */
void abort_behind(struct ns *ns, libcache_load *load, int error);

#endif
