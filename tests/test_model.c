/*
 * Random operations on a small cache, each checked against a model that is too simple to be wrong: one record for each
 * key, an invalidation walks over all of them. The cache may have forgotten an entry at any time (that is what it is
 * for), but whatever it does say must be what the model says, and what it has once missed must not come back by itself.
 * SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPACES = 3, TAGS_PER_ENTRY = 3, PENDING = 32, BATCH = 12, VALUE_MAX = 96 << 10 };

/* What one run is like. */
struct world {
    size_t memory_bytes, max_value_bytes;
    unsigned stripes;
    int verify_values;
    unsigned keys, tags; /* keys of each namespace */
    size_t usual, rare;  /* value sizes: up to `usual` mostly, up to `rare` in 2 % */
    unsigned long operations;
};

/* What the model knows of one key. */
struct record {
    int live; /* the cache may have it; 0: it must not */
    int negative, is_number;
    int64_t number;
    uint64_t version, created, expiry; /* expiry 0: never */
    size_t size;
    unsigned n_tags;
    uint16_t tags[TAGS_PER_ENTRY];
    uint64_t changed; /* operation of the last set, delete or number: fences stamps */
};

/* A load that has begun. */
struct pending {
    unsigned space, key;
    libcache_stamp stamp;
    uint64_t begun; /* operation */
};

struct model {
    const struct world *world;
    struct rig rig;
    struct dice dice;
    libcache_ns *spaces[SPACES];
    libcache_policy policy[SPACES];
    struct record *records;                             /* of space s, key k: [s * keys + k] */
    uint64_t *tag_marks, space_marks[SPACES], all_mark; /* operation of the last invalidation */
    struct pending pending[PENDING];
    unsigned n_pending;
    uint64_t operation, version;
    uint64_t hits, misses, fenced_wrongly, stored_loads;
    libcache_value value;
    char key_text[LIBCACHE_KEY_MAX];
};

#define FAIL(m, ...)                                                                                     \
    do {                                                                                                 \
        char text_[200];                                                                                 \
        snprintf(text_, sizeof text_, __VA_ARGS__);                                                      \
        ck_abort_msg("seed %" PRIu64 ", operation %" PRIu64 ": %s", test_seed(), (m)->operation, text_); \
    } while (0)

/* ---- Names and bytes ------------------------------------------------------------------------------------------- */

static unsigned char noise[VALUE_MAX + 4096];

static void make_noise(void)
{
    struct dice dice = dice_of(99);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)dice_roll(&dice);
}

/* The value of a version: that many bytes from its place in the noise. */
static const unsigned char *bytes_of(uint64_t version)
{
    return noise + version * 37 % 4096;
}

static uint8_t codec_of(uint64_t version)
{
    return (uint8_t)(version % 251);
}

static uint32_t flags_of(uint64_t version)
{
    return version % 3 ? (uint32_t)(version * 2654435761u) : 0;
}

/* Most keys are short, some are long. */
static libcache_slice key_slice(struct model *m, unsigned space, unsigned key)
{
    libcache_slice slice = { m->key_text, 0 };
    int size = snprintf(m->key_text, 64, "%u:%u", space, key);
    if (key % 50 == 49) {
        size_t more = key * 7 % 1000;
        memset(m->key_text + size, 'k', more);
        size += (int)more;
    }
    slice.size = (size_t)size;
    return slice;
}

static libcache_slice tag_slice(char *text, unsigned tag)
{
    libcache_slice slice = { text, 0 };
    slice.size = (size_t)snprintf(text, 16, "tag:%u", tag);
    return slice;
}

static struct record *record_of(struct model *m, unsigned space, unsigned key)
{
    return &m->records[space * m->world->keys + key];
}

static uint64_t now(struct model *m)
{
    return m->rig.clock.now_ms;
}

static int is_live(struct model *m, const struct record *r)
{
    return r->live && (!r->expiry || now(m) < r->expiry);
}

/* ---- Checking what was read ---------------------------------------------------------------------------------------- */

