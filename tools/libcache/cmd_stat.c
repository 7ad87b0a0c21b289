/* stat: what a segment holds, and what its processes have done with it. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <string.h>

struct count {
    const char *name;
    size_t offset;
};

#define COUNT(field)                               \
    {                                              \
#field, offsetof(libcache_ns_stats, field) \
    }

/* In the order of the header. */
static const struct count counts[] = {
    COUNT(hits_l1),
    COUNT(hits_l2),
    COUNT(stale_l1),
    COUNT(stale_l2),
    COUNT(negatives_l1),
    COUNT(negatives_l2),
    COUNT(misses),
    COUNT(miss_cold),
    COUNT(miss_expired),
    COUNT(miss_evicted),
    COUNT(miss_invalidated),
    COUNT(miss_fenced),
    COUNT(miss_unvouched),
    COUNT(miss_unavailable),
    COUNT(sets),
    COUNT(adds),
    COUNT(deletes),
    COUNT(touches),
    COUNT(increments),
    COUNT(invalidations),
    COUNT(set_bytes),
    COUNT(fenced),
    COUNT(loads),
    COUNT(load_errors),
    COUNT(load_timeouts),
    COUNT(load_waits),
    COUNT(load_bypasses),
    COUNT(refreshes),
    COUNT(l2_hits),
    COUNT(l2_misses),
    COUNT(l2_invalidated),
    COUNT(l2_foreign),
    COUNT(l2_verified),
    COUNT(l2_errors),
    COUNT(slow),
    COUNT(entries),
    COUNT(live_bytes),
    COUNT(evictions),
    COUNT(l2_connects),
    COUNT(l2_timeouts),
    COUNT(l2_retries),
    COUNT(l2_bytes_out),
    COUNT(l2_bytes_in),
    COUNT(pool_waits),
    COUNT(pool_refusals),
};

static uint64_t count_of(const libcache_ns_stats *stats, const struct count *count)
{
    return *(const uint64_t *)(const void *)((const char *)stats + count->offset);
}

static void counts_as_json(const libcache_ns_stats *stats)
{
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_number(counts[i].name, count_of(stats, &counts[i]));
}

static const struct count segment_counts[] = {
#define SEGMENT(field)                          \
    {                                           \
#field, offsetof(libcache_stats, field) \
    }
    SEGMENT(entries),       SEGMENT(memory_bytes),     SEGMENT(live_bytes),         SEGMENT(index_bytes),
    SEGMENT(metrics_bytes), SEGMENT(evictions),        SEGMENT(conflict_evictions), SEGMENT(reclaimed),
    SEGMENT(ghost_hits),    SEGMENT(survivors),        SEGMENT(owner_deaths),       SEGMENT(resets),
    SEGMENT(position),      SEGMENT(coherence_age_ms), SEGMENT(log_position),       SEGMENT(log_applied),
    SEGMENT(epochs),        SEGMENT(owed_bytes),       SEGMENT(breaker_opens),
#undef SEGMENT
};

static void print_json(const struct target *target, const libcache_stats *stats, const libcache_ns_stats *sum)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats ns = LIBCACHE_NS_STATS_INIT;

    json_open(NULL, '{');
    json_text("segment", target->name);
    for (size_t i = 0; i < sizeof segment_counts / sizeof *segment_counts; i++)
        json_number(segment_counts[i].name,
                    *(const uint64_t *)(const void *)((const char *)stats + segment_counts[i].offset));
    json_number("stripes", stats->stripes);
    json_open("total", '{');
    counts_as_json(sum);
    json_close();
    json_open("namespaces", '[');
    while (libcache_iterate_namespaces(target->cache, &cursor, &ns) == LIBCACHE_HIT) {
        json_open(NULL, '{');
        json_bytes("name", ns.name, strlen(ns.name));
        counts_as_json(&ns);
        json_close();
    }
}

/* ---- For people --------------------------------------------------------------------------------------------------------- */

static uint64_t gets_of(const libcache_ns_stats *s)
{
    return s->hits_l1 + s->hits_l2 + s->stale_l1 + s->stale_l2 + s->negatives_l1 + s->negatives_l2 + s->misses;
}

static void print_row(const libcache_ns_stats *s, const char *name)
{
    char cell[9][SHORT_TEXT];
    uint64_t gets = gets_of(s);

    print_cell(stdout, name, strlen(name), 20);
    printf("  %8s  %5.1f%%  %8s  %8s  %8s  %8s  %8s  %8s  %8s  %9s\n", show_count(cell[0], (double)gets),
           gets ? 100.0 * (double)(gets - s->misses) / (double)gets : 0.0, show_count(cell[1], (double)s->hits_l1),
           show_count(cell[2], (double)s->hits_l2), show_count(cell[3], (double)s->misses),
           show_count(cell[4], (double)s->sets), show_count(cell[5], (double)s->fenced),
           show_count(cell[6], (double)s->evictions), show_count(cell[7], (double)s->entries),
           show_bytes(cell[8], s->live_bytes));
}

