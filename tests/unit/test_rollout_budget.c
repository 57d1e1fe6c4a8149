#include "controller/core/rollout.h"

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

/* ---- re-checked at the CLAIM ---- */

/* A step that was offered while all was well; the CLAIM has not come yet. */
static struct fleet *fleet_at_offer(uint64_t *ret_seq)
{
    struct fleet *fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    *ret_seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet->drop_pct = 100;
    EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions), NULL);
    fleet_take(fleet);
    EXPECT_STEP(fleet, *ret_seq, "A-CAS1", STEP_RESERVED);
    return fleet;
}

static void claim(struct fleet *fleet, uint64_t seq)
{
    struct message_claim message = {.nonce = {42}};
    memcpy(message.cmd_id, fleet_step(fleet, seq, "A-CAS1")->cmd_id, CAS_ID_BYTES);
    EXPECT_OK(rollout_claim(fleet->book,
                            fleet->inventory,
                            fleet_id(fleet, "A-CAS1"),
                            &message,
                            fleet_now(fleet),
                            &fleet->actions),
              NULL);
    fleet_take(fleet);
}

TEST(rollout, a_claim_is_granted_when_all_is_as_it_was)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);
    EXPECT_UINT_EQ(42, fleet_step(fleet, seq, "A-CAS1")->nonce[0]);
}

/* Why: R11. Between OFFER and CLAIM others may have gone down; the order that would break the floor
 * is not given, and the step is taken back. */
TEST(rollout, a_claim_is_refused_when_the_floor_broke_meanwhile)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    fleet_heartbeat(fleet, "A-CAS2", 0, 0, HEALTH_BAD);
    claim(fleet, seq); /* 2 of 4 may be out: this one and the sick one */
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);

    CAS_AUTO(fleet) other = fleet_at_offer(&seq);
    fleet_heartbeat(other, "A-CAS2", 0, 0, HEALTH_BAD);
    fleet_heartbeat(other, "A-CAS3", 0, 0, HEALTH_BAD);
    claim(other, seq);
    EXPECT_STEP(other, seq, "A-CAS1", STEP_CANCELLING);
    EXPECT_REASON(REASON_FLOOR, fleet_step(other, seq, "A-CAS1")->reason);
    EXPECT_TEXT_HAS("held A-CAS1 A: 2 of 4 out, 2 may be (floor 50 %)", other->journal);
}

static void hold_silent(struct inventory_server *server)
{
    server->live.proof_mono_ms -= FRESH_MS + 1;
}

static void hold_unprobed(struct inventory_server *server)
{
    server->live.health = HEALTH_UNKNOWN;
}

static void hold_drained(struct inventory_server *server)
{
    server->live.is_drained = true;
}

static void hold_maintenance(struct inventory_server *server)
{
    memcpy(server->live.maintenance, "CU23", 5);
}

static void hold_revoked(struct inventory_server *server)
{
    server->admission = ADMISSION_REVOKED;
}

static void hold_journal(struct inventory_server *server)
{
    server->live.is_journal_writable = false;
}

static void hold_veto(struct inventory_server *server)
{
    memcpy(server->live.held_reason, "replacing a fan", 16);
    memcpy(server->live.held_by, "alice", 6);
}

static void hold_skew(struct inventory_server *server)
{
    server->live.skew_ms = -CLOCK_SKEW_MS - 1;
}

static const struct {
    void (*make)(struct inventory_server *server);
    enum rollout_reason reason;
} holds[] = {{hold_silent, REASON_SILENT},
             {hold_unprobed, REASON_UNHEALTHY},
             {hold_drained, REASON_DRAINED},
             {hold_maintenance, REASON_MAINTENANCE},
             {hold_revoked, REASON_REVOKED},
             {hold_journal, REASON_JOURNAL},
             {hold_veto, REASON_HELD},
             {hold_skew, REASON_SKEW}};

