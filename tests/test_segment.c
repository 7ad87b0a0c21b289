/*
 * Segments from the inside: two mappings, many makers, dead owners, and every way in which a file can be no segment of
 * ours. After each of them the invariants of all stripes hold. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include "cache.h"
#include "l1/index.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void named_rig(struct rig *rig, const char *name)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_NAMED;
    rig->options.name = name;
    rig->options.memory_bytes = 1 << 20;
    rig->options.lock_wait_ms = 10000;
}

static void ck_sound(libcache *cache)
{
    const char *what = NULL;
    ck_assert_msg(l1_check(&cache->l1, &what), "an invariant does not hold: %s", what);
}

/* Every stripe takes entries and gives them back. */
static void ck_usable(libcache *cache, libcache_ns *ns)
{
    uint32_t seen = 0;
    char key[32];

    for (int i = 0; seen < cache->l1.stripes && i < 10000; i++) {
        struct l1_key k;
        int size = snprintf(key, sizeof key, "usable %d", i);
        k = l1_key_of(&cache->l1, ns->id, key, (size_t)size);
        if (stripe_number(&cache->l1, k.hash) != seen)
            continue;
        ck_result(put(ns, key, key), LIBCACHE_OK);
        ck_value(ns, key, key);
        ck_result(libcache_delete(ns, key, (size_t)size, 0), LIBCACHE_OK);
        ck_result(look(ns, key), LIBCACHE_MISS);
        seen++;
    }
    ck_assert_uint_eq(seen, cache->l1.stripes);
}

static libcache_stats stats_of(libcache *cache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    ck_result(libcache_read_stats(cache, &stats), LIBCACHE_OK);
    return stats;
}

static void put_number(libcache_ns *ns, unsigned i)
{
    char key[16];
    snprintf(key, sizeof key, "%u", i);
    ck_result(put(ns, key, key), LIBCACHE_OK);
}

static void ck_number(libcache_ns *ns, unsigned i)
{
    char key[16];
    snprintf(key, sizeof key, "%u", i);
    ck_value(ns, key, key);
}

static void ck_open_fails(const libcache_options *options, int attaching, int code, const char *word)
{
    libcache_error error = { 0 };
    libcache *cache = NULL;
    int result = attaching ? libcache_attach(&cache, options->name, options, &error) : libcache_open(&cache, options, &error);

    ck_assert_msg(result == code, "%s gives %s, not %s (%s)", attaching ? "attach" : "open", result_name(result),
                  result_name(code), error.text);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(strstr(error.text, word) && strstr(error.text, options->name), "\"%s\" does not speak of %s", error.text,
                  word);
    ck_assert_ptr_null(cache);
}

/* ---- Two mappings ------------------------------------------------------------------------------------------------- */

START_TEST(two_mappings_at_different_addresses_see_each_others_writes_through_growth_and_eviction)
{
    const char *name = segment_name("two");
    struct rig one, two;
    libcache_stats stats;
    uint32_t first_buckets;
    char key[40], value[400];

    named_rig(&one, name);
    one.options.stripes = 2;
    rig_open(&one);
    named_rig(&two, name);
    two.options.stripes = 2;
    rig_open(&two);
    ck_assert_ptr_ne(one.cache->l1.segment.base, two.cache->l1.segment.base);
    ck_assert_ptr_ne(one.cache->l1.shards[0].s, two.cache->l1.shards[0].s);
    first_buckets = shape_buckets(one.cache->l1.shards[0].s->shape);
    for (int i = 0; i < 20000; i++) {
        libcache_ns *writer = i % 2 ? one.ns : two.ns, *reader = i % 2 ? two.ns : one.ns;
        int size = snprintf(key, sizeof key, "key %d", i % 7 ? i : i % 70);
        snprintf(value, sizeof value, "%s, round %d%*s", key, i, i % 300, "");
        ck_result(put_tagged(writer, key, value, i % 3 ? "a" : "b"), LIBCACHE_OK);
        ck_value(reader, key, value);
        if (i % 11 == 0) {
            ck_result(libcache_delete(reader, key, (size_t)size, 0), LIBCACHE_OK);
            ck_result(look(writer, key), LIBCACHE_MISS);
        }
        if (i % 1000 == 0) {
            ck_result(invalidate_tag(one.cache, "a"), LIBCACHE_OK);
            ck_result(put_tagged(two.ns, "newer", "newer", "a"), LIBCACHE_OK);
            ck_value(one.ns, "newer", "newer");
            ck_result(libcache_increment(one.ns, "n", 1, 5, NULL, NULL), LIBCACHE_OK);
            ck_result(libcache_increment(two.ns, "n", 1, -5, NULL, NULL), LIBCACHE_OK);
            ck_value(one.ns, "n", "0");
            ck_result(libcache_delete(two.ns, "n", 1, 0), LIBCACHE_OK);
        }
    }
    stats = stats_of(two.cache);
    ck_assert_uint_gt(stats.evictions, 1000);
    ck_assert_uint_gt(stats.survivors, 0);
    ck_assert_uint_gt(shape_buckets(two.cache->l1.shards[0].s->shape), first_buckets);
    ck_assert_uint_gt(two.cache->l1.shards[0].s->tail[MAIN] >> two.cache->l1.shards[0].lap_shift, 1);
    ck_sound(one.cache);
    ck_sound(two.cache);
    rig_down(&one);
    ck_sound(two.cache);
    rig_down(&two);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

/* ---- Many makers --------------------------------------------------------------------------------------------------- */

enum { MAKERS = 20 };

/* What each maker has found, for the parent. */
struct meeting {
    uint64_t seed[MAKERS], inode[MAKERS];
    int made, start, check;
};

static int wait_for(const int *word, int least)
{
    for (int i = 0; i < 20000; i++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) >= least)
            return 1;
        usleep(500);
    }
    return 0;
}

