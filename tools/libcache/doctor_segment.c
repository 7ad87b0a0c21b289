/* doctor: the segment that -n names. SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVICTIONS_MANY = 1000 };

/* ---- Its file --------------------------------------------------------------------------------------------------------------- */

static void say_missing(struct doctor *d)
{
    struct segment_file *files = NULL;
    long n = list_segments(&files, 1);
    const char *name = d->args->name;

    for (long i = 0; i < n; i++)
        if (strcmp(files[i].name, name) == 0) {
            doctor_say(
                d, DOCTOR_ERROR, "segment.missing", "segments are each user's own: ask as the user of the programs",
                "user %lu has no segment %s, but user %lu has one", (unsigned long)geteuid(), name, files[i].uid);
            free(files);
            return;
        }
    free(files);
    doctor_say(d, DOCTOR_ERROR, "segment.missing",
               "start a program that opens it; in containers: do they share " SEGMENT_FOLDER " (--ipc)?",
               "user %lu has no segment %s", (unsigned long)geteuid(), name);
}

/* What the file system says. 0: there is no use in opening it. */
static int check_file(struct doctor *d)
{
    struct segment_file f;
    const char *name = d->args->name;
    char taken[SHORT_TEXT], size[SHORT_TEXT];

    if (!find_segment(&f, name)) {
        say_missing(d);
        return 0;
    }
    if (f.kind != 'f') {
        doctor_say(d, DOCTOR_ERROR, "segment.kind", "remove it: somebody has put it there",
                   "segment %s is %s, not a file", name, f.kind == 'l' ? "a symbolic link" : "something else");
        return 0;
    }
    if (f.owner != geteuid()) {
        doctor_say(d, DOCTOR_ERROR, "segment.owner",
                   "remove it, as that user or as root: it is in the way of this user's segment",
                   "segment %s has the name of user %lu's, but belongs to user %lu", name, f.uid, f.owner);
        return 0;
    }
    if (f.mode & 0177) {
        doctor_say(d, DOCTOR_ERROR, "segment.mode", "chmod 600 it, if nobody else was to read it; else remove it",
                   "segment %s has mode %o: programs refuse it", name, f.mode);
        return 0;
    }
    if (f.links != 1) {
        doctor_say(d, DOCTOR_ERROR, "segment.links", "remove the other names",
                   "segment %s has %u names: programs refuse it", name, f.links);
        return 0;
    }
    doctor_say(d, DOCTOR_OK, "segment.file", NULL, "segment %s: %s, mode 600, %s", name, show_bytes(size, f.size_bytes),
               f.in_use == 1 ? "in use" : "no process has it open");
    if (f.allocated_bytes < f.size_bytes)
        doctor_say(d, DOCTOR_WARNING, "segment.sparse",
                   "remove it, so that a program makes it anew: where " SEGMENT_FOLDER
                   " is full, whoever touches the missing part is killed",
                   "segment %s: only %s of %s are allocated", name, show_bytes(taken, f.allocated_bytes),
                   show_bytes(size, f.size_bytes));
    return 1;
}

/* ---- Its contents ------------------------------------------------------------------------------------------------------------ */

static int say_open(struct doctor *d, int result, const libcache_error *error)
{
    if (result == LIBCACHE_EINCOMPATIBLE && strstr(error->text, "identity"))
        doctor_say(d, DOCTOR_ERROR, "segment.identity",
                   "say --redis, --prefix and --identity as the programs do; programs that "
                   "differ in them cannot share a segment",
                   "%s", error->text);
    else if (result == LIBCACHE_EINCOMPATIBLE)
        doctor_say(d, DOCTOR_ERROR, "segment.build",
                   "link all programs to the same build; when none of the others uses the segment "
                   "any more, the next one that opens it makes it anew",
                   "%s", error->text);
    else if (result == LIBCACHE_ECORRUPT)
        doctor_say(d, DOCTOR_ERROR, "segment.corrupt",
                   "end the programs that use it and remove it; who has cut or written it?", "%s", error->text);
    else
        doctor_say(d, DOCTOR_ERROR, "segment.open", NULL, "%s", error->text);
    return 0;
}

