/* One host of the demo's second act: a cache of its own before the Redis of both. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo_hosts.h"

#include <libcache.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    BATCH = 16, /* gets between two looks at the clock */
    L1_BATCHES = 20000,
    L2_GETS = 3000,
    LOADS = 100,
    COUNT_EVERY = 20, /* requests: then one is counted in Redis */
    LOOK_EVERY = 5    /* requests: then the statistics are read */
};

#define REQUEST_NS UINT64_C(1000000) /* a thousand a second */
#define WAIT_NS UINT64_C(10000000000)

struct host {
    struct hosts_board *board;
    struct host_board *mine;
    unsigned number;
    libcache *cache;
    libcache_ns *users, *counters;
    libcache_value value; /* reused: a hit allocates nothing */
};

/* What is cached of a user. */
struct row {
    uint64_t user, version;
    char rest[VALUE_BYTES - 16];
};

static void wait_for(const uint64_t *word, uint64_t at_least)
{
    uint64_t give_up = demo_now_ns() + WAIT_NS;

    while (demo_load(word) < at_least) {
        sched_yield();
        if (demo_now_ns() > give_up)
            demo_stop("host", "waited in vain for the other one");
    }
}

static void open_cache(struct host *host, const char *redis_url)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error;

    options.redis_url = redis_url;
    options.listener = LIBCACHE_LISTEN_IN_THREAD;
    policy.ttl_ms = 60 * 1000;
    if (libcache_open(&host->cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&host->users, host->cache, "user", &policy, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&host->counters, host->cache, "counter", &policy, &error) != LIBCACHE_OK)
        demo_stop("open", error.text);
    if (libcache_poll(host->cache, 0) != LIBCACHE_OK)
        demo_stop("poll", "Redis is not to be had");
}

static size_t name_user(char *text, uint64_t user)
{
    return (size_t)sprintf(text, "user:%llu", (unsigned long long)user);
}

/* The source: a query that takes its time. */
static void query(const struct host *host, uint64_t user, struct row *row)
{
    memset(row, 0, sizeof *row);
    row->user = user;
    row->version = user == CHANGED_USER ? demo_load(&host->board->version) : 1;
    demo_sleep_until(demo_now_ns() + SOURCE_NS);
}

static void note_slowest(uint64_t *slowest, uint64_t began)
{
    uint64_t took = demo_now_ns() - began;

    if (slowest && took > *slowest)
        demo_store(slowest, took);
}

/* What a miss costs: stamp, query, set. What was loaded is used whether it was stored or not. */
static void load_user(struct host *host, uint64_t user, struct row *row, uint64_t *slowest)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;
    char text[32];
    libcache_slice tag = { text, name_user(text, user) };
    uint64_t began;

    libcache_take_stamp(host->users, &user, sizeof user, &stamp);
    query(host, user, row);
    options.tags = &tag;
    options.n_tags = 1;
    options.stamp = &stamp;
    began = demo_now_ns();
    libcache_set(host->users, &user, sizeof user, row, sizeof *row, &options);
    note_slowest(slowest, began);
}

/* ---- Three latencies ------------------------------------------------------------------------------------------- */

static void count_latency(struct host *host, int found, uint64_t ns)
{
    host->board->latency[found][demo_bucket(ns)]++;
}

static void measure_latency(struct host *host)
{
    uint64_t user = CHANGED_USER, began;
    struct row row;

    for (int i = 0; i < LOADS; i++) {
        user = 1000000 + (uint64_t)i;
        began = demo_now_ns();
        if (libcache_get(host->users, &user, sizeof user, &host->value, 0) == LIBCACHE_MISS)
            load_user(host, user, &row, NULL);
        count_latency(host, FOUND_NOWHERE, demo_now_ns() - began);
    }
    for (int i = 0; i < L2_GETS; i++) {
        began = demo_now_ns();
        if (libcache_get(host->users, &user, sizeof user, &host->value, LIBCACHE_SKIP_L1) == LIBCACHE_HIT)
            count_latency(host, FOUND_IN_L2, demo_now_ns() - began);
    }
    for (int i = 0; i < L1_BATCHES; i++) {
        int hits = 0;
        began = demo_now_ns();
        for (int j = 0; j < BATCH; j++)
            hits += libcache_get(host->users, &user, sizeof user, &host->value, 0) == LIBCACHE_HIT;
        if (hits == BATCH)
            count_latency(host, FOUND_IN_L1, (demo_now_ns() - began) / BATCH);
    }
}

