/*
 * bench-l1: libcache beside its peers, in one run. See bench/README.md for what is measured and how.
 */
#define _GNU_SOURCE
#include "bench_l1.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESULTS_MAX = 256, TINY_DIVISOR = 100 };

const bench_engine *const bench_engines[] = {
    &engine_libcache,
    &engine_libcache_shared,
#ifdef HAVE_ROCKSDB
    &engine_rocksdb_hyperclock,
    &engine_rocksdb_lru,
#endif
#ifdef HAVE_CUCKOO
    &engine_libcuckoo,
#endif
#ifdef HAVE_TBB
    &engine_tbb,
#endif
#ifdef HAVE_UTHASH
    &engine_uthash_mutex,
#endif
    &engine_bare,
    &engine_floor,
    NULL,
};

const bench_engine *const bench_outside_engines[] = {
    &engine_libcache_shared,
#ifdef HAVE_LMDB
    &engine_lmdb,
#endif
#ifdef HAVE_MEMCACHED
    &engine_memcached,
#endif
    &engine_redis,
    NULL,
};

static const bench_case cases[] = {
    { { "get", "mix95" }, bench_run_engines, 1000000, 100, 1000000 },
    { { "same_pages" }, bench_run_same_pages, 1000000, 100, 1000000 },
    { { "processes" }, bench_run_processes, 1000000, 100, 1000000 },
    { { "get_many16" }, bench_run_get_many, 1000000, 100, 1000000 },
    { { "tags3" }, bench_run_tags, 1000000, 100, 1000000 },
    { { "chained" }, bench_run_chained, 1000000, 100, 600000 },
    { { "chained" }, bench_run_chained, 100, 100, 2000000 },
    { { "chained" }, bench_run_chained, 10000, 100, 2000000 },
    { { "get" }, bench_run_engines, 10000, 100, 4000000 },
    { { "outside", "outside95" }, bench_run_outside, 10000, 100, 10000 },
    { { "get" }, bench_run_engines, 200000, 1000, 600000 },
    { { "latency" }, bench_run_latency, 300000, 100, 300000 },
    { { "invalidate" }, bench_run_invalidate, 1000000, 100, 0 },
    { { "memory" }, bench_run_memory, 0, 64, 0 },
    { { "memory" }, bench_run_memory, 0, 100, 0 },
    { { "memory" }, bench_run_memory, 0, 1024, 0 },
    { { "memory" }, bench_run_memory, 0, 16384, 0 },
    { { "memory" }, bench_run_memory, 0, 0, 0 },
};

enum { CASES = sizeof cases / sizeof *cases };

/* ---- results of a case, in its child --------------------------------------------------------------- */

static int result_fd = -1; /* the pipe to the parent; set in the child only */

void bench_emit(const bench_result *result)
{
    if (write(result_fd, result, sizeof *result) != (ssize_t)sizeof *result)
        harness_die("cannot write a result: %s", strerror(errno));
}

void bench_add_sample(bench_samples *samples, double ns_per_op, double hit_ratio)
{
    if (samples->n == BENCH_ROUNDS_MAX)
        harness_die("more than %d rounds", BENCH_ROUNDS_MAX);
    samples->ns[samples->n++] = ns_per_op;
    samples->hit_ratio_sum += hit_ratio;
}

static void copy_text(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from);
}

bench_result bench_make_result(const char *bench, const char *engine, const char *mix, bench_samples *samples)
{
    bench_result result = { .rounds = samples->n };

    copy_text(result.bench, sizeof result.bench, bench);
    copy_text(result.engine, sizeof result.engine, engine);
    copy_text(result.mix, sizeof result.mix, mix);
    result.ns_per_op = harness_median(samples->ns, samples->n);
    result.fastest_ns = samples->ns[0];
    result.slowest_ns = samples->ns[samples->n - 1];
    result.hit_ratio = samples->hit_ratio_sum / samples->n;
    return result;
}

