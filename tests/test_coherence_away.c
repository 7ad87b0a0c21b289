/*
 * Hosts that cannot reach Redis, or have not for a while: what they owe it, how long they serve what nobody vouches for, when
 * their calls read the log; and loads that are overtaken. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"
#include "support/stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void go_away(struct stage *stage)
{
    char answer[200];

    REDIS(&stage->redis, answer, "SAVE");
    redis_server_kill(&stage->redis);
}

/* ---- G3: loads that are overtaken ---------------------------------------------------------------------------------- */

START_TEST(a_load_that_a_change_overtakes_is_not_served_after_it)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++)
            for (int heard_late = 0; heard_late <= elsewhere; heard_late++) {
                struct stage stage;
                struct host *a, *b;
                libcache_stamp stamp;
                int result;
                stage_up(&stage, 2);
                a = &stage.host[0];
                b = &stage.host[1];
                stamp = begin_load(a, "key");
                ck_result(invalidate_somehow(elsewhere ? b : a, kind), LIBCACHE_OK);
                if (!heard_late)
                    hear(a);
                result = end_load(a, "key", "old", "tag", &stamp);
                ck_assert(result == LIBCACHE_FENCED || (result == LIBCACHE_OK && heard_late));
                if (elsewhere) /* G1 of b; else it has not heard of it yet */
                    ck_result(look(b->ns, "key"), LIBCACHE_MISS);
                hear(a);
                ck_result(look_l1(a, "key"), LIBCACHE_MISS);
                ck_result(look(a->ns, "key"), LIBCACHE_MISS);
                hear(b);
                ck_result(look(b->ns, "key"), LIBCACHE_MISS);
                ck_result(load(a, "key", "new", "tag"), LIBCACHE_OK);
                ck_value(b->ns, "key", "new");
                stage_down(&stage);
            }
}
END_TEST

START_TEST(a_load_that_began_earlier_does_not_replace_what_a_later_one_has_stored)
{
    struct stage stage;
    struct host *a, *b;
    libcache_stamp stamp;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    stamp = begin_load(a, "key");
    ck_result(invalidate_tag(b->cache, "x"), LIBCACHE_OK);
    ck_result(load(b, "key", "new", "tag"), LIBCACHE_OK);
    ck_result(end_load(a, "key", "old", "tag", &stamp), LIBCACHE_FENCED);
    ck_value(a->ns, "key", "new");
    stage_down(&stage);
}
END_TEST

/* ---- What Redis is owed --------------------------------------------------------------------------------------------- */

START_TEST(what_redis_could_not_be_told_it_is_told_later)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int by_a_change = 0; by_a_change < 2; by_a_change++) {
            struct stage stage;
            struct host *a, *b;
            uint64_t owed;
            stage_up(&stage, 2);
            a = &stage.host[0];
            b = &stage.host[1];
            ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
            ck_value(a->ns, "key", "old");
            go_away(&stage);
            ck_assert_int_lt(invalidate_somehow(a, kind), 0);
            ck_result(look_l1(a, "key"), LIBCACHE_MISS); /* here at once, whatever Redis says */
            owed = stats_of(a).owed_bytes;
            ck_assert_uint_gt(owed, 0);
            ck_assert_int_lt(invalidate_somehow(a, kind), 0);
            ck_assert_uint_eq(stats_of(a).owed_bytes, owed); /* the same name once */
            ck_result(look_l1(b, "key"), LIBCACHE_HIT);
            REDIS_AGAIN(&stage.redis, REDIS_KEPT);
            fake_clock_advance(&a->rig.clock, 10);
            if (by_a_change)
                ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
            else
                hear_again(a);
            ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
            ck_result(look(a->ns, "key"), LIBCACHE_MISS);
            hear_again(b);
            ck_result(look(b->ns, "key"), LIBCACHE_MISS);
            stage_down(&stage);
        }
}
END_TEST

