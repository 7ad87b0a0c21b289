/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int error_set(libcache_error *error, int code, const char *format, ...)
{
    if (error) {
        int saved = errno;
        va_list args;
        va_start(args, format);
        error->code = code;
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        errno = saved;
    }
    return code;
}

const char *libcache_describe(int code)
{
    switch (code) {
    case LIBCACHE_OK: return "done";
    case LIBCACHE_HIT: return "found, fresh";
    case LIBCACHE_STALE: return "found, past its soft TTL";
    case LIBCACHE_NEGATIVE: return "known to be missing at the source";
    case LIBCACHE_MISS: return "not found";
    case LIBCACHE_EXISTS: return "an entry is already there";
    case LIBCACHE_FENCED: return "invalidated since the stamp was taken, not stored";
    case LIBCACHE_LEAD: return "yours to load";
    case LIBCACHE_WAIT: return "somebody else is loading it";
    case LIBCACHE_BYPASS: return "load it for yourself";
    case LIBCACHE_LIMITED: return "more hits than the window allows";
    case LIBCACHE_EINVAL: return "an argument is wrong";
    case LIBCACHE_ENOMEM: return "out of memory";
    case LIBCACHE_EKEY: return "key is null, empty or too long";
    case LIBCACHE_ETAG: return "a tag is null, empty or too long, or there are too many";
    case LIBCACHE_ETOOBIG: return "value is too large";
    case LIBCACHE_EPOLICY: return "a policy field is out of range or contradicts another";
    case LIBCACHE_ENAME: return "bad name, or no room for one more namespace";
    case LIBCACHE_ENUMBER: return "value is not a 64-bit decimal number";
    case LIBCACHE_EOVERFLOW: return "the number would overflow";
    case LIBCACHE_EBUSY: return "a lock was not to be had in time";
    case LIBCACHE_EACCESS: return "segment is another user's or open to others, or attached read-only";
    case LIBCACHE_EINCOMPATIBLE: return "segment is of another build, format, identity or size";
    case LIBCACHE_ENOTFOUND: return "no such segment";
    case LIBCACHE_ESYSTEM: return "the operating system refused";
    case LIBCACHE_ECORRUPT: return "segment's contents contradict themselves";
    case LIBCACHE_EUNSUPPORTED: return "this cache does not have what was asked for";
    case LIBCACHE_EUNAVAILABLE: return "Redis is not to be had now";
    case LIBCACHE_ETIMEDOUT: return "Redis did not answer in time";
    case LIBCACHE_EREMOTE: return "Redis refused";
    case LIBCACHE_EDENIED: return "Redis wants other credentials, or forbids it";
    case LIBCACHE_EPROTOCOL: return "what answers is not Redis, or its answer is too large";
    case LIBCACHE_ELOAD: return "a load failed";
    case LIBCACHE_ELOST: return "the lock is not, or no longer, yours";
    default: return "unknown code";
    }
}
