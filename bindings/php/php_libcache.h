/*
 * The PHP extension: what its files share. SPDX-License-Identifier: MIT
 *
 *   libcache.c   module, ini settings      options.c  options and policies        handles.c  the caches that are open
 *   cache.c      Cache: views, statistics  read.c     get and its kin             write.c    set and its kin
 *   load.c       Load, begin               remember.c remember, rememberMany      locks.c    Lock, Clock
 *   metrics.c    stats, metrics            values.c   which codec, and the object codecs
 *   encode.c, decode.c, shapes.c           the native codec (codec.h)             msgpack_*.c  the interchange codec
 *
 * Two rules hold everywhere: no PHP code runs and no Zend memory is asked for while the core holds a lock (the core calls back
 * only `reserve`, a loader and a clock, without locks); and what a bailout (longjmp) leaves behind is either in request memory
 * or in no need of anybody. A bailout never passes through the core: see guarded_string and load.c.
 */
#ifndef PHP_LIBCACHE_H
#define PHP_LIBCACHE_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "php.h"
#include "libcache.h"

#define PHP_LIBCACHE_VERSION "0.1.0"

extern zend_module_entry libcache_module_entry;
#define phpext_libcache_ptr &libcache_module_entry

#define SCRATCH_BYTES (32 * 1024)
#define SHAPE_SLOTS 256

struct shape;

/* Of each thread. */
ZEND_BEGIN_MODULE_GLOBALS(libcache)
    char *scratch;                      /* SCRATCH_BYTES; nothing of it is needed while PHP code runs */
    HashTable *keys;                    /* keys of shapes, see shapes.c */
    struct shape *given_up;             /* shapes that a decoding may still be using */
    struct {
        struct shape *shape;
        uint32_t seen;
    } shapes[SHAPE_SLOTS];
ZEND_END_MODULE_GLOBALS(libcache)

ZEND_EXTERN_MODULE_GLOBALS(libcache)
#define LIBCACHE_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(libcache, v)
#if defined(ZTS) && defined(COMPILE_DL_LIBCACHE)
ZEND_TSRMLS_CACHE_EXTERN()
#endif

/* ---- Errors ---- */

#define EVALUE (-100) /* Libcache\Exception::EVALUE: a value that cannot be stored */

extern zend_class_entry *php_libcache_cache_ce, *php_libcache_load_ce, *php_libcache_lock_ce, *php_libcache_clock_ce,
    *php_libcache_exception_ce;

void php_libcache_throw(int code, const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 2, 3);

/* ---- Open caches (handles.c) ---- */

/* A clock of tests. Its memory outlives the object as long as a cache uses it. */
typedef struct php_libcache_clock {
    uint64_t now_ms; /* relaxed atomics */
    unsigned users;
} php_libcache_clock;

void php_libcache_clock_release(php_libcache_clock *clock);
uint64_t php_libcache_clock_read(void *arg);

typedef struct php_libcache_handle {
    libcache *cache;
    php_libcache_clock *clock;       /* NULL: real time. Then the handle is nobody else's, and ends with its last user */
    unsigned users;                  /* counted only with a clock */
    struct php_libcache_handle *next;
    char *fingerprint;
} php_libcache_handle;

/* NULL: thrown. The caller is a user. */
php_libcache_handle *php_libcache_open(HashTable *options);
void php_libcache_handle_release(php_libcache_handle *handle);
/* That of the ini settings; NULL: not open in this process. */
php_libcache_handle *php_libcache_standard(void);
/* At MINIT and MSHUTDOWN. */
void php_libcache_handles_start(void);
void php_libcache_handles_end(void);

/* ---- Options (options.c) ---- */

typedef struct php_libcache_options {
    libcache_options core;
    php_libcache_clock *clock;
    char *fingerprint;              /* malloc */
    zend_string *kept[40];          /* texts that `core` points to */
    size_t n_kept;
} php_libcache_options;

/* From the ini settings, and from an array over them (NULL: none). 0, or the reason is in *error. */
int php_libcache_options_read(php_libcache_options *out, HashTable *given, libcache_error *error);
void php_libcache_options_free(php_libcache_options *options);

/* A ttl or another time. 1: *ms is set (0: null was given; LIBCACHE_FOREVER); -1: it is 0 or less; 0: thrown. */
int php_libcache_time(zval *given, const char *what, uint64_t *ms);

enum { OBJECTS_NONE, OBJECTS_ALL, OBJECTS_LISTED };

/* What a view of a namespace says, besides the policy. */
typedef struct php_libcache_settings {
    bool msgpack, igbinary, memo;
    int objects;
    HashTable *allowed; /* OBJECTS_LISTED: class names in lower case, as keys; request memory */
} php_libcache_settings;

/* Reads a policy and the settings. 0: thrown. */
int php_libcache_policy_read(HashTable *given, libcache_policy *policy, php_libcache_settings *settings);

extern const char *const php_libcache_ini_names[];
extern const size_t php_libcache_ini_count;

/* ---- Cache ---- */

typedef struct php_libcache_cache {
    libcache_ns *ns;
    php_libcache_handle *handle;
    php_libcache_settings settings;
    HashTable *memo;
    int last_error;
    zend_string *name;
    zend_object std;
} php_libcache_cache;

