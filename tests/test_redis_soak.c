/* Opened, used, closed, with Redis coming and going: nothing is left behind. SPDX-License-Identifier: MIT */
#include "support/hosts.h"

#include <stdio.h>
#include <string.h>

static struct hosts hosts;

/* Some of everything; what it gives depends on whether Redis is there. */
static void use(struct rig *rig, struct dice *dice)
{
    static char big[20000];
    libcache_slice tag = LIBCACHE_STR("tag"), keys[3];
    libcache_value values[3] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    char names[3][20];
    int results[3];

    options.tags = &tag;
    options.n_tags = 1;
    for (int i = 0; i < 3; i++)
        keys[i] = (libcache_slice){ names[i], (size_t)snprintf(names[i], sizeof names[i], "key-%d", (int)dice_below(dice, 50)) };
    libcache_set(rig->ns, names[0], keys[0].size, big, dice_below(dice, sizeof big), &options);
    libcache_get_many(rig->ns, keys, 3, values, results, NULL, dice_chance(dice, 50) ? LIBCACHE_SKIP_L1 : 0);
    libcache_delete(rig->ns, names[1], keys[1].size, 0);
    libcache_increment(rig->ns, "number", 6, 1, NULL, NULL);
    libcache_touch(rig->ns, names[2], keys[2].size, 5000, 0);
    if (dice_chance(dice, 10))
        libcache_invalidate_tags(rig->cache, &tag, 1, 0);
    libcache_poll(rig->cache, 0);
    fake_clock_advance(&rig->clock, dice_below(dice, 200));
    for (int i = 0; i < 3; i++)
        libcache_release_value(&values[i]);
}

static void restart(struct rig *rig, struct dice *dice)
{
    redis_server_kill(&hosts.redis);
    for (int i = 0; i < 10; i++)
        use(rig, dice);
    REDIS_AGAIN(&hosts.redis, REDIS_EMPTY);
    fake_clock_advance(&rig->clock, 60000);
    ck_poll(rig);
}

START_TEST(a_cache_that_is_closed_leaves_nothing)
{
    struct dice dice = dice_of(1);
    unsigned files = 0;

    hosts_prepare(&hosts, NULL);
    for (unsigned long round = 0; round < scaled(24) + 2; round++) {
        struct rig *rig = &hosts.a;
        host_prepare(rig, &hosts.redis);
        rig->options.listener = (int)(round % 2);
        rig->options.segment = round % 4 < 2 ? LIBCACHE_PRIVATE : LIBCACHE_SHARED;
        rig->options.pool_min = 1 + round % 3;
        rig->options.memory_bytes = 1 << 20;
        rig_open(rig);
        for (int i = 0; i < 20; i++)
            use(rig, &dice);
        if (round % 3 == 1)
            restart(rig, &dice);
        if (round % 3 == 2)
            redis_server_kill(&hosts.redis);
        rig_down(rig);
        if (round % 3 == 2)
            REDIS_AGAIN(&hosts.redis, REDIS_KEPT);
        if (round == 1)
            files = open_files();
        if (round > 1)
            ck_assert_uint_eq(open_files(), files);
    }
    redis_server_stop(&hosts.redis);
}
END_TEST

START_TEST(a_cache_that_stays_open_does_not_grow)
{
    struct dice dice = dice_of(2);
    unsigned files = 0;
    int64_t live = 0;

    hosts_prepare(&hosts, NULL);
    hosts.a.options.pool_max = 2;
    host_open(&hosts.a);
    for (unsigned long round = 0; round < scaled(24) + 2; round++) {
        restart(&hosts.a, &dice);
        for (int i = 0; i < 100; i++)
            use(&hosts.a, &dice);
        if (round == 1) {
            files = open_files();
            live = hosts.a.memory.live;
        }
        if (round > 1) {
            ck_assert_uint_eq(open_files(), files);
            ck_assert_int_eq((int)hosts.a.memory.live, (int)live);
        }
    }
    ck_assert_uint_ge(rig_stats(&hosts.a).epochs, scaled(24));
    ck_assert_uint_eq(rig_stats(&hosts.a).owed_bytes, 0);
    rig_down(&hosts.a);
    redis_server_stop(&hosts.redis);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_soak", a_cache_that_is_closed_leaves_nothing, a_cache_that_stays_open_does_not_grow);
}
