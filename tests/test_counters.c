/* The event counters of a segment (lib/metrics/counters.c). SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "metrics/counters.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPACES = 4 };

/* An area that processes share, with room for so many blocks. */
struct shared_area {
    struct metrics_area *area;
    uint64_t bytes;
};

static struct shared_area area_new(unsigned blocks)
{
    struct shared_area a = { NULL, sizeof(struct metrics_area) + blocks * sizeof(struct counter_block) };

    a.area = mmap(NULL, a.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(a.area, MAP_FAILED);
    return a;
}

static void area_free(struct shared_area *a)
{
    munmap(a->area, a->bytes);
}

static void open_counters(struct counters *c, struct shared_area *a)
{
    memset(c, 0, sizeof *c);
    ck_assert(counters_open(c, a->area, a->bytes, SPACES, 0));
}

static uint64_t all_of(const struct counters *c, enum counter which)
{
    uint64_t count[COUNTERS];

    counters_read_all(c, count);
    return count[which];
}

static uint64_t own_of(const struct counters *c, enum counter which)
{
    uint64_t count[COUNTERS];

    counters_own(c, count);
    return count[which];
}

static uint64_t space_of(const struct counters *c, uint32_t space, enum counter which)
{
    uint64_t count[COUNTERS];

    counters_read(c, space, count);
    return count[which];
}

static unsigned blocks_used(const struct counters *c)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < c->blocks; i++)
        n += c->area->block[i].space != 0;
    return n;
}

START_TEST(one_thread_counts_in_one_block_of_each_namespace)
{
    struct shared_area a = area_new(16);
    struct counters c;

    open_counters(&c, &a);
    for (uint32_t space = 0; space <= SPACES; space++)
        for (int which = 0; which < COUNTERS; which++)
            for (int i = 0; i <= which; i++)
                counters_add(&c, space, (enum counter)which, 3 * (space + 1));
    for (int which = 0; which < COUNTERS; which++) {
        uint64_t sum = 0;
        for (uint32_t space = 0; space <= SPACES; space++) {
            ck_assert_uint_eq(space_of(&c, space, (enum counter)which), 3 * (space + 1) * ((uint64_t)which + 1));
            sum += space_of(&c, space, (enum counter)which);
        }
        ck_assert_uint_eq(all_of(&c, (enum counter)which), sum);
        ck_assert_uint_eq(own_of(&c, (enum counter)which), sum);
    }
    ck_assert_uint_eq(blocks_used(&c), SPACES + 1);
    counters_close(&c);
    area_free(&a);
}
END_TEST

enum { MANY = 100, ADDS = 20000 };

static pthread_barrier_t all_here;

static void *count_some(void *arg)
{
    pthread_barrier_wait(&all_here); /* all alive at once: more threads than seats */
    for (unsigned long i = scaled(ADDS); i; i--) {
        counters_add(arg, 1, COUNT_HIT, 1);
        if (i % 16 == 0)
            counters_add(arg, SPACES, COUNT_INVALIDATION, 5);
    }
    return NULL;
}

/* More threads than seats, and than blocks: those without go to the total. */
static void count_with_many_threads(unsigned blocks)
{
    struct shared_area a = area_new(blocks);
    pthread_t threads[MANY];
    uint64_t invalidations = 0;
    struct counters c;

    open_counters(&c, &a);
    pthread_barrier_init(&all_here, NULL, MANY);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_some, &c), 0);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_here);
    for (unsigned long i = scaled(ADDS); i; i--)
        invalidations += i % 16 == 0 ? 5 : 0;
    ck_assert_uint_eq(own_of(&c, COUNT_HIT), MANY * (uint64_t)scaled(ADDS));
    ck_assert_uint_eq(space_of(&c, 1, COUNT_HIT), MANY * (uint64_t)scaled(ADDS));
    ck_assert_uint_eq(space_of(&c, SPACES, COUNT_INVALIDATION), MANY * invalidations);
    ck_assert_uint_eq(own_of(&c, COUNT_SET), 0);
    counters_close(&c);
    area_free(&a);
}

START_TEST(nothing_is_lost_when_there_are_more_threads_than_seats)
{
    count_with_many_threads(400);
}
END_TEST

START_TEST(nothing_is_lost_when_there_are_more_threads_than_blocks)
{
    count_with_many_threads(16);
}
END_TEST

