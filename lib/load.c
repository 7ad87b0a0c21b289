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
 *            Redis has it?           |                 ELOAD                  |
 *            yes: end, HIT        waits -- too long -------------------> BYPASS and load
 *                  | no              |
 *          (lease in Redis?)     ended: stored -> looks again -> HIT;  not stored -> BYPASS;  failed -> STALE or ELOAD;
 *                  |                 overtaken, or the leader is dead -> takes the flight ...
 *               LEAD and load
 *
 *      commit:  stored unless overtaken (G3), flight ends "stored", "not stored" or "fenced", all who wait are woken
 *      abort:   flight ends "failed": nobody tries for load_backoff_ms, old values are served for so long as grace lasts
 *
 * A load's stamp is taken before its source can be read: at begin, and, when Redis was asked, from the counter that was read
 * after the value was found missing, in the same round trip. That a store is refused costs the others another load; the
 * caller has his value all the same.
 *
 * Early refresh (XFetch: Vattani, Chierichetti, Lowenstein, VLDB 2015): a reader of a fresh value decides to refresh it with a
 * probability that rises towards its end, by how long its load took: now - load * beta * ln(random) >= end. Decided on
 * hits in L1 only (in Redis only where the namespace has no L1), so that there is one decision a read.
 */
#include "cache.h"

#include "base/options.h"
#include "l1/flights.h"
#include "l1/hit.h"
#include "l1/hook.h"

#include <math.h>
#include <string.h>

struct libcache_load {
    libcache_ns *ns;
    struct l1_key key;        /* its bytes follow this struct */
    libcache_stamp stamp;
    struct flight_ref flight;
    int leads, waits;         /* of the flight; neither: a bypass */
    int leased;               /* holds the lease in Redis */
    char lease_owner[L2_OWNER_BYTES];
    uint64_t begun_ms;
    uint64_t begun_ns;        /* the same in real time */
    uint64_t early_ms;        /* an early refresh: it is for who looks so far ahead */
    unsigned flags;
    int stamped;              /* enum guard: by which rule the stamp was taken */
};

/* What a begin goes on with. */
struct beginning {
    libcache_ns *ns;
    struct l1_key key;
    libcache_value *value;
    libcache_load *load;      /* made when first needed */
    uint64_t deadline;        /* for waiting; ns of CLOCK_MONOTONIC */
    uint64_t redis;           /* for Redis, between two waits: see coherence_deadline (G7) */
    unsigned flags;
    int stale;                /* value holds an older one */
    int later;                /* Redis is asked later, for many keys at once */
    int knows_why;            /* as far as L1 does */
    enum miss why;            /* with a miss */
};

/* ---- Making and ending a load ----------------------------------------------------------------------------------- */

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
    load->begun_ms = l1_now(&b->ns->cache->l1);
    load->begun_ns = measure_now();
    load->flags = b->flags;
    b->load = load;
    return load;
}

static void free_load(libcache_load *load)
{
    memory_free(&load->ns->cache->allocator, load);
}

static void give_back_lease(libcache_load *load, uint64_t deadline)
{
    libcache *cache = load->ns->cache;
    const struct l2_lock lease = { { space_slice(load->ns), { load->key.data, load->key.size } }, 1, load->lease_owner, 0 };
    struct l2_lock_state state;
    struct asked asked;
    libcache_stamp at;

    if (!load->leased)
        return;
    load->leased = 0;
    asked = coherence_ask(cache->coherence);
    if (l2_lock(coherence_l2(cache->coherence), &lease, L2_LOCK_FREE, &state, deadline) == LIBCACHE_OK)
        coherence_learn(cache->coherence, &state.now, &asked, 0, &at);
}

/* Who waits here need not wait for Redis to hear of it; but who loads anew would have to wait for the lease. */
static void end_load_by(libcache_load *load, enum flight_end how, uint64_t deadline)
{
    struct l1 *l1 = &load->ns->cache->l1;
    enum flight_end then;

    if (load->leased && flight_ended(l1, &load->flight, &then))
        load->leased = 0; /* late: somebody of this host may have taken it over, in the same name (flight_owner) */
    if (how == FLIGHT_FENCED)
        give_back_lease(load, deadline);
    if (load->leads)
        flight_end(l1, &load->flight, how, how == FLIGHT_FAILED ? load->ns->policy.load_backoff_ms : 0);
    give_back_lease(load, deadline);
    free_load(load);
}

