/*
 * bench-replay: replays traces of requests as an application would: get, and on a miss set. One namespace,
 * nothing expires. The cache gets a share of the trace's footprint, which is the sum of key and value
 * bytes of its distinct keys; everything libcache needs for itself comes out of that budget.
 *
 * A trace of a live cache (libcache trace) has a sample of its keys: a share R of them misses in R times the memory as often as all
 * do in the whole (SHARDS: Waldspurger et al., FAST 2015). So memory is said as that of the whole cache, and the replay's has R times
 * that. Which keys are in the sample is luck, and a few keys may make a good part of all reads: the number of reads that a
 * sample should have had is known, and what it has too many or too few of is taken for hits (SHARDS-adj in that paper).
 */
#define _GNU_SOURCE
#include "bench_replay.h"
#include "harness.h"

#include <getopt.h>
#include <libcache.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RATIOS_MAX = 32, POLICIES_MAX = 8 };

/* Where no --value-bytes is given: values are at least so large that no budget is below this. */
static const double least_budget_bytes = 8 << 20;

static const size_t budget_min_bytes = 256 << 10; /* libcache's */

/* --check: how much more may miss than with the reference. */
static const double tolerance = 0.02;

typedef struct replay_options {
    double ratios[RATIOS_MAX];
    unsigned n_ratios;
    double memory[RATIOS_MAX]; /* bytes of the whole cache */
    unsigned n_memory;
    int cold;
    double value_bytes; /* mean over keys; 0: chosen */
    int json, check;
    int simulate[POLICIES_MAX]; /* by the policies' numbers */
    const char *reference;      /* CSV file, or NULL */
    const char *name;           /* of the trace in it; NULL: as the file is called */
} replay_options;

/* One replay of one trace: what it is about, and what came out. */
typedef struct replay {
    const replay_trace *trace;
    double capacity_ratio;
    double memory_bytes; /* of the whole cache, of whose keys the trace has a share */
    double scale;        /* of the sizes in the trace; or the size, where it has none */
    double footprint_bytes;
    uint64_t largest_bytes;
    size_t budget_bytes;
    char *value, *out; /* largest_bytes each */
    uint64_t hits, misses, too_big;
    double simulated[POLICIES_MAX]; /* miss ratios */
    uint64_t elapsed_ns;
    libcache_stats stats;
} replay;

/* ---- sizes ---------------------------------------------------------------------------------------- */

static uint64_t scale_size(const replay *r, uint64_t size_in_trace)
{
    double size = r->trace->sized ? round((double)size_in_trace * r->scale) : r->scale;

    return size < 1 ? 1 : (uint64_t)size;
}

static double choose_mean(const replay_options *options, const replay_trace *trace)
{
    double least_ratio = options->ratios[0], least_mean;

    if (options->value_bytes != 0)
        return options->value_bytes;
    if (trace->sized && (trace->live || options->n_memory != 0))
        return trace->mean_value_bytes;
    for (unsigned i = 1; i < options->n_ratios; i++)
        least_ratio = fmin(least_ratio, options->ratios[i]);
    least_mean = ceil(least_budget_bytes / least_ratio / (double)trace->n_keys);
    return fmax(least_mean, trace->mean_value_bytes);
}

static void measure_footprint(replay *r, const replay_options *options)
{
    const replay_trace *trace = r->trace;
    double mean = choose_mean(options, trace);

    r->scale = trace->sized ? mean / trace->mean_value_bytes : mean;
    for (size_t i = 0; i < trace->n_keys; i++)
        r->footprint_bytes += (double)scale_size(r, trace->keys[i].value_bytes) + trace->keys[i].length;
    if (!trace->sized)
        r->largest_bytes = scale_size(r, 0);
    for (size_t i = 0; trace->sized && i < trace->n_requests; i++) {
        uint64_t size = scale_size(r, trace->request_bytes[i]);

        r->largest_bytes = size > r->largest_bytes ? size : r->largest_bytes;
    }
    if (r->memory_bytes != 0)
        r->capacity_ratio = r->memory_bytes * trace->rate / r->footprint_bytes;
    else
        r->memory_bytes = r->footprint_bytes * r->capacity_ratio / trace->rate;
    r->budget_bytes = (size_t)(r->memory_bytes * trace->rate);
    if (r->budget_bytes < budget_min_bytes)
        harness_die("%s: %.0f bytes are too few for a cache, which has 256 KiB at least%s", trace->name,
                    r->memory_bytes * trace->rate,
                    trace->rate < 1 ? " when the share of the keys in the trace is taken: trace more of them" : "");
}

