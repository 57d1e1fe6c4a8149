#include "tests/windows/double_windows.h"

#include <stdio.h>
#include <string.h>

void double_mode(const char *name, char ret_mode[DOUBLE_MODE_BYTES])
{
    char path[MAX_PATH];
    (void)snprintf(ret_mode, DOUBLE_MODE_BYTES, "ok");
    (void)snprintf(path, sizeof path, DOUBLE_FOLDER "%s", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return;
    char word[DOUBLE_MODE_BYTES] = "";
    size_t size = fread(word, 1, sizeof word - 1, file);
    (void)fclose(file);
    word[size] = '\0';
    word[strcspn(word, "\r\n ")] = '\0';
    if (word[0] != '\0')
        (void)snprintf(ret_mode, DOUBLE_MODE_BYTES, "%s", word);
}

bool double_put(const char *name, const char *text)
{
    char path[MAX_PATH];
    char beside[MAX_PATH];
    (void)snprintf(path, sizeof path, DOUBLE_FOLDER "%s", name);
    (void)snprintf(beside, sizeof beside, DOUBLE_FOLDER "%s.new", name);
    FILE *file = fopen(beside, "wb");
    if (file == NULL)
        return false;
    size_t size = strlen(text);
    bool is_written = fwrite(text, 1, size, file) == size;
    is_written = fclose(file) == 0 && is_written;
    return is_written && MoveFileExA(beside, path, MOVEFILE_REPLACE_EXISTING);
}
