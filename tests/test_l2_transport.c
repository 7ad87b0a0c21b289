/*
 * Requests to one server as they should go: pool, greeting, retries, credentials, breaker (lib/l2/transport.c,
 * pool.c, connection.c, socket.c). What goes wrong is in test_l2_faults.c, processes in test_l2_fork.c.
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/fake_redis.h"
#include "support/redis_server.h"

#include "base/platform.h"
#include "l2/socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 5000 /* where time does not matter */

static struct fake_redis fake;
static struct wire wire;
static char answer[400];

static int tell(const char *words)
{
    return wire_tell(&wire, words, MS, 0, answer, sizeof answer);
}

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

/* ---- A real server --------------------------------------------------------------------------------------------- */

START_TEST(a_real_server_answers_on_both_kinds_of_socket)
{
    static const struct redis_server_options options = { .tcp = 1, .password = "p@ss/word" };
    struct redis_server redis;
    char url[200];

    REDIS_UP(&redis, &options);
    for (int kind = 0; kind < 3; kind++) {
        static const char *const hosts[] = { "127.0.0.1", "localhost" };
        if (kind == 2)
            snprintf(url, sizeof url, "unix://default:p%%40ss%%2fword@%s?db=5", redis.socket);
        else
            snprintf(url, sizeof url, "redis://:p%%40ss%%2Fword@%s:%u/5", hosts[kind], redis.port);
        wire_up(&wire, url);
        ck_result(tell("SET key value"), LIBCACHE_OK);
        ck_result(tell("GET key"), LIBCACHE_OK);
        ck_assert_str_eq(answer, "value");
        ck_result(tell("GET none"), LIBCACHE_OK);
        ck_assert_str_eq(answer, "(nil)");
        ck_result(tell("LPUSH key x"), LIBCACHE_EREMOTE); /* WRONGTYPE */
        ck_result(tell("INCR n"), LIBCACHE_OK);
        ck_result(tell("CLIENT INFO"), LIBCACHE_OK);
        ck_assert_ptr_nonnull(strstr(answer, "db=5"));
        ck_assert_uint_eq(wire_stats(&wire).connects, 1);
        ck_assert_uint_eq(wire_stats(&wire).exchanges, 6);
        ck_assert_uint_gt(wire_stats(&wire).bytes_in, 0);
        ck_assert_int_eq(transport_is_up(wire.transport), 1);
        wire_down(&wire);
    }
    redis_server_stop(&redis);
}
END_TEST

START_TEST(a_pipeline_larger_than_all_buffers_is_read_while_it_is_written)
{
    enum { SIZE = 100000 };
    struct redis_server redis;
    struct request request;
    struct replies replies;
    static char value[SIZE];
    size_t n = scaled(300);

    REDIS_UP(&redis, NULL);
    wire_up(&wire, redis.url);
    memset(value, 'v', sizeof value);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    for (size_t i = 0; i < n; i++) { /* ECHO: as much out as in */
        libcache_slice argv[] = { LIBCACHE_STR("ECHO"), { value, SIZE - i } };
        ck_result(request_add(&request, 2, argv), LIBCACHE_OK);
    }
    ck_result(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(30000), 0), LIBCACHE_OK);
    ck_assert_uint_eq(replies.n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(replies.item[i].size, SIZE - i);
    replies_free(&replies);
    request_free(&request);
    ck_result(tell("PING"), LIBCACHE_OK);
    ck_assert_uint_eq(wire_stats(&wire).connects, 1);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* Reads nothing while an answer is not taken. (Redis has memory for that, up to a point.) */
static void answers_at_length(struct fake_talk *talk, void *arg)
{
    static char text[100020] = "$100000\r\n";

    (void)arg;
    memset(text + 9, 'x', 100000);
    memcpy(text + 9 + 100000, "\r\n", 2);
    while (fake_read(talk) && fake_send(talk, text, 9 + 100000 + 2))
        ;
}

START_TEST(who_writes_reads_too_lest_both_wait_for_ever)
{
    static char value[100000];
    libcache_slice argv[] = { LIBCACHE_STR("ECHO"), { value, sizeof value } };
    struct request request;
    struct replies replies;

    up(FAKE_UNIX, answers_at_length, NULL);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    for (int i = 0; i < 100; i++)
        ck_result(request_add(&request, 2, argv), LIBCACHE_OK);
    ck_result(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(MS), 0), LIBCACHE_OK);
    ck_assert_uint_eq(replies.n, 100);
    replies_free(&replies);
    request_free(&request);
    down();
}
END_TEST