static int make_and_meet(struct rig *rig, struct meeting *meeting, int self)
{
    struct stat status;
    char key[16];

    while (!__atomic_load_n(&meeting->start, __ATOMIC_ACQUIRE))
        ;
    if (libcache_open(&rig->cache, &rig->options, NULL) != LIBCACHE_OK ||
        libcache_open_namespace(&rig->ns, rig->cache, "test", NULL, NULL) != LIBCACHE_OK)
        return 1;
    snprintf(key, sizeof key, "%d", self);
    if (put(rig->ns, key, key) != LIBCACHE_OK || fstat(rig->cache->l1.segment.fd, &status) != 0)
        return 2;
    meeting->seed[self] = rig->cache->l1.seed;
    meeting->inode[self] = status.st_ino;
    __atomic_add_fetch(&meeting->made, 1, __ATOMIC_ACQ_REL);
    if (!wait_for(&meeting->made, MAKERS))
        return 3;
    for (int i = 0; i < MAKERS; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (look(rig->ns, key) != LIBCACHE_HIT)
            return 4;
    }
    return 0;
}

START_TEST(of_twenty_that_make_one_name_at_once_one_makes_it_and_all_see_each_others_entries)
{
    const char *name = segment_name("makers");

    for (unsigned long round = scaled(20); round; round--) {
        struct meeting *meeting = mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t children[MAKERS];
        struct rig rig;
        ck_assert_ptr_ne(meeting, MAP_FAILED);
        named_rig(&rig, name);
        for (int i = 0; i < MAKERS; i++) {
            children[i] = fork();
            ck_assert_int_ge(children[i], 0);
            if (children[i] == 0)
                _exit(make_and_meet(&rig, meeting, i));
        }
        __atomic_store_n(&meeting->start, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < MAKERS; i++) {
            int status;
            ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
            ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "maker %d ended with status %x", i, (unsigned)status);
            ck_assert_uint_eq(meeting->seed[i], meeting->seed[0]);
            ck_assert_uint_eq(meeting->inode[i], meeting->inode[0]);
        }
        rig_open(&rig);
        ck_assert_uint_eq(rig.cache->l1.seed, meeting->seed[0]);
        for (unsigned i = 0; i < MAKERS; i++)
            ck_number(rig.ns, i);
        ck_sound(rig.cache);
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
        munmap(meeting, sizeof *meeting);
    }
}
END_TEST

/* ---- Dead owners ----------------------------------------------------------------------------------------------------- */

enum death { IDLE, LOCKED, HALF_WRITTEN, UNCOUNTED, DIRTY };
enum { ENTRIES = 300 };

/* In a child: dies as told, by SIGKILL. */
static void die(struct rig *rig, enum death death)
{
    struct l1 *l1 = &rig->cache->l1;

    for (uint32_t i = 0; death != IDLE && i < l1->stripes; i++) {
        struct shard sh = shard_now(l1, i);
        if (stripe_lock(&sh, 0) != LIBCACHE_OK)
            _exit(3);
        if (death == HALF_WRITTEN)
            memset(ring_at(&sh, ring_head(&sh, SMALL)), 0xff, 100);
        if (death == UNCOUNTED) {
            sh.s->live_entries += 3;
            sh.s->ring[SMALL].live -= 8;
            sh.s->ring[MAIN].dead += 80;
        }
        if (death == DIRTY)
            store_relaxed(&sh.s->dirty, 1);
    }
    kill(getpid(), SIGKILL);
}

