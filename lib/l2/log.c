/*
 * Reading the log, and keeping what it leaves behind small. SPDX-License-Identifier: MIT
 *
 * A reading is four commands in one exchange: the records after a position (waiting for the next one, when asked to), and then
 * Redis's clock, where the history stands, and how many marks there are. The records come first, so that a wait that ends is one
 * wake-up; where the history stands comes after them, because a log that was begun anew meanwhile, with low positions,
 * wakes nobody who waits for a higher one.
 */
#include "l2/l2_internal.h"

#include "base/platform.h"

#include <string.h>

int l2_log_request(struct l2 *l2, struct request *request, uint64_t after, unsigned count, unsigned block_ms)
{
    const libcache_slice now[] = { LIBCACHE_STR("TIME") };
    const libcache_slice history[] = { LIBCACHE_STR("HMGET"), l2->meta, LIBCACHE_STR("epoch"), LIBCACHE_STR("seq"),
                                       LIBCACHE_STR("token") };
    const libcache_slice marks[] = { LIBCACHE_STR("HLEN"), l2->meta };
    char count_digits[DECIMAL_BYTES], block_digits[DECIMAL_BYTES], after_digits[DECIMAL_BYTES];
    libcache_slice read[8] = { LIBCACHE_STR("XREAD"), LIBCACHE_STR("COUNT"), slice_decimal(count_digits, count) };
    size_t argc = 3;
    int result;

    if (block_ms) {
        read[argc++] = (libcache_slice)LIBCACHE_STR("BLOCK");
        read[argc++] = slice_decimal(block_digits, block_ms);
    }
    read[argc++] = (libcache_slice)LIBCACHE_STR("STREAMS");
    read[argc++] = l2->log;
    read[argc++] = slice_decimal(after_digits, after);
    result = request_add(request, argc, read);
    if (result == LIBCACHE_OK)
        result = request_add(request, 1, now);
    if (result == LIBCACHE_OK)
        result = request_add(request, 5, history);
    if (result == LIBCACHE_OK)
        result = request_add(request, 2, marks);
    return result;
}

/* Redis's TIME: seconds and microseconds. */
static int read_time(const struct reply *r, uint64_t *ms)
{
    uint64_t s, us;

    if (r->kind != REPLY_ARRAY || r->size != 2 || !reply_decimal(&r->items[0], &s) || !reply_decimal(&r->items[1], &us) ||
        s > UINT64_MAX / 2000)
        return 0;
    *ms = s * 1000 + us / 1000;
    return 1;
}

int l2_log_page(struct l2 *l2, const struct replies *replies, uint64_t answered_ms, struct log_page *out)
{
    const struct reply *r = replies->item, *log = r;
    uint64_t ms;

    if (replies->n != 4)
        return LIBCACHE_EPROTOCOL;
    for (int i = 0; i < 4; i++)
        if (r[i].kind == REPLY_ERROR)
            return reply_result(&r[i]);
    memset(out, 0, sizeof *out);
    if (!read_time(&r[1], &ms) || r[2].kind != REPLY_ARRAY || r[2].size != 3 || !reply_history(&r[2].items[0], &out->then) ||
        !reply_decimal(&r[3], &out->marks))
        return LIBCACHE_EPROTOCOL;
    store_relaxed(&l2->clock_ahead_ms, ms - answered_ms);
    if (log->kind == REPLY_NIL)
        return LIBCACHE_OK;
    if (log->kind != REPLY_ARRAY || log->size != 1 || log->items[0].kind != REPLY_ARRAY || log->items[0].size != 2 ||
        log->items[0].items[1].kind != REPLY_ARRAY)
        return LIBCACHE_EPROTOCOL;
    out->records = log->items[0].items[1].items;
    out->n = log->items[0].items[1].size;
    return LIBCACHE_OK;
}

/* "POSITION-0". */
static int read_id(const struct reply *r, uint64_t *position)
{
    struct reply digits = *r;

    if (r->kind != REPLY_STRING || r->size < 3 || memcmp(r->text + r->size - 2, "-0", 2) != 0)
        return 0;
    digits.size -= 2;
    return reply_decimal(&digits, position) && *position < L2_POSITION_MAX;
}

int l2_log_record(const struct reply *record, struct log_record *out)
{
    const struct reply *f;

    if (record->kind != REPLY_ARRAY || record->size != 2 || !read_id(&record->items[0], &out->position) ||
        record->items[1].kind != REPLY_ARRAY || record->items[1].size != 6)
        return LIBCACHE_EPROTOCOL;
    f = record->items[1].items;
    for (int i = 0; i < 6; i++)
        if (f[i].kind != REPLY_STRING || (i % 2 == 0 && (f[i].size != 1 || f[i].text[0] != "c.t.n"[i])))
            return LIBCACHE_EPROTOCOL;
    if (f[1].size != 8 || f[3].size != 8)
        return LIBCACHE_EPROTOCOL;
    out->previous_token = name_get_u64((const unsigned char *)f[1].text);
    out->token = name_get_u64((const unsigned char *)f[3].text);
    out->names = (const unsigned char *)f[5].text;
    out->names_size = f[5].size;
    return LIBCACHE_OK;
}

int l2_prune(struct l2 *l2, uint64_t keep, uint64_t *cursor, uint64_t deadline)
{
    char keep_digits[DECIMAL_BYTES], cursor_digits[DECIMAL_BYTES];
    libcache_slice argv[7];
    struct script_call call = { SCRIPT_PRUNE, 2, 7, argv };
    struct script_answers answers;
    uint64_t next = 0;
    int result;

    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = slice_decimal(keep_digits, keep);
    argv[6] = slice_decimal(cursor_digits, *cursor);
    script_answers_init(&answers, l2->allocator);
    result = script_run(l2->transport, &call, 1, 0, &answers, deadline);
    if (result == LIBCACHE_OK) {
        const struct reply *r = &answers.first.item[0];
        if (r->kind == REPLY_ERROR)
            result = reply_result(r);
        else if (!reply_decimal(r, &next))
            result = LIBCACHE_EPROTOCOL;
    }
    *cursor = result == LIBCACHE_OK ? next : 0;
    script_answers_free(&answers);
    return result;
}
