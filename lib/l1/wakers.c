/*
 * A futex wakes threads; an event loop wants a descriptor. SPDX-License-Identifier: MIT
 *
 * Each handle that asks for one binds a datagram socket to an abstract address made of 128 random bits, and puts them
 * into the segment, beside its pid, in one of 64 places. A flight has a bit for each place; who ends it sends an empty datagram to
 * those whose bit is set. It is a hint and no more: whoever receives one looks at his loads; a lost one (a full
 * queue, a sender killed in between) is made good by looking now and then. So nobody needs to be believed, and an address that
 * somebody guessed does no harm.
 *
 * Places are taken by compare-and-swap of the pid. A dead process's place is taken over; until then its datagrams go nowhere.
 */
#define _GNU_SOURCE
#include "l1/wakers.h"

#include "base/process.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t address_of(struct sockaddr_un *address, const struct waker_place *place)
{
    char *to = address->sun_path;

    *to++ = '\0';
    memcpy(to, "libcache-", 9);
    to += 9;
    for (int i = 0; i < 2; i++)
        for (int shift = 60; shift >= 0; shift -= 4)
            *to++ = "0123456789abcdef"[load_relaxed(&place->id[i]) >> shift & 15];
    return (socklen_t)(to - (char *)address);
}

/* Takes a place of the table. 1; 0: all are taken by the living. */
static int take_place(struct l1 *l1, struct waker *waker)
{
    for (unsigned i = 0; i < WAKERS; i++) {
        struct waker_place *place = &l1->wakers[i];
        uint32_t pid = load_acquire(&place->pid);
        if (pid && process_lives((pid_t)pid, 0))
            continue;
        if (__atomic_compare_exchange_n(&place->pid, &pid, (uint32_t)getpid(), 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            waker->place = i;
            return 1;
        }
    }
    return 0;
}

int waker_open(struct l1 *l1, struct waker *waker, uint64_t random)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct waker_place *place;
    socklen_t size;

    if (waker->fd >= 0 && waker->pid == (int)getpid())
        return LIBCACHE_OK;
    if (waker->fd >= 0)
        close(waker->fd); /* the parent's */
    waker->fd = -1;
    if (!take_place(l1, waker))
        return LIBCACHE_EBUSY;
    place = &l1->wakers[waker->place];
    store_relaxed(&place->id[0], random);
    store_relaxed(&place->id[1], random * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)getpid());
    size = address_of(&address, place);
    waker->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (waker->fd < 0 || bind(waker->fd, (const struct sockaddr *)&address, size) < 0) {
        if (waker->fd >= 0)
            close(waker->fd);
        waker->fd = -1;
        store_release(&place->pid, 0);
        return LIBCACHE_ESYSTEM;
    }
    waker->pid = (int)getpid();
    return LIBCACHE_OK;
}

void waker_close(struct l1 *l1, struct waker *waker)
{
    if (waker->fd < 0)
        return;
    close(waker->fd);
    waker->fd = -1;
    if (waker->pid == (int)getpid())
        store_release(&l1->wakers[waker->place].pid, 0);
}

void waker_drain(const struct waker *waker)
{
    char byte;

    while (waker->fd >= 0 && recv(waker->fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0)
        ;
}

void wakers_wake(const struct l1 *l1, uint64_t places)
{
    int fd = places ? socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;

    if (fd < 0)
        return;
    for (unsigned i = 0; i < WAKERS; i++)
        if (places >> i & 1) {
            struct sockaddr_un address = { .sun_family = AF_UNIX };
            socklen_t size = address_of(&address, &l1->wakers[i]);
            sendto(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
        }
    close(fd);
}
