#include "tests/unit/test.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

/* Why: an error that travels over the wire must keep its name and number for people on the other
 * side. */
TEST(base, errors_have_names_words_and_reactions)
{
    EXPECT_TEXT_EQ("OK", cas_err_name(CAS_OK));
    EXPECT_TEXT_EQ("NOMEM", cas_err_name(CAS_ERR_NOMEM));
    EXPECT_TEXT_EQ("no space left", cas_err_words(CAS_ERR_FULL));
    EXPECT_INT_EQ(CAS_REACTION_OPERATOR, cas_err_reaction(CAS_ERR_MODE));
    EXPECT_INT_EQ(11, CAS_ERR_FULL);
    EXPECT_TEXT_EQ("?", cas_err_name((enum cas_err)250));
    EXPECT_INT_EQ(CAS_REACTION_BUG, cas_err_reaction((enum cas_err)250));
}

TEST(base, error_numbers_are_used_once)
{
    static const int numbers[] = {
#define ERR(name, number, reaction, words) number,
#include "proto/base/errors.def"
#undef ERR
    };
    for (size_t i = 0; i < CAS_COUNT(numbers); i++) {
        for (size_t j = 0; j < i; j++)
            EXPECT_TRUE(numbers[i] != numbers[j]);
    }
}

/* Why: reasons quote what a peer sent; a terminal must not take orders from it. */
TEST(base, reasons_show_control_bytes_as_numbers)
{
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_FORMAT, cas_fail(&why, CAS_ERR_FORMAT, "got %s", "\x1b[2J\xc3\xa4\x7f"));
    EXPECT_TEXT_EQ("got \\x1b[2J\\xc3\\xa4\\x7f", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, cas_fail(NULL, CAS_ERR_FORMAT, "nobody reads this"));
}

TEST(base, reasons_are_cut_at_their_limit)
{
    struct cas_why why = {""};
    char text[CAS_WHY_BYTES + 10];
    memset(text, 'a', sizeof text);
    text[CAS_WHY_BYTES - 1] = '\0';
    (void)cas_fail(&why, CAS_ERR_FORMAT, "%s", text);
    EXPECT_UINT_EQ(CAS_WHY_BYTES - 1, strlen(why.text));
    text[CAS_WHY_BYTES - 1] = 'a';
    text[sizeof text - 1] = '\0';
    (void)cas_fail(&why, CAS_ERR_FORMAT, "%s", text);
    EXPECT_UINT_EQ(CAS_WHY_BYTES - 1, strlen(why.text));
    memset(text, '\n', sizeof text - 1);
    (void)cas_fail(&why, CAS_ERR_FORMAT, "%s", text);
    EXPECT_UINT_EQ((CAS_WHY_BYTES - 1) / 4 * 4, strlen(why.text));
}

TEST(base, slices_copy_only_what_fits)
{
    char text[4] = "xyz";
    EXPECT_OK(cas_slice_copy(cas_slice_of("abc"), text, sizeof text), NULL);
    EXPECT_TEXT_EQ("abc", text);
    EXPECT_ERR(CAS_ERR_TOO_LONG, cas_slice_copy(cas_slice_of("abcd"), text, sizeof text));
    EXPECT_TEXT_EQ("abc", text);
    EXPECT_OK(cas_slice_copy(cas_slice_of(NULL), text, sizeof text), NULL);
    EXPECT_TEXT_EQ("", text);
    EXPECT_TRUE(cas_slice_is(cas_slice_of(NULL), ""));
    EXPECT_FALSE(cas_slice_is(cas_slice_of("ab"), "abc"));
    EXPECT_FALSE(cas_slice_is(cas_slice_of("abc"), "ab"));
}

TEST(base, text_is_cut_at_its_cap_and_says_so)
{
    char data[8];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", "1234567");
    EXPECT_FALSE(text.is_cut);
    cas_text_add(&text, "%s", "");
    EXPECT_FALSE(text.is_cut);
    cas_text_add(&text, "8");
    EXPECT_TRUE(text.is_cut);
    EXPECT_TEXT_EQ("1234567", data);
    cas_text_clear(&text);
    EXPECT_FALSE(text.is_cut);
    EXPECT_TEXT_EQ("", data);
}

/* Why: half a character at the end makes a whole JSON document unreadable. */
TEST(base, text_is_never_cut_inside_a_character)
{
    char data[8];
    struct cas_text text = CAS_TEXT(data);
    static const char *const texts[] = {"123456\xc3\xa4",
                                        "12345\xe2\x82\xac",
                                        "1234\xf0\x9f\x98\x80",
                                        "123456\xe2\x82\xac"};
    static const char *const expected[] = {"123456", "12345", "1234", "123456"};
    for (size_t i = 0; i < CAS_COUNT(texts); i++) {
        cas_text_clear(&text);
        cas_text_add(&text, "%s", texts[i]);
        EXPECT_TEXT_EQ(expected[i], data);
        EXPECT_UINT_EQ(strlen(expected[i]), text.used);
    }
    cas_text_clear(&text);
    cas_text_add(&text, "12345\xc3\xa4x");
    EXPECT_TEXT_EQ("12345\xc3\xa4", data);
}

