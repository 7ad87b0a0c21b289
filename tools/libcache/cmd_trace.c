/*
 * trace: what happens to a sample of the keys of a live segment, as bench-replay reads it. SPDX-License-Identifier: MIT
 *
 *     # libcache trace 1              lines with a # are about the trace
 *     # rate 0.01
 *     # namespace 0 user
 *     9c3e51d2a7b60f18 120 9 hit 153 0       hash of the key, sizes of value (-: not known) and key, what, ms, namespace
 *     # end reads 812345 records 8110 dropped 0 seconds 30.0
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SECONDS_MS 60000
#define KEYS_WANTED 10000.0 /* of those that are there: so many make curves within a hundredth or so */
#define LEAST_RATE 1e-6
#define AT_ONCE 1024
#define PAUSE_MS 1   /* small segments have small queues: some hundred records */
#define LOOK_MS 1000 /* whether the segment is still the one of that name */
#define SPACES 4096

struct tracing {
    FILE *out;
    const char *file; /* NULL: standard output */
    double rate, seconds;
    uint64_t records;
    int moved;
    unsigned char told[SPACES]; /* namespaces whose name is in the file */
};

static int read_rate(double *rate, const struct args *args)
{
    char *end;

    if (!args->rate)
        return TOOL_OK;
    errno = 0;
    *rate = strtod(args->rate, &end);
    if (strcmp(end, "%") == 0) {
        *rate /= 100;
        end++;
    }
    if (end == args->rate || *end || errno || !(*rate >= LEAST_RATE && *rate <= 1))
        return fail(TOOL_USAGE, "--rate %s: must be a share of the keys, as 0.01 or 1%%, of at least %g and at most 1",
                    args->rate, LEAST_RATE);
    return TOOL_OK;
}

static double choose_rate(libcache *cache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    double rate = 1;

    if (libcache_read_stats(cache, &stats) == LIBCACHE_OK && (double)stats.entries > KEYS_WANTED)
        rate = KEYS_WANTED / (double)stats.entries;
    return rate;
}

static const char *word_of(const libcache_trace_record *r)
{
    if (r->op == LIBCACHE_TRACE_SET)
        return "set";
    if (r->op == LIBCACHE_TRACE_DELETE)
        return "delete";
    if (r->tier == LIBCACHE_TIER_L2)
        return r->result == LIBCACHE_HIT ? "hit-l2" : r->result == LIBCACHE_STALE ? "stale-l2" : "negative-l2";
    return result_name(r->result);
}

static void print_record(struct tracing *t, const libcache_trace_record *r)
{
    if (r->ns < SPACES && !t->told[r->ns]) {
        t->told[r->ns] = 1;
        fprintf(t->out, "# namespace %u %s\n", r->ns, r->ns_name);
    }
    fprintf(t->out, "%016llx ", (unsigned long long)r->key);
    if (r->op == LIBCACHE_TRACE_DELETE || (r->op == LIBCACHE_TRACE_GET && r->result == LIBCACHE_MISS))
        putc('-', t->out);
    else
        fprintf(t->out, "%u", r->size);
    fprintf(t->out, " %u %s %llu %u\n", r->key_size, word_of(r), (unsigned long long)r->time_ms, r->ns);
    t->records++;
}

static void print_head(const struct tracing *t, const struct target *target)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(target->cache, &stats);
    fprintf(t->out, "# libcache trace 1\n# rate %.9g\n# segment %s\n# memory_bytes %llu\n# entries %llu\n", t->rate,
            target->name, (unsigned long long)stats.memory_bytes, (unsigned long long)stats.entries);
}

static int copy_records(struct tracing *t, libcache_trace *trace)
{
    static libcache_trace_record records[AT_ONCE];
    size_t got = AT_ONCE;
    int result = LIBCACHE_OK;

    while (result == LIBCACHE_OK && got == AT_ONCE) {
        result = libcache_trace_read(trace, records, AT_ONCE, &got);
        for (size_t i = 0; result == LIBCACHE_OK && i < got; i++)
            print_record(t, &records[i]);
    }
    return result;
}

