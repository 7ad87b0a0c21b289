/* Commands, their options and help. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct args, field)
#define END                                       \
    {                                             \
        0, NULL, NULL, NULL, OPTION_FLAG, 0, 0, 0 \
    }
#define TTL_MOST UINT64_MAX

static const struct option_spec get_options[] = {
    { 'L', "local", NULL, "look into the segment only, not into Redis", OPTION_FLAG, AT(local), 0, 0 },
    { 't', "times", NULL, "show age, TTL, codec and flags, too", OPTION_FLAG, AT(times), 0, 0 },
    END,
};
static const struct option_spec set_options[] = {
    { 'T', "ttl", "TIME", "how long it lives (default: the policy's)", OPTION_DURATION, AT(ttl_ms), 1, TTL_MOST },
    { 't', "tag", "TAG", "a tag; may be said several times", OPTION_LIST, 0, 0, 0 },
    { 'f', "file", "FILE", "the value is this file's content (-: standard input)", OPTION_TEXT, AT(file), 0, 0 },
    { 'c', "codec", "NUMBER", "the codec byte (default 0: bytes)", OPTION_NUMBER, AT(codec), 0, 255 },
    { 0, "flags", "NUMBER", "the 32 bits of the application", OPTION_NUMBER, AT(flags), 0, UINT32_MAX },
    { 0, "negative", NULL, "store \"known to be missing\" instead of a value", OPTION_FLAG, AT(negative), 0, 0 },
    { 'a', "add", NULL, "only if there is none", OPTION_FLAG, AT(add), 0, 0 },
    { 'L', "local", NULL, "in the segment only, not in Redis", OPTION_FLAG, AT(local), 0, 0 },
    { 0, "no-publish", NULL, "tell no other host", OPTION_FLAG, AT(publish_not), 0, 0 },
    END,
};
static const struct option_spec del_options[] = {
    { 'L', "local", NULL, "in the segment only, not in Redis", OPTION_FLAG, AT(local), 0, 0 },
    { 0, "no-publish", NULL, "tell no other host", OPTION_FLAG, AT(publish_not), 0, 0 },
    END,
};
static const struct option_spec invalidate_options[] = {
    { 't', "tag", "TAG", "all entries with this tag; may be said several times", OPTION_LIST, 0, 0, 0 },
    { 'N', "namespace", "NAME", "all entries of this namespace", OPTION_TEXT, AT(namespace_name), 0, 0 },
    { 'a', "all", NULL, "everything", OPTION_FLAG, AT(all), 0, 0 },
    { 'L', "local", NULL, "on this host only", OPTION_FLAG, AT(local), 0, 0 },
    END,
};
static const struct option_spec clear_options[] = {
    { 'y', "yes", NULL, "do not ask", OPTION_FLAG, AT(yes), 0, 0 },
    { 'L', "local", NULL, "on this host only", OPTION_FLAG, AT(local), 0, 0 },
    END,
};
static const struct option_spec ls_options[] = {
    { 'N', "namespace", "PATTERN", "only of these namespaces", OPTION_TEXT, AT(namespace_name), 0, 0 },
    { 't', "tag", "TAG", "only with this tag; with several: with one of them", OPTION_LIST, 0, 0, 0 },
    { 'k', "keys", NULL, "print keys only, one a line", OPTION_FLAG, AT(names_only), 0, 0 },
    { 'v', "values", NULL, "print the values, too", OPTION_FLAG, AT(values), 0, 0 },
    { 'l', "limit", "NUMBER", "at most so many entries", OPTION_NUMBER, AT(limit), 1, UINT64_MAX },
    END,
};
static const struct option_spec segments_options[] = {
    { 'a', "all", NULL, "those of other users, too", OPTION_FLAG, AT(all), 0, 0 },
    { 'k', "names", NULL, "print names only, one a line", OPTION_FLAG, AT(names_only), 0, 0 },
    END,
};
static const struct option_spec top_options[] = {
    { '1', "once", NULL, "print one table and end", OPTION_FLAG, AT(once), 0, 0 },
    { 'c', "count", "NUMBER", "end after so many tables", OPTION_NUMBER, AT(count), 1, UINT64_MAX },
    { 'i', "interval", "TIME", "between two tables (default 1s)", OPTION_DURATION, AT(interval_ms), 50, 3600000 },
    { 's', "sort", "COLUMN", "name, gets, miss, evict or bytes (default gets)", OPTION_TEXT, AT(sort), 0, 0 },
    END,
};
static const struct option_spec metrics_options[] = {
    { 'l', "listen", "[ADDRESS:]PORT", "serve them over HTTP, on a loopback address", OPTION_TEXT, AT(listen), 0, 0 },
    { 'c', "count", "NUMBER", "with --listen: end after so many answers", OPTION_NUMBER, AT(count), 1, UINT64_MAX },
    END,
};
static const struct option_spec trace_options[] = {
    { 'o', "output", "FILE", "write it there (default: standard output)", OPTION_TEXT, AT(file), 0, 0 },
    { 's', "seconds", "TIME", "for so long (default 60s); Ctrl-C ends it sooner", OPTION_DURATION, AT(seconds_ms), 1,
      UINT64_C(604800000) },
    { 'R', "rate", "SHARE", "of the keys: 0.01 or 1% (default: about 10,000 keys)", OPTION_TEXT, AT(rate), 0, 0 },
    { 'N', "namespace", "NAME", "only of this namespace", OPTION_TEXT, AT(namespace_name), 0, 0 },
    END,
};
static const struct option_spec warm_options[] = {
    { 'N', "namespace", "NAME", "of keys that come without one", OPTION_TEXT, AT(namespace_name), 0, 0 },
    { 'F', "format", "FORMAT", "keys, tsv or json (default: by the first line)", OPTION_TEXT, AT(format), 0, 0 },
    { 'T', "ttl", "TIME", "of values that come without one (default: the policy's)", OPTION_DURATION, AT(ttl_ms), 1,
      TTL_MOST },
    { 'b', "batch", "NUMBER", "so many at a time (default 256)", OPTION_NUMBER, AT(batch), 1, 4096 },
    END,
};
static const struct option_spec bench_options[] = {
    { 's', "seconds", "TIME", "all in all, about (default 5s)", OPTION_DURATION, AT(seconds_ms), 500, 600000 },
    { 'm', "memory", "SIZE", "of the private segment (default 64MiB)", OPTION_SIZE, AT(memory_bytes), 1 << 20,
      UINT64_C(1) << 36 },
    { 'k', "keys", "NUMBER", "so many keys (default 100000)", OPTION_NUMBER, AT(count), 100, 10000000 },
    { 'z', "size", "SIZE", "of a value (default 100B)", OPTION_SIZE, AT(size_bytes), 1, 1 << 16 },
    END,
};
static const struct option_spec doctor_options[] = {
    { 0, "admin-redis", "URL", "a user who may use INFO and CONFIG GET (LIBCACHE_REDIS_ADMIN_URL)", OPTION_SECRET,
      AT(admin), 0, 0 },
    { 0, "max-staleness", "TIME", "what the programs open it with (default 2s)", OPTION_DURATION, AT(max_staleness_ms),
      10, 3600000 },
    { 0, "redis-timeout", "TIME", "what the programs allow a call (default 250ms)", OPTION_DURATION, AT(slower_ms), 1,
      3600000 },
    END,
};

static const struct command commands[] = {
    { "stat", "", "what a segment holds and has done",
      "Shows the segment's figures, then those of each namespace since the segment was made.", NULL, 0, 0, cmd_stat },
    { "top", "", "namespaces, live",
      "Shows for each namespace, and for all, what happened in the last interval. q or Ctrl-C ends it.\n"
      "Where standard output is no terminal, or with --once or --count, tables are printed one after the other.\n"
      "The first table needs one interval to measure.",
      top_options, 0, 0, cmd_top },
    { "get", "NAMESPACE KEY", "print a value",
      "Prints the value as it is, and nothing else; on a terminal, what is no text is shown as \\xNN.\n"
      "Ends with 1 when there is none.",
      get_options, 2, 2, cmd_get },
    { "set", "NAMESPACE KEY [VALUE]", "store a value",
      "Stores VALUE, or what --file says. Namespaces come into being by it.", set_options, 2, 3, cmd_set },
    { "del", "NAMESPACE KEY...", "delete entries", "Deletes the keys, on every host. Ends with 1 when none was there.",
      del_options, 2, -1, cmd_del },
    { "invalidate", "", "end all entries of a tag or namespace, or all",
      "Ends entries without looking for them, however many there are. One of --tag, --namespace and --all must be "
      "said.",
      invalidate_options, 0, 0, cmd_invalidate },
    { "clear", "", "end everything", "The same as invalidate --all, after asking.", clear_options, 0, 0, cmd_clear },
    { "ls", "[PATTERN]", "list entries (also: scan)",
      "Lists the entries of the segment whose keys match PATTERN (* ? [a-z]). Entries that come or move meanwhile may "
      "be\n"
      "left out or seen twice. What is in Redis only is not listed. Tags are known by their hashes; those said with "
      "--tag\n"
      "are named.",
      ls_options, 0, 1, cmd_ls },
    { "segments", "", "list the named segments of this host",
      "Lists them with size and whether a process has them open.", segments_options, 0, 0, cmd_segments },
    { "doctor", "", "look for what is wrong, and say what to do",
      "Checks the segment (-n), the host and Redis (--redis). Ends with 1 when it has found something.\n"
      "It leaves nothing behind, but for a few records in the log in Redis.",
      doctor_options, 0, 0, cmd_doctor },
    { "metrics", "", "metrics for Prometheus",
      "Prints the segment's metrics in the OpenMetrics format, or serves them at /metrics.", metrics_options, 0, 0,
      cmd_metrics },
    { "trace", "", "write down what happens to a sample of the keys, for bench-replay",
      "Writes down every read, store and deletion of a sample of the keys, by all processes that use the segment, with hashes in\n"
      "place of keys. bench-replay tells from it what other sizes of the cache would miss. The programs go on as they are; one\n"
      "trace of a segment at a time.",
      trace_options, 0, 0, cmd_trace },
    { "warm", "FILE", "fill the cache from a file",
      "FILE (-: standard input) has one entry a line:\n"
      "  keys   \"KEY\", or \"KEY SIZE\" as in traces: fetched from Redis into the segment\n"
      "  tsv    \"KEY<tab>VALUE\", or \"NAMESPACE<tab>KEY<tab>VALUE\"\n"
      "  json   objects with key (or key_base64), value (or value_base64) and, where wanted, namespace, ttl_ms, tags,\n"
      "         codec, flags; what ls --values --json prints can be read, too. Without a value: as keys.",
      warm_options, 1, 1, cmd_warm },
    { "bench", "", "what this machine gives",
      "Measures get, set and more on a private segment of its own for some seconds, and with --redis what goes to "
      "Redis.",
      bench_options, 0, 0, cmd_bench },
};

static const struct command *find_command(const char *name)
{
    if (strcmp(name, "scan") == 0)
        name = "ls";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_options(const struct option_spec *spec)
{
    for (; spec && spec->name; spec++) {
        char words[64];
        snprintf(words, sizeof words, "%c%c%s--%s%s%s", spec->letter ? '-' : ' ', spec->letter ? spec->letter : ' ',
                 spec->letter ? ", " : "  ", spec->name, spec->value ? " " : "", spec->value ? spec->value : "");
        printf("  %-28s %s\n", words, spec->help);
    }
}

static int help(const char *name)
{
    const struct command *command = name ? find_command(name) : NULL;

    if (command) {
        printf("usage: libcache %s [options]%s%s\n\n%s\n", command->name, *command->operands ? " " : "",
               command->operands, command->help);
        if (command->options) {
            puts("\nOptions:");
            print_options(command->options);
        }
    } else {
        puts("usage: libcache COMMAND [options] ...\n\nLooks into libcache's segments and Redis tier, and changes what "
             "is there.\n\n"
             "Commands:");
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            printf("  %-10s  %s\n", commands[i].name, commands[i].summary);
    }
    puts("\nCommon options:");
    print_options(common_options);
    if (!command)
        puts("\nlibcache COMMAND --help says more. Exit codes: 0 done, 1 not there (doctor: something found), 2 wrong "
             "usage,\n"
             "3 segment, 4 Redis, 5 anything else. See also libcache(1).");
    return TOOL_OK;
}

static int version(const struct args *args)
{
    if (args->json) {
        json_open(NULL, '{');
        json_text("version", libcache_version());
    } else {
        printf("libcache %s\n", libcache_version());
    }
    return TOOL_OK;
}

int main(int argc, char **argv)
{
    struct args args;
    int result;

    memset(&args, 0, sizeof args);
    result = args_read(&args, argc, argv, find_command);
    if (result == TOOL_OK) {
        if (args.help)
            result = help(args.command);
        else if (args.version)
            result = version(&args);
        else if (args.chosen)
            result = args.chosen->run(&args);
        else
            result = fail(TOOL_USAGE, "which command? See libcache --help");
    }
    json_end();
    args_free(&args);
    if (fflush(stdout) != 0 || ferror(stdout))
        result = fail(TOOL_FAILED, "standard output: %s", strerror(errno));
    return result;
}
