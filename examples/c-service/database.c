/* The source: SQLite, one connection for all threads. SPDX-License-Identifier: MIT */
#include "service.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct database {
    sqlite3 *connection;
    unsigned delay_ms; /* what a database across the network would take longer */
    unsigned long queries;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS tenant (id INTEGER PRIMARY KEY, name TEXT NOT NULL, theme TEXT NOT NULL, plan TEXT NOT "
    "NULL);"
    "CREATE TABLE IF NOT EXISTS feature (tenant INTEGER, name TEXT, enabled INTEGER NOT NULL, PRIMARY KEY (tenant, "
    "name));"
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, cents INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS orders_of ON orders (tenant);";

static const char first_rows[] =
    "BEGIN;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u)"
    "  INSERT OR IGNORE INTO tenant SELECT i, 'Tenant ' || i, 'light', CASE i %% 3 WHEN 0 THEN 'team' ELSE 'free' END "
    "FROM n;"
    "INSERT OR IGNORE INTO feature SELECT id, 'reports', id %% 2 FROM tenant;"
    "INSERT OR IGNORE INTO feature SELECT id, 'export', plan = 'team' FROM tenant;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
    "  INSERT INTO orders (tenant, cents) SELECT t.id, 100 + (t.id * 37 + n.i * 101) %% 9900 FROM tenant t, n"
    "  WHERE NOT EXISTS (SELECT 1 FROM orders);"
    "COMMIT;";

struct database *database_open(const char *path, unsigned delay_ms, unsigned tenants)
{
    struct database *db = calloc(1, sizeof *db);
    char *rows = sqlite3_mprintf(first_rows, tenants), *error = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;

    if (db == NULL || rows == NULL || sqlite3_open_v2(path, &db->connection, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(db->connection, schema, NULL, NULL, &error) != SQLITE_OK ||
        sqlite3_exec(db->connection, rows, NULL, NULL, &error) != SQLITE_OK) {
        fprintf(stderr, "c-service: %s: %s\n", path, error != NULL ? error : "cannot open the database");
        sqlite3_free(rows);
        sqlite3_free(error);
        database_close(db);
        return NULL;
    }
    sqlite3_free(rows);
    db->delay_ms = delay_ms;
    return db;
}

void database_close(struct database *db)
{
    if (db == NULL)
        return;
    sqlite3_close(db->connection);
    free(db);
}

unsigned long database_queries(const struct database *db)
{
    return __atomic_load_n(&db->queries, __ATOMIC_RELAXED);
}

/* Binds tenant, and a text or a number where there is one. */
static sqlite3_stmt *prepare(struct database *db, const char *sql, long tenant, const char *text, sqlite3_int64 number)
{
    struct timespec delay = { db->delay_ms / 1000, (long)(db->delay_ms % 1000) * 1000000 };
    sqlite3_stmt *statement = NULL;

    __atomic_fetch_add(&db->queries, 1, __ATOMIC_RELAXED);
    nanosleep(&delay, NULL);
    if (sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    sqlite3_bind_int64(statement, 1, tenant);
    if (text != NULL)
        sqlite3_bind_text(statement, 2, text, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 3, number);
    return statement;
}

/* A change: 0, 1 when no row is concerned, -1. */
static int change(struct database *db, const char *sql, long tenant, const char *text, sqlite3_int64 number)
{
    sqlite3_stmt *statement = prepare(db, sql, tenant, text, number);
    int result = -1;

    if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW)
        result = 0; /* every change below ends with RETURNING */
    else if (statement != NULL && sqlite3_reset(statement) == SQLITE_OK)
        result = 1;
    sqlite3_finalize(statement);
    return result;
}

int database_config(struct database *db, long tenant, struct text *json)
{
    sqlite3_stmt *row = prepare(db, "SELECT name, theme, plan FROM tenant WHERE id = ?1", tenant, NULL, 0);
    int step = row != NULL ? sqlite3_step(row) : SQLITE_ERROR;

    if (step == SQLITE_ROW) {
        text_add(json, "{\"tenant\": %ld, \"name\": ", tenant);
        text_add_json(json, (const char *)sqlite3_column_text(row, 0));
        text_add(json, ", \"theme\": ");
        text_add_json(json, (const char *)sqlite3_column_text(row, 1));
        text_add(json, ", \"plan\": ");
        text_add_json(json, (const char *)sqlite3_column_text(row, 2));
        text_add(json, "}\n");
    }
    sqlite3_finalize(row);
    return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? 1 : -1;
}

int database_set_config(struct database *db, long tenant, const char *theme)
{
    return change(db, "UPDATE tenant SET theme = ?2 WHERE id = ?1 RETURNING id", tenant, theme, 0);
}

int database_feature(struct database *db, long tenant, const char *feature, int *enabled)
{
    sqlite3_stmt *row = prepare(db, "SELECT enabled FROM feature WHERE tenant = ?1 AND name = ?2", tenant, feature, 0);
    int step = row != NULL ? sqlite3_step(row) : SQLITE_ERROR;

    if (step == SQLITE_ROW)
        *enabled = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? 1 : -1;
}

int database_set_feature(struct database *db, long tenant, const char *feature, int enabled)
{
    return change(db,
                  "INSERT INTO feature SELECT id, ?2, ?3 FROM tenant WHERE id = ?1"
                  " ON CONFLICT (tenant, name) DO UPDATE SET enabled = excluded.enabled RETURNING tenant",
                  tenant, feature, enabled);
}

int database_report(struct database *db, long tenant, struct text *json)
{
    sqlite3_stmt *row = prepare(db,
                                "SELECT t.name, count(o.id), coalesce(sum(o.cents), 0), coalesce(max(o.cents), 0)"
                                " FROM tenant t LEFT JOIN orders o ON o.tenant = t.id WHERE t.id = ?1 GROUP BY t.id",
                                tenant, NULL, 0);
    int step = row != NULL ? sqlite3_step(row) : SQLITE_ERROR;

    if (step == SQLITE_ROW) {
        text_add(json, "{\"tenant\": %ld, \"name\": ", tenant);
        text_add_json(json, (const char *)sqlite3_column_text(row, 0));
        text_add(json, ", \"orders\": %lld, \"cents\": %lld, \"largest\": %lld}\n",
                 (long long)sqlite3_column_int64(row, 1), (long long)sqlite3_column_int64(row, 2),
                 (long long)sqlite3_column_int64(row, 3));
    }
    sqlite3_finalize(row);
    return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? 1 : -1;
}

int database_add_order(struct database *db, long tenant, long cents)
{
    return change(db, "INSERT INTO orders (tenant, cents) SELECT id, ?3 FROM tenant WHERE id = ?1 RETURNING id", tenant,
                  NULL, cents);
}