static void end_load(libcache_load *load, enum flight_end how)
{
    end_load_by(load, how, deadline_after_ms(load->ns->cache->timeout_ms));
}

/* The load is not needed: the value has come by another way. */
static void drop_load(struct beginning *b, enum flight_end how)
{
    if (b->load)
        end_load(b->load, how);
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
        result = l1_get_any(&b->ns->cache->l1, &b->key, b->ns->view.soft_ttl_ms, b->value, LIBCACHE_TIMES | L1_LATE);
    if (result == LIBCACHE_STALE)
        b->stale = 1;
    if (result == LIBCACHE_MISS && !b->knows_why && (b->ns->tiers & LIBCACHE_TIER_L1))
        b->why = l1_why(&b->ns->cache->l1, &b->key);
    b->knows_why = 1;
    return result;
}

/* In Redis. What is found is copied to L1. The load's stamp is taken on the way. */
static int look_in_redis(struct beginning *b, unsigned flags)
{
    struct remote_key k = { .l1 = b->key, .value = b->value, .result = LIBCACHE_MISS, .why = b->why,
                            .stamp = b->load ? &b->load->stamp : NULL };
    libcache *cache = b->ns->cache;

    if (!cache->coherence || !(b->ns->tiers & LIBCACHE_TIER_L2) || (b->flags & LIBCACHE_SKIP_L2))
        return LIBCACHE_MISS;
    remote_get(b->ns, &k, 1, flags | LIBCACHE_TIMES | L1_LATE, coherence_deadline(cache->coherence, &b->redis));
    b->why = k.why;
    if (k.result == LIBCACHE_STALE)
        b->stale = 1;
    return k.result;
}

/* For how long a fresh value, whose times are in *value, stays fresh. */
static uint64_t fresh_for(const libcache_ns *ns, const libcache_value *value)
{
    uint64_t left = value->ttl_left_ms;

    if (ns->view.soft_ttl_ms && ns->view.soft_ttl_ms > value->age_ms && ns->view.soft_ttl_ms - value->age_ms < left)
        left = ns->view.soft_ttl_ms - value->age_ms;
    return left;
}

/* XFetch, on a fresh value whose times are in *value. 0, or how far ahead this reader looks, and finds its end. */
static uint64_t refresh_early(libcache_ns *ns, const libcache_value *value)
{
    double random, ahead;
    uint64_t left = fresh_for(ns, value);

    if (!value->load_ms || left == LIBCACHE_FOREVER)
        return 0;
    random = (double)((cache_random(ns->cache) >> 11) + 1) / 9007199254740992.0; /* (0, 1] */
    ahead = (double)value->load_ms * (ns->policy.early_percent / 100.0) * -log(random);
    return ahead >= (double)left ? (uint64_t)ahead + 1 : 0;
}

/* ---- The lease in Redis --------------------------------------------------------------------------------------------- */

#define MS UINT64_C(1000000)

/*
 * How long a host that has waited for another's lease waits on before it looks by itself: it is told when the lease is given back,
 * but news may be late. A 16th of what it has waited, so that it loses no more than that; 1 to 25 ms.
 */
static uint64_t look_again_after(uint64_t waited_ns)
{
    uint64_t ns = waited_ns / 16;

    return ns < MS ? MS : ns < 25 * MS ? ns : 25 * MS;
}

/*
 * Our host's load asks for the lease of all hosts. LEAD: it has it, or Redis cannot say; MISS: the deadline has passed; else
 * another host has stored a value meanwhile, and it is that.
 */
