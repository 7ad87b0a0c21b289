/*
 * A copy into L1 whose marks Redis had to be asked for, overtaken by a delete between its GET and that question.
 * SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include "l1/hook.h"

static struct host *deleter;

/* The source has changed: host A says so, once, while host B holds the old value that it has just found in Redis. */
static void delete_meanwhile(enum hook_point point)
{
    if (point != HOOK_FOUND)
        return;
    hook_function = NULL;
    ck_result(delete_key(deleter, "key"), LIBCACHE_OK);
}

START_TEST(a_copy_verified_after_a_delete_is_not_served_once_the_delete_was_applied)
{
    struct stage stage;
    struct host *b;
    libcache_value value = LIBCACHE_VALUE_INIT;

    stage_up(&stage, 1);
    deleter = &stage.host[0];
    ck_result(load(deleter, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(invalidate_tag(deleter->cache, "another"), LIBCACHE_OK); /* so that B, which begins now, must ask */
    stage_prepare_host(&stage.host[1], &stage.redis, 1);
    stage_open_host(&stage.host[1]);
    stage.n = 2;
    b = &stage.host[1];
    hear(b);
    hook_function = delete_meanwhile;
    ck_result(libcache_get(b->ns, "key", 3, &value, 0), LIBCACHE_HIT); /* found before the delete: B may be given it */
    ck_assert_msg(!hook_function, "nothing was found in Redis");
    libcache_release_value(&value);
    hear(b);
    ck_result(look_l1(b, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

int main(void)
{
    return RUN_TESTS("reverify", a_copy_verified_after_a_delete_is_not_served_once_the_delete_was_applied);
}
