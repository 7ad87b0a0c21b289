/*
 * Another process as another host: how long its L1 goes on answering after an invalidation. SPDX-License-Identifier: MIT
 *
 * Host B is forked before any handle is opened, has a segment of its own and a listening thread. It looks for the key that
 * is up next in L1 only, naps for NAP_US between looks (spinning would take one of few processors from Redis, from A
 * and from B's own listener, and measure that), and notes when it was first not given it. Host A invalidates at a fixed
 * pace and notes when each call returned. Keys are up in A's order, so a late B makes figures larger, never smaller. The
 * lag is negative where B was faster than the answer to A.
 *
 * flood: A invalidates from several threads at a fixed rate. B's main thread only looks at its own statistics.
 */
#define _GNU_SOURCE
#include "bench_l2.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { NAP_US = 25, PACE_US = 1000, PATIENCE_S = 30, PING_EVERY = 10, PROPAGATED_BYTES = 32, LOAD_AT_ONCE = 64 };
enum { FLOOD_RATE = 10000, FLOOD_THREADS = 4, FLOOD_TICK_US = 2000, SAMPLE_US = 2000, SAMPLES_MAX = 20000 };
enum phase { PHASE_NONE, PHASE_LISTENING, PHASE_FILLED, PHASE_READY, PHASE_GO, PHASE_END, PHASE_DONE };

/* What both see. Words are written by one side only; phase by turns. */
typedef struct board {
    const l2_context *context;
    l2_keys keys;
    int phase;
    size_t up;             /* B may look for keys up to this one */
    uint64_t looks, looked_ns, longest_ns, epochs; /* longest_ns: between two looks */
    uint64_t position;     /* flood: Redis's latest, as A knows it */
    uint64_t ended_ns, caught_up_ns;
    size_t n_samples;
    double *samples;       /* flood: records behind */
    uint64_t *begun, *returned, *stopped;
} board;

static pid_t host_b; /* in A */

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        harness_die("cannot map %zu bytes", bytes);
    return memory;
}

static void come_to(board *b, enum phase phase)
{
    __atomic_store_n(&b->phase, phase, __ATOMIC_RELEASE);
}

static int has_come_to(const board *b, enum phase phase)
{
    return __atomic_load_n(&b->phase, __ATOMIC_ACQUIRE) >= (int)phase;
}

/* It stays to be reaped. */
static int host_b_is_gone(void)
{
    siginfo_t how = { .si_pid = 0 };

    return host_b > 0 && waitid(P_PID, (id_t)host_b, &how, WEXITED | WNOHANG | WNOWAIT) == 0 && how.si_pid != 0;
}

/* Either side waits for the other. A also sees to it that B lives; B dies with A. */
static void wait_for(board *b, enum phase phase)
{
    uint64_t until = harness_now_ns() + PATIENCE_S * UINT64_C(1000000000);

    while (!has_come_to(b, phase)) {
        l2_nap_us(200);
        if (host_b_is_gone() && !has_come_to(b, phase))
            harness_die("the other host failed");
        if (harness_now_ns() > until)
            harness_die("the other host is not ready in %d s", PATIENCE_S);
    }
}

static l2_cache open_listening(const l2_context *context)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    l2_cache cache;

    options.listener = LIBCACHE_LISTEN_IN_THREAD;
    cache = l2_open_cache(context->url, &options);
    for (int tries = 0; l2_stats(&cache).listening == 0 || l2_stats(&cache).epochs == 0; tries++) {
        if (tries == 5000)
            harness_die("nothing is heard from Redis");
        l2_nap_us(1000);
    }
    return cache;
}

/* ---- propagation ------------------------------------------------------------------------------------------------ */

/* Key i, from L1. A copy is not kept when anything in its slot changed meanwhile, which B may hear of late: again, then. */
static void load_surely(const board *b, const l2_cache *cache, size_t i, libcache_value *value)
{
    const libcache_slice *key = &b->keys.key[i];
    int result = LIBCACHE_MISS;

    for (int tries = 0; tries < 20 && result != LIBCACHE_HIT; tries++) {
        if (tries > 0)
            libcache_get(cache->ns, key->data, key->size, value, 0);
        result = libcache_get(cache->ns, key->data, key->size, value, LIBCACHE_SKIP_L2);
    }
    l2_expect("libcache_get from L1", result, LIBCACHE_HIT);
}

