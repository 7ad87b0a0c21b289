/* Between the files of l2 that speak of values, changes, leases and the log only. SPDX-License-Identifier: MIT */
#ifndef L2_INTERNAL_H
#define L2_INTERNAL_H
#include "l2/l2.h"
#include "l2/scripts.h"

/* Beyond this a position would not fit an entry's stamp, nor a double. */
#define L2_POSITION_MAX (UINT64_C(1) << 40)

#define DECIMAL_BYTES 20

struct l2 {
    struct transport *transport;
    char prefix[PREFIX_MAX + 1];
    char names[3][PREFIX_MAX + 16];
    libcache_slice meta, log, scratch; /* in names */
    unsigned log_length;
    void (*known)(void *arg, struct history *out);
    int (*contact)(void *arg, const struct history *now, enum l2_contact how, uint64_t known_epoch);
    void *arg;
    uint64_t (*clock_ms)(void *arg);
    void *clock_arg;
    uint64_t (*random)(void *arg);
    void *random_arg;
    const libcache_allocator *allocator;
    uint32_t told;           /* 1: the server knows what store.c needs, as far as we know; relaxed atomics */
    uint64_t clock_ahead_ms; /* Redis's clock less ours, modulo 2^64; relaxed atomics */
};

uint64_t l2_random(const struct l2 *l2); /* never 0 */

/* Arguments made of numbers, in memory of the caller: 8 bytes, or DECIMAL_BYTES. */
libcache_slice slice_u64(unsigned char *bytes, uint64_t n);
libcache_slice slice_decimal(char *bytes, uint64_t n);
libcache_slice slice_ttl(char *bytes, uint64_t ttl_ms); /* as the scripts take it: 0 is for ever */

/* 1: the answer is a number that is not negative. */
int reply_decimal(const struct reply *reply, uint64_t *out);

/* The code with which a script's answer begins, and the history that follows it; or an error. */
int read_answer(const struct reply *r, size_t least, struct history *now);

/* lease.c: the call for all of them; its memory, to be freed, or NULL. */
void *lease_call(struct l2 *l2, const struct l2_leases *leases, const char *what, struct script_call *call);

/* What came of it. */
void lease_answer(struct l2_leases *leases, const struct reply *answer);

/* Three answers in a row: epoch, position, token. All nil: epoch 0. 0: they make no sense. */
int reply_history(const struct reply *epoch, struct history *out);

#endif
