/* Opening, closing and checking the in-memory tier. SPDX-License-Identifier: MIT */
#include "l1/l1.h"

#include "base/error.h"
#include "l1/hint.h"
#include "l1/lock.h"

#include <unistd.h>

static void prepare_new(struct l1 *l1)
{
    lock_make(&l1->head->marks_lock);
    lock_make(&l1->head->spaces_lock);
    lock_make(&l1->head->flights_lock);
    for (uint32_t i = 0; i < l1->stripes; i++) {
        struct shard sh = l1->shards[i];
        stripe_make(&sh);
    }
}

/* Nobody is using the segment: what dead processes left is made good. */
static void adopt(struct l1 *l1)
{
    int doubt = !load_relaxed(&l1->head->closed);

    store_relaxed(&l1->head->closed, 0);
    store_release(&l1->head->ready, 0);
    store_relaxed(&l1->trace->id, 0);
    lock_make(&l1->head->marks_lock);
    lock_make(&l1->head->spaces_lock);
    lock_make(&l1->head->flights_lock);
    for (uint32_t i = 0; i < l1->stripes; i++) {
        struct shard sh = l1->shards[i];
        stripe_adopt(&sh, doubt);
    }
}

static int make_shards(struct l1 *l1)
{
    const struct layout *layout = &l1->layout;

    uint64_t hints = hints_for(layout->total_bytes);

    l1->quick = memory_zero_aligned(l1->allocator,
                                    l1->stripes * (sizeof *l1->quick + sizeof *l1->shards) + hints * sizeof *l1->hints,
                                    _Alignof(struct quick), &l1->shards_raw);
    if (!l1->quick)
        return 0;
    l1->hints = (uint64_t *)(void *)(l1->quick + l1->stripes);
    l1->hint_mask = hints - 1;
    l1->shards = (struct shard *)(void *)(l1->hints + hints);
    for (uint32_t i = 0; i < l1->stripes; i++) {
        struct shard *sh = &l1->shards[i];
        struct quick *quick = &l1->quick[i];
        sh->s = (struct stripe *)(void *)(l1->segment.base + layout->blocks_at + i * layout->block_bytes);
        sh->region = l1->segment.base + layout->regions_at + i * layout->region_bytes;
        sh->region_bytes = layout->region_bytes;
        sh->small_bytes = layout->small_bytes;
        sh->lap_shift = layout->lap_shift;
        sh->lap_mask = (UINT64_C(1) << layout->lap_shift) - 1;
        sh->begin[MAIN] = layout->small_bytes;
        sh->ring_bytes[SMALL] = layout->small_bytes;
        sh->ring_bytes[MAIN] = layout->region_bytes - layout->small_bytes;
        quick->place = sh->lap_mask >> 3;
        quick->region = sh->region;
        quick->last = layout->verify ? NULL : sh->region + sh->region_bytes - QUICK_ROOM;
        quick->s = sh->s;
        quick->tail = sh->s->tail;
        quick->first_bucket = index_bucket(sh, 0);
        sh->l1 = l1;
        sh->now = 0;
    }
    return 1;
}

struct l1_view l1_view_of(struct l1 *l1, uint32_t ns, uint64_t soft_ttl_ms, uint64_t grace_ms)
{
    return (struct l1_view){ .hints = l1->hints,
                             .hint_mask = l1->hint_mask,
                             .quick = l1->quick,
                             .quick_places = (l1->stripes - 1) * sizeof *l1->quick,
                             .lean = l1->read_only ? 0 : VIEW_LEAN,
                             .head = l1->head,
                             .mark = &l1->spaces[ns].mark,
                             .soft_ttl_ms = soft_ttl_ms,
                             .grace_ms = grace_ms,
                             .timed = soft_ttl_ms || l1->max_stale_ms,
                             .what = entry_what(0, 0, 0, ns, 0) >> ENTRY_KEY_SHIFT,
                             .wide = platform_wide(),
                             .hash = hash_seeded(l1_seed(l1, ns)),
                             .l1 = l1,
                             .ns = ns };
}

