/*
 * Namespace policies: defaults, validation, and the INI file that all languages share.
 * SPDX-License-Identifier: MIT
 */
#ifndef LIBCACHE_POLICY_H
#define LIBCACHE_POLICY_H
#include "libcache.h"

/* The policies that a file named, by namespace. Immutable after policy_read_file. */
struct policy_book;

/*
 * Reads an INI file. *out owns all its memory (policy_book_free). Unknown or repeated sections and fields, bad values
 * and contradictions are refused with LIBCACHE_EPOLICY and a text "FILE:LINE: reason". ESYSTEM: cannot be read.
 */
int policy_read_file(struct policy_book **out, const char *path, const libcache_allocator *allocator,
                     libcache_error *error);

/* The same from memory; `name` stands for the file in error texts. (Fuzzed.) */
int policy_read_text(struct policy_book **out, const char *name, const char *text, size_t size,
                     const libcache_allocator *allocator, libcache_error *error);

void policy_book_free(struct policy_book *book); /* NULL allowed */

/* What the file said of a namespace: its own section over [default] over nothing. book NULL: all zero. */
void policy_book_find(const struct policy_book *book, const char *ns_name, libcache_policy *out);

/*
 * Resolves what code gave (NULL: nothing) over what the file gave, fills the defaults, and validates the result
 * against the cache's largest value and its tiers. *out has every field filled. EPOLICY, EUNSUPPORTED (tier that
 * the cache lacks), EINVAL (struct_size), each with a text that names field and reason.
 */
int policy_resolve(libcache_policy *out, const libcache_policy *from_code, const libcache_policy *from_file,
                   const char *ns_name, size_t cache_max_value_bytes, unsigned cache_tiers, libcache_error *error);

/* 1 when both resolved policies say the same. */
int policy_equal(const libcache_policy *a, const libcache_policy *b);

#endif
