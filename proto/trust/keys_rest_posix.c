#include "proto/trust/keys_rest.h"

#include <string.h>

#include "proto/trust/keys_seal.h"

static enum cas_err
copy(const char *path, struct cas_slice bytes, struct keys_rest *ret_rest, struct cas_why *why)
{
    if (bytes.size > sizeof ret_rest->byte)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: a key file of %zu bytes, at most %d",
                        path,
                        bytes.size,
                        KEY_FILE_BYTES);
    if (bytes.size > 0)
        memcpy(ret_rest->byte, bytes.data, bytes.size);
    ret_rest->size = bytes.size;
    return CAS_OK;
}

enum cas_err keys_rest_wrap(const char *path,
                            struct cas_slice text,
                            struct keys_rest *ret_rest,
                            struct cas_why *why)
{
    return copy(path, text, ret_rest, why);
}

enum cas_err keys_rest_unwrap(const char *path,
                              struct cas_slice data,
                              struct keys_rest *ret_text,
                              struct cas_why *why)
{
    struct keys_seal_head head;
    struct cas_slice inner;
    if (!keys_seal_is_sealed(data))
        return copy(path, data, ret_text, why);
    enum cas_err err = keys_seal_part(path, data, &head, &inner, why);
    if (err != CAS_OK)
        return err;
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "%s: was sealed on another machine, the Windows host %s, and opens there only",
                    path,
                    head.host);
}
