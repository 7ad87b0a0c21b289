/* A word that a forked child finds zero. SPDX-License-Identifier: MIT */
#ifndef BASE_WIPED_H
#define BASE_WIPED_H
#include <stdint.h>

/*
 * Tells "forked since" with one load; getpid, which tells it too, is a system call. The word lies in a page of its own, of which the
 * kernel gives each child zeroes (MADV_WIPEONFORK, Linux 4.14). It is 0 at first. NULL: not to be had; getpid must do.
 */
uint64_t *wiped_word(void);
void wiped_word_free(uint64_t *word); /* NULL allowed */

#endif
