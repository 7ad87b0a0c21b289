/*
 * Locks and rates: small keys with an end, outside of the cache's history. SPDX-License-Identifier: MIT
 *
 * A lock is what the application makes of it; as every lock with an end it is advisory once that has come.
 */
#include "l2/l2_internal.h"

#include <string.h>

int l2_lock(struct l2 *l2, const struct l2_lock *lock, enum l2_lock_step step, struct l2_lock_state *state, uint64_t deadline)
{
    static const char *const steps[] = { [L2_LOCK_TAKE] = "take", [L2_LOCK_KEEP] = "keep", [L2_LOCK_FREE] = "free",
                                         [L2_LOCK_BREAK] = "break", [L2_LOCK_LOOK] = "look" };
    const struct name name = { .kind = NAME_WAKE, .ns = lock->name.ns, .key = lock->name.key };
    struct data_name key, waits;
    unsigned char names[NAME_BYTES_MAX], fresh[8], token[8];
    char keep[DECIMAL_BYTES], ttl[DECIMAL_BYTES];
    libcache_slice argv[14];
    struct script_call call = { SCRIPT_LOCK, 4, 14, argv };
    struct script_answers answers;
    int code;

    memset(state, 0, sizeof *state);
    name_beside(&key, l2->prefix, "lock", lock->name.ns, lock->name.key);
    name_beside(&waits, l2->prefix, "lock-waits", lock->name.ns, lock->name.key);
    name_write(names, &name);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = (libcache_slice){ key.bytes, key.size };
    argv[6] = (libcache_slice){ waits.bytes, waits.size };
    argv[7] = slice_u64(fresh, l2_random(l2));
    argv[8] = slice_u64(token, l2_random(l2));
    argv[9] = slice_decimal(keep, l2->log_length);
    argv[10] = (libcache_slice){ names, name_size(&name) };
    argv[11] = (libcache_slice){ steps[step], strlen(steps[step]) };
    argv[12] = (libcache_slice){ lock->owner, L2_OWNER_BYTES };
    argv[13] = slice_decimal(ttl, lock->ttl_ms ? lock->ttl_ms : 1);
    script_answers_init(&answers, l2->allocator);
    code = script_run(l2->transport, &call, 1, 0, &answers, deadline);
    if (code == LIBCACHE_OK) {
        const struct reply *r = &answers.first.item[0];
        code = read_answer(r, 6, &state->now);
        if (code >= 0 && (r->items[4].kind != REPLY_STRING || r->items[5].kind != REPLY_INTEGER)) {
            code = LIBCACHE_EPROTOCOL;
        } else if (code >= 0) {
            if (r->items[4].size == L2_OWNER_BYTES)
                memcpy(state->owner, r->items[4].text, L2_OWNER_BYTES);
            state->left_ms = r->items[5].integer > 0 ? (uint64_t)r->items[5].integer : 0;
        }
    }
    script_answers_free(&answers);
    return code < 0 ? code : code ? LIBCACHE_OK : LIBCACHE_EXISTS;
}

int l2_rate(struct l2 *l2, const struct l2_key *name, uint64_t window_ms, uint64_t *count, uint64_t *left_ms, uint64_t deadline)
{
    struct data_name key;
    char window[DECIMAL_BYTES];
    libcache_slice argv[7];
    struct script_call call = { SCRIPT_RATE, 3, 7, argv };
    struct script_answers answers;
    int result;

    name_beside(&key, l2->prefix, "rate", name->ns, name->key);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = (libcache_slice){ key.bytes, key.size };
    argv[6] = slice_decimal(window, window_ms);
    script_answers_init(&answers, l2->allocator);
    result = script_run(l2->transport, &call, 1, 0, &answers, deadline);
    if (result == LIBCACHE_OK) {
        const struct reply *r = &answers.first.item[0];
        if (r->kind == REPLY_ERROR)
            result = reply_result(r);
        else if (r->kind != REPLY_ARRAY || r->size != 2 || !reply_decimal(&r->items[0], count) ||
                 !reply_decimal(&r->items[1], left_ms))
            result = LIBCACHE_EPROTOCOL;
    }
    script_answers_free(&answers);
    return result;
}
