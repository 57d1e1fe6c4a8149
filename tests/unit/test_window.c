#include "controller/core/window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

static struct window_rule rule_of(const char *text)
{
    struct window_rule rule = {.text = ""};
    struct cas_why why = {.text = ""};
    EXPECT_OK(window_parse(cas_slice_of(text), &rule, &why), &why);
    return rule;
}

static int64_t utc(const char *text)
{
    int64_t wall_ms = 0;
    EXPECT_OK(cas_parse_utc(cas_slice_of(text), &wall_ms, NULL), NULL);
    return wall_ms;
}

/* "start end" in UTC of the first window after an instant, then its shift. */
static const char *first(const char *rule_text, const char *after, enum window_shift *ret_shift)
{
    static char shown[80];
    struct window_rule rule = rule_of(rule_text);
    struct window_time time = {.day = 0};
    struct cas_why why = {.text = ""};
    size_t n = 0;
    EXPECT_OK(window_next(&rule, utc(after), 1, &time, &n, &why), &why);
    EXPECT_INT_EQ(1, n);
    struct cas_text text = CAS_TEXT(shown);
    cas_text_clear(&text);
    cas_text_utc(&text, time.start_ms);
    cas_text_add(&text, " ");
    cas_text_utc(&text, time.end_ms);
    *ret_shift = time.shift;
    return shown;
}

/* Why: what people say of a calendar is what is meant, in the zone they mean.
 * How: each plain form, asked from the same instant. */
TEST(window, plain_forms_mean_what_they_say)
{
    static const struct {
        const char *rule, *time;
    } cases[] = {
        {"Sat 01:00-05:00 Europe/London", "2026-11-28T01:00:00Z 2026-11-28T05:00:00Z"},
        {"sat 1:00-05:00 Europe/Berlin", "2026-11-28T00:00:00Z 2026-11-28T04:00:00Z"},
        {"daily 03:00", "2026-11-23T03:00:00Z 2026-11-23T07:00:00Z"},
        {"03:00", "2026-11-23T03:00:00Z 2026-11-23T07:00:00Z"},
        {"Sat after patch Tuesday", "2026-12-12T01:00:00Z 2026-12-12T05:00:00Z"},
        {"Tue after patch Tuesday 02:00", "2026-12-15T02:00:00Z 2026-12-15T06:00:00Z"},
        {"Mon after patch Tuesday 02:00", "2026-12-14T02:00:00Z 2026-12-14T06:00:00Z"},
        {"patch Tuesday 22:00-02:00 UTC", "2026-12-08T22:00:00Z 2026-12-09T02:00:00Z"},
        {"Wed,Fri 01:00-02:00", "2026-11-25T01:00:00Z 2026-11-25T02:00:00Z"},
        {"Fri-Mon 23:00-01:00", "2026-11-23T23:00:00Z 2026-11-24T01:00:00Z"},
        {"weekends 01:00-02:00", "2026-11-28T01:00:00Z 2026-11-28T02:00:00Z"},
        {"FREQ=MONTHLY;BYDAY=-1SU 04:00-05:00", "2026-11-29T04:00:00Z 2026-11-29T05:00:00Z"},
        {"RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO from 2026-11-16 01:00",
         "2026-11-30T01:00:00Z 2026-11-30T05:00:00Z"},
    };
    for (size_t i = 0; i < CAS_COUNT(cases); i++) {
        enum window_shift shift = WINDOW_LEAPT_OVER;
        const char *shown = first(cases[i].rule, "2026-11-23T02:00:00Z", &shift);
        char seconds[80];
        struct cas_text text = CAS_TEXT(seconds);
        cas_text_clear(&text);
        for (const char *at = shown; *at != '\0'; at++) {
            if (strncmp(at, ".000", 4) == 0)
                at += 4;
            cas_text_add(&text, "%c", *at);
        }
        EXPECT_TEXT_EQ(cases[i].time, seconds);
        EXPECT_INT_EQ(WINDOW_AS_SAID, shift);
    }
}

/* Why: a clock change must make a start neither vanish nor come twice, and half an hour is one too.
 * How: nights of the 2026 changes. */
