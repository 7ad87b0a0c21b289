/* The public calls for tools: iteration and statistics. SPDX-License-Identifier: MIT */
#include "cache.h"

#include "base/options.h"

#include <string.h>

/* By the policy that this handle has for the namespace, if it has opened it. */
static int is_stale(libcache *cache, uint32_t id, uint64_t age_ms)
{
    const struct libcache_ns *ns = load_acquire(&cache->spaces);

    while (ns && ns->id != id)
        ns = ns->next;
    return ns && ns->view.soft_ttl_ms && age_ms >= ns->view.soft_ttl_ms;
}

int libcache_iterate(libcache *cache, libcache_cursor *cursor, libcache_entry *entry)
{
    uint32_t ns = 0;
    int result;

    if (!cache || !cursor || !entry)
        return LIBCACHE_EINVAL;
    result = l1_iterate(&cache->l1, cursor, entry, &ns);
    if (result != LIBCACHE_HIT)
        return result;
    entry->ns_name = l1_space_name(&cache->l1, ns);
    if (entry->result == LIBCACHE_HIT && is_stale(cache, ns, entry->age_ms))
        entry->result = LIBCACHE_STALE;
    return entry->ns_name ? LIBCACHE_HIT : LIBCACHE_ECORRUPT;
}

static void host_stats(const struct coherence_stats *c, libcache_stats *out)
{
    out->breaker_opens = c->breaker_opens;
    out->breaker_open = (unsigned)c->breaker_open;
    out->coherence_age_ms = c->age_ms;
    out->log_position = c->position;
    out->log_applied = c->applied;
    out->epochs = c->epochs;
    out->owed_bytes = c->owed;
}

static void remote_stats(libcache *cache, libcache_stats *out)
{
    struct transport *transport = l2_transport(coherence_l2(cache->coherence));
    struct transport_stats t;
    struct coherence_stats c;

    transport_stats(transport, &t);
    coherence_stats(cache->coherence, &c);
    out->l2_exchanges = t.exchanges;
    out->l2_connects = t.connects;
    out->l2_time_us = t.busy_ns / 1000;
    out->l2_timeouts = t.timeouts;
    out->l2_retries = t.retries;
    out->l2_bytes_out = t.bytes_out;
    out->l2_bytes_in = t.bytes_in;
    out->pool_waits = t.pool_waits;
    out->pool_refusals = t.pool_refusals;
    out->l2_connections = t.connections;
    out->l2_up = (unsigned)transport_is_up(transport);
    out->log_records = c.records;
    out->listening = (unsigned)c.listening;
    host_stats(&c, out);
}

/* What both kinds of statistics have under the same names. *out is zeroes. */
#define SHARED_FIELDS(out, c)                                  \
    do {                                                       \
        for (int why = 0; why < MISSES; why++)                 \
            (out)->misses += (c)[COUNT_MISS_COLD + why];       \
        (out)->miss_cold = (c)[COUNT_MISS_COLD];               \
        (out)->miss_expired = (c)[COUNT_MISS_EXPIRED];         \
        (out)->miss_evicted = (c)[COUNT_MISS_EVICTED];         \
        (out)->miss_invalidated = (c)[COUNT_MISS_INVALIDATED]; \
        (out)->miss_fenced = (c)[COUNT_MISS_FENCED];           \
        (out)->miss_unvouched = (c)[COUNT_MISS_UNVOUCHED];     \
        (out)->miss_unavailable = (c)[COUNT_MISS_UNAVAILABLE]; \
        (out)->sets = (c)[COUNT_SET];                          \
        (out)->adds = (c)[COUNT_ADD];                          \
        (out)->deletes = (c)[COUNT_DELETE];                    \
        (out)->touches = (c)[COUNT_TOUCH];                     \
        (out)->increments = (c)[COUNT_INCREMENT];              \
        (out)->fenced = (c)[COUNT_FENCED];                     \
        (out)->set_bytes = (c)[COUNT_SET_BYTES];               \
        (out)->invalidations = (c)[COUNT_INVALIDATION];        \
        (out)->loads = (c)[COUNT_LOAD];                        \
        (out)->load_errors = (c)[COUNT_LOAD_ERROR];            \
        (out)->load_timeouts = (c)[COUNT_LOAD_TIMEOUT];        \
        (out)->load_waits = (c)[COUNT_LOAD_WAIT];              \
        (out)->load_bypasses = (c)[COUNT_LOAD_BYPASS];         \
        (out)->refreshes = (c)[COUNT_REFRESH];                 \
        (out)->slow = (c)[COUNT_SLOW];                         \
        (out)->l2_hits = (c)[COUNT_L2_HIT];                    \
        (out)->l2_misses = (c)[COUNT_L2_MISS];                 \
        (out)->l2_invalidated = (c)[COUNT_L2_INVALIDATED];     \
        (out)->l2_foreign = (c)[COUNT_L2_FOREIGN];             \
        (out)->l2_verified = (c)[COUNT_L2_VERIFIED];           \
        (out)->l2_errors = (c)[COUNT_L2_ERROR];                \
    } while (0)

