/* Options of a cache and policies of its namespaces, from arrays and from ini settings. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

#include <math.h>

#include "quantity.h"

enum kind { TEXT, SIZE, TIME, NUMBER, YESNO, PERCENT, SEGMENT, HUGE_PAGES, LISTENER, TIERS, LEASE };
enum width { W_INT, W_UNSIGNED, W_SIZE, W_U64, W_TEXT };

struct field {
    const char *name;
    enum kind kind;
    enum width width;
    size_t offset;
};

#define AT(type, member) offsetof(type, member)
#define OPTION(name, kind, width, member) { name, kind, width, AT(libcache_options, member) }

static const struct field options[] = {
    OPTION("segment", SEGMENT, W_INT, segment),
    OPTION("name", TEXT, W_TEXT, name),
    OPTION("memory", SIZE, W_SIZE, memory_bytes),
    OPTION("max_value", SIZE, W_SIZE, max_value_bytes),
    OPTION("stripes", NUMBER, W_UNSIGNED, stripes),
    OPTION("max_namespaces", NUMBER, W_UNSIGNED, max_namespaces),
    OPTION("huge_pages", HUGE_PAGES, W_UNSIGNED, huge_pages),
    OPTION("lock_wait", TIME, W_UNSIGNED, lock_wait_ms),
    OPTION("verify_values", YESNO, W_INT, verify_values),
    OPTION("identity", TEXT, W_TEXT, identity),
    OPTION("policy_file", TEXT, W_TEXT, policy_file),
    OPTION("redis_url", TEXT, W_TEXT, redis_url),
    OPTION("redis_prefix", TEXT, W_TEXT, redis_prefix),
    OPTION("redis_timeout", TIME, W_UNSIGNED, redis_timeout_ms),
    OPTION("pool_min", NUMBER, W_UNSIGNED, pool_min),
    OPTION("pool_max", NUMBER, W_UNSIGNED, pool_max),
    OPTION("pool_overflow", NUMBER, W_UNSIGNED, pool_overflow),
    OPTION("pool_wait", TIME, W_UNSIGNED, pool_wait_ms),
    OPTION("pool_idle", TIME, W_UNSIGNED, pool_idle_ms),
    OPTION("breaker_failures", NUMBER, W_UNSIGNED, breaker_failures),
    OPTION("breaker_backoff", TIME, W_UNSIGNED, breaker_backoff_ms),
    OPTION("breaker_backoff_max", TIME, W_UNSIGNED, breaker_backoff_max_ms),
    OPTION("max_reply", SIZE, W_SIZE, max_reply_bytes),
    OPTION("max_staleness", TIME, W_UNSIGNED, max_staleness_ms),
    OPTION("listener", LISTENER, W_INT, listener),
    OPTION("poll", TIME, W_UNSIGNED, poll_ms),
    OPTION("log_length", NUMBER, W_UNSIGNED, log_length),
};
#define OPTIONS (sizeof options / sizeof *options)

#define POLICY(name, kind, width, member) { name, kind, width, AT(libcache_policy, member) }

static const struct field policies[] = {
    POLICY("ttl", TIME, W_U64, ttl_ms),
    POLICY("negative_ttl", TIME, W_U64, negative_ttl_ms),
    POLICY("soft_ttl", TIME, W_U64, soft_ttl_ms),
    POLICY("grace", TIME, W_U64, grace_ms),
    POLICY("jitter", PERCENT, W_UNSIGNED, jitter_percent),
    POLICY("l1_share", PERCENT, W_UNSIGNED, l1_share_percent),
    POLICY("max_value", SIZE, W_SIZE, max_value_bytes),
    POLICY("tiers", TIERS, W_UNSIGNED, tiers),
    POLICY("l1_ttl", TIME, W_U64, l1_ttl_ms),
    POLICY("compress", SIZE, W_SIZE, compress_bytes),
    POLICY("load_timeout", TIME, W_U64, load_timeout_ms),
    POLICY("load_backoff", TIME, W_U64, load_backoff_ms),
    POLICY("early", PERCENT, W_UNSIGNED, early_percent),
    POLICY("load_lease", LEASE, W_UNSIGNED, load_lease),
};

struct word {
    enum kind kind;
    const char *text;
    unsigned value;
};

static const struct word words[] = {
    { SEGMENT, "private", LIBCACHE_PRIVATE }, { SEGMENT, "shared", LIBCACHE_SHARED }, { SEGMENT, "named", LIBCACHE_NAMED },
    { HUGE_PAGES, "auto", LIBCACHE_HUGE_AUTO }, { HUGE_PAGES, "off", LIBCACHE_HUGE_OFF }, { HUGE_PAGES, "on", LIBCACHE_HUGE_ON },
    { LISTENER, "calls", LIBCACHE_LISTEN_ON_CALLS }, { LISTENER, "thread", LIBCACHE_LISTEN_IN_THREAD },
    { TIERS, "l1", LIBCACHE_TIER_L1 }, { TIERS, "l2", LIBCACHE_TIER_L2 }, { TIERS, "l1,l2", LIBCACHE_TIER_L1 | LIBCACHE_TIER_L2 },
    { LEASE, "host", LIBCACHE_LEASE_HOST }, { LEASE, "redis", LIBCACHE_LEASE_REDIS },
};

/* ---- One field ---- */

