/*
 * Chaos: one action at a time, and then all hosts must get well again: a write that succeeds and a hit in L1 on each.
 * SPDX-License-Identifier: MIT
 *
 * An action undoes what it does (resumes, continues) also when the time is up in the middle of it.
 */
#include "coherence/coherence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "{coh}"

enum { RECOVERY_MS = 10000 };

static void broken_rig(struct coordinator *c, const char *what)
{
    violate(c->arena, "rig", KEYS_MAX, "%s: %s", what, c->redis.error);
}

/* What Redis is told in the middle of chaos may be refused or come to nothing. */
static void tell(struct coordinator *c, const char *const *argv)
{
    char answer[200];
    redis_server_strings(&c->redis, answer, sizeof answer, argv);
}
#define TELL(c, ...) tell(c, (const char *const[]){ __VA_ARGS__, NULL })

static void restart(struct coordinator *c, enum redis_data data)
{
    if (redis_server_restart(&c->redis, data) != 0)
        broken_rig(c, "restart of Redis");
}

static unsigned between(struct coordinator *c, unsigned from, unsigned to)
{
    return from + (unsigned)dice_below(&c->dice, to - from + 1);
}

/* ---- Redis loses things --------------------------------------------------------------------------------------- */

static void empty(struct coordinator *c)
{
    redis_server_kill(&c->redis);
    if (dice_chance(&c->dice, 50))
        watch(c, between(c, 0, 1500));
    restart(c, REDIS_EMPTY);
}

/* No write is under way when this returns, and none begins until continue_writers. */
static void pause_writers(struct coordinator *c)
{
    unsigned busy;

    store_word(&c->arena->pause_writers, 1);
    do {
        busy = 0;
        for (unsigned i = 0; i < c->arena->n_workers; i++)
            busy += load_word(&c->arena->workers[i].writing) != 0;
    } while (busy && !watch(c, 1));
}

static void continue_writers(struct coordinator *c)
{
    store_word(&c->arena->pause_writers, 0);
}

/* What Redis had acknowledged is all there again; connections are lost, and without an append-only file some fills. */
static void revive(struct coordinator *c)
{
    if (!c->arena->settings.keep) {
        pause_writers(c);
        TELL(c, "SAVE");
        watch(c, between(c, 0, 300));
    }
    redis_server_kill(&c->redis);
    watch(c, between(c, 0, 300));
    restart(c, REDIS_KEPT);
    continue_writers(c);
}

/* Acknowledged invalidations are lost, and the positions they had are given out again. */
static void older(struct coordinator *c)
{
    floors_copy(c->arena);
    if (redis_server_copy(&c->redis) != 0) {
        broken_rig(c, "copy of Redis");
        return;
    }
    watch(c, between(c, 200, 2500));
    redis_server_kill(&c->redis);
    floors_be_lenient(c->arena, 60000);
    if (dice_chance(&c->dice, 50))
        watch(c, between(c, 0, 1000));
    restart(c, REDIS_COPY);
    floors_be_lenient(c->arena, LENIENT_MS);
}

static void stop_host(struct coordinator *c, unsigned host, void (*how)(struct coordinator *, unsigned))
{
    for (unsigned i = 0; i < c->arena->n_workers; i++)
        if (c->arena->workers[i].host == host)
            how(c, i);
}

/*
 * The same, and the one host that saw the lost positions sleeps until the others, which slept meanwhile, have given out
 * more positions than were lost: it finds a counter that is not lower than the one it knows.
 */
static void overtake(struct coordinator *c)
{
    unsigned hosts = c->arena->settings.hosts, knows = (unsigned)dice_below(&c->dice, hosts);

    for (unsigned host = 0; host < hosts; host++)
        if (host != knows)
            stop_host(c, host, worker_stop);
    floors_copy(c->arena);
    if (redis_server_copy(&c->redis) != 0)
        broken_rig(c, "copy of Redis");
    watch(c, 300);
    stop_host(c, knows, worker_stop);
    redis_server_kill(&c->redis);
    floors_be_lenient(c->arena, 60000);
    restart(c, REDIS_COPY);
    for (unsigned host = 0; host < hosts; host++)
        if (host != knows)
            stop_host(c, host, worker_continue);
    watch(c, 1500);
    stop_host(c, knows, worker_continue);
    floors_be_lenient(c->arena, LENIENT_MS);
}

static void flush_all(struct coordinator *c)
{
    TELL(c, "FLUSHALL");
}

static void flush_scripts(struct coordinator *c)
{
    TELL(c, "SCRIPT", "FLUSH");
}

static void delete_meta(struct coordinator *c)
{
    TELL(c, "DEL", PREFIX ":meta");
}

