/*
 * Storing values, any number in one exchange. SPDX-License-Identifier: MIT
 *
 * Neighbours that are stored the same way go in one call of a script, so that what a call costs is paid once for all of them: the
 * script that sets them gives them one position and one record in the log, the one that fills them reads all their key slots at
 * once. A call is one step on the server, so it is kept short: GROUP_ITEMS and GROUP_BYTES.
 *
 * A lease is given back after its value was stored, and in the same exchange; so neither may be left over for a second one because the
 * server did not know its script: the first time on a new connection the texts are sent along.
 *
 * The answer begins as change.c says. A call whose connection died is not repeated.
 */
#include "l2/l2_internal.h"

#include "base/platform.h"

#include <string.h>

#define GROUP_ITEMS 64u
#define GROUP_BYTES (128u << 10) /* of values; one that is larger goes alone */
#define FIXED 5u                 /* arguments of a call, before those of its items ... */
#define EACH 4u                  /* ... and of each item, at most */

/* How many of the items, from the first, go in one call. */
static size_t group_of(const struct l2_store *items, size_t n)
{
    size_t bytes = envelope_size(items->envelope), m = 1;

    while (items->how != L2_ADD && m < n && m < GROUP_ITEMS) {
        const struct l2_store *next = &items[m];
        bytes += envelope_size(next->envelope);
        if (bytes > GROUP_BYTES || next->how != items->how || next->quiet != items->quiet ||
            (next->how == L2_FILL && next->since.epoch != items->since.epoch))
            break;
        m++;
    }
    return m;
}

/* Of one item. */
struct stored {
    struct data_name data;
    char stamp[DECIMAL_BYTES], ttl[DECIMAL_BYTES], slot[FIELD_MAX];
};

/* Of one call. */
struct group {
    struct script_call call;
    size_t n;
    unsigned char fresh[8], token[8]; /* fresh: of a fill, the epoch of its loads */
    char keep[DECIMAL_BYTES];
};

/* All memory that a store needs, in one piece. */
struct storage {
    struct group *groups;
    struct stored *stored;
    libcache_slice *argv;
    unsigned char *bytes; /* envelopes and names */
};

static struct name name_of(const struct l2_store *item)
{
    return (struct name){ .kind = NAME_KEY, .ns = item->key.ns, .key = item->key.key };
}

static void *make_storage(struct l2 *l2, const struct l2_store *items, size_t n, size_t groups, struct storage *s)
{
    size_t argc = groups * (3 + 2 + FIXED) + n * (1 + EACH), bytes = 0;

    for (size_t i = 0; i < n; i++) {
        const struct name name = name_of(&items[i]);
        bytes += envelope_size(items[i].envelope) + (items[i].how == L2_FILL ? 0 : name_size(&name));
    }
    s->groups = memory_get(l2->allocator,
                           groups * sizeof *s->groups + argc * sizeof *s->argv + n * sizeof *s->stored + bytes + 1);
    if (!s->groups)
        return NULL;
    s->argv = (libcache_slice *)(void *)(s->groups + groups);
    s->stored = (struct stored *)(void *)(s->argv + argc);
    s->bytes = (unsigned char *)(s->stored + n);
    return s->groups;
}

/* What a change is told with: names for the log, one after the other; none when nobody is told. */
static libcache_slice names_of(const struct l2_store *items, size_t n, struct storage *s)
{
    unsigned char *begin = s->bytes;

    for (size_t i = 0; i < n && !items->quiet; i++) {
        const struct name name = name_of(&items[i]);
        name_write(s->bytes, &name);
        s->bytes += name_size(&name);
    }
    return (libcache_slice){ begin, (size_t)(s->bytes - begin) };
}

