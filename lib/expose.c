/*
 * All metrics as text. docs/metrics.md says what each means. SPDX-License-Identifier: MIT
 *
 * What there is, is said once, in tables: a family of series, and for each of its series the labels and the field of a
 * statistics struct that it shows. Both formats are written from what the public calls give.
 */
#include "cache.h"

#include "l1/hit.h"
#include "metrics/text.h"

#include <string.h>

#define BUCKETS_APART 8 /* of those that are shown: a doubling */

enum kind { COUNTER, GAUGE };

/* A series: labels beyond the namespace's ("" none), and where its number is. */
struct series {
    const char *labels;
    size_t field;
    size_t minus; /* of another field that is taken off, 0: none (struct_size lies there) */
};

struct family {
    const char *name, *help;
    enum kind kind;
    struct series series[8];
};

#define OF(field) offsetof(libcache_ns_stats, field)

/* By namespace; "" is what concerns none. */
static const struct family by_namespace[] = {
    { "libcache_reads",
      "Reads that found something, by who answered and what it was.",
      COUNTER,
      { { "tier=\"l1\",result=\"hit\"", OF(hits_l1), 0 },
        { "tier=\"l2\",result=\"hit\"", OF(hits_l2), 0 },
        { "tier=\"l1\",result=\"stale\"", OF(stale_l1), 0 },
        { "tier=\"l2\",result=\"stale\"", OF(stale_l2), 0 },
        { "tier=\"l1\",result=\"negative\"", OF(negatives_l1), 0 },
        { "tier=\"l2\",result=\"negative\"", OF(negatives_l2), 0 } } },
    { "libcache_misses",
      "Reads that found nothing, by reason.",
      COUNTER,
      { { "reason=\"cold\"", OF(miss_cold), 0 },
        { "reason=\"expired\"", OF(miss_expired), 0 },
        { "reason=\"evicted\"", OF(miss_evicted), 0 },
        { "reason=\"invalidated\"", OF(miss_invalidated), 0 },
        { "reason=\"fenced\"", OF(miss_fenced), 0 },
        { "reason=\"unvouched\"", OF(miss_unvouched), 0 },
        { "reason=\"unavailable\"", OF(miss_unavailable), 0 } } },
    { "libcache_writes",
      "Calls that changed or tried to change a key.",
      COUNTER,
      { { "operation=\"set\"", OF(sets), 0 },
        { "operation=\"add\"", OF(adds), 0 },
        { "operation=\"delete\"", OF(deletes), 0 },
        { "operation=\"touch\"", OF(touches), 0 },
        { "operation=\"increment\"", OF(increments), 0 } } },
    { "libcache_written_bytes", "Bytes of values that were stored.", COUNTER, { { "", OF(set_bytes), 0 } } },
    { "libcache_invalidations",
      "Names invalidated: namespaces, and under the empty name tags and everything.",
      COUNTER,
      { { "", OF(invalidations), 0 } } },
    { "libcache_fenced_stores",
      "Stores refused because of an invalidation since their load began.",
      COUNTER,
      { { "", OF(fenced), 0 } } },
    { "libcache_loads",
      "Loads that ended; timeout: stored, but later than load_timeout_ms.",
      COUNTER,
      { { "result=\"ok\"", OF(loads), OF(load_timeouts) },
        { "result=\"error\"", OF(load_errors), 0 },
        { "result=\"timeout\"", OF(load_timeouts), 0 } } },
    { "libcache_load_waits", "Reads that waited for another's load.", COUNTER, { { "", OF(load_waits), 0 } } },
    { "libcache_load_bypasses",
      "Reads that loaded for themselves beside another's load.",
      COUNTER,
      { { "", OF(load_bypasses), 0 } } },
    { "libcache_refreshes", "Loads of values that were still served.", COUNTER, { { "", OF(refreshes), 0 } } },
    { "libcache_redis_lookups",
      "Keys that Redis was asked for.",
      COUNTER,
      { { "result=\"hit\"", OF(l2_hits), 0 }, { "result=\"miss\"", OF(l2_misses), 0 } } },
    { "libcache_redis_rejected",
      "Values found in Redis that were not given out.",
      COUNTER,
      { { "reason=\"invalidated\"", OF(l2_invalidated), 0 }, { "reason=\"foreign\"", OF(l2_foreign), 0 } } },
    { "libcache_redis_verified",
      "Values found in Redis whose marks Redis had to be asked for.",
      COUNTER,
      { { "", OF(l2_verified), 0 } } },
    { "libcache_redis_errors", "Calls that Redis did not serve.", COUNTER, { { "", OF(l2_errors), 0 } } },
    { "libcache_slow_operations", "Operations that took slow_ms or longer.", COUNTER, { { "", OF(slow), 0 } } },
    { "libcache_evictions", "Live entries that had to make room.", COUNTER, { { "", OF(evictions), 0 } } },
    { "libcache_entries",
      "Entries in L1, expired ones not yet reclaimed included.",
      GAUGE,
      { { "", OF(entries), 0 } } },
    { "libcache_live_bytes", "Bytes of the entries in L1, headers included.", GAUGE, { { "", OF(live_bytes), 0 } } },
};

