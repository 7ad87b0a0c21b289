/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include "l1/lock.h"

#include "libcache.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void lock_make(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;

    memset(lock, 0, sizeof *lock);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int lock_take(pthread_mutex_t *lock, unsigned wait_ms, int *died)
{
    int result = pthread_mutex_trylock(lock);

    if (result == EBUSY && wait_ms) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        result = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);
    }
    if (result == 0)
        return LIBCACHE_OK;
    if (result == EOWNERDEAD) {
        *died = 1;
        pthread_mutex_consistent(lock);
        return LIBCACHE_OK;
    }
    return result == EBUSY || result == ETIMEDOUT ? LIBCACHE_EBUSY : LIBCACHE_ECORRUPT;
}

void lock_give(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
}
