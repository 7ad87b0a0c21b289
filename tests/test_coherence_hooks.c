/*
 * Deterministic interleavings of two hosts and their Redis: a thread is stopped at a point inside a call, others do something in
 * full, it goes on. Or a process is killed there, and another one goes on. SPDX-License-Identifier: MIT
 */
#include "support/stage.h"

#include "l1/hook.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* ---- Killed in the middle ---------------------------------------------------------------------------------------------------- */

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
        stage_up(&stage, 0);
        a = &stage.host[0];
        b = &stage.host[1];
        stage.n = 2;
        prepare_named(a, &stage.redis, 0, name);
        stage_open_host(a);
        stage_prepare_host(b, &stage.redis, 1);
        stage_open_host(b);
        hear(a);
        hear(b);
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

int main(void)
{
    return RUN_TESTS("coherence_hooks", a_copy_that_a_change_overtakes_is_not_served_after_it,
                     of_two_sets_the_later_one_stays_in_whatever_order_they_arrive,
                     a_set_that_a_later_invalidation_has_overtaken_is_not_served,
                     a_late_answer_takes_nothing_away_that_is_newer,
                     a_load_that_begins_before_a_change_is_applied_here_stores_nothing_old,
                     a_fill_whose_invalidation_comes_between_the_tiers_is_not_served,
                     an_answer_of_a_history_that_is_gone_does_not_bring_it_back,
                     a_page_of_the_log_that_was_read_before_another_history_began_is_thrown_away,
                     who_is_late_with_a_page_of_the_log_takes_nothing_back,
                     who_dies_in_the_middle_of_beginning_an_epoch_leaves_a_host_that_can_go_on,
                     who_dies_between_redis_and_l1_has_told_everybody_all_the_same,
                     who_dies_while_owing_or_paying_leaves_a_queue_that_can_be_read);
}
