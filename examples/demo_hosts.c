/*
 * The demo's second act: two hosts and a Redis, which stops answering for a while. SPDX-License-Identifier: MIT
 *
 * Hosts are processes here, each with a cache of its own; they have nothing in common but the Redis, and a board on
 * which they write down what they saw.
 */
#define _GNU_SOURCE
#include "demo_hosts.h"

#include <libcache.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_NS UINT64_C(30000000000)
#define BEFORE_NS UINT64_C(1500000000) /* of traffic, before Redis stops */
#define AWAY_NS UINT64_C(4000000000)   /* that it is stopped, at least */
#define STALENESS_NS (MAX_STALENESS_MS * UINT64_C(1000000))
#define TICKS_NS UINT64_C(20000000) /* libcache's clock ticks every few milliseconds */

struct act {
    struct hosts_board *board;
    struct demo_redis redis;
    pid_t host[HOSTS];
    uint64_t stopped_ns, back_ns, paid_ns, recovered_ns;
};

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static void end_hosts(struct act *act)
{
    for (int i = 0; i < HOSTS; i++) {
        kill(act->host[i], SIGKILL);
        waitpid(act->host[i], NULL, 0);
    }
}

/* Naps until *word is from `least` to `most`. */
static void wait_for(struct act *act, const uint64_t *word, uint64_t least, uint64_t most, const char *what)
{
    uint64_t give_up = demo_now_ns() + WAIT_NS;
    int died = 0;

    while (demo_load(word) < least || demo_load(word) > most) {
        for (int i = 0; i < HOSTS; i++)
            died |= waitpid(act->host[i], NULL, WNOHANG) != 0;
        if (died || demo_now_ns() > give_up) {
            end_hosts(act);
            demo_redis_end(&act->redis);
            demo_stop(what, died ? "a host has ended" : "does not happen");
        }
        demo_nap();
    }
}

static void run_phase(struct act *act, uint64_t phase)
{
    demo_store(&act->board->phase, phase);
    for (int i = 0; i < HOSTS; i++)
        wait_for(act, &act->board->host[i].done, phase, UINT64_MAX, "a phase of the hosts");
}

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

static void print_latency(const struct hosts_board *board)
{
    static const char *const where[] = { "L1, this host's memory", "L2, Redis", "nowhere: queried (5 ms) and stored" };

    printf("  %-40s %10s %10s\n", "where a get finds its value", "median", "99 %");
    for (int i = 0; i < FOUND; i++)
        printf("  %-40s %10s %10s\n", where[i], demo_span(demo_quantile(board->latency[i], 0.5)),
               demo_span(demo_quantile(board->latency[i], 0.99)));
    printf("\n  (Values of %d B; Redis is on this machine, by a unix socket: a network adds what it takes.)\n",
           VALUE_BYTES);
}

static void print_lag(const struct hosts_board *board)
{
    printf("\n  Host A invalidated a tag %d times, of which host B had an entry in its L1. A's call, one round trip to "
           "Redis, "
           "took\n  %s (median, 99 %%: %s). From its return until B's L1 had nothing any more: median %s, 99 %% within "
           "%s, at\n"
           "  most %s. In %s of %d rounds B knew before A's call had returned.\n",
           ROUNDS, demo_span(demo_quantile(board->call, 0.5)), demo_span(demo_quantile(board->call, 0.99)),
           demo_span(demo_quantile(board->lag, 0.5)), demo_span(demo_quantile(board->lag, 0.99)),
           demo_span(board->longest_lag_ns), demo_count(board->sooner), ROUNDS);
}

static void print_row(const char *name, const struct column *column, size_t n, uint64_t (*what)(const struct column *))
{
    printf("  %-22s", name);
    for (size_t i = 0; i < n; i++)
        printf(" %4" PRIu64, what(&column[i]));
    printf("\n");
}

static uint64_t percent(const struct column *c, int found)
{
    return c->requests ? (100 * c->found[found] + c->requests / 2) / c->requests : 0;
}

