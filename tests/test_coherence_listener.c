/*
 * The thread that listens: who it is, what it hears, how it ends, and how little it does when nothing happens. With the real
 * clock, for the thread waits by it. SPDX-License-Identifier: MIT
 */
#include "support/fake_redis.h"
#include "support/stage.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BEAT_MS = 1000 }; /* of max_staleness 2000 */

/*
 * What is to happen within some time is tried a few times, for a machine that others use may stop anybody for seconds; what is to happen at
 * all must, each time. An attempt gives how often something was late.
 */
static void ck_in_time_once(int (*attempt)(void))
{
    int late = 1;

    for (int i = 0; i < 5 && late; i++)
        late = attempt();
    ck_assert_int_eq(late, 0);
}

static int is_late(uint64_t begun, uint64_t ms)
{
    return real_ms() - begun > ms + 2 * slack_ms();
}

static void prepare_threaded(struct host *host, const struct redis_server *redis, unsigned number, const char *name)
{
    stage_prepare_host(host, redis, number);
    host->rig.options.clock_ms = NULL;
    host->rig.options.listener = LIBCACHE_LISTEN_IN_THREAD;
    host->rig.options.pool_min = 1;
    if (name) {
        host->rig.options.segment = LIBCACHE_NAMED;
        host->rig.options.name = name;
    }
}

static void open_threaded(struct stage *stage, unsigned number, const char *name)
{
    prepare_threaded(&stage->host[number], &stage->redis, number, name);
    stage_open_host(&stage->host[number]);
    if (stage->n <= number)
        stage->n = number + 1;
}

static int listens(const struct host *host)
{
    return stats_of(host).listening && mirror_of(host).redis_epoch;
}

/* ---- What it hears -------------------------------------------------------------------------------------------------- */

START_TEST(news_comes_at_once)
{
    struct stage stage;
    struct host *a, *b;
    uint64_t begun;
    int late = 0;

    stage_up(&stage, 1);
    a = &stage.host[0];
    open_threaded(&stage, 1, NULL);
    b = &stage.host[1];
    ck_wait_until(listens(b));
    for (int i = 0; i < 50; i++)
        for (unsigned kind = 0; kind < KINDS; kind++) {
            ck_wait_until(load(b, "key", "value", "tag") == LIBCACHE_OK && look_l1(b, "key") == LIBCACHE_HIT);
            ck_result(invalidate_somehow(a, kind), LIBCACHE_OK);
            begun = real_ms();
            ck_wait_until(look_l1(b, "key") == LIBCACHE_MISS);
            late += is_late(begun, BEAT_MS / 5);
        }
    ck_assert_int_le(late, 20); /* of 200: it was told, it has not asked, which takes half a beat on the average */
    ck_assert_uint_eq(stats_of(b).epochs, 1);
    stage_down(&stage);
}
END_TEST

static int hear_nothing(void)
{
    struct stage stage;
    struct host *b;
    uint64_t begun;
    int late = 0;

    stage_up(&stage, 0);
    open_threaded(&stage, 0, NULL);
    b = &stage.host[0];
    ck_wait_until(listens(b));
    ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
    begun = real_ms();
    while (real_ms() - begun < 2500 && !late) { /* longer than max_staleness */
        late += look_l1(b, "key") != LIBCACHE_HIT || stats_of(b).coherence_age_ms > 2000;
        breathe();
    }
    stage_down(&stage);
    return late;
}

START_TEST(a_host_that_hears_nothing_new_is_still_vouched_for)
{
    ck_in_time_once(hear_nothing);
}
END_TEST

