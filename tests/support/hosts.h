/*
 * Two hosts: two caches with segments of their own, on one Redis that is the test's own. SPDX-License-Identifier: MIT
 *
 *     struct hosts hosts;
 *
 *     hosts_up(&hosts);
 *     put(hosts.a.ns, "key", "value");
 *     ck_from(hosts.b.ns, "key", "value", LIBCACHE_TIER_L2);
 *     hosts_down(&hosts);
 *
 * Clocks stand still and the log is read only when a test says so, so that it sees what every single call does.
 * LIBCACHE_TEST_BREAK names a guard to be broken (support/guards.h).
 */
#ifndef TESTS_HOSTS_H
#define TESTS_HOSTS_H
#include "redis_server.h"
#include "support.h"

struct hosts {
    struct redis_server redis;
    struct rig a, b;
};

/* Starts Redis and fills both hosts' options. Change them, then host_open or hosts_open. options NULL: defaults. */
void hosts_prepare(struct hosts *hosts, const struct redis_server_options *options);

/* The options of one more host, for a server that runs. */
void host_prepare(struct rig *rig, const struct redis_server *redis);

/* Opens a cache, its namespace "test", and reads the log a first time. */
void host_open(struct rig *rig);
void hosts_open(struct hosts *hosts);
void hosts_up(struct hosts *hosts);

/* Closes; fails the test if memory was kept. */
void hosts_down(struct hosts *hosts);

/* A namespace; fails the test when it cannot be opened. */
libcache_ns *space(struct rig *rig, const char *name, const libcache_policy *policy);

/* Reads the log; fails the test when that fails. */
void ck_poll(struct rig *rig);

/* Requests that this host has sent. */
uint64_t exchanges(const struct rig *rig);

/* How many positions Redis has issued. */
uint64_t log_position(const struct hosts *hosts);

/* Fails the test unless a get gives this result, from this tier. */
void ck_get(libcache_ns *ns, const char *key, unsigned flags, int result, int tier);

/* Fails the test unless a get hits this value, in this tier. */
void ck_from(libcache_ns *ns, const char *key, const char *value, int tier);

/* How often a key lies in L1: 1 or 0; nothing else is looked at. */
int in_l1(libcache_ns *ns, const char *key);

/* What lies in Redis for a key, or puts it there. raw_get gives the size, -1: nothing. */
long raw_get(const struct hosts *hosts, const char *ns, libcache_slice key, void *bytes, size_t room);
void raw_set(const struct hosts *hosts, const char *ns, libcache_slice key, const void *bytes, size_t size);

/* Milliseconds that Redis still keeps a key for; -1: for ever; -2: it is not there. */
long raw_ttl(const struct hosts *hosts, const char *ns, const char *key);

/* A host's key, as Redis's own commands take it, for keys without zero bytes. */
const char *raw_name(const char *ns, const char *key);

#endif
