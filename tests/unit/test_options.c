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
    EXPECT_TEXT_EQ("--site: has bytes that are not UTF-8 text: \"\\xe4\"",
                   flags_refused(CAS_ERR_CONFIG, "--site=\xe4", "x"));
}

TEST(options, limits_hold_at_their_edges)
{
    EXPECT_OK(parse("controller=c\nat_once = 64\nsample = 1h\nsite = 12345678\npools = A,B,C"),
              &why);
    EXPECT_OK(parse("controller=c\nat_once = 1\nsample = 1s\nsite = 1"), &why);
    (void)refused("controller=c\nat_once = 0");
    (void)refused("controller=c\nsample = 999ms");
}

static enum cas_err parse_bytes(const char *bytes, size_t size)
{
    why.text[0] = '\0';
    return options_parse(&program, "agent.ini", (struct cas_slice){bytes, size}, &options, &why);
}

static const char *bytes_refused(const char *bytes, size_t size)
{
    EXPECT_ERR(CAS_ERR_CONFIG, parse_bytes(bytes, size));
    return why.text;
}

/* ASCII and marks up to U+00FF as UTF-16 with its mark; the bytes stay until the next call. */
static struct cas_slice wide(const char *text, bool is_big)
{
    static char bytes[512];
    size_t used = 0;
    bytes[used++] = is_big ? '\xfe' : '\xff';
    bytes[used++] = is_big ? '\xff' : '\xfe';
    for (const char *at = text; *at != '\0'; at++) {
        bytes[used++] = is_big ? '\0' : *at;
        bytes[used++] = is_big ? *at : '\0';
    }
    return (struct cas_slice){bytes, used};
}

/* Why: these files are edited with Notepad, which has saved them in every one of these ways. */
TEST(options, what_windows_editors_save_is_read)
{
    EXPECT_OK(parse("\xef\xbb\xbf"
                    "controller = c\r\nsite = NYC\r\n"),
              &why);
    EXPECT_TEXT_EQ("NYC", options.site);
    for (int is_big = 0; is_big <= 1; is_big++) {
        struct cas_slice text = wide("controller = c\r\nsite = K\xf6ln\r\n", is_big != 0);
        EXPECT_OK(parse_bytes(text.data, text.size), &why);
        EXPECT_TEXT_EQ("K\xc3\xb6ln", options.site);
    }
    /* Beyond the first 65536 characters: a pair of units. */
    static const char pair[] = "\xff\xfe"
                               "c\0o\0n\0t\0r\0o\0l\0l\0e\0r\0=\0\x3d\xd8\x00\xde";
    EXPECT_OK(parse_bytes(pair, sizeof pair - 1), &why);
    EXPECT_TEXT_EQ("\xf0\x9f\x98\x80", options.controller);
}

/* Why: the line a person looks for must be the line of the file as the editor shows it. */
TEST(options, reasons_name_the_line_whatever_the_encoding)
{
    struct cas_slice text = wide("controller = c\r\n\r\nsampel = 5s\r\n", false);
    EXPECT_TEXT_EQ("agent.ini:3: sampel: no such option; did you mean sample?",
                   bytes_refused(text.data, text.size));
    EXPECT_TEXT_EQ("agent.ini:2: sample: 2h is outside 1 s .. 1 h",
                   refused("\xef\xbb\xbf"
                           "controller=c\r\nsample = 2h\r\n"));
}

/* Why: an editor that saves its own code page would give another name than the one on the screen.
 */
TEST(options, bytes_that_are_no_text_are_named_by_line_and_column)
{
    EXPECT_TEXT_EQ("agent.ini:2:9: byte 0xf6 is not UTF-8 text; in Notepad save it with the "
                   "encoding UTF-8",
                   refused("controller = c\r\nsite = K\xf6ln\r\n"));
    /* A letter of two bytes is one column. */
    EXPECT_TEXT_HAS("agent.ini:1:4: byte 0xff", refused(";\xc3\xb6 \xff\n"));
    EXPECT_TEXT_HAS("agent.ini:1:3: byte 0xc3", refused("; \xc3"));
    EXPECT_TEXT_HAS("agent.ini:2:6: has a zero byte", bytes_refused("controller=c\nsite=\0", 19));
    EXPECT_TEXT_HAS("is UTF-16 text without its mark", bytes_refused("c\0=\0c\0", 6));
    EXPECT_TEXT_HAS("agent.ini:1:2: half a character", bytes_refused("\xff\xfe;\0x", 5));
    EXPECT_TEXT_HAS("agent.ini:1:2: half a character", bytes_refused("\xff\xfe;\0\x00\xdc", 6));
    EXPECT_TEXT_HAS("agent.ini:1:2: half a character", bytes_refused("\xff\xfe;\0\x00\xd8", 6));
    EXPECT_TEXT_HAS("agent.ini:1:1: has a zero byte", bytes_refused("\0\0\0", 3));
}