static int expected_result(struct model *m, unsigned space, const struct record *r)
{
    uint64_t soft = m->policy[space].soft_ttl_ms;
    if (r->negative)
        return LIBCACHE_NEGATIVE;
    return soft != LIBCACHE_FOREVER && now(m) >= r->created + soft ? LIBCACHE_STALE : LIBCACHE_HIT;
}

static void check_bytes(struct model *m, const struct record *r, const libcache_value *value)
{
    char text[32];
    const void *wanted = bytes_of(r->version);
    size_t size = r->size;

    if (r->is_number) {
        size = (size_t)snprintf(text, sizeof text, "%" PRId64, r->number);
        wanted = text;
    }
    if (value->size != size)
        FAIL(m, "%zu bytes, want %zu of version %" PRIu64, value->size, size, r->version);
    if (size && memcmp(value->data, wanted, size) != 0)
        FAIL(m, "wrong bytes (%zu) for version %" PRIu64, size, r->version);
}

/* The result of a read, compared with the model; a miss is believed from now on. */
static void check_read(struct model *m, unsigned space, unsigned key, int result, const libcache_value *value,
                       unsigned flags)
{
    struct record *r = record_of(m, space, key);

    if (result == LIBCACHE_MISS) {
        m->misses += is_live(m, r);
        r->live = 0;
        return;
    }
    if (!is_live(m, r))
        FAIL(m, "%s of key %u:%u, which is %s", result_name(result), space, key, r->live ? "expired" : "not there");
    if (result != expected_result(m, space, r))
        FAIL(m, "%s of key %u:%u, want %s", result_name(result), space, key, result_name(expected_result(m, space, r)));
    m->hits++;
    if (!value)
        return;
    if (result != LIBCACHE_NEGATIVE)
        check_bytes(m, r, value);
    if (value->codec != codec_of(r->version) || value->flags != flags_of(r->version))
        FAIL(m, "codec %u and flags %u are not of version %" PRIu64, value->codec, value->flags, r->version);
    if ((flags & LIBCACHE_TIMES) && value->age_ms != now(m) - r->created)
        FAIL(m, "age %" PRIu64 ", want %" PRIu64, value->age_ms, now(m) - r->created);
    if ((flags & LIBCACHE_TIMES) && value->ttl_left_ms != (r->expiry ? r->expiry - now(m) : LIBCACHE_FOREVER))
        FAIL(m, "ttl_left %" PRIu64 " is wrong", value->ttl_left_ms);
}

/* ---- Storing ------------------------------------------------------------------------------------------------------------ */

/* One store, made up at random. */
struct draft {
    libcache_set_options options;
    libcache_slice tags[TAGS_PER_ENTRY];
    char texts[TAGS_PER_ENTRY][16];
    uint16_t tag_numbers[TAGS_PER_ENTRY];
    uint64_t version;
    size_t size;
    libcache_stamp stamp;
    uint64_t begun; /* with a stamp */
};

static void draft(struct model *m, struct draft *d)
{
    memset(d, 0, sizeof *d);
    d->options.struct_size = sizeof d->options;
    d->version = ++m->version;
    d->options.codec = codec_of(d->version);
    d->options.user_flags = flags_of(d->version);
    if (dice_chance(&m->dice, 50)) {
        d->options.n_tags = 1 + dice_below(&m->dice, TAGS_PER_ENTRY);
        d->options.tags = d->tags;
        for (size_t i = 0; i < d->options.n_tags; i++) {
            d->tag_numbers[i] = (uint16_t)dice_below(&m->dice, m->world->tags);
            d->tags[i] = tag_slice(d->texts[i], d->tag_numbers[i]);
        }
    }
    if (dice_chance(&m->dice, 30))
        d->options.ttl_ms = dice_chance(&m->dice, 20) ? LIBCACHE_FOREVER : 1 + dice_below(&m->dice, 20000);
    if (dice_chance(&m->dice, 5))
        d->options.flags |= LIBCACHE_NEG;
    if (dice_chance(&m->dice, 10))
        d->options.flags |= LIBCACHE_NO_WAIT;
    d->size = dice_below(&m->dice, 1 + (dice_chance(&m->dice, 2) ? m->world->rare : m->world->usual));
    if (d->options.flags & LIBCACHE_NEG)
        d->size = 0;
}

