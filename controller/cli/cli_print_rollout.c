#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli_json.h"

static void add_span_of(struct cas_text *text, const json_t *object, const char *key)
{
    cas_text_span(text, cli_int(object, key));
}

static void plan_head(FILE *out, const json_t *plan)
{
    char when[96], utc[40];
    struct cas_text text = CAS_TEXT(when), utc_text = CAS_TEXT(utc);
    int64_t start_ms = cli_int(plan, "start_ms");
    cli_add_clock(&text, start_ms, CLI_CLOCK_ZONED);
    cas_text_utc(&utc_text, start_ms);
    fprintf(out,
            "Plan %s: %s %s on %lld of %lld servers, %s (%.16sZ).   Nothing is scheduled yet.\n",
            cli_text(plan, "id"),
            cli_text(plan, "verb"),
            cli_text(plan, "pool"),
            (long long)cli_int(plan, "planned"),
            (long long)cli_int(plan, "chosen"),
            when,
            utc);
}

static void plan_order(FILE *out, const json_t *plan)
{
    const json_t *waves = json_object_get(plan, "waves");
    const char *first = cli_text(json_array_get(waves, 0), "servers");
    bool is_alone =
        json_array_size(waves) > 1 && strpbrk(first, "[,") == NULL && cli_int(plan, "planned") > 2;
    fprintf(out, "  order   ");
    if (is_alone && json_is_true(json_object_get(plan, "canary")))
        fprintf(out, "%s alone first, the least busy; then ", first);
    fprintf(out, "most urgent first, %lld at a time\n", (long long)cli_int(plan, "at_once"));
    size_t i = 0;
    const json_t *wave = NULL;
    json_array_foreach(waves, i, wave)
    {
        fprintf(out,
                "          wave %lld: %s\n",
                (long long)cli_int(wave, "wave"),
                cli_text(wave, "servers"));
        if (i == 11 && json_array_size(waves) > 13) {
            fprintf(out,
                    "          ... and %zu more waves (-o csv shows all)\n",
                    json_array_size(waves) - 12);
            break;
        }
    }
}

static void plan_now(FILE *out, const json_t *plan)
{
    const json_t *ram = json_object_get(plan, "ram");
    long long others = cli_int(plan, "other_plans");
    char shown[24];
    (void)snprintf(shown, sizeof shown, "%lld", others);
    fprintf(out,
            "  now     %lld of %lld answer; %s other plan%s open; ",
            (long long)cli_int(plan, "answering"),
            (long long)cli_int(plan, "planned"),
            others == 0 ? "no" : shown,
            others < 2 ? "" : "s");
    if (cli_is_null(ram, "tightest")) {
        fprintf(out, "whether two workers fit in RAM is not known\n");
        return;
    }
    char spare[48];
    struct cas_text text = CAS_TEXT(spare);
    cli_add_bytes(&text, cli_real(ram, "spare_bytes"));
    size_t unfit = json_array_size(json_object_get(ram, "unfit"));
    if (unfit == 0)
        fprintf(out,
                "two workers fit in RAM on the %lld known (tightest %s, %s spare)\n",
                (long long)cli_int(ram, "known"),
                cli_text(ram, "tightest"),
                spare);
    else
        fprintf(out,
                "on %zu of them two workers do NOT fit in RAM (worst %s, %s short)\n",
                unfit,
                cli_text(ram, "tightest"),
                spare + (spare[0] == '-'));
}

static void plan_floor(FILE *out, const json_t *plan)
{
    size_t i = 0;
    const json_t *floor = NULL;
    json_array_foreach(json_object_get(plan, "floor"), i, floor)
    {
        bool holds = json_is_true(json_object_get(floor, "holds"));
        const char *group = cli_text(floor, "group");
        fprintf(out,
                "  %-7s %s: at least %lld of %lld stay in service (%lld %%): %s (%lld at worst; "
                "%lld out now)\n",
                i == 0 ? "floor" : "",
                group[0] == '\0' ? "(no site)" : group,
                (long long)cli_int(floor, "least"),
                (long long)cli_int(floor, "servers"),
                (long long)cli_int(plan, "floor_pct"),
                holds ? "holds" : "DOES NOT HOLD",
                (long long)cli_int(floor, "in_service_worst"),
                (long long)cli_int(floor, "out_now"));
    }
}

static const char *ordinal(long long n)
{
    if (n % 100 / 10 == 1)
        return "th";
    switch (n % 10) {
    case 1:
        return "st";
    case 2:
        return "nd";
    case 3:
        return "rd";
    default:
        return "th";
    }
}

