/* io_fault_posix.c - a library to put before libc: one write, sync or change of a file fails.
 *
 *     LD_PRELOAD=libio_fault.so IO_FAULT=sync:17:EIO:3 IO_FAULT_UNDER=/state IO_FAULT_TOLD=/told
 *
 * lets the 17th fsync or fdatasync of the process on a file below /state fail, and the two after
 * it. KIND is write (write, pwrite), sync (fsync, fdatasync) or name (rename, ftruncate, unlink);
 * HOW is EIO, ENOSPC, or short: half is written, and the next write to that file finds no room.
 * Each failure is one line in IO_FAULT_TOLD. With a number of 0 nothing fails and each call is
 * told. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind {
    KIND_WRITE,
    KIND_SYNC,
    KIND_NAME,
    KIND_N
};
static const char *const kind_words[KIND_N] = {"write", "sync", "name"};

enum {
    PATH_BYTES = 4096,
    NUMBER_BASE = 10
};

/* One thread at a time writes below the state folder, in both programs. */
static struct {
    bool is_read;
    bool is_on;
    enum kind kind;
    long first, n;
    int error;
    bool is_short;
    int short_fd; /* whose next write finds no room */
    const char *under, *told, *after;
    long seen[KIND_N];
} plan = {.short_fd = -1};

static void plan_read(void)
{
    plan.is_read = true;
    const char *words = getenv("IO_FAULT");
    plan.under = getenv("IO_FAULT_UNDER");
    plan.told = getenv("IO_FAULT_TOLD");
    plan.after = getenv("IO_FAULT_AFTER");
    if (words == NULL || plan.under == NULL || plan.told == NULL)
        return;
    for (size_t i = 0; i < KIND_N; i++) {
        size_t size = strlen(kind_words[i]);
        if (strncmp(words, kind_words[i], size) != 0 || words[size] != ':')
            continue;
        char *end = NULL;
        plan.kind = (enum kind)i;
        plan.first = strtol(words + size + 1, &end, NUMBER_BASE);
        const char *count = *end == ':' ? strchr(end + 1, ':') : NULL;
        plan.n = count != NULL ? strtol(count + 1, NULL, NUMBER_BASE) : 1;
        plan.is_short = strstr(words, ":short") != NULL;
        plan.error = strstr(words, ":EIO") != NULL ? EIO : ENOSPC;
        plan.is_on = true;
    }
}

static void tell(enum kind kind, const char *path)
{
    char line[PATH_BYTES + 64];
    int size = snprintf(line, sizeof line, "%s %ld %s\n", kind_words[kind], plan.seen[kind], path);
    long fd = syscall(SYS_openat, AT_FDCWD, plan.told, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd >= 0 && size > 0)
        (void)syscall(SYS_write, fd, line, (size_t)size);
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
}

static bool has_begun(void)
{
    if (plan.after != NULL && syscall(SYS_faccessat, AT_FDCWD, plan.after, F_OK) == 0)
        plan.after = NULL;
    return plan.after == NULL;
}

/* True when this call on path is one that fails. */
static bool is_due_at(enum kind kind, const char *path)
{
    if (!plan.is_on || strncmp(path, plan.under, strlen(plan.under)) != 0 || !has_begun())
        return false;
    long number = ++plan.seen[kind];
    bool is_due =
        kind == plan.kind && plan.first > 0 && number >= plan.first && number < plan.first + plan.n;
    if (is_due || plan.first == 0)
        tell(kind, path);
    return is_due;
}

static bool is_due(enum kind kind, int fd)
{
    if (!plan.is_read)
        plan_read();
    if (!plan.is_on)
        return false;
    int before = errno;
    char link[64];
    char path[PATH_BYTES];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    bool is_it = is_due_at(kind, path);
    errno = before;
    return is_it;
}

static int fail(void)
{
    errno = plan.error;
    return -1;
}

/* How many bytes of a write may go: all, some, or -1 for none. */
static ssize_t allowed(int fd, size_t size)
{
    bool is_second = plan.is_on && plan.short_fd == fd;
    if (is_second)
        plan.short_fd = -1;
    if (!is_due(KIND_WRITE, fd))
        return is_second ? fail() : (ssize_t)size;
    if (!plan.is_short || size < 2)
        return fail();
    plan.short_fd = fd;
    return (ssize_t)(size / 2);
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t n = allowed(fd, size);
    return n < 0 ? n : syscall(SYS_write, fd, data, (size_t)n);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t n = allowed(fd, size);
    return n < 0 ? n : syscall(SYS_pwrite64, fd, data, (size_t)n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return pwrite(fd, data, size, at);
}

int fsync(int fd)
{
    return is_due(KIND_SYNC, fd) ? fail() : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return is_due(KIND_SYNC, fd) ? fail() : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t size)
{
    return is_due(KIND_NAME, fd) ? fail() : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

static bool is_due_path(const char *path)
{
    if (!plan.is_read)
        plan_read();
    return is_due_at(KIND_NAME, path);
}

int rename(const char *from, const char *to)
{
    return is_due_path(to) ? fail() : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    return is_due_path(path) ? fail() : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
