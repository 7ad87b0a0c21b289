/*
 * A Redis that does not answer. SPDX-License-Identifier: MIT
 *
 *      blackhole   every kind of call, with a breaker that never opens: none may take longer than its deadline and MARGIN_MS
 *      breaker     what a miss costs while the breaker is open, against one of a cache without a Redis tier
 *      recovery    from SIGCONT to the first value that comes from Redis
 */
#include "bench_l2.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN_MS = 20, GETS_A_RUN = 1000, BACKOFF_MS = 100, LOOK_US = 200, NEVER_MS = 3600000 };

#define KEY "k", 1

static const libcache_slice one_tag = LIBCACHE_STR("tag");

static libcache_slice *many_keys(void)
{
    static l2_keys keys;

    if (keys.n == 0)
        l2_make_keys(&keys, L2_BATCH, 100);
    return keys.key;
}

/* ---- Kinds of calls. Each says whether it failed, as it has to. --------------------------------------------------- */

static int do_get(const l2_cache *c)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    return libcache_get(c->ns, KEY, &value, LIBCACHE_SKIP_L1) == LIBCACHE_MISS;
}

static int do_get_many(const l2_cache *c)
{
    libcache_value values[L2_BATCH];
    int results[L2_BATCH];
    size_t found = 1;

    memset(values, 0, sizeof values);
    libcache_get_many(c->ns, many_keys(), L2_BATCH, values, results, &found, LIBCACHE_SKIP_L1);
    return found == 0;
}

static int do_exists(const l2_cache *c)
{
    return libcache_exists(c->ns, KEY, LIBCACHE_SKIP_L1) == LIBCACHE_MISS;
}

static int do_ttl_left(const l2_cache *c)
{
    uint64_t left;

    return libcache_ttl_left(c->ns, KEY, &left, LIBCACHE_SKIP_L1) == LIBCACHE_MISS;
}

static int do_set(const l2_cache *c)
{
    return libcache_set(c->ns, KEY, "v", 1, NULL) < 0;
}

static int do_set_many(const l2_cache *c)
{
    libcache_item items[L2_BATCH];

    for (size_t i = 0; i < L2_BATCH; i++)
        items[i] = (libcache_item){ many_keys()[i], LIBCACHE_STR("value"), NULL, 0 };
    return libcache_set_many(c->ns, items, L2_BATCH) < 0;
}

static int do_add(const l2_cache *c)
{
    return libcache_add(c->ns, "other", 5, "v", 1, NULL) < 0;
}

static int do_delete(const l2_cache *c)
{
    return libcache_delete(c->ns, KEY, 0) < 0;
}

static int do_delete_many(const l2_cache *c)
{
    return libcache_delete_many(c->ns, many_keys(), L2_BATCH, NULL, 0) < 0;
}

static int do_touch(const l2_cache *c)
{
    return libcache_touch(c->ns, KEY, 1000, 0) < 0;
}

static int do_increment(const l2_cache *c)
{
    return libcache_increment(c->ns, "n", 1, 1, NULL, NULL) < 0;
}

static int do_invalidate_tags(const l2_cache *c)
{
    return libcache_invalidate_tags(c->cache, &one_tag, 1, 0) < 0;
}

static int do_invalidate_namespace(const l2_cache *c)
{
    return libcache_invalidate_namespace(c->ns, 0) < 0;
}

static int do_invalidate_all(const l2_cache *c)
{
    return libcache_invalidate_all(c->cache, 0) < 0;
}

static int do_poll(const l2_cache *c)
{
    return libcache_poll(c->cache, 0) < 0;
}

static int do_load_begin(const l2_cache *c)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;
    int result = libcache_load_begin(&load, c->ns, "load", 4, &value, NULL);

    libcache_load_abort(load, 0);
    return result == LIBCACHE_LEAD;
}