/* The cache says that it has stored the draft. */
static void stored(struct model *m, unsigned space, unsigned key, const struct draft *d)
{
    struct record *r = record_of(m, space, key);
    const libcache_policy *policy = &m->policy[space];
    uint64_t ttl = d->options.ttl_ms;
    int negative = (d->options.flags & LIBCACHE_NEG) != 0;

    if (!ttl)
        ttl = negative ? policy->negative_ttl_ms : policy->ttl_ms;
    memset(r, 0, sizeof *r);
    r->live = 1;
    r->negative = negative;
    r->version = d->version;
    r->size = d->size;
    r->created = now(m);
    r->expiry = ttl == LIBCACHE_FOREVER ? 0 : now(m) + ttl;
    r->n_tags = (unsigned)d->options.n_tags;
    memcpy(r->tags, d->tag_numbers, sizeof r->tags);
    if (!d->options.stamp)
        r->changed = m->operation;
    if (policy->jitter_percent && r->expiry) {
        libcache_slice k = key_slice(m, space, key);
        uint64_t left, least = ttl - ttl * policy->jitter_percent / 100;
        if (libcache_ttl_left(m->spaces[space], k.data, k.size, &left, 0) != LIBCACHE_OK) {
            r->live = 0; /* not kept (too large to be let in at first sight) */
            return;
        }
        if (left > ttl || left < least)
            FAIL(m, "a TTL of %" PRIu64 " became %" PRIu64 " by jitter", ttl, left);
        r->expiry = now(m) + left;
    }
}

/* Must a store with this draft's stamp be refused? */
static int must_fence(struct model *m, unsigned space, unsigned key, const struct draft *d)
{
    uint64_t latest = record_of(m, space, key)->changed;

    latest = latest > m->space_marks[space] ? latest : m->space_marks[space];
    latest = latest > m->all_mark ? latest : m->all_mark;
    for (size_t i = 0; i < d->options.n_tags; i++)
        latest = latest > m->tag_marks[d->tag_numbers[i]] ? latest : m->tag_marks[d->tag_numbers[i]];
    return latest >= d->begun;
}

static void check_store(struct model *m, unsigned space, unsigned key, int result, const struct draft *d, int adding)
{
    struct record *r = record_of(m, space, key);
    int must = d->options.stamp && must_fence(m, space, key, d);

    if (result == LIBCACHE_ETOOBIG) {
        if (d->size <= m->policy[space].max_value_bytes)
            FAIL(m, "a value of %zu bytes is too big", d->size);
        if (!adding) { /* the old entry is not what was wanted any more */
            r->live = 0;
            r->changed = m->operation;
        }
    } else if (result == LIBCACHE_OK) {
        if (must)
            FAIL(m, "a load of key %u:%u that began at %" PRIu64 " was stored", space, key, d->begun);
        m->stored_loads += d->options.stamp != NULL;
        stored(m, space, key, d);
    } else if (result == LIBCACHE_FENCED) {
        if (!d->options.stamp)
            FAIL(m, "a store without a stamp was fenced");
        m->fenced_wrongly += !must;
    } else if (result == LIBCACHE_EXISTS) {
        if (!adding || !is_live(m, r))
            FAIL(m, "key %u:%u exists, but is %s", space, key, r->live ? "expired" : "not there");
    } else {
        FAIL(m, "a store gives %s", result_name(result));
    }
}

/* ---- Operations -------------------------------------------------------------------------------------------------------- */

/* Keys near 0 are asked for more often. */
static unsigned some_key(struct model *m)
{
    uint64_t a = dice_below(&m->dice, m->world->keys), b = dice_below(&m->dice, m->world->keys);
    return (unsigned)(a * b / m->world->keys);
}

static unsigned some_space(struct model *m)
{
    return (unsigned)dice_below(&m->dice, SPACES);
}

static unsigned read_flags(struct model *m)
{
    return (dice_chance(&m->dice, 20) ? LIBCACHE_TIMES : 0u) | (dice_chance(&m->dice, 20) ? LIBCACHE_NO_WAIT : 0u);
}

