/*
 * What changes Redis, but for storing (store.c): by scripts, one step each on the server. SPDX-License-Identifier: MIT
 *
 * An answer begins with a code, then epoch, position and token of the history afterwards. None of these is sent a second
 * time when its connection dies: what came of it is unknown then, and the caller is told so.
 */
#include "l2/l2_internal.h"

#include "base/decimal.h"

#include <string.h>

enum { CODE_NO, CODE_YES, CODE_NOT_A_COUNTER, CODE_OVERFLOW = 4 };

int read_answer(const struct reply *r, size_t least, struct history *now)
{
    uint64_t code;

    if (r->kind == REPLY_ERROR)
        return reply_result(r);
    if (r->kind != REPLY_ARRAY || r->size < least || !reply_decimal(&r->items[0], &code) || code > INT32_MAX ||
        !reply_history(&r->items[1], now))
        return LIBCACHE_EPROTOCOL;
    return (int)code;
}

/* ---- What several scripts take ------------------------------------------------------------------------------ */

/* Arguments of a change of one key, and the memory they need. */
struct change {
    unsigned char fresh[8], token[8];
    char keep[DECIMAL_BYTES], ttl[DECIMAL_BYTES], slot[FIELD_MAX];
    struct data_name data;
    libcache_slice argv[12];
};

/* Fills argv[3..9]: meta, log, key, fresh epoch, token, length of the log, names. `names` has NAME_BYTES_MAX. */
static void begin_change(struct l2 *l2, struct change *c, const struct l2_key *key, int quiet, unsigned char *names)
{
    const struct name name = { .kind = NAME_KEY, .ns = key->ns, .key = key->key };

    if (!quiet)
        name_write(names, &name);
    name_data(&c->data, l2->prefix, key->ns, key->key);
    c->argv[3] = l2->meta;
    c->argv[4] = l2->log;
    c->argv[5] = (libcache_slice){ c->data.bytes, c->data.size };
    c->argv[6] = slice_u64(c->fresh, l2_random(l2));
    c->argv[7] = slice_u64(c->token, l2_random(l2));
    c->argv[8] = slice_decimal(c->keep, l2->log_length);
    c->argv[9] = (libcache_slice){ names, quiet ? 0 : name_size(&name) };
}

static libcache_slice slot_slice(char *bytes, const struct l2_key *key)
{
    return (libcache_slice){ bytes, name_slot_field(bytes, key->ns, key->key) };
}

/* ---- Invalidating ----------------------------------------------------------------------------------------------- */

/* How much memory the arguments take. */
static size_t invalidate_bytes(const struct name *names, size_t n, size_t *blob, size_t *keys)
{
    *blob = *keys = 0;
    for (size_t i = 0; i < n; i++) {
        *blob += name_size(&names[i]);
        *keys += names[i].kind == NAME_KEY;
    }
    return (5 + 4 + n + *keys) * sizeof(libcache_slice) + *keys * sizeof(struct data_name) + n * FIELD_MAX + *blob;
}

static size_t field_of(char *field, const struct name *name)
{
    switch (name->kind) {
    case NAME_SPACE:
        field[0] = 'n';
        memcpy(field + 1, name->ns.data, name->ns.size);
        return name->ns.size + 1;
    case NAME_TAG:
        field[0] = 't';
        name_put_u64((unsigned char *)field + 1, name->tag);
        return 9;
    case NAME_KEY:
        return name_slot_field(field, name->ns, name->key);
    case NAME_WAKE: /* never marked */
    case NAME_ALL:
        break;
    }
    field[0] = 'a';
    return 1;
}

/* Which of the names were keys with a value: one character a key. 0: not what was asked for. */
static int read_gone(const struct reply *r, const struct name *names, size_t n, size_t n_keys, unsigned char *gone)
{
    if (r->size < 5 || r->items[4].kind != REPLY_STRING || r->items[4].size != n_keys)
        return 0;
    for (size_t i = 0, key = 0; gone && i < n; i++)
        gone[i] = names[i].kind == NAME_KEY && r->items[4].text[key++] == '1';
    return 1;
}

