#include "controller/core/rollout.h"

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

/* Why: the main job. One at a time, each proved before the next, ten minutes apart in life, one
 * minute here. How: four servers that behave; the whole night is read from the journal. */
TEST(rollout, goes_through_a_site_one_by_one_with_a_rest_between)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);

    EXPECT_UINT_EQ(4, fleet->effect_n);
    EXPECT_UINT_EQ(1, fleet->out_most);
    EXPECT_UINT_EQ(4, fleet_count(fleet, " closed "));
    EXPECT_UINT_EQ(1, fleet_count(fleet, "done r-1 4 proved, 0 failed, 0 skipped"));
    EXPECT_TEXT_HAS("closed A-CAS1 worker 1000 is now 1100, healthy 3 times since", fleet->journal);
    for (size_t i = 0; i < 4; i++) {
        const struct rollout_step *step = &fleet_rollout(fleet, seq)->step[i];
        EXPECT_UINT_EQ(i + 1, step->wave);
        EXPECT_FALSE(step->holds_slot);
        EXPECT_UINT_EQ(1, step->attempt);
        if (i > 0) {
            const struct rollout_step *before = step - 1;
            EXPECT_TRUE(step->reserved_ms - before->closed_ms >= wish.gap_ms);
            EXPECT_TRUE(step->reserved_ms - before->closed_ms <= wish.gap_ms + 2000);
        }
    }
}

/* Why: the first server is alone even where four go together, and a wave is through before the next
 * begins. */
TEST(rollout, the_canary_goes_alone_and_waves_follow)
{
    CAS_AUTO(fleet) fleet = fleet_open(9, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.at_once = 4;
    uint64_t seq = fleet_run(fleet, "", &wish);
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    EXPECT_UINT_EQ(1, rollout->step[0].wave);
    EXPECT_UINT_EQ(2, rollout->step[1].wave);
    EXPECT_UINT_EQ(2, rollout->step[4].wave);
    EXPECT_UINT_EQ(3, rollout->step[8].wave);
    fleet_pass(fleet, 15000);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(4, fleet->out_most);
    EXPECT_UINT_EQ(3, fleet_count(fleet, " wave r-1 "));
}

/* Why: a canary that dies must die alone. */
TEST(rollout, a_canary_that_never_gets_healthy_halts_the_rest)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.at_once = 3;
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS1")->is_sick_after = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);

    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_REASON(REASON_NO_PROOF, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_TEXT_EQ("503", fleet_step(fleet, seq, "A-CAS1")->note);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_REASON(REASON_STOP_RULE, fleet_rollout(fleet, seq)->reason);
    EXPECT_TEXT_HAS("halted r-1 1 failed, limit 1, 5 not touched", fleet->journal);
    fleet_pass(fleet, 30 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* Why: I2, R5. A server that goes silent after its command may be dead; its slot is held, and the
 * rollout stops. Its answer, hours late, settles it and still counts as a failure. */
TEST(rollout, a_silent_server_keeps_its_slot_and_its_late_answer_settles_it)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, 10000);
    fleet_agent(fleet, "A-CAS1")->is_cut = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    EXPECT_REASON(REASON_NO_RESULT, fleet_step(fleet, seq, "A-CAS1")->reason);
    fleet_pass(fleet, 60 * MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(1,
                   rollout_out_now(fleet->book, fleet->inventory, "A", fleet_now(fleet).mono_ms));

    fleet_agent(fleet, "A-CAS1")->is_cut = false;
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, 2 * MINUTE_MS);
    EXPECT_REASON(REASON_LATE_PROOF, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* Why: an OFFER nobody answers was never an order, but who does not answer may be down. */
TEST(rollout, an_offer_not_answered_fails_and_holds_until_revoked)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet->drop_pct = 100;
    EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions), NULL);
    fleet_take(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_RESERVED);
    fleet_pass(fleet, CLAIM_WAIT_MS - 1000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_RESERVED);
    fleet_pass(fleet, 1000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_REASON(REASON_NO_CLAIM, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);

    fleet->drop_pct = 0;
    fleet_pass(fleet, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLED);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_UINT_EQ(0, fleet->effect_n);
}

/* Why: I13. What the tool says is not what happened. */
TEST(rollout, done_with_the_old_worker_is_a_failure)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS1")->keeps_worker = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    EXPECT_REASON(REASON_EVIDENCE, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_TEXT_HAS("worker 1000 of before is still there", fleet->journal);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
}

