#include "agent/rights_windows.h"

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#include "proto/base/wide_windows.h"

enum {
    SID_TEXT = 192 /* the longest has 184 characters */
};

static enum cas_err api_fail(struct cas_why *why, DWORD number, const char *api, const char *path)
{
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    wide_err_words(number, &text);
    return cas_fail(why, wide_err_of(number), "%s: %s: %s", path, api, words);
}

static enum cas_err loose(const char *path, const char *whom, struct cas_why *why)
{
    return cas_fail(why, CAS_ERR_MODE, "%s: can be changed by %s", path, whom);
}

/* "?" is in no list of trusted ones. */
static void sid_text(PSID sid, char ret_text[SID_TEXT])
{
    wchar_t *wide = NULL;
    ret_text[0] = '\0';
    if (sid != NULL && ConvertSidToStringSidW(sid, &wide) != 0) {
        if (wide_to_utf8(wide, ret_text, SID_TEXT) != CAS_OK)
            ret_text[0] = '\0';
        (void)LocalFree(wide);
    }
    if (ret_text[0] == '\0')
        (void)strcpy_s(ret_text, SID_TEXT, "?");
}

static struct rights_row row_of(void *entry, char ret_sid[SID_TEXT])
{
    const ACE_HEADER *header = entry;
    struct rights_row row = {.kind = RIGHTS_UNKNOWN, .sid = ret_sid};
    row.is_for_heirs = (header->AceFlags & INHERIT_ONLY_ACE) != 0;
    if (header->AceType == ACCESS_DENIED_ACE_TYPE ||
        header->AceType == ACCESS_DENIED_CALLBACK_ACE_TYPE)
        row.kind = RIGHTS_DENIAL;
    if (header->AceType == ACCESS_ALLOWED_ACE_TYPE) {
        ACCESS_ALLOWED_ACE *grant = entry;
        row.kind = RIGHTS_GRANT;
        row.mask = grant->Mask;
        sid_text(&grant->SidStart, ret_sid);
    }
    return row;
}

static enum cas_err
list_check(PACL list, enum rights_place place, const char *path, struct cas_why *why)
{
    if (list == NULL)
        return loose(path, "everyone (it has no list of rights)", why);
    for (DWORD i = 0; i < list->AceCount; i++) {
        char sid[SID_TEXT] = "";
        void *entry = NULL;
        if (GetAce(list, i, &entry) == 0)
            return api_fail(why, GetLastError(), "GetAce", path);
        struct rights_row row = row_of(entry, sid);
        if (rights_row_is_loose(place, &row))
            return loose(
                path,
                row.kind == RIGHTS_UNKNOWN ? "somebody, by a rule this program does not read" : sid,
                why);
    }
    return CAS_OK;
}

/* An owner may always change the rights. */
static enum cas_err
one_check(wchar_t *wide, enum rights_place place, const char *path, struct cas_why *why)
{
    PSID owner = NULL;
    PACL list = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    char sid[SID_TEXT];
    DWORD number = GetNamedSecurityInfoW(wide,
                                         SE_FILE_OBJECT,
                                         OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                         &owner,
                                         NULL,
                                         &list,
                                         NULL,
                                         &descriptor);
    if (number != ERROR_SUCCESS)
        return api_fail(why, number, "GetNamedSecurityInfo", path);
    sid_text(owner, sid);
    enum cas_err err = list_check(list, place, path, why);
    if (err == CAS_OK && !rights_is_trusted(sid))
        err = cas_fail(why, CAS_ERR_MODE, "%s: belongs to %s, no administrators' group", path, sid);
    (void)LocalFree(descriptor);
    if (err != CAS_OK)
        return err;
    DWORD kind = GetFileAttributesW(wide);
    if (kind == INVALID_FILE_ATTRIBUTES)
        return api_fail(why, GetLastError(), "GetFileAttributes", path);
    if ((kind & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return cas_fail(why, CAS_ERR_MODE, "%s: is a link, and could lead elsewhere", path);
    return CAS_OK;
}

/* Takes the last name off; false at the root of a drive. */
static bool go_up(wchar_t *wide)
{
    enum {
        ROOT_CHARS = 3 /* C:\ */
    };
    wchar_t *last = wcsrchr(wide, L'\\');
    if (last == NULL || wcslen(wide) <= ROOT_CHARS)
        return false;
    last[last == wide + ROOT_CHARS - 1 ? 1 : 0] = L'\0';
    return true;
}

enum cas_err rights_check(const wchar_t *path, enum rights_place place, struct cas_why *why)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    char text[OPTIONS_PATH_BYTES];
    if (wcslen(path) >= CAS_COUNT(wide))
        return cas_fail(why, CAS_ERR_TOO_LONG, "the path is longer than %d", OPTIONS_PATH_BYTES);
    (void)wcscpy_s(wide, CAS_COUNT(wide), path);
    bool is_drive = wcslen(wide) > 2 && wide[1] == L':' && wide[2] == L'\\';
    wchar_t root[] = {wide[0], L':', L'\\', L'\0'};
    if (!is_drive || GetDriveTypeW(root) != DRIVE_FIXED)
        return cas_fail(why,
                        CAS_ERR_MODE,
                        "%s: lies on no fixed disk of this server",
                        wide_to_utf8(wide, text, sizeof text) == CAS_OK ? text : "?");
    for (;;) {
        enum cas_err err = wide_to_utf8(wide, text, sizeof text);
        if (err != CAS_OK)
            return cas_fail(why, err, "the path is longer than %d bytes", OPTIONS_PATH_BYTES);
        err = one_check(wide, place, text, why);
        if (err != CAS_OK || !go_up(wide))
            return err;
        place = place == RIGHTS_FILE ? RIGHTS_FOLDER : RIGHTS_ABOVE;
    }
}
