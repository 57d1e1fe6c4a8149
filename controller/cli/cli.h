/* cli.h - what did the operator type, and how is the answer shown?
 *
 * A client like any other: it speaks the encrypted channel with the operator's own key. Data on
 * stdout, the rest on stderr; exit codes are the contract of README. Used by casfleet_main. */
#ifndef CONTROLLER_CLI_CLI_H
#define CONTROLLER_CLI_CLI_H

#include <stdio.h>
#include <time.h>

#include "proto/base/cas.h"
#include "proto/base/options.h"
#include "proto/wire/message.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_ATTENTION = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI_DENIED = 4,
    CLI_NOTHING = 5,
    CLI_GUARD = 6,
    CLI_STOPPED = 7,
    CLI_WORK = 10,
};
enum cli_format {
    CLI_TABLE,
    CLI_WIDE,
    CLI_JSON,
    CLI_CSV,
    CLI_NAME
};
enum cli_targets {
    CLI_NONE,
    CLI_SERVERS,
    CLI_ID,
    CLI_ID_SERVERS,
    CLI_SUBJECT,
    CLI_NAME_NEW,
    CLI_NAMED,
    CLI_NAMED_MAYBE,
    CLI_NAMED_SERVERS,
    CLI_SITE_ZONE,
    CLI_FILE,
    CLI_PLAN /* a rollout, or what a schedule would make */
};

struct cli_verb {
    const char *noun, *verb, *ask;
    enum cli_targets targets;
    const char *flags;
    const char *words;
};
struct cli_options {
#define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#include "controller/cli/cli_options.def"
#undef OPTION
};
/* One command line, understood. Texts are borrowed from argv or held in target. */
struct cli_command {
    const struct cli_verb *verb;
    enum cli_format format;
    struct record_argument argument[WIRE_ARGS];
    size_t argument_n;
    char target[WIRE_ARG_BYTES];
    const char *name; /* the rollout, subject, new name or file */
    bool is_now, is_watched, is_yes, is_help, is_version;
    int64_t every_ms;
    struct cli_options options;
};

/* Understands argv. CAS_ERR_CONFIG and others: the reason says what was typed and what is taken;
 * help and version are no errors. */
CAS_CHECK enum cas_err
cli_parse(int argc, char *const *argv, struct cli_command *ret_command, struct cas_why *why);
/* Help of a noun, a verb, or all of it when both are NULL. */
void cli_help(FILE *out, const struct cli_verb *verb);

/* One question and its whole answer. */
struct cli_answer {
    enum cli_exit exit;
    char error[512];
    char *document; /* terminated; caller frees with cli_answer_done; NULL none */
    size_t size;
};
struct cli_link; /* the connection, kept for watch */
CAS_CHECK enum cas_err
cli_link_open(const struct cli_options *options, struct cli_link **ret_link, struct cas_why *why);
void cli_link_free(struct cli_link *link);
CAS_AUTO_DEFINE(cli_link);
/* CAS_ERR_UNREACHABLE, CAS_ERR_DENIED (key not known there), CAS_ERR_FORMAT; an answer that says no
 * is CAS_OK. */
CAS_CHECK enum cas_err cli_ask(struct cli_link *link,
                               const char *ask,
                               const struct record_argument *argument,
                               size_t argument_n,
                               struct cli_answer *ret_answer,
                               struct cas_why *why);
/* Lets time pass; frames that come are dropped. */
void cli_wait(struct cli_link *link, int64_t wait_ms);
void cli_answer_done(struct cli_answer *answer);

/* Shows a document in the format asked for. CAS_ERR_FORMAT when it is no document of ours. */
CAS_CHECK enum cas_err
cli_print(FILE *out, enum cli_format format, const char *document, struct cas_why *why);

/* Reads the file a verb names and makes arguments of it: lines unfolded as iCalendar has them and
 * ended by U+2028. Borrowed from memory of its own, until the next call. CAS_ERR_TOO_LONG and what
 * file_read says. */
CAS_CHECK enum cas_err cli_take_file(struct cli_command *command, struct cas_why *why);

/* Follows a rollout until it ends, stops or the operator leaves. */
enum cli_exit cli_watch(struct cli_link *link, const struct cli_command *command);

/* What the system knows of the terminal; cli_term_posix.c, cli_term_windows.c. */
bool cli_term_is_terminal(FILE *file);
bool cli_term_has_colour(FILE *file); /* a terminal, and NO_COLOR is not set */
int cli_term_width(FILE *file);       /* 80 when not known */
/* The zone this time is shown in, for people: "CET" or "UTC+01:00". Uses localtime. */
void cli_term_zone(time_t seconds, struct cas_text *text);
/* Ctrl-C leaves a watch, not the program. */
void cli_term_catch_interrupt(void);
bool cli_term_is_interrupted(void);

#endif
