#include "controller/core/rollout.h"

#include <stdio.h>

#include "tests/unit/rollout_fleet.h"

enum {
    MINUTE_MS = 60000
};

static struct inventory_server *server_of(struct fleet *fleet, const char *name)
{
    return inventory_by_name(fleet->inventory, cas_slice_of(name));
}

static void set(struct fleet *fleet, const char *name, enum symptom symptom, double value)
{
    server_of(fleet, name)->value[symptom] =
        (struct inventory_value){.is_known = true, .value = value, .at_ms = 1};
}

static enum cas_err draft(struct fleet *fleet,
                          const struct rollout_wish *wish,
                          struct rollout_draft *ret_draft,
                          struct cas_why *why)
{
    size_t at[FLEET_SERVERS_MOST];
    for (size_t i = 0; i < fleet->agent_n; i++)
        at[i] = i;
    return rollout_draft(fleet->inventory,
                         fleet->book,
                         at,
                         fleet->agent_n,
                         wish,
                         fleet->next_seq,
                         fleet_now(fleet),
                         ret_draft,
                         why);
}

static const struct rollout_skip *
skip_of(struct fleet *fleet, const struct rollout_draft *draft_of, const char *name)
{
    for (size_t i = 0; i < draft_of->skip_n; i++) {
        if (strcmp(inventory_at(fleet->inventory, draft_of->skip[i].at)->name, name) == 0)
            return &draft_of->skip[i];
    }
    test_fail(TEST_PLACE("skip_of"), "%s is not left out", name);
}

/* Why: the defaults are the design's, and a plan made of them can be signed as it is. */
TEST(rollout_plan, defaults_are_those_of_the_design)
{
    struct rollout_wish wish;
    struct cas_now now = {.wall_ms = 1700000000000, .mono_ms = 1};
    rollout_wish_default(&wish, now);
    EXPECT_UINT_EQ(1, wish.at_once);
    EXPECT_TRUE(wish.has_canary);
    EXPECT_UINT_EQ(75, wish.floor_pct);
    EXPECT_INT_EQ(10 * MINUTE_MS, wish.gap_ms);
    EXPECT_INT_EQ(25 * MINUTE_MS, wish.settle_ms);
    EXPECT_INT_EQ(5 * MINUTE_MS, wish.drain_ms);
    EXPECT_INT_EQ(5 * MINUTE_MS, wish.proof_ms);
    EXPECT_UINT_EQ(1, wish.stop_after);
    EXPECT_INT_EQ(VERB_recycle, wish.verb);
}

/* Why: journey 2. Least busy alone first, then the one nearest to the end of its ports. */
TEST(rollout_plan, the_least_busy_goes_first_alone_then_the_most_urgent)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    wish.at_once = 2;
    for (size_t i = 0; i < 8; i++) {
        struct inventory_server *server = inventory_at(fleet->inventory, i);
        server->live.active_requests = 500 + (double)i;
        set(fleet, server->name, SYMPTOM_ports_total, 50000);
        set(fleet, server->name, SYMPTOM_ports_used, 10000);
    }
    server_of(fleet, "A-CAS5")->live.active_requests = 20;
    set(fleet, "A-CAS3", SYMPTOM_ports_used, 42000);
    server_of(fleet, "A-CAS7")->event_4231_n = 2;
    server_of(fleet, "A-CAS7")->event_4231_ms = fleet_now(fleet).wall_ms - 1000;
    set(fleet, "A-CAS2", SYMPTOM_close_wait, 1904);
    set(fleet, "A-CAS8", SYMPTOM_worker_age, 6.0 * 86400000);

    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_SLICE_EQ("A-CAS5;A-CAS[3,7];A-CAS[2,8];A-CAS[1,4];A-CAS6", plan.body.steps);
    EXPECT_UINT_EQ(8, plan.server_n);
    EXPECT_UINT_EQ(5, plan.wave_n);
    EXPECT_UINT_EQ(8, plan.answering_n);
    EXPECT_UINT_EQ(0, plan.skip_n);
    EXPECT_UINT_EQ(1, plan.floor_n);
    EXPECT_UINT_EQ(8, plan.floor[0].server_n);
    EXPECT_UINT_EQ(4, plan.floor[0].may_be_out);
    EXPECT_UINT_EQ(2, plan.floor[0].at_once_worst);
    EXPECT_TRUE(plan.floor[0].holds);
    EXPECT_SLICE_EQ("MSExchangeSyncAppPool", plan.body.pool);
    rollout_draft_done(&plan);

    /* A sick one cannot be the canary, and is the most urgent of all. */
    server_of(fleet, "A-CAS5")->live.health = HEALTH_BAD;
    wish.at_once = 1;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_SLICE_EQ("A-CAS1;A-CAS5;A-CAS7;A-CAS3;A-CAS2;A-CAS8;A-CAS4;A-CAS6", plan.body.steps);
    rollout_draft_done(&plan);
}

