/*
 * What is cached, and what ends it.                                            SPDX-License-Identifier: MIT
 *
 *     namespace       key           life    tags                          ended by
 *     configs         TENANT        300 s   tenant:N                      PUT /tenants/N/config
 *     features        TENANT:NAME    60 s   tenant:N, features:N          PUT /tenants/N/features/NAME
 *     responses       TENANT:report  30 s   tenant:N, orders:N            POST /tenants/N/orders, PUT /tenants/N/config
 *
 * The database is changed first, then what was read from it is invalidated: nobody who asks after that is given the old answer,
 * also if he had begun to load it before. A name that the source does not know is remembered as missing for ten seconds.
 * Answers outlive their time by a minute, for when the database is down.
 */
#include "service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS UINT64_C(1000)

/* ---- Text ------------------------------------------------------------------------------------------------------------- */

static int text_grow(struct text *text, size_t more)
{
    size_t capacity = text->capacity != 0 ? text->capacity : 256;
    char *grown;

    while (capacity < text->size + more)
        capacity *= 2;
    if (capacity == text->capacity)
        return 1;
    grown = realloc(text->data, capacity);
    if (grown == NULL) {
        text->failed = 1;
        return 0;
    }
    text->data = grown;
    text->capacity = capacity;
    return 1;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    int size;

    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    if (size >= 0 && text_grow(text, (size_t)size + 1)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void text_add_json(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (; *string != '\0'; string++) {
        unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\')
            text_add(text, "\\%c", c);
        else if (c < 0x20)
            text_add(text, "\\u%04x", c);
        else
            text_add(text, "%c", c);
    }
    text_add(text, "\"");
}

/* ---- Namespaces ------------------------------------------------------------------------------------------------------- */

static int open_namespace(libcache_ns **ns, struct answers *answers, const char *name, uint64_t seconds,
                          libcache_error *error)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.ttl_ms = seconds * SECONDS;
    policy.negative_ttl_ms = 10 * SECONDS;
    policy.grace_ms = 60 * SECONDS;
    policy.jitter_percent = 10;
    return libcache_open_namespace(ns, answers->cache, name, &policy, error) == LIBCACHE_OK;
}

int answers_open(struct answers *answers, libcache_error *error)
{
    return open_namespace(&answers->configs, answers, "tenant_config", 300, error) &&
                   open_namespace(&answers->features, answers, "feature_access", 60, error) &&
                   open_namespace(&answers->responses, answers, "api_response", 30, error)
               ? 0
               : -1;
}

/* ---- Loads ------------------------------------------------------------------------------------------------------------- */

struct question {
    struct answers *answers;
    long tenant;
    const char *feature;
    int (*ask)(struct question *question, struct text *body);
    char tags[2][40];
    libcache_slice slices[2];
    size_t n_tags;
};

static void release_body(void *arg, void *data)
{
    (void)arg;
    free(data);
}

static int load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    struct question *question = arg;
    struct text body = { 0 };
    int result = question->ask(question, &body);

    (void)key;
    out->tags = question->slices;
    out->n_tags = question->n_tags;
    out->data = body.data;
    out->size = body.size;
    out->release = release_body;
    if (result == 1)
        out->flags = LIBCACHE_NEG;
    return result < 0 || body.failed ? -1 : LIBCACHE_OK;
}

static void add_tag(struct question *question, const char *kind)
{
    int size = snprintf(question->tags[question->n_tags], sizeof question->tags[0], "%s:%ld", kind, question->tenant);

    question->slices[question->n_tags] = (libcache_slice){ question->tags[question->n_tags], (size_t)size };
    question->n_tags++;
}

static enum origin origin_of(int result, const libcache_value *value)
{
    if (result == LIBCACHE_STALE)
        return FROM_STALE;
    return value->tier == LIBCACHE_TIER_L1 ? FROM_MEMORY : value->tier == LIBCACHE_TIER_L2 ? FROM_REDIS : FROM_SOURCE;
}

static int answer(libcache_ns *ns, const char *key, struct question *question, struct text *body, enum origin *origin)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result;

    *origin = FROM_SOURCE;
    if (!question->answers->cached)
        return question->ask(question, body);
    result = libcache_get_or_load(ns, key, strlen(key), &value, load, question, NULL);
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE)
        text_add(body, "%.*s", (int)value.size, (const char *)value.data);
    *origin = origin_of(result, &value);
    libcache_release_value(&value);
    return result == LIBCACHE_HIT || result == LIBCACHE_STALE ? 0 : result == LIBCACHE_NEGATIVE ? 1 : -1;
}

static int ask_config(struct question *question, struct text *body)
{
    return database_config(question->answers->db, question->tenant, body);
}

int answers_config(struct answers *answers, long tenant, struct text *body, enum origin *origin)
{
    struct question question = { .answers = answers, .tenant = tenant, .ask = ask_config };
    char key[24];

    snprintf(key, sizeof key, "%ld", tenant);
    add_tag(&question, "tenant");
    return answer(answers->configs, key, &question, body, origin);
}

static int ask_feature(struct question *question, struct text *body)
{
    int enabled = 0, result = database_feature(question->answers->db, question->tenant, question->feature, &enabled);

    if (result == 0)
        text_add(body, "{\"tenant\": %ld, \"enabled\": %s}\n", question->tenant, enabled ? "true" : "false");
    return result;
}

int answers_feature(struct answers *answers, long tenant, const char *feature, struct text *body, enum origin *origin)
{
    struct question question = { .answers = answers, .tenant = tenant, .feature = feature, .ask = ask_feature };
    char key[200];

    snprintf(key, sizeof key, "%ld:%s", tenant, feature);
    add_tag(&question, "tenant");
    add_tag(&question, "features");
    return answer(answers->features, key, &question, body, origin);
}

static int ask_report(struct question *question, struct text *body)
{
    return database_report(question->answers->db, question->tenant, body);
}

int answers_report(struct answers *answers, long tenant, struct text *body, enum origin *origin)
{
    struct question question = { .answers = answers, .tenant = tenant, .ask = ask_report };
    char key[40];

    snprintf(key, sizeof key, "%ld:report", tenant);
    add_tag(&question, "tenant");
    add_tag(&question, "orders");
    return answer(answers->responses, key, &question, body, origin);
}

/* ---- Changes ----------------------------------------------------------------------------------------------------------- */

/* Redis may be away: this host is right all the same, and the others are told later (see libcache.h, chapter 8). */
static int changed(struct answers *answers, int result, const char *kind, long tenant)
{
    char text[40];
    libcache_slice tag = { text, (size_t)snprintf(text, sizeof text, "%s:%ld", kind, tenant) };

    if (result == 0)
        libcache_invalidate_tags(answers->cache, &tag, 1, 0);
    return result;
}

int answers_set_config(struct answers *answers, long tenant, const char *theme)
{
    return changed(answers, database_set_config(answers->db, tenant, theme), "tenant", tenant);
}

int answers_set_feature(struct answers *answers, long tenant, const char *feature, int enabled)
{
    return changed(answers, database_set_feature(answers->db, tenant, feature, enabled), "features", tenant);
}

int answers_add_order(struct answers *answers, long tenant, long cents)
{
    return changed(answers, database_add_order(answers->db, tenant, cents), "orders", tenant);
}
