/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Running ------------------------------------------------------------------------------------------- */

static long runner_pid; /* of the program; Check runs each test in a process of its own */

/* What tests that failed have left in /dev/shm. */
static void remove_segments(void)
{
    char pattern[300];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s*", segment_file(segment_name("")));
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
        globfree(&found);
    }
}

int run_tests(const char *suite_name, const TTest *const *tests)
{
    Suite *suite = suite_create(suite_name);
    TCase *all = tcase_create(suite_name);
    SRunner *runner;
    int failed;

    runner_pid = (long)getpid();
    printf("%s: LIBCACHE_TEST_SEED=%" PRIu64 "\n", suite_name, test_seed());
    fflush(stdout);
    if (!getenv("CK_DEFAULT_TIMEOUT"))
        tcase_set_timeout(all, 60); /* Check's 4 s are nothing on a machine that is shared */
    for (; *tests; tests++)
        tcase_add_test(all, *tests);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    remove_segments();
    if (failed)
        printf("%s: repeat with LIBCACHE_TEST_SEED=%" PRIu64 "\n", suite_name, test_seed());
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static uint64_t number_from(const char *variable, uint64_t fallback)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : fallback;
}

unsigned long scaled(unsigned long n)
{
    unsigned long share = (unsigned long)(n * number_from("LIBCACHE_TEST_SCALE", 100) / 100);
    return share ? share : 1;
}

/* ---- Random numbers -------------------------------------------------------------------------------------- */

uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t test_seed(void)
{
    static uint64_t seed; /* set before the first thread or fork: run_tests prints it */
    if (!seed)
        seed = number_from("LIBCACHE_TEST_SEED", (real_ms() * 1000003 + (uint64_t)getpid()) % 1000000000 + 1);
    return seed;
}

struct dice dice_of(uint64_t which)
{
    struct dice dice = { test_seed() + which * UINT64_C(0x632be59bd9b4e019) };
    return dice;
}

/* splitmix64 */
uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t dice_below(struct dice *dice, uint64_t n)
{
    return dice_roll(dice) % n;
}

int dice_chance(struct dice *dice, unsigned percent)
{
    return dice_below(dice, 100) < percent;
}

/* ---- Clock and allocator ----------------------------------------------------------------------------------- */

uint64_t fake_clock_read(void *clock)
{
    return __atomic_load_n(&((struct fake_clock *)clock)->now_ms, __ATOMIC_RELAXED);
}

void fake_clock_advance(struct fake_clock *clock, uint64_t ms)
{
    __atomic_fetch_add(&clock->now_ms, ms, __ATOMIC_RELAXED);
}

static void *counted_allocate(void *arg, size_t bytes)
{
    struct counted_memory *memory = arg;
    void *block;

    __atomic_fetch_add(&memory->calls, 1, __ATOMIC_RELAXED);
    if (memory->fail_at && --memory->fail_at == 0)
        return NULL;
    block = malloc(bytes);
    if (block)
        __atomic_fetch_add(&memory->live, 1, __ATOMIC_RELAXED);
    return block;
}

static void counted_release(void *arg, void *block)
{
    struct counted_memory *memory = arg;

    ck_assert_msg(block != NULL, "release was called with NULL");
    __atomic_fetch_sub(&memory->live, 1, __ATOMIC_RELAXED);
    free(block);
}

void counted_memory_init(struct counted_memory *memory)
{
    memset(memory, 0, sizeof *memory);
    memory->allocator.allocate = counted_allocate;
    memory->allocator.release = counted_release;
    memory->allocator.arg = memory;
}

/* ---- Rig ------------------------------------------------------------------------------------------------------ */

static uint64_t rig_random(void *arg)
{
    return ((struct rig *)arg)->random;
}

void rig_prepare(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->clock.now_ms = 1000000;
    counted_memory_init(&rig->memory);
    rig->options = (libcache_options)LIBCACHE_OPTIONS_INIT;
    rig->options.memory_bytes = 4 << 20;
    rig->options.allocator = &rig->memory.allocator;
    rig->options.clock_ms = fake_clock_read;
    rig->options.clock_arg = &rig->clock;
    rig->options.random = rig_random;
    rig->options.random_arg = rig;
}