START_TEST(it_comes_back_when_redis_does)
{
    struct stage stage;
    struct host *a, *b;
    char answer[100];

    stage_up(&stage, 1);
    a = &stage.host[0];
    open_threaded(&stage, 1, NULL);
    b = &stage.host[1];
    ck_wait_until(listens(b));
    REDIS(&stage.redis, answer, "SAVE");
    for (int how = 0; how < 3; how++) {
        if (how == 0)
            REDIS(&stage.redis, answer, "CLIENT", "KILL", "TYPE", "normal");
        else
            REDIS_AGAIN(&stage.redis, how == 1 ? REDIS_KEPT : REDIS_EMPTY);
        fake_clock_advance(&a->rig.clock, 10);
        hear_again(a);
        ck_wait_until(mirror_of(b).redis_epoch == mirror_of(a).redis_epoch);
        ck_wait_until(load(b, "key", "value", "tag") == LIBCACHE_OK && look_l1(b, "key") == LIBCACHE_HIT);
        ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK);
        ck_wait_until(look_l1(b, "key") == LIBCACHE_MISS);
    }
    stage_down(&stage);
}
END_TEST

/* ---- Who listens -------------------------------------------------------------------------------------------------------- */

static int close_who_listens(void)
{
    const char *name = segment_name("election");
    struct stage stage;
    int open[STAGE_HOSTS] = { 1, 1, 1 }, late = 0;

    stage_up(&stage, 0);
    for (unsigned i = 0; i < STAGE_HOSTS; i++)
        open_threaded(&stage, i, name);
    for (int left = STAGE_HOSTS; left; left--) {
        uint64_t begun = real_ms();
        int who = -1;
        while (who < 0) {
            for (int i = 0; i < STAGE_HOSTS; i++)
                if (open[i] && listens(&stage.host[i])) {
                    ck_assert_int_eq(who, -1);
                    who = i;
                }
            breathe();
            ck_assert_msg(!is_late(begun, 20000), "nobody listens");
        }
        late += is_late(begun, BEAT_MS + 200);
        stage_close_host(&stage.host[who]);
        open[who] = 0;
    }
    stage.n = 0;
    stage_down(&stage);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    return late;
}

START_TEST(of_several_handles_of_a_host_one_listens_and_when_it_is_closed_another)
{
    ck_in_time_once(close_who_listens);
}
END_TEST

static int kill_who_listens(void)
{
    const char *name = segment_name("heir");
    struct stage stage;
    struct host *a, *b;
    uint64_t begun;
    int ready[2], late;
    char byte;
    pid_t pid;

    stage_up(&stage, 1);
    a = &stage.host[0];
    b = &stage.host[1];
    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct host child;
        prepare_threaded(&child, &stage.redis, 7, name);
        stage_open_host(&child);
        while (!listens(&child))
            breathe();
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    open_threaded(&stage, 1, name);
    ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
    ck_result(look_l1(b, "key"), LIBCACHE_HIT);
    ck_assert_uint_eq(stats_of(b).listening, 0);
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK); /* the child hears it for both */
    ck_wait_until(look_l1(b, "key") == LIBCACHE_MISS);
    ck_result(load(b, "key", "value", "tag"), LIBCACHE_OK);
    ck_assert_uint_eq(stats_of(b).listening, 0);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    begun = real_ms();
    ck_result(invalidate_tag(a->cache, "tag"), LIBCACHE_OK); /* nobody of its host hears this, for now */
    ck_wait_until(listens(b));
    late = is_late(begun, BEAT_MS + 200);
    ck_wait_until(look_l1(b, "key") == LIBCACHE_MISS);
    late += is_late(begun, BEAT_MS + 400);
    ck_assert_uint_eq(stats_of(b).epochs, 1);
    close(ready[0]);
    close(ready[1]);
    stage_down(&stage);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    return late;
}

START_TEST(when_the_listeners_process_is_killed_another_one_takes_over_within_a_beat)
{
    ck_in_time_once(kill_who_listens);
}
END_TEST

/* ---- How it ends ---------------------------------------------------------------------------------------------------------- */

