/* Process memory through the handle's allocator. SPDX-License-Identifier: MIT */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include "libcache.h"

/* malloc and free. */
extern const libcache_allocator memory_default;

void *memory_get(const libcache_allocator *allocator, size_t bytes);   /* NULL: no memory. Not cleared */
void *memory_zero(const libcache_allocator *allocator, size_t bytes);  /* the same, cleared */
/* The same on a boundary of `alignment`, a power of two; *raw is what to free. */
void *memory_zero_aligned(const libcache_allocator *allocator, size_t bytes, size_t alignment, void **raw);

void memory_free(const libcache_allocator *allocator, void *memory);   /* NULL allowed */

#endif