TEST(base, arena_gives_no_byte_beyond_its_cap)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(100, &arena), NULL);
    unsigned char *first = cas_arena_take(arena, 1, 1);
    EXPECT_NOT_NULL(first);
    first[0] = 1;
    unsigned char *second = cas_arena_take(arena, 84, 1);
    EXPECT_NOT_NULL(second);
    EXPECT_UINT_EQ(0, (uintptr_t)second % _Alignof(max_align_t));
    EXPECT_INT_EQ(0, second[83]);
    EXPECT_NULL(cas_arena_take(arena, 1, 1));
    EXPECT_UINT_EQ(100, cas_arena_used(arena));
    cas_arena_clear(arena);
    EXPECT_NULL(cas_arena_take(arena, 101, 1));
    EXPECT_NULL(cas_arena_take(arena, SIZE_MAX / 2, 4));
    first = cas_arena_take(arena, 100, 1);
    EXPECT_NOT_NULL(first);
    EXPECT_INT_EQ(0, first[0]);
    EXPECT_ERR(CAS_ERR_NOMEM, cas_arena_open(SIZE_MAX, &arena));
}

static const char *whole_number_refused(enum cas_err expected, const char *text)
{
    static struct cas_why why;
    int64_t value = 7;
    EXPECT_ERR(expected, cas_parse_i64(cas_slice_of(text), -5, 50, &value, &why));
    EXPECT_INT_EQ(7, value);
    return why.text;
}

TEST(base, whole_numbers_are_read_to_their_limits)
{
    int64_t value = 0;
    EXPECT_OK(cas_parse_i64(cas_slice_of("9223372036854775807"), 0, INT64_MAX, &value, NULL), NULL);
    EXPECT_INT_EQ(INT64_MAX, value);
    EXPECT_OK(cas_parse_i64(cas_slice_of("-9223372036854775808"), INT64_MIN, 0, &value, NULL),
              NULL);
    EXPECT_INT_EQ(INT64_MIN, value);
    EXPECT_ERR(
        CAS_ERR_RANGE,
        cas_parse_i64(cas_slice_of("9223372036854775808"), INT64_MIN, INT64_MAX, &value, NULL));
    EXPECT_ERR(
        CAS_ERR_RANGE,
        cas_parse_i64(cas_slice_of("-9223372036854775809"), INT64_MIN, INT64_MAX, &value, NULL));
    EXPECT_OK(cas_parse_i64(cas_slice_of("-5"), -5, 50, &value, NULL), NULL);
    EXPECT_OK(cas_parse_i64(cas_slice_of("50"), -5, 50, &value, NULL), NULL);
    EXPECT_TEXT_EQ("51 is outside -5 .. 50", whole_number_refused(CAS_ERR_RANGE, "51"));
    EXPECT_TEXT_EQ("-6 is outside -5 .. 50", whole_number_refused(CAS_ERR_RANGE, "-6"));
    EXPECT_TEXT_EQ("\"5 \" is not a whole number", whole_number_refused(CAS_ERR_FORMAT, "5 "));
    (void)whole_number_refused(CAS_ERR_FORMAT, "");
    (void)whole_number_refused(CAS_ERR_FORMAT, "-");
    (void)whole_number_refused(CAS_ERR_FORMAT, "+5");
    (void)whole_number_refused(CAS_ERR_FORMAT, "0x5");
}

TEST(base, measurements_are_finite_decimals)
{
    double value = 0;
    EXPECT_OK(cas_parse_f64(cas_slice_of("-12.5e-1"), &value, NULL), NULL);
    EXPECT_NEAR(-1.25, value, 0);
    EXPECT_OK(cas_parse_f64(cas_slice_of("+3"), &value, NULL), NULL);
    EXPECT_NEAR(3, value, 0);
    static const char *const bad[] =
        {"", "inf", "nan", "0x10", ".5", "5.", "1e", "1,5", " 1", "1 ", "--1"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, cas_parse_f64(cas_slice_of(bad[i]), &value, NULL));
    EXPECT_ERR(CAS_ERR_RANGE, cas_parse_f64(cas_slice_of("1e400"), &value, NULL));
    EXPECT_TRUE(cas_is_number(DBL_MAX));
    EXPECT_FALSE(cas_is_number((double)INFINITY));
    EXPECT_FALSE(cas_is_number((double)NAN));
}

