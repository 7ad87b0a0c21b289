/*
 * Namespace policies. Everything here works on a policy as an array of numbers, one per field, so that reading a file,
 * laying one policy over another, checking ranges and comparing are loops over one table of fields.
 *
 * A file is read in two layers. `next_line` walks the text: it counts lines, drops comments, reads the section headers
 * and refuses what an INI parser would silently bend (control characters, over-long lines, continuation lines). What is
 * left, one field a line, goes through libinih, which splits name, value and trailing comment. libinih alone would not
 * do: it cuts section names at 49 bytes and long lines in two, and does not tell of empty sections. Debian's build also
 * keeps its settings in globals that anybody in the process may have changed; no setting makes it accept more here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "policy.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define SECTIONS_MAX 4095u /* as many as a cache has namespaces */
#define LINE_BYTES_MAX 197 /* of a line with a field: what Debian's libinih takes, less "\n" and the final zero */
#define TTL_DEFAULT_MS (UINT64_C(3600) * 1000)
#define LOAD_TIMEOUT_DEFAULT_MS UINT64_C(10000)
#define LOAD_BACKOFF_DEFAULT_MS UINT64_C(1000)
#define NEGATIVE_TTL_DEFAULT_MS (UINT64_C(30) * 1000)

/* ---- Fields ------------------------------------------------------------------------------------------------- */

enum field { TTL, NEGATIVE_TTL, SOFT_TTL, GRACE, JITTER, L1_SHARE, MAX_VALUE, TIERS, L1_TTL, COMPRESS, LOAD_TIMEOUT, LOAD_BACKOFF, EARLY, LOAD_LEASE, FIELDS };

enum kind { DURATION, PERCENT, BYTES, TIER_SET, LEASE };

