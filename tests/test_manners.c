/*
 * G8: what a library may not do to its host. No output, no thread, no signal handler, no descriptor that survives exec
 * or close; fork at any moment; dlopen and dlclose. SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "support/support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "key", 3

/* ---- A bit of everything --------------------------------------------------------------------------------------------- */

static void use(libcache *cache)
{
    libcache_ns *ns;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    static libcache_entry entry;
    char key[16];

    libcache_open_namespace(&ns, cache, "test", NULL, NULL);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%d", i % 700);
        put_tagged(ns, key, "a value of some length, so that the logs wrap", "tag");
        libcache_get(ns, key, strlen(key), &value, 0);
    }
    libcache_delete(ns, "1", 1, 0);
    libcache_increment(ns, "n", 1, 1, NULL, NULL);
    libcache_increment(ns, "2", 1, 1, NULL, NULL); /* no number */
    libcache_set(ns, NULL, 0, "v", 1, NULL);
    invalidate_tag(cache, "tag");
    libcache_invalidate_namespace(ns, 0);
    libcache_invalidate_all(cache, 0);
    libcache_sweep(cache, 1000, NULL);
    while (libcache_iterate(cache, &cursor, &entry) == LIBCACHE_HIT)
        ;
    libcache_read_stats(cache, &stats);
    libcache_release_value(&entry.key);
    libcache_release_value(&value);
}

/* Opens each kind of cache, and some that cannot be opened. `look_around` is called while one is open. */
static void everything(void (*look_around)(void))
{
    static const int kinds[] = { LIBCACHE_PRIVATE, LIBCACHE_SHARED, LIBCACHE_NAMED };
    char path[] = "/tmp/libcache-test-XXXXXX";
    static const char text[] = "[default]\nttl = 60s\n";
    int fd = mkostemp(path, O_CLOEXEC);
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache *cache = NULL;
    const char *name = segment_name("manners");
    libcache_error error;

    ck_assert_int_eq((int)write(fd, text, sizeof text - 1), (int)sizeof text - 1);
    close(fd);
    options.memory_bytes = 1 << 20;
    options.policy_file = path;
    for (int i = 0; i < 3; i++) {
        options.segment = kinds[i];
        options.name = kinds[i] == LIBCACHE_NAMED ? name : NULL;
        ck_result(libcache_open(&cache, &options, &error), LIBCACHE_OK);
        use(cache);
        if (look_around)
            look_around();
        libcache_close(cache);
    }
    ck_result(libcache_attach(&cache, name, NULL, NULL), LIBCACHE_OK);
    if (look_around)
        look_around();
    libcache_close(cache);
    options.identity = "another";
    ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK); /* replaced */
    libcache_close(cache);
    ck_assert_int_eq(chmod(segment_file(name), 0644), 0);
    ck_result(libcache_open(&cache, &options, &error), LIBCACHE_EACCESS);
    ck_result(libcache_attach(&cache, segment_name("absent"), NULL, &error), LIBCACHE_ENOTFOUND);
    options.policy_file = "/dev/null/nothing";
    ck_assert_int_lt(libcache_open(&cache, &options, &error), 0);
    options.memory_bytes = 1;
    ck_assert_int_lt(libcache_open(&cache, &options, &error), 0);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    unlink(path);
}

/* ---- Output ------------------------------------------------------------------------------------------------------------ */

START_TEST(G8_nothing_is_written_to_stdout_or_stderr)
{
    int pipes[2], out = dup(1), err = dup(2);
    char text[256];
    ssize_t size;

    fflush(stdout);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(pipes[1], 1);
    dup2(pipes[1], 2);
    everything(NULL);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    size = read(pipes[0], text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    ck_assert_msg(size == -1 && errno == EAGAIN, "written: \"%s\"", text);
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------------------------------------- */

enum { FDS = 1024 };
static char before[FDS];

/* Calls `each` for every open descriptor but the one that looks. */
static void for_each_fd(void (*each)(int fd, void *arg), void *arg)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(folder) && fd < FDS)
            each(fd, arg);
    }
    closedir(folder);
}

static void note_fd(int fd, void *arg)
{
    ((char *)arg)[fd] = 1;
}

