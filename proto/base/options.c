#include "proto/base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "proto/base/file.h"
#include "proto/base/options_parts.h"

/* Where a value comes from, for reasons: "agent.ini:12" or "--sample". */
struct options_place {
    const char *file; /* NULL: a flag */
    int line;
};

struct options_reader {
    const struct options_program *program;
    void *values;
    bool is_set[OPTIONS_ROWS]; /* by this source: file or flags */
    struct options_place place;
    struct cas_slice text;
    size_t at;
    enum cas_err err; /* the first one; everything after it is skipped */
    struct cas_why *why;
};

static enum cas_err
place_fail(const struct options_reader *reader, const char *key, const char *words)
{
    if (reader->place.file == NULL)
        return cas_fail(reader->why, CAS_ERR_CONFIG, "--%s: %s", key, words);
    return cas_fail(reader->why,
                    CAS_ERR_CONFIG,
                    "%s:%d: %s%s%s",
                    reader->place.file,
                    reader->place.line,
                    key,
                    key[0] != '\0' ? ": " : "",
                    words);
}

static const struct options_row *find_row(const struct options_program *program,
                                          struct cas_slice key)
{
    for (size_t i = 0; i < program->row_n; i++) {
        if (options_is_key(key, program->row[i].name))
            return &program->row[i];
    }
    return NULL;
}

/* How many letters must be added, dropped or changed to make one into the other. */
static size_t distance(struct cas_slice left, struct cas_slice right)
{
    size_t row[CAS_NAME_BYTES];
    if (left.size >= CAS_NAME_BYTES || right.size >= CAS_NAME_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= right.size; j++)
        row[j] = j;
    for (size_t i = 0; i < left.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < right.size; j++) {
            size_t least = diagonal + (left.data[i] == right.data[j] ? 0 : 1);
            diagonal = row[j + 1];
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (diagonal + 1 < least)
                least = diagonal + 1;
            row[j + 1] = least;
        }
    }
    return row[right.size];
}

static enum cas_err unknown_key(const struct options_reader *reader, struct cas_slice key)
{
    const char *nearest = NULL;
    size_t least = key.size / 2 + 1;
    for (size_t i = 0; i < reader->program->row_n; i++) {
        size_t steps = distance(key, cas_slice_of(reader->program->row[i].name));
        if (steps < least) {
            least = steps;
            nearest = reader->program->row[i].name;
        }
    }
    char shown[CAS_NAME_BYTES + 4];
    char words[2 * CAS_NAME_BYTES];
    (void)snprintf(shown,
                   sizeof shown,
                   "%.*s%s",
                   key.size > 60 ? 60 : (int)key.size,
                   key.data,
                   key.size > 60 ? "..." : "");
    (void)snprintf(words,
                   sizeof words,
                   "no such option%s%.60s%s",
                   nearest != NULL ? "; did you mean " : "",
                   nearest != NULL ? nearest : "",
                   nearest != NULL ? "?" : "");
    return place_fail(reader, shown, words);
}

static bool is_absolute(struct cas_slice path)
{
    bool has_drive = path.size > 1 && path.data[1] == ':';
    return path.size > 0 && (path.data[0] == '/' || path.data[0] == '\\' || has_drive);
}

/* Copies a path; a relative one in a file starts at the folder of that file. */
static enum cas_err copy_path(const struct options_reader *reader,
                              struct cas_slice value,
                              char *ret_path,
                              struct cas_why *why)
{
    size_t folder = 0;
    const char *file = reader->place.file;
    for (size_t i = 0; file != NULL && value.size > 0 && !is_absolute(value) && file[i] != '\0';
         i++) {
        if (file[i] == '/' || file[i] == '\\')
            folder = i + 1;
    }
    /* "." is the file's own folder, and is shown without the dot. */
    if (folder > 1 && cas_slice_is(value, ".")) {
        memcpy(ret_path, file, folder - 1);
        ret_path[folder - 1] = '\0';
        return CAS_OK;
    }
    if (folder + value.size >= OPTIONS_PATH_BYTES)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "has %zu bytes, at most %d",
                        folder + value.size,
                        OPTIONS_PATH_BYTES - 1);
    if (folder > 0)
        memcpy(ret_path, file, folder);
    return cas_slice_copy(value, ret_path + folder, OPTIONS_PATH_BYTES - folder);
}

