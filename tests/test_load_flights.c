/*
 * The table of flights by itself (lib/l1/flights.c): who leads, who waits, and what becomes of a leader that is late, dead,
 * or not the one that he seems to be. SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include "cache.h"
#include "l1/flights.h"
#include "l1/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEASE 5000

static struct l1 *l1_of(const struct rig *rig)
{
    return &rig->cache->l1;
}

static struct l1_key key_of(const struct rig *rig, const char *key)
{
    return l1_key_of(l1_of(rig), rig->ns->id, key, strlen(key));
}

static enum flight_role fly(const struct rig *rig, const char *key, struct flight_ref *ref)
{
    struct l1_key k = key_of(rig, key);
    return flight_begin(l1_of(rig), &k, LEASE, 0, ref);
}

static void up_shared(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_SHARED;
    rig_open(rig);
}

/* Runs it in a child, which ends without ado. */
static void in_a_child(const struct rig *rig, void (*act)(const struct rig *rig))
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        act(rig);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

/* ---- Who leads ------------------------------------------------------------------------------------------------------------ */

START_TEST(the_first_leads_and_others_learn_how_it_ended)
{
    static const enum flight_end ends[] = { FLIGHT_STORED, FLIGHT_NOT_STORED, FLIGHT_FENCED, FLIGHT_FAILED };
    struct rig rig;

    rig_up(&rig);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct flight_ref leader, waiter;
        enum flight_end how;
        ck_assert_int_eq(fly(&rig, "key", &leader), FLIGHT_LEAD);
        ck_assert_int_eq(fly(&rig, "key", &waiter), FLIGHT_WAIT);
        ck_assert(!flight_ended(l1_of(&rig), &waiter, &how));
        ck_assert(!flight_wait(l1_of(&rig), &waiter, 1, &how));
        flight_end(l1_of(&rig), &leader, ends[i], 0);
        ck_assert(flight_wait(l1_of(&rig), &waiter, 1, &how));
        ck_assert_int_eq(how, ends[i]);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(who_looks_so_late_that_another_flight_has_begun_is_told_to_look_again)
{
    struct rig rig;
    struct flight_ref leader, waiter, next;
    enum flight_end how;

    rig_up(&rig);
    fly(&rig, "key", &leader);
    fly(&rig, "key", &waiter);
    flight_end(l1_of(&rig), &leader, FLIGHT_STORED, 0);
    ck_assert_int_eq(fly(&rig, "key", &next), FLIGHT_LEAD);
    ck_assert(flight_ended(l1_of(&rig), &waiter, &how));
    ck_assert_int_eq(how, FLIGHT_FENCED);
    flight_end(l1_of(&rig), &leader, FLIGHT_FAILED, 1000); /* of a flight that is over: nothing */
    ck_assert_int_eq(fly(&rig, "key", &waiter), FLIGHT_WAIT);
    flight_end(l1_of(&rig), &next, FLIGHT_STORED, 0);
    rig_down(&rig);
}
END_TEST

START_TEST(a_leader_that_goes_on_is_believed_for_longer_and_one_that_was_given_up_is_told)
{
    struct rig rig;
    struct flight_ref leader, next;

    rig_up(&rig);
    fly(&rig, "key", &leader);
    fake_clock_advance(&rig.clock, LEASE - 1);
    ck_assert(flight_extend(l1_of(&rig), &leader, LEASE));
    fake_clock_advance(&rig.clock, LEASE - 1);
    ck_assert_int_eq(fly(&rig, "key", &next), FLIGHT_WAIT);
    fake_clock_advance(&rig.clock, 1);
    ck_assert_int_eq(fly(&rig, "key", &next), FLIGHT_LEAD);
    ck_assert(!flight_extend(l1_of(&rig), &leader, LEASE));
    rig_down(&rig);
}
END_TEST

START_TEST(a_failure_is_remembered_although_many_others_fly)
{
    struct rig rig;
    struct flight_ref failed, ref, flying[4];
    char key[40];
    unsigned n = 0;

    rig_up(&rig);
    fly(&rig, "key", &failed);
    flight_end(l1_of(&rig), &failed, FLIGHT_FAILED, 1000);
    for (int i = 0; i < 2000; i++) { /* as many as are in the table, over and over, but few at once */
        snprintf(key, sizeof key, "other %d", i);
        if (n == 4)
            flight_end(l1_of(&rig), &flying[i % 4], FLIGHT_STORED, 0);
        else
            n++;
        if (fly(&rig, key, &flying[i % 4]) == FLIGHT_NONE)
            n--;
    }
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_BACKOFF);
    fake_clock_advance(&rig.clock, 1000);
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_LEAD);
    rig_down(&rig);
}
END_TEST

