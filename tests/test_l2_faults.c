/*
 * What a Redis server, and the way to it, can do to a client. Each fault must end within the deadline, with a result
 * that says what may have happened, and no value that is somebody else's may ever be returned (wire_get sees to the
 * latter). The numbers tell the faults apart, here and in other tests. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/fake_redis.h"
#include "support/redis_server.h"

#include "base/platform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
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

/* The same words to each command of the first connections; honest from connection `honest_from` on. */
struct words {
    const char *text;
    size_t size;
    unsigned honest_from;
    int end; /* 1: and the connection ends */
};

static void say_words(struct fake_talk *talk, void *arg)
{
    const struct words *words = arg;

    if (talk->nth >= words->honest_from) {
        fake_honest(talk, NULL);
        return;
    }
    while (fake_read(talk) && fake_send(talk, words->text, words->size))
        if (words->end)
            return;
}

/* The result of one get from a server that says just that, and then is honest with a new connection. */
static int get_from(enum fake_family family, const char *text, size_t size, int end)
{
    struct words words = { text, size, 1, end };
    int result;

    up(family, say_words, &words);
    result = wire_get(&wire, "key", MS);
    ck_result(wire_get(&wire, "another", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 2); /* never the first one again */
    down();
    return result;
}

/* ---- 1: down --------------------------------------------------------------------------------------------------- */

START_TEST(a_server_that_is_not_there_is_known_at_once)
{
    static const char *const urls[] = { "unix:///tmp/libcache-there-is-no-such-socket", "redis://127.0.0.1:1",
                                        "redis://[::1]:1" };

    for (int i = 0; i < 3; i++) {
        wire_up(&wire, urls[i]);
        ck_in_time(0, ck_result(wire_get(&wire, "key", MS), LIBCACHE_EUNAVAILABLE));
        ck_assert_uint_ge(wire_stats(&wire).connect_failures, 1);
        ck_assert_uint_eq(wire_stats(&wire).connections, 0);
        wire_down(&wire);
    }
}
END_TEST

START_TEST(a_name_that_does_not_resolve_ends_within_the_deadline)
{
    wire_up(&wire, "redis://no-such-host.invalid");
    ck_in_time(150, ck_result(wire_get(&wire, "key", 150), LIBCACHE_EUNAVAILABLE));
    wire_down(&wire);
}
END_TEST

/* ---- 2, 12: answers cut, and in pieces ------------------------------------------------------------------------- */

static const char whole[] = "$12\r\nvalue of key\r\n";

START_TEST(cut_reply_at_every_byte)
{
    for (size_t size = 0; size < sizeof whole - 1; size++)
        for (int family = FAKE_UNIX; family <= FAKE_TCP; family++)
            ck_result(get_from((enum fake_family)family, whole, size, 1), LIBCACHE_ETIMEDOUT);
}
END_TEST

START_TEST(a_pipeline_cut_at_every_byte_gives_all_or_nothing)
{
    static const char text[] = "$1\r\na\r\n:7\r\n*2\r\n+x\r\n$-1\r\n";
    struct request request;
    struct replies replies;

    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct words words = { text, size, 1, 1 };
        up(FAKE_UNIX, say_words, &words);
        request_init(&request, &wire.memory.allocator);
        replies_init(&replies, &wire.memory.allocator);
        for (int i = 0; i < 3; i++)
            ck_result(request_words(&request, "PING"), LIBCACHE_OK);
        ck_result(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(MS), 0), LIBCACHE_ETIMEDOUT);
        ck_assert_uint_eq(replies.n, 0);
        ck_assert_ptr_null(replies.arena);
        request_free(&request);
        down();
    }
}
END_TEST

static void byte_by_byte(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk))
        for (size_t i = 0; i < sizeof whole - 1; i++) {
            fake_send(talk, whole + i, 1);
            if (i % 5 == 0 && !fake_wait(talk, 1))
                return;
        }
}

START_TEST(an_answer_in_slices_is_an_answer)
{
    up(FAKE_TCP, byte_by_byte, NULL);
    for (int i = 0; i < 5; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 1);
    down();
}
END_TEST

/* ---- 3, 4: slow, silent, dripping ------------------------------------------------------------------------------ */