static uint64_t requests_of(const struct column *c)
{
    return c->requests;
}

static uint64_t l1_of(const struct column *c)
{
    return percent(c, FOUND_IN_L1);
}

static uint64_t l2_of(const struct column *c)
{
    return percent(c, FOUND_IN_L2);
}

static uint64_t loaded_of(const struct column *c)
{
    return percent(c, FOUND_NOWHERE);
}

static uint64_t slowest_of(const struct column *c)
{
    return (c->slowest_ns + 500000) / 1000000;
}

static uint64_t age_of(const struct column *c)
{
    return c->age_ms;
}

static void print_timeline(const struct act *act, size_t n)
{
    static const struct {
        const char *name;
        uint64_t (*what)(const struct column *);
    } rows[] = { { "  requests", requests_of },
                 { "  % from L1", l1_of },
                 { "  % from L2", l2_of },
                 { "  % queried", loaded_of },
                 { "  slowest call, ms", slowest_of },
                 { "  latest news, ms ago", age_of } };
    uint64_t began = demo_load(&act->board->traffic_ns);

    printf("\n  Then both served requests (every 20th adds to a counter in Redis), and for %s Redis did not answer\n"
           "  (SIGSTOP). A query of the source takes 5 ms, a call may spend 250 ms on Redis. Every half second:\n\n  "
           "%-22s",
           demo_span(act->back_ns - act->stopped_ns), "from second");
    for (size_t i = 0; i < n; i++)
        printf(" %4.1f", (double)(i * COLUMN_NS) / 1e9);
    printf("\n  %-22s", "Redis");
    for (size_t i = 0; i < n; i++) {
        uint64_t middle = began + i * COLUMN_NS + COLUMN_NS / 2;
        printf(" %4s", middle > act->stopped_ns && middle < act->back_ns ? "stop" : "runs");
    }
    for (int h = 0; h < HOSTS; h++) {
        const struct column *column = act->board->host[h].column;
        printf("\n  host %c%-16s", 'A' + h, ": breaker");
        for (size_t i = 0; i < n; i++)
            printf(" %4s", column[i].down ? "open" : "-");
        printf("\n");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            print_row(rows[i].name, column, n, rows[i].what);
    }
}

static uint64_t since(uint64_t to, uint64_t from)
{
    return to > from ? to - from : 0;
}

static int print_outcome(const struct act *act)
{
    const struct hosts_board *board = act->board;
    const struct host_board *b = &board->host[1];
    uint64_t late = board->host[0].late + b->late;

    printf("\n  While Redis was away, user %d changed on host A. libcache_invalidate_tags returned after %s:\n"
           "  \"%s\".\n"
           "  - On host A it held at once: nobody there was given the old user any more.\n"
           "  - Host B could not hear of it. It was given the new user %s later, when it had heard nothing for\n"
           "    %d ms: then its L1 answers no more from what it cannot vouch for, and the source is asked.\n",
           CHANGED_USER, demo_span(demo_load(&board->change_took_ns)), libcache_describe(board->change_result),
           demo_span(since(b->new_ns, board->changed_ns)), MAX_STALENESS_MS);
    printf("  - %s after Redis went on, host A had told it what it was owed; after %s both hosts were up\n"
           "    to date again, breakers closed.\n",
           demo_span(since(act->paid_ns, act->back_ns)), demo_span(since(act->recovered_ns, act->back_ns)));
    if (b->old_again)
        printf("    Until then host B found the old user in Redis %s times, the last %s after Redis went on: an\n"
               "    invalidation that returned an error is one that the others have yet to hear of.\n",
               demo_count(b->old_again), demo_span(since(b->old_again_ns, act->back_ns)));
    if (late)
        printf("\n  FAILED: %s values were older than they may be.\n\n", demo_count(late));
    else
        printf("\n  Nobody was given a value older than he may be.\n\n");
    return late != 0;
}

