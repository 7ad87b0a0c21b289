/*
 * Opening and closing: options, segments, namespaces. SPDX-License-Identifier: MIT
 *
 * The list of a handle's namespaces is a stack that only grows, pushed by compare-and-swap: no lock, so nothing that a fork
 * could leave locked. Two threads that open the same new name at once: the loser finds the winner's and frees its own.
 */
#include "cache.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/options.h"
#include "l2/url.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define DEFAULT_MEMORY_BYTES (UINT64_C(64) << 20)
#define DEFAULT_VALUE_BYTES (UINT64_C(1) << 20)
#define DEFAULT_SPACES 256u
#define DEFAULT_LOCK_WAIT_MS 1000u
#define DEFAULT_SLOW_MS 100u
#define DEFAULT_PREFIX "libcache"
#define STALENESS_MAX_MS 3600000u
#define POLLS_PER_STALENESS 20
#define VALUES_PER_STRIPE 16u            /* a stripe holds at least so many of the largest value */
/* Many stripes let many writers in; few let S3-FIFO see more of the traffic: ten stripes of 800 entries missed 2 % more. */
#define STRIPES_PER_CORE 8u
#define STRIPE_GOOD_BYTES (UINT64_C(64) << 20) /* stripes beyond one a core are at least so large ... */
#define STRIPE_LEAST_BYTES (UINT64_C(8) << 20) /* ... and those up to that */

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *libcache_version(void)
{
    return TEXT(LIBCACHE_VERSION_MAJOR) "." TEXT(LIBCACHE_VERSION_MINOR) "." TEXT(LIBCACHE_VERSION_PATCH);
}

/*
 * A forked child that went on with its parent's numbers would give locks the same owners, positions the same tokens and histories the
 * same epochs as its parent and its siblings do.
 */
