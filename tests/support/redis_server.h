/*
 * A redis-server of a test's own: a child process with a directory, a unix socket and a log that nobody else uses. It
 * dies with the process (the thread, to be exact) that started it. SPDX-License-Identifier: MIT
 *
 *     struct redis_server redis;
 *     char answer[100];
 *
 *     REDIS_UP(&redis, NULL);                            fails the test when there is no redis-server
 *     options.redis_url = redis.url;
 *     REDIS(&redis, answer, "SET", "color", "green");    "OK"
 *     redis_server_kill(&redis);
 *     redis_server_restart(&redis, REDIS_EMPTY);         on the same socket and port
 *     redis_server_stop(&redis);
 *
 * Functions that give an int give 0, or -1 with the reason in server->error. This file knows nothing of Check; only the
 * macros in upper case do.
 */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H
#include <stddef.h>
#include <sys/types.h>

#include "libcache.h"

struct redis_server_options {
    int tcp;                   /* 1: also on a free port of 127.0.0.1 */
    int keep;                  /* 1: what was acknowledged survives a kill (append-only file) */
    const char *password;      /* of the default user; commands of this file use it */
    const char *const *config; /* more lines of redis.conf, ended by NULL */
};

struct redis_server {
    pid_t pid;           /* 0: not running */
    unsigned port;       /* 0: no TCP */
    char directory[80];
    char socket[100];    /* a path, short enough for sockaddr_un */
    char url[200];       /* unix://... */
    char tcp_url[200];   /* redis://..., with the password; empty without TCP */
    char password[100];
    char error[600];
};

/* What a server finds in its directory when it starts again. */
enum redis_data {
    REDIS_EMPTY, /* nothing */
    REDIS_KEPT,  /* what the one before left: all with `keep`, else what SAVE wrote */
    REDIS_COPY   /* what redis_server_copy put aside; not with `keep` */
};

/* Writes redis.conf, starts the server and waits until it answers, 10 s at most. options NULL: all zero. */
int redis_server_start(struct redis_server *server, const struct redis_server_options *options);

/* Ends it, also a paused or killed one, and removes the directory. A server that is all zero is allowed. */
void redis_server_stop(struct redis_server *server);

/* SIGKILL; returns when it is gone. The directory stays. */
void redis_server_kill(struct redis_server *server);

/* Kills it if it still runs, and starts it again. Waits until it answers. */
int redis_server_restart(struct redis_server *server, enum redis_data data);

/* The two halves of restart, for who wants to see it come up (LOADING). Wait: until PING is answered by PONG. */
int redis_server_spawn(struct redis_server *server, enum redis_data data);
int redis_server_wait(struct redis_server *server, unsigned wait_ms);

/* Saves what it holds now, for REDIS_COPY. A later copy replaces the earlier one. */
int redis_server_copy(struct redis_server *server);

/* SIGSTOP (returns when it has stopped) and SIGCONT. */
void redis_server_pause(struct redis_server *server);
void redis_server_resume(struct redis_server *server);

/*
 * Sends one command on a connection of its own and gives the answer as text, terminated and cut to `size`: a simple
 * string, a bulk or a number as it is, nil as "(nil)", an array as its elements, each on a line. Returns the length of
 * the text, REDIS_REFUSED when it is an error ("ERR ..."), or REDIS_SILENT (no answer within 5 s; answer says why).
 */
enum { REDIS_REFUSED = -1, REDIS_SILENT = -2 };
long redis_server_command(const struct redis_server *server, const libcache_slice *argv, size_t n, char *answer,
                          size_t size);

/* The same with strings, ended by NULL. */
long redis_server_strings(const struct redis_server *server, char *answer, size_t size, const char *const *argv);

/* REDIS_TELL(server, char array, "GET", "key") */
#define REDIS_TELL(server, answer, ...) \
    redis_server_strings(server, answer, sizeof(answer), (const char *const[]){ __VA_ARGS__, NULL })

/* The same, and fails the test unless Redis does it. */
#define REDIS(server, answer, ...) \
    ck_assert_msg(REDIS_TELL(server, answer, __VA_ARGS__) >= 0, "Redis: %s", answer)

#define REDIS_UP(server, options) \
    ck_assert_msg(redis_server_start(server, options) == 0, "%s", (server)->error)

#define REDIS_AGAIN(server, data) \
    ck_assert_msg(redis_server_restart(server, data) == 0, "%s", (server)->error)

#endif
