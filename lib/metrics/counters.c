/* SPDX-License-Identifier: MIT */
#include "metrics/counters.h"

#define PROBES 8

struct counter_block *counters_claim(struct counters *counters, uintptr_t self)
{
    uintptr_t first = COUNTER_HASH(self);

    for (uintptr_t i = 0; i < PROBES; i++) {
        struct counter_block *block = &counters->block[(first + i) % COUNTER_BLOCKS];
        uintptr_t owner = load_acquire(&block->owner);
        if (owner == self)
            return block;
        if (owner == 0 && __atomic_compare_exchange_n(&block->owner, &owner, self, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return block;
    }
    return NULL;
}

int counters_add_first(struct counters *counters, enum counter which, int result)
{
    counters_add(counters, which, 1);
    return result;
}

uint64_t counters_sum(const struct counters *counters, enum counter which)
{
    uint64_t sum = load_relaxed(&counters->shared[which]);

    for (int i = 0; i < COUNTER_BLOCKS; i++)
        sum += load_relaxed(&counters->block[i].count[which]);
    return sum;
}