static void check_cloexec(int fd, void *arg)
{
    (void)arg;
    if (!before[fd])
        ck_assert_msg(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d would survive exec", fd);
}

static void check_fds(void)
{
    for_each_fd(check_cloexec, NULL);
}

START_TEST(G8_descriptors_are_close_on_exec_and_closed_in_the_end)
{
    static char after[FDS];

    for_each_fd(note_fd, before);
    everything(check_fds);
    for_each_fd(note_fd, after);
    for (int fd = 0; fd < FDS; fd++)
        ck_assert_msg(before[fd] == after[fd], "descriptor %d was %s", fd, after[fd] ? "left open" : "closed");
}
END_TEST

/* ---- Threads and signals ---------------------------------------------------------------------------------------------------- */

static int count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    int n = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL)
        n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

static int threads_before;

static void check_threads(void)
{
    ck_assert_int_eq(count_threads(), threads_before);
}

START_TEST(G8_no_thread_is_started)
{
    threads_before = count_threads();
    everything(check_threads);
    check_threads();
}
END_TEST

static void read_signals(struct sigaction *actions)
{
    for (int i = 1; i < NSIG; i++) {
        memset(&actions[i], 0, sizeof actions[i]);
        sigaction(i, NULL, &actions[i]);
    }
}

static struct sigaction signals_before[NSIG];

static void check_signals(void)
{
    static struct sigaction now[NSIG];
    sigset_t mask;

    read_signals(now);
    for (int i = 1; i < NSIG; i++)
        ck_assert_msg(now[i].sa_handler == signals_before[i].sa_handler &&
                          now[i].sa_flags == signals_before[i].sa_flags,
                      "the handler of signal %d has changed", i);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigisemptyset(&mask), 1);
}

START_TEST(G8_no_signal_handler_is_changed)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    read_signals(signals_before);
    everything(check_signals);
    check_signals();
}
END_TEST

/* ---- Fork --------------------------------------------------------------------------------------------------------------------- */

struct hammer {
    struct rig rig;
    int stop; /* atomic */
};

/* Half of the time it stores, half of the time it invalidates, so that forks find both kinds of lock held. */
static void *hammer(void *arg)
{
    struct hammer *h = arg;
    static char value[20000], texts[LIBCACHE_TAGS_MAX][16];
    libcache_slice tags[LIBCACHE_TAGS_MAX];
    char key[16];

    for (int i = 0; i < LIBCACHE_TAGS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        tags[i] = slice_of(texts[i]);
    }
    for (unsigned i = 0; !__atomic_load_n(&h->stop, __ATOMIC_RELAXED); i++) {
        snprintf(key, sizeof key, "%u", i % 50);
        libcache_set(h->rig.ns, key, strlen(key), value, i % 20 ? i % 64 : i % sizeof value, NULL);
        if (i % 1000 == 0)
            for (int j = 0; j < 200; j++)
                libcache_invalidate_tags(h->rig.cache, tags, LIBCACHE_TAGS_MAX, 0);
    }
    return NULL;
}

/* Sweeps an invalidated cache until nothing is reclaimed any more; 1 when its books then say that it is empty. */
static int books_are_right(libcache *cache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    size_t reclaimed = 1;

    for (int i = 0; i < 100; i++)
        if (libcache_sweep(cache, 10000, &reclaimed) != LIBCACHE_OK)
            return 0;
    return libcache_read_stats(cache, &stats) == LIBCACHE_OK && stats.entries == 0 && stats.live_bytes == 0;
}

/* In the child: everything works at once. 0, or the step that did not. */
static int child_works(struct rig *rig)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_ns *ns;
    uint64_t begun = real_ms();
    char key[16];

    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (put_tagged(rig->ns, key, "child", "tag") != LIBCACHE_OK)
            return 1;
        if (libcache_get(rig->ns, key, strlen(key), &value, 0) != LIBCACHE_HIT || value.size != 5)
            return 2;
    }
    if (invalidate_tag(rig->cache, "tag") != LIBCACHE_OK || look(rig->ns, "1") != LIBCACHE_MISS)
        return 3;
    if (put(rig->ns, "1", "again") != LIBCACHE_OK || libcache_invalidate_namespace(rig->ns, 0) != LIBCACHE_OK ||
        look(rig->ns, "1") != LIBCACHE_MISS || libcache_invalidate_all(rig->cache, 0) != LIBCACHE_OK)
        return 4;
    if (!books_are_right(rig->cache))
        return 5;
    if (libcache_open_namespace(&ns, rig->cache, "of the child", NULL, NULL) != LIBCACHE_OK)
        return 6;
    libcache_release_value(&value);
    if (real_ms() - begun > 10000)
        return 7; /* it waited for a lock whose holder is not in this process */
    libcache_close(rig->cache);
    return 0;
}