static void delete_log(struct coordinator *c)
{
    TELL(c, "DEL", PREFIX ":log");
}

/* Hosts that are not at the very end of the log have missed something; one is held back to be sure of it. */
static void trim_log(struct coordinator *c)
{
    unsigned host = (unsigned)dice_below(&c->dice, c->arena->settings.hosts);

    stop_host(c, host, worker_stop);
    watch(c, between(c, 0, 300));
    TELL(c, "XTRIM", PREFIX ":log", "MAXLEN", dice_chance(&c->dice, 50) ? "0" : "5");
    stop_host(c, host, worker_continue);
}

/* Redis has no memory: it evicts what it likes, and refuses what it must. */
static void evict(struct coordinator *c)
{
    char answer[16000], limit[30] = "1";
    const char *used;

    if (dice_chance(&c->dice, 70) && REDIS_TELL(&c->redis, answer, "INFO", "memory") > 0 &&
        (used = strstr(answer, "used_memory:")) != NULL)
        snprintf(limit, sizeof limit, "%lld", strtoll(used + strlen("used_memory:"), NULL, 10) * 97 / 100);
    TELL(c, "CONFIG", "SET", "maxmemory-policy", dice_chance(&c->dice, 50) ? "allkeys-random" : "allkeys-lru");
    TELL(c, "CONFIG", "SET", "maxmemory", limit);
    watch(c, between(c, 50, 1000));
    TELL(c, "CONFIG", "SET", "maxmemory", "0");
    TELL(c, "CONFIG", "SET", "maxmemory-policy", "noeviction");
}

/* ---- Redis is not to be had ------------------------------------------------------------------------------------ */

static void pause_redis(struct coordinator *c)
{
    store_word(&c->arena->stopped_ns, now_ns());
    redis_server_pause(&c->redis);
    watch(c, between(c, 50, STOP_MAX_MS));
    redis_server_resume(&c->redis);
    store_word(&c->arena->stopped_ns, now_ns());
}

static void kill_clients(struct coordinator *c)
{
    for (unsigned n = between(c, 1, 4); n; n--) {
        TELL(c, "CLIENT", "KILL", "TYPE", "normal");
        watch(c, between(c, 0, 20));
    }
}

/* ---- Workers die and sleep --------------------------------------------------------------------------------------- */

/* Half of the time the one of its host that has lived longest, which is most likely to be the one that listens. */
static unsigned pick_worker(struct coordinator *c)
{
    struct arena *a = c->arena;
    unsigned picked = (unsigned)dice_below(&c->dice, a->n_workers);

    if (dice_chance(&c->dice, 50))
        for (unsigned i = 0; i < a->n_workers; i++)
            if (a->workers[i].host == a->workers[picked].host && a->workers[i].born_ns < a->workers[picked].born_ns)
                picked = i;
    return picked;
}

static void kill_worker(struct coordinator *c)
{
    for (unsigned n = between(c, 1, 6); n && !watch(c, between(c, 0, 60)); n--)
        worker_kill(c, pick_worker(c));
}

static void kill_host(struct coordinator *c)
{
    stop_host(c, (unsigned)dice_below(&c->dice, c->arena->settings.hosts), worker_kill);
}

static void stop_worker(struct coordinator *c)
{
    unsigned number = pick_worker(c);

    worker_stop(c, number);
    watch(c, between(c, 20, 1000));
    worker_continue(c, number);
}

/* Longer than max_staleness: it wakes up with an L1 that nobody vouches for. */
static void sleep_host(struct coordinator *c)
{
    unsigned host = (unsigned)dice_below(&c->dice, c->arena->settings.hosts);
    unsigned staleness_ms = c->arena->settings.staleness_ms;

    stop_host(c, host, worker_stop);
    watch(c, between(c, staleness_ms / 2, staleness_ms * 2));
    stop_host(c, host, worker_continue);
}