/* Goes through all entries. */
static void check_entries(struct doctor *d, libcache *cache)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_entry entry;
    uint64_t n = 0;
    int result;

    memset(&entry, 0, sizeof entry);
    while ((result = libcache_iterate(cache, &cursor, &entry)) == LIBCACHE_HIT)
        n++;
    libcache_release_value(&entry.key);
    if (result < 0)
        doctor_say(d, DOCTOR_ERROR, "segment.corrupt",
                   "end the programs that use it and remove it; programs that share it may write "
                   "past their own memory",
                   "segment %s: %s, after %llu entries", d->args->name, libcache_describe(result),
                   (unsigned long long)n);
    else
        doctor_say(d, DOCTOR_OK, "segment.entries", NULL, "%llu live entries, all readable", (unsigned long long)n);
}

static void check_fill(struct doctor *d, const libcache_stats *s, const libcache_ns_stats *sum)
{
    uint64_t missed = sum->miss_evicted, gets = sum->hits_l1 + sum->stale_l1 + sum->negatives_l1 + sum->misses;
    char live[SHORT_TEXT], all[SHORT_TEXT];
    double share = s->memory_bytes ? 100.0 * (double)s->live_bytes / (double)s->memory_bytes : 0;

    show_bytes(live, s->live_bytes);
    show_bytes(all, s->memory_bytes);
    if (s->evictions >= EVICTIONS_MANY && (s->ghost_hits > s->evictions / 10 || missed > gets / 20))
        doctor_say(d, DOCTOR_WARNING, "segment.small",
                   "give it more memory_bytes, or short-lived namespaces a smaller l1_share; "
                   "bench-replay tells how much helps",
                   "%s of %s are full; %llu entries were evicted; %llu of their keys were soon stored again, and "
                   "%llu of %llu gets missed for it",
                   live, all, (unsigned long long)s->evictions, (unsigned long long)s->ghost_hits,
                   (unsigned long long)missed, (unsigned long long)gets);
    else
        doctor_say(d, DOCTOR_OK, "segment.small", NULL, "%.0f %% of %s are full, %llu entries were evicted", share, all,
                   (unsigned long long)s->evictions);
    if (s->resets || s->owner_deaths)
        doctor_say(d, s->resets ? DOCTOR_WARNING : DOCTOR_NOTE, "segment.deaths",
                   "look for programs that were killed or crashed (OOM "
                   "killer, timeouts, SIGKILL); what was lost are entries only",
                   "processes died %llu times while they changed it; "
                   "%llu times a part of it was emptied",
                   (unsigned long long)s->owner_deaths, (unsigned long long)s->resets);
    else
        doctor_say(d, DOCTOR_OK, "segment.deaths", NULL, "no process died while it changed it");
}

/* Namespaces, as programs have used them. */
static void check_reads(struct doctor *d, const libcache_ns_stats *s)
{
    uint64_t asked = s->l2_hits + s->l2_misses + s->l2_errors;

    if (s->l2_errors >= 10 && s->l2_errors > asked / 100)
        doctor_say(d, DOCTOR_WARNING, "segment.redis_errors",
                   "is redis_timeout_ms too short for this network, or Redis overloaded? "
                   "See redis.latency, and slowlog on the server",
                   "%llu of %llu gets that went to Redis were not served", (unsigned long long)s->l2_errors,
                   (unsigned long long)asked);
    else
        doctor_say(d, DOCTOR_OK, "segment.redis_errors", NULL, "%llu of %llu gets that went to Redis were not served",
                   (unsigned long long)s->l2_errors, (unsigned long long)asked);
    if (s->loads >= 100 && s->load_timeouts > s->loads / 100)
        doctor_say(d, DOCTOR_WARNING, "segment.slow_loads",
                   "raise load_timeout of their namespaces, or make the source faster: others "
                   "stop waiting and load, too",
                   "%llu of %llu loads took longer than their load_timeout", (unsigned long long)s->load_timeouts,
                   (unsigned long long)s->loads);
    if (s->l2_foreign)
        doctor_say(d, DOCTOR_WARNING, "segment.foreign_values", "who else writes under this prefix? Take another one",
                   "%llu values found in Redis were not libcache's, or damaged", (unsigned long long)s->l2_foreign);
}

