#include "proto/base/wide_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum {
    WORDS = 256,
    DISK_QUOTA_EXCEEDED = 1295 /* mingw names it not */
};

enum cas_err wide_from_utf8(const char *text, wchar_t *ret_wide, size_t cap)
{
    if (cap > INT_MAX)
        cap = INT_MAX;
    if (cap == 0)
        return CAS_ERR_TOO_LONG;
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, ret_wide, (int)cap) > 0)
        return CAS_OK;
    DWORD number = GetLastError();
    ret_wide[0] = L'\0';
    return number == ERROR_INSUFFICIENT_BUFFER ? CAS_ERR_TOO_LONG : CAS_ERR_FORMAT;
}

enum cas_err wide_to_utf8(const wchar_t *wide, char *ret_text, size_t cap)
{
    if (cap > INT_MAX)
        cap = INT_MAX;
    if (cap == 0)
        return CAS_ERR_TOO_LONG;
    if (WideCharToMultiByte(CP_UTF8, 0, wide, -1, ret_text, (int)cap, NULL, NULL) > 0)
        return CAS_OK;
    ret_text[0] = '\0';
    return CAS_ERR_TOO_LONG;
}

/* What the W functions want in front of an absolute path to take it at any length. */
static const wchar_t *prefix_for(const wchar_t *absolute, size_t *ret_skipped)
{
    *ret_skipped = 0;
    if (wcsncmp(absolute, L"\\\\?\\", 4) == 0 || wcsncmp(absolute, L"\\\\.\\", 4) == 0)
        return L"";
    if (wcsncmp(absolute, L"\\\\", 2) != 0)
        return L"\\\\?\\";
    *ret_skipped = 1; /* \\server\share becomes \\?\UNC\server\share */
    return L"\\\\?\\UNC";
}

enum cas_err wide_path(const char *path, wchar_t *ret_wide, size_t cap)
{
    enum {
        ROOM = 8 /* for the longest prefix */
    };
    if (path[0] == '\0')
        return CAS_ERR_NOT_FOUND;
    if (cap <= ROOM)
        return CAS_ERR_TOO_LONG;
    size_t bytes = (strlen(path) + 1) * sizeof(wchar_t);
    wchar_t *given = malloc(bytes);
    wchar_t *absolute = malloc(cap * sizeof(wchar_t));
    enum cas_err err = given == NULL || absolute == NULL ? CAS_ERR_NOMEM : CAS_OK;
    if (err == CAS_OK)
        err = wide_from_utf8(path, given, bytes / sizeof(wchar_t));
    if (err == CAS_OK) {
        DWORD size = GetFullPathNameW(given, (DWORD)(cap - ROOM), absolute, NULL);
        if (size == 0)
            err = CAS_ERR_NOT_FOUND;
        else if (size >= cap - ROOM)
            err = CAS_ERR_TOO_LONG;
    }
    if (err == CAS_OK) {
        size_t skipped = 0;
        const wchar_t *prefix = prefix_for(absolute, &skipped);
        size_t size = wcslen(prefix);
        memcpy(ret_wide, prefix, size * sizeof(wchar_t));
        memcpy(ret_wide + size,
               absolute + skipped,
               (wcslen(absolute + skipped) + 1) * sizeof(wchar_t));
    }
    free(given);
    free(absolute);
    return err;
}

enum cas_err wide_err_of(unsigned long number)
{
    switch (number) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_NETPATH:
    case ERROR_DIRECTORY:
        return CAS_ERR_NOT_FOUND;
    case ERROR_ACCESS_DENIED:
    case ERROR_WRITE_PROTECT:
    case ERROR_PRIVILEGE_NOT_HELD:
        return CAS_ERR_DENIED;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case DISK_QUOTA_EXCEEDED:
        return CAS_ERR_FULL;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return CAS_ERR_EXISTS;
    case ERROR_FILENAME_EXCED_RANGE:
    case ERROR_BUFFER_OVERFLOW:
        return CAS_ERR_TOO_LONG;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
        return CAS_ERR_NOMEM;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
        return CAS_ERR_LOCKED;
    default:
        return CAS_ERR_IO;
    }
}

void wide_err_words(unsigned long number, struct cas_text *out)
{
    wchar_t wide[WORDS];
    char words[3 * WORDS];
    DWORD size = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                                    FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                NULL,
                                number,
                                MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US),
                                wide,
                                WORDS,
                                NULL);
    while (size > 0 && (wide[size - 1] == L' ' || wide[size - 1] == L'.'))
        size--;
    wide[size < WORDS ? size : WORDS - 1] = L'\0';
    cas_text_add(out, "error %lu", number);
    if (size > 0 && wide_to_utf8(wide, words, sizeof words) == CAS_OK)
        cas_text_add(out, " (%s)", words);
}
