/*
 * Storing, deleting, changing: all under the lock of the key's stripe. SPDX-License-Identifier: MIT
 *
 * An overwrite is an append and a swing of the slot; the old bytes are dead until the tail passes them. Only two things
 * change in place, each by one 8-byte store: the expiry (touch) and a number (increment).
 *
 * G3: whoever stores what he loaded brings the position and his key slot's generation from before the load. Under the lock,
 * where every delete and set of that key slot bumps the generation, and with the marks looked at once more, a load that
 * was overtaken is refused. An invalidation that comes between that look and the publication has a higher position
 * than the entry's stamp, so readers refuse the entry.
 */
#include "base/decimal.h"
#include "base/hash.h"
#include "l1/hook.h"
#include "l1/hint.h"

static struct shard shard_of(struct l1 *l1, const struct l1_key *key)
{
    return shard_now(l1, stripe_number(l1, key->hash));
}

static uint32_t *generation_of(const struct l1 *l1, const struct l1_key *key)
{
    return &l1_shard(l1, key->hash)->s->generation[(key->hash ^ key->hash >> 8) % GENERATIONS];
}

/* A stamp's third word: the generation, and where it matters the time, both in 32 bits. */
void l1_take_stamp(const struct l1 *l1, const struct l1_key *key, libcache_stamp *stamp)
{
    stamp->epoch = l1_epoch(l1);
    stamp->generation = load_acquire(generation_of(l1, key));
    stamp->position = l1_position(l1);
    if (l1->max_stale_ms)
        stamp->generation |= l1_now(l1) << 32;
}

/* The position of the latest change in the key's slot that had one. */
static uint64_t *key_position_of(const struct l1 *l1, const struct l1_key *key)
{
    return &l1_shard(l1, key->hash)->s->key_position[(key->hash ^ key->hash >> 8) % GENERATIONS];
}

#define HEAD_ASKED 256 /* bytes of the place of a new entry that are asked for */

/* An entry about to be written. */
struct draft {
    const struct l1_key *key;
    const void *value;
    size_t size;
    const uint64_t *tags;
    uint32_t n_tags, user_flags, load_ms;
    uint64_t stamp, expiry, created;
    uint64_t word; /* number, or the value's checksum */
    uint8_t codec, flags;
    int has_word;
    char digits[DECIMAL_MAX]; /* of a number that is kept as text; not set before */
};

static uint64_t expiry_of(const struct shard *sh, uint64_t ttl_ms)
{
    uint64_t expiry = sh->now + (ttl_ms ? ttl_ms : 1);

    if (ttl_ms == LIBCACHE_FOREVER || expiry > ENTRY_TIME_MAX || expiry < sh->now)
        return ttl_ms == LIBCACHE_FOREVER ? 0 : ENTRY_TIME_MAX;
    return expiry;
}

/*
 * While nothing is heard of other hosts' invalidations, what is stored is served for max_stale_ms from when its source was
 * read, and not beyond: the bound of G2 holds for it too. That is its end, as its TTL's would be; its grace is for when there is news
 * again (read.c).
 */
static uint64_t unheard_expiry(const struct shard *sh, const struct l1_key *key, const struct l1_item *item,
                               uint64_t expiry)
{
    uint64_t since_begin =
        item->how == L1_FENCED ? (uint32_t)((uint32_t)sh->now - (uint32_t)(item->since.generation >> 32)) : 0;
    uint64_t latest = sh->now + sh->l1->max_stale_ms - since_begin + l1_grace(sh->l1, key->ns);

    if (since_begin >= sh->l1->max_stale_ms)
        return 1; /* it took too long */
    latest = latest < ENTRY_TIME_MAX ? latest : ENTRY_TIME_MAX;
    return expiry && expiry < latest ? expiry : latest;
}

