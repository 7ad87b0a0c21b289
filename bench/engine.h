/*
 * What bench-l1 needs of an engine, ours or a peer's. Every engine copies: a set copies the value in, a
 * get copies it out into the caller's buffer, so that nobody hands out pointers for free.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ENGINE_KEY_BYTES 24

typedef struct engine_config {
    size_t keys;         /* so many, numbered from 0, are all that will be stored */
    size_t value_bytes;  /* of every value; at most 1024 */
    size_t budget_bytes; /* enough for all of them, overhead included */
    unsigned tags;       /* carried by each entry; only libcache has tags, others ignore it */
    int huge;            /* 0: libcache keeps to small pages */
    double room;         /* the share of all keys that is to fit, for engines that do not count their own overhead; 0: all */
} engine_config;

/* All functions but open and close are called from many threads at once. Failures end the program. */
typedef struct bench_engine {
    const char *name;
    void *(*open)(const engine_config *config);
    void (*close)(void *self);
    void (*set)(void *self, uint32_t number, const char *key, const char *value);
    size_t (*get)(void *self, uint32_t number, const char *key, char *out); /* bytes copied, 0: a miss */
    int evicts; /* keeps to its budget, so it can be given less than it needs */
} bench_engine;

extern const bench_engine engine_libcache, engine_libcache_shared; /* engine_libcache.c */
extern const bench_engine engine_bare;                             /* engine_bare.c */
extern const bench_engine engine_floor;                            /* engine_floor.c */
#ifdef HAVE_ROCKSDB
extern const bench_engine engine_rocksdb_lru, engine_rocksdb_hyperclock; /* engine_rocksdb.cc */
#endif
#ifdef HAVE_CUCKOO
extern const bench_engine engine_libcuckoo; /* engine_cuckoo.cc */
#endif
#ifdef HAVE_TBB
extern const bench_engine engine_tbb; /* engine_tbb.cc */
#endif
extern const bench_engine engine_redis; /* engine_redis.c */
#ifdef HAVE_MEMCACHED
extern const bench_engine engine_memcached; /* engine_memcached.c */
#endif
#ifdef HAVE_LMDB
extern const bench_engine engine_lmdb; /* engine_lmdb.c */
#endif
#ifdef HAVE_UTHASH
extern const bench_engine engine_uthash_mutex; /* engine_uthash.c */
#endif

/* What is inside the two libcache engines, for the benches that measure libcache alone. */
struct libcache_ns *engine_libcache_ns(void *self);
struct libcache *engine_libcache_cache(void *self);

#ifdef __cplusplus
}
#endif
#endif
