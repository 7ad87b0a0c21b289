/* The URL of a Redis server, taken apart. SPDX-License-Identifier: MIT */
#ifndef L2_URL_H
#define L2_URL_H
#include "base/memory.h"
#include "libcache.h"

#include <stdint.h>

#define URL_MAX_BYTES 2048u
#define URL_HOST_MAX_BYTES 253u
#define URL_PATH_MAX_BYTES 107u /* what a sockaddr_un holds */
#define URL_NAME_MAX_BYTES (URL_HOST_MAX_BYTES + 32u)

struct url {
    int is_unix;
    char host[URL_HOST_MAX_BYTES + 1]; /* or the socket's path; a terminated string without control characters */
    uint16_t port;
    uint32_t db;
    int has_user, has_password;
    libcache_slice user, password; /* decoded; what AUTH needs, and nothing else may show */
    char name[URL_NAME_MAX_BYTES]; /* for people: "host:port/db", "[::1]:port/db", "unix:/path/db"; no secret in it */
    char *secrets;                 /* what user and password point into */
};

/* OK, ENOMEM, EUNSUPPORTED (rediss), EINVAL; the error's text says what is wrong and quotes nothing of the URL. */
int url_parse(struct url *out, const char *text, const libcache_allocator *allocator, libcache_error *error);
void url_free(struct url *url, const libcache_allocator *allocator);

#endif
