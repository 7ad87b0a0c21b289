/* What only libcache has, measured against its own plain operations: get_many, tags, invalidation. */
#include "bench_l1.h"

#include <libcache.h>
#include <stdlib.h>
#include <string.h>

static void *open_filled(const bench_case *of, const bench_options *options, const workload *load, unsigned tags,
                         size_t budget_bytes)
{
    engine_config config = { .keys = load->keys,
                             .value_bytes = of->value_bytes,
                             .budget_bytes = budget_bytes,
                             .tags = tags,
                             .huge = options->huge };
    void *self = engine_libcache.open(&config);

    traffic_fill(&engine_libcache, self, load, of->value_bytes);
    return self;
}

static void emit(bench_result *result, const bench_case *of, const workload *load)
{
    result->threads = 1;
    result->keys = load->keys;
    result->value_bytes = (double)of->value_bytes;
    bench_emit(result);
}

/* ---- get_many16 ---------------------------------------------------------------------------------- */

enum { BATCH = 16, BATCH_VALUE_MAX = 1024 };

/* Ends with the number of hits. */
static size_t run_batches(libcache_ns *ns, const workload *load, size_t place, size_t batches, size_t value_bytes)
{
    static char buffers[BATCH][BATCH_VALUE_MAX];
    const uint32_t *requests = load->requests[0];
    size_t mask = load->draws - 1, hits = 0;

    for (size_t batch = 0; batch < batches; batch++, place += BATCH) {
        libcache_slice keys[BATCH];
        libcache_value values[BATCH];
        int results[BATCH];
        size_t found = 0;

        for (unsigned i = 0; i < BATCH; i++) {
            keys[i] = (libcache_slice){ workload_key(load, requests[(place + i) & mask]), ENGINE_KEY_BYTES };
            values[i] = (libcache_value){ .data = buffers[i], .capacity = value_bytes };
            workload_prefetch_key(load, requests[(place + BATCH + i) & mask]);
        }
        if (libcache_get_many(ns, keys, BATCH, values, results, &found, 0) != LIBCACHE_OK)
            harness_die("libcache_get_many failed");
        hits += found;
        if (results[batch % BATCH] == LIBCACHE_HIT)
            workload_check_value("libcache", buffers[batch % BATCH], requests[(place + batch % BATCH) & mask]);
    }
    return hits;
}

void bench_run_get_many(const bench_case *self, const bench_options *options, const workload *load)
{
    void *engine = open_filled(self, options, load, 0, bench_budget(load->keys, self->value_bytes, 0));
    bench_samples many = { 0 }, single = { 0 };
    size_t batches = self->ops / options->ops_divisor / BATCH;
    traffic t = { .engine = &engine_libcache,
                  .self = engine,
                  .load = load,
                  .value_bytes = self->value_bytes,
                  .threads = 1,
                  .ops = batches * BATCH,
                  .warm_ops = batches * BATCH / 4 };
    bench_result result;

    for (unsigned round = 0; round < options->rounds; round++, t.start += t.ops) {
        uint64_t begin_ns;
        size_t hits;

        traffic_run(&t, &single);
        run_batches(engine_libcache_ns(engine), load, t.start, batches / 4, self->value_bytes);
        begin_ns = harness_now_ns();
        hits = run_batches(engine_libcache_ns(engine), load, t.start + t.ops, batches, self->value_bytes);
        bench_add_sample(&many, (double)(harness_now_ns() - begin_ns) / (double)t.ops, (double)hits / (double)t.ops);
    }
    result = bench_make_result("get_many16", "libcache", "100/0", &many);
    bench_add_extra(&result, "single_get_ns_per_op", harness_median(single.ns, single.n));
    emit(&result, self, load);
    engine_libcache.close(engine);
}

/* ---- chained ------------------------------------------------------------------------------------- */

static volatile const uint32_t never; /* 0, which only the processor gets to know */

/* Gets, each of which may begin before the one before it has ended, or (chained) not. Ends with the number of hits. */
static inline __attribute__((always_inline)) size_t run_gets(libcache_ns *ns, const workload *load, size_t place, size_t ops,
                                                             size_t value_bytes, int chained)
{
    const uint32_t *requests = load->requests[0];
    size_t mask = load->draws - 1, hits = 0;
    char bytes[BATCH_VALUE_MAX] = { 0 };
    uint32_t last = 0;

    for (size_t end = place + ops; place < end; place++) {
        libcache_value value = { .data = bytes, .capacity = value_bytes };
        uint32_t number = requests[place & mask] + last;

        workload_prefetch_key(load, requests[(place + 8) & mask]);
        hits += libcache_get(ns, workload_key(load, number), ENGINE_KEY_BYTES, &value, 0) == LIBCACHE_HIT;
        if (chained)
            last = (unsigned char)bytes[value_bytes - 1] & never;
    }
    return hits;
}

