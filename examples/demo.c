/*
 * The demo, in two acts. SPDX-License-Identifier: MIT
 *
 *   1. Four processes share one cache and replay the requests of a service with many tenants. In the middle, the data
 *      of tenant 7 changes and one call invalidates all that was cached of it. Each worker tells what it saw.
 *   2. Two hosts, each with a cache of its own, and a Redis between them: what a hit costs in which tier, how soon the
 *      one hears what the other has invalidated, and what happens while Redis does not answer.
 *
 *   libcache-demo [TRACE]        TRACE: a file of requests, "key" or "key size" a line, for the first act
 *
 * Exits with 1 if anybody was given an old value that he must not be given any more.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define NAP_NS 500000

uint64_t demo_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void demo_sleep_until(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

void demo_nap(void)
{
    demo_sleep_until(demo_now_ns() + NAP_NS);
}

void demo_stop(const char *what, const char *why)
{
    fprintf(stderr, "libcache-demo: %s: %s\n", what, why);
    exit(2);
}

void *demo_shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        demo_stop("mmap", strerror(errno));
    return memory;
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t demo_roll(struct demo_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double demo_fraction(struct demo_random *random)
{
    return (double)(demo_roll(random) >> 11) / 9007199254740992.0;
}

void demo_make_zipf(double *cumulated, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        cumulated[i] = sum += 1.0 / (double)(i + 1);
    for (size_t i = 0; i < n; i++)
        cumulated[i] /= sum;
}

unsigned demo_zipf(const double *cumulated, size_t n, struct demo_random *random)
{
    double wanted = demo_fraction(random);
    size_t low = 0, high = n - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cumulated[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return (unsigned)low;
}

unsigned demo_bucket(uint64_t ns)
{
    unsigned power, bucket;
    if (ns < 16)
        return (unsigned)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    bucket = (power - 3) * 16 + (unsigned)(ns >> (power - 4) & 15);
    return bucket < DEMO_BUCKETS ? bucket : DEMO_BUCKETS - 1;
}

static uint64_t ns_of_bucket(unsigned bucket)
{
    return bucket < 16 ? bucket : (uint64_t)(16 + bucket % 16) << (bucket / 16 - 1);
}

uint64_t demo_quantile(const uint64_t *histogram, double part)
{
    uint64_t all = 0, so_far = 0;
    for (unsigned i = 0; i < DEMO_BUCKETS; i++)
        all += histogram[i];
    for (unsigned i = 0; i < DEMO_BUCKETS; i++)
        if ((so_far += histogram[i]) > (uint64_t)((double)all * part))
            return ns_of_bucket(i);
    return 0;
}

static char *buffer(void)
{
    static char buffers[16][32];
    static unsigned turn;
    return buffers[turn++ % 16];
}

const char *demo_count(uint64_t n)
{
    char digits[32], *out = buffer();
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *demo_share(uint64_t part, uint64_t whole)
{
    char *out = buffer();
    snprintf(out, 32, whole ? "%.1f %%" : "-", whole ? 100.0 * (double)part / (double)whole : 0);
    return out;
}

const char *demo_span(uint64_t ns)
{
    char *out = buffer();
    if (ns < 1000)
        snprintf(out, 32, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(out, 32, "%.1f us", (double)ns / 1e3);
    else
        snprintf(out, 32, "%.1f ms", (double)ns / 1e6);
    return out;
}

int main(int argc, char **argv)
{
    int failed;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: libcache-demo [TRACE]\n");
        return 2;
    }
    failed = demo_workers(argc == 2 ? argv[1] : NULL);
    failed |= demo_hosts();
    return failed;
}
