/*
 * Warming up: a long list of keys in batches, several at once. SPDX-License-Identifier: MIT
 *
 *      caller    --- lends out jobs, as many as are wanted --- batch 1 --- told: progress --- batch 4 --- waits for those at work --- back
 *      executor         job                 --- batch 2 ------------- batch 5 --- nothing is left
 *      executor              job                     --- batch 3 ---------------- nothing is left
 *      executor                                                                                  (a job that begins late) nothing is left
 *
 * The caller works as well, so all gets done whatever the executor does: it may refuse, or never run a job. One that runs it at once, in
 * the caller's thread, finds nothing to do: it would keep the caller from its progress. All jobs are one and the same, and what they
 * share lives until the last of them has run, which may be after the call, or the cache, has ended: then it is all that they touch.
 */
#include "get_or_load.h"

#include "base/options.h"

#include <pthread.h>
#include <unistd.h>

struct warming {
    /* Not changed once a job is out. */
    libcache_allocator allocator; /* a copy: the cache may be gone when the last job runs */
    pthread_t caller;
    pid_t pid;
    libcache_ns *ns; /* this and the rest is for who is at work only */
    const libcache_slice *keys;
    size_t n, batch;
    libcache_many_loader loader;
    void *arg;
    libcache_load_options options;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    size_t next;      /* the first key that nobody has begun with */
    size_t done;      /* keys of batches that have ended */
    size_t at_work;   /* jobs: the caller waits for them */
    size_t uses;      /* by the caller, and by jobs that have not run or have not ended */
    size_t failed_at; /* first_error is of the batch that begins there */
    int over;         /* nobody begins with another batch */
    int first_error;
};

/* Values and results of a batch, used again for the next. */
struct room {
    libcache_value *values;
    int *results;
};

static int make_room(const struct warming *w, struct room *room)
{
    room->values = memory_zero(&w->allocator, w->batch * (sizeof *room->values + sizeof *room->results));
    room->results = (int *)(void *)(room->values + w->batch);
    return room->values ? LIBCACHE_OK : LIBCACHE_ENOMEM;
}

static void free_room(const struct warming *w, const struct room *room)
{
    for (size_t i = 0; i < w->batch; i++)
        libcache_release_value(&room->values[i]);
    memory_free(&w->allocator, room->values);
}