static void silent(struct fake_talk *talk, void *arg)
{
    (void)arg;
    fake_be_silent(talk);
}

/* Deadlines on both sides of what socket.c waits for in one go. */
static const uint64_t deadlines[] = { 0, 1, 10, 30, 45, 90 };

/* Too late; the short deadlines may be over before anything was sent. */
static void ck_late(int result, uint64_t deadline_ms)
{
    if (deadline_ms < 4 * slack_ms() && result == LIBCACHE_EUNAVAILABLE)
        return;
    ck_result(result, LIBCACHE_ETIMEDOUT);
}

START_TEST(blackhole_within_deadline)
{
    up(FAKE_TCP, silent, NULL);
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        ck_in_time(deadlines[i], ck_late(wire_get(&wire, "key", deadlines[i]), deadlines[i]));
        ck_assert_uint_eq(wire_stats(&wire).connections, 0);
    }
    ck_assert_uint_ge(wire_stats(&wire).timeouts, 3);
    down();
}
END_TEST

static void drip(struct fake_talk *talk, void *arg)
{
    (void)arg;
    if (!fake_read(talk) || !fake_say(talk, "$100000\r\n"))
        return;
    while (fake_send(talk, "x", 1) && fake_wait(talk, 3))
        ;
}

START_TEST(a_dripping_server_does_not_stretch_the_deadline)
{
    up(FAKE_UNIX, drip, NULL);
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++)
        ck_in_time(deadlines[i], ck_late(wire_get(&wire, "key", deadlines[i]), deadlines[i]));
    down();
}
END_TEST

/* Takes connections, and reads nothing. */
static void deaf(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (!load_acquire(&talk->fake->stopping))
        breathe();
}

START_TEST(a_server_that_does_not_read_does_not_stretch_the_deadline)
{
    static char value[1 << 20];
    struct request request;
    struct replies replies;
    libcache_slice argv[] = { LIBCACHE_STR("SET"), LIBCACHE_STR("key"), { value, sizeof value } };

    up(FAKE_UNIX, deaf, NULL);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    for (int i = 0; i < 8; i++)
        ck_result(request_add(&request, 3, argv), LIBCACHE_OK);
    ck_in_time(60, ck_late(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(60), 0), 60));
    request_free(&request);
    down();
}
END_TEST

static void count_signal(int number)
{
    (void)number;
}

static void *pester(void *arg)
{
    while (!load_acquire(&fake.stopping)) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        breathe();
    }
    return NULL;
}

START_TEST(signals_do_not_stretch_the_deadline)
{
    struct sigaction action = { .sa_handler = count_signal }; /* no SA_RESTART */
    pthread_t self = pthread_self(), other;

    sigaction(SIGUSR1, &action, NULL);
    up(FAKE_UNIX, silent, NULL);
    pthread_create(&other, NULL, pester, &self);
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        uint64_t begun = real_ms();
        ck_in_time(deadlines[i], ck_late(wire_get(&wire, "key", deadlines[i]), deadlines[i]));
        ck_assert_uint_ge(real_ms() - begun + 1, deadlines[i]); /* nor do they end it */
    }
    store_release(&fake.stopping, 1);
    pthread_join(other, NULL);
    signal(SIGUSR1, SIG_DFL);
    down();
}
END_TEST

/* A port that answers no SYN: the queue of a listener that accepts nobody is full. */
START_TEST(a_connect_into_the_void_ends_within_the_deadline)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[8], full = 0;
    char url[60];

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ck_assert_int_eq(listen(listener, 0), 0);
    for (int i = 0; i < 8; i++) {
        struct pollfd polled = { 0, POLLOUT, 0 };
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        polled.fd = fillers[i];
        connect(fillers[i], (struct sockaddr *)&address, sizeof address);
        full = poll(&polled, 1, 30) == 0;
    }
    ck_assert_msg(full, "the queue does not fill");
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    wire_up(&wire, url);
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        /* Nothing was sent. */
        ck_in_time(deadlines[i], ck_result(wire_get(&wire, "key", deadlines[i]), LIBCACHE_EUNAVAILABLE));
    }
    wire_down(&wire);
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
}
END_TEST

