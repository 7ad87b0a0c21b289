/* One conversation with one server. SPDX-License-Identifier: MIT */
#ifndef L2_CONNECTION_H
#define L2_CONNECTION_H
#include "l2/resp.h"
#include "l2/socket.h"
#include "l2/transport.h"
#include "l2/url.h"

#include <sys/types.h>

#define CONNECTION_BUFFER_BYTES 16384u

/* What is the same for all connections of a transport; outlives them. */
struct connection_setup {
    const struct url *url;
    size_t max_reply_bytes;
    const libcache_allocator *allocator;
    int (*greet)(void *arg, struct request *request);
    int (*greeted)(void *arg, const struct reply *replies, size_t n);
    void *greet_arg;
};

struct connection {
    const struct connection_setup *setup;
    struct resp_reader *reader;
    int *fd; /* the descriptor, where the pool can find it after a fork, or own_fd */
    int own_fd;
    size_t outstanding; /* answers that are to come; not 0 between exchanges: of no more use */
    int broken;         /* an exchange has failed */
    /* of the last exchange */
    size_t sent, received;
    int died;                     /* the other side ended it */
    int late;                     /* the deadline ended it */
    uint64_t bytes_out, bytes_in; /* until the pool has counted them */
    pid_t pid;
    char buffer[CONNECTION_BUFFER_BYTES];
};

/*
 * Resolves, connects, greets. *fd is where the descriptor is noted while there is one (NULL: in the connection). On
 * failure the report has a few words for the log, and says whether it came too late, and whether the server has refused
 * us for a reason that lasts: AUTH, SELECT, or EDENIED from `greeted`. MISS: woken. EUNAVAILABLE: whatever else, the
 * deadline included; nothing was asked for yet.
 */
struct connect_report {
    const char *why;
    int denied, late;
};
int connection_open(struct connection **out, const struct connection_setup *setup, int *fd,
                    const struct patience *patience, struct connect_report *report);

/* As connection_exchange, without its care for fork. */
int connection_converse(struct connection *connection, const struct request *request, struct replies *out,
                        const struct patience *patience);

/* 1: nothing is wrong with it, as far as it knows. */
int connection_usable(const struct connection *connection);

/* Frees the memory and leaves the descriptor alone. */
void connection_forget(struct connection *connection);

#endif
