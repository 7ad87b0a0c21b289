/*
 * Deterministic interleavings: one thread is stopped at a point inside a call, another does something in full, the first
 * goes on. G1, G3 and the reader's rules of lib/l1/read.c, one by one. SPDX-License-Identifier: MIT
 *
 * Nothing here sleeps: who waits, waits for a condition, and fails the test when that does not come within WAIT_SECONDS.
 */
#include "support/support.h"

#include "cache.h"
#include "l1/hint.h"
#include "l1/hook.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 20
#define RESERVE HOOK_POINTS /* one more place to stop at: where the reader asks for memory, its entry found */

/* ---- Actors: threads that stop where they are told -------------------------------------------------------------------- */

struct actor {
    struct rig *rig;
    void (*act)(struct actor *actor);
    const char *key, *text;
    int point, nth; /* stops there, at the nth time */
    int result;
    libcache_value value;
    libcache_stamp stamp;
    unsigned flags;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped, released, ended;
};

static __thread struct actor *self; /* NULL: the test's own thread, which never stops */

/* Waits until *word is set. */
static void await(struct actor *a, const int *word, const int *or_word)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    while (!*word && !(or_word && *or_word))
        if (pthread_cond_timedwait(&a->changed, &a->lock, &until) != 0 && !*word) {
            fprintf(stderr, "an actor did not come or was not released in time\n");
            abort();
        }
}

static void stop_here(int point)
{
    struct actor *a = self;

    if (!a || point != a->point || --a->nth != 0)
        return;
    pthread_mutex_lock(&a->lock);
    a->stopped = 1;
    pthread_cond_broadcast(&a->changed);
    await(a, &a->released, NULL);
    pthread_mutex_unlock(&a->lock);
}

static void at_hook(enum hook_point point)
{
    stop_here((int)point);
}

static void *run_actor(void *arg)
{
    struct actor *a = self = arg;

    a->act(a);
    pthread_mutex_lock(&a->lock);
    a->ended = 1;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Starts an actor and waits until it stops at its point, or ends. 1: it has stopped. */
static int start(struct actor *a)
{
    int stopped;

    hook_function = at_hook;
    a->stopped = a->released = a->ended = 0;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    ck_assert_int_eq(pthread_create(&a->thread, NULL, run_actor, a), 0);
    pthread_mutex_lock(&a->lock);
    await(a, &a->stopped, &a->ended);
    stopped = a->stopped;
    pthread_mutex_unlock(&a->lock);
    return stopped;
}

/* Lets it go on, and waits for its end. */
static void finish(struct actor *a)
{
    pthread_mutex_lock(&a->lock);
    a->released = 1;
    pthread_cond_broadcast(&a->changed);
    await(a, &a->ended, NULL);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
}

/* ---- What actors do ---------------------------------------------------------------------------------------------------------- */

static void *reserve_and_stop(libcache_value *value, size_t size)
{
    value->data = realloc(value->data, size ? size : 1);
    stop_here(RESERVE);
    return value->data;
}

static void act_get(struct actor *a)
{
    memset(&a->value, 0, sizeof a->value);
    a->value.reserve = reserve_and_stop;
    a->result = libcache_get(a->rig->ns, a->key, strlen(a->key), &a->value, a->flags);
}

/* In the half of hit.h that serves small values into memory at hand. */
static void act_get_lean(struct actor *a)
{
    static char text[64];

    memset(&a->value, 0, sizeof a->value);
    a->value.data = text;
    a->value.capacity = sizeof text;
    a->result = libcache_get(a->rig->ns, a->key, strlen(a->key), &a->value, 0);
}

static void act_set(struct actor *a)
{
    a->result = put(a->rig->ns, a->key, a->text);
}

static void act_delete(struct actor *a)
{
    a->result = libcache_delete(a->rig->ns, a->key, strlen(a->key), 0);
}

static void act_increment(struct actor *a)
{
    a->result = libcache_increment(a->rig->ns, a->key, strlen(a->key), 1, NULL, NULL);
}

static void act_invalidate_tag(struct actor *a)
{
    a->result = invalidate_tag(a->rig->cache, a->key);
}

static void act_invalidate_namespace(struct actor *a)
{
    a->result = libcache_invalidate_namespace(a->rig->ns, 0);
}

static void act_invalidate_all(struct actor *a)
{
    a->result = libcache_invalidate_all(a->rig->cache, 0);
}

static int store_load(struct rig *rig, const char *key, const char *text, const char *tag, const libcache_stamp *stamp,
                      int only_absent)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[1] = { slice_of(tag) };

    options.tags = tags;
    options.n_tags = 1;
    options.stamp = stamp;
    return (only_absent ? libcache_add : libcache_set)(rig->ns, key, strlen(key), text, strlen(text), &options);
}

/* Stores what it has loaded, under the tag "tag". */
static void act_store_load(struct actor *a)
{
    a->result = store_load(a->rig, a->key, a->text, "tag", &a->stamp, 0);
}

/* Where a reader may stop: on the quick way through a hit (hit.h), and on the careful one (read.c), which LIBCACHE_TIMES takes. */
static const struct {
    int point;
    unsigned flags;
} read_points[] = { { HOOK_READ_SLOT, 0 }, { RESERVE, 0 }, { HOOK_READ_COPIED, 0 }, { HOOK_READ_SLOT, LIBCACHE_TIMES },
                    { RESERVE, LIBCACHE_TIMES }, { HOOK_READ_COPIED, LIBCACHE_TIMES } };
#define FOR_EACH_READ_POINT(i) for (size_t i = 0; i < sizeof read_points / sizeof *read_points; i++)

static void die_when_buried(enum hook_point point)
{
    if (point == HOOK_BURIED)
        raise(SIGKILL);
}

/* Reads the key until it has a hint. */
static void warm(struct rig *rig, const char *key)
{
    for (int i = 0; i <= USES_MAX; i++) {
        struct actor reader = { .rig = rig, .key = key };
        act_get_lean(&reader);
        ck_result(reader.result, LIBCACHE_HIT);
    }
}

static struct actor reader_at(struct rig *rig, const char *key, size_t i)
{
    return (struct actor){ .rig = rig, .act = act_get, .key = key, .point = read_points[i].point, .flags = read_points[i].flags,
                           .nth = 1 };
}

/* ---- The stage ------------------------------------------------------------------------------------------------------------------ */

/* One small stripe, so that everything meets everything. */
static void stage_up(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.memory_bytes = 384 << 10;
    rig->options.stripes = 1;
    rig->options.max_namespaces = 4;
    rig->options.lock_wait_ms = WAIT_SECONDS * 1000;
    rig_open(rig);
}

static void stage_down(struct rig *rig)
{
    const char *what = NULL;

    ck_assert_msg(l1_check(&rig->cache->l1, &what), "an invariant does not hold: %s", what);
    hook_function = NULL;
    rig_down(rig);
}

static struct shard *shard(struct rig *rig)
{
    return &rig->cache->l1.shards[0];
}

static struct l1_key key_of(struct rig *rig, const char *key)
{
    return l1_key_of(&rig->cache->l1, rig->ns->id, key, strlen(key));
}