void bench_add_extra(bench_result *result, const char *name, double value)
{
    bench_extra *extra = &result->extra[result->n_extra++];

    copy_text(extra->name, sizeof extra->name, name);
    extra->value = value;
}

/* ---- running a case ------------------------------------------------------------------------------- */

static int is_listed(const char *const *list, const char *name)
{
    if (list[0] == NULL)
        return 1;
    for (; *list != NULL; list++)
        if (strcmp(*list, name) == 0)
            return 1;
    return 0;
}

int bench_wants(const bench_options *options, const char *bench)
{
    return is_listed(options->benches, bench);
}

int bench_wants_engine(const bench_options *options, const char *engine)
{
    if (options->quick && options->engines[0] == NULL && strcmp(engine, engine_bare.name) == 0)
        return 0; /* a yardstick: only where it is asked for or there is time */
    return is_listed(options->engines, engine);
}

/* Benches of libcache alone need only libcache to be wanted. */
static int case_is_wanted(const bench_case *c, const bench_options *options)
{
    int compares = c->run == bench_run_engines || c->run == bench_run_same_pages || c->run == bench_run_processes ||
                   c->run == bench_run_latency || c->run == bench_run_outside;

    if (!compares && !bench_wants_engine(options, "libcache"))
        return 0;
    return bench_wants(options, c->benches[0]) || (c->benches[1] != NULL && bench_wants(options, c->benches[1]));
}

static void run_in_child(const bench_case *c, const bench_options *options, const workload *load)
{
    c->run(c, options, load);
    fflush(stdout);
    _exit(0);
}

/* Ends with how many results there are. */
static size_t run_case(const bench_case *c, const bench_options *options, const workload *load, bench_result *results,
                       size_t n)
{
    int ends[2], status;
    pid_t child;
    FILE *input;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        harness_die("cannot start a process: %s", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        result_fd = ends[1];
        run_in_child(c, options, load);
    }
    close(ends[1]);
    input = fdopen(ends[0], "r");
    if (input == NULL)
        harness_die("cannot read results: %s", strerror(errno));
    while (n < RESULTS_MAX && fread(&results[n], sizeof *results, 1, input) == 1)
        report_result(options, &results[n++]);
    fclose(input);
    if (waitpid(child, &status, 0) != child || status != 0)
        harness_die("bench %s failed", c->benches[0]);
    return n;
}

static void run_cases(const bench_options *options)
{
    static bench_result results[RESULTS_MAX];
    workload load = { 0 };
    size_t n = 0;

    for (unsigned i = 0; i < CASES; i++) {
        bench_case c = cases[i];

        if (!case_is_wanted(&c, options))
            continue;
        if (options->tiny)
            c.keys /= TINY_DIVISOR;
        if (c.ops != 0 && load.keys != c.keys) {
            workload_release(&load);
            workload_init(&load, c.keys, options->draws);
        }
        n = run_case(&c, options, &load, results, n);
    }
    workload_release(&load);
    if (!options->json && !options->tiny)
        report_targets(results, n);
}

/* ---- options -------------------------------------------------------------------------------------- */

static const char help[] = "Usage: bench-l1 [OPTION]...\n"
                           "Measures libcache beside other in-memory engines.\n"
                           "\n"
                           "  --quick         fewer rounds and requests; ends within 50 s\n"
                           "  --tiny          a hundredth of everything, to see that it runs\n"
                           "  --json          one JSON object a line instead of tables\n"
                           "  --bench NAME    only this bench (repeatable)\n"
                           "  --engine NAME   only this engine (repeatable)\n"
                           "  --no-huge       no huge pages, for any engine\n"
                           "  --peers-huge    huge pages for the peers, too\n"
                           "  --list          names of benches and engines\n"
                           "  --help          this text\n"
                           "\n"
                           "Exits with 1 when an engine returned a wrong value. See bench/README.md.\n";