/* ---- the replay ----------------------------------------------------------------------------------- */

/*
 * All defaults, but for the number of namespaces in the place of a live cache, where room for many is a small share of the whole but
 * not of a sample; and for values larger than the default lets in. When the cache does not allow that for its
 * budget, it is opened with the default: what is too large then counts as a miss and is not stored.
 */
static libcache *open_cache(const replay *r)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    libcache *cache;
    size_t default_largest = r->budget_bytes / 32 < (1u << 20) ? r->budget_bytes / 32 : 1u << 20;

    options.memory_bytes = r->budget_bytes;
    options.max_namespaces = r->trace->live ? 1 : 0;
    if (r->largest_bytes > default_largest) {
        options.max_value_bytes = r->largest_bytes;
        if (libcache_open(&cache, &options, NULL) == LIBCACHE_OK)
            return cache;
        options.max_value_bytes = 0;
    }
    if (libcache_open(&cache, &options, &error) != LIBCACHE_OK)
        harness_die("cannot open a cache of %zu bytes: %s", r->budget_bytes, error.text);
    return cache;
}

/* A value starts with its key's number, as far as it has room. */
static size_t stamp_bytes(size_t size)
{
    return size < sizeof(uint32_t) ? size : sizeof(uint32_t);
}

static void check_value(const replay *r, size_t size, uint32_t number)
{
    if (memcmp(r->out, &number, stamp_bytes(size)) != 0)
        harness_die("libcache: WRONG VALUE for key %.*s", (int)r->trace->keys[number].length,
                    r->trace->keys[number].bytes);
}

static void store(replay *r, libcache_ns *ns, uint32_t number, size_t size)
{
    const replay_key *key = &r->trace->keys[number];
    int result;

    memcpy(r->value, &number, stamp_bytes(size));
    result = libcache_set(ns, key->bytes, key->length, r->value, size, NULL);
    if (result == LIBCACHE_ETOOBIG)
        r->too_big++;
    else if (result != LIBCACHE_OK)
        harness_die("libcache_set: %s", libcache_describe(result));
}

static size_t request_size(const replay *r, size_t request)
{
    return (size_t)scale_size(r, r->trace->sized ? r->trace->request_bytes[request] : 0);
}

static void ask(replay *r, libcache_ns *ns, size_t request)
{
    uint32_t number = r->trace->requests[request];
    const replay_key *key = &r->trace->keys[number];
    libcache_value value = { .data = r->out, .capacity = r->largest_bytes };
    int result = libcache_get(ns, key->bytes, key->length, &value, 0);

    if (result == LIBCACHE_HIT) {
        r->hits++;
        check_value(r, value.size, number);
    } else if (result == LIBCACHE_MISS) {
        r->misses++;
        store(r, ns, number, request_size(r, request));
    } else {
        harness_die("libcache_get: %s", libcache_describe(result));
    }
}

static void run_requests(replay *r, libcache_ns *ns)
{
    const replay_trace *trace = r->trace;

    for (size_t i = 0; i < trace->n_requests; i++) {
        const replay_key *key = &trace->keys[trace->requests[i]];

        switch (replay_kind_of(trace, i)) {
        case REPLAY_GET: ask(r, ns, i); break;
        case REPLAY_SET: store(r, ns, trace->requests[i], request_size(r, i)); break;
        case REPLAY_DELETE: (void)libcache_delete(ns, key->bytes, key->length, 0); break;
        default: r->misses++; break;
        }
    }
}

/* What was in the live cache before, the one that is asked for first last. */
static void fill_before(replay *r, libcache_ns *ns)
{
    for (size_t i = r->trace->n_before; i-- > 0;)
        store(r, ns, r->trace->requests[r->trace->before[i]], request_size(r, r->trace->before[i]));
    r->too_big = 0;
}

