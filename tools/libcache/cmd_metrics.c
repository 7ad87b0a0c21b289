/* metrics: as text, or over HTTP. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Attached anew each time: the name may lead to another segment by now, and a scrape is not often. */
static int read_metrics(const struct args *args, unsigned format, libcache_value *text, struct target *target)
{
    int result, code = target_look(target, args);

    if (code != TOOL_OK)
        return code;
    result = libcache_metrics(target->cache, text, format);
    return result == LIBCACHE_OK ? TOOL_OK : fail_result(result, "metrics");
}

static int answer(void *arg, const char *path, char **body, size_t *size, const char **type)
{
    static const char missing[] = "there is only /metrics\n", failed[] = "the segment cannot be read\n";
    libcache_value text = LIBCACHE_VALUE_INIT;
    struct target target;
    int code = TOOL_NO;

    if (strcmp(path, "/metrics") == 0) {
        code = read_metrics(arg, LIBCACHE_METRICS_OPENMETRICS, &text, &target);
        *size = code == TOOL_OK ? text.size : sizeof failed - 1;
        *body = malloc(*size);
        if (*body)
            memcpy(*body, code == TOOL_OK ? text.data : failed, *size);
        else
            *size = 0;
        if (code == TOOL_OK)
            *type = OPENMETRICS_TYPE;
        libcache_release_value(&text);
        target_close(&target);
        return code == TOOL_OK && *body ? 200 : 503;
    }
    *size = sizeof missing - 1;
    *body = malloc(*size);
    if (*body)
        memcpy(*body, missing, *size);
    else
        *size = 0;
    return 404;
}

int cmd_metrics(struct args *args)
{
    libcache_value text = LIBCACHE_VALUE_INIT;
    struct target target;
    int code;

    if (args->count && !args->listen)
        return fail(TOOL_USAGE, "metrics: --count means something with --listen only");
    if (args->listen && args->json)
        return fail(TOOL_USAGE, "metrics: --listen serves the OpenMetrics format only, not --json");
    if (args->listen && http_check(args->listen) != TOOL_OK)
        return TOOL_USAGE;
    code = read_metrics(args, args->json ? LIBCACHE_METRICS_JSON : LIBCACHE_METRICS_OPENMETRICS, &text, &target);
    if (code == TOOL_OK && !args->listen)
        fwrite(text.data, 1, text.size, stdout);
    if (code == TOOL_OK && args->listen) {
        catch_signals(1);
        code = http_serve(args->listen, args->count, answer, args);
    } else if (code == TOOL_OK && args->json && (!text.size || ((char *)text.data)[text.size - 1] != '\n')) {
        putchar('\n');
    }
    libcache_release_value(&text);
    target_close(&target);
    return code;
}
