#include "controller/core/rollout.h"

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

static void pause(struct fleet *fleet, uint64_t seq)
{
    struct cas_why why = {.text = ""};
    enum cas_err err = rollout_pause(fleet->book, seq, fleet_now(fleet), &fleet->actions, &why);
    fleet_operator(fleet, err, &why);
}

static void resume(struct fleet *fleet, uint64_t seq, const char *skip)
{
    struct cas_why why = {.text = ""};
    uint32_t id = skip == NULL ? 0 : fleet_id(fleet, skip);
    enum cas_err err = rollout_resume(fleet->book,
                                      seq,
                                      &id,
                                      skip == NULL ? 0 : 1,
                                      fleet_now(fleet),
                                      &fleet->actions,
                                      &why);
    fleet_operator(fleet, err, &why);
}

static void retry(struct fleet *fleet, uint64_t seq, const char *server)
{
    struct cas_why why = {.text = ""};
    enum cas_err err = rollout_retry(fleet->book,
                                     seq,
                                     fleet_id(fleet, server),
                                     fleet_now(fleet),
                                     &fleet->actions,
                                     &why);
    fleet_operator(fleet, err, &why);
}

static void end(struct fleet *fleet, uint64_t seq, bool is_forced)
{
    struct cas_why why = {.text = ""};
    enum cas_err err =
        rollout_end(fleet->book, seq, is_forced, fleet_now(fleet), &fleet->actions, &why);
    fleet_operator(fleet, err, &why);
}

/* A rollout of four whose first server has failed and never got healthy. */
static struct fleet *fleet_halted(uint64_t *ret_seq)
{
    struct fleet *fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    *ret_seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS1")->is_sick_after = true;
    fleet_until_state(fleet, *ret_seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    EXPECT_STEP(fleet, *ret_seq, "A-CAS1", STEP_FAILED);
    return fleet;
}

/* Why: I10. From the moment pause returns, no new GRANT; what was offered is taken back, what was
 * granted runs out and is proved. */
TEST(rollout_operator, pause_stops_grants_and_lets_the_granted_finish)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, MINUTE_MS);
    pause(fleet, seq);
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
    fleet_pass(fleet, 30 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_STATE(fleet, seq, ROLLOUT_PAUSED);
    EXPECT_UINT_EQ(1, fleet_count(fleet, "paused r-1 paused by an operator, 3 not touched"));
    resume(fleet, seq, NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(4, fleet->effect_n);
}

/* How: the OFFER is out, the CLAIM on its way when the pause comes; it finds the step taken back.
 * The slot is free when the agent says REVOKED, and the server gets its turn after resume. */
TEST(rollout_operator, pause_takes_back_an_offer_and_resume_takes_it_up)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions), NULL);
    fleet_take(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_RESERVED);
    pause(fleet, seq);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet_pass(fleet, 5000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLED);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(0, fleet_rollout(fleet, seq)->failed_n);
    resume(fleet, seq, NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* How: resumed before the agent has said REVOKED: the old command must still not be doubled. */
TEST(rollout_operator, resume_before_revoked_waits_for_it)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet->drop_pct = 100;
    fleet_pass(fleet, 1000);
    pause(fleet, seq);
    resume(fleet, seq, NULL);
    fleet_pass(fleet, 10000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
    fleet->drop_pct = 0;
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

TEST(rollout_operator, a_paused_schedule_keeps_its_start)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.start_ms += 10 * MINUTE_MS;
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    pause(fleet, seq);
    fleet_pass(fleet, MINUTE_MS);
    resume(fleet, seq, NULL);
    EXPECT_STATE(fleet, seq, ROLLOUT_SCHEDULED);
    pause(fleet, seq);
    fleet_pass(fleet, 20 * MINUTE_MS);
    EXPECT_STATE(fleet, seq, ROLLOUT_PAUSED);
    resume(fleet, seq, NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
}

/* Why: the stop rule counts over the whole run, and a halt takes back what was only offered. */
TEST(rollout_operator, the_stop_rule_halts_at_its_number)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.stop_after = 2;
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS1")->outcome = COMMAND_FAILED;
    fleet_agent(fleet, "A-CAS3")->outcome = COMMAND_FAILED;
    fleet_until(fleet, seq, "A-CAS2", STEP_CLOSED, 5 * MINUTE_MS);
    EXPECT_STATE(fleet, seq, ROLLOUT_RUNNING);
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_TEXT_HAS("halted r-1 2 failed, limit 2, 3 not touched", fleet->journal);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(3, fleet->effect_n);

    /* Resumed: forgiven, not forgotten; with the two still out, the floor of 50 % lets one go. */
    resume(fleet, seq, NULL);
    fleet_until(fleet, seq, "A-CAS6", STEP_CLOSED, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_UINT_EQ(2, fleet_rollout(fleet, seq)->forgiven_n);
}

/* Why: a step that was only offered when another of its wave failed must not act any more. */
TEST(rollout_operator, a_halt_takes_back_the_others_of_the_wave)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.at_once = 2;
    wish.has_canary = false;
    uint64_t seq = fleet_run(fleet, "A-CAS[1-2]", &wish);
    fleet_agent(fleet, "A-CAS1")->outcome = COMMAND_FAILED;
    fleet_agent(fleet, "A-CAS2")->is_cut = true; /* its OFFER is lost */
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_CANCELLING);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_CANCELLING);
    fleet_agent(fleet, "A-CAS2")->is_cut = false;
    fleet_pass(fleet, 15000);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_CANCELLED);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* Why: journey 4. The one that failed is left as it is, the others go on; it holds its slot to the
 * end, and the rollout can be done without it. */
