/*
 * The thread that listens, where the host allowed one. SPDX-License-Identifier: MIT
 *
 *      waits for the lock  -->  connects  -->  reads the log, waiting up to a beat for the next record  -+
 *             ^                    ^   failed: pause, doubling        |  ^                              |
 *             |                    +----------------------------------+  +------------------------------+
 *             +-- another process of the host has it
 *
 * One listener per host: whoever holds the robust lock in the segment. Its owner's death frees the lock; the others look once a beat.
 * Idle, every such thread wakes once a beat. The thread never touches anything of its host: signals are blocked, no callback but the
 * log function, memory only through the cache's allocator. It is ended by close, through wake_fd, at once.
 */
#define _GNU_SOURCE
#include "coherence_internal.h"

#include "base/error.h"
#include "l1/lock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BEAT_MAX_MS 1000u
#define BEAT_MIN_MS 5u
#define STACK_BYTES (256u << 10)
#define PAUSE_FIRST_MS 20u
#define PAUSE_MAX_MS 1000u
#define CONNECT_MS 1000u

/* How long an answer may be waited for: the news must be well within max_staleness. */
static unsigned beat_of(const struct coherence *c)
{
    uint64_t beat = c->l1->max_stale_ms / 2;

    return beat > BEAT_MAX_MS ? BEAT_MAX_MS : beat < BEAT_MIN_MS ? BEAT_MIN_MS : (unsigned)beat;
}

/* 1: go on; 0: the cache is being closed. */
static int pause_for(struct coherence *c, unsigned ms)
{
    struct pollfd wake = { .fd = c->wake_fd, .events = POLLIN };

    poll(&wake, 1, (int)ms);
    return !load_acquire(&c->stop);
}

/* One reading. OK, MISS (more at once), or why the connection is of no more use. */
static int listen_once(struct coherence *c, struct connection *connection, struct request *request, unsigned beat_ms)
{
    struct mirror m;
    struct log_page page;
    struct replies replies;
    uint64_t asked_ms, answered_ms;
    int result;

    mirror_read(c, &m);
    replies_init(&replies, c->allocator);
    request_clear(request);
    result = l2_log_request(c->l2, request, m.applied, LOG_PAGE, beat_ms);
    asked_ms = l1_now(c->l1);
    if (result == LIBCACHE_OK)
        result = connection_exchange(connection, request, &replies, deadline_after_ms(beat_ms + CONNECT_MS), c->wake_fd);
    answered_ms = l1_now(c->l1);
    if (result == LIBCACHE_MISS)
        result = LIBCACHE_EUNAVAILABLE; /* woken */
    if (result == LIBCACHE_OK)
        result = l2_log_page(c->l2, &replies, answered_ms, &page);
    if (result == LIBCACHE_OK) {
        /* No records: there were none for a whole beat after it was asked, or until now by a slower clock of ours. */
        uint64_t heard_ms = page.n ? asked_ms : asked_ms + beat_ms < answered_ms ? asked_ms + beat_ms : answered_ms;
        result = coherence_apply(c, &m, &page, LOG_PAGE, asked_ms, heard_ms, deadline_after_ms(CONNECT_MS));
        coherence_keep_small(c, &page, deadline_after_ms(CONNECT_MS));
    }
    replies_free(&replies);
    return result == LIBCACHE_EBUSY ? LIBCACHE_MISS : result;
}

/* Listens until the connection fails or the cache is closed. 1: something was heard. */
static int listen_on(struct coherence *c, struct connection *connection)
{
    struct request request;
    int result = LIBCACHE_OK, heard = 0;

    request_init(&request, c->allocator);
    while (!load_acquire(&c->stop) && (result == LIBCACHE_OK || result == LIBCACHE_MISS)) {
        result = listen_once(c, connection, &request, beat_of(c));
        if (result == LIBCACHE_OK) {
            heard = 1;
            owed_pay(c, deadline_after_ms(c->timeout_ms));
        }
    }
    request_free(&request);
    return heard;
}

/* With the lock: connects and listens, again and again. */
static void be_the_listener(struct coherence *c)
{
    unsigned pause_ms = PAUSE_FIRST_MS;

    store_relaxed(&c->listening, 1);
    do {
        struct connection *connection = NULL;
        if (transport_connect(l2_transport(c->l2), &connection, &c->heard_fd, deadline_after_ms(CONNECT_MS), c->wake_fd) == LIBCACHE_OK) {
            owed_pay(c, deadline_after_ms(c->timeout_ms)); /* at once: the first reading may wait for a beat */
            if (listen_on(c, connection))
                pause_ms = PAUSE_FIRST_MS;
            connection_close(connection);
        }
        if (load_acquire(&c->stop))
            break;
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    } while (pause_for(c, pause_ms / 2 + (unsigned)(c->random(c->random_arg) % (pause_ms / 2 + 1))));
    store_relaxed(&c->listening, 0);
}

static void *run(void *arg)
{
    struct coherence *c = arg;

    do {
        int died = 0;
        if (lock_take(&c->upper->listening, 0, &died) == LIBCACHE_OK) {
            be_the_listener(c);
            lock_give(&c->upper->listening);
        }
    } while (!load_acquire(&c->stop) && pause_for(c, beat_of(c)));
    return NULL;
}

int listener_start(struct coherence *c, libcache_error *error)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int failed;

    c->stop = 0;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake_fd < 0)
        return error_set(error, LIBCACHE_ESYSTEM, "eventfd: %m");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    failed = pthread_create(&c->thread, &attributes, run, c);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        errno = failed;
        error_set(error, LIBCACHE_ESYSTEM, "pthread_create: %m");
        close(c->wake_fd);
        c->wake_fd = -1;
        return LIBCACHE_ESYSTEM;
    }
    pthread_setname_np(c->thread, "libcache");
    c->has_thread = 1;
    return LIBCACHE_OK;
}

void listener_stop(struct coherence *c)
{
    uint64_t one = 1;

    if (c->has_thread) {
        store_release(&c->stop, 1);
        if (write(c->wake_fd, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN)
            pthread_join(c->thread, NULL);
    }
    listener_forget(c);
}

void listener_forget(struct coherence *c)
{
    if (c->heard_fd >= 0)
        close(c->heard_fd); /* in a child: its parent's thread goes on with it */
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    c->heard_fd = c->wake_fd = -1;
    c->has_thread = 0;
    store_relaxed(&c->listening, 0);
}
