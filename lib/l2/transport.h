/*
 * Getting commands to one Redis server and the answers back: connections in a pool, a breaker before them, one deadline
 * over all of it. Knows nothing of keys, values and scripts. SPDX-License-Identifier: MIT
 *
 * Files: url (what to connect to), resolve (names to addresses), socket (bytes under a deadline), resp (hiredis),
 * connection (one conversation), pool (several), breaker, transport (these together).
 */
#ifndef L2_TRANSPORT_H
#define L2_TRANSPORT_H
#include "l2/breaker.h"
#include "l2/resp.h"

/* Deadlines are nanoseconds of CLOCK_MONOTONIC, whatever clock the cache was given: they bound real waiting. */
uint64_t deadline_after_ms(uint64_t ms);

/* What happens on connections, as it is told while it happens. */
enum traffic {
    TRAFFIC_CONNECT,
    TRAFFIC_TIMEOUT,
    TRAFFIC_RETRY,
    TRAFFIC_SENT_BYTES,
    TRAFFIC_RECEIVED_BYTES,
    TRAFFIC_POOL_WAIT,
    TRAFFIC_POOL_REFUSAL
};

struct transport_options {
    const char *url;
    unsigned pool_min, pool_max, pool_overflow, pool_wait_ms, pool_idle_ms;
    unsigned breaker_failures, breaker_backoff_ms, breaker_backoff_max_ms;
    size_t max_reply_bytes;
    const libcache_allocator *allocator; /* outlives the transport */
    uint64_t (*clock_ms)(void *arg);     /* for idling and the breaker; never NULL */
    void *clock_arg;
    uint64_t (*random)(void *arg);       /* never NULL */
    void *random_arg;
    void (*log)(void *arg, int level, const char *message); /* may be NULL */
    void *log_arg;
    void (*timed)(void *arg, uint64_t ns); /* told how long each exchange took that got a connection's place. May be NULL */
    void *timed_arg;
    void (*counted)(void *arg, enum traffic which, uint64_t n); /* told of traffic, maybe under a lock. May be NULL */
    void *counted_arg;
    struct breaker *breaker;             /* in memory that processes may share, all zero at first; outlives it */
    /*
     * What is said on every new connection, after AUTH and SELECT and in one write with them: `greet` adds commands,
     * `greeted` gets their answers, n of them, before anything else is sent, and gives OK or why not to use it.
     * Both NULL: nothing. Called with no lock held.
     */
    int (*greet)(void *arg, struct request *request);
    int (*greeted)(void *arg, const struct reply *replies, size_t n);
    void *greet_arg;
};

struct transport;

/* Checks the URL; connects to nobody. EINVAL (what is wrong, without the password), ENOMEM. */
int transport_open(struct transport **out, const struct transport_options *options, libcache_error *error);
void transport_close(struct transport *transport); /* NULL allowed */

/* "host:port/db" or "unix:/path/db": never a user or password. Lives as long as the transport. */
const char *transport_name(const struct transport *transport);

enum exchange_flag {
    EXCHANGE_REPEATABLE = 1, /* may be sent again on another connection when the first died without an answer */
    EXCHANGE_PROBE = 2       /* the listener's own business: goes past an open breaker */
};

/*
 * Sends the request on a pooled connection and reads all its answers. OK: out->n == request->commands; any of them may
 * be an error answer, and READONLY and the like have had their consequences (connections dropped). Else out is empty:
 * EUNAVAILABLE (nothing was sent: breaker open, refused, no connection free in time, greeting says loading),
 * ETIMEDOUT (something was sent, and then the deadline passed or the connection died: it may have happened there),
 * EDENIED or EREMOTE (a new connection: the server refuses user, password or database, now or within the last 30 s),
 * EPROTOCOL, ENOMEM, and what `greeted` said.
 * After any but OK the connection is closed, never reused.
 */
int transport_exchange(struct transport *transport, const struct request *request, struct replies *out,
                       uint64_t deadline, unsigned flags);

/* ---- A connection of one's own, for the listener -------------------------------------------------------- */

struct connection;

/*
 * Connects and greets, past an open breaker, but tells it how it went. Its bytes are not in the statistics. Results as of
 * transport_exchange, or MISS (wake_fd). Close it before the transport. A forked child can only close it: exchanges give
 * EUNAVAILABLE there. fd, if it is not NULL, is where its descriptor is kept while it is open, else -1, at whatever instant a fork
 * happens: a child whose threads are gone closes that.
 */
int transport_connect(struct transport *transport, struct connection **out, int *fd, uint64_t deadline, int wake_fd);
void connection_close(struct connection *connection); /* NULL allowed; plain close, no QUIT */

/* As transport_exchange. wake_fd (-1: none) becoming readable ends the wait at once with MISS, and the connection is then
 * of no more use. */
int connection_exchange(struct connection *connection, const struct request *request, struct replies *out,
                        uint64_t deadline, int wake_fd);

struct transport_stats {
    uint64_t connects, connect_failures, exchanges, failures, timeouts, protocol_errors, denied, retries, pool_waits,
        pool_refusals, bytes_out, bytes_in, busy_ns;
    unsigned connections; /* open now, in this process */
};

void transport_stats(const struct transport *transport, struct transport_stats *out);

/* 1 when the last exchange of any process that shares the breaker went well, 0 when the breaker is open. */
int transport_is_up(const struct transport *transport);

#endif
