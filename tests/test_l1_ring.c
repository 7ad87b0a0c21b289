/* Rings (lib/l1/ring.c), S3-FIFO and the walker. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "cache.h"
#include "l1/index.h"

#include <stdio.h>
#include <string.h>

enum { MEMORY = 1 << 20 };

static void ring_up(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.memory_bytes = MEMORY;
    rig->options.stripes = 1;
    rig_open(rig);
}

static struct shard *shard(struct rig *rig)
{
    return &rig->cache->l1.shards[0];
}

static struct stripe *stripe(struct rig *rig)
{
    return shard(rig)->s;
}

static void ck_sound(struct rig *rig)
{
    const char *what = NULL;
    ck_assert_msg(l1_check(&rig->cache->l1, &what), "an invariant does not hold: %s", what);
}

static void ring_down(struct rig *rig)
{
    ck_sound(rig);
    rig_down(rig);
}

static libcache_stats stats_of(struct rig *rig)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    ck_result(libcache_read_stats(rig->cache, &stats), LIBCACHE_OK);
    return stats;
}

static void store_in(libcache_ns *ns, const char *prefix, unsigned i, size_t size)
{
    static char value[200000];
    char key[40];
    int n = snprintf(key, sizeof key, "%s %u", prefix, i), result = libcache_set(ns, key, (size_t)n, value, size, NULL);
    if (result != LIBCACHE_OK)
        ck_abort_msg("set gives %s", result_name(result));
}

static void store(struct rig *rig, const char *prefix, unsigned from, unsigned to, size_t size)
{
    for (unsigned i = from; i < to; i++)
        store_in(rig->ns, prefix, i, size);
}

/* Reads it `times` times; 1 when it was there. */
static int use(struct rig *rig, const char *prefix, unsigned i, int times)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    char key[40];
    int n = snprintf(key, sizeof key, "%s %u", prefix, i), hit = 1;

    while (times--)
        hit = hit && libcache_get(rig->ns, key, (size_t)n, &value, 0) == LIBCACHE_HIT;
    libcache_release_value(&value);
    return hit;
}

static unsigned count(struct rig *rig, const char *prefix, unsigned from, unsigned to)
{
    unsigned found = 0;
    char key[40];

    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "%s %u", prefix, i);
        found += look(rig->ns, key) == LIBCACHE_HIT;
    }
    return found;
}

static uint64_t slot_of(struct rig *rig, const char *key)
{
    struct l1_key k = l1_key_of(&rig->cache->l1, rig->ns->id, key, strlen(key));
    struct sought sought;
    struct entry e;
    unsigned char *p;

    index_seek(shard(rig), &k, &sought, &e, &p);
    return sought.place.bucket ? sought.place.bucket->slot[sought.place.i] : 0;
}

/* Until main has had to let go of something. */
static void fill(struct rig *rig)
{
    for (unsigned i = 0; !stripe(rig)->main_filled; i++) {
        ck_assert_uint_lt(i, 100000);
        store(rig, "filling", i, i + 1, 500);
        use(rig, "filling", i, 2);
    }
    store(rig, "after", 0, 1000, 500);
}

