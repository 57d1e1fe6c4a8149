/* The seal lies in the registry, in a key of SYSTEM and Administrators; who may not write there has
 * one of his own. The box goes through DPAPI, of the machine or of the user likewise. */
#include "proto/trust/keys_rest.h"

#include <string.h>
#include <wchar.h>

#include <windows.h>

#include <dpapi.h>
#include <sddl.h>

#include "proto/base/wide_windows.h"
#include "proto/trust/keys.h"
#include "proto/trust/keys_seal.h"

static const wchar_t seal_path[] = L"SOFTWARE\\casfleet\\Agent";
static const wchar_t seal_value[] = L"KeySeal";
/* Nothing inherited; SYSTEM and Administrators, in full. */
static const wchar_t seal_guard[] = L"D:P(A;;KA;;;SY)(A;;KA;;;BA)";
static const wchar_t seal_mutex[] = L"Global\\casfleet.KeySeal";
static const char entropy_text[] = "casfleet secret key, sealed, 1";

enum {
    SEAL_WAIT_MS = 10000 /* for another process that makes it */
};

static enum cas_err
fail(struct cas_why *why, enum cas_err err, const char *path, const char *call, DWORD number)
{
    char data[CAS_WHY_BYTES];
    struct cas_text words = CAS_TEXT(data);
    cas_text_clear(&words);
    wide_err_words(number, &words);
    return cas_fail(why, err, "%s: %s: %s", path, call, data);
}

static const char *place_of(enum keys_scope scope)
{
    return scope == KEYS_SCOPE_MACHINE ? "HKLM\\SOFTWARE\\casfleet\\Agent KeySeal"
                                       : "HKCU\\SOFTWARE\\casfleet\\Agent KeySeal";
}

static void host_here(char ret_host[CAS_NAME_BYTES])
{
    wchar_t wide[CAS_NAME_BYTES];
    DWORD size = CAS_NAME_BYTES;
    if (!GetComputerNameExW(ComputerNamePhysicalDnsHostname, wide, &size) ||
        wide_to_utf8(wide, ret_host, CAS_NAME_BYTES) != CAS_OK ||
        !cas_is_name(cas_slice_of(ret_host)))
        memcpy(ret_host, "unnamed", sizeof "unnamed");
}

/* ---- the seal ---- */

static HKEY root_of(enum keys_scope scope)
{
    return scope == KEYS_SCOPE_MACHINE ? HKEY_LOCAL_MACHINE : HKEY_CURRENT_USER;
}

static enum cas_err
seal_read(enum keys_scope scope, struct keys_seal *ret_seal, struct cas_why *why)
{
    HKEY key = NULL;
    DWORD type = 0;
    DWORD size = sizeof ret_seal->byte;
    LSTATUS status =
        RegOpenKeyExW(root_of(scope), seal_path, 0, KEY_QUERY_VALUE | KEY_WOW64_64KEY, &key);
    if (status == ERROR_SUCCESS) {
        status = RegQueryValueExW(key, seal_value, NULL, &type, ret_seal->byte, &size);
        (void)RegCloseKey(key);
    }
    if (status != ERROR_SUCCESS && status != ERROR_MORE_DATA)
        return fail(why,
                    wide_err_of((DWORD)status),
                    place_of(scope),
                    "cannot be read",
                    (DWORD)status);
    if (type != REG_BINARY || size != sizeof ret_seal->byte)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "%s: has type %lu and %lu bytes, must have type %d and %d bytes",
                        place_of(scope),
                        (unsigned long)type,
                        (unsigned long)size,
                        REG_BINARY,
                        KEYS_SEAL_BYTES);
    return CAS_OK;
}

/* The registry's key, made when there is none. */
static enum cas_err key_make(enum keys_scope scope, HKEY *ret_key, struct cas_why *why)
{
    SECURITY_ATTRIBUTES guard = {.nLength = sizeof guard};
    if (scope == KEYS_SCOPE_MACHINE &&
        !ConvertStringSecurityDescriptorToSecurityDescriptorW(seal_guard,
                                                              SDDL_REVISION_1,
                                                              &guard.lpSecurityDescriptor,
                                                              NULL)) {
        DWORD number = GetLastError();
        return fail(why, CAS_ERR_IO, place_of(scope), "cannot be guarded", number);
    }
    HKEY key = NULL;
    LSTATUS status = RegCreateKeyExW(root_of(scope),
                                     seal_path,
                                     0,
                                     NULL,
                                     0,
                                     KEY_SET_VALUE | WRITE_DAC | KEY_WOW64_64KEY,
                                     guard.lpSecurityDescriptor != NULL ? &guard : NULL,
                                     &key,
                                     NULL);
    /* The key may be older than the seal, and open to all. */
    if (status == ERROR_SUCCESS && guard.lpSecurityDescriptor != NULL)
        status = RegSetKeySecurity(key,
                                   DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                                   guard.lpSecurityDescriptor);
    if (guard.lpSecurityDescriptor != NULL)
        (void)LocalFree(guard.lpSecurityDescriptor);
    if (status == ERROR_SUCCESS) {
        *ret_key = key;
        return CAS_OK;
    }
    if (key != NULL)
        (void)RegCloseKey(key);
    return fail(why,
                wide_err_of((DWORD)status),
                place_of(scope),
                "cannot be written",
                (DWORD)status);
}

