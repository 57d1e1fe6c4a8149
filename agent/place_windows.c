#include "agent/place.h"

#include <string.h>
#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#include "agent/host/host_windows.h"
#include "agent/rights_windows.h"
#include "proto/base/wide_windows.h"

enum {
    TOKEN_BYTES = 256,
    SID_TEXT = 192
};

/* The system and administrators alone, for all that is made below too; nothing comes down from the
 * folder above. */
static const wchar_t guard_words[] = L"O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/* Where programs keep their data: what the system's own list says. The environment comes second: it
 * is whatever the caller made of it. */
static void program_data(wchar_t *ret_wide, DWORD cap)
{
    DWORD bytes = cap * (DWORD)sizeof *ret_wide;
    static const wchar_t list[] = L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
    if (RegGetValueW(HKEY_LOCAL_MACHINE,
                     list,
                     L"ProgramData",
                     RRF_RT_REG_SZ,
                     NULL,
                     ret_wide,
                     &bytes) == ERROR_SUCCESS)
        return;
    DWORD size = GetEnvironmentVariableW(L"ProgramData", ret_wide, cap);
    if (size == 0 || size >= cap)
        (void)wcscpy_s(ret_wide, cap, L"C:\\ProgramData");
}

static void path_put(char *ret_path, const char *base, const char *tail)
{
    struct cas_text text = {.data = ret_path, .cap = OPTIONS_PATH_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s%s", base, tail);
}

static char parent_path[OPTIONS_PATH_BYTES];

const struct place *place_here(void)
{
    static struct place here = {.host = "windows",
                                .separator = '\\',
                                .is_one = true,
                                .is_windows = true};
    if (here.state[0] != '\0')
        return &here;
    wchar_t wide[MAX_PATH];
    char base[MAX_PATH * 3];
    program_data(wide, MAX_PATH);
    if (wide_to_utf8(wide, base, sizeof base) != CAS_OK)
        path_put(base, "C:\\ProgramData", "");
    path_put(parent_path, base, "\\casfleet");
    path_put(here.state, base, "\\casfleet\\agent");
    path_put(here.config, base, "\\casfleet\\agent\\agent.ini");
    return &here;
}

/* ---- folders: anybody may make some where the default one lies, so who made it is looked at ----
 */

static enum cas_err
api_fail(struct cas_why *why, DWORD number, const char *api, const char *path, const char *next)
{
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    wide_err_words(number, &text);
    return cas_fail(why, wide_err_of(number), "%s: %s: %s%s", path, api, words, next);
}

static bool is_own(PSID sid)
{
    union {
        TOKEN_USER user;
        char bytes[TOKEN_BYTES];
    } token;
    HANDLE handle = NULL;
    DWORD size = 0;
    if (OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &handle) == 0)
        return false;
    bool is_read = GetTokenInformation(handle, TokenUser, &token, sizeof token, &size) != 0;
    (void)CloseHandle(handle);
    return is_read && EqualSid(sid, token.user.User.Sid) != 0;
}

static enum cas_err owner_refuse(const char *path, PSID owner, struct cas_why *why)
{
    char name[SID_TEXT] = "an unknown account";
    wchar_t *wide = NULL;
    if (ConvertSidToStringSidW(owner, &wide) != 0) {
        if (wide_to_utf8(wide, name, sizeof name) != CAS_OK)
            name[0] = '\0';
        (void)LocalFree(wide);
    }
    return cas_fail(why,
                    CAS_ERR_MODE,
                    "%s: was made by %s, neither SYSTEM nor an administrator: look what is in it, "
                    "delete the folder, and try again",
                    path,
                    name);
}

static enum cas_err owner_check(const char *path, wchar_t *wide, struct cas_why *why)
{
    PSID owner = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    DWORD number = GetNamedSecurityInfoW(wide,
                                         SE_FILE_OBJECT,
                                         OWNER_SECURITY_INFORMATION,
                                         &owner,
                                         NULL,
                                         NULL,
                                         NULL,
                                         &descriptor);
    if (number != ERROR_SUCCESS)
        return api_fail(why,
                        number,
                        "GetNamedSecurityInfo",
                        path,
                        number == ERROR_ACCESS_DENIED ? "; run it as administrator" : "");
    bool is_good =
        owner != NULL && (IsWellKnownSid(owner, WinLocalSystemSid) != 0 ||
                          IsWellKnownSid(owner, WinBuiltinAdministratorsSid) != 0 || is_own(owner));
    enum cas_err err = is_good ? CAS_OK : owner_refuse(path, owner, why);
    (void)LocalFree(descriptor);
    return err;
}

/* Puts owner and rights right again. Who is no administrator is not let in anyway. */
static enum cas_err
guard_put(const char *path, wchar_t *wide, PSECURITY_DESCRIPTOR descriptor, struct cas_why *why)
{
    PSID owner = NULL;
    PACL list = NULL;
    BOOL is_there = FALSE;
    BOOL is_default = FALSE;
    if (GetSecurityDescriptorOwner(descriptor, &owner, &is_default) == 0 ||
        GetSecurityDescriptorDacl(descriptor, &is_there, &list, &is_default) == 0)
        return api_fail(why, GetLastError(), "GetSecurityDescriptorDacl", path, "");
    DWORD number = SetNamedSecurityInfoW(wide,
                                         SE_FILE_OBJECT,
                                         OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION |
                                             PROTECTED_DACL_SECURITY_INFORMATION,
                                         owner,
                                         NULL,
                                         list,
                                         NULL);
    if (number == ERROR_SUCCESS || number == ERROR_ACCESS_DENIED)
        return CAS_OK;
    return api_fail(why, number, "SetNamedSecurityInfo", path, "");
}

