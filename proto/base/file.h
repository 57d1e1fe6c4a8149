/* file.h - the few things done with files, each with its error in words. The system's own calls
 * are in file_posix.c and file_windows.c; nothing else touches descriptors. Paths are UTF-8. */
#ifndef PROTO_BASE_FILE_H
#define PROTO_BASE_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "proto/base/cas.h"

enum file_privacy {
    FILE_PUBLIC,
    FILE_SECRET /* mode 0600 (or 0400), refused when looser; on Windows the same by its own means */
};

/* All functions: CAS_ERR_NOT_FOUND, CAS_ERR_DENIED, CAS_ERR_FULL (no space, quota),
 * CAS_ERR_TOO_LONG (a path), else CAS_ERR_IO; the reason names the path and what the system said.
 */

/* Reads a whole file. *ret_data is terminated with a zero byte that size does not count; caller
 * frees. CAS_ERR_NOT_FOUND, CAS_ERR_TOO_LONG above cap_bytes, CAS_ERR_MODE secret file readable by
 * others, CAS_ERR_IO, CAS_ERR_NOMEM. The reason names path, what was found and the limit. */
CAS_CHECK enum cas_err file_read(const char *path,
                                 size_t cap_bytes,
                                 enum file_privacy privacy,
                                 char **ret_data,
                                 size_t *ret_size,
                                 struct cas_why *why);
/* New file beside, fsync, rename over, fsync of the folder: old or new content, never half. */
CAS_CHECK enum cas_err
file_write(const char *path, struct cas_slice data, enum file_privacy privacy, struct cas_why *why);
/* As file_write, but CAS_ERR_EXISTS when the path exists. */
CAS_CHECK enum cas_err file_create(const char *path,
                                   struct cas_slice data,
                                   enum file_privacy privacy,
                                   struct cas_why *why);
/* Makes the folder (mode 0700), not its parents; fine when it exists. */
CAS_CHECK enum cas_err file_folder(const char *path, struct cas_why *why);
bool file_exists(const char *path);
/* Takes the place of what has the new name. An open file_stream_append goes on writing to it. Not
 * made sure on disk. */
CAS_CHECK enum cas_err file_rename(const char *from, const char *to, struct cas_why *why);

/* A stream that only appends, made when missing, to close with fclose; others may read the file,
 * and move or remove it, meanwhile. For text nobody relies on, as a log for people. */
CAS_CHECK enum cas_err file_stream_append(const char *path, FILE **ret_stream, struct cas_why *why);

/* A file of lines that only grows; each append is on disk (fsync) when the call returns CAS_OK, and
 * leaves no trace when it does not. A line feed is added where the line has none; a torn last line
 * is ended at open. */
struct file_log;
CAS_CHECK enum cas_err
file_log_open(const char *path, struct file_log **ret_log, struct cas_why *why);
CAS_CHECK enum cas_err
file_log_append(struct file_log *log, struct cas_slice line, struct cas_why *why);
void file_log_free(struct file_log *log);
CAS_AUTO_DEFINE(file_log);

/* One process at a time: CAS_ERR_LOCKED names the path and, if it can be read, the pid that holds
 * it. */
struct file_lock;
CAS_CHECK enum cas_err
file_lock_take(const char *path, struct file_lock **ret_lock, struct cas_why *why);
void file_lock_free(struct file_lock *lock);
CAS_AUTO_DEFINE(file_lock);

#endif