/* Copies all keys to L1, and sees that they are there. */
static void load_copies(const board *b, const l2_cache *cache)
{
    libcache_value values[LOAD_AT_ONCE];
    int results[LOAD_AT_ONCE];

    memset(values, 0, sizeof values);
    l2_expect("libcache_poll", libcache_poll(cache->cache, 0), LIBCACHE_OK);
    for (size_t from = 0; from < b->keys.n; from += LOAD_AT_ONCE) {
        size_t n = b->keys.n - from < LOAD_AT_ONCE ? b->keys.n - from : LOAD_AT_ONCE;
        libcache_get_many(cache->ns, b->keys.key + from, n, values, results, NULL, 0);
    }
    for (size_t i = 0; i < b->keys.n; i++)
        load_surely(b, cache, i, &values[0]);
    for (size_t i = 0; i < LOAD_AT_ONCE; i++)
        libcache_release_value(&values[i]);
}

/* Until key i is no longer given; the time is in b->stopped. */
static void watch_key(board *b, const l2_cache *cache, size_t i, libcache_value *value)
{
    uint64_t begun, now, last, until = harness_now_ns() + PATIENCE_S * UINT64_C(1000000000);

    while (__atomic_load_n(&b->up, __ATOMIC_ACQUIRE) < i)
        l2_nap_us(NAP_US);
    begun = last = harness_now_ns();
    while (libcache_get(cache->ns, b->keys.key[i].data, b->keys.key[i].size, value, LIBCACHE_SKIP_L2) != LIBCACHE_MISS) {
        b->looks++;
        l2_nap_us(NAP_US);
        now = harness_now_ns();
        b->longest_ns = now - last > b->longest_ns ? now - last : b->longest_ns;
        last = now;
        if (now > until)
            harness_die("host B goes on serving key %zu", i);
    }
    b->stopped[i] = harness_now_ns();
    b->looked_ns += b->stopped[i] - begun;
}

static void be_host_b(void *arg)
{
    board *b = arg;
    libcache_value value = LIBCACHE_VALUE_INIT;
    l2_cache cache;

    l2_fine_timers();
    cache = open_listening(b->context);
    come_to(b, PHASE_LISTENING);
    wait_for(b, PHASE_FILLED);
    load_copies(b, &cache);
    b->epochs = l2_stats(&cache).epochs;
    come_to(b, PHASE_READY);
    wait_for(b, PHASE_GO);
    for (size_t i = 0; i < b->keys.n; i++)
        watch_key(b, &cache, i, &value);
    b->epochs = l2_stats(&cache).epochs - b->epochs;
    come_to(b, PHASE_DONE);
    libcache_release_value(&value);
    l2_close_cache(&cache);
}

/* Each key with a tag of the same name. */
static void fill_tagged(const l2_cache *cache, const l2_keys *keys)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    char value[PROPAGATED_BYTES];

    for (size_t i = 0; i < keys->n; i++) {
        options.tags = &keys->key[i];
        options.n_tags = 1;
        l2_make_value(keys, i, value);
        l2_expect("libcache_set", libcache_set(cache->ns, keys->key[i].data, keys->key[i].size, value, sizeof value,
                                               &options), LIBCACHE_OK);
    }
}

static void invalidate_paced(board *b, const l2_cache *cache, redisContext *raw, double *pings, size_t *n_pings)
{
    uint64_t start = harness_now_ns() + 2 * PACE_US * UINT64_C(1000);

    for (size_t i = 0; i < b->keys.n; i++) {
        const libcache_slice *key = &b->keys.key[i];

        l2_sleep_until(start + i * PACE_US * UINT64_C(1000));
        b->begun[i] = harness_now_ns();
        if (i % 2)
            l2_expect("libcache_delete", libcache_delete(cache->ns, key->data, key->size, 0), LIBCACHE_OK);
        else
            l2_expect("libcache_invalidate_tags", libcache_invalidate_tags(cache->cache, key, 1, 0), LIBCACHE_OK);
        b->returned[i] = harness_now_ns();
        __atomic_store_n(&b->up, i + 1, __ATOMIC_RELEASE);
        if (i % PING_EVERY == PING_EVERY / 2) {
            uint64_t begun;

            l2_sleep_until(b->returned[i] + PACE_US * UINT64_C(500));
            begun = harness_now_ns();
            raw_ping(raw);
            pings[(*n_pings)++] = (double)(harness_now_ns() - begun) / 1000;
        }
    }
}

