/* cli_json.h - reading documents for print; within cli only. */
#ifndef CONTROLLER_CLI_CLI_JSON_H
#define CONTROLLER_CLI_CLI_JSON_H

#include <jansson.h>

#include "controller/cli/cli.h"

/* Members by name; a missing or null one reads as "", 0 or the given word. */
const char *cli_text(const json_t *object, const char *key);
int64_t cli_int(const json_t *object, const char *key);
double cli_real(const json_t *object, const char *key);
bool cli_is_null(const json_t *object, const char *key);
/* Pieces for people. */
/* 01:21 · 01:21:04 · 14 Oct 01:21:04 · Mon 14 Oct 01:21:04 · Mon 14 Oct 01:21 BST; local time. */
enum cli_clock {
    CLI_CLOCK_SHORT,
    CLI_CLOCK_SECOND,
    CLI_CLOCK_DATE,
    CLI_CLOCK_DAY,
    CLI_CLOCK_ZONED
};
void cli_add_clock(struct cas_text *text, int64_t wall_ms, enum cli_clock clock);
void cli_add_bytes(struct cas_text *text, double bytes); /* "3.1 GB" */
enum {
    CLI_LINE_BYTES = 24576 /* a folded node set of a large farm, and words */
};
/* One line, without the blanks at its end. */
void cli_print_line(FILE *out, const char *fmt, ...) CAS_PRINTF(2, 3);
void cli_print_next(FILE *out, const json_t *document, const char *first);

typedef void cli_layout(FILE *out, const json_t *document, bool is_wide);
cli_layout cli_print_status, cli_print_plan, cli_print_rollout, cli_print_patch, cli_print_why;
cli_layout cli_print_server, cli_print_done, cli_print_simulation;
cli_layout cli_print_schedule, cli_print_schedule_list, cli_print_preview, cli_print_calendar;
/* A line that says so, when the document's "frozen" is not null. */
void cli_print_frozen(FILE *out, const json_t *document);
/* Rows of items by a column table; CLI_TABLE, CLI_WIDE, CLI_CSV and CLI_NAME. */
void cli_print_items(FILE *out, enum cli_format format, const char *kind, const json_t *document);

/* One line of a rollout's step, as watch and show have it. */
void cli_step_line(struct cas_text *text, const json_t *step, int64_t at_ms, const json_t *rollout);
void cli_rollout_head(struct cas_text *text, const json_t *rollout);

#endif
