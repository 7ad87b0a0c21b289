/*
 * What loads ask of Redis before they run: the value, and whether this host is the one to load it. SPDX-License-Identifier: MIT
 *
 *      load, leading on this host
 *        |
 *        +-- one exchange: lease?, GET, counter ----> a fresh value is there: the load has ended
 *        |                                            the lease is ours, or Redis cannot say: load
 *        |                                            it is another's, and there is an older value: that one is given out. For
 *        |                                                a while (LOAD_REST_MS) nobody of this host asks again on account of it
 *        |                                            it is another's, and there is nothing: wait --+
 *        |                                                                                          |
 *        +------------------------------------------- told through the log that it was given back --+
 *                                                     (or no news for a while), the same exchange again
 *
 * Who waits leads on this host all the while: all others of the host wait for him. When he has waited for long enough he loads
 * without the lease, still leading, so that a host whose neighbour is stuck loads once and not in a crowd.
 */
#include "load.h"

#include "l1/hook.h"

#include "l1/hit.h"

#include <string.h>

#define MS UINT64_C(1000000)
#define NEEDLESS_MAX 3

int lease_wanted(const libcache_ns *ns, unsigned flags)
{
    return ns->policy.load_lease == LIBCACHE_LEASE_REDIS && ns->cache->coherence && (ns->tiers & LIBCACHE_TIER_L2) &&
           !(flags & LIBCACHE_SKIP_L2);
}

/*
 * How long a host that has waited for another's lease waits on before it looks by itself: it is told when the lease is given back,
 * but news may be late. A 16th of what it has waited, so that it loses no more than that; 1 to 25 ms.
 */
static uint64_t look_again_after(uint64_t waited_ns)
{
    uint64_t ns = waited_ns / 16;

    return ns < MS ? MS : ns < 25 * MS ? ns : 25 * MS;
}

static void prepare_lease(libcache_load *load)
{
    struct l1 *l1 = &load->ns->cache->l1;

    if (!load->lease_owner[0]) {
        random_owner(load->ns->cache, load->lease_owner);
        flight_owner(l1, &load->flight, load->lease_owner);
    }
    load->nudges = flight_nudges(l1, &load->flight);
}

static void note_wait(libcache_load *load)
{
    uint64_t now = deadline_after_ms(0);

    load->wants_lease = 1;
    if (!load->since_ns)
        load->since_ns = now;
    load->look_ns = now + look_again_after(now - load->since_ns);
}

/* What an answer means for a load. */
static void conclude(libcache_load **at, const struct remote_key *k, int *result, uint64_t *redis)
{
    libcache_load *load = *at;
    int found = k->result != LIBCACHE_MISS && k->result != LIBCACHE_STALE, elsewhere = k->leased == L2_LEASE_ANOTHERS && !broken(GUARD_REDIS_LEASE);

    if (k->leased == L2_LEASE_NEEDLESS && k->result == LIBCACHE_STALE)
        elsewhere = 1; /* it has become stale since Redis looked, so nobody has the lease: not now */
    load->asked = 1;
    load->why = k->why;
    load->wants_lease = 0;
    load->leased |= k->leased == L2_LEASE_OURS;
    if (found && (k->result > 0 || !load->refreshes)) {
        *result = k->result;
    } else if (k->result == LIBCACHE_STALE && !load->refreshes) {
        *result = LIBCACHE_STALE;
        if (!elsewhere) {
            load->refreshes = 1;
            count_one(load->ns, COUNT_REFRESH);
        }
    } else if (!load->refreshes) {
        found = 0;
        if (elsewhere) {
            *result = LIBCACHE_WAIT;
            note_wait(load);
            return;
        }
        if (*result == LIBCACHE_WAIT)
            *result = LIBCACHE_LEAD;
    } else {
        found = 0;
    }
    if (found || elsewhere) {
        load_drop(load, found ? FLIGHT_STORED : FLIGHT_ELSEWHERE, redis);
        *at = NULL;
    }
}

/*
 * 1: Redis had a fresh value, so it gave no lease, and here it turned out to be invalidated: that happened in between. Asked again, Redis
 * knows it, too. It never will of a value that only we find no good, so there is an end to that.
 */
