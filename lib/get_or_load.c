/*
 * Loads with a loader: one key. Built on begin and commit (load.c). SPDX-License-Identifier: MIT
 *
 * The loader runs with no lock held. What it gives is copied to the caller and to the tiers before its `release` is
 * called. A stale value is given out at once and refreshed by the executor, later; where there is none, or it will not,
 * by the caller that found it, before it returns.
 *
 * Redis has one redis_timeout_ms before the loader runs and another after it, whatever is asked of it. Time that is spent waiting
 * for others is in neither.
 */
#include "get_or_load.h"

#include "base/options.h"
#include "l1/hit.h"

#include <string.h>

libcache_set_options loaded_options(const libcache_loaded *loaded)
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

int loaded_hand_over(libcache_ns *ns, const libcache_loaded *loaded, libcache_value *value)
{
    int result;

    if (!loaded->data && loaded->size && !(loaded->flags & LIBCACHE_NEG))
        return LIBCACHE_EINVAL;
    value->codec = loaded->codec;
    value->flags = loaded->user_flags;
    value->tier = 0;
    value->age_ms = value->load_ms = 0;
    value->ttl_left_ms = loaded->ttl_ms                 ? loaded->ttl_ms
                         : loaded->flags & LIBCACHE_NEG ? ns->policy.negative_ttl_ms
                                                        : ns->policy.ttl_ms;
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

void loaded_release(const libcache_loaded *loaded, void *arg)
{
    if (loaded->release)
        loaded->release(arg, (void *)(uintptr_t)loaded->data);
}

/*
 * Runs the loader for a load that is ours and ends it. HIT, NEGATIVE, ELOAD, or an error of the value's memory. value NULL: nobody
 * waits. *redis: what begins after the loader has run.
 */
static int run_loader(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_value *value,
                      libcache_loader loader, void *arg, uint64_t *redis)
{
    struct ending end = { .load = load };
    libcache_loaded loaded;
    libcache_set_options options;
    int result = LIBCACHE_ELOAD;

    memset(&loaded, 0, sizeof loaded);
    load_starts(load);
    end.error = loader(arg, key, &loaded);
    end.aborts = end.error != LIBCACHE_OK;
    options = loaded_options(&loaded);
    end.value = loaded.data;
    end.size = loaded.size;
    end.options = &options;
    *redis = 0;
    load_end(ns, &end, 1, redis);
    if (!end.aborts)
        result = value ? loaded_hand_over(ns, &loaded, value) : LIBCACHE_OK;
    loaded_release(&loaded, arg);
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

/*
 * value NULL: nobody waits. What run_loader gives; HIT or NEGATIVE without a load when another host has done it; STALE: another
 * host is at it.
 */
static int refresh(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_value *value,
                   libcache_loader loader, void *arg, uint64_t *redis)
{
    int result = load->asked && !lease_wanted(ns, load->flags) ? LIBCACHE_MISS : load_recheck(load, value, redis);

    return result == LIBCACHE_MISS ? run_loader(ns, load, key, value, loader, arg, redis) : result;
}

static void run_job(void *arg)
{
    struct job *job = arg;
    uint64_t redis = 0;

    job->load->asked = 0; /* that is a while ago */
    refresh(job->ns, job->load, &job->key, NULL, job->loader, job->arg, &redis);
    if (job->drop)
        job->drop(job->arg);
    memory_free(&job->ns->cache->allocator, job);
}

/* Hands a refresh to the executor. 0: it must be done here. */
static int refresh_later(libcache_ns *ns, libcache_load *load, const libcache_slice *key, libcache_loader loader,
                         void *arg, const libcache_load_options *options)
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

/* A load failed. What somebody else has stored meanwhile, or is within its grace, is better than nothing. */
static int after_failure(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value, uint64_t deadline)
{
    const struct l1_key k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    int result = look_for_late(ns, &k, value, deadline);

    return result < 0 || result == LIBCACHE_MISS ? LIBCACHE_ELOAD : result;
}

static __attribute__((noinline)) int load_one(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                                              libcache_loader loader, void *arg, const libcache_load_options *given,
                                              uint64_t redis)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    const libcache_slice slice = { key, key_size };
    libcache_load *load = NULL;
    int result;

    if (!ns || !value || !loader || (given && !options_read(&options, sizeof options, given)) ||
        (options.flags & LIBCACHE_NO_BLOCK))
        return LIBCACHE_EINVAL;
    result = load_begin(&load, ns, key, key_size, value, given, &redis);
    if (!load)
        return result;
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        int fresh = LIBCACHE_ELOAD;
        if (!refresh_later(ns, load, &slice, loader, arg, given ? &options : NULL))
            fresh = refresh(ns, load, &slice, value, loader, arg, &redis);
        return fresh == LIBCACHE_ELOAD || fresh == LIBCACHE_STALE ? result : fresh;
    }
    result = run_loader(ns, load, &slice, value, loader, arg, &redis);
    return result == LIBCACHE_ELOAD ? after_failure(ns, key, key_size, value, redis) : result;
}

int libcache_get_or_load(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                         libcache_loader loader, void *arg, const libcache_load_options *options)
{
    uint64_t redis = 0;

    /* A get's hit is fresh, whatever the policy: where none is to be refreshed early, it is all that is wanted. What it is not, is
       begun anew. */
    if (ns && value && loader && (!options || (options->struct_size == sizeof *options && !options->flags && !options->soft_ttl_ms))) {
        int result = !ns->watched ? cache_look(ns, key, key_size, value, &redis)
                     : !ns->slow  ? load_look(ns, key, key_size, value)
                                  : LIBCACHE_MISS;
        if (result == LIBCACHE_HIT)
            return result;
    }
    return load_one(ns, key, key_size, value, loader, arg, options, redis);
}
