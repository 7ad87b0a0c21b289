/*
 * Loads with a loader: one key, many keys, warming up. Built on begin and commit (load.c). SPDX-License-Identifier: MIT
 *
 * The loader runs with no lock held. What it gives is copied to the caller and to the tiers before its `release` is
 * called. A stale value is given out at once and refreshed by the executor, later; where there is none, or it will not,
 * by the caller that found it, before it returns.
 */
#include "cache.h"

#include "base/options.h"
#include "l1/hit.h"

#include <string.h>

/* What a loader has given, as options for storing it. */
static libcache_set_options options_of(const libcache_loaded *loaded)
{
    libcache_set_options o = LIBCACHE_SET_OPTIONS_INIT;

    o.ttl_ms = loaded->ttl_ms;
    o.tags = loaded->tags;
    o.n_tags = loaded->n_tags;
    o.user_flags = loaded->user_flags;
    o.codec = loaded->codec;
    o.flags = loaded->flags;
    return o;
}

/* The loader's value for the caller. HIT, NEGATIVE, EINVAL, ENOMEM or ETOOBIG. */
static int hand_over(libcache_ns *ns, const libcache_loaded *loaded, libcache_value *value)
{
    int result;

    if (!loaded->data && loaded->size && !(loaded->flags & LIBCACHE_NEG))
        return LIBCACHE_EINVAL;
    value->codec = loaded->codec;
    value->flags = loaded->user_flags;
    value->tier = 0;
    value->age_ms = value->load_ms = 0;
    value->ttl_left_ms = loaded->ttl_ms ? loaded->ttl_ms
                         : loaded->flags & LIBCACHE_NEG ? ns->policy.negative_ttl_ms : ns->policy.ttl_ms;
    if (loaded->flags & LIBCACHE_NEG)
        return LIBCACHE_NEGATIVE;
    if (value->reserve || value->capacity < loaded->size) {
        result = l1_reserve(&ns->cache->l1, value, loaded->size);
        if (result != LIBCACHE_OK)
            return result;
    }
    if (loaded->size)
        memcpy(value->data, loaded->data, loaded->size);
    value->size = loaded->size;
    return LIBCACHE_HIT;
}

static void release(const libcache_loaded *loaded, void *arg)
{
    if (loaded->release)
        loaded->release(arg, (void *)(uintptr_t)loaded->data);
}

/* Runs the loader for a load that is ours and ends it. HIT, NEGATIVE, ELOAD, or an error of the value's memory. value NULL: nobody waits. */
static int run_loader(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_value *value,
                      libcache_loader loader, void *arg)
{
    libcache_loaded loaded;
    libcache_set_options options;
    int result;

    memset(&loaded, 0, sizeof loaded);
    result = loader(arg, key, &loaded);
    if (result != LIBCACHE_OK) {
        libcache_load_abort(load, result);
        release(&loaded, arg);
        return LIBCACHE_ELOAD;
    }
    options = options_of(&loaded);
    libcache_load_commit(load, loaded.data, loaded.size, &options);
    result = value ? hand_over(ns, &loaded, value) : LIBCACHE_OK;
    release(&loaded, arg);
    return result;
}

/* ---- Refreshing in the background --------------------------------------------------------------------------------- */

/* A refresh that the executor runs; the key's bytes follow. */
struct job {
    libcache_ns *ns;
    libcache_load *load;
    libcache_loader loader;
    void *arg;
    void (*drop)(void *kept);
    libcache_slice key;
};

/* value NULL: nobody waits. What run_loader gives; HIT or NEGATIVE without a load when another host has done it. */
static int refresh(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_value *value, libcache_loader loader,
                   void *arg)
{
    struct l1_key k;

    if (libcache_load_recheck(load, NULL) == LIBCACHE_MISS)
        return run_loader(ns, load, key, value, loader, arg);
    k = l1_key_of(&ns->cache->l1, ns->id, key->data, key->size);
    return value ? look_for_late(ns, &k, value, 0) : LIBCACHE_HIT;
}

static void run_job(void *arg)
{
    struct job *job = arg;

    refresh(job->ns, job->load, &job->key, NULL, job->loader, job->arg);
    if (job->drop)
        job->drop(job->arg);
    memory_free(&job->ns->cache->allocator, job);
}

