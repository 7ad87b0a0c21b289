/*
 * The timed loops. Threads (or processes) warm up, meet at a barrier, run a fixed number of requests, and
 * the clock stops when the last one is done: ns per operation is that time over one thread's operations.
 */
#include "bench_l1.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PREFETCH_AHEAD = 8, CHECK_EVERY = 64, VALUE_MAX = 1024 };

typedef struct tally {
    uint64_t gets, hits;
} tally;

/* Requests of one thread, from a place in its sequence on. */
static tally run_requests(const traffic *t, unsigned thread, size_t place, size_t ops)
{
    const bench_engine *engine = t->engine;
    const uint32_t *requests = t->load->requests[thread];
    unsigned until_set = t->set_every;
    char value[VALUE_MAX] = { 0 };
    tally done = { 0, 0 };

    for (size_t end = place + ops; place < end; place++) {
        uint32_t number = requests[place & (t->load->draws - 1)];
        const char *key = workload_key(t->load, number);

        workload_prefetch_key(t->load, requests[(place + PREFETCH_AHEAD) & (t->load->draws - 1)]);
        if (until_set != 0 && --until_set == 0) {
            until_set = t->set_every;
            workload_stamp_value(value, number);
            engine->set(t->self, number, key, value);
        } else if (engine->get(t->self, number, key, value) == t->value_bytes) {
            done.hits++;
            if (done.gets++ % CHECK_EVERY == 0)
                workload_check_value(engine->name, value, number);
        } else {
            done.gets++;
        }
    }
    return done;
}

/* Every BENCH_THREADS_MAX-th key is one thread's: filling takes longer than measuring, mostly the kernel's time for new pages. */
typedef struct filler {
    const bench_engine *engine;
    void *self;
    const workload *load;
    size_t value_bytes;
    unsigned index;
} filler;

static void *fill_share(void *opaque)
{
    const filler *mine = opaque;
    char value[VALUE_MAX];

    harness_pin_thread(mine->index);
    memset(value, 'v', sizeof value);
    for (size_t number = mine->index; number < mine->load->keys; number += BENCH_THREADS_MAX) {
        workload_stamp_value(value, number);
        mine->engine->set(mine->self, (uint32_t)number, workload_key(mine->load, (uint32_t)number), value);
    }
    return NULL;
}

void traffic_fill(const bench_engine *engine, void *self, const workload *load, size_t value_bytes)
{
    filler fillers[BENCH_THREADS_MAX];
    pthread_t threads[BENCH_THREADS_MAX];

    if (value_bytes > VALUE_MAX || value_bytes < sizeof(uint64_t))
        harness_die("values of %zu bytes are not foreseen", value_bytes);
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++) {
        int failed;

        fillers[i] = (filler){ engine, self, load, value_bytes, i };
        failed = pthread_create(&threads[i], NULL, fill_share, &fillers[i]);
        if (failed)
            harness_die("cannot start a thread: %s", strerror(failed));
    }
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++)
        pthread_join(threads[i], NULL);
}

/* One thread or process at work; each writes its own only. */
typedef struct worker {
    _Alignas(64) const traffic *t;
    pthread_barrier_t *start;
    unsigned index;
    uint64_t begin_ns, end_ns;
    tally done;
} worker;

static void work(worker *me)
{
    const traffic *t = me->t;

    me->begin_ns = harness_now_ns();
    me->done = run_requests(t, me->index, t->start + t->warm_ops, t->ops);
    me->end_ns = harness_now_ns();
}

static void add_up(const worker *workers, unsigned n, bench_samples *samples)
{
    uint64_t begin_ns = workers[0].begin_ns, end_ns = workers[0].end_ns;
    uint64_t gets = 0, hits = 0;

    for (unsigned i = 0; i < n; i++) {
        begin_ns = workers[i].begin_ns < begin_ns ? workers[i].begin_ns : begin_ns;
        end_ns = workers[i].end_ns > end_ns ? workers[i].end_ns : end_ns;
        gets += workers[i].done.gets;
        hits += workers[i].done.hits;
    }
    bench_add_sample(samples, (double)(end_ns - begin_ns) / (double)workers[0].t->ops,
                     gets != 0 ? (double)hits / (double)gets : 1.0);
}

