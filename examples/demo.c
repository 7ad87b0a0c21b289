/*
 * The demo: four processes share one cache and replay the requests of a service with many tenants. In the middle, the
 * data of tenant 7 changes and one call invalidates all that was cached of it. Each worker tells what it saw.
 *
 *   libcache-demo [TRACE]        TRACE: a file of requests, "key" or "key size" a line, instead of the made-up ones
 *
 * Exits with 1 if anybody was given an old value after the call had returned.           SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <libcache.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    TENANTS = 400,
    USERS = 250, /* of each tenant */
    CHANGED = 7, /* the tenant whose data changes */
    BATCH = 16,  /* requests between two looks at the clock */
    SLICES = 12, /* columns of the timeline */
    HALF = SLICES / 2,
    BUCKETS = 512, /* of the histogram: 16 for each power of two */
    VALUE_MAX = 16 << 10,
    TRACE_MAX = 4 << 20 /* requests */
};

#define MEMORY_BYTES ((size_t)64 << 20)
#define SLICE_NS UINT64_C(250000000)
#define CHANGE_NS (HALF * SLICE_NS)
#define END_NS (SLICES * SLICE_NS)

/* What the service caches: a namespace each, with a policy of its own. */
static const struct {
    const char *name, *key; /* key: tenant, user */
    unsigned ttl_s, share;  /* share of the requests in percent */
    unsigned least_bytes, most_bytes;
} kinds[] = {
    { "session_validation", "tenant:%u:session:%u", 30, 50, 60, 200 },
    { "user_profile", "tenant:%u:user:%u", 300, 30, 200, 1000 },
    { "organization", "tenant:%u:organization", 3600, 10, 500, 3000 },
    { "dashboard", "tenant:%u:dashboard", 60, 10, 2000, 9000 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, TRACE_KIND = 0 };

/* ---- What all processes share ------------------------------------------------------------------------------------ */

struct kind_counts {
    uint64_t requests, hits, loads, bytes;
    uint64_t histogram[BUCKETS]; /* ns of a hit, of batches that were all hits */
};

struct counts {
    struct kind_counts kind[KINDS];
    uint64_t fenced;                                     /* loads that an invalidation overtook: used, not stored */
    uint64_t requests_in[SLICES][2], hits_in[SLICES][2]; /* [1]: of the changed tenant */
    uint64_t before, reloads;                            /* of the changed tenant: old values given, new ones loaded */
    uint64_t last_old_ns;  /* when the last reads began of which one was given an old value */
    uint64_t stale, wrong; /* must stay 0 */
};

struct request {
    uint32_t at, key_bytes; /* in the trace's text */
    uint32_t value_bytes;
};

/* In anonymous shared memory, made before the workers. */
struct board {
    uint64_t start_ns;         /* atomic; 0: not yet */
    uint64_t returned_ns;      /* atomic; when libcache_invalidate_tags had returned */
    uint64_t version[TENANTS]; /* atomic: the "database". A tenant's data has a version */
    uint64_t least[TENANTS];   /* atomic: a read that begins now must not give an older one */
    struct counts worker[WORKERS];
};

struct demo {
    libcache *cache;
    libcache_ns *ns[KINDS];
    struct board *board;
    double zipf[TENANTS]; /* cumulated */
    const char *trace;    /* text, NULL: none */
    struct request *requests;
    size_t n_requests;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "libcache-demo: %s: %s\n", what, why);
    exit(2);
}

/* ---- Requests -------------------------------------------------------------------------------------------------------- */

struct random {
    uint64_t state;
};

