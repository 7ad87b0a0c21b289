/* Preloaded before AddressSanitizer's library: PHP opens extensions with RTLD_DEEPBIND, which that refuses. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dlfcn.h>

void *dlopen(const char *name, int flags)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

    return next(name, flags & ~RTLD_DEEPBIND);
}
