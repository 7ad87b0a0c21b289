/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fake_redis.h"

#include "base/platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- Waiting and reading ------------------------------------------------------------------------------------- */

void breathe(void)
{
    poll(NULL, 0, 1);
}

/* Until there is input, or the end (1), the time is over (0), or the server is stopped (-1). ms < 0: no limit. */
static int wait_for_input(struct fake_talk *talk, int ms)
{
    uint64_t until = ms < 0 ? UINT64_MAX : real_ms() + (uint64_t)ms;

    while (!load_acquire(&talk->fake->stopping)) {
        uint64_t now = real_ms(), left = now < until ? until - now : 0;
        struct pollfd polled[] = { { talk->fd, POLLIN, 0 }, { talk->fake->stop[0], POLLIN, 0 } };
        poll(polled, 2, left > 1000 ? 1000 : (int)left);
        if (polled[0].revents)
            return 1;
        if (!left)
            return 0;
    }
    return -1;
}

/* Takes what is there. 0: the end. */
static int take_in(struct fake_talk *talk)
{
    ssize_t n;

    if (talk->begin == talk->end)
        talk->begin = talk->end = 0;
    if (talk->capacity - talk->end < 4096) {
        talk->capacity = talk->capacity ? 2 * talk->capacity : 16384;
        talk->input = realloc(talk->input, talk->capacity);
    }
    n = recv(talk->fd, talk->input + talk->end, talk->capacity - talk->end, MSG_DONTWAIT);
    if (n > 0)
        talk->end += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* A number line such as "*3\r\n" at *at. -1: not here yet. */
static long read_line(const struct fake_talk *talk, size_t *at)
{
    const char *newline = *at < talk->end ? memchr(talk->input + *at, '\n', talk->end - *at) : NULL;
    long number;

    if (!newline)
        return -1;
    number = strtol(talk->input + *at + 1, NULL, 10);
    *at = (size_t)(newline + 1 - talk->input);
    return number;
}

/* 1: a whole command has been taken off the input. */
static int parse_command(struct fake_talk *talk)
{
    size_t at = talk->begin, length = 0;
    long words = read_line(talk, &at);

    if (words < 0)
        return 0;
    for (long i = 0; i < words; i++) {
        long size = read_line(talk, &at);
        if (size < 0 || talk->end - at < (size_t)size + 2)
            return 0;
        for (long k = 0; k < size && length < FAKE_COMMAND_MAX - 2; k++)
            talk->command[length++] = talk->input[at + (size_t)k];
        talk->command[length++] = ' ';
        if (length > FAKE_COMMAND_MAX - 2)
            length = FAKE_COMMAND_MAX - 2;
        at += (size_t)size + 2;
    }
    talk->command[length ? length - 1 : 0] = 0;
    talk->begin = at;
    return 1;
}

int fake_read(struct fake_talk *talk)
{
    while (!parse_command(talk))
        if (wait_for_input(talk, -1) < 0 || !take_in(talk))
            return 0;
    __atomic_add_fetch(&talk->fake->commands, 1, __ATOMIC_RELEASE);
    return 1;
}

int fake_send(struct fake_talk *talk, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size && !load_acquire(&talk->fake->stopping)) {
        ssize_t n = send(talk->fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd polled = { talk->fd, POLLOUT, 0 };
            poll(&polled, 1, 20);
        } else if (n < 0 && errno != EINTR) {
            return 0;
        } else if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return size == 0;
}

int fake_say(struct fake_talk *talk, const char *text)
{
    return fake_send(talk, text, strlen(text));
}

int fake_wait(struct fake_talk *talk, int ms)
{
    uint64_t until = real_ms() + (uint64_t)ms;
    uint64_t now;

    while ((now = real_ms()) < until) {
        int came = wait_for_input(talk, (int)(until - now));
        if (came < 0 || (came > 0 && !take_in(talk)))
            return 0;
    }
    return 1;
}

void fake_be_silent(struct fake_talk *talk)
{
    while (wait_for_input(talk, -1) > 0 && take_in(talk))
        ;
}

void fake_reset(struct fake_talk *talk)
{
    struct linger now = { 1, 0 };

    setsockopt(talk->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int fake_answer(struct fake_talk *talk)
{
    char answer[FAKE_COMMAND_MAX + 60];

    if (strncmp(talk->command, "GET ", 4) == 0) {
        const char *key = talk->command + 4;
        snprintf(answer, sizeof answer, "$%zu\r\nvalue of %s\r\n", strlen(key) + 9, key);
        return fake_say(talk, answer);
    }
    return fake_say(talk, strcmp(talk->command, "PING") == 0 ? "+PONG\r\n" : "+OK\r\n");
}

void fake_honest(struct fake_talk *talk, void *arg)
{
    (void)arg;
    while (fake_read(talk) && fake_answer(talk))
        ;
}

/* ---- The server's threads ------------------------------------------------------------------------------------ */

static void *serve_one(void *arg)
{
    struct fake_talk *talk = arg;

    talk->fake->script(talk, talk->fake->arg);
    close(talk->fd);
    __atomic_add_fetch(&talk->fake->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *serve(void *arg)
{
    struct fake_redis *fake = arg;

    while (!load_acquire(&fake->stopping)) {
        struct pollfd polled[] = { { fake->listener, POLLIN, 0 }, { fake->stop[0], POLLIN, 0 } };
        unsigned n = fake->connections;
        struct fake_talk *talk;
        int fd;
        if (poll(polled, 2, 1000) <= 0 || !polled[0].revents ||
            (fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
            continue;
        if (n == FAKE_CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        talk = calloc(1, sizeof *talk);
        talk->fake = fake;
        talk->nth = n;
        talk->fd = fd;
        fake->talks[n] = talk;
        store_release(&fake->connections, n + 1);
        pthread_create(&talk->thread, NULL, serve_one, talk);
    }
    return NULL;
}

static void listen_unix(struct fake_redis *fake)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(fake->directory, sizeof fake->directory, "/tmp/libcache-fake-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fake->directory));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", fake->directory);
    snprintf(fake->url, sizeof fake->url, "unix://%s", address.sun_path);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
}

static void listen_tcp(struct fake_redis *fake)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;

    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(fake->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(fake->url, sizeof fake->url, "redis://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

void fake_redis_start(struct fake_redis *fake, enum fake_family family, fake_script *script, void *arg)
{
    memset(fake, 0, sizeof *fake);
    fake->script = script;
    fake->arg = arg;
    if (family == FAKE_UNIX)
        listen_unix(fake);
    else
        listen_tcp(fake);
    ck_assert_int_eq(listen(fake->listener, 64), 0);
    ck_assert_int_eq(pipe2(fake->stop, O_CLOEXEC), 0);
    ck_assert_int_eq(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

void fake_redis_stop(struct fake_redis *fake)
{
    char path[128];

    store_release(&fake->stopping, 1);
    close(fake->stop[1]); /* who polls sees its end */
    pthread_join(fake->thread, NULL);
    for (unsigned i = 0; i < fake->connections; i++) {
        pthread_join(fake->talks[i]->thread, NULL);
        free(fake->talks[i]->input);
        free(fake->talks[i]);
    }
    close(fake->listener);
    close(fake->stop[0]);
    if (fake->directory[0]) {
        snprintf(path, sizeof path, "%s/sock", fake->directory);
        unlink(path);
        rmdir(fake->directory);
    }
}

unsigned fake_connections(const struct fake_redis *fake)
{
    return load_acquire(&fake->connections);
}

unsigned fake_commands(const struct fake_redis *fake)
{
    return load_acquire(&fake->commands);
}

/* ---- The transport --------------------------------------------------------------------------------------------- */

static uint64_t fixed_random(void *arg)
{
    return *(const uint64_t *)arg;
}

static void keep_log(void *arg, int level, const char *message)
{
    struct wire *wire = arg;

    __atomic_add_fetch(&wire->logged[level & 3], 1, __ATOMIC_RELAXED);
    snprintf(wire->last_log, sizeof wire->last_log, "%s", message);
}

void wire_prepare(struct wire *wire, const char *url)
{
    memset(wire, 0, sizeof *wire);
    counted_memory_init(&wire->memory);
    wire->clock.now_ms = 1000000;
    wire->options = (struct transport_options){
        .url = url,
        .pool_min = 1,
        .pool_max = 4,
        .pool_wait_ms = 50,
        .pool_idle_ms = 60000,
        .breaker_failures = 1000,
        .breaker_backoff_ms = 100,
        .breaker_backoff_max_ms = 5000,
        .max_reply_bytes = (size_t)64 << 20,
        .allocator = &wire->memory.allocator,
        .clock_ms = fake_clock_read,
        .clock_arg = &wire->clock,
        .random = fixed_random,
        .random_arg = &wire->random,
        .log = keep_log,
        .log_arg = wire,
        .breaker = &wire->breaker,
    };
}

void wire_open(struct wire *wire)
{
    libcache_error error = { 0, "" };
    int result = transport_open(&wire->transport, &wire->options, &error);

    ck_assert_msg(result == LIBCACHE_OK, "transport_open gives %s: %s", result_name(result), error.text);
}

void wire_up(struct wire *wire, const char *url)
{
    wire_prepare(wire, url);
    wire_open(wire);
}

void wire_down(struct wire *wire)
{
    transport_close(wire->transport);
    ck_assert_int_eq(wire->memory.live, 0);
}

struct transport_stats wire_stats(const struct wire *wire)
{
    struct transport_stats stats;

    transport_stats(wire->transport, &stats);
    return stats;
}

int request_words(struct request *request, const char *words)
{
    libcache_slice argv[32];
    size_t n = 0;

    while (*words && n < 32) {
        size_t size = strcspn(words, " ");
        argv[n++] = (libcache_slice){ words, size };
        words += size;
        words += *words == ' ';
    }
    return request_add(request, n, argv);
}

static int exchange_words(struct wire *wire, const char *words, uint64_t ms, unsigned flags, struct replies *replies)
{
    struct request request;
    int result;

    request_init(&request, wire->options.allocator);
    replies_init(replies, wire->options.allocator);
    result = request_words(&request, words);
    if (result == LIBCACHE_OK)
        result = transport_exchange(wire->transport, &request, replies, deadline_after_ms(ms), flags);
    must(replies->n == (result == LIBCACHE_OK), "%zu answers and %s", replies->n, result_name(result));
    request_free(&request);
    return result;
}

int wire_get_flags(struct wire *wire, const char *key, uint64_t ms, unsigned flags)
{
    char words[200], wanted[200];
    struct replies replies;
    int result;

    snprintf(words, sizeof words, "GET %s", key);
    snprintf(wanted, sizeof wanted, "value of %s", key);
    result = exchange_words(wire, words, ms, flags, &replies);
    if (result == LIBCACHE_OK && replies.item[0].kind == REPLY_ERROR) {
        result = reply_result(&replies.item[0]);
    } else if (result == LIBCACHE_OK) {
        must(replies.item[0].kind == REPLY_STRING, "GET %s gives no string", key);
        must(strcmp(replies.item[0].text, wanted) == 0, "GET %s gives a foreign value: %s", key, replies.item[0].text);
    }
    replies_free(&replies);
    return result;
}

int wire_get(struct wire *wire, const char *key, uint64_t ms)
{
    return wire_get_flags(wire, key, ms, EXCHANGE_REPEATABLE);
}

int wire_tell(struct wire *wire, const char *words, uint64_t ms, unsigned flags, char *answer, size_t size)
{
    struct replies replies;
    int result = exchange_words(wire, words, ms, flags, &replies);

    answer[0] = 0;
    if (result == LIBCACHE_OK) {
        const struct reply *reply = &replies.item[0];
        if (reply->text)
            snprintf(answer, size, "%s", reply->text);
        else if (reply->kind == REPLY_NIL)
            snprintf(answer, size, "(nil)");
        else
            snprintf(answer, size, "%lld",
                     reply->kind == REPLY_ARRAY ? (long long)reply->size : (long long)reply->integer);
        result = reply_result(reply);
    }
    replies_free(&replies);
    return result;
}

/* ---- Descriptors and time -------------------------------------------------------------------------------------- */

/* 1 when it is a socket; *kept when it would survive exec. By /proc: other threads' descriptors are not ours to touch. */
static int is_socket(const char *fd, int *kept)
{
    char path[64], text[256] = "";
    unsigned long flags = 0;
    ssize_t n;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/fd/%.20s", fd);
    n = readlink(path, text, sizeof text - 1);
    if (n < 0 || strncmp(text, "socket:", 7) != 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%.20s", fd);
    if ((file = fopen(path, "re"))) {
        while (fgets(text, sizeof text, file))
            if (strncmp(text, "flags:", 6) == 0)
                flags = strtoul(text + 6, NULL, 8);
        fclose(file);
    }
    *kept = !(flags & O_CLOEXEC);
    return 1;
}

unsigned open_sockets(unsigned *inherited)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    unsigned n = 0, open_on_exec = 0;

    must(directory, "no /proc/self/fd");
    while ((entry = readdir(directory))) {
        int kept;
        if (entry->d_name[0] != '.' && is_socket(entry->d_name, &kept)) {
            n++;
            open_on_exec += (unsigned)kept;
        }
    }
    closedir(directory);
    if (inherited)
        *inherited = open_on_exec;
    return n;
}

uint64_t slack_ms(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 300;
#else
    const char *preload = getenv("LD_PRELOAD"); /* where valgrind has a library of its own */
    return preload && strstr(preload, "valgrind") ? 1000 : 20;
#endif
}
