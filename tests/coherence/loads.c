/*
 * Loads in steps: libcache_load_begin and what may follow, several at a time in one process, as an event loop has them.
 * SPDX-License-Identifier: MIT
 *
 *      begin --> WAIT -- load_wait, now and then --> as begin
 *            --> LEAD, BYPASS, or HIT and STALE with a load -- (recheck, before a refresh) --> the row is read --> commit, or abort
 *            --> the rest: nothing is to be done
 *
 * Steps come when the dice say so: a row may be old when it is committed. Some tokens are forgotten until long after their lease.
 */
#include "coherence/worker.h"

#include <stddef.h>

/* ---- Ends ------------------------------------------------------------------------------------------------------------ */

static void count_commit(struct worker *w, unsigned key, int result, const char *what)
{
    w->state->counts.loads++;
    w->state->counts.stored += result == LIBCACHE_OK;
    w->state->counts.fenced += result == LIBCACHE_FENCED;
    w->state->counts.load_errors += (uint64_t)count_error(w, result, key, what);
}

static void commit(struct worker *w, struct token *t)
{
    struct payload head = { .version = t->version,
                            .begun_ns = t->begun_ns,
                            .stored_ns = now_ns(),
                            .key = t->key,
                            .worker = w->number,
                            .origin = ORIGIN_LOAD };
    struct tag_texts tags;
    libcache_set_options options = set_options(&tags, t->key, t->version);
    struct history *history = &w->arena->keys[t->key].history;
    size_t size = payload_finish(w->bytes, &head);
    struct call call;
    int result, stored = !dice_chance(&w->dice, 4);

    if (!stored)
        options.flags |= LIBCACHE_NOT_STORED;
    else if (w->arena->settings.with_redis && dice_chance(&w->dice, 2))
        options.flags |= LIBCACHE_SKIP_L1;
    note(history, w->arena, w->number, EVENT_COMMIT, t->version, 0);
    call = call_begin(w, EVENT_COMMIT);
    result = libcache_load_commit(t->load, w->bytes, size, &options);
    call_end_within(w, &call, t->key, 3, 0, 2, "load_commit");
    note(history, w->arena, w->number, EVENT_COMMITTED, t->version, result);
    if (stored)
        count_commit(w, t->key, result, "load_commit");
    else if (result != LIBCACHE_OK)
        violate(w->arena, "G6", t->key, "load_commit of what is not to be stored gives %d", result);
}

static void abort_load(struct worker *w, struct token *t, int error)
{
    struct call call;

    if (error)
        failed(w, t->key);
    note(&w->arena->keys[t->key].history, w->arena, w->number, EVENT_ABORT, 0, error);
    call = call_begin(w, EVENT_ABORT);
    libcache_load_abort(t->load, error);
    call_end_within(w, &call, t->key, 2, 0, 1, "load_abort");
    if (error)
        failed(w, t->key);
    w->state->counts.failures += error != 0;
}

/* ---- What a begin gives ---------------------------------------------------------------------------------------------- */

