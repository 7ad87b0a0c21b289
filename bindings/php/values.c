/* Which codec a value goes through, where the bytes of a read go, and the codecs of objects. SPDX-License-Identifier: MIT */
#include "codec.h"

#include "Zend/zend_smart_str.h"
#include "ext/json/php_json.h"
#include "ext/standard/php_var.h"
#include "zend_exceptions.h"

#define INT_TEXT_MAX 20

/* ---- Where bytes go ---- */

/* A string, or NULL after a bailout, which is kept for later: it must not pass through the core. */
static zend_string *guarded_string(php_libcache_reading *r, size_t size)
{
    zend_string *volatile string = NULL;

    zend_try {
        string = php_libcache_string(size);
    } zend_catch {
        r->bailed = 1;
    } zend_end_try();
    return string;
}

/*
 * Called by the core without a lock. A string is read where it will stay; what is decoded without running PHP code, into scratch.
 * From L1 the core may be left by longjmp (libcache.h); what it holds of an answer from Redis would be lost that way, and a load.
 */
void *php_libcache_reserve(libcache_value *value, size_t size)
{
    php_libcache_reading *r = value->reserve_arg;

    if (r->string) {
        zend_string_efree(r->string);
        r->string = NULL;
    }
    if (r->scratch && size <= SCRATCH_BYTES && (value->codec == CODEC_NATIVE || value->codec == CODEC_INT))
        return LIBCACHE_G(scratch);
    if (value->tier == LIBCACHE_TIER_L1 && !r->guarded)
        r->string = php_libcache_string(size);
    else
        r->string = guarded_string(r, size);
    return r->string ? ZSTR_VAL(r->string) : NULL;
}

/* ---- Decoding ---- */

static int decode_int(const char *text, size_t size, zval *out)
{
    char whole[INT_TEXT_MAX + 1];
    zend_long n;
    double unused;

    if (!size || size > INT_TEXT_MAX)
        return 0;
    memcpy(whole, text, size);
    whole[size] = '\0';
    if (is_numeric_string(whole, size, &n, &unused, false) != IS_LONG)
        return 0;
    ZVAL_LONG(out, n);
    return 1;
}

/* The common one, to be seen by the branch predictor first. */
static int decode_short_int(const char *text, size_t size, zval *out)
{
    zend_long n = 0;
    size_t i = size && *text == '-';

    if (size > 18 || i == size)
        return decode_int(text, size, out);
    for (; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        n = n * 10 + (text[i] - '0');
    }
    ZVAL_LONG(out, *text == '-' ? -n : n);
    return 1;
}

/* Whatever it is but exit, which is no exception that PHP code could catch. */
static void forget_exception(void)
{
    if (EG(exception) && !zend_is_unwind_exit(EG(exception)) && !zend_is_graceful_exit(EG(exception)))
        zend_clear_exception();
}

/* allowed_classes of unserialize(). */
static int decode_serialized(php_libcache_cache *c, zend_string *text, zval *out)
{
    int reporting = EG(error_reporting);
    zval options, allowed;

    if (c->settings.objects == OBJECTS_LISTED) {
        ZVAL_ARR(&allowed, zend_array_dup(c->settings.allowed));
    } else {
        ZVAL_BOOL(&allowed, c->settings.objects == OBJECTS_ALL);
    }
    array_init(&options);
    add_assoc_zval(&options, "allowed_classes", &allowed);
    ZVAL_UNDEF(out);
    EG(error_reporting) &= E_FATAL_ERRORS; /* as @ does: bytes that cannot be read are a miss, not news; what ends the script is */
    BG(serialize_lock)++;
    php_unserialize_with_options(out, ZSTR_VAL(text), ZSTR_LEN(text), Z_ARRVAL(options), "unserialize");
    BG(serialize_lock)--;
    if (!(EG(error_reporting) & ~E_FATAL_ERRORS)) /* it may have been set by what was woken */
        EG(error_reporting) = reporting;
    zval_ptr_dtor(&options);
    if (EG(exception) || Z_TYPE_P(out) == IS_FALSE || Z_TYPE_P(out) == IS_UNDEF) {
        zval_ptr_dtor(out);
        ZVAL_NULL(out);
        forget_exception();
        return 0;
    }
    return 1;
}

