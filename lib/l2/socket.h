/* Bytes under a deadline. SPDX-License-Identifier: MIT */
#ifndef L2_SOCKET_H
#define L2_SOCKET_H
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* How long to wait: until a deadline (nanoseconds of CLOCK_MONOTONIC), or until a descriptor is readable (-1: none). */
struct patience {
    uint64_t deadline;
    int wake_fd;
};

uint64_t monotonic_ns(void);
uint64_t deadline_after_ms(uint64_t ms);

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* What waiting came to. The sockets' functions and those above them share these; they are no libcache_result. */
enum wait_result {
    WAIT_READY = 0,
    WAIT_LATE,  /* the deadline is over */
    WAIT_WOKEN, /* wake_fd is readable */
    WAIT_DEAD,  /* the other side is gone, or never was there: errno says more, 0 is an orderly end */
};

/* Waits for events (POLLIN, POLLOUT) of fd; *ready (may be NULL) gets those that happened. Errors and ends are events. */
enum wait_result socket_wait(int fd, short events, short *ready, const struct patience *patience);

/*
 * Connects; the new descriptor is in *fd from the moment it exists, and -1 is there again before it is closed, so
 * that a child forked meanwhile finds it. No SIGPIPE, no delay, close-on-exec.
 */
enum wait_result socket_connect(int *fd, const struct address *address, const struct patience *patience);

/* Sends what can be sent without waiting: bytes, 0 (none now) or -1 (dead, errno). */
long socket_send(int fd, const void *bytes, size_t size);

/* Waits for bytes: WAIT_READY with *got > 0, or why not. */
enum wait_result socket_receive(int fd, void *buffer, size_t size, size_t *got, const struct patience *patience);

/* What is there now: bytes, 0 (an orderly end) or -1 (errno; EAGAIN: nothing). */
long socket_receive_now(int fd, void *buffer, size_t size);

/* 1 when nothing came in and the other side has not ended: as an idle connection should be. */
int socket_is_quiet(int fd);

#endif
