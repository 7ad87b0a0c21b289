/* Results as JSON lines, or as tables that put every engine beside libcache. */
#include "bench_l1.h"

#include <string.h>

static void put_json(const bench_result *result)
{
    harness_json json = { .out = stdout };

    harness_json_string(&json, "bench", result->bench);
    harness_json_string(&json, "engine", result->engine);
    harness_json_integer(&json, "threads", result->threads);
    harness_json_integer(&json, "keys", result->keys);
    harness_json_number(&json, "value_bytes", result->value_bytes);
    harness_json_string(&json, "mix", result->mix);
    harness_json_number(&json, "ns_per_op", result->ns_per_op);
    harness_json_number(&json, "ops_per_s", result->threads * 1e9 / result->ns_per_op);
    harness_json_number(&json, "hit_ratio", result->hit_ratio);
    harness_json_integer(&json, "rounds", result->rounds);
    harness_json_number(&json, "fastest_ns", result->fastest_ns);
    harness_json_number(&json, "slowest_ns", result->slowest_ns);
    harness_json_integer(&json, "huge", (uint64_t)result->huge);
    for (unsigned i = 0; i < result->n_extra; i++)
        harness_json_number(&json, result->extra[i].name, result->extra[i].value);
    harness_json_end(&json);
}

/* A table ends where one of these changes. */
static int same_table(const bench_result *a, const bench_result *b)
{
    if (strcmp(a->bench, b->bench) != 0)
        return 0;
    return a->n_extra != 0 || (a->keys == b->keys && a->value_bytes == b->value_bytes && !strcmp(a->mix, b->mix));
}

static void put_heading(const bench_result *result)
{
    if (result->n_extra != 0)
        printf("\n%s\n", result->bench);
    else
        printf("\n%s, %llu keys x %.0f B, %s\n", result->bench, (unsigned long long)result->keys, result->value_bytes,
               result->mix);
    printf("  %-24s %-8s %10s %10s %17s %9s %12s\n", result->n_extra != 0 ? "operation" : "engine", "threads", "ns/op",
           "M op/s", "fastest-slowest", "hits", "libcache is");
}

static const char *size_text(double bytes)
{
    static char text[24];

    snprintf(text, sizeof text, "%.0f B", bytes);
    return text;
}

static void put_row(const bench_result *result, double libcache_ns)
{
    char name[64], spread[32];

    if (result->n_extra == 0)
        snprintf(name, sizeof name, "%s", result->engine);
    else
        snprintf(name, sizeof name, "%s, %s", result->mix,
                 strcmp(result->engine, "libcache") == 0 ? size_text(result->value_bytes) : result->engine);
    snprintf(spread, sizeof spread, "%.1f-%.1f", result->fastest_ns, result->slowest_ns);
    printf("  %-24s %-8u %10.1f %10.2f %17s %8.2f%%", name, result->threads, result->ns_per_op,
           result->threads * 1e3 / result->ns_per_op, spread, 100 * result->hit_ratio);
    if (libcache_ns > 0)
        printf(" %9.2f x", result->ns_per_op / libcache_ns);
    fputs(result->huge ? "  (huge pages)\n" : "\n", stdout);
    for (unsigned i = 0; i < result->n_extra; i++)
        printf("    %s %.*f%s", result->extra[i].name, result->extra[i].value < 1000 ? 2 : 0, result->extra[i].value,
               i + 1 == result->n_extra ? "\n" : "");
}

void report_result(const bench_options *options, const bench_result *result)
{
    static bench_result last, libcache;

    if (options->json) {
        put_json(result);
        return;
    }
    if (!same_table(result, &last)) {
        put_heading(result);
        memset(&libcache, 0, sizeof libcache);
    } else if (result->threads != last.threads) {
        putchar('\n');
    }
    if (result->n_extra == 0 && (strcmp(result->engine, "libcache") == 0 ||
                                 (strncmp(result->bench, "outside", 7) == 0 && strcmp(result->engine, "libcache-shared") == 0)))
        libcache = *result;
    put_row(result, libcache.threads == result->threads ? libcache.ns_per_op : 0);
    fflush(stdout);
    last = *result;
}
