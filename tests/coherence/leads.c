/*
 * Who runs a loader, and who waits for it. SPDX-License-Identifier: MIT
 *
 * A word of each key and host says who runs its loader: when his call began << 24 | how often his process had been replaced << 8 |
 * worker + 1. Who leads writes his own when he reads the row, and takes it away before he ends the load, or closes the cache. If he finds another there,
 * two loaders overlap, and that is right only if one of them is dead or has outlived his lease, which began at his call or later.
 * Who finds himself close to the end of his lease does not say anything.
 */
#include "coherence/worker.h"

enum { GRAIN_MS = 30 }; /* of clocks */

struct marks marks_now(struct worker *w)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(w->cache, &stats);
    return (struct marks){ stats.load_bypasses, stats.refreshes, stats.l2_errors };
}

static uint64_t lead_begun_ns(const struct arena *arena, uint64_t word)
{
    return arena->begun_ns + (word >> 24) * 1000;
}

static int is_over(const struct arena *arena, uint64_t word, uint64_t now)
{
    return now >= lead_begun_ns(arena, word) + (uint64_t)(LEASE_MS - GRAIN_MS) * 1000000;
}

static int is_dead(const struct arena *arena, uint64_t word)
{
    const struct worker_state *w = &arena->workers[(word & 0xff) - 1];

    return (w->lives & 0xffff) != (word >> 8 & 0xffff) || load_word(&w->killed) || !w->pid;
}

static void join(struct worker *w, uint64_t *place, uint64_t mine, unsigned key, const char *where)
{
    uint64_t old = __atomic_exchange_n(place, mine, __ATOMIC_SEQ_CST), now = now_ns();
    int calm = place != &w->arena->keys[key].lead_of_all ||
               (!load_word(&w->arena->chaos) && load_word(&w->arena->calm_ns) < lead_begun_ns(w->arena, old));

    if (!old || !calm || is_over(w->arena, old, now) || is_over(w->arena, mine, now) || is_dead(w->arena, old))
        return;
    violate(w->arena, "flight", key,
            "worker %u of host %u runs a loader since its call %.3f ms ago, and worker %u %s one since its call %.3f "
            "ms ago",
            w->number, w->host, (double)(now - lead_begun_ns(w->arena, mine)) / 1e6, (unsigned)(old & 0xff) - 1, where,
            (double)(now - lead_begun_ns(w->arena, old)) / 1e6);
}

struct lead lead_take(struct worker *w, unsigned key, uint64_t begun_ns, int of_all)
{
    struct key_state *k = &w->arena->keys[key];
    uint64_t word =
        (begun_ns - w->arena->begun_ns) / 1000 << 24 | (uint64_t)(w->state->lives & 0xffff) << 8 | (w->number + 1);
    struct lead lead = { 0, key, 0 };

    w->state->counts.loaders++;
    if (is_over(w->arena, word, now_ns()))
        return lead;
    lead.word = word;
    join(w, &k->leads[w->host], word, key, "of this host");
    if (of_all && !load_word(&w->arena->chaos) && load_word(&w->arena->calm_ns) < begun_ns) {
        lead.of_all = 1;
        w->state->counts.shared_leads++;
        join(w, &k->lead_of_all, word, key, "of another host, without the lease,");
    }
    return lead;
}

void lead_end(struct worker *w, struct lead *lead)
{
    struct key_state *k = &w->arena->keys[lead->key];
    uint64_t mine = lead->word;

    if (mine)
        __atomic_compare_exchange_n(&k->leads[w->host], &mine, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    mine = lead->word;
    if (mine && lead->of_all)
        __atomic_compare_exchange_n(&k->lead_of_all, &mine, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    lead->word = 0;
}

void led(struct worker *w, unsigned key)
{
    raise_word(&w->arena->keys[key].led_until_ns[w->host], now_ns() + (uint64_t)LEASE_MS * 1000000);
}

void failed(struct worker *w, unsigned key)
{
    raise_word(&w->arena->keys[key].failed_ns[w->host], now_ns());
}

/* Time in which a leader may be about to get the load: it has asked Redis, and may have waited for another host's lease. */
static uint64_t slack_ns(const struct worker *w)
{
    const struct settings *s = &w->arena->settings;

    return (uint64_t)(LEASE_MS + 2 * s->timeout_ms + 2 * s->time_slack_ms + (load_word(&w->arena->chaos) ? 1000 : 0)) *
           1000000;
}

/* Somebody was stopped since then, and may have been so between what he did and what he noted. */
static int was_stopped(const struct worker *w, uint64_t since_ns)
{
    uint64_t stopped = load_word(&w->arena->stopped_ns);

    for (unsigned host = 0; host < w->arena->settings.hosts; host++)
        if (load_word(&w->arena->hosts[host].stops) & 0xff)
            return 1;
    return stopped && stopped + (uint64_t)STOP_MAX_MS * 1000000 > since_ns;
}

void check_wait(struct worker *w, unsigned key, uint64_t since_ns)
{
    uint64_t now = now_ns(), until_ns = load_word(&w->arena->keys[key].led_until_ns[w->host]), slack = slack_ns(w);

    if (now > since_ns + slack && now > until_ns + slack &&
        !was_stopped(w, since_ns < until_ns ? since_ns : until_ns) && load_word(&w->arena->calm_ns) < since_ns)
        violate(w->arena, "wait", key,
                "worker %u of host %u has waited for %.3f ms, and is told to wait on, for a load whose lease ended "
                "%.3f ms ago",
                w->number, w->host, (double)(now - since_ns) / 1e6, until_ns ? (double)(now - until_ns) / 1e6 : 0);
}

void check_failure(struct worker *w, unsigned key, uint64_t since_ns)
{
    uint64_t at = load_word(&w->arena->keys[key].failed_ns[w->host]),
             slack = slack_ns(w) + (uint64_t)FAILED_MS * 1000000;

    if ((!at || at + slack < since_ns) && !was_stopped(w, at))
        violate(w->arena, "load", key,
                "worker %u of host %u is told that a load failed, and the last that did so ended %.3f ms before",
                w->number, w->host, at ? (double)(since_ns - at) / 1e6 : 0);
}