/* Where the key's slot is; bucket NULL: nowhere. */
static struct place place_of(struct rig *rig, const struct l1_key *key)
{
    struct sought sought;
    struct entry e;
    unsigned char *p;

    index_seek(shard(rig), key, &sought, &e, &p);
    return sought.place;
}

/* The key's slot word, whichever of its buckets it is in; 0 if there is none. */
static uint64_t slot_of(struct rig *rig, const char *key)
{
    struct l1_key k = key_of(rig, key);
    struct place place = place_of(rig, &k);
    return place.bucket ? place.bucket->slot[place.i] & ~SLOT_GUEST : 0;
}

/* A value of `size` bytes that only this key has. */
static char *long_text(const char *key, size_t size)
{
    char *text = malloc(size + 1);

    for (size_t i = 0; i < size; i += strlen(key))
        snprintf(text + i, size + 1 - i, "%s", key);
    text[size] = 0;
    return text;
}

/* Stores `n` other entries, with values of `size` bytes. */
static void crowd(struct rig *rig, const char *prefix, int n, size_t size)
{
    char key[40];

    for (int i = 0; i < n; i++) {
        char *text;
        snprintf(key, sizeof key, "%s %d", prefix, i);
        text = long_text(key, size);
        ck_result(put(rig->ns, key, text), LIBCACHE_OK);
        free(text);
    }
}

/* Stores `n` other entries that are used, so that they go on to main and push its tail on. */
static void crowd_main(struct rig *rig, const char *prefix, int n)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    char key[48], each[40];

    for (int i = 0; i < n; i++) {
        snprintf(each, sizeof each, "%s %d", prefix, i);
        crowd(rig, each, 1, 500);
        snprintf(key, sizeof key, "%s 0", each);
        for (int k = 0; k < 3; k++)
            ck_result(libcache_get(rig->ns, key, strlen(key), &value, 0), LIBCACHE_HIT);
    }
    libcache_release_value(&value);
}

/* Stores others until the key is gone and its bytes hold something else. */
static void turn_over(struct rig *rig, const char *key)
{
    for (int round = 0; round < 10; round++) {
        char prefix[20];
        snprintf(prefix, sizeof prefix, "turn %d", round);
        crowd_main(rig, prefix, 500);
    }
    ck_result(look(rig->ns, key), LIBCACHE_MISS);
}

static int is_text(const struct actor *a, const char *text)
{
    return a->result == LIBCACHE_HIT && a->value.size == strlen(text) && memcmp(a->value.data, text, a->value.size) == 0;
}

/* ---- A reader, and what happens to its entry meanwhile --------------------------------------------------------------------------- */

START_TEST(a_reader_whose_entry_is_overwritten_gets_the_old_or_the_new_value)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        char *old = long_text("old", 600), *new = long_text("new", 700);
        stage_up(&rig);
        put(rig.ns, "key", old);
        ck_assert(start(&reader));
        ck_result(put(rig.ns, "key", new), LIBCACHE_OK);
        ck_value(rig.ns, "key", new); /* G1: a get that begins now */
        finish(&reader);
        ck_assert_msg(is_text(&reader, old) || is_text(&reader, new), "the reader got %s", result_name(reader.result));
        free(reader.value.data);
        free(old);
        free(new);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_whose_bytes_are_reused_by_other_entries_misses_and_gets_nothing_foreign)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        char *old = long_text("old", 600);
        stage_up(&rig);
        put(rig.ns, "key", old);
        ck_assert(start(&reader));
        turn_over(&rig, "key");
        finish(&reader);
        ck_assert_msg(reader.result == LIBCACHE_MISS, "the reader got %s, \"%.20s\"", result_name(reader.result),
                      (char *)reader.value.data);
        free(reader.value.data);
        free(old);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_whose_bytes_are_reused_finds_the_newer_value_of_its_key)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        char *old = long_text("old", 600);
        stage_up(&rig);
        put(rig.ns, "key", old);
        ck_assert(start(&reader));
        turn_over(&rig, "key");
        put(rig.ns, "key", "new");
        finish(&reader);
        ck_assert_msg(is_text(&reader, "new"), "the reader got %s", result_name(reader.result));
        free(reader.value.data);
        free(old);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_does_not_miss_an_entry_that_moves_to_the_main_ring)
{
    FOR_EACH_READ_POINT(i) {
        int quiet = 0;
        for (int attempt = 0; attempt < 500 && !quiet; attempt++) { /* until nothing but the slot tells the reader */
            struct rig rig;
            struct actor reader = reader_at(&rig, "key", i);
            char *old = long_text("old", 600), prefix[20];
            uint64_t before, after, shape;
            stage_up(&rig);
            crowd(&rig, "first", 1500, 500); /* main is full: from now on only what is used moves */
            put(rig.ns, "key", old);
            for (int n = 0; n < 3; n++)
                ck_value(rig.ns, "key", old);
            before = slot_of(&rig, "key");
            ck_assert_int_eq(slot_ring(before), SMALL);
            shape = shard(&rig)->s->shape;
            ck_assert(start(&reader));
            for (int n = 0; n < 300 && slot_of(&rig, "key") == before; n++) {
                snprintf(prefix, sizeof prefix, "second %d", n);
                crowd(&rig, prefix, 1, 500);
            }
            after = slot_of(&rig, "key");
            ck_assert_int_eq(slot_ring(after), MAIN);
            quiet = slot_dead(shard(&rig), before) && shape == shard(&rig)->s->shape;
            finish(&reader);
            ck_assert_msg(is_text(&reader, old), "the reader got %s", result_name(reader.result));
            free(reader.value.data);
            free(old);
            stage_down(&rig);
        }
        ck_assert(quiet);
    }
}
END_TEST

START_TEST(a_reader_does_not_miss_an_entry_that_is_carried_round_in_the_main_ring)
{
    FOR_EACH_READ_POINT(i) {
        int carried = 0;
        for (size_t more = 0; more < 20 && !carried; more++) { /* a gap that is too small where the ring ends can lose it */
            struct rig rig;
            struct actor reader = reader_at(&rig, "key", i);
            char *old = long_text("old", 600 - 8 * more), prefix[40];
            uint64_t before;
            stage_up(&rig);
            crowd(&rig, "first", 1500, 500); /* main is full of what nobody uses */
            put(rig.ns, "key", old);
            for (int n = 0; n < 200 && slot_ring(slot_of(&rig, "key")) != MAIN; n++) {
                ck_value(rig.ns, "key", old);
                crowd(&rig, "first", 10, 500);
            }
            before = slot_of(&rig, "key");
            ck_assert_int_eq(slot_ring(before), MAIN);
            ck_assert(start(&reader));
            for (int n = 0; n < 1000 && slot_of(&rig, "key") == before; n++) {
                snprintf(prefix, sizeof prefix, "round %d", n);
                ck_value(rig.ns, "key", old);
                crowd_main(&rig, prefix, 10);
            }
            ck_assert(slot_dead(shard(&rig), before));
            carried = slot_ring(slot_of(&rig, "key")) == MAIN;
            finish(&reader);
            ck_assert_msg(is_text(&reader, old) || !carried, "the reader got %s", result_name(reader.result));
            free(reader.value.data);
            free(old);
            stage_down(&rig);
        }
        ck_assert(carried);
    }
}
END_TEST

