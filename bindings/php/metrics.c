/* Cache: statistics as arrays, metrics as the core writes them. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

/* A member of a statistics struct: an unsigned, or a uint64_t. */
struct figure {
    const char *name;
    unsigned short offset, size;
};

#define FIGURE(member) { #member, offsetof(STATS, member), sizeof(((STATS *)NULL)->member) }

#define STATS libcache_stats
static const struct figure of_handle[] = {
    FIGURE(hits), FIGURE(stale), FIGURE(negatives), FIGURE(misses), FIGURE(sets), FIGURE(adds), FIGURE(deletes), FIGURE(touches),
    FIGURE(increments), FIGURE(fenced), FIGURE(loads), FIGURE(load_errors), FIGURE(load_waits), FIGURE(load_bypasses),
    FIGURE(refreshes), FIGURE(invalidations), FIGURE(lock_fallbacks), FIGURE(entries), FIGURE(evictions),
    FIGURE(conflict_evictions), FIGURE(reclaimed), FIGURE(ghost_hits), FIGURE(survivors), FIGURE(owner_deaths), FIGURE(resets),
    FIGURE(memory_bytes), FIGURE(live_bytes), FIGURE(index_bytes), FIGURE(position), FIGURE(stripes), FIGURE(namespaces),
    FIGURE(l2_hits), FIGURE(l2_misses), FIGURE(l2_invalidated), FIGURE(l2_foreign), FIGURE(l2_verified), FIGURE(l2_errors),
    FIGURE(l2_exchanges), FIGURE(l2_connects), FIGURE(l2_timeouts), FIGURE(l2_retries), FIGURE(l2_bytes_out), FIGURE(l2_bytes_in),
    FIGURE(l2_time_us), FIGURE(log_records), FIGURE(l2_connections), FIGURE(l2_up), FIGURE(listening), FIGURE(coherence_age_ms),
    FIGURE(log_position), FIGURE(log_applied), FIGURE(epochs), FIGURE(owed_bytes), FIGURE(breaker_opens), FIGURE(breaker_open),
    FIGURE(miss_cold), FIGURE(miss_expired), FIGURE(miss_evicted), FIGURE(miss_invalidated), FIGURE(miss_fenced),
    FIGURE(miss_unvouched), FIGURE(miss_unavailable), FIGURE(load_timeouts), FIGURE(set_bytes), FIGURE(slow), FIGURE(pool_waits),
    FIGURE(pool_refusals), FIGURE(metrics_bytes),
};
#undef STATS
#define STATS libcache_ns_stats
static const struct figure of_namespace[] = {
    FIGURE(hits_l1), FIGURE(hits_l2), FIGURE(stale_l1), FIGURE(stale_l2), FIGURE(negatives_l1), FIGURE(negatives_l2),
    FIGURE(misses), FIGURE(miss_cold), FIGURE(miss_expired), FIGURE(miss_evicted), FIGURE(miss_invalidated), FIGURE(miss_fenced),
    FIGURE(miss_unvouched), FIGURE(miss_unavailable), FIGURE(sets), FIGURE(adds), FIGURE(deletes), FIGURE(touches),
    FIGURE(increments), FIGURE(invalidations), FIGURE(set_bytes), FIGURE(fenced), FIGURE(loads), FIGURE(load_errors),
    FIGURE(load_timeouts), FIGURE(load_waits), FIGURE(load_bypasses), FIGURE(refreshes), FIGURE(l2_hits), FIGURE(l2_misses),
    FIGURE(l2_invalidated), FIGURE(l2_foreign), FIGURE(l2_verified), FIGURE(l2_errors), FIGURE(slow), FIGURE(entries),
    FIGURE(live_bytes), FIGURE(evictions), FIGURE(l2_connects), FIGURE(l2_timeouts), FIGURE(l2_retries), FIGURE(l2_bytes_out),
    FIGURE(l2_bytes_in), FIGURE(pool_waits), FIGURE(pool_refusals),
};
#undef STATS

static void give(zval *out, const void *stats, const struct figure *figure, size_t n)
{
    array_init_size(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)stats + figure[i].offset;
        uint64_t number = figure[i].size == sizeof(unsigned) ? *(const unsigned *)(const void *)at : *(const uint64_t *)(const void *)at;
        add_assoc_long(out, figure[i].name, (zend_long)number);
    }
}

#define GIVE(out, stats, figures) give(out, stats, figures, sizeof(figures) / sizeof *(figures))

ZEND_METHOD(Libcache_Cache, stats)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    ZEND_PARSE_PARAMETERS_NONE();
    libcache_read_stats(THIS_CACHE()->handle->cache, &stats);
    GIVE(return_value, &stats, of_handle);
}

ZEND_METHOD(Libcache_Cache, namespaceStats)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ZEND_PARSE_PARAMETERS_NONE();
    libcache_read_ns_stats(THIS_CACHE()->ns, &stats);
    GIVE(return_value, &stats, of_namespace);
}

ZEND_METHOD(Libcache_Cache, sumStats)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    ZEND_PARSE_PARAMETERS_NONE();
    libcache_sum_stats(THIS_CACHE()->handle->cache, &stats);
    GIVE(return_value, &stats, of_namespace);
}

ZEND_METHOD(Libcache_Cache, namespaces)
{
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
    libcache_cursor cursor = { 0 };
    zval figures;

    ZEND_PARSE_PARAMETERS_NONE();
    array_init(return_value);
    while (libcache_iterate_namespaces(THIS_CACHE()->handle->cache, &cursor, &stats) == LIBCACHE_HIT) {
        GIVE(&figures, &stats, of_namespace);
        add_assoc_zval(return_value, stats.name, &figures);
    }
}

ZEND_METHOD(Libcache_Cache, metrics)
{
    php_libcache_cache *c = THIS_CACHE();
    php_libcache_reading r;
    zend_string *format = NULL;
    unsigned which = LIBCACHE_METRICS_OPENMETRICS;
    int result;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_STR(format)
    ZEND_PARSE_PARAMETERS_END();

    if (format && zend_string_equals_literal(format, "json")) {
        which = LIBCACHE_METRICS_JSON;
    } else if (format && !zend_string_equals_literal(format, "openmetrics")) {
        php_libcache_throw(LIBCACHE_EINVAL, "metrics: format \"%s\" is neither openmetrics nor json", ZSTR_VAL(format));
        RETURN_THROWS();
    }
    reading_begin(&r);
    r.scratch = 0;
    r.guarded = 1; /* the core holds its text meanwhile */
    result = libcache_metrics(c->handle->cache, &r.value, which);
    if (result == LIBCACHE_OK) {
        ZSTR_VAL(r.string)[ZSTR_LEN(r.string)] = '\0';
        RETURN_STR(r.string);
    }
    reading_end(&r);
    if (!EG(exception))
        php_libcache_throw(result, "metrics: %s", libcache_describe(result));
    RETURN_THROWS();
}
