/*
 * Engines side by side. All of one case are open at once; every round runs each of them once, in turning
 * order, so that whatever else the machine does hits them alike.
 */
#include "bench_l1.h"

#include <stdlib.h>
#include <string.h>

enum { CONTENDERS_MAX = 12, MIX95_SET_EVERY = 20 };

typedef struct contender {
    const bench_engine *engine;
    void *self;
    int huge; /* as the kernel says */
} contender;

size_t bench_budget(size_t keys, size_t value_bytes, unsigned tags)
{
    size_t bytes = keys * (ENGINE_KEY_BYTES + value_bytes + 48 + tags * 8) * 3 / 2;

    return bytes < (1u << 20) ? 1u << 20 : bytes;
}

static contender open_contender(const bench_engine *engine, const bench_case *of, const workload *load, int huge)
{
    harness_memory before = harness_read_memory(), after;
    engine_config config = { .keys = load->keys,
                             .value_bytes = of->value_bytes,
                             .budget_bytes = bench_budget(load->keys, of->value_bytes, 0),
                             .huge = huge };
    contender opened = { .engine = engine, .self = engine->open(&config) };

    traffic_fill(engine, opened.self, load, of->value_bytes);
    after = harness_read_memory();
    opened.huge = after.huge_bytes > before.huge_bytes &&
                  after.huge_bytes - before.huge_bytes > (after.rss_bytes - before.rss_bytes) / 2;
    return opened;
}

static void close_contenders(contender *contenders, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        contenders[i].engine->close(contenders[i].self);
}

/* One measurement of all contenders, with 1, 2 … threads. */
typedef struct measurement {
    const char *bench, *mix;
    unsigned least_threads, most_threads;
    unsigned set_every;
} measurement;

static void emit_contender(const measurement *what, const contender *of, const traffic *as, bench_samples *samples)
{
    bench_result result = bench_make_result(what->bench, of->engine->name, what->mix, samples);

    result.threads = as->threads;
    result.keys = as->load->keys;
    result.value_bytes = (double)as->value_bytes;
    result.huge = of->huge;
    bench_emit(&result);
}

static void measure(const measurement *what, const bench_case *of, const bench_options *options, const workload *load,
                    const contender *contenders, unsigned n)
{
    bench_samples samples[CONTENDERS_MAX][BENCH_THREADS_MAX];
    traffic t = { .load = load, .value_bytes = of->value_bytes, .set_every = what->set_every };

    memset(samples, 0, sizeof samples);
    t.ops = of->ops / options->ops_divisor;
    t.warm_ops = t.ops / 4;
    for (unsigned round = 0; round < options->rounds; round++) {
        t.start = round * (t.warm_ops + t.ops);
        for (unsigned turn = 0; turn < n; turn++) {
            unsigned i = (round + turn) % n;

            t.engine = contenders[i].engine;
            t.self = contenders[i].self;
            for (t.threads = what->least_threads; t.threads <= what->most_threads; t.threads++)
                traffic_run(&t, &samples[i][t.threads - 1]);
        }
    }
    for (t.threads = what->least_threads; t.threads <= what->most_threads; t.threads++)
        for (unsigned i = 0; i < n; i++)
            emit_contender(what, &contenders[i], &t, &samples[i][t.threads - 1]);
}

/* Untimed: the first requests of an engine also teach it what is hot. */
static void warm_up(const bench_case *of, const workload *load, const contender *contenders, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        bench_samples ignored = { 0 };
        traffic t = { .engine = contenders[i].engine,
                      .self = contenders[i].self,
                      .load = load,
                      .value_bytes = of->value_bytes,
                      .threads = BENCH_THREADS_MAX,
                      .ops = load->keys / 4 };

        traffic_run(&t, &ignored);
    }
}

/*
 * Untimed: every key is stored once more, so that all engines have had their memory in use once. Where the kernel must give a page for the
 * first time, and the host of a virtual machine behind it, that takes longer than all the set does otherwise (700 ns of 1200 were
 * seen): a cost that a process has once.
 */
static void store_all_again(const bench_case *of, const workload *load, const contender *contenders, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        traffic_fill(contenders[i].engine, contenders[i].self, load, of->value_bytes);
}

