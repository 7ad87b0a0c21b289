/* A segment that is attached read-only: it can be looked at, and not a byte of it changes. SPDX-License-Identifier: MIT */
#include "support/loads.h"
#include "support/support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"

#define KEY "key", 3

/* A writer's cache, which some things lie in, and a looker's handle. */
struct scene {
    struct rig rig;
    const char *name;
    libcache *looker;
    libcache_ns *ns; /* the looker's */
};

static void attach(struct scene *s, const libcache_options *given)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error = { 0 };

    if (given)
        options = *given;
    options.read_only = 1;
    options.clock_ms = fake_clock_read;
    options.clock_arg = &s->rig.clock;
    ck_assert_msg(libcache_attach(&s->looker, s->name, &options, &error) == LIBCACHE_OK, "%s", error.text);
    ck_result(libcache_open_namespace(&s->ns, s->looker, "test", NULL, NULL), LIBCACHE_OK);
}

static void scene_up(struct scene *s, const char *what)
{
    libcache_set_options negative = LIBCACHE_SET_OPTIONS_INIT;
    static char long_[3000];

    s->name = segment_name(what);
    rig_prepare(&s->rig);
    s->rig.options.segment = LIBCACHE_NAMED;
    s->rig.options.name = s->name;
    s->rig.options.memory_bytes = 1 << 20;
    s->rig.options.identity = "of somebody";
    rig_open(&s->rig);
    memset(long_, 'l', sizeof long_ - 1);
    put_tagged(s->rig.ns, "key", "value", "tag");
    put(s->rig.ns, "long", long_);
    put_tagged(s->rig.ns, "gone", "value", "gone");
    invalidate_tag(s->rig.cache, "gone");
    negative.flags = LIBCACHE_NEG;
    ck_result(libcache_set(s->rig.ns, "not", 3, NULL, 0, &negative), LIBCACHE_OK);
    ck_result(libcache_increment(s->rig.ns, "number", 6, 42, NULL, NULL), LIBCACHE_OK);
    attach(s, NULL);
}

static void scene_down(struct scene *s)
{
    libcache_close(s->looker);
    rig_down(&s->rig);
}

/* What the segment's file holds. */
static unsigned char *bytes_of(const struct scene *s, size_t *size)
{
    int fd = open(segment_file(s->name), O_RDONLY);
    unsigned char *bytes;
    struct stat st;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    bytes = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *size = (size_t)st.st_size;
    return bytes;
}

