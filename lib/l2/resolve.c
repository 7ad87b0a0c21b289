/*
 * SPDX-License-Identifier: MIT
 *
 * A socket's path and numeric addresses need nobody. Names go through c-ares, because getaddrinfo knows no deadline.
 * A new channel for each name: it reads resolv.conf as it is now, keeps no socket between connects, and there is
 * nothing for a forked child to inherit. That costs a file or two to read, once for each connection.
 *
 * c-ares makes its sockets close-on-exec by a second call, and writes to a name server's TCP socket so that its end
 * is a SIGPIPE. Both would be our doing in our host's eyes, so the sockets are made, and written to, here.
 */
#define _GNU_SOURCE
#include "l2/resolve.h"

#define CARES_NO_DEPRECATED /* newer ones have newer ways, which Debian 12 does not know */
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define TRIES 3
#define NS_PER_MS UINT64_C(1000000)

/* ---- c-ares' sockets -------------------------------------------------------------------------------------- */

static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
    (void)arg;
    return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    (void)arg;
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size, void *arg)
{
    (void)arg;
    return connect(fd, address, size);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags, struct sockaddr *from,
                            ares_socklen_t *from_size, void *arg)
{
    (void)arg;
    return recvfrom(fd, buffer, size, flags, from, from_size);
}

static ares_ssize_t send_parts(ares_socket_t fd, const struct iovec *parts, int n, void *arg)
{
    struct msghdr message = { 0 };

    (void)arg;
    message.msg_iov = (struct iovec *)parts;
    message.msg_iovlen = (size_t)n;
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = { open_socket, close_socket, connect_socket, receive,
                                                               send_parts };

/* ---- A question and its answer ----------------------------------------------------------------------------- */

struct question {
    struct address *addresses;
    uint16_t port;
    size_t n;
    int done;
};

static void add_address(struct question *question, const struct sockaddr *found, size_t size)
{
    struct address *address = &question->addresses[question->n];

    if (question->n == RESOLVE_ADDRESSES_MAX || size > sizeof address->storage)
        return;
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found, size);
    address->size = (socklen_t)size;
    if (found->sa_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(question->port);
    else if (found->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(question->port);
    else
        return;
    question->n++;
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *question = arg;

    (void)timeouts;
    question->done = 1;
    if (status == ARES_SUCCESS && info)
        for (struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            add_address(question, node->ai_addr, node->ai_addrlen);
    if (info)
        ares_freeaddrinfo(info);
}

/* Waits for any of the channel's sockets, its next timeout or the end of patience; lets c-ares go on. */
static enum wait_result work_once(ares_channel channel, const struct patience *patience)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polled[ARES_GETSOCK_MAXNUM + 1] = { { patience->wake_fd, POLLIN, 0 } };
    /* A bit for each to be read, and 16 above it for each to be written. (c-ares' macros shift into the sign.) */
    unsigned wanted = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    int n = 1;
    uint64_t now = monotonic_ns(), left = now < patience->deadline ? patience->deadline - now : 0;
    struct timeval most = { (time_t)(left / (1000 * NS_PER_MS)), (long)(left / 1000 % 1000000) }, next;
    struct timespec time;

    if (!left)
        return WAIT_LATE;
    ares_timeout(channel, &most, &next);
    time = (struct timespec){ next.tv_sec, next.tv_usec * 1000L };
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = (short)((wanted >> i & 1 ? POLLIN : 0) | (wanted >> (i + 16) & 1 ? POLLOUT : 0));
        if (events)
            polled[n++] = (struct pollfd){ sockets[i], events, 0 };
    }
    if (ppoll(polled, (nfds_t)n, &time, NULL) < 0 && errno != EINTR)
        return WAIT_DEAD;
    if (polled[0].revents)
        return WAIT_WOKEN;
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its timeouts */
    for (int i = 1; i < n; i++)
        if (polled[i].revents)
            ares_process_fd(channel, polled[i].revents & ~POLLOUT ? polled[i].fd : ARES_SOCKET_BAD,
                            polled[i].revents & POLLOUT ? polled[i].fd : ARES_SOCKET_BAD);
    return WAIT_READY;
}

static enum wait_result ask(struct question *question, const char *host, const struct patience *patience)
{
    uint64_t now = monotonic_ns();
    uint64_t left_ms = now < patience->deadline ? (patience->deadline - now) / NS_PER_MS : 0;
    uint64_t each_ms = left_ms / TRIES > 2000 ? 2000 : left_ms / TRIES < 20 ? 20 : left_ms / TRIES;
    struct ares_options options = { .timeout = (int)each_ms, .tries = TRIES };
    struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    enum wait_result result = WAIT_READY;
    ares_channel channel;

    if (ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
        return WAIT_DEAD;
    ares_set_socket_functions(channel, &socket_functions, NULL);
    ares_getaddrinfo(channel, host, NULL, &hints, answered, question);
    while (!question->done && result == WAIT_READY)
        result = work_once(channel, patience);
    ares_destroy(channel); /* calls `answered` if it has not been yet */
    return question->n ? WAIT_READY : result == WAIT_READY ? WAIT_DEAD : result;
}

enum wait_result resolve(struct address *addresses, size_t *n, const struct url *url, const struct patience *patience)
{
    struct question question = { addresses, url->port, 0, 0 };
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    enum wait_result result = WAIT_READY;

    if (url->is_unix) {
        memcpy(path.sun_path, url->host, strlen(url->host)); /* the rest is zeroes; url has seen to its length */
        memset(addresses, 0, sizeof *addresses);
        memcpy(&addresses->storage, &path, sizeof path);
        addresses->size = sizeof path;
        question.n = 1;
    } else if (inet_pton(AF_INET, url->host, &v4.sin_addr) == 1) {
        add_address(&question, (const struct sockaddr *)&v4, sizeof v4);
    } else if (inet_pton(AF_INET6, url->host, &v6.sin6_addr) == 1) {
        add_address(&question, (const struct sockaddr *)&v6, sizeof v6);
    } else {
        result = ask(&question, url->host, patience);
    }
    *n = question.n;
    return result;
}
