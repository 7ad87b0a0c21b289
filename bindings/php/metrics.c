/* Cache: stats and metrics, from one table. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

#include "Zend/zend_smart_str.h"

struct figure {
    const char *name, *help;
    unsigned short offset;
    unsigned char narrow; /* an unsigned */
    unsigned char gauge;  /* it may fall */
    unsigned char process;/* 1: of this process; 0: of the segment */
};

#define AT(member) offsetof(libcache_stats, member)
#define COUNT(member, help) { #member, help, AT(member), 0, 0, 1 }
#define SHARED_COUNT(member, help) { #member, help, AT(member), 0, 0, 0 }
#define GAUGE(member, help) { #member, help, AT(member), 0, 1, 0 }
#define SMALL_GAUGE(member, process, help) { #member, help, AT(member), 1, 1, process }

static const struct figure figures[] = {
    COUNT(hits, "Reads that found a fresh value"),
    COUNT(stale, "Reads that found a value past its soft TTL"),
    COUNT(negatives, "Reads of keys known to be missing at the source"),
    COUNT(misses, "Reads that found nothing"),
    COUNT(sets, "Values stored"),
    COUNT(adds, "Values stored because there was none"),
    COUNT(deletes, "Entries deleted"),
    COUNT(touches, "Entries given a new TTL"),
    COUNT(increments, "Numbers changed"),
    COUNT(fenced, "Stores refused because of an invalidation since their load began"),
    COUNT(loads, "Loads committed"),
    COUNT(load_errors, "Loads failed"),
    COUNT(load_waits, "Waits for the load of another"),
    COUNT(load_bypasses, "Loads that did not wait on for another"),
    COUNT(refreshes, "Loads of values that were still served"),
    COUNT(invalidations, "Names invalidated"),
    COUNT(lock_fallbacks, "Reads that took a lock"),
    GAUGE(entries, "Live entries"),
    SHARED_COUNT(evictions, "Live entries dropped for want of room"),
    SHARED_COUNT(conflict_evictions, "Of these, because both index buckets were full"),
    SHARED_COUNT(reclaimed, "Expired or invalidated entries dropped"),
    SHARED_COUNT(ghost_hits, "Stores of keys that had recently been evicted"),
    SHARED_COUNT(survivors, "Entries kept instead of being evicted"),
    SHARED_COUNT(owner_deaths, "Locks found held by a dead process"),
    SHARED_COUNT(resets, "Stripes emptied because of that"),
    GAUGE(memory_bytes, "Size of the segment"),
    GAUGE(live_bytes, "Bytes of live entries"),
    GAUGE(index_bytes, "Bytes of the index"),
    SHARED_COUNT(position, "Position of the latest invalidation"),
    SMALL_GAUGE(stripes, 0, "Stripes of the segment"),
    SMALL_GAUGE(namespaces, 0, "Namespaces of the segment"),
    COUNT(l2_hits, "Hits that Redis answered"),
    COUNT(l2_misses, "Misses in Redis"),
    COUNT(l2_invalidated, "Values found in Redis that an invalidation had overtaken"),
    COUNT(l2_foreign, "Values found in Redis that libcache has not written"),
    COUNT(l2_verified, "Values whose marks Redis was asked for"),
    COUNT(l2_errors, "Calls that Redis did not serve"),
    COUNT(l2_exchanges, "Exchanges with Redis"),
    COUNT(l2_connects, "Connections made to Redis"),
    COUNT(l2_timeouts, "Exchanges that timed out"),
    COUNT(l2_retries, "Exchanges tried again"),
    COUNT(l2_bytes_out, "Bytes sent to Redis"),
    COUNT(l2_bytes_in, "Bytes got from Redis"),
    COUNT(l2_time_us, "Microseconds spent in exchanges with Redis"),
    COUNT(log_records, "Records of the log applied"),
    SMALL_GAUGE(l2_connections, 1, "Open connections to Redis"),
    SMALL_GAUGE(l2_up, 1, "Whether Redis is believed to be up"),
    SMALL_GAUGE(listening, 1, "Whether this process is the listener of the host"),
    GAUGE(coherence_age_ms, "Milliseconds since this host knew that it had heard everything"),
    SHARED_COUNT(log_position, "Latest position of the log that is known"),
    SHARED_COUNT(log_applied, "How far the log was applied"),
    SHARED_COUNT(epochs, "Times that all of L1 was given up because the log had a gap"),
    GAUGE(owed_bytes, "Bytes of invalidations that Redis is yet to be told"),
    SHARED_COUNT(breaker_opens, "Times that the circuit breaker opened"),
};

