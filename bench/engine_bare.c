/*
 * A bare index: what finding a key costs whoever compares keys, and nothing besides. A word of hash and place in an open table, then
 * key and value side by side. No locks, no eviction, no expiry, no sizes: sets overwrite in place and race with gets and each other. It is a yardstick,
 * as the floor is: a cache that is faster than this one has saved a miss of the processor's caches, not instructions.
 */
#include "engine.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct bare_engine {
    size_t value_bytes, stride, mask, entries;
    size_t slots_bytes, entries_bytes;
    uint64_t *slots; /* hash's upper 32 bits | entry's number from 1; 0: free */
    char *memory;
} bare_engine;

static void *open_engine(const engine_config *config)
{
    bare_engine *self = harness_allocate(sizeof *self);
    size_t slots = 1;

    while (slots < config->keys * 3 / 2)
        slots *= 2;
    self->value_bytes = config->value_bytes;
    self->stride = (ENGINE_KEY_BYTES + config->value_bytes + 7) & ~(size_t)7;
    self->mask = slots - 1;
    self->entries = 0;
    self->slots_bytes = slots * sizeof *self->slots;
    self->entries_bytes = config->keys * self->stride;
    self->slots = harness_map(self->slots_bytes);
    self->memory = harness_map(self->entries_bytes);
    return self;
}

static void close_engine(void *opaque)
{
    bare_engine *self = opaque;

    harness_unmap(self->slots, self->slots_bytes);
    harness_unmap(self->memory, self->entries_bytes);
    free(self);
}

/* The key's entry; *free_slot: where it would be, if it is not there. */
static char *find(const bare_engine *self, const char *key, uint64_t *hash, size_t *free_slot)
{
    *hash = XXH3_64bits(key, ENGINE_KEY_BYTES);
    for (size_t i = *hash & self->mask;; i = (i + 1) & self->mask) {
        uint64_t slot = self->slots[i];

        if (slot == 0) {
            *free_slot = i;
            return NULL;
        }
        if (slot >> 32 == *hash >> 32) {
            char *entry = self->memory + ((uint32_t)slot - 1) * self->stride;

            if (memcmp(entry, key, ENGINE_KEY_BYTES) == 0)
                return entry;
        }
    }
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    bare_engine *self = opaque;
    uint64_t hash;
    size_t free_slot;
    char *entry = find(self, key, &hash, &free_slot);

    (void)number;
    if (entry == NULL) {
        size_t n = __atomic_fetch_add(&self->entries, 1, __ATOMIC_RELAXED);
        uint64_t none = 0;

        entry = self->memory + n * self->stride;
        memcpy(entry, key, ENGINE_KEY_BYTES);
        while (!__atomic_compare_exchange_n(&self->slots[free_slot], &none, hash >> 32 << 32 | (n + 1), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            free_slot = (free_slot + 1) & self->mask; /* another key's, meanwhile; the same key is never stored twice at once for the first time */
            none = 0;
        }
    }
    memcpy(entry + ENGINE_KEY_BYTES, value, self->value_bytes);
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    bare_engine *self = opaque;
    uint64_t hash;
    size_t free_slot;
    const char *entry = find(self, key, &hash, &free_slot);

    (void)number;
    if (entry == NULL)
        return 0;
    memcpy(out, entry + ENGINE_KEY_BYTES, self->value_bytes);
    return self->value_bytes;
}

const bench_engine engine_bare = { "bare", open_engine, close_engine, set, get, 0 };
