/*
 * Loads: one at a time for each key, never a stale fill, and an old value rather than a wait. SPDX-License-Identifier: MIT
 *
 *                                  begin
 *                                    |
 *                 fresh in L1?  -- yes -------------------------------------------------> HIT, NEGATIVE
 *                                    | no (an older one may be there: "stale")
 *                  takes the key's flight (l1/flights.c)
 *                  |                 |                   |                    |
 *                 LEAD           another's            failed lately        no room
 *                  |                 |                   |                    |
 *        stale? ---+--> STALE    stale? --> STALE     stale? --> STALE        |
 *                  |  and load       |                   | no                 |
 *            Redis has it?           |              Redis, or ELOAD           |
 *            yes: end, HIT        waits -- too long -------------------> BYPASS and load
 *                  | no              |
 *        (lease in Redis: lease.c) ended: stored -> looks again -> HIT;  not stored -> BYPASS;  failed -> STALE or ELOAD;
 *                  |                 overtaken, or the leader is dead or late -> takes the flight ...
 *               LEAD and load
 *
 *      recheck: before a refresh: Redis has a fresh one -> end, HIT;  another host has the lease -> end, STALE;  else MISS: load
 *      commit:  stored unless overtaken (G3), flight ends "stored", "not stored" or "fenced", all who wait are woken   (load_end.c)
 *      abort:   flight ends "failed": nobody tries for load_backoff_ms, old values are served for so long as grace lasts
 *
 * Of those who wait for a leader that is late one leads anew, and the others wait for him. So nobody loads besides, but who has
 * waited for wait_ms in all; the default is long enough for one leader who does not come back.
 *
 * A load's stamp is taken before its source can be read: at begin, and, when Redis was asked, from the counter that was read
 * after the value was found missing, in the same round trip. That a store is refused costs the others another load; the
 * caller has his value all the same.
 *
 * Early refresh (XFetch: Vattani, Chierichetti, Lowenstein, VLDB 2015): a reader of a fresh value decides to refresh it with a
 * probability that rises towards its end, by how long its load took: now - load * beta * ln(random) >= end. Decided on
 * hits in L1 only (in Redis only where the namespace has no L1), so that there is one decision a read.
 */
#include "load.h"

#include "base/options.h"
#include "l1/hit.h"
#include "l1/hook.h"

#include <math.h>
#include <string.h>

/* What a begin goes on with. */
struct beginning {
    libcache_ns *ns;
    struct l1_key key;
    libcache_value *value;
    libcache_load *load;      /* made when first needed */
    uint64_t deadline;        /* for waiting; ns of CLOCK_MONOTONIC */
    uint64_t redis;           /* for Redis, between two waits: see coherence_deadline (G7) */
    uint64_t soft_ttl_ms;     /* as in struct remote_key */
    unsigned flags;
    int stale;                /* value holds an older one */
    int later;                /* Redis is asked later, for many keys at once */
    int looked;               /* Redis was asked before the flight was taken ... */
    uint32_t seen;            /* ... when this was to be seen of it (flight_seen) ... */
    libcache_stamp stamp;     /* ... with this stamp */
    int knows_why;            /* as far as L1 does */
    enum miss why;            /* with a miss */
};

/* ---- Making a load ------------------------------------------------------------------------------------------------ */

void load_starts(libcache_load *load)
{
    load->begun_ms = l1_now(&load->ns->cache->l1);
    load->begun_ns = measure_now();
}

static libcache_load *make_load(struct beginning *b)
{
    libcache_load *load = b->load;

    if (load)
        return load;
    load = memory_get(&b->ns->cache->allocator, sizeof *load + b->key.size);
    if (!load)
        return NULL;
    memset(load, 0, sizeof *load);
    load->ns = b->ns;
    load->key = b->key;
    memcpy(load + 1, b->key.data, b->key.size);
    load->key.data = load + 1;
    load->flags = b->flags;
    load_starts(load);
    load->soft_ttl_ms = b->soft_ttl_ms;
    b->load = load;
    return load;
}

