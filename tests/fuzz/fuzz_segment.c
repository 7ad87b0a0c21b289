/*
 * A named segment that somebody has scribbled over: opened again (or scribbled over while open), it must be refused with a
 * text or be used without a crash, a hang, or a value that is not its key's. SPDX-License-Identifier: MIT
 *
 * Input: one byte of enum how, then changes to the image of a small segment with verify_values and known entries, each
 *
 *     area and kind of change (1) | offset in the area (2, little endian) | number of bytes (1) | bytes
 *
 * The image is made once, with a fixed seed, so that an input means the same in every run.
 */
#define _GNU_SOURCE
#include "cache.h"
#include "l1/index.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

enum how { CRASHED = 1, WHILE_OPEN = 2, ATTACH = 4 };
enum area { HEAD, SPACES, MARKS, BLOCK, SMALL_RING, MAIN_RING, INDEX, ANYWHERE, AREAS };
enum { IMAGE_BYTES = 256 << 10, KEYS = 400, VALUE_MAX = 1200 };

static unsigned char image[IMAGE_BYTES];
static struct layout layout;
static uint64_t main_at, index_at;
static char name[32], path[100];

/* ---- Known entries --------------------------------------------------------------------------------------------------- */

static int key_make(char *key, int i)
{
    return snprintf(key, 32, "key %d%.*s", i, i % 9, "________");
}

/* What the key's value is, whenever and by whomever it is stored. */
static size_t value_make(unsigned char *value, int i)
{
    size_t size = (size_t)(i * 37 % VALUE_MAX) + 1;

    for (size_t at = 0; at < size; at++)
        value[at] = (unsigned char)(at * 7 + (size_t)i);
    return size;
}

static void store(libcache_ns *ns, int i)
{
    static const libcache_slice tags[2] = { LIBCACHE_STR("red"), LIBCACHE_STR("blue") };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    unsigned char value[VALUE_MAX];
    size_t size = value_make(value, i);
    char key[32];
    int n = key_make(key, i);

    options.tags = tags;
    options.n_tags = (size_t)i % 3;
    options.user_flags = (uint32_t)i;
    options.ttl_ms = i % 5 ? LIBCACHE_FOREVER : 60000;
    options.flags = i % 31 == 7 ? LIBCACHE_NEG : 0;
    libcache_set(ns, key, (size_t)n, value, size, &options);
}

static uint64_t fixed_clock(void *arg)
{
    (void)arg;
    return 1000000;
}

static libcache_options options_of_image(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.segment = LIBCACHE_NAMED;
    options.name = name;
    options.memory_bytes = IMAGE_BYTES;
    options.max_value_bytes = VALUE_MAX;
    options.max_namespaces = 4;
    options.stripes = 1;
    options.verify_values = 1;
    options.lock_wait_ms = 1;
    options.clock_ms = fixed_clock;
    return options;
}

static void end(void)
{
    unlink(path);
}

static void make_image(void)
{
    libcache_options options;
    libcache *cache = NULL;
    libcache_ns *ns = NULL;
    int fd;

    snprintf(name, sizeof name, "fuzz-%ld", (long)getpid());
    snprintf(path, sizeof path, "/dev/shm/libcache-%lu-%s", (unsigned long)geteuid(), name);
    unlink(path);
    atexit(end);
    options = options_of_image();
    REQUIRE(libcache_open(&cache, &options, NULL) == LIBCACHE_OK);
    cache->l1.seed = cache->l1.head->seed = 42;
    cache->l1.head->epoch = 7;
    REQUIRE(libcache_open_namespace(&ns, cache, "known", NULL, NULL) == LIBCACHE_OK);
    for (int i = 0; i < KEYS; i++)
        store(ns, i);
    libcache_invalidate_tags(cache, &(libcache_slice)LIBCACHE_STR("green"), 1, 0);
    for (int i = 0; i < KEYS; i += 3) /* some again, some away: dead bytes, ghosts, survivors */
        store(ns, i);
    for (int i = 1; i < KEYS; i += 11) {
        char key[32];
        libcache_delete(ns, key, (size_t)key_make(key, i), 0);
    }
    layout = cache->l1.layout;
    main_at = layout.regions_at + layout.small_bytes;
    index_at = layout.regions_at + layout.region_bytes - shape_buckets(cache->l1.shards[0].s->shape) * sizeof(struct bucket);
    libcache_close(cache);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0 && pread(fd, image, sizeof image, 0) == (ssize_t)sizeof image);
    close(fd);
}

