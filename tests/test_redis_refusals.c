/*
 * Every way in which Redis says no: reads become misses, writes give the code that the header names, memory stays right, and
 * when it is over, what Redis could not be told is told (G6). SPDX-License-Identifier: MIT
 */
#include "support/hosts.h"
#include "support/fake_redis.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "key", 3
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;
static char answer[20000];

static void config(const char *name, const char *value)
{
    REDIS(&hosts.redis, answer, "CONFIG", "SET", name, value);
}

/* ---- What may be wrong, and how it ends ------------------------------------------------------------------------------- */

static void want_a_password(void)
{
    config("requirepass", "secret");
    snprintf(hosts.redis.password, sizeof hosts.redis.password, "secret");
    REDIS(&hosts.redis, answer, "CLIENT", "KILL", "TYPE", "normal");
}

static void want_no_password(void)
{
    config("requirepass", "");
    hosts.redis.password[0] = '\0';
}

static void forbid(void)
{
    REDIS(&hosts.redis, answer, "ACL", "SETUSER", "default", "-get", "-mget", "-evalsha", "-eval", "-unlink");
}

static void allow(void)
{
    REDIS(&hosts.redis, answer, "ACL", "SETUSER", "default", "+@all");
}

static void have_no_memory(void)
{
    config("maxmemory", "1");
}

static void have_memory(void)
{
    config("maxmemory", "0");
}

static void be_a_replica(void)
{
    REDIS(&hosts.redis, answer, "REPLICAOF", "127.0.0.1", "1");
}

static void be_a_replica_without_data(void)
{
    config("replica-serve-stale-data", "no");
    be_a_replica();
}

static void be_a_master(void)
{
    REDIS(&hosts.redis, answer, "REPLICAOF", "NO", "ONE");
}

static const char *last_save(void)
{
    const char *found;

    REDIS(&hosts.redis, answer, "INFO", "persistence");
    found = strstr(answer, "rdb_last_bgsave_status:");
    return found ? found + strlen("rdb_last_bgsave_status:") : "";
}

static int saves(const char *word)
{
    return strncmp(last_save(), word, strlen(word)) == 0 && strstr(answer, "rdb_bgsave_in_progress:0");
}

static const char *dump(void)
{
    static char path[200];

    snprintf(path, sizeof path, "%s/dump.rdb", hosts.redis.directory);
    return path;
}

static void fail_to_save(void)
{
    ck_assert_int_eq(mkdir(dump(), 0700), 0); /* where the file is to be */
    config("save", "3600 1");
    REDIS(&hosts.redis, answer, "BGSAVE");
    ck_wait_until(saves("err"));
}

static void save_again(void)
{
    ck_assert_int_eq(rmdir(dump()), 0);
    REDIS(&hosts.redis, answer, "BGSAVE");
    ck_wait_until(saves("ok"));
}

static const struct {
    const char *what;
    void (*begin)(void), (*end)(void);
    int reads;            /* 1: it still answers them */
    int set, del, tag;    /* what the calls give */
} wrongs[] = {
    { "another password", want_a_password, want_no_password, 0, LIBCACHE_EDENIED, LIBCACHE_EDENIED, LIBCACHE_EDENIED },
    { "no permission", forbid, allow, 0, LIBCACHE_EDENIED, LIBCACHE_EDENIED, LIBCACHE_EDENIED },
    { "no memory", have_no_memory, have_memory, 1, LIBCACHE_EREMOTE, LIBCACHE_OK, LIBCACHE_EREMOTE },
    { "a replica", be_a_replica, be_a_master, 1, LIBCACHE_EUNAVAILABLE, LIBCACHE_EUNAVAILABLE, LIBCACHE_EUNAVAILABLE },
    { "a replica without data", be_a_replica_without_data, be_a_master, 0, LIBCACHE_EUNAVAILABLE, LIBCACHE_EUNAVAILABLE,
      LIBCACHE_EUNAVAILABLE },
    { "no disk", fail_to_save, save_again, 1, LIBCACHE_EREMOTE, LIBCACHE_EREMOTE, LIBCACHE_EREMOTE },
};

