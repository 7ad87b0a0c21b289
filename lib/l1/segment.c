/*
 * Segments. SPDX-License-Identifier: MIT
 *
 * A named segment is a file "libcache-UID-NAME" in /dev/shm. How it comes to be and goes, without a race:
 *
 *   make    open(O_TMPFILE), size it, fill in the head, lock it, and only then linkat() it to its name: nobody ever sees
 *           a half-made one, and a maker that is killed leaves nothing behind. EEXIST: somebody was faster: join.
 *   join    open(O_NOFOLLOW), check owner, mode, kind, size; take the flock; look whether the name still leads to this
 *           file (if not: start again); check the head against the wish.
 *   alive   every process that uses the segment holds a shared flock on it; the kernel drops it when the process dies.
 *           Who gets it exclusively knows that nobody is using the segment, and may make locks anew or replace it.
 *   replace under the exclusive flock: unlink, start again.
 *   look    read-only: checked like a joiner's, but no flock: a looker is no user, keeps nobody from replacing the file, and has the
 *           old one's memory if that happens.
 *
 * Its memory is allocated when it is made: a full /dev/shm is an error then, not a SIGBUS later. A forked child shares its
 * parent's open file and so its flock, which lasts until the last of them is gone.
 * The file is 0600 and must be; another user's file under our name is refused, not removed.
 */
#define _GNU_SOURCE /* O_TMPFILE */
#include "l1/segment.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define FOLDER "/dev/shm"
#define HUGE_BYTES (UINT64_C(2) << 20)
#define HUGE_AUTO_BYTES (UINT64_C(2) << 20)
#define ATTEMPTS 100
#define FLOCK_POLL_MS 2

static int segment_path(char *path, size_t size, const char *name, libcache_error *error)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = name ? strlen(name) : 0;

    if (length < 1 || length > SEGMENT_NAME_MAX || strspn(name, allowed) != length || name[0] == '.')
        return error_set(error, LIBCACHE_ENAME,
                         "segment name \"%.80s\": must be 1 to %d of A-Z a-z 0-9 . _ - and not start with '.'",
                         name ? name : "", SEGMENT_NAME_MAX);
    snprintf(path, size, FOLDER "/libcache-%lu-%s", (unsigned long)geteuid(), name);
    return LIBCACHE_OK;
}

static int system_error(libcache_error *error, const char *call, const char *path)
{
    int code = errno == ENOMEM || errno == ENOSPC ? LIBCACHE_ENOMEM : LIBCACHE_ESYSTEM;
    return error_set(error, code, "%s %s: %m", call, path);
}

