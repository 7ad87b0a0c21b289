/* Where what is done is put for event loops: ports; and memory of values. Knows nothing of Python. SPDX-License-Identifier: MIT */
#include "_core_queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

/* ---- Values -------------------------------------------------------------------------------------------------------- */

static void *value_reserve(libcache_value *value, size_t size)
{
    if (value->data && value->capacity >= size)
        return value->data;
    free(value->data);
    value->data = malloc(size ? size : 1);
    return value->data;
}

void value_start(libcache_value *value)
{
    memset(value, 0, sizeof *value);
    value->reserve = value_reserve;
}

void value_end(libcache_value *value)
{
    free(value->data);
    value->data = NULL;
    value->size = value->capacity = 0;
}

/* ---- Ports -------------------------------------------------------------------------------------------------------- */

struct port {
    pthread_mutex_t lock; /* guards done and closed */
    struct list done;
    int closed;
    int fd;
    pid_t pid;
    unsigned references; /* atomic */
};

struct port *port_open(void)
{
    struct port *port = calloc(1, sizeof *port);

    if (!port)
        return NULL;
    port->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->fd < 0) {
        free(port);
        return NULL;
    }
    pthread_mutex_init(&port->lock, NULL);
    list_clear(&port->done);
    port->pid = getpid();
    port->references = 1;
    return port;
}

int port_is_mine(const struct port *port)
{
    return port->pid == getpid();
}

/* Its lock may be held by a thread that is not there; what lies in it, and what its descriptor says, are for the parent. */
void port_leave(struct port *port)
{
    close(port->fd);
    port->fd = -1;
}

void port_hold(struct port *port)
{
    __atomic_fetch_add(&port->references, 1, __ATOMIC_RELAXED);
}

void port_drop(struct port *port)
{
    if (__atomic_sub_fetch(&port->references, 1, __ATOMIC_ACQ_REL))
        return;
    if (port->fd >= 0)
        close(port->fd);
    pthread_mutex_destroy(&port->lock);
    free(port);
}

int port_fd(const struct port *port)
{
    return port->fd;
}

void port_close(struct port *port)
{
    pthread_mutex_lock(&port->lock);
    port->closed = 1;
    pthread_mutex_unlock(&port->lock);
}

struct request *port_take(struct port *port)
{
    struct request *done;

    drain_fd(port->fd);
    pthread_mutex_lock(&port->lock);
    done = list_take(&port->done);
    pthread_mutex_unlock(&port->lock);
    return done;
}

int port_put(struct port *port, struct request *request)
{
    int closed, first = 0;

    pthread_mutex_lock(&port->lock);
    closed = port->closed;
    if (!closed) {
        first = !port->done.first;
        port_hold(port); /* the request's reference may go as soon as it is seen */
        list_add(&port->done, request);
    }
    pthread_mutex_unlock(&port->lock);
    if (!closed && !first)
        port_drop(port);
    return closed ? -1 : first;
}

void port_wake(struct port *port)
{
    signal_fd(port->fd);
    port_drop(port);
}
