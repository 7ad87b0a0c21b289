/* What tools ask: iteration and statistics. No locks. SPDX-License-Identifier: MIT */
#include "l1/index.h"

#define RACES_MAX 16

/* The live entry in this slot, copied out. HIT, MISS, or ENOMEM. */
static int entry_at(struct l1 *l1, const struct shard *sh, const struct bucket *b, int i, libcache_entry *out, uint32_t *ns)
{
    for (int races = 0; races < RACES_MAX; races++) {
        uint64_t slot = load_acquire(&b->slot[i]), offset = slot_offset(slot);
        enum ring r = slot_ring(slot);
        unsigned char *p;
        struct entry e;
        if (!slot || load_acquire(&sh->s->tail[r]) > offset)
            return LIBCACHE_MISS;
        if (ring_entry(sh, r, offset, &e, &p) && e.n_tags <= LIBCACHE_TAGS_MAX) {
            if (entry_expired(&e, sh->now) || !stripe_vouch(l1, p, &e))
                return LIBCACHE_MISS;
            if (out->key.capacity < e.key_size) {
                void *data = memory_get(l1->allocator, LIBCACHE_KEY_MAX);
                if (!data)
                    return LIBCACHE_ENOMEM;
                libcache_release_value(&out->key);
                out->key.data = data;
                out->key.capacity = LIBCACHE_KEY_MAX;
                out->key.owner = l1->allocator;
            }
            shared_copy_out(out->key.data, p + e.key_at, e.key_size);
            shared_copy_out(out->tags, p + e.tags_at, e.n_tags * sizeof out->tags[0]);
            fence_acquire();
            if (load_acquire(&sh->s->tail[r]) <= offset) {
                out->key.size = e.key_size;
                out->value_bytes = e.value_size;
                out->memory_bytes = e.bytes;
                out->age_ms = sh->now > e.created ? sh->now - e.created : 0;
                out->ttl_left_ms = entry_left(&e, sh->now, l1_grace(l1, e.ns));
                out->n_tags = e.n_tags;
                out->uses = load_relaxed(&b->uses[i]);
                out->user_flags = e.user_flags;
                out->codec = e.codec;
                out->result = e.flags & ENTRY_NEGATIVE ? LIBCACHE_NEGATIVE
                              : entry_late(&e, sh->now, l1_grace(l1, e.ns)) ? LIBCACHE_STALE : LIBCACHE_HIT;
                *ns = e.ns;
                return LIBCACHE_HIT;
            }
        } else if (load_acquire(&b->slot[i]) == slot && load_acquire(&sh->s->tail[r]) <= offset) {
            return LIBCACHE_MISS;
        }
    }
    return LIBCACHE_MISS;
}

int l1_iterate(struct l1 *l1, libcache_cursor *cursor, libcache_entry *entry, uint32_t *ns)
{
    uint64_t stripe = cursor->place[0], slot = cursor->place[1];

    for (; stripe < l1->stripes; stripe++, slot = 0) {
        struct shard sh = shard_now(l1, (uint32_t)stripe);
        for (;; slot++) {
            uint32_t n = shape_buckets(load_acquire(&sh.s->shape));
            int result;
            if (slot / BUCKET_SLOTS >= n || (uint64_t)n * sizeof(struct bucket) > sh.region_bytes)
                break;
            result = entry_at(l1, &sh, index_bucket(&sh, (uint32_t)(slot / BUCKET_SLOTS)), (int)(slot % BUCKET_SLOTS), entry, ns);
            if (result == LIBCACHE_MISS)
                continue;
            if (result == LIBCACHE_HIT) {
                cursor->place[0] = stripe;
                cursor->place[1] = slot + 1;
            }
            return result;
        }
    }
    cursor->place[0] = stripe;
    cursor->place[1] = 0;
    return LIBCACHE_MISS;
}

void l1_space_use(const struct l1 *l1, uint32_t id, struct space_use *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < l1->stripes; i++) {
        const struct space_use *use = &l1->shards[i].s->space[id];
        out->bytes += load_relaxed(&use->bytes);
        out->entries += load_relaxed(&use->entries);
        out->evictions += load_relaxed(&use->evictions);
    }
}

void l1_stats(const struct l1 *l1, libcache_stats *stats)
{
    uint32_t used = load_acquire(&l1->head->spaces_used);

    stats->lock_fallbacks = load_relaxed(&l1->lock_fallbacks);
    stats->memory_bytes = l1->layout.total_bytes;
    stats->metrics_bytes = l1->layout.metrics_bytes;
    stats->position = l1_position(l1);
    stats->stripes = l1->stripes;
    stats->namespaces = used < l1->layout.spaces ? used : l1->layout.spaces;
    for (uint32_t i = 0; i < l1->stripes; i++) {
        const struct stripe *s = l1->shards[i].s;
        stats->entries += load_relaxed(&s->live_entries);
        stats->live_bytes += load_relaxed(&s->ring[SMALL].live) + load_relaxed(&s->ring[MAIN].live);
        stats->index_bytes += shape_buckets(load_relaxed(&s->shape)) * sizeof(struct bucket);
        stats->evictions += load_relaxed(&s->evictions);
        stats->conflict_evictions += load_relaxed(&s->conflicts);
        stats->reclaimed += load_relaxed(&s->reclaimed);
        stats->ghost_hits += load_relaxed(&s->ghost_hits);
        stats->survivors += load_relaxed(&s->survivors);
        stats->owner_deaths += load_relaxed(&s->owner_deaths);
        stats->resets += load_relaxed(&s->resets);
    }
}