/* Why: I17, R11. Each reason not to act stops both the OFFER and the GRANT, and is told by name. */
TEST(rollout, each_reason_not_to_act_holds_the_offer_and_the_grant)
{
    for (size_t i = 0; i < CAS_COUNT(holds); i++) {
        uint64_t seq = 0;
        CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
        holds[i].make(inventory_by_name(fleet->inventory, cas_slice_of("A-CAS1")));
        claim(fleet, seq);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
        EXPECT_REASON(holds[i].reason, fleet_step(fleet, seq, "A-CAS1")->reason);

        CAS_AUTO(fleet) other = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(other);
        seq = fleet_run(other, "A-CAS1", &wish);
        holds[i].make(inventory_by_name(other->inventory, cas_slice_of("A-CAS1")));
        struct rollout_hold hold;
        rollout_hold_of(other->book,
                        other->inventory,
                        fleet_rollout(other, seq),
                        fleet_now(other),
                        &hold);
        EXPECT_REASON(REASON_NONE, hold.reason); /* its wave has not begun */
        EXPECT_OK(rollout_tick(other->book, other->inventory, fleet_now(other), &other->actions),
                  NULL);
        fleet_take(other);
        EXPECT_STEP(other, seq, "A-CAS1", STEP_PENDING);
        EXPECT_REASON(holds[i].reason, fleet_step(other, seq, "A-CAS1")->reason);
        EXPECT_REASON(holds[i].reason, fleet_rollout(other, seq)->reason);
        rollout_hold_of(other->book,
                        other->inventory,
                        fleet_rollout(other, seq),
                        fleet_now(other),
                        &hold);
        EXPECT_REASON(holds[i].reason, hold.reason);
        EXPECT_TEXT_HAS("A-CAS1", hold.words);
        EXPECT_UINT_EQ(1, fleet_count(other, " held A-CAS1 "));
    }
}

/* Why: a pool that answers 503 because its ports are gone is what a recycle is for. It counts as
 * out as it is, so acting on it takes nobody away. */
TEST(rollout, a_sick_server_may_be_recycled)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    fleet_agent(fleet, "A-CAS1")->is_sick = true;
    fleet_agent(fleet, "A-CAS2")->is_sick = true;
    fleet_pass(fleet, 10000);
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, 20000);
    fleet_agent(fleet, "A-CAS1")->is_sick = false;
    fleet_until_state(fleet, seq, ROLLOUT_DONE, MINUTE_MS);
}

/* ---- nacks ---- */

static void nack(struct fleet *fleet, uint64_t seq, enum nack_reason reason)
{
    struct message_nack message = {.reason = (uint64_t)reason,
                                   .has_cmd_id = true,
                                   .has_text = true,
                                   .text = cas_slice_of("x")};
    memcpy(message.cmd_id, fleet_step(fleet, seq, "A-CAS1")->cmd_id, CAS_ID_BYTES);
    EXPECT_OK(rollout_nack(fleet->book,
                           fleet->inventory,
                           fleet_id(fleet, "A-CAS1"),
                           &message,
                           fleet_now(fleet),
                           &fleet->actions),
              NULL);
}

TEST(rollout, a_refusal_that_would_come_again_fails_the_step)
{
    static const enum nack_reason refusals[] = {NACK_BAD_SIGNATURE,
                                                NACK_NOT_MINE,
                                                NACK_UNKNOWN_VERB,
                                                NACK_POOL_NOT_ALLOWED,
                                                NACK_JOURNAL,
                                                NACK_ROLLOUT_OLD,
                                                NACK_VERSION,
                                                NACK_WINDOW};
    for (size_t i = 0; i < CAS_COUNT(refusals); i++) {
        uint64_t seq = 0;
        CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
        nack(fleet, seq, refusals[i]);
        fleet_take(fleet);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_FAILED);
        EXPECT_REASON(REASON_NACK, fleet_step(fleet, seq, "A-CAS1")->reason);
        EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
        EXPECT_TEXT_HAS(nack_words(refusals[i]), fleet->journal);
        EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    }
}

/* Why: a restored database gives numbers again that an agent has done with, and each new plan would
 * be refused until they are used up. How: refused as too old; the number the agent names in its
 * words is not looked at. */
