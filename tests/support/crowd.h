/*
 * What the tests of warming up share: a loader that counts how many of it run at once and may wait for the others. SPDX-License-Identifier: MIT
 *
 *     struct crowd crowd = { .during = crowd_meet, .wanted = 3 };
 *
 *     ck_result(crowd_warm(&crowd, rig.ns, LETTERS, 2, 3, crowd_told), LIBCACHE_OK);
 *     ck_assert_uint_eq(crowd.most, 3);
 *     ck_each_once(&crowd, rig.ns);
 */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H
#include "support/loads.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

#define GET(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define SET(word, to) __atomic_store_n(&(word), (to), __ATOMIC_RELEASE)
#define ADD(word) __atomic_add_fetch(&(word), 1, __ATOMIC_ACQ_REL)

/* The loader's argument, and progress's. What loaders change is atomic. */
struct crowd {
    struct source source; /* first: it is what `release` gets */
    void (*during)(struct crowd *crowd, const libcache_slice *keys);
    unsigned inside, most; /* loaders at once: now, ever */
    unsigned times[26];    /* that each letter was asked for */
    unsigned in_vain;      /* waits */
    unsigned wanted;       /* loaders at once that each waits for, until they have been there */
    int met, stopping, forked, forks_caller;
    pthread_t caller;
    long caller_id;
    pid_t parent;
    int status; /* of the forked child */
    size_t told, tells, stop_at;
};

/* In loaders, which may run in any thread: a condition that does not come to hold is noted. */
#define await(crowd, condition)                              \
    do {                                                     \
        uint64_t last_ = real_ms() + 20000;                  \
        int holds_;                                          \
        while (!(holds_ = (condition)) && real_ms() < last_) \
            nap();                                           \
        if (!holds_)                                         \
            ADD((crowd)->in_vain);                           \
    } while (0)

/* Warms up keys of one letter each; '-': a key that is not allowed. The loader gives "v", unless the source says otherwise. */
int crowd_warm(struct crowd *crowd, libcache_ns *ns, const char *letters, size_t batch, size_t concurrency,
               int (*progress)(void *arg, size_t done, size_t n));

/* A progress: fails the test if it is called in another thread than the caller's, or goes back. Stops at the stop_at-th time. */
int crowd_told(void *crowd, size_t done, size_t n);

/* A `during`: the first `wanted` loaders wait for each other. */
void crowd_meet(struct crowd *crowd, const libcache_slice *keys);

/* Fails the test unless each of LETTERS was loaded once, all are there, all memory was released, and nobody waited in vain. */
void ck_each_once(struct crowd *crowd, libcache_ns *ns);

#endif