START_TEST(a_reader_whose_entry_is_deleted_gets_the_old_value_or_misses)
{
    FOR_EACH_READ_POINT(i)
        for (int reused = 0; reused < 2; reused++) {
            struct rig rig;
            struct actor reader = reader_at(&rig, "key", i);
            char *old = long_text("old", 600);
            stage_up(&rig);
            put(rig.ns, "key", old);
            ck_assert(start(&reader));
            ck_result(libcache_delete(rig.ns, "key", 3, 0), LIBCACHE_OK);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            if (reused)
                turn_over(&rig, "key");
            finish(&reader);
            ck_assert_msg(reader.result == LIBCACHE_MISS || (!reused && is_text(&reader, old)), "the reader got %s",
                          result_name(reader.result));
            free(reader.value.data);
            free(old);
            stage_down(&rig);
        }
}
END_TEST

static void reset_stripe(struct rig *rig)
{
    struct shard sh = shard_now(&rig->cache->l1, 0);

    ck_result(stripe_lock(&sh, 0), LIBCACHE_OK);
    stripe_reset(&sh);
    stripe_unlock(&sh);
}

START_TEST(a_reader_whose_stripe_is_reset_gets_the_old_value_or_misses)
{
    FOR_EACH_READ_POINT(i)
        for (int reused = 0; reused < 2; reused++) {
            struct rig rig;
            struct actor reader = reader_at(&rig, "key", i);
            char *old = long_text("old", 600);
            stage_up(&rig);
            put(rig.ns, "key", old);
            ck_assert(start(&reader));
            reset_stripe(&rig);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            if (reused)
                turn_over(&rig, "key");
            finish(&reader);
            ck_assert_msg(reader.result == LIBCACHE_MISS || (!reused && is_text(&reader, old)), "the reader got %s",
                          result_name(reader.result));
            free(reader.value.data);
            free(old);
            stage_down(&rig);
        }
}
END_TEST

/* Offsets near their end: the next lock but a few resets the stripe, and they begin anew. */
static void wear_out(struct rig *rig)
{
    struct stripe *s = shard(rig)->s;

    for (int r = SMALL; r <= MAIN; r++) {
        unsigned shift = shard(rig)->lap_shift;
        uint64_t lap = (OFFSET_MAX / 16 * 15 >> shift) - (r == MAIN);
        s->tail[r] = s->ring[r].head = (lap << shift) + shard(rig)->begin[r];
    }
}

START_TEST(a_reader_that_begins_in_the_middle_of_a_reset_is_not_fooled_by_offsets_that_begin_anew)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor writer = { .rig = &rig, .act = act_set, .key = "other", .text = "x", .point = HOOK_RESET, .nth = 1 };
        struct actor reader = reader_at(&rig, "key", i);
        char *old = long_text("old", 600);
        stage_up(&rig);
        wear_out(&rig);
        put(rig.ns, "key", old);
        ck_assert(start(&writer)); /* tails are low again, the old slots still there */
        ck_assert(start(&reader));
        finish(&writer);
        crowd(&rig, "new", 10, 500); /* where the old ones were */
        finish(&reader);
        ck_assert_msg(reader.result == LIBCACHE_MISS, "the reader got %s", result_name(reader.result));
        free(reader.value.data);
        free(old);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_is_not_fooled_by_offsets_that_begin_anew)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        char *old = long_text("old", 600);
        uint64_t before;
        stage_up(&rig);
        wear_out(&rig);
        put(rig.ns, "key", old); /* the last before the wear is seen */
        before = slot_offset(slot_of(&rig, "key"));
        ck_assert_uint_gt(before, OFFSET_MAX / 2);
        ck_assert(start(&reader));
        crowd(&rig, "new", 20, 500);
        ck_assert_uint_lt(slot_offset(slot_of(&rig, "new 19")), before);
        finish(&reader);
        ck_assert_msg(reader.result == LIBCACHE_MISS, "the reader got %s, \"%.20s\"", result_name(reader.result),
                      (char *)reader.value.data);
        free(reader.value.data);
        free(old);
        stage_down(&rig);
    }
}
END_TEST

/* Deletes an entry of this bucket; returns the slot that is free now. */
static int free_one(struct rig *rig, struct bucket *b)
{
    char key[40];

    for (int i = 0; i < 600; i++) {
        struct l1_key k;
        struct place place;
        snprintf(key, sizeof key, "first %d", i);
        k = key_of(rig, key);
        place = place_of(rig, &k);
        if (place.bucket == b) {
            ck_result(libcache_delete(rig->ns, key, strlen(key), 0), LIBCACHE_OK);
            return place.i;
        }
    }
    ck_abort_msg("the bucket is empty");
}

/*
 * A ghost in the key's first bucket, with the key's tag, is where the reader stops: between its looks at the two buckets.
 * Meanwhile the key's slot moves out of the second bucket.
 */
START_TEST(a_reader_between_two_buckets_does_not_miss_an_entry_that_a_split_moves)
{
    struct rig rig;
    struct actor reader = { 0 };
    struct bucket *first = NULL, *second = NULL;
    struct place place = { NULL, 0 };
    struct l1_key k;
    char key[40] = "";

    stage_up(&rig);
    crowd(&rig, "first", 600, 40);
    for (int i = 0; i < 600 && !place.bucket; i++) {
        uint32_t n = shape_buckets(shard(&rig)->s->shape), at;
        snprintf(key, sizeof key, "first %d", i);
        k = key_of(&rig, key);
        at = bucket_of(hash_second(k.hash), shape_with(0, n));
        first = index_bucket(shard(&rig), bucket_of(hash_first(k.hash), shape_with(0, n)));
        second = index_bucket(shard(&rig), at);
        place = place_of(&rig, &k);
        /* in its second bucket, and out of it when there are twice as many */
        if (first == second || place.bucket != second || bucket_of(hash_second(k.hash), shape_with(0, 2 * n)) == at)
            place.bucket = NULL;
    }
    ck_assert_ptr_nonnull(place.bucket);
    first->slot[free_one(&rig, first)] = slot_make(k.hash, SMALL, 8);
    reader = reader_at(&rig, key, 3);
    ck_assert(start(&reader));
    crowd(&rig, "more", 1000, 40);
    ck_assert_ptr_ne(place_of(&rig, &k).bucket, second);
    ck_result(look(rig.ns, key), LIBCACHE_HIT);
    finish(&reader);
    ck_assert_msg(reader.result == LIBCACHE_HIT, "the reader got %s", result_name(reader.result));
    ck_assert_uint_eq(reader.value.size, 40);
    ck_assert_int_eq(memcmp(reader.value.data, key, strlen(key)), 0);
    free(reader.value.data);
    stage_down(&rig);
}
END_TEST