/* Why: size is checked before memory is asked for. */
TEST(options, a_text_has_its_limit)
{
    static char text[CONFIG_BYTES + 2];
    memset(text, '\n', sizeof text);
    memcpy(text, "controller=c", 12);
    EXPECT_OK(parse_bytes(text, CONFIG_BYTES), &why);
    EXPECT_ERR(CAS_ERR_TOO_LONG, parse_bytes(text, CONFIG_BYTES + 1));
    EXPECT_TEXT_EQ("agent.ini: has 65537 bytes, at most 65536 are read", why.text);
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

/* ---- flags alone, and flags into a file ---- */

static bool is_given[CAS_COUNT(rows)];

static enum cas_err flags_of(const char *first, const char *second)
{
    char words[3][64];
    char *argv[3] = {words[0], words[1], words[2]};
    (void)snprintf(words[0], sizeof words[0], "test");
    (void)snprintf(words[1], sizeof words[1], "%s", first);
    (void)snprintf(words[2], sizeof words[2], "%s", second);
    why.text[0] = '\0';
    return options_flags(&program, 3, argv, &options, is_given, &ask, &why);
}

/* Why: the service is installed before its file is there, and only what was given is written. */
TEST(options, flags_alone_need_no_file_and_say_what_was_given)
{
    EXPECT_OK(flags_of("install", "--config=/there/is/none.ini"), &why);
    EXPECT_TEXT_EQ("install", ask.word[0]);
    EXPECT_TEXT_EQ("/there/is/none.ini", ask.config);
    for (size_t i = 0; i < CAS_COUNT(rows); i++)
        EXPECT_FALSE(is_given[i]);
    EXPECT_OK(flags_of("--site=NYC", "--drain"), &why);
    EXPECT_TRUE(is_given[1]);
    EXPECT_TRUE(is_given[5]);
    EXPECT_FALSE(is_given[0]);
    EXPECT_ERR(CAS_ERR_CONFIG, flags_of("install", "--sample=2h"));
}

static const char *merged(const char *text)
{
    static char data[CONFIG_BYTES + 1];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    EXPECT_OK(
        options_merge(&program, "agent.ini", cas_slice_of(text), &options, is_given, &out, &why),
        &why);
    return data;
}

/* Why: what a person wrote into the file, comments too, must outlive an update. */
TEST(options, a_merge_replaces_what_was_given_and_keeps_the_rest)
{
    EXPECT_OK(flags_of("--site=NYC", "--pools=C"), &why);
    EXPECT_TEXT_EQ("site = NYC\npools = C\n", merged(""));
    EXPECT_TEXT_EQ("; ours\nsite = NYC\nat_once = 2\n; site = X\npools = C\n",
                   merged("; ours\n  site=LON\nat_once = 2\n; site = X\npools = A\npools = B"));
    EXPECT_TEXT_EQ("controller = c\r\nsite = NYC\r\npools = C\r\n",
                   merged("\xef\xbb\xbf"
                          "controller = c\r\n"));
    EXPECT_OK(flags_of("--key-file=/k", "--at-once=3"), &why);
    EXPECT_TEXT_EQ("key_file = /k\nat_once = 3\n", merged("key-file = /old\nat-once = 1\n"));
}

TEST(options, a_merge_without_room_says_so)
{
    char data[12];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    EXPECT_OK(flags_of("--site=NYC", "--at-once=3"), &why);
    EXPECT_ERR(
        CAS_ERR_TOO_LONG,
        options_merge(&program, "agent.ini", cas_slice_of(""), &options, is_given, &out, &why));
    EXPECT_TEXT_EQ("agent.ini: has no room for what was given: at most 11 bytes", why.text);
}

/* Why: what deletes must be said each time, and never stand in a file. */
TEST(options, what_is_said_once_stands_in_no_file)
{
    struct once_options {
        bool remove_state;
    };
    static const struct options_row once_rows[] = {
        OPTIONS_ROW(struct once_options, remove_state, ONCE, "off", 0, 1, "delete it too"),
    };
    static const struct options_program once = {"once", "", "", "", once_rows, 1};
    struct once_options values;
    char flag[] = "--remove-state";
    char name[] = "once";
    char *argv[] = {name, flag};
    EXPECT_OK(options_load(&once, 2, argv, &values, &ask, &why), &why);
    EXPECT_TRUE(values.remove_state);
    EXPECT_ERR(CAS_ERR_CONFIG,
               options_parse(&once, "a.ini", cas_slice_of("remove_state = on\n"), &values, &why));
    EXPECT_TEXT_EQ("a.ini:1: remove_state: is said on the command line only", why.text);
    char shown[64];
    struct cas_text out = CAS_TEXT(shown);
    cas_text_clear(&out);
    options_show(&once, &values, &out);
    EXPECT_TEXT_EQ("", shown);
}
