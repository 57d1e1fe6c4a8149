#include "tests/story/story.h"

static const char *const name[] =
    {"LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04", "LON-CAS05", "LON-CAS06"};

static size_t out_now(struct story *s)
{
    size_t out_n = 0;
    for (size_t i = 0; i < CAS_COUNT(name); i++)
        out_n += story_is_out(s, name[i]) ? 1 : 0;
    return out_n;
}

/* The most of a site that were out of service at once by acts, while the time passes. */
static size_t most_out(struct story *s, int64_t span_ms)
{
    size_t most = 0;
    for (int64_t end_ms = story_now(s) + span_ms; story_now(s) < end_ms;) {
        story_pass(s, 500);
        size_t out_n = out_now(s);
        most = out_n > most ? out_n : most;
    }
    return most;
}

static void six_servers(struct story *s)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04 LON-CAS05 LON-CAS06");
}

static void until_acted(struct story *s, const char *server)
{
    for (int i = 0; i < 3600 && story_recycles(s, server) == 0; i++)
        story_pass(s, 100);
    EXPECT_THAT(s, story_recycles(s, server) == 1);
}

/* Why: whoever sends again, and however late: one order is one act.
 * How: every frame comes twice, every GRANT a third time after 40 s, and all overtake each other.
 */
STORY(drill, orders_that_come_three_times_out_of_order_act_once, "Tue 00:50", 91)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    story_net(s, &(struct story_net){.delay_ms = 5, .spread_ms = 4000, .twice_pm = 1000});
    story_echo(s, MESSAGE_grant, 40000);
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-03]",
                                 "floor=60",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "act=1m",
                                 "proof=3m",
                                 NULL);
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    for (size_t i = 0; i < 3; i++)
        EXPECT_THAT(s, story_recycles(s, name[i]) == 1);
}

/* Why: an answer that nobody got is still the outcome: it is asked for, and nothing done again.
 * How: what the agent sends is lost from its act on, for 25 s: RESULT and heartbeats with it. */
STORY(drill, answer_that_is_lost_is_asked_for_again, "Tue 00:50", 92)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq =
        story_recycle(s, "LON-CAS01", "floor=50", "no-drain", "act=1m", "proof=3m", NULL);
    until_acted(s, "LON-CAS01");
    story_cut_cable(s, "LON-CAS01", WAY_UP);
    story_pass(s, 25000);
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_GRANTED);
    story_mend_cable(s, "LON-CAS01");
    story_until(s, "01:10");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: a server that was drained and then lost is out of service: nobody else may follow it.
 * How: its power fails while it is drained, before the act, and comes back after 20 minutes. */
STORY(drill, server_that_dies_after_its_drain_keeps_its_slot, "Tue 00:50", 93)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS01,LON-CAS02",
                                 "floor=75",
                                 "gap=1m",
                                 "settle=1m",
                                 "drain=2m",
                                 "act=1m",
                                 "proof=3m",
                                 "no-canary",
                                 NULL);
    size_t lost = 2;
    for (int i = 0; i < 3600 && lost == 2; i++) {
        story_pass(s, 100);
        for (size_t k = 0; k < 2; k++)
            lost = story_is_out(s, name[k]) ? k : lost;
    }
    EXPECT_THAT(s, lost < 2 && story_recycles(s, name[lost]) == 0);
    story_power_fails(s, name[lost], 20 * 60 * 1000);
    story_pass(s, 15 * 60 * 1000);
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_STEP(s, seq, name[lost], STEP_UNKNOWN);
    EXPECT_SLOT_HELD(s, seq, name[lost]);
    story_pass(s, 60 * 60 * 1000);
    EXPECT_UNTOUCHED(s, name[lost]);
    EXPECT_UNTOUCHED(s, name[1 - lost]);
    EXPECT_SLOT_HELD(s, seq, name[lost]);
}

/* Why: a tool that does not answer in time may have worked all the same: a second try would be a
 * second recycle, and a slot held for what is there to be seen would stop the rest for nothing.
 * How: the tool takes longer than the act may; its worker is new and gets healthy. */
STORY(drill, act_slower_than_its_deadline_is_settled_by_its_new_worker, "Tue 00:50", 94)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq =
        story_recycle(s, "LON-CAS01", "floor=50", "no-drain", "act=1s", "proof=3m", NULL);
    story_until(s, "02:00");
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_CLOSED);
    EXPECT_TEXT_HAS("observed, the tool had not answered before the deadline: no answer",
                    story_step(s, seq, "LON-CAS01")->evidence.text);
}

/* Why: where nothing is to be seen yet the rest waits, and nobody need force what shows by itself
 * an hour later; an operator is told what will.
 * How: the tool hangs and the worker of before stays; then it ends after all. */
STORY(drill, act_that_works_an_hour_late_frees_its_slot_by_proof, "Tue 00:50", 99)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    story_fails(s, "LON-CAS01", "hangs");
    story_fails(s, "LON-CAS02", "hangs");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS01,LON-CAS02",
                                 "floor=75",
                                 "gap=1m",
                                 "settle=1m",
                                 "drain=1m",
                                 "act=5s",
                                 "proof=3m",
                                 NULL);
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    size_t late = story_recycles(s, "LON-CAS01") == 1 ? 0 : 1;
    EXPECT_STEP(s, seq, name[late], STEP_UNKNOWN);
    EXPECT_SLOT_HELD(s, seq, name[late]);
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("proof frees it, now or later: 3 good probes in a row of a worker other than",
                    story_document(s));

    story_fails(s, name[1 - late], "");
    story_kill_worker(s, name[late]);
    story_until(s, "02:05");
    EXPECT_STEP(s, seq, name[late], STEP_CLOSED);
    EXPECT_THAT(s, !story_step(s, seq, name[late])->holds_slot);
    EXPECT_HAS(s, "late, still counted as failed");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_UNTOUCHED(s, name[1 - late]);
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 0);
    story_until(s, "02:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, name[late]) == 1);
    EXPECT_THAT(s, story_recycles(s, name[1 - late]) == 1);
}