/* Calls a function of another extension. 0: it is not there, or threw, or gave false. */
static int call_function(const char *name, zval *argument, zval *out)
{
    zval function;
    int ok;

    if (!zend_hash_str_exists(EG(function_table), name, strlen(name)))
        return 0;
    ZVAL_STRING(&function, name);
    ZVAL_UNDEF(out);
    ok = call_user_function(NULL, NULL, &function, out, 1, argument) == SUCCESS && !EG(exception) && Z_TYPE_P(out) != IS_UNDEF &&
         Z_TYPE_P(out) != IS_FALSE;
    zval_ptr_dtor(&function);
    if (!ok) {
        zval_ptr_dtor(out);
        ZVAL_NULL(out);
    }
    return ok;
}

static int decode_igbinary(php_libcache_cache *c, zend_string *text, zval *out)
{
    zval argument;
    int ok;

    if (c->settings.objects != OBJECTS_ALL)
        return 0; /* igbinary makes objects of any class */
    ZVAL_STR(&argument, text);
    ok = call_function("igbinary_unserialize", &argument, out);
    if (!ok)
        forget_exception();
    return ok;
}

static int decode_json(zend_string *text, zval *out)
{
    if (php_json_decode_ex(out, ZSTR_VAL(text), ZSTR_LEN(text), PHP_JSON_OBJECT_AS_ARRAY | PHP_JSON_THROW_ON_ERROR, DEPTH_MAX) == SUCCESS && !EG(exception))
        return 1;
    forget_exception();
    return 0;
}

static zend_string *taken(php_libcache_reading *r)
{
    zend_string *s = r->string;

    r->string = NULL;
    ZSTR_LEN(s) = r->value.size;
    ZSTR_VAL(s)[r->value.size] = '\0';
    return s;
}

int php_libcache_decode(php_libcache_cache *c, php_libcache_reading *r, zval *out)
{
    const char *bytes = r->value.data;
    size_t size = r->value.size;
    int ok;

    switch (r->value.codec) {
    case CODEC_BYTES:
    case CODEC_TEXT:
        if (UNEXPECTED(!r->string)) { /* another get of the same name raced with its change from another codec */
            ZVAL_STRINGL_FAST(out, bytes, size);
            return 1;
        }
        ZVAL_NEW_STR(out, taken(r));
        return 1;
    case CODEC_INT:
        ok = decode_short_int(bytes, size, out);
        break;
    case CODEC_NATIVE:
        ok = native_decode(bytes, size, out);
        break;
    case CODEC_MSGPACK:
        ok = msgpack_decode(bytes, size, out);
        break;
    case CODEC_JSON:
    case CODEC_SERIALIZE:
    case CODEC_IGBINARY: { /* they want a string of PHP's, with a zero behind it */
        zend_string *text = r->string ? taken(r) : zend_string_init(bytes, size, 0);
        ok = r->value.codec == CODEC_JSON ? decode_json(text, out)
             : r->value.codec == CODEC_SERIALIZE ? decode_serialized(c, text, out) : decode_igbinary(c, text, out);
        zend_string_release(text);
        return ok;
    }
    default:
        ok = 0;
    }
    if (r->string) {
        zend_string_efree(r->string);
        r->string = NULL;
    }
    return ok;
}

/* ---- Encoding ---- */

static int class_allowed(const php_libcache_cache *c, zend_object *object)
{
    zend_string *lower;
    int ok;

    if (c->settings.objects != OBJECTS_LISTED)
        return c->settings.objects == OBJECTS_ALL;
    lower = zend_string_tolower(object->ce->name);
    ok = zend_hash_exists(c->settings.allowed, lower);
    zend_string_release(lower);
    return ok;
}

