/*
 * SPDX-License-Identifier: MIT
 *
 * Closed, `opened` is 0 and only `failures` moves. Open, `opened` counts the openings in a row, and its top bit says
 * that a probe is under way. The right to probe is a compare-and-swap of retry_at_ms: whoever moves it on by probe_ms
 * is the one. If that process dies, the next claim succeeds probe_ms later; there is nothing to clean up.
 *
 * Only the probe's failure doubles the backoff. When the breaker opens, other calls are still waiting for the same dead
 * server; their failures arrive without the bit and change nothing. Any success closes it: it is news of a live server,
 * whoever brings it.
 *
 * The words are written one after the other, and a process may die between them. The order makes each such state one
 * that heals: opened is set before retry_at_ms, so an opener that dies leaves a breaker that lets a probe through at
 * once.
 */
#include "l2/breaker.h"

#include "base/platform.h"

#define PROBING 0x80000000u
#define EXPONENT_MAX 31u

static int claim(uint64_t *word, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static int change(uint32_t *word, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int breaker_allows(struct breaker *breaker, const struct breaker_limits *limits, uint64_t now_ms)
{
    uint64_t retry_at;

    if (likely(load_acquire(&breaker->opened) == 0))
        return 1;
    retry_at = load_acquire(&breaker->retry_at_ms);
    if (now_ms < retry_at || !claim(&breaker->retry_at_ms, retry_at, now_ms + limits->probe_ms))
        return 0;
    /* Closed meanwhile: no bit to set, and no need of one. */
    for (;;) {
        uint32_t opened = load_acquire(&breaker->opened);
        if (opened == 0 || (opened & PROBING) || change(&breaker->opened, opened, opened | PROBING))
            return 1;
    }
}

void breaker_success(struct breaker *breaker)
{
    /* Nothing is written while all goes well: the line stays shared by all cores. */
    if (load_relaxed(&breaker->failures))
        store_relaxed(&breaker->failures, 0);
    if (load_relaxed(&breaker->opened))
        store_release(&breaker->opened, 0);
}

/* Half of it is certain, half is chance, so that those who saw the same failure do not come back together. */
static uint64_t backoff_ms(const struct breaker_limits *limits, uint32_t opened, uint64_t random)
{
    uint64_t most = limits->backoff_ms;

    for (uint32_t i = 1; i < opened && most < limits->backoff_max_ms; i++)
        most *= 2;
    if (most > limits->backoff_max_ms)
        most = limits->backoff_max_ms;
    return most - random % (most / 2 + 1);
}

void breaker_failure(struct breaker *breaker, const struct breaker_limits *limits, uint64_t now_ms, uint64_t random)
{
    uint32_t opened = load_acquire(&breaker->opened);
    uint32_t times = opened & ~PROBING;

    if (opened == 0 && __atomic_add_fetch(&breaker->failures, 1, __ATOMIC_RELAXED) < limits->failures)
        return;
    if (opened != 0 && !(opened & PROBING))
        return;
    if (!change(&breaker->opened, opened, times < EXPONENT_MAX ? times + 1 : times))
        return; /* somebody else opened it, or closed it */
    store_release(&breaker->retry_at_ms, now_ms + backoff_ms(limits, times + 1, random));
    store_relaxed(&breaker->failures, 0);
    __atomic_add_fetch(&breaker->opens, 1, __ATOMIC_RELAXED);
}

int breaker_closed(const struct breaker *breaker)
{
    return load_acquire(&breaker->opened) == 0;
}
