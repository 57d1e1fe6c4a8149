#include "controller/ask/ask_room.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/test.h"
#include "tests/unit/test_zone.h"

#define LONDON "GMT0BST,M3.5.0/1,M10.5.0"

/* When does this begin, as UTC, typed at that instant? "refused" for what is no time. */
static const char *when(const char *text, const char *now_utc)
{
    static char shown[2][40];
    static size_t turn;
    struct cas_now now = {.mono_ms = 1};
    EXPECT_OK(cas_parse_utc(cas_slice_of(now_utc), &now.wall_ms, NULL), NULL);
    struct cas_why why = {""};
    int64_t wall_ms = 0;
    if (ask_when(cas_slice_of(text), now, &wall_ms, &why) != CAS_OK)
        return "refused";
    turn = 1 - turn;
    struct cas_text out = CAS_TEXT(shown[turn]);
    cas_text_clear(&out);
    cas_text_utc(&out, wall_ms);
    shown[turn][16] = '\0'; /* to the minute */
    return shown[turn];
}

/* Why: a window typed in local time must open at that time, and never a day late. */
TEST(ask, a_time_of_day_is_the_next_one)
{
    test_zone(LONDON);
    EXPECT_TEXT_EQ("2026-10-15T00:00", when("01:00", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-15T00:00", when("tonight 01:00", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-14T22:30", when("today 23:30", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-15T22:30", when("tomorrow 23:30", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-14T08:00", when("now", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-20T01:02", when("2026-10-20T01:02Z", "2026-10-14T08:00Z"));
    /* At the very minute it is past; one minute before it is still to come. */
    EXPECT_TEXT_EQ("2026-10-15T08:00", when("09:00", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2026-10-14T08:01", when("09:01", "2026-10-14T08:00Z"));
    EXPECT_TEXT_EQ("2027-01-01T00:30", when("tonight 00:30", "2026-12-31T22:00Z"));
}

/* Why: twice a year an hour is missing or comes twice; a plan starts at the first valid instant,
 * and once. How: London, where 01:00 leaps to 02:00 on 28 March 2027 and 02:00 goes back to 01:00
 * on 25 October 2026. */
TEST(ask, a_time_in_a_clock_change_is_its_first_valid_instant)
{
    test_zone(LONDON);
    EXPECT_TEXT_EQ("2027-03-28T01:00", when("01:30", "2027-03-27T12:00Z"));
    EXPECT_TEXT_EQ("2027-03-28T01:00", when("tomorrow 01:00", "2027-03-27T12:00Z"));
    EXPECT_TEXT_EQ("2027-03-28T01:00", when("02:00", "2027-03-27T12:00Z"));
    EXPECT_TEXT_EQ("2027-03-28T00:59", when("00:59", "2027-03-27T12:00Z"));
    EXPECT_TEXT_EQ("2026-10-25T00:30", when("01:30", "2026-10-24T12:00Z"));
    EXPECT_TEXT_EQ("2026-10-25T02:00", when("02:00", "2026-10-24T12:00Z"));
    /* Between the two 01:30s of that night the second one is not another night's start. */
    EXPECT_TEXT_EQ("2026-10-26T01:30", when("01:30", "2026-10-25T00:45Z"));
}

/* How: Santiago's midnight leaps to 01:00, and Apia skipped a whole day; here only the first is
 * known to the rule. */
TEST(ask, a_midnight_that_does_not_exist_is_the_hour_after)
{
    test_zone("<-04>4<-03>,M9.1.6/24,M4.1.6/24");
    EXPECT_TEXT_EQ("2026-09-06T04:00", when("tonight 00:30", "2026-09-05T20:00Z"));
    test_zone(LONDON);
}

TEST(ask, what_is_no_time_is_refused)
{
    test_zone(LONDON);
    static const char *const bad[] = {"",
                                      "soon",
                                      "24:00",
                                      "1:60",
                                      "01:0",
                                      "001:00",
                                      "-1:00",
                                      "tonight",
                                      "tonight01:00",
                                      "tomorrow 01:00 ",
                                      "2026-02-30T00:00Z",
                                      "2026-10-15 00:00"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_TEXT_EQ("refused", when(bad[i], "2026-10-14T08:00Z"));
}

/* One question, as an operator of that role asks it of an empty fleet. */
static struct ask_reply ask_of(enum ask_role role, const char *verb, size_t argument_n)
{
    static struct record_argument argument[2];
    argument[0] = (struct record_argument){cas_slice_of("colour"), cas_slice_of("red")};
    argument[1] = argument[0];
    struct message_ask ask = {.id = 1, .verb = cas_slice_of(verb)};
    ask.arguments = argument;
    ask.arguments_n = argument_n;
    struct ask_operator who = {.name = "ops.a", .role = role};
    CAS_AUTO(inventory) inventory = NULL;
    EXPECT_OK(inventory_open(&inventory), NULL);
    struct ask_scene scene = {.now = {.wall_ms = 1800000000000, .mono_ms = 1},
                              .inventory = inventory};
    struct ask_reply reply;
    ask_answer(&scene, &who, &ask, &reply);
    return reply;
}

TEST(ask, what_nobody_knows_is_a_usage_error_that_says_so)
{
    struct ask_reply reply = ask_of(ASK_ADMIN, "server.reboot", 0);
    EXPECT_INT_EQ(ASK_EXIT_USAGE, reply.exit);
    EXPECT_TEXT_HAS("server.reboot: this controller does not know it", reply.error);
    ask_reply_done(&reply);
    reply = ask_of(ASK_ADMIN, "server.list", 1);
    EXPECT_INT_EQ(ASK_EXIT_USAGE, reply.exit);
    EXPECT_TEXT_HAS("--colour: server.list does not take it", reply.error);
    EXPECT_TEXT_HAS("target selector exclude", reply.error);
    ask_reply_done(&reply);
}