static uint64_t draft_check(const struct draft *d)
{
    return hash_bytes(d->value, d->size,
                      entry_seed(d->size, d->key->size, d->codec, d->key->ns, d->flags, d->user_flags));
}

static force_inline void draft_make(struct draft *d, const struct shard *sh, const struct l1_key *key,
                                    const struct l1_item *item)
{
    d->key = key;
    d->value = item->value;
    d->size = item->negative ? 0 : item->size;
    d->tags = item->tags;
    d->n_tags = (uint32_t)item->n_tags;
    d->user_flags = item->user_flags;
    d->load_ms = item->load_ms;
    d->stamp = item->since.position;
    d->expiry = expiry_of(sh, item->ttl_ms);
    if (l1_unheard(sh->l1, sh->now))
        d->expiry = unheard_expiry(sh, key, item, d->expiry);
    d->created = sh->now > item->age_ms ? sh->now - item->age_ms : 0;
    d->codec = item->codec;
    d->flags = item->negative ? ENTRY_NEGATIVE : 0;
    d->has_word = 0;
    if (unlikely(sh->l1->layout.verify)) {
        d->has_word = 1;
        d->word = draft_check(d);
    }
}

static uint64_t draft_bytes(const struct draft *d)
{
    int extra = d->n_tags || d->user_flags || d->load_ms || (d->has_word && !(d->flags & ENTRY_NUMBER));
    uint64_t bytes =
        ENTRY_HEADER + (extra ? 8u : 0u) + (d->has_word ? 8u : 0u) + d->n_tags * UINT64_C(8) + d->key->size + d->size;
    return (bytes + 7) & ~UINT64_C(7);
}

static void draft_write(const struct draft *d, unsigned char *p)
{
    uint64_t *word = (uint64_t *)(void *)p;
    int check = d->has_word && !(d->flags & ENTRY_NUMBER), extra = d->n_tags || d->user_flags || d->load_ms || check;

    store_relaxed(word++, entry_what((uint32_t)d->size, (uint32_t)d->key->size, d->codec, d->key->ns,
                                     (uint8_t)(d->flags | (extra ? ENTRY_EXTRA : 0))));
    store_relaxed(word++, entry_life(d->expiry, d->created));
    store_relaxed(word++, entry_birth(d->created, d->stamp));
    if (extra)
        store_relaxed(word++, (uint64_t)d->user_flags | (uint64_t)d->n_tags << 32 |
                                  (uint64_t)(check ? EXTRA_CHECK : 0) << 40 | (uint64_t)d->load_ms << EXTRA_LOAD_SHIFT);
    if (d->has_word)
        store_relaxed(word++, d->word);
    for (uint32_t i = 0; i < d->n_tags; i++)
        store_relaxed(word++, d->tags[i]);
    shared_copy_in(word, d->key->data, d->key->size);
    if (d->size)
        shared_copy_in((unsigned char *)word + d->key->size, d->value, d->size);
    hook(HOOK_BYTES_WRITTEN);
}

/* What the index says of a key. */
struct found {
    struct sought at; /* at.place.bucket NULL: nothing */
    uint64_t slot;
    struct entry e;
    unsigned char *p;
    int live; /* and it may be given to a reader */
};

static force_inline void look(const struct shard *sh, const struct l1_key *key, struct found *f)
{
    f->live = 0;
    f->slot = 0;
    index_seek(sh, key, &f->at, &f->e, &f->p);
    if (f->at.place.bucket) {
        f->slot = load_relaxed(&f->at.place.bucket->slot[f->at.place.i]);
        f->live = stripe_vouch(sh->l1, f->p, &f->e) && !entry_late(&f->e, sh->now, l1_grace(sh->l1, f->e.ns));
    }
}

static void drop(struct shard *sh, const struct found *f)
{
    if (!f->at.place.bucket)
        return;
    index_swing(f->at.place, f->p, 0);
    hook(HOOK_DELETED);
    stripe_count_dead(sh, slot_ring(f->slot), &f->e);
}

