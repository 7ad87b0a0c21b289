/* The first act: what the workers count, and how it is shown. SPDX-License-Identifier: MIT */
#ifndef DEMO_WORKERS_H
#define DEMO_WORKERS_H
#include <libcache.h>

#include "demo.h"

enum {
    WORKERS = 4,
    TENANTS = 400,
    USERS = 250, /* of each tenant */
    CHANGED = 7, /* the tenant whose data changes */
    BATCH = 16,  /* requests between two looks at the clock */
    SLICES = 12, /* columns of the timeline */
    HALF = SLICES / 2,
    VALUE_MAX = 16 << 10,
    TRACE_MAX = 4 << 20 /* requests */
};

#define MEMORY_BYTES ((size_t)64 << 20)
#define SLICE_NS UINT64_C(250000000)
#define CHANGE_NS (HALF * SLICE_NS)
#define END_NS (SLICES * SLICE_NS)

/* What the service caches: a namespace each, with a policy of its own. */
enum { KINDS = 4, TRACE_KIND = 0 };

extern const struct demo_kind {
    const char *name, *key; /* key: tenant, user */
    unsigned ttl_s, share;  /* share of the requests in percent */
    unsigned least_bytes, most_bytes;
} demo_kinds[KINDS];

struct kind_counts {
    uint64_t requests, hits, loads, bytes;
    uint64_t histogram[DEMO_BUCKETS]; /* ns of a hit, of batches that were all hits */
};

struct counts {
    struct kind_counts kind[KINDS];
    uint64_t fenced;                                     /* loads that an invalidation overtook: used, not stored */
    uint64_t requests_in[SLICES][2], hits_in[SLICES][2]; /* [1]: of the changed tenant */
    uint64_t before, reloads;                            /* of the changed tenant: old values given, new ones loaded */
    uint64_t last_old_ns;  /* when the last reads began of which one was given an old value */
    uint64_t stale, wrong; /* must stay 0 */
};

struct request {
    uint32_t at, key_bytes; /* in the trace's text */
    uint32_t value_bytes;
};

/* In anonymous shared memory, made before the workers. */
struct board {
    uint64_t start_ns;         /* atomic; 0: not yet */
    uint64_t returned_ns;      /* atomic; when libcache_invalidate_tags had returned */
    uint64_t version[TENANTS]; /* atomic: the "database". A tenant's data has a version */
    uint64_t least[TENANTS];   /* atomic: a read that begins now must not give an older one */
    struct counts worker[WORKERS];
};

struct demo {
    libcache *cache;
    libcache_ns *ns[KINDS];
    struct board *board;
    double zipf[TENANTS]; /* cumulated */
    const char *trace;    /* text, NULL: none */
    struct request *requests;
    size_t n_requests;
};

/* ---- demo_tables.c ----------------------------------------------------------------------------------------------- */

void demo_print_kinds(const struct demo *demo);
void demo_print_timeline(const struct demo *demo);
int demo_print_workers(const struct demo *demo, uint64_t tagged, uint64_t took_ns); /* 1: an old or wrong value */
void demo_print_memory(const struct demo *demo);

#endif
