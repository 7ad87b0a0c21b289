/*
 * A service with 16 threads and one cache. Each request gets or loads an order; now and then an order changes, and the
 * thread that changed it invalidates what was cached of its customer. Nobody is served what was true before.
 *
 *     cc threads.c $(pkg-config --cflags --libs libcache) -pthread          SPDX-License-Identifier: MIT
 */
#include <libcache.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 16, REQUESTS = 20000, ORDERS = 2000, CUSTOMERS = 100 };

/* The database: an order has a state, and belongs to a customer. */
struct order {
    int number, customer;
    long state;
};

static pthread_mutex_t database = PTHREAD_MUTEX_INITIALIZER;
static struct order orders[ORDERS];
static long loads, changes;

static struct order query(int number)
{
    struct order row;
    pthread_mutex_lock(&database);
    row = orders[number];
    loads++;
    pthread_mutex_unlock(&database);
    return row;
}

/* One handle for all threads: every call may be made from any of them at any time. */
static libcache *cache;
static libcache_ns *order_ns;

static libcache_slice customer_tag(char *text, size_t room, int customer)
{
    libcache_slice tag = { text, 0 };
    tag.size = (size_t)snprintf(text, room, "customer:%d", customer);
    return tag;
}

/*
 * Get or load. The stamp is taken before the database is read: if the customer is invalidated in between, this row is
 * old, and the set stores nothing (LIBCACHE_FENCED). This caller may still use it: it asked before the change.
 */
static struct order get_order(int number, libcache_value *value)
{
    struct order row;
    libcache_stamp stamp;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tag;
    char text[32];

    if (libcache_get(order_ns, &number, sizeof number, value, 0) == LIBCACHE_HIT && value->size == sizeof row) {
        memcpy(&row, value->data, sizeof row);
        return row;
    }
    libcache_take_stamp(order_ns, &number, sizeof number, &stamp);
    row = query(number);
    tag = customer_tag(text, sizeof text, row.customer);
    options.tags = &tag;
    options.n_tags = 1;
    options.stamp = &stamp;
    libcache_set(order_ns, &number, sizeof number, &row, sizeof row,
                 &options); /* failed or fenced: served all the same */
    return row;
}

/* First the database, then the cache. Returns the new state. */
static long change_order(int number)
{
    libcache_slice tag;
    char text[32];
    int customer;
    long state;

    pthread_mutex_lock(&database);
    state = ++orders[number].state;
    customer = orders[number].customer;
    changes++;
    pthread_mutex_unlock(&database);
    tag = customer_tag(text, sizeof text, customer);
    /* Only a lock that is not to be had for a second makes this fail: then the caller must not pretend it was done. */
    while (libcache_invalidate_tags(cache, &tag, 1, 0) != LIBCACHE_OK)
        ;
    return state;
}

/* A thread counts how often it was served something older than what it had itself written: never. */
static void *serve(void *arg)
{
    unsigned random = (unsigned)(size_t)arg * 2654435761u + 1;
    libcache_value value = LIBCACHE_VALUE_INIT; /* reused: a hit allocates nothing */
    size_t old = 0;

    for (int i = 0; i < REQUESTS; i++) {
        int number;
        random = random * 1664525u + 1013904223u;
        number = (int)((random >> 8) % ORDERS);
        if (random >> 24 == 0) {
            long state = change_order(number);
            old += get_order(number, &value).state < state;
        } else {
            get_order(number, &value);
        }
    }
    libcache_release_value(&value);
    return (void *)old;
}

int main(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_error error;
    pthread_t threads[THREADS];
    size_t old = 0;

    for (int i = 0; i < ORDERS; i++)
        orders[i] = (struct order){ i, i % CUSTOMERS, 0 };
    options.memory_bytes = 8 << 20;
    policy.ttl_ms = 60 * 1000;
    policy.jitter_percent = 10; /* so that what was stored together does not expire together */
    if (libcache_open(&cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&order_ns, cache, "order", &policy, &error) != LIBCACHE_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, serve, (void *)i) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++) {
        void *seen;
        pthread_join(threads[i], &seen);
        old += (size_t)seen;
    }
    libcache_read_stats(cache, &stats);
    printf("%d threads, %d requests: %llu hits, %ld loads, %ld changes, %llu loads fenced, %zu old orders served\n",
           THREADS, THREADS * REQUESTS, (unsigned long long)stats.hits, loads, changes,
           (unsigned long long)stats.fenced, old);
    libcache_close(cache);
    return old != 0;
}
