/* SPDX-License-Identifier: MIT */
#include "base/decimal.h"

size_t decimal_write(char *text, int64_t number)
{
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char digits[DECIMAL_MAX];
    size_t n = 0, size = 0;

    do
        digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        text[size++] = '-';
    while (n)
        text[size++] = digits[--n];
    return size;
}

int decimal_read(const void *bytes, size_t size, int64_t *out)
{
    const unsigned char *text = bytes;
    uint64_t number = 0, limit;
    int negative = size && text[0] == '-';

    limit = (uint64_t)INT64_MAX + (uint64_t)negative;
    if (size == (size_t)negative || size > DECIMAL_MAX)
        return 0;
    for (size_t i = (size_t)negative; i < size; i++) {
        unsigned digit = (unsigned)text[i] - '0';
        if (digit > 9 || number > (limit - digit) / 10)
            return 0;
        number = number * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - number) : (int64_t)number;
    return 1;
}