static enum cas_err add_items(const struct options_row *row,
                              struct cas_slice value,
                              struct options_list *list,
                              struct cas_why *why)
{
    for (size_t at = 0; at <= value.size;) {
        size_t end = at;
        while (end < value.size && value.data[end] != ',')
            end++;
        struct cas_slice item = options_trimmed((struct cas_slice){value.data + at, end - at});
        at = end + 1;
        if (item.size == 0)
            return cas_fail(why, CAS_ERR_CONFIG, "has an empty item");
        if (list->item_n == OPTIONS_LIST_ITEMS || (int64_t)list->item_n >= row->most)
            return cas_fail(why, CAS_ERR_CONFIG, "has more than %lld items", (long long)row->most);
        if (cas_slice_copy(item, list->item[list->item_n], OPTIONS_ITEM_BYTES) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "has an item of %zu bytes, at most %d",
                            item.size,
                            OPTIONS_ITEM_BYTES - 1);
        list->item_n++;
    }
    return CAS_OK;
}

static enum cas_err read_flag(struct cas_slice value, bool *ret_flag, struct cas_why *why)
{
    static const struct {
        const char *words;
        bool is_on;
    } forms[] = {{"on", true},
                 {"off", false},
                 {"yes", true},
                 {"no", false},
                 {"true", true},
                 {"false", false}};
    for (size_t i = 0; i < CAS_COUNT(forms); i++) {
        if (cas_slice_is(value, forms[i].words)) {
            *ret_flag = forms[i].is_on;
            return CAS_OK;
        }
    }
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "\"%.*s\" is neither on nor off",
                    value.size > 60 ? 60 : (int)value.size,
                    value.data);
}

static enum cas_err
check_bytes(const struct options_row *row, struct cas_slice value, struct cas_why *why)
{
    if ((int64_t)value.size >= row->least && (int64_t)value.size <= row->most)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "has %zu bytes, allowed are %lld .. %lld",
                    value.size,
                    (long long)row->least,
                    (long long)row->most);
}

/* Puts a value into the member; a reason is without its place. */
static enum cas_err put_value(const struct options_reader *reader,
                              const struct options_row *row,
                              struct cas_slice value,
                              struct cas_why *why)
{
    void *member = (char *)reader->values + row->offset;
    enum cas_err err = CAS_OK;
    if (!cas_is_clean_text(value))
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "has bytes that are not UTF-8 text: \"%.*s\"",
                        value.size > 60 ? 60 : (int)value.size,
                        value.data);
    switch (row->kind) {
    case OPTIONS_TEXT:
        err = check_bytes(row, value, why);
        return err != CAS_OK ? err : cas_slice_copy(value, member, OPTIONS_TEXT_BYTES);
    case OPTIONS_PATH:
        err = check_bytes(row, value, why);
        return err != CAS_OK ? err : copy_path(reader, value, member, why);
    case OPTIONS_SPAN:
        return cas_parse_span(value, row->least, row->most, member, why);
    case OPTIONS_COUNT:
        return cas_parse_i64(value, row->least, row->most, member, why);
    case OPTIONS_ONCE:
        if (reader->place.file != NULL)
            return cas_fail(why, CAS_ERR_CONFIG, "is said on the command line only");
        return read_flag(value, member, why);
    case OPTIONS_FLAG:
        return read_flag(value, member, why);
    case OPTIONS_LIST:
        return add_items(row, value, member, why);
    }
    return CAS_ERR_BUG;
}

