/*
 * How long single operations take: percentiles of gets and sets while two threads work and, by scenario, entries are
 * evicted, expire, or are invalidated by the tag in their hundreds. Every operation is timed alone; what a pair of clock
 * readings takes is taken off. Throughput is told by the other benches: two clock readings cost as much as a get.
 *
 * Times go into a log-linear histogram (Tene's HdrHistogram): 32 steps to an octave, so a figure is at most 1/32 too large.
 */
#include "bench_l1.h"

#include <errno.h>
#include <libcache.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STEP_BITS = 5,
    STEPS = 1 << STEP_BITS,
    OCTAVES = 36,
    VALUE_MAX = 1024,
    SET_EVERY = 10,
    STORM_PAUSE_NS = 100 * 1000,
    BUDGET_LEAST = 512 * 1024
};
enum {
    FILLS = 2
}; /* all memory was used before: the first touch of a page, of a huge one above all, is the kernel's time */
enum { TENANTS = 1000 }; /* of engine_libcache.c: tags tenant:0 to tenant:999 */

/* ---- Histogram ------------------------------------------------------------------------------------------------------ */

typedef struct histogram {
    uint64_t count[STEPS * OCTAVES];
    uint64_t n, sum_ns, max_ns;
} histogram;

static unsigned slot_of(uint64_t ns)
{
    unsigned octave;

    if (ns < STEPS)
        return (unsigned)ns;
    octave = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    if (octave > OCTAVES - 2)
        return STEPS * OCTAVES - 1;
    return (octave + 1) * STEPS + (unsigned)((ns >> octave) & (STEPS - 1));
}

/* The largest time that is counted in this slot. */
static double most_of(unsigned slot)
{
    unsigned octave = slot / STEPS;

    if (octave == 0)
        return slot;
    return (double)((((uint64_t)(slot % STEPS) + STEPS + 1) << (octave - 1)) - 1);
}

static void record(histogram *h, uint64_t ns)
{
    h->count[slot_of(ns)]++;
    h->n++;
    h->sum_ns += ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
}

static void merge(histogram *into, const histogram *from)
{
    for (unsigned i = 0; i < STEPS * OCTAVES; i++)
        into->count[i] += from->count[i];
    into->n += from->n;
    into->sum_ns += from->sum_ns;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
}

static double percentile(const histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->n), seen = 0;

    for (unsigned i = 0; i < STEPS * OCTAVES; i++)
        if ((seen += h->count[i]) > wanted)
            return most_of(i) < (double)h->max_ns ? most_of(i) : (double)h->max_ns;
    return (double)h->max_ns;
}

/* ---- Scenarios ------------------------------------------------------------------------------------------------------- */

typedef struct scenario {
    const char *name;
    double room;       /* of the budget that holds all keys amply ... */
    double fit;        /* ... so that this share of them fits; 0: all */
    uint64_t ttl_ms;   /* shortest life; the longest is five times that. 0: for ever */
    unsigned tags;     /* with them, a third thread invalidates a tenant of 1000 every 100 us */
    int libcache_only; /* it asks for what peers do not have */
} scenario;

static const scenario scenarios[] = {
    { "all hit", 1.0, 0, 0, 0, 0 },
    { "evictions", 0.2, 0.33, 0, 0, 0 },
    { "expiry", 1.0, 0, 20, 0, 1 },
    { "tag storm", 1.0, 0, 0, 3, 1 },
};

enum { GETS, SETS, KINDS };
static const char *const kind_names[KINDS] = { "get", "set" };

typedef struct contender {
    const bench_engine *engine;
    void *self;
    histogram *seen[KINDS];
    bench_samples samples[KINDS];
} contender;

typedef struct worker {
    pthread_t thread;
    const scenario *scenario;
    const contender *contender;
    const workload *load;
    pthread_barrier_t *start;
    size_t value_bytes, place, ops;
    uint64_t clock_ns, hits;
    unsigned index;
    histogram seen[KINDS];
} worker;

