/* doctor: the Redis server: reachable, new enough, its memory and its settings. SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>

#define POOL_IDLE_S 60 /* the library keeps an idle connection for so long */
#define VERSION_LEAST 5

/* ---- Reaching it --------------------------------------------------------------------------------------------------------------- */

static int starts(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* The first answer says whether one is logged in, and whether it serves at all. */
static int check_ready(struct doctor *d)
{
    redisReply *reply = REDIS_ASK(d->redis, "TIME");
    const char *text = reply && reply->type == REDIS_REPLY_ERROR ? reply->str : "";
    int ready = 0;

    if (!reply) {
        doctor_say(d, DOCTOR_ERROR, "redis.connect", "what listens there? Is redis_url right?",
                   "%s: no answer to TIME: %s", d->place.name, d->redis->errstr);
    } else if (starts(text, "NOAUTH")) {
        doctor_say(d, DOCTOR_ERROR, "redis.login", "put user and password into the URL: redis://user:password@host",
                   "%s wants a password", d->place.name);
    } else if (*text && !starts(text, "NOPERM")) {
        doctor_say(d, DOCTOR_ERROR, "redis.ready", "wait, or look at the server's log", "%s does not serve: %s",
                   d->place.name, text);
    } else {
        doctor_say(d, DOCTOR_OK, "redis.connect", NULL, "%s answers", d->place.name);
        ready = 1;
    }
    if (reply)
        freeReplyObject(reply);
    return ready;
}

static redisContext *reach(struct doctor *d, struct redis_place *place, const char *url, const char *option)
{
    char why[300];
    int answered;
    const char *wrong = redis_read_url(place, url);
    redisContext *redis;

    if (wrong) {
        doctor_say(d, DOCTOR_ERROR, "redis.url", "see docs/redis.md for its forms", "%s %s: %s", option, url_shown(url),
                   wrong);
        return NULL;
    }
    redis = redis_connect(place, d->timeout_ms < 1000 ? 1000 : d->timeout_ms, &answered, why, sizeof why);
    if (!redis && answered)
        doctor_say(d, DOCTOR_ERROR, "redis.login",
                   "look at user, password and database; ACL LIST on the server shows who there is", "%s: %s",
                   place->name, why);
    else if (!redis)
        doctor_say(d, DOCTOR_ERROR, "redis.connect",
                   "is the server up, does it listen there, does a firewall stand between?", "%s: %s", place->name,
                   why);
    return redis;
}

/* ---- What it is ---------------------------------------------------------------------------------------------------------------- */

static uint64_t info_number(const struct doctor *d, const char *name, uint64_t otherwise)
{
    char text[100];
    const char *why;
    uint64_t number;

    if (!redis_info(d->info, name, text, sizeof text) || parse_number(&number, text, &why))
        return otherwise;
    return number;
}

static void check_version(struct doctor *d)
{
    char version[60] = "?", server[60] = "redis", mode[40] = "standalone", role[40] = "master";

    redis_info(d->info, "redis_version", version, sizeof version);
    redis_info(d->info, "server_name", server, sizeof server);
    redis_info(d->info, "redis_mode", mode, sizeof mode);
    redis_info(d->info, "role", role, sizeof role);
    if (atoi(version) < VERSION_LEAST)
        doctor_say(d, DOCTOR_ERROR, "redis.version", "take Redis 5 or later, or Valkey: streams are needed",
                   "%s is %s %s", d->place.name, server, version);
    else
        doctor_say(d, DOCTOR_OK, "redis.version", NULL, "%s %s", server, version);
    if (strcmp(mode, "cluster") == 0 || info_number(d, "cluster_enabled", 0))
        doctor_say(d, DOCTOR_ERROR, "redis.cluster",
                   "use a server that is no cluster: data and metadata must lie on one node",
                   "%s is a node of a cluster", d->place.name);
    else if (strcmp(mode, "sentinel") == 0)
        doctor_say(d, DOCTOR_ERROR, "redis.cluster", "name the master, not the sentinel", "%s is a sentinel",
                   d->place.name);
    if (strcmp(role, "slave") == 0 || strcmp(role, "replica") == 0)
        doctor_say(d, DOCTOR_ERROR, "redis.replica", "name the master: a replica takes no writes, and is behind",
                   "%s is a replica", d->place.name);
    else
        doctor_say(d, DOCTOR_OK, "redis.replica", NULL, "it is a master");
}

/* ---- Memory -------------------------------------------------------------------------------------------------------------------- */

static void check_memory(struct doctor *d)
{
    uint64_t most = info_number(d, "maxmemory", 0), used = info_number(d, "used_memory", 0);
    char policy[60] = "", used_text[SHORT_TEXT], most_text[SHORT_TEXT];
    const char *recommended = "CONFIG SET maxmemory-policy volatile-lfu (docs/redis.md, \"Eviction\")";

    redis_info(d->info, "maxmemory_policy", policy, sizeof policy);
    show_bytes(used_text, used);
    show_bytes(most_text, most);
    if (!*policy) {
        doctor_say(d, DOCTOR_SKIPPED, "redis.eviction", NULL, "INFO does not tell maxmemory and its policy");
        return;
    }
    if (!most) {
        doctor_say(d, DOCTOR_WARNING, "redis.maxmemory", "set maxmemory, and maxmemory-policy volatile-lfu",
                   "there is no maxmemory: it takes memory until the host has none (%s now)", used_text);
        return;
    }
    doctor_say(d, DOCTOR_OK, "redis.maxmemory", NULL, "%s of %s are in use", used_text, most_text);
    if (strcmp(policy, "noeviction") == 0)
        doctor_say(d, used > most / 10 * 9 ? DOCTOR_ERROR : DOCTOR_WARNING, "redis.noeviction", recommended,
                   "maxmemory-policy is noeviction: once %s are full (%s now), invalidations are refused, and other "
                   "hosts go on with "
                   "old values",
                   most_text, used_text);
    else if (strcmp(policy, "allkeys-random") == 0)
        doctor_say(
            d, DOCTOR_WARNING, "redis.random_eviction", recommended,
            "maxmemory-policy is allkeys-random: sooner or later it drops the metadata, and all hosts start cold");
    else
        doctor_say(d, DOCTOR_OK, "redis.eviction", NULL, "maxmemory-policy is %s", policy);
}

/* ---- Settings ------------------------------------------------------------------------------------------------------------------ */

/* CONFIG GET name. 0: not allowed. */
static int config_number(struct doctor *d, const char *name, uint64_t *out)
{
    redisReply *reply = d->admin ? REDIS_ASK(d->admin, "CONFIG", "GET", name) : NULL;
    const char *why;
    int known = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str &&
                parse_number(out, reply->element[1]->str, &why) == 0;

    if (reply)
        freeReplyObject(reply);
    return known;
}

static void check_settings(struct doctor *d)
{
    uint64_t idle_s, clients = info_number(d, "connected_clients", 0), most = info_number(d, "maxclients", 0);
    char status[40] = "ok";

    if (!config_number(d, "timeout", &idle_s))
        doctor_say(d, DOCTOR_SKIPPED, "redis.idle_timeout", NULL,
                   "this user may not use CONFIG GET (--admin-redis names one who may)");
    else if (idle_s && idle_s < POOL_IDLE_S)
        doctor_say(d, DOCTOR_WARNING, "redis.idle_timeout", "CONFIG SET timeout 0, or pool_idle_ms below it",
                   "the server closes connections that are idle for %llu s: calls find them closed, and connect anew",
                   (unsigned long long)idle_s);
    else
        doctor_say(d, DOCTOR_OK, "redis.idle_timeout", NULL,
                   idle_s ? "idle connections are closed after %llu s"
                          : "idle connections are not closed (timeout %llu)",
                   (unsigned long long)idle_s);
    if (!most && !config_number(d, "maxclients", &most))
        doctor_say(d, DOCTOR_SKIPPED, "redis.clients", NULL, "INFO does not tell maxclients");
    else if (clients > most / 10 * 8)
        doctor_say(d, DOCTOR_WARNING, "redis.clients",
                   "raise maxclients, or lower pool_max: a host has up to pool_max connections for "
                   "each process",
                   "%llu of %llu connections are in use", (unsigned long long)clients, (unsigned long long)most);
    else
        doctor_say(d, DOCTOR_OK, "redis.clients", NULL, "%llu of %llu connections are in use",
                   (unsigned long long)clients, (unsigned long long)most);
    redis_info(d->info, "rdb_last_bgsave_status", status, sizeof status);
    if (strcmp(status, "ok") != 0)
        doctor_say(d, DOCTOR_WARNING, "redis.snapshot",
                   "is its disk full or not writable? With stop-writes-on-bgsave-error it refuses "
                   "all changes; a cache needs no snapshots: CONFIG SET save \"\"",
                   "its last snapshot could not be written");
}

void doctor_server(struct doctor *d)
{
    redisReply *reply;

    d->redis = reach(d, &d->place, d->args->redis, "--redis");
    if (!d->redis)
        return;
    if (!check_ready(d)) {
        redisFree(d->redis);
        d->redis = NULL;
        return;
    }
    d->admin = d->args->admin ? reach(d, &d->admin_place, d->args->admin, "--admin-redis") : d->redis;
    reply = d->admin ? REDIS_ASK(d->admin, "INFO") : NULL;
    if (reply && reply->type == REDIS_REPLY_STRING)
        d->info = strdup(reply->str);
    if (reply)
        freeReplyObject(reply);
    if (!d->info) {
        doctor_say(d, DOCTOR_SKIPPED, "redis.info", NULL,
                   "this user may not use INFO, so version, eviction policy and memory are not "
                   "known; --admin-redis URL names one who may");
        return;
    }
    check_version(d);
    check_memory(d);
    check_settings(d);
}
