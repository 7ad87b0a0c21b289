/* What libcache has to reach, and whether this run did. Read from the results of the run, nothing else. */
#include "bench_l1.h"

#include <string.h>

/* One side of a comparison. tags: -1 where the bench knows none. */
typedef struct side {
    const char *bench, *engine, *mix;
    unsigned threads;
    uint64_t keys;
    double value_bytes;
    int tags;
} side;

typedef struct target {
    const char *what;
    side ours, theirs;
    double limit;
    int at_most; /* cost of ours over theirs; else speed of ours over theirs, at least the limit */
} target;

#define GETS(engine, threads, keys, value_bytes)               \
    {                                                          \
        "get", engine, "100/0", threads, keys, value_bytes, -1 \
    }
#define MIXED(engine)                                \
    {                                                \
        "mix95", engine, "95/5", 2, 1000000, 100, -1 \
    }
#define TAGGED(mix, tags)                               \
    {                                                   \
        "tags3", "libcache", mix, 1, 1000000, 100, tags \
    }

enum { ANY = 0 };

static const target targets[] = {
    { "get, 1 M keys, 1 thread, against HyperClockCache", GETS("libcache", 1, 1000000, 100),
      GETS("rocksdb-hyperclock", 1, 1000000, 100), 1.6, 0 },
    { "get, 1 M keys, 1 thread, against LRUCache", GETS("libcache", 1, 1000000, 100),
      GETS("rocksdb-lru", 1, 1000000, 100), 2.2, 0 },
    { "get, 10 k keys, 1 thread, against HyperClockCache", GETS("libcache", 1, 10000, 100),
      GETS("rocksdb-hyperclock", 1, 10000, 100), 2.2, 0 },
    { "get, 1000 B, 1 thread, against HyperClockCache", GETS("libcache", 1, ANY, 1000),
      GETS("rocksdb-hyperclock", 1, ANY, 1000), 1.3, 0 },
    { "get, 1 M keys, 2 threads against 1", GETS("libcache", 2, 1000000, 100), GETS("libcache", 1, 1000000, 100), 1.9,
      0 },
    { "95/5, 2 threads, against HyperClockCache", MIXED("libcache"), MIXED("rocksdb-hyperclock"), 1.4, 0 },
    { "95/5, 2 threads, against LRUCache", MIXED("libcache"), MIXED("rocksdb-lru"), 3.3, 0 },
    { "get, shared against private, pages as they come", GETS("libcache-shared", 1, 1000000, 100),
      GETS("libcache", 1, 1000000, 100), 0.8, 0 },
    { "get, shared against private, small pages",
      { "same_pages", "libcache-shared", "100/0", 1, ANY, ANY, -1 },
      { "same_pages", "libcache", "100/0", 1, ANY, ANY, -1 },
      0.9,
      0 },
    { "2 processes on a segment against 1",
      { "processes", "libcache-shared", "100/0", 2, ANY, ANY, -1 },
      { "processes", "libcache-shared", "100/0", 1, ANY, ANY, -1 },
      1.8,
      0 },
    { "get with 3 tags, cost against none", TAGGED("100/0", 3), TAGGED("100/0", 0), 1.25, 1 },
    { "set with 3 tags, cost against none", TAGGED("0/100", 3), TAGGED("0/100", 0), 1.25, 1 },
    { "invalidate a tag of 1 M entries, cost against delete",
      { "invalidate", "libcache", "invalidate", 1, ANY, ANY, -1 },
      { "invalidate", "libcache", "delete", 1, ANY, ANY, -1 },
      2,
      1 },
};

static double extra(const bench_result *result, const char *name, double otherwise)
{
    for (unsigned i = 0; i < result->n_extra; i++)
        if (strcmp(result->extra[i].name, name) == 0)
            return result->extra[i].value;
    return otherwise;
}

static const bench_result *find(const side *wanted, const bench_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bench_result *r = &results[i];

        if (strcmp(r->bench, wanted->bench) == 0 && strcmp(r->engine, wanted->engine) == 0 &&
            strcmp(r->mix, wanted->mix) == 0 && r->threads == wanted->threads &&
            (wanted->keys == ANY || r->keys == wanted->keys) &&
            (wanted->value_bytes == ANY || r->value_bytes == wanted->value_bytes) &&
            extra(r, "tags", -1) == wanted->tags)
            return r;
    }
    return NULL;
}

static void put_verdict(const char *what, double value, const char *unit, double limit, int at_most)
{
    int reached = at_most ? value <= limit : value >= limit;

    printf("  %-52s %8.2f%s  %s %6.2f  %s\n", what, value, unit, at_most ? "at most " : "at least", limit,
           reached ? "yes" : "NO");
}

static void put_threads_speed(const target *goal, const bench_result *ours, const bench_result *theirs)
{
    double speed = ours->threads * theirs->ns_per_op / (theirs->threads * ours->ns_per_op);

    put_verdict(goal->what, goal->at_most ? 1 / speed : speed, " x", goal->limit, goal->at_most);
}

static void put_memory(const bench_result *result)
{
    const double allowed_mib = extra(result, "budget_bytes", 0) * 0.05 / (1 << 20) + 1;
    char what[64], sizes[24] = "mixed";

    if (extra(result, "mixed_sizes", 0) == 0)
        snprintf(sizes, sizeof sizes, "%.0f B", result->value_bytes);
    snprintf(what, sizeof what, "memory, values of %s, bytes an entry", sizes);
    put_verdict(what, extra(result, "overhead_bytes_per_entry", 0), "  ", 40, 1);
    snprintf(what, sizeof what, "memory, values of %s, MiB beyond the budget", sizes);
    put_verdict(what, extra(result, "rss_over_budget_bytes", 0) / (1 << 20), "  ", allowed_mib, 1);
}

void report_targets(const bench_result *results, size_t n)
{
    printf("\nTargets\n");
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const bench_result *ours = find(&targets[i].ours, results, n);
        const bench_result *theirs = find(&targets[i].theirs, results, n);

        if (ours != NULL && theirs != NULL)
            put_threads_speed(&targets[i], ours, theirs);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(results[i].bench, "get_many16") == 0)
            put_verdict("get_many(16) against single gets",
                        extra(&results[i], "single_get_ns_per_op", 0) / results[i].ns_per_op, " x", 1.8, 0);
        if (strcmp(results[i].bench, "memory") == 0)
            put_memory(&results[i]);
    }
}
