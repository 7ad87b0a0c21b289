/*
 * A worker: one process of one host. It reads (reads.c), loads in all ways that there are (here: up to eight at a time with stamps of
 * its own), and changes things (writes.c).
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
 * that this thread spent waiting for a processor (counted from up to 20 ms before the call) is not libcache's. When all is well, Redis
 * answers each time.
 */
uint64_t call_end_within(struct worker *w, const struct call *call, unsigned key, unsigned locks, uint64_t wait_ms,
                         unsigned exchanges, const char *what)
{
    const struct settings *s = &w->arena->settings;
    uint64_t took_ns = now_ns() - call->begun_ns, allowed_ms = s->time_slack_ms + wait_ms, waited_ns;
    uint64_t stops = load_word(&w->state->stops), host_stops = load_word(&w->host_state->stops);
    int calm = !load_word(&w->arena->chaos) && load_word(&w->arena->calm_ns) < call->begun_ns;

    allowed_ms += (uint64_t)s->timeout_ms * (calm ? 1 : exchanges);
    __atomic_store_n(&w->state->doing, EVENT_NONE, __ATOMIC_RELAXED);
    if (took_ns > (wait_ms + STALL_MS) * 1000000)
        store_word(&w->arena->stalled_ns, now_ns());
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
    options.flags = row_is_missing(version) ? LIBCACHE_NEG : 0;
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
        options.flags |= LIBCACHE_SKIP_L1;
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

void begin_load(struct worker *w, unsigned key)
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

/* ---- Death at a point of its own choice (lib/l1/hook.h) --------------------------------------------------------------- */

#ifdef LIBCACHE_HOOKS
static struct arena *where_to_note;
static struct worker_state *whose_end;
static int last_point; /* atomic, both: its thread comes by, too */
static uint64_t countdown;

static void die_here(enum hook_point point)
{
    if ((int)point != __atomic_load_n(&last_point, __ATOMIC_RELAXED) || __atomic_sub_fetch(&countdown, 1, __ATOMIC_RELAXED))
        return;
    __atomic_fetch_add(&where_to_note->died[point], 1, __ATOMIC_RELAXED);
    store_word(&whose_end->killed, 1);
    kill(getpid(), SIGKILL);
}

/* Half of the time a point of coherence.c and its neighbours, else one of l1. */
static void choose_death(struct worker *w)
{
    int point = (int)(dice_chance(&w->dice, 50) ? HOOK_ANSWERED + dice_below(&w->dice, HOOK_ALL_POINTS - HOOK_ANSWERED)
                                                 : dice_below(&w->dice, HOOK_POINTS));

    where_to_note = w->arena;
    whose_end = w->state;
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

static int open_space(struct worker *w, int space, libcache_error *error)
{
    static const char *const names[SPACES] = { "even", "odd", "aging" };
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.ttl_ms = 600 * 1000;
    policy.load_timeout_ms = LEASE_MS;
    policy.load_backoff_ms = FAILED_MS;
    if (space == SPACE_AGING) {
        policy.ttl_ms = AGING_TTL_MS;
        policy.soft_ttl_ms = SOFT_MS;
        policy.grace_ms = GRACE_MS;
        policy.early_percent = 200;
        policy.load_lease = LIBCACHE_LEASE_REDIS;
    }
    return libcache_open_namespace(&w->spaces[space], w->cache, names[space], &policy, error);
}

static void open_cache(struct worker *w)
{
    const struct settings *s = &w->arena->settings;
    libcache_options options = LIBCACHE_OPTIONS_INIT;
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
    if (w->number % 2) {
        options.execute = execute;
        options.execute_arg = w;
    }
    do { /* another one is opening the segment, and may be stopped */
        result = libcache_open(&w->cache, &options, &error);
    } while (result == LIBCACHE_EBUSY && !load_word(&w->arena->stop) && now_ns() - begun_ns < UINT64_C(5000000000));
    for (int i = 0; i < SPACES && result == LIBCACHE_OK; i++)
        do
            result = open_space(w, i, &error);
        while (result == LIBCACHE_EBUSY && !load_word(&w->arena->stop));
    if (result != LIBCACHE_OK && !load_word(&w->arena->stop))
        violate(w->arena, "open", KEYS_MAX, "host %u: open gives %d: %s", w->host, result, error.text);
    took_ns = now_ns() - begun_ns;
    if (took_ns > w->state->counts.slowest_open_ns)
        w->state->counts.slowest_open_ns = took_ns;
}

static void work(struct worker *w)
{
    uint64_t roll = dice_below(&w->dice, 1000), begun_ns = now_ns();

    if (roll < 560)
        read_one(w);
    else if (roll < 610)
        read_many(w);
    else if (roll < 700)
        go_on_loading(w);
    else if (roll < 850)
        go_on_with_tokens(w);
    else if (roll < 865)
        begin_token(w, pick_key(w));
    else if (roll < 900)
        get_or_load(w, pick_key(w));
    else if (roll < 915)
        get_or_load_many(w);
    else if (roll < 940)
        run_jobs(w);
    else if (roll < 980)
        change_something(w);
    else if (roll < 983)
        libcache_sweep(w->cache, 50, NULL);
    probe(w, now_ns() - begun_ns > 2000000);
}

/* Naps of a millisecond, as an event loop has them. */
static void rest(struct worker *w)
{
    struct pollfd news = { w->load_fd, POLLIN, 0 };

    if (poll(&news, 1, 1) > 0)
        look_after_waiting(w);
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
    w.load_fd = w.cache && dice_chance(&w.dice, 50) ? libcache_load_fd(w.cache) : -1;
    for (uint64_t i = 1; !load_word(&arena->stop); i++) {
        store_word(&w.state->beat_ns, now_ns());
        work(&w);
        if (s->die && i % 64 == 0) /* who has not come by there yet tries elsewhere */
            choose_death(&w);
        if (s->pace && i % s->pace == 0)
            rest(&w);
    }
    run_jobs(&w);
    leave_tokens(&w);
    for (int i = 0; i < BATCH; i++)
        libcache_release_value(&w.values[i]);
    libcache_close(w.cache);
    _exit(0);
}
