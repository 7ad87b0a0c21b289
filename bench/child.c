/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "child.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 10000, NAP_MS = 5 };

void child_make_directory(bench_child *child, const char *name)
{
    child->pid = 0;
    snprintf(child->directory, sizeof child->directory, "/tmp/libcache-bench-%s-XXXXXX", name);
    if (mkdtemp(child->directory) == NULL)
        harness_die("cannot make %s: %s", child->directory, strerror(errno));
    snprintf(child->socket, sizeof child->socket, "%s/sock", child->directory);
}

static int accepts(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    result = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return result;
}

static void become(const char *const *arguments)
{
    int nowhere = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(nowhere, 0);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

void child_start(bench_child *child, const char *const *arguments)
{
    const struct timespec nap = { 0, NAP_MS * 1000000 };

    fflush(stdout);
    child->pid = fork();
    if (child->pid < 0)
        harness_die("cannot fork: %s", strerror(errno));
    if (child->pid == 0)
        become(arguments);
    for (int waited = 0; !accepts(child->socket); waited += NAP_MS) {
        if (waitpid(child->pid, NULL, WNOHANG) != 0)
            harness_die("%s does not start", arguments[0]);
        if (waited > START_MS)
            harness_die("%s does not listen", arguments[0]);
        nanosleep(&nap, NULL);
    }
}

void child_stop(bench_child *child)
{
    DIR *directory = opendir(child->directory);
    struct dirent *file;

    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    while (directory != NULL && (file = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), file->d_name, 0);
    if (directory != NULL)
        closedir(directory);
    rmdir(child->directory);
}
