/*
 * Robust locks in a segment. SPDX-License-Identifier: MIT
 *
 * A lock's owner may be killed at any instruction: the kernel then hands the lock on with EOWNERDEAD and the next owner
 * repairs what it guards (glibc: robust, process-shared mutex). A stopped owner is waited for, for a bounded time.
 * (PTHREAD_MUTEX_ROBUST is an enum: never test for it with #ifdef.)
 */
#ifndef L1_LOCK_H
#define L1_LOCK_H
#include <pthread.h>

/* Makes a lock in memory whose content does not matter. */
void lock_make(pthread_mutex_t *lock);

/* LIBCACHE_OK, LIBCACHE_EBUSY, or LIBCACHE_ECORRUPT; *died is set to 1 when the last owner died holding it. */
int lock_take(pthread_mutex_t *lock, unsigned wait_ms, int *died);

void lock_give(pthread_mutex_t *lock);

#endif
