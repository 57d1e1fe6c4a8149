#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "proto/base/file.h"

enum {
    FILE_BYTES = 48000,
    LINES_BYTES = 60001, /* one ASK is one frame of 64 KiB */
    PARTS = 4,
};

static const char *const part_names[PARTS] = {"ics", "ics-2", "ics-3", "ics-4"};

/* Arguments take no control characters: U+2028, the separator of lines, stands for their ends. */
static const char line_end[] = "\xe2\x80\xa8";
enum {
    LINE_END_BYTES = sizeof line_end - 1
};

static bool ends_line(const char *text, size_t size)
{
    return size >= LINE_END_BYTES &&
           memcmp(text + size - LINE_END_BYTES, line_end, LINE_END_BYTES) == 0;
}

/* Lines as they were meant (a line that begins with a blank goes on with the one before); tabs in
 * them are blanks. */
static void take_lines(struct cas_text *text, const char *file, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        bool is_break = file[at] == '\n';
        bool goes_on = is_break && at + 1 < size && (file[at + 1] == ' ' || file[at + 1] == '\t');
        if (goes_on)
            at++;
        else if (is_break)
            cas_text_add(text, "%s", line_end);
        else if (file[at] != '\r')
            cas_text_add(text, "%c", file[at] == '\t' ? ' ' : file[at]);
    }
    if (!ends_line(text->data, text->used))
        cas_text_add(text, "%s", line_end);
}

static enum cas_err
add_part(struct cli_command *command, size_t part, struct cas_slice text, struct cas_why *why)
{
    if (part >= PARTS || command->argument_n == WIRE_ARGS)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: more than %d bytes: import it in parts",
                        command->name,
                        FILE_BYTES);
    struct record_argument *argument = &command->argument[command->argument_n++];
    argument->key = cas_slice_of(part_names[part]);
    argument->value = text;
    return CAS_OK;
}

static enum cas_err
split(struct cli_command *command, const char *text, size_t size, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    size_t part = 0, from = 0;
    while (err == CAS_OK && from < size) {
        size_t to = size - from > WIRE_ARG_BYTES - 1 ? from + WIRE_ARG_BYTES - 1 : size;
        while (to < size && to > from && !ends_line(text + from, to - from))
            to--;
        if (to == from)
            return cas_fail(why,
                            CAS_ERR_TOO_LONG,
                            "%s: a line of more than %d bytes",
                            command->name,
                            WIRE_ARG_BYTES - 1);
        err = add_part(command, part++, (struct cas_slice){text + from, to - from}, why);
        from = to;
    }
    return err;
}

enum cas_err cli_take_file(struct cli_command *command, struct cas_why *why)
{
    static char lines[LINES_BYTES];
    struct cas_text text = CAS_TEXT(lines);
    char *file = NULL;
    size_t size = 0;
    enum cas_err err = file_read(command->name, FILE_BYTES, FILE_PUBLIC, &file, &size, why);
    if (err != CAS_OK)
        return err;
    cas_text_clear(&text);
    take_lines(&text, file, size);
    free(file);
    if (text.is_cut)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: more than %d bytes once its lines are joined: import it in parts",
                        command->name,
                        LINES_BYTES - 1);
    if (!cas_is_clean_text((struct cas_slice){lines, text.used}))
        return cas_fail(why, CAS_ERR_FORMAT, "%s: no calendar: it is no text", command->name);
    return split(command, lines, text.used, why);
}
