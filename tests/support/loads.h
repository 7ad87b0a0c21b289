/*
 * What the tests of loads share: a source whose loader counts, fails on order and lets something happen while it runs; short words
 * for begin and commit; and threads that ask for a key. SPDX-License-Identifier: MIT
 *
 *     struct source source = { .text = "value" };
 *
 *     ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "value");
 *     ck_assert_uint_eq(source.calls, 1);
 *
 * What a loader hands out is memory of its own, which is freed by `release`: a second release, or none, is noticed by
 * source_done (and by the address sanitizer).
 */
#ifndef TESTS_SUPPORT_LOADS_H
#define TESTS_SUPPORT_LOADS_H
#include "support/support.h"

#include <pthread.h>

/* Waits until the condition holds; fails the test after 20 s. */
#define until(condition)                                                    \
    do {                                                                    \
        uint64_t last_ = real_ms() + 20000;                                 \
        while (!(condition)) {                                              \
            ck_assert_msg(real_ms() < last_, "in vain: %s", #condition);    \
            nap();                                                          \
        }                                                                   \
    } while (0)
void nap(void);

/* ---- Sources ------------------------------------------------------------------------------------------------------- */

struct source {
    const char *text;         /* what it gives, each time a copy */
    int error;                /* not 0: what the loader returns */
    libcache_loaded as;       /* ttl, tags, flags ... of what it gives */
    void (*during)(struct source *source, const libcache_slice *key); /* while a load is under way; may be NULL */
    void *arg;                /* of `during` */
    const char *fails_for;    /* in a batch: a key that fails with -7 */
    unsigned calls, keys;     /* atomic, as are all that follow: of the loader; keys that it was asked for */
    unsigned given, released; /* pieces of memory */
    char asked[400];          /* keys of the last call of a batch, with blanks between: whole once all of them are given */
};

int source_load(void *source, const libcache_slice *key, libcache_loaded *out);
int source_load_many(void *source, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results);

/* Fails the test unless all that was given was released, once. */
void source_done(const struct source *source);

/* ---- Short words ------------------------------------------------------------------------------------------------------ */

/* load_begin; fails the test unless it gives this result. */
libcache_load *begin(libcache_ns *ns, const char *key, unsigned flags, int result);

/* The same, and which value it gives. */
libcache_load *begin_value(libcache_ns *ns, const char *key, unsigned flags, int result, const char *text);

/* load_commit of a string, with defaults, or with one tag. */
int commit(libcache_load *load, const char *text);
int commit_tagged(libcache_load *load, const char *text, const char *tag);

/* load_wait with wait_ms 0; fails the test unless it gives this result. */
void ck_wait(libcache_load **load, int result);

/* get_or_load; fails the test unless it gives this result and, where it is HIT or STALE, this text. */
int fetch(libcache_ns *ns, const char *key, struct source *source, libcache_value *value);
void ck_fetch(libcache_ns *ns, const char *key, struct source *source, int result, const char *text);

/* A namespace with a policy; fails the test when it cannot be opened. */
libcache_ns *space_with(const struct rig *rig, const char *name, const libcache_policy *policy);

/* ---- Threads that ask -------------------------------------------------------------------------------------------------- */

/* Fill in ns, key and source; the rest comes back. */
struct asker {
    libcache_ns *ns;
    const char *key;
    struct source *source;
    unsigned wait_ms;
    int result;
    char text[40];
    pthread_t thread;
};

void asker_start(struct asker *asker);

/* Waits for its end, and fails the test unless it was given this. */
void asker_end(struct asker *asker, int result, const char *text);

/* ---- An executor ------------------------------------------------------------------------------------------------------ */

enum { JOBS_MAX = 8 };

/* Keeps jobs until they are run, by the test or by its threads. */
struct executor {
    pthread_mutex_t lock;
    void (*job[JOBS_MAX])(void *arg);
    void *arg[JOBS_MAX];
    unsigned n, taken, refuses, kept, dropped; /* taken: ever */
    int stop;
    pthread_t thread[2];
};

/* Empties it and makes it the executor of a rig that is to be opened. */
void executor_prepare(struct executor *executor, struct rig *rig);

/* Runs one job. 0: there is none. */
int run_job(struct executor *x);

/* ---- Batches ---------------------------------------------------------------------------------------------------------- */

enum { BATCH_MAX = 40 };

/* A batch of keys, named by one letter each. */
struct batch {
    size_t n;
    char letters[BATCH_MAX];
    libcache_slice keys[BATCH_MAX];
    libcache_value values[BATCH_MAX];
    int results[BATCH_MAX];
    int result;
    libcache_ns *ns;
    struct source *source;
    unsigned wait_ms, flags;
    pthread_t thread;
};

void batch_init(struct batch *batch, libcache_ns *ns, const char *letters, struct source *source);
void batch_free(struct batch *batch);

/* get_or_load_many of the batch, as a thread may run it. */
void *fetch_batch(void *batch);

/* Fails the test unless each key has its result, h(it) s(tale) n(egative) e(load) ?(any other), and hits and stale ones are `text`. Frees. */
void ck_batch(struct batch *batch, int result, const char *results, const char *text);

/*
 * 1: no other of these keys shares a small counter in the segment with `one`, so that what overtakes its load overtakes it alone. Which do
 * is by a random seed: open again where they do. (Deletes `one` on this host.)
 */
int stands_alone(libcache_ns *ns, const char *letters, char one);
int stands_alone_among(libcache_ns *ns, const libcache_slice *others, size_t n, libcache_slice one);

/* All of it. */
void ck_fetch_many(libcache_ns *ns, const char *letters, struct source *source, int result, const char *results, const char *text);

#endif