/* What a begin, or a wait, has given; `before` is of then. */
static void given(struct worker *w, struct token *t, const struct floors *floors, int result,
                  const struct marks *before)
{
    struct counts *counts = &w->state->counts;
    int has_load = t->load != NULL,
        wants_load = result == LIBCACHE_LEAD || result == LIBCACHE_BYPASS || result == LIBCACHE_WAIT;
    struct payload head;

    t->leads = t->waits = t->refreshes = t->of_all = 0;
    if (has_load != wants_load && result != LIBCACHE_HIT && result != LIBCACHE_STALE)
        violate(w->arena, "load", t->key, "load_begin or load_wait gives %d with%s a load", result,
                has_load ? "" : "out");
    switch (result) {
    case LIBCACHE_HIT:
    case LIBCACHE_STALE:
    case LIBCACHE_NEGATIVE:
        check_value(w, t->key, floors, result, &w->values[0], &head, ASKING_TO_LOAD);
        t->leads = t->refreshes = has_load;
        counts->refreshes += (uint64_t)has_load;
        break;
    case LIBCACHE_LEAD:
        t->leads = 1;
        t->of_all = t->plain && key_space(t->key) == SPACE_AGING && marks_now(w).l2_errors == before->l2_errors;
        counts->leads++;
        break;
    case LIBCACHE_BYPASS: counts->bypasses++; break;
    case LIBCACHE_WAIT:
        t->waits = 1;
        counts->waits++;
        return;
    case LIBCACHE_ELOAD:
        check_failure(w, t->key, t->begun_ns);
        counts->refused++;
        return;
    default:
        violate(w->arena, "G6", t->key, "load_begin or load_wait gives %d: %s", result, libcache_describe(result));
        t->load = NULL;
    }
    if (t->leads)
        led(w, t->key);
    t->begun_ns = floors->begun_ns;
}

static void read_row(struct worker *w, struct token *t)
{
    if (!t->has_row)
        t->version = load_word(&w->arena->keys[t->key].db);
    t->has_row = 1;
    note(&w->arena->keys[t->key].history, w->arena, w->number, EVENT_DB_READ, t->version, 0);
    if (t->leads)
        t->lead = lead_take(w, t->key, t->begun_ns, t->of_all);
}

/* Of a begin or a wait: the look before a wait, the one after it, the lease, and the lease that is given back. */
enum { EXCHANGES = 4 };

static void wait_on(struct worker *w, struct token *t)
{
    unsigned wait_ms = dice_chance(&w->dice, 90) ? 0 : 3;
    struct marks before = marks_now(w);
    struct floors floors = floors_now(w->arena, w->host, t->key);
    struct call call = call_begin(w, EVENT_WAITED);
    int result = libcache_load_wait(&t->load, &w->values[0], wait_ms);

    call_end_within(w, &call, t->key, 4, wait_ms, EXCHANGES, "load_wait");
    if (result == LIBCACHE_WAIT) {
        check_wait(w, t->key, t->begun_ns);
        return;
    }
    note(&w->arena->keys[t->key].history, w->arena, w->number, EVENT_WAITED, 0, result);
    given(w, t, &floors, result, &before);
    if (t->load && t->has_row)
        read_row(w, t);
}

/* Before the row is read, or the load's stamp would be later than the row. 1: the load has ended. */
static int recheck(struct worker *w, struct token *t)
{
    struct floors floors = floors_now(w->arena, w->host, t->key);
    struct call call = call_begin(w, EVENT_RECHECKED);
    int result = libcache_load_recheck(t->load, &w->values[0]);
    struct payload head;

    call_end_within(w, &call, t->key, 3, 0, 2, "load_recheck");
    note(&w->arena->keys[t->key].history, w->arena, w->number, EVENT_RECHECKED, 0, result);
    if (result == LIBCACHE_MISS)
        return 0;
    if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE)
        check_value(w, t->key, &floors, result, &w->values[0], &head, ASKING_TO_LOAD);
    else if (result != LIBCACHE_STALE || key_space(t->key) != SPACE_AGING) /* STALE: another host has the lease, and refreshes it */
        violate(w->arena, "G6", t->key, "load_recheck gives %d: %s", result, libcache_describe(result));
    return 1;
}

static void end(struct worker *w, struct token *t)
{
    int late = t->asleep_until_ns != 0;

    w->state->counts.late_ends += (uint64_t)late;
    if (w->arena->settings.sabotage == SABOTAGE_LATE_RECHECK && dice_chance(&w->dice, 20)) {
        lead_end(w, &t->lead);
        if (recheck(w, t))
            return;
    }
    lead_end(w, &t->lead);
    if (late && dice_chance(&w->dice, 10)) /* never: nothing in libcache waits for it */
        return;
    if (dice_chance(&w->dice, 85))
        commit(w, t);
    else
        abort_load(w, t, dice_chance(&w->dice, 60) ? -1 : 0);
}

