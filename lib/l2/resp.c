/*
 * Commands are written here, straight into the request (redisFormatCommandArgv goes through sprintf and a copy, which was a third of all
 * that a get from Redis did in user space); answers are read by hiredis; their nodes and text are ours, in an arena that comes from the
 * handle's allocator. SPDX-License-Identifier: MIT
 *
 * What hiredis does not do, and what is therefore done here:
 *   - It waits for ever for the 9223372036854775807 bytes that a header may announce. We read the header of an item
 *     that is not complete (at reader->buf + reader->pos) and refuse what is beyond max_bytes before it is waited
 *     for.
 *   - 0.14 believes that a bulk string is followed by CRLF. The two bytes are in its buffer when it calls us: we look.
 *   - 1.x reads RESP3. We never ask for it, so nobody who speaks Redis sends it: all its types are refused.
 *   - 0.14 asserts after shrinking a large empty buffer, unless maxbuf is 0. With 0 nothing ever shrinks, so the
 *     reader is replaced after a large answer.
 *   - It scans a line from its start whenever more of it arrives: the length of lines is capped.
 *
 * hiredis's own buffers are malloc's; when it has no memory it says so, and we say ENOMEM.
 */
#include "l2/resp.h"

#include "base/decimal.h"
#include "base/platform.h"

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <string.h>

/* ---- What differs between hiredis 0.14 and 1.x ------------------------------------------------------------ */

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#define current_task(hiredis) ((hiredis)->task[(hiredis)->ridx])
#else
typedef int array_size;
#define current_task(hiredis) (&(hiredis)->rstack[(hiredis)->ridx])
#endif

/* ---- Commands --------------------------------------------------------------------------------------------- */

void request_init(struct request *request, const libcache_allocator *allocator)
{
    memset(request, 0, sizeof *request);
    request->allocator = allocator;
}

void request_clear(struct request *request)
{
    request->size = 0;
    request->commands = 0;
}

void request_free(struct request *request)
{
    memory_free(request->allocator, request->bytes);
    request_init(request, request->allocator);
}

static int request_grow(struct request *request, size_t more)
{
    size_t wanted, capacity = request->capacity ? request->capacity : 256;
    char *bytes;

    if (__builtin_add_overflow(request->size, more, &wanted) || wanted > SIZE_MAX / 2)
        return LIBCACHE_ENOMEM;
    if (wanted <= request->capacity)
        return LIBCACHE_OK;
    while (capacity < wanted)
        capacity *= 2;
    bytes = memory_get(request->allocator, capacity);
    if (!bytes)
        return LIBCACHE_ENOMEM;
    if (request->size)
        memcpy(bytes, request->bytes, request->size);
    memory_free(request->allocator, request->bytes);
    request->bytes = bytes;
    request->capacity = capacity;
    return LIBCACHE_OK;
}

/* "$5\r\n" or "*2\r\n": at most HEAD_MAX bytes. */
enum { HEAD_MAX = 1 + DECIMAL_MAX + 2 };

