/*
 * Deterministic interleavings of two hosts and their Redis: a thread is stopped at a point inside a call, others do something in
 * full, it goes on. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include "l1/hook.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_SECONDS 20

/* ---- Actors ------------------------------------------------------------------------------------------------------- */

struct actor {
    struct host *host;
    void (*act)(struct actor *actor);
    const char *key, *text;
    int point, nth; /* stops there, at the nth time; nth 0: the first */
    int result;
    libcache_stamp stamp;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped, released, ended;
};

static __thread struct actor *self;

static void await(struct actor *a, const int *word, const int *or_word)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    while (!*word && !(or_word && *or_word))
        if (pthread_cond_timedwait(&a->changed, &a->lock, &until) != 0 && !*word) {
            fprintf(stderr, "an actor did not come or was not released in time\n");
            abort();
        }
}

static void at_hook(enum hook_point point)
{
    struct actor *a = self;

    if (!a || (int)point != a->point || a->nth-- > 0)
        return;
    a->point = -1;
    pthread_mutex_lock(&a->lock);
    a->stopped = 1;
    pthread_cond_broadcast(&a->changed);
    await(a, &a->released, NULL);
    pthread_mutex_unlock(&a->lock);
}

static void *run_actor(void *arg)
{
    struct actor *a = self = arg;

    a->act(a);
    pthread_mutex_lock(&a->lock);
    a->ended = 1;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Starts it and waits until it has stopped at its point. */
static void start(struct actor *a)
{
    hook_function = at_hook;
    a->stopped = a->released = a->ended = 0;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    ck_assert_int_eq(pthread_create(&a->thread, NULL, run_actor, a), 0);
    pthread_mutex_lock(&a->lock);
    await(a, &a->stopped, &a->ended);
    ck_assert_msg(a->stopped, "the actor has ended without coming by its point");
    pthread_mutex_unlock(&a->lock);
}

static void finish(struct actor *a)
{
    pthread_mutex_lock(&a->lock);
    a->released = 1;
    pthread_cond_broadcast(&a->changed);
    await(a, &a->ended, NULL);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
}

static void act_set(struct actor *a)
{
    a->result = put_tagged(a->host->ns, a->key, a->text, "tag");
}

static void act_delete(struct actor *a)
{
    a->result = delete_key(a->host, a->key);
}

static void act_invalidate(struct actor *a)
{
    a->result = invalidate_tag(a->host->cache, a->key);
}

static void act_get(struct actor *a)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    a->result = libcache_get(a->host->ns, a->key, strlen(a->key), &value, 0);
    libcache_release_value(&value);
}

static void act_end_load(struct actor *a)
{
    a->result = end_load(a->host, a->key, a->text, "tag", &a->stamp);
}

static void act_hear(struct actor *a)
{
    a->result = libcache_poll(a->host->cache, 0);
}

/* ---- Copies from Redis ------------------------------------------------------------------------------------------------ */

START_TEST(a_copy_that_a_change_overtakes_is_not_served_after_it)
{
    static const int points[] = { HOOK_FOUND, HOOK_JUDGED };

    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int p = 0; p < 2; p++)
            for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
                struct stage stage;
                struct host *a, *b;
                struct actor reader = { .act = act_get, .key = "key", .point = points[p] };
                stage_up(&stage, 2);
                a = &stage.host[0];
                reader.host = b = &stage.host[1];
                ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
                start(&reader);
                ck_result(invalidate_somehow(elsewhere ? a : b, kind), LIBCACHE_OK);
                if (elsewhere)
                    hear(b);
                finish(&reader);
                ck_assert(reader.result == LIBCACHE_HIT || reader.result == LIBCACHE_MISS);
                ck_result(look_l1(b, "key"), LIBCACHE_MISS);
                ck_result(look(b->ns, "key"), LIBCACHE_MISS);
                ck_result(load(b, "key", "new", "tag"), LIBCACHE_OK);
                ck_value(b->ns, "key", "new");
                stage_down(&stage);
            }
}
END_TEST

/* A load function's answer for "key"; nothing is loaded. */
static int begin_and_give_up(libcache_ns *ns)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *load = NULL;
    int result = libcache_load_begin(&load, ns, "key", 3, &value, NULL);

    libcache_load_abort(load, 0);
    libcache_release_value(&value);
    return result;
}

