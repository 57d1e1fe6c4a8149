#include "tests/story/story.h"

#include <stdio.h>
#include <string.h>

#define EOL "\xe2\x80\xa8" /* as the command line ends the lines of a file */

enum {
    MINUTE_MS = 60 * 1000
};

static size_t recycles(struct story *s)
{
    return story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02") +
           story_recycles(s, "LON-CAS03") + story_recycles(s, "LON-CAS04");
}

/* Four servers and a schedule of short rests. */
static void begin(struct story *s, const char *window, const char *gap)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=weekly",
                          window,
                          "selector=site=LON",
                          "floor=75",
                          gap,
                          "settle=20m",
                          "no-drain",
                          "act=1m",
                          "proof=3m",
                          "healthy=2",
                          NULL) == 0);
}

/* Why: a schedule is a policy; what it makes is a plan like any other, which history shows.
 * How: a window at 01:00 over four servers, one at a time. */
STORY(schedule, window_makes_and_runs_an_ordinary_plan, "Tue 00:50", 41)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    story_until(s, "00:59:50");
    EXPECT_INT_EQ(0, recycles(s));
    story_until(s, "01:30");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("\"rollout\":\"r-0001\"", story_document(s));
    EXPECT_TEXT_HAS("began with 4 servers", story_document(s));
    EXPECT_TEXT_HAS("Tue 01 Dec 2026 01:00 UTC", story_document(s));
    EXPECT_THAT(s, story_ask(s, "schedule.export", NULL) == 0);
    EXPECT_TEXT_HAS("BEGIN:VCALENDAR", story_document(s));
    EXPECT_TEXT_HAS("SUMMARY:weekly: done", story_document(s));
    story_until(s, "02:00");
    EXPECT_INT_EQ(4, recycles(s)); /* once */
}

/* Why: late is worse than never: at 01:40 nobody expects what was to begin at 01:00.
 * How: the controller is dead over the start, and comes back inside the window. */
STORY(schedule, start_missed_by_a_dead_controller_is_skipped_and_told, "Tue 00:50", 42)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    story_until(s, "00:59");
    story_controller_dies(s, 40 * MINUTE_MS);
    story_until(s, "02:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: missed, it could not begin at its start", story_document(s));
    EXPECT_TEXT_HAS("Tue 01 Dec 2026 01:00 UTC", story_document(s));
}

/* Why: a restart for an update at the wrong minute must not cost the night's work.
 * How: dead over the start, back a minute later: that is within the grace of five. */
STORY(schedule, short_absence_over_the_start_begins_all_the_same, "Tue 00:50", 43)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    story_until(s, "00:59:30");
    story_controller_dies(s, 90 * 1000);
    story_until(s, "01:30");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
}

/* Why: a commit is all or nothing: a window must not be begun twice, nor be lost with its plan.
 * How: the controller dies after the commit that begins it, before anything is sent. */
STORY(schedule, window_is_begun_once_over_a_crash, "Tue 00:50", 44)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    story_until(s, "00:59:58");
    story_controller_dies_after(s, 2, 20 * 1000);
    story_until(s, "01:40");
    EXPECT_INT_EQ(4, recycles(s));
    EXPECT_THAT(s, story_rollout(s, 2) == NULL);
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
}

/* Why: a restored database begins a window of its last minutes once more: what was done in it must
 * not be done twice, and what was not must still be.
 * How: a backup before the window; put back after the first two servers have new workers. */
STORY(schedule, window_begun_again_by_a_restore_repeats_no_act, "Tue 00:50", 60)
{
    begin(s, "window=Tue 01:00-05:00", "gap=20s");
    story_until(s, "00:59");
    story_backup(s);
    while (recycles(s) < 2)
        story_pass(s, 1000);
    story_controller_dies(s, -1);
    story_restore(s);
    story_controller_starts(s);
    story_until(s, "02:00");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS02") == 1);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS03") == 1);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS04") == 1);
}

/* Why: one switch for the whole farm, for when nobody may touch anything.
 * How: on before the start; by hand nothing begins either; off again, the window is gone. */
