#include "controller/core/rollout.h"

#include <string.h>

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

static size_t chain_of(struct fleet *fleet,
                       uint64_t seq,
                       const char *name,
                       struct rollout_link ret_link[ROLLOUT_RULES])
{
    size_t n = 0;
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    size_t step = (size_t)(fleet_step(fleet, seq, name) - rollout->step);
    EXPECT_OK(
        rollout_chain(fleet->book, fleet->inventory, rollout, step, fleet_now(fleet), ret_link, &n),
        NULL);
    return n;
}

static void expect_link(struct fleet *fleet,
                        uint64_t seq,
                        const char *name,
                        enum rollout_rule rule,
                        enum rollout_verdict verdict,
                        const char *words)
{
    struct rollout_link link[ROLLOUT_RULES];
    size_t n = chain_of(fleet, seq, name, link);
    EXPECT_TRUE(rule < n);
    EXPECT_TEXT_EQ(rollout_rule_name(rule), rollout_rule_name(link[rule].rule));
    EXPECT_TEXT_EQ(words, link[rule].words);
    EXPECT_INT_EQ(verdict, link[rule].verdict);
    EXPECT_TRUE((verdict == VERDICT_WAITS) == (link[rule].reason != REASON_NONE));
}

/* The first rule that waits is what the rollout says it waits for. */
static void expect_same_as_hold(struct fleet *fleet, uint64_t seq, const char *name)
{
    struct rollout_link link[ROLLOUT_RULES];
    struct rollout_hold hold;
    size_t n = chain_of(fleet, seq, name, link), i = 0;
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, seq),
                    fleet_now(fleet),
                    &hold);
    while (i < n && link[i].verdict != VERDICT_WAITS)
        i++;
    EXPECT_TRUE(i < n);
    EXPECT_REASON(hold.reason, link[i].reason);
}

/* A plan of waves of one, its first server proved, resting. */
static uint64_t run_resting(struct fleet *fleet)
{
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = 0;
    wish.gap_ms = 10 * MINUTE_MS;
    wish.settle_ms = wish.gap_ms;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2;A-CAS3", &wish, &seq, NULL), NULL);
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, 2 * MINUTE_MS);
    return seq;
}

/* Why: somebody asks why a server has not had its turn; every rule answers, each with its numbers,
 * not only the first. How: four servers of one site, floor 50 %, the first under way. */
TEST(rollout_chain, a_step_that_waits_is_told_every_rule_with_its_numbers)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = 0;
    wish.gap_ms = 10 * MINUTE_MS;
    wish.settle_ms = 25 * MINUTE_MS;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2;A-CAS3", &wish, &seq, NULL), NULL);
    fleet_until(fleet, seq, "A-CAS1", STEP_PROVING, MINUTE_MS);
    expect_link(fleet, seq, "A-CAS3", RULE_PLAN, VERDICT_HOLDS, "running");
    expect_link(fleet,
                seq,
                "A-CAS3",
                RULE_WAVE,
                VERDICT_WAITS,
                "its wave is 3, wave 1 is not through: A-CAS1 proving");
    expect_link(fleet,
                seq,
                "A-CAS3",
                RULE_REST,
                VERDICT_LATER,
                "10 min after the wave before it, at most 25 min until requests settle");
    expect_link(fleet, seq, "A-CAS3", RULE_AT_ONCE, VERDICT_WAITS, "1 under way, 1 may be");
    expect_link(fleet, seq, "A-CAS3", RULE_SERVER, VERDICT_HOLDS, "up, not held by its people");
    expect_link(fleet, seq, "A-CAS3", RULE_SLOT, VERDICT_HOLDS, "no other plan holds it");
    expect_link(fleet,
                seq,
                "A-CAS3",
                RULE_FLOOR,
                VERDICT_HOLDS,
                "A: 1 of 4 out, 2 may be (floor 50 %)");
    expect_same_as_hold(fleet, seq, "A-CAS3");
}

/* How: the rest after the first wave, 3 of 10 minutes of it gone; then a silent server, then too
 * many out, each in front of the one before. */
