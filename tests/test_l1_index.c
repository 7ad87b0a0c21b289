/* The index (lib/l1/index.c): matching, growing, conflicts. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "cache.h"
#include "l1/index.h"

#include <stdio.h>
#include <string.h>

static void index_up(struct rig *rig, size_t memory_bytes)
{
    rig_prepare(rig);
    rig->options.memory_bytes = memory_bytes;
    rig->options.stripes = 1;
    rig_open(rig);
}

static struct shard *shard(struct rig *rig)
{
    return &rig->cache->l1.shards[0];
}

static uint32_t buckets(struct rig *rig)
{
    return shape_buckets(shard(rig)->s->shape);
}

static void ck_sound(struct rig *rig)
{
    const char *what = NULL;
    ck_assert_msg(l1_check(&rig->cache->l1, &what), "an invariant does not hold: %s", what);
}

static size_t number_key(char *key, unsigned i)
{
    return (size_t)snprintf(key, 32, "key:%u", i);
}

static void store(struct rig *rig, unsigned i)
{
    char key[32];
    size_t n = number_key(key, i);
    int result = libcache_set(rig->ns, key, n, &i, sizeof i, NULL);
    if (result != LIBCACHE_OK)
        ck_abort_msg("set gives %s", result_name(result));
}

/* 1 when the entry is there; its value must be the right one. */
static int there(struct rig *rig, unsigned i)
{
    unsigned char memory[sizeof i];
    libcache_value value = { .data = memory, .capacity = sizeof memory };
    char key[32];
    size_t n = number_key(key, i);
    int result = libcache_get(rig->ns, key, n, &value, 0);

    if (result == LIBCACHE_HIT && (value.size != sizeof i || memcmp(memory, &i, sizeof i) != 0))
        ck_abort_msg("key %u has another's value", i);
    return result == LIBCACHE_HIT;
}

START_TEST(bucket_match_is_a_plain_comparison_of_tags)
{
    struct dice dice = dice_of(1);
    struct bucket b __attribute__((aligned(PLATFORM_LINE)));

    for (unsigned long round = scaled(200000); round; round--) {
        uint64_t hash = dice_roll(&dice);
        unsigned wanted = 0, found;
        memset(&b, 0, sizeof b);
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t tag = hash >> 48, low = dice_roll(&dice) >> 16;
            switch (dice_below(&dice, 5)) {
            case 0: b.slot[i] = 0; break;
            case 1: b.slot[i] = tag << 48 | low; break;
            case 2: b.slot[i] = (tag ^ UINT64_C(1) << dice_below(&dice, 16)) << 48 | low; break; /* one bit off */
            case 3: b.slot[i] = low << 16; break;
            default: b.slot[i] = (low & 0xffff) << 48 | tag << 32 | tag << 16 | tag; /* the tag elsewhere */
            }
            wanted |= (unsigned)(b.slot[i] >> 48 == tag) << i;
        }
        memset(b.uses, (int)dice_roll(&dice), sizeof b.uses); /* what follows the slots does not matter */
        found = 0;
        for (unsigned bits = bucket_match(&b, dice_chance(&dice, 50) ? hash : hash ^ dice_roll(&dice) >> 16); bits; bits &= bits - 1)
            found |= 1u << match_first(bits);
        if (found != wanted)
            ck_abort_msg("bits %x, not %x", found, wanted);
    }
}
END_TEST

START_TEST(few_entries_are_guests_in_their_second_bucket)
{
    struct rig rig;
    unsigned guests = 0, entries = 0;

    index_up(&rig, 32 << 20);
    for (unsigned i = 0; i < 100000; i++)
        store(&rig, i);
    for (uint32_t n = 0; n < buckets(&rig); n++)
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = index_bucket(shard(&rig), n)->slot[i];
            entries += slot != 0;
            guests += (slot & SLOT_GUEST) != 0;
        }
    ck_assert_uint_ge(entries, 99990);
    ck_assert_uint_lt(guests, entries / 100 * 11); /* 12 of 100 where a split sends none home, 13 where nobody is turned out, 18 where both is so */
    ck_assert_uint_gt(guests, 0);
    ck_sound(&rig); /* all are where they say */
    rig_down(&rig);
}
END_TEST

/* Entries that no mark vouches for any more, but have a slot. */
static unsigned overtaken(struct rig *rig)
{
    unsigned n = 0;

    for (uint32_t at = 0; at < buckets(rig); at++)
        for (int i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = index_bucket(shard(rig), at)->slot[i];
            struct entry e;
            unsigned char *p;
            if (slot && !slot_dead(shard(rig), slot) && ring_entry(shard(rig), slot_ring(slot), slot_offset(slot), &e, &p))
                n += !stripe_vouch(&rig->cache->l1, p, &e);
        }
    return n;
}

