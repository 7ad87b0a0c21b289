/*
 * G1 and G3, in one process: what was invalidated is not read any more, and a load that began before cannot bring it back.
 * Single-threaded orders first, one test each; then threads that try to break it. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "key", 3

static libcache_stamp begin_load(libcache_ns *ns, const char *key)
{
    libcache_stamp stamp;
    ck_result(libcache_take_stamp(ns, key, strlen(key), &stamp), LIBCACHE_OK);
    return stamp;
}

/* Ends a load whose value carries these tags (NULL: none), by set or by add. */
static int end_load_by(int (*store)(libcache_ns *, const void *, size_t, const void *, size_t,
                                    const libcache_set_options *),
                       libcache_ns *ns, const char *key, const libcache_stamp *stamp, const char *tag)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[3] = { LIBCACHE_STR("first"), LIBCACHE_STR("last"), { NULL, 0 } };

    options.stamp = stamp;
    if (tag) {
        tags[2] = tags[1];
        tags[1] = slice_of(tag);
        options.tags = tags;
        options.n_tags = 3;
    }
    return store(ns, key, strlen(key), "loaded", 6, &options);
}

static int end_load(libcache_ns *ns, const char *key, const libcache_stamp *stamp, const char *tag)
{
    return end_load_by(libcache_set, ns, key, stamp, tag);
}

/* ---- G1: an entry is not given out after ... ------------------------------------------------------------------- */

START_TEST(G1_an_entry_is_not_read_after_what_overtook_it)
{
    struct rig rig;

    rig_up(&rig);
    for (int what = 0; what < 5; what++) {
        ck_result(put_tagged(rig.ns, "key", "old", "tag"), LIBCACHE_OK);
        ck_value(rig.ns, "key", "old");
        if (what == 0)
            ck_result(libcache_delete(rig.ns, KEY, 0), LIBCACHE_OK);
        else if (what == 1)
            ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
        else if (what == 2)
            ck_result(libcache_invalidate_namespace(rig.ns, 0), LIBCACHE_OK);
        else if (what == 3)
            ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
        else
            ck_result(put(rig.ns, "key", "new"), LIBCACHE_OK);
        if (what == 4)
            ck_value(rig.ns, "key", "new");
        else
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    }
    rig_down(&rig);
}
END_TEST

/* ---- G3: a load is fenced by ... ------------------------------------------------------------------------------------ */

