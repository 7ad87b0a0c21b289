/*
 * bench: what a user gets on this machine, in a few seconds. SPDX-License-Identifier: MIT
 *
 * On a private segment of its own. Each figure is the median of rounds that are interleaved with those of the others; latencies
 * (p50, p99) are of operations timed one by one, the clock's own time included. What goes to Redis is in a namespace of its own
 * under the user's prefix, is not published to other hosts, and is deleted at the end. bench/ in the sources compares with others.
 */
#include "tool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMESPACE "libcache.bench"
enum { ROUNDS = 5, MANY = 16, KEY_BYTES = 24, TIMED = 2000, TIMED_REDIS = 200, REDIS_KEYS = 200, THREADS_MAX = 64 };

#define WARM_NS UINT64_C(10000000)

struct bench {
    libcache *cache;
    libcache_ns *ns;
    char (*keys)[KEY_BYTES + 1];
    uint32_t *order; /* keys at random, as many as there are keys */
    size_t n_keys, value_bytes, at;
    char *value;
    libcache_value out[MANY];
    int results[MANY];
    uint64_t found, failed;
};

/* One operation on the at-th key; gives how many keys it was for. */
typedef size_t operation(struct bench *b);

static const char *next_key(struct bench *b)
{
    b->at = b->at + 1 < b->n_keys ? b->at + 1 : 0;
    return b->keys[b->order[b->at]];
}

static size_t get_hit(struct bench *b)
{
    b->found += libcache_get(b->ns, next_key(b), KEY_BYTES, &b->out[0], 0) == LIBCACHE_HIT;
    return 1;
}

static size_t get_absent(struct bench *b)
{
    char key[KEY_BYTES];

    memcpy(key, next_key(b), KEY_BYTES);
    key[0] = '-';
    b->found += libcache_get(b->ns, key, KEY_BYTES, &b->out[0], LIBCACHE_SKIP_L2) == LIBCACHE_MISS;
    return 1;
}

static size_t get_many(struct bench *b)
{
    libcache_slice keys[MANY];
    size_t found = 0;

    for (size_t i = 0; i < MANY; i++)
        keys[i] = (libcache_slice){ next_key(b), KEY_BYTES };
    libcache_get_many(b->ns, keys, MANY, b->out, b->results, &found, 0);
    b->found += found;
    return MANY;
}

static size_t set(struct bench *b)
{
    b->failed += libcache_set(b->ns, next_key(b), KEY_BYTES, b->value, b->value_bytes, NULL) != LIBCACHE_OK;
    return 1;
}

static size_t set_tagged(struct bench *b)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("tenant:7");

    options.tags = &tag;
    options.n_tags = 1;
    b->failed += libcache_set(b->ns, next_key(b), KEY_BYTES, b->value, b->value_bytes, &options) != LIBCACHE_OK;
    return 1;
}

static size_t invalidate_tag(struct bench *b)
{
    libcache_slice tag = { b->keys[b->at++ % REDIS_KEYS],
                           KEY_BYTES }; /* a few names: as many as there are would drop marks */

    b->failed += libcache_invalidate_tags(b->cache, &tag, 1, LIBCACHE_SKIP_L2) != LIBCACHE_OK;
    return 1;
}

static const char *redis_key(struct bench *b)
{
    b->at = b->at + 1 < REDIS_KEYS ? b->at + 1 : 0;
    return b->keys[b->at];
}

static size_t redis_get(struct bench *b)
{
    b->found +=
        libcache_get(b->ns, redis_key(b), KEY_BYTES, &b->out[0], LIBCACHE_SKIP_L1 | LIBCACHE_READ_ONLY) == LIBCACHE_HIT;
    return 1;
}