static void report_propagation(board *b, double *pings, size_t n_pings)
{
    const l2_context *context = b->context;
    l2_result result = l2_make_result(context, "propagation", "returned to stopped", "libcache", PROPAGATED_BYTES);
    l2_result ping = l2_make_result(context, "propagation", "PING", "hiredis", 0);
    l2_result call = l2_make_result(context, "propagation", "the call", "libcache", PROPAGATED_BYTES);
    double *lags = harness_allocate(b->keys.n * sizeof *lags), *calls = harness_allocate(b->keys.n * sizeof *calls);
    size_t n = 0, early = 0, before = 0;
    char what[72];

    for (size_t i = 0; i < b->keys.n; i++) {
        calls[i] = (double)(b->returned[i] - b->begun[i]) / 1000;
        if (b->stopped[i] < b->begun[i]) {
            early++; /* for another reason */
            continue;
        }
        lags[n] = ((double)b->stopped[i] - (double)b->returned[i]) / 1000;
        before += lags[n++] <= 0;
    }
    l2_distribution(&ping, pings, n_pings);
    l2_distribution(&call, calls, b->keys.n);
    l2_distribution(&result, lags, n);
    l2_add_extra(&result, "before_the_return", n ? (double)before / (double)n : 0);
    l2_add_extra(&result, "lost_early", (double)early);
    l2_add_extra(&result, "look_every_us", (double)b->looked_ns / 1000 / (double)(b->looks + b->keys.n));
    l2_add_extra(&result, "look_latest_us", (double)b->longest_ns / 1000);
    l2_add_extra(&result, "new_epochs", (double)b->epochs);
    l2_emit(&ping);
    l2_emit(&call);
    l2_emit(&result);
    snprintf(what, sizeof what, "B stops, after A's return and a round trip, p50, %s", context->socket);
    l2_emit_target(context, "propagation", what, (result.p50_us - ping.p50_us) / 1000, "ms", 0.5, 0);
    snprintf(what, sizeof what, "B stops, after A's return and a round trip, p99, %s", context->socket);
    l2_emit_target(context, "propagation", what, (result.p99_us - ping.p50_us) / 1000, "ms", 3, 0);
    snprintf(what, sizeof what, "entries that B lost for another reason, %s", context->socket);
    l2_emit_target(context, "propagation", what, (double)early, "", 0, 0);
    free(lags);
    free(calls);
}

void case_propagation(const l2_context *context)
{
    board *b = share(sizeof *b);
    size_t n = context->options->propagations, n_pings = 0;
    double *pings = harness_allocate((n / PING_EVERY + 1) * sizeof *pings);
    redisContext *raw;
    l2_cache cache;

    raw_empty(context);
    b->context = context;
    l2_make_keys(&b->keys, n, PROPAGATED_BYTES);
    b->begun = share(n * sizeof *b->begun);
    b->returned = share(n * sizeof *b->returned);
    b->stopped = share(n * sizeof *b->stopped);
    host_b = l2_fork(be_host_b, b);
    l2_fine_timers();
    wait_for(b, PHASE_LISTENING);
    cache = l2_open_cache(context->url, NULL);
    raw = raw_connect(context);
    fill_tagged(&cache, &b->keys);
    come_to(b, PHASE_FILLED);
    wait_for(b, PHASE_READY);
    come_to(b, PHASE_GO);
    invalidate_paced(b, &cache, raw, pings, &n_pings);
    wait_for(b, PHASE_DONE);
    l2_reap(host_b, 1);
    report_propagation(b, pings, n_pings);
    redisFree(raw);
    l2_close_cache(&cache);
    free(pings);
}

/* ---- flood ------------------------------------------------------------------------------------------------------- */

static void be_flooded(void *arg)
{
    board *b = arg;
    uint64_t until;
    l2_cache cache;

    l2_fine_timers();
    cache = open_listening(b->context);
    b->epochs = l2_stats(&cache).epochs;
    come_to(b, PHASE_READY);
    wait_for(b, PHASE_GO);
    while (!has_come_to(b, PHASE_END)) {
        uint64_t known = __atomic_load_n(&b->position, __ATOMIC_ACQUIRE), applied = l2_stats(&cache).log_applied;

        if (b->n_samples < SAMPLES_MAX)
            b->samples[b->n_samples++] = known > applied ? (double)(known - applied) : 0;
        l2_nap_us(SAMPLE_US);
    }
    until = harness_now_ns() + PATIENCE_S * UINT64_C(1000000000);
    while (l2_stats(&cache).log_applied < b->position && harness_now_ns() < until)
        l2_nap_us(100);
    b->caught_up_ns = harness_now_ns();
    b->epochs = l2_stats(&cache).epochs - b->epochs;
    come_to(b, PHASE_DONE);
    l2_close_cache(&cache);
}

typedef struct flooder {
    pthread_t thread;
    board *board;
    const l2_cache *cache;
    unsigned number;
    uint64_t start_ns, calls;
    double longest_us;
} flooder;

