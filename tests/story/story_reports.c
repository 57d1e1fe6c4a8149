#include "tests/story/story.h"

/* Why: a report leaves the agent when the controller has it on disk, and not before.
 * How: both die in turn, over and over, for half an hour, the controller now and then with a disk
 * that takes nothing; then all is quiet. The checks at the end read each acknowledged record back,
 * exactly once. */
STORY(reports, crashes_lose_and_double_nothing, "Tue 00:50", 41)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    for (int i = 0; i < 20; i++) {
        story_pass(s, 20000 + (int64_t)story_throw(s, 40000));
        story_agent_dies(s, i % 2 == 0 ? "LON-CAS01" : "LON-CAS02", POINT_NOW, 3000);
        story_pass(s, (int64_t)story_throw(s, 30000));
        story_controller_dies_after(s, 1, 4000);
        if (i % 4 != 3)
            continue;
        story_pass(s, 10000);
        story_controller_disk(s, true);
        story_pass(s, 20000);
        story_controller_dies(s, 4000);
        story_controller_disk(s, false);
    }
    story_pass(s, 180000);

    struct agent_counts counts = agent_counts(story_agent(s, "LON-CAS01"));
    EXPECT_THAT(s, counts.records_acked > 0);
    EXPECT_THAT(s, story_kept(s, "LON-CAS01") > 60);
    EXPECT_THAT(s, story_kept(s, "LON-CAS02") > 60);
}

/* Why: an agent that nobody hears keeps what it can and says exactly what it could not.
 * How: an outbox of a few kilobytes and a cable cut for two hours. */
STORY(reports, overflow_leaves_an_exact_gap, "Tue 00:50", 42)
{
    (void)s;
    struct story_settings settings = {.folder = test_folder(), .start = "Tue 00:50", .seed = 42};
    settings.outbox_bytes = 64 * 1024;
    CAS_AUTO(story) one = story_begin(&settings);
    story_site(one, "LON", "LON-CAS01");
    story_pass(one, 120000);
    story_cut_cable(one, "LON-CAS01", WAY_BOTH);
    story_pass(one, 2 * 3600 * 1000);
    size_t before = story_kept(one, "LON-CAS01");
    story_mend_cable(one, "LON-CAS01");
    story_pass(one, 300000);

    EXPECT_THAT(one, story_kept(one, "LON-CAS01") > before);
    /* Two hours of samples do not fit: far fewer records than samples, and a gap for the rest. */
    EXPECT_THAT(one, story_kept(one, "LON-CAS01") < before + 400);
    EXPECT_THAT(one, story_check(one));
}

/* Why: an ACK that is lost must not make a report count twice.
 * How: every ACK is held for ten minutes, reports come again and again. */
STORY(reports, lost_acknowledgement_doubles_nothing, "Tue 00:50", 43)
{
    story_site(s, "LON", "LON-CAS01");
    story_hold(s, "LON-CAS01", MESSAGE_ack);
    story_pass(s, 600000);
    story_release(s, "LON-CAS01");
    story_pass(s, 300000);
    EXPECT_THAT(s, agent_counts(story_agent(s, "LON-CAS01")).records_acked > 30);
}
