/* See quantity.h. SPDX-License-Identifier: MIT */
#include "quantity.h"

#include "base/quantity.c"