/* The load is not needed: the value has come by another way. */
static void drop_load(struct beginning *b, enum flight_end how)
{
    if (b->load)
        load_drop(b->load, how, &b->redis);
    b->load = NULL;
}

/* From now on, whatever is invalidated overtakes the load. */
static void take_stamp(libcache_load *load, enum guard rule)
{
    load->stamped = (int)rule;
    l1_take_stamp(&load->ns->cache->l1, &load->key, &load->stamp);
}

/* ---- Looking ------------------------------------------------------------------------------------------------------ */

/* In L1, an entry within its grace included. HIT, NEGATIVE, STALE (b->stale is set), MISS, or an error of the value's memory. */
static int look_in_l1(struct beginning *b)
{
    int result = LIBCACHE_MISS;

    if (b->ns->tiers & LIBCACHE_TIER_L1)
        result = l1_get_any(&b->ns->cache->l1, &b->key, soft_ttl_of(b->ns, b->soft_ttl_ms), b->value, LIBCACHE_TIMES | L1_LATE);
    if (result == LIBCACHE_STALE)
        b->stale = 1;
    if (result == LIBCACHE_MISS && !b->knows_why && (b->ns->tiers & LIBCACHE_TIER_L1))
        b->why = l1_why(&b->ns->cache->l1, &b->key);
    b->knows_why = 1;
    return result;
}

/* In Redis. What is found is copied to L1. The load's stamp is taken on the way. */
static int look_in_redis(struct beginning *b)
{
    struct remote_key k = { .l1 = b->key, .value = b->value, .result = LIBCACHE_MISS, .why = b->why,
                            .stamp = b->load ? &b->load->stamp : &b->stamp, .soft_ttl_ms = b->soft_ttl_ms };
    libcache *cache = b->ns->cache;

    if (!cache->coherence || !(b->ns->tiers & LIBCACHE_TIER_L2) || (b->flags & LIBCACHE_SKIP_L2))
        return LIBCACHE_MISS;
    remote_get(b->ns, &k, 1, LIBCACHE_TIMES | L1_LATE, coherence_deadline(cache->coherence, &b->redis));
    b->why = k.why;
    if (k.result == LIBCACHE_STALE)
        b->stale = 1;
    return k.result;
}

/*
 * The same before a flight is taken, where L1 would not say anything: those who find something need not wait for each other. Who finds
 * nothing need not look again, unless a flight of the key has ended meanwhile.
 */
static int look_first(struct beginning *b)
{
    int result;

    b->looked = 1;
    b->seen = flight_seen(&b->ns->cache->l1, &b->key);
    l1_take_stamp(&b->ns->cache->l1, &b->key, &b->stamp);
    result = look_in_redis(b);
    hook(HOOK_LOOKED);
    return result;
}

/* For how long a fresh value, whose times are in *value, stays fresh. */
static uint64_t fresh_for(uint64_t soft_ttl_ms, const libcache_value *value)
{
    uint64_t left = value->ttl_left_ms;

    if (soft_ttl_ms && soft_ttl_ms > value->age_ms && soft_ttl_ms - value->age_ms < left)
        left = soft_ttl_ms - value->age_ms;
    return left;
}

#define AHEAD_MAX 36.75 /* -ln(random) is never more: 53 bits of it */

/* How many ms a reader looks ahead for each unit of -ln(random). */
static double early_scale(const libcache_ns *ns, const libcache_value *value)
{
    return (double)value->load_ms * (ns->policy.early_percent / 100.0);
}

int load_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    struct l1_key k;

    if (!key_ok(key, key_size))
        return LIBCACHE_MISS;
    k = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    if (l1_get_any(&ns->cache->l1, &k, ns->view.soft_ttl_ms, value, LIBCACHE_TIMES) != LIBCACHE_HIT ||
        early_scale(ns, value) * AHEAD_MAX >= (double)fresh_for(ns->view.soft_ttl_ms, value))
        return LIBCACHE_MISS;
    count_one(ns, COUNT_HIT);
    if (trace_is_on(&ns->cache->l1))
        trace_read(ns, key, key_size, LIBCACHE_HIT, value);
    return LIBCACHE_HIT;
}

