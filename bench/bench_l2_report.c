/* Results as JSON lines, or as a table for each bench; and what was to be reached. SPDX-License-Identifier: MIT */
#include "bench_l2.h"

#include <string.h>

static void put_json(const l2_result *result)
{
    harness_json json = { .out = stdout };

    harness_json_string(&json, "bench", result->is_target ? "target" : result->bench);
    if (result->is_target) {
        harness_json_string(&json, "operation", result->what);
        harness_json_string(&json, "of", result->bench);
        harness_json_string(&json, "socket", result->socket);
        harness_json_number(&json, "value", result->value);
        harness_json_string(&json, "unit", result->unit);
        harness_json_number(&json, result->at_least ? "at_least" : "at_most", result->limit);
        harness_json_integer(&json, "met", (uint64_t)l2_target_met(result));
        harness_json_end(&json);
        return;
    }
    harness_json_string(&json, "operation", result->operation);
    harness_json_string(&json, "engine", result->engine);
    harness_json_string(&json, "socket", result->socket);
    harness_json_number(&json, "value_bytes", result->value_bytes);
    harness_json_integer(&json, "samples", result->samples);
    harness_json_number(&json, "p50_us", result->p50_us);
    harness_json_number(&json, "p99_us", result->p99_us);
    harness_json_number(&json, "max_us", result->max_us);
    harness_json_number(&json, "mean_us", result->mean_us);
    harness_json_number(&json, "fastest_us", result->fastest_us);
    harness_json_number(&json, "slowest_us", result->slowest_us);
    for (unsigned i = 0; i < result->n_extra; i++)
        harness_json_number(&json, result->extra[i].name, result->extra[i].value);
    harness_json_end(&json);
}

static void put_us(double us, int width)
{
    if (isfinite(us))
        printf(" %*.*f", width, us < 10 ? 3 : 1, us);
    else
        printf(" %*s", width, "-");
}

static void put_heading(const l2_result *result)
{
    printf("\n%s, %s", result->bench, result->socket);
    if (result->value_bytes > 0)
        printf(", %.0f B", result->value_bytes);
    printf("\n  %-22s %-14s %9s %9s %9s %9s  %s\n", "operation", "engine", "p50 us", "p99", "max", "mean",
           "(fastest-slowest round)");
}

static int same_table(const l2_result *a, const l2_result *b)
{
    return strcmp(a->bench, b->bench) == 0 && strcmp(a->socket, b->socket) == 0 &&
           (a->value_bytes == b->value_bytes || strcmp(a->bench, "propagation") == 0);
}

static void put_row(const l2_result *result)
{
    printf("  %-22s %-14s", result->operation, result->engine);
    put_us(result->p50_us, 9);
    put_us(result->p99_us, 9);
    put_us(result->max_us, 9);
    put_us(result->mean_us, 9);
    if (isfinite(result->fastest_us))
        printf("  (%.3g-%.3g)", result->fastest_us, result->slowest_us);
    putchar('\n');
    for (unsigned i = 0; i < result->n_extra; i++)
        printf("%s%s %.4g%s", i % 6 == 0 ? "      " : "  ", result->extra[i].name, result->extra[i].value,
               i % 6 == 5 || i + 1 == result->n_extra ? "\n" : "");
    fflush(stdout);
}

void report_one(const l2_options *options, const l2_result *result)
{
    static l2_result last;

    if (options->json) {
        put_json(result);
        return;
    }
    if (result->is_target)
        return;
    if (!same_table(result, &last))
        put_heading(result);
    put_row(result);
    last = *result;
}

void report_targets(const l2_result *results, size_t n)
{
    printf("\nTargets\n");
    for (size_t i = 0; i < n; i++)
        if (results[i].is_target)
            printf("  %-66s %9.3f %-3s %s %7.4g  %s\n", results[i].what, results[i].value, results[i].unit,
                   results[i].at_least ? "at least" : "at most ", results[i].limit,
                   l2_target_met(&results[i]) ? "yes" : "NO");
}
