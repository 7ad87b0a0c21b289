/* Waking event loops of other processes when a load has ended. SPDX-License-Identifier: MIT */
#ifndef L1_WAKERS_H
#define L1_WAKERS_H
#include "l1/l1.h"

#define WAKERS WAKER_PLACES /* event loops of a segment that can be woken: a bit each in a flight */

/* Of one handle. */
struct waker {
    int fd;         /* readable when something has ended; -1: none yet */
    int pid;        /* of the process that made it */
    unsigned place; /* in the segment's table */
};

/* Makes the socket, if it is not there or is another process's. OK, EBUSY (all places are taken) or ESYSTEM. */
int waker_open(struct l1 *l1, struct waker *waker, uint64_t random);
void waker_close(struct l1 *l1, struct waker *waker);

/* Takes what has come, so that the descriptor is not readable any more. */
void waker_drain(const struct waker *waker);

/* Wakes those whose bits are set. */
void wakers_wake(const struct l1 *l1, uint64_t places);

#endif
