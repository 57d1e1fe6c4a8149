#include "proto/base/cas.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error_row {
    enum cas_err err;
    const char *name;
    const char *words;
    enum cas_reaction reaction;
};

static const struct error_row error_rows[] = {
#define ERR(name, number, reaction, words) {CAS_ERR_##name, #name, words, CAS_REACTION_##reaction},
#include "proto/base/errors.def"
#undef ERR
};

static const struct error_row *error_row(enum cas_err err)
{
    for (size_t i = 0; i < CAS_COUNT(error_rows); i++) {
        if (error_rows[i].err == err)
            return &error_rows[i];
    }
    return NULL;
}

const char *cas_err_name(enum cas_err err)
{
    if (err == CAS_OK)
        return "OK";
    const struct error_row *row = error_row(err);
    return row != NULL ? row->name : "?";
}

const char *cas_err_words(enum cas_err err)
{
    if (err == CAS_OK)
        return "no error";
    const struct error_row *row = error_row(err);
    return row != NULL ? row->words : "an error this program does not know";
}

enum cas_reaction cas_err_reaction(enum cas_err err)
{
    const struct error_row *row = error_row(err);
    return row != NULL ? row->reaction : CAS_REACTION_BUG;
}

/* Copies text; what a terminal could take as a command is shown as \xNN. Cut at the cap, never
 * inside an escape. */
static void why_escape(const char *text, struct cas_why *why)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool is_plain = byte >= 0x20 && byte < 0x7f;
        size_t need = is_plain ? 1 : 4;
        if (used + need >= sizeof why->text)
            break;
        if (is_plain) {
            why->text[used++] = (char)byte;
        } else {
            why->text[used++] = '\\';
            why->text[used++] = 'x';
            why->text[used++] = digits[byte >> 4];
            why->text[used++] = digits[byte & 15];
        }
    }
    why->text[used] = '\0';
}

enum cas_err cas_fail(struct cas_why *why, enum cas_err err, const char *fmt, ...)
{
    if (why == NULL)
        return err;
    char text[CAS_WHY_BYTES];
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (used < 0)
        text[0] = '\0';
    why_escape(text, why);
    return err;
}

void cas_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: casfleet is wrong: %s\n", file, line, condition);
    (void)fflush(stderr);
    abort();
}