static void check_coherence(struct doctor *d, const libcache_stats *s, int in_use)
{
    char age[SHORT_TEXT], owed[SHORT_TEXT];

    if (!s->epochs) {
        doctor_say(d, DOCTOR_NOTE, "segment.coherence", NULL,
                   "segment %s has not met a Redis yet, or has no Redis tier", d->args->name);
        return;
    }
    show_ms(age, s->coherence_age_ms);
    if (!in_use)
        doctor_say(d, DOCTOR_OK, "segment.coherence", NULL, "no process has it open; last up to date %s ago", age);
    else if (s->coherence_age_ms > d->max_staleness_ms)
        doctor_say(d, DOCTOR_WARNING, "segment.coherence",
                   "let one program listen (LIBCACHE_LISTEN_IN_THREAD) or call libcache_poll "
                   "when idle; if one does: can it reach Redis?",
                   "nobody has heard of Redis's log for %s: L1 serves nothing from before", age);
    else
        doctor_say(d, DOCTOR_OK, "segment.coherence", NULL, "up to date %s ago", age);
    if (s->owed_bytes)
        doctor_say(d, DOCTOR_WARNING, "segment.owed",
                   "it is told as soon as a program of this host reaches Redis; until then other "
                   "hosts have old entries",
                   "Redis is owed %s of invalidations", show_bytes(owed, s->owed_bytes));
    else
        doctor_say(d, DOCTOR_OK, "segment.owed", NULL, "Redis is owed nothing");
    if (s->epochs > 1)
        doctor_say(d, DOCTOR_NOTE, "segment.epochs",
                   "was Redis restarted or flushed, its metadata evicted, or the log too short?",
                   "all of L1 was given up %llu times since the first contact", (unsigned long long)s->epochs - 1);
    if (d->has_log && s->log_applied && d->log_first > s->log_applied + 1)
        doctor_say(d, DOCTOR_WARNING, "segment.behind",
                   "raise log_length, and see to it that somebody of this host reads the log",
                   "this host has applied the log up to %llu, but it begins at %llu by now: L1 will be given up",
                   (unsigned long long)s->log_applied, (unsigned long long)d->log_first);
}

/* With a Redis: would programs that name it be let in? Nothing is changed: who is let in closes at once. */
static void check_tier(struct doctor *d)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    libcache *cache;
    int result;

    target_options(&options, d->args);
    result = libcache_attach(&cache, d->args->name, &options, &error);
    if (result == LIBCACHE_OK) {
        libcache_close(cache);
        doctor_say(d, DOCTOR_OK, "segment.tier", NULL, "it was made for this Redis and prefix");
    } else if (result == LIBCACHE_EINCOMPATIBLE && !strstr(error.text, "identity")) {
        doctor_say(d, DOCTOR_ERROR, "segment.tier", "programs must agree on redis_url and redis_prefix", "%s",
                   error.text);
    } else {
        say_open(d, result, &error);
    }
}

void doctor_segment(struct doctor *d)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_ns_stats sum = LIBCACHE_NS_STATS_INIT;
    struct segment_file f;
    libcache_error error;
    libcache *cache;
    int result;

    if (!d->args->name) {
        doctor_say(d, DOCTOR_SKIPPED, "segment.file", NULL, "no segment was named (-n NAME)");
        return;
    }
    if (!check_file(d))
        return;
    options.read_only = 1;
    result = libcache_attach(&cache, d->args->name, &options, &error);
    if (result != LIBCACHE_OK) {
        say_open(d, result, &error);
        return;
    }
    check_entries(d, cache);
    if (libcache_read_stats(cache, &stats) == LIBCACHE_OK && libcache_sum_stats(cache, &sum) == LIBCACHE_OK) {
        check_fill(d, &stats, &sum);
        check_reads(d, &sum);
        check_coherence(d, &stats, find_segment(&f, d->args->name) && f.in_use == 1);
    }
    libcache_close(cache);
    if (d->args->redis || d->args->identity)
        check_tier(d);
}