static void plan_time(FILE *out, const json_t *plan)
{
    char ends[48], worst[48], until[48];
    struct cas_text ends_text = CAS_TEXT(ends), worst_text = CAS_TEXT(worst);
    struct cas_text until_text = CAS_TEXT(until);
    int64_t start_ms = cli_int(plan, "start_ms");
    cli_add_clock(&ends_text, cli_int(plan, "ends_ms"), CLI_CLOCK_SHORT);
    cli_add_clock(&worst_text, start_ms + cli_int(plan, "worst_ms"), CLI_CLOCK_SHORT);
    cli_add_clock(&until_text, cli_int(plan, "until_ms"), CLI_CLOCK_SHORT);
    bool fits = json_is_true(json_object_get(plan, "fits"));
    fprintf(out,
            "  time    ends about %s, at worst %s; window closes %s   %s\n",
            ends,
            worst,
            until,
            fits ? "fits" : "does NOT fit at worst: what is left then stays untouched");
    long long stop_after = cli_int(plan, "stop_after");
    fprintf(out,
            "  stop    at the %lld%s failure.   A server that goes silent has failed and keeps its "
            "slot.\n",
            stop_after,
            ordinal(stop_after));
}

void cli_print_plan(FILE *out, const json_t *plan, bool is_wide)
{
    (void)is_wide;
    plan_head(out, plan);
    size_t i = 0;
    const json_t *skip = NULL;
    json_array_foreach(json_object_get(plan, "skip"), i, skip) fprintf(out,
                                                                       "  %-7s %s %s\n",
                                                                       i == 0 ? "skip" : "",
                                                                       cli_text(skip, "server"),
                                                                       cli_text(skip, "words"));
    if (cli_int(plan, "planned") > 0) {
        plan_order(out, plan);
        plan_now(out, plan);
        plan_floor(out, plan);
        plan_time(out, plan);
    }
    if (!cli_is_null(plan, "refused"))
        fprintf(out,
                "%s%s\n",
                cli_int(plan, "planned") > 0 ? "Refused:  " : "",
                cli_text(plan, "refused"));
    cli_print_next(out, plan, "Run it:");
}

static const char *upper_when_stopped(const char *state)
{
    if (strcmp(state, "halted") == 0)
        return "HALTED";
    return strcmp(state, "paused") == 0 ? "PAUSED" : state;
}

static void add_bar(struct cas_text *text, const json_t *rollout)
{
    enum {
        WIDTH = 20
    };
    int64_t steps = cli_int(rollout, "steps");
    int64_t done = cli_int(rollout, "proved") + cli_int(rollout, "skipped");
    int64_t filled = steps == 0 ? WIDTH : done * WIDTH / steps;
    for (int64_t i = 0; i < WIDTH; i++)
        cas_text_add(text, i < filled ? "#" : ".");
}

void cli_rollout_head(struct cas_text *text, const json_t *rollout)
{
    const char *state = cli_text(rollout, "state");
    cas_text_add(text,
                 "%s %s %s",
                 cli_text(rollout, "id"),
                 cli_text(rollout, "group"),
                 upper_when_stopped(state));
    bool is_halted = strcmp(state, "halted") == 0 && !cli_is_null(rollout, "halted_ms");
    if (is_halted) {
        cas_text_add(text, " ");
        cli_add_clock(text, cli_int(rollout, "halted_ms"), CLI_CLOCK_SECOND);
    }
    if (is_halted && strcmp(cli_text(rollout, "words"), "stop rule") == 0)
        cas_text_add(text, ", rule \"stop after %lld\"", (long long)cli_int(rollout, "stop_after"));
    else if (!cli_is_null(rollout, "words"))
        cas_text_add(text, " (%s)", cli_text(rollout, "words"));
    if (strcmp(state, "scheduled") == 0) {
        cas_text_add(text, " for ");
        cli_add_clock(text, cli_int(rollout, "start_ms"), CLI_CLOCK_ZONED);
    }
    cas_text_add(text,
                 "  wave %lld of %lld  ",
                 (long long)cli_int(rollout, "wave"),
                 (long long)cli_int(rollout, "waves"));
    add_bar(text, rollout);
    cas_text_add(text,
                 "  %lld proved  %lld running  %lld failed  %lld to go",
                 (long long)cli_int(rollout, "proved"),
                 (long long)cli_int(rollout, "running"),
                 (long long)(cli_int(rollout, "failed") + cli_int(rollout, "unknown")),
                 (long long)cli_int(rollout, "to_go"));
    if (cli_int(rollout, "skipped") > 0)
        cas_text_add(text, "  %lld skipped", (long long)cli_int(rollout, "skipped"));
    if (!cli_is_null(rollout, "eta_ms")) {
        cas_text_add(text, "  ETA ");
        cli_add_clock(text, cli_int(rollout, "eta_ms"), CLI_CLOCK_SECOND);
    }
}

