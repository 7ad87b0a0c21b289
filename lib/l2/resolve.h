/* Names to addresses, under a deadline. SPDX-License-Identifier: MIT */
#ifndef L2_RESOLVE_H
#define L2_RESOLVE_H
#include "l2/socket.h"
#include "l2/url.h"

#define RESOLVE_ADDRESSES_MAX 8u

/*
 * Fills at most RESOLVE_ADDRESSES_MAX addresses, in the order in which to try them; *n is how many, at least 1 when
 * WAIT_READY. WAIT_DEAD: there is no such name, or nobody who knows.
 */
enum wait_result resolve(struct address *addresses, size_t *n, const struct url *url, const struct patience *patience);

#endif
