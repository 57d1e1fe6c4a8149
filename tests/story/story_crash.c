#include "tests/story/story.h"

static uint64_t two_servers(struct story *s)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    return story_recycle(s,
                         "LON-CAS01",
                         "at=01:00",
                         "until=05:00",
                         "floor=50",
                         "gap=1m",
                         "settle=1m",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         NULL);
}

/* Begins at once. */
static uint64_t quick_recycle(struct story *s, const char *target)
{
    return story_recycle(s,
                         target,
                         "floor=50",
                         "gap=20s",
                         "settle=20s",
                         "no-drain",
                         "act=1m",
                         "proof=3m",
                         NULL);
}

/* Why: an agent that dies between the act and its answer must not act again, and need not: the new
 * worker is there to be seen.
 * How: it dies right after the act and comes back. */
STORY(crash, agent_that_dies_after_the_act_observes_it, "Tue 00:50", 11)
{
    uint64_t seq = two_servers(s);
    story_agent_dies(s, "LON-CAS01", POINT_ACT, 5000);
    story_until(s, "01:30");

    EXPECT_HAS(s, "dies LON-CAS01");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_TEXT_HAS("observed", story_step(s, seq, "LON-CAS01")->evidence.text);
}

/* Why: between INTENT and act nobody can say what happened; doing it again might be twice.
 * How: it dies there, comes back, and finds its old worker. */
