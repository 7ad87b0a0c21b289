/* top: what happens in each namespace, live. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

/* What there was at one time. */
struct snapshot {
    uint64_t at_ns;
    libcache_stats stats;
    libcache_ns_stats sum;
    libcache_ns_stats *ns; /* in the segment's order: names are never removed */
    size_t n, room;
    libcache_times times[LIBCACHE_TIMES_KINDS];
};

struct top {
    const struct args *args;
    struct target target;
    struct snapshot now, before;
    libcache_ns_stats *rows; /* differences; entries and bytes are those of now */
    size_t n_rows;
    uint64_t interval_ms;
    double seconds; /* that the rows are of */
    int live;       /* on a terminal */
    int moved;      /* the segment was replaced, or is gone */
};

static uint64_t gets_of(const libcache_ns_stats *s)
{
    return s->hits_l1 + s->hits_l2 + s->stale_l1 + s->stale_l2 + s->negatives_l1 + s->negatives_l2 + s->misses;
}

/* ---- Measuring ----------------------------------------------------------------------------------------------------------- */

static int take_snapshot(struct snapshot *s, libcache *cache)
{
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats one = LIBCACHE_NS_STATS_INIT;

    s->at_ns = now_ns();
    s->stats.struct_size = sizeof s->stats;
    s->sum.struct_size = sizeof s->sum;
    if (libcache_read_stats(cache, &s->stats) != LIBCACHE_OK || libcache_sum_stats(cache, &s->sum) != LIBCACHE_OK)
        return fail(TOOL_FAILED, "top: the statistics cannot be read");
    for (int which = 0; which < LIBCACHE_TIMES_KINDS; which++) {
        s->times[which].struct_size = sizeof s->times[which];
        if (libcache_read_times(cache, which, &s->times[which]) != LIBCACHE_OK)
            return fail(TOOL_FAILED, "top: the times cannot be read");
    }
    for (s->n = 0; libcache_iterate_namespaces(cache, &cursor, &one) == LIBCACHE_HIT; s->n++) {
        if (s->n == s->room) {
            size_t room = s->room ? 2 * s->room : 64;
            libcache_ns_stats *larger = realloc(s->ns, room * sizeof *larger);
            if (!larger)
                return fail(TOOL_FAILED, "no memory");
            s->ns = larger;
            s->room = room;
        }
        s->ns[s->n] = one;
    }
    return TOOL_OK;
}

/* now less before, count by count. */
static libcache_ns_stats difference(const libcache_ns_stats *now, const libcache_ns_stats *before)
{
    libcache_ns_stats out = *now;
    const size_t first = offsetof(libcache_ns_stats, hits_l1);
    const uint64_t *old = (const uint64_t *)(const void *)((const char *)before + first);
    uint64_t *count = (uint64_t *)(void *)((char *)&out + first);

    for (size_t i = 0; i < (sizeof out - first) / sizeof *count; i++)
        count[i] = count[i] > old[i] ? count[i] - old[i] : 0;
    out.entries = now->entries;
    out.live_bytes = now->live_bytes;
    return out;
}

/* ---- Sorting ------------------------------------------------------------------------------------------------------------- */

static const char *sort_by;

static uint64_t sort_word(const libcache_ns_stats *s)
{
    switch (*sort_by) {
    case 'm': return s->misses;
    case 'e': return s->evictions;
    case 'b': return s->live_bytes;
    default: return gets_of(s);
    }
}

static int compare(const void *a, const void *b)
{
    const libcache_ns_stats *x = a, *y = b;
    uint64_t i = sort_word(x), j = sort_word(y);

    return *sort_by == 'n' || i == j ? strcmp(x->name, y->name) : i < j ? 1 : -1;
}

static int compute_rows(struct top *top)
{
    libcache_ns_stats nothing;
    libcache_ns_stats *rows = realloc(top->rows, (top->now.n + 1) * sizeof *rows);

    if (!rows)
        return fail(TOOL_FAILED, "no memory");
    memset(&nothing, 0, sizeof nothing);
    top->rows = rows;
    top->n_rows = top->now.n;
    for (size_t i = 0; i < top->n_rows; i++)
        rows[i] = difference(&top->now.ns[i], i < top->before.n ? &top->before.ns[i] : &nothing);
    qsort(rows, top->n_rows, sizeof *rows, compare);
    rows[top->n_rows] = difference(&top->now.sum, &top->before.sum);
    snprintf(rows[top->n_rows].name, sizeof rows->name, "all");
    return TOOL_OK;
}

