#include "proto/base/file.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <sddl.h>

#include "proto/base/file_guard_windows.h"
#include "proto/base/wide_windows.h"

enum {
    TEMP_TRIES = 100,
    MOVE_TRIES = 5, /* a virus scanner holds a new file open for a moment */
    MOVE_WAIT_MS = 20,
    SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
};

/* Turns a Win32 error into ours and a reason that names what was tried on which path. */
static enum cas_err
number_fail(struct cas_why *why, DWORD number, const char *what, const char *path)
{
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    if (why != NULL)
        wide_err_words(number, &text);
    enum cas_err err = wide_err_of(number);
    return cas_fail(why,
                    err == CAS_ERR_LOCKED ? CAS_ERR_IO : err,
                    "%s: cannot %s: %s",
                    path,
                    what,
                    words);
}

static enum cas_err file_fail(struct cas_why *why, const char *what, const char *path)
{
    return number_fail(why, GetLastError(), what, path);
}

/* The path in UTF-16, owned; NULL with the error in ret_err. */
static wchar_t *path_wide(const char *path, enum cas_err *ret_err, struct cas_why *why)
{
    wchar_t *wide = malloc(FILE_PATH_BYTES * sizeof *wide);
    enum cas_err err = wide == NULL ? CAS_ERR_NOMEM : wide_path(path, wide, FILE_PATH_BYTES);
    if (err == CAS_OK)
        return wide;
    free(wide);
    if (err == CAS_ERR_TOO_LONG)
        err = cas_fail(why,
                       err,
                       "%.80s...: a path may have %d characters",
                       path,
                       FILE_PATH_BYTES - 8);
    else
        err = cas_fail(why, err, "%s: cannot be used as a path: %s", path, cas_err_words(err));
    *ret_err = err;
    return NULL;
}

static HANDLE
open_wide(const wchar_t *wide, DWORD access, DWORD share, SECURITY_ATTRIBUTES *security, DWORD how)
{
    return CreateFileW(wide, access, share, security, how, FILE_ATTRIBUTE_NORMAL, NULL);
}

static bool is_folder(const wchar_t *wide)
{
    DWORD attributes = GetFileAttributesW(wide);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/* ---- whole files ---- */

/* Regular, within the cap, and as private as it has to be. */
static enum cas_err read_check(HANDLE file,
                               const char *path,
                               size_t cap_bytes,
                               enum file_privacy privacy,
                               struct cas_why *why)
{
    LARGE_INTEGER size;
    if (GetFileType(file) != FILE_TYPE_DISK)
        return cas_fail(why, CAS_ERR_FORMAT, "%s: is not a regular file", path);
    if (privacy == FILE_SECRET) {
        enum cas_err err = file_guard_check(file, path, why);
        if (err != CAS_OK)
            return err;
    }
    if (GetFileSizeEx(file, &size) == 0)
        return file_fail(why, "look at it", path);
    if ((uint64_t)size.QuadPart > cap_bytes)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: has %lld bytes, at most %zu are read",
                        path,
                        (long long)size.QuadPart,
                        cap_bytes);
    return CAS_OK;
}

