/*
 * A server that a benchmark starts: a child process with a directory of its own, which ends with its parent.
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H
#include <sys/types.h>

typedef struct bench_child {
    pid_t pid;
    char directory[64];
    char socket[96]; /* in the directory; the server is to listen there */
} bench_child;

/* Makes the directory. */
void child_make_directory(bench_child *child, const char *name);

/* Starts arguments[0], found by PATH, and waits until the socket accepts connections; dies when that takes 10 s. */
void child_start(bench_child *child, const char *const *arguments);

/* Ends it, if it was started, and removes the directory with the files in it. */
void child_stop(bench_child *child);

#endif
