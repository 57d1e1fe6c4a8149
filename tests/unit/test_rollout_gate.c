#include "controller/core/rollout_inside.h"

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

static struct inventory_server *server_of(struct fleet *fleet, const char *name)
{
    return inventory_by_name(fleet->inventory, cas_slice_of(name));
}

static void
set(struct fleet *fleet, const char *name, enum symptom symptom, double value, int64_t age_ms)
{
    server_of(fleet, name)->value[symptom] =
        (struct inventory_value){.is_known = true,
                                 .value = value,
                                 .at_ms = fleet_now(fleet).wall_ms - age_ms};
}

static void set_ram(struct fleet *fleet, const char *name, double available, double worker)
{
    set(fleet, name, SYMPTOM_memory_available, available, 1000);
    set(fleet, name, SYMPTOM_private_bytes, worker, 1000);
}

static enum cas_err
draft(struct fleet *fleet, const struct rollout_wish *wish, struct rollout_draft *ret_draft)
{
    size_t at[FLEET_SERVERS_MOST];
    for (size_t i = 0; i < fleet->agent_n; i++)
        at[i] = i;
    struct cas_why why = {.text = ""};
    return rollout_draft(fleet->inventory,
                         fleet->book,
                         at,
                         fleet->agent_n,
                         wish,
                         9,
                         fleet_now(fleet),
                         ret_draft,
                         &why);
}

static void expect_left_out(struct fleet *fleet,
                            const struct rollout_wish *wish,
                            const char *name,
                            enum rollout_reason reason,
                            const char *words)
{
    struct rollout_draft plan = {.steps = NULL};
    EXPECT_OK(draft(fleet, wish, &plan), NULL);
    EXPECT_UINT_EQ(reason == REASON_NONE ? 0 : 1, plan.skip_n);
    if (reason != REASON_NONE) {
        EXPECT_TEXT_EQ(name, inventory_at(fleet->inventory, plan.skip[0].at)->name);
        EXPECT_REASON(reason, plan.skip[0].reason);
        EXPECT_TEXT_HAS(words, plan.skip[0].words);
    }
    rollout_draft_done(&plan);
}

/* Why: known too little memory is a reason to leave a server alone; not known is one only where the
 * plan says so, and whoever says "any" has seen it. */
TEST(rollout_gate, a_plan_leaves_out_who_cannot_hold_two_workers)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
    set_ram(fleet, "A-CAS2", 1.2e9, 3.1e9);
    expect_left_out(
        fleet,
        &wish,
        "A-CAS2",
        REASON_RAM,
        "two workers do not fit in memory: 1.2 GB free, the worker has 3.1 GB (1 s old); "
        "--ram any");
    wish.ram = PLAN_RAM_ANY;
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
    wish.ram = PLAN_RAM_KNOWN;
    set_ram(fleet, "A-CAS1", 9e9, 1e9);
    set_ram(fleet, "A-CAS2", 9e9, 1e9);
    set_ram(fleet, "A-CAS3", 9e9, 1e9);
    expect_left_out(fleet, &wish, "A-CAS4", REASON_RAM, "is not known: memory_available was never");
}

/* Why: a server may run short between plan and turn. It waits with the numbers, is no failure, and
 * goes when there is room; what the plan says of memory holds at the turn as well. */
TEST(rollout_gate, a_server_short_of_memory_at_its_turn_waits)
{
    static const struct {
        enum plan_ram ram;
        bool is_short; /* else not known any more */
        bool waits;
    } row[] = {{PLAN_RAM_FIT, true, true},
               {PLAN_RAM_FIT, false, false},
               {PLAN_RAM_KNOWN, true, true},
               {PLAN_RAM_KNOWN, false, true},
               {PLAN_RAM_ANY, true, false}};
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        CAS_AUTO(fleet) fleet = fleet_open(4, 1);
        struct rollout_wish wish = fleet_wish(fleet);
        wish.ram = row[i].ram;
        set_ram(fleet, "A-CAS1", 9e9, 1e9);
        uint64_t seq = fleet_run(fleet, "A-CAS1", &wish);
        if (row[i].is_short)
            set_ram(fleet, "A-CAS1", 5e8, 3.1e9);
        else
            set(fleet, "A-CAS1", SYMPTOM_memory_available, 9e9, NEED_FRESH_MS + MINUTE_MS);
        fleet_pass(fleet, 30000);
        EXPECT_UINT_EQ(row[i].waits ? 0 : 1, fleet->effect_n);
        if (!row[i].waits)
            continue;
        EXPECT_STEP(fleet, seq, "A-CAS1", STEP_PENDING);
        EXPECT_REASON(REASON_RAM, fleet_step(fleet, seq, "A-CAS1")->reason);
        EXPECT_TEXT_HAS(row[i].is_short ? "A-CAS1: two workers do not fit in memory: 500 MB free"
                                        : "A-CAS1: whether two workers fit in memory is not known",
                        fleet->journal);
        set_ram(fleet, "A-CAS1", 9e9, 1e9);
        fleet_until_state(fleet, seq, ROLLOUT_DONE, 2 * MINUTE_MS);
        EXPECT_UINT_EQ(0, fleet_rollout(fleet, seq)->failed_n);
    }
}