#define GIVES(expression, wanted)                                                                               \
    do {                                                                                                        \
        int result_ = (expression);                                                                             \
        ck_assert_msg(result_ == (wanted), "%s: %s gives %s, not %s", wrongs[_i].what, #expression, result_name(result_), \
                      result_name(wanted));                                                                     \
    } while (0)

/* One of them, from the last good moment to the first good one. */
static void live_through(int _i)
{
    libcache_stats before, after;

    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    put(hosts.a.ns, "doomed", "old");
    put_tagged(hosts.a.ns, "tagged", "old", "tag");
    put(hosts.a.ns, "far", "value");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    ck_from(hosts.b.ns, "doomed", "old", L2);
    ck_from(hosts.b.ns, "tagged", "old", L2);
    before = rig_stats(&hosts.a);
    wrongs[_i].begin();
    ck_from(hosts.a.ns, "far", "value", L1);
    ck_get(hosts.a.ns, "far", LIBCACHE_SKIP_L1, wrongs[_i].reads ? LIBCACHE_HIT : LIBCACHE_MISS, L2);
    GIVES(put(hosts.a.ns, "key", "new"), wrongs[_i].set);
    ck_from(hosts.a.ns, "key", "new", L1); /* at once, as the caller has said it */
    GIVES(libcache_delete(hosts.a.ns, "doomed", 6, 0), wrongs[_i].del);
    ck_get(hosts.a.ns, "doomed", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    GIVES(invalidate_tag(hosts.a.cache, "tag"), wrongs[_i].tag);
    ck_get(hosts.a.ns, "tagged", LIBCACHE_SKIP_L2, LIBCACHE_MISS, 0);
    after = rig_stats(&hosts.a);
    ck_assert_uint_ge(after.l2_errors, before.l2_errors + 2);
    ck_assert_uint_gt(after.owed_bytes, 0);

    wrongs[_i].end();
    fake_clock_advance(&hosts.a.clock, 60000); /* past the breaker's pause, and that after a refused password */
    fake_clock_advance(&hosts.b.clock, 60000);
    ck_poll(&hosts.a);
    ck_assert_uint_eq(rig_stats(&hosts.a).owed_bytes, 0);
    ck_poll(&hosts.b);
    ck_assert_int_eq(in_l1(hosts.b.ns, "key"), 0);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0); /* not the old one; the new one is lost, not wrong */
    ck_get(hosts.b.ns, "doomed", 0, LIBCACHE_MISS, 0);
    ck_get(hosts.b.ns, "tagged", 0, LIBCACHE_MISS, 0);
    ck_result(put(hosts.a.ns, "key", "newest"), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "newest", L2);
    ck_from(hosts.b.ns, "key", "newest", L1);
    ck_assert_uint_eq(rig_stats(&hosts.a).l2_up, 1);
    hosts_down(&hosts);
}

START_TEST(redis_that_wants_another_password_is_done_without)
{
    live_through(0);
}
END_TEST

START_TEST(redis_that_forbids_commands_is_done_without)
{
    live_through(1);
}
END_TEST

START_TEST(redis_without_memory_is_done_without)
{
    live_through(2);
}
END_TEST

START_TEST(redis_that_became_a_replica_is_done_without)
{
    live_through(3);
}
END_TEST

START_TEST(redis_that_waits_for_its_master_is_done_without)
{
    live_through(4);
}
END_TEST

START_TEST(redis_that_cannot_save_is_done_without)
{
    live_through(5);
}
END_TEST

/* ---- Those that cannot be switched on and off ------------------------------------------------------------------------------ */

