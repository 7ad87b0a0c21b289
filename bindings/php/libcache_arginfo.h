/* This is a generated file, edit the .stub.php file instead.
 * Stub hash: 360e706206454928487dc02c6d594f4cad6bb60b */

ZEND_BEGIN_ARG_INFO_EX(arginfo_class_Libcache_Cache___construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Cache_open, 0, 0, Libcache\\Cache, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, options, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Cache_namespace, 0, 1, Libcache\\Cache, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, policy, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_name, 0, 0, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_policy, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_get, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, default, IS_MIXED, 0, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_getMany, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, keys, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_getTimed, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(1, age, IS_MIXED, 0, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(1, ttlLeft, IS_MIXED, 0, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_has, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_ttlLeft, 0, 1, IS_DOUBLE, 1)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_set, 0, 2, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_setMany, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, values, IS_ARRAY, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_setMissing, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Cache_add arginfo_class_Libcache_Cache_set

#define arginfo_class_Libcache_Cache_delete arginfo_class_Libcache_Cache_has

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_deleteMany, 0, 1, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, keys, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_MASK_EX(arginfo_class_Libcache_Cache_increment, 0, 1, MAY_BE_LONG|MAY_BE_FALSE)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, by, IS_LONG, 0, "1")
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Cache_decrement arginfo_class_Libcache_Cache_increment

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_touch, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_remember, 0, 2, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, loader, IS_CALLABLE, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_rememberMany, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, keys, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, loader, IS_CALLABLE, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Cache_begin, 0, 1, Libcache\\Load, 1)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(1, value, IS_MIXED, 0, "null")
	ZEND_ARG_TYPE_MASK(0, wait, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_invalidateTags, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_MASK(0, tags, MAY_BE_ARRAY|MAY_BE_STRING, NULL)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_clear, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, flags, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Cache_clearAll arginfo_class_Libcache_Cache_clear

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Cache_lock, 0, 1, Libcache\\Lock, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING, "10")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, owner, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_rateHit, 0, 3, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, limit, IS_LONG, 0)
	ZEND_ARG_TYPE_MASK(0, window, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING, NULL)
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Cache_stats arginfo_class_Libcache_Cache_policy

#define arginfo_class_Libcache_Cache_namespaceStats arginfo_class_Libcache_Cache_policy

#define arginfo_class_Libcache_Cache_sumStats arginfo_class_Libcache_Cache_policy

#define arginfo_class_Libcache_Cache_namespaces arginfo_class_Libcache_Cache_policy

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_metrics, 0, 0, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, format, IS_STRING, 0, "\"openmetrics\"")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_poll, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_MASK(0, timeout, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_forgetMemo, 0, 0, IS_VOID, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_lastError, 0, 0, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_describe, 0, 1, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, code, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Cache_removeSegment, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Cache_version arginfo_class_Libcache_Cache_name

#define arginfo_class_Libcache_Load___construct arginfo_class_Libcache_Cache___construct

#define arginfo_class_Libcache_Load_state arginfo_class_Libcache_Cache_lastError

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Load_ttl, 0, 1, Libcache\\Load, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, NULL)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Load_tags, 0, 1, Libcache\\Load, 0)
	ZEND_ARG_TYPE_MASK(0, tags, MAY_BE_ARRAY|MAY_BE_STRING, NULL)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_class_Libcache_Load_missing, 0, 0, Libcache\\Load, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Load_dontStore arginfo_class_Libcache_Load_missing

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Load_commit, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, tags, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Load_abort, 0, 0, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, failed, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Load_recheck, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(1, value, IS_MIXED, 0, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Load_wait, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(1, value, IS_MIXED, 0, "null")
	ZEND_ARG_TYPE_MASK(0, seconds, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING, "0")
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Lock___construct arginfo_class_Libcache_Cache___construct

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Lock_take, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_MASK(0, wait, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Lock_keep, 0, 0, _IS_BOOL, 0)
	ZEND_ARG_TYPE_MASK(0, ttl, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING|MAY_BE_NULL, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Lock_free, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Lock_break arginfo_class_Libcache_Lock_free

#define arginfo_class_Libcache_Lock_isMine arginfo_class_Libcache_Lock_free

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Lock_holder, 0, 0, IS_STRING, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Lock_left, 0, 0, IS_DOUBLE, 1)
ZEND_END_ARG_INFO()

#define arginfo_class_Libcache_Lock_owner arginfo_class_Libcache_Cache_name

#define arginfo_class_Libcache_Lock_name arginfo_class_Libcache_Cache_name

#define arginfo_class_Libcache_Clock___construct arginfo_class_Libcache_Cache___construct

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Clock_advance, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_MASK(0, seconds, MAY_BE_LONG|MAY_BE_DOUBLE|MAY_BE_STRING, NULL)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_class_Libcache_Clock_now, 0, 0, IS_DOUBLE, 0)
ZEND_END_ARG_INFO()


