/* Children that are forked while a cache is warmed up, and come back to it. SPDX-License-Identifier: MIT */
#include "support/crowd.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct executor executor;

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

/* The child comes back at once, the parent when it has noted the child's status. */
static void fork_once(struct crowd *c)
{
    pid_t pid = fork(), ended = 0;

    if (pid == 0)
        return;
    await(c, pid > 0 && (ended = ended ? ended : waitpid(pid, &c->status, WNOHANG)) != 0);
    if (pid > 0 && !ended) {
        kill(pid, SIGKILL);
        waitpid(pid, &c->status, 0);
    }
    SET(c->forked, 1);
}

/* In the job's loader or, with forks_caller, in the caller's, while both are in theirs. */
static void fork_in_loader(struct crowd *c, const libcache_slice *keys)
{
    if (GET(c->forked) || getpid() != c->parent)
        return;
    crowd_meet(c, keys);
    if ((pthread_equal(c->caller, pthread_self()) != 0) == c->forks_caller)
        fork_once(c);
    else
        await(c, GET(c->forked));
}

/* The job is in its loader while progress forks. */
static void wait_for_fork(struct crowd *c, const libcache_slice *keys)
{
    if (GET(c->forked) || getpid() != c->parent)
        return;
    crowd_meet(c, keys);
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

/* told: how far the child comes. */
static void ck_forks(struct crowd *c, int (*progress)(void *arg, size_t done, size_t n), size_t told)
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
    result = crowd_warm(c, rig.ns, LETTERS, 2, 3, progress);
    if (getpid() != c->parent)
        end_child(result == LIBCACHE_OK && c->source.calls == 12 && c->told == told); /* all but the other's batch */
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
    struct crowd c = { .during = fork_in_loader, .wanted = 2 };

    ck_forks(&c, crowd_told, 0);
}
END_TEST

START_TEST(a_child_that_the_callers_loader_forks_goes_on_alone)
{
    struct crowd c = { .during = fork_in_loader, .wanted = 2, .forks_caller = 1 };

    ck_forks(&c, crowd_told, 22); /* the batch in which it was forked does not count */
}
END_TEST

START_TEST(a_child_that_progress_forks_goes_on_alone)
{
    struct crowd c = { .during = wait_for_fork, .wanted = 2 };

    ck_forks(&c, fork_when_told, 24);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_warm_fork", a_child_that_a_loader_forks_in_a_job_ends_its_batch_and_begins_no_other,
                     a_child_that_the_callers_loader_forks_goes_on_alone, a_child_that_progress_forks_goes_on_alone);
}