/* Until the time is over, a signal comes, or something fails. */
static int run(struct tracing *t, const struct target *target, libcache_trace *trace, uint64_t for_ms)
{
    uint64_t begun = now_ns(), until = begun + for_ms * UINT64_C(1000000), look = begun + LOOK_MS * UINT64_C(1000000),
             now;
    int result;

    do {
        result = copy_records(t, trace);
        if (result != LIBCACHE_OK || ferror(t->out))
            break;
        now = now_ns();
        if (now >= look) {
            fflush(t->out); /* who reads the other end of a pipe is to see something */
            look = now + LOOK_MS * UINT64_C(1000000);
            t->moved = target_moved(target);
        }
    } while (!t->moved && now < until && pause_ms(PAUSE_MS));
    if (result == LIBCACHE_OK)
        result = copy_records(t, trace);
    t->seconds = (double)(now_ns() - begun) / 1e9;
    return result;
}

static int tell(const struct tracing *t, const struct target *target, const libcache_trace_stats *stats, int json)
{
    FILE *to = t->file ? stdout : stderr;

    if (json) {
        json_open(NULL, '{');
        json_text("segment", target->name);
        json_text("file", t->file);
        json_real("rate", t->rate);
        json_real("seconds", t->seconds);
        json_number("records", t->records);
        json_number("reads", stats->reads);
        json_number("dropped", stats->dropped);
        json_bool("replaced", t->moved);
        json_close();
    } else {
        fprintf(to, "%llu records of %.4g %% of the keys in %.1f s, which had %llu reads in all; %llu dropped\n",
                (unsigned long long)t->records, t->rate * 100, t->seconds, (unsigned long long)stats->reads,
                (unsigned long long)stats->dropped);
    }
    if (!json && stats->dropped * 100 > t->records)
        fprintf(to, "That is more than one in a hundred: the replay will not be right. Take a lower --rate.\n");
    if (t->moved)
        return fail(TOOL_SEGMENT, "trace: segment %s was removed or replaced", target->name);
    return TOOL_OK;
}

static int trace_to(struct tracing *t, const struct target *target, const struct args *args)
{
    libcache_trace_options options = LIBCACHE_TRACE_OPTIONS_INIT;
    libcache_trace_stats stats = LIBCACHE_TRACE_STATS_INIT;
    libcache_trace *trace;
    libcache_error error;
    int result;

    options.rate = t->rate;
    options.ns_name = args->namespace_name;
    print_head(t, target);
    result = libcache_trace_begin(&trace, target->cache, &options, &error);
    if (result != LIBCACHE_OK)
        return fail(result == LIBCACHE_ENOTFOUND ? TOOL_NO : exit_code_of(result), "trace: %s", error.text);
    fflush(t->out); /* who waits for it to begin sees that it has */
    result = run(t, target, trace, args->seconds_ms ? args->seconds_ms : DEFAULT_SECONDS_MS);
    libcache_trace_status(trace, &stats);
    libcache_trace_end(trace);
    fprintf(t->out, "# end reads %llu records %llu dropped %llu seconds %.1f\n", (unsigned long long)stats.reads,
            (unsigned long long)t->records, (unsigned long long)stats.dropped, t->seconds);
    if (fflush(t->out) != 0 || ferror(t->out))
        return fail(TOOL_FAILED, "%s: %s", t->file ? t->file : "standard output", strerror(errno));
    if (result != LIBCACHE_OK)
        return fail(TOOL_SEGMENT,
                    "trace: it has ended by itself: it was not read for too long, or the segment was opened anew");
    return tell(t, target, &stats, args->json);
}

int cmd_trace(struct args *args)
{
    struct tracing *t;
    struct target target;
    double rate = 0;
    int code = read_rate(&rate, args);

    if (code != TOOL_OK)
        return code;
    if (!args->name)
        return fail(TOOL_USAGE, "trace: say which segment with -n NAME (or LIBCACHE_SEGMENT)");
    if (args->json && !args->file)
        return fail(TOOL_USAGE, "trace: --json tells what came of it on standard output: say --output FILE, too");
    code = target_change(&target, args);
    if (code != TOOL_OK)
        return code;
    t = calloc(1, sizeof *t);
    if (!t) {
        target_close(&target);
        return fail(TOOL_FAILED, "trace: no memory");
    }
    t->rate = rate > 0 ? rate : choose_rate(target.cache);
    t->file = args->file;
    t->out = args->file ? fopen(args->file, "we") : stdout;
    if (!t->out) {
        code = fail(TOOL_FAILED, "%s: %s", args->file, strerror(errno));
    } else {
        catch_signals(1);
        code = trace_to(t, &target, args);
        if (args->file && fclose(t->out) != 0 && code == TOOL_OK)
            code = fail(TOOL_FAILED, "%s: %s", args->file, strerror(errno));
    }
    free(t);
    target_close(&target);
    return code;
}