#undef OF
#define OF(field) offsetof(libcache_stats, field)

/* A number of the segment, the host or this process: a field of a statistics struct. */
struct figure {
    const char *name, *help;
    enum kind kind;
    int type; /* enum figure_type */
    size_t field;
};

enum figure_type { WORD, SHORT, MILLISECONDS };

static const struct figure of_segment[] = {
    { "libcache_memory_bytes", "The segment.", GAUGE, WORD, OF(memory_bytes) },
    { "libcache_index_bytes", "Of it, for the index.", GAUGE, WORD, OF(index_bytes) },
    { "libcache_metrics_bytes", "Of it, for counters and histograms.", GAUGE, WORD, OF(metrics_bytes) },
    { "libcache_stripes", "Writer locks.", GAUGE, SHORT, OF(stripes) },
    { "libcache_namespaces", "Namespaces in use.", GAUGE, SHORT, OF(namespaces) },
    { "libcache_conflict_evictions", "Evictions because both index buckets of a key were full.", COUNTER, WORD,
      OF(conflict_evictions) },
    { "libcache_reclaimed", "Expired or invalidated entries that were found and dropped.", COUNTER, WORD,
      OF(reclaimed) },
    { "libcache_ghost_hits", "Stores of a key that had recently been evicted.", COUNTER, WORD, OF(ghost_hits) },
    { "libcache_survivors", "Entries copied forward instead of being evicted.", COUNTER, WORD, OF(survivors) },
    { "libcache_owner_deaths", "Locks found held by a dead process.", COUNTER, WORD, OF(owner_deaths) },
    { "libcache_stripe_resets", "Stripes emptied because of such a death, or of corruption.", COUNTER, WORD,
      OF(resets) },
};

static const struct figure of_host[] = {
    { "libcache_coherence_age_seconds", "Since this host last knew that it had heard of every invalidation.", GAUGE,
      MILLISECONDS, OF(coherence_age_ms) },
    { "libcache_log_position", "Latest position of Redis's log that is known here.", GAUGE, WORD, OF(log_position) },
    { "libcache_log_applied", "Position up to which the log was applied here.", GAUGE, WORD, OF(log_applied) },
    { "libcache_histories", "How often Redis's history was another, or had a gap: all of L1 was given up.", COUNTER,
      WORD, OF(epochs) },
    { "libcache_owed_bytes", "Names of invalidations that Redis is yet to be told.", GAUGE, WORD, OF(owed_bytes) },
    { "libcache_breaker_open", "1: the circuit breaker keeps calls from Redis.", GAUGE, SHORT, OF(breaker_open) },
    { "libcache_breaker_opens", "How often it opened.", COUNTER, WORD, OF(breaker_opens) },
};

#undef OF
#define OF(field) offsetof(libcache_ns_stats, field)

