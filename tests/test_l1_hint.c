/*
 * Hints (lib/l1/hint.h): they are used, and whatever becomes of an entry, its hint does not outlive it. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include "cache.h"
#include "l1/hint.h"

#include <stdio.h>
#include <string.h>

static struct l1_key key_of(const struct rig *rig, const char *key)
{
    return l1_key_of(&rig->cache->l1, rig->ns->id, key, strlen(key));
}

static uint64_t *hint_at(const struct rig *rig, const char *key)
{
    return hint_of(rig->cache->l1.hints, rig->cache->l1.hint_mask, key_of(rig, key).hash);
}

/* 1 when the key's hint leads to its slot. */
static int has_hint(const struct rig *rig, const char *key)
{
    struct l1_key k = key_of(rig, key);
    const struct shard *sh = l1_shard(&rig->cache->l1, k.hash);
    struct sought sought;
    struct entry e;
    unsigned char *p;

    index_seek(sh, &k, &sought, &e, &p);
    return sought.place.bucket && (*hint_at(rig, key) ^ sh->s->era) == sought.place.bucket->slot[sought.place.i];
}

/* As an application does that has memory at hand; hints are for these. */
static int get(const struct rig *rig, const char *key, libcache_value *value)
{
    static char memory[4000];

    *value = (libcache_value){ .data = memory, .capacity = sizeof memory };
    return libcache_get(rig->ns, key, strlen(key), value, 0);
}

static int is_there(const struct rig *rig, const char *key)
{
    libcache_value value;
    return get(rig, key, &value);
}

static void ck_text(const struct rig *rig, const char *key, const char *text)
{
    libcache_value value;

    ck_result(get(rig, key, &value), LIBCACHE_HIT);
    ck_assert(value.size == strlen(text) && memcmp(value.data, text, value.size) == 0);
}

static void read_times(const struct rig *rig, const char *key, int n)
{
    for (int i = 0; i < n; i++)
        ck_result(is_there(rig, key), LIBCACHE_HIT);
}

static void warm(const struct rig *rig, const char *key)
{
    read_times(rig, key, USES_MAX + 1);
    ck_assert(has_hint(rig, key));
}

START_TEST(what_is_read_often_is_found_without_its_bucket)
{
    struct rig rig;
    struct l1_key k;
    struct sought sought;
    struct entry e;
    unsigned char *p;
    uint64_t slot;

    rig_up(&rig);
    put(rig.ns, "often", "value");
    k = key_of(&rig, "often");
    read_times(&rig, "often", USES_MAX);
    ck_assert(!has_hint(&rig, "often")); /* each of these was counted in its bucket */
    warm(&rig, "often");
    index_seek(l1_shard(&rig.cache->l1, k.hash), &k, &sought, &e, &p);
    slot = sought.place.bucket->slot[sought.place.i];
    sought.place.bucket->slot[sought.place.i] = 0;
    ck_text(&rig, "often", "value");
    *hint_at(&rig, "often") = 0;
    ck_result(is_there(&rig, "often"), LIBCACHE_MISS);
    sought.place.bucket->slot[sought.place.i] = slot;
    rig_down(&rig);
}
END_TEST

START_TEST(a_hit_by_a_hint_gives_what_any_other_gives)
{
    struct rig rig;
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[2] = { slice_of("one"), slice_of("two") };

    rig_up(&rig);
    options.tags = tags;
    options.n_tags = 2;
    options.user_flags = 4711;
    options.codec = 3;
    for (size_t size = 0; size < 3000; size += 61) {
        char text[3000], key[40];
        memset(text, 'a' + (int)(size % 26), size);
        snprintf(key, sizeof key, "size %zu", size);
        ck_result(libcache_set(rig.ns, key, strlen(key), text, size, size % 2 ? &options : NULL), LIBCACHE_OK);
        for (int i = 0; i < USES_MAX + 3; i++) {
            libcache_value value;
            ck_result(get(&rig, key, &value), LIBCACHE_HIT);
            ck_assert_uint_eq(value.size, size);
            ck_assert(memcmp(value.data, text, size) == 0);
            ck_assert_uint_eq(value.flags, size % 2 ? 4711 : 0);
            ck_assert_uint_eq(value.codec, size % 2 ? 3 : 0);
            ck_assert_int_eq(value.tier, LIBCACHE_TIER_L1);
        }
        ck_assert(has_hint(&rig, key));
    }
    rig_down(&rig);
}
END_TEST

/* What may become of the entry of "key", which has the tag "tag" and ends after 1000 ms; and what a get gives from then on. */
static void set_it(struct rig *rig) { ck_result(put(rig->ns, "key", "new"), LIBCACHE_OK); }
static void delete_it(struct rig *rig) { ck_result(libcache_delete(rig->ns, "key", 3, 0), LIBCACHE_OK); }
static void let_it_end(struct rig *rig) { fake_clock_advance(rig->options.clock_arg, 1001); }
static void end_it_now(struct rig *rig) { ck_result(libcache_touch(rig->ns, "key", 3, 1, 0), LIBCACHE_OK); fake_clock_advance(rig->options.clock_arg, 2); }
static void invalidate_its_tag(struct rig *rig) { ck_result(invalidate_tag(rig->cache, "tag"), LIBCACHE_OK); }
static void invalidate_its_namespace(struct rig *rig) { ck_result(libcache_invalidate_namespace(rig->ns, 0), LIBCACHE_OK); }
static void invalidate_everything(struct rig *rig) { ck_result(libcache_invalidate_all(rig->cache, 0), LIBCACHE_OK); }
static void empty_its_stripe(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->cache->l1.stripes; i++)
        stripe_reset(&rig->cache->l1.shards[i]);
}