START_TEST(a_restarted_server_is_met_by_one_retry)
{
    struct redis_server redis;

    REDIS_UP(&redis, NULL);
    wire_up(&wire, redis.url);
    ck_result(tell("PING"), LIBCACHE_OK);
    REDIS_AGAIN(&redis, REDIS_EMPTY);
    ck_result(tell("PING"), LIBCACHE_OK); /* not repeatable; but nothing could be sent */
    ck_assert_uint_eq(wire_stats(&wire).retries, 1);
    ck_assert_uint_eq(wire_stats(&wire).failures, 0);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

START_TEST(a_server_that_has_no_room_says_so)
{
    static const char *const config[] = { "maxclients 1", NULL };
    static const struct redis_server_options options = { .config = config };
    struct redis_server redis;
    struct wire second;

    REDIS_UP(&redis, &options);
    wire_prepare(&wire, redis.url);
    wire_open(&wire);
    ck_wait_until(tell("PING") == LIBCACHE_OK); /* the one that waited for it to come up may not be gone yet */
    wire_up(&second, redis.url);
    ck_result(wire_tell(&second, "PING", MS, 0, answer, sizeof answer), LIBCACHE_EUNAVAILABLE);
    ck_assert_uint_eq(wire_stats(&second).connections, 0);
    ck_assert_uint_eq(wire_stats(&second).failures, 1);
    wire_down(&second);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* ---- The pool -------------------------------------------------------------------------------------------------- */

START_TEST(connections_are_used_again)
{
    uint64_t begun = monotonic_ns(), busy;

    up(FAKE_UNIX, fake_honest, NULL);
    for (int i = 0; i < 100; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    ck_assert_uint_eq(wire_stats(&wire).connections, 1);
    ck_assert_uint_eq(wire_stats(&wire).exchanges, 100);
    ck_assert_uint_eq(wire_stats(&wire).bytes_in, 100 * strlen("$12\r\nvalue of key\r\n"));
    ck_assert_uint_eq(wire_stats(&wire).bytes_out, 100 * strlen("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"));
    busy = wire_stats(&wire).busy_ns;
    ck_assert_uint_gt(busy, 100 * 500); /* no answer comes in half a microsecond */
    ck_assert_uint_lt(busy, monotonic_ns() - begun);
    down();
}
END_TEST

START_TEST(nobody_is_connected_to_before_it_is_needed)
{
    up(FAKE_UNIX, fake_honest, NULL);
    ck_assert_str_eq(transport_name(wire.transport) + strlen(transport_name(wire.transport)) - 7, "/sock/0");
    ck_assert_uint_eq(wire_stats(&wire).connections, 0);
    down();
    ck_assert_uint_eq(fake_connections(&fake), 0);
}
END_TEST

struct getter {
    struct wire *wire;
    uint64_t dice;
    int n;
    pthread_t thread;
};

static void *get_many(void *arg)
{
    struct getter *getter = arg;
    char key[30];

    for (int i = 0; i < getter->n; i++) {
        snprintf(key, sizeof key, "key-%d-%d", (int)getter->dice, i);
        must(wire_get(getter->wire, key, MS) == LIBCACHE_OK, "get fails");
    }
    return NULL;
}

START_TEST(threads_share_no_more_than_pool_max)
{
    struct getter getters[8];

    fake_redis_start(&fake, FAKE_UNIX, fake_honest, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.pool_max = 3;
    wire.options.pool_wait_ms = MS;
    wire_open(&wire);
    for (int i = 0; i < 8; i++) {
        getters[i] = (struct getter){ &wire, (uint64_t)i, (int)scaled(2000), 0 };
        pthread_create(&getters[i].thread, NULL, get_many, &getters[i]);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(getters[i].thread, NULL);
    ck_assert_uint_le(fake_connections(&fake), 3);
    ck_assert_uint_le(wire_stats(&wire).connections, 3);
    ck_assert_uint_eq(wire_stats(&wire).pool_refusals, 0);
    ck_assert_uint_eq(wire_stats(&wire).exchanges, 8 * scaled(2000));
    down();
}
END_TEST

/* Reads a command and answers when told. */
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
    struct getter *getter = arg;

    must(wire_get(getter->wire, "one", 10000) == LIBCACHE_OK, "get fails");
    return NULL;
}

static void occupy(struct getter *getters, int n)
{
    store_release(&gate, 0);
    for (int i = 0; i < n; i++) {
        getters[i].wire = &wire;
        pthread_create(&getters[i].thread, NULL, get_one, &getters[i]);
    }
    ck_wait_until(fake_commands(&fake) == (unsigned)n);
}

static void release(const struct getter *getters, int n)
{
    store_release(&gate, 1);
    for (int i = 0; i < n; i++)
        pthread_join(getters[i].thread, NULL);
}

START_TEST(waiting_for_a_connection_has_its_bound)
{
    struct getter busy[1];
    uint64_t begun;

    fake_redis_start(&fake, FAKE_UNIX, behind_the_gate, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.pool_max = 1;
    wire_open(&wire);
    occupy(busy, 1);
    begun = real_ms();
    ck_in_time(50, ck_result(wire_get(&wire, "two", MS), LIBCACHE_EUNAVAILABLE));
    ck_assert_uint_ge(real_ms() - begun, 49);
    ck_in_time(10, ck_result(wire_get(&wire, "three", 10), LIBCACHE_EUNAVAILABLE)); /* the deadline comes first */
    ck_assert_uint_ge(wire_stats(&wire).pool_refusals, 2);
    ck_assert_uint_eq(wire_stats(&wire).failures, 0);
    release(busy, 1);
    ck_result(wire_get(&wire, "four", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    down();
}
END_TEST

START_TEST(a_waiter_gets_the_connection_that_comes_back)
{
    struct getter busy[1], waiter = { .wire = &wire };

    fake_redis_start(&fake, FAKE_UNIX, behind_the_gate, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.pool_max = 1;
    wire.options.pool_wait_ms = 10000;
    wire_open(&wire);
    occupy(busy, 1);
    pthread_create(&waiter.thread, NULL, get_one, &waiter);
    ck_wait_until(wire_stats(&wire).pool_waits == 1);
    release(busy, 1);
    pthread_join(waiter.thread, NULL);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    down();
}
END_TEST

START_TEST(overflow_connections_are_closed_after_the_rush)
{
    struct getter busy[3];

    fake_redis_start(&fake, FAKE_UNIX, behind_the_gate, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.pool_max = 1;
    wire.options.pool_overflow = 2;
    wire_open(&wire);
    occupy(busy, 3);
    ck_assert_uint_eq(wire_stats(&wire).connections, 3);
    ck_result(wire_get(&wire, "four", MS), LIBCACHE_EUNAVAILABLE);
    release(busy, 3);
    ck_assert_uint_eq(wire_stats(&wire).connections, 1);
    down();
}
END_TEST

START_TEST(idle_connections_beyond_pool_min_are_closed)
{
    struct getter busy[4];

    fake_redis_start(&fake, FAKE_UNIX, behind_the_gate, NULL);
    wire_up(&wire, fake.url);
    occupy(busy, 4);
    release(busy, 4);
    ck_assert_uint_eq(wire_stats(&wire).connections, 4);
    for (int i = 0; i < 20; i++) { /* one carries all of the work */
        fake_clock_advance(&wire.clock, 10000);
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    }
    ck_assert_uint_eq(wire_stats(&wire).connections, 1);
    fake_clock_advance(&wire.clock, 1000000);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK); /* pool_min stays, however old */
    ck_assert_uint_eq(fake_connections(&fake), 4);
    down();
}
END_TEST

/* ---- The greeting ---------------------------------------------------------------------------------------------- */

struct greeter {
    int add_result, result;
    unsigned greeted;
    size_t n;
    char first[40];
};

static int greet(void *arg, struct request *request)
{
    const struct greeter *greeter = arg;

    if (greeter->add_result != LIBCACHE_OK)
        return greeter->add_result;
    if (request_words(request, "CLIENT SETNAME me") != LIBCACHE_OK)
        return LIBCACHE_ENOMEM;
    return request_words(request, "PING");
}

static int greeted(void *arg, const struct reply *replies, size_t n)
{
    struct greeter *greeter = arg;

    greeter->greeted++;
    greeter->n = n;
    snprintf(greeter->first, sizeof greeter->first, "%s", n ? replies[0].text : "");
    return greeter->result;
}

/* Answers only when the whole greeting is there: it must have come without waiting for an answer. */
static void wants_all_at_once(struct fake_talk *talk, void *arg)
{
    static const char *const wanted[] = { "AUTH ada s:cret", "SELECT 3", "CLIENT SETNAME me", "PING" };

    (void)arg;
    for (int i = 0; i < 4; i++) {
        if (!fake_read(talk))
            return;
        if (strcmp(talk->command, wanted[i]) != 0) {
            fake_say(talk, "-ERR in another order\r\n");
            return;
        }
    }
    fake_say(talk, "+OK\r\n+OK\r\n+named\r\n+PONG\r\n");
    fake_honest(talk, NULL);
}

static void prepare_greeter(struct greeter *greeter, const char *user)
{
    static char url[400];

    snprintf(url, sizeof url, "unix://%.60s%.100s?db=3", user, fake.url + strlen("unix://"));
    memset(greeter, 0, sizeof *greeter);
    wire_prepare(&wire, url);
    wire.options.greet = greet;
    wire.options.greeted = greeted;
    wire.options.greet_arg = greeter;
}

START_TEST(the_greeting_is_one_write)
{
    struct greeter greeter;

    fake_redis_start(&fake, FAKE_UNIX, wants_all_at_once, NULL);
    prepare_greeter(&greeter, "ada:s%3acret@");
    wire_open(&wire);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(greeter.greeted, 1);
    ck_assert_uint_eq(greeter.n, 2);
    ck_assert_str_eq(greeter.first, "named");
    ck_assert_uint_eq(wire_stats(&wire).connects, 1);
    down();
}
END_TEST

START_TEST(who_greets_may_refuse_the_connection)
{
    static const int refusals[] = { LIBCACHE_EUNAVAILABLE, LIBCACHE_EPROTOCOL, LIBCACHE_EUNSUPPORTED,
                                    LIBCACHE_EDENIED };
    struct greeter greeter;

    fake_redis_start(&fake, FAKE_UNIX, fake_honest, NULL);
    for (int i = 0; i < 4; i++) {
        prepare_greeter(&greeter, "");
        greeter.result = refusals[i];
        wire_open(&wire);
        ck_result(wire_get(&wire, "key", MS), refusals[i]);
        ck_assert_uint_eq(wire_stats(&wire).connections, 0);
        ck_assert_uint_eq(wire_stats(&wire).connect_failures, 1);
        ck_assert_uint_eq(wire_stats(&wire).failures, i < 2);
        wire_down(&wire);
    }
    prepare_greeter(&greeter, "");
    greeter.add_result = LIBCACHE_ENOMEM;
    wire_open(&wire);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_ENOMEM);
    ck_assert_uint_eq(greeter.greeted, 0);
    down();
}
END_TEST

/* ---- Credentials ----------------------------------------------------------------------------------------------- */

/* Refuses so many connections, then takes them. */
static void refuses(struct fake_talk *talk, void *arg)
{
    while (fake_read(talk)) {
        if (strncmp(talk->command, "AUTH", 4) == 0 && talk->nth < *(unsigned *)arg)
            fake_say(talk, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        else if (talk->nth < *(unsigned *)arg)
            fake_say(talk, "-NOAUTH Authentication required.\r\n");
        else
            fake_answer(talk);
    }
}

START_TEST(wrong_credentials_are_tried_again_after_30_seconds_and_logged_once)
{
    unsigned refused = 2;
    struct greeter greeter;

    fake_redis_start(&fake, FAKE_UNIX, refuses, &refused);
    prepare_greeter(&greeter, ":sesame@");
    wire_open(&wire);
    for (int i = 0; i < 10; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_EDENIED);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    ck_assert_int_eq(transport_is_up(wire.transport), 0);
    fake_clock_advance(&wire.clock, 29999);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_EDENIED);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    fake_clock_advance(&wire.clock, 1);
    for (int i = 0; i < 10; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_EDENIED);
    ck_assert_uint_eq(fake_connections(&fake), 2);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_ERROR], 1);
    ck_assert_ptr_null(strstr(wire.last_log, "sesame"));
    ck_assert_uint_eq(greeter.greeted, 0);
    ck_assert_uint_eq(wire_stats(&wire).denied, 2);
    ck_assert_uint_eq(wire_stats(&wire).failures, 0); /* the server is there: the breaker has no part in it */
    fake_clock_advance(&wire.clock, 30000);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_int_eq(transport_is_up(wire.transport), 1);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_INFO], 1);
    down();
}
END_TEST

START_TEST(a_server_that_wants_a_password_we_do_not_have)
{
    static const struct redis_server_options options = { .password = "sesame" };
    struct redis_server redis;

    REDIS_UP(&redis, &options);
    snprintf(answer, sizeof answer, "unix://%s", redis.socket);
    wire_up(&wire, answer);
    for (int i = 0; i < 10; i++)
        ck_result(tell("PING"), LIBCACHE_EDENIED);
    ck_assert_uint_eq(wire_stats(&wire).connects, 1);
    ck_assert_uint_eq(wire_stats(&wire).connections, 0);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_ERROR], 1);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

START_TEST(a_database_that_is_not_there)
{
    struct redis_server redis;

    REDIS_UP(&redis, NULL);
    snprintf(answer, sizeof answer, "unix://%s?db=4000", redis.socket);
    wire_up(&wire, answer);
    for (int i = 0; i < 10; i++)
        ck_result(tell("PING"), LIBCACHE_EREMOTE);
    ck_assert_uint_eq(wire_stats(&wire).connect_failures, 1);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_ERROR], 1);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* ---- Retries --------------------------------------------------------------------------------------------------- */

/* Answers once, and is gone. */
static void one_shot(struct fake_talk *talk, void *arg)
{
    (void)arg;
    if (fake_read(talk))
        fake_answer(talk);
}

static void wait_for_end(unsigned nth)
{
    ck_wait_until(load_acquire(&fake.ended) > nth);
}

START_TEST(a_connection_that_died_while_idle_costs_nobody_an_answer)
{
    for (int family = FAKE_UNIX; family <= FAKE_TCP; family++) {
        up((enum fake_family)family, one_shot, NULL);
        for (unsigned i = 0; i < 5; i++) {
            ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
            wait_for_end(i);
        }
        ck_assert_uint_eq(wire_stats(&wire).retries, 4);
        ck_assert_uint_eq(wire_stats(&wire).failures, 0);
        down();
    }
}
END_TEST

/* TCP takes the first bytes even when the other side has ended. */
START_TEST(what_must_not_be_repeated_is_sent_again_only_if_nothing_was_sent)
{
    up(FAKE_UNIX, one_shot, NULL);
    ck_result(tell("PING"), LIBCACHE_OK);
    wait_for_end(0);
    ck_result(tell("PING"), LIBCACHE_OK);
    ck_assert_uint_eq(fake_commands(&fake), 2);
    down();
    up(FAKE_TCP, one_shot, NULL);
    ck_result(tell("PING"), LIBCACHE_OK);
    wait_for_end(0);
    ck_result(tell("PING"), LIBCACHE_ETIMEDOUT);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    down();
}
END_TEST

START_TEST(suspicion_finds_a_dead_connection_before_it_is_used)
{
    up(FAKE_TCP, one_shot, NULL);
    ck_result(tell("PING"), LIBCACHE_OK);
    wait_for_end(0);
    fake_clock_advance(&wire.clock, 1001);
    ck_result(tell("PING"), LIBCACHE_OK);
    ck_assert_uint_eq(wire_stats(&wire).retries, 0);
    ck_assert_uint_eq(fake_connections(&fake), 2);
    down();
}
END_TEST

START_TEST(one_dead_connection_casts_suspicion_on_the_others)
{
    struct getter busy[4];

    fake_redis_start(&fake, FAKE_TCP, behind_the_gate, NULL);
    wire_up(&wire, fake.url);
    occupy(busy, 4);
    release(busy, 4);
    ck_assert_uint_eq(wire_stats(&wire).connections, 4);
    for (unsigned i = 0; i < 4; i++)
        shutdown(fake.talks[i]->fd, SHUT_RDWR);
    wait_for_end(3);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(wire_stats(&wire).retries, 1);
    {
        struct getter more[3]; /* the other three places */
        store_release(&gate, 0);
        for (int i = 0; i < 3; i++) {
            more[i].wire = &wire;
            pthread_create(&more[i].thread, NULL, get_one, &more[i]);
        }
        ck_wait_until(fake_commands(&fake) == 4 + 1 + 3);
        release(more, 3);
    }
    ck_assert_uint_eq(wire_stats(&wire).retries, 1);
    down();
}
END_TEST

START_TEST(retries_are_a_tenth_of_the_exchanges_at_most)
{
    unsigned answered = 0, n = 300;

    up(FAKE_UNIX, one_shot, NULL);
    for (unsigned i = 0; i < n; i++) {
        unsigned before = fake_connections(&fake);
        answered += wire_get(&wire, "key", MS) == LIBCACHE_OK;
        if (fake_connections(&fake) != before)
            wait_for_end(before);
    }
    ck_assert_uint_le(wire_stats(&wire).retries, 10 + n / 10);
    ck_assert_uint_ge(wire_stats(&wire).retries, n / 10);
    ck_assert_uint_lt(answered, n); /* without the budget every one of them would have been */
    down();
}
END_TEST

/* Reads a command, and is gone. */
static void mute(struct fake_talk *talk, void *arg)
{
    (void)arg;
    fake_read(talk);
}

START_TEST(a_fresh_connection_that_dies_is_not_tried_again)
{
    up(FAKE_UNIX, mute, NULL);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_ETIMEDOUT);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    ck_assert_uint_eq(wire_stats(&wire).retries, 0);
    down();
}
END_TEST

