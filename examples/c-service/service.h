/*
 * A small HTTP service that answers for many tenants out of SQLite, with libcache before it.      SPDX-License-Identifier: MIT
 *
 *     main.c       options, start, stop
 *     http.c       requests and answers (libmicrohttpd): routes, X-Response-Time, X-Cache
 *     answers.c    what is cached, for how long, under which tags, and what invalidates it
 *     database.c   the source: tenants, their features, their orders
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <libcache.h>
#include <stddef.h>

/* ---- Text that is being made: ends with a zero, is freed with free(text.data). `failed`: there was no memory. ---- */

struct text {
    char *data;
    size_t size, capacity;
    int failed;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_json(struct text *text, const char *string); /* in quotes, escaped */

/* ---- The source: called from many threads. 0: done; 1: there is no such row; -1: the database failed. ------------- */

struct database;

struct database *database_open(const char *path, unsigned delay_ms, unsigned tenants);
void database_close(struct database *db);
unsigned long database_queries(const struct database *db); /* so far */

int database_config(struct database *db, long tenant, struct text *json);
int database_set_config(struct database *db, long tenant, const char *theme);
int database_feature(struct database *db, long tenant, const char *feature, int *enabled);
int database_set_feature(struct database *db, long tenant, const char *feature, int enabled);
int database_report(struct database *db, long tenant, struct text *json);
int database_add_order(struct database *db, long tenant, long cents);

/* ---- What is cached -------------------------------------------------------------------------------------------------- */

struct answers {
    libcache *cache;
    libcache_ns *configs, *features, *responses;
    struct database *db;
    int cached; /* 0: every answer comes from the source, to compare */
};

/* Where an answer came from. */
enum origin { FROM_MEMORY, FROM_REDIS, FROM_SOURCE, FROM_STALE };

/* 0, or 1: there is none, or -1: the source failed. */
int answers_open(struct answers *answers, libcache_error *error);
int answers_config(struct answers *answers, long tenant, struct text *body, enum origin *origin);
int answers_feature(struct answers *answers, long tenant, const char *feature, struct text *body, enum origin *origin);
int answers_report(struct answers *answers, long tenant, struct text *body, enum origin *origin);

int answers_set_config(struct answers *answers, long tenant, const char *theme);
int answers_set_feature(struct answers *answers, long tenant, const char *feature, int enabled);
int answers_add_order(struct answers *answers, long tenant, long cents);

/* ---- HTTP --------------------------------------------------------------------------------------------------------------- */

struct http;

/* Listens on loopback. port 0: a free one, which *port is then. */
struct http *http_start(struct answers *answers, unsigned short *port, unsigned threads);
void http_stop(struct http *http);

#endif
