/*
 * Any bytes as answers: the first byte says in what pieces they come and how large an answer may be. In one piece and
 * in many, the same answers come out, and the same verdict; what comes out is well formed and within the limits.
 * SPDX-License-Identifier: MIT
 */
#include "l2/resp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static int live_blocks;

static void *counted_allocate(void *arg, size_t bytes)
{
    void *memory = malloc(bytes);
    (void)arg;
    live_blocks += memory != NULL;
    return memory;
}

static void counted_release(void *arg, void *memory)
{
    (void)arg;
    live_blocks--;
    free(memory);
}

static const libcache_allocator allocator = { counted_allocate, counted_release, NULL };

static void require_well_formed(const struct reply *reply, unsigned depth, size_t *items, size_t *bytes)
{
    REQUIRE(depth <= REPLY_DEPTH_MAX);
    switch (reply->kind) {
    case REPLY_STRING:
    case REPLY_STATUS:
    case REPLY_ERROR:
        REQUIRE(reply->text && reply->text[reply->size] == 0);
        *bytes += reply->size;
        break;
    case REPLY_ARRAY:
        *items += reply->size;
        REQUIRE(*items <= REPLY_ITEMS_MAX);
        for (size_t i = 0; i < reply->size; i++)
            require_well_formed(&reply->items[i], depth + 1, items, bytes);
        break;
    case REPLY_INTEGER:
    case REPLY_NIL: REQUIRE(!reply->text && !reply->items); break;
    }
    (void)reply_result(reply);
    (void)reply_is_error(reply, "NOSCRIPT");
    (void)reply_is_refusal(reply);
}

static void require_equal(const struct reply *a, const struct reply *b)
{
    REQUIRE(a->kind == b->kind && a->integer == b->integer && a->size == b->size);
    REQUIRE(!a->text == !b->text && (!a->text || memcmp(a->text, b->text, a->size) == 0));
    if (a->kind == REPLY_ARRAY)
        for (size_t i = 0; i < a->size; i++)
            require_equal(&a->items[i], &b->items[i]);
}

/* Each piece is in a block of exactly its size. */
static int read_all(struct replies *out, const uint8_t *data, size_t size, size_t step, size_t max_bytes)
{
    struct resp_reader *reader = resp_reader_new(&allocator, max_bytes);
    int result = LIBCACHE_MISS;

    REQUIRE(reader);
    replies_init(out, &allocator);
    for (size_t at = 0; at < size && result == LIBCACHE_MISS; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *piece = malloc(n);
        REQUIRE(piece);
        memcpy(piece, data + at, n);
        REQUIRE(resp_reader_feed(reader, piece, n) == LIBCACHE_OK);
        free(piece);
        while ((result = resp_reader_next(reader, out)) == LIBCACHE_OK)
            ;
    }
    REQUIRE(result == LIBCACHE_MISS || result == LIBCACHE_EPROTOCOL);
    resp_reader_free(reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replies whole, pieces;
    size_t step, max_bytes;
    int result, again;

    if (size < 1)
        return 0;
    step = data[0] % 16 + 1u;
    max_bytes = (size_t)16 << (data[0] >> 4);
    data++, size--;
    result = read_all(&whole, data, size, size ? size : 1, max_bytes);
    again = read_all(&pieces, data, size, step, max_bytes);
    REQUIRE(result == again && whole.n == pieces.n);
    for (size_t i = 0; i < whole.n; i++) {
        size_t items = 0, bytes = 0;
        require_well_formed(&whole.item[i], 0, &items, &bytes);
        REQUIRE(bytes <= max_bytes);
        require_equal(&whole.item[i], &pieces.item[i]);
    }
    replies_free(&whole);
    replies_free(&pieces);
    REQUIRE(live_blocks == 0);
    return 0;
}
