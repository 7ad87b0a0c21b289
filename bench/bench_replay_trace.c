/*
 * Traces: one request a line, "key" or "key size", oldest first; empty lines are skipped. Keys are any
 * bytes but white space. Either all lines of a trace have a size or none has.
 *
 * Or what `libcache trace` writes, which begins with "# libcache trace 1":
 *
 *     hash size key-size what ms namespace        what: hit stale negative, the same with -l2, miss set delete; size -: not known
 *
 * What is stored after a miss is what the replay does at a miss by itself: it only says how large the value is. Other stores and
 * deletions are replayed. What Redis had (-l2) missed in the memory that is replayed. A key whose first request was a hit was in the cache before the trace began, and is put into the replay's
 * cache as well. The hash is longer or shorter than the key was: the value makes up for it, so that their sum is right.
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
    size_t line, request_capacity, key_capacity, before_capacity;
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
    trace->keys[found->number] = (replay_key){ .bytes = found->bytes, .length = (uint32_t)length };
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
    if (trace->live)
        trace->kinds = harness_reallocate(trace->kinds, r->request_capacity * sizeof *trace->kinds);
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

/* ---- Of a live cache ------------------------------------------------------------------------------- */

static const char live_mark[] = "# libcache trace 1";

static void read_remark(reader *r, const char *line)
{
    replay_trace *trace = r->trace;
    unsigned long long reads, dropped, bytes;

    if (sscanf(line, "# rate %lf", &trace->rate) == 1 && !(trace->rate > 0 && trace->rate <= 1))
        harness_die("%s:%zu: a rate is above 0 and at most 1", r->path, r->line);
    if (sscanf(line, "# memory_bytes %llu", &bytes) == 1)
        trace->memory_bytes = bytes;
    if (sscanf(line, "# end reads %llu records %*u dropped %llu", &reads, &dropped) == 2) {
        trace->reads = reads;
        trace->dropped = dropped;
    }
}

static void note_before(reader *r)
{
    replay_trace *trace = r->trace;

    if (trace->n_before == r->before_capacity) {
        r->before_capacity = r->before_capacity != 0 ? 2 * r->before_capacity : 4096;
        trace->before = harness_reallocate(trace->before, r->before_capacity * sizeof *trace->before);
    }
    trace->before[trace->n_before++] = (uint32_t)trace->n_requests;
}

static void add_kind(reader *r, uint32_t key, enum replay_kind kind, uint64_t bytes)
{
    replay_trace *trace = r->trace;

    make_room(r);
    trace->requests[trace->n_requests] = key;
    trace->kinds[trace->n_requests] = (uint8_t)kind;
    trace->request_bytes[trace->n_requests++] = bytes;
    trace->keys[key].missed = 0;
}

static void add_live_get(reader *r, uint32_t key, int found, uint64_t bytes)
{
    replay_trace *trace = r->trace;

    if (found && !trace->keys[key].seen)
        note_before(r);
    add_kind(r, key, REPLAY_GET, bytes);
    trace->n_gets++;
    trace->misses += !found;
    if (!found && bytes == 0)
        trace->keys[key].missed = trace->n_requests;
}

static void add_live(reader *r, char *line)
{
    enum { KEY, SIZE, KEY_SIZE, WHAT, MS, SPACE, FIELDS };
    char *field[FIELDS], *place = NULL;
    replay_trace *trace = r->trace;
    uint64_t bytes = 0;
    replay_key *known;
    uint32_t key;

    for (int i = 0; i < FIELDS; i++)
        if ((field[i] = strtok_r(i == 0 ? line : NULL, " \r", &place)) == NULL)
            harness_die("%s:%zu: no line of a trace: it has %d fields, not %d", r->path, r->line, i, FIELDS);
    key = number_of_key(r, field[KEY], strlen(field[KEY]));
    known = &trace->keys[key];
    if (strcmp(field[SIZE], "-") != 0) {
        uint64_t both = parse_size(r, field[SIZE]) + parse_size(r, field[KEY_SIZE]);

        bytes = known->value_bytes = both > known->length ? both - known->length : 1;
    }
    if (strcmp(field[WHAT], "hit") == 0 || strcmp(field[WHAT], "stale") == 0 || strcmp(field[WHAT], "negative") == 0)
        add_live_get(r, key, 1, bytes);
    else if (strcmp(field[WHAT], "hit-l2") == 0 || strcmp(field[WHAT], "stale-l2") == 0 ||
             strcmp(field[WHAT], "negative-l2") == 0)
        add_live_get(r, key, 0, bytes);
    else if (strcmp(field[WHAT], "miss") == 0)
        add_live_get(r, key, 0, 0);
    else if (strcmp(field[WHAT], "delete") == 0)
        add_kind(r, key, REPLAY_DELETE, 0);
    else if (strcmp(field[WHAT], "set") != 0)
        harness_die("%s:%zu: '%s' is none of hit, stale, negative (or with -l2), miss, set and delete", r->path,
                    r->line, field[WHAT]);
    else if (bytes == 0)
        harness_die("%s:%zu: a set has a size", r->path, r->line);
    else if (known->missed != 0) {
        trace->request_bytes[known->missed - 1] = bytes;
        known->missed = 0;
    } else
        add_kind(r, key, REPLAY_SET, bytes);
    trace->keys[key].seen = 1;
}

/* Sizes that were not known: what the key's value has next, or had last. Where there never was one, nothing is stored. */
static void fill_in_sizes(replay_trace *trace)
{
    uint64_t *next = harness_allocate(trace->n_keys * sizeof *next);

    memset(next, 0, trace->n_keys * sizeof *next);
    for (size_t i = trace->n_requests; i-- > 0;) {
        uint64_t *bytes = &trace->request_bytes[i], *key_next = &next[trace->requests[i]];

        if (*bytes != 0)
            *key_next = *bytes;
        else
            *bytes = *key_next != 0 ? *key_next : trace->keys[trace->requests[i]].value_bytes;
        if (*bytes == 0 && trace->kinds[i] == REPLAY_GET)
            trace->kinds[i] = REPLAY_ABSENT;
    }
    free(next);
}

static void read_line(reader *r, char *line)
{
    if (r->line == 1 && strcmp(line, live_mark) == 0)
        r->trace->live = r->trace->sized = 1;
    else if (!r->trace->live)
        add_request(r, line);
    else if (line[0] == '#')
        read_remark(r, line);
    else if (line[0] != '\0')
        add_live(r, line);
}

/* ---- The file -------------------------------------------------------------------------------------- */

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
        read_line(r, line);
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
    *trace = (replay_trace){ .rate = 1 };
    name_trace(trace, path);
    read_lines(&r, input);
    gzclose(input);
    if (trace->n_requests == 0)
        harness_die("%s: no request in it", path);
    if (trace->live)
        fill_in_sizes(trace);
    else
        trace->n_gets = trace->n_requests;
    if (trace->n_gets == 0)
        harness_die("%s: no get in it", path);
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
    free(trace->kinds);
    free(trace->before);
}
