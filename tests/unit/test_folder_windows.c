#include "tests/unit/test.h"

#include <stdio.h>

#include <windows.h>

#include "proto/base/wide_windows.h"

enum {
    FOLDER_DEPTH = 8,
    FOLDER_TRIES = 1000,
    FOLDER_WIDE = 2048
};

void test_folder_make(char *ret_path, size_t cap)
{
    static unsigned counter;
    wchar_t wide[MAX_PATH + 1];
    char base[3 * MAX_PATH + 1];
    CAS_ASSERT(GetTempPathW(CAS_COUNT(wide), wide) > 0);
    CAS_ASSERT(wide_to_utf8(wide, base, sizeof base) == CAS_OK);
    CAS_ASSERT(cap <= FOLDER_WIDE);
    /* Process numbers come again; what a killed test left may still be there. */
    bool is_made = false;
    for (int i = 0; i < FOLDER_TRIES && !is_made; i++) {
        wchar_t folder[FOLDER_WIDE];
        int used = snprintf(ret_path,
                            cap,
                            "%scasfleet-test-%lx-%x",
                            base,
                            GetCurrentProcessId(),
                            counter++);
        CAS_ASSERT(used > 0 && (size_t)used < cap);
        CAS_ASSERT(wide_path(ret_path, folder, FOLDER_WIDE) == CAS_OK);
        is_made = CreateDirectoryW(folder, NULL) != 0;
        CAS_ASSERT(is_made || GetLastError() == ERROR_ALREADY_EXISTS);
    }
    CAS_ASSERT(is_made);
}

/* Removes what is not a folder; enters the first folder found. True when there was one to enter. */
static bool folder_sweep(wchar_t *path)
{
    WIN32_FIND_DATAW entry;
    size_t size = wcslen(path);
    CAS_ASSERT(size + 2 + MAX_PATH < FOLDER_WIDE);
    (void)memcpy(path + size, L"\\*", sizeof L"\\*");
    HANDLE found = FindFirstFileW(path, &entry);
    path[size] = L'\0';
    if (found == INVALID_HANDLE_VALUE)
        return false;
    bool has_entered = false;
    for (BOOL is_there = TRUE; is_there && !has_entered; is_there = FindNextFileW(found, &entry)) {
        if (wcscmp(entry.cFileName, L".") == 0 || wcscmp(entry.cFileName, L"..") == 0)
            continue;
        path[size] = L'\\';
        (void)memcpy(path + size + 1,
                     entry.cFileName,
                     (wcslen(entry.cFileName) + 1) * sizeof(wchar_t));
        has_entered = (entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        if (!has_entered) {
            (void)DeleteFileW(path);
            path[size] = L'\0';
        }
    }
    (void)FindClose(found);
    return has_entered;
}

void test_folder_remove(const char *path)
{
    static wchar_t top[FOLDER_WIDE], here[FOLDER_WIDE];
    CAS_ASSERT(wide_path(path, top, FOLDER_WIDE) == CAS_OK);
    /* As in test_folder_posix.c: each round removes one folder without folders. */
    for (int round = 0; round < 10000; round++) {
        (void)memcpy(here, top, sizeof here);
        for (int depth = 0; depth < FOLDER_DEPTH && folder_sweep(here); depth++) {
        }
        bool is_gone = RemoveDirectoryW(here) != 0;
        if ((!is_gone && wcscmp(here, top) != 0) ||
            GetFileAttributesW(top) == INVALID_FILE_ATTRIBUTES)
            return;
    }
}