static void hammer_up(struct hammer *h)
{
    memset(h, 0, sizeof *h);
    rig_prepare(&h->rig);
    h->rig.options.memory_bytes = 1 << 20;
    h->rig.options.stripes = 2;
    h->rig.options.lock_wait_ms = 20000;
    h->rig.options.clock_ms = NULL;
    rig_open(&h->rig);
}

/* Forks while a thread of this process writes. Returns the number of the fork whose child had trouble, or 0. */
static unsigned long fork_many(struct hammer *h, int *status)
{
    unsigned long trouble = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, hammer, h) != 0)
        return 1;
    for (unsigned long i = 1; i <= scaled(200) && !trouble; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(child_works(&h->rig));
        if (child < 0 || waitpid(child, status, 0) != child || *status != 0)
            trouble = i;
    }
    __atomic_store_n(&h->stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return trouble;
}

START_TEST(G8_a_child_forked_while_another_thread_writes_uses_its_private_copy_at_once)
{
    static struct hammer h;
    int status = 0;
    unsigned long trouble;

    hammer_up(&h);
    trouble = fork_many(&h, &status);
    ck_assert_msg(trouble == 0, "child %lu ended with status %x", trouble, (unsigned)status);
    ck_result(put(h.rig.ns, "key", "value"), LIBCACHE_OK);
    ck_value(h.rig.ns, "key", "value");
    rig_down(&h.rig);
}
END_TEST

START_TEST(G8_so_does_a_childs_child)
{
    static struct hammer h;
    int status;
    pid_t child;

    hammer_up(&h);
    child = fork();
    if (child == 0) { /* as the worker of a preforking server, that forks in turn */
        int of_grandchild = 0;
        if (put(h.rig.ns, "key", "child") != LIBCACHE_OK)
            _exit(99);
        if (fork_many(&h, &of_grandchild) != 0)
            _exit(WIFEXITED(of_grandchild) ? WEXITSTATUS(of_grandchild) : 98);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "a child's child failed at step %d", WEXITSTATUS(status));
    rig_down(&h.rig);
}
END_TEST

/* ---- dlopen ------------------------------------------------------------------------------------------------------------------- */

START_TEST(G8_the_library_can_be_loaded_and_unloaded)
{
    const char *path = getenv("LIBCACHE_SO");

    if (!path)
        path = "build/lib/libcache.so";
    if (access(path, R_OK) != 0) {
        printf("there is no %s (set LIBCACHE_SO): not tested\n", path);
        return;
    }
    for (int i = 0; i < 20; i++) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        int (*open_cache)(libcache **, const libcache_options *, libcache_error *);
        int (*open_ns)(libcache_ns **, libcache *, const char *, const libcache_policy *, libcache_error *);
        int (*set)(libcache_ns *, const void *, size_t, const void *, size_t, const libcache_set_options *);
        int (*exists)(libcache_ns *, const void *, size_t, unsigned);
        void (*close_cache)(libcache *);
        libcache *cache;
        libcache_ns *ns;
        ck_assert_msg(library != NULL, "%s", dlerror());
        *(void **)&open_cache = dlsym(library, "libcache_open");
        *(void **)&open_ns = dlsym(library, "libcache_open_namespace");
        *(void **)&set = dlsym(library, "libcache_set");
        *(void **)&exists = dlsym(library, "libcache_exists");
        *(void **)&close_cache = dlsym(library, "libcache_close");
        ck_assert(open_cache && open_ns && set && exists && close_cache);
        ck_result(open_cache(&cache, NULL, NULL), LIBCACHE_OK);
        ck_result(open_ns(&ns, cache, "test", NULL, NULL), LIBCACHE_OK);
        ck_result(set(ns, KEY, "value", 5, NULL), LIBCACHE_OK);
        if (i % 2) { /* unloaded with a handle open: it stays (it is linked with -z nodelete) */
            dlclose(library);
            ck_result(exists(ns, KEY, 0), LIBCACHE_HIT);
            close_cache(cache);
        } else {
            ck_result(exists(ns, KEY, 0), LIBCACHE_HIT);
            close_cache(cache);
            dlclose(library);
        }
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("manners", G8_nothing_is_written_to_stdout_or_stderr,
                     G8_descriptors_are_close_on_exec_and_closed_in_the_end, G8_no_thread_is_started,
                     G8_no_signal_handler_is_changed,
                     G8_a_child_forked_while_another_thread_writes_uses_its_private_copy_at_once,
                     G8_so_does_a_childs_child, G8_the_library_can_be_loaded_and_unloaded);
}