/* The ring for a new or changed entry. */
static enum ring ring_for(const struct shard *sh, const struct found *f, uint64_t bytes)
{
    struct place place = f->at.place;

    if (place.bucket) {
        if (slot_ring(f->slot) == MAIN || load_relaxed(&place.bucket->uses[place.i]) >= 2)
            return MAIN;
    } else if (f->at.ghost.bucket) {
        bump(sh->s->ghost_hits, 1);
        return MAIN;
    }
    return bytes <= sh->small_bytes || (sh->s->main_filled && !main_is_sparse(sh)) ? SMALL : MAIN;
}

/* An entry larger than the small ring, seen for the first time: remembered, not kept. Its second store goes to main. */
static void leave_ghost(struct shard *sh, const struct found *f, uint64_t hash)
{
    struct place place;

    drop(sh, f);
    place = index_take_place(sh, &f->at);
    store_relaxed(&place.bucket->uses[place.i], 0);
    index_publish(place, slot_make(hash, SMALL, load_relaxed(&sh->s->tail[SMALL]) - 8) | slot_guest(&f->at.pair, place.bucket));
}

/* 1 when reclaiming has left what was found as it was. */
static int is_unmoved(const struct shard *sh, const struct found *f)
{
    struct place place = f->at.place;

    return f->at.shape == load_relaxed(&sh->s->shape) &&
           (!place.bucket || (load_relaxed(&place.bucket->slot[place.i]) == f->slot && !slot_dead(sh, f->slot)));
}

/* Writes the draft and makes it what the key leads to. OK or ETOOBIG (then nothing is there). */
static int put(struct shard *sh, const struct draft *d, struct found *f)
{
    uint64_t bytes = draft_bytes(d), offset;
    enum ring r = ring_for(sh, f, bytes);
    struct place place;
    uint64_t slot;

    if (r == SMALL && bytes > sh->small_bytes) {
        leave_ghost(sh, f, d->key->hash);
        return LIBCACHE_OK;
    }
    if (!ring_make_room(sh, r, bytes)) {
        look(sh, d->key, f);
        drop(sh, f);
        return LIBCACHE_ETOOBIG;
    }
    if (unlikely(!is_unmoved(sh, f)))
        look(sh, d->key, f);
    offset = ring_head(sh, r);
    draft_write(d, ring_at(sh, offset));
    ring_advance(sh, r, bytes);
    place = f->at.place;
    slot = slot_make(d->key->hash, r, offset);
    if (place.bucket) {
        slot |= slot_guest(&f->at.pair, place.bucket);
        index_swing(place, f->p, slot);
        hook(HOOK_PUBLISHED);
        if (load_relaxed(&place.bucket->uses[place.i]) == USES_MAX && !d->flags && !d->has_word) /* what a quick hit may be */
            hint_give(hint_of(sh->l1->hints, sh->l1->hint_mask, d->key->hash), slot, load_relaxed(&sh->s->era));
        stripe_count_dead(sh, slot_ring(f->slot), &f->e);
    } else {
        place = index_take_place(sh, &f->at);
        store_relaxed(&place.bucket->uses[place.i], 0);
        index_publish(place, slot | slot_guest(&f->at.pair, place.bucket));
        hook(HOOK_PUBLISHED);
    }
    stripe_count_in(sh, r, d->key->ns, bytes);
    stripe_note_expiry(sh, d->expiry);
    index_grow(sh);
    stripe_walk_some(sh);
    return LIBCACHE_OK;
}

/* Loads of this key that have begun are overtaken now. */
static void overtake(struct shard *sh, const struct l1_key *key)
{
    uint32_t *generation = generation_of(sh->l1, key);
    store_release(generation, load_relaxed(generation) + 1);
}

/*
 * Notes a change of the key that has a position. 1: it is the latest in the key's slot. Changes that were given later positions may have been
 * applied here already (another host's, heard of before our own answer came): then ours is not what a reader may get.
 */
