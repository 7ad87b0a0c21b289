/*
 * Traces: one request a line, "key" or "key size", oldest first; empty lines are skipped. Keys are any
 * bytes but white space. Either all lines of a trace have a size or none has.
 */
#include "bench_replay.h"
#include "harness.h"

#include <libcache.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <zlib.h>

enum { LINE_MAX_BYTES = LIBCACHE_KEY_MAX + 32, READ_BUFFER_BYTES = 1 << 18 };

static const uint64_t largest_size = (uint64_t)1 << 40;

typedef struct known_key {
    UT_hash_handle hh;
    uint32_t number;
    char bytes[];
} known_key;

/* A trace as it grows. */
typedef struct reader {
    replay_trace *trace;
    const char *path;
    size_t line, request_capacity, key_capacity;
    known_key *known;
} reader;

static void name_trace(replay_trace *trace, const char *path)
{
    static const char *const endings[] = { ".gz", ".txt" };
    const char *slash = strrchr(path, '/');

    snprintf(trace->name, sizeof trace->name, "%s", slash != NULL ? slash + 1 : path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(trace->name), ending = strlen(endings[i]);

        if (length > ending && strcmp(trace->name + length - ending, endings[i]) == 0)
            trace->name[length - ending] = '\0';
    }
}

static uint32_t number_of_key(reader *r, const char *bytes, size_t length)
{
    replay_trace *trace = r->trace;
    known_key *found;

    HASH_FIND(hh, r->known, bytes, length, found);
    if (found != NULL)
        return found->number;
    if (length > LIBCACHE_KEY_MAX)
        harness_die("%s:%zu: key of more than %d bytes", r->path, r->line, LIBCACHE_KEY_MAX);
    if (trace->n_keys == r->key_capacity) {
        r->key_capacity = r->key_capacity != 0 ? 2 * r->key_capacity : 4096;
        trace->keys = harness_reallocate(trace->keys, r->key_capacity * sizeof *trace->keys);
    }
    found = harness_allocate(sizeof *found + length);
    found->number = (uint32_t)trace->n_keys++;
    memcpy(found->bytes, bytes, length);
    HASH_ADD_KEYPTR(hh, r->known, found->bytes, length, found);
    trace->keys[found->number] = (replay_key){ found->bytes, (uint32_t)length, 0 };
    return found->number;
}

static void make_room(reader *r)
{
    replay_trace *trace = r->trace;

    if (trace->n_requests < r->request_capacity)
        return;
    r->request_capacity = r->request_capacity != 0 ? 2 * r->request_capacity : 65536;
    trace->requests = harness_reallocate(trace->requests, r->request_capacity * sizeof *trace->requests);
    if (trace->sized)
        trace->request_bytes =
            harness_reallocate(trace->request_bytes, r->request_capacity * sizeof *trace->request_bytes);
}

static uint64_t parse_size(const reader *r, const char *text)
{
    char *end;
    unsigned long long size = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || end[strspn(end, " \t\r")] != '\0' || size > largest_size)
        harness_die("%s:%zu: '%s' is not a size", r->path, r->line, text);
    return size != 0 ? size : 1;
}

static void add_request(reader *r, char *line)
{
    replay_trace *trace = r->trace;
    size_t length;
    const char *size_text;
    uint32_t key;

    line += strspn(line, " \t\r");
    length = strcspn(line, " \t\r");
    if (length == 0)
        return;
    size_text = line + length + strspn(line + length, " \t\r");
    if (trace->n_requests == 0)
        trace->sized = *size_text != '\0';
    else if (trace->sized != (*size_text != '\0'))
        harness_die("%s:%zu: some lines have a size and some have none", r->path, r->line);
    make_room(r);
    key = number_of_key(r, line, length);
    if (trace->sized) {
        trace->keys[key].value_bytes = parse_size(r, size_text);
        trace->request_bytes[trace->n_requests] = trace->keys[key].value_bytes;
    }
    trace->requests[trace->n_requests++] = key;
}

static void read_lines(reader *r, gzFile input)
{
    char line[LINE_MAX_BYTES];
    int error;

    while (gzgets(input, line, sizeof line) != NULL) {
        size_t length = strlen(line);

        r->line++;
        if (length > 0 && line[length - 1] == '\n')
            line[length - 1] = '\0';
        else if (!gzeof(input))
            harness_die("%s:%zu: line too long, or a zero byte in it", r->path, r->line);
        add_request(r, line);
    }
    (void)gzerror(input, &error);
    if (error != Z_OK && error != Z_STREAM_END)
        harness_die("%s: cannot read on after line %zu", r->path, r->line);
}

void replay_read_trace(replay_trace *trace, const char *path)
{
    reader r = { .trace = trace, .path = path };
    gzFile input = gzopen(path, "rb");
    double sum = 0;

    if (input == NULL)
        harness_die("cannot open %s", path);
    (void)gzbuffer(input, READ_BUFFER_BYTES);
    *trace = (replay_trace){ .sized = 0 };
    name_trace(trace, path);
    read_lines(&r, input);
    gzclose(input);
    if (trace->n_requests == 0)
        harness_die("%s: no request in it", path);
    for (size_t i = 0; i < trace->n_keys; i++)
        sum += (double)trace->keys[i].value_bytes;
    trace->mean_value_bytes = sum / (double)trace->n_keys;
    HASH_CLEAR(hh, r.known); /* the table; what the keys point at stays */
}

void replay_release_trace(replay_trace *trace)
{
    for (size_t i = 0; i < trace->n_keys; i++)
        free((void *)(uintptr_t)(trace->keys[i].bytes - offsetof(known_key, bytes)));
    free(trace->keys);
    free(trace->requests);
    free(trace->request_bytes);
}