/* What two readings of the clock take, one after the other: the median. */
static uint64_t clock_cost_ns(void)
{
    double pairs[1001];

    for (unsigned i = 0; i < 1001; i++) {
        uint64_t begin = harness_now_ns();
        pairs[i] = (double)(harness_now_ns() - begin);
    }
    return (uint64_t)harness_median(pairs, 1001);
}

static void note(worker *me, unsigned kind, uint64_t begin_ns)
{
    uint64_t ns = harness_now_ns() - begin_ns;

    record(&me->seen[kind], ns > me->clock_ns ? ns - me->clock_ns : 0);
}

static void store(worker *me, uint32_t number, const char *key, char *value)
{
    const contender *c = me->contender;
    uint64_t ttl_ms = me->scenario->ttl_ms, begin_ns;

    workload_stamp_value(value, number);
    if (ttl_ms != 0) {
        libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

        options.ttl_ms = ttl_ms * (1 + number % 5);
        begin_ns = harness_now_ns();
        if (libcache_set(engine_libcache_ns(c->self), key, ENGINE_KEY_BYTES, value, me->value_bytes, &options) !=
            LIBCACHE_OK)
            harness_die("libcache_set failed");
    } else {
        begin_ns = harness_now_ns();
        c->engine->set(c->self, number, key, value);
    }
    note(me, SETS, begin_ns);
}

static void *work(void *opaque)
{
    worker *me = opaque;
    const contender *c = me->contender;
    char value[VALUE_MAX];

    harness_pin_thread(me->index);
    memset(value, 'v', sizeof value);
    pthread_barrier_wait(me->start);
    for (size_t i = 0; i < me->ops; i++) {
        uint32_t number = me->load->requests[me->index][(me->place + i) & (me->load->draws - 1)];
        const char *key = workload_key(me->load, number);
        char out[VALUE_MAX];
        uint64_t begin_ns;
        size_t size;

        workload_prefetch_key(me->load, me->load->requests[me->index][(me->place + i + 8) & (me->load->draws - 1)]);
        begin_ns = harness_now_ns();
        size = c->engine->get(c->self, number, key, out);
        note(me, GETS, begin_ns);
        me->hits += size != 0;
        if (size != 0)
            workload_check_value(c->engine->name, out, number);
        if (size == 0 || i % SET_EVERY == 0)
            store(me, number, key, value);
    }
    return NULL;
}

typedef struct storm {
    pthread_t thread;
    void *engine;
    int over;
    uint64_t invalidations;
} storm;

static void *rage(void *opaque)
{
    storm *s = opaque;
    const struct timespec pause = { 0, STORM_PAUSE_NS };
    uint64_t random_state = 42;

    while (!__atomic_load_n(&s->over, __ATOMIC_ACQUIRE)) {
        char text[24];
        libcache_slice tag = { text, (size_t)snprintf(text, sizeof text, "tenant:%u",
                                                      (unsigned)(harness_random(&random_state) % TENANTS)) };

        if (libcache_invalidate_tags(engine_libcache_cache(s->engine), &tag, 1, 0) != LIBCACHE_OK)
            harness_die("libcache_invalidate_tags failed");
        s->invalidations++;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    int failed = pthread_create(thread, NULL, run, arg);

    if (failed)
        harness_die("cannot start a thread: %s", strerror(failed));
}

static void run_round(const scenario *s, contender *c, const workload *load, size_t value_bytes, size_t place,
                      size_t ops)
{
    worker *workers = harness_allocate(BENCH_THREADS_MAX * sizeof *workers);
    uint64_t clock_ns = clock_cost_ns(), hits = 0;
    pthread_barrier_t start;
    storm weather = { .engine = c->self };

    memset(workers, 0, BENCH_THREADS_MAX * sizeof *workers);
    pthread_barrier_init(&start, NULL, BENCH_THREADS_MAX);
    if (s->tags != 0)
        start_thread(&weather.thread, rage, &weather);
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++) {
        worker *w = &workers[i];

        *w = (worker){ .scenario = s, .contender = c, .load = load, .start = &start, .index = i };
        w->value_bytes = value_bytes;
        w->place = place;
        w->ops = ops;
        w->clock_ns = clock_ns;
        start_thread(&w->thread, work, w);
    }
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++) {
        pthread_join(workers[i].thread, NULL);
        hits += workers[i].hits;
    }
    if (s->tags != 0) {
        __atomic_store_n(&weather.over, 1, __ATOMIC_RELEASE);
        pthread_join(weather.thread, NULL);
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        histogram *now = &workers[0].seen[kind];

        merge(now, &workers[1].seen[kind]);
        merge(c->seen[kind], now);
        bench_add_sample(&c->samples[kind], now->n != 0 ? (double)now->sum_ns / (double)now->n : 0,
                         (double)hits / (double)(ops * BENCH_THREADS_MAX));
    }
    pthread_barrier_destroy(&start);
    free(workers);
}