static int turn(struct shard *sh, const struct l1_key *key, uint64_t position)
{
    uint64_t *latest = key_position_of(sh->l1, key), last = load_relaxed(latest);

    if (last < position) {
        store_relaxed(latest, position);
        overtake(sh, key);
    }
    return guard(GUARD_ORDER, last <= position);
}

static int take_turn(struct shard *sh, const struct l1_key *key, const struct l1_item *item)
{
    return turn(sh, key, item->since.position) && item->since.epoch == l1_epoch(sh->l1);
}

static int overtaken(const struct shard *sh, const struct l1_key *key, const struct l1_item *item)
{
    uint64_t position = item->since.position;

    return item->since.epoch != l1_epoch(sh->l1) || position > l1_position(sh->l1) ||
           !guard(GUARD_GENERATION, (uint32_t)item->since.generation == load_relaxed(generation_of(sh->l1, key))) ||
           !marks_vouch_space(sh->l1, key->ns, position) ||
           !marks_vouch_tags(sh->l1, item->tags, item->n_tags, position);
}

static int set_locked(struct shard *sh, const struct l1_key *key, const struct l1_item *item, const struct draft *d)
{
    struct found f;

    look(sh, key, &f);
    if (item->how == L1_FENCED && (overtaken(sh, key, item) || entry_expired_at(d->expiry, sh->now)))
        return LIBCACHE_FENCED;
    if (item->only_absent && f.live)
        return LIBCACHE_EXISTS;
    if (item->how == L1_ORDERED && !take_turn(sh, key, item)) {
        if (f.at.place.bucket && f.e.stamp < item->since.position)
            drop(sh, &f);
        return LIBCACHE_OK;
    }
    if (item->how == L1_PLAIN)
        overtake(sh, key);
    return put(sh, d, &f);
}

/*
 * A store in a large cache is bound by memory: two buckets, the old entry, the place of the new one, and half a dozen words of
 * the stripe that another processor wrote last. All are asked for before the lock is taken. What the buckets say then is a guess:
 * where the old entry is, if there is one.
 */
static uint64_t await(const struct shard *sh, const struct pair *pair, uint64_t hash, uint64_t shape)
{
    if (!shape_sane(shape, sh->region_bytes / sizeof(struct bucket)))
        return 0;
    for (int k = 0; k < 2; k++) {
        unsigned bits = bucket_match(pair->bucket[k], hash);
        if (bits) {
            uint64_t slot = load_relaxed(&pair->bucket[k]->slot[match_first(bits)]);
            const unsigned char *p = ring_at(sh, slot_offset(slot));
            prefetch_own(p); /* to bury it */
            prefetch(p + PLATFORM_LINE);
            return slot;
        }
    }
    return 0;
}

static void ask_for_words(const struct shard *sh, const struct pair *pair, const struct l1_key *key)
{
    struct stripe *s = sh->s;

    prefetch_own(pair->bucket[0]);
    prefetch(pair->bucket[1]);
    prefetch_own(&s->lock);
    prefetch_own(&s->ring[SMALL]);
    prefetch_own(&s->ring[MAIN]);
    prefetch_own(&s->live_entries);
    prefetch_own(generation_of(sh->l1, key));
    prefetch_own(&s->space[key->ns]);
}

static void ask_for_head(const struct shard *sh, enum ring r, uint64_t bytes)
{
    const unsigned char *p = ring_at(sh, ring_head(sh, r));

    for (uint64_t at = 0; at < bytes && at < HEAD_ASKED; at += PLATFORM_LINE)
        prefetch_own(p + at);
}

