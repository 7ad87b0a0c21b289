/*
 * 64 threads in 8 processes ask for one cold key at once; its load takes 20 ms. Each thread's wait beyond that is counted from
 * the loader's end (or from its own question, if that came later) to its answer. SPDX-License-Identifier: MIT
 *
 * "bare" is the same crowd without libcache, woken by one futex call: what the machine needs to give 64 sleepers a processor each.
 */
#define _GNU_SOURCE
#include "bench_load.h"
#include "support/redis_server.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 8, THREADS = 8, ALL = PROCESSES * THREADS, LOAD_MS = 20, ROUNDS_MAX = 512, LEASE_MS = 60000 };

struct variant {
    const char *name;
    unsigned hosts;
    int redis, lease, bare, killed, listens;
    const char *target; /* NULL: only reported */
};

static const struct variant variants[] = {
    { "bare", 1, 0, 0, 1, 0, 0, NULL },
    { "one host", 1, 0, 0, 0, 0, 0, "stampede, one host, p99 beyond the load" },
    { "one host, Redis", 1, 1, 0, 0, 0, 0, "stampede, one host, Redis, p99 beyond the load" },
    { "two hosts, lease", 2, 1, 1, 0, 0, 0, "stampede, two hosts, lease in Redis, p99 beyond the load" },
    { "two hosts, lease, listeners", 2, 1, 1, 0, 0, 1, "stampede, the same with listening threads, p99 beyond the load" },
    { "one host, leader killed", 1, 0, 0, 0, 1, 0, NULL },
    { "two hosts, leader killed", 2, 1, 1, 0, 1, 0, NULL },
};

/* Shared by all processes. */
struct arena {
    pthread_barrier_t barrier;
    uint32_t word;                      /* bare: what sleepers sleep on */
    unsigned loads, asking, bare_turn;  /* atomic */
    pid_t leader;                       /* atomic: of a load that is not to end */
    uint64_t loaded_ns, killed_ns;      /* atomic: when the value was there; when the leader was killed */
    float wait_us[ROUNDS_MAX][ALL];     /* NaN: no answer */
};

static struct {
    const struct variant *variant;
    libcache *cache[2];
    libcache_ns *ns[2];
    struct arena *arena;
} bench;

/* ---- The crowd --------------------------------------------------------------------------------------------------------------- */

static void work(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = LOAD_MS * 1000000L }, NULL);
    __atomic_store_n(&bench.arena->loaded_ns, harness_now_ns(), __ATOMIC_RELEASE);
}

static int load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg, (void)key;
    if (__atomic_add_fetch(&bench.arena->loads, 1, __ATOMIC_ACQ_REL) == 1 && bench.variant->killed) {
        __atomic_store_n(&bench.arena->leader, getpid(), __ATOMIC_RELEASE);
        for (;;)
            pause();
    }
    work();
    out->data = "value";
    out->size = 5;
    return LIBCACHE_OK;
}

static void ask_bare(unsigned round)
{
    struct arena *a = bench.arena;

    if (__atomic_fetch_add(&a->bare_turn, 1, __ATOMIC_ACQ_REL) % ALL == 0) {
        __atomic_add_fetch(&a->loads, 1, __ATOMIC_RELAXED);
        work();
        __atomic_store_n(&a->word, round + 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &a->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        return;
    }
    while (__atomic_load_n(&a->word, __ATOMIC_ACQUIRE) == round)
        syscall(SYS_futex, &a->word, FUTEX_WAIT, round, NULL, NULL, 0);
}

static void ask(libcache_ns *ns, unsigned round, unsigned place)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t begun = harness_now_ns(), loaded, now;
    char key[40];

    snprintf(key, sizeof key, "key %u", round);
    __atomic_add_fetch(&bench.arena->asking, 1, __ATOMIC_ACQ_REL);
    if (bench.variant->bare)
        ask_bare(round);
    else
        load_expect(libcache_get_or_load(ns, key, strlen(key), &value, load, NULL, NULL), LIBCACHE_HIT, "libcache_get_or_load");
    now = harness_now_ns();
    loaded = __atomic_load_n(&bench.arena->loaded_ns, __ATOMIC_ACQUIRE);
    loaded = loaded > begun ? loaded : begun;
    bench.arena->wait_us[round][place] = (float)(now > loaded ? now - loaded : 0) / 1000;
    libcache_release_value(&value);
}

struct asker {
    unsigned place, rounds;
};

static void *run_asker(void *arg)
{
    const struct asker *self = arg;
    libcache_ns *ns = bench.ns[self->place / THREADS % bench.variant->hosts];

    if (bench.variant->killed) { /* one round; who dies would never come to a barrier */
        ask(ns, self->rounds, self->place);
        return NULL;
    }
    for (unsigned round = 0; round < self->rounds; round++) {
        pthread_barrier_wait(&bench.arena->barrier);
        ask(ns, round, self->place);
        pthread_barrier_wait(&bench.arena->barrier); /* nobody asks for the next while one is at this */
    }
    return NULL;
}

static pid_t start_process(unsigned process, unsigned rounds)
{
    struct asker askers[THREADS];
    pthread_t threads[THREADS];
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid < 0)
        harness_die("fork: %s", strerror(errno));
    if (pid)
        return pid;
    for (unsigned i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){ process * THREADS + i, rounds };
        if (pthread_create(&threads[i], NULL, run_asker, &askers[i]) != 0)
            harness_die("no thread");
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

static void await(pid_t *pids)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        if (pids[i] && (waitpid(pids[i], &status, 0) != pids[i] || status != 0))
            harness_die("a process of the crowd ended with %x", (unsigned)status);
    }
}