/* The load functions give out what is past its end, but not what is past an invalidation, their own host's or another's. */
START_TEST(G3_what_is_within_its_grace_is_given_out_only_if_nothing_has_overtaken_it)
{
    static const libcache_slice tag = LIBCACHE_STR("tag");
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    policy.ttl_ms = 1000;
    policy.grace_ms = 600000;
    options.tags = &tag;
    options.n_tags = 1;
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            libcache_ns *ns, *other;
            struct stage stage;
            struct host *a, *b;
            stage_up(&stage, 2);
            a = &stage.host[0];
            b = &stage.host[1];
            ck_result(libcache_open_namespace(&ns, a->cache, "graceful", &policy, NULL), LIBCACHE_OK);
            ck_result(libcache_open_namespace(&other, b->cache, "graceful", &policy, NULL), LIBCACHE_OK);
            ck_result(libcache_set(ns, "key", 3, "old", 3, &options), LIBCACHE_OK);
            fake_clock_advance(&a->rig.clock, 1100);
            hear(a);
            ck_result(begin_and_give_up(ns), LIBCACHE_STALE);
            a->ns = ns;
            b->ns = other;
            ck_result(invalidate_somehow(elsewhere ? b : a, kind), LIBCACHE_OK);
            hear(a);
            ck_result(begin_and_give_up(ns), LIBCACHE_LEAD);
            stage_down(&stage);
        }
}
END_TEST

/* ---- Changes and their order --------------------------------------------------------------------------------------------- */

/* The first set has been given the lower position, and comes to its L1 when the second one is there already. */
START_TEST(of_two_sets_the_later_one_stays_in_whatever_order_they_arrive)
{
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        struct stage stage;
        struct host *a, *b;
        struct actor first = { .act = act_set, .key = "key", .text = "first", .point = HOOK_ANSWERED };
        stage_up(&stage, 2);
        first.host = a = &stage.host[0];
        b = &stage.host[1];
        start(&first);
        ck_result(put_tagged((elsewhere ? b : a)->ns, "key", "second", "tag"), LIBCACHE_OK);
        if (elsewhere)
            hear(a);
        finish(&first);
        ck_result(first.result, LIBCACHE_OK);
        ck_value(a->ns, "key", "second");
        hear(a);
        hear(b);
        ck_value(a->ns, "key", "second");
        ck_value(b->ns, "key", "second");
        stage_down(&stage);
    }
}
END_TEST

START_TEST(a_set_that_a_later_invalidation_has_overtaken_is_not_served)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            struct stage stage;
            struct host *a;
            struct actor first = { .act = act_set, .key = "key", .text = "first", .point = HOOK_ANSWERED };
            stage_up(&stage, 2);
            first.host = a = &stage.host[0];
            start(&first);
            ck_result(invalidate_somehow(&stage.host[elsewhere], kind), LIBCACHE_OK);
            if (elsewhere)
                hear(a);
            finish(&first);
            ck_result(look_l1(a, "key"), LIBCACHE_MISS);
            ck_result(look(a->ns, "key"), LIBCACHE_MISS);
            stage_down(&stage);
        }
}
END_TEST

/* A delete that was done first but is applied here last leaves what came after it. */
START_TEST(a_late_answer_takes_nothing_away_that_is_newer)
{
    struct stage stage;
    struct host *a;
    struct actor first = { .act = act_delete, .key = "key", .point = HOOK_ANSWERED };

    stage_up(&stage, 1);
    first.host = a = &stage.host[0];
    ck_result(put(a->ns, "key", "old"), LIBCACHE_OK);
    start(&first);
    ck_result(put(a->ns, "key", "new"), LIBCACHE_OK);
    finish(&first);
    ck_result(look_l1(a, "key"), LIBCACHE_HIT);
    ck_value(a->ns, "key", "new");
    stage_down(&stage);
}
END_TEST

/* A load that begins between Redis's answer and its application has read the new row, or is fenced. */
START_TEST(a_load_that_begins_before_a_change_is_applied_here_stores_nothing_old)
{
    for (int tag = 0; tag < 2; tag++) {
        struct stage stage;
        struct host *a;
        struct actor change = { .act = tag ? act_invalidate : act_delete, .key = tag ? "tag" : "key", .point = HOOK_ANSWERED };
        libcache_stamp before, between;
        int result;
        stage_up(&stage, 1);
        change.host = a = &stage.host[0];
        before = begin_load(a, "key");
        start(&change);
        between = begin_load(a, "key");
        result = end_load(a, "key", "old", "tag", &before);
        if (!tag)
            ck_result(result, LIBCACHE_FENCED); /* Redis knows better than L1 does yet */
        finish(&change);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        result = end_load(a, "key", "old", "tag", &between);
        ck_assert(result == LIBCACHE_FENCED || tag);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

START_TEST(a_fill_whose_invalidation_comes_between_the_tiers_is_not_served)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
            struct stage stage;
            struct host *a;
            struct actor loader = { .act = act_end_load, .key = "key", .text = "old", .point = HOOK_ANSWERED };
            stage_up(&stage, 2);
            loader.host = a = &stage.host[0];
            loader.stamp = begin_load(a, "key");
            start(&loader); /* it is in Redis, not yet in L1 */
            ck_result(invalidate_somehow(&stage.host[elsewhere], kind), LIBCACHE_OK);
            if (elsewhere)
                hear(a);
            finish(&loader);
            ck_result(look_l1(a, "key"), LIBCACHE_MISS);
            ck_result(look(a->ns, "key"), LIBCACHE_MISS);
            stage_down(&stage);
        }
}
END_TEST

