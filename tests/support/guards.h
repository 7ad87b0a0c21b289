/*
 * Guards by name, for programs of the `hooks` variant that break one to see whether it is noticed (lib/l1/hook.h). Those of the
 * scripts are broken in the text that is sent to Redis. SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_GUARDS_H
#define TESTS_SUPPORT_GUARDS_H

/* 0, or -1: there is no such guard, or this is not the `hooks` variant. */
int guards_break(const char *name);

/* The one that LIBCACHE_TEST_BREAK names, if it is set. As guards_break. */
int guards_break_as_told(void);

/* All names, each on a line. */
void guards_print(void);

#endif