START_TEST(a_full_table_says_so_and_makes_room_when_times_are_up)
{
    struct rig rig;
    struct flight_ref ref;
    unsigned full = 0;
    char key[40];

    rig_up(&rig);
    for (int round = 0; round < 2; round++) {
        full = 0;
        for (int i = 0; i < 3000; i++) {
            snprintf(key, sizeof key, "%d %d", round, i);
            full += fly(&rig, key, &ref) == FLIGHT_NONE;
        }
        ck_assert_uint_gt(full, 3000 - l1_of(&rig)->layout.flights - 1);
        fake_clock_advance(&rig.clock, LEASE);
    }
    ck_assert_int_eq(fly(&rig, "any", &ref), FLIGHT_LEAD);
    rig_down(&rig);
}
END_TEST

/* ---- Dead leaders --------------------------------------------------------------------------------------------------------------- */

static void lead_and_die(const struct rig *rig)
{
    struct flight_ref ref;
    _exit(fly(rig, "key", &ref) == FLIGHT_LEAD ? 0 : 1);
}

START_TEST(a_dead_leaders_flight_is_taken_over_at_once)
{
    struct rig rig;
    struct flight_ref before, ref;
    enum flight_end how;

    up_shared(&rig);
    in_a_child(&rig, lead_and_die);
    before = (struct flight_ref){ 0 };
    for (uint32_t i = 0; i < l1_of(&rig)->layout.flights; i++)
        if (l1_of(&rig)->flights[i].key)
            before = (struct flight_ref){ i, l1_of(&rig)->flights[i].word, 0 };
    ck_assert(flight_ended(l1_of(&rig), &before, &how)); /* who has waited for it sees that */
    ck_assert_int_eq(how, FLIGHT_FLYING);
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_LEAD);
    ck_assert_uint_eq(ref.slot, before.slot);
    rig_down(&rig);
}
END_TEST

START_TEST(a_leader_whose_pid_is_now_somebody_elses_is_dead)
{
    struct rig rig;
    struct flight_ref ref;
    struct flight *f;

    up_shared(&rig);
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_LEAD);
    f = &l1_of(&rig)->flights[ref.slot];
    f->pid = (uint32_t)getppid(); /* another process, that lives */
    f->start = 0;
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_WAIT); /* when it began is not known: it is believed */
    f->start = 1; /* when this machine was started: not when he was */
    ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_LEAD);
    rig_down(&rig);
}
END_TEST

static void die_with_the_lock(const struct rig *rig)
{
    int died = 0;
    lock_take(&l1_of(rig)->head->flights_lock, 1000, &died);
}

START_TEST(who_dies_with_the_tables_lock_holds_up_nobody)
{
    struct rig rig;
    struct flight_ref ref;

    up_shared(&rig);
    for (int i = 0; i < 3; i++) {
        in_a_child(&rig, die_with_the_lock);
        ck_assert_int_eq(fly(&rig, "key", &ref), FLIGHT_LEAD);
        flight_end(l1_of(&rig), &ref, FLIGHT_STORED, 0);
    }
    rig_down(&rig);
}
END_TEST