static void print_reasons(const libcache_ns_stats *s)
{
    const struct {
        const char *name;
        uint64_t n;
    } reasons[] = {
        { "cold", s->miss_cold },
        { "expired", s->miss_expired },
        { "evicted", s->miss_evicted },
        { "invalidated", s->miss_invalidated },
        { "fenced", s->miss_fenced },
        { "unvouched", s->miss_unvouched },
        { "Redis unavailable", s->miss_unavailable },
    };
    char count[SHORT_TEXT];

    if (!s->misses)
        return;
    fputs("misses      ", stdout);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].n)
            printf("%s %s  ", reasons[i].name, show_count(count, (double)reasons[i].n));
    putchar('\n');
}

static void print_times(libcache *cache)
{
    static const char *const names[LIBCACHE_TIMES_KINDS] = { "get, hit in L1", "exchange with Redis", "load",
                                                             "wait for a load" };
    libcache_times times = LIBCACHE_TIMES_INIT;
    char cell[4][SHORT_TEXT];

    for (int which = 0; which < LIBCACHE_TIMES_KINDS; which++)
        if (libcache_read_times(cache, which, &times) == LIBCACHE_OK && times.count)
            printf("%-20s  p50 %-8s  p99 %-8s  p99.9 %-8s  max %s\n", names[which],
                   show_us(cell[0], (double)times.p50_ns / 1e3), show_us(cell[1], (double)times.p99_ns / 1e3),
                   show_us(cell[2], (double)times.p999_ns / 1e3), show_us(cell[3], (double)times.max_ns / 1e3));
}

static void print_text(const struct target *target, const libcache_stats *s, const libcache_ns_stats *sum)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats ns = LIBCACHE_NS_STATS_INIT;
    char cell[4][SHORT_TEXT];

    printf("segment     %s: %s, %llu entries in %s (%.0f %%), index %s, %u stripes\n", target->name,
           show_bytes(cell[0], s->memory_bytes), (unsigned long long)s->entries, show_bytes(cell[1], s->live_bytes),
           100.0 * (double)s->live_bytes / (double)(s->memory_bytes ? s->memory_bytes : 1),
           show_bytes(cell[2], s->index_bytes), s->stripes);
    printf("evictions   %llu, of keys wanted again %llu, for want of slots %llu; reclaimed %llu\n",
           (unsigned long long)s->evictions, (unsigned long long)s->ghost_hits,
           (unsigned long long)s->conflict_evictions, (unsigned long long)s->reclaimed);
    if (s->owner_deaths || s->resets)
        printf("deaths      %llu locks of dead processes, %llu stripes emptied\n", (unsigned long long)s->owner_deaths,
               (unsigned long long)s->resets);
    if (s->epochs)
        printf("Redis       position %llu, applied %llu, up to date %s ago, %llu epochs, owed %s, breaker opened %llu "
               "times\n",
               (unsigned long long)s->log_position, (unsigned long long)s->log_applied,
               show_ms(cell[0], s->coherence_age_ms), (unsigned long long)s->epochs, show_bytes(cell[1], s->owed_bytes),
               (unsigned long long)s->breaker_opens);
    if (sum->l2_connects || sum->pool_refusals)
        printf("connections %llu made, %llu deadlines missed, %llu requests repeated, %s sent, %s received, pool "
               "waited for %llu times, "
               "%llu in vain\n",
               (unsigned long long)sum->l2_connects, (unsigned long long)sum->l2_timeouts,
               (unsigned long long)sum->l2_retries, show_bytes(cell[0], sum->l2_bytes_out),
               show_bytes(cell[1], sum->l2_bytes_in), (unsigned long long)sum->pool_waits,
               (unsigned long long)sum->pool_refusals);
    print_reasons(sum);
    print_times(target->cache);
    puts("\nNAMESPACE                 GETS    HIT       L1 HIT    L2 HIT      MISS      SETS    FENCED   EVICTED   "
         "ENTRIES      BYTES");
    while (libcache_iterate_namespaces(target->cache, &cursor, &ns) == LIBCACHE_HIT)
        print_row(&ns, ns.name);
    print_row(sum, "all");
}

int cmd_stat(struct args *args)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_ns_stats sum = LIBCACHE_NS_STATS_INIT;
    struct target target;
    int code = target_look(&target, args);

    if (code != TOOL_OK)
        return code;
    if (libcache_read_stats(target.cache, &stats) != LIBCACHE_OK ||
        libcache_sum_stats(target.cache, &sum) != LIBCACHE_OK)
        code = fail(TOOL_FAILED, "stat: the statistics cannot be read");
    else if (args->json)
        print_json(&target, &stats, &sum);
    else
        print_text(&target, &stats, &sum);
    target_close(&target);
    return code;
}
