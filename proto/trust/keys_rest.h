/* keys_rest.h - in which form does a secret key lie on disk?
 *
 * Inside trust only. keys_rest_posix.c: as its text; the file's mode 0600 keeps it. keys_windows.c:
 * sealed, see keys_seal.h. Used by keys_file.c. */
#ifndef PROTO_TRUST_KEYS_REST_H
#define PROTO_TRUST_KEYS_REST_H

#include "proto/base/cas.h"

/* Holds a secret on its way: zeroed with keys_rest_clear. */
struct keys_rest {
    uint8_t byte[KEY_FILE_BYTES];
    size_t size;
};
void keys_rest_clear(struct keys_rest *rest);

/* The bytes to write to path. Errors of the system, with the path in the reason. */
CAS_CHECK enum cas_err keys_rest_wrap(const char *path,
                                      struct cas_slice text,
                                      struct keys_rest *ret_rest,
                                      struct cas_why *why);
/* The text in the bytes that path holds. CAS_ERR_CONFIG: made by or for another system, machine or
 * user; CAS_ERR_CORRUPT: changed since it was written; CAS_ERR_FORMAT, CAS_ERR_VERSION. */
CAS_CHECK enum cas_err keys_rest_unwrap(const char *path,
                                        struct cas_slice data,
                                        struct keys_rest *ret_text,
                                        struct cas_why *why);

#endif