int l2_invalidate(struct l2 *l2, const struct name *names, size_t n, unsigned char *gone, struct history *now, uint64_t deadline)
{
    size_t blob_size, n_keys, bytes = invalidate_bytes(names, n, &blob_size, &n_keys);
    libcache_slice *argv = memory_get(l2->allocator, bytes), *key, *rest;
    unsigned char fresh[8], token[8], *blob;
    char keep[DECIMAL_BYTES], *field;
    struct data_name *data;
    struct script_call call;
    struct script_answers answers;
    int result;

    if (!argv)
        return LIBCACHE_ENOMEM;
    data = (struct data_name *)(void *)(argv + 5 + 4 + n + n_keys);
    field = (char *)(data + n_keys);
    blob = (unsigned char *)field + n * FIELD_MAX;
    argv[3] = l2->meta;
    argv[4] = l2->log;
    key = argv + 5;
    rest = key + n_keys;
    rest[0] = slice_u64(fresh, l2_random(l2));
    rest[1] = slice_u64(token, l2_random(l2));
    rest[2] = slice_decimal(keep, l2->log_length);
    rest[3] = (libcache_slice){ blob, blob_size };
    for (size_t i = 0; i < n; i++, field += FIELD_MAX) {
        name_write(blob, &names[i]);
        blob += name_size(&names[i]);
        rest[4 + i] = (libcache_slice){ field, field_of(field, &names[i]) };
        if (names[i].kind == NAME_KEY) {
            name_data(data, l2->prefix, names[i].ns, names[i].key);
            *key++ = (libcache_slice){ data->bytes, data->size };
            data++;
        }
    }
    call = (struct script_call){ SCRIPT_INVALIDATE, 2 + n_keys, 5 + n_keys + 4 + n, argv };
    script_answers_init(&answers, l2->allocator);
    result = script_run(l2->transport, &call, 1, 0, &answers, deadline);
    if (result == LIBCACHE_OK) {
        int code = read_answer(&answers.first.item[0], 4, now);
        if (code < 0)
            result = code;
        else if (!read_gone(&answers.first.item[0], names, n, n_keys, gone))
            result = LIBCACHE_EPROTOCOL;
    }
    script_answers_free(&answers);
    memory_free(l2->allocator, argv);
    return result;
}

int l2_forget(struct l2 *l2, const struct l2_key *key, size_t *gone, uint64_t deadline)
{
    struct data_name name;
    libcache_slice argv[2] = { LIBCACHE_STR("UNLINK"), { name.bytes, 0 } };
    struct request request;
    struct replies replies;
    uint64_t n = 0;
    int result;

    name_data(&name, l2->prefix, key->ns, key->key);
    argv[1].size = name.size;
    request_init(&request, l2->allocator);
    replies_init(&replies, l2->allocator);
    result = request_add(&request, 2, argv);
    if (result == LIBCACHE_OK)
        result = transport_exchange(l2->transport, &request, &replies, deadline, EXCHANGE_REPEATABLE);
    if (result == LIBCACHE_OK)
        result = replies.item[0].kind == REPLY_ERROR ? reply_result(&replies.item[0])
                 : reply_decimal(&replies.item[0], &n) ? LIBCACHE_OK : LIBCACHE_EPROTOCOL;
    *gone = (size_t)n;
    replies_free(&replies);
    request_free(&request);
    return result;
}

/* ---- Touching and counting ------------------------------------------------------------------------------------------ */

/* Runs one call. The code of its answer, which has at least four items, or an error. `digits` of 24 bytes gets a fifth. */
static int run_one(struct l2 *l2, const struct script_call *call, struct history *now, char *digits, uint64_t deadline)
{
    struct script_answers answers;
    int code;

    script_answers_init(&answers, l2->allocator);
    code = script_run(l2->transport, call, 1, 0, &answers, deadline);
    if (code == LIBCACHE_OK) {
        const struct reply *r = &answers.first.item[0];
        code = read_answer(r, 4, now);
        if (digits && code == CODE_YES) {
            if (r->size < 5 || r->items[4].kind != REPLY_STRING || r->items[4].size < 1 || r->items[4].size > 20)
                code = LIBCACHE_EPROTOCOL;
            else
                memcpy(digits, r->items[4].text, r->items[4].size + 1);
        }
    }
    script_answers_free(&answers);
    return code;
}

int l2_touch(struct l2 *l2, const struct l2_key *key, uint64_t ttl_ms, int quiet, struct history *now, uint64_t deadline)
{
    unsigned char names[NAME_BYTES_MAX];
    struct change c;
    struct script_call call = { SCRIPT_TOUCH, 3, 11, c.argv };
    int code;

    begin_change(l2, &c, key, quiet, names);
    c.argv[10] = slice_ttl(c.ttl, ttl_ms);
    code = run_one(l2, &call, now, NULL, deadline);
    return code < 0 ? code : code == CODE_YES ? LIBCACHE_OK : LIBCACHE_MISS;
}

/*
 * Something is there that is no counter: when it is a decimal text, makes a counter of it, if nobody else changes it
 * meanwhile. OK: try again; MISS: it was changed, try again; ENUMBER; or an error.
 */
