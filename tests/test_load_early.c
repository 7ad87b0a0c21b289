/*
 * Early refresh (XFetch): how many loads it costs when nothing else keeps readers from loading, and what it costs with flights.
 * SPDX-License-Identifier: MIT
 */
#include "support/loads.h"

#include "cache.h"

#include <math.h>
#include <stdio.h>

static uint64_t roll(void *dice)
{
    return dice_roll(dice);
}

/* How many loads a value costs until it ends, without and with flights. */
struct early {
    double loads, missed;
};

enum { READERS = 100, LOAD_MS = 200, TTL_MS = 60000 };

/* One run of 100 readers: what they have under way. */
struct crowd {
    struct rig *rig;
    libcache_ns *ns;
    struct l1_key key;
    uint64_t now;                 /* ms since it began */
    uint64_t until[READERS];      /* when a reader's load is done; 0: he is not loading */
    unsigned loading, loads, missed;
    int stored;
};

static void store_value(struct crowd *c)
{
    libcache_item item = { { c->key.data, c->key.size }, LIBCACHE_STR("v"), NULL, 4711 };
    uint64_t load_ms = LOAD_MS, deadline = 0;

    store_loaded(c->ns, &item, &load_ms, 1, NULL, &deadline);
    ck_result(item.result, LIBCACHE_OK);
    c->stored = 1;
}

/* Time goes on to `to`; loads end on the way. */
static void pass(struct crowd *c, uint64_t to)
{
    while (c->loading && c->now < to) {
        fake_clock_advance(&c->rig->clock, 1);
        c->now++;
        for (int i = 0; i < READERS; i++)
            if (c->until[i] == c->now) {
                c->until[i] = 0;
                c->loading--;
                store_value(c);
            }
    }
    fake_clock_advance(&c->rig->clock, to - c->now);
    c->now = to;
}

/* A reader reads, and loads if he is told to; he gives the load up at once, so that nobody else is kept from deciding the same. */
static void read_it(struct crowd *c, uint64_t i, libcache_value *value)
{
    libcache_load *load = NULL;
    int result;

    if (c->until[i])
        return;
    result = libcache_load_begin(&load, c->ns, "key", 3, value, NULL);
    ck_assert(result == LIBCACHE_HIT || result == LIBCACHE_LEAD);
    if (!load)
        return;
    libcache_load_abort(load, 0);
    c->missed += result == LIBCACHE_LEAD;
    c->loads++;
    c->loading++;
    c->until[i] = c->now + LOAD_MS;
}

/*
 * 100 readers of one key, each of whom reads once every `every_ms` on average, at random. Whoever is told to refresh loads for 200 ms,
 * whatever the others do. A cycle ends when a value has been stored and nobody loads any more; then time goes on at once to where
 * deciding begins to be likely.
 */
static struct early without_flights(struct rig *rig, libcache_ns *ns, unsigned percent, unsigned every_ms, unsigned cycles)
{
    struct dice dice = dice_of(every_ms + percent);
    struct crowd c = { .rig = rig, .ns = ns, .key = l1_key_of(&rig->cache->l1, ns->id, "key", 3) };
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t ahead_ms = LOAD_MS * percent / 100 * 15;
    double next;
    unsigned ended = 0;

    store_value(&c);
    for (next = 0;;) { /* what is stored first has cost no load, and ends no cycle */
        if (c.stored && !c.loading) {
            if (ended++ == cycles)
                break;
            c.stored = 0;
            pass(&c, c.now + TTL_MS - LOAD_MS - ahead_ms);
            next = (double)c.now;
        }
        next -= log((double)(dice_below(&dice, 1 << 30) + 1) / (1 << 30)) * every_ms / READERS;
        pass(&c, (uint64_t)next > c.now ? (uint64_t)next : c.now);
        read_it(&c, dice_below(&dice, READERS), &value);
    }
    libcache_release_value(&value);
    return (struct early){ (double)c.loads / cycles, (double)c.missed / cycles };
}

static void prepare_early(struct rig *rig, struct dice *dice)
{
    rig_prepare(rig);
    *dice = dice_of(99);
    rig->options.random = roll;
    rig->options.random_arg = dice;
    rig_open(rig);
}

static libcache_ns *early_space(const struct rig *rig, unsigned percent)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    char name[20];

    snprintf(name, sizeof name, "early %u", percent);
    policy.ttl_ms = TTL_MS;
    policy.early_percent = percent;
    return space_with(rig, name, &policy);
}

/*
 * With beta 1 and a busy key theory says e loads a cycle: the first is decided where the rate of decisions is 1 in a load's time, and
 * it grows e-fold until that load is done; with beta b, e to the power of 1/b. A key that is read once in a load's time or less costs
 * one, and is often missed. Seeded, so these bounds hold or do not; they are four times the standard deviation away.
 */