/* XFetch, on a fresh value whose times are in *value. 0, or how far ahead this reader looks, and finds its end. */
static uint64_t refresh_early(libcache_ns *ns, uint64_t soft_ttl_ms, const libcache_value *value)
{
    double random, ahead;
    uint64_t left = fresh_for(soft_ttl_ms, value);

    if (!value->load_ms || left == LIBCACHE_FOREVER || early_scale(ns, value) * AHEAD_MAX < (double)left)
        return 0;
    random = (double)((cache_random(ns->cache) >> 11) + 1) / 9007199254740992.0; /* (0, 1] */
    ahead = early_scale(ns, value) * -log(random);
    return ahead >= (double)left ? (uint64_t)ahead + 1 : 0;
}

/* ---- Begin ------------------------------------------------------------------------------------------------------------- */

#define AGAIN 110 /* the flight is to be taken anew */

/* What a caller who may not load gets. */
static int stale_or(struct beginning *b, int otherwise)
{
    return b->stale ? LIBCACHE_STALE : otherwise;
}

/* Loads without a flight of its own. */
static int bypass(struct beginning *b)
{
    if (!make_load(b))
        return LIBCACHE_ENOMEM;
    b->load->leads = b->load->waits = 0;
    count_one(b->ns, COUNT_LOAD_BYPASS);
    take_stamp(b->load, GUARD_BYPASS_STAMP);
    return LIBCACHE_BYPASS;
}

int load_stop_waiting(libcache_load *load)
{
    struct beginning b = { .ns = load->ns, .key = load->key, .load = load };

    if (!load->wants_lease)
        return bypass(&b);
    load->wants_lease = 0; /* he leads on here: the others of this host wait for him */
    count_one(load->ns, COUNT_LOAD_BYPASS);
    flight_extend(&load->ns->cache->l1, &load->flight, load->ns->policy.load_timeout_ms);
    return LIBCACHE_BYPASS;
}

/* An event loop that waits for a lease is told of news. */
static void tell_loop(libcache_load *load)
{
    struct l1 *l1 = &load->ns->cache->l1;
    const struct waker *waker = &load->ns->cache->waker;

    if (waker->fd < 0)
        return;
    flight_tell(l1, &load->flight, waker->place);
    if (flight_nudges(l1, &load->flight) != load->nudges)
        wakers_wake(l1, UINT64_C(1) << waker->place); /* it came just now */
}

/* Waits for the lease until b->deadline. LEAD, WAIT (in vain), AGAIN (another leads here), or what another host has stored. */
static int wait_for_lease(struct beginning *b)
{
    int result = LIBCACHE_WAIT;

    while (result == LIBCACHE_WAIT && lease_wait(b->ns, &b->load, b->value, &result, 1, b->deadline, &b->redis))
        ;
    if (result != LIBCACHE_WAIT || b->load->wants_lease)
        return result;
    b->load->waits = 0;
    return AGAIN;
}

/* Our host has nothing: the lease of all hosts. */
static int take_lease(struct beginning *b)
{
    int result = LIBCACHE_LEAD;

    load_ask(b->ns, &b->load, b->value, &result, 1, &b->redis);
    if (result == LIBCACHE_WAIT && (b->flags & LIBCACHE_NO_BLOCK)) {
        tell_loop(b->load);
        return result;
    }
    if (result == LIBCACHE_WAIT)
        result = wait_for_lease(b);
    return result == LIBCACHE_WAIT ? load_stop_waiting(b->load) : result;
}

static int refresh_is_ours(struct beginning *b)
{
    b->load->refreshes = 1;
    count_one(b->ns, COUNT_REFRESH);
    return LIBCACHE_STALE;
}

