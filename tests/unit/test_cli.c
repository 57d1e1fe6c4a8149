#include "controller/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/test.h"
#include "tests/unit/test_zone.h"

/* What a document looks like in that format. Borrowed until the next call. */
static const char *shown(enum cli_format format, const char *document)
{
    static char *text;
    free(text);
    text = NULL;
    const char *path = test_path("shown");
    FILE *out = fopen(path, "w");
    EXPECT_NOT_NULL(out);
    struct cas_why why = {""};
    enum cas_err err = cli_print(out, format, document, &why);
    EXPECT_INT_EQ(0, fclose(out));
    EXPECT_OK(err, &why);
    size_t size = 0;
    text = test_read(path, &size);
    return text;
}

static struct cli_command *parse(const char *const *words, enum cas_err expected, const char *says)
{
    static struct cli_command command;
    char *argv[16] = {NULL};
    char room[16][256];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        (void)snprintf(room[argc], sizeof room[argc], "%s", words[argc]);
        argv[argc] = room[argc];
    }
    struct cas_why why = {""};
    enum cas_err err = cli_parse(argc, argv, &command, &why);
    EXPECT_INT_EQ(expected, err);
    EXPECT_TEXT_HAS(says, why.text);
    return &command;
}
#define WORDS(...)                    \
    (const char *const[])             \
    {                                 \
        "casfleet", __VA_ARGS__, NULL \
    }

/* Why: names may hold what a spreadsheet would run as a formula, or break a row. */
TEST(cli, csv_quotes_and_never_hands_over_a_formula)
{
    const char *text =
        shown(CLI_CSV,
              "{\"kind\":\"AgentList\",\"items\":[{\"name\":\"=cmd|'/c calc'!A0\",\"state\":\"a "
              "\\\"b\\\",c\",\"fingerprint\":\"-1\",\"key\":\"+1\",\"address\":\"@x\","
              "\"agent_ver\":null,\"connected\":true,\"heard_ms\":1800000000000,"
              "\"approved_by\":\"\"}]}");
    EXPECT_TEXT_EQ("name,state,fingerprint,key,address,agent_ver,connected,heard_ms,approved_by\n"
                   "\"'=cmd|'/c calc'!A0\",\"a \"\"b\"\",c\",\"'-1\",\"'+1\",\"'@x\",,yes,"
                   "2027-01-15T08:00:00.000Z,\"\"\n",
                   text);
}

/* Why: not known is a dash in a table, nothing in a spreadsheet, never 0. */
TEST(cli, what_is_not_known_is_no_number)
{
    static const char document[] =
        "{\"kind\":\"ServerList\",\"items\":[{\"name\":\"LON-CAS01\",\"site\":\"LON\",\"update\":"
        "null,"
        "\"fix\":\"unknown\",\"state\":\"silent\",\"requests\":null,\"private_bytes\":null,\"ports_"
        "pct\":0,"
        "\"worker_pid\":null,\"worker_age_ms\":null,\"sample_age_ms\":90000}]}";
    EXPECT_TEXT_EQ(
        "NAME       SITE  EXCHANGE  FIX      STATE   REQUESTS  PRIVATE  PORTS  WORKER  WORKER_AGE  "
        "SAMPLE_AGE  HELD_BY\n"
        "LON-CAS01  LON   -         unknown  silent         -        -    0 %       -           -  "
        "     1 min  -\n",
        shown(CLI_TABLE, document));
    EXPECT_TEXT_HAS(",,,,", shown(CLI_CSV, document));
    EXPECT_TEXT_EQ("LON-CAS01\n", shown(CLI_NAME, document));
}

TEST(cli, a_document_of_another_kind_is_shown_as_it_is)
{
    EXPECT_TEXT_EQ("{\"kind\":\"Later\",\"x\":1}\n",
                   shown(CLI_TABLE, "{\"kind\":\"Later\",\"x\":1}"));
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_FORMAT, cli_print(stdout, CLI_TABLE, "{\"kind\":", &why));
    EXPECT_TEXT_HAS("the answer is no JSON: line 1", why.text);
}

/* Why: percentages of a whole must not add up to more than it, and 0 servers have none. */
TEST(cli, patch_report_rounds_half_up_and_survives_no_servers)
{
    static const char form[] =
        "{\"kind\":\"PatchReport\",\"below\":{\"name\":\"2016:CU11\",\"build\":\"15.1.1591.10\"},"
        "\"items\":[],\"total\":{\"servers\":%d,\"lacks\":%d,\"has\":%d,\"unknown\":%d}}";
    char document[512];
    (void)snprintf(document, sizeof document, form, 112, 34, 77, 1);
    EXPECT_TEXT_HAS("34 (30 %)", shown(CLI_TABLE, document));
    EXPECT_TEXT_HAS("77 (69 %)", shown(CLI_TABLE, document));
    (void)snprintf(document, sizeof document, form, 8, 1, 7, 0);
    EXPECT_TEXT_HAS("1 (13 %)", shown(CLI_TABLE, document));
    (void)snprintf(document, sizeof document, form, 0, 0, 0, 0);
    EXPECT_TEXT_HAS("not known is not compliant", shown(CLI_TABLE, document));
}