static void do_get(struct model *m)
{
    unsigned space = some_space(m), key = some_key(m), flags = read_flags(m);
    libcache_slice k = key_slice(m, space, key);
    check_read(m, space, key, libcache_get(m->spaces[space], k.data, k.size, &m->value, flags), &m->value, flags);
}

static void do_exists(struct model *m)
{
    unsigned space = some_space(m), key = some_key(m);
    libcache_slice k = key_slice(m, space, key);
    check_read(m, space, key, libcache_exists(m->spaces[space], k.data, k.size, 0), NULL, 0);
}

static void do_get_many(struct model *m)
{
    unsigned space = some_space(m), keys[BATCH], flags = read_flags(m);
    libcache_slice slices[BATCH];
    libcache_value values[BATCH];
    char texts[BATCH][1100];
    int results[BATCH];
    size_t n = dice_below(&m->dice, BATCH + 1), found = 0, counted;

    memset(values, 0, sizeof values);
    for (size_t i = 0; i < n; i++) {
        keys[i] = some_key(m);
        slices[i] = key_slice(m, space, keys[i]);
        slices[i].data = memcpy(texts[i], slices[i].data, slices[i].size);
    }
    if (libcache_get_many(m->spaces[space], slices, n, values, results, &counted, flags) != LIBCACHE_OK)
        FAIL(m, "get_many failed");
    for (size_t i = 0; i < n; i++) {
        check_read(m, space, keys[i], results[i], &values[i], flags);
        found += results[i] == LIBCACHE_HIT || results[i] == LIBCACHE_STALE;
        libcache_release_value(&values[i]);
    }
    if (found != counted)
        FAIL(m, "get_many counts %zu, gives %zu", counted, found);
}

static void do_store(struct model *m, int adding)
{
    unsigned space = some_space(m), key = some_key(m);
    libcache_slice k = key_slice(m, space, key);
    struct draft d;
    int result;

    draft(m, &d);
    result = adding ? libcache_add(m->spaces[space], k.data, k.size, bytes_of(d.version), d.size, &d.options)
                    : libcache_set(m->spaces[space], k.data, k.size, bytes_of(d.version), d.size, &d.options);
    check_store(m, space, key, result, &d, adding);
}

static void do_set_many(struct model *m)
{
    unsigned space = some_space(m), keys[BATCH];
    libcache_item items[BATCH];
    static struct draft drafts[BATCH];
    char texts[BATCH][1100];
    size_t n = dice_below(&m->dice, BATCH + 1);

    memset(items, 0, sizeof items);
    for (size_t i = 0; i < n; i++) {
        draft(m, &drafts[i]);
        keys[i] = (unsigned)(i ? (keys[i - 1] + 1) % m->world->keys : some_key(m)); /* each only once */
        items[i].key = key_slice(m, space, keys[i]);
        items[i].key.data = memcpy(texts[i], items[i].key.data, items[i].key.size);
        items[i].value.data = bytes_of(drafts[i].version);
        items[i].value.size = drafts[i].size;
        items[i].options = &drafts[i].options;
    }
    libcache_set_many(m->spaces[space], items, n);
    for (size_t i = 0; i < n; i++)
        check_store(m, space, keys[i], items[i].result, &drafts[i], 0);
}

static void check_delete(struct model *m, unsigned space, unsigned key, int result)
{
    struct record *r = record_of(m, space, key);

    if (result == LIBCACHE_OK && !is_live(m, r))
        FAIL(m, "deleted key %u:%u, which was not there", space, key);
    if (result != LIBCACHE_OK && result != LIBCACHE_MISS)
        FAIL(m, "delete gives %s", result_name(result));
    r->live = 0;
    r->changed = m->operation;
}

static void do_delete(struct model *m)
{
    unsigned space = some_space(m), key = some_key(m);
    libcache_slice k = key_slice(m, space, key);
    check_delete(m, space, key, libcache_delete(m->spaces[space], k.data, k.size, 0));
}

