/*
 * bench-l1 from the inside. A *case* opens engines over one set of keys, measures, and emits results. Each
 * case runs in a forked child of its own, so that memory, heap fragmentation and huge pages of one never
 * reach the next; results come back through a pipe, and only the parent prints.
 *
 *     bench_l1.c            options, the list of cases, the children
 *     bench_l1_workload.c   keys and Zipf-distributed requests, made ahead of all timing
 *     bench_l1_traffic.c    the timed loops, by threads and by processes
 *     bench_l1_engines.c    get, mix95, same_pages, processes: engines side by side
 *     bench_l1_features.c   get_many16, tags3, invalidate: libcache against itself
 *     bench_l1_latency.c    latency: percentiles of single operations
 *     bench_l1_memory.c     memory: bytes per entry, resident memory
 *     bench_l1_report.c     JSON lines or tables
 *     bench_l1_targets.c    what must be reached, and whether it was
 */
#ifndef BENCH_L1_H
#define BENCH_L1_H

#include "engine.h"
#include "harness.h"

enum { BENCH_THREADS_MAX = 2, BENCH_ROUNDS_MAX = 16, BENCH_NAMES_MAX = 16, BENCH_EXTRA_MAX = 10 };

typedef struct bench_options {
    int json, tiny, quick;
    int huge;                             /* 0: no huge pages for anybody */
    int peers_huge;                       /* 1: for the peers' malloc, too */
    const char *benches[BENCH_NAMES_MAX]; /* NULL-terminated; empty: all */
    const char *engines[BENCH_NAMES_MAX]; /* the same */
    unsigned rounds;                      /* of every measurement, engines interleaved; the median counts */
    unsigned ops_divisor;                 /* of the operations per round; sizes in tiny */
    size_t draws;                         /* requests made ahead per thread, a power of two */
    size_t memory_budget_bytes;           /* of the bench "memory" */
} bench_options;

int bench_wants(const bench_options *options, const char *bench);
int bench_wants_engine(const bench_options *options, const char *engine);

/* ---- results ------------------------------------------------------------------------------------- */

typedef struct bench_extra {
    char name[28];
    double value;
} bench_extra;

/* Plain data: it crosses the pipe as it is. */
typedef struct bench_result {
    char bench[16], engine[24], mix[24]; /* mix: percent of gets / percent of sets, or the operation */
    unsigned threads;                    /* or processes */
    uint64_t keys;
    double value_bytes;            /* mean */
    double ns_per_op;              /* median over the rounds, as one thread sees it */
    double fastest_ns, slowest_ns; /* rounds */
    double hit_ratio;              /* counted from the results of the gets */
    unsigned rounds;
    int huge; /* the engine's memory turned out to be mostly in huge pages */
    unsigned n_extra;
    bench_extra extra[BENCH_EXTRA_MAX];
} bench_result;

/* What the rounds of one measurement gave. */
typedef struct bench_samples {
    unsigned n;
    double ns[BENCH_ROUNDS_MAX];
    double hit_ratio_sum;
} bench_samples;

void bench_add_sample(bench_samples *samples, double ns_per_op, double hit_ratio);
bench_result bench_make_result(const char *bench, const char *engine, const char *mix, bench_samples *samples);
void bench_add_extra(bench_result *result, const char *name, double value);

/* Called by cases, in the child. */
void bench_emit(const bench_result *result);

/* ---- requests ------------------------------------------------------------------------------------ */

enum { WORKLOAD_KEY_STRIDE = 32 }; /* keys never straddle a cache line */

typedef struct workload {
    size_t keys;
    size_t draws; /* a power of two */
    char *key_bytes;
    uint32_t *requests[BENCH_THREADS_MAX]; /* key numbers, Zipf 0.99, hot ones scattered over all keys */
} workload;

void workload_init(workload *load, size_t keys, size_t draws);
void workload_release(workload *load);
void workload_format_key(char key[ENGINE_KEY_BYTES], uint64_t number);

static inline const char *workload_key(const workload *load, uint32_t number)
{
    return load->key_bytes + (size_t)number * WORKLOAD_KEY_STRIDE;
}

/*
 * Asks for a key's bytes. The empty asm is what keeps it: a function that does nothing but __builtin_prefetch does nothing, to GCC,
 * which leaves out its calls.
 */
static inline void workload_prefetch_key(const workload *load, uint32_t number)
{
    __builtin_prefetch(workload_key(load, number));
    __asm__ volatile("");
}

/* A value starts with its key's number. */
void workload_stamp_value(char *value, uint64_t number);
void workload_check_value(const char *engine, const char *value, uint64_t number); /* dies when it is another's */

/* ---- traffic ------------------------------------------------------------------------------------- */

typedef struct traffic {
    const bench_engine *engine;
    void *self;
    const workload *load;
    size_t value_bytes;
    unsigned threads;
    size_t warm_ops;    /* of each thread, before the clock starts */
    size_t ops;         /* of each thread */
    unsigned set_every; /* 0: gets only; 1: sets only; 20: 5 % sets */
    size_t start;       /* place in the requests */
} traffic;

void traffic_fill(const bench_engine *engine, void *self, const workload *load, size_t value_bytes);
void traffic_run(const traffic *t, bench_samples *samples);

/* Each round with 1, 2 … processes; samples has an element for each count. The engine must be shared. */
void traffic_run_processes(const traffic *t, unsigned processes, unsigned rounds, bench_samples *samples);

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct bench_case {
    const char *benches[3]; /* what it can report, NULL-terminated */
    void (*run)(const struct bench_case *self, const bench_options *options, const workload *load);
    size_t keys;        /* in tiny a hundredth; 0: as many as it takes */
    size_t value_bytes; /* 0: mixed */
    size_t ops;         /* of each thread and round; 0: it makes its own requests and is given no workload */
} bench_case;

/* Enough for all keys, whatever way they are stored. */
size_t bench_budget(size_t keys, size_t value_bytes, unsigned tags);

extern const bench_engine *const bench_engines[];         /* NULL-terminated; libcache comes first */
extern const bench_engine *const bench_outside_engines[]; /* what all processes of a host share; libcache-shared first */

void bench_run_engines(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_same_pages(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_processes(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_get_many(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_chained(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_tags(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_outside(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_latency(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_invalidate(const bench_case *self, const bench_options *options, const workload *load);
void bench_run_memory(const bench_case *self, const bench_options *options, const workload *load);

/* ---- output, in the parent ----------------------------------------------------------------------- */

void report_result(const bench_options *options, const bench_result *result);
void report_targets(const bench_result *results, size_t n);

#endif