static enum cas_err
seal_write(HKEY key, enum keys_scope scope, struct keys_seal *ret_seal, struct cas_why *why)
{
    keys_random(ret_seal->byte, sizeof ret_seal->byte);
    LSTATUS status =
        RegSetValueExW(key, seal_value, 0, REG_BINARY, ret_seal->byte, sizeof ret_seal->byte);
    if (status == ERROR_SUCCESS)
        status = RegFlushKey(key); /* a key file whose seal is lost is lost too */
    return status == ERROR_SUCCESS ? CAS_OK
                                   : fail(why,
                                          wide_err_of((DWORD)status),
                                          place_of(scope),
                                          "cannot be written",
                                          (DWORD)status);
}

/* One at a time: the second would replace a seal that the first's key file needs, so it takes what
 * is there by then. The registry cannot set a value only where there is none. */
static enum cas_err
seal_make(enum keys_scope scope, struct keys_seal *ret_seal, struct cas_why *why)
{
    HKEY key = NULL;
    enum cas_err err = key_make(scope, &key, why);
    if (err != CAS_OK)
        return err;
    HANDLE mutex = CreateMutexW(NULL, FALSE, seal_mutex);
    DWORD held = mutex == NULL ? WAIT_FAILED : WaitForSingleObject(mutex, SEAL_WAIT_MS);
    if (held == WAIT_OBJECT_0 || held == WAIT_ABANDONED) {
        err = seal_read(scope, ret_seal, why);
        if (err == CAS_ERR_NOT_FOUND)
            err = seal_write(key, scope, ret_seal, why);
        (void)ReleaseMutex(mutex);
    } else {
        err = cas_fail(why,
                       CAS_ERR_BUSY,
                       "%s: another program makes it, or holds casfleet.KeySeal, for more than "
                       "%d s",
                       place_of(scope),
                       SEAL_WAIT_MS / 1000);
    }
    if (mutex != NULL)
        (void)CloseHandle(mutex);
    (void)RegCloseKey(key);
    return err;
}

/* The machine's where we may, else the user's; made when there is none. A seal that is there and
 * damaged is never replaced: other files may need it. */
static enum cas_err
seal_take(enum keys_scope *ret_scope, struct keys_seal *ret_seal, struct cas_why *why)
{
    static const enum keys_scope scopes[] = {KEYS_SCOPE_MACHINE, KEYS_SCOPE_USER};
    struct cas_why last = {""};
    enum cas_err err = CAS_ERR_DENIED;
    for (size_t i = 0; i < CAS_COUNT(scopes) && err == CAS_ERR_DENIED; i++) {
        *ret_scope = scopes[i];
        err = seal_read(scopes[i], ret_seal, &last);
        if (err == CAS_ERR_NOT_FOUND)
            err = seal_make(scopes[i], ret_seal, &last);
    }
    return err == CAS_OK ? CAS_OK : cas_fail(why, err, "%s", last.text);
}

/* ---- DPAPI ---- */

static DWORD flags_of(enum keys_scope scope)
{
    return CRYPTPROTECT_UI_FORBIDDEN |
           (scope == KEYS_SCOPE_MACHINE ? CRYPTPROTECT_LOCAL_MACHINE : 0u);
}

/* DPAPI takes what it only reads without const; it gets copies. */
struct dpapi_in {
    BYTE entropy[sizeof entropy_text];
    BYTE byte[KEY_FILE_BYTES];
    DATA_BLOB data, salt;
};

static bool dpapi_fill(struct dpapi_in *in, struct cas_slice bytes)
{
    if (bytes.size == 0 || bytes.size > sizeof in->byte)
        return false;
    memcpy(in->entropy, entropy_text, sizeof in->entropy);
    memcpy(in->byte, bytes.data, bytes.size);
    in->data = (DATA_BLOB){(DWORD)bytes.size, in->byte};
    in->salt = (DATA_BLOB){sizeof in->entropy, in->entropy};
    return true;
}

