/*
 * Loads: one query for a missing key however many threads ask for it, an old value while it is being refreshed, and an old
 * value rather than none while the source is down.                                       SPDX-License-Identifier: MIT
 *
 *   cc load.c $(pkg-config --cflags --libs libcache)
 */
#include <libcache.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { THREADS = 16 };

/* The source: slow, and now and then down. */
struct source {
    pthread_mutex_t lock;
    int queries, down;
};

static int query(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    static const char row[] = "{\"name\": \"Ada\"}";
    struct timespec slow = { 0, 20 * 1000 * 1000 };
    struct source *source = arg;
    int down;

    (void)key;
    nanosleep(&slow, NULL);
    pthread_mutex_lock(&source->lock);
    source->queries++;
    down = source->down;
    pthread_mutex_unlock(&source->lock);
    if (down)
        return -1;
    out->data = row; /* copied before this is needed again */
    out->size = sizeof row - 1;
    return LIBCACHE_OK;
}

struct request {
    libcache_ns *users;
    struct source *source;
    int result;
};

static void *serve(void *arg)
{
    struct request *request = arg;
    libcache_value value = LIBCACHE_VALUE_INIT;

    request->result = libcache_get_or_load(request->users, "42", 2, &value, query, request->source, NULL);
    libcache_release_value(&value);
    return NULL;
}

int main(void)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct source source = { PTHREAD_MUTEX_INITIALIZER, 0, 0 };
    struct timespec past_its_end = { 0, 150 * 1000 * 1000 };
    struct request requests[THREADS];
    pthread_t threads[THREADS];
    libcache *cache;
    libcache_ns *users;
    int hits = 0, result;

    policy.ttl_ms = 100;
    policy.grace_ms = 60 * 1000;
    if (libcache_open(&cache, NULL, NULL) != LIBCACHE_OK)
        return 1;
    if (libcache_open_namespace(&users, cache, "user_profile", &policy, NULL) != LIBCACHE_OK)
        return 1;
    for (int i = 0; i < THREADS; i++) {
        requests[i] = (struct request){ users, &source, 0 };
        if (pthread_create(&threads[i], NULL, serve, &requests[i]) != 0)
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        hits += requests[i].result == LIBCACHE_HIT;
    }
    printf("%d threads asked for one missing key: %d have it, %d query\n", THREADS, hits, source.queries);

    source.down = 1;
    nanosleep(&past_its_end, NULL);
    printf("its time is over:   get finds %s\n", libcache_describe(libcache_get(users, "42", 2, &value, 0)));
    result = libcache_get_or_load(users, "42", 2, &value, query, &source, NULL);
    printf("the source is down: get_or_load gives the old one (%s): %.*s\n", libcache_describe(result), (int)value.size,
           (char *)value.data);

    libcache_release_value(&value);
    libcache_close(cache);
    return hits == THREADS && result == LIBCACHE_STALE ? 0 : 1;
}