static uint64_t roll(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double fraction(struct random *random)
{
    return (double)(roll(random) >> 11) / 9007199254740992.0;
}

static uint64_t hash_key(const char *key, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    while (size--)
        hash = (hash ^ (unsigned char)*key++) * UINT64_C(0x100000001b3);
    return hash;
}

/* The n-th tenant is asked for as often as 1/n says (Zipf). */
static void make_zipf(double *cumulated)
{
    double sum = 0;
    for (int i = 0; i < TENANTS; i++)
        cumulated[i] = sum += 1.0 / (i + 1);
    for (int i = 0; i < TENANTS; i++)
        cumulated[i] /= sum;
}

static unsigned some_tenant(const double *cumulated, struct random *random)
{
    double wanted = fraction(random);
    unsigned low = 0, high = TENANTS - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (cumulated[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One get to come: the key, whose it is, and how large its value is at the source. */
struct wanted {
    char key[256];
    size_t key_bytes, value_bytes;
    unsigned tenant;
    uint64_t hash;
};

static void next_made_up(const struct demo *demo, struct wanted *w, unsigned kind, struct random *random)
{
    double u = fraction(random);
    unsigned range = kinds[kind].most_bytes - kinds[kind].least_bytes;

    w->tenant = some_tenant(demo->zipf, random);
    w->key_bytes = (size_t)snprintf(w->key, sizeof w->key, kinds[kind].key, w->tenant, (unsigned)(u * u * USERS));
    w->hash = hash_key(w->key, w->key_bytes);
    w->value_bytes = kinds[kind].least_bytes + w->hash % range;
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

/* ---- A worker ---------------------------------------------------------------------------------------------------------- */

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
    value.head.version = load(&demo->board->version[w->tenant]); /* SELECT ... */
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

static unsigned bucket_of(uint64_t ns)
{
    unsigned power, bucket;
    if (ns < 16)
        return (unsigned)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    bucket = (power - 3) * 16 + (unsigned)(ns >> (power - 4) & 15);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t ns_of_bucket(unsigned bucket)
{
    return bucket < 16 ? bucket : (uint64_t)(16 + bucket % 16) << (bucket / 16 - 1);
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
    struct random random = { number * 1234567 + 1 };
    static struct wanted wanted[BATCH];
    static libcache_value values[BATCH];
    size_t position = number;
    uint64_t start, end;

    while ((start = load(&board->start_ns)) == 0)
        usleep(100);
    do {
        int results[BATCH], hits = 0;
        uint64_t least[BATCH], begin;
        unsigned kind = 0, slice, percent = (unsigned)(roll(&random) % 100);
        struct kind_counts *of_kind;
        while (!demo->trace && percent >= kinds[kind].share)
            percent -= kinds[kind++].share;
        for (int i = 0; i < BATCH; i++)
            if (demo->trace)
                next_of_trace(demo, &wanted[i], &position);
            else
                next_made_up(demo, &wanted[i], kind, &random);

        begin = now_ns();
        for (int i = 0; i < BATCH; i++) {
            least[i] = load(&board->least[wanted[i].tenant]);
            results[i] = libcache_get(demo->ns[kind], wanted[i].key, wanted[i].key_bytes, &values[i], 0);
        }
        end = now_ns();

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
            of_kind->histogram[bucket_of((end - begin) / BATCH)]++;
    } while (end - start < END_NS);
    for (int i = 0; i < BATCH; i++)
        libcache_release_value(&values[i]);
}

/* ---- Printing ----------------------------------------------------------------------------------------------------------- */

/* Each of these writes into one of some buffers that take turns. */
static char *buffer(void)
{
    static char buffers[16][32];
    static unsigned turn;
    return buffers[turn++ % 16];
}

static const char *count(uint64_t n)
{
    char digits[32], *out = buffer();
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static const char *share(uint64_t part, uint64_t whole)
{
    char *out = buffer();
    snprintf(out, 32, whole ? "%.1f %%" : "-", whole ? 100.0 * (double)part / (double)whole : 0);
    return out;
}

static const char *span(uint64_t ns)
{
    char *out = buffer();
    if (ns < 1000)
        snprintf(out, 32, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(out, 32, "%.1f us", (double)ns / 1e3);
    else
        snprintf(out, 32, "%.1f ms", (double)ns / 1e6);
    return out;
}

/* The time that this share of the batches stayed below. */
static uint64_t quantile(const uint64_t *histogram, double part)
{
    uint64_t all = 0, so_far = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        all += histogram[i];
    for (unsigned i = 0; i < BUCKETS; i++)
        if ((so_far += histogram[i]) > (uint64_t)((double)all * part))
            return ns_of_bucket(i);
    return 0;
}

static void add(struct kind_counts *sum, const struct kind_counts *more)
{
    sum->requests += more->requests;
    sum->hits += more->hits;
    sum->loads += more->loads;
    sum->bytes += more->bytes;
    for (int i = 0; i < BUCKETS; i++)
        sum->histogram[i] += more->histogram[i];
}

static void print_line(const char *name, const char *ttl, const struct kind_counts *c)
{
    printf("  %-20s %7s %14s %10s %9s B %10s %10s\n", name, ttl, count(c->requests), share(c->hits, c->requests),
           count(c->requests ? c->bytes / c->requests : 0), span(quantile(c->histogram, 0.5)),
           span(quantile(c->histogram, 0.99)));
}

static void print_kinds(const struct demo *demo)
{
    static struct kind_counts all, kind;

    memset(&all, 0, sizeof all);
    printf("  %-20s %7s %14s %10s %11s %21s\n", "", "", "", "", "", "time of a hit");
    printf("  %-20s %7s %14s %10s %11s %10s %10s\n", "namespace", "ttl", "requests", "hits", "mean value", "median",
           "99 %");
    for (int k = 0; k < (demo->trace ? 1 : KINDS); k++) {
        char ttl[32];
        memset(&kind, 0, sizeof kind);
        for (int i = 0; i < WORKERS; i++)
            add(&kind, &demo->board->worker[i].kind[k]);
        add(&all, &kind);
        snprintf(ttl, sizeof ttl, "%u s", kinds[k].ttl_s);
        print_line(demo->trace ? "trace" : kinds[k].name, ttl, &kind);
    }
    if (!demo->trace)
        print_line("all", "", &all);
    printf("\n  (Times: means of %d gets in a row, key to copied value; four workers on %ld processors.)\n", BATCH,
           sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_timeline(const struct demo *demo)
{
    printf("\n  Hits in percent, for every quarter of a second. At %.1f s the data of tenant %d changed:\n\n  %-11s",
           (double)CHANGE_NS / 1e9, CHANGED, "from second");
    for (int s = 0; s < SLICES; s++)
        printf("%s%6.2f", s == SLICES / 2 ? " |" : "", (double)s * SLICE_NS / 1e9);
    for (int changed = 1; changed >= 0; changed--) {
        printf("\n  %-11s", changed ? "tenant 7" : "all others");
        for (int s = 0; s < SLICES; s++) {
            uint64_t requests = 0, hits = 0;
            for (int i = 0; i < WORKERS; i++) {
                requests += demo->board->worker[i].requests_in[s][changed];
                hits += demo->board->worker[i].hits_in[s][changed];
            }
            printf(requests ? "%s%6.1f" : "%s     -", s == SLICES / 2 ? " |" : "",
                   requests ? 100.0 * (double)hits / (double)requests : 0);
        }
    }
    printf("\n");
}

static int print_workers(const struct demo *demo, uint64_t tagged, uint64_t took_ns)
{
    uint64_t returned = load(&demo->board->returned_ns), stale = 0, wrong = 0, fenced = 0;

    printf("\n  Then libcache_invalidate_tags(\"tenant:%d\") was called. Some %s entries carried the tag; the call "
           "took %s.\n"
           "  What each worker saw:\n\n",
           CHANGED, count(tagged), span(took_ns));
    printf("  %-8s %12s %9s | %19s %15s %16s %9s\n", "", "", "", "old values given", "the last one,",
           "old values given", "values");
    printf("  %-8s %12s %9s | %19s %15s %16s %9s\n", "worker", "requests/s", "hits", "until the call", "before its end",
           "after its end", "reloaded");
    for (int i = 0; i < WORKERS; i++) {
        const struct counts *c = &demo->board->worker[i];
        static struct kind_counts all;
        memset(&all, 0, sizeof all);
        for (int k = 0; k < KINDS; k++)
            add(&all, &c->kind[k]);
        printf("  %-8d %12s %9s | %19s %15s %16s %9s\n", i + 1, count(all.requests * 1000000000 / END_NS),
               share(all.hits, all.requests), count(c->before - c->stale),
               c->last_old_ns == 0         ? "-"
               : c->last_old_ns > returned ? "AFTER IT"
                                           : span(returned - c->last_old_ns),
               count(c->stale), count(c->reloads));
        stale += c->stale;
        wrong += c->wrong;
        fenced += c->fenced;
    }
    if (stale || wrong)
        printf("\n  FAILED: %s old values and %s values of other keys were given.\n", count(stale), count(wrong));
    else
        printf("\n  Nobody was given an old value once the call had returned. (%s loads had begun before the call and "
               "came\n"
               "  back after it: their values were used once, and not stored.)\n",
               count(fenced));
    return stale || wrong;
}

static void print_memory(const struct demo *demo)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(demo->cache, &stats);
    printf("  The cache ends with %s entries in %s of its %s MiB; it made room %s times.\n", count(stats.entries),
           count((stats.live_bytes + stats.index_bytes) >> 20), count(stats.memory_bytes >> 20),
           count(stats.evictions));
}

/* ---- The parent ------------------------------------------------------------------------------------------------------------ */

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
        stop("open", error.text);
    for (int k = 0; k < KINDS; k++) {
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        policy.ttl_ms = kinds[k].ttl_s * UINT64_C(1000);
        policy.jitter_percent = 10;
        if (libcache_open_namespace(&demo->ns[k], demo->cache, kinds[k].name, &policy, &error) != LIBCACHE_OK)
            stop("namespace", error.text);
    }
}

static void read_trace(struct demo *demo, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text, *line;
    long size;

    if (!file)
        stop(path, strerror(errno));
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || size > INT32_MAX)
        stop(path, "cannot be read as a whole");
    rewind(file);
    text = malloc((size_t)size + 1);
    demo->requests = malloc(sizeof *demo->requests * TRACE_MAX);
    if (!text || !demo->requests || fread(text, 1, (size_t)size, file) != (size_t)size)
        stop(path, "no memory, or cut short");
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
        stop(path, "has no requests");
}

int main(int argc, char **argv)
{
    static struct demo demo;
    libcache_slice tag = LIBCACHE_STR("tenant:7");
    pid_t workers[WORKERS];
    uint64_t tagged, began;
    int failed = 0;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: libcache-demo [TRACE]\n");
        return 2;
    }
    demo.board = mmap(NULL, sizeof *demo.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (demo.board == MAP_FAILED)
        stop("mmap", strerror(errno));
    for (int i = 0; i < TENANTS; i++)
        demo.board->version[i] = demo.board->least[i] = 1;
    make_zipf(demo.zipf);
    if (argc == 2)
        read_trace(&demo, argv[1]);
    open_cache(&demo);

    printf("\n  libcache %s: %d processes share one cache of %d MiB for %.0f seconds.\n\n", libcache_version(), WORKERS,
           (int)(MEMORY_BYTES >> 20), (double)END_NS / 1e9);
    fflush(stdout); /* or every worker would print it again */
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (workers[i] < 0)
            stop("fork", strerror(errno));
        if (workers[i] == 0) {
            work(&demo, i);
            _exit(0);
        }
    }
    store(&demo.board->start_ns, now_ns());

    sleep_until(load(&demo.board->start_ns) + CHANGE_NS - SLICE_NS / 5);
    tagged = count_tagged(demo.cache, "tenant:7");
    sleep_until(load(&demo.board->start_ns) + CHANGE_NS);
    store(&demo.board->version[CHANGED], 2); /* UPDATE ... */
    began = now_ns();
    if (libcache_invalidate_tags(demo.cache, &tag, 1, 0) != LIBCACHE_OK)
        failed = 1;
    store(&demo.board->least[CHANGED], 2);
    store(&demo.board->returned_ns, now_ns());

    for (int i = 0; i < WORKERS; i++) {
        int status;
        if (waitpid(workers[i], &status, 0) < 0 || status != 0)
            failed = 1;
    }
    print_kinds(&demo);
    print_timeline(&demo);
    failed |= print_workers(&demo, tagged, load(&demo.board->returned_ns) - began);
    print_memory(&demo);
    printf("\n");
    libcache_close(demo.cache);
    free(demo.requests);
    return failed;
}