TEST(window, clock_changes_move_a_start_to_the_first_valid_instant)
{
    enum window_shift shift = WINDOW_AS_SAID;
    EXPECT_TEXT_HAS("2026-03-29T01:00:00.000Z 2026-03-29T03:00:00.000Z",
                    first("Sun 02:30-05:00 Europe/Berlin", "2026-03-28T12:00:00Z", &shift));
    EXPECT_INT_EQ(WINDOW_AFTER_GAP, shift);
    EXPECT_TEXT_HAS("2026-10-25T00:30:00.000Z",
                    first("Sun 02:30-05:00 Europe/Berlin", "2026-10-24T12:00:00Z", &shift));
    EXPECT_INT_EQ(WINDOW_FIRST_OF_TWO, shift);
    EXPECT_TEXT_HAS("2026-04-23T22:00:00.000Z",
                    first("daily 00:30-02:00 Africa/Cairo", "2026-04-23T12:00:00Z", &shift));
    EXPECT_INT_EQ(WINDOW_AFTER_GAP, shift);
    EXPECT_TEXT_HAS("2026-10-03T15:30:00.000Z",
                    first("Sun 02:15-03:00 Australia/Lord_Howe", "2026-10-03T00:00:00Z", &shift));
    EXPECT_INT_EQ(WINDOW_AFTER_GAP, shift);
    EXPECT_TEXT_HAS("2026-04-04T14:45:00.000Z",
                    first("Sun 01:45-03:00 Australia/Lord_Howe", "2026-04-04T00:00:00Z", &shift));
    EXPECT_INT_EQ(WINDOW_FIRST_OF_TWO, shift);
    (void)first("Sun 02:10-02:50 Europe/Berlin", "2026-03-28T12:00:00Z", &shift);
    EXPECT_INT_EQ(WINDOW_LEAPT_OVER, shift);
}

static const struct window_site sites[] = {{"BER", "Europe/Berlin"},
                                           {"LON", "Europe/London"},
                                           {"NYC", "America/New_York"},
                                           {"PAR", "Europe/Paris"}};

/* "BER 23:30 PAR 23:30 LON 00:30 ": the first openings after an instant, in UTC. */
static const char *
openings(const char *rule_text, const char *after, const char *site, bool has_site, size_t most)
{
    static char shown[256];
    struct window_rule rule = rule_of(rule_text);
    struct window_opening opening[16];
    struct window_cursor cursor = {.ms = utc(after), .site = site, .has_site = has_site};
    struct cas_why why = {.text = ""};
    size_t n = 0;
    EXPECT_OK(window_openings(&rule, sites, CAS_COUNT(sites), &cursor, most, opening, &n, &why),
              &why);
    EXPECT_INT_EQ(most, n);
    struct cas_text text = CAS_TEXT(shown);
    cas_text_clear(&text);
    for (size_t i = 0; i < n; i++) {
        char time[40];
        struct cas_text time_text = CAS_TEXT(time);
        cas_text_clear(&time_text);
        cas_text_utc(&time_text, opening[i].time.start_ms);
        const char *name = window_is_by_site(&rule) ? sites[opening[i].site].name : "-";
        cas_text_add(&text, "%s %.11s ", name, time + 5);
    }
    return shown;
}

/* Why: one rule opens at another instant in each site, and each site's clocks change in a night of
 * its own; what opens at one instant must neither be lost nor come twice.
 * How: four sites, two of them by the same clocks, over the spring of 2026; the cursor on each side
 * of two openings at one instant. */
