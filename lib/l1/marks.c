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
 *   - mark_tags >= every set's newest, and is raised first. So who reads of a tag by way of it reads what he would without, and
 *     where no tag was invalidated since an entry was stored, its tags cost a compare of one word that every hit has at hand.
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
 *
 * Positions of the segment only rise. When they begin to mean another history (a Redis that was lost, or one that has more
 * to tell than it remembers), l1_begin_epoch raises mark_all above all of them, so that nothing from before is vouched
 * for, and gives the epoch a new number, so that no load from before stores. `horizon` tells that apart from an "everything"
 * that somebody asked for: entries from before it, found elsewhere, may be valid, but only elsewhere is it known. The same goes for
 * a namespace and the position at which it was registered here. The order (horizon, mark_all, position, epoch) is such
 * that death in between leaves too much invalid, never too little.
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

int l1_lock_marks(struct l1 *l1, int no_wait)
{
    int died = 0, result;
    uint64_t begun;

    l1_notice_fork(l1);
    result = lock_take(&l1->head->marks_lock, no_wait ? 0 : l1->lock_wait_ms, &died);
    if (result != LIBCACHE_OK)
        return result;
    begun = load_relaxed(&l1->head->horizon); /* who began an epoch may have died before he had finished */
    if (unlikely(load_relaxed(&l1->head->position) < begun))
        store_release(&l1->head->position, begun);
    return result;
}

void l1_unlock_marks(struct l1 *l1)
{
    lock_give(&l1->head->marks_lock);
}

void l1_learn(struct l1 *l1, uint64_t position)
{
    raise(&l1->head->position, position);
}

uint64_t l1_begin_epoch(struct l1 *l1, uint64_t apart)
{
    struct segment_head *head = l1->head;
    uint64_t first = load_relaxed(&head->position) / apart * apart + apart;

    raise(&head->horizon, first);
    if (!broken(GUARD_DROP))
        raise(&head->mark_all, first);
    hook(HOOK_POSITION);
    raise(&head->position, first);
    store_release(&head->epoch, load_relaxed(&head->epoch) + 2); /* it is odd: never 0 */
    return first;
}

int l1_invalidate(struct l1 *l1, const struct l1_names *names, uint64_t epoch, uint64_t position, int no_wait)
{
    int result = l1_lock_marks(l1, no_wait);

    if (result != LIBCACHE_OK)
        return result;
    if (epoch && epoch != load_relaxed(&l1->head->epoch)) {
        l1_unlock_marks(l1);
        return LIBCACHE_FENCED;
    }
    if (position == L1_NEXT)
        position = load_relaxed(&l1->head->position) + 1;
    raise(&l1->head->position, position);
    hook(HOOK_POSITION);
    if (names->n_tags)
        raise(&l1->head->mark_tags, position);
    for (size_t i = 0; i < names->n_tags; i++)
        mark_tag(l1, names->tags[i], position);
    for (size_t i = 0; i < names->n_spaces; i++)
        raise(&l1->spaces[names->spaces[i]].mark, position);
    if (names->all)
        raise(&l1->head->mark_all, position);
    l1_unlock_marks(l1);
    return LIBCACHE_OK;
}

/* Of a word that may say no more than "not known": mark is never below the horizon. */
static int judge_word(uint64_t mark, uint64_t horizon, uint64_t stamp)
{
    return stamp >= mark ? LIBCACHE_HIT : mark > horizon ? LIBCACHE_MISS : LIBCACHE_STALE;
}

/* The worse of two judgements: MISS, then STALE, then HIT. */
static int worse(int a, int b)
{
    return a > b ? a : b;
}

int l1_judge(const struct l1 *l1, uint32_t ns, const uint64_t *tags, size_t n_tags, uint64_t stamp)
{
    const struct space *space = &l1->spaces[ns];
    uint64_t all = load_acquire(&l1->head->mark_all), mark = load_acquire(&space->mark);
    int judged = worse(judge_word(all, load_acquire(&l1->head->horizon), stamp),
                       judge_word(mark, load_acquire(&space->horizon), stamp));

    for (size_t i = 0; i < n_tags && judged != LIBCACHE_MISS; i++) {
        const struct mark_set *set = marks_set(l1, tags[i]);
        int known = LIBCACHE_HIT;
        if (load_acquire(&set->newest) > stamp) {
            known = load_acquire(&set->horizon) > stamp ? LIBCACHE_STALE : LIBCACHE_HIT;
            for (int way = 0; way < MARK_WAYS; way++)
                if (load_acquire(&set->way[way].tag) == tags[i])
                    known = load_acquire(&set->way[way].mark) > stamp ? LIBCACHE_MISS : LIBCACHE_HIT;
        }
        judged = worse(judged, known);
    }
    return judged;
}

uint64_t l1_position(const struct l1 *l1)
{
    return load_acquire(&l1->head->position);
}

uint64_t l1_epoch(const struct l1 *l1)
{
    return load_acquire(&l1->head->epoch);
}

void l1_heard(struct l1 *l1, uint64_t when_ms)
{
    uint64_t last = load_relaxed(&l1->head->heard_ms);

    while (last < when_ms && !__atomic_compare_exchange_n(&l1->head->heard_ms, &last, when_ms, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

uint64_t l1_last_heard(const struct l1 *l1)
{
    return load_relaxed(&l1->head->heard_ms);
}