/* How: what failed stays failed whatever its worker is; what is unknown, as long as the worker is
 * the one of before. */
TEST(rollout, what_the_agent_failed_or_does_not_know_holds_the_slot)
{
    static const struct {
        enum command_state outcome;
        enum rollout_step_state state;
        enum rollout_reason reason;
    } cases[] = {{COMMAND_FAILED, STEP_FAILED, REASON_AGENT_FAILED},
                 {COMMAND_UNKNOWN, STEP_UNKNOWN, REASON_AGENT_UNKNOWN}};
    for (size_t i = 0; i < CAS_COUNT(cases); i++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        uint64_t seq = fleet_run(fleet, "", &wish);
        fleet_agent(fleet, "A-CAS1")->outcome = cases[i].outcome;
        fleet_agent(fleet, "A-CAS1")->keeps_worker = cases[i].outcome == COMMAND_UNKNOWN;
        fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
        EXPECT_STEP(fleet, seq, "A-CAS1", cases[i].state);
        EXPECT_REASON(cases[i].reason, fleet_step(fleet, seq, "A-CAS1")->reason);
        EXPECT_TEXT_EQ("appcmd", fleet_step(fleet, seq, "A-CAS1")->evidence.text);
        fleet_pass(fleet, 30 * MINUTE_MS);
        EXPECT_STEP(fleet, seq, "A-CAS1", cases[i].state);
        EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
        EXPECT_UINT_EQ(1, fleet->effect_n);
    }
}

/* Why: an act slower than its deadline leaves a server that is fine and a slot that nobody may use.
 * Its worker says what its agent could not. How: the same process number, one of before the INTENT,
 * then a new one, which must be healthy three times in a row like any other; also after the
 * controller has started anew. */
TEST(rollout, an_unknown_outcome_is_settled_by_a_new_healthy_worker)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    struct fleet_agent *agent = fleet_agent(fleet, "A-CAS1");
    agent->outcome = COMMAND_UNKNOWN;
    agent->keeps_worker = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    const struct rollout_evidence *evidence = &fleet_step(fleet, seq, "A-CAS1")->evidence;
    uint32_t pid_before = evidence->pid_before;
    int64_t intent_ms = evidence->intent_ms;

    agent->start_ms = intent_ms + 1;
    fleet_pass(fleet, 5 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    agent->pid = 7788;
    agent->start_ms = intent_ms;
    fleet_pass(fleet, 5 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    agent->start_ms = intent_ms + 1;
    agent->is_sick = true;
    fleet_pass(fleet, 5 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    fleet_restart(fleet);
    agent->is_sick = false;
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);

    EXPECT_REASON(REASON_LATE_PROOF, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(3, fleet_step(fleet, seq, "A-CAS1")->good_n);
    char words[96];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "worker %u is now 7788, healthy 3 times", pid_before);
    EXPECT_TEXT_HAS(words, fleet->journal);
    EXPECT_TEXT_HAS("late, still counted as failed", fleet->journal);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* Why: how long a turn takes is told to people who plan a night by it. How: six turns as usual, one
 * proved two hours late. */
TEST(rollout, a_late_proof_does_not_count_as_a_long_turn)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS[1-6]", &wish);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 60 * MINUTE_MS);
    int64_t usual_ms = rollout_p95_ms(fleet->book, VERB_recycle);
    EXPECT_TRUE(usual_ms > 0 && usual_ms < 5 * MINUTE_MS);
    struct fleet_agent *agent = fleet_agent(fleet, "A-CAS7");
    agent->outcome = COMMAND_UNKNOWN;
    agent->keeps_worker = true;
    seq = fleet_run(fleet, "A-CAS7", &wish);
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 10 * MINUTE_MS);
    fleet_pass(fleet, 120 * MINUTE_MS);
    agent->pid = 7788;
    agent->start_ms = fleet->at_ms;
    fleet_until(fleet, seq, "A-CAS7", STEP_CLOSED, 5 * MINUTE_MS);
    EXPECT_INT_EQ(usual_ms, rollout_p95_ms(fleet->book, VERB_recycle));
}

