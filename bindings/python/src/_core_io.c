/* The thread that talks to Redis for event loops; see _core_io.h. Knows nothing of Python. SPDX-License-Identifier: MIT */
#include "_core_queue.h"

#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#define BATCH 256                         /* neighbours that share a round trip */
#define LOOK_AGAIN_NS UINT64_C(100000000) /* at loads that wait: a leader that was killed wakes nobody */

/* ---- The thread's own ------------------------------------------------------------------------------------------------ */

struct io {
    libcache *cache;
    const uint64_t *here; /* 0 in a forked child: see word_of_this_process. NULL: pid tells it */
    pid_t pid;
    pthread_t thread;
    int wake_fd;
    pthread_mutex_t lock; /* guards the queue, the orphans, stopping and asleep */
    sem_t woken;          /* and no condition: waking from that takes a system call more, for its mutex */
    struct list queue, orphans;
    int stopping;
    enum asleep { AWAKE, ON_SEMAPHORE, ON_DESCRIPTORS } asleep; /* how to wake it */
    /* the thread's alone */
    int load_fd;         /* -1: not asked for yet, or not to be had */
    struct list waiting; /* BEGINs that wait for others' loads, LOCK_TAKEs for others' locks */
    uint64_t look_ns;    /* when to look at them, come what may */
    struct port *to_signal[8];
    unsigned n_to_signal;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Wakes the event loops that something was put before. A port is kept until then. */
static void signal_ports(struct io *io)
{
    for (unsigned i = 0; i < io->n_to_signal; i++)
        port_wake(io->to_signal[i]);
    io->n_to_signal = 0;
}

/* It is done: not ours any more. */
static void finish(struct io *io, struct request *request)
{
    struct port *port = request->port;
    int put = port ? port_put(port, request) : -1;

    if (put < 0) {
        pthread_mutex_lock(&io->lock);
        list_add(&io->orphans, request);
        pthread_mutex_unlock(&io->lock);
    } else if (put) {
        if (io->n_to_signal == sizeof io->to_signal / sizeof *io->to_signal)
            signal_ports(io);
        io->to_signal[io->n_to_signal++] = port;
    }
}

/* ---- Waiting --------------------------------------------------------------------------------------------------------- */

static void wait_on(struct io *io, struct request *r, uint64_t look_ns)
{
    if (r->give_up_ns < look_ns)
        look_ns = r->give_up_ns;
    if (look_ns < io->look_ns)
        io->look_ns = look_ns;
    list_add(&io->waiting, r);
}

/* The library's descriptor for what waits; before the first of them. */
static void want_news(struct io *io)
{
    if (io->load_fd < 0)
        io->load_fd = libcache_load_fd(io->cache);
}

/* ---- Locks ----------------------------------------------------------------------------------------------------------- */

static int try_lock(struct request *r)
{
    return libcache_lock_try(r->cache, r->key.data, r->key.size, &r->owner, r->ms, &r->lock_wait);
}

static void take_lock(struct io *io, struct request *r)
{
    if (!r->give_up_ns) {
        r->result = libcache_lock_take(r->cache, r->key.data, r->key.size, &r->owner, r->ms, 0);
        finish(io, r);
        return;
    }
    want_news(io);
    r->result = try_lock(r);
    if (r->result == LIBCACHE_WAIT)
        wait_on(io, r, r->lock_wait.look_ns);
    else
        finish(io, r);
}

/* At the end of its wait it looks once more, whatever is known. */
static void look_at_lock(struct io *io, struct request *r, uint64_t now)
{
    int last = now >= r->give_up_ns;

    if (last)
        memset(&r->lock_wait, 0, sizeof r->lock_wait);
    r->result = try_lock(r);
    if (r->result == LIBCACHE_WAIT && !last) {
        wait_on(io, r, r->lock_wait.look_ns);
        return;
    }
    if (r->result == LIBCACHE_WAIT)
        r->result = LIBCACHE_EXISTS;
    finish(io, r);
}

/* Whoever waited is gone. Is it not among those who wait, then it has its answer, and that is taken care of. */
static void leave_lock(struct io *io, struct request *leave)
{
    struct request *r = list_take(&io->waiting);

    while (r) {
        struct request *next = r->next;
        if (r->kind == R_LOCK_TAKE && r->future == leave->extra) {
            r->result = LIBCACHE_EXISTS;
            finish(io, r);
        } else {
            list_add(&io->waiting, r);
        }
        r = next;
    }
    finish(io, leave);
}

/* ---- Loads ----------------------------------------------------------------------------------------------------------- */

static int begin(struct request *r, unsigned flags, unsigned wait_ms)
{
    libcache_load_options options = LIBCACHE_LOAD_OPTIONS_INIT;

    options.flags = r->flags | flags;
    options.wait_ms = wait_ms;
    options.soft_ttl_ms = r->ms;
    r->load = NULL;
    return libcache_load_begin(&r->load, r->ns, r->key.data, r->key.size, &r->answer, &options);
}

static void begin_load(struct io *io, struct request *r)
{
    want_news(io);
    r->result = begin(r, LIBCACHE_NO_BLOCK, 0);
    if (r->result == LIBCACHE_WAIT)
        wait_on(io, r, now_ns() + LOOK_AGAIN_NS);
    else
        finish(io, r);
}

static int recheck(struct request *r)
{
    int result = libcache_load_recheck(r->load, &r->answer);

    if (result != LIBCACHE_MISS && result >= 0)
        r->load = NULL;
    return result;
}

static int commit(struct request *r)
{
    libcache_load *load = r->load;

    r->load = NULL;
    return libcache_load_commit(load, r->value.data, r->value.size, &r->options);
}

/* Whose waiting is over goes his way; who has waited for long enough loads for himself. */
static void look_at_load(struct io *io, struct request *r, uint64_t now)
{
    r->result = libcache_load_wait(&r->load, &r->answer, 0);
    if (r->result == LIBCACHE_WAIT && now >= r->give_up_ns) {
        libcache_load_abort(r->load, 0);
        r->result = begin(r, 0, 1);
    }
    if (r->result == LIBCACHE_WAIT)
        wait_on(io, r, now + LOOK_AGAIN_NS);
    else
        finish(io, r);
}

static void look_at_waiting(struct io *io)
{
    struct request *r = list_take(&io->waiting);

    io->look_ns = UINT64_MAX;
    while (r) {
        struct request *next = r->next;
        if (r->kind == R_LOCK_TAKE)
            look_at_lock(io, r, now_ns());
        else
            look_at_load(io, r, now_ns());
        r = next;
    }
}

/* ---- Serving ----------------------------------------------------------------------------------------------------------- */

/* How many from here on may be served together. */
static size_t neighbours(const struct request *first)
{
    size_t n = 0;

    for (const struct request *r = first; r && n < BATCH; r = r->next, n++)
        if (r->kind != first->kind || r->ns != first->ns || r->flags != first->flags)
            break;
    return n;
}

static void get_together(struct request *first, size_t n)
{
    libcache_slice keys[BATCH];
    libcache_value values[BATCH];
    int results[BATCH], result;
    struct request *r = first;

    keys[0] = first->key;
    for (size_t i = 0; i < n; i++, r = r->next) {
        keys[i] = r->key;
        values[i] = r->answer;
        results[i] = LIBCACHE_MISS;
    }
    result = libcache_get_many(first->ns, keys, n, values, results, NULL, first->flags);
    r = first;
    for (size_t i = 0; i < n; i++, r = r->next) {
        r->answer = values[i];
        r->result = result < 0 && results[i] == LIBCACHE_MISS && result != LIBCACHE_OK ? result : results[i];
    }
}

static void set_together(struct request *first, size_t n)
{
    libcache_item items[BATCH];
    struct request *r = first;

    for (size_t i = 0; i < n; i++, r = r->next)
        items[i] = (libcache_item){ .key = r->key, .value = r->value, .options = &r->options };
    libcache_set_many(first->ns, items, n);
    r = first;
    for (size_t i = 0; i < n; i++, r = r->next)
        r->result = items[i].result;
}

static int serve_one(struct request *r)
{
    const void *key = r->key.data;
    size_t size = r->key.size;

    switch (r->kind) {
    case R_GET: return libcache_get(r->ns, key, size, &r->answer, r->flags);
    case R_GET_MANY: return libcache_get_many(r->ns, r->slices, r->n, r->answers, r->results, NULL, r->flags);
    case R_EXISTS: return libcache_exists(r->ns, key, size, 0);
    case R_TTL_LEFT: return libcache_ttl_left(r->ns, key, size, &r->left_ms, 0);
    case R_SET: return libcache_set(r->ns, key, size, r->value.data, r->value.size, &r->options);
    case R_ADD: return libcache_add(r->ns, key, size, r->value.data, r->value.size, &r->options);
    case R_SET_MANY: return libcache_set_many(r->ns, r->items, r->n);
    case R_DELETE: return libcache_delete(r->ns, key, size, 0);
    case R_DELETE_MANY: return libcache_delete_many(r->ns, r->slices, r->n, &r->count, 0);
    case R_TOUCH: return libcache_touch(r->ns, key, size, r->ms, 0);
    case R_INCREMENT: return libcache_increment(r->ns, key, size, r->delta, &r->options, &r->number);
    case R_CLEAR: return libcache_invalidate_namespace(r->ns, 0);
    case R_INVALIDATE: return libcache_invalidate_tags(r->cache, r->slices, r->n, 0);
    case R_CLEAR_ALL: return libcache_invalidate_all(r->cache, 0);
    case R_POLL: return libcache_poll(r->cache, r->wait_ms);
    case R_LOCK_KEEP: return libcache_lock_keep(r->cache, key, size, &r->owner, r->ms);
    case R_LOCK_FREE: return libcache_lock_free(r->cache, key, size, &r->owner);
    case R_RATE: return libcache_rate_hit(r->cache, key, size, r->limit, r->ms, &r->rate);
    case R_RECHECK: return recheck(r);
    case R_COMMIT: return commit(r);
    case R_ABORT: libcache_load_abort(r->load, r->error); return LIBCACHE_OK;
    case R_BEGIN:
    case R_LOCK_TAKE:
    case R_LOCK_LEAVE: break; /* see serve */
    }
    return LIBCACHE_EINVAL;
}

/* What may have to wait, or is about what waits. */
static int serve_waiting(struct io *io, struct request *r)
{
    switch (r->kind) {
    case R_BEGIN: begin_load(io, r); return 1;
    case R_LOCK_TAKE: take_lock(io, r); return 1;
    case R_LOCK_LEAVE: leave_lock(io, r); return 1;
    default: return 0;
    }
}

static void serve(struct io *io, struct request *r)
{
    while (r) {
        struct request *next = r->next;
        size_t n = r->kind == R_GET || r->kind == R_SET ? neighbours(r) : 1;
        if (serve_waiting(io, r)) {
            r = next;
        } else {
            if (n > 1 && r->kind == R_GET)
                get_together(r, n);
            else if (n > 1)
                set_together(r, n);
            else
                r->result = serve_one(r);
            for (; n; n--) {
                next = r->next;
                finish(io, r);
                r = next;
            }
        }
        signal_ports(io);
    }
}

/* ---- The thread ---------------------------------------------------------------------------------------------------------- */

/* While loads or locks are waited for it must hear of their ends too. */
static void sleep_on_descriptors(struct io *io)
{
    struct pollfd fds[2] = { { .fd = io->wake_fd, .events = POLLIN }, { .fd = io->load_fd, .events = POLLIN } };
    uint64_t now = now_ns();
    /* It is never further away than a lock's own end or LOOK_AGAIN_NS. A millisecond begun counts. */
    int timeout = io->look_ns > now ? (int)((io->look_ns - now + 999999) / 1000000) : 0;

    if (poll(fds, io->load_fd >= 0 ? 2 : 1, timeout) <= 0)
        return;
    if (fds[0].revents)
        drain_fd(io->wake_fd);
    if (io->load_fd >= 0 && fds[1].revents)
        libcache_load_drain(io->cache);
}

/* What is to be done, and whether that is the last. Sleeps, but for when something waits: then the caller does. */
static struct request *next_queue(struct io *io, int *stopping)
{
    struct request *queue;

