/*
 * Options and operands: one table says what there is; reading, help and completion follow it. SPDX-License-Identifier: MIT
 *
 * Options may stand anywhere behind the program's name; "--" ends them. What the environment says comes first. A secret
 * (a URL with a password) is taken out of the list of arguments, where other users see it, as soon as it has been read.
 */
#include "tool.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS_MAX = 48, FIRST_LONG = 256, SECRET_MAX = 4096, SECRETS = 6 };

#define AT(field) offsetof(struct args, field)

const struct option_spec common_options[] = {
    { 'n', "name", "NAME", "the segment (LIBCACHE_SEGMENT)", OPTION_TEXT, AT(name), 0, 0 },
    { 'r', "redis", "URL", "the Redis tier; @FILE reads it from a file (LIBCACHE_REDIS_URL)", OPTION_SECRET, AT(redis),
      0, 0 },
    { 0, "prefix", "PREFIX", "of the keys in Redis (LIBCACHE_REDIS_PREFIX; default libcache)", OPTION_TEXT, AT(prefix),
      0, 0 },
    { 0, "identity", "TEXT", "the identity the programs open it with (LIBCACHE_IDENTITY)", OPTION_TEXT, AT(identity), 0,
      0 },
    { 0, "policy-file", "FILE", "the programs' policy file (LIBCACHE_POLICY_FILE)", OPTION_TEXT, AT(policy_file), 0,
      0 },
    { 0, "timeout", "TIME", "what a call may spend on Redis (default 1s)", OPTION_DURATION, AT(timeout_ms), 1,
      3600000 },
    { 'j', "json", NULL, "print JSON", OPTION_FLAG, AT(json), 0, 0 },
    { 'h', "help", NULL, "show this", OPTION_FLAG, AT(help), 0, 0 },
    { 'V', "version", NULL, "show the version", OPTION_FLAG, AT(version), 0, 0 },
    { 0, NULL, NULL, NULL, OPTION_FLAG, 0, 0, 0 },
};

struct table {
    const struct option_spec *specs[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 1];
    char shorts[2 * OPTIONS_MAX + 2];
    size_t n;
};

static void table_add(struct table *table, const struct option_spec *specs)
{
    size_t at = strlen(table->shorts);

    for (; specs && specs->name && table->n < OPTIONS_MAX; specs++) {
        table->specs[table->n] = specs;
        table->longs[table->n] = (struct option){ specs->name, specs->value ? required_argument : no_argument, NULL,
                                                  FIRST_LONG + (int)table->n };
        table->n++;
        if (specs->letter) {
            table->shorts[at++] = specs->letter;
            if (specs->value)
                table->shorts[at++] = ':';
            table->shorts[at] = '\0';
        }
    }
}

static const struct option_spec *table_find(const struct table *table, int found)
{
    if (found >= FIRST_LONG)
        return table->specs[found - FIRST_LONG];
    for (size_t i = 0; i < table->n; i++)
        if (table->specs[i]->letter == found)
            return table->specs[i];
    return NULL;
}

/* ---- Values ------------------------------------------------------------------------------------------------------------- */

/* The first line of a file, for secrets. NULL after having told. */
static const char *first_line(const char *path)
{
    static char line[SECRET_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

    if (fd >= 0)
        close(fd);
    if (size < 0) {
        fail(TOOL_USAGE, "--redis @%s: %m", path);
        return NULL;
    }
    line[size] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line) {
        fail(TOOL_USAGE, "--redis @%s: its first line is empty", path);
        return NULL;
    }
    return line;
}

static int take_secret(const char **out, char *value, int from_arguments)
{
    static char kept[SECRETS][SECRET_MAX]; /* of the environment, then of the arguments: each option may come twice */
    static size_t n;
    const char *text = value;

    if (*value == '@') {
        text = first_line(value + 1);
        if (!text)
            return TOOL_USAGE;
        from_arguments = 0;
    }
    if (n == SECRETS || strlen(text) >= SECRET_MAX)
        return fail(TOOL_USAGE, "the URL of Redis is too long, or was said too often");
    snprintf(kept[n], SECRET_MAX, "%s", text);
    *out = kept[n++];
    if (from_arguments && strchr(value, '@'))
        memset(value, '*', strlen(value));
    return TOOL_OK;
}

/* What follows "libcache ..." in a message: the command, if it is known yet. */
static const char *before(const struct args *args, char out[64])
{
    snprintf(out, 64, "%s%s", args->command ? args->command : "", args->command ? ": " : "");
    return out;
}

