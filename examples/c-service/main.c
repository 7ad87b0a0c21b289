/* Options, start, stop. SPDX-License-Identifier: MIT */
#include "service.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: c-service [OPTION]...\n"
    "Answers on loopback:\n"
    "  GET  /tenants/N/config   /tenants/N/features/NAME   /tenants/N/report\n"
    "  PUT  /tenants/N/config?theme=dark   /tenants/N/features/NAME?enabled=1\n"
    "  POST /tenants/N/orders?cents=500\n"
    "  GET  /metrics   /ready\n"
    "\n"
    "  --port N         default: a free one, which is printed\n"
    "  --threads N      that answer, 2 to 64. Default 4\n"
    "  --database FILE  SQLite. Default: in memory\n"
    "  --delay MS       added to each query, as if the database were across a network. Default 2\n"
    "  --tenants N      so many are there at first. Default 1000\n"
    "  --name NAME      share the cache with all processes that say the same name\n"
    "  --redis URL      and with other hosts\n"
    "  --no-cache       ask the database each time, to compare\n";

static unsigned number_of(const char *text, const char *what, unsigned least, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "c-service: %s: '%s' is not a number from %u to %u\n", what, text, least, most);
        exit(2);
    }
    return (unsigned)value;
}

static void log_line(void *arg, int level, const char *message)
{
    (void)arg, (void)level;
    fprintf(stderr, "c-service: libcache: %s\n", message);
}

static void log_slow(void *arg, const libcache_slow *slow)
{
    (void)arg;
    fprintf(stderr, "c-service: slow: %s %s %.*s took %.1f ms\n", slow->operation,
            slow->ns_name != NULL ? slow->ns_name : "", (int)slow->key_size,
            slow->key != NULL ? (const char *)slow->key : "", (double)slow->duration_ns / 1e6);
}

static void wait_for_the_end(void)
{
    sigset_t ends;
    int which;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigwait(&ends, &which);
}

static void block_signals(void) /* in all threads: wait_for_the_end takes them */
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },     { "threads", required_argument, NULL, 't' },
        { "database", required_argument, NULL, 'd' }, { "delay", required_argument, NULL, 'w' },
        { "tenants", required_argument, NULL, 'n' },  { "name", required_argument, NULL, 's' },
        { "redis", required_argument, NULL, 'r' },    { "no-cache", no_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
    };
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    struct answers answers = { .cached = 1 };
    const char *database = ":memory:";
    unsigned threads = 4, delay_ms = 2, tenants = 1000;
    unsigned short port = 0;
    libcache_error error = { 0 };
    struct http *http;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p': port = (unsigned short)number_of(optarg, "--port", 1, 65535); break;
        case 't': threads = number_of(optarg, "--threads", 2, 64); break;
        case 'd': database = optarg; break;
        case 'w': delay_ms = number_of(optarg, "--delay", 0, 10000); break;
        case 'n': tenants = number_of(optarg, "--tenants", 1, 1000000); break;
        case 's':
            options.segment = LIBCACHE_NAMED;
            options.name = optarg;
            break;
        case 'r': options.redis_url = optarg; break;
        case 'c': answers.cached = 0; break;
        case 'h': fputs(help, stdout); return 0;
        default: return 2;
        }
    }
    block_signals();
    options.listener = options.redis_url != NULL ? LIBCACHE_LISTEN_IN_THREAD : LIBCACHE_LISTEN_ON_CALLS;
    options.log = log_line;
    options.slow = log_slow;
    if (libcache_open(&answers.cache, &options, &error) != LIBCACHE_OK || answers_open(&answers, &error) != 0) {
        fprintf(stderr, "c-service: %s\n", error.text);
        return 1;
    }
    answers.db = database_open(database, delay_ms, tenants);
    http = answers.db != NULL ? http_start(&answers, &port, threads) : NULL;
    if (http != NULL) {
        printf("http://127.0.0.1:%u\n", port);
        fflush(stdout);
        wait_for_the_end();
        http_stop(http);
    } else if (answers.db != NULL) {
        fprintf(stderr, "c-service: cannot listen on port %u\n", port);
    }
    database_close(answers.db);
    libcache_close(answers.cache);
    return http == NULL;
}