/* A child that joins or makes the segment, fills it when told to, and dies. */
static void bury(struct rig *rig, enum death death, int fill)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        libcache_open(&rig->cache, &rig->options, NULL);
        libcache_open_namespace(&rig->ns, rig->cache, "test", NULL, NULL);
        for (unsigned i = 0; fill && i < ENTRIES; i++)
            put_number(rig->ns, i);
        die(rig, death);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status), "the child ended with status %x", (unsigned)status);
}

START_TEST(what_the_only_process_left_when_it_was_killed_is_used_on)
{
    const char *name = segment_name("stale");
    struct rig rig;

    for (int death = IDLE; death <= DIRTY; death++) {
        libcache_stats stats;
        named_rig(&rig, name);
        rig.options.stripes = 2;
        bury(&rig, (enum death)death, 1);
        rig_open(&rig);
        ck_sound(rig.cache);
        stats = stats_of(rig.cache);
        if (death == DIRTY) { /* cannot be picked up: emptied */
            ck_assert_uint_eq(stats.resets, 2);
            ck_assert_uint_eq(stats.entries, 0);
            ck_result(look(rig.ns, "0"), LIBCACHE_MISS);
        } else {
            ck_assert_uint_eq(stats.resets, 0);
            ck_assert_uint_eq(stats.entries, ENTRIES);
            for (unsigned i = 0; i < ENTRIES; i++)
                ck_number(rig.ns, i);
        }
        ck_usable(rig.cache, rig.ns);
        ck_sound(rig.cache);
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

START_TEST(survivors_of_a_killed_writer_go_on_with_what_it_left)
{
    const char *name = segment_name("survivor");
    struct rig rig;

    for (int death = LOCKED; death <= DIRTY; death++) {
        libcache_stats stats;
        named_rig(&rig, name);
        rig.options.stripes = 2;
        rig_open(&rig);
        for (unsigned i = 0; i < ENTRIES; i++)
            put_number(rig.ns, i);
        struct rig child = rig;
        bury(&child, (enum death)death, 0);
        if (death != DIRTY)
            for (unsigned i = 0; i < ENTRIES; i++)
                ck_number(rig.ns, i); /* readers need no repair */
        ck_usable(rig.cache, rig.ns);
        stats = stats_of(rig.cache);
        ck_assert_uint_eq(stats.owner_deaths, 2);
        ck_assert_uint_eq(stats.resets, death == DIRTY ? 2 : 0);
        ck_assert_uint_eq(stats.entries, death == DIRTY ? 0 : ENTRIES);
        ck_sound(rig.cache);
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

START_TEST(a_segment_that_was_closed_in_good_order_is_trusted_and_one_that_was_not_is_looked_through)
{
    const char *name = segment_name("doubt");
    struct rig rig;

    for (int good_order = 0; good_order < 2; good_order++) {
        libcache_stats stats;
        struct stripe *s;
        int fd;
        named_rig(&rig, name);
        rig.options.stripes = 1;
        rig_open(&rig);
        for (unsigned i = 0; i < ENTRIES; i++)
            put_number(rig.ns, i);
        s = rig.cache->l1.shards[0].s;
        s->live_entries += 5; /* the count alone is wrong: only who counts anew sees it */
        rig_down(&rig);
        if (!good_order) {
            uint32_t no = 0;
            fd = open(segment_file(name), O_RDWR | O_CLOEXEC);
            ck_assert_int_eq((int)pwrite(fd, &no, sizeof no, offsetof(struct segment_head, closed)), (int)sizeof no);
            close(fd);
        }
        rig_open(&rig);
        stats = stats_of(rig.cache);
        ck_assert_uint_eq(stats.entries, good_order ? ENTRIES + 5 : ENTRIES);
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

/* ---- Files that are no segment of ours -------------------------------------------------------------------------------------- */

/* Changes n bytes of the file. */
static void scribble(const char *name, size_t at, const void *bytes, size_t n)
{
    int fd = open(segment_file(name), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)pwrite(fd, bytes, n, (off_t)at), (int)n);
    close(fd);
}

START_TEST(a_head_that_is_not_ours_is_refused_while_in_use_and_by_attach_and_else_replaced)
{
    static const struct {
        const char *word;
        size_t at, size;
        uint64_t value;
        int code;
    } wrong[] = {
        { "not a libcache segment", offsetof(struct segment_head, magic), 8, 12345, LIBCACHE_EINCOMPATIBLE },
        { "format 8, this build knows 7", offsetof(struct segment_head, format), 4, 8, LIBCACHE_EINCOMPATIBLE },
        { "another build", offsetof(struct segment_head, struct_word), 4, 1, LIBCACHE_EINCOMPATIBLE },
        { "another identity", offsetof(struct segment_head, identity), 8, 1, LIBCACHE_EINCOMPATIBLE },
        { "contradicts itself", offsetof(struct segment_head, total_bytes), 8, 2 << 20, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, total_bytes), 8, UINT64_MAX, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, stripes), 4, 0, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, stripes), 4, 257, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, spaces), 4, 4096, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, spaces), 4, 0, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, verify), 4, 2, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, max_value_bytes), 8, 0, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, max_value_bytes), 8, 1 << 20, LIBCACHE_ECORRUPT },
        { "contradicts itself", offsetof(struct segment_head, epoch), 8, 0, LIBCACHE_ECORRUPT },
    };
    const char *name = segment_name("head");
    struct rig rig, other;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned char before[8];
        named_rig(&rig, name);
        rig_open(&rig);
        put(rig.ns, "key", "value");
        memcpy(before, rig.cache->l1.segment.base + wrong[i].at, wrong[i].size);
        scribble(name, wrong[i].at, &wrong[i].value, wrong[i].size);
        named_rig(&other, name);
        ck_open_fails(&other.options, 0, wrong[i].code, wrong[i].word);
        ck_open_fails(&other.options, 1, wrong[i].code, wrong[i].word);
        ck_assert_int_eq((int)other.memory.live, 0);
        ck_value(rig.ns, "key", "value"); /* who has it open goes on */
        ck_sound(rig.cache);
        rig_down(&rig);
        ck_open_fails(&other.options, 1, wrong[i].code, wrong[i].word);
        scribble(name, wrong[i].at, before, wrong[i].size); /* and neither of them did anything to it */
        rig_open(&rig);
        ck_value(rig.ns, "key", "value");
        rig_down(&rig);
        scribble(name, wrong[i].at, &wrong[i].value, wrong[i].size);
        rig_open(&other);
        ck_result(look(other.ns, "key"), LIBCACHE_MISS);
        ck_usable(other.cache, other.ns);
        ck_sound(other.cache);
        rig_down(&other);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