    pthread_mutex_lock(&io->lock);
    while (!io->queue.first && !io->stopping && !io->waiting.first) {
        io->asleep = ON_SEMAPHORE;
        pthread_mutex_unlock(&io->lock);
        while (sem_wait(&io->woken) != 0) /* EINTR */
            ;
        pthread_mutex_lock(&io->lock);
    }
    queue = list_take(&io->queue);
    *stopping = io->stopping;
    io->asleep = queue || *stopping ? AWAKE : ON_DESCRIPTORS;
    pthread_mutex_unlock(&io->lock);
    return queue;
}

/* What waits when all ends: nobody will load or take it through us. */
static void give_up_waiting(struct io *io)
{
    struct request *r = list_take(&io->waiting);

    while (r) {
        struct request *next = r->next;
        libcache_load_abort(r->load, 0);
        r->load = NULL;
        r->result = LIBCACHE_EUNAVAILABLE;
        finish(io, r);
        r = next;
    }
    signal_ports(io);
}

static void *io_main(void *arg)
{
    struct io *io = arg;

    for (;;) {
        int stopping;
        struct request *queue = next_queue(io, &stopping);
        if (queue) {
            serve(io, queue);
        } else if (stopping) {
            give_up_waiting(io);
            return NULL;
        } else {
            sleep_on_descriptors(io);
        }
        if (io->waiting.first) {
            look_at_waiting(io);
            signal_ports(io);
        }
    }
}

#define PAGE_BYTES 4096u

/* 1, in a page of which the kernel gives each child zeroes: getpid would be a system call for each request. NULL: not to be had. */
static const uint64_t *word_of_this_process(void)
{
    uint64_t *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
        munmap(page, PAGE_BYTES);
        return NULL;
    }
    *page = 1;
    return page;
}