/* ---- proof ---- */

/* A rollout of one server, the act done and its RESULT in; heartbeats come by hand from here on. */
static struct fleet *fleet_at_proof(uint64_t *ret_seq)
{
    struct fleet *fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    *ret_seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, *ret_seq, "A-CAS1", STEP_PROVING, 20000);
    fleet->drop_pct = 100;
    fleet_pass(fleet, 2000);
    EXPECT_UINT_EQ(0, fleet_step(fleet, *ret_seq, "A-CAS1")->good_n);
    return fleet;
}

/* Why: R9. "Healthy" said before the act, or echoing a tick of before its RESULT, or with the
 * journal not yet as far, proves nothing. */
TEST(rollout, only_a_heartbeat_made_after_the_act_proves)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    uint64_t head = fleet_agent(fleet, "A-CAS1")->head;

    int64_t since_result_ms = fleet_now(fleet).mono_ms - step->result_mono_ms;
    /* No younger than the RESULT. */
    fleet_heartbeat(fleet, "A-CAS1", since_result_ms, head, HEALTH_GOOD);
    EXPECT_UINT_EQ(0, step->good_n);
    /* The journal is behind. */
    fleet_heartbeat(fleet, "A-CAS1", since_result_ms - 1, head - 1, HEALTH_GOOD);
    EXPECT_UINT_EQ(0, step->good_n);
    fleet_heartbeat(fleet, "A-CAS1", since_result_ms - 1, head, HEALTH_GOOD);
    EXPECT_UINT_EQ(1, step->good_n);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PROVING);
}

/* Why: R10. A heartbeat held up for longer than F says how it was, not how it is. */
TEST(rollout, a_heartbeat_older_than_f_is_no_proof)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    uint64_t head = fleet_agent(fleet, "A-CAS1")->head;
    fleet_pass(fleet, FRESH_MS + 5000);
    fleet_heartbeat(fleet, "A-CAS1", FRESH_MS + 1, head, HEALTH_GOOD);
    EXPECT_UINT_EQ(0, fleet_step(fleet, seq, "A-CAS1")->good_n);
    fleet_heartbeat(fleet, "A-CAS1", FRESH_MS, head, HEALTH_GOOD);
    EXPECT_UINT_EQ(1, fleet_step(fleet, seq, "A-CAS1")->good_n);
}

/* Why: N good probes in a row. One bad one starts the count anew, and the same probe told twice is
 * one probe. */
TEST(rollout, proof_is_good_probes_in_a_row)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    struct fleet_agent *agent = fleet_agent(fleet, "A-CAS1");
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");

    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_UINT_EQ(2, step->good_n);
    agent->probe_seq--;
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD); /* the second again */
    EXPECT_UINT_EQ(2, step->good_n);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_BAD);
    EXPECT_UINT_EQ(0, step->good_n);
    for (int i = 0; i < 2; i++)
        fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PROVING);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
}

/* Why: the worker that is healthy must be the one the act made, or a younger one. */
TEST(rollout, health_of_another_worker_is_no_proof)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    struct fleet_agent *agent = fleet_agent(fleet, "A-CAS1");
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    int64_t start_ms = agent->start_ms;

    agent->start_ms = start_ms - 50000; /* the old one, still there */
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_UINT_EQ(0, step->good_n);
    agent->start_ms = start_ms + 9000;
    agent->pid++;
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_UINT_EQ(1, step->good_n);
}

/* Why: a new run of the agent counts its probes from 1 again; that must neither stick nor join two
 * counts. */
TEST(rollout, a_new_run_of_the_agent_counts_anew)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    struct fleet_agent *agent = fleet_agent(fleet, "A-CAS1");
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    fleet_restart_agent(fleet, agent);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_UINT_EQ(1, step->good_n);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    fleet_heartbeat(fleet, "A-CAS1", 0, agent->head, HEALTH_GOOD);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
}

