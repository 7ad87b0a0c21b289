/*
 * The lease of a load among hosts: one key with an owner and an end. SPDX-License-Identifier: MIT
 *
 * It saves work and proves nothing: who has lost it (its time was up, Redis was restarted) loads on, and his store is judged by stamps
 * like any other. Who waits leaves a note, and is woken by a name in the log, which his host reads anyway: nobody polls,
 * and nobody is told where nobody waits.
 */
#include "l2/l2_internal.h"

#include <string.h>

int l2_lease(struct l2 *l2, const struct l2_key *key, uint64_t owner, uint64_t lease_ms, uint64_t deadline)
{
    struct data_name lease, waits;
    unsigned char owner_bytes[8];
    char ms[DECIMAL_BYTES];
    libcache_slice argv[9];
    struct script_call call = { SCRIPT_LEASE, 4, 9, argv };
    struct script_answers answers;
    uint64_t code = 0;
    int result;

    name_beside(&lease, l2->prefix, "lease", key->ns, key->key);
    name_beside(&waits, l2->prefix, "waits", key->ns, key->key);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = (libcache_slice){ lease.bytes, lease.size };
    argv[6] = (libcache_slice){ waits.bytes, waits.size };
    argv[7] = slice_u64(owner_bytes, owner);
    argv[8] = slice_decimal(ms, lease_ms);
    script_answers_init(&answers, l2->allocator);
    result = script_run(l2->transport, &call, 1, &answers, deadline);
    if (result == LIBCACHE_OK) {
        const struct reply *r = &answers.first.item[0];
        if (r->kind == REPLY_ERROR)
            result = reply_result(r);
        else if (r->kind != REPLY_ARRAY || r->size != 1 || !reply_decimal(&r->items[0], &code))
            result = LIBCACHE_EPROTOCOL;
        else
            result = code == 1 ? LIBCACHE_OK : LIBCACHE_EXISTS;
    }
    script_answers_free(&answers);
    return result;
}

int l2_release(struct l2 *l2, const struct l2_key *key, uint64_t owner, struct history *now, uint64_t deadline)
{
    const struct name name = { .kind = NAME_WAKE, .ns = key->ns, .key = key->key };
    struct data_name lease, waits;
    unsigned char names[NAME_BYTES_MAX], owner_bytes[8], fresh[8], token[8];
    char keep[DECIMAL_BYTES];
    libcache_slice argv[12];
    struct script_call call = { SCRIPT_RELEASE, 4, 12, argv };
    struct script_answers answers;
    int result;

    name_beside(&lease, l2->prefix, "lease", key->ns, key->key);
    name_beside(&waits, l2->prefix, "waits", key->ns, key->key);
    name_write(names, &name);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    argv[5] = (libcache_slice){ lease.bytes, lease.size };
    argv[6] = (libcache_slice){ waits.bytes, waits.size };
    argv[7] = slice_u64(fresh, l2_random(l2));
    argv[8] = slice_u64(token, l2_random(l2));
    argv[9] = slice_decimal(keep, l2->log_length);
    argv[10] = (libcache_slice){ names, name_size(&name) };
    argv[11] = slice_u64(owner_bytes, owner);
    script_answers_init(&answers, l2->allocator);
    result = script_run(l2->transport, &call, 1, &answers, deadline);
    if (result == LIBCACHE_OK)
        result = read_answer(&answers.first.item[0], 4, now);
    script_answers_free(&answers);
    return result < 0 ? result : LIBCACHE_OK;
}