static int take_lease(struct beginning *b)
{
    libcache *cache = b->ns->cache;
    const struct l2_lock lease = { { space_slice(b->ns), { b->key.data, b->key.size } }, 1, b->load->lease_owner,
                                   b->ns->policy.load_timeout_ms };

    uint64_t begun = deadline_after_ms(0);

    random_owner(cache, b->load->lease_owner);
    flight_owner(&cache->l1, &b->load->flight, b->load->lease_owner);
    for (;;) {
        uint32_t seen = flight_nudges(&cache->l1, &b->load->flight);
        struct l2_lock_state state;
        uint64_t now, until;
        int result = l2_lock(coherence_l2(cache->coherence), &lease, L2_LOCK_TAKE, &state,
                             coherence_deadline(cache->coherence, &b->redis));
        if (broken(GUARD_REDIS_LEASE) && result == LIBCACHE_EXISTS)
            result = LIBCACHE_OK;
        if (result != LIBCACHE_EXISTS) {
            b->load->leased = result == LIBCACHE_OK;
            if (result != LIBCACHE_OK) {
                count_one(b->ns, COUNT_L2_ERROR);
                return LIBCACHE_LEAD;
            }
            /* Whoever had it before us may have stored between our look and our lease. */
            result = look_in_redis(b, 0);
            return result == LIBCACHE_MISS || result == LIBCACHE_STALE ? LIBCACHE_LEAD : result;
        }
        now = deadline_after_ms(0);
        if (now >= b->deadline)
            return LIBCACHE_MISS;
        until = now + look_again_after(now - begun);
        flight_extend(&cache->l1, &b->load->flight, lease.ttl_ms);
        flight_wait_nudge(&cache->l1, &b->load->flight, seen, until < b->deadline ? until : b->deadline);
        b->redis = 0;
        result = look_in_redis(b, 0);
        if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE)
            return result;
    }
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

/* The flight is ours. */
static int lead(struct beginning *b)
{
    int result;

    take_stamp(b->load, b->stale || b->flags & LIBCACHE_REFRESH ? GUARD_REFRESH_STAMP : b->later ? GUARD_BATCH_STAMP : GUARD_LEAD_STAMP);
    if (b->flags & LIBCACHE_REFRESH)
        return LIBCACHE_LEAD;
    if (b->stale) { /* whoever refreshes looks at Redis first: not in the way of this read */
        count_one(b->ns, COUNT_REFRESH);
        return LIBCACHE_STALE;
    }
    result = look_in_l1(b); /* another flight may just have ended */
    if (result == LIBCACHE_MISS && !b->later)
        result = look_in_redis(b, 0);
    if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE || result < 0) {
        drop_load(b, FLIGHT_STORED);
        return result;
    }
    if (result == LIBCACHE_STALE) {
        count_one(b->ns, COUNT_REFRESH);
        return result;
    }
    if (b->later || b->ns->policy.load_lease != LIBCACHE_LEASE_REDIS || !b->ns->cache->coherence ||
        !(b->ns->tiers & LIBCACHE_TIER_L2) || (b->flags & LIBCACHE_SKIP_L2))
        return LIBCACHE_LEAD;
    result = take_lease(b);
    if (result == LIBCACHE_LEAD)
        return result;
    if (result == LIBCACHE_MISS) { /* the other host takes too long */
        flight_end(&b->ns->cache->l1, &b->load->flight, FLIGHT_NOT_STORED, 0);
        return bypass(b);
    }
    drop_load(b, FLIGHT_STORED);
    return result;
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
            result = look_in_redis(b, 0);
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
        switch (flight_begin(l1, &b->key, b->ns->policy.load_timeout_ms, &flight)) {
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
            result = stale_or(b, LIBCACHE_ELOAD);
            break;
        default:
            if (b->stale)
                result = LIBCACHE_STALE;
            else if ((result = look_in_redis(b, 0)) == LIBCACHE_MISS)
                result = bypass(b);
            break;
        }
        if (result != AGAIN && result != LIBCACHE_BYPASS)
            drop_load(b, FLIGHT_FENCED);
    }
    return result;
}

static int read_load_options(const libcache_load_options *given, libcache_ns *ns, struct beginning *b)
{
    libcache_load_options o;

    memset(&o, 0, sizeof o);
    if (given && (!options_read(&o, sizeof o, given) ||
                  (o.flags & ~(unsigned)(LIBCACHE_NO_BLOCK | LIBCACHE_REFRESH | LIBCACHE_SKIP_L2))))
        return LIBCACHE_EINVAL;
    b->flags = o.flags;
    b->deadline = deadline_after_ms(o.wait_ms ? o.wait_ms : ns->policy.load_timeout_ms);
    return LIBCACHE_OK;
}