ZEND_METHOD(Libcache_Cache, __construct);
ZEND_METHOD(Libcache_Cache, open);
ZEND_METHOD(Libcache_Cache, namespace);
ZEND_METHOD(Libcache_Cache, name);
ZEND_METHOD(Libcache_Cache, policy);
ZEND_METHOD(Libcache_Cache, get);
ZEND_METHOD(Libcache_Cache, getMany);
ZEND_METHOD(Libcache_Cache, getTimed);
ZEND_METHOD(Libcache_Cache, has);
ZEND_METHOD(Libcache_Cache, ttlLeft);
ZEND_METHOD(Libcache_Cache, set);
ZEND_METHOD(Libcache_Cache, setMany);
ZEND_METHOD(Libcache_Cache, setMissing);
ZEND_METHOD(Libcache_Cache, add);
ZEND_METHOD(Libcache_Cache, delete);
ZEND_METHOD(Libcache_Cache, deleteMany);
ZEND_METHOD(Libcache_Cache, increment);
ZEND_METHOD(Libcache_Cache, decrement);
ZEND_METHOD(Libcache_Cache, touch);
ZEND_METHOD(Libcache_Cache, remember);
ZEND_METHOD(Libcache_Cache, rememberMany);
ZEND_METHOD(Libcache_Cache, begin);
ZEND_METHOD(Libcache_Cache, invalidateTags);
ZEND_METHOD(Libcache_Cache, clear);
ZEND_METHOD(Libcache_Cache, clearAll);
ZEND_METHOD(Libcache_Cache, lock);
ZEND_METHOD(Libcache_Cache, rateHit);
ZEND_METHOD(Libcache_Cache, stats);
ZEND_METHOD(Libcache_Cache, namespaceStats);
ZEND_METHOD(Libcache_Cache, sumStats);
ZEND_METHOD(Libcache_Cache, namespaces);
ZEND_METHOD(Libcache_Cache, metrics);
ZEND_METHOD(Libcache_Cache, poll);
ZEND_METHOD(Libcache_Cache, forgetMemo);
ZEND_METHOD(Libcache_Cache, lastError);
ZEND_METHOD(Libcache_Cache, describe);
ZEND_METHOD(Libcache_Cache, removeSegment);
ZEND_METHOD(Libcache_Cache, version);
ZEND_METHOD(Libcache_Load, __construct);
ZEND_METHOD(Libcache_Load, state);
ZEND_METHOD(Libcache_Load, ttl);
ZEND_METHOD(Libcache_Load, tags);
ZEND_METHOD(Libcache_Load, missing);
ZEND_METHOD(Libcache_Load, dontStore);
ZEND_METHOD(Libcache_Load, commit);
ZEND_METHOD(Libcache_Load, abort);
ZEND_METHOD(Libcache_Load, recheck);
ZEND_METHOD(Libcache_Load, wait);
ZEND_METHOD(Libcache_Lock, __construct);
ZEND_METHOD(Libcache_Lock, take);
ZEND_METHOD(Libcache_Lock, keep);
ZEND_METHOD(Libcache_Lock, free);
ZEND_METHOD(Libcache_Lock, break);
ZEND_METHOD(Libcache_Lock, isMine);
ZEND_METHOD(Libcache_Lock, holder);
ZEND_METHOD(Libcache_Lock, left);
ZEND_METHOD(Libcache_Lock, owner);
ZEND_METHOD(Libcache_Lock, name);
ZEND_METHOD(Libcache_Clock, __construct);
ZEND_METHOD(Libcache_Clock, advance);
ZEND_METHOD(Libcache_Clock, now);


