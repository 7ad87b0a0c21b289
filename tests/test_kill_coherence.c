/*
 * G5 with a Redis tier: processes of several hosts kill themselves at points inside libcache, thousands of times, while the others
 * go on and the coherence checker looks at every read. Runs that program, which is built beside this one. SPDX-License-Identifier: MIT
 */
#include "support/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void checker_path(char path[600])
{
    ssize_t n = readlink("/proc/self/exe", path, 500);
    char *end;

    ck_assert_int_gt(n, 0);
    path[n] = '\0';
    for (int up = 0; up < 2; up++) {
        end = strrchr(path, '/');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
    }
    strcat(path, "/coherence");
}

static void run_checker(const char *chaos, unsigned long seconds)
{
    char path[600], seed[24], time[24];
    int status;
    pid_t pid;

    checker_path(path);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)test_seed());
    snprintf(time, sizeof time, "%lu", seconds);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(path, path, "--die", "--chaos", chaos, "--seed", seed, "--seconds", time, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s --die --chaos %s --seed %s: status %x", path, chaos, seed,
                  (unsigned)status);
}

START_TEST(nobody_is_given_anything_old_while_processes_of_all_hosts_are_killed)
{
    run_checker("none", 2 + scaled(5));
}
END_TEST

START_TEST(nobody_is_given_anything_old_while_redis_is_in_trouble_as_well)
{
    run_checker("default", 2 + scaled(10));
}
END_TEST

int main(void)
{
    return RUN_TESTS("kill_coherence", nobody_is_given_anything_old_while_processes_of_all_hosts_are_killed,
                     nobody_is_given_anything_old_while_redis_is_in_trouble_as_well);
}