TEST(window, each_site_opens_by_its_own_clocks)
{
    static const char rule[] = "Sun 02:30-05:00 site";
    EXPECT_TEXT_EQ("BER 03-15T01:30 PAR 03-15T01:30 LON 03-15T02:30 NYC 03-15T06:30 ",
                   openings(rule, "2026-03-14T00:00Z", NULL, false, 4));
    EXPECT_TEXT_EQ("NYC 03-08T07:00 BER 03-15T01:30 ",
                   openings(rule, "2026-03-08T03:00Z", NULL, false, 2));
    EXPECT_TEXT_EQ("BER 03-29T01:00 PAR 03-29T01:00 LON 03-29T01:30 NYC 03-29T06:30 ",
                   openings(rule, "2026-03-28T00:00Z", NULL, false, 4));
    EXPECT_TEXT_EQ("LON 03-15T02:30 ", openings(rule, "2026-03-15T01:30Z", NULL, false, 1));
    EXPECT_TEXT_EQ("PAR 03-15T01:30 ", openings(rule, "2026-03-15T01:30Z", "BER", false, 1));
    EXPECT_TEXT_EQ("BER 03-15T01:30 ", openings(rule, "2026-03-15T01:30Z", "BER", true, 1));
    EXPECT_TEXT_EQ("LON 03-15T02:30 ", openings(rule, "2026-03-15T01:30Z", "PAR", false, 1));
    EXPECT_TEXT_EQ("- 03-15T02:30 - 03-22T02:30 ",
                   openings("Sun 02:30-05:00 UTC", "2026-03-14T00:00Z", NULL, false, 2));
}

/* Why: a rule by site time has no zone of its own, so that nothing takes it for one in UTC.
 * How: it opens nowhere by itself, and as any other by the clocks of a site. */
TEST(window, rule_by_site_time_has_no_clocks_of_its_own)
{
    struct window_rule rule = rule_of("daily 01:00-05:00 Site");
    struct window_time time;
    struct cas_why why = {.text = ""};
    char zone[WINDOW_ZONE_BYTES];
    size_t n = 0;
    int32_t off_s = 0;
    EXPECT_TRUE(window_is_by_site(&rule));
    EXPECT_INT_EQ(CAS_ERR_NOT_FOUND, window_next(&rule, 0, 1, &time, &n, &why));
    struct window_rule own = window_at_site(&rule, "Asia/Kolkata");
    EXPECT_FALSE(window_is_by_site(&own));
    EXPECT_OK(window_next(&own, utc("2026-01-01T00:00Z"), 1, &time, &n, &why), &why);
    EXPECT_TRUE(time.start_ms == utc("2026-01-01T19:30Z"));
    struct window_rule fixed = rule_of("daily 01:00-05:00 UTC");
    own = window_at_site(&fixed, "Asia/Kolkata");
    EXPECT_TEXT_EQ("UTC", own.zone);
    EXPECT_OK(window_zone_check(cas_slice_of("Europe/London"), zone, &why), &why);
    EXPECT_TEXT_EQ("Europe/London", zone);
    EXPECT_INT_EQ(CAS_ERR_NOT_FOUND, window_zone_check(cas_slice_of("Lundon"), zone, &why));
    EXPECT_TEXT_HAS("\"Lundon\": no time zone", why.text);
    EXPECT_INT_EQ(CAS_ERR_NOT_FOUND, window_zone_check(cas_slice_of(""), zone, &why));
    EXPECT_OK(window_offset("Europe/London", utc("2026-07-01T00:00Z"), &off_s, &why), &why);
    EXPECT_INT_EQ(3600, off_s);
}

/* Why: a mistake in a window is found when it is typed, at the place where it stands.
 * How: one mistake each. */