/* Why: two ways to be out in one wave are two that are out, whatever the reasons.
 * How: of the first wave one loses its cable at its act, the other stays sick. */
STORY(drill, one_unreachable_and_one_failed_of_a_wave_halt_with_both_slots, "Tue 00:50", 95)
{
    six_servers(s);
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-04]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=50",
                                 "at-once=2",
                                 "no-canary",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "act=1m",
                                 "proof=3m",
                                 "stop-after=2",
                                 NULL);
    const char *cut = NULL, *sick = NULL;
    for (size_t i = 0; i < 4; i++) {
        if (story_step(s, seq, name[i])->wave != 1)
            continue;
        sick = cut;
        cut = name[i];
    }
    EXPECT_THAT(s, cut != NULL && sick != NULL);
    story_fails(s, sick, "never-healthy");
    story_until(s, "00:59:55");
    story_hold(s, cut, MESSAGE_result);
    until_acted(s, cut);
    story_cut_cable(s, cut, WAY_BOTH);
    story_until(s, "04:00");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_STEP(s, seq, cut, STEP_UNKNOWN);
    EXPECT_STEP(s, seq, sick, STEP_FAILED);
    EXPECT_SLOT_HELD(s, seq, cut);
    EXPECT_SLOT_HELD(s, seq, sick);
    for (size_t i = 0; i < CAS_COUNT(name); i++)
        EXPECT_THAT(s, story_recycles(s, name[i]) == (name[i] == cut || name[i] == sick ? 1 : 0));
}

/* Why: a minute and a half is enough for an order to be of another time, and too little to notice.
 * How: one clock is 94 s ahead over its turn, and right again later. */
STORY(drill, clock_94_s_off_is_left_alone_until_it_is_right, "Tue 00:50", 96)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-03]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=60",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "act=1m",
                                 "proof=3m",
                                 NULL);
    story_until(s, "00:55");
    story_jump_wall(s, "LON-CAS02", 94000);
    story_until(s, "01:30");
    EXPECT_UNTOUCHED(s, "LON-CAS02");
    EXPECT_HAS(s, "its clock is off");
    story_jump_wall(s, "LON-CAS02", -94000);
    story_until(s, "02:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    for (size_t i = 0; i < 3; i++)
        EXPECT_THAT(s, story_recycles(s, name[i]) == 1);
}

/* Why: a stricter floor counts from the moment it is given, also for who was there before.
 * How: a rollout may have three of six out; in the middle of its first wave another begins that
 * allows one. It waits for those that are out, and is then alone. */
STORY(drill, stricter_floor_in_mid_flight_holds_for_all, "Tue 00:50", 97)
{
    six_servers(s);
    uint64_t loose = story_recycle(s,
                                   "LON-CAS[01-04]",
                                   "floor=50",
                                   "at-once=2",
                                   "no-canary",
                                   "gap=20s",
                                   "settle=20s",
                                   "no-drain",
                                   "proof=3m",
                                   NULL);
    size_t loose_n = 0;
    for (int i = 0; i < 600 && loose_n < 2; i++) {
        story_pass(s, 100);
        loose_n = out_now(s);
    }
    EXPECT_INT_EQ(2, loose_n);
    uint64_t strict = story_recycle(s,
                                    "LON-CAS[05-06]",
                                    "floor=80",
                                    "gap=20s",
                                    "settle=20s",
                                    "no-drain",
                                    "proof=3m",
                                    NULL);
    EXPECT_THAT(s, strict != 0);
    size_t beside = 0;
    for (int i = 0; i < 3600; i++) {
        story_pass(s, 500);
        bool is_strict = story_is_out(s, name[4]) || story_is_out(s, name[5]);
        beside += is_strict && out_now(s) > 1 ? 1 : 0;
    }
    EXPECT_THAT(s, beside == 0);
    EXPECT_STATE(s, loose, ROLLOUT_DONE);
    EXPECT_STATE(s, strict, ROLLOUT_DONE);
}

/* Why: a percentage is of the servers there are: one that is offline counts, and as out; one that
 * was taken away does not.
 * How: of six two are offline, of three that may be out only one goes at a time; when both are
 * taken away it is two of four. */
STORY(drill, percent_counts_the_offline_and_not_those_taken_away, "Tue 00:50", 98)
{
    six_servers(s);
    story_agent_dies(s, "LON-CAS05", POINT_NOW, -1);
    story_agent_dies(s, "LON-CAS06", POINT_NOW, -1);
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-04]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=50",
                                 "at-once=2",
                                 "no-canary",
                                 "gap=10m",
                                 "settle=10m",
                                 "no-drain",
                                 "proof=3m",
                                 NULL);
    EXPECT_THAT(s, seq != 0);
    story_until(s, "00:59");
    EXPECT_THAT(s, most_out(s, 8 * 60 * 1000) == 1);
    size_t done_n = 0;
    for (size_t i = 0; i < 4; i++)
        done_n += story_recycles(s, name[i]);
    EXPECT_INT_EQ(2, done_n);
    EXPECT_THAT(s, story_ask(s, "agent.revoke", "target=LON-CAS05", NULL) == 0);
    EXPECT_THAT(s, story_ask(s, "agent.revoke", "target=LON-CAS06", NULL) == 0);
    EXPECT_THAT(s, most_out(s, 30 * 60 * 1000) == 2);
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
}