static int give_value(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg, (void)key;
    out->data = "v";
    out->size = 1;
    return LIBCACHE_OK;
}

/* A key that is new each time: what is loaded stays in L1. */
static int do_get_or_load(const l2_cache *c)
{
    static unsigned number;
    libcache_value value = LIBCACHE_VALUE_INIT;
    char key[20];
    int result = libcache_get_or_load(c->ns, key, (size_t)snprintf(key, sizeof key, "load:%u", number++), &value, give_value,
                                      NULL, NULL);

    libcache_release_value(&value);
    return result == LIBCACHE_HIT;
}

/* `steps`: deadlines in it. A load asks Redis before the loader runs, and tells it afterwards. */
static const struct kind {
    const char *name;
    int (*call)(const l2_cache *c);
    unsigned steps;
} kinds[] = {
    { "get", do_get, 1 },
    { "get_many 100", do_get_many, 1 },
    { "exists", do_exists, 1 },
    { "ttl_left", do_ttl_left, 1 },
    { "set", do_set, 1 },
    { "set_many 100", do_set_many, 1 },
    { "add", do_add, 1 },
    { "delete", do_delete, 1 },
    { "delete_many 100", do_delete_many, 1 },
    { "touch", do_touch, 1 },
    { "increment", do_increment, 1 },
    { "invalidate_tags", do_invalidate_tags, 1 },
    { "invalidate_namespace", do_invalidate_namespace, 1 },
    { "invalidate_all", do_invalidate_all, 1 },
    { "poll", do_poll, 1 },
    { "load_begin", do_load_begin, 1 },
    { "get_or_load", do_get_or_load, 2 },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- blackhole -------------------------------------------------------------------------------------------------------- */

typedef struct worst_call {
    double over_ms; /* most that a call took beyond its deadlines */
    const char *kind;
} worst_call;

static l2_cache open_patient(const l2_context *context, const char *url, int listener)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.redis_timeout_ms = context->options->fault_timeout_ms;
    options.breaker_failures = 1000000;
    options.listener = listener;
    return l2_open_cache(url, &options);
}

/* Connects while the server answers, which on a busy machine may take more than one deadline. */
static void connect_surely(const l2_cache *cache)
{
    int result = LIBCACHE_EUNAVAILABLE;

    for (int tries = 0; tries < 100 && result != LIBCACHE_OK; tries++)
        result = libcache_set(cache->ns, KEY, "v", 1, NULL);
    l2_expect("libcache_set", result, LIBCACHE_OK);
}

static void emit_fault(const l2_context *context, const l2_hole *hole, const char *call, unsigned steps, double *ms,
                       unsigned n, worst_call *worst)
{
    double deadline_ms = steps * context->options->fault_timeout_ms, over_ms;
    l2_result result = l2_make_result(context, "blackhole", call, hole->name, 0);

    for (unsigned i = 0; i < n; i++)
        ms[i] *= 1000;
    l2_distribution(&result, ms, n);
    over_ms = result.max_us / 1000 - deadline_ms;
    l2_add_extra(&result, "deadline_ms", deadline_ms);
    l2_add_extra(&result, "max_over_ms", over_ms);
    l2_emit(&result);
    if (worst->kind == NULL || over_ms > worst->over_ms) {
        worst->over_ms = over_ms;
        worst->kind = call;
    }
}

/* The first call on a connection that was good, where the hole has ever answered; the others on new ones. */
static void measure_kind(const l2_context *context, l2_hole *hole, const struct kind *kind, worst_call *worst)
{
    l2_cache cache = open_patient(context, hole->url, LIBCACHE_LISTEN_ON_CALLS);
    unsigned n = context->options->fault_calls;
    double *ms = harness_allocate(n * sizeof *ms);

    if (hole->kind == HOLE_STOPPED)
        connect_surely(&cache);
    hole_dig(hole);
    for (unsigned i = 0; i < n; i++) {
        uint64_t begun = harness_now_ns();
        int failed = kind->call(&cache);

        ms[i] = (double)(harness_now_ns() - begun) / 1e6;
        if (!failed)
            harness_die("%s went well, though Redis is %s", kind->name, hole->name);
    }
    hole_fill(hole);
    emit_fault(context, hole, kind->name, kind->steps, ms, n, worst);
    l2_close_cache(&cache);
    free(ms);
}

