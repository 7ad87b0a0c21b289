/*
 * Loads and what comes between their steps: a thread is stopped at a point inside a call, another does something in full, the
 * first goes on. And leaders who are killed while they take a flight. SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/loads.h"

#include "cache.h"
#include "l1/hook.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A thread that stops where it is told -------------------------------------------------------------------------------- */

struct actor {
    void (*act)(struct actor *actor);
    libcache_ns *ns;
    libcache_load *load;
    struct source *source;
    int point, result;
    char text[20];
    int stopped, released, ended; /* atomic */
    pthread_t thread;
};

static __thread struct actor *self;

static void stop_here(enum hook_point point)
{
    if (!self || (int)point != self->point)
        return;
    self->point = -1;
    __atomic_store_n(&self->stopped, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&self->released, __ATOMIC_ACQUIRE))
        nap();
}

static void *run(void *arg)
{
    self = arg;
    self->act(self);
    __atomic_store_n(&self->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Starts it and waits until it stops at its point; it must come there. */
static void start(struct actor *a)
{
    hook_function = stop_here;
    ck_assert_int_eq(pthread_create(&a->thread, NULL, run, a), 0);
    until(__atomic_load_n(&a->stopped, __ATOMIC_ACQUIRE) || __atomic_load_n(&a->ended, __ATOMIC_ACQUIRE));
    ck_assert_msg(__atomic_load_n(&a->stopped, __ATOMIC_ACQUIRE), "it did not come to its point");
}

static void finish(struct actor *a)
{
    __atomic_store_n(&a->released, 1, __ATOMIC_RELEASE);
    pthread_join(a->thread, NULL);
    hook_function = NULL;
}

static void act_commit(struct actor *a)
{
    a->result = commit_tagged(a->load, "old", "tag");
}

static void act_fetch(struct actor *a)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    a->result = fetch(a->ns, "key", a->source, &value);
    memcpy(a->text, value.data ? value.data : "", value.size < sizeof a->text ? value.size : 0);
    libcache_release_value(&value);
}

static void act_fetch_many(struct actor *a)
{
    struct batch b;

    batch_init(&b, a->ns, "kl", a->source);
    b.keys[0] = (libcache_slice)LIBCACHE_STR("key");
    fetch_batch(&b);
    a->result = b.results[0];
    memcpy(a->text, b.values[0].data ? b.values[0].data : "", b.values[0].size < sizeof a->text ? b.values[0].size : 0);
    batch_free(&b);
}

/* ---- What comes between ------------------------------------------------------------------------------------------------------ */

enum { KEY, TAG, SPACE, ALL, KINDS };

static void invalidate(struct rig *rig, int kind)
{
    int result = kind == KEY ? libcache_delete(rig->ns, "key", 3, 0) : kind == TAG ? invalidate_tag(rig->cache, "tag")
                 : kind == SPACE ? libcache_invalidate_namespace(rig->ns, 0) : libcache_invalidate_all(rig->cache, 0);
    ck_assert_int_ge(result, 0);
}

START_TEST(G3_a_commit_that_is_overtaken_between_its_check_and_its_end_is_not_served)
{
    static const int points[] = { HOOK_BYTES_WRITTEN, HOOK_HEAD_ADVANCED, HOOK_PUBLISHED };

    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
        for (int kind = TAG; kind < KINDS; kind++) { /* who deletes the key waits for the stripe's lock */
            struct rig rig;
            libcache_load *waiter;
            struct actor a = { .act = act_commit, .point = points[p] };
            rig_up(&rig);
            a.load = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_LEAD);
            waiter = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
            start(&a);
            invalidate(&rig, kind);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            finish(&a);
            ck_assert(a.result == LIBCACHE_OK || a.result == LIBCACHE_FENCED);
            ck_result(look(rig.ns, "key"), LIBCACHE_MISS);
            ck_wait(&waiter, LIBCACHE_LEAD); /* he is not told that it was stored, or looks and does not find it */
            ck_result(commit(waiter, "new"), LIBCACHE_OK);
            ck_value(rig.ns, "key", "new");
            rig_down(&rig);
        }
}
END_TEST

