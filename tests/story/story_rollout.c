#include "tests/story/story.h"

/* Why: the main job: one after the other, each proved before the next, a rest between.
 * How: three servers of a site, one at a time; nothing goes wrong. */
STORY(rollout, servers_take_turns_with_a_gap, "Tue 00:50", 1)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-03]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=60",
                                 "gap=10m",
                                 "settle=10m",
                                 "no-drain",
                                 NULL);
    story_until(s, "02:00");

    EXPECT_JOURNAL(s,
                   "01:00 start r-0001 3 servers",
                   "01:00 act LON-CAS01, worker w1 is now w2",
                   "01:00 done LON-CAS01 worker w1 is now w2, healthy 3 times since",
                   "01:10 act LON-CAS03, worker w1 is now w2",
                   "01:10 done LON-CAS03 worker w1 is now w2, healthy 3 times since",
                   "01:20 act LON-CAS02, worker w1 is now w2",
                   "01:20 done LON-CAS02 worker w1 is now w2, healthy 3 times since",
                   "01:20 end r-0001 3 proved, 0 failed, 0 skipped");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
}

/* Why: the canary is there to be the only one hurt.
 * How: the first server's new worker never becomes healthy. */
STORY(rollout, canary_that_stays_sick_is_the_only_one_touched, "Tue 00:50", 2)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    const char *all[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04"};
    for (size_t i = 0; i < CAS_COUNT(all); i++)
        story_fails(s, all[i], "never-healthy");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-04]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=50",
                                 "at-once=2",
                                 "gap=10m",
                                 "settle=10m",
                                 "no-drain",
                                 "proof=5m",
                                 NULL);
    story_until(s, "04:59");

    size_t acted = 0;
    for (size_t i = 0; i < CAS_COUNT(all); i++)
        acted += story_recycles(s, all[i]);
    EXPECT_INT_EQ(1, acted);
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_HAS(s, "01:05 fail");
    EXPECT_HAS(s, "01:05 halt r-0001 1 failed, limit 1, 3 not touched");
    EXPECT_THAT(s, story_ask(s, "recycle.show", "id=r-0001", NULL) == 1);
    EXPECT_TEXT_HAS("\"state\":\"halted\"", story_document(s));
    EXPECT_TEXT_HAS("casfleet recycle retry r-0001", story_document(s));
}

/* Why: a slot is freed by proof, never by a clock; a silent server may be a dead one.
 * How: three servers, one at a time; the cable of the second is pulled as its command has gone. */
STORY(rollout, silent_server_keeps_its_slot_and_halts_the_rest, "Tue 00:50", 1)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-03]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=60",
                                 "gap=10m",
                                 "settle=10m",
                                 "no-drain",
                                 "act=2m",
                                 "proof=5m",
                                 NULL);
    story_until(s, "01:05");
    story_hold(s, "LON-CAS03", MESSAGE_result);
    while (story_recycles(s, "LON-CAS03") == 0)
        story_pass(s, 500);
    story_cut_cable(s, "LON-CAS03", WAY_BOTH);
    story_until(s, "04:59");

    EXPECT_JOURNAL(s,
                   "01:00 start r-0001 3 servers",
                   "01:00 act LON-CAS01, worker w1 is now w2",
                   "01:00 done LON-CAS01 worker w1 is now w2, healthy 3 times since",
                   "01:10 act LON-CAS03, worker w1 is now w2",
                   "01:13 unknown LON-CAS03 no outcome in time",
                   "01:13 halt r-0001 1 failed, limit 1, 1 not touched");
    EXPECT_SLOT_HELD(s, seq, "LON-CAS03");
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_THAT(s, story_ask(s, "why", "id=LON-CAS03", NULL) >= 0);
    EXPECT_TEXT_HAS("silent", story_document(s));
}

/* Why: the floor is of the site, not of a rollout.
 * How: two rollouts over different servers of one site, where one may be out; both want to begin
 * at one o'clock. */
STORY(rollout, two_rollouts_share_the_floor_of_a_site, "Tue 00:50", 3)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    uint64_t one = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=75",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 NULL);
    uint64_t two = story_recycle(s,
                                 "LON-CAS[03-04]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=75",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 NULL);
    EXPECT_THAT(s, one != 0 && two != 0);
    story_until(s, "01:30");

    EXPECT_STATE(s, one, ROLLOUT_DONE);
    EXPECT_STATE(s, two, ROLLOUT_DONE);
    EXPECT_HAS(s, "LON: 1 of 4 out, 1 may be (floor 75 %)");
}

/* Why: "recycled" is the tool's word; the worker's process is the evidence.
 * How: the tool answers well and nothing changes. */
STORY(rollout, recycle_that_changes_nothing_has_failed, "Tue 00:50", 4)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    story_fails(s, "LON-CAS01", "unchanged");
    story_fails(s, "LON-CAS02", "unchanged");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=50",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "act=1m",
                                 NULL);
    story_until(s, "02:00");

    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_HAS(s, "the worker process is the same or gone");
    EXPECT_LACKS(s, "done LON");
    EXPECT_INT_EQ(1, story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02"));
}
