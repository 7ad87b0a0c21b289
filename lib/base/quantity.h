/*
 * Whole numbers with a unit, as people write them into files: 300s, 64KiB, 10%. No locale, no fractions, no blanks.
 * SPDX-License-Identifier: MIT
 */
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H
#include <stdint.h>

#define QUANTITY_MS_UNITS "ms s m h d"
#define QUANTITY_BYTES_UNITS "B KiB MiB GiB"

/*
 * Each takes the whole of text or nothing. NULL: *out is set; else the reason in a few words, a constant string, and
 * *out is untouched. Only 0 may go without a unit.
 */
const char *quantity_read_ms(uint64_t *out, const char *text);      /* QUANTITY_MS_UNITS */
const char *quantity_read_bytes(uint64_t *out, const char *text);   /* QUANTITY_BYTES_UNITS */
const char *quantity_read_percent(uint64_t *out, const char *text); /* % */

#endif