START_TEST(a_stopped_server_and_its_return)
{
    struct redis_server redis;

    REDIS_UP(&redis, NULL);
    wire_up(&wire, redis.url);
    ck_result(tell("SET key before"), LIBCACHE_OK);
    redis_server_pause(&redis);
    for (int i = 0; i < 5; i++)
        ck_in_time(50, ck_late(wire_tell(&wire, "GET key", 50, EXCHANGE_REPEATABLE, answer, sizeof answer), 50));
    redis_server_resume(&redis);
    ck_result(tell("GET key"), LIBCACHE_OK);
    ck_assert_str_eq(answer, "before");
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* Answers every command, the first of a connection much too late. */
static void late(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk)) {
        fake_wait(talk, talk->nth % 2 ? 0 : 40);
        fake_answer(talk);
    }
}

START_TEST(timeout_then_reuse_never_returns_foreign_value)
{
    char key[20];
    int ok = 0;

    up(FAKE_UNIX, late, NULL);
    for (int i = 0; i < 50; i++) {
        int result;
        snprintf(key, sizeof key, "key-%d", i);
        result = wire_get(&wire, key, i % 3 == 2 ? MS : 20 + (uint64_t)(i % 3) * 15); /* 20 and 35 are too short */
        ok += result == LIBCACHE_OK;
        if (result != LIBCACHE_OK)
            ck_late(result, 35);
    }
    ck_assert_int_gt(ok, 10);
    ck_assert_uint_gt(wire_stats(&wire).timeouts, 0);
    down();
}
END_TEST

/* ---- 5, 18: not now -------------------------------------------------------------------------------------------- */

START_TEST(a_server_that_is_not_ready_is_a_failure_that_keeps_its_socket)
{
    static const char *const errors[] = {
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-BUSY Redis is busy running a script\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    };

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct words words = { errors[i], strlen(errors[i]), 100, 0 };
        fake_redis_start(&fake, FAKE_UNIX, say_words, &words);
        wire_prepare(&wire, fake.url);
        wire.options.breaker_failures = 3;
        wire_open(&wire);
        for (int k = 0; k < 10; k++)
            ck_result(wire_get(&wire, "key", MS), LIBCACHE_EUNAVAILABLE);
        ck_assert_uint_eq(fake_commands(&fake), 3); /* then the breaker was open */
        ck_assert_uint_eq(fake_connections(&fake), 1);
        ck_assert_uint_eq(wire_stats(&wire).connections, 1);
        down();
    }
}
END_TEST

START_TEST(a_real_server_that_is_loading)
{
    static const char *const config[] = { "key-load-delay 100", NULL };
    static const struct redis_server_options options = { .keep = 1, .config = config };
    struct redis_server redis;
    int result, loading = 0;
    uint64_t until = real_ms() + 30000;

    REDIS_UP(&redis, &options);
    for (int i = 0; i < 2000; i++) {
        snprintf(answer, sizeof answer, "key-%d", i);
        ck_assert_int_ge(REDIS_TELL(&redis, answer, "SET", answer, "value"), 0);
    }
    ck_assert_int_eq(redis_server_spawn(&redis, REDIS_KEPT), 0);
    wire_up(&wire, redis.url);
    do {
        result = tell("GET key-1999");
        ck_assert_msg(result == LIBCACHE_OK || result == LIBCACHE_EUNAVAILABLE, "%s", result_name(result));
        loading += result != LIBCACHE_OK && strncmp(answer, "LOADING", 7) == 0;
        breathe();
    } while (result != LIBCACHE_OK && real_ms() < until);
    ck_result(result, LIBCACHE_OK);
    ck_assert_int_gt(loading, 0);
    ck_assert_uint_eq(wire_stats(&wire).connects, 1); /* the socket stayed */
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

/* ---- 6: a replica now (7, 9: what is nobody's failure) --------------------------------------------------------- */

static int gate;

static void readonly_behind_the_gate(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk)) {
        while (!load_acquire(&gate))
            if (!fake_wait(talk, 1))
                return;
        if (strcmp(talk->command, "WRITE") == 0)
            fake_say(talk, "-READONLY You can't write against a read only replica.\r\n");
        else
            fake_answer(talk);
    }
}

