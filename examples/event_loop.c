/*
 * An event loop that must never block, on a cache that other processes write to as well. Every call says LIBCACHE_NO_WAIT:
 * a read that cannot be had at once is a miss, a write that would wait for a lock is not done (LIBCACHE_EBUSY). Misses go
 * to a worker thread, which may wait for the database, and come back through an eventfd.
 *
 *     cc event_loop.c $(pkg-config --cflags --libs libcache) -pthread          SPDX-License-Identifier: MIT
 */
#include <libcache.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TICKS = 100, REQUESTS_A_TICK = 50, PAGES = 400, QUEUE = 1024 };

static libcache *cache;
static libcache_ns *pages;

/* ---- Queues between the two threads ------------------------------------------------------------------------------ */

struct job {
    int page;
    libcache_stamp stamp; /* taken by the loop before the job was sent: before the source is read */
};

struct queue {
    pthread_mutex_t mutex;
    struct job jobs[QUEUE];
    size_t first, n;
    int wake; /* eventfd */
};

static struct queue to_worker = { .mutex = PTHREAD_MUTEX_INITIALIZER };
static struct queue to_loop = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* Held for some instructions only. A full queue drops the job: it was only a miss. */
static int push(struct queue *queue, const struct job *job)
{
    uint64_t one = 1;
    int pushed;
    pthread_mutex_lock(&queue->mutex);
    pushed = queue->n < QUEUE;
    if (pushed)
        queue->jobs[(queue->first + queue->n++) % QUEUE] = *job;
    pthread_mutex_unlock(&queue->mutex);
    return pushed && write(queue->wake, &one, sizeof one) == sizeof one;
}

static int pop(struct queue *queue, struct job *job)
{
    int popped;
    pthread_mutex_lock(&queue->mutex);
    popped = queue->n > 0;
    if (popped) {
        *job = queue->jobs[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        queue->n--;
    }
    pthread_mutex_unlock(&queue->mutex);
    return popped;
}

/* ---- The worker: may block ------------------------------------------------------------------------------------------ */

static void *worker(void *arg)
{
    struct job job;
    (void)arg;
    for (;;) {
        struct pollfd wait = { to_worker.wake, POLLIN, 0 };
        uint64_t count;
        poll(&wait, 1, -1);
        if (read(to_worker.wake, &count, sizeof count) < 0)
            continue;
        while (pop(&to_worker, &job)) {
            struct timespec database = { 0, 200000 };
            char html[64];
            int size;
            libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
            if (job.page < 0)
                return NULL;
            nanosleep(&database, NULL);
            size = snprintf(html, sizeof html, "<h1>page %d</h1>", job.page);
            options.stamp = &job.stamp;
            libcache_set(pages, &job.page, sizeof job.page, html, (size_t)size,
                         &options); /* may wait: it is not the loop */
            push(&to_loop, &job);
        }
    }
}

/* ---- The loop: never blocks ------------------------------------------------------------------------------------------- */

static unsigned long answered, missed, dropped, loaded, written, not_written;
static char asked[PAGES]; /* under way at the worker: once is enough */

static void answer(int page, libcache_value *value)
{
    int result = libcache_get(pages, &page, sizeof page, value, LIBCACHE_NO_WAIT);
    if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        answered++;
    } else {
        struct job job = { .page = page };
        missed++;
        if (asked[page])
            return;
        libcache_take_stamp(pages, &page, sizeof page, &job.stamp); /* never waits */
        if (push(&to_worker, &job))
            asked[page] = 1;
        else
            dropped++;
    }
}

/* A page was edited. If its entry cannot be deleted at once, it is tried again in the next tick. */
static int edited = -1;

static void edit(int page)
{
    if (edited < 0)
        edited = page;
    if (libcache_delete(pages, &edited, sizeof edited, LIBCACHE_NO_WAIT) == LIBCACHE_EBUSY) {
        not_written++;
    } else {
        written++;
        edited = -1;
    }
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    struct itimerspec every_millisecond = { { 0, 1000000 }, { 0, 1000000 } };
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_error error;
    pthread_t thread;
    struct job job = { .page = -1 }; /* the end */
    unsigned random = 1;

    options.memory_bytes = 1 << 20;
    options.segment = LIBCACHE_SHARED;
    if (libcache_open(&cache, &options, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&pages, cache, "page", NULL, &error) != LIBCACHE_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    to_worker.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    to_loop.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll < 0 || timer < 0 || to_worker.wake < 0 || to_loop.wake < 0 ||
        pthread_create(&thread, NULL, worker, NULL) != 0)
        return 1;
    watch(epoll, timer);
    watch(epoll, to_loop.wake);
    timerfd_settime(timer, 0, &every_millisecond, NULL);

    for (int ticks = 0; ticks < TICKS;) {
        struct epoll_event events[4];
        int n = epoll_wait(epoll, events, 4, -1);
        for (int i = 0; i < n; i++) {
            uint64_t count;
            if (read(events[i].data.fd, &count, sizeof count) < 0)
                continue;
            if (events[i].data.fd == timer) {
                for (int r = 0; r < REQUESTS_A_TICK; r++) {
                    random = random * 1664525u + 1013904223u;
                    answer((int)((random >> 8) % PAGES), &value);
                }
                if (++ticks % 10 == 0)
                    edit(ticks % PAGES);
            } else {
                struct job done;
                while (pop(&to_loop, &done)) {
                    asked[done.page] = 0;
                    loaded++;
                }
            }
        }
    }
    push(&to_worker, &job);
    pthread_join(thread, NULL);
    printf("%d ticks: %lu requests answered at once, %lu misses (%lu loaded, %lu dropped), %lu edits (%lu put off)\n",
           TICKS, answered, missed, loaded, dropped, written, not_written);
    libcache_release_value(&value);
    libcache_close(cache);
    close(timer);
    close(epoll);
    close(to_worker.wake);
    close(to_loop.wake);
    return answered == 0;
}