static void run_replay(replay *r)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache *cache = open_cache(r);
    libcache_error error;
    libcache_ns *ns;

    policy.ttl_ms = LIBCACHE_FOREVER;
    if (libcache_open_namespace(&ns, cache, "replay", &policy, &error) != LIBCACHE_OK)
        harness_die("cannot open a namespace: %s", error.text);
    r->value = harness_allocate(r->largest_bytes);
    r->out = harness_allocate(r->largest_bytes);
    memset(r->value, 'v', r->largest_bytes);
    fill_before(r, ns);
    r->elapsed_ns = harness_now_ns();
    run_requests(r, ns);
    r->elapsed_ns = harness_now_ns() - r->elapsed_ns;
    r->stats = (libcache_stats)LIBCACHE_STATS_INIT;
    if (libcache_read_stats(cache, &r->stats) != LIBCACHE_OK)
        harness_die("libcache_read_stats failed");
    free(r->value);
    free(r->out);
    libcache_close(cache);
}

/* ---- other policies ------------------------------------------------------------------------------ */

static uint64_t bytes_of_request(void *arg, size_t request)
{
    const replay *r = arg;
    const replay_trace *trace = r->trace;

    return scale_size(r, trace->sized ? trace->request_bytes[request] : 0) +
           trace->keys[trace->requests[request]].length;
}

/* A share of the gets; of a sample: of those that it should have had. */
static double ratio_of(const replay_trace *trace, uint64_t misses)
{
    double expected = (double)trace->reads * trace->rate - (double)trace->dropped;

    if (!(trace->live && expected >= 1))
        expected = (double)trace->n_gets;
    return fmin((double)misses / expected, 1);
}

static void run_simulations(replay *r, const replay_options *options)
{
    for (unsigned i = 0; i < POLICIES_MAX; i++)
        if (options->simulate[i])
            r->simulated[i] = ratio_of(
                r->trace, replay_simulate(i, r->trace, r->budget_bytes, r->footprint_bytes, bytes_of_request, r));
}

/* ---- output ---------------------------------------------------------------------------------------- */

static double miss_ratio(const replay *r)
{
    return ratio_of(r->trace, r->misses);
}

static double mean_value_bytes(const replay *r)
{
    return r->trace->sized ? r->scale * r->trace->mean_value_bytes : r->scale;
}

static void put_json(const replay *r, const replay_options *options, double reference)
{
    harness_json json = { .out = stdout };

    harness_json_string(&json, "trace", r->trace->name);
    harness_json_number(&json, "capacity_ratio", r->capacity_ratio);
    harness_json_integer(&json, "requests", r->trace->n_gets);
    harness_json_integer(&json, "hits", r->hits);
    harness_json_integer(&json, "misses", r->misses);
    harness_json_number(&json, "miss_ratio", miss_ratio(r));
    harness_json_integer(&json, "keys", r->trace->n_keys);
    harness_json_integer(&json, "footprint_bytes", (uint64_t)r->footprint_bytes);
    harness_json_integer(&json, "budget_bytes", r->budget_bytes);
    if (r->trace->live) {
        harness_json_number(&json, "rate", r->trace->rate);
        harness_json_integer(&json, "memory_bytes", (uint64_t)r->memory_bytes);
        harness_json_integer(&json, "live_memory_bytes", r->trace->memory_bytes);
        harness_json_number(&json, "live_miss_ratio", ratio_of(r->trace, r->trace->misses));
    }
    harness_json_integer(&json, "stripes", r->stats.stripes);
    harness_json_integer(&json, "entries", r->stats.entries);
    harness_json_number(&json, "value_bytes", mean_value_bytes(r));
    harness_json_integer(&json, "too_big", r->too_big);
    harness_json_number(&json, "ns_per_request", (double)r->elapsed_ns / (double)r->trace->n_requests);
    for (unsigned i = 0; i < POLICIES_MAX; i++) {
        char name[32];

        if (!options->simulate[i])
            continue;
        snprintf(name, sizeof name, "%s_miss_ratio", replay_policy_name(i));
        harness_json_number(&json, name, r->simulated[i]);
    }
    if (options->reference != NULL) {
        harness_json_number(&json, "reference_miss_ratio", reference);
        harness_json_number(&json, "relative_difference", miss_ratio(r) / reference - 1);
    }
    harness_json_end(&json);
}

