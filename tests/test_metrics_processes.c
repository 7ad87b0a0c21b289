/*
 * Counts of several processes of a segment, some of which are killed: what the metrics say is what they did.
 * SPDX-License-Identifier: MIT
 *
 * Each child writes down what it has done, in memory that the test shares with it, after each call. One that was killed may have
 * made one call more than it wrote down, and no more.
 */
#include "support/loads.h"
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"

enum { CHILDREN = 4, KEYS = 50, SPACES = 3 };

/* What one child has done, by namespace. */
struct deeds {
    uint64_t hits, misses, sets, deletes, set_bytes;
};

struct child {
    pid_t pid;
    uint64_t number;
    struct deeds deeds[SPACES];
    uint64_t stop;
};

static struct child *children; /* shared */
static const char *const names[SPACES] = { "one", "two", "three" };

static void open_shared(struct rig *rig, const char *name, uint64_t memory_bytes)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_NAMED;
    rig->options.name = name;
    rig->options.memory_bytes = memory_bytes;
    rig->options.max_namespaces = 8;
    rig_open(rig);
}

static void do_something(libcache_ns *ns, struct dice *dice, struct deeds *deeds, libcache_value *value)
{
    char key[20];
    size_t size = (size_t)snprintf(key, sizeof key, "%d", (int)dice_below(dice, KEYS));

    switch (dice_below(dice, 20)) {
    case 0:
        if (libcache_set(ns, key, size, "some value", 10, NULL) == LIBCACHE_OK) {
            __atomic_fetch_add(&deeds->sets, 1, __ATOMIC_RELEASE);
            __atomic_fetch_add(&deeds->set_bytes, 10, __ATOMIC_RELEASE);
        }
        break;
    case 1:
        if (libcache_delete(ns, key, size, 0) >= 0)
            __atomic_fetch_add(&deeds->deletes, 1, __ATOMIC_RELEASE);
        break;
    default:
        if (libcache_get(ns, key, size, value, 0) == LIBCACHE_HIT)
            __atomic_fetch_add(&deeds->hits, 1, __ATOMIC_RELEASE);
        else
            __atomic_fetch_add(&deeds->misses, 1, __ATOMIC_RELEASE);
        break;
    }
}

/* With a handle of its own, or with the parent's. */
static void live(struct child *child, const char *name, struct rig *inherited)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct dice dice = dice_of(child->number);
    libcache_ns *ns[SPACES];
    struct rig own, *rig = inherited;

    if (!rig) {
        open_shared(&own, name, 1 << 20);
        rig = &own;
    }
    for (int i = 0; i < SPACES; i++)
        if (libcache_open_namespace(&ns[i], rig->cache, names[i], NULL, NULL) != LIBCACHE_OK)
            _exit(2);
    while (!__atomic_load_n(&child->stop, __ATOMIC_ACQUIRE)) {
        unsigned i = (unsigned)dice_below(&dice, SPACES);
        do_something(ns[i], &dice, &child->deeds[i], &value);
    }
    libcache_release_value(&value);
    if (!inherited)
        libcache_close(rig->cache);
    _exit(0);
}

static uint64_t done(const struct child *child)
{
    uint64_t n = 0;

    for (int i = 0; i < SPACES; i++)
        n += __atomic_load_n(&child->deeds[i].hits, __ATOMIC_ACQUIRE) + __atomic_load_n(&child->deeds[i].sets, __ATOMIC_ACQUIRE);
    return n;
}

static void start(struct child *child, uint64_t number, const char *name, struct rig *inherited)
{
    pid_t pid;

    child->number = number;
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        live(child, name, inherited);
    child->pid = pid;
}

/* Fails the test when a count is lower than it was. */
static void ck_rising(libcache *cache, libcache_ns_stats *last)
{
    libcache_ns_stats now = LIBCACHE_NS_STATS_INIT;

    ck_result(libcache_sum_stats(cache, &now), LIBCACHE_OK);
    ck_assert_uint_ge(now.hits_l1, last->hits_l1);
    ck_assert_uint_ge(now.misses, last->misses);
    ck_assert_uint_ge(now.sets, last->sets);
    ck_assert_uint_ge(now.deletes, last->deletes);
    ck_assert_uint_ge(now.set_bytes, last->set_bytes);
    *last = now;
}

static void ck_between(uint64_t counted, uint64_t least, uint64_t more, const char *what, const char *ns)
{
    ck_assert_msg(counted >= least && counted <= least + more, "%s of %s: %llu were counted, %llu done, and %llu more at most", what, ns,
                  (unsigned long long)counted, (unsigned long long)least, (unsigned long long)more);
}

