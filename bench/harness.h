/*
 * What every benchmark program needs: time, randomness, large memory, medians, JSON lines. It knows
 * nothing of caches. Whatever fails here ends the program: a benchmark has nobody to report to.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prints "program: message" to stderr and exits with 1. */
void harness_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* CLOCK_MONOTONIC. */
uint64_t harness_now_ns(void);

/*
 * Keeps the calling thread on the index-th of the processors that the process may use; does nothing when
 * there are not so many. Schedulers that pack threads on few processors otherwise do so for as long as a
 * short measurement lasts.
 */
void harness_pin_thread(unsigned index);

/* The next of a stream of 64-bit random numbers (splitmix64). Any state is a fine seed. */
uint64_t harness_random(uint64_t *state);

/* Zeroed memory that asks for huge pages, so that the harness' own tables disturb caches and TLB little. */
void *harness_map(size_t bytes);
void harness_unmap(void *memory, size_t bytes);

/* malloc and realloc that do not fail. */
void *harness_allocate(size_t bytes);
void *harness_reallocate(void *memory, size_t bytes);

/* Sorts the values. n is at least 1. */
double harness_median(double *values, size_t n);

/* What the kernel says of this process' memory. */
typedef struct harness_memory {
    uint64_t rss_bytes;
    uint64_t huge_bytes; /* part of it, in huge pages of any kind */
} harness_memory;

harness_memory harness_read_memory(void);

/* Zipf-distributed ranks by rejection-inversion (Hörmann and Derflinger 1996): exact, no table. */
typedef struct harness_zipf {
    double exponent, low, high, shortcut;
    uint64_t n;
} harness_zipf;

void harness_init_zipf(harness_zipf *zipf, uint64_t n, double exponent);
uint64_t harness_draw_zipf(const harness_zipf *zipf, uint64_t *random_state); /* 0 (hottest) to n - 1 */

/* One JSON object on a line. Start from { .out = stdout }. Numbers that are not finite become null. */
typedef struct harness_json {
    FILE *out;
    unsigned fields;
} harness_json;

void harness_json_string(harness_json *json, const char *name, const char *value);
void harness_json_integer(harness_json *json, const char *name, uint64_t value);
void harness_json_number(harness_json *json, const char *name, double value);
void harness_json_end(harness_json *json);

/* Parses a whole decimal number in [least, most], else dies naming what it was for. */
uint64_t harness_parse_integer(const char *text, const char *what, uint64_t least, uint64_t most);
double harness_parse_number(const char *text, const char *what, double least, double most);

#ifdef __cplusplus
}
#endif
#endif