START_TEST(offsets_only_grow_and_laps_follow_each_other)
{
    struct dice dice = dice_of(1);
    uint64_t head[2] = { 0, 0 }, tail[2] = { 0, 0 };
    struct rig rig;

    ring_up(&rig);
    for (unsigned long i = scaled(100000); i; i--) {
        unsigned key = (unsigned)dice_below(&dice, 5000);
        store(&rig, "key", key, key + 1, dice_below(&dice, dice_chance(&dice, 3) ? 20000 : 600));
        use(&rig, "key", (unsigned)dice_below(&dice, 300), 1);
        for (int r = SMALL; r <= MAIN; r++) {
            if (stripe(&rig)->ring[r].head < head[r] || stripe(&rig)->tail[r] < tail[r] || stripe(&rig)->tail[r] > stripe(&rig)->ring[r].head)
                ck_abort_msg("ring %d went back", r);
            head[r] = stripe(&rig)->ring[r].head;
            tail[r] = stripe(&rig)->tail[r];
            if (!ring_sane(shard(&rig), (enum ring)r) || ring_used(shard(&rig), (enum ring)r) > ring_limit(shard(&rig), SMALL) * (r == SMALL ? 1 : 20))
                ck_abort_msg("ring %d is not sane", r);
            if (ring_used(shard(&rig), (enum ring)r) != stripe(&rig)->ring[r].live + stripe(&rig)->ring[r].dead)
                ck_abort_msg("ring %d: %d used, %d live, %d dead", r, (int)ring_used(shard(&rig), (enum ring)r),
                             (int)stripe(&rig)->ring[r].live, (int)stripe(&rig)->ring[r].dead);
        }
        if (i % 1000 == 0)
            ck_sound(&rig);
    }
    if (scaled(100) >= 20) {
        ck_assert_uint_gt(head[SMALL] >> shard(&rig)->lap_shift, 5);
        ck_assert_uint_gt(head[MAIN] >> shard(&rig)->lap_shift, 5);
    }
    ring_down(&rig);
}
END_TEST

START_TEST(nothing_goes_while_there_is_room)
{
    struct rig rig;
    unsigned n = MEMORY * 8 / 10 / 550;

    ring_up(&rig);
    store(&rig, "key", 0, n, 500);
    ck_assert_uint_eq(count(&rig, "key", 0, n), n);
    ck_assert_uint_eq(stats_of(&rig).evictions, 0);
    ring_down(&rig);
}
END_TEST

START_TEST(one_hit_wonders_go_first)
{
    struct rig rig;
    unsigned n = MEMORY / 4 / 550;

    ring_up(&rig);
    fill(&rig);
    for (unsigned i = 0; i < n; i++) {
        store(&rig, "hot", i, i + 1, 500);
        ck_assert(use(&rig, "hot", i, 2));
    }
    for (unsigned i = 0; i < 20000; i++) {
        store(&rig, "wonder", i, i + 1, 500);
        if (i % 10 == 0)
            use(&rig, "hot", i / 10 % n, 1);
    }
    ck_assert_uint_ge(count(&rig, "hot", 0, n), n * 95 / 100);
    ck_assert_uint_lt(count(&rig, "wonder", 0, 20000), 400);
    ring_down(&rig);
}
END_TEST

START_TEST(two_uses_carry_an_entry_to_main_and_one_does_not)
{
    struct rig rig;

    ring_up(&rig);
    fill(&rig);
    for (int uses = 0; uses < 4; uses++) {
        char key[16];
        snprintf(key, sizeof key, "used %d", uses);
        store(&rig, "used", (unsigned)uses, (unsigned)uses + 1, 500);
        ck_assert_int_eq(slot_ring(slot_of(&rig, key)), SMALL);
        ck_assert(use(&rig, "used", (unsigned)uses, uses));
    }
    store(&rig, "wonder", 0, 400, 500);
    ck_result(look(rig.ns, "used 0"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "used 1"), LIBCACHE_MISS);
    ck_result(look(rig.ns, "used 2"), LIBCACHE_HIT);
    ck_result(look(rig.ns, "used 3"), LIBCACHE_HIT);
    ck_assert_int_eq(slot_ring(slot_of(&rig, "used 2")), MAIN);
    ring_down(&rig);
}
END_TEST

