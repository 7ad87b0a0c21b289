/*
 * Any bytes as names in the log, and any shape of record: what is a name is applied, what is none drops everything, and
 * nothing else happens. No Redis is asked. SPDX-License-Identifier: MIT
 *
 * Names are read one by one, and written again: the same bytes. Then the whole is applied as one record by a cache with some
 * entries: afterwards none is served that a name covers, and what no name
 * covers is, but for entries with tags whose marks found no room.
 */
#include "cache.h"
#include "coherence_internal.h"
#include "libcache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

#define EPOCH 77
#define DEADLINE (UINT64_C(1) << 62)

enum { PLAIN, TAGGED, OTHER, ENTRIES };

/* Namespace, key and tag of the entries; a fuzzer finds them in the corpus. */
static const struct {
    const char *ns, *key, *tag;
} entries[ENTRIES] = { { "users", "key", NULL }, { "users", "42", "tag" }, { "else", "key", "more" } };

static libcache *cache;
static libcache_ns *spaces[ENTRIES];
static uint64_t position;

static void open_once(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    if (cache)
        return;
    options.memory_bytes = 256 << 10;
    options.redis_url = "unix:///nowhere/at/all";
    options.max_staleness_ms = options.poll_ms = 3600000;
    options.breaker_failures = 1;
    options.breaker_backoff_ms = options.breaker_backoff_max_ms = 3600000;
    REQUIRE(libcache_open(&cache, &options, NULL) == LIBCACHE_OK);
    for (int i = 0; i < ENTRIES; i++)
        REQUIRE(libcache_open_namespace(&spaces[i], cache, entries[i].ns, NULL, NULL) == LIBCACHE_OK);
}