/* Of the host's connections to Redis, by all processes of the segment. */
static const struct figure of_connections[] = {
    { "libcache_redis_connects", "Connections made to Redis.", COUNTER, WORD, OF(l2_connects) },
    { "libcache_redis_timeouts", "Exchanges with Redis and connects that missed their deadline.", COUNTER, WORD,
      OF(l2_timeouts) },
    { "libcache_redis_retries", "Exchanges with Redis repeated on another connection.", COUNTER, WORD, OF(l2_retries) },
    { "libcache_redis_sent_bytes", "Bytes sent to Redis.", COUNTER, WORD, OF(l2_bytes_out) },
    { "libcache_redis_received_bytes", "Bytes received from Redis.", COUNTER, WORD, OF(l2_bytes_in) },
    { "libcache_pool_waits", "Waits for a free connection to Redis.", COUNTER, WORD, OF(pool_waits) },
    { "libcache_pool_refusals", "Those in vain.", COUNTER, WORD, OF(pool_refusals) },
};

#undef OF
#define OF(field) offsetof(libcache_stats, field)

static const struct figure of_process[] = {
    { "libcache_process_lock_fallbacks", "Reads that took the lock after 16 lost races.", COUNTER, WORD,
      OF(lock_fallbacks) },
};

static const struct figure of_process_redis[] = {
    { "libcache_process_redis_up", "1: the last exchange with Redis went well.", GAUGE, SHORT, OF(l2_up) },
    { "libcache_process_listening", "1: this handle listens for its host.", GAUGE, SHORT, OF(listening) },
    { "libcache_process_redis_connections", "Connections that are open.", GAUGE, SHORT, OF(l2_connections) },
    { "libcache_process_log_records", "Records of the log that this handle applied.", COUNTER, WORD, OF(log_records) },
};

#undef OF

static const struct {
    const char *name, *help, *in_json;
} histograms[LIBCACHE_TIMES_KINDS] = {
    { "libcache_get_duration_seconds", "Gets that L1 answered with a hit: a sample.", "get" },
    { "libcache_redis_exchange_duration_seconds", "Round trips to Redis.", "exchange" },
    { "libcache_load_duration_seconds", "Loads, from begin to commit or abort.", "load" },
    { "libcache_load_wait_duration_seconds", "Waits for another's load.", "wait" },
};

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))

/* All that is shown, read once. */
struct gathered {
    libcache_stats stats;
    libcache_ns_stats *spaces; /* the first is that of none */
    size_t n;
    libcache_times times[LIBCACHE_TIMES_KINDS];
    int remote; /* there is a Redis tier: 1 of the host, 2 and of this handle */
};

static uint64_t word_at(const void *struct_, size_t field)
{
    uint64_t word;

    memcpy(&word, (const char *)struct_ + field, sizeof word);
    return word;
}

static uint64_t number_of(const struct series *series, const libcache_ns_stats *stats)
{
    uint64_t from = word_at(stats, series->field), less = series->minus ? word_at(stats, series->minus) : 0;

    return from > less ? from - less : 0;
}

/* ---- OpenMetrics ------------------------------------------------------------------------------------------------ */

static void add_head(struct text *t, const char *name, const char *help, const char *type)
{
    text_add(t, "# TYPE %s %s\n", name, type);
    for (size_t i = 0; i < 2; i++) {
        static const char *const units[] = { "seconds", "bytes" };
        size_t size = strlen(name), unit = strlen(units[i]);
        if (size > unit && name[size - unit - 1] == '_' && strcmp(name + size - unit, units[i]) == 0)
            text_add(t, "# UNIT %s %s\n", name, units[i]);
    }
    text_add(t, "# HELP %s %s\n", name, help);
}

static const char *type_of(enum kind kind)
{
    return kind == COUNTER ? "counter" : "gauge";
}

static const char *ending_of(enum kind kind)
{
    return kind == COUNTER ? "_total" : "";
}

static void add_families(struct text *t, const struct gathered *g)
{
    for (size_t f = 0; f < COUNT_OF(by_namespace); f++) {
        const struct family *family = &by_namespace[f];
        add_head(t, family->name, family->help, type_of(family->kind));
        for (size_t i = 0; i < g->n; i++)
            for (const struct series *s = family->series; s < family->series + COUNT_OF(family->series) && s->labels;
                 s++) {
                text_add(t, "%s%s{namespace=", family->name, ending_of(family->kind));
                text_add_name(t, g->spaces[i].name);
                text_add(t, "%s%s} %llu\n", *s->labels ? "," : "", s->labels,
                         (unsigned long long)number_of(s, &g->spaces[i]));
            }
    }
}

