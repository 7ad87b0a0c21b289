/*
 * Segments that several processes use: shared with children, or found by name. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "key", 3

/* Prepares a rig for a named segment. */
static void named_rig(struct rig *rig, const char *name)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_NAMED;
    rig->options.name = name;
    rig->options.memory_bytes = 1 << 20;
}

/* Opening with the rig's options gives this code, and the error text has this word. */
static void ck_open(struct rig *rig, int code, const char *word)
{
    libcache_error error = { 0 };
    libcache *cache = NULL;

    ck_result(libcache_open(&cache, &rig->options, &error), code);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.text, word), "\"%s\" does not speak of %s", error.text, word);
    ck_assert_ptr_null(cache);
    ck_assert_int_eq((int)rig->memory.live, 0);
}

/* Attaches with the rig's clock, and so on. */
static libcache *attach(const struct rig *rig, const char *name, libcache_ns **ns)
{
    libcache_error error = { 0 };
    libcache *cache;
    int result = libcache_attach(&cache, name, &rig->options, &error);

    ck_assert_msg(result == LIBCACHE_OK, "libcache_attach: %s: %s", result_name(result), error.text);
    ck_result(libcache_open_namespace(ns, cache, "test", NULL, NULL), LIBCACHE_OK);
    return cache;
}

/* Waits for a child; fails the test unless it ended with 0. */
static void ck_child(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %x", (unsigned)status);
}

static int child_sees(libcache_ns *ns, const char *key, const char *wanted)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int same = libcache_get(ns, key, strlen(key), &value, 0) == LIBCACHE_HIT && value.size == strlen(wanted) &&
               memcmp(value.data, wanted, value.size) == 0;
    libcache_release_value(&value);
    return same;
}

/* ---- Children ----------------------------------------------------------------------------------------------------- */

START_TEST(a_shared_cache_is_one_for_parent_and_child)
{
    struct rig rig;
    pid_t child;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig_open(&rig);
    put(rig.ns, "before", "parent");
    put_tagged(rig.ns, "tagged", "parent", "t");
    put(rig.ns, "deleted", "parent");
    child = fork();
    if (child == 0) {
        int fine = child_sees(rig.ns, "before", "parent") && put(rig.ns, "child", "child") == LIBCACHE_OK &&
                   put(rig.ns, "before", "replaced") == LIBCACHE_OK && invalidate_tag(rig.cache, "t") == LIBCACHE_OK &&
                   libcache_delete(rig.ns, "deleted", 7, 0) == LIBCACHE_OK;
        libcache_close(rig.cache);
        _exit(fine ? 0 : 1);
    }
    ck_child(child);
    ck_value(rig.ns, "child", "child");
    ck_value(rig.ns, "before", "replaced");
    ck_result(look(rig.ns, "tagged"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "deleted"), LIBCACHE_MISS);
    rig_down(&rig);
}
END_TEST

START_TEST(a_private_cache_becomes_the_childs_own)
{
    struct rig rig;
    pid_t child;

    rig_up(&rig);
    put(rig.ns, "key", "parent");
    child = fork();
    if (child == 0) {
        int fine = child_sees(rig.ns, "key", "parent") && put(rig.ns, "key", "child") == LIBCACHE_OK &&
                   child_sees(rig.ns, "key", "child") && libcache_invalidate_all(rig.cache, 0) == LIBCACHE_OK;
        libcache_close(rig.cache);
        _exit(fine ? 0 : 1);
    }
    ck_child(child);
    ck_value(rig.ns, "key", "parent");
    rig_down(&rig);
}
END_TEST

/*
 * A writer that is stopped in the middle of a write holds up writers, but only for lock_wait_ms, and readers not at all.
 * Killed there, it holds up nobody.
 */
