/*
 * Names that Redis could not be told of, kept in the segment until it can. SPDX-License-Identifier: MIT
 *
 *      owed:  | told already | name | name | name |              |
 *                            ^from                ^to            ^room
 *
 * Names as in the log, one after the other; the same name is kept once. What is being told just now does not count as there: it may have
 * been told before this change of the source, so it is owed once more. When there is no room left, all of them become one "everything",
 * which Redis is told instead. Whoever reaches Redis next (a change that succeeded, a reading of the log) and gets the lock `paying`
 * tells it what is owed. Killed after telling and before noting it: it is told again, which costs misses.
 *
 * Every change is under the marks lock, in an order that may be cut anywhere: bytes before `to`; `all` before the queue is
 * emptied; emptied by to = from = 0 in this order, and from > to means empty. Who died between `all` and the queue has left `all` alone,
 * so either of them says that something is owed.
 */
#include "coherence_internal.h"

#include "l1/hook.h"
#include "l1/lock.h"

#include <string.h>

#define PAID_AT_ONCE 256

static int has(const struct upper *u, uint64_t from, uint64_t to, const unsigned char *name, size_t size)
{
    const unsigned char *at = u->owed + from, *end = u->owed + to;
    struct name known;
    size_t left = (size_t)(end - at);

    for (const unsigned char *begin = at; left; begin = at) {
        if (!name_read(&known, &at, &left))
            return 0;
        if ((size_t)(at - begin) == size && memcmp(begin, name, size) == 0)
            return 1;
    }
    return 0;
}

static void owe_one(struct upper *u, const struct name *name)
{
    unsigned char bytes[NAME_BYTES_MAX];
    size_t size = name_size(name), room = load_relaxed(&u->owed_room);
    uint64_t from = u->owed_from, to = u->owed_to, telling = u->owed_telling;

    if (u->owed_all) {
        uint32_t often = u->owed_all + 1; /* who is telling it just now has not told this */
        store_relaxed(&u->owed_all, often ? often : 1);
        return;
    }
    if (from > to || to > room)
        from = to = 0;
    telling = telling < from || telling > to ? from : telling;
    name_write(bytes, name);
    if (name->kind == NAME_ALL || size > room - to) {
        if (name->kind == NAME_ALL || !has(u, telling, to, bytes, size)) {
            store_relaxed(&u->owed_all, 1);
            hook(HOOK_OWED_ALL);
            store_relaxed(&u->owed_to, 1);
            store_relaxed(&u->owed_from, 0);
        }
        return;
    }
    if (has(u, telling, to, bytes, size))
        return;
    memcpy(u->owed + to, bytes, size);
    hook(HOOK_OWED_WRITTEN);
    store_relaxed(&u->owed_from, from);
    store_release(&u->owed_to, to + size);
}

void coherence_owe(struct coherence *c, const struct name *names, size_t n)
{
    if (broken(GUARD_OWED) || l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return;
    for (size_t i = 0; i < n; i++)
        owe_one(c->upper, &names[i]);
    l1_unlock_marks(c->l1);
}

/* A copy of what is owed, noted as being told. *all: it is everything, so often. */
static size_t copy_owed(struct coherence *c, unsigned char *copy, size_t room, uint32_t *all)
{
    struct upper *u = c->upper;
    uint64_t from, to;

    if (l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return 0;
    from = u->owed_from;
    to = u->owed_to;
    *all = u->owed_all;
    if (from > to || to > room || *all)
        from = to = 0;
    memcpy(copy, u->owed + from, to - from);
    u->owed_telling = to;
    l1_unlock_marks(c->l1);
    return to - from;
}

/* The first `size` bytes of what is owed, or everything, have been told. */
static void paid(struct coherence *c, size_t size, uint32_t all)
{
    struct upper *u = c->upper;

    if (l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return;
    if (all && u->owed_all != all) {
        ; /* owed again since: told again */
    } else if (all || u->owed_from + size >= u->owed_to) {
        if (all || !u->owed_all) {
            store_relaxed(&u->owed_to, 0);
            store_relaxed(&u->owed_from, 0);
            u->owed_telling = 0;
            hook(HOOK_OWED_PAID);
        }
        if (all)
            store_relaxed(&u->owed_all, 0);
    } else if (!u->owed_all) {
        store_relaxed(&u->owed_from, u->owed_from + size);
    }
    l1_unlock_marks(c->l1);
}

/* It could not be told: all of it will be told later than whatever is owed until then, so the same name is again there once. */
static void not_paid(struct coherence *c)
{
    if (l1_lock_marks(c->l1, 0) != LIBCACHE_OK)
        return;
    c->upper->owed_telling = 0;
    l1_unlock_marks(c->l1);
}

/* Tells Redis of one load of names, and this host at what position. */
static int tell(struct coherence *c, const struct name *names, size_t n, uint64_t deadline)
{
    struct asked asked = coherence_ask(c);
    struct history now;
    libcache_stamp at;
    int result = l2_invalidate(c->l2, names, n, NULL, &now, deadline);

    hook(HOOK_OWED_TOLD);
    if (result == LIBCACHE_OK)
        coherence_learn(c, &now, &asked, 1, &at); /* the log tells the rest, here as everywhere */
    return result;
}

static void pay_locked(struct coherence *c, uint64_t deadline)
{
    size_t room = c->upper->owed_room, left;
    unsigned char *copy = memory_get(c->allocator, room + PAID_AT_ONCE * sizeof(struct name));
    struct name *names;
    const unsigned char *at;
    uint32_t all = 0;
    int result = LIBCACHE_OK;

    if (!copy)
        return;
    names = (struct name *)(void *)(copy + room);
    at = copy;
    left = copy_owed(c, copy, room, &all);
    if (all) {
        names[0] = (struct name){ .kind = NAME_ALL };
        if (tell(c, names, 1, deadline) == LIBCACHE_OK)
            paid(c, 0, all);
    }
    while (left && result == LIBCACHE_OK) {
        const unsigned char *begin = at;
        size_t n = 0;
        while (n < PAID_AT_ONCE && name_read(&names[n], &at, &left))
            n++;
        result = n ? tell(c, names, n, deadline) : LIBCACHE_OK;
        if (result == LIBCACHE_OK)
            paid(c, n ? (size_t)(at - begin) : left, 0); /* what is no name, a scribbler's, is dropped */
        if (!n)
            break;
    }
    if (result != LIBCACHE_OK)
        not_paid(c);
    memory_free(c->allocator, copy);
}

int owed_any(const struct coherence *c)
{
    return load_acquire(&c->upper->owed_to) || load_relaxed(&c->upper->owed_all);
}

void owed_pay(struct coherence *c, uint64_t deadline)
{
    int died = 0;

    if (!owed_any(c) || lock_take(&c->upper->paying, 0, &died) != LIBCACHE_OK)
        return;
    pay_locked(c, deadline);
    lock_give(&c->upper->paying);
}
