/*
 * The way to Redis for event loops. SPDX-License-Identifier: MIT
 *
 * One thread a cache, started when the first call needs it and in a forked child again. It never touches Python. Calls of event
 * loops are requests in its queue, served in their order; neighbours of a kind (gets of a namespace, sets of one) are served by one
 * round trip, so that what comes while a round trip is under way shares the next. What is done goes to the port that the
 * request came from, whose descriptor its event loop watches.
 */
#ifndef LIBCACHE_PYTHON_IO_H
#define LIBCACHE_PYTHON_IO_H
#include "libcache.h"

#include <pthread.h>

enum request_kind {
    R_GET,      /* one key; value, result. TIMES in flags: with times */
    R_GET_MANY, /* keys[n]; values[n], results[n] */
    R_EXISTS,
    R_TTL_LEFT,
    R_SET,
    R_ADD,
    R_SET_MANY,
    R_DELETE,
    R_DELETE_MANY,
    R_TOUCH,
    R_INCREMENT,
    R_CLEAR,
    R_INVALIDATE,
    R_CLEAR_ALL,
    R_POLL,
    R_LOCK_TAKE,
    R_LOCK_KEEP,
    R_LOCK_FREE,
    R_LOCK_LEAVE, /* whose future is `extra` does not wait any more for a lock */
    R_RATE,
    R_BEGIN,
    R_RECHECK,
    R_COMMIT,
    R_ABORT
};

struct request {
    struct request *next;
    enum request_kind kind;
    libcache *cache;
    libcache_ns *ns;
    struct port *port; /* NULL: nobody waits; holds a reference to it */
    /* what is asked: keys and tags lie in `memory` */
    libcache_slice key;
    libcache_slice value; /* of what `held` or `owned` keep alive */
    libcache_set_options options;
    libcache_slice *slices; /* keys of many, or tags */
    size_t n;
    libcache_item *items; /* SET_MANY */
    uint64_t ms, limit;   /* TTLs (BEGIN: the soft one), windows */
    int64_t delta;
    unsigned wait_ms, flags;
    uint64_t give_up_ns; /* BEGIN, LOCK_TAKE: when waiting ends. LOCK_TAKE: 0, it is not waited for */
    libcache_lock_wait lock_wait;
    libcache_load *load; /* BEGIN: out; COMMIT, ABORT: in; RECHECK: both. NULL when it has ended */
    libcache_owner owner;
    int error; /* ABORT */
    /* what came of it */
    int result;
    libcache_value answer; /* memory: libcache's */
    libcache_value *answers;
    int *results;
    size_t count;
    int64_t number;
    uint64_t left_ms;
    libcache_rate rate;
    /* Python's, not touched here */
    void *future, *owner_object, *extra, *held;
    char *owned;             /* malloc */
    void *many;              /* malloc: slices, items, answers, results */
    struct encoded *encoded; /* SET_MANY: n values */
    char memory[];
};

/* Memory of values that may outlive the cache's handle: malloc's. */
void value_start(libcache_value *value);
void value_end(libcache_value *value);

/* ---- A port: where what is done is put, for one event loop. Counted references; any thread. */

struct port *port_open(void); /* NULL: no descriptor to be had */
void port_hold(struct port *port);
void port_drop(struct port *port);
int port_fd(const struct port *port);
int port_is_mine(const struct port *port);    /* 0: made before a fork, by the parent */
void port_leave(struct port *port);           /* in a forked child: forgets the parent's */
void port_close(struct port *port);           /* its loop is gone: what comes from now on is put with the orphans */
struct request *port_take(struct port *port); /* all that is done, oldest first; the descriptor is read */

/* ---- The thread. */

struct io *io_start(libcache *cache); /* NULL: no thread or memory to be had */
int io_is_mine(const struct io *io);  /* 0: made before a fork, by the parent */
void io_submit(struct io *io, struct request *request);
struct request *io_orphans(struct io *io); /* done, and nobody's any more */
/* Does what is queued, then ends the thread and frees it. Blocks. Gives the last orphans. */
struct request *io_stop(struct io *io);
void io_leave(struct io *io); /* in a forked child: forgets the parent's */

#endif
