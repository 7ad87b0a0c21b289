/*
 * 64 threads in 8 processes ask for one cold key at once, on one host or on two: one of them loads, and all get its value,
 * whatever becomes of the one who loads. SPDX-License-Identifier: MIT
 *
 * Processes are forked before any thread is there, and tell what they have seen through memory that all share. The clocks
 * are real; what is waited for is a condition.
 */
#include "support/loads.h"
#include "support/redis_server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 8, THREADS = 8, ALL = PROCESSES * THREADS, LOAD_MS = 60 };

/* Who takes over has to be done with his load by then, on a machine that may take the processor away for seconds, or there are three. */
enum { LEASE = 5000 };

/* What becomes of the first leader. */
enum fate { LOADS, IS_KILLED, IS_STOPPED, HOST_IS_KILLED };

struct arena {
    unsigned go, asking, loads, answers, wrong; /* atomic, as all that follow */
    pid_t leader;
    int leaders_host;
    uint64_t answered_ms; /* the last answer */
    char complaint[200];
};

struct stage {
    struct redis_server redis;
    libcache *cache[2];
    libcache_ns *ns[2];
    unsigned hosts, wait_ms;
    enum fate fate;
    pid_t pid[PROCESSES];
    struct arena *arena;
};

static struct stage stage; /* one a test; Check forks for each */

#define ADD(word) __atomic_add_fetch(&(word), 1, __ATOMIC_ACQ_REL)
#define READ(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)

/* ---- The children ---------------------------------------------------------------------------------------------------- */

static int number_of_host; /* of a child */

static void complain(const char *what, int result)
{
    if (ADD(stage.arena->wrong) == 1)
        snprintf(stage.arena->complaint, sizeof stage.arena->complaint, "%s: %s", what, result_name(result));
}

static int load(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)arg, (void)key;
    if (ADD(stage.arena->loads) == 1) {
        stage.arena->leaders_host = number_of_host;
        __atomic_store_n(&stage.arena->leader, getpid(), __ATOMIC_RELEASE);
        if (stage.fate != LOADS)
            for (;;)
                pause();
    }
    usleep(LOAD_MS * 1000);
    out->data = "value";
    out->size = 5;
    return LIBCACHE_OK;
}

