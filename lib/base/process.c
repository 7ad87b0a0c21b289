/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

uint64_t process_start(pid_t pid)
{
    char path[40], text[512], *at;
    uint64_t start = 0;
    ssize_t size;
    int fd, field = 2;

    at = path;
    for (const char *s = "/proc/"; *s; s++)
        *at++ = *s;
    {
        char digits[12];
        int n = 0;
        do
            digits[n++] = (char)('0' + pid % 10);
        while (pid /= 10);
        while (n)
            *at++ = digits[--n];
    }
    for (const char *s = "/stat"; *s; s++)
        *at++ = *s;
    *at = '\0';
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    at = strrchr(text, ')'); /* the name may hold anything */
    for (; at && *at && field < 22; at++)
        if (*at == ' ')
            field++;
    for (; at && *at >= '0' && *at <= '9'; at++)
        start = start * 10 + (uint64_t)(*at - '0');
    return start;
}

int process_lives(pid_t pid, uint64_t start)
{
    uint64_t now;

    if (pid == getpid())
        return 1;
    if (kill(pid, 0) < 0 && errno == ESRCH)
        return 0;
    now = process_start(pid);
    return !start || !now || now == start;
}