static size_t redis_get_many(struct bench *b)
{
    libcache_slice keys[MANY];
    size_t found = 0;

    for (size_t i = 0; i < MANY; i++)
        keys[i] = (libcache_slice){ redis_key(b), KEY_BYTES };
    libcache_get_many(b->ns, keys, MANY, b->out, b->results, &found, LIBCACHE_SKIP_L1 | LIBCACHE_READ_ONLY);
    b->found += found;
    return MANY;
}

static size_t redis_set(struct bench *b)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    options.ttl_ms = 60000;
    options.flags = LIBCACHE_NO_PUBLISH;
    b->failed += libcache_set(b->ns, redis_key(b), KEY_BYTES, b->value, b->value_bytes, &options) != LIBCACHE_OK;
    return 1;
}

/* ---- Measuring ---------------------------------------------------------------------------------------------------------------- */

struct figure {
    const char *name, *about;
    operation *run;
    int threads; /* 1: also by as many threads as there are cores */
    int is_get;
    double round_ns[ROUNDS], ns, p50_ns, p99_ns, threads_per_s;
    uint64_t asked, found; /* gets */
};

/* Nanoseconds a key, of operations for that long; *asked counts the keys. */
static double measure(struct bench *b, operation *run, uint64_t for_ns, uint64_t *asked)
{
    uint64_t begin = now_ns(), end = begin, keys = 0;

    while (end - begin < for_ns) {
        for (int i = 0; i < 16; i++)
            keys += run(b);
        end = now_ns();
    }
    *asked += keys;
    return (double)(end - begin) / (double)keys;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void time_single(struct bench *b, struct figure *f, size_t n)
{
    uint64_t took[TIMED] = { 0 }, asked = 0;
    size_t middle = n / 2, late = n * 99 / 100;

    measure(b, f->run, WARM_NS, &asked); /* after the others, caches hold other lines */
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = now_ns();
        f->run(b);
        took[i] = now_ns() - begin;
    }
    qsort(took, n, sizeof *took, by_number);
    f->p50_ns = (double)took[middle];
    f->p99_ns = (double)took[late];
}

struct worker {
    struct bench bench;
    operation *run;
    uint64_t for_ns, asked;
    double ns;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    w->ns = measure(&w->bench, w->run, w->for_ns, &w->asked);
    return NULL;
}

/* Operations a second of as many threads as there are cores. */
static double measure_threads(const struct bench *b, operation *run, uint64_t for_ns, long n)
{
    struct worker *workers = calloc((size_t)n, sizeof *workers);
    double per_second = 0;
    long begun = 0;

    if (!workers)
        return 0;
    for (; begun < n; begun++) {
        workers[begun].bench = *b;
        memset(workers[begun].bench.out, 0, sizeof workers[begun].bench.out);
        workers[begun].bench.at = (size_t)begun * b->n_keys / (size_t)n;
        workers[begun].run = run;
        workers[begun].for_ns = for_ns;
        if (pthread_create(&workers[begun].thread, NULL, work, &workers[begun]) != 0)
            break;
    }
    for (long i = 0; i < begun; i++) {
        pthread_join(workers[i].thread, NULL);
        per_second += 1e9 / workers[i].ns;
        for (size_t j = 0; j < MANY; j++)
            libcache_release_value(&workers[i].bench.out[j]);
    }
    free(workers);
    return begun == n ? per_second : 0;
}

static void run_figures(struct bench *b, struct figure *figures, size_t n, uint64_t for_ns, size_t timed)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t piece = for_ns / (n * (ROUNDS + 1));

    cores = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : cores;
    for (int round = 0; round < ROUNDS && !stop_asked; round++)
        for (size_t i = 0; i < n; i++) {
            b->found = 0;
            figures[i].round_ns[round] = measure(b, figures[i].run, piece, &figures[i].asked);
            figures[i].found += b->found;
        }
    for (size_t i = 0; i < n && !stop_asked; i++) {
        qsort(figures[i].round_ns, ROUNDS, sizeof(double), by_size);
        figures[i].ns = figures[i].round_ns[ROUNDS / 2];
        time_single(b, &figures[i], timed);
        if (figures[i].threads && cores > 1)
            figures[i].threads_per_s = measure_threads(b, figures[i].run, piece, cores);
    }
}

