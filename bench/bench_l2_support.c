/* Handles, keys, plain hiredis, waiting, processes. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench_l2.h"

#include "l2/names.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Deadlines are measured where they matter; elsewhere a busy machine is no failure. */
enum { PATIENT_MS = 5000 };

enum { KEY_BYTES = 24, FILL_AT_ONCE = 64 };

/* ---- Handles ---------------------------------------------------------------------------------------------- */

l2_cache l2_open_cache(const char *url, const libcache_options *options)
{
    libcache_options all = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    l2_cache c;

    if (options != NULL)
        all = *options;
    all.redis_url = url;
    if (all.redis_timeout_ms == 0)
        all.redis_timeout_ms = PATIENT_MS;
    if (libcache_open(&c.cache, &all, &error) != LIBCACHE_OK ||
        libcache_open_namespace(&c.ns, c.cache, L2_SPACE, NULL, &error) != LIBCACHE_OK)
        harness_die("cannot open a cache: %s", error.text);
    return c;
}

void l2_close_cache(l2_cache *cache)
{
    libcache_close(cache->cache);
    cache->cache = NULL;
}

libcache_stats l2_stats(const l2_cache *cache)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    libcache_read_stats(cache->cache, &stats);
    return stats;
}

void l2_expect(const char *call, int result, int wanted)
{
    if (result != wanted)
        harness_die("%s gave %d (%s), not %d", call, result, libcache_describe(result), wanted);
}

/* ---- Keys and values --------------------------------------------------------------------------------------- */

void l2_make_keys(l2_keys *keys, size_t n, size_t value_bytes)
{
    const libcache_slice space = LIBCACHE_STR(L2_SPACE);
    size_t stride = 0;

    keys->n = n;
    keys->value_bytes = value_bytes;
    keys->key = harness_allocate(n * sizeof *keys->key);
    keys->name = harness_allocate(n * sizeof *keys->name);
    keys->bytes = NULL;
    for (size_t i = 0; i < n; i++) {
        char text[40];
        struct data_name name;

        snprintf(text, sizeof text, "user_profile:%011zu", i);
        name_data(&name, "libcache", space, (libcache_slice){ text, KEY_BYTES });
        if (keys->bytes == NULL) {
            stride = name.size;
            keys->bytes = harness_allocate(n * stride);
        }
        memcpy(keys->bytes + i * stride, name.bytes, stride);
        keys->name[i] = (libcache_slice){ keys->bytes + i * stride, stride };
        keys->key[i] = (libcache_slice){ keys->bytes + i * stride + stride - KEY_BYTES, KEY_BYTES };
    }
}

void l2_free_keys(l2_keys *keys)
{
    free(keys->key);
    free(keys->name);
    free(keys->bytes);
}

void l2_make_value(const l2_keys *keys, size_t number, char *out)
{
    uint64_t head = number, state = number;

    memcpy(out, &head, sizeof head);
    for (size_t i = sizeof head; i < keys->value_bytes; i++)
        out[i] = (char)harness_random(&state);
}

void l2_check_value(const l2_keys *keys, size_t number, const void *value, size_t size)
{
    uint64_t head = 0;

    if (size >= sizeof head)
        memcpy(&head, value, sizeof head);
    if (size != keys->value_bytes || head != number)
        harness_die("key %zu has a value of %zu bytes that begins with %llu", number, size, (unsigned long long)head);
}

void l2_fill(const l2_cache *cache, const l2_keys *keys, unsigned flags)
{
    libcache_set_options options = LIBCACHE_SET_OPTIONS_INIT;
    libcache_item items[FILL_AT_ONCE];
    char *values = harness_allocate(FILL_AT_ONCE * keys->value_bytes);

    options.flags = flags;
    for (size_t from = 0; from < keys->n; from += FILL_AT_ONCE) {
        size_t n = keys->n - from < FILL_AT_ONCE ? keys->n - from : FILL_AT_ONCE;

        for (size_t i = 0; i < n; i++) {
            l2_make_value(keys, from + i, values + i * keys->value_bytes);
            items[i].key = keys->key[from + i];
            items[i].value = (libcache_slice){ values + i * keys->value_bytes, keys->value_bytes };
            items[i].options = &options;
        }
        l2_expect("libcache_set_many", libcache_set_many(cache->ns, items, n), LIBCACHE_OK);
    }
    free(values);
}

/* ---- Plain hiredis -------------------------------------------------------------------------------------------- */