static void *get_one(void *arg)
{
    must(wire_get(arg, "key", 10000) == LIBCACHE_OK, "get fails");
    return NULL;
}

START_TEST(readonly_drops_every_connection_so_that_the_name_resolves_anew)
{
    pthread_t threads[3];

    up(FAKE_UNIX, readonly_behind_the_gate, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, get_one, &wire);
    ck_wait_until(fake_commands(&fake) == 3);
    store_release(&gate, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(wire_stats(&wire).connections, 3);
    ck_result(tell("WRITE"), LIBCACHE_EUNAVAILABLE);
    ck_assert_uint_eq(wire_stats(&wire).connections, 0);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 4);
    down();
}
END_TEST

/* WRITE is answered at once; GET waits at the gate. */
static void slow_reader_quick_refusal(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk)) {
        if (strcmp(talk->command, "WRITE") == 0) {
            fake_say(talk, "-READONLY You can't write against a read only replica.\r\n");
            continue;
        }
        while (!load_acquire(&gate))
            if (!fake_wait(talk, 1))
                return;
        fake_answer(talk);
    }
}

START_TEST(a_connection_in_use_during_the_drop_is_closed_when_it_comes_back)
{
    pthread_t thread;

    up(FAKE_UNIX, slow_reader_quick_refusal, NULL);
    pthread_create(&thread, NULL, get_one, &wire);
    ck_wait_until(fake_commands(&fake) == 1);
    ck_result(tell("WRITE"), LIBCACHE_EUNAVAILABLE);
    ck_assert_uint_eq(wire_stats(&wire).connections, 1);
    store_release(&gate, 1);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(wire_stats(&wire).connections, 0);
    down();
}
END_TEST

START_TEST(errors_of_one_command_are_nobodys_failure)
{
    static const struct {
        const char *text;
        int result;
    } errors[] = {
        { "-OOM command not allowed when used memory > 'maxmemory'.\r\n", LIBCACHE_EREMOTE },
        { "-MISCONF Redis is configured to save RDB snapshots\r\n", LIBCACHE_EREMOTE },
        { "-NOREPLICAS Not enough good replicas to write.\r\n", LIBCACHE_EREMOTE },
        { "-WRONGTYPE Operation against a key\r\n", LIBCACHE_EREMOTE },
        { "-NOPERM this user has no permissions to run the 'get' command\r\n", LIBCACHE_EDENIED },
        { "-MOVED 3999 127.0.0.1:6381\r\n", LIBCACHE_EUNSUPPORTED },
        { "-ASK 3999 127.0.0.1:6381\r\n", LIBCACHE_EUNSUPPORTED },
    };

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct words words = { errors[i].text, strlen(errors[i].text), 100, 0 };
        fake_redis_start(&fake, FAKE_UNIX, say_words, &words);
        wire_prepare(&wire, fake.url);
        wire.options.breaker_failures = 1;
        wire_open(&wire);
        for (int k = 0; k < 5; k++)
            ck_result(wire_get(&wire, "key", MS), errors[i].result);
        ck_assert_uint_eq(wire_stats(&wire).failures, 0);
        ck_assert_uint_eq(fake_connections(&fake), 1);
        down();
    }
}
END_TEST

/* ---- 10: no room ----------------------------------------------------------------------------------------------- */

static void full(struct fake_talk *talk, void *arg)
{
    (void)arg;
    fake_say(talk, "-ERR max number of clients reached\r\n");
}

static int greet_with_two(void *arg, struct request *request)
{
    (void)arg;
    return request_words(request, "PING") == LIBCACHE_OK ? request_words(request, "PING") : LIBCACHE_ENOMEM;
}

START_TEST(the_error_of_a_full_server_is_read_before_its_end)
{
    for (int family = FAKE_UNIX; family <= FAKE_TCP; family++)
        for (int greeting = 0; greeting < 2; greeting++) {
            fake_redis_start(&fake, (enum fake_family)family, full, NULL);
            wire_prepare(&wire, fake.url);
            wire.options.greet = greeting ? greet_with_two : NULL;
            wire_open(&wire);
            for (int i = 0; i < 20; i++)
                ck_result(wire_get_flags(&wire, "key", MS, 0), LIBCACHE_EUNAVAILABLE);
            ck_assert_uint_eq(wire_stats(&wire).failures, 20);
            ck_assert_uint_eq(wire_stats(&wire).connections, 0);
            down();
        }
}
END_TEST

