/* Opening with a Redis tier: options that are refused, secrets that are kept, and a Redis that is not there. SPDX-License-Identifier: MIT */
#include "support/fake_redis.h"
#include "support/hosts.h"

#include <stdio.h>
#include <string.h>

#define SECRET "hush-hush"
#define NOWHERE "unix:///tmp/libcache-there-is-no-such-socket"
#define L1 LIBCACHE_TIER_L1
#define L2 LIBCACHE_TIER_L2

static struct hosts hosts;

/* ---- What is refused ---------------------------------------------------------------------------------------------- */

static void cannot_open(libcache_options *options, int code, const char *word)
{
    libcache *cache = NULL;
    libcache_error error;
    struct counted_memory memory;

    counted_memory_init(&memory);
    memset(&error, 0xff, sizeof error);
    options->memory_bytes = 1 << 20;
    options->allocator = &memory.allocator;
    ck_result(libcache_open(&cache, options, &error), code);
    ck_assert_int_eq(error.code, code);
    ck_assert_ptr_nonnull(memchr(error.text, '\0', sizeof error.text));
    ck_assert_msg(strstr(error.text, word), "\"%s\" does not speak of %s", error.text, word);
    ck_assert_msg(!strstr(error.text, SECRET), "\"%s\" tells the secret", error.text);
    ck_assert_ptr_null(cache);
    ck_assert_int_eq((int)memory.live, 0);
}