static void add_time(struct cas_text *text, const json_t *step, const char *key, const char *words)
{
    if (cli_is_null(step, key))
        return;
    cas_text_add(text, "  ");
    cli_add_clock(text, cli_int(step, key), CLI_CLOCK_SECOND);
    cas_text_add(text, " %s", words);
}

/* What a step waits for, or how it came out. */
static void add_state(struct cas_text *text, const json_t *step)
{
    const char *state = cli_text(step, "state");
    if (strcmp(state, "proving") == 0)
        cas_text_add(text,
                     "  %lld of %lld good probes",
                     (long long)cli_int(step, "good_n"),
                     (long long)cli_int(step, "healthy_n"));
    else if (cli_is_null(step, "closed_ms"))
        cas_text_add(text, "  %s", state);
    if (!cli_is_null(step, "words"))
        cas_text_add(text, ": %s", cli_text(step, "words"));
    if (!cli_is_null(step, "note") && cli_is_null(step, "closed_ms"))
        cas_text_add(text, " (%s)", cli_text(step, "note"));
}

void cli_step_line(struct cas_text *text, const json_t *step, int64_t at_ms, const json_t *rollout)
{
    (void)at_ms;
    cas_text_add(text, "%-12s", cli_text(step, "server"));
    if (cli_int(step, "attempt") > 1)
        cas_text_add(text, "  attempt %lld", (long long)cli_int(step, "attempt"));
    add_time(text, step, "drained_ms", "drained");
    if (!cli_is_null(step, "requests_before") && !cli_is_null(step, "drained_ms"))
        cas_text_add(text,
                     " (%.0f -> %.0f requests)",
                     cli_real(step, "requests_before"),
                     cli_real(step, "requests_drained"));
    bool has_act = !cli_is_null(step, "acted_ms");
    add_time(text,
             step,
             "acted_ms",
             strcmp(cli_text(rollout, "verb"), "recycle") == 0 ? "recycled" : "done");
    if (has_act && !cli_is_null(step, "pid_before") && !cli_is_null(step, "pid_after"))
        cas_text_add(text,
                     " %lld -> %lld",
                     (long long)cli_int(step, "pid_before"),
                     (long long)cli_int(step, "pid_after"));
    else if (!has_act)
        add_time(text, step, "granted_ms", "ordered");
    add_time(text, step, "closed_ms", "healthy, proved");
    add_state(text, step);
}

static bool is_untouched(const json_t *step)
{
    const char *state = cli_text(step, "state");
    return strcmp(state, "to go") == 0;
}

void cli_print_rollout(FILE *out, const json_t *rollout, bool is_wide)
{
    char line[640];
    struct cas_text text = CAS_TEXT(line);
    cli_rollout_head(&text, rollout);
    fprintf(out, "%s\n", line);
    const json_t *hold = json_object_get(rollout, "hold");
    bool is_still = strcmp(cli_text(rollout, "state"), "halted") == 0 ||
                    strcmp(cli_text(rollout, "state"), "paused") == 0;
    if (is_still) {
        fprintf(out,
                cli_int(rollout, "running") == 0 ? "  nothing is running\n"
                                                 : "  what is under way is seen through\n");
    } else if (hold != NULL && !json_is_null(hold)) {
        cas_text_clear(&text);
        if (!cli_is_null(hold, "left_ms") && cli_int(hold, "left_ms") > 0) {
            cas_text_add(&text, ", ");
            add_span_of(&text, hold, "left_ms");
            cas_text_add(&text, " left");
        }
        fprintf(out, "  waits: %s%s\n", cli_text(hold, "words"), line);
    }
    size_t i = 0, untouched = 0;
    const json_t *step = NULL;
    json_array_foreach(json_object_get(rollout, "items"), i, step)
    {
        if (is_untouched(step) && !is_wide) {
            untouched++;
            continue;
        }
        cas_text_clear(&text);
        cli_step_line(&text, step, cli_int(rollout, "at_ms"), rollout);
        fprintf(out, "  %s\n", line);
        bool has_failed = strcmp(cli_text(step, "state"), "failed") == 0 ||
                          strcmp(cli_text(step, "state"), "unknown") == 0;
        if (has_failed && !cli_is_null(step, "text"))
            fprintf(out, "  %-12s  the agent said: %s\n", "", cli_text(step, "text"));
        if (has_failed && json_is_true(json_object_get(step, "is_drained")))
            fprintf(out, "  %-12s  it is left drained on purpose\n", "");
    }
    if (untouched > 0)
        fprintf(out, "  %zu not touched\n", untouched);
    cli_print_next(out, rollout, "Choose");
}
