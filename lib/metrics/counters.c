/* SPDX-License-Identifier: MIT */
#include "metrics/counters.h"

#include "base/process.h"

#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define PROBES 8
#define AREA_SHARE 256     /* of the memory, for blocks ... */
#define AREA_MOST_SHARE 32 /* ... and at most so much, for many namespaces */
#define BLOCKS_MIN 16u
#define BLOCKS_MAX 16384u
#define TOTALS_SHARE 4 /* of the blocks, kept free of threads: for totals */
#define TRY_AGAIN 4096 /* counts without a block, after which one is looked for again */
#define FEW_LOOKS 8            /* at whether processes live, before a fresh block is taken */
#define TAKEN 1u       /* a seat's owner while it is made ready: no thread pointer */
#define START_BITS 40
#define PAGE 4096

_Static_assert(sizeof(struct counter_block) == 384, "documented in docs/metrics.md: 384 bytes a block");
_Static_assert(sizeof(struct metrics_area) % (2 * PLATFORM_LINE) == 0, "blocks are aligned");

uint64_t metrics_area_bytes(uint64_t total_bytes, uint32_t spaces)
{
    uint64_t blocks = total_bytes / AREA_SHARE / sizeof(struct counter_block), most;

    if (blocks < spaces + spaces / TOTALS_SHARE) {
        most = total_bytes / AREA_MOST_SHARE / sizeof(struct counter_block);
        blocks = spaces + spaces / TOTALS_SHARE;
        blocks = blocks < most ? blocks : most;
    }
    blocks = blocks > BLOCKS_MIN ? blocks : BLOCKS_MIN;
    blocks = blocks < BLOCKS_MAX ? blocks : BLOCKS_MAX;
    return sizeof(struct metrics_area) + blocks * sizeof(struct counter_block);
}