/* What an administrator named may be in use for more than this: its rights are looked at and stay
 * as they are. */
static enum cas_err rights_look(const char *path, const wchar_t *wide, struct cas_why *why)
{
    wchar_t full[OPTIONS_PATH_BYTES];
    struct cas_why loose = {.text = ""};
    DWORD size = GetFullPathNameW(wide, CAS_COUNT(full), full, NULL);
    if (size == 0 || size >= CAS_COUNT(full))
        return cas_fail(why, CAS_ERR_TOO_LONG, "%s: cannot be used as a path", path);
    enum cas_err err = windows_is_wine() ? CAS_OK : rights_check(full, RIGHTS_FOLDER, &loose);
    if (err == CAS_OK)
        return CAS_OK;
    return cas_fail(why,
                    err,
                    "%s; a state folder is for SYSTEM and administrators alone: name one that is "
                    "not there yet, or leave --state away",
                    loose.text);
}

/* is_own: the default one, or the one above it. */
static enum cas_err
guarded_folder(const char *path, bool is_own, PSECURITY_DESCRIPTOR descriptor, struct cas_why *why)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    enum cas_err err = wide_from_utf8(path, wide, OPTIONS_PATH_BYTES);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: cannot be used as a path", path);
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes,
                                      .lpSecurityDescriptor = descriptor};
    bool is_made = CreateDirectoryW(wide, &attributes) != 0;
    DWORD number = is_made ? ERROR_SUCCESS : GetLastError();
    if (number == ERROR_ACCESS_DENIED)
        return api_fail(why, number, "CreateDirectory", path, "; run it as administrator");
    if (!is_made && number != ERROR_ALREADY_EXISTS)
        return api_fail(why, number, "CreateDirectory", path, "");
    DWORD kind = GetFileAttributesW(wide);
    if (kind == INVALID_FILE_ATTRIBUTES || (kind & FILE_ATTRIBUTE_DIRECTORY) == 0)
        return cas_fail(why, CAS_ERR_EXISTS, "%s: exists and is not a folder", path);
    /* A link could lead anywhere. */
    if ((kind & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return cas_fail(why, CAS_ERR_MODE, "%s: is a link, and must be a folder", path);
    if (!is_made)
        err = owner_check(path, wide, why);
    if (err == CAS_OK && !is_own)
        return rights_look(path, wide, why);
    return err == CAS_OK && !is_made ? guard_put(path, wide, descriptor, why) : err;
}

enum cas_err place_state_make(const char *path, struct cas_why *why)
{
    const struct place *here = place_here();
    PSECURITY_DESCRIPTOR descriptor = NULL;
    if (ConvertStringSecurityDescriptorToSecurityDescriptorW(guard_words,
                                                             SDDL_REVISION_1,
                                                             &descriptor,
                                                             NULL) == 0)
        return api_fail(why,
                        GetLastError(),
                        "ConvertStringSecurityDescriptorToSecurityDescriptor",
                        path,
                        "");
    enum cas_err err = guarded_folder(parent_path, true, descriptor, why);
    if (err == CAS_OK)
        err = guarded_folder(here->state, true, descriptor, why);
    if (err == CAS_OK && strcmp(path, here->state) != 0)
        err = guarded_folder(path, false, descriptor, why);
    (void)LocalFree(descriptor);
    return err;
}

static void part_add(struct cas_text *text, const wchar_t *wide)
{
    char part[CAS_NAME_BYTES * 3];
    if (wide_to_utf8(wide, part, sizeof part) == CAS_OK && cas_is_clean_text(cas_slice_of(part)))
        cas_text_add(text, "%s", part);
}

void place_user(char ret_user[CAS_NAME_BYTES])
{
    union {
        TOKEN_USER user;
        char bytes[TOKEN_BYTES];
    } token;
    struct cas_text text = {.data = ret_user, .cap = CAS_NAME_BYTES};
    wchar_t name[CAS_NAME_BYTES];
    wchar_t domain[CAS_NAME_BYTES];
    DWORD name_n = CAS_NAME_BYTES;
    DWORD domain_n = CAS_NAME_BYTES;
    DWORD size = 0;
    SID_NAME_USE use;
    HANDLE handle = NULL;
    cas_text_clear(&text);
    if (OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &handle) != 0) {
        bool is_named =
            GetTokenInformation(handle, TokenUser, &token, sizeof token, &size) != 0 &&
            LookupAccountSidW(NULL, token.user.User.Sid, name, &name_n, domain, &domain_n, &use) !=
                0;
        (void)CloseHandle(handle);
        if (is_named && domain[0] != L'\0') {
            part_add(&text, domain);
            cas_text_add(&text, "\\");
        }
        if (is_named)
            part_add(&text, name);
    }
    if (text.used == 0)
        cas_text_add(&text, "unknown");
}
