/* Marks (lib/l1/marks.c): exact while a set has room, and never open after. SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "cache.h"
#include "l1/marks.h"

enum { SETS_SEEN = 8 };

static void marks_up(struct rig *rig)
{
    rig_prepare(rig);
    rig->options.memory_bytes = 512 << 10;
    rig_open(rig);
}

static struct l1 *l1_of(struct rig *rig)
{
    return &rig->cache->l1;
}

/* The n-th tag of a set: any hash whose low bits choose it. */
static uint64_t tag_in(struct rig *rig, uint64_t set, uint64_t n)
{
    return set | (n + 1) * l1_of(rig)->layout.mark_sets;
}

static uint64_t invalidate(struct rig *rig, uint64_t tag)
{
    ck_result(l1_invalidate(l1_of(rig), &(struct l1_names){ .tags = &tag, .n_tags = 1 }, 0, L1_NEXT, 0), LIBCACHE_OK);
    return l1_position(l1_of(rig));
}

START_TEST(a_mark_divides_stamps_exactly_while_its_set_has_room)
{
    struct rig rig;

    marks_up(&rig);
    for (uint64_t set = 0; set < SETS_SEEN; set++) {
        uint64_t mark[MARK_WAYS], before = l1_position(l1_of(&rig));
        for (uint64_t n = 0; n < MARK_WAYS; n++) {
            ck_assert(marks_vouch_tag(l1_of(&rig), tag_in(&rig, set, n), 0));
            mark[n] = invalidate(&rig, tag_in(&rig, set, n));
            ck_assert_uint_eq(mark[n], before + n + 1); /* positions are dense */
        }
        for (uint64_t n = 0; n < MARK_WAYS; n++)
            for (uint64_t stamp = before; stamp <= before + MARK_WAYS + 1; stamp++)
                ck_assert_int_eq(marks_vouch_tag(l1_of(&rig), tag_in(&rig, set, n), stamp), stamp >= mark[n]);
        ck_assert(marks_vouch_tag(l1_of(&rig), tag_in(&rig, set, 77), 0)); /* never invalidated, and nothing was dropped */
    }
    rig_down(&rig);
}
END_TEST

START_TEST(a_tag_that_is_invalidated_again_keeps_its_place_and_rises)
{
    struct rig rig;

    marks_up(&rig);
    for (int i = 0; i < 1000; i++)
        for (uint64_t n = 0; n < MARK_WAYS; n++) {
            uint64_t mark = invalidate(&rig, tag_in(&rig, 3, n));
            if (marks_vouch_tag(l1_of(&rig), tag_in(&rig, 3, n), mark - 1) || !marks_vouch_tag(l1_of(&rig), tag_in(&rig, 3, n), mark))
                ck_abort_msg("round %d: a mark did not rise", i);
        }
    ck_assert_uint_eq(marks_set(l1_of(&rig), tag_in(&rig, 3, 0))->horizon, 0);
    rig_down(&rig);
}
END_TEST

/* Against the full truth: what is invalid is never vouched for; what is refused without cause is older than the horizon. */
START_TEST(a_set_that_overflows_gives_up_old_entries_and_never_vouches_wrongly)
{
    enum { TAGS = 12 };
    struct dice dice = dice_of(1);
    struct rig rig;

    marks_up(&rig);
    for (uint64_t set = 0; set < SETS_SEEN; set++) {
        uint64_t truth[TAGS] = { 0 };
        const struct mark_set *its = marks_set(l1_of(&rig), tag_in(&rig, set, 0));
        for (unsigned long i = scaled(2000); i; i--) {
            uint64_t n = dice_below(&dice, TAGS), position;
            truth[n] = position = invalidate(&rig, tag_in(&rig, set, n));
            if (its->newest != position || its->horizon >= position)
                ck_abort_msg("newest %d and horizon %d at position %d", (int)its->newest, (int)its->horizon, (int)position);
            for (n = 0; n < TAGS; n++)
                for (uint64_t back = 0; back < 8; back++) {
                    uint64_t stamp = position > back ? position - back : 0;
                    int vouched = marks_vouch_tag(l1_of(&rig), tag_in(&rig, set, n), stamp);
                    if (vouched ? stamp < truth[n] : stamp >= truth[n] && stamp >= its->horizon)
                        ck_abort_msg("tag %d, invalidated at %d, horizon %d: stamp %d is %s", (int)n, (int)truth[n],
                                     (int)its->horizon, (int)stamp, vouched ? "vouched for" : "refused");
                }
        }
        ck_assert_uint_gt(its->horizon, 0);
    }
    rig_down(&rig);
}
END_TEST