static void make_call(struct l2 *l2, struct group *g, const struct l2_store *items, struct storage *s)
{
    int fills = items->how == L2_FILL;
    libcache_slice *key = s->argv + 5, *arg = key + g->n;

    g->call = (struct script_call){ fills ? SCRIPT_FILL : SCRIPT_SET, 2 + g->n, 0, s->argv };
    s->argv[3] = l2->meta;
    s->argv[4] = l2->log;
    if (fills) {
        *arg++ = slice_u64(g->fresh, items->since.epoch);
    } else {
        *arg++ = slice_u64(g->fresh, l2_random(l2));
        *arg++ = slice_u64(g->token, l2_random(l2));
        *arg++ = slice_decimal(g->keep, l2->log_length);
        *arg++ = names_of(items, g->n, s);
        *arg++ = (libcache_slice){ items->how == L2_ADD ? "1" : "0", 1 };
    }
    for (size_t i = 0; i < g->n; i++) {
        const struct l2_store *item = &items[i];
        struct stored *one = s->stored++;
        size_t size = envelope_size(item->envelope);
        name_data(&one->data, l2->prefix, item->key.ns, item->key.key);
        *key++ = (libcache_slice){ one->data.bytes, one->data.size };
        if (fills)
            *arg++ = slice_decimal(one->stamp, item->since.position);
        *arg++ = (libcache_slice){ one->slot, name_slot_field(one->slot, item->key.ns, item->key.key) };
        *arg++ = slice_ttl(one->ttl, item->ttl_ms);
        *arg++ = (libcache_slice){ s->bytes, size };
        envelope_pack(item->envelope, s->bytes);
        s->bytes += size;
    }
    g->call.argc = (size_t)(arg - s->argv);
    s->argv = arg;
}

/* What the answer of a call says about each of its items. */
static void read_group(struct l2_store *items, size_t n, const struct reply *answer)
{
    struct history now = { 0, 0, 0 };
    int code = read_answer(answer, 4, &now), fills = items->how == L2_FILL;

    if (code > 1 || (code >= 0 && fills &&
                     (answer->size < 5 || answer->items[4].kind != REPLY_STRING || answer->items[4].size != n)))
        code = LIBCACHE_EPROTOCOL;
    for (size_t i = 0; i < n; i++) {
        items[i].now = now;
        if (code < 0)
            items[i].result = code;
        else if (fills)
            items[i].result = answer->items[4].text[i] == '1' ? LIBCACHE_OK : LIBCACHE_FENCED;
        else
            items[i].result = code ? LIBCACHE_OK : items[i].how == L2_ADD ? LIBCACHE_EXISTS : LIBCACHE_EPROTOCOL;
    }
}

static int run(struct l2 *l2, struct l2_store *items, size_t n, struct group *groups, size_t n_groups,
               struct l2_leases *done, uint64_t deadline)
{
    struct script_call *calls = memory_get(l2->allocator, (n_groups + 1) * sizeof *calls);
    struct script_answers answers;
    void *leases = NULL;
    int result = LIBCACHE_ENOMEM;

    script_answers_init(&answers, l2->allocator);
    if (calls) {
        for (size_t g = 0; g < n_groups; g++)
            calls[g] = groups[g].call;
        leases = done ? lease_call(l2, done, "free", &calls[n_groups]) : NULL; /* no memory: they end by their time */
        result = script_run(l2->transport, calls, n_groups + (leases != NULL), leases && !load_relaxed(&l2->told),
                            &answers, deadline);
        if (leases && n_groups && result == LIBCACHE_OK)
            store_relaxed(&l2->told, 1);
    }
    for (size_t g = 0, at = 0; g < n_groups && result == LIBCACHE_OK; at += groups[g++].n)
        read_group(items + at, groups[g].n, &answers.first.item[g]);
    if (leases && result == LIBCACHE_OK)
        lease_answer(done, &answers.first.item[n_groups]);
    for (size_t i = 0; i < n && result != LIBCACHE_OK; i++)
        items[i].result = result;
    script_answers_free(&answers);
    memory_free(l2->allocator, leases);
    memory_free(l2->allocator, calls);
    return result;
}

int l2_store(struct l2 *l2, struct l2_store *items, size_t n, struct l2_leases *done, uint64_t deadline)
{
    struct storage s;
    struct group *groups;
    size_t n_groups = 0;
    int result;

    if (done)
        memset(&done->now, 0, sizeof done->now);
    for (size_t i = 0; i < n; n_groups++)
        i += group_of(items + i, n - i);
    for (size_t i = 0; i < n; i++) {
        memset(&items[i].now, 0, sizeof items[i].now);
        items[i].result = LIBCACHE_ENOMEM;
    }
    groups = make_storage(l2, items, n, n_groups, &s);
    if (!groups)
        return LIBCACHE_ENOMEM;
    for (size_t g = 0, at = 0; g < n_groups; at += groups[g++].n) {
        groups[g].n = group_of(items + at, n - at);
        make_call(l2, &groups[g], items + at, &s);
    }
    result = run(l2, items, n, groups, n_groups, done, deadline);
    memory_free(l2->allocator, groups);
    return result;
}
