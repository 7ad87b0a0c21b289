/*
 * The text of the metrics: read by a strict little parser, compared with what happened, and with what the documentation, the
 * dashboard and the alert rules name. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The parser ------------------------------------------------------------------------------------------------------ */

enum { SERIES_MAX = 2000, FAMILIES_MAX = 200 };

struct series {
    char name[100], labels[400]; /* labels as they are written, unescaped */
    double value;
};

struct family {
    char name[100], type[20], unit[20];
    int helped, sampled;
};

/* A parsed exposition. */
static struct exposition {
    struct family family[FAMILIES_MAX];
    struct series series[SERIES_MAX];
    size_t families, n;
} parsed;

#define must_hold(condition, ...)                                                   \
    do {                                                                            \
        if (!(condition)) {                                                         \
            char why_[300];                                                         \
            snprintf(why_, sizeof why_, __VA_ARGS__);                               \
            ck_abort_msg("%s (%s), at \"%.60s\"", why_, #condition, at);            \
        }                                                                           \
    } while (0)

static size_t name_size(const char *at)
{
    size_t n = 0;

    if (isdigit((unsigned char)*at))
        return 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == ':')
        n++;
    return n;
}

static int ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);

    return n > m && strcmp(name + n - m, ending) == 0;
}

/* # TYPE, # UNIT, # HELP: in this order, once each, before the samples. */
static const char *parse_metadata(const char *at)
{
    struct family *last = parsed.families ? &parsed.family[parsed.families - 1] : NULL;
    const char *name = at + 7, *end = strchr(at, '\n'), *rest;
    size_t size = name_size(name);

    must_hold(end && size && size < 100 && name[size] == ' ', "metadata");
    rest = name + size + 1;
    if (strncmp(at, "# TYPE ", 7) == 0) {
        struct family *f = &parsed.family[parsed.families];
        must_hold(parsed.families < FAMILIES_MAX, "too many families");
        for (size_t i = 0; i < parsed.families; i++)
            must_hold(strlen(parsed.family[i].name) != size || strncmp(parsed.family[i].name, name, size) != 0, "a family comes twice");
        memset(f, 0, sizeof *f);
        memcpy(f->name, name, size);
        must_hold((size_t)(end - rest) < sizeof f->type, "type");
        memcpy(f->type, rest, (size_t)(end - rest));
        must_hold(!strcmp(f->type, "counter") || !strcmp(f->type, "gauge") || !strcmp(f->type, "histogram") || !strcmp(f->type, "info"),
                  "type");
        must_hold(!ends_with(f->name, "_total") && !ends_with(f->name, "_count") && !ends_with(f->name, "_sum") &&
                      !ends_with(f->name, "_bucket") && !ends_with(f->name, "_info"), "a family's name has an ending of a sample's");
        parsed.families++;
        return end + 1;
    }
    must_hold(last && strlen(last->name) == size && strncmp(last->name, name, size) == 0, "metadata of another family than before");
    must_hold(!last->sampled, "metadata after samples");
    if (strncmp(at, "# UNIT ", 7) == 0) {
        must_hold(!*last->unit && !last->helped && (size_t)(end - rest) < sizeof last->unit, "unit");
        memcpy(last->unit, rest, (size_t)(end - rest));
        must_hold(ends_with(last->name, last->unit) && last->name[strlen(last->name) - strlen(last->unit) - 1] == '_', "unit is no suffix");
        return end + 1;
    }
    must_hold(strncmp(at, "# HELP ", 7) == 0, "what is it?");
    must_hold(!last->helped && end > rest, "help");
    for (const char *p = rest; p < end; p++)
        must_hold(*p != '\\' && *p != '"', "help is not escaped");
    last->helped = 1;
    return end + 1;
}

/* {name="value",...}; fills labels without escapes; the le label's value, if there is one, is kept. */
static const char *parse_labels(const char *at, char *labels, size_t room, char *le)
{
    size_t used = 0;

    *le = '\0';
    must_hold(*at == '{', "labels");
    do {
        const char *name = ++at;
        size_t size = name_size(at), begun;
        must_hold(size && memchr(name, ':', size) == NULL, "label's name");
        at += size;
        must_hold(at[0] == '=' && at[1] == '"', "label");
        must_hold(used + size + 4 < room, "too long");
        used += (size_t)sprintf(labels + used, "%s%.*s=", used ? "," : "", (int)size, name);
        begun = used;
        for (at += 2; *at != '"'; at++) {
            must_hold(*at && *at != '\n', "label's value has no end");
            if (*at == '\\') {
                at++;
                must_hold(*at == '\\' || *at == '"' || *at == 'n', "escape");
            }
            must_hold(used + 2 < room, "too long");
            labels[used++] = *at;
        }
        labels[used] = '\0';
        if (size == 2 && strncmp(name, "le", 2) == 0)
            snprintf(le, 40, "%s", labels + begun);
        at++;
    } while (*at == ',');
    must_hold(*at == '}', "labels have no end");
    return at + 1;
}