/* The first object in a value that may not be stored. Of objects in objects, unserialize() is the judge. */
static zend_object *forbidden(const php_libcache_cache *c, zval *value, unsigned depth)
{
    zend_object *found = NULL;
    zval *item;

    ZVAL_DEREF(value);
    if (Z_TYPE_P(value) == IS_OBJECT)
        return class_allowed(c, Z_OBJ_P(value)) ? NULL : Z_OBJ_P(value);
    if (Z_TYPE_P(value) != IS_ARRAY || depth == DEPTH_MAX || GC_IS_RECURSIVE(Z_ARRVAL_P(value)))
        return NULL;
    GC_TRY_PROTECT_RECURSION(Z_ARRVAL_P(value)); /* one that contains itself twice would take for ever */
    ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(value), item) {
        if ((found = forbidden(c, item, depth + 1)) != NULL)
            break;
    } ZEND_HASH_FOREACH_END();
    GC_TRY_UNPROTECT_RECURSION(Z_ARRVAL_P(value));
    return found;
}

static int serialize_php(zval *value, zval *text)
{
    php_serialize_data_t seen;
    smart_str buffer = { 0 };

    BG(serialize_lock)++;
    PHP_VAR_SERIALIZE_INIT(seen);
    php_var_serialize(&buffer, value, &seen);
    PHP_VAR_SERIALIZE_DESTROY(seen);
    BG(serialize_lock)--;
    if (EG(exception) || !buffer.s) {
        smart_str_free(&buffer);
        return 0;
    }
    smart_str_0(&buffer);
    ZVAL_STR(text, buffer.s);
    return 1;
}

static int encode_object(php_libcache_cache *c, zval *value, php_libcache_out *out, libcache_slice *bytes, uint8_t *codec)
{
    zend_object *bad = forbidden(c, value, 0);
    zval text;

    if (bad) {
        php_libcache_throw(EVALUE, "namespace %s does not store objects of class %s: see allowed_classes", ZSTR_VAL(c->name),
                           ZSTR_VAL(bad->ce->name));
        return 0;
    }
    if (c->settings.igbinary) {
        if (!call_function("igbinary_serialize", value, &text)) {
            if (!EG(exception))
                php_libcache_throw(EVALUE, "the igbinary extension is not loaded, or refused the value");
            return 0;
        }
    } else if (!serialize_php(value, &text)) {
        if (!EG(exception))
            php_libcache_throw(EVALUE, "the value cannot be serialized");
        return 0;
    }
    if (Z_TYPE(text) != IS_STRING) {
        zval_ptr_dtor(&text);
        php_libcache_throw(EVALUE, "the value cannot be serialized");
        return 0;
    }
    out_end(out);
    out->string = Z_STR(text);
    *bytes = (libcache_slice){ Z_STRVAL(text), Z_STRLEN(text) };
    *codec = c->settings.igbinary ? CODEC_IGBINARY : CODEC_SERIALIZE;
    return 1;
}

static char *write_decimal(char *end, zend_long n)
{
    zend_ulong left = n < 0 ? 0 - (zend_ulong)n : (zend_ulong)n;

    do
        *--end = (char)('0' + left % 10);
    while (left /= 10);
    if (n < 0)
        *--end = '-';
    return end;
}

int php_libcache_encode(php_libcache_cache *c, zval *value, php_libcache_out *out, libcache_slice *bytes, uint8_t *codec)
{
    int done;

    ZVAL_DEREF(value);
    if (Z_TYPE_P(value) == IS_STRING) {
        *bytes = (libcache_slice){ Z_STRVAL_P(value), Z_STRLEN_P(value) };
        *codec = c->settings.msgpack && is_utf8(Z_STRVAL_P(value), Z_STRLEN_P(value)) ? CODEC_TEXT : CODEC_BYTES;
        return 1;
    }
    if (Z_TYPE_P(value) == IS_LONG) {
        char *end = out->room + 32, *begin = write_decimal(end, Z_LVAL_P(value));
        *bytes = (libcache_slice){ begin, (size_t)(end - begin) };
        *codec = CODEC_INT;
        return 1;
    }
    *codec = c->settings.msgpack ? CODEC_MSGPACK : CODEC_NATIVE;
    done = c->settings.msgpack ? msgpack_encode(c, value, out) : native_encode(c, value, out);
    if (!done)
        return encode_object(c, value, out, bytes, codec);
    *bytes = (libcache_slice){ out->begin, (size_t)(out->at - out->begin) };
    return done > 0;
}
