/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <string.h>

int options_read(void *known, size_t known_size, const void *given)
{
    size_t given_size, i;
    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size || given_size > 4096)
        return 0;
    for (i = known_size; i < given_size; i++)
        if (((const unsigned char *)given)[i])
            return 0;
    memset(known, 0, known_size);
    memcpy(known, given, given_size < known_size ? given_size : known_size);
    memcpy(known, &known_size, sizeof known_size);
    return 1;
}

int options_write(void *given, const void *known, size_t known_size)
{
    const size_t first = sizeof(size_t), given_size = *(const size_t *)given; /* every such struct begins with it */

    if (given_size < first)
        return 0;
    memset((char *)given + first, 0, given_size - first);
    memcpy((char *)given + first, (const char *)known + first, (given_size < known_size ? given_size : known_size) - first);
    return 1;
}
