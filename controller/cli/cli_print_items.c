#include <string.h>

#include "controller/cli/cli_json.h"

enum {
    COLUMNS = 24,
    CELL_BYTES = 20000 /* a folded node set of a large farm */
};

enum column_kind {
    SHOW_TEXT,
    SHOW_COUNT,
    SHOW_BYTES,
    SHOW_PCT,
    SHOW_AGE,
    SHOW_TIME,
    SHOW_FLAG
};
struct column {
    const char *kind; /* of the document */
    const char *title;
    const char *key;
    enum column_kind show;
    bool is_wide; /* only in wide and csv */
};

/* The first column of a kind is its name (-o name). A time shown as an age in tables is a time in
 * csv. */
static const struct column columns[] = {
    {"ServerList", "NAME", "name", SHOW_TEXT, false},
    {"ServerList", "SITE", "site", SHOW_TEXT, false},
    {"ServerList", "ROLE", "role", SHOW_TEXT, true},
    {"ServerList", "DAG", "dag", SHOW_TEXT, true},
    {"ServerList", "POOL", "pool", SHOW_TEXT, true},
    {"ServerList", "EXCHANGE", "update", SHOW_TEXT, false},
    {"ServerList", "BUILD", "build", SHOW_TEXT, true},
    {"ServerList", "FIX", "fix", SHOW_TEXT, false},
    {"ServerList", "STATE", "state", SHOW_TEXT, false},
    {"ServerList", "REQUESTS", "requests", SHOW_COUNT, false},
    {"ServerList", "PRIVATE", "private_bytes", SHOW_BYTES, false},
    {"ServerList", "GC", "gc_time_pct", SHOW_PCT, true},
    {"ServerList", "CLOSE_WAIT", "close_wait", SHOW_COUNT, true},
    {"ServerList", "PORTS", "ports_pct", SHOW_PCT, false},
    {"ServerList", "WORKER", "worker_pid", SHOW_COUNT, false},
    {"ServerList", "WORKER_AGE", "worker_age_ms", SHOW_AGE, false},
    {"ServerList", "SAMPLE_AGE", "sample_age_ms", SHOW_AGE, false},
    {"ServerList", "HELD_BY", "held_by", SHOW_TEXT, false},
    {"ServerList", "ROLLOUT", "rollout", SHOW_TEXT, true},
    {"RolloutList", "ID", "id", SHOW_TEXT, false},
    {"RolloutList", "STATE", "state", SHOW_TEXT, false},
    {"RolloutList", "SERVERS", "group", SHOW_TEXT, false},
    {"RolloutList", "VERB", "verb", SHOW_TEXT, true},
    {"RolloutList", "PROVED", "proved", SHOW_COUNT, false},
    {"RolloutList", "FAILED", "failed", SHOW_COUNT, false},
    {"RolloutList", "UNKNOWN", "unknown", SHOW_COUNT, false},
    {"RolloutList", "TO_GO", "to_go", SHOW_COUNT, false},
    {"RolloutList", "BY", "by", SHOW_TEXT, false},
    {"RolloutList", "BEGUN", "begun_ms", SHOW_TIME, false},
    {"RolloutList", "ENDED", "ended_ms", SHOW_TIME, true},
    {"RolloutList", "WHY", "why", SHOW_TEXT, true},
    {"SiteList", "SITE", "name", SHOW_TEXT, false},
    {"SiteList", "ZONE", "zone", SHOW_TEXT, false},
    {"SiteList", "LOCAL", "local", SHOW_TEXT, false},
    {"SiteList", "SERVERS", "servers", SHOW_COUNT, false},
    {"AgentList", "NAME", "name", SHOW_TEXT, false},
    {"AgentList", "STATE", "state", SHOW_TEXT, false},
    {"AgentList", "FINGERPRINT", "fingerprint", SHOW_TEXT, false},
    {"AgentList", "KEY", "key", SHOW_TEXT, true},
    {"AgentList", "ADDRESS", "address", SHOW_TEXT, false},
    {"AgentList", "VERSION", "agent_ver", SHOW_TEXT, false},
    {"AgentList", "CONNECTED", "connected", SHOW_FLAG, false},
    {"AgentList", "HEARD", "heard_ms", SHOW_TIME, false},
    {"AgentList", "APPROVED_BY", "approved_by", SHOW_TEXT, true},
    {"PatchReport", "SITE", "group", SHOW_TEXT, false},
    {"PatchReport", "SERVERS", "servers", SHOW_COUNT, false},
    {"PatchReport", "LACK_IT", "lacks", SHOW_COUNT, false},
    {"PatchReport", "HAVE_IT", "has", SHOW_COUNT, false},
    {"PatchReport", "NOT_KNOWN", "unknown", SHOW_COUNT, false},
    {"PatchReport", "LACKING", "lacking", SHOW_TEXT, true},
    {"ScheduleList", "NAME", "name", SHOW_TEXT, false},
    {"ScheduleList", "STATE", "state", SHOW_TEXT, false},
    {"ScheduleList", "WINDOW", "window", SHOW_TEXT, false},
    {"ScheduleList", "NEXT", "next_local", SHOW_TEXT, false},
    {"ScheduleList", "NEXT_SITE", "next_site", SHOW_TEXT, true},
    {"ScheduleList", "NEXT_HERE", "next_ms", SHOW_TIME, true},
    {"ScheduleList", "SERVERS", "servers", SHOW_TEXT, false},
    {"ScheduleList", "VERB", "verb", SHOW_TEXT, true},
    {"ScheduleList", "BY", "by", SHOW_TEXT, true},
    {"ScheduleList", "LAST", "last", SHOW_TEXT, false},
    {"SchedulePreview", "SITE", "site", SHOW_TEXT, true},
    {"SchedulePreview", "LOCAL", "local", SHOW_TEXT, false},
    {"SchedulePreview", "UTC", "utc", SHOW_TEXT, false},
    {"SchedulePreview", "UNTIL", "until", SHOW_TEXT, false},
    {"SchedulePreview", "LONG", "length_ms", SHOW_AGE, false},
    {"SchedulePreview", "ZONE", "zone", SHOW_TEXT, true},
    {"SchedulePreview", "START", "start_ms", SHOW_TIME, true},
    {"SchedulePreview", "NOTE", "note", SHOW_TEXT, false},
    {"SchedulePreviewBySite", "SITE", "site", SHOW_TEXT, false},
    {"SchedulePreviewBySite", "LOCAL", "local", SHOW_TEXT, false},
    {"SchedulePreviewBySite", "UTC", "utc", SHOW_TEXT, false},
    {"SchedulePreviewBySite", "UNTIL", "until", SHOW_TEXT, false},
    {"SchedulePreviewBySite", "LONG", "length_ms", SHOW_AGE, false},
    {"SchedulePreviewBySite", "ZONE", "zone", SHOW_TEXT, true},
    {"SchedulePreviewBySite", "START", "start_ms", SHOW_TIME, true},
    {"SchedulePreviewBySite", "NOTE", "note", SHOW_TEXT, false},
    {"Schedule", "SITE", "site", SHOW_TEXT, true},
    {"Schedule", "LOCAL", "local", SHOW_TEXT, false},
    {"Schedule", "UTC", "utc", SHOW_TEXT, false},
    {"Schedule", "UNTIL", "until", SHOW_TEXT, false},
    {"Schedule", "NOTE", "note", SHOW_TEXT, false},
    {"Simulation", "SERVERS", "servers", SHOW_TEXT, false},
    {"Simulation", "WAVE", "wave", SHOW_COUNT, false},
    {"Simulation", "SITE", "group", SHOW_TEXT, false},
    {"Simulation", "BEGINS", "start_ms", SHOW_TIME, false},
    {"Simulation", "OUT", "out", SHOW_COUNT, false},
    {"Simulation", "LEFT", "left", SHOW_COUNT, false},
    {"Simulation", "REQUESTS", "requests", SHOW_COUNT, false},
    {"Simulation", "ON", "server", SHOW_TEXT, false},
    {"Simulation", "OWN", "was", SHOW_COUNT, false},
    {"Simulation", "RECORDED", "at_ms", SHOW_TIME, false},
    {"Simulation", "PEAK", "peak", SHOW_COUNT, false},
    {"Simulation", "PCT", "pct", SHOW_PCT, false},
    {"Simulation", "MOMENTS", "moments", SHOW_COUNT, false},
    {"Simulation", "NOT_KNOWN", "unjudged", SHOW_COUNT, false},
    {"Status", "SERVERS", "servers", SHOW_TEXT, false},
    {"Status", "CLASS", "class", SHOW_TEXT, false},
    {"Status", "WHAT", "words", SHOW_TEXT, false},
    {"Status", "DETAIL", "detail", SHOW_TEXT, false},
    {"Rollout", "SERVER", "server", SHOW_TEXT, false},
    {"Rollout", "WAVE", "wave", SHOW_COUNT, false},
    {"Rollout", "ATTEMPT", "attempt", SHOW_COUNT, false},
    {"Rollout", "STATE", "state", SHOW_TEXT, false},
    {"Rollout", "WHY", "words", SHOW_TEXT, false},
    {"Rollout", "COMMAND", "command", SHOW_TEXT, true},
    {"Rollout", "PID_BEFORE", "pid_before", SHOW_COUNT, false},
    {"Rollout", "PID_AFTER", "pid_after", SHOW_COUNT, false},
    {"Rollout", "GRANTED", "granted_ms", SHOW_TIME, false},
    {"Rollout", "PROVED", "closed_ms", SHOW_TIME, false},
    {"Plan", "SERVERS", "servers", SHOW_TEXT, false},
    {"Plan", "WAVE", "wave", SHOW_COUNT, false},
    {"Server", "NAME", "name", SHOW_TEXT, false},
    {"Server", "SITE", "site", SHOW_TEXT, false},
    {"Server", "BUILD", "build", SHOW_TEXT, false},
    {"Server", "STATE", "state", SHOW_TEXT, false},
    {"Server", "FINGERPRINT", "fingerprint", SHOW_TEXT, false},
    {"Why", "WHAT", "words", SHOW_TEXT, false},
    {"Done", "WORDS", "words", SHOW_TEXT, false},
};

