/*
 * A get has many ways (lib/cache.c, lib/l1/hit.h): by the key's size, the value's, by a hint or a bucket, in a namespace that has met
 * nothing but plain entries that last, or more. Whatever the way, what has happened to the entry counts. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <string.h>

#define OFTEN 6 /* reads, after which there is a hint */
#define LIFE_MS 1000

enum event { NOTHING, OTHER_TAG, LIFE_LEFT, REPLACED, SOFT_END, EXPIRY, TAG, SPACE, EVERYTHING, DELETED, EVENTS };

static const char *const event_names[EVENTS] = { "nothing", "another tag's end", "life left", "a new value", "the soft end", "expiry",
                                                 "its tag's end", "its namespace's end", "everything's end", "delete" };

static int result_after(enum event event)
{
    return event < SOFT_END ? LIBCACHE_HIT : event == SOFT_END ? LIBCACHE_STALE : LIBCACHE_MISS;
}

struct scene {
    struct rig rig;
    libcache_ns *ns;
    enum event event;
    size_t key_size, value_size;
    char key[100], plain_key[100], value[500], read[500];
};

static void store(struct scene *s, char fill)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_slice tags[2] = { slice_of("one"), slice_of("two") };

    memset(s->value, fill, s->value_size);
    options.tags = tags;
    options.n_tags = s->event == TAG || s->event == OTHER_TAG ? 2 : 0;
    options.ttl_ms = s->event == EXPIRY || s->event == LIFE_LEFT ? LIFE_MS : 0;
    ck_result(libcache_set(s->ns, s->key, s->key_size, s->value, s->value_size, &options), LIBCACHE_OK);
}

static void begin(struct scene *s, enum event event, size_t key_size, size_t value_size)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;

    rig_up(&s->rig);
    s->event = event;
    s->key_size = key_size;
    s->value_size = value_size;
    memset(s->key, 'k', sizeof s->key);
    memset(s->plain_key, 'p', sizeof s->plain_key);
    policy.ttl_ms = LIBCACHE_FOREVER;
    policy.soft_ttl_ms = event == SOFT_END ? LIFE_MS : 0;
    ck_result(libcache_open_namespace(&s->ns, s->rig.cache, "ways", &policy, NULL), LIBCACHE_OK);
    ck_result(libcache_set(s->ns, s->plain_key, key_size, "plain", 5, NULL), LIBCACHE_OK);
    store(s, 'a');
}

static void read_it(struct scene *s, int wanted)
{
    libcache_value value = { .data = s->read, .capacity = sizeof s->read };
    int result = libcache_get(s->ns, s->key, s->key_size, &value, 0);

    ck_assert_msg(result == wanted, "key of %zu B, value of %zu B, after %s: %s, not %s", s->key_size, s->value_size,
                  event_names[s->event], result_name(result), result_name(wanted));
    if (result >= LIBCACHE_HIT && wanted != LIBCACHE_MISS)
        ck_assert_msg(value.size == s->value_size && memcmp(s->read, s->value, s->value_size) == 0 && value.tier == LIBCACHE_TIER_L1,
                      "key of %zu B, value of %zu B, after %s: another value", s->key_size, s->value_size, event_names[s->event]);
}

static void happen(struct scene *s)
{
    switch (s->event) {
    case OTHER_TAG: ck_result(invalidate_tag(s->rig.cache, "three"), LIBCACHE_OK); break;
    case LIFE_LEFT: fake_clock_advance(&s->rig.clock, LIFE_MS - 1); break;
    case REPLACED: store(s, 'b'); break;
    case SOFT_END:
    case EXPIRY: fake_clock_advance(&s->rig.clock, LIFE_MS); break;
    case TAG: ck_result(invalidate_tag(s->rig.cache, "two"), LIBCACHE_OK); break;
    case SPACE: ck_result(libcache_invalidate_namespace(s->ns, 0), LIBCACHE_OK); break;
    case EVERYTHING: ck_result(libcache_invalidate_all(s->rig.cache, 0), LIBCACHE_OK); break;
    case DELETED: ck_result(libcache_delete(s->ns, s->key, s->key_size, 0), LIBCACHE_OK); break;
    default: break;
    }
}

/* `reads` before: 0, then what happens meets a namespace that knows of nothing but plain entries; OFTEN, then one that has hints. */
static void play(enum event event, size_t key_size, size_t value_size, int reads)
{
    static struct scene s;
    libcache_value value = { .data = s.read, .capacity = sizeof s.read };

    begin(&s, event, key_size, value_size);
    for (int i = 0; i < OFTEN; i++)
        ck_result(libcache_get(s.ns, s.plain_key, key_size, &value, 0), LIBCACHE_HIT);
    for (int i = 0; i < reads; i++)
        read_it(&s, LIBCACHE_HIT);
    happen(&s);
    for (int i = 0; i < OFTEN; i++)
        read_it(&s, result_after(event));
    rig_down(&s.rig);
}

START_TEST(whatever_way_a_get_takes_what_has_happened_to_the_entry_counts)
{
    static const size_t key_sizes[] = { 5, 16, 17, 24, 32, 33, 64, 65 }, value_sizes[] = { 0, 3, 40, 100, 128, 129, 400 };

    for (unsigned k = 0; k < sizeof key_sizes / sizeof *key_sizes; k++)
        for (unsigned v = 0; v < sizeof value_sizes / sizeof *value_sizes; v++)
            for (unsigned event = 0; event < EVENTS; event++) {
                play((enum event)event, key_sizes[k], value_sizes[v], 0);
                play((enum event)event, key_sizes[k], value_sizes[v], OFTEN);
            }
}
END_TEST

/* An entry that lasts, read where others expire and where a tag was invalidated, and the other way round. */
START_TEST(what_a_namespace_has_met_changes_no_answer)
{
    static const enum event first[] = { EXPIRY, TAG, SOFT_END };

    for (unsigned i = 0; i < sizeof first / sizeof *first; i++) {
        static struct scene s;
        libcache_value value = { .data = s.read, .capacity = sizeof s.read };

        begin(&s, first[i], 24, 100);
        for (int j = 0; j < OFTEN; j++)
            read_it(&s, LIBCACHE_HIT);
        happen(&s);
        read_it(&s, result_after(first[i]));
        ck_result(libcache_get(s.ns, s.plain_key, 24, &value, 0), first[i] == SOFT_END ? LIBCACHE_STALE : LIBCACHE_HIT);
        store(&s, 'c');
        for (int j = 0; j < OFTEN; j++)
            read_it(&s, LIBCACHE_HIT);
        happen(&s);
        read_it(&s, result_after(first[i]));
        rig_down(&s.rig);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("get_ways", whatever_way_a_get_takes_what_has_happened_to_the_entry_counts, what_a_namespace_has_met_changes_no_answer);
}