TEST(window, mistakes_name_the_column_the_value_and_what_is_taken)
{
    static const struct {
        const char *rule;
        enum cas_err err;
        const char *words;
    } cases[] = {
        {"", CAS_ERR_FORMAT, "column 1: the window ends; days are daily"},
        {"Caturday 01:00", CAS_ERR_FORMAT, "column 1, \"Caturday\": days are daily"},
        {"Sat 25:00", CAS_ERR_FORMAT, "column 5, \"25:00\": a time of day from 00:00 to 23:59"},
        {"Sat 01:00-1:7", CAS_ERR_FORMAT, "column 5, \"01:00-1:7\""},
        {"Sat 01:00-01:00", CAS_ERR_RANGE, "column 5, \"01:00-01:00\": it ends when it begins"},
        {"Sat 01:00 Europe/Lundon",
         CAS_ERR_NOT_FOUND,
         "column 11, \"Europe/Lundon\": no time zone"},
        {"Sat 01:00 site now", CAS_ERR_FORMAT, "column 16, \"now\": one too many"},
        {"Sat 01:00 UTC now", CAS_ERR_FORMAT, "column 15, \"now\": one too many"},
        {"Sat after tea", CAS_ERR_FORMAT, "column 11, \"tea\": after patch Tuesday"},
        {"Sat,Sun after patch Tuesday", CAS_ERR_FORMAT, "column 1, \"Sat,Sun\": one day after"},
        {"FREQ=HOURLY 01:00", CAS_ERR_RANGE, "column 1, \"FREQ=HOURLY\": an RRULE of days"},
        {"FREQ=DAILY;BYHOUR=3", CAS_ERR_RANGE, "an RRULE of days"},
        {"FREQ=WEEKLY 01:00", CAS_ERR_MISSING, "say from which day it counts"},
        {"FREQ=DAILY;INTERVAL=3", CAS_ERR_MISSING, "say from which day it counts"},
        {"FREQ=SOMETIMES", CAS_ERR_FORMAT, "no RRULE"},
        {"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", CAS_ERR_RANGE, "no day is ever meant"},
        {"   ", CAS_ERR_FORMAT, "column 4: the window ends; days are daily"},
        {"FREQ=DAILY;RSCALE=HEBREW", CAS_ERR_FORMAT, "RSCALE: other calendars are not taken"},
        {"FREQ=DAILY;INTERVAL=1001 from 2026-01-01", CAS_ERR_RANGE, "INTERVAL is 1 to 1000"},
        {"FREQ=DAILY;INTERVAL=2 from 2026-02-29", CAS_ERR_FORMAT, "column 28, \"2026-02-29\""},
    };
    for (size_t i = 0; i < CAS_COUNT(cases); i++) {
        struct window_rule rule;
        struct cas_why why = {.text = ""};
        EXPECT_INT_EQ(cases[i].err, window_parse(cas_slice_of(cases[i].rule), &rule, &why));
        EXPECT_TEXT_HAS(cases[i].words, why.text);
    }
}

/* Why: a limit that is not tested at its edge is none.
 * How: text of 255 and 256 bytes; 1000 and 1001 windows. */
TEST(window, limits_hold_at_their_edge)
{
    char text[WINDOW_TEXT_BYTES + 1];
    static struct window_time time[WINDOW_NEXT_MOST];
    struct window_rule rule;
    struct cas_why why = {.text = ""};
    size_t n = 0;
    memset(text, ' ', sizeof text);
    memcpy(text, "daily", 5);
    EXPECT_OK(window_parse((struct cas_slice){text, WINDOW_TEXT_BYTES - 1}, &rule, &why), &why);
    EXPECT_INT_EQ(CAS_ERR_TOO_LONG,
                  window_parse((struct cas_slice){text, WINDOW_TEXT_BYTES}, &rule, &why));
    EXPECT_OK(window_next(&rule, 0, WINDOW_NEXT_MOST, time, &n, &why), &why);
    EXPECT_INT_EQ(WINDOW_NEXT_MOST, n);
    EXPECT_INT_EQ(CAS_ERR_RANGE, window_next(&rule, 0, WINDOW_NEXT_MOST + 1, time, &n, &why));
}

/* Why: libical looks for a day that never comes up to the year 20000, for seconds; a viewer's
 * preview must not stop the controller. What comes seldom is another matter.
 * How: rules that never come, one that comes in the 40th year and one that comes later; the last
 * year that is looked at. */
