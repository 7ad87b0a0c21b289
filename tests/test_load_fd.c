/* Event loops that wait for another's load: told by a descriptor. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcache.h"
#include "support/support.h"

static libcache *cache;
static libcache_ns *ns;
static libcache_load_options no_block = LIBCACHE_LOAD_OPTIONS_INIT;

static void up(void)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    options.segment = LIBCACHE_SHARED;
    options.memory_bytes = 4 << 20;
    ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, cache, "test", NULL, NULL), LIBCACHE_OK);
    no_block.flags = LIBCACHE_NO_BLOCK;
}

/* 1: it is readable within so many ms. */
static int readable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) == 1;
}

static libcache_load *lead(const char *key)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;

    ck_result(libcache_load_begin(&load, ns, key, strlen(key), &value, NULL), LIBCACHE_LEAD);
    return load;
}

static libcache_load *wait_for(const char *key, libcache_value *value)
{
    libcache_load *load = NULL;

    ck_result(libcache_load_begin(&load, ns, key, strlen(key), value, &no_block), LIBCACHE_WAIT);
    return load;
}

START_TEST(a_load_that_ends_makes_the_descriptor_readable)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *leads, *waits;
    int fd;

    up();
    fd = libcache_load_fd(cache);
    ck_assert_msg(fd >= 0, "%s", libcache_describe(fd));
    ck_assert_int_eq(libcache_load_fd(cache), fd);
    ck_assert_msg(fcntl(fd, F_GETFD) & FD_CLOEXEC, "the descriptor would survive exec");
    leads = lead("key");
    waits = wait_for("key", &value);
    ck_assert_msg(!readable(fd, 0), "readable before anything has ended");
    ck_result(libcache_load_wait(&waits, &value, 0), LIBCACHE_WAIT);
    ck_result(libcache_load_commit(leads, "value", 5, NULL), LIBCACHE_OK);
    ck_assert_msg(readable(fd, 5000), "nobody was told");
    libcache_load_drain(cache);
    ck_assert_msg(!readable(fd, 0), "still readable after it was drained");
    ck_result(libcache_load_wait(&waits, &value, 0), LIBCACHE_HIT);
    ck_assert_ptr_null(waits);
    ck_assert_mem_eq(value.data, "value", 5);
    libcache_release_value(&value);
    libcache_close(cache);
}
END_TEST

START_TEST(a_load_in_another_process_does_too)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *waits;
    int to_child[2], to_parent[2], fd, status;
    char byte;
    pid_t child;

    up();
    ck_assert(pipe2(to_child, O_CLOEXEC) == 0 && pipe2(to_parent, O_CLOEXEC) == 0);
    child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        libcache_load *leads = NULL;
        if (libcache_load_begin(&leads, ns, "key", 3, &value, NULL) != LIBCACHE_LEAD || write(to_parent[1], "", 1) != 1 ||
            read(to_child[0], &byte, 1) != 1)
            _exit(1);
        _exit(libcache_load_commit(leads, "value", 5, NULL) != LIBCACHE_OK);
    }
    fd = libcache_load_fd(cache);
    ck_assert(fd >= 0);
    ck_assert(read(to_parent[0], &byte, 1) == 1); /* the child leads */
    waits = wait_for("key", &value);
    ck_assert(write(to_child[1], "", 1) == 1);
    ck_assert_msg(readable(fd, 5000), "nobody was told");
    ck_result(libcache_load_wait(&waits, &value, 0), LIBCACHE_HIT);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    libcache_release_value(&value);
    libcache_close(cache);
}
END_TEST

START_TEST(a_forked_child_gets_a_descriptor_of_its_own)
{
    int fd, status;
    pid_t child;

    up();
    fd = libcache_load_fd(cache);
    ck_assert(fd >= 0);
    child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        int own = libcache_load_fd(cache);
        libcache_load *leads = NULL, *waits = NULL;
        int good = own >= 0 && libcache_load_begin(&leads, ns, "key", 3, &value, NULL) == LIBCACHE_LEAD &&
                   libcache_load_begin(&waits, ns, "key", 3, &value, &no_block) == LIBCACHE_WAIT &&
                   libcache_load_commit(leads, "value", 5, NULL) == LIBCACHE_OK && readable(own, 5000) &&
                   libcache_load_wait(&waits, &value, 0) == LIBCACHE_HIT;
        libcache_close(cache);
        _exit(!good);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_msg(!readable(fd, 0), "what was for the child came to the parent");
    libcache_close(cache);
}
END_TEST

START_TEST(places_of_closed_handles_are_used_again)
{
    up();
    for (int i = 0; i < 200; i++) {
        libcache_options options = LIBCACHE_OPTIONS_INIT;
        libcache *other;
        options.memory_bytes = 256 << 10;
        ck_result(libcache_open(&other, &options, NULL), LIBCACHE_OK);
        ck_assert(libcache_load_fd(other) >= 0);
        libcache_close(other);
        ck_assert(libcache_load_fd(cache) >= 0);
    }
    for (int i = 0; i < 100; i++) { /* each child takes a place and dies with it */
        int status;
        pid_t child = fork();
        ck_assert(child >= 0);
        if (child == 0)
            _exit(libcache_load_fd(cache) < 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(status == 0, "no place for child %d", i);
    }
    ck_result(libcache_load_fd(NULL), LIBCACHE_EINVAL);
    libcache_load_drain(NULL);
    libcache_close(cache);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_fd", a_load_that_ends_makes_the_descriptor_readable, a_load_in_another_process_does_too,
                     a_forked_child_gets_a_descriptor_of_its_own, places_of_closed_handles_are_used_again);
}
