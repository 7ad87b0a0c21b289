/* doctor: what libcache needs of Redis: permissions, latency, clock, metadata and log. SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PINGS = 60, TIMEOUTS_ENOUGH = 5, LOG_FEW = 1000, LOG_SECONDS = 60, CLOCK_MS = 2000, RATE_MS = 500 };

/* ---- Permissions ---------------------------------------------------------------------------------------------------------------- */

/*
 * What scripts call, each tried once on keys that are gone at the end, and would end by themselves. Answers the names of those that
 * are forbidden, and what else the first write was answered ("" when it was done).
 */
static const char script[] =
    "local v, h, s = KEYS[1], KEYS[2], KEYS[3]\n"
    "local no, why = {}, ''\n"
    "local function try(name, ...)\n"
    "  local r = redis.pcall(name, ...)\n"
    "  if type(r) == 'table' and r.err then\n"
    "    if string.find(r.err, 'user executing') or string.find(r.err, 'NOPERM') or string.find(r.err, 'run this "
    "command') then\n"
    "      no[#no + 1] = name\n"
    "    elseif why == '' then\n"
    "      why = r.err\n"
    "    end\n"
    "  end\n"
    "end\n"
    "if redis.replicate_commands then redis.replicate_commands() end\n"
    "try('time')\n"
    "try('set', v, 'abc', 'PX', 10000)\n"
    "try('getrange', v, 0, 1)  try('setrange', v, 0, 'x')  try('pttl', v)  try('persist', v)  try('pexpire', v, "
    "10000)\n"
    "try('get', v)  try('del', v)\n"
    "try('incr', v)  try('incrby', v, 1)  try('decrby', v, 1)  redis.pcall('pexpire', v, 10000)  try('unlink', v)\n"
    "try('hset', h, 'a', '1')  redis.pcall('pexpire', h, 10000)  try('hincrby', h, 'a', 1)  try('hget', h, 'a')\n"
    "try('hmget', h, 'a')  try('hscan', h, 0)  try('hlen', h)  try('hdel', h, 'a')\n"
    "try('xadd', s, '1-0', 'a', 'b')  redis.pcall('pexpire', s, 10000)  try('xrange', s, '-', '+')\n"
    "redis.pcall('del', v, h, s)  redis.pcall('unlink', v, h, s)\n"
    "return {table.concat(no, ' '), why}\n";

/* What clients send, each on keys that are not there. */
static void try_commands(struct doctor *d, char *no, size_t size)
{
    char value_key[120], meta[120], log_key[120];
    const char *const tries[][6] = {
        { "get", value_key, NULL },
        { "mget", value_key, NULL },
        { "unlink", value_key, NULL },
        { "hmget", meta, "epoch", NULL },
        { "hlen", meta, NULL },
        { "time", NULL },
        { "xread", "STREAMS", log_key, "0", NULL },
        { "xrange", log_key, "-", "+", NULL },
        { "evalsha", "0000000000000000000000000000000000000000", "0", NULL },
    };

    snprintf(value_key, sizeof value_key, "%s:6:doctor:key", doctor_prefix(d));
    snprintf(meta, sizeof meta, "{%s}:doctor:meta", doctor_prefix(d));
    snprintf(log_key, sizeof log_key, "{%s}:doctor:log", doctor_prefix(d));
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        size_t n = 0;
        redisReply *reply;
        while (n < 6 && tries[i][n])
            n++;
        reply = redis_ask(d->redis, tries[i], n);
        if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0 &&
            strlen(no) + strlen(tries[i][0]) + 20 < size)
            snprintf(no + strlen(no), size - strlen(no), "%s%s%s", *no ? " " : "", tries[i][0],
                     strstr(reply->str, "key") ? " (its keys)" : "");
        if (reply)
            freeReplyObject(reply);
    }
}

