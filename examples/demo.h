/* The demo's own tools, and its two acts. SPDX-License-Identifier: MIT */
#ifndef DEMO_H
#define DEMO_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- demo.c: time, chance, words of shared memory, numbers as people read them ---------------------------------- */

uint64_t demo_now_ns(void);
void demo_sleep_until(uint64_t ns);
void demo_nap(void); /* between two looks at something that others do */

/* Ends the program with status 2. */
void demo_stop(const char *what, const char *why) __attribute__((noreturn));

/* All zero, made before the processes that share it. */
void *demo_shared_memory(size_t bytes);

static inline uint64_t demo_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void demo_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

struct demo_random {
    uint64_t state;
};

uint64_t demo_roll(struct demo_random *random);
double demo_fraction(struct demo_random *random); /* 0 to 1 */

/* The n-th of many is asked for as often as 1/n says (Zipf). */
void demo_make_zipf(double *cumulated, size_t n);
unsigned demo_zipf(const double *cumulated, size_t n, struct demo_random *random);

/* A histogram of nanoseconds: 16 buckets for each power of two. */
enum { DEMO_BUCKETS = 512 };
unsigned demo_bucket(uint64_t ns);
uint64_t demo_quantile(const uint64_t *histogram, double part); /* that this share stayed below */

/* Each of these writes into one of some buffers that take turns. */
const char *demo_count(uint64_t n);                    /* 1,234,567 */
const char *demo_share(uint64_t part, uint64_t whole); /* 12.3 % */
const char *demo_span(uint64_t ns);                    /* 45.6 us */

/* ---- The acts. 0; 1: somebody was given a value that he must not be given any more ------------------------------- */

int demo_workers(const char *trace); /* demo_workers.c. trace: a file of requests; NULL: made-up ones */
int demo_hosts(void);                /* demo_hosts.c */

/* ---- demo_redis.c: a redis-server of our own --------------------------------------------------------------------- */

struct demo_redis {
    pid_t pid;
    char directory[64], url[128];
};

/* On a unix socket in a new directory; keeps nothing on disk; dies with us. 1; 0: there is no redis-server. */
int demo_redis_start(struct demo_redis *redis);
void demo_redis_signal(const struct demo_redis *redis, int signal);
void demo_redis_end(struct demo_redis *redis);

#endif
