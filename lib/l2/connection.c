/*
 * SPDX-License-Identifier: MIT
 *
 * One conversation: requests out, as many answers in, in order. RESP has no numbers on its answers. What makes an
 * answer ours is only that it is the n-th on this connection; once we have lost count, every value that comes is
 * somebody else's, and nothing about it looks wrong. So the count is kept here, and everything that casts doubt on it
 * ends the connection:
 *
 *   - `outstanding` is what we have asked for and not yet been given. It is set before the first byte goes out and is
 *     0 again only when the last answer is in. Whatever interrupts (deadline, error, no memory, a wake-up) leaves it
 *     above 0 or sets `broken`, and connection_usable says no. There is no way to set it back.
 *   - Bytes beyond the last answer were sent for no question: the count was wrong before. The exchange that notices is
 *     refused too (EPROTOCOL), for we cannot know which of the answers was the one too many.
 *   - An idle connection under suspicion is asked whether anything has come in (socket_is_quiet): anything has to be
 *     wrong.
 *
 * How an exchange ended tells the caller what may have happened at the server:
 *
 *     nothing was sent                EUNAVAILABLE    it has not happened
 *     something was sent, no answer   ETIMEDOUT       nobody knows
 *     max clients, then the end       EUNAVAILABLE    the server said so before it read anything
 *
 * That last answer is often waiting when our first byte fails with EPIPE: the server wrote it, and closed, when we
 * connected. What has come in is therefore read before a connection is called dead.
 *
 * Requests larger than the socket's buffers: while we write, we read. A server that cannot get rid of its answers
 * stops reading, and would wait for us as we wait for it.
 *
 * The greeting (AUTH, SELECT, and what `greet` adds) is an ordinary request in one write, so that a new connection
 * costs one round trip more, not three.
 */
#include "l2/connection.h"

#include "base/platform.h"
#include "l2/resolve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int connection_usable(const struct connection *connection)
{
    return connection->outstanding == 0 && !connection->broken && resp_reader_empty(connection->reader);
}

void connection_forget(struct connection *connection)
{
    if (!connection)
        return;
    resp_reader_free(connection->reader);
    memory_free(connection->setup->allocator, connection);
}

/* A plain close, whoever we are: a child's copy goes away, and the parent's conversation goes on. */
void connection_close(struct connection *connection)
{
    int fd;

    if (!connection)
        return;
    fd = *connection->fd;
    store_relaxed(connection->fd, -1);
    if (fd >= 0)
        close(fd);
    connection_forget(connection);
}

/* ---- An exchange ---------------------------------------------------------------------------------------------- */

/* All whole answers that are in the reader, but no more than were asked for. */
static int read_answers(struct connection *connection, struct replies *out)
{
    while (connection->outstanding) {
        int result = resp_reader_next(connection->reader, out);
        if (result != LIBCACHE_OK)
            return result == LIBCACHE_MISS ? LIBCACHE_OK : result;
        connection->outstanding--;
    }
    return resp_reader_empty(connection->reader) ? LIBCACHE_OK : LIBCACHE_EPROTOCOL;
}

static int take_in(struct connection *connection, size_t got, struct replies *out)
{
    int result;

    connection->received += got;
    connection->bytes_in += got;
    result = resp_reader_feed(connection->reader, connection->buffer, got);
    return result == LIBCACHE_OK ? read_answers(connection, out) : result;
}

/* Everything that is there now. WAIT_DEAD when the end is there too; *result is what take_in said. */
static enum wait_result take_in_now(struct connection *connection, struct replies *out, int *result)
{
    *result = LIBCACHE_OK;
    while (*result == LIBCACHE_OK && connection->outstanding) {
        long n = socket_receive_now(*connection->fd, connection->buffer, sizeof connection->buffer);
        if (n > 0)
            *result = take_in(connection, (size_t)n, out);
        else
            return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? WAIT_READY : WAIT_DEAD;
    }
    return WAIT_READY;
}