/* ---- What is printed ----------------------------------------------------------------------------------------------------------- */

static void print_figures(const struct figure *figures, size_t n, int json)
{
    char c[5][SHORT_TEXT];

    for (size_t i = 0; i < n; i++) {
        const struct figure *f = &figures[i];
        if (json) {
            json_open(NULL, '{');
            json_text("name", f->name);
            json_real("ns", f->ns);
            json_real("p50_ns", f->p50_ns);
            json_real("p99_ns", f->p99_ns);
            json_real("per_second", 1e9 / f->ns);
            if (f->is_get)
                json_real("found", (double)f->found / (double)f->asked);
            if (f->threads_per_s > 0)
                json_real("per_second_all_cores", f->threads_per_s);
            json_close();
        } else {
            printf("%-16s %9s %9s/s  %9s %9s", f->name, show_us(c[0], f->ns / 1e3), show_count(c[1], 1e9 / f->ns),
                   show_us(c[2], f->p50_ns / 1e3), show_us(c[3], f->p99_ns / 1e3));
            printf("  %9s%s  %s\n", f->threads_per_s > 0 ? show_count(c[4], f->threads_per_s) : "",
                   f->threads_per_s > 0 ? "/s" : "  ", f->about);
            if (f->is_get && f->found < f->asked)
                printf("                 (%.2f %% of them were as expected: the memory does not hold all keys)\n",
                       100.0 * (double)f->found / (double)f->asked);
        }
    }
}

/* ---- Setting up ------------------------------------------------------------------------------------------------------------------ */

static int fill_keys(struct bench *b)
{
    uint64_t state = 88172645463325252u;

    b->keys = calloc(b->n_keys, sizeof *b->keys);
    b->order = calloc(b->n_keys, sizeof *b->order);
    b->value = malloc(b->value_bytes);
    if (!b->keys || !b->order || !b->value)
        return fail(TOOL_FAILED, "no memory");
    memset(b->value, 'v', b->value_bytes);
    for (size_t i = 0; i < b->n_keys; i++) {
        snprintf(b->keys[i], sizeof b->keys[i], "bench:%08x:%09u", (unsigned)getpid(), (unsigned)i % 1000000000u);
        state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* xorshift64, Marsaglia 2003 */
        b->order[i] = (uint32_t)(state % b->n_keys);
    }
    return TOOL_OK;
}

static int open_bench(struct bench *b, const struct args *args, int with_redis)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    int result;

    if (with_redis)
        target_options(&options, args);
    options.memory_bytes = args->memory_bytes;
    result = libcache_open(&b->cache, &options, &error);
    if (result == LIBCACHE_OK)
        result = libcache_open_namespace(&b->ns, b->cache, NAMESPACE, NULL, &error);
    return result == LIBCACHE_OK ? TOOL_OK : fail(exit_code_of(result), "bench: %s", error.text);
}

static void close_bench(struct bench *b)
{
    for (size_t i = 0; i < MANY; i++)
        libcache_release_value(&b->out[i]);
    libcache_close(b->cache);
    b->cache = NULL;
}

