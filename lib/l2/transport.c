/*
 * Requests to one server: breaker, pool, the one retry, and what follows from an answer. SPDX-License-Identifier: MIT
 *
 * The retry. A pooled connection may have died since it was used, and the only cheap way to find out is to use it. So
 * when a *reused* connection ends before the first byte of an answer, the request goes once more, on a new connection,
 *
 *     when nothing was sent                                always: the server cannot have seen it
 *     when something was sent, and it is repeatable        the server may do it twice: that is what repeatable means
 *     else                                                 ETIMEDOUT: it may have happened
 *
 * if the retry budget allows (pool.c). A fresh connection that dies is a failure, not an accident: no retry.
 *
 * Failures, as the breaker counts them: no connection, a deadline, a lost connection, garbage, "not now" (LOADING and
 * the like). An error answer to one command, wrong credentials or no memory of our own say nothing about whether the
 * server is there.
 *
 * Wrong credentials will still be wrong in a millisecond: after such a refusal nobody connects for 30 s of the
 * cache's clock, and the log hears of it once. Connections that are open go on: they have been let in.
 */
#include "l2/pool.h"

#include "base/error.h"
#include "base/platform.h"

#include <stdio.h>
#include <string.h>

#define DENIED_MS 30000
#define PROBE_MARGIN_MS 100

enum state { STATE_UP, STATE_DOWN, STATE_DENIED }; /* as the log was last told */

struct transport {
    struct transport_options options; /* without the url */
    struct connection_setup setup;
    struct url url;
    struct pool pool;
    uint32_t said;            /* enum state; atomic */
    uint32_t denied_result;   /* EDENIED or EREMOTE, negated; 0: not denied; atomic */
    uint64_t denied_until_ms; /* atomic */
};

