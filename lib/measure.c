/* What took long: histograms, and options.slow. SPDX-License-Identifier: MIT */
#include "cache.h"

void measure_add(libcache *cache, int which, uint64_t ns)
{
    if (!cache->l1.read_only)
        times_add(&cache->l1.metrics->time[which], ns);
}

uint64_t measure_end(const struct operation *o, int result)
{
    uint64_t ns = measure_now() - o->begun_ns;
    libcache_slow slow = LIBCACHE_SIZED(libcache_slow);

    if (ns < o->cache->slow_ns)
        return ns;
    if (o->ns)
        count_one(o->ns, COUNT_SLOW);
    else
        count_in(o->cache, COUNT_SLOW, 1);
    if (o->cache->slow) {
        slow.operation = o->name;
        slow.ns_name = o->ns ? o->ns->name : NULL;
        slow.key = o->key;
        slow.key_size = o->key_size;
        slow.duration_ns = ns;
        slow.result = result;
        o->cache->slow(o->cache->slow_arg, &slow);
    }
    return ns;
}

void measure_time(const struct operation *o, int result, int which)
{
    measure_add(o->cache, which, measure_end(o, result));
}
