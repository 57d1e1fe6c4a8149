#include <string.h>

#include "controller/cli/cli_json.h"

void cli_print_frozen(FILE *out, const json_t *document)
{
    const json_t *frozen = json_object_get(document, "frozen");
    if (frozen == NULL || json_is_null(frozen))
        return;
    char shown[64] = "";
    struct cas_text text = CAS_TEXT(shown);
    cli_add_clock(&text, cli_int(frozen, "at_ms"), CLI_CLOCK_DAY);
    const char *reason = cli_text(frozen, "reason");
    cli_print_line(out,
                   "FROZEN since %s by %s%s%s%s: nothing begins.",
                   shown,
                   cli_text(frozen, "by"),
                   reason[0] != '\0' ? ", \"" : "",
                   reason,
                   reason[0] != '\0' ? "\"" : "");
}

void cli_print_schedule_list(FILE *out, const json_t *document, bool is_wide)
{
    cli_print_frozen(out, document);
    cli_print_items(out, is_wide ? CLI_WIDE : CLI_TABLE, "ScheduleList", document);
}

void cli_print_preview(FILE *out, const json_t *document, bool is_wide)
{
    const char *name = cli_text(document, "name");
    bool is_by_site = json_is_true(json_object_get(document, "by_site"));
    cli_print_line(out,
                   "%s%s%s   (%s %s%s)",
                   name,
                   name[0] != '\0' ? "  " : "",
                   cli_text(document, "window"),
                   cli_text(document, "recur"),
                   is_by_site ? "by the time of each site" : "in ",
                   cli_text(document, "zone"));
    cli_print_items(out,
                    is_wide ? CLI_WIDE : CLI_TABLE,
                    is_by_site ? "SchedulePreviewBySite" : "SchedulePreview",
                    document);
}

static void print_policy(FILE *out, const json_t *document)
{
    const json_t *policy = json_object_get(document, "policy");
    char gap[32] = "", drain[32] = "";
    struct cas_text gap_text = CAS_TEXT(gap), drain_text = CAS_TEXT(drain);
    cas_text_span(&gap_text, cli_int(policy, "gap_ms"));
    cas_text_span(&drain_text, cli_int(policy, "drain_ms"));
    cli_print_line(
        out,
        "  %-8s %s on %s, %lld at once, gap %s, drain %s, floor %lld %%, stop after %lld "
        "failed%s",
        "policy",
        cli_text(document, "verb"),
        cli_text(document, "servers"),
        (long long)cli_int(policy, "at_once"),
        gap,
        drain,
        (long long)cli_int(policy, "floor_pct"),
        (long long)cli_int(policy, "stop_after"),
        json_is_true(json_object_get(policy, "canary")) ? ", the first one alone" : "");
}

/* Who of them is left out of a run. */
static void print_gates(FILE *out, const json_t *document)
{
    const json_t *policy = json_object_get(document, "policy");
    char age[48] = "";
    struct cas_text text = CAS_TEXT(age);
    if (cli_int(policy, "min_age_ms") > 0) {
        cas_text_add(&text, ", worker at least ");
        cas_text_span(&text, cli_int(policy, "min_age_ms"));
        cas_text_add(&text, " old");
    }
    cli_print_line(out,
                   "  %-8s memory for two workers: %s%s%s%s",
                   "gates",
                   cli_text(policy, "ram"),
                   age,
                   json_is_true(json_object_get(policy, "just_in_time")) ? ", just in time" : "",
                   json_is_true(json_object_get(policy, "fixed_too")) ? ", those with the fix too"
                                                                      : "");
}

static void print_runs(FILE *out, const json_t *document)
{
    size_t i = 0;
    const json_t *run = NULL;
    json_array_foreach(json_object_get(document, "runs"), i, run)
    {
        char shown[64] = "";
        struct cas_text text = CAS_TEXT(shown);
        cli_add_clock(&text, cli_int(run, "start_ms"), CLI_CLOCK_ZONED);
        const char *rollout = cli_text(run, "rollout"), *site = cli_text(run, "site");
        cli_print_line(out,
                       "  %-8s %s%s%s  %s%s%s",
                       i == 0 ? "last" : "",
                       site,
                       site[0] != '\0' ? "  " : "",
                       shown,
                       rollout,
                       rollout[0] != '\0' ? "  " : "",
                       cli_text(run, "words"));
    }
}

void cli_print_schedule(FILE *out, const json_t *document, bool is_wide)
{
    (void)is_wide;
    const char *words = cli_text(document, "words");
    cli_print_line(out,
                   "%s  %s   %s%s%s%s   by %s",
                   cli_text(document, "name"),
                   cli_text(document, "window"),
                   cli_text(document, "state"),
                   words[0] != '\0' ? " (" : "",
                   words,
                   words[0] != '\0' ? ")" : "",
                   cli_text(document, "by"));
    cli_print_frozen(out, document);
    print_policy(out, document);
    print_gates(out, document);
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(document, "items"), i, item)
    {
        const char *note = cli_text(item, "note"), *site = cli_text(item, "site");
        cli_print_line(out,
                       "  %-8s %s%s%s (%s) until %s%s%s",
                       i == 0 ? "next" : "",
                       site,
                       site[0] != '\0' ? "  " : "",
                       cli_text(item, "local"),
                       cli_text(item, "utc"),
                       cli_text(item, "until"),
                       note[0] != '\0' ? "   " : "",
                       note);
    }
    const char *trouble = cli_text(document, "trouble");
    if (trouble[0] != '\0')
        cli_print_line(out, "  %-8s %s", "trouble", trouble);
    print_runs(out, document);
    cli_print_next(out, document, "Next");
}

/* As it is, for a file; its lines end as calendars' do. */
void cli_print_calendar(FILE *out, const json_t *document, bool is_wide)
{
    (void)is_wide;
    fputs(cli_text(document, "ics"), out);
}