START_TEST(who_comes_back_soon_after_its_eviction_goes_to_main)
{
    enum { BACK = 40 };
    struct rig rig;
    unsigned in_main = 0;
    uint64_t ghost_hits;
    char key[16];

    ring_up(&rig);
    fill(&rig);
    store(&rig, "back", 0, BACK, 10);
    store(&rig, "wonder", 0, 300, 500);
    ck_assert_uint_eq(count(&rig, "back", 0, BACK), 0);
    ghost_hits = stats_of(&rig).ghost_hits;
    store(&rig, "back", 0, BACK, 10);
    for (unsigned i = 0; i < BACK; i++) {
        snprintf(key, sizeof key, "back %u", i);
        in_main += slot_of(&rig, key) && slot_ring(slot_of(&rig, key)) == MAIN;
    }
    ck_assert_uint_ge(in_main, BACK / 2); /* others may have needed the place of a ghost */
    ck_assert_uint_eq(stats_of(&rig).ghost_hits, ghost_hits + in_main);

    store(&rig, "late", 0, BACK, 10);
    store(&rig, "long after", 0, 30000, 500); /* many laps later they are forgotten */
    ghost_hits = stats_of(&rig).ghost_hits;
    store(&rig, "late", 0, BACK, 10);
    ck_assert_uint_le(stats_of(&rig).ghost_hits, ghost_hits + 2); /* a 16-bit tag errs now and then */
    ring_down(&rig);
}
END_TEST

START_TEST(entries_in_main_stay_as_long_as_they_are_used)
{
    enum { KEPT = 50 };
    struct rig rig;
    uint64_t survivors;

    ring_up(&rig);
    fill(&rig);
    for (unsigned i = 0; i < KEPT; i++) {
        store(&rig, "kept", i, i + 1, 20);
        use(&rig, "kept", i, 3);
    }
    store(&rig, "wonder", 0, 300, 500);
    ck_assert_int_eq(slot_ring(slot_of(&rig, "kept 0")), MAIN);
    survivors = stats_of(&rig).survivors;
    for (unsigned i = 0; i < 10000; i++) { /* main turns several times */
        store(&rig, "pushing", i, i + 1, 500);
        use(&rig, "pushing", i, 2);
        use(&rig, "kept", i % KEPT, 1);
    }
    ck_assert_uint_gt(stats_of(&rig).survivors, survivors + 5000);
    ck_assert_uint_ge(count(&rig, "kept", 0, KEPT), KEPT * 9 / 10); /* where a lap ends, one or another is lost */
    for (unsigned i = 0; i < 10000; i++) {
        store(&rig, "pushing it out", i, i + 1, 500);
        use(&rig, "pushing it out", i, 2);
    }
    ck_assert_uint_eq(count(&rig, "kept", 0, KEPT), 0);
    ring_down(&rig);
}
END_TEST

START_TEST(dead_bytes_are_accounted_and_their_room_is_used_again)
{
    struct rig rig;
    uint64_t evictions;
    unsigned n = MEMORY / 3 / 550;

    ring_up(&rig);
    store(&rig, "key", 0, n, 500);
    ck_assert_uint_eq(stripe(&rig)->ring[SMALL].dead + stripe(&rig)->ring[MAIN].dead, 0);
    store(&rig, "key", 0, 1, 500);
    ck_assert_uint_ge(stripe(&rig)->ring[SMALL].dead + stripe(&rig)->ring[MAIN].dead, 500);
    for (int round = 0; round < 20; round++) { /* the same few over and over: nothing alive needs to go */
        store(&rig, "key", 0, n, 500);
        ck_sound(&rig);
    }
    evictions = stats_of(&rig).evictions;
    ck_assert_uint_eq(count(&rig, "key", 0, n), n - evictions);
    ck_assert_uint_le(evictions, n / 100);
    ring_down(&rig);
}
END_TEST

/* For entries larger than the small ring; returns how large such a value is. */
static size_t large_up(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.memory_bytes = MEMORY;
    rig->options.stripes = 1;
    rig->options.max_value_bytes = 150000;
    rig_open(rig);
    return shard(rig)->small_bytes + 1000;
}