TEST(rollout_operator, resume_with_skip_goes_on_without_the_failed_one)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_halted(&seq);
    resume(fleet, seq, "A-CAS1");
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(4, fleet->effect_n);
    EXPECT_TEXT_HAS("done r-1 3 proved, 1 failed, 0 skipped", fleet->journal);
    /* It gets well by itself: the slot is free. */
    fleet_agent(fleet, "A-CAS1")->is_sick = false;
    fleet_pass(fleet, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_STATE(fleet, seq, ROLLOUT_DONE);
}

TEST(rollout_operator, a_failure_nobody_looked_at_keeps_the_rollout_open)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.stop_after = 2;
    uint64_t seq = fleet_run(fleet, "A-CAS[1-2]", &wish);
    fleet_agent(fleet, "A-CAS1")->outcome = COMMAND_FAILED;
    fleet_until(fleet, seq, "A-CAS2", STEP_CLOSED, 5 * MINUTE_MS);
    fleet_pass(fleet, 2000);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_REASON(REASON_OPERATOR, fleet_rollout(fleet, seq)->reason);
    resume(fleet, seq, "A-CAS1");
    fleet_pass(fleet, 2000);
    EXPECT_STATE(fleet, seq, ROLLOUT_DONE);
}

TEST(rollout_operator, skip_while_running_leaves_a_server_out)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS2")->is_in_maintenance = true;
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_PENDING);
    EXPECT_REASON(REASON_MAINTENANCE, fleet_rollout(fleet, seq)->reason);
    resume(fleet, seq, "A-CAS2");
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_SKIPPED);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_TEXT_HAS("done r-1 3 proved, 0 failed, 1 skipped", fleet->journal);
}

/* Why: R6 and journey 4: once more, alone, then wait for the operator. The server is sick and held;
 * that does not keep a retry from it. */
TEST(rollout_operator, retry_acts_once_more_alone_and_then_waits)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_halted(&seq);
    fleet_agent(fleet, "A-CAS1")->is_sick_after = false;
    retry(fleet, seq, "A-CAS1");
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
    fleet_agent(fleet, "A-CAS1")->is_sick = false;
    fleet_until_state(fleet, seq, ROLLOUT_PAUSED, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
    EXPECT_REASON(REASON_RETRY, fleet_rollout(fleet, seq)->reason);
    EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
    EXPECT_UINT_EQ(2, fleet->effect_n);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet->effect_n);
    resume(fleet, seq, NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(5, fleet->effect_n);
}

TEST(rollout_operator, a_retry_that_fails_halts_again)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_halted(&seq);
    retry(fleet, seq, "A-CAS1");
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_UINT_EQ(2, fleet->effect_n);
}

/* Why: I2. The first attempt acted and was never proved; that the second was never begun says
 * nothing about the first. Through pause, REVOKED and a restart the slot stays held. */