STORY(crash, agent_that_dies_before_the_act_is_unknown_and_not_retried, "Tue 00:50", 12)
{
    uint64_t seq = two_servers(s);
    story_agent_dies(s, "LON-CAS01", POINT_INTENT, 5000);
    story_until(s, "04:00");

    EXPECT_STEP(s, seq, "LON-CAS01", STEP_UNKNOWN);
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_SLOT_HELD(s, seq, "LON-CAS01");
    EXPECT_UNTOUCHED(s, "LON-CAS01");

    /* Only an operator's word makes it a second attempt. */
    EXPECT_THAT(s, story_ask(s, "recycle.retry", "id=r-0001", "target=LON-CAS01", NULL) == 0);
    story_until(s, "04:30");
    EXPECT_STEP(s, seq, "LON-CAS01", STEP_CLOSED);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: a journal that is damaged must be moved away, and what only it knew is lost: the act may
 * have been done. How: the agent dies right after its act and comes back with empty journals. */
STORY(crash, agent_whose_journals_are_gone_acts_no_second_time, "Tue 00:50", 22)
{
    uint64_t seq = two_servers(s);
    story_agent_dies(s, "LON-CAS01", POINT_ACT, -1);
    story_until(s, "01:00:30");
    EXPECT_HAS(s, "dies LON-CAS01");
    story_journals_lost(s, "LON-CAS01", -1);
    story_agent_starts(s, "LON-CAS01");
    story_until(s, "01:30");

    EXPECT_HAS(s, "unknown LON-CAS01 its journal was lost or set back after the grant");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: a nonce lives in memory: with it the order dies, and may be given anew.
 * How: the agent dies as the GRANT arrives, before INTENT. */
STORY(crash, agent_that_dies_before_intent_acts_once_later, "Tue 00:50", 13)
{
    uint64_t seq = two_servers(s);
    story_agent_dies(s, "LON-CAS01", POINT_GRANT, 5000);
    story_until(s, "02:00");

    EXPECT_STEP(s, seq, "LON-CAS01", STEP_CLOSED);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: the outcome is on disk; the answer is only its copy.
 * How: the agent dies with the outcome written and RESULT unsent, and stays away for a minute. */
STORY(crash, agent_that_dies_with_its_answer_tells_it_later, "Tue 00:50", 14)
{
    uint64_t seq = two_servers(s);
    story_agent_dies(s, "LON-CAS01", POINT_OUTCOME, 60000);
    story_until(s, "01:30");

    EXPECT_STEP(s, seq, "LON-CAS01", STEP_CLOSED);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: a rollout is as durable as its commits: a controller that comes back goes on at the same
 * place, nothing skipped, repeated or reordered.
 * How: the same rollout over and over; each time the controller dies after one commit further, with
 * nothing of that commit sent, and comes back after 20 s. */
STORY(crash, controller_that_dies_after_any_commit_goes_on_there, "Tue 00:50", 15)
{
    (void)s;
    for (uint64_t k = 1; k < 200; k++) {
        struct story_settings settings = {.folder = test_folder(), .start = "Tue 00:50"};
        settings.seed = 15;
        CAS_AUTO(story) one = story_begin(&settings);
        story_site(one, "LON", "LON-CAS01 LON-CAS02");
        uint64_t seq = story_recycle(one,
                                     "LON-CAS[01-02]",
                                     "at=00:51",
                                     "until=05:00",
                                     "floor=50",
                                     "gap=20s",
                                     "settle=20s",
                                     "no-drain",
                                     "proof=2m",
                                     NULL);
        uint64_t before = story_commits(one);
        story_controller_dies_after(one, k, 20000);
        for (int i = 0; i < 20 && !(story_controller(one) != NULL &&
                                    story_rollout(one, seq)->state == ROLLOUT_DONE);
             i++)
            story_pass(one, 30000);
        EXPECT_THAT(one, story_check(one));
        EXPECT_STATE(one, seq, ROLLOUT_DONE);
        EXPECT_THAT(one, story_recycles(one, "LON-CAS01") == 1);
        EXPECT_THAT(one, story_recycles(one, "LON-CAS02") == 1);
        if (story_commits(one) - before < k) /* it was over before it could die */
            return;
    }
    EXPECT_THAT(s, false);
}

/* Why: a restored database has lost its last minutes; the agents' journals have not.
 * How: a backup before the first act, put back after it: the same command is derived again, and the
 * agent answers it from its journal. */
STORY(crash, restored_database_repeats_no_act, "Tue 00:50", 16)
{
    uint64_t seq = two_servers(s);
    story_until(s, "00:59");
    story_backup(s);
    story_until(s, "01:02");
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    story_controller_dies(s, -1);
    story_restore(s);
    story_controller_starts(s);
    story_until(s, "02:00");

    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_THAT(s, story_rollout(s, seq)->state != ROLLOUT_RUNNING);
}

/* Why: numbers are given again after a database has gone back; a plan of the same number is another
 * order, and must be neither taken as done by the old one's acts nor refused for them.
 * How: two plans of one server each act and are lost; two more get their numbers, and a third acts
 * on both and on one that was never touched. */
STORY(crash, number_given_again_after_a_restore_is_another_plan, "Tue 00:50", 18)
{
    static const char *const name[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03"};
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    story_backup(s);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        EXPECT_THAT(s, quick_recycle(s, name[seq - 1]) == seq);
        story_pass(s, 5 * 60 * 1000);
        EXPECT_STATE(s, seq, ROLLOUT_DONE);
        EXPECT_THAT(s, story_recycles(s, name[seq - 1]) == 1);
    }
    story_controller_dies(s, -1);
    story_restore(s);
    story_controller_starts(s);
    story_pass(s, 5 * 60 * 1000);
    EXPECT_THAT(s, story_rollout(s, 1) == NULL);
    EXPECT_THAT(s, story_ask(s, "why", "id=LON-CAS01", NULL) >= 0);
    EXPECT_TEXT_HAS("the database has them up to", story_document(s));

    for (uint64_t seq = 1; seq <= 2; seq++) {
        int64_t from_ms = story_now(s);
        EXPECT_THAT(s, quick_recycle(s, name[seq - 1]) == seq);
        story_pass(s, 5 * 60 * 1000);
        EXPECT_STEP(s, seq, name[seq - 1], STEP_CLOSED);
        EXPECT_THAT(s, story_step(s, seq, name[seq - 1])->evidence.intent_ms >= from_ms);
        EXPECT_THAT(s, story_recycles(s, name[seq - 1]) == 2);
    }
    uint64_t all = quick_recycle(s, "LON-CAS[01-03]");
    story_pass(s, 20 * 60 * 1000);
    EXPECT_STATE(s, all, ROLLOUT_DONE);
    for (size_t i = 0; i < CAS_COUNT(name); i++)
        EXPECT_THAT(s, story_recycles(s, name[i]) == (i < 2 ? 3 : 1));
}

/* Why: an agent's journal forgets its oldest rollouts and takes none up to them ever after. Numbers
 * that a restored database gives again may be among them: then nobody should have to use them up
 * one by one.
 * How: the journal has done with 40 rollouts of which the database knows none. */
STORY(crash, numbers_of_before_a_restore_are_left_behind, "Tue 00:50", 20)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    story_agent_dies(s, "LON-CAS01", POINT_NOW, -1);
    story_old_journal(s, "LON-CAS01", 40);
    story_agent_starts(s, "LON-CAS01");
    story_pass(s, 60 * 1000);
    EXPECT_THAT(s, quick_recycle(s, "LON-CAS01") == 1);
    story_pass(s, 5 * 60 * 1000);
    EXPECT_STATE(s, 1, ROLLOUT_HALTED);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
    EXPECT_STEP(s, 1, "LON-CAS01", STEP_CANCELLED);
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("rollout 1 is not above 40, up to which all are closed here; the database has "
                    "gone back: end this plan and make it anew, it will be above r-10001",
                    story_document(s));
    EXPECT_THAT(s, story_ask(s, "recycle.end", "id=r-0001", NULL) == 0);

    uint64_t seq = quick_recycle(s, "LON-CAS01");
    EXPECT_THAT(s, seq == 1 + ROLLOUT_LEAP + 1);
    story_pass(s, 5 * 60 * 1000);
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
}

/* Why: the same plan is the same order, whatever the database has forgotten of it: run once more it
 * is answered, not done once more.
 * How: a backup between planning and running; after the restore the kept plan is run again. */
STORY(crash, plan_run_again_after_a_restore_is_the_same_plan, "Tue 00:50", 19)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02");
    EXPECT_THAT(s,
                story_ask(s,
                          "recycle.plan",
                          "target=LON-CAS01",
                          "floor=50",
                          "gap=1m",
                          "settle=1m",
                          "no-drain",
                          "act=1m",
                          "proof=3m",
                          NULL) == 0);
    story_backup(s);
    EXPECT_THAT(s, story_run(s, 1) == 1);
    story_until(s, "00:55");
    EXPECT_STATE(s, 1, ROLLOUT_DONE);
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);

    story_controller_dies(s, -1);
    story_restore(s);
    story_controller_starts(s);
    story_until(s, "00:58");
    EXPECT_THAT(s, story_run(s, 1) == 1);
    story_until(s, "01:30");
    EXPECT_THAT(s, story_recycles(s, "LON-CAS01") == 1);
    EXPECT_THAT(s, story_rollout(s, 1)->state != ROLLOUT_RUNNING);
}

/* Why: a controller that was asleep while another one led decides from what was true before.
 * How: another becomes leader two seconds before the window opens; the first one's next commit must
 * not be taken, and nothing of it be sent. */
STORY(crash, controller_that_was_replaced_sends_nothing_more, "Tue 00:50", 17)
{
    uint64_t seq = two_servers(s);
    story_until(s, "00:59:58");
    story_usurp(s);
    story_until(s, "01:20");
    EXPECT_HAS(s, "the controller is fenced");
    EXPECT_UNTOUCHED(s, "LON-CAS01");

    story_controller_starts(s); /* late, so the start is missed and told */
    story_until(s, "01:30");
    EXPECT_STATE(s, seq, ROLLOUT_MISSED);
    EXPECT_UNTOUCHED(s, "LON-CAS01");
}