START_TEST(the_walker_misses_nobody_who_moves_behind_him)
{
    for (unsigned round = scaled(100); round; round--) {
        struct rig rig;
        libcache_set_options short_lived = LIBCACHE_SET_OPTIONS_INIT;
        uint64_t clean;
        size_t reclaimed;
        index_up(&rig, 1 << 20);
        short_lived.ttl_ms = 1000000;
        for (unsigned i = 0; i < 800; i++) {
            char key[32];
            size_t n = number_key(key, round * 10000 + i);
            if (i % 200)
                ck_result(put_tagged(rig.ns, key, "x", "tag"), LIBCACHE_OK);
            else
                ck_result(libcache_set(rig.ns, key, n, &i, sizeof i, &short_lived), LIBCACHE_OK);
        }
        ck_result(invalidate_tag(rig.cache, "tag"), LIBCACHE_OK);
        clean = l1_position(&rig.cache->l1);
        for (unsigned i = 800; i < 3000; i++) {
            store(&rig, round * 10000 + i);
            if (i % 50 == 0) {
                ck_result(libcache_sweep(rig.cache, buckets(&rig) * BUCKET_SLOTS / 4, &reclaimed), LIBCACHE_OK);
                ck_sound(&rig); /* nor does anything expire sooner than he knows */
            }
            if (shard(&rig)->s->walk_clean == clean && i % 50 == 0)
                ck_assert_uint_eq(overtaken(&rig), 0);
        }
        ck_assert_uint_eq(shard(&rig)->s->walk_clean, clean);
        rig_down(&rig);
    }
}
END_TEST

START_TEST(a_slot_gives_back_what_it_was_made_of)
{
    static const uint64_t offsets[] = { 8, 16, 4096, OFFSET_MAX / 2, OFFSET_MAX - 8 };

    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        for (int r = SMALL; r <= MAIN; r++) {
            uint64_t slot = slot_make(UINT64_MAX / 3, (enum ring)r, offsets[i]);
            ck_assert_uint_eq(slot_offset(slot), offsets[i]);
            ck_assert_int_eq(slot_ring(slot), r);
            ck_assert_uint_eq(slot >> 48, UINT64_MAX / 3 >> 48);
        }
}
END_TEST

/* Linear hashing: with one bucket more, a hash stays where it was or goes to the new one, and only those of one bucket go. */
START_TEST(one_bucket_more_takes_from_one_bucket_only)
{
    struct dice dice = dice_of(2);

    for (uint32_t n = 2; n < 600; n++) {
        uint32_t source = UINT32_MAX;
        for (int i = 0; i < 20000; i++) {
            uint32_t h = (uint32_t)dice_roll(&dice), before = bucket_of(h, shape_with(0, n)), after = bucket_of(h, shape_with(0, n + 1));
            if (before >= n || (after != before && after != n))
                ck_abort_msg("of %u: %u, then %u", n, before, after);
            if (after != before) {
                if (source != UINT32_MAX && source != before)
                    ck_abort_msg("bucket %u takes from %u and %u", n, source, before);
                source = before;
            }
        }
        ck_assert_uint_lt(source, n);
    }
}
END_TEST

START_TEST(growing_by_a_bucket_keeps_every_key_findable)
{
    struct rig rig;
    unsigned n, grown = 0;

    index_up(&rig, 8 << 20);
    for (n = 0; n < 6000; n++) {
        uint32_t before = buckets(&rig);
        store(&rig, n);
        if (buckets(&rig) == before)
            continue;
        ck_assert_uint_le(buckets(&rig), before + 2);
        grown++;
        if (grown % 7 == 0 || n < 400)
            for (unsigned i = 0; i <= n; i++)
                if (!there(&rig, i))
                    ck_abort_msg("key %u of %u is gone with %u buckets", i, n, buckets(&rig));
        if (grown % 100 == 0)
            ck_sound(&rig);
    }
    ck_assert_uint_gt(grown, 400);
    ck_sound(&rig);
    rig_down(&rig);
}
END_TEST

START_TEST(conflict_evictions_are_rare_at_the_load_that_the_index_keeps)
{
    unsigned n = (unsigned)scaled(200000), found = 0;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    struct rig rig;

    index_up(&rig, (size_t)64 << 20);
    for (unsigned i = 0; i < n; i++)
        store(&rig, i);
    for (unsigned i = 0; i < n; i++)
        found += (unsigned)there(&rig, i);
    ck_result(libcache_read_stats(rig.cache, &stats), LIBCACHE_OK);
    printf("%u inserts with room: %u conflict evictions, load %.3f\n", n, (unsigned)stats.conflict_evictions,
           (double)stats.entries / (buckets(&rig) * BUCKET_SLOTS));
    ck_assert_uint_eq(stats.evictions, stats.conflict_evictions);
    ck_assert_uint_eq(found, n - stats.conflict_evictions);
    ck_assert_uint_eq(stats.entries, found);
    ck_assert_uint_le(stats.conflict_evictions, n / 1000);
    ck_sound(&rig);
    rig_down(&rig);
}
END_TEST