static void ck_sample(const struct family *f, struct series *s, const char *le, const char *at)
{
    static double bucket, last_le;
    char stem[100];

    snprintf(stem, sizeof stem, "%s", s->name);
    if (strcmp(f->type, "gauge") == 0) {
        must_hold(strcmp(s->name, f->name) == 0, "sample of another family");
    } else if (strcmp(f->type, "counter") == 0) {
        must_hold(ends_with(s->name, "_total"), "counter without _total");
        stem[strlen(stem) - 6] = '\0';
        must_hold(strcmp(stem, f->name) == 0 && s->value >= 0, "sample of another family");
    } else if (strcmp(f->type, "info") == 0) {
        must_hold(ends_with(s->name, "_info") && s->value == 1, "info");
    } else if (ends_with(s->name, "_bucket")) {
        double bound = strcmp(le, "+Inf") == 0 ? 1e300 : strtod(le, NULL);
        if (!f->sampled)
            bucket = last_le = 0;
        must_hold(*le && bound > last_le && s->value >= bucket, "buckets are not cumulative");
        must_hold(strcmp(le, "+Inf") == 0 || strchr(le, '.'), "le is no canonical number");
        bucket = s->value;
        last_le = bound;
        stem[strlen(stem) - 7] = '\0';
        must_hold(strcmp(stem, f->name) == 0, "bucket of another family");
    } else if (ends_with(s->name, "_count")) {
        must_hold(f->sampled && s->value == bucket && last_le == 1e300, "count is not the last bucket");
    } else {
        must_hold(ends_with(s->name, "_sum"), "histogram's sample");
    }
}

static const char *parse_sample(const char *at)
{
    struct series *s = &parsed.series[parsed.n];
    struct family *f = parsed.families ? &parsed.family[parsed.families - 1] : NULL;
    size_t size = name_size(at);
    char le[40] = "", *end;

    must_hold(f && size && size < sizeof s->name && parsed.n < SERIES_MAX, "sample");
    memset(s, 0, sizeof *s);
    memcpy(s->name, at, size);
    at += size;
    must_hold(strncmp(s->name, f->name, strlen(f->name)) == 0, "sample of another family");
    must_hold(f->helped, "no help");
    if (*at == '{')
        at = parse_labels(at, s->labels, sizeof s->labels, le);
    must_hold(*at == ' ' && (isdigit((unsigned char)at[1]) || at[1] == '-'), "value");
    s->value = strtod(at + 1, &end);
    must_hold(*end == '\n', "what follows the value?");
    ck_sample(f, s, le, at);
    f->sampled = 1;
    for (size_t i = 0; i < parsed.n; i++)
        must_hold(strcmp(parsed.series[i].name, s->name) != 0 || strcmp(parsed.series[i].labels, s->labels) != 0, "a series comes twice");
    parsed.n++;
    return end + 1;
}

static void ck_utf8(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char c = (unsigned char)text[i];
        int more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : -1;
        ck_assert_msg(more >= 0 && i + (size_t)more < size, "byte %zu is no UTF-8", i);
        for (i++; more; more--, i++)
            ck_assert_msg(((unsigned char)text[i] & 0xc0) == 0x80, "byte %zu is no UTF-8", i);
    }
}

static void parse(const char *text, size_t size)
{
    const char *at = text;

    parsed.families = parsed.n = 0;
    ck_assert_uint_eq(strlen(text), size);
    ck_utf8(text, size);
    while (strcmp(at, "# EOF\n") != 0) {
        must_hold(*at && *at != '\n', "no EOF, or an empty line");
        at = *at == '#' ? parse_metadata(at) : parse_sample(at);
    }
    for (size_t i = 0; i < parsed.families; i++)
        ck_assert_msg(parsed.family[i].sampled, "%s has no sample", parsed.family[i].name);
}

