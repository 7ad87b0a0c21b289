/*
 * Leaders that are late or gone, and those who wait for them: lease, wait, bypass, and threads that block. In one process and
 * without Redis. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_BLOCK LIBCACHE_NO_BLOCK

/* "loads" has soft TTL 10 s, TTL 60 s, grace 30 s, backoff 1 s, and loads are believed for 5 s. */
static libcache_ns *loads_space(const struct rig *rig)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.soft_ttl_ms = 10000;
    policy.ttl_ms = 60000;
    policy.grace_ms = 30000;
    policy.load_backoff_ms = 1000;
    policy.load_timeout_ms = 5000;
    policy.negative_ttl_ms = 20000;
    return space_with(rig, "loads", &policy);
}

static libcache_ns *up(struct rig *rig)
{
    rig_up(rig);
    return loads_space(rig);
}

static void load_now(libcache_ns *ns, const char *key, const char *text)
{
    ck_result(commit(begin(ns, key, NO_BLOCK, LIBCACHE_LEAD), text), LIBCACHE_OK);
}

/* ---- Leaders that are late or gone --------------------------------------------------------------------------------------- */

START_TEST(a_forgotten_load_holds_up_nobody_for_longer_than_its_time)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *forgotten = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *a = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT), *b;

    fake_clock_advance(&rig.clock, 4999);
    ck_wait(&a, LIBCACHE_WAIT);
    fake_clock_advance(&rig.clock, 1);
    ck_wait(&a, LIBCACHE_LEAD);
    b = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    libcache_load_abort(forgotten, -1); /* remembered after all: it is nobody's leader any more */
    ck_wait(&b, LIBCACHE_WAIT);
    ck_result(commit(a, "value"), LIBCACHE_OK);
    ck_wait(&b, LIBCACHE_HIT);
    rig_down(&rig);
}
END_TEST

START_TEST(a_late_commit_is_stored_if_nothing_has_overtaken_it_and_ends_nobody_elses_load)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *late = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), *leader, *waiter;

    fake_clock_advance(&rig.clock, 5000);
    leader = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD);
    waiter = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    ck_result(commit(late, "late"), LIBCACHE_OK);
    ck_wait(&waiter, LIBCACHE_WAIT);
    ck_result(commit(leader, "value"), LIBCACHE_OK);
    ck_wait(&waiter, LIBCACHE_HIT);
    ck_value(ns, "key", "value");
    rig_down(&rig);
}
END_TEST

START_TEST(who_has_waited_for_long_enough_loads_for_himself)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *leader = begin(ns, "key", 0, LIBCACHE_LEAD), *bypass = NULL;
    uint64_t begun = real_ms();

    options.wait_ms = 30;
    ck_result(libcache_load_begin(&bypass, ns, "key", 3, &value, &options), LIBCACHE_BYPASS);
    ck_assert_uint_ge(real_ms() - begun, 29);
    ck_result(commit(bypass, "mine"), LIBCACHE_OK);
    ck_value(ns, "key", "mine");
    ck_result(commit(leader, "value"), LIBCACHE_OK);
    ck_value(ns, "key", "value");
    ck_assert_uint_eq(rig_stats(&rig).load_waits, 1);
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 1);
    rig_down(&rig);
}
END_TEST

START_TEST(where_there_is_no_room_to_say_who_leads_everybody_loads)
{
    enum { MANY = 4000 };
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load **loads = calloc(MANY, sizeof *loads);
    unsigned leads = 0, bypasses = 0, stored = 0;

    for (int i = 0; i < MANY; i++) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        char key[40];
        int result, size = snprintf(key, sizeof key, "key %d", i);
        result = libcache_load_begin(&loads[i], ns, key, (size_t)size, &value, NULL);
        ck_assert(result == LIBCACHE_LEAD || result == LIBCACHE_BYPASS);
        ck_assert_ptr_nonnull(loads[i]);
        leads += result == LIBCACHE_LEAD;
        bypasses += result == LIBCACHE_BYPASS;
    }
    ck_assert_uint_gt(leads, 8);
    ck_assert_uint_gt(bypasses, 0);
    for (int i = 0; i < MANY; i++)
        stored += commit(loads[i], "value") == LIBCACHE_OK;
    ck_assert_uint_eq(stored, MANY);
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, bypasses);
    load_now(ns, "afterwards", "there is room again");
    free(loads);
    rig_down(&rig);
}
END_TEST

START_TEST(what_a_load_costs_does_not_include_waiting_for_others)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *a, *b;
    libcache_ns *ns;

    rig_up(&rig);
    policy.early_percent = 100;
    ns = space_with(&rig, "early", &policy);
    a = begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD);
    b = begin(ns, "key", NO_BLOCK, LIBCACHE_WAIT);
    fake_clock_advance(&rig.clock, 3000);
    libcache_load_abort(a, 0);
    ck_wait(&b, LIBCACHE_LEAD);
    fake_clock_advance(&rig.clock, 7);
    ck_result(commit(b, "value"), LIBCACHE_OK);
    ck_result(libcache_get(ns, "key", 3, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_assert_uint_eq(value.load_ms, 7);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_leader_that_is_dead_but_not_yet_reaped_is_dead)
{
    struct rig rig;
    siginfo_t info;
    pid_t child;
    libcache_ns *ns;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig_open(&rig);
    ns = loads_space(&rig);
    child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0); /* it stays a zombie */
    libcache_load_abort(begin(ns, "key", NO_BLOCK, LIBCACHE_LEAD), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    rig_down(&rig);
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------------------------------------------- */

static void *commit_there(void *load)
{
    return (void *)(intptr_t)commit(load, "value");
}

START_TEST(a_load_may_be_ended_by_another_thread_and_wakes_those_who_block)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", 0, LIBCACHE_LEAD);
    struct source source = { .text = "not needed" };
    struct asker askers[8];
    pthread_t thread;
    void *result;

    for (int i = 0; i < 8; i++) {
        askers[i] = (struct asker){ .ns = ns, .key = "key", .source = &source };
        asker_start(&askers[i]);
    }
    until(rig_stats(&rig).load_waits == 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, commit_there, leader), 0);
    pthread_join(thread, &result);
    ck_result((int)(intptr_t)result, LIBCACHE_OK);
    for (int i = 0; i < 8; i++)
        asker_end(&askers[i], LIBCACHE_HIT, "value");
    ck_assert_uint_eq(source.calls, 0);
    rig_down(&rig);
}
END_TEST

