#include "agent/host/quote.h"

#include <string.h>

struct quote_out {
    char *data;
    size_t cap;
    size_t used;
    size_t units; /* UTF-16, without the ending one */
    bool is_full;
};

/* A byte that does not continue a character begins one; characters of four bytes are two units. */
static size_t units_of(char byte)
{
    unsigned char value = (unsigned char)byte;
    if ((value & 0xC0) == 0x80)
        return 0;
    return value >= 0xF0 ? 2 : 1;
}

static void put(struct quote_out *out, char byte)
{
    size_t units = units_of(byte);
    if (out->used + 1 >= out->cap || out->units + units >= QUOTE_LINE_UNITS) {
        out->is_full = true;
        return;
    }
    out->data[out->used++] = byte;
    out->units += units;
}

static void put_many(struct quote_out *out, char byte, size_t n)
{
    for (size_t i = 0; i < n && !out->is_full; i++)
        put(out, byte);
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_program(const char *path)
{
    size_t size = strlen(path);
    if (size < sizeof "C:\\a.exe" - 1 || !is_letter(path[0]) || path[1] != ':' || path[2] != '\\')
        return false;
    const char *end = path + size - 4;
    return end[0] == '.' && (end[1] | 0x20) == 'e' && (end[2] | 0x20) == 'x' &&
           (end[3] | 0x20) == 'e' && strpbrk(path, "\"/") == NULL;
}

/* Backslashes are plain unless a quote follows them, then each counts half: those before a quote of
 * the text are doubled and one more takes the quote's meaning away, those before the closing quote
 * are doubled. */
static void put_argument(struct quote_out *out, const char *text)
{
    bool is_plain = text[0] != '\0' && strpbrk(text, " \"") == NULL;
    size_t slashes = 0;
    if (!is_plain)
        put(out, '"');
    for (const char *at = text; *at != '\0' && !out->is_full; at++) {
        if (*at == '"')
            put_many(out, '\\', slashes + 1);
        slashes = *at == '\\' ? slashes + 1 : 0;
        put(out, *at);
    }
    if (!is_plain) {
        put_many(out, '\\', slashes);
        put(out, '"');
    }
}

enum cas_err quote_line(const char *program,
                        const char *const *argument,
                        char *ret_line,
                        size_t cap,
                        struct cas_why *why)
{
    struct quote_out out = {.data = ret_line, .cap = cap};
    if (!is_program(program) || !cas_is_clean_text(cas_slice_of(program)))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.200s\" is not the full path of an .exe on a drive",
                        program);
    /* The first word has rules of its own: between quotes nothing is special. */
    put(&out, '"');
    for (const char *at = program; *at != '\0' && !out.is_full; at++)
        put(&out, *at);
    put(&out, '"');
    for (size_t i = 0; argument[i] != NULL && !out.is_full; i++) {
        if (!cas_is_clean_text(cas_slice_of(argument[i])))
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "argument %zu of %.200s, \"%.100s\", has a control character in it or "
                            "is no UTF-8",
                            i + 1,
                            program,
                            argument[i]);
        put(&out, ' ');
        put_argument(&out, argument[i]);
    }
    if (out.is_full)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "the command line of %.200s is longer than %d characters or %zu bytes",
                        program,
                        QUOTE_LINE_UNITS - 1,
                        cap - 1);
    ret_line[out.used] = '\0';
    return CAS_OK;
}
