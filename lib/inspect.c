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
    l1_stats(&cache->l1, &known);
    return options_write(stats, &known, sizeof known) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}