void bench_run_engines(const bench_case *self, const bench_options *options, const workload *load)
{
    const measurement get = { "get", "100/0", 1, BENCH_THREADS_MAX, 0 };
    const measurement mix95 = { "mix95", "95/5", 2, 2, MIX95_SET_EVERY };
    contender contenders[CONTENDERS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; bench_engines[i] != NULL && n < CONTENDERS_MAX; i++)
        if (bench_wants_engine(options, bench_engines[i]->name))
            contenders[n++] = open_contender(bench_engines[i], self, load, options->huge);
    warm_up(self, load, contenders, n);
    if (bench_wants(options, "get"))
        measure(&get, self, options, load, contenders, n);
    if (self->benches[1] != NULL && bench_wants(options, "mix95")) {
        store_all_again(self, load, contenders, n);
        measure(&mix95, self, options, load, contenders, n);
    }
    /* Not closed: this process ends, and giving back a million entries one by one would take longer than measuring them. */
}

/* Beside what lives in another process or in a file: far fewer keys and requests, as each costs a round trip there. */
void bench_run_outside(const bench_case *self, const bench_options *options, const workload *load)
{
    const measurement get = { "outside", "100/0", 1, BENCH_THREADS_MAX, 0 };
    const measurement mix95 = { "outside95", "95/5", 2, 2, MIX95_SET_EVERY };
    contender contenders[CONTENDERS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; bench_outside_engines[i] != NULL && n < CONTENDERS_MAX; i++)
        if (bench_wants_engine(options, bench_outside_engines[i]->name))
            contenders[n++] = open_contender(bench_outside_engines[i], self, load, options->huge);
    if (bench_wants(options, "outside"))
        measure(&get, self, options, load, contenders, n);
    if (bench_wants(options, "outside95"))
        measure(&mix95, self, options, load, contenders, n);
    close_contenders(contenders, n);
}

/* Private against shared memory when neither has huge pages, which only the private mapping gets by default. */
void bench_run_same_pages(const bench_case *self, const bench_options *options, const workload *load)
{
    const measurement same_pages = { "same_pages", "100/0", 1, BENCH_THREADS_MAX, 0 };
    const bench_engine *const engines[] = { &engine_libcache, &engine_libcache_shared };
    contender contenders[CONTENDERS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < 2; i++)
        if (bench_wants_engine(options, engines[i]->name))
            contenders[n++] = open_contender(engines[i], self, load, 0);
    warm_up(self, load, contenders, n);
    measure(&same_pages, self, options, load, contenders, n);
    close_contenders(contenders, n);
}

/* One after the other: each is forked off with its processes. */
static void run_processes(const bench_engine *engine, const bench_case *of, const bench_options *options, const workload *load)
{
    const measurement processes = { "processes", "100/0", 1, BENCH_THREADS_MAX, 0 };
    unsigned rounds = 3 * options->rounds < BENCH_ROUNDS_MAX ? 3 * options->rounds : BENCH_ROUNDS_MAX; /* two engines: there is time */
    bench_samples samples[BENCH_THREADS_MAX];
    contender only;
    traffic t = { .engine = engine, .load = load, .value_bytes = of->value_bytes };

    if (!bench_wants_engine(options, engine->name))
        return;
    memset(samples, 0, sizeof samples);
    only = open_contender(engine, of, load, options->huge);
    t.self = only.self;
    t.ops = of->ops / options->ops_divisor;
    t.warm_ops = t.ops / 4;
    traffic_run_processes(&t, BENCH_THREADS_MAX, rounds, samples);
    for (t.threads = 1; t.threads <= BENCH_THREADS_MAX; t.threads++)
        emit_contender(&processes, &only, &t, &samples[t.threads - 1]);
    close_contenders(&only, 1);
}

/* The floor, which its processes read in memory they have in common, says how much more two processors of this machine can do than one. */
void bench_run_processes(const bench_case *self, const bench_options *options, const workload *load)
{
    run_processes(&engine_libcache_shared, self, options, load);
    run_processes(&engine_floor, self, options, load);
}