/* ---- The breaker ----------------------------------------------------------------------------------------------- */

START_TEST(an_open_breaker_asks_nobody_and_one_probe_closes_it)
{
    struct redis_server redis;

    REDIS_UP(&redis, NULL);
    wire_prepare(&wire, redis.url);
    wire.options.breaker_failures = 3;
    wire_open(&wire);
    ck_result(tell("PING"), LIBCACHE_OK);
    redis_server_kill(&redis);
    for (int i = 0; i < 10; i++)
        ck_result(tell("PING"), LIBCACHE_EUNAVAILABLE);
    ck_assert_uint_eq(wire_stats(&wire).failures, 3);
    ck_assert_int_eq(transport_is_up(wire.transport), 0);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_WARNING], 1);
    ck_assert_int_eq(redis_server_restart(&redis, REDIS_EMPTY), 0);
    ck_result(tell("PING"), LIBCACHE_EUNAVAILABLE);                                              /* not yet */
    ck_result(wire_tell(&wire, "PING", MS, EXCHANGE_PROBE, answer, sizeof answer), LIBCACHE_OK); /* goes past it */
    ck_assert_int_eq(transport_is_up(wire.transport), 1);
    ck_assert_uint_eq(wire.logged[LIBCACHE_LOG_INFO], 1);

    redis_server_kill(&redis);
    for (int i = 0; i < 3; i++)
        ck_result(tell("PING"), LIBCACHE_EUNAVAILABLE);
    ck_assert_int_eq(redis_server_restart(&redis, REDIS_EMPTY), 0);
    ck_result(tell("PING"), LIBCACHE_EUNAVAILABLE);
    fake_clock_advance(&wire.clock, 100);
    ck_result(tell("PING"), LIBCACHE_OK);
    ck_result(tell("PING"), LIBCACHE_OK);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* ---- A connection of one's own --------------------------------------------------------------------------------- */