/* A quantile of what came in the interval, in nanoseconds. */
static uint64_t quantile(const struct top *top, int which, double q)
{
    uint64_t buckets[LIBCACHE_TIME_BUCKETS];

    for (size_t i = 0; i < LIBCACHE_TIME_BUCKETS; i++)
        buckets[i] = top->now.times[which].bucket[i] - top->before.times[which].bucket[i];
    return libcache_time_quantile(buckets, q);
}

/* ---- JSON: an object a line ------------------------------------------------------------------------------------------------ */

static void row_json(const libcache_ns_stats *r)
{
    json_open(NULL, '{');
    json_bytes("name", r->name, strlen(r->name));
    json_number("gets", gets_of(r));
    json_number("hits_l1", r->hits_l1);
    json_number("hits_l2", r->hits_l2);
    json_number("stale", r->stale_l1 + r->stale_l2);
    json_number("negatives", r->negatives_l1 + r->negatives_l2);
    json_number("misses", r->misses);
    json_number("sets", r->sets + r->adds);
    json_number("deletes", r->deletes);
    json_number("loads", r->loads);
    json_number("load_errors", r->load_errors);
    json_number("fenced", r->fenced);
    json_number("invalidations", r->invalidations);
    json_number("evictions", r->evictions);
    json_number("entries", r->entries);
    json_number("live_bytes", r->live_bytes);
    json_close();
}

static void print_json(const struct top *top)
{
    static const char *const names[LIBCACHE_TIMES_KINDS] = { "get_p99_ns", "exchange_p99_ns", "load_p99_ns",
                                                             "wait_p99_ns" };

    json_open(NULL, '{');
    json_text("segment", top->target.name);
    json_real("seconds", top->seconds);
    json_number("memory_bytes", top->now.stats.memory_bytes);
    json_number("live_bytes", top->now.stats.live_bytes);
    json_number("coherence_age_ms", top->now.stats.coherence_age_ms);
    json_number("owed_bytes", top->now.stats.owed_bytes);
    json_number("epochs", top->now.stats.epochs);
    for (int which = 0; which < LIBCACHE_TIMES_KINDS; which++)
        json_number(names[which], quantile(top, which, 0.99));
    json_open("namespaces", '[');
    for (size_t i = 0; i < top->n_rows; i++)
        row_json(&top->rows[i]);
    json_close();
    json_open("all", '[');
    row_json(&top->rows[top->n_rows]);
    json_end();
}

/* ---- For people ------------------------------------------------------------------------------------------------------------ */

static void print_head(const struct top *top)
{
    static const char *const names[LIBCACHE_TIMES_KINDS] = { "get", "Redis", "load", "wait" };
    const libcache_stats *s = &top->now.stats;
    char cell[3][SHORT_TEXT];

    printf("libcache top - %s - %s, %.0f %% full, %s entries - %.1f s%s", top->target.name,
           show_bytes(cell[0], s->memory_bytes),
           100.0 * (double)s->live_bytes / (double)(s->memory_bytes ? s->memory_bytes : 1),
           show_count(cell[1], (double)s->entries), top->seconds,
           top->moved ? " - the segment was REPLACED or removed" : "");
    screen_line();
    fputs("p99:", stdout);
    for (int which = 0; which < LIBCACHE_TIMES_KINDS; which++)
        printf(" %s %s ", names[which],
               top->now.times[which].count > top->before.times[which].count
                   ? show_us(cell[0], (double)quantile(top, which, 0.99) / 1e3)
                   : "-");
    if (s->epochs)
        printf("  coherence age %s, owed %s, epochs %llu", show_ms(cell[0], s->coherence_age_ms),
               show_bytes(cell[1], s->owed_bytes), (unsigned long long)s->epochs);
    screen_line();
    screen_line();
    fputs("NAMESPACE             GET/S    HIT   L1/S   L2/S  STALE/S  MISS/S   SET/S  LOAD/S  FENCED  EVICT/S  ENTRIES "
          "    BYTES",
          stdout);
    screen_line();
}

static const char *per_second(char out[SHORT_TEXT], uint64_t count, double seconds)
{
    return show_count(out, seconds > 0 ? (double)count / seconds : 0);
}

static void print_row(const libcache_ns_stats *r, double seconds)
{
    char c[11][SHORT_TEXT];
    uint64_t gets = gets_of(r);

    print_cell(stdout, r->name, strlen(r->name), 18);
    printf(" %8s %5.1f%% %6s %6s %8s %7s %7s %7s %7s %8s %8s %9s", per_second(c[0], gets, seconds),
           gets ? 100.0 * (double)(gets - r->misses) / (double)gets : 0.0, per_second(c[1], r->hits_l1, seconds),
           per_second(c[2], r->hits_l2, seconds), per_second(c[3], r->stale_l1 + r->stale_l2, seconds),
           per_second(c[4], r->misses, seconds), per_second(c[5], r->sets + r->adds, seconds),
           per_second(c[6], r->loads, seconds), show_count(c[7], (double)r->fenced),
           per_second(c[8], r->evictions, seconds), show_count(c[9], (double)r->entries),
           show_bytes(c[10], r->live_bytes));
    screen_line();
}

