/*
 * Loads that libcache makes with a loader: libcache_get_or_load, _many, and libcache_warm. SPDX-License-Identifier: MIT
 *
 * A loader reads the row as soon as it is called, naps, and gives it, or an error. Who had it called must be given what it gave.
 * Half of the workers have an executor, which runs refreshes when the dice say so.
 */
#include "coherence/worker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The loader ------------------------------------------------------------------------------------------------------ */

static unsigned key_of(const libcache_slice *slice)
{
    char text[32] = "";

    memcpy(text, slice->data, slice->size < sizeof text ? slice->size : sizeof text - 1);
    return (unsigned)strtoul(text + strlen("row "), NULL, 10);
}

static void nap(struct query *q)
{
    uint64_t *dice = &q->w->dice, roll = dice_below(dice, 1000), begun_ns = now_ns();

    if (roll < 850)
        return;
    poll(NULL, 0,
         (int)(roll < 970   ? 1 + dice_below(dice, 5)
               : roll < 997 ? 5 + dice_below(dice, 40)
                            : LEASE_MS + dice_below(dice, 100)));
    q->napped_ns += now_ns() - begun_ns;
}

/* Where the row of a key is remembered. The same key may be loaded twice for one call that names it twice. */
static unsigned place_for(struct query *q, unsigned key)
{
    unsigned at = q->n < ROWS ? q->n++ : ROWS - 1;

    q->keys[at] = key;
    return at;
}

static void give(struct query *q, unsigned key, uint64_t version, unsigned i, libcache_loaded *out)
{
    struct payload head = { .version = version,
                            .begun_ns = q->begun_ns,
                            .stored_ns = now_ns(),
                            .key = key,
                            .worker = q->w->number,
                            .origin = ORIGIN_LOAD };
    libcache_set_options options = set_options(&q->tags[i], key, version);

    out->size = payload_finish(q->bytes[i], &head);
    out->data = q->bytes[i];
    out->tags = options.tags;
    out->n_tags = options.n_tags;
    out->codec = options.codec;
    out->user_flags = options.user_flags;
    out->flags = options.flags;
    if (dice_chance(&q->w->dice, 3))
        out->flags |= LIBCACHE_NOT_STORED;
}

/* n rows in one query; results NULL: its error is that of the only one. */
static int query_rows(struct query *q, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    struct worker *w = q->w;
    struct marks now = marks_now(w);
    int leads = q->later || now.bypasses == q->before.bypasses,
        error = dice_chance(&w->dice, n > 1 ? 2 : 8) ? -7 : LIBCACHE_OK;
    int of_all = leads && q->leased && now.refreshes == q->before.refreshes && now.l2_errors == q->before.l2_errors;
    struct lead leading[BATCH];
    unsigned places[BATCH];

    q->runs++;
    if (n > BATCH) {
        violate(w->arena, "load", KEYS_MAX, "a loader is asked for %zu keys", n);
        return -7;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned key = key_of(&keys[i]), at = places[i] = place_for(q, key);
        q->versions[at] = load_word(&w->arena->keys[key].db);
        note(&w->arena->keys[key].history, w->arena, w->number, EVENT_DB_READ, q->versions[at], 0);
        leading[i] = (struct lead){ 0 };
        if (leads) {
            led(w, key);
            leading[i] = lead_take(w, key, q->begun_ns, of_all && key_space(key) == SPACE_AGING);
        }
    }
    nap(q);
    for (size_t i = 0; i < n; i++) {
        unsigned key = key_of(&keys[i]), at = places[i];
        int one = error == LIBCACHE_OK && results && dice_chance(&w->dice, 4) ? -8 : error;
        if (results)
            results[i] = one;
        q->failed[at] = one != LIBCACHE_OK;
        if (one == LIBCACHE_OK)
            give(q, key, q->versions[at], (unsigned)i, &out[i]);
        else
            failed(w, key);
        w->state->counts.failures += one != LIBCACHE_OK;
        w->state->counts.loads += one == LIBCACHE_OK;
        lead_end(w, &leading[i]);
    }
    return error;
}

static int load_row(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    return query_rows(arg, key, 1, out, NULL);
}

static int load_rows(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    return query_rows(arg, keys, n, out, results);
}