static void add_figure(struct text *t, const void *stats, const struct figure *f)
{
    unsigned small;

    switch (f->type) {
    case SHORT:
        memcpy(&small, (const char *)stats + f->field, sizeof small);
        text_add(t, "%u", small);
        break;
    case MILLISECONDS: text_add_seconds(t, word_at(stats, f->field) * 1000000); break;
    default: text_add(t, "%llu", (unsigned long long)word_at(stats, f->field)); break;
    }
}

static void add_figures(struct text *t, const void *stats, const struct figure *figures, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_head(t, figures[i].name, figures[i].help, type_of(figures[i].kind));
        text_add(t, "%s%s ", figures[i].name, ending_of(figures[i].kind));
        add_figure(t, stats, &figures[i]);
        text_add(t, "\n");
    }
}

static void add_histogram(struct text *t, const char *name, const char *help, const libcache_times *times)
{
    uint64_t seen = 0;

    add_head(t, name, help, "histogram");
    for (unsigned i = 0; i < LIBCACHE_TIME_BUCKETS - 1; i++) {
        seen += times->bucket[i];
        if (i % BUCKETS_APART)
            continue;
        text_add(t, "%s_bucket{le=\"", name);
        text_add_seconds(t, libcache_time_bound(i));
        text_add(t, "\"} %llu\n", (unsigned long long)seen);
    }
    text_add(t, "%s_bucket{le=\"+Inf\"} %llu\n%s_count %llu\n%s_sum ", name, (unsigned long long)times->count, name,
             (unsigned long long)times->count, name);
    text_add_seconds(t, times->sum_ns);
    text_add(t, "\n");
}