START_TEST(an_entry_larger_than_the_small_ring_is_kept_at_once_while_there_is_room_and_else_at_its_second_store)
{
    struct rig rig;
    size_t large = large_up(&rig);

    store(&rig, "large", 0, 1, large);
    ck_assert_uint_eq(count(&rig, "large", 0, 1), 1);
    fill(&rig);
    store(&rig, "large", 1, 2, large);
    ck_assert_uint_eq(count(&rig, "large", 1, 2), 0);
    store(&rig, "large", 1, 2, large);
    ck_assert_uint_eq(count(&rig, "large", 1, 2), 1);
    store(&rig, "large", 1, 2, large); /* and overwritten where it is */
    ck_assert_uint_eq(count(&rig, "large", 1, 2), 1);
    ck_sound(&rig);
    for (unsigned i = 0; i < 200; i++) {
        store(&rig, "many", i % 8, i % 8 + 1, large);
        ck_assert_uint_le(stats_of(&rig).live_bytes, MEMORY);
    }
    ck_sound(&rig);
    store(&rig, "largest", 0, 1, 150000);
    store(&rig, "largest", 0, 1, 150000);
    ck_assert_uint_eq(count(&rig, "largest", 0, 1), 1);
    ring_down(&rig);
}
END_TEST

START_TEST(what_replaces_an_entry_larger_than_the_small_ring_is_kept)
{
    struct rig rig;
    size_t large = large_up(&rig);

    for (unsigned n = 2; n < 12; n++) /* as many as there is room for, and more */
        for (unsigned i = 0; i < 20 * n; i++) {
            unsigned was_there = count(&rig, "large", i % n, i % n + 1);
            store(&rig, "large", i % n, i % n + 1, large);
            ck_assert(!was_there || count(&rig, "large", i % n, i % n + 1));
        }
    ring_down(&rig);
}
END_TEST

START_TEST(a_namespace_past_its_share_gives_way)
{
    struct rig rig;
    libcache_ns *greedy;
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    unsigned n = MEMORY / 2 / 550;
    uint64_t most = 0;

    ring_up(&rig);
    policy.l1_share_percent = 15;
    ck_result(libcache_open_namespace(&greedy, rig.cache, "greedy", &policy, NULL), LIBCACHE_OK);
    store(&rig, "key", 0, n, 500);
    for (unsigned i = 0; i < 20000; i++) {
        store_in(greedy, "greedy", i % 6000, 500);
        store_in(greedy, "greedy", (i + 5990) % 6000, 500); /* again, soon: it would go to main */
        if (stripe(&rig)->space[greedy->id].bytes > most)
            most = stripe(&rig)->space[greedy->id].bytes;
    }
    ck_assert_uint_le(most, shard(&rig)->region_bytes * 15 / 100 + shard(&rig)->small_bytes + 2000);
    ck_assert_uint_gt(most, shard(&rig)->region_bytes / 20);
    ck_assert_uint_ge(count(&rig, "key", 0, n), n * 90 / 100);
    ring_down(&rig);
}
END_TEST

/* Stores of another are all that happens; 8 of them make the walker look at one bucket. */
static void walk_by_storing(struct rig *rig)
{
    for (uint32_t i = 8 * 3 * shape_buckets(stripe(rig)->shape); i; i--)
        store(rig, "walk", 0, 1, 8);
}

START_TEST(the_walker_reclaims_what_has_expired)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    ring_up(&rig);
    options.ttl_ms = 1000;
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "short %d", i);
        ck_result(libcache_set(rig.ns, key, strlen(key), "x", 1, &options), LIBCACHE_OK);
    }
    store(&rig, "long", 0, 200, 10);
    fake_clock_advance(&rig.clock, 999);
    walk_by_storing(&rig);
    ck_assert_uint_eq(stats_of(&rig).reclaimed, 0);
    fake_clock_advance(&rig.clock, 1);
    walk_by_storing(&rig);
    ck_assert_uint_eq(stats_of(&rig).reclaimed, 200);
    ck_assert_uint_eq(count(&rig, "long", 0, 200), 200);
    ck_assert_uint_eq(stats_of(&rig).evictions, 0);
    ring_down(&rig);
}
END_TEST

