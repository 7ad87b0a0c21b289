/*
 * A server that says what a test wants it to say, and a transport that talks to it. SPDX-License-Identifier: MIT
 *
 *     static void cut_short(struct fake_talk *talk, void *arg)
 *     {
 *         fake_read(talk);                        a whole command
 *         fake_say(talk, "$5\r\nhel");            and the connection ends when this returns
 *     }
 *
 *     struct fake_redis fake;
 *     struct wire wire;
 *     fake_redis_start(&fake, FAKE_UNIX, cut_short, NULL);
 *     wire_prepare(&wire, fake.url);
 *     wire_open(&wire);
 *     ck_result(wire_get(&wire, "key", 100), LIBCACHE_ETIMEDOUT);
 *     wire_down(&wire);
 *     fake_redis_stop(&fake);
 *
 * Each connection is served by a thread of its own. Nothing here waits longer than until the test stops the server.
 */
#ifndef TESTS_FAKE_REDIS_H
#define TESTS_FAKE_REDIS_H
#include "support.h"

#include "l2/transport.h"

#include <pthread.h>

/* ---- The server -------------------------------------------------------------------------------------------- */

enum { FAKE_CONNECTIONS_MAX = 512, FAKE_COMMAND_MAX = 400 };
enum fake_family { FAKE_UNIX, FAKE_TCP };

struct fake_redis;

/* One connection, in the hands of the script. */
struct fake_talk {
    struct fake_redis *fake;
    unsigned nth; /* connection, from 0 */
    int fd;
    char command[FAKE_COMMAND_MAX]; /* the last one read, its words with blanks between, cut if too long */
    char *input;                    /* what has been received, and not yet read */
    size_t begin, end, capacity;
    pthread_t thread;
};

typedef void fake_script(struct fake_talk *talk, void *arg);

struct fake_redis {
    char url[128];
    char directory[64];
    fake_script *script;
    void *arg;
    int listener;
    int stop[2];          /* a pipe; its end is the end */
    int stopping;         /* atomic, as all that tests look at */
    unsigned connections; /* accepted */
    unsigned commands;    /* read, on all connections */
    unsigned ended;       /* connections that are over */
    pthread_t thread;
    struct fake_talk *talks[FAKE_CONNECTIONS_MAX];
};

void fake_redis_start(struct fake_redis *fake, enum fake_family family, fake_script *script, void *arg);
void fake_redis_stop(struct fake_redis *fake);

unsigned fake_connections(const struct fake_redis *fake);
unsigned fake_commands(const struct fake_redis *fake);

/* Reads one command. 0: the connection has ended. */
int fake_read(struct fake_talk *talk);

/* Sends it all. 0: the connection has ended. */
int fake_say(struct fake_talk *talk, const char *text);
int fake_send(struct fake_talk *talk, const void *bytes, size_t size);

/* Waits so long, or until the other side has ended. 0: it has. */
int fake_wait(struct fake_talk *talk, int ms);

/* Until the other side ends, or the server is stopped. */
void fake_be_silent(struct fake_talk *talk);

/* Ends the connection with a reset. */
void fake_reset(struct fake_talk *talk);

/* A script: GET answers "value of KEY", PING answers PONG, the rest OK. Also to be called by others for one command. */
fake_script fake_honest;
int fake_answer(struct fake_talk *talk);

/* ---- The transport, with all of it injected ---------------------------------------------------------------- */

struct wire {
    struct fake_clock clock;
    struct counted_memory memory;
    struct breaker breaker;
    uint64_t random;
    struct transport_options options;
    struct transport *transport;
    unsigned logged[4]; /* by level */
    char last_log[400];
};

/* Options: pool of 1 to 4, breaker that opens after 1000 failures. Change them, then wire_open. */
void wire_prepare(struct wire *wire, const char *url);
void wire_open(struct wire *wire);
void wire_up(struct wire *wire, const char *url);

/* Closes, and fails the test if memory was kept. */
void wire_down(struct wire *wire);

struct transport_stats wire_stats(const struct wire *wire);

/*
 * GET key within ms. OK only when the answer is that of fake_honest; any other *value* fails the test at once, for it
 * would be somebody else's. An error answer gives reply_result.
 */
int wire_get(struct wire *wire, const char *key, uint64_t ms);
int wire_get_flags(struct wire *wire, const char *key, uint64_t ms, unsigned flags);

/* Any command, in words separated by blanks; the first answer is copied as text (an array: its size). */
int wire_tell(struct wire *wire, const char *words, uint64_t ms, unsigned flags, char *answer, size_t size);

/* Adds such a command. */
int request_words(struct request *request, const char *words);

/*
 * As ck_assert_msg, which takes a lock of Check's even when all is well: a child that is forked while another thread
 * has it would wait for ever. For threads, and for children of processes that have some.
 */
#define must(condition, ...)           \
    do {                               \
        if (!(condition))              \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

/* How many of this process's descriptors are sockets, and how many of those are not close-on-exec. */
unsigned open_sockets(unsigned *inherited);

/* Milliseconds that a call may come back late: more where a sanitizer or valgrind slows all down. */
uint64_t slack_ms(void);

/*
 * Does something, and fails the test unless it takes at most `ms` and the slack. A busy machine may take the processor
 * away from us once; a deadline that is not kept is missed every time. So it may be done up to five times.
 */
#define ck_in_time(ms, ...)                                                                                 \
    do {                                                                                                    \
        for (int try_ = 1;; try_++) {                                                                       \
            uint64_t begun_ = real_ms(), took_;                                                             \
            __VA_ARGS__;                                                                                    \
            took_ = real_ms() - begun_;                                                                     \
            if (took_ <= (ms) + slack_ms())                                                                 \
                break;                                                                                      \
            ck_assert_msg(try_ < 5, "it takes %lu ms, not %lu", (unsigned long)took_, (unsigned long)(ms)); \
        }                                                                                                   \
    } while (0)

/* Waits until the condition holds; fails the test after 10 s. */
#define ck_wait_until(condition)                                          \
    do {                                                                  \
        uint64_t until_ = real_ms() + 10000;                              \
        while (!(condition)) {                                            \
            ck_assert_msg(real_ms() < until_, "in vain: %s", #condition); \
            breathe();                                                    \
        }                                                                 \
    } while (0)
void breathe(void);

#endif
