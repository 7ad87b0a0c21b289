/* A load, as the files that make, lease, end and run loads see it. SPDX-License-Identifier: MIT */
#ifndef LIBCACHE_LOAD_H
#define LIBCACHE_LOAD_H
#include "cache.h"
#include "l1/flights.h"

struct libcache_load {
    libcache_ns *ns;
    struct l1_key key; /* its bytes follow this struct */
    libcache_stamp stamp;
    struct flight_ref flight;
    int leads, waits; /* of the flight; neither: a bypass */
    int refreshes;    /* a value was given out that this is to replace */
    int asked;        /* Redis was asked for a fresh value when this began */
    int leased;       /* holds the lease in Redis */
    int wants_lease;  /* leads here, and waits for another host's load */
    int needless;     /* how often Redis said that it has a fresh value, and it was invalidated before it was judged here */
    int again;        /* so it is to be asked once more */
    char lease_owner[L2_OWNER_BYTES];
    uint32_t nudges; /* of the flight, before the lease was last asked for */
    uint64_t since_ns,
        look_ns; /* CLOCK_MONOTONIC: since when it waits for the lease; when it asks again without news */
    uint64_t begun_ms, begun_ns; /* when the source was begun to be read; by the cache's clock; in real time */
    uint64_t soft_ttl_ms; /* as in struct remote_key */
    uint64_t early_ms; /* an early refresh: it is for who looks so far ahead */
    unsigned flags;
    int stamped;       /* enum guard: by which rule the stamp was taken */
    enum miss why;     /* the value was missing */
};

/* ---- load.c ------------------------------------------------------------------------------------------------------- */

/* Each call has a time for Redis of its own, which begins when Redis is first needed: *redis is 0 until then (coherence_deadline). */

/* libcache_load_begin. */
int load_begin(libcache_load **load, libcache_ns *ns, const void *key, size_t key_size, libcache_value *value,
               const libcache_load_options *options, uint64_t *redis);

/*
 * The same for n keys, but for Redis, which is for load_ask: without waiting, and without counting what came of it (count_begun).
 * A load that leads and may not have what Redis has is LEAD or BYPASS.
 */
void load_begin_many(libcache_ns *ns, const libcache_slice *keys, size_t n, libcache_value *values, int *results,
                     const libcache_load_options *options, libcache_load **loads);

/* What a begin gave: whatever is not given out now is a miss, and `why` says for what reason. */
void count_begun(libcache_ns *ns, libcache_slice key, int result, const libcache_value *value, enum miss why);

/* In L1, where early refreshes are wanted. HIT (counted): nobody would refresh it yet; MISS: anything else. */
int load_look(libcache_ns *ns, const void *key, size_t key_size, libcache_value *value);

/*
 * A load whose flight was lost to another of this host: its key's flight is taken or joined anew, without asking Redis or waiting.
 * LEAD; WAIT: another's (load->waits); or as load_begin_many.
 */
int load_rejoin(libcache_load **load, libcache_value *value);

/* Who waits for another's load loads for himself after all. BYPASS. */
int load_stop_waiting(libcache_load *load);

/* The source is read from now on: what came before, a wait for others say, is no cost of the load. */
void load_starts(libcache_load *load);

/* libcache_load_recheck, but for errors, and *value is not touched by what is not fresh. */
int load_recheck(libcache_load *load, libcache_value *value, uint64_t *redis);

/* For how long a call waits: for two leaders' time, one of whom does not come back, if it does not say. */
static inline uint64_t load_wait_ms(const libcache_ns *ns, unsigned wait_ms)
{
    return wait_ms ? wait_ms : 2 * ns->policy.load_timeout_ms;
}

/* ---- lease.c ------------------------------------------------------------------------------------------------------ */

/*
 * Asks Redis, in one exchange, for the values that n loads are about, and for the leases of those that want one. loads[i] NULL, or
 * results[i] WAIT without wanting a lease: passed over. results[i] becomes
 *
 *     HIT, NEGATIVE     values[i] is filled: the load has ended, loads[i] is NULL
 *     STALE             the same with an older value. Loads that were to replace one keep what they had (STALE or HIT) instead
 *                       In both cases loads[i] says whether it is ours to replace it, or another host's
 *     WAIT              another host loads: see lease_wait
 *     LEAD, BYPASS      as it was: it is ours to load
 *     an error          of the value's memory; the load has ended
 */
void load_ask(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n, uint64_t *redis);

/* 1: of all hosts only who has the lease runs such loads. */
int lease_wanted(const libcache_ns *ns, unsigned flags);

/*
 * Waits until it is time to ask for the leases that loads want (news, or a while without), or the deadline has passed; then
 * does so, for all of them at once: as load_ask. Whose flight was lost meanwhile has it anew, or results[i] is WAIT and loads[i] waits
 * for who has. 0: no lease is wanted, or the deadline has passed first.
 */
int lease_wait(libcache_ns *ns, libcache_load **loads, libcache_value *values, int *results, size_t n,
               uint64_t deadline, uint64_t *redis);

/* ---- load_end.c ---------------------------------------------------------------------------------------------------- */

/* How one of many loads ends: with a value, as libcache_load_commit, or with an error or for other reasons, as libcache_load_abort. */
struct ending {
    libcache_load *load;
    int aborts, error;
    const void *value;
    size_t size;
    const libcache_set_options *options;
    int result; /* of a commit */
};

/* Ends n loads of one namespace: values are stored and leases given back in one exchange. */
void load_end(libcache_ns *ns, struct ending *endings, size_t n, uint64_t *redis);

#define LOAD_REST_MS 25 /* at most so often a host asks whether another has refreshed what it still serves */

/* Ends a load that is not needed, or not by this host: for how, see flights.h. */
void load_drop(libcache_load *load, enum flight_end how, uint64_t *redis);

#endif