STORY(schedule, freeze_skips_and_refuses, "Tue 00:50", 45)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    EXPECT_THAT(s, story_ask(s, "freeze.on", "reason=audit week", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "freeze.on", NULL) == 6);
    EXPECT_THAT(s, story_recycle(s, "LON-CAS01", NULL) == 0);
    EXPECT_TEXT_HAS("the farm is frozen by", story_error(s));
    story_until(s, "01:10");
    EXPECT_THAT(s, story_ask(s, "freeze.off", NULL) == 0);
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.list", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: the farm is frozen by", story_document(s));
    EXPECT_TEXT_HAS("audit week", story_document(s));
}

/* Why: a plan that was run for later is not under way yet when the farm is frozen; nor may what was
 * stopped go on. How: frozen before its start, and still 5 min after; then one that is paused. */
STORY(schedule, freeze_keeps_what_is_to_begin_later_and_what_was_stopped, "Tue 00:50", 61)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    uint64_t later = story_recycle(s, "LON-CAS01", "at=2026-11-24T01:00Z", "no-drain", NULL);
    EXPECT_THAT(s, later != 0);
    uint64_t paused = story_recycle(s, "LON-CAS02", "no-drain", NULL);
    EXPECT_THAT(s, paused != 0);
    EXPECT_THAT(s, story_ask(s, "recycle.pause", "id=r-0002", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "freeze.on", "reason=audit week", NULL) == 0);
    EXPECT_TEXT_HAS("Does not begin while it is frozen: r-0001", story_document(s));
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0002", NULL) == 6);
    EXPECT_TEXT_HAS("the farm is frozen by", story_error(s));
    story_until(s, "01:02");
    EXPECT_STATE(s, later, ROLLOUT_SCHEDULED);
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("the farm is frozen", story_document(s));
    story_until(s, "01:20");
    EXPECT_STATE(s, later, ROLLOUT_MISSED);
    EXPECT_INT_EQ(0, story_recycles(s, "LON-CAS01"));
    EXPECT_THAT(s, story_ask(s, "freeze.off", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0002", NULL) == 0);
    story_until(s, "01:40");
    EXPECT_STATE(s, paused, ROLLOUT_DONE);
}

/* Why: holidays come from a calendar file, and mean days of the window's own zone.
 * How: all Tuesday is black in Auckland, where the window is on Tuesday from 14:00 = 01:00 UTC. */
STORY(schedule, blackout_day_skips_the_window_by_name, "Tue 00:50", 46)
{
    begin(s, "window=Tue 14:00-18:00 Pacific/Auckland", "gap=1m");
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.import-blackouts",
                          "id=holidays.ics",
                          "ics=BEGIN:VCALENDAR" EOL "VERSION:2.0" EOL "BEGIN:VEVENT" EOL "UID:1" EOL
                          "SUMMARY:Founders day" EOL "DTSTART;VALUE=DATE:20261124" EOL
                          "END:VEVENT" EOL "END:VCALENDAR" EOL,
                          NULL) == 0);
    EXPECT_TEXT_HAS("holidays: 1 blackout dates", story_document(s));
    EXPECT_THAT(s, story_ask(s, "schedule.preview", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: blackout \\\"Founders day\\\" of holidays", story_document(s));
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: blackout \\\"Founders day\\\" of holidays", story_document(s));
}

static int import_hours(struct story *s, const char *name, int count)
{
    char id[64], ics[400];
    (void)snprintf(id, sizeof id, "id=%s.ics", name);
    (void)snprintf(ics,
                   sizeof ics,
                   "ics=BEGIN:VCALENDAR" EOL "BEGIN:VEVENT" EOL "UID:1" EOL
                   "DTSTART:20261125T090000Z" EOL "DTEND:20261125T100000Z" EOL
                   "RRULE:FREQ=DAILY;COUNT=%d" EOL "END:VEVENT" EOL "END:VCALENDAR" EOL,
                   count);
    return story_ask(s, "schedule.import-blackouts", id, ics, NULL);
}

/* Why: what is imported and not looked at is worse than what is refused.
 * How: calendars up to the limit of all together; one date more; the same calendar again stands in
 * place of its own; then a holiday, for which there is room once another calendar is gone. */
