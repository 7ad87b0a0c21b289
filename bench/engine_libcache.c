/*
 * libcache itself, private and shared. Default options but for the budget, so the numbers are those that
 * an untuned user sees.
 */
#include "engine.h"
#include "harness.h"

#include <libcache.h>
#include <stdio.h>
#include <stdlib.h>

/* Three tags an entry, as an application would have them: its tenant, what it is, where it belongs. */
enum { TENANTS = 1000, KINDS = 8, REGIONS = 16, TAG_TEXT_MAX = 24, TAGS_MOST = 3 };

typedef struct tag_set {
    char text[TENANTS + KINDS + REGIONS][TAG_TEXT_MAX];
    libcache_slice slices[TENANTS + KINDS + REGIONS];
} tag_set;

typedef struct libcache_engine {
    libcache *cache;
    libcache_ns *ns;
    size_t value_bytes;
    unsigned tags;
    tag_set *tag_set; /* NULL without tags */
} libcache_engine;

static tag_set *make_tag_set(void)
{
    tag_set *set = harness_allocate(sizeof *set);

    for (unsigned i = 0; i < TENANTS + KINDS + REGIONS; i++) {
        const char *what = i < TENANTS ? "tenant" : i < TENANTS + KINDS ? "kind" : "region";
        int length = snprintf(set->text[i], TAG_TEXT_MAX, "%s:%u", what, i);

        set->slices[i] = (libcache_slice){ set->text[i], (size_t)length };
    }
    return set;
}

static void *open_engine(const engine_config *config, int segment)
{
    libcache_engine *self = harness_allocate(sizeof *self);
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error;

    if (config->tags > TAGS_MOST)
        harness_die("an engine entry carries at most %d tags", TAGS_MOST);
    options.segment = segment;
    options.memory_bytes = config->budget_bytes;
    options.huge_pages = config->huge ? LIBCACHE_HUGE_AUTO : LIBCACHE_HUGE_OFF;
    policy.ttl_ms = LIBCACHE_FOREVER;
    if (libcache_open(&self->cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&self->ns, self->cache, "bench", &policy, &error) != LIBCACHE_OK)
        harness_die("cannot open libcache: %s", error.text);
    self->value_bytes = config->value_bytes;
    self->tags = config->tags;
    self->tag_set = config->tags != 0 ? make_tag_set() : NULL;
    return self;
}

static void *open_private(const engine_config *config)
{
    return open_engine(config, LIBCACHE_PRIVATE);
}

static void *open_shared(const engine_config *config)
{
    return open_engine(config, LIBCACHE_SHARED);
}

static void close_engine(void *opaque)
{
    libcache_engine *self = opaque;

    libcache_close(self->cache);
    free(self->tag_set);
    free(self);
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    libcache_engine *self = opaque;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[TAGS_MOST];
    int result;

    if (self->tags != 0) {
        const libcache_slice *slices = self->tag_set->slices;

        tags[0] = slices[number % TENANTS];
        tags[1] = slices[TENANTS + number / TENANTS % KINDS];
        tags[2] = slices[TENANTS + KINDS + number % REGIONS];
        options.tags = tags;
        options.n_tags = self->tags;
    }
    result = libcache_set(self->ns, key, ENGINE_KEY_BYTES, value, self->value_bytes, self->tags != 0 ? &options : NULL);
    if (result != LIBCACHE_OK)
        harness_die("libcache_set: %s", libcache_describe(result));
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    libcache_engine *self = opaque;
    libcache_value value = { .data = out, .capacity = self->value_bytes };
    int result = libcache_get(self->ns, key, ENGINE_KEY_BYTES, &value, 0);

    (void)number;
    if (result < 0)
        harness_die("libcache_get: %s", libcache_describe(result));
    return result == LIBCACHE_HIT ? value.size : 0;
}

struct libcache_ns *engine_libcache_ns(void *self)
{
    return ((libcache_engine *)self)->ns;
}

struct libcache *engine_libcache_cache(void *self)
{
    return ((libcache_engine *)self)->cache;
}

const bench_engine engine_libcache = { "libcache", open_private, close_engine, set, get, 1 };
const bench_engine engine_libcache_shared = { "libcache-shared", open_shared, close_engine, set, get, 1 };
