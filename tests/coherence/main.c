/*
 * The coordinator: starts Redis and the workers, makes chaos, and looks on. SPDX-License-Identifier: MIT
 *
 * It never opens a cache and has one thread, so it may fork at any time. `--help` tells its options.
 */
#define _GNU_SOURCE /* getopt_long */
#include "coherence/coherence.h"
#include "support/guards.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HUNG_MS = 10000, END_MS = 6000, WARM_UP_MS = 500 };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- Workers --------------------------------------------------------------------------------------------------- */

static void spawn(struct coordinator *c, unsigned number)
{
    struct worker_state *w = &c->arena->workers[number];
    pid_t parent = getpid(), pid;

    w->lives++;
    store_word(&w->killed, 0);
    w->born_ns = now_ns();
    store_word(&w->beat_ns, w->born_ns);
    note(&c->arena->history, c->arena, number, EVENT_BORN, 0, 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN); /* the coordinator ends it in order */
        signal(SIGTERM, SIG_DFL);
        if (getppid() != parent)
            _exit(1);
        worker_run(c->arena, number);
    }
    if (pid < 0)
        violate(c->arena, "rig", KEYS_MAX, "fork: %s", strerror(errno));
    w->pid = pid > 0 ? pid : 0;
}

void worker_kill(struct coordinator *c, unsigned number)
{
    struct worker_state *w = &c->arena->workers[number];

    if (!w->pid)
        return;
    store_word(&w->killed, 1);
    note(&c->arena->history, c->arena, number, EVENT_DEAD, 0, 0);
    kill(w->pid, SIGKILL);
}

void worker_stop(struct coordinator *c, unsigned number)
{
    struct worker_state *w = &c->arena->workers[number];

    if (load_word(&w->stops) % 2)
        return;
    store_word(&w->stops, load_word(&w->stops) + 1);
    store_word(&c->arena->hosts[w->host].stops, load_word(&c->arena->hosts[w->host].stops) + 0x101);
    if (w->pid)
        kill(w->pid, SIGSTOP);
    store_word(&c->arena->stopped_ns, now_ns());
}

void worker_continue(struct coordinator *c, unsigned number)
{
    struct worker_state *w = &c->arena->workers[number];

    if (load_word(&w->stops) % 2 == 0)
        return;
    store_word(&w->beat_ns, now_ns());
    if (w->pid)
        kill(w->pid, SIGCONT);
    store_word(&c->arena->hosts[w->host].stops, load_word(&c->arena->hosts[w->host].stops) + 0xff);
    store_word(&w->stops, load_word(&w->stops) + 1);
    store_word(&c->arena->stopped_ns, now_ns());
}

static void bury(struct coordinator *c)
{
    int status;

    for (unsigned i = 0; i < c->arena->n_workers; i++) {
        struct worker_state *w = &c->arena->workers[i];
        if (!w->pid || waitpid(w->pid, &status, WNOHANG) != w->pid)
            continue;
        if (!w->killed && !(c->arena->settings.die && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
            !(WIFEXITED(status) && WEXITSTATUS(status) == 0 && load_word(&c->arena->stop)))
            violate(c->arena, "crash", KEYS_MAX, "worker %u of host %u ended with status %x (%s)", i, w->host,
                    (unsigned)status, event_name(w->doing));
        w->pid = 0;
        store_word(&w->writing, 0);
        keys_release_of(c->arena, i);
    }
}

static void look_for_hangs(struct coordinator *c)
{
    for (unsigned i = 0; i < c->arena->n_workers; i++) {
        struct worker_state *w = &c->arena->workers[i];
        uint64_t beat_ns = load_word(&w->beat_ns), now = now_ns();
        if (w->pid && !w->killed && load_word(&w->stops) % 2 == 0 && now > beat_ns + (uint64_t)HUNG_MS * 1000000)
            violate(c->arena, "hang", KEYS_MAX, "worker %u of host %u has given no sign of life for %.1f s (%s)", i,
                    w->host, (double)(now - beat_ns) / 1e9, event_name(w->doing));
    }
}

int watch(struct coordinator *c, unsigned ms)
{
    uint64_t until_ns = now_ns() + (uint64_t)ms * 1000000, now;

    for (;;) {
        bury(c);
        look_for_hangs(c);
        now = now_ns();
        if (load_word(&c->arena->violation.taken) || interrupted || now >= c->until_ns)
            return 1;
        for (unsigned i = 0; i < c->arena->n_workers; i++)
            if (!c->arena->workers[i].pid && load_word(&c->arena->workers[i].stops) % 2 == 0)
                spawn(c, i);
        if (now >= c->next_line_ns) {
            report_line(c);
            c->next_line_ns += UINT64_C(1000000000);
        }
        if (now >= until_ns)
            return 0;
        poll(NULL, 0, until_ns - now > 10000000 ? 10 : 1);
    }
}

static unsigned alive(const struct coordinator *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->arena->n_workers; i++)
        n += c->arena->workers[i].pid != 0;
    return n;
}