void bench_run_chained(const bench_case *self, const bench_options *options, const workload *load)
{
    void *engine = open_filled(self, options, load, 0, bench_budget(load->keys, self->value_bytes, 0));
    libcache_ns *ns = engine_libcache_ns(engine);
    bench_samples samples[2] = { { 0 }, { 0 } };
    size_t ops = self->ops / options->ops_divisor, start = 0;
    bench_result result;

    run_gets(ns, load, start, ops / 4, self->value_bytes, 0);
    for (unsigned round = 0; round < options->rounds; round++)
        for (int chained = 0; chained < 2; chained++, start += ops) {
            uint64_t begin_ns = harness_now_ns();
            size_t hits = chained ? run_gets(ns, load, start, ops, self->value_bytes, 1)
                                  : run_gets(ns, load, start, ops, self->value_bytes, 0);
            bench_add_sample(&samples[chained], (double)(harness_now_ns() - begin_ns) / (double)ops, (double)hits / (double)ops);
        }
    result = bench_make_result("chained", "libcache", "100/0", &samples[1]);
    bench_add_extra(&result, "overlapping_ns_per_op", harness_median(samples[0].ns, samples[0].n));
    emit(&result, self, load);
    engine_libcache.close(engine);
}

/* ---- tags3 --------------------------------------------------------------------------------------- */

static void emit_tags(const bench_case *of, const workload *load, const char *mix, bench_samples samples[2])
{
    bench_result plain = bench_make_result("tags3", "libcache", mix, &samples[0]);
    bench_result tagged = bench_make_result("tags3", "libcache", mix, &samples[1]);

    bench_add_extra(&plain, "tags", 0);
    emit(&plain, of, load);
    bench_add_extra(&tagged, "tags", 3);
    bench_add_extra(&tagged, "cost_ratio", tagged.ns_per_op / plain.ns_per_op);
    emit(&tagged, of, load);
}

void bench_run_tags(const bench_case *self, const bench_options *options, const workload *load)
{
    size_t budget_bytes = bench_budget(load->keys, self->value_bytes, 3);
    void *engines[2] = { open_filled(self, options, load, 0, budget_bytes),
                         open_filled(self, options, load, 3, budget_bytes) };
    bench_samples gets[2], sets[2];
    traffic t = { .engine = &engine_libcache, .load = load, .value_bytes = self->value_bytes, .threads = 1 };

    memset(gets, 0, sizeof gets);
    memset(sets, 0, sizeof sets);
    t.ops = self->ops / options->ops_divisor;
    t.warm_ops = t.ops / 4;
    for (t.set_every = 0; t.set_every <= 1; t.set_every++) {
        for (unsigned round = 0; round < options->rounds; round++) {
            t.start = round * (t.warm_ops + t.ops);
            for (unsigned turn = 0; turn < 2; turn++) {
                unsigned tagged = (round + turn) % 2;

                t.self = engines[tagged];
                traffic_run(&t, t.set_every ? &sets[tagged] : &gets[tagged]);
            }
        }
    }
    emit_tags(self, load, "100/0", gets);
    emit_tags(self, load, "0/100", sets);
    engine_libcache.close(engines[0]);
    engine_libcache.close(engines[1]);
}

/* ---- invalidate ---------------------------------------------------------------------------------- */

/*
 * Every entry carries the tag "everyone" and one of 1000 groups. Single calls are timed, less what an empty
 * pair of clock readings takes. Deletes and group invalidations come first, while all entries are valid.
 */
enum { GROUPS = 1000, CALLS_MAX = 20000, INVALIDATE_VALUE_BYTES = 100 };

typedef struct invalidate_bench {
    libcache *cache;
    libcache_ns *ns;
    size_t keys;
    double clock_ns;
    double *ns_per_call; /* CALLS_MAX */
} invalidate_bench;

static void set_tagged(const invalidate_bench *b, uint64_t number)
{
    static const char everyone[] = "everyone";
    char key[ENGINE_KEY_BYTES], value[INVALIDATE_VALUE_BYTES] = { 0 }, group[24];
    int length = snprintf(group, sizeof group, "group:%u", (unsigned)(number % GROUPS));
    libcache_slice tags[] = { { everyone, sizeof everyone - 1 }, { group, (size_t)length } };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    options.tags = tags;
    options.n_tags = 2;
    workload_format_key(key, number);
    workload_stamp_value(value, number);
    if (libcache_set(b->ns, key, sizeof key, value, sizeof value, &options) != LIBCACHE_OK)
        harness_die("libcache_set failed");
}

static int is_there(const invalidate_bench *b, uint64_t number)
{
    char key[ENGINE_KEY_BYTES];

    workload_format_key(key, number);
    return libcache_exists(b->ns, key, sizeof key, 0) == LIBCACHE_HIT;
}

