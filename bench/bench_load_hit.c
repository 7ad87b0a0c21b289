/* A hit in L1 through libcache_get_or_load, beside a plain libcache_get of the same keys. SPDX-License-Identifier: MIT */
#include "bench_load.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 24, VALUE_BYTES = 100, ROUNDS_MAX = 64 };

/* Ways to read; the first is what the others are compared with, in the same namespace where they have the same one. */
static const struct {
    const char *name;
    int loads;                 /* through get_or_load */
    unsigned soft_ms, early;   /* the namespace's policy */
    double limit;              /* at most so many times the plain get of that namespace; 0: only reported */
} ways[] = {
    { "get", 0, 0, 0, 0 },
    { "get_or_load", 1, 0, 0, 1.1 },
    { "get, soft TTL", 0, 3600000, 0, 0 },
    { "get_or_load, soft TTL", 1, 3600000, 0, 0 },
    { "get_or_load, early refresh", 1, 0, 100, 0 },
};

enum { WAYS = sizeof ways / sizeof *ways };

static int never(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg, (void)key, (void)out;
    harness_die("a hit was loaded");
}

static void format_key(char key[KEY_BYTES + 1], size_t number)
{
    snprintf(key, KEY_BYTES + 1, "object:%017zu", number % 10000000000000000);
}

static libcache_ns *open_filled(libcache *cache, unsigned way, size_t keys)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    static char bytes[VALUE_BYTES];
    char name[12], key[KEY_BYTES + 1];
    libcache_ns *ns;

    policy.ttl_ms = 7200000;
    policy.soft_ttl_ms = ways[way].soft_ms;
    policy.early_percent = ways[way].early;
    snprintf(name, sizeof name, "%u", way);
    load_expect(libcache_open_namespace(&ns, cache, name, &policy, NULL), LIBCACHE_OK, "libcache_open_namespace");
    for (size_t i = 0; i < keys; i++) {
        format_key(key, i);
        load_expect(libcache_set(ns, key, KEY_BYTES, bytes, sizeof bytes, NULL), LIBCACHE_OK, "libcache_set");
    }
    return ns;
}

/* ns of one read. */
static double run(libcache_ns *ns, int loads, const char *keys, const uint32_t *order, size_t mask, size_t ops)
{
    static char buffer[VALUE_BYTES];
    libcache_value value = { .data = buffer, .capacity = sizeof buffer };
    uint64_t begun = harness_now_ns();
    size_t hits = 0;

    if (loads)
        for (size_t i = 0; i < ops; i++)
            hits += libcache_get_or_load(ns, keys + order[i & mask] * (KEY_BYTES + 8), KEY_BYTES, &value, never, NULL, NULL) ==
                    LIBCACHE_HIT;
    else
        for (size_t i = 0; i < ops; i++)
            hits += libcache_get(ns, keys + order[i & mask] * (KEY_BYTES + 8), KEY_BYTES, &value, 0) == LIBCACHE_HIT;
    if (hits != ops)
        harness_die("%zu of %zu were no hits", ops - hits, ops);
    return (double)(harness_now_ns() - begun) / (double)ops;
}

void load_bench_hit(const load_options *options)
{
    enum { DRAWS = 1 << 18 };
    libcache_options o = LIBCACHE_OPTIONS_INIT;
    double ns_per_op[WAYS][ROUNDS_MAX], median[WAYS];
    char *keys = harness_allocate(options->hit_keys * (KEY_BYTES + 8));
    uint32_t *order = harness_allocate(DRAWS * sizeof *order);
    libcache_ns *spaces[WAYS];
    uint64_t random = 1;
    libcache *cache;

    o.memory_bytes = 64 << 20;
    load_expect(libcache_open(&cache, &o, NULL), LIBCACHE_OK, "libcache_open");
    for (size_t i = 0; i < options->hit_keys; i++)
        format_key(keys + i * (KEY_BYTES + 8), i);
    for (size_t i = 0; i < DRAWS; i++)
        order[i] = (uint32_t)(harness_random(&random) % options->hit_keys);
    for (unsigned w = 0; w < WAYS; w++)
        spaces[w] = w == 1 || w == 3 ? spaces[w - 1] : open_filled(cache, w, options->hit_keys);
    harness_pin_thread(0);
    for (unsigned round = 0; round < options->hit_rounds; round++)
        for (unsigned turn = 0; turn < WAYS; turn++) {
            unsigned w = (turn + round) % WAYS;
            run(spaces[w], ways[w].loads, keys, order, DRAWS - 1, options->hit_ops / 4);
            ns_per_op[w][round] = run(spaces[w], ways[w].loads, keys, order, DRAWS - 1, options->hit_ops);
        }
    for (unsigned w = 0; w < WAYS; w++) {
        double against;
        median[w] = harness_median(ns_per_op[w], options->hit_rounds);
        against = median[w == 3 ? 2 : 0];
        LOAD_REPORT("hit", ways[w].name, { "ns", median[w] }, { "fastest_ns", ns_per_op[w][0] }, { "times", median[w] / against });
        if (ways[w].limit > 0)
            load_target("hit through get_or_load, cost against a plain get", median[w] / against, ways[w].limit, "x");
    }
    libcache_close(cache);
    free(order);
    free(keys);
}