static void end_workers(struct coordinator *c)
{
    uint64_t begun_ns = now_ns();

    store_word(&c->arena->stop, 1);
    for (unsigned i = 0; i < c->arena->n_workers; i++)
        worker_continue(c, i);
    for (bury(c); alive(c); bury(c)) {
        if (now_ns() - begun_ns > (uint64_t)END_MS * 1000000) {
            violate(c->arena, "hang", KEYS_MAX, "%u workers do not end", alive(c));
            for (unsigned i = 0; i < c->arena->n_workers; i++)
                worker_kill(c, i);
        }
        poll(NULL, 0, 2);
    }
}

/* ---- Segments ---------------------------------------------------------------------------------------------------- */

#define SEGMENT "coherence-"

/* Those of a coordinator that was killed: their names have its pid. */
static void remove_leftovers(void)
{
    char pattern[100];
    int skip = snprintf(pattern, sizeof pattern, "/dev/shm/libcache-%lu-" SEGMENT, (unsigned long)geteuid());
    glob_t found;

    pattern[skip] = '*';
    pattern[skip + 1] = 0;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        long pid = strtol(found.gl_pathv[i] + skip, NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlink(found.gl_pathv[i]);
    }
    globfree(&found);
}

static void name_segments(struct arena *arena)
{
    for (unsigned host = 0; host < arena->settings.hosts; host++)
        snprintf(arena->segment[host], sizeof arena->segment[host], SEGMENT "%ld-%u", (long)getpid(), host);
}

/* ---- The run ------------------------------------------------------------------------------------------------------- */

static void run(struct coordinator *c)
{
    struct arena *arena = c->arena;

    for (unsigned host = 0; host < arena->settings.hosts; host++)
        for (unsigned n = 2 + host % 2; n; n--)
            arena->workers[arena->n_workers++].host = host;
    c->dice = arena->settings.seed;
    c->next_line_ns = arena->begun_ns + UINT64_C(1000000000);
    c->until_ns = arena->begun_ns + arena->settings.seconds * UINT64_C(1000000000);
    if (watch(c, WARM_UP_MS))
        return;
    while (!chaos_strike(c))
        ;
}

static int check_the_checker(const struct coordinator *c)
{
    struct counts all = counts_sum(c->arena);
    int loads = all.leads && all.refreshes && all.waits && all.batches && all.failures && all.stale && all.loaders && all.negatives &&
                (all.shared_leads || !c->arena->settings.with_redis);

    if (all.hits_l1 && all.writes > all.write_errors && (all.hits_l2 || !c->arena->settings.with_redis) &&
        (loads || c->arena->settings.seconds < 3))
        return 0;
    printf("nothing was checked: there have been no hits, no writes, or none of one kind of load\n");
    return 1;
}

static int coordinate(const struct settings *settings)
{
    static struct coordinator c;
    struct redis_server_options options = { .keep = settings->keep };
    int bad;

    remove_leftovers();
    c.arena = arena_make(settings);
    if (!c.arena) {
        fprintf(stderr, "coherence: no memory\n");
        return 2;
    }
    if (settings->with_redis && redis_server_start(&c.redis, &options) != 0) {
        fprintf(stderr, "coherence: %s\n", c.redis.error);
        return 2;
    }
    memcpy(c.arena->redis_url, c.redis.url, sizeof c.arena->redis_url);
    name_segments(c.arena);
    c.arena->begun_ns = now_ns();
    printf("coherence: seed %" PRIu64 "\n", settings->seed);
    run(&c);
    end_workers(&c);
    bad = load_word(&c.arena->violation.taken) != 0;
    if (bad)
        report_violation(&c);
    report_summary(&c);
    if (!bad && !interrupted)
        bad = check_the_checker(&c);
    for (unsigned host = 0; host < settings->hosts; host++)
        libcache_remove_segment(c.arena->segment[host], NULL);
    redis_server_stop(&c.redis);
    printf("%s\n", bad ? "FAILED" : interrupted ? "interrupted; no violation so far" : "no violation");
    return bad;
}

/* ---- Options --------------------------------------------------------------------------------------------------------- */