START_TEST(the_walker_reclaims_what_was_invalidated)
{
    struct rig rig;
    uint64_t entries;

    ring_up(&rig);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "tagged %d", i);
        put_tagged(rig.ns, key, "x", i % 2 ? "odd" : "even");
    }
    ck_result(invalidate_tag(rig.cache, "odd"), LIBCACHE_OK);
    entries = stats_of(&rig).entries;
    ck_assert_uint_eq(entries, 200);
    walk_by_storing(&rig);
    ck_assert_uint_eq(stats_of(&rig).reclaimed, 100);
    ck_assert_uint_eq(count(&rig, "tagged", 0, 200), 100);
    ring_down(&rig);
}
END_TEST

START_TEST(the_walker_rests_when_he_has_been_round)
{
    struct rig rig;

    ring_up(&rig);
    put_tagged(rig.ns, "key", "x", "tag");
    ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
    walk_by_storing(&rig);
    ck_assert_uint_eq(stats_of(&rig).reclaimed, 1);
    ck_assert_uint_eq(stripe(&rig)->walk_bucket, 0);
    for (int i = 0; i < 100; i++) {
        store(&rig, "more", 0, 1, 8);
        ck_assert_uint_eq(stripe(&rig)->walk_bucket, 0);
    }
    ring_down(&rig);
}
END_TEST

START_TEST(a_sweep_reclaims_without_any_store)
{
    struct rig rig;
    size_t reclaimed = 0, all = 0;

    ring_up(&rig);
    store(&rig, "key", 0, 500, 10);
    ck_result(libcache_invalidate_all(rig.cache, 0), LIBCACHE_OK);
    for (int i = 0; i < 100 && all < 500; i++) {
        ck_result(libcache_sweep(rig.cache, 70, &reclaimed), LIBCACHE_OK);
        ck_assert_uint_le(reclaimed, 80);
        all += reclaimed;
    }
    ck_assert_uint_eq(all, 500);
    ck_assert_uint_eq(stats_of(&rig).entries, 0);
    ck_assert_uint_eq(stats_of(&rig).live_bytes, 0);
    ring_down(&rig);
}
END_TEST

START_TEST(what_has_expired_or_was_invalidated_neither_survives_nor_leaves_a_ghost)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    uint64_t ghost_hits;

    ring_up(&rig);
    fill(&rig);
    options.ttl_ms = 10;
    ck_result(libcache_set(rig.ns, "expired 0", 9, "x", 1, &options), LIBCACHE_OK);
    put_tagged(rig.ns, "invalid 0", "x", "tag");
    use(&rig, "expired", 0, 3);
    use(&rig, "invalid", 0, 3);
    fake_clock_advance(&rig.clock, 10);
    ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
    store(&rig, "wonder", 0, 400, 500);
    ck_assert_uint_eq(slot_of(&rig, "expired 0"), 0);
    ck_assert_uint_eq(slot_of(&rig, "invalid 0"), 0);
    ghost_hits = stats_of(&rig).ghost_hits;
    put(rig.ns, "expired 0", "new");
    put(rig.ns, "invalid 0", "new");
    ck_assert_uint_eq(stats_of(&rig).ghost_hits, ghost_hits);
    ring_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l1_ring", offsets_only_grow_and_laps_follow_each_other, nothing_goes_while_there_is_room,
                     one_hit_wonders_go_first, two_uses_carry_an_entry_to_main_and_one_does_not,
                     who_comes_back_soon_after_its_eviction_goes_to_main, entries_in_main_stay_as_long_as_they_are_used,
                     dead_bytes_are_accounted_and_their_room_is_used_again,
                     an_entry_larger_than_the_small_ring_is_kept_at_once_while_there_is_room_and_else_at_its_second_store,
                     what_replaces_an_entry_larger_than_the_small_ring_is_kept,
                     a_namespace_past_its_share_gives_way, the_walker_reclaims_what_has_expired,
                     the_walker_reclaims_what_was_invalidated, the_walker_rests_when_he_has_been_round, a_sweep_reclaims_without_any_store,
                     what_has_expired_or_was_invalidated_neither_survives_nor_leaves_a_ghost);
}