/* ---- Manners ---------------------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t *watched_lock;
static unsigned clock_calls, clock_calls_in_lock;

static uint64_t watching_clock(void *arg)
{
    if (watched_lock) {
        clock_calls++;
        if (pthread_mutex_trylock(watched_lock) == 0)
            pthread_mutex_unlock(watched_lock);
        else
            clock_calls_in_lock++;
    }
    return fake_clock_read(arg);
}

START_TEST(the_hosts_clock_is_not_called_while_the_tables_lock_is_held)
{
    struct rig rig;
    struct source source = { .text = "value" };

    rig_prepare(&rig);
    rig.options.clock_ms = watching_clock;
    rig_open(&rig);
    watched_lock = &l1_of(&rig)->head->flights_lock;
    ck_fetch(rig.ns, "key", &source, LIBCACHE_HIT, "value");
    source.error = -1;
    ck_fetch(rig.ns, "fails", &source, LIBCACHE_ELOAD, NULL);
    ck_fetch(rig.ns, "fails", &source, LIBCACHE_ELOAD, NULL);
    ck_assert_uint_gt(clock_calls, 0);
    ck_assert_uint_eq(clock_calls_in_lock, 0);
    watched_lock = NULL;
    rig_down(&rig);
}
END_TEST

START_TEST(while_another_host_loads_who_has_an_old_value_rests_and_who_has_none_begins)
{
    struct rig rig;
    struct flight_ref ref;

    rig_up(&rig);
    for (int has_old = 0; has_old < 2; has_old++) {
        const struct l1_key key = l1_key_of(l1_of(&rig), 1, has_old ? "old" : "new", 3);
        ck_assert_int_eq(flight_begin(l1_of(&rig), &key, LEASE, 1, &ref), FLIGHT_LEAD);
        flight_end(l1_of(&rig), &ref, FLIGHT_ELSEWHERE, 25);
        ck_assert_int_eq(flight_begin(l1_of(&rig), &key, LEASE, 1, &ref), FLIGHT_BACKOFF);
        fake_clock_advance(&rig.clock, has_old ? 25 : 24);
        ck_assert_int_eq(flight_begin(l1_of(&rig), &key, LEASE, has_old, &ref), FLIGHT_LEAD);
        flight_end(l1_of(&rig), &ref, FLIGHT_STORED, 0);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(what_was_seen_of_a_flight_tells_whether_another_has_ended_since)
{
    struct rig rig;
    struct flight_ref ref, dead;
    uint32_t seen;

    rig_up(&rig);
    {
        struct l1 *l1 = l1_of(&rig);
        const struct l1_key key = l1_key_of(l1, 1, "key", 3);
        ck_assert_uint_eq(flight_seen(l1, &key), 0);
        ck_assert_int_eq(flight_begin(l1, &key, LEASE, 0, &ref), FLIGHT_LEAD);
        ck_assert_uint_eq(ref.before, 0); /* nobody was here before */
        seen = flight_seen(l1, &key);
        flight_end(l1, &ref, FLIGHT_STORED, 0);
        ck_assert_int_eq(flight_begin(l1, &key, LEASE, 0, &ref), FLIGHT_LEAD);
        ck_assert_uint_ne(ref.before, seen); /* that flight has ended */
        flight_end(l1, &ref, FLIGHT_FENCED, 0);
        seen = flight_seen(l1, &key);
        ck_assert_int_eq(flight_begin(l1, &key, LEASE, 0, &ref), FLIGHT_LEAD);
        ck_assert_uint_eq(ref.before, seen); /* none has */
        dead = ref;
        fake_clock_advance(&rig.clock, LEASE);
        seen = flight_seen(l1, &key);
        ck_assert_int_eq(flight_begin(l1, &key, LEASE, 0, &ref), FLIGHT_LEAD);
        ck_assert_uint_eq(ref.before, seen);
        flight_end(l1, &dead, FLIGHT_STORED, 0); /* who is late ends nobody's flight */
        ck_assert_uint_eq(flight_seen(l1, &key), ref.word);
    }
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_flights", while_another_host_loads_who_has_an_old_value_rests_and_who_has_none_begins,
                     what_was_seen_of_a_flight_tells_whether_another_has_ended_since,
                     the_first_leads_and_others_learn_how_it_ended,
                     who_looks_so_late_that_another_flight_has_begun_is_told_to_look_again,
                     a_leader_that_goes_on_is_believed_for_longer_and_one_that_was_given_up_is_told,
                     a_failure_is_remembered_although_many_others_fly, a_full_table_says_so_and_makes_room_when_times_are_up,
                     a_dead_leaders_flight_is_taken_over_at_once, a_leader_whose_pid_is_now_somebody_elses_is_dead,
                     who_dies_with_the_tables_lock_holds_up_nobody, the_hosts_clock_is_not_called_while_the_tables_lock_is_held);
}