/* ---- The executor ---------------------------------------------------------------------------------------------------- */

static void *keep(void *arg)
{
    const struct query *call = arg;
    struct worker *w = call->w;

    for (int i = 1; i < QUERIES; i++) {
        struct query *q = &w->queries[i];
        if (q->used)
            continue;
        q->w = w;
        q->used = q->later = 1;
        q->leased = 0;
        q->runs = q->n = 0;
        q->begun_ns = call->begun_ns;
        return q;
    }
    abort(); /* more are kept than there are jobs */
}

static void drop(void *kept)
{
    ((struct query *)kept)->used = 0;
}

int execute(void *arg, void (*run)(void *), void *job_arg)
{
    struct worker *w = arg;

    for (int i = 0; i < JOBS; i++)
        if (!w->jobs[i].run && dice_chance(&w->dice, 90)) {
            w->jobs[i] = (struct job){ run, job_arg };
            return 0;
        }
    return 1;
}

/* Loads of them are believed for their lease only. */
void run_jobs(struct worker *w)
{
    for (int i = 0; i < JOBS; i++) {
        struct job job = w->jobs[i];
        w->jobs[i].run = NULL;
        if (job.run)
            job.run(job.arg);
    }
}

/* ---- Calls ----------------------------------------------------------------------------------------------------------- */

static struct query *query_for(struct worker *w)
{
    struct query *q = &w->queries[0];

    q->w = w;
    q->used = 1;
    q->later = q->leased = 0;
    q->runs = q->n = 0;
    q->napped_ns = 0;
    q->before = marks_now(w);
    q->begun_ns = now_ns();
    return q;
}

/* Of a call for n keys: Redis before the loader, after a wait, for the lease, after the loader for each, and to give back the lease. */
static unsigned exchanges(unsigned n)
{
    return n + 4;
}

static uint64_t wait_of(const struct query *q, uint64_t wait_ms)
{
    return wait_ms + q->napped_ns / 1000000 + 1;
}

/* The loader gave this version of the key; or, with `failed`, an error. */
static int gave(const struct query *q, unsigned key, int failed, uint32_t version)
{
    for (unsigned i = 0; i < q->n; i++)
        if (q->keys[i] == key && q->failed[i] == failed && (failed || (uint32_t)q->versions[i] == version))
            return 1;
    return 0;
}

static void check_given(struct worker *w, const struct query *q, unsigned key, const struct floors *floors, int result,
                        const libcache_value *value)
{
    struct payload head;
    const char *wrong;

    if ((result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE) && value->tier == 0) {
        wrong = result == LIBCACHE_HIT ? payload_check(value, key, &head) : payload_of_missing(value, key, &head);
        if (!wrong && !gave(q, key, 0, (uint32_t)head.version))
            wrong = "it is none that its loader gave";
        if (wrong)
            violate(w->arena, "load", key, "worker %u is given version %llu as from its loader: %s", w->number,
                    (unsigned long long)head.version, wrong);
        return;
    }
    if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE || result == LIBCACHE_STALE)
        check_value(w, key, floors, result, value, &head, ASKING_TO_LOAD);
    else if (result != LIBCACHE_ELOAD)
        violate(w->arena, "G6", key, "get_or_load gives %d: %s", result, libcache_describe(result));
    else if (!gave(q, key, 1, 0))
        check_failure(w, key, q->begun_ns);
    w->state->counts.refused += result == LIBCACHE_ELOAD;
}

/* Loads that failed are over now, or will be later. */
static void note_failures(struct worker *w, const struct query *q)
{
    for (unsigned i = 0; i < q->n; i++)
        if (q->failed[i])
            failed(w, q->keys[i]);
}

static libcache_load_options load_options(struct worker *w, unsigned *wait_ms)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    uint64_t roll = dice_below(&w->dice, 100);

    options.keep = keep;
    options.drop = drop;
    options.wait_ms = roll < 75 ? 5 : roll < 98 ? 40 : 0;
    *wait_ms = options.wait_ms ? options.wait_ms : WAIT_MS;
    if (dice_chance(&w->dice, 5))
        options.flags = LIBCACHE_REFRESH;
    return options;
}