static void print_table(const struct top *top)
{
    int lines = 0, columns = 0;
    size_t shown = top->n_rows;

    if (top->live)
        screen_begin(&lines, &columns);
    if (top->live && lines > 7 && shown > (size_t)lines - 7)
        shown = (size_t)lines - 7;
    print_head(top);
    for (size_t i = 0; i < shown; i++)
        print_row(&top->rows[i], top->seconds);
    print_row(&top->rows[top->n_rows], top->seconds);
    if (shown < top->n_rows) {
        printf("(%zu more namespaces)", top->n_rows - shown);
        screen_line();
    }
    if (top->live)
        fputs("q ends; sort by: n name, g gets, m miss, e evictions, b bytes", stdout);
    else
        putchar('\n');
    screen_end();
}

/* ---- The loop --------------------------------------------------------------------------------------------------------------- */

static void use_key(struct top *top, int key)
{
    static const char *const sorts[] = { "name", "gets", "miss", "evict", "bytes" };

    for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++)
        if (key == *sorts[i])
            sort_by = sorts[i];
    if (!top->n_rows)
        return;
    qsort(top->rows, top->n_rows, sizeof *top->rows, compare);
    print_table(top);
}

/* Until the interval has passed; 0: it is time to end. */
static int wait_for_next(struct top *top)
{
    uint64_t until = top->before.at_ns + top->interval_ms * UINT64_C(1000000), now;
    int key;

    if (!top->live) {
        now = now_ns();
        return now >= until || pause_ms((until - now) / UINT64_C(1000000) + 1);
    }
    while (!stop_asked && (now = now_ns()) < until) {
        uint64_t left_ms = (until - now) / UINT64_C(1000000) + 1;
        key = screen_key(left_ms < 200 ? left_ms : 200); /* a signal may come just before it waits */
        if (key == 'q' || key == 'Q' || key == 3 || key == 4)
            return 0;
        if (key)
            use_key(top, key);
    }
    return !stop_asked;
}

/* The name may lead to another segment by now: then on with that one. */
static int follow(struct top *top)
{
    struct target other;

    if (!target_moved(&top->target))
        return TOOL_OK;
    top->moved = 1;
    set_fail_json(0);
    if (target_look(&other, top->args) == TOOL_OK) {
        target_close(&top->target);
        top->target = other;
        return take_snapshot(&top->before, other.cache);
    }
    return TOOL_SEGMENT;
}

static int run(struct top *top)
{
    uint64_t tables = top->args->once ? 1 : top->args->count;
    int code = take_snapshot(&top->before, top->target.cache);

    for (uint64_t n = 0; code == TOOL_OK && (!tables || n < tables) && wait_for_next(top); n++) {
        struct snapshot swap;
        code = take_snapshot(&top->now, top->target.cache);
        if (code == TOOL_OK)
            code = compute_rows(top);
        if (code != TOOL_OK)
            break;
        top->seconds = (double)(top->now.at_ns - top->before.at_ns) / 1e9;
        if (top->args->json)
            print_json(top);
        else
            print_table(top);
        if (fflush(stdout) != 0)
            break;
        swap = top->before;
        top->before = top->now;
        top->now = swap;
        code = follow(top);
    }
    return code;
}

int cmd_top(struct args *args)
{
    static const char *const columns[] = { "name", "gets", "miss", "evict", "bytes" };
    struct top top;
    int code, known = 0;

    memset(&top, 0, sizeof top);
    sort_by = args->sort ? args->sort : "gets";
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        known |= strcmp(sort_by, columns[i]) == 0;
    if (!known)
        return fail(TOOL_USAGE, "top: --sort %s: want name, gets, miss, evict or bytes", sort_by);
    top.args = args;
    top.interval_ms = args->interval_ms ? args->interval_ms : 1000;
    code = target_look(&top.target, args);
    if (code != TOOL_OK)
        return code;
    catch_signals(1);
    top.live = !args->json && !args->once && !args->count && screen_open();
    if (top.live)
        fputs("Measuring ...", stdout), fflush(stdout);
    code = run(&top);
    screen_close();
    target_close(&top.target);
    free(top.now.ns);
    free(top.before.ns);
    free(top.rows);
    return code;
}