static int take_number(const struct args *args, const struct option_spec *spec, const char *value, uint64_t *out)
{
    const char *why;
    char name[64];
    int bad = spec->kind == OPTION_DURATION ? parse_duration(out, value, &why)
              : spec->kind == OPTION_SIZE   ? parse_size(out, value, &why)
                                            : parse_number(out, value, &why);

    if (bad)
        return fail(TOOL_USAGE, "%s--%s %s: %s", before(args, name), spec->name, value, why);
    if (*out < spec->least || *out > spec->most)
        return fail(TOOL_USAGE, "%s--%s %s: must be %llu to %llu%s", before(args, name), spec->name, value,
                    (unsigned long long)spec->least, (unsigned long long)spec->most,
                    spec->kind == OPTION_DURATION ? " milliseconds"
                    : spec->kind == OPTION_SIZE   ? " bytes"
                                                  : "");
    return TOOL_OK;
}

static int take(struct args *args, const struct option_spec *spec, char *value, int from_arguments)
{
    char *place = (char *)args + spec->offset;

    switch (spec->kind) {
    case OPTION_FLAG: *(int *)(void *)place = 1; return TOOL_OK;
    case OPTION_TEXT: *(const char **)(void *)place = value; return TOOL_OK;
    case OPTION_SECRET: return take_secret((const char **)(void *)place, value, from_arguments);
    case OPTION_LIST:
        args->tags[args->n_tags++] = value; /* the only list; as long as argv */
        return TOOL_OK;
    default: return take_number(args, spec, value, (uint64_t *)(void *)place);
    }
}

static int take_environment(struct args *args)
{
    static const struct {
        const char *variable, *option;
    } all[] = {
        { "LIBCACHE_SEGMENT", "name" },
        { "LIBCACHE_REDIS_URL", "redis" },
        { "LIBCACHE_REDIS_PREFIX", "prefix" },
        { "LIBCACHE_IDENTITY", "identity" },
        { "LIBCACHE_POLICY_FILE", "policy-file" },
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *value = getenv(all[i].variable);
        const struct option_spec *spec = common_options;
        int result = TOOL_OK;
        while (strcmp(spec->name, all[i].option) != 0)
            spec++;
        if (value && *value)
            result = take(args, spec, value, 0);
        if (result != TOOL_OK)
            return result;
    }
    return TOOL_OK;
}

/* ---- The command line ------------------------------------------------------------------------------------------------------ */

/* The command is the first operand; the options before it are the common ones. Gives its place in argv, or 0. */
static int find_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1 < argc ? i + 1 : 0;
        if (argv[i][0] != '-' || !argv[i][1])
            return i;
        for (const struct option_spec *spec = common_options; spec->name; spec++)
            if (spec->value && ((argv[i][1] == spec->letter && !argv[i][2]) ||
                                (argv[i][1] == '-' && strcmp(argv[i] + 2, spec->name) == 0)))
                i++;
    }
    return 0;
}

/* As getopt takes it: "-x", or "--name" with what follows "=" cut off. */
static int fail_option(const struct args *args, int found, int letter, const char *word)
{
    char name[64];

    if (letter && letter < FIRST_LONG)
        return fail(TOOL_USAGE, found == ':' ? "%s-%c: a value is missing" : "%sthere is no option -%c; see --help",
                    before(args, name), letter);
    return fail(TOOL_USAGE,
                found == ':' ? "%s%.60s: a value is missing"
                : letter     ? "%s%.60s: takes no value"
                             : "%sthere is no option %.60s, or several begin so; see --help",
                before(args, name), word);
}

int args_read(struct args *args, int argc, char **argv, const struct command *(*find)(const char *name))
{
    struct table table;
    const struct command *command = NULL;
    int at = find_command(argc, argv), found, result;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) /* so that what fails early is told as JSON, too */
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
            set_fail_json(1);
    args->tags = calloc((size_t)argc + 1, sizeof *args->tags);
    if (!args->tags)
        return fail(TOOL_FAILED, "no memory");
    result = take_environment(args);
    if (result != TOOL_OK)
        return result;
    if (at) {
        command = find(argv[at]);
        if (!command)
            return fail(TOOL_USAGE, "there is no command %.40s; see libcache --help", argv[at]);
        args->command = command->name;
        args->chosen = command;
    }
    memset(&table, 0, sizeof table);
    table.shorts[0] = ':';
    table_add(&table, common_options);
    table_add(&table, command ? command->options : NULL);
    while ((found = getopt_long(argc, argv, table.shorts, table.longs, NULL)) != -1) {
        const struct option_spec *spec = table_find(&table, found);
        if (found == '?' || found == ':' || !spec)
            return fail_option(args, found, optopt, argv[optind - 1]);
        result = take(args, spec, optarg, 1);
        if (result != TOOL_OK)
            return result;
    }
    set_fail_json(args->json);
    args->operands = argv + optind + (command ? 1 : 0);
    args->n_operands = argc - optind - (command ? 1 : 0);
    if (command && !args->help && !args->version &&
        (args->n_operands < command->least || (command->most >= 0 && args->n_operands > command->most)))
        return fail(TOOL_USAGE, "%s: %s; usage: libcache %s %s", command->name,
                    args->n_operands < command->least ? "something is missing" : "too many operands", command->name,
                    command->operands);
    return TOOL_OK;
}

void args_free(struct args *args)
{
    free((void *)args->tags);
}