static void do_delete_many(struct model *m)
{
    unsigned space = some_space(m), keys[BATCH];
    libcache_slice slices[BATCH];
    char texts[BATCH][1100];
    size_t n = dice_below(&m->dice, BATCH + 1), deleted, possible = 0;

    for (size_t i = 0; i < n; i++) {
        keys[i] = some_key(m);
        slices[i] = key_slice(m, space, keys[i]);
        slices[i].data = memcpy(texts[i], slices[i].data, slices[i].size);
    }
    if (libcache_delete_many(m->spaces[space], slices, n, &deleted, 0) != LIBCACHE_OK)
        FAIL(m, "delete_many failed");
    for (size_t i = 0; i < n; i++) {
        possible += is_live(m, record_of(m, space, keys[i])) != 0;
        check_delete(m, space, keys[i], LIBCACHE_MISS);
    }
    if (deleted > possible)
        FAIL(m, "delete_many counts %zu, at most %zu were there", deleted, possible);
}

static void do_touch(struct model *m)
{
    unsigned space = some_space(m), key = some_key(m);
    libcache_slice k = key_slice(m, space, key);
    struct record *r = record_of(m, space, key);
    uint64_t ttl = dice_chance(&m->dice, 10) ? LIBCACHE_FOREVER : 1 + dice_below(&m->dice, 20000), left;
    int result = libcache_touch(m->spaces[space], k.data, k.size, ttl, 0);

    if (result == LIBCACHE_MISS) {
        r->live = 0;
    } else if (result != LIBCACHE_OK || !is_live(m, r)) {
        FAIL(m, "touch of key %u:%u gives %s", space, key, result_name(result));
    } else {
        r->expiry = ttl == LIBCACHE_FOREVER ? 0 : now(m) + ttl;
        if (libcache_ttl_left(m->spaces[space], k.data, k.size, &left, 0) != LIBCACHE_OK)
            FAIL(m, "a touched entry is gone at once");
        if (r->expiry && m->policy[space].jitter_percent)
            r->expiry = now(m) + left;
        if (left > ttl)
            FAIL(m, "touched with %" PRIu64 ", %" PRIu64 " are left", ttl, left);
    }
}

/* By chance the bytes of a version may read as a number. */
static int looks_like_number(const struct record *r)
{
    const unsigned char *bytes = bytes_of(r->version);
    size_t i = r->size && bytes[0] == '-';

    for (; i < r->size; i++)
        if (bytes[i] < '0' || bytes[i] > '9')
            return 0;
    return r->size > 0;
}

static void do_increment(struct model *m)
{
    unsigned space = some_space(m), key = some_key(m);
    libcache_slice k = key_slice(m, space, key);
    struct record *r = record_of(m, space, key);
    int64_t old = 0, got = 0, sum = 0, delta = (int64_t)dice_below(&m->dice, 2000) - 1000;
    int live = is_live(m, r) && !r->negative, known = live && r->is_number, result, overflow;
    struct draft d;

    draft(m, &d);
    d.options.flags &= ~(unsigned)LIBCACHE_NEG;
    if (known)
        old = r->number;
    else if (live && looks_like_number(r))
        return;
    if (dice_chance(&m->dice, 3))
        delta = dice_chance(&m->dice, 50) ? INT64_MAX : INT64_MIN;
    overflow = known && __builtin_add_overflow(old, delta, &sum);
    result = libcache_increment(m->spaces[space], k.data, k.size, delta, &d.options, &got);
    if (result == LIBCACHE_ENUMBER) {
        if (!live || known)
            FAIL(m, "ENUMBER of key %u:%u, which is %s", space, key, known ? "a number" : "not there");
    } else if (result == LIBCACHE_EOVERFLOW) {
        if (!overflow)
            FAIL(m, "EOVERFLOW of key %u:%u: %" PRId64 " + %" PRId64, space, key, old, delta);
    } else if (result != LIBCACHE_OK) {
        FAIL(m, "increment gives %s", result_name(result));
    } else if (known && !overflow && got == sum && old != 0) {
        r->number = got;
        r->changed = m->operation;
    } else if (known && old == 0 && got == delta) { /* began anew, or went on? Nobody can tell, so let it go */
        check_delete(m, space, key, libcache_delete(m->spaces[space], k.data, k.size, 0));
    } else if (got == delta) {
        d.size = 0;
        stored(m, space, key, &d); /* it began anew */
        r->is_number = 1;
        r->number = got;
    } else {
        FAIL(m, "%" PRId64 " + %" PRId64 " of key %u:%u gives %" PRId64, old, delta, space, key, got);
    }
}