/* ---- From one host to the other ---------------------------------------------------------------------------------- */

static const char lag_key[] = "what B has a copy of";

/* Host A: writes a value, waits until B has a copy, and invalidates it. */
static void invalidate_rounds(struct host *host)
{
    struct hosts_board *board = host->board;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("lag");
    struct demo_random random = { 1 };

    options.tags = &tag;
    options.n_tags = 1;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t began;
        if (libcache_set(host->users, lag_key, sizeof lag_key, &round, sizeof round, &options) != LIBCACHE_OK)
            demo_stop("set", "Redis does not take it");
        wait_for(&board->ready, round);
        began = demo_now_ns() + demo_roll(&random) % 1000000; /* so that nobody is in step with anybody */
        while (demo_now_ns() < began)
            sched_yield();
        began = demo_now_ns();
        demo_store(&board->began_ns, began);
        if (libcache_invalidate_tags(host->cache, &tag, 1, 0) != LIBCACHE_OK)
            demo_stop("invalidate", "Redis does not take it");
        demo_store(&board->returned_ns, demo_now_ns());
        demo_store(&board->returned, round);
        board->call[demo_bucket(demo_load(&board->returned_ns) - began)]++;
        if (libcache_get(host->users, lag_key, sizeof lag_key, &host->value, 0) != LIBCACHE_MISS) /* G1 */
            demo_store(&host->mine->late, host->mine->late + 1);
        wait_for(&board->seen, round);
    }
}

/* 1: L1 has it, of this round. */
static int has_copy(struct host *host, uint64_t round, unsigned flags)
{
    uint64_t found;

    if (libcache_get(host->users, lag_key, sizeof lag_key, &host->value, flags) != LIBCACHE_HIT ||
        host->value.size != sizeof found)
        return 0;
    memcpy(&found, host->value.data, sizeof found);
    return found == round && host->value.tier == LIBCACHE_TIER_L1;
}

/* Time from the call's return on host A; 0: host B was the sooner one. */
static void note_lag(struct host *host, uint64_t lag)
{
    struct hosts_board *board = host->board;

    board->lag[demo_bucket(lag)]++;
    board->sooner += lag == 0;
    if (lag > board->longest_lag_ns)
        board->longest_lag_ns = lag;
    if (lag > MAX_STALENESS_MS * UINT64_C(1000000)) /* G2 */
        demo_store(&host->mine->late, host->mine->late + 1);
}

/* Host B: gets a copy, and looks at its L1 until that does not give it any more. */
static void watch_rounds(struct host *host)
{
    struct hosts_board *board = host->board;

    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t began = demo_now_ns(), gone, returned;
        while (!has_copy(host, round, 0)) /* from L2 first, then from L1 */
            if (demo_now_ns() - began > WAIT_NS)
                demo_stop("host B", "gets no copy");
        demo_store(&board->ready, round);
        do {
            sched_yield();
            gone = demo_now_ns();
        } while (has_copy(host, round, LIBCACHE_SKIP_L2) && gone - began < WAIT_NS);
        gone = demo_now_ns();
        wait_for(&board->returned, round);
        returned = demo_load(&board->returned_ns);
        if (gone < demo_load(&board->began_ns))
            demo_stop("host B", "has lost its copy for another reason");
        note_lag(host, gone > returned ? gone - returned : 0);
        demo_store(&board->seen, round);
    }
}

/* ---- Traffic ----------------------------------------------------------------------------------------------------- */

static struct column *this_column(const struct host *host)
{
    uint64_t column = (demo_now_ns() - demo_load(&host->board->traffic_ns)) / COLUMN_NS;

    return &host->mine->column[column < COLUMNS ? column : COLUMNS - 1];
}

static void look_at_statistics(struct host *host, struct column *column)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(host->cache, &stats);
    demo_store(&host->mine->age_ms, stats.coherence_age_ms);
    demo_store(&host->mine->down, !stats.l2_up);
    demo_store(&host->mine->owed_bytes, stats.owed_bytes);
    if (stats.coherence_age_ms > column->age_ms)
        demo_store(&column->age_ms, stats.coherence_age_ms);
    if (!stats.l2_up)
        demo_store(&column->down, 1);
}

