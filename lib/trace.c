/* Traces of live caches: the public calls, and what the other calls tell of reads and changes. SPDX-License-Identifier: MIT */
#include "l1/trace.h"

#include "base/error.h"
#include "base/options.h"
#include "cache.h"

#include <sys/random.h>
#include <unistd.h>

#define DEFAULT_LEASE_MS 5000
#define LEASE_MIN_MS 100
#define LEASE_MAX_MS 3600000
#define AT_ONCE 64 /* records that are taken out of the segment together */
#define ALL_HASHES 18446744073709551616.0

struct libcache_trace {
    libcache *cache;
    struct trace_reader reader;
    uint32_t space; /* + 1; 0: all */
    pid_t pid;
    uint64_t reads_before;
};

/* ---- What is told ------------------------------------------------------------------------------------------------------ */

void trace_notice(libcache_ns *ns)
{
    if (!ns->cache->l1.read_only)
        __atomic_fetch_or(&ns->view.lean, VIEW_TRACED, __ATOMIC_RELAXED);
}

static void note(libcache_ns *ns, const void *key, size_t key_size, enum trace_what what, size_t value_size)
{
    if (!trace_note(&ns->cache->l1, ns->id, key, key_size, what, value_size))
        __atomic_fetch_and(&ns->view.lean, ~VIEW_TRACED, __ATOMIC_RELAXED);
}

void trace_read(libcache_ns *ns, const void *key, size_t key_size, int result, const libcache_value *value)
{
    int what = result == LIBCACHE_HIT ? TRACE_HIT : result == LIBCACHE_STALE ? TRACE_STALE : TRACE_NEGATIVE;

    if (result == LIBCACHE_MISS)
        note(ns, key, key_size, TRACE_MISS, 0);
    else if (result >= LIBCACHE_HIT && result <= LIBCACHE_NEGATIVE) /* an error is counted as nothing, either */
        note(ns, key, key_size, (enum trace_what)(value->tier == LIBCACHE_TIER_L2 ? what + TRACE_ELSEWHERE : what),
             result == LIBCACHE_NEGATIVE ? 0 : value->size);
}

void trace_stored(libcache_ns *ns, const void *key, size_t key_size, size_t size)
{
    note(ns, key, key_size, TRACE_SET, size);
}

void trace_deleted(libcache_ns *ns, const void *key, size_t key_size)
{
    note(ns, key, key_size, TRACE_DELETE, 0);
}

/* ---- The public calls ---------------------------------------------------------------------------------------------------- */

static uint64_t reads_of(const libcache *cache, uint32_t space)
{
    uint64_t count[COUNTERS], sum = 0;

    if (space)
        counters_read(&cache->counters, space - 1, count);
    else
        counters_read_all(&cache->counters, count);
    for (int which = COUNT_HIT; which <= COUNT_MISS_UNAVAILABLE; which++)
        sum += count[which];
    return sum;
}

static int read_wish(struct trace_wish *wish, const libcache *cache, const libcache_trace_options *given,
                     libcache_error *error)
{
    libcache_trace_options o = LIBCACHE_TRACE_OPTIONS_INIT;
    uint32_t id = 0;

    if (given && !options_read(&o, sizeof o, given))
        return error_set(error, LIBCACHE_EINVAL,
                         "options: start from LIBCACHE_TRACE_OPTIONS_INIT (struct_size is wrong, or a "
                         "field that this build does not know is set)");
    if (o.rate == 0)
        o.rate = 1;
    if (!(o.rate > 0 && o.rate <= 1)) /* nor a NaN */
        return error_set(error, LIBCACHE_EINVAL, "rate (%g) must be above 0 and at most 1", o.rate);
    if (o.lease_ms && (o.lease_ms < LEASE_MIN_MS || o.lease_ms > LEASE_MAX_MS))
        return error_set(error, LIBCACHE_EINVAL, "lease_ms (%u) must be %d to %d", o.lease_ms, LEASE_MIN_MS,
                         LEASE_MAX_MS);
    if (cache->l1.read_only)
        return error_set(error, LIBCACHE_EACCESS,
                         "the segment is only looked at (read_only): a trace is asked for in it");
    if (o.ns_name && !l1_find_space(&cache->l1, o.ns_name, strlen(o.ns_name), &id))
        return error_set(error, LIBCACHE_ENOTFOUND, "namespace %.100s: the segment has none of that name", o.ns_name);
    if (getrandom(wish, sizeof *wish, 0) != (ssize_t)sizeof *wish)
        return error_set(error, LIBCACHE_ESYSTEM, "getrandom: %m");
    wish->id |= 1;
    wish->threshold = o.rate * ALL_HASHES < ALL_HASHES ? (uint64_t)(o.rate * ALL_HASHES) : UINT64_MAX;
    wish->space = o.ns_name ? id + 1 : 0;
    wish->lease_ms = o.lease_ms ? o.lease_ms : DEFAULT_LEASE_MS;
    return LIBCACHE_OK;
}