/* The same, but a native comes to the second bucket and its guest is sent home: nothing but that tells the reader. */
START_TEST(a_reader_between_two_buckets_does_not_miss_a_guest_that_goes_home)
{
    struct rig rig;
    struct actor reader = { 0 };
    struct bucket *first = NULL, *second = NULL;
    struct place place = { NULL, 0 };
    struct sought native = { 0 };
    struct shard sh;
    struct l1_key k;
    char key[40] = "";
    uint32_t n;

    stage_up(&rig);
    crowd(&rig, "first", 600, 40);
    n = shape_buckets(shard(&rig)->s->shape);
    for (int i = 0; i < 600 && !place.bucket; i++) {
        int alive = 0, at_home = 0;
        snprintf(key, sizeof key, "first %d", i);
        k = key_of(&rig, key);
        first = index_bucket(shard(&rig), bucket_of(hash_first(k.hash), shape_with(0, n)));
        second = index_bucket(shard(&rig), bucket_of(hash_second(k.hash), shape_with(0, n)));
        place = place_of(&rig, &k);
        for (int j = 0; j < BUCKET_SLOTS; j++) {
            alive += !slot_dead(shard(&rig), second->slot[j]);
            at_home += !slot_dead(shard(&rig), first->slot[j]);
        }
        if (first == second || place.bucket != second || alive < BUCKET_SLOTS || at_home < 2) /* two are to go */
            place.bucket = NULL;
    }
    ck_assert_ptr_nonnull(place.bucket);
    first->slot[free_one(&rig, first)] = slot_make(k.hash, SMALL, 8);
    free_one(&rig, first); /* where it will go */
    reader = reader_at(&rig, key, 3);
    ck_assert(start(&reader));
    sh = *shard(&rig);
    sh.now = l1_now(sh.l1);
    ck_result(stripe_lock(&sh, 0), LIBCACHE_OK);
    native.pair = (struct pair){ { second, second } };
    native.shape = sh.s->shape;
    while (place_of(&rig, &k).bucket == second) {
        place = index_take_place(&sh, &native);
        ck_assert_ptr_eq(place.bucket, second);
        index_publish(place, slot_make(0, SMALL, sh.s->tail[SMALL])); /* taken, as by the native */
    }
    for (int j = 0; j < BUCKET_SLOTS; j++)
        if (second->slot[j] == slot_make(0, SMALL, sh.s->tail[SMALL]))
            second->slot[j] = 0;
    stripe_unlock(&sh);
    ck_assert_ptr_eq(place_of(&rig, &k).bucket, first);
    ck_assert_uint_eq(shape_buckets(sh.s->shape), n);
    finish(&reader);
    ck_assert_msg(reader.result == LIBCACHE_HIT, "the reader got %s", result_name(reader.result));
    ck_assert_int_eq(memcmp(reader.value.data, key, strlen(key)), 0);
    free(reader.value.data);
    stage_down(&rig);
}
END_TEST

/*
 * The reader has chosen its bucket by the shape that the process saw last, when the index grows, its entry leaves that
 * bucket, and another reader sees the new shape for the process: the first one must not take that for the one it began with.
 */
START_TEST(a_reader_that_chose_its_bucket_before_a_split_that_others_saw_does_not_miss)
{
    void (*const acts[])(struct actor *) = { act_get, act_get_lean };

    for (int i = 0; i < 2; i++) {
        struct rig rig;
        struct actor reader;
        struct bucket *first = NULL;
        struct place place = { NULL, 0 };
        struct quick *quick;
        struct l1_key k;
        char key[40] = "";
        stage_up(&rig);
        quick = &rig.cache->l1.quick[0];
        crowd(&rig, "first", 600, 40);
        for (int j = 0; j < 600 && !place.bucket; j++) {
            uint32_t n = shape_buckets(shard(&rig)->s->shape), at;
            snprintf(key, sizeof key, "first %d", j);
            k = key_of(&rig, key);
            at = bucket_of(hash_first(k.hash), shape_with(0, n));
            first = index_bucket(shard(&rig), at);
            place = place_of(&rig, &k);
            /* in its first bucket, and out of it when there are twice as many */
            if (place.bucket != first || bucket_of(hash_first(k.hash), shape_with(0, 2 * n)) == at ||
                bucket_of(hash_second(k.hash), shape_with(0, 2 * n)) == at)
                place.bucket = NULL;
        }
        ck_assert_ptr_nonnull(place.bucket);
        quick_refresh(quick, shard(&rig));
        reader = (struct actor){ .rig = &rig, .act = acts[i], .key = key, .point = HOOK_READ_BUCKET, .nth = 1 };
        ck_assert(start(&reader));
        crowd(&rig, "more", 1000, 40);
        ck_assert_ptr_ne(place_of(&rig, &k).bucket, first);
        ck_result(look(rig.ns, key), LIBCACHE_HIT);
        quick_refresh(quick, shard(&rig));
        ck_assert_uint_eq(quick->shape, shard(&rig)->s->shape);
        finish(&reader);
        ck_assert_msg(reader.result == LIBCACHE_HIT, "the reader got %s", result_name(reader.result));
        ck_assert_uint_eq(reader.value.size, 40);
        ck_assert_int_eq(memcmp(reader.value.data, key, strlen(key)), 0);
        if (acts[i] == act_get)
            free(reader.value.data);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_that_has_read_the_slot_goes_on_through_a_split)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        uint32_t before;
        stage_up(&rig);
        put(rig.ns, "key", "value");
        before = shape_buckets(shard(&rig)->s->shape);
        ck_assert(start(&reader));
        crowd(&rig, "more", 300, 40);
        ck_assert_uint_gt(shape_buckets(shard(&rig)->s->shape), 2 * before);
        finish(&reader);
        ck_assert_msg(is_text(&reader, "value"), "the reader got %s", result_name(reader.result));
        free(reader.value.data);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_of_a_number_that_is_counted_up_and_moved_gets_a_number_that_it_had)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "n", i);
        stage_up(&rig);
        ck_result(libcache_increment(rig.ns, "n", 1, 99, NULL, NULL), LIBCACHE_OK);
        ck_assert(start(&reader));
        ck_result(libcache_increment(rig.ns, "n", 1, 1, NULL, NULL), LIBCACHE_OK); /* one digit longer */
        crowd(&rig, "first", 150, 500); /* in the filling everything moves to main */
        ck_assert_int_eq(slot_ring(slot_of(&rig, "n")), MAIN);
        ck_result(libcache_increment(rig.ns, "n", 1, 1, NULL, NULL), LIBCACHE_OK);
        finish(&reader);
        ck_assert_msg(is_text(&reader, "99") || is_text(&reader, "100") || is_text(&reader, "101"), "the reader got %s %.*s",
                      result_name(reader.result), (int)reader.value.size, (char *)reader.value.data);
        free(reader.value.data);
        stage_down(&rig);
    }
}
END_TEST

/* ---- Losing every race ----------------------------------------------------------------------------------------------------------- */

static struct rig *racing_rig;
static int races;

/* In the reader's own thread, which holds nothing: takes away the bytes that it has just copied. */
static void spoil(enum hook_point point)
{
    static int busy;

    if (point != HOOK_READ_COPIED || busy || races == 0)
        return;
    busy = 1;
    races--;
    turn_over(racing_rig, "key");
    put(racing_rig->ns, "key", races ? "not yet" : "last");
    busy = 0;
}

