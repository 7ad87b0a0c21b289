/* get, set, del. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VOUCHED_MS 2000 /* max_staleness_ms, unless programs say another */

/* ---- get ---------------------------------------------------------------------------------------------------------------- */

static void print_value_json(const struct args *args, int result, const libcache_value *value)
{
    json_open(NULL, '{');
    json_bytes("namespace", args->operands[0], strlen(args->operands[0]));
    json_bytes("key", args->operands[1], strlen(args->operands[1]));
    json_text("result", result_name(result));
    if (result == LIBCACHE_MISS)
        return;
    json_text("tier", value->tier == LIBCACHE_TIER_L2 ? "L2" : "L1");
    if (result != LIBCACHE_NEGATIVE)
        json_bytes("value", value->data, value->size);
    json_number("codec", value->codec);
    json_text("codec_name", codec_name(value->codec));
    json_number("flags", value->flags);
    json_number("age_ms", value->age_ms);
    if (value->ttl_left_ms == LIBCACHE_FOREVER)
        json_null("ttl_left_ms");
    else
        json_number("ttl_left_ms", value->ttl_left_ms);
    json_number("load_ms", value->load_ms);
}

static void print_times(int result, const libcache_value *value)
{
    char age[SHORT_TEXT], left[SHORT_TEXT];
    const char *codec = codec_name(value->codec);

    fprintf(stderr, "%s from L%c, age %s, ttl left %s, %zu bytes, codec %u%s%s%s, flags %u\n", result_name(result),
            value->tier == LIBCACHE_TIER_L2 ? '2' : '1', show_ms(age, value->age_ms), show_ms(left, value->ttl_left_ms),
            result == LIBCACHE_NEGATIVE ? (size_t)0 : value->size, value->codec, codec ? " (" : "", codec ? codec : "",
            codec ? ")" : "", value->flags);
}

static int print_value(const struct args *args, int result, const libcache_value *value)
{
    if (args->json) {
        print_value_json(args, result, value);
    } else if (result == LIBCACHE_HIT || result == LIBCACHE_STALE) {
        if (args->times)
            print_times(result, value);
        if (isatty(STDOUT_FILENO)) {
            print_safe(stdout, value->data, value->size);
            putchar('\n');
        } else {
            fwrite(value->data, 1, value->size, stdout);
        }
    } else if (result == LIBCACHE_NEGATIVE) {
        if (args->times)
            print_times(result, value);
        fputs("libcache: negative: the key is known to be missing at the source\n", stderr);
    } else {
        fputs("libcache: miss\n", stderr);
    }
    return result == LIBCACHE_MISS ? TOOL_NO : TOOL_OK;
}

/* Looks into one place: the segment, or Redis. *result is the answer; MISS where there is no such namespace. */
static int look(const struct args *args, const struct target *target, libcache_value *value, int *result)
{
    const char *key = args->operands[1];
    libcache_error error;
    libcache_ns *ns = NULL;

    *result = libcache_open_namespace(&ns, target->cache, args->operands[0], NULL, &error);
    if (*result == LIBCACHE_ENOTFOUND) {
        *result = LIBCACHE_MISS;
        return TOOL_OK;
    }
    if (*result != LIBCACHE_OK)
        return fail(exit_code_of(*result), "%s", error.text);
    *result = libcache_get(ns, key, strlen(key), value, LIBCACHE_TIMES);
    return *result < 0 ? fail_result(*result, "get") : TOOL_OK;
}

/* Why L1 may have nothing to say although the key is there. */
static void explain_miss(const struct target *target)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    char age[SHORT_TEXT];

    if (libcache_read_stats(target->cache, &stats) == LIBCACHE_OK && stats.epochs &&
        stats.coherence_age_ms > VOUCHED_MS)
        fprintf(stderr,
                "libcache: this host has heard nothing of Redis for %s, so its L1 vouches for nothing; --redis URL "
                "asks Redis\n",
                show_ms(age, stats.coherence_age_ms));
}

