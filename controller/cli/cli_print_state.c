#include <string.h>

#include "controller/cli/cli_json.h"

enum {
    MINUTE_MS = 60000
};

static void status_class(FILE *out, const json_t *document, const char *name, const char *words)
{
    size_t i = 0, total = 0, shown = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(document, "items"), i, item)
    {
        if (strcmp(cli_text(item, "class"), name) == 0)
            total += (size_t)cli_int(item, "n");
    }
    json_array_foreach(json_object_get(document, "items"), i, item)
    {
        if (strcmp(cli_text(item, "class"), name) != 0)
            continue;
        char head[40] = "";
        struct cas_text text = CAS_TEXT(head);
        if (shown++ == 0)
            cas_text_add(&text, "%3zu %s", total, words);
        cli_print_line(out,
                       "%-15s %-22s %-40s  %s",
                       head,
                       cli_text(item, "servers"),
                       cli_text(item, "words"),
                       cli_text(item, "detail"));
    }
}

static void status_head(FILE *out, const json_t *document)
{
    char line[240], span[48] = "";
    struct cas_text text = CAS_TEXT(line), span_text = CAS_TEXT(span);
    cli_add_clock(&text, cli_int(document, "at_ms"), CLI_CLOCK_ZONED);
    int64_t servers = cli_int(document, "servers"), sites = cli_int(document, "sites");
    cas_text_add(&text,
                 "   %lld server%s, %lld site%s",
                 (long long)servers,
                 servers == 1 ? "" : "s",
                 (long long)sites,
                 sites == 1 ? "" : "s");
    int64_t oldest_ms = cli_int(document, "oldest_age_ms");
    int64_t bound_ms = oldest_ms < MINUTE_MS ? MINUTE_MS : oldest_ms;
    if (oldest_ms < MINUTE_MS)
        cas_text_add(&span_text, "60 s");
    else
        cas_text_span(&span_text, bound_ms);
    if (servers > 0)
        cas_text_add(&text,
                     "   every number is %s %s old unless marked",
                     oldest_ms < MINUTE_MS ? "under" : "at most",
                     span);
    fprintf(out, "%s\n\n", line);
}

static void status_trouble(FILE *out, const json_t *document)
{
    if (cli_is_null(document, "trouble"))
        return;
    char since[64];
    struct cas_text text = CAS_TEXT(since);
    cli_add_clock(&text, cli_int(document, "trouble_ms"), CLI_CLOCK_SECOND);
    fprintf(out,
            "  The controller stores nothing since %s: %s\n"
            "  Nothing is ordered and no report acknowledged until it can; agents keep theirs.\n\n",
            since,
            cli_text(document, "trouble"));
}

static void status_rollouts(FILE *out, const json_t *document)
{
    size_t i = 0;
    const json_t *rollout = NULL;
    const json_t *coming = json_object_get(document, "schedule");
    bool has_coming = coming != NULL && !json_is_null(coming);
    cli_print_frozen(out, document);
    json_array_foreach(json_object_get(document, "rollouts"), i, rollout)
    {
        char line[320];
        struct cas_text text = CAS_TEXT(line);
        cli_rollout_head(&text, rollout);
        fprintf(out, "%-11s%s\n", i == 0 ? "Now" : "", line);
    }
    if (i == 0)
        fprintf(out, "Now        nothing runs%s", has_coming ? "." : ", nothing is scheduled.");
    const char *site = has_coming ? cli_text(coming, "next_site") : "";
    if (has_coming)
        fprintf(out,
                "%s%s%s%s: %s, %s",
                i == 0 ? "  Next " : "Next       ",
                cli_text(coming, "name"),
                site[0] == '\0' ? "" : " in ",
                site,
                cli_text(coming, "next_local"),
                cli_text(coming, "window"));
    if (i > 0) {
        if (has_coming)
            fprintf(out, "\n");
        return;
    }
    const json_t *due = json_object_get(document, "due");
    if (due != NULL && !json_is_null(due)) {
        char age[48];
        struct cas_text text = CAS_TEXT(age);
        cas_text_span(&text, cli_int(due, "age_ms"));
        fprintf(out, "  Oldest worker without the fix: %s, %s", cli_text(due, "server"), age);
    }
    fprintf(out, "\n");
}