/* The steps of a begin for a key that is checked. */
static int begin(struct beginning *b)
{
    int result = LIBCACHE_MISS;

    if (!(b->flags & LIBCACHE_REFRESH)) {
        result = look_in_l1(b);
        if (result == LIBCACHE_MISS && !(b->ns->tiers & LIBCACHE_TIER_L1) && !b->later)
            result = look_in_redis(b, 0);
        if (result == LIBCACHE_NEGATIVE || result < 0)
            return result;
        if (result == LIBCACHE_HIT) {
            struct flight_ref flight;
            uint64_t early_ms = b->ns->policy.early_percent ? refresh_early(b->ns, b->value) : 0;
            if (!early_ms || !make_load(b))
                return result;
            if (flight_begin(&b->ns->cache->l1, &b->key, b->ns->policy.load_timeout_ms, &flight) == FLIGHT_LEAD) {
                b->load->leads = 1;
                b->load->flight = flight;
                b->load->early_ms = early_ms;
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

/* Whatever is not given out now is a miss. */
static void count_begun(const struct beginning *b, int result)
{
    int found = result == LIBCACHE_HIT || result == LIBCACHE_STALE || result == LIBCACHE_NEGATIVE;

    count_read(b->ns, found ? result : LIBCACHE_MISS, found ? b->value->tier : 0, b->why);
}

int libcache_load_begin(libcache_load **load, libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
                        const libcache_load_options *options)
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
    result = begin(&b);
    count_begun(&b, result);
    *load = b.load;
    return result;
}

/* Keys whose flight is ours, asked of Redis in one round trip. */
static int many_in_redis(libcache_ns *ns, size_t n, struct beginning *b, int *results)
{
    struct remote_key *k = memory_get(&ns->cache->allocator, n * sizeof *k);
    size_t m = 0;

    if (!k)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (results[i] == LIBCACHE_LEAD || results[i] == LIBCACHE_BYPASS)
            k[m++] = (struct remote_key){ .l1 = b[i].key, .value = b[i].value, .result = LIBCACHE_MISS, .why = b[i].why,
                                          .stamp = &b[i].load->stamp };
    if (m)
        remote_get(ns, k, m, LIBCACHE_TIMES | L1_LATE, 0);
    for (size_t i = 0, at = 0; i < n; i++) {
        if (results[i] != LIBCACHE_LEAD && results[i] != LIBCACHE_BYPASS)
            continue;
        if (k[at].result == LIBCACHE_HIT || k[at].result == LIBCACHE_NEGATIVE)
            drop_load(&b[i], FLIGHT_STORED);
        if (k[at].result != LIBCACHE_MISS)
            results[i] = k[at].result;
        b[i].why = k[at].why;
        at++;
    }
    memory_free(&ns->cache->allocator, k);
    return LIBCACHE_OK;
}

int begin_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
               const libcache_load_options *options, libcache_load **loads, size_t stride)
{
    struct beginning *b = memory_zero(&ns->cache->allocator, n * sizeof *b);
    size_t asked = 0;
    int result = LIBCACHE_OK;

    if (!b)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        results[i] = check_begin(ns, keys[i].data, keys[i].size, &values[i]);
        if (results[i] != LIBCACHE_OK)
            continue;
        read_load_options(options, ns, &b[i]);
        b[i].flags |= LIBCACHE_NO_BLOCK;
        b[i].later = 1;
        b[i].ns = ns;
        b[i].value = &values[i];
        b[i].key = l1_key_of(&ns->cache->l1, ns->id, keys[i].data, keys[i].size);
        results[i] = begin(&b[i]);
        asked += results[i] == LIBCACHE_LEAD || results[i] == LIBCACHE_BYPASS;
    }
    if (asked && ns->cache->coherence && (ns->tiers & LIBCACHE_TIER_L2) &&
        !(options->flags & (LIBCACHE_SKIP_L2 | LIBCACHE_REFRESH)))
        result = many_in_redis(ns, n, b, results);
    for (size_t i = 0; i < n; i++) {
        *(libcache_load **)(void *)((char *)loads + i * stride) = b[i].load;
        if (results[i] > 0)
            count_begun(&b[i], results[i]);
    }
    memory_free(&ns->cache->allocator, b);
    return result;
}

int libcache_load_wait(libcache_load **load, libcache_value *value, unsigned wait_ms)
{
    struct beginning b;
    enum flight_end how;
    int result;

    if (!load || !*load || !value || !(*load)->waits)
        return LIBCACHE_EINVAL;
    memset(&b, 0, sizeof b);
    b.ns = (*load)->ns;
    b.key = (*load)->key;
    b.value = value;
    b.load = *load;
    b.flags = (*load)->flags;
    b.deadline = deadline_after_ms(wait_ms);
    if (!flight_wait(&b.ns->cache->l1, &b.load->flight, b.deadline, &how))
        return LIBCACHE_WAIT;
    b.load->waits = 0;
    result = landed(&b, how);
    if (result == AGAIN)
        result = begin_flight(&b);
    else if (result != LIBCACHE_BYPASS)
        drop_load(&b, FLIGHT_FENCED);
    *load = b.load;
    return result;
}

int load_stop_waiting(libcache_load *load)
{
    struct beginning b = { .ns = load->ns, .key = load->key, .load = load };

    return bypass(&b);
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

int libcache_load_recheck(libcache_load *load, libcache_value *value)
{
    libcache_value own = LIBCACHE_VALUE_INIT;
    struct beginning b;
    int result;

    if (!load)
        return LIBCACHE_EINVAL;
    memset(&b, 0, sizeof b);
    b.ns = load->ns;
    b.key = load->key;
    b.value = value ? value : &own;
    b.load = load;
    b.flags = load->flags;
    result = look_in_redis(&b, 0);
    if (result == LIBCACHE_HIT && fresh_for(b.ns, b.value) <= load->early_ms)
        result = LIBCACHE_MISS; /* the very value that is to be refreshed, or one that ends as soon */
    libcache_release_value(&own);
    if (result == LIBCACHE_HIT || result == LIBCACHE_NEGATIVE) {
        end_load(load, FLIGHT_STORED);
        return result;
    }
    return LIBCACHE_MISS;
}

/* ---- Commit and abort ------------------------------------------------------------------------------------------------- */

/* The source has been read, or could not be. */
static void measure_load(const libcache_load *load, int result)
{
    struct operation operation = { load->ns->cache, "load", load->ns, load->key.data, load->key.size, load->begun_ns };

    measure_time(&operation, result, LIBCACHE_TIME_LOAD);
}

int libcache_load_commit(libcache_load *load, const void *value, size_t size, const libcache_set_options *options)
{
    libcache_set_options o;
    enum flight_end how = FLIGHT_STORED;
    uint64_t now, deadline;
    int result;

    if (!load)
        return LIBCACHE_EINVAL;
    memset(&o, 0, sizeof o);
    if (options && (!options_read(&o, sizeof o, options) || o.stamp)) {
        end_load(load, FLIGHT_FENCED);
        return LIBCACHE_EINVAL;
    }
    o.struct_size = sizeof o;
    count_one(load->ns, COUNT_LOAD);
    now = l1_now(&load->ns->cache->l1);
    if (now > load->begun_ms && now - load->begun_ms > load->ns->policy.load_timeout_ms)
        count_one(load->ns, COUNT_LOAD_TIMEOUT);
    measure_load(load, LIBCACHE_OK);
    if (o.flags & LIBCACHE_NOT_STORED) {
        end_load(load, FLIGHT_NOT_STORED);
        return LIBCACHE_OK;
    }
    deadline = deadline_after_ms(load->ns->cache->timeout_ms);
    if (load->stamped && broken(load->stamped))
        take_stamp(load, GUARD_NONE);
    o.stamp = broken(GUARD_COMMIT) ? NULL : &load->stamp;
    result = store_loaded(load->ns, &load->key, value, size, &o, now > load->begun_ms ? now - load->begun_ms : 0);
    if (result == LIBCACHE_FENCED)
        how = FLIGHT_FENCED;
    else if (result < 0 && (result > LIBCACHE_EUNAVAILABLE || !(load->ns->tiers & LIBCACHE_TIER_L1) || (o.flags & LIBCACHE_SKIP_L1)))
        how = FLIGHT_NOT_STORED; /* only Redis's errors leave it in L1 */
    end_load_by(load, how, deadline);
    return result;
}

void libcache_load_abort(libcache_load *load, int error)
{
    if (!load)
        return;
    if (error && (load->leads || !load->waits)) {
        count_one(load->ns, COUNT_LOAD_ERROR);
        measure_load(load, LIBCACHE_ELOAD);
    }
    end_load(load, error ? FLIGHT_FAILED : FLIGHT_FENCED);
}