static void step(struct worker *w, struct token *t)
{
    if (!t->load || now_ns() < t->asleep_until_ns)
        return;
    if (t->waits) {
        if (dice_chance(&w->dice, 1)) { /* gives up */
            abort_load(w, t, 0);
            t->load = NULL;
        } else {
            wait_on(w, t);
        }
        return;
    }
    if (!t->has_row) {
        if (t->refreshes && dice_chance(&w->dice, 60) && recheck(w, t))
            t->load = NULL;
        else
            read_row(w, t);
        return;
    }
    if (!t->asleep_until_ns && dice_chance(&w->dice, 2)) { /* longer than its lease */
        t->asleep_until_ns = now_ns() + (LEASE_MS + dice_below(&w->dice, 3 * LEASE_MS)) * 1000000;
        return;
    }
    end(w, t);
    t->load = NULL;
}

static struct token *free_token(struct worker *w)
{
    for (int i = 0; i < TOKENS; i++)
        if (!w->tokens[i].load)
            return &w->tokens[i];
    return NULL;
}

void begin_token(struct worker *w, unsigned key)
{
    struct token *t = free_token(w);
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct history *history = &w->arena->keys[key].history;
    uint64_t wait_ms = 0, roll = dice_below(&w->dice, 100);
    struct floors floors;
    struct marks before;
    struct call call;
    char text[32];
    size_t size = key_text(text, key);
    int result;

    if (!t)
        return;
    *t = (struct token){ .key = key };
    if (roll < 60)
        options.flags = LIBCACHE_NO_BLOCK;
    else
        options.wait_ms = roll < 90 ? 4 : roll < 99 ? 40 : 0;
    wait_ms = options.wait_ms ? options.wait_ms : WAIT_MS;
    if (dice_chance(&w->dice, 5))
        options.flags |= LIBCACHE_REFRESH;
    if (dice_chance(&w->dice, 2))
        options.flags |= LIBCACHE_SKIP_L2;
    if (w->arena->settings.sabotage == SABOTAGE_EARLY_ROW && dice_chance(&w->dice, 20)) {
        t->version = load_word(&w->arena->keys[key].db);
        t->has_row = 1;
    }
    t->plain = !(options.flags & (LIBCACHE_REFRESH | LIBCACHE_SKIP_L2));
    before = marks_now(w);
    floors = floors_now(w->arena, w->host, key);
    t->begun_ns = floors.begun_ns;
    note(history, w->arena, w->number, EVENT_BEGIN, 0, options.flags);
    call = call_begin(w, EVENT_BEGIN);
    result = libcache_load_begin(&t->load, w->spaces[key_space(key)], text, size, &w->values[0], &options);
    call_end_within(w, &call, key, 4, wait_ms, EXCHANGES, "load_begin");
    note(history, w->arena, w->number, EVENT_BEGUN, 0, result);
    given(w, t, &floors, result, &before);
    if (t->load && options.flags & LIBCACHE_REFRESH)
        t->refreshes = 1;
    if (t->load && !t->waits && t->has_row)
        read_row(w, t);
    if (dice_chance(&w->dice, 60)) /* a quick one */
        while (t->load && !t->waits && !t->asleep_until_ns)
            step(w, t);
}

void go_on_with_tokens(struct worker *w)
{
    step(w, &w->tokens[dice_below(&w->dice, TOKENS)]);
}

void look_after_waiting(struct worker *w)
{
    libcache_load_drain(w->cache);
    for (int i = 0; i < TOKENS; i++)
        if (w->tokens[i].load && w->tokens[i].waits)
            wait_on(w, &w->tokens[i]);
}

void leave_tokens(struct worker *w)
{
    for (int i = 0; i < TOKENS; i++)
        lead_end(w, &w->tokens[i].lead);
}
