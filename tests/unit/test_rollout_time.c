#include "controller/core/rollout.h"

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

/* ---- rest ---- */

/* Why: the rest lasts until requests settle, at most settle_ms. */
TEST(rollout, the_rest_is_longer_while_requests_have_not_settled)
{
    for (int is_noisy = 0; is_noisy < 2; is_noisy++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        wish.settle_ms = 10 * MINUTE_MS;
        uint64_t seq = fleet_run(fleet, "A-CAS[1-2]", &wish);
        fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
        int64_t closed_ms = fleet->at_ms;
        struct rollout_hold hold;
        fleet_pass(fleet, 2000);
        rollout_hold_of(fleet->book,
                        fleet->inventory,
                        fleet_rollout(fleet, seq),
                        fleet_now(fleet),
                        &hold);
        EXPECT_REASON(REASON_GAP, hold.reason);
        EXPECT_INT_EQ(closed_ms + fleet->mono_from_ms + wish.gap_ms, hold.until_mono_ms);
        struct inventory_server *server =
            inventory_by_name(fleet->inventory, cas_slice_of("A-CAS1"));
        while (fleet_step(fleet, seq, "A-CAS2")->state == STEP_PENDING &&
               fleet->at_ms - closed_ms < 11 * MINUTE_MS) {
            fleet_pass(fleet, 1000);
            if (is_noisy == 1)
                server->live.requests_since_mono_ms = fleet_now(fleet).mono_ms;
        }
        int64_t rested_ms = fleet->at_ms - closed_ms;
        if (is_noisy == 1)
            EXPECT_INT_EQ(10 * MINUTE_MS, rested_ms);
        else
            EXPECT_TRUE(rested_ms >= MINUTE_MS && rested_ms < 3 * MINUTE_MS);
        EXPECT_UINT_EQ(1, fleet_count(fleet, "requests have not settled"));
    }
}

/* ---- time ---- */

TEST(rollout, waits_for_its_start_and_not_longer)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.start_ms += 10 * MINUTE_MS;
    uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
    EXPECT_STATE(fleet, seq, ROLLOUT_SCHEDULED);
    fleet_pass(fleet, 10 * MINUTE_MS - 1000);
    EXPECT_STATE(fleet, seq, ROLLOUT_SCHEDULED);
    fleet_pass(fleet, 1000);
    EXPECT_STATE(fleet, seq, ROLLOUT_RUNNING);
}

/* Why: late is worse than never. Five minutes are the edge. */
TEST(rollout, a_start_the_controller_slept_through_is_missed)
{
    for (int late = 0; late < 2; late++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        wish.start_ms += 10 * MINUTE_MS;
        uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
        fleet->at_ms += 15 * MINUTE_MS - 1000 + late;
        fleet_restart(fleet);
        fleet_pass(fleet, 1000);
        EXPECT_STATE(fleet, seq, late == 0 ? ROLLOUT_RUNNING : ROLLOUT_MISSED);
        fleet_pass(fleet, 2 * MINUTE_MS);
        EXPECT_UINT_EQ(late == 0 ? 1 : 0, fleet->effect_n);
    }
}

TEST(rollout, nothing_begins_after_the_window)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.until_ms = wish.start_ms + MINUTE_MS;
    wish.gap_ms = 2 * MINUTE_MS;
    wish.settle_ms = 2 * MINUTE_MS;
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_REASON(REASON_WINDOW_CLOSED, fleet_rollout(fleet, seq)->reason);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_CLOSED);
    struct cas_why why = {.text = ""};
    EXPECT_ERR(CAS_ERR_GUARD,
               rollout_resume(fleet->book, seq, NULL, 0, fleet_now(fleet), &fleet->actions, &why));
    EXPECT_TEXT_HAS("window of r-0001 has closed", why.text);
}

/* Why: I12. A wall clock set ten years off must not hurry, repeat or skip anything. */
TEST(rollout, wall_clock_jumps_hurry_nothing)
{
    const int64_t ten_years_ms = (int64_t)10 * 365 * 24 * 3600 * 1000;
    for (int forward = 0; forward < 2; forward++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        uint64_t seq = fleet_run(fleet, "", &wish);
        fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
        int64_t real_ms = fleet->wall_from_ms;
        fleet->wall_from_ms += forward == 1 ? ten_years_ms : -ten_years_ms;
        fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
        fleet_pass(fleet, 5 * MINUTE_MS);
        EXPECT_UINT_EQ(1, fleet->effect_n);
        fleet->wall_from_ms = real_ms;
        if (forward == 1) {
            struct cas_why why = {.text = ""};
            EXPECT_REASON(REASON_WINDOW_CLOSED, fleet_rollout(fleet, seq)->reason);
            fleet_operator(
                fleet,
                rollout_resume(fleet->book, seq, NULL, 0, fleet_now(fleet), &fleet->actions, &why),
                &why);
        } else {
            EXPECT_REASON(REASON_WINDOW_EARLY, fleet_rollout(fleet, seq)->reason);
        }
        fleet_until_state(fleet, seq, ROLLOUT_DONE, 10 * MINUTE_MS);
        EXPECT_UINT_EQ(4, fleet->effect_n);
        EXPECT_UINT_EQ(1, fleet->out_most);
    }
}