static void put_heading(const replay *r, const replay_options *options)
{
    printf("\n%s: %zu requests of %zu keys, values of %.0f bytes on average, footprint %.1f MiB\n", r->trace->name,
           (size_t)r->trace->n_gets, r->trace->n_keys, mean_value_bytes(r), r->footprint_bytes / (1 << 20));
    if (r->trace->live)
        printf("  %.4g %% of the keys of a live cache of %.1f MiB, which missed %.4f; %zu keys were there before; %llu "
               "records are lost\n",
               100 * r->trace->rate, (double)r->trace->memory_bytes / (1 << 20), ratio_of(r->trace, r->trace->misses),
               r->trace->n_before, (unsigned long long)r->trace->dropped);
    printf("  %8s %12s %8s %9s %10s %8s %11s", "capacity", "memory MiB", "stripes", "entries", "miss ratio", "too big",
           "ns/request");
    for (unsigned i = 0; i < POLICIES_MAX; i++)
        if (options->simulate[i])
            printf(" %9s", replay_policy_name(i));
    puts(options->reference != NULL ? "   S3-FIFO of the reference" : "");
}

static void put_row(const replay *r, const replay_options *options, double reference)
{
    printf("  %7.4g%% %12.1f %8u %9llu %10.4f %8llu %11.0f", 100 * r->capacity_ratio, r->memory_bytes / (1 << 20),
           r->stats.stripes, (unsigned long long)r->stats.entries, miss_ratio(r), (unsigned long long)r->too_big,
           (double)r->elapsed_ns / (double)r->trace->n_requests);
    for (unsigned i = 0; i < POLICIES_MAX; i++)
        if (options->simulate[i])
            printf(" %9.4f", r->simulated[i]);
    if (isnan(reference))
        putchar('\n');
    else
        printf("   %.4f, we have %+.1f%%\n", reference, 100 * (miss_ratio(r) / reference - 1));
}

/* Ends with 1 when it is not known to be as good as the reference. */
static int replay_one(const replay_trace *trace, const replay_options *options, unsigned i)
{
    replay r = { .trace = trace };
    double reference = NAN;

    if (i < options->n_memory)
        r.memory_bytes = options->memory[i];
    else
        r.capacity_ratio = options->ratios[i - options->n_memory];
    measure_footprint(&r, options);
    run_replay(&r);
    run_simulations(&r, options);
    if (options->reference != NULL)
        reference = replay_find_reference(options->reference, options->name != NULL ? options->name : trace->name,
                                          r.capacity_ratio);
    if (options->json) {
        put_json(&r, options, reference);
    } else {
        if (i == 0)
            put_heading(&r, options);
        put_row(&r, options, reference);
        fflush(stdout);
    }
    return options->check && !(miss_ratio(&r) <= reference * (1 + tolerance));
}

/* ---- options --------------------------------------------------------------------------------------- */

static const char help[] =
    "Usage: bench-replay [OPTION]... TRACE...\n"
    "Replays traces of requests (gzip or plain text, \"key\" or \"key size\" a line) as get, then set on a miss, or "
    "what\n"
    "`libcache trace` has written of a live cache.\n"
    "\n"
    "  --capacity-ratio R   memory as a share of the trace's footprint (repeatable, or a list with\n"
    "                       commas). Default 0.01,0.05,0.2\n"
    "  --memory SIZE        memory of the cache, as 64MiB; of a sample of a live cache: of the whole one (repeatable, "
    "or a list\n"
    "                       with commas). Default for those: a quarter, half, once, twice and four times what it had\n"
    "  --cold               begin with an empty cache, even where keys are known to have been in the live one\n"
    "  --value-bytes N      size of the values; of a trace with sizes: scale them to this mean.\n"
    "                       Default: as large as the trace says, or larger so that no budget is below 8 MiB\n"
    "  --policy NAME        also simulate lru, sieve, s3fifo or wtinylfu with as many bytes (repeatable, a list, or "
    "all)\n"
    "  --json               one JSON object a line instead of a table\n"
    "  --reference FILE     CSV of trace,cache_size_over_footprint,algorithm,miss_ratio: compare with its S3FIFO\n"
    "  --name NAME          of the trace in that file. Default: the file name without .txt.gz\n"
    "  --check              exit with 1 when a miss ratio is more than 2 % (relative) above the reference,\n"
    "                       or has no reference\n"
    "  --help               this text\n"
    "\n"
    "Values larger than the cache allows count as misses and are not stored (\"too big\").\n";

static void add_ratios(replay_options *options, char *list)
{
    char *place = NULL;

    if (list[strspn(list, ",")] == '\0')
        harness_die("--capacity-ratio: no number given");
    for (char *text = strtok_r(list, ",", &place); text != NULL; text = strtok_r(NULL, ",", &place)) {
        if (options->n_ratios == RATIOS_MAX)
            harness_die("more than %d capacity ratios", RATIOS_MAX);
        options->ratios[options->n_ratios++] = harness_parse_number(text, "--capacity-ratio", 1e-6, 100);
    }
}

