#include <string.h>

#include "controller/cli/cli_json.h"

static void print_head(FILE *out, const json_t *document)
{
    char start[64] = "", record[64] = "", wave[32] = "", rest[32] = "", step[32] = "";
    struct cas_text start_text = CAS_TEXT(start), record_text = CAS_TEXT(record);
    struct cas_text wave_text = CAS_TEXT(wave), rest_text = CAS_TEXT(rest);
    struct cas_text step_text = CAS_TEXT(step);
    long long weeks = cli_int(document, "weeks"), cut = cli_int(document, "cut_waves");
    cli_add_clock(&start_text, cli_int(document, "start_ms"), CLI_CLOCK_ZONED);
    cli_add_clock(&record_text, cli_int(document, "record_ms"), CLI_CLOCK_ZONED);
    cas_text_span(&wave_text, cli_int(document, "wave_ms"));
    cas_text_span(&rest_text, cli_int(document, "rest_ms"));
    cas_text_span(&step_text, cli_int(document, "step_ms"));
    bool is_begin_only = cli_int(document, "step_ms") > cli_int(document, "wave_ms");
    bool is_plan = cli_is_null(document, "schedule");
    cli_print_line(out,
                   "%s %s: %s, %lld wave%s from %s, played against what was recorded from %s, "
                   "%lld week%s before.",
                   is_plan ? "Plan" : "Next run of",
                   cli_text(document, is_plan ? "id" : "schedule"),
                   cli_text(document, "verb"),
                   (long long)cli_int(document, "waves"),
                   cli_int(document, "waves") == 1 ? "" : "s",
                   start,
                   record,
                   weeks,
                   weeks == 1 ? "" : "s");
    bool is_p95 = strcmp(cli_text(document, "pace"), "p95") == 0;
    cli_print_line(out,
                   "  pace    a wave takes %s (%s), then %s rest",
                   wave,
                   is_p95 ? "19 in 20 of the turns so far took no longer"
                          : "the plan's own limits: too few turns so far to tell",
                   rest);
    if (is_begin_only)
        fprintf(out, "  looks   a wave is looked at when it begins\n");
    else
        cli_print_line(out, "  looks   a wave is looked at every %s, and at its end", step);
    if (cut > 0)
        cli_print_line(out,
                       "  window  the last %lld waves would begin after its end: not played",
                       cut);
}

static void print_row(FILE *out, const json_t *row)
{
    char begins[32] = "", load[160] = "";
    struct cas_text begins_text = CAS_TEXT(begins), text = CAS_TEXT(load);
    cli_add_clock(&begins_text, cli_int(row, "start_ms"), CLI_CLOCK_SHORT);
    if (!json_is_true(json_object_get(row, "known"))) {
        cas_text_add(&text,
                     "%s",
                     cli_int(row, "left") == 0 ? "nobody of the site is left to carry it"
                                               : "not known");
    } else {
        cas_text_add(&text,
                     "%.0f on %s (its own %.0f) at ",
                     cli_real(row, "requests"),
                     cli_text(row, "server"),
                     cli_real(row, "was"));
        cli_add_clock(&text, cli_int(row, "at_ms"), CLI_CLOCK_SHORT);
        if (!cli_is_null(row, "pct"))
            cas_text_add(&text, ", %.0f %% of the peak", cli_real(row, "pct"));
        if (cli_int(row, "unjudged") > 0)
            cas_text_add(&text,
                         "; %lld of %lld moments not known",
                         (long long)cli_int(row, "unjudged"),
                         (long long)cli_int(row, "moments"));
    }
    cli_print_line(out,
                   "  wave %-3lld %s  %s out, %lld of %s stay   %s",
                   (long long)cli_int(row, "wave"),
                   begins,
                   cli_text(row, "servers"),
                   (long long)cli_int(row, "left"),
                   cli_is_null(row, "group") ? "(no site)" : cli_text(row, "group"),
                   load);
}

static void print_worst(FILE *out, const json_t *document)
{
    const json_t *worst = json_object_get(document, "worst");
    if (worst == NULL || json_is_null(worst)) {
        fprintf(out, "Worst     not known: no wave has both a record and a peak to hold against\n");
        return;
    }
    char when[64] = "", peak[64] = "", look[32] = "";
    struct cas_text when_text = CAS_TEXT(when), peak_text = CAS_TEXT(peak);
    struct cas_text look_text = CAS_TEXT(look);
    cli_add_clock(&when_text, cli_int(worst, "at_ms"), CLI_CLOCK_ZONED);
    cli_add_clock(&peak_text, cli_int(worst, "peak_ms"), CLI_CLOCK_ZONED);
    cas_text_span(&look_text, cli_int(document, "look_ms"));
    cli_print_line(out,
                   "Worst     wave %lld: %.0f active requests on %s (%s), with the load of %s",
                   (long long)cli_int(worst, "wave"),
                   cli_real(worst, "requests"),
                   cli_text(worst, "server"),
                   cli_is_null(worst, "group") ? "no site" : cli_text(worst, "group"),
                   when);
    cli_print_line(out,
                   "          %.0f %% of %.0f, the most one server of the site carried in the week "
                   "(%s, %s; looked at every %s)",
                   cli_real(worst, "pct"),
                   cli_real(worst, "peak"),
                   cli_text(worst, "peak_server"),
                   peak,
                   look);
}

void cli_print_simulation(FILE *out, const json_t *document, bool is_wide)
{
    size_t i = 0;
    const json_t *item = NULL;
    (void)is_wide;
    print_head(out, document);
    json_array_foreach(json_object_get(document, "items"), i, item) print_row(out, item);
    print_worst(out, document);
    json_array_foreach(json_object_get(document, "missing"), i, item)
        cli_print_line(out,
                       "%-9s %s: %s",
                       i == 0 ? "Not known" : "",
                       cli_text(item, "server"),
                       cli_text(item, "words"));
    if (cli_is_null(document, "since_ms")) {
        fprintf(out, "          no report is kept at all\n");
    } else if (json_array_size(json_object_get(document, "missing")) > 0) {
        char since[64] = "";
        struct cas_text text = CAS_TEXT(since);
        cli_add_clock(&text, cli_int(document, "since_ms"), CLI_CLOCK_ZONED);
        cli_print_line(out, "          the oldest report kept is of %s", since);
    }
    cli_print_next(out, document, "Next");
}
