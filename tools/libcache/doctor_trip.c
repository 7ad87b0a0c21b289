/*
 * doctor: from one host to another, through Redis. SPDX-License-Identifier: MIT
 *
 * Two private caches stand for two hosts: one stores, the other one has a copy in its L1 and listens in a thread. How long
 * after a change is the copy gone? The key ends by itself, and is deleted; three records in the log stay.
 */
#include "doctor.h"

#include <string.h>
#include <unistd.h>

#define NAMESPACE "libcache.doctor"
#define WAIT_NS UINT64_C(3000000000)
#define SLOW_US 100000.0
#define LOG_BYTES 300

struct side {
    libcache *cache;
    libcache_ns *ns;
};

static void remember(void *arg, int level, const char *message)
{
    char *text = arg;

    if (level <= LIBCACHE_LOG_WARNING && !*text)
        snprintf(text, LOG_BYTES, "%s", message);
}

static int open_side(struct side *side, const struct doctor *d, int listener, char *log, libcache_error *error)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    int result;

    target_options(&options, d->args);
    options.identity = NULL;
    options.policy_file = NULL;
    options.memory_bytes = 1 << 20;
    options.listener = listener;
    options.log = log ? remember : NULL; /* not where a thread would write it */
    options.log_arg = log;
    result = libcache_open(&side->cache, &options, error);
    return result == LIBCACHE_OK ? libcache_open_namespace(&side->ns, side->cache, NAMESPACE, NULL, error) : result;
}

static int put(const struct side *side, const char *key, const char *value)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;

    options.ttl_ms = 30000;
    return libcache_set(side->ns, key, strlen(key), value, strlen(value), &options);
}

/* Waits until this side reads that value, from that tier (0: any). */
static int sees(const struct side *side, const char *key, const char *wanted, unsigned tier)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    uint64_t until = now_ns() + WAIT_NS;
    int found = 0;

    while (!found && now_ns() < until) {
        int result = libcache_get(side->ns, key, strlen(key), &value, 0);
        found = result == LIBCACHE_HIT && value.size == strlen(wanted) && memcmp(value.data, wanted, value.size) == 0 &&
                (!tier || value.tier == tier);
        if (!found)
            usleep(50);
    }
    libcache_release_value(&value);
    return found;
}

static void travel(struct doctor *d, const struct side *from, const struct side *to, const char *log)
{
    char key[64], took[SHORT_TEXT], set_took[SHORT_TEXT];
    uint64_t begin, done;
    int result, there;

    snprintf(key, sizeof key, "trip:%d:%llu", (int)getpid(), (unsigned long long)now_ns());
    result = put(from, key, "one");
    if (result != LIBCACHE_OK) {
        doctor_say(d, DOCTOR_ERROR, "redis.trip", NULL, "a change could not be made: %s%s%s", libcache_describe(result),
                   *log ? "; " : "", log);
        return;
    }
    if (!sees(to, key, "one", 0) || !sees(to, key, "one", LIBCACHE_TIER_L1)) {
        doctor_say(d, DOCTOR_ERROR, "redis.trip", "does the log reach this host? See redis.log and redis.acl",
                   "what was stored is not seen by another cache within 3 s%s%s", *log ? ": " : "", log);
        return;
    }
    begin = now_ns();
    result = put(from, key, "two");
    done = now_ns();
    there = result == LIBCACHE_OK && sees(to, key, "two", 0);
    show_us(took, (double)(now_ns() - done) / 1e3);
    show_us(set_took, (double)(done - begin) / 1e3);
    if (!there)
        doctor_say(d, DOCTOR_ERROR, "redis.trip", "does the log reach this host? See redis.log and redis.acl",
                   "a change is not seen by another cache within 3 s%s%s", *log ? ": " : "", log);
    else if ((double)(now_ns() - done) / 1e3 > SLOW_US)
        doctor_say(d, DOCTOR_WARNING, "redis.trip", "is this host or Redis overloaded? See redis.latency",
                   "a change was seen by another cache %s after it was made (which took %s)", took, set_took);
    else
        doctor_say(d, DOCTOR_OK, "redis.trip", NULL, "a change took %s, and was seen by another cache %s later",
                   set_took, took);
    libcache_delete(from->ns, key, strlen(key), 0);
}

void doctor_trip(struct doctor *d)
{
    struct side from = { NULL, NULL }, to = { NULL, NULL };
    char log[LOG_BYTES] = "";
    libcache_error error;
    int result;

    if (!d->redis_works) {
        doctor_say(d, DOCTOR_SKIPPED, "redis.trip", NULL, "not tried: first see to what was found of Redis before");
        return;
    }
    result = open_side(&from, d, LIBCACHE_LISTEN_ON_CALLS, log, &error);
    if (result == LIBCACHE_OK)
        result = open_side(&to, d, LIBCACHE_LISTEN_IN_THREAD, NULL, &error);
    if (result == LIBCACHE_OK)
        travel(d, &from, &to, log);
    else
        doctor_say(d, DOCTOR_ERROR, "redis.trip", NULL, "%s", error.text);
    libcache_close(to.cache);
    libcache_close(from.cache);
}
