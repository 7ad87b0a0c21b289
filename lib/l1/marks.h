/* Whether an entry is still valid; see marks.c. SPDX-License-Identifier: MIT */
#ifndef L1_MARKS_H
#define L1_MARKS_H
#include "l1/hook.h"
#include "l1/l1.h"

/* The slow half of marks_vouch_tag. */
int marks_search(const struct mark_set *set, uint64_t tag, uint64_t stamp);

static force_inline struct mark_set *marks_set(const struct l1 *l1, uint64_t tag)
{
    return &l1->marks[tag & (l1->layout.mark_sets - 1)];
}

/* 1: the tag was not invalidated after `stamp`. One load when nothing in its set was. */
static force_inline int marks_vouch_tag(const struct l1 *l1, uint64_t tag, uint64_t stamp)
{
    const struct mark_set *set = marks_set(l1, tag);
    return guard(GUARD_MARKS, load_acquire(&set->newest) <= stamp || marks_search(set, tag, stamp));
}

/* 1: no tag at all was. */
static force_inline int marks_tags_quiet(const struct segment_head *head, uint64_t stamp)
{
    return !word_above(&head->mark_tags, stamp);
}

/* 1: none of the tags was; they may lie in shared memory. */
static force_inline int marks_vouch_tags(const struct l1 *l1, const uint64_t *tags, size_t n, uint64_t stamp)
{
    if (likely(marks_tags_quiet(l1->head, stamp)))
        return 1;
    for (size_t i = 0; i < n; i++)
        if (!marks_vouch_tag(l1, load_relaxed(&tags[i]), stamp))
            return 0;
    return 1;
}

/* 1: nor was any name that shares their sets. Less exact, and no call. */
static force_inline int marks_quiet(const struct l1 *l1, const uint64_t *tags, size_t n, uint64_t stamp)
{
    if (likely(marks_tags_quiet(l1->head, stamp)))
        return 1;
    for (size_t i = 0; i < n; i++)
        if (load_acquire(&marks_set(l1, load_relaxed(&tags[i]))->newest) > stamp)
            return 0;
    return 1;
}

/* 1: neither everything nor the namespace was. */
static force_inline int marks_vouch_space(const struct l1 *l1, uint32_t ns, uint64_t stamp)
{
    return guard(GUARD_MARKS, load_acquire(&l1->head->mark_all) <= stamp && load_acquire(&l1->spaces[ns].mark) <= stamp);
}

#endif
