/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What /proc/PID/stat says, as far as it concerns us. All 0: it says nothing. */
struct stat_line {
    char state;
    uint64_t threads, start; /* of the thread group; in ticks */
};

static void read_stat(pid_t pid, struct stat_line *out)
{
    char path[40], text[512], *at;
    ssize_t size;
    int fd, field = 2;

    *out = (struct stat_line){ 0, 0, 0 };

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
        return;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return;
    text[size] = '\0';
    at = strrchr(text, ')'); /* the name may hold anything */
    for (; at && *at; at++) {
        if (*at == ' ')
            field++;
        else if (field == 3)
            out->state = *at;
        else if (*at >= '0' && *at <= '9' && field == 20)
            out->threads = out->threads * 10 + (uint64_t)(*at - '0');
        else if (*at >= '0' && *at <= '9' && field == 22)
            out->start = out->start * 10 + (uint64_t)(*at - '0');
    }
}

uint64_t process_start(pid_t pid)
{
    struct stat_line line;

    read_stat(pid, &line);
    return line.start;
}

/* Dead, but its parent has not asked what became of it. Where other threads run on, the first one alone has ended. */
static int is_zombie(const struct stat_line *line)
{
    return (line->state == 'Z' || line->state == 'X') && line->threads <= 1;
}

int process_lives(pid_t pid, uint64_t start)
{
    struct stat_line now;

    if (pid == getpid())
        return 1;
    if (kill(pid, 0) < 0 && errno == ESRCH)
        return 0;
    read_stat(pid, &now);
    return !is_zombie(&now) && (!start || !now.start || now.start == start);
}