static int make_counter(struct l2 *l2, const struct l2_key *key, int quiet, struct history *now, uint64_t deadline)
{
    unsigned char names[NAME_BYTES_MAX], *packed;
    struct replies replies;
    struct envelope e;
    struct change c;
    struct script_call call = { SCRIPT_REPLACE, 3, 13, c.argv };
    libcache_slice argv[13];
    int64_t number = 0;
    int result;

    memset(&e, 0, sizeof e);
    replies_init(&replies, l2->allocator);
    result = l2_get(l2, key, 1, NULL, NULL, &replies, deadline);
    if (result == LIBCACHE_OK)
        result = l2_found(l2, &replies, 0, key, &e);
    if (result == LIBCACHE_HIT) {
        char text[COUNTER_DIGITS];
        result = e.flags & (ENVELOPE_COUNTER | ENVELOPE_NEGATIVE) ? LIBCACHE_MISS : LIBCACHE_ENUMBER;
        if (!e.flags && decimal_read(e.payload.data, e.payload.size, &number)) {
            struct envelope counter = e;
            unsigned char payload[COUNTER_BYTES];
            counter_pack(payload, text, decimal_write(text, number));
            counter.flags = ENVELOPE_COUNTER;
            counter.payload = (libcache_slice){ payload, sizeof payload };
            counter.value_size = sizeof payload;
            packed = memory_get(l2->allocator, envelope_size(&counter));
            result = LIBCACHE_ENOMEM;
            if (packed) {
                envelope_pack(&counter, packed);
                begin_change(l2, &c, key, quiet, names);
                memcpy(argv, c.argv, sizeof c.argv);
                call.argv = argv;
                argv[10] = slot_slice(c.slot, key);
                argv[11] = (libcache_slice){ replies.item[0].text, ENVELOPE_SCRIPT_BYTES + 8 };
                argv[12] = (libcache_slice){ packed, envelope_size(&counter) };
                result = run_one(l2, &call, now, NULL, deadline);
                result = result < 0 ? result : result == CODE_YES ? LIBCACHE_OK : LIBCACHE_MISS;
                memory_free(l2->allocator, packed);
            }
        }
    }
    replies_free(&replies);
    return result == LIBCACHE_EPROTOCOL ? LIBCACHE_ENUMBER : result;
}

#define COUNTER_TRIES 8

int l2_increment(struct l2 *l2, const struct l2_key *key, const struct envelope *envelope, uint64_t ttl_ms, int64_t delta,
                 int subtract, int quiet, int64_t *out, struct history *now, uint64_t deadline)
{
    unsigned char names[NAME_BYTES_MAX], no_number[COUNTER_BYTES], *packed;
    char number[24], text[24] = "";
    struct envelope counter = *envelope;
    size_t size;
    int result = LIBCACHE_MISS;

    memset(no_number, 0, sizeof no_number);
    counter.flags = ENVELOPE_COUNTER;
    counter.payload = (libcache_slice){ no_number, sizeof no_number };
    counter.value_size = sizeof no_number;
    size = envelope_size(&counter) - COUNTER_BYTES; /* the script adds the number */
    packed = memory_get(l2->allocator, size + COUNTER_BYTES);
    if (!packed)
        return LIBCACHE_ENOMEM;
    envelope_pack(&counter, packed);
    for (int i = 0; i < COUNTER_TRIES && (result == LIBCACHE_MISS || result == LIBCACHE_OK); i++) {
        struct change c;
        libcache_slice args[16];
        struct script_call call = { SCRIPT_INCREMENT, 4, 16, args };
        begin_change(l2, &c, key, quiet, names);
        memcpy(args, c.argv, 6 * sizeof *args);
        args[6] = l2->scratch;
        memcpy(args + 7, c.argv + 6, 4 * sizeof *args);
        args[11] = slot_slice(c.slot, key);
        args[12] = slice_ttl(c.ttl, ttl_ms);
        args[13] = (libcache_slice){ number, decimal_write(number, delta) };
        args[14] = (libcache_slice){ subtract ? "1" : "0", 1 };
        args[15] = (libcache_slice){ packed, size };
        result = run_one(l2, &call, now, text, deadline);
        if (result == CODE_YES) {
            result = decimal_read(text, strlen(text), out) ? LIBCACHE_OK : LIBCACHE_EPROTOCOL;
            break;
        }
        if (result == CODE_OVERFLOW)
            result = LIBCACHE_EOVERFLOW;
        else if (result == CODE_NOT_A_COUNTER)
            result = make_counter(l2, key, quiet, now, deadline);
        else if (result >= 0)
            result = LIBCACHE_EPROTOCOL;
        if (result == LIBCACHE_OK && i == COUNTER_TRIES - 1)
            result = LIBCACHE_MISS;
    }
    memory_free(l2->allocator, packed);
    return result == LIBCACHE_MISS ? LIBCACHE_EBUSY : result;
}