/* ---- Scribbling --------------------------------------------------------------------------------------------------------- */

static void scribble(unsigned char *bytes, const uint8_t *data, size_t size)
{
    const uint64_t begin[AREAS] = { 0, layout.spaces_at, layout.marks_at, layout.blocks_at, layout.regions_at, main_at, index_at, 0 };
    const uint64_t length[AREAS] = { sizeof(struct segment_head), layout.spaces * sizeof(struct space),
                                     layout.mark_sets * sizeof(struct mark_set), layout.block_bytes, layout.small_bytes,
                                     index_at - main_at, layout.regions_at + layout.region_bytes - index_at, IMAGE_BYTES };

    while (size >= 4) {
        unsigned area = data[0] % AREAS, exclusive_or = data[0] & 0x80;
        uint64_t at = (uint64_t)data[1] | (uint64_t)data[2] << 8;
        size_t n = data[3];
        at = begin[area] + at * (length[area] > 65536 ? 8 : 1) % length[area];
        data += 4;
        size -= 4;
        for (; n && size; n--, size--, data++, at++)
            if (at < IMAGE_BYTES)
                bytes[at] = exclusive_or ? (unsigned char)(bytes[at] ^ *data) : *data;
    }
}

/* ---- What is then done with it ----------------------------------------------------------------------------------------------- */

static void check_value(const libcache *cache, int i, int result, const libcache_value *value)
{
    unsigned char known[VALUE_MAX];
    size_t size = value_make(known, i);

    REQUIRE(result >= 0 && result <= LIBCACHE_MISS);
    if ((result == LIBCACHE_HIT || result == LIBCACHE_STALE) && cache->l1.layout.verify)
        REQUIRE(value->size == size && memcmp(value->data, known, size) == 0);
}

static void read_all(libcache *cache, libcache_ns *ns)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    uint64_t left;
    char key[32];
    int found = 0, result;

    for (int i = 0; i < KEYS; i++) {
        size_t n = (size_t)key_make(key, i);
        result = libcache_get(ns, key, n, &value, i % 2 ? LIBCACHE_TIMES : 0);
        check_value(cache, i, result, &value);
        if (i % 4 == 0) {
            libcache_exists(ns, key, n, 0);
            libcache_ttl_left(ns, key, n, &left, 0);
        }
    }
    libcache_release_value(&value);
    while ((result = libcache_iterate(cache, &cursor, &entry)) == LIBCACHE_HIT) {
        REQUIRE(entry.key.size >= 1 && entry.key.size <= LIBCACHE_KEY_MAX && entry.n_tags <= LIBCACHE_TAGS_MAX);
        REQUIRE(strlen(entry.ns_name) <= LIBCACHE_NAMESPACE_NAME_MAX + 12);
        REQUIRE(++found <= IMAGE_BYTES / 8); /* it ends */
    }
    REQUIRE(result == LIBCACHE_MISS || result == LIBCACHE_ECORRUPT);
    libcache_release_value(&entry.key);
    REQUIRE(libcache_read_stats(cache, &stats) == LIBCACHE_OK);
}