static void emit(const scenario *s, contender *c, size_t keys, size_t value_bytes)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {
        { "p50_ns", 0.5 }, { "p90_ns", 0.9 }, { "p99_ns", 0.99 }, { "p99.9_ns", 0.999 }, { "p99.99_ns", 0.9999 }
    };

    for (unsigned kind = 0; kind < KINDS; kind++) {
        char mix[24];
        bench_result result;

        snprintf(mix, sizeof mix, "%s, %s", s->name, kind_names[kind]);
        result = bench_make_result("latency", c->engine->name, mix, &c->samples[kind]);
        result.threads = BENCH_THREADS_MAX;
        result.keys = keys;
        result.value_bytes = (double)value_bytes;
        for (unsigned i = 0; i < sizeof points / sizeof *points; i++)
            bench_add_extra(&result, points[i].name, percentile(c->seen[kind], points[i].share));
        bench_add_extra(&result, "max_ns", (double)c->seen[kind]->max_ns);
        bench_add_extra(&result, "operations", (double)c->seen[kind]->n);
        bench_emit(&result);
        free(c->seen[kind]);
    }
}

static contender open_contender(const bench_engine *engine, const scenario *s, const bench_case *of,
                                const workload *load, int huge)
{
    engine_config config = { .keys = load->keys, .value_bytes = of->value_bytes, .tags = s->tags, .huge = huge, .room = s->fit };
    contender c = { .engine = engine };

    config.budget_bytes = (size_t)(s->room * (double)bench_budget(load->keys, of->value_bytes, s->tags));
    if (config.budget_bytes < BUDGET_LEAST)
        config.budget_bytes = BUDGET_LEAST;
    c.self = engine->open(&config);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        c.seen[kind] = harness_allocate(sizeof *c.seen[kind]);
        memset(c.seen[kind], 0, sizeof *c.seen[kind]);
    }
    for (unsigned i = 0; i < FILLS; i++)
        traffic_fill(engine, c.self, load, of->value_bytes);
    return c;
}

void bench_run_latency(const bench_case *self, const bench_options *options, const workload *load)
{
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const scenario *s = &scenarios[i];
        contender contenders[BENCH_NAMES_MAX];
        size_t ops = self->ops / options->ops_divisor;
        unsigned n = 0;

        for (unsigned j = 0; bench_engines[j] != NULL && n < BENCH_NAMES_MAX; j++) {
            const bench_engine *engine = bench_engines[j];
            int takes_part = engine == &engine_libcache || (!s->libcache_only && engine->evicts);

            if (takes_part && bench_wants_engine(options, engine->name))
                contenders[n++] = open_contender(engine, s, self, load, options->huge);
        }
        for (unsigned round = 0; round < options->rounds; round++)
            for (unsigned turn = 0; turn < n; turn++)
                run_round(s, &contenders[(round + turn) % n], load, self->value_bytes, round * ops, ops);
        for (unsigned j = 0; j < n; j++) {
            emit(s, &contenders[j], load->keys, self->value_bytes);
            contenders[j].engine->close(contenders[j].self);
        }
    }
}
