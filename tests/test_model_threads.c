/*
 * The same idea as test_model.c where nobody can know the one current value: threads, or processes on a shared segment,
 * with versions that only grow. Each key is written by one worker and read by all. A hit must be whole (one key, one
 * version, every byte), not older than what had been stored or invalidated when the read began, not newer than what has
 * been written, and never older than what the same worker has seen before. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 4, KEYS = 960, GROUPS = 12, BATCH = 8, WORDS_MAX = 700 };

struct shared_key {
    uint64_t begun;  /* atomic: highest version that may have been stored */
    uint64_t stored; /* atomic: highest version whose set has returned */
    uint64_t least;  /* atomic: what readers that begin now may see is at least this */
};

/* In memory that all workers share. */
struct arena {
    struct rig rig;
    struct shared_key keys[KEYS];
    int waiting;           /* atomic: workers that are not there yet */
    uint64_t hits, misses; /* atomic */
    int failed;            /* atomic */
    char failure[200];     /* by who set failed */
};

struct worker {
    struct arena *arena;
    unsigned number;
    struct dice dice;
    uint64_t version[KEYS]; /* of one's own keys */
    uint64_t seen[KEYS];
    uint64_t words[WORDS_MAX];
    libcache_value value, values[BATCH];
};

#define FAIL(w, ...)                                                               \
    do {                                                                           \
        if (!__atomic_exchange_n(&(w)->arena->failed, 1, __ATOMIC_SEQ_CST))        \
            snprintf((w)->arena->failure, sizeof(w)->arena->failure, __VA_ARGS__); \
    } while (0)

static size_t key_text(char *text, unsigned key)
{
    return (size_t)snprintf(text, 32, "key number %u", key);
}

static libcache_slice group_tag(char *text, unsigned key)
{
    libcache_slice tag = { text, 0 };
    tag.size = (size_t)snprintf(text, 16, "group %u", key % GROUPS);
    return tag;
}

/* The i-th word of a version's value: any two values differ nearly everywhere. */
static uint64_t word_of(unsigned key, uint64_t version, size_t i)
{
    return (version * 0x9e3779b97f4a7c15u + key) * (2 * i + 1) ^ i << 40;
}

static size_t words_of(unsigned key, uint64_t version)
{
    size_t n = (version * 31 + key) % 40;
    return 2 + n * (version % 20 == 0 ? 17 : 4);
}

