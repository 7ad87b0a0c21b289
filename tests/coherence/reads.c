/* What a worker reads, and what any value that it is given must be. SPDX-License-Identifier: MIT */
#include "coherence/worker.h"

#include <stdio.h>

unsigned pick_key(struct worker *w)
{
    unsigned keys = w->arena->settings.keys, hot = keys < HOT_KEYS ? keys : HOT_KEYS;
    return (unsigned)dice_below(&w->dice, dice_chance(&w->dice, 60) ? hot : keys);
}

/* ---- Floors ---------------------------------------------------------------------------------------------------------- */

static void too_old(struct worker *w, const char *rule, unsigned key, const struct floors *floors, uint64_t floor,
                    int result, const libcache_value *value, const struct payload *head)
{
    uint64_t raised = load_word(&w->arena->keys[key].own_ns[w->host]);
    int slow_load = rule[1] == '1' && head->origin == ORIGIN_LOAD && raised && head->stored_ns > raised;
    const char *given = result == LIBCACHE_STALE ? " as stale" : result == LIBCACHE_NEGATIVE ? " as missing" : "";
    char story[200] = "";

    if (head->stored_ns) /* there is none of what is missing */
        snprintf(story, sizeof story,
                 "\n  The value is of a %s by worker %u that began %.3f ms before the read and was stored %.3f ms "
                 "before it;",
                 head->origin == ORIGIN_LOAD ? "load" : "set", head->worker,
                 ((double)floors->begun_ns - (double)head->begun_ns) / 1e6,
                 ((double)floors->begun_ns - (double)head->stored_ns) / 1e6);
    violate_versions(w->arena, rule, key, head->version, floor,
                     "host %u, worker %u is given version %llu by L%d%s, but the floor was %llu when the read began "
                     "(own %llu, common"
                     " %llu)%s.%s\n  host %u last raised its own floor %.3f ms before the read",
                     w->host, w->number, (unsigned long long)head->version, value->tier, given,
                     (unsigned long long)floor, (unsigned long long)floors->own, (unsigned long long)floors->common,
                     slow_load ? ": G3" : "", story, w->host,
                     raised ? ((double)floors->begun_ns - (double)raised) / 1e6 : 0);
}

/* ---- Age ------------------------------------------------------------------------------------------------------------- */

/*
 * From when it was made to when the read began, or ended. Its maker, Redis, or who copied it may have been stopped meanwhile, or
 * have learnt Redis's clock while being stopped: then nobody knows how old it is for them. A machine that is busy stops them, too.
 */
static void check_age(struct worker *w, unsigned key, const struct floors *floors, int result,
                      const struct payload *head, enum asking how)
{
    uint64_t slack = AGE_SLACK_MS, most = SOFT_MS, least = 0, now = now_ns();
    double begun_ms = ((double)floors->begun_ns - (double)head->stored_ns) / 1e6,
           ended_ms = ((double)now - (double)head->stored_ns) / 1e6;

    if (key_space(key) != SPACE_AGING) {
        if (result == LIBCACHE_STALE)
            violate(w->arena, "age", key, "host %u, worker %u is given a stale value where nothing gets stale", w->host,
                    w->number);
        return;
    }
    if (!head->stored_ns || load_word(&w->arena->stopped_ns) || load_word(&w->arena->chaos) ||
        load_word(&w->arena->calm_ns) > head->stored_ns || load_word(&w->arena->stalled_ns) > head->stored_ns)
        return;
    if (result == LIBCACHE_STALE) {
        most = how == ASKING ? AGING_TTL_MS : AGING_TTL_MS + GRACE_MS;
        least = SOFT_MS - 30; /* the grain of clocks */
    }
    if (begun_ms > (double)(most + slack) || ended_ms < (double)least)
        violate(w->arena, "age", key,
                "host %u, worker %u is given version %llu as %s that was stored %.3f ms before the read began", w->host,
                w->number, (unsigned long long)head->version, result == LIBCACHE_STALE ? "stale" : "fresh", begun_ms);
}

void check_value(struct worker *w, unsigned key, const struct floors *floors, int result, const libcache_value *value,
                 struct payload *head, enum asking how)
{
    struct key_state *k = &w->arena->keys[key];
    struct counts *counts = &w->state->counts;
    const char *wrong =
        result == LIBCACHE_NEGATIVE ? payload_of_missing(value, key, head) : payload_check(value, key, head);

    if (!wrong && value->tier != LIBCACHE_TIER_L1 && value->tier != LIBCACHE_TIER_L2)
        wrong = "it is from no tier";
    if (wrong) {
        violate(w->arena, "foreign", key, "%s of %zu bytes that L%d gives to host %u: %s (key %u, version %llu)",
                result == LIBCACHE_NEGATIVE ? "nothing" : "a value", value->size, value->tier, w->host, wrong,
                head->key, (unsigned long long)head->version);
        return;
    }
    if (load_word(&k->seen[w->host]) != head->version) {
        store_word(&k->seen[w->host], head->version);
        note(&k->history, w->arena, w->number, EVENT_HIT, head->version, value->tier);
    }
    if (head->version > load_word(&k->db))
        violate(w->arena, "foreign", key, "host %u is given version %llu, which does not exist yet", w->host,
                (unsigned long long)head->version);
    if (head->version < floors->own)
        too_old(w, "G1", key, floors, floors->own, result, value, head);
    else if (head->version < floors->common)
        too_old(w, "G2", key, floors, floors->common, result, value, head);
    check_age(w, key, floors, result, head, how);
    counts->hits_l1 += value->tier == LIBCACHE_TIER_L1;
    counts->hits_l2 += value->tier == LIBCACHE_TIER_L2;
    counts->stale += result == LIBCACHE_STALE;
    counts->negatives += result == LIBCACHE_NEGATIVE;
    if (value->tier == LIBCACHE_TIER_L1)
        __atomic_store_n(&w->host_state->hit_ns, floors->begun_ns, __ATOMIC_RELAXED);
}

