/*
 * doctor: what its checks share. Each check says how it went, under an id that stays the same over versions; docs/tool.md lists
 * the ids. SPDX-License-Identifier: MIT
 */
#ifndef TOOL_DOCTOR_H
#define TOOL_DOCTOR_H
#include "redis.h"
#include "tool.h"

enum verdict {
    DOCTOR_OK,      /* looked at, and as it should be */
    DOCTOR_SKIPPED, /* could not be looked at; the text says why */
    DOCTOR_NOTE,    /* nothing is wrong; worth knowing */
    DOCTOR_WARNING, /* works, and will not always, or not as well as it could */
    DOCTOR_ERROR    /* does not work */
};

struct doctor {
    const struct args *args;
    unsigned timeout_ms;       /* what a call of the programs may spend on Redis */
    uint64_t max_staleness_ms; /* of the programs */
    int count[DOCTOR_ERROR + 1];

    /* found out on the way */
    struct redis_place place, admin_place;
    redisContext *redis, *admin; /* NULL: not to be had */
    char *info;                  /* what INFO says; NULL: not allowed to ask */
    int redis_works;             /* 1: it takes libcache's commands, in time */
    uint64_t log_first;          /* the first position that the log in Redis has */
    uint64_t seq;                /* the latest position in Redis */
    int has_log;
};

/* advice NULL: there is nothing to do. */
void doctor_say(struct doctor *d, enum verdict verdict, const char *id, const char *advice, const char *format, ...)
    TOOL_LISTED(5, 6);

const char *doctor_prefix(const struct doctor *d);

void doctor_host(struct doctor *d);      /* /dev/shm, huge pages, memory limit, other segments */
void doctor_segment(struct doctor *d);   /* -n: its file, contents, figures; after doctor_server */
void doctor_server(struct doctor *d);    /* --redis: connection, version, memory, settings */
void doctor_redis_use(struct doctor *d); /* permissions, latency, clock, log */
void doctor_trip(struct doctor *d);      /* from one cache to another, through Redis */

#endif