/* Everything that a looker may do. */
static void look_at_all(struct scene *s)
{
    static libcache_entry entry;
    libcache_cursor cursor = LIBCACHE_CURSOR_INIT, spaces = LIBCACHE_CURSOR_INIT;
    libcache_ns_stats ns_stats = LIBCACHE_NS_STATS_INIT;
    libcache_value values[2] = { LIBCACHE_VALUE_INIT, LIBCACHE_VALUE_INIT }, text = LIBCACHE_VALUE_INIT;
    libcache_slice keys[2] = { LIBCACHE_STR("key"), LIBCACHE_STR("none") };
    libcache_times times = LIBCACHE_TIMES_INIT;
    libcache_stats stats = LIBCACHE_STATS_INIT;
    libcache_stamp stamp;
    int results[2], entries = 0, found = 0;
    uint64_t left;
    size_t hits;

    for (int i = 0; i < 5000; i++) { /* more than once in a while */
        ck_result(libcache_get(s->ns, KEY, &values[0], 0), LIBCACHE_HIT);
        ck_assert(values[0].size == 5 && memcmp(values[0].data, "value", 5) == 0);
    }
    ck_result(libcache_get(s->ns, KEY, &values[0], LIBCACHE_TIMES), LIBCACHE_HIT);
    ck_result(libcache_get(s->ns, "long", 4, &values[0], 0), LIBCACHE_HIT);
    ck_assert_uint_eq(values[0].size, 2999);
    ck_result(libcache_get(s->ns, "gone", 4, &values[0], 0), LIBCACHE_MISS);
    ck_result(libcache_get(s->ns, "none", 4, &values[0], 0), LIBCACHE_MISS);
    ck_result(libcache_get(s->ns, "not", 3, &values[0], 0), LIBCACHE_NEGATIVE);
    ck_result(libcache_get(s->ns, "number", 6, &values[0], 0), LIBCACHE_HIT);
    ck_assert(values[0].size == 2 && memcmp(values[0].data, "42", 2) == 0);
    ck_result(libcache_get_many(s->ns, keys, 2, values, results, &hits, 0), LIBCACHE_OK);
    ck_assert_uint_eq(hits, 1);
    ck_result(libcache_exists(s->ns, KEY, 0), LIBCACHE_HIT);
    ck_result(libcache_ttl_left(s->ns, KEY, &left, 0), LIBCACHE_OK);
    ck_result(libcache_take_stamp(s->ns, KEY, &stamp), LIBCACHE_OK);
    memset(&entry, 0, sizeof entry);
    while (libcache_iterate(s->looker, &cursor, &entry) == LIBCACHE_HIT)
        entries++;
    ck_assert_int_eq(entries, 4);
    libcache_release_value(&entry.key);
    while (libcache_iterate_namespaces(s->looker, &spaces, &ns_stats) == LIBCACHE_HIT)
        found += strcmp(ns_stats.name, "test") == 0 && ns_stats.entries == 5 && ns_stats.sets == 4;
    ck_assert_int_eq(found, 1);
    ck_result(libcache_sum_stats(s->looker, &ns_stats), LIBCACHE_OK);
    ck_result(libcache_read_ns_stats(s->ns, &ns_stats), LIBCACHE_OK);
    ck_result(libcache_read_stats(s->looker, &stats), LIBCACHE_OK);
    ck_assert_uint_eq(stats.entries, 5);
    for (int which = 0; which < LIBCACHE_TIMES_KINDS; which++)
        ck_result(libcache_read_times(s->looker, which, &times), LIBCACHE_OK);
    ck_result(libcache_metrics(s->looker, &text, LIBCACHE_METRICS_OPENMETRICS), LIBCACHE_OK);
    ck_result(libcache_metrics(s->looker, &text, LIBCACHE_METRICS_JSON), LIBCACHE_OK);
    libcache_release_value(&text);
    libcache_release_value(&values[0]);
    libcache_release_value(&values[1]);
}

START_TEST(looking_changes_no_byte_of_the_segment)
{
    unsigned char *before, *after;
    size_t size, size_after;
    struct scene s;

    scene_up(&s, "looked");
    before = bytes_of(&s, &size);
    look_at_all(&s);
    libcache_close(s.looker);
    attach(&s, NULL);
    look_at_all(&s);
    libcache_close(s.looker);
    after = bytes_of(&s, &size_after);
    ck_assert_uint_eq(size, size_after);
    for (size_t i = 0; i < size; i++)
        ck_assert_msg(before[i] == after[i], "byte %zu of the segment has changed", i);
    attach(&s, NULL);
    free(before);
    free(after);
    scene_down(&s);
}
END_TEST

static int load_nothing(void *arg, const libcache_slice *key, libcache_loaded *out)
{
    (void)key;
    (void)out;
    ++*(int *)arg;
    return -1;
}

static int load_many_nothing(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    (void)keys;
    (void)n;
    (void)out;
    (void)results;
    ++*(int *)arg;
    return -1;
}