START_TEST(G3_a_commit_that_is_overtaken_between_the_tiers_is_not_served)
{
    struct hosts hosts;

    hosts_prepare(&hosts, NULL);
    for (int other = 0; other < 2; other++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct actor a = { .act = act_commit, .point = HOOK_ANSWERED };
            host_prepare(&hosts.a, &hosts.redis);
            host_prepare(&hosts.b, &hosts.redis);
            hosts_open(&hosts);
            a.load = begin(hosts.a.ns, "key", 0, LIBCACHE_LEAD);
            start(&a); /* Redis has it */
            invalidate(other ? &hosts.b : &hosts.a, kind);
            ck_poll(&hosts.a);
            ck_poll(&hosts.b);
            finish(&a);
            ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
            ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
            rig_down(&hosts.a);
            rig_down(&hosts.b);
        }
    redis_server_stop(&hosts.redis);
}
END_TEST

/* A host's namespace "test", as policy has it. */
static void as_policy(struct rig *rig, const libcache_policy *policy)
{
    rig->ns = space(rig, "leased", policy);
    ck_poll(rig);
}

START_TEST(G3_what_a_load_finds_in_redis_and_is_overtaken_meanwhile_is_not_kept)
{
    static const int points[] = { HOOK_FOUND, HOOK_JUDGED };
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    struct hosts hosts;

    policy.load_lease = LIBCACHE_LEASE_REDIS;
    hosts_prepare(&hosts, NULL);
    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
        for (int other = 0; other < 4; other++)
            for (int kind = 0; kind < KINDS; kind++) {
                struct source source = { .text = "loaded" };
                struct actor a = { .act = other < 2 ? act_fetch : act_fetch_many, .point = points[p], .source = &source };
                host_prepare(&hosts.a, &hosts.redis);
                host_prepare(&hosts.b, &hosts.redis);
                hosts_open(&hosts);
                as_policy(&hosts.a, &policy);
                as_policy(&hosts.b, &policy);
                ck_result(put_tagged(hosts.b.ns, "key", "old", "tag"), LIBCACHE_OK);
                ck_poll(&hosts.a);
                a.ns = hosts.a.ns;
                start(&a);
                invalidate(other % 2 ? &hosts.b : &hosts.a, kind);
                ck_poll(&hosts.a);
                ck_poll(&hosts.b);
                finish(&a);
                ck_result(a.result, LIBCACHE_HIT);
                ck_assert_msg(strcmp(a.text, "old") == 0 || strcmp(a.text, "loaded") == 0, "he has \"%s\"", a.text);
                if (strcmp(a.text, "old") == 0) { /* he had begun before; nobody else is given it */
                    ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
                    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
                }
                source_done(&source);
                ck_result(libcache_invalidate_all(hosts.b.cache, 0), LIBCACHE_OK);
                rig_down(&hosts.a);
                rig_down(&hosts.b);
            }
    redis_server_stop(&hosts.redis);
}
END_TEST

static int is_leased(struct hosts *hosts)
{
    char answer[400];

    REDIS(&hosts->redis, answer, "KEYS", "*lease:*");
    return answer[0] != '\0';
}

static void act_wait(struct actor *a)
{
    libcache_value value = LIBCACHE_VALUE_INIT;

    a->result = libcache_load_wait(&a->load, &value, 20000);
    libcache_release_value(&value);
}