/* Sends all of it; takes in what arrives meanwhile. */
static enum wait_result send_all(struct connection *connection, const struct request *request, struct replies *out,
                                 const struct patience *patience, int *result)
{
    enum wait_result waited = WAIT_READY;

    while (waited == WAIT_READY && *result == LIBCACHE_OK && connection->sent < request->size) {
        long n = socket_send(*connection->fd, request->bytes + connection->sent, request->size - connection->sent);
        short ready = 0;
        if (n < 0) {
            take_in_now(connection, out, result);
            return WAIT_DEAD;
        }
        connection->sent += (size_t)n;
        connection->bytes_out += (uint64_t)n;
        if (connection->sent == request->size)
            break;
        waited = socket_wait(*connection->fd, POLLIN | POLLOUT, &ready, patience);
        if (waited == WAIT_READY && (ready & ~POLLOUT))
            waited = take_in_now(connection, out, result);
        /* All answers, and not all of the request sent: nobody can answer what he has not been asked. */
        if (*result == LIBCACHE_OK && !connection->outstanding)
            *result = LIBCACHE_EPROTOCOL;
    }
    return waited;
}

static int failed(struct connection *connection, const struct replies *out, enum wait_result waited)
{
    if (waited == WAIT_WOKEN)
        return LIBCACHE_MISS;
    connection->late = waited == WAIT_LATE;
    connection->died = waited == WAIT_DEAD;
    return connection->sent == 0 || (out->n && reply_is_refusal(out->item)) ? LIBCACHE_EUNAVAILABLE
                                                                            : LIBCACHE_ETIMEDOUT;
}

int connection_converse(struct connection *connection, const struct request *request, struct replies *out,
                        const struct patience *patience)
{
    enum wait_result waited = WAIT_READY;
    int result = LIBCACHE_OK;

    connection->sent = connection->received = 0;
    connection->died = connection->late = 0;
    if (!connection_usable(connection))
        return LIBCACHE_EUNAVAILABLE;
    connection->outstanding = request->commands;
    if (patience->deadline <= monotonic_ns())
        waited = WAIT_LATE;
    else
        waited = send_all(connection, request, out, patience, &result);
    while (waited == WAIT_READY && result == LIBCACHE_OK && connection->outstanding) {
        size_t got;
        waited = socket_receive(*connection->fd, connection->buffer, sizeof connection->buffer, &got, patience);
        if (waited == WAIT_READY)
            result = take_in(connection, got, out);
    }
    if (result == LIBCACHE_OK && waited != WAIT_READY)
        result = failed(connection, out, waited);
    if (result != LIBCACHE_OK) {
        connection->broken = 1;
        replies_free(out);
    }
    return result;
}

int connection_exchange(struct connection *connection, const struct request *request, struct replies *out,
                        uint64_t deadline, int wake_fd)
{
    const struct patience patience = { deadline, wake_fd };

    if (connection->pid != getpid()) /* our parent's: not a byte of it is for us */
        return LIBCACHE_EUNAVAILABLE;
    return connection_converse(connection, request, out, &patience);
}

/* ---- The greeting ---------------------------------------------------------------------------------------------- */

static int add_auth(struct request *request, const struct url *url)
{
    libcache_slice argv[3] = { LIBCACHE_STR("AUTH") };
    size_t n = 1;

    if (url->has_user)
        argv[n++] = url->user;
    argv[n++] = url->password;
    return request_add(request, n, argv);
}

static int add_select(struct request *request, uint32_t db)
{
    char number[16];
    libcache_slice argv[2] = { LIBCACHE_STR("SELECT"), { number, 0 } };

    argv[1].size = (size_t)snprintf(number, sizeof number, "%u", (unsigned)db);
    return request_add(request, 2, argv);
}

/* What to do about the answer to AUTH or SELECT: OK, EUNAVAILABLE, or a refusal that will be the same in a minute. */
static int judge_setting(const struct reply *reply, int refusal)
{
    int result = reply_result(reply);

    return result == LIBCACHE_OK || result == LIBCACHE_EUNAVAILABLE || result == LIBCACHE_EDENIED ? result : refusal;
}

static int judge_greeting(const struct connection_setup *setup, const struct replies *replies,
                          struct connect_report *report)
{
    const struct reply *reply = replies->item;
    size_t left = replies->n;
    int result = LIBCACHE_OK;

