/* Lock and Clock, and rates. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

#include "ext/standard/md5.h"
#if PHP_VERSION_ID >= 80200
#include "ext/random/php_random.h"
#else
#include "ext/standard/php_random.h"
#endif

#include <time.h>

/* ---- Lock ---- */

typedef struct php_libcache_lock {
    php_libcache_cache *c; /* a reference */
    zend_string *name, *said; /* said: the owner as it was given; NULL: a new one */
    libcache_owner owner;  /* text[0] 0: none yet */
    uint64_t ttl_ms;
    zend_object std;
} php_libcache_lock;

static zend_object_handlers lock_handlers, clock_handlers;

static php_libcache_lock *lock_from(zend_object *object)
{
    return (php_libcache_lock *)((char *)object - offsetof(php_libcache_lock, std));
}
#define THIS_LOCK() lock_from(Z_OBJ_P(ZEND_THIS))

zend_object *php_libcache_lock_new(zend_class_entry *ce)
{
    php_libcache_lock *l = zend_object_alloc(sizeof *l, ce);

    memset(l, 0, offsetof(php_libcache_lock, std));
    zend_object_std_init(&l->std, ce);
    object_properties_init(&l->std, ce);
    l->std.handlers = &lock_handlers;
    return &l->std;
}

static void free_lock(zend_object *object)
{
    php_libcache_lock *l = lock_from(object);

    if (l->name)
        zend_string_release(l->name);
    if (l->said)
        zend_string_release(l->said);
    if (l->c)
        OBJ_RELEASE(&l->c->std);
    zend_object_std_dtor(object);
}

/* The core knows owners of 32 bytes: any other text is told apart by its MD5. */
static void say_owner(php_libcache_lock *l, zend_string *owner)
{
    PHP_MD5_CTX context;
    unsigned char digest[16];

    l->said = zend_string_copy(owner);
    if (ZSTR_LEN(owner) == 32 && !has_zero_byte(owner)) {
        memcpy(l->owner.text, ZSTR_VAL(owner), 33);
        return;
    }
    PHP_MD5Init(&context);
    PHP_MD5Update(&context, ZSTR_VAL(owner), ZSTR_LEN(owner));
    PHP_MD5Final(digest, &context);
    make_digest_ex(l->owner.text, digest, 16);
}

/* An owner of our own, made by the core when the lock is first taken, or here when it is asked for before. */
static void need_owner(php_libcache_lock *l)
{
    unsigned char bytes[16];

    if (l->owner.text[0])
        return;
    if (php_random_bytes_throw(bytes, sizeof bytes) == SUCCESS)
        make_digest_ex(l->owner.text, bytes, 16);
}

ZEND_METHOD(Libcache_Cache, lock)
{
    php_libcache_cache *c = THIS_CACHE();
    php_libcache_lock *l;
    zend_string *name, *owner = NULL;
    zval *ttl = NULL;
    uint64_t ms;
    int known;

    ZEND_PARSE_PARAMETERS_START(1, 3)
        Z_PARAM_STR(name)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
        Z_PARAM_STR_OR_NULL(owner)
    ZEND_PARSE_PARAMETERS_END();

    if (ZSTR_LEN(name) == 0 || ZSTR_LEN(name) > LIBCACHE_KEY_MAX) {
        php_libcache_throw(LIBCACHE_EKEY, "name of a lock: %s", libcache_describe(LIBCACHE_EKEY));
        RETURN_THROWS();
    }
    known = ttl ? php_libcache_time(ttl, "ttl", &ms) : 1;
    if (!known)
        RETURN_THROWS();
    if (!ttl)
        ms = 10000;
    if (known < 0 || !ms) {
        php_libcache_throw(LIBCACHE_EINVAL, "ttl of a lock: 0 or less");
        RETURN_THROWS();
    }
    if (owner && ZSTR_LEN(owner) == 0) {
        php_libcache_throw(LIBCACHE_EINVAL, "owner of a lock: empty");
        RETURN_THROWS();
    }
    object_init_ex(return_value, php_libcache_lock_ce);
    l = lock_from(Z_OBJ_P(return_value));
    GC_ADDREF(&c->std);
    l->c = c;
    l->name = zend_string_copy(name);
    l->ttl_ms = ms == LIBCACHE_FOREVER ? LIBCACHE_TTL_MAX_MS : ms;
    if (owner)
        say_owner(l, owner);
}