/* Why: who is left out is named with the reason, and what is not known is not taken as fine. */
TEST(rollout_plan, each_server_left_out_is_told_with_its_reason)
{
    CAS_AUTO(fleet) fleet = fleet_open(10, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    uint64_t other = fleet_run(fleet, "A-CAS1", &wish);
    struct inventory_server *fixed = server_of(fleet, "A-CAS2");
    fixed->has_build = true;
    fixed->build = (struct compliance_build){{15, 1, 1591, 10}};
    server_of(fleet, "A-CAS3")->live.proof_mono_ms = 0;
    memcpy(server_of(fleet, "A-CAS4")->live.maintenance, "CU23 by ops.b", 14);
    server_of(fleet, "A-CAS5")->admission = ADMISSION_REVOKED;
    server_of(fleet, "A-CAS6")->live.is_drained = true;
    server_of(fleet, "A-CAS7")->live.health = HEALTH_UNKNOWN;
    memcpy(server_of(fleet, "A-CAS9")->live.held_reason, "replacing a fan", 16);
    memcpy(server_of(fleet, "A-CAS9")->live.held_by, "alice", 6);
    struct inventory_server *lacking = server_of(fleet, "A-CAS8");
    lacking->has_build = true;
    lacking->build = (struct compliance_build){{15, 1, 1466, 3}};

    wish.floor_pct = 10;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_SLICE_EQ("A-CAS8;A-CAS10", plan.body.steps);
    static const struct {
        const char *name;
        enum rollout_reason reason;
        const char *words;
    } left_out[] = {{"A-CAS1", REASON_SLOT, "is in r-0001, which is running"},
                    {"A-CAS2", REASON_FIXED, "has the fix: 2016 CU11"},
                    {"A-CAS3", REASON_SILENT, "silent, last heard of"},
                    {"A-CAS4", REASON_MAINTENANCE, "in maintenance: CU23 by ops.b"},
                    {"A-CAS5", REASON_REVOKED, "revoked"},
                    {"A-CAS6", REASON_DRAINED, "drained"},
                    {"A-CAS7", REASON_NO_DATA, "health is not known"},
                    {"A-CAS9", REASON_HELD, "held on the server by alice: replacing a fan"}};
    EXPECT_UINT_EQ(CAS_COUNT(left_out), plan.skip_n);
    for (size_t i = 0; i < CAS_COUNT(left_out); i++) {
        const struct rollout_skip *skip = skip_of(fleet, &plan, left_out[i].name);
        EXPECT_REASON(left_out[i].reason, skip->reason);
        EXPECT_TEXT_HAS(left_out[i].words, skip->words);
    }
    EXPECT_UINT_EQ(9, plan.floor[0].server_n); /* the revoked one is not of the site */
    EXPECT_UINT_EQ(4, plan.floor[0].out_now);
    rollout_draft_done(&plan);

    wish.is_fixed_too = true;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_UINT_EQ(3, plan.server_n);
    rollout_draft_done(&plan);
    (void)other;
}

/* Why: 3 servers at 75 % let nobody out, ever; a plan that could never begin must not be run. */
TEST(rollout_plan, a_floor_that_lets_nobody_go_is_refused_by_name)
{
    CAS_AUTO(fleet) fleet = fleet_open(3, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    wish.floor_pct = 75;
    EXPECT_ERR(CAS_ERR_GUARD, draft(fleet, &wish, &plan, &why));
    EXPECT_TEXT_EQ("A has 3 servers and a floor of 75 %: not one may be out", why.text);
    EXPECT_UINT_EQ(3, plan.server_n); /* shown all the same */
    EXPECT_FALSE(plan.floor[0].holds);
    rollout_draft_done(&plan);
    wish.floor_pct = 66;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    rollout_draft_done(&plan);
}

TEST(rollout_plan, nothing_to_do_is_told_with_who_was_left_out)
{
    CAS_AUTO(fleet) fleet = fleet_open(3, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    for (size_t i = 0; i < 3; i++)
        inventory_at(fleet->inventory, i)->live.proof_mono_ms = 0;
    EXPECT_ERR(CAS_ERR_GUARD, draft(fleet, &wish, &plan, &why));
    EXPECT_TEXT_HAS("nothing to do: 3 chosen, all left out", why.text);
    EXPECT_UINT_EQ(3, plan.skip_n);
    rollout_draft_done(&plan);
}

/* Why: a wave may not plan more of one site than that site can ever spare. */
TEST(rollout_plan, waves_spread_over_sites)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 2);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    wish.floor_pct = 75; /* one of each four */
    wish.at_once = 4;
    wish.has_canary = false;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_SLICE_EQ("A-CAS1,B-CAS1;A-CAS2,B-CAS2;A-CAS3,B-CAS3;A-CAS4,B-CAS4", plan.body.steps);
    EXPECT_UINT_EQ(1, plan.floor[0].at_once_worst);
    EXPECT_TRUE(plan.floor[0].holds && plan.floor[1].holds);
    rollout_draft_done(&plan);
    /* One is down already: the plan will have to wait for it, and says so. */
    server_of(fleet, "B-CAS4")->live.proof_mono_ms = 0;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_TRUE(plan.floor[0].holds);
    EXPECT_FALSE(plan.floor[1].holds);
    rollout_draft_done(&plan);
}

TEST(rollout_plan, the_time_is_estimated_and_held_against_the_window)
{
    CAS_AUTO(fleet) fleet = fleet_open(16, 1);
    struct rollout_wish wish;
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    rollout_wish_default(&wish, fleet_now(fleet));
    memcpy(wish.by, "ops.a", 6);
    wish.at_once = 2;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_UINT_EQ(9, plan.wave_n);
    EXPECT_TRUE(plan.likely_ms > 8 * 10 * MINUTE_MS);
    EXPECT_TRUE(plan.likely_ms < 9 * 13 * MINUTE_MS);
    EXPECT_TRUE(plan.worst_ms > plan.likely_ms);
    EXPECT_TRUE(plan.fits);
    EXPECT_INT_EQ(wish.start_ms + 12 * 60 * MINUTE_MS, plan.body.until_ms);
    int64_t likely_ms = plan.likely_ms;
    rollout_draft_done(&plan);
    wish.until_ms = wish.start_ms + likely_ms;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_TRUE(plan.fits);
    rollout_draft_done(&plan);
    wish.until_ms--;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_FALSE(plan.fits);
    rollout_draft_done(&plan);
}

TEST(rollout_plan, wishes_are_checked_at_their_limits)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    const struct rollout_wish good = fleet_wish(fleet);
    struct rollout_wish wish = good;
    wish.at_once = 0;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    EXPECT_TEXT_EQ("at-once is 0; 1 to 4096", why.text);
    wish = good;
    wish.settle_ms = wish.gap_ms - 1;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    wish = good;
    wish.proof_ms = 999;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    wish = good;
    wish.floor_pct = 101;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    wish = good;
    wish.healthy_n = 0;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    wish = good;
    wish.until_ms = wish.start_ms;
    EXPECT_ERR(CAS_ERR_RANGE, draft(fleet, &wish, &plan, &why));
    wish = good;
    wish.verb = (enum verb)99;
    EXPECT_ERR(CAS_ERR_UNSUPPORTED, draft(fleet, &wish, &plan, &why));
    EXPECT_NULL(plan.steps);
}

