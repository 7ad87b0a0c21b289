/*
 * Reading the log: gaps, pages, records that are read twice or that nobody of ours has written, with a Redis of the test's own
 * and clocks that stand still. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include <stdio.h>
#include <string.h>

/* ---- Gaps ------------------------------------------------------------------------------------------------------------ */

static void forget_log(struct stage *stage, int how)
{
    char answer[200];

    if (how == 0)
        REDIS(&stage->redis, answer, "DEL", LOG);
    else
        REDIS(&stage->redis, answer, "XTRIM", LOG, "MAXLEN", how == 1 ? "0" : how == 2 ? "1" : "4");
}

START_TEST(a_log_that_has_forgotten_what_a_host_missed_is_a_gap)
{
    for (int how = 0; how < 4; how++)
        for (unsigned kind = 0; kind < KINDS; kind++) {
            struct stage stage;
            struct host *a, *b;
            uint64_t before;
            stage_up(&stage, 2);
            a = &stage.host[0];
            b = &stage.host[1];
            ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
            before = mirror_of(b).redis_epoch;
            ck_result(invalidate_somehow(a, kind), LIBCACHE_OK);
            for (int i = 0; i < 8; i++)
                ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
            forget_log(&stage, how);
            ck_result(look_l1(b, "key"), LIBCACHE_HIT); /* it has not heard of it yet */
            hear(b);
            ck_result(look_l1(b, "key"), LIBCACHE_MISS);
            ck_result(look(b->ns, "key"), LIBCACHE_MISS);
            ck_assert_uint_eq(stats_of(b).epochs, 2);
            ck_assert_uint_eq(mirror_of(b).redis_epoch, before); /* Redis's history is the same: only our knowledge has a gap */
            ck_assert_uint_eq(mirror_of(b).applied, 9);
            stage_down(&stage);
        }
}
END_TEST

START_TEST(a_gap_leaves_what_redis_has_and_vouches_for)
{
    struct stage stage;
    struct host *a, *b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(a, "good", "value", "good tag"), LIBCACHE_OK);
    ck_result(load(a, "bad", "value", "bad tag"), LIBCACHE_OK);
    ck_value(b->ns, "good", "value");
    ck_value(b->ns, "bad", "value");
    ck_result(invalidate_tag(a->cache, "bad tag"), LIBCACHE_OK);
    forget_log(&stage, 0);
    hear(b);
    ck_value(b->ns, "good", "value");
    ck_result(look(b->ns, "bad"), LIBCACHE_MISS);
    ck_assert_uint_ge(stats_of(b).l2_verified, 2);
    stage_down(&stage);
}
END_TEST

START_TEST(a_log_that_has_forgotten_what_was_heard_is_no_gap)
{
    for (int how = 0; how < 4; how++) {
        struct stage stage;
        struct host *a, *b;
        stage_up(&stage, 2);
        a = &stage.host[0];
        b = &stage.host[1];
        for (int i = 0; i < 8; i++)
            ck_result(invalidate_tag(a->cache, "x"), LIBCACHE_OK);
        hear(b);
        ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
        forget_log(&stage, how);
        hear(b);
        ck_result(look_l1(b, "key"), LIBCACHE_HIT);
        ck_assert_uint_eq(stats_of(b).epochs, 1);
        ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK); /* and the next record is heard */
        hear(b);
        ck_result(look_l1(b, "key"), LIBCACHE_MISS);
        ck_assert_uint_eq(stats_of(b).epochs, 1);
        stage_down(&stage);
    }
}
END_TEST

/* ---- The log ------------------------------------------------------------------------------------------------------------- */

START_TEST(a_long_log_is_read_in_pages)
{
    struct stage stage;
    struct host *a, *b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
    for (int i = 0; i < 2500; i++)
        ck_result(invalidate_tag(a->cache, i == 2400 ? "tag" : "x"), LIBCACHE_OK);
    hear(b);
    ck_assert_uint_eq(mirror_of(b).applied, 2500);
    ck_assert_uint_eq(stats_of(b).log_records, 2500);
    ck_assert_uint_eq(stats_of(b).epochs, 1);
    ck_result(look_l1(b, "key"), LIBCACHE_MISS);
    stage_down(&stage);
}
END_TEST

/* Two readers have the same page: the second applies it again, and what was loaded in between stays. */
START_TEST(records_that_are_applied_twice_do_no_harm)
{
    struct stage stage;
    struct host *a, *b;
    struct request request;
    struct replies replies;
    struct log_page page;
    struct mirror m;
    const libcache_allocator *memory;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    memory = &b->rig.memory.allocator;
    ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
    for (unsigned kind = 0; kind < KINDS; kind++)
        ck_result(invalidate_somehow(a, kind), LIBCACHE_OK);
    m = mirror_of(b);
    request_init(&request, memory);
    replies_init(&replies, memory);
    ck_result(l2_log_request(coherence_l2(b->coherence), &request, m.applied, LOG_PAGE, 0), LIBCACHE_OK);
    ck_result(transport_exchange(l2_transport(coherence_l2(b->coherence)), &request, &replies, deadline_after_ms(2000), 0), LIBCACHE_OK);
    ck_result(l2_log_page(coherence_l2(b->coherence), &replies, 0, &page), LIBCACHE_OK);
    ck_assert_uint_eq(page.n, KINDS);
    hear(b);
    ck_result(look_l1(b, "key"), LIBCACHE_MISS);
    ck_result(load(b, "key", "new", "tag"), LIBCACHE_OK);
    ck_result(coherence_apply(b->coherence, &m, &page, LOG_PAGE, 0, 0, deadline_after_ms(2000)), LIBCACHE_OK);
    ck_result(look_l1(b, "key"), LIBCACHE_HIT);
    ck_value(b->ns, "key", "new");
    ck_assert_uint_eq(mirror_of(b).applied, KINDS);
    ck_assert_uint_eq(stats_of(b).epochs, 1);
    replies_free(&replies);
    request_free(&request);
    stage_down(&stage);
}
END_TEST

