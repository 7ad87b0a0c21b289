/* SPDX-License-Identifier: MIT */
#include "support/guards.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef LIBCACHE_HOOKS
#include "l1/hook.h"
#include "l2/scripts.h"

#include <string.h>

static const char *const guards[GUARDS] = {
    [GUARD_GENERATION] = "generation", [GUARD_MARKS] = "marks", [GUARD_JUDGE] = "judge", [GUARD_VERIFY] = "verify",
    [GUARD_COPY_STAMP] = "copy-stamp", [GUARD_EPOCH] = "epoch", [GUARD_LOAD_EPOCH] = "load-epoch", [GUARD_DROP] = "drop",
    [GUARD_ORDER] = "order", [GUARD_OWN_HOST] = "own-host", [GUARD_TOKEN] = "token", [GUARD_GAP] = "gap",
    [GUARD_STALENESS] = "staleness", [GUARD_SPACE_HORIZON] = "space-horizon", [GUARD_OWED] = "owed",
    [GUARD_COMMIT] = "commit", [GUARD_LEAD_STAMP] = "lead-stamp", [GUARD_BYPASS_STAMP] = "bypass-stamp",
    [GUARD_REFRESH_STAMP] = "refresh-stamp", [GUARD_BATCH_STAMP] = "batch-stamp", [GUARD_COPY_GENERATION] = "copy-generation",
    [GUARD_LATE_MARKS] = "late-marks", [GUARD_SOFT] = "soft", [GUARD_GRACE] = "grace", [GUARD_FLIGHT] = "flight",
    [GUARD_FLIGHT_END] = "flight-end", [GUARD_FLIGHT_LEASE] = "flight-lease", [GUARD_WAIT] = "wait", [GUARD_REDIS_LEASE] = "redis-lease",
    [GUARD_NEEDLESS] = "needless",
};

/* A condition in a script, and what stands there instead when it is broken. */
static const struct {
    const char *name, *condition, *instead;
} lines[] = {
    { "key-slot", "or tonumber(slot or 0) > stamp", "" },
    { "newest-stamp", "s1 + s2 * 4294967296 > stamp or ", "" },
    { "fill-epoch", "h[1] ~= ARGV[1] or ", "" },
    { "hello", "seq < known or (token and token ~= ARGV[5])", "false" },
};
enum { LINES = sizeof lines / sizeof *lines };

static int line;

static const char *alter(const char *text)
{
    static __thread char altered[16384];
    const char *at = strstr(text, lines[line].condition), *rest;

    if (!at)
        return NULL;
    rest = at + strlen(lines[line].condition);
    if (strstr(rest, lines[line].condition) || strlen(text) >= sizeof altered - 100)
        abort(); /* the condition is not what it was when this was written */
    snprintf(altered, sizeof altered, "%.*s%s%s", (int)(at - text), text, lines[line].instead, rest);
    return altered;
}

int guards_break(const char *name)
{
    for (int i = 1; i < GUARDS; i++)
        if (strcmp(name, guards[i]) == 0) {
            broken_guard = i;
            return 0;
        }
    for (int i = 0; i < LINES; i++)
        if (strcmp(name, lines[i].name) == 0) {
            line = i;
            script_hook = alter;
            return 0;
        }
    return -1;
}

void guards_print(void)
{
    for (int i = 1; i < GUARDS; i++)
        puts(guards[i]);
    for (int i = 0; i < LINES; i++)
        puts(lines[i].name);
}
#else
int guards_break(const char *name)
{
    (void)name;
    return -1;
}

void guards_print(void)
{
    puts("none: this is not the hooks variant");
}
#endif

int guards_break_as_told(void)
{
    const char *name = getenv("LIBCACHE_TEST_BREAK");

    return name && *name ? guards_break(name) : 0;
}
