/*
 * What warm reads, line by line. SPDX-License-Identifier: MIT
 *
 * A line is taken apart in place: slices of the entry point into it, and text with escapes is written back over itself, where it
 * is never longer. Members of an object that mean nothing here are skipped, whatever they hold.
 */
#include "tool.h"

#include <string.h>

enum { NESTING_MAX = 32 };

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *skip_blanks(char *p)
{
    while (is_blank(*p))
        p++;
    return p;
}

enum line_format line_format_of(const char *line)
{
    const char *p = line;

    while (is_blank(*p) || *p == '[')
        p++;
    if (*p == '{')
        return LINES_JSON;
    return strchr(line, '\t') ? LINES_TSV : LINES_KEYS;
}

/* ---- Keys and TSV ---------------------------------------------------------------------------------------------------------- */

static const char *read_key_line(struct line_entry *out, char *line)
{
    size_t key = strcspn(line, " \t"), rest;

    out->key = (libcache_slice){ line, key };
    rest = key + strspn(line + key, " \t");
    if (line[rest + strspn(line + rest, "0123456789")])
        return "want KEY, or KEY SIZE";
    return NULL;
}

static const char *read_tsv_line(struct line_entry *out, char *line, size_t size)
{
    char *end = line + size, *first = memchr(line, '\t', size), *second;

    if (!first)
        return "want KEY<tab>VALUE or NAMESPACE<tab>KEY<tab>VALUE";
    second = memchr(first + 1, '\t', (size_t)(end - first - 1));
    if (second) {
        *first = '\0';
        out->namespace_name = (libcache_slice){ line, (size_t)(first - line) };
        line = first + 1;
        first = second;
        if (memchr(first + 1, '\t', (size_t)(end - first - 1)))
            return "more than three fields";
    }
    out->key = (libcache_slice){ line, (size_t)(first - line) };
    out->value = (libcache_slice){ first + 1, (size_t)(end - first - 1) };
    return out->key.size ? NULL : "the key is empty";
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

static int hex4(const char *p, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return 0;
        *out = *out << 4 | (unsigned)digit;
    }
    return 1;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* What follows a backslash: *p is behind it then. NULL: there is no such escape. */
static char *read_escape(char *to, char **p)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *at = **p ? strchr(letters, **p) : NULL;
    unsigned c, low;

    if (at) {
        (*p)++;
        *to = bytes[at - letters];
        return to + 1;
    }
    if (**p != 'u' || !hex4(*p + 1, &c))
        return NULL;
    *p += 5;
    if (c >= 0xd800 && c < 0xdc00) {
        if ((*p)[0] != '\\' || (*p)[1] != 'u' || !hex4(*p + 2, &low) || low < 0xdc00 || low > 0xdfff)
            return NULL;
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return NULL;
    }
    return put_utf8(to, c);
}

/* The string that begins at *p (a quote); *p is behind it then. 0: it is none. */
static int read_string(char **p, libcache_slice *out)
{
    char *to, *start;

    if (**p != '"')
        return 0;
    start = to = ++*p;
    while (**p && **p != '"') {
        if (**p == '\\') {
            ++*p;
            to = read_escape(to, p);
            if (!to)
                return 0;
        } else {
            *to++ = *(*p)++;
        }
    }
    if (!**p)
        return 0;
    ++*p;
    *out = (libcache_slice){ start, (size_t)(to - start) };
    return 1;
}

