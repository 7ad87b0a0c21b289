/* Lists of requests, and descriptors that wake who polls them. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_PYTHON_QUEUE_H
#define LIBCACHE_PYTHON_QUEUE_H
#include "_core_io.h"

#include <errno.h>
#include <unistd.h>

struct list {
    struct request *first, **end;
};

static inline void list_clear(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static inline void list_add(struct list *list, struct request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static inline struct request *list_take(struct list *list)
{
    struct request *first = list->first;
    list_clear(list);
    return first;
}

static inline void signal_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static inline void drain_fd(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* ---- The thread's side of a port ------------------------------------------------------------------------------------- */

/*
 * Puts what is done, which holds a reference to the port, where the event loop finds it. -1: the loop is gone, the request is the
 * caller's. 1: it is the first, and the loop must be woken: port_wake, which takes a reference that this has made. 0: it is awake.
 */
int port_put(struct port *port, struct request *request);
void port_wake(struct port *port);

#endif
