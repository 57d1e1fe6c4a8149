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