/* Over any value; 0: it is none. */
static int skip_value(char **p)
{
    libcache_slice text;
    int depth = 0;

    do {
        *p = skip_blanks(*p);
        if (**p == '"') {
            if (!read_string(p, &text))
                return 0;
        } else if (**p == '{' || **p == '[') {
            ++*p;
            if (++depth > NESTING_MAX)
                return 0;
            continue;
        } else if (**p == '}' || **p == ']') {
            ++*p;
            depth--;
        } else if (**p == ',' || **p == ':') {
            if (!depth)
                return 0;
            ++*p;
            continue;
        } else {
            size_t word = strspn(*p, "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
            if (!word)
                return 0;
            *p += word;
        }
    } while (depth > 0);
    return 1;
}

static int read_whole(char **p, uint64_t *out, uint64_t most)
{
    uint64_t number = 0;
    char *start = *p;

    for (; **p >= '0' && **p <= '9'; ++*p) {
        uint64_t digit = (uint64_t)(**p - '0');
        if (number > (most - digit) / 10)
            return 0;
        number = number * 10 + digit;
    }
    *out = number;
    return *p > start && !strchr(".eE", **p ? **p : ' ');
}

/* null, or a number of milliseconds */
static int read_ttl(char **p, uint64_t *out)
{
    if (strncmp(*p, "null", 4) == 0) {
        *p += 4;
        *out = LIBCACHE_FOREVER;
        return 1;
    }
    return read_whole(p, out, UINT64_MAX - 1);
}

static const char *read_tags(char **p, struct line_entry *out)
{
    if (**p != '[')
        return "tags must be an array";
    *p = skip_blanks(*p + 1);
    for (out->n_tags = 0; **p != ']';) {
        if (out->n_tags == LIBCACHE_TAGS_MAX)
            return "too many tags";
        if (!read_string(p, &out->tags[out->n_tags++]))
            return "tags must be strings";
        *p = skip_blanks(*p);
        if (**p == ',')
            *p = skip_blanks(*p + 1);
        else if (**p != ']')
            return "tags must be an array";
    }
    ++*p;
    return NULL;
}

static int is_name(const libcache_slice *name, const char *text)
{
    return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

static int read_bytes(char **p, libcache_slice *out, int encoded)
{
    long size;

    if (!read_string(p, out))
        return 0;
    if (!encoded)
        return 1;
    size = decode_base64((char *)(uintptr_t)out->data, out->size);
    out->size = size < 0 ? 0 : (size_t)size;
    return size >= 0;
}

/* The value of the member `name`. */
static const char *read_member(struct line_entry *out, const libcache_slice *name, char **p, uint64_t *ttl_left)
{
    libcache_slice text;

    if (is_name(name, "key") || is_name(name, "key_base64"))
        return read_bytes(p, &out->key, name->size > 3) ? NULL : "the key must be a string";
    if (is_name(name, "value") || is_name(name, "value_base64"))
        return read_bytes(p, &out->value, name->size > 5) ? NULL : "the value must be a string";
    if (is_name(name, "namespace"))
        return read_string(p, &out->namespace_name) ? NULL : "the namespace must be a string";
    if (is_name(name, "ttl_ms"))
        return read_ttl(p, &out->ttl_ms) ? NULL : "ttl_ms must be a whole number or null";
    if (is_name(name, "ttl_left_ms"))
        return read_ttl(p, ttl_left) ? NULL : "ttl_left_ms must be a whole number or null";
    if (is_name(name, "codec"))
        return read_whole(p, &out->codec, 255) ? NULL : "codec must be 0 to 255";
    if (is_name(name, "flags"))
        return read_whole(p, &out->flags, UINT32_MAX) ? NULL : "flags must be a number of 32 bits";
    if (is_name(name, "tags"))
        return read_tags(p, out);
    if (is_name(name, "result") && **p == '"') {
        if (!read_string(p, &text))
            return "not JSON";
        out->negative = is_name(&text, "negative");
        return NULL;
    }
    return skip_value(p) ? NULL : "not JSON";
}

/* Ends every text with a zero, for names; what stands there is read already. */
static void end_text(const libcache_slice *text)
{
    if (text->data)
        ((char *)(uintptr_t)text->data)[text->size] = '\0';
}

static const char *read_json_line(struct line_entry *out, char *line)
{
    char *p = line;
    const char *wrong;
    libcache_slice name;
    uint64_t ttl_left = 0;

    while (is_blank(*p) || *p == '[' || *p == ',')
        p++;
    if (!*p || *p == ']')
        return NULL; /* a line with brackets only, around the objects */
    if (*p++ != '{')
        return "not a JSON object";
    for (p = skip_blanks(p); *p != '}';) {
        if (!read_string(&p, &name))
            return "not JSON";
        p = skip_blanks(p);
        if (*p++ != ':')
            return "not JSON";
        p = skip_blanks(p);
        wrong = read_member(out, &name, &p, &ttl_left);
        if (wrong)
            return wrong;
        p = skip_blanks(p);
        if (*p == ',')
            p = skip_blanks(p + 1);
        else if (*p != '}')
            return "not JSON";
    }
    for (p++; is_blank(*p) || *p == ',' || *p == ']';)
        p++;
    if (*p)
        return "more than one object in the line";
    if (!out->ttl_ms)
        out->ttl_ms = ttl_left;
    end_text(&out->namespace_name);
    return out->key.data && out->key.size ? NULL : "the key is missing";
}

const char *line_read(struct line_entry *out, char *line, size_t size, enum line_format format)
{
    memset(out, 0, sizeof *out);
    while (size && (line[size - 1] == '\n' || (format != LINES_TSV && line[size - 1] == '\r')))
        line[--size] = '\0';
    if (!size)
        return NULL;
    if (format == LINES_TSV)
        return read_tsv_line(out, line, size);
    if (strlen(line) != size)
        return "a zero byte";
    return format == LINES_JSON ? read_json_line(out, line) : read_key_line(out, line);
}