/*
 * The shape is stored last, and all with release: a reader with this shape has these numbers or later ones, and one that
 * met any of them finds, before he says "absent", that the stripe's shape is not the one he began with.
 * One thread at a time: of two, the older one's mask could stay with the newer one's shape, and keys be looked for in vain.
 * A child forked in the middle of that does not wait for a thread it does not have.
 */
void quick_refresh(struct quick *quick, const struct shard *sh)
{
    uint64_t shape = load_acquire(&sh->s->shape);
    int self, other = load_relaxed(&quick->refresher);

    if (shape == load_relaxed(&quick->shape))
        return;
    self = (int)getpid();
    if (other == self || !__atomic_compare_exchange_n(&quick->refresher, &other, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    shape = load_acquire(&sh->s->shape);
    if (shape_sane(shape, sh->region_bytes / sizeof(struct bucket))) {
        store_release(&quick->mask, shape_mask(shape));
        store_release(&quick->half, shape_mask(shape) >> 1);
        store_release(&quick->shape, shape);
    }
    store_release(&quick->refresher, 0);
}

int l1_open(struct l1 *l1, const struct l1_options *options, libcache_error *error)
{
    int result = segment_open(&l1->segment, &options->wish, error);

    if (result != LIBCACHE_OK)
        return result;
    l1->layout = l1->segment.layout;
    l1->head = segment_head(&l1->segment);
    l1->spaces = (struct space *)(void *)(l1->segment.base + l1->layout.spaces_at);
    l1->marks = (struct mark_set *)(void *)(l1->segment.base + l1->layout.marks_at);
    l1->flights = (struct flight *)(void *)(l1->segment.base + l1->layout.flights_at);
    l1->wakers = (struct waker_place *)(void *)(l1->segment.base + l1->layout.wakers_at);
    l1->metrics = (struct metrics_area *)(void *)(l1->segment.base + l1->layout.metrics_at);
    l1->trace = (struct trace_area *)(void *)(l1->segment.base + l1->layout.trace_at);
    l1->read_only = options->wish.read_only;
    l1->start_pid = 0;
    l1->stripes = l1->layout.stripes;
    l1->seed = l1->head->seed;
    l1->origin_ms = l1->head->origin_ms;
    l1->clock_ms = options->clock_ms;
    l1->clock_arg = options->clock_arg;
    l1->lock_wait_ms = options->lock_wait_ms;
    l1->allocator = options->allocator;
    l1->max_stale_ms = l1->read_only && !l1->layout.upper_bytes ? 0 : options->max_stale_ms;
    l1->lock_fallbacks = 0;
    if (!make_shards(l1)) {
        segment_close(&l1->segment);
        return error_set(error, LIBCACHE_ENOMEM, "no memory for the table of %u stripes", l1->stripes);
    }
    if (l1->segment.made)
        prepare_new(l1);
    else if (l1->segment.sole)
        adopt(l1);
    if (options->prepare_upper && (l1->segment.made || l1->segment.sole))
        options->prepare_upper(l1_upper(l1));
    for (uint32_t i = 0; i < l1->stripes; i++)
        quick_refresh(&l1->quick[i], &l1->shards[i]);
    segment_let_in(&l1->segment);
    return LIBCACHE_OK;
}

void *l1_upper(const struct l1 *l1)
{
    return l1->segment.base + l1->layout.upper_at;
}

void l1_close(struct l1 *l1)
{
    segment_close(&l1->segment);
    memory_free(l1->allocator, l1->shards_raw);
}

int l1_check(struct l1 *l1, const char **what)
{
    for (uint32_t i = 0; i < l1->stripes; i++) {
        struct shard sh = shard_now(l1, i);
        if (stripe_lock(&sh, 0) != LIBCACHE_OK) {
            *what = "a lock was not to be had";
            return 0;
        }
        *what = stripe_check(&sh);
        stripe_unlock(&sh);
        if (*what)
            return 0;
    }
    return 1;
}