START_TEST(a_reader_that_loses_race_after_race_takes_the_lock)
{
    for (int lost = 16; lost <= 17; lost++) { /* the quick look, and 16 more */
        struct rig rig;
        libcache_stats stats = LIBCACHE_STATS_INIT;
        libcache_value value = LIBCACHE_VALUE_INIT;
        stage_up(&rig);
        put(rig.ns, "key", "first");
        ck_result(libcache_get(rig.ns, "key", 3, &value, 0), LIBCACHE_HIT); /* memory for the value: the quick look copies */
        racing_rig = &rig;
        races = lost;
        hook_function = spoil;
        ck_result(libcache_get(rig.ns, "key", 3, &value, 0), LIBCACHE_HIT);
        hook_function = NULL;
        ck_assert_int_eq(races, 0);
        ck_assert_int_eq(memcmp(value.data, "last", 4), 0);
        ck_result(libcache_read_stats(rig.cache, &stats), LIBCACHE_OK);
        ck_assert_uint_eq(stats.lock_fallbacks, lost == 17);
        libcache_release_value(&value);
        stage_down(&rig);
    }
}
END_TEST

START_TEST(who_may_not_wait_reads_and_invalidates_while_a_writer_holds_the_lock)
{
    struct rig rig;
    struct actor writer = { .rig = &rig, .act = act_set, .key = "other", .text = "x", .point = HOOK_LOCKED, .nth = 1 };
    libcache_value value = LIBCACHE_VALUE_INIT;

    stage_up(&rig);
    put(rig.ns, "key", "value");
    ck_assert(start(&writer));
    ck_result(libcache_get(rig.ns, "key", 3, &value, LIBCACHE_NO_WAIT), LIBCACHE_HIT); /* readers need no lock */
    ck_result(libcache_delete(rig.ns, "key", 3, LIBCACHE_NO_WAIT), LIBCACHE_EBUSY);
    ck_result(libcache_invalidate_namespace(rig.ns, LIBCACHE_NO_WAIT), LIBCACHE_OK); /* marks have their own lock */
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    finish(&writer);
    libcache_release_value(&value);
    stage_down(&rig);
}
END_TEST

/* ---- A writer stopped anywhere, and what readers see -------------------------------------------------------------------------------- */

START_TEST(readers_see_the_old_value_until_the_slot_is_published_and_the_new_one_from_then_on)
{
    static const struct {
        int point;
        const char *seen;
    } steps[] = { { HOOK_LOCKED, "old" }, { HOOK_BYTES_WRITTEN, "old" }, { HOOK_HEAD_ADVANCED, "old" }, { HOOK_PUBLISHED, "new" } };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct rig rig;
        struct actor writer = { .rig = &rig, .act = act_set, .key = "key", .text = "new", .point = steps[i].point, .nth = 1 };
        stage_up(&rig);
        put(rig.ns, "key", "old");
        ck_assert(start(&writer));
        ck_value(rig.ns, "key", steps[i].seen);
        ck_result(libcache_set(rig.ns, "key", 3, "x", 1, &(libcache_set_options){ .struct_size = sizeof(libcache_set_options),
                                                                                 .flags = LIBCACHE_NO_WAIT }), LIBCACHE_EBUSY);
        finish(&writer);
        ck_result(writer.result, LIBCACHE_OK);
        ck_value(rig.ns, "key", "new"); /* G1 */
        stage_down(&rig);
    }
}
END_TEST

/* With memory at hand: the reader may follow a hint. */
static void ck_text(struct rig *rig, const char *key, const char *text)
{
    struct actor reader = { .rig = rig, .key = key };

    act_get_lean(&reader);
    ck_assert_msg(is_text(&reader, text), "the reader got %s", result_name(reader.result));
}

static int read_key(struct rig *rig, const char *key)
{
    struct actor reader = { .rig = rig, .key = key };

    act_get_lean(&reader);
    return reader.result;
}

/* The value that a reader without a hint is given. */
static void ck_value_by_bucket(struct rig *rig, const char *key, const char *value)
{
    uint64_t *hint = hint_of(rig->cache->l1.hints, rig->cache->l1.hint_mask, key_of(rig, key).hash), before = *hint;

    *hint = 0;
    ck_text(rig, key, value);
    *hint = before;
}

START_TEST(readers_with_a_hint_and_without_see_the_same_wherever_a_writer_is_stopped)
{
    static const struct {
        int point;
        const char *seen;
    } steps[] = { { HOOK_HEAD_ADVANCED, "old" }, { HOOK_BURIED, "old" }, { HOOK_PUBLISHED, "new" } };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct rig rig;
        struct actor writer = { .rig = &rig, .act = act_set, .key = "key", .text = "new", .point = steps[i].point, .nth = 1 };
        stage_up(&rig);
        put(rig.ns, "key", "old");
        warm(&rig, "key");
        ck_assert(start(&writer));
        ck_text(&rig, "key", steps[i].seen);
        ck_value_by_bucket(&rig, "key", steps[i].seen);
        ck_text(&rig, "key", steps[i].seen);
        finish(&writer);
        ck_text(&rig, "key", "new");
        stage_down(&rig);
    }
}
END_TEST

START_TEST(a_reader_with_a_hint_does_not_see_a_deleted_entry_that_others_miss)
{
    static const int points[] = { HOOK_BURIED, HOOK_DELETED };

    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct rig rig;
        struct actor writer = { .rig = &rig, .act = act_delete, .key = "key", .point = points[i], .nth = 1 };
        stage_up(&rig);
        put(rig.ns, "key", "value");
        warm(&rig, "key");
        ck_assert(start(&writer));
        ck_result(read_key(&rig, "key"), points[i] == HOOK_BURIED ? LIBCACHE_HIT : LIBCACHE_MISS);
        finish(&writer);
        ck_result(read_key(&rig, "key"), LIBCACHE_MISS);
        stage_down(&rig);
    }
}
END_TEST

/* What a reader who has read a hint may see when he goes on. */
START_TEST(a_reader_who_stopped_at_his_hint_gets_what_the_entry_says_when_he_goes_on)
{
    enum { SET, DELETE, MOVE, RESET, CASES };

    for (int i = 0; i < CASES; i++) {
        struct rig rig;
        struct actor reader = { .rig = &rig, .act = act_get_lean, .key = "key", .point = HOOK_READ_HINT, .nth = 1 };
        stage_up(&rig);
        put(rig.ns, "key", "old");
        warm(&rig, "key");
        ck_assert(start(&reader));
        if (i == SET)
            ck_result(put(rig.ns, "key", "new"), LIBCACHE_OK);
        else if (i == DELETE)
            ck_result(libcache_delete(rig.ns, "key", 3, 0), LIBCACHE_OK);
        else if (i == MOVE)
            turn_over(&rig, "key");
        else
            stripe_reset(shard(&rig));
        finish(&reader);
        if (i == SET)
            ck_assert_msg(is_text(&reader, "new"), "the reader got %s", result_name(reader.result));
        else
            ck_assert_msg(reader.result == LIBCACHE_MISS, "the reader got %s", result_name(reader.result));
        stage_down(&rig);
    }
}
END_TEST

