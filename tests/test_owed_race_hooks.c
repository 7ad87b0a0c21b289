/*
 * What is owed again while it is being told: the source has changed once more, after Redis was told of the first change. It must be told
 * of the second as well. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include "l1/hook.h"

static struct stage stage;
static int done, all;

static int change(struct host *host)
{
    return all ? libcache_invalidate_all(host->cache, 0) : invalidate_tag(host->cache, "first");
}

static void owe_again(enum hook_point point)
{
    struct host *a = &stage.host[0], *b = &stage.host[1];
    char answer[200];

    if (point != HOOK_OWED_TOLD || done++)
        return;
    hook_function = NULL;
    hear(b);
    ck_result(load(b, "key", "old", "first"), LIBCACHE_OK); /* after what was owed was told */
    ck_result(look_l1(b, "key"), LIBCACHE_HIT);
    REDIS(&stage.redis, answer, "SAVE");
    redis_server_kill(&stage.redis);
    ck_assert_int_lt(change(a), 0);
    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
}

static void check(int everything)
{
    struct host *a, *b;
    char answer[200];

    all = everything;
    done = 0;
    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    REDIS(&stage.redis, answer, "SAVE");
    redis_server_kill(&stage.redis);
    ck_assert_int_lt(change(a), 0);
    REDIS_AGAIN(&stage.redis, REDIS_KEPT);
    fake_clock_advance(&a->rig.clock, 10);
    fake_clock_advance(&b->rig.clock, 10);
    hook_function = owe_again;
    hear_again(a);
    hook_function = NULL;
    ck_assert_int_eq(done, 1);
    hear_again(a);
    hear_again(a);
    ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
    hear_again(b);
    ck_result(look_l1(b, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}

START_TEST(a_tag_that_is_owed_again_while_it_is_being_told_is_told_again)
{
    check(0);
}
END_TEST

START_TEST(everything_that_is_owed_again_while_it_is_being_told_is_told_again)
{
    check(1);
}
END_TEST

int main(void)
{
    return RUN_TESTS("owed_race_hooks", a_tag_that_is_owed_again_while_it_is_being_told_is_told_again,
                     everything_that_is_owed_again_while_it_is_being_told_is_told_again);
}