/* Reads a little first, so that something was sent. */
static void full_after_all(struct fake_talk *talk, void *arg)
{
    full(talk, arg);
    fake_wait(talk, 5);
}

START_TEST(the_error_of_a_full_server_counts_also_when_much_was_sent)
{
    static char value[4 << 20];
    libcache_slice argv[] = { LIBCACHE_STR("SET"), LIBCACHE_STR("key"), { value, sizeof value } };
    struct request request;
    struct replies replies;

    up(FAKE_UNIX, full_after_all, NULL);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    for (int i = 0; i < 2; i++)
        ck_result(request_add(&request, 3, argv), LIBCACHE_OK);
    for (int i = 0; i < 20; i++)
        ck_result(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(MS), 0),
                  LIBCACHE_EUNAVAILABLE);
    request_free(&request);
    down();
}
END_TEST

/* ---- 11, 13: garbage, and too much ----------------------------------------------------------------------------- */

START_TEST(garbage_ends_the_connection)
{
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "x",
        "$3\r\nabcXX",
        "$x\r\n",
        ":1x\r\n",
        "_\r\n",
        ">2\r\n+a\r\n+b\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "\x15\x03\x01",
        "+OK\r\n+OK\r\n",
        "$12\r\nvalue of key\r\n$12",
        "$12\r\nvalue of key\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int result = get_from(FAKE_UNIX, texts[i], strlen(texts[i]), 0);
        ck_assert_msg(result == LIBCACHE_EPROTOCOL, "%s gives %s", texts[i], result_name(result));
    }
}
END_TEST

START_TEST(random_garbage_never_gives_a_value)
{
    struct dice dice = dice_of(1);

    for (unsigned long n = scaled(300); n; n--) {
        char text[64];
        size_t size = (size_t)dice_below(&dice, sizeof text) + 1;
        struct words words = { text, size, 1, 1 };
        int result;
        for (size_t i = 0; i < size; i++)
            text[i] = dice_chance(&dice, 50) ? "+-:$*\r\n0123"[dice_below(&dice, 11)] : (char)dice_roll(&dice);
        if (size > 1 && (text[0] == '+' || text[0] == ':'))
            text[0] = '$';
        up(FAKE_UNIX, say_words, &words);
        result = wire_tell(&wire, "PING", MS, 0, answer, sizeof answer);
        if (result != LIBCACHE_OK)
            ck_assert_uint_le(wire_stats(&wire).connections, 1);
        ck_result(wire_get(&wire, "another", MS), LIBCACHE_OK);
        down();
    }
}
END_TEST

START_TEST(huge_bulk_header_capped)
{
    static const char *const texts[] = { "$67108865\r\n", "$9223372036854775807\r\n", "$99999999999999999999999\r\n",
                                         "*1048577\r\n",  "*2147483647\r\n",          "*9223372036854775807\r\n" };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        /* Not waited for. */
        ck_in_time(100, ck_result(get_from(FAKE_UNIX, texts[i], strlen(texts[i]), 0), LIBCACHE_EPROTOCOL));
    }
}
END_TEST

START_TEST(deep_nesting_rejected)
{
    char text[401] = "";

    for (int i = 0; i < 100; i++)
        memcpy(text + 4 * i, "*1\r\n", 4);
    ck_result(get_from(FAKE_UNIX, text, 400, 0), LIBCACHE_EPROTOCOL);
}
END_TEST

/* Bytes that come while the connection lies idle. */
static void speaks_unasked(struct fake_talk *talk, void *arg)
{
    if (fake_read(talk) && fake_answer(talk)) {
        fake_wait(talk, 5);
        fake_say(talk, "$15\r\nsomebody else's\r\n");
        store_release((int *)arg, 1);
    }
    fake_honest(talk, NULL);
}

START_TEST(unasked_bytes_end_the_connection_before_it_is_used_again)
{
    int spoken = 0;

    up(FAKE_UNIX, speaks_unasked, &spoken);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
    ck_wait_until(load_acquire(&spoken));
    fake_clock_advance(&wire.clock, 1001);
    ck_result(wire_get(&wire, "another", MS), LIBCACHE_OK);
    ck_assert_uint_eq(fake_connections(&fake), 2);
    down();
}
END_TEST