static int is_named(const zend_string *given, const char *name)
{
    return ZSTR_LEN(given) == strlen(name) && !memcmp(ZSTR_VAL(given), name, ZSTR_LEN(given));
}

/* NULL, or what is wrong with the text. */
static const char *read_text(enum kind kind, const char *text, uint64_t *out)
{
    char *end;

    switch (kind) {
    case TIME:
        if (!strcmp(text, "forever")) {
            *out = LIBCACHE_FOREVER;
            return NULL;
        }
        return quantity_read_ms(out, text);
    case SIZE: {
        size_t size = strlen(text);
        if (size > 1 && size < 20 && strchr("kKmMgG", text[size - 1]) && strspn(text, "0123456789") == size - 1) {
            char full[24]; /* as PHP's own settings are written */
            snprintf(full, sizeof full, "%.*s%ciB", (int)(size - 1), text, text[size - 1] & ~32);
            return quantity_read_bytes(out, full);
        }
        return quantity_read_bytes(out, text);
    }
    case PERCENT:
        return quantity_read_percent(out, text);
    case NUMBER:
        if (!*text || strspn(text, "0123456789") != strlen(text))
            return "not a whole number";
        *out = strtoull(text, &end, 10);
        return NULL;
    case YESNO:
        if (!strcasecmp(text, "1") || !strcasecmp(text, "on") || !strcasecmp(text, "yes") || !strcasecmp(text, "true")) {
            *out = 1;
            return NULL;
        }
        *out = 0;
        return !*text || !strcasecmp(text, "0") || !strcasecmp(text, "off") || !strcasecmp(text, "no") || !strcasecmp(text, "false")
                   ? NULL : "neither on nor off";
    default:
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (words[i].kind == kind && !strcmp(words[i].text, text)) {
                *out = words[i].value;
                return NULL;
            }
        return kind == SEGMENT ? "want shared, named or private" : kind == HUGE_PAGES ? "want auto, on or off"
               : kind == LISTENER ? "want calls or thread" : kind == TIERS ? "want l1, l2 or l1,l2" : "want host or redis";
    }
}

