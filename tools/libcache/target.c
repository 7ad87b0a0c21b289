/*
 * Which segment, which Redis; errors and exit codes. SPDX-License-Identifier: MIT
 *
 * A command that only looks attaches read-only, needs no Redis for it, and without -n takes the only segment that this user
 * has. One that changes something must be told what. With a Redis and no segment it works on Redis alone, through a private
 * segment that ends with the command.
 */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_MS 1000

/* ---- Errors ------------------------------------------------------------------------------------------------------------- */

static int fail_as_json;

void set_fail_json(int json)
{
    fail_as_json = json;
}

static int tell(int code, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "libcache: %s\n", text);
    if (fail_as_json && !json_begun()) {
        json_open(NULL, '{');
        json_text("error", text);
        json_number("exit", (uint64_t)code);
        json_end();
    }
    return code;
}

int fail(int code, const char *format, ...)
{
    char text[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return tell(code, text);
}

int exit_code_of(int result)
{
    switch (result) {
    case LIBCACHE_EACCESS:
    case LIBCACHE_EINCOMPATIBLE:
    case LIBCACHE_ENOTFOUND:
    case LIBCACHE_ECORRUPT: return TOOL_SEGMENT;
    case LIBCACHE_EUNAVAILABLE:
    case LIBCACHE_ETIMEDOUT:
    case LIBCACHE_EREMOTE:
    case LIBCACHE_EDENIED:
    case LIBCACHE_EPROTOCOL: return TOOL_REDIS;
    case LIBCACHE_EINVAL:
    case LIBCACHE_EKEY:
    case LIBCACHE_ETAG:
    case LIBCACHE_ETOOBIG:
    case LIBCACHE_EPOLICY:
    case LIBCACHE_ENAME:
    case LIBCACHE_ENUMBER:
    case LIBCACHE_EUNSUPPORTED: return TOOL_USAGE;
    default: return TOOL_FAILED;
    }
}

int fail_result(int result, const char *format, ...)
{
    char what[600], text[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    snprintf(text, sizeof text, "%s: %s", what, libcache_describe(result));
    return tell(exit_code_of(result), text);
}

/* ---- Opening ------------------------------------------------------------------------------------------------------------- */

const char *url_shown(const char *url)
{
    static char shown[300];
    const char *after = strstr(url, "://"), *at = strrchr(url, '@');

    if (after && at && at > after)
        snprintf(shown, sizeof shown, "%.*s***@%s", (int)(after + 3 - url), url, at + 1);
    else
        snprintf(shown, sizeof shown, "%s", url);
    return shown;
}

void target_options(libcache_options *options, const struct args *args)
{
    options->redis_url = args->redis;
    options->redis_prefix = args->prefix;
    options->identity = args->identity;
    options->policy_file = args->policy_file;
    options->redis_timeout_ms = args->timeout_ms ? (unsigned)args->timeout_ms : DEFAULT_TIMEOUT_MS;
}

/* The only segment there is. */
static int guess_segment(char name[80])
{
    struct segment_file *files = NULL;
    long n = list_segments(&files, 0);
    char names[400];
    size_t used = 0;

    if (n < 0)
        return fail(TOOL_FAILED, "%s: %s", SEGMENT_FOLDER, strerror(errno));
    for (long i = 0; i < n && used < sizeof names - 90; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", files[i].name);
    if (n == 1)
        snprintf(name, 80, "%s", files[0].name);
    free(files);
    if (n == 0)
        return fail(TOOL_SEGMENT,
                    "user %lu has no named segment here; say which one with -n NAME, or a Redis with --redis URL",
                    (unsigned long)geteuid());
    if (n > 1)
        return fail(TOOL_USAGE, "which segment? Say -n NAME (or LIBCACHE_SEGMENT); there are %s", names);
    return TOOL_OK;
}

static int fail_open(int result, const struct args *args, const libcache_error *error)
{
    const char *hint = "";

    if (result == LIBCACHE_EINCOMPATIBLE && strstr(error->text, "identity"))
        hint = args->redis
                   ? "; --redis, --prefix and --identity must be what its programs say"
                   : "; if its programs use Redis or an identity, say the same --redis, --prefix and --identity";
    return fail(exit_code_of(result), "%s%s", error->text, hint);
}

/* A private segment before Redis: large enough for any value, and memory is taken as it fills only. */
#define PRIVATE_BYTES ((size_t)512 << 20)
#define PRIVATE_VALUE_BYTES ((size_t)64 << 20)

int target_open_redis(struct target *target, const struct args *args)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    int result;

    memset(target, 0, sizeof *target);
    target_options(&options, args);
    options.memory_bytes = PRIVATE_BYTES;
    options.max_value_bytes = PRIVATE_VALUE_BYTES;
    options.stripes = 1;
    target->has_redis = 1;
    result = libcache_open(&target->cache, &options, &error);
    return result == LIBCACHE_OK ? TOOL_OK : fail_open(result, args, &error);
}

static uint64_t inode_of(const char *name)
{
    struct segment_file file;

    return find_segment(&file, name) ? file.inode : 0;
}

int target_moved(const struct target *target)
{
    return target->inode != inode_of(target->name);
}

static int attach(struct target *target, const struct args *args, int read_only)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    int result;

    target->inode = inode_of(target->name);
    target_options(&options, args);
    options.read_only = read_only;
    if (read_only)
        options.redis_url = options.redis_prefix = NULL;
    target->has_redis = options.redis_url != NULL;
    target->read_only = read_only;
    result = libcache_attach(&target->cache, target->name, &options, &error);
    return result == LIBCACHE_OK ? TOOL_OK : fail_open(result, args, &error);
}

static int take_name(struct target *target, const struct args *args)
{
    memset(target, 0, sizeof *target);
    if (!args->name)
        return TOOL_OK;
    if (strlen(args->name) >= sizeof target->name)
        return fail(TOOL_USAGE, "segment name \"%.80s\" is too long", args->name);
    memcpy(target->name, args->name, strlen(args->name) + 1);
    return TOOL_OK;
}

int target_look(struct target *target, const struct args *args)
{
    int result = take_name(target, args);

    if (result == TOOL_OK && !*target->name)
        result = guess_segment(target->name);
    return result == TOOL_OK ? attach(target, args, 1) : result;
}

int target_change(struct target *target, const struct args *args)
{
    int result = take_name(target, args);

    if (result == TOOL_OK && !args->name && !args->redis)
        return fail(TOOL_USAGE, "%s: say which segment with -n NAME (or LIBCACHE_SEGMENT), or a Redis with --redis URL",
                    args->command);
    if (result != TOOL_OK)
        return result;
    return args->name ? attach(target, args, 0) : target_open_redis(target, args);
}

void target_close(struct target *target)
{
    libcache_close(target->cache);
    target->cache = NULL;
}

int target_namespace(libcache_ns **out, const struct target *target, const char *name)
{
    libcache_error error;
    int result = libcache_open_namespace(out, target->cache, name, NULL, &error);

    return result == LIBCACHE_OK
               ? TOOL_OK
               : fail(result == LIBCACHE_ENOTFOUND ? TOOL_NO : exit_code_of(result), "%s", error.text);
}

int target_has_namespace(const struct target *target, const char *name)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats stats = LIBCACHE_NS_STATS_INIT;

    while (libcache_iterate_namespaces(target->cache, &cursor, &stats) == LIBCACHE_HIT)
        if (strcmp(stats.name, name) == 0)
            return 1;
    return 0;
}

