/*
 * The C module libcache._core: how its files know each other. SPDX-License-Identifier: MIT
 *
 *      _core.c           the module: constants, errors, TestClock
 *      _core_args.c      arguments: keys, tags, times, keywords
 *      _core_encode.c    Python objects to bytes           (docs/values.md)
 *      _core_decode.c    bytes, believed by nobody, to Python objects
 *      _core_cache.c     Cache; _core_lock.c: locks and rates; _core_stats.c: statistics, entries
 *      _core_ns.c        Namespace: opening; _core_value.c: its values; _core_look.c: what L1 has at hand; _core_get.c: reading;
 *                        _core_write.c: writing; _core_load.c: loads
 *      _core_io.c        the thread that talks to Redis for event loops; _core_answers.c: where it puts what is done. They know nothing
 *                        of Python
 *      _core_port.c      where its answers come to an event loop
 *      _core_aio.c       AsyncNamespace, and what of Cache and Load can be awaited
 *      _core_done.c      what can be awaited and is over at once
 *      _core_key.c       keys of calls; _core_plan.c: of one function's; _core_cached.c: decorated functions
 *
 * With the GIL held a call looks in L1, which does not block. All that may wait for Redis or for a lock is done without it.
 */
#ifndef LIBCACHE_PYTHON_CORE_H
#define LIBCACHE_PYTHON_CORE_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "libcache.h"

#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct io;

/* ---- The module ----------------------------------------------------------------------------------------------------- */

#define KEY_CACHE 1024 /* short texts that were decoded lately, as keys of maps: the same object each time */

enum error_class {
    E_BASE,
    E_INVALID,
    E_TOO_BIG,
    E_NUMBER,
    E_BUSY,
    E_REDIS,
    E_LOAD,
    E_LOST,
    E_CLOSED,
    E_ENCODE,
    E_DECODE,
    E_CLASSES
};

struct state {
    PyTypeObject *cache_type, *ns_type, *aio_type, *load_type, *done_type, *port_type, *clock_type, *entries_type,
        *plan_type, *cached_type;
    PyTypeObject *lookup_type, *rate_type, *entry_type;
    PyObject *missing;
    PyObject *error[E_CLASSES];
    PyObject *str_code, *str_done, *str_set_result, *str_set_exception;
    PyObject *loop_keyword; /* ("loop",) */
    /* what the typed codec knows beyond the builtin types; imported when first met */
    PyObject *decimal, *uuid;
    PyObject *empty_tuple;
    /* event loops */
    PyObject *get_running_loop; /* NULL until asyncio is needed */
    PyObject *reply_type;       /* libcache._reply.Reply */
    PyObject *ports;            /* address of a loop -> Port */
#ifndef Py_GIL_DISABLED
    PyObject *key_cache[KEY_CACHE];
#endif
};

extern struct PyModuleDef core_module;

/* Of a type of this module or a subclass of one. Never NULL for these. */
struct state *state_of_type(PyTypeObject *type);

static inline struct state *state_of_module(PyObject *module)
{
    return (struct state *)PyModule_GetState(module);
}

/* Raises what the code means; returns NULL. what: "set", "key"...; detail may be NULL. */
PyObject *raise_code(struct state *st, int code, const char *detail);

/* ---- Arguments ---------------------------------------------------------------------------------------------------------- */

struct text {
    const char *data;
    Py_ssize_t size;
};

/* str or bytes. The bytes live as long as the object. -1: raised. what: "key", "tag". */
int text_of(PyObject *object, struct text *out, const char *what);

/* Seconds to ms; *ms untouched for NULL and None. forever: whether math.inf is allowed (LIBCACHE_FOREVER). -1: raised. */
int ms_of(PyObject *object, uint64_t *ms, const char *what, int forever);
int ms_of_unsigned(PyObject *object, unsigned *ms, const char *what); /* zero allowed */

PyObject *seconds_of(uint64_t ms); /* math.inf for LIBCACHE_FOREVER */

struct tags {
    libcache_slice slices[LIBCACHE_TAGS_MAX];
    size_t n;
    PyObject *held; /* what the slices lie in */
};

