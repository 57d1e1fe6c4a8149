#include "tests/unit/test.h"

#include <stdio.h>

#include "proto/base/options.h"

/* A table with one row of each kind. */
#define TABLE(OPTION)                                                    \
    OPTION(controller, TEXT, "", 1, 200, "where the controller listens") \
    OPTION(site, TEXT, "LON", 1, 8, "site label")                        \
    OPTION(key_file, PATH, "agent.key", 1, 1000, "own key")              \
    OPTION(sample, SPAN, "15s", 1000, 3600000, "gap between samples")    \
    OPTION(at_once, COUNT, "1", 1, 64, "servers at a time")              \
    OPTION(drain, FLAG, "off", 0, 1, "drain first")                      \
    OPTION(pools, LIST, "MSExchangeSyncAppPool", 1, 3, "pools that may be recycled")

#define MEMBER(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#define ROW(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct test_options, name, kind, preset, least, most, words),

struct test_options {
    TABLE(MEMBER)
};
static const struct options_row rows[] = {TABLE(ROW)};
static const struct options_program program =
    {"casfleet-test", "a program", "[OPTION...]", "", rows, CAS_COUNT(rows)};
static struct test_options options;
static struct cas_why why;

static enum cas_err parse(const char *text)
{
    why.text[0] = '\0';
    return options_parse(&program, "agent.ini", cas_slice_of(text), &options, &why);
}

static const char *refused(const char *text)
{
    EXPECT_ERR(CAS_ERR_CONFIG, parse(text));
    return why.text;
}

static enum cas_err load(struct options_ask *ret_ask, const char *const *arguments, int argument_n)
{
    char *argv[32] = {0};
    static char words[32][OPTIONS_PATH_BYTES];
    for (int i = 0; i < argument_n; i++) {
        (void)snprintf(words[i], sizeof words[i], "%s", arguments[i]);
        argv[i] = words[i];
    }
    why.text[0] = '\0';
    return options_load(&program, argument_n, argv, &options, ret_ask, &why);
}
#define LOAD(ask, ...)                               \
    load((ask),                                      \
         (const char *const[]){"test", __VA_ARGS__}, \
         (int)CAS_COUNT(((const char *[]){"test", __VA_ARGS__})))

static struct options_ask ask;

static const char *flags_refused(enum cas_err expected, const char *first, const char *second)
{
    EXPECT_ERR(expected, LOAD(&ask, first, second, "--controller=c"));
    return why.text;
}

TEST(options, presets_hold_where_nothing_is_said)
{
    EXPECT_OK(parse("controller = tcp://10.0.0.5:5670\n"), &why);
    EXPECT_TEXT_EQ("tcp://10.0.0.5:5670", options.controller);
    EXPECT_TEXT_EQ("LON", options.site);
    EXPECT_TEXT_EQ("agent.key", options.key_file);
    EXPECT_INT_EQ(15000, options.sample_ms);
    EXPECT_INT_EQ(1, options.at_once);
    EXPECT_FALSE(options.drain);
    EXPECT_INT_EQ(1, options.pools.item_n);
    EXPECT_TEXT_EQ("MSExchangeSyncAppPool", options.pools.item[0]);
}

TEST(options, a_file_sets_every_kind)
{
    EXPECT_OK(parse("; a comment\n# another\n\ncontroller=c\n  site = NYC ; why\nkey-file = "
                    "/k\nsample = 1m30s\n"
                    "at-once = 2\ndrain = yes\npools = A, B\npools = C\n"),
              &why);
    EXPECT_TEXT_EQ("NYC", options.site);
    EXPECT_TEXT_EQ("/k", options.key_file);
    EXPECT_INT_EQ(90000, options.sample_ms);
    EXPECT_INT_EQ(2, options.at_once);
    EXPECT_TRUE(options.drain);
    EXPECT_INT_EQ(3, options.pools.item_n);
    EXPECT_TEXT_EQ("B", options.pools.item[1]);
    EXPECT_TEXT_EQ("C", options.pools.item[2]);
}

/* Why: a typing error must be found at start, not in the night; the reason says where and what was
 * meant. */