TEST(rollout_operator, a_retry_taken_back_does_not_free_the_slot_of_the_first)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_halted(&seq);
    retry(fleet, seq, "A-CAS1");
    EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions), NULL);
    fleet_take(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_RESERVED);
    pause(fleet, seq);
    fleet_pass(fleet, 20000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet_restart(fleet);
    fleet_agent(fleet, "A-CAS1")->is_sick = false; /* well, but nobody can say of which attempt */
    fleet_pass(fleet, 5 * MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    end(fleet, seq, true);
    EXPECT_STATE(fleet, seq, ROLLOUT_ENDED);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
}

/* How: nobody claimed, so nothing acted, and the retry starts clean. */
TEST(rollout_operator, a_retry_after_an_unanswered_offer_holds_nothing_old)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet_agent(fleet, "A-CAS1")->is_cut = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, MINUTE_MS);
    EXPECT_REASON(REASON_NO_CLAIM, fleet_step(fleet, seq, "A-CAS1")->reason);
    retry(fleet, seq, "A-CAS1");
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet_pass(fleet, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PENDING);
    EXPECT_REASON(REASON_SILENT, fleet_rollout(fleet, seq)->reason);
    fleet_agent(fleet, "A-CAS1")->is_cut = false;
    fleet_until_state(fleet, seq, ROLLOUT_PAUSED, 2 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

TEST(rollout_operator, end_leaves_the_rest_and_resolves_what_is_under_way)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, MINUTE_MS);
    end(fleet, seq, false);
    EXPECT_TRUE(fleet_rollout(fleet, seq)->is_ending);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_SKIPPED);
    fleet_restart(fleet);
    fleet_until_state(fleet, seq, ROLLOUT_ENDED, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
    EXPECT_TEXT_HAS("ended r-1 1 proved, 0 failed, 3 not touched", fleet->journal);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

TEST(rollout_operator, end_of_an_offered_step_waits_for_revoked)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet->drop_pct = 100;
    fleet_pass(fleet, 1000);
    end(fleet, seq, false);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_STATE(fleet, seq, ROLLOUT_PAUSED);
    EXPECT_TRUE(fleet_rollout(fleet, seq)->is_ending);
    fleet->drop_pct = 0;
    fleet_until_state(fleet, seq, ROLLOUT_ENDED, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_SKIPPED);
}

/* Why: each verb in a state it does not fit is refused, says why, and changes nothing. */
TEST(rollout_operator, what_is_not_possible_is_refused_with_its_state)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct cas_why why = {.text = ""};
    struct cas_now now = fleet_now(fleet);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, rollout_pause(fleet->book, 9, now, &fleet->actions, &why));
    EXPECT_TEXT_HAS("r-0009", why.text);
    uint64_t seq = fleet_run(fleet, "A-CAS[1-2]", &wish);
    EXPECT_ERR(CAS_ERR_GUARD,
               rollout_resume(fleet->book, seq, NULL, 0, now, &fleet->actions, &why));
    EXPECT_TEXT_HAS("is running", why.text);
    EXPECT_ERR(
        CAS_ERR_GUARD,
        rollout_retry(fleet->book, seq, fleet_id(fleet, "A-CAS1"), now, &fleet->actions, &why));
    pause(fleet, seq);
    EXPECT_ERR(CAS_ERR_GUARD, rollout_pause(fleet->book, seq, now, &fleet->actions, &why));
    EXPECT_ERR(
        CAS_ERR_GUARD,
        rollout_retry(fleet->book, seq, fleet_id(fleet, "A-CAS1"), now, &fleet->actions, &why));
    EXPECT_TEXT_HAS("only what failed or is unknown is retried", why.text);
    uint32_t stranger = fleet_id(fleet, "A-CAS4");
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               rollout_resume(fleet->book, seq, &stranger, 1, now, &fleet->actions, &why));
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               rollout_retry(fleet->book, seq, stranger, now, &fleet->actions, &why));
    resume(fleet, seq, NULL);
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
    uint32_t under_way = fleet_id(fleet, "A-CAS1");
    EXPECT_ERR(
        CAS_ERR_GUARD,
        rollout_resume(fleet->book, seq, &under_way, 1, fleet_now(fleet), &fleet->actions, &why));
    EXPECT_TEXT_HAS("cannot be skipped", why.text);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 5 * MINUTE_MS);
    EXPECT_ERR(CAS_ERR_GUARD,
               rollout_end(fleet->book, seq, true, fleet_now(fleet), &fleet->actions, &why));
    EXPECT_UINT_EQ(0, fleet->actions.n);
}

/* ---- the other verbs ---- */