static void do_begin_load(struct model *m)
{
    struct pending *p = &m->pending[m->n_pending < PENDING ? m->n_pending++ : dice_below(&m->dice, PENDING)];
    libcache_slice k;

    p->space = some_space(m);
    p->key = some_key(m);
    p->begun = m->operation;
    k = key_slice(m, p->space, p->key);
    if (libcache_take_stamp(m->spaces[p->space], k.data, k.size, &p->stamp) != LIBCACHE_OK)
        FAIL(m, "take_stamp failed");
}

static void do_end_load(struct model *m)
{
    struct pending p;
    struct draft d;
    libcache_slice k;
    int result, adding = dice_chance(&m->dice, 30);

    if (m->n_pending == 0)
        return;
    {
        unsigned i = (unsigned)dice_below(&m->dice, m->n_pending);
        p = m->pending[i];
        m->pending[i] = m->pending[--m->n_pending];
    }
    draft(m, &d);
    d.stamp = p.stamp;
    d.begun = p.begun;
    d.options.stamp = &d.stamp;
    k = key_slice(m, p.space, p.key);
    result = adding ? libcache_add(m->spaces[p.space], k.data, k.size, bytes_of(d.version), d.size, &d.options)
                    : libcache_set(m->spaces[p.space], k.data, k.size, bytes_of(d.version), d.size, &d.options);
    check_store(m, p.space, p.key, result, &d, adding);
}

static void forget_tag(struct model *m, unsigned tag)
{
    m->tag_marks[tag] = m->operation;
    for (unsigned i = 0; i < SPACES * m->world->keys; i++)
        for (unsigned t = 0; t < m->records[i].n_tags; t++)
            if (m->records[i].tags[t] == tag)
                m->records[i].live = 0;
}

static void do_invalidate_tags(struct model *m)
{
    libcache_slice tags[3];
    char texts[3][16];
    size_t n = 1 + dice_below(&m->dice, 3);

    for (size_t i = 0; i < n; i++) {
        unsigned tag = (unsigned)dice_below(&m->dice, m->world->tags);
        tags[i] = tag_slice(texts[i], tag);
        forget_tag(m, tag);
    }
    if (libcache_invalidate_tags(m->rig.cache, tags, n, 0) != LIBCACHE_OK)
        FAIL(m, "invalidate_tags failed");
}

static void do_invalidate_more(struct model *m)
{
    unsigned space = some_space(m);

    if (dice_chance(&m->dice, 80)) {
        if (libcache_invalidate_namespace(m->spaces[space], 0) != LIBCACHE_OK)
            FAIL(m, "invalidate_namespace failed");
        m->space_marks[space] = m->operation;
        for (unsigned key = 0; key < m->world->keys; key++)
            record_of(m, space, key)->live = 0;
    } else {
        if (libcache_invalidate_all(m->rig.cache, 0) != LIBCACHE_OK)
            FAIL(m, "invalidate_all failed");
        m->all_mark = m->operation;
        for (unsigned i = 0; i < SPACES * m->world->keys; i++)
            m->records[i].live = 0;
    }
}

static void do_sweep(struct model *m)
{
    if (libcache_sweep(m->rig.cache, dice_below(&m->dice, 500), NULL) != LIBCACHE_OK)
        FAIL(m, "sweep failed");
}

