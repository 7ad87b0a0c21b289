/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* nftw */
#include "support/redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 10000, STOP_MS = 2000, ANSWER_MS = 5000, NAP_MS = 5, DEPTH_MAX = 8 };

/* The directory's name has the pid of who made it, so that a later run can tell what a killed one has left. */
#define DIRECTORY "/tmp/libcache-redis-"

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(struct redis_server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct redis_server *server, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(server->error, sizeof server->error, format, args);
    va_end(args);
    return -1;
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_leftovers(void)
{
    glob_t found;

    if (glob(DIRECTORY "*", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        long pid = strtol(found.gl_pathv[i] + sizeof DIRECTORY - 1, NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            remove_tree(found.gl_pathv[i]);
    }
    globfree(&found);
}

static const char *path_in(const struct redis_server *server, const char *name, char path[200])
{
    snprintf(path, 200, "%s/%s", server->directory, name);
    return path;
}

static int copy_file(const char *from, const char *to)
{
    char bytes[16384];
    ssize_t n = -1;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    while (in >= 0 && out >= 0 && (n = read(in, bytes, sizeof bytes)) > 0)
        if (write(out, bytes, (size_t)n) != n) {
            n = -1;
            break;
        }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return n == 0 ? 0 : -1;
}

/* A port that is free now. Somebody may take it before the server does; then the start fails, and says so. */
static unsigned free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static int write_config(struct redis_server *server, const struct redis_server_options *options)
{
    char path[200];
    FILE *file = fopen(path_in(server, "redis.conf", path), "we");

    if (!file)
        return fail(server, "%s: %s", path, strerror(errno));
    fprintf(file,
            "dir %s\nunixsocket %s\nunixsocketperm 600\nbind 127.0.0.1\nport %u\nlogfile %s/redis.log\ndaemonize no\n"
            "save \"\"\nappendonly %s\nappendfsync no\nenable-debug-command local\nhz 100\n",
            server->directory, server->socket, server->port, server->directory, options->keep ? "yes" : "no");
    if (options->password)
        fprintf(file, "requirepass %s\n", options->password);
    for (const char *const *line = options->config; line && *line; line++)
        fprintf(file, "%s\n", *line);
    return fclose(file) == 0 ? 0 : fail(server, "%s: %s", path, strerror(errno));
}

/* ---- The process -------------------------------------------------------------------------------------------- */

static void run_server(const struct redis_server *server, pid_t parent)
{
    char config[200], log[200];
    sigset_t none;
    int nothing = open("/dev/null", O_RDWR), output;

    output = open(path_in(server, "output", log), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(nothing, 0);
    dup2(output >= 0 ? output : nothing, 1);
    dup2(output >= 0 ? output : nothing, 2);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) /* else it died before it could have been told */
        execlp("redis-server", "redis-server", path_in(server, "redis.conf", config), (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

int redis_server_spawn(struct redis_server *server, enum redis_data data)
{
    pid_t parent = getpid();
    char path[200], copy[200];

    redis_server_kill(server);
    unlink(server->socket);
    if (data != REDIS_KEPT) {
        remove_tree(path_in(server, "appendonlydir", path));
        remove(path_in(server, "dump.rdb", path));
    }
    if (data == REDIS_COPY && copy_file(path_in(server, "copy.rdb", copy), path_in(server, "dump.rdb", path)) != 0)
        return fail(server, "there is no copy of what Redis held: %s", strerror(errno));
    server->pid = fork();
    if (server->pid == 0)
        run_server(server, parent);
    if (server->pid > 0)
        return 0;
    server->pid = 0;
    return fail(server, "fork: %s", strerror(errno));
}

/* It has ended by itself: why? */
static int explain_end(struct redis_server *server, int status)
{
    char text[400] = "", path[200];
    const char *const logs[] = { "redis.log", "output" };

    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fail(server, "redis-server is not installed (Debian: apt-get install redis-server, or tools/deps.sh)");
    for (int i = 0; i < 2 && !text[0]; i++) {
        FILE *log = fopen(path_in(server, logs[i], path), "re");
        if (!log)
            continue;
        if (fseek(log, 1 - (long)sizeof text, SEEK_END) != 0)
            rewind(log);
        text[fread(text, 1, sizeof text - 1, log)] = 0;
        fclose(log);
    }
    return fail(server, "redis-server ended with status %x: %s", (unsigned)status, text);
}

int redis_server_wait(struct redis_server *server, unsigned wait_ms)
{
    long long until = now_ms() + wait_ms;
    char answer[200];
    int status;

    do {
        if (!server->pid || waitpid(server->pid, &status, WNOHANG) == server->pid) {
            int known = server->pid != 0;
            server->pid = 0;
            return known ? explain_end(server, status) : fail(server, "redis-server is not running");
        }
        if (REDIS_TELL(server, answer, "PING") >= 0)
            return 0;
        poll(NULL, 0, NAP_MS);
    } while (now_ms() < until);
    return fail(server, "redis-server does not answer PING: %s", answer);
}

int redis_server_restart(struct redis_server *server, enum redis_data data)
{
    return redis_server_spawn(server, data) == 0 ? redis_server_wait(server, START_MS) : -1;
}

int redis_server_start(struct redis_server *server, const struct redis_server_options *options)
{
    static const struct redis_server_options none;

    memset(server, 0, sizeof *server);
    options = options ? options : &none;
    remove_leftovers();
    snprintf(server->directory, sizeof server->directory, DIRECTORY "%ld-XXXXXX", (long)getpid());
    if (!mkdtemp(server->directory)) {
        server->directory[0] = 0;
        return fail(server, "mkdtemp in /tmp: %s", strerror(errno));
    }
    snprintf(server->socket, sizeof server->socket, "%s/sock", server->directory);
    if (options->password)
        snprintf(server->password, sizeof server->password, "%s", options->password);
    if (options->tcp && (server->port = free_port()) == 0)
        fail(server, "no free TCP port: %s", strerror(errno));
    else if (write_config(server, options) == 0 && redis_server_restart(server, REDIS_EMPTY) == 0) {
        const char *colon = server->password[0] ? ":" : "", *at = server->password[0] ? "@" : "";
        snprintf(server->url, sizeof server->url, "unix://%s", server->socket);
        if (server->port)
            snprintf(server->tcp_url, sizeof server->tcp_url, "redis://%s%s%s127.0.0.1:%u", colon, server->password, at,
                     server->port);
        return 0;
    }
    redis_server_stop(server);
    return -1;
}

void redis_server_kill(struct redis_server *server)
{
    if (!server->pid)
        return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    server->pid = 0;
}

void redis_server_stop(struct redis_server *server)
{
    if (server->pid) {
        long long until = now_ms() + STOP_MS;
        kill(server->pid, SIGTERM);
        kill(server->pid, SIGCONT);
        while (server->pid && now_ms() < until) {
            if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
                server->pid = 0;
            else
                poll(NULL, 0, NAP_MS);
        }
    }
    redis_server_kill(server);
    if (server->directory[0])
        remove_tree(server->directory);
    server->directory[0] = 0;
}

void redis_server_pause(struct redis_server *server)
{
    int status;

    if (server->pid && kill(server->pid, SIGSTOP) == 0)
        waitpid(server->pid, &status, WUNTRACED);
}

void redis_server_resume(struct redis_server *server)
{
    if (server->pid)
        kill(server->pid, SIGCONT);
}

int redis_server_copy(struct redis_server *server)
{
    char answer[200], path[200], copy[200];

    if (REDIS_TELL(server, answer, "SAVE") < 0)
        return fail(server, "SAVE: %s", answer);
    if (copy_file(path_in(server, "dump.rdb", path), path_in(server, "copy.rdb", copy)) != 0)
        return fail(server, "copy of %s: %s", path, strerror(errno));
    return 0;
}

/* ---- Commands -------------------------------------------------------------------------------------------------- */

/* One connection for one command: what it has read, and the text that is made of it. */
struct talk {
    int fd;
    long long until;
    char bytes[16384];
    size_t begin, end;
    char *answer;
    size_t length, size; /* of answer */
    int refused;
};

static int ready(struct talk *t, short events)
{
    struct pollfd wanted = { t->fd, events, 0 };
    long long left = t->until - now_ms();

    if (left > 0 && poll(&wanted, 1, (int)left) > 0)
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

static int send_all(struct talk *t, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = send(t->fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && ((errno != EAGAIN && errno != EINTR) || ready(t, POLLOUT) != 0))
            return -1;
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int next_byte(struct talk *t)
{
    while (t->begin == t->end) {
        ssize_t n = recv(t->fd, t->bytes, sizeof t->bytes, MSG_DONTWAIT);
        if (n == 0)
            errno = ECONNRESET;
        if (n == 0 || (n < 0 && ((errno != EAGAIN && errno != EINTR) || ready(t, POLLIN) != 0)))
            return -1;
        t->begin = 0;
        t->end = n > 0 ? (size_t)n : 0;
    }
    return (unsigned char)t->bytes[t->begin++];
}

static void append(struct talk *t, const char *text, size_t size)
{
    for (size_t i = 0; i < size && t->length + 1 < t->size; i++)
        t->answer[t->length++] = text[i];
}

static int read_line(struct talk *t, char *line, size_t size)
{
    size_t n = 0;

    for (int c = next_byte(t); c != '\r'; c = next_byte(t)) {
        if (c < 0)
            return -1;
        if (n + 1 < size)
            line[n++] = (char)c;
    }
    line[n] = 0;
    return next_byte(t) == '\n' ? 0 : -1;
}

static int read_bulk(struct talk *t, long long size)
{
    for (; size > 0; size--) {
        int c = next_byte(t);
        char byte = (char)c;
        if (c < 0)
            return -1;
        append(t, &byte, 1);
    }
    return next_byte(t) == '\r' && next_byte(t) == '\n' ? 0 : -1;
}

static int read_answer(struct talk *t, int depth)
{
    char line[1000];
    int type = next_byte(t);
    long long n;

    if (type < 0 || read_line(t, line, sizeof line) != 0)
        return -1;
    n = strtoll(line, NULL, 10);
    if (type == '+' || type == '-' || type == ':') {
        append(t, line, strlen(line));
        t->refused |= type == '-' && depth == 0;
        return 0;
    }
    if ((type == '$' || type == '*') && n < 0) {
        append(t, "(nil)", 5);
        return 0;
    }
    if (type == '$')
        return read_bulk(t, n);
    if (type != '*' || depth == DEPTH_MAX) {
        errno = EPROTO;
        return -1;
    }
    for (long long i = 0; i < n; i++) {
        if (read_answer(t, depth + 1) != 0)
            return -1;
        if (i + 1 < n)
            append(t, "\n", 1);
    }
    return 0;
}

static int exchange(struct talk *t, const libcache_slice *argv, size_t n)
{
    char head[40];

    if (send_all(t, head, (size_t)snprintf(head, sizeof head, "*%zu\r\n", n)) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (send_all(t, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", argv[i].size)) != 0 ||
            send_all(t, argv[i].data, argv[i].size) != 0 || send_all(t, "\r\n", 2) != 0)
            return -1;
    return read_answer(t, 0);
}

long redis_server_command(const struct redis_server *server, const libcache_slice *argv, size_t n, char *answer,
                          size_t size)
{
    struct talk t = { .until = now_ms() + ANSWER_MS, .answer = answer, .size = size };
    libcache_slice auth[2] = { LIBCACHE_STR("AUTH"), { server->password, strlen(server->password) } };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int result;

    memcpy(address.sun_path, server->socket, sizeof server->socket);
    t.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    result = t.fd < 0 ? -1 : connect(t.fd, (struct sockaddr *)&address, sizeof address);
    if (result == 0 && auth[1].size)
        result = exchange(&t, auth, 2);
    if (result == 0 && !t.refused) {
        t.length = 0;
        result = exchange(&t, argv, n);
    }
    if (result != 0)
        t.length = (size_t)snprintf(answer, size, "%s: %s", server->socket, strerror(errno));
    if (t.fd >= 0)
        close(t.fd);
    answer[t.length < size ? t.length : size - 1] = 0;
    return result != 0 ? REDIS_SILENT : t.refused ? REDIS_REFUSED : (long)t.length;
}

long redis_server_strings(const struct redis_server *server, char *answer, size_t size, const char *const *argv)
{
    libcache_slice slices[64];
    size_t n = 0;

    for (; n < sizeof slices / sizeof *slices && argv[n]; n++)
        slices[n] = (libcache_slice){ argv[n], strlen(argv[n]) };
    return redis_server_command(server, slices, n, answer, size);
}
