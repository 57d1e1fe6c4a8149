#include "tests/story/story.h"

#define EOL "\xe2\x80\xa8" /* as the command line ends the lines of a file */

enum {
    MINUTE_MS = 60 * 1000
};

/* Two servers in each of two sites, and their clocks. */
static void two_sites(struct story *s, const char *other, const char *zone, const char *other_zone)
{
    char id[32], names[64];
    struct cas_text id_text = CAS_TEXT(id), names_text = CAS_TEXT(names);
    cas_text_clear(&id_text);
    cas_text_clear(&names_text);
    cas_text_add(&id_text, "id=%s", other);
    cas_text_add(&names_text, "%s-CAS01 %s-CAS02", other, other);
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    story_site(s, other, names);
    EXPECT_THAT(s, story_ask(s, "site.zone", "id=LON", zone, NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "site.zone", id, other_zone, NULL) == 0);
}

static int add_by_site(struct story *s, const char *window)
{
    return story_ask(s,
                     "schedule.add",
                     "id=night",
                     window,
                     "target=all",
                     "floor=0",
                     "gap=1m",
                     "no-drain",
                     "act=1m",
                     "proof=3m",
                     NULL);
}

static size_t recycles_in(struct story *s, const char *first, const char *second)
{
    return story_recycles(s, first) + story_recycles(s, second);
}

static void jump_sites(struct story *s, const char *other, int64_t span_ms)
{
    static const char *const ends[] = {"-CAS01", "-CAS02"};
    story_jump_wall(s, NULL, span_ms);
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        struct cas_text text = CAS_TEXT(name);
        cas_text_clear(&text);
        cas_text_add(&text, "%s%s", i < 2 ? "LON" : other, ends[i % 2]);
        story_jump_wall(s, name, span_ms);
    }
}

/* Why: the night is at another instant in each site, and so are its clock changes: a window by site
 * time opens in each by its own clocks, once, with that site's servers alone.
 * How: the night in which Berlin leaps over 02:30 and London does not; then the one in which London
 * has 01:30 twice and Berlin once, an hour before. */
