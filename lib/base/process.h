/* Whether a process still runs. SPDX-License-Identifier: MIT */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H
#include <stdint.h>
#include <sys/types.h>

/* When a process began: tells a reused pid from the one that was meant. 0: there is none, or it cannot be known. */
uint64_t process_start(pid_t pid);

/* 0: the process of that pid that began then is gone for sure. start 0: not known. */
int process_lives(pid_t pid, uint64_t start);

#endif