/* ---- restart ---- */

/* Why: I9. How: the controller dies once in each state a step goes through, and comes back with
 * what it had saved, on another monotonic clock. The night ends the same: each acted once. */
TEST(rollout, a_restart_in_each_state_goes_on_at_the_same_place)
{
    static const enum rollout_step_state states[] = {STEP_PENDING,
                                                     STEP_RESERVED,
                                                     STEP_GRANTED,
                                                     STEP_PROVING,
                                                     STEP_CLOSED};
    for (size_t i = 0; i < CAS_COUNT(states); i++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        uint64_t seq = fleet_run(fleet, "", &wish);
        fleet->agent[1].act_ms = 8000;
        if (states[i] == STEP_RESERVED) {
            fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
            fleet_pass(fleet, 58000);
            fleet->drop_pct = 100;
        }
        if (states[i] != STEP_PENDING)
            fleet_until(fleet, seq, "A-CAS2", states[i], 3 * MINUTE_MS);
        fleet_restart(fleet);
        fleet->drop_pct = 0;
        int64_t restarted_ms = fleet->at_ms;
        if (states[i] == STEP_CLOSED) {
            /* The rest is not shortened: it is taken anew. */
            fleet_until(fleet, seq, "A-CAS3", STEP_GRANTED, 2 * MINUTE_MS);
            EXPECT_TRUE(fleet->at_ms - restarted_ms >= wish.gap_ms);
        }
        fleet_until_state(fleet, seq, ROLLOUT_DONE, 15 * MINUTE_MS);
        EXPECT_UINT_EQ(4, fleet->effect_n);
        EXPECT_UINT_EQ(1, fleet->out_most);
        for (size_t s = 0; s < 4; s++)
            EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->step[s].attempt);
        EXPECT_TEXT_HAS("4 proved, 0 failed", fleet->journal);
    }
}

TEST(rollout, a_restart_after_a_failure_stays_halted)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_agent(fleet, "A-CAS1")->is_sick_after = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 5 * MINUTE_MS);
    fleet_restart(fleet);
    fleet_pass(fleet, 10 * MINUTE_MS);
    EXPECT_STATE(fleet, seq, ROLLOUT_HALTED);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
    EXPECT_UINT_EQ(1, fleet_rollout(fleet, seq)->failed_n);
    fleet_agent(fleet, "A-CAS1")->is_sick = false;
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
}

/* Why: I11, R15. A store that lost its last minutes asks for the same command again, and the agent
 * answers from its journal instead of acting twice. */
TEST(rollout, a_store_that_lost_minutes_repeats_nothing)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    size_t n = 0;
    struct rollout *snapshot = fleet_snapshot(fleet, &n);
    fleet_until(fleet, seq, "A-CAS2", STEP_PROVING, 5 * MINUTE_MS);
    fleet_restore(fleet, snapshot, n);
    fleet_snapshot_free(snapshot, n);
    fleet_restart(fleet);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PENDING);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 15 * MINUTE_MS);
    EXPECT_UINT_EQ(4, fleet->effect_n);
    EXPECT_UINT_EQ(5, fleet_count(fleet, " closed ")); /* the first one twice */
}

/* Why: an agent that died between intent and outcome says it does not know; nobody repeats it. */
TEST(rollout, an_agent_that_died_in_the_act_is_not_asked_again)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_until(fleet, seq, "A-CAS1", STEP_GRANTED, MINUTE_MS);
    fleet_restart_agent(fleet, fleet_agent(fleet, "A-CAS1"));
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS1", STEP_UNKNOWN);
    EXPECT_REASON(REASON_AGENT_UNKNOWN, fleet_step(fleet, seq, "A-CAS1")->reason);
    fleet_pass(fleet, 60 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_TRUE(fleet_step(fleet, seq, "A-CAS1")->holds_slot);
}
