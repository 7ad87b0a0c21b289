/*
 * A redis-server that nobody else uses: a child process, with a unix socket in a directory of its own, that keeps
 * nothing on disk. It dies with the process that started it. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_INSTALLED = 127 };

#define START_NS UINT64_C(10000000000)

static void become_redis(const char *directory, const char *socket_path, pid_t parent)
{
    int nothing = open("/dev/null", O_RDWR);

    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(nothing, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) /* else it died before it could have been told */
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--unixsocketperm", "600",
               "--save", "", "--appendonly", "no", "--dir", directory, (char *)NULL);
    _exit(NOT_INSTALLED);
}

/* 1 when it says PONG. */
static int answers(const char *socket_path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval second = { 1, 0 };
    char pong[8] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), right;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    right = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, pong, sizeof pong, 0) == 7 &&
            memcmp(pong, "+PONG\r\n", 7) == 0;
    close(fd);
    return right;
}

int demo_redis_start(struct demo_redis *redis)
{
    uint64_t give_up = demo_now_ns() + START_NS;
    pid_t parent = getpid();
    char path[96];
    int status;

    snprintf(redis->directory, sizeof redis->directory, "/tmp/libcache-demo-XXXXXX");
    if (!mkdtemp(redis->directory))
        demo_stop(redis->directory, strerror(errno));
    snprintf(path, sizeof path, "%s/redis.sock", redis->directory);
    snprintf(redis->url, sizeof redis->url, "unix://%s", path);
    redis->pid = fork();
    if (redis->pid < 0)
        demo_stop("fork", strerror(errno));
    if (redis->pid == 0)
        become_redis(redis->directory, path, parent);
    while (!answers(path)) {
        if (waitpid(redis->pid, &status, WNOHANG) == redis->pid) {
            rmdir(redis->directory);
            if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED)
                return 0;
            demo_stop("redis-server", "ended as soon as it was started");
        }
        if (demo_now_ns() > give_up) {
            demo_redis_end(redis);
            demo_stop("redis-server", "does not answer");
        }
        demo_nap();
    }
    return 1;
}

void demo_redis_signal(const struct demo_redis *redis, int signal)
{
    int status;

    kill(redis->pid, signal);
    if (signal == SIGSTOP)
        waitpid(redis->pid, &status, WUNTRACED); /* until it has stopped */
}

void demo_redis_end(struct demo_redis *redis)
{
    char path[96];

    kill(redis->pid, SIGKILL); /* also when it is stopped; it has nothing to save */
    waitpid(redis->pid, NULL, 0);
    snprintf(path, sizeof path, "%s/redis.sock", redis->directory);
    unlink(path);
    rmdir(redis->directory);
}