/* Everything that iteration shows is live, and each entry is shown once. */
static void do_iterate(struct model *m)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    unsigned char *seen = calloc(SPACES * m->world->keys, 1);
    libcache_stats stats = LIBCACHE_STATS_INIT;
    uint64_t n = 0;
    int result;

    ck_assert_ptr_nonnull(seen);
    memset(&entry, 0, sizeof entry);
    while ((result = libcache_iterate(m->rig.cache, &cursor, &entry)) == LIBCACHE_HIT) {
        unsigned space = SPACES, key = 0;
        char text[64];
        const struct record *r;
        snprintf(text, sizeof text, "%.*s", (int)(entry.key.size < 60 ? entry.key.size : 60),
                 (const char *)entry.key.data);
        if (sscanf(text, "%u:%u", &space, &key) != 2 || space >= SPACES || key >= m->world->keys)
            FAIL(m, "iteration gives the key \"%s\"", text);
        r = record_of(m, space, key);
        if (!is_live(m, r) || seen[space * m->world->keys + key]++)
            FAIL(m, "iteration gives key %u:%u, which is %s", space, key,
                 !r->live        ? "not there"
                 : is_live(m, r) ? "a repetition"
                                 : "expired");
        if (entry.result != expected_result(m, space, r) || entry.codec != codec_of(r->version) ||
            entry.user_flags != flags_of(r->version) || entry.n_tags != r->n_tags ||
            entry.age_ms != now(m) - r->created || (!r->is_number && entry.value_bytes != r->size))
            FAIL(m, "iteration describes key %u:%u wrongly", space, key);
        n++;
    }
    if (result != LIBCACHE_MISS)
        FAIL(m, "iterate gives %s", result_name(result));
    if (libcache_read_stats(m->rig.cache, &stats) != LIBCACHE_OK || stats.entries < n)
        FAIL(m, "%" PRIu64 " entries are iterated, but the statistics count %" PRIu64, n, stats.entries);
    libcache_release_value(&entry.key);
    free(seen);
}

static void step(struct model *m)
{
    unsigned roll = (unsigned)dice_below(&m->dice, 10000);

    m->operation++;
    if (roll < 4200)
        do_get(m);
    else if (roll < 4600)
        do_exists(m);
    else if (roll < 4900)
        do_get_many(m);
    else if (roll < 6700)
        do_store(m, 0);
    else if (roll < 7100)
        do_store(m, 1);
    else if (roll < 7250)
        do_set_many(m);
    else if (roll < 7600)
        do_delete(m);
    else if (roll < 7650)
        do_delete_many(m);
    else if (roll < 7900)
        do_touch(m);
    else if (roll < 8400)
        do_increment(m);
    else if (roll < 8800)
        do_begin_load(m);
    else if (roll < 9200)
        do_end_load(m);
    else if (roll < 9215)
        do_invalidate_tags(m);
    else if (roll < 9216 && dice_chance(&m->dice, 25))
        do_invalidate_more(m);
    else if (roll < 9260)
        do_sweep(m);
    else if (roll < 9261)
        do_iterate(m);
    else if (roll < 9900)
        fake_clock_advance(&m->rig.clock, dice_below(&m->dice, 8));
    else if (roll < 9901 && dice_chance(&m->dice, 50))
        fake_clock_advance(&m->rig.clock, dice_below(&m->dice, 20000));
}

static uint64_t model_random(void *arg)
{
    return dice_roll(arg);
}

