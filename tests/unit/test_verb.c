#include <stdio.h>

#include "tests/unit/verb_bench.h"

/* ---- the good way ---- */

/* Why: this is the main job. How: the tool takes 3 s; evidence is the other worker. */
TEST(verb, granted_recycle_is_done_with_evidence)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.act.state = HOST_ACT_RUNNING;
    bench_grant(&b);
    EXPECT_TRUE(verb_is_acting(b.desk));
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_drain]);
    bench_run_ms(&b, 3000);
    EXPECT_TRUE(verb_is_acting(b.desk));
    b.fake.act.state = HOST_ACT_DONE;
    bench_run_ms(&b, 1000);
    EXPECT_FALSE(verb_is_acting(b.desk));
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    struct message_result *result = &bench_last(&b)->result;
    EXPECT_UINT_EQ(4120, result->pid_before);
    EXPECT_UINT_EQ(4121, result->pid_after);
    EXPECT_INT_EQ(START_WALL_MS, result->intent_ms);
    EXPECT_TRUE(result->has_acted_ms && result->acted_ms >= START_WALL_MS + 3000);
    EXPECT_FALSE(result->has_drained_ms);
    EXPECT_UINT_EQ(1, verb_acts(b.desk));
    bench_done(&b);
}

/* Why: a RESULT may be lost; a send is not a delivery. How: nobody answers, then the ACK comes. */
TEST(verb, result_is_repeated_until_acknowledged)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "");
    size_t before = b.sent_n;
    bench_run_ms(&b, RESEND_MS - 2000);
    EXPECT_UINT_EQ(before, b.sent_n);
    bench_run_ms(&b, 2000);
    EXPECT_UINT_EQ(before + 1, b.sent_n);
    bench_crash(&b);
    bench_run_ms(&b, 1);
    EXPECT_UINT_EQ(before + 2, b.sent_n);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_ack(&b);
    bench_run_ms(&b, 60000);
    EXPECT_UINT_EQ(before + 2, b.sent_n);
    bench_done(&b);
}

/* Why: users are moved away before the recycle, and back after its proof. How: requests fall for 4
 * s, then stay. */
TEST(verb, drain_waits_until_requests_stop_falling_and_is_undone)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 30000;
    bench_claim(&b);
    bench_grant(&b);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
    for (int i = 0; i < 4; i++) {
        b.fake.pool.active_requests -= 200;
        bench_run_ms(&b, 1000);
    }
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    EXPECT_TRUE(b.fake.pool.is_drained);
    bench_run_ms(&b, 9000);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_run_ms(&b, 2000);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    EXPECT_FALSE(b.fake.pool.is_drained);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_NEAR(900, bench_last(&b)->result.requests_before, 0);
    EXPECT_NEAR(100, bench_last(&b)->result.requests_drained, 0);
    EXPECT_TRUE(bench_last(&b)->result.has_drained_ms);
    bench_done(&b);
}

/* How: requests fall for ever, by one a second; a drain of 30 s must end after 30 s. */
TEST(verb, drain_ends_at_its_deadline)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 30000;
    bench_claim(&b);
    bench_grant(&b);
    for (int i = 0; i < 29; i++) {
        b.fake.pool.active_requests -= 1;
        bench_run_ms(&b, 1000);
    }
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_run_ms(&b, 1500);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: a server somebody drained on purpose must not come back by our undrain. */
TEST(verb, server_drained_before_stays_drained)
{
    struct bench b;
    bench_init(&b);
    b.fake.pool.is_drained = true;
    b.order.drain_ms = 30000;
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_drain]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_undrain]);
    EXPECT_TRUE(b.fake.pool.is_drained);
    bench_done(&b);
}

