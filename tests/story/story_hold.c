#include "tests/story/story.h"

static uint64_t begin(struct story *s)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    return story_recycle(s,
                         "LON-CAS[01-04]",
                         "at=01:00",
                         "until=03:00",
                         "floor=75",
                         "gap=1m",
                         "settle=1m",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         "healthy=2",
                         NULL);
}

/* The server of the first wave. */
static const char *first_of(struct story *s, uint64_t seq)
{
    static const char *const name[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04"};
    for (size_t i = 0; i < CAS_COUNT(name); i++) {
        if (story_step(s, seq, name[i])->wave == 1)
            return name[i];
    }
    return name[0];
}

static size_t recycles(struct story *s)
{
    return story_recycles(s, "LON-CAS01") + story_recycles(s, "LON-CAS02") +
           story_recycles(s, "LON-CAS03") + story_recycles(s, "LON-CAS04");
}

/* Why: the people at a server beat every plan, and whoever looks at the farm sees who and why.
 * How: held before the start; the plan waits with that reason, is not failed by it, and goes on
 * within moments of the release. */
STORY(hold, a_held_server_waits_with_who_and_why_and_goes_on_once_released, "Tue 00:50", 71)
{
    uint64_t seq = begin(s);
    const char *held = first_of(s, seq);
    story_veto(s, held, "replacing a fan");
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_STATE(s, seq, ROLLOUT_RUNNING);
    EXPECT_STEP(s, seq, held, STEP_PENDING);
    EXPECT_THAT(s, story_step(s, seq, held)->reason == REASON_HELD);
    EXPECT_THAT(s, story_step(s, seq, held)->attempt == 1);
    EXPECT_THAT(s, story_rollout(s, seq)->failed_n == 0);
    EXPECT_HAS(s, "held on the server by alice: replacing a fan");
    (void)story_ask(s, "status", NULL);
    EXPECT_TEXT_HAS("\"class\":\"held\"", story_document(s));
    EXPECT_TEXT_HAS("replacing a fan", story_document(s));
    EXPECT_TEXT_HAS("by alice", story_document(s));
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("held on the server by alice: replacing a fan", story_document(s));
    char target[32];
    struct cas_text text = CAS_TEXT(target);
    cas_text_clear(&text);
    cas_text_add(&text, "id=%s", held);
    EXPECT_THAT(s, story_ask(s, "why", target, NULL) == 0);
    EXPECT_TEXT_HAS("every plan waits for it", story_document(s));
    EXPECT_TEXT_HAS("casfleet-agent release", story_document(s));
    EXPECT_TEXT_HAS("server.held", story_document(s)); /* the audit has it */
    EXPECT_THAT(s, story_ask(s, "server.list", NULL) == 0);
    EXPECT_TEXT_HAS("\"held_by\":\"alice\"", story_document(s));

    story_veto(s, held, NULL);
    story_until(s, "01:31");
    EXPECT_RECYCLED(s, held, 1);
    story_until(s, "02:00");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
    (void)story_ask(s, "status", NULL);
    EXPECT_THAT(s, strstr(story_document(s), "\"class\":\"held\"") == NULL);
}

/* Why: the operators can go on without it, in words they are given. */
STORY(hold, a_plan_goes_on_without_the_held_one_when_told, "Tue 00:50", 72)
{
    uint64_t seq = begin(s);
    const char *held = first_of(s, seq);
    story_veto(s, held, "replacing a fan");
    story_until(s, "01:10");
    char skip[32];
    struct cas_text text = CAS_TEXT(skip);
    cas_text_clear(&text);
    cas_text_add(&text, "skip=%s", held);
    EXPECT_THAT(s, story_ask(s, "recycle.resume", "id=r-0001", skip, NULL) == 0);
    story_until(s, "01:59");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(3, recycles(s));
    EXPECT_UNTOUCHED(s, held);
}

/* Why: half a recycle helps nobody. How: held while its new worker comes up: it is finished and
 * proved, and the next plan leaves it out by name. */
STORY(hold, an_act_under_way_is_finished_and_the_next_plan_leaves_it_out, "Tue 00:50", 73)
{
    uint64_t seq = begin(s);
    story_until(s, "01:00");
    const char *held = first_of(s, seq);
    while (story_recycles(s, held) == 0)
        story_pass(s, 50);
    EXPECT_STEP(s, seq, held, STEP_GRANTED);
    story_veto(s, held, "replacing a fan");
    story_until(s, "01:59");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_STEP(s, seq, held, STEP_CLOSED);
    EXPECT_INT_EQ(4, recycles(s));

    EXPECT_THAT(
        s,
        story_ask(s, "recycle.plan", "target=LON-CAS[01-04]", "floor=75", "no-drain", NULL) == 0);
    EXPECT_TEXT_HAS("held on the server by alice: replacing a fan", story_document(s));
    EXPECT_TEXT_HAS("\"planned\":3", story_document(s));
}

/* Why: the hold may come between the claim and its grant, when no heartbeat can have told of it:
 * the agent's own look decides, and a refusal of people is no failure.
 * How: the GRANT waits in the net while the file is written. */
STORY(hold, a_hold_between_claim_and_grant_is_obeyed, "Tue 00:50", 74)
{
    uint64_t seq = begin(s);
    const char *held = first_of(s, seq);
    story_hold(s, held, MESSAGE_grant);
    story_until(s, "01:00");
    while (story_step(s, seq, held)->state != STEP_GRANTED)
        story_pass(s, 50);
    story_veto(s, held, "replacing a fan");
    story_release(s, held);
    story_until(s, "01:05");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_STATE(s, seq, ROLLOUT_RUNNING);
    EXPECT_STEP(s, seq, held, STEP_PENDING);
    EXPECT_THAT(s, story_step(s, seq, held)->reason == REASON_HELD);
    EXPECT_THAT(s, !story_step(s, seq, held)->holds_slot);
    story_veto(s, held, NULL);
    story_until(s, "01:59");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
}

/* Why: the veto is the server's, not the agent's or the controller's: it outlives both.
 * How: both restart while it is held; every message comes twice. */
STORY(hold, a_hold_outlives_restarts_of_agent_and_controller, "Tue 00:50", 75)
{
    struct story_net net = {.delay_ms = 20, .spread_ms = 200, .drop_pm = 50, .twice_pm = 200};
    uint64_t seq = begin(s);
    const char *held = first_of(s, seq);
    story_veto(s, held, "replacing a fan");
    story_net(s, &net);
    story_until(s, "01:05");
    story_agent_dies(s, held, POINT_NOW, 20000);
    story_controller_dies(s, 5000);
    story_until(s, "01:30");
    EXPECT_INT_EQ(0, recycles(s));
    EXPECT_STATE(s, seq, ROLLOUT_RUNNING);
    EXPECT_THAT(s, story_step(s, seq, held)->reason == REASON_HELD);
    EXPECT_THAT(s, story_rollout(s, seq)->failed_n == 0);
    story_veto(s, held, NULL);
    story_until(s, "02:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_INT_EQ(4, recycles(s));
}
