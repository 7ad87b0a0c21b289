/*
 * A program of a host, as the tests of the command-line tool need one: opens a cache and does what standard input says, a
 * command a line, each answered by a line. SPDX-License-Identifier: MIT
 *
 *     tool-host [--memory BYTES] [--redis URL] [--prefix PREFIX] [--log-length N] [--thread] NAME
 *
 *     set NS FIRST COUNT SIZE [TAG]     COUNT keys k<FIRST>, k<FIRST+1> ... with values of SIZE bytes
 *     get NS FIRST COUNT                "FOUND MISSED"
 *     invalidate TAG        delete NS FIRST COUNT        negative NS KEY       increment NS KEY
 *     load NS KEY MS        a load that takes so long (the clock is the real one)
 *     fenced NS KEY TAG     a load that is overtaken: a stamp, an invalidation of the tag, a set with tag and stamp
 *     poll                  reads the log
 *     busy SECONDS NS       gets and sets for so long; "GETS HITS SETS"
 *     traffic NS KEYS COUNT SIZE SEED   COUNT gets of skewed keys, each with a set where it missed, values of SIZE / 2 to
 *                           SIZE * 3 / 2 bytes; "GETS HITS"
 *     quit
 */
#include <libcache.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static libcache *cache;
static char value[1 << 20];

static libcache_ns *open_ns(const char *name)
{
    libcache_ns *ns;
    libcache_error error;

    if (libcache_open_namespace(&ns, cache, name, NULL, &error) != LIBCACHE_OK) {
        printf("error %s\n", error.text);
        exit(1);
    }
    return ns;
}

static int set_keys(const char *name, int first, int count, size_t size, const char *tag)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags = { tag, strlen(tag) };
    libcache_ns *ns = open_ns(name);
    char key[40];
    int result = LIBCACHE_OK;

    options.tags = &tags;
    options.n_tags = *tag ? 1 : 0;
    for (int i = first; i < first + count && result == LIBCACHE_OK; i++) {
        int length = snprintf(key, sizeof key, "k%d", i);
        result = libcache_set(ns, key, (size_t)length, value, size, &options);
    }
    return result;
}

static void get_keys(const char *name, int first, int count, int *found, int *missed)
{
    libcache_value out = LIBCACHE_VALUE_INIT;
    libcache_ns *ns = open_ns(name);
    char key[40];

    *found = *missed = 0;
    for (int i = first; i < first + count; i++) {
        int length = snprintf(key, sizeof key, "k%d", i);
        if (libcache_get(ns, key, (size_t)length, &out, 0) == LIBCACHE_HIT)
            ++*found;
        else
            ++*missed;
    }
    libcache_release_value(&out);
}

static int delete_keys(const char *name, int first, int count)
{
    libcache_ns *ns = open_ns(name);
    char key[40];
    int result = LIBCACHE_OK;

    for (int i = first; i < first + count && result >= 0; i++) {
        int length = snprintf(key, sizeof key, "k%d", i);
        result = libcache_delete(ns, key, (size_t)length, 0);
    }
    return result;
}

static int fenced(const char *name, const char *key, const char *tag)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags = { tag, strlen(tag) };
    libcache_ns *ns = open_ns(name);
    libcache_stamp stamp;

    libcache_take_stamp(ns, key, strlen(key), &stamp);
    libcache_invalidate_tags(cache, &tags, 1, 0);
    options.stamp = &stamp;
    options.tags = &tags;
    options.n_tags = 1;
    return libcache_set(ns, key, strlen(key), "old", 3, &options);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void busy(double for_s, const char *name)
{
    libcache_value out = LIBCACHE_VALUE_INIT;
    libcache_ns *ns = open_ns(name);
    double until = seconds() + for_s;
    unsigned long gets = 0, hits = 0, sets = 0;
    char key[40];

    while (seconds() < until) {
        for (int i = 0; i < 100; i++, gets++) {
            int length = snprintf(key, sizeof key, "k%lu", gets % 2000);
            if (libcache_get(ns, key, (size_t)length, &out, 0) == LIBCACHE_HIT) {
                hits++;
            } else if (gets % 2000 < 1500) { /* a fourth of the keys is never there */
                libcache_set(ns, key, (size_t)length, value, 100, NULL);
                sets++;
            }
        }
        usleep(500);
    }
    libcache_release_value(&out);
    printf("%lu %lu %lu\n", gets, hits, sets);
}