/* Why: not proved in time is a failure at once; proof that comes later frees the slot and does not
 * forgive. */
TEST(rollout, proof_after_its_deadline_closes_late)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_proof(&seq);
    fleet_pass(fleet, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_REASON(REASON_NO_PROOF, fleet_step(fleet, seq, "A-CAS1")->reason);
    fleet->drop_pct = 0;
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
    EXPECT_REASON(REASON_LATE_PROOF, fleet_step(fleet, seq, "A-CAS1")->reason);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->failed_n);
}

/* ---- what is doubled, late or foreign ---- */

static enum cas_err send_result(struct fleet *fleet,
                                const char *server,
                                const uint8_t *cmd_id,
                                enum command_state state)
{
    struct message_result result = {.state = (uint64_t)state, .seq = 77, .pid_after = 5};
    memcpy(result.cmd_id, cmd_id, CAS_ID_BYTES);
    return rollout_result(fleet->book,
                          fleet->inventory,
                          fleet_id(fleet, server),
                          &result,
                          fleet_now(fleet),
                          &fleet->actions);
}

/* Why: every letter may come twice. How: all are doubled, and the journal is as if they were not.
 */
TEST(rollout, doubled_letters_change_nothing)
{
    CAS_AUTO(fleet) fleet = fleet_open(3, 1);
    fleet->double_pct = 100;
    fleet->floor_pct = 50;
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(3, fleet->effect_n);
    EXPECT_UINT_EQ(3, fleet_count(fleet, " result "));
    EXPECT_UINT_EQ(3, fleet_count(fleet, " closed "));
}

/* Why: R1 of what peers may do: a server speaks for itself only. */
TEST(rollout, a_server_cannot_answer_for_another)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, 10000);
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    EXPECT_OK(send_result(fleet, "A-CAS2", step->cmd_id, COMMAND_DONE), NULL);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);
    EXPECT_UINT_EQ(0, step->evidence.seq);
    struct message_revoked revoked = {.seq = 9};
    memcpy(revoked.cmd_id, step->cmd_id, CAS_ID_BYTES);
    fleet->actions.n = 0;
    EXPECT_OK(rollout_revoked(fleet->book,
                              fleet->inventory,
                              fleet_id(fleet, "A-CAS2"),
                              &revoked,
                              fleet_now(fleet),
                              &fleet->actions),
              NULL);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);
}

/* Why: an agent repeats its RESULT until it is acknowledged; one for a command that is not known
 * here any more must end, too. What is still going on is not acknowledged. */
TEST(rollout, every_outcome_is_acknowledged_and_nothing_else)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    uint8_t unknown[CAS_ID_BYTES] = {0xEE};
    fleet->actions.n = 0;
    EXPECT_OK(send_result(fleet, "A-CAS2", unknown, COMMAND_DONE), NULL);
    EXPECT_UINT_EQ(1, fleet->actions.n);
    EXPECT_INT_EQ(ACTION_SEND_ACK, fleet->actions.item[0].kind);
    EXPECT_UINT_EQ(77, fleet->actions.item[0].ack_seq);
    EXPECT_UINT_EQ(fleet_id(fleet, "A-CAS2"), fleet->actions.item[0].server_id);
    EXPECT_OK(send_result(fleet, "A-CAS2", unknown, COMMAND_INTENT), NULL);
    EXPECT_UINT_EQ(1, fleet->actions.n);
}

/* Why: an agent may answer a REVOKE with what its journal has: RESULT, state REVOKED. */
TEST(rollout, a_result_that_says_revoked_is_a_revoked)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet->drop_pct = 100;
    fleet_pass(fleet, CLAIM_WAIT_MS + 2000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
    EXPECT_OK(
        send_result(fleet, "A-CAS1", fleet_step(fleet, seq, "A-CAS1")->cmd_id, COMMAND_REVOKED),
        NULL);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLED);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet->actions.n = 0;
}

