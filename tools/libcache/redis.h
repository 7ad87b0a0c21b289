/* A connection to Redis of the tool's own, for doctor: plain commands and what they answer. SPDX-License-Identifier: MIT */
#ifndef TOOL_REDIS_H
#define TOOL_REDIS_H
#include <hiredis/hiredis.h>
#include <stddef.h>

struct redis_place {
    char host[256], user[256], password[1024];
    char path[108]; /* of a unix socket; else empty */
    int port, db;
    int has_login;
    char name[400]; /* to show: without user and password */
};

/* Reads redis://... or unix://...; NULL, or what is wrong with it. */
const char *redis_read_url(struct redis_place *out, const char *url);

/* Connects, logs in, selects the database. NULL: `why` says why not, and *answered whether something answered at all. */
redisContext *redis_connect(const struct redis_place *place, unsigned timeout_ms, int *answered, char *why,
                            size_t size);

/* One command. The reply (free it), also where it is an error; NULL: no answer, and the connection is of no use any more. */
redisReply *redis_ask(redisContext *redis, const char *const *argv, size_t n);
#define REDIS_ASK(redis, ...)                              \
    redis_ask(redis, (const char *const[]){ __VA_ARGS__ }, \
              sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *))

/* A line "name:value" of INFO's answer. NULL: there is none; else `out`. */
const char *redis_info(const char *info, const char *name, char *out, size_t size);

#endif