/* Address space for `bytes` on a huge page's boundary. */
static void *map_aligned(uint64_t bytes, int flags, int fd, int protection, int huge)
{
    uint64_t extra = huge ? HUGE_BYTES : 0;
    unsigned char *at, *place;

    place = mmap(NULL, bytes + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return NULL;
    at = extra ? (unsigned char *)(((uintptr_t)place + extra - 1) & ~(uintptr_t)(extra - 1)) : place;
    if (at > place)
        munmap(place, (size_t)(at - place));
    if (at + bytes < place + bytes + extra) {
        unsigned char *end = (unsigned char *)(((uintptr_t)at + bytes + 4095) & ~(uintptr_t)4095);
        if (end < place + bytes + extra)
            munmap(end, (size_t)(place + bytes + extra - end));
    }
    if (mmap(at, bytes, protection, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
        munmap(at, bytes);
        return NULL;
    }
    if (huge)
        madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

static int segment_map(struct segment *s, uint64_t bytes, const struct segment_wish *wish, libcache_error *error)
{
    int huge_pages = wish->read_only ? LIBCACHE_HUGE_OFF : wish->huge_pages;
    int huge = huge_pages == LIBCACHE_HUGE_ON || (huge_pages == LIBCACHE_HUGE_AUTO && bytes >= HUGE_AUTO_BYTES);
    int flags = s->kind == LIBCACHE_PRIVATE ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
                : s->kind == LIBCACHE_SHARED ? MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;

    s->base = map_aligned(bytes, flags, s->fd, wish->read_only ? PROT_READ : PROT_READ | PROT_WRITE, huge);
    if (!s->base)
        return error_set(error, LIBCACHE_ENOMEM, "mmap of %llu bytes: %m", (unsigned long long)bytes);
    return LIBCACHE_OK;
}

static void head_fill(struct segment *s, const struct segment_wish *wish)
{
    struct segment_head *head = segment_head(s);

    head->magic = SEGMENT_MAGIC;
    head->format = SEGMENT_FORMAT;
    head->struct_word = layout_struct_word();
    head->total_bytes = s->layout.total_bytes;
    head->max_value_bytes = s->layout.max_value_bytes;
    head->stripes = s->layout.stripes;
    head->spaces = s->layout.spaces;
    head->verify = s->layout.verify;
    head->upper_bytes = s->layout.upper_bytes;
    head->seed = wish->seed;
    head->identity = wish->identity;
    head->origin_ms = wish->origin_ms;
    head->epoch = wish->epoch;
}

/* Fills s->layout from the mapped head; the segment's file has `file_bytes`. */
static int head_check(struct segment *s, const struct segment_wish *wish, uint64_t file_bytes, libcache_error *error)
{
    const struct segment_head *head = segment_head(s);

    if (head->magic != SEGMENT_MAGIC)
        return error_set(error, LIBCACHE_EINCOMPATIBLE, "segment %s: not a libcache segment", wish->name);
    if (head->format != SEGMENT_FORMAT)
        return error_set(error, LIBCACHE_EINCOMPATIBLE, "segment %s: format %u, this build knows %u", wish->name,
                         head->format, SEGMENT_FORMAT);
    if (head->struct_word != layout_struct_word())
        return error_set(error, LIBCACHE_EINCOMPATIBLE, "segment %s: made by another build of libcache", wish->name);
    s->layout.total_bytes = head->total_bytes;
    s->layout.max_value_bytes = head->max_value_bytes;
    s->layout.stripes = head->stripes;
    s->layout.spaces = head->spaces;
    s->layout.verify = head->verify;
    s->layout.upper_bytes = head->upper_bytes;
    if (s->layout.total_bytes != file_bytes || !layout_compute(&s->layout) || !head->epoch)
        return error_set(error, LIBCACHE_ECORRUPT, "segment %s: its head contradicts itself", wish->name);
    if (!wish->any_identity && head->identity != wish->identity)
        return error_set(error, LIBCACHE_EINCOMPATIBLE, "segment %s: holds entries of another identity", wish->name);
    if (wish->attach)
        return LIBCACHE_OK;
    if (s->layout.total_bytes != wish->layout.total_bytes || s->layout.max_value_bytes != wish->layout.max_value_bytes ||
        s->layout.stripes != wish->layout.stripes || s->layout.spaces != wish->layout.spaces ||
        s->layout.verify != wish->layout.verify || s->layout.upper_bytes != wish->layout.upper_bytes)
        return error_set(error, LIBCACHE_EINCOMPATIBLE,
                         "segment %s: in use with other options (%llu bytes, largest value %llu, %u stripes, "
                         "%u namespaces, verify %u)", wish->name, (unsigned long long)s->layout.total_bytes,
                         (unsigned long long)s->layout.max_value_bytes, s->layout.stripes, s->layout.spaces,
                         s->layout.verify);
    return LIBCACHE_OK;
}

/* OK, MISS (somebody else was faster), or an error. */
static int named_make(struct segment *s, const struct segment_wish *wish, const char *path, libcache_error *error)
{
    char self[40];
    int result;

    s->layout = wish->layout;
    s->fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return system_error(error, "open", FOLDER);
    if (fchmod(s->fd, 0600) < 0 || flock(s->fd, LOCK_EX | LOCK_NB) < 0)
        return system_error(error, "prepare", path);
    if (fallocate(s->fd, 0, 0, (off_t)s->layout.total_bytes) < 0)
        return errno == ENOSPC ? error_set(error, LIBCACHE_ENOMEM, "segment %s: %s has no room for %llu bytes", wish->name,
                                           FOLDER, (unsigned long long)s->layout.total_bytes)
                               : system_error(error, "fallocate", path);
    result = segment_map(s, s->layout.total_bytes, wish, error);
    if (result != LIBCACHE_OK)
        return result;
    head_fill(s, wish);
    s->made = s->sole = 1;
    snprintf(self, sizeof self, "/proc/self/fd/%d", s->fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return errno == EEXIST ? LIBCACHE_MISS : system_error(error, "linkat", path);
    return LIBCACHE_OK;
}

/* Waits while another process, which holds it exclusively, makes the segment ready. 0: for too long. */
static int lock_shared(int fd, unsigned wait_ms)
{
    for (unsigned waited_ms = 0; flock(fd, LOCK_SH | LOCK_NB) < 0; waited_ms += FLOCK_POLL_MS)
        if (waited_ms >= wait_ms || (errno != EWOULDBLOCK && errno != EINTR) || poll(NULL, 0, FLOCK_POLL_MS) < 0)
            return 0;
    return 1;
}

/* OK, MISS (gone or replaced meanwhile: try again), ENOTFOUND, or an error. */
static int named_join(struct segment *s, const struct segment_wish *wish, const char *path, libcache_error *error)
{
    struct stat st;
    int result, exclusive = 0;

    s->fd = open(path, (wish->read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0) {
        if (errno == ENOENT)
            return LIBCACHE_ENOTFOUND;
        if (errno == ELOOP || errno == EACCES || errno == EPERM)
            return error_set(error, LIBCACHE_EACCESS, "segment %s: %s is %s", wish->name, path,
                             errno == ELOOP ? "a symbolic link" : "not ours to open");
        return system_error(error, "open", path);
    }
    if (fstat(s->fd, &st) < 0)
        return system_error(error, "fstat", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0177))
        return error_set(error, LIBCACHE_EACCESS,
                         "segment %s: %s must be a regular file of ours with mode 0600 (it has %o)", wish->name, path,
                         (unsigned)st.st_mode & 07777);
    if (!wish->read_only)
        exclusive = flock(s->fd, LOCK_EX | LOCK_NB) == 0;
    if (!wish->read_only && !exclusive && !lock_shared(s->fd, wish->lock_wait_ms))
        return error_set(error, LIBCACHE_EBUSY, "segment %s: another process has been opening it for %u ms", wish->name,
                         wish->lock_wait_ms);
    if (fstat(s->fd, &st) < 0)
        return system_error(error, "fstat", path);
    if (st.st_nlink != 1)
        return st.st_nlink == 0 ? LIBCACHE_MISS
               : error_set(error, LIBCACHE_EACCESS, "segment %s: %s has a second name", wish->name, path);
    s->sole = exclusive;
    if (st.st_size < (off_t)SEGMENT_MIN_BYTES)
        result = error_set(error, LIBCACHE_ECORRUPT, "segment %s: too short to be one", wish->name);
    else {
        result = segment_map(s, (uint64_t)st.st_size, wish, error);
        s->layout.total_bytes = (uint64_t)st.st_size; /* what to unmap */
        if (result == LIBCACHE_OK)
            result = head_check(s, wish, (uint64_t)st.st_size, error);
        if (result != LIBCACHE_OK)
            s->layout.total_bytes = (uint64_t)st.st_size;
        else if (!exclusive && !load_acquire(&segment_head(s)->ready))
            result = LIBCACHE_MISS; /* who was to prepare it has died: it is for who gets it exclusively */
    }
    if (exclusive && !wish->attach && (result == LIBCACHE_EINCOMPATIBLE || result == LIBCACHE_ECORRUPT)) {
        if (unlink(path) < 0 && errno != ENOENT)
            return system_error(error, "unlink", path);
        return LIBCACHE_MISS;
    }
    return result;
}

static int named_open(struct segment *s, const struct segment_wish *wish, libcache_error *error)
{
    char path[sizeof FOLDER + SEGMENT_NAME_MAX + 48];
    int attempt, result = segment_path(path, sizeof path, wish->name, error);

    if (result != LIBCACHE_OK)
        return result;
    for (attempt = 0; attempt < ATTEMPTS; attempt++) {
        result = named_join(s, wish, path, error);
        if (result == LIBCACHE_ENOTFOUND && !wish->attach) {
            segment_close(s);
            result = named_make(s, wish, path, error);
        }
        if (result == LIBCACHE_OK)
            return result;
        segment_close(s);
        if (result == LIBCACHE_ENOTFOUND)
            return error_set(error, result, "segment %s: there is no %s", wish->name, path);
        if (result != LIBCACHE_MISS)
            return result;
    }
    return error_set(error, LIBCACHE_EBUSY, "segment %s: replaced by others %d times while opening", wish->name, ATTEMPTS);
}

static unsigned char *wiped_on_fork(void)
{
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, 4096, MADV_WIPEONFORK) < 0) {
        munmap(page, 4096);
        return NULL;
    }
    *page = 1;
    return page;
}

int segment_open(struct segment *s, const struct segment_wish *wish, libcache_error *error)
{
    int result;

    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->kind = wish->kind;
    s->read_only = wish->read_only;
    if (wish->kind == LIBCACHE_NAMED) {
        result = named_open(s, wish, error);
    } else {
        s->layout = wish->layout;
        s->made = s->sole = 1;
        result = segment_map(s, s->layout.total_bytes, wish, error);
        if (result == LIBCACHE_OK)
            head_fill(s, wish);
    }
    if (result == LIBCACHE_OK)
        s->awake = wiped_on_fork();
    else
        segment_close(s);
    return result;
}

void segment_let_in(struct segment *s)
{
    if (s->sole && !s->read_only)
        store_release(&segment_head(s)->ready, 1);
    if (s->fd >= 0 && s->sole)
        while (flock(s->fd, LOCK_SH) < 0 && errno == EINTR)
            ;
    s->sole = 0;
    s->used = !s->read_only;
}

/*
 * Notes in the head that the last user let go in good order. Whether we are the last, a new open file must find out: the one
 * we had may be shared with processes that we forked or were forked from, and its lock is theirs too. (A mapping keeps the
 * open file, and with it the lock: it is gone before.)
 */
static void note_good_order(int fd)
{
    const uint32_t closed = 1;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        pwrite(fd, &closed, sizeof closed, (off_t)offsetof(struct segment_head, closed)) != (ssize_t)sizeof closed)
        return; /* the next user looks through it, that is all */
}

void segment_close(struct segment *s)
{
    char self[40];
    int again = -1;

    if (s->fd >= 0 && s->used) {
        snprintf(self, sizeof self, "/proc/self/fd/%d", s->fd);
        again = open(self, O_RDWR | O_CLOEXEC);
    }
    if (s->base)
        munmap(s->base, s->layout.total_bytes);
    if (s->fd >= 0)
        close(s->fd);
    if (again >= 0) {
        note_good_order(again);
        close(again);
    }
    if (s->awake)
        munmap(s->awake, 4096);
    s->base = NULL;
    s->awake = NULL;
    s->fd = -1;
    s->sole = s->made = s->used = 0;
}

int segment_remove(const char *name, libcache_error *error)
{
    char path[sizeof FOLDER + SEGMENT_NAME_MAX + 48];
    struct stat st;
    int result = segment_path(path, sizeof path, name, error);

    if (result != LIBCACHE_OK)
        return result;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? error_set(error, LIBCACHE_ENOTFOUND, "segment %s: there is no %s", name, path)
                               : system_error(error, "lstat", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return error_set(error, LIBCACHE_EACCESS, "segment %s: %s is not a file of ours", name, path);
    return unlink(path) < 0 ? system_error(error, "unlink", path) : LIBCACHE_OK;
}
