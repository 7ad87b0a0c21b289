/* What a Redis tier costs who does not need it at the moment. SPDX-License-Identifier: MIT */
#include "bench_l2.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HIT_KEYS = 10000, HITS_A_RUN = 1000, SETTLE_US = 700000 };

/* ---- idle -------------------------------------------------------------------------------------------------------- */

static uint64_t switches_of(const char *task)
{
    char path[300], line[200];
    unsigned long long n = 0;
    FILE *status;

    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    status = fopen(path, "re");
    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) != NULL && sscanf(line, "voluntary_ctxt_switches: %llu", &n) != 1)
        ;
    fclose(status);
    return n;
}

/* Of all threads of this process. */
static uint64_t count_switches(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    uint64_t n = 0;

    if (tasks == NULL)
        harness_die("cannot read /proc/self/task");
    while ((task = readdir(tasks)) != NULL)
        if (task->d_name[0] != '.')
            n += switches_of(task->d_name);
    closedir(tasks);
    return n;
}

static double cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1000;
}

static double served_commands(const l2_context *context)
{
    char answer[16384];
    const char *found;

    if (REDIS_TELL(context->server, answer, "INFO", "stats") < 0)
        harness_die("INFO: %s", answer);
    found = strstr(answer, "total_commands_processed:");
    return found != NULL ? strtod(found + strlen("total_commands_processed:"), NULL) : NAN;
}

static void measure_idle(const l2_context *context, const char *operation, int listener)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    l2_result result = l2_make_result(context, "idle", operation, "libcache", 0);
    double seconds = context->options->idle_ms / 1000.0, cpu, commands;
    uint64_t switches;
    l2_cache cache;

    options.listener = listener;
    cache = l2_open_cache(context->url, &options);
    l2_expect("libcache_set", libcache_set(cache.ns, "k", 1, "v", 1, NULL), LIBCACHE_OK);
    l2_nap_us(SETTLE_US);
    commands = served_commands(context);
    cpu = cpu_us();
    switches = count_switches();
    l2_nap_us(context->options->idle_ms * 1000);
    switches = count_switches() - switches - 1; /* the nap */
    cpu = cpu_us() - cpu;
    commands = served_commands(context) - commands - 1; /* INFO */
    l2_add_extra(&result, "wakeups_per_s", (double)switches / seconds);
    l2_add_extra(&result, "cpu_us_per_s", cpu / seconds);
    l2_add_extra(&result, "commands_per_s", commands / seconds);
    l2_add_extra(&result, "seconds", seconds);
    l2_emit(&result);
    l2_close_cache(&cache);
}

void case_idle(const l2_context *context)
{
    raw_empty(context);
    measure_idle(context, "listening on calls", LIBCACHE_LISTEN_ON_CALLS);
    measure_idle(context, "listening thread", LIBCACHE_LISTEN_IN_THREAD);
}

/* ---- l1_hit ------------------------------------------------------------------------------------------------------ */

typedef struct hitter {
    l2_cache cache;
    const l2_keys *keys;
    const uint32_t *order;
    libcache_value value;
    uint64_t refetched; /* keys that L1 did not have after they were set */
    uint64_t elsewhere; /* hits that L1 did not give */
} hitter;

static int hit_often(void *self, size_t i)
{
    hitter *h = self;

    for (size_t k = 0; k < HITS_A_RUN; k++) {
        const libcache_slice *key = &h->keys->key[h->order[(i * HITS_A_RUN + k) % HIT_KEYS]];

        l2_expect("libcache_get", libcache_get(h->cache.ns, key->data, key->size, &h->value, 0), LIBCACHE_HIT);
        h->elsewhere += h->value.tier != LIBCACHE_TIER_L1;
    }
    return 1;
}

/* Each has a prefix of its own in Redis: none hears of the others' changes. */
static void open_hitter(hitter *h, const char *url, const char *prefix, int listener, const l2_keys *keys,
                        const uint32_t *order)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.listener = listener;
    options.redis_prefix = prefix;
    *h = (hitter){ .cache = l2_open_cache(url, &options), .keys = keys, .order = order };
    l2_fill(&h->cache, keys, 0);
    if (url == NULL)
        return;
    /* Up to date with its own changes, and with what L1 did not keep because the listener was ahead of the writer. */
    l2_expect("libcache_poll", libcache_poll(h->cache.cache, 0), LIBCACHE_OK);
    for (size_t i = 0; i < keys->n; i++) {
        int result = libcache_get(h->cache.ns, keys->key[i].data, keys->key[i].size, &h->value, 0);

        l2_expect("libcache_get", result, LIBCACHE_HIT);
        h->refetched += h->value.tier != LIBCACHE_TIER_L1;
    }
}

void case_l1_hit(const l2_context *context)
{
    uint32_t *order = harness_allocate(HIT_KEYS * sizeof *order);
    uint64_t random = 1;
    l2_keys keys;
    hitter h[3];
    l2_contender c[3] = {
        { .operation = "hit", .engine = "no Redis tier", .self = &h[0], .run = hit_often, .per_run = HITS_A_RUN },
        { .operation = "hit, on calls", .engine = "libcache", .self = &h[1], .run = hit_often, .per_run = HITS_A_RUN },
        { .operation = "hit, thread", .engine = "libcache", .self = &h[2], .run = hit_often, .per_run = HITS_A_RUN },
    };

    raw_empty(context);
    l2_pin(context);
    l2_make_keys(&keys, HIT_KEYS, 100);
    for (size_t i = 0; i < HIT_KEYS; i++)
        order[i] = (uint32_t)(harness_random(&random) % HIT_KEYS);
    open_hitter(&h[0], NULL, NULL, LIBCACHE_LISTEN_ON_CALLS, &keys, order);
    open_hitter(&h[1], context->url, "calls", LIBCACHE_LISTEN_ON_CALLS, &keys, order);
    open_hitter(&h[2], context->url, "thread", LIBCACHE_LISTEN_IN_THREAD, &keys, order);
    rounds_run(context, "l1_hit", c, 3, context->options->round_batches, &keys);
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0) {
            l2_add_extra(&c[i].result, "over_none", rounds_ratio(&c[i], &c[0]));
            l2_add_extra(&c[i].result, "over_none_p50", rounds_ratio_p50(&c[i], &c[0]));
        }
        l2_add_extra(&c[i].result, "refetched", (double)h[i].refetched);
        l2_add_extra(&c[i].result, "from_redis", (double)h[i].elsewhere);
        l2_emit(&c[i].result);
        libcache_release_value(&h[i].value);
        l2_close_cache(&h[i].cache);
    }
    l2_free_keys(&keys);
    free(order);
}