/* Another host's value is invalidated between Redis's answer to who has waited for it and its judgement. 1: he leads with the lease. */
static int leads_with_lease(enum guard broken)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    struct hosts hosts;
    struct actor a = { .act = act_wait, .point = HOOK_FOUND };
    libcache_load *load;
    int leased, before;

    policy.load_lease = LIBCACHE_LEASE_REDIS;
    hosts_up(&hosts);
    before = broken_guard; /* LIBCACHE_TEST_BREAK's */
    as_policy(&hosts.a, &policy);
    as_policy(&hosts.b, &policy);
    load = begin(hosts.b.ns, "key", 0, LIBCACHE_LEAD);
    a.load = begin(hosts.a.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
    ck_result(commit_tagged(load, "old", "tag"), LIBCACHE_OK);
    broken_guard = broken == GUARD_NONE ? before : (int)broken;
    start(&a);
    ck_assert(!is_leased(&hosts));
    invalidate(&hosts.a, TAG);
    finish(&a);
    broken_guard = before;
    ck_result(a.result, LIBCACHE_LEAD);
    leased = is_leased(&hosts);
    ck_result(commit(a.load, "new"), LIBCACHE_OK);
    ck_assert(!is_leased(&hosts));
    hosts_down(&hosts);
    return leased;
}

START_TEST(who_finds_what_is_invalidated_on_its_way_from_redis_asks_again_and_has_the_lease)
{
    ck_assert(leads_with_lease(GUARD_NONE));
    ck_assert(!leads_with_lease(GUARD_NEEDLESS));
}
END_TEST

START_TEST(who_comes_while_the_leader_looks_in_redis_waits_and_gets_what_that_finds)
{
    struct hosts hosts;
    struct source source = { .text = "not needed" };
    struct actor a = { .act = act_fetch, .point = HOOK_FOUND, .source = &source };
    libcache_load *waiter;

    hosts_up(&hosts);
    put(hosts.b.ns, "key", "value");
    a.ns = hosts.a.ns;
    start(&a);
    waiter = begin(hosts.a.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
    ck_wait(&waiter, LIBCACHE_WAIT);
    finish(&a);
    ck_wait(&waiter, LIBCACHE_HIT);
    ck_result(a.result, LIBCACHE_HIT);
    ck_assert_uint_eq(source.calls, 0);
    hosts_down(&hosts);
}
END_TEST

START_TEST(where_there_is_no_L1_a_load_that_ends_between_look_and_flight_is_not_made_again)
{
    for (int how = 0; how < 3; how++) {
        struct hosts hosts;
        libcache_policy policy = LIBCACHE_POLICY_INIT;
        struct source source = { .text = "value" };
        struct actor a = { .act = act_fetch, .point = HOOK_LOOKED, .source = &source };
        hosts_prepare(&hosts, NULL);
        hosts_open(&hosts);
        policy.tiers = LIBCACHE_TIER_L2;
        a.ns = hosts.a.ns = space(&hosts.a, "far", &policy);
        if (how == 1) /* the place has been the key's before */
            libcache_load_abort(begin(a.ns, "key", 0, LIBCACHE_LEAD), 0);
        start(&a);
        if (how < 2)
            ck_fetch(a.ns, "key", &source, LIBCACHE_HIT, "value");
        finish(&a);
        ck_result(a.result, LIBCACHE_HIT);
        ck_assert_str_eq(a.text, "value");
        ck_assert_uint_eq(source.calls, 1);
        source_done(&source);
        hosts_down(&hosts);
    }
}
END_TEST

/* ---- Killed while taking a flight ------------------------------------------------------------------------------------------------ */

static void die_here(enum hook_point point)
{
    if (point == HOOK_FLIGHT_TAKEN)
        kill(getpid(), SIGKILL);
}

/* A child begins a load of the key and is killed, while it takes the flight or thereafter. */
static void lead_and_die(const struct rig *rig, int taking)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        libcache_value value = LIBCACHE_VALUE_INIT;
        libcache_load *load = NULL;
        hook_function = taking ? die_here : NULL;
        libcache_load_begin(&load, rig->ns, "key", 3, &value, NULL);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(G5_who_is_killed_while_he_takes_a_flight_holds_up_nobody)
{
    for (int before = 0; before < 4; before++) {
        struct rig rig;
        libcache_load *load, *waiter = NULL;
        rig_prepare(&rig);
        rig.options.segment = LIBCACHE_SHARED;
        rig_open(&rig);
        if (before == 1) /* the place is that of a flight that has ended */
            libcache_load_abort(begin(rig.ns, "key", 0, LIBCACHE_LEAD), 0);
        if (before >= 2) /* or of a dead leader's */
            lead_and_die(&rig, 0);
        if (before == 3) { /* or of one that was late, and for whom somebody waits */
            load = begin(rig.ns, "key", 0, LIBCACHE_LEAD);
            waiter = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
            fake_clock_advance(&rig.clock, 10000);
            libcache_load_abort(load, 0);
        }
        for (int i = 0; i < 3; i++)
            lead_and_die(&rig, 1);
        if (waiter) {
            ck_wait(&waiter, LIBCACHE_LEAD);
            load = waiter;
        } else {
            load = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_LEAD);
        }
        waiter = begin(rig.ns, "key", LIBCACHE_NO_BLOCK, LIBCACHE_WAIT);
        ck_result(commit(load, "value"), LIBCACHE_OK);
        ck_wait(&waiter, LIBCACHE_HIT);
        rig_down(&rig);
    }
}
END_TEST