/* ---- threads ------------------------------------------------------------------------------------- */

static void *thread_main(void *opaque)
{
    worker *me = opaque;

    harness_pin_thread(me->index);
    run_requests(me->t, me->index, me->t->start, me->t->warm_ops);
    pthread_barrier_wait(me->start);
    work(me);
    return NULL;
}

void traffic_run(const traffic *t, bench_samples *samples)
{
    worker workers[BENCH_THREADS_MAX];
    pthread_t threads[BENCH_THREADS_MAX];
    pthread_barrier_t start;

    pthread_barrier_init(&start, NULL, t->threads);
    for (unsigned i = 0; i < t->threads; i++) {
        int failed;

        workers[i] = (worker){ .t = t, .start = &start, .index = i };
        failed = pthread_create(&threads[i], NULL, thread_main, &workers[i]);
        if (failed)
            harness_die("cannot start a thread: %s", strerror(failed));
    }
    for (unsigned i = 0; i < t->threads; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    add_up(workers, t->threads, samples);
}

/* ---- processes ----------------------------------------------------------------------------------- */

/* In memory that the processes share. Each writes its own elements only; read when all have ended. */
typedef struct process_board {
    pthread_barrier_t turn;
    worker workers[BENCH_ROUNDS_MAX][BENCH_THREADS_MAX][BENCH_THREADS_MAX]; /* round, count - 1, index */
} process_board;

/*
 * All meet before and after every run; those that are not needed in it sleep at the second meeting. A
 * forked child has no page of the segment mapped yet, so all are touched first.
 */
static void process_main(process_board *board, const traffic *common, unsigned index, unsigned processes,
                         unsigned rounds)
{
    traffic mine = *common;
    char value[VALUE_MAX];

    harness_pin_thread(index);
    for (uint32_t number = 0; number < mine.load->keys; number++)
        mine.engine->get(mine.self, number, workload_key(mine.load, number), value);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned count = 1; count <= processes; count++) {
            worker *me = &board->workers[round][count - 1][index];

            *me = (worker){ .t = &mine, .index = index };
            if (index < count)
                run_requests(&mine, index, mine.start, mine.warm_ops);
            pthread_barrier_wait(&board->turn);
            if (index < count)
                work(me);
            pthread_barrier_wait(&board->turn);
            me->t = common;
            mine.start += mine.warm_ops + mine.ops;
        }
    }
}

/* When one fails, the others would wait for it at the barrier for ever: end them too. */
static void await_processes(const pid_t *children, unsigned n)
{
    for (unsigned ended = 0; ended < n; ended++) {
        int status;

        if (waitpid(-1, &status, 0) > 0 && status == 0)
            continue;
        for (unsigned i = 0; i < n; i++)
            kill(children[i], SIGKILL);
        harness_die("a process of the bench failed");
    }
}

void traffic_run_processes(const traffic *t, unsigned processes, unsigned rounds, bench_samples *samples)
{
    process_board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[BENCH_THREADS_MAX];
    pthread_barrierattr_t attributes;

    if (board == MAP_FAILED)
        harness_die("cannot map shared memory: %s", strerror(errno));
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&board->turn, &attributes, processes);
    fflush(stdout);
    for (unsigned i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] < 0)
            harness_die("cannot fork: %s", strerror(errno));
        if (children[i] == 0) {
            process_main(board, t, i, processes, rounds);
            _exit(0);
        }
    }
    await_processes(children, processes);
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned count = 1; count <= processes; count++)
            add_up(board->workers[round][count - 1], count, &samples[count - 1]);
    munmap(board, sizeof *board);
}
