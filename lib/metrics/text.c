/* SPDX-License-Identifier: MIT */
#include "metrics/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 16384

static int grow(struct text *t, size_t more)
{
    size_t capacity = t->capacity ? t->capacity : FIRST_BYTES;
    char *data;

    if (t->failed || more <= t->capacity - t->size)
        return !t->failed;
    while (capacity - t->size < more)
        capacity *= 2;
    data = memory_get(t->allocator, capacity);
    if (!data) {
        t->failed = 1;
        return 0;
    }
    if (t->size)
        memcpy(data, t->data, t->size);
    memory_free(t->allocator, t->data);
    t->data = data;
    t->capacity = capacity;
    return 1;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !grow(t, (size_t)size + 1))
        return;
    va_start(arguments, format);
    vsnprintf(t->data + t->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    t->size += (size_t)size;
}

/* Bytes of the UTF-8 character that begins here; 0: none does. */
static size_t character(const unsigned char *s)
{
    static const struct {
        unsigned char from, to, second_from, second_to, size;
    } kinds[] = { { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                  { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                  { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 } };

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t i = 2;
        if (s[0] < kinds[k].from || s[0] > kinds[k].to)
            continue;
        if (kinds[k].size == 1)
            return 1;
        if (s[1] < kinds[k].second_from || s[1] > kinds[k].second_to)
            return 0;
        while (i < kinds[k].size && (s[i] & 0xc0) == 0x80)
            i++;
        return i == kinds[k].size ? i : 0;
    }
    return 0;
}

void text_add_name(struct text *t, const char *name)
{
    const unsigned char *s = (const unsigned char *)name;

    text_add(t, "\"");
    while (*s) {
        size_t size = character(s);
        if (!size)
            text_add(t, "\\\\x%02x", *s);
        else
            text_add(t, "%s%.*s", *s == '"' || *s == '\\' ? "\\" : "", (int)size, (const char *)s);
        s += size ? size : 1;
    }
    text_add(t, "\"");
}

void text_add_seconds(struct text *t, uint64_t ns)
{
    unsigned long long whole = ns / 1000000000, part = ns % 1000000000;
    int digits = 9;

    for (; part && part % 10 == 0; part /= 10)
        digits--;
    if (part)
        text_add(t, "%llu.%0*llu", whole, digits, part);
    else
        text_add(t, "%llu.0", whole);
}

void text_free(struct text *t)
{
    memory_free(t->allocator, t->data);
}