/* One stampede whose leader is killed when all ask. Loads that it took. */
static unsigned run_killed(unsigned round)
{
    pid_t pids[PROCESSES], leader;

    bench.arena->loads = bench.arena->asking = 0;
    bench.arena->leader = 0;
    for (unsigned i = 0; i < PROCESSES; i++)
        pids[i] = start_process(i, round);
    while (!(leader = __atomic_load_n(&bench.arena->leader, __ATOMIC_ACQUIRE)) ||
           __atomic_load_n(&bench.arena->asking, __ATOMIC_ACQUIRE) < ALL)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    for (unsigned i = 0; i < PROCESSES; i++)
        if (pids[i] == leader) {
            /* the wait counts from here, less the load that is then made */
            bench.arena->killed_ns = harness_now_ns();
            kill(leader, SIGKILL);
            waitpid(leader, NULL, 0);
            pids[i] = 0;
        }
    await(pids);
    return bench.arena->loads;
}

/* ---- Variants ----------------------------------------------------------------------------------------------------------------- */

static void open_hosts(const char *url)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.load_timeout_ms = LEASE_MS;
    policy.load_lease = bench.variant->lease ? LIBCACHE_LEASE_REDIS : LIBCACHE_LEASE_HOST;
    for (unsigned i = 0; i < bench.variant->hosts; i++) {
        libcache_options o = LIBCACHE_OPTIONS_INIT;
        o.segment = LIBCACHE_SHARED;
        o.redis_url = bench.variant->redis ? url : NULL;
        o.pool_max = 16;
        o.listener = bench.variant->listens ? LIBCACHE_LISTEN_IN_THREAD : LIBCACHE_LISTEN_ON_CALLS;
        o.redis_timeout_ms = 5000;
        load_expect(libcache_open(&bench.cache[i], &o, NULL), LIBCACHE_OK, "libcache_open");
        load_expect(libcache_open_namespace(&bench.ns[i], bench.cache[i], "stampede", &policy, NULL), LIBCACHE_OK,
                    "libcache_open_namespace");
        if (bench.variant->redis)
            load_expect(libcache_poll(bench.cache[i], 0), LIBCACHE_OK, "libcache_poll");
    }
}

/* ms of one round trip, the median. */
static double round_trip_ms(libcache_ns *ns)
{
    double ms[501];

    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        uint64_t begun = harness_now_ns();
        libcache_exists(ns, "absent", 6, LIBCACHE_SKIP_L1);
        ms[i] = (double)(harness_now_ns() - begun) / 1e6;
    }
    return harness_median(ms, sizeof ms / sizeof *ms);
}

static void run_variant(const load_options *options, const char *url)
{
    struct arena *a = bench.arena;
    unsigned rounds = bench.variant->killed ? options->kills : options->stampedes, worst = 0;
    double *waits = harness_allocate((size_t)rounds * ALL * sizeof *waits), trip_ms = 0, loads = 0, p99, added_ms = 0;
    size_t n = 0;

    memset(a->wait_us, 0xff, sizeof a->wait_us); /* no answer: a NaN */
    a->loads = a->asking = a->bare_turn = a->word = 0;
    a->loaded_ns = 0;
    open_hosts(url);
    if (bench.variant->killed) {
        for (unsigned round = 0; round < rounds; round++) {
            unsigned l = run_killed(round);
            double ms = (double)(a->loaded_ns - a->killed_ns) / 1e6 - LOAD_MS;
            loads += l;
            worst = l > worst ? l : worst;
            added_ms = ms > added_ms ? ms : added_ms;
        }
    } else {
        pid_t pids[PROCESSES];
        for (unsigned i = 0; i < PROCESSES; i++)
            pids[i] = start_process(i, rounds);
        await(pids);
        loads = a->loads;
    }
    if (bench.variant->redis)
        trip_ms = round_trip_ms(bench.ns[0]);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < ALL; i++)
            if (a->wait_us[round][i] >= 0)
                waits[n++] = a->wait_us[round][i] / 1000.0;
    p99 = load_percentile(waits, n, 0.99);
    LOAD_REPORT("stampede", bench.variant->name, { "loads_each", loads / rounds }, { "p50_ms", load_percentile(waits, n, 0.5) },
                { "p99_ms", p99 }, { "max_ms", waits[n - 1] }, { "round_trip_us", trip_ms * 1000 }, { "takeover_max_ms", added_ms },
                { "answers", (double)n });
    if (bench.variant->target) {
        char what[80];
        load_target(bench.variant->target, p99, 2 + trip_ms, "ms");
        snprintf(what, sizeof what, "stampede, %s, loads", bench.variant->name);
        load_target(what, loads / rounds, 1, "");
    } else if (bench.variant->killed) {
        char what[80];
        snprintf(what, sizeof what, "stampede, %s, loads", bench.variant->name);
        load_target(what, worst, 2, "");
    }
    for (unsigned i = 0; i < bench.variant->hosts; i++)
        libcache_close(bench.cache[i]);
    free(waits);
}

void load_bench_stampede(const load_options *options)
{
    pthread_barrierattr_t shared;
    struct redis_server redis;

    if (redis_server_start(&redis, NULL) != 0)
        harness_die("%s", redis.error);
    bench.arena = mmap(NULL, sizeof *bench.arena, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bench.arena == MAP_FAILED)
        harness_die("mmap: %s", strerror(errno));
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&bench.arena->barrier, &shared, ALL);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        char answer[100];
        bench.variant = &variants[i];
        REDIS_TELL(&redis, answer, "FLUSHALL");
        run_variant(options, redis.url);
    }
    munmap(bench.arena, sizeof *bench.arena);
    redis_server_stop(&redis);
}