static void *count_once(void *arg)
{
    counters_add(arg, 0, COUNT_SET, 1);
    return NULL;
}

START_TEST(nothing_is_lost_when_threads_come_and_go)
{
    struct shared_area a = area_new(16);
    unsigned long n = scaled(1000);
    struct counters c;

    open_counters(&c, &a);
    for (unsigned long i = 0; i < n; i++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, count_once, &c), 0);
        pthread_join(thread, NULL);
        ck_assert_uint_eq(own_of(&c, COUNT_SET), i + 1);
    }
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(a_block_is_taken_over_and_counts_on_when_its_handle_is_closed)
{
    struct shared_area a = area_new(16);
    struct counters first, second;

    open_counters(&first, &a);
    counters_add(&first, 2, COUNT_HIT, 10);
    open_counters(&second, &a);
    counters_add(&second, 2, COUNT_HIT, 1); /* the first lives: a block of its own */
    ck_assert_uint_eq(blocks_used(&second), 2);
    counters_close(&second);
    counters_close(&first);
    for (int i = 0; i < 5; i++) {
        open_counters(&second, &a);
        counters_add(&second, 2, COUNT_HIT, 100);
        ck_assert_uint_eq(own_of(&second, COUNT_HIT), 100); /* not what others had counted there */
        ck_assert_uint_eq(blocks_used(&second), 2);
        ck_assert_uint_eq(all_of(&second, COUNT_HIT), 11 + 100 * ((uint64_t)i + 1));
        counters_close(&second);
    }
    area_free(&a);
}
END_TEST

