/*
 * LMDB: a B+ tree in a mapped file that all processes of a host share, the other way to have one copy a host. Nothing is
 * synced, and each thread renews one read transaction: its fastest ways.
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#ifdef HAVE_LMDB
#include "child.h"
#include "harness.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READERS_MAX = 1000 }; /* threads, ended ones included */

typedef struct lmdb_engine {
    bench_child place; /* its directory only */
    MDB_env *environment;
    MDB_dbi table;
    size_t value_bytes;
} lmdb_engine;

static __thread MDB_txn *reader;
static __thread void *reader_of;

static void must(int result, const char *what)
{
    if (result != 0)
        harness_die("lmdb: %s: %s", what, mdb_strerror(result));
}

static void *open_engine(const engine_config *config)
{
    lmdb_engine *self = harness_allocate(sizeof *self);
    MDB_txn *transaction;

    child_make_directory(&self->place, "lmdb");
    must(mdb_env_create(&self->environment), "env_create");
    must(mdb_env_set_mapsize(self->environment, 4 * config->budget_bytes + ((size_t)64 << 20)), "mapsize");
    must(mdb_env_set_maxreaders(self->environment, READERS_MAX), "maxreaders");
    must(mdb_env_open(self->environment, self->place.directory, MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_NOTLS,
                      0600),
         "open");
    must(mdb_txn_begin(self->environment, NULL, 0, &transaction), "begin");
    must(mdb_dbi_open(transaction, NULL, 0, &self->table), "dbi_open");
    must(mdb_txn_commit(transaction), "commit");
    self->value_bytes = config->value_bytes;
    return self;
}

static void close_engine(void *opaque)
{
    lmdb_engine *self = opaque;

    if (reader_of == self) {
        mdb_txn_abort(reader);
        reader_of = NULL;
    }
    mdb_env_close(self->environment);
    child_stop(&self->place);
    free(self);
}

static void set(void *opaque, uint32_t number, const char *key, const char *value)
{
    lmdb_engine *self = opaque;
    MDB_val name = { ENGINE_KEY_BYTES, (void *)(uintptr_t)key }, data = { self->value_bytes, (void *)(uintptr_t)value };
    MDB_txn *transaction;

    (void)number;
    must(mdb_txn_begin(self->environment, NULL, 0, &transaction), "begin");
    must(mdb_put(transaction, self->table, &name, &data, 0), "put");
    must(mdb_txn_commit(transaction), "commit");
}

static size_t get(void *opaque, uint32_t number, const char *key, char *out)
{
    lmdb_engine *self = opaque;
    MDB_val name = { ENGINE_KEY_BYTES, (void *)(uintptr_t)key }, data;
    size_t size = 0;
    int result;

    (void)number;
    if (reader_of != self) {
        must(mdb_txn_begin(self->environment, NULL, MDB_RDONLY, &reader), "begin");
        reader_of = self;
    } else {
        must(mdb_txn_renew(reader), "renew");
    }
    result = mdb_get(reader, self->table, &name, &data);
    if (result == 0) {
        size = data.mv_size;
        memcpy(out, data.mv_data, size);
    } else if (result != MDB_NOTFOUND) {
        must(result, "get");
    }
    mdb_txn_reset(reader);
    return size;
}

const bench_engine engine_lmdb = { "lmdb", open_engine, close_engine, set, get, 0 };
#endif
