/* doctor's own connection to Redis. SPDX-License-Identifier: MIT */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decoded into out; 0, or -1: too long, or no such encoding. */
static int decode(char *out, size_t room, const char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= size || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
                return -1;
            c = (char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
            i += 2;
        }
        if (used + 1 >= room || !c)
            return -1;
        out[used++] = c;
    }
    out[used] = '\0';
    return 0;
}

static int read_small(int *out, const char *text, size_t size, int most)
{
    long number = 0;

    if (size < 1 || size > 5)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    *out = (int)number;
    return number > most ? -1 : 0;
}

/* user:password before an '@' */
static int read_login(struct redis_place *out, const char *text, size_t size)
{
    const char *colon = memchr(text, ':', size);
    size_t user = colon ? (size_t)(colon - text) : size;

    out->has_login = 1;
    return decode(out->user, sizeof out->user, text, user) ||
                   (colon && decode(out->password, sizeof out->password, colon + 1, size - user - 1))
               ? -1
               : 0;
}

static const char *read_address(struct redis_place *out, const char *text, size_t size)
{
    const char *end = text + size, *host_end, *colon;

    if (size && *text == '[') {
        host_end = memchr(text, ']', size);
        if (!host_end || decode(out->host, sizeof out->host, text + 1, (size_t)(host_end - text) - 1))
            return "the address in brackets is not complete";
        host_end++;
    } else {
        colon = memchr(text, ':', size);
        host_end = colon ? colon : end;
        if (decode(out->host, sizeof out->host, text, (size_t)(host_end - text)))
            return "the host's name is too long";
    }
    out->port = 6379;
    if (host_end < end &&
        (*host_end != ':' || read_small(&out->port, host_end + 1, (size_t)(end - host_end) - 1, 65535)))
        return "the port is not a number of 1 to 65535";
    return *out->host ? NULL : "there is no host in it";
}

const char *redis_read_url(struct redis_place *out, const char *url)
{
    const char *rest, *at, *slash, *why;
    int is_unix;

    memset(out, 0, sizeof *out);
    if (strncmp(url, "rediss://", 9) == 0)
        return "TLS (rediss://) is not supported yet; a TLS proxy on this host does it";
    is_unix = strncmp(url, "unix://", 7) == 0;
    if (!is_unix && strncmp(url, "redis://", 8) != 0)
        return "it must begin with redis:// or unix://";
    rest = url + (is_unix ? 7 : 8);
    slash = strchr(rest, '/');
    at = memchr(rest, '@', slash ? (size_t)(slash - rest) : strlen(rest));
    if (at && read_login(out, rest, (size_t)(at - rest)))
        return "user or password is too long or not percent-encoded";
    rest = at ? at + 1 : rest;
    if (is_unix) {
        const char *question = strchr(rest, '?');
        if (question &&
            (strncmp(question, "?db=", 4) != 0 || read_small(&out->db, question + 4, strlen(question + 4), 65535)))
            return "behind the path only ?db=NUMBER may stand";
        if (decode(out->path, sizeof out->path, rest, question ? (size_t)(question - rest) : strlen(rest)) ||
            out->path[0] != '/')
            return "the socket's path is too long or does not begin with /";
        snprintf(out->name, sizeof out->name, "unix:%s", out->path);
        return NULL;
    }
    slash = strchr(rest, '/');
    why = read_address(out, rest, slash ? (size_t)(slash - rest) : strlen(rest));
    if (why)
        return why;
    if (slash && slash[1] && read_small(&out->db, slash + 1, strlen(slash + 1), 65535))
        return "the database is not a number";
    snprintf(out->name, sizeof out->name, strchr(out->host, ':') ? "[%s]:%d" : "%s:%d", out->host, out->port);
    return NULL;
}

redisReply *redis_ask(redisContext *redis, const char *const *argv, size_t n)
{
    return redisCommandArgv(redis, (int)n, (const char **)(void *)argv, NULL);
}

/* An answer that must not be an error. */
static int must(redisContext *redis, redisReply *reply, const char *what, int *answered, char *why, size_t size)
{
    int good = reply && reply->type != REDIS_REPLY_ERROR;

    *answered |= reply != NULL;
    if (!good)
        snprintf(why, size, "%s: %s", what, reply ? reply->str : redis->errstr);
    if (reply)
        freeReplyObject(reply);
    return good;
}

redisContext *redis_connect(const struct redis_place *place, unsigned timeout_ms, int *answered, char *why, size_t size)
{
    struct timeval limit = { (time_t)(timeout_ms / 1000), (suseconds_t)(timeout_ms % 1000) * 1000 };
    redisContext *redis = *place->path ? redisConnectUnixWithTimeout(place->path, limit)
                                       : redisConnectWithTimeout(place->host, place->port, limit);
    char db[12];
    int good;

    *answered = 0;
    if (!redis || redis->err) {
        snprintf(why, size, "connect: %s", redis ? redis->errstr : "no memory");
        if (redis)
            redisFree(redis);
        return NULL;
    }
    good = redisSetTimeout(redis, limit) == REDIS_OK;
    if (good && place->has_login && *place->user)
        good = must(redis, REDIS_ASK(redis, "AUTH", place->user, place->password), "login", answered, why, size);
    else if (good && place->has_login)
        good = must(redis, REDIS_ASK(redis, "AUTH", place->password), "login", answered, why, size);
    snprintf(db, sizeof db, "%d", place->db);
    if (good && place->db)
        good = must(redis, REDIS_ASK(redis, "SELECT", db), "SELECT", answered, why, size);
    if (good)
        return redis;
    redisFree(redis);
    return NULL;
}

const char *redis_info(const char *info, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);

    for (const char *line = info; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            snprintf(out, size, "%.*s", (int)strcspn(line + length + 1, "\r\n"), line + length + 1);
            return out;
        }
    return NULL;
}
