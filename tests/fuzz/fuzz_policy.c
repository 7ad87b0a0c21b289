/*
 * Any bytes as a policy file: refused with a text that says where, or accepted, and then every policy found in it
 * resolves to one that is complete and stays the same, or is refused with a text. SPDX-License-Identifier: MIT
 */
#include "policy.h"

#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void require_text(const libcache_error *error, int code, const char *begin)
{
    REQUIRE(error->code == code);
    REQUIRE(memchr(error->text, 0, sizeof error->text));
    REQUIRE(strncmp(error->text, begin, strlen(begin)) == 0);
    REQUIRE(strlen(error->text) > strlen(begin));
}

static void require_complete(const libcache_policy *policy)
{
    REQUIRE(policy->struct_size == sizeof *policy);
    REQUIRE(policy->ttl_ms > 0 && policy->negative_ttl_ms > 0);
    REQUIRE(policy->soft_ttl_ms == LIBCACHE_FOREVER || policy->soft_ttl_ms < policy->ttl_ms);
    REQUIRE(policy->jitter_percent <= 50);
    REQUIRE(policy->l1_share_percent >= 1 && policy->l1_share_percent <= 100);
    REQUIRE(policy->max_value_bytes >= 1 && policy->max_value_bytes <= CACHE_MAX);
    REQUIRE(policy->tiers >= 1 && policy->tiers <= 3);
}

static void resolve(const struct policy_book *book, const char *ns_name, unsigned tiers)
{
    libcache_policy found, resolved, again;
    libcache_error error = { 0, "" };
    int result;
    policy_book_find(book, ns_name, &found);
    REQUIRE(found.struct_size == sizeof found);
    result = policy_resolve(&resolved, NULL, &found, ns_name, CACHE_MAX, tiers, &error);
    if (result != LIBCACHE_OK) {
        REQUIRE(result == LIBCACHE_EPOLICY || (result == LIBCACHE_EUNSUPPORTED && (found.tiers & ~tiers)));
        require_text(&error, result, "namespace ");
        return;
    }
    require_complete(&resolved);
    REQUIRE(policy_resolve(&again, &resolved, &found, ns_name, CACHE_MAX, tiers, &error) == LIBCACHE_OK);
    REQUIRE(policy_equal(&resolved, &again));
}

/* Every run of bytes between "[namespace " and "]" as a name, whether the parser saw it so or not. */
static void resolve_names_of(const struct policy_book *book, const uint8_t *data, size_t size)
{
    static const char head[] = "[namespace ";
    char name[LIBCACHE_NAMESPACE_NAME_MAX + 2];
    for (size_t at = 0; at + sizeof head < size; at++) {
        size_t n = 0;
        if (memcmp(data + at, head, sizeof head - 1) != 0)
            continue;
        at += sizeof head - 1;
        while (at + n < size && data[at + n] != ']' && data[at + n] != 0 && n < sizeof name - 1)
            n++;
        memcpy(name, data + at, n);
        name[n] = 0;
        resolve(book, name, LIBCACHE_TIER_L1);
    }
}

static int live_blocks;

static void *counted_allocate(void *arg, size_t bytes)
{
    void *memory = *(int *)arg ? NULL : malloc(bytes);
    live_blocks += memory != NULL;
    return memory;
}

static void counted_release(void *arg, void *memory)
{
    (void)arg;
    live_blocks--;
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int exhausted = 0, result;
    libcache_allocator allocator = { counted_allocate, counted_release, &exhausted };
    struct policy_book *book = NULL;
    libcache_error error = { 0, "" };
    result = policy_read_text(&book, "fuzz.ini", (const char *)data, size, &allocator, &error);
    if (result == LIBCACHE_OK) {
        REQUIRE(book);
        resolve(book, "x", LIBCACHE_TIER_L1);
        resolve(book, "", LIBCACHE_TIER_L1 | LIBCACHE_TIER_L2);
        resolve_names_of(book, data, size);
        policy_book_free(book);
    } else {
        REQUIRE(result == LIBCACHE_EPOLICY && !book);
        require_text(&error, result, size > (1 << 20) ? "fuzz.ini: " : "fuzz.ini:");
    }
    REQUIRE(live_blocks == 0);

    exhausted = 1;
    book = NULL;
    result = policy_read_text(&book, "fuzz.ini", (const char *)data, size, &allocator, &error);
    REQUIRE(result == (size > (1 << 20) ? LIBCACHE_EPOLICY : LIBCACHE_ENOMEM) && !book && live_blocks == 0);
    return 0;
}