static void io_free(struct io *io)
{
    if (io->here)
        munmap((void *)io->here, PAGE_BYTES);
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    sem_destroy(&io->woken);
    pthread_mutex_destroy(&io->lock);
    free(io);
}

struct io *io_start(libcache *cache)
{
    struct io *io = calloc(1, sizeof *io);
    sigset_t all, before;
    int failed;

    if (!io)
        return NULL;
    io->cache = cache;
    io->pid = getpid();
    io->here = word_of_this_process();
    io->load_fd = -1;
    io->look_ns = UINT64_MAX;
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    list_clear(&io->queue);
    list_clear(&io->orphans);
    list_clear(&io->waiting);
    pthread_mutex_init(&io->lock, NULL);
    sem_init(&io->woken, 0, 0);
    if (io->wake_fd < 0) {
        io_free(io);
        return NULL;
    }
    sigfillset(&all); /* signals are for Python's main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&io->thread, NULL, io_main, io);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        io_free(io);
        return NULL;
    }
    return io;
}

int io_is_mine(const struct io *io)
{
    return io->here ? *io->here != 0 : io->pid == getpid();
}

/* It is awake from now on; `how` says what that takes, and wake does it when the lock is given back. */
static enum asleep waking(struct io *io)
{
    enum asleep how = io->asleep;
    io->asleep = AWAKE;
    return how;
}

static void wake(struct io *io, enum asleep how)
{
    if (how == ON_SEMAPHORE)
        sem_post(&io->woken);
    else if (how == ON_DESCRIPTORS)
        signal_fd(io->wake_fd);
}

void io_submit(struct io *io, struct request *request)
{
    enum asleep how;

    pthread_mutex_lock(&io->lock);
    list_add(&io->queue, request);
    how = waking(io);
    pthread_mutex_unlock(&io->lock);
    wake(io, how);
}

struct request *io_orphans(struct io *io)
{
    struct request *orphans;

    pthread_mutex_lock(&io->lock);
    orphans = list_take(&io->orphans);
    pthread_mutex_unlock(&io->lock);
    return orphans;
}

struct request *io_stop(struct io *io)
{
    struct request *orphans;
    enum asleep how;

    pthread_mutex_lock(&io->lock);
    io->stopping = 1;
    how = waking(io);
    pthread_mutex_unlock(&io->lock);
    wake(io, how);
    pthread_join(io->thread, NULL);
    orphans = list_take(&io->orphans);
    io_free(io);
    return orphans;
}

/* Its lock may be held by a thread that is not there; its descriptor is only our copy. The rest is the parent's and is let go. */
void io_leave(struct io *io)
{
    close(io->wake_fd);
}