static char *write_head(char *to, char sign, size_t n)
{
    *to++ = sign;
    to += decimal_write(to, (int64_t)n);
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

int request_add(struct request *request, size_t argc, const libcache_slice *argv)
{
    size_t most = HEAD_MAX;
    char *to;

    for (size_t i = 0; i < argc; i++)
        if (argv[i].size > SIZE_MAX / 2 || __builtin_add_overflow(most, argv[i].size + HEAD_MAX + 2, &most))
            return LIBCACHE_ENOMEM;
    if (request_grow(request, most) != LIBCACHE_OK)
        return LIBCACHE_ENOMEM;
    to = write_head(request->bytes + request->size, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        to = write_head(to, '$', argv[i].size);
        if (argv[i].size)
            memcpy(to, argv[i].data, argv[i].size);
        to += argv[i].size;
        *to++ = '\r';
        *to++ = '\n';
    }
    request->size = (size_t)(to - request->bytes);
    request->commands++;
    return LIBCACHE_OK;
}

/* ---- The answers' memory ------------------------------------------------------------------------------------ */

/* Blocks, newest first; the bytes follow the struct. What is large gets a block of its own. */
struct arena {
    struct arena *next;
    size_t used, size;
};

#define ARENA_ALIGN 16u
#define ARENA_HEADER ((sizeof(struct arena) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)
#define ARENA_FIRST 1024u /* with its header: a get's answer fits */
#define ARENA_MOST 65536u

static void *arena_get(struct replies *out, size_t bytes)
{
    struct arena *arena = out->arena;
    size_t size;

    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (!arena || arena->size - arena->used < bytes) {
        size = arena ? 2 * (arena->size + ARENA_HEADER) : ARENA_FIRST;
        size = size > ARENA_MOST ? ARENA_MOST : size;
        if (size < bytes + ARENA_HEADER)
            size = bytes + ARENA_HEADER;
        arena = memory_get(out->allocator, size);
        if (!arena)
            return NULL;
        arena->next = out->arena;
        arena->used = 0;
        arena->size = size - ARENA_HEADER;
        out->arena = arena;
    }
    arena->used += bytes;
    return (char *)arena + ARENA_HEADER + arena->used - bytes;
}

void replies_init(struct replies *replies, const libcache_allocator *allocator)
{
    memset(replies, 0, sizeof *replies);
    replies->allocator = allocator;
}

void replies_free(struct replies *replies)
{
    struct arena *arena = replies->arena;

    while (arena) {
        struct arena *next = arena->next;
        memory_free(replies->allocator, arena);
        arena = next;
    }
    replies_init(replies, replies->allocator);
}

/* Room for one more. Outgrown arrays stay in the arena: they double, so together they are no larger than the last. */
static int replies_grow(struct replies *replies)
{
    size_t room = replies->room ? 2 * replies->room : 4;
    struct reply *item;

    if (replies->n < replies->room)
        return LIBCACHE_OK;
    item = arena_get(replies, room * sizeof *item);
    if (!item)
        return LIBCACHE_ENOMEM;
    if (replies->n)
        memcpy(item, replies->item, replies->n * sizeof *item);
    replies->item = item;
    replies->room = room;
    return LIBCACHE_OK;
}

/* ---- The reader ----------------------------------------------------------------------------------------------- */

#define LINE_MAX_BYTES 65536u /* of a status, an error or a number */
#define HEADER_MAX_BYTES 32u  /* of the line that says how long something is */
#define KEEP_MAX_BYTES 65536u /* a reader that has held more is replaced when it is empty */

struct resp_reader {
    redisReader *hiredis;
    redisReplyObjectFunctions functions;
    const libcache_allocator *allocator;
    size_t max_bytes;
    size_t bytes, items; /* of the answer that is being read */
    size_t most_held;    /* bytes that hiredis's buffer has held */
    struct replies *out; /* during resp_reader_next */
    int refusal;         /* why a callback gave NULL, or the header was refused */
};

/* The reader keeps its own answer nodes, not const. */
static struct reply *item_of(const redisReadTask *array, size_t index)
{
    return (struct reply *)((struct reply *)array->obj)->items + index;
}

static void *refuse(const redisReadTask *task, int result)
{
    ((struct resp_reader *)task->privdata)->refusal = result;
    return NULL;
}

/* The node for what has been read: its place in the array above, or a new one. NULL: refused. */
static struct reply *node_for(const redisReadTask *task, enum reply_kind kind)
{
    struct resp_reader *reader = task->privdata;
    struct reply *node;

    if (task->parent)
        node = item_of(task->parent, (size_t)task->idx);
    else if (!(node = arena_get(reader->out, sizeof *node)))
        return refuse(task, LIBCACHE_ENOMEM);
    memset(node, 0, sizeof *node);
    node->kind = kind;
    return node;
}

static void *read_string(const redisReadTask *task, char *text, size_t size)
{
    struct resp_reader *reader = task->privdata;
    enum reply_kind kind = REPLY_STRING;
    struct reply *node;
    char *copy;

    switch (task->type) {
    case REDIS_REPLY_STRING:
        if (text[size] != '\r' || text[size + 1] != '\n')
            return refuse(task, LIBCACHE_EPROTOCOL);
        break;
    case REDIS_REPLY_STATUS: kind = REPLY_STATUS; break;
    case REDIS_REPLY_ERROR: kind = REPLY_ERROR; break;
    default: return refuse(task, LIBCACHE_EPROTOCOL);
    }
    if (size > reader->max_bytes - reader->bytes)
        return refuse(task, LIBCACHE_EPROTOCOL);
    reader->bytes += size;
    if (!(node = node_for(task, kind)))
        return NULL;
    if (!(copy = arena_get(reader->out, size + 1)))
        return refuse(task, LIBCACHE_ENOMEM);
    memcpy(copy, text, size);
    copy[size] = 0;
    node->text = copy;
    node->size = size;
    return node;
}

static void *read_array(const redisReadTask *task, array_size elements)
{
    struct resp_reader *reader = task->privdata;
    size_t n = (size_t)elements;
    struct reply *node;
    unsigned depth = 1;

    for (const redisReadTask *above = task->parent; above; above = above->parent)
        depth++;
    /* The least item takes three bytes, so what max_bytes cannot hold need not be waited for. */
    if (task->type != REDIS_REPLY_ARRAY || depth > REPLY_DEPTH_MAX || n > REPLY_ITEMS_MAX - reader->items ||
        n > (reader->max_bytes - reader->bytes) / 3)
        return refuse(task, LIBCACHE_EPROTOCOL);
    reader->items += n;
    if (!(node = node_for(task, REPLY_ARRAY)))
        return NULL;
    if (n) {
        node->items = arena_get(reader->out, n * sizeof *node);
        if (!node->items)
            return refuse(task, LIBCACHE_ENOMEM);
    }
    node->size = n;
    return node;
}

static void *read_integer(const redisReadTask *task, long long value)
{
    struct reply *node;

    if (task->type != REDIS_REPLY_INTEGER)
        return refuse(task, LIBCACHE_EPROTOCOL);
    node = node_for(task, REPLY_INTEGER);
    if (node)
        node->integer = value;
    return node;
}

/* RESP2's nil is a string or an array that is not there; a type of its own is RESP3. */
static void *read_nil(const redisReadTask *task)
{
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_ARRAY)
        return refuse(task, LIBCACHE_EPROTOCOL);
    return node_for(task, REPLY_NIL);
}