static int is(libcache_slice slice, const char *text)
{
    return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

/* Which entries the names cover, by bit. */
static unsigned covered(const unsigned char *bytes, size_t size)
{
    const unsigned char *before = bytes;
    unsigned all = (1u << ENTRIES) - 1, set = 0;
    struct name name;

    while (name_read(&name, &bytes, &size)) {
        size_t n = (size_t)(bytes - before);
        unsigned char *again = malloc(n);
        REQUIRE(again && name_size(&name) == n && n <= NAME_BYTES_MAX);
        name_write(again, &name);
        REQUIRE(memcmp(again, before, n) == 0);
        free(again);
        before = bytes;
        if (name.kind == NAME_ALL)
            set = all;
        for (int i = 0; i < ENTRIES; i++) {
            const char *tag = entries[i].tag;
            if ((name.kind == NAME_SPACE && is(name.ns, entries[i].ns)) ||
                (name.kind == NAME_TAG && tag && name.tag == libcache_hash_tag(tag, strlen(tag))) ||
                (name.kind == NAME_KEY && is(name.ns, entries[i].ns) && is(name.key, entries[i].key)))
                set |= 1u << i;
        }
    }
    return size ? all : set;
}

static struct reply string_of(const void *text, size_t size)
{
    struct reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = REPLY_STRING;
    reply.text = (char *)(uintptr_t)text;
    reply.size = size;
    return reply;
}

static struct reply array_of(struct reply *items, size_t n)
{
    struct reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = REPLY_ARRAY;
    reply.items = items;
    reply.size = n;
    return reply;
}

static void apply(const uint8_t *data, size_t size)
{
    struct coherence *c = cache->coherence;
    unsigned char before[8], after[8];
    char id[24];
    struct mirror m;
    struct log_record read;
    struct reply fields[6], parts[2], record;
    struct log_page page;

    name_put_u64(before, position - 1);
    name_put_u64(after, position);
    fields[0] = string_of("c", 1);
    fields[1] = string_of(before, 8);
    fields[2] = string_of("t", 1);
    fields[3] = string_of(after, 8);
    fields[4] = string_of("n", 1);
    fields[5] = string_of(data, size);
    parts[0] = string_of(id, (size_t)snprintf(id, sizeof id, "%llu-0", (unsigned long long)position));
    parts[1] = array_of(fields, 6);
    record = array_of(parts, 2);
    REQUIRE(l2_log_record(&record, &read) == LIBCACHE_OK);
    REQUIRE(read.position == position && read.previous_token == position - 1 && read.token == position);
    REQUIRE(read.names_size == size && (!size || memcmp(read.names, data, size) == 0));
    memset(&page, 0, sizeof page);
    page.then = (struct history){ EPOCH, position, position };
    page.records = &record;
    page.n = 1;
    mirror_read(c, &m);
    REQUIRE(coherence_apply(c, &m, &page, LOG_PAGE, l1_now(&cache->l1), l1_now(&cache->l1), DEADLINE) == LIBCACHE_OK);
    mirror_read(c, &m);
    REQUIRE(m.applied == position && m.latest == position && m.applied_token == position && m.redis_epoch == EPOCH);
}

/* Names with entries: what is covered is gone, the rest is there. */
static void use_names(const uint8_t *data, size_t size)
{
    unsigned gone = covered(data, size);
    struct mirror m;

    open_once();
    mirror_read(cache->coherence, &m);
    if (m.redis_epoch != EPOCH || position >= (UINT64_C(1) << 30)) { /* a history begins, with its first page */
        struct log_page page;
        memset(&page, 0, sizeof page);
        position = 1;
        page.then = (struct history){ EPOCH, position, position };
        coherence_apply(cache->coherence, &m, &page, LOG_PAGE, 0, 0, DEADLINE);
    }
    position++;
    for (int i = 0; i < ENTRIES; i++) {
        libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
        libcache_slice tag = { entries[i].tag, entries[i].tag ? strlen(entries[i].tag) : 0 };
        options.tags = &tag;
        options.n_tags = entries[i].tag != NULL;
        options.flags = LIBCACHE_SKIP_L2;
        REQUIRE(libcache_set(spaces[i], entries[i].key, strlen(entries[i].key), "value", 5, &options) == LIBCACHE_OK);
    }
    apply(data, size);
    for (int i = 0; i < ENTRIES; i++) {
        int found = libcache_exists(spaces[i], entries[i].key, strlen(entries[i].key), LIBCACHE_SKIP_L2);
        int may_be_given_up = gone >> i & 1 || (entries[i].tag && size > 11); /* other tags may push the marks of its own out */
        REQUIRE(found == LIBCACHE_MISS ? may_be_given_up : found == LIBCACHE_HIT && !(gone >> i & 1));
    }
    REQUIRE(cache->coherence->upper->epochs == 1);
}

/* A record of any shape: two bytes say the kind and size of each part, which are then taken from the rest. */
static void use_shape(const uint8_t *data, size_t size)
{
    struct reply fields[8], parts[3], record;
    struct log_record read;
    size_t n = 0, m = 0;

    memset(&read, 0, sizeof read);
    for (; size >= 2 && n < 8; n++) {
        size_t part = data[1] % 24u < size - 2 ? data[1] % 24u : size - 2;
        char *text = malloc(part + 1);
        REQUIRE(text);
        memcpy(text, data + 2, part);
        text[part] = '\0'; /* as every text of an answer is ended */
        fields[n] = string_of(text, part);
        if (data[0] % 8 == 7)
            fields[n].kind = REPLY_NIL;
        data += 2 + part;
        size -= 2 + part;
    }
    if (n)
        parts[m++] = fields[n - 1];
    parts[m++] = array_of(fields, n ? n - 1 : 0);
    record = array_of(parts, m);
    if (l2_log_record(&record, &read) == LIBCACHE_OK)
        REQUIRE(n == 7 && fields[5].text == (const char *)read.names && read.names_size == fields[5].size);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)fields[i].text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_names(data, size);
    use_shape(data, size);
    return 0;
}