STORY(schedule, blackouts_beyond_the_limit_are_refused_by_the_numbers, "Tue 00:50", 69)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    for (char name[] = "a"; name[0] < 'e'; name[0]++)
        EXPECT_THAT(s, import_hours(s, name, 1000) == 0);
    EXPECT_THAT(s, import_hours(s, "e", 97) == 2);
    EXPECT_TEXT_HAS(
        "e: 97 blackout dates, with 4000 of other calendars 4097: at most 4096 together",
        story_error(s));
    EXPECT_THAT(s, import_hours(s, "e", 96) == 0);
    EXPECT_THAT(s, import_hours(s, "e", 96) == 0);
    static const char holiday[] =
        "ics=BEGIN:VCALENDAR" EOL "BEGIN:VEVENT" EOL "SUMMARY:A day" EOL
        "DTSTART;VALUE=DATE:20261124" EOL "END:VEVENT" EOL "END:VCALENDAR" EOL;
    EXPECT_THAT(s,
                story_ask(s, "schedule.import-blackouts", "id=holidays.ics", holiday, NULL) == 2);
    EXPECT_THAT(s, import_hours(s, "a", 999) == 0);
    EXPECT_THAT(s,
                story_ask(s, "schedule.import-blackouts", "id=holidays.ics", holiday, NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: blackout \\\"A day\\\" of holidays", story_document(s));
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
}

/* Why: what cannot end in the window is not begun; the most urgent go, the others are named.
 * How: rests of 10 minutes in a window of 16: two of four fit. */
STORY(schedule, short_window_trims_to_the_most_urgent_and_names_the_rest, "Tue 00:50", 47)
{
    begin(s, "window=Tue 01:00-01:16", "gap=10m");
    story_until(s, "02:30");
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("the window is too short for all: the 2 most urgent go, left out LON-CAS",
                    story_document(s));
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_INT_EQ(2, recycles(s));
}

static void set_memory(struct story *s, const char *server, double available, double worker)
{
    struct inventory *inventory = controller_inventory(story_controller(s));
    struct inventory_value *value = inventory_by_name(inventory, cas_slice_of(server))->value;
    int64_t now_ms = story_now(s);
    value[SYMPTOM_memory_available] =
        (struct inventory_value){.is_known = true, .value = available, .at_ms = now_ms};
    value[SYMPTOM_private_bytes] =
        (struct inventory_value){.is_known = true, .value = worker, .at_ms = now_ms};
}

/* Why: a server that a run leaves out in silence is taken for recycled, week after week.
 * How: one is short of memory, two are held by their own people: one goes. Then all are held. */
STORY(schedule, run_names_those_it_leaves_out_with_the_reason, "Tue 00:50", 62)
{
    static const char said[] =
        "began with 1 servers; left out LON-CAS01 (two workers do not fit in memory: 500 MB free, "
        "the worker has 3.0 GB";
    static const char held[] = "LON-CAS[02-03] (held on the server by its own people)";
    begin(s, "window=daily 01:00-05:00", "gap=1m");
    story_veto(s, "LON-CAS02", "mailbox move");
    story_veto(s, "LON-CAS03", "new disk");
    story_until(s, "00:59:59");
    story_pass(s, 990);
    set_memory(s, "LON-CAS01", 0.5e9, 3e9);
    story_until(s, "01:30");
    EXPECT_INT_EQ(1, recycles(s));
    static const char *const asked[] = {"schedule.show", "schedule.list", "why"};
    for (size_t i = 0; i < CAS_COUNT(asked); i++) {
        EXPECT_THAT(s, story_ask(s, asked[i], i == 1 ? NULL : "id=weekly", NULL) == 0);
        EXPECT_TEXT_HAS(said, story_document(s));
        EXPECT_TEXT_HAS(held, story_document(s));
    }
    EXPECT_TEXT_HAS("schedule.began", story_document(s)); /* by the audit, the same */
    story_veto(s, "LON-CAS01", "new disk");
    story_veto(s, "LON-CAS04", "new disk");
    EXPECT_THAT(s,
                story_ask(s, "schedule.add", "id=late", "window=daily 01:40", "target=all", NULL) ==
                    0);
    story_until(s, "01:41");
    EXPECT_INT_EQ(1, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=late", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: nothing to do; left out LON-CAS[01-04] (held on the server by its "
                    "own people)",
                    story_document(s));
}

/* Why: what a plan by hand may leave out or take all the same, a schedule may: it is a policy.
 * How: one is short of memory and taken all the same, one has lost its worker a moment ago. The
 * values are held against limits when it is added, not in the night. */