TEST(rollout, a_number_of_before_leaps_and_says_what_to_do)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    nack(fleet, seq, NACK_ROLLOUT_OLD);
    size_t leap_n = 0;
    for (size_t i = 0; i < fleet->actions.n; i++) {
        const struct rollout_action *action = &fleet->actions.item[i];
        leap_n += action->kind == ACTION_LEAP && action->seq == seq;
    }
    EXPECT_UINT_EQ(1, leap_n);
    fleet_take(fleet);
    EXPECT_TEXT_HAS("the database has gone back: end this plan and make it anew, it will be above "
                    "r-10001",
                    fleet->journal);
}

TEST(rollout, busy_and_missing_plan_are_no_failures)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    static const enum nack_reason mild[] = {NACK_BUSY, NACK_STALE_EPOCH, NACK_IN_JOURNAL};
    for (size_t i = 0; i < CAS_COUNT(mild); i++) {
        nack(fleet, seq, mild[i]);
        EXPECT_UINT_EQ(0, fleet->actions.n);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_RESERVED);
    }
    nack(fleet, seq, NACK_NO_PLAN);
    EXPECT_UINT_EQ(2, fleet->actions.n);
    EXPECT_INT_EQ(ACTION_SEND_PLAN, fleet->actions.item[0].kind);
    EXPECT_INT_EQ(ACTION_SEND_OFFER, fleet->actions.item[1].kind);
}

/* Why: people at a server who say no have made no mistake: nothing failed, nothing halts; the
 * server is asked again once they have released it, and only after it has said durably that it did
 * not act. How: the NACK comes before any heartbeat has told of the hold, to the OFFER and to the
 * GRANT.
 */
TEST(rollout, a_server_held_by_its_people_waits_and_is_no_failure)
{
    for (int is_granted = 0; is_granted < 2; is_granted++) {
        uint64_t seq = 0;
        CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
        if (is_granted)
            claim(fleet, seq);
        nack(fleet, seq, NACK_HELD);
        fleet_take(fleet);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
        EXPECT_REASON(REASON_HELD, fleet_step(fleet, seq, "A-CAS1")->reason);
        EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
        EXPECT_TEXT_HAS("held A-CAS1 the server is held by its own people: x", fleet->journal);
        EXPECT_STATE(fleet, seq, ROLLOUT_RUNNING);
        EXPECT_UINT_EQ(0, fleet_rollout(fleet, seq)->failed_n);
        fleet->drop_pct = 0;
        fleet_until_state(fleet, seq, ROLLOUT_DONE, 3 * MINUTE_MS);
        EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
        EXPECT_UINT_EQ(1, fleet->effect_n);
    }
}

/* Why: a GRANT that came too late for its nonce was not taken, but only the agent's durable REVOKED
 * makes that sure; then, and not before, the server is asked anew. */
TEST(rollout, a_grant_that_came_too_late_is_taken_back_and_offered_anew)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    nack(fleet, seq, NACK_NONCE);
    fleet_take(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
    fleet_pass(fleet, 10000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet->drop_pct = 0;
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 3 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_UINT_EQ(1, fleet_count(fleet, "attempt 1 was not done and never will be"));
}

/* Why: R13. Taking back frees only on the agent's word. One that was granted and never answers is
 * named unknown in time, and still holds. */
TEST(rollout, a_grant_taken_back_without_an_answer_is_unknown)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    nack(fleet, seq, NACK_NONCE);
    fleet_take(fleet);
    fleet_pass(fleet, 88000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
    fleet_pass(fleet, 4000);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    fleet_pass(fleet, 60 * MINUTE_MS);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    fleet->drop_pct = 0;
    fleet_until(fleet, seq, "A-CAS1", STEP_CANCELLED, MINUTE_MS);
    EXPECT_FALSE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
}

/* Why: a nonce that the agent gave anew makes the GRANT for the one before worthless. */
TEST(rollout, a_second_claim_is_granted_for_its_own_nonce)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    struct message_claim again = {.nonce = {43}};
    memcpy(again.cmd_id, fleet_step(fleet, seq, "A-CAS1")->cmd_id, CAS_ID_BYTES);
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(rollout_claim(fleet->book,
                                fleet->inventory,
                                fleet_id(fleet, "A-CAS1"),
                                &again,
                                fleet_now(fleet),
                                &fleet->actions),
                  NULL);
        /* Saved before it is sent; the second time it is the same, and nothing happens. */
        EXPECT_UINT_EQ(i == 0 ? 3 : 0, fleet->actions.n);
        fleet->actions.n = 0;
        EXPECT_UINT_EQ(43, fleet_step(fleet, seq, "A-CAS1")->nonce[0]);
    }
    /* Not while the floor is broken: then the first order stands or falls by itself. */
    fleet_heartbeat(fleet, "A-CAS2", 0, 0, HEALTH_BAD);
    fleet_heartbeat(fleet, "A-CAS3", 0, 0, HEALTH_BAD);
    again.nonce[0] = 44;
    EXPECT_OK(rollout_claim(fleet->book,
                            fleet->inventory,
                            fleet_id(fleet, "A-CAS1"),
                            &again,
                            fleet_now(fleet),
                            &fleet->actions),
              NULL);
    EXPECT_UINT_EQ(0, fleet->actions.n);
    EXPECT_UINT_EQ(43, fleet_step(fleet, seq, "A-CAS1")->nonce[0]);
}