static void put_list(void)
{
    for (unsigned i = 0; i < CASES; i++)
        for (unsigned j = 0; cases[i].benches[j] != NULL; j++)
            printf("bench  %-14s %8zu keys x %5zu B\n", cases[i].benches[j], cases[i].keys, cases[i].value_bytes);
    for (unsigned i = 0; bench_engines[i] != NULL; i++)
        printf("engine %s\n", bench_engines[i]->name);
    for (unsigned i = 1; bench_outside_engines[i] != NULL; i++)
        printf("engine %s (outside)\n", bench_outside_engines[i]->name);
}

static int bench_exists(const char *name)
{
    for (unsigned i = 0; i < CASES; i++)
        for (unsigned j = 0; cases[i].benches[j] != NULL; j++)
            if (strcmp(cases[i].benches[j], name) == 0)
                return 1;
    return 0;
}

static int engine_exists(const char *name)
{
    for (unsigned i = 0; bench_engines[i] != NULL; i++)
        if (strcmp(bench_engines[i]->name, name) == 0)
            return 1;
    for (unsigned i = 0; bench_outside_engines[i] != NULL; i++)
        if (strcmp(bench_outside_engines[i]->name, name) == 0)
            return 1;
    return 0;
}

static void add_name(const char **list, const char *name, int exists)
{
    unsigned n = 0;

    if (!exists)
        harness_die("there is no '%s' (see --list)", name);
    while (list[n] != NULL)
        n++;
    if (n + 1 == BENCH_NAMES_MAX)
        harness_die("too many names");
    list[n] = name;
}

static void set_size(bench_options *options)
{
    if (options->tiny) {
        options->rounds = 2;
        options->ops_divisor = TINY_DIVISOR;
        options->draws = 1u << 14;
        options->memory_budget_bytes = (size_t)1 << 20;
    } else {
        options->rounds = options->quick ? 5 : 9;
        options->ops_divisor = options->quick ? 12 : 1;
        options->draws = options->quick ? 1u << 20 : 1u << 22;
        options->memory_budget_bytes = (size_t)(options->quick ? 64 : 256) << 20;
    }
}

static bench_options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },
        { "tiny", no_argument, NULL, 't' },
        { "json", no_argument, NULL, 'j' },
        { "bench", required_argument, NULL, 'b' },
        { "engine", required_argument, NULL, 'e' },
        { "no-huge", no_argument, NULL, 'n' },
        { "peers-huge", no_argument, NULL, 'p' },
        { "list", no_argument, NULL, 'l' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    bench_options options = { .huge = 1 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': options.quick = 1; break;
        case 't': options.tiny = 1; break;
        case 'j': options.json = 1; break;
        case 'n': options.huge = 0; break;
        case 'p': options.peers_huge = 1; break;
        case 'b': add_name(options.benches, optarg, bench_exists(optarg)); break;
        case 'e': add_name(options.engines, optarg, engine_exists(optarg)); break;
        case 'l': put_list(); exit(0);
        case 'h': fputs(help, stdout); exit(0);
        default: exit(2);
        }
    }
    if (optind != argc)
        harness_die("unexpected argument '%s'", argv[optind]);
    set_size(&options);
    return options;
}

/*
 * libcache asks for huge pages itself. The peers live on malloc as it comes; with --peers-huge glibc is told to
 * ask for them there, which it reads at program start only: the program starts itself again. With --no-huge
 * nobody gets any.
 */
static void arrange_pages(const bench_options *options, char **argv)
{
    static const char tunable[] = "glibc.malloc.hugetlb=1";
    const char *set = getenv("GLIBC_TUNABLES");

    if (!options->huge) {
        if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
            harness_die("cannot switch huge pages off: %s", strerror(errno));
        return;
    }
    if (!options->peers_huge || set != NULL)
        return;
    setenv("GLIBC_TUNABLES", tunable, 1);
    execv("/proc/self/exe", argv);
    fprintf(stderr, "bench-l1: peers run without huge pages: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
    bench_options options = parse_options(argc, argv);

    arrange_pages(&options, argv);
    run_cases(&options);
    return 0;
}