/* ---- Segments in the file system ------------------------------------------------------------------------------------------ */

/* "libcache-UID-NAME" */
static int read_file_name(struct segment_file *out, const char *file)
{
    char *end;

    if (strncmp(file, "libcache-", 9) != 0 || file[9] < '0' || file[9] > '9')
        return 0;
    out->uid = strtoul(file + 9, &end, 10);
    if (*end != '-' || !end[1] || strlen(end + 1) >= sizeof out->name)
        return 0;
    memcpy(out->name, end + 1, strlen(end + 1) + 1);
    return 1;
}

/* Whether a process has it open: each holds a shared flock. */
static int is_in_use(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), in_use = -1;

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        in_use = 0;
    else if (errno == EWOULDBLOCK)
        in_use = 1;
    close(fd);
    return in_use;
}

static int inspect_file(struct segment_file *out, const char *file)
{
    char path[sizeof SEGMENT_FOLDER + 300];
    struct stat st;

    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "%s/%s", SEGMENT_FOLDER, file);
    if (!read_file_name(out, file) || lstat(path, &st) < 0)
        return 0;
    out->owner = st.st_uid;
    out->mode = st.st_mode & 07777;
    out->links = (unsigned)st.st_nlink;
    out->kind = S_ISREG(st.st_mode) ? 'f' : S_ISLNK(st.st_mode) ? 'l' : '?';
    out->size_bytes = (uint64_t)st.st_size;
    out->allocated_bytes = (uint64_t)st.st_blocks * 512;
    out->inode = st.st_ino;
    out->in_use = out->kind == 'f' ? is_in_use(path) : -1;
    return 1;
}

static int by_name(const void *a, const void *b)
{
    const struct segment_file *x = a, *y = b;
    return x->uid != y->uid ? (x->uid < y->uid ? -1 : 1) : strcmp(x->name, y->name);
}

long list_segments(struct segment_file **out, int all)
{
    DIR *folder = opendir(SEGMENT_FOLDER);
    struct segment_file one, *list = NULL, *larger;
    size_t n = 0, room = 0;

    *out = NULL;
    if (!folder)
        return -1;
    for (struct dirent *at; (at = readdir(folder));) {
        if (!inspect_file(&one, at->d_name) || (!all && one.uid != geteuid()))
            continue;
        if (n == room) {
            room = room ? 2 * room : 16;
            larger = realloc(list, room * sizeof *list);
            if (!larger) {
                free(list);
                closedir(folder);
                return -1;
            }
            list = larger;
        }
        list[n++] = one;
    }
    closedir(folder);
    if (n)
        qsort(list, n, sizeof *list, by_name);
    *out = list;
    return (long)n;
}

int find_segment(struct segment_file *out, const char *name)
{
    char file[120];

    snprintf(file, sizeof file, "libcache-%lu-%.80s", (unsigned long)geteuid(), name);
    return inspect_file(out, file);
}
