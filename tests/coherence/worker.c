/*
 * A worker: one process of one host. It reads, keeps up to eight loads open at a time, and changes things (writes.c).
 * SPDX-License-Identifier: MIT
 */
#include "coherence/worker.h"

#include "l1/hook.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- G7: time -------------------------------------------------------------------------------------------------- */

static uint64_t read_waited_ns(struct worker *w)
{
    char text[100];
    ssize_t n = w->schedstat < 0 ? 0 : pread(w->schedstat, text, sizeof text - 1, 0);
    const char *second;

    text[n > 0 ? n : 0] = 0;
    second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) : 0;
}

struct call call_begin(struct worker *w, enum event_type doing)
{
    struct call call = { now_ns(), load_word(&w->state->stops), load_word(&w->host_state->stops) };

    if (call.begun_ns - w->waited_at_ns > 20000000) {
        w->waited_ns = read_waited_ns(w);
        w->waited_at_ns = call.begun_ns;
    }
    __atomic_store_n(&w->state->doing, (int)doing, __ATOMIC_RELAXED);
    return call;
}

/*
 * Who was stopped meanwhile is excused. While another process of the host is stopped, locks may have to be waited for. Time
 * that this thread spent waiting for a processor (counted from up to 20 ms before the call) is not libcache's.
 */
uint64_t call_end(struct worker *w, const struct call *call, unsigned key, unsigned locks, const char *what)
{
    const struct settings *s = &w->arena->settings;
    uint64_t took_ns = now_ns() - call->begun_ns, allowed_ms = s->timeout_ms + s->time_slack_ms, waited_ns;
    uint64_t stops = load_word(&w->state->stops), host_stops = load_word(&w->host_state->stops);

    __atomic_store_n(&w->state->doing, EVENT_NONE, __ATOMIC_RELAXED);
    if (stops != call->own_stops || stops % 2)
        return 0;
    if (host_stops != call->host_stops || host_stops & 0xff)
        allowed_ms += (uint64_t)locks * LOCK_WAIT_MS;
    if (took_ns > allowed_ms * 1000000) {
        waited_ns = read_waited_ns(w) - w->waited_ns;
        if (took_ns > allowed_ms * 1000000 + waited_ns)
            violate(w->arena, "G7", key, "%s took %.1f ms (%.1f ms without a processor), more than %llu ms", what,
                    (double)took_ns / 1e6, (double)waited_ns / 1e6, (unsigned long long)allowed_ms);
        return 0;
    }
    return took_ns;
}

/* ---- Loads --------------------------------------------------------------------------------------------------------- */

libcache_set_options set_options(struct tag_texts *tags, unsigned key, uint64_t version)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    unsigned numbers[2], n = key_tags(numbers, key);

    for (unsigned i = 0; i < n; i++)
        tags->slices[i] = (libcache_slice){ tags->texts[i], tag_text(tags->texts[i], numbers[i]) };
    options.tags = tags->slices;
    options.n_tags = n;
    options.codec = (uint8_t)version;
    options.user_flags = (uint32_t)(version ^ key);
    return options;
}

/* Errors that Redis in trouble, or a stopped process with a lock, may cause. */
int count_error(struct worker *w, int result, unsigned key, const char *what)
{
    struct counts *counts = &w->state->counts;

    if (result >= 0)
        return 0;
    counts->errors[-result < 23 ? -result : 23]++;
    if (!load_word(&w->arena->chaos))
        counts->calm_errors++;
    if (result != LIBCACHE_EUNAVAILABLE && result != LIBCACHE_ETIMEDOUT && result != LIBCACHE_EREMOTE &&
        result != LIBCACHE_EBUSY)
        violate(w->arena, "G6", key, "%s gives %d: %s", what, result, libcache_describe(result));
    return 1;
}

static void take_stamp(struct worker *w, struct load *load)
{
    char text[32];
    size_t size = key_text(text, load->key);
    struct call call = call_begin(w, EVENT_STAMP);
    int result = libcache_take_stamp(w->spaces[key_space(load->key)], text, size, &load->stamp);

    call_end(w, &call, load->key, 1, "take_stamp");
    if (result != LIBCACHE_OK)
        violate(w->arena, "G6", load->key, "take_stamp gives %d: %s", result, libcache_describe(result));
    note(&w->arena->keys[load->key].history, w->arena, w->number, EVENT_STAMP, 0, (int64_t)load->stamp.position);
}