/* The segment is only looked at: what is not there is asked of Redis past it, so that nothing of this changes it. */
int cmd_get(struct args *args)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct target target;
    int result = LIBCACHE_MISS, code = TOOL_OK;

    if (args->name || !args->redis) {
        code = target_look(&target, args);
        if (code != TOOL_OK)
            return code;
        code = look(args, &target, &value, &result);
        if (code == TOOL_OK && result == LIBCACHE_MISS && (!args->redis || args->local))
            explain_miss(&target);
    }
    if (code == TOOL_OK && result == LIBCACHE_MISS && args->redis && !args->local) {
        libcache_stats stats = LIBCACHE_STATS_INIT;
        if (args->name) {
            libcache_release_value(&value);
            target_close(&target);
        }
        code = target_open_redis(&target, args);
        if (code != TOOL_OK)
            return code;
        code = look(args, &target, &value, &result);
        libcache_read_stats(target.cache, &stats);
        if (code == TOOL_OK && result == LIBCACHE_MISS && stats.l2_errors)
            code = fail(TOOL_REDIS, "get: %s did not answer as it should; libcache doctor may say why",
                        url_shown(args->redis));
    }
    if (code == TOOL_OK)
        code = print_value(args, result, &value);
    libcache_release_value(&value);
    target_close(&target);
    return code;
}

/* ---- set ---------------------------------------------------------------------------------------------------------------- */

/* A file's content; "-" is standard input. */
static int read_all(const char *path, char **data, size_t *size)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t room = 0, used = 0;
    ssize_t n = 1;
    char *larger;

    *data = NULL;
    if (fd < 0)
        return fail(TOOL_FAILED, "%s: %s", path, strerror(errno));
    while (n > 0) {
        if (used == room) {
            room = room ? 2 * room : 65536;
            larger = room <= (size_t)512 << 20 ? realloc(*data, room) : NULL;
            if (!larger)
                break;
            *data = larger;
        }
        n = read(fd, *data + used, room - used);
        if (n > 0)
            used += (size_t)n;
    }
    if (fd != STDIN_FILENO)
        close(fd);
    *size = used;
    return n == 0  ? TOOL_OK
           : n < 0 ? fail(TOOL_FAILED, "%s: %s", path, strerror(errno))
                   : fail(TOOL_USAGE, "%s: too large", path);
}

/* What a change that Redis did not take has come to. */
static int fail_change(const struct target *target, int result, const char *what)
{
    if (exit_code_of(result) != TOOL_REDIS)
        return fail_result(result, "%s", what);
    return fail(TOOL_REDIS, "%s: %s; %s", what, libcache_describe(result),
                *target->name ? "done on this host, and owed to Redis: the segment's programs will tell it"
                              : "not done");
}

static int store(const struct args *args, const struct target *target, libcache_ns *ns, const void *data, size_t size)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    const char *key = args->operands[1];
    libcache_slice *tags = calloc(args->n_tags + 1, sizeof *tags);
    int result;

    if (!tags)
        return fail(TOOL_FAILED, "no memory");
    for (size_t i = 0; i < args->n_tags; i++)
        tags[i] = (libcache_slice){ args->tags[i], strlen(args->tags[i]) };
    options.ttl_ms = args->ttl_ms;
    options.tags = tags;
    options.n_tags = args->n_tags;
    options.codec = (uint8_t)args->codec;
    options.user_flags = (uint32_t)args->flags;
    options.flags = (args->negative ? LIBCACHE_NEG : 0u) | (args->local ? LIBCACHE_SKIP_L2 : 0u) |
                    (args->publish_not ? LIBCACHE_NO_PUBLISH : 0u);
    result = (args->add ? libcache_add : libcache_set)(ns, key, strlen(key), data, size, &options);
    free(tags);
    if (result < 0)
        return fail_change(target, result, "set");
    if (args->json) {
        json_open(NULL, '{');
        json_text("result", result_name(result));
    } else if (result == LIBCACHE_EXISTS) {
        fputs("libcache: there is one already; nothing was stored\n", stderr);
    }
    return result == LIBCACHE_OK ? TOOL_OK : TOOL_NO;
}

int cmd_set(struct args *args)
{
    const char *given = args->n_operands == 3 ? args->operands[2] : NULL;
    struct target target;
    libcache_ns *ns = NULL;
    char *data = NULL;
    size_t size = given ? strlen(given) : 0;
    int code = TOOL_OK;

    if (!!given + !!args->file + args->negative != 1)
        return fail(TOOL_USAGE, "set: say one of VALUE, --file FILE and --negative");
    if (args->file)
        code = read_all(args->file, &data, &size);
    if (code == TOOL_OK) {
        code = target_change(&target, args);
        if (code == TOOL_OK) {
            code = target_namespace(&ns, &target, args->operands[0]);
            if (code == TOOL_OK)
                code = store(args, &target, ns, data ? data : given ? given : "", size);
            target_close(&target);
        }
    }
    free(data);
    return code;
}

/* ---- del ---------------------------------------------------------------------------------------------------------------- */