/* Under the lock, which it gives back: whoever is the last to use it ends it. */
static void give_back(struct warming *w)
{
    const libcache_allocator allocator = w->allocator;
    int last = --w->uses == 0;

    pthread_mutex_unlock(&w->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    memory_free(&allocator, w);
}

static int is_left(const struct warming *w)
{
    return !w->over && w->next < w->n;
}

/* Loads a batch. Under the lock, which is given back meanwhile; 0: it is not had again, for this is a forked child by now. */
static int load_next(struct warming *w, const struct room *room)
{
    size_t from = w->next, m = w->n - from < w->batch ? w->n - from : w->batch;
    int result;

    w->next += m;
    pthread_mutex_unlock(&w->lock);
    result = load_many(w->ns, w->keys + from, m, room->values, room->results, w->loader, w->arg, &w->options, 0);
    if (w->pid != getpid())
        return 0;
    pthread_mutex_lock(&w->lock);
    w->done += m;
    if (result != LIBCACHE_OK && (w->first_error == LIBCACHE_OK || from < w->failed_at)) {
        w->first_error = result;
        w->failed_at = from;
    }
    pthread_cond_signal(&w->changed);
    return 1;
}

/* ---- The executor's part --------------------------------------------------------------------------------------------- */

static void work(void *arg)
{
    struct warming *w = arg;
    struct room room;

    if (w->pid != getpid()) /* a forked child has inherited the job: its caller is not here, and the lock may be held */
        return;
    pthread_mutex_lock(&w->lock);
    if (is_left(w) && !pthread_equal(w->caller, pthread_self())) {
        w->at_work++;
        pthread_mutex_unlock(&w->lock);
        if (make_room(w, &room) == LIBCACHE_OK) { /* else the others do it */
            pthread_mutex_lock(&w->lock);
            while (is_left(w))
                if (!load_next(w, &room)) {
                    free_room(w, &room);
                    return;
                }
            pthread_mutex_unlock(&w->lock);
            free_room(w, &room);
        }
        pthread_mutex_lock(&w->lock);
        w->at_work--;
        pthread_cond_signal(&w->changed);
    }
    give_back(w);
}

/* Hands out a job for each batch that may run beside the caller's, until the executor will not. */
static void hand_out(struct warming *w)
{
    const libcache *cache = w->ns->cache;
    size_t batches = w->n / w->batch + (w->n % w->batch != 0);
    size_t workers = w->options.concurrency < batches ? w->options.concurrency : batches;
    int wanted = cache->execute != NULL;

    for (size_t i = 1; i < workers && wanted; i++) {
        pthread_mutex_lock(&w->lock);
        wanted = is_left(w);
        w->uses += (size_t)wanted;
        pthread_mutex_unlock(&w->lock);
        if (!wanted || cache->execute(cache->execute_arg, work, w) == 0)
            continue;
        pthread_mutex_lock(&w->lock);
        w->uses--; /* the caller's is left */
        pthread_mutex_unlock(&w->lock);
        wanted = 0;
    }
}

/* ---- The caller's part ----------------------------------------------------------------------------------------------- */

/* A child that loader or progress have forked, and in which they come back: goes on alone. What the others have is not its own. */
static void lock_in_child(struct warming *w)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->pid = getpid();
    w->at_work = 0;
    pthread_mutex_lock(&w->lock);
}

static void work_and_tell(struct warming *w, const struct room *room, int (*progress)(void *arg, size_t done, size_t n))
{
    size_t told = 0;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        if (progress && told < w->done && !w->over) {
            int stop;
            told = w->done;
            pthread_mutex_unlock(&w->lock);
            stop = progress(w->arg, told, w->n) != 0;
            if (w->pid == getpid())
                pthread_mutex_lock(&w->lock);
            else
                lock_in_child(w);
            w->over = stop;
        } else if (is_left(w)) {
            if (!load_next(w, room))
                lock_in_child(w);
        } else if (w->at_work) {
            pthread_cond_wait(&w->changed, &w->lock);
        } else {
            break;
        }
    }
    pthread_mutex_unlock(&w->lock);
}

int libcache_warm(libcache_ns *ns, const libcache_slice *keys, size_t n, size_t batch, libcache_many_loader loader,
                  void *arg, int (*progress)(void *arg, size_t done, size_t n), const libcache_load_options *given)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;
    struct warming *w;
    struct room room;
    int result;

    if (!ns || (n && !keys) || !batch || !loader || (given && !options_read(&options, sizeof options, given)) ||
        (options.flags & LIBCACHE_NO_BLOCK))
        return LIBCACHE_EINVAL;
    if (!n)
        return LIBCACHE_OK;
    w = memory_get(&ns->cache->allocator, sizeof *w);
    if (!w)
        return LIBCACHE_ENOMEM;
    *w = (struct warming){ .allocator = ns->cache->allocator,
                           .caller = pthread_self(),
                           .pid = getpid(),
                           .ns = ns,
                           .keys = keys,
                           .n = n,
                           .batch = batch < n ? batch : n,
                           .loader = loader,
                           .arg = arg,
                           .options = options,
                           .uses = 1 };
    if (make_room(w, &room) != LIBCACHE_OK) {
        memory_free(&ns->cache->allocator, w);
        return LIBCACHE_ENOMEM;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    hand_out(w);
    work_and_tell(w, &room, progress);
    free_room(w, &room);
    pthread_mutex_lock(&w->lock);
    result = w->first_error;
    give_back(w);
    return result;
}
