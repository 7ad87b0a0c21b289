/* 64-bit numbers as decimal text: what counters hold, in both tiers. SPDX-License-Identifier: MIT */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_MAX 20 /* characters of the longest, its sign included */

/* Writes it, without a final zero; returns its length. */
size_t decimal_write(char *text, int64_t number);

/* Takes an optional '-' and digits, at most DECIMAL_MAX characters, and nothing else. 1: *out is it; 0: it is none. */
int decimal_read(const void *text, size_t size, int64_t *out);

#endif