static zend_always_inline php_libcache_cache *php_libcache_from(zend_object *object)
{
    return (php_libcache_cache *)((char *)object - offsetof(php_libcache_cache, std));
}
#define THIS_CACHE() php_libcache_from(Z_OBJ_P(ZEND_THIS))

zend_object *php_libcache_cache_new(zend_class_entry *ce);
void php_libcache_cache_start(void);

/* What a call of the core gave: remembers a fault; throws for misuse. 1: it is no error. */
int php_libcache_settle(php_libcache_cache *c, int result, const char *what);

/* Flags for the core, which refuses those that it does not know: also the ones beyond its 32 bits. */
static zend_always_inline unsigned flags_of(zend_long flags)
{
    return EXPECTED((zend_ulong)flags <= INT_MAX) ? (unsigned)flags : UINT_MAX;
}

static inline bool has_zero_byte(const zend_string *s)
{
    return memchr(ZSTR_VAL(s), '\0', ZSTR_LEN(s)) != NULL;
}

/* ---- Values (values.c) ---- */

/* A value being read. */
typedef struct php_libcache_reading {
    libcache_value value;
    zend_string *string; /* its bytes, or in scratch */
    bool scratch;   /* in: may be used */
    bool guarded;   /* in: no bailout may leave `reserve` */
    bool bailed;    /* out: there was one; let it go on as soon as the core has returned */
} php_libcache_reading;

void *php_libcache_reserve(libcache_value *value, size_t size);

static zend_always_inline void reading_begin(php_libcache_reading *r)
{
    memset(r, 0, sizeof *r);
    r->value.reserve = php_libcache_reserve;
    r->value.reserve_arg = r;
    r->scratch = 1;
}

static zend_always_inline void reading_end(php_libcache_reading *r)
{
    if (r->string)
        zend_string_release_ex(r->string, 0);
    r->string = NULL;
    if (UNEXPECTED(r->bailed))
        zend_bailout();
}

/* The value of what was read. 1: in `out`. 0: these bytes are no value for this namespace. Consumes the bytes. May run PHP code. */
int php_libcache_decode(php_libcache_cache *c, php_libcache_reading *r, zval *out);

#define OUT_ROOM 1920

/*
 * A string of request memory, for what may be large. Some builds of PHP let internal code go on beyond memory_limit and end the
 * process at a second limit, unless it asks for memory in a way that may fail: NULL then. Others leave by bailout.
 */
static zend_always_inline zend_string *php_libcache_string(size_t size)
{
#ifdef femalloc
    return zend_string_falloc(size, 0, 1);
#else
    return zend_string_alloc(size, 0);
#endif
}

/* Bytes being written; grows in request memory. */
typedef struct php_libcache_out {
    char *at, *end, *begin;
    zend_string *string; /* the bytes are its, not `room` */
    char room[OUT_ROOM];
} php_libcache_out;

static zend_always_inline void out_begin(php_libcache_out *out)
{
    out->at = out->begin = out->room;
    out->end = out->room + sizeof out->room;
    out->string = NULL;
}

static zend_always_inline void out_end(php_libcache_out *out)
{
    if (out->string)
        zend_string_release_ex(out->string, 0);
    out->string = NULL;
}

void php_libcache_out_grow(php_libcache_out *out, size_t more);

/* Room for n bytes. */
static zend_always_inline char *out_room(php_libcache_out *out, size_t n)
{
    if (UNEXPECTED((size_t)(out->end - out->at) < n))
        php_libcache_out_grow(out, n);
    return out->at;
}

static zend_always_inline void out_bytes(php_libcache_out *out, const void *bytes, size_t n)
{
    memcpy(out_room(out, n), bytes, n);
    out->at += n;
}

/*
 * A value's bytes and codec. They are in `out`, or the string's own. 1: done; 0: thrown. May run PHP code (serialize).
 * out_begin it first, out_end it after.
 */
int php_libcache_encode(php_libcache_cache *c, zval *value, php_libcache_out *out, libcache_slice *bytes, uint8_t *codec);

/* ---- Tags and keys ---- */

typedef struct php_libcache_tags {
    libcache_slice slice[LIBCACHE_TAGS_MAX];
    zend_string *held[LIBCACHE_TAGS_MAX]; /* a list may have references, which PHP code changes meanwhile */
    size_t n;
} php_libcache_tags;

/* Adds those of an array (NULL: none) or of a string. 0: thrown. */
int php_libcache_tags_add(php_libcache_tags *tags, zval *given);
void php_libcache_tags_free(php_libcache_tags *tags);

/* Keys of an array's values. NULL: thrown. efree it after php_libcache_keys_free. */
typedef struct php_libcache_keys {
    zend_string **name;
    libcache_slice *slice;
    size_t n;
} php_libcache_keys;

int php_libcache_keys_read(php_libcache_keys *keys, HashTable *given);
void php_libcache_keys_free(php_libcache_keys *keys);

/* ---- Loads and locks ---- */

zend_object *php_libcache_load_new(zend_class_entry *ce);
zend_object *php_libcache_lock_new(zend_class_entry *ce);
zend_object *php_libcache_clock_new(zend_class_entry *ce);
php_libcache_clock *php_libcache_clock_of(zval *object); /* NULL: it is none */
void php_libcache_loads_start(void);
void php_libcache_locks_start(void);

#endif
