#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "controller/cli/cli_json.h"

const char *cli_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

int64_t cli_int(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

double cli_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

bool cli_is_null(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value);
}

void cli_add_clock(struct cas_text *text, int64_t wall_ms, enum cli_clock clock)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    const struct tm *local = localtime(&seconds);
    char shown[64] = "?";
    if (local == NULL) {
        cas_text_add(text, "?");
        return;
    }
    size_t size = 0;
    switch (clock) {
    case CLI_CLOCK_SHORT:
        size = strftime(shown, sizeof shown, "%H:%M", local);
        break;
    case CLI_CLOCK_SECOND:
        size = strftime(shown, sizeof shown, "%H:%M:%S", local);
        break;
    case CLI_CLOCK_DATE:
        size = strftime(shown, sizeof shown, "%d %b %H:%M:%S", local);
        break;
    case CLI_CLOCK_DAY:
        size = strftime(shown, sizeof shown, "%a %d %b %H:%M:%S", local);
        break;
    case CLI_CLOCK_ZONED:
        size = strftime(shown, sizeof shown, "%a %d %b %H:%M ", local);
        break;
    }
    cas_text_add(text, "%.*s", (int)size, shown);
    if (clock == CLI_CLOCK_ZONED)
        cli_term_zone(seconds, text);
}

void cli_add_bytes(struct cas_text *text, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    double value = bytes;
    while ((value >= 1000 || value <= -1000) && unit + 1 < CAS_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    cas_text_add(text, unit < 2 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void cli_print_line(FILE *out, const char *fmt, ...)
{
    char line[CLI_LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    size_t used = size < 0 ? 0 : (size_t)size < sizeof line ? (size_t)size : sizeof line - 1;
    while (used > 0 && line[used - 1] == ' ')
        used--;
    fprintf(out, "%.*s\n", (int)used, line);
}

void cli_print_next(FILE *out, const json_t *document, const char *first)
{
    const json_t *next = json_object_get(document, "next");
    const char *second = strcmp(first, "First") == 0 ? "Then" : "";
    size_t i = 0, width = 0;
    const json_t *item = NULL;
    json_array_foreach(next, i, item)
    {
        size_t size = strlen(cli_text(item, "command"));
        width = size > width ? size : width;
    }
    json_array_foreach(next, i, item) cli_print_line(out,
                                                     "%-9s %-*s   %s",
                                                     i == 0   ? first
                                                     : i == 1 ? second
                                                              : "",
                                                     (int)width,
                                                     cli_text(item, "command"),
                                                     cli_text(item, "detail"));
}

struct kind_row {
    const char *kind;
    cli_layout *layout; /* NULL: a table of items */
};
static const struct kind_row kinds[] = {
    {"Status", cli_print_status},
    {"Plan", cli_print_plan},
    {"Rollout", cli_print_rollout},
    {"PatchReport", cli_print_patch},
    {"Why", cli_print_why},
    {"Server", cli_print_server},
    {"Done", cli_print_done},
    {"Schedule", cli_print_schedule},
    {"ScheduleList", cli_print_schedule_list},
    {"SchedulePreview", cli_print_preview},
    {"Calendar", cli_print_calendar},
    {"Simulation", cli_print_simulation},
    {"ServerList", NULL},
    {"SiteList", NULL},
    {"RolloutList", NULL},
    {"AgentList", NULL},
};

enum cas_err cli_print(FILE *out, enum cli_format format, const char *text, struct cas_why *why)
{
    json_error_t error;
    json_t *document = json_loads(text, 0, &error);
    if (document == NULL)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "the answer is no JSON: line %d, column %d: %s",
                        error.line,
                        error.column,
                        error.text);
    const char *kind = cli_text(document, "kind");
    const struct kind_row *row = NULL;
    for (size_t i = 0; i < CAS_COUNT(kinds) && row == NULL; i++)
        row = strcmp(kinds[i].kind, kind) == 0 ? &kinds[i] : NULL;
    bool is_layout = format == CLI_TABLE || format == CLI_WIDE;
    if (format == CLI_JSON || row == NULL)
        fprintf(out, "%s\n", text);
    else if (is_layout && row->layout != NULL)
        row->layout(out, document, format == CLI_WIDE);
    else
        cli_print_items(out, format, kind, document);
    json_decref(document);
    return CAS_OK;
}

void cli_print_done(FILE *out, const json_t *document, bool is_wide)
{
    (void)is_wide;
    fprintf(out, "%s\n", cli_text(document, "words"));
    size_t i = 0;
    const json_t *line = NULL;
    json_array_foreach(json_object_get(document, "lines"), i, line)
        fprintf(out, "  %s\n", json_string_value(line));
    cli_print_next(out, document, "Next");
}