void get_or_load(struct worker *w, unsigned key)
{
    struct history *history = &w->arena->keys[key].history;
    unsigned wait_ms;
    libcache_load_options options = load_options(w, &wait_ms);
    int plain = w->number % 2 == 0 &&
                dice_chance(&w->dice, 30); /* the short way; with an executor our query must outlive the call */
    struct query *q = query_for(w);
    char text[32];
    size_t size = key_text(text, key);
    struct floors floors = floors_now(w->arena, w->host, key);
    struct call call;
    int result;

    q->leased = plain || !(options.flags & LIBCACHE_REFRESH);
    note(history, w->arena, w->number, EVENT_GET_OR_LOAD, 0, 0);
    call = call_begin(w, EVENT_GET_OR_LOAD);
    result = libcache_get_or_load(w->spaces[key_space(key)], text, size, &w->values[0], load_row, q,
                                  plain ? NULL : &options);
    call_end_within(w, &call, key, 6, wait_of(q, plain ? WAIT_MS : wait_ms), exchanges(1), "get_or_load");
    note(history, w->arena, w->number, EVENT_GOT, 0, result);
    note_failures(w, q);
    if (q->runs > 1)
        violate(w->arena, "load", key, "get_or_load ran the loader %u times", q->runs);
    if (q->runs && !q->failed[0] && ((result != LIBCACHE_HIT && result != LIBCACHE_NEGATIVE) || w->values[0].tier != 0))
        violate(w->arena, "load", key, "get_or_load gives %d of L%d after its loader gave a value", result,
                w->values[0].tier);
    check_given(w, q, key, &floors, result, &w->values[0]);
}

static int no_progress(void *arg, size_t done, size_t n)
{
    (void)n;
    return ((struct query *)arg)->runs > 3 && done;
}

static void warm(struct worker *w, struct many_keys *many, unsigned space)
{
    unsigned wait_ms;
    libcache_load_options options = load_options(w, &wait_ms);
    struct query *q = query_for(w);
    struct call call = call_begin(w, EVENT_GET_OR_LOAD);
    int result;

    options.concurrency = dice_below(&w->dice, 4); /* its jobs run when it has returned */
    result = libcache_warm(w->spaces[space], many->slices, many->n, 1 + dice_below(&w->dice, 4), load_rows, q,
                           no_progress, &options);
    call_end_within(w, &call, many->keys[0], 6 * many->n, wait_of(q, wait_ms * many->n), many->n * exchanges(1), "warm");
    note_failures(w, q);
    if (result != LIBCACHE_OK && result != LIBCACHE_ELOAD)
        violate(w->arena, "G6", many->keys[0], "warm gives %d: %s", result, libcache_describe(result));
}

void get_or_load_many(struct worker *w)
{
    unsigned space = (unsigned)dice_below(&w->dice, SPACES), wait_ms;
    libcache_load_options options = load_options(w, &wait_ms);
    struct many_keys many;
    struct query *q;
    struct call call;
    int result;

    w->state->counts.batches++;
    pick_keys(w, &many, space);
    if (dice_chance(&w->dice, 10)) {
        warm(w, &many, space);
        return;
    }
    q = query_for(w);
    for (unsigned i = 0; i < many.n; i++) {
        many.floors[i] = floors_now(w->arena, w->host, many.keys[i]);
        note(&w->arena->keys[many.keys[i]].history, w->arena, w->number, EVENT_GET_OR_LOAD, 0, many.n);
    }
    call = call_begin(w, EVENT_GET_OR_LOAD);
    result = libcache_get_or_load_many(w->spaces[space], many.slices, many.n, w->values, many.results, load_rows, q,
                                       &options);
    call_end_within(w, &call, many.keys[0], 6 * many.n, wait_of(q, wait_ms), exchanges(3 * many.n), "get_or_load_many");
    note_failures(w, q);
    if (result != LIBCACHE_OK && result != LIBCACHE_ELOAD)
        violate(w->arena, "G6", many.keys[0], "get_or_load_many gives %d: %s", result, libcache_describe(result));
    for (unsigned i = 0; i < many.n; i++) {
        note(&w->arena->keys[many.keys[i]].history, w->arena, w->number, EVENT_GOT, 0, many.results[i]);
        check_given(w, q, many.keys[i], &many.floors[i], many.results[i], &w->values[i]);
    }
}