/* ---- run ---- */

static void expect_refused(struct fleet *fleet,
                           const char *steps,
                           const struct rollout_wish *wish,
                           enum cas_err expected,
                           const char *says)
{
    uint64_t seq = 0;
    struct cas_why why = {.text = ""};
    EXPECT_ERR(expected, fleet_run_steps(fleet, steps, wish, &seq, &why));
    EXPECT_TEXT_HAS(says, why.text);
    EXPECT_UINT_EQ(0, rollout_book_size(fleet->book));
}

/* Why: "exactly what is shown". What has changed between plan and run makes the plan stale. */
TEST(rollout_plan, a_plan_that_no_longer_fits_is_not_run)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    expect_refused(fleet, "A-CAS1;A-CAS9", &wish, CAS_ERR_GUARD, "A-CAS9 is not known now");
    expect_refused(fleet, "A-CAS1;A-CAS[1-2]", &wish, CAS_ERR_FORMAT, "names A-CAS1 twice");
    expect_refused(fleet, "A-CAS1;", &wish, CAS_ERR_MISSING, "");
    expect_refused(fleet, "A-CAS[1", &wish, CAS_ERR_FORMAT, "");
    server_of(fleet, "A-CAS2")->admission = ADMISSION_REVOKED;
    expect_refused(fleet, "A-CAS[1-2]", &wish, CAS_ERR_GUARD, "A-CAS2 is revoked now");
    server_of(fleet, "A-CAS2")->admission = ADMISSION_APPROVED;
    wish.until_ms = fleet_now(fleet).wall_ms;
    wish.start_ms = wish.until_ms - 1;
    expect_refused(fleet, "A-CAS1", &wish, CAS_ERR_GUARD, "window is over");

    struct cas_why why = {.text = ""};
    uint64_t seq = 0;
    wish = fleet_wish(fleet);
    EXPECT_OK(fleet_run_steps(fleet, "A-CAS1;A-CAS2", &wish, &seq, &why), &why);
    uint64_t other = 0;
    EXPECT_ERR(CAS_ERR_GUARD, fleet_run_steps(fleet, "A-CAS2", &wish, &other, &why));
    EXPECT_TEXT_HAS("A-CAS2 is in r-0001, which is running", why.text);
    fleet->next_seq = seq;
    EXPECT_ERR(CAS_ERR_EXISTS, fleet_run_steps(fleet, "A-CAS3", &wish, &other, &why));
}

