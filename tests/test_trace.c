/*
 * Traces of live segments: what is written down, of which keys, under which names, and what becomes of a trace whose reader does not
 * read, or of records that nobody finishes. SPDX-License-Identifier: MIT
 */
#include "support/fake_redis.h"
#include "support/hosts.h"
#include "support/support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/siphash.h"
#include "cache.h"

enum { ROOM = 9000 };

static libcache_trace_record records[ROOM];

static libcache_trace *begin(libcache *cache, double rate, const char *ns_name)
{
    libcache_trace_options options = LIBCACHE_TRACE_OPTIONS_INIT;
    libcache_trace *trace = NULL;
    libcache_error error;

    options.rate = rate;
    options.ns_name = ns_name;
    ck_assert_msg(libcache_trace_begin(&trace, cache, &options, &error) == LIBCACHE_OK, "%s", error.text);
    return trace;
}

static size_t read_all(libcache_trace *trace)
{
    size_t got = 0;

    ck_result(libcache_trace_read(trace, records, ROOM, &got), LIBCACHE_OK);
    return got;
}

static uint64_t dropped(libcache_trace *trace)
{
    libcache_trace_stats stats = LIBCACHE_TRACE_STATS_INIT;

    ck_result(libcache_trace_status(trace, &stats), LIBCACHE_OK);
    return stats.dropped;
}

static uint64_t reads(libcache_trace *trace)
{
    libcache_trace_stats stats = LIBCACHE_TRACE_STATS_INIT;

    ck_result(libcache_trace_status(trace, &stats), LIBCACHE_OK);
    return stats.reads;
}

static int is_noticed(const libcache_ns *ns)
{
    return (__atomic_load_n(&ns->view.lean, __ATOMIC_RELAXED) & VIEW_TRACED) != 0;
}

static int ask(libcache_ns *ns, const char *key)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    int result = libcache_get(ns, key, strlen(key), &value, 0);

    libcache_release_value(&value);
    return result;
}

/* A miss is enough for a namespace to notice. It is thrown away. */
static void notice(libcache_trace *trace, libcache_ns *ns)
{
    ask(ns, "nobody has this");
    ck_assert(is_noticed(ns));
    read_all(trace);
}

static void ck_record(const libcache_trace_record *r, const char *ns_name, int op, int result, size_t key_size,
                      size_t size)
{
    ck_assert_str_eq(r->ns_name, ns_name);
    ck_assert_int_eq(r->op, op);
    ck_assert_msg(r->op != LIBCACHE_TRACE_GET || r->result == result, "%s", result_name(r->result));
    ck_assert_uint_eq(r->key_size, key_size);
    ck_assert_uint_eq(r->size, size);
}

static void named_up(struct rig *rig, const char *name)
{
    rig_prepare(rig);
    rig->options.segment = LIBCACHE_NAMED;
    rig->options.name = name;
    rig_open(rig);
}

/* ---- The hash ---------------------------------------------------------------------------------------------------------------- */

START_TEST(siphash_gives_what_its_authors_say)
{
    const uint64_t key[2] = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
    const unsigned char rest[7] = { 8, 9, 10, 11, 12, 13, 14 };

    ck_assert_uint_eq(siphash(key, UINT64_C(0x0706050403020100), rest, sizeof rest), UINT64_C(0xa129ca6149be45e5));
    ck_assert_uint_eq(siphash(key, UINT64_C(0x0706050403020100), rest, 0), UINT64_C(0x93f5f5799a932462));
}
END_TEST

/* ---- What is written down ---------------------------------------------------------------------------------------------------- */