static double parse_memory(const char *text)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
    char *end;
    double bytes = strtod(text, &end);

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i]) == 0 && end != text && bytes > 0 && bytes * pow(1024, (double)i) <= 1e15)
            return bytes * pow(1024, (double)i);
    harness_die("--memory: '%s' is no size with a unit, as 64MiB", text);
}

static void add_memory(replay_options *options, char *list)
{
    char *place = NULL;

    if (list[strspn(list, ",")] == '\0')
        harness_die("--memory: no size given");
    for (char *text = strtok_r(list, ",", &place); text != NULL; text = strtok_r(NULL, ",", &place)) {
        if (options->n_memory == RATIOS_MAX)
            harness_die("more than %d sizes", RATIOS_MAX);
        options->memory[options->n_memory++] = parse_memory(text);
    }
}

static unsigned find_policy(const char *name)
{
    unsigned i = 0;

    while (replay_policy_name(i) != NULL && strcmp(replay_policy_name(i), name) != 0)
        i++;
    if (replay_policy_name(i) == NULL)
        harness_die("--policy: there is no '%s' (lru, sieve, s3fifo, wtinylfu, all)", name);
    return i;
}

static void add_policies(replay_options *options, char *list)
{
    char *place = NULL;

    for (char *name = strtok_r(list, ",", &place); name != NULL; name = strtok_r(NULL, ",", &place)) {
        if (strcmp(name, "all") != 0)
            options->simulate[find_policy(name)] = 1;
        else
            for (unsigned i = 0; replay_policy_name(i) != NULL; i++)
                options->simulate[i] = 1;
    }
}

/* Where none were asked for. */
static void add_default_sizes(replay_options *options, const replay_trace *trace)
{
    char list[] = "0.01,0.05,0.2";

    if (options->n_ratios != 0 || options->n_memory != 0)
        return;
    for (double times = 0.25; trace->live && times <= 4; times *= 2)
        if ((double)trace->memory_bytes * times * trace->rate >= (double)budget_min_bytes)
            options->memory[options->n_memory++] = (double)trace->memory_bytes * times;
    if (options->n_memory == 0)
        add_ratios(options, list);
}

static replay_options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "capacity-ratio", required_argument, NULL, 'r' },
        { "memory", required_argument, NULL, 'm' },
        { "cold", no_argument, NULL, 'o' },
        { "value-bytes", required_argument, NULL, 'v' },
        { "policy", required_argument, NULL, 'p' },
        { "json", no_argument, NULL, 'j' },
        { "reference", required_argument, NULL, 'f' },
        { "name", required_argument, NULL, 'n' },
        { "check", no_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    replay_options options = { .n_ratios = 0 };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'r': add_ratios(&options, optarg); break;
        case 'm': add_memory(&options, optarg); break;
        case 'o': options.cold = 1; break;
        case 'v': options.value_bytes = (double)harness_parse_integer(optarg, "--value-bytes", 1, 1u << 30); break;
        case 'p': add_policies(&options, optarg); break;
        case 'j': options.json = 1; break;
        case 'f': options.reference = optarg; break;
        case 'n': options.name = optarg; break;
        case 'c': options.check = 1; break;
        case 'h': fputs(help, stdout); exit(0);
        default: exit(2);
        }
    }
    if (optind == argc)
        harness_die("no trace given (see --help)");
    if (options.check && options.reference == NULL)
        harness_die("--check needs --reference");
    return options;
}

int main(int argc, char **argv)
{
    replay_options options = parse_options(argc, argv);
    int worse = 0;

    for (int i = optind; i < argc; i++) {
        replay_options sizes = options;
        replay_trace trace;

        replay_read_trace(&trace, argv[i]);
        if (options.cold)
            trace.n_before = 0;
        add_default_sizes(&sizes, &trace);
        for (unsigned j = 0; j < sizes.n_memory + sizes.n_ratios; j++)
            worse |= replay_one(&trace, &sizes, j);
        replay_release_trace(&trace);
    }
    if (worse)
        fprintf(stderr, "bench-replay: more misses than the reference, or no reference\n");
    return worse;
}