TEST(rollout_plan, a_plan_is_valid_for_half_an_hour)
{
    static uint8_t bytes[WIRE_PLAN_BYTES];
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    struct rollout_draft plan = {.steps = NULL};
    struct cas_why why = {.text = ""};
    uint8_t hash[CAS_HASH_BYTES] = {1};
    size_t size = 0;
    EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
    EXPECT_OK(record_encode(RECORD_plan_body, &plan.body, bytes, sizeof bytes, &size, &why), &why);
    rollout_draft_done(&plan);
    struct cas_slice slice = {(const char *)bytes, size};
    struct cas_now now = fleet_now(fleet);
    const int64_t bad_ms[] = {PLAN_VALID_MS + 1, -CLOCK_SKEW_MS - 1};
    for (size_t i = 0; i < CAS_COUNT(bad_ms); i++) {
        struct cas_now then = {now.wall_ms + bad_ms[i], now.mono_ms};
        EXPECT_ERR(CAS_ERR_GUARD,
                   rollout_run(fleet->book,
                               fleet->inventory,
                               slice,
                               hash,
                               cas_slice_of("ops.a"),
                               cas_slice_of("weekly"),
                               then,
                               &fleet->actions,
                               &why));
        EXPECT_TEXT_HAS("plan again", why.text);
    }
    now.wall_ms += PLAN_VALID_MS;
    EXPECT_OK(rollout_run(fleet->book,
                          fleet->inventory,
                          slice,
                          hash,
                          cas_slice_of("ops.a"),
                          cas_slice_of("weekly"),
                          now,
                          &fleet->actions,
                          &why),
              &why);
    const struct rollout *rollout = rollout_at(fleet->book, 0);
    EXPECT_TEXT_EQ("ops.a", rollout->by);
    EXPECT_TEXT_EQ("weekly", rollout->why);
    EXPECT_BYTES_EQ(hash, rollout->plan_hash, sizeof hash);
    EXPECT_UINT_EQ(size, rollout->plan.size);
    EXPECT_BYTES_EQ(bytes, rollout->plan.data, size);
}

/* Why: each change of a plan's row is kept, so that a restart at once finds all of it. */
TEST(rollout_plan, running_saves_the_rollout_and_every_step)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    uint64_t seq = fleet_run(fleet, "", &wish);
    fleet_restart(fleet);
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    EXPECT_UINT_EQ(4, rollout->step_n);
    EXPECT_SLICE_EQ("A-CAS1;A-CAS2;A-CAS3;A-CAS4", rollout->body.steps);
    for (size_t i = 0; i < 4; i++)
        EXPECT_UINT_EQ(i + 1, rollout->step[i].server_id);
}

