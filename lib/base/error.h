/* Error texts: they live in the caller's libcache_error, never in a global. SPDX-License-Identifier: MIT */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include "libcache.h"

/* Fills *error (NULL: nothing) with code and the formatted text, cut if too long; returns code. Keeps errno. */
int error_set(libcache_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