/* ---- Epochs that change meanwhile ----------------------------------------------------------------------------------------- */

START_TEST(an_answer_of_a_history_that_is_gone_does_not_bring_it_back)
{
    struct stage stage;
    struct host *a;
    struct actor late = { .act = act_invalidate, .key = "x", .point = HOOK_ANSWERED };
    uint64_t before;
    char answer[200];

    stage_up(&stage, 1);
    late.host = a = &stage.host[0];
    before = mirror_of(a).redis_epoch;
    start(&late); /* with an answer of position 1 */
    ck_result(invalidate_tag(a->cache, "y"), LIBCACHE_OK);
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    REDIS(&stage.redis, answer, "DEL", META);
    hear(a);
    ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
    finish(&late);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
    stage_down(&stage);
}
END_TEST

START_TEST(a_page_of_the_log_that_was_read_before_another_history_began_is_thrown_away)
{
    struct stage stage;
    struct host *a;
    struct actor late = { .act = act_hear, .point = HOOK_LOG_READ };
    uint64_t before;
    char answer[200];

    stage_up(&stage, 2);
    late.host = a = &stage.host[0];
    before = mirror_of(a).redis_epoch;
    ck_result(invalidate_tag(stage.host[1].cache, "x"), LIBCACHE_OK);
    start(&late);
    ck_result(invalidate_tag(stage.host[1].cache, "y"), LIBCACHE_OK);
    hear(a);
    ck_result(load(a, "key", "old", "tag"), LIBCACHE_OK);
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
    REDIS(&stage.redis, answer, "DEL", META);
    hear(a);
    finish(&late);
    ck_result(look(a->ns, "key"), LIBCACHE_MISS);
    ck_assert_uint_ne(mirror_of(a).redis_epoch, before);
    stage_down(&stage);
}
END_TEST

/* The page tells of a gap, but of a time before the host's own change, whose mark the new beginning forgets. */
START_TEST(a_gap_that_is_noticed_late_forgets_nothing_that_this_host_has_done)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct stage stage;
        struct host *a, *b;
        struct actor late = { .act = act_hear, .point = HOOK_LOG_READ };
        char answer[200];
        stage_up(&stage, 2);
        late.host = a = &stage.host[0];
        b = &stage.host[1];
        ck_result(invalidate_tag(b->cache, "x"), LIBCACHE_OK);
        ck_result(invalidate_tag(b->cache, "y"), LIBCACHE_OK);
        ck_result(load(b, "key", "old", "tag"), LIBCACHE_OK);
        REDIS(&stage.redis, answer, "XTRIM", LOG, "MAXLEN", "0");
        start(&late);
        ck_result(invalidate_somehow(a, kind), LIBCACHE_OK);
        finish(&late);
        ck_result(look(a->ns, "key"), LIBCACHE_MISS);
        stage_down(&stage);
    }
}
END_TEST

/* Two read the log at once; who is late finds more applied than it has read. */
START_TEST(who_is_late_with_a_page_of_the_log_takes_nothing_back)
{
    static const int points[] = { HOOK_LOG_READ, HOOK_LOG_APPLIED };

    for (int p = 0; p < 2; p++) {
        struct stage stage;
        struct host *a;
        struct actor late = { .act = act_hear, .point = points[p] };
        stage_up(&stage, 2);
        late.host = a = &stage.host[0];
        ck_result(invalidate_tag(stage.host[1].cache, "tag"), LIBCACHE_OK);
        start(&late);
        ck_result(invalidate_tag(stage.host[1].cache, "y"), LIBCACHE_OK);
        hear(a);
        ck_result(load(a, "key", "new", "tag"), LIBCACHE_OK);
        finish(&late);
        ck_result(late.result, LIBCACHE_OK);
        ck_assert_uint_eq(mirror_of(a).applied, 2);
        ck_result(look_l1(a, "key"), LIBCACHE_HIT);
        ck_assert_uint_eq(stats_of(a).epochs, 1);
        stage_down(&stage);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence_hooks", a_copy_that_a_change_overtakes_is_not_served_after_it,
                     G3_what_is_within_its_grace_is_given_out_only_if_nothing_has_overtaken_it,
                     of_two_sets_the_later_one_stays_in_whatever_order_they_arrive,
                     a_set_that_a_later_invalidation_has_overtaken_is_not_served,
                     a_late_answer_takes_nothing_away_that_is_newer,
                     a_load_that_begins_before_a_change_is_applied_here_stores_nothing_old,
                     a_fill_whose_invalidation_comes_between_the_tiers_is_not_served,
                     an_answer_of_a_history_that_is_gone_does_not_bring_it_back,
                     a_page_of_the_log_that_was_read_before_another_history_began_is_thrown_away,
                     a_gap_that_is_noticed_late_forgets_nothing_that_this_host_has_done,
                     who_is_late_with_a_page_of_the_log_takes_nothing_back);
}
