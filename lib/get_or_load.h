/* What get_or_load.c, get_or_load_many.c and warm.c share. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_GET_OR_LOAD_H
#define LIBCACHE_GET_OR_LOAD_H
#include "load.h"

/* What a loader has given, as options for storing it. */
libcache_set_options loaded_options(const libcache_loaded *loaded);

/* For the caller. HIT, NEGATIVE, EINVAL, ENOMEM or ETOOBIG. */
int loaded_hand_over(libcache_ns *ns, const libcache_loaded *loaded, libcache_value *value);

/* Gives back the loader's memory. */
void loaded_release(const libcache_loaded *loaded, void *arg);

/* libcache_get_or_load_many, its arguments checked, n not 0. later: the executor may refresh what is stale; 0: that is done here. */
int load_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
              libcache_many_loader loader, void *arg, const libcache_load_options *options, int later);

#endif
