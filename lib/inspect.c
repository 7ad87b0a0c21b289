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
    out->l2_connections = t.connections;
    out->l2_up = (unsigned)transport_is_up(transport);
    out->breaker_opens = c.breaker_opens;
    out->log_records = c.records;
    out->listening = (unsigned)c.listening;
    out->coherence_age_ms = c.age_ms;
    out->log_position = c.position;
    out->log_applied = c.applied;
    out->epochs = c.epochs;
    out->owed_bytes = c.owed;
}

int libcache_read_stats(libcache *cache, libcache_stats *stats)
{
    libcache_stats known;
    const struct counters *c;

    if (!cache || !stats)
        return LIBCACHE_EINVAL;
    c = &cache->counters;
    memset(&known, 0, sizeof known);
    known.hits = counters_sum(c, COUNT_HIT);
    known.stale = counters_sum(c, COUNT_STALE);
    known.negatives = counters_sum(c, COUNT_NEGATIVE);
    known.misses = counters_sum(c, COUNT_MISS);
    known.sets = counters_sum(c, COUNT_SET);
    known.adds = counters_sum(c, COUNT_ADD);
    known.deletes = counters_sum(c, COUNT_DELETE);
    known.touches = counters_sum(c, COUNT_TOUCH);
    known.increments = counters_sum(c, COUNT_INCREMENT);
    known.fenced = counters_sum(c, COUNT_FENCED);
    known.invalidations = counters_sum(c, COUNT_INVALIDATION);
    known.loads = counters_sum(c, COUNT_LOAD);
    known.load_errors = counters_sum(c, COUNT_LOAD_ERROR);
    known.load_waits = counters_sum(c, COUNT_LOAD_WAIT);
    known.load_bypasses = counters_sum(c, COUNT_LOAD_BYPASS);
    known.refreshes = counters_sum(c, COUNT_REFRESH);
    known.l2_hits = counters_sum(c, COUNT_L2_HIT);
    known.l2_misses = counters_sum(c, COUNT_L2_MISS);
    known.l2_invalidated = counters_sum(c, COUNT_L2_INVALIDATED);
    known.l2_foreign = counters_sum(c, COUNT_L2_FOREIGN);
    known.l2_verified = counters_sum(c, COUNT_L2_VERIFIED);
    known.l2_errors = counters_sum(c, COUNT_L2_ERROR);
    if (cache->coherence)
        remote_stats(cache, &known);
    l1_stats(&cache->l1, &known);
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}
