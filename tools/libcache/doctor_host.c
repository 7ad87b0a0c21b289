/* doctor: the host. SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DEFAULT_SEGMENT_BYTES (UINT64_C(64) << 20)

/* The start of a small file, without the line's end. 0: it cannot be read. */
static int read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return 0;
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return 1;
}

static void check_folder(struct doctor *d)
{
    struct statfs fs;
    char space[SHORT_TEXT], all[SHORT_TEXT];
    uint64_t free_bytes, total;

    if (statfs(SEGMENT_FOLDER, &fs) < 0) {
        doctor_say(d, DOCTOR_ERROR, "shm.folder", "named segments need it: mount a tmpfs there", "%s: %s",
                   SEGMENT_FOLDER, strerror(errno));
        return;
    }
    if (access(SEGMENT_FOLDER, W_OK | X_OK) < 0)
        doctor_say(d, DOCTOR_ERROR, "shm.folder", "it should have mode 1777", "this user may not make files in %s",
                   SEGMENT_FOLDER);
    else if (fs.f_type != TMPFS_MAGIC)
        doctor_say(d, DOCTOR_WARNING, "shm.folder", "mount a tmpfs there: segments on a disk are written to it",
                   "%s is no tmpfs", SEGMENT_FOLDER);
    else
        doctor_say(d, DOCTOR_OK, "shm.folder", NULL, "%s is a tmpfs that this user may write to", SEGMENT_FOLDER);
    free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
    show_bytes(space, free_bytes);
    show_bytes(all, total);
    if (free_bytes < DEFAULT_SEGMENT_BYTES || free_bytes < total / 20)
        doctor_say(d, DOCTOR_WARNING, "shm.space",
                   "make it larger (docker: --shm-size; else mount -o remount,size=), or remove "
                   "segments that nobody uses",
                   "%s of %s are free in %s: a segment of the default 64 MiB, or the next one, may "
                   "not fit",
                   space, all, SEGMENT_FOLDER);
    else
        doctor_say(d, DOCTOR_OK, "shm.space", NULL, "%s of %s are free in %s", space, all, SEGMENT_FOLDER);
}

/* The word in brackets: "always [madvise] never" */
static void chosen(char *text)
{
    char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

    if (close) {
        *close = '\0';
        memmove(text, open + 1, strlen(open + 1) + 1);
    }
}

static void check_huge_pages(struct doctor *d)
{
    char shared[100], private[100];

    if (!read_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", shared, sizeof shared) ||
        !read_file("/sys/kernel/mm/transparent_hugepage/enabled", private, sizeof private)) {
        doctor_say(d, DOCTOR_SKIPPED, "host.huge_pages", NULL,
                   "this kernel does not tell about transparent huge pages");
        return;
    }
    chosen(shared);
    chosen(private);
    if (strcmp(shared, "never") == 0 || strcmp(shared, "deny") == 0)
        doctor_say(d, DOCTOR_NOTE, "host.huge_pages",
                   "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled, before the "
                   "segment is made",
                   "shared and named segments have 4 KiB pages (shmem_enabled is %s): gets from large ones are slower",
                   shared);
    else if (strcmp(private, "never") == 0)
        doctor_say(d, DOCTOR_NOTE, "host.huge_pages", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
                   "private segments have 4 KiB pages: gets from large ones are slower");
    else
        doctor_say(d, DOCTOR_OK, "host.huge_pages", NULL, "shared: %s, private: %s", shared, private);
}

/* The memory limit of this control group; what a segment takes of /dev/shm counts for it. */
static void check_memory_limit(struct doctor *d)
{
    char group[300], path[400], text[64], limit_text[SHORT_TEXT];
    struct segment_file *files = NULL;
    uint64_t limit, segments = 0;
    const char *why;
    long n;

    if (!read_file("/proc/self/cgroup", group, sizeof group) || strncmp(group, "0::", 3) != 0) {
        doctor_say(d, DOCTOR_SKIPPED, "host.memory_limit", NULL, "there is no unified control group to read");
        return;
    }
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", strcmp(group + 3, "/") == 0 ? "" : group + 3);
    if (!read_file(path, text, sizeof text) || parse_number(&limit, text, &why)) {
        doctor_say(d, DOCTOR_OK, "host.memory_limit", NULL, "the control group has no limit of memory");
        return;
    }
    n = list_segments(&files, 0);
    for (long i = 0; i < n; i++)
        segments += files[i].size_bytes;
    free(files);
    show_bytes(limit_text, limit);
    if (segments > limit / 2)
        doctor_say(d, DOCTOR_WARNING, "host.memory_limit",
                   "raise the limit, or make the segments smaller: their pages count for "
                   "it, and the kernel kills who goes beyond",
                   "the segments take more than half of the control group's %s", limit_text);
    else
        doctor_say(d, DOCTOR_OK, "host.memory_limit", NULL, "the control group's limit is %s", limit_text);
}

/* Segments of this user but the one that is asked about: can this build read them? */
static void check_others(struct doctor *d)
{
    struct segment_file *files = NULL;
    long n = list_segments(&files, 0), bad = 0;

    for (long i = 0; i < n; i++) {
        libcache_options options = LIBCACHE_OPTIONS_INIT;
        libcache_error error;
        libcache *cache;
        char size[SHORT_TEXT];
        int result;
        if (d->args->name && strcmp(files[i].name, d->args->name) == 0)
            continue;
        options.read_only = 1;
        result = libcache_attach(&cache, files[i].name, &options, &error);
        if (result == LIBCACHE_OK) {
            libcache_close(cache);
            continue;
        }
        if (result != LIBCACHE_EINCOMPATIBLE && result != LIBCACHE_ECORRUPT)
            continue;
        bad++;
        doctor_say(d, DOCTOR_WARNING, result == LIBCACHE_ECORRUPT ? "segments.corrupt" : "segments.other_build",
                   files[i].in_use == 1
                       ? "a program that is linked to another build of libcache uses it; restart it with this one"
                       : "nobody uses it: its memory is lost until its file is removed, or a program opens the name",
                   "%s (%s)", error.text, show_bytes(size, files[i].size_bytes));
    }
    if (!bad)
        doctor_say(d, DOCTOR_OK, "segments.other_build", NULL,
                   "this user has %ld named segments; all are of this build, as far as "
                   "they are asked about here",
                   n < 0 ? 0 : n);
    free(files);
}

void doctor_host(struct doctor *d)
{
    check_folder(d);
    check_huge_pages(d);
    check_memory_limit(d);
    check_others(d);
}
