/* The circuit breaker (lib/l2/breaker.c). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/platform.h"
#include "l2/breaker.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct breaker_limits limits = { 3, 100, 1000, 500 };

/* Random 0: the whole backoff. */
static void fail_times(struct breaker *breaker, int n, uint64_t now_ms)
{
    while (n-- > 0)
        breaker_failure(breaker, &limits, now_ms, 0);
}

START_TEST(it_opens_after_so_many_failures_in_a_row)
{
    struct breaker breaker = { 0 };

    fail_times(&breaker, 2, 1000);
    ck_assert_int_eq(breaker_closed(&breaker), 1);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1000), 1);
    breaker_success(&breaker); /* not in a row any more */
    fail_times(&breaker, 2, 1000);
    ck_assert_int_eq(breaker_closed(&breaker), 1);
    fail_times(&breaker, 1, 1000);
    ck_assert_int_eq(breaker_closed(&breaker), 0);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1000), 0);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1099), 0);
    ck_assert_uint_eq(breaker.opens, 1);
}
END_TEST

START_TEST(one_probe_at_a_time)
{
    struct breaker breaker = { 0 };

    fail_times(&breaker, 3, 1000);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1100), 1);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1100), 0);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1599), 0);
    /* The prober may be dead. */
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1600), 1);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1600), 0);
    breaker_success(&breaker);
    ck_assert_int_eq(breaker_closed(&breaker), 1);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1600), 1);
    ck_assert_int_eq(breaker_allows(&breaker, &limits, 1600), 1);
}
END_TEST

/* The pause after a failure at `now_ms`, found by asking. */
static uint64_t pause_after(const struct breaker *breaker, uint64_t now_ms)
{
    for (uint64_t at = now_ms;; at++) {
        struct breaker copy = *breaker;
        if (breaker_allows(&copy, &limits, at))
            return at - now_ms;
    }
}

START_TEST(the_backoff_doubles_up_to_its_maximum)
{
    static const uint64_t pauses[] = { 100, 200, 400, 800, 1000, 1000 };
    struct breaker breaker = { 0 };
    uint64_t now = 1000;

    fail_times(&breaker, 3, now);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        ck_assert_uint_eq(pause_after(&breaker, now), pauses[i]);
        now += pauses[i];
        ck_assert_int_eq(breaker_allows(&breaker, &limits, now), 1);
        breaker_failure(&breaker, &limits, now, 0);
    }
    for (int i = 0; i < 100; i++) { /* no exponent is too large */
        now += 1000;
        ck_assert_int_eq(breaker_allows(&breaker, &limits, now), 1);
        breaker_failure(&breaker, &limits, now, 0);
        ck_assert_uint_eq(pause_after(&breaker, now), 1000);
    }
    breaker_success(&breaker);
    fail_times(&breaker, 3, now);
    ck_assert_uint_eq(pause_after(&breaker, now), 100);
}
END_TEST

START_TEST(jitter_takes_away_at_most_half)
{
    struct dice dice = dice_of(1);
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < 1000; i++) {
        struct breaker breaker = { 0 };
        uint64_t pause;
        for (int k = 0; k < 3; k++)
            breaker_failure(&breaker, &limits, 1000, dice_roll(&dice));
        pause = pause_after(&breaker, 1000);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    ck_assert_uint_ge(least, 50);
    ck_assert_uint_lt(least, 60);
    ck_assert_uint_le(most, 100);
    ck_assert_uint_gt(most, 90);
}
END_TEST

START_TEST(late_failures_of_calls_that_were_under_way_do_not_lengthen_the_pause)
{
    struct breaker breaker = { 0 };

    fail_times(&breaker, 50, 1000); /* fifty callers waited for the same dead server */
    ck_assert_uint_eq(pause_after(&breaker, 1000), 100);
    ck_assert_uint_eq(breaker.opens, 1);
}
END_TEST

START_TEST(zero_limits_do_no_harm)
{
    static const struct breaker_limits none = { 0, 0, 0, 0 };
    struct breaker breaker = { 0 };

    breaker_failure(&breaker, &none, 0, 12345);
    ck_assert_int_eq(breaker_closed(&breaker), 0);
    ck_assert_int_eq(breaker_allows(&breaker, &none, 0), 1);
    breaker_success(&breaker);
    ck_assert_int_eq(breaker_closed(&breaker), 1);
}
END_TEST

struct crowd {
    struct breaker breaker;
    uint64_t now_ms;
    unsigned probes;
};

static void *ask(void *arg)
{
    struct crowd *crowd = arg;

    for (unsigned long i = scaled(20000); i; i--)
        __atomic_add_fetch(&crowd->probes, (unsigned)breaker_allows(&crowd->breaker, &limits, crowd->now_ms),
                           __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(of_a_crowd_of_threads_one_probes)
{
    struct crowd crowd = { .now_ms = 2000 };
    pthread_t threads[4];

    fail_times(&crowd.breaker, 3, 1000);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, ask, &crowd);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(crowd.probes, 1);
}
END_TEST

START_TEST(processes_share_it_and_a_killed_prober_is_replaced)
{
    struct breaker *breaker = mmap(NULL, sizeof *breaker, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;

    fail_times(breaker, 3, 1000);
    child = fork();
    if (child == 0) {
        if (breaker_allows(breaker, &limits, 1100) != 1)
            _exit(1);
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &(int){ 0 }, 0), child);
    ck_assert_int_eq(breaker_allows(breaker, &limits, 1100), 0); /* its claim outlives it */
    ck_assert_int_eq(breaker_allows(breaker, &limits, 1600), 1); /* but not for long */
    breaker_success(breaker);
    ck_assert_int_eq(breaker_closed(breaker), 1);
    munmap(breaker, sizeof *breaker);
}
END_TEST

/* Whatever half of an opening a dead process has left: it lets a probe through, and then it works. */
START_TEST(every_state_that_a_death_can_leave_heals)
{
    static const struct breaker states[] = {
        { 3, 0, 0, 0 },                   /* counted the third failure and died */
        { 3, 1, 0, 0 },                   /* opened, no time set */
        { 3, 1, 1100, 0 },                /* failures not reset */
        { 0, 1, 1600, 1 },                /* claimed the probe, no bit */
        { 0, 1u | 0x80000000u, 1600, 1 }, /* in the probe */
        { 0, 2, 1600, 1 },                /* the probe failed, no new time */
    };

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct breaker breaker = states[i];
        uint64_t now = 1000;
        while (!breaker_allows(&breaker, &limits, now))
            ck_assert_uint_lt(now++, 2000);
        breaker_failure(&breaker, &limits, now, 0);
        while (!breaker_allows(&breaker, &limits, now))
            ck_assert_uint_lt(now++, 4000);
        breaker_success(&breaker);
        ck_assert_int_eq(breaker_closed(&breaker), 1);
        fail_times(&breaker, 2, now);
        ck_assert_int_eq(breaker_closed(&breaker), 1);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_breaker", it_opens_after_so_many_failures_in_a_row, one_probe_at_a_time,
                     the_backoff_doubles_up_to_its_maximum, jitter_takes_away_at_most_half,
                     late_failures_of_calls_that_were_under_way_do_not_lengthen_the_pause, zero_limits_do_no_harm,
                     of_a_crowd_of_threads_one_probes, processes_share_it_and_a_killed_prober_is_replaced,
                     every_state_that_a_death_can_leave_heals);
}