START_TEST(whatever_would_change_something_is_refused)
{
    libcache_item item = { .key = LIBCACHE_STR("key"), .value = LIBCACHE_STR("new") };
    libcache_slice key = LIBCACHE_STR("key"), tag = LIBCACHE_STR("tag");
    libcache_value value = LIBCACHE_VALUE_INIT;
    libcache_owner owner = { "" };
    libcache_load *load;
    unsigned char *before, *after;
    int result, loaded = 0;
    size_t size;
    int64_t n;
    struct scene s;

    scene_up(&s, "refused");
    before = bytes_of(&s, &size);
    ck_result(libcache_set(s.ns, KEY, "new", 3, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_add(s.ns, "k", 1, "new", 3, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_set_many(s.ns, &item, 1), LIBCACHE_EACCESS);
    ck_result(item.result, LIBCACHE_EACCESS);
    ck_result(libcache_delete(s.ns, KEY, 0), LIBCACHE_EACCESS);
    ck_result(libcache_delete_many(s.ns, &key, 1, NULL, 0), LIBCACHE_EACCESS);
    ck_result(libcache_touch(s.ns, KEY, 0, 0), LIBCACHE_EACCESS);
    ck_result(libcache_increment(s.ns, "number", 6, 1, NULL, &n), LIBCACHE_EACCESS);
    ck_result(libcache_decrement(s.ns, "number", 6, 1, NULL, &n), LIBCACHE_EACCESS);
    ck_result(libcache_invalidate_tags(s.looker, &tag, 1, 0), LIBCACHE_EACCESS);
    ck_result(libcache_invalidate_namespace(s.ns, 0), LIBCACHE_EACCESS);
    ck_result(libcache_invalidate_all(s.looker, 0), LIBCACHE_EACCESS);
    ck_result(libcache_sweep(s.looker, 1000, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_poll(s.looker, 0), LIBCACHE_EUNSUPPORTED);
    ck_result(libcache_load_begin(&load, s.ns, KEY, &value, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_get_or_load(s.ns, KEY, &value, load_nothing, &loaded, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_get_or_load_many(s.ns, &key, 1, &value, &result, load_many_nothing, &loaded, NULL), LIBCACHE_EACCESS);
    ck_result(result, LIBCACHE_EACCESS);
    ck_result(libcache_warm(s.ns, &key, 1, 1, load_many_nothing, &loaded, NULL, NULL), LIBCACHE_EACCESS);
    ck_assert_int_eq(loaded, 0);
    ck_result(libcache_load_fd(s.looker), LIBCACHE_EACCESS);
    ck_result(libcache_lock_take(s.looker, "l", 1, &owner, 1000, 0), LIBCACHE_EACCESS);
    ck_result(libcache_lock_break(s.looker, "l", 1), LIBCACHE_EACCESS);
    ck_result(libcache_lock_owner(s.looker, "l", 1, &owner, NULL), LIBCACHE_EACCESS);
    ck_result(libcache_rate_hit(s.looker, "r", 1, 1, 1000, NULL), LIBCACHE_EACCESS);
    ck_assert_ptr_nonnull(strstr(libcache_describe(LIBCACHE_EACCESS), "read-only"));
    after = bytes_of(&s, &size);
    ck_assert_int_eq(memcmp(before, after, size), 0);
    ck_value(s.rig.ns, "key", "value");
    free(before);
    free(after);
    libcache_release_value(&value);
    scene_down(&s);
}
END_TEST

START_TEST(the_memory_cannot_be_written_to)
{
    struct scene s;
    int status;
    pid_t child;

    scene_up(&s, "protected");
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (mprotect(s.looker->l1.segment.base, 4096, PROT_READ | PROT_WRITE) == 0)
            _exit(2); /* the file was opened for more than reading */
        *(volatile unsigned char *)s.looker->l1.segment.base = 0;
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status), "a write was not stopped: %d", status);
    scene_down(&s);
}
END_TEST

START_TEST(a_looker_is_no_user_of_the_segment)
{
    libcache_options other;
    struct scene s;
    libcache *cache;
    int fd;

    scene_up(&s, "nouser");
    rig_down(&s.rig);
    fd = open(segment_file(s.name), O_RDWR);
    ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    look_at_all(&s); /* also when nobody uses it */
    other = s.rig.options;
    other.memory_bytes = 2 << 20;
    ck_result(libcache_open(&cache, &other, NULL), LIBCACHE_OK); /* replaced: nobody was in the way */
    look_at_all(&s); /* goes on to show the old one */
    libcache_close(cache);
    libcache_close(s.looker);
}
END_TEST

START_TEST(a_looker_that_comes_after_a_crash_leaves_its_traces)
{
    unsigned char *before, *after;
    struct scene s;
    uint32_t closed;
    size_t size;
    int status;
    pid_t child;

    scene_up(&s, "crash");
    libcache_close(s.looker);
    rig_down(&s.rig);
    child = fork();
    if (child == 0) {
        libcache *cache;
        _exit(libcache_open(&cache, &s.rig.options, NULL) == LIBCACHE_OK ? 0 : 1); /* not closed in good order */
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    before = bytes_of(&s, &size);
    memcpy(&closed, before + offsetof(struct segment_head, closed), sizeof closed);
    ck_assert_uint_eq(closed, 0);
    attach(&s, NULL);
    look_at_all(&s);
    libcache_close(s.looker);
    after = bytes_of(&s, &size);
    ck_assert_int_eq(memcmp(before, after, size), 0); /* whoever opens it next looks through it */
    free(before);
    free(after);
}
END_TEST

START_TEST(it_sees_what_is_stored_and_invalidated_later)
{
    libcache_value value = LIBCACHE_VALUE_INIT;
    struct scene s;
    char key[20];

    scene_up(&s, "later");
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%d", i);
        put_tagged(s.rig.ns, key, key, "tag");
        ck_result(libcache_get(s.ns, key, strlen(key), &value, 0), LIBCACHE_HIT);
        ck_assert(value.size == strlen(key) && memcmp(value.data, key, value.size) == 0);
    }
    invalidate_tag(s.rig.cache, "tag");
    ck_result(libcache_get(s.ns, key, strlen(key), &value, 0), LIBCACHE_MISS);
    put(s.rig.ns, key, "value");
    fake_clock_advance(&s.rig.clock, 3600 * 1000);
    ck_result(libcache_get(s.ns, key, strlen(key), &value, 0), LIBCACHE_MISS);
    libcache_release_value(&value);
    scene_down(&s);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache_error error;
    libcache *cache = NULL;
    libcache_ns *ns;
    struct scene s;

    scene_up(&s, "sense");
    options.read_only = 1;
    ck_result(libcache_open(&cache, &options, &error), LIBCACHE_EINVAL);
    ck_assert_ptr_nonnull(strstr(error.text, "read_only"));
    options.redis_url = "redis://127.0.0.1";
    ck_result(libcache_attach(&cache, s.name, &options, &error), LIBCACHE_EINVAL);
    ck_assert_ptr_nonnull(strstr(error.text, "redis_url"));
    options.redis_url = NULL;
    options.read_only = 2;
    ck_result(libcache_attach(&cache, s.name, &options, &error), LIBCACHE_EINVAL);
    options.read_only = 1;
    options.identity = "of another";
    ck_result(libcache_attach(&cache, s.name, &options, &error), LIBCACHE_EINCOMPATIBLE);
    options.identity = "of somebody";
    ck_result(libcache_attach(&cache, s.name, &options, &error), LIBCACHE_OK);
    ck_result(libcache_open_namespace(&ns, cache, "nobody's", NULL, &error), LIBCACHE_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "nobody's"));
    libcache_close(cache);
    ck_result(libcache_attach(&cache, segment_name("absent"), &options, &error), LIBCACHE_ENOTFOUND);
    scene_down(&s);
}
END_TEST

int main(void)
{
    return RUN_TESTS("read_only", looking_changes_no_byte_of_the_segment, whatever_would_change_something_is_refused,
                     the_memory_cannot_be_written_to, a_looker_is_no_user_of_the_segment,
                     a_looker_that_comes_after_a_crash_leaves_its_traces, it_sees_what_is_stored_and_invalidated_later, what_makes_no_sense_is_refused);
}
