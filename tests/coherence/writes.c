/* What a worker changes: the database first, then the cache is told. SPDX-License-Identifier: MIT */
#include "coherence/worker.h"

#include <stdlib.h>

/* Versions that were in the database before an invalidation began, and that it covers if it succeeds. */
struct cover {
    unsigned n, keys[KEYS_MAX];
    uint64_t versions[KEYS_MAX];
};

static struct cover cover; /* of the one write that this process does at a time */

static void cover_add(struct worker *w, unsigned key)
{
    cover.keys[cover.n] = key;
    cover.versions[cover.n++] = load_word(&w->arena->keys[key].db);
}

static void cover_done(struct worker *w)
{
    for (unsigned i = 0; i < cover.n; i++)
        floors_raise(w->arena, w->host, cover.keys[i], cover.versions[i]);
}

/* The database gets a new version of the key. */
static uint64_t write_row(struct worker *w, unsigned key)
{
    struct key_state *k = &w->arena->keys[key];
    uint64_t version = __atomic_add_fetch(&k->db, 1, __ATOMIC_SEQ_CST);

    note(&k->history, w->arena, w->number, EVENT_DB_WRITE, version, 0);
    return version;
}

/* What all kinds of writes do around their call. A miss is a success: there was nothing to delete. */
static int finish(struct worker *w, const struct call *call, unsigned key, unsigned locks, int result, const char *what)
{
    uint64_t took_ns = call_end(w, call, key, locks, what);

    w->state->counts.writes++;
    if (took_ns > w->state->counts.slowest_write_ns)
        w->state->counts.slowest_write_ns = took_ns;
    if (count_error(w, result, key, what)) {
        w->state->counts.write_errors++;
        return 0;
    }
    if (result != LIBCACHE_OK && result != LIBCACHE_MISS)
        violate(w->arena, "G6", key, "%s gives %d", what, result);
    cover_done(w);
    __atomic_store_n(&w->host_state->written_ns, call->begun_ns, __ATOMIC_RELAXED);
    return 1;
}

static unsigned publish_flags(struct worker *w)
{
    return w->arena->settings.sabotage == SABOTAGE_NO_PUBLISH && dice_chance(&w->dice, 5) ? LIBCACHE_NO_PUBLISH : 0;
}

static int delete_one(struct worker *w, unsigned key)
{
    struct history *history = &w->arena->keys[key].history;
    char text[32];
    size_t size = key_text(text, key);
    struct call call;
    int result = LIBCACHE_OK;

    cover_add(w, key);
    note(history, w->arena, w->number, EVENT_DELETE, cover.versions[0], 0);
    call = call_begin(w, EVENT_DELETE);
    if (w->arena->settings.sabotage != SABOTAGE_FORGET || !dice_chance(&w->dice, 2))
        result = libcache_delete(w->spaces[key_space(key)], text, size, publish_flags(w));
    result = finish(w, &call, key, 2, result, "delete") ? LIBCACHE_OK : result;
    note(history, w->arena, w->number, EVENT_DELETED, cover.versions[0], result);
    return result == LIBCACHE_OK;
}

/* `key` and a few more of its namespace, which it needs no right to write because it does not. */
static int delete_some(struct worker *w, unsigned key)
{
    unsigned n = 1 + (unsigned)dice_below(&w->dice, BATCH);
    char texts[BATCH][32];
    libcache_slice slices[BATCH];
    struct call call;
    int result;

    cover_add(w, key);
    while (cover.n < n) {
        unsigned other = pick_key(w);
        if (key_space(other) == key_space(key))
            cover_add(w, other);
    }
    for (unsigned i = 0; i < n; i++) {
        slices[i] = (libcache_slice){ texts[i], key_text(texts[i], cover.keys[i]) };
        note(&w->arena->keys[cover.keys[i]].history, w->arena, w->number, EVENT_DELETE, cover.versions[i], 0);
    }
    call = call_begin(w, EVENT_DELETE);
    result = libcache_delete_many(w->spaces[key_space(key)], slices, n, NULL, publish_flags(w));
    result = finish(w, &call, key, 2 * n, result, "delete_many") ? LIBCACHE_OK : result;
    for (unsigned i = 0; i < n; i++)
        note(&w->arena->keys[cover.keys[i]].history, w->arena, w->number, EVENT_DELETED, cover.versions[i], result);
    return result == LIBCACHE_OK;
}

/* One tag of the key, or all it has: either covers it, and every other key that has one of them. */
static int invalidate_tags(struct worker *w, unsigned key)
{
    unsigned tags[2], n = key_tags(tags, key);
    char texts[2][32];
    libcache_slice slices[2];
    struct call call;
    int result;

    if (n == 2 && dice_chance(&w->dice, 60)) {
        n = 1;
        tags[0] = tags[dice_below(&w->dice, 2)];
    }
    for (unsigned i = 0; i < n; i++)
        slices[i] = (libcache_slice){ texts[i], tag_text(texts[i], tags[i]) };
    for (unsigned other = 0; other < w->arena->settings.keys; other++)
        if (key_has_tag(other, tags[0]) || (n == 2 && key_has_tag(other, tags[1]))) {
            cover_add(w, other);
            note(&w->arena->keys[other].history, w->arena, w->number, EVENT_TAGS, cover.versions[cover.n - 1],
                 tags[0]);
        }
    call = call_begin(w, EVENT_TAGS);
    result = libcache_invalidate_tags(w->cache, slices, n, publish_flags(w));
    result = finish(w, &call, key, 2, result, "invalidate_tags") ? LIBCACHE_OK : result;
    for (unsigned i = 0; i < cover.n; i++)
        note(&w->arena->keys[cover.keys[i]].history, w->arena, w->number, EVENT_TAGS_DONE, cover.versions[i], result);
    return result == LIBCACHE_OK;
}

