/*
 * The terminal, for top: plain ANSI. SPDX-License-Identifier: MIT
 *
 * A picture is written over the one before, line by line, each line's rest erased, so that nothing flickers. What was changed is
 * put back by screen_close, before a stop (Ctrl-Z), and by whoever ends the program after a signal.
 */
#include "tool.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static int is_open, has_keys;
static volatile sig_atomic_t stopped, resized;

static void note(int number)
{
    if (number == SIGTSTP)
        stopped = 1;
    else
        resized = 1;
}

static void take(void)
{
    struct termios raw;

    if (has_keys) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
    fflush(stdout);
}

static void give(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

int screen_open(void)
{
    struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };

    if (!isatty(STDOUT_FILENO))
        return 0;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTSTP, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    is_open = 1;
    take();
    return 1;
}

void screen_close(void)
{
    if (is_open)
        give();
    is_open = 0;
}

void screen_begin(int *lines, int *columns)
{
    struct winsize size;
    int known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;

    *lines = known ? size.ws_row : 24;
    *columns = known ? size.ws_col : 80;
    fputs("\033[H", stdout);
}

void screen_line(void)
{
    fputs(is_open ? "\033[K\r\n" : "\n", stdout);
}

void screen_end(void)
{
    if (is_open)
        fputs("\033[J", stdout);
    fflush(stdout);
}

int screen_key(uint64_t ms)
{
    struct pollfd keys = { STDIN_FILENO, POLLIN, 0 };
    char key;
    int n;

    if (stopped) {
        stopped = 0;
        give();
        raise(SIGSTOP);
        take();
        return -1;
    }
    n = poll(&keys, has_keys ? 1 : 0, (int)ms);
    if (n < 0 || resized) {
        resized = 0;
        return -1;
    }
    if (n > 0 && read(STDIN_FILENO, &key, 1) == 1)
        return (unsigned char)key;
    if (n > 0)
        has_keys = 0; /* its end: nothing more will come */
    return 0;
}