/* ---- The list ------------------------------------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    void (*strike)(struct coordinator *);
    int by_default, needs_redis;
    const char *help;
} actions[] = {
    { "empty", empty, 1, 1, "Redis is killed and comes back empty" },
    { "revive", revive, 1, 1, "Redis is killed and comes back with all it had acknowledged" },
    { "older", older, 1, 1, "Redis is killed and comes back with what it held up to 2.5 s before" },
    { "overtake", overtake, 1, 1, "the same, and the host that knows better sleeps meanwhile" },
    { "flush-all", flush_all, 1, 1, "FLUSHALL" },
    { "flush-scripts", flush_scripts, 1, 1, "SCRIPT FLUSH" },
    { "delete-meta", delete_meta, 1, 1, "DEL of the metadata" },
    { "delete-log", delete_log, 1, 1, "DEL of the log" },
    { "trim-log", trim_log, 1, 1, "XTRIM of the log to almost nothing while a host sleeps" },
    { "evict", evict, 1, 1, "maxmemory so small that Redis evicts and refuses" },
    { "pause", pause_redis, 1, 1, "SIGSTOP of Redis for 50 to 3000 ms" },
    { "kill-clients", kill_clients, 1, 1, "CLIENT KILL of all connections" },
    { "kill-worker", kill_worker, 1, 0, "SIGKILL of a few workers, often of those that listen" },
    { "kill-host", kill_host, 1, 0, "SIGKILL of all workers of a host at once" },
    { "stop-worker", stop_worker, 1, 0, "SIGSTOP of a worker for up to a second" },
    { "sleep-host", sleep_host, 1, 0, "SIGSTOP of all workers of a host, for up to twice max_staleness" },
};
enum { ACTIONS = sizeof actions / sizeof *actions };

const char *chaos_name(int64_t action)
{
    return action >= 0 && action < ACTIONS ? actions[action].name : "?";
}

void chaos_print_actions(void)
{
    for (int i = 0; i < ACTIONS; i++)
        printf("  %-14s %s%s\n", actions[i].name, actions[i].help, actions[i].by_default ? "" : " (not by default)");
}

static uint64_t bits_of(const char *name, size_t size)
{
    uint64_t bits = 0;
    int all = size == 3 && memcmp(name, "all", 3) == 0, defaults = size == 7 && memcmp(name, "default", 7) == 0;

    for (int i = 0; i < ACTIONS; i++)
        if (all || (defaults && actions[i].by_default) ||
            (strlen(actions[i].name) == size && memcmp(name, actions[i].name, size) == 0))
            bits |= UINT64_C(1) << i;
    return bits;
}

uint64_t chaos_parse(const char *list, const char **bad)
{
    uint64_t bits = 0;

    *bad = NULL;
    if (strcmp(list, "none") == 0)
        return 0;
    for (const char *name = list; *name;) {
        size_t size = strcspn(name, ",");
        if (!bits_of(name, size))
            *bad = name;
        bits |= bits_of(name, size);
        name += size + (name[size] == ',');
    }
    return bits;
}

static int possible(const struct coordinator *c, int i)
{
    const struct settings *s = &c->arena->settings;
    int copies = actions[i].strike == older || actions[i].strike == overtake;

    return s->chaos >> i & 1 && (s->with_redis || !actions[i].needs_redis) && !(copies && s->keep) &&
           !(actions[i].strike == overtake && s->hosts < 2);
}

static int well(const struct arena *arena, uint64_t since_ns)
{
    for (unsigned i = 0; i < arena->settings.hosts; i++)
        if (load_word(&arena->hosts[i].written_ns) < since_ns || load_word(&arena->hosts[i].hit_ns) < since_ns)
            return 0;
    return 1;
}

static int recover(struct coordinator *c)
{
    uint64_t begun_ns = now_ns();
    unsigned took_ms;

    while (!well(c->arena, begun_ns)) {
        if (watch(c, 2))
            return 1;
        if (now_ns() - begun_ns > (uint64_t)RECOVERY_MS * 1000000)
            for (unsigned i = 0; i < c->arena->settings.hosts; i++)
                if (load_word(&c->arena->hosts[i].written_ns) < begun_ns ||
                    load_word(&c->arena->hosts[i].hit_ns) < begun_ns)
                    violate(c->arena, "recovery", KEYS_MAX, "host %u has not had %s for %d s after \"%s\"", i,
                            load_word(&c->arena->hosts[i].hit_ns) < begun_ns ? "a hit in L1" : "a write that succeeds",
                            RECOVERY_MS / 1000, c->action);
    }
    took_ms = (unsigned)((now_ns() - begun_ns) / 1000000);
    if (took_ms > c->slowest_recovery_ms)
        c->slowest_recovery_ms = took_ms;
    return 0;
}

int chaos_strike(struct coordinator *c)
{
    int list[ACTIONS], n = 0, action;

    for (int i = 0; i < ACTIONS; i++)
        if (possible(c, i))
            list[n++] = i;
    if (n == 0)
        return watch(c, 100);
    action = list[dice_below(&c->dice, (uint64_t)n)];
    c->action = actions[action].name;
    c->actions++;
    store_word(&c->arena->chaos, 1);
    note(&c->arena->history, c->arena, WORKERS_MAX, EVENT_CHAOS, 0, action);
    actions[action].strike(c);
    if (recover(c) != 0)
        return 1;
    note(&c->arena->history, c->arena, WORKERS_MAX, EVENT_RECOVERED, 0, action);
    store_word(&c->arena->calm_ns, now_ns());
    store_word(&c->arena->chaos, 0);
    return watch(c, between(c, 100, 1200));
}