static uint64_t figure_of(const libcache_stats *stats, const struct figure *f)
{
    const char *at = (const char *)stats + f->offset;

    return f->narrow ? *(const unsigned *)(const void *)at : *(const uint64_t *)(const void *)at;
}

ZEND_METHOD(Libcache_Cache, stats)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_stats stats = LIBCACHE_STATS_INIT;

    ZEND_PARSE_PARAMETERS_NONE();
    libcache_read_stats(c->handle->cache, &stats);
    array_init_size(return_value, sizeof figures / sizeof *figures);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        add_assoc_long(return_value, figures[i].name, (zend_long)figure_of(&stats, &figures[i]));
}

static int is_name(const zend_string *s)
{
    for (size_t i = 0; i < ZSTR_LEN(s); i++)
        if (!isalpha((unsigned char)ZSTR_VAL(s)[i]) && ZSTR_VAL(s)[i] != '_' && !(i && isdigit((unsigned char)ZSTR_VAL(s)[i])))
            return 0;
    return ZSTR_LEN(s) > 0;
}

/* name="value", with what is not allowed in a value escaped. */
static void append_label(smart_str *to, const zend_string *name, const zend_string *value)
{
    smart_str_append(to, name);
    smart_str_appends(to, "=\"");
    for (size_t i = 0; i < ZSTR_LEN(value); i++) {
        char c = ZSTR_VAL(value)[i];
        if (c == '\\' || c == '"')
            smart_str_appendc(to, '\\');
        if (c == '\n')
            smart_str_appends(to, "\\n");
        else
            smart_str_appendc(to, c);
    }
    smart_str_appendc(to, '"');
}

/* The labels of every sample, without braces. 0: thrown. */
static int append_labels(smart_str *to, HashTable *labels)
{
    zend_string *name;
    zval *value;

    ZEND_HASH_FOREACH_STR_KEY_VAL(labels, name, value) {
        zend_string *text;
        if (!name || !is_name(name)) {
            php_libcache_throw(LIBCACHE_EINVAL, "metrics: %s is no name of a label", name ? ZSTR_VAL(name) : "a number");
            return 0;
        }
        text = zval_try_get_string(value);
        if (!text)
            return 0;
        if (to->s)
            smart_str_appendc(to, ',');
        append_label(to, name, text);
        zend_string_release(text);
    } ZEND_HASH_FOREACH_END();
    smart_str_0(to);
    return 1;
}

ZEND_METHOD(Libcache_Cache, metrics)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_stats stats = LIBCACHE_STATS_INIT;
    smart_str text = { 0 }, common = { 0 };
    HashTable *labels = NULL;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ARRAY_HT(labels)
    ZEND_PARSE_PARAMETERS_END();
    if (labels && !append_labels(&common, labels)) {
        smart_str_free(&common);
        RETURN_THROWS();
    }
    libcache_read_stats(c->handle->cache, &stats);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct figure *f = &figures[i];
        char name[64], pid[32];
        snprintf(name, sizeof name, "libcache_%s%s", f->name, f->gauge ? "" : "_total");
        snprintf(pid, sizeof pid, "pid=\"%ld\"", (long)getpid());
        smart_str_append_printf(&text, "# HELP %s %s%s.\n# TYPE %s %s\n%s", name, f->help,
                                f->process ? ", by the process that answers" : "", name, f->gauge ? "gauge" : "counter", name);
        if (f->process || common.s) {
            smart_str_appendc(&text, '{');
            if (common.s)
                smart_str_append(&text, common.s);
            if (f->process && common.s)
                smart_str_appendc(&text, ',');
            if (f->process)
                smart_str_appends(&text, pid);
            smart_str_appendc(&text, '}');
        }
        smart_str_append_printf(&text, " %llu\n", (unsigned long long)figure_of(&stats, f));
    }
    smart_str_0(&text);
    smart_str_free(&common);
    RETURN_STR(text.s);
}
