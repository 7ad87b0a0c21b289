/*
 * G5 between two tiers, deterministically: a process of a host is killed at a point inside a call of libcache, and another process of the
 * same host goes on rightly. test_kill_coherence.c does it at random. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include "l1/hook.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int last_point, countdown;

static void die_here(enum hook_point point)
{
    if ((int)point == last_point && countdown-- == 0)
        kill(getpid(), SIGKILL);
}

static void prepare_named(struct host *host, const struct redis_server *redis, unsigned number, const char *name)
{
    stage_prepare_host(host, redis, number);
    host->rig.options.segment = LIBCACHE_NAMED;
    host->rig.options.name = name;
}

/* A child of the same host does `act` and dies at the point. */
static void child_dies(struct stage *stage, const char *name, int point, void (*act)(struct host *host))
{
    static unsigned number = 10;
    int status;
    pid_t pid;

    number++;
    pid = fork();
    if (pid == 0) {
        struct host child;
        prepare_named(&child, &stage->redis, number, name);
        child.rig.clock = stage->host[0].rig.clock;
        stage_open_host(&child);
        last_point = point;
        hook_function = die_here;
        act(&child);
        _exit(0); /* it did not come by */
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child has not come by point %d: status %x", point,
                  (unsigned)status);
}

static void do_hear(struct host *host)
{
    libcache_poll(host->cache, 0);
}

static void do_invalidate(struct host *host)
{
    invalidate_tag(host->cache, "tag");
}

START_TEST(who_dies_in_the_middle_of_beginning_an_epoch_leaves_a_host_that_can_go_on)
{
    static const int points[] = { HOOK_POSITION, HOOK_EPOCH_BEGUN, HOOK_MIRROR_WRITTEN };

    for (int p = 0; p < 3; p++)
        for (int first = 0; first < 2; first++) { /* contact at all, or with another history */
            const char *name = segment_name("epoch");
            struct stage stage;
            struct host *a, *b;
            libcache_stamp stamp;
            char answer[200];
            stage_up(&stage, 0);
            a = &stage.host[0];
            b = &stage.host[1];
            prepare_named(a, &stage.redis, 0, name);
            stage_prepare_host(b, &stage.redis, 1);
            stage_open_host(a);
            stage_open_host(b);
            stage.n = 2;
            hear(b);
            if (!first) {
                hear(a);
                ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
                stamp = begin_load(a, "slow");
                REDIS(&stage.redis, answer, "DEL", META);
                hear(b);
                ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
            } else {
                ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
                stamp = begin_load(a, "slow");
                ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
            }
            child_dies(&stage, name, points[p], do_hear);
            ck_result(end_load(a, "slow", "old", "tag", &stamp), LIBCACHE_FENCED);
            ck_result(look(a->ns, "slow"), LIBCACHE_MISS);
            hear(a);
            ck_result(look(a->ns, "key"), LIBCACHE_MISS);
            ck_assert_uint_eq(mirror_of(a).redis_epoch, mirror_of(b).redis_epoch);
            ck_result(load(a, "key", "new", "tag"), LIBCACHE_OK);
            ck_value(a->ns, "key", "new");
            ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
            hear(a);
            ck_result(look(a->ns, "key"), LIBCACHE_MISS);
            stage_down(&stage);
            ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
        }
}
END_TEST