#if HIREDIS_MAJOR >= 1
/* These must be there: without them hiredis takes the type's number for an object. */
static void *read_double(const redisReadTask *task, double value, char *text, size_t size)
{
    (void)value, (void)text, (void)size;
    return refuse(task, LIBCACHE_EPROTOCOL);
}

static void *read_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse(task, LIBCACHE_EPROTOCOL);
}
#endif

static void free_nothing(void *object)
{
    (void)object; /* it is in the arena */
}

static redisReader *hiredis_new(struct resp_reader *reader)
{
    redisReader *hiredis = redisReaderCreateWithFunctions(&reader->functions);

    if (hiredis) {
        hiredis->maxbuf = 0;
        hiredis->privdata = reader;
    }
    return hiredis;
}

struct resp_reader *resp_reader_new(const libcache_allocator *allocator, size_t max_bytes)
{
    struct resp_reader *reader = memory_zero(allocator, sizeof *reader);

    if (!reader)
        return NULL;
    reader->allocator = allocator;
    reader->max_bytes = max_bytes;
    reader->functions.createString = read_string;
    reader->functions.createArray = read_array;
    reader->functions.createInteger = read_integer;
    reader->functions.createNil = read_nil;
#if HIREDIS_MAJOR >= 1
    reader->functions.createDouble = read_double;
    reader->functions.createBool = read_bool;
#endif
    reader->functions.freeObject = free_nothing;
    reader->hiredis = hiredis_new(reader);
    if (!reader->hiredis) {
        memory_free(allocator, reader);
        return NULL;
    }
    return reader;
}

void resp_reader_free(struct resp_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->hiredis);
    memory_free(reader->allocator, reader);
}

int resp_reader_empty(const struct resp_reader *reader)
{
    redisReader *hiredis = reader->hiredis;

    /* Asked in vain, hiredis has begun with an item of which it has not seen the first byte. */
    return hiredis->pos == hiredis->len &&
           (hiredis->ridx < 0 || (hiredis->ridx == 0 && current_task(hiredis)->type < 0));
}

int resp_reader_feed(struct resp_reader *reader, const char *bytes, size_t size)
{
    if (reader->most_held > KEEP_MAX_BYTES && resp_reader_empty(reader)) {
        redisReader *fresh = hiredis_new(reader);
        if (fresh) { /* else the large one is good enough */
            redisReaderFree(reader->hiredis);
            reader->hiredis = fresh;
            reader->most_held = 0;
        }
    }
    if (redisReaderFeed(reader->hiredis, bytes, size) != REDIS_OK)
        return LIBCACHE_ENOMEM;
    if (reader->hiredis->len > reader->most_held)
        reader->most_held = reader->hiredis->len;
    return LIBCACHE_OK;
}