static size_t columns_of(const char *kind, bool is_all, const struct column *ret_column[COLUMNS])
{
    size_t n = 0;
    for (size_t i = 0; i < CAS_COUNT(columns) && n < COLUMNS; i++) {
        if (strcmp(columns[i].kind, kind) == 0 && (is_all || !columns[i].is_wide))
            ret_column[n++] = &columns[i];
    }
    return n;
}

/* As a person reads it; not known is a dash, never 0. */
static void cell(struct cas_text *text, const json_t *item, const struct column *column)
{
    const char *key = column->key;
    if (cli_is_null(item, key)) {
        cas_text_add(text, "-");
        return;
    }
    switch (column->show) {
    case SHOW_TEXT:
        cas_text_add(text, "%s", cli_text(item, key));
        return;
    case SHOW_COUNT:
        cas_text_add(text, "%.0f", cli_real(item, key));
        return;
    case SHOW_BYTES:
        cli_add_bytes(text, cli_real(item, key));
        return;
    case SHOW_PCT:
        cas_text_add(text, "%.0f %%", cli_real(item, key));
        return;
    case SHOW_AGE:
        cas_text_span(text, cli_int(item, key));
        return;
    case SHOW_TIME:
        cli_add_clock(text, cli_int(item, key), CLI_CLOCK_DATE);
        return;
    case SHOW_FLAG:
        cas_text_add(text, "%s", json_is_true(json_object_get(item, key)) ? "yes" : "no");
        return;
    }
}

