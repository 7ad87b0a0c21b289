/* SipHash-2-4, a hash that tells nothing of what was hashed to who does not have its key. SPDX-License-Identifier: MIT */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H
#include <stddef.h>
#include <stdint.h>

/* Of the eight bytes of `first`, little endian, and those at `data`. */
uint64_t siphash(const uint64_t key[2], uint64_t first, const void *data, size_t size);

#endif
