/*
 * Transports and fork: a child never touches its parent's conversations, whatever the parent was doing (lib/l2/pool.c).
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/fake_redis.h"

#include "base/memory.h"
#include "base/platform.h"
#include "l2/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS 5000 /* where time does not matter */

static struct fake_redis fake;
static struct wire wire;

static void up(enum fake_family family, fake_script *script, void *arg)
{
    fake_redis_start(&fake, family, script, arg);
    wire_up(&wire, fake.url);
}

static void down(void)
{
    wire_down(&wire);
    fake_redis_stop(&fake);
}

/* ---- Children ------------------------------------------------------------------------------------------------- */

static void ck_child_ends_well(pid_t child)
{
    int status = 0;

    must(child > 0 && waitpid(child, &status, 0) == child, "there is no child");
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ends with status %#x", (unsigned)status);
}

/* In a child: 0 when each answer is its own. */
static int child_gets(const char *who, int n)
{
    char key[40];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s-%d", who, i);
        if (wire_get(&wire, key, MS) != LIBCACHE_OK)
            return 1;
    }
    return 0;
}

START_TEST(a_forked_child_gets_its_own_sockets)
{
    pid_t children[3];

    up(FAKE_TCP, fake_honest, NULL);
    ck_assert_int_eq(child_gets("parent", 3), 0);
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        children[i] = fork();
        if (children[i] == 0) {
            char who[20];
            unsigned inherited = open_sockets(NULL);
            int failed;
            snprintf(who, sizeof who, "child-%d", i);
            failed = child_gets(who, (int)scaled(500));
            if (open_sockets(NULL) != inherited) /* one more, its own; one less, its parent's */
                failed = 2;
            if (wire_stats(&wire).connects != 1)
                failed = 3;
            transport_close(wire.transport);
            if (wire.memory.live != 0)
                failed = 4;
            _exit(failed);
        }
        ck_assert_int_eq(child_gets("parent", (int)scaled(500)), 0); /* at the same time */
    }
    for (int i = 0; i < 3; i++)
        ck_child_ends_well(children[i]);
    ck_assert_int_eq(child_gets("parent", 100), 0);
    ck_assert_uint_eq(wire_stats(&wire).connects, 1);
    ck_assert_uint_eq(wire_stats(&wire).retries, 0);
    ck_assert_uint_eq(fake_connections(&fake), 4);
    down();
}
END_TEST

START_TEST(a_child_that_only_closes_does_not_disturb_its_parent)
{
    pid_t child;

    up(FAKE_UNIX, fake_honest, NULL);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    child = fork();
    if (child == 0) {
        transport_close(wire.transport);
        _exit(wire.memory.live != 0);
    }
    ck_child_ends_well(child);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    ck_assert_uint_eq(wire_stats(&wire).retries, 0);
    down();
}
END_TEST

static int gate;

static void behind_the_gate(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk)) {
        while (!load_acquire(&gate))
            if (!fake_wait(talk, 1))
                return;
        fake_answer(talk);
    }
}

static void *get_one(void *arg)
{
    must(wire_get(arg, "one", 10000) == LIBCACHE_OK, "get fails");
    return NULL;
}

START_TEST(a_fork_in_the_middle_of_an_exchange)
{
    pthread_t thread;
    pid_t child;

    up(FAKE_UNIX, behind_the_gate, NULL);
    pthread_create(&thread, NULL, get_one, &wire);
    ck_wait_until(fake_commands(&fake) == 1); /* it has sent its request and waits */
    child = fork();
    if (child == 0)
        _exit(child_gets("child", 3));
    ck_wait_until(fake_commands(&fake) == 2);
    store_release(&gate, 1);
    pthread_join(thread, NULL);
    ck_child_ends_well(child);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    down();
}
END_TEST

