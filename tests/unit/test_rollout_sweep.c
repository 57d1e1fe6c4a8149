#include "controller/core/rollout.h"

#include <stdio.h>

#include "tests/unit/rollout_fleet.h"

/* Why: the promises must hold for what nobody thought of. How: a seeded farm of two sites, two
 * rollouts in each at most, and for an hour and a half of its own time every kind of trouble at
 * random: letters late, lost and doubled; servers cut off, sick, in maintenance; agents that die in
 * the act, or change nothing, or never get healthy; a controller that dies at any moment, also
 * between commit and send; a store that loses minutes; wall clocks ten years off; operators who
 * pause, resume, skip, retry and end. I1, I2 and I3 are checked at every act
 * (rollout_fleet_agent.c); the same seed gives the same night. */
enum {
    SWEEP_SEEDS = 150,
    SWEEP_MS = 90 * 60 * 1000,
    CALM_MS = 30 * 60 * 1000,
};

static uint64_t below(struct fleet *fleet, uint64_t n)
{
    return test_below(&fleet->dice, n);
}

static bool happens(struct fleet *fleet, uint64_t once_in)
{
    return below(fleet, once_in) == 0;
}

static void trouble_servers(struct fleet *fleet)
{
    struct fleet_agent *agent = &fleet->agent[below(fleet, fleet->agent_n)];
    switch (below(fleet, 10)) {
    case 0:
        agent->is_cut = !agent->is_cut;
        break;
    case 1:
        agent->is_sick = !agent->is_sick;
        break;
    case 2:
        agent->is_in_maintenance = !agent->is_in_maintenance;
        break;
    case 3:
        agent->keeps_worker = happens(fleet, 4);
        break;
    case 4:
        agent->is_sick_after = happens(fleet, 3);
        break;
    case 5:
        agent->outcome = happens(fleet, 4) ? COMMAND_FAILED : COMMAND_NONE;
        break;
    case 6:
        agent->is_slow_to_answer = happens(fleet, 3);
        break;
    case 7:
        fleet_restart_agent(fleet, agent);
        break;
    case 8:
        agent->act_ms = 1000 + (int64_t)below(fleet, 25000);
        agent->warm_ms = (int64_t)below(fleet, 30000);
        break;
    default:
        agent->is_cut = false;
        agent->is_sick = false;
        agent->is_in_maintenance = false;
        break;
    }
}

static void trouble_operator(struct fleet *fleet)
{
    if (rollout_book_size(fleet->book) == 0)
        return;
    const struct rollout *rollout =
        rollout_at(fleet->book, below(fleet, rollout_book_size(fleet->book)));
    uint64_t seq = rollout->seq;
    uint32_t server_id = rollout->step[below(fleet, rollout->step_n)].server_id;
    struct cas_now now = fleet_now(fleet);
    enum cas_err err = CAS_OK;
    switch (below(fleet, 7)) {
    case 0:
        err = rollout_pause(fleet->book, seq, now, &fleet->actions, NULL);
        break;
    case 1:
        err = rollout_resume(fleet->book, seq, &server_id, 1, now, &fleet->actions, NULL);
        break;
    case 2:
        err = rollout_retry(fleet->book, seq, server_id, now, &fleet->actions, NULL);
        break;
    case 3:
        if (happens(fleet, 4))
            err = rollout_end(fleet->book, seq, false, now, &fleet->actions, NULL);
        break;
    default:
        err = rollout_resume(fleet->book, seq, NULL, 0, now, &fleet->actions, NULL);
        break;
    }
    EXPECT_TRUE(err == CAS_OK || err == CAS_ERR_GUARD);
    fleet_take(fleet);
}

/* Servers of one site that are in no rollout yet, in one wave or two. */
static void begin_rollout(struct fleet *fleet)
{
    char steps[256];
    struct cas_text text = CAS_TEXT(steps);
    cas_text_clear(&text);
    size_t half = fleet->agent_n / 2;
    size_t first = below(fleet, 2) * half;
    for (size_t i = first; i < first + half; i++) {
        if (!happens(fleet, 2))
            continue;
        cas_text_add(&text,
                     "%s%s",
                     text.used == 0      ? ""
                     : happens(fleet, 3) ? ";"
                                         : ",",
                     fleet->agent[i].name);
    }
    struct rollout_wish wish = fleet_wish(fleet);
    wish.floor_pct = fleet->floor_pct;
    wish.at_once = (uint32_t)below(fleet, 3) + 1;
    wish.gap_ms = (int64_t)below(fleet, 30000);
    wish.settle_ms = wish.gap_ms + (int64_t)below(fleet, 30000);
    wish.healthy_n = (uint32_t)below(fleet, 2) + 1;
    wish.stop_after = (uint32_t)below(fleet, 4) + 1;
    uint64_t seq = 0;
    if (text.used == 0 || fleet->next_seq >= FLEET_ROLLOUTS_MOST)
        return;
    enum cas_err err = fleet_run_steps(fleet, steps, &wish, &seq, NULL);
    EXPECT_TRUE(err == CAS_OK || err == CAS_ERR_GUARD);
}