START_TEST(G5_who_is_killed_while_he_takes_the_place_of_late_leaders_leaves_them_nothing_to_end)
{
    enum { LOADS = 300 };
    struct rig rig;
    libcache_load *late[LOADS];
    unsigned leading = 0;

    rig_prepare(&rig);
    rig.options.segment = LIBCACHE_SHARED;
    rig_open(&rig);
    for (unsigned i = 0; i < LOADS; i++) { /* all places are taken */
        libcache_value value = LIBCACHE_VALUE_INIT;
        char key[20];
        int result;
        snprintf(key, sizeof key, "other %u", i);
        result = libcache_load_begin(&late[i], rig.ns, key, strlen(key), &value, NULL);
        leading += result == LIBCACHE_LEAD;
        ck_assert(result == LIBCACHE_LEAD || result == LIBCACHE_BYPASS);
    }
    ck_assert_uint_ge(leading, 8);
    ck_assert_uint_lt(leading, LOADS);
    fake_clock_advance(&rig.clock, 100000);
    lead_and_die(&rig, 1);
    for (unsigned i = 0; i < LOADS; i++)
        libcache_load_abort(late[i], 1); /* they failed; nobody's load of the key did */
    libcache_load_abort(begin(rig.ns, "key", 0, LIBCACHE_LEAD), 0);
    rig_down(&rig);
}
END_TEST

/* ---- Without their guards ----------------------------------------------------------------------------------------------------------- */

/* Whether a load that the key's delete (or the tag's invalidation) overtook is served. */
static int is_served(enum guard broken, int kind)
{
    struct rig rig;
    libcache_load *load;
    int result;

    rig_up(&rig);
    load = begin(rig.ns, "key", 0, LIBCACHE_LEAD);
    invalidate(&rig, kind);
    broken_guard = (int)broken;
    commit_tagged(load, "old", "tag");
    result = look(rig.ns, "key");
    broken_guard = GUARD_NONE;
    rig_down(&rig);
    return result == LIBCACHE_HIT;
}

START_TEST(without_their_guards_overtaken_loads_are_served)
{
    ck_assert(!is_served(GUARD_NONE, KEY));
    ck_assert(!is_served(GUARD_NONE, TAG));
    ck_assert(is_served(GUARD_GENERATION, KEY));
    ck_assert(is_served(GUARD_MARKS, TAG));
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_hooks", G3_a_commit_that_is_overtaken_between_its_check_and_its_end_is_not_served,
                     G3_a_commit_that_is_overtaken_between_the_tiers_is_not_served,
                     G3_what_a_load_finds_in_redis_and_is_overtaken_meanwhile_is_not_kept,
                     who_finds_what_is_invalidated_on_its_way_from_redis_asks_again_and_has_the_lease,
                     who_comes_while_the_leader_looks_in_redis_waits_and_gets_what_that_finds,
                     where_there_is_no_L1_a_load_that_ends_between_look_and_flight_is_not_made_again,
                     G5_who_is_killed_while_he_takes_a_flight_holds_up_nobody,
                     G5_who_is_killed_while_he_takes_the_place_of_late_leaders_leaves_them_nothing_to_end, without_their_guards_overtaken_loads_are_served);
}