START_TEST(each_kind_of_read_and_change_is_written_down_once)
{
    const libcache_slice keys[3] = { LIBCACHE_STR("one"), LIBCACHE_STR("three"), LIBCACHE_STR("four") };
    const libcache_slice gone[2] = { LIBCACHE_STR("one"), LIBCACHE_STR("four") };
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_value values[3] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT },
                   value = LIBCACHE_VALUE_INIT;
    libcache_trace *trace;
    libcache_load *load;
    struct rig rig;
    uint64_t before;
    int results[3];
    size_t n;

    rig_up(&rig);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    before = reads(trace);
    put(rig.ns, "one", "value");
    ck_value(rig.ns, "one", "value");
    ask(rig.ns, "two");
    ck_result(libcache_look(rig.ns, "one", 3, &value, 0), LIBCACHE_HIT);
    ck_result(libcache_look(rig.ns, "one", 3, &value, LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_result(libcache_look(rig.ns, "two", 3, &value, 0), LIBCACHE_MISS); /* counted as nothing */
    ck_result(libcache_exists(rig.ns, "one", 3, 0), LIBCACHE_HIT);        /* a look that is no use */
    n = read_all(trace);
    ck_assert_uint_eq(n, 5);
    ck_record(&records[0], "test", LIBCACHE_TRACE_SET, 0, 3, 5);
    ck_record(&records[1], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_record(&records[2], "test", LIBCACHE_TRACE_GET, LIBCACHE_MISS, 3, 0);
    ck_record(&records[3], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_record(&records[4], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_assert_uint_eq(records[0].key, records[1].key);
    ck_assert_uint_ne(records[0].key, records[2].key);

    ck_result(libcache_load_begin(&load, rig.ns, "three", 5, &value, NULL), LIBCACHE_LEAD);
    ck_result(libcache_load_commit(load, "abc", 3, NULL), LIBCACHE_OK);
    ck_result(libcache_load_begin(&load, rig.ns, "three", 5, &value, NULL), LIBCACHE_HIT);
    options.flags = LIBCACHE_NEG;
    ck_result(libcache_add(rig.ns, "four", 4, "", 0, &options), LIBCACHE_OK);
    ck_result(libcache_add(rig.ns, "four", 4, "", 0, &options), LIBCACHE_EXISTS);
    ck_result(libcache_get_many(rig.ns, keys, 3, values, results, NULL, 0), LIBCACHE_OK);
    n = read_all(trace);
    ck_assert_uint_eq(n, 7);
    ck_record(&records[0], "test", LIBCACHE_TRACE_GET, LIBCACHE_MISS, 5, 0);
    ck_record(&records[1], "test", LIBCACHE_TRACE_SET, 0, 5, 3);
    ck_record(&records[2], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 5, 3);
    ck_record(&records[3], "test", LIBCACHE_TRACE_SET, 0, 4, 0);
    ck_record(&records[4], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_record(&records[5], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 5, 3);
    ck_record(&records[6], "test", LIBCACHE_TRACE_GET, LIBCACHE_NEGATIVE, 4, 0);
    ck_assert_uint_eq(records[6].key, records[3].key);

    ck_result(libcache_delete(rig.ns, "three", 5, 0), LIBCACHE_OK);
    ck_result(libcache_delete_many(rig.ns, gone, 2, NULL, 0), LIBCACHE_OK);
    n = read_all(trace);
    ck_assert_uint_eq(n, 3);
    for (size_t i = 0; i < 3; i++)
        ck_record(&records[i], "test", LIBCACHE_TRACE_DELETE, 0, i == 0 ? 5 : i == 1 ? 3 : 4, 0);
    ck_assert_uint_eq(reads(trace) - before, 9); /* as many as were written down */
    ck_assert_uint_eq(dropped(trace), 0);
    libcache_trace_end(trace);
    for (int i = 0; i < 3; i++)
        libcache_release_value(&values[i]);
    libcache_release_value(&value);
    rig_down(&rig);
}
END_TEST

START_TEST(what_redis_answers_is_a_hit_and_what_a_handle_read_only_reads_is_not_written_down)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_trace *trace, *other;
    struct hosts hosts;
    libcache *looker;
    libcache_ns *ns;
    const char *name = segment_name("trace-redis");

    hosts_prepare(&hosts, NULL);
    hosts.b.options.segment = LIBCACHE_NAMED;
    hosts.b.options.name = name;
    hosts_open(&hosts);
    put(hosts.a.ns, "key", "value");
    ck_poll(&hosts.b);
    trace = begin(hosts.b.cache, 1, NULL);
    notice(trace, hosts.b.ns);
    ck_from(hosts.b.ns, "key", "value", LIBCACHE_TIER_L2);
    ck_from(hosts.b.ns, "key", "value", LIBCACHE_TIER_L1);
    ck_assert_uint_eq(read_all(trace), 2);
    ck_record(&records[0], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_record(&records[1], "test", LIBCACHE_TRACE_GET, LIBCACHE_HIT, 3, 5);
    ck_assert_int_eq(records[0].tier, LIBCACHE_TIER_L2);
    ck_assert_int_eq(records[1].tier, LIBCACHE_TIER_L1);

    options.read_only = 1;
    options.clock_ms = fake_clock_read;
    options.clock_arg = &hosts.b.clock;
    ck_result(libcache_attach(&looker, name, &options, NULL), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, looker, "test", NULL, NULL), LIBCACHE_OK);
    for (int i = 0; i < 600; i++)
        ck_value(ns, "key", "value");
    ck_assert_uint_eq(read_all(trace), 0);
    ck_result(libcache_trace_begin(&other, looker, NULL, NULL), LIBCACHE_EACCESS);
    libcache_close(looker);
    libcache_trace_end(trace);
    hosts_down(&hosts);
}
END_TEST

START_TEST(who_only_hits_notices_within_256_hits_and_forgets_when_it_is_over)
{
    struct rig rig;
    libcache_trace *trace;
    int hits = 0;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    ck_value(rig.ns, "key", "value");
    for (int i = 0; i < 1000; i++)
        ck_value(rig.ns, "key", "value");
    ck_assert(!is_noticed(rig.ns));
    trace = begin(rig.cache, 1, NULL);
    for (; !is_noticed(rig.ns) && hits < 256; hits++)
        ck_value(rig.ns, "key", "value");
    ck_assert(is_noticed(rig.ns));
    ck_assert_uint_eq(read_all(trace), 0);
    for (int i = 0; i < 10; i++)
        ck_value(rig.ns, "key", "value");
    ck_assert_uint_eq(read_all(trace), 10);
    libcache_trace_end(trace);
    ck_value(rig.ns, "key", "value");
    ck_assert(!is_noticed(rig.ns));
    rig_down(&rig);
}
END_TEST

START_TEST(a_trace_of_one_namespace_leaves_the_others_out)
{
    libcache_trace_options options = LIBCACHE_TRACE_OPTIONS_INIT;
    libcache_trace *trace;
    libcache_error error;
    libcache_ns *other;
    struct rig rig;

    rig_up(&rig);
    other = space(&rig, "other", NULL);
    options.ns_name = "nobody's";
    ck_result(libcache_trace_begin(&trace, rig.cache, &options, &error), LIBCACHE_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "nobody's"));
    trace = begin(rig.cache, 1, "other");
    put(rig.ns, "key", "value");
    put(other, "key", "value");
    ask(rig.ns, "key");
    ask(other, "key");
    ask(other, "none");
    ask(other, "none");
    ck_assert_uint_eq(read_all(trace), 2);
    ck_record(&records[0], "other", LIBCACHE_TRACE_SET, 0, 3, 5);
    ck_record(&records[1], "other", LIBCACHE_TRACE_GET, LIBCACHE_MISS, 4, 0);
    ck_assert_uint_eq(reads(trace), 3); /* the first two were not noticed yet */
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

/* ---- Which keys, and their names ----------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const libcache_trace_record *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

START_TEST(a_key_is_in_the_sample_always_or_never_whichever_handle_reads_it)
{
    enum { KEYS = 3000, TIMES = 4 };
    const char *name = segment_name("trace-sample");
    struct rig a, b;
    libcache_trace *trace;
    size_t n = 0, got = 0, keys = 0;
    char key[20];

    named_up(&a, name);
    named_up(&b, name);
    b.clock = a.clock;
    trace = begin(a.cache, 0.1, NULL);
    ask(a.ns, "x");
    ask(b.ns, "x");
    read_all(trace);
    for (int i = 0; i < KEYS * TIMES; i++) {
        snprintf(key, sizeof key, "key:%d", i % KEYS);
        ask(i / KEYS % 2 ? a.ns : b.ns, key);
        if (i % 100 == 99) {
            ck_result(libcache_trace_read(trace, records + n, ROOM - n, &got), LIBCACHE_OK);
            n += got;
        }
    }
    ck_assert_uint_eq(dropped(trace), 0);
    qsort(records, n, sizeof *records, by_key);
    for (size_t i = 0; i < n; i += TIMES, keys++) {
        ck_assert_uint_le(i + TIMES, n);
        ck_assert_uint_eq(records[i].key, records[i + TIMES - 1].key);
        ck_assert(i + TIMES == n || records[i + TIMES].key != records[i].key);
    }
    /* 300 expected, with a standard deviation of 16 */
    ck_assert_msg(keys > 200 && keys < 400, "%zu keys of %d are in a sample of a tenth", keys, KEYS);
    libcache_trace_end(trace);
    rig_down(&a);
    rig_down(&b);
}
END_TEST

/* What one key is called. */
static uint64_t name_in(libcache_trace *trace, libcache_ns *ns, const char *key)
{
    ask(ns, key);
    ck_assert_uint_eq(read_all(trace), 1);
    return records[0].key;
}

START_TEST(names_are_of_one_trace_and_one_namespace_and_no_hash_that_anybody_can_compute)
{
    libcache_trace *trace;
    uint64_t first, second, elsewhere, raw;
    libcache_ns *other;
    struct rig rig;

    rig_up(&rig);
    other = space(&rig, "other", NULL);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    notice(trace, other);
    first = name_in(trace, rig.ns, "password");
    ck_assert_uint_eq(name_in(trace, rig.ns, "password"), first);
    elsewhere = name_in(trace, other, "password");
    ck_assert_uint_ne(rig.cache->l1.trace->secret[0], 0);
    libcache_trace_end(trace);
    ck_assert_uint_eq(rig.cache->l1.trace->secret[0] | rig.cache->l1.trace->secret[1], 0);
    ask(rig.ns, "password");
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    second = name_in(trace, rig.ns, "password");
    libcache_trace_end(trace);
    memcpy(&raw, "password", sizeof raw);
    ck_assert_uint_ne(first, elsewhere);
    ck_assert_uint_ne(first, second);
    ck_assert_uint_ne(first, raw);
    ck_assert_uint_ne(first, l1_key_of(&rig.cache->l1, rig.ns->id, "password", 8).hash);
    ck_assert_uint_ne(first, hash_bytes("password", 8, 0));
    rig_down(&rig);
}
END_TEST

/* ---- Bounds ------------------------------------------------------------------------------------------------------------------------ */

START_TEST(what_finds_no_room_is_dropped_and_counted)
{
    libcache_trace_stats stats = LIBCACHE_TRACE_STATS_INIT;
    libcache_trace *trace;
    struct rig rig;
    size_t room;

    rig_up(&rig);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    ck_result(libcache_trace_status(trace, &stats), LIBCACHE_OK);
    room = stats.queue_records;
    ck_assert_uint_gt(room, 0);
    ck_assert_uint_le(room * sizeof(struct trace_record), rig.options.memory_bytes / 256);
    for (size_t i = 0; i < room + 7; i++)
        ask(rig.ns, "key");
    ck_assert_uint_eq(dropped(trace), 7);
    ck_assert_uint_eq(read_all(trace), room);
    ask(rig.ns, "key");
    ck_assert_uint_eq(read_all(trace), 1);
    ck_assert_uint_eq(dropped(trace), 7);
    libcache_trace_end(trace);
    trace = begin(rig.cache, 1, NULL); /* another one begins at none */
    ck_assert_uint_eq(dropped(trace), 0);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(a_trace_that_is_not_read_ends_by_itself)
{
    libcache_trace_options options = LIBCACHE_TRACE_OPTIONS_INIT;
    libcache_trace *trace;
    struct rig rig;
    size_t got = 99;

    rig_up(&rig);
    options.lease_ms = 1000;
    ck_result(libcache_trace_begin(&trace, rig.cache, &options, NULL), LIBCACHE_OK);
    notice(trace, rig.ns);
    fake_clock_advance(&rig.clock, 900);
    read_all(trace); /* it lives */
    fake_clock_advance(&rig.clock, 999);
    ask(rig.ns, "key");
    ck_assert(is_noticed(rig.ns));
    ck_assert_uint_eq(read_all(trace), 1);
    fake_clock_advance(&rig.clock, 1000);
    ask(rig.ns, "key");
    ck_assert(!is_noticed(rig.ns));
    ck_assert_uint_eq(rig.cache->l1.trace->id, 0);
    for (int i = 0; i < 600; i++)
        ask(rig.ns, "key");
    ck_assert(!is_noticed(rig.ns));
    ck_result(libcache_trace_read(trace, records, ROOM, &got), LIBCACHE_ENOTFOUND);
    ck_assert_uint_eq(got, 99);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(there_is_one_at_a_time_and_a_killed_readers_is_taken_over)
{
    const char *name = segment_name("trace-killed");
    libcache_trace *trace, *second;
    libcache_error error;
    struct rig rig;
    char pid[30];
    int ready[2];
    pid_t child;

    named_up(&rig, name);
    trace = begin(rig.cache, 1, NULL);
    ck_result(libcache_trace_begin(&second, rig.cache, NULL, &error), LIBCACHE_EBUSY);
    snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
    ck_assert_msg(strstr(error.text, pid) != NULL, "%s", error.text);
    libcache_trace_end(trace);

    ck_assert_int_eq(pipe(ready), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char yes = libcache_trace_begin(&trace, rig.cache, NULL, NULL) == LIBCACHE_OK;
        if (write(ready[1], &yes, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq((int)read(ready[0], pid, 1), 1);
    ck_assert_int_eq(pid[0], 1);
    ck_result(libcache_trace_begin(&trace, rig.cache, NULL, NULL), LIBCACHE_EBUSY);
    put(rig.ns, "key", "value");
    ck_value(rig.ns, "key", "value");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 600; i++) /* the queue overflows: nobody minds */
        ck_value(rig.ns, "key", "value");
    trace = begin(rig.cache, 1, NULL); /* before the lease has ended */
    notice(trace, rig.ns);
    ck_value(rig.ns, "key", "value");
    ck_assert_uint_eq(read_all(trace), 1);
    ck_assert_uint_eq(dropped(trace), 0);
    libcache_trace_end(trace);
    close(ready[0]);
    close(ready[1]);
    rig_down(&rig);
}
END_TEST

START_TEST(an_ended_readers_handle_does_nothing_to_the_next_trace)
{
    libcache_trace *old, *trace;
    struct rig rig;
    size_t got;

    rig_up(&rig);
    old = begin(rig.cache, 1, NULL);
    fake_clock_advance(&rig.clock, 6000);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    ask(rig.ns, "key");
    ck_result(libcache_trace_read(old, records, ROOM, &got), LIBCACHE_ENOTFOUND);
    libcache_trace_end(old);
    ck_assert_uint_eq(read_all(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(a_forked_child_leaves_its_parents_trace_alone)
{
    const char *name = segment_name("trace-fork");
    libcache_trace *trace;
    struct rig rig;
    int status;
    pid_t child;

    named_up(&rig, name);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        size_t got;
        int right = libcache_trace_read(trace, records, ROOM, &got) == LIBCACHE_EINVAL;
        libcache_trace_end(trace);
        ask(rig.ns, "of the child");
        _exit(right ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ask(rig.ns, "of the parent");
    ck_assert_uint_eq(read_all(trace), 2);
    ck_assert_uint_eq(records[0].key_size, strlen("of the child"));
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

/* ---- Damage -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(a_record_that_nobody_finishes_is_given_up_and_those_behind_it_are_not)
{
    libcache_trace *trace;
    struct rig rig;

    rig_up(&rig);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    ask(rig.ns, "before");
    rig.cache->l1.trace->next++; /* claimed by somebody who was killed then */
    ask(rig.ns, "behind it");
    ck_assert_uint_eq(read_all(trace), 1);
    ck_assert_uint_eq(records[0].key_size, 6);
    ck_assert_uint_eq(read_all(trace), 0); /* it may still come */
    ck_assert_uint_eq(dropped(trace), 0);
    ck_wait_until(read_all(trace) == 1);
    ck_assert_uint_eq(records[0].key_size, 9);
    ck_assert_uint_eq(dropped(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(a_record_that_somebody_has_written_over_is_given_up)
{
    libcache_trace *trace;
    struct rig rig;

    rig_up(&rig);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    for (int i = 0; i < 3; i++)
        ask(rig.ns, "key");
    rig.cache->l1.trace->record[(rig.cache->l1.trace->next - 2) % rig.cache->l1.layout.trace_records].word[1] ^= 1 << 5;
    ck_assert_uint_eq(read_all(trace), 1);
    ck_wait_until(read_all(trace) == 1);
    ck_assert_uint_eq(dropped(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(a_queue_that_claims_to_hold_more_than_it_has_room_for_begins_anew)
{
    libcache_trace *trace;
    struct rig rig;

    rig_up(&rig);
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    ask(rig.ns, "key");
    rig.cache->l1.trace->next += UINT64_C(1) << 40;
    ck_assert_uint_eq(read_all(trace), 0);
    ck_assert_uint_eq(dropped(trace), 1);
    ask(rig.ns, "key");
    ck_assert_uint_eq(read_all(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

START_TEST(whatever_is_scribbled_over_the_queue_no_call_crashes_and_values_stay_right)
{
    struct dice dice = dice_of(1);
    libcache_trace *trace;
    struct rig rig;
    size_t got;

    rig_up(&rig);
    put(rig.ns, "key", "value");
    for (unsigned long round = 0; round < scaled(3000); round++) {
        struct trace_area *area = rig.cache->l1.trace;
        size_t bytes = sizeof *area + rig.cache->l1.layout.trace_records * sizeof area->record[0];

        if (libcache_trace_begin(&trace, rig.cache, NULL, NULL) != LIBCACHE_OK)
            trace = NULL;
        for (int i = 0; i < 20; i++) {
            uint64_t *word =
                (uint64_t *)(void *)area + dice_below(&dice, (dice_chance(&dice, 50) ? sizeof *area : bytes) / 8);
            *word = dice_chance(&dice, 30)   ? 0
                    : dice_chance(&dice, 50) ? UINT64_MAX - dice_below(&dice, 9)
                                             : dice_roll(&dice);
            ck_value(rig.ns, "key", "value");
            ask(rig.ns, "none");
        }
        if (trace) {
            int result = libcache_trace_read(trace, records, ROOM, &got);
            ck_assert(result == LIBCACHE_OK || result == LIBCACHE_ENOTFOUND);
        }
        libcache_trace_end(trace);
        area->id = 0;
    }
    trace = begin(rig.cache, 1, NULL); /* and it works again */
    notice(trace, rig.ns);
    ck_value(rig.ns, "key", "value");
    ck_assert_uint_eq(read_all(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

/* ---- Together ------------------------------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, GETS = 20000 };

static void *read_on(void *arg)
{
    struct rig *rig = arg;
    libcache_value value = LIBCACHE_VALUE_INIT;
    char key[20];

    for (unsigned long i = 0; i < scaled(GETS); i++) {
        int size = snprintf(key, sizeof key, "k%lu", i % 100);
        libcache_get(rig->ns, key, (size_t)size, &value, 0);
    }
    libcache_release_value(&value);
    return NULL;
}

START_TEST(threads_that_write_while_it_is_read_lose_nothing_but_what_is_counted)
{
    pthread_t threads[THREADS];
    libcache_trace *trace;
    uint64_t before, seen = 0, wanted = THREADS * scaled(GETS);
    struct rig rig;
    char key[20];

    rig_up(&rig);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(rig.ns, key, "value");
    }
    trace = begin(rig.cache, 1, NULL);
    notice(trace, rig.ns);
    before = reads(trace);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &rig), 0);
    while (reads(trace) - before < wanted) {
        seen += read_all(trace);
        usleep(200);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_wait_until((seen += read_all(trace)) + dropped(trace) >= wanted);
    ck_assert_uint_eq(seen + dropped(trace), wanted);
    ck_assert_uint_gt(seen, 0);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

/* ---- Bad input ----------------------------------------------------------------------------------------------------------------------- */

START_TEST(bad_options_are_refused_by_name)
{
    static const struct {
        double rate;
        unsigned lease_ms;
        const char *word;
    } bad[] = { { -0.1, 0, "rate" },
                { 1.1, 0, "rate" },
                { 0.0 / 0.0, 0, "rate" },
                { 1, 99, "lease_ms" },
                { 1, 3600001, "lease_ms" } };
    libcache_trace_stats stats = LIBCACHE_TRACE_STATS_INIT;
    libcache_trace *trace = NULL;
    libcache_error error;
    struct rig rig;
    size_t got;

    rig_up(&rig);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        libcache_trace_options options = LIBCACHE_TRACE_OPTIONS_INIT;
        options.rate = bad[i].rate;
        options.lease_ms = bad[i].lease_ms;
        ck_result(libcache_trace_begin(&trace, rig.cache, &options, &error), LIBCACHE_EINVAL);
        ck_assert_msg(strstr(error.text, bad[i].word) != NULL, "%s", error.text);
    }
    ck_result(libcache_trace_begin(NULL, rig.cache, NULL, &error), LIBCACHE_EINVAL);
    ck_result(libcache_trace_begin(&trace, NULL, NULL, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_trace_read(NULL, records, 1, &got), LIBCACHE_EINVAL);
    ck_result(libcache_trace_status(NULL, &stats), LIBCACHE_EINVAL);
    libcache_trace_end(NULL);
    rig.memory.fail_at = 1;
    ck_result(libcache_trace_begin(&trace, rig.cache, NULL, &error), LIBCACHE_ENOMEM);
    ck_assert_uint_eq(rig.cache->l1.trace->id, 0);
    ck_assert_ptr_null(trace);
    trace = begin(rig.cache, 0, NULL); /* zero: the default, all */
    notice(trace, rig.ns);
    ck_result(libcache_trace_read(trace, NULL, 1, &got), LIBCACHE_EINVAL);
    ck_result(libcache_trace_read(trace, records, 0, &got), LIBCACHE_EINVAL);
    ck_result(libcache_trace_read(trace, records, 1, NULL), LIBCACHE_EINVAL);
    ck_result(libcache_trace_status(trace, NULL), LIBCACHE_EINVAL);
    ask(rig.ns, "key");
    ck_assert_uint_eq(read_all(trace), 1);
    libcache_trace_end(trace);
    rig_down(&rig);
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "trace", siphash_gives_what_its_authors_say, each_kind_of_read_and_change_is_written_down_once,
        what_redis_answers_is_a_hit_and_what_a_handle_read_only_reads_is_not_written_down,
        who_only_hits_notices_within_256_hits_and_forgets_when_it_is_over,
        a_trace_of_one_namespace_leaves_the_others_out,
        a_key_is_in_the_sample_always_or_never_whichever_handle_reads_it,
        names_are_of_one_trace_and_one_namespace_and_no_hash_that_anybody_can_compute,
        what_finds_no_room_is_dropped_and_counted, a_trace_that_is_not_read_ends_by_itself,
        there_is_one_at_a_time_and_a_killed_readers_is_taken_over,
        an_ended_readers_handle_does_nothing_to_the_next_trace, a_forked_child_leaves_its_parents_trace_alone,
        a_record_that_nobody_finishes_is_given_up_and_those_behind_it_are_not,
        a_record_that_somebody_has_written_over_is_given_up,
        a_queue_that_claims_to_hold_more_than_it_has_room_for_begins_anew,
        whatever_is_scribbled_over_the_queue_no_call_crashes_and_values_stay_right,
        threads_that_write_while_it_is_read_lose_nothing_but_what_is_counted, bad_options_are_refused_by_name);
}