void cli_print_status(FILE *out, const json_t *document, bool is_wide)
{
    (void)is_wide;
    status_head(out, document);
    status_trouble(out, document);
    status_class(out, document, "need", "need you");
    status_class(out, document, "watch", "on watch");
    status_class(out, document, "maintenance", "maintenance");
    status_class(out, document, "held", "held");
    if (cli_int(document, "under_way") > 0)
        fprintf(out, "%3lld under way\n", (long long)cli_int(document, "under_way"));
    fprintf(out, "%3lld healthy\n\n", (long long)cli_int(document, "healthy"));
    const json_t *recent = json_object_get(document, "recent");
    fprintf(
        out,
        "Last %lld h  %lld recycles: %lld proved, %lld failed.   %lld more by Exchange itself or "
        "by hand\n",
        (long long)cli_int(recent, "hours"),
        (long long)cli_int(recent, "recycles"),
        (long long)cli_int(recent, "proved"),
        (long long)cli_int(recent, "failed"),
        (long long)cli_int(recent, "by_others"));
    status_rollouts(out, document);
    if (cli_int(document, "waiting") > 0)
        fprintf(out,
                "Waiting    %lld key%s for approval\n",
                (long long)cli_int(document, "waiting"),
                cli_int(document, "waiting") == 1 ? "" : "s");
    if (json_array_size(json_object_get(document, "next")) > 0)
        fprintf(out, "\n");
    cli_print_next(out, document, "First");
}

static void patch_unknown(FILE *out, const json_t *group)
{
    size_t i = 0;
    const json_t *server = NULL;
    json_array_foreach(json_object_get(group, "unknown_servers"), i, server)
        fprintf(out,
                "%s%s: %s",
                i == 0 ? "    " : "; ",
                cli_text(server, "server"),
                cli_text(server, "words"));
}

static void patch_row(FILE *out, const json_t *row, const char *name)
{
    long long servers = cli_int(row, "servers"), lacks = cli_int(row, "lacks");
    long long has = cli_int(row, "has");
    char lack_text[32], have_text[32];
    struct cas_text lack = CAS_TEXT(lack_text), have = CAS_TEXT(have_text);
    cas_text_add(&lack, "%lld", lacks);
    cas_text_add(&have, "%lld", has);
    if (strcmp(name, "all") == 0 && servers > 0) {
        cas_text_add(&lack, " (%lld %%)", (200 * lacks / servers + 1) / 2);
        cas_text_add(&have, " (%lld %%)", (200 * has / servers + 1) / 2);
    }
    fprintf(out,
            "%-12s %8lld %12s %12s %10lld",
            name,
            servers,
            lack_text,
            have_text,
            (long long)cli_int(row, "unknown"));
}

