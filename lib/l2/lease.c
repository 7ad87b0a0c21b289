/*
 * Leases of loads: by which one of all hosts loads. SPDX-License-Identifier: MIT
 *
 * They are taken in the exchange that reads the values and given back in the one that stores them (l2.c, store.c), for any number
 * of loads at once. A lease saves work and proves nothing: who has lost it (its time was up, Redis was restarted) loads on, and his
 * store is judged by stamps like any other. A host that dies keeps it until its time is up.
 */
#include "l2/l2_internal.h"

#include <string.h>

#define FIXED 8 /* of ARGV: fresh epoch, token, length of the log, what, ttl, soft ttl, grace, now */

/* Of one load. */
struct leased {
    struct data_name value, lease, waits;
    char ahead[DECIMAL_BYTES];
};

/* Of the call; loads, arguments and names for the log follow. */
struct leasing {
    unsigned char fresh[8], token[8];
    char keep[DECIMAL_BYTES], ttl[DECIMAL_BYTES], soft[DECIMAL_BYTES], grace[DECIMAL_BYTES], now[DECIMAL_BYTES];
};

/* The name by which who waits for it is woken. */
static struct name wake_of(const struct l2_lease *lease)
{
    return (struct name){ .kind = NAME_WAKE, .ns = lease->key.ns, .key = lease->key.key };
}

static size_t wake_size(const struct l2_lease *lease)
{
    const struct name name = wake_of(lease);

    return name_size(&name);
}

void *lease_call(struct l2 *l2, const struct l2_leases *leases, const char *what, struct script_call *call)
{
    size_t n = leases->n, argc = 3 + 2 + 3 * n + FIXED + 4 * n, names_bytes = 0;
    struct leasing *fixed;
    struct leased *one;
    libcache_slice *argv, *key, *arg;
    unsigned char *names;

    for (size_t i = 0; i < n; i++)
        names_bytes += wake_size(&leases->item[i]);
    argv = memory_get(l2->allocator, argc * sizeof *argv + n * sizeof *one + sizeof *fixed + names_bytes);
    if (!argv)
        return NULL;
    one = (struct leased *)(void *)(argv + argc);
    fixed = (struct leasing *)(void *)(one + n);
    names = (unsigned char *)(fixed + 1);
    argv[3] = l2->meta;
    argv[4] = l2->log;
    key = argv + 5;
    arg = key + 3 * n;
    *arg++ = slice_u64(fixed->fresh, l2_random(l2));
    *arg++ = slice_u64(fixed->token, l2_random(l2));
    *arg++ = slice_decimal(fixed->keep, l2->log_length);
    *arg++ = (libcache_slice){ what, strlen(what) };
    *arg++ = slice_decimal(fixed->ttl, leases->ttl_ms ? leases->ttl_ms : 1);
    *arg++ = slice_decimal(fixed->soft, leases->soft_ttl_ms);
    *arg++ = slice_decimal(fixed->grace, leases->grace_ms);
    *arg++ = slice_decimal(fixed->now, l2_redis_ms(l2));
    for (size_t i = 0; i < n; i++, one++) {
        const struct l2_lease *lease = &leases->item[i];
        const struct name name = wake_of(lease);
        name_data(&one->value, l2->prefix, lease->key.ns, lease->key.key);
        name_beside(&one->lease, l2->prefix, "lease", lease->key.ns, lease->key.key);
        name_beside(&one->waits, l2->prefix, "lease-waits", lease->key.ns, lease->key.key);
        *key++ = (libcache_slice){ one->value.bytes, one->value.size };
        *key++ = (libcache_slice){ one->lease.bytes, one->lease.size };
        *key++ = (libcache_slice){ one->waits.bytes, one->waits.size };
        name_write(names, &name);
        *arg++ = (libcache_slice){ lease->owner, L2_OWNER_BYTES };
        *arg++ = slice_decimal(one->ahead, lease->ahead_ms);
        *arg++ = (libcache_slice){ lease->waits ? "1" : "0", 1 };
        *arg++ = (libcache_slice){ names, name_size(&name) };
        names += name_size(&name);
    }
    *call = (struct script_call){ SCRIPT_LEASE, 2 + 3 * n, argc, argv };
    return argv;
}

void lease_answer(struct l2_leases *leases, const struct reply *answer)
{
    int code = read_answer(answer, 5, &leases->now);

    if (code < 0 || answer->items[4].kind != REPLY_STRING || answer->items[4].size != leases->n) {
        memset(&leases->now, 0, sizeof leases->now);
        return;
    }
    for (size_t i = 0; i < leases->n; i++) {
        char c = answer->items[4].text[i];
        leases->item[i].got = c == '1'   ? L2_LEASE_OURS
                              : c == '0' ? L2_LEASE_ANOTHERS
                              : c == '2' ? L2_LEASE_NEEDLESS
                                         : L2_LEASE_UNKNOWN;
    }
}