/* The item that hiredis waits to be complete: may it be? */
static int judge_incomplete(const struct resp_reader *reader)
{
    const redisReader *hiredis = reader->hiredis;
    const char *line = hiredis->buf + hiredis->pos;
    size_t here = hiredis->len - hiredis->pos, announced = 0, i = 0;
    int type;

    if (hiredis->ridx < 0 || (type = current_task(hiredis)->type) < 0)
        return LIBCACHE_MISS; /* not even its first byte is here */
    if (type != REDIS_REPLY_STRING && type != REDIS_REPLY_ARRAY)
        return here > LINE_MAX_BYTES ? LIBCACHE_EPROTOCOL : LIBCACHE_MISS;
    for (; i < here && line[i] != '\r'; i++) {
        int is_digit = line[i] >= '0' && line[i] <= '9';
        if (i >= HEADER_MAX_BYTES || (is_digit && __builtin_mul_overflow(announced, 10, &announced)) ||
            (is_digit && __builtin_add_overflow(announced, (size_t)(line[i] - '0'), &announced)))
            return LIBCACHE_EPROTOCOL;
    }
    if (type == REDIS_REPLY_STRING && announced > reader->max_bytes - reader->bytes)
        return LIBCACHE_EPROTOCOL;
    return LIBCACHE_MISS;
}

int resp_reader_next(struct resp_reader *reader, struct replies *out)
{
    void *reply = NULL;

    if (replies_grow(out) != LIBCACHE_OK)
        return LIBCACHE_ENOMEM;
    reader->out = out;
    if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK) {
        if (reader->refusal)
            return reader->refusal;
        return reader->hiredis->err == REDIS_ERR_OOM ? LIBCACHE_ENOMEM : LIBCACHE_EPROTOCOL;
    }
    if (!reply)
        return judge_incomplete(reader);
    out->item[out->n++] = *(struct reply *)reply;
    reader->bytes = 0;
    reader->items = 0;
    return LIBCACHE_OK;
}

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

static int begins(const struct reply *reply, const char *text)
{
    size_t size = strlen(text);

    return reply->size >= size && memcmp(reply->text, text, size) == 0;
}

int reply_is_error(const struct reply *reply, const char *word)
{
    size_t size = strlen(word);

    return reply->kind == REPLY_ERROR && begins(reply, word) && (reply->size == size || reply->text[size] == ' ');
}

int reply_is_refusal(const struct reply *reply)
{
    return reply->kind == REPLY_ERROR && begins(reply, "ERR max number of clients");
}

int reply_result(const struct reply *reply)
{
    static const struct {
        const char *word;
        int result;
    } words[] = {
        { "LOADING", LIBCACHE_EUNAVAILABLE },
        { "MASTERDOWN", LIBCACHE_EUNAVAILABLE },
        { "BUSY", LIBCACHE_EUNAVAILABLE },
        { "READONLY", LIBCACHE_EUNAVAILABLE },
        { "TRYAGAIN", LIBCACHE_EUNAVAILABLE },
        { "CLUSTERDOWN", LIBCACHE_EUNAVAILABLE },
        { "NOAUTH", LIBCACHE_EDENIED },
        { "WRONGPASS", LIBCACHE_EDENIED },
        { "NOPERM", LIBCACHE_EDENIED },
        { "MOVED", LIBCACHE_EUNSUPPORTED },
        { "ASK", LIBCACHE_EUNSUPPORTED },
        { "CROSSSLOT", LIBCACHE_EUNSUPPORTED },
        { "ERR invalid password", LIBCACHE_EDENIED },
        { "ERR AUTH", LIBCACHE_EDENIED },
        { "ERR Client sent AUTH,", LIBCACHE_EDENIED },
    };

    if (reply->kind != REPLY_ERROR)
        return LIBCACHE_OK;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (reply_is_error(reply, words[i].word))
            return words[i].result;
    return reply_is_refusal(reply) ? LIBCACHE_EUNAVAILABLE : LIBCACHE_EREMOTE;
}