int l1_set(struct l1 *l1, const struct l1_key *key, const struct l1_item *item, int no_wait)
{
    struct shard sh = *l1_shard(l1, key->hash);
    struct draft d;
    uint64_t shape = load_relaxed(&sh.s->shape), slot, bytes;
    struct pair pair = index_pair(&sh, key->hash, shape);
    int result;

    ask_for_words(&sh, &pair, key);
    sh.now = l1_now(l1);
    draft_make(&d, &sh, key, item);
    bytes = draft_bytes(&d);
    slot = await(&sh, &pair, key->hash, shape);
    ask_for_head(&sh, slot ? slot_ring(slot) : SMALL, bytes);
    result = stripe_lock(&sh, no_wait);
    if (result != LIBCACHE_OK)
        return result;
    /* As will be needed, while the old entry's memory comes. It may go for that, so not where a newcomer of that size would not be kept. */
    if (slot && item->how == L1_PLAIN && !item->only_absent && slot_ring(slot) == MAIN && bytes <= sh.small_bytes)
        ring_make_room(&sh, MAIN, bytes);
    result = set_locked(&sh, key, item, &d);
    stripe_unlock(&sh);
    return result;
}

int l1_delete(struct l1 *l1, const struct l1_key *key, int no_wait)
{
    struct shard sh = shard_of(l1, key);
    struct found f;
    int result = stripe_lock(&sh, no_wait);

    if (result != LIBCACHE_OK)
        return result;
    overtake(&sh, key);
    look(&sh, key, &f);
    drop(&sh, &f);
    stripe_unlock(&sh);
    return f.live ? LIBCACHE_OK : LIBCACHE_MISS;
}

int l1_delete_before(struct l1 *l1, const struct l1_key *key, uint64_t position, int no_wait)
{
    struct shard sh = shard_of(l1, key);
    struct found f;
    int result = stripe_lock(&sh, no_wait);

    if (result != LIBCACHE_OK)
        return result;
    turn(&sh, key, position);
    look(&sh, key, &f);
    if (f.at.place.bucket && f.e.stamp < position)
        drop(&sh, &f);
    else
        f.live = 0;
    stripe_unlock(&sh);
    return f.live ? LIBCACHE_OK : LIBCACHE_MISS;
}

int l1_touch(struct l1 *l1, const struct l1_key *key, uint64_t ttl_ms, int no_wait)
{
    struct shard sh = shard_of(l1, key);
    struct found f;
    int result = stripe_lock(&sh, no_wait);

    if (result != LIBCACHE_OK)
        return result;
    look(&sh, key, &f);
    if (f.live) {
        uint64_t expiry = expiry_of(&sh, ttl_ms);
        if (l1_unheard(l1, sh.now) && f.e.expiry && (!expiry || expiry > f.e.expiry))
            expiry = f.e.expiry; /* as it was bounded when it was stored */
        store_release((uint64_t *)(void *)f.p + 1, entry_life(expiry, f.e.created));
        stripe_note_expiry(&sh, expiry);
    }
    stripe_unlock(&sh);
    return f.live ? LIBCACHE_OK : LIBCACHE_MISS;
}

/* The draft of a number: a word that is changed in place, but where values are verified, checksummed text. */
static void draft_number(const struct shard *sh, struct draft *d, int64_t number)
{
    d->has_word = 1;
    if (sh->l1->layout.verify) {
        d->flags = 0;
        d->value = d->digits;
        d->size = decimal_write(d->digits, number);
        d->word = draft_check(d);
    } else {
        d->flags = ENTRY_NUMBER;
        d->size = 0;
        d->word = (uint64_t)number;
    }
}