int counters_open(struct counters *c, struct metrics_area *area, uint64_t area_bytes, uint32_t spaces, int read_only)
{
    size_t head;
    void *memory;

    c->area = area;
    c->blocks = (uint32_t)((area_bytes - sizeof *area) / sizeof area->block[0]);
    c->spaces = spaces;
    c->read_only = read_only;
    head = (sizeof *c->self + spaces + 1 + PAGE - 1) / PAGE * PAGE;
    c->bytes = head + (spaces + 1) * sizeof(struct tally);
    memory = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    madvise(memory, c->bytes, MADV_NOHUGEPAGE); /* little of it is ever touched */
    c->wiped = madvise(memory, c->bytes, MADV_WIPEONFORK) == 0;
    c->memory = memory;
    c->self = memory;
    c->used = (uint8_t *)(c->self + 1);
    c->tallies = (struct tally *)(void *)((unsigned char *)memory + head);
    return 1;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

static uint64_t owner_of(pid_t pid, uint64_t start)
{
    return ((uint64_t)pid << START_BITS) | (start & ((UINT64_C(1) << START_BITS) - 1));
}

static uint64_t own_word(struct counters *c)
{
    uint64_t self = load_relaxed(c->self);

    if (!self) { /* racy, and the same for all threads */
        self = owner_of(getpid(), process_start(getpid()));
        store_relaxed(c->self, self);
    }
    return self;
}

uint64_t counters_process(struct counters *c)
{
    return c->wiped ? own_word(c) : (uint64_t)getpid();
}

static int is_free(uint64_t owner, uint64_t self)
{
    pid_t pid = (pid_t)(owner >> START_BITS);

    if (owner == COUNTER_EVERYBODY || owner == self)
        return 0;
    return !owner || pid == getpid() || !process_lives(pid, owner & ((UINT64_C(1) << START_BITS) - 1));
}

static int claim(struct counter_block *block, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&block->owner, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* How far somebody must look who looks for blocks in use. */
static uint32_t blocks_used(const struct counters *c)
{
    uint32_t used = load_acquire(&c->area->used);

    return used < c->blocks ? used : c->blocks;
}

static void use_blocks(struct counters *c, uint32_t n)
{
    uint32_t used = load_relaxed(&c->area->used);

    while (used < n && !__atomic_compare_exchange_n(&c->area->used, &used, n, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
}

/* The block, which belonged to `before` and holds counts of `wanted` (a space's number + 1, or 0: of none). 0: somebody was faster. */
static int take_this(struct counter_block *block, uint64_t before, uint32_t wanted, uint32_t space, uint64_t owner)
{
    if (!claim(block, before, owner))
        return 0;
    if (load_acquire(&block->space) != wanted) { /* it has changed hands since we looked */
        store_release(&block->owner, 0);
        return 0;
    }
    store_release(&block->space, space + 1);
    return 1;
}

/* One of the namespace's whose owner is gone, for which so many processes may be looked at. */
static struct counter_block *take_over(struct counters *c, uint32_t space, uint64_t owner, unsigned looks)
{
    uint64_t self = own_word(c);
    uint32_t used = blocks_used(c);

    for (uint32_t i = 1; i < used; i++) {
        struct counter_block *block = &c->area->block[i];
        uint64_t before = load_acquire(&block->owner);
        if (load_relaxed(&block->space) != space + 1 || before == self || before == COUNTER_EVERYBODY)
            continue;
        if (before && !looks--)
            return NULL;
        if (is_free(before, self) && take_this(block, before, space + 1, space, owner))
            return block;
    }
    return NULL;
}

/* One that was never used, or whose taker was killed before he wrote for what he took it. */
static struct counter_block *take_fresh(struct counters *c, uint32_t space, uint64_t owner, uint32_t blocks)
{
    uint64_t self = own_word(c);

    for (uint32_t i = 1; i < blocks; i++) {
        struct counter_block *block = &c->area->block[i];
        uint64_t before = load_acquire(&block->owner);
        if (load_relaxed(&block->space) || !is_free(before, self))
            continue;
        use_blocks(c, i + 1);
        if (take_this(block, before, 0, space, owner))
            return block;
    }
    return NULL;
}

/* Looking whether a process lives costs some microseconds, so only a few are looked at while there are fresh blocks. */
static struct counter_block *take_block(struct counters *c, uint32_t space, uint32_t blocks, uint64_t owner)
{
    struct counter_block *block = take_over(c, space, owner, FEW_LOOKS);

    if (!block)
        block = take_fresh(c, space, owner, blocks);
    return block ? block : take_over(c, space, owner, UINT_MAX);
}

/* Where everybody counts of a namespace; that of none, the first block, where there is no room for another. */
static uint64_t *total_of(struct counters *c, uint32_t space)
{
    struct tally *tally = counters_tally(c, space);
    uint64_t *total = load_acquire(&tally->total);
    struct counter_block *block = NULL;

    if (total)
        return total;
    if (space == counters_nowhere(c)) {
        block = &c->area->block[0];
        use_blocks(c, 1);
        store_relaxed(&block->owner, COUNTER_EVERYBODY);
        store_release(&block->space, space + 1);
    }
    for (uint32_t i = 1, used = blocks_used(c); i < used && !block; i++)
        if (load_acquire(&c->area->block[i].owner) == COUNTER_EVERYBODY &&
            load_acquire(&c->area->block[i].space) == space + 1)
            block = &c->area->block[i];
    if (!block)
        block = take_block(c, space, c->blocks, COUNTER_EVERYBODY);
    if (!block)
        return total_of(c, counters_nowhere(c));
    store_release(&tally->total, block->count);
    return block->count;
}

/* ---- Counting ----------------------------------------------------------------------------------------------------- */

static struct seat *take_seat(struct counters *c, struct tally *tally, uint32_t space, uintptr_t self)
{
    uintptr_t first = COUNTER_HASH(self);

    for (uintptr_t i = 0; i < PROBES; i++) {
        uintptr_t at = (first + i) % COUNTER_SEATS;
        struct seat *seat = &tally->seat[at];
        uintptr_t owner = load_acquire(&seat->owner);
        struct counter_block *block;
        if (owner == self)
            return seat;
        if (owner || (load_relaxed(&tally->shares) % TRY_AGAIN) ||
            !__atomic_compare_exchange_n(&seat->owner, &owner, TAKEN, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        block = take_block(c, space, c->blocks - c->blocks / TOTALS_SHARE, own_word(c));
        if (!block) {
            store_release(&seat->owner, 0);
            return NULL;
        }
        for (int which = 0; which < COUNTERS; which++)
            store_relaxed(&tally->before[at][which], load_relaxed(&block->count[which]));
        store_release(&seat->count, block->count);
        store_release(&seat->owner, self);
        return seat;
    }
    return NULL;
}

void counters_add_first(struct counters *c, uint32_t space, enum counter which, uint64_t n)
{
    uintptr_t self = (uintptr_t)__builtin_thread_pointer();
    struct tally *tally = counters_tally(c, space);
    struct seat *seat = c->read_only || !c->wiped ? NULL : take_seat(c, tally, space, self);

    store_relaxed(&c->used[space], 1);
    if (seat) {
        add_own(&seat->count[which], n);
        return;
    }
    __atomic_fetch_add(&tally->shared[which], n, __ATOMIC_RELAXED);
    __atomic_fetch_add(&tally->shares, 1, __ATOMIC_RELAXED);
    if (!c->read_only)
        __atomic_fetch_add(&total_of(c, space)[which], n, __ATOMIC_RELAXED);
}

static struct counter_block *block_of(uint64_t *count)
{
    return (struct counter_block *)(void *)((unsigned char *)count - offsetof(struct counter_block, count));
}

void counters_close(struct counters *c)
{
    if (!c->memory)
        return;
    for (uint32_t space = 0; space <= c->spaces; space++)
        for (int i = 0; i < COUNTER_SEATS && load_relaxed(&c->used[space]); i++)
            if (load_relaxed(&counters_tally(c, space)->seat[i].owner) > TAKEN)
                store_release(&block_of(counters_tally(c, space)->seat[i].count)->owner, 0);
    munmap(c->memory, c->bytes);
    c->memory = NULL;
}

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

void counters_own(const struct counters *c, uint64_t *count)
{
    memset(count, 0, COUNTERS * sizeof *count);
    for (uint32_t space = 0; space <= c->spaces; space++) {
        const struct tally *tally = counters_tally(c, space);
        if (!load_relaxed(&c->used[space]))
            continue;
        for (int which = 0; which < COUNTERS; which++)
            count[which] += load_relaxed(&tally->shared[which]);
        for (int i = 0; i < COUNTER_SEATS; i++)
            if (load_acquire(&tally->seat[i].owner) > TAKEN)
                for (int which = 0; which < COUNTERS; which++)
                    count[which] += load_relaxed(&tally->seat[i].count[which]) - load_relaxed(&tally->before[i][which]);
    }
}

static void add_up(const struct counter_block *block, uint64_t *count)
{
    for (int which = 0; which < COUNTERS; which++)
        count[which] += load_relaxed(&block->count[which]);
}

void counters_read(const struct counters *c, uint32_t space, uint64_t *count)
{
    memset(count, 0, COUNTERS * sizeof *count);
    for (uint32_t i = 0, used = blocks_used(c); i < used; i++)
        if (load_acquire(&c->area->block[i].space) == space + 1)
            add_up(&c->area->block[i], count);
}

void counters_read_all(const struct counters *c, uint64_t *count)
{
    memset(count, 0, COUNTERS * sizeof *count);
    for (uint32_t i = 0, used = blocks_used(c); i < used; i++)
        if (load_acquire(&c->area->block[i].space))
            add_up(&c->area->block[i], count);
}