static double time_invalidation(const invalidate_bench *b, const char *tag, size_t size)
{
    libcache_slice slice = { tag, size };
    uint64_t begin_ns = harness_now_ns();
    int result = libcache_invalidate_tags(b->cache, &slice, 1, 0);
    uint64_t end_ns = harness_now_ns();

    if (result != LIBCACHE_OK)
        harness_die("libcache_invalidate_tags: %s", libcache_describe(result));
    return (double)(end_ns - begin_ns) - b->clock_ns;
}

static double measure_clock(invalidate_bench *b)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        uint64_t begin_ns = harness_now_ns();

        b->ns_per_call[i] = (double)(harness_now_ns() - begin_ns);
    }
    return harness_median(b->ns_per_call, CALLS_MAX);
}

/* hit_ratio: for delete the share that was there, else of entries under the tag that are still served. */
static void emit_calls(invalidate_bench *b, const char *operation, size_t n, double hit_ratio, double first_ns)
{
    bench_samples samples = { 0 };
    bench_result result;

    bench_add_sample(&samples, harness_median(b->ns_per_call, n), hit_ratio);
    result = bench_make_result("invalidate", "libcache", operation, &samples);
    result.threads = 1;
    result.keys = b->keys;
    result.value_bytes = INVALIDATE_VALUE_BYTES;
    result.fastest_ns = b->ns_per_call[0];
    result.slowest_ns = b->ns_per_call[n - 1];
    bench_add_extra(&result, "calls", (double)n);
    bench_add_extra(&result, "first_ns", first_ns);
    bench_emit(&result);
}

static void measure_deletes(invalidate_bench *b, size_t calls)
{
    uint64_t random_state = 1;
    size_t there = 0;
    double first_ns;

    for (size_t i = 0; i < calls; i++) {
        char key[ENGINE_KEY_BYTES];
        uint64_t begin_ns;

        workload_format_key(key, harness_random(&random_state) % b->keys);
        begin_ns = harness_now_ns();
        there += libcache_delete(b->ns, key, sizeof key, 0) == LIBCACHE_OK;
        b->ns_per_call[i] = (double)(harness_now_ns() - begin_ns) - b->clock_ns;
    }
    first_ns = b->ns_per_call[0];
    emit_calls(b, "delete", calls, (double)there / (double)calls, first_ns);
}

static void measure_groups(invalidate_bench *b)
{
    size_t calls = GROUPS / 2, served = 0;
    double first_ns;

    for (size_t i = 0; i < calls; i++) {
        char group[24];
        int length = snprintf(group, sizeof group, "group:%u", (unsigned)i);

        b->ns_per_call[i] = time_invalidation(b, group, (size_t)length);
        served += (size_t)is_there(b, i);
    }
    first_ns = b->ns_per_call[0];
    if (served != 0)
        harness_die("libcache: WRONG VALUE: %zu entries were served after their group was invalidated", served);
    emit_calls(b, "invalidate-group", calls, 0, first_ns);
}

/* Each time there are valid entries again, and the lines of the tag are no longer in the innermost cache. */
static void measure_everyone(invalidate_bench *b, size_t calls)
{
    static const char everyone[] = "everyone";
    size_t served = 0;
    double first_ns;

    for (size_t i = 0; i < calls; i++) {
        b->ns_per_call[i] = time_invalidation(b, everyone, sizeof everyone - 1);
        for (size_t j = 0; i == 0 && j < b->keys; j++)
            served += (size_t)is_there(b, j);
        set_tagged(b, i * 7919 % b->keys);
    }
    first_ns = b->ns_per_call[0];
    if (served != 0)
        harness_die("libcache: WRONG VALUE: %zu entries were served after their tag was invalidated", served);
    emit_calls(b, "invalidate", calls, 0, first_ns);
}

void bench_run_invalidate(const bench_case *self, const bench_options *options, const workload *load)
{
    invalidate_bench b = { .keys = self->keys };
    libcache_options cache_options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error;
    size_t calls = CALLS_MAX / options->ops_divisor;

    (void)load;
    cache_options.memory_bytes = bench_budget(b.keys, INVALIDATE_VALUE_BYTES, 2);
    cache_options.huge_pages = options->huge ? LIBCACHE_HUGE_AUTO : LIBCACHE_HUGE_OFF;
    policy.ttl_ms = LIBCACHE_FOREVER;
    if (libcache_open(&b.cache, &cache_options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&b.ns, b.cache, "bench", &policy, &error) != LIBCACHE_OK)
        harness_die("cannot open libcache: %s", error.text);
    b.ns_per_call = harness_allocate(CALLS_MAX * sizeof *b.ns_per_call);
    b.clock_ns = measure_clock(&b);
    for (size_t number = 0; number < b.keys; number++)
        set_tagged(&b, number);
    measure_deletes(&b, calls);
    measure_groups(&b);
    measure_everyone(&b, calls);
    free(b.ns_per_call);
    libcache_close(b.cache);
}
