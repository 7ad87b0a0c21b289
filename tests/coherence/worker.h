/*
 * What the parts of a worker share: worker.c is the process and loads with stamps, reads.c reads, loads.c loads in steps, loaders.c
 * has libcache call a loader, leads.c knows who loads what, writes.c changes things. SPDX-License-Identifier: MIT
 */
#ifndef TESTS_COHERENCE_WORKER_H
#define TESTS_COHERENCE_WORKER_H
#include "coherence/coherence.h"

enum { OPEN_LOADS = 8, TOKENS = 6, BATCH = 8, JOBS = 4, QUERIES = JOBS + 2, ROWS = 8 * BATCH };

struct load {
    int open, has_row;
    unsigned key;
    uint64_t begun_ns, version;
    libcache_stamp stamp;
};

/* Somebody's place among those who run a loader; 0: he has none. */
struct lead {
    uint64_t word;
    unsigned key;
    int of_all;
};

/* A load in steps. */
struct token {
    libcache_load *load; /* NULL: there is none */
    unsigned key;
    int plain; /* begun so that who leads asks Redis, for the value and for the lease */
    int waits, leads, refreshes, of_all, has_row;
    uint64_t begun_ns;        /* the call that gave it, or that made it wait */
    uint64_t asleep_until_ns; /* forgotten until then */
    uint64_t version;
    struct lead lead;
};

/* What tells, from before a call to after it, how libcache went about a load. */
struct marks {
    uint64_t bypasses, refreshes, l2_errors;
};

/* The set options that go with a version; `tags` holds the texts. */
struct tag_texts {
    libcache_slice slices[2];
    char texts[2][32];
};

/* What a loader is given: what the call was, and what it has read. */
struct query {
    struct worker *w;
    int used;          /* of w->queries */
    int later;         /* a refresh, by the executor */
    int leased;        /* if it leads, it has the lease of all hosts, where there is such */
    uint64_t begun_ns; /* the call */
    struct marks before;
    unsigned runs, n, keys[ROWS];
    uint64_t versions[ROWS];
    int failed[ROWS]; /* nothing came of the key */
    uint64_t napped_ns;
    struct tag_texts tags[BATCH];
    char bytes[BATCH][VALUE_BYTES_MAX] __attribute__((aligned(16)));
};

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct worker {
    struct arena *arena;
    struct worker_state *state;
    struct host_state *host_state;
    unsigned number, host;
    uint64_t dice;
    libcache *cache;
    libcache_ns *spaces[SPACES];
    struct load loads[OPEN_LOADS];
    struct token tokens[TOKENS];
    struct query queries[QUERIES]; /* the first is for calls, the others are kept for refreshes */
    struct job jobs[JOBS];
    int load_fd; /* -1: none was asked for */
    libcache_value values[BATCH];
    char bytes[VALUE_BYTES_MAX] __attribute__((aligned(16)));
    int schedstat;                    /* file: how long this thread has waited for a processor */
    uint64_t waited_ns, waited_at_ns; /* as read last */
};

/* ---- worker.c -------------------------------------------------------------------------------------------------------- */

/* A call of libcache, from begin to end. */
struct call {
    uint64_t begun_ns, own_stops, host_stops;
};

struct call call_begin(struct worker *w, enum event_type doing);

/*
 * G7. `locks`: how many locks it may have had to wait for; `wait_ms`: for somebody else, or its loader's naps; `exchanges`:
 * how often it may spend redis_timeout_ms when Redis is not well. Gives how long it took,
 * or 0 if that says nothing.
 */
uint64_t call_end_within(struct worker *w, const struct call *call, unsigned key, unsigned locks, uint64_t wait_ms,
                         unsigned exchanges, const char *what);
#define call_end(w, call, key, locks, what) call_end_within(w, call, key, locks, 0, 1, what)

libcache_set_options set_options(struct tag_texts *tags, unsigned key, uint64_t version);

/* Counts a result of a write or a store; gives 1 for an error that chaos may cause, and violates for any other. */
int count_error(struct worker *w, int result, unsigned key, const char *what);

/* With a stamp of its own. */
void begin_load(struct worker *w, unsigned key);

/* ---- reads.c --------------------------------------------------------------------------------------------------------- */

unsigned pick_key(struct worker *w);

/* A few keys of one namespace, with their floors as of now. */
struct many_keys {
    unsigned n, keys[BATCH];
    char texts[BATCH][32];
    libcache_slice slices[BATCH];
    struct floors floors[BATCH];
    int results[BATCH];
};
void pick_keys(struct worker *w, struct many_keys *many, unsigned space);

/* Who asks: a get, or a load function, which gives out what is within its grace. */
enum asking { ASKING, ASKING_TO_LOAD };

/* A HIT, STALE or NEGATIVE from a tier. *head is filled. */
void check_value(struct worker *w, unsigned key, const struct floors *floors, int result, const libcache_value *value,
                 struct payload *head, enum asking how);

void read_one(struct worker *w);
void read_many(struct worker *w);
void probe(struct worker *w, int was_busy);

/* ---- leads.c --------------------------------------------------------------------------------------------------------- */

struct marks marks_now(struct worker *w);

/* Somebody who leads the key's load on this host since `begun_ns` or later runs a loader now. */
struct lead lead_take(struct worker *w, unsigned key, uint64_t begun_ns, int of_all);
void lead_end(struct worker *w, struct lead *lead); /* before what ends the load */

/* A load is ours by now. */
void led(struct worker *w, unsigned key);

/* It fails: said before the load is ended so, and after. */
void failed(struct worker *w, unsigned key);

/* Who waits since then is told WAIT, or ELOAD. */
void check_wait(struct worker *w, unsigned key, uint64_t since_ns);
void check_failure(struct worker *w, unsigned key, uint64_t since_ns);

/* ---- loads.c --------------------------------------------------------------------------------------------------------- */

void begin_token(struct worker *w, unsigned key);
void go_on_with_tokens(struct worker *w);
void leave_tokens(struct worker *w); /* their loads end with the cache: others may lead from then on */
void look_after_waiting(struct worker *w); /* load_fd says that it is worth while */

/* ---- loaders.c ------------------------------------------------------------------------------------------------------- */

int execute(void *arg, void (*job)(void *), void *job_arg); /* arg: the worker */
void run_jobs(struct worker *w);
void get_or_load(struct worker *w, unsigned key);
void get_or_load_many(struct worker *w);

/* ---- writes.c -------------------------------------------------------------------------------------------------------- */

void change_something(struct worker *w);

#endif