#define CANNOT_OPEN(field, wrong_value)                            \
    do {                                                           \
        libcache_options options_ = LIBCACHE_OPTIONS_INIT;         \
        options_.redis_url = NOWHERE;                              \
        options_.field = (wrong_value);                            \
        cannot_open(&options_, LIBCACHE_EINVAL, #field);           \
        if (strcmp(#field, "redis_url") != 0) {                    \
            libcache *cache_ = NULL;                               \
            options_.redis_url = NULL; /* without it, no matter */ \
            options_.allocator = NULL;                             \
            ck_result(libcache_open(&cache_, &options_, NULL), LIBCACHE_OK); \
            libcache_close(cache_);                                \
        }                                                          \
    } while (0)

START_TEST(numbers_out_of_range_are_refused_by_name)
{
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    CANNOT_OPEN(redis_timeout_ms, 3600001);
    CANNOT_OPEN(pool_min, 1025);
    CANNOT_OPEN(pool_max, 1025);
    CANNOT_OPEN(pool_overflow, 1025);
    CANNOT_OPEN(pool_wait_ms, 3600001);
    CANNOT_OPEN(pool_idle_ms, 86400001);
    CANNOT_OPEN(breaker_failures, 1000001);
    CANNOT_OPEN(breaker_backoff_ms, 3600001);
    CANNOT_OPEN(breaker_backoff_ms, 5001); /* more than the default of the longest */
    CANNOT_OPEN(breaker_backoff_max_ms, 3600001);
    CANNOT_OPEN(breaker_backoff_max_ms, 99);
    CANNOT_OPEN(max_reply_bytes, 1023);
    CANNOT_OPEN(max_staleness_ms, 9);
    CANNOT_OPEN(max_staleness_ms, 3600001);
    CANNOT_OPEN(listener, 2);
    CANNOT_OPEN(listener, -1);
    CANNOT_OPEN(poll_ms, 2001);
    CANNOT_OPEN(log_length, 99);
    CANNOT_OPEN(log_length, 100000001);
    options.redis_url = NOWHERE;
    options.pool_min = 5;
    options.pool_max = 4;
    cannot_open(&options, LIBCACHE_EINVAL, "pool_min");
}
END_TEST

START_TEST(the_least_and_the_most_are_accepted)
{
    static const struct {
        unsigned pool_min, pool_max, overflow, timeout, staleness, poll, backoff, backoff_max, length;
    } good[] = { { 1, 1, 0, 1, 10, 1, 1, 1, 100 },
                 { 1024, 1024, 1024, 3600000, 3600000, 3600000, 3600000, 3600000, 100000000 },
                 { 9, 0, 0, 0, 10, 0, 0, 0, 0 } };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        libcache_options options = LIBCACHE_OPTIONS_INIT;
        libcache_error error = { 0 };
        libcache *cache = NULL;
        options.memory_bytes = 1 << 20;
        options.redis_url = NOWHERE;
        options.pool_min = good[i].pool_min;
        options.pool_max = good[i].pool_max;
        options.pool_overflow = good[i].overflow;
        options.redis_timeout_ms = good[i].timeout;
        options.max_staleness_ms = good[i].staleness;
        options.poll_ms = good[i].poll;
        options.breaker_backoff_ms = good[i].backoff;
        options.breaker_backoff_max_ms = good[i].backoff_max;
        options.log_length = good[i].length;
        options.max_reply_bytes = 1024;
        ck_assert_msg(libcache_open(&cache, &options, &error) == LIBCACHE_OK, "%s", error.text);
        libcache_close(cache);
    }
}
END_TEST

START_TEST(bad_prefixes_are_refused)
{
    static const char *const bad[] = { "", "a b", "a:b", "{a}", "a*", "\xc3\xbc", "a\n",
                                       "12345678901234567890123456789012345678901234567890123456789012345" };
    libcache_options options = LIBCACHE_OPTIONS_INIT;
    libcache *cache = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CANNOT_OPEN(redis_prefix, bad[i]);
    options.memory_bytes = 1 << 20;
    options.redis_url = NOWHERE;
    options.redis_prefix = "AZaz09._-/56789012345678901234567890123456789012345678901234567";
    ck_result(libcache_open(&cache, &options, NULL), LIBCACHE_OK);
    libcache_close(cache);
}
END_TEST

START_TEST(bad_urls_are_refused_without_telling_the_password)
{
    static char endless[3000] = "redis://:" SECRET "@";
    static const char *const bad[] = { "", "localhost", "http://localhost", "redis://",
                                       "redis://:" SECRET "@", "redis://:" SECRET "@host:0", "redis://user:" SECRET "@host:65536",
                                       "redis://user:" SECRET "@host:port", "redis://:" SECRET "@host/x",
                                       "redis://:" SECRET "@host/-1", "redis://:" SECRET "%zz@host", "unix://:" SECRET "@",
                                       "unix://", "redis://:" SECRET "@host:1\n" };
    libcache_options options = LIBCACHE_OPTIONS_INIT;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CANNOT_OPEN(redis_url, bad[i]);
    memset(endless + strlen(endless), 'h', sizeof endless - strlen(endless) - 1);
    CANNOT_OPEN(redis_url, endless);
    options.redis_url = "rediss://:" SECRET "@localhost";
    cannot_open(&options, LIBCACHE_EUNSUPPORTED, "redis_url");
}
END_TEST

START_TEST(a_namespace_in_redis_needs_a_redis_tier)
{
    libcache_policy policy = LIBCACHE_POLICY_INIT;
    libcache_ns *ns = NULL;
    struct rig rig;
    uint64_t tiers[] = { LIBCACHE_TIER_L2, LIBCACHE_TIER_L1 | LIBCACHE_TIER_L2 };

    rig_up(&rig);
    ck_result(libcache_poll(rig.cache, 0), LIBCACHE_EUNSUPPORTED);
    ck_result(libcache_poll(NULL, 0), LIBCACHE_EINVAL);
    for (int i = 0; i < 2; i++) {
        policy.tiers = (unsigned)tiers[i];
        ck_result(libcache_open_namespace(&ns, rig.cache, "far", &policy, NULL), LIBCACHE_EUNSUPPORTED);
    }
    rig_down(&rig);
    rig_prepare(&rig);
    rig.options.redis_url = NOWHERE;
    rig.options.random = NULL;
    rig_open(&rig);
    for (int i = 0; i < 2; i++) {
        char name[20];
        policy.tiers = (unsigned)tiers[i];
        snprintf(name, sizeof name, "far-%d", i);
        space(&rig, name, &policy);
    }
    policy = (libcache_policy)LIBCACHE_POLICY_INIT;
    ck_result(libcache_read_policy(rig.ns, &policy), LIBCACHE_OK);
    ck_assert_uint_eq(policy.tiers, L1 | L2);
    rig_down(&rig);
}
END_TEST

START_TEST(a_named_segment_belongs_to_one_redis_and_prefix)
{
    const char *name = segment_name("redis");
    struct rig one, other;
    libcache *cache = NULL;
    libcache_error error = { 0 };

    rig_prepare(&one);
    one.options.segment = LIBCACHE_NAMED;
    one.options.name = name;
    one.options.random = NULL;
    one.options.redis_url = NOWHERE;
    other = one;
    rig_open(&one);
    other.options.redis_prefix = "another";
    ck_result(libcache_open(&cache, &other.options, &error), LIBCACHE_EINCOMPATIBLE);
    ck_result(libcache_attach(&cache, name, &other.options, NULL), LIBCACHE_EINCOMPATIBLE);
    other.options.redis_prefix = NULL;
    other.options.redis_url = NOWHERE "?db=2";
    ck_result(libcache_open(&cache, &other.options, &error), LIBCACHE_EINCOMPATIBLE);
    other.options.redis_url = NULL;
    ck_result(libcache_open(&cache, &other.options, &error), LIBCACHE_EINCOMPATIBLE);
    ck_assert_ptr_null(cache);
    other.options.redis_url = NOWHERE;
    ck_result(libcache_open(&cache, &other.options, &error), LIBCACHE_OK);
    libcache_close(cache);
    ck_result(libcache_attach(&cache, name, &other.options, &error), LIBCACHE_OK);
    libcache_close(cache);
    libcache_close(one.cache);
    libcache_remove_segment(name, NULL);
}
END_TEST

/* ---- Secrets --------------------------------------------------------------------------------------------------------- */

struct heard {
    unsigned messages, secrets;
    char all[2000];
};

static void listen_for_secrets(void *arg, int level, const char *message)
{
    struct heard *heard = arg;

    (void)level;
    heard->messages++;
    heard->secrets += strstr(message, SECRET) != NULL || strstr(message, "somebody") != NULL;
    strncat(heard->all, message, sizeof heard->all - strlen(heard->all) - 1);
}

START_TEST(neither_texts_nor_log_tell_user_or_password)
{
    struct redis_server_options with_password = { .tcp = 1, .password = "another" };
    struct heard heard = { 0 };
    char urls[2][300];
    libcache_slice tag = LIBCACHE_STR("tag");

    hosts_prepare(&hosts, &with_password);
    snprintf(urls[0], sizeof urls[0], "redis://somebody:" SECRET "@127.0.0.1:%u/1", hosts.redis.port); /* wrong */
    snprintf(urls[1], sizeof urls[1], "redis://somebody:" SECRET "@127.0.0.1:1"); /* refused */
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        host_prepare(&rig, &hosts.redis);
        rig.options.redis_url = urls[i];
        rig.options.log = listen_for_secrets;
        rig.options.log_arg = &heard;
        rig.options.breaker_failures = 1;
        heard.messages = 0;
        rig_open(&rig);
        ck_result(libcache_poll(rig.cache, 0), i ? LIBCACHE_EUNAVAILABLE : LIBCACHE_EDENIED);
        ck_result(put(rig.ns, "key", "value"), i ? LIBCACHE_EUNAVAILABLE : LIBCACHE_EDENIED);
        ck_result(libcache_invalidate_tags(rig.cache, &tag, 1, 0), i ? LIBCACHE_EUNAVAILABLE : LIBCACHE_EDENIED);
        ck_get(rig.ns, "absent", 0, LIBCACHE_MISS, 0);
        ck_from(rig.ns, "key", "value", L1);
        ck_assert_uint_eq(heard.messages, 1); /* once, not once a call */
        ck_assert_msg(heard.secrets == 0, "%s", heard.all);
        ck_assert_uint_eq(rig_stats(&rig).l2_up, 0);
        rig_down(&rig);
    }
    host_prepare(&hosts.a, &hosts.redis);
    hosts.a.options.redis_url = hosts.redis.tcp_url; /* the right one */
    host_open(&hosts.a);
    ck_result(put(hosts.a.ns, "key", "value"), LIBCACHE_OK);
    rig_down(&hosts.a);
    redis_server_stop(&hosts.redis);
}
END_TEST