static const struct {
    const char *name;   /* in a file */
    const char *member; /* in code */
    enum kind kind;
    int forever; /* LIBCACHE_FOREVER is allowed */
    uint64_t min, max;
    const char *wanted; /* the same in words, for error texts */
} fields[FIELDS] = {
    [TTL] = { "ttl", "ttl_ms", DURATION, 1, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d, or forever" },
    [NEGATIVE_TTL] = { "negative_ttl", "negative_ttl_ms", DURATION, 1, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d, or forever" },
    [SOFT_TTL] = { "soft_ttl", "soft_ttl_ms", DURATION, 1, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d, or forever" },
    [GRACE] = { "grace", "grace_ms", DURATION, 0, 0, LIBCACHE_TTL_MAX_MS, "0 to 3650d" },
    [JITTER] = { "jitter", "jitter_percent", PERCENT, 0, 0, 50, "0 to 50%" },
    [L1_SHARE] = { "l1_share", "l1_share_percent", PERCENT, 0, 1, 100, "1% to 100%" },
    [MAX_VALUE] = { "max_value", "max_value_bytes", BYTES, 0, 1, SIZE_MAX, "1B or more" },
    [TIERS] = { "tiers", "tiers", TIER_SET, 0, 1, LIBCACHE_TIER_L1 | LIBCACHE_TIER_L2, "l1, l2 or l1,l2" },
    [L1_TTL] = { "l1_ttl", "l1_ttl_ms", DURATION, 1, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d, or forever" },
    [LOAD_TIMEOUT] = { "load_timeout", "load_timeout_ms", DURATION, 0, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d" },
    [LOAD_BACKOFF] = { "load_backoff", "load_backoff_ms", DURATION, 0, 1, LIBCACHE_TTL_MAX_MS, "1ms to 3650d" },
    [EARLY] = { "early", "early_percent", PERCENT, 0, 1, 1000, "1% to 1000%" },
    [LOAD_LEASE] = { "load_lease", "load_lease", LEASE, 0, LIBCACHE_LEASE_HOST, LIBCACHE_LEASE_REDIS, "host or redis" },
    [COMPRESS] = { "compress", "compress_bytes", BYTES, 0, 1, SIZE_MAX, "1B or more" },
};

static const char *const units_hint[] = {
    [DURATION] = " (units " QUANTITY_MS_UNITS ")",
    [PERCENT] = "",
    [BYTES] = " (units " QUANTITY_BYTES_UNITS ")",
    [TIER_SET] = "",
    [LEASE] = "",
};

static void unpack(uint64_t values[FIELDS], const libcache_policy *policy)
{
    values[TTL] = policy->ttl_ms;
    values[NEGATIVE_TTL] = policy->negative_ttl_ms;
    values[SOFT_TTL] = policy->soft_ttl_ms;
    values[GRACE] = policy->grace_ms;
    values[JITTER] = policy->jitter_percent;
    values[L1_SHARE] = policy->l1_share_percent;
    values[MAX_VALUE] = policy->max_value_bytes;
    values[TIERS] = policy->tiers;
    values[L1_TTL] = policy->l1_ttl_ms;
    values[COMPRESS] = policy->compress_bytes;
    values[LOAD_TIMEOUT] = policy->load_timeout_ms;
    values[LOAD_BACKOFF] = policy->load_backoff_ms;
    values[EARLY] = policy->early_percent;
    values[LOAD_LEASE] = policy->load_lease;
}

static void pack(libcache_policy *policy, const uint64_t values[FIELDS])
{
    memset(policy, 0, sizeof *policy);
    policy->struct_size = sizeof *policy;
    policy->ttl_ms = values[TTL];
    policy->negative_ttl_ms = values[NEGATIVE_TTL];
    policy->soft_ttl_ms = values[SOFT_TTL];
    policy->grace_ms = values[GRACE];
    policy->jitter_percent = (unsigned)values[JITTER];
    policy->l1_share_percent = (unsigned)values[L1_SHARE];
    policy->max_value_bytes = (size_t)values[MAX_VALUE];
    policy->tiers = (unsigned)values[TIERS];
    policy->l1_ttl_ms = values[L1_TTL];
    policy->compress_bytes = (size_t)values[COMPRESS];
    policy->load_timeout_ms = values[LOAD_TIMEOUT];
    policy->load_backoff_ms = values[LOAD_BACKOFF];
    policy->early_percent = (unsigned)values[EARLY];
    policy->load_lease = (unsigned)values[LOAD_LEASE];
}

static int in_range(enum field field, uint64_t value)
{
    return value >= fields[field].min && value <= fields[field].max;
}

/* A soft TTL of LIBCACHE_FOREVER is "never stale", whatever the TTL. */
static int soft_ttl_contradicts(uint64_t soft_ttl_ms, uint64_t ttl_ms)
{
    return soft_ttl_ms != LIBCACHE_FOREVER && soft_ttl_ms >= ttl_ms;
}

/* "host" or "redis". NULL, or the reason why not. */
static const char *read_lease(uint64_t *out, const char *text)
{
    if (strcmp(text, "host") != 0 && strcmp(text, "redis") != 0)
        return "unknown lease";
    *out = *text == 'h' ? LIBCACHE_LEASE_HOST : LIBCACHE_LEASE_REDIS;
    return NULL;
}

/* "l1", "l2" or both with a comma. NULL, or the reason why not. */
static const char *read_tiers(uint64_t *out, const char *text)
{
    uint64_t tiers = 0;
    for (;;) {
        uint64_t tier;
        text += strspn(text, " \t");
        if (strncmp(text, "l1", 2) == 0)
            tier = LIBCACHE_TIER_L1;
        else if (strncmp(text, "l2", 2) == 0)
            tier = LIBCACHE_TIER_L2;
        else
            return "unknown tier";
        if (tiers & tier)
            return "tier repeated";
        tiers |= tier;
        text += 2;
        text += strspn(text, " \t");
        if (!*text)
            break;
        if (*text++ != ',')
            return "unknown tier";
    }
    *out = tiers;
    return NULL;
}

/* A field's value as a file writes it. NULL, or the reason why not. */
static const char *read_value(uint64_t *out, enum field field, const char *text)
{
    const char *reason;
    uint64_t value = 0;
    if (fields[field].forever && strcmp(text, "forever") == 0) {
        *out = LIBCACHE_FOREVER;
        return NULL;
    }
    if (fields[field].kind == DURATION)
        reason = quantity_read_ms(&value, text);
    else if (fields[field].kind == PERCENT)
        reason = quantity_read_percent(&value, text);
    else if (fields[field].kind == BYTES)
        reason = quantity_read_bytes(&value, text);
    else if (fields[field].kind == LEASE)
        reason = read_lease(&value, text);
    else
        reason = read_tiers(&value, text);
    if (!reason && !in_range(field, value))
        reason = "out of range";
    if (!reason)
        *out = value;
    return reason;
}

/* ---- The book ----------------------------------------------------------------------------------------------- */

struct section {
    uint64_t values[FIELDS];
    unsigned lines[FIELDS]; /* where the file sets the field; 0: it does not */
    unsigned line;          /* of the header; 0: there is no such section */
    size_t name_size;
    char name[LIBCACHE_NAMESPACE_NAME_MAX]; /* not terminated; none of [default] */
};

/* One block of memory: this, then `room` sections in the order of the file, then as many pointers, by name. */
struct policy_book {
    libcache_allocator allocator;
    size_t n, room;
    struct section fallback; /* [default] */
    struct section **by_name;
    struct section sections[];
};

static struct policy_book *new_book(size_t room, const libcache_allocator *allocator)
{
    size_t each = sizeof(struct section) + sizeof(struct section *);
    struct policy_book *book = memory_zero(allocator, sizeof *book + room * each);
    if (book) {
        book->allocator = *allocator;
        book->room = room;
        book->by_name = (struct section **)(void *)(book->sections + room);
    }
    return book;
}

void policy_book_free(struct policy_book *book)
{
    if (book) {
        libcache_allocator allocator = book->allocator; /* the book holds its own */
        memory_free(&allocator, book);
    }
}

/* The first place of by_name whose name is not less, and whether it is that very name. */
static size_t find_place(const struct policy_book *book, const char *name, size_t size, int *found)
{
    size_t low = 0, high = book->n;
    *found = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct section *section = book->by_name[middle];
        int order = memcmp(section->name, name, section->name_size < size ? section->name_size : size);
        if (order == 0)
            order = (section->name_size > size) - (section->name_size < size);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *found |= order == 0;
        }
    }
    return low;
}

/* The section over [default]; section NULL: [default] alone. */
static void merge(uint64_t values[FIELDS], const struct policy_book *book, const struct section *section)
{
    for (int i = 0; i < FIELDS; i++)
        values[i] = section && section->lines[i] ? section->values[i] : book->fallback.values[i];
}

void policy_book_find(const struct policy_book *book, const char *ns_name, libcache_policy *out)
{
    uint64_t values[FIELDS] = { 0 };
    if (book) {
        int found;
        size_t place = find_place(book, ns_name, strlen(ns_name), &found);
        merge(values, book, found ? book->by_name[place] : NULL);
    }
    pack(out, values);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

struct parser {
    const char *cut, *name; /* the file in error texts: "..." or "", and its name or the end of it */
    const char *next, *end;
    unsigned line;
    const char *awaited; /* a line that libinih has and has not called accept_field for, or NULL */
    int awaited_size;
    int result; /* the first refusal; nothing is read after it */
    struct policy_book *book;
    struct section *section; /* NULL before the first header */
    libcache_error *error;
};

/* Names from outside are shown with a limit, so that the reason always fits into libcache_error. */
#define SHOWN "%.60s"
#define FILE_SHOWN 60

#define REFUSE(parser, at, format, ...)                                                                 \
    ((parser)->result = error_set((parser)->error, LIBCACHE_EPOLICY, "%s%s:%u: " format, (parser)->cut, \
                                  (parser)->name, (unsigned)(at), __VA_ARGS__))

static void name_file(struct parser *parser, const char *name)
{
    size_t size = strlen(name);
    parser->cut = size > FILE_SHOWN ? "..." : "";
    parser->name = size > FILE_SHOWN ? name + size - FILE_SHOWN : name;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static void trim(const char **start, const char **end)
{
    while (*start < *end && is_blank(**start))
        ++*start;
    while (*start < *end && is_blank((*end)[-1]))
        --*end;
}

static int is_word(const char *start, const char *end, const char *word)
{
    return (size_t)(end - start) == strlen(word) && memcmp(start, word, strlen(word)) == 0;
}

static void open_default_section(struct parser *parser)
{
    struct section *section = &parser->book->fallback;
    if (section->line) {
        REFUSE(parser, parser->line, "section [default] is repeated, first on line %u", section->line);
        return;
    }
    section->line = parser->line;
    parser->section = section;
}

static void open_namespace_section(struct parser *parser, const char *name, const char *end)
{
    struct policy_book *book = parser->book;
    struct section *section;
    size_t size = (size_t)(end - name), place;
    int found;
    if (size == 0 || size > LIBCACHE_NAMESPACE_NAME_MAX) {
        REFUSE(parser, parser->line, "a namespace name has 1 to %d bytes, this one has %zu",
               LIBCACHE_NAMESPACE_NAME_MAX, size);
        return;
    }
    for (const char *at = name; at < end; at++) {
        if (is_control(*at)) { /* only a tab comes so far */
            REFUSE(parser, parser->line, "control character 0x%02x in a namespace name", (unsigned)*at);
            return;
        }
    }
    place = find_place(book, name, size, &found);
    if (found) {
        REFUSE(parser, parser->line, "section [namespace %.*s] is repeated, first on line %u",
               (int)(size < 60 ? size : 60), name, book->by_name[place]->line);
        return;
    }
    if (book->n == book->room) {
        REFUSE(parser, parser->line, "more than %u namespace sections", SECTIONS_MAX);
        return;
    }
    section = &book->sections[book->n];
    section->line = parser->line;
    section->name_size = size;
    memcpy(section->name, name, size);
    memmove(book->by_name + place + 1, book->by_name + place, (book->n - place) * sizeof(struct section *));
    book->by_name[place] = section;
    book->n++;
    parser->section = section;
}

/* `line` is what follows the opening bracket. */
static void open_section(struct parser *parser, const char *line, const char *end)
{
    static const char kind[] = "namespace";
    const char *close = memchr(line, ']', (size_t)(end - line)), *rest, *name;
    if (!close) {
        REFUSE(parser, parser->line, "section [%.*s has no closing ]", (int)(end - line < 60 ? end - line : 60), line);
        return;
    }
    rest = close + 1;
    trim(&rest, &end);
    if (rest < end && *rest != ';') {
        REFUSE(parser, parser->line, "%.*s after the section's ]", (int)(end - rest < 60 ? end - rest : 60), rest);
        return;
    }
    trim(&line, &close);
    name = line + sizeof kind - 1;
    if (is_word(line, close, "default")) {
        open_default_section(parser);
    } else if (is_word(line, close, kind)) {
        open_namespace_section(parser, close, close);
    } else if (close > name && memcmp(line, kind, sizeof kind - 1) == 0 && is_blank(*name)) {
        trim(&name, &close);
        open_namespace_section(parser, name, close);
    } else {
        REFUSE(parser, parser->line, "unknown section [%.*s]; want [default] or [namespace NAME]",
               (int)(close - line < 60 ? close - line : 60), line);
    }
}

/* libinih steps over a line without "=" or ":" on its own, or hands it on without a value. */
static void refuse_lost_line(struct parser *parser)
{
    if (parser->awaited && parser->result == LIBCACHE_OK)
        REFUSE(parser, parser->line, "'%.*s' is neither a section, a field (name = value) nor a comment",
               parser->awaited_size < 60 ? parser->awaited_size : 60, parser->awaited);
}

/*
 * libinih's reader: the next line, without blanks before it (they would make it a continuation), if it has a field; an
 * empty line instead of all others. NULL ends the parse. buffer has room bytes.
 */
static char *next_line(char *buffer, int room, void *stream)
{
    struct parser *parser = stream;
    const char *line = parser->next, *end;
    size_t keep = 0;
    refuse_lost_line(parser);
    if (parser->result != LIBCACHE_OK || line == parser->end)
        return NULL;
    end = memchr(line, '\n', (size_t)(parser->end - line));
    parser->next = end ? end + 1 : parser->end;
    parser->line++;
    if (!end)
        end = parser->end;
    if (end > line && end[-1] == '\r')
        end--;
    for (const char *at = line; at < end; at++)
        if (is_control(*at) && *at != '\t') {
            REFUSE(parser, parser->line, "control character 0x%02x", (unsigned)*at);
            return NULL;
        }
    trim(&line, &end);
    if (line == end || *line == ';' || *line == '#') {
        keep = 0;
    } else if (*line == '[') {
        open_section(parser, line + 1, end);
    } else {
        keep = (size_t)(end - line);
        parser->awaited = line;
        parser->awaited_size = (int)keep;
        if (*line < 'a' || *line > 'z') /* libinih might see a section in it, after a second byte order mark */
            refuse_lost_line(parser);
    }
    if (parser->result == LIBCACHE_OK && (keep > LINE_BYTES_MAX || keep + 2 > (size_t)room))
        REFUSE(parser, parser->line, "line has %zu bytes, more than %d", keep, LINE_BYTES_MAX);
    if (parser->result != LIBCACHE_OK)
        return NULL;
    memcpy(buffer, line, keep);
    memcpy(buffer + keep, "\n", 2);
    return buffer;
}

/* libinih's handler. The section it knows of is none; ours is parser->section. 0: refused. */
static int accept_field(void *arg, const char *no_section, const char *name, const char *value)
{
    struct parser *parser = arg;
    struct section *section = parser->section;
    const char *reason;
    int field = 0;
    (void)no_section;
    if (parser->result != LIBCACHE_OK || !value)
        return 0; /* value NULL: a line without "=", which next_line refuses */
    parser->awaited = NULL;
    while (field < FIELDS && strcmp(fields[field].name, name) != 0)
        field++;
    if (field == FIELDS)
        REFUSE(parser, parser->line,
               "unknown field '" SHOWN
               "'; there are ttl, negative_ttl, soft_ttl, grace, jitter, l1_share, max_value, tiers, l1_ttl, compress, "
               "load_timeout, load_backoff, early, load_lease",
               name);
    else if (!section)
        REFUSE(parser, parser->line, "%s = " SHOWN ": before the first section", name, value);
    else if (section->lines[field])
        REFUSE(parser, parser->line, "%s is repeated, first on line %u", name, section->lines[field]);
    else if (!*value)
        REFUSE(parser, parser->line, "%s has no value; want %s%s", name, fields[field].wanted,
               units_hint[fields[field].kind]);
    else if ((reason = read_value(&section->values[field], (enum field)field, value)))
        REFUSE(parser, parser->line, "%s = " SHOWN ": %s; want %s%s", name, value, reason, fields[field].wanted,
               units_hint[fields[field].kind]);
    else
        section->lines[field] = parser->line;
    return parser->result == LIBCACHE_OK;
}

/* What a section and [default] say together. section NULL: [default] alone. */
static void check_section(struct parser *parser, const struct section *section)
{
    const struct section *fallback = &parser->book->fallback, *own = section ? section : fallback;
    unsigned soft_line = own->lines[SOFT_TTL] ? own->lines[SOFT_TTL] : fallback->lines[SOFT_TTL];
    unsigned ttl_line = own->lines[TTL] ? own->lines[TTL] : fallback->lines[TTL];
    unsigned at = own->lines[SOFT_TTL] > own->lines[TTL] ? own->lines[SOFT_TTL] : own->lines[TTL];
    uint64_t values[FIELDS];
    merge(values, parser->book, section);
    if (soft_line && ttl_line && soft_ttl_contradicts(values[SOFT_TTL], values[TTL]))
        REFUSE(parser, at, "soft_ttl (%" PRIu64 "ms, line %u) must be less than ttl (%" PRIu64 "ms, line %u)",
               values[SOFT_TTL], soft_line, values[TTL], ttl_line);
}

/* One per '[' is never too few; comments may make it a few too many. */
static size_t count_sections(const char *text, const char *end)
{
    size_t n = 0;
    while (n < SECTIONS_MAX && text < end && (text = memchr(text, '[', (size_t)(end - text)))) {
        n++;
        text++;
    }
    return n;
}

int policy_read_text(struct policy_book **out, const char *name, const char *text, size_t size,
                     const libcache_allocator *allocator, libcache_error *error)
{
    struct parser parser = { .error = error, .result = LIBCACHE_OK };
    name_file(&parser, name);
    if (size > FILE_BYTES_MAX)
        return error_set(error, LIBCACHE_EPOLICY, "%s%s: more than %zu bytes", parser.cut, parser.name, FILE_BYTES_MAX);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    parser.next = size ? text : "";
    parser.end = parser.next + size;
    parser.book = new_book(count_sections(parser.next, parser.end), allocator);
    if (!parser.book || ini_parse_stream(next_line, &parser, accept_field, &parser) < 0) {
        policy_book_free(parser.book);
        return error_set(error, LIBCACHE_ENOMEM, "%s%s: no memory to read it", parser.cut, parser.name);
    }
    refuse_lost_line(&parser);
    if (parser.result == LIBCACHE_OK)
        check_section(&parser, NULL);
    for (size_t i = 0; i < parser.book->n && parser.result == LIBCACHE_OK; i++)
        check_section(&parser, &parser.book->sections[i]);
    if (parser.result != LIBCACHE_OK) {
        policy_book_free(parser.book);
        return parser.result;
    }
    *out = parser.book;
    return LIBCACHE_OK;
}

/* Reads size bytes, or less if the file ends before. -1: errno tells. */
static ssize_t read_fully(int fd, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, buffer + done, size - done);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    return (ssize_t)done;
}

int policy_read_file(struct policy_book **out, const char *path, const libcache_allocator *allocator,
                     libcache_error *error)
{
    struct parser file = { .error = error };
    struct stat status;
    char *text = NULL;
    size_t size;
    ssize_t got;
    int result, fd;
    name_file(&file, path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO would keep a blocking open waiting */
    if (fd < 0)
        return error_set(error, LIBCACHE_ESYSTEM, "%s%s: open: %m", file.cut, file.name);
    if (fstat(fd, &status) != 0) {
        result = error_set(error, LIBCACHE_ESYSTEM, "%s%s: fstat: %m", file.cut, file.name);
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        result = error_set(error, LIBCACHE_ESYSTEM, "%s%s: not a regular file", file.cut, file.name);
        goto done;
    }
    /* One byte more than there is, or than is allowed, tells a file that grew from one that is whole. */
    size = status.st_size > (off_t)FILE_BYTES_MAX ? FILE_BYTES_MAX + 1 : (size_t)status.st_size + 1;
    text = memory_get(allocator, size);
    if (!text) {
        result = error_set(error, LIBCACHE_ENOMEM, "%s%s: no memory to read it", file.cut, file.name);
        goto done;
    }
    got = read_fully(fd, text, size);
    if (got < 0)
        result = error_set(error, LIBCACHE_ESYSTEM, "%s%s: read: %m", file.cut, file.name);
    else if ((size_t)got == size && size <= FILE_BYTES_MAX)
        result = error_set(error, LIBCACHE_ESYSTEM, "%s%s: grew while it was read", file.cut, file.name);
    else
        result = policy_read_text(out, path, text, (size_t)got, allocator, error);
done:
    memory_free(allocator, text);
    close(fd);
    return result;
}

/* ---- Resolving ---------------------------------------------------------------------------------------------- */

#define NAMESPACE "namespace %.100s: "

/* The rules of libcache.h for what was given. Zero: not given. */
static int check_given(const uint64_t values[FIELDS], const char *ns_name, size_t cache_max_value_bytes,
                       unsigned cache_tiers, libcache_error *error)
{
    unsigned missing = (unsigned)values[TIERS] & ~cache_tiers;
    for (int i = 0; i < FIELDS; i++)
        if (values[i] && !(fields[i].forever && values[i] == LIBCACHE_FOREVER) && !in_range((enum field)i, values[i]))
            return error_set(error, LIBCACHE_EPOLICY, NAMESPACE "%s (%" PRIu64 ") is out of range, want %s", ns_name,
                             fields[i].member, values[i], fields[i].wanted);
    if (values[MAX_VALUE] > cache_max_value_bytes)
        return error_set(error, LIBCACHE_EPOLICY,
                         NAMESPACE "max_value_bytes (%" PRIu64 ") is more than the cache's (%zu)", ns_name,
                         values[MAX_VALUE], cache_max_value_bytes);
    if (missing)
        return error_set(error, LIBCACHE_EUNSUPPORTED, NAMESPACE "tiers (%u) names %s, which this cache does not have",
                         ns_name, (unsigned)values[TIERS], missing & LIBCACHE_TIER_L1 ? "L1" : "L2");
    return LIBCACHE_OK;
}

static void set_defaults(uint64_t values[FIELDS], size_t cache_max_value_bytes, unsigned cache_tiers)
{
    if (!values[TTL])
        values[TTL] = TTL_DEFAULT_MS;
    if (!values[NEGATIVE_TTL])
        values[NEGATIVE_TTL] = values[TTL] < NEGATIVE_TTL_DEFAULT_MS ? values[TTL] : NEGATIVE_TTL_DEFAULT_MS;
    if (!values[SOFT_TTL])
        values[SOFT_TTL] = LIBCACHE_FOREVER;
    if (!values[L1_SHARE])
        values[L1_SHARE] = 100;
    if (!values[MAX_VALUE])
        values[MAX_VALUE] = cache_max_value_bytes;
    if (!values[TIERS])
        values[TIERS] = cache_tiers;
    if (!values[L1_TTL])
        values[L1_TTL] = LIBCACHE_FOREVER;
    if (!values[COMPRESS])
        values[COMPRESS] = SIZE_MAX;
    if (!values[LOAD_TIMEOUT])
        values[LOAD_TIMEOUT] = LOAD_TIMEOUT_DEFAULT_MS;
    if (!values[LOAD_BACKOFF])
        values[LOAD_BACKOFF] = LOAD_BACKOFF_DEFAULT_MS;
    if (!values[LOAD_LEASE])
        values[LOAD_LEASE] = LIBCACHE_LEASE_HOST;
}

int policy_resolve(libcache_policy *out, const libcache_policy *from_code, const libcache_policy *from_file,
                   const char *ns_name, size_t cache_max_value_bytes, unsigned cache_tiers, libcache_error *error)
{
    uint64_t values[FIELDS] = { 0 }, file_values[FIELDS] = { 0 };
    libcache_policy code;
    int result;
    if (from_code) {
        if (!options_read(&code, sizeof code, from_code))
            return error_set(error, LIBCACHE_EINVAL,
                             NAMESPACE "struct_size of the policy is wrong, or it sets fields "
                                       "that this build does not know",
                             ns_name);
        unpack(values, &code);
    }
    if (from_file)
        unpack(file_values, from_file);
    for (int i = 0; i < FIELDS; i++)
        if (!values[i])
            values[i] = file_values[i];
    result = check_given(values, ns_name, cache_max_value_bytes, cache_tiers, error);
    if (result != LIBCACHE_OK)
        return result;
    set_defaults(values, cache_max_value_bytes, cache_tiers);
    if (soft_ttl_contradicts(values[SOFT_TTL], values[TTL]))
        return error_set(error, LIBCACHE_EPOLICY,
                         NAMESPACE "soft_ttl_ms (%" PRIu64 ") must be less than ttl_ms (%" PRIu64 ")", ns_name,
                         values[SOFT_TTL], values[TTL]);
    pack(out, values);
    return LIBCACHE_OK;
}

int policy_equal(const libcache_policy *a, const libcache_policy *b)
{
    uint64_t x[FIELDS], y[FIELDS];
    unpack(x, a);
    unpack(y, b);
    return memcmp(x, y, sizeof x) == 0;
}