/* Reads the metrics of a cache. */
static void read_metrics(libcache *cache)
{
    libcache_value text = LIBCACHE_VALUE_INIT;
    char *copy;

    ck_result(libcache_metrics(cache, &text, LIBCACHE_METRICS_OPENMETRICS), LIBCACHE_OK);
    copy = malloc(text.size + 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    parse(copy, text.size);
    free(copy);
    libcache_release_value(&text);
}

static const struct series *find_series(const char *name, const char *labels)
{
    for (size_t i = 0; i < parsed.n; i++)
        if (strcmp(parsed.series[i].name, name) == 0 && (!labels || strcmp(parsed.series[i].labels, labels) == 0))
            return &parsed.series[i];
    return NULL;
}

static void ck_series(const char *name, const char *labels, double value)
{
    const struct series *s = find_series(name, labels);

    ck_assert_msg(s != NULL, "there is no %s{%s}", name, labels);
    ck_assert_msg(s->value == value, "%s{%s} is %g, not %g", name, labels, s->value, value);
}

/* ---- OpenMetrics ------------------------------------------------------------------------------------------------------ */

/* A rig in which this and that has happened. */
static void live(struct rig *rig)
{
    struct source source = { .text = "value" };
    libcache_value value = LIBCACHE_VALUE_INIT;

    put(rig->ns, "key", "12345");
    for (int i = 0; i < 5000; i++)
        libcache_get(rig->ns, "key", 3, &value, 0);
    for (int i = 0; i < 3; i++)
        libcache_get(rig->ns, "none", 4, &value, 0);
    ck_fetch(rig->ns, "loaded", &source, LIBCACHE_HIT, "value");
    invalidate_tag(rig->cache, "tag");
    libcache_release_value(&value);
    source_done(&source);
}

START_TEST(the_text_is_valid_and_says_what_happened)
{
    libcache_stats stats;
    struct rig rig;

    rig_up(&rig);
    live(&rig);
    read_metrics(rig.cache);
    stats = rig_stats(&rig);
    ck_series("libcache_reads_total", "namespace=test,tier=l1,result=hit", 5000);
    ck_series("libcache_reads_total", "namespace=test,tier=l2,result=hit", 0);
    ck_series("libcache_misses_total", "namespace=test,reason=cold", 4);
    ck_series("libcache_misses_total", "namespace=test,reason=evicted", 0);
    ck_series("libcache_writes_total", "namespace=test,operation=set", 2);
    ck_series("libcache_written_bytes_total", "namespace=test", 10);
    ck_series("libcache_invalidations_total", "namespace=", 1);
    ck_series("libcache_invalidations_total", "namespace=test", 0);
    ck_series("libcache_loads_total", "namespace=test,result=ok", 1);
    ck_series("libcache_loads_total", "namespace=test,result=timeout", 0);
    ck_series("libcache_entries", "namespace=test", 2);
    ck_series("libcache_live_bytes", "namespace=test", (double)stats.live_bytes);
    ck_series("libcache_memory_bytes", "", (double)stats.memory_bytes);
    ck_series("libcache_metrics_bytes", "", (double)stats.metrics_bytes);
    ck_assert_uint_gt(stats.metrics_bytes, 0);
    ck_series("libcache_get_duration_seconds_count", "", 1);
    ck_series("libcache_load_duration_seconds_count", "", 1);
    ck_series("libcache_redis_exchange_duration_seconds_count", "", 0);
    ck_series("libcache_build_info", "version=" "0.1.0", 1);
    ck_assert_ptr_null(find_series("libcache_coherence_age_seconds", NULL)); /* there is no Redis */
    rig_down(&rig);
}
END_TEST

START_TEST(every_number_of_the_statistics_is_shown)
{
    static const char *const shown[] = { "libcache_fenced_stores_total", "libcache_load_waits_total", "libcache_load_bypasses_total",
                                         "libcache_refreshes_total", "libcache_redis_lookups_total", "libcache_redis_rejected_total",
                                         "libcache_redis_verified_total", "libcache_redis_errors_total",
                                         "libcache_slow_operations_total", "libcache_evictions_total", "libcache_index_bytes",
                                         "libcache_owner_deaths_total", "libcache_coherence_age_seconds", "libcache_log_position",
                                         "libcache_log_applied", "libcache_histories_total", "libcache_owed_bytes",
                                         "libcache_breaker_open", "libcache_breaker_opens_total", "libcache_process_redis_up",
                                         "libcache_process_redis_connections", "libcache_redis_received_bytes_total",
                                         "libcache_pool_waits_total", "libcache_redis_connects_total", "libcache_process_log_records_total" };
    static struct hosts hosts;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", LIBCACHE_TIER_L2);
    fake_clock_advance(&hosts.b.clock, 1250);
    read_metrics(hosts.b.cache);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        ck_assert_msg(find_series(shown[i], NULL) != NULL, "there is no %s", shown[i]);
    ck_series("libcache_coherence_age_seconds", "", 1.25);
    ck_series("libcache_reads_total", "namespace=test,tier=l2,result=hit", 1);
    ck_series("libcache_redis_lookups_total", "namespace=test,result=hit", 1);
    ck_series("libcache_process_redis_up", "", 1);
    ck_series("libcache_breaker_open", "", 0);
    ck_series("libcache_log_position", "", 1);
    ck_assert(find_series("libcache_redis_received_bytes_total", "")->value > 10);
    ck_assert(find_series("libcache_redis_exchange_duration_seconds_sum", "")->value > 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(names_of_namespaces_are_escaped)
{
    struct rig rig;

    rig_up(&rig);
    space_with(&rig, "a\"b\\c{},=", NULL);
    space_with(&rig, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98", NULL);
    space_with(&rig, "bad \xff\xc3", NULL);
    read_metrics(rig.cache);
    ck_series("libcache_entries", "namespace=a\"b\\c{},=", 0);
    ck_series("libcache_entries", "namespace=gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98", 0);
    ck_series("libcache_entries", "namespace=bad \\xff\\xc3", 0);
    rig_down(&rig);
}
END_TEST

START_TEST(the_text_goes_where_a_value_would)
{
    libcache_value text = LIBCACHE_VALUE_INIT, small = LIBCACHE_VALUE_INIT;
    char memory[10];
    struct rig rig;

    rig_up(&rig);
    small.data = memory;
    small.capacity = sizeof memory;
    ck_result(libcache_metrics(rig.cache, &small, 0), LIBCACHE_ETOOBIG);
    ck_assert_uint_gt(small.size, 1000);
    ck_result(libcache_metrics(rig.cache, &text, 0), LIBCACHE_OK);
    ck_assert_uint_eq(text.size, small.size);
    for (uint64_t n = 1; n <= 4; n++) { /* the struct, the namespaces, the text that grows, the value */
        libcache_value other = LIBCACHE_VALUE_INIT;
        rig.memory.fail_at = n;
        ck_result(libcache_metrics(rig.cache, &other, 0), LIBCACHE_ENOMEM);
        libcache_release_value(&other);
    }
    rig.memory.fail_at = 0;
    libcache_release_value(&text);
    rig_down(&rig);
}
END_TEST

/* ---- JSON -------------------------------------------------------------------------------------------------------------- */

static const char *json(const char *at);

static const char *json_string(const char *at)
{
    must_hold(*at == '"', "string");
    for (at++; *at != '"'; at++) {
        must_hold((unsigned char)*at >= 0x20, "string");
        if (*at == '\\') {
            at++;
            must_hold(*at && strchr("\"\\/bfnrt", *at), "escape");
        }
    }
    return at + 1;
}

static const char *json_list(const char *at, char end, int named)
{
    if (*++at == end)
        return at + 1;
    for (;; at++) {
        if (named) {
            at = json_string(at);
            must_hold(*at == ':', "object");
            at++;
        }
        at = json(at);
        if (*at == end)
            return at + 1;
        must_hold(*at == ',', "list");
    }
}

static const char *json(const char *at)
{
    char *end;

    if (*at == '{')
        return json_list(at, '}', 1);
    if (*at == '[')
        return json_list(at, ']', 0);
    if (*at == '"')
        return json_string(at);
    for (size_t i = 0; i < 3; i++) {
        static const char *const words[] = { "true", "false", "null" };
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    }
    must_hold(isdigit((unsigned char)*at) || *at == '-', "value");
    strtod(at, &end);
    return end;
}

/* What json reads has no blanks outside of strings. */
static void without_blanks(char *text)
{
    int quoted = 0;
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from == '\\' && quoted)
            *to++ = *from++;
        else if (*from == '"')
            quoted = !quoted;
        if (quoted || !isspace((unsigned char)*from))
            *to++ = *from;
    }
    *to = '\0';
}

START_TEST(the_json_is_valid_and_says_the_same)
{
    static const char *const parts[] = {
        "{\"version\":\"0.1.0\",\"namespaces\":[{\"namespace\":\"\",", "{\"namespace\":\"test\",\"reads\":{\"l1_hit\":5000,\"l2_hit\":0,",
        "\"misses\":{\"cold\":4,\"expired\":0,", "\"writes\":{\"set\":2,", "\"written_bytes\":10,", "\"loads\":{\"ok\":1,\"error\":0,",
        "\"entries\":2,", "\"segment\":{\"memory_bytes\":4194304,", "\"times\":{\"get\":{\"count\":1,", "a\\\"b\\\\c" };
    libcache_value text = LIBCACHE_VALUE_INIT;
    const char *at;
    struct rig rig;

    rig_up(&rig);
    live(&rig);
    space_with(&rig, "a\"b\\c", NULL);
    ck_result(libcache_metrics(rig.cache, &text, LIBCACHE_METRICS_JSON), LIBCACHE_OK);
    ((char *)text.data)[text.size - 1] = '\0'; /* the line's end */
    ck_utf8(text.data, text.size - 1);
    at = json(text.data);
    ck_assert_uint_eq(*at, '\0');
    ck_assert_ptr_eq(at, (char *)text.data + text.size - 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text.data, parts[i]) != NULL, "%s is not in %s", parts[i], (char *)text.data);
    libcache_release_value(&text);
    rig_down(&rig);
}
END_TEST

/* ---- What others name --------------------------------------------------------------------------------------------------- */

static char *contents(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;

    ck_assert_msg(file != NULL, "%s cannot be read (this test runs in the project's folder)", path);
    do {
        text = realloc(text, size + 65536);
        size += fread(text + size, 1, 65535, file);
    } while (!feof(file));
    text[size] = '\0';
    fclose(file);
    return text;
}

/* 1 when there is a series of this name, or a family. */
static int exists(const char *name)
{
    if (find_series(name, NULL))
        return 1;
    for (size_t i = 0; i < parsed.families; i++)
        if (strcmp(parsed.family[i].name, name) == 0)
            return 1;
    return 0;
}

/* header: whose words (functions, fields) may be named as well. */
static void ck_names_in(const char *path, const char *header)
{
    char *text = contents(path), *at = text;
    int seen = 0;

    while ((at = strstr(at, "libcache_")) != NULL) {
        size_t size = name_size(at);
        char name[120];
        snprintf(name, sizeof name, "%.*s", (int)size, at);
        if (at == text || (!isalnum((unsigned char)at[-1]) && at[-1] != '_')) {
            ck_assert_msg(exists(name) || strstr(header, name), "%s names %s, which there is not", path, name);
            seen += exists(name);
        }
        at += size;
    }
    ck_assert_msg(seen >= 10, "%s names %d metrics only", path, seen);
    free(text);
}

START_TEST(the_documents_name_what_there_is_and_all_of_it)
{
    static struct hosts hosts;
    char *header = contents("include/libcache.h"), *document;

    hosts_up(&hosts);
    read_metrics(hosts.a.cache);
    ck_names_in("docs/metrics.md", header);
    ck_names_in("docs/monitoring/alerts.yml", "");
    ck_names_in("docs/monitoring/dashboard.json", "");
    document = contents("docs/metrics.md");
    for (size_t i = 0; i < parsed.families; i++) {
        char name[120];
        snprintf(name, sizeof name, "`%s%s`", parsed.family[i].name,
                 strcmp(parsed.family[i].type, "counter") == 0 ? "_total" : strcmp(parsed.family[i].type, "info") == 0 ? "_info" : "");
        ck_assert_msg(strstr(document, name) != NULL, "docs/metrics.md does not speak of %s", name);
    }
    free(document);
    free(header);
    document = contents("docs/monitoring/dashboard.json");
    without_blanks(document);
    ck_assert_int_eq(*json(document), '\0');
    free(document);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("metrics_text", the_text_is_valid_and_says_what_happened, every_number_of_the_statistics_is_shown,
                     names_of_namespaces_are_escaped, the_text_goes_where_a_value_would, the_json_is_valid_and_says_the_same,
                     the_documents_name_what_there_is_and_all_of_it);
}