/* Why: a REVOKE is answered by REVOKED or a RESULT. How: every refusal there is, while it is taken
 * back; and the one a full journal gives, asked about a grant that is dead. */
TEST(rollout, a_refusal_settles_nothing_that_is_taken_back)
{
    for (int reason = NACK_STALE_EPOCH;
         nack_words((enum nack_reason)reason) != NULL && reason <= NACK_WINDOW;
         reason++) {
        uint64_t seq = 0;
        CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
        claim(fleet, seq);
        nack(fleet, seq, NACK_NONCE);
        fleet_take(fleet);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
        nack(fleet, seq, (enum nack_reason)reason);
        EXPECT_UINT_EQ(0, fleet->actions.n);
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CANCELLING);
        EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    }
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    fleet_pass(fleet, GRANT_LIFE_MS + 1000);
    nack(fleet, seq, NACK_JOURNAL);
    fleet_take(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);
    EXPECT_STATE(fleet, seq, ROLLOUT_RUNNING);
}

/* Why: an agent that claims for ever must not keep its step from ending. How: a CLAIM with a new
 * nonce every second. */
TEST(rollout, claiming_again_does_not_put_off_the_end)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    int64_t deadline_ms = fleet_step(fleet, seq, "A-CAS1")->deadline_mono_ms;
    fleet_pass(fleet, 10000);
    struct message_claim again = {.nonce = {99}};
    memcpy(again.cmd_id, fleet_step(fleet, seq, "A-CAS1")->cmd_id, CAS_ID_BYTES);
    EXPECT_OK(rollout_claim(fleet->book,
                            fleet->inventory,
                            fleet_id(fleet, "A-CAS1"),
                            &again,
                            fleet_now(fleet),
                            &fleet->actions),
              NULL);
    EXPECT_INT_EQ(99, fleet_step(fleet, seq, "A-CAS1")->nonce[0]);
    EXPECT_INT_EQ(deadline_ms, fleet_step(fleet, seq, "A-CAS1")->deadline_mono_ms);
}

/* Why (I1): what a server forgot may have been done, so that its slot is held whatever an operator
 * leaves out, until forced. How: skipped first and forgotten then, and the reverse. */
TEST(rollout, a_forgotten_grant_holds_its_slot_whatever_is_skipped)
{
    for (int is_skipped_first = 0; is_skipped_first < 2; is_skipped_first++) {
        uint64_t seq = 0;
        CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
        struct cas_why why = {0};
        claim(fleet, seq);
        fleet_until(fleet, seq, "A-CAS1", STEP_UNKNOWN, 3 * MINUTE_MS);
        uint32_t id = fleet_id(fleet, "A-CAS1");
        for (int turn = 0; turn < 2; turn++) {
            struct cas_now now = fleet_now(fleet);
            enum cas_err err =
                turn == is_skipped_first
                    ? rollout_forgot(fleet->book, fleet->inventory, id, now, &fleet->actions)
                    : rollout_resume(fleet->book, seq, &id, 1, now, &fleet->actions, &why);
            EXPECT_OK(err, &why);
            fleet_take(fleet);
        }
        struct message_revoked revoked = {.seq = 1};
        memcpy(revoked.cmd_id, fleet_step(fleet, seq, "A-CAS1")->cmd_id, CAS_ID_BYTES);
        EXPECT_OK(rollout_revoked(fleet->book,
                                  fleet->inventory,
                                  id,
                                  &revoked,
                                  fleet_now(fleet),
                                  &fleet->actions),
                  NULL);
        fleet_take(fleet);
        EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
        EXPECT_UINT_EQ(1, fleet_step(fleet, seq, "A-CAS1")->attempt);
    }
}

