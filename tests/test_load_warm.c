/*
 * Warming up: batches one after the other, and several at once with an executor of each kind. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

/* ---- One batch after the other ------------------------------------------------------------------------------------------------ */

struct progress {
    struct source source; /* the loader's argument is also progress's */
    size_t calls, last, stop_at;
};

static int note_progress(void *arg, size_t done, size_t n)
{
    struct progress *p = arg;

    ck_assert_uint_eq(n, 26);
    ck_assert_uint_gt(done, p->last);
    p->last = done;
    return ++p->calls == p->stop_at;
}

START_TEST(warming_up_loads_in_batches_tells_how_far_it_is_and_can_be_stopped)
{
    struct rig rig;
    struct batch b;
    struct progress p = { .source = { .text = "v" } };

    rig_up(&rig);
    batch_init(&b, rig.ns, "abcdefghijklmnopqrstuvwxyz", &p.source);
    put(rig.ns, "c", "fresh");
    p.stop_at = 2;
    ck_result(libcache_warm(rig.ns, b.keys, 26, 10, source_load_many, &p, note_progress, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.last, 20);
    ck_assert_uint_eq(p.source.calls, 2);
    ck_assert_uint_eq(p.source.keys, 19);
    ck_value(rig.ns, "c", "fresh");
    ck_value(rig.ns, "t", "v");
    ck_result(look(rig.ns, "u"), LIBCACHE_MISS);
    p.last = p.calls = p.stop_at = 0;
    ck_result(libcache_warm(rig.ns, b.keys, 26, 10, source_load_many, &p, note_progress, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.calls, 3);
    ck_assert_uint_eq(p.last, 26);
    ck_assert_str_eq(p.source.asked, "u v w x y z");
    ck_result(libcache_warm(rig.ns, b.keys, 26, 100, source_load_many, &p, NULL, NULL), LIBCACHE_OK);
    ck_result(libcache_warm(rig.ns, NULL, 0, 10, source_load_many, &p, NULL, NULL), LIBCACHE_OK);
    ck_assert_uint_eq(p.source.calls, 3);
    ck_result(libcache_warm(rig.ns, b.keys, 26, 0, source_load_many, &p, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_warm(rig.ns, b.keys, 26, 1, NULL, &p, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_warm(NULL, b.keys, 26, 1, source_load_many, &p, NULL, NULL), LIBCACHE_EINVAL);
    source_done(&p.source);
    rig_down(&rig);
}
END_TEST

START_TEST(warming_up_goes_on_after_a_failure_and_gives_the_first)
{
    struct rig rig;
    struct batch b;
    struct source source = { .text = "v", .fails_for = "b" };

    rig_up(&rig);
    batch_init(&b, rig.ns, "abcdef", &source);
    ck_result(libcache_warm(rig.ns, b.keys, 6, 2, source_load_many, &source, NULL, NULL), LIBCACHE_ELOAD);
    ck_value(rig.ns, "f", "v");
    ck_assert_uint_eq(rig_stats(&rig).loads, 5);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

/* ---- Several at once ------------------------------------------------------------------------------------------------------------ */

#define GET(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define SET(word, to) __atomic_store_n(&(word), (to), __ATOMIC_RELEASE)
#define ADD(word) __atomic_add_fetch(&(word), 1, __ATOMIC_ACQ_REL)

/* The loader's argument, and progress's. What loaders change is atomic. */
struct crowd {
    struct source source; /* first: it is what `release` gets */
    void (*during)(struct crowd *crowd, const libcache_slice *keys);
    unsigned inside, most; /* loaders at once: now, ever */
    unsigned times[26];    /* that each letter was asked for */
    unsigned in_vain;      /* waits */
    unsigned wanted;       /* loaders at once that each waits for, until they have been there */
    int met, stopping, forked;
    pthread_t caller;
    long caller_id;
    pid_t parent;
    int status; /* of the forked child */
    size_t told, tells, stop_at;
};

/* In loaders, which may run in any thread: a condition that does not come to hold is noted. */
#define await(crowd, condition)                   \
    do {                                          \
        uint64_t last_ = real_ms() + 20000;       \
        while (!(condition) && real_ms() < last_) \
            nap();                                \
        if (!(condition))                         \
            ADD((crowd)->in_vain);                \
    } while (0)

static int crowd_load(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    struct crowd *c = arg;
    unsigned inside = ADD(c->inside), most = GET(c->most);
    int result;

    while (inside > most &&
           !__atomic_compare_exchange_n(&c->most, &most, inside, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    for (size_t i = 0; i < n; i++)
        ADD(c->times[*(const char *)keys[i].data - 'a']);
    if (c->during)
        c->during(c, keys);
    result = source_load_many(arg, keys, n, out, results);
    __atomic_sub_fetch(&c->inside, 1, __ATOMIC_ACQ_REL);
    return result;
}

static int crowd_told(void *arg, size_t done, size_t n)
{
    struct crowd *c = arg;

    ck_assert(pthread_equal(c->caller, pthread_self()));
    ck_assert_uint_gt(done, c->told);
    ck_assert_uint_le(done, n);
    c->told = done;
    return ++c->tells == c->stop_at;
}

static int warm_up(struct crowd *c, libcache_ns *ns, const char *letters, size_t batch, size_t concurrency,
                   int (*progress)(void *arg, size_t done, size_t n))
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_slice keys[26];
    size_t n = strlen(letters);

    c->source.text = "v";
    c->caller = pthread_self();
    c->caller_id = (long)syscall(SYS_gettid);
    options.concurrency = concurrency;
    for (size_t i = 0; i < n; i++)
        keys[i] = (libcache_slice){ &letters[i], letters[i] != '-' }; /* -: a bad key */
    return libcache_warm(ns, keys, n, batch, crowd_load, c, progress, &options);
}

static void ck_each_once(struct crowd *c, libcache_ns *ns)
{
    for (int i = 0; i < 26; i++) {
        ck_assert_msg(c->times[i] == 1, "%c was loaded %u times", 'a' + i, c->times[i]);
        ck_value(ns, (char[]){ (char)('a' + i), 0 }, "v");
    }
    ck_assert_uint_eq(c->in_vain, 0);
    ck_assert_uint_eq(c->inside, 0);
    source_done(&c->source);
}

static struct executor executor;

static void *run_jobs(void *arg)
{
    (void)arg;
    while (run_job(&executor) || !GET(executor.stop))
        nap();
    return NULL;
}

/* A rig whose executor has threads. */
enum { THREADS = 4 };
static pthread_t threads[THREADS];

static void up_with_threads(struct rig *rig)
{
    rig_prepare(rig);
    executor_prepare(&executor, rig);
    rig_open(rig);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_jobs, NULL), 0);
}

static void down_with_threads(struct rig *rig)
{
    SET(executor.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rig_down(rig);
}

/* Whoever comes first waits for the others. */
static void meet(struct crowd *c, const libcache_slice *keys)
{
    (void)keys;
    if (!GET(c->met))
        await(c, GET(c->met) || GET(c->inside) >= c->wanted);
    SET(c->met, 1);
    nap();
}

START_TEST(so_many_batches_are_loaded_at_once_and_no_more)
{
    for (unsigned concurrency = 0; concurrency <= THREADS; concurrency++) {
        unsigned at_once = concurrency ? concurrency : 1;
        struct rig rig;
        struct crowd c = { .during = meet, .wanted = at_once };
        up_with_threads(&rig);
        ck_result(warm_up(&c, rig.ns, LETTERS, 2, concurrency, crowd_told), LIBCACHE_OK);
        ck_assert_uint_eq(c.most, at_once);
        ck_assert_uint_eq(executor.taken, at_once - 1);
        ck_assert_uint_eq(c.source.calls, 13);
        ck_assert_uint_eq(c.told, 26);
        ck_each_once(&c, rig.ns);
        down_with_threads(&rig);
    }
}
END_TEST

START_TEST(there_are_no_more_jobs_than_batches)
{
    struct rig rig;
    struct crowd c = { .during = meet, .wanted = 3 };

    up_with_threads(&rig);
    ck_result(warm_up(&c, rig.ns, LETTERS, 10, (size_t)-1, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(c.most, 3);
    ck_assert_uint_eq(executor.taken, 2);
    ck_each_once(&c, rig.ns);
    down_with_threads(&rig);
}
END_TEST

static int is_asleep(long thread)
{
    char path[64], text[200] = "";
    FILE *file;
    const char *name_ends;

    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
    file = fopen(path, "re");
    if (file) {
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
    }
    name_ends = strrchr(text, ')');
    return name_ends && strncmp(name_ends, ") S", 3) == 0;
}

/* The caller's batch ends first. The others' end when he has been told, has said stop, and waits for them. */
static void outlast_the_caller(struct crowd *c, const libcache_slice *keys)
{
    meet(c, keys);
    if (!pthread_equal(c->caller, pthread_self()))
        await(c, GET(c->stopping) && is_asleep(c->caller_id));
}

static int say_stop(void *arg, size_t done, size_t n)
{
    struct crowd *c = arg;

    c->stop_at = 1;
    crowd_told(arg, done, n);
    SET(c->stopping, 1);
    return 1;
}

START_TEST(when_progress_says_stop_no_batch_begins_and_those_that_have_are_waited_for)
{
    struct rig rig;
    struct crowd c = { .during = outlast_the_caller, .wanted = 3 };

    up_with_threads(&rig);
    ck_result(warm_up(&c, rig.ns, LETTERS, 2, 3, say_stop), LIBCACHE_OK);
    ck_assert_uint_eq(c.inside, 0);
    ck_assert_uint_eq(c.source.calls, 3);
    ck_assert_uint_eq(c.tells, 1);
    ck_assert_uint_eq(c.told, 2);
    ck_assert_uint_eq(c.in_vain, 0);
    ck_assert_uint_eq(rig_stats(&rig).loads, 6);
    source_done(&c.source);
    down_with_threads(&rig);
}
END_TEST

/* The first batch fails last: when e is loaded, the batches between have ended. */
static void fail_last(struct crowd *c, const libcache_slice *keys)
{
    if (*(const char *)keys->data == 'a')
        await(c, GET(c->times['e' - 'a']));
}

START_TEST(of_batches_that_fail_the_first_in_order_gives_the_error_and_the_rest_is_loaded)
{
    struct rig rig;
    struct crowd c = { .source = { .fails_for = "a" }, .during = fail_last };

    up_with_threads(&rig);
    ck_result(warm_up(&c, rig.ns, "a-cdefg", 1, 2, crowd_told), LIBCACHE_ELOAD);
    ck_assert_uint_eq(c.told, 7);
    ck_assert_uint_eq(c.in_vain, 0);
    ck_value(rig.ns, "g", "v");
    ck_result(warm_up(&c, rig.ns, "-", 1, 2, NULL), LIBCACHE_EKEY);
    source_done(&c.source);
    down_with_threads(&rig);
}
END_TEST

/* ---- Executors of other kinds ---------------------------------------------------------------------------------------------------- */

START_TEST(what_the_executor_refuses_is_loaded_by_the_caller)
{
    struct rig rig;
    struct crowd c = { 0 };

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    executor.refuses = 1;
    rig_open(&rig);
    ck_result(warm_up(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(c.most, 1);
    ck_assert_uint_eq(c.tells, 3);
    ck_each_once(&c, rig.ns);
    rig_down(&rig);
}
END_TEST

START_TEST(jobs_that_run_after_the_call_or_after_the_cache_do_nothing)
{
    struct rig rig;
    struct crowd c = { .stop_at = 2 };
    pthread_t thread;

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig_open(&rig);
    ck_result(warm_up(&c, rig.ns, LETTERS, 5, 4, crowd_told),
              LIBCACHE_OK); /* stopped: there is some left to begin with */
    ck_assert_uint_eq(c.tells, 2);
    ck_assert_uint_eq(executor.n, 3);
    ck_assert(run_job(&executor));
    executor.stop = 1; /* the thread runs what there is */
    ck_assert_int_eq(pthread_create(&thread, NULL, run_jobs, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(executor.n, 0);
    ck_assert_uint_eq(c.source.calls, 2);
    ck_result(warm_up(&c, rig.ns, LETTERS, 5, 3, NULL), LIBCACHE_OK);
    ck_each_once(&c, rig.ns);
    libcache_close(rig.cache);
    ck_assert_int_eq(rig.memory.live, 1); /* what two jobs share */
    ck_assert(run_job(&executor));
    ck_assert_int_eq(rig.memory.live, 1);
    ck_assert(run_job(&executor));
    ck_assert_int_eq(rig.memory.live, 0);
    ck_assert_uint_eq(c.source.calls, 6);
}
END_TEST

static int run_at_once(void *arg, void (*job)(void *), void *job_arg)
{
    ADD(*(unsigned *)arg);
    job(job_arg);
    return 0;
}

START_TEST(an_executor_that_runs_jobs_at_once_does_not_keep_the_caller_from_his_progress)
{
    struct rig rig;
    struct crowd c = { .stop_at = 2 };
    unsigned jobs = 0;

    rig_prepare(&rig);
    rig.options.execute = run_at_once;
    rig.options.execute_arg = &jobs;
    rig_open(&rig);
    ck_result(warm_up(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(jobs, 2);
    ck_assert_uint_eq(c.told, 20);
    ck_assert_uint_eq(c.source.calls, 2);
    c.told = 0;
    ck_result(warm_up(&c, rig.ns, LETTERS, 10, 3, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(c.tells, 5);
    ck_each_once(&c, rig.ns);
    rig_down(&rig);
}
END_TEST

START_TEST(what_is_stale_is_refreshed_before_it_returns)
{
    struct rig rig;
    struct crowd c = { 0 };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns;

    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig_open(&rig);
    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    ns = space_with(&rig, "soft", &policy);
    put(ns, "a", "old");
    fake_clock_advance(&rig.clock, 10000);
    put(ns, "b", "v");
    ck_result(warm_up(&c, ns, "ab", 2, 0, crowd_told), LIBCACHE_OK);
    ck_assert_uint_eq(executor.taken, 0);
    ck_assert_uint_eq(c.times[0], 1);
    ck_assert_uint_eq(c.times[1], 0);
    ck_value(ns, "a", "v");
    source_done(&c.source);
    rig_down(&rig);
}
END_TEST

/* ---- fork ------------------------------------------------------------------------------------------------------------------------- */

/* The first job runs at once in a thread of its own, the others are kept. */
static struct crowd *forking;
static pthread_t first;
static void (*first_job)(void *);

/* In a child, its loaders all counted, a job that it has inherited: nothing is to come of it. */
static _Noreturn void end_child(int fine)
{
    unsigned calls = forking->source.calls;

    while (run_job(&executor))
        ;
    _exit(fine && forking->source.calls == calls ? 0 : 1);
}

static void *run_first(void *job_arg)
{
    first_job(job_arg);
    if (getpid() != forking->parent)
        end_child(forking->source.calls == 1); /* it has ended its own batch, and begun no other */
    return NULL;
}

static int run_first_keep_others(void *arg, void (*job)(void *), void *job_arg)
{
    struct executor *x = arg;

    if (!first_job) {
        first_job = job;
        return pthread_create(&first, NULL, run_first, job_arg);
    }
    x->job[x->n] = job;
    x->arg[x->n++] = job_arg;
    return 0;
}

/* 1: in the child, else its status is noted. */
static int fork_once(struct crowd *c)
{
    pid_t pid = fork(), ended = 0;

    if (pid == 0)
        return 1;
    await(c, pid > 0 && (ended = ended ? ended : waitpid(pid, &c->status, WNOHANG)) != 0);
    if (pid > 0 && !ended) {
        kill(pid, SIGKILL);
        waitpid(pid, &c->status, 0);
    }
    SET(c->forked, 1);
    return 0;
}

static void fork_in_a_job(struct crowd *c, const libcache_slice *keys)
{
    if (GET(c->forked))
        return;
    meet(c, keys);
    if (pthread_equal(c->caller, pthread_self()))
        await(c, GET(c->forked));
    else
        fork_once(c);
}

/* The other is in a loader meanwhile. */
static void wait_for_fork(struct crowd *c, const libcache_slice *keys)
{
    if (GET(c->forked) || getpid() != c->parent)
        return;
    meet(c, keys);
    if (!pthread_equal(c->caller, pthread_self()))
        await(c, GET(c->forked));
}

static int fork_when_told(void *arg, size_t done, size_t n)
{
    crowd_told(arg, done, n);
    if (!GET(forking->forked) && getpid() == forking->parent)
        fork_once(forking);
    return 0;
}

static void ck_forks(struct crowd *c, int (*progress)(void *arg, size_t done, size_t n))
{
    struct rig rig;
    int result;

    first_job = NULL;
    forking = c;
    c->parent = getpid();
    rig_prepare(&rig);
    executor_prepare(&executor, &rig);
    rig.options.execute = run_first_keep_others;
    rig_open(&rig);
    result = warm_up(c, rig.ns, LETTERS, 2, 3, progress);
    if (getpid() != c->parent)
        end_child(result == LIBCACHE_OK && c->source.calls == 12 && c->told == 24); /* all but the other's batch */
    ck_result(result, LIBCACHE_OK);
    ck_assert_int_eq(c->forked, 1);
    ck_assert_int_eq(c->status, 0);
    ck_each_once(c, rig.ns);
    pthread_join(first, NULL);
    while (run_job(&executor))
        ;
    rig_down(&rig);
}

START_TEST(a_child_that_a_loader_forks_in_a_job_ends_its_batch_and_begins_no_other)
{
    struct crowd c = { .during = fork_in_a_job, .wanted = 2 };

    ck_forks(&c, crowd_told);
}
END_TEST

START_TEST(a_child_that_progress_forks_goes_on_alone)
{
    struct crowd c = { .during = wait_for_fork, .wanted = 2 };

    ck_forks(&c, fork_when_told);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "load_warm", warming_up_loads_in_batches_tells_how_far_it_is_and_can_be_stopped,
        warming_up_goes_on_after_a_failure_and_gives_the_first, so_many_batches_are_loaded_at_once_and_no_more,
        there_are_no_more_jobs_than_batches, when_progress_says_stop_no_batch_begins_and_those_that_have_are_waited_for,
        of_batches_that_fail_the_first_in_order_gives_the_error_and_the_rest_is_loaded,
        what_the_executor_refuses_is_loaded_by_the_caller, jobs_that_run_after_the_call_or_after_the_cache_do_nothing,
        an_executor_that_runs_jobs_at_once_does_not_keep_the_caller_from_his_progress,
        what_is_stale_is_refreshed_before_it_returns,
        a_child_that_a_loader_forks_in_a_job_ends_its_batch_and_begins_no_other,
        a_child_that_progress_forks_goes_on_alone);
}