/* ---- Reads ----------------------------------------------------------------------------------------------------------- */

/* What a read has given. 1: a miss. */
static int check(struct worker *w, unsigned key, const struct floors *floors, int result, const libcache_value *value,
                 struct payload *head)
{
    w->state->counts.reads++;
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE) {
        check_value(w, key, floors, result, value, head, ASKING);
        return 0;
    }
    if (result != LIBCACHE_MISS)
        violate(w->arena, "G6", key, "a read gives %d: %s", result, libcache_describe(result));
    w->state->counts.misses++;
    return 1;
}

static int get(struct worker *w, unsigned key, unsigned flags, struct payload *head)
{
    char text[32];
    size_t size = key_text(text, key);
    struct floors floors = floors_now(w->arena, w->host, key);
    struct call call = call_begin(w, EVENT_HIT);
    int result = libcache_get(w->spaces[key_space(key)], text, size, &w->values[0], flags);
    uint64_t took_ns = call_end(w, &call, key, 2, "get");

    if (took_ns > w->state->counts.slowest_read_ns)
        w->state->counts.slowest_read_ns = took_ns;
    return check(w, key, &floors, result, &w->values[0], head);
}

/* Somebody has to load it: with a stamp of his own, or as the load functions do it. */
static void load_missing(struct worker *w, unsigned key)
{
    uint64_t roll = dice_below(&w->dice, 100);

    if (roll < 40)
        begin_load(w, key);
    else if (roll < 80)
        begin_token(w, key);
    else
        get_or_load(w, key);
}

void read_one(struct worker *w)
{
    unsigned key = pick_key(w), flags = 0;
    struct payload head;

    if (w->arena->settings.with_redis && dice_chance(&w->dice, 3))
        flags = dice_chance(&w->dice, 50) ? LIBCACHE_SKIP_L1 : LIBCACHE_READ_ONLY;
    if (dice_chance(&w->dice, 5))
        flags |= LIBCACHE_TIMES;
    if (get(w, key, flags, &head))
        load_missing(w, key);
}

void pick_keys(struct worker *w, struct many_keys *many, unsigned space)
{
    many->n = 1 + (unsigned)dice_below(&w->dice, BATCH);
    for (unsigned i = 0; i < many->n; i++) {
        do
            many->keys[i] = pick_key(w);
        while (key_space(many->keys[i]) != space);
        many->slices[i] = (libcache_slice){ many->texts[i], key_text(many->texts[i], many->keys[i]) };
        many->floors[i] = floors_now(w->arena, w->host, many->keys[i]);
    }
}

void read_many(struct worker *w)
{
    unsigned space = (unsigned)dice_below(&w->dice, SPACES);
    struct many_keys many;
    struct payload head;
    struct call call;
    int result;

    pick_keys(w, &many, space);
    call = call_begin(w, EVENT_HIT);
    result = libcache_get_many(w->spaces[space], many.slices, many.n, w->values, many.results, NULL, 0);
    call_end(w, &call, many.keys[0], 2 * many.n, "get_many");
    if (result != LIBCACHE_OK)
        violate(w->arena, "G6", many.keys[0], "get_many gives %d: %s", result, libcache_describe(result));
    for (unsigned i = 0; i < many.n && result == LIBCACHE_OK; i++)
        many.results[i] = check(w, many.keys[i], &many.floors[i], many.results[i], &w->values[i], &head);
    for (unsigned i = 0; i < many.n && result == LIBCACHE_OK; i++) /* not before: who loads uses the same values */
        if (many.results[i])
            load_missing(w, many.keys[i]);
}

/* ---- How long news takes ------------------------------------------------------------------------------------------------ */

/*
 * A writer asks every other host, by `mail`: when do you stop giving less than this version of this key? Whoever gets it
 * there reads the key until it is so. One word, so that the killed leave nothing half done: microseconds << 32 |
 * version << 12 | key. Who was busy meanwhile, with a loader or a wait, could not look.
 */
void probe(struct worker *w, int was_busy)
{
    uint64_t mail = __atomic_exchange_n(&w->host_state->mail, 0, __ATOMIC_ACQ_REL);
    unsigned key = (unsigned)(mail & (KEYS_MAX - 1)), stale = 0;
    uint64_t version = mail >> 12 & 0xfffff, asked_us = mail >> 32, until_ns = now_ns() + UINT64_C(3000000000), us;
    struct payload head = { 0 };

    if (!mail || was_busy)
        return;
    while (!get(w, key, 0, &head) && head.version < version) {
        stale = 1;
        if (load_word(&w->arena->stop) || load_word(&w->arena->chaos) || now_ns() > until_ns)
            return;
    }
    us = (now_ns() / 1000 - asked_us) & 0xffffffff;
    if (!load_word(&w->arena->chaos) && !load_word(&w->arena->stop))
        lags_add(w->arena, us * 1000, (int)stale);
}
