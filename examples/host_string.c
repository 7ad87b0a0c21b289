/*
 * A language runtime with strings of its own, as PHP's: a counted header, then the bytes. A hit is copied straight from
 * the cache into such a string, with nothing in between; and when the runtime's memory limit is reached, it leaves by
 * longjmp, out of the middle of the get. The cache holds no lock then, and loses nothing.
 *
 *     cc host_string.c $(pkg-config --cflags --libs libcache)          SPDX-License-Identifier: MIT
 */
#include <libcache.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The runtime ----------------------------------------------------------------------------------------------- */

struct string {
    unsigned references;
    size_t size;
    char bytes[]; /* and a zero after them */
};

static size_t in_use, limit = 64 * 1024; /* the memory_limit of a request */
static jmp_buf end_of_request;

/* Never returns NULL: a request that wants too much ends. */
static struct string *new_string(size_t size)
{
    struct string *string;
    if (in_use + size > limit || !(string = malloc(sizeof *string + size + 1)))
        longjmp(end_of_request, 1);
    in_use += size;
    string->references = 1;
    string->size = size;
    string->bytes[size] = '\0';
    return string;
}

static void drop_string(struct string *string)
{
    if (string && --string->references == 0) {
        in_use -= string->size;
        free(string);
    }
}

/* ---- Its binding ------------------------------------------------------------------------------------------------- */

/*
 * Called with the exact size, with no lock held. The entry may change while we allocate: then we are called again, with
 * the new size, and give back what we made before.
 */
static void *reserve_string(libcache_value *value, size_t size)
{
    struct string **result = value->reserve_arg;
    drop_string(*result);
    *result = NULL; /* new_string may not come back */
    *result = new_string(size);
    return (*result)->bytes;
}

/* The value as a string of the runtime, or NULL. `result` is where a string that is under way can be found and dropped. */
static struct string *cache_get(libcache_ns *ns, const char *key, struct string **result)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    value.reserve = reserve_string;
    value.reserve_arg = result;
    *result = NULL;
    if (libcache_get(ns, key, strlen(key), &value, 0) == LIBCACHE_HIT)
        return *result;
    drop_string(*result); /* reserved, and then the entry was gone */
    return *result = NULL;
}

/* ---- Requests ------------------------------------------------------------------------------------------------------ */

/* Reads pages until there are none, or the memory limit ends the request. Returns 1 if it was ended. */
static int request(libcache_ns *ns, int pages, size_t *bytes)
{
    static struct string *page[100]; /* what this request holds: the runtime frees it at its end */
    volatile int ended = 0;

    memset(page, 0, sizeof page);
    *bytes = 0;
    if (setjmp(end_of_request) == 0) {
        for (int i = 0; i < pages; i++) {
            char key[16];
            snprintf(key, sizeof key, "page:%d", i);
            if (cache_get(ns, key, &page[i]))
                *bytes += page[i]->size;
        }
    } else {
        ended = 1;
    }
    for (int i = 0; i < 100; i++)
        drop_string(page[i]);
    return ended;
}

int main(void)
{
    static char html[20000];
    libcache *cache;
    libcache_ns *pages;
    libcache_error error;
    size_t bytes, wrong = 0, key_size;
    char key[16];

    if (libcache_open(&cache, NULL, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&pages, cache, "page", NULL, &error) != LIBCACHE_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (int i = 0; i < 10; i++) {
        memset(html, 'a' + i, sizeof html);
        key_size = (size_t)snprintf(key, sizeof key, "page:%d", i);
        libcache_set(pages, key, key_size, html, 1000 * (size_t)(i + 1), NULL);
    }

    wrong += request(pages, 5, &bytes) != 0 || bytes != 15000;
    printf("5 pages: %zu bytes copied into strings of the runtime\n", bytes);
    wrong += request(pages, 100, &bytes) != 0 || bytes != 55000;
    printf("100 pages, of which 10 exist: %zu bytes\n", bytes);

    limit = 20 * 1024;
    for (int i = 0; i < 1000; i++)
        wrong += request(pages, 10, &bytes) != 1 || bytes != 15000;
    printf("1000 requests ended by the memory limit in the middle of a get\n");

    /* Had one of them left a lock behind, these could not be done. */
    limit = 64 * 1024;
    wrong += libcache_set(pages, "page:5", 6, "new", 3, NULL) != LIBCACHE_OK;
    wrong += libcache_invalidate_namespace(pages, 0) != LIBCACHE_OK;
    wrong += request(pages, 10, &bytes) != 0 || bytes != 0 || in_use != 0;
    printf("afterwards the cache can be written, and %zu bytes are leaked\n", in_use);
    libcache_close(cache);
    return wrong != 0;
}
