/* ls: the entries of a segment. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

struct listing {
    const struct args *args;
    struct target target;
    uint64_t *tag_hashes; /* of args->tags */
    uint64_t n;
    libcache_value value;
};

/* Which of the tags said this is; NULL: none. */
static const char *tag_said(const struct listing *l, uint64_t hash)
{
    for (size_t i = 0; i < l->args->n_tags; i++)
        if (l->tag_hashes[i] == hash)
            return l->args->tags[i];
    return NULL;
}

static int is_wanted(const struct listing *l, const libcache_entry *e)
{
    const struct args *args = l->args;
    int tagged = args->n_tags == 0;

    if (args->namespace_name && !matches(args->namespace_name, e->ns_name, strlen(e->ns_name)))
        return 0;
    if (args->n_operands && !matches(args->operands[0], e->key.data, e->key.size))
        return 0;
    for (unsigned i = 0; i < e->n_tags && !tagged; i++)
        tagged = tag_said(l, e->tags[i]) != NULL;
    return tagged;
}

/* The entry's value; 0: it has gone meanwhile. */
static int read_value(struct listing *l, const libcache_entry *e)
{
    libcache_ns *ns;
    int result;

    if (e->result == LIBCACHE_NEGATIVE ||
        libcache_open_namespace(&ns, l->target.cache, e->ns_name, NULL, NULL) != LIBCACHE_OK)
        return 0;
    result = libcache_get(ns, e->key.data, e->key.size, &l->value, 0);
    return result == LIBCACHE_HIT || result == LIBCACHE_STALE;
}

static void print_json(struct listing *l, const libcache_entry *e)
{
    char hash[20];

    json_open(NULL, '{');
    json_bytes("namespace", e->ns_name, strlen(e->ns_name));
    json_bytes("key", e->key.data, e->key.size);
    json_text("result", result_name(e->result));
    json_number("age_ms", e->age_ms);
    if (e->ttl_left_ms == LIBCACHE_FOREVER)
        json_null("ttl_left_ms");
    else
        json_number("ttl_left_ms", e->ttl_left_ms);
    json_number("value_bytes", e->value_bytes);
    json_number("memory_bytes", e->memory_bytes);
    json_number("uses", e->uses);
    json_number("codec", e->codec);
    json_text("codec_name", codec_name(e->codec));
    json_number("flags", e->user_flags);
    json_open("tag_hashes", '[');
    for (unsigned i = 0; i < e->n_tags; i++) {
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)e->tags[i]);
        json_text(NULL, hash);
    }
    json_close();
    if (l->args->n_tags) {
        json_open("tags", '[');
        for (unsigned i = 0; i < e->n_tags; i++)
            if (tag_said(l, e->tags[i]))
                json_text(NULL, tag_said(l, e->tags[i]));
        json_close();
    }
    if (l->args->values && read_value(l, e))
        json_bytes("value", l->value.data, l->value.size);
    json_close();
}

static void print_line(struct listing *l, const libcache_entry *e)
{
    char age[SHORT_TEXT], left[SHORT_TEXT], size[SHORT_TEXT], codec[8];

    if (l->n == 0)
        puts("RESULT    AGE       TTL LEFT  SIZE      CODEC          USES  NAMESPACE         KEY");
    snprintf(codec, sizeof codec, "%u", e->codec);
    printf("%-8s  %-8s  %-8s  %-8s  %-13s  %4u  ", result_name(e->result), show_ms(age, e->age_ms),
           show_ms(left, e->ttl_left_ms), show_bytes(size, e->value_bytes),
           codec_name(e->codec) ? codec_name(e->codec) : codec, e->uses);
    print_cell(stdout, e->ns_name, strlen(e->ns_name), 16);
    fputs("  ", stdout);
    print_safe(stdout, e->key.data, e->key.size);
    for (unsigned i = 0; i < e->n_tags; i++) {
        const char *tag = tag_said(l, e->tags[i]);
        fputs(i ? " " : "  #", stdout);
        if (tag)
            print_safe(stdout, tag, strlen(tag));
        else
            printf("%016llx", (unsigned long long)e->tags[i]);
    }
    putchar('\n');
    if (l->args->values && read_value(l, e)) {
        fputs("    ", stdout);
        print_safe(stdout, l->value.data, l->value.size);
        putchar('\n');
    }
}

static int list(struct listing *l)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_entry entry;
    int result = LIBCACHE_HIT;

    memset(&entry, 0, sizeof entry);
    while ((!l->args->limit || l->n < l->args->limit) &&
           (result = libcache_iterate(l->target.cache, &cursor, &entry)) == LIBCACHE_HIT) {
        if (!is_wanted(l, &entry))
            continue;
        if (l->args->json) {
            print_json(l, &entry);
        } else if (l->args->names_only) {
            print_safe(stdout, entry.key.data, entry.key.size);
            putchar('\n');
        } else {
            print_line(l, &entry);
        }
        l->n++;
    }
    libcache_release_value(&entry.key);
    return result < 0 ? fail_result(result, "ls: segment %s", l->target.name) : TOOL_OK;
}

int cmd_ls(struct args *args)
{
    struct listing l = { .args = args, .value = LIBCACHE_VALUE_INIT };
    int code = target_look(&l.target, args);

    if (code != TOOL_OK)
        return code;
    l.tag_hashes = calloc(args->n_tags + 1, sizeof *l.tag_hashes);
    if (!l.tag_hashes) {
        code = fail(TOOL_FAILED, "no memory");
    } else {
        for (size_t i = 0; i < args->n_tags; i++)
            l.tag_hashes[i] = libcache_hash_tag(args->tags[i], strlen(args->tags[i]));
        if (args->json)
            json_open(NULL, '[');
        code = list(&l);
        json_end();
    }
    libcache_release_value(&l.value);
    free(l.tag_hashes);
    target_close(&l.target);
    return code;
}