static bool dpapi_empty(DATA_BLOB *out, struct keys_rest *ret_rest)
{
    bool is_fit = out->cbData <= sizeof ret_rest->byte;
    ret_rest->size = 0;
    if (is_fit && out->pbData != NULL) {
        memcpy(ret_rest->byte, out->pbData, out->cbData);
        ret_rest->size = out->cbData;
    }
    if (out->pbData != NULL)
        SecureZeroMemory(out->pbData, out->cbData);
    (void)LocalFree(out->pbData);
    return is_fit;
}

static enum cas_err dpapi_protect(const char *path,
                                  enum keys_scope scope,
                                  struct cas_slice box,
                                  struct keys_rest *ret_rest,
                                  struct cas_why *why)
{
    struct dpapi_in in;
    DATA_BLOB out = {0, NULL};
    if (!dpapi_fill(&in, box))
        return cas_fail(why, CAS_ERR_TOO_LONG, "%s: a box of %zu bytes", path, box.size);
    if (!CryptProtectData(&in.data, L"casfleet key", &in.salt, NULL, NULL, flags_of(scope), &out)) {
        DWORD number = GetLastError();
        return fail(why, CAS_ERR_IO, path, "cannot be sealed: CryptProtectData", number);
    }
    if (!dpapi_empty(&out, ret_rest))
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: CryptProtectData gave more than %d bytes",
                        path,
                        KEY_FILE_BYTES);
    return CAS_OK;
}

static enum cas_err dpapi_unprotect(const char *path,
                                    const struct keys_seal_head *head,
                                    struct cas_slice inner,
                                    struct keys_rest *ret_box,
                                    struct cas_why *why)
{
    struct dpapi_in in;
    DATA_BLOB out = {0, NULL};
    if (!dpapi_fill(&in, inner))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: has %zu sealed bytes, must have 1 to %d",
                        path,
                        inner.size,
                        KEY_FILE_BYTES);
    if (!CryptUnprotectData(&in.data, NULL, &in.salt, NULL, NULL, flags_of(head->scope), &out)) {
        DWORD number = GetLastError();
        char call[CAS_WHY_BYTES];
        struct cas_text text = CAS_TEXT(call);
        cas_text_clear(&text);
        cas_text_add(&text,
                     "was sealed on another machine, for another user, or before Windows was set "
                     "up anew (it says %s): CryptUnprotectData",
                     head->host);
        return fail(why, CAS_ERR_CONFIG, path, call, number);
    }
    if (!dpapi_empty(&out, ret_box))
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: CryptUnprotectData gave more than %d bytes",
                        path,
                        KEY_FILE_BYTES);
    return CAS_OK;
}

/* ---- door ---- */

enum cas_err keys_rest_wrap(const char *path,
                            struct cas_slice text,
                            struct keys_rest *ret_rest,
                            struct cas_why *why)
{
    struct keys_seal seal;
    struct keys_rest box = {.size = 0};
    struct keys_rest blob = {.size = 0};
    struct keys_seal_head head = {.scope = KEYS_SCOPE_MACHINE};
    host_here(head.host);
    enum cas_err err = seal_take(&head.scope, &seal, why);
    if (err != CAS_OK)
        return err;
    keys_seal_id(&seal, head.id);
    err = keys_seal_close(&seal, text, &box, why);
    if (err == CAS_OK)
        err = dpapi_protect(path,
                            head.scope,
                            (struct cas_slice){(const char *)box.byte, box.size},
                            &blob,
                            why);
    if (err == CAS_OK)
        err = keys_seal_join(&seal,
                             &head,
                             (struct cas_slice){(const char *)blob.byte, blob.size},
                             ret_rest,
                             why);
    SecureZeroMemory(&seal, sizeof seal);
    return err;
}

enum cas_err keys_rest_unwrap(const char *path,
                              struct cas_slice data,
                              struct keys_rest *ret_text,
                              struct cas_why *why)
{
    char host[CAS_NAME_BYTES];
    struct keys_seal seal;
    struct keys_seal_head head;
    struct cas_slice inner;
    struct keys_rest box = {.size = 0};
    host_here(host);
    enum cas_err err = keys_seal_part(path, data, &head, &inner, why);
    if (err != CAS_OK)
        return err;
    err = seal_read(head.scope, &seal, why);
    if (err == CAS_ERR_NOT_FOUND)
        return keys_seal_check(path, data, &head, NULL, host, why);
    if (err == CAS_OK)
        err = keys_seal_check(path, data, &head, &seal, host, why);
    if (err == CAS_OK)
        err = dpapi_unprotect(path, &head, inner, &box, why);
    if (err == CAS_OK)
        err = keys_seal_open(path,
                             &seal,
                             (struct cas_slice){(const char *)box.byte, box.size},
                             ret_text,
                             why);
    SecureZeroMemory(&seal, sizeof seal);
    keys_rest_clear(&box);
    return err;
}
