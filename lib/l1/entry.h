/*
 * One entry, as it lies in a log. SPDX-License-Identifier: MIT
 *
 *      0                 8                 16                24
 *      +-----------------+-----------------+-----------------+- - - - +- - - -+- - - - +-----+-------+- -+
 *      | what            | life            | birth           | extra  | check | tags   | key | value |pad|
 *      +-----------------+-----------------+-----------------+- - - - +- - - -+- - - - +-----+-------+- -+
 *
 *      what   value size 28 | codec 8 | key size 12 | namespace 12 | flags 4
 *      life   expiry 40 | high 24 bits of created          expiry 0: never
 *      birth  low 16 bits of created | stamp 48            so: every hit needs the stamp, few need created
 *      extra  user flags 32 | number of tags 8 | check 1 | ms that its load took 23     only with ENTRY_EXTRA
 *      check  checksum of the value                           only with EXTRA_CHECK
 *      tags   8 bytes each, hashes                            only with ENTRY_EXTRA
 *
 * Times are milliseconds since the segment was made (40 bits: 34 years). A number (ENTRY_NUMBER) has, in the place of the
 * check, the number itself as one word that is changed in place by one 8-byte store, and no value bytes.
 * An entry is written once, before it can be found; after that only `life` (touch) and a number change, each by one store;
 * and just before its slot leads elsewhere or nowhere it is buried: a flag, so that a reader who came here without the slot (hint.h)
 * goes to look for it, and reclaiming need not. Who dies in between leaves a slot that leads to a buried entry: readers who came by it
 * do not mind, and the lock's next owner digs it out (stripe.c).
 * Sizes: 24 bytes for an entry without tags and user flags. Everything is aligned to 8.
 */
#ifndef L1_ENTRY_H
#define L1_ENTRY_H
#include "base/platform.h"

#define ENTRY_HEADER 24u
#define ENTRY_VALUE_MAX ((UINT32_C(1) << 28) - 1)
#define ENTRY_TIME_MAX ((UINT64_C(1) << 40) - 1)
#define ENTRY_TIME_MASK ENTRY_TIME_MAX

/* What is above these bits of `what` says: this key size, this namespace, and a plain value. */
#define ENTRY_KEY_SHIFT 36

#define ENTRY_WITH_EXTRA ((uint64_t)ENTRY_EXTRA << 60)

enum entry_flag { ENTRY_EXTRA = 1, ENTRY_NEGATIVE = 2, ENTRY_NUMBER = 4, ENTRY_BURIED = 8 };
enum extra_bit { EXTRA_CHECK = 1 };
#define EXTRA_LOAD_SHIFT 41

/* An entry's head, decoded. Filled from one read of each word; offsets are relative to the entry. */
struct entry {
    uint64_t stamp, expiry, created;
    uint32_t load_ms;
    uint32_t value_size, key_size, ns;
    uint32_t user_flags, n_tags;
    uint32_t word_at;  /* offset of check or number; 0: none */
    uint32_t tags_at, key_at;
    uint64_t value_at, bytes; /* bytes: the whole, rounded up to 8 */
    uint8_t codec, flags;
};

static force_inline uint64_t entry_what(uint32_t value_size, uint32_t key_size, uint8_t codec, uint32_t ns, uint8_t flags)
{
    return (uint64_t)value_size | (uint64_t)codec << 28 | (uint64_t)key_size << ENTRY_KEY_SHIFT | (uint64_t)ns << 48 |
           (uint64_t)flags << 60;
}

static force_inline uint8_t entry_codec(uint64_t what)
{
    return (uint8_t)(what >> 28);
}

static force_inline uint64_t entry_life(uint64_t expiry, uint64_t created)
{
    return expiry | created >> 16 << 40;
}

static force_inline uint64_t entry_birth(uint64_t created, uint64_t stamp)
{
    return (created & 0xffff) | stamp << 16;
}

static force_inline uint64_t entry_stamp(uint64_t birth)
{
    return birth >> 16;
}

