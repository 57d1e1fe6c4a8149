#include "tests/story/story.h"

static uint64_t site(struct story *s, const char *gap)
{
    char text[32];
    struct cas_text gap_text = CAS_TEXT(text);
    cas_text_clear(&gap_text);
    cas_text_add(&gap_text, "gap=%s", gap);
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    return story_recycle(s,
                         "LON-CAS[01-04]",
                         "at=01:00",
                         "until=02:00",
                         "floor=75",
                         text,
                         "settle=20m",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         "healthy=2",
                         NULL);
}

static size_t recycles(struct story *s)
{
    return story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02") +
           story_recycles(s, "LON-CAS03") + story_recycles(s, "LON-CAS04");
}

static size_t recycles_of_two(struct story *s)
{
    return story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02");
}

/* Why: once pause has returned nobody new is touched; what is under way is told and resolved.
 * How: pause while the first server proves itself; wait; resume. */
STORY(operator, pause_holds_and_resume_goes_on, "Tue 00:50", 31)
{
    uint64_t seq = site(s, "1m");
    story_until(s, "01:00:06");
    EXPECT_THAT(s, story_ask(s, "recycle.pause", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("\"state\":\"paused\"", story_document(s));
    EXPECT_TEXT_HAS("\"running\":1", story_document(s)); /* in flight, by name below */
    EXPECT_TEXT_HAS("\"state\":\"proving\"", story_document(s));
    story_until(s, "01:10");
    EXPECT_INT_EQ(1, recycles(s));
    EXPECT_THAT(s, story_is_settled(s));
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 0);
    story_until(s, "01:59");

    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
}

/* Why: one bad server is no reason to leave the others leaking; who goes on without it says so.
 * How: one server fails and halts the rollout; resumed without it. Its slot stays held, so that
 * with a floor of one out nobody else moves until it is given up by force. */
STORY(operator, skipped_failure_keeps_its_slot_until_forced, "Tue 00:50", 32)
{
    uint64_t seq = site(s, "1m");
    for (int i = 1; i <= 4; i++) {
        char name[16];
        struct cas_text text = CAS_TEXT(name);
        cas_text_clear(&text);
        cas_text_add(&text, "LON-CAS0%d", i);
        story_fails(s, name, "recycle-fails");
    }
    story_until(s, "01:05");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    const struct rollout *rollout = story_rollout(s, seq);
    char failed[32];
    struct cas_text skip = CAS_TEXT(failed);
    cas_text_clear(&skip);
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].state == STEP_FAILED)
            cas_text_add(&skip, "skip=LON-CAS0%u", rollout->step[i].server_id);
    }
    for (int i = 1; i <= 4; i++) {
        char name[16];
        struct cas_text text = CAS_TEXT(name);
        cas_text_clear(&text);
        cas_text_add(&text, "LON-CAS0%d", i);
        story_fails(s, name, "");
    }
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", failed, NULL) == 0);
    story_until(s, "01:20");
    EXPECT_INT_EQ(1, recycles(s)); /* the one that failed */
    EXPECT_THAT(s, story_ask(s, "recycle.end", "id=r-0001", "force", NULL) == 0);
    EXPECT_HAS(s, "slot given up, forced");
    story_until(s, "01:30");
    EXPECT_STATE(s, seq, ROLLOUT_ENDED);
}

/* Why: a retry is one server, alone, by an operator's word; then the operator looks again.
 * How: the canary's tool refuses, is mended, is retried; the rollout waits, is resumed and ends. */
STORY(operator, retry_runs_alone_and_waits, "Tue 00:50", 33)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    story_fails(s, "LON-CAS01", "recycle-fails");
    story_fails(s, "LON-CAS02", "recycle-fails");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-02]",
                                 "at=01:00",
                                 "until=03:00",
                                 "floor=50",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "proof=3m",
                                 NULL);
    story_until(s, "01:05");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    bool is_first = story_step(s, seq, "LON-CAS01")->state == STEP_FAILED;
    story_fails(s, "LON-CAS01", "");
    story_fails(s, "LON-CAS02", "");
    const char *target = is_first ? "target=LON-CAS01" : "target=LON-CAS02";
    EXPECT_THAT(s, story_ask(s, "recycle.retry", "id=r-0001", target, NULL) == 0);
    story_until(s, "01:10");
    EXPECT_STATE(s, seq, ROLLOUT_PAUSED);
    EXPECT_INT_EQ(2, recycles_of_two(s));
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 0);
    story_until(s, "01:20");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles_of_two(s));
}