/* The file may grow between the look and the read, so the read has its own bound. */
static enum cas_err read_all(HANDLE file,
                             const char *path,
                             size_t cap_bytes,
                             char **ret_data,
                             size_t *ret_size,
                             struct cas_why *why)
{
    char *data = cap_bytes < MAXDWORD - 2 ? malloc(cap_bytes + 2) : NULL;
    if (data == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for %zu bytes", path, cap_bytes);
    size_t used = 0;
    for (DWORD step = 1; step != 0 && used <= cap_bytes; used += step) {
        if (ReadFile(file, data + used, (DWORD)(cap_bytes + 1 - used), &step, NULL) == 0) {
            enum cas_err err = file_fail(why, "read", path);
            free(data);
            return err;
        }
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
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, why);
    if (wide == NULL)
        return err;
    HANDLE file = open_wide(wide, GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING);
    if (file == INVALID_HANDLE_VALUE) {
        DWORD number = GetLastError();
        err = is_folder(wide) ? cas_fail(why, CAS_ERR_FORMAT, "%s: is not a regular file", path)
                              : number_fail(why, number, "open", path);
        free(wide);
        return err;
    }
    free(wide);
    err = read_check(file, path, cap_bytes, privacy, why);
    if (err == CAS_OK)
        err = read_all(file, path, cap_bytes, ret_data, ret_size, why);
    (void)CloseHandle(file);
    return err;
}

static bool write_all(HANDLE file, struct cas_slice data, OVERLAPPED *where)
{
    for (size_t put = 0; put < data.size;) {
        size_t left = data.size - put;
        DWORD step = 0;
        DWORD part = left < MAXLONG ? (DWORD)left : (DWORD)MAXLONG;
        if (WriteFile(file, data.data + put, part, &step, where) == 0 || step == 0)
            return false;
        put += step;
    }
    return true;
}

/* A file of a name that nobody has, beside path. */
static enum cas_err open_beside(const char *path,
                                enum file_privacy privacy,
                                char *ret_temp,
                                HANDLE *ret_file,
                                struct cas_why *why)
{
    static unsigned counter;
    struct file_guard guard = {0};
    enum cas_err err =
        privacy == FILE_SECRET ? file_guard_make(FILE_GUARD_FILE, &guard, why) : CAS_OK;
    HANDLE file = INVALID_HANDLE_VALUE;
    for (int i = 0; i < TEMP_TRIES && err == CAS_OK && file == INVALID_HANDLE_VALUE; i++) {
        int size = snprintf(ret_temp,
                            FILE_PATH_BYTES,
                            "%s.%lx-%x",
                            path,
                            GetCurrentProcessId(),
                            counter++);
        if (size < 0 || size >= FILE_PATH_BYTES) {
            err = cas_fail(why, CAS_ERR_TOO_LONG, "%.80s...: too long for a path", path);
            break;
        }
        wchar_t *wide = path_wide(ret_temp, &err, why);
        if (wide == NULL)
            break;
        file = open_wide(wide,
                         GENERIC_WRITE,
                         FILE_SHARE_READ,
                         privacy == FILE_SECRET ? &guard.attributes : NULL,
                         CREATE_NEW);
        DWORD number = GetLastError();
        free(wide);
        if (file == INVALID_HANDLE_VALUE && number != ERROR_FILE_EXISTS)
            err = number_fail(why, number, "write", path);
    }
    file_guard_done(&guard);
    if (err == CAS_OK && file == INVALID_HANDLE_VALUE)
        err = cas_fail(why, CAS_ERR_EXISTS, "%s: no free name beside it", path);
    if (err == CAS_OK)
        *ret_file = file;
    return err;
}

/* A new file beside path with this content, on disk; its name is left in ret_temp. */
static enum cas_err write_beside(const char *path,
                                 struct cas_slice data,
                                 enum file_privacy privacy,
                                 char *ret_temp,
                                 struct cas_why *why)
{
    HANDLE file = INVALID_HANDLE_VALUE;
    enum cas_err err = open_beside(path, privacy, ret_temp, &file, why);
    if (err != CAS_OK)
        return err;
    if (!write_all(file, data, NULL) || FlushFileBuffers(file) == 0)
        err = file_fail(why, "write", path);
    if (CloseHandle(file) == 0 && err == CAS_OK)
        err = file_fail(why, "write", path);
    return err;
}

/* The new file takes its place, or goes. */
static enum cas_err
move_into_place(const char *temp, const char *path, DWORD flags, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    wchar_t *from = path_wide(temp, &err, why);
    wchar_t *to = from != NULL ? path_wide(path, &err, why) : NULL;
    if (to != NULL) {
        BOOL is_moved = FALSE;
        DWORD number = 0;
        for (int i = 0; i < MOVE_TRIES && !is_moved; i++) {
            is_moved = MoveFileExW(from, to, flags | MOVEFILE_WRITE_THROUGH);
            number = GetLastError();
            if (is_moved || (number != ERROR_SHARING_VIOLATION && number != ERROR_ACCESS_DENIED))
                break;
            Sleep(MOVE_WAIT_MS);
        }
        if (!is_moved)
            err = number_fail(why, number, flags == 0 ? "create" : "write", path);
    }
    if (err != CAS_OK && from != NULL)
        (void)DeleteFileW(from);
    free(from);
    free(to);
    return err;
}

static enum cas_err write_as(const char *path,
                             struct cas_slice data,
                             enum file_privacy privacy,
                             DWORD flags,
                             struct cas_why *why)
{
    char *temp = calloc(1, FILE_PATH_BYTES);
    if (temp == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to write it", path);
    enum cas_err err = write_beside(path, data, privacy, temp, why);
    if (err == CAS_OK) {
        err = move_into_place(temp, path, flags, why);
    } else {
        enum cas_err gone = CAS_OK;
        wchar_t *wide = temp[0] != '\0' ? path_wide(temp, &gone, NULL) : NULL;
        if (wide != NULL)
            (void)DeleteFileW(wide);
        free(wide);
    }
    free(temp);
    return err;
}

enum cas_err
file_write(const char *path, struct cas_slice data, enum file_privacy privacy, struct cas_why *why)
{
    return write_as(path, data, privacy, MOVEFILE_REPLACE_EXISTING, why);
}

enum cas_err
file_create(const char *path, struct cas_slice data, enum file_privacy privacy, struct cas_why *why)
{
    return write_as(path, data, privacy, 0, why);
}

enum cas_err file_folder(const char *path, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, why);
    if (wide == NULL)
        return err;
    struct file_guard guard = {0};
    err = file_guard_make(FILE_GUARD_FOLDER, &guard, why);
    if (err == CAS_OK && CreateDirectoryW(wide, &guard.attributes) == 0) {
        DWORD number = GetLastError();
        if (number != ERROR_ALREADY_EXISTS)
            err = number_fail(why, number, "make the folder", path);
        else if (!is_folder(wide))
            err = cas_fail(why, CAS_ERR_EXISTS, "%s: exists and is not a folder", path);
    }
    file_guard_done(&guard);
    free(wide);
    return err;
}

bool file_exists(const char *path)
{
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, NULL);
    /* What may not even be looked at is there: who then opens it is told why that fails. */
    bool is_there = wide != NULL && (GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES ||
                                     GetLastError() == ERROR_ACCESS_DENIED);
    free(wide);
    return is_there;
}