static int bench_memory(struct bench *b, const struct args *args, uint64_t for_ns)
{
    static struct figure figures[] = {
        { "get, hit", "value copied out", get_hit, 1, 1, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "get, absent", "", get_absent, 0, 1, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "get_many of 16", "for one key of them; p50 and p99 of the call", get_many, 0, 1, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "set", "over an older value", set, 1, 0, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "set with a tag", "", set_tagged, 0, 0, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "invalidate a tag", "however many entries carry it", invalidate_tag, 0, 0, { 0 }, 0, 0, 0, 0, 0, 0 },
    };
    int code = open_bench(b, args, 0);

    if (code != TOOL_OK)
        return code;
    for (size_t i = 0; i < b->n_keys; i++)
        if (libcache_set(b->ns, b->keys[i], KEY_BYTES, b->value, b->value_bytes, NULL) != LIBCACHE_OK)
            b->failed++;
    run_figures(b, figures, sizeof figures / sizeof *figures, for_ns, TIMED);
    if (args->json)
        json_open("memory", '[');
    else
        puts("                      each                    p50       p99   all cores");
    print_figures(figures, sizeof figures / sizeof *figures, args->json);
    if (args->json)
        json_close();
    return TOOL_OK;
}

static int bench_redis(struct bench *b, const struct args *args, uint64_t for_ns)
{
    static struct figure figures[] = {
        { "L2 set", "a round trip", redis_set, 0, 0, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "L2 get", "a round trip", redis_get, 0, 1, { 0 }, 0, 0, 0, 0, 0, 0 },
        { "L2 get_many", "for one key of 16; p50 and p99 of the call", redis_get_many, 0, 1, { 0 }, 0, 0, 0, 0, 0, 0 },
    };
    libcache_slice keys[REDIS_KEYS];
    int code = open_bench(b, args, 1);

    if (code != TOOL_OK)
        return code;
    b->failed = b->found = 0;
    for (size_t i = 0; i < REDIS_KEYS; i++)
        redis_set(b);
    if (b->failed)
        return fail(TOOL_REDIS, "bench: %s does not take values; libcache doctor may say why", url_shown(args->redis));
    run_figures(b, figures, sizeof figures / sizeof *figures, for_ns, TIMED_REDIS);
    for (size_t i = 0; i < REDIS_KEYS; i++)
        keys[i] = (libcache_slice){ b->keys[i], KEY_BYTES };
    libcache_delete_many(b->ns, keys, REDIS_KEYS, NULL, LIBCACHE_NO_PUBLISH);
    if (args->json)
        json_open("redis", '[');
    print_figures(figures, sizeof figures / sizeof *figures, args->json);
    if (args->json)
        json_close();
    return TOOL_OK;
}

int cmd_bench(struct args *args)
{
    struct bench b;
    uint64_t for_ns = (args->seconds_ms ? args->seconds_ms : 5000) * UINT64_C(1000000);
    char memory[SHORT_TEXT], size[SHORT_TEXT];
    int code;

    memset(&b, 0, sizeof b);
    args->memory_bytes = args->memory_bytes ? args->memory_bytes : (uint64_t)64 << 20;
    b.n_keys = args->count ? (size_t)args->count : 100000;
    b.value_bytes = args->size_bytes ? (size_t)args->size_bytes : 100;
    catch_signals(1);
    code = fill_keys(&b);
    if (code == TOOL_OK && args->json) {
        json_open(NULL, '{');
        json_number("keys", b.n_keys);
        json_number("value_bytes", b.value_bytes);
        json_number("memory_bytes", args->memory_bytes);
        json_number("cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    } else if (code == TOOL_OK) {
        printf("%zu keys of %d bytes, values of %s, private segment of %s, %ld cores\n\n", b.n_keys, KEY_BYTES,
               show_bytes(size, b.value_bytes), show_bytes(memory, args->memory_bytes), sysconf(_SC_NPROCESSORS_ONLN));
        fflush(stdout);
    }
    if (code == TOOL_OK)
        code = bench_memory(&b, args, args->redis ? for_ns / 2 : for_ns);
    close_bench(&b);
    if (code == TOOL_OK && args->redis && !stop_asked) {
        code = bench_redis(&b, args, for_ns / 2);
        close_bench(&b);
    }
    if (code == TOOL_OK && stop_asked)
        code = fail(TOOL_FAILED, "bench: interrupted");
    free(b.keys);
    free(b.order);
    free(b.value);
    return code;
}
