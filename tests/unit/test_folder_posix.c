#include "tests/unit/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_DEPTH = 8,
    FOLDER_PATH_BYTES = 4096
};

void test_folder_make(char *ret_path, size_t cap)
{
    const char *base = getenv("TMPDIR");
    int used = snprintf(ret_path, cap, "%s/casfleet-test-XXXXXX", base ? base : "/tmp");
    CAS_ASSERT(used > 0 && (size_t)used < cap);
    CAS_ASSERT(mkdtemp(ret_path) != NULL);
}

/* Removes what is not a folder; enters the first folder found. True when there was one to enter. */
static bool folder_sweep(char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;
    bool has_entered = false;
    size_t size = strlen(path);
    for (struct dirent *entry = readdir(dir); entry != NULL && !has_entered; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int used = snprintf(path + size, FOLDER_PATH_BYTES - size, "/%s", entry->d_name);
        CAS_ASSERT(used > 0 && (size_t)used < FOLDER_PATH_BYTES - size);
        struct stat state;
        has_entered = lstat(path, &state) == 0 && S_ISDIR(state.st_mode);
        if (!has_entered) {
            (void)unlink(path);
            path[size] = '\0';
        }
    }
    (void)closedir(dir);
    return has_entered;
}

void test_folder_remove(const char *path)
{
    static char here[FOLDER_PATH_BYTES];
    /* Each round goes down to one folder without folders and removes it; a bound on rounds, no
     * recursion. */
    for (int round = 0; round < 10000; round++) {
        (void)snprintf(here, sizeof here, "%s", path);
        for (int depth = 0; depth < FOLDER_DEPTH && folder_sweep(here); depth++) {
        }
        (void)chmod(here, 0700);
        if (rmdir(here) != 0 && strcmp(here, path) != 0)
            return;
        struct stat state;
        if (lstat(path, &state) != 0)
            return;
    }
}
