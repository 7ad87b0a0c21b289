/*
 * SPDX-License-Identifier: MIT
 *
 * How one deadline is kept with two system calls.
 *
 * The usual exchange is send, recv, done: what a blocking client does, and nobody is faster than that. A socket that
 * polls costs one or two calls more. But a blocking recv knows only SO_RCVTIMEO, which begins anew with every call: a
 * server that drips one byte at a time stretches it for ever. So:
 *
 *   - Connected sockets are blocking, with SO_RCVTIMEO = NAP (20 ms), set once.
 *   - Before each wait the clock is read (in user space, some 40 ns). Only when at least 2 NAPs are left before the
 *     deadline do we wait in recv. It comes back with bytes, or after a NAP, which the kernel rounds up to its ticks:
 *     10 ms at the coarsest, so still before the deadline.
 *   - Else, and after a nap without bytes, we wait in ppoll for exactly what is left, then read without blocking.
 *
 * Each return to the loop reads the clock again; there is no way round it. Whatever the server does, drip included,
 * the last wait is a ppoll that ends at the deadline. EINTR goes back to the loop too: the time that is left is
 * computed from the deadline, so that signals cannot extend it. An answer that takes longer than a nap costs two
 * calls more; nobody will notice.
 *
 * send never blocks (MSG_DONTWAIT) and never raises SIGPIPE (MSG_NOSIGNAL). When the socket's buffer is full, the
 * caller waits for both directions at once: a server that stops reading because we do not read its answers would else
 * wait for us as we do for it.
 *
 * A descriptor is close-on-exec from the call that makes it. 0 is as good a descriptor as any: -1 is the only one
 * that is none.
 */
#define _GNU_SOURCE /* ppoll, SOCK_CLOEXEC */
#include "l2/socket.h"

#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define NAP_MS 20

uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t deadline_after_ms(uint64_t ms)
{
    uint64_t deadline;

    if (__builtin_mul_overflow(ms, NS_PER_MS, &deadline) || __builtin_add_overflow(deadline, monotonic_ns(), &deadline))
        return UINT64_MAX;
    return deadline;
}

static uint64_t left_ns(uint64_t deadline)
{
    uint64_t now = monotonic_ns();

    return now < deadline ? deadline - now : 0;
}

enum wait_result socket_wait(int fd, short events, short *ready, const struct patience *patience)
{
    struct pollfd polled[2] = { { fd, events, 0 }, { patience->wake_fd, POLLIN, 0 } };

    for (;;) {
        uint64_t left = left_ns(patience->deadline);
        struct timespec time = { (time_t)(left / NS_PER_S), (long)(left % NS_PER_S) };
        /* Negative descriptors are passed over. With no time left it is one look. */
        int n = ppoll(polled, 2, &time, NULL);
        if (n < 0 && errno != EINTR)
            return WAIT_DEAD;
        if (n > 0 && polled[1].revents)
            return WAIT_WOKEN;
        if (n > 0) {
            if (ready)
                *ready = polled[0].revents;
            return WAIT_READY;
        }
        if (!left)
            return WAIT_LATE;
    }
}

/* Connected: from now on it may block, for a nap. */
static int settle(int fd)
{
    struct timeval nap = { 0, NAP_MS * 1000 };
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &nap, sizeof nap) == 0;
}

static enum wait_result finish_connect(int fd, const struct patience *patience)
{
    enum wait_result result = socket_wait(fd, POLLOUT, NULL, patience);
    int error = 0;
    socklen_t size = sizeof error;

    if (result != WAIT_READY)
        return result;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error) {
        errno = error ? error : errno;
        return WAIT_DEAD;
    }
    return WAIT_READY;
}

enum wait_result socket_connect(int *fd, const struct address *address, const struct patience *patience)
{
    const struct sockaddr *to = (const struct sockaddr *)&address->storage;
    enum wait_result result = WAIT_READY;
    int on = 1, made, failure;

    made = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return WAIT_DEAD;
    store_relaxed(fd, made);
    if (to->sa_family != AF_UNIX)
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* An interrupted connect goes on by itself. A Unix socket with a full queue says EAGAIN, and nothing to wait for. */
    if (connect(made, to, address->size) != 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            result = finish_connect(made, patience);
        else
            result = WAIT_DEAD;
    }
    if (result == WAIT_READY && !settle(made))
        result = WAIT_DEAD;
    if (result != WAIT_READY) {
        failure = errno;
        store_relaxed(fd, -1);
        close(made);
        errno = failure;
    }
    return result;
}

long socket_send(int fd, const void *bytes, size_t size)
{
    for (;;) {
        ssize_t n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

long socket_receive_now(int fd, void *buffer, size_t size)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);
        if (n >= 0 || errno != EINTR)
            return n;
    }
}

enum wait_result socket_receive(int fd, void *buffer, size_t size, size_t *got, const struct patience *patience)
{
    int napped = patience->wake_fd >= 0; /* recv could not see that one */

    for (;;) {
        int nap = !napped && left_ns(patience->deadline) >= 2 * NAP_MS * NS_PER_MS;
        ssize_t n;
        if (!nap) {
            enum wait_result result = socket_wait(fd, POLLIN, NULL, patience);
            if (result != WAIT_READY)
                return result;
        }
        n = recv(fd, buffer, size, nap ? 0 : MSG_DONTWAIT);
        if (n > 0) {
            *got = (size_t)n;
            return WAIT_READY;
        }
        if (n == 0) {
            errno = 0;
            return WAIT_DEAD;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            napped = 1;
        else if (errno != EINTR)
            return WAIT_DEAD;
    }
}

int socket_is_quiet(int fd)
{
    char byte;

    for (;;) {
        ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n >= 0)
            return 0;
        if (errno != EINTR)
            return errno == EAGAIN || errno == EWOULDBLOCK;
    }
}