int libcache_trace_begin(libcache_trace **out, libcache *cache, const libcache_trace_options *options,
                         libcache_error *error)
{
    struct trace_wish wish = { .id = 0 };
    libcache_trace *trace;
    uint32_t pid = 0;
    int result;

    if (!out || !cache)
        return error_set(error, LIBCACHE_EINVAL, "%s is null", out ? "cache" : "out");
    result = read_wish(&wish, cache, options, error);
    if (result != LIBCACHE_OK)
        return result;
    trace = memory_zero(&cache->allocator, sizeof *trace);
    if (!trace)
        return error_set(error, LIBCACHE_ENOMEM, "no memory for the trace");
    trace->cache = cache;
    trace->space = wish.space;
    trace->pid = getpid();
    result = trace_begin(&cache->l1, &wish, &trace->reader, &pid);
    if (result != LIBCACHE_OK) {
        memory_free(&cache->allocator, trace);
        return pid ? error_set(error, result, "process %lu is tracing this segment", (unsigned long)pid)
                   : error_set(error, result, "the segment's table of namespaces is locked");
    }
    trace->reads_before = reads_of(cache, wish.space);
    *out = trace;
    return LIBCACHE_OK;
}

static void show(libcache_trace_record *out, const struct trace_seen *seen, const char *ns_name)
{
    static const int results[TRACE_WHATS] = { LIBCACHE_HIT,  LIBCACHE_STALE, LIBCACHE_NEGATIVE,
                                              LIBCACHE_HIT,  LIBCACHE_STALE, LIBCACHE_NEGATIVE,
                                              LIBCACHE_MISS, LIBCACHE_OK,    LIBCACHE_OK };

    out->key = seen->key;
    out->time_ms = seen->time_ms;
    out->ns_name = ns_name;
    out->ns = seen->space;
    out->key_size = seen->key_size;
    out->size = seen->value_size;
    out->op = seen->what == TRACE_SET      ? LIBCACHE_TRACE_SET
              : seen->what == TRACE_DELETE ? LIBCACHE_TRACE_DELETE
                                           : LIBCACHE_TRACE_GET;
    out->result = results[seen->what];
    out->tier = seen->what < TRACE_ELSEWHERE ? LIBCACHE_TIER_L1 : seen->what < TRACE_MISS ? LIBCACHE_TIER_L2 : 0;
}

int libcache_trace_read(libcache_trace *trace, libcache_trace_record *records, size_t n, size_t *got)
{
    struct trace_seen seen[AT_ONCE];
    size_t done = 0, taken;

    if (!trace || !records || !n || !got || trace->pid != getpid())
        return LIBCACHE_EINVAL;
    do {
        if (trace_take(&trace->cache->l1, &trace->reader, seen, n - done < AT_ONCE ? n - done : AT_ONCE, &taken) !=
            LIBCACHE_OK) {
            if (!done)
                return LIBCACHE_ENOTFOUND;
            break;
        }
        for (size_t i = 0; i < taken; i++) {
            const char *name =
                seen[i].space < trace->cache->l1.layout.spaces ? l1_space_name(&trace->cache->l1, seen[i].space) : NULL;
            if (name)
                show(&records[done++], &seen[i], name);
            else
                trace->reader.lost++;
        }
    } while (taken && done < n);
    *got = done;
    return LIBCACHE_OK;
}

int libcache_trace_status(libcache_trace *trace, libcache_trace_stats *stats)
{
    libcache_trace_stats known;

    if (!trace || !stats)
        return LIBCACHE_EINVAL;
    memset(&known, 0, sizeof known);
    known.reads = reads_of(trace->cache, trace->space) - trace->reads_before;
    known.dropped = trace_dropped(&trace->cache->l1) + trace->reader.lost;
    known.queue_records = trace->cache->l1.layout.trace_records;
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}

void libcache_trace_end(libcache_trace *trace)
{
    if (!trace)
        return;
    if (trace->pid == getpid())
        trace_end(&trace->cache->l1, &trace->reader);
    memory_free(&trace->cache->allocator, trace);
}
