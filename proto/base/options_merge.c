#include "proto/base/options_parts.h"

#include <stdlib.h>
#include <string.h>

struct options_merger {
    const struct options_program *program;
    const void *values;
    const bool *is_given;
    bool is_put[OPTIONS_ROWS];
    const char *end; /* of lines, as the text has it */
    struct cas_text *out;
};

/* The next line without its end; false when there is none. */
static bool next_line(struct cas_slice text, size_t *at, struct cas_slice *ret_line)
{
    if (*at >= text.size)
        return false;
    const char *from = text.data + *at;
    const char *feed = memchr(from, '\n', text.size - *at);
    size_t size = feed != NULL ? (size_t)(feed - from) : text.size - *at;
    *at += size + (feed != NULL ? 1 : 0);
    while (size > 0 && from[size - 1] == '\r')
        size--;
    *ret_line = (struct cas_slice){from, size};
    return true;
}

/* The given row a line sets; row_n: none of them. */
static size_t given_row(const struct options_merger *merger, struct cas_slice line)
{
    const struct options_program *program = merger->program;
    size_t size = 0;
    while (size < line.size && line.data[size] != '=' && line.data[size] != ':')
        size++;
    if (size == line.size)
        return program->row_n;
    struct cas_slice key = options_trimmed((struct cas_slice){line.data, size});
    for (size_t i = 0; i < program->row_n; i++) {
        if (merger->is_given[i] && options_is_key(key, program->row[i].name))
            return i;
    }
    return program->row_n;
}

static void put_row(struct options_merger *merger, size_t row)
{
    const struct options_row *at = &merger->program->row[row];
    if (merger->is_put[row] || at->kind == OPTIONS_ONCE)
        return;
    merger->is_put[row] = true;
    options_show_row(at, merger->values, merger->out);
    cas_text_add(merger->out, "%s", merger->end);
}

enum cas_err options_merge(const struct options_program *program,
                           const char *name,
                           struct cas_slice text,
                           const void *values,
                           const bool *is_given,
                           struct cas_text *out,
                           struct cas_why *why)
{
    char *plain = NULL;
    size_t size = 0;
    enum cas_err err = options_text(name, text, &plain, &size, why);
    if (err != CAS_OK)
        return err;
    struct options_merger merger = {.program = program,
                                    .values = values,
                                    .is_given = is_given,
                                    .end = strstr(plain, "\r\n") != NULL ? "\r\n" : "\n",
                                    .out = out};
    struct cas_slice line;
    for (size_t at = 0; next_line((struct cas_slice){plain, size}, &at, &line);) {
        size_t row = given_row(&merger, line);
        if (row < program->row_n)
            put_row(&merger, row);
        else
            cas_text_add(out, "%.*s%s", (int)line.size, line.data, merger.end);
    }
    for (size_t row = 0; row < program->row_n; row++) {
        if (is_given[row])
            put_row(&merger, row);
    }
    free(plain);
    return out->is_cut ? cas_fail(why,
                                  CAS_ERR_TOO_LONG,
                                  "%s: has no room for what was given: at most %zu bytes",
                                  name,
                                  out->cap - 1)
                       : CAS_OK;
}
