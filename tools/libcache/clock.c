/* Time and signals. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <signal.h>
#include <time.h>

volatile int stop_asked;

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* In pieces: a signal may come just before one begins. */
int pause_ms(uint64_t ms)
{
    for (uint64_t until = now_ns() + ms * UINT64_C(1000000), now; !stop_asked && (now = now_ns()) < until;) {
        uint64_t left = until - now < UINT64_C(100000000) ? until - now : UINT64_C(100000000);
        struct timespec piece = { 0, (long)left };
        clock_nanosleep(CLOCK_MONOTONIC, 0, &piece, NULL);
    }
    return !stop_asked;
}

static void stop(int number)
{
    stop_asked = number;
}

void catch_signals(int restart)
{
    struct sigaction action = { .sa_handler = stop, .sa_flags = restart ? SA_RESTART : 0 };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}