START_TEST(who_dies_between_redis_and_l1_has_told_everybody_all_the_same)
{
    static const struct {
        int point;
        void (*act)(struct host *host);
    } deaths[] = { { HOOK_ANSWERED, do_invalidate }, { HOOK_LOG_READ, do_hear }, { HOOK_LOG_APPLIED, do_hear },
                   { HOOK_MIRROR_WRITTEN, do_invalidate }, { HOOK_MIRROR_WRITTEN, do_hear } };

    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
        const char *name = segment_name("between");
        struct stage stage;
        struct host *a;
        stage_up(&stage, 0);
        a = &stage.host[0];
        stage.n = 2;
        prepare_named(a, &stage.redis, 0, name);
        stage_open_host(a);
        stage_prepare_host(&stage.host[1], &stage.redis, 1);
        stage_open_host(&stage.host[1]);
        hear(a);
        hear(&stage.host[1]);
        ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
        if (deaths[i].act == do_hear)
            ck_result(invalidate_tag(stage.host[1].cache, "tag"), LIBCACHE_OK);
        child_dies(&stage, name, deaths[i].point, deaths[i].act);
        hear(a);
        ck_result(look_l1(a, "key"), LIBCACHE_MISS);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        ck_assert_uint_eq(stats_of(a).epochs, 1);
        stage_down(&stage);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

/* Two hosts, the first with a named segment, which have heard all there is. */
static void named_up(struct stage *stage, const char *name)
{
    stage_up(stage, 0);
    stage->n = 2;
    prepare_named(&stage->host[0], &stage->redis, 0, name);
    stage_open_host(&stage->host[0]);
    stage_prepare_host(&stage->host[1], &stage->redis, 1);
    stage_open_host(&stage->host[1]);
    hear(&stage->host[0]);
    hear(&stage->host[1]);
}

static struct redis_server *away; /* for do_owe */

static void do_owe(struct host *host)
{
    redis_server_kill(away);
    last_point = HOOK_ALL_POINTS;
    invalidate_tag(host->cache, "first");
    last_point = HOOK_OWED_WRITTEN;
    invalidate_tag(host->cache, "second");
}

START_TEST(who_dies_while_owing_or_paying_leaves_a_queue_that_can_be_read)
{
    for (int paying = 0; paying < 2; paying++) {
        const char *name = segment_name("owing");
        struct stage stage;
        struct host *a, *b;
        char answer[200];
        named_up(&stage, name);
        a = &stage.host[0];
        b = &stage.host[1];
        ck_result(load(b, "key", "old", "first"), LIBCACHE_OK);
        REDIS(&stage.redis, answer, "SAVE");
        if (!paying) {
            struct redis_server its = stage.redis;
            away = &its;
            child_dies(&stage, name, HOOK_OWED_WRITTEN, do_owe);
            redis_server_kill(&stage.redis);
        } else {
            redis_server_kill(&stage.redis);
            ck_assert_int_lt(invalidate_tag(a->cache, "first"), 0);
        }
        ck_assert_uint_eq(stats_of(a).owed_bytes, 3 + 8);
        REDIS_AGAIN(&stage.redis, REDIS_KEPT);
        fake_clock_advance(&a->rig.clock, 10);
        if (paying) {
            child_dies(&stage, name, HOOK_OWED_TOLD, do_hear);
            ck_assert_uint_eq(stats_of(a).owed_bytes, 3 + 8); /* told, not noted: it will be told again */
        }
        hear_again(a);
        ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
        hear_again(b);
        ck_result(look(b->ns, "key"), LIBCACHE_MISS);
        ck_result(load(b, "key", "new", "first"), LIBCACHE_OK);
        ck_value(b->ns, "key", "new");
        stage_down(&stage);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

static void do_owe_everything(struct host *host)
{
    redis_server_kill(away);
    libcache_invalidate_all(host->cache, 0);
}

/* It is alone in the queue's head then, with no queue behind it. */
START_TEST(who_dies_at_everything_leaves_it_owed_and_what_comes_later_too)
{
    for (int paying = 0; paying < 2; paying++) {
        const char *name = segment_name("everything");
        struct stage stage;
        struct host *a, *b;
        char answer[200];
        named_up(&stage, name);
        a = &stage.host[0];
        b = &stage.host[1];
        ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
        REDIS(&stage.redis, answer, "SAVE");
        if (!paying) {
            struct redis_server its = stage.redis;
            away = &its;
            child_dies(&stage, name, HOOK_OWED_ALL, do_owe_everything);
            redis_server_kill(&stage.redis);
        } else {
            redis_server_kill(&stage.redis);
            ck_assert_int_lt(libcache_invalidate_all(a->cache, 0), 0);
            REDIS_AGAIN(&stage.redis, REDIS_KEPT);
            fake_clock_advance(&a->rig.clock, 10);
            child_dies(&stage, name, HOOK_OWED_PAID, do_hear);
            hear_again(b);
            ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
            REDIS(&stage.redis, answer, "SAVE");
            redis_server_kill(&stage.redis);
            ck_assert_int_lt(invalidate_tag(a->cache, "tag"), 0);
        }
        REDIS_AGAIN(&stage.redis, REDIS_KEPT);
        fake_clock_advance(&a->rig.clock, 10);
        hear_again(a);
        hear_again(b);
        ck_result(look(b->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence_deaths_hooks",
                     who_dies_in_the_middle_of_beginning_an_epoch_leaves_a_host_that_can_go_on,
                     who_dies_between_redis_and_l1_has_told_everybody_all_the_same,
                     who_dies_while_owing_or_paying_leaves_a_queue_that_can_be_read,
                     who_dies_at_everything_leaves_it_owed_and_what_comes_later_too);
}