/* Turns a live decimal text into a number with the same expiry, stamp, tags, flags and codec. */
static int convert(struct shard *sh, const struct l1_key *key, struct found *f, int64_t number)
{
    uint64_t tags[LIBCACHE_TAGS_MAX];
    struct draft d;

    if (f->e.n_tags > LIBCACHE_TAGS_MAX)
        return LIBCACHE_ECORRUPT;
    memset(&d, 0, offsetof(struct draft, digits));
    shared_copy_out(tags, f->p + f->e.tags_at, f->e.n_tags * sizeof tags[0]);
    d.key = key;
    d.tags = tags;
    d.n_tags = f->e.n_tags;
    d.user_flags = f->e.user_flags;
    d.load_ms = f->e.load_ms;
    d.stamp = f->e.stamp;
    d.expiry = f->e.expiry;
    d.created = f->e.created;
    d.codec = f->e.codec;
    draft_number(sh, &d, number);
    return put(sh, &d, f);
}

static int add_overflows(int64_t number, int64_t delta, int subtract, int64_t *out)
{
    return subtract ? __builtin_sub_overflow(number, delta, out) : __builtin_add_overflow(number, delta, out);
}

static int add_locked(struct shard *sh, const struct l1_key *key, int64_t delta, int subtract, struct draft *if_absent,
                      int64_t *out)
{
    struct found f;
    unsigned char text[DECIMAL_MAX];
    int64_t number = 0;
    int result;

    look(sh, key, &f);
    if (!f.live || (f.e.flags & ENTRY_NEGATIVE)) {
        if (add_overflows(0, delta, subtract, out))
            return LIBCACHE_EOVERFLOW;
        draft_number(sh, if_absent, *out);
        result = put(sh, if_absent, &f);
    } else if ((f.e.flags & ENTRY_NUMBER) && !sh->l1->layout.verify) {
        uint64_t *word = (uint64_t *)(void *)(f.p + f.e.word_at);
        if (add_overflows((int64_t)load_relaxed(word), delta, subtract, out))
            return LIBCACHE_EOVERFLOW;
        store_release(word, (uint64_t)*out);
        result = LIBCACHE_OK;
    } else {
        if (f.e.value_size > sizeof text)
            return LIBCACHE_ENUMBER;
        shared_copy_out(text, f.p + f.e.value_at, f.e.value_size);
        if (!entry_checks(sh->l1, f.p, &f.e, text))
            return LIBCACHE_ECORRUPT;
        if (!decimal_read(text, f.e.value_size, &number))
            return LIBCACHE_ENUMBER;
        if (add_overflows(number, delta, subtract, out))
            return LIBCACHE_EOVERFLOW;
        result = convert(sh, key, &f, *out);
    }
    if (result == LIBCACHE_OK)
        overtake(sh, key);
    return result;
}

int l1_add_number(struct l1 *l1, const struct l1_key *key, int64_t delta, int subtract, const struct l1_item *if_absent,
                  int64_t *out, int no_wait)
{
    struct shard sh = shard_of(l1, key);
    struct draft d;
    int64_t number = 0;
    int result;

    draft_make(&d, &sh, key, if_absent);
    result = stripe_lock(&sh, no_wait);
    if (result != LIBCACHE_OK)
        return result;
    result = add_locked(&sh, key, delta, subtract, &d, &number);
    stripe_unlock(&sh);
    if (result == LIBCACHE_OK && out)
        *out = number;
    return result;
}

int l1_sweep(struct l1 *l1, size_t max_entries, size_t *reclaimed)
{
    size_t left = max_entries / BUCKET_SLOTS + !!(max_entries % BUCKET_SLOTS), dropped = 0;
    size_t share = left / l1->stripes + 1;

    for (uint32_t i = 0; i < l1->stripes && left; i++) {
        struct shard sh = shard_now(l1, i);
        size_t buckets = share < left ? share : left, most;
        int result;
        result = stripe_lock(&sh, 0);
        if (result != LIBCACHE_OK)
            return result;
        most = shape_buckets(load_relaxed(&sh.s->shape)); /* one round */
        buckets = buckets < most ? buckets : most;
        dropped += stripe_walk(&sh, buckets);
        left -= buckets;
        stripe_unlock(&sh);
    }
    *reclaimed = dropped;
    return LIBCACHE_OK;
}
