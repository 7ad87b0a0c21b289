/* The core's reader of quantities, under names of our own: an installed libcache does not export it. SPDX-License-Identifier: MIT */
#ifndef PHP_LIBCACHE_QUANTITY_H
#define PHP_LIBCACHE_QUANTITY_H
#define quantity_read_ms php_libcache_quantity_ms
#define quantity_read_bytes php_libcache_quantity_bytes
#define quantity_read_percent php_libcache_quantity_percent
#include "base/quantity.h"
#endif
