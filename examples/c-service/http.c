/* Requests and answers: libmicrohttpd with a pool of threads. SPDX-License-Identifier: MIT */
#include "service.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if MHD_VERSION < 0x00097002
#define ANSWERED int
#else
#define ANSWERED enum MHD_Result
#endif

struct http {
    struct MHD_Daemon *daemon;
    struct answers *answers;
};

struct request {
    struct MHD_Connection *connection;
    struct answers *answers;
    const char *method;
    struct timespec begin;
    struct text body;
    const char *type;
    enum origin origin;
    int cacheable; /* the answer says where it came from */
};

static const char *argument(const struct request *request, const char *name)
{
    const char *value = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);

    return value != NULL ? value : "";
}

/* A whole number from 0 to 10^12, or -1. */
static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    return *text < '0' || *text > '9' || *end != '\0' || value > 1000000000000 ? -1 : value;
}

/* ---- Routes: each gives a status of HTTP ------------------------------------------------------------------------------ */

static unsigned status_of(int result, unsigned good)
{
    return result == 0 ? good : result == 1 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned serve_tenant(struct request *request, long tenant, const char *what)
{
    struct answers *answers = request->answers;
    int get = strcmp(request->method, "GET") == 0, put = strcmp(request->method, "PUT") == 0;
    const char *feature = strncmp(what, "features/", 9) == 0 ? what + 9 : NULL;

    request->cacheable = get;
    if (get && strcmp(what, "config") == 0)
        return status_of(answers_config(answers, tenant, &request->body, &request->origin), MHD_HTTP_OK);
    if (get && strcmp(what, "report") == 0)
        return status_of(answers_report(answers, tenant, &request->body, &request->origin), MHD_HTTP_OK);
    if (get && feature != NULL)
        return status_of(answers_feature(answers, tenant, feature, &request->body, &request->origin), MHD_HTTP_OK);
    if (put && strcmp(what, "config") == 0)
        return *argument(request, "theme") == '\0'
                   ? MHD_HTTP_BAD_REQUEST
                   : status_of(answers_set_config(answers, tenant, argument(request, "theme")), MHD_HTTP_NO_CONTENT);
    if (put && feature != NULL)
        return number(argument(request, "enabled")) < 0
                   ? MHD_HTTP_BAD_REQUEST
                   : status_of(answers_set_feature(answers, tenant, feature, number(argument(request, "enabled")) != 0),
                               MHD_HTTP_NO_CONTENT);
    if (strcmp(request->method, "POST") == 0 && strcmp(what, "orders") == 0)
        return number(argument(request, "cents")) < 0
                   ? MHD_HTTP_BAD_REQUEST
                   : status_of(answers_add_order(answers, tenant, number(argument(request, "cents"))),
                               MHD_HTTP_NO_CONTENT);
    return MHD_HTTP_NOT_FOUND;
}

static unsigned serve_metrics(struct request *request)
{
    libcache_value text = LIBCACHE_VALUE_INIT;
    int result = libcache_metrics(request->answers->cache, &text, LIBCACHE_METRICS_OPENMETRICS);

    request->type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if (result == LIBCACHE_OK)
        text_add(&request->body, "%.*s", (int)text.size, (const char *)text.data);
    libcache_release_value(&text);
    return result == LIBCACHE_OK ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* Without Redis the service is slower and other hosts hear later of changes; it serves, so it is ready. */
static unsigned serve_ready(struct request *request)
{
    libcache_stats stats = LIBCACHE_STATS_INIT;

    if (libcache_read_stats(request->answers->cache, &stats) != LIBCACHE_OK)
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    text_add(&request->body, "{\"status\": \"%s\", \"entries\": %llu, \"queries\": %lu}\n",
             stats.breaker_open ? "degraded" : "ok", (unsigned long long)stats.entries,
             database_queries(request->answers->db));
    return MHD_HTTP_OK;
}

static unsigned serve(struct request *request, const char *path)
{
    static const char tenants[] = "/tenants/";
    char id[20] = "";
    const char *rest;

    if (strcmp(path, "/metrics") == 0)
        return serve_metrics(request);
    if (strcmp(path, "/ready") == 0)
        return serve_ready(request);
    if (strncmp(path, tenants, sizeof tenants - 1) != 0 || strlen(path) > 150)
        return MHD_HTTP_NOT_FOUND;
    path += sizeof tenants - 1;
    rest = strchr(path, '/');
    if (rest == NULL || (size_t)(rest - path) >= sizeof id)
        return MHD_HTTP_NOT_FOUND;
    memcpy(id, path, (size_t)(rest - path));
    return number(id) < 0 ? MHD_HTTP_NOT_FOUND : serve_tenant(request, number(id), rest + 1);
}

/* ---- Answers ------------------------------------------------------------------------------------------------------------ */

static ANSWERED send_answer(struct request *request, unsigned status)
{
    static const char *const origins[] = { "memory", "redis", "source", "stale" };
    struct MHD_Response *response;
    struct timespec now;
    char took[40], timing[60];
    double ms;
    ANSWERED result;

    if (status != MHD_HTTP_OK && status != MHD_HTTP_NO_CONTENT)
        text_add(&request->body, "{\"error\": %u}\n", status);
    response = MHD_create_response_from_buffer(request->body.size, request->body.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(request->body.data);
        return MHD_NO;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (double)(now.tv_sec - request->begin.tv_sec) * 1e3 + (double)(now.tv_nsec - request->begin.tv_nsec) / 1e6;
    snprintf(took, sizeof took, "%.3fms", ms);
    MHD_add_response_header(response, "Content-Type", request->type);
    MHD_add_response_header(response, "X-Response-Time", took);
    if (request->cacheable) {
        snprintf(timing, sizeof timing, "cache;desc=%s, total;dur=%.3f", origins[request->origin], ms);
        MHD_add_response_header(response, "X-Cache", origins[request->origin]);
        MHD_add_response_header(response, "Server-Timing", timing);
    }
    result = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called once with a request's head, then again for each part of its body (which nobody here needs), then without one. */
static ANSWERED handle(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
                       const char *version, const char *body, size_t *body_size, void **state)
{
    static int seen;
    struct http *http = arg;
    struct request request = {
        .connection = connection, .answers = http->answers, .method = method, .type = "application/json"
    };

    (void)version, (void)body;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    if (*body_size != 0) {
        *body_size = 0;
        return MHD_YES;
    }
    clock_gettime(CLOCK_MONOTONIC, &request.begin);
    return send_answer(&request, serve(&request, path));
}

struct http *http_start(struct answers *answers, unsigned short *port, unsigned threads)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(*port) };
    struct http *http = calloc(1, sizeof *http);
    const union MHD_DaemonInfo *info;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (http == NULL)
        return NULL;
    http->answers = answers;
    http->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, *port, NULL, NULL, handle, http, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
    if (http->daemon == NULL) {
        free(http);
        return NULL;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info != NULL)
        *port = info->port;
    return http;
}

void http_stop(struct http *http)
{
    MHD_stop_daemon(http->daemon);
    free(http);
}