void cli_print_patch(FILE *out, const json_t *document, bool is_wide)
{
    const json_t *below = json_object_get(document, "below");
    fprintf(out,
            "Below %s (%s).   KB 4456227 is fixed in Exchange 2016 CU11 (15.1.1591.10) and later.  "
            " Read from "
            "ExSetup.exe on each server.\n",
            cli_text(below, "name"),
            cli_text(below, "build"));
    fprintf(out, "%-12s %8s %12s %12s %10s\n", "", "servers", "lack it", "have it", "not known");
    size_t i = 0;
    const json_t *group = NULL;
    json_array_foreach(json_object_get(document, "items"), i, group)
    {
        patch_row(out, group, cli_text(group, "group"));
        patch_unknown(out, group);
        fprintf(out, "\n");
        const char *lacking = cli_text(group, "lacking");
        if (lacking[0] != '\0')
            fprintf(out, "%-12s lack it: %s\n", "", lacking);
    }
    patch_row(out, json_object_get(document, "total"), "all");
    fprintf(out, "    not known is not compliant\n");
    json_array_foreach(json_object_get(document, "stale"), i, group)
    {
        char span[40];
        struct cas_text text = CAS_TEXT(span);
        cas_text_span(&text, cli_int(group, "age_ms"));
        fprintf(out, "%s counted from what it said %s ago\n", cli_text(group, "server"), span);
    }
    const json_t *build = NULL;
    if (is_wide)
        fprintf(out, "\nBuilds\n");
    json_array_foreach(json_object_get(document, "by_build"), i, build)
    {
        if (is_wide)
            fprintf(out,
                    "  %-16s %-28s %4lld   %s the fix\n",
                    cli_text(build, "build"),
                    cli_text(build, "name"),
                    (long long)cli_int(build, "n"),
                    cli_text(build, "fix"));
    }
}

static void symptom_line(FILE *out, const json_t *symptom)
{
    char value[96], age[48] = "";
    struct cas_text text = CAS_TEXT(value), age_text = CAS_TEXT(age);
    const char *unit = cli_text(symptom, "unit");
    if (cli_is_null(symptom, "value"))
        cas_text_add(&text, "not known: %s", cli_text(symptom, "reason"));
    else if (strcmp(unit, "bytes") == 0)
        cli_add_bytes(&text, cli_real(symptom, "value"));
    else if (strcmp(unit, "ms") == 0)
        cas_text_span(&text, (int64_t)cli_real(symptom, "value"));
    else if (strcmp(unit, "count") == 0)
        cas_text_add(&text, "%.0f", cli_real(symptom, "value"));
    else
        cas_text_add(&text, "%.1f %s", cli_real(symptom, "value"), unit);
    if (!cli_is_null(symptom, "age_ms")) {
        cas_text_span(&age_text, cli_int(symptom, "age_ms"));
        cas_text_add(&age_text, " old");
    }
    cli_print_line(out, "  %-20s %-28s %s", cli_text(symptom, "name"), value, age);
}

static void server_history(FILE *out, const json_t *list)
{
    size_t i = 0;
    const json_t *row = NULL;
    json_array_foreach(list, i, row)
    {
        char when[64];
        struct cas_text text = CAS_TEXT(when);
        cli_add_clock(&text, cli_int(row, "at_ms"), CLI_CLOCK_DAY);
        cli_print_line(out,
                       "  %-20s %-12s %-16s %s",
                       when,
                       cli_text(row, "who"),
                       cli_text(row, "verb"),
                       cli_text(row, "words"));
    }
}

static void server_name(FILE *out, const json_t *server)
{
    const char *site = cli_text(server, "site");
    const char *zone = cli_text(server, "zone");
    const char *update = cli_text(server, "update");
    cli_print_line(out,
                   "%s   %s%s%s%s   %s   Exchange %s %s   %s",
                   cli_text(server, "name"),
                   site[0] == '\0' ? "(no site)" : site,
                   zone[0] == '\0' ? "" : " (",
                   zone,
                   zone[0] == '\0' ? "" : ")",
                   cli_text(server, "state"),
                   update[0] == '\0' ? "build not known" : update,
                   cli_text(server, "build"),
                   cli_text(server, "rollout"));
}