TEST(rollout_chain, rest_server_and_floor_say_what_is_missing)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    uint64_t seq = run_resting(fleet);
    fleet_pass(fleet, 3 * MINUTE_MS + 500);
    expect_link(fleet, seq, "A-CAS2", RULE_WAVE, VERDICT_HOLDS, "it is the turn of its wave, 2");
    expect_link(fleet,
                seq,
                "A-CAS2",
                RULE_REST,
                VERDICT_WAITS,
                "rested 3 min of 10 min after wave 1");
    expect_same_as_hold(fleet, seq, "A-CAS2");

    fleet_agent(fleet, "A-CAS2")->is_cut = true;
    fleet_agent(fleet, "A-CAS3")->is_cut = true;
    fleet_agent(fleet, "A-CAS4")->is_cut = true;
    fleet_pass(fleet, 8 * MINUTE_MS);
    expect_link(fleet,
                seq,
                "A-CAS2",
                RULE_SERVER,
                VERDICT_WAITS,
                "silent: no answer to a TICK for more than 20 s");
    expect_same_as_hold(fleet, seq, "A-CAS2");
    fleet_agent(fleet, "A-CAS2")->is_cut = false;
    fleet_pass(fleet, MINUTE_MS);
    expect_link(fleet,
                seq,
                "A-CAS2",
                RULE_FLOOR,
                VERDICT_WAITS,
                "A: 2 of 4 out, 2 may be (floor 50 %)");
    expect_same_as_hold(fleet, seq, "A-CAS2");
}

/* Why: a halt, a pause and a window are rules as well, and come first. */
TEST(rollout_chain, a_plan_that_stands_still_says_by_which_rule)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.start_ms = fleet_now(fleet).wall_ms + 30 * MINUTE_MS;
    wish.until_ms = wish.start_ms + 240 * MINUTE_MS;
    uint64_t seq = 0;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2;A-CAS3", &wish, &seq, NULL), NULL);
    expect_link(fleet, seq, "A-CAS1", RULE_PLAN, VERDICT_WAITS, "scheduled, begins in 30 min");
    expect_link(fleet, seq, "A-CAS1", RULE_WINDOW, VERDICT_WAITS, "opens in 30 min");
    fleet_agent(fleet, "A-CAS1")->keeps_worker = true;
    fleet_until_state(fleet, seq, ROLLOUT_HALTED, 40 * MINUTE_MS);
    expect_link(fleet,
                seq,
                "A-CAS2",
                RULE_PLAN,
                VERDICT_WAITS,
                "halted: stop rule, 1 failed (0 forgiven by a resume), limit 1");

    struct rollout_link link[ROLLOUT_RULES];
    size_t n = 0;
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    EXPECT_ERR(
        CAS_ERR_RANGE,
        rollout_chain(fleet->book, fleet->inventory, rollout, 0, fleet_now(fleet), link, &n));
    EXPECT_ERR(CAS_ERR_RANGE,
               rollout_chain(fleet->book,
                             fleet->inventory,
                             rollout,
                             rollout->step_n,
                             fleet_now(fleet),
                             link,
                             &n));
}

/* Why: to ask why must never change what comes of it. */
TEST(rollout_chain, asking_changes_nothing)
{
    CAS_AUTO(fleet) asked = fleet_open(4, 1);
    CAS_AUTO(fleet) left_alone = fleet_open(4, 1);
    uint64_t seq = run_resting(asked);
    EXPECT_UINT_EQ(seq, run_resting(left_alone));
    for (size_t i = 0; i < 15; i++) {
        struct rollout_link link[ROLLOUT_RULES];
        if (fleet_step(asked, seq, "A-CAS3")->state == STEP_PENDING)
            EXPECT_UINT_EQ(ROLLOUT_RULES, chain_of(asked, seq, "A-CAS3", link));
        fleet_pass(asked, MINUTE_MS);
        fleet_pass(left_alone, MINUTE_MS);
    }
    EXPECT_TEXT_EQ(left_alone->journal, asked->journal);
    EXPECT_UINT_EQ(2, asked->effect_n);
}