START_TEST(a_stopped_writer_holds_up_writers_for_a_while_and_readers_not_at_all)
{
    struct rig rig;
    static char large[30000];
    struct dice dice = dice_of(5);
    unsigned long tries;
    int caught = 0, status;
    pid_t child;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig.options.stripes = 1;
    rig.options.lock_wait_ms = 50;
    rig_open(&rig);
    put(rig.ns, "key", "value");
    child = fork();
    if (child == 0)
        for (;;)
            libcache_set(rig.ns, "large", 5, large, sizeof large, NULL);
    for (tries = scaled(3000); tries && !caught; tries--) {
        usleep((useconds_t)dice_below(&dice, 300));
        kill(child, SIGSTOP);
        waitpid(child, &status, WUNTRACED);
        if (libcache_delete(rig.ns, "none", 4, LIBCACHE_NO_WAIT) == LIBCACHE_EBUSY) {
            uint64_t begun = real_ms();
            ck_result(put(rig.ns, "other", "value"), LIBCACHE_EBUSY);
            ck_assert_uint_ge(real_ms() - begun, 40);
            ck_assert_uint_le(real_ms() - begun, 5000);
            for (int i = 0; i < 100; i++) {
                ck_assert_int_ge(look(rig.ns, "key"), LIBCACHE_OK);
                ck_assert_int_ge(look(rig.ns, "large"), LIBCACHE_OK);
            }
            ck_result(libcache_invalidate_namespace(rig.ns, 0), LIBCACHE_OK);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            caught = 1;
        }
        if (!caught)
            kill(child, SIGCONT);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    for (int i = 0; i < 10; i++) {
        ck_result(put(rig.ns, "other", "value"), LIBCACHE_OK);
        ck_value(rig.ns, "other", "value");
    }
    if (!caught)
        printf("a_stopped_writer...: never stopped in the middle of a write\n");
    rig_down(&rig);
}
END_TEST

/* ---- Named: joining ----------------------------------------------------------------------------------------------------- */

/* How many mappings of the file this process has, each at an address of its own. */
static int mappings(const char *file)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long inode;
    struct stat status;
    char line[512];
    int n = 0;

    ck_assert_ptr_nonnull(maps);
    ck_assert_int_eq(stat(file, &status), 0);
    while (fgets(line, sizeof line, maps))
        n += sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1 && inode == status.st_ino;
    fclose(maps);
    return n;
}

