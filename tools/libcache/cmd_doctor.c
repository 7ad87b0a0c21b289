/* doctor: all checks, and what they found. SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const verdict_names[] = { "ok", "skipped", "note", "warning", "error" };

static void say_json(enum verdict verdict, const char *id, const char *text, const char *advice)
{
    json_open(NULL, '{');
    json_text("id", id);
    json_text("verdict", verdict_names[verdict]);
    json_text("text", text);
    json_text("advice", advice);
    json_close();
}

void doctor_say(struct doctor *d, enum verdict verdict, const char *id, const char *advice, const char *format, ...)
{
    static const char *const colours[] = { "\033[32m", "\033[2m", "\033[36m", "\033[33m", "\033[31m" };
    int colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    char text[900];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    d->count[verdict]++;
    if (d->args->json) {
        say_json(verdict, id, text, advice);
        return;
    }
    printf("%s%-8s%s %-26s ", colour ? colours[verdict] : "", verdict_names[verdict], colour ? "\033[0m" : "", id);
    print_safe(stdout, text, strlen(text));
    putchar('\n');
    if (advice)
        printf("%-36s-> %s\n", "", advice);
    fflush(stdout);
}

const char *doctor_prefix(const struct doctor *d)
{
    return d->args->prefix ? d->args->prefix : "libcache";
}

static void let_go(struct doctor *d)
{
    if (d->admin && d->admin != d->redis)
        redisFree(d->admin);
    if (d->redis)
        redisFree(d->redis);
    free(d->info);
    memset(&d->place, 0, sizeof d->place);
    memset(&d->admin_place, 0, sizeof d->admin_place);
}

int cmd_doctor(struct args *args)
{
    struct doctor d;
    const char *admin = getenv("LIBCACHE_REDIS_ADMIN_URL");
    int found;

    memset(&d, 0, sizeof d);
    if (!args->admin && admin && *admin)
        args->admin = admin;
    d.args = args;
    d.timeout_ms = args->slower_ms ? (unsigned)args->slower_ms : 250;
    d.max_staleness_ms = args->max_staleness_ms ? args->max_staleness_ms : 2000;
    signal(SIGPIPE, SIG_IGN); /* hiredis writes with write() */
    if (args->json) {
        json_open(NULL, '{');
        json_text("version", libcache_version());
        json_open("checks", '[');
    }
    doctor_host(&d);
    if (args->redis) {
        doctor_server(&d);
        if (d.redis)
            doctor_redis_use(&d);
    }
    doctor_segment(&d);
    found = d.count[DOCTOR_WARNING] + d.count[DOCTOR_ERROR];
    if (args->json) {
        json_close();
        json_number("errors", (uint64_t)d.count[DOCTOR_ERROR]);
        json_number("warnings", (uint64_t)d.count[DOCTOR_WARNING]);
    } else {
        printf("\nerrors: %d, warnings: %d, notes: %d; in order: %d, not to be checked: %d\n", d.count[DOCTOR_ERROR],
               d.count[DOCTOR_WARNING], d.count[DOCTOR_NOTE], d.count[DOCTOR_OK], d.count[DOCTOR_SKIPPED]);
        if (!args->redis)
            puts("Redis was not looked at: say --redis URL.");
    }
    let_go(&d);
    return found ? TOOL_NO : TOOL_OK;
}
