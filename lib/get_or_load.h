/* What get_or_load.c and get_or_load_many.c share: what a loader has given. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_GET_OR_LOAD_H
#define LIBCACHE_GET_OR_LOAD_H
#include "load.h"

/* As options for storing it. */
libcache_set_options loaded_options(const libcache_loaded *loaded);

/* For the caller. HIT, NEGATIVE, EINVAL, ENOMEM or ETOOBIG. */
int loaded_hand_over(libcache_ns *ns, const libcache_loaded *loaded, libcache_value *value);

/* Gives back the loader's memory. */
void loaded_release(const libcache_loaded *loaded, void *arg);

#endif
