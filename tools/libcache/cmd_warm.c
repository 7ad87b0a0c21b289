/* warm: fills the cache from a file. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_BATCH = 256 };

/* An entry that waits for its batch, with the line it points into. */
struct waiting {
    struct line_entry entry;
    char *line;
    size_t room;
};

struct warm {
    const struct args *args;
    struct target target;
    FILE *file;
    uint64_t file_bytes, read_bytes; /* file_bytes 0: not known */
    uint64_t told_ns;
    int tells;
    enum line_format format;

    struct waiting *batch;
    size_t n, size;
    libcache_ns *ns; /* of the batch */
    char ns_name[LIBCACHE_NAMESPACE_NAME_MAX + 1];

    libcache_slice *keys;
    libcache_value *values;
    int *results;
    libcache_item *items;
    libcache_set_options *options;
    uint64_t lines, stored, found, missing, refused;
    int reason; /* of the first that was refused */
};

static void progress(struct warm *w, int last)
{
    uint64_t now = now_ns();

    if (!w->tells || (!last && now - w->told_ns < UINT64_C(200000000)))
        return;
    w->told_ns = now;
    fprintf(stderr, "\r%llu lines", (unsigned long long)w->lines);
    if (w->file_bytes)
        fprintf(stderr, ", %.0f %%", 100.0 * (double)w->read_bytes / (double)w->file_bytes);
    fputs(last ? "\n" : " ", stderr);
}

/* ---- A batch -------------------------------------------------------------------------------------------------------------- */

static void refuse(struct warm *w, int reason)
{
    if (!w->refused++)
        w->reason = reason;
}

static int fetch_keys(struct warm *w, const size_t *which, size_t n)
{
    size_t found = 0;
    int result;

    for (size_t i = 0; i < n; i++)
        w->keys[i] = w->batch[which[i]].entry.key;
    result = libcache_get_many(w->ns, w->keys, n, w->values, w->results, &found, 0);
    if (result != LIBCACHE_OK)
        return fail_result(result, "warm");
    for (size_t i = 0; i < n; i++)
        if (w->results[i] < 0)
            refuse(w, w->results[i]);
        else if (w->results[i] == LIBCACHE_MISS)
            w->missing++;
        else
            w->found++;
    return TOOL_OK;
}

static int store_values(struct warm *w, const size_t *which, size_t n)
{
    int first = LIBCACHE_OK;

    for (size_t i = 0; i < n; i++) {
        const struct line_entry *e = &w->batch[which[i]].entry;
        w->options[i] = (libcache_set_options)LIBCACHE_SET_OPTIONS_INIT;
        w->options[i].ttl_ms = e->ttl_ms ? e->ttl_ms : w->args->ttl_ms;
        w->options[i].tags = e->tags;
        w->options[i].n_tags = e->n_tags;
        w->options[i].codec = (uint8_t)e->codec;
        w->options[i].user_flags = (uint32_t)e->flags;
        w->options[i].flags = e->negative ? LIBCACHE_NEG : 0;
        w->items[i] = (libcache_item){ e->key, e->value, &w->options[i], 0 };
        if (!e->value.data)
            w->items[i].value = (libcache_slice){ "", 0 };
    }
    libcache_set_many(w->ns, w->items, n);
    for (size_t i = 0; i < n; i++) {
        if (w->items[i].result == LIBCACHE_OK) {
            w->stored++;
            continue;
        }
        refuse(w, w->items[i].result);
        if (exit_code_of(w->items[i].result) == TOOL_REDIS)
            first = w->items[i].result;
    }
    return first == LIBCACHE_OK ? TOOL_OK
                                : fail_result(first, "warm: after %llu values", (unsigned long long)w->stored);
}