TEST(verb, drain_undrain_and_probe_are_commands_too)
{
    struct bench b;
    bench_init(&b);
    bench_plan(&b, VERB_drain, START_WALL_MS + 3600000);
    b.fake.pool.active_requests = 0;
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "drained");
    EXPECT_TRUE(b.fake.pool.is_drained);
    bench_ack(&b);

    bench_plan(&b, VERB_undrain, START_WALL_MS + 3600000);
    b.order.cmd_id[0]++;
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "undrained");
    EXPECT_FALSE(b.fake.pool.is_drained);

    bench_plan(&b, VERB_probe, START_WALL_MS + 3600000);
    b.order.cmd_id[0]++;
    b.fake.pool.health = HEALTH_BAD;
    (void)snprintf(b.fake.pool.reason, sizeof b.fake.pool.reason, "HTTP 503");
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "not healthy: HTTP 503");
    EXPECT_INT_EQ(HEALTH_BAD, bench_last(&b)->result.code);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* ---- refusals ---- */

static void expect_refused(struct bench *b, enum nack_reason reason, const char *text)
{
    EXPECT_INT_EQ(MESSAGE_nack, bench_last(b)->type);
    EXPECT_UINT_EQ(reason, bench_last(b)->reason);
    EXPECT_TEXT_HAS(text, bench_last(b)->text);
    EXPECT_UINT_EQ(0, b->fake.begun[VERB_recycle]);
    EXPECT_FALSE(verb_is_acting(b->desk));
    EXPECT_UINT_EQ(0, ledger_head(b->ledger));
}

/* Why: the people at the server beat every plan: what is offered is refused, and so is what was
 * claimed before they said no, also by a copy that comes once they have released it. */
TEST(verb, held_server_refuses_offers_and_grants)
{
    struct bench b;
    bench_init(&b);
    b.held = "held by alice: replacing a fan";
    bench_offer(&b, b.order.cmd_id);
    expect_refused(&b, NACK_HELD, "held by alice: replacing a fan");

    b.held = NULL;
    bench_claim(&b);
    b.held = "held by alice: replacing a fan";
    bench_grant(&b);
    expect_refused(&b, NACK_HELD, "replacing a fan");
    b.held = NULL;
    bench_grant(&b);
    expect_refused(&b, NACK_NONCE, "not the last one");

    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_done(&b);
}

/* Why: half a recycle is worse than none or a whole one: what is under way is finished. How: held
 * between INTENT and outcome; a GRANT that comes again is answered by its RESULT. */