ZEND_METHOD(Libcache_Lock, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

/* What a call about a lock gave. 1: it was done. */
static int settle(php_libcache_lock *l, int result)
{
    if (result == LIBCACHE_ELOST) {
        l->c->last_error = 0;
        return 0;
    }
    return php_libcache_settle(l->c, result, "lock") && result == LIBCACHE_OK;
}

#define SLICE_MS 100 /* of a wait: then signals and the time limit get through */

#if PHP_VERSION_ID >= 80200
#define FLAG_IS_SET(flag) zend_atomic_bool_load_ex(&(flag))
#define FLAG_CLEAR(flag) zend_atomic_bool_store_ex(&(flag), false)
#else
#define FLAG_IS_SET(flag) (flag)
#define FLAG_CLEAR(flag) ((flag) = 0)
#endif

/* What PHP's own loop does between two calls, within one. 1: something was thrown. */
static int interrupted(zend_execute_data *execute_data)
{
    if (FLAG_IS_SET(EG(vm_interrupt))) {
        FLAG_CLEAR(EG(vm_interrupt));
        if (FLAG_IS_SET(EG(timed_out)))
            zend_timeout();
        else if (zend_interrupt_function)
            zend_interrupt_function(execute_data);
    }
    return EG(exception) != NULL;
}

static uint64_t real_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

ZEND_METHOD(Libcache_Lock, take)
{
    php_libcache_lock *l = THIS_LOCK();
    zval *wait = NULL;
    uint64_t ms = 0, begun, waited = 0;
    int known = 1, result;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(wait)
    ZEND_PARSE_PARAMETERS_END();
    if (wait)
        known = php_libcache_time(wait, "wait", &ms);
    if (!known)
        RETURN_THROWS();
    if (known < 0)
        ms = 0;
    need_owner(l);
    begun = real_ns();
    for (;;) {
        uint64_t left = ms - waited;
        result = libcache_lock_take(l->c->handle->cache, ZSTR_VAL(l->name), ZSTR_LEN(l->name), &l->owner, l->ttl_ms,
                                    left < SLICE_MS ? (unsigned)left : SLICE_MS);
        if (result != LIBCACHE_EXISTS || left <= SLICE_MS)
            break;
        if (interrupted(execute_data))
            RETURN_THROWS();
        waited = (real_ns() - begun) / 1000000; /* rounded down once: nobody gives up too early */
        waited = waited < ms ? waited : ms;
    }
    RETURN_BOOL(settle(l, result));
}

ZEND_METHOD(Libcache_Lock, keep)
{
    php_libcache_lock *l = THIS_LOCK();
    zval *ttl = NULL;
    uint64_t ms = 0;
    int known;

    ZEND_PARSE_PARAMETERS_START(0, 1)
        Z_PARAM_OPTIONAL
        Z_PARAM_ZVAL(ttl)
    ZEND_PARSE_PARAMETERS_END();
    known = php_libcache_time(ttl, "ttl", &ms);
    if (known < 0)
        php_libcache_throw(LIBCACHE_EINVAL, "ttl of a lock: 0 or less");
    if (known <= 0)
        RETURN_THROWS();
    if (!ms)
        ms = l->ttl_ms;
    need_owner(l);
    RETURN_BOOL(settle(l, libcache_lock_keep(l->c->handle->cache, ZSTR_VAL(l->name), ZSTR_LEN(l->name), &l->owner,
                                             ms == LIBCACHE_FOREVER ? LIBCACHE_TTL_MAX_MS : ms)));
}

ZEND_METHOD(Libcache_Lock, free)
{
    php_libcache_lock *l = THIS_LOCK();

    ZEND_PARSE_PARAMETERS_NONE();
    need_owner(l);
    RETURN_BOOL(settle(l, libcache_lock_free(l->c->handle->cache, ZSTR_VAL(l->name), ZSTR_LEN(l->name), &l->owner)));
}

ZEND_METHOD(Libcache_Lock, break)
{
    php_libcache_lock *l = THIS_LOCK();

    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_BOOL(settle(l, libcache_lock_break(l->c->handle->cache, ZSTR_VAL(l->name), ZSTR_LEN(l->name))));
}

/* 1: somebody has it. */
static int look(php_libcache_lock *l, libcache_owner *owner, uint64_t *left_ms)
{
    memset(owner, 0, sizeof *owner);
    return settle(l, libcache_lock_owner(l->c->handle->cache, ZSTR_VAL(l->name), ZSTR_LEN(l->name), owner, left_ms));
}

ZEND_METHOD(Libcache_Lock, isMine)
{
    php_libcache_lock *l = THIS_LOCK();
    libcache_owner owner;
    uint64_t left;

    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_BOOL(look(l, &owner, &left) && !memcmp(owner.text, l->owner.text, sizeof owner.text));
}

ZEND_METHOD(Libcache_Lock, holder)
{
    php_libcache_lock *l = THIS_LOCK();
    libcache_owner owner;
    uint64_t left;

    ZEND_PARSE_PARAMETERS_NONE();
    if (!look(l, &owner, &left))
        RETURN_NULL();
    RETURN_STRINGL(owner.text, 32);
}

ZEND_METHOD(Libcache_Lock, left)
{
    php_libcache_lock *l = THIS_LOCK();
    libcache_owner owner;
    uint64_t left = 0;

    ZEND_PARSE_PARAMETERS_NONE();
    if (!look(l, &owner, &left))
        RETURN_NULL();
    RETURN_DOUBLE((double)left / 1000);
}

ZEND_METHOD(Libcache_Lock, owner)
{
    php_libcache_lock *l = THIS_LOCK();

    ZEND_PARSE_PARAMETERS_NONE();
    if (l->said)
        RETURN_STR_COPY(l->said);
    need_owner(l);
    RETURN_STRINGL(l->owner.text, 32);
}

ZEND_METHOD(Libcache_Lock, name)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_STR_COPY(THIS_LOCK()->name);
}