START_TEST(a_killed_process_loses_nothing_and_its_block_is_taken_over)
{
    struct shared_area a = area_new(16);
    struct counters c;

    open_counters(&c, &a);
    for (unsigned i = 0; i < 20; i++) {
        int pipe_[2], status;
        char byte;
        pid_t child;
        ck_assert_int_eq(pipe(pipe_), 0);
        child = fork();
        if (child == 0) {
            counters_add(&c, 3, COUNT_HIT, 7);
            if (write(pipe_[1], "x", 1) == 1)
                for (;;)
                    pause();
            _exit(1);
        }
        ck_assert_int_eq(read(pipe_[0], &byte, 1), 1);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        close(pipe_[0]);
        close(pipe_[1]);
        ck_assert_uint_eq(all_of(&c, COUNT_HIT), 7 * (i + 1));
        ck_assert_uint_eq(own_of(&c, COUNT_HIT), 0);
        ck_assert_uint_eq(blocks_used(&c), 1);
    }
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(among_many_that_live_a_dead_ones_block_is_found_when_there_is_no_other)
{
    enum { LIVING = 9 }; /* more than are looked at while there are fresh blocks */
    struct shared_area a = area_new(14); /* that of none, 10 for threads, 3 for totals */
    struct counters c, d;
    pid_t child[LIVING];
    int pipe_[2], status;
    char byte;

    open_counters(&c, &a);
    ck_assert_int_eq(pipe(pipe_), 0);
    for (int i = 0; i < LIVING; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            counters_add(&c, 0, COUNT_HIT, 1);
            if (write(pipe_[1], "x", 1) == 1)
                for (;;)
                    pause();
            _exit(1);
        }
        ck_assert_int_eq(read(pipe_[0], &byte, 1), 1);
    }
    ck_assert_uint_eq(blocks_used(&c), LIVING);
    kill(child[LIVING - 1], SIGKILL);
    ck_assert_int_eq(waitpid(child[LIVING - 1], &status, 0), child[LIVING - 1]);
    counters_add(&c, 0, COUNT_HIT, 1); /* the last fresh one */
    ck_assert_uint_eq(blocks_used(&c), LIVING + 1);
    open_counters(&d, &a);
    counters_add(&d, 0, COUNT_HIT, 1);
    ck_assert_uint_eq(blocks_used(&c), LIVING + 1);
    ck_assert_uint_eq(all_of(&c, COUNT_HIT), LIVING + 2);
    for (uint32_t i = 0; i < c.blocks; i++)
        ck_assert_uint_ne(c.area->block[i].owner, COUNTER_EVERYBODY);
    for (int i = 0; i < LIVING - 1; i++) {
        kill(child[i], SIGKILL);
        ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
    }
    close(pipe_[0]);
    close(pipe_[1]);
    counters_close(&d);
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(a_forked_child_does_not_count_in_its_parents_block)
{
    struct shared_area a = area_new(16);
    unsigned long n = scaled(200000);
    struct counters c;
    int status;
    pid_t child;

    open_counters(&c, &a);
    counters_add(&c, 0, COUNT_HIT, 1);
    child = fork();
    for (unsigned long i = 0; i < n; i++) /* both at once, in the same seat: one block would lose some */
        counters_add(&c, 0, COUNT_HIT, 1);
    if (child == 0)
        _exit(own_of(&c, COUNT_HIT) == n ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(all_of(&c, COUNT_HIT), 2 * n + 1);
    ck_assert_uint_eq(own_of(&c, COUNT_HIT), n + 1);
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(a_namespace_without_room_for_a_total_counts_as_none)
{
    struct shared_area a = area_new(1); /* that of none */
    struct counters c;

    open_counters(&c, &a);
    counters_add(&c, SPACES, COUNT_HIT, 1);
    for (uint32_t space = 0; space < SPACES; space++)
        counters_add(&c, space, COUNT_HIT, 10);
    ck_assert_uint_eq(all_of(&c, COUNT_HIT), 10 * SPACES + 1);
    ck_assert_uint_eq(own_of(&c, COUNT_HIT), 10 * SPACES + 1);
    ck_assert_uint_eq(space_of(&c, SPACES, COUNT_HIT), 10 * SPACES + 1);
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(where_forks_cannot_be_noticed_everything_goes_to_totals)
{
    struct shared_area a = area_new(16);
    unsigned long n = scaled(20000);
    struct counters c;
    int status;
    pid_t child;

    open_counters(&c, &a);
    c.wiped = 0; /* as on a kernel that does not clear memory on a fork */
    child = fork();
    for (unsigned long i = 0; i < n; i++)
        counters_add(&c, 2, COUNT_HIT, 1);
    if (child == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_uint_eq(space_of(&c, 2, COUNT_HIT), 2 * n);
    ck_assert_uint_eq(own_of(&c, COUNT_HIT), n);
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(what_is_only_looked_at_is_not_written_to)
{
    struct shared_area a = area_new(16);
    struct counters c;

    memset(&c, 0, sizeof c);
    ck_assert(counters_open(&c, a.area, a.bytes, SPACES, 1));
    ck_assert_int_eq(mprotect(a.area, a.bytes, PROT_READ), 0);
    counters_add(&c, 0, COUNT_HIT, 5);
    ck_assert_uint_eq(own_of(&c, COUNT_HIT), 5);
    ck_assert_uint_eq(all_of(&c, COUNT_HIT), 0);
    counters_close(&c);
    area_free(&a);
}
END_TEST

START_TEST(the_area_is_a_small_part_of_the_memory)
{
    const uint64_t sizes[] = { 256 << 10, 1 << 20, 4 << 20, 64 << 20, UINT64_C(16) << 30 };
    const uint32_t spaces[] = { 1, 256, 4095 };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof spaces / sizeof *spaces; j++) {
            uint64_t bytes = metrics_area_bytes(sizes[i], spaces[j]);
            ck_assert_uint_le(bytes, sizeof(struct metrics_area) + 16 * sizeof(struct counter_block) + sizes[i] / 32);
            ck_assert_uint_ge(bytes, sizeof(struct metrics_area) + 16 * sizeof(struct counter_block));
        }
}
END_TEST

int main(void)
{
    return RUN_TESTS(
        "counters", among_many_that_live_a_dead_ones_block_is_found_when_there_is_no_other,
        one_thread_counts_in_one_block_of_each_namespace,
        nothing_is_lost_when_there_are_more_threads_than_seats, nothing_is_lost_when_there_are_more_threads_than_blocks,
        nothing_is_lost_when_threads_come_and_go, a_block_is_taken_over_and_counts_on_when_its_handle_is_closed,
        a_killed_process_loses_nothing_and_its_block_is_taken_over, a_forked_child_does_not_count_in_its_parents_block,
        a_namespace_without_room_for_a_total_counts_as_none, what_is_only_looked_at_is_not_written_to,
        where_forks_cannot_be_noticed_everything_goes_to_totals, the_area_is_a_small_part_of_the_memory);
}
