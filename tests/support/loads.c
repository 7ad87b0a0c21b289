/* SPDX-License-Identifier: MIT */
#include "loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ADD(word) __atomic_add_fetch(&(word), 1, __ATOMIC_ACQ_REL)

void nap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

/* ---- Sources --------------------------------------------------------------------------------------------------------- */

static void give_back(void *arg, void *data)
{
    struct source *source = arg;

    ADD(source->released);
    free(data);
}

static void give(struct source *source, libcache_loaded *out)
{
    size_t size = strlen(source->text);

    *out = source->as;
    out->data = memcpy(malloc(size + 1), source->text, size + 1);
    out->size = size;
    out->release = give_back;
    ADD(source->given);
}

int source_load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    struct source *source = arg;

    ADD(source->calls);
    ADD(source->keys);
    if (source->text)
        give(source, out);
    if (source->during)
        source->during(source, key);
    return source->error;
}

int source_load_many(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* several threads may be here */
    struct source *source = arg;
    char asked[sizeof source->asked] = "";
    size_t at = 0;

    ADD(source->calls);
    for (size_t i = 0; i < n; i++) {
        ADD(source->keys);
        if (at + keys[i].size + 2 < sizeof asked)
            at += (size_t)snprintf(asked + at, sizeof asked - at, "%s%.*s", i ? " " : "", (int)keys[i].size,
                                   (const char *)keys[i].data);
    }
    pthread_mutex_lock(&lock);
    memcpy(source->asked, asked, sizeof asked);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++) {
        if (source->text)
            give(source, &out[i]);
        if (source->fails_for && keys[i].size == strlen(source->fails_for) &&
            memcmp(keys[i].data, source->fails_for, keys[i].size) == 0)
            results[i] = -7;
    }
    if (source->during)
        source->during(source, keys);
    return source->error;
}

void source_done(const struct source *source)
{
    unsigned given = __atomic_load_n(&source->given, __ATOMIC_ACQUIRE);
    unsigned released = __atomic_load_n(&source->released, __ATOMIC_ACQUIRE);

    ck_assert_msg(given == released, "%u pieces of memory were given, %u released", given, released);
}

/* ---- Short words -------------------------------------------------------------------------------------------------------- */

static void ck_text(const libcache_value *value, const char *what, const char *wanted)
{
    ck_assert_msg(value->size == strlen(wanted) && (!value->size || memcmp(value->data, wanted, value->size) == 0),
                  "\"%s\" is \"%.*s\", not \"%s\"", what, (int)value->size, (const char *)value->data, wanted);
}

libcache_load *begin_value(libcache_ns *ns, const char *key, unsigned flags, int wanted, const char *text)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;
    int result;

    options.flags = flags;
    result = libcache_load_begin(&load, ns, key, strlen(key), &value, &options);
    ck_assert_msg(result == wanted, "load_begin of \"%s\" gives %s, not %s", key, result_name(result), result_name(wanted));
    if (text)
        ck_text(&value, key, text);
    libcache_release_value(&value);
    return load;
}

libcache_load *begin(libcache_ns *ns, const char *key, unsigned flags, int wanted)
{
    return begin_value(ns, key, flags, wanted, NULL);
}

int commit(libcache_load *load, const char *text)
{
    return libcache_load_commit(load, text, strlen(text), NULL);
}

int commit_tagged(libcache_load *load, const char *text, const char *tag)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[1] = { slice_of(tag) };

    options.tags = tags;
    options.n_tags = 1;
    return libcache_load_commit(load, text, strlen(text), &options);
}

void ck_wait(libcache_load **load, int wanted)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    ck_result(libcache_load_wait(load, &value, 0), wanted);
    libcache_release_value(&value);
}

int fetch(libcache_ns *ns, const char *key, struct source *source, libcache_value *value)
{
    return libcache_get_or_load(ns, key, strlen(key), value, source_load, source, NULL);
}

void ck_fetch(libcache_ns *ns, const char *key, struct source *source, int wanted, const char *text)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = fetch(ns, key, source, &value);

    ck_assert_msg(result == wanted, "get_or_load of \"%s\" gives %s, not %s", key, result_name(result), result_name(wanted));
    if (text && (result == LIBCACHE_HIT || result == LIBCACHE_STALE))
        ck_text(&value, key, text);
    libcache_release_value(&value);
}

libcache_ns *space_with(const struct rig *rig, const char *name, const libcache_policy *policy)
{
    libcache_error error = { 0 };
    libcache_ns *ns = NULL;
    int result = libcache_open_namespace(&ns, rig->cache, name, policy, &error);

    ck_assert_msg(result == LIBCACHE_OK, "namespace %s: %s: %s", name, result_name(result), error.text);
    return ns;
}

/* ---- Threads that ask ----------------------------------------------------------------------------------------------------- */