TEST(verb, an_act_under_way_when_the_hold_comes_is_finished)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    bench_grant(&b);
    EXPECT_TRUE(verb_is_acting(b.desk));
    b.held = "held by alice: replacing a fan";
    bench_run_ms(&b, 30000);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_grant(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: a command that was taken back while held must be known as taken back. */
TEST(verb, held_server_answers_a_revoke)
{
    struct bench b;
    bench_init(&b);
    b.held = "held by alice: replacing a fan";
    bench_revoke(&b);
    EXPECT_INT_EQ(MESSAGE_revoked, bench_last(&b)->type);
    bench_done(&b);
}

static void spoil_audience(struct record_order *order)
{
    order->audience[31] ^= 1;
}

static void spoil_nonce(struct record_order *order)
{
    order->nonce[0] ^= 1;
}

static void spoil_cmd_id(struct record_order *order)
{
    order->cmd_id[0] ^= 1;
}

static void spoil_epoch(struct record_order *order)
{
    order->epoch = 9;
}

static void spoil_keyset(struct record_order *order)
{
    order->keyset_ver = 1;
}

static void spoil_verb(struct record_order *order)
{
    order->verb = 77;
}

static void spoil_plan_hash(struct record_order *order)
{
    order->plan_hash[0] ^= 1;
}

static void spoil_plan_verb(struct record_order *order)
{
    order->verb = VERB_drain;
}

static void spoil_plan_pool(struct record_order *order)
{
    order->pool = cas_slice_of(bench_allowed[1]);
}

static void spoil_plan_rollout(struct record_order *order)
{
    order->rollout_seq = 413;
}

static void spoil_plan_act(struct record_order *order)
{
    order->act_ms = ACT_MS + 1;
}

static void spoil_window(struct record_order *order)
{
    order->has_not_after_wall_ms = true;
    order->not_after_wall_ms = START_WALL_MS - 1;
}

/* Why: each of these alone must be enough to refuse. How: from the order that would be taken, one
 * thing is changed at a time; at the end the unchanged one is taken, so that none of the refusals
 * was for another reason. */
TEST(verb, grant_with_one_thing_wrong_is_refused)
{
    static const struct {
        void (*spoil)(struct record_order *order);
        enum nack_reason reason;
        const char *text;
    } row[] = {
        {spoil_audience, NACK_NOT_MINE, "another agent"},
        {spoil_nonce, NACK_NONCE, "not the last one"},
        {spoil_cmd_id, NACK_NONCE, "not the last one"},
        {spoil_epoch, NACK_STALE_EPOCH, "9 is below 10"},
        {spoil_keyset, NACK_BAD_SIGNATURE, "keyset 1"},
        {spoil_verb, NACK_UNKNOWN_VERB, "verb"},
        {spoil_plan_hash, NACK_NO_PLAN, "plan"},
        {spoil_plan_verb, NACK_NOT_MINE, "plan says"},
        {spoil_plan_pool, NACK_NOT_MINE, "plan says"},
        {spoil_plan_rollout, NACK_NOT_MINE, "plan says"},
        {spoil_plan_act, NACK_NOT_MINE, "plan says"},
        {spoil_window, NACK_WINDOW, "closed"},
    };
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    struct record_order good = b.order;
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        row[i].spoil(&b.order);
        bench_grant(&b);
        expect_refused(&b, row[i].reason, row[i].text);
        b.order = good;
    }
    b.fake.pool_err = CAS_ERR_IO;
    bench_grant(&b);
    expect_refused(&b, NACK_BUSY, "the pool hides");
    b.fake.pool_err = CAS_OK;
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_done(&b);
}

/* Why: nothing that is not signed by the pinned command key is believed, not even an epoch. */
TEST(verb, grant_by_another_key_is_refused_and_raises_nothing)
{
    static const uint8_t other_seed[CAS_KEY_BYTES] = {8};
    CAS_AUTO(keys) other = NULL;
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    EXPECT_OK(keys_make_from(KEYS_SIGN, other_seed, &other), NULL);
    b.order.epoch = 99;
    bench_grant_by(&b, other);
    expect_refused(&b, NACK_BAD_SIGNATURE, "command key");
    EXPECT_UINT_EQ(10, verb_epoch(b.desk)); /* the OFFER's: a wrong signature adds nothing */
    EXPECT_UINT_EQ(0, ledger_epoch(b.ledger));
    bench_done(&b);
}

/* Why: a GRANT that was under way for hours must not act. R3. How: at the limit it is taken, one ms
 * later not; on each clock alone; and when the wall clock went back. */