/* The flight is ours. */
static int lead(struct beginning *b)
{
    int result = LIBCACHE_MISS;

    take_stamp(b->load, b->stale || b->flags & LIBCACHE_REFRESH ? GUARD_REFRESH_STAMP : b->later ? GUARD_BATCH_STAMP : GUARD_LEAD_STAMP);
    if (b->flags & LIBCACHE_REFRESH)
        return LIBCACHE_LEAD;
    if (b->stale && !b->looked) /* whoever refreshes looks at Redis first: not in the way of this read */
        return refresh_is_ours(b);
    if (b->looked && b->load->flight.before == b->seen) {
        b->load->stamp = b->stamp;
        result = b->stale ? LIBCACHE_STALE : LIBCACHE_MISS;
        b->load->asked = 1;
    } else {
        b->stale = 0;
        result = look_in_l1(b); /* another flight may just have ended */
        if (result == LIBCACHE_MISS && !b->later) {
            result = look_in_redis(b);
            b->load->asked = 1;
        }
    }
    b->looked = 0;
    if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE || result < 0) {
        drop_load(b, FLIGHT_STORED);
        return result;
    }
    if (result == LIBCACHE_STALE)
        return refresh_is_ours(b);
    return b->later || !lease_wanted(b->ns, b->flags) ? LIBCACHE_LEAD : take_lease(b);
}

/* Somebody else's flight has ended, or its leader is gone. */
static int landed(struct beginning *b, enum flight_end how)
{
    int result;

    switch (how) {
    case FLIGHT_FENCED:
        b->why = MISS_FENCED;
        return AGAIN;
    case FLIGHT_FAILED:
        return stale_or(b, LIBCACHE_ELOAD);
    case FLIGHT_NOT_STORED:
        return bypass(b);
    case FLIGHT_STORED:
        result = look_in_l1(b);
        if (result == LIBCACHE_MISS)
            result = look_in_redis(b);
        if (result == LIBCACHE_MISS)
            return AGAIN;
        return result;
    default:
        return AGAIN;
    }
}

static int wait_for(struct beginning *b, const struct flight_ref *flight)
{
    struct operation wait = measure(b->ns->cache, "wait", b->ns, b->key.data, b->key.size);
    enum flight_end how;
    int ended;

    count_one(b->ns, COUNT_LOAD_WAIT);
    b->looked = 0;
    ended = flight_wait(&b->ns->cache->l1, flight, b->deadline, &how);
    measure_time(&wait, ended ? LIBCACHE_OK : LIBCACHE_WAIT, LIBCACHE_TIME_WAIT);
    if (!ended)
        return bypass(b);
    b->redis = 0;
    return landed(b, how);
}

/* L1 has nothing fresh. */
static int begin_flight(struct beginning *b)
{
    struct l1 *l1 = &b->ns->cache->l1;
    struct flight_ref flight;
    int result = AGAIN;

    while (result == AGAIN) {
        if (!make_load(b)) /* before the flight is taken, not after */
            return LIBCACHE_ENOMEM;
        switch (flight_begin(l1, &b->key, b->ns->policy.load_timeout_ms, b->stale, &flight)) {
        case FLIGHT_LEAD:
            b->load->leads = 1;
            b->load->flight = flight;
            result = lead(b);
            continue;
        case FLIGHT_WAIT:
            if (b->stale) {
                result = LIBCACHE_STALE;
            } else if (b->flags & LIBCACHE_NO_BLOCK) {
                count_one(b->ns, COUNT_LOAD_WAIT);
                b->load->waits = 1;
                b->load->flight = flight;
                if (b->ns->cache->waker.fd >= 0 && !flight_tell(l1, &flight, b->ns->cache->waker.place))
                    wakers_wake(l1, UINT64_C(1) << b->ns->cache->waker.place); /* it ended just now: look at once */
                return LIBCACHE_WAIT;
            } else {
                result = wait_for(b, &flight);
            }
            break;
        case FLIGHT_BACKOFF:
            result = b->stale ? LIBCACHE_STALE : b->looked || b->later ? LIBCACHE_MISS : look_in_redis(b);
            if (result == LIBCACHE_MISS) /* nor has another host succeeded */
                result = LIBCACHE_ELOAD;
            break;
        default:
            result = b->stale ? LIBCACHE_STALE : b->looked || b->later ? LIBCACHE_MISS : look_in_redis(b);
            if (result == LIBCACHE_MISS)
                result = bypass(b);
            break;
        }
        if (result != AGAIN && result != LIBCACHE_BYPASS)
            drop_load(b, FLIGHT_FENCED);
    }
    return result;
}

