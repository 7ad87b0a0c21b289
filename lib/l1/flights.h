/*
 * Who is loading what, on this host. SPDX-License-Identifier: MIT
 */
#ifndef L1_FLIGHTS_H
#define L1_FLIGHTS_H
#include "l1/l1.h"

/* How a flight ended; kept in its slot until that is needed for another. */
enum flight_end {
    FLIGHT_FLYING,      /* it has not */
    FLIGHT_STORED,      /* the value is in the cache */
    FLIGHT_NOT_STORED,  /* there is a value, but not for the cache: everybody loads for himself */
    FLIGHT_FENCED,      /* it was overtaken: somebody must load anew */
    FLIGHT_FAILED,      /* there is none */
    FLIGHT_ELSEWHERE    /* another host loads: who has an old value is content with that for a while, who has none begins */
};

/* A flight as its owner, or somebody who waits for it, knows it. */
struct flight_ref {
    uint32_t slot;
    uint32_t word;      /* of the slot when it was found: whether it has ended since is one compare */
    uint32_t before;    /* LEAD: what flight_seen would have said just before */
};

enum flight_role {
    FLIGHT_LEAD,        /* it is yours: end it */
    FLIGHT_WAIT,        /* another's: flight_wait */
    FLIGHT_BACKOFF,     /* a load has failed lately, or another host is at it and you have an old value: do not try now */
    FLIGHT_NONE         /* no room, or the lock was not to be had: load without */
};

/* Takes or joins the flight of a key. lease_ms: for how long the leader is believed. has_old: there is a value to be refreshed. */
enum flight_role flight_begin(struct l1 *l1, const struct l1_key *key, uint64_t lease_ms, int has_old, struct flight_ref *ref);

/* The word of the key's slot, 0 if it has none: the same again means that no flight of the key has ended meanwhile. Takes no lock. */
uint32_t flight_seen(const struct l1 *l1, const struct l1_key *key);

/* The leader goes on for lease_ms from now. 1; 0: it was taken for dead, and another leads. */
int flight_extend(struct l1 *l1, const struct flight_ref *ref, uint64_t lease_ms);

/*
 * The owner (32 bytes) in whose name the leader holds a lease elsewhere: the one that a leader before him had, who died or was late,
 * so that his lease need not be waited for; else `owner`, from now on.
 */
void flight_owner(struct l1 *l1, const struct flight_ref *ref, char *owner);

/* Ends it and wakes all who wait. pause_ms: with FAILED and ELSEWHERE, for how long they hold. Nothing if it is not ours any more. */
void flight_end(struct l1 *l1, const struct flight_ref *ref, enum flight_end how, uint64_t pause_ms);

/*
 * Waits until the flight has ended, its leader is dead or late, or the deadline (ns of CLOCK_MONOTONIC) has passed. *how is set when
 * it has ended, FLIGHT_FLYING when its leader must be taken for dead. 1; 0: deadline.
 */
int flight_wait(struct l1 *l1, const struct flight_ref *ref, uint64_t deadline, enum flight_end *how);

/* Has an event loop (wakers.h) woken when it ends. 1; 0: it has ended already. */
int flight_tell(struct l1 *l1, const struct flight_ref *ref, unsigned waker);

/* 1: it still will be woken. */
int flight_tells(const struct l1 *l1, const struct flight_ref *ref, unsigned waker);

/* How it stands, without waiting. 1: it has ended, or its leader is dead or late. */
int flight_ended(struct l1 *l1, const struct flight_ref *ref, enum flight_end *how);

/*
 * Between hosts the leader of this one waits for another's: how much news there has been for the key, and a wait for more, until
 * the deadline. ref NULL: there is no place for news, only the deadline.
 */
uint32_t flight_nudges(const struct l1 *l1, const struct flight_ref *ref);
void flight_wait_nudge(struct l1 *l1, const struct flight_ref *ref, uint32_t seen, uint64_t deadline);

/* ---- Locks of the application live in the same table: held until freed or over, whoever dies ------------------ */

/* OK: ours now, or still. EXISTS: another's. EBUSY: no room, or no lock of the table in time. */
int flight_lock(struct l1 *l1, const struct l1_key *key, const char *owner, uint64_t ttl_ms);

/* owner NULL: whoever has it. OK or MISS, or EBUSY. ttl_ms 0: frees it and wakes who waits, event loops too; else it lasts for so long from now. */
int flight_relock(struct l1 *l1, const struct l1_key *key, const char *owner, uint64_t ttl_ms);

/* OK (*owner, *left_ms) or MISS, or EBUSY. */
int flight_lock_look(struct l1 *l1, const struct l1_key *key, char *owner, uint64_t *left_ms);

/* A place to wait for news of a key: flight_nudges, flight_wait_nudge. 1; 0: there is no room for one. */
int flight_watch(struct l1 *l1, const struct l1_key *key, struct flight_ref *ref);

/* Whoever leads this key's flight and waits for another host looks again (a value has come from there); event loops are woken. */
void flight_nudge(struct l1 *l1, const struct l1_key *key);

#endif
