/*
 * Opening the Redis tier, its greeting, and reading values and marks. SPDX-License-Identifier: MIT
 *
 * Redis's clock. Envelopes hold times of Redis's own clock, so that no two machines' clocks are ever compared. What it shows now is
 * estimated from when it was last seen (at each greeting and each reading of the log): no call needs a round trip for it.
 * The estimate is late by the answer's way back; when Redis is replaced by another machine, its greeting corrects it.
 */
#include "l2/l2_internal.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/platform.h"

#include <string.h>

#define KEYS_PER_COMMAND 512

libcache_slice slice_u64(unsigned char *bytes, uint64_t n)
{
    name_put_u64(bytes, n);
    return (libcache_slice){ bytes, 8 };
}

libcache_slice slice_decimal(char *bytes, uint64_t n)
{
    size_t at = DECIMAL_BYTES;

    do
        bytes[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return (libcache_slice){ bytes + at, DECIMAL_BYTES - at };
}

libcache_slice slice_ttl(char *bytes, uint64_t ttl_ms)
{
    return slice_decimal(bytes, ttl_ms == LIBCACHE_FOREVER ? 0 : ttl_ms ? ttl_ms : 1);
}

int reply_decimal(const struct reply *reply, uint64_t *out)
{
    uint64_t n = 0;

    if (reply->kind == REPLY_INTEGER && reply->integer >= 0) {
        *out = (uint64_t)reply->integer;
        return 1;
    }
    if (reply->kind != REPLY_STRING || reply->size < 1 || reply->size > 19)
        return 0;
    for (size_t i = 0; i < reply->size; i++) {
        unsigned digit = (unsigned)(unsigned char)reply->text[i] - '0';
        if (digit > 9)
            return 0;
        n = n * 10 + digit;
    }
    *out = n;
    return 1;
}

int reply_history(const struct reply *epoch, struct history *out)
{
    const struct reply *position = epoch + 1, *token = epoch + 2;

    if (epoch->kind == REPLY_NIL || position->kind == REPLY_NIL || token->kind == REPLY_NIL) {
        memset(out, 0, sizeof *out);
        return 1;
    }
    if (epoch->kind != REPLY_STRING || epoch->size != 8 || token->kind != REPLY_STRING || token->size != 8 ||
        !reply_decimal(position, &out->position) || out->position >= L2_POSITION_MAX)
        return 0;
    out->epoch = name_get_u64((const unsigned char *)epoch->text);
    out->token = name_get_u64((const unsigned char *)token->text);
    return out->epoch != 0;
}

uint64_t l2_random(const struct l2 *l2)
{
    uint64_t n;

    do
        n = l2->random(l2->random_arg);
    while (!n);
    return n;
}

static void see_clock(struct l2 *l2, uint64_t redis_ms, uint64_t now_ms)
{
    store_relaxed(&l2->clock_ahead_ms, redis_ms - now_ms);
}

uint64_t l2_redis_ms(const struct l2 *l2)
{
    return l2->clock_ms(l2->clock_arg) + load_relaxed(&l2->clock_ahead_ms);
}

/* ---- Greeting -------------------------------------------------------------------------------------------- */

static int greet(void *arg, struct request *request)
{
    struct l2 *l2 = arg;
    unsigned char fresh[8], token[8], epoch[8], known_token[8];
    char position[DECIMAL_BYTES];
    struct history known;
    libcache_slice argv[10];
    struct script_call call = { SCRIPT_HELLO, 2, 10, argv };

    memset(&known, 0, sizeof known);
    l2->known(l2->arg, &known);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = slice_u64(fresh, l2_random(l2));
    argv[6] = slice_u64(token, l2_random(l2));
    argv[7] = slice_u64(epoch, known.epoch);
    if (!known.epoch)
        argv[7].size = 0;
    argv[8] = slice_decimal(position, known.position);
    argv[9] = slice_u64(known_token, known.token);
    return script_add(request, &call, 1);
}

static int greeted(void *arg, const struct reply *replies, size_t n)
{
    struct l2 *l2 = arg;
    const struct reply *r = replies;
    struct history now;
    uint64_t how, ms, known = 0;

    if (n < 1)
        return LIBCACHE_EPROTOCOL;
    if (r->kind == REPLY_ERROR)
        return reply_result(r);
    if (r->kind != REPLY_ARRAY || r->size != 6 || !reply_decimal(&r->items[0], &how) || how < L2_GOES_ON ||
        how > L2_OTHER || !reply_history(&r->items[1], &now) || !now.epoch || !reply_decimal(&r->items[4], &ms) ||
        r->items[5].kind != REPLY_STRING || (r->items[5].size != 0 && r->items[5].size != 8))
        return LIBCACHE_EPROTOCOL;
    if (r->items[5].size)
        known = name_get_u64((const unsigned char *)r->items[5].text);
    see_clock(l2, ms, l2->clock_ms(l2->clock_arg));
    store_relaxed(&l2->told, 0); /* it may be another server, or one that was restarted */
    return l2->contact(l2->arg, &now, (enum l2_contact)how, known);
}

int l2_hello(struct l2 *l2, uint64_t deadline)
{
    struct request request;
    struct replies replies;
    int result;

    request_init(&request, l2->allocator);
    replies_init(&replies, l2->allocator);
    result = greet(l2, &request);
    if (result == LIBCACHE_OK)
        result = transport_exchange(l2->transport, &request, &replies, deadline, 0);
    if (result == LIBCACHE_OK)
        result = greeted(l2, replies.item, replies.n);
    replies_free(&replies);
    request_free(&request);
    return result;
}

/* ---- Opening ----------------------------------------------------------------------------------------------- */

static int prefix_ok(const char *prefix)
{
    size_t size = strlen(prefix);

    return size >= 1 && size <= PREFIX_MAX &&
           strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") == size;
}

static libcache_slice meta_name(char *to, const char *prefix, const char *what)
{
    size_t size = strlen(prefix), more = strlen(what);

    to[0] = '{';
    memcpy(to + 1, prefix, size + 1);
    to[size + 1] = '}';
    to[size + 2] = ':';
    memcpy(to + size + 3, what, more + 1);
    return (libcache_slice){ to, size + 3 + more };
}

int l2_open(struct l2 **out, const struct l2_options *options, libcache_error *error)
{
    const libcache_allocator *allocator = options->transport.allocator;
    struct transport_options transport = options->transport;
    struct l2 *l2;
    int result;

    if (!prefix_ok(options->prefix))
        return error_set(error, LIBCACHE_EINVAL, "redis_prefix \"%.80s\": must be 1 to %d of A-Z a-z 0-9 . _ - /",
                         options->prefix, PREFIX_MAX);
    l2 = memory_zero(allocator, sizeof *l2);
    if (!l2)
        return error_set(error, LIBCACHE_ENOMEM, "no memory for the Redis tier");
    memcpy(l2->prefix, options->prefix, strlen(options->prefix) + 1);
    l2->meta = meta_name(l2->names[0], l2->prefix, "meta");
    l2->log = meta_name(l2->names[1], l2->prefix, "log");
    l2->scratch = meta_name(l2->names[2], l2->prefix, "scratch");
    l2->log_length = options->log_length;
    l2->known = options->known;
    l2->contact = options->contact;
    l2->arg = options->arg;
    l2->clock_ms = transport.clock_ms;
    l2->clock_arg = transport.clock_arg;
    l2->random = transport.random;
    l2->random_arg = transport.random_arg;
    l2->allocator = allocator;
    transport.greet = greet;
    transport.greeted = greeted;
    transport.greet_arg = l2;
    result = transport_open(&l2->transport, &transport, error);
    if (result != LIBCACHE_OK) {
        memory_free(allocator, l2);
        return result;
    }
    *out = l2;
    return LIBCACHE_OK;
}

void l2_close(struct l2 *l2)
{
    if (!l2)
        return;
    transport_close(l2->transport);
    memory_free(l2->allocator, l2);
}

struct transport *l2_transport(struct l2 *l2)
{
    return l2->transport;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* One MGET of n names. */
static int add_mget(struct l2 *l2, struct request *request, const struct l2_key *keys, size_t n)
{
    size_t bytes = (n + 1) * sizeof(libcache_slice) + n * sizeof(struct data_name);
    libcache_slice *argv = memory_get(l2->allocator, bytes);
    struct data_name *names;
    int result;

    if (!argv)
        return LIBCACHE_ENOMEM;
    names = (struct data_name *)(void *)(argv + n + 1);
    argv[0] = (libcache_slice)LIBCACHE_STR("MGET");
    for (size_t i = 0; i < n; i++) {
        name_data(&names[i], l2->prefix, keys[i].ns, keys[i].key);
        argv[i + 1] = (libcache_slice){ names[i].bytes, names[i].size };
    }
    result = request_add(request, n + 1, argv);
    memory_free(l2->allocator, argv);
    return result;
}

static int add_get(struct l2 *l2, struct request *request, const struct l2_key *key)
{
    struct data_name name;
    libcache_slice argv[2] = { LIBCACHE_STR("GET"), { name.bytes, 0 } };

    name_data(&name, l2->prefix, key->ns, key->key);
    argv[1].size = name.size;
    return request_add(request, 2, argv);
}

/* The last answer is where the history stands; it is taken off. */
static void take_history(struct replies *out, struct history *now)
{
    const struct reply *r = &out->item[--out->n];

    if (r->kind != REPLY_ARRAY || r->size != 3 || !reply_history(r->items, now))
        memset(now, 0, sizeof *now);
}

/* The first answer is that of the leases; it is taken off. 0: the server did not know the script, so nothing was done. */
static int take_leases(struct replies *out, struct l2_leases *leases)
{
    if (reply_is_error(&out->item[0], "NOSCRIPT"))
        return 0;
    lease_answer(leases, &out->item[0]);
    out->n--;
    memmove(out->item, out->item + 1, out->n * sizeof *out->item);
    return 1;
}

/* What is asked of Redis, in this order: leases are taken before values are read. lease: NULL, or the call for them. */
static int add_gets(struct l2 *l2, struct request *request, const struct l2_key *keys, size_t n, const struct script_call *lease,
                    int whole, int history)
{
    const libcache_slice argv[] = { LIBCACHE_STR("HMGET"), l2->meta, LIBCACHE_STR("epoch"), LIBCACHE_STR("seq"),
                                    LIBCACHE_STR("token") };
    int result = lease ? script_add(request, lease, whole) : LIBCACHE_OK;

    if (n == 1 && result == LIBCACHE_OK)
        result = add_get(l2, request, keys);
    for (size_t from = 0; n > 1 && from < n && result == LIBCACHE_OK; from += KEYS_PER_COMMAND)
        result = add_mget(l2, request, keys + from, n - from < KEYS_PER_COMMAND ? n - from : KEYS_PER_COMMAND);
    return history && result == LIBCACHE_OK ? request_add(request, 5, argv) : result;
}

/* Asks, and once more with the whole script where the server does not know it. */
static int exchange_gets(struct l2 *l2, const struct l2_key *keys, size_t n, struct l2_leases *leases, int history,
                         struct replies *out, uint64_t deadline)
{
    struct request request;
    struct script_call call;
    void *memory = leases ? lease_call(l2, leases, "take", &call) : NULL;
    int result = leases && !memory ? LIBCACHE_ENOMEM : LIBCACHE_OK, done = 0;

    request_init(&request, l2->allocator);
    for (int whole = 0; whole < 2 && !done && result == LIBCACHE_OK; whole++) {
        replies_free(out);
        request_clear(&request);
        result = add_gets(l2, &request, keys, n, memory ? &call : NULL, whole, history);
        if (result == LIBCACHE_OK)
            result = transport_exchange(l2->transport, &request, out, deadline, EXCHANGE_REPEATABLE);
        done = !leases || (result == LIBCACHE_OK && take_leases(out, leases));
    }
    request_free(&request);
    memory_free(l2->allocator, memory);
    return result == LIBCACHE_OK && !done ? LIBCACHE_EPROTOCOL : result;
}

int l2_get(struct l2 *l2, const struct l2_key *keys, size_t n, struct history *now, struct l2_leases *leases, struct replies *out,
           uint64_t deadline)
{
    int result = exchange_gets(l2, keys, n, leases, now != NULL, out, deadline);

    if (result == LIBCACHE_OK && now)
        take_history(out, now);
    if (result == LIBCACHE_OK && n > 1)
        for (size_t i = 0; i < out->n; i++) {
            size_t here = n - i * KEYS_PER_COMMAND < KEYS_PER_COMMAND ? n - i * KEYS_PER_COMMAND : KEYS_PER_COMMAND;
            if (out->item[i].kind != REPLY_ERROR && (out->item[i].kind != REPLY_ARRAY || out->item[i].size != here))
                return LIBCACHE_EPROTOCOL;
        }
    return result;
}

/* The i-th value's answer, where one GET or several MGETs were asked. NULL: its command failed. */
static const struct reply *answer_of(const struct replies *replies, size_t i)
{
    const struct reply *r = &replies->item[replies->n > 1 ? i / KEYS_PER_COMMAND : 0];

    return r->kind == REPLY_ARRAY ? &r->items[i % KEYS_PER_COMMAND] : r;
}

int l2_found(struct l2 *l2, const struct replies *replies, size_t i, const struct l2_key *key, struct envelope *envelope)
{
    const struct reply *r = answer_of(replies, i);
    int result;

    (void)l2;
    if (r->kind == REPLY_NIL)
        return LIBCACHE_MISS;
    if (r->kind == REPLY_ERROR)
        return reply_is_error(r, "WRONGTYPE") ? LIBCACHE_EPROTOCOL : reply_result(r);
    if (r->kind != REPLY_STRING)
        return LIBCACHE_EPROTOCOL;
    result = envelope_read(envelope, r->text, r->size);
    if (result != LIBCACHE_OK)
        return result;
    if (envelope->ns.size != key->ns.size || envelope->key.size != key->key.size ||
        memcmp(envelope->ns.data, key->ns.data, key->ns.size) != 0 ||
        memcmp(envelope->key.data, key->key.data, key->key.size) != 0)
        return LIBCACHE_MISS; /* a long key with the same hash, or a value that somebody copied here */
    return LIBCACHE_HIT;
}

/* ---- Asking for marks ------------------------------------------------------------------------------------------ */

#define QUESTION_FIXED 7 /* HMGET, meta, epoch, seq, token, h, a; then the namespace and the tags */

static int add_question(struct l2 *l2, struct request *request, const struct l2_question *q)
{
    char space[FIELD_MAX];
    unsigned char tags[LIBCACHE_TAGS_MAX][9];
    libcache_slice argv[QUESTION_FIXED + 1 + LIBCACHE_TAGS_MAX] = {
        LIBCACHE_STR("HMGET"), l2->meta, LIBCACHE_STR("epoch"), LIBCACHE_STR("seq"), LIBCACHE_STR("token"),
        LIBCACHE_STR("h"), LIBCACHE_STR("a"), { space, q->ns.size + 1 }
    };

    space[0] = 'n';
    memcpy(space + 1, q->ns.data, q->ns.size);
    for (size_t i = 0; i < q->n_tags; i++) {
        tags[i][0] = 't';
        memcpy(tags[i] + 1, (const unsigned char *)q->tags + 8 * i, 8);
        argv[QUESTION_FIXED + 1 + i] = (libcache_slice){ tags[i], 9 };
    }
    return request_add(request, QUESTION_FIXED + 1 + q->n_tags, argv);
}

/* Whether the marks in the answer leave the entry valid. 0 or 1, or EPROTOCOL. */
static int answer_question(const struct reply *r, const struct l2_question *q, struct history *now)
{
    uint64_t horizon = 0;

    if (r->kind != REPLY_ARRAY || r->size != QUESTION_FIXED - 1 + q->n_tags || !reply_history(&r->items[0], now))
        return LIBCACHE_EPROTOCOL;
    if (!now->epoch || now->epoch != q->epoch || q->stamp > now->position)
        return 0;
    if (r->items[3].kind != REPLY_NIL && !reply_decimal(&r->items[3], &horizon))
        return LIBCACHE_EPROTOCOL;
    for (size_t i = 4; i < r->size; i++) {
        uint64_t mark = i > 5 ? horizon : 0; /* of a name that is not there: only tags are ever dropped */
        if (r->items[i].kind != REPLY_NIL && !reply_decimal(&r->items[i], &mark))
            return LIBCACHE_EPROTOCOL;
        if (mark > q->stamp)
            return 0;
    }
    return 1;
}

int l2_verify(struct l2 *l2, struct l2_question *questions, size_t n, struct history *now, uint64_t deadline)
{
    struct request request;
    struct replies replies;
    int result = LIBCACHE_OK;

    request_init(&request, l2->allocator);
    replies_init(&replies, l2->allocator);
    for (size_t i = 0; i < n && result == LIBCACHE_OK; i++)
        result = add_question(l2, &request, &questions[i]);
    if (result == LIBCACHE_OK)
        result = transport_exchange(l2->transport, &request, &replies, deadline, EXCHANGE_REPEATABLE);
    for (size_t i = 0; i < n && result == LIBCACHE_OK; i++) {
        struct history then = { 0, 0, 0 };
        int valid = replies.item[i].kind == REPLY_ERROR ? reply_result(&replies.item[i])
                                                        : answer_question(&replies.item[i], &questions[i], &then);
        if (valid < 0) {
            result = valid;
        } else {
            questions[i].valid = valid;
            if (i == 0)
                *now = then; /* the earliest: what is valid later was not invalidated before */
            else if (then.epoch != now->epoch)
                questions[i].valid = 0;
        }
    }
    replies_free(&replies);
    request_free(&request);
    return result;
}