/*
 * Offsets begin anew, and where the key's entry was lies now, within another's value, what looks like an entry of the key. Only the era
 * tells that the hint is of another time.
 */
START_TEST(a_hint_of_before_offsets_began_anew_is_not_believed)
{
    struct rig rig;
    unsigned char forged[4096];
    uint64_t word[3], offset;
    struct l1_key k;

    stage_up(&rig);
    put(rig.ns, "first", "filler");
    put(rig.ns, "key", "true");
    warm(&rig, "key");
    k = key_of(&rig, "key");
    offset = slot_offset(*hint_of(rig.cache->l1.hints, rig.cache->l1.hint_mask, k.hash));
    word[0] = entry_what(5, 3, 0, rig.ns->id, 0);
    word[1] = 0;
    word[2] = UINT64_MAX << 16;
    memset(forged, 0, sizeof forged);
    for (size_t at = 0; at + 32 <= sizeof forged; at += 32) {
        memcpy(forged + at, word, 24);
        memcpy(forged + at + 24, "keyfalse", 8);
    }
    for (size_t shift = 0; shift < 32; shift += 8) { /* one of them lies where the key's entry was */
        wear_out(&rig);
        put(rig.ns, "last", "before the wear is seen");
        ck_result(libcache_set(rig.ns, "otherkey", 8, forged + shift, sizeof forged - 32, NULL), LIBCACHE_OK);
        ck_assert_uint_lt(slot_offset(slot_of(&rig, "otherkey")), offset);
        ck_result(read_key(&rig, "key"), LIBCACHE_MISS);
    }
    stage_down(&rig);
}
END_TEST

static void replace_it(struct rig *rig)
{
    put(rig->ns, "key", "new");
}

/* A child does this and dies at a hook. */
static void die_at(struct rig *rig, void (*hook)(enum hook_point), void (*act)(struct rig *))
{
    int went = 0;
    pid_t pid = fork();

    if (pid == 0) {
        hook_function = hook;
        act(rig);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &went, 0), pid);
    ck_assert(WIFSIGNALED(went) && WTERMSIG(went) == SIGKILL);
}

/* As stage_up, for processes. */
static void stage_up_shared(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_SHARED;
    rig->options.memory_bytes = 384 << 10;
    rig->options.stripes = 1;
    rig_open(rig);
}

START_TEST(who_takes_the_lock_over_digs_out_what_its_slot_still_leads_to)
{
    struct rig rig;
    struct l1_key k;
    struct place place;
    libcache_stats stats;

    stage_up_shared(&rig);
    put(rig.ns, "key", "old");
    warm(&rig, "key");
    die_at(&rig, die_when_buried, replace_it);
    k = key_of(&rig, "key");
    place = place_of(&rig, &k);
    ck_assert(*(uint64_t *)(void *)ring_at(shard(&rig), slot_offset(place.bucket->slot[place.i])) >> 60 & ENTRY_BURIED);
    ck_value(rig.ns, "key", "old");
    put(rig.ns, "other", "value"); /* takes the lock over */
    ck_value(rig.ns, "key", "old");
    ck_assert_uint_eq(*(uint64_t *)(void *)ring_at(shard(&rig), slot_offset(place.bucket->slot[place.i])) >> 60, 0);
    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.owner_deaths, 1);
    ck_assert_uint_eq(stats.resets, 0);
    ck_assert_uint_eq(stats.entries, 2);
    stage_down(&rig);
}
END_TEST

static struct rig *moving; /* dies when its "key" has moved, and the tail is still to pass over where it was */

static void die_when_moved(enum hook_point point)
{
    if (point == HOOK_SURVIVOR && slot_ring(slot_of(moving, "key")) == MAIN)
        raise(SIGKILL);
}

static void crowd_again(struct rig *rig)
{
    crowd(rig, "second", 1500, 500);
}

START_TEST(where_an_entry_was_before_it_moved_is_not_believed_though_the_tail_has_not_passed)
{
    struct rig rig;
    uint64_t before;

    stage_up_shared(&rig);
    crowd(&rig, "first", 1500, 500); /* main is full: from now on only what is used moves */
    put(rig.ns, "key", "old");
    warm(&rig, "key");
    before = slot_of(&rig, "key");
    ck_assert_int_eq(slot_ring(before), SMALL);
    moving = &rig;
    die_at(&rig, die_when_moved, crowd_again);
    ck_assert(slot_of(&rig, "key") != before && !slot_dead(shard(&rig), before));
    ck_result(libcache_delete(rig.ns, "key", 3, 0), LIBCACHE_OK);
    ck_assert(!slot_dead(shard(&rig), before)); /* nothing but the entry itself says so */
    ck_result(read_key(&rig, "key"), LIBCACHE_MISS);
    stage_down(&rig);
}
END_TEST