TEST(verb, nonce_is_good_for_its_life_on_both_clocks)
{
    static const struct {
        int64_t wall_ms;
        int64_t mono_ms;
        bool is_taken;
    } row[] = {
        {GRANT_LIFE_MS, GRANT_LIFE_MS, true},
        {0, GRANT_LIFE_MS + 1, false},
        {GRANT_LIFE_MS + 1, 0, false},
        {-1, 0, false},
        {315360000000, 10, false},
        {-315360000000, 10, false},
        {0, 0, true},
    };
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        struct bench b;
        bench_init(&b);
        bench_plan(&b, VERB_recycle, INT64_C(1) << 50);
        bench_claim(&b);
        b.now.wall_ms += row[i].wall_ms;
        b.now.mono_ms += row[i].mono_ms;
        bench_grant(&b);
        EXPECT_UINT_EQ(row[i].is_taken ? 1 : 0, b.fake.begun[VERB_recycle]);
        if (!row[i].is_taken)
            expect_refused(&b, NACK_NONCE, "old by");
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: I4; a disk that stalls, or a machine that is paused, over the INTENT makes a good GRANT old.
 * How: at the GRANT the nonce is well within its life; when the loop comes back with a new time it
 * is at the limit, or one ms beyond it on one clock. */
TEST(verb, grant_that_grew_old_over_its_intent_does_nothing)
{
    static const struct {
        int64_t wall_ms;
        int64_t mono_ms;
        bool is_done;
    } row[] = {
        {GRANT_LIFE_MS, GRANT_LIFE_MS, true},
        {0, GRANT_LIFE_MS + 1, false},
        {GRANT_LIFE_MS + 1, 0, false},
        {-1, 0, false},
    };
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        struct bench b;
        bench_init(&b);
        bench_claim(&b);
        bench_grant_by(&b, b.command);
        EXPECT_TRUE(verb_is_acting(b.desk));
        EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
        b.now.wall_ms += row[i].wall_ms;
        b.now.mono_ms += row[i].mono_ms;
        bench_run_ms(&b, 2000);
        EXPECT_UINT_EQ(row[i].is_done ? 1 : 0, b.fake.begun[VERB_recycle]);
        bench_expect_result(&b,
                            row[i].is_done ? COMMAND_DONE : COMMAND_FAILED,
                            row[i].is_done ? "recycled" : "nothing was done");
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: I4; a machine that slept during the drain must not recycle when it wakes, hours after all
 * have given it up, however long its window is. How: drained, then each clock alone jumps. */
TEST(verb, machine_that_slept_during_the_drain_does_not_recycle)
{
    static const struct cas_now jump[] = {{.wall_ms = 7200000},
                                          {.mono_ms = 7200000},
                                          {.wall_ms = -7200000},
                                          {.wall_ms = 315360000000}};
    for (size_t i = 0; i < CAS_COUNT(jump); i++) {
        struct bench b;
        bench_init(&b);
        bench_plan(&b, VERB_recycle, INT64_C(1) << 50);
        b.order.drain_ms = 30000;
        bench_claim(&b);
        bench_grant(&b);
        bench_run_ms(&b, 1000);
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
        b.now.wall_ms += jump[i].wall_ms;
        b.now.mono_ms += jump[i].mono_ms;
        bench_run_ms(&b, 40000);
        bench_expect_result(&b,
                            COMMAND_FAILED,
                            "took too long by one of the two clocks; undrained");
        EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
        EXPECT_FALSE(b.fake.pool.is_drained);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* How: the plan's end and start, at the edge. Before the start the allowed clock skew is granted.
 */
TEST(verb, window_of_the_plan_is_kept)
{
    struct bench b;
    bench_init(&b);
    bench_plan(&b, VERB_recycle, START_WALL_MS - 1);
    bench_claim(&b);
    bench_grant(&b);
    expect_refused(&b, NACK_WINDOW, "has closed");
    b.now.wall_ms = START_WALL_MS - 1000 - CLOCK_SKEW_MS - 1;
    bench_plan(&b, VERB_recycle, START_WALL_MS);
    b.order.cmd_id[0]++;
    bench_claim(&b);
    bench_grant(&b);
    expect_refused(&b, NACK_WINDOW, "not opened");
    b.now.wall_ms++;
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "");
    bench_done(&b);
}

/* Why: an act that comes after its window, because the drain took long, is an act outside its
 * window. How: the window closes during the drain; then the server is put back and the command has
 * failed. */
TEST(verb, window_that_closes_during_the_drain_stops_the_recycle)
{
    struct bench b;
    bench_init(&b);
    bench_plan(&b, VERB_recycle, START_WALL_MS + 1000);
    b.order.drain_ms = 30000;
    bench_claim(&b);
    bench_grant(&b);
    for (int i = 0; i < 31; i++) {
        b.fake.pool.active_requests -= 1;
        bench_run_ms(&b, 1000);
    }
    bench_expect_result(&b, COMMAND_FAILED, "the window closed during the drain");
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    EXPECT_FALSE(b.fake.pool.is_drained);
    bench_done(&b);
}

TEST(verb, offer_is_refused_where_no_grant_could_be_taken)
{
    struct bench b;
    bench_init(&b);
    struct message_offer offer = {.epoch = 10,
                                  .cmd_id = {1},
                                  .verb = 9,
                                  .pool = cas_slice_of(POOL)};
    verb_on_offer(b.desk, &offer, b.now);
    expect_refused(&b, NACK_UNKNOWN_VERB, "verb");
    offer.verb = VERB_recycle;
    offer.pool = cas_slice_of("DefaultAppPool");
    verb_on_offer(b.desk, &offer, b.now);
    expect_refused(&b, NACK_POOL_NOT_ALLOWED, "allow-list");
    offer.pool = cas_slice_of(POOL);
    offer.epoch = 9;
    verb_on_offer(b.desk, &offer, b.now);
    expect_refused(&b, NACK_STALE_EPOCH, "epoch");
    bench_done(&b);
}

/* Why: I15. How: the plan and the order are for a pool that this server does not allow. */
TEST(verb, pool_outside_the_allow_list_is_refused_even_when_signed)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    struct record_plan_body plan = {.rollout_seq = 412,
                                    .verb = VERB_recycle,
                                    .pool = cas_slice_of("DefaultAppPool"),
                                    .until_ms = START_WALL_MS + 10000,
                                    .at_once = 1,
                                    .act_ms = ACT_MS,
                                    .proof_ms = 1000,
                                    .healthy_n = 1,
                                    .stop_after = 1,
                                    .by = cas_slice_of("anna"),
                                    .steps = cas_slice_of("A")};
    uint8_t bytes[1024];
    size_t size = 0;
    EXPECT_OK(record_encode(RECORD_plan_body, &plan, bytes, sizeof bytes, &size, NULL), NULL);
    struct message_plan message = {.bytes = {(const char *)bytes, size}};
    verb_on_plan(b.desk, &message);
    sign_plan_hash(message.bytes, b.order.plan_hash);
    b.order.pool = plan.pool;
    bench_grant(&b);
    expect_refused(&b, NACK_POOL_NOT_ALLOWED, "allow-list");
    bench_done(&b);
}

/* Why: two acts at once on one server would each spoil the other's evidence. */
TEST(verb, one_command_at_a_time)
{
    struct bench b;
    bench_init(&b);
    static const uint8_t other[CAS_ID_BYTES] = {77};
    bench_claim(&b);
    bench_offer(&b, other);
    expect_refused(&b, NACK_BUSY, "in hand");
    bench_pass_ms(&b, GRANT_LIFE_MS + 1);
    bench_offer(&b, other); /* the claim has run out: its controller may be gone */
    EXPECT_INT_EQ(MESSAGE_claim, bench_last(&b)->type);
    bench_pass_ms(&b, GRANT_LIFE_MS + 1);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    bench_offer(&b, other);
    EXPECT_UINT_EQ(NACK_BUSY, bench_last(&b)->reason);
    bench_done(&b);
}

/* Why: the OFFER is repeated every 5 s; a duplicate must not make the GRANT under way worthless. */
TEST(verb, offer_that_comes_twice_gets_the_same_claim)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    uint8_t first[CAS_ID_BYTES];
    memcpy(first, bench_last(&b)->nonce, CAS_ID_BYTES);
    bench_pass_ms(&b, RESEND_MS - 1);
    bench_claim(&b);
    EXPECT_BYTES_EQ(first, bench_last(&b)->nonce, CAS_ID_BYTES);
    bench_pass_ms(&b, 1);
    bench_claim(&b);
    EXPECT_TRUE(memcmp(first, bench_last(&b)->nonce, CAS_ID_BYTES) != 0);
    bench_done(&b);
}
