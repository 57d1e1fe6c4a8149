#include "tests/story/story.h"

static const int64_t ten_years_ms = INT64_C(3650) * 24 * 3600 * 1000;

static uint64_t run(struct story *s, const char *until)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    return story_recycle(s,
                         "LON-CAS[01-03]",
                         "at=01:00",
                         until,
                         "floor=60",
                         "gap=2m",
                         "settle=2m",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         NULL);
}

static size_t recycles(struct story *s)
{
    return story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02") +
           story_recycles(s, "LON-CAS03");
}

/* Why: an agent whose clock is off cannot be held to a window: it is named and left alone, and its
 * old stamps poison nothing once the clock is right again.
 * How: ten years ahead before its turn; set right later. */
STORY(clock, agent_ten_years_ahead_is_left_alone_until_it_is_right, "Tue 00:50", 51)
{
    uint64_t seq = run(s, "until=05:00");
    story_until(s, "00:55");
    story_jump_wall(s, "LON-CAS02", ten_years_ms);
    story_until(s, "01:30");
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_HAS(s, "its clock is off");
    story_jump_wall(s, "LON-CAS02", -ten_years_ms);
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles(s));
}

/* Why: as above, backwards, and between nonce and order: the nonce is then old on one clock.
 * How: the clock goes back ten years while the GRANT is on the wire. */
STORY(clock, agent_ten_years_back_between_nonce_and_order_refuses, "Tue 00:50", 52)
{
    uint64_t seq = run(s, "until=05:00");
    story_hold(s, "LON-CAS01", MESSAGE_grant);
    story_hold(s, "LON-CAS02", MESSAGE_grant);
    story_hold(s, "LON-CAS03", MESSAGE_grant);
    story_until(s, "01:00:02");
    const char *names[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03"};
    for (size_t i = 0; i < CAS_COUNT(names); i++)
        story_jump_wall(s, names[i], -ten_years_ms);
    for (size_t i = 0; i < CAS_COUNT(names); i++)
        story_release(s, names[i]);
    story_until(s, "01:10");
    EXPECT_INT_EQ(0, recycles(s));
    for (size_t i = 0; i < CAS_COUNT(names); i++)
        story_jump_wall(s, names[i], ten_years_ms);
    if (story_rollout(s, seq)->state == ROLLOUT_HALTED)
        EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 0);
    story_until(s, "01:40");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles(s));
}

/* Why: the controller's clock may be wrong as well; no counter, session or epoch may be poisoned by
 * it, and nothing may be done twice.
 * How: ten years ahead in the middle (the window is over: halted), restarted there so that the
 * epoch is of that time, set right, restarted again: the epoch does not go back. */
STORY(clock, controller_ten_years_ahead_and_back, "Tue 00:50", 53)
{
    uint64_t seq = run(s, "until=05:00");
    story_until(s, "01:01");
    story_jump_wall(s, NULL, ten_years_ms);
    story_pass(s, 5000);
    story_controller_dies(s, 5000);
    story_pass(s, 60000);
    EXPECT_THAT(s, story_rollout(s, seq)->state != ROLLOUT_DONE);
    uint64_t epoch = controller_epoch(story_controller(s));
    story_jump_wall(s, NULL, -ten_years_ms);
    story_controller_dies(s, 5000);
    story_pass(s, 60000);
    EXPECT_THAT(s, controller_epoch(story_controller(s)) > epoch);
    if (story_rollout(s, seq)->state == ROLLOUT_HALTED)
        EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 0);
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles(s));
}

/* Why: backwards a gap could seem endless, a deadline far away: both count on the other clock.
 * How: the controller's clock goes back ten years between two servers. */
STORY(clock, controller_ten_years_back_breaks_no_promise, "Tue 00:50", 54)
{
    uint64_t seq = run(s, "until=05:00");
    story_until(s, "01:01");
    story_jump_wall(s, NULL, -ten_years_ms);
    story_pass(s, 300000);
    EXPECT_INT_EQ(1, recycles(s)); /* the window has not opened, by that clock */
    story_jump_wall(s, NULL, ten_years_ms);
    story_until(s, "01:40");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles(s));
}