static void raise_to(uint64_t *word, uint64_t to)
{
    uint64_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (old < to && !__atomic_compare_exchange_n(word, &old, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

/* What a read that began when `least` was the least has given. */
static void check(struct worker *w, unsigned key, uint64_t least, int result, const libcache_value *value)
{
    const uint64_t *words = value->data;
    uint64_t version, begun;
    size_t n;

    if (result == LIBCACHE_MISS) {
        __atomic_fetch_add(&w->arena->misses, 1, __ATOMIC_RELAXED);
        return;
    }
    if (result != LIBCACHE_HIT || value->size < 16) {
        FAIL(w, "key %u: %s of %zu bytes", key, result_name(result), value->size);
        return;
    }
    __atomic_fetch_add(&w->arena->hits, 1, __ATOMIC_RELAXED);
    version = words[1];
    begun = __atomic_load_n(&w->arena->keys[key].begun, __ATOMIC_SEQ_CST);
    n = words_of(key, version);
    if (words[0] != key || version > begun || value->size != n * 8 || value->codec != (uint8_t)version ||
        value->flags != (version & 1 ? (uint32_t)version : 0)) {
        FAIL(w, "key %u: a value of key %" PRIu64 ", version %" PRIu64 " of %" PRIu64 ", %zu bytes", key, words[0],
             version, begun, value->size);
        return;
    }
    for (size_t i = 2; i < n; i++)
        if (words[i] != word_of(key, version, i)) {
            FAIL(w, "key %u: version %" PRIu64 " is torn at word %zu of %zu", key, version, i, n);
            return;
        }
    if (version < least)
        FAIL(w, "key %u: version %" PRIu64 " after %" PRIu64, key, version, least);
    if (version < w->seen[key])
        FAIL(w, "key %u: version %" PRIu64 " after this worker saw %" PRIu64, key, version, w->seen[key]);
    w->seen[key] = version;
}

static uint64_t least_of(struct worker *w, unsigned key)
{
    return __atomic_load_n(&w->arena->keys[key].least, __ATOMIC_SEQ_CST);
}

static void do_get(struct worker *w)
{
    unsigned key = (unsigned)dice_below(&w->dice, KEYS);
    uint64_t least = least_of(w, key);
    char text[32];
    size_t size = key_text(text, key);
    unsigned flags = dice_chance(&w->dice, 40) ? LIBCACHE_TIMES : 0; /* takes another way through the reader */
    check(w, key, least, libcache_get(w->arena->rig.ns, text, size, &w->value, flags), &w->value);
}

static void do_get_many(struct worker *w)
{
    unsigned keys[BATCH];
    uint64_t least[BATCH];
    char texts[BATCH][32];
    libcache_slice slices[BATCH];
    int results[BATCH];

    for (int i = 0; i < BATCH; i++) {
        keys[i] = (unsigned)dice_below(&w->dice, KEYS);
        least[i] = least_of(w, keys[i]);
        slices[i] = (libcache_slice){ texts[i], key_text(texts[i], keys[i]) };
    }
    libcache_get_many(w->arena->rig.ns, slices, BATCH, w->values, results, NULL, 0);
    for (int i = 0; i < BATCH; i++)
        check(w, keys[i], least[i], results[i], &w->values[i]);
}

static unsigned own_key(struct worker *w)
{
    return (unsigned)dice_below(&w->dice, KEYS / WORKERS) * WORKERS + w->number;
}

static void do_set(struct worker *w)
{
    unsigned key = own_key(w);
    uint64_t version = ++w->version[key];
    size_t n = words_of(key, version);
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    char text[32], tag_text[16];
    libcache_slice tag = group_tag(tag_text, key);
    int result;

    w->words[0] = key;
    w->words[1] = version;
    for (size_t i = 2; i < n; i++)
        w->words[i] = word_of(key, version, i);
    options.tags = &tag;
    options.n_tags = 1;
    options.codec = (uint8_t)version;
    options.user_flags = version & 1 ? (uint32_t)version : 0;
    __atomic_store_n(&w->arena->keys[key].begun, version, __ATOMIC_SEQ_CST);
    result = libcache_set(w->arena->rig.ns, text, key_text(text, key), w->words, n * 8, &options);
    if (result != LIBCACHE_OK)
        FAIL(w, "set gives %s", result_name(result));
    __atomic_store_n(&w->arena->keys[key].stored, version, __ATOMIC_SEQ_CST);
    raise_to(&w->arena->keys[key].least, version);
}

static void do_delete(struct worker *w)
{
    unsigned key = own_key(w);
    char text[32];
    int result = libcache_delete(w->arena->rig.ns, text, key_text(text, key), 0);

    if (result != LIBCACHE_OK && result != LIBCACHE_MISS)
        FAIL(w, "delete gives %s", result_name(result));
    raise_to(&w->arena->keys[key].least, w->version[key] + 1);
}

/* What had been stored before an invalidation began is gone when it returns. */
static void do_invalidate(struct worker *w)
{
    unsigned group = (unsigned)dice_below(&w->dice, GROUPS), how = (unsigned)dice_below(&w->dice, 100);
    uint64_t before[KEYS];
    char text[16];
    libcache_slice tag = group_tag(text, group);
    int result;

    for (unsigned key = 0; key < KEYS; key++)
        before[key] = __atomic_load_n(&w->arena->keys[key].stored, __ATOMIC_SEQ_CST);
    if (how < 98)
        result = libcache_invalidate_tags(w->arena->rig.cache, &tag, 1, 0);
    else if (how < 99)
        result = libcache_invalidate_namespace(w->arena->rig.ns, 0);
    else
        result = libcache_invalidate_all(w->arena->rig.cache, 0);
    if (result != LIBCACHE_OK)
        FAIL(w, "an invalidation gives %s", result_name(result));
    for (unsigned key = 0; key < KEYS; key++)
        if (how >= 98 || key % GROUPS == group)
            raise_to(&w->arena->keys[key].least, before[key] + 1);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    __atomic_fetch_sub(&w->arena->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&w->arena->waiting, __ATOMIC_SEQ_CST) > 0)
        sched_yield();
    for (unsigned long n = scaled(150000); n && !__atomic_load_n(&w->arena->failed, __ATOMIC_RELAXED); n--) {
        unsigned roll = (unsigned)dice_below(&w->dice, 1000);
        if (roll < 600)
            do_get(w);
        else if (roll < 700)
            do_get_many(w);
        else if (roll < 950)
            do_set(w);
        else if (roll < 980)
            do_delete(w);
        else if (roll < 981)
            do_invalidate(w);
        else if (roll < 982)
            libcache_sweep(w->arena->rig.cache, 50, NULL);
    }
    libcache_release_value(&w->value);
    for (int i = 0; i < BATCH; i++)
        libcache_release_value(&w->values[i]);
    return NULL;
}

/* Opens a cache in memory that children share. */
static struct arena *arena_up(size_t memory_bytes, unsigned stripes, int segment)
{
    struct arena *arena = mmap(NULL, sizeof *arena, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(arena, MAP_FAILED);
    rig_prepare(&arena->rig);
    arena->rig.options.memory_bytes = memory_bytes;
    arena->rig.options.max_value_bytes = 8 << 10;
    arena->rig.options.stripes = stripes;
    arena->rig.options.segment = segment;
    arena->waiting = WORKERS;
    rig_open(&arena->rig);
    return arena;
}

static void arena_down(struct arena *arena)
{
    libcache_stats stats = rig_stats(&arena->rig);

    ck_assert_msg(!arena->failed, "%s (seed %" PRIu64 ")", arena->failure, test_seed());
    printf("%" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " evictions, %" PRIu64 " survivors, %" PRIu64
           " lock fallbacks\n",
           arena->hits, arena->misses, stats.evictions, stats.survivors, stats.lock_fallbacks);
    ck_assert_uint_gt(arena->hits, 0);
    ck_assert_uint_eq(stats.resets, 0);
    rig_down(&arena->rig);
    munmap(arena, sizeof *arena);
}

static struct worker *new_worker(struct arena *arena, unsigned number)
{
    struct worker *w = calloc(1, sizeof *w);
    ck_assert_ptr_nonnull(w);
    w->arena = arena;
    w->number = number;
    w->dice = dice_of(1000 + number);
    return w;
}

static void threads(size_t memory_bytes, unsigned stripes)
{
    struct arena *arena = arena_up(memory_bytes, stripes, LIBCACHE_PRIVATE);
    struct worker *workers[WORKERS];
    pthread_t ids[WORKERS];

    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = new_worker(arena, i);
        ck_assert_int_eq(pthread_create(&ids[i], NULL, work, workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(ids[i], NULL);
        free(workers[i]);
    }
    arena_down(arena);
}

START_TEST(threads_on_a_roomy_cache_see_versions_grow)
{
    threads(4 << 20, 0);
}
END_TEST

START_TEST(threads_on_a_cache_that_always_evicts_see_versions_grow)
{
    threads(256 << 10, 1);
}
END_TEST

START_TEST(threads_on_eight_stripes_see_versions_grow)
{
    threads(2 << 20, 8);
}
END_TEST

/* The parent works too. Allocators and such are each process's own; only the segment and the arena are shared. */
static void processes(size_t memory_bytes, unsigned stripes)
{
    struct arena *arena = arena_up(memory_bytes, stripes, LIBCACHE_SHARED);
    pid_t children[WORKERS];

    for (unsigned i = 1; i < WORKERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            struct worker *w = new_worker(arena, i);
            work(w);
            free(w);
            _exit(0);
        }
    }
    {
        struct worker *w = new_worker(arena, 0);
        work(w);
        free(w);
    }
    for (unsigned i = 1; i < WORKERS; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    arena_down(arena);
}

START_TEST(processes_on_a_roomy_shared_cache_see_versions_grow)
{
    processes(4 << 20, 0);
}
END_TEST

START_TEST(processes_on_a_shared_cache_that_always_evicts_see_versions_grow)
{
    processes(256 << 10, 1);
}
END_TEST

int main(void)
{
    return RUN_TESTS("model_threads", threads_on_a_roomy_cache_see_versions_grow,
                     threads_on_a_cache_that_always_evicts_see_versions_grow,
                     threads_on_eight_stripes_see_versions_grow, processes_on_a_roomy_shared_cache_see_versions_grow,
                     processes_on_a_shared_cache_that_always_evicts_see_versions_grow);
}
