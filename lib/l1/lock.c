/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include "l1/lock.h"

#include "base/platform.h"
#include "libcache.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* ThreadSanitizer knows the older call only, which waits by a clock that may be set. */
#if PLATFORM_TSAN
#define WAIT_CLOCK CLOCK_REALTIME
#define lock_until(lock, until) pthread_mutex_timedlock(lock, until)
#else
#define WAIT_CLOCK CLOCK_MONOTONIC
#define lock_until(lock, until) pthread_mutex_clocklock(lock, WAIT_CLOCK, until)
#endif

#define SPIN_PAUSES_MAX 128 /* of the last wait; all of them are twice that */
#define NAP_MS 5

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

/*
 * Who sleeps for a lock is woken tens of microseconds later, and costs the holder a system call. Most are held for less than
 * two, so it is worth looking again for about as long, ever more rarely.
 */
static int try_for_a_while(pthread_mutex_t *lock)
{
    int result = EBUSY;

    for (unsigned pauses = 4; pauses <= SPIN_PAUSES_MAX && result == EBUSY; pauses *= 2) {
        for (unsigned i = 0; i < pauses; i++)
            cpu_pause();
        result = pthread_mutex_trylock(lock);
    }
    return result;
}

/* So long from now. */
static struct timespec later(unsigned ms)
{
    struct timespec at;

    clock_gettime(WAIT_CLOCK, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/*
 * Asleep, NAP_MS at a time. Who is woken and killed before he has the lock has taken the news with him: if meanwhile somebody else got
 * the lock, who knows of nobody that sleeps, then nobody is woken when it is given back. So sleepers look for themselves now and then.
 */
static int wait_asleep(pthread_mutex_t *lock, unsigned wait_ms)
{
    int result = ETIMEDOUT;

    while (result == ETIMEDOUT && wait_ms) {
        unsigned nap_ms = wait_ms < NAP_MS ? wait_ms : NAP_MS;
        struct timespec until = later(nap_ms);
        result = lock_until(lock, &until);
        wait_ms -= nap_ms;
    }
    return result;
}

int lock_take(pthread_mutex_t *lock, unsigned wait_ms, int *died)
{
    int result = pthread_mutex_trylock(lock);

    if (result == EBUSY && wait_ms)
        result = try_for_a_while(lock);
    if (result == EBUSY && wait_ms)
        result = wait_asleep(lock, wait_ms);
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
