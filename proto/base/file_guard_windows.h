/* file_guard_windows.h - who may touch a secret file, and does an existing one keep to that?
 *
 * The system, the administrators and the user who made it, nobody else, whatever the folder above
 * grants. Used by file_windows.c; the state folder is guarded the same way. */
#ifndef PROTO_BASE_FILE_GUARD_WINDOWS_H
#define PROTO_BASE_FILE_GUARD_WINDOWS_H

#include <windows.h>

#include "proto/base/cas.h"

enum file_guard_what {
    FILE_GUARD_FILE,
    FILE_GUARD_FOLDER /* what is made in it inherits the same */
};

/* What CreateFileW and CreateDirectoryW take. */
struct file_guard {
    SECURITY_ATTRIBUTES attributes;
    void *descriptor;
};
CAS_CHECK enum cas_err
file_guard_make(enum file_guard_what what, struct file_guard *ret_guard, struct cas_why *why);
void file_guard_done(struct file_guard *guard); /* fine when zeroed */

/* An open file (READ_CONTROL). CAS_ERR_MODE: it grants something to somebody else; the reason names
 * whom, as a SID. CAS_ERR_IO: Windows does not say. */
CAS_CHECK enum cas_err file_guard_check(HANDLE file, const char *path, struct cas_why *why);

#endif
