/* SPDX-License-Identifier: MIT */
#include "crowd.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int crowd_load(void *arg, const libcache_slice *keys, size_t n, libcache_loaded *out, int *results)
{
    struct crowd *c = arg;
    unsigned inside = ADD(c->inside), most = GET(c->most);
    int result;

    while (inside > most &&
           !__atomic_compare_exchange_n(&c->most, &most, inside, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    for (size_t i = 0; i < n; i++)
        ADD(c->times[*(const char *)keys[i].data - 'a']);
    if (c->during)
        c->during(c, keys);
    result = source_load_many(arg, keys, n, out, results);
    __atomic_sub_fetch(&c->inside, 1, __ATOMIC_ACQ_REL);
    return result;
}

int crowd_told(void *arg, size_t done, size_t n)
{
    struct crowd *c = arg;

    ck_assert(pthread_equal(c->caller, pthread_self()));
    ck_assert_uint_gt(done, c->told);
    ck_assert_uint_le(done, n);
    c->told = done;
    return ++c->tells == c->stop_at;
}

int crowd_warm(struct crowd *c, libcache_ns *ns, const char *letters, size_t batch, size_t concurrency,
               int (*progress)(void *arg, size_t done, size_t n))
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    libcache_slice keys[26];
    size_t n = strlen(letters);

    c->source.text = c->source.text ? c->source.text : "v";
    c->caller = pthread_self();
    c->caller_id = (long)syscall(SYS_gettid);
    options.concurrency = concurrency;
    for (size_t i = 0; i < n; i++)
        keys[i] = (libcache_slice){ &letters[i], letters[i] != '-' }; /* -: a bad key */
    return libcache_warm(ns, keys, n, batch, crowd_load, c, progress, &options);
}

void ck_each_once(struct crowd *c, libcache_ns *ns)
{
    for (int i = 0; i < 26; i++) {
        ck_assert_msg(c->times[i] == 1, "%c was loaded %u times", 'a' + i, c->times[i]);
        ck_value(ns, (char[]){ (char)('a' + i), 0 }, "v");
    }
    ck_assert_uint_eq(c->in_vain, 0);
    ck_assert_uint_eq(c->inside, 0);
    source_done(&c->source);
}

void crowd_meet(struct crowd *c, const libcache_slice *keys)
{
    (void)keys;
    if (!GET(c->met))
        await(c, GET(c->met) || GET(c->inside) >= c->wanted);
    SET(c->met, 1);
    nap();
}