/* ---- Redis is not there -------------------------------------------------------------------------------------------------- */

START_TEST(a_cache_opens_without_redis_and_finds_it_when_it_comes)
{
    for (int listener = LIBCACHE_LISTEN_ON_CALLS; listener <= LIBCACHE_LISTEN_IN_THREAD; listener++) {
        libcache_stats stats;
        int64_t number;
        hosts_prepare(&hosts, NULL);
        hosts.a.options.listener = listener;
        redis_server_kill(&hosts.redis);
        rig_open(&hosts.a);
        ck_result(put_tagged(hosts.a.ns, "key", "value", "tag"), LIBCACHE_EUNAVAILABLE);
        ck_from(hosts.a.ns, "key", "value", L1);
        ck_get(hosts.a.ns, "absent", 0, LIBCACHE_MISS, 0);
        ck_result(invalidate_tag(hosts.a.cache, "tag"), LIBCACHE_EUNAVAILABLE);
        ck_get(hosts.a.ns, "key", 0, LIBCACHE_MISS, 0);
        ck_result(libcache_add(hosts.a.ns, "added", 5, "v", 1, NULL), LIBCACHE_EUNAVAILABLE);
        ck_get(hosts.a.ns, "added", 0, LIBCACHE_MISS, 0);
        ck_result(libcache_increment(hosts.a.ns, "n", 1, 1, NULL, &number), LIBCACHE_EUNAVAILABLE);
        ck_result(put(hosts.a.ns, "own", "value"), LIBCACHE_EUNAVAILABLE);
        stats = rig_stats(&hosts.a);
        ck_assert_uint_eq(stats.l2_up, 0);
        ck_assert_uint_ge(stats.l2_errors, 5);
        ck_assert_uint_gt(stats.owed_bytes, 0);
        REDIS_AGAIN(&hosts.redis, REDIS_EMPTY);
        fake_clock_advance(&hosts.a.clock, 10000); /* past the breaker's pause */
        ck_poll(&hosts.a);
        if (listener == LIBCACHE_LISTEN_IN_THREAD) /* the thread may be paying what is owed just now */
            ck_wait_until(rig_stats(&hosts.a).owed_bytes == 0);
        stats = rig_stats(&hosts.a);
        ck_assert_uint_eq(stats.l2_up, 1);
        ck_assert_uint_eq(stats.owed_bytes, 0);
        ck_assert_int_eq(in_l1(hosts.a.ns, "own"), 0); /* nobody vouches for what was stored before */
        ck_result(put(hosts.a.ns, "key", "now"), LIBCACHE_OK);
        host_open(&hosts.b);
        ck_from(hosts.b.ns, "key", "now", L2);
        hosts_down(&hosts);
    }
}
END_TEST

int main(void)
{
    return RUN_TESTS("redis_options", numbers_out_of_range_are_refused_by_name, the_least_and_the_most_are_accepted,
                     bad_prefixes_are_refused, bad_urls_are_refused_without_telling_the_password,
                     a_namespace_in_redis_needs_a_redis_tier, a_named_segment_belongs_to_one_redis_and_prefix,
                     neither_texts_nor_log_tell_user_or_password, a_cache_opens_without_redis_and_finds_it_when_it_comes);
}
