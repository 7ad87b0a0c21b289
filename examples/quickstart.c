/*
 * The shortest program that works: open, set, get.               cc quickstart.c $(pkg-config --cflags --libs libcache)
 * SPDX-License-Identifier: MIT
 */
#include <libcache.h>
#include <stdio.h>

int main(void)
{
    libcache *cache;
    libcache_ns *users;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_error error;

    /* Everything at its default: 64 MiB of memory, private to this process, entries live for an hour. */
    if (libcache_open(&cache, NULL, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&users, cache, "user_profile", NULL, &error) != LIBCACHE_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }

    libcache_set(users, "42", 2, "Ada", 3, NULL);

    if (libcache_get(users, "42", 2, &value, 0) == LIBCACHE_HIT)
        printf("user 42 is %.*s\n", (int)value.size, (const char *)value.data);

    libcache_release_value(&value);
    libcache_close(cache);
    return 0;
}
