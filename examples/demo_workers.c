/* The demo's first act: four processes, one cache. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo_workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const struct demo_kind demo_kinds[KINDS] = {
    { "session_validation", "tenant:%u:session:%u", 30, 50, 60, 200 },
    { "user_profile", "tenant:%u:user:%u", 300, 30, 200, 1000 },
    { "organization", "tenant:%u:organization", 3600, 10, 500, 3000 },
    { "dashboard", "tenant:%u:dashboard", 60, 10, 2000, 9000 },
};

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_key(const char *key, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    while (size--)
        hash = (hash ^ (unsigned char)*key++) * UINT64_C(0x100000001b3);
    return hash;
}

/* One get to come: the key, whose it is, and how large its value is at the source. */
struct wanted {
    char key[256];
    size_t key_bytes, value_bytes;
    unsigned tenant;
    uint64_t hash;
};

static void next_made_up(const struct demo *demo, struct wanted *w, unsigned kind, struct demo_random *random)
{
    double u = demo_fraction(random);
    unsigned range = demo_kinds[kind].most_bytes - demo_kinds[kind].least_bytes;

    w->tenant = demo_zipf(demo->zipf, TENANTS, random);
    w->key_bytes = (size_t)snprintf(w->key, sizeof w->key, demo_kinds[kind].key, w->tenant, (unsigned)(u * u * USERS));
    w->hash = hash_key(w->key, w->key_bytes);
    w->value_bytes = demo_kinds[kind].least_bytes + w->hash % range;
}

static void next_of_trace(const struct demo *demo, struct wanted *w, size_t *position)
{
    const struct request *r = &demo->requests[*position % demo->n_requests];

    *position += WORKERS;
    w->key_bytes = r->key_bytes;
    memcpy(w->key, demo->trace + r->at, r->key_bytes);
    w->hash = hash_key(w->key, w->key_bytes);
    w->value_bytes = r->value_bytes;
    w->tenant = (unsigned)(w->hash % TENANTS);
}

/* ---- A worker ---------------------------------------------------------------------------------------------------- */

/* How a cached value begins; the rest stands for the data. */
struct head {
    uint64_t hash;    /* of the key: is it the value that was asked for? */
    uint64_t version; /* of the tenant's data when it was loaded */
};

/* What a miss costs: stamp, read the source, store what was read, tagged with its tenant. */
static void load_and_store(struct demo *demo, struct counts *counts, unsigned kind, const struct wanted *w)
{
    static union {
        struct head head;
        char bytes[VALUE_MAX];
    } value;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    libcache_slice tag;
    char text[32];

    libcache_take_stamp(demo->ns[kind], w->key, w->key_bytes, &stamp);
    value.head.hash = w->hash;
    value.head.version = demo_load(&demo->board->version[w->tenant]); /* SELECT ... */
    tag.data = text;
    tag.size = (size_t)snprintf(text, sizeof text, "tenant:%u", w->tenant);
    options.tags = &tag;
    options.n_tags = 1;
    options.stamp = &stamp;
    counts->kind[kind].loads++;
    if (w->tenant == CHANGED && value.head.version > 1)
        counts->reloads++;
    if (libcache_set(demo->ns[kind], w->key, w->key_bytes, &value, w->value_bytes, &options) == LIBCACHE_FENCED)
        counts->fenced++;
}

/* One answer of the cache, after the clock was stopped. */
static void examine(struct counts *counts, const struct wanted *w, const libcache_value *value, uint64_t least,
                    uint64_t began_ns)
{
    struct head head;

    memcpy(&head, value->data, sizeof head);
    counts->wrong += value->size != w->value_bytes || head.hash != w->hash;
    counts->stale += head.version < least;
    if (w->tenant == CHANGED && head.version == 1) {
        counts->before++;
        counts->last_old_ns = began_ns;
    }
}

static void work(struct demo *demo, unsigned number)
{
    struct board *board = demo->board;
    struct counts *counts = &board->worker[number];
    struct demo_random random = { number * 1234567 + 1 };
    static struct wanted wanted[BATCH];
    static libcache_value values[BATCH];
    size_t position = number;
    uint64_t start, end;

    while ((start = demo_load(&board->start_ns)) == 0)
        usleep(100);
    do {
        int results[BATCH], hits = 0;
        uint64_t least[BATCH], begin;
        unsigned kind = 0, slice, percent = (unsigned)(demo_roll(&random) % 100);
        struct kind_counts *of_kind;
        while (!demo->trace && percent >= demo_kinds[kind].share)
            percent -= demo_kinds[kind++].share;
        for (int i = 0; i < BATCH; i++)
            if (demo->trace)
                next_of_trace(demo, &wanted[i], &position);
            else
                next_made_up(demo, &wanted[i], kind, &random);

        begin = demo_now_ns();
        for (int i = 0; i < BATCH; i++) {
            least[i] = demo_load(&board->least[wanted[i].tenant]);
            results[i] = libcache_get(demo->ns[kind], wanted[i].key, wanted[i].key_bytes, &values[i], 0);
        }
        end = demo_now_ns();

        slice = (unsigned)((begin - start) / SLICE_NS);
        slice = slice < SLICES ? slice : SLICES - 1;
        of_kind = &counts->kind[kind];
        for (int i = 0; i < BATCH; i++) {
            int changed = wanted[i].tenant == CHANGED, hit = results[i] == LIBCACHE_HIT;
            counts->requests_in[slice][changed]++;
            counts->hits_in[slice][changed] += (uint64_t)hit;
            of_kind->bytes += wanted[i].value_bytes;
            hits += hit;
            if (hit)
                examine(counts, &wanted[i], &values[i], least[i], begin);
            else
                load_and_store(demo, counts, kind, &wanted[i]);
        }
        of_kind->requests += BATCH;
        of_kind->hits += (uint64_t)hits;
        if (hits == BATCH)
            of_kind->histogram[demo_bucket((end - begin) / BATCH)]++;
    } while (end - start < END_NS);
    for (int i = 0; i < BATCH; i++)
        libcache_release_value(&values[i]);
}