/* Why: a recycle after which no worker was seen has no evidence. A long text is cut whole. */
TEST(rollout, done_without_a_worker_is_a_failure)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, MINUTE_MS);
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    char text[299] = "x";
    for (size_t i = 1; i < 298; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    text[298] = '\0';
    struct message_result result = {.state = COMMAND_DONE,
                                    .seq = 5,
                                    .pid_before = 1000,
                                    .has_text = true,
                                    .text = cas_slice_of(text)};
    memcpy(result.cmd_id, step->cmd_id, CAS_ID_BYTES);
    EXPECT_OK(rollout_result(fleet->book,
                             fleet->inventory,
                             fleet_id(fleet, "A-CAS1"),
                             &result,
                             fleet_now(fleet),
                             &fleet->actions),
              NULL);
    fleet_take(fleet);
    EXPECT_REASON(REASON_EVIDENCE, step->reason);
    EXPECT_TEXT_HAS("no worker was seen since", fleet->journal);
    EXPECT_UINT_EQ(253, strlen(step->evidence.text));
    EXPECT_TRUE(cas_is_clean_text(cas_slice_of(step->evidence.text)));
}

/* How many times the GRANT of now is sent within 30 s of silence; never so late that the agent
 * would refuse it for its age. */
static size_t grants_again(struct fleet *fleet)
{
    size_t grants = 0;
    fleet->drop_pct = 100;
    for (int i = 0; i < 30; i++) {
        struct cas_now now = fleet_now(fleet);
        now.mono_ms += (i + 1) * 1000;
        now.wall_ms += (i + 1) * 1000;
        fleet->actions.n = 0;
        EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, now, &fleet->actions), NULL);
        for (size_t a = 0; a < fleet->actions.n; a++) {
            if (fleet->actions.item[a].kind != ACTION_SEND_GRANT)
                continue;
            grants++;
            EXPECT_TRUE((i + 1) * 1000 < GRANT_LIFE_MS - 4000);
        }
    }
    fleet->actions.n = 0;
    return grants;
}

/* Why: R3. The GRANT is the same each time it is sent, and is not sent once the agent would refuse
 * it for its age. */
TEST(rollout, a_grant_is_sent_again_while_it_can_still_be_taken)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, 10000);
    EXPECT_UINT_EQ(1, grants_again(fleet));
}

/* Why: I1. The one sent before may be lost, and then the next is what the agent acts on.
 * How: one of four may be out; after the GRANT a neighbour is revoked: of three, none may be. */
TEST(rollout, a_grant_that_would_break_the_floor_by_now_is_not_sent_again)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = 75;
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, 10000);
    static const uint8_t no_key[CAS_KEY_BYTES] = {0xff};
    EXPECT_OK(
        inventory_set_key(fleet->inventory, fleet_id(fleet, "A-CAS4"), no_key, ADMISSION_REVOKED),
        NULL);
    EXPECT_UINT_EQ(0, grants_again(fleet));
}

/* Why: I10. An operator who has stopped a rollout is told what is under way; a GRANT sent again, or
 * given once more to a second CLAIM that was late, would begin what was not. Seed 31091 of the
 * sweep.
 * How: paused right after the GRANT; nothing more arrives, then a CLAIM with another nonce does. */
TEST(rollout, a_stopped_rollout_gives_no_grant_again)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, 10000);
    struct cas_now now = fleet_now(fleet);
    const struct rollout_step *step = fleet_step(fleet, seq, "A-CAS1");
    struct message_claim claim = {.nonce = {1, 2, 3}};
    memcpy(claim.cmd_id, step->cmd_id, CAS_ID_BYTES);
    EXPECT_OK(rollout_pause(fleet->book, seq, now, &fleet->actions, NULL), NULL);
    fleet->actions.n = 0;
    EXPECT_OK(rollout_claim(fleet->book,
                            fleet->inventory,
                            fleet_id(fleet, "A-CAS1"),
                            &claim,
                            now,
                            &fleet->actions),
              NULL);
    EXPECT_UINT_EQ(0, fleet->actions.n);
    EXPECT_UINT_EQ(0, grants_again(fleet));
}
