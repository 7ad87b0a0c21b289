/*
 * SPDX-License-Identifier: MIT
 *
 *     redis://[user[:password]@]host[:port][/db]       host: a name, an IPv4 address, an IPv6 address in brackets
 *     unix://[user:password@]/path[?db=N]
 *
 * The authority ends at the first '/'; the user's part ends at its last '@', so that an '@' that somebody forgot to
 * encode in a password does no harm. No error text quotes the URL: a misplaced '/' or '@' makes the password look
 * like any part.
 */
#define _GNU_SOURCE /* memrchr */
#include "l2/url.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

struct part {
    const char *at, *end;
};

static size_t part_size(struct part part)
{
    return (size_t)(part.end - part.at);
}

/* Up to the first c; all of it when there is none. */
static struct part cut(struct part *rest, char c)
{
    const char *found = rest->at < rest->end ? memchr(rest->at, c, part_size(*rest)) : NULL;
    struct part head = { rest->at, found ? found : rest->end };

    rest->at = head.end; /* at c, or at the end */
    return head;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Percent-decodes; `to` has room for as much as there is. -1: a '%' without two hexadecimal digits. */
static long decode(char *to, struct part from)
{
    char *begin = to;

    while (from.at < from.end) {
        int high, low;
        if (*from.at != '%') {
            *to++ = *from.at++;
            continue;
        }
        if (from.end - from.at < 3 || (high = hex_digit(from.at[1])) < 0 || (low = hex_digit(from.at[2])) < 0)
            return -1;
        *to++ = (char)(high << 4 | low);
        from.at += 3;
    }
    return to - begin;
}

/* A decimal number of at most `most`. 0: it is none. */
static int read_number(uint32_t *out, struct part digits, uint32_t most)
{
    uint64_t number = 0;

    if (digits.at == digits.end)
        return 0;
    for (; digits.at < digits.end; digits.at++) {
        if (*digits.at < '0' || *digits.at > '9')
            return 0;
        number = number * 10 + (uint64_t)(*digits.at - '0');
        if (number > most)
            return 0;
    }
    *out = (uint32_t)number;
    return 1;
}

/* Takes "scheme://" off, letters of any case. 1: it was that one. */
static int take_scheme(struct part *rest, const char *scheme)
{
    size_t size = strlen(scheme);

    if (part_size(*rest) < size)
        return 0;
    for (size_t i = 0; i < size; i++) {
        char c = rest->at[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != scheme[i])
            return 0;
    }
    rest->at += size;
    return 1;
}

/* Each of these gives NULL, or what is wrong. */

static const char *read_user(struct url *url, struct part user)
{
    struct part password, name = cut(&user, ':');
    long size;

    password = user;
    if (password.at < password.end)
        password.at++; /* the colon */
    else
        return "a user without a password (write user:password@, or :password@)";
    if (part_size(name)) {
        if ((size = decode(url->secrets, name)) < 0)
            return "a '%' in the user is not followed by two hexadecimal digits";
        url->has_user = 1;
        url->user = (libcache_slice){ url->secrets, (size_t)size };
    } else if (!part_size(password)) {
        return "neither user nor password before the '@'";
    }
    if ((size = decode(url->secrets + part_size(name), password)) < 0)
        return "a '%' in the password is not followed by two hexadecimal digits";
    url->has_password = 1;
    url->password = (libcache_slice){ url->secrets + part_size(name), (size_t)size };
    return NULL;
}

/* Takes "user:password@" off the front of the authority, if it is there. */
static const char *take_user(struct url *url, struct part *authority)
{
    const char *last = authority->at < authority->end ? memrchr(authority->at, '@', part_size(*authority)) : NULL;
    struct part user = { authority->at, last };

    if (!last)
        return NULL;
    authority->at = last + 1;
    return read_user(url, user);
}

static const char *read_host(struct url *url, struct part authority)
{
    struct part host;
    int brackets = authority.at < authority.end && *authority.at == '[';
    uint32_t port = 6379;

    if (brackets) {
        authority.at++;
        host = cut(&authority, ']');
        if (authority.at == authority.end)
            return "an IPv6 address without its closing bracket";
        authority.at++;
    } else {
        host = cut(&authority, ':');
    }
    if (!part_size(host))
        return "the host is missing";
    if (part_size(host) > URL_HOST_MAX_BYTES)
        return "the host is too long";
    for (const char *c = host.at; c < host.end; c++)
        if (brackets ? hex_digit(*c) < 0 && *c != ':' && *c != '.'
                     : !is_alphanumeric(*c) && *c != '-' && *c != '.' && *c != '_')
            return brackets ? "no IPv6 address in the brackets" : "a character in the host that no host has";
    if (authority.at < authority.end) {
        if (*authority.at++ != ':')
            return "something between the host and the port";
        if (!read_number(&port, authority, 65535) || port == 0)
            return "the port is no number from 1 to 65535";
    }
    memcpy(url->host, host.at, part_size(host));
    url->port = (uint16_t)port;
    snprintf(url->name, sizeof url->name, brackets ? "[%s]:%u/%u" : "%s:%u/%u", url->host, (unsigned)url->port,
             (unsigned)url->db);
    return NULL;
}

static const char *read_db(struct url *url, struct part digits)
{
    return read_number(&url->db, digits, INT32_MAX) ? NULL : "the database is no number";
}

static const char *read_redis(struct url *url, struct part rest)
{
    struct part authority = cut(&rest, '/');
    const char *wrong = take_user(url, &authority);

    if (!wrong && memchr(authority.at, '?', part_size(authority)))
        wrong = "parameters after '?' are for unix:// only";
    if (!wrong && rest.end - rest.at > 1) {
        rest.at++;
        wrong = read_db(url, rest);
    }
    return wrong ? wrong : read_host(url, authority);
}

static const char *read_unix(struct url *url, struct part rest)
{
    struct part path, authority = cut(&rest, '/');
    const char *wrong = take_user(url, &authority);
    long size;

    if (wrong)
        return wrong;
    if (part_size(authority) || rest.at == rest.end)
        return "a socket's path begins with '/': unix:///path";
    path = cut(&rest, '?');
    if (rest.at < rest.end) {
        rest.at++;
        if (!take_scheme(&rest, "db="))
            return "the only parameter is ?db=N";
        if ((wrong = read_db(url, rest)))
            return wrong;
    }
    if (part_size(path) > 3 * URL_PATH_MAX_BYTES)
        return "the socket's path is too long";
    {
        char decoded[3 * URL_PATH_MAX_BYTES];
        if ((size = decode(decoded, path)) < 0)
            return "a '%' in the path is not followed by two hexadecimal digits";
        if ((size_t)size > URL_PATH_MAX_BYTES)
            return "the socket's path is too long";
        for (long i = 0; i < size; i++)
            if ((unsigned char)decoded[i] < 0x20 || decoded[i] == 0x7f)
                return "a control character in the path";
        memcpy(url->host, decoded, (size_t)size);
    }
    url->is_unix = 1;
    snprintf(url->name, sizeof url->name, "unix:%s/%u", url->host, (unsigned)url->db);
    return NULL;
}

int url_parse(struct url *out, const char *text, const libcache_allocator *allocator, libcache_error *error)
{
    size_t size = text ? strnlen(text, URL_MAX_BYTES + 1) : 0;
    struct part rest = { text, text ? text + size : NULL };
    struct url url = { 0 };
    const char *wrong;

    if (!size)
        return error_set(error, LIBCACHE_EINVAL, "redis_url: it is empty");
    if (size > URL_MAX_BYTES)
        return error_set(error, LIBCACHE_EINVAL, "redis_url: longer than %u bytes", URL_MAX_BYTES);
    if (take_scheme(&rest, "rediss://"))
        return error_set(
            error, LIBCACHE_EUNSUPPORTED,
            "redis_url: rediss:// (TLS) is not supported; a TLS proxy on this host, reached by redis:// or "
            "unix://, is");
    url.secrets = memory_zero(allocator, size + 1);
    if (!url.secrets)
        return error_set(error, LIBCACHE_ENOMEM, "redis_url: out of memory");
    if (take_scheme(&rest, "redis://"))
        wrong = read_redis(&url, rest);
    else if (take_scheme(&rest, "unix://"))
        wrong = read_unix(&url, rest);
    else
        wrong = "it begins neither with redis:// nor with unix://";
    if (wrong) {
        url_free(&url, allocator);
        return error_set(error, LIBCACHE_EINVAL, "redis_url: %s", wrong);
    }
    *out = url;
    return LIBCACHE_OK;
}

void url_free(struct url *url, const libcache_allocator *allocator)
{
    memory_free(allocator, url->secrets);
    memset(url, 0, sizeof *url);
}
