/*
 * Any bytes as a URL: refused with a text that has nothing of it, or accepted, and then all parts are what they
 * should be, and the name is a URL of its own that leads to the same place. SPDX-License-Identifier: MIT
 */
#include "base/memory.h"
#include "l2/url.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void require_plain(const char *text)
{
    for (; *text; text++)
        REQUIRE((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* The same place, by its name alone. */
static void require_same_place(const struct url *url)
{
    char text[URL_NAME_MAX_BYTES + 20];
    struct url again;

    if (url->is_unix)
        return;
    snprintf(text, sizeof text, "redis://%s", url->name);
    REQUIRE(url_parse(&again, text, &memory_default, NULL) == LIBCACHE_OK);
    REQUIRE(strcmp(again.host, url->host) == 0 && again.port == url->port && again.db == url->db);
    REQUIRE(!again.has_user && !again.has_password && strcmp(again.name, url->name) == 0);
    url_free(&again, &memory_default);
}

static void require_good(const struct url *url)
{
    REQUIRE(memchr(url->host, 0, sizeof url->host) && url->host[0]);
    REQUIRE(memchr(url->name, 0, sizeof url->name));
    require_plain(url->host);
    require_plain(url->name);
    REQUIRE(!url->is_unix || (url->host[0] == '/' && strlen(url->host) <= URL_PATH_MAX_BYTES));
    REQUIRE(url->is_unix || url->port > 0);
    REQUIRE(url->db <= INT32_MAX);
    REQUIRE(!url->has_user || url->has_password);
    require_same_place(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    libcache_error error = { 0, "" };
    struct url url;
    int result;

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = 0;
    result = url_parse(&url, text, &memory_default, &error);
    if (result == LIBCACHE_OK) {
        require_good(&url);
        url_free(&url, &memory_default);
    } else {
        REQUIRE(result == LIBCACHE_EINVAL || result == LIBCACHE_EUNSUPPORTED);
        REQUIRE(error.code == result && memchr(error.text, 0, sizeof error.text));
        REQUIRE(strncmp(error.text, "redis_url: ", 11) == 0);
        require_plain(error.text);
    }
    free(text);
    return 0;
}
