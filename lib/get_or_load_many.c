/*
 * Loads of many keys. SPDX-License-Identifier: MIT
 *
 *      L1, key by key --> flights --> what is stale is given out, and goes to the executor -----------------> one job for all of it:
 *                            |                                                                                the same from here on
 *                            +--> one exchange: values, leases --> one call of the loader --> one exchange: values, leases back
 *                                      |                                     ^
 *                                      +-- others are at it: waits -- ours after all
 *
 * As with one key, Redis has one redis_timeout_ms before the loader runs and another after it.
 */
#include "get_or_load.h"

#include "base/options.h"
#include "l1/hit.h"

#include <limits.h>
#include <string.h>

/* One batch. loads[i] is NULL where nothing is to be loaded; results[i] is WAIT where others are at it. */
struct batch {
    libcache_ns *ns;
    const libcache_slice *keys;
    size_t n;
    libcache_value *values;
    int *results;
    libcache_load **loads;
    libcache_many_loader loader;
    void *arg;
    int unwanted;   /* nobody waits for values */
    uint64_t redis; /* see load.h */
};

/* ---- Running the loader -------------------------------------------------------------------------------------------- */

static int is_ours(const struct batch *b, size_t i)
{
    return b->loads[i] && b->results[i] != LIBCACHE_WAIT;
}

/* What one call of the loader takes. */
struct call {
    libcache_slice *wanted;
    libcache_loaded *loaded;
    struct ending *endings;
    libcache_set_options *options;
    int *outcome;
};

static int make_call(const libcache *cache, size_t n, struct call *c)
{
    c->wanted = memory_get(&cache->allocator, n * (sizeof *c->wanted + sizeof *c->loaded + sizeof *c->endings +
                                                   sizeof *c->options + sizeof *c->outcome));
    if (!c->wanted)
        return LIBCACHE_ENOMEM;
    c->loaded = (libcache_loaded *)(void *)(c->wanted + n);
    c->endings = (struct ending *)(void *)(c->loaded + n);
    c->options = (libcache_set_options *)(void *)(c->endings + n);
    c->outcome = (int *)(void *)(c->options + n);
    memset(c->loaded, 0, n * sizeof *c->loaded);
    memset(c->outcome, 0, n * sizeof *c->outcome);
    return LIBCACHE_OK;
}

/* What the caller gets of one key. */
static int result_of(const struct batch *b, size_t i, int failed, const libcache_loaded *loaded)
{
    if (failed)
        return b->results[i] == LIBCACHE_STALE || b->results[i] == LIBCACHE_HIT ? b->results[i] : LIBCACHE_ELOAD;
    return b->unwanted ? LIBCACHE_HIT : loaded_hand_over(b->ns, loaded, &b->values[i]);
}

/* The loads that are ours are run by one call of the loader, ended together, and handed over. OK or ENOMEM. */
static int run_loader(struct batch *b)
{
    size_t asked = 0, at = 0;
    struct call c;
    int failed;

    for (size_t i = 0; i < b->n; i++)
        asked += is_ours(b, i);
    if (!asked)
        return LIBCACHE_OK;
    if (make_call(b->ns->cache, asked, &c) != LIBCACHE_OK)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < b->n; i++)
        if (is_ours(b, i)) {
            c.wanted[at++] = b->keys[i];
            load_starts(b->loads[i]);
        }
    failed = b->loader(b->arg, c.wanted, asked, c.loaded, c.outcome);
    at = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!is_ours(b, i))
            continue;
        c.options[at] = loaded_options(&c.loaded[at]);
        c.endings[at] = (struct ending){ .load = b->loads[i],
                                         .error = failed != LIBCACHE_OK ? failed : c.outcome[at],
                                         .value = c.loaded[at].data,
                                         .size = c.loaded[at].size,
                                         .options = &c.options[at] };
        c.endings[at].aborts = c.endings[at].error != LIBCACHE_OK;
        at++;
    }
    b->redis = 0;
    load_end(b->ns, c.endings, asked, &b->redis);
    at = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!is_ours(b, i))
            continue;
        b->results[i] = result_of(b, i, c.endings[at].aborts, &c.loaded[at]);
        b->loads[i] = NULL;
        loaded_release(&c.loaded[at++], b->arg);
    }
    memory_free(&b->ns->cache->allocator, c.wanted);
    return LIBCACHE_OK;
}

/* Ends what is left: loads that could not be run. */
static void give_up(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->loads[i]) {
            libcache_load_abort(b->loads[i], 0);
            b->loads[i] = NULL;
        }
}

/* ---- Refreshing in the background ------------------------------------------------------------------------------------ */

/* What the executor runs. What it points to, and the keys' bytes, follow. */
struct job {
    struct batch batch;
    size_t *from; /* where in the batch each was: to give it back when the executor will not */
    void (*drop)(void *kept);
};