static enum cas_err
set_option(struct options_reader *reader, struct cas_slice key, struct cas_slice value)
{
    const struct options_row *row = find_row(reader->program, key);
    if (row == NULL)
        return unknown_key(reader, key);
    size_t index = (size_t)(row - reader->program->row);
    if (reader->is_set[index] && row->kind != OPTIONS_LIST)
        return place_fail(reader, row->name, "given twice");
    if (!reader->is_set[index] && row->kind == OPTIONS_LIST)
        ((struct options_list *)(void *)((char *)reader->values + row->offset))->item_n = 0;
    reader->is_set[index] = true;
    struct cas_why inner = {""};
    enum cas_err err = put_value(reader, row, value, &inner);
    return err == CAS_OK ? CAS_OK
                         : place_fail(reader,
                                      row->name,
                                      inner.text[0] != '\0' ? inner.text : cas_err_words(err));
}

/* A table that breaks these is our own mistake. */
static void check_row(const struct options_row *row)
{
    if (row->kind == OPTIONS_TEXT)
        CAS_ASSERT(row->most < OPTIONS_TEXT_BYTES);
    if (row->kind == OPTIONS_PATH)
        CAS_ASSERT(row->most < OPTIONS_PATH_BYTES);
    if (row->kind == OPTIONS_LIST)
        CAS_ASSERT(row->most <= OPTIONS_LIST_ITEMS);
    CAS_ASSERT(strlen(row->name) < CAS_NAME_BYTES);
}

static void set_presets(const struct options_program *program, void *values)
{
    struct options_reader reader = {.program = program, .values = values};
    CAS_ASSERT(program->row_n <= OPTIONS_ROWS);
    for (size_t i = 0; i < program->row_n; i++) {
        const struct options_row *row = &program->row[i];
        check_row(row);
        void *member = (char *)values + row->offset;
        if (row->kind == OPTIONS_LIST)
            ((struct options_list *)member)->item_n = 0;
        if (row->preset[0] != '\0')
            CAS_ASSERT(put_value(&reader, row, cas_slice_of(row->preset), NULL) == CAS_OK);
        else if (row->kind == OPTIONS_TEXT || row->kind == OPTIONS_PATH)
            *(char *)member = '\0';
        else
            CAS_ASSERT(row->kind == OPTIONS_LIST);
    }
}

/* Required ones have an empty preset and least above 0. */
static enum cas_err check_required(const struct options_program *program,
                                   const void *values,
                                   const char *file,
                                   struct cas_why *why)
{
    for (size_t i = 0; i < program->row_n; i++) {
        const struct options_row *row = &program->row[i];
        const void *member = (const char *)values + row->offset;
        bool is_empty = false;
        if (row->kind == OPTIONS_TEXT || row->kind == OPTIONS_PATH)
            is_empty = *(const char *)member == '\0';
        if (row->kind == OPTIONS_LIST)
            is_empty = (int64_t)((const struct options_list *)member)->item_n < row->least;
        if (is_empty && row->least > 0)
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "%s: %s is missing: %s",
                            file[0] != '\0' ? file : program->name,
                            row->name,
                            row->words);
    }
    return CAS_OK;
}

/* One line for inih, like fgets. Leading blanks go: inih would take an indented line for more of
 * the one before. */
static char *read_line(char *ret_line, int size, void *arg)
{
    struct options_reader *reader = arg;
    if (reader->at == reader->text.size || reader->err != CAS_OK)
        return NULL;
    const char *start = reader->text.data + reader->at;
    const char *feed = memchr(start, '\n', reader->text.size - reader->at);
    size_t length = feed != NULL ? (size_t)(feed - start) + 1 : reader->text.size - reader->at;
    reader->at += length;
    reader->place.line++;
    struct cas_slice line = {start, length};
    while (line.size > 0 && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == '\r'))
        line.size--;
    line = options_trimmed(line);
    char words[64];
    if (line.size + 2 > (size_t)size) {
        (void)snprintf(words,
                       sizeof words,
                       "a line may have %d bytes, this one has %zu",
                       size - 2,
                       line.size);
        reader->err = place_fail(reader, "", words);
        return NULL;
    }
    if (line.size > 0)
        memcpy(ret_line, line.data, line.size);
    ret_line[line.size] = '\n';
    ret_line[line.size + 1] = '\0';
    return ret_line;
}

