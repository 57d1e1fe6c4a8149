#include "tests/story/story.h"

/* Why: what is not on disk is not true: no ACK, no OFFER, and an operator is told.
 * How: the controller's disk is full from before the window until ten past one. */
STORY(disk, full_at_the_controller_stops_and_comes_back, "Tue 00:50", 61)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "at=00:59",
                                 "until=05:00",
                                 "floor=50",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "proof=5m",
                                 NULL);
    story_until(s, "00:55");
    story_controller_disk(s, true);
    story_until(s, "00:58");
    uint64_t acked = agent_counts(story_agent(s, "LON-CAS01")).records_acked;
    story_until(s, "01:02");
    EXPECT_THAT(s, controller_is_stuck(story_controller(s)));
    EXPECT_THAT(s, agent_counts(story_agent(s, "LON-CAS01")).records_acked == acked);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_THAT(s, story_ask(s, "status", NULL) >= 0);
    story_controller_disk(s, false);
    story_until(s, "01:30");

    EXPECT_THAT(s, !controller_is_stuck(story_controller(s)));
    EXPECT_THAT(s, agent_counts(story_agent(s, "LON-CAS01")).records_acked > acked);
    EXPECT_THAT(s, story_rollout(s, seq)->state == ROLLOUT_DONE);
}

/* Why: an agent that cannot write its INTENT does not act; it says so, and is asked again when it
 * can.
 * How: the agents' disks are full before the window and get room again at ten past. */
STORY(disk, full_at_the_agent_means_no_act, "Tue 00:50", 62)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "at=00:59",
                                 "until=05:00",
                                 "floor=50",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "proof=5m",
                                 NULL);
    story_until(s, "00:55");
    story_agents_disk(true);
    story_until(s, "01:10");
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_THAT(s, story_ask(s, "why", "id=LON-CAS01", NULL) >= 0);
    EXPECT_TEXT_HAS("journal cannot be written", story_document(s));
    story_agents_disk(false);
    story_until(s, "01:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
}

/* Why: the outcome must get onto the disk even when the disk filled up during the act.
 * How: full from the act on for five minutes; the agent keeps trying, then RESULT goes out. */
STORY(disk, full_during_the_act_delays_the_outcome_only, "Tue 00:50", 63)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS01",
                                 "at=00:59",
                                 "until=05:00",
                                 "floor=50",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "proof=5m",
                                 "act=10m",
                                 NULL);
    story_until(s, "00:59");
    while (story_recycles(s, "LON-CAS01") == 0)
        story_pass(s, 50);
    story_agents_disk(true);
    story_pass(s, 300000);
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_GRANTED);
    story_agents_disk(false);
    story_until(s, "01:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}