void rig_open(struct rig *rig)
{
    libcache_error error = { 0 };
    int result = libcache_open(&rig->cache, &rig->options, &error);

    ck_assert_msg(result == LIBCACHE_OK, "libcache_open: %s: %s", result_name(result), error.text);
    result = libcache_open_namespace(&rig->ns, rig->cache, "test", NULL, &error);
    ck_assert_msg(result == LIBCACHE_OK, "libcache_open_namespace: %s: %s", result_name(result), error.text);
}

void rig_up(struct rig *rig)
{
    rig_prepare(rig);
    rig_open(rig);
}

void rig_down(struct rig *rig)
{
    libcache_close(rig->cache);
    ck_assert_msg(rig->memory.live == 0, "%" PRId64 " blocks of memory are left after libcache_close",
                  rig->memory.live);
}

libcache_stats rig_stats(const struct rig *rig)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    ck_result(libcache_read_stats(rig->cache, &stats), LIBCACHE_OK);
    return stats;
}

/* ---- Short words -------------------------------------------------------------------------------------------- */

libcache_slice slice_of(const char *text)
{
    libcache_slice slice = { text, strlen(text) };
    return slice;
}

const char *result_name(int result)
{
    static const char *const positive[] = { "OK",     "HIT",    "STALE", "NEGATIVE", "MISS",
                                            "EXISTS", "FENCED", "LEAD",  "WAIT",     "BYPASS" };
    static const char *const negative[] = { "OK",       "EINVAL",      "ENOMEM",        "EKEY",      "ETAG",
                                            "ETOOBIG",  "EPOLICY",     "ENAME",         "ENUMBER",   "EOVERFLOW",
                                            "EBUSY",    "EACCESS",     "EINCOMPATIBLE", "ENOTFOUND", "ESYSTEM",
                                            "ECORRUPT", "EUNSUPPORTED", "EUNAVAILABLE", "ETIMEDOUT", "EREMOTE",
                                            "EDENIED",  "EPROTOCOL",   "ELOAD",         "ELOST" };
    if (result >= 0 && (size_t)result < sizeof positive / sizeof *positive)
        return positive[result];
    if (result < 0 && (size_t) - (long)result < sizeof negative / sizeof *negative)
        return negative[-result];
    return "no result of libcache";
}

int put(libcache_ns *ns, const char *key, const char *value)
{
    return libcache_set(ns, key, strlen(key), value, strlen(value), NULL);
}

int put_tagged(libcache_ns *ns, const char *key, const char *value, const char *tag)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[1] = { slice_of(tag) };

    options.tags = tags;
    options.n_tags = 1;
    return libcache_set(ns, key, strlen(key), value, strlen(value), &options);
}

int look(libcache_ns *ns, const char *key)
{
    return libcache_exists(ns, key, strlen(key), 0);
}

void ck_value(libcache_ns *ns, const char *key, const char *wanted)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, 0);

    ck_assert_msg(result == LIBCACHE_HIT, "get of \"%s\" gives %s, not a hit with \"%s\"", key, result_name(result),
                  wanted);
    ck_assert_msg(value.size == strlen(wanted) && (value.size == 0 || memcmp(value.data, wanted, value.size) == 0),
                  "\"%s\" is \"%.*s\", not \"%s\"", key, (int)value.size, (const char *)value.data, wanted);
    libcache_release_value(&value);
}

int invalidate_tag(libcache *cache, const char *tag)
{
    libcache_slice slice = slice_of(tag);
    return libcache_invalidate_tags(cache, &slice, 1, 0);
}

const char *segment_name(const char *what)
{
    static char names[4][65]; /* by turns, so that a test may speak of several */
    static unsigned turn;
    char *name = names[turn++ % 4];
    snprintf(name, sizeof names[0], "test-%ld-%s", runner_pid, what);
    return name;
}

const char *segment_file(const char *name)
{
    static char file[256];
    snprintf(file, sizeof file, "/dev/shm/libcache-%lu-%s", (unsigned long)geteuid(), name);
    return file;
}

unsigned open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}
