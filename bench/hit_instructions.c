/*
 * Nothing but hits in L1, to count their instructions (hit_instructions.sh). SPDX-License-Identifier: MIT
 *
 *     hit_instructions HITS [TTL: 0 or 1] [VALUE BYTES]
 */
#include "libcache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 1000 };

int main(int argc, char **argv)
{
    static char keys[KEYS][24], bytes[4096];
    long n = argc > 1 ? atol(argv[1]) : 100000, hits = 0;
    int ttl = argc > 2 && atoi(argv[2]);
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 100;
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache *cache;
    libcache_ns *ns;

    options.segment = LIBCACHE_SHARED;
    policy.ttl_ms = ttl ? 3600000 : LIBCACHE_FOREVER;
    if (size > sizeof bytes || libcache_open(&cache, &options, NULL) != LIBCACHE_OK ||
        libcache_open_namespace(&ns, cache, "hits", &policy, NULL) != LIBCACHE_OK)
        return 1;
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "user:profile:%09d", i);
        libcache_set(ns, keys[i], 22, bytes, size, NULL);
    }
    for (long i = 0; i < n; i++)
        hits += libcache_get(ns, keys[i % KEYS], 22, &value, 0) == LIBCACHE_HIT;
    libcache_release_value(&value);
    libcache_close(cache);
    if (hits != n)
        fprintf(stderr, "%ld hits of %ld\n", hits, n);
    return hits != n;
}
