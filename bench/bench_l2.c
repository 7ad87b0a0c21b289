/*
 * bench-l2: the Redis tier beside plain hiredis, in one run. See bench/README.md for what is measured and how.
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "bench_l2.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESULTS_MAX = 512, CASE_SECONDS_MAX = 300 };

enum where { EACH_SOCKET, ONE_SOCKET };

static const struct bench_case {
    const char *name;
    void (*run)(const l2_context *context);
    enum where where; /* ONE_SOCKET: what it measures has nothing to do with sockets */
} cases[] = {
    { "get", case_get, EACH_SOCKET },
    { "get_many", case_get_many, EACH_SOCKET },
    { "changes", case_changes, EACH_SOCKET },
    { "propagation", case_propagation, EACH_SOCKET },
    { "flood", case_flood, EACH_SOCKET },
    { "blackhole", case_blackhole, EACH_SOCKET },
    { "breaker", case_breaker, ONE_SOCKET },
    { "recovery", case_recovery, EACH_SOCKET },
    { "idle", case_idle, ONE_SOCKET },
    { "l1_hit", case_l1_hit, ONE_SOCKET },
};

enum { CASES = sizeof cases / sizeof *cases };

/* ---- The server --------------------------------------------------------------------------------------------- */

static struct redis_server server;
static pid_t server_owner;

/* However the program ends; its children have the same exit handlers. */
static void stop_server(void)
{
    if (getpid() == server_owner)
        redis_server_stop(&server);
}

static void stop_by_signal(int number)
{
    (void)number;
    exit(1); /* nothing of ours is locked: the parent only waits for children */
}

static void start_server(void)
{
    static const char *const config[] = { "hz 10", NULL }; /* as it comes; tests have it faster */
    struct redis_server_options options = { .tcp = 1, .config = config };

    server_owner = getpid();
    atexit(stop_server);
    signal(SIGINT, stop_by_signal);
    signal(SIGTERM, stop_by_signal);
    if (redis_server_start(&server, &options) != 0)
        harness_die("%s", server.error);
}

/* What a case has done to it: stopped it, or kept it on a processor. */
static void reset_server(void)
{
    cpu_set_t allowed;

    redis_server_resume(&server);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        (void)sched_setaffinity(server.pid, sizeof allowed, &allowed);
}

/* ---- A case in its child -------------------------------------------------------------------------------------- */

static int result_fd = -1; /* the pipe to the parent; set in the child only */

void l2_emit(const l2_result *result)
{
    if (write(result_fd, result, sizeof *result) != (ssize_t)sizeof *result)
        harness_die("cannot write a result: %s", strerror(errno));
}

static void run_in_child(const struct bench_case *c, const l2_context *context, pid_t parent)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    alarm(CASE_SECONDS_MAX);
    c->run(context);
    fflush(stdout);
    _exit(0);
}

/* Ends with how many results there are. */
static size_t run_case(const struct bench_case *c, const l2_context *context, l2_result *results, size_t n)
{
    int ends[2], status;
    pid_t parent = getpid(), child;
    FILE *input;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0)
        harness_die("cannot start a process: %s", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        result_fd = ends[1];
        run_in_child(c, context, parent);
    }
    close(ends[1]);
    input = fdopen(ends[0], "r");
    if (input == NULL)
        harness_die("cannot read results: %s", strerror(errno));
    while (n < RESULTS_MAX && fread(&results[n], sizeof *results, 1, input) == 1)
        report_one(context->options, &results[n++]);
    fclose(input);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    reset_server();
    if (status != 0)
        harness_die("bench %s failed", c->name);
    return n;
}

static int case_is_wanted(const l2_options *options, const char *name)
{
    if (options->benches[0] == NULL)
        return 1;
    for (unsigned i = 0; options->benches[i] != NULL; i++)
        if (strcmp(options->benches[i], name) == 0)
            return 1;
    return 0;
}

static void run_cases(const l2_options *options)
{
    static l2_result results[RESULTS_MAX];
    const l2_context places[2] = { { options, &server, "unix", server.url }, { options, &server, "tcp", server.tcp_url } };
    const int wanted[2] = { options->unix_socket, options->tcp };
    size_t n = 0;

    for (unsigned i = 0; i < CASES; i++) {
        int runs = 0;

        if (!case_is_wanted(options, cases[i].name))
            continue;
        for (unsigned k = 0; k < 2; k++)
            if (wanted[k] && (cases[i].where == EACH_SOCKET || runs++ == 0))
                n = run_case(&cases[i], &places[k], results, n);
    }
    if (!options->json)
        report_targets(results, n);
}