static void run_job(void *arg)
{
    struct job *job = arg;
    struct batch *b = &job->batch;

    load_ask(b->ns, b->loads, b->values, b->results, b->n, &b->redis);
    run_loader(b);
    give_up(b);
    for (size_t i = 0; i < b->n; i++)
        libcache_release_value(&b->values[i]);
    if (job->drop)
        job->drop(b->arg);
    memory_free(&b->ns->cache->allocator, job);
}

static int is_refresh(const struct batch *b, size_t i)
{
    return b->loads[i] && b->loads[i]->refreshes;
}

/* A job for the refreshes of a batch, which has m of them, or NULL. */
static struct job *make_job(const struct batch *b, size_t m, size_t key_bytes)
{
    struct job *job =
        memory_zero(&b->ns->cache->allocator, sizeof *job +
                                                  m * (sizeof *b->values + sizeof *b->keys + sizeof(void *) +
                                                       sizeof *job->from + sizeof *b->results) +
                                                  key_bytes);
    libcache_slice *keys;
    char *bytes;
    size_t at = 0;

    if (!job)
        return NULL;
    job->batch = *b;
    job->batch.n = m;
    job->batch.unwanted = 1;
    job->batch.redis = 0;
    job->batch.values = (libcache_value *)(void *)(job + 1);
    keys = (libcache_slice *)(void *)(job->batch.values + m);
    job->batch.keys = keys;
    job->batch.loads = (libcache_load **)(void *)(keys + m);
    job->from = (size_t *)(void *)(job->batch.loads + m);
    job->batch.results = (int *)(void *)(job->from + m);
    bytes = (char *)(job->batch.results + m);
    for (size_t i = 0; i < b->n; i++) {
        if (!is_refresh(b, i))
            continue;
        keys[at] = (libcache_slice){ bytes, b->keys[i].size };
        memcpy(bytes, b->keys[i].data, b->keys[i].size);
        bytes += b->keys[i].size;
        job->batch.loads[at] = b->loads[i];
        job->from[at] = i;
        job->batch.results[at++] = b->results[i];
    }
    return job;
}

/* Hands the refreshes to the executor. Where there is none, or it will not, they stay. */
static void refresh_later(struct batch *b, const libcache_load_options *options)
{
    libcache *cache = b->ns->cache;
    size_t m = 0, key_bytes = 0;
    struct job *job;

    for (size_t i = 0; i < b->n; i++)
        if (is_refresh(b, i)) {
            m++;
            key_bytes += b->keys[i].size;
        }
    job = cache->execute && m ? make_job(b, m, key_bytes) : NULL;
    if (!job)
        return;
    if (options->keep) {
        job->batch.arg = options->keep(b->arg);
        job->drop = options->drop;
    }
    for (size_t i = 0; i < b->n; i++) /* before it may run */
        if (is_refresh(b, i))
            b->loads[i] = NULL;
    if (cache->execute(cache->execute_arg, run_job, job) == 0)
        return;
    for (size_t i = 0; i < m; i++)
        b->loads[job->from[i]] = job->batch.loads[i];
    if (job->drop)
        job->drop(job->batch.arg);
    memory_free(&cache->allocator, job);
}

/* ---- One batch ------------------------------------------------------------------------------------------------------- */

static int any_waits(const struct batch *b, int for_lease)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->loads[i] && b->results[i] == LIBCACHE_WAIT && b->loads[i]->wants_lease == for_lease)
            return 1;
    return 0;
}

static int any_ours(const struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (is_ours(b, i))
            return 1;
    return 0;
}

/* Looks at those that others of this host load; waits for the first of them until then. */
static void wait_here(struct batch *b, uint64_t until)
{
    for (size_t i = 0; i < b->n; i++) {
        uint64_t now = deadline_after_ms(0);
        uint64_t left_ms = now < until ? (until - now) / 1000000 + 1 : 0;
        if (b->results[i] == LIBCACHE_WAIT && b->loads[i] && !b->loads[i]->wants_lease)
            b->results[i] = libcache_load_wait(&b->loads[i], &b->values[i],
                                               any_ours(b)          ? 0
                                               : left_ms < UINT_MAX ? (unsigned)left_ms
                                                                    : UINT_MAX);
    }
}

#define LOOK_NS \
    UINT64_C(5000000) /* how long it waits for others of its own host before it looks at what other hosts do */

/*
 * Waits for those that others are loading, until one of them is ours to load: that one is not held up by waiting on, or two
 * batches might wait for each other. 0: nothing is to be loaded.
 */
static int wait_for_others(struct batch *b, uint64_t deadline)
{
    while (!any_ours(b)) {
        int here = any_waits(b, 0), elsewhere = any_waits(b, 1);
        uint64_t now = deadline_after_ms(0);
        if (!here && !elsewhere)
            return 0;
        if (now >= deadline) {
            for (size_t i = 0; i < b->n; i++)
                if (b->results[i] == LIBCACHE_WAIT && b->loads[i])
                    b->results[i] = libcache_load_wait(&b->loads[i], &b->values[i], 0);
            for (size_t i = 0; i < b->n; i++)
                if (b->results[i] == LIBCACHE_WAIT)
                    b->results[i] = load_stop_waiting(b->loads[i]);
            return any_ours(b);
        }
        if (here)
            wait_here(b, elsewhere && now + LOOK_NS < deadline ? now + LOOK_NS : deadline);
        if (elsewhere)
            lease_wait(b->ns, b->loads, b->values, b->results, b->n, here ? 0 : deadline, &b->redis);
    }
    return 1;
}

