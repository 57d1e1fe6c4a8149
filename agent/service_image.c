#include "agent/service_image.h"

#include <string.h>

enum {
    WORD_BYTES = OPTIONS_PATH_BYTES + sizeof "--config="
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* The next word, cut when it is too long; false at the end. Backslashes count by two in front of a
 * quote alone, and a quote behind an odd one is meant as such. */
static bool word_next(const char **at, struct cas_text *out)
{
    const char *byte = *at + strspn(*at, " \t");
    bool is_quoted = false;
    cas_text_clear(out);
    if (*byte == '\0')
        return false;
    while (*byte != '\0' && (is_quoted || !is_blank(*byte))) {
        size_t slashes = strspn(byte, "\\");
        bool is_before_quote = byte[slashes] == '"';
        for (size_t i = 0; i < (is_before_quote ? slashes / 2 : slashes); i++)
            cas_text_add(out, "\\");
        byte += slashes;
        if (is_before_quote && slashes % 2 == 0) {
            is_quoted = !is_quoted;
            byte++;
        } else if (is_before_quote || (slashes == 0 && *byte != '\0')) {
            cas_text_add(out, "%c", *byte++);
        }
    }
    *at = byte;
    return true;
}

enum cas_err service_image_config(const char *command, char ret_config[OPTIONS_PATH_BYTES])
{
    static const char flag[] = "--config";
    char data[WORD_BYTES];
    struct cas_text word = CAS_TEXT(data);
    bool is_next = false;
    while (word_next(&command, &word)) {
        const char *path = is_next ? data : NULL;
        if (!is_next && strncmp(data, flag, sizeof flag - 1) == 0 && data[sizeof flag - 1] == '=')
            path = data + sizeof flag;
        if (path != NULL && word.is_cut)
            return CAS_ERR_TOO_LONG;
        if (path != NULL && *path != '\0')
            return cas_slice_copy(cas_slice_of(path), ret_config, OPTIONS_PATH_BYTES);
        if (path == NULL && strcmp(data, "--") == 0)
            return CAS_ERR_NOT_FOUND;
        is_next = path == NULL && strcmp(data, flag) == 0;
    }
    return CAS_ERR_NOT_FOUND;
}