static void write_openmetrics(struct text *t, const struct gathered *g)
{
    add_head(t, "libcache_build", "The library that runs.", "info");
    text_add(t, "libcache_build_info{version=\"%s\"} 1\n", libcache_version());
    add_families(t, g);
    add_figures(t, &g->stats, of_segment, COUNT_OF(of_segment));
    if (g->remote) {
        add_figures(t, &g->stats, of_host, COUNT_OF(of_host));
        add_figures(t, g->spaces, of_connections, COUNT_OF(of_connections));
    }
    add_figures(t, &g->stats, of_process, COUNT_OF(of_process));
    if (g->remote > 1)
        add_figures(t, &g->stats, of_process_redis, COUNT_OF(of_process_redis));
    for (int i = 0; i < LIBCACHE_TIMES_KINDS; i++)
        add_histogram(t, histograms[i].name, histograms[i].help, &g->times[i]);
    text_add(t, "# EOF\n");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

/* A family without labels is a number, one with labels an object: the values of its labels, joined, are the names. */
static void add_json_label(struct text *t, const char *labels)
{
    int quoted = 0, first = 1;

    text_add(t, "\"");
    for (; *labels; labels++) {
        if (*labels == '"') {
            quoted = !quoted;
            if (quoted && !first)
                text_add(t, "_");
            first = 0;
        } else if (quoted) {
            text_add(t, "%c", *labels);
        }
    }
    text_add(t, "\"");
}

static const char *json_name(const char *name)
{
    return name + strlen("libcache_");
}

static void add_json_space(struct text *t, const libcache_ns_stats *stats)
{
    text_add(t, "{\"namespace\":");
    text_add_name(t, stats->name);
    for (size_t f = 0; f < COUNT_OF(by_namespace); f++) {
        const struct family *family = &by_namespace[f];
        text_add(t, ",\"%s\":", json_name(family->name));
        if (!*family->series->labels) {
            text_add(t, "%llu", (unsigned long long)number_of(family->series, stats));
            continue;
        }
        for (const struct series *s = family->series; s < family->series + COUNT_OF(family->series) && s->labels; s++) {
            text_add(t, "%s", s == family->series ? "{" : ",");
            add_json_label(t, s->labels);
            text_add(t, ":%llu", (unsigned long long)number_of(s, stats));
        }
        text_add(t, "}");
    }
    text_add(t, "}");
}

static void add_json_figures(struct text *t, const char *name, const void *stats, const struct figure *figures,
                             size_t n)
{
    text_add(t, ",\"%s\":{", name);
    for (size_t i = 0; i < n; i++) {
        text_add(t, "%s\"%s\":", i ? "," : "", json_name(figures[i].name));
        add_figure(t, stats, &figures[i]);
    }
    text_add(t, "}");
}

static void write_json(struct text *t, const struct gathered *g)
{
    text_add(t, "{\"version\":\"%s\",\"namespaces\":[", libcache_version());
    for (size_t i = 0; i < g->n; i++) {
        text_add(t, "%s", i ? "," : "");
        add_json_space(t, &g->spaces[i]);
    }
    text_add(t, "]");
    add_json_figures(t, "segment", &g->stats, of_segment, COUNT_OF(of_segment));
    if (g->remote) {
        add_json_figures(t, "host", &g->stats, of_host, COUNT_OF(of_host));
        add_json_figures(t, "connections", g->spaces, of_connections, COUNT_OF(of_connections));
    }
    add_json_figures(t, "process", &g->stats, of_process, COUNT_OF(of_process));
    if (g->remote > 1)
        add_json_figures(t, "process_redis", &g->stats, of_process_redis, COUNT_OF(of_process_redis));
    text_add(t, ",\"times\":{");
    for (int i = 0; i < LIBCACHE_TIMES_KINDS; i++) {
        const libcache_times *times = &g->times[i];
        text_add(
            t,
            "%s\"%s\":{\"count\":%llu,\"sum_ns\":%llu,\"max_ns\":%llu,\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,"
            "\"p999_ns\":%llu}",
            i ? "," : "", histograms[i].in_json, (unsigned long long)times->count, (unsigned long long)times->sum_ns,
            (unsigned long long)times->max_ns, (unsigned long long)times->p50_ns, (unsigned long long)times->p90_ns,
            (unsigned long long)times->p99_ns, (unsigned long long)times->p999_ns);
    }
    text_add(t, "}}\n");
}

/* ---- Both -------------------------------------------------------------------------------------------------------------- */

/* OK or ENOMEM. */
static int gather(libcache *cache, struct gathered *g)
{
    uint32_t most = l1_spaces_used(&cache->l1) + 1;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;

    memset(g, 0, sizeof *g);
    g->spaces = memory_zero(&cache->allocator, most * sizeof *g->spaces);
    if (!g->spaces)
        return LIBCACHE_ENOMEM;
    for (uint32_t i = 0; i < most; i++)
        g->spaces[i].struct_size = sizeof *g->spaces;
    read_nowhere(cache, g->spaces);
    for (g->n = 1; g->n < most && libcache_iterate_namespaces(cache, &cursor, &g->spaces[g->n]) == LIBCACHE_HIT;)
        g->n++;
    g->stats.struct_size = sizeof g->stats;
    libcache_read_stats(cache, &g->stats);
    for (int i = 0; i < LIBCACHE_TIMES_KINDS; i++) {
        g->times[i].struct_size = sizeof g->times[i];
        libcache_read_times(cache, i, &g->times[i]);
    }
    g->remote = cache->coherence ? 2 : cache->l1.layout.upper_bytes ? 1 : 0;
    return LIBCACHE_OK;
}

int libcache_metrics(libcache *cache, libcache_value *value, unsigned format)
{
    struct gathered *g;
    struct text text;
    int result;

    if (!cache || !value || format > LIBCACHE_METRICS_JSON)
        return LIBCACHE_EINVAL;
    g = memory_get(&cache->allocator, sizeof *g);
    if (!g)
        return LIBCACHE_ENOMEM;
    memset(&text, 0, sizeof text);
    text.allocator = &cache->allocator;
    result = gather(cache, g);
    if (result == LIBCACHE_OK) {
        if (format == LIBCACHE_METRICS_JSON)
            write_json(&text, g);
        else
            write_openmetrics(&text, g);
        result = text.failed ? LIBCACHE_ENOMEM : LIBCACHE_OK;
    }
    memory_free(&cache->allocator, g->spaces);
    memory_free(&cache->allocator, g);
    if (result == LIBCACHE_OK)
        result = l1_reserve(&cache->l1, value, text.size);
    if (result == LIBCACHE_OK) {
        memcpy(value->data, text.data, text.size);
        value->size = text.size;
        value->codec = 1; /* UTF-8 text */
        value->flags = 0;
        value->tier = 0;
    }
    text_free(&text);
    return result;
}