static void *ask(void *arg)
{
    struct asker *asker = arg;
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;

    options.wait_ms = asker->wait_ms;
    asker->result = libcache_get_or_load(asker->ns, asker->key, strlen(asker->key), &value, source_load, asker->source, &options);
    snprintf(asker->text, sizeof asker->text, "%.*s", (int)value.size, value.size ? (const char *)value.data : "");
    libcache_release_value(&value);
    return NULL;
}

void asker_start(struct asker *asker)
{
    ck_assert_int_eq(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

void asker_end(struct asker *asker, int result, const char *text)
{
    pthread_join(asker->thread, NULL);
    ck_assert_msg(asker->result == result, "an asker got %s, not %s", result_name(asker->result), result_name(result));
    if (text)
        ck_assert_str_eq(asker->text, text);
}

/* ---- An executor ------------------------------------------------------------------------------------------------------------ */

static int take_job(void *executor, void (*job)(void *), void *arg)
{
    struct executor *x = executor;
    int refused;

    pthread_mutex_lock(&x->lock);
    refused = x->refuses || x->n == JOBS_MAX;
    if (!refused) {
        x->job[x->n] = job;
        x->arg[x->n++] = arg;
        x->taken++;
    }
    pthread_mutex_unlock(&x->lock);
    return refused;
}

void executor_prepare(struct executor *executor, struct rig *rig)
{
    memset(executor, 0, sizeof *executor);
    pthread_mutex_init(&executor->lock, NULL);
    rig->options.execute = take_job;
    rig->options.execute_arg = executor;
}

int run_job(struct executor *x)
{
    void (*job)(void *) = NULL;
    void *arg = NULL;

    pthread_mutex_lock(&x->lock);
    if (x->n) {
        job = x->job[--x->n];
        arg = x->arg[x->n];
    }
    pthread_mutex_unlock(&x->lock);
    if (job)
        job(arg);
    return job != NULL;
}

/* ---- Batches --------------------------------------------------------------------------------------------------------------- */

void *fetch_batch(void *arg)
{
    struct batch *b = arg;
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;

    options.wait_ms = b->wait_ms;
    options.flags = b->flags;
    b->result = libcache_get_or_load_many(b->ns, b->keys, b->n, b->values, b->results, source_load_many, b->source, &options);
    return NULL;
}

void batch_init(struct batch *b, libcache_ns *ns, const char *letters, struct source *source)
{
    memset(b, 0, sizeof *b);
    b->n = strlen(letters);
    memcpy(b->letters, letters, b->n);
    for (size_t i = 0; i < b->n; i++)
        b->keys[i] = (libcache_slice){ &b->letters[i], 1 };
    b->ns = ns;
    b->source = source;
}

void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        libcache_release_value(&b->values[i]);
}

void ck_batch(struct batch *b, int result, const char *results, const char *text)
{
    ck_result(b->result, result);
    for (size_t i = 0; i < b->n; i++) {
        int r = b->results[i];
        char is = r == LIBCACHE_HIT ? 'h' : r == LIBCACHE_STALE ? 's' : r == LIBCACHE_NEGATIVE ? 'n' : r == LIBCACHE_ELOAD ? 'e' : '?';
        ck_assert_msg(is == results[i], "key %c: %s", b->letters[i], result_name(r));
        if (is == 'h' || is == 's')
            ck_assert_msg(b->values[i].size == strlen(text) && memcmp(b->values[i].data, text, strlen(text)) == 0,
                          "key %c is \"%.*s\"", b->letters[i], (int)b->values[i].size, (char *)b->values[i].data);
    }
    batch_free(b);
}

int stands_alone_among(libcache_ns *ns, const libcache_slice *others, size_t n, libcache_slice one)
{
    for (size_t i = 0; i < n; i++) {
        libcache_stamp before, after;
        if (!others[i].size || (others[i].size == one.size && memcmp(others[i].data, one.data, one.size) == 0))
            continue;
        ck_result(libcache_take_stamp(ns, others[i].data, others[i].size, &before), LIBCACHE_OK);
        libcache_delete(ns, one.data, one.size, LIBCACHE_SKIP_L2);
        ck_result(libcache_take_stamp(ns, others[i].data, others[i].size, &after), LIBCACHE_OK);
        if (before.generation != after.generation)
            return 0;
    }
    return 1;
}

int stands_alone(libcache_ns *ns, const char *letters, char one)
{
    libcache_slice others[BATCH_MAX];
    size_t n = strlen(letters);

    ck_assert_uint_le(n, BATCH_MAX);
    for (size_t i = 0; i < n; i++)
        others[i] = (libcache_slice){ &letters[i], 1 };
    return stands_alone_among(ns, others, n, (libcache_slice){ &one, 1 });
}

void ck_fetch_many(libcache_ns *ns, const char *letters, struct source *source, int result, const char *results,
                          const char *text)
{
    struct batch b;

    batch_init(&b, ns, letters, source);
    fetch_batch(&b);
    ck_batch(&b, result, results, text);
}