TEST(options, refusals_name_file_line_value_and_limit)
{
    EXPECT_TEXT_EQ("agent.ini:2: sampel: no such option; did you mean sample?",
                   refused("controller=c\nsampel = 5s\n"));
    EXPECT_TEXT_EQ("agent.ini:1: quite_another: no such option", refused("quite_another = 5s\n"));
    EXPECT_TEXT_EQ("agent.ini:2: sample: 2h is outside 1 s .. 1 h",
                   refused("controller=c\nsample = 2h"));
    EXPECT_TEXT_EQ("agent.ini:1: at_once: 65 is outside 1 .. 64", refused("at_once = 65\n"));
    EXPECT_TEXT_EQ("agent.ini:1: at_once: \"two\" is not a whole number",
                   refused("at_once = two\n"));
    EXPECT_TEXT_EQ("agent.ini:1: site: has 9 bytes, allowed are 1 .. 8",
                   refused("site = 123456789\n"));
    EXPECT_TEXT_EQ("agent.ini:1: site: has 0 bytes, allowed are 1 .. 8", refused("site =\n"));
    EXPECT_TEXT_EQ("agent.ini:1: drain: \"maybe\" is neither on nor off",
                   refused("drain = maybe\n"));
    EXPECT_TEXT_EQ("agent.ini:3: site: given twice", refused("site = A\n\nsite = A\n"));
    EXPECT_TEXT_EQ("agent.ini:2: pools: has more than 3 items",
                   refused("pools = A, B\npools = C, D\n"));
    EXPECT_TEXT_EQ("agent.ini:1: pools: has an empty item", refused("pools = A,,B\n"));
    EXPECT_TEXT_EQ("agent.ini:2: is neither \"key = value\", a comment nor empty",
                   refused("\nwords\n"));
    EXPECT_TEXT_EQ("agent.ini:2: site: stands in a [section]; this file has none",
                   refused("[agent]\nsite = A\n"));
    EXPECT_TEXT_EQ("agent.ini: controller is missing: where the controller listens",
                   refused("site = A\n"));
    EXPECT_TEXT_HAS("has bytes that are not UTF-8 text: \"\\xe4\"", refused("site = \xe4\n"));
}

TEST(options, limits_hold_at_their_edges)
{
    EXPECT_OK(parse("controller=c\nat_once = 64\nsample = 1h\nsite = 12345678\npools = A,B,C"),
              &why);
    EXPECT_OK(parse("controller=c\nat_once = 1\nsample = 1s\nsite = 1"), &why);
    (void)refused("controller=c\nat_once = 0");
    (void)refused("controller=c\nsample = 999ms");
}

/* Why: these files are edited with Notepad. */
TEST(options, what_windows_editors_save_is_read_or_named)
{
    EXPECT_OK(parse("\xef\xbb\xbf"
                    "controller = c\r\nsite = NYC\r\n"),
              &why);
    EXPECT_TEXT_EQ("NYC", options.site);
    struct cas_slice wide = {"\xff\xfe"
                             "c\0=\0c\0",
                             8};
    EXPECT_ERR(CAS_ERR_CONFIG, options_parse(&program, "agent.ini", wide, &options, &why));
    EXPECT_TEXT_HAS("agent.ini: is UTF-16 text", why.text);
    EXPECT_TEXT_HAS("save it as UTF-8", why.text);
    struct cas_slice bare = {"c\0=\0c\0", 6};
    EXPECT_ERR(CAS_ERR_CONFIG, options_parse(&program, "agent.ini", bare, &options, &why));
    EXPECT_TEXT_HAS("is UTF-16 text", why.text);
    struct cas_slice zero = {"controller=c\nsite=\0", 19};
    EXPECT_ERR(CAS_ERR_CONFIG, options_parse(&program, "agent.ini", zero, &options, &why));
    EXPECT_TEXT_HAS("has a zero byte", why.text);
}

/* Why: inih takes an indented line for more of the line before; people indent. */
TEST(options, an_indented_key_is_a_key)
{
    EXPECT_OK(parse("controller = c\n    site = NYC\n\tat_once = 3\n"), &why);
    EXPECT_TEXT_EQ("NYC", options.site);
    EXPECT_INT_EQ(3, options.at_once);
}

TEST(options, a_line_that_is_too_long_is_refused_not_split)
{
    char text[OPTIONS_PATH_BYTES * 8];
    memset(text, 'a', sizeof text);
    memcpy(text, "site = ", 7);
    text[sizeof text - 1] = '\0';
    EXPECT_TEXT_HAS("agent.ini:1: a line may have ", refused(text));
}