static unsigned change_flags(const struct args *args)
{
    return (args->local ? LIBCACHE_SKIP_L2 : 0u) | (args->publish_not ? LIBCACHE_NO_PUBLISH : 0u);
}

static int delete_keys(const struct args *args, const struct target *target, libcache_ns *ns)
{
    size_t n = (size_t)args->n_operands - 1, deleted = 0;
    libcache_slice *keys = calloc(n, sizeof *keys);
    int result;

    if (!keys)
        return fail(TOOL_FAILED, "no memory");
    for (size_t i = 0; i < n; i++)
        keys[i] = (libcache_slice){ args->operands[i + 1], strlen(args->operands[i + 1]) };
    result = libcache_delete_many(ns, keys, n, &deleted, change_flags(args));
    free(keys);
    if (result < 0)
        return fail_change(target, result, "del");
    if (args->json) {
        json_open(NULL, '{');
        json_number("asked", n);
        json_number("deleted", deleted);
    } else {
        printf("%zu of %zu deleted\n", deleted, n);
    }
    return deleted ? TOOL_OK : TOOL_NO;
}

int cmd_del(struct args *args)
{
    struct target target;
    libcache_ns *ns = NULL;
    int code = target_change(&target, args);

    if (code != TOOL_OK)
        return code;
    if (!target.has_redis && !target_has_namespace(&target, args->operands[0]))
        code = fail(TOOL_NO, "segment %s has no namespace %s", target.name, args->operands[0]);
    else
        code = target_namespace(&ns, &target, args->operands[0]);
    if (code == TOOL_OK)
        code = delete_keys(args, &target, ns);
    target_close(&target);
    return code;
}

/* ---- invalidate, clear ----------------------------------------------------------------------------------------------------- */

static int invalidate_tags(const struct args *args, const struct target *target, unsigned flags)
{
    libcache_slice *tags = calloc(args->n_tags, sizeof *tags);
    int result;

    if (!tags)
        return LIBCACHE_ENOMEM;
    for (size_t i = 0; i < args->n_tags; i++)
        tags[i] = (libcache_slice){ args->tags[i], strlen(args->tags[i]) };
    result = libcache_invalidate_tags(target->cache, tags, args->n_tags, flags);
    free(tags);
    return result;
}

static int invalidate(const struct args *args, const struct target *target, const char *what)
{
    unsigned flags = args->local ? LIBCACHE_SKIP_L2 : 0;
    libcache_ns *ns = NULL;
    int result, code;

    if (args->all) {
        result = libcache_invalidate_all(target->cache, flags);
    } else if (args->namespace_name) {
        if (!target->has_redis && !target_has_namespace(target, args->namespace_name))
            return fail(TOOL_NO, "segment %s has no namespace %s", target->name, args->namespace_name);
        code = target_namespace(&ns, target, args->namespace_name);
        if (code != TOOL_OK)
            return code;
        result = libcache_invalidate_namespace(ns, flags);
    } else {
        result = invalidate_tags(args, target, flags);
    }
    if (result < 0)
        return fail_change(target, result, what);
    if (args->json) {
        json_open(NULL, '{');
        json_text("result", "ok");
    }
    return TOOL_OK;
}

int cmd_invalidate(struct args *args)
{
    struct target target;
    int code;

    if (args->all + !!args->namespace_name + !!args->n_tags != 1)
        return fail(TOOL_USAGE, "invalidate: say one of --tag, --namespace and --all");
    code = target_change(&target, args);
    if (code != TOOL_OK)
        return code;
    code = invalidate(args, &target, "invalidate");
    target_close(&target);
    return code;
}

static int is_sure(const struct target *target, const struct args *args)
{
    char answer[16];

    if (*target->name)
        fprintf(stderr, "End everything in segment %s%s? [y/N] ", target->name,
                args->redis && !args->local ? " and in Redis" : "");
    else
        fprintf(stderr, "End everything under %s, prefix %s? [y/N] ", url_shown(args->redis),
                args->prefix ? args->prefix : "libcache");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int cmd_clear(struct args *args)
{
    struct target target;
    int code;

    if (!args->yes && !isatty(STDIN_FILENO))
        return fail(TOOL_USAGE, "clear: say --yes where nobody can be asked");
    code = target_change(&target, args);
    if (code != TOOL_OK)
        return code;
    args->all = 1;
    code = args->yes || is_sure(&target, args) ? invalidate(args, &target, "clear")
                                               : fail(TOOL_NO, "clear: nothing was done");
    target_close(&target);
    return code;
}