enum cas_err file_rename(const char *from, const char *to, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    wchar_t *wide_from = path_wide(from, &err, why);
    wchar_t *wide_to = wide_from != NULL ? path_wide(to, &err, why) : NULL;
    if (wide_to != NULL && MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING) == 0)
        err = file_fail(why, "rename", from);
    free(wide_from);
    free(wide_to);
    return err;
}

enum cas_err file_stream_append(const char *path, FILE **ret_stream, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, why);
    if (wide == NULL)
        return err;
    HANDLE file = open_wide(wide, FILE_APPEND_DATA | SYNCHRONIZE, SHARE_ALL, NULL, OPEN_ALWAYS);
    if (file == INVALID_HANDLE_VALUE) {
        err = file_fail(why, "open", path);
        free(wide);
        return err;
    }
    free(wide);
    int number = _open_osfhandle((intptr_t)file, _O_APPEND | _O_BINARY);
    FILE *stream = number >= 0 ? _fdopen(number, "ab") : NULL;
    if (stream == NULL) {
        if (number >= 0)
            (void)_close(number);
        else
            (void)CloseHandle(file);
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no stream is left for it", path);
    }
    *ret_stream = stream;
    return CAS_OK;
}

/* ---- the file of lines ---- */

struct file_log {
    HANDLE file;
    int64_t size_bytes;
    char path[FILE_PATH_BYTES];
};

/* Where the good content ends; a line torn by a crash is ended, never cut off: it is evidence. */
static enum cas_err log_mend(struct file_log *log, struct cas_why *why)
{
    LARGE_INTEGER size;
    if (GetFileSizeEx(log->file, &size) == 0)
        return file_fail(why, "look at it", log->path);
    log->size_bytes = size.QuadPart;
    if (size.QuadPart == 0)
        return CAS_OK;
    char last = '\n';
    DWORD step = 0;
    LARGE_INTEGER at = {.QuadPart = size.QuadPart - 1};
    if (SetFilePointerEx(log->file, at, NULL, FILE_BEGIN) == 0 ||
        ReadFile(log->file, &last, 1, &step, NULL) == 0 || step != 1)
        return file_fail(why, "read", log->path);
    return last == '\n' ? CAS_OK : file_log_append(log, (struct cas_slice){"", 0}, why);
}

enum cas_err file_log_open(const char *path, struct file_log **ret_log, struct cas_why *why)
{
    CAS_AUTO(file_log) log = calloc(1, sizeof *log);
    if (log == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to open it", path);
    log->file = INVALID_HANDLE_VALUE;
    if (cas_slice_copy(cas_slice_of(path), log->path, sizeof log->path) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%.80s...: a path may have %d bytes",
                        path,
                        FILE_PATH_BYTES - 1);
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, why);
    if (wide == NULL)
        return err;
    log->file = open_wide(wide, GENERIC_READ | GENERIC_WRITE, SHARE_ALL, NULL, OPEN_ALWAYS);
    DWORD number = GetLastError();
    free(wide);
    if (log->file == INVALID_HANDLE_VALUE)
        return number_fail(why, number, "open", path);
    err = log_mend(log, why);
    if (err == CAS_OK && FlushFileBuffers(log->file) == 0) /* a new name is on disk with it */
        err = file_fail(why, "write to disk", path);
    if (err != CAS_OK)
        return err;
    *ret_log = CAS_TAKE(log);
    return CAS_OK;
}

