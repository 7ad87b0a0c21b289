/*
 * A responder for metrics: HTTP/1.1, GET and HEAD, loopback only. SPDX-License-Identifier: MIT
 *
 * One thread, one poll. Everything has a bound: 16 connections (for the 17th, the one goes that has been asking for longest), 8 KiB
 * of request, 5 s from the connection's begin to the last byte of the answer; a connection is closed after its answer.
 */
#define _GNU_SOURCE /* accept4 */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 16, REQUEST_MAX = 8192 };
#define DEADLINE_NS UINT64_C(5000000000)

struct client {
    int fd; /* -1: free */
    uint64_t until_ns;
    char request[REQUEST_MAX + 1];
    size_t used;
    char *answer; /* NULL: still reading */
    size_t size, sent;
};

struct server {
    int fd;
    struct client client[CLIENTS];
    http_answer *answer;
    void *arg;
    uint64_t given;
};

/* ---- Where --------------------------------------------------------------------------------------------------------------- */

union place {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int read_where(union place *out, socklen_t *size, const char *where)
{
    const char *colon = strrchr(where, ':'), *why;
    char host[64] = "127.0.0.1";
    uint64_t port;

    if (colon && (size_t)(colon - where) < sizeof host)
        snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    if (parse_number(&port, colon ? colon + 1 : where, &why) || port > 65535)
        return fail(TOOL_USAGE, "--listen %s: the port must be a number of 0 to 65535", where);
    memset(out, 0, sizeof *out);
    if (strcmp(host, "[::1]") == 0) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_addr = in6addr_loopback;
        out->v6.sin6_port = htons((uint16_t)port);
        *size = sizeof out->v6;
        return TOOL_OK;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    *size = sizeof out->v4;
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &out->v4.sin_addr) != 1 ||
        (ntohl(out->v4.sin_addr.s_addr) >> 24) != 127)
        return fail(TOOL_USAGE,
                    "--listen %s: only loopback addresses (127.0.0.1, [::1], localhost) are served; "
                    "put a proxy before it for others",
                    where);
    return TOOL_OK;
}

int http_check(const char *where)
{
    union place at;
    socklen_t size;

    return read_where(&at, &size, where);
}

static void tell_where(int fd)
{
    union place at;
    socklen_t size = sizeof at;
    char host[INET_ADDRSTRLEN] = "";

    memset(&at, 0, sizeof at);
    if (getsockname(fd, &at.any, &size) < 0)
        return;
    if (at.any.sa_family == AF_INET6) {
        fprintf(stderr, "serving http://[::1]:%u/metrics\n", ntohs(at.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof host);
        fprintf(stderr, "serving http://%s:%u/metrics\n", host, ntohs(at.v4.sin_port));
    }
}

static int listen_at(const char *where, int *fd)
{
    union place at;
    socklen_t size = 0;
    int yes = 1, code;

    memset(&at, 0, sizeof at);
    code = read_where(&at, &size, where);
    *fd = -1;
    if (code != TOOL_OK)
        return code;
    *fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (*fd < 0 || bind(*fd, &at.any, size) < 0 || listen(*fd, 64) < 0) {
        code = fail(TOOL_FAILED, "--listen %s: %s", where, strerror(errno));
        if (*fd >= 0)
            close(*fd);
        return code;
    }
    tell_where(*fd);
    return TOOL_OK;
}

/* ---- A request ------------------------------------------------------------------------------------------------------------- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 431: return "Request Header Fields Too Large";
    default: return "Service Unavailable";
    }
}

/* The answer, head and body; the client's memory then. */
static void put_answer(struct client *c, int status, const char *body, size_t size, const char *type, int head_only)
{
    char head[300];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
                          status, reason_of(status), type, size, status == 405 ? "Allow: GET, HEAD\r\n" : "");

    c->answer = malloc((size_t)length + size);
    c->size = c->answer ? (size_t)length : 0;
    if (!c->answer)
        return;
    memcpy(c->answer, head, (size_t)length);
    if (!head_only && size) {
        memcpy(c->answer + length, body, size);
        c->size += size;
    }
}

/* "GET /path HTTP/1.1"; 0: it is none. */
static int read_request_line(char *line, char **method, char **path)
{
    char *space = strchr(line, ' '), *end;

    if (!space || space == line)
        return 0;
    *space = '\0';
    *method = line;
    *path = space + 1;
    end = strchr(*path, ' ');
    if (!end || strncmp(end + 1, "HTTP/1.", 7) != 0 || **path != '/')
        return 0;
    *end = '\0';
    (*path)[strcspn(*path, "?")] = '\0';
    return 1;
}