START_TEST(a_file_whose_length_is_wrong_is_refused_by_attach_and_replaced_by_open)
{
    static const off_t lengths[] = { 0, 1, 4096, (256 << 10) - 1, 256 << 10, (1 << 20) - 4096, (1 << 20) + 4096 };
    const char *name = segment_name("length");
    struct rig rig;

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        named_rig(&rig, name);
        rig_open(&rig);
        put(rig.ns, "key", "value");
        rig_down(&rig);
        ck_assert_int_eq(truncate(segment_file(name), lengths[i]), 0);
        ck_open_fails(&rig.options, 1, LIBCACHE_ECORRUPT, lengths[i] < 256 << 10 ? "too short" : "contradicts itself");
        rig_open(&rig);
        ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
        ck_usable(rig.cache, rig.ns);
        ck_sound(rig.cache);
        rig_down(&rig);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

/* Refused, by open, attach and (with `removable` 0) remove, and still there. */
static void ck_refused(struct rig *rig, const char *word, int removable)
{
    struct stat before, after;
    int alike;

    ck_assert_int_eq(lstat(segment_file(rig->options.name), &before), 0);
    ck_open_fails(&rig->options, 0, LIBCACHE_EACCESS, word);
    ck_open_fails(&rig->options, 1, LIBCACHE_EACCESS, word);
    if (!removable)
        ck_result(libcache_remove_segment(rig->options.name, NULL), LIBCACHE_EACCESS);
    ck_assert_int_eq(lstat(segment_file(rig->options.name), &after), 0);
    alike = before.st_ino == after.st_ino && before.st_mode == after.st_mode && before.st_size == after.st_size;
    ck_assert_msg(alike, "the file is not what it was");
    ck_assert_int_eq((int)rig->memory.live, 0);
}

START_TEST(a_file_that_is_not_ours_alone_is_refused_and_left_alone)
{
    static const mode_t modes[] = { 0644, 0660, 0640, 0604, 0601, 0610, 0700 };
    const char *name = segment_name("access");
    char file[256], second[300];
    struct rig rig;

    snprintf(file, sizeof file, "%s", segment_file(name));
    snprintf(second, sizeof second, "%s-second", file);
    umask(0);
    named_rig(&rig, name);
    rig_open(&rig);
    put(rig.ns, "key", "value");
    rig_down(&rig);

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        ck_assert_int_eq(chmod(file, modes[i]), 0);
        ck_refused(&rig, "mode 0600", 1);
    }
    ck_assert_int_eq(chmod(file, 0600), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(file, 12345, (gid_t)-1), 0);
        ck_refused(&rig, "file of ours", 0);
        ck_assert_int_eq(chown(file, 0, (gid_t)-1), 0);
    }
    ck_assert_int_eq(link(file, second), 0);
    ck_refused(&rig, "second name", 1);
    ck_assert_int_eq(unlink(second), 0);
    rig_open(&rig);
    ck_value(rig.ns, "key", "value"); /* nothing of that did any harm */
    ck_sound(rig.cache);
    rig_down(&rig);

    ck_assert_int_eq(rename(file, second), 0);
    ck_assert_int_eq(symlink(second, file), 0); /* even to a good segment */
    ck_refused(&rig, "symbolic link", 0);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(mkfifo(file, 0600), 0);
    ck_refused(&rig, "regular file", 0);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rename(second, file), 0);
    rig_open(&rig);
    ck_value(rig.ns, "key", "value");
    rig_down(&rig);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