static int take_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct options_reader *reader = arg;
    if (reader->err != CAS_OK)
        return 1;
    if (section[0] != '\0')
        reader->err = place_fail(reader, key, "stands in a [section]; this file has none");
    else
        reader->err = set_option(reader, cas_slice_of(key), cas_slice_of(value));
    return 1;
}

static enum cas_err read_text(const struct options_program *program,
                              const char *name,
                              struct cas_slice text,
                              void *values,
                              struct cas_why *why)
{
    char *plain = NULL;
    size_t plain_bytes = 0;
    enum cas_err err = options_text(name, text, &plain, &plain_bytes, why);
    if (err != CAS_OK)
        return err;
    struct options_reader reader = {.program = program,
                                    .values = values,
                                    .place = {.file = name},
                                    .text = {plain, plain_bytes},
                                    .why = why};
    int line = ini_parse_stream(read_line, &reader, take_pair, &reader);
    free(plain);
    if (reader.err != CAS_OK)
        return reader.err;
    if (line < 0)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory", name);
    reader.place.line = line;
    return line == 0 ? CAS_OK
                     : place_fail(&reader, "", "is neither \"key = value\", a comment nor empty");
}

enum cas_err options_parse(const struct options_program *program,
                           const char *name,
                           struct cas_slice text,
                           void *ret_values,
                           struct cas_why *why)
{
    set_presets(program, ret_values);
    enum cas_err err = read_text(program, name, text, ret_values, why);
    return err != CAS_OK ? err : check_required(program, ret_values, name, why);
}

/* One walk over the command line: first for what is always there and for words, then for the
 * table's flags. */
struct options_walk {
    struct options_reader *reader;
    struct options_ask *ask;
    int argc;
    char *const *argv;
    int at;
    bool is_first;
};

static enum cas_err add_word(struct options_walk *walk, const char *word)
{
    if (!walk->is_first)
        return CAS_OK;
    if (walk->ask->word_n == OPTIONS_WORDS)
        return cas_fail(walk->reader->why,
                        CAS_ERR_TOO_MANY,
                        "%.60s: at most %d words are taken",
                        word,
                        OPTIONS_WORDS);
    walk->ask->word[walk->ask->word_n++] = word;
    return CAS_OK;
}

/* The value of a flag: after its "=", or the next argument. */
static enum cas_err flag_value(struct options_walk *walk,
                               const char *name,
                               const char *equals,
                               struct cas_slice *ret_value)
{
    if (equals == NULL && walk->at + 1 >= walk->argc)
        return place_fail(walk->reader, name, "needs a value");
    *ret_value = cas_slice_of(equals != NULL ? equals + 1 : walk->argv[++walk->at]);
    return CAS_OK;
}

static enum cas_err config_flag(struct options_walk *walk, const char *equals)
{
    struct cas_slice value = {0};
    enum cas_err err = flag_value(walk, "config", equals, &value);
    if (err != CAS_OK || !walk->is_first)
        return err;
    if (walk->ask->config[0] != '\0')
        return place_fail(walk->reader, "config", "given twice");
    if (value.size == 0 || value.size >= sizeof walk->ask->config)
        return place_fail(walk->reader, "config", "names no file that can be read");
    return cas_slice_copy(value, walk->ask->config, sizeof walk->ask->config);
}

static enum cas_err one_flag(struct options_walk *walk)
{
    const char *flag = walk->argv[walk->at] + 2;
    const char *equals = strchr(flag, '=');
    struct cas_slice key = {flag, equals != NULL ? (size_t)(equals - flag) : strlen(flag)};
    if (cas_slice_is(key, "config"))
        return config_flag(walk, equals);
    if (cas_slice_is(key, "check") && equals == NULL) {
        walk->ask->wish = OPTIONS_CHECK;
        return CAS_OK;
    }
    struct cas_slice value = cas_slice_of("on");
    const struct options_row *row = find_row(walk->reader->program, key);
    bool is_bare =
        row != NULL && equals == NULL && (row->kind == OPTIONS_FLAG || row->kind == OPTIONS_ONCE);
    if (row != NULL && !is_bare) {
        enum cas_err err = flag_value(walk, row->name, equals, &value);
        if (err != CAS_OK)
            return err;
    }
    return walk->is_first ? CAS_OK : set_option(walk->reader, key, value);
}