/* ---- Options ---------------------------------------------------------------------------------------------------- */

static const char help[] = "Usage: bench-l2 [OPTION]...\n"
                           "Measures the Redis tier beside plain hiredis, on a redis-server of its own.\n"
                           "\n"
                           "  --quick         fewer of everything; ends within 60 s\n"
                           "  --tiny          very few of everything, to see that it runs\n"
                           "  --json          one JSON object a line instead of tables\n"
                           "  --socket KIND   unix or tcp. Default: both\n"
                           "  --bench NAME    only this bench (repeatable)\n"
                           "  --pin HOW       client and server together on one processor (default),\n"
                           "                  apart on two, or no: as the scheduler likes\n"
                           "  --list          names of benches\n"
                           "  --help          this text\n"
                           "\n"
                           "Exits with 1 when something gave a wrong value. See bench/README.md.\n";

static void add_bench(l2_options *options, const char *name)
{
    unsigned n = 0, i = 0;

    while (i < CASES && strcmp(cases[i].name, name) != 0)
        i++;
    if (i == CASES)
        harness_die("there is no '%s' (see --list)", name);
    while (options->benches[n] != NULL)
        n++;
    if (n + 1 == L2_NAMES_MAX)
        harness_die("too many names");
    options->benches[n] = name;
}

static void choose_socket(l2_options *options, const char *kind)
{
    options->unix_socket = strcmp(kind, "unix") == 0;
    options->tcp = strcmp(kind, "tcp") == 0;
    if (!options->unix_socket && !options->tcp)
        harness_die("--socket: '%s' is neither unix nor tcp", kind);
}

static void choose_pin(l2_options *options, const char *how)
{
    static const char *const names[] = { "together", "apart", "no" };

    for (unsigned i = 0; i < 3; i++)
        if (strcmp(how, names[i]) == 0) {
            options->pin = i;
            return;
        }
    harness_die("--pin: '%s' is neither together nor apart nor no", how);
}

static void set_size(l2_options *o, int quick)
{
    o->rounds = o->tiny ? 3 : quick ? 15 : 41;
    o->rounds_ms = o->tiny ? 100 : quick ? 500 : 4000;
    o->round_ops = o->tiny ? 20 : quick ? 200 : 1000;
    o->round_batches = o->tiny ? 2 : quick ? 8 : 20;
    o->size_divisor = o->tiny ? 40 : 1;
    o->propagations = o->tiny ? 100 : quick ? 2000 : 10000;
    o->flood_ms = o->tiny ? 200 : quick ? 2000 : 10000;
    o->fault_timeout_ms = o->tiny || quick ? 50 : 100;
    o->fault_calls = o->tiny ? 1 : quick ? 2 : 5;
    o->recoveries = o->tiny ? 1 : quick ? 4 : 20;
    o->idle_ms = o->tiny ? 100 : quick ? 3000 : 6000;
}

static l2_options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        { "quick", no_argument, NULL, 'q' },
        { "tiny", no_argument, NULL, 't' },
        { "json", no_argument, NULL, 'j' },
        { "socket", required_argument, NULL, 's' },
        { "bench", required_argument, NULL, 'b' },
        { "pin", required_argument, NULL, 'p' },
        { "list", no_argument, NULL, 'l' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    l2_options options = { .unix_socket = 1, .tcp = 1 };
    int quick = 0, option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': quick = 1; break;
        case 't': options.tiny = 1; break;
        case 'j': options.json = 1; break;
        case 'p': choose_pin(&options, optarg); break;
        case 's': choose_socket(&options, optarg); break;
        case 'b': add_bench(&options, optarg); break;
        case 'l':
            for (unsigned i = 0; i < CASES; i++)
                puts(cases[i].name);
            exit(0);
        case 'h': fputs(help, stdout); exit(0);
        default: exit(2);
        }
    }
    if (optind != argc)
        harness_die("unexpected argument '%s'", argv[optind]);
    set_size(&options, quick);
    return options;
}

int main(int argc, char **argv)
{
    l2_options options = parse_options(argc, argv);

    start_server();
    run_cases(&options);
    return 0;
}