redisContext *raw_connect(const l2_context *context)
{
    redisContext *raw = strcmp(context->socket, "unix") == 0 ? redisConnectUnix(context->server->socket)
                                                             : redisConnect("127.0.0.1", (int)context->server->port);

    if (raw == NULL || raw->err != 0)
        harness_die("hiredis cannot connect: %s", raw != NULL ? raw->errstr : "no memory");
    return raw;
}

redisReply *raw_command(redisContext *raw, int argc, const char **argv, const size_t *sizes, int type)
{
    redisReply *reply = redisCommandArgv(raw, argc, argv, sizes);

    if (reply == NULL)
        harness_die("%s: %s", argv[0], raw->errstr);
    if (reply->type != type)
        harness_die("%s: %s", argv[0], reply->type == REDIS_REPLY_ERROR ? reply->str : "not the reply that was expected");
    return reply;
}

redisReply *raw_get(redisContext *raw, libcache_slice name)
{
    const char *argv[2] = { "GET", name.data };
    const size_t sizes[2] = { 3, name.size };

    return raw_command(raw, 2, argv, sizes, REDIS_REPLY_STRING);
}

void raw_ping(redisContext *raw)
{
    const char *argv[1] = { "PING" };
    const size_t sizes[1] = { 4 };

    freeReplyObject(raw_command(raw, 1, argv, sizes, REDIS_REPLY_STATUS));
}

void raw_empty(const l2_context *context)
{
    char answer[200];

    if (REDIS_TELL(context->server, answer, "FLUSHALL") < 0)
        harness_die("FLUSHALL: %s", answer);
}

/* ---- Results -------------------------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from);
}

l2_result l2_make_result(const l2_context *context, const char *bench, const char *operation, const char *engine,
                         double value_bytes)
{
    l2_result result;

    memset(&result, 0, sizeof result);
    copy_text(result.bench, sizeof result.bench, bench);
    copy_text(result.operation, sizeof result.operation, operation);
    copy_text(result.engine, sizeof result.engine, engine);
    copy_text(result.socket, sizeof result.socket, context->socket);
    result.value_bytes = value_bytes;
    result.p50_us = result.p99_us = result.max_us = NAN;
    result.mean_us = result.fastest_us = result.slowest_us = NAN;
    return result;
}

void l2_add_extra(l2_result *result, const char *name, double value)
{
    l2_extra *extra = &result->extra[result->n_extra];

    if (result->n_extra++ == L2_EXTRA_MAX)
        harness_die("too many extras");
    copy_text(extra->name, sizeof extra->name, name);
    extra->value = value;
}

void l2_emit_target(const l2_context *context, const char *bench, const char *what, double value, const char *unit,
                    double limit, int at_least)
{
    l2_result result = l2_make_result(context, bench, "", "", 0);

    result.is_target = 1;
    copy_text(result.what, sizeof result.what, what);
    copy_text(result.unit, sizeof result.unit, unit);
    result.value = value;
    result.limit = limit;
    result.at_least = at_least;
    l2_emit(&result);
}

int l2_target_met(const l2_result *target)
{
    return target->at_least ? target->value >= target->limit : target->value <= target->limit;
}

/* ---- Waiting and processes --------------------------------------------------------------------------------------- */

void l2_sleep_until(uint64_t ns)
{
    const struct timespec when = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

void l2_nap_us(unsigned us)
{
    l2_sleep_until(harness_now_ns() + us * UINT64_C(1000));
}

void l2_fine_timers(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

void l2_pin(const l2_context *context)
{
    const int wanted = context->options->pin == PIN_APART;
    cpu_set_t allowed, server;
    int cpu = 0;

    if (context->options->pin == PIN_NOT || sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        CPU_COUNT(&allowed) < 2)
        return;
    harness_pin_thread(0);
    for (int seen = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && seen++ == wanted)
            break;
    CPU_ZERO(&server);
    CPU_SET(cpu, &server);
    (void)sched_setaffinity(context->server->pid, sizeof server, &server);
}

pid_t l2_fork(void (*run)(void *arg), void *arg)
{
    pid_t parent = getpid(), child;

    fflush(stdout);
    child = fork();
    if (child < 0)
        harness_die("cannot start a process: %s", strerror(errno));
    if (child > 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    run(arg);
    _exit(0);
}

void l2_reap(pid_t child, int must_succeed)
{
    int status = 0;

    if (!must_succeed)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (must_succeed && status != 0)
        harness_die("the other process failed");
}
