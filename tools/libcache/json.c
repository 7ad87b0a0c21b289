/* Writing JSON, on standard output, as it comes. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <math.h>
#include <string.h>

enum { DEPTH = 16 };

static char open_brackets[DEPTH];
static int depth, begun, wants_comma;

/* What comes before a value. */
static void place(const char *name)
{
    if (wants_comma)
        fputs(depth == 1 && open_brackets[0] == '[' ? ",\n " : ", ", stdout);
    begun = wants_comma = 1;
    if (name)
        printf("\"%s\": ", name);
}

int json_begun(void)
{
    return begun;
}

void json_open(const char *name, char bracket)
{
    place(name);
    putchar(bracket);
    if (depth < DEPTH)
        open_brackets[depth++] = bracket;
    wants_comma = 0;
}

void json_close(void)
{
    putchar(open_brackets[--depth] == '{' ? '}' : ']');
    wants_comma = 1;
}

void json_end(void)
{
    while (depth)
        json_close();
    if (begun)
        putchar('\n');
    begun = wants_comma = 0;
}

/* `data` is UTF-8 */
static void quoted(const char *data, size_t size)
{
    putchar('"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '\t')
            fputs("\\t", stdout);
        else if (c < 0x20 || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

void json_text(const char *name, const char *text)
{
    if (!text) {
        json_null(name);
        return;
    }
    place(name);
    if (is_utf8(text, strlen(text))) {
        quoted(text, strlen(text));
        return;
    }
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            printf("\\\\x%02x", c);
        else
            putchar(c);
    }
    putchar('"');
}

void json_bytes(const char *name, const void *data, size_t size)
{
    char long_name[64];

    if (is_utf8(data, size)) {
        place(name);
        quoted(data, size);
        return;
    }
    snprintf(long_name, sizeof long_name, "%s_base64", name);
    place(long_name);
    putchar('"');
    print_base64(stdout, data, size);
    putchar('"');
}

void json_number(const char *name, uint64_t number)
{
    place(name);
    printf("%llu", (unsigned long long)number);
}

void json_real(const char *name, double number)
{
    place(name);
    if (isfinite(number))
        printf("%.6g", number);
    else
        fputs("null", stdout);
}

void json_bool(const char *name, int yes)
{
    place(name);
    fputs(yes ? "true" : "false", stdout);
}

void json_null(const char *name)
{
    place(name);
    fputs("null", stdout);
}