static void add_to_it(struct rig *rig)
{
    int64_t sum = 0;
    ck_result(libcache_set(rig->ns, "key", 3, "40", 2, NULL), LIBCACHE_OK);
    ck_result(libcache_increment(rig->ns, "key", 3, 2, NULL, &sum), LIBCACHE_OK);
    ck_assert_int_eq(sum, 42);
}

static void sweep_it_and_set_it_anew(struct rig *rig)
{
    size_t swept = 0;
    let_it_end(rig);
    ck_result(libcache_sweep(rig->cache, SIZE_MAX, &swept), LIBCACHE_OK);
    ck_assert_uint_eq(swept, 1);
    set_it(rig);
}

/* Until the key is gone or has been carried to another place. */
static void crowd_it_out(struct rig *rig)
{
    char key[40], text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "crowd %d", i);
        ck_result(put(rig->ns, key, text), LIBCACHE_OK);
        for (int used = 0; used < 3; used++) /* else they do not get as far as the main ring */
            ck_result(is_there(rig, key), LIBCACHE_HIT);
    }
    ck_result(is_there(rig, "key"), LIBCACHE_MISS);
}

START_TEST(a_hint_does_not_outlive_its_entry)
{
    static const struct {
        void (*change)(struct rig *rig);
        const char *seen; /* NULL: nothing */
    } cases[] = { { set_it, "new" }, { delete_it, NULL }, { let_it_end, NULL }, { end_it_now, NULL }, { invalidate_its_tag, NULL },
                  { invalidate_its_namespace, NULL }, { invalidate_everything, NULL }, { empty_its_stripe, NULL },
                  { add_to_it, "42" }, { sweep_it_and_set_it_anew, "new" }, { crowd_it_out, NULL } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int other = 0; other < 2; other++) { /* another handle makes the change, which knows nothing of this one's hints */
            struct rig rig, changer;
            libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
            libcache_slice tags[1] = { slice_of("tag") };
            const char *name = segment_name("hint");
            rig_prepare(&rig);
            rig.options.segment = LIBCACHE_NAMED;
            rig.options.name = name;
            rig_open(&rig);
            changer = rig;
            if (other) {
                ck_result(libcache_open(&changer.cache, &rig.options, NULL), LIBCACHE_OK);
                ck_result(libcache_open_namespace(&changer.ns, changer.cache, "test", NULL, NULL), LIBCACHE_OK);
            }
            options.ttl_ms = 1000;
            options.tags = tags;
            options.n_tags = 1;
            ck_result(libcache_set(rig.ns, "key", 3, "old", 3, &options), LIBCACHE_OK);
            warm(&rig, "key");
            cases[i].change(&changer);
            for (int k = 0; k < USES_MAX + 3; k++)
                if (cases[i].seen)
                    ck_text(&rig, "key", cases[i].seen);
                else
                    ck_result(is_there(&rig, "key"), LIBCACHE_MISS);
            if (other)
                libcache_close(changer.cache);
            rig_down(&rig);
            ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
        }
}
END_TEST

START_TEST(who_is_replaced_keeps_a_hint_and_its_use_count)
{
    struct rig rig;

    rig_up(&rig);
    put(rig.ns, "key", "old");
    warm(&rig, "key");
    put(rig.ns, "key", "new");
    ck_assert(has_hint(&rig, "key")); /* the writer gave it */
    ck_text(&rig, "key", "new");
    rig_down(&rig);
}
END_TEST

/* A hash's hint and its stripe are chosen by the same bits, whatever the numbers of both. */
START_TEST(hints_of_one_place_are_of_one_stripe)
{
    struct dice dice = dice_of(3);

    for (uint64_t bytes = 1; bytes < UINT64_C(1) << 41; bytes *= 8) {
        uint64_t hints = hints_for(bytes);
        ck_assert(hints >= HINTS_MIN && hints <= HINTS_MAX && (hints & (hints - 1)) == 0);
        for (int i = 0; i < 1000; i++) {
            uint64_t a = dice_roll(&dice), b = dice_roll(&dice) & ~((hints - 1) << 32);
            b |= a & (hints - 1) << 32;
            ck_assert_ptr_eq(hint_of(NULL, hints - 1, a), hint_of(NULL, hints - 1, b));
            ck_assert_uint_eq((a >> 32) % STRIPES_MAX, (b >> 32) % STRIPES_MAX);
        }
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("l1_hint", what_is_read_often_is_found_without_its_bucket, a_hit_by_a_hint_gives_what_any_other_gives,
                     a_hint_does_not_outlive_its_entry, who_is_replaced_keeps_a_hint_and_its_use_count,
                     hints_of_one_place_are_of_one_stripe);
}