/* The allocators of AddressSanitizer and ThreadSanitizer (gcc 12) do not survive a fork while another thread allocates. */
#define FORKS_WELL (!PLATFORM_ASAN && !PLATFORM_TSAN)

#if FORKS_WELL
static int enough;

static void *get_until_enough(void *arg)
{
    char key[40];

    for (int i = 0; !load_acquire(&enough); i++) {
        snprintf(key, sizeof key, "thread-%d", i);
        must(wire_get(arg, key, MS) == LIBCACHE_OK, "get fails");
    }
    return NULL;
}

START_TEST(forks_while_threads_hold_locks_and_sockets)
{
    pthread_t threads[3];

    fake_redis_start(&fake, FAKE_UNIX, fake_honest, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.allocator = &memory_default; /* the counting one asserts, and so takes a lock of Check's; see `must` */
    wire_open(&wire);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, get_until_enough, &wire);
    for (unsigned long i = scaled(100); i; i--) {
        pid_t child = fork();
        if (child == 0) {
            pid_t grandchild;
            int failed = child_gets("child", 3);
            grandchild = fork();
            if (grandchild == 0)
                _exit(child_gets("grandchild", 3));
            ck_child_ends_well(grandchild);
            _exit(failed ? failed : child_gets("child again", 3));
        }
        ck_child_ends_well(child);
    }
    store_release(&enough, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(wire_stats(&wire).retries, 0);
    down();
}
END_TEST
#endif

/*
 * As if another thread had held it: the child has the lock, and nobody who would give it back. ThreadSanitizer remembers
 * the holder across the fork, and that the lock was made anew it does not believe.
 */
#if !PLATFORM_TSAN
START_TEST(a_lock_held_during_the_fork_does_not_bind_the_child)
{
    static const struct pool_limits limits = { 1, 2, 0, 50, 1000 };
    struct pool pool;
    struct slot *slot;
    pid_t child;

    ck_result(pool_init(&pool, &limits, &memory_default), LIBCACHE_OK);
    pthread_mutex_lock(&pool.lock);
    child = fork();
    if (child == 0) {
        alarm(5);
        if (pool_checkout(&pool, &slot, deadline_after_ms(MS), 0) != LIBCACHE_OK)
            _exit(1);
        pool_checkin(&pool, slot, 0, 0);
        pool_free(&pool);
        _exit(0);
    }
    pthread_mutex_unlock(&pool.lock);
    ck_child_ends_well(child);
    pool_free(&pool);
}
END_TEST
#endif

START_TEST(an_inherited_connection_of_ones_own_is_of_no_use)
{
    struct connection *connection = NULL;
    struct request request;
    struct replies replies;
    pid_t child;

    up(FAKE_UNIX, fake_honest, NULL);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    ck_result(request_words(&request, "GET key"), LIBCACHE_OK);
    ck_result(transport_connect(wire.transport, &connection, NULL, deadline_after_ms(MS), -1), LIBCACHE_OK);
    child = fork();
    if (child == 0) {
        int result = connection_exchange(connection, &request, &replies, deadline_after_ms(MS), -1);
        connection_close(connection);
        _exit(result != LIBCACHE_EUNAVAILABLE);
    }
    ck_child_ends_well(child);
    ck_result(connection_exchange(connection, &request, &replies, deadline_after_ms(MS), -1), LIBCACHE_OK);
    ck_assert_str_eq(replies.item[0].text, "value of key");
    replies_free(&replies);
    request_free(&request);
    connection_close(connection);
    down();
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_fork", a_forked_child_gets_its_own_sockets,
                     a_child_that_only_closes_does_not_disturb_its_parent, a_fork_in_the_middle_of_an_exchange,
#if !PLATFORM_TSAN
                     a_lock_held_during_the_fork_does_not_bind_the_child,
#endif
#if FORKS_WELL
                     forks_while_threads_hold_locks_and_sockets,
#endif
                     an_inherited_connection_of_ones_own_is_of_no_use);
}