/* Loads that failed: what somebody else has stored meanwhile, or is within its grace, is better than nothing. */
static void after_failure(struct batch *b)
{
    struct l1 *l1 = &b->ns->cache->l1;
    struct remote_key *k;
    size_t m = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->results[i] == LIBCACHE_ELOAD && (b->ns->tiers & LIBCACHE_TIER_L1)) {
            const struct l1_key key = l1_key_of(l1, b->ns->id, b->keys[i].data, b->keys[i].size);
            int result = l1_get_any(l1, &key, b->ns->view.soft_ttl_ms, &b->values[i], LIBCACHE_TIMES | L1_LATE);
            b->results[i] = result < 0 || result == LIBCACHE_MISS ? LIBCACHE_ELOAD : result;
        }
    for (size_t i = 0; i < b->n; i++)
        m += b->results[i] == LIBCACHE_ELOAD;
    if (!m || !b->ns->cache->coherence || !(b->ns->tiers & LIBCACHE_TIER_L2))
        return;
    k = memory_get(&b->ns->cache->allocator, m * sizeof *k);
    if (!k)
        return;
    m = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->results[i] == LIBCACHE_ELOAD)
            k[m++] = (struct remote_key){ .l1 = l1_key_of(l1, b->ns->id, b->keys[i].data, b->keys[i].size),
                                          .value = &b->values[i],
                                          .result = LIBCACHE_MISS };
    remote_get(b->ns, k, m, LIBCACHE_TIMES | L1_LATE, b->redis);
    m = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->results[i] == LIBCACHE_ELOAD) {
            b->results[i] = k[m].result < 0 || k[m].result == LIBCACHE_MISS ? LIBCACHE_ELOAD : k[m].result;
            m++;
        }
    memory_free(&b->ns->cache->allocator, k);
}

/* OK or ENOMEM. later: the executor may refresh what is stale. */
static int load_batch(struct batch *b, const libcache_load_options *options, int later)
{
    libcache *cache = b->ns->cache;
    uint64_t deadline = deadline_after_ms(load_wait_ms(b->ns, options->wait_ms));
    int result;

    for (size_t i = 0; i < b->n; i++)
        b->results[i] = LIBCACHE_ENOMEM;
    b->loads = memory_zero(&cache->allocator, b->n * sizeof(void *));
    if (!b->loads)
        return LIBCACHE_ENOMEM;
    if (cache->listens_on_calls && !(options->flags & LIBCACHE_SKIP_L2))
        coherence_look(cache->coherence, &b->redis);
    load_begin_many(b->ns, b->keys, b->n, b->values, b->results, options, b->loads);
    if (later)
        refresh_later(b, options);
    if (!(options->flags & (LIBCACHE_SKIP_L2 | LIBCACHE_REFRESH)))
        load_ask(b->ns, b->loads, b->values, b->results, b->n, &b->redis);
    for (size_t i = 0; i < b->n; i++)
        if (b->results[i] > 0)
            count_begun(b->ns, b->keys[i], b->results[i], &b->values[i], b->loads[i] ? b->loads[i]->why : MISS_COLD);
    do
        result = run_loader(b);
    while (result == LIBCACHE_OK && wait_for_others(b, deadline));
    give_up(b);
    for (size_t i = 0; i < b->n && result != LIBCACHE_OK; i++)
        b->results[i] = result;
    if (result == LIBCACHE_OK)
        after_failure(b);
    memory_free(&cache->allocator, b->loads);
    return result;
}

/* ---- The call --------------------------------------------------------------------------------------------------------- */

int load_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
              libcache_many_loader loader, void *arg, const libcache_load_options *options, int later)
{
    struct batch batch = {
        .ns = ns, .keys = keys, .n = n, .values = values, .results = results, .loader = loader, .arg = arg
    };
    int first_error = load_batch(&batch, options, later);

    for (size_t i = 0; i < n && first_error == LIBCACHE_OK; i++)
        if (results[i] < 0)
            first_error = results[i];
    return first_error;
}

int libcache_get_or_load_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values,
                              int *results, libcache_many_loader loader, void *arg, const libcache_load_options *given)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;

    if (!ns || (n && (!keys || !values || !results)) || !loader ||
        (given && !options_read(&options, sizeof options, given)) || (options.flags & LIBCACHE_NO_BLOCK))
        return LIBCACHE_EINVAL;
    return n ? load_many(ns, keys, n, values, results, loader, arg, &options, 1) : LIBCACHE_OK;
}