static void read_row(struct worker *w, struct load *load)
{
    load->version = load_word(&w->arena->keys[load->key].db);
    load->has_row = 1;
    note(&w->arena->keys[load->key].history, w->arena, w->number, EVENT_DB_READ, load->version, 0);
}

static void store(struct worker *w, struct load *load)
{
    struct payload head = { .version = load->version, .begun_ns = load->begun_ns, .stored_ns = now_ns(),
                            .key = load->key, .worker = w->number, .origin = ORIGIN_LOAD };
    struct tag_texts tags;
    libcache_set_options options = set_options(&tags, load->key, load->version);
    struct history *history = &w->arena->keys[load->key].history;
    size_t size = payload_finish(w->bytes, &head), key_size;
    char text[32];
    struct call call;
    int result;

    key_size = key_text(text, load->key);
    if (w->arena->settings.sabotage == SABOTAGE_LATE_STAMP)
        take_stamp(w, load);
    if (w->arena->settings.sabotage != SABOTAGE_NO_STAMP)
        options.stamp = &load->stamp;
    if (dice_chance(&w->dice, 2) && w->arena->settings.with_redis)
        options.flags = LIBCACHE_SKIP_L1;
    note(history, w->arena, w->number, EVENT_STORE, load->version, 0);
    call = call_begin(w, EVENT_STORE);
    result = libcache_set(w->spaces[key_space(load->key)], text, key_size, w->bytes, size, &options);
    call_end(w, &call, load->key, 2, "set with a stamp");
    note(history, w->arena, w->number, EVENT_STORED, load->version, result);
    w->state->counts.loads++;
    w->state->counts.stored += result == LIBCACHE_OK;
    w->state->counts.fenced += result == LIBCACHE_FENCED;
    w->state->counts.load_errors += (uint64_t)count_error(w, result, load->key, "set with a stamp");
    load->open = 0;
}

/* One step of any open load; a load has two: read the row, store it. */
static void go_on_loading(struct worker *w)
{
    struct load *load = &w->loads[dice_below(&w->dice, OPEN_LOADS)];

    if (load->open && !load->has_row)
        read_row(w, load);
    else if (load->open)
        store(w, load);
}

static void begin_load(struct worker *w, unsigned key)
{
    struct load *load = &w->loads[dice_below(&w->dice, OPEN_LOADS)];

    while (load->open)
        load->has_row ? store(w, load) : read_row(w, load);
    *load = (struct load){ .open = 1, .key = key, .begun_ns = now_ns() };
    take_stamp(w, load);
    if (dice_chance(&w->dice, 50)) { /* a quick one */
        read_row(w, load);
        store(w, load);
    }
}

/* ---- Reads ---------------------------------------------------------------------------------------------------------- */

unsigned pick_key(struct worker *w)
{
    unsigned keys = w->arena->settings.keys, hot = keys < 24 ? keys : 24;
    return (unsigned)dice_below(&w->dice, dice_chance(&w->dice, 60) ? hot : keys);
}

static void too_old(struct worker *w, const char *rule, unsigned key, const struct floors *floors, uint64_t floor,
                    const libcache_value *value, const struct payload *head)
{
    uint64_t raised = load_word(&w->arena->keys[key].own_ns[w->host]);
    int slow_load = rule[1] == '1' && head->origin == ORIGIN_LOAD && raised && head->stored_ns > raised;

    violate_versions(
        w->arena, rule, key, head->version, floor,
        "host %u, worker %u is given version %llu by L%d, but the floor was %llu when the read began (own %llu, common"
            " %llu)%s.\n  The value is of a %s by worker %u that began %.3f ms before the read and was stored %.3f ms before"
            " it;\n  host %u last raised its own floor %.3f ms before the read",
            w->host, w->number, (unsigned long long)head->version, value->tier, (unsigned long long)floor,
            (unsigned long long)floors->own, (unsigned long long)floors->common, slow_load ? ": G3" : "",
            head->origin == ORIGIN_LOAD ? "load" : "set", head->worker,
            ((double)floors->begun_ns - (double)head->begun_ns) / 1e6,
            ((double)floors->begun_ns - (double)head->stored_ns) / 1e6, w->host,
            raised ? ((double)floors->begun_ns - (double)raised) / 1e6 : 0);
}

static void check_hit(struct worker *w, unsigned key, const struct floors *floors, const libcache_value *value,
                      struct payload *head)
{
    struct key_state *k = &w->arena->keys[key];
    const char *wrong = payload_check(value, key, head);