static void set_leak(struct fleet *fleet, const char *name, double stranded)
{
    set(fleet, name, SYMPTOM_stranded_requests, stranded, 1000);
    set(fleet, name, SYMPTOM_ports_used, 100, 1000);
    set(fleet, name, SYMPTOM_ports_total, 16384, 1000);
}

/* Why: the fix alone does not end a leak that is there; a new worker does. Who has the fix and
 * leaks is recycled, who has it and does not is not, and of whom it is not known that is said. */
TEST(rollout_gate, the_fix_leaves_out_only_who_does_not_leak)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct inventory_server *fixed = server_of(fleet, "A-CAS2");
    fixed->has_build = true;
    fixed->build = (struct compliance_build){{15, 1, 1591, 10}};
    expect_left_out(fleet,
                    &wish,
                    "A-CAS2",
                    REASON_FIXED,
                    "has the fix: 2016 CU11; whether it leaks is not known: stranded_requests");
    set_leak(fleet, "A-CAS2", 0);
    expect_left_out(fleet,
                    &wish,
                    "A-CAS2",
                    REASON_FIXED,
                    "has the fix: 2016 CU11; no leak seen: 0 stranded requests");
    set_leak(fleet, "A-CAS2", NEED_STRANDED_N);
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
}

TEST(rollout_gate, just_in_time_leaves_out_who_is_seen_not_to_leak)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    set_leak(fleet, "A-CAS2", 3);
    set_leak(fleet, "A-CAS3", NEED_STRANDED_N);
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
    wish.is_just_in_time = true;
    expect_left_out(fleet, &wish, "A-CAS2", REASON_NO_LEAK, "no leak seen: 3 stranded requests");
}

/* A new worker that nobody here ordered; the controller hears of it with the next heartbeat. */
static void recycle_by_itself(struct fleet *fleet, const char *name)
{
    struct fleet_agent *agent = fleet_agent(fleet, name);
    agent->pid += 500;
    agent->start_ms = fleet_now(fleet).wall_ms;
}

TEST(rollout_gate, a_worker_younger_than_asked_for_is_left_out)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    recycle_by_itself(fleet, "A-CAS2");
    fleet_pass(fleet, 14 * MINUTE_MS);
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
    wish.min_age_ms = 60 * MINUTE_MS;
    expect_left_out(fleet, &wish, "A-CAS2", REASON_YOUNG, "recycled 14 min ago by itself");
    wish.min_age_ms = 13 * MINUTE_MS;
    expect_left_out(fleet, &wish, "", REASON_NONE, "");
}

/* Why: Managed Availability, IIS and people recycle too. What the plan wanted is done then: the
 * server is left out with the reason, and its users reconnect as after any other, so the rest runs
 * from there. How: the second of three changes its worker while the first rests; then one that is
 * through already does, in the rest before the third. */
TEST(rollout_gate, a_recycle_made_without_us_is_credited_and_restarts_the_gap)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = 0;
    wish.gap_ms = 5 * MINUTE_MS;
    wish.settle_ms = wish.gap_ms;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2;A-CAS3", &wish, &seq, NULL), NULL);
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, MINUTE_MS);
    fleet_pass(fleet, 4 * MINUTE_MS);
    recycle_by_itself(fleet, "A-CAS2");
    fleet_pass(fleet, 90000); /* the gap of our own is over */
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_PENDING);
    EXPECT_REASON(REASON_NEIGHBOUR, fleet_rollout(fleet, seq)->reason);
    EXPECT_TEXT_HAS("A-CAS2 was recycled by itself", fleet->journal);
    struct rollout_hold hold;
    rollout_hold_of(fleet->book,
                    fleet->inventory,
                    fleet_rollout(fleet, seq),
                    fleet_now(fleet),
                    &hold);
    EXPECT_REASON(REASON_NEIGHBOUR, hold.reason);
    EXPECT_TEXT_HAS("A-CAS2 was recycled by itself 1 min ago: the gap runs from there", hold.words);
    EXPECT_TRUE(hold.until_mono_ms > fleet_now(fleet).mono_ms + 3 * MINUTE_MS);

    /* One that is through already: its users move once more. */
    fleet_pass(fleet, 2 * MINUTE_MS);
    recycle_by_itself(fleet, "A-CAS1");
    fleet_pass(fleet, 4 * MINUTE_MS);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_PENDING);
    fleet_until(fleet, seq, "A-CAS2", STEP_SKIPPED, 2 * MINUTE_MS);
    EXPECT_REASON(REASON_BY_ITSELF, fleet_step(fleet, seq, "A-CAS2")->reason);
    EXPECT_TEXT_HAS("recycled by itself 8 min ago, worker 1501",
                    fleet_step(fleet, seq, "A-CAS2")->note);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 5 * MINUTE_MS);
    EXPECT_UINT_EQ(2, fleet->effect_n);
}