/* What this machine makes of a plain sleep as long as the deadline: how late it is is not libcache's fault. */
static void measure_nap(const l2_context *context, const l2_hole *hole)
{
    unsigned n = context->options->fault_calls;
    double *ms = harness_allocate(n * sizeof *ms);
    worst_call nobody = { 0, NULL };

    for (unsigned i = 0; i < n; i++) {
        uint64_t begun = harness_now_ns();

        l2_nap_us(context->options->fault_timeout_ms * 1000);
        ms[i] = (double)(harness_now_ns() - begun) / 1e6;
    }
    emit_fault(context, hole, "(a plain sleep)", 1, ms, n, &nobody);
    free(ms);
}

/* Closing a handle whose thread is waiting for an answer. */
static void measure_close(const l2_context *context, l2_hole *hole, worst_call *worst)
{
    l2_cache cache = open_patient(context, hole->url, LIBCACHE_LISTEN_IN_THREAD);
    uint64_t begun;
    double ms;

    l2_nap_us(20000);
    hole_dig(hole);
    begun = harness_now_ns();
    l2_close_cache(&cache);
    ms = (double)(harness_now_ns() - begun) / 1e6;
    hole_fill(hole);
    emit_fault(context, hole, "close", 0, &ms, 1, worst);
}

void case_blackhole(const l2_context *context)
{
    for (int kind = 0; kind < HOLE_KINDS; kind++) {
        worst_call worst = { 0, NULL };
        char what[72];
        l2_hole hole;

        raw_empty(context);
        hole_open(&hole, context, (enum hole_kind)kind);
        for (unsigned i = 0; i < KINDS; i++)
            measure_kind(context, &hole, &kinds[i], &worst);
        measure_close(context, &hole, &worst);
        measure_nap(context, &hole);
        hole_close(&hole);
        snprintf(what, sizeof what, "%s server: over the deadline at most (%s), %s", hole.name, worst.kind,
                 context->socket);
        l2_emit_target(context, "blackhole", what, worst.over_ms, "ms", MARGIN_MS, 0);
    }
}

/* ---- breaker ------------------------------------------------------------------------------------------------------------ */

static int miss_often(void *self, size_t i)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    l2_cache *c = self;

    (void)i;
    for (unsigned k = 0; k < GETS_A_RUN; k++)
        if (libcache_get(c->ns, "absent", 6, &value, 0) != LIBCACHE_MISS)
            harness_die("libcache_get found what is not there");
    return 1;
}

/* Its breaker opens at the first failure, and stays open. */
static l2_cache open_broken(const l2_hole *hole, int listener)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    l2_cache cache;

    options.redis_timeout_ms = 20;
    options.breaker_failures = 1;
    options.breaker_backoff_ms = options.breaker_backoff_max_ms = NEVER_MS;
    options.listener = listener;
    cache = l2_open_cache(hole->url, &options);
    for (int i = 0; l2_stats(&cache).l2_up; i++) {
        if (i == 100)
            harness_die("the breaker does not open");
        do_get(&cache);
    }
    return cache;
}