TEST(options, flags_win_over_the_file)
{
    const char *path = test_path("agent.ini");
    static const char text[] =
        "controller = c\nsite = NYC\npools = A, B\nkey_file = keys/agent.key\n";
    test_write(path, text, sizeof text - 1);
    EXPECT_OK(LOAD(&ask,
                   "run",
                   "--config",
                   path,
                   "--site=FRA",
                   "--pools",
                   "C",
                   "--at-once",
                   "4",
                   "--drain",
                   "--",
                   "--x"),
              &why);
    EXPECT_INT_EQ(OPTIONS_RUN, ask.wish);
    EXPECT_TEXT_EQ(path, ask.config);
    EXPECT_TEXT_EQ("c", options.controller);
    EXPECT_TEXT_EQ("FRA", options.site);
    EXPECT_INT_EQ(1, options.pools.item_n);
    EXPECT_TEXT_EQ("C", options.pools.item[0]);
    EXPECT_INT_EQ(4, options.at_once);
    EXPECT_TRUE(options.drain);
    EXPECT_TEXT_EQ(test_path("keys/agent.key"), options.key_file);
    EXPECT_INT_EQ(2, ask.word_n);
    EXPECT_TEXT_EQ("run", ask.word[0]);
    EXPECT_TEXT_EQ("--x", ask.word[1]);
}

TEST(options, wrong_flags_are_refused_by_name)
{
    EXPECT_TEXT_EQ("--sampel: no such option; did you mean sample?",
                   flags_refused(CAS_ERR_CONFIG, "--sampel=5s", "x"));
    EXPECT_TEXT_EQ("--sample: 2h is outside 1 s .. 1 h",
                   flags_refused(CAS_ERR_CONFIG, "--sample", "2h"));
    EXPECT_TEXT_EQ("--site: given twice", flags_refused(CAS_ERR_CONFIG, "--site=A", "--site=B"));
    EXPECT_TEXT_EQ("--config: given twice",
                   flags_refused(CAS_ERR_CONFIG, "--config=A", "--config=B"));
    EXPECT_TEXT_EQ("-x: no such option; see --help", flags_refused(CAS_ERR_CONFIG, "-x", "B"));
    EXPECT_TEXT_HAS("none.ini: cannot open",
                    flags_refused(CAS_ERR_NOT_FOUND, "--config", test_path("none.ini")));
    EXPECT_ERR(CAS_ERR_CONFIG, LOAD(&ask, "--controller=c", "--site"));
    EXPECT_TEXT_EQ("--site: needs a value", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, LOAD(&ask, "--check"));
    EXPECT_TEXT_EQ("casfleet-test: controller is missing: where the controller listens", why.text);
}

TEST(options, at_most_sixteen_words_are_taken)
{
    const char *words[OPTIONS_WORDS + 3] = {"test", "--controller=c"};
    for (size_t i = 2; i < CAS_COUNT(words); i++)
        words[i] = "w";
    EXPECT_OK(load(&ask, words, OPTIONS_WORDS + 2), &why);
    EXPECT_INT_EQ(OPTIONS_WORDS, ask.word_n);
    EXPECT_ERR(CAS_ERR_TOO_MANY, load(&ask, words, OPTIONS_WORDS + 3));
}

TEST(options, check_help_and_version_are_told_apart)
{
    EXPECT_OK(LOAD(&ask, "--check", "--controller=c"), &why);
    EXPECT_INT_EQ(OPTIONS_CHECK, ask.wish);
    EXPECT_OK(LOAD(&ask, "--nonsense", "--help"), &why);
    EXPECT_INT_EQ(OPTIONS_HELP, ask.wish);
    EXPECT_OK(LOAD(&ask, "--version"), &why);
    EXPECT_INT_EQ(OPTIONS_VERSION, ask.wish);
}

TEST(options, help_is_printed_from_the_table)
{
    static char data[OPTIONS_HELP_BYTES];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    options_help(&program, &out);
    EXPECT_TEXT_HAS("use: casfleet-test [OPTION...]\n", data);
    EXPECT_TEXT_HAS("  --controller TEXT         where the controller listens (required)\n", data);
    EXPECT_TEXT_HAS("  --sample SPAN             gap between samples (preset 15s; 1 s .. 1 h)\n",
                    data);
    EXPECT_TEXT_HAS("  --at-once N               servers at a time (preset 1; 1 .. 64)\n", data);
    EXPECT_TEXT_HAS("  --version ", data);
    EXPECT_FALSE(out.is_cut);
}

TEST(options, what_is_shown_is_read_back_the_same)
{
    static char data[4096];
    struct cas_text out = CAS_TEXT(data);
    EXPECT_OK(parse("controller=c\nsample=1m30s\nat_once=7\ndrain=on\npools=A,B\nkey_file=/k\n"),
              &why);
    cas_text_clear(&out);
    options_show(&program, &options, &out);
    EXPECT_TEXT_EQ("controller = c\nsite = LON\nkey_file = /k\nsample = 1m30s\nat_once = 7\ndrain "
                   "= on\npools = A, B\n",
                   data);
    options.sample_ms = 0;
    EXPECT_OK(parse(data), &why);
    EXPECT_INT_EQ(90000, options.sample_ms);
    EXPECT_INT_EQ(2, options.pools.item_n);
}
