/*
 * Marks: the position at which a name was last invalidated. SPDX-License-Identifier: MIT
 *
 * An entry is valid when the mark of everything, of its namespace and of each of its tags is <= its stamp. "Everything" and
 * the namespaces have a word each. Tags share a table of sets, one cache line each, chosen by the tag's hash:
 *
 *      +--------+---------+-------------+-------------+-------------+
 *      | newest | horizon | tag0  mark0 | tag1  mark1 | tag2  mark2 |
 *      +--------+---------+-------------+-------------+-------------+
 *
 *   - newest >= every mark of the set, dropped ones included. A reader whose stamp is not older looks no further.
 *   - While a set has room it is exact. When a fourth tag comes, the oldest mark is dropped and horizon rises to it: an
 *     entry with an unknown tag and a stamp below the horizon is not vouched for. It never fails open.
 *
 * Writers hold marks_lock; readers hold nothing. What a reader may see in between, and why it is safe:
 *   - invalidate() has not returned until newest is raised, so a reader that still sees the old newest is concurrent with
 *     it. The mark is in its place before newest is raised (release/acquire), so who sees the new newest finds the mark.
 *   - Replacing a way: horizon is raised, the tag cleared, the mark written, the tag written, each with release. A reader
 *     finds the old tag with its old or a higher mark, or no tag and the raised horizon. Marks only rise, so a pair torn
 *     in between says "invalid" at worst, which costs a miss.
 *   - Killed anywhere: every prefix of that sequence is safe by the same argument; nothing to repair.
 */
#include "l1/marks.h"

#include "l1/hook.h"
#include "l1/lock.h"

int marks_search(const struct mark_set *set, uint64_t tag, uint64_t stamp)
{
    for (int i = 0; i < MARK_WAYS; i++)
        if (load_acquire(&set->way[i].tag) == tag)
            return load_acquire(&set->way[i].mark) <= stamp;
    /* Not there. It may have been dropped while we looked: then the horizon was raised before it went. */
    return load_acquire(&set->horizon) <= stamp;
}

/* Under marks_lock. */
static void raise(uint64_t *word, uint64_t position)
{
    if (load_relaxed(word) < position)
        store_release(word, position);
}

static void mark_tag(struct l1 *l1, uint64_t tag, uint64_t position)
{
    struct mark_set *set = marks_set(l1, tag);
    int victim = 0;

    for (int i = 0; i < MARK_WAYS; i++) {
        if (set->way[i].tag == tag) {
            raise(&set->way[i].mark, position);
            raise(&set->newest, position);
            return;
        }
        if (set->way[i].tag == 0)
            victim = i;
        else if (set->way[victim].tag != 0 && set->way[i].mark < set->way[victim].mark)
            victim = i;
    }
    if (set->way[victim].tag != 0) {
        raise(&set->horizon, set->way[victim].mark);
        store_release(&set->way[victim].tag, 0);
    }
    hook(HOOK_MARK_CLEARED);
    store_release(&set->way[victim].mark, position);
    store_release(&set->way[victim].tag, tag);
    raise(&set->newest, position);
}

static int begin(struct l1 *l1, int no_wait, uint64_t *position)
{
    int died = 0, result;

    l1_notice_fork(l1);
    result = lock_take(&l1->head->marks_lock, no_wait ? 0 : l1->lock_wait_ms, &died);

    if (result == LIBCACHE_OK) {
        *position = __atomic_add_fetch(&l1->head->position, 1, __ATOMIC_ACQ_REL);
        hook(HOOK_POSITION);
    }
    return result;
}

int l1_invalidate_tags(struct l1 *l1, const uint64_t *tags, size_t n, int no_wait)
{
    uint64_t position;
    int result = begin(l1, no_wait, &position);

    if (result != LIBCACHE_OK)
        return result;
    for (size_t i = 0; i < n; i++)
        mark_tag(l1, tags[i], position);
    lock_give(&l1->head->marks_lock);
    return LIBCACHE_OK;
}

int l1_invalidate_space(struct l1 *l1, uint32_t ns, int no_wait)
{
    uint64_t position;
    int result = begin(l1, no_wait, &position);

    if (result != LIBCACHE_OK)
        return result;
    raise(&l1->spaces[ns].mark, position);
    lock_give(&l1->head->marks_lock);
    return LIBCACHE_OK;
}

int l1_invalidate_all(struct l1 *l1, int no_wait)
{
    uint64_t position;
    int result = begin(l1, no_wait, &position);

    if (result != LIBCACHE_OK)
        return result;
    raise(&l1->head->mark_all, position);
    lock_give(&l1->head->marks_lock);
    return LIBCACHE_OK;
}

uint64_t l1_position(const struct l1 *l1)
{
    return load_acquire(&l1->head->position);
}
