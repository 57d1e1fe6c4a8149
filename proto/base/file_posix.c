#include "proto/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Turns errno into an error and a reason that names what was tried on which path. */
static enum cas_err file_fail(struct cas_why *why, const char *what, const char *path)
{
    int number = errno;
    char words[128] = "";
    if (why != NULL)
        (void)strerror_r(number, words, sizeof words);
    enum cas_err err = CAS_ERR_IO;
    if (number == ENOENT || number == ENOTDIR)
        err = CAS_ERR_NOT_FOUND;
    if (number == EACCES || number == EPERM || number == EROFS)
        err = CAS_ERR_DENIED;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        err = CAS_ERR_FULL;
    if (number == EEXIST)
        err = CAS_ERR_EXISTS;
    if (number == ENAMETOOLONG)
        err = CAS_ERR_TOO_LONG;
    if (number == ENOMEM)
        err = CAS_ERR_NOMEM;
    return cas_fail(why, err, "%s: cannot %s: %s", path, what, words);
}

static enum cas_err write_all(int fd, struct cas_slice data)
{
    for (size_t put = 0; put < data.size;) {
        ssize_t step = write(fd, data.data + put, data.size - put);
        if (step < 0 && errno != EINTR)
            return CAS_ERR_IO;
        put += step > 0 ? (size_t)step : 0;
    }
    return CAS_OK;
}

/* The folder a path lies in. */
static void folder_of(const char *path, char *ret_folder, size_t cap)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    const char *folder = slash == NULL ? "." : size == 0 ? "/" : path;
    (void)snprintf(ret_folder, cap, "%.*s", (int)(folder == path ? size : 1), folder);
}

/* A name in a folder is on disk only once the folder is. */
static enum cas_err folder_sync(const char *path, struct cas_why *why)
{
    char folder[FILE_PATH_BYTES];
    folder_of(path, folder, sizeof folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(why, "open the folder", folder);
    enum cas_err err = CAS_OK;
    if (fsync(fd) != 0)
        err = file_fail(why, "write the folder to disk", folder);
    (void)close(fd);
    return err;
}

/* Regular, within the cap, and as private as it has to be. */
static enum cas_err read_check(int fd,
                               const char *path,
                               size_t cap_bytes,
                               enum file_privacy privacy,
                               struct cas_why *why)
{
    struct stat state;
    if (fstat(fd, &state) != 0)
        return file_fail(why, "look at it", path);
    if (!S_ISREG(state.st_mode))
        return cas_fail(why, CAS_ERR_FORMAT, "%s: is not a regular file", path);
    unsigned mode = (unsigned)state.st_mode & 07777u;
    if (privacy == FILE_SECRET && (mode & ~0600u) != 0)
        return cas_fail(
            why,
            CAS_ERR_MODE,
            "%s: holds a secret and has mode %04o, must be 0600: chmod 600 it, and replace what it "
            "holds if others could read it",
            path,
            mode);
    if ((uint64_t)state.st_size > cap_bytes)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: has %lld bytes, at most %zu are read",
                        path,
                        (long long)state.st_size,
                        cap_bytes);
    return CAS_OK;
}

