/*
 * Two tiers: memory of this process before a Redis that all hosts share. Run it on two hosts, or in two terminals:
 *
 *     two_hosts unix:///run/redis/redis.sock names.txt              shows what it is given, until it is interrupted
 *     two_hosts unix:///run/redis/redis.sock names.txt Grace        changes it: all others see the new name at once
 *
 *     cc two_hosts.c $(pkg-config --cflags --libs libcache)         SPDX-License-Identifier: MIT
 */
#include <libcache.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static libcache *cache;
static libcache_ns *users;

/* The database: one name in a file. */
static size_t query(const char *file, char *name, size_t room)
{
    FILE *in = fopen(file, "r");
    size_t size = in ? fread(name, 1, room, in) : 0;

    if (in)
        fclose(in);
    return size;
}

/*
 * Get or load. A Redis that is down makes the get a miss and the set an error: this request is served from the
 * database all the same. The stamp makes sure that a slow query cannot put back what was invalidated meanwhile.
 */
static void show_user(const char *file, libcache_value *value)
{
    static const char *const tiers[] = { "the database", "this host's memory", "Redis" };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag = LIBCACHE_STR("user:42");
    libcache_stamp stamp;
    char name[100];
    int result = libcache_get(users, "42", 2, value, 0);

    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        printf("%-30.*s from %s\n", (int)value->size, (const char *)value->data, tiers[value->tier % 3]);
        return;
    }
    libcache_take_stamp(users, "42", 2, &stamp);
    size_t size = query(file, name, sizeof name);
    options.tags = &tag;
    options.n_tags = 1;
    options.stamp = &stamp;
    result = libcache_set(users, "42", 2, name, size, &options);
    printf("%-30.*s from %s%s%s\n", (int)size, name, tiers[0], result < 0 ? ", not stored: " : "",
           result < 0 ? libcache_describe(result) : "");
}

/* First the database, then the cache. 1: all hosts know; 0: only this one does. */
static int change_user(const char *file, const char *name)
{
    libcache_slice tag = LIBCACHE_STR("user:42");
    FILE *out = fopen(file, "w");
    int written = out && fputs(name, out) >= 0, result;

    if ((out && fclose(out) != 0) || !written) {
        perror(file);
        return 0;
    }
    result = libcache_invalidate_tags(cache, &tag, 1, 0);
    /*
     * An error: it is done on this host, and Redis is told as soon as it can be reached. But this process is about to
     * end, and its memory with it, so it waits for that. A service would go on serving.
     */
    for (int i = 0; result != LIBCACHE_OK && i < 50; i++) {
        fprintf(stderr, "not yet known to the others: %s\n", libcache_describe(result));
        usleep(200000);
        result = libcache_invalidate_tags(cache, &tag, 1, 0);
    }
    return result == LIBCACHE_OK;
}

int main(int argc, char **argv)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT; /* reused: a hit allocates nothing */
    libcache_error error;
    int failed = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: two_hosts REDIS-URL FILE [NEW-NAME]\n");
        return 2;
    }
    options.redis_url = argv[1];
    options.redis_prefix = "two-hosts";
    options.listener = LIBCACHE_LISTEN_IN_THREAD; /* hear of changes within a millisecond or so, calls or no calls */
    policy.ttl_ms = 10 * 60 * 1000;
    if (libcache_open(&cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&users, cache, "user", &policy, &error) != LIBCACHE_OK) {
        fprintf(stderr, "%s\n", error.text); /* a wrong option; that Redis is down is no reason not to open */
        return 1;
    }
    if (argc > 3) {
        failed = !change_user(argv[2], argv[3]);
    } else {
        for (;;) {
            show_user(argv[2], &value);
            usleep(500000);
        }
    }
    libcache_release_value(&value);
    libcache_close(cache);
    return failed;
}