/* Whatever is in its queue, a trace begins, and what it says fits. */
static void trace_some(libcache *cache, libcache_ns *ns)
{
    static libcache_trace_record records[100];
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_trace *trace;
    size_t got = 0;
    char key[32];

    if (libcache_trace_begin(&trace, cache, NULL, NULL) != LIBCACHE_OK)
        return;
    for (int i = 0; i < KEYS; i++)
        libcache_get(ns, key, (size_t)key_make(key, i), &value, 0);
    libcache_release_value(&value);
    if (libcache_trace_read(trace, records, 100, &got) == LIBCACHE_OK)
        for (size_t i = 0; i < got; i++)
            REQUIRE(strlen(records[i].ns_name) <= LIBCACHE_NAMESPACE_NAME_MAX + 12 && records[i].key_size <= LIBCACHE_KEY_MAX);
    libcache_trace_end(trace);
}

static void change_all(libcache *cache, libcache_ns *ns)
{
    libcache_slice red = LIBCACHE_STR("red");
    char key[32];

    libcache_sweep(cache, 100, NULL);
    for (int i = 0; i < KEYS; i++) {
        size_t n = (size_t)key_make(key, i);
        if (i % 7 == 0)
            libcache_delete(ns, key, n, 0);
        else if (i % 7 == 1)
            libcache_touch(ns, key, n, 1000, 0);
        else if (i % 7 == 2)
            libcache_increment(ns, key, n, 1, NULL, NULL); /* ENUMBER, unless it is gone */
        if (i % 7 == 2)
            libcache_delete(ns, key, n, 0);
        store(ns, i);
        if (i % 50 == 0)
            libcache_increment(ns, "n", 1, i, NULL, NULL);
    }
    libcache_invalidate_tags(cache, &red, 1, 0);
    libcache_sweep(cache, 10000, NULL);
    libcache_invalidate_namespace(ns, 0);
    trace_some(cache, ns);
}

/* After all that, an emptied segment is as good as new. */
static void empty_and_check(libcache *cache, libcache_ns *ns)
{
    const char *what;

    for (uint32_t i = 0; i < cache->l1.stripes; i++) {
        struct shard sh = shard_now(&cache->l1, i);
        REQUIRE(stripe_lock(&sh, 0) == LIBCACHE_OK);
        stripe_reset(&sh);
        stripe_unlock(&sh);
    }
    REQUIRE(l1_check(&cache->l1, &what));
    for (int i = 0; i < 50; i++)
        store(ns, i);
    REQUIRE(l1_check(&cache->l1, &what));
    read_all(cache, ns);
}

static int open_it(libcache **cache, libcache_ns **ns, int how)
{
    libcache_options options = options_of_image();
    libcache_error error = { 0, "" };
    int result = how & ATTACH ? libcache_attach(cache, name, &options, &error) : libcache_open(cache, &options, &error);

    if (result == LIBCACHE_OK) {
        result = libcache_open_namespace(ns, *cache, "known", NULL, &error);
        if (result != LIBCACHE_OK)
            libcache_close(*cache);
    }
    REQUIRE(result == LIBCACHE_OK || (result < 0 && error.code == result && error.text[0] && memchr(error.text, 0, sizeof error.text)));
    return result == LIBCACHE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[IMAGE_BYTES];
    libcache *cache = NULL;
    libcache_ns *ns = NULL;
    int how = size ? data[0] : 0, fd;

    if (!path[0])
        make_image();
    memcpy(bytes, image, sizeof bytes);
    if (how & CRASHED)
        memset(bytes + offsetof(struct segment_head, closed), 0, 4);
    if (size && !(how & WHILE_OPEN))
        scribble(bytes, data + 1, size - 1);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && pwrite(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
    if (open_it(&cache, &ns, how)) {
        if (how & WHILE_OPEN) {
            unsigned char *other = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            REQUIRE(other != MAP_FAILED);
            if (size)
                scribble(other, data + 1, size - 1);
            read_all(cache, ns);
            munmap(other, IMAGE_BYTES);
        } else {
            read_all(cache, ns);
            change_all(cache, ns);
            read_all(cache, ns);
            empty_and_check(cache, ns);
        }
        libcache_close(cache);
    }
    close(fd);
    unlink(path); /* locks of its last life are gone with it */
    return 0;
}