/* What a load that waits goes on with. */
static struct beginning resume(libcache_load *load, libcache_value *value)
{
    return (struct beginning){ .ns = load->ns, .key = load->key, .value = value, .load = load, .flags = load->flags,
                               .soft_ttl_ms = load->soft_ttl_ms };
}

int load_rejoin(libcache_load **load, libcache_value *value)
{
    struct beginning b = resume(*load, value);
    int result;

    b.flags |= LIBCACHE_NO_BLOCK;
    b.later = 1;
    b.load->leads = b.load->wants_lease = 0;
    b.load->lease_owner[0] = '\0';
    result = begin_flight(&b);
    *load = b.load;
    return result;
}

static int read_load_options(const libcache_load_options *given, libcache_ns *ns, struct beginning *b)
{
    libcache_load_options o;

    memset(&o, 0, sizeof o);
    if (given && (!options_read(&o, sizeof o, given) ||
                  (o.flags & ~(unsigned)(LIBCACHE_NO_BLOCK | LIBCACHE_REFRESH | LIBCACHE_SKIP_L2))))
        return LIBCACHE_EINVAL;
    if (o.soft_ttl_ms > LIBCACHE_TTL_MAX_MS)
        return LIBCACHE_EINVAL;
    b->flags = o.flags;
    b->soft_ttl_ms = o.soft_ttl_ms;
    b->deadline = deadline_after_ms(load_wait_ms(ns, o.wait_ms));
    return LIBCACHE_OK;
}

/* The steps of a begin for a key that is checked. */
static int begin(struct beginning *b)
{
    int result = LIBCACHE_MISS;

    if (b->ns->cache->listens_on_calls && !b->later && !(b->flags & LIBCACHE_SKIP_L2))
        coherence_look(b->ns->cache->coherence, &b->redis);
    if (!(b->flags & LIBCACHE_REFRESH)) {
        result = look_in_l1(b);
        if (result == LIBCACHE_MISS && !(b->ns->tiers & LIBCACHE_TIER_L1) && !b->later)
            result = look_first(b);
        if (result == LIBCACHE_NEGATIVE || result < 0)
            return result;
        if (result == LIBCACHE_HIT) {
            struct flight_ref flight;
            uint64_t early_ms = b->ns->policy.early_percent ? refresh_early(b->ns, soft_ttl_of(b->ns, b->soft_ttl_ms), b->value) : 0;
            if (!early_ms || !make_load(b))
                return result;
            if (flight_begin(&b->ns->cache->l1, &b->key, b->ns->policy.load_timeout_ms, 1, &flight) == FLIGHT_LEAD) {
                b->load->leads = 1;
                b->load->flight = flight;
                b->load->early_ms = early_ms;
                b->load->refreshes = 1;
                take_stamp(b->load, GUARD_REFRESH_STAMP);
                count_one(b->ns, COUNT_REFRESH);
            } else {
                drop_load(b, FLIGHT_FENCED);
            }
            return result;
        }
    }
    return begin_flight(b);
}

