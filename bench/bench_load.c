/* bench-load: what loads cost. See bench/README.md for what is measured and how. SPDX-License-Identifier: MIT */
#include "bench_load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { TARGETS_MAX = 32 };

static const struct {
    const char *name;
    void (*run)(const load_options *options);
} benches[] = { { "hit", load_bench_hit }, { "stampede", load_bench_stampede }, { "soft", load_bench_soft } };

enum { BENCHES = sizeof benches / sizeof *benches };

static struct {
    char what[80];
    double value, limit;
    const char *unit;
} targets[TARGETS_MAX];
static unsigned n_targets;
static int as_json;

/* ---- Results -------------------------------------------------------------------------------------------------------- */

void load_report(const char *bench, const char *variant, const load_figure *figures)
{
    static char last[20];

    if (as_json) {
        harness_json json = { .out = stdout };
        harness_json_string(&json, "bench", bench);
        harness_json_string(&json, "variant", variant);
        for (; figures->name; figures++)
            harness_json_number(&json, figures->name, figures->value);
        harness_json_end(&json);
    } else {
        if (strcmp(last, bench) != 0)
            printf("\n%s\n", bench);
        snprintf(last, sizeof last, "%s", bench);
        printf("  %-28s", variant);
        for (; figures->name; figures++)
            printf(" %s %.*f ", figures->name, figures->value < 100 ? 2 : 0, figures->value);
        putchar('\n');
    }
    fflush(stdout);
}

void load_target(const char *what, double value, double limit, const char *unit)
{
    if (n_targets == TARGETS_MAX)
        harness_die("too many targets");
    snprintf(targets[n_targets].what, sizeof targets[0].what, "%s", what);
    targets[n_targets].value = value;
    targets[n_targets].limit = limit;
    targets[n_targets++].unit = unit;
}

static void put_targets(void)
{
    if (!as_json)
        printf("\nTargets\n");
    for (unsigned i = 0; i < n_targets; i++) {
        int reached = targets[i].value <= targets[i].limit;
        if (as_json) {
            harness_json json = { .out = stdout };
            harness_json_string(&json, "target", targets[i].what);
            harness_json_number(&json, "value", targets[i].value);
            harness_json_number(&json, "limit", targets[i].limit);
            harness_json_string(&json, "unit", targets[i].unit);
            harness_json_integer(&json, "reached", (uint64_t)reached);
            harness_json_end(&json);
        } else {
            printf("  %-66s %9.2f %-3s at most %7.2f  %s\n", targets[i].what, targets[i].value, targets[i].unit, targets[i].limit,
                   reached ? "yes" : "NO");
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double load_percentile(double *values, size_t n, double share)
{
    size_t at = (size_t)(share * (double)n);

    qsort(values, n, sizeof *values, compare);
    return values[at < n ? at : n - 1];
}

void load_expect(int result, int wanted, const char *what)
{
    if (result != wanted)
        harness_die("%s: %s", what, result > 0 ? "another result than it should be" : libcache_describe(result));
}

/* ---- Options ------------------------------------------------------------------------------------------------------------ */

static const char help[] =
    "bench-load: what loads cost\n"
    "  --quick        fewer rounds\n"
    "  --tiny         hardly any: to see that it runs\n"
    "  --json         one JSON object a line\n"
    "  --bench NAME   only this one (may be repeated): hit, stampede, soft\n";

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },        { "tiny", no_argument, NULL, 't' }, { "json", no_argument, NULL, 'j' },
        { "bench", required_argument, NULL, 'b' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    load_options options = { .hit_rounds = 41, .hit_ops = 2000000, .hit_keys = 10000, .stampedes = 200, .kills = 20,
                             .soft_ms = 10000 };
    int wanted[BENCHES] = { 0 }, some = 0, option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        unsigned i = 0;
        switch (option) {
        case 'q':
            options.hit_rounds = 15;
            options.hit_ops = 500000;
            options.stampedes = 40;
            options.kills = 5;
            options.soft_ms = 2000;
            break;
        case 't':
            options = (load_options){ .hit_rounds = 3, .hit_ops = 20000, .hit_keys = 1000, .stampedes = 3, .kills = 1,
                                      .soft_ms = 200 };
            break;
        case 'j': as_json = 1; break;
        case 'b':
            while (i < BENCHES && strcmp(benches[i].name, optarg) != 0)
                i++;
            if (i == BENCHES)
                harness_die("there is no bench '%s'", optarg);
            wanted[i] = some = 1;
            break;
        case 'h': fputs(help, stdout); return 0;
        default: return 2;
        }
    }
    if (optind != argc)
        harness_die("unexpected argument '%s'", argv[optind]);
    for (unsigned i = 0; i < BENCHES; i++)
        if (!some || wanted[i])
            benches[i].run(&options);
    put_targets();
    return 0;
}
