/*
 * Invalidating: names are marked, in Redis first where there is one, then here; see store.c for what a change goes through.
 * SPDX-License-Identifier: MIT
 */
#include "cache.h"

#include "base/hash.h"

/* ---- Tags -------------------------------------------------------------------------------------------------------- */

uint64_t libcache_hash_tag(const void *tag, size_t size)
{
    uint64_t hash = tag || !size ? hash_bytes(tag, size, 0) : 0;
    return hash ? hash : 1; /* 0 says "no tag" in the table of marks */
}

int hash_tags(const libcache_slice *tags, size_t n, uint64_t *hashes)
{
    for (size_t i = 0; i < n; i++) {
        if (!tags[i].data || tags[i].size < 1 || tags[i].size > LIBCACHE_TAG_MAX)
            return LIBCACHE_ETAG;
        hashes[i] = libcache_hash_tag(tags[i].data, tags[i].size);
    }
    return LIBCACHE_OK;
}

/* ---- Names -------------------------------------------------------------------------------------------------------- */

#define INVALIDATE_FLAGS (unsigned)(LIBCACHE_NO_WAIT | LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH)

/* n names, everywhere. */
static int invalidate_remotely(libcache *cache, libcache_ns *ns, const struct name *names, size_t n, int no_wait,
                               uint64_t *deadline)
{
    struct operation invalidate = measure(cache, "invalidate", ns, NULL, 0);
    int result =
        coherence_invalidate(cache->coherence, names, n, NULL, no_wait, coherence_deadline(cache->coherence, deadline));

    if (result < 0)
        counters_add(&cache->counters, ns ? ns->id : counters_nowhere(&cache->counters), COUNT_L2_ERROR, 1);
    measure_end(&invalidate, result);
    return result;
}

/* n names, here and, unless the flags say otherwise, everywhere; `here` is the same for L1. ns: NULL, or the one that they concern. */
static int invalidate(libcache *cache, libcache_ns *ns, const struct name *names, size_t n, const struct l1_names *here,
                      unsigned flags, uint64_t *deadline)
{
    int no_wait = (flags & LIBCACHE_NO_WAIT) != 0, result;

    if (may_write(cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    if (cache->coherence && !(flags & (LIBCACHE_SKIP_L2 | LIBCACHE_NO_PUBLISH)))
        result = invalidate_remotely(cache, ns, names, n, no_wait, deadline);
    else
        result = l1_invalidate(&cache->l1, here, 0, L1_NEXT, no_wait);
    if (result == LIBCACHE_OK)
        counters_add(&cache->counters, ns ? ns->id : counters_nowhere(&cache->counters), COUNT_INVALIDATION, n);
    return result;
}

int libcache_invalidate_tags(libcache *cache, const libcache_slice *tags, size_t n, unsigned flags)
{
    uint64_t hashes[LIBCACHE_TAGS_MAX];
    struct name names[LIBCACHE_TAGS_MAX];
    uint64_t deadline = 0; /* one for all */

    if (!cache || (n && !tags) || (flags & ~INVALIDATE_FLAGS))
        return LIBCACHE_EINVAL;
    for (size_t i = 0; i < n; i++) /* all or none: look before the first is invalidated */
        if (hash_tags(tags + i, 1, hashes) != LIBCACHE_OK)
            return LIBCACHE_ETAG;
    for (size_t from = 0; from < n; from += LIBCACHE_TAGS_MAX) {
        size_t m = n - from < LIBCACHE_TAGS_MAX ? n - from : LIBCACHE_TAGS_MAX;
        const struct l1_names here = { .tags = hashes, .n_tags = m };
        int result;
        hash_tags(tags + from, m, hashes);
        for (size_t i = 0; i < m; i++)
            names[i] = (struct name){ .kind = NAME_TAG, .tag = hashes[i] };
        result = invalidate(cache, NULL, names, m, &here, flags, &deadline);
        if (result != LIBCACHE_OK)
            return result;
    }
    return LIBCACHE_OK;
}

int libcache_invalidate_namespace(libcache_ns *ns, unsigned flags)
{
    uint64_t deadline = 0;

    if (!ns || (flags & ~INVALIDATE_FLAGS))
        return LIBCACHE_EINVAL;
    return invalidate(ns->cache, ns, &(const struct name){ .kind = NAME_SPACE, .ns = space_slice(ns) }, 1,
                      &(const struct l1_names){ .spaces = &ns->id, .n_spaces = 1 }, flags, &deadline);
}

int libcache_invalidate_all(libcache *cache, unsigned flags)
{
    uint64_t deadline = 0;

    if (!cache || (flags & ~INVALIDATE_FLAGS))
        return LIBCACHE_EINVAL;
    return invalidate(cache, NULL, &(const struct name){ .kind = NAME_ALL }, 1, &(const struct l1_names){ .all = 1 },
                      flags, &deadline);
}
