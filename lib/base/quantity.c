/* SPDX-License-Identifier: MIT */
#include "base/quantity.h"

#include <string.h>

struct unit {
    const char *name; /* NULL ends a list */
    uint64_t factor;
};

static const struct unit ms_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 24 * 3600 * 1000 }, { NULL, 0 },
};
static const struct unit bytes_units[] = {
    { "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { NULL, 0 },
};
static const struct unit percent_units[] = { { "%", 1 }, { NULL, 0 } };

static const char *read_quantity(uint64_t *out, const char *text, const struct unit *unit)
{
    uint64_t number = 0;
    if (*text < '0' || *text > '9')
        return "not a whole number";
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
            return "too large";
    if (!*text && number)
        return "unit missing";
    while (*text && unit->name && strcmp(unit->name, text) != 0)
        unit++;
    if (!unit->name)
        return *text == '.' || *text == ',' ? "not a whole number" : "unknown unit";
    if (__builtin_mul_overflow(number, unit->factor, &number))
        return "too large";
    *out = number;
    return NULL;
}

const char *quantity_read_ms(uint64_t *out, const char *text)
{
    return read_quantity(out, text, ms_units);
}

const char *quantity_read_bytes(uint64_t *out, const char *text)
{
    return read_quantity(out, text, bytes_units);
}

const char *quantity_read_percent(uint64_t *out, const char *text)
{
    return read_quantity(out, text, percent_units);
}
