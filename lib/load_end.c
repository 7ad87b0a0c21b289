/*
 * How loads end. SPDX-License-Identifier: MIT
 *
 *      commits --> one exchange: values are stored (store.c), leases given back --> L1 --> flights end, all who wait are woken
 *      aborts  --> flights end at once: those who wait here need not wait for Redis to hear of it --> leases are given back
 *
 * But who is to load anew would have to wait for the lease: where that is what the end says, the lease goes first. A lease that could
 * not be given back ends by its time.
 */
#include "load.h"

#include "base/options.h"
#include "l1/hook.h"

#include <string.h>

/* What becomes of one load. */
struct end {
    enum flight_end how; /* FLYING: not known before it is stored */
    int ended;           /* its flight */
    int store;           /* 1: a value of it is stored */
};

/* 1: it has a lease to give back. Not who is late: somebody of this host may have taken it over, in the same name (flight_owner). */
static int gives_back(const libcache_load *load)
{
    enum flight_end then;

    return load->leased && !flight_ended(&load->ns->cache->l1, &load->flight, &then);
}

static void end_flight(const libcache_load *load, struct end *end)
{
    if (load->leads && !end->ended)
        flight_end(&load->ns->cache->l1, &load->flight, end->how,
                   end->how == FLIGHT_FAILED      ? load->ns->policy.load_backoff_ms
                   : end->how == FLIGHT_ELSEWHERE ? LOAD_REST_MS
                                                  : 0);
    end->ended = 1;
}

/* The source has been read, or could not be. */
static void measure_load(const libcache_load *load, int result)
{
    struct operation operation = { load->ns->cache, "load", load->ns, load->key.data, load->key.size, load->begun_ns };

    measure_time(&operation, result, LIBCACHE_TIME_LOAD);
}

/* What is known before anything is stored. *options is what is given, checked. */
static void see(struct ending *e, libcache_set_options *options, struct end *end, uint64_t now)
{
    libcache_load *load = e->load;

    memset(end, 0, sizeof *end);
    memset(options, 0, sizeof *options);
    e->result = LIBCACHE_OK;
    if (e->aborts) {
        if (e->error && (load->leads || !load->waits)) {
            count_one(load->ns, COUNT_LOAD_ERROR);
            measure_load(load, LIBCACHE_ELOAD);
        }
        end->how = e->error ? FLIGHT_FAILED : FLIGHT_FENCED;
        return;
    }
    if (e->options && (!options_read(options, sizeof *options, e->options) || options->stamp)) {
        e->result = LIBCACHE_EINVAL;
        end->how = FLIGHT_FENCED;
        return;
    }
    options->struct_size = sizeof *options;
    count_one(load->ns, COUNT_LOAD);
    if (now > load->begun_ms && now - load->begun_ms > load->ns->policy.load_timeout_ms)
        count_one(load->ns, COUNT_LOAD_TIMEOUT);
    measure_load(load, LIBCACHE_OK);
    if (options->flags & LIBCACHE_NOT_STORED) {
        end->how = FLIGHT_NOT_STORED;
        return;
    }
    if (load->stamped && broken(load->stamped))
        l1_take_stamp(&load->ns->cache->l1, &load->key, &load->stamp);
    options->stamp = broken(GUARD_COMMIT) ? NULL : &load->stamp;
    end->store = 1;
}

/* What is known after. */
static void stored(struct ending *e, const libcache_set_options *options, int result, struct end *end)
{
    const libcache_ns *ns = e->load->ns;

    e->result = result;
    if (result == LIBCACHE_FENCED)
        end->how = FLIGHT_FENCED;
    else if (result < 0 &&
             (result > LIBCACHE_EUNAVAILABLE || !(ns->tiers & LIBCACHE_TIER_L1) || (options->flags & LIBCACHE_SKIP_L1)))
        end->how = FLIGHT_NOT_STORED; /* only Redis's errors leave it in L1 */
    else
        end->how = FLIGHT_STORED;
}

