#include "proto/base/file_guard_windows.h"

#include <stdio.h>
#include <stdlib.h>

#include <aclapi.h>
#include <sddl.h>

#include "proto/base/wide_windows.h"

enum {
    SID_TEXT = 192, /* the longest has 184 characters */
    SDDL_TEXT = 512
};

static enum cas_err api_fail(struct cas_why *why, DWORD number, const char *api)
{
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    wide_err_words(number, &text);
    return cas_fail(why, CAS_ERR_IO, "%s: %s", api, words);
}

/* The user this process runs as; the buffer holds what ret_sid points into. */
union token_buffer {
    TOKEN_USER user;
    char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
};
static enum cas_err own_sid(union token_buffer *buffer, PSID *ret_sid, struct cas_why *why)
{
    HANDLE token = NULL;
    DWORD size = 0;
    if (OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token) == 0)
        return api_fail(why, GetLastError(), "OpenProcessToken");
    BOOL is_told = GetTokenInformation(token, TokenUser, buffer, sizeof *buffer, &size);
    DWORD number = GetLastError();
    (void)CloseHandle(token);
    if (!is_told)
        return api_fail(why, number, "GetTokenInformation(TokenUser)");
    *ret_sid = buffer->user.User.Sid;
    return CAS_OK;
}

static enum cas_err sid_text(PSID sid, char *ret_text, struct cas_why *why)
{
    wchar_t *wide = NULL;
    if (ConvertSidToStringSidW(sid, &wide) == 0)
        return api_fail(why, GetLastError(), "ConvertSidToStringSid");
    enum cas_err err = wide_to_utf8(wide, ret_text, SID_TEXT);
    (void)LocalFree(wide);
    return err;
}

enum cas_err
file_guard_make(enum file_guard_what what, struct file_guard *ret_guard, struct cas_why *why)
{
    union token_buffer buffer;
    PSID self = NULL;
    char name[SID_TEXT];
    enum cas_err err = own_sid(&buffer, &self, why);
    if (err == CAS_OK)
        err = sid_text(self, name, why);
    if (err != CAS_OK)
        return err;
    /* P: nothing comes down from the folder above. The owner by name: for an administrator it would
     * be the group otherwise, and the check below could not tell the user's own grant. */
    const char *heirs = what == FILE_GUARD_FOLDER ? "OICI" : "";
    char text[SDDL_TEXT];
    (void)snprintf(text,
                   sizeof text,
                   "O:%sD:P(A;%s;FA;;;SY)(A;%s;FA;;;BA)(A;%s;FA;;;%s)",
                   name,
                   heirs,
                   heirs,
                   heirs,
                   name);
    wchar_t wide[SDDL_TEXT];
    PSECURITY_DESCRIPTOR descriptor = NULL;
    err = wide_from_utf8(text, wide, SDDL_TEXT);
    if (err != CAS_OK)
        return err;
    if (ConvertStringSecurityDescriptorToSecurityDescriptorW(wide,
                                                             SDDL_REVISION_1,
                                                             &descriptor,
                                                             NULL) == 0)
        return api_fail(why, GetLastError(), "ConvertStringSecurityDescriptorToSecurityDescriptor");
    *ret_guard = (struct file_guard){
        .attributes = {.nLength = sizeof(SECURITY_ATTRIBUTES), .lpSecurityDescriptor = descriptor},
        .descriptor = descriptor};
    return CAS_OK;
}

void file_guard_done(struct file_guard *guard)
{
    if (guard->descriptor != NULL)
        (void)LocalFree(guard->descriptor);
    *guard = (struct file_guard){0};
}

/* The system, administrators, "owner rights", the file's owner, and who asks. */
static bool is_trusted(PSID sid, PSID owner, PSID self)
{
    return IsWellKnownSid(sid, WinLocalSystemSid) != 0 ||
           IsWellKnownSid(sid, WinBuiltinAdministratorsSid) != 0 ||
           IsWellKnownSid(sid, WinCreatorOwnerRightsSid) != 0 ||
           (owner != NULL && EqualSid(sid, owner) != 0) || EqualSid(sid, self) != 0;
}

static enum cas_err loose(const char *path, const char *whom, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_MODE,
                    "%s: holds a secret and is open to %s: take their rights away (icacls FILE "
                    "/inheritance:r /grant:r SYSTEM:F), and replace what it holds if others could "
                    "read it",
                    path,
                    whom);
}

static enum cas_err
list_check(PACL list, PSID owner, PSID self, const char *path, struct cas_why *why)
{
    if (list == NULL)
        return loose(path, "everyone (it has no list of rights)", why);
    for (DWORD i = 0; i < list->AceCount; i++) {
        void *entry = NULL;
        if (GetAce(list, i, &entry) == 0)
            return api_fail(why, GetLastError(), "GetAce");
        const ACE_HEADER *header = entry;
        bool is_denial = header->AceType == ACCESS_DENIED_ACE_TYPE ||
                         header->AceType == ACCESS_DENIED_CALLBACK_ACE_TYPE;
        if (is_denial || (header->AceFlags & INHERIT_ONLY_ACE) != 0)
            continue;
        if (header->AceType != ACCESS_ALLOWED_ACE_TYPE)
            return loose(path, "somebody, by a rule this program does not read", why);
        ACCESS_ALLOWED_ACE *grant = entry;
        char name[SID_TEXT] = "?";
        if (grant->Mask == 0 || is_trusted(&grant->SidStart, owner, self))
            continue;
        enum cas_err err = sid_text(&grant->SidStart, name, NULL);
        return loose(path, err == CAS_OK ? name : "an unknown account", why);
    }
    return CAS_OK;
}

enum cas_err file_guard_check(HANDLE file, const char *path, struct cas_why *why)
{
    union token_buffer buffer;
    PSID self = NULL, owner = NULL;
    PACL list = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    enum cas_err err = own_sid(&buffer, &self, why);
    if (err != CAS_OK)
        return err;
    DWORD number = GetSecurityInfo(file,
                                   SE_FILE_OBJECT,
                                   OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                   &owner,
                                   NULL,
                                   &list,
                                   NULL,
                                   &descriptor);
    if (number != ERROR_SUCCESS)
        return api_fail(why, number, "GetSecurityInfo");
    err = list_check(list, owner, self, path, why);
    (void)LocalFree(descriptor);
    return err;
}
