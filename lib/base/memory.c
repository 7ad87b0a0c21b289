/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void *default_allocate(void *arg, size_t bytes)
{
    (void)arg;
    return malloc(bytes);
}

static void default_release(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

const libcache_allocator memory_default = { default_allocate, default_release, NULL };

void *memory_get(const libcache_allocator *allocator, size_t bytes)
{
    return allocator->allocate(allocator->arg, bytes);
}

void *memory_zero(const libcache_allocator *allocator, size_t bytes)
{
    void *memory = memory_get(allocator, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *memory_zero_aligned(const libcache_allocator *allocator, size_t bytes, size_t alignment, void **raw)
{
    unsigned char *memory = memory_zero(allocator, bytes + alignment);

    *raw = memory;
    return memory ? memory + (alignment - (uintptr_t)memory % alignment) % alignment : NULL;
}

void memory_free(const libcache_allocator *allocator, void *memory)
{
    if (memory)
        allocator->release(allocator->arg, memory);
}