/* Hands a refresh to the executor. 0: it must be done here. */
static int refresh_later(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_loader loader, void *arg,
                         const libcache_load_options *options)
{
    libcache *cache = ns->cache;
    struct job *job;

    if (!cache->execute)
        return 0;
    job = memory_get(&cache->allocator, sizeof *job + key->size);
    if (!job)
        return 0;
    *job = (struct job){ .ns = ns, .load = load, .loader = loader, .arg = arg };
    memcpy(job + 1, key->data, key->size);
    job->key = (libcache_slice){ job + 1, key->size };
    if (options && options->keep) {
        job->arg = options->keep(arg);
        job->drop = options->drop;
    }
    if (cache->execute(cache->execute_arg, run_job, job) == 0)
        return 1;
    if (job->drop)
        job->drop(job->arg);
    memory_free(&cache->allocator, job);
    return 0;
}

/* ---- One key --------------------------------------------------------------------------------------------------------- */

/* A load failed. What is within its grace is better than nothing. */
static int after_failure(libcache_ns *ns, const struct l1_key *key, libcache_value *value, uint64_t deadline)
{
    int result = look_for_late(ns, key, value, deadline);

    return result == LIBCACHE_HIT || result == LIBCACHE_STALE ? LIBCACHE_STALE
           : result == LIBCACHE_NEGATIVE ? result : LIBCACHE_ELOAD;
}

static __attribute__((noinline)) int load_one(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                              libcache_loader loader, void *arg, const libcache_load_options *given)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    const libcache_slice slice = { key, key_size };
    libcache_load *load = NULL;
    int result;

    if (!ns || !value || !loader || (given && !options_read(&options, sizeof options, given)) ||
        (options.flags & LIBCACHE_NO_BLOCK))
        return LIBCACHE_EINVAL;
    result = libcache_load_begin(&load, ns, key, key_size, value, given);
    if (!load)
        return result;
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        int fresh = LIBCACHE_ELOAD;
        if (!refresh_later(ns, load, &slice, loader, arg, given ? &options : NULL))
            fresh = refresh(ns, load, &slice, value, loader, arg);
        return fresh == LIBCACHE_ELOAD || fresh == LIBCACHE_MISS ? result : fresh;
    }
    result = run_loader(ns, load, &slice, value, loader, arg);
    if (result == LIBCACHE_ELOAD) {
        const struct l1_key k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
        result = after_failure(ns, &k, value, 0);
    }
    return result;
}

int libcache_get_or_load(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, libcache_loader loader,
                         void *arg, const libcache_load_options *options)
{
    /* Where a hit needs no further thought, it is a get's; what it is not, is begun anew. */
    if (ns && value && !options && !ns->watched) {
        int result = libcache_look(ns, key, key_size, value, 0);
        if (result == LIBCACHE_HIT)
            return result;
    }
    return load_one(ns, key, key_size, value, loader, arg, options);
}

/* ---- Many keys ---------------------------------------------------------------------------------------------------------- */

/* Per key of a batch. */
struct many {
    libcache_load *load;
    int asked; /* of the loader */
};

/* The loads that are ours are run by one call of the loader, ended one by one, and handed over. */
static int run_many(libcache_ns *ns, const libcache_slice *keys, size_t n, struct many *many, libcache_value *values,
                    int *results, libcache_many_loader loader, void *arg)
{
    const libcache_allocator *allocator = &ns->cache->allocator;
    size_t asked = 0, at = 0;
    libcache_slice *wanted;
    libcache_loaded *loaded;
    int *outcome, failed;

    for (size_t i = 0; i < n; i++)
        asked += many[i].asked != 0;
    if (!asked)
        return LIBCACHE_OK;
    wanted = memory_get(allocator, asked * (sizeof *wanted + sizeof *loaded + sizeof *outcome));
    if (!wanted)
        return LIBCACHE_ENOMEM;
    loaded = (libcache_loaded *)(void *)(wanted + asked);
    outcome = (int *)(void *)(loaded + asked);
    memset(loaded, 0, asked * sizeof *loaded);
    for (size_t i = 0; i < n; i++)
        if (many[i].asked) {
            outcome[at] = LIBCACHE_OK;
            wanted[at++] = keys[i];
        }
    failed = loader(arg, wanted, asked, loaded, outcome);
    at = 0;
    for (size_t i = 0; i < n; i++) {
        libcache_set_options options;
        int result;
        if (!many[i].asked)
            continue;
        result = failed != LIBCACHE_OK ? failed : outcome[at];
        if (result != LIBCACHE_OK) {
            libcache_load_abort(many[i].load, result);
            if (results[i] != LIBCACHE_STALE && results[i] != LIBCACHE_HIT)
                results[i] = LIBCACHE_ELOAD;
        } else {
            options = options_of(&loaded[at]);
            libcache_load_commit(many[i].load, loaded[at].data, loaded[at].size, &options);
            results[i] = hand_over(ns, &loaded[at], &values[i]);
        }
        many[i].load = NULL;
        release(&loaded[at], arg);
        at++;
    }
    memory_free(allocator, wanted);
    return LIBCACHE_OK;
}