static int64_t span(const char *text)
{
    struct cas_why why = {""};
    int64_t span_ms = -1;
    EXPECT_OK(cas_parse_span(cas_slice_of(text), 0, INT64_MAX, &span_ms, &why), &why);
    return span_ms;
}

TEST(base, spans_are_read_with_their_units)
{
    EXPECT_INT_EQ(250, span("250ms"));
    EXPECT_INT_EQ(15000, span("15s"));
    EXPECT_INT_EQ(600000, span("10m"));
    EXPECT_INT_EQ(86400000, span("24h"));
    EXPECT_INT_EQ(7 * (int64_t)86400000, span("7d"));
    EXPECT_INT_EQ(5400000, span("1h30m"));
    EXPECT_INT_EQ(93784005, span("1d2h3m4s5ms"));
    EXPECT_INT_EQ(0, span("0s"));
    EXPECT_INT_EQ(INT64_MAX, span("9223372036854775807ms"));
    static const char *const bad[] =
        {"", "15", "s", "15 s", "30m1h", "1h1h", "1.5h", "-1s", "1S", "1s5"};
    int64_t span_ms = 0;
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_FORMAT,
                   cas_parse_span(cas_slice_of(bad[i]), 0, INT64_MAX, &span_ms, NULL));
    EXPECT_ERR(CAS_ERR_RANGE,
               cas_parse_span(cas_slice_of("106751991168d"), 0, INT64_MAX, &span_ms, NULL));
    EXPECT_ERR(CAS_ERR_RANGE,
               cas_parse_span(cas_slice_of("106751991167d999h"), 0, INT64_MAX, &span_ms, NULL));
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_RANGE, cas_parse_span(cas_slice_of("2h"), 1000, 3600000, &span_ms, &why));
    EXPECT_TEXT_EQ("2h is outside 1 s .. 1 h", why.text);
    EXPECT_OK(cas_parse_span(cas_slice_of("1h"), 1000, 3600000, &span_ms, NULL), NULL);
    EXPECT_OK(cas_parse_span(cas_slice_of("1s"), 1000, 3600000, &span_ms, NULL), NULL);
    EXPECT_ERR(CAS_ERR_RANGE, cas_parse_span(cas_slice_of("999ms"), 1000, 3600000, &span_ms, NULL));
}

TEST(base, spans_read_well)
{
    static const struct {
        int64_t ms;
        const char *words;
    } rows[] = {
        {0, "0 s"},
        {999, "999 ms"},
        {41999, "41 s"},
        {60000, "1 min"},
        {3599999, "59 min"},
        {3600000, "1 h"},
        {11520000, "3 h 12 min"},
        {86400000, "24 h"},
        {2 * (int64_t)86400000 - 1, "47 h"},
        {6 * (int64_t)86400000, "6 d"},
        {-41000, "-41 s"},
        {INT64_MIN, "-106751991167 d"},
    };
    char data[64];
    struct cas_text text = CAS_TEXT(data);
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        cas_text_clear(&text);
        cas_text_span(&text, rows[i].ms);
        EXPECT_TEXT_EQ(rows[i].words, data);
    }
}

static const char *utc(int64_t wall_ms)
{
    static char data[64];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
    cas_text_utc(&text, wall_ms);
    return data;
}

TEST(base, instants_read_as_utc)
{
    EXPECT_TEXT_EQ("1970-01-01T00:00:00.000Z", utc(0));
    EXPECT_TEXT_EQ("1969-12-31T23:59:59.999Z", utc(-1));
    EXPECT_TEXT_EQ("2026-10-14T00:00:05.250Z", utc(1791936005250));
    EXPECT_TEXT_EQ("2000-02-29T12:00:00.000Z", utc(951825600000));
    EXPECT_TEXT_EQ("9999-12-31T23:59:59.999Z", utc(253402300799999));
    EXPECT_TEXT_EQ("253402300800000 ms", utc(253402300800000));
    EXPECT_TEXT_EQ("0001-01-01T00:00:00.000Z", utc(-62135596800000));
    EXPECT_TEXT_EQ("-62135596800001 ms", utc(-62135596800001));
    EXPECT_TEXT_EQ("-9223372036854775808 ms", utc(INT64_MIN));
}

/* Why: plans, journals and audits pass instants as text; a day off by one moves a window.
 * How: every day of the calendar from year 1 to 9999 by a stride, and 2000 random instants. */
