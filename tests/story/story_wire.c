#include "tests/story/story.h"

static uint64_t one_server(struct story *s)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    return story_recycle(s,
                         "LON-CAS01",
                         "at=01:00",
                         "until=12:00",
                         "floor=50",
                         "gap=1m",
                         "settle=1m",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         "healthy=1",
                         NULL);
}

/* Why: an order that comes twice, or hours late, is the same order.
 * How: every GRANT is delivered once more two hours later. */
STORY(wire, grant_that_comes_again_after_hours_acts_once, "Tue 00:50", 21)
{
    uint64_t seq = one_server(s);
    story_echo(s, MESSAGE_grant, 2 * 3600 * 1000);
    story_until(s, "05:00");

    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: an order is for a moment, not for some day.
 * How: the GRANT is held on the wire for two hours. The controller gives up; the agent refuses. */
STORY(wire, grant_that_comes_hours_late_is_refused, "Tue 00:50", 22)
{
    uint64_t seq = one_server(s);
    story_hold(s, "LON-CAS01", MESSAGE_grant);
    story_until(s, "03:00");
    story_release(s, "LON-CAS01");
    story_until(s, "04:00");

    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_THAT(s, story_step(s, seq, "LON-CAS01")->state != STEP_CLOSED);
}

/* Why: what an order found when it was given is not what is there half a minute later.
 * How: the line stands still for 25 s with the GRANT on it, then all comes in order: the nonce is
 * too old by then, and the server gets its turn by a fresh one. */
STORY(wire, grant_that_was_25_s_on_its_way_is_refused, "Tue 00:50", 29)
{
    uint64_t seq = one_server(s);
    story_hold(s, "LON-CAS01", MESSAGE_grant);
    story_until(s, "01:00:02");
    story_hold(s, "LON-CAS01", MESSAGE_NONE);
    story_pass(s, 25000);
    story_release(s, "LON-CAS01");
    story_pass(s, 100);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    story_until(s, "01:10");
    EXPECT_HAS(s, "attempt 1 was not done and never will be");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: TCP gives order and once; a lost connection takes both back. Twice and out of order is the
 * least that must do no harm.
 * How: half of all frames come twice, up to 30 s apart, with delays that overtake each other. */
STORY(wire, everything_twice_and_out_of_order_does_no_harm, "Tue 00:50", 23)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03");
    story_net(s, &(struct story_net){.delay_ms = 5, .spread_ms = 400, .twice_pm = 500});
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-03]",
                                 "at=01:00",
                                 "until=05:00",
                                 "floor=60",
                                 "gap=30s",
                                 "settle=30s",
                                 "no-drain",
                                 NULL);
    story_until(s, "01:20");

    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS02") == 1);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS03") == 1);
}

/* Why: a heartbeat made before the act says nothing about what came of it, however late it comes.
 * How: heartbeats are held from just before the act on; the new worker stays sick; then the old
 * good ones are let through after RESULT. */
STORY(wire, healthy_heartbeat_from_before_the_act_proves_nothing, "Tue 00:50", 24)
{
    uint64_t seq = one_server(s);
    story_fails(s, "LON-CAS01", "never-healthy");
    story_until(s, "00:59:52");
    story_hold(s, "LON-CAS01", MESSAGE_hb);
    while (story_step(s, seq, "LON-CAS01")->state < STEP_PROVING)
        story_pass(s, 50);
    story_release(s, "LON-CAS01");
    story_until(s, "01:30");

    EXPECT_HAS(s, "result LON-CAS01");
    EXPECT_LACKS(s, "done LON-CAS01");
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_FAILED);
    EXPECT_SLOT_HELD(s, seq, "LON-CAS01");
}

/* Why: between OFFER and GRANT a second passes, or ten; the floor counts at the second look.
 * How: the CLAIM of one server is held while another loses its worker. One of two may be out. */
STORY(wire, health_is_looked_at_again_at_the_grant, "Tue 00:50", 25)
{
    uint64_t seq = one_server(s);
    story_hold(s, "LON-CAS01", MESSAGE_claim);
    story_until(s, "01:00:02");
    story_kill_worker(s, "LON-CAS02");
    story_pass(s, 2800);
    story_release(s, "LON-CAS01");
    story_pass(s, 150);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_HAS(s, "hold LON-CAS01");
    story_until(s, "01:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
}

/* Why: an operator's stop and an order may pass each other on the way.
 * How: GRANT is held, the operator pauses, GRANT and REVOKE arrive in either order. */
STORY(wire, revoke_and_grant_pass_each_other, "Tue 00:50", 26)
{
    uint64_t seq = one_server(s);
    story_hold(s, "LON-CAS01", MESSAGE_grant);
    story_until(s, "01:00:03");
    EXPECT_THAT(s, story_ask(s, "recycle.end", "id=r-0001", NULL) == 0);
    story_release(s, "LON-CAS01");
    story_until(s, "01:30");

    /* Granted is granted: it is resolved, one way or the other, and never both. */
    EXPECT_STATE(s, seq, ROLLOUT_ENDED);
    EXPECT_THAT(s, story_is_settled(s));
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") <= 1);
}

/* Why: as above, the OFFER's side: what was taken back before its GRANT never happens.
 * How: CLAIM is held over the end; then it comes, with every REVOKE twice. */
STORY(wire, claim_after_the_end_is_granted_nothing, "Tue 00:50", 27)
{
    uint64_t seq = one_server(s);
    story_hold(s, "LON-CAS01", MESSAGE_claim);
    story_echo(s, MESSAGE_revoke, 3000);
    story_until(s, "01:00:03");
    EXPECT_THAT(s, story_ask(s, "recycle.end", "id=r-0001", NULL) == 0);
    story_release(s, "LON-CAS01");
    story_until(s, "01:30");

    EXPECT_STATE(s, seq, ROLLOUT_ENDED);
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_SKIPPED);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
}

/* Why: a server that is silent counts as down, though its last word was good.
 * How: one of two may be out; the other one's cable is cut before the window opens. */
STORY(wire, silent_neighbour_counts_as_out, "Tue 00:50", 28)
{
    uint64_t seq = one_server(s);
    story_until(s, "00:55");
    story_cut_cable(s, "LON-CAS02", WAY_UP);
    story_until(s, "01:30");
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_THAT(s, story_ask(s, "recycle.show", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("LON: 1 of 2 out, 1 may be (floor 50 %)", story_document(s));

    story_mend_cable(s, "LON-CAS02");
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
}
