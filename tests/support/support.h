/*
 * What the tests share: a clock that stands still until told, an allocator that counts and fails on order, random
 * numbers that can be had again, and a rig that holds a cache made of these. SPDX-License-Identifier: MIT
 *
 *   LIBCACHE_TEST_SEED   the seed to use again after a failure (every program prints its own)
 *   LIBCACHE_TEST_SCALE  percentage of the iterations to do, 100 by default
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H
#include <check.h>
#include <stddef.h>
#include <stdint.h>

#include "libcache.h"

/* ---- Running ------------------------------------------------------------------------------------------- */

/* Runs the tests of a NULL-terminated list; what main returns. */
int run_tests(const char *suite, const TTest *const *tests);
#define RUN_TESTS(suite, ...) run_tests(suite, (const TTest *const[]){ __VA_ARGS__, NULL })

/* `n` iterations at LIBCACHE_TEST_SCALE percent, at least one. */
unsigned long scaled(unsigned long n);

/* ---- Random numbers -------------------------------------------------------------------------------------- */

uint64_t test_seed(void);

struct dice {
    uint64_t state;
};

/* Dice of this run's seed; `which` makes several that differ. */
struct dice dice_of(uint64_t which);
uint64_t dice_roll(struct dice *dice);
uint64_t dice_below(struct dice *dice, uint64_t n);
int dice_chance(struct dice *dice, unsigned percent);

/* ---- Clock and allocator ----------------------------------------------------------------------------------- */

/* Stands still until it is advanced, from any thread. */
struct fake_clock {
    uint64_t now_ms;
};

uint64_t fake_clock_read(void *clock);
void fake_clock_advance(struct fake_clock *clock, uint64_t ms);

/* Give `allocator` to a cache. */
struct counted_memory {
    libcache_allocator allocator;
    uint64_t calls;   /* of allocate */
    int64_t live;     /* blocks */
    uint64_t fail_at; /* the fail_at-th call from now fails, once; 0: none */
};

void counted_memory_init(struct counted_memory *memory);

/* ---- A cache with all of it injected ---------------------------------------------------------------------- */

struct rig {
    struct fake_clock clock;
    struct counted_memory memory;
    uint64_t random; /* what the injected random function returns */
    libcache_options options;
    libcache *cache;
    libcache_ns *ns; /* "test" */
};

/* Fills rig->options: a private cache of 4 MiB. Change them, then rig_open. */
void rig_prepare(struct rig *rig);
void rig_open(struct rig *rig);

/* Prepares and opens. */
void rig_up(struct rig *rig);

/* Closes, and fails the test if libcache has kept memory. */
void rig_down(struct rig *rig);

libcache_stats rig_stats(const struct rig *rig);

/* ---- Short words -------------------------------------------------------------------------------------------- */

libcache_slice slice_of(const char *text);

/* A result by its name, "LIBCACHE_HIT". */
const char *result_name(int result);

/* Fails the test unless an expression gives the wanted result. */
#define ck_result(expression, wanted)                                                               \
    do {                                                                                            \
        int result_ = (expression), wanted_ = (wanted);                                             \
        ck_assert_msg(result_ == wanted_, "%s gives %s, not %s", #expression, result_name(result_), \
                      result_name(wanted_));                                                        \
    } while (0)

/* set and get of strings, with defaults. */
int put(libcache_ns *ns, const char *key, const char *value);
int put_tagged(libcache_ns *ns, const char *key, const char *value, const char *tag);
int look(libcache_ns *ns, const char *key);

/* Fails the test unless the key is a hit with this value. */
void ck_value(libcache_ns *ns, const char *key, const char *value);

int invalidate_tag(libcache *cache, const char *tag);

/* A segment name that no other test program uses. What is left under such names is removed when the program ends. */
const char *segment_name(const char *what);

/* The file of that segment. */
const char *segment_file(const char *name);

/* Milliseconds of the monotonic clock. */
uint64_t real_ms(void);

/* How many descriptors this process has open; always some more than that, and the same some. */
unsigned open_files(void);

#endif