/* 1: what libcache does is allowed, and done. */
static int check_permissions(struct doctor *d)
{
    char v[120], h[120], s[120], no[600] = "", advice[300];
    redisReply *reply;
    const char *why = NULL;
    int works = 0;

    snprintf(v, sizeof v, "{%s}:doctor:v", doctor_prefix(d));
    snprintf(h, sizeof h, "{%s}:doctor:h", doctor_prefix(d));
    snprintf(s, sizeof s, "{%s}:doctor:s", doctor_prefix(d));
    try_commands(d, no, sizeof no);
    reply = REDIS_ASK(d->redis, "eval", script, "3", v, h, s);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        if (*reply->element[0]->str)
            snprintf(no + strlen(no), sizeof no - strlen(no), "%s%s", *no ? " " : "", reply->element[0]->str);
        why = *reply->element[1]->str ? reply->element[1]->str : NULL;
    } else if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0) {
        snprintf(no + strlen(no), sizeof no - strlen(no), "%seval%s", *no ? " " : "",
                 strstr(reply->str, "key") ? " (its keys)" : "");
    } else {
        why = !reply ? d->redis->errstr : reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer";
    }
    if (*no) {
        snprintf(advice, sizeof advice, "ACL SETUSER %.60s ~%s:* ~{%s}:* and + each of these (docs/redis.md, \"User\")",
                 *d->place.user ? d->place.user : "USER", doctor_prefix(d), doctor_prefix(d));
        doctor_say(d, DOCTOR_ERROR, "redis.acl", advice, "this user may not use: %s", no);
    } else {
        doctor_say(d, DOCTOR_OK, "redis.acl", NULL, "this user may do all that libcache does");
    }
    if (why)
        doctor_say(d, DOCTOR_ERROR, "redis.writes",
                   "look at the server: its memory, its disk, its replicas; changes are owed meanwhile",
                   "changes are refused: %s", why);
    else if (!*no)
        doctor_say(d, DOCTOR_OK, "redis.writes", NULL, "it takes changes");
    works = !*no && !why;
    if (reply)
        freeReplyObject(reply);
    return works;
}

/* ---- Latency and clock ---------------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* A connection whose calls end after the programs' timeout. NULL: it has just gone. */
static redisContext *timed_connection(struct doctor *d)
{
    char why[300];
    int answered;

    return redis_connect(&d->place, d->timeout_ms, &answered, why, sizeof why);
}

static void check_latency(struct doctor *d)
{
    double took_us[PINGS];
    int n = 0, timeouts = 0;
    char median[SHORT_TEXT], worst[SHORT_TEXT], key[120];
    redisContext *redis = timed_connection(d);

    snprintf(key, sizeof key, "%s:6:doctor:key", doctor_prefix(d));
    for (int i = 0; i < PINGS && redis && timeouts < TIMEOUTS_ENOUGH; i++) {
        uint64_t begin = now_ns();
        redisReply *reply = REDIS_ASK(redis, "get", key);
        if (reply) {
            took_us[n++] = (double)(now_ns() - begin) / 1e3;
            freeReplyObject(reply);
            continue;
        }
        timeouts++;
        redisFree(redis);
        redis = timed_connection(d);
    }
    timeouts += !redis;
    if (redis)
        redisFree(redis);
    if (timeouts) {
        d->redis_works = 0;
        doctor_say(d, DOCTOR_WARNING, "redis.timeouts",
                   "is the network slow, the server overloaded (SLOWLOG GET), or another program's "
                   "command long? redis_timeout_ms may be raised",
                   "%d of %d calls were not answered within %u ms", timeouts, timeouts + n, d->timeout_ms);
    } else {
        doctor_say(d, DOCTOR_OK, "redis.timeouts", NULL, "%d calls were answered within %u ms each", n, d->timeout_ms);
    }
    if (!n)
        return;
    qsort(took_us, (size_t)n, sizeof *took_us, by_number);
    show_us(median, took_us[n / 2]);
    show_us(worst, took_us[n - 1]);
    if (took_us[n / 2] > 5000 || took_us[n / 2] > d->timeout_ms * 1000.0 / 5)
        doctor_say(d, DOCTOR_WARNING, "redis.latency",
                   "put Redis nearer to its hosts: each miss of L1 and each change takes one such "
                   "round trip",
                   "a round trip takes %s (median of %d), %s at most", median, n, worst);
    else
        doctor_say(d, DOCTOR_OK, "redis.latency", NULL, "a round trip takes %s (median of %d), %s at most", median, n,
                   worst);
}

static void check_clock(struct doctor *d)
{
    struct timespec before, after;
    redisReply *reply;
    double there, here, ms;

    clock_gettime(CLOCK_REALTIME, &before);
    reply = REDIS_ASK(d->redis, "time");
    clock_gettime(CLOCK_REALTIME, &after);
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        doctor_say(d, DOCTOR_SKIPPED, "redis.clock", NULL, "it does not tell the time");
    } else {
        there = atof(reply->element[0]->str) * 1e3 + atof(reply->element[1]->str) / 1e3;
        here = ((double)before.tv_sec + (double)after.tv_sec) * 500 +
               ((double)before.tv_nsec + (double)after.tv_nsec) / 2e6;
        ms = there - here;
        if (ms > CLOCK_MS || ms < -CLOCK_MS)
            doctor_say(d, DOCTOR_WARNING, "redis.clock",
                       "run NTP on both. libcache compares no clocks of two hosts, but people who read "
                       "their logs do, and a clock that is set while it runs moves the ends of TTLs",
                       "Redis's clock is %.1f s %s of this host's", (ms > 0 ? ms : -ms) / 1e3,
                       ms > 0 ? "ahead" : "behind");
        else
            doctor_say(d, DOCTOR_OK, "redis.clock", NULL, "clocks differ by %.0f ms", ms > 0 ? ms : -ms);
    }
    if (reply)
        freeReplyObject(reply);
}

