/*
 * The caches that this process has open. SPDX-License-Identifier: MIT
 *
 * A cache is opened once in a process and stays open until the process ends: requests come and go. They are told apart by
 * their options, written out as text. Only a cache with a clock (tests) is nobody else's and ends with its last object.
 */
#include "php_libcache.h"

#ifdef ZTS
static MUTEX_T lock;
#define LOCK() tsrm_mutex_lock(lock)
#define UNLOCK() tsrm_mutex_unlock(lock)
#else
#define LOCK() (void)0
#define UNLOCK() (void)0
#endif

static php_libcache_handle *handles; /* guarded by the lock; they are removed at the end only */
static php_libcache_handle *standard; /* of the ini settings alone. Set once */

static php_libcache_handle *find(const char *fingerprint)
{
    php_libcache_handle *h = handles;

    while (h && strcmp(h->fingerprint, fingerprint))
        h = h->next;
    return h;
}

static php_libcache_handle *make(php_libcache_options *options, libcache_error *error)
{
    php_libcache_handle *h = calloc(1, sizeof *h);

    if (!h) {
        error->code = LIBCACHE_ENOMEM;
        snprintf(error->text, sizeof error->text, "no memory");
        return NULL;
    }
    if (libcache_open(&h->cache, &options->core, error) != LIBCACHE_OK) {
        free(h);
        return NULL;
    }
    h->fingerprint = options->fingerprint;
    options->fingerprint = NULL;
    h->clock = options->clock;
    if (h->clock)
        __atomic_fetch_add(&h->clock->users, 1, __ATOMIC_RELAXED);
    return h;
}

static php_libcache_handle *find_or_make(HashTable *given, libcache_error *error)
{
    php_libcache_options options;
    php_libcache_handle *h = NULL;

    if (php_libcache_options_read(&options, given, error) == 0) {
        if (options.clock) {
            h = make(&options, error);
        } else {
            LOCK();
            h = find(options.fingerprint);
            if (!h && (h = make(&options, error)) != NULL) {
                h->next = handles;
                handles = h;
            }
            UNLOCK();
        }
    }
    php_libcache_options_free(&options);
    return h;
}

php_libcache_handle *php_libcache_open(HashTable *given)
{
    libcache_error error = { 0, "" };
    php_libcache_handle *h;

    if (!given && (h = __atomic_load_n(&standard, __ATOMIC_ACQUIRE)) != NULL)
        return h;
    h = find_or_make(given, &error);
    if (!h) {
        if (!EG(exception))
            php_libcache_throw(error.code, "%s", error.text[0] ? error.text : libcache_describe(error.code));
        return NULL;
    }
    if (h->clock)
        h->users++;
    else if (!given)
        __atomic_store_n(&standard, h, __ATOMIC_RELEASE);
    return h;
}

php_libcache_handle *php_libcache_standard(void)
{
    return __atomic_load_n(&standard, __ATOMIC_ACQUIRE);
}

static void end(php_libcache_handle *h)
{
    libcache_close(h->cache);
    if (h->clock)
        php_libcache_clock_release(h->clock);
    free(h->fingerprint);
    free(h);
}

void php_libcache_handle_release(php_libcache_handle *h)
{
    if (h && h->clock && --h->users == 0)
        end(h);
}

/* The segment that FPM's workers are to share must be there before they are forked. */
void php_libcache_handles_start(void)
{
    libcache_error error = { 0, "" };
    const char *segment = zend_ini_string("libcache.segment", sizeof "libcache.segment" - 1, 0);

#ifdef ZTS
    lock = tsrm_mutex_alloc();
#endif
    if (strcmp(segment, "shared"))
        return;
    standard = find_or_make(NULL, &error);
    if (!standard)
        php_error_docref(NULL, E_WARNING, "libcache: the cache of the ini settings is not open: %s", error.text);
}

void php_libcache_handles_end(void)
{
    while (handles) {
        php_libcache_handle *h = handles;
        handles = h->next;
        end(h);
    }
    standard = NULL;
#ifdef ZTS
    tsrm_mutex_free(lock);
#endif
}