/* Why: the end of the window is the end; who is under way is finished, the rest is not begun.
 * How: a gap of 40 minutes in a window of an hour: two get their turn. */
STORY(operator, window_that_closes_halts_what_is_left, "Tue 00:50", 34)
{
    uint64_t seq = site(s, "40m");
    EXPECT_THAT(s, seq == 0); /* settle is shorter than the gap */
    EXPECT_TEXT_HAS("--settle is shorter than the gap", story_error(s));
    seq = story_recycle(s,
                        "LON-CAS[01-04]",
                        "at=01:00",
                        "until=02:00",
                        "floor=75",
                        "gap=40m",
                        "settle=40m",
                        "no-drain",
                        NULL);
    story_until(s, "03:00");

    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_HAS(s, "02:00 halt");
    EXPECT_INT_EQ(2, recycles(s));
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", NULL) == 6);
}

/* Why: a revoked key is out at its next frame, also in the middle of things; what its server was
 * doing is not proved by it, and its slot stays held.
 * How: revoked while its new worker comes up. Its frames go on arriving. */
STORY(operator, revoked_agent_is_out_at_once, "Tue 00:50", 35)
{
    uint64_t seq = site(s, "1m");
    story_until(s, "01:00");
    while (recycles(s) == 0)
        story_pass(s, 100);
    const char *acting = story_recycles(s, "LON-CAS01") > 0   ? "LON-CAS01"
                         : story_recycles(s, "LON-CAS02") > 0 ? "LON-CAS02"
                         : story_recycles(s, "LON-CAS03") > 0 ? "LON-CAS03"
                                                              : "LON-CAS04";
    char target[32];
    struct cas_text text = CAS_TEXT(target);
    cas_text_clear(&text);
    cas_text_add(&text, "target=%s", acting);
    EXPECT_THAT(s, story_ask(s, "agent.revoke", target, NULL) == 0);
    size_t down = story_frames_down(s, acting);
    size_t kept = story_kept(s, acting);
    story_until(s, "01:30");

    EXPECT_THAT(s, story_step(s, seq, acting)->state != STEP_CLOSED);
    EXPECT_SLOT_HELD(s, seq, acting);
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_THAT(s, story_frames_down(s, acting) <= down + 1); /* one was on its way */
    EXPECT_THAT(s, story_kept(s, acting) == kept);
    EXPECT_INT_EQ(1, recycles(s));
}

/* Why: a key nobody approved is told nothing and believed nothing.
 * How: a stranger knocks for ten minutes. */
STORY(operator, stranger_gets_nothing, "Tue 00:50", 36)
{
    story_site(s, "LON", "LON-CAS01");
    story_stranger(s, "LON-CAS99");
    story_until(s, "01:00");
    EXPECT_INT_EQ(0, story_frames_down(s, "LON-CAS99"));
    EXPECT_THAT(s, story_ask(s, "agent.list", "pending", NULL) == 0);
    EXPECT_TEXT_HAS("192.0.2.1", story_document(s));
    EXPECT_THAT(s, story_ask(s, "server.show", "target=LON-CAS99", NULL) == 5);
}

/* Why: a server whose key was taken away can never say that it gives an offer back, and a rollout
 * must not wait for it for ever. Found by sweep_seeds --seed 847, as L1.
 * How: its OFFER is on its way when an operator revokes it and the controller is started anew. */
STORY(operator, offer_to_a_revoked_server_comes_to_an_end, "Tue 00:50", 37)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    uint64_t seq = story_recycle(s, "LON-CAS01", "at=01:00", "floor=50", "no-drain", NULL);
    story_until(s, "00:59");
    story_hold(s, "LON-CAS01", MESSAGE_offer);
    story_until(s, "01:00");
    while (story_step(s, seq, "LON-CAS01")->state == STEP_PENDING)
        story_pass(s, 100);
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_RESERVED);
    EXPECT_THAT(s, story_ask(s, "agent.revoke", "target=LON-CAS01", NULL) == 0);
    story_controller_dies(s, 1000);
    story_release(s, "LON-CAS01");
    story_until(s, "01:05");

    EXPECT_STEP(s, seq, "LON-CAS01", STEP_FAILED);
    EXPECT_THAT(s, story_step(s, seq, "LON-CAS01")->reason == REASON_REVOKED);
    EXPECT_SLOT_HELD(s, seq, "LON-CAS01");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
}