/* Small entries get much index, large ones little, and it never takes more than half of what main and it share. */
START_TEST(the_index_follows_the_size_of_entries_without_tuning)
{
    static const size_t sizes[] = { 1, 64, 1000, 16000 };
    uint32_t before = UINT32_MAX;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static char value[16000];
        libcache_stats stats = LIBCACHE_STATS_INIT;
        struct rig rig;
        index_up(&rig, 4 << 20);
        for (unsigned k = 0; k < 4 * (4 << 20) / (sizes[i] + 40); k++) {
            char key[32];
            size_t n = number_key(key, k);
            libcache_set(rig.ns, key, n, value, sizes[i], NULL);
        }
        ck_result(libcache_read_stats(rig.cache, &stats), LIBCACHE_OK);
        ck_assert_uint_gt(stats.evictions, 0);
        ck_assert_uint_lt(buckets(&rig), before);
        ck_assert_uint_ge((uint64_t)buckets(&rig) * BUCKET_SLOTS, stats.entries);
        ck_assert_uint_le((uint64_t)buckets(&rig) * sizeof(struct bucket), (shard(&rig)->region_bytes - shard(&rig)->small_bytes) / 2);
        ck_assert_uint_lt(stats.conflict_evictions, stats.evictions / 100 + 5);
        before = buckets(&rig);
        ck_sound(&rig);
        rig_down(&rig);
    }
}
END_TEST

START_TEST(keys_with_the_same_tag_in_one_bucket_are_told_apart)
{
    enum { ALIKE = 3 };
    char keys[ALIKE][32];
    struct rig rig;
    struct l1_key first;
    unsigned found = 1, i;

    index_up(&rig, 1 << 20);
    number_key(keys[0], 0);
    first = l1_key_of(&rig.cache->l1, rig.ns->id, keys[0], strlen(keys[0]));
    for (i = 1; found < ALIKE && i < 20000000; i++) {
        char key[32];
        size_t n = number_key(key, i);
        struct l1_key k = l1_key_of(&rig.cache->l1, rig.ns->id, key, n);
        if (k.hash >> 48 == first.hash >> 48 && bucket_of(hash_first(k.hash), shape_with(0, 16)) == bucket_of(hash_first(first.hash), shape_with(0, 16)))
            memcpy(keys[found++], key, sizeof key);
    }
    ck_assert_uint_eq(found, ALIKE);
    for (i = 0; i < ALIKE; i++)
        put(rig.ns, keys[i], keys[i]);
    for (i = 0; i < ALIKE; i++)
        ck_value(rig.ns, keys[i], keys[i]);
    ck_result(libcache_delete(rig.ns, keys[1], strlen(keys[1]), 0), LIBCACHE_OK);
    ck_result(look(rig.ns, keys[1]), LIBCACHE_MISS);
    ck_value(rig.ns, keys[0], keys[0]);
    ck_value(rig.ns, keys[2], keys[2]);
    ck_sound(&rig);
    rig_down(&rig);
}
END_TEST

START_TEST(what_was_deleted_leaves_its_place_to_others)
{
    struct rig rig;
    uint32_t full;

    index_up(&rig, 4 << 20);
    for (unsigned i = 0; i < 5000; i++)
        store(&rig, i);
    full = buckets(&rig);
    for (unsigned round = 1; round < 20; round++)
        for (unsigned i = 0; i < 5000; i++) {
            char key[32];
            size_t n = number_key(key, (round - 1) * 5000 + i);
            libcache_delete(rig.ns, key, n, 0);
            store(&rig, round * 5000 + i);
        }
    ck_assert_uint_le(buckets(&rig), full + 2);
    ck_sound(&rig);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l1_index", bucket_match_is_a_plain_comparison_of_tags,
                     few_entries_are_guests_in_their_second_bucket, the_walker_misses_nobody_who_moves_behind_him, a_slot_gives_back_what_it_was_made_of,
                     one_bucket_more_takes_from_one_bucket_only, growing_by_a_bucket_keeps_every_key_findable,
                     conflict_evictions_are_rare_at_the_load_that_the_index_keeps,
                     the_index_follows_the_size_of_entries_without_tuning,
                     keys_with_the_same_tag_in_one_bucket_are_told_apart, what_was_deleted_leaves_its_place_to_others);
}