/*
 * A wait that ends without a record is news only if nothing was issued meanwhile: a log that was begun anew, with low positions, wakes
 * nobody who waits for a higher one.
 */
START_TEST(a_wait_that_ends_in_another_history_is_no_news)
{
    for (int other_epoch = 0; other_epoch < 2; other_epoch++) {
        struct stage stage;
        struct host *b;
        struct log_page page;
        struct mirror m;
        uint64_t before;
        stage_up(&stage, 2);
        b = &stage.host[1];
        ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
        hear(b);
        m = mirror_of(b);
        before = l1_last_heard(&b->cache->l1);
        memset(&page, 0, sizeof page);
        page.then = (struct history){ m.redis_epoch + (other_epoch ? 2 : 0), m.applied + 1, 7 };
        ck_result(coherence_apply(b->coherence, &m, &page, LOG_PAGE, before + 100, before + 1100, deadline_after_ms(2000)),
                  LIBCACHE_MISS);
        ck_assert_uint_eq(l1_last_heard(&b->cache->l1), before);
        stage_down(&stage);
    }
}
END_TEST

static void add_record(struct stage *stage, const char *names)
{
    char script[600], answer[200];

    snprintf(script, sizeof script,
             "local p = redis.call('HINCRBY', KEYS[1], 'seq', 1) "
             "redis.call('XADD', KEYS[2], p .. '-0', 'c', redis.call('HGET', KEYS[1], 'token'), 't', '12345678', 'n', %s) "
             "redis.call('HSET', KEYS[1], 'token', '12345678') return p", names);
    REDIS(&stage->redis, answer, "EVAL", script, "2", META, LOG);
}

START_TEST(a_record_of_a_kind_that_is_not_known_covers_everything)
{
    static const char *const names[] = { "'z\\1\\0?'", "'t\\8\\0abcdefghz\\0\\0'", "'k\\3\\0\\200ab'", "'t\\3\\0abc'", "'a\\0'", "'?'" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stage stage;
        struct host *b;
        stage_up(&stage, 1);
        b = &stage.host[0];
        ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
        add_record(&stage, names[i]);
        hear(b);
        ck_result(look_l1(b, "key"), LIBCACHE_MISS);
        ck_assert_uint_eq(mirror_of(b).applied, 1);
        ck_assert_uint_eq(stats_of(b).epochs, 1);
        ck_result(load(b, "key", "new", "tag"), LIBCACHE_OK);
        ck_value(b->ns, "key", "new");
        stage_down(&stage);
    }
}
END_TEST

START_TEST(what_somebody_else_writes_into_the_log_is_a_gap_and_not_an_error)
{
    struct stage stage;
    struct host *a, *b;
    char answer[200];

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
    REDIS(&stage.redis, answer, "XADD", LOG, "0-7", "some", "body");
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    hear(b);
    ck_result(look(b->ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_eq(mirror_of(b).applied, 1);
    stage_down(&stage);
}
END_TEST

START_TEST(a_namespace_that_was_invalidated_before_it_was_opened_here_is_asked_about)
{
    struct stage stage;
    struct host *a, *b;
    libcache_ns *late_a, *late_b;

    stage_up(&stage, 2);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_result(libcache_open_namespace(&late_a, a->cache, "late", NULL, NULL), LIBCACHE_OK);
    ck_result(put_tagged(late_a, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(libcache_invalidate_namespace(late_a, 0), LIBCACHE_OK);
    ck_result(put_tagged(late_a, "other", "new", "tag"), LIBCACHE_OK);
    hear(b); /* the name means nothing here yet */
    ck_result(libcache_open_namespace(&late_b, b->cache, "late", NULL, NULL), LIBCACHE_OK);
    ck_result(look(late_b, "key"), LIBCACHE_MISS);
    ck_value(late_b, "other", "new");
    stage_down(&stage);
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence_log", a_log_that_has_forgotten_what_a_host_missed_is_a_gap,
                     a_gap_leaves_what_redis_has_and_vouches_for, a_log_that_has_forgotten_what_was_heard_is_no_gap,
                     a_long_log_is_read_in_pages,
                     a_wait_that_ends_in_another_history_is_no_news, records_that_are_applied_twice_do_no_harm,
                     a_record_of_a_kind_that_is_not_known_covers_everything,
                     what_somebody_else_writes_into_the_log_is_a_gap_and_not_an_error,
                     a_namespace_that_was_invalidated_before_it_was_opened_here_is_asked_about);
}