static __attribute__((noinline)) void seed_again(libcache *cache, uint64_t process)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = load_relaxed(&cache->random_state) ^ process * UINT64_C(0xd6e8feb86659fd93);
    store_relaxed(&cache->random_state, seed); /* threads that do so at once: any of their seeds will do */
    store_release(&cache->random_process, process);
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t cache_random(libcache *cache)
{
    uint64_t process, z;

    if (cache->random)
        return cache->random(cache->random_arg);
    process = counters_process(&cache->counters);
    if (unlikely(load_acquire(&cache->random_process) != process))
        seed_again(cache, process);
    z = __atomic_add_fetch(&cache->random_state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static unsigned default_stripes(uint64_t memory_bytes, uint64_t max_value_bytes)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t cores = online > 0 ? (uint64_t)online : 1, by_value = memory_bytes / VALUES_PER_STRIPE / max_value_bytes;
    uint64_t most = least_of(STRIPES_PER_CORE * cores, memory_bytes / STRIPE_GOOD_BYTES);
    uint64_t least = least_of(cores, memory_bytes / STRIPE_LEAST_BYTES);
    uint64_t stripes = least_of(least_of(most > least ? most : least, by_value), STRIPES_MAX);

    return stripes ? (unsigned)stripes : 1;
}

static int fill_layout(struct layout *layout, const libcache_options *o, libcache_error *error)
{
    uint64_t memory = o->memory_bytes ? o->memory_bytes : DEFAULT_MEMORY_BYTES, value;

    if (memory < SEGMENT_MIN_BYTES || memory > SEGMENT_MAX_BYTES)
        return error_set(error, LIBCACHE_EINVAL, "memory_bytes (%llu) must be %llu to %llu", (unsigned long long)memory,
                         (unsigned long long)SEGMENT_MIN_BYTES, (unsigned long long)SEGMENT_MAX_BYTES);
    value = memory / 32 < DEFAULT_VALUE_BYTES ? memory / 32 : DEFAULT_VALUE_BYTES;
    if (o->max_value_bytes)
        value = o->max_value_bytes;
    if (value > L1_VALUE_MAX)
        return error_set(error, LIBCACHE_EINVAL, "max_value_bytes (%llu) must be at most %llu", (unsigned long long)value,
                         (unsigned long long)L1_VALUE_MAX);
    if (o->stripes > STRIPES_MAX)
        return error_set(error, LIBCACHE_EINVAL, "stripes (%u) must be at most %u", o->stripes, STRIPES_MAX);
    if (o->max_namespaces > SPACES_MAX)
        return error_set(error, LIBCACHE_EINVAL, "max_namespaces (%u) must be at most %u", o->max_namespaces, SPACES_MAX);
    if (o->verify_values < 0 || o->verify_values > 1)
        return error_set(error, LIBCACHE_EINVAL, "verify_values (%d) must be 0 or 1", o->verify_values);
    layout->total_bytes = memory;
    layout->max_value_bytes = value;
    layout->spaces = o->max_namespaces ? o->max_namespaces : DEFAULT_SPACES;
    layout->verify = (uint32_t)o->verify_values;
    layout->upper_bytes = o->redis_url ? (uint32_t)coherence_upper_bytes(memory) : 0;
    layout->stripes = o->stripes ? o->stripes : default_stripes(memory, value);
    while (layout->stripes & (layout->stripes - 1))
        layout->stripes &= layout->stripes - 1; /* a power of two, for hit.h */
    if (!layout_compute(layout))
        return error_set(error, LIBCACHE_EINVAL, "memory_bytes (%llu) are too few for %u stripes, %u namespaces and a "
                         "max_value_bytes of %llu", (unsigned long long)memory, layout->stripes, layout->spaces,
                         (unsigned long long)value);
    return LIBCACHE_OK;
}

static int check_callbacks(const libcache_options *o, const char *attach, libcache_error *error)
{
    if (o->allocator && (!o->allocator->allocate || !o->allocator->release))
        return error_set(error, LIBCACHE_EINVAL, "allocator: allocate and release must both be given");
    if (o->segment < LIBCACHE_PRIVATE || o->segment > LIBCACHE_NAMED)
        return error_set(error, LIBCACHE_EINVAL, "segment (%d) is none of enum libcache_segment_kind", o->segment);
    if (o->huge_pages > LIBCACHE_HUGE_ON)
        return error_set(error, LIBCACHE_EINVAL, "huge_pages (%u) is none of enum libcache_huge_pages", o->huge_pages);
    if (o->read_only < 0 || o->read_only > 1)
        return error_set(error, LIBCACHE_EINVAL, "read_only (%d) must be 0 or 1", o->read_only);
    if (o->read_only && !attach)
        return error_set(error, LIBCACHE_EINVAL, "read_only is for libcache_attach");
    if (o->read_only && o->redis_url)
        return error_set(error, LIBCACHE_EINVAL, "read_only: redis_url must not be given, Redis is not asked");
    if (o->name && o->segment != LIBCACHE_NAMED)
        return error_set(error, LIBCACHE_EINVAL, "name is given, but segment is not LIBCACHE_NAMED");
    return LIBCACHE_OK;
}

/* A number of the Redis tier's options, with its default and limits. */
static int read_number(unsigned *out, const char *name, unsigned given, unsigned otherwise, unsigned least, unsigned most,
                       libcache_error *error)
{
    *out = given ? given : otherwise;
    if (*out < least || *out > most)
        return error_set(error, LIBCACHE_EINVAL, "%s (%u) must be %u to %u", name, *out, least, most);
    return LIBCACHE_OK;
}

/* The Redis tier's options, checked and filled in. */
static int read_remote(struct coherence_options *out, const libcache_options *o, unsigned *max_stale_ms, libcache_error *error)
{
    struct transport_options *t = &out->l2.transport;
    const struct {
        unsigned *out;
        const char *name;
        unsigned given, otherwise, least, most;
    } numbers[] = {
        { max_stale_ms, "max_staleness_ms", o->max_staleness_ms, 2000, 10, STALENESS_MAX_MS },
        { &out->timeout_ms, "redis_timeout_ms", o->redis_timeout_ms, 250, 1, 3600000 },
        { &t->pool_min, "pool_min", o->pool_min, 1, 1, 1024 },
        { &t->pool_max, "pool_max", o->pool_max, o->pool_min > 8 ? o->pool_min : 8, 1, 1024 },
        { &t->pool_overflow, "pool_overflow", o->pool_overflow, 0, 0, 1024 },
        { &t->pool_wait_ms, "pool_wait_ms", o->pool_wait_ms, 50, 1, 3600000 },
        { &t->pool_idle_ms, "pool_idle_ms", o->pool_idle_ms, 60000, 1, 86400000 },
        { &t->breaker_failures, "breaker_failures", o->breaker_failures, 3, 1, 1000000 },
        { &t->breaker_backoff_ms, "breaker_backoff_ms", o->breaker_backoff_ms, 100, 1, 3600000 },
        { &t->breaker_backoff_max_ms, "breaker_backoff_max_ms", o->breaker_backoff_max_ms, 5000, 1, 3600000 },
        { &out->l2.log_length, "log_length", o->log_length, 100000, 100, 100000000 },
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int result = read_number(numbers[i].out, numbers[i].name, numbers[i].given, numbers[i].otherwise, numbers[i].least,
                                 numbers[i].most, error);
        if (result != LIBCACHE_OK)
            return result;
    }
    if (t->pool_min > t->pool_max)
        return error_set(error, LIBCACHE_EINVAL, "pool_min (%u) is more than pool_max (%u)", t->pool_min, t->pool_max);
    if (t->breaker_backoff_ms > t->breaker_backoff_max_ms)
        return error_set(error, LIBCACHE_EINVAL, "breaker_backoff_ms (%u) is more than breaker_backoff_max_ms (%u)",
                         t->breaker_backoff_ms, t->breaker_backoff_max_ms);
    if (o->listener < LIBCACHE_LISTEN_ON_CALLS || o->listener > LIBCACHE_LISTEN_IN_THREAD)
        return error_set(error, LIBCACHE_EINVAL, "listener (%d) is none of enum libcache_listener", o->listener);
    if (o->max_reply_bytes && o->max_reply_bytes < 1024)
        return error_set(error, LIBCACHE_EINVAL, "max_reply_bytes (%zu) must be at least 1024", o->max_reply_bytes);
    out->threaded = o->listener == LIBCACHE_LISTEN_IN_THREAD;
    /* A thread's host is polled by its calls only when the thread is late. */
    out->poll_ms = o->poll_ms ? o->poll_ms : *max_stale_ms / POLLS_PER_STALENESS > 1 ? *max_stale_ms / POLLS_PER_STALENESS : 1;
    if (out->threaded)
        out->poll_ms = *max_stale_ms / 4 * 3;
    if (out->poll_ms > *max_stale_ms)
        return error_set(error, LIBCACHE_EINVAL, "poll_ms (%u) must be at most max_staleness_ms (%u)", out->poll_ms, *max_stale_ms);
    t->url = o->redis_url;
    t->max_reply_bytes = o->max_reply_bytes ? o->max_reply_bytes : (size_t)64 << 20;
    t->log = o->log;
    t->log_arg = o->log_arg;
    out->l2.prefix = o->redis_prefix ? o->redis_prefix : DEFAULT_PREFIX;
    return LIBCACHE_OK;
}

/* What the entries are about: who says the same shares them, and only he. */
static int identity_of(uint64_t *out, const libcache_options *o, const libcache_allocator *allocator, libcache_error *error)
{
    struct url url;
    int result;

    *out = o->identity && *o->identity ? hash_bytes(o->identity, strlen(o->identity), 0) : 0;
    if (!o->redis_url)
        return LIBCACHE_OK;
    result = url_parse(&url, o->redis_url, allocator, error);
    if (result != LIBCACHE_OK)
        return result;
    *out = hash_bytes(url.name, strlen(url.name), *out);
    *out = hash_bytes(o->redis_prefix ? o->redis_prefix : DEFAULT_PREFIX,
                      strlen(o->redis_prefix ? o->redis_prefix : DEFAULT_PREFIX), *out);
    url_free(&url, allocator);
    return LIBCACHE_OK;
}

static uint64_t handle_random(void *arg)
{
    return cache_random(arg);
}

static void exchange_timed(void *arg, uint64_t ns)
{
    measure_add(arg, LIBCACHE_TIME_EXCHANGE, ns);
}

static void traffic_counted(void *arg, enum traffic which, uint64_t n)
{
    static const enum counter counters[] = {
        [TRAFFIC_CONNECT] = COUNT_CONNECT,       [TRAFFIC_TIMEOUT] = COUNT_TIMEOUT,
        [TRAFFIC_RETRY] = COUNT_RETRY,           [TRAFFIC_SENT_BYTES] = COUNT_SENT_BYTES,
        [TRAFFIC_POOL_WAIT] = COUNT_POOL_WAIT,   [TRAFFIC_RECEIVED_BYTES] = COUNT_RECEIVED_BYTES,
        [TRAFFIC_POOL_REFUSAL] = COUNT_POOL_REFUSAL
    };

    count_in(arg, counters[which], n);
}

/* The Redis tier of a handle whose segment is open. */
static int open_remote(libcache *cache, struct coherence_options *remote, libcache_error *error)
{
    if (cache->l1.layout.upper_bytes != coherence_upper_bytes(cache->l1.layout.total_bytes))
        return error_set(error, LIBCACHE_EINCOMPATIBLE, "the segment was made without a Redis tier");
    remote->l1 = &cache->l1;
    remote->allocator = &cache->allocator;
    remote->l2.transport.allocator = &cache->allocator;
    remote->l2.transport.random = handle_random;
    remote->l2.transport.random_arg = cache;
    remote->l2.transport.timed = exchange_timed;
    remote->l2.transport.timed_arg = cache;
    remote->l2.transport.counted = traffic_counted;
    remote->l2.transport.counted_arg = cache;
    cache->timeout_ms = remote->timeout_ms;
    cache->listens_on_calls = !remote->threaded;
    return coherence_open(&cache->coherence, remote, error);
}

static int open_counters(libcache *cache, libcache_error *error)
{
    const struct l1 *l1 = &cache->l1;

    return counters_open(&cache->counters, l1->metrics, l1->layout.metrics_bytes, l1->layout.spaces, l1->read_only)
               ? LIBCACHE_OK
               : error_set(error, LIBCACHE_ENOMEM, "no memory for the counters");
}

static void prepare_upper(void *upper)
{
    coherence_prepare(upper);
}

static int make_handle(libcache **out, const libcache_options *o, struct l1_options *l1, libcache_error *error)
{
    const libcache_allocator *allocator = o->allocator ? o->allocator : &memory_default;
    struct coherence_options remote;
    unsigned max_stale_ms = 0;
    uint64_t random[3];
    libcache *cache;
    int result;

    memset(&remote, 0, sizeof remote);
    result = o->redis_url || o->read_only ? read_remote(&remote, o, &max_stale_ms, error) : LIBCACHE_OK;
    if (result == LIBCACHE_OK)
        result = identity_of(&l1->wish.identity, o, allocator, error);
    if (result != LIBCACHE_OK)
        return result;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(error, LIBCACHE_ESYSTEM, "getrandom: %m");
    cache = memory_zero(allocator, sizeof *cache);
    if (!cache)
        return error_set(error, LIBCACHE_ENOMEM, "no memory for the handle");
    cache->allocator = *allocator;
    cache->waker.fd = -1;
    cache->random = o->random;
    cache->random_arg = o->random_arg;
    cache->execute = o->execute;
    cache->execute_arg = o->execute_arg;
    cache->slow = o->slow;
    cache->slow_arg = o->slow_arg;
    cache->slow_ns = (o->slow_ms ? o->slow_ms : DEFAULT_SLOW_MS) * UINT64_C(1000000);
    cache->random_state = random[0];
    l1->wish.huge_pages = (int)o->huge_pages;
    l1->wish.seed = random[1];
    l1->wish.epoch = random[2] | 1;
    l1->clock_ms = o->clock_ms;
    l1->clock_arg = o->clock_arg;
    l1->lock_wait_ms = o->lock_wait_ms ? o->lock_wait_ms : DEFAULT_LOCK_WAIT_MS;
    l1->wish.lock_wait_ms = l1->lock_wait_ms;
    l1->allocator = &cache->allocator;
    l1->max_stale_ms = max_stale_ms;
    l1->prepare_upper = o->redis_url ? prepare_upper : NULL;
    if (o->clock_ms) {
        l1->wish.origin_ms = o->clock_ms(o->clock_arg);
    } else {
        struct l1 clock = { .origin_ms = 0 };
        l1->wish.origin_ms = l1_now(&clock);
    }
    result = o->policy_file ? policy_read_file(&cache->policies, o->policy_file, &cache->allocator, error) : LIBCACHE_OK;
    if (result == LIBCACHE_OK)
        result = l1_open(&cache->l1, l1, error);
    if (result == LIBCACHE_OK) {
        result = open_counters(cache, error);
        if (result == LIBCACHE_OK && o->redis_url)
            result = open_remote(cache, &remote, error);
        if (result != LIBCACHE_OK) {
            counters_close(&cache->counters);
            l1_close(&cache->l1);
        }
    }
    if (result == LIBCACHE_OK) {
        *out = cache;
        return result;
    }
    policy_book_free(cache->policies);
    memory_free(allocator, cache);
    return result;
}

/* Opens by these options; attach: the segment of that name as it is. */
static int open_cache(libcache **out, const libcache_options *o, const char *attach, libcache_error *error)
{
    struct l1_options l1;
    int result = check_callbacks(o, attach, error);

    if (result != LIBCACHE_OK)
        return result;
    memset(&l1, 0, sizeof l1);
    if (attach) {
        l1.wish.kind = LIBCACHE_NAMED;
        l1.wish.name = attach;
        l1.wish.attach = 1;
        l1.wish.read_only = o->read_only;
        l1.wish.any_identity = o->read_only && !o->identity;
    } else {
        l1.wish.kind = o->segment;
        l1.wish.name = o->name;
        result = fill_layout(&l1.wish.layout, o, error);
    }
    return result == LIBCACHE_OK ? make_handle(out, o, &l1, error) : result;
}

static int open_and_log(libcache **out, const libcache_options *options, const char *attach, libcache_error *error)
{
    const libcache_options defaults = LIBCACHE_OPTIONS_INIT;
    libcache_options known;
    libcache_error own;
    int result;

    if (!error)
        error = &own;
    if (!out)
        return error_set(error, LIBCACHE_EINVAL, "out is null");
    if (!options_read(&known, sizeof known, options ? options : &defaults))
        return error_set(error, LIBCACHE_EINVAL, "options: start from LIBCACHE_OPTIONS_INIT (struct_size is wrong, or a "
                                                 "field that this build does not know is set)");
    result = open_cache(out, &known, attach, error);
    if (result != LIBCACHE_OK && known.log)
        known.log(known.log_arg, LIBCACHE_LOG_ERROR, error->text);
    return result;
}

int libcache_open(libcache **out, const libcache_options *options, libcache_error *error)
{
    return open_and_log(out, options, NULL, error);
}

int libcache_attach(libcache **out, const char *name, const libcache_options *options, libcache_error *error)
{
    if (!name)
        return error_set(error, LIBCACHE_EINVAL, "name is null");
    return open_and_log(out, options, name, error);
}

void libcache_close(libcache *cache)
{
    libcache_allocator allocator;

    if (!cache)
        return;
    coherence_close(cache->coherence);
    waker_close(&cache->l1, &cache->waker);
    counters_close(&cache->counters);
    l1_close(&cache->l1);
    policy_book_free(cache->policies);
    while (cache->spaces) {
        struct libcache_ns *ns = cache->spaces;
        cache->spaces = ns->next;
        memory_free(&cache->allocator, ns);
    }
    allocator = cache->allocator;
    memory_free(&allocator, cache);
}

int libcache_remove_segment(const char *name, libcache_error *error)
{
    return segment_remove(name, error);
}

static int check_space_name(const char *name, libcache_error *error)
{
    size_t size = name ? strlen(name) : 0;

    if (size < 1 || size > LIBCACHE_NAMESPACE_NAME_MAX)
        return error_set(error, LIBCACHE_ENAME, "namespace \"%.120s\": must be 1 to %d bytes", name ? name : "",
                         LIBCACHE_NAMESPACE_NAME_MAX);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return error_set(error, LIBCACHE_ENAME, "namespace name has a control character at byte %zu", i);
    return LIBCACHE_OK;
}

static struct libcache_ns *find_space(libcache *cache, const char *name)
{
    struct libcache_ns *ns = load_acquire(&cache->spaces);

    while (ns && strcmp(ns->name, name) != 0)
        ns = ns->next;
    return ns;
}

static int same_or_error(libcache_ns **out, struct libcache_ns *ns, const libcache_policy *given,
                         libcache_policy *resolved, libcache_error *error)
{
    if (!resolved->grace_ms)
        resolved->grace_ms = ns->policy.grace_ms;
    if (given && !policy_equal(&ns->policy, resolved))
        return error_set(error, LIBCACHE_EPOLICY, "namespace %s: is open with another policy", ns->name);
    *out = ns;
    return LIBCACHE_OK;
}

int libcache_open_namespace(libcache_ns **out, libcache *cache, const char *name, const libcache_policy *policy,
                            libcache_error *error)
{
    libcache_policy from_file, resolved;
    struct libcache_ns *ns, *found;
    uint32_t id = 0;
    int result, said_share;

    if (!out || !cache)
        return error_set(error, LIBCACHE_EINVAL, "%s is null", out ? "cache" : "out");
    result = check_space_name(name, error);
    if (result != LIBCACHE_OK)
        return result;
    policy_book_find(cache->policies, name, &from_file);
    result = policy_resolve(&resolved, policy, &from_file, name, cache->l1.layout.max_value_bytes,
                            LIBCACHE_TIER_L1 | (cache->coherence ? LIBCACHE_TIER_L2 : 0u), error);
    if (result != LIBCACHE_OK)
        return result;
    found = find_space(cache, name);
    if (found)
        return same_or_error(out, found, policy, &resolved, error);
    ns = memory_zero(&cache->allocator, sizeof *ns);
    if (!ns)
        return error_set(error, LIBCACHE_ENOMEM, "no memory for namespace %s", name);
    said_share = (policy && resolved.l1_share_percent != 100) || from_file.l1_share_percent;
    result = cache->l1.read_only
                 ? l1_find_space(&cache->l1, name, strlen(name), &id) ? LIBCACHE_OK : LIBCACHE_ENOTFOUND
                 : l1_space(&cache->l1, name, said_share ? resolved.l1_share_percent : 0, &resolved.grace_ms, &id);
    if (result == LIBCACHE_ENOTFOUND) {
        memory_free(&cache->allocator, ns);
        return error_set(error, result, "namespace %s: the segment has none of that name", name);
    }
    if (result != LIBCACHE_OK) {
        memory_free(&cache->allocator, ns);
        return error_set(error, result, result == LIBCACHE_ENAME ? "namespace %s: all %u (max_namespaces) are in use"
                         : "namespace %s: its table is locked (%u namespaces)", name, cache->l1.layout.spaces);
    }
    ns->cache = cache;
    ns->id = id;
    ns->view = l1_view_of(&cache->l1, id, resolved.soft_ttl_ms == LIBCACHE_FOREVER ? 0 : resolved.soft_ttl_ms,
                          resolved.grace_ms);
    ns->policy = resolved;
    ns->tiers = resolved.tiers;
    ns->seats = counters_tally(&cache->counters, id)->seat;
    ns->slow = cache->listens_on_calls || !(resolved.tiers & LIBCACHE_TIER_L1) || cache->l1.read_only;
    if (ns->slow)
        ns->view.lean = 0; /* which knows nothing of that */
    ns->watched = resolved.early_percent || !(resolved.tiers & LIBCACHE_TIER_L1);
    memcpy(ns->name, name, strlen(name) + 1);
    ns->next = load_acquire(&cache->spaces);
    do {
        found = find_space(cache, name);
        if (found) {
            memory_free(&cache->allocator, ns);
            return same_or_error(out, found, policy, &resolved, error);
        }
    } while (!__atomic_compare_exchange_n(&cache->spaces, &ns->next, ns, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    *out = ns;
    return LIBCACHE_OK;
}

int libcache_read_policy(libcache_ns *ns, libcache_policy *policy)
{
    return ns && policy && options_write(policy, &ns->policy, sizeof ns->policy) ? LIBCACHE_OK : LIBCACHE_EINVAL;
}