START_TEST(the_oldest_mark_is_the_one_that_is_dropped)
{
    struct rig rig;
    uint64_t first, second;

    marks_up(&rig);
    first = invalidate(&rig, tag_in(&rig, 0, 0));
    invalidate(&rig, tag_in(&rig, 0, 1));
    invalidate(&rig, tag_in(&rig, 0, 2));
    second = invalidate(&rig, tag_in(&rig, 0, 0)); /* not the oldest any more */
    invalidate(&rig, tag_in(&rig, 0, 3));          /* drops tag 1 */
    ck_assert_uint_eq(marks_set(l1_of(&rig), tag_in(&rig, 0, 0))->horizon, first + 1);
    ck_assert(!marks_vouch_tag(l1_of(&rig), tag_in(&rig, 0, 0), second - 1));
    ck_assert(marks_vouch_tag(l1_of(&rig), tag_in(&rig, 0, 0), second));
    ck_assert(!marks_vouch_tag(l1_of(&rig), tag_in(&rig, 0, 1), first));
    ck_assert(marks_vouch_tag(l1_of(&rig), tag_in(&rig, 0, 1), first + 1));
    rig_down(&rig);
}
END_TEST

START_TEST(marks_of_other_sets_are_not_touched)
{
    struct rig rig;

    marks_up(&rig);
    for (uint64_t n = 0; n < 100; n++)
        invalidate(&rig, tag_in(&rig, 5, n));
    for (uint64_t set = 0; set < l1_of(&rig)->layout.mark_sets; set++)
        ck_assert_int_eq(marks_vouch_tag(l1_of(&rig), tag_in(&rig, set, 1000), 0), set != 5);
    rig_down(&rig);
}
END_TEST

START_TEST(marks_of_namespaces_and_of_everything_divide_stamps_exactly)
{
    struct rig rig;
    libcache_ns *other;
    uint64_t space, all;

    marks_up(&rig);
    ck_result(libcache_open_namespace(&other, rig.cache, "other", NULL, NULL), LIBCACHE_OK);
    ck_result(l1_invalidate(l1_of(&rig), &(struct l1_names){ .spaces = &rig.ns->id, .n_spaces = 1 }, 0, L1_NEXT, 0), LIBCACHE_OK);
    space = l1_position(l1_of(&rig));
    ck_assert(!marks_vouch_space(l1_of(&rig), rig.ns->id, space - 1));
    ck_assert(marks_vouch_space(l1_of(&rig), rig.ns->id, space));
    ck_assert(marks_vouch_space(l1_of(&rig), other->id, 0));
    ck_result(l1_invalidate(l1_of(&rig), &(struct l1_names){ .all = 1 }, 0, L1_NEXT, 0), LIBCACHE_OK);
    all = l1_position(l1_of(&rig));
    ck_assert_uint_eq(all, space + 1);
    for (int i = 0; i < 2; i++) {
        ck_assert(!marks_vouch_space(l1_of(&rig), i ? other->id : rig.ns->id, all - 1));
        ck_assert(marks_vouch_space(l1_of(&rig), i ? other->id : rig.ns->id, all));
    }
    rig_down(&rig);
}
END_TEST

START_TEST(tags_that_are_invalidated_together_have_one_position)
{
    struct rig rig;
    uint64_t tags[10], before;

    marks_up(&rig);
    before = l1_position(l1_of(&rig));
    for (uint64_t i = 0; i < 10; i++)
        tags[i] = tag_in(&rig, i, 1);
    ck_result(l1_invalidate(l1_of(&rig), &(struct l1_names){ .tags = tags, .n_tags = 10 }, 0, L1_NEXT, 0), LIBCACHE_OK);
    ck_assert_uint_eq(l1_position(l1_of(&rig)), before + 1);
    for (int i = 0; i < 10; i++) {
        ck_assert(!marks_vouch_tag(l1_of(&rig), tags[i], before));
        ck_assert(marks_vouch_tag(l1_of(&rig), tags[i], before + 1));
    }
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l1_marks", a_mark_divides_stamps_exactly_while_its_set_has_room,
                     a_tag_that_is_invalidated_again_keeps_its_place_and_rises,
                     a_set_that_overflows_gives_up_old_entries_and_never_vouches_wrongly,
                     the_oldest_mark_is_the_one_that_is_dropped, marks_of_other_sets_are_not_touched,
                     marks_of_namespaces_and_of_everything_divide_stamps_exactly,
                     tags_that_are_invalidated_together_have_one_position);
}