static void ck_counts(struct rig *rig, const struct child *all, unsigned n, uint64_t killed)
{
    for (int i = 0; i < SPACES; i++) {
        libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
        struct deeds sum = { 0, 0, 0, 0, 0 };
        libcache_ns *ns;
        ck_result(libcache_open_namespace(&ns, rig->cache, names[i], NULL, NULL), LIBCACHE_OK);
        ck_result(libcache_read_ns_stats(ns, &stats), LIBCACHE_OK);
        for (unsigned c = 0; c < n; c++) {
            sum.hits += all[c].deeds[i].hits;
            sum.misses += all[c].deeds[i].misses;
            sum.sets += all[c].deeds[i].sets;
            sum.deletes += all[c].deeds[i].deletes;
            sum.set_bytes += all[c].deeds[i].set_bytes;
        }
        ck_between(stats.hits_l1, sum.hits, killed, "hits", names[i]);
        ck_between(stats.misses, sum.misses, killed, "misses", names[i]);
        ck_between(stats.sets, sum.sets, killed, "sets", names[i]);
        ck_between(stats.deletes, sum.deletes, killed, "deletes", names[i]);
        ck_between(stats.set_bytes, sum.set_bytes, 10 * killed, "set bytes", names[i]);
        ck_between(stats.hits_l1 + stats.misses + stats.sets + stats.deletes, sum.hits + sum.misses + sum.sets + sum.deletes,
                   killed, "all", names[i]);
    }
}

/* Generations of children, each of which works for a while; kill: all but the last are killed. */
static void run(const char *what, int kill_them, int inherit, unsigned generations)
{
    const char *name = segment_name(what);
    libcache_ns_stats last;
    uint64_t killed = 0;
    struct rig rig;
    unsigned n = CHILDREN * generations;

    children = mmap(NULL, n * sizeof *children, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(children, MAP_FAILED);
    memset(&last, 0, sizeof last);
    open_shared(&rig, name, 1 << 20);
    for (unsigned g = 0; g < generations; g++) {
        struct child *now = children + g * CHILDREN;
        int kill_these = kill_them && g + 1 < generations;
        for (unsigned c = 0; c < CHILDREN; c++)
            start(&now[c], g * CHILDREN + c, name, inherit ? &rig : NULL);
        for (unsigned c = 0; c < CHILDREN; c++) {
            until(done(&now[c]) > 2000);
            ck_rising(rig.cache, &last);
        }
        for (unsigned c = 0; c < CHILDREN; c++) {
            int status;
            if (kill_these)
                kill(now[c].pid, SIGKILL);
            else
                __atomic_store_n(&now[c].stop, 1, __ATOMIC_RELEASE);
            ck_assert_int_eq(waitpid(now[c].pid, &status, 0), now[c].pid);
            ck_assert(kill_these ? WIFSIGNALED(status) : status == 0);
            ck_rising(rig.cache, &last);
        }
        killed += kill_these ? CHILDREN : 0;
        ck_counts(&rig, children, (g + 1) * CHILDREN, killed);
    }
    rig_down(&rig);
    munmap(children, n * sizeof *children);
}

START_TEST(processes_that_end_have_counted_all_that_they_did)
{
    run("ends", 0, 0, 3);
}
END_TEST

START_TEST(killed_processes_have_counted_what_they_did)
{
    run("kills", 1, 0, (unsigned)scaled(8) < 2 ? 2 : (unsigned)scaled(8));
}
END_TEST

START_TEST(forked_children_count_beside_their_parents_handle)
{
    run("forks", 1, 1, (unsigned)scaled(8) < 2 ? 2 : (unsigned)scaled(8));
}
END_TEST

static unsigned blocks_used(const struct rig *rig)
{
    unsigned used = 0;

    for (uint32_t i = 0; i < rig->cache->counters.blocks; i++)
        used += rig->cache->counters.area->block[i].space != 0;
    return used;
}

START_TEST(generations_of_killed_processes_do_not_use_up_the_blocks)
{
    const char *name = segment_name("blocks");
    struct rig rig;

    open_shared(&rig, name, 256 << 10);
    for (unsigned g = 0; g < 40; g++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            libcache_ns *ns;
            libcache_get(rig.ns, "key", 3, &(libcache_value)LIBCACHE_VALUE_INIT, 0);
            if (libcache_open_namespace(&ns, rig.cache, "other", NULL, NULL) == LIBCACHE_OK)
                libcache_get(ns, "key", 3, &(libcache_value)LIBCACHE_VALUE_INIT, 0);
            raise(SIGKILL);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
    }
    ck_assert_uint_eq(blocks_used(&rig), 2);
    {
        libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;
        ck_result(libcache_sum_stats(rig.cache, &stats), LIBCACHE_OK);
        ck_assert_uint_eq(stats.miss_cold, 80);
    }
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("metrics_processes", processes_that_end_have_counted_all_that_they_did,
                     killed_processes_have_counted_what_they_did, forked_children_count_beside_their_parents_handle,
                     generations_of_killed_processes_do_not_use_up_the_blocks);
}