    if (wrong) {
        violate(w->arena, "foreign", key, "a value of %zu bytes that L%d gives to host %u: %s (key %u, version %llu)",
                value->size, value->tier, w->host, wrong, head->key, (unsigned long long)head->version);
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
        too_old(w, "G1", key, floors, floors->own, value, head);
    else if (head->version < floors->common)
        too_old(w, "G2", key, floors, floors->common, value, head);
}

/* What a read has given. 1: a miss. */
static int check(struct worker *w, unsigned key, const struct floors *floors, int result, const libcache_value *value,
                 struct payload *head)
{
    struct counts *counts = &w->state->counts;

    counts->reads++;
    if (result == LIBCACHE_HIT) {
        check_hit(w, key, floors, value, head);
        counts->hits_l1 += value->tier == LIBCACHE_TIER_L1;
        counts->hits_l2 += value->tier == LIBCACHE_TIER_L2;
        if (value->tier == LIBCACHE_TIER_L1)
            __atomic_store_n(&w->host_state->hit_ns, floors->begun_ns, __ATOMIC_RELAXED);
        return 0;
    }
    if (result != LIBCACHE_MISS)
        violate(w->arena, "G6", key, "a read gives %d: %s", result, libcache_describe(result));
    counts->misses++;
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

static void read_one(struct worker *w)
{
    unsigned key = pick_key(w), flags = 0;
    struct payload head;

    if (w->arena->settings.with_redis && dice_chance(&w->dice, 3))
        flags = dice_chance(&w->dice, 50) ? LIBCACHE_SKIP_L1 : LIBCACHE_READ_ONLY;
    if (dice_chance(&w->dice, 5))
        flags |= LIBCACHE_TIMES;
    if (get(w, key, flags, &head))
        begin_load(w, key);
}

static void read_many(struct worker *w)
{
    unsigned n = 1 + (unsigned)dice_below(&w->dice, BATCH), space = (unsigned)dice_below(&w->dice, SPACES);
    unsigned keys[BATCH] = { 0 };
    char texts[BATCH][32];
    libcache_slice slices[BATCH];
    struct floors floors[BATCH];
    int results[BATCH], result;
    struct payload head;
    struct call call;

    for (unsigned i = 0; i < n; i++) {
        do
            keys[i] = pick_key(w);
        while (key_space(keys[i]) != space);
        slices[i] = (libcache_slice){ texts[i], key_text(texts[i], keys[i]) };
        floors[i] = floors_now(w->arena, w->host, keys[i]);
    }
    call = call_begin(w, EVENT_HIT);
    result = libcache_get_many(w->spaces[space], slices, n, w->values, results, NULL, 0);
    call_end(w, &call, keys[0], 2 * n, "get_many");
    if (result != LIBCACHE_OK)
        violate(w->arena, "G6", keys[0], "get_many gives %d: %s", result, libcache_describe(result));
    for (unsigned i = 0; i < n && result == LIBCACHE_OK; i++)
        if (check(w, keys[i], &floors[i], results[i], &w->values[i], &head))
            begin_load(w, keys[i]);
}

/* ---- How long news takes ------------------------------------------------------------------------------------------------ */

/*
 * A writer asks every other host, by `mail`: when do you stop giving less than this version of this key? Whoever gets it
 * there reads the key until it is so. One word, so that the killed leave nothing half done: microseconds << 32 |
 * version << 12 | key.
 */
static void probe(struct worker *w)
{
    uint64_t mail = __atomic_exchange_n(&w->host_state->mail, 0, __ATOMIC_ACQ_REL);
    unsigned key = (unsigned)(mail & (KEYS_MAX - 1)), stale = 0;
    uint64_t version = mail >> 12 & 0xfffff, asked_us = mail >> 32, until_ns = now_ns() + UINT64_C(3000000000), us;
    struct payload head = { 0 };

    if (!mail)
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

/* ---- Death at a point of its own choice (lib/l1/hook.h) --------------------------------------------------------------- */

#ifdef LIBCACHE_HOOKS
static struct arena *where_to_note;
static int last_point; /* atomic, both: its thread comes by, too */
static uint64_t countdown;

static void die_here(enum hook_point point)
{
    if ((int)point != __atomic_load_n(&last_point, __ATOMIC_RELAXED) || __atomic_sub_fetch(&countdown, 1, __ATOMIC_RELAXED))
        return;
    __atomic_fetch_add(&where_to_note->died[point], 1, __ATOMIC_RELAXED);
    kill(getpid(), SIGKILL);
}

/* Half of the time a point of coherence.c and its neighbours, else one of l1. */
static void choose_death(struct worker *w)
{
    int point = (int)(dice_chance(&w->dice, 50) ? HOOK_ANSWERED + dice_below(&w->dice, HOOK_ALL_POINTS - HOOK_ANSWERED)
                                                 : dice_below(&w->dice, HOOK_POINTS));

    where_to_note = w->arena;
    __atomic_store_n(&last_point, HOOK_ALL_POINTS, __ATOMIC_RELAXED);
    store_word(&countdown, 1 + dice_below(&w->dice, UINT64_C(1) << dice_below(&w->dice, 7)));
    __atomic_store_n(&last_point, point, __ATOMIC_RELAXED);
    hook_function = die_here;
}
#else
static void choose_death(struct worker *w)
{
    violate(w->arena, "rig", KEYS_MAX, "--die needs the hooks variant");
}
#endif

/* ---- The process ------------------------------------------------------------------------------------------------------ */

static void open_cache(struct worker *w)
{
    const struct settings *s = &w->arena->settings;
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error = { 0 };
    uint64_t begun_ns = now_ns(), took_ns;
    int result;

    options.segment = LIBCACHE_NAMED;
    options.name = w->arena->segment[w->host];
    options.memory_bytes = w->host % 2 ? 512 << 10 : 4 << 20;
    options.max_value_bytes = VALUE_BYTES_MAX;
    options.stripes = 1 + w->host % 3;
    options.max_namespaces = 4;
    options.lock_wait_ms = LOCK_WAIT_MS;
    if (s->with_redis) {
        options.redis_url = w->arena->redis_url;
        options.redis_prefix = "coh";
        options.redis_timeout_ms = s->timeout_ms;
        options.pool_max = 4;
        options.breaker_backoff_ms = 20;
        options.breaker_backoff_max_ms = BACKOFF_MAX_MS;
        options.max_staleness_ms = s->staleness_ms;
        options.listener = w->host % 2 ? LIBCACHE_LISTEN_ON_CALLS : LIBCACHE_LISTEN_IN_THREAD;
        options.log_length = 2000;
    }
    policy.ttl_ms = 600 * 1000;
    do { /* another one is opening the segment, and may be stopped */
        result = libcache_open(&w->cache, &options, &error);
    } while (result == LIBCACHE_EBUSY && !load_word(&w->arena->stop) && now_ns() - begun_ns < UINT64_C(5000000000));
    for (int i = 0; i < SPACES && result == LIBCACHE_OK; i++)
        do
            result = libcache_open_namespace(&w->spaces[i], w->cache, i ? "odd" : "even", &policy, &error);
        while (result == LIBCACHE_EBUSY && !load_word(&w->arena->stop));
    if (result != LIBCACHE_OK && !load_word(&w->arena->stop))
        violate(w->arena, "open", KEYS_MAX, "host %u: open gives %d: %s", w->host, result, error.text);
    took_ns = now_ns() - begun_ns;
    if (took_ns > w->state->counts.slowest_open_ns)
        w->state->counts.slowest_open_ns = took_ns;
}

static void work(struct worker *w)
{
    uint64_t roll = dice_below(&w->dice, 1000);

    if (roll < 620)
        read_one(w);
    else if (roll < 690)
        read_many(w);
    else if (roll < 860)
        go_on_loading(w);
    else if (roll < 900)
        change_something(w);
    else if (roll < 903)
        libcache_sweep(w->cache, 50, NULL);
    probe(w);
}

void worker_run(struct arena *arena, unsigned number)
{
    static struct worker w;
    const struct settings *s = &arena->settings;

    w.arena = arena;
    w.number = number;
    w.state = &arena->workers[number];
    w.host = w.state->host;
    w.host_state = &arena->hosts[w.host];
    w.dice = s->seed + (number + 1) * UINT64_C(0x632be59bd9b4e019) + w.state->lives * UINT64_C(0xd1b54a32d192ed03);
    w.schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (s->die)
        choose_death(&w);
    open_cache(&w);
    for (uint64_t i = 1; !load_word(&arena->stop); i++) {
        store_word(&w.state->beat_ns, now_ns());
        work(&w);
        if (s->die && i % 64 == 0) /* who has not come by there yet tries elsewhere */
            choose_death(&w);
        if (s->pace && i % s->pace == 0)
            poll(NULL, 0, 1);
    }
    for (int i = 0; i < BATCH; i++)
        libcache_release_value(&w.values[i]);
    libcache_close(w.cache);
    _exit(0);
}