TEST(base, every_instant_reads_back)
{
    int64_t back = 0;
    for (int64_t ms = -62135596800000; ms < 253402300800000; ms += 31 * (int64_t)86400000 + 1001) {
        EXPECT_OK(cas_parse_utc(cas_slice_of(utc(ms)), &back, NULL), NULL);
        EXPECT_INT_EQ(ms, back);
    }
    struct test_dice dice = {5};
    for (int i = 0; i < 2000; i++) {
        int64_t ms = (int64_t)test_below(&dice, 4102444800000);
        EXPECT_OK(cas_parse_utc(cas_slice_of(utc(ms)), &back, NULL), NULL);
        EXPECT_INT_EQ(ms, back);
    }
}

TEST(base, instants_are_read_strictly)
{
    int64_t wall_ms = 0;
    struct cas_why why = {""};
    EXPECT_OK(cas_parse_utc(cas_slice_of("2026-10-14T01:00Z"), &wall_ms, NULL), NULL);
    EXPECT_INT_EQ(1791939600000, wall_ms);
    EXPECT_OK(cas_parse_utc(cas_slice_of("2024-02-29T00:00:00.1Z"), &wall_ms, NULL), NULL);
    EXPECT_INT_EQ(1709164800100, wall_ms);
    static const char *const bad[] = {
        "",
        "2026-10-14",
        "2026-10-14T01:00",
        "2026-10-14T01:00+01:00",
        "2026-10-14 01:00Z",
        "2026-13-01T00:00Z",
        "2026-02-29T00:00Z",
        "2100-02-29T00:00Z",
        "2026-00-01T00:00Z",
        "2026-01-00T00:00Z",
        "0000-01-01T00:00Z",
        "2026-10-14T24:00Z",
        "2026-10-14T23:60Z",
        "2026-10-14T23:59:60Z",
        "2026-10-14T23:59:5Z",
        "2026-10-14T23:59:59.Z",
        "2026-10-14T23:59:59.0000000001Z",
        "2026-10-14T01:00Z ",
    };
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, cas_parse_utc(cas_slice_of(bad[i]), &wall_ms, &why));
    EXPECT_TEXT_HAS("write it as 2026-10-14T00:00:05.250Z", why.text);
}

TEST(base, hexadecimal_goes_both_ways)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0xab, 0xff};
    char hex[9];
    uint8_t back[4] = {0};
    cas_hex(bytes, sizeof bytes, hex);
    EXPECT_TEXT_EQ("007fabff", hex);
    EXPECT_OK(cas_unhex(cas_slice_of("007FabFF"), back, sizeof back), NULL);
    EXPECT_BYTES_EQ(bytes, back, sizeof back);
    EXPECT_ERR(CAS_ERR_FORMAT, cas_unhex(cas_slice_of("007fabf"), back, sizeof back));
    EXPECT_ERR(CAS_ERR_FORMAT, cas_unhex(cas_slice_of("007fabff00"), back, sizeof back));
    EXPECT_ERR(CAS_ERR_FORMAT, cas_unhex(cas_slice_of("007fabfg"), back, sizeof back));
}

TEST(base, names_are_plain_and_bounded)
{
    char text[65];
    memset(text, 'a', sizeof text);
    EXPECT_TRUE(cas_is_name((struct cas_slice){text, 63}));
    EXPECT_FALSE(cas_is_name((struct cas_slice){text, 64}));
    EXPECT_TRUE(cas_is_name(cas_slice_of("LON-CAS01.corp_2")));
    EXPECT_TRUE(cas_is_name(cas_slice_of("7")));
    static const char *const bad[] =
        {"", "-a", ".a", "_a", "a b", "a/b", "a\n", "\xc3\xa4", "a,b", "a[1]", "a'b", "a;b"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_FALSE(cas_is_name(cas_slice_of(bad[i])));
    EXPECT_FALSE(cas_is_name((struct cas_slice){"a\0b", 3}));
}

TEST(base, clean_text_is_utf8_without_controls)
{
    static const char *const good[] =
        {"", "a b", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xc2\xa0", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\t",
        "\x7f",
        "\xc2\x80", /* a control of the upper range */
        "\xc2\x9f",
        "\x80", /* no lead */
        "\xc3", /* no rest */
        "\xe2\x82",
        "\xe2\x28\xac",
        "\xc0\xaf", /* overlong */
        "\xe0\x80\xaf",
        "\xe0\x82\xac", /* overlong, of something printable */
        "\xf0\x82\x82\xac",
        "\xf0\x80\x80\xaf",
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf8\x88\x80\x80\x80",
        "\xff",
    };
    for (size_t i = 0; i < CAS_COUNT(good); i++)
        EXPECT_TRUE(cas_is_clean_text(cas_slice_of(good[i])));
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_FALSE(cas_is_clean_text(cas_slice_of(bad[i])));
    EXPECT_FALSE(cas_is_clean_text((struct cas_slice){"a\0b", 3}));
}
