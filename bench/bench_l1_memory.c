/*
 * What an entry costs. A cache with default options is filled with three times what it can hold, then
 * used for a while, and then every key ever stored is looked for: what the entries found hold in keys and
 * values is useful, the rest of the configured memory is overhead. Nothing is taken from the statistics.
 */
#include "bench_l1.h"

#include <libcache.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MIXED = 0, LARGEST = 16384, SMALLEST = 64 };

static const double allowed_share = 0.04; /* of the budget, on top of the bytes per entry */

typedef struct memory_bench {
    libcache *cache;
    libcache_ns *ns;
    size_t value_bytes; /* MIXED: anything between, small ones more often */
    size_t budget_bytes;
    uint64_t keys; /* so many different ones are stored */
    char *value;   /* LARGEST bytes */
    uint64_t gets, hits;
} memory_bench;

static size_t size_of(const memory_bench *b, uint64_t number)
{
    uint64_t state = number;

    if (b->value_bytes != MIXED)
        return b->value_bytes;
    return (size_t)(SMALLEST * exp2(8 * (double)(harness_random(&state) >> 11) * 0x1p-53));
}

static void store(memory_bench *b, uint64_t number)
{
    char key[ENGINE_KEY_BYTES];
    int result;

    workload_format_key(key, number);
    workload_stamp_value(b->value, number);
    result = libcache_set(b->ns, key, sizeof key, b->value, size_of(b, number), NULL);
    if (result != LIBCACHE_OK)
        harness_die("libcache_set: %s", libcache_describe(result));
}

/* One request as an application does it: get, and on a miss set. */
static void request(memory_bench *b, uint64_t number)
{
    char key[ENGINE_KEY_BYTES];
    libcache_value value = { .data = b->value, .capacity = LARGEST };

    workload_format_key(key, number);
    b->gets++;
    if (libcache_get(b->ns, key, sizeof key, &value, 0) == LIBCACHE_HIT) {
        b->hits++;
        workload_check_value("libcache", b->value, number);
        if (value.size != size_of(b, number))
            harness_die("libcache: WRONG VALUE: key %llu has another size", (unsigned long long)number);
    } else {
        store(b, number);
    }
}

typedef struct live_data {
    uint64_t entries;
    double bytes; /* of their keys and values */
} live_data;

static live_data count_live(const memory_bench *b)
{
    live_data live = { 0, 0 };

    for (uint64_t number = 0; number < b->keys; number++) {
        char key[ENGINE_KEY_BYTES];

        workload_format_key(key, number);
        if (libcache_exists(b->ns, key, sizeof key, 0) != LIBCACHE_HIT)
            continue;
        live.entries++;
        live.bytes += (double)(sizeof key + size_of(b, number));
    }
    return live;
}

/* So that what the heap grows by is libcache's need and not a huge page that the allocator starts. */
static void prime_heap(void)
{
    char *memory = harness_allocate(100 * 1024);

    memset(memory, 1, 100 * 1024);
    free(memory);
}

static void open_cache(memory_bench *b, int huge)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error;

    options.memory_bytes = b->budget_bytes;
    options.huge_pages = huge ? LIBCACHE_HUGE_AUTO : LIBCACHE_HUGE_OFF;
    policy.ttl_ms = LIBCACHE_FOREVER;
    if (libcache_open(&b->cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&b->ns, b->cache, "bench", &policy, &error) != LIBCACHE_OK)
        harness_die("cannot open libcache: %s", error.text);
}

static void emit_memory(const memory_bench *b, const live_data *live, double rss_growth, bench_samples *fill)
{
    bench_result result = bench_make_result("memory", "libcache", "fill+use", fill);
    libcache_stats stats = LIBCACHE_STATS_INIT;
    double budget = (double)b->budget_bytes;

    if (libcache_read_stats(b->cache, &stats) != LIBCACHE_OK)
        harness_die("libcache_read_stats failed");
    result.threads = 1;
    result.keys = b->keys;
    result.value_bytes = live->bytes / (double)live->entries - ENGINE_KEY_BYTES;
    bench_add_extra(&result, "mixed_sizes", b->value_bytes == MIXED);
    bench_add_extra(&result, "budget_bytes", budget);
    bench_add_extra(&result, "entries", (double)live->entries);
    bench_add_extra(&result, "stats_entries", (double)stats.entries);
    bench_add_extra(&result, "live_bytes", live->bytes);
    bench_add_extra(&result, "overhead_bytes_per_entry",
                    (budget * (1 - allowed_share) - live->bytes) / (double)live->entries);
    bench_add_extra(&result, "overhead_without_4_percent", (budget - live->bytes) / (double)live->entries);
    bench_add_extra(&result, "overhead_percent", 100 * (budget - live->bytes) / budget);
    bench_add_extra(&result, "rss_growth_bytes", rss_growth);
    bench_add_extra(&result, "rss_over_budget_bytes", rss_growth - budget);
    bench_emit(&result);
}

void bench_run_memory(const bench_case *self, const bench_options *options, const workload *load)
{
    memory_bench b = { .value_bytes = self->value_bytes, .budget_bytes = options->memory_budget_bytes };
    double mean_bytes = b.value_bytes != MIXED ? (double)b.value_bytes : (LARGEST - SMALLEST) / log(256);
    uint64_t random_state = 7, begin_ns;
    bench_samples fill = { 0 };
    harness_memory before, after;
    double fill_ns;
    live_data live;

    (void)load;
    b.keys = (uint64_t)(3 * (double)b.budget_bytes / (ENGINE_KEY_BYTES + mean_bytes));
    b.value = harness_allocate(LARGEST);
    memset(b.value, 'v', LARGEST);
    prime_heap();
    before = harness_read_memory();
    open_cache(&b, options->huge);
    begin_ns = harness_now_ns();
    for (uint64_t number = 0; number < b.keys; number++)
        store(&b, number);
    fill_ns = (double)(harness_now_ns() - begin_ns) / (double)b.keys;
    for (uint64_t i = 0; i < b.keys; i++)
        request(&b, harness_random(&random_state) % b.keys);
    live = count_live(&b);
    after = harness_read_memory();
    if (live.entries == 0)
        harness_die("libcache: no entry is left");
    bench_add_sample(&fill, fill_ns, (double)b.hits / (double)b.gets);
    emit_memory(&b, &live, (double)after.rss_bytes - (double)before.rss_bytes, &fill);
    free(b.value);
    libcache_close(b.cache);
}