static enum cas_err walk_arguments(struct options_walk *walk)
{
    bool is_ended = false;
    enum cas_err err = CAS_OK;
    for (walk->at = 1; walk->at < walk->argc && err == CAS_OK; walk->at++) {
        const char *word = walk->argv[walk->at];
        if (is_ended || word[0] != '-' || word[1] == '\0') {
            err = add_word(walk, word);
        } else if (strcmp(word, "--") == 0) {
            is_ended = true;
        } else if (word[1] == '-') {
            err = one_flag(walk);
        } else {
            err = cas_fail(walk->reader->why,
                           CAS_ERR_CONFIG,
                           "%.60s: no such option; see --help",
                           word);
        }
    }
    return err;
}

/* --help and --version work even beside what cannot be understood. */
static enum options_wish plain_wish(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return OPTIONS_HELP;
        if (strcmp(argv[i], "--version") == 0)
            return OPTIONS_VERSION;
    }
    return OPTIONS_RUN;
}

/* The file that was asked for, or the usual one where it exists. */
static enum cas_err load_file(const struct options_program *program,
                              struct options_ask *ask,
                              void *values,
                              struct cas_why *why)
{
    bool is_usual = ask->config[0] == '\0';
    if (is_usual && (program->config[0] == '\0' || !file_exists(program->config)))
        return CAS_OK;
    if (is_usual &&
        cas_slice_copy(cas_slice_of(program->config), ask->config, sizeof ask->config) != CAS_OK)
        return CAS_ERR_BUG;
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(ask->config, CONFIG_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err != CAS_OK)
        return err;
    err = read_text(program, ask->config, (struct cas_slice){data, size}, values, why);
    free(data);
    return err;
}

enum cas_err options_flags(const struct options_program *program,
                           int argc,
                           char *const *argv,
                           void *ret_values,
                           bool *ret_is_given,
                           struct options_ask *ret_ask,
                           struct cas_why *why)
{
    struct options_reader reader = {.program = program, .values = ret_values, .why = why};
    struct options_ask ask = {.wish = plain_wish(argc, argv)};
    struct options_walk walk = {.reader = &reader,
                                .ask = &ask,
                                .argc = argc,
                                .argv = argv,
                                .is_first = true};
    set_presets(program, ret_values);
    enum cas_err err = ask.wish == OPTIONS_RUN ? walk_arguments(&walk) : CAS_OK;
    walk.is_first = false;
    if (err == CAS_OK && (ask.wish == OPTIONS_RUN || ask.wish == OPTIONS_CHECK))
        err = walk_arguments(&walk);
    if (err != CAS_OK)
        return err;
    memcpy(ret_is_given, reader.is_set, program->row_n * sizeof *ret_is_given);
    *ret_ask = ask;
    return CAS_OK;
}

enum cas_err options_load(const struct options_program *program,
                          int argc,
                          char *const *argv,
                          void *ret_values,
                          struct options_ask *ret_ask,
                          struct cas_why *why)
{
    struct options_reader reader = {.program = program, .values = ret_values, .why = why};
    struct options_ask ask = {.wish = plain_wish(argc, argv)};
    struct options_walk walk = {.reader = &reader,
                                .ask = &ask,
                                .argc = argc,
                                .argv = argv,
                                .is_first = true};
    set_presets(program, ret_values);
    if (ask.wish == OPTIONS_RUN) {
        enum cas_err err = walk_arguments(&walk);
        if (err == CAS_OK)
            err = load_file(program, &ask, ret_values, why);
        walk.is_first = false;
        if (err == CAS_OK)
            err = walk_arguments(&walk);
        if (err == CAS_OK)
            err = check_required(program, ret_values, ask.config, why);
        if (err != CAS_OK)
            return err;
    }
    *ret_ask = ask;
    return CAS_OK;
}
