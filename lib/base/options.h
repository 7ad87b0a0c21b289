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

#endif