/* Why: a GRANT that was committed and never sent, because the controller died between the two, can
 * be acted on by nobody. It is asked about, and the server gets its turn anew, without a failure.
 */
TEST(rollout, a_grant_lost_with_the_controller_is_settled)
{
    uint64_t seq = 0;
    CAS_AUTO(fleet) fleet = fleet_at_offer(&seq);
    claim(fleet, seq);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_GRANTED);
    fleet_restart(fleet);
    fleet->drop_pct = 0;
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet_step(fleet, seq, "A-CAS1")->attempt);
    EXPECT_UINT_EQ(0, fleet_rollout(fleet, seq)->failed_n);
    EXPECT_UINT_EQ(1, fleet->effect_n);
}

/* ---- budget ---- */

/* Why: I1, R8. Two rollouts that each keep the floor alone would break it together. */
TEST(rollout, two_rollouts_share_one_floor)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    fleet->floor_pct = 75;
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = 75;
    wish.gap_ms = 0;
    wish.settle_ms = 0;
    uint64_t first = fleet_run(fleet, "A-CAS[1-2]", &wish);
    uint64_t second = fleet_run(fleet, "A-CAS[3-4]", &wish);
    fleet_pass(fleet, 2000);
    EXPECT_STEP(fleet, first, "A-CAS1", STEP_GRANTED);
    EXPECT_STEP(fleet, second, "A-CAS3", STEP_PENDING);
    EXPECT_REASON(REASON_FLOOR, fleet_step(fleet, second, "A-CAS3")->reason);
    fleet_until_state(fleet, first, ROLLOUT_DONE, 10 * MINUTE_MS);
    fleet_until_state(fleet, second, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->out_most);
    /* Taking turns: the second need not wait for all of the first. */
    EXPECT_TRUE(fleet_step(fleet, second, "A-CAS3")->reserved_ms <
                fleet_step(fleet, first, "A-CAS2")->reserved_ms);
}

/* Why: R8. A slot held by a rollout that was ended is held all the same. */
TEST(rollout, a_slot_of_an_ended_rollout_still_counts)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    fleet->floor_pct = 75;
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = 75;
    struct cas_why why = {.text = ""};
    uint64_t first = fleet_run(fleet, "A-CAS1", &wish);
    fleet_agent(fleet, "A-CAS1")->outcome = COMMAND_FAILED;
    fleet_until_state(fleet, first, ROLLOUT_HALTED, MINUTE_MS);
    fleet_operator(fleet,
                   rollout_end(fleet->book, first, false, fleet_now(fleet), &fleet->actions, &why),
                   &why);
    EXPECT_STATE(fleet, first, ROLLOUT_ENDED);
    rollout_forget(fleet->book, 0);
    EXPECT_NOT_NULL(rollout_find(fleet->book, first));

    uint64_t second = fleet_run(fleet, "A-CAS2", &wish);
    fleet_pass(fleet, 2 * MINUTE_MS);
    EXPECT_STEP(fleet, second, "A-CAS2", STEP_PENDING);
    EXPECT_REASON(REASON_FLOOR, fleet_step(fleet, second, "A-CAS2")->reason);
    fleet_operator(fleet,
                   rollout_end(fleet->book, first, true, fleet_now(fleet), &fleet->actions, &why),
                   &why);
    EXPECT_TEXT_HAS("skipped A-CAS1 slot given up, forced", fleet->journal);
    fleet_until_state(fleet, second, ROLLOUT_DONE, 2 * MINUTE_MS);
    rollout_forget(fleet->book, 0);
    EXPECT_NULL(rollout_find(fleet->book, first));
    EXPECT_NULL(rollout_find(fleet->book, second));
}