START_TEST(early_refresh_alone_keeps_loads_few_and_a_busy_key_from_expiring)
{
    static const unsigned betas[] = { 100, 250, 400 }, every[] = { 100, 1000, 10000 };
    unsigned cycles = (unsigned)scaled(80);

    for (int b = 0; b < 3; b++)
        for (int e = 0; e < 3; e++) {
            struct rig rig;
            struct dice dice;
            struct early early;
            double most = exp(100.0 / betas[b]);
            prepare_early(&rig, &dice);
            early = without_flights(&rig, early_space(&rig, betas[b]), betas[b], every[e], cycles);
            printf("early: beta %.1f, %u readers that read every %u ms, load of %u ms: %.2f loads a cycle without flights (theory: "
                   "%.2f at most), %.2f%% of cycles end in a miss\n", betas[b] / 100.0, (unsigned)READERS, every[e],
                   (unsigned)LOAD_MS, early.loads, most, 100 * early.missed);
            ck_assert_msg(early.loads >= 1 && early.loads < most + 5 * most / sqrt(cycles), "%.2f loads a cycle", early.loads);
            if (betas[b] >= 250)
                ck_assert_msg(early.loads <= 1.5 + 5 * 1.5 / sqrt(cycles), "%.2f loads a cycle", early.loads);
            if (every[e] == 100)
                ck_assert_msg(early.missed < 0.02, "%.2f of all cycles end in a miss", early.missed);
            rig_down(&rig);
        }
}
END_TEST

START_TEST(early_refresh_with_flights_is_one_load_a_cycle)
{
    struct rig rig;
    struct dice dice, readers = dice_of(3);
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_load *refresh;
    unsigned cycles = (unsigned)scaled(100);
    libcache_ns *ns;

    prepare_early(&rig, &dice);
    ns = early_space(&rig, 100);
    refresh = begin(ns, "key", 0, LIBCACHE_LEAD);
    for (unsigned cycle = 0; cycle < cycles; cycle++) {
        fake_clock_advance(&rig.clock, LOAD_MS);
        ck_result(commit(refresh, "value"), LIBCACHE_OK);
        fake_clock_advance(&rig.clock, TTL_MS - 15 * LOAD_MS);
        for (refresh = NULL; !refresh; fake_clock_advance(&rig.clock, 1)) /* 100 readers, each every 200 ms */
            if (dice_chance(&readers, 50))
                ck_result(libcache_load_begin(&refresh, ns, "key", 3, &value, NULL), LIBCACHE_HIT); /* always */
        for (int i = 0; i < LOAD_MS / 2; i++) {
            libcache_load *load = NULL;
            ck_result(libcache_load_begin(&load, ns, "key", 3, &value, NULL), LIBCACHE_HIT);
            ck_assert_ptr_null(load); /* one is at it */
        }
    }
    ck_assert_uint_eq(rig_stats(&rig).refreshes, cycles);
    ck_assert_uint_eq(rig_stats(&rig).misses, 1);
    libcache_load_abort(refresh, 0);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(a_value_that_was_quickly_loaded_or_never_ends_is_not_refreshed_early)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_ns *ns;

    rig_prepare(&rig);
    rig.random = 0; /* the longest reach there is: 53 bits' worth, some 36 load times */
    rig_open(&rig);
    ns = early_space(&rig, 100);
    ck_result(put(ns, "set", "by hand"), LIBCACHE_OK); /* nobody knows how long that takes */
    fake_clock_advance(&rig.clock, TTL_MS - 1);
    ck_assert_ptr_null(begin(ns, "set", 0, LIBCACHE_HIT));
    ck_result(commit(begin(ns, "key", 0, LIBCACHE_LEAD), "v"), LIBCACHE_OK); /* in no time: 1 ms is meant */
    fake_clock_advance(&rig.clock, TTL_MS - 38);
    ck_assert_ptr_null(begin(ns, "key", 0, LIBCACHE_HIT));
    fake_clock_advance(&rig.clock, 2);
    libcache_load_abort(begin(ns, "key", 0, LIBCACHE_HIT), 0);
    options.ttl_ms = LIBCACHE_FOREVER;
    ck_result(libcache_load_commit(begin(ns, "forever", 0, LIBCACHE_LEAD), "v", 1, &options), LIBCACHE_OK);
    fake_clock_advance(&rig.clock, 10 * TTL_MS);
    ck_assert_ptr_null(begin(ns, "forever", 0, LIBCACHE_HIT));
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("load_early", early_refresh_alone_keeps_loads_few_and_a_busy_key_from_expiring,
                     early_refresh_with_flights_is_one_load_a_cycle,
                     a_value_that_was_quickly_loaded_or_never_ends_is_not_refreshed_early);
}