static void server_one(FILE *out, const json_t *server)
{
    server_name(out, server);
    fprintf(out,
            "  agent %s   key %s   approved by %s\n",
            cli_text(server, "agent_ver"),
            cli_text(server, "fingerprint"),
            cli_text(server, "approved_by"));
    if (!cli_is_null(server, "health_reason"))
        fprintf(out, "  health: %s\n", cli_text(server, "health_reason"));
    const json_t *held = json_object_get(server, "held");
    if (held != NULL && !json_is_null(held)) {
        char age[64] = "";
        struct cas_text text = CAS_TEXT(age);
        if (!cli_is_null(held, "age_ms")) {
            cas_text_add(&text, " ");
            cas_text_span(&text, cli_int(held, "age_ms"));
            cas_text_add(&text, " ago");
        }
        cli_print_line(out,
                       "  HELD on the server by %s%s: %s",
                       cli_text(held, "by"),
                       age,
                       cli_text(held, "reason"));
    }
    if (!cli_is_null(server, "maintenance"))
        fprintf(out, "  maintenance: %s\n", cli_text(server, "maintenance"));
    size_t i = 0;
    const json_t *row = NULL;
    fprintf(out, "Symptoms\n");
    json_array_foreach(json_object_get(server, "symptoms"), i, row) symptom_line(out, row);
    fprintf(out, "Facts\n");
    json_array_foreach(json_object_get(server, "facts"), i, row)
    {
        bool is_known = !cli_is_null(row, "value");
        fprintf(out,
                "  %-20s %s%s\n",
                cli_text(row, "key"),
                is_known ? "" : "not known: ",
                cli_text(row, is_known ? "value" : "reason"));
    }
    json_array_foreach(json_object_get(server, "events"), i, row)
    {
        if (cli_int(row, "n") > 0)
            fprintf(out,
                    "Event %lld x%lld\n",
                    (long long)cli_int(row, "id"),
                    (long long)cli_int(row, "n"));
    }
    fprintf(out, "History, newest first\n");
    server_history(out, json_object_get(server, "audit"));
}

void cli_print_server(FILE *out, const json_t *document, bool is_wide)
{
    (void)is_wide;
    size_t i = 0;
    const json_t *server = NULL;
    json_array_foreach(json_object_get(document, "items"), i, server)
    {
        if (i > 0)
            fprintf(out, "\n");
        server_one(out, server);
    }
}

static void why_evidence(FILE *out, const json_t *document)
{
    size_t i = 0;
    const json_t *row = NULL;
    json_array_foreach(json_object_get(document, "evidence"), i, row)
    {
        if (i == 0) {
            char when[64];
            struct cas_text text = CAS_TEXT(when);
            cas_text_clear(&text);
            cli_add_clock(&text, cli_int(row, "at_ms"), CLI_CLOCK_SECOND);
            fprintf(out, "Frozen at the halt, %s\n", when);
        }
        cli_print_line(out, "  %s", cli_text(row, "words"));
    }
}

static void why_history(FILE *out, const json_t *document)
{
    const json_t *history = json_object_get(document, "history");
    if (json_array_size(history) == 0)
        return;
    fprintf(out, "History\n");
    server_history(out, history);
}

void cli_print_why(FILE *out, const json_t *document, bool is_wide)
{
    const json_t *rollout = json_object_get(document, "rollout");
    if (rollout != NULL) {
        cli_print_rollout(out, rollout, is_wide);
        if (!cli_is_null(document, "verdict"))
            fprintf(out, "The rollout?  %s\n", cli_text(document, "verdict"));
    } else {
        fprintf(out, "%s is %s\n", cli_text(document, "subject"), cli_text(document, "words"));
    }
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(document, "items"), i, item)
    {
        char age[64] = "";
        struct cas_text text = CAS_TEXT(age);
        if (!cli_is_null(item, "age_ms")) {
            cas_text_span(&text, cli_int(item, "age_ms"));
            cas_text_add(&text, " ago");
        }
        if (cli_is_null(item, "rule"))
            cli_print_line(out, "  %-16s %s", age, cli_text(item, "words"));
        else
            cli_print_line(out,
                           "  %-8s %-7s %s",
                           cli_text(item, "rule"),
                           cli_text(item, "verdict"),
                           cli_text(item, "words"));
    }
    why_evidence(out, document);
    why_history(out, document);
    cli_print_next(out, document, rollout == NULL ? "Next" : "Choose");
}