TEST(rollout_plan, what_an_operator_says_has_limits)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    char text[REASON_BYTES + 1];
    memset(text, 'x', sizeof text - 1);
    text[REASON_BYTES] = '\0';
    struct cas_why why = {.text = ""};
    uint8_t hash[CAS_HASH_BYTES] = {1};
    const struct cas_slice none = cas_slice_of("");
    struct cas_now now = fleet_now(fleet);
    EXPECT_ERR(CAS_ERR_TOO_LONG,
               rollout_run(fleet->book,
                           fleet->inventory,
                           none,
                           hash,
                           cas_slice_of("ops.a"),
                           cas_slice_of(text),
                           now,
                           &fleet->actions,
                           &why));
    EXPECT_TEXT_HAS("a reason of 128 bytes; at most 127", why.text);
    text[CAS_NAME_BYTES] = '\0';
    EXPECT_ERR(CAS_ERR_TOO_LONG,
               rollout_run(fleet->book,
                           fleet->inventory,
                           none,
                           hash,
                           cas_slice_of(text),
                           none,
                           now,
                           &fleet->actions,
                           &why));
    struct rollout_wish wish = fleet_wish(fleet);
    wish.verb = (enum verb)99;
    expect_refused(fleet, "A-CAS1", &wish, CAS_ERR_UNSUPPORTED, "verb 99");
    wish = fleet_wish(fleet);
    wish.settle_ms = wish.gap_ms - 1;
    expect_refused(fleet, "A-CAS1", &wish, CAS_ERR_RANGE, "less than the gap");
}

TEST(rollout_plan, sites_are_named_up_to_three)
{
    CAS_AUTO(fleet) fleet = fleet_open(8, 4);
    struct rollout_wish wish = fleet_wish(fleet);
    EXPECT_TEXT_EQ(
        "A B C and more",
        fleet_rollout(fleet, fleet_run(fleet, "A-CAS1,B-CAS1,C-CAS1,D-CAS1", &wish))->plan_text);
}

TEST(rollout_plan, open_rollouts_end_at_their_limit)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    wish.verb = VERB_probe;
    wish.start_ms += 60 * MINUTE_MS;
    static uint8_t bytes[WIRE_PLAN_BYTES];
    uint8_t hash[CAS_HASH_BYTES] = {1};
    for (uint64_t seq = 1; seq <= FLEET_ROLLOUTS_OPEN + 1; seq++) {
        struct rollout_draft plan = {.steps = NULL};
        struct cas_why why = {.text = ""};
        size_t size = 0;
        fleet->next_seq = seq;
        EXPECT_OK(draft(fleet, &wish, &plan, &why), &why);
        EXPECT_OK(record_encode(RECORD_plan_body, &plan.body, bytes, sizeof bytes, &size, &why),
                  &why);
        rollout_draft_done(&plan);
        enum cas_err err = rollout_run(fleet->book,
                                       fleet->inventory,
                                       (struct cas_slice){(const char *)bytes, size},
                                       hash,
                                       cas_slice_of("ops.a"),
                                       cas_slice_of("many"),
                                       fleet_now(fleet),
                                       &fleet->actions,
                                       &why);
        EXPECT_INT_EQ(seq <= FLEET_ROLLOUTS_OPEN ? CAS_OK : CAS_ERR_TOO_MANY, err);
    }
    EXPECT_UINT_EQ(FLEET_ROLLOUTS_OPEN, rollout_book_size(fleet->book));
}

TEST(rollout_plan, damaged_rows_are_refused_at_load)
{
    CAS_AUTO(fleet) fleet = fleet_open(4, 1);
    struct rollout_wish wish = fleet_wish(fleet);
    (void)fleet_run(fleet, "", &wish);
    struct rollout_book *book = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(rollout_book_open(NULL, &book), NULL);
    struct rollout row = fleet->stored[0];
    row.seq = 9;
    EXPECT_ERR(CAS_ERR_CORRUPT, rollout_load(book, &row, &why));
    EXPECT_TEXT_HAS("r-0009", why.text);
    row = fleet->stored[0];
    row.step[2].state = (enum rollout_step_state)11;
    EXPECT_ERR(CAS_ERR_CORRUPT, rollout_load(book, &row, &why));
    EXPECT_TEXT_HAS("step 3", why.text);
    row.step[2].state = STEP_PENDING;
    row.plan.size--;
    EXPECT_TRUE(rollout_load(book, &row, &why) != CAS_OK);
    row.plan.size++;
    EXPECT_OK(rollout_load(book, &row, &why), &why);
    EXPECT_ERR(CAS_ERR_EXISTS, rollout_load(book, &row, &why));
    EXPECT_UINT_EQ(1, rollout_book_size(book));
    rollout_book_free(book);
}