static void usage(void)
{
    puts("usage: coherence [options]\n"
         "  --seed N          of all dice (which processes race how is not in their hands). Default: another each time\n"
         "  --seconds N       how long. Default 20\n"
         "  --hosts N         1 to 8. Default 3; even ones listen in a thread, odd ones when they are called\n"
         "  --keys N          16 to 4096. Default 400\n"
         "  --chaos LIST      actions with commas between, default, all or none\n"
         "  --staleness MS    max_staleness_ms. Default 600\n"
         "  --slack MS        added to it for G2. Default 200\n"
         "  --timeout MS      redis_timeout_ms. Default 100\n"
         "  --time-slack MS   added to it for G7. Default 100\n"
         "  --pace N          operations of a worker between two naps; 0: none. Default 16\n"
         "  --keep            Redis with an append-only file\n"
         "  --no-redis        L1 only, with one host\n"
         "  --sabotage WHAT   do it wrong, to see that it is noticed: no-stamp, late-stamp, no-publish, forget, early-row,\n"
         "                    late-recheck\n"
         "  --break GUARD     the same with a rule of the library's own, in the hooks variant (--break list); see prove.sh\n"
         "  --die             workers kill themselves in the middle of things, in the hooks variant\n"
         "Exit status: 0 no violation, 1 violation, 2 it could not begin. Actions:");
    chaos_print_actions();
}

enum { SEED, SECONDS, HOSTS, KEYS, CHAOS, STALENESS, SLACK, TIMEOUT, TIME_SLACK, PACE, KEEP, NO_REDIS, SABOTAGE, BREAK, DIE, HELP };

static const struct option long_options[] = {
    { "seed", 1, NULL, SEED }, { "seconds", 1, NULL, SECONDS }, { "hosts", 1, NULL, HOSTS }, { "keys", 1, NULL, KEYS },
    { "chaos", 1, NULL, CHAOS }, { "staleness", 1, NULL, STALENESS }, { "slack", 1, NULL, SLACK },
    { "timeout", 1, NULL, TIMEOUT }, { "time-slack", 1, NULL, TIME_SLACK }, { "pace", 1, NULL, PACE },
    { "keep", 0, NULL, KEEP }, { "no-redis", 0, NULL, NO_REDIS }, { "sabotage", 1, NULL, SABOTAGE }, { "break", 1, NULL, BREAK }, { "die", 0, NULL, DIE },
    { "help", 0, NULL, HELP }, { NULL, 0, NULL, 0 },
};

static int sabotage_of(const char *name)
{
    static const char *const names[] = { "none",   "no-stamp",  "late-stamp",  "no-publish",
                                         "forget", "early-row", "late-recheck" };

    for (int i = 0; i < 7; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

/* Takes one option; -1: it is wrong. */
static int take(struct settings *s, int option)
{
    unsigned number = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
    const char *bad = NULL;

    switch (option) {
    case SEED: s->seed = strtoull(optarg, NULL, 0); return 0;
    case SECONDS: s->seconds = number; return number ? 0 : -1;
    case HOSTS: s->hosts = number; return number >= 1 && number <= HOSTS_MAX ? 0 : -1;
    case KEYS: s->keys = number; return number >= 16 && number <= KEYS_MAX ? 0 : -1;
    case CHAOS: s->chaos = chaos_parse(optarg, &bad); return bad ? -1 : 0;
    case STALENESS: s->staleness_ms = number; return number >= 10 ? 0 : -1;
    case SLACK: s->slack_ms = number; return 0;
    case TIMEOUT: s->timeout_ms = number; return number ? 0 : -1;
    case TIME_SLACK: s->time_slack_ms = number; return 0;
    case PACE: s->pace = number; return 0;
    case KEEP: s->keep = 1; return 0;
    case NO_REDIS: s->with_redis = 0; return 0;
    case SABOTAGE:
        if (sabotage_of(optarg) < 0)
            return -1;
        s->sabotage = (enum sabotage)sabotage_of(optarg);
        return 0;
    case DIE: s->die = 1; return 0;
    case BREAK:
        if (guards_break(optarg) == 0)
            return 0;
        guards_print();
        exit(2);
    default: return -1;
    }
}

int main(int argc, char **argv)
{
    const char *bad;
    struct settings s = { .seconds = 20, .hosts = 3, .keys = 400, .chaos = chaos_parse("default", &bad),
                          .staleness_ms = 600, .slack_ms = 200, .timeout_ms = 100, .time_slack_ms = 100, .pace = 16,
                          .with_redis = 1 };
    struct sigaction action = { .sa_handler = interrupt };

    s.seed = now_ns() % 1000000000 + 1;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
        if (option == HELP || take(&s, option) != 0) {
            usage();
            return option == HELP ? 0 : 2;
        }
    if (!s.with_redis)
        s.hosts = 1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return coordinate(&s);
}