/* The changed user was asked for: is what we were given as new as it must be? */
static void examine(struct host *host, uint64_t version, uint64_t least_before, uint64_t began)
{
    uint64_t least_after = demo_load(&host->board->least[host->number]);

    /* It may be lowered meanwhile: see parent. */
    if (version < (least_before < least_after ? least_before : least_after))
        demo_store(&host->mine->late, host->mine->late + 1);
    if (version > 1 && !host->mine->new_ns)
        demo_store(&host->mine->new_ns, began);
    if (version == 1 && demo_load(&host->board->redis_back)) {
        demo_store(&host->mine->old_again, host->mine->old_again + 1);
        demo_store(&host->mine->old_again_ns, began);
    }
}

static void serve(struct host *host, uint64_t user)
{
    struct column *column = this_column(host);
    uint64_t least = demo_load(&host->board->least[host->number]), began = demo_now_ns();
    int found = FOUND_NOWHERE;
    struct row row;

    if (libcache_get(host->users, &user, sizeof user, &host->value, 0) == LIBCACHE_HIT) {
        note_slowest(&column->slowest_ns, began);
        memcpy(&row, host->value.data, sizeof row);
        found = host->value.tier == LIBCACHE_TIER_L1 ? FOUND_IN_L1 : FOUND_IN_L2;
    } else {
        note_slowest(&column->slowest_ns, began);
        load_user(host, user, &row, &column->slowest_ns);
    }
    if (row.user != user)
        demo_store(&host->mine->late, host->mine->late + 1);
    else if (user == CHANGED_USER)
        examine(host, row.version, least, began);
    column->requests++;
    column->found[found]++;
}

/* First the database, then the cache. */
static void change_user(struct host *host)
{
    struct hosts_board *board = host->board;
    char text[32];
    libcache_slice tag = { text, name_user(text, CHANGED_USER) };
    uint64_t began;

    demo_store(&board->version, 2); /* UPDATE ... */
    began = demo_now_ns();
    board->change_result = libcache_invalidate_tags(host->cache, &tag, 1, 0);
    demo_store(&board->changed_ns, demo_now_ns());
    demo_store(&board->change_took_ns, demo_load(&board->changed_ns) - began);
    demo_store(&board->least[host->number], 2); /* on this host it holds, whatever the call said */
    demo_store(&board->change, 2);
}

static void serve_users(struct host *host)
{
    struct hosts_board *board = host->board;
    struct demo_random random = { host->number * 1234567 + 1 };
    double zipf[USERS_OF_HOSTS];
    uint64_t next = demo_now_ns(), requests = 0;

    demo_make_zipf(zipf, USERS_OF_HOSTS);
    while (demo_load(&board->phase) == PHASE_TRAFFIC) {
        serve(host, ++requests % 8 ? demo_zipf(zipf, USERS_OF_HOSTS, &random) : CHANGED_USER);
        if (requests % COUNT_EVERY == 0) {
            struct column *column = this_column(host);
            uint64_t began = demo_now_ns();
            libcache_increment(host->counters, "requests", 8, COUNT_EVERY, NULL, NULL);
            note_slowest(&column->slowest_ns, began);
        }
        if (requests % LOOK_EVERY == 0)
            look_at_statistics(host, this_column(host));
        if (host->number == 0 && demo_load(&board->change) == 1)
            change_user(host);
        next += REQUEST_NS;
        if (next < demo_now_ns())
            next = demo_now_ns(); /* what was not served in time is not made up for */
        demo_sleep_until(next);
    }
}

void demo_host(struct hosts_board *board, unsigned number, const char *redis_url)
{
    struct host host = { .board = board, .mine = &board->host[number], .number = number };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_cache(&host, redis_url);
    demo_store(&host.mine->done, PHASE_OPEN);
    for (uint64_t phase = PHASE_LATENCY; phase < PHASE_END; phase++) {
        while (demo_load(&board->phase) < phase)
            demo_nap();
        if (phase == PHASE_LATENCY && number == 0)
            measure_latency(&host);
        if (phase == PHASE_LAG && number == 0)
            invalidate_rounds(&host);
        if (phase == PHASE_LAG && number == 1)
            watch_rounds(&host);
        if (phase == PHASE_TRAFFIC)
            serve_users(&host);
        demo_store(&host.mine->done, phase);
    }
    libcache_release_value(&host.value);
    libcache_close(host.cache);
    _exit(0);
}