/*
 * Waits for those that others are loading, until one of them is ours to load: that one is not held up by waiting on, or two
 * batches might wait for each other. 0: nothing is to be loaded.
 */
static int wait_many(size_t n, struct many *many, libcache_value *values, int *results, uint64_t deadline)
{
    int ours = 0;

    for (size_t i = 0; i < n; i++) {
        while (results[i] == LIBCACHE_WAIT) {
            uint64_t now = deadline_after_ms(0), left = now < deadline ? deadline - now : 0;
            results[i] = libcache_load_wait(&many[i].load, &values[i], ours || !left ? 0 : (unsigned)(left / 1000000 + 1));
            if (results[i] == LIBCACHE_WAIT && !left)
                results[i] = load_stop_waiting(many[i].load);
            else if (ours)
                break;
        }
        ours |= many[i].load && results[i] != LIBCACHE_WAIT;
    }
    return ours;
}

/* One batch. values may be the caller's or scratch. OK or ENOMEM. */
static int load_batch(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                      libcache_many_loader loader, void *arg, const libcache_load_options *options, uint64_t deadline)
{
    struct many *many = memory_zero(&ns->cache->allocator, n * sizeof *many);
    int result;

    for (size_t i = 0; i < n; i++)
        results[i] = LIBCACHE_ENOMEM;
    if (!many)
        return LIBCACHE_ENOMEM;
    result = begin_many(ns, keys, n, values, results, options, &many[0].load, sizeof *many);
    while (result == LIBCACHE_OK) {
        for (size_t i = 0; i < n; i++)
            many[i].asked = many[i].load && results[i] != LIBCACHE_WAIT;
        result = run_many(ns, keys, n, many, values, results, loader, arg);
        if (result != LIBCACHE_OK || !wait_many(n, many, values, results, deadline))
            break;
    }
    for (size_t i = 0; i < n; i++) {
        if (many[i].load)
            libcache_load_abort(many[i].load, 0);
        if (result != LIBCACHE_OK) {
            results[i] = result;
        } else if (results[i] == LIBCACHE_ELOAD) {
            const struct l1_key k = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size);
            results[i] = after_failure(ns, &k, &values[i], 0);
        }
    }
    memory_free(&ns->cache->allocator, many);
    return result;
}

int libcache_get_or_load_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                              libcache_many_loader loader, void *arg, const libcache_load_options *given)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    int first_error = LIBCACHE_OK, result;

    if (!ns || (n && (!keys || !values || !results)) || !loader ||
        (given && !options_read(&options, sizeof options, given)) || (options.flags & LIBCACHE_NO_BLOCK))
        return LIBCACHE_EINVAL;
    if (!n)
        return LIBCACHE_OK;
    result = load_batch(ns, keys, n, values, results, loader, arg, &options,
                        deadline_after_ms(options.wait_ms ? options.wait_ms : ns->policy.load_timeout_ms));
    if (result != LIBCACHE_OK)
        return result;
    for (size_t i = 0; i < n && first_error == LIBCACHE_OK; i++)
        if (results[i] < 0)
            first_error = results[i];
    return first_error;
}

int libcache_warm(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t batch, libcache_many_loader loader, void *arg,
                  int (*progress)(void *arg, size_t done, size_t n), const libcache_load_options *given)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value *values;
    int first_error = LIBCACHE_OK, *results;

    if (!ns || (n && !keys) || !batch || !loader || (given && !options_read(&options, sizeof options, given)))
        return LIBCACHE_EINVAL;
    if (batch > n)
        batch = n ? n : 1;
    values = memory_zero(&ns->cache->allocator, batch * (sizeof *values + sizeof *results));
    if (!values)
        return LIBCACHE_ENOMEM;
    results = (int *)(void *)(values + batch);
    for (size_t from = 0; from < n; from += batch) {
        size_t m = n - from < batch ? n - from : batch;
        int result = load_batch(ns, keys + from, m, values, results, loader, arg, &options,
                                deadline_after_ms(options.wait_ms ? options.wait_ms : ns->policy.load_timeout_ms));
        for (size_t i = 0; i < m && result == LIBCACHE_OK; i++)
            result = results[i] < 0 ? results[i] : LIBCACHE_OK;
        if (first_error == LIBCACHE_OK)
            first_error = result;
        if (progress && progress(arg, from + m, n) != 0)
            break;
    }
    for (size_t i = 0; i < batch; i++)
        libcache_release_value(&values[i]);
    memory_free(&ns->cache->allocator, values);
    return first_error;
}