/* Half a line must not run into the next one. */
static bool log_cut(struct file_log *log)
{
    LARGE_INTEGER at = {.QuadPart = log->size_bytes};
    return SetFilePointerEx(log->file, at, NULL, FILE_BEGIN) != 0 && SetEndOfFile(log->file) != 0;
}

enum cas_err file_log_append(struct file_log *log, struct cas_slice line, struct cas_why *why)
{
    bool is_ended = line.size > 0 && line.data[line.size - 1] == '\n';
    /* The line and its end in one write: a process that is killed between two would leave a line
     * of which nobody can tell whether it counts. */
    char *whole = malloc(line.size + 1);
    if (whole == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to append to it", log->path);
    if (line.size > 0)
        memcpy(whole, line.data, line.size);
    whole[line.size] = '\n';
    struct cas_slice both = {whole, line.size + (is_ended ? 0 : 1)};
    OVERLAPPED at_end = {.Offset = MAXDWORD, .OffsetHigh = MAXDWORD}; /* wherever that is by then */
    bool is_written = write_all(log->file, both, &at_end) && FlushFileBuffers(log->file) != 0;
    DWORD number = GetLastError();
    free(whole);
    if (!is_written) {
        enum cas_err err = number_fail(why, number, "append to it", log->path);
        if (!log_cut(log))
            (void)
                cas_fail(why, err, "%s: cannot append to it, nor take back half a line", log->path);
        return err;
    }
    log->size_bytes += (int64_t)both.size;
    return CAS_OK;
}

void file_log_free(struct file_log *log)
{
    if (log != NULL && log->file != INVALID_HANDLE_VALUE)
        (void)CloseHandle(log->file);
    free(log);
}

/* ---- one process at a time ---- */

struct file_lock {
    HANDLE file;
};

/* The lock lies far behind the pid, which others may read: Windows locks bytes against reading too.
 */
static BOOL lock_try(HANDLE file)
{
    OVERLAPPED where = {.Offset = 1u << 30};
    return LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &where);
}

/* The lock is the system's and goes with the process; the pid in the file is for people. */
static enum cas_err lock_held(HANDLE file, const char *path, struct cas_why *why)
{
    char words[32];
    DWORD size = 0;
    int64_t pid = 0;
    bool is_read = ReadFile(file, words, sizeof words, &size, NULL) != 0 && size > 0;
    struct cas_slice number = {words, is_read && words[size - 1] == '\n' ? size - 1 : 0};
    if (cas_parse_i64(number, 1, UINT32_MAX, &pid, NULL) != CAS_OK)
        return cas_fail(why, CAS_ERR_LOCKED, "%s: another process holds this lock", path);
    return cas_fail(why, CAS_ERR_LOCKED, "%s: process %lld holds this lock", path, (long long)pid);
}

enum cas_err file_lock_take(const char *path, struct file_lock **ret_lock, struct cas_why *why)
{
    CAS_AUTO(file_lock) lock = calloc(1, sizeof *lock);
    if (lock == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for a lock", path);
    lock->file = INVALID_HANDLE_VALUE;
    enum cas_err err = CAS_OK;
    wchar_t *wide = path_wide(path, &err, why);
    if (wide == NULL)
        return err;
    /* Not to be removed or renamed meanwhile: another process would make and lock a new one. */
    lock->file = open_wide(wide,
                           GENERIC_READ | GENERIC_WRITE,
                           FILE_SHARE_READ | FILE_SHARE_WRITE,
                           NULL,
                           OPEN_ALWAYS);
    DWORD number = GetLastError();
    free(wide);
    if (lock->file == INVALID_HANDLE_VALUE)
        return number_fail(why, number, "open", path);
    if (lock_try(lock->file) == 0) {
        number = GetLastError();
        if (number == ERROR_LOCK_VIOLATION || number == ERROR_IO_PENDING)
            return lock_held(lock->file, path, why);
        return number_fail(why, number, "lock", path);
    }
    char words[32];
    int size = snprintf(words, sizeof words, "%lu\n", GetCurrentProcessId());
    if (SetEndOfFile(lock->file) == 0 ||
        !write_all(lock->file, (struct cas_slice){words, (size_t)size}, NULL))
        return file_fail(why, "write", path);
    *ret_lock = CAS_TAKE(lock);
    return CAS_OK;
}

void file_lock_free(struct file_lock *lock)
{
    if (lock != NULL && lock->file != INVALID_HANDLE_VALUE)
        (void)CloseHandle(lock->file);
    free(lock);
}
