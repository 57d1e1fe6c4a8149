#include "agent/host/capture.h"

#include <string.h>

enum {
    PART_MOST = 65535,
    PART_DIGITS = 5,
    DIRECTORY_OFFSET = 30000, /* added to the third part in the directory's serialNumber */
    MAJOR = 15,
    MINOR_MOST = 2
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_word(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Takes one number of at most five digits off the front. */
static bool take_part(struct cas_slice *rest, uint32_t *ret_part)
{
    size_t size = 0;
    while (size < rest->size && is_digit(rest->data[size]))
        size++;
    uint64_t value = 0;
    if (size > PART_DIGITS ||
        !capture_digits((struct cas_slice){.data = rest->data, .size = size}, PART_MOST, &value))
        return false;
    rest->data += size;
    rest->size -= size;
    *ret_part = (uint32_t)value;
    return true;
}

static bool take_words(struct cas_slice *rest, const char *words)
{
    if (!capture_starts(*rest, words))
        return false;
    rest->data += strlen(words);
    rest->size -= strlen(words);
    return true;
}

/* "15.01.2507.039" at the front. */
static bool take_file_form(struct cas_slice *rest, struct capture_build *ret_build)
{
    struct cas_slice at = *rest;
    struct capture_build build;
    for (size_t i = 0; i < 4; i++) {
        if ((i > 0 && !take_words(&at, ".")) || !take_part(&at, &build.part[i]))
            return false;
    }
    /* A fifth part, or letters that follow at once: some other kind of number. */
    if (at.size > 0 && is_word(at.data[0]))
        return false;
    if (at.size > 1 && at.data[0] == '.' && is_digit(at.data[1]))
        return false;
    *ret_build = build;
    *rest = at;
    return true;
}

/* "Version 15.1 (Build 2507.39)" at the front. */
static bool take_directory_form(struct cas_slice *rest, struct capture_build *ret_build)
{
    struct cas_slice at = *rest;
    struct capture_build build;
    if (!take_words(&at, "Version ") || !take_part(&at, &build.part[0]) || !take_words(&at, ".") ||
        !take_part(&at, &build.part[1]) || !take_words(&at, " (Build ") ||
        !take_part(&at, &build.part[2]) || !take_words(&at, ".") ||
        !take_part(&at, &build.part[3]) || !take_words(&at, ")"))
        return false;
    *ret_build = build;
    *rest = at;
    return true;
}

static bool is_exchange(const struct capture_build *build)
{
    return build->part[0] == MAJOR && build->part[1] <= MINOR_MOST;
}

static void drop_offset(struct capture_build *build)
{
    if (build->part[2] >= DIRECTORY_OFFSET)
        build->part[2] -= DIRECTORY_OFFSET;
}

enum cas_err capture_build_parse(struct cas_slice text,
                                 struct capture_build *ret_build,
                                 enum capture_build_form *ret_form,
                                 struct cas_why *why)
{
    struct cas_slice rest = capture_trim(text);
    struct cas_slice shown = rest;
    if (shown.size > 64)
        shown.size = 64;
    struct capture_build build;
    enum capture_build_form form = CAPTURE_BUILD_FILE;
    bool is_read = take_file_form(&rest, &build);
    if (!is_read) {
        form = CAPTURE_BUILD_DIRECTORY;
        is_read = take_directory_form(&rest, &build);
    }
    if (!is_read || rest.size > 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is not an Exchange version such as 15.01.2507.039 or "
                        "Version 15.1 (Build 2507.39)",
                        (int)shown.size,
                        shown.data);
    if (!is_exchange(&build))
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "\"%.*s\" is not Exchange 2013 or later (15.0 to 15.2)",
                        (int)shown.size,
                        shown.data);
    drop_offset(&build);
    *ret_build = build;
    *ret_form = form;
    return CAS_OK;
}

void capture_build_text(const struct capture_build *build, struct cas_text *text)
{
    cas_text_add(text,
                 "%u.%u.%u.%u",
                 build->part[0],
                 build->part[1],
                 build->part[2],
                 build->part[3]);
}

const char *capture_product(const struct capture_build *build)
{
    static const char *const products[] = {"Exchange 2013", "Exchange 2016", "Exchange 2019"};
    const uint32_t first_of_se = 2562; /* third part of 15.2 */
    if (build->part[0] != MAJOR || build->part[1] >= CAS_COUNT(products))
        return NULL;
    bool is_se = build->part[1] == MINOR_MOST && build->part[2] >= first_of_se;
    return is_se ? "Exchange SE" : products[build->part[1]];
}

void capture_builds_init(struct capture_builds *builds, struct capture_input input)
{
    *builds = (struct capture_builds){.is_line = false};
    capture_lines_init(&builds->lines, input);
}

/* Looks on in the current line; what is no version is passed over. */
static bool find_in_line(struct capture_builds *builds, struct capture_found_build *ret_found)
{
    struct cas_slice line = builds->lines.line;
    while (builds->column < line.size) {
        size_t at = builds->column;
        bool is_start = at == 0 || (!is_word(line.data[at - 1]) && line.data[at - 1] != '.');
        struct cas_slice rest = {.data = line.data + at, .size = line.size - at};
        struct capture_found_build found = {.line_n = builds->lines.line_n, .column = at + 1};
        bool is_read = false;
        if (is_start && line.data[at] == 'V') {
            found.form = CAPTURE_BUILD_DIRECTORY;
            is_read = take_directory_form(&rest, &found.build);
        } else if (is_start && is_digit(line.data[at])) {
            found.form = CAPTURE_BUILD_FILE;
            is_read = take_file_form(&rest, &found.build);
        }
        if (is_read && is_exchange(&found.build)) {
            drop_offset(&found.build);
            builds->column = line.size - rest.size;
            *ret_found = found;
            return true;
        }
        builds->column++;
    }
    return false;
}

enum cas_err capture_builds_next(struct capture_builds *builds,
                                 struct capture_found_build *ret_found,
                                 struct cas_why *why)
{
    for (;;) {
        if (builds->is_line && find_in_line(builds, ret_found))
            return CAS_OK;
        builds->is_line = false;
        if (!capture_lines_next(&builds->lines))
            return cas_fail(why,
                            CAS_ERR_NOT_FOUND,
                            "%s: no further Exchange version",
                            builds->lines.input.file);
        if (builds->lines.line.size > CAPTURE_LINE_BYTES)
            return capture_refuse(&builds->lines,
                                  builds->lines.line.data,
                                  CAS_ERR_TOO_LONG,
                                  why,
                                  "a line of %zu bytes, at most %d",
                                  builds->lines.line.size,
                                  CAPTURE_LINE_BYTES);
        builds->is_line = true;
        builds->column = 0;
    }
}

static enum cas_err keep_build(const struct capture_found_build *found,
                               const char *file,
                               bool *has,
                               struct capture_build *kept,
                               struct cas_why *why)
{
    if (!*has) {
        *has = true;
        *kept = found->build;
        return CAS_OK;
    }
    if (memcmp(kept, &found->build, sizeof *kept) == 0)
        return CAS_OK;
    char first[32];
    char second[32];
    struct cas_text first_text = CAS_TEXT(first);
    struct cas_text second_text = CAS_TEXT(second);
    capture_build_text(kept, &first_text);
    capture_build_text(&found->build, &second_text);
    return cas_fail(why,
                    CAS_ERR_FORMAT,
                    "%s:%zu:%zu: version %s, but %s before it: one server has one",
                    file,
                    found->line_n,
                    found->column,
                    second,
                    first);
}

enum cas_err capture_exchange_read(struct capture_input input,
                                   struct capture_exchange *ret_exchange,
                                   struct cas_why *why)
{
    struct capture_builds builds;
    capture_builds_init(&builds, input);
    struct capture_exchange exchange = {.has_file = false};
    for (;;) {
        struct capture_found_build found;
        struct cas_why end = {""};
        enum cas_err err = capture_builds_next(&builds, &found, &end);
        if (err == CAS_ERR_NOT_FOUND)
            break;
        if (err == CAS_OK && found.form == CAPTURE_BUILD_FILE)
            err = keep_build(&found, input.file, &exchange.has_file, &exchange.file, &end);
        else if (err == CAS_OK)
            err =
                keep_build(&found, input.file, &exchange.has_directory, &exchange.directory, &end);
        if (err != CAS_OK)
            return cas_fail(why, err, "%s", end.text);
    }
    if (!exchange.has_file && !exchange.has_directory)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no Exchange version", input.file);
    *ret_exchange = exchange;
    return CAS_OK;
}