static const char *read_zval(enum kind kind, zval *given, uint64_t *out)
{
    ZVAL_DEREF(given);
    switch (Z_TYPE_P(given)) {
    case IS_STRING:
        return has_zero_byte(Z_STR_P(given)) ? "has a zero byte" : read_text(kind, Z_STRVAL_P(given), out);
    case IS_LONG:
        if (kind == TIME && Z_LVAL_P(given) == ZEND_LONG_MAX)
            *out = LIBCACHE_FOREVER;
        else if (Z_LVAL_P(given) < 0)
            return "less than 0";
        else if (kind == TIME)
            *out = (uint64_t)Z_LVAL_P(given) > LIBCACHE_TTL_MAX_MS ? LIBCACHE_TTL_MAX_MS + 1 : (uint64_t)Z_LVAL_P(given) * 1000;
        else if (kind == SIZE || kind == NUMBER || kind == PERCENT || kind == YESNO)
            *out = (uint64_t)Z_LVAL_P(given);
        else
            break;
        return NULL;
    case IS_DOUBLE:
        if (kind != TIME)
            break;
        if (isnan(Z_DVAL_P(given)) || Z_DVAL_P(given) < 0)
            return "not a time";
        *out = isinf(Z_DVAL_P(given)) ? LIBCACHE_FOREVER
               : Z_DVAL_P(given) > (double)LIBCACHE_TTL_MAX_MS ? LIBCACHE_TTL_MAX_MS + 1 : (uint64_t)ceil(Z_DVAL_P(given) * 1000);
        return NULL;
    case IS_TRUE:
    case IS_FALSE:
        if (kind != YESNO)
            break;
        *out = Z_TYPE_P(given) == IS_TRUE;
        return NULL;
    }
    return "of the wrong type";
}

/* NULL, or what is wrong. */
static const char *put(const struct field *f, void *base, uint64_t value)
{
    char *at = (char *)base + f->offset;

    if ((f->width == W_UNSIGNED || f->width == W_INT) && value > INT_MAX)
        return "too large";
    switch (f->width) {
    case W_INT: *(int *)(void *)at = (int)value; break;
    case W_UNSIGNED: *(unsigned *)(void *)at = (unsigned)value; break;
    case W_SIZE: *(size_t *)(void *)at = (size_t)value; break;
    default: *(uint64_t *)(void *)at = value;
    }
    return NULL;
}

int php_libcache_time(zval *given, const char *what, uint64_t *ms)
{
    const char *wrong;

    *ms = 0;
    if (!given || Z_TYPE_P(given) == IS_NULL)
        return 1;
    if ((Z_TYPE_P(given) == IS_LONG && Z_LVAL_P(given) <= 0) || (Z_TYPE_P(given) == IS_DOUBLE && Z_DVAL_P(given) <= 0))
        return -1;
    wrong = read_zval(TIME, given, ms);
    if (!wrong && *ms != LIBCACHE_FOREVER && *ms > LIBCACHE_TTL_MAX_MS)
        wrong = "more than ten years";
    if (wrong) {
        php_libcache_throw(LIBCACHE_EINVAL, "%s: %s", what, wrong);
        return 0;
    }
    return *ms ? 1 : -1;
}

/* ---- Options ---- */

/* Keeps a text until the options are freed, and puts it there. */
static const char *put_string(php_libcache_options *out, const struct field *f, zend_string *text)
{
    if (has_zero_byte(text))
        return "has a zero byte";
    out->kept[out->n_kept++] = zend_string_copy(text);
    *(const char **)(void *)((char *)&out->core + f->offset) = ZSTR_LEN(text) ? ZSTR_VAL(text) : NULL;
    return NULL;
}

static int refuse(libcache_error *error, const char *kind, const char *name, const char *reason)
{
    error->code = LIBCACHE_EINVAL;
    snprintf(error->text, sizeof error->text, "%s%s: %s", kind, name, reason);
    return -1;
}

static int read_ini(php_libcache_options *out, libcache_error *error)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct field *f = &options[i];
        char name[64];
        const char *text, *wrong = NULL;
        uint64_t value;
        snprintf(name, sizeof name, "libcache.%s", f->name);
        text = zend_ini_string(name, strlen(name), 0);
        if (!text || !*text)
            continue;
        if (f->width == W_TEXT)
            *(const char **)(void *)((char *)&out->core + f->offset) = text;
        else if ((wrong = read_text(f->kind, text, &value)) == NULL)
            wrong = put(f, &out->core, value);
        if (wrong)
            return refuse(error, "libcache.", f->name, wrong);
    }
    return 0;
}