TEST(window, what_never_comes_is_not_looked_for_long)
{
    static const char *const never[] = {
        "FREQ=MONTHLY;BYDAY=9MO",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2;BYMONTHDAY=1 from 2026-03-01",
        "FREQ=YEARLY;BYMONTH=12;BYWEEKNO=2;BYDAY=MO",
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29 from 2027-01-01",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;INTERVAL=44;BYMONTH=2;BYMONTHDAY=29 from 2028-03-01",
    };
    struct window_rule rule;
    struct window_time time;
    struct cas_why why = {.text = ""};
    size_t n = 9;
    for (size_t i = 0; i < CAS_COUNT(never); i++) {
        EXPECT_INT_EQ(CAS_ERR_RANGE, window_parse(cas_slice_of(never[i]), &rule, &why));
        EXPECT_TEXT_HAS("no day is ever meant", why.text);
    }
    enum window_shift shift = WINDOW_LEAPT_OVER;
    EXPECT_TEXT_HAS("2068-02-29T01:00",
                    first("FREQ=YEARLY;INTERVAL=40;BYMONTH=2;BYMONTHDAY=29 from 2028-03-01",
                          "2026-01-01T00:00Z",
                          &shift));
    rule = rule_of("daily 01:00");
    EXPECT_OK(window_next(&rule, utc("2199-12-31T12:00Z"), 1, &time, &n, &why), &why);
    EXPECT_INT_EQ(1, n);
    EXPECT_OK(window_next(&rule, utc("2200-01-01T00:00Z"), 1, &time, &n, &why), &why);
    EXPECT_INT_EQ(0, n);
}

#define EVENT(lines) "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" lines "END:VCALENDAR\r\n"

static size_t
read_file(const char *file, size_t cap, struct window_blackout *ret, enum cas_err want)
{
    struct cas_why why = {.text = ""};
    size_t n = 0;
    EXPECT_INT_EQ(want,
                  window_blackouts_read(cas_slice_of(file),
                                        utc("2026-01-01T00:00Z"),
                                        utc("2029-01-01T00:00Z"),
                                        cap,
                                        ret,
                                        &n,
                                        &why));
    EXPECT_TRUE((want != CAS_OK) == (why.text[0] != 0));
    return n;
}

/* Why: a holiday forbids the windows of its day where the window is, not where the calendar was
 * made. How: Christmas as two whole days, against windows that end before and reach into it. */
TEST(window, blackout_days_are_days_of_the_windows_zone)
{
    static const char file[] =
        EVENT("BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Christmas\r\nDTSTART;VALUE=DATE:20261225\r\n"
              "DTEND;VALUE=DATE:20261227\r\nEND:VEVENT\r\n");
    struct window_blackout black[4];
    EXPECT_INT_EQ(1, read_file(file, 4, black, CAS_OK));
    EXPECT_TRUE(black[0].is_day);
    EXPECT_INT_EQ(20261225, black[0].from_day);
    EXPECT_INT_EQ(20261227, black[0].to_day);
    EXPECT_TEXT_EQ("Christmas", black[0].name);
    static const struct {
        const char *rule, *after;
        bool is_black;
    } cases[] = {
        {"Thu 22:00-23:59 Pacific/Auckland", "2026-12-23T00:00Z", false},
        {"Thu 22:00-00:01 Pacific/Auckland", "2026-12-23T00:00Z", true},
        {"Sat 22:00-23:00 Pacific/Auckland", "2026-12-23T00:00Z", true},
        {"Sun 00:00-01:00 Pacific/Auckland", "2026-12-23T00:00Z", false},
    };
    for (size_t i = 0; i < CAS_COUNT(cases); i++) {
        struct window_rule rule = rule_of(cases[i].rule);
        struct window_time time;
        struct cas_why why = {.text = ""};
        size_t n = 0;
        bool is_black = !cases[i].is_black;
        EXPECT_OK(window_next(&rule, utc(cases[i].after), 1, &time, &n, &why), &why);
        EXPECT_OK(window_is_black(&rule, &time, &black[0], &is_black, &why), &why);
        EXPECT_TRUE(cases[i].is_black == is_black);
    }
}

/* Why: calendars come from elsewhere: what recurs is meant each time, what was called off is not,
 * and what is no calendar is refused with the reason.
 * How: small files, one property each. */
