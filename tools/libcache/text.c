/* Units, safe text, base64, names. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};
static const struct unit sizes[] = {
    { "B", 1 }, { "KiB", UINT64_C(1) << 10 }, { "MiB", UINT64_C(1) << 20 }, { "GiB", UINT64_C(1) << 30 }, { NULL, 0 },
};

static int parse_with(uint64_t *out, const char *text, const struct unit *units, const char *missing, const char **why)
{
    unsigned long long number;
    char *end;

    *why = "not a whole number with a unit";
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno == ERANGE) {
        *why = "out of range";
        return -1;
    }
    if (!*end && (!units || number == 0)) {
        *out = number;
        return 0;
    }
    *why = missing;
    if (!*end || !units)
        return -1;
    for (; units->name; units++)
        if (strcmp(end, units->name) == 0) {
            *why = "out of range";
            if (number > UINT64_MAX / units->factor)
                return -1;
            *out = number * units->factor;
            return 0;
        }
    return -1;
}

int parse_duration(uint64_t *out, const char *text, const char **why)
{
    if (strcmp(text, "forever") == 0) {
        *out = LIBCACHE_FOREVER;
        return 0;
    }
    return parse_with(out, text, durations, "want a whole number with one of the units ms s m h d, or forever", why);
}

int parse_size(uint64_t *out, const char *text, const char **why)
{
    return parse_with(out, text, sizes, "want a whole number with one of the units B KiB MiB GiB", why);
}

int parse_number(uint64_t *out, const char *text, const char **why)
{
    return parse_with(out, text, NULL, "not a whole number", why);
}

/* ---- Showing -------------------------------------------------------------------------------------------------------- */