static const char plan_form[] =
    "{\"kind\":\"Plan\",\"id\":\"r-0412\",\"verb\":\"recycle\",\"pool\":\"Pool\",\"planned\":%d,"
    "\"chosen\":4,"
    "\"start_ms\":1791936000000,\"until_ms\":1791950400000,\"ends_ms\":1791942000000,\"worst_ms\":"
    "7200000,"
    "\"canary\":%s,\"at_once\":2,\"stop_after\":%d,\"floor_pct\":75,\"other_plans\":0,"
    "\"answering\":3,"
    "\"waves\":[{\"wave\":1,\"servers\":\"LON-CAS05\"},{\"wave\":2,\"servers\":\"LON-CAS[01-02]\"}]"
    ","
    "\"skip\":[{\"server\":\"LON-CAS12\",\"words\":\"has the fix: 2016 CU11\"}],"
    "\"ram\":{\"tightest\":\"LON-CAS01\",\"spare_bytes\":3100000000.0,\"known\":3,\"unfit\":[]},"
    "\"floor\":[{\"group\":\"LON\",\"servers\":4,\"least\":3,\"in_service_worst\":3,\"out_now\":0,"
    "\"holds\":true}],\"fits\":true,\"refused\":%s,\"next\":[]}";

/* Why: the plan is what is agreed to; both times, the order and the floor must stand there. */
TEST(cli, a_plan_says_when_who_first_and_what_holds)
{
    test_zone("GMT0BST,M3.5.0/1,M10.5.0");
    char document[2048];
    (void)snprintf(document, sizeof document, plan_form, 3, "true", 1, "null");
    EXPECT_TEXT_EQ(
        "Plan r-0412: recycle Pool on 3 of 4 servers, Wed 14 Oct 01:00 BST (2026-10-14T00:00Z).   "
        "Nothing is scheduled yet.\n"
        "  skip    LON-CAS12 has the fix: 2016 CU11\n"
        "  order   LON-CAS05 alone first, the least busy; then most urgent first, 2 at a time\n"
        "          wave 1: LON-CAS05\n"
        "          wave 2: LON-CAS[01-02]\n"
        "  now     3 of 3 answer; no other plan open; two workers fit in RAM on the 3 known "
        "(tightest LON-CAS01, 3.1 GB spare)\n"
        "  floor   LON: at least 3 of 4 stay in service (75 %): holds (3 at worst; 0 out now)\n"
        "  time    ends about 02:40, at worst 03:00; window closes 05:00   fits\n"
        "  stop    at the 1st failure.   A server that goes silent has failed and keeps its "
        "slot.\n",
        shown(CLI_TABLE, document));
    static const struct {
        int n;
        const char *words;
    } ordinals[] = {{2, "the 2nd"},
                    {3, "the 3rd"},
                    {4, "the 4th"},
                    {11, "the 11th"},
                    {22, "the 22nd"},
                    {113, "the 113th"}};
    for (size_t i = 0; i < CAS_COUNT(ordinals); i++) {
        (void)snprintf(document, sizeof document, plan_form, 3, "false", ordinals[i].n, "null");
        EXPECT_TEXT_HAS(ordinals[i].words, shown(CLI_TABLE, document));
    }
    EXPECT_TEXT_HAS("  order   most urgent first, 2 at a time\n", shown(CLI_TABLE, document));
    (void)snprintf(document, sizeof document, plan_form, 3, "true", 1, "\"not one may be out\"");
    EXPECT_TEXT_HAS("Refused:  not one may be out\n", shown(CLI_TABLE, document));
}

TEST(cli, the_line_is_understood_in_any_order)
{
    struct cli_command *command = parse(WORDS("recycle",
                                              "-l",
                                              "site=LON",
                                              "plan",
                                              "A",
                                              "B[1-2]",
                                              "--at-once=2",
                                              "-o",
                                              "json",
                                              "--key",
                                              "k",
                                              "--now"),
                                        CAS_OK,
                                        "");
    EXPECT_TEXT_EQ("recycle.plan", command->verb->ask);
    EXPECT_INT_EQ(CLI_JSON, command->format);
    EXPECT_TEXT_EQ("k", command->options.key);
    EXPECT_UINT_EQ(4, command->argument_n);
    EXPECT_SLICE_EQ("selector", command->argument[0].key);
    EXPECT_SLICE_EQ("2", command->argument[1].value);
    EXPECT_SLICE_EQ("now", command->argument[2].value);
    EXPECT_SLICE_EQ("A,B[1-2]", command->argument[3].value);
}

