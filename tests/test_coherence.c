/*
 * Positions, epochs and the log, with a Redis of the test's own and clocks that stand still: what lib/coherence.c says of two
 * numberings of one history, case by case. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include <stdio.h>
#include <string.h>

/* ---- Positions -------------------------------------------------------------------------------------------------- */

START_TEST(positions_go_to_the_segments_numbers_and_back)
{
    struct stage stage;
    struct host *a;
    libcache_stamp stamp, other;
    struct history back;
    struct mirror m;

    stage_up(&stage, 1);
    a = &stage.host[0];
    for (int i = 0; i < 5; i++)
        ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
    m = mirror_of(a);
    ck_assert_uint_eq(m.first, 0);
    ck_assert_uint_eq(m.latest, 5);
    for (uint64_t p = m.first; p <= m.latest; p++) {
        ck_result(coherence_to_local(a->coherence, m.redis_epoch, p, &stamp), LIBCACHE_HIT);
        ck_assert_uint_eq(stamp.epoch, m.l1_epoch);
        ck_assert_uint_eq(stamp.position, m.base + (p - m.first) * 256);
        for (unsigned more = 0; more < 256; more += 255) { /* those that the host issues alone lie between */
            other = stamp;
            other.position += more;
            ck_assert_int_eq(coherence_to_redis(a->coherence, &other, &back), 1);
            ck_assert_uint_eq(back.epoch, m.redis_epoch);
            ck_assert_uint_eq(back.position, p);
        }
    }
    other.position += 256; /* nothing that Redis has not issued may be claimed to it */
    ck_assert_int_eq(coherence_to_redis(a->coherence, &other, &back), 1);
    ck_assert_uint_eq(back.position, m.latest);
    other.position = m.base - 1;
    ck_assert_int_eq(coherence_to_redis(a->coherence, &other, &back), 0);
    other = stamp;
    other.epoch += 2;
    ck_assert_int_eq(coherence_to_redis(a->coherence, &other, &back), 0);
    ck_result(coherence_to_local(a->coherence, m.redis_epoch + 1, 3, &stamp), LIBCACHE_MISS);
    ck_result(coherence_to_local(a->coherence, 0, 3, &stamp), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

/* Also by gets that have memory at hand and are answered by L1, whatever came before. */
START_TEST(a_host_whose_calls_read_the_log_hears_of_changes_within_poll_ms)
{
    struct stage stage;
    char memory[100];
    libcache_value value = { .data = memory, .capacity = sizeof memory };

    stage_up(&stage, 2);
    ck_result(put(stage.host[0].ns, "key", "old"), LIBCACHE_OK);
    hear(&stage.host[1]);
    for (int i = 0; i < 9; i++) /* by a hint in the end */
        ck_result(libcache_get(stage.host[1].ns, "key", 3, &value, 0), LIBCACHE_HIT);
    ck_assert_int_eq(value.tier, LIBCACHE_TIER_L1);
    ck_result(put(stage.host[0].ns, "key", "new"), LIBCACHE_OK);
    fake_clock_advance(&stage.host[1].rig.clock, POLL_MS + 1);
    ck_result(libcache_get(stage.host[1].ns, "key", 3, &value, 0), LIBCACHE_HIT);
    ck_assert(value.size == 3 && memcmp(memory, "new", 3) == 0);
    stage_down(&stage);
}
END_TEST

START_TEST(a_host_that_comes_late_asks_redis_about_what_is_older)
{
    struct stage stage;
    struct host *a, *b;
    libcache_stamp stamp;

    stage_up(&stage, 1);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(a, "old", "value", "gone"), LIBCACHE_OK);
    ck_result(load(a, "good", "value", "tag"), LIBCACHE_OK);
    ck_result(invalidate_tag(a->cache, "gone"), LIBCACHE_OK);
    stage_prepare_host(b, &stage.redis, 1);
    stage_open_host(b);
    stage.n = 2;
    hear(b);
    ck_assert_uint_eq(mirror_of(b).first, 1);
    ck_result(coherence_to_local(b->coherence, mirror_of(b).redis_epoch, 0, &stamp), LIBCACHE_STALE);
    ck_result(look(b->ns, "old"), LIBCACHE_MISS);
    ck_value(b->ns, "good", "value");
    ck_assert_uint_eq(stats_of(b).l2_verified, 2);
    ck_result(look_l1(b, "good"), LIBCACHE_HIT); /* stamped anew: the marks here vouch for it from now on */
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    hear(b);
    ck_result(look(b->ns, "good"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

START_TEST(first_contact_drops_what_was_stored_before)
{
    struct stage stage;
    struct host *a;
    libcache_set_options here = LIBCACHE_SET_OPTIONS_INIT;
    libcache_stamp stamp;

    stage_up(&stage, 0);
    a = &stage.host[0];
    stage.n = 1;
    stage_prepare_host(a, &stage.redis, 0);
    stage_open_host(a);
    here.flags = LIBCACHE_SKIP_L2;
    ck_result(libcache_set(a->ns, "key", 3, "old", 3, &here), LIBCACHE_OK);
    ck_result(look_l1(a, "key"), LIBCACHE_HIT);
    stamp = begin_load(a, "other");
    hear(a);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    ck_result(end_load(a, "other", "old", "tag", &stamp), LIBCACHE_FENCED);
    ck_result(look(a->ns, "other"), LIBCACHE_MISS);
    ck_assert_uint_eq(stats_of(a).epochs, 1);
    stage_down(&stage);
}
END_TEST

/* ---- Another epoch ------------------------------------------------------------------------------------------------ */

static void lose(struct stage *stage, int how)
{
    char answer[200];

    switch (how) {
    case 0: REDIS(&stage->redis, answer, "FLUSHALL"); break;
    case 1: REDIS(&stage->redis, answer, "DEL", META); break; /* the values stay */
    case 2: REDIS_AGAIN(&stage->redis, REDIS_EMPTY); break;
    default: REDIS(&stage->redis, answer, "DEL", META, LOG);
    }
}

START_TEST(another_history_voids_what_both_tiers_hold_and_loads_under_way)
{
    for (int how = 0; how < 4; how++) {
        struct stage stage;
        struct host *a, *b;
        libcache_stamp stamp;
        uint64_t before;
        stage_up(&stage, 2);
        a = &stage.host[0];
        b = &stage.host[1];
        ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
        ck_value(b->ns, "key", "old");
        stamp = begin_load(a, "slow");
        ck_result(invalidate_tag(b->cache, "x"), LIBCACHE_OK);
        before = mirror_of(a).redis_epoch;
        lose(&stage, how);
        hear_again(a);
        hear_again(b);
        ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
        ck_assert_uint_eq(mirror_of(a).redis_epoch, mirror_of(b).redis_epoch);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        ck_result(look(b->ns, "key"), LIBCACHE_MISS);
        ck_result(end_load(a, "slow", "old", "tag", &stamp), LIBCACHE_FENCED);
        ck_result(look(a->ns, "slow"), LIBCACHE_MISS);
        ck_result(look(b->ns, "slow"), LIBCACHE_MISS);
        ck_assert_uint_eq(stats_of(a).epochs, 2);
        ck_result(load(a, "key", "new", "tag"), LIBCACHE_OK); /* and life goes on */
        ck_value(b->ns, "key", "new");
        ck_result(invalidate_tag(b->cache, "tag"), LIBCACHE_OK);
        hear(a);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

/* The host does not know yet, but Redis does: the script compares the epoch that a load claims. */
START_TEST(redis_refuses_a_load_of_another_history)
{
    struct stage stage;
    struct host *a;
    libcache_stamp stamp;
    char answer[200];

    stage_up(&stage, 2);
    a = &stage.host[0];
    stamp = begin_load(a, "key");
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    REDIS(&stage.redis, answer, "DEL", META);
    for (int i = 0; i < 3; i++)
        ck_result(invalidate_tag(stage.host[1].cache, "x"), LIBCACHE_OK); /* which begins the new one */
    ck_assert_uint_ne(mirror_of(a).redis_epoch, mirror_of(&stage.host[1]).redis_epoch);
    ck_result(end_load(a, "key", "old", "tag", &stamp), LIBCACHE_FENCED);
    ck_result(look(stage.host[1].ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_eq(mirror_of(a).redis_epoch, mirror_of(&stage.host[1]).redis_epoch); /* and learned by the way */
    stage_down(&stage);
}
END_TEST

/* ---- The same epoch, another history --------------------------------------------------------------------------------- */

/* Host 0 loads "key", the copy is made, and the invalidation of "key" that comes then is lost with it. */
static void lose_an_invalidation(struct stage *stage, unsigned others)
{
    struct host *a = &stage->host[0];

    ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    ck_assert_int_eq(redis_server_copy(&stage->redis), 0);
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    for (unsigned i = 1; i < others; i++)
        hear(&stage->host[i]);
    redis_server_kill(&stage->redis);
    REDIS_AGAIN(&stage->redis, REDIS_COPY);
}

START_TEST(an_older_copy_whose_counter_is_behind_is_another_history)
{
    for (int by_a_read = 0; by_a_read < 2; by_a_read++) {
        struct stage stage;
        struct host *a, *b;
        uint64_t before;
        stage_up(&stage, 2);
        a = &stage.host[0];
        b = &stage.host[1];
        before = mirror_of(a).redis_epoch;
        lose_an_invalidation(&stage, 2);
        if (by_a_read)
            ck_result(look(a->ns, "key"), LIBCACHE_MISS); /* "old" is there again, and must not be seen */
        else
            hear_again(a);
        ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
        hear_again(b);
        ck_assert_uint_eq(mirror_of(a).redis_epoch, mirror_of(b).redis_epoch);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        ck_result(look(b->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

START_TEST(an_older_copy_whose_counter_has_gone_past_is_told_by_its_tokens)
{
    for (int more = 1; more < 4; more++) { /* 1: the counter is just what the host knows */
        struct stage stage;
        struct host *a, *c;
        uint64_t before;
        stage_up(&stage, 1);
        a = &stage.host[0];
        c = &stage.host[1];
        before = mirror_of(a).redis_epoch;
        lose_an_invalidation(&stage, 1);
        stage_prepare_host(c, &stage.redis, 1);
        stage_open_host(c);
        stage.n = 2;
        hear(c);
        ck_assert_uint_eq(mirror_of(c).redis_epoch, before); /* it cannot know better */
        for (int i = 0; i < more; i++)
            ck_result(invalidate_tag(c->cache, "y"), LIBCACHE_OK);
        ck_assert_uint_ge(mirror_of(c).latest, mirror_of(a).latest);
        hear_again(a);
        ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
        hear_again(c);
        ck_assert_uint_eq(mirror_of(a).redis_epoch, mirror_of(c).redis_epoch);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        ck_result(look(c->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

/* A dataset that is replaced under connections that live on, as on a replica that follows another primary for a while. */
static void put_aside(struct stage *stage)
{
    char answer[200];

    REDIS(&stage->redis, answer, "COPY", META, "meta-aside", "REPLACE");
    REDIS(&stage->redis, answer, "COPY", LOG, "log-aside", "REPLACE");
}

static void put_back(struct stage *stage)
{
    char answer[200];

    REDIS(&stage->redis, answer, "COPY", "meta-aside", META, "REPLACE");
    REDIS(&stage->redis, answer, "COPY", "log-aside", LOG, "REPLACE");
}

START_TEST(records_of_another_history_on_a_living_connection_are_noticed_by_their_tokens)
{
    struct stage stage;
    struct host *a, *b;
    uint64_t epochs;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
    put_aside(&stage);
    ck_result(invalidate_tag(a->cache, "y"), LIBCACHE_OK);
    hear(b); /* both have applied position 2 */
    ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
    ck_value(b->ns, "key", "old");
    put_back(&stage);
    stage_prepare_host(&stage.host[2], &stage.redis, 2);
    stage_open_host(&stage.host[2]);
    stage.n = 3;
    ck_result(invalidate_tag(stage.host[2].cache, "tag"), LIBCACHE_OK); /* position 2 again: b believes that it has it */
    ck_result(invalidate_tag(stage.host[2].cache, "y"), LIBCACHE_OK);
    epochs = stats_of(b).epochs;
    hear(b);
    ck_assert_uint_gt(stats_of(b).epochs, epochs);
    ck_result(look_l1(b, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

START_TEST(a_counter_that_falls_back_on_a_living_connection_is_noticed)
{
    struct stage stage;
    struct host *a;
    uint64_t before;

    stage_up(&stage, 1);
    a = &stage.host[0];
    ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
    put_aside(&stage);
    for (int i = 0; i < 3; i++)
        ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    before = mirror_of(a).redis_epoch;
    put_back(&stage);
    hear(a);
    ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

START_TEST(an_invalidation_by_a_counter_that_has_fallen_back_is_done_on_the_own_host)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct stage stage;
        struct host *a;
        stage_up(&stage, 1);
        a = &stage.host[0];
        ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
        put_aside(&stage);
        for (int i = 0; i < 3; i++)
            ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
        ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
        put_back(&stage);
        ck_result(invalidate_somehow(a, kind), LIBCACHE_OK); /* gets a position that is long past here */
        ck_result(look_l1(a, "key"), LIBCACHE_MISS);         /* G1 */
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

/* ---- Redis is not to be had ------------------------------------------------------------------------------------------------ */

static void go_away(struct stage *stage)
{
    char answer[200];

    REDIS(&stage->redis, answer, "SAVE");
    redis_server_kill(&stage->redis);
}

static void issue_alone(struct host *host, int n)
{
    for (int i = 0; i < n; i++) {
        char tag[20];
        snprintf(tag, sizeof tag, "alone %d", i % 40);
        ck_assert_int_lt(invalidate_tag(host->cache, tag), 0);
    }
}

START_TEST(what_is_invalidated_alone_takes_effect_at_once_and_in_the_right_order)
{
    static const int issued[] = { 1, 100, 254, 255, 256, 700 };

    for (size_t i = 0; i < sizeof issued / sizeof *issued; i++) {
        struct stage stage;
        struct host *a, *b;
        libcache_stamp stamp;
        uint64_t before;
        stage_up(&stage, 2);
        a = &stage.host[0];
        b = &stage.host[1];
        for (int n = 0; n < 3; n++)
            ck_result(invalidate_tag(b->cache, "x"), LIBCACHE_OK);
        hear(a);
        ck_result(load(a, "stays", "value", "stays"), LIBCACHE_OK);
        ck_result(load(a, "key", "old", "alone 0"), LIBCACHE_OK);
        stamp = begin_load(a, "slow");
        go_away(&stage);
        issue_alone(a, issued[i]);
        ck_result(look_l1(a, "key"), LIBCACHE_MISS);
        ck_result(look_l1(a, "stays"), LIBCACHE_HIT);
        before = l1_position(&a->cache->l1);
        REDIS_AGAIN(&stage.redis, REDIS_KEPT);
        hear_again(a);
        ck_assert_uint_gt(l1_position(&a->cache->l1), before);
        ck_assert_uint_eq(stats_of(a).owed_bytes, 0);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        ck_result(end_load(a, "slow", "old", "alone 0", &stamp), LIBCACHE_FENCED);
        ck_result(look(a->ns, "slow"), LIBCACHE_MISS);
        ck_result(look_l1(a, "stays"), issued[i] < 256 ? LIBCACHE_HIT : LIBCACHE_MISS); /* they did not fit: begun anew */
        ck_assert_uint_eq(stats_of(a).epochs, issued[i] < 256 ? 1 : 2);
        ck_result(load(a, "key", "new", "alone 0"), LIBCACHE_OK);
        hear_again(b);
        ck_value(b->ns, "key", "new");
        ck_result(invalidate_tag(b->cache, "alone 0"), LIBCACHE_OK);
        hear(a);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence", a_host_whose_calls_read_the_log_hears_of_changes_within_poll_ms, positions_go_to_the_segments_numbers_and_back,
                     a_host_that_comes_late_asks_redis_about_what_is_older,
                     first_contact_drops_what_was_stored_before,
                     another_history_voids_what_both_tiers_hold_and_loads_under_way,
                     redis_refuses_a_load_of_another_history,
                     an_older_copy_whose_counter_is_behind_is_another_history,
                     an_older_copy_whose_counter_has_gone_past_is_told_by_its_tokens,
                     records_of_another_history_on_a_living_connection_are_noticed_by_their_tokens,
                     a_counter_that_falls_back_on_a_living_connection_is_noticed,
                     an_invalidation_by_a_counter_that_has_fallen_back_is_done_on_the_own_host,
                     what_is_invalidated_alone_takes_effect_at_once_and_in_the_right_order);
}
