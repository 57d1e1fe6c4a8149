/* options.h - what was a program told, by its file and on its command line?
 *
 * One table a program, in its .def:  OPTION(name, KIND, "preset", least, most, "words")
 *
 *   KIND   member of the struct               least .. most   written as
 *   TEXT   char name[OPTIONS_TEXT_BYTES]      bytes           controller = tcp://10.0.0.5:5670
 *   PATH   char name[OPTIONS_PATH_BYTES]      bytes           relative ones in a file start at the
 *                                                             file's folder
 *   SPAN   int64_t name_ms                    ms              sample = 15s
 *   COUNT  int64_t name                       value           at_once = 2
 *   FLAG   bool name                          0, 1            on off yes no true false; as a flag
 *                                                             also bare
 *   LIST   struct options_list name           items           pools = a, b   or the line repeated
 *   ONCE   bool name                          0, 1            as FLAG, on the command line only
 *
 *     struct agent_options {
 *     #define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
 *     #include "agent/agent_options.def"
 *     #undef OPTION
 *     };
 *     static const struct options_row rows[] = {
 *     #define OPTION(name, kind, preset, least, most, words)                                   \
 *         OPTIONS_ROW(struct agent_options, name, kind, preset, least, most, words),
 *     #include "agent/agent_options.def"
 *     #undef OPTION
 *     };
 *
 * Every option is a key of the file (name or na-me) and a flag: --na-me value, --na-me=value. Flags
 * win; a LIST given as a flag replaces the file's. An empty preset of a TEXT, PATH or LIST whose
 * least is above 0 makes it required. Always there: --config FILE, --check, --help, --version. inih
 * lives behind this door. Used by programs. */
#ifndef PROTO_BASE_OPTIONS_H
#define PROTO_BASE_OPTIONS_H

#include "proto/base/cas.h"

struct options_list {
    char item[OPTIONS_LIST_ITEMS][OPTIONS_ITEM_BYTES];
    size_t item_n;
};

enum options_kind {
    OPTIONS_TEXT,
    OPTIONS_PATH,
    OPTIONS_SPAN,
    OPTIONS_COUNT,
    OPTIONS_FLAG,
    OPTIONS_LIST,
    OPTIONS_ONCE
};

struct options_row {
    const char *name;
    enum options_kind kind;
    const char *preset;
    int64_t least;
    int64_t most;
    const char *words;
    size_t offset; /* of the member in the program's struct */
};

#define OPTIONS_MEMBER_TEXT(name)  char name[OPTIONS_TEXT_BYTES];
#define OPTIONS_MEMBER_PATH(name)  char name[OPTIONS_PATH_BYTES];
#define OPTIONS_MEMBER_SPAN(name)  int64_t name##_ms;
#define OPTIONS_MEMBER_COUNT(name) int64_t name;
#define OPTIONS_MEMBER_FLAG(name)  bool name;
#define OPTIONS_MEMBER_LIST(name)  struct options_list name;
#define OPTIONS_MEMBER_ONCE(name)  bool name;

#define OPTIONS_AT_TEXT(name)  name
#define OPTIONS_AT_PATH(name)  name
#define OPTIONS_AT_SPAN(name)  name##_ms
#define OPTIONS_AT_COUNT(name) name
#define OPTIONS_AT_FLAG(name)  name
#define OPTIONS_AT_LIST(name)  name
#define OPTIONS_AT_ONCE(name)  name

#define OPTIONS_ROW(type, name, kind, preset, least, most, words)                                  \
    {                                                                                              \
#name, OPTIONS_##kind, preset, least, most, words, offsetof(type, OPTIONS_AT_##kind(name)) \
    }

struct options_program {
    const char *name;   /* "casfleet-agent" */
    const char *words;  /* one line for --help */
    const char *usage;  /* after the name, as "[OPTION...]" or "[run | keys] [OPTION...]" */
    const char *config; /* file read when no --config is given and it exists; "" for none */
    const struct options_row *row;
    size_t row_n; /* at most OPTIONS_ROWS */
};

enum options_wish {
    OPTIONS_RUN,
    OPTIONS_CHECK,
    OPTIONS_HELP,
    OPTIONS_VERSION
};
struct options_ask {
    enum options_wish wish;
    char config[OPTIONS_PATH_BYTES]; /* the file that was read; "" for none */
    const char *word[OPTIONS_WORDS]; /* what is no option, borrowed from argv; all after "--" too */
    size_t word_n;
};

/* Presets, then the file, then the flags; ret_values is the program's struct, undefined after an
 * error. With --help or --version anywhere nothing else is looked at. Reasons read "agent.ini:12:
 * sampel: no such option; sample?".
 * CAS_ERR_CONFIG    unknown, doubled, missing or out of its limits; a file with bytes that are not
 *                   text (UTF-8 with or without its mark, or UTF-16 with it)
 * CAS_ERR_TOO_MANY  words or items
 * CAS_ERR_NOT_FOUND, CAS_ERR_DENIED, CAS_ERR_TOO_LONG, CAS_ERR_IO, CAS_ERR_NOMEM  of the file */
CAS_CHECK enum cas_err options_load(const struct options_program *program,
                                    int argc,
                                    char *const *argv,
                                    void *ret_values,
                                    struct options_ask *ret_ask,
                                    struct cas_why *why);
/* The command line alone, no file read and nothing required: presets, then flags; ret_is_given
 * [row_n] tells which were flags. */
CAS_CHECK enum cas_err options_flags(const struct options_program *program,
                                     int argc,
                                     char *const *argv,
                                     void *ret_values,
                                     bool *ret_is_given,
                                     struct options_ask *ret_ask,
                                     struct cas_why *why);
/* The file's part alone: text as it would be in the file called name. Presets first. */
CAS_CHECK enum cas_err options_parse(const struct options_program *program,
                                     const char *name,
                                     struct cas_slice text,
                                     void *ret_values,
                                     struct cas_why *why);
/* A file's text with the given options written into it: the line that has one is replaced, what is
 * new comes last, all else stays as it was. is_given [row_n]; ONCE rows are passed over. Takes what
 * options_load takes; the result is UTF-8 with the line ends of the text. Not checked: parse it.
 * CAS_ERR_CONFIG  text that is none
 * CAS_ERR_TOO_LONG  out is too small; CONFIG_BYTES are enough for what options_load reads */
CAS_CHECK enum cas_err options_merge(const struct options_program *program,
                                     const char *name,
                                     struct cas_slice text,
                                     const void *values,
                                     const bool *is_given,
                                     struct cas_text *out,
                                     struct cas_why *why);
/* --help, from the table; OPTIONS_HELP_BYTES are enough. */
void options_help(const struct options_program *program, struct cas_text *out);
/* All options with their values, as a file that would be read back the same; for --check and
 * support. */
void options_show(const struct options_program *program, const void *values, struct cas_text *out);

#endif