/* ---- The act ----------------------------------------------------------------------------------------------------- */

/*
 * Redis stops, host A changes something, Redis goes on. `least` is what G2 demands of host B: an invalidation that
 * Redis could not be told of has ended the old value there max_staleness later, as long as Redis is away. Once it is
 * back, B may find the old value in it, until A has told it what it is owed, and max_staleness longer.
 */
static void stop_redis(struct act *act)
{
    struct hosts_board *board = act->board;
    uint64_t *least = &board->least[1], told;

    demo_sleep_until(demo_load(&board->traffic_ns) + BEFORE_NS);
    demo_redis_signal(&act->redis, SIGSTOP);
    act->stopped_ns = demo_now_ns();
    wait_for(act, &board->host[0].down, 1, 1, "host A's breaker");
    demo_store(&board->change, 1);
    wait_for(act, &board->change, 2, 2, "the change on host A");
    demo_sleep_until(demo_load(&board->changed_ns) + STALENESS_NS + TICKS_NS);
    demo_store(least, 2);
    wait_for(act, &board->host[1].new_ns, 1, UINT64_MAX, "the new user on host B");
    demo_sleep_until(act->stopped_ns + AWAY_NS);

    demo_store(least, 1);
    demo_store(&board->redis_back, 1);
    demo_redis_signal(&act->redis, SIGCONT);
    act->back_ns = demo_now_ns();
    wait_for(act, &board->host[0].owed_bytes, 0, 0, "host A's word to Redis");
    act->paid_ns = demo_now_ns();
    for (int i = 0; i < HOSTS; i++) {
        wait_for(act, &board->host[i].age_ms, 0, MAX_STALENESS_MS, "news of Redis");
        wait_for(act, &board->host[i].down, 0, 0, "a closed breaker");
    }
    act->recovered_ns = demo_now_ns();
    told = act->paid_ns + STALENESS_NS + TICKS_NS;
    demo_sleep_until(told);
    demo_store(least, 2);
    demo_sleep_until(told + COLUMN_NS);
}

static int run(struct act *act)
{
    struct hosts_board *board = act->board;
    size_t columns;
    int status, failed = 0;

    for (unsigned i = 0; i < HOSTS; i++) {
        act->host[i] = fork();
        if (act->host[i] < 0)
            demo_stop("fork", strerror(errno));
        if (act->host[i] == 0)
            demo_host(board, i, act->redis.url);
    }
    run_phase(act, PHASE_OPEN);
    run_phase(act, PHASE_LATENCY);
    print_latency(board);
    run_phase(act, PHASE_LAG);
    print_lag(board);
    fflush(stdout);

    demo_store(&board->traffic_ns, demo_now_ns());
    demo_store(&board->phase, PHASE_TRAFFIC);
    stop_redis(act);
    demo_store(&board->phase, PHASE_END);
    columns = (demo_now_ns() - demo_load(&board->traffic_ns)) / COLUMN_NS;
    for (int i = 0; i < HOSTS; i++)
        if (waitpid(act->host[i], &status, 0) < 0 || status != 0)
            failed = 1;
    print_timeline(act, columns < COLUMNS ? columns : COLUMNS);
    return print_outcome(act) | failed;
}

int demo_hosts(void)
{
    struct act act;
    int failed;

    memset(&act, 0, sizeof act);
    if (!demo_redis_start(&act.redis)) {
        printf("  There would be a second act, two hosts and a Redis between them: `make deps` installs "
               "redis-server.\n\n");
        return 0;
    }
    act.board = demo_shared_memory(sizeof *act.board);
    act.board->version = act.board->least[0] = act.board->least[1] = 1;
    printf("  Now two hosts, each with a cache of its own, and a Redis between them.\n\n");
    fflush(stdout); /* or the hosts would print it again */
    failed = run(&act);
    demo_redis_end(&act.redis);
    return failed;
}