/* As a spreadsheet reads it: plain numbers, UTC, and no text that a spreadsheet would run as a
 * formula. */
static void csv_cell(struct cas_text *text, const json_t *item, const struct column *column)
{
    const char *key = column->key;
    if (cli_is_null(item, key))
        return;
    switch (column->show) {
    case SHOW_TEXT: {
        const char *from = cli_text(item, key);
        cas_text_add(text, "\"%s", strchr("=+-@", from[0]) != NULL && from[0] != '\0' ? "'" : "");
        for (; *from != '\0'; from++)
            cas_text_add(text, "%s%c", *from == '"' ? "\"" : "", *from);
        cas_text_add(text, "\"");
        return;
    }
    case SHOW_COUNT:
    case SHOW_BYTES:
    case SHOW_PCT:
    case SHOW_AGE:
        cas_text_add(text, "%.10g", cli_real(item, key));
        return;
    case SHOW_TIME:
        cas_text_utc(text, cli_int(item, key));
        return;
    case SHOW_FLAG:
        cas_text_add(text, "%s", json_is_true(json_object_get(item, key)) ? "yes" : "no");
        return;
    }
}

static void print_csv(FILE *out, const struct column *const *column, size_t n, const json_t *items)
{
    for (size_t c = 0; c < n; c++)
        fprintf(out, "%s%s", c == 0 ? "" : ",", column[c]->key);
    fprintf(out, "\n");
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(items, i, item)
    {
        for (size_t c = 0; c < n; c++) {
            char shown[CELL_BYTES] = "";
            struct cas_text text = CAS_TEXT(shown);
            csv_cell(&text, item, column[c]);
            fprintf(out, "%s%s", c == 0 ? "" : ",", shown);
        }
        fprintf(out, "\n");
    }
}