static void handle(struct server *server, struct client *c)
{
    static const char text[] = "text/plain; charset=utf-8";
    char *method, *path, *body = NULL;
    const char *type = text;
    size_t size = 0;
    int status, is_head;

    c->request[c->used] = '\0';
    if (strlen(c->request) != c->used || !read_request_line(c->request, &method, &path)) {
        put_answer(c, 400, "what is this?\n", 14, text, 0);
        return;
    }
    is_head = strcmp(method, "HEAD") == 0;
    if (!is_head && strcmp(method, "GET") != 0) {
        put_answer(c, 405, "only GET and HEAD\n", 18, text, 0);
        return;
    }
    status = server->answer(server->arg, path, &body, &size, &type);
    put_answer(c, status, body, size, type, is_head);
    free(body);
    server->given++;
}

/* ---- Connections ----------------------------------------------------------------------------------------------------------- */

static void drop(struct client *c)
{
    close(c->fd);
    free(c->answer);
    c->fd = -1;
    c->answer = NULL;
    c->used = c->size = c->sent = 0;
}

/* A free place, or that of whom has been asking for longest. NULL: all are being answered. */
static struct client *place_for_one(struct server *server)
{
    struct client *oldest = NULL;

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &server->client[i];
        if (c->fd < 0)
            return c;
        if (!c->answer && (!oldest || c->until_ns < oldest->until_ns))
            oldest = c;
    }
    return oldest;
}

static void accept_one(struct server *server)
{
    struct client *place = place_for_one(server);
    int fd = place ? accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

    if (fd < 0)
        return;
    if (place->fd >= 0)
        drop(place);
    place->fd = fd;
    place->until_ns = now_ns() + DEADLINE_NS;
}

static void read_some(struct server *server, struct client *c)
{
    ssize_t n = read(c->fd, c->request + c->used, REQUEST_MAX - c->used);

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return;
    }
    c->used += (size_t)n;
    c->request[c->used] = '\0';
    if (strlen(c->request) != c->used || strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n"))
        handle(server, c);
    else if (c->used == REQUEST_MAX)
        put_answer(c, 431, "too long\n", 9, "text/plain", 0);
    else
        return;
    if (!c->answer)
        drop(c);
}

static void write_some(struct client *c)
{
    ssize_t n = send(c->fd, c->answer + c->sent, c->size - c->sent, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        drop(c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->size) {
        shutdown(c->fd, SHUT_WR);
        drop(c);
    }
}

/* One turn of the loop. */
static void turn(struct server *server)
{
    struct pollfd polls[CLIENTS + 1];
    struct client *of[CLIENTS + 1];
    nfds_t n = 0;
    uint64_t now = now_ns();
    int wait_ms = 500; /* a signal may come just before poll */

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &server->client[i];
        if (c->fd >= 0 && now >= c->until_ns)
            drop(c);
        if (c->fd < 0)
            continue;
        if ((uint64_t)wait_ms * 1000000 > c->until_ns - now)
            wait_ms = (int)((c->until_ns - now) / 1000000) + 1;
        of[n] = c;
        polls[n++] = (struct pollfd){ c->fd, (short)(c->answer ? POLLOUT : POLLIN), 0 };
    }
    of[n] = NULL;
    if (place_for_one(server))
        polls[n++] = (struct pollfd){ server->fd, POLLIN, 0 };
    if (poll(polls, n, wait_ms) <= 0)
        return;
    for (nfds_t i = 0; i < n;
         i++) { /* the listening socket is the last: who is dropped for a new one has had his turn */
        if (!polls[i].revents)
            continue;
        if (!of[i])
            accept_one(server);
        else if (of[i]->fd >= 0 && of[i]->answer)
            write_some(of[i]);
        else if (of[i]->fd >= 0)
            read_some(server, of[i]);
    }
}

static int is_idle(const struct server *server)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (server->client[i].fd >= 0 && server->client[i].answer)
            return 0;
    return 1;
}

int http_serve(const char *where, uint64_t count, http_answer *answer, void *arg)
{
    static struct server server;
    int code;

    server.answer = answer;
    server.arg = arg;
    for (size_t i = 0; i < CLIENTS; i++)
        server.client[i].fd = -1;
    code = listen_at(where, &server.fd);
    if (code != TOOL_OK)
        return code;
    while (!stop_asked && (!count || server.given < count || !is_idle(&server)))
        turn(&server);
    for (size_t i = 0; i < CLIENTS; i++)
        if (server.client[i].fd >= 0)
            drop(&server.client[i]);
    close(server.fd);
    return TOOL_OK;
}
