/*
 * Keys of calls: Python objects as bytes that are the same in every process, and different for different objects.
 * SPDX-License-Identifier: MIT
 */
#ifndef LIBCACHE_PYTHON_KEY_H
#define LIBCACHE_PYTHON_KEY_H
#include "_core.h"

/* Bytes that grow; short ones need no allocation. Start with key_start, end with key_end. */
struct key {
    char *data;
    size_t size, capacity;
    char own[512];
};

static inline void key_start(struct key *key)
{
    key->data = key->own;
    key->size = 0;
    key->capacity = sizeof key->own;
}

static inline void key_end(struct key *key)
{
    if (unlikely(key->data != key->own))
        PyMem_Free(key->data);
}

int key_grow(struct key *key, size_t more); /* -1: raised */

/* Room for so many more bytes. -1: raised. */
static inline int key_room(struct key *key, size_t more)
{
    return likely(key->capacity - key->size >= more) ? 0 : key_grow(key, more);
}

int key_put(struct key *key, const void *data, size_t size);
int key_put_tagged(struct key *key, char tag, const void *data, size_t size); /* tag, length, colon, bytes */
int key_put_number(struct key *key, long long number);                        /* decimal digits */

/*
 * How to see through objects that are no builtin type. `known` maps a type to its rule: None (the object is left out), or
 * (name, function): function(object) gives simpler objects that stand for it, or with function None the name alone does; an empty
 * name is not written. rule(type) gives the rule of a type that is not known, or raises.
 */
struct key_rules {
    PyObject *known; /* dict */
    PyObject *rule;  /* callable */
};

/* The rule of a type, borrowed from rules->known or (*made is set) a new reference. NULL: raised. */
PyObject *key_rule_of(const struct key_rules *rules, PyTypeObject *type, PyObject **made);

/* Writes an object. -1: raised. */
int key_encode(struct key *key, PyObject *object, const struct key_rules *rules, int depth);

#define KEY_DEPTH 60

/* ---- Calls (_core_plan.c) -------------------------------------------------------------------------------------------- */

struct plan;

enum key_result { KEY_OK = 0, KEY_RAISED = -1, KEY_UNBOUND = 1 /* the function does not take such arguments */ };

/* The key of a call. n: number of positional arguments. lenient: what is left out of the key need not be given. */
enum key_result plan_key(struct plan *plan, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, int lenient,
                         struct key *key);

extern PyType_Spec plan_spec, cached_spec;

/* The awaitable that is over at once (_core_done.c). Steals value; NULL: raised, or value was NULL. */
PyObject *done_new(struct state *st, PyObject *value);

#endif