static int flush_batch(struct warm *w)
{
    size_t *which = calloc(w->n + 1, sizeof *which), keys = 0, values = w->n;
    int code = TOOL_OK;

    if (!which)
        return fail(TOOL_FAILED, "no memory");
    for (size_t i = 0; i < w->n; i++)
        if (w->batch[i].entry.value.data || w->batch[i].entry.negative)
            which[--values] = i;
        else
            which[keys++] = i;
    if (keys && !w->target.has_redis)
        code = fail(TOOL_USAGE, "warm: keys without values are fetched from Redis; say --redis URL");
    else if (keys)
        code = fetch_keys(w, which, keys);
    if (code == TOOL_OK && values < w->n) {
        for (size_t i = values, j = w->n - 1; i < j; i++, j--) { /* in the order of the file: the last one counts */
            size_t swap = which[i];
            which[i] = which[j];
            which[j] = swap;
        }
        code = store_values(w, which + values, w->n - values);
    }
    free(which);
    w->n = 0;
    return code;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------------------ */

/* The namespace that the entry is in; what waits for another one goes first. */
static int choose_namespace(struct warm *w, const struct line_entry *entry, struct waiting *at)
{
    const char *name = entry->namespace_name.data ? entry->namespace_name.data : w->args->namespace_name;
    struct waiting swap;
    int code;

    if (!name)
        return fail(TOOL_USAGE, "%s:%llu: no namespace; say --namespace NAME", w->args->operands[0],
                    (unsigned long long)w->lines);
    if (w->ns && strcmp(name, w->ns_name) == 0)
        return TOOL_OK;
    code = flush_batch(w);
    if (code != TOOL_OK)
        return code;
    if (at != &w->batch[0]) { /* the new one is the first of its batch now */
        swap = w->batch[0];
        w->batch[0] = *at;
        *at = swap;
    }
    code = target_namespace(&w->ns, &w->target, name);
    if (code == TOOL_OK)
        snprintf(w->ns_name, sizeof w->ns_name, "%s", name);
    return code;
}

static int take_line(struct warm *w, struct waiting *at, size_t size)
{
    const char *wrong;
    int code;

    if (w->format == LINES_UNKNOWN)
        w->format = line_format_of(at->line);
    wrong = line_read(&at->entry, at->line, size, w->format);
    if (wrong)
        return fail(TOOL_USAGE, "%s:%llu: %s", w->args->operands[0], (unsigned long long)w->lines, wrong);
    if (!at->entry.key.size)
        return TOOL_OK;
    code = choose_namespace(w, &at->entry, at);
    if (code != TOOL_OK)
        return code;
    if (++w->n == w->size)
        code = flush_batch(w);
    return code;
}

static int read_lines(struct warm *w)
{
    int code = TOOL_OK;

    while (code == TOOL_OK && !stop_asked) {
        struct waiting *at = &w->batch[w->n];
        ssize_t size = getline(&at->line, &at->room, w->file);
        if (size < 0)
            break;
        w->lines++;
        w->read_bytes += (uint64_t)size;
        code = take_line(w, at, (size_t)size);
        progress(w, 0);
    }
    if (code == TOOL_OK && ferror(w->file))
        code = fail(TOOL_FAILED, "%s: %s", w->args->operands[0], strerror(errno));
    if (code == TOOL_OK && w->n)
        code = flush_batch(w);
    progress(w, 1);
    if (code == TOOL_OK && stop_asked)
        code = fail(TOOL_FAILED, "warm: interrupted after %llu lines", (unsigned long long)w->lines);
    return code;
}

/* ---- All of it --------------------------------------------------------------------------------------------------------------- */

static void report(const struct warm *w)
{
    if (w->args->json) {
        json_open(NULL, '{');
        json_number("lines", w->lines);
        json_number("stored", w->stored);
        json_number("fetched", w->found);
        json_number("missing", w->missing);
        json_number("refused", w->refused);
        return;
    }
    printf("%llu lines: %llu stored, %llu fetched from Redis, %llu not there, %llu refused\n",
           (unsigned long long)w->lines, (unsigned long long)w->stored, (unsigned long long)w->found,
           (unsigned long long)w->missing, (unsigned long long)w->refused);
}

static int prepare(struct warm *w)
{
    const char *format = w->args->format, *path = w->args->operands[0];
    struct stat st;

    w->format = !format                       ? LINES_UNKNOWN
                : strcmp(format, "keys") == 0 ? LINES_KEYS
                : strcmp(format, "tsv") == 0  ? LINES_TSV
                                              : LINES_JSON;
    if (format && w->format == LINES_JSON && strcmp(format, "json") != 0)
        return fail(TOOL_USAGE, "warm: --format %s: want keys, tsv or json", format);
    w->size = w->args->batch ? (size_t)w->args->batch : DEFAULT_BATCH;
    w->batch = calloc(w->size, sizeof *w->batch);
    w->keys = calloc(w->size, sizeof *w->keys);
    w->values = calloc(w->size, sizeof *w->values);
    w->results = calloc(w->size, sizeof *w->results);
    w->items = calloc(w->size, sizeof *w->items);
    w->options = calloc(w->size, sizeof *w->options);
    if (!w->batch || !w->keys || !w->values || !w->results || !w->items || !w->options)
        return fail(TOOL_FAILED, "no memory");
    w->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!w->file)
        return fail(TOOL_USAGE, "%s: %s", path, strerror(errno));
    if (fstat(fileno(w->file), &st) == 0 && S_ISREG(st.st_mode))
        w->file_bytes = (uint64_t)st.st_size;
    if (fstat(fileno(w->file), &st) == 0 && S_ISDIR(st.st_mode))
        return fail(TOOL_USAGE, "%s: is a folder", path);
    w->tells = isatty(STDERR_FILENO);
    return TOOL_OK;
}

int cmd_warm(struct args *args)
{
    struct warm w;
    int code;

    memset(&w, 0, sizeof w);
    w.args = args;
    code = prepare(&w);
    if (code == TOOL_OK)
        code = target_change(&w.target, args);
    if (code == TOOL_OK) {
        catch_signals(0);
        code = read_lines(&w);
        if (code == TOOL_OK)
            report(&w);
        if (code == TOOL_OK && w.refused)
            code = fail_result(w.reason, "warm: %llu entries were refused, the first one with",
                               (unsigned long long)w.refused);
    }
    for (size_t i = 0; i < w.size && w.values; i++)
        libcache_release_value(&w.values[i]);
    target_close(&w.target);
    for (size_t i = 0; i < w.size && w.batch; i++)
        free(w.batch[i].line);
    if (w.file && w.file != stdin)
        fclose(w.file);
    free(w.batch);
    free(w.keys);
    free(w.values);
    free(w.results);
    free(w.items);
    free(w.options);
    return code;
}