START_TEST(redis_without_room_for_another_client_is_done_without)
{
    hosts_prepare(&hosts, NULL);
    host_open(&hosts.a);
    put(hosts.a.ns, "key", "value");
    config("maxclients", "1");
    rig_open(&hosts.b);
    ck_result(libcache_poll(hosts.b.cache, 0), LIBCACHE_EUNAVAILABLE);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_result(put(hosts.b.ns, "other", "value"), LIBCACHE_EUNAVAILABLE);
    ck_from(hosts.b.ns, "other", "value", L1);
    ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_HIT, L2); /* who is in stays in */
    rig_down(&hosts.a);
    ck_wait_until(REDIS_TELL(&hosts.redis, answer, "CONFIG", "SET", "maxclients", "100") >= 0);
    fake_clock_advance(&hosts.b.clock, 60000);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "value", L2);
    rig_down(&hosts.b);
    redis_server_stop(&hosts.redis);
}
END_TEST

START_TEST(redis_that_is_still_loading_is_done_without)
{
    static const char *const lines[] = { "key-load-delay 20000", "loading-process-events-interval-bytes 1024", NULL };
    struct redis_server_options slow = { .config = lines };
    char value[1000];

    hosts_prepare(&hosts, &slow);
    hosts_open(&hosts);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 60; i++) {
        char key[20];
        libcache_set(hosts.a.ns, key, (size_t)snprintf(key, sizeof key, "key-%d", i), value, sizeof value, NULL);
    }
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    REDIS(&hosts.redis, answer, "SAVE");
    ck_assert_int_eq(redis_server_spawn(&hosts.redis, REDIS_KEPT), 0);
    ck_wait_until(REDIS_TELL(&hosts.redis, answer, "PING") == REDIS_REFUSED);
    ck_assert_msg(strncmp(answer, "LOADING", 7) == 0, "%s", answer);
    ck_get(hosts.a.ns, "key", LIBCACHE_SKIP_L1, LIBCACHE_MISS, 0);
    ck_result(put(hosts.a.ns, "key", "new"), LIBCACHE_EUNAVAILABLE);
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_result(libcache_delete(hosts.a.ns, "key-1", 5, 0), LIBCACHE_EUNAVAILABLE);
    ck_assert_int_eq(redis_server_wait(&hosts.redis, 20000), 0);
    fake_clock_advance(&hosts.a.clock, 60000);
    ck_poll(&hosts.a);
    ck_poll(&hosts.b);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_get(hosts.b.ns, "key-1", 0, LIBCACHE_MISS, 0);
    ck_get(hosts.b.ns, "key-2", 0, LIBCACHE_HIT, L2);
    hosts_down(&hosts);
}
END_TEST

START_TEST(redis_that_dies_and_comes_back_empty_is_done_without)
{
    hosts_up(&hosts);
    put(hosts.a.ns, "key", "old");
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "old", L2);
    redis_server_kill(&hosts.redis);
    ck_from(hosts.b.ns, "key", "old", L1);
    ck_assert_int_lt(put(hosts.a.ns, "key", "new"), 0);
    ck_from(hosts.a.ns, "key", "new", L1);
    ck_get(hosts.a.ns, "absent", 0, LIBCACHE_MISS, 0);
    REDIS_AGAIN(&hosts.redis, REDIS_EMPTY);
    fake_clock_advance(&hosts.a.clock, 60000);
    fake_clock_advance(&hosts.b.clock, 60000);
    ck_poll(&hosts.a);
    ck_poll(&hosts.b);
    ck_get(hosts.b.ns, "key", 0, LIBCACHE_MISS, 0);
    ck_result(put(hosts.a.ns, "key", "newest"), LIBCACHE_OK);
    ck_poll(&hosts.b);
    ck_from(hosts.b.ns, "key", "newest", L2);
    hosts_down(&hosts);
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_refusals", redis_that_wants_another_password_is_done_without,
                     redis_that_forbids_commands_is_done_without, redis_without_memory_is_done_without,
                     redis_that_became_a_replica_is_done_without, redis_that_waits_for_its_master_is_done_without,
                     redis_that_cannot_save_is_done_without, redis_without_room_for_another_client_is_done_without,
                     redis_that_is_still_loading_is_done_without, redis_that_dies_and_comes_back_empty_is_done_without);
}