int libcache_read_stats(libcache *cache, libcache_stats *stats)
{
    libcache_stats known;
    uint64_t c[COUNTERS];

    if (!cache || !stats)
        return LIBCACHE_EINVAL;
    counters_own(&cache->counters, c);
    memset(&known, 0, sizeof known);
    known.hits = c[COUNT_HIT] + c[COUNT_HIT_L2];
    known.stale = c[COUNT_STALE] + c[COUNT_STALE_L2];
    known.negatives = c[COUNT_NEGATIVE] + c[COUNT_NEGATIVE_L2];
    SHARED_FIELDS(&known, c);
    if (cache->coherence) {
        remote_stats(cache, &known);
    } else if (cache->l1.layout.upper_bytes) { /* only looked at */
        struct coherence_stats host;
        coherence_look_at(&cache->l1, &host);
        host_stats(&host, &known);
    }
    l1_stats(&cache->l1, &known);
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}

static void fill_ns_stats(libcache_ns_stats *out, const uint64_t *c)
{
    memset(out, 0, sizeof *out);
    out->hits_l1 = c[COUNT_HIT];
    out->hits_l2 = c[COUNT_HIT_L2];
    out->stale_l1 = c[COUNT_STALE];
    out->stale_l2 = c[COUNT_STALE_L2];
    out->negatives_l1 = c[COUNT_NEGATIVE];
    out->negatives_l2 = c[COUNT_NEGATIVE_L2];
    SHARED_FIELDS(out, c);
    out->l2_connects = c[COUNT_CONNECT];
    out->l2_timeouts = c[COUNT_TIMEOUT];
    out->l2_retries = c[COUNT_RETRY];
    out->l2_bytes_out = c[COUNT_SENT_BYTES];
    out->l2_bytes_in = c[COUNT_RECEIVED_BYTES];
    out->pool_waits = c[COUNT_POOL_WAIT];
    out->pool_refusals = c[COUNT_POOL_REFUSAL];
}

/* One namespace of the segment. ECORRUPT: its name is no name any more. */
static int read_space(libcache *cache, uint32_t id, libcache_ns_stats *out)
{
    const char *name = l1_space_name(&cache->l1, id);
    uint64_t count[COUNTERS];
    struct space_use use;

    if (!name)
        return LIBCACHE_ECORRUPT;
    counters_read(&cache->counters, id, count);
    fill_ns_stats(out, count);
    memcpy(out->name, name, strnlen(name, sizeof out->name - 1));
    l1_space_use(&cache->l1, id, &use);
    out->entries = use.entries;
    out->live_bytes = use.bytes;
    out->evictions = use.evictions;
    return LIBCACHE_OK;
}

void read_nowhere(libcache *cache, libcache_ns_stats *out)
{
    uint64_t count[COUNTERS];

    counters_read(&cache->counters, counters_nowhere(&cache->counters), count);
    fill_ns_stats(out, count);
}

int libcache_read_ns_stats(libcache_ns *ns, libcache_ns_stats *stats)
{
    libcache_ns_stats known;

    if (!ns || !stats)
        return LIBCACHE_EINVAL;
    if (read_space(ns->cache, ns->id, &known) != LIBCACHE_OK)
        return LIBCACHE_ECORRUPT;
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}

int libcache_iterate_namespaces(libcache *cache, libcache_cursor *cursor, libcache_ns_stats *stats)
{
    libcache_ns_stats known;

    if (!cache || !cursor || !stats)
        return LIBCACHE_EINVAL;
    while (cursor->place[0] < l1_spaces_used(&cache->l1)) {
        if (read_space(cache, (uint32_t)cursor->place[0]++, &known) != LIBCACHE_OK ||
            (unsigned char)known.name[0] < 0x20)
            continue; /* the cache's own, for locks and rates */
        return options_write(stats, &known, sizeof known) ? LIBCACHE_HIT : LIBCACHE_EINVAL;
    }
    return LIBCACHE_MISS;
}

int libcache_sum_stats(libcache *cache, libcache_ns_stats *stats)
{
    libcache_ns_stats known;
    uint64_t count[COUNTERS];

    if (!cache || !stats)
        return LIBCACHE_EINVAL;
    counters_read_all(&cache->counters, count);
    fill_ns_stats(&known, count);
    for (uint32_t id = 0; id < l1_spaces_used(&cache->l1); id++) {
        struct space_use use;
        l1_space_use(&cache->l1, id, &use);
        known.entries += use.entries;
        known.live_bytes += use.bytes;
        known.evictions += use.evictions;
    }
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}

int libcache_read_times(libcache *cache, int which, libcache_times *times)
{
    libcache_times known;

    if (!cache || !times || which < 0 || which >= LIBCACHE_TIMES_KINDS)
        return LIBCACHE_EINVAL;
    memset(&known, 0, sizeof known);
    times_read(&cache->l1.metrics->time[which], &known);
    return options_write(times, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}
