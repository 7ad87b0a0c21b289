/* What load.c and remember.c share. SPDX-License-Identifier: MIT */
#ifndef PHP_LIBCACHE_LOAD_H
#define PHP_LIBCACHE_LOAD_H
#include "php_libcache.h"

#include <unistd.h>

enum { ENDED, LEAD, REFRESH, WAITING, BYPASS }; /* the class's constants */

typedef struct php_libcache_load {
    libcache_load *load;     /* NULL: ended, or (borrowed) the core's own */
    php_libcache_cache *c;   /* a reference */
    int state, borrowed;
    pid_t pid;               /* a forked child must not end its parent's load */
    uint64_t ttl_ms;
    int ttl_over;            /* it was 0 or less: not to be stored */
    unsigned flags;          /* LIBCACHE_NEG, LIBCACHE_NOT_STORED */
    zval tags;               /* array, or undef */
    zend_object std;
} php_libcache_load;

php_libcache_load *load_from(zend_object *object);

/* An object for a load of the core's, or (load NULL) for one that the core ends itself. */
php_libcache_load *make_load(zval *out, php_libcache_cache *c, libcache_load *load, int state);

/* A result that comes with a value. */
int has_value(int result);
/* That value. 0: it cannot be read. */
int value_of(php_libcache_cache *c, php_libcache_reading *r, int result, zval *out);

void throw_failed(const zend_string *key);

#endif
