/* Contenders side by side, in interleaved rounds. SPDX-License-Identifier: MIT */
#include "bench_l2.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS_LEAST = 5 };

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double l2_percentile(double *values, size_t n, double part)
{
    qsort(values, n, sizeof *values, compare);
    return values[(size_t)(part * (double)(n - 1) + 0.5)];
}

void l2_distribution(l2_result *result, double *values_us, size_t n)
{
    result->samples = n;
    if (n == 0)
        return;
    result->p50_us = l2_percentile(values_us, n, 0.5);
    result->p99_us = l2_percentile(values_us, n, 0.99);
    result->max_us = values_us[n - 1];
}

/* One round of one contender. Returns how many operations counted; their times are put into `us`. */
static size_t run_round(l2_contender *c, unsigned round, size_t first, size_t warm, size_t ops, size_t keys, double *us)
{
    size_t counted = 0;
    double sum = 0, part = c->per_run != 0 ? 1.0 / c->per_run : 1;

    if (c->prepare != NULL)
        c->prepare(c->self, first, warm + ops);
    for (size_t i = 0; i < warm + ops; i++) {
        uint64_t begun = harness_now_ns();
        int counts = c->run(c->self, (first + i) % keys);
        double took_us = (double)(harness_now_ns() - begun) / 1000 * part;

        if (i >= warm && counts) {
            us[counted++] = took_us;
            sum += took_us;
        }
    }
    if (counted == 0)
        harness_die("no operation of %s counted", c->operation);
    c->round_us[round] = sum / (double)counted;
    c->round_p50_us[round] = l2_percentile(us, counted, 0.5);
    return counted;
}

void rounds_run(const l2_context *context, const char *bench, l2_contender *contenders, unsigned n, unsigned ops,
                const l2_keys *keys)
{
    const unsigned rounds = context->options->rounds;
    const uint64_t until = harness_now_ns() + context->options->rounds_ms * UINT64_C(1000000);
    unsigned done = 0;
    double *us[L2_CONTENDERS_MAX];
    size_t counted[L2_CONTENDERS_MAX] = { 0 }, warm = ops / 8 + 1;

    for (unsigned j = 0; j < n; j++)
        us[j] = harness_allocate((size_t)rounds * ops * sizeof **us);
    for (; done < rounds && (done < ROUNDS_LEAST || harness_now_ns() < until); done++)
        for (unsigned turn = 0; turn < n; turn++) {
            unsigned j = (done + turn) % n;
            counted[j] += run_round(&contenders[j], done, done * (warm + ops), warm, ops, keys->n, us[j] + counted[j]);
        }
    for (unsigned j = 0; j < n; j++) {
        l2_contender *c = &contenders[j];
        double means[L2_ROUNDS_MAX];

        c->rounds = done;
        memcpy(means, c->round_us, sizeof means);
        c->result = l2_make_result(context, bench, c->operation, c->engine, (double)keys->value_bytes);
        l2_distribution(&c->result, us[j], counted[j]);
        c->result.mean_us = harness_median(means, done);
        c->result.fastest_us = means[0];
        c->result.slowest_us = means[done - 1];
        l2_add_extra(&c->result, "rounds", done);
        free(us[j]);
    }
}

static double median_ratio(const double *a, const double *b, size_t n)
{
    double ratios[L2_ROUNDS_MAX];

    for (size_t i = 0; i < n; i++)
        ratios[i] = a[i] / b[i];
    return harness_median(ratios, n);
}

double rounds_ratio(const l2_contender *a, const l2_contender *b)
{
    return median_ratio(a->round_us, b->round_us, a->rounds);
}

double rounds_ratio_p50(const l2_contender *a, const l2_contender *b)
{
    return median_ratio(a->round_p50_us, b->round_p50_us, a->rounds);
}