/* ---- 17, 19: thrown out ---------------------------------------------------------------------------------------- */

START_TEST(client_kill_costs_one_free_reconnect)
{
    static const struct redis_server_options options = { .tcp = 1 };
    struct redis_server redis;
    char ignored[100];

    REDIS_UP(&redis, &options);
    for (int tcp = 0; tcp < 2; tcp++) {
        wire_up(&wire, tcp ? redis.tcp_url : redis.url);
        ck_result(tell("SET key value"), LIBCACHE_OK);
        for (int i = 0; i < 5; i++) {
            REDIS(&redis, ignored, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
            ck_result(wire_tell(&wire, "GET key", MS, EXCHANGE_REPEATABLE, answer, sizeof answer), LIBCACHE_OK);
            ck_assert_str_eq(answer, "value");
        }
        ck_assert_uint_eq(wire_stats(&wire).retries, 5);
        ck_assert_uint_eq(wire_stats(&wire).failures, 0);
        wire_down(&wire);
    }
    redis_server_stop(&redis);
}
END_TEST

START_TEST(a_client_beyond_its_output_limit_is_thrown_out)
{
    static const char *const config[] = { "client-output-buffer-limit normal 65536 0 0", NULL };
    static const struct redis_server_options options = { .config = config };
    struct redis_server redis;
    struct request request;
    struct replies replies;
    static char value[400000];
    libcache_slice set[] = { LIBCACHE_STR("SET"), LIBCACHE_STR("key"), { value, sizeof value } };

    REDIS_UP(&redis, &options);
    wire_up(&wire, redis.url);
    request_init(&request, &wire.memory.allocator);
    replies_init(&replies, &wire.memory.allocator);
    ck_result(request_add(&request, 3, set), LIBCACHE_OK);
    for (int i = 0; i < 50; i++)
        ck_result(request_words(&request, "GET key"), LIBCACHE_OK);
    ck_result(transport_exchange(wire.transport, &request, &replies, deadline_after_ms(MS), 0), LIBCACHE_ETIMEDOUT);
    ck_assert_uint_eq(replies.n, 0);
    request_free(&request);
    ck_result(tell("PING"), LIBCACHE_OK);
    wire_down(&wire);
    redis_server_stop(&redis);
}
END_TEST

static void resets(struct fake_talk *talk, void *arg)
{
    (void)arg;
    fake_read(talk);
    fake_reset(talk);
}

START_TEST(a_reset_is_an_end)
{
    up(FAKE_TCP, resets, NULL);
    ck_result(wire_get(&wire, "key", MS), LIBCACHE_ETIMEDOUT);
    ck_assert_uint_eq(wire_stats(&wire).failures, 1);
    down();
}
END_TEST

/* ---- 21: many at once ------------------------------------------------------------------------------------------ */

static void *try_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int result = wire_get(arg, "key", 30);
        must(result != LIBCACHE_OK, "an answer from nobody");
    }
    return NULL;
}

START_TEST(a_crowd_does_not_trample_a_server_that_struggles)
{
    pthread_t threads[8];

    fake_redis_start(&fake, FAKE_UNIX, silent, NULL);
    wire_prepare(&wire, fake.url);
    wire.options.pool_max = 8;
    wire.options.breaker_failures = 3;
    wire_open(&wire);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, try_often, &wire);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(fake_connections(&fake), 3 + 8); /* of 1600 that wanted to */
    ck_assert_uint_eq(wire.breaker.opens, 1);
    fake_clock_advance(&wire.clock, 100);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, try_often, &wire);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(fake_connections(&fake), 3 + 8 + 1); /* one probe */
    down();
}
END_TEST

/* ---- What a library owes its host ------------------------------------------------------------------------------ */

static void drops_at_once(struct fake_talk *talk, void *arg)
{
    (void)arg;
    if (talk->nth % 3 == 0)
        fake_reset(talk);
    if (talk->nth % 3 == 1)
        fake_read(talk);
}