START_TEST(what_redis_refuses_to_be_told_is_owed_once_however_often_it_is_tried)
{
    struct stage stage;
    struct host *a, *b;
    char answer[200];
    uint64_t owed;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
    REDIS(&stage.redis, answer, "CONFIG", "SET", "maxmemory", "1"); /* reads are answered, changes are not */
    ck_assert_int_lt(invalidate_tag(a->cache, "tag"), 0);
    owed = stats_of(a).owed_bytes;
    ck_assert_uint_gt(owed, 0);
    for (int i = 0; i < 5; i++) {
        hear_again(a);
        ck_assert_int_lt(invalidate_tag(a->cache, "tag"), 0);
        ck_assert_uint_eq(stats_of(a).owed_bytes, owed);
    }
    REDIS(&stage.redis, answer, "CONFIG", "SET", "maxmemory", "0");
    hear_again(a);
    ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
    hear_again(b);
    ck_result(look(b->ns, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

START_TEST(a_set_that_redis_could_not_be_told_is_owed_as_an_invalidation)
{
    struct stage stage;
    struct host *a, *b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(put(a->ns, "key", "old"), LIBCACHE_OK);
    ck_value(b->ns, "key", "old");
    go_away(&stage);
    ck_assert_int_lt(put(a->ns, "key", "new"), 0);
    ck_assert_uint_gt(stats_of(a).owed_bytes, 0);
    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
    hear_again(a);
    hear_again(b);
    ck_result(look(b->ns, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

START_TEST(more_than_fits_becomes_everything)
{
    struct stage stage;
    struct host *a, *b;
    char tag[40];

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(b, "key", "old", "tag 7"), LIBCACHE_OK);
    ck_result(load(b, "other", "old", "other tag"), LIBCACHE_OK);
    go_away(&stage);
    for (int i = 0; i < 2000 && stats_of(a).owed_bytes != 1; i++) {
        snprintf(tag, sizeof tag, "tag %d", i);
        ck_assert_int_lt(invalidate_tag(a->cache, tag), 0);
    }
    ck_assert_uint_eq(stats_of(a).owed_bytes, 1);
    ck_assert_int_lt(invalidate_tag(a->cache, "one more"), 0);
    ck_assert_uint_eq(stats_of(a).owed_bytes, 1);
    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
    hear_again(a);
    ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
    hear_again(b);
    ck_result(look(b->ns, "key"), LIBCACHE_MISS);
    ck_result(look(b->ns, "other"), LIBCACHE_MISS);
    go_away(&stage); /* and the queue is of use again */
    ck_assert_int_lt(invalidate_tag(a->cache, "x"), 0);
    ck_assert_uint_eq(stats_of(a).owed_bytes, 3 + 8);
    stage_down(&stage);
}
END_TEST

START_TEST(what_is_owed_outlives_who_owed_it_and_another_process_pays)
{
    for (int open_meanwhile = 0; open_meanwhile < 2; open_meanwhile++) {
        const char *name = segment_name("owed");
        struct stage stage;
        struct host *a, *b;
        int status;
        pid_t pid;
        stage_up(&stage, 0);
        stage.n = 2;
        a = &stage.host[0];
        b = &stage.host[1];
        stage_prepare_host(a, &stage.redis, 0);
        a->rig.options.segment = LIBCACHE_NAMED;
        a->rig.options.name = name;
        stage_prepare_host(b, &stage.redis, 1);
        stage_open_host(b);
        hear(b);
        ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
        if (open_meanwhile)
            stage_open_host(a);
        go_away(&stage);
        pid = fork();
        if (pid == 0) {
            struct host child = *a;
            if (!open_meanwhile)
                stage_open_host(&child);
            invalidate_tag(child.cache, "tag");
            kill(getpid(), SIGKILL);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        if (!open_meanwhile)
            stage_open_host(a);
        ck_assert_uint_eq(stats_of(a).owed_bytes, 3 + 8);
        REDIS_AGAIN(&stage.redis, REDIS_KEPT);
        hear_again(a);
        ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
        hear_again(b);
        ck_result(look(b->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

/* ---- max_staleness ------------------------------------------------------------------------------------------------------ */

START_TEST(what_the_last_news_does_not_cover_is_served_for_max_staleness_and_no_longer)
{
    struct stage stage;
    struct host *a;
    libcache_stamp stamp;

    stage_up(&stage, 1);
    a = &stage.host[0];
    fake_clock_advance(&a->rig.clock, 50);
    hear(a);
    ck_assert_uint_eq(stats_of(a).coherence_age_ms, 0);
    ck_result(load(a, "key", "value", "tag"), LIBCACHE_OK);
    go_away(&stage);
    fake_clock_advance(&a->rig.clock, STALENESS_MS);
    ck_assert_uint_eq(stats_of(a).coherence_age_ms, STALENESS_MS);
    ck_value(a->ns, "key", "value");
    fake_clock_advance(&a->rig.clock, 1);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_eq(stats_of(a).coherence_age_ms, STALENESS_MS + 1);

    stamp = begin_load(a, "new"); /* what is stored meanwhile is bounded by its load's begin */
    fake_clock_advance(&a->rig.clock, 500);
    ck_assert_int_lt(end_load(a, "new", "value", "tag", &stamp), 0);
    ck_value(a->ns, "new", "value");
    fake_clock_advance(&a->rig.clock, STALENESS_MS - 501);
    ck_value(a->ns, "new", "value");
    fake_clock_advance(&a->rig.clock, 2);
    ck_result(look(a->ns, "new"), LIBCACHE_MISS);

    stamp = begin_load(a, "slow"); /* slower than that: of no use any more */
    fake_clock_advance(&a->rig.clock, STALENESS_MS + 1);
    end_load(a, "slow", "value", "tag", &stamp);
    ck_result(look(a->ns, "slow"), LIBCACHE_MISS);

    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
    hear_again(a);
    ck_assert_uint_le(stats_of(a).coherence_age_ms, 2);
    ck_assert_uint_eq(stats_of(a).epochs, 1);
    ck_result(look_l1(a, "key"), LIBCACHE_HIT); /* nothing had happened: all of it is vouched for again */
    ck_value(a->ns, "key", "value");
    stage_down(&stage);
}
END_TEST

/* The bound is an end like that of a TTL: fresh until then, and in its grace, when there is news again, better than nothing. */
START_TEST(what_is_loaded_without_news_is_fresh_for_max_staleness_whatever_its_grace)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    struct stage stage;
    struct host *a;

    policy.grace_ms = 3600 * 1000;
    stage_up(&stage, 1);
    a = &stage.host[0];
    a->ns = space_with(&a->rig, "graced", &policy);
    go_away(&stage);
    fake_clock_advance(&a->rig.clock, STALENESS_MS + 1);
    ck_assert_int_lt(commit(begin(a->ns, "key", 0, LIBCACHE_LEAD), "value"), 0);
    ck_result(look_l1(a, "key"), LIBCACHE_HIT);
    ck_assert_ptr_null(begin_value(a->ns, "key", 0, LIBCACHE_HIT, "value"));
    fake_clock_advance(&a->rig.clock, STALENESS_MS - 1);
    ck_assert_ptr_null(begin_value(a->ns, "key", 0, LIBCACHE_HIT, "value"));
    fake_clock_advance(&a->rig.clock, 1);
    ck_result(look_l1(a, "key"), LIBCACHE_MISS);
    libcache_load_abort(begin(a->ns, "key", 0, LIBCACHE_LEAD), 0);

    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
    hear_again(a);
    ck_result(look_l1(a, "key"), LIBCACHE_MISS);
    libcache_load_abort(begin_value(a->ns, "key", 0, LIBCACHE_STALE, "value"), 0);
    stage_down(&stage);
}
END_TEST

START_TEST(what_was_invalidated_meanwhile_is_gone_when_the_host_has_caught_up)
{
    struct stage stage;
    struct host *a, *b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(load(a, "good", "value", "other"), LIBCACHE_OK);
    fake_clock_advance(&a->rig.clock, STALENESS_MS + 1);
    ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
    ck_result(look_l1(a, "key"), LIBCACHE_MISS);
    ck_result(look_l1(a, "good"), LIBCACHE_MISS);
    hear(a);
    ck_result(look_l1(a, "key"), LIBCACHE_MISS);
    ck_result(look_l1(a, "good"), LIBCACHE_HIT);
    stage_down(&stage);
}
END_TEST

/* ---- Hosts that are polled -------------------------------------------------------------------------------------------------- */

static unsigned long readings(struct stage *stage)
{
    static char answer[60000];
    const char *line;

    REDIS(&stage->redis, answer, "INFO", "commandstats");
    line = strstr(answer, "cmdstat_xread:calls=");
    return line ? strtoul(line + strlen("cmdstat_xread:calls="), NULL, 10) : 0;
}

enum { CALLS = 7 };

static void call(struct host *a, int which)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_slice key = LIBCACHE_STR("key");
    libcache_stamp stamp;
    int result;

    switch (which) {
    case 0: libcache_get(a->ns, "key", 3, &value, 0); break;
    case 1: libcache_get_many(a->ns, &key, 1, &value, &result, NULL, 0); break;
    case 2: libcache_take_stamp(a->ns, "key", 3, &stamp); break;
    case 3: put(a->ns, "key", "value"); break;
    case 4: libcache_get(a->ns, "absent", 6, &value, 0); break;
    case 5: libcache_get(a->ns, "key", 3, &value, LIBCACHE_SKIP_L1); break;
    default: libcache_exists(a->ns, "absent", 6, 0);
    }
    libcache_release_value(&value);
}

START_TEST(a_call_that_finds_the_log_unread_for_long_reads_it_and_others_do_not)
{
    struct stage stage;
    struct host *a;
    unsigned long before;
    libcache_value value = LIBCACHE_VALUE_INIT;

    stage_up(&stage, 1);
    a = &stage.host[0];
    for (int which = 0; which < CALLS; which++) {
        hear(a);
        ck_result(load(a, "key", "value", "tag"), LIBCACHE_OK);
        before = readings(&stage);
        for (int i = 0; i < 5; i++)
            call(a, which);
        fake_clock_advance(&a->rig.clock, POLL_MS - 1);
        call(a, which);
        ck_assert_uint_eq(readings(&stage), before);
        fake_clock_advance(&a->rig.clock, 1);
        ck_result(libcache_get(a->ns, "key", 3, &value, LIBCACHE_SKIP_L2), LIBCACHE_HIT);
        ck_assert_uint_eq(readings(&stage), before);
        call(a, which);
        ck_assert_msg(readings(&stage) == before + 1, "call %d has not read the log", which);
        for (int i = 0; i < 5; i++)
            call(a, which);
        ck_assert_uint_eq(readings(&stage), before + 1);
        ck_assert_uint_eq(stats_of(a).coherence_age_ms, 0);
    }
    libcache_release_value(&value);
    stage_down(&stage);
}
END_TEST

START_TEST(a_read_that_polls_does_not_give_what_it_has_just_heard_to_be_old)
{
    struct stage stage;
    struct host *a, *b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
    fake_clock_advance(&a->rig.clock, POLL_MS);
    {
        libcache_value value = LIBCACHE_VALUE_INIT;
        ck_result(libcache_get(a->ns, "key", 3, &value, 0), LIBCACHE_MISS);
    }
    stage_down(&stage);
}
END_TEST

START_TEST(poll_says_how_it_went)
{
    struct stage stage;
    struct host *a;
    struct rig alone;
    uint64_t begun;

    rig_up(&alone);
    ck_result(libcache_poll(NULL, 0), LIBCACHE_EINVAL);
    ck_result(libcache_poll(alone.cache, 0), LIBCACHE_EUNSUPPORTED);
    rig_down(&alone);
    stage_up(&stage, 1);
    a = &stage.host[0];
    ck_result(libcache_poll(a->cache, 0), LIBCACHE_OK);
    redis_server_pause(&stage.redis);
    begun = real_ms();
    ck_result(libcache_poll(a->cache, 50), LIBCACHE_ETIMEDOUT);
    ck_assert_uint_ge(real_ms() - begun, 49);
    ck_assert_uint_le(real_ms() - begun, 9000); /* long before the policy's time for Redis */
    redis_server_resume(&stage.redis);
    hear_again(a);
    redis_server_kill(&stage.redis);
    fake_clock_advance(&a->rig.clock, 2);
    libcache_poll(a->cache, 0); /* may still find its connection dead only by using it */
    fake_clock_advance(&a->rig.clock, 2);
    ck_result(libcache_poll(a->cache, 0), LIBCACHE_EUNAVAILABLE);
    stage_down(&stage);
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence_away", a_load_that_a_change_overtakes_is_not_served_after_it,
                     a_load_that_began_earlier_does_not_replace_what_a_later_one_has_stored,
                     what_redis_could_not_be_told_it_is_told_later,
                     what_redis_refuses_to_be_told_is_owed_once_however_often_it_is_tried,
                     a_set_that_redis_could_not_be_told_is_owed_as_an_invalidation, more_than_fits_becomes_everything,
                     what_is_owed_outlives_who_owed_it_and_another_process_pays,
                     what_the_last_news_does_not_cover_is_served_for_max_staleness_and_no_longer,
                     what_is_loaded_without_news_is_fresh_for_max_staleness_whatever_its_grace,
                     what_was_invalidated_meanwhile_is_gone_when_the_host_has_caught_up,
                     a_call_that_finds_the_log_unread_for_long_reads_it_and_others_do_not,
                     a_read_that_polls_does_not_give_what_it_has_just_heard_to_be_old, poll_says_how_it_went);
}