static force_inline uint64_t entry_created(uint64_t life, uint64_t birth)
{
    return life >> 40 << 16 | (birth & 0xffff);
}

/*
 * Decodes the entry at p, of which `room` bytes may be read. 0: it would not fit there, so these bytes are no entry (a
 * racing reader looks again; under the lock it is corruption). Needs at least ENTRY_HEADER + 8 readable bytes at p.
 */
static force_inline int entry_read(struct entry *e, const unsigned char *p, uint64_t room)
{
    const uint64_t *words = (const uint64_t *)(const void *)p;
    uint64_t what = load_relaxed(&words[0]);
    uint64_t life = load_relaxed(&words[1]);
    uint64_t birth = load_relaxed(&words[2]);
    uint32_t at = ENTRY_HEADER;

    e->value_size = (uint32_t)(what & ENTRY_VALUE_MAX);
    e->key_size = (uint32_t)(what >> ENTRY_KEY_SHIFT) & 0xfff;
    e->codec = entry_codec(what);
    e->ns = (uint32_t)(what >> 48) & 0xfff;
    e->flags = (uint8_t)(what >> 60);
    e->expiry = life & ENTRY_TIME_MASK;
    e->created = entry_created(life, birth);
    e->stamp = entry_stamp(birth);
    e->user_flags = e->n_tags = e->word_at = e->load_ms = 0;
    if (unlikely(e->flags & ~(unsigned)(ENTRY_NEGATIVE))) {
        uint32_t bits = 0;
        if (e->flags & ENTRY_EXTRA) {
            uint64_t extra = load_relaxed(&words[3]);
            e->user_flags = (uint32_t)extra;
            e->n_tags = (uint32_t)(extra >> 32) & 0xff;
            bits = (uint32_t)(extra >> 40);
            e->load_ms = bits >> 1;
            at += 8;
        }
        if ((bits & EXTRA_CHECK) || (e->flags & ENTRY_NUMBER)) {
            e->word_at = at;
            at += 8;
        }
    }
    e->tags_at = at;
    e->key_at = at + e->n_tags * 8;
    e->value_at = (uint64_t)e->key_at + e->key_size;
    e->bytes = (e->value_at + ((e->flags & ENTRY_NUMBER) ? 0 : e->value_size) + 7) & ~UINT64_C(7);
    return e->bytes <= room && e->key_size != 0;
}

/* Before its slot is cleared or swung, in that order for every other thread. */
static force_inline void entry_bury(unsigned char *p)
{
    uint64_t *what = (uint64_t *)(void *)p;
    store_release(what, load_relaxed(what) | (uint64_t)ENTRY_BURIED << 60);
}

static force_inline void entry_dig_out(unsigned char *p)
{
    uint64_t *what = (uint64_t *)(void *)p;
    store_release(what, load_relaxed(what) & ~((uint64_t)ENTRY_BURIED << 60));
}

/* Seeds the checksum of a value, so that it vouches for what the head says of it too. */
static inline uint64_t entry_seed(uint64_t size, uint64_t key_size, uint8_t codec, uint32_t ns, uint8_t flags,
                                  uint32_t user_flags)
{
    return entry_what((uint32_t)size, (uint32_t)key_size, codec, ns, flags & ENTRY_NEGATIVE) ^
           user_flags * UINT64_C(0x9e3779b97f4a7c15);
}

static force_inline int entry_expired_at(uint64_t expiry, uint64_t now)
{
    return expiry && now >= expiry;
}

/* 1: past its end, which comes `grace` before its expiry. */
static force_inline int entry_late(const struct entry *e, uint64_t now, uint64_t grace)
{
    return e->expiry && now + grace >= e->expiry;
}

/* Until its end. */
static force_inline uint64_t entry_left(const struct entry *e, uint64_t now, uint64_t grace)
{
    return !e->expiry ? UINT64_MAX : e->expiry > now + grace ? e->expiry - now - grace : 0;
}

static force_inline int entry_expired(const struct entry *e, uint64_t now)
{
    return entry_expired_at(e->expiry, now);
}

#endif