START_TEST(other_options_are_refused_while_somebody_lives_and_replace_when_nobody_does)
{
    const char *name = segment_name("options");

    for (int what = 0; what < 5; what++) {
        struct rig rig, other;
        named_rig(&rig, name);
        rig_open(&rig);
        put(rig.ns, "key", "value");
        named_rig(&other, name);
        other.options.memory_bytes = what == 0 ? 2 << 20 : 1 << 20;
        other.options.stripes = what == 1 ? 4 : 0;
        other.options.max_namespaces = what == 2 ? 3 : 0;
        other.options.max_value_bytes = what == 3 ? 3000 : 0;
        other.options.verify_values = what == 4;
        ck_open_fails(&other.options, 0, LIBCACHE_EINCOMPATIBLE, "in use with other options");
        ck_value(rig.ns, "key", "value");
        ck_sound(rig.cache);
        rig_down(&rig);
        rig_open(&other);
        ck_result(look(other.ns, "key"), LIBCACHE_MISS);
        put(other.ns, "key", "other");
        ck_sound(other.cache);
        rig_down(&other);
        rig_open(&other); /* and is now what is there */
        ck_value(other.ns, "key", "other");
        rig_down(&other);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

/* Its maker was killed before it was ready, and somebody who had waited for it was let in. */
START_TEST(G5_a_segment_that_nobody_has_finished_is_for_who_gets_it_alone)
{
    const char *name = segment_name("unfinished");
    struct rig one, two;
    libcache *none = NULL;

    named_rig(&one, name);
    rig_open(&one);
    named_rig(&two, name);
    ck_result(libcache_open(&none, &two.options, NULL), LIBCACHE_OK);
    libcache_close(none);
    store_release(&one.cache->l1.head->ready, 0);
    none = NULL;
    ck_result(libcache_open(&none, &two.options, NULL), LIBCACHE_EBUSY);
    ck_assert_ptr_null(none);
    rig_down(&one);
    rig_open(&two);
    ck_assert_uint_eq(load_acquire(&two.cache->l1.head->ready), 1);
    ck_usable(two.cache, two.ns);
    ck_sound(two.cache);
    rig_down(&two);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
}
END_TEST

int main(void)
{
    return RUN_TESTS("segment", two_mappings_at_different_addresses_see_each_others_writes_through_growth_and_eviction,
                     of_twenty_that_make_one_name_at_once_one_makes_it_and_all_see_each_others_entries,
                     what_the_only_process_left_when_it_was_killed_is_used_on,
                     survivors_of_a_killed_writer_go_on_with_what_it_left,
                     a_segment_that_was_closed_in_good_order_is_trusted_and_one_that_was_not_is_looked_through,
                     a_head_that_is_not_ours_is_refused_while_in_use_and_by_attach_and_else_replaced,
                     a_file_whose_length_is_wrong_is_refused_by_attach_and_replaced_by_open,
                     a_file_that_is_not_ours_alone_is_refused_and_left_alone,
                     other_options_are_refused_while_somebody_lives_and_replace_when_nobody_does,
                     G5_a_segment_that_nobody_has_finished_is_for_who_gets_it_alone);
}