START_TEST(sigpipe_default_action_survives)
{
    signal(SIGPIPE, SIG_DFL);
    for (int family = FAKE_UNIX; family <= FAKE_TCP; family++) {
        up((enum fake_family)family, drops_at_once, NULL);
        for (int i = 0; i < 100; i++)
            ck_assert_int_ne(wire_get(&wire, "key", MS), LIBCACHE_OK);
        down();
    }
}
END_TEST

START_TEST(fd_0_is_valid)
{
    /* Check runs each test in a process of its own: nobody misses its standard input. */
    for (int family = FAKE_UNIX; family <= FAKE_TCP; family++) {
        fake_redis_start(&fake, (enum fake_family)family, fake_honest, NULL);
        wire_up(&wire, fake.url);
        close(0);
        for (int i = 0; i < 3; i++)
            ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
        ck_assert_uint_eq(wire_stats(&wire).connections, 1);
        ck_assert_uint_eq(fake_connections(&fake), 1);
        ck_assert_int_ne(fcntl(0, F_GETFD), -1); /* connected before the server accepted: it is ours */
        wire_down(&wire);
        ck_wait_until(load_acquire(&fake.ended) == 1);
        ck_assert_int_eq(fcntl(0, F_GETFD), -1);
        ck_assert_int_eq(open("/dev/null", O_RDONLY), 0);
        fake_redis_stop(&fake);
    }
}
END_TEST

START_TEST(fd_cloexec_all)
{
    unsigned inherited = 0;
    struct connection *connection;

    for (int family = FAKE_UNIX; family <= FAKE_TCP; family++) {
        up((enum fake_family)family, fake_honest, NULL);
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_OK);
        ck_result(transport_connect(wire.transport, &connection, NULL, deadline_after_ms(MS), -1), LIBCACHE_OK);
        ck_wait_until(fake_connections(&fake) == 2); /* accepted: nobody makes or ends sockets any more */
        ck_assert_uint_ge(open_sockets(&inherited), 4);
        ck_assert_uint_eq(inherited, 0);
        connection_close(connection);
        down();
    }
}
END_TEST

START_TEST(no_fault_leaks_a_descriptor)
{
    unsigned before = open_sockets(NULL);
    struct words words = { "garbage", 7, 10, 0 };

    up(FAKE_UNIX, say_words, &words);
    for (int i = 0; i < 10; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_EPROTOCOL);
    down();
    wire_up(&wire, "redis://127.0.0.1:1");
    for (int i = 0; i < 10; i++)
        ck_result(wire_get(&wire, "key", MS), LIBCACHE_EUNAVAILABLE);
    wire_down(&wire);
    ck_assert_uint_eq(open_sockets(NULL), before);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "l2_faults", a_server_that_is_not_there_is_known_at_once, a_name_that_does_not_resolve_ends_within_the_deadline,
        cut_reply_at_every_byte, a_pipeline_cut_at_every_byte_gives_all_or_nothing, an_answer_in_slices_is_an_answer,
        blackhole_within_deadline, a_dripping_server_does_not_stretch_the_deadline,
        a_server_that_does_not_read_does_not_stretch_the_deadline, signals_do_not_stretch_the_deadline,
        a_connect_into_the_void_ends_within_the_deadline, a_stopped_server_and_its_return,
        timeout_then_reuse_never_returns_foreign_value, a_server_that_is_not_ready_is_a_failure_that_keeps_its_socket,
        a_real_server_that_is_loading, readonly_drops_every_connection_so_that_the_name_resolves_anew,
        a_connection_in_use_during_the_drop_is_closed_when_it_comes_back, errors_of_one_command_are_nobodys_failure,
        the_error_of_a_full_server_is_read_before_its_end, the_error_of_a_full_server_counts_also_when_much_was_sent,
        garbage_ends_the_connection, random_garbage_never_gives_a_value, huge_bulk_header_capped, deep_nesting_rejected,
        unasked_bytes_end_the_connection_before_it_is_used_again, client_kill_costs_one_free_reconnect,
        a_client_beyond_its_output_limit_is_thrown_out, a_reset_is_an_end,
        a_crowd_does_not_trample_a_server_that_struggles, sigpipe_default_action_survives, fd_0_is_valid,
        fd_cloexec_all, no_fault_leaks_a_descriptor);
}
