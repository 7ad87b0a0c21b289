/*
 * The protocol: commands out, answers in, as bytes. Knows nothing of sockets. Everything that differs between hiredis
 * 0.14 and 1.x is in resp.c. SPDX-License-Identifier: MIT
 */
#ifndef L2_RESP_H
#define L2_RESP_H
#include "base/memory.h"
#include "libcache.h"

/* ---- Commands, formatted ---------------------------------------------------------------------------- */

/* One or several commands, sent together and answered in order. Reusable: request_clear keeps the memory. */
struct request {
    char *bytes;
    size_t size, capacity;
    size_t commands;
    const libcache_allocator *allocator;
};

void request_init(struct request *request, const libcache_allocator *allocator);
void request_clear(struct request *request);
void request_free(struct request *request);

/* OK or ENOMEM (then the request is as it was). */
int request_add(struct request *request, size_t argc, const libcache_slice *argv);

/* ---- Answers ---------------------------------------------------------------------------------------- */

enum reply_kind { REPLY_NIL, REPLY_STRING, REPLY_STATUS, REPLY_ERROR, REPLY_INTEGER, REPLY_ARRAY };

struct reply {
    enum reply_kind kind;
    int64_t integer;            /* REPLY_INTEGER */
    const char *text;           /* STRING, STATUS, ERROR; may hold zeroes; a zero follows it */
    size_t size;                /* of text, or number of items */
    const struct reply *items;  /* ARRAY */
};

/* The answers to one request; all memory is its own. */
struct replies {
    struct reply *item;
    size_t n, room;
    struct arena *arena;
    const libcache_allocator *allocator;
};

void replies_init(struct replies *replies, const libcache_allocator *allocator);
void replies_free(struct replies *replies);   /* and usable again */

/* ---- The reader --------------------------------------------------------------------------------------- */

#define REPLY_DEPTH_MAX 6      /* arrays in arrays: XREAD answers with five */
#define REPLY_ITEMS_MAX 1048576u /* of one answer in all */

struct resp_reader;

/* max_bytes: of one answer, at most; what announces more is refused when its header is read. NULL: no memory. */
struct resp_reader *resp_reader_new(const libcache_allocator *allocator, size_t max_bytes);
void resp_reader_free(struct resp_reader *reader);

/* Bytes from the socket. OK, ENOMEM or EPROTOCOL; after an error only resp_reader_free is allowed. */
int resp_reader_feed(struct resp_reader *reader, const char *bytes, size_t size);

/*
 * The next whole answer goes to out->item[n++]. OK, MISS (more bytes are wanted), EPROTOCOL or ENOMEM. After MISS it goes on
 * with the same out, where the part that has been read already is.
 */
int resp_reader_next(struct resp_reader *reader, struct replies *out);

/* 1 when no byte is left over: nothing was sent that nobody asked for. */
int resp_reader_empty(const struct resp_reader *reader);

/*
 * What an error answer means. EUNAVAILABLE: LOADING, MASTERDOWN, BUSY, READONLY, TRYAGAIN, CLUSTERDOWN, max clients;
 * EDENIED: NOAUTH, WRONGPASS, NOPERM, ERR invalid password, ERR AUTH ...; EUNSUPPORTED: MOVED, ASK, CROSSSLOT (a cluster);
 * EREMOTE: the others (OOM, MISCONF, NOREPLICAS, NOSCRIPT, WRONGTYPE ...). OK when it is no error.
 */
int reply_result(const struct reply *reply);

/* 1 when it is an error whose text begins with this word ("NOSCRIPT"). */
int reply_is_error(const struct reply *reply, const char *word);

/* 1 when it is what a server with too many clients says before it has read anything, and then closes. */
int reply_is_refusal(const struct reply *reply);

#endif