static int close_in_the_middle(void)
{
    int late = 0;

    for (int where = 0; where < 5; where++) {
        const char *name = segment_name("end");
        struct stage stage;
        uint64_t begun;
        stage_up(&stage, 0);
        open_threaded(&stage, 0, name);
        ck_wait_until(listens(&stage.host[0]));
        switch (where) {
        case 0: break; /* in a blocking read */
        case 1: redis_server_pause(&stage.redis); break;
        case 2: /* trying to reach a server that does not answer */
            redis_server_kill(&stage.redis);
            break;
        case 3: /* between two attempts, some time later */
            redis_server_kill(&stage.redis);
            ck_wait_until(stats_of(&stage.host[0]).l2_up == 0 || stats_of(&stage.host[0]).coherence_age_ms > 700);
            break;
        default: /* waiting for its turn to listen */
            open_threaded(&stage, 1, name);
            ck_assert_uint_eq(stats_of(&stage.host[1]).listening, 0);
            begun = real_ms();
            stage_close_host(&stage.host[1]);
            stage.n = 1;
            late += is_late(begun, 100);
        }
        begun = real_ms();
        stage_close_host(&stage.host[0]);
        late += is_late(begun, 100);
        stage.n = 0;
        stage_down(&stage);
        ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    }
    return late;
}

START_TEST(close_ends_it_at_once_whatever_it_waits_for)
{
    ck_in_time_once(close_in_the_middle);
}
END_TEST

/* ---- How little it does ------------------------------------------------------------------------------------------------------ */

/* Of this process's thread of that name: how often it has gone to sleep. */
static unsigned long switches_of(const char *thread)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned long switches = 0;

    ck_assert_ptr_nonnull(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[200];
        FILE *file;
        int is = 0;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
        file = task->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!file)
            continue;
        while (fgets(line, sizeof line, file)) {
            if (strncmp(line, "Name:", 5) == 0)
                is = strstr(line, thread) != NULL;
            if (is && strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
                switches += strtoul(line + 24, NULL, 10);
        }
        fclose(file);
    }
    closedir(tasks);
    return switches;
}

static unsigned long calls_of(struct stage *stage, const char *command)
{
    static char answer[60000];
    char name[60];
    const char *line;

    REDIS(&stage->redis, answer, "INFO", "commandstats");
    snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    line = strstr(answer, name);
    return line ? strtoul(line + strlen(name), NULL, 10) : 0;
}

static int do_nothing(void)
{
    const char *name = segment_name("idle");
    struct stage stage;
    unsigned long calls, switches;
    uint64_t begun, took;
    int late;

    stage_up(&stage, 0);
    open_threaded(&stage, 0, name);
    ck_wait_until(listens(&stage.host[0]));
    open_threaded(&stage, 1, name); /* waits for its turn */
    calls = calls_of(&stage, "xread");
    ck_wait_until(calls_of(&stage, "xread") > calls);
    calls = calls_of(&stage, "xread");
    switches = switches_of("libcache");
    begun = real_ms();
    ck_wait_until(calls_of(&stage, "xread") >= calls + 3);
    took = real_ms() - begun;
    switches = switches_of("libcache") - switches;
    printf("idle: two threads woke %lu times in %lu ms\n", switches, (unsigned long)took);
    /* Each beat: the answer that comes at once, the one that comes at its end; and the other thread's look at the lock. */
    late = took < 3 * BEAT_MS - 100 || switches > 4 * (took / BEAT_MS + 1);
    stage_down(&stage);
    ck_result(libcache_remove_segment(name, NULL), LIBCACHE_OK);
    return late;
}

START_TEST(an_idle_handle_asks_once_a_beat)
{
    ck_in_time_once(do_nothing);
}
END_TEST

int main(void)
{
    return RUN_TESTS("coherence_listener", news_comes_at_once, a_host_that_hears_nothing_new_is_still_vouched_for,
                     it_comes_back_when_redis_does, of_several_handles_of_a_host_one_listens_and_when_it_is_closed_another,
                     when_the_listeners_process_is_killed_another_one_takes_over_within_a_beat,
                     close_ends_it_at_once_whatever_it_waits_for, an_idle_handle_asks_once_a_beat);
}