static uint64_t now_ms(const struct transport *transport)
{
    return transport->options.clock_ms(transport->options.clock_arg);
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

int transport_open(struct transport **out, const struct transport_options *options, libcache_error *error)
{
    const libcache_allocator *allocator = options->allocator;
    struct pool_limits limits = { options->pool_min, options->pool_max, options->pool_overflow, options->pool_wait_ms,
                                  options->pool_idle_ms };
    struct transport *transport = memory_zero(allocator, sizeof *transport);
    int result;

    if (!transport)
        return error_set(error, LIBCACHE_ENOMEM, "out of memory");
    result = url_parse(&transport->url, options->url, allocator, error);
    if (result != LIBCACHE_OK)
        goto free_transport;
    result = pool_init(&transport->pool, &limits, allocator);
    if (result != LIBCACHE_OK) {
        error_set(error, result, "out of memory");
        goto free_url;
    }
    transport->pool.counted = options->counted;
    transport->pool.counted_arg = options->counted_arg;
    transport->options = *options;
    transport->options.url = NULL;
    transport->setup = (struct connection_setup){ &transport->url, options->max_reply_bytes, allocator,
                                                  options->greet,  options->greeted,         options->greet_arg };
    *out = transport;
    return LIBCACHE_OK;

free_url:
    url_free(&transport->url, allocator);
free_transport:
    memory_free(allocator, transport);
    return result;
}

void transport_close(struct transport *transport)
{
    const libcache_allocator *allocator;

    if (!transport)
        return;
    allocator = transport->options.allocator;
    pool_free(&transport->pool);
    url_free(&transport->url, allocator);
    memory_free(allocator, transport);
}

const char *transport_name(const struct transport *transport)
{
    return transport->url.name;
}

/* ---- What is noticed: breaker, credentials, log ---------------------------------------------------------------- */

/* The log hears of changes only. */
static void say(struct transport *transport, enum state state, const char *why)
{
    static const char *const words[] = { "is up again", "is down", "is not to be had" };
    static const int levels[] = { LIBCACHE_LOG_INFO, LIBCACHE_LOG_WARNING, LIBCACHE_LOG_ERROR };
    char text[URL_NAME_MAX_BYTES + 100];

    if (load_relaxed(&transport->said) == state ||
        __atomic_exchange_n(&transport->said, state, __ATOMIC_RELAXED) == state || !transport->options.log)
        return;
    snprintf(text, sizeof text, "redis %s %s%s%s", transport->url.name, words[state], why ? ": " : "", why ? why : "");
    transport->options.log(transport->options.log_arg, levels[state], text);
}

static struct breaker_limits limits_of(const struct transport *transport, uint64_t deadline)
{
    uint64_t now = monotonic_ns(), left_ms = now < deadline ? (deadline - now) / 1000000 : 0;

    return (struct breaker_limits){ transport->options.breaker_failures, transport->options.breaker_backoff_ms,
                                    transport->options.breaker_backoff_max_ms,
                                    (unsigned)(left_ms < 60000 ? left_ms : 60000) + PROBE_MARGIN_MS };
}

static void note_failure(struct transport *transport, const char *why)
{
    const struct breaker_limits limits = limits_of(transport, 0);

    pool_count(&transport->pool, &transport->pool.stats.failures);
    breaker_failure(transport->options.breaker, &limits, now_ms(transport),
                    transport->options.random(transport->options.random_arg));
    if (!breaker_closed(transport->options.breaker))
        say(transport, STATE_DOWN, why);
}

static void note_success(struct transport *transport)
{
    breaker_success(transport->options.breaker);
    if (likely(!load_relaxed(&transport->denied_result)))
        say(transport, STATE_UP, NULL);
}

static void note_denied(struct transport *transport, int result, const char *why)
{
    store_relaxed(&transport->denied_until_ms, now_ms(transport) + DENIED_MS);
    store_release(&transport->denied_result, (uint32_t)-result);
    pool_count(&transport->pool, &transport->pool.stats.denied);
    say(transport, STATE_DENIED, why);
}

/* OK, or the refusal that is not 30 s old yet. */
static int check_denied(const struct transport *transport)
{
    uint32_t denied = load_acquire(&transport->denied_result);

    if (!denied || now_ms(transport) >= load_relaxed(&transport->denied_until_ms))
        return LIBCACHE_OK;
    return -(int)denied;
}

/* ---- Connecting ------------------------------------------------------------------------------------------------ */

static int connect_now(struct transport *transport, struct connection **out, int *fd, const struct patience *patience)
{
    struct transport_stats *stats = &transport->pool.stats;
    struct connect_report report;
    int result = check_denied(transport);

    if (result != LIBCACHE_OK)
        return result;
    result = connection_open(out, &transport->setup, fd, patience, &report);
    if (result == LIBCACHE_OK) {
        pool_count_traffic(&transport->pool, TRAFFIC_CONNECT);
        store_relaxed(&transport->denied_result, 0);
        return LIBCACHE_OK;
    }
    if (result == LIBCACHE_MISS || result == LIBCACHE_ENOMEM)
        return result;
    pool_count(&transport->pool, &stats->connect_failures);
    if (report.late)
        pool_count_traffic(&transport->pool, TRAFFIC_TIMEOUT);
    if (result == LIBCACHE_EPROTOCOL)
        pool_count(&transport->pool, &stats->protocol_errors);
    if (report.denied)
        note_denied(transport, result, report.why);
    else if (result == LIBCACHE_EUNAVAILABLE || result == LIBCACHE_EPROTOCOL)
        note_failure(transport, report.why);
    return result;
}

int transport_connect(struct transport *transport, struct connection **out, int *fd, uint64_t deadline, int wake_fd)
{
    const struct patience patience = { deadline, wake_fd };
    struct connection *connection;
    int result = connect_now(transport, &connection, fd, &patience);

    if (result == LIBCACHE_OK) {
        note_success(transport);
        *out = connection;
    }
    return result;
}

/* ---- Exchanging ------------------------------------------------------------------------------------------------ */

/* The server spoke. What follows from what it said? */
static void look_at_answers(struct transport *transport, struct connection *connection, const struct replies *replies)
{
    int unavailable = 0, moved = 0, full = 0, stranger = 0;

    for (size_t i = 0; i < replies->n; i++) {
        const struct reply *reply = &replies->item[i];
        if (likely(reply->kind != REPLY_ERROR))
            continue;
        unavailable |= reply_result(reply) == LIBCACHE_EUNAVAILABLE;
        moved |= reply_is_error(reply, "READONLY");
        full |= reply_is_refusal(reply);
        stranger |= reply_is_error(reply, "NOAUTH");
    }
    if (unlikely(full || stranger))
        connection->broken = 1; /* it will be the same for the next request on it */
    if (unlikely(moved))
        pool_drop(&transport->pool); /* this one comes back as of an old generation; the name resolves anew */
    if (unlikely(stranger))
        note_denied(transport, LIBCACHE_EDENIED, "it wants a password");
    else if (unlikely(unavailable))
        note_failure(transport, moved ? "it has become a replica" : "it is not ready");
    else
        note_success(transport);
}

static const char *name_failure(struct transport *transport, const struct connection *connection, int result)
{
    struct transport_stats *stats = &transport->pool.stats;

    if (result == LIBCACHE_EPROTOCOL) {
        pool_count(&transport->pool, &stats->protocol_errors);
        return "what answers is not Redis";
    }
    if (connection->late) {
        pool_count_traffic(&transport->pool, TRAFFIC_TIMEOUT);
        return "it does not answer in time";
    }
    return "it ends the connection";
}

/* It has died in our hands, but nobody can say that it was alive when we took it. */
static int deserves_retry(const struct slot *slot, unsigned flags)
{
    const struct connection *connection = slot->connection;

    return slot->reused && connection->died && connection->received == 0 &&
           (connection->sent == 0 || (flags & EXCHANGE_REPEATABLE));
}

static int exchange_in(struct transport *transport, struct slot *slot, const struct request *request,
                       struct replies *out, const struct patience *patience, unsigned flags)
{
    for (;;) {
        int result = LIBCACHE_OK;
        if (!slot->connection)
            result = connect_now(transport, &slot->connection, &slot->fd, patience);
        if (result != LIBCACHE_OK)
            return result;
        result = connection_converse(slot->connection, request, out, patience);
        if (result == LIBCACHE_OK) {
            look_at_answers(transport, slot->connection, out);
            return LIBCACHE_OK;
        }
        if (deserves_retry(slot, flags) && pool_may_retry(&transport->pool)) {
            pool_replace(&transport->pool, slot);
            continue;
        }
        if (result != LIBCACHE_ENOMEM)
            note_failure(transport, name_failure(transport, slot->connection, result));
        return result;
    }
}

int transport_exchange(struct transport *transport, const struct request *request, struct replies *out,
                       uint64_t deadline, unsigned flags)
{
    const struct patience patience = { deadline, -1 };
    uint64_t now = now_ms(transport), begun, took;
    struct slot *slot;
    int result;

    if (!(flags & EXCHANGE_PROBE) && unlikely(!breaker_closed(transport->options.breaker))) {
        const struct breaker_limits limits = limits_of(transport, deadline);
        if (!breaker_allows(transport->options.breaker, &limits, now))
            return LIBCACHE_EUNAVAILABLE;
    }
    begun = monotonic_ns();
    result = pool_checkout(&transport->pool, &slot, deadline, now);
    if (result != LIBCACHE_OK)
        return result;
    result = exchange_in(transport, slot, request, out, &patience, flags);
    took = monotonic_ns() - begun;
    pool_checkin(&transport->pool, slot, now, took);
    if (transport->options.timed)
        transport->options.timed(transport->options.timed_arg, took);
    return result;
}

/* ---- Looking at it --------------------------------------------------------------------------------------------- */

void transport_stats(const struct transport *transport, struct transport_stats *out)
{
    pool_stats(&((struct transport *)transport)->pool, out); /* its lock is not const */
}

int transport_is_up(const struct transport *transport)
{
    return breaker_closed(transport->options.breaker) && load_relaxed(&transport->denied_result) == 0;
}
