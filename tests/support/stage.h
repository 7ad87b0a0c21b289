/*
 * Hosts that share a Redis: caches with a clock, a segment and random numbers of their own, in one process.
 * SPDX-License-Identifier: MIT
 *
 *     struct stage stage;
 *     stage_up(&stage, 2);                      a redis-server and two hosts, which have heard all there is
 *     load(&stage.host[0], "key", "value", "tag");
 *     hear(&stage.host[1]);
 *     stage_down(&stage);
 *
 * Their clocks stand still, so nobody reads the log unless a test says so (hear), or lets time pass.
 * LIBCACHE_TEST_BREAK names a guard to be broken (support/guards.h).
 */
#ifndef TESTS_SUPPORT_STAGE_H
#define TESTS_SUPPORT_STAGE_H
#include "support/redis_server.h"
#include "support/support.h"

#include "cache.h"
#include "coherence_internal.h"

enum { STAGE_HOSTS = 3, STALENESS_MS = 2000, POLL_MS = 100 };
#define PREFIX "t" /* in Redis */
#define META "{t}:meta"
#define LOG "{t}:log"

struct host {
    struct rig rig;
    struct dice dice;
    libcache *cache; /* those of the rig */
    libcache_ns *ns;
    struct coherence *coherence;
};

struct stage {
    struct redis_server redis;
    struct host host[STAGE_HOSTS];
    unsigned n;
};

/* Options of a host, not yet opened: private, polled, no pauses of the breaker worth mentioning. */
void stage_prepare_host(struct host *host, const struct redis_server *redis, unsigned number);
void stage_open_host(struct host *host);
void stage_close_host(struct host *host);

/* A Redis and n hosts that have made contact. */
void stage_up(struct stage *stage, unsigned n);
void stage_down(struct stage *stage);

/* Reads the log; it must be possible. `hear_later`: lets the breaker's pause pass before, and does not mind being told to come again. */
void hear(struct host *host);
void hear_again(struct host *host);

/* A load that begins and ends now, with a tag. Its result. */
int load(struct host *host, const char *key, const char *value, const char *tag);

/* The two halves. */
libcache_stamp begin_load(struct host *host, const char *key);
int end_load(struct host *host, const char *key, const char *value, const char *tag, const libcache_stamp *stamp);

/* HIT, MISS ... of one tier alone. */
int look_l1(const struct host *host, const char *key);
int look_l2(const struct host *host, const char *key);

int delete_key(struct host *host, const char *key);
struct mirror mirror_of(const struct host *host);
libcache_stats stats_of(const struct host *host);

/* Gives an invalidation of every kind, by turns: of the key "key", the tag "tag", the namespace, everything. */
enum { KINDS = 4 };
int invalidate_somehow(struct host *host, unsigned kind);

#endif