/* Why: I2. A percentage is of those enrolled, and who is down for any reason is out already. */
TEST(rollout, servers_that_are_down_use_up_the_budget)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 1); /* 50 %: 4 may be out */
    struct rollout_wish wish = fleet_wish(fleet);
    wish.at_once = 4;
    wish.has_canary = false;
    fleet_agent(fleet, "A-CAS5")->is_cut = true;
    fleet_agent(fleet, "A-CAS6")->is_in_maintenance = true;
    fleet_agent(fleet, "A-CAS7")->is_drained = true;
    fleet_pass(fleet, FRESH_MS + 10000);
    uint64_t seq = fleet_run(fleet, "A-CAS[1-4]", &wish);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(4, fleet->out_most);
    EXPECT_UINT_EQ(4, fleet->effect_n);

    /* One more down, and nobody may go. */
    fleet_agent(fleet, "A-CAS8")->is_sick = true;
    fleet_pass(fleet, 10000);
    uint64_t next = fleet_run(fleet, "A-CAS1", &wish);
    fleet_pass(fleet, 5 * MINUTE_MS);
    EXPECT_REASON(REASON_FLOOR, fleet_rollout(fleet, next)->reason);
    EXPECT_UINT_EQ(4, fleet->effect_n);
    /* A revoked one is no longer of the site: 50 % of 7 is 3. */
    inventory_by_name(fleet->inventory, cas_slice_of("A-CAS8"))->admission = ADMISSION_REVOKED;
    fleet_pass(fleet, 10000);
    EXPECT_REASON(REASON_FLOOR, fleet_rollout(fleet, next)->reason);
    fleet_agent(fleet, "A-CAS7")->is_drained = false;
    fleet->agent[7].is_sick = false;
    fleet_until_state(fleet, next, ROLLOUT_DONE, 2 * MINUTE_MS);
}

/* Why: the floor is floor(n * pct), told by one function to plan, view and machine. */
TEST(rollout, the_floor_rounds_towards_more_in_service)
{
    EXPECT_UINT_EQ(0, rollout_may_be_out(3, 75));
    EXPECT_UINT_EQ(1, rollout_may_be_out(4, 75));
    EXPECT_UINT_EQ(4, rollout_may_be_out(16, 75));
    EXPECT_UINT_EQ(4, rollout_may_be_out(19, 75));
    EXPECT_UINT_EQ(0, rollout_may_be_out(100, 100));
    EXPECT_UINT_EQ(100, rollout_may_be_out(100, 0));
    EXPECT_UINT_EQ(0, rollout_may_be_out(0, 0));
    EXPECT_UINT_EQ(12000, rollout_may_be_out(12000, 0));
}

/* Why: a rollout with a loose floor must not spend what one with a strict floor relies on while it
 * has someone out. */
TEST(rollout, the_strictest_floor_under_way_binds_all)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 1);
    fleet->floor_pct = 0;
    struct rollout_wish strict = fleet_wish(fleet);
    strict.floor_pct = 87; /* 1 of 8 */
    struct rollout_wish loose = fleet_wish(fleet);
    loose.floor_pct = 0;
    loose.at_once = 4;
    loose.has_canary = false;
    uint64_t first = fleet_run(fleet, "A-CAS1", &strict);
    uint64_t second = fleet_run(fleet, "A-CAS[2-5]", &loose);
    fleet_pass(fleet, 5000);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_REASON(REASON_FLOOR, fleet_rollout(fleet, second)->reason);
    fleet_until_state(fleet, first, ROLLOUT_DONE, MINUTE_MS);
    fleet_until_state(fleet, second, ROLLOUT_DONE, 5 * MINUTE_MS);
    EXPECT_UINT_EQ(4, fleet->out_most);
}

/* Why: sites are separate groups. */
TEST(rollout, each_site_has_its_own_budget)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 2);
    fleet->floor_pct = 75;
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = 75;
    wish.at_once = 2;
    wish.has_canary = false;
    uint64_t seq = fleet_run(fleet, "A-CAS1 B-CAS1", &wish);
    fleet_pass(fleet, 3000);
    EXPECT_UINT_EQ(2, fleet->effect_n);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
    EXPECT_TEXT_EQ("A B", fleet_rollout(fleet, seq)->plan_text);
}