static const zend_function_entry class_Libcache_Cache_methods[] = {
	ZEND_ME(Libcache_Cache, __construct, arginfo_class_Libcache_Cache___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Libcache_Cache, open, arginfo_class_Libcache_Cache_open, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(Libcache_Cache, namespace, arginfo_class_Libcache_Cache_namespace, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, name, arginfo_class_Libcache_Cache_name, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, policy, arginfo_class_Libcache_Cache_policy, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, get, arginfo_class_Libcache_Cache_get, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, getMany, arginfo_class_Libcache_Cache_getMany, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, getTimed, arginfo_class_Libcache_Cache_getTimed, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, has, arginfo_class_Libcache_Cache_has, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, ttlLeft, arginfo_class_Libcache_Cache_ttlLeft, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, set, arginfo_class_Libcache_Cache_set, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, setMany, arginfo_class_Libcache_Cache_setMany, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, setMissing, arginfo_class_Libcache_Cache_setMissing, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, add, arginfo_class_Libcache_Cache_add, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, delete, arginfo_class_Libcache_Cache_delete, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, deleteMany, arginfo_class_Libcache_Cache_deleteMany, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, increment, arginfo_class_Libcache_Cache_increment, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, decrement, arginfo_class_Libcache_Cache_decrement, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, touch, arginfo_class_Libcache_Cache_touch, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, remember, arginfo_class_Libcache_Cache_remember, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, rememberMany, arginfo_class_Libcache_Cache_rememberMany, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, begin, arginfo_class_Libcache_Cache_begin, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, invalidateTags, arginfo_class_Libcache_Cache_invalidateTags, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, clear, arginfo_class_Libcache_Cache_clear, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, clearAll, arginfo_class_Libcache_Cache_clearAll, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, lock, arginfo_class_Libcache_Cache_lock, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, rateHit, arginfo_class_Libcache_Cache_rateHit, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, stats, arginfo_class_Libcache_Cache_stats, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, namespaceStats, arginfo_class_Libcache_Cache_namespaceStats, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, sumStats, arginfo_class_Libcache_Cache_sumStats, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, namespaces, arginfo_class_Libcache_Cache_namespaces, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, metrics, arginfo_class_Libcache_Cache_metrics, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, poll, arginfo_class_Libcache_Cache_poll, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, forgetMemo, arginfo_class_Libcache_Cache_forgetMemo, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, lastError, arginfo_class_Libcache_Cache_lastError, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Cache, describe, arginfo_class_Libcache_Cache_describe, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(Libcache_Cache, removeSegment, arginfo_class_Libcache_Cache_removeSegment, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_ME(Libcache_Cache, version, arginfo_class_Libcache_Cache_version, ZEND_ACC_PUBLIC|ZEND_ACC_STATIC)
	ZEND_FE_END
};


static const zend_function_entry class_Libcache_Load_methods[] = {
	ZEND_ME(Libcache_Load, __construct, arginfo_class_Libcache_Load___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Libcache_Load, state, arginfo_class_Libcache_Load_state, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, ttl, arginfo_class_Libcache_Load_ttl, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, tags, arginfo_class_Libcache_Load_tags, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, missing, arginfo_class_Libcache_Load_missing, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, dontStore, arginfo_class_Libcache_Load_dontStore, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, commit, arginfo_class_Libcache_Load_commit, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, abort, arginfo_class_Libcache_Load_abort, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, recheck, arginfo_class_Libcache_Load_recheck, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Load, wait, arginfo_class_Libcache_Load_wait, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_Libcache_Lock_methods[] = {
	ZEND_ME(Libcache_Lock, __construct, arginfo_class_Libcache_Lock___construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Libcache_Lock, take, arginfo_class_Libcache_Lock_take, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, keep, arginfo_class_Libcache_Lock_keep, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, free, arginfo_class_Libcache_Lock_free, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, break, arginfo_class_Libcache_Lock_break, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, isMine, arginfo_class_Libcache_Lock_isMine, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, holder, arginfo_class_Libcache_Lock_holder, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, left, arginfo_class_Libcache_Lock_left, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, owner, arginfo_class_Libcache_Lock_owner, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Lock, name, arginfo_class_Libcache_Lock_name, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_Libcache_Clock_methods[] = {
	ZEND_ME(Libcache_Clock, __construct, arginfo_class_Libcache_Clock___construct, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Clock, advance, arginfo_class_Libcache_Clock_advance, ZEND_ACC_PUBLIC)
	ZEND_ME(Libcache_Clock, now, arginfo_class_Libcache_Clock_now, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};


static const zend_function_entry class_Libcache_Exception_methods[] = {
	ZEND_FE_END
};

static zend_class_entry *register_class_Libcache_Cache(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Libcache", "Cache", class_Libcache_Cache_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	zval const_FOREVER_value;
	ZVAL_LONG(&const_FOREVER_value, ZEND_LONG_MAX);
	zend_string *const_FOREVER_name = zend_string_init_interned("FOREVER", sizeof("FOREVER") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_FOREVER_name, &const_FOREVER_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_FOREVER_name);
	ZEND_ASSERT(ZEND_LONG_MAX == 9223372036854775807);

	zval const_NO_WAIT_value;
	ZVAL_LONG(&const_NO_WAIT_value, 1);
	zend_string *const_NO_WAIT_name = zend_string_init_interned("NO_WAIT", sizeof("NO_WAIT") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_NO_WAIT_name, &const_NO_WAIT_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_NO_WAIT_name);

	zval const_SKIP_L1_value;
	ZVAL_LONG(&const_SKIP_L1_value, 8);
	zend_string *const_SKIP_L1_name = zend_string_init_interned("SKIP_L1", sizeof("SKIP_L1") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_SKIP_L1_name, &const_SKIP_L1_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_SKIP_L1_name);

	zval const_SKIP_L2_value;
	ZVAL_LONG(&const_SKIP_L2_value, 16);
	zend_string *const_SKIP_L2_name = zend_string_init_interned("SKIP_L2", sizeof("SKIP_L2") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_SKIP_L2_name, &const_SKIP_L2_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_SKIP_L2_name);

	zval const_READ_ONLY_value;
	ZVAL_LONG(&const_READ_ONLY_value, 32);
	zend_string *const_READ_ONLY_name = zend_string_init_interned("READ_ONLY", sizeof("READ_ONLY") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_READ_ONLY_name, &const_READ_ONLY_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_READ_ONLY_name);

	zval const_NO_PUBLISH_value;
	ZVAL_LONG(&const_NO_PUBLISH_value, 64);
	zend_string *const_NO_PUBLISH_name = zend_string_init_interned("NO_PUBLISH", sizeof("NO_PUBLISH") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_NO_PUBLISH_name, &const_NO_PUBLISH_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_NO_PUBLISH_name);

	zval const_NO_BLOCK_value;
	ZVAL_LONG(&const_NO_BLOCK_value, 128);
	zend_string *const_NO_BLOCK_name = zend_string_init_interned("NO_BLOCK", sizeof("NO_BLOCK") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_NO_BLOCK_name, &const_NO_BLOCK_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_NO_BLOCK_name);

	zval const_REFRESH_value;
	ZVAL_LONG(&const_REFRESH_value, 256);
	zend_string *const_REFRESH_name = zend_string_init_interned("REFRESH", sizeof("REFRESH") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_REFRESH_name, &const_REFRESH_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_REFRESH_name);

	return class_entry;
}

static zend_class_entry *register_class_Libcache_Load(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Libcache", "Load", class_Libcache_Load_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	zval const_LEAD_value;
	ZVAL_LONG(&const_LEAD_value, 1);
	zend_string *const_LEAD_name = zend_string_init_interned("LEAD", sizeof("LEAD") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_LEAD_name, &const_LEAD_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_LEAD_name);

	zval const_REFRESH_value;
	ZVAL_LONG(&const_REFRESH_value, 2);
	zend_string *const_REFRESH_name = zend_string_init_interned("REFRESH", sizeof("REFRESH") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_REFRESH_name, &const_REFRESH_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_REFRESH_name);

	zval const_WAIT_value;
	ZVAL_LONG(&const_WAIT_value, 3);
	zend_string *const_WAIT_name = zend_string_init_interned("WAIT", sizeof("WAIT") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_WAIT_name, &const_WAIT_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_WAIT_name);

	zval const_BYPASS_value;
	ZVAL_LONG(&const_BYPASS_value, 4);
	zend_string *const_BYPASS_name = zend_string_init_interned("BYPASS", sizeof("BYPASS") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_BYPASS_name, &const_BYPASS_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_BYPASS_name);

	zval const_ENDED_value;
	ZVAL_LONG(&const_ENDED_value, 0);
	zend_string *const_ENDED_name = zend_string_init_interned("ENDED", sizeof("ENDED") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ENDED_name, &const_ENDED_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ENDED_name);

	return class_entry;
}

static zend_class_entry *register_class_Libcache_Lock(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Libcache", "Lock", class_Libcache_Lock_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	return class_entry;
}

static zend_class_entry *register_class_Libcache_Clock(void)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Libcache", "Clock", class_Libcache_Clock_methods);
	class_entry = zend_register_internal_class_ex(&ce, NULL);
	class_entry->ce_flags |= ZEND_ACC_FINAL|ZEND_ACC_NO_DYNAMIC_PROPERTIES|ZEND_ACC_NOT_SERIALIZABLE;

	return class_entry;
}

static zend_class_entry *register_class_Libcache_Exception(zend_class_entry *class_entry_RuntimeException)
{
	zend_class_entry ce, *class_entry;

	INIT_NS_CLASS_ENTRY(ce, "Libcache", "Exception", class_Libcache_Exception_methods);
	class_entry = zend_register_internal_class_ex(&ce, class_entry_RuntimeException);

	zval const_EINVAL_value;
	ZVAL_LONG(&const_EINVAL_value, -1);
	zend_string *const_EINVAL_name = zend_string_init_interned("EINVAL", sizeof("EINVAL") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EINVAL_name, &const_EINVAL_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EINVAL_name);

	zval const_ENOMEM_value;
	ZVAL_LONG(&const_ENOMEM_value, -2);
	zend_string *const_ENOMEM_name = zend_string_init_interned("ENOMEM", sizeof("ENOMEM") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ENOMEM_name, &const_ENOMEM_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ENOMEM_name);

	zval const_EKEY_value;
	ZVAL_LONG(&const_EKEY_value, -3);
	zend_string *const_EKEY_name = zend_string_init_interned("EKEY", sizeof("EKEY") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EKEY_name, &const_EKEY_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EKEY_name);

	zval const_ETAG_value;
	ZVAL_LONG(&const_ETAG_value, -4);
	zend_string *const_ETAG_name = zend_string_init_interned("ETAG", sizeof("ETAG") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ETAG_name, &const_ETAG_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ETAG_name);

	zval const_ETOOBIG_value;
	ZVAL_LONG(&const_ETOOBIG_value, -5);
	zend_string *const_ETOOBIG_name = zend_string_init_interned("ETOOBIG", sizeof("ETOOBIG") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ETOOBIG_name, &const_ETOOBIG_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ETOOBIG_name);

	zval const_EPOLICY_value;
	ZVAL_LONG(&const_EPOLICY_value, -6);
	zend_string *const_EPOLICY_name = zend_string_init_interned("EPOLICY", sizeof("EPOLICY") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EPOLICY_name, &const_EPOLICY_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EPOLICY_name);

	zval const_ENAME_value;
	ZVAL_LONG(&const_ENAME_value, -7);
	zend_string *const_ENAME_name = zend_string_init_interned("ENAME", sizeof("ENAME") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ENAME_name, &const_ENAME_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ENAME_name);

	zval const_ENUMBER_value;
	ZVAL_LONG(&const_ENUMBER_value, -8);
	zend_string *const_ENUMBER_name = zend_string_init_interned("ENUMBER", sizeof("ENUMBER") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ENUMBER_name, &const_ENUMBER_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ENUMBER_name);

	zval const_EOVERFLOW_value;
	ZVAL_LONG(&const_EOVERFLOW_value, -9);
	zend_string *const_EOVERFLOW_name = zend_string_init_interned("EOVERFLOW", sizeof("EOVERFLOW") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EOVERFLOW_name, &const_EOVERFLOW_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EOVERFLOW_name);

	zval const_EBUSY_value;
	ZVAL_LONG(&const_EBUSY_value, -10);
	zend_string *const_EBUSY_name = zend_string_init_interned("EBUSY", sizeof("EBUSY") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EBUSY_name, &const_EBUSY_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EBUSY_name);

	zval const_EACCESS_value;
	ZVAL_LONG(&const_EACCESS_value, -11);
	zend_string *const_EACCESS_name = zend_string_init_interned("EACCESS", sizeof("EACCESS") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EACCESS_name, &const_EACCESS_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EACCESS_name);

	zval const_EINCOMPATIBLE_value;
	ZVAL_LONG(&const_EINCOMPATIBLE_value, -12);
	zend_string *const_EINCOMPATIBLE_name = zend_string_init_interned("EINCOMPATIBLE", sizeof("EINCOMPATIBLE") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EINCOMPATIBLE_name, &const_EINCOMPATIBLE_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EINCOMPATIBLE_name);

	zval const_ENOTFOUND_value;
	ZVAL_LONG(&const_ENOTFOUND_value, -13);
	zend_string *const_ENOTFOUND_name = zend_string_init_interned("ENOTFOUND", sizeof("ENOTFOUND") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ENOTFOUND_name, &const_ENOTFOUND_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ENOTFOUND_name);

	zval const_ESYSTEM_value;
	ZVAL_LONG(&const_ESYSTEM_value, -14);
	zend_string *const_ESYSTEM_name = zend_string_init_interned("ESYSTEM", sizeof("ESYSTEM") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ESYSTEM_name, &const_ESYSTEM_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ESYSTEM_name);

	zval const_ECORRUPT_value;
	ZVAL_LONG(&const_ECORRUPT_value, -15);
	zend_string *const_ECORRUPT_name = zend_string_init_interned("ECORRUPT", sizeof("ECORRUPT") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ECORRUPT_name, &const_ECORRUPT_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ECORRUPT_name);

	zval const_EUNSUPPORTED_value;
	ZVAL_LONG(&const_EUNSUPPORTED_value, -16);
	zend_string *const_EUNSUPPORTED_name = zend_string_init_interned("EUNSUPPORTED", sizeof("EUNSUPPORTED") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EUNSUPPORTED_name, &const_EUNSUPPORTED_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EUNSUPPORTED_name);

	zval const_EUNAVAILABLE_value;
	ZVAL_LONG(&const_EUNAVAILABLE_value, -17);
	zend_string *const_EUNAVAILABLE_name = zend_string_init_interned("EUNAVAILABLE", sizeof("EUNAVAILABLE") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EUNAVAILABLE_name, &const_EUNAVAILABLE_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EUNAVAILABLE_name);

	zval const_ETIMEDOUT_value;
	ZVAL_LONG(&const_ETIMEDOUT_value, -18);
	zend_string *const_ETIMEDOUT_name = zend_string_init_interned("ETIMEDOUT", sizeof("ETIMEDOUT") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ETIMEDOUT_name, &const_ETIMEDOUT_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ETIMEDOUT_name);

	zval const_EREMOTE_value;
	ZVAL_LONG(&const_EREMOTE_value, -19);
	zend_string *const_EREMOTE_name = zend_string_init_interned("EREMOTE", sizeof("EREMOTE") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EREMOTE_name, &const_EREMOTE_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EREMOTE_name);

	zval const_EDENIED_value;
	ZVAL_LONG(&const_EDENIED_value, -20);
	zend_string *const_EDENIED_name = zend_string_init_interned("EDENIED", sizeof("EDENIED") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EDENIED_name, &const_EDENIED_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EDENIED_name);

	zval const_EPROTOCOL_value;
	ZVAL_LONG(&const_EPROTOCOL_value, -21);
	zend_string *const_EPROTOCOL_name = zend_string_init_interned("EPROTOCOL", sizeof("EPROTOCOL") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EPROTOCOL_name, &const_EPROTOCOL_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EPROTOCOL_name);

	zval const_ELOAD_value;
	ZVAL_LONG(&const_ELOAD_value, -22);
	zend_string *const_ELOAD_name = zend_string_init_interned("ELOAD", sizeof("ELOAD") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ELOAD_name, &const_ELOAD_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ELOAD_name);

	zval const_ELOST_value;
	ZVAL_LONG(&const_ELOST_value, -23);
	zend_string *const_ELOST_name = zend_string_init_interned("ELOST", sizeof("ELOST") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_ELOST_name, &const_ELOST_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_ELOST_name);

	zval const_EVALUE_value;
	ZVAL_LONG(&const_EVALUE_value, -100);
	zend_string *const_EVALUE_name = zend_string_init_interned("EVALUE", sizeof("EVALUE") - 1, 1);
	zend_declare_class_constant_ex(class_entry, const_EVALUE_name, &const_EVALUE_value, ZEND_ACC_PUBLIC, NULL);
	zend_string_release(const_EVALUE_name);

	return class_entry;
}