/* The last user lets go in good order, but has not met the lock whose owner died. */
START_TEST(who_adopts_a_segment_digs_out_what_a_dead_owner_of_a_lock_buried)
{
    struct rig rig;
    const char *name = segment_name("buried"), *what = NULL;
    libcache_stats stats;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_NAMED;
    rig.options.name = name;
    rig.options.stripes = 1;
    rig_open(&rig);
    put(rig.ns, "key", "old");
    die_at(&rig, die_when_buried, replace_it);
    libcache_close(rig.cache);
    rig_open(&rig);
    ck_assert_msg(l1_check(&rig.cache->l1, &what), "%s", what);
    ck_value(rig.ns, "key", "old");
    stats = rig_stats(&rig);
    ck_assert_uint_eq(stats.entries, 1);
    ck_assert_uint_eq(stats.resets, 0);
    stage_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(a_deleted_entry_is_not_seen_once_its_slot_is_cleared)
{
    struct rig rig;
    struct actor writer = { .rig = &rig, .act = act_delete, .key = "key", .point = HOOK_DELETED, .nth = 1 };

    stage_up(&rig);
    put(rig.ns, "key", "value");
    ck_assert(start(&writer));
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    finish(&writer);
    ck_result(writer.result, LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    stage_down(&rig);
}
END_TEST

/* A thread that stores many, so that it comes by the rare points. */
static void act_crowd(struct actor *a)
{
    crowd(a->rig, a->key, 400, (size_t)a->result);
}

enum { WATCHED = 400 };

static int hits(struct rig *rig, unsigned char *hit)
{
    char key[40];
    int n = 0;

    for (int i = 0; i < WATCHED; i++) {
        snprintf(key, sizeof key, "watched %d", i);
        hit[i] = look(rig->ns, key) == LIBCACHE_HIT;
        n += hit[i];
    }
    return n;
}

START_TEST(while_a_writer_is_stopped_anywhere_every_entry_that_stays_can_be_read)
{
    static const int points[] = { HOOK_WRAPPING, HOOK_TAIL, HOOK_SURVIVOR, HOOK_SPLIT_MARKED, HOOK_SPLIT_COPIED,
                                  HOOK_SPLIT_PUBLISHED, HOOK_HEAD_ADVANCED, HOOK_PUBLISHED };

    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        for (int nth = 1; nth < 40; nth += 6) {
            unsigned char before[WATCHED], during[WATCHED], after[WATCHED];
            struct actor writer = { .act = act_crowd, .key = "crowd", .point = points[i], .nth = nth, .result = 50 + nth * 10 };
            struct rig rig;
            int seen;
            stage_up(&rig);
            writer.rig = &rig;
            crowd(&rig, "watched", WATCHED, 450);
            ck_assert_int_gt(hits(&rig, before), 0);
            if (start(&writer)) {
                seen = hits(&rig, during);
                finish(&writer);
                hits(&rig, after);
                for (int k = 0; k < WATCHED; k++)
                    ck_assert_msg(during[k] || !before[k] || !after[k], "entry %d of %d is missed at point %d", k, seen,
                                  points[i]);
            } else {
                ck_assert_int_gt(nth, 1); /* rare points do not come so often */
                finish(&writer);
            }
            stage_down(&rig);
        }
}
END_TEST

START_TEST(readers_of_a_stripe_that_is_being_reset_miss_or_get_the_right_value)
{
    struct rig rig;
    struct actor writer = { .rig = &rig, .act = act_set, .key = "other", .text = "x", .point = HOOK_RESET, .nth = 1 };
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result;

    stage_up(&rig);
    put(rig.ns, "key", "value");
    shard(&rig)->s->ring[SMALL].head = shard(&rig)->s->tail[SMALL] = OFFSET_MAX / 16 * 15 + 8; /* worn out */
    ck_assert(start(&writer));
    result = libcache_get(rig.ns, "key", 3, &value, 0);
    ck_assert(result == LIBCACHE_MISS || (value.size == 5 && memcmp(value.data, "value", 5) == 0));
    finish(&writer);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    ck_value(rig.ns, "other", "x");
    libcache_release_value(&value);
    stage_down(&rig);
}
END_TEST

/* ---- G1: invalidations ------------------------------------------------------------------------------------------------------------------ */

static void (*const invalidations[])(struct actor *) = { act_invalidate_tag, act_invalidate_namespace, act_invalidate_all };

START_TEST(what_was_invalidated_is_not_served_once_the_call_has_returned)
{
    for (int i = 0; i < 3; i++)
        for (int again = 0; again < 2; again++) { /* the mark is new, or one is raised */
            struct rig rig;
            struct actor other = { .rig = &rig, .act = invalidations[i], .key = "tag", .point = HOOK_POSITION, .nth = 1 };
            stage_up(&rig);
            if (again)
                other.nth = 0, start(&other), finish(&other), other.nth = 1;
            put_tagged(rig.ns, "key", "value", "tag");
            put_tagged(rig.ns, "apart", "value", "another tag");
            ck_assert(start(&other));
            look(rig.ns, "key"); /* either is right now */
            put_tagged(rig.ns, "newer", "value", "tag");
            ck_result(look(rig.ns, "newer"), LIBCACHE_HIT);
            finish(&other);
            ck_result(other.result, LIBCACHE_OK);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            ck_result(look(rig.ns, "apart"), i == 0 ? LIBCACHE_HIT : LIBCACHE_MISS);
            put_tagged(rig.ns, "key", "again", "tag");
            ck_value(rig.ns, "key", "again");
            stage_down(&rig);
        }
}
END_TEST

/* Tags that share a set of the table of marks. */
static void tags_of_one_set(struct rig *rig, char tags[][40], int n)
{
    struct mark_set *set = NULL;

    for (int i = 0, found = 0; found < n; i++) {
        struct mark_set *its;
        snprintf(tags[found], 40, "tag %d", i);
        its = marks_set(&rig->cache->l1, libcache_hash_tag(tags[found], strlen(tags[found])));
        if (!set)
            set = its;
        found += its == set;
    }
}

START_TEST(while_a_mark_is_replaced_no_reader_is_given_what_it_had_invalidated)
{
    struct rig rig;
    char tags[6][40];
    struct actor other = { .rig = &rig, .act = act_invalidate_tag, .point = HOOK_MARK_CLEARED, .nth = 1 };

    stage_up(&rig);
    tags_of_one_set(&rig, tags, 6);
    for (int i = 0; i < 6; i++)
        put_tagged(rig.ns, tags[i], "value", tags[i]);
    for (int i = 0; i < MARK_WAYS; i++) {
        ck_result(invalidate_tag(rig.cache, tags[i]), LIBCACHE_OK);
        for (int k = 0; k < 6; k++)
            ck_result(look(rig.ns, tags[k]), k <= i ? LIBCACHE_MISS : LIBCACHE_HIT); /* exact while there is room */
    }
    put_tagged(rig.ns, "newer", "value", tags[0]);
    for (int next = MARK_WAYS; next < 6; next++) {
        other.key = tags[next];
        other.nth = 1;
        ck_assert(start(&other)); /* the oldest mark is gone, the new one not yet there */
        for (int k = 0; k < next; k++)
            ck_result(look(rig.ns, tags[k]), LIBCACHE_MISS);
        ck_result(look(rig.ns, "newer"), LIBCACHE_HIT);
        finish(&other);
        for (int k = 0; k <= next; k++)
            ck_result(look(rig.ns, tags[k]), LIBCACHE_MISS);
        ck_result(look(rig.ns, "newer"), LIBCACHE_HIT);
    }
    ck_result(invalidate_tag(rig.cache, tags[0]), LIBCACHE_OK);
    ck_result(look(rig.ns, "newer"), LIBCACHE_MISS);
    stage_down(&rig);
}
END_TEST

START_TEST(a_reader_that_found_its_entry_before_an_invalidation_leaves_nothing_for_those_who_come_after)
{
    FOR_EACH_READ_POINT(i) {
        struct rig rig;
        struct actor reader = reader_at(&rig, "key", i);
        stage_up(&rig);
        put_tagged(rig.ns, "key", "value", "tag");
        ck_assert(start(&reader));
        ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        finish(&reader);
        ck_assert(reader.result == LIBCACHE_MISS || is_text(&reader, "value"));
        if (read_points[i].point == HOOK_READ_SLOT) /* marks are looked at after the slot */
            ck_result(reader.result, LIBCACHE_MISS);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        free(reader.value.data);
        stage_down(&rig);
    }
}
END_TEST

/* ---- G3: slow loads --------------------------------------------------------------------------------------------------------------------------- */

enum change { DELETE, SET, INCREMENT, TAG, NAMESPACE, ALL, CHANGES };

static void change(struct rig *rig, enum change what)
{
    int64_t number;

    switch (what) {
    case DELETE: ck_assert_int_ge(libcache_delete(rig->ns, "key", 3, 0), 0); break;
    case SET: ck_result(put(rig->ns, "key", "7"), LIBCACHE_OK); break;
    case INCREMENT: ck_result(libcache_increment(rig->ns, "key", 3, 1, NULL, &number), LIBCACHE_OK); break;
    case TAG: ck_result(invalidate_tag(rig->cache, "tag"), LIBCACHE_OK); break;
    case NAMESPACE: ck_result(libcache_invalidate_namespace(rig->ns, 0), LIBCACHE_OK); break;
    default: ck_result(libcache_invalidate_all(rig->cache, 0), LIBCACHE_OK);
    }
}

START_TEST(a_slow_load_never_overwrites_an_invalidation)
{
    for (int what = 0; what < CHANGES; what++)
        for (int adding = 0; adding < 2; adding++) {
            struct rig rig;
            libcache_stamp stamp;
            stage_up(&rig);
            put_tagged(rig.ns, "key", "1", "tag");
            ck_result(libcache_take_stamp(rig.ns, "key", 3, &stamp), LIBCACHE_OK);
            change(&rig, (enum change)what);
            ck_result(store_load(&rig, "key", "old", "tag", &stamp, adding), LIBCACHE_FENCED);
            if (what == SET || what == INCREMENT)
                ck_value(rig.ns, "key", what == SET ? "7" : "2");
            else
                ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            ck_result(libcache_take_stamp(rig.ns, "key", 3, &stamp), LIBCACHE_OK); /* the next load is welcome */
            ck_result(store_load(&rig, "key", "new", "tag", &stamp, 0), LIBCACHE_OK);
            ck_value(rig.ns, "key", "new");
            stage_down(&rig);
        }
}
END_TEST

START_TEST(a_load_that_is_stored_before_its_invalidation_is_not_served_after_it)
{
    static const int points[] = { HOOK_LOCKED, HOOK_BYTES_WRITTEN, HOOK_HEAD_ADVANCED, HOOK_PUBLISHED };

    for (int what = TAG; what < CHANGES; what++)
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
            struct rig rig;
            struct actor loader = { .rig = &rig, .act = act_store_load, .key = "key", .text = "old", .point = points[i], .nth = 1 };
            stage_up(&rig);
            ck_result(libcache_take_stamp(rig.ns, "key", 3, &loader.stamp), LIBCACHE_OK);
            ck_assert(start(&loader));
            change(&rig, (enum change)what);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            finish(&loader);
            ck_result(loader.result, points[i] == HOOK_LOCKED ? LIBCACHE_FENCED : LIBCACHE_OK);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            stage_down(&rig);
        }
}
END_TEST

START_TEST(a_load_that_begins_while_a_change_is_under_way_is_fenced_unless_it_saw_the_change)
{
    static const struct {
        void (*act)(struct actor *actor);
        int point, fenced; /* fenced 0: begun after the generation was raised, so either is right */
    } changes[] = { { act_delete, HOOK_LOCKED, 1 }, { act_set, HOOK_LOCKED, 1 }, { act_increment, HOOK_LOCKED, 1 },
                    { act_increment, HOOK_PUBLISHED, 1 }, { act_delete, HOOK_DELETED, 0 }, { act_set, HOOK_PUBLISHED, 0 } };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct rig rig;
        struct actor other = { .rig = &rig, .act = changes[i].act, .key = "key", .text = "7", .point = changes[i].point, .nth = 1 };
        libcache_stamp stamp;
        int result;
        stage_up(&rig);
        put(rig.ns, "key", "1");
        ck_assert(start(&other));
        ck_result(libcache_take_stamp(rig.ns, "key", 3, &stamp), LIBCACHE_OK);
        finish(&other);
        result = store_load(&rig, "key", "loaded", "tag", &stamp, 0);
        ck_assert_msg(result == LIBCACHE_FENCED || (!changes[i].fenced && result == LIBCACHE_OK), "change %zu: the load was %s", i,
                      result_name(result));
        stage_down(&rig);
    }
}
END_TEST