STORY(schedule, policy_says_who_is_left_out, "Tue 00:50", 64)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    static const struct {
        const char *argument, *error;
    } bad[] = {
        {"ram=perhaps", "--ram \"perhaps\": fit, known or any"},
        {"ram=", "--ram \"\": fit, known or any"},
        {"min-age=-1s", "--min-age: \"-1s\""},
        {"min-age=401d", "--min-age: 401d is outside 0 s .. 400 d"},
    };
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        EXPECT_THAT(s,
                    story_ask(s,
                              "schedule.add",
                              "id=weekly",
                              "window=daily 01:00-05:00",
                              "target=all",
                              bad[i].argument,
                              NULL) == 2);
        EXPECT_TEXT_HAS(bad[i].error, story_error(s));
    }
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=weekly",
                          "window=daily 01:00-05:00",
                          "target=all",
                          "gap=1m",
                          "no-drain",
                          "ram=any",
                          "min-age=10m",
                          NULL) == 0);
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=rare",
                          "window=daily 01:30-05:00",
                          "target=all",
                          "just-in-time",
                          "min-age=400d",
                          NULL) == 0);
    EXPECT_TEXT_HAS("\"just_in_time\":true,\"min_age_ms\":34560000000,\"ram\":\"fit\"",
                    story_document(s));
    story_until(s, "00:55");
    story_kill_worker(s, "LON-CAS02");
    story_until(s, "00:59:59");
    story_pass(s, 990);
    set_memory(s, "LON-CAS01", 0.5e9, 3e9);
    story_until(s, "01:31");
    EXPECT_INT_EQ(3, recycles(s));
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("began with 3 servers; left out LON-CAS02 (recycled 5 min ago by itself)",
                    story_document(s));
    EXPECT_TEXT_HAS("\"just_in_time\":false,\"min_age_ms\":600000,\"ram\":\"any\"",
                    story_document(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=rare", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: nothing to do; left out LON-CAS[01-04] (", story_document(s));
}

/* Why: the words have room for so much: then less is said of each, and all are counted still.
 * How: more servers than their names fit, each with a hole in its number; those of the half that is
 * held by its own people are left out. */
STORY(schedule, run_counts_those_left_out_that_no_line_can_name, "Tue 00:50", 63)
{
    char names[1200], name[40];
    struct cas_text text = CAS_TEXT(names);
    cas_text_clear(&text);
    for (int i = 0; i < 24; i++)
        cas_text_add(&text, "%sLON-%c-MAILBOX-AND-CLIENT", i > 0 ? " " : "", 'A' + i);
    story_site(s, "LON", names);
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=weekly",
                          "window=daily 01:00-05:00",
                          "target=all",
                          "no-drain",
                          NULL) == 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "LON-%c-MAILBOX-AND-CLIENT", 'A' + i);
        story_veto(s, name, "mailbox move");
    }
    story_until(s, "01:01");
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("began with 4 servers; left out 20 (held on the server by its own people)",
                    story_document(s));
}

/* Why: a window that not one server can end in is skipped with the numbers.
 * How: half a minute less than one turn takes. */
STORY(schedule, window_too_short_for_one_is_skipped, "Tue 00:50", 48)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=weekly",
                          "window=Tue 01:00-01:01",
                          "target=all",
                          "drain=5m",
                          NULL) == 0);
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: one server takes", story_document(s));
}

/* Why: how long it takes is known best from how long it took.
 * How: twenty good probes in a row make six turns of more than a minute and a half; a window of a
 * minute, which the estimate alone would fill with half of it, is then no longer begun. */
STORY(schedule, history_says_what_fits, "Tue 00:50", 52)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04 LON-CAS05 LON-CAS06");
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=slow",
                          "window=Tue 01:00-02:00",
                          "target=all",
                          "gap=0s",
                          "no-drain",
                          "healthy=20",
                          NULL) == 0);
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=brief",
                          "window=Tue 01:40-01:41",
                          "target=LON-CAS01",
                          "no-drain",
                          "healthy=2",
                          NULL) == 0);
    story_until(s, "01:50");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_THAT(s, story_rollout(s, 2) == NULL);
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=brief", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: one server takes", story_document(s));
    EXPECT_TEXT_HAS("(19 times in 20)", story_document(s));
}

/* Why: a paused schedule lets its windows go by, and makes up for none.
 * How: paused before, resumed inside the window. */