static int invalidate_space(struct worker *w, unsigned key)
{
    struct call call;
    int result;

    for (unsigned other = 0; other < w->arena->settings.keys; other++)
        if (key_space(other) == key_space(key))
            cover_add(w, other);
    note(&w->arena->history, w->arena, w->number, EVENT_SPACE, 0, key_space(key));
    call = call_begin(w, EVENT_SPACE);
    result = libcache_invalidate_namespace(w->spaces[key_space(key)], publish_flags(w));
    result = finish(w, &call, key, 4, result, "invalidate_namespace") ? LIBCACHE_OK : result;
    note(&w->arena->history, w->arena, w->number, EVENT_SPACE_DONE, 0, result);
    return result == LIBCACHE_OK;
}

static int invalidate_all(struct worker *w, unsigned key)
{
    struct call call;
    int result;

    for (unsigned other = 0; other < w->arena->settings.keys; other++)
        cover_add(w, other);
    note(&w->arena->history, w->arena, w->number, EVENT_ALL, 0, 0);
    call = call_begin(w, EVENT_ALL);
    result = libcache_invalidate_all(w->cache, publish_flags(w));
    result = finish(w, &call, key, 4, result, "invalidate_all") ? LIBCACHE_OK : result;
    note(&w->arena->history, w->arena, w->number, EVENT_ALL_DONE, 0, result);
    return result == LIBCACHE_OK;
}

/* The caller has the right to write the key, so nothing newer can come into the database meanwhile. */
static int set_new(struct worker *w, unsigned key, uint64_t version)
{
    struct payload head = { .version = version, .begun_ns = now_ns(), .stored_ns = now_ns(), .key = key,
                            .worker = w->number, .origin = ORIGIN_SET };
    struct tag_texts tags;
    libcache_set_options options = set_options(&tags, key, version);
    struct history *history = &w->arena->keys[key].history;
    size_t size = payload_finish(w->bytes, &head), key_size;
    char text[32];
    struct call call;
    int result;

    key_size = key_text(text, key);
    if (w->arena->settings.with_redis && dice_chance(&w->dice, 10))
        options.flags |= LIBCACHE_SKIP_L1;
    cover_add(w, key);
    note(history, w->arena, w->number, EVENT_SET, version, 0);
    call = call_begin(w, EVENT_SET);
    result = libcache_set(w->spaces[key_space(key)], text, key_size, w->bytes, size, &options);
    result = finish(w, &call, key, 2, result, "set") ? LIBCACHE_OK : result;
    note(history, w->arena, w->number, EVENT_SET_DONE, version, result);
    return result == LIBCACHE_OK;
}

static void ask_others(struct worker *w, unsigned key, uint64_t version)
{
    uint64_t mail = (now_ns() / 1000) << 32 | version << 12 | key, nothing;

    if (version > 0xfffff || load_word(&w->arena->chaos) || !dice_chance(&w->dice, 20))
        return;
    for (unsigned host = 0; host < w->arena->settings.hosts; host++) {
        nothing = 0;
        if (host != w->host)
            __atomic_compare_exchange_n(&w->arena->hosts[host].mail, &nothing, mail, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED);
    }
}

static void change(struct worker *w, unsigned key)
{
    uint64_t roll = dice_below(&w->dice, 1000), version;
    int mine = key_is_set(key), doubt = 0, done;

    if (mine && !key_lock(w->arena, w->number, key))
        return;
    cover.n = 0;
    version = write_row(w, key);
    if (mine && roll < 500) {
        done = set_new(w, key, version);
        doubt = !done;
    } else if (roll < 700) {
        done = delete_one(w, key);
    } else if (roll < 780) {
        done = delete_some(w, key);
    } else if (roll < 990 || (roll < 998 && key_space(key) == SPACE_AGING && dice_chance(&w->dice, 75))) {
        done = invalidate_tags(w, key);
    } else if (roll < 998) {
        done = invalidate_space(w, key);
    } else {
        done = invalidate_all(w, key);
    }
    if (mine)
        key_unlock(w->arena, key, doubt);
    if (done)
        ask_others(w, key, version);
}

/* Most of those that would be quiet are let be. */
static unsigned pick_key_to_change(struct worker *w)
{
    unsigned key = pick_key(w);

    while (key_is_quiet(key) && dice_chance(&w->dice, 90))
        key = pick_key(w);
    return key;
}

/* Nothing is changed while the coordinator wants it so; it waits for `writing` to be 0. */
void change_something(struct worker *w)
{
    store_word(&w->state->writing, 1);
    if (!load_word(&w->arena->pause_writers))
        change(w, pick_key_to_change(w));
    store_word(&w->state->writing, 0);
}