static int check_begin(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value)
{
    if (!ns || !value)
        return LIBCACHE_EINVAL;
    if (may_write(ns->cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    return key_ok(key, key_size) ? LIBCACHE_OK : LIBCACHE_EKEY;
}

void count_begun(libcache_ns *ns, libcache_slice key, int result, const libcache_value *value, enum miss why)
{
    int found = result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE;

    count_read(ns, found ? result : LIBCACHE_MISS, found ? value->tier : 0, why);
    if (trace_is_on(&ns->cache->l1))
        trace_read(ns, key.data, key.size, found ? result : LIBCACHE_MISS, value);
}

int load_begin(libcache_load **load, libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
               const libcache_load_options *options, uint64_t *redis)
{
    struct beginning b;
    int result = check_begin(ns, key, key_size, value);

    if (!load)
        return LIBCACHE_EINVAL;
    if (result != LIBCACHE_OK)
        return result;
    memset(&b, 0, sizeof b);
    result = read_load_options(options, ns, &b);
    if (result != LIBCACHE_OK)
        return result;
    b.ns = ns;
    b.value = value;
    b.key = l1_key_of(&ns->cache->l1, ns->id, key, key_size);
    b.redis = *redis;
    result = begin(&b);
    *redis = b.redis;
    count_begun(ns, (libcache_slice){ key, key_size }, result, value, b.why);
    if (b.load && result != LIBCACHE_WAIT)
        load_starts(b.load);
    *load = b.load;
    return result;
}

int libcache_load_begin(libcache_load **load, libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                        const libcache_load_options *options)
{
    uint64_t redis = 0;

    return load_begin(load, ns, key, key_size, value, options, &redis);
}

void load_begin_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                     const libcache_load_options *options, libcache_load **loads)
{
    struct beginning b;

    for (size_t i = 0; i < n; i++) {
        loads[i] = NULL;
        results[i] = check_begin(ns, keys[i].data, keys[i].size, &values[i]);
        if (results[i] != LIBCACHE_OK)
            continue;
        memset(&b, 0, sizeof b);
        results[i] = read_load_options(options, ns, &b);
        if (results[i] != LIBCACHE_OK)
            continue;
        b.flags |= LIBCACHE_NO_BLOCK;
        b.later = 1;
        b.ns = ns;
        b.value = &values[i];
        b.key = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size);
        results[i] = begin(&b);
        loads[i] = b.load;
        if (b.load)
            b.load->why = b.why;
    }
}

int libcache_load_wait(libcache_load **load, libcache_value *value, unsigned wait_ms)
{
    struct beginning b;
    enum flight_end how;
    int result;

    if (!load || !*load || !value || (!(*load)->waits && !(*load)->wants_lease))
        return LIBCACHE_EINVAL;
    b = resume(*load, value);
    b.deadline = deadline_after_ms(wait_ms);
    if (b.load->wants_lease) {
        result = wait_for_lease(&b);
        if (result == LIBCACHE_WAIT)
            tell_loop(b.load);
    } else {
        if (!flight_wait(&b.ns->cache->l1, &b.load->flight, b.deadline, &how))
            return LIBCACHE_WAIT;
        b.load->waits = 0;
        result = landed(&b, how);
        if (result != AGAIN && result != LIBCACHE_BYPASS)
            drop_load(&b, FLIGHT_FENCED);
    }
    if (result == AGAIN)
        result = begin_flight(&b);
    if (b.load && result != LIBCACHE_WAIT)
        load_starts(b.load);
    *load = b.load;
    return result;
}

int libcache_load_fd(libcache *cache)
{
    int result;

    if (!cache)
        return LIBCACHE_EINVAL;
    if (may_write(cache) != LIBCACHE_OK)
        return LIBCACHE_EACCESS;
    result = waker_open(&cache->l1, &cache->waker, cache_random(cache));
    return result == LIBCACHE_OK ? cache->waker.fd : result;
}

void libcache_load_drain(libcache *cache)
{
    if (cache)
        waker_drain(&cache->waker);
}

int load_recheck(libcache_load *load, libcache_value *value, uint64_t *redis)
{
    libcache_ns *ns = load->ns;
    libcache_value own = LIBCACHE_VALUE_INIT;
    int result = load->refreshes ? LIBCACHE_STALE : LIBCACHE_LEAD, before = load->refreshes;

    if (load->flags & LIBCACHE_SKIP_L2)
        return LIBCACHE_MISS;
    load->refreshes = 1; /* what is not fresh is not wanted, and nothing is waited for */
    load_ask(ns, &load, value ? value : &own, &result, 1, redis);
    libcache_release_value(&own);
    if (load) {
        load->refreshes = before;
        return LIBCACHE_MISS;
    }
    return result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE ? result : LIBCACHE_STALE;
}

int libcache_load_recheck(libcache_load *load, libcache_value *value)
{
    uint64_t redis = 0;

    return load && !load->waits && !load->wants_lease ? load_recheck(load, value, &redis) : LIBCACHE_EINVAL;
}