/* The file may grow between the look and the read, so the read has its own bound. */
static enum cas_err read_all(int fd,
                             const char *path,
                             size_t cap_bytes,
                             char **ret_data,
                             size_t *ret_size,
                             struct cas_why *why)
{
    char *data = malloc(cap_bytes + 2);
    if (data == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for %zu bytes", path, cap_bytes);
    size_t used = 0;
    for (ssize_t step = 1; step != 0 && used <= cap_bytes;) {
        step = read(fd, data + used, cap_bytes + 1 - used);
        if (step < 0 && errno != EINTR) {
            enum cas_err err = file_fail(why, "read", path);
            free(data);
            return err;
        }
        used += step > 0 ? (size_t)step : 0;
    }
    if (used > cap_bytes) {
        free(data);
        return cas_fail(why, CAS_ERR_TOO_LONG, "%s: has more than %zu bytes", path, cap_bytes);
    }
    data[used] = '\0';
    char *fit = realloc(data, used + 1);
    *ret_data = fit != NULL ? fit : data;
    *ret_size = used;
    return CAS_OK;
}

enum cas_err file_read(const char *path,
                       size_t cap_bytes,
                       enum file_privacy privacy,
                       char **ret_data,
                       size_t *ret_size,
                       struct cas_why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a fifo must not hold us */
    if (fd < 0)
        return file_fail(why, "open", path);
    enum cas_err err = read_check(fd, path, cap_bytes, privacy, why);
    if (err == CAS_OK)
        err = read_all(fd, path, cap_bytes, ret_data, ret_size, why);
    (void)close(fd);
    return err;
}

/* A new file beside path with this content, on disk; its name is left in ret_temp. */
static enum cas_err write_beside(const char *path,
                                 struct cas_slice data,
                                 enum file_privacy privacy,
                                 char *ret_temp,
                                 struct cas_why *why)
{
    int size = snprintf(ret_temp, FILE_PATH_BYTES, "%s.XXXXXX", path);
    if (size < 0 || size >= FILE_PATH_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%.80s...: a path may have %d bytes",
                        path,
                        FILE_PATH_BYTES - 8);
    int fd = mkstemp(ret_temp);
    if (fd < 0)
        return file_fail(why, "write", path);
    mode_t mode = privacy == FILE_SECRET ? 0600 : 0644;
    enum cas_err err = CAS_OK;
    if (fchmod(fd, mode) != 0 || write_all(fd, data) != CAS_OK || fsync(fd) != 0)
        err = file_fail(why, "write", path);
    if (close(fd) != 0 && err == CAS_OK)
        err = file_fail(why, "write", path);
    if (err != CAS_OK)
        (void)unlink(ret_temp);
    return err;
}

enum cas_err
file_write(const char *path, struct cas_slice data, enum file_privacy privacy, struct cas_why *why)
{
    char temp[FILE_PATH_BYTES];
    enum cas_err err = write_beside(path, data, privacy, temp, why);
    if (err != CAS_OK)
        return err;
    if (rename(temp, path) != 0) {
        err = file_fail(why, "write", path);
        (void)unlink(temp);
        return err;
    }
    return folder_sync(path, why);
}

enum cas_err
file_create(const char *path, struct cas_slice data, enum file_privacy privacy, struct cas_why *why)
{
    char temp[FILE_PATH_BYTES];
    enum cas_err err = write_beside(path, data, privacy, temp, why);
    if (err != CAS_OK)
        return err;
    if (link(temp, path) != 0)
        err = file_fail(why, "create", path); /* unlike rename, link never replaces */
    (void)unlink(temp);
    return err != CAS_OK ? err : folder_sync(path, why);
}

enum cas_err file_folder(const char *path, struct cas_why *why)
{
    struct stat state;
    if (mkdir(path, 0700) == 0)
        return folder_sync(path, why);
    if (errno != EEXIST)
        return file_fail(why, "make the folder", path);
    if (stat(path, &state) != 0)
        return file_fail(why, "look at it", path);
    if (!S_ISDIR(state.st_mode))
        return cas_fail(why, CAS_ERR_EXISTS, "%s: exists and is not a folder", path);
    return CAS_OK;
}

bool file_exists(const char *path)
{
    struct stat state;
    /* Who may not look is told "denied" by the next call, never "missing". */
    return stat(path, &state) == 0 || errno == EACCES;
}

enum cas_err file_rename(const char *from, const char *to, struct cas_why *why)
{
    return rename(from, to) == 0 ? CAS_OK : file_fail(why, "rename", from);
}

enum cas_err file_stream_append(const char *path, FILE **ret_stream, struct cas_why *why)
{
    FILE *stream = fopen(path, "ab");
    if (stream == NULL)
        return file_fail(why, "open", path);
    *ret_stream = stream;
    return CAS_OK;
}

struct file_log {
    int fd;
    off_t size_bytes;
    char path[FILE_PATH_BYTES];
};

/* Where the good content ends; a line torn by a crash is ended, never cut off: it is evidence. */
static enum cas_err log_mend(struct file_log *log, struct cas_why *why)
{
    char last = '\n';
    log->size_bytes = lseek(log->fd, 0, SEEK_END);
    if (log->size_bytes < 0)
        return file_fail(why, "look at it", log->path);
    if (log->size_bytes > 0 && pread(log->fd, &last, 1, log->size_bytes - 1) != 1)
        return file_fail(why, "read", log->path);
    return last == '\n' ? CAS_OK : file_log_append(log, (struct cas_slice){"", 0}, why);
}

enum cas_err file_log_open(const char *path, struct file_log **ret_log, struct cas_why *why)
{
    CAS_AUTO(file_log) log = calloc(1, sizeof *log);
    if (log == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to open it", path);
    log->fd = -1;
    if (cas_slice_copy(cas_slice_of(path), log->path, sizeof log->path) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%.80s...: a path may have %d bytes",
                        path,
                        FILE_PATH_BYTES - 1);
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log->fd < 0)
        return file_fail(why, "open", path);
    enum cas_err err = log_mend(log, why);
    if (err == CAS_OK)
        err = folder_sync(path, why);
    if (err != CAS_OK)
        return err;
    *ret_log = CAS_TAKE(log);
    return CAS_OK;
}

enum cas_err file_log_append(struct file_log *log, struct cas_slice line, struct cas_why *why)
{
    bool is_ended = line.size > 0 && line.data[line.size - 1] == '\n';
    struct cas_slice end = {"\n", is_ended ? 0 : 1};
    /* The line and its end in one write: a process that is killed between two would leave a line
     * of which nobody can tell whether it counts. */
    char *whole = malloc(line.size + 1);
    if (whole == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to append to it", log->path);
    if (line.size > 0)
        memcpy(whole, line.data, line.size);
    memcpy(whole + line.size, end.data, end.size);
    struct cas_slice both = {whole, line.size + end.size};
    bool is_written = write_all(log->fd, both) == CAS_OK && fsync(log->fd) == 0;
    int number = errno;
    free(whole);
    errno = number;
    if (!is_written) {
        enum cas_err err = file_fail(why, "append to it", log->path);
        /* What was written of the line must not run into the next one. */
        if (ftruncate(log->fd, log->size_bytes) != 0)
            (void)
                cas_fail(why, err, "%s: cannot append to it, nor take back half a line", log->path);
        return err;
    }
    log->size_bytes += (off_t)(line.size + end.size);
    return CAS_OK;
}

void file_log_free(struct file_log *log)
{
    if (log != NULL && log->fd >= 0)
        (void)close(log->fd);
    free(log);
}

struct file_lock {
    int fd;
};

/* The lock is the kernel's and goes with the process; the pid in the file is for people. */
static enum cas_err lock_held(int fd, const char *path, struct cas_why *why)
{
    char words[32];
    ssize_t size = pread(fd, words, sizeof words, 0);
    int64_t pid = 0;
    struct cas_slice number = {words, size > 0 && words[size - 1] == '\n' ? (size_t)size - 1 : 0};
    if (cas_parse_i64(number, 1, INT32_MAX, &pid, NULL) != CAS_OK)
        return cas_fail(why, CAS_ERR_LOCKED, "%s: another process holds this lock", path);
    return cas_fail(why, CAS_ERR_LOCKED, "%s: process %d holds this lock", path, (int)pid);
}

enum cas_err file_lock_take(const char *path, struct file_lock **ret_lock, struct cas_why *why)
{
    CAS_AUTO(file_lock) lock = calloc(1, sizeof *lock);
    if (lock == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for a lock", path);
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->fd < 0)
        return file_fail(why, "open", path);
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return lock_held(lock->fd, path, why);
        return file_fail(why, "lock", path);
    }
    char words[32];
    int size = snprintf(words, sizeof words, "%lld\n", (long long)getpid());
    if (ftruncate(lock->fd, 0) != 0 ||
        write_all(lock->fd, (struct cas_slice){words, (size_t)size}) != CAS_OK)
        return file_fail(why, "write", path);
    *ret_lock = CAS_TAKE(lock);
    return CAS_OK;
}

void file_lock_free(struct file_lock *lock)
{
    if (lock != NULL && lock->fd >= 0)
        (void)close(lock->fd);
    free(lock);
}
