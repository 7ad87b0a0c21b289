/*
 * The trace of a live segment. SPDX-License-Identifier: MIT
 *
 *      every process that uses the segment                          one process: the reader
 *      get, set, delete --> in the sample? --> claim a place --> [ 7 | 8 | 9 | - | 5 | 6 ] --> take out, in order
 *                                               next = 10                   read = 5
 *
 * The sample is of keys, not of calls: a key is in it when its hash, keyed by a secret of this trace, is below a threshold, and
 * then all that happens to it is. So the sample of a share R of the keys misses in a cache of R times the memory as often as
 * all of them do in the whole (SHARDS: Waldspurger, Park, Garthwaite, Ahmad, FAST 2015). The same hash is all that is written
 * down of the key. SipHash: who has the trace can neither compute the secret nor try names.
 *
 * The queue is bounded and never waited for. Who has something to write down claims the next place by compare-and-swap of `next`,
 * unless the reader is a whole round behind: then the record is dropped and counted. He fills the place and publishes it with
 * `turn`, a checksum over the record, its number and the trace's id. Who is killed between the two leaves a hole, which the
 * reader gives up after HOLE_NS; who is only stopped there and goes on later may spoil a record of the next round. Checksums do
 * not fit then, and that record is given up as well. Nothing that is read here is used as a place in memory: `next` and
 * `read` are taken modulo the number of records, which each process has computed for itself, so a damaged queue costs records.
 *
 * The reader says at each look that he lives, by `until_ms`. Who finds that in the past ends the trace, so that one whose
 * reader was killed or stopped costs little, and not for long. Beginning and ending are under the spaces' lock; what a trace is
 * about is read without, between two looks at `id` (0 while it changes).
 */
#include "l1/trace.h"

#include "base/hash.h"
#include "base/process.h"
#include "base/siphash.h"
#include "l1/lock.h"

#include <unistd.h>

#define CLAIMS 16                   /* attempts at a place before the record is dropped */
#define HOLE_NS UINT64_C(100000000) /* for a record whose place is claimed */

#define SIZE_BITS 28
#define KEY_SIZE_BITS 12
#define WHAT_BITS 4
#define WHAT_SHIFT (SIZE_BITS + KEY_SIZE_BITS)
#define SPACE_SHIFT (WHAT_SHIFT + WHAT_BITS)
#define BITS(word, shift, n) ((word) >> (shift) & ((UINT64_C(1) << (n)) - 1))

_Static_assert(LIBCACHE_KEY_MAX < 1 << KEY_SIZE_BITS, "a key's size fits");
_Static_assert(L1_VALUE_MAX < UINT64_C(1) << SIZE_BITS, "a value's size fits");
_Static_assert(SPACES_MAX < 1 << (64 - SPACE_SHIFT), "a namespace's number fits");
_Static_assert(TRACE_WHATS <= 1 << WHAT_BITS, "what happened fits");

static uint64_t turn_of(uint64_t id, uint64_t number, const uint64_t words[3])
{
    const uint64_t all[5] = { number, words[0], words[1], words[2], 1 };

    return hash_bytes(all, sizeof all, id) | 1;
}

static struct trace_record *place(const struct l1 *l1, uint64_t number)
{
    return &l1->trace->record[number & (l1->layout.trace_records - 1)];
}

/* ---- Who is looked at ---------------------------------------------------------------------------------------------- */

/* What the present trace wants, as one whole. 0: there is none. */
static int read_wish(const struct trace_area *area, struct trace_wish *wish, uint64_t *begun_ms)
{
    wish->id = load_acquire(&area->id);
    wish->secret[0] = load_relaxed(&area->secret[0]);
    wish->secret[1] = load_relaxed(&area->secret[1]);
    wish->threshold = load_relaxed(&area->threshold);
    wish->space = load_relaxed(&area->space);
    *begun_ms = load_relaxed(&area->begun_ms);
    fence_acquire();
    return wish->id && load_acquire(&area->id) == wish->id;
}