ZEND_METHOD(Libcache_Cache, rateHit)
{
    php_libcache_cache *c = THIS_CACHE();
    libcache_rate rate = { 0, 0, 0 };
    zend_string *name;
    zend_long limit;
    zval *window;
    uint64_t ms;
    int known, result;

    ZEND_PARSE_PARAMETERS_START(3, 3)
        Z_PARAM_STR(name)
        Z_PARAM_LONG(limit)
        Z_PARAM_ZVAL(window)
    ZEND_PARSE_PARAMETERS_END();
    known = php_libcache_time(window, "window", &ms);
    if (known > 0 && (!ms || limit < 0))
        known = -1;
    if (known < 0)
        php_libcache_throw(LIBCACHE_EINVAL, "rateHit: a limit less than 0, or a window of 0 or less");
    if (known <= 0)
        RETURN_THROWS();
    result = libcache_rate_hit(c->handle->cache, ZSTR_VAL(name), ZSTR_LEN(name), (uint64_t)limit, ms, &rate);
    if (!php_libcache_settle(c, result, "rateHit") && EG(exception))
        RETURN_THROWS();
    array_init(return_value);
    add_assoc_bool(return_value, "allowed", result != LIBCACHE_LIMITED); /* a fault of the cache limits nobody */
    add_assoc_long(return_value, "hits", (zend_long)rate.hits);
    add_assoc_long(return_value, "remaining", (zend_long)(result < 0 ? (uint64_t)limit : rate.remaining));
    add_assoc_double(return_value, "reset", (double)rate.reset_ms / 1000);
}

/* ---- Clock ---- */

typedef struct php_libcache_clock_object {
    php_libcache_clock *clock;
    zend_object std;
} php_libcache_clock_object;

#define CLOCK_BEGINS 1000000000 /* ms: a cache's time is never near 0 */

static php_libcache_clock_object *clock_from(zend_object *object)
{
    return (php_libcache_clock_object *)((char *)object - offsetof(php_libcache_clock_object, std));
}

zend_object *php_libcache_clock_new(zend_class_entry *ce)
{
    php_libcache_clock_object *o = zend_object_alloc(sizeof *o, ce);

    zend_object_std_init(&o->std, ce);
    object_properties_init(&o->std, ce);
    o->std.handlers = &clock_handlers;
    o->clock = pemalloc(sizeof *o->clock, 1);
    o->clock->now_ms = CLOCK_BEGINS;
    o->clock->users = 1;
    return &o->std;
}

void php_libcache_clock_release(php_libcache_clock *clock)
{
    if (__atomic_sub_fetch(&clock->users, 1, __ATOMIC_ACQ_REL) == 0)
        pefree(clock, 1);
}

uint64_t php_libcache_clock_read(void *arg)
{
    return __atomic_load_n(&((php_libcache_clock *)arg)->now_ms, __ATOMIC_RELAXED);
}

php_libcache_clock *php_libcache_clock_of(zval *object)
{
    if (Z_TYPE_P(object) != IS_OBJECT || Z_OBJCE_P(object) != php_libcache_clock_ce)
        return NULL;
    return clock_from(Z_OBJ_P(object))->clock;
}

static void free_clock(zend_object *object)
{
    php_libcache_clock_release(clock_from(object)->clock);
    zend_object_std_dtor(object);
}

ZEND_METHOD(Libcache_Clock, __construct)
{
    ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(Libcache_Clock, advance)
{
    zval *seconds;
    uint64_t ms;
    int known;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_ZVAL(seconds)
    ZEND_PARSE_PARAMETERS_END();
    known = php_libcache_time(seconds, "seconds", &ms);
    if (known > 0 && ms != LIBCACHE_FOREVER)
        __atomic_add_fetch(&clock_from(Z_OBJ_P(ZEND_THIS))->clock->now_ms, ms, __ATOMIC_RELAXED);
}

ZEND_METHOD(Libcache_Clock, now)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_DOUBLE((double)(php_libcache_clock_read(clock_from(Z_OBJ_P(ZEND_THIS))->clock) - CLOCK_BEGINS) / 1000);
}

void php_libcache_locks_start(void)
{
    memcpy(&lock_handlers, &std_object_handlers, sizeof lock_handlers);
    lock_handlers.offset = offsetof(php_libcache_lock, std);
    lock_handlers.free_obj = free_lock;
    lock_handlers.clone_obj = NULL;
    memcpy(&clock_handlers, &std_object_handlers, sizeof clock_handlers);
    clock_handlers.offset = offsetof(php_libcache_clock_object, std);
    clock_handlers.free_obj = free_clock;
    clock_handlers.clone_obj = NULL;
}