/* Why: the canary shows what an order does before several are out together; a worker that ended by
 * itself shows nothing of it. How: the first one's worker changes between plan and turn. */
TEST(rollout_gate, a_canary_before_several_is_never_credited)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = 0;
    wish.gap_ms = 5 * MINUTE_MS;
    wish.settle_ms = wish.gap_ms;
    wish.at_once = 2;
    wish.floor_pct = 10;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS[2-3]", &wish, &seq, NULL), NULL);
    recycle_by_itself(fleet, "A-CAS1");
    fleet_until(fleet, seq, "A-CAS1", STEP_CLOSED, 15 * MINUTE_MS);
    EXPECT_UINT_EQ(1, fleet->effect_n);
    EXPECT_STEP(fleet, seq, "A-CAS2", STEP_PENDING);
}

/* Why: pids come again, within minutes on a busy server; a worker is one pid with one start.
 * How: after an act of ours the worker changes by itself and has the same pid. */
TEST(rollout_gate, a_worker_with_the_pid_of_an_order_is_not_taken_for_it)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = 0;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1", &wish, &seq, NULL), NULL);
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 5 * MINUTE_MS);
    const struct inventory_server *server =
        inventory_by_name(fleet->inventory, cas_slice_of("A-CAS1"));
    EXPECT_TRUE(rollout_is_ours(fleet->book, server));
    struct inventory_server other = *server;
    other.live.start_ms += MINUTE_MS;
    EXPECT_FALSE(rollout_is_ours(fleet->book, &other));
}

/* Why: what an order of ours did is no recycle by itself, nor what another site does, nor what was
 * before the plan. */
TEST(rollout_gate, only_what_nobody_here_ordered_since_the_plan_is_credited)
{
    CAS_AUTO(fleet) fleet = fleet_open(6, 2);
    struct rollout_wish wish = fleet_wish(fleet);
    recycle_by_itself(fleet, "A-CAS2");
    fleet_pass(fleet, 2 * MINUTE_MS);
    uint64_t seq = 0;
    wish.floor_pct = 10;
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2;A-CAS3", &wish, &seq, NULL), NULL);
    recycle_by_itself(fleet, "B-CAS1");
    fleet_until_state(fleet, seq, ROLLOUT_DONE, 5 * MINUTE_MS);
    EXPECT_UINT_EQ(3, fleet->effect_n);
    EXPECT_UINT_EQ(0, fleet_count(fleet, "by itself"));
}

/* Why: what is told is all that is left of a moment; where it does not fit that is told, too.
 * How: as long as a row can be, one byte more, and cut within a character. */
TEST(rollout_gate, words_that_do_not_fit_end_so_that_it_is_seen)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    char text[ROLLOUT_WORDS_BYTES + 1];
    for (size_t i = 0; i < 3; i++) {
        memset(text, 'x', sizeof text);
        size_t size = i == 0 ? ROLLOUT_WORDS_BYTES - 1 : ROLLOUT_WORDS_BYTES;
        text[size] = '\0';
        if (i == 2)
            memcpy(text + size - 5, "\xC3\xA4", 2);
        struct rollout_turn turn =
            rollout_turn_begin(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions);
        struct rollout_entry *entry = rollout_entry_find(fleet->book, seq);
        rollout_tell(&turn, entry, SIZE_MAX, NOTE_EVIDENCE, REASON_NONE, "%s", text);
        EXPECT_OK(rollout_turn_end(&turn), NULL);
        const char *words = fleet->actions.item[fleet->actions.n - 1].words;
        EXPECT_UINT_EQ(ROLLOUT_WORDS_BYTES - (i == 2 ? 2 : 1), strlen(words));
        EXPECT_TEXT_EQ(i == 0 ? "xxxx" : "x...", words + strlen(words) - 4);
    }
}