TEST(window, calendar_files_are_read_within_bounds)
{
    struct window_blackout black[8];
    EXPECT_INT_EQ(3,
                  read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20200501\r\n"
                                  "RRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n"),
                            8,
                            black,
                            CAS_OK));
    EXPECT_INT_EQ(20260501, black[0].from_day);
    EXPECT_INT_EQ(20260502, black[0].to_day);
    EXPECT_INT_EQ(1,
                  read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:"
                                  "20260701T120000\r\nDURATION:PT2H\r\nEND:VEVENT\r\n"),
                            8,
                            black,
                            CAS_OK));
    EXPECT_TRUE(!black[0].is_day);
    EXPECT_TRUE(black[0].start_ms == utc("2026-07-01T10:00Z"));
    EXPECT_TRUE(black[0].end_ms == utc("2026-07-01T12:00Z"));
    EXPECT_INT_EQ(0,
                  read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260701T120000Z\r\n"
                                  "STATUS:CANCELLED\r\nEND:VEVENT\r\n"),
                            8,
                            black,
                            CAS_OK));
    read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260701T120000Z\r\nRRULE:FREQ=DAILY\r\n"
                    "END:VEVENT\r\n"),
              8,
              black,
              CAS_ERR_TOO_MANY);
    read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260701T120000Z\r\nRRULE:FREQ=SECONDLY\r\n"
                    "END:VEVENT\r\n"),
              8,
              black,
              CAS_ERR_FORMAT);
    read_file(EVENT("BEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\n"), 8, black, CAS_ERR_FORMAT);
    read_file("hello", 8, black, CAS_ERR_FORMAT);
    read_file("BEGIN:VCALENDAR\r\n", 8, black, CAS_ERR_FORMAT);
}

/* Why: components in components could go as deep as a file is long.
 * How: eight are read, nine are refused; so is a byte more than the limit. */
TEST(window, calendar_files_have_limits)
{
    struct window_blackout black[1];
    char file[WINDOW_ICS_BYTES + 2];
    for (int depth = WINDOW_ICS_DEPTH; depth <= WINDOW_ICS_DEPTH + 1; depth++) {
        struct cas_text text = CAS_TEXT(file);
        cas_text_clear(&text);
        for (int i = 0; i < depth; i++)
            cas_text_add(&text, "BEGIN:VCALENDAR\r\n");
        for (int i = 0; i < depth; i++)
            cas_text_add(&text, "END:VCALENDAR\r\n");
        read_file(file, 1, black, depth > WINDOW_ICS_DEPTH ? CAS_ERR_FORMAT : CAS_OK);
    }
    struct cas_text text = CAS_TEXT(file);
    cas_text_clear(&text);
    cas_text_add(&text, "BEGIN:VCALENDAR\r\nX-FILL:");
    while (text.used + 15 < WINDOW_ICS_BYTES)
        cas_text_add(&text, "x");
    cas_text_add(&text, "\r\nEND:VCALENDAR");
    EXPECT_INT_EQ(WINDOW_ICS_BYTES, text.used);
    read_file(file, 1, black, CAS_OK);
    cas_text_add(&text, "\n");
    read_file(file, 1, black, CAS_ERR_TOO_LONG);
}

/* A calendar with n times the same lines in it. */
static const char *
repeated(const char *before, const char *lines, size_t n, const char *after, enum cas_err want)
{
    static char file[WINDOW_ICS_BYTES + 2];
    static struct window_blackout black[1000];
    struct cas_text text = CAS_TEXT(file);
    cas_text_clear(&text);
    cas_text_add(&text, "BEGIN:VCALENDAR\n%s", before);
    for (size_t i = 0; i < n; i++)
        cas_text_add(&text, "%s", lines);
    cas_text_add(&text, "%sEND:VCALENDAR\n", after);
    EXPECT_FALSE(text.is_cut);
    static struct cas_why why;
    size_t found = 0;
    why.text[0] = '\0';
    EXPECT_INT_EQ(want,
                  window_blackouts_read(cas_slice_of(file),
                                        utc("2026-01-01T00:00Z"),
                                        utc("2029-01-01T00:00Z"),
                                        CAS_COUNT(black),
                                        black,
                                        &found,
                                        &why));
    return why.text;
}