/* ---- The parent -------------------------------------------------------------------------------------------------- */

/* How many live entries carry the tag. For tools: it walks through all entries. */
static uint64_t count_tagged(libcache *cache, const char *tag)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    uint64_t hash = libcache_hash_tag(tag, strlen(tag)), n = 0;

    while (libcache_iterate(cache, &cursor, &entry) == LIBCACHE_HIT)
        for (unsigned i = 0; i < entry.n_tags; i++)
            n += entry.tags[i] == hash;
    libcache_release_value(&entry.key);
    return n;
}

static void open_cache(struct demo *demo)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;

    options.segment = LIBCACHE_SHARED;
    options.memory_bytes = MEMORY_BYTES;
    options.max_value_bytes = VALUE_MAX;
    if (libcache_open(&demo->cache, &options, &error) != LIBCACHE_OK)
        demo_stop("open", error.text);
    for (int k = 0; k < KINDS; k++) {
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        policy.ttl_ms = demo_kinds[k].ttl_s * UINT64_C(1000);
        policy.jitter_percent = 10;
        if (libcache_open_namespace(&demo->ns[k], demo->cache, demo_kinds[k].name, &policy, &error) != LIBCACHE_OK)
            demo_stop("namespace", error.text);
    }
}

static void read_trace(struct demo *demo, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text, *line;
    long size;

    if (!file)
        demo_stop(path, strerror(errno));
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || size > INT32_MAX)
        demo_stop(path, "cannot be read as a whole");
    rewind(file);
    text = malloc((size_t)size + 1);
    demo->requests = malloc(sizeof *demo->requests * TRACE_MAX);
    if (!text || !demo->requests || fread(text, 1, (size_t)size, file) != (size_t)size)
        demo_stop(path, "no memory, or cut short");
    fclose(file);
    text[size] = '\0';
    demo->trace = text;
    for (line = text; *line && demo->n_requests < TRACE_MAX; line += strcspn(line, "\n"), line += *line == '\n') {
        struct request *r = &demo->requests[demo->n_requests];
        size_t key = strcspn(line, " \t\r\n"), bytes = 200;
        if (line[key] == ' ' || line[key] == '\t')
            bytes = strtoul(line + key, NULL, 10);
        r->at = (uint32_t)(line - text);
        r->key_bytes = (uint32_t)(key < 255 ? key : 255);
        r->value_bytes = (uint32_t)(bytes < sizeof(struct head) ? sizeof(struct head)
                                    : bytes < VALUE_MAX         ? bytes
                                                                : VALUE_MAX);
        demo->n_requests += key > 0;
    }
    if (demo->n_requests == 0)
        demo_stop(path, "has no requests");
}

int demo_workers(const char *trace)
{
    static struct demo demo;
    libcache_slice tag = LIBCACHE_STR("tenant:7");
    pid_t workers[WORKERS];
    uint64_t tagged, began;
    int failed = 0;

    demo.board = demo_shared_memory(sizeof *demo.board);
    for (int i = 0; i < TENANTS; i++)
        demo.board->version[i] = demo.board->least[i] = 1;
    demo_make_zipf(demo.zipf, TENANTS);
    if (trace)
        read_trace(&demo, trace);
    open_cache(&demo);

    printf("\n  libcache %s: %d processes share one cache of %d MiB for %.0f seconds.\n\n", libcache_version(), WORKERS,
           (int)(MEMORY_BYTES >> 20), (double)END_NS / 1e9);
    fflush(stdout); /* or every worker would print it again */
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] < 0)
            demo_stop("fork", strerror(errno));
        if (workers[i] == 0) {
            work(&demo, i);
            _exit(0);
        }
    }
    demo_store(&demo.board->start_ns, demo_now_ns());

    demo_sleep_until(demo_load(&demo.board->start_ns) + CHANGE_NS - SLICE_NS / 5);
    tagged = count_tagged(demo.cache, "tenant:7");
    demo_sleep_until(demo_load(&demo.board->start_ns) + CHANGE_NS);
    demo_store(&demo.board->version[CHANGED], 2); /* UPDATE ... */
    began = demo_now_ns();
    if (libcache_invalidate_tags(demo.cache, &tag, 1, 0) != LIBCACHE_OK)
        failed = 1;
    demo_store(&demo.board->least[CHANGED], 2);
    demo_store(&demo.board->returned_ns, demo_now_ns());

    for (int i = 0; i < WORKERS; i++) {
        int status;
        if (waitpid(workers[i], &status, 0) < 0 || status != 0)
            failed = 1;
    }
    demo_print_kinds(&demo);
    demo_print_timeline(&demo);
    failed |= demo_print_workers(&demo, tagged, demo_load(&demo.board->returned_ns) - began);
    demo_print_memory(&demo);
    printf("\n");
    libcache_close(demo.cache);
    free(demo.requests);
    return failed;
}