    if (setup->url->has_password && result == LIBCACHE_OK) {
        left--;
        if ((result = judge_setting(reply++, LIBCACHE_EDENIED)) != LIBCACHE_OK)
            report->why = "it refuses user or password";
    }
    if (setup->url->db && result == LIBCACHE_OK) {
        left--;
        if ((result = judge_setting(reply++, LIBCACHE_EREMOTE)) != LIBCACHE_OK)
            report->why = "it refuses that database";
    }
    report->denied = result == LIBCACHE_EDENIED || result == LIBCACHE_EREMOTE;
    for (size_t i = 0; result == LIBCACHE_OK && !setup->greeted && i < left; i++)
        result = reply_result(&reply[i]);
    if (result == LIBCACHE_OK && setup->greeted)
        result = setup->greeted(setup->greet_arg, reply, left);
    report->denied |= result == LIBCACHE_EDENIED;
    if (result == LIBCACHE_EUNAVAILABLE)
        report->why = "it is not ready";
    else if (result != LIBCACHE_OK && !report->why)
        report->why = report->denied ? "it refuses user or password" : "it is not as we need it";
    return result;
}

static int greet(struct connection *connection, const struct patience *patience, struct connect_report *report)
{
    const struct connection_setup *setup = connection->setup;
    struct request request;
    struct replies replies;
    int result = LIBCACHE_OK;

    request_init(&request, setup->allocator);
    replies_init(&replies, setup->allocator);
    if (setup->url->has_password)
        result = add_auth(&request, setup->url);
    if (result == LIBCACHE_OK && setup->url->db)
        result = add_select(&request, setup->url->db);
    if (result == LIBCACHE_OK && setup->greet)
        result = setup->greet(setup->greet_arg, &request);
    if (result == LIBCACHE_OK && request.commands) {
        result = connection_converse(connection, &request, &replies, patience);
        report->late = connection->late;
        if (result == LIBCACHE_OK)
            result = judge_greeting(setup, &replies, report);
        else if (result == LIBCACHE_EPROTOCOL)
            report->why = "what answers is not Redis";
        else if (result == LIBCACHE_EUNAVAILABLE || result == LIBCACHE_ETIMEDOUT) {
            report->why = connection->late ? "it does not answer in time" : "it ends the connection";
            result = LIBCACHE_EUNAVAILABLE; /* nobody asked for anything that matters */
        }
    }
    replies_free(&replies);
    request_free(&request);
    return result;
}

/* ---- Connecting ------------------------------------------------------------------------------------------------ */

/* One address after the other; each gets its share of the time that is left. */
static enum wait_result connect_any(struct connection *connection, const struct patience *patience,
                                    struct connect_report *report)
{
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    size_t n = 0;
    enum wait_result result = resolve(addresses, &n, connection->setup->url, patience);

    if (result != WAIT_READY) {
        report->why = result == WAIT_LATE ? "its name is not resolved in time" : "its name does not resolve";
        return result;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t now = monotonic_ns();
        uint64_t left = now < patience->deadline ? patience->deadline - now : 0;
        const struct patience share = { patience->deadline - left + left / (n - i), patience->wake_fd };
        result = left ? socket_connect(connection->fd, &addresses[i], &share) : WAIT_LATE;
        if (result == WAIT_READY || result == WAIT_WOKEN || !left)
            break;
    }
    if (result != WAIT_READY)
        report->why = result == WAIT_LATE ? "it does not take the connection in time" : "it refuses the connection";
    return result;
}

int connection_open(struct connection **out, const struct connection_setup *setup, int *fd,
                    const struct patience *patience, struct connect_report *report)
{
    struct connection *connection = memory_get(setup->allocator, sizeof *connection);
    enum wait_result waited;
    int result;

    *report = (struct connect_report){ 0 };
    if (!connection)
        return LIBCACHE_ENOMEM;
    memset(connection, 0, offsetof(struct connection, buffer));
    connection->setup = setup;
    connection->own_fd = -1;
    connection->fd = fd ? fd : &connection->own_fd;
    connection->pid = getpid();
    connection->reader = resp_reader_new(setup->allocator, setup->max_reply_bytes);
    if (!connection->reader) {
        memory_free(setup->allocator, connection);
        return LIBCACHE_ENOMEM;
    }
    waited = connect_any(connection, patience, report);
    if (waited == WAIT_READY) {
        result = greet(connection, patience, report);
    } else {
        report->late = waited == WAIT_LATE;
        result = waited == WAIT_WOKEN ? LIBCACHE_MISS : LIBCACHE_EUNAVAILABLE;
    }
    if (result != LIBCACHE_OK)
        connection_close(connection);
    else
        *out = connection;
    return result;
}
