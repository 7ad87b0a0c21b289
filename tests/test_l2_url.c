/* The URL of a Redis server (lib/l2/url.c). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "base/memory.h"
#include "l2/url.h"

#include <stdio.h>
#include <string.h>

static struct counted_memory memory;

static int parse(struct url *url, const char *text, libcache_error *error)
{
    counted_memory_init(&memory);
    memset(error, 0, sizeof *error);
    return url_parse(url, text, &memory.allocator, error);
}

static void drop(struct url *url)
{
    url_free(url, &memory.allocator);
    ck_assert_int_eq(memory.live, 0);
}

static void ck_slice(libcache_slice slice, const char *text)
{
    ck_assert_uint_eq(slice.size, strlen(text));
    ck_assert_mem_eq(slice.data, text, slice.size);
}

struct good {
    const char *text, *host;
    unsigned port, db;
    const char *user, *password, *name; /* NULL: none */
};

static const struct good goods[] = {
    { "redis://localhost", "localhost", 6379, 0, NULL, NULL, "localhost:6379/0" },
    { "redis://localhost/", "localhost", 6379, 0, NULL, NULL, "localhost:6379/0" },
    { "REDIS://cache-1.example.org:7000/15", "cache-1.example.org", 7000, 15, NULL, NULL,
      "cache-1.example.org:7000/15" },
    { "redis://10.0.0.1:1", "10.0.0.1", 1, 0, NULL, NULL, "10.0.0.1:1/0" },
    { "redis://h:65535/2147483647", "h", 65535, 2147483647, NULL, NULL, "h:65535/2147483647" },
    { "redis://[::1]", "::1", 6379, 0, NULL, NULL, "[::1]:6379/0" },
    { "redis://[2001:db8::7]:7000/3", "2001:db8::7", 7000, 3, NULL, NULL, "[2001:db8::7]:7000/3" },
    { "redis://:secret@h", "h", 6379, 0, NULL, "secret", "h:6379/0" },
    { "redis://ada:secret@h:1/2", "h", 1, 2, "ada", "secret", "h:1/2" },
    { "redis://ada:@h", "h", 6379, 0, "ada", "", "h:6379/0" },
    { "redis://a%3Ab:s%40%2f%25c@h", "h", 6379, 0, "a:b", "s@/%c", "h:6379/0" },
    { "redis://:p@ss:w?rd@h", "h", 6379, 0, NULL, "p@ss:w?rd", "h:6379/0" },
    { "unix:///run/redis.sock", "/run/redis.sock", 0, 0, NULL, NULL, "unix:/run/redis.sock/0" },
    { "unix:///run/redis.sock?db=7", "/run/redis.sock", 0, 7, NULL, NULL, "unix:/run/redis.sock/7" },
    { "unix:///run/a%20b", "/run/a b", 0, 0, NULL, NULL, "unix:/run/a b/0" },
    { "unix://:secret@/s", "/s", 0, 0, NULL, "secret", "unix:/s/0" },
    { "unix://ada:secret@/s?db=1", "/s", 0, 1, "ada", "secret", "unix:/s/1" },
};

START_TEST(good_urls_are_taken_apart)
{
    struct url url;
    libcache_error error;

    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        const struct good *good = &goods[i];
        ck_assert_msg(parse(&url, good->text, &error) == LIBCACHE_OK, "%s: %s", good->text, error.text);
        ck_assert_int_eq(url.is_unix, strncmp(good->text, "unix", 4) == 0);
        ck_assert_str_eq(url.host, good->host);
        if (!url.is_unix)
            ck_assert_uint_eq(url.port, good->port);
        ck_assert_uint_eq(url.db, good->db);
        ck_assert_int_eq(url.has_user, good->user != NULL);
        ck_assert_int_eq(url.has_password, good->password != NULL);
        if (good->user)
            ck_slice(url.user, good->user);
        if (good->password)
            ck_slice(url.password, good->password);
        ck_assert_str_eq(url.name, good->name);
        drop(&url);
    }
}
END_TEST