START_TEST(of_those_who_block_one_loads_when_the_leader_gives_up)
{
    struct rig rig;
    libcache_ns *ns = up(&rig);
    libcache_load *leader = begin(ns, "key", 0, LIBCACHE_LEAD);
    struct source source = { .text = "value" };
    struct asker askers[8];

    for (int i = 0; i < 8; i++) {
        askers[i] = (struct asker){ .ns = ns, .key = "key", .source = &source };
        asker_start(&askers[i]);
    }
    until(rig_stats(&rig).load_waits == 8);
    libcache_load_abort(leader, 0);
    for (int i = 0; i < 8; i++)
        asker_end(&askers[i], LIBCACHE_HIT, "value");
    ck_assert_uint_eq(source.calls, 1);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

/* Who is not woken looks after his leader every 50 ms. A busy machine may take the processor away, so the best of some attempts counts. */
START_TEST(those_who_block_are_woken_at_once)
{
    enum { WOKEN_MS = 20, ATTEMPTS = 20 };
    struct rig rig;
    libcache_ns *ns = up(&rig);
    struct source source = { .text = "not needed" };
    uint64_t best_ms = UINT64_MAX;

    for (unsigned i = 0; i < ATTEMPTS && best_ms > WOKEN_MS; i++) {
        char key[20];
        struct asker asker = { .ns = ns, .key = key, .source = &source };
        libcache_load *leader;
        uint64_t begun, ended;
        snprintf(key, sizeof key, "key %u", i);
        leader = begin(ns, key, 0, LIBCACHE_LEAD);
        asker_start(&asker);
        until(rig_stats(&rig).load_waits == i + 1);
        begun = real_ms();
        until(real_ms() - begun >= 5); /* he sleeps by now, most likely */
        ended = real_ms();
        ck_result(commit(leader, "value"), LIBCACHE_OK);
        asker_end(&asker, LIBCACHE_HIT, "value");
        if (ended - begun < 15 && real_ms() - ended < best_ms) /* else he may just have looked */
            best_ms = real_ms() - ended;
    }
    ck_assert_msg(best_ms <= WOKEN_MS, "woken after %lu ms at best", (unsigned long)best_ms);
    ck_assert_uint_eq(source.calls, 0);
    rig_down(&rig);
}
END_TEST

static void let_them_come(struct source *source, const libcache_slice *key)
{
    const struct rig *rig = source->arg;

    (void)key;
    until(rig_stats(rig).load_waits == 8 + 7); /* all others wait again, for this load */
}

START_TEST(of_those_who_wait_for_a_leader_that_does_not_come_back_one_leads_and_the_others_wait_for_him)
{
    struct rig rig;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_load *stopped;
    struct source source = { .text = "value", .during = let_them_come, .arg = &rig };
    struct asker askers[8];
    libcache_ns *ns;
    uint64_t begun;

    rig_up(&rig);
    policy.load_timeout_ms = 1500;
    ns = space_with(&rig, "loads", &policy);
    stopped = begin(ns, "key", 0, LIBCACHE_LEAD);
    begun = real_ms();
    for (int i = 0; i < 8; i++) {
        askers[i] = (struct asker){ .ns = ns, .key = "key", .source = &source };
        asker_start(&askers[i]);
    }
    until(rig_stats(&rig).load_waits == 8);
    until(real_ms() - begun > 1600); /* for as long as he is believed, and somewhat */
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 0);
    fake_clock_advance(&rig.clock, 1500);
    for (int i = 0; i < 8; i++)
        asker_end(&askers[i], LIBCACHE_HIT, "value");
    ck_assert_uint_eq(source.calls, 1);
    ck_assert_uint_eq(rig_stats(&rig).load_bypasses, 0);
    ck_result(commit(stopped, "late"), LIBCACHE_OK);
    source_done(&source);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_late", a_forgotten_load_holds_up_nobody_for_longer_than_its_time,
                     a_late_commit_is_stored_if_nothing_has_overtaken_it_and_ends_nobody_elses_load,
                     who_has_waited_for_long_enough_loads_for_himself,
                     what_a_load_costs_does_not_include_waiting_for_others, a_leader_that_is_dead_but_not_yet_reaped_is_dead,
                     where_there_is_no_room_to_say_who_leads_everybody_loads,
                     a_load_may_be_ended_by_another_thread_and_wakes_those_who_block,
                     those_who_block_are_woken_at_once, of_those_who_block_one_loads_when_the_leader_gives_up,
                     of_those_who_wait_for_a_leader_that_does_not_come_back_one_leads_and_the_others_wait_for_him);
}