START_TEST(G3_a_load_that_nothing_overtook_is_stored)
{
    struct rig rig;
    libcache_stamp stamp;

    rig_up(&rig);
    stamp = begin_load(rig.ns, "key");
    ck_result(end_load(rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_OK); /* a second loader that began at the same time */
    libcache_delete(rig.ns, KEY, 0);
    stamp = begin_load(rig.ns, "key");
    ck_result(end_load_by(libcache_add, rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
    ck_result(end_load_by(libcache_add, rig.ns, "key", &stamp, "tag"), LIBCACHE_EXISTS);
    ck_value(rig.ns, "key", "loaded");
    rig_down(&rig);
}
END_TEST

/* What comes between the beginning and the end of a load, and fences it. */
static void delete_key(struct rig *rig)
{
    ck_result(libcache_delete(rig->ns, KEY, 0), LIBCACHE_OK);
}

static void delete_many_keys(struct rig *rig)
{
    static const libcache_slice keys[2] = { LIBCACHE_STR("other"), LIBCACHE_STR("key") };
    ck_result(libcache_delete_many(rig->ns, keys, 2, NULL, 0), LIBCACHE_OK);
}

static void delete_absent_key(struct rig *rig)
{
    libcache_delete(rig->ns, KEY, 0);
    ck_result(libcache_delete(rig->ns, KEY, 0), LIBCACHE_MISS);
}

static void set_key(struct rig *rig)
{
    ck_result(put(rig->ns, "key", "set"), LIBCACHE_OK);
}

static void set_many_keys(struct rig *rig)
{
    libcache_item item = { .key = LIBCACHE_STR("key"), .value = LIBCACHE_STR("set") };
    ck_result(libcache_set_many(rig->ns, &item, 1), LIBCACHE_OK);
}

static void set_key_negative(struct rig *rig)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    options.flags = LIBCACHE_NEG;
    ck_result(libcache_set(rig->ns, KEY, NULL, 0, &options), LIBCACHE_OK);
}

static void set_key_too_big(struct rig *rig)
{
    static char big[1 << 20];
    ck_result(libcache_set(rig->ns, KEY, big, sizeof big, NULL), LIBCACHE_ETOOBIG);
}

static void invalidate_its_tag(struct rig *rig)
{
    ck_result(invalidate_tag(rig->cache, "tag"), LIBCACHE_OK);
}

static void invalidate_its_last_tag(struct rig *rig)
{
    static const libcache_slice tags[2] = { LIBCACHE_STR("other"), LIBCACHE_STR("last") };
    ck_result(libcache_invalidate_tags(rig->cache, tags, 2, 0), LIBCACHE_OK);
}

static void invalidate_namespace(struct rig *rig)
{
    ck_result(libcache_invalidate_namespace(rig->ns, 0), LIBCACHE_OK);
}

static void invalidate_all(struct rig *rig)
{
    ck_result(libcache_invalidate_all(rig->cache, 0), LIBCACHE_OK);
}

static void set_and_delete_key(struct rig *rig)
{
    set_key(rig);
    delete_key(rig);
}

static void delete_key_256_times(struct rig *rig)
{
    for (int i = 0; i < 256; i++)
        libcache_delete(rig->ns, KEY, 0);
}

static const struct {
    const char *name;
    void (*overtake)(struct rig *rig);
} fences[] = {
    { "delete", delete_key },
    { "delete_many", delete_many_keys },
    { "delete of an absent key", delete_absent_key },
    { "256 deletes", delete_key_256_times },
    { "set", set_key },
    { "set_many", set_many_keys },
    { "set of a negative entry", set_key_negative },
    { "set of a value that is too big", set_key_too_big },
    { "set and delete", set_and_delete_key },
    { "invalidation of its tag", invalidate_its_tag },
    { "invalidation of its last tag", invalidate_its_last_tag },
    { "invalidation of its namespace", invalidate_namespace },
    { "invalidation of all", invalidate_all },
};

START_TEST(G3_a_load_that_was_overtaken_is_not_stored)
{
    for (size_t i = 0; i < sizeof fences / sizeof *fences; i++)
        for (int adding = 0; adding < 2; adding++)
            for (int full = 0; full < 2; full++) {
                struct rig rig;
                libcache_stamp stamp;
                int result, before, after;
                rig_up(&rig);
                put(rig.ns, "key", "old");
                if (!full) /* nothing is there when the load begins: the usual case */
                    libcache_invalidate_all(rig.cache, 0);
                stamp = begin_load(rig.ns, "key");
                if (!full && (fences[i].overtake == delete_key || fences[i].overtake == set_and_delete_key))
                    put(rig.ns, "key", "meanwhile");
                fences[i].overtake(&rig);
                before = look(rig.ns, "key");
                result = end_load_by(adding ? libcache_add : libcache_set, rig.ns, "key", &stamp, "tag");
                after = look(rig.ns, "key");
                ck_assert_msg(result == LIBCACHE_FENCED, "a load that %s overtook ends with %s", fences[i].name,
                              result_name(result));
                ck_assert_msg(before == after, "a fenced load made a %s of a %s after %s", result_name(after),
                              result_name(before), fences[i].name);
                stamp = begin_load(rig.ns, "key");
                libcache_delete(rig.ns, KEY, 0);
                stamp = begin_load(rig.ns, "key"); /* the next load is free */
                ck_result(end_load(rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
                ck_value(rig.ns, "key", "loaded");
                rig_down(&rig);
            }
}
END_TEST

START_TEST(G3_an_explicit_set_or_number_overtakes_a_load_and_stays)
{
    struct rig rig;
    libcache_stamp stamp;

    rig_up(&rig);
    stamp = begin_load(rig.ns, "key");
    put(rig.ns, "key", "set");
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    ck_value(rig.ns, "key", "set");
    libcache_delete(rig.ns, KEY, 0);
    stamp = begin_load(rig.ns, "key");
    ck_result(libcache_add(rig.ns, KEY, "added", 5, NULL), LIBCACHE_OK);
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    ck_value(rig.ns, "key", "added");
    libcache_delete(rig.ns, KEY, 0);
    stamp = begin_load(rig.ns, "key");
    ck_result(libcache_increment(rig.ns, KEY, 5, NULL, NULL), LIBCACHE_OK);
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    ck_value(rig.ns, "key", "5");
    stamp = begin_load(rig.ns, "key");
    ck_result(libcache_increment(rig.ns, KEY, 5, NULL, NULL), LIBCACHE_OK);
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    ck_value(rig.ns, "key", "10");
    rig_down(&rig);
}
END_TEST

START_TEST(G3_a_load_of_a_negative_is_fenced_like_any_other)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;

    rig_up(&rig);
    options.flags = LIBCACHE_NEG;
    options.stamp = &stamp;
    stamp = begin_load(rig.ns, "key");
    ck_result(libcache_set(rig.ns, KEY, NULL, 0, &options), LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_NEGATIVE);
    stamp = begin_load(rig.ns, "key");
    libcache_delete(rig.ns, KEY, 0); /* the row was just inserted at the source */
    ck_result(libcache_set(rig.ns, KEY, NULL, 0, &options), LIBCACHE_FENCED);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(G3_a_load_knows_only_the_tags_it_ends_with)
{
    struct rig rig;
    libcache_stamp stamp;

    rig_up(&rig);
    stamp = begin_load(rig.ns, "key");
    invalidate_tag(rig.cache, "unrelated");
    ck_result(end_load(rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    stamp = begin_load(rig.ns, "key");
    invalidate_tag(rig.cache, "tag");
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    rig_down(&rig);
}
END_TEST

START_TEST(G3_an_entry_keeps_the_stamp_of_its_load)
{
    struct rig rig;
    libcache_stamp stamp;

    /* Stored after an invalidation of another tag: its stamp is older than that, and its own tag's comes later. */
    rig_up(&rig);
    stamp = begin_load(rig.ns, "key");
    for (int i = 0; i < 100; i++)
        invalidate_tag(rig.cache, "unrelated");
    ck_result(end_load(rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    invalidate_tag(rig.cache, "tag");
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

/* ---- What does not fence -------------------------------------------------------------------------------------------- */

START_TEST(a_load_survives_reads_touches_expiry_and_the_load_of_others)
{
    struct rig rig;
    libcache_stamp stamp, other;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    rig_up(&rig);
    options.ttl_ms = 100;
    libcache_set(rig.ns, KEY, "old", 3, &options);
    stamp = begin_load(rig.ns, "key");
    look(rig.ns, "key");
    ck_value(rig.ns, "key", "old");
    ck_result(libcache_touch(rig.ns, KEY, 200, 0), LIBCACHE_OK);
    ck_result(libcache_add(rig.ns, KEY, "added", 5, NULL), LIBCACHE_EXISTS);
    fake_clock_advance(&rig.clock, 200);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    libcache_sweep(rig.cache, 1000, NULL);
    other = begin_load(rig.ns, "key");
    ck_result(end_load(rig.ns, "key", &other, NULL), LIBCACHE_OK);
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    rig_down(&rig);
}
END_TEST

START_TEST(a_load_survives_the_eviction_of_everything)
{
    struct rig rig;
    libcache_stamp stamp, fill;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value into = LIBCACHE_VALUE_INIT;
    static char value[2000];
    char key[16];

    rig_prepare(&rig);
    rig.options.memory_bytes = 256 << 10;
    rig_open(&rig);
    put(rig.ns, "key", "old");
    stamp = begin_load(rig.ns, "key");
    options.stamp = &fill;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%d", i);
        fill = begin_load(rig.ns, key);
        ck_result(libcache_set(rig.ns, key, strlen(key), value, sizeof value, &options), LIBCACHE_OK);
        for (int use = 0; use < 3; use++) /* a worthy successor */
            libcache_get(rig.ns, key, strlen(key), &into, 0);
    }
    libcache_release_value(&into);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_result(end_load(rig.ns, "key", &stamp, "tag"), LIBCACHE_OK);
    ck_value(rig.ns, "key", "loaded");
    rig_down(&rig);
}
END_TEST

START_TEST(a_load_is_seldom_fenced_by_the_delete_of_another_key)
{
    enum { N = 5000 };
    struct rig rig;
    libcache_stamp stamp;
    int fenced = 0;
    char key[16];

    rig_up(&rig);
    for (int i = 0; i < N; i++) {
        stamp = begin_load(rig.ns, "key");
        snprintf(key, sizeof key, "%d", i);
        libcache_delete(rig.ns, key, strlen(key), 0);
        fenced += end_load(rig.ns, "key", &stamp, NULL) == LIBCACHE_FENCED;
    }
    ck_assert_int_lt(fenced, N / 50); /* one of 256 key slots a stripe */
    rig_down(&rig);
}
END_TEST

START_TEST(a_stamp_of_another_cache_stores_nothing)
{
    struct rig one, other;
    libcache_stamp stamp;

    rig_up(&one);
    rig_up(&other);
    stamp = begin_load(other.ns, "key");
    ck_result(end_load(one.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    ck_result(look(one.ns, "key"), LIBCACHE_MISS);
    memset(&stamp, 0, sizeof stamp);
    ck_result(end_load(one.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    rig_down(&one);
    rig_down(&other);
}
END_TEST

START_TEST(a_stamp_of_a_segment_that_was_replaced_stores_nothing)
{
    const char *name = segment_name("stamp");
    struct rig rig;
    libcache_stamp stamp;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_NAMED;
    rig.options.name = name;
    rig_open(&rig);
    stamp = begin_load(rig.ns, "key");
    rig_down(&rig);
    rig_open(&rig); /* the same segment: a load may outlive its process's handle */
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_OK);
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    rig_open(&rig);
    ck_result(end_load(rig.ns, "key", &stamp, NULL), LIBCACHE_FENCED);
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* ---- Threads that try to break it -------------------------------------------------------------------------------- */

/*
 * A database of versioned rows. Writers change a row, then invalidate it; when that has returned, `gone` says that no
 * reader may get a version as old as the one before. Loaders read a row, dawdle, and store what they read.
 */
enum { ROWS = 40, GROUPS = 8, LOADERS = 3, WRITERS = 2, READERS = 2 };

struct row {
    pthread_mutex_t mutex;
    uint64_t version; /* guarded by mutex */
    uint64_t least;   /* atomic: readers that begin now must see this version or a later one */
};

struct arena {
    struct rig rig;
    struct row rows[ROWS];
    int loaders_left;              /* atomic */
    uint64_t stored, fenced, seen; /* atomic */
    char failure[128];
};

struct actor {
    struct arena *arena;
    unsigned number;
};

static void raise_to(uint64_t *word, uint64_t to)
{
    uint64_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (old < to && !__atomic_compare_exchange_n(word, &old, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static size_t row_key(char *text, unsigned row)
{
    return (size_t)snprintf(text, 16, "row:%u", row);
}

static libcache_slice group_tag(char *text, unsigned row)
{
    libcache_slice tag = { text, 0 };
    tag.size = (size_t)snprintf(text, 16, "group:%u", row % GROUPS);
    return tag;
}

static void dawdle(struct dice *dice)
{
    for (volatile unsigned i = (unsigned)dice_below(dice, dice_chance(dice, 10) ? 5000 : 100); i; i = i - 1)
        ;
}

/* One load: OK, FENCED, or what went wrong. */
static int load(struct arena *arena, unsigned row, struct dice *dice)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    char key[16], text[16];
    libcache_slice tag = group_tag(text, row);
    size_t size = row_key(key, row);
    uint64_t version[4];

    libcache_take_stamp(arena->rig.ns, key, size, &stamp);
    pthread_mutex_lock(&arena->rows[row].mutex);
    version[0] = arena->rows[row].version;
    pthread_mutex_unlock(&arena->rows[row].mutex);
    version[1] = version[2] = version[3] = ~version[0];
    if (dice_chance(dice, 30))
        sched_yield(); /* long enough for the writers to be there and gone */
    dawdle(dice);
    options.stamp = &stamp;
    options.tags = &tag;
    options.n_tags = 1;
    return (dice_chance(dice, 80) ? libcache_set : libcache_add)(arena->rig.ns, key, size, version, sizeof version,
                                                                 &options);
}

static void *loader(void *arg)
{
    struct actor *actor = arg;
    struct arena *arena = actor->arena;
    struct dice dice = dice_of(100 + actor->number);

    for (unsigned long n = scaled(20000); n && !arena->failure[0]; n--) {
        int result = load(arena, (unsigned)dice_below(&dice, ROWS), &dice);
        char key[16];
        libcache_touch(arena->rig.ns, key, row_key(key, (unsigned)dice_below(&dice, ROWS)), 0, 0);
        if (result == LIBCACHE_OK)
            __atomic_fetch_add(&arena->stored, 1, __ATOMIC_RELAXED);
        else if (result == LIBCACHE_FENCED)
            __atomic_fetch_add(&arena->fenced, 1, __ATOMIC_RELAXED);
        else if (result != LIBCACHE_EXISTS)
            snprintf(arena->failure, sizeof arena->failure, "a load ends with %s", result_name(result));
    }
    __atomic_fetch_sub(&arena->loaders_left, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Changes some rows of a group, then invalidates them by key, tag, namespace or all. */
static void *writer(void *arg)
{
    struct actor *actor = arg;
    struct arena *arena = actor->arena;
    struct dice dice = dice_of(200 + actor->number);

    while (__atomic_load_n(&arena->loaders_left, __ATOMIC_RELAXED)) {
        unsigned group = (unsigned)dice_below(&dice, GROUPS), how = (unsigned)dice_below(&dice, 100), last = group;
        uint64_t changed[ROWS] = { 0 };
        char key[16], text[16];
        libcache_slice tag;
        int result;
        for (unsigned row = group; row < ROWS; row += GROUPS)
            if (row == group || dice_chance(&dice, 30)) {
                pthread_mutex_lock(&arena->rows[row].mutex);
                changed[row] = ++arena->rows[row].version;
                pthread_mutex_unlock(&arena->rows[row].mutex);
                last = row;
                if (how < 50)
                    break; /* by key: one row */
            }
        tag = group_tag(text, group);
        if (how < 50)
            result = libcache_delete(arena->rig.ns, key, row_key(key, last), 0);
        else if (how < 96)
            result = libcache_invalidate_tags(arena->rig.cache, &tag, 1, 0);
        else if (how < 98)
            result = libcache_invalidate_namespace(arena->rig.ns, 0);
        else
            result = libcache_invalidate_all(arena->rig.cache, 0);
        if (result != LIBCACHE_OK && result != LIBCACHE_MISS)
            snprintf(arena->failure, sizeof arena->failure, "an invalidation gives %s", result_name(result));
        for (unsigned row = group; row < ROWS; row += GROUPS)
            if (changed[row])
                raise_to(&arena->rows[row].least, changed[row]);
        dawdle(&dice);
        if (dice_chance(&dice, 10))
            sched_yield();
    }
    return NULL;
}

static void *reader(void *arg)
{
    struct actor *actor = arg;
    struct arena *arena = actor->arena;
    struct dice dice = dice_of(300 + actor->number);
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t seen = 0;

    while (__atomic_load_n(&arena->loaders_left, __ATOMIC_RELAXED)) {
        unsigned row = (unsigned)dice_below(&dice, ROWS);
        uint64_t least = __atomic_load_n(&arena->rows[row].least, __ATOMIC_SEQ_CST), version[4];
        char key[16];
        int result = libcache_get(arena->rig.ns, key, row_key(key, row), &value, 0);
        if (dice_chance(&dice, 5))
            sched_yield();
        if (result == LIBCACHE_MISS)
            continue;
        if (result != LIBCACHE_HIT || value.size != sizeof version) {
            snprintf(arena->failure, sizeof arena->failure, "a get gives %s of %zu bytes", result_name(result),
                     value.size);
            continue;
        }
        memcpy(version, value.data, sizeof version);
        if (version[1] != ~version[0] || version[2] != ~version[0] || version[3] != ~version[0])
            snprintf(arena->failure, sizeof arena->failure, "a torn value of row %u", row);
        if (version[0] < least)
            snprintf(arena->failure, sizeof arena->failure,
                     "row %u has version %" PRIu64 ", but %" PRIu64 " had been invalidated", row, version[0],
                     least - 1);
        seen++;
    }
    __atomic_fetch_add(&arena->seen, seen, __ATOMIC_RELAXED);
    libcache_release_value(&value);
    return NULL;
}

static void storm(size_t memory_bytes, unsigned stripes)
{
    static struct arena arena;
    pthread_t threads[LOADERS + WRITERS + READERS];
    struct actor actors[LOADERS + WRITERS + READERS];

    memset(&arena, 0, sizeof arena);
    rig_prepare(&arena.rig);
    arena.rig.options.memory_bytes = memory_bytes;
    arena.rig.options.stripes = stripes;
    rig_open(&arena.rig);
    for (int i = 0; i < ROWS; i++)
        pthread_mutex_init(&arena.rows[i].mutex, NULL);
    arena.loaders_left = LOADERS;
    for (unsigned i = 0; i < LOADERS + WRITERS + READERS; i++) {
        actors[i] = (struct actor){ &arena, i };
        ck_assert_int_eq(pthread_create(&threads[i], NULL,
                                        i < LOADERS             ? loader
                                        : i < LOADERS + WRITERS ? writer
                                                                : reader,
                                        &actors[i]),
                         0);
    }
    for (unsigned i = 0; i < LOADERS + WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_msg(!arena.failure[0], "%s (seed %" PRIu64 ")", arena.failure, test_seed());
    printf("%" PRIu64 " loads stored, %" PRIu64 " fenced, %" PRIu64 " values seen\n", arena.stored, arena.fenced,
           arena.seen);
    ck_assert_uint_gt(arena.stored, 0);
    rig_down(&arena.rig);
}

START_TEST(G3_no_reader_ever_sees_a_version_older_than_what_was_invalidated)
{
    storm(4 << 20, 0);
    storm(256 << 10, 1);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "stamps", G1_an_entry_is_not_read_after_what_overtook_it, G3_a_load_that_nothing_overtook_is_stored,
        G3_a_load_that_was_overtaken_is_not_stored, G3_an_explicit_set_or_number_overtakes_a_load_and_stays,
        G3_a_load_of_a_negative_is_fenced_like_any_other, G3_a_load_knows_only_the_tags_it_ends_with,
        G3_an_entry_keeps_the_stamp_of_its_load, a_load_survives_reads_touches_expiry_and_the_load_of_others,
        a_load_survives_the_eviction_of_everything, a_load_is_seldom_fenced_by_the_delete_of_another_key,
        a_stamp_of_another_cache_stores_nothing, a_stamp_of_a_segment_that_was_replaced_stores_nothing,
        G3_no_reader_ever_sees_a_version_older_than_what_was_invalidated);
}
