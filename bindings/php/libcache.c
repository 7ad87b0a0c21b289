/* The module: its ini settings, what is made when it starts, and what phpinfo says. SPDX-License-Identifier: MIT */
#include "php_libcache.h"

#include "codec.h"
#include "ext/spl/spl_exceptions.h"
#include "ext/standard/info.h"
#include "libcache_arginfo.h"

ZEND_DECLARE_MODULE_GLOBALS(libcache)

zend_class_entry *php_libcache_cache_ce, *php_libcache_load_ce, *php_libcache_lock_ce, *php_libcache_clock_ce,
    *php_libcache_exception_ce;

/* The names are those of the options of Cache::open; they are read by options.c. */
#define SETTING(name, value) PHP_INI_ENTRY("libcache." name, value, PHP_INI_SYSTEM, NULL)

/* clang-format off */
PHP_INI_BEGIN()
    SETTING("segment", "shared")
    SETTING("name", "")
    SETTING("memory", "")
    SETTING("max_value", "")
    SETTING("stripes", "")
    SETTING("max_namespaces", "")
    SETTING("huge_pages", "")
    SETTING("lock_wait", "")
    SETTING("verify_values", "")
    SETTING("identity", "")
    SETTING("policy_file", "")
    SETTING("redis_url", "")
    SETTING("redis_prefix", "")
    SETTING("redis_timeout", "")
    SETTING("pool_min", "")
    SETTING("pool_max", "")
    SETTING("pool_overflow", "")
    SETTING("pool_wait", "")
    SETTING("pool_idle", "")
    SETTING("breaker_failures", "")
    SETTING("breaker_backoff", "")
    SETTING("breaker_backoff_max", "")
    SETTING("max_reply", "")
    SETTING("max_staleness", "")
    SETTING("listener", "")
    SETTING("poll", "")
    SETTING("log_length", "")
PHP_INI_END()
/* clang-format on */

static PHP_GINIT_FUNCTION(libcache)
{
#if defined(COMPILE_DL_LIBCACHE) && defined(ZTS)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    memset(libcache_globals, 0, sizeof *libcache_globals);
}

static PHP_GSHUTDOWN_FUNCTION(libcache)
{
    shapes_end(libcache_globals);
    free(libcache_globals->scratch);
    libcache_globals->scratch = NULL;
}

static PHP_MINIT_FUNCTION(libcache)
{
    REGISTER_INI_ENTRIES();
    php_libcache_cache_ce = register_class_Libcache_Cache();
    php_libcache_cache_ce->create_object = php_libcache_cache_new;
    php_libcache_load_ce = register_class_Libcache_Load();
    php_libcache_load_ce->create_object = php_libcache_load_new;
    php_libcache_lock_ce = register_class_Libcache_Lock();
    php_libcache_lock_ce->create_object = php_libcache_lock_new;
    php_libcache_clock_ce = register_class_Libcache_Clock();
    php_libcache_clock_ce->create_object = php_libcache_clock_new;
    php_libcache_exception_ce = register_class_Libcache_Exception(spl_ce_RuntimeException);
    php_libcache_cache_start();
    php_libcache_loads_start();
    php_libcache_locks_start();
    php_libcache_handles_start();
    return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(libcache)
{
    php_libcache_handles_end();
    UNREGISTER_INI_ENTRIES();
    return SUCCESS;
}

static PHP_RINIT_FUNCTION(libcache)
{
#if defined(COMPILE_DL_LIBCACHE) && defined(ZTS)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    if (!LIBCACHE_G(scratch))
        LIBCACHE_G(scratch) = malloc(SCRATCH_BYTES);
    return LIBCACHE_G(scratch) ? SUCCESS : FAILURE;
}

static PHP_MINFO_FUNCTION(libcache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;
    php_libcache_handle *standard = php_libcache_standard();
    char text[64];

    php_info_print_table_start();
    php_info_print_table_row(2, "libcache", "enabled");
    php_info_print_table_row(2, "Extension", PHP_LIBCACHE_VERSION);
    php_info_print_table_row(2, "Core", libcache_version());
    php_info_print_table_row(2, "Codecs", "php, msgpack");
    php_info_print_table_row(2, "Serializers of objects",
                             zend_hash_str_exists(&module_registry, ZEND_STRL("igbinary")) ? "php, igbinary" : "php");
    if (standard && libcache_read_stats(standard->cache, &stats) == LIBCACHE_OK) {
        snprintf(text, sizeof text, "%llu bytes, %llu in use", (unsigned long long)stats.memory_bytes,
                 (unsigned long long)stats.live_bytes);
        php_info_print_table_row(2, "Memory", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)stats.entries);
        php_info_print_table_row(2, "Entries", text);
        php_info_print_table_row(2, "Redis", !stats.l2_up ? "none, or away" : "up");
    } else {
        php_info_print_table_row(2, "Memory", "the cache of the ini settings is not open in this process");
    }
    php_info_print_table_end();
    DISPLAY_INI_ENTRIES();
}

static const zend_module_dep dependencies[] = {
    ZEND_MOD_REQUIRED("spl")
    ZEND_MOD_REQUIRED("standard")
    ZEND_MOD_REQUIRED("date")
    ZEND_MOD_REQUIRED("json")
    ZEND_MOD_OPTIONAL("igbinary")
    ZEND_MOD_END
};

zend_module_entry libcache_module_entry = {
    STANDARD_MODULE_HEADER_EX,
    NULL,
    dependencies,
    "libcache",
    NULL,
    PHP_MINIT(libcache),
    PHP_MSHUTDOWN(libcache),
    PHP_RINIT(libcache),
    NULL,
    PHP_MINFO(libcache),
    PHP_LIBCACHE_VERSION,
    PHP_MODULE_GLOBALS(libcache),
    PHP_GINIT(libcache),
    PHP_GSHUTDOWN(libcache),
    NULL,
    STANDARD_MODULE_PROPERTIES_EX
};

#ifdef COMPILE_DL_LIBCACHE
#ifdef ZTS
ZEND_TSRMLS_CACHE_DEFINE()
#endif
ZEND_GET_MODULE(libcache)
#endif
