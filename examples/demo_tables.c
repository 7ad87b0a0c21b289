/* What the demo's first act prints. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo_workers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add(struct kind_counts *sum, const struct kind_counts *more)
{
    sum->requests += more->requests;
    sum->hits += more->hits;
    sum->loads += more->loads;
    sum->bytes += more->bytes;
    for (int i = 0; i < DEMO_BUCKETS; i++)
        sum->histogram[i] += more->histogram[i];
}

static void print_line(const char *name, const char *ttl, const struct kind_counts *c)
{
    printf("  %-20s %7s %14s %10s %9s B %10s %10s\n", name, ttl, demo_count(c->requests),
           demo_share(c->hits, c->requests), demo_count(c->requests ? c->bytes / c->requests : 0),
           demo_span(demo_quantile(c->histogram, 0.5)), demo_span(demo_quantile(c->histogram, 0.99)));
}

void demo_print_kinds(const struct demo *demo)
{
    static struct kind_counts all, kind;

    memset(&all, 0, sizeof all);
    printf("  %-20s %7s %14s %10s %11s %21s\n", "", "", "", "", "", "time of a hit");
    printf("  %-20s %7s %14s %10s %11s %10s %10s\n", "namespace", "ttl", "requests", "hits", "mean value", "median",
           "99 %");
    for (int k = 0; k < (demo->trace ? 1 : KINDS); k++) {
        char ttl[32];
        memset(&kind, 0, sizeof kind);
        for (int i = 0; i < WORKERS; i++)
            add(&kind, &demo->board->worker[i].kind[k]);
        add(&all, &kind);
        snprintf(ttl, sizeof ttl, "%u s", demo_kinds[k].ttl_s);
        print_line(demo->trace ? "trace" : demo_kinds[k].name, ttl, &kind);
    }
    if (!demo->trace)
        print_line("all", "", &all);
    printf("\n  (Times: means of %d gets in a row, key to copied value; four workers on %ld processors.)\n", BATCH,
           sysconf(_SC_NPROCESSORS_ONLN));
}

void demo_print_timeline(const struct demo *demo)
{
    printf("\n  Hits in percent, for every quarter of a second. At %.1f s the data of tenant %d changed:\n\n  %-11s",
           (double)CHANGE_NS / 1e9, CHANGED, "from second");
    for (int s = 0; s < SLICES; s++)
        printf("%s%6.2f", s == SLICES / 2 ? " |" : "", (double)s * SLICE_NS / 1e9);
    for (int changed = 1; changed >= 0; changed--) {
        printf("\n  %-11s", changed ? "tenant 7" : "all others");
        for (int s = 0; s < SLICES; s++) {
            uint64_t requests = 0, hits = 0;
            for (int i = 0; i < WORKERS; i++) {
                requests += demo->board->worker[i].requests_in[s][changed];
                hits += demo->board->worker[i].hits_in[s][changed];
            }
            printf(requests ? "%s%6.1f" : "%s     -", s == SLICES / 2 ? " |" : "",
                   requests ? 100.0 * (double)hits / (double)requests : 0);
        }
    }
    printf("\n");
}

int demo_print_workers(const struct demo *demo, uint64_t tagged, uint64_t took_ns)
{
    uint64_t returned = demo_load(&demo->board->returned_ns), stale = 0, wrong = 0, fenced = 0;

    printf("\n  Then libcache_invalidate_tags(\"tenant:%d\") was called. Some %s entries carried the tag; the call "
           "took %s.\n"
           "  What each worker saw:\n\n",
           CHANGED, demo_count(tagged), demo_span(took_ns));
    printf("  %-8s %12s %9s | %19s %15s %16s %9s\n", "", "", "", "old values given", "the last one,",
           "old values given", "values");
    printf("  %-8s %12s %9s | %19s %15s %16s %9s\n", "worker", "requests/s", "hits", "until the call", "before its end",
           "after its end", "reloaded");
    for (int i = 0; i < WORKERS; i++) {
        const struct counts *c = &demo->board->worker[i];
        static struct kind_counts all;
        memset(&all, 0, sizeof all);
        for (int k = 0; k < KINDS; k++)
            add(&all, &c->kind[k]);
        printf("  %-8d %12s %9s | %19s %15s %16s %9s\n", i + 1, demo_count(all.requests * 1000000000 / END_NS),
               demo_share(all.hits, all.requests), demo_count(c->before - c->stale),
               c->last_old_ns == 0         ? "-"
               : c->last_old_ns > returned ? "AFTER IT"
                                           : demo_span(returned - c->last_old_ns),
               demo_count(c->stale), demo_count(c->reloads));
        stale += c->stale;
        wrong += c->wrong;
        fenced += c->fenced;
    }
    if (stale || wrong)
        printf("\n  FAILED: %s old values and %s values of other keys were given.\n", demo_count(stale),
               demo_count(wrong));
    else
        printf("\n  Nobody was given an old value once the call had returned. (%s loads had begun before the call and "
               "came\n"
               "  back after it: their values were used once, and not stored.)\n",
               demo_count(fenced));
    return stale || wrong;
}

void demo_print_memory(const struct demo *demo)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(demo->cache, &stats);
    printf("  The cache ends with %s entries in %s of its %s MiB; it made room %s times.\n", demo_count(stats.entries),
           demo_count((stats.live_bytes + stats.index_bytes) >> 20), demo_count(stats.memory_bytes >> 20),
           demo_count(stats.evictions));
}