TEST(cli, what_does_not_belong_is_refused_with_what_does)
{
    (void)parse(WORDS("server", "list", "--gap", "1m"),
                CAS_ERR_UNSUPPORTED,
                "casfleet server list does not take --gap; it takes: selector exclude");
    (void)parse(WORDS("status", "--force=1"), CAS_ERR_FORMAT, "--force takes no value");
    (void)parse(WORDS("recycle", "end", "r-1", "--force", "--force"),
                CAS_ERR_EXISTS,
                "given twice");
    (void)parse(WORDS("-o"), CAS_ERR_MISSING, "-o: its value is missing");
    (void)parse(WORDS("recycle", "watch", "r-1", "--every", "99ms"), CAS_ERR_RANGE, "--every: ");
    EXPECT_TRUE(parse(WORDS("help", "recycle", "plan"), CAS_OK, "")->is_help);
    EXPECT_TRUE(parse(WORDS("--version"), CAS_OK, "")->is_version);
}

/* Why: a halted rollout is read at night: when, by which rule, what is left, what can be done. */
TEST(cli, a_halted_rollout_says_when_why_and_what_now)
{
    test_zone("GMT0");
    const char *text = shown(
        CLI_TABLE,
        "{\"kind\":\"Why\",\"what\":\"rollout\",\"subject\":\"r-0415\",\"verdict\":\"Unlikely.\","
        "\"items\":[],"
        "\"history\":[],\"next\":[{\"command\":\"casfleet "
        "a\",\"detail\":\"x\"},{\"command\":\"casfleet "
        "bb\",\"detail\":null}],\"rollout\":{\"id\":\"r-0415\",\"group\":\"FRA\",\"state\":"
        "\"halted\",\"words\":\"stop "
        "rule\",\"stop_after\":1,\"halted_ms\":1800000000000,\"wave\":2,\"waves\":3,\"steps\":4,"
        "\"proved\":1,"
        "\"running\":0,\"failed\":1,\"unknown\":0,\"to_go\":2,\"skipped\":0,\"verb\":\"recycle\","
        "\"hold\":null,"
        "\"items\":[{\"server\":\"FRA-CAS23\",\"attempt\":1,\"state\":\"failed\",\"words\":\"not "
        "healthy in "
        "time\",\"note\":\"503\",\"text\":\"recycled\",\"is_drained\":true,\"acted_ms\":"
        "1800000000000,"
        "\"pid_before\":4120,\"pid_after\":7788},{\"server\":\"FRA-CAS24\",\"state\":\"to go\"},"
        "{\"server\":\"FRA-CAS25\",\"state\":\"to go\"}]}}");
    EXPECT_TEXT_EQ(
        "r-0415 FRA HALTED 08:00:00, rule \"stop after 1\"  wave 2 of 3  #####...............  1 "
        "proved  0 "
        "running  1 failed  2 to go\n"
        "  nothing is running\n"
        "  FRA-CAS23     08:00:00 recycled 4120 -> 7788  failed: not healthy in time (503)\n"
        "                the agent said: recycled\n"
        "                it is left drained on purpose\n"
        "  2 not touched\n"
        "The rollout?  Unlikely.\n"
        "Choose    casfleet a    x\n"
        "          casfleet bb\n",
        text);
}

/* Why: a site and its zone are two words; with one, or three, something was forgotten.
 * How: each number of them. */
TEST(cli, a_site_and_its_zone_are_two_words)
{
    const struct cli_command *command =
        parse(WORDS("site", "zone", "LON", "Europe/London"), CAS_OK, "");
    EXPECT_INT_EQ(2, command->argument_n);
    EXPECT_TRUE(cas_slice_is(command->argument[0].key, "id"));
    EXPECT_TRUE(cas_slice_is(command->argument[1].key, "zone"));
    EXPECT_TRUE(cas_slice_is(command->argument[1].value, "Europe/London"));
    parse(WORDS("site", "zone", "LON"), CAS_ERR_MISSING, "SITE ZONE is missing");
    parse(WORDS("site", "zone"), CAS_ERR_MISSING, "SITE ZONE is missing");
    parse(WORDS("site", "zone", "LON", "UTC", "now"), CAS_ERR_TOO_MANY, "now: one too many");
}