static void night_of(struct story *s,
                     const char *window,
                     const char *before,
                     const char *berlin_after,
                     const char *london_start,
                     const char *end)
{
    two_sites(s, "BER", "zone=Europe/London", "zone=Europe/Berlin");
    jump_sites(s, "BER", story_utc(before) - story_now(s));
    int64_t wall_now_ms = story_utc(before), asked_ms = story_now(s);
    EXPECT_THAT(s, add_by_site(s, window) == 0);
    wall_now_ms += story_now(s) - asked_ms;
    story_wall_until(s, berlin_after, &wall_now_ms);
    EXPECT_INT_EQ(2, recycles_in(s, "BER-CAS01", "BER-CAS02"));
    story_wall_until(s, london_start, &wall_now_ms);
    EXPECT_INT_EQ(0, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    story_wall_until(s, end, &wall_now_ms);
    EXPECT_INT_EQ(2, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    EXPECT_INT_EQ(2, recycles_in(s, "BER-CAS01", "BER-CAS02"));
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_STATE(s, 2, ROLLOUT_DONE);
    EXPECT_THAT(s, story_rollout(s, 3) == NULL);
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("\"site\":\"LON\",\"rollout\":\"r-0002\"", story_document(s));
    EXPECT_TEXT_HAS("began with 2 servers", story_document(s));
}

STORY(site, each_site_opens_by_its_own_clocks_in_spring, "Tue 00:50", 53)
{
    night_of(s,
             "window=daily 02:30-05:00 site",
             "2027-03-28T00:58Z",
             "2027-03-28T01:12Z",
             "2027-03-28T01:29:58Z",
             "2027-03-28T01:42Z");
}

STORY(site, each_site_opens_by_its_own_clocks_in_autumn, "Tue 00:50", 54)
{
    night_of(s,
             "window=daily 01:30-05:00 site",
             "2027-10-30T23:28Z",
             "2027-10-30T23:42Z",
             "2027-10-31T00:29:58Z",
             "2027-10-31T01:33Z");
}

/* Why: two sites may open at one instant, and a holiday is a day of the site.
 * How: Tuesday 01:00 UTC is 14:00 on Tuesday in Auckland and on Monday in Pago Pago; Tuesday is
 * black. One is skipped by name, the other begins; without the blackout both begin, a plan each. */
STORY(site, sites_that_open_at_once_are_told_apart, "Tue 00:50", 55)
{
    two_sites(s, "PPG", "zone=Pacific/Auckland", "zone=Pacific/Pago_Pago");
    EXPECT_THAT(s, add_by_site(s, "window=daily 14:00-18:00 site") == 0);
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.import-blackouts",
                          "id=holidays.ics",
                          "ics=BEGIN:VCALENDAR" EOL "BEGIN:VEVENT" EOL "SUMMARY:Founders day" EOL
                          "DTSTART;VALUE=DATE:20261124" EOL "END:VEVENT" EOL "END:VCALENDAR" EOL,
                          NULL) == 0);
    story_until(s, "01:12");
    EXPECT_INT_EQ(0, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    EXPECT_INT_EQ(2, recycles_in(s, "PPG-CAS01", "PPG-CAS02"));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: blackout \\\"Founders day\\\" of holidays", story_document(s));
    EXPECT_TEXT_HAS("\"site\":\"PPG\",\"rollout\":\"r-0001\"", story_document(s));
    EXPECT_THAT(s,
                story_ask(s,
                          "schedule.import-blackouts",
                          "id=holidays.ics",
                          "ics=BEGIN:VCALENDAR" EOL "END:VCALENDAR" EOL,
                          NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "schedule.remove", "id=night", NULL) == 0);
    EXPECT_THAT(s, add_by_site(s, "window=daily 14:14-18:00 site") == 0);
    story_until(s, "01:28");
    EXPECT_INT_EQ(2, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    EXPECT_INT_EQ(4, recycles_in(s, "PPG-CAS01", "PPG-CAS02"));
    EXPECT_STATE(s, 2, ROLLOUT_DONE);
    EXPECT_STATE(s, 3, ROLLOUT_DONE);
    EXPECT_THAT(s, story_rollout(s, 4) == NULL);
}

/* Why: what is missed in one site is missed there, and nowhere else.
 * How: the controller is dead over London's start, and back for that of the Azores, an hour later.
 */
STORY(site, start_missed_in_one_site_is_kept_in_the_next, "Tue 00:50", 56)
{
    two_sites(s, "AZO", "zone=Europe/London", "zone=Atlantic/Azores");
    EXPECT_THAT(s, add_by_site(s, "window=daily 01:00-03:00 site") == 0);
    story_until(s, "00:59");
    story_controller_dies(s, 10 * MINUTE_MS);
    story_until(s, "02:12");
    EXPECT_INT_EQ(0, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    EXPECT_INT_EQ(2, recycles_in(s, "AZO-CAS01", "AZO-CAS02"));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("skipped: missed, it could not begin at its start", story_document(s));
}

/* Why: a site whose clocks nobody knows would never open, and nobody would see it.
 * How: no zone, then one; a site that joins later without one is told; a zone set anew moves the
 * window that is next; a site where the schedule has no servers opens for nobody. */
STORY(site, site_without_a_zone_is_refused_with_the_command, "Tue 00:50", 57)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    EXPECT_THAT(s, add_by_site(s, "window=daily 01:00-03:00 site") == 6);
    EXPECT_TEXT_HAS("site LON has no time zone", story_error(s));
    EXPECT_TEXT_HAS("casfleet site zone LON Europe/London", story_error(s));
    EXPECT_THAT(s, story_ask(s, "schedule.preview", "window=daily 01:00 site", NULL) == 6);
    EXPECT_TEXT_HAS("casfleet site zone LON Europe/London", story_error(s));
    EXPECT_THAT(s, story_ask(s, "site.zone", "id=LON", "zone=Europe/Lundon", NULL) == 2);
    EXPECT_THAT(s, story_ask(s, "site.zone", "id=LON", "zone=Asia/Tokyo", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "site.zone", "id=ROM", "zone=UTC", NULL) == 0);
    EXPECT_THAT(s, add_by_site(s, "window=daily 01:00-03:00 site") == 0);
    EXPECT_TEXT_HAS("Wed 25 Nov 2026 01:00 +09:00", story_document(s));
    EXPECT_THAT(s, story_ask(s, "status", NULL) >= 0);
    EXPECT_TEXT_HAS("Wed 25 Nov 2026 01:00 +09:00", story_document(s));
    EXPECT_THAT(s, story_ask(s, "site.zone", "id=LON", "zone=Atlantic/Azores", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "site.list", NULL) == 0);
    EXPECT_TEXT_HAS("Atlantic/Azores", story_document(s));
    story_until(s, "01:59:50"); /* past 01:00 in ROM, where there is nobody */
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("\"runs\":[]", story_document(s));
    EXPECT_TEXT_HAS("Tue 24 Nov 2026 01:00 -01:00", story_document(s));
    EXPECT_TEXT_HAS("\"trouble\":null", story_document(s));
    EXPECT_THAT(s, story_ask(s, "server.label", "target=LON-CAS02", "site=OSL", NULL) == 0);
    story_until(s, "02:10");
    EXPECT_INT_EQ(1, recycles_in(s, "LON-CAS01", "LON-CAS02"));
    EXPECT_THAT(s, story_ask(s, "schedule.show", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("site OSL has no time zone", story_document(s));
    EXPECT_THAT(s, story_ask(s, "why", "id=night", NULL) == 0);
    EXPECT_TEXT_HAS("on the clock of each site", story_document(s));
    EXPECT_TEXT_HAS("trouble: site OSL has no time zone", story_document(s));
    EXPECT_TEXT_HAS("next: LON Wed 25 Nov 2026 01:00 -01:00", story_document(s));
    EXPECT_TEXT_HAS("last: LON: began with 1 servers", story_document(s));
    EXPECT_THAT(s, story_ask(s, "schedule.preview", "id=night", NULL) == 6);
}
