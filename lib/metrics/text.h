/* Text that grows. SPDX-License-Identifier: MIT */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H
#include "base/memory.h"

struct text {
    const libcache_allocator *allocator;
    char *data;
    size_t size, capacity;
    int failed; /* there was no memory: what is added from then on is lost */
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A name between quotes, which an OpenMetrics label and a JSON string escape alike: backslash and quote with a backslash. (Names of namespaces
 * have no control characters.) Bytes that are not UTF-8 become \xNN, as text.
 */
void text_add_name(struct text *text, const char *name);

/* ns as seconds, exactly. */
void text_add_seconds(struct text *text, uint64_t ns);

void text_free(struct text *text);

#endif
