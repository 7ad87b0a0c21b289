/*
 * Namespaces by name, for all processes of a segment. SPDX-License-Identifier: MIT
 *
 * Registration writes the name into the next free place and then, with release, the count that makes it visible: killed in
 * between, the place is simply written again. Names are never removed, so that an id means the same for ever.
 */
#include "l1/hook.h"
#include "l1/l1.h"
#include "l1/lock.h"

#include <string.h>

uint32_t l1_spaces_used(const struct l1 *l1)
{
    uint32_t used = load_acquire(&l1->head->spaces_used);
    return used < l1->layout.spaces ? used : l1->layout.spaces;
}

static int space_is(const struct space *space, const char *name, size_t size)
{
    return load_relaxed(&space->name_size) == size && shared_equal(space->name, name, size);
}

/* Ids up to `used`; 1 when found. */
static int space_find(const struct l1 *l1, uint32_t used, const char *name, size_t size, uint32_t *id)
{
    for (uint32_t i = 0; i < used; i++)
        if (space_is(&l1->spaces[i], name, size)) {
            *id = i;
            return 1;
        }
    return 0;
}

int l1_find_space(const struct l1 *l1, const char *name, size_t size, uint32_t *id)
{
    return space_find(l1, l1_spaces_used(l1), name, size, id);
}

/*
 * Its marks count from now. Only after the name can be seen: an invalidation from before that would have passed by, not
 * knowing the name, and must be older than the horizon. Until then its mark is beyond every stamp, and who finds it so
 * does what somebody who died has left undone.
 */
static int space_begin(struct l1 *l1, struct space *space)
{
    int result = l1_lock_marks(l1, 0);

    if (result != LIBCACHE_OK)
        return result;
    if (load_relaxed(&space->horizon) == UINT64_MAX) {
        uint64_t now = broken(GUARD_SPACE_HORIZON) ? 0 : load_relaxed(&l1->head->position);
        store_release(&space->mark, now);
        store_release(&space->horizon, now);
    }
    l1_unlock_marks(l1);
    return LIBCACHE_OK;
}

int l1_space(struct l1 *l1, const char *name, unsigned share_percent, uint64_t *grace_ms, uint32_t *id)
{
    size_t size = strlen(name);
    uint32_t used = l1_spaces_used(l1);
    int died = 0, result = LIBCACHE_OK;

    l1_notice_fork(l1);
    if (!space_find(l1, used, name, size, id)) {
        result = lock_take(&l1->head->spaces_lock, l1->lock_wait_ms, &died);
        if (result != LIBCACHE_OK)
            return result;
        used = l1_spaces_used(l1);
        if (!space_find(l1, used, name, size, id)) {
            if (used == l1->layout.spaces) {
                result = LIBCACHE_ENAME;
            } else {
                struct space *space = &l1->spaces[used];
                store_relaxed(&space->mark, UINT64_MAX);
                store_relaxed(&space->horizon, UINT64_MAX);
                store_relaxed(&space->share, 100);
                store_relaxed(&space->name_size, (uint8_t)size);
                shared_copy_in(space->name, name, size);
                hook(HOOK_SPACE_NAMED);
                store_release(&l1->head->spaces_used, used + 1);
                *id = used;
            }
        }
        lock_give(&l1->head->spaces_lock);
    }
    if (result == LIBCACHE_OK && load_acquire(&l1->spaces[*id].horizon) == UINT64_MAX)
        result = space_begin(l1, &l1->spaces[*id]);
    if (result == LIBCACHE_OK && share_percent)
        store_relaxed(&l1->spaces[*id].share, (uint8_t)share_percent);
    if (result == LIBCACHE_OK && *grace_ms)
        store_relaxed(&l1->spaces[*id].grace_ms, *grace_ms);
    else if (result == LIBCACHE_OK)
        *grace_ms = load_relaxed(&l1->spaces[*id].grace_ms);
    return result;
}

const char *l1_space_name(const struct l1 *l1, uint32_t id)
{
    const struct space *space = &l1->spaces[id];

    /* A name is written once and padded with zeroes; only a scribbler could have taken its end away. */
    if (id >= l1_spaces_used(l1) || !memchr(space->name, '\0', sizeof space->name))
        return NULL;
    return space->name;
}