static int read_option(php_libcache_options *out, zend_string *name, zval *given, libcache_error *error)
{
    const char *wrong = NULL;
    uint64_t value;

    if (zend_string_equals_literal(name, "namespace") || zend_string_equals_literal(name, "policy"))
        return 0; /* cache.c */
    if (zend_string_equals_literal(name, "clock")) {
        out->clock = php_libcache_clock_of(given);
        return out->clock ? 0 : refuse(error, "option ", "clock", "not a Libcache\\Clock");
    }
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!is_named(name, options[i].name))
            continue;
        if (options[i].width == W_TEXT)
            wrong = Z_TYPE_P(given) == IS_STRING ? put_string(out, &options[i], Z_STR_P(given))
                    : Z_TYPE_P(given) == IS_NULL ? put_string(out, &options[i], ZSTR_EMPTY_ALLOC()) : "not a string";
        else if (Z_TYPE_P(given) == IS_NULL)
            wrong = NULL;
        else if ((wrong = read_zval(options[i].kind, given, &value)) == NULL)
            wrong = put(&options[i], &out->core, value);
        return wrong ? refuse(error, "option ", options[i].name, wrong) : 0;
    }
    return refuse(error, "there is no option ", ZSTR_VAL(name), "see Libcache\\Cache::open");
}

/* What tells one cache of the process from another. */
static char *fingerprint_of(const libcache_options *core)
{
    size_t room = 16 * OPTIONS + 1, used = 0;
    char *text;

    for (size_t i = 0; i < OPTIONS; i++) {
        const char *at = (const char *)core + options[i].offset;
        const char *s = options[i].width == W_TEXT ? *(const char *const *)(const void *)at : NULL;
        room += 24 + (s ? strlen(s) : 0);
    }
    text = malloc(room);
    if (!text)
        return NULL;
    for (size_t i = 0; i < OPTIONS; i++) {
        const void *at = (const char *)core + options[i].offset;
        const char *s = options[i].width == W_TEXT ? *(const char *const *)at : NULL;
        unsigned long long n = options[i].width == W_SIZE ? *(const size_t *)at
                               : options[i].width == W_TEXT ? (s ? strlen(s) : 0) : *(const unsigned *)at;
        used += (size_t)snprintf(text + used, room - used, "%llu:%s;", n, s ? s : "");
    }
    return text;
}

int php_libcache_options_read(php_libcache_options *out, HashTable *given, libcache_error *error)
{
    zend_string *name;
    zval *value;

    memset(out, 0, sizeof *out);
    out->core.struct_size = sizeof out->core;
    out->core.segment = LIBCACHE_SHARED;
    if (read_ini(out, error))
        return -1;
    if (given) {
        int named = zend_hash_str_find(given, ZEND_STRL("name")) != NULL, said = zend_hash_str_find(given, ZEND_STRL("segment")) != NULL;
        ZEND_HASH_FOREACH_STR_KEY_VAL(given, name, value) {
            if (!name)
                return refuse(error, "options", "", "a key is missing");
            ZVAL_DEREF(value);
            if (read_option(out, name, value, error))
                return -1;
        } ZEND_HASH_FOREACH_END();
        if (named && !said && out->core.name)
            out->core.segment = LIBCACHE_NAMED;
        if (out->core.segment != LIBCACHE_NAMED && !named)
            out->core.name = NULL; /* the ini's, of its own named segment */
    }
    if (out->clock) {
        out->core.clock_ms = php_libcache_clock_read;
        out->core.clock_arg = out->clock;
    }
    out->fingerprint = fingerprint_of(&out->core);
    if (!out->fingerprint) {
        error->code = LIBCACHE_ENOMEM;
        snprintf(error->text, sizeof error->text, "no memory");
        return -1;
    }
    return 0;
}

void php_libcache_options_free(php_libcache_options *o)
{
    for (size_t i = 0; i < o->n_kept; i++)
        zend_string_release(o->kept[i]);
    free(o->fingerprint);
    o->fingerprint = NULL;
    o->n_kept = 0;
}