/* A fixed number of calls each tick; a late thread makes up for it. */
static void *flood(void *arg)
{
    flooder *f = arg;
    const unsigned per_tick = FLOOD_RATE / FLOOD_THREADS * (FLOOD_TICK_US / 1000) / 1000;
    const uint64_t ticks = f->board->context->options->flood_ms * UINT64_C(1000) / FLOOD_TICK_US;

    for (uint64_t tick = 0; tick < ticks; tick++) {
        l2_sleep_until(f->start_ns + (tick * FLOOD_THREADS + f->number) * (FLOOD_TICK_US / FLOOD_THREADS) * UINT64_C(1000));
        for (unsigned i = 0; i < per_tick; i++) {
            char text[40];
            libcache_slice tag = { text, (size_t)snprintf(text, sizeof text, "flood:%u:%llu", f->number,
                                                          (unsigned long long)f->calls++) };
            uint64_t begun = harness_now_ns();
            double took_us;

            l2_expect("libcache_invalidate_tags", libcache_invalidate_tags(f->cache->cache, &tag, 1, 0), LIBCACHE_OK);
            took_us = (double)(harness_now_ns() - begun) / 1000;
            f->longest_us = took_us > f->longest_us ? took_us : f->longest_us;
        }
    }
    return NULL;
}

static void report_flood(board *b, const flooder *f, double seconds)
{
    const l2_context *context = b->context;
    l2_result result = l2_make_result(context, "flood", "invalidate_tags 1", "libcache", 0);
    double calls = 0, longest_us = 0, caught_up_ms = ((double)b->caught_up_ns - (double)b->ended_ns) / 1e6;
    char what[72];

    for (unsigned i = 0; i < FLOOD_THREADS; i++) {
        calls += (double)f[i].calls;
        longest_us = f[i].longest_us > longest_us ? f[i].longest_us : longest_us;
    }
    result.samples = (uint64_t)calls;
    result.max_us = longest_us;
    l2_add_extra(&result, "per_s", calls / seconds);
    l2_add_extra(&result, "seconds", seconds);
    l2_add_extra(&result, "behind_p50_records", l2_percentile(b->samples, b->n_samples, 0.5));
    l2_add_extra(&result, "behind_p99_records", l2_percentile(b->samples, b->n_samples, 0.99));
    l2_add_extra(&result, "behind_max_records", b->samples[b->n_samples - 1]);
    l2_add_extra(&result, "behind_max_ms", b->samples[b->n_samples - 1] / (calls / seconds) * 1000);
    l2_add_extra(&result, "caught_up_ms", caught_up_ms);
    l2_add_extra(&result, "new_epochs", (double)b->epochs);
    l2_emit(&result);
    snprintf(what, sizeof what, "invalidations a second, %s", context->socket);
    l2_emit_target(context, "flood", what, calls / seconds, "/s", 0.99 * FLOOD_RATE, 1);
    snprintf(what, sizeof what, "B has caught up after, %s", context->socket);
    l2_emit_target(context, "flood", what, caught_up_ms, "ms", 100, 0);
    snprintf(what, sizeof what, "B gave up its L1 (new epochs), %s", context->socket);
    l2_emit_target(context, "flood", what, (double)b->epochs, "", 0, 0);
}

void case_flood(const l2_context *context)
{
    board *b = share(sizeof *b);
    flooder f[FLOOD_THREADS];
    uint64_t start, last;
    l2_cache cache;

    raw_empty(context);
    b->context = context;
    b->samples = share(SAMPLES_MAX * sizeof *b->samples);
    host_b = l2_fork(be_flooded, b);
    l2_fine_timers();
    wait_for(b, PHASE_READY);
    cache = l2_open_cache(context->url, NULL);
    l2_expect("libcache_poll", libcache_poll(cache.cache, 0), LIBCACHE_OK);
    come_to(b, PHASE_GO);
    start = harness_now_ns() + 5000000;
    last = start + context->options->flood_ms * UINT64_C(1000000);
    for (unsigned i = 0; i < FLOOD_THREADS; i++) {
        f[i] = (flooder){ .board = b, .cache = &cache, .number = i, .start_ns = start };
        if (pthread_create(&f[i].thread, NULL, flood, &f[i]) != 0)
            harness_die("cannot start a thread");
    }
    while (harness_now_ns() + SAMPLE_US * UINT64_C(1000) < last) {
        __atomic_store_n(&b->position, l2_stats(&cache).log_position, __ATOMIC_RELEASE);
        l2_nap_us(SAMPLE_US / 2);
    }
    for (unsigned i = 0; i < FLOOD_THREADS; i++)
        pthread_join(f[i].thread, NULL);
    b->ended_ns = harness_now_ns();
    __atomic_store_n(&b->position, l2_stats(&cache).log_position, __ATOMIC_RELEASE);
    come_to(b, PHASE_END);
    wait_for(b, PHASE_DONE);
    l2_reap(host_b, 1);
    report_flood(b, f, (double)(b->ended_ns - start) / 1e9);
    l2_close_cache(&cache);
}