/* "sesame" is the secret in all of these. */
static const char *const bads[] = {
    "",
    "redis",
    "redis:",
    "redis:/",
    "redis://",
    "redis:///",
    "redis:///3",
    "redis://:6379",
    "redis://:sesame@",
    "redis://:sesame@:1",
    "http://h",
    "redis+tls://h",
    "redis:// h",
    " redis://h",
    "redis://h ",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:99999999999999999999",
    "redis://h:1x",
    "redis://h:-1",
    "redis://h:+1",
    "redis://h/x",
    "redis://h/1/",
    "redis://h/1/2",
    "redis://h/-1",
    "redis://h/2147483648",
    "redis://h/99999999999999999999999",
    "redis://h?db=1",
    "redis://h/1?x=y",
    "redis://h/#1",
    "redis://[::1",
    "redis://[::1]x",
    "redis://[::1]:",
    "redis://[]",
    "redis://[::g]",
    "redis://[fe80::1%25eth0]",
    "redis://::1",
    "redis://h/o/s/t",
    "redis://h\n",
    "redis://h%41",
    "redis://sesame@h",
    "redis://@h",
    "redis://:@h",
    "redis://:sesame%4@h",
    "redis://:sesame%@h",
    "redis://:sesame%zz@h",
    "redis://%zz:sesame@h",
    "redis://:ses/ame@h",
    "redis://:/sesame@h",
    "redis://h:sesame",
    "redis://a@b:sesame",
    "unix://",
    "unix://run/redis.sock",
    "unix://h/run/redis.sock",
    "unix://:sesame@h/run/s",
    "unix:///s?",
    "unix:///s?db",
    "unix:///s?db=",
    "unix:///s?db=x",
    "unix:///s?db=1&x=sesame",
    "unix:///s?sesame",
    "unix:///s%",
    "unix:///s%0",
    "unix:///s%00",
    "unix:///s%0a",
    "unix:///\n",
    "unix://sesame@/s",
    "unix://:sesame@",
    "sesame://h",
};

START_TEST(bad_urls_are_refused_with_a_reason_that_holds_no_secret)
{
    struct url url = { 0 }, untouched = { 0 };
    libcache_error error;

    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        ck_assert_msg(parse(&url, bads[i], &error) == LIBCACHE_EINVAL, "%s is taken", bads[i]);
        ck_assert_int_eq(error.code, LIBCACHE_EINVAL);
        ck_assert_msg(strlen(error.text) > strlen("redis_url: "), "%s: no reason", bads[i]);
        ck_assert_msg(!strstr(error.text, "sesame") && !strstr(error.text, "ame@"), "%s: %s", bads[i], error.text);
        ck_assert_mem_eq(&url, &untouched, sizeof url);
        ck_assert_int_eq(memory.live, 0);
    }
    ck_result(parse(&url, NULL, &error), LIBCACHE_EINVAL);
    ck_result(url_parse(&url, "redis://", &memory.allocator, NULL), LIBCACHE_EINVAL);
}
END_TEST

START_TEST(the_name_never_holds_user_or_password)
{
    struct url url;
    libcache_error error;

    ck_result(parse(&url, "redis://somebody:sesame@h:1/2", &error), LIBCACHE_OK);
    ck_assert_ptr_null(strstr(url.name, "somebody"));
    ck_assert_ptr_null(strstr(url.name, "sesame"));
    drop(&url);
}
END_TEST

START_TEST(tls_is_refused_in_plain_words)
{
    struct url url;
    libcache_error error;

    ck_result(parse(&url, "rediss://:sesame@h", &error), LIBCACHE_EUNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "TLS"));
    ck_assert_ptr_null(strstr(error.text, "sesame"));
}
END_TEST

START_TEST(lengths_end_where_they_are_said_to)
{
    static char text[URL_MAX_BYTES + 100];
    struct url url;
    libcache_error error;

    memcpy(text, "unix:///", 8);
    memset(text + 8, 'x', URL_PATH_MAX_BYTES - 1);
    ck_result(parse(&url, text, &error), LIBCACHE_OK);
    ck_assert_uint_eq(strlen(url.host), URL_PATH_MAX_BYTES);
    ck_assert_uint_lt(strlen(url.name), sizeof url.name);
    drop(&url);
    text[8 + URL_PATH_MAX_BYTES - 1] = 'x';
    ck_result(parse(&url, text, &error), LIBCACHE_EINVAL);

    memset(text, 0, sizeof text);
    memcpy(text, "redis://", 8);
    memset(text + 8, 'h', URL_HOST_MAX_BYTES);
    memcpy(text + 8 + URL_HOST_MAX_BYTES, ":65535/2147483647", 18);
    ck_result(parse(&url, text, &error), LIBCACHE_OK);
    ck_assert_str_eq(url.name, text + 8);
    drop(&url);
    memset(text + 8, 'h', URL_HOST_MAX_BYTES + 1);
    text[8 + URL_HOST_MAX_BYTES + 1] = 0;
    ck_result(parse(&url, text, &error), LIBCACHE_EINVAL);

    memset(text, 'x', sizeof text - 1);
    memcpy(text, "redis://:", 9);
    ck_result(parse(&url, text, &error), LIBCACHE_EINVAL);
}
END_TEST

START_TEST(without_memory_nothing_is_kept)
{
    struct url url;
    libcache_error error = { 0, "" };

    counted_memory_init(&memory);
    memory.fail_at = 1;
    ck_result(url_parse(&url, "redis://ada:secret@h", &memory.allocator, &error), LIBCACHE_ENOMEM);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    return RUN_TESTS("l2_url", good_urls_are_taken_apart, bad_urls_are_refused_with_a_reason_that_holds_no_secret,
                     the_name_never_holds_user_or_password, tls_is_refused_in_plain_words,
                     lengths_end_where_they_are_said_to, without_memory_nothing_is_kept);
}
