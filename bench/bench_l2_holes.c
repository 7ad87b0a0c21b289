/*
 * Servers that do not answer. SPDX-License-Identifier: MIT
 *
 *      stopped   the real one, SIGSTOPped: the kernel still takes connections and bytes
 *      silent    a process that accepts and says nothing
 *      full      a socket that is listened on, with a full queue: connections are not taken (TCP), or refused (Unix)
 */
#define _GNU_SOURCE
#include "bench_l2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SETTLE_US = 20000, HELD_MAX = 200 };

typedef struct place {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in ip;
    } to;
    socklen_t size;
} place;

static int try_socket(const place *p)
{
    int fd = socket(p->to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        harness_die("socket: %s", strerror(errno));
    return fd;
}

/* Listens on a socket of the case's kind, and says where. */
static int listen_somewhere(l2_hole *hole, const l2_context *context, place *p, int queue)
{
    int fd;

    memset(p, 0, sizeof *p);
    if (strcmp(context->socket, "unix") == 0) {
        p->to.local.sun_family = AF_UNIX;
        snprintf(p->to.local.sun_path, sizeof p->to.local.sun_path, "%.80s/%s.sock", context->server->directory, hole->name);
        snprintf(hole->path, sizeof hole->path, "%s", p->to.local.sun_path);
        snprintf(hole->url, sizeof hole->url, "unix://%s", hole->path);
        unlink(hole->path);
        p->size = sizeof p->to.local;
    } else {
        p->to.ip.sin_family = AF_INET;
        p->to.ip.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        p->size = sizeof p->to.ip;
    }
    fd = try_socket(p);
    if (bind(fd, &p->to.any, p->size) != 0 || listen(fd, queue) != 0 || getsockname(fd, &p->to.any, &p->size) != 0)
        harness_die("cannot listen: %s", strerror(errno));
    if (!hole->path[0])
        snprintf(hole->url, sizeof hole->url, "redis://127.0.0.1:%u", ntohs(p->to.ip.sin_port));
    return fd;
}

/* Accepts for ever. Who has waited longest is hung up on, when there are too many. */
static void accept_silently(void *arg)
{
    int listening = *(int *)arg, held[HELD_MAX];
    size_t n = 0;

    if (fcntl(listening, F_SETFL, 0) != 0)
        _exit(1);
    for (;;) {
        int fd = accept(listening, NULL, NULL);

        if (fd < 0)
            continue;
        if (n >= HELD_MAX)
            close(held[n % HELD_MAX]);
        held[n++ % HELD_MAX] = fd;
    }
}

/* Connects until nobody is taken any more. What hangs half-way stays that way. */
static void fill_queue(l2_hole *hole, const place *p)
{
    for (unsigned i = 0; i < 8; i++) {
        int fd = try_socket(p);

        hole->fds[hole->n_fds++] = fd;
        (void)connect(fd, &p->to.any, p->size);
    }
}

void hole_open(l2_hole *hole, const l2_context *context, enum hole_kind kind)
{
    static const char *const names[HOLE_KINDS] = { "stopped", "silent", "full" };
    place p;
    int fd;

    *hole = (l2_hole){ .kind = kind, .name = names[kind], .server = context->server };
    if (kind == HOLE_STOPPED) {
        snprintf(hole->url, sizeof hole->url, "%s", context->url);
        return;
    }
    fd = listen_somewhere(hole, context, &p, kind == HOLE_FULL ? 0 : 100);
    hole->fds[hole->n_fds++] = fd;
    if (kind == HOLE_FULL)
        fill_queue(hole, &p);
    else
        hole->child = l2_fork(accept_silently, &fd);
    l2_nap_us(SETTLE_US);
}

/* The server is our parent's child: that it has stopped cannot be waited for, only seen. */
static int has_stopped(pid_t pid)
{
    char path[40], text[200] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        harness_die("the server has gone");
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = 0;
    fclose(file);
    state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'T';
}

void hole_dig(l2_hole *hole)
{
    if (hole->kind != HOLE_STOPPED)
        return;
    kill(hole->server->pid, SIGSTOP);
    while (!has_stopped(hole->server->pid))
        l2_nap_us(100);
}

void hole_fill(l2_hole *hole)
{
    if (hole->kind == HOLE_STOPPED)
        kill(hole->server->pid, SIGCONT);
}

void hole_close(l2_hole *hole)
{
    hole_fill(hole);
    if (hole->child > 0)
        l2_reap(hole->child, 0);
    for (unsigned i = 0; i < hole->n_fds; i++)
        close(hole->fds[i]);
    if (hole->path[0])
        unlink(hole->path);
}