void case_breaker(const l2_context *context)
{
    l2_keys nothing = { .n = 1 };
    l2_hole hole;
    l2_cache none, calls, thread;
    l2_contender c[3] = {
        { .operation = "miss", .engine = "no Redis tier", .self = &none, .run = miss_often, .per_run = GETS_A_RUN },
        { .operation = "miss, on calls", .engine = "libcache", .self = &calls, .run = miss_often, .per_run = GETS_A_RUN },
        { .operation = "miss, thread", .engine = "libcache", .self = &thread, .run = miss_often, .per_run = GETS_A_RUN },
    };

    hole_open(&hole, context, HOLE_SILENT);
    none = l2_open_cache(NULL, NULL);
    calls = open_broken(&hole, LIBCACHE_LISTEN_ON_CALLS);
    thread = open_broken(&hole, LIBCACHE_LISTEN_IN_THREAD);
    rounds_run(context, "breaker", c, 3, context->options->round_batches, &nothing);
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0)
            l2_add_extra(&c[i].result, "p50_more_us", c[i].result.p50_us - c[0].result.p50_us);
        l2_emit(&c[i].result);
    }
    l2_emit_target(context, "breaker", "a miss with an open breaker, more than without Redis tier",
                   c[1].result.p50_us - c[0].result.p50_us, "us", 2, 0);
    l2_emit_target(context, "breaker", "the same, with a listening thread", c[2].result.p50_us - c[0].result.p50_us,
                   "us", 2, 0);
    l2_close_cache(&none);
    l2_close_cache(&calls);
    l2_close_cache(&thread);
    hole_close(&hole);
}

/* ---- recovery ------------------------------------------------------------------------------------------------------------ */

static double measure_recovery(const l2_context *context, l2_hole *hole, unsigned number)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t begun, until;
    l2_cache cache;

    options.redis_timeout_ms = context->options->fault_timeout_ms;
    options.breaker_backoff_ms = options.breaker_backoff_max_ms = BACKOFF_MS;
    cache = l2_open_cache(hole->url, &options);
    connect_surely(&cache);
    hole_dig(hole);
    while (l2_stats(&cache).l2_up)
        do_get(&cache);
    until = harness_now_ns() + (50 + number * 37 % 200) * UINT64_C(1000000); /* any place between two probes */
    while (harness_now_ns() < until) {
        do_get(&cache);
        l2_nap_us(LOOK_US);
    }
    begun = harness_now_ns();
    hole_fill(hole);
    while (libcache_get(cache.ns, KEY, &value, LIBCACHE_SKIP_L1) != LIBCACHE_HIT) {
        if (harness_now_ns() > begun + UINT64_C(10000000000))
            harness_die("Redis is back, and not used for 10 s");
        l2_nap_us(LOOK_US);
    }
    begun = harness_now_ns() - begun;
    libcache_release_value(&value);
    l2_close_cache(&cache);
    return (double)begun / 1000;
}

void case_recovery(const l2_context *context)
{
    unsigned n = context->options->recoveries;
    double *us = harness_allocate(n * sizeof *us), pings[101];
    l2_result result = l2_make_result(context, "recovery", "SIGCONT to hit", "libcache", 0);
    redisContext *raw;
    l2_hole hole;
    char what[72];

    raw_empty(context);
    raw = raw_connect(context);
    for (unsigned i = 0; i < 101; i++) {
        uint64_t begun = harness_now_ns();
        raw_ping(raw);
        pings[i] = (double)(harness_now_ns() - begun) / 1000;
    }
    redisFree(raw);
    hole_open(&hole, context, HOLE_STOPPED);
    for (unsigned i = 0; i < n; i++)
        us[i] = measure_recovery(context, &hole, i);
    hole_close(&hole);
    l2_distribution(&result, us, n);
    l2_add_extra(&result, "backoff_ms", BACKOFF_MS);
    l2_add_extra(&result, "ping_p50_us", l2_percentile(pings, 101, 0.5));
    l2_emit(&result);
    snprintf(what, sizeof what, "first hit after SIGCONT, at most, less a round trip, %s", context->socket);
    l2_emit_target(context, "recovery", what, (result.max_us - l2_percentile(pings, 101, 0.5)) / 1000, "ms",
                   BACKOFF_MS, 0);
    free(us);
}