/* NULL and None: none. -1: raised. */
int tags_of(struct state *st, PyObject *object, struct tags *out);
static inline void tags_end(struct tags *tags)
{
    Py_CLEAR(tags->held);
}

/*
 * The arguments of a METH_FASTCALL | METH_KEYWORDS method: values[i] for names[i], NULL where not given. The first `required`
 * must be there; only the first `positional` may be given by position. -1: raised.
 */
int read_args(const char *function, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, const char *const *names,
              int count, int required, int positional, PyObject **values);

int int64_of(PyObject *object, int64_t *out, const char *what);

int args_start(void);

/* ---- Values ---------------------------------------------------------------------------------------------------------------- */

enum codec { CODEC_BYTES = 0, CODEC_TEXT = 1, CODEC_INT = 2, CODEC_MSGPACK = 3, CODEC_JSON = 4 };

/* A value as bytes. Start from zero, end with encoded_end. */
struct encoded {
    const char *data;
    size_t size;
    uint8_t codec;
    PyObject *held; /* NULL, or what data lies in: str or bytes, which do not change */
    char *owned;    /* NULL, or data's own memory (malloc) */
    char small[24]; /* numbers */
};

/* -1: raised (EncodeError). */
int encode_value(struct state *st, PyObject *value, struct encoded *out);
int encode_packed(struct state *st, PyObject *value, struct encoded *out); /* MessagePack whatever it is */
void encoded_end(struct encoded *e);

/* The value; NULL: raised (DecodeError, MemoryError). */
PyObject *decode_value(struct state *st, const void *data, size_t size, uint8_t codec);
PyObject *decode_packed(struct state *st, const void *data, size_t size);

int encode_start(void);
int decode_start(void);
int import_lazy(struct state *st); /* Decimal, UUID */

/* MessagePack extension types: docs/values.md */
enum extension {
    EXT_TIMESTAMP = -1,
    EXT_TUPLE = 1,
    EXT_SET = 2,
    EXT_FROZENSET = 3,
    EXT_DATETIME = 4,
    EXT_DATE = 5,
    EXT_TIME = 6,
    EXT_DECIMAL = 7,
    EXT_UUID = 8,
    EXT_BIGINT = 9,
    EXT_TIMEDELTA = 11
};

#define DEPTH_MAX 100 /* nested containers */

/* ---- Objects --------------------------------------------------------------------------------------------------------------- */

struct clock {
    PyObject_HEAD uint64_t now_ms; /* atomic: read by any thread */
};

struct cache {
    PyObject_HEAD struct state *st;
    libcache *handle; /* NULL: closed, or never opened */
    struct clock *clock;
    struct io *io;      /* NULL until an event loop needs Redis; replaced in a forked child */
    unsigned long busy; /* calls under way without the GIL; atomic */
    int closing, has_redis, listens, is_private;
    PyObject *weakrefs;
};

struct ns {
    PyObject_HEAD struct state *st;
    struct cache *cache;
    libcache_ns *handle;
    PyObject *name;
    PyObject *encode, *decode, *to_plain, *from_plain; /* NULL: none */
    PyObject *memo;                                    /* dict: key -> (version, value); NULL: none */
    Py_ssize_t memo_max;
    unsigned long decode_errors;
    int remote;  /* has the Redis tier */
    int watched; /* hits may be stale or early: loads look closely */
    PyObject *weakrefs;
};

struct aio {
    PyObject_HEAD struct state *st;
    struct ns *ns;
};

struct load {
    PyObject_HEAD struct ns *ns;
    libcache_load *handle; /* NULL: ended; taken by atomic exchange */
    pid_t pid;             /* whose it is: a forked child has a copy, which it must not end */
};

/* Around what may wait: the handle stays open meanwhile, and the GIL is given away. */
#define WITHOUT_GIL_BEGIN(cache)                             \
    __atomic_fetch_add(&(cache)->busy, 1, __ATOMIC_ACQ_REL); \
    Py_BEGIN_ALLOW_THREADS
#define WITHOUT_GIL_END(cache) Py_END_ALLOW_THREADS cache_left(cache);

void cache_left(struct cache *cache); /* one call fewer; the last one after close() closes the handle */
int cache_check(struct cache *cache); /* -1: raised, it is closed */
int ns_check(struct ns *ns);