/* A set without a stamp has the position from when it began: invalidated meanwhile, it is not served. */
START_TEST(a_set_that_an_invalidation_overtakes_is_not_served)
{
    struct rig rig;
    struct actor writer = { .rig = &rig, .act = act_set, .key = "key", .text = "value", .point = HOOK_BYTES_WRITTEN, .nth = 1 };

    stage_up(&rig);
    ck_assert(start(&writer));
    ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
    finish(&writer);
    ck_result(writer.result, LIBCACHE_OK);
    ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
    stage_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("interleaving_hooks", a_reader_that_begins_in_the_middle_of_a_reset_is_not_fooled_by_offsets_that_begin_anew, a_reader_whose_entry_is_overwritten_gets_the_old_or_the_new_value,
                     a_reader_whose_bytes_are_reused_by_other_entries_misses_and_gets_nothing_foreign,
                     a_reader_whose_bytes_are_reused_finds_the_newer_value_of_its_key,
                     readers_with_a_hint_and_without_see_the_same_wherever_a_writer_is_stopped,
                     a_reader_with_a_hint_does_not_see_a_deleted_entry_that_others_miss,
                     a_reader_who_stopped_at_his_hint_gets_what_the_entry_says_when_he_goes_on,
                     a_hint_of_before_offsets_began_anew_is_not_believed,
                     who_takes_the_lock_over_digs_out_what_its_slot_still_leads_to,
                     where_an_entry_was_before_it_moved_is_not_believed_though_the_tail_has_not_passed,
                     who_adopts_a_segment_digs_out_what_a_dead_owner_of_a_lock_buried,
                     a_reader_does_not_miss_an_entry_that_moves_to_the_main_ring,
                     a_reader_does_not_miss_an_entry_that_is_carried_round_in_the_main_ring,
                     a_reader_whose_entry_is_deleted_gets_the_old_value_or_misses,
                     a_reader_whose_stripe_is_reset_gets_the_old_value_or_misses,
                     a_reader_is_not_fooled_by_offsets_that_begin_anew,
                     a_reader_between_two_buckets_does_not_miss_an_entry_that_a_split_moves,
                     a_reader_between_two_buckets_does_not_miss_a_guest_that_goes_home,
                     a_reader_that_chose_its_bucket_before_a_split_that_others_saw_does_not_miss,
                     a_reader_that_has_read_the_slot_goes_on_through_a_split,
                     a_reader_of_a_number_that_is_counted_up_and_moved_gets_a_number_that_it_had,
                     a_reader_that_loses_race_after_race_takes_the_lock,
                     who_may_not_wait_reads_and_invalidates_while_a_writer_holds_the_lock,
                     readers_see_the_old_value_until_the_slot_is_published_and_the_new_one_from_then_on,
                     a_deleted_entry_is_not_seen_once_its_slot_is_cleared,
                     while_a_writer_is_stopped_anywhere_every_entry_that_stays_can_be_read,
                     readers_of_a_stripe_that_is_being_reset_miss_or_get_the_right_value,
                     what_was_invalidated_is_not_served_once_the_call_has_returned,
                     while_a_mark_is_replaced_no_reader_is_given_what_it_had_invalidated,
                     a_reader_that_found_its_entry_before_an_invalidation_leaves_nothing_for_those_who_come_after,
                     a_slow_load_never_overwrites_an_invalidation,
                     a_load_that_is_stored_before_its_invalidation_is_not_served_after_it,
                     a_load_that_begins_while_a_change_is_under_way_is_fenced_unless_it_saw_the_change,
                     a_set_that_an_invalidation_overtakes_is_not_served);
}