static int claim(const struct l1 *l1, uint64_t *number)
{
    struct trace_area *area = l1->trace;
    uint64_t next = load_relaxed(&area->next);

    for (int i = 0; i < CLAIMS; i++) {
        if (next - load_acquire(&area->read) >= l1->layout.trace_records)
            return 0;
        *number = next;
        if (__atomic_compare_exchange_n(&area->next, &next, next + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}

static void write_down(const struct l1 *l1, uint64_t id, const uint64_t words[3])
{
    struct trace_record *record;
    uint64_t number;

    if (!claim(l1, &number)) {
        __atomic_fetch_add(&l1->trace->dropped, 1, __ATOMIC_RELAXED);
        return;
    }
    record = place(l1, number);
    for (int i = 0; i < 3; i++)
        store_relaxed(&record->word[i], words[i]);
    store_release(&record->turn, turn_of(id, number, words));
}

int trace_note(const struct l1 *l1, uint32_t space, const void *key, size_t key_size, enum trace_what what,
               size_t value_size)
{
    struct trace_area *area = l1->trace;
    struct trace_wish wish;
    uint64_t begun_ms, now, hash;

    if (l1->read_only || !read_wish(area, &wish, &begun_ms))
        return 0;
    now = l1_time(l1);
    if (now >= load_relaxed(&area->until_ms)) {
        __atomic_compare_exchange_n(&area->id, &wish.id, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        return 0;
    }
    if (wish.space && wish.space != space + 1)
        return 1;
    hash = siphash(wish.secret, space, key, key_size);
    if (hash <= wish.threshold) {
        const uint64_t words[3] = { hash,
                                    (value_size < L1_VALUE_MAX ? value_size : L1_VALUE_MAX) |
                                        (uint64_t)key_size << SIZE_BITS | (uint64_t)what << WHAT_SHIFT |
                                        (uint64_t)space << SPACE_SHIFT,
                                    now > begun_ms ? now - begun_ms : 0 };
        write_down(l1, wish.id, words);
    }
    return 1;
}

/* ---- The reader ------------------------------------------------------------------------------------------------------ */

/* Whose trace is in the way; 0: none is. Looks at a file and at the host's clock: not under the lock. */
static uint32_t who_traces(const struct l1 *l1, const struct trace_area *area, uint64_t *id)
{
    uint32_t pid;

    *id = load_acquire(&area->id);
    pid = load_relaxed(&area->pid);
    if (!*id || l1_time(l1) >= load_relaxed(&area->until_ms) || !process_lives((pid_t)pid, load_relaxed(&area->start)))
        return 0;
    return pid;
}

int trace_begin(struct l1 *l1, const struct trace_wish *wish, struct trace_reader *reader, uint32_t *pid)
{
    struct trace_area *area = l1->trace;
    uint64_t before, there, now, start = process_start(getpid());
    int died;

    *pid = 0;
    if (l1->read_only)
        return LIBCACHE_EACCESS;
    l1_notice_fork(l1);
    *pid = who_traces(l1, area, &before);
    if (*pid)
        return LIBCACHE_EBUSY;
    now = l1_time(l1);
    if (lock_take(&l1->head->spaces_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return LIBCACHE_EBUSY;
    there = load_acquire(&area->id);
    if (there && there != before) { /* somebody was faster */
        *pid = load_relaxed(&area->pid);
        lock_give(&l1->head->spaces_lock);
        return LIBCACHE_EBUSY;
    }
    store_release(&area->id, 0);
    fence_release();
    store_relaxed(&area->secret[0], wish->secret[0]);
    store_relaxed(&area->secret[1], wish->secret[1]);
    store_relaxed(&area->threshold, wish->threshold);
    store_relaxed(&area->space, wish->space);
    store_relaxed(&area->begun_ms, now);
    store_relaxed(&area->pid, (uint32_t)getpid());
    store_relaxed(&area->start, start);
    store_relaxed(&area->dropped, 0);
    store_relaxed(&area->until_ms, now + wish->lease_ms);
    *reader = (struct trace_reader){ .id = wish->id, .read = load_acquire(&area->next), .lease_ms = wish->lease_ms };
    store_release(&area->read, reader->read);
    store_release(&area->id, wish->id);
    lock_give(&l1->head->spaces_lock);
    return LIBCACHE_OK;
}

/* 1: the record of that number, whole. */
static int take_out(const struct l1 *l1, uint64_t id, uint64_t number, struct trace_seen *out)
{
    const struct trace_record *record = place(l1, number);
    uint64_t turn = load_acquire(&record->turn), words[3];

    for (int i = 0; i < 3; i++)
        words[i] = load_relaxed(&record->word[i]);
    if (turn != turn_of(id, number, words) || BITS(words[1], WHAT_SHIFT, WHAT_BITS) >= TRACE_WHATS)
        return 0;
    out->key = words[0];
    out->value_size = (uint32_t)BITS(words[1], 0, SIZE_BITS);
    out->key_size = (uint32_t)BITS(words[1], SIZE_BITS, KEY_SIZE_BITS);
    out->what = (enum trace_what)BITS(words[1], WHAT_SHIFT, WHAT_BITS);
    out->space = (uint32_t)(words[1] >> SPACE_SHIFT);
    out->time_ms = words[2];
    return 1;
}

/* Whether the next record, which is not there yet, is to be waited for on. */
static int may_come(struct trace_reader *r)
{
    struct timespec t;
    uint64_t now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    if (!r->hole_ns)
        r->hole_ns = now;
    return now - r->hole_ns < HOLE_NS;
}

int trace_take(struct l1 *l1, struct trace_reader *r, struct trace_seen *out, size_t n, size_t *taken)
{
    struct trace_area *area = l1->trace;
    uint64_t next, until = l1_time(l1) + r->lease_ms;

    *taken = 0;
    if (load_acquire(&area->id) != r->id)
        return LIBCACHE_MISS;
    store_relaxed(&area->until_ms, until);
    next = load_acquire(&area->next);
    if (next - r->read > l1->layout.trace_records) { /* somebody has scribbled over it */
        r->lost++;
        r->read = next;
    }
    while (*taken < n && r->read != next) {
        if (take_out(l1, r->id, r->read, &out[*taken])) {
            ++*taken;
            r->hole_ns = 0;
        } else if (may_come(r)) {
            break;
        } else {
            r->lost++;
        }
        r->read++;
    }
    if (r->read == next)
        r->hole_ns = 0;
    store_release(&area->read, r->read);
    return LIBCACHE_OK;
}

void trace_end(struct l1 *l1, const struct trace_reader *reader)
{
    struct trace_area *area = l1->trace;
    uint64_t id = reader->id;
    int died;

    __atomic_compare_exchange_n(&area->id, &id, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    if (lock_take(&l1->head->spaces_lock, l1->lock_wait_ms, &died) != LIBCACHE_OK)
        return; /* the next trace writes over the secret */
    if (!load_acquire(&area->id)) {
        store_relaxed(&area->secret[0], 0);
        store_relaxed(&area->secret[1], 0);
        store_relaxed(&area->until_ms, 0);
    }
    lock_give(&l1->head->spaces_lock);
}

uint64_t trace_dropped(const struct l1 *l1)
{
    return load_relaxed(&l1->trace->dropped);
}