/* A value of this namespace, hooks included. NULL: raised. */
PyObject *ns_decode(struct ns *ns, const void *data, size_t size, uint8_t codec);
PyObject *ns_decode_bytes(struct ns *ns, PyObject *bytes, uint8_t codec); /* by the decode hook, which there must be */
int ns_encode(struct ns *ns, PyObject *value, struct encoded *out);
int is_of_decoding(
    void); /* the exception that is set says that bytes are no value: a codec's, but for what says nothing of them */

/*
 * A user flag: the entry is an exception that a decorated function raised, [name, arguments] in the typed codec whatever the namespace's
 * is. Only begin gives it out; for all others it is a miss.
 */
#define FLAG_RAISED 1u

/* As ns_decode_or_miss, of such an entry too. */
PyObject *ns_decode_flagged(struct ns *ns, const libcache_value *v);

/* As ns_decode, but what cannot be decoded is counted and gives NULL without an exception: a miss (G6). NULL with an exception: raised. */
PyObject *ns_decode_or_miss(struct ns *ns, const void *data, size_t size, uint8_t codec);

/* What L1 has at hand, decoded: 1 (*value is set), 0 (not at hand), -1 (raised). key: NULL, or the object that k is of. */
int ns_look(struct ns *ns, PyObject *key, const struct text *k, PyObject **value);
/* Those of the keys that L1 has at hand go into the dict, the others into a new list. */
int ns_look_many(struct ns *ns, PyObject *keys, PyObject *into, PyObject **missing);

PyObject *make_lookup(struct ns *ns, int result, const libcache_value *value);
PyObject *make_begun(struct ns *ns, int result, PyObject *decoded, libcache_load *load,
                     uint32_t flags); /* steals both */

/* ttl and tags of a set: reads ttl, tags; fills options, which refer to tags. */
int set_options_of(struct ns *ns, PyObject *ttl, PyObject *tags_object, struct tags *tags, libcache_set_options *out);

extern PyType_Spec cache_spec, ns_spec, aio_spec, load_spec, done_spec, port_spec, clock_spec, entries_spec;

/* Methods that are put together from several files. */
PyObject *ns_get(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *ns_lookup(PyObject *, PyObject *);
PyObject *ns_get_many(PyObject *, PyObject *);
PyObject *ns_exists(PyObject *, PyObject *);
PyObject *ns_ttl_left(PyObject *, PyObject *);
PyObject *ns_subscript(PyObject *, PyObject *);
int ns_contains(PyObject *, PyObject *);
PyObject *cache_stats(PyObject *, PyObject *);
PyObject *cache_sum_stats(PyObject *, PyObject *);
PyObject *cache_namespace_stats(PyObject *, PyObject *);
PyObject *cache_metrics(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_stats(PyObject *, PyObject *);
PyObject *cache_entries(PyObject *, PyObject *);
PyObject *cache_lock_take(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_keep(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_free(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_break(PyObject *, PyObject *);
PyObject *cache_lock_owner(PyObject *, PyObject *);
PyObject *cache_rate_hit(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_set(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_set_negative(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_add(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_set_many(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_delete(PyObject *, PyObject *);
PyObject *ns_delete_many(PyObject *, PyObject *);
PyObject *ns_touch(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_incr(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_decr(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *ns_clear(PyObject *, PyObject *);
PyObject *ns_begin(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
int ns_assign(PyObject *, PyObject *, PyObject *);
PyObject *load_commit_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *load_abort_soon(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
int load_read_commit(struct load *load, PyObject *const *args, Py_ssize_t n, PyObject *kwnames, struct encoded *value,
                     struct tags *tags, libcache_set_options *options);
PyObject *cache_invalidate_async(PyObject *, PyObject *const *, Py_ssize_t);
PyObject *cache_clear_async(PyObject *, PyObject *);
PyObject *cache_poll_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_take_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_leave(PyObject *, PyObject *);
PyObject *cache_lock_keep_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_lock_free_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *cache_rate_hit_async(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

int owner_of(PyObject *object, libcache_owner *owner); /* None: empty. -1: raised */

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

#endif