static void
print_table(FILE *out, const struct column *const *column, size_t n, const json_t *items)
{
    size_t width[COLUMNS] = {0};
    size_t i = 0;
    const json_t *item = NULL;
    char shown[CELL_BYTES];
    for (size_t c = 0; c < n; c++)
        width[c] = strlen(column[c]->title);
    json_array_foreach(items, i, item)
    {
        for (size_t c = 0; c < n; c++) {
            struct cas_text text = CAS_TEXT(shown);
            cas_text_clear(&text);
            cell(&text, item, column[c]);
            width[c] = text.used > width[c] ? text.used : width[c];
        }
    }
    for (size_t c = 0; c < n; c++)
        fprintf(out,
                "%-*s%s",
                c + 1 == n ? 0 : (int)width[c],
                column[c]->title,
                c + 1 == n ? "\n" : "  ");
    json_array_foreach(items, i, item)
    {
        for (size_t c = 0; c < n; c++) {
            struct cas_text text = CAS_TEXT(shown);
            cas_text_clear(&text);
            cell(&text, item, column[c]);
            bool is_number = column[c]->show != SHOW_TEXT && column[c]->show != SHOW_TIME;
            const char *end = c + 1 == n ? "\n" : "  ";
            if (is_number)
                fprintf(out, "%*s%s", (int)width[c], shown, end);
            else
                fprintf(out, "%-*s%s", c + 1 == n ? 0 : (int)width[c], shown, end);
        }
    }
}

void cli_print_items(FILE *out, enum cli_format format, const char *kind, const json_t *document)
{
    const struct column *column[COLUMNS];
    const json_t *items = json_object_get(document, strcmp(kind, "Plan") == 0 ? "waves" : "items");
    size_t n = columns_of(kind, format == CLI_WIDE || format == CLI_CSV, column);
    if (format == CLI_CSV) {
        print_csv(out, column, n, items);
        return;
    }
    if (format == CLI_NAME) {
        size_t i = 0;
        const json_t *item = NULL;
        json_array_foreach(items, i, item)
        {
            if (n > 0 && !cli_is_null(item, column[0]->key))
                fprintf(out, "%s\n", cli_text(item, column[0]->key));
        }
        return;
    }
    print_table(out, column, n, items);
    if (json_array_size(items) == 0)
        fprintf(out, "(none)\n");
    cli_print_next(out, document, "Next");
}