/* Memory for n loads that end together. */
struct together {
    struct end *ends;
    libcache_set_options *options;
    libcache_item *items;
    struct l2_lease *leases;
    uint64_t *load_ms;
};

static void end_together(libcache_ns *ns, struct ending *e, size_t n, const struct together *t, uint64_t *redis)
{
    struct l2_leases done = { .item = t->leases };
    uint64_t now = l1_now(&ns->cache->l1);
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        const libcache_load *load = e[i].load;
        see(&e[i], &t->options[i], &t->ends[i], now);
        if (gives_back(load)) /* looked at before its flight ends */
            t->leases[done.n++] = (struct l2_lease){ .key = { space_slice(ns), { load->key.data, load->key.size } },
                                                     .owner = load->lease_owner };
        if (t->ends[i].how == FLIGHT_FAILED || t->ends[i].how == FLIGHT_NOT_STORED)
            end_flight(load, &t->ends[i]);
        if (t->ends[i].store) {
            t->items[m] =
                (libcache_item){ { load->key.data, load->key.size }, { e[i].value, e[i].size }, &t->options[i], 0 };
            t->load_ms[m++] = now > load->begun_ms ? now - load->begun_ms : 0;
        }
    }
    store_loaded(ns, t->items, t->load_ms, m, done.n ? &done : NULL, redis);
    m = 0;
    for (size_t i = 0; i < n; i++) {
        if (t->ends[i].store)
            stored(&e[i], &t->options[i], t->items[m++].result, &t->ends[i]);
        end_flight(e[i].load, &t->ends[i]);
        memory_free(&ns->cache->allocator, e[i].load);
        e[i].load = NULL;
    }
}

void load_end(libcache_ns *ns, struct ending *endings, size_t n, uint64_t *redis)
{
    const libcache_allocator *allocator = &ns->cache->allocator;
    struct end end;
    libcache_set_options options;
    libcache_item item;
    struct l2_lease lease;
    uint64_t load_ms;
    struct together t = { NULL, NULL, NULL, NULL, NULL };

    if (n > 1)
        t.options = memory_get(allocator, n * (sizeof *t.ends + sizeof *t.options + sizeof *t.items + sizeof *t.leases +
                                            sizeof *t.load_ms));
    if (t.options) {
        t.items = (libcache_item *)(void *)(t.options + n);
        t.leases = (struct l2_lease *)(void *)(t.items + n);
        t.load_ms = (uint64_t *)(void *)(t.leases + n);
        t.ends = (struct end *)(void *)(t.load_ms + n); /* last: it may be of an odd number of words */
        end_together(ns, endings, n, &t, redis);
        memory_free(allocator, t.options);
        return;
    }
    t = (struct together){ &end, &options, &item, &lease, &load_ms };
    for (size_t i = 0; i < n; i++) /* one, or no memory for more at once */
        end_together(ns, &endings[i], 1, &t, redis);
}

void load_drop(libcache_load *load, enum flight_end how, uint64_t *redis)
{
    libcache_ns *ns = load->ns;
    struct end end = { .how = how };
    struct l2_lease lease = { .key = { space_slice(ns), { load->key.data, load->key.size } },
                              .owner = load->lease_owner };
    struct l2_leases done = { .item = &lease, .n = 1 };
    int leased = gives_back(load); /* looked at before the flight ends */

    if (how != FLIGHT_FENCED)
        end_flight(load, &end);
    if (leased)
        store_loaded(ns, NULL, NULL, 0, &done, redis);
    end_flight(load, &end);
    memory_free(&ns->cache->allocator, load);
}

int libcache_load_commit(libcache_load *load, const void *value, size_t size, const libcache_set_options *options)
{
    struct ending e = { .load = load, .value = value, .size = size, .options = options };
    uint64_t redis = 0;

    if (!load)
        return LIBCACHE_EINVAL;
    load_end(load->ns, &e, 1, &redis);
    return e.result;
}

void libcache_load_abort(libcache_load *load, int error)
{
    struct ending e = { .load = load, .aborts = 1, .error = error };
    uint64_t redis = 0;

    if (load)
        load_end(load->ns, &e, 1, &redis);
}