TEST(rollout_operator, drain_is_proved_by_being_drained_and_counts_as_out)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    fleet->floor_pct = 75;
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = 75;
    wish.verb = VERB_drain;
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
    fleet_pass(fleet, 20000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PROVING);
    fleet_agent(fleet, "A-CAS1")->is_drained = true;
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 20000);

    wish.verb = VERB_recycle;
    uint64_t next = fleet_run(fleet, "A-CAS2", &wish);
    fleet_pass(fleet, MINUTE_MS);
    EXPECT_REASON(REASON_FLOOR, fleet_rollout(fleet, next)->reason);

    wish.verb = VERB_undrain;
    uint64_t back = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, back, "A-CAS1", STEP_PROVING, MINUTE_MS);
    fleet_agent(fleet, "A-CAS1")->is_drained = false;
    fleet_until_state(fleet, back, ROLLOUT_DONE, 20000);
    fleet_until_state(fleet, next, ROLLOUT_DONE, 2 * MINUTE_MS);
}

/* Why: one command at a time a server, whatever it is; and `why` says who has it. */
TEST(rollout_operator, a_server_under_way_is_not_given_to_another_rollout)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_hold hold;
    fleet_agent(fleet, "A-CAS1")->act_ms = 20000;
    uint64_t recycle = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, recycle, "A-CAS1", STEP_GRANTED, MINUTE_MS);
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, recycle),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_WAVE, hold.reason);
    wish.verb = VERB_probe;
    uint64_t probe = fleet_run(fleet, "A-CAS1", &wish);
    fleet_pass(fleet, 5000);
    EXPECT_STEP(fleet, probe, "A-CAS1", STEP_PENDING);
    EXPECT_REASON(REASON_SLOT, fleet_step(fleet, probe, "A-CAS1")->reason);
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, probe),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_SLOT, hold.reason);
    EXPECT_TEXT_EQ("held by r-0001", hold.words);
    fleet_until_state(fleet, recycle, ROLLOUT_DONE, 2 * MINUTE_MS);
    fleet_until_state(fleet, probe, ROLLOUT_DONE, MINUTE_MS);
}

TEST(rollout_operator, why_nothing_begins_is_told_in_every_state)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_hold hold;
    struct cas_why why = {.text = ""};
    uint64_t seq = 0;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS[1-3]", &wish, &seq, &why), &why); /* one at a time */
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, seq),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_AT_ONCE, hold.reason);
    EXPECT_TEXT_EQ(rollout_reason_words(REASON_AT_ONCE), hold.words);
    pause(fleet, seq);
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, seq),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_PAUSED, hold.reason);
    EXPECT_TEXT_EQ("paused by an operator", hold.words);
    resume(fleet, seq, NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 5 * MINUTE_MS);
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, seq),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_NONE, hold.reason);
    EXPECT_TEXT_EQ("", hold.words);
}

/* Why: memory is for what is open; the store keeps the rest. The newest stay for lists. */
TEST(rollout_operator, ended_rollouts_are_forgotten_oldest_first)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.verb = VERB_probe;
    for (uint64_t i = 0; i < 3; i++)
        fleet_until_state(fleet, fleet_run(fleet, "A-CAS1", &wish), ROLLOUT_DONE, MINUTE_MS);
    wish.start_ms = fleet_now(fleet).wall_ms + MINUTE_MS;
    uint64_t open = fleet_run(fleet, "A-CAS1", &wish);
    rollout_forget(fleet->book, 2);
    EXPECT_UINT_EQ(3, rollout_book_size(fleet->book));
    EXPECT_NULL(rollout_find(fleet->book, 1));
    EXPECT_NOT_NULL(rollout_find(fleet->book, 2));
    rollout_forget(fleet->book, 0);
    EXPECT_UINT_EQ(1, rollout_book_size(fleet->book));
    /* What is left is still found by its servers. */
    fleet_until_state(fleet, open, ROLLOUT_DONE, 3 * MINUTE_MS);
}

/* Why: a probe takes nobody out, so no floor holds it back, and a failed server can be looked at.
 */
TEST(rollout_operator, a_probe_needs_no_floor_and_reaches_a_held_server)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_halted(&seq);
    fleet->floor_pct = 0;
    struct rollout_wish wish = fleet_wish(fleet);
    wish.verb = VERB_probe;
    wish.floor_pct = 100;
    wish.at_once = 4;
    wish.has_canary = false;
    uint64_t probe = fleet_run(fleet, "", &wish);
    fleet_until_state(fleet, probe, ROLLOUT_DONE, MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
}
