/* What the coordinator prints. SPDX-License-Identifier: MIT */
#include "coherence/coherence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LATEST = 60 }; /* events that are printed in any case */

struct counts counts_sum(const struct arena *arena)
{
    struct counts sum = { 0 };

    for (unsigned i = 0; i < arena->n_workers; i++) {
        const struct counts *one = &arena->workers[i].counts;
        sum.reads += one->reads, sum.hits_l1 += one->hits_l1, sum.hits_l2 += one->hits_l2, sum.misses += one->misses;
        sum.loads += one->loads, sum.stored += one->stored, sum.fenced += one->fenced;
        sum.load_errors += one->load_errors, sum.writes += one->writes, sum.write_errors += one->write_errors;
        sum.calm_errors += one->calm_errors;
        sum.stale += one->stale, sum.negatives += one->negatives, sum.leads += one->leads,
            sum.refreshes += one->refreshes;
        sum.waits += one->waits, sum.bypasses += one->bypasses, sum.failures += one->failures,
            sum.refused += one->refused;
        sum.late_ends += one->late_ends, sum.batches += one->batches, sum.loaders += one->loaders;
        sum.shared_leads += one->shared_leads;
        for (int code = 0; code < 24; code++)
            sum.errors[code] += one->errors[code];
        if (one->slowest_read_ns > sum.slowest_read_ns)
            sum.slowest_read_ns = one->slowest_read_ns;
        if (one->slowest_write_ns > sum.slowest_write_ns)
            sum.slowest_write_ns = one->slowest_write_ns;
        if (one->slowest_open_ns > sum.slowest_open_ns)
            sum.slowest_open_ns = one->slowest_open_ns;
    }
    return sum;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

void report_line(struct coordinator *c)
{
    struct counts now = counts_sum(c->arena);
    uint64_t reads = now.reads - c->last.reads;

    printf("%4" PRIu64 " s  %7" PRIu64 " reads  L1 %5.1f %%  L2 %4.1f %%  loads %5" PRIu64 "  fenced %4" PRIu64
           "  writes %5" PRIu64 "  errors %4" PRIu64 "  violations %d  %s%s\n",
           (now_ns() - c->arena->begun_ns) / 1000000000, reads, percent(now.hits_l1 - c->last.hits_l1, reads),
           percent(now.hits_l2 - c->last.hits_l2, reads), now.loads - c->last.loads, now.fenced - c->last.fenced,
           now.writes - c->last.writes,
           now.write_errors + now.load_errors - c->last.write_errors - c->last.load_errors,
           load_word(&c->arena->violation.taken) != 0, c->action ? c->action : "",
           load_word(&c->arena->chaos) ? "" : c->action ? ", over" : "");
    fflush(stdout);
    c->last = now;
}

/* ---- Histories ------------------------------------------------------------------------------------------------- */

static const char *const event_names[] = {
    [EVENT_DB_WRITE] = "row written", [EVENT_DELETE] = "delete ...", [EVENT_DELETED] = "... deleted",
    [EVENT_TAGS] = "invalidate tags ...", [EVENT_TAGS_DONE] = "... tags invalidated",
    [EVENT_SPACE] = "invalidate namespace ...", [EVENT_SPACE_DONE] = "... namespace invalidated",
    [EVENT_ALL] = "invalidate all ...", [EVENT_ALL_DONE] = "... all invalidated", [EVENT_SET] = "set ...",
    [EVENT_SET_DONE] = "... set", [EVENT_STAMP] = "load: stamp taken", [EVENT_DB_READ] = "load: row read",
    [EVENT_STORE] = "load: store ...", [EVENT_STORED] = "load: ... stored", [EVENT_HIT] = "read",
    [EVENT_BEGIN] = "load: begin ...", [EVENT_BEGUN] = "load: ... begun", [EVENT_WAITED] = "load: waited",
    [EVENT_RECHECKED] = "load: rechecked", [EVENT_COMMIT] = "load: commit ...", [EVENT_COMMITTED] = "load: ... committed",
    [EVENT_ABORT] = "load: abort", [EVENT_GET_OR_LOAD] = "get or load ...", [EVENT_GOT] = "... got or loaded",
    [EVENT_CHAOS] = "CHAOS", [EVENT_RECOVERED] = "all are well after", [EVENT_BORN] = "worker begins",
    [EVENT_DEAD] = "worker is killed",
};

const char *event_name(int type)
{
    return type > EVENT_NONE && type <= EVENT_DEAD && event_names[type] ? event_names[type] : "between calls";
}

static void print_event(const struct arena *arena, const struct event *e, uint64_t at_ns)
{
    char who[40] = "", more[60] = "";

    if (e->worker < arena->n_workers)
        snprintf(who, sizeof who, "worker %u host %u", e->worker, arena->workers[e->worker].host);
    switch (e->type) {
    case EVENT_CHAOS: case EVENT_RECOVERED:
        snprintf(more, sizeof more, "%s", chaos_name(e->more));
        break;
    case EVENT_STAMP:
        snprintf(more, sizeof more, "position %" PRId64, e->more);
        break;
    case EVENT_HIT:
        snprintf(more, sizeof more, "L%" PRId64, e->more);
        break;
    case EVENT_TAGS: case EVENT_SPACE:
        snprintf(more, sizeof more, "no. %" PRId64, e->more);
        break;
    case EVENT_BEGIN:
        snprintf(more, sizeof more, "flags %" PRIx64, (uint64_t)e->more);
        break;
    case EVENT_DELETED: case EVENT_TAGS_DONE: case EVENT_SPACE_DONE: case EVENT_ALL_DONE: case EVENT_SET_DONE:
    case EVENT_STORED: case EVENT_BEGUN: case EVENT_WAITED: case EVENT_RECHECKED: case EVENT_COMMITTED: case EVENT_GOT:
        snprintf(more, sizeof more, "%" PRId64 " (%s)", e->more, libcache_describe((int)e->more));
        break;
    default:
        break;
    }
    printf("  %12.3f  %-18s %-26s ", ((double)e->at_ns - (double)at_ns) / 1e6, who,
           event_name(e->type));
    if (e->version)
        printf("version %" PRIu64 "  ", e->version);
    printf("%s\n", more);
}

static int earlier(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

static size_t collect(struct event *events, const struct history *history)
{
    size_t n = 0;

    for (int i = 0; i < EVENTS; i++)
        if (history->events[i].type != EVENT_NONE)
            events[n++] = history->events[i];
    return n;
}

/* What the latest events do not show: how the version that was given came, and the one that was wanted. */
static int tells(const struct violation *v, const struct event *e)
{
    return v->given && e->version >= v->given && e->version <= v->wanted && e->type != EVENT_DB_READ;
}

static void print_histories(const struct arena *arena)
{
    static struct event events[2 * EVENTS];
    const struct violation *v = &arena->violation;
    size_t n = collect(events, &arena->history), left_out = 0;
    uint64_t oldest = 0;

    if (v->key < arena->settings.keys) {
        size_t of_key = collect(events + n, &arena->keys[v->key].history);
        qsort(events + n, of_key, sizeof *events, earlier);
        oldest = of_key == EVENTS ? events[n].at_ns : 0; /* what is older says little without the key's */
        n += of_key;
    }
    qsort(events, n, sizeof *events, earlier);
    printf("History (milliseconds from the violation):\n");
    for (size_t i = 0; i < n; i++) {
        if (events[i].at_ns < oldest)
            continue;
        if (n - i > LATEST && events[i].type < EVENT_CHAOS && !tells(v, &events[i])) {
            left_out++;
            continue;
        }
        if (left_out)
            printf("                (%zu left out)\n", left_out);
        left_out = 0;
        print_event(arena, &events[i], v->at_ns);
    }
}

static void print_redis(struct coordinator *c)
{
    static char answer[12000];

    redis_server_resume(&c->redis);
    if (REDIS_TELL(&c->redis, answer, "XREVRANGE", "{coh}:log", "+", "-", "COUNT", "12") > 0)
        printf("The end of Redis's log, latest first:\n%s\n", answer);
}

void report_violation(struct coordinator *c)
{
    const struct arena *arena = c->arena;
    const struct violation *v = &arena->violation;
    const struct settings *s = &arena->settings;

    printf("\nVIOLATION of %s", v->rule);
    if (v->key < s->keys)
        printf(", key %u (namespace %u%s)", v->key, key_space(v->key), key_is_set(v->key) ? ", is set too" : "");
    printf(", %.3f s after the begin, seed %" PRIu64 ", last action %s\n  %s\n",
           (double)(v->at_ns - arena->begun_ns) / 1e9, s->seed, c->action ? c->action : "none", v->text);
    if (v->key < s->keys) {
        const struct key_state *k = &arena->keys[v->key];
        printf("  In the database: version %" PRIu64 ". Covered on any host: %" PRIu64 ". Own floors:", k->db, k->acked);
        for (unsigned host = 0; host < s->hosts; host++)
            printf(" %" PRIu64, k->own[host]);
        printf("\n");
    }
    print_histories(arena);
    if (s->with_redis)
        print_redis(c);
    fflush(stdout);
}

void report_summary(struct coordinator *c)
{
    struct counts all = counts_sum(c->arena);
    const struct settings *s = &c->arena->settings;
    unsigned lives = 0;
    uint64_t lags = 0, died = 0;

    for (unsigned i = 0; i < c->arena->n_workers; i++)
        lives += c->arena->workers[i].lives;
    for (int i = 0; i < LAGS; i++)
        lags += c->arena->lags[i];
    printf("\nseed %" PRIu64 ", %u hosts, %u workers (%u processes), %u keys, %.1f s, %u chaos actions\n", s->seed,
           s->hosts, c->arena->n_workers, lives, s->keys, (double)(now_ns() - c->arena->begun_ns) / 1e9, c->actions);
    printf("reads %" PRIu64 ": L1 %.1f %%, L2 %.1f %%, misses %.1f %%\n", all.reads, percent(all.hits_l1, all.reads),
           percent(all.hits_l2, all.reads), percent(all.misses, all.reads));
    printf("loads %" PRIu64 ": stored %.1f %%, fenced %.1f %%, errors %.1f %%; writes %" PRIu64 ": errors %.1f %%\n",
           all.loads, percent(all.stored, all.loads), percent(all.fenced, all.loads),
           percent(all.load_errors, all.loads), all.writes, percent(all.write_errors, all.writes));
    printf("load functions: %" PRIu64 " leads, %" PRIu64 " refreshes, %" PRIu64 " waits, %" PRIu64 " bypasses, %" PRIu64
           " batches; %" PRIu64 " failed, %" PRIu64 " refused, %" PRIu64 " ended after their lease\n",
           all.leads, all.refreshes, all.waits, all.bypasses, all.batches, all.failures, all.refused, all.late_ends);
    printf("loaders watched for overlap %" PRIu64 ", on all hosts %" PRIu64 "; given out as stale %" PRIu64
           ", as missing %" PRIu64 "\n",
           all.loaders, all.shared_leads, all.stale, all.negatives);
    for (int code = 1; code < 24; code++)
        if (all.errors[code])
            printf("  %8" PRIu64 "  %s\n", all.errors[code], libcache_describe(-code));
    printf("errors outside of chaos %" PRIu64 "\n", all.calm_errors);
    printf("slowest read %.1f ms, write %.1f ms, open %.1f ms, recovery %u ms\n", (double)all.slowest_read_ns / 1e6,
           (double)all.slowest_write_ns / 1e6, (double)all.slowest_open_ns / 1e6, c->slowest_recovery_ms);
    for (int i = 0; i < POINTS_MAX; i++)
        died += c->arena->died[i];
    if (died)
        printf("%" PRIu64 " workers killed themselves; by point", died);
    for (int i = 0; i < POINTS_MAX && died; i++)
        if (c->arena->died[i])
            printf(" %d: %" PRIu64 ",", i, c->arena->died[i]);
    if (died)
        printf("\n");
    if (lags)
        printf("an invalidation is seen on other hosts after (ms): p50 %.3f, p99 %.3f, p99.9 %.3f (%" PRIu64
               " probes, %.1f %% saw the old value first)\n",
               lags_percentile(c->arena, 50), lags_percentile(c->arena, 99), lags_percentile(c->arena, 99.9), lags,
               percent(c->arena->lags_stale, lags));
}