const char *show_bytes(char out[SHORT_TEXT], uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double number = (double)bytes;
    size_t unit = 0;

    for (; number >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        number /= 1024;
    snprintf(out, SHORT_TEXT, unit == 0 || number >= 100 ? "%.0f %s" : "%.1f %s", number, units[unit]);
    return out;
}

const char *show_ms(char out[SHORT_TEXT], uint64_t ms)
{
    if (ms == LIBCACHE_FOREVER)
        snprintf(out, SHORT_TEXT, "forever");
    else if (ms < 1000)
        snprintf(out, SHORT_TEXT, "%llu ms", (unsigned long long)ms);
    else if (ms < 60000)
        snprintf(out, SHORT_TEXT, "%.1f s", (double)ms / 1000);
    else if (ms < 2 * 3600000)
        snprintf(out, SHORT_TEXT, "%.0f min", (double)ms / 60000);
    else if (ms < UINT64_C(3) * 86400000)
        snprintf(out, SHORT_TEXT, "%.0f h", (double)ms / 3600000);
    else
        snprintf(out, SHORT_TEXT, "%.0f d", (double)ms / 86400000);
    return out;
}

const char *show_us(char out[SHORT_TEXT], double us)
{
    if (us < 1)
        snprintf(out, SHORT_TEXT, "%.0f ns", us * 1000);
    else if (us < 1000)
        snprintf(out, SHORT_TEXT, us < 10 ? "%.1f us" : "%.0f us", us);
    else if (us < 1e6)
        snprintf(out, SHORT_TEXT, us < 1e4 ? "%.1f ms" : "%.0f ms", us / 1000);
    else
        snprintf(out, SHORT_TEXT, "%.1f s", us / 1e6);
    return out;
}

const char *show_count(char out[SHORT_TEXT], double count)
{
    static const char *const units[] = { "", " k", " M", " G", " T" };
    size_t unit = 0;

    for (; count >= 9999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        count /= 1000;
    snprintf(out, SHORT_TEXT, unit == 0 || count >= 99.95 ? "%.0f%s" : "%.1f%s", count, units[unit]);
    return out;
}

/* Bytes of the UTF-8 character at p, of n that are left; 0: none. Control characters count as none. */
static size_t utf8_length(const unsigned char *p, size_t n, int *control)
{
    size_t length = *p < 0x80                 ? 1
                    : *p >= 0xc2 && *p < 0xe0 ? 2
                    : *p >= 0xe0 && *p < 0xf0 ? 3
                    : *p >= 0xf0 && *p < 0xf5 ? 4
                                              : 0;

    *control = *p < 0x20 || *p == 0x7f;
    if (!length || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    if (*p == 0xc2 && p[1] < 0xa0)
        *control = 1;
    return length;
}

int is_utf8(const void *data, size_t size)
{
    const unsigned char *p = data;
    int control;

    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_length(p + at, size - at, &control);
        if (!length)
            return 0;
    }
    return 1;
}

/* At most `room` columns (a character counts as one); gives how many were used. */
static size_t print_some(FILE *to, const unsigned char *p, size_t size, size_t room)
{
    size_t used = 0, length;
    int control;

    for (size_t at = 0; at < size; at += length) {
        length = utf8_length(p + at, size - at, &control);
        if (length && !control) {
            size_t columns = p[at] == '\\' ? 2 : 1;
            if (used + columns > room)
                break;
            if (columns == 2)
                putc('\\', to);
            fwrite(p + at, 1, length, to);
            used += columns;
        } else {
            length = length ? length : 1;
            if (used + 4 * length > room)
                break;
            for (size_t i = 0; i < length; i++)
                fprintf(to, "\\x%02x", p[at + i]);
            used += 4 * length;
        }
    }
    return used;
}

void print_safe(FILE *to, const void *data, size_t size)
{
    print_some(to, data, size, SIZE_MAX);
}

void print_cell(FILE *to, const void *data, size_t size, size_t room)
{
    for (size_t used = print_some(to, data, size, room); used < room; used++)
        putc(' ', to);
}

/* ---- base64 ---------------------------------------------------------------------------------------------------------- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void print_base64(FILE *to, const void *data, size_t size)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i += 3) {
        uint32_t three =
            (uint32_t)p[i] << 16 | (i + 1 < size ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < size ? p[i + 2] : 0);
        putc(base64[three >> 18], to);
        putc(base64[three >> 12 & 63], to);
        putc(i + 1 < size ? base64[three >> 6 & 63] : '=', to);
        putc(i + 2 < size ? base64[three & 63] : '=', to);
    }
}

long decode_base64(char *text, size_t size)
{
    size_t out = 0;

    if (size % 4)
        return -1;
    for (size_t i = 0; i < size; i += 4) {
        uint32_t four = 0;
        size_t pads = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *at = text[i + j] ? strchr(base64, text[i + j]) : NULL;
            if (text[i + j] == '=' && j >= 2 && i + 4 == size)
                pads++;
            else if (!at || pads)
                return -1;
            four = four << 6 | (at ? (uint32_t)(at - base64) : 0);
        }
        text[out++] = (char)(four >> 16);
        if (pads < 2)
            text[out++] = (char)(four >> 8);
        if (pads < 1)
            text[out++] = (char)four;
    }
    return (long)out;
}

/* ---- Names ------------------------------------------------------------------------------------------------------------ */

const char *codec_name(unsigned codec)
{
    switch (codec) {
    case 0: return "bytes";
    case 1: return "text";
    case 2: return "integer";
    case 3: return "msgpack";
    case 4: return "json";
    case 16: return "php";
    case 17: return "php-serialize";
    case 18: return "igbinary";
    case 32: return "pickle";
    default: return NULL;
    }
}

const char *result_name(int result)
{
    switch (result) {
    case LIBCACHE_HIT: return "hit";
    case LIBCACHE_STALE: return "stale";
    case LIBCACHE_NEGATIVE: return "negative";
    case LIBCACHE_MISS: return "miss";
    case LIBCACHE_FENCED: return "fenced";
    case LIBCACHE_EXISTS: return "exists";
    case LIBCACHE_OK: return "ok";
    default: return libcache_describe(result);
    }
}

/* The byte class at p ("[a-z]", "[!0-9]"): *after is behind it. */
static int class_has(const char *p, unsigned char c, const char **after)
{
    int not_in = p[1] == '!' || p[1] == '^', in = 0;
    const char *at = p + 1 + not_in, *first = at;

    for (; *at && (*at != ']' || at == first); at++) {
        unsigned char low = (unsigned char)*at, high = low;
        if (at[1] == '-' && at[2] && at[2] != ']') {
            high = (unsigned char)at[2];
            at += 2;
        }
        in |= c >= low && c <= high;
    }
    *after = *at ? at + 1 : at;
    return in != not_in;
}

int matches(const char *pattern, const void *data, size_t size)
{
    const char *text = data, *end = text + size, *star = NULL, *star_text = NULL, *after;

    while (text < end) {
        if (*pattern == '*') {
            star = ++pattern;
            star_text = text;
        } else if (*pattern == '?' || (*pattern == '[' && class_has(pattern, (unsigned char)*text, &after))) {
            pattern = *pattern == '?' ? pattern + 1 : after;
            text++;
        } else if (*pattern && *pattern != '[' && *(pattern + (*pattern == '\\' && pattern[1])) == *text) {
            pattern += *pattern == '\\' && pattern[1] ? 2 : 1;
            text++;
        } else if (star) {
            pattern = star;
            text = ++star_text;
        } else {
            return 0;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}