#define SPAN(rule) "BEGIN:VEVENT\nDTSTART:20260101T000000Z\n" rule "END:VEVENT\n"
#define ZONE(rule) "BEGIN:STANDARD\nDTSTART:16010101T000000\n" rule "END:STANDARD\n"

/* Why: a small file can ask for years of work: events, recurrences of each, dates they leave out,
 * changes of its own time zones. The controller reads it between two heartbeats.
 * How: each limit as far as it goes, and one more. 1096 days lie between the two instants. */
TEST(window, calendar_files_cannot_ask_for_endless_work)
{
    repeated("", "BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n", WINDOW_ICS_EVENTS, "", CAS_OK);
    EXPECT_TEXT_HAS("the calendar has more than 1000",
                    repeated("",
                             "BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n",
                             WINDOW_ICS_EVENTS + 1,
                             "",
                             CAS_ERR_TOO_MANY));
    const char *rare = SPAN("RRULE:FREQ=DAILY;INTERVAL=1000\n");
    repeated("", rare, WINDOW_ICS_DAYS / 1096, "", CAS_OK);
    EXPECT_TEXT_HAS("more than 250000 days",
                    repeated("", rare, WINDOW_ICS_DAYS / 1096 + 1, "", CAS_ERR_TOO_MANY));
    const char *begin = "BEGIN:VEVENT\nDTSTART:20260101T000000Z\n", *end = "END:VEVENT\n";
    repeated(begin, "EXDATE:20260101T000000Z\n", WINDOW_ICS_EXDATES, end, CAS_OK);
    EXPECT_TEXT_HAS("more than 200 EXDATE",
                    repeated(begin,
                             "EXDATE:20260101T000000Z\n",
                             WINDOW_ICS_EXDATES + 1,
                             end,
                             CAS_ERR_TOO_MANY));
    const char *zone = ZONE("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\n");
    begin = "BEGIN:VTIMEZONE\nTZID:Z\n";
    end = "END:VTIMEZONE\nBEGIN:VEVENT\nDTSTART;TZID=Z:20260101T000000\nEND:VEVENT\n";
    repeated(begin, zone, WINDOW_ICS_OBSERVANCES, end, CAS_OK);
    EXPECT_TEXT_HAS("more than 64 summer and winter times",
                    repeated(begin, zone, WINDOW_ICS_OBSERVANCES + 1, end, CAS_ERR_TOO_MANY));
    repeated(begin, ZONE("RRULE:FREQ=SECONDLY\n"), 1, end, CAS_ERR_FORMAT);
    repeated(begin, ZONE("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\n"), 1, end, CAS_ERR_RANGE);
    repeated("", SPAN("RRULE:FREQ=DAILY;INTERVAL=1001\n"), 1, "", CAS_ERR_RANGE);
    repeated("", SPAN("RRULE:FREQ=MONTHLY;BYDAY=9MO\n"), 1, "", CAS_ERR_RANGE);
    repeated("", SPAN("RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=2\n"), 1, "", CAS_ERR_RANGE);
    repeated("", SPAN("RRULE:RSCALE=HEBREW;FREQ=YEARLY\n"), 1, "", CAS_ERR_FORMAT);
    repeated("", SPAN("RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY\n"), 1, "", CAS_ERR_FORMAT);
    repeated("", "BEGIN:VEVENT\nDTSTART:18991231\nEND:VEVENT\n", 1, "", CAS_ERR_RANGE);
    repeated("", "BEGIN:VEVENT\nDTSTART:20266301\nEND:VEVENT\n", 1, "", CAS_ERR_FORMAT);
}

/* Why: COUNT is counted from the beginning, which may be years ago; a file's own time zone is
 * meant. How: three Wednesdays, the first of them before the time asked for; noon by a zone of five
 * hours.
 */