static int is_to_be_asked_again(libcache_load *load, const struct remote_key *k)
{
    return k->leased == L2_LEASE_NEEDLESS && k->result == LIBCACHE_MISS && !broken(GUARD_NEEDLESS) && load->needless++ < NEEDLESS_MAX;
}

/* again: only those of whom Redis said what was not true any more. */
static int is_asked(const libcache_load *load, int result, int again)
{
    return load && (again ? load->again : result != LIBCACHE_WAIT || load->wants_lease);
}

static void ask_those(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n, int again, uint64_t *redis);

static void ask(libcache_ns *ns, struct remote_key *k, libcache_load **loads, libcache_value *values, int *results, size_t n, int again,
                uint64_t *redis)
{
    size_t m = 0;
    int needless = 0;

    for (size_t i = 0; i < n; i++) {
        libcache_load *load = loads[i];
        if (!is_asked(load, results[i], again))
            continue;
        k[m] = (struct remote_key){ .l1 = load->key,
                                    .value = &values[i],
                                    .result = LIBCACHE_MISS,
                                    .why = load->why,
                                    .stamp = &load->stamp,
                                    .fresh_only = load->refreshes,
                                    .ahead_ms = load->early_ms,
                                    .soft_ttl_ms = load->soft_ttl_ms };
        if (load->leads && lease_wanted(ns, load->flags)) {
            prepare_lease(load);
            k[m].owner = load->lease_owner;
        }
        m++;
    }
    remote_get(ns, k, m, LIBCACHE_TIMES | L1_LATE, coherence_deadline(ns->cache->coherence, redis));
    m = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_asked(loads[i], results[i], again))
            continue;
        loads[i]->again = is_to_be_asked_again(loads[i], &k[m]);
        needless |= loads[i]->again;
        if (!loads[i]->again)
            conclude(&loads[i], &k[m], &results[i], redis);
        m++;
    }
    if (needless)
        ask_those(ns, loads, values, results, n, 1, redis);
}

static void ask_those(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n, int again, uint64_t *redis)
{
    struct remote_key one, *k = &one;
    size_t m = 0;

    for (size_t i = 0; i < n; i++)
        m += is_asked(loads[i], results[i], again);
    if (!m || !ns->cache->coherence || !(ns->tiers & LIBCACHE_TIER_L2))
        return;
    if (m > 1)
        k = memory_get(&ns->cache->allocator, m * sizeof *k);
    if (k)
        ask(ns, k, loads, values, results, n, again, redis);
    else
        for (size_t i = 0; i < n; i++)
            ask_those(ns, &loads[i], &values[i], &results[i], 1, again, redis);
    if (k != &one)
        memory_free(&ns->cache->allocator, k);
}

void load_ask(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n, uint64_t *redis)
{
    ask_those(ns, loads, values, results, n, 0, redis);
}

/* 1: it is time to ask for this lease. */
static int is_due(const libcache_load *load, uint64_t now)
{
    return now >= load->look_ns || flight_nudges(&load->ns->cache->l1, &load->flight) != load->nudges;
}

int lease_wait(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n,
               uint64_t deadline, uint64_t *redis)
{
    struct l1 *l1 = &ns->cache->l1;

    for (;;) {
        const libcache_load *first = NULL;
        uint64_t now = deadline_after_ms(0);
        int due = 0;
        for (size_t i = 0; i < n && !due; i++)
            if (loads[i] && loads[i]->wants_lease) {
                if (!first || loads[i]->look_ns < first->look_ns)
                    first = loads[i];
                due = is_due(loads[i], now);
            }
        if (due)
            break;
        if (!first || now >= deadline)
            return 0;
        flight_wait_nudge(l1, &first->flight, first->nudges, first->look_ns < deadline ? first->look_ns : deadline);
    }
    *redis = 0; /* the time that was waited is not Redis's */
    for (size_t i = 0; i < n; i++)
        if (loads[i] && loads[i]->wants_lease && !flight_extend(l1, &loads[i]->flight, ns->policy.load_timeout_ms)) {
            results[i] = load_rejoin(&loads[i], &values[i]); /* nobody asked for so long that another leads, or has led */
            if (results[i] == LIBCACHE_LEAD) {
                loads[i]->wants_lease = 1;
                results[i] = LIBCACHE_WAIT;
            }
        }
    load_ask(ns, loads, values, results, n, redis);
    return 1;
}