static void *ask(void *arg)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t now;
    int result;

    (void)arg;
    options.wait_ms = stage.wait_ms;
    while (!READ(stage.arena->go))
        nap();
    ADD(stage.arena->asking);
    result = libcache_get_or_load(stage.ns[number_of_host], "key", 3, &value, load, NULL, &options);
    if (result != LIBCACHE_HIT || value.size != 5 || memcmp(value.data, "value", 5) != 0)
        complain("an answer", result);
    libcache_release_value(&value);
    now = real_ms();
    for (uint64_t last = READ(stage.arena->answered_ms); last < now;)
        if (__atomic_compare_exchange_n(&stage.arena->answered_ms, &last, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            break;
    ADD(stage.arena->answers);
    return NULL;
}

static void child_main(int host)
{
    pthread_t threads[THREADS];

    number_of_host = host;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask, NULL) != 0)
            _exit(1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

/* ---- The parent ---------------------------------------------------------------------------------------------------------- */

static void up(unsigned hosts, enum fate fate, unsigned load_timeout_ms)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    memset(&stage, 0, sizeof stage);
    stage.hosts = hosts;
    stage.fate = fate;
    stage.wait_ms = 60000;
    stage.arena = mmap(NULL, sizeof *stage.arena, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(stage.arena, MAP_FAILED);
    if (hosts > 1)
        REDIS_UP(&stage.redis, NULL);
    policy.load_timeout_ms = load_timeout_ms;
    policy.load_lease = LIBCACHE_LEASE_REDIS;
    for (unsigned i = 0; i < hosts; i++) {
        libcache_options options = LIBCACHE_OPTIONS_INIT;
        options.segment = LIBCACHE_SHARED;
        options.memory_bytes = 4 << 20;
        options.redis_url = hosts > 1 ? stage.redis.url : NULL;
        options.redis_timeout_ms = 10000;
        options.pool_wait_ms = 10000;
        ck_result(libcache_open(&stage.cache[i], &options, NULL), LIBCACHE_OK);
        ck_result(libcache_open_namespace(&stage.ns[i], stage.cache[i], "test", &policy, NULL), LIBCACHE_OK);
        if (hosts > 1)
            ck_result(libcache_poll(stage.cache[i], 0), LIBCACHE_OK);
    }
    for (int i = 0; i < PROCESSES; i++) {
        stage.pid[i] = fork();
        ck_assert_int_ge(stage.pid[i], 0);
        if (stage.pid[i] == 0)
            child_main(i % (int)hosts);
    }
    __atomic_store_n(&stage.arena->go, 1, __ATOMIC_RELEASE);
}

static void kill_child(int i, int signal)
{
    ck_assert_int_eq(kill(stage.pid[i], signal), 0);
    if (signal == SIGKILL) {
        ck_assert_int_eq(waitpid(stage.pid[i], NULL, 0), stage.pid[i]);
        stage.pid[i] = 0;
    }
}

/*
 * Lets the leader's fate come, once all who are to wait ask. When it came. Of a whole host he dies last: while he lives, or seems to,
 * none of those who wait for him begins a load of his own, only to be killed in it.
 */
static uint64_t strike(void)
{
    uint64_t now;

    until(READ(stage.arena->leader) && READ(stage.arena->asking) == ALL);
    usleep(20000); /* those who have said so are about to: where they are when it comes does not matter */
    for (int i = 0; i < PROCESSES; i++)
        if (stage.fate == HOST_IS_KILLED && i % 2 == stage.arena->leaders_host && stage.pid[i] != stage.arena->leader)
            kill_child(i, SIGKILL);
    now = real_ms();
    for (int i = 0; i < PROCESSES; i++)
        if (stage.pid[i] == stage.arena->leader)
            kill_child(i, stage.fate == IS_STOPPED ? SIGSTOP : SIGKILL);
    return now;
}

static void down(void)
{
    for (int i = 0; i < PROCESSES; i++)
        if (stage.pid[i]) {
            int status = 0;
            if (stage.pid[i] == stage.arena->leader && stage.fate == IS_STOPPED) {
                kill_child(i, SIGKILL);
                continue;
            }
            waitpid(stage.pid[i], &status, 0);
            ck_assert_int_eq(status, 0);
        }
    ck_assert_msg(!stage.arena->wrong, "%u wrong: %s", stage.arena->wrong, stage.arena->complaint);
    for (unsigned i = 0; i < stage.hosts; i++)
        if (stage.fate != HOST_IS_KILLED || (int)i != stage.arena->leaders_host)
            ck_value(stage.ns[i], "key", "value");
    for (unsigned i = 0; i < stage.hosts; i++)
        libcache_close(stage.cache[i]);
    redis_server_stop(&stage.redis);
    munmap(stage.arena, sizeof *stage.arena);
}

static void all_are_answered(unsigned n)
{
    uint64_t last = real_ms() + 40000;

    while (READ(stage.arena->answers) < n) {
        ck_assert_msg(real_ms() < last, "only %u of %u are answered after %u loads", READ(stage.arena->answers), n,
                      READ(stage.arena->loads));
        nap();
    }
}

START_TEST(of_64_who_ask_at_once_one_loads)
{
    for (unsigned hosts = 1; hosts <= 2; hosts++)
        for (unsigned long i = 0; i < scaled(5); i++) {
            up(hosts, LOADS, 60000);
            all_are_answered(ALL);
            ck_assert_uint_eq(stage.arena->loads, 1);
            down();
        }
}
END_TEST

START_TEST(when_the_leader_is_killed_one_more_loads_at_once)
{
    for (unsigned hosts = 1; hosts <= 2; hosts++)
        for (unsigned long i = 0; i < scaled(5); i++) {
            uint64_t killed;
            up(hosts, IS_KILLED, 600000);
            killed = strike();
            all_are_answered(ALL - THREADS);
            ck_assert_uint_eq(stage.arena->loads, 2);
            ck_assert_uint_lt(stage.arena->answered_ms - killed, 20000); /* by being seen to be dead: the lease is of ten minutes */
            down();
        }
}
END_TEST

START_TEST(when_the_leader_is_stopped_others_wait_for_its_lease_and_no_longer)
{
    for (unsigned hosts = 1; hosts <= 2; hosts++) {
        up(hosts, IS_STOPPED, LEASE);
        strike();
        all_are_answered(ALL - THREADS);
        ck_assert_uint_eq(stage.arena->loads, 2);
        down();
    }
}
END_TEST

START_TEST(when_the_leaders_whole_host_dies_the_other_waits_for_its_lease_and_no_longer)
{
    up(2, HOST_IS_KILLED, LEASE);
    strike();
    all_are_answered(ALL / 2);
    ck_assert_uint_eq(stage.arena->loads, 2);
    down();
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_processes", of_64_who_ask_at_once_one_loads, when_the_leader_is_killed_one_more_loads_at_once,
                     when_the_leader_is_stopped_others_wait_for_its_lease_and_no_longer,
                     when_the_leaders_whole_host_dies_the_other_waits_for_its_lease_and_no_longer);
}