STORY(schedule, paused_windows_go_by, "Tue 00:50", 49)
{
    begin(s, "window=Tue 01:00-05:00", "gap=1m");
    EXPECT_THAT(s, story_ask(s, "schedule.pause", "id=weekly", "reason=audit", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "schedule.pause", "id=weekly", NULL) == 6);
    story_until(s, "01:10");
    EXPECT_THAT(s, story_ask(s, "schedule.resume", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("Tue 01 Dec 2026 01:00 UTC", story_document(s));
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_THAT(s, story_ask(s, "schedule.remove", "id=weekly", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 5);
}

/* All clocks of the farm, so that none is off against another; then until all are heard again. */
static void jump_to(struct story *s, int64_t wall_ms, int64_t *wall_now_ms)
{
    int64_t span_ms = wall_ms - *wall_now_ms;
    story_jump_wall(s, NULL, span_ms);
    for (int i = 1; i <= 4; i++) {
        char name[16];
        struct cas_text text = CAS_TEXT(name);
        cas_text_clear(&text);
        cas_text_add(&text, "LON-CAS0%d", i);
        story_jump_wall(s, name, span_ms);
    }
    *wall_now_ms = wall_ms;
}

/* Why: when the clocks leap over a start it must be neither lost nor early; when they go back it
 * must not come twice.
 * How: 02:30 in Berlin, in the nights of both changes of 2027: in spring it is 03:00 summer time,
 * 01:00 UTC; in autumn the first 02:30, 00:30 UTC, and nothing at the second one. */
static void clock_change(struct story *s,
                         const char *before,
                         const char *start,
                         const char *after,
                         const char *end)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    int64_t wall_now_ms = story_now(s);
    jump_to(s, story_utc(before), &wall_now_ms);
    int64_t asked_ms = story_now(s);
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.add",
                          "id=night",
                          "window=Sun 02:30-05:00 Europe/Berlin",
                          "target=LON-CAS01",
                          "floor=75",
                          "no-drain",
                          "act=1m",
                          "proof=3m",
                          NULL) == 0);
    wall_now_ms += story_now(s) - asked_ms;
    story_wall_until(s, start, &wall_now_ms);
    EXPECT_INT_EQ(0, recycles(s));
    story_wall_until(s, after, &wall_now_ms);
    EXPECT_INT_EQ(1, recycles(s));
    story_wall_until(s, end, &wall_now_ms);
    EXPECT_INT_EQ(1, recycles(s));
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_THAT(s, story_rollout(s, 2) == NULL);
}

STORY(schedule, start_in_the_spring_gap_begins_at_the_first_valid_instant, "Tue 00:50", 50)
{
    clock_change(s,
                 "2027-03-28T00:50Z",
                 "2027-03-28T00:59:58Z",
                 "2027-03-28T01:04Z",
                 "2027-03-28T02:40Z");
}

/* Why and how: as above, in autumn. */
STORY(schedule, doubled_start_in_autumn_begins_once, "Tue 00:50", 51)
{
    clock_change(s,
                 "2027-10-31T00:20Z",
                 "2027-10-31T00:29:58Z",
                 "2027-10-31T00:34Z",
                 "2027-10-31T01:40Z");
}

/* ---- a clock that is set ---- */

static void expect_shown(struct story *s, const char *next)
{
    char stored[160];
    struct cas_text text = CAS_TEXT(stored);
    cas_text_clear(&text);
    cas_text_add(&text, "\"next_local\":\"%s\"", next);
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS(stored, story_document(s));
    cas_text_clear(&text);
    cas_text_add(&text, "\"local\":\"%s\"", next);
    EXPECT_TEXT_HAS(stored, strstr(story_document(s), "\"items\":["));
}

/* Why: a clock that runs ahead for a minute must not cost the windows of the days it leapt over,
 * nor begin what it leapt over late.
 * How: three days ahead ten minutes before a start, and back; the start comes in its own time. */