struct night {
    struct rollout *snapshot;
    size_t snapshot_n;
};

static void trouble_controller(struct fleet *fleet, struct night *night)
{
    const int64_t ten_years_ms = (int64_t)10 * 365 * 24 * 3600 * 1000;
    switch (below(fleet, 6)) {
    case 0:
        fleet_restart(fleet);
        break;
    case 1: /* what was decided was saved, and never sent */
        EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions),
                  NULL);
        fleet->drop_pct += 100;
        fleet_take(fleet);
        fleet->drop_pct -= 100;
        fleet_restart(fleet);
        break;
    case 2: /* what was decided was not saved */
        EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions),
                  NULL);
        fleet_restart(fleet);
        break;
    case 3:
        fleet_snapshot_free(night->snapshot, night->snapshot_n);
        night->snapshot = fleet_snapshot(fleet, &night->snapshot_n);
        break;
    case 4:
        if (night->snapshot == NULL)
            break;
        fleet_restore(fleet, night->snapshot, night->snapshot_n);
        fleet_restart(fleet);
        break;
    default:
        if (fleet->wall_from_ms == 1700000000000)
            fleet->wall_from_ms += happens(fleet, 2) ? ten_years_ms : -ten_years_ms;
        else
            fleet->wall_from_ms = 1700000000000;
        break;
    }
}

static void play(struct fleet *fleet, struct night *night)
{
    begin_rollout(fleet);
    while (fleet->at_ms < SWEEP_MS) {
        fleet_pass(fleet, 1000);
        if (happens(fleet, 40))
            trouble_servers(fleet);
        if (happens(fleet, 60))
            trouble_operator(fleet);
        if (happens(fleet, 300))
            trouble_controller(fleet, night);
        if (happens(fleet, 120))
            begin_rollout(fleet);
    }
}

/* L1: when the faults stop, nothing is left under way. */
static void calm(struct fleet *fleet)
{
    fleet->drop_pct = 0;
    fleet->double_pct = 0;
    fleet->wall_from_ms = 1700000000000;
    for (size_t i = 0; i < fleet->agent_n; i++) {
        struct fleet_agent *agent = &fleet->agent[i];
        agent->is_cut = false;
        agent->is_sick = false;
        agent->is_in_maintenance = false;
        agent->is_slow_to_answer = false;
        agent->is_sick_after = false;
    }
    for (size_t i = 0; i < rollout_book_size(fleet->book); i++) {
        uint64_t seq = rollout_at(fleet->book, i)->seq;
        enum cas_err err = rollout_pause(fleet->book, seq, fleet_now(fleet), &fleet->actions, NULL);
        EXPECT_TRUE(err == CAS_OK || err == CAS_ERR_GUARD);
        fleet_take(fleet);
    }
    fleet_pass(fleet, CALM_MS);
    for (size_t i = 0; i < rollout_book_size(fleet->book); i++) {
        const struct rollout *rollout = rollout_at(fleet->book, i);
        EXPECT_FALSE(rollout->state == ROLLOUT_RUNNING || rollout->is_ending);
        for (size_t s = 0; s < rollout->step_n; s++) {
            enum rollout_step_state state = rollout->step[s].state;
            EXPECT_FALSE(state == STEP_RESERVED || state == STEP_GRANTED || state == STEP_PROVING ||
                         state == STEP_CANCELLING);
            /* What holds a slot says why. */
            EXPECT_TRUE(!rollout->step[s].holds_slot || rollout->step[s].reason != REASON_NONE);
        }
    }
}

static struct fleet *sweep(uint64_t seed)
{
    struct night night = {.snapshot = NULL};
    struct fleet *fleet = fleet_open(8, 2);
    fleet->dice.state = seed;
    fleet->floor_pct = happens(fleet, 2) ? 75 : 50;
    fleet->drop_pct = (uint32_t)below(fleet, happens(fleet, 3) ? 70 : 15);
    fleet->double_pct = (uint32_t)below(fleet, 20);
    fleet->delay_most_ms = happens(fleet, 3) ? 0 : (int64_t)below(fleet, 20000);
    play(fleet, &night);
    calm(fleet);
    fleet_snapshot_free(night.snapshot, night.snapshot_n);
    return fleet;
}

TEST(rollout_sweep, promises_hold_in_random_nights)
{
    size_t effects = 0;
    size_t proved = 0;
    for (uint64_t seed = 1; seed <= SWEEP_SEEDS; seed++) {
        CAS_AUTO(fleet) fleet = sweep(seed);
        effects += fleet->effect_n;
        proved += fleet_count(fleet, " closed ");
    }
    /* Nights in which nothing happens would keep every promise. */
    EXPECT_TRUE(effects > SWEEP_SEEDS * 3);
    EXPECT_TRUE(proved > SWEEP_SEEDS * 2);
}

TEST(rollout_sweep, the_same_seed_is_the_same_night)
{
    for (uint64_t seed = 1000; seed < 1003; seed++) {
        CAS_AUTO(fleet) first = sweep(seed);
        CAS_AUTO(fleet) second = sweep(seed);
        EXPECT_TEXT_EQ(first->journal, second->journal);
    }
}