/* ---- Metadata and log ----------------------------------------------------------------------------------------------------------- */

/* The latest position; 0: there is none. *wrong says what stands in the place of the metadata. */
static uint64_t read_seq(struct doctor *d, const char **wrong)
{
    static char text[200];
    char key[120];
    const char *why;
    uint64_t seq = 0;
    redisReply *reply;

    *wrong = NULL;
    snprintf(key, sizeof key, "{%s}:meta", doctor_prefix(d));
    reply = REDIS_ASK(d->redis, "hmget", key, "epoch", "seq", "token");
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        snprintf(text, sizeof text, "%s: %s", key, reply && reply->str ? reply->str : "no answer");
        *wrong = text;
    } else if (!reply->element[0]->str != !reply->element[1]->str ||
               !reply->element[1]->str != !reply->element[2]->str ||
               (reply->element[1]->str && parse_number(&seq, reply->element[1]->str, &why))) {
        snprintf(text, sizeof text, "%s is not as libcache writes it", key);
        *wrong = text;
    }
    if (reply)
        freeReplyObject(reply);
    return seq;
}

/* The position of the first record from `from` on; 0: there is none. */
static uint64_t first_record(struct doctor *d, const char *from, const char *to)
{
    char key[120];
    redisReply *reply;
    uint64_t position = 0;

    snprintf(key, sizeof key, "{%s}:log", doctor_prefix(d));
    reply = REDIS_ASK(d->redis, "xrange", key, from, to, "COUNT", "1");
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements && reply->element[0]->elements &&
        reply->element[0]->element[0]->str)
        position = strtoull(reply->element[0]->element[0]->str, NULL, 10);
    if (reply)
        freeReplyObject(reply);
    return position;
}

static void check_log(struct doctor *d)
{
    const char *wrong;
    uint64_t seq = read_seq(d, &wrong), kept, later;
    char at[24];
    double rate;

    if (wrong) {
        doctor_say(d, DOCTOR_ERROR, "redis.prefix", "take a prefix of your own: another program uses this one", "%s",
                   wrong);
        d->redis_works = 0;
        return;
    }
    d->seq = seq;
    if (!seq) {
        doctor_say(d, DOCTOR_OK, "redis.log", NULL, "no change has been made under this prefix yet");
        return;
    }
    snprintf(at, sizeof at, "%llu-0", (unsigned long long)seq);
    d->log_first = first_record(d, "-", "+");
    if (!d->log_first || !first_record(d, at, "+")) {
        doctor_say(d, DOCTOR_WARNING, "redis.log_gap",
                   "has something trimmed or deleted {prefix}:log, or evicted it? Hosts that had not "
                   "read all of it give up their L1",
                   "position %llu is not in the log%s", (unsigned long long)seq,
                   d->log_first ? "" : ", which is empty");
        return;
    }
    d->has_log = 1;
    kept = seq - d->log_first + 1;
    pause_ms(RATE_MS);
    later = read_seq(d, &wrong);
    rate = later > seq ? (double)(later - seq) * 1000 / RATE_MS : 0;
    if (d->log_first > 1 && kept < LOG_FEW)
        doctor_say(
            d, DOCTOR_WARNING, "redis.log_short",
            "raise log_length (default 100000) in all programs: whoever writes trims the log",
            "the log keeps %llu records only, of %llu changes so far: a host that is away for as many gives up its L1",
            (unsigned long long)kept, (unsigned long long)seq);
    else if (d->log_first > 1 && rate > 0 && (double)kept / rate < LOG_SECONDS)
        doctor_say(d, DOCTOR_WARNING, "redis.log_short",
                   "raise log_length, or tell other hosts less: who sets what he has loaded "
                   "should do so with a stamp, which is told to nobody",
                   "the log keeps %llu records: %.0f s at %.0f changes a second", (unsigned long long)kept,
                   (double)kept / rate, rate);
    else
        doctor_say(d, DOCTOR_OK, "redis.log", NULL,
                   "the log keeps %llu records, of %llu changes so far; %.0f a second now", (unsigned long long)kept,
                   (unsigned long long)seq, rate);
}

void doctor_redis_use(struct doctor *d)
{
    d->redis_works = check_permissions(d);
    check_latency(d);
    check_clock(d);
    if (d->redis->err)
        return;
    check_log(d);
    doctor_trip(d);
}