static double random_unit(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 33) / 2147483648.0;
}

static void traffic(const char *name, int keys, int count, size_t size, uint64_t seed)
{
    libcache_value out = LIBCACHE_VALUE_INIT;
    libcache_ns *ns = open_ns(name);
    int hits = 0;
    char key[40];

    for (int i = 0; i < count; i++) {
        double u = random_unit(&seed);
        int k = (int)(u * u * u * keys), length = snprintf(key, sizeof key, "user:%d:profile", k);
        if (libcache_get(ns, key, (size_t)length, &out, 0) == LIBCACHE_HIT)
            hits++;
        else
            libcache_set(ns, key, (size_t)length, value, size / 2 + (size_t)k * 7919 % size, NULL);
        if (i % 128 == 127)
            usleep(1000);
    }
    libcache_release_value(&out);
    printf("%d %d\n", count, hits);
}

static void answer(int result)
{
    printf("%s\n", result >= 0 ? "ok" : libcache_describe(result));
}

static void obey(const char *line)
{
    char name[100], text[100], tag[100] = "";
    libcache_value out = LIBCACHE_VALUE_INIT;
    int first, count, size, found, missed;
    double for_s;

    if (sscanf(line, "set %99s %d %d %d %99s", name, &first, &count, &size, tag) >= 4) {
        answer(set_keys(name, first, count, (size_t)size, tag));
    } else if (sscanf(line, "get %99s %d %d", name, &first, &count) == 3) {
        get_keys(name, first, count, &found, &missed);
        printf("%d %d\n", found, missed);
    } else if (sscanf(line, "delete %99s %d %d", name, &first, &count) == 3) {
        answer(delete_keys(name, first, count));
    } else if (sscanf(line, "invalidate %99s", tag) == 1) {
        libcache_slice slice = { tag, strlen(tag) };
        answer(libcache_invalidate_tags(cache, &slice, 1, 0));
    } else if (sscanf(line, "negative %99s %99s", name, text) == 2) {
        libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
        options.flags = LIBCACHE_NEG;
        answer(libcache_set(open_ns(name), text, strlen(text), "", 0, &options));
    } else if (sscanf(line, "increment %99s %99s", name, text) == 2) {
        answer(libcache_increment(open_ns(name), text, strlen(text), 41, NULL, NULL));
    } else if (sscanf(line, "fenced %99s %99s %99s", name, text, tag) == 3) {
        printf("%s\n", fenced(name, text, tag) == LIBCACHE_FENCED ? "fenced" : "stored");
    } else if (sscanf(line, "load %99s %99s %d", name, text, &size) == 3) {
        libcache_load *load;
        if (libcache_load_begin(&load, open_ns(name), text, strlen(text), &out, NULL) == LIBCACHE_LEAD) {
            usleep((unsigned)size * 1000);
            answer(libcache_load_commit(load, "loaded", 6, NULL));
        } else {
            puts("not the leader");
        }
    } else if (sscanf(line, "busy %lf %99s", &for_s, name) == 2) {
        busy(for_s, name);
    } else if (sscanf(line, "traffic %99s %d %d %d %d", name, &first, &count, &size, &missed) == 5) {
        traffic(name, first, count, (size_t)size, (uint64_t)missed);
    } else if (strcmp(line, "poll\n") == 0) {
        answer(libcache_poll(cache, 1000));
    } else {
        printf("what is this? %s", line);
    }
    libcache_release_value(&out);
}

int main(int argc, char **argv)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    char line[400];
    int i = 1;

    for (; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--thread") == 0)
            options.listener = LIBCACHE_LISTEN_IN_THREAD;
        else if (strcmp(argv[i], "--memory") == 0)
            options.memory_bytes = (size_t)strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--redis") == 0)
            options.redis_url = argv[++i];
        else if (strcmp(argv[i], "--prefix") == 0)
            options.redis_prefix = argv[++i];
        else if (strcmp(argv[i], "--log-length") == 0)
            options.log_length = (unsigned)strtoul(argv[++i], NULL, 10);
    }
    if (i >= argc)
        return 2;
    options.segment = LIBCACHE_NAMED;
    options.name = argv[i];
    memset(value, 'v', sizeof value);
    if (libcache_open(&cache, &options, &error) != LIBCACHE_OK) {
        printf("error %s\n", error.text);
        return 1;
    }
    puts("open");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n") != 0) {
        obey(line);
        fflush(stdout);
    }
    libcache_close(cache);
    return 0;
}