static void run(const struct world *world)
{
    static const char *const names[SPACES] = { "plain", "jittered", "soft" };
    static struct model model;
    struct model *m = &model;
    struct dice jitter = dice_of(2);
    libcache_stats stats = LIBCACHE_STATS_INIT;

    make_noise();
    memset(m, 0, sizeof *m);
    m->world = world;
    m->dice = dice_of(1);
    m->records = calloc((size_t)SPACES * world->keys, sizeof *m->records);
    m->tag_marks = calloc(world->tags, sizeof *m->tag_marks);
    ck_assert(m->records && m->tag_marks);
    rig_prepare(&m->rig);
    m->rig.options.memory_bytes = world->memory_bytes;
    m->rig.options.max_value_bytes = world->max_value_bytes;
    m->rig.options.stripes = world->stripes;
    m->rig.options.verify_values = world->verify_values;
    m->rig.options.random = model_random;
    m->rig.options.random_arg = &jitter;
    rig_open(&m->rig);
    for (int i = 0; i < SPACES; i++) {
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        policy.ttl_ms = i == 0 ? 0 : 10000;
        policy.jitter_percent = i == 1 ? 30 : 0;
        policy.soft_ttl_ms = i == 2 ? 3000 : 0;
        policy.l1_share_percent = i == 1 ? 20 : 0;
        policy.max_value_bytes = i == 2 ? world->rare / 2 + 1 : 0;
        ck_result(libcache_open_namespace(&m->spaces[i], m->rig.cache, names[i], &policy, NULL), LIBCACHE_OK);
        m->policy[i] = (libcache_policy)LIBCACHE_POLICY_INIT;
        ck_result(libcache_read_policy(m->spaces[i], &m->policy[i]), LIBCACHE_OK);
    }
    for (unsigned long i = scaled(world->operations); i; i--)
        step(m);
    m->operation++;
    do_iterate(m);
    ck_result(libcache_read_stats(m->rig.cache, &stats), LIBCACHE_OK);
    printf("%" PRIu64 " operations: %" PRIu64 " hits, %" PRIu64 " forgotten, %" PRIu64 " evictions (%" PRIu64
           " by conflict), %" PRIu64 " survivors, %" PRIu64 " loads stored, %" PRIu64 " fenced in vain\n",
           m->operation, m->hits, m->misses, stats.evictions, stats.conflict_evictions, stats.survivors,
           m->stored_loads, m->fenced_wrongly);
    ck_assert_uint_eq(stats.resets, 0);
    ck_assert_uint_eq(stats.owner_deaths, 0);
    libcache_release_value(&m->value);
    rig_down(&m->rig);
    free(m->records);
    free(m->tag_marks);
}

START_TEST(a_cache_with_room_for_all_agrees_with_the_model)
{
    static const struct world world = { .memory_bytes = 16 << 20,
                                        .max_value_bytes = 16 << 10,
                                        .keys = 2000,
                                        .tags = 200,
                                        .usual = 200,
                                        .rare = 16 << 10,
                                        .operations = 500000 };
    run(&world);
}
END_TEST

START_TEST(a_tiny_cache_that_always_evicts_agrees_with_the_model)
{
    static const struct world world = {
        .memory_bytes = 256 << 10, .keys = 3000, .tags = 200, .usual = 300, .rare = 8 << 10, .operations = 500000
    };
    run(&world);
}
END_TEST

START_TEST(a_tiny_cache_of_many_empty_values_agrees_with_the_model)
{
    static const struct world world = { .memory_bytes = 256 << 10,
                                        .stripes = 1,
                                        .keys = 8000,
                                        .tags = 200,
                                        .usual = 4,
                                        .rare = 100,
                                        .operations = 400000 };
    run(&world);
}
END_TEST

START_TEST(a_cache_of_large_values_agrees_with_the_model)
{
    static const struct world world = { .memory_bytes = 2 << 20,
                                        .max_value_bytes = 64 << 10,
                                        .keys = 300,
                                        .tags = 100,
                                        .usual = 20 << 10,
                                        .rare = VALUE_MAX,
                                        .operations = 150000 };
    run(&world);
}
END_TEST

START_TEST(a_cache_of_four_stripes_that_verifies_values_agrees_with_the_model)
{
    static const struct world world = { .memory_bytes = 1 << 20,
                                        .max_value_bytes = 16 << 10,
                                        .stripes = 4,
                                        .verify_values = 1,
                                        .keys = 2000,
                                        .tags = 100,
                                        .usual = 600,
                                        .rare = 15 << 10,
                                        .operations = 300000 };
    run(&world);
}
END_TEST

START_TEST(a_cache_with_more_tags_than_marks_agrees_with_the_model)
{
    static const struct world world = {
        .memory_bytes = 512 << 10, .keys = 1000, .tags = 3000, .usual = 100, .rare = 1000, .operations = 300000
    };
    run(&world);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "model", a_cache_with_room_for_all_agrees_with_the_model, a_tiny_cache_that_always_evicts_agrees_with_the_model,
        a_tiny_cache_of_many_empty_values_agrees_with_the_model, a_cache_of_large_values_agrees_with_the_model,
        a_cache_of_four_stripes_that_verifies_values_agrees_with_the_model,
        a_cache_with_more_tags_than_marks_agrees_with_the_model);
}