START_TEST(one_segment_at_two_addresses_is_one_cache)
{
    const char *name = segment_name("two");
    struct rig rig;
    libcache *other;
    libcache_ns *ns;
    char key[32];

    named_rig(&rig, name);
    rig_open(&rig);
    other = attach(&rig, name, &ns);
    ck_assert_int_eq(mappings(segment_file(name)), 2);
    for (int i = 0; i < 3000; i++) { /* with evictions and splits, seen from both addresses */
        snprintf(key, sizeof key, "key %d", i);
        ck_result(put_tagged(i % 2 ? rig.ns : ns, key, key, i % 3 ? "a" : "b"), LIBCACHE_OK);
        ck_value(i % 2 ? ns : rig.ns, key, key);
    }
    ck_result(invalidate_tag(other, "a"), LIBCACHE_OK);
    ck_result(look(rig.ns, "key 2997"), LIBCACHE_HIT);
    ck_result(look(rig.ns, "key 2998"), LIBCACHE_MISS);
    ck_result(libcache_delete(ns, "key 2997", 8, 0), LIBCACHE_OK);
    ck_result(look(rig.ns, "key 2997"), LIBCACHE_MISS);
    ck_result(libcache_increment(rig.ns, "n", 1, 5, NULL, NULL), LIBCACHE_OK);
    ck_value(ns, "n", "5");
    libcache_close(other);
    ck_value(rig.ns, "n", "5");
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(another_process_finds_a_segment_by_its_name)
{
    const char *name = segment_name("found");
    struct rig rig;
    pid_t child;

    named_rig(&rig, name);
    child = fork();
    if (child == 0) { /* makes it, with a namespace of another number first */
        libcache_ns *ns;
        int fine;
        if (libcache_open(&rig.cache, &rig.options, NULL) != LIBCACHE_OK)
            _exit(2);
        libcache_open_namespace(&ns, rig.cache, "another", NULL, NULL);
        libcache_open_namespace(&rig.ns, rig.cache, "test", NULL, NULL);
        fine = put(rig.ns, "key", "child") == LIBCACHE_OK && put(ns, "key", "another") == LIBCACHE_OK;
        _exit(fine ? 0 : 1); /* without closing */
    }
    ck_child(child);
    rig_open(&rig);
    ck_value(rig.ns, "key", "child");
    rig_down(&rig);
    rig_open(&rig);
    ck_value(rig.ns, "key", "child"); /* entries outlive their processes */
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(of_many_that_open_a_new_name_at_once_all_get_the_same_segment)
{
    enum { CHILDREN = 8 };
    char name[80];
    struct rig rig;

    for (unsigned long round = scaled(20); round; round--) {
        pid_t children[CHILDREN];
        int start[2];
        snprintf(name, sizeof name, "%s%lu", segment_name("race"), round);
        named_rig(&rig, name);
        ck_assert_int_eq(pipe(start), 0);
        for (int i = 0; i < CHILDREN; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                char key[16], c;
                int fine;
                close(start[1]);
                if (read(start[0], &c, 1) != 0)
                    _exit(3);
                snprintf(key, sizeof key, "%d", i);
                fine = libcache_open(&rig.cache, &rig.options, NULL) == LIBCACHE_OK &&
                       libcache_open_namespace(&rig.ns, rig.cache, "test", NULL, NULL) == LIBCACHE_OK &&
                       put(rig.ns, key, key) == LIBCACHE_OK;
                _exit(fine ? 0 : 1);
            }
        }
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < CHILDREN; i++)
            ck_child(children[i]);
        rig_open(&rig);
        for (int i = 0; i < CHILDREN; i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            ck_value(rig.ns, key, key);
        }
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

START_TEST(attach_takes_the_geometry_that_is_there)
{
    const char *name = segment_name("geometry");
    struct rig rig;
    libcache *other;
    libcache_ns *ns;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_error error = { 0 };

    other = NULL;
    ck_result(libcache_attach(&other, name, NULL, &error), LIBCACHE_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(error.text, name));
    ck_assert_ptr_null(other);
    named_rig(&rig, name);
    rig.options.stripes = 7; /* rounded down to a power of two */
    rig.options.max_value_bytes = 12345;
    rig_open(&rig);
    other = attach(&rig, name, &ns);
    ck_result(libcache_read_stats(other, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.memory_bytes, 1 << 20);
    ck_assert_uint_eq(stats.stripes, 4);
    ck_assert_uint_eq(stats.namespaces, 1);
    ck_result(libcache_read_policy(ns, &policy), LIBCACHE_OK);
    ck_assert_uint_eq(policy.max_value_bytes, 12345);
    libcache_close(other);
    rig_down(&rig);
    other = attach(&rig, name, &ns); /* also when nobody has it open */
    libcache_close(other);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    ck_result(libcache_attach(&other, name, NULL, NULL), LIBCACHE_ENOTFOUND);
}
END_TEST

START_TEST(a_removed_segment_lives_on_for_those_who_have_it)
{
    const char *name = segment_name("removed");
    struct rig rig, later;

    named_rig(&rig, name);
    rig_open(&rig);
    put(rig.ns, "key", "old");
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_ENOTFOUND);
    ck_value(rig.ns, "key", "old");
    named_rig(&later, name);
    rig_open(&later);
    ck_result(look(later.ns, "key"), LIBCACHE_MISS);
    put(later.ns, "key", "new");
    ck_value(rig.ns, "key", "old");
    rig_down(&rig);
    ck_value(later.ns, "key", "new");
    rig_down(&later);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* ---- Named: refused or replaced ----------------------------------------------------------------------------------------- */

START_TEST(a_segment_with_other_options_is_refused_while_somebody_uses_it)
{
    const char *name = segment_name("other");
    struct rig rig, other;
    libcache *cache = NULL;
    libcache_options identity = LIBCACHE_OPTIONS_INIT;

    named_rig(&rig, name);
    rig.options.identity = "production";
    rig_open(&rig);
    put(rig.ns, "key", "value");

    for (int what = 0; what < 6; what++) {
        named_rig(&other, name);
        other.options.identity = what == 0 ? "staging" : what == 1 ? NULL : "production";
        other.options.memory_bytes = what == 2 ? 2 << 20 : 1 << 20;
        other.options.max_value_bytes = what == 3 ? 1000 : 0;
        other.options.max_namespaces = what == 4 ? 10 : 0;
        other.options.verify_values = what == 5;
        ck_open(&other, LIBCACHE_EINCOMPATIBLE, what < 2 ? "identity" : "options");
    }
    identity.identity = "staging";
    ck_result(libcache_attach(&cache, name, &identity, NULL), LIBCACHE_EINCOMPATIBLE);
    identity.identity = "production";
    ck_result(libcache_attach(&cache, name, &identity, NULL), LIBCACHE_OK);
    libcache_close(cache);
    ck_value(rig.ns, "key", "value");
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(a_segment_with_other_options_is_replaced_when_nobody_uses_it)
{
    const char *name = segment_name("replaced");
    struct rig rig, other;
    libcache *cache = NULL;

    named_rig(&rig, name);
    rig_open(&rig);
    put(rig.ns, "key", "value");
    rig_down(&rig);

    named_rig(&other, name);
    other.options.identity = "staging";
    ck_result(libcache_attach(&cache, name, &other.options, NULL),
              LIBCACHE_EINCOMPATIBLE); /* attach replaces nothing */
    rig_open(&rig);
    ck_value(rig.ns, "key", "value");
    rig_down(&rig);

    rig_open(&other);
    ck_result(look(other.ns, "key"), LIBCACHE_MISS);
    put(other.ns, "key", "staging");
    rig_down(&other);
    other.options.memory_bytes = 2 << 20;
    rig_open(&other);
    ck_result(look(other.ns, "key"), LIBCACHE_MISS);
    rig_down(&other);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(a_segment_of_a_process_that_was_killed_is_used_on)
{
    const char *name = segment_name("killed");
    struct rig rig;
    libcache_value value = LIBCACHE_VALUE_INIT;

    for (unsigned long round = scaled(20); round; round--) {
        struct dice dice = dice_of(round);
        pid_t child;
        int status, ready[2];
        char c;
        named_rig(&rig, name);
        ck_assert_int_eq(pipe(ready), 0);
        child = fork();
        if (child == 0) {
            libcache_open(&rig.cache, &rig.options, NULL);
            libcache_open_namespace(&rig.ns, rig.cache, "test", NULL, NULL);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
            for (unsigned i = 0;; i++) {
                char key[16];
                snprintf(key, sizeof key, "%u", i % 3000);
                put(rig.ns, key, key);
            }
        }
        close(ready[1]);
        ck_assert_int_eq((int)read(ready[0], &c, 1), 1);
        usleep((useconds_t)dice_below(&dice, 3000));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        close(ready[0]);
        rig_open(&rig);
        for (unsigned i = 0; i < 3000; i++) {
            char key[16];
            int size = snprintf(key, sizeof key, "%u", i);
            if (libcache_get(rig.ns, key, (size_t)size, &value, 0) == LIBCACHE_HIT)
                ck_assert_msg(value.size == (size_t)size && memcmp(value.data, key, value.size) == 0,
                              "wrong value for %s", key);
        }
        ck_result(put(rig.ns, "key", "value"), LIBCACHE_OK);
        ck_value(rig.ns, "key", "value");
        libcache_release_value(&value);
        rig_down(&rig);
    }
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* ---- Named: the file ------------------------------------------------------------------------------------------------------ */

START_TEST(the_file_of_a_segment_is_for_its_owner_only)
{
    static const mode_t wrong[] = { 0644, 0660, 0606, 0700, 0640 };
    const char *name = segment_name("mode"), *file = segment_file(name);
    struct rig rig;
    struct stat status;
    libcache *cache = NULL;

    umask(0);
    named_rig(&rig, name);
    rig_open(&rig);
    ck_assert_int_eq(stat(file, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_uint_eq((uint64_t)status.st_size, 1 << 20);
    rig_down(&rig);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(chmod(file, wrong[i]), 0);
        ck_open(&rig, LIBCACHE_EACCESS, "0600");
        ck_result(libcache_attach(&cache, name, NULL, NULL), LIBCACHE_EACCESS);
        ck_assert_int_eq(stat(file, &status), 0); /* refused, not removed */
    }
    ck_assert_int_eq(chmod(file, 0600), 0);
    rig_open(&rig);
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    ck_assert_int_eq(stat(file, &status), -1);
}
END_TEST

START_TEST(links_and_other_things_under_the_name_are_refused)
{
    const char *name = segment_name("link");
    char file[256], target[300];
    struct rig rig;
    libcache *cache = NULL;
    struct stat status;

    snprintf(file, sizeof file, "%s", segment_file(name));
    snprintf(target, sizeof target, "%s-target", file);
    named_rig(&rig, name);
    ck_assert_int_eq(symlink(target, file), 0);
    ck_open(&rig, LIBCACHE_EACCESS, "symbolic link");
    ck_assert_int_eq(stat(target, &status), -1);
    ck_result(libcache_attach(&cache, name, NULL, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_EACCESS);
    ck_assert_int_eq(unlink(file), 0);

    rig_open(&rig);
    ck_assert_int_eq(link(file, target), 0); /* a second name for it */
    rig_down(&rig);
    ck_open(&rig, LIBCACHE_EACCESS, "second name");
    ck_assert_int_eq(unlink(target), 0);
    ck_assert_int_eq(unlink(file), 0);

    ck_assert_int_eq(mkfifo(file, 0600), 0);
    ck_open(&rig, LIBCACHE_EACCESS, "regular file");
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(mkdir(file, 0700), 0);
    ck_assert_int_lt(libcache_open(&cache, &rig.options, NULL), 0);
    ck_assert_int_lt(libcache_remove_segment(name, NULL), 0);
    ck_assert_int_eq(rmdir(file), 0);
    ck_assert_ptr_null(cache);
}
END_TEST

static void write_file(const char *file, const void *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, bytes, size), (int)size);
    close(fd);
}

START_TEST(a_file_that_is_no_segment_is_refused_by_attach_and_replaced_by_open)
{
    static unsigned char bytes[1 << 20];
    static const size_t sizes[] = { 0, 1, 4096, (256 << 10) - 1, sizeof bytes };
    const char *name = segment_name("garbage"), *file = segment_file(name);
    struct dice dice = dice_of(3);
    struct rig rig;
    libcache *cache = NULL;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)dice_roll(&dice);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int result;
        write_file(file, bytes, sizes[i]);
        result = libcache_attach(&cache, name, NULL, NULL);
        ck_assert_msg(result == LIBCACHE_EINCOMPATIBLE || result == LIBCACHE_ECORRUPT, "attach to %zu bytes gives %s",
                      sizes[i], result_name(result));
        named_rig(&rig, name);
        rig_open(&rig);
        put(rig.ns, "key", "value");
        ck_value(rig.ns, "key", "value");
        rig_down(&rig);
    }
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* ---- Named: scribbled over --------------------------------------------------------------------------------------------- */

/* Changes one byte in the middle of these, wherever they are in the file. Returns how often they were there. */
static int scribble(const char *file, const char *bytes, size_t size)
{
    int fd = open(file, O_RDWR | O_CLOEXEC), n = 0;
    char *at, *found, *end;
    struct stat status;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    at = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    end = at + status.st_size;
    for (found = at; (found = memmem(found, (size_t)(end - found), bytes, size)) != NULL; n++)
        found[size / 2] ^= 1;
    munmap(at, (size_t)status.st_size);
    close(fd);
    return n;
}

START_TEST(with_verify_values_a_value_that_was_scribbled_over_is_a_miss)
{
    static const char text[] = "a value that is not to be found anywhere else in the segment, 0123456789";
    const char *name = segment_name("verify");
    libcache_value value = LIBCACHE_VALUE_INIT;

    for (int verify = 0; verify < 2; verify++) {
        struct rig rig;
        named_rig(&rig, name);
        rig.options.verify_values = verify;
        rig_open(&rig);
        put(rig.ns, "key", text);
        put(rig.ns, "other", "value");
        ck_value(rig.ns, "key", text);
        ck_assert_int_eq(scribble(segment_file(name), text, sizeof text - 1), 1);
        ck_result(libcache_get(rig.ns, KEY, &value, 0), verify ? LIBCACHE_MISS : LIBCACHE_HIT);
        ck_value(rig.ns, "other", "value");
        put(rig.ns, "key", text);
        ck_value(rig.ns, "key", text);
        libcache_release_value(&value);
        rig_down(&rig);
    }
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* It counts into the life of each entry: with another one they would end too early, or too late. */
START_TEST(who_says_no_grace_takes_the_one_that_the_segment_has)
{
    const char *name = segment_name("grace");
    libcache_policy policy = LIBCACHE_POLICY_INIT, seen = LIBCACHE_POLICY_INIT;
    libcache_set_options brief = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns *said, *silent, *test;
    libcache *other;
    struct rig rig;

    named_rig(&rig, name);
    rig_open(&rig);
    policy.ttl_ms = 10000;
    policy.grace_ms = 60000;
    ck_result(libcache_open_namespace(&said, rig.cache, "graced", &policy, NULL), LIBCACHE_OK);
    other = attach(&rig, name, &test);
    ck_result(libcache_open_namespace(&silent, other, "graced", NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_read_policy(silent, &seen), LIBCACHE_OK);
    ck_assert_uint_eq(seen.grace_ms, 60000);
    policy.ttl_ms = 0;
    policy.grace_ms = 0;
    ck_result(libcache_open_namespace(&silent, other, "graced", &policy, NULL), LIBCACHE_OK);

    put(said, "key", "value");
    brief.ttl_ms = 10000;
    ck_result(libcache_set(silent, "brief", 5, "value", 5, &brief), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 9000);
    ck_result(look(said, "brief"), LIBCACHE_HIT);
    ck_result(look(silent, "key"), LIBCACHE_HIT);
    fake_clock_advance(&rig.clock, 1001);
    ck_result(look(said, "brief"), LIBCACHE_MISS);
    ck_result(look(said, "key"), LIBCACHE_MISS);
    ck_result(look(silent, "key"), LIBCACHE_MISS);
    libcache_close(other);
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "api_segments", a_shared_cache_is_one_for_parent_and_child, a_private_cache_becomes_the_childs_own,
        a_stopped_writer_holds_up_writers_for_a_while_and_readers_not_at_all, one_segment_at_two_addresses_is_one_cache,
        another_process_finds_a_segment_by_its_name, of_many_that_open_a_new_name_at_once_all_get_the_same_segment,
        attach_takes_the_geometry_that_is_there, a_removed_segment_lives_on_for_those_who_have_it,
        a_segment_with_other_options_is_refused_while_somebody_uses_it,
        a_segment_with_other_options_is_replaced_when_nobody_uses_it, a_segment_of_a_process_that_was_killed_is_used_on,
        the_file_of_a_segment_is_for_its_owner_only, links_and_other_things_under_the_name_are_refused,
        a_file_that_is_no_segment_is_refused_by_attach_and_replaced_by_open,
        with_verify_values_a_value_that_was_scribbled_over_is_a_miss, who_says_no_grace_takes_the_one_that_the_segment_has);
}