STORY(schedule, clock_set_ahead_and_back_costs_no_window, "Tue 00:50", 65)
{
    static const int64_t leap_ms = INT64_C(3) * 24 * 60 * MINUTE_MS;
    begin(s, "window=daily 01:00-05:00", "gap=1m");
    story_jump_wall(s, NULL, leap_ms);
    story_pass(s, MINUTE_MS);
    EXPECT_INT_EQ(0, recycles(s));
    expect_shown(s, "Fri 27 Nov 2026 01:00 UTC");
    EXPECT_TEXT_HAS("skipped: missed, the clock leapt over its start, by 3 d; never late",
                    story_document(s));
    story_jump_wall(s, NULL, -leap_ms);
    story_pass(s, 1000);
    expect_shown(s, "Tue 24 Nov 2026 01:00 UTC");
    EXPECT_THAT(s, story_ask(s, "why", "id=weekly", NULL) == 0);
    EXPECT_TEXT_HAS("the clock was set back: next is Tue 24 Nov 2026 01:00 UTC", story_document(s));
    story_until(s, "01:30");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
    expect_shown(s, "Wed 25 Nov 2026 01:00 UTC");
    EXPECT_TEXT_HAS("\"last\":\"began with 4 servers\"", story_document(s));
}

/* Why: what begins by a clock that is ahead has begun: its window does not come again when the
 * clock does. How: all clocks are set to the minute before tomorrow's start, and back. */
STORY(schedule, window_begun_by_a_clock_ahead_begins_once, "Tue 00:50", 66)
{
    static const int64_t day_ms = INT64_C(24) * 60 * MINUTE_MS;
    int64_t wall_now_ms = story_now(s);
    begin(s, "window=daily 01:00-05:00", "gap=1m");
    wall_now_ms = story_now(s);
    jump_to(s, story_utc("2026-11-25T00:59Z"), &wall_now_ms);
    story_pass(s, 20 * MINUTE_MS);
    EXPECT_INT_EQ(4, recycles(s));
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    wall_now_ms += 20 * MINUTE_MS;
    jump_to(s, wall_now_ms - day_ms - 30 * MINUTE_MS, &wall_now_ms);
    story_pass(s, 1000);
    expect_shown(s, "Tue 24 Nov 2026 01:00 UTC");
    EXPECT_TEXT_HAS("\"note\":\"has begun already: r-0001\",\"off\":true", story_document(s));
    EXPECT_THAT(s, story_ask(s, "schedule.pause", "id=weekly", NULL) == 0);
    jump_to(s, wall_now_ms + day_ms, &wall_now_ms);
    story_pass(s, 1000);
    EXPECT_THAT(s, story_ask(s, "schedule.resume", "id=weekly", NULL) == 0);
    expect_shown(s, "Thu 26 Nov 2026 01:00 UTC");
    story_pass(s, 40 * MINUTE_MS);
    EXPECT_INT_EQ(4, recycles(s));
    EXPECT_THAT(s, story_rollout(s, 2) == NULL);
}

/* Why: a schedule that was added, or whose controller was started, while the clock was ahead sees
 * it come back all the same. How: three days ahead; added; the controller dies and comes back to
 * the right time. */
STORY(schedule, clock_set_back_while_the_controller_was_dead_is_seen, "Tue 00:50", 67)
{
    static const int64_t leap_ms = INT64_C(3) * 24 * 60 * MINUTE_MS;
    story_jump_wall(s, NULL, leap_ms);
    begin(s, "window=daily 01:00-05:00", "gap=1m");
    expect_shown(s, "Fri 27 Nov 2026 01:00 UTC");
    story_controller_dies(s, 30000);
    story_jump_wall(s, NULL, -leap_ms);
    story_pass(s, 40000);
    expect_shown(s, "Tue 24 Nov 2026 01:00 UTC");
    story_until(s, "01:30");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
}

/* Why: a step of its time source by a second must neither repeat nor lose what is at that second.
 * How: two seconds back, just after a window has begun. */
STORY(schedule, clock_set_back_by_seconds_begins_nothing_twice, "Tue 00:50", 68)
{
    begin(s, "window=daily 01:00-05:00", "gap=1m");
    story_until(s, "01:00:01");
    story_jump_wall(s, NULL, -2000);
    story_pass(s, 30 * MINUTE_MS);
    EXPECT_INT_EQ(4, recycles(s));
    EXPECT_THAT(s, story_rollout(s, 2) == NULL);
    expect_shown(s, "Wed 25 Nov 2026 01:00 UTC");
    EXPECT_THAT(s, story_ask(s, "why", "id=weekly", NULL) == 0);
    EXPECT_TRUE(strstr(story_document(s), "set back") == NULL);
}