TEST(window, recurrences_and_zones_of_a_file_mean_what_they_say)
{
    struct window_blackout black[8];
    EXPECT_INT_EQ(2,
                  read_file(EVENT("BEGIN:VEVENT\r\nDTSTART:20251231T120000Z\r\n"
                                  "RRULE:FREQ=WEEKLY;COUNT=3\r\nEND:VEVENT\r\n"),
                            8,
                            black,
                            CAS_OK));
    EXPECT_TRUE(black[1].start_ms == utc("2026-01-14T12:00Z"));
    EXPECT_INT_EQ(
        1,
        read_file(EVENT("BEGIN:VTIMEZONE\r\nTZID:Far\r\n" ZONE(
                      "TZOFFSETFROM:+0500\r\nTZOFFSETTO:+0500\r\n") "END:VTIMEZONE\r\n"
                                                                    "BEGIN:VEVENT\r\nDTSTART;"
                                                                    "TZID=Far:20260701T120000\r\n"
                                                                    "END:VEVENT\r\n"),
                  8,
                  black,
                  CAS_OK));
    EXPECT_TRUE(black[0].start_ms == utc("2026-07-01T07:00Z"));
}

/* Why: what is written is read by other programs; the first of them is our own reader.
 * How: one event with letters that calendars quote, there and back. */
TEST(window, written_calendars_read_back)
{
    struct window_event event = {.uid = "r-0001@casfleet",
                                 .start_ms = utc("2026-07-01T01:00Z"),
                                 .end_ms = utc("2026-07-01T02:30Z"),
                                 .state = WINDOW_EVENT_PLANNED,
                                 .summary = "recycle; LON, nightly\\",
                                 .words = "one\ntwo"};
    char *text = NULL;
    struct window_blackout black[2];
    EXPECT_OK(window_calendar_write(&event, 1, utc("2026-06-01T00:00Z"), &text), NULL);
    EXPECT_INT_EQ(1, read_file(text, 2, black, CAS_OK));
    EXPECT_TEXT_EQ(event.summary, black[0].name);
    EXPECT_TRUE(black[0].start_ms == event.start_ms && black[0].end_ms == event.end_ms);
    EXPECT_TEXT_HAS("STATUS:TENTATIVE", text);
    free(text);
}

/* Why: a rule that does not say when it begins is gone through from shortly before what is asked
 * for; what it gives must be what it gives when all days since 2024 are gone through.
 * How: the same rule with and without its first day said, from dates at the edges of its periods.
 */
TEST(window, where_a_walk_begins_changes_no_window)
{
    static const char *const rules[] = {
        "FREQ=DAILY",
        "FREQ=DAILY;BYMONTH=2",
        "FREQ=DAILY;UNTIL=20290301",
        "FREQ=WEEKLY;BYDAY=MO,SU;WKST=SU",
        "FREQ=WEEKLY;BYDAY=TU,SU;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYYEARDAY=-1",
        "FREQ=YEARLY;BYDAY=-1SU",
    };
    static const char *const after[] = {"2023-12-30T00:00Z",
                                        "2024-01-01T00:59Z",
                                        "2024-01-08T01:00Z",
                                        "2026-01-31T12:00Z",
                                        "2026-02-28T23:59Z",
                                        "2026-12-31T23:59Z",
                                        "2028-02-29T00:30Z",
                                        "2029-02-27T00:00Z",
                                        "2041-06-15T03:00Z"};
    for (size_t r = 0; r < CAS_COUNT(rules); r++) {
        char near_text[120], all_text[160];
        (void)snprintf(near_text, sizeof near_text, "%s 01:00-02:00", rules[r]);
        (void)snprintf(all_text, sizeof all_text, "%s from 2024-01-01 01:00-02:00", rules[r]);
        struct window_rule near = rule_of(near_text), all = rule_of(all_text);
        for (size_t a = 0; a < CAS_COUNT(after); a++) {
            struct window_time near_time[4], all_time[4];
            size_t near_n = 0, all_n = 0;
            EXPECT_OK(window_next(&near, utc(after[a]), 4, near_time, &near_n, NULL), NULL);
            EXPECT_OK(window_next(&all, utc(after[a]), 4, all_time, &all_n, NULL), NULL);
            EXPECT_UINT_EQ(all_n, near_n);
            for (size_t i = 0; i < all_n; i++)
                EXPECT_INT_EQ(all_time[i].start_ms, near_time[i].start_ms);
        }
    }
}