static void wake(int fd)
{
    ck_assert_int_eq((int)write(fd, "x", 1), 1);
}

START_TEST(a_connection_of_ones_own_can_be_woken)
{
    int pipes[2];
    struct connection *connection = NULL;
    struct request request;
    struct replies replies;
    uint64_t begun;

    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    store_release(&gate, 1);
    up(FAKE_UNIX, behind_the_gate, NULL);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    ck_result(request_words(&request, "GET key"), LIBCACHE_OK);
    ck_result(transport_connect(wire.transport, &connection, NULL, deadline_after_ms(MS), pipes[0]), LIBCACHE_OK);
    ck_result(connection_exchange(connection, &request, &replies, deadline_after_ms(MS), pipes[0]), LIBCACHE_OK);
    ck_assert_str_eq(replies.item[0].text, "value of key");
    replies_free(&replies);
    store_release(&gate, 0);
    wake(pipes[1]);
    begun = real_ms();
    ck_result(connection_exchange(connection, &request, &replies, deadline_after_ms(MS), pipes[0]), LIBCACHE_MISS);
    ck_assert_uint_lt(real_ms() - begun, MS / 2);
    ck_assert_uint_eq(replies.n, 0);
    store_release(&gate, 1);
    ck_result(connection_exchange(connection, &request, &replies, deadline_after_ms(MS), -1),
              LIBCACHE_EUNAVAILABLE); /* its answer may still come: of no more use */
    connection_close(connection);
    connection_close(NULL);
    request_free(&request);
    down();
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

START_TEST(every_allocation_may_fail)
{
    struct greeter greeter;

    fake_redis_start(&fake, FAKE_UNIX, fake_honest, NULL);
    for (uint64_t fail_at = 1;; fail_at++) {
        int result;
        uint64_t left;
        prepare_greeter(&greeter, "ada:sesame@");
        wire.memory.fail_at = fail_at;
        result = transport_open(&wire.transport, &wire.options, NULL);
        if (result == LIBCACHE_OK) {
            result = wire_get(&wire, "key", MS);
            if (result == LIBCACHE_OK)
                result = wire_get(&wire, "another", MS);
            left = wire.memory.fail_at;
            wire.memory.fail_at = 0;
            ck_result(wire_get(&wire, "third", MS), LIBCACHE_OK); /* nothing is broken by it */
            wire_down(&wire);
        } else {
            left = wire.memory.fail_at;
            ck_assert_int_eq(wire.memory.live, 0);
        }
        if (left) {
            ck_result(result, LIBCACHE_OK);
            ck_assert_uint_gt(fail_at, 10);
            break;
        }
        ck_result(result, LIBCACHE_ENOMEM);
    }
    fake_redis_stop(&fake);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "l2_transport", a_real_server_answers_on_both_kinds_of_socket,
        a_pipeline_larger_than_all_buffers_is_read_while_it_is_written, who_writes_reads_too_lest_both_wait_for_ever,
        a_restarted_server_is_met_by_one_retry, a_server_that_has_no_room_says_so, connections_are_used_again,
        nobody_is_connected_to_before_it_is_needed, threads_share_no_more_than_pool_max,
        waiting_for_a_connection_has_its_bound, a_waiter_gets_the_connection_that_comes_back,
        overflow_connections_are_closed_after_the_rush, idle_connections_beyond_pool_min_are_closed,
        the_greeting_is_one_write, who_greets_may_refuse_the_connection,
        wrong_credentials_are_tried_again_after_30_seconds_and_logged_once,
        a_server_that_wants_a_password_we_do_not_have, a_database_that_is_not_there,
        a_connection_that_died_while_idle_costs_nobody_an_answer,
        what_must_not_be_repeated_is_sent_again_only_if_nothing_was_sent,
        suspicion_finds_a_dead_connection_before_it_is_used, one_dead_connection_casts_suspicion_on_the_others,
        retries_are_a_tenth_of_the_exchanges_at_most, a_fresh_connection_that_dies_is_not_tried_again,
        an_open_breaker_asks_nobody_and_one_probe_closes_it, a_connection_of_ones_own_can_be_woken,
        every_allocation_may_fail);
}
