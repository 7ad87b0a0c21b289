/* Options structs that start with their size. SPDX-License-Identifier: MIT */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H
#include <stddef.h>

/*
 * Copies a caller's options struct (whose first field is its size) into *known of known_size bytes, zero-filled where
 * the caller's is shorter. 0: the size is nonsense (less than the size field, or over 4096), or the caller's is longer and
 * its tail, which this build does not know, is not all zero.
 */
int options_read(void *known, size_t known_size, const void *given);

/*
 * The other way: fills the caller's struct as far as it goes, zero where it is longer than this build's; its size stays.
 * 0: the size is nonsense.
 */
int options_write(void *given, const void *known, size_t known_size);

#endif