/* ---- Policies ---- */

static const char *read_allowed(zval *given, php_libcache_settings *s)
{
    zval *name;

    if (Z_TYPE_P(given) == IS_TRUE || Z_TYPE_P(given) == IS_FALSE) {
        s->objects = Z_TYPE_P(given) == IS_TRUE ? OBJECTS_ALL : OBJECTS_NONE;
        return NULL;
    }
    if (Z_TYPE_P(given) != IS_ARRAY)
        return "want false, true or a list of class names";
    s->objects = zend_hash_num_elements(Z_ARRVAL_P(given)) ? OBJECTS_LISTED : OBJECTS_NONE;
    if (s->objects == OBJECTS_NONE)
        return NULL;
    s->allowed = zend_new_array(zend_hash_num_elements(Z_ARRVAL_P(given)));
    ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(given), name) {
        zval kept;
        zend_string *lower;
        ZVAL_DEREF(name);
        if (Z_TYPE_P(name) != IS_STRING)
            return "want false, true or a list of class names";
        lower = zend_string_tolower(Z_STR_P(name));
        ZVAL_STR_COPY(&kept, Z_STR_P(name));
        zend_hash_update(s->allowed, lower, &kept);
        zend_string_release(lower);
    } ZEND_HASH_FOREACH_END();
    return NULL;
}

static const char *read_choice(zval *given, const char *no, const char *yes, bool *out)
{
    if (Z_TYPE_P(given) == IS_STRING && !strcmp(Z_STRVAL_P(given), no))
        *out = 0;
    else if (Z_TYPE_P(given) == IS_STRING && !strcmp(Z_STRVAL_P(given), yes))
        *out = 1;
    else
        return "not one of those that there are";
    return NULL;
}

static const char *read_yesno(zval *given, bool *out)
{
    uint64_t value = 0;
    const char *wrong = read_zval(YESNO, given, &value);

    *out = value != 0;
    return wrong;
}

/* 1: it is a setting of ours. */
static int read_setting(zend_string *name, zval *given, php_libcache_settings *s, const char **wrong)
{
    if (zend_string_equals_literal(name, "allowed_classes"))
        *wrong = read_allowed(given, s);
    else if (zend_string_equals_literal(name, "codec"))
        *wrong = read_choice(given, "php", "msgpack", &s->msgpack);
    else if (zend_string_equals_literal(name, "serializer"))
        *wrong = read_choice(given, "php", "igbinary", &s->igbinary);
    else if (zend_string_equals_literal(name, "memo"))
        *wrong = read_yesno(given, &s->memo);
    else
        return 0;
    return 1;
}

static const char *read_policy(zend_string *name, zval *given, libcache_policy *policy)
{
    const char *wrong;
    uint64_t value;

    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (is_named(name, policies[i].name)) {
            wrong = read_zval(policies[i].kind, given, &value);
            return wrong ? wrong : put(&policies[i], policy, value);
        }
    return "there is no such policy; see Libcache\\Cache::namespace";
}

int php_libcache_policy_read(HashTable *given, libcache_policy *policy, php_libcache_settings *settings)
{
    zend_string *name;
    zval *value;
    const char *wrong = NULL, *of = "policy";

    ZEND_HASH_FOREACH_STR_KEY_VAL(given, name, value) {
        ZVAL_DEREF(value);
        of = name ? ZSTR_VAL(name) : "policy";
        if (!name)
            wrong = "a key is missing";
        else if (Z_TYPE_P(value) != IS_NULL && !read_setting(name, value, settings, &wrong))
            wrong = read_policy(name, value, policy);
        if (wrong)
            break;
    } ZEND_HASH_FOREACH_END();
    if (!wrong && settings->igbinary && settings->objects == OBJECTS_LISTED) {
        of = "serializer";
        wrong = "igbinary knows no list of allowed classes: say allowed_classes true, or serializer php";
    }
    if (wrong)
        php_libcache_throw(LIBCACHE_EPOLICY, "%s: %s", of, wrong);
    return !wrong;
}
