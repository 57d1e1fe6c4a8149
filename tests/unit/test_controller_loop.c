#include "controller/core/rollout_inside.h"
#include "tests/unit/controller_rig.h"
#include "tests/unit/test.h"

/* ---- the promises ---- */

/* Why: the whole path of the main job, through the real core, store and codec. How: three servers
 * one at a time. */
TEST(controller_loop, a_rollout_runs_to_its_end_by_proof)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_handle = rig_handle_run;
    rig_ask(rig, "recycle.run");
    EXPECT_TRUE(rig->is_answered);
    EXPECT_TEXT_EQ("", rig->answer_error);
    rig_pass(rig, 120000);
    EXPECT_INT_EQ(1, rig->agent[1].acts);
    EXPECT_INT_EQ(1, rig->agent[2].acts);
    EXPECT_INT_EQ(1, rig->agent[3].acts);
    const struct rollout *rollout = rollout_find(controller_book(rig->controller), 1);
    EXPECT_NOT_NULL(rollout);
    EXPECT_INT_EQ(ROLLOUT_DONE, rollout->state);
    EXPECT_INT_EQ(1, rig->agent[1].heard[MESSAGE_plan]);
    EXPECT_INT_EQ(1, rig->agent[1].heard[MESSAGE_grant]);
    EXPECT_TRUE(rig_audits_n(rig, "r-0001") > 10);
    EXPECT_TRUE(rig_audits_n(rig, "LON-CAS02") >= 4);
    EXPECT_UINT_EQ(3, controller_counts_of(rig->controller).grants);
}

/* Why (I9): the controller may die anywhere. How: it does, again and again, while a rollout runs;
 * agents stay. */
TEST(controller_loop, a_rollout_survives_a_controller_that_dies_every_few_seconds)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_handle = rig_handle_run;
    rig_ask(rig, "recycle.run");
    for (int i = 0; i < 40; i++) {
        rig_pass(rig, 7000 + 350 * (i % 5));
        controller_free(rig->controller);
        rig_start(rig);
        for (size_t k = 1; k <= SERVERS; k++)
            rig_hello(rig, &rig->agent[k], rig->agent[k].epoch);
        rig_play(rig);
    }
    rig_pass(rig, 60000);
    EXPECT_INT_EQ(3, rig_acts(rig));
    EXPECT_INT_EQ(ROLLOUT_DONE, rollout_find(controller_book(rig->controller), 1)->state);
}

/* Why (I5): an ACK lets the agent forget. How: the rig looks, at each ACK, whether its rows are
 * committed. */
TEST(controller_loop, a_report_is_acknowledged_only_after_its_commit)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_report(rig, &rig->agent[1], 1, 5, 10);
    rig_play(rig);
    EXPECT_UINT_EQ(0, rig->agent[1].ack_upto);
    rig_pass(rig, 100);
    EXPECT_UINT_EQ(5, rig->agent[1].ack_upto);
    EXPECT_FALSE(rig->is_ack_early);
    EXPECT_UINT_EQ(5, rig_entries_n(rig));
    EXPECT_UINT_EQ(5, inventory_by_id(controller_inventory(rig->controller), 1)->event_4227_n);

    /* A double changes nothing and is acknowledged again. */
    rig->agent[1].ack_upto = 0;
    rig_report(rig, &rig->agent[1], 1, 5, 10);
    rig_pass(rig, 100);
    EXPECT_UINT_EQ(5, rig->agent[1].ack_upto);
    EXPECT_UINT_EQ(5, rig_entries_n(rig));
    EXPECT_UINT_EQ(5, inventory_by_id(controller_inventory(rig->controller), 1)->event_4227_n);

    /* Not committed when it dies: never there, and the count starts from what was kept. */
    rig_report(rig, &rig->agent[1], 6, 1, 10);
    controller_free(rig->controller);
    rig_start(rig);
    EXPECT_UINT_EQ(5, rig_entries_n(rig));
    EXPECT_UINT_EQ(5, inventory_by_id(controller_inventory(rig->controller), 1)->event_4227_n);
}

/* Why (I7): out means out, from the next frame on. How: an agent is revoked between two of its
 * frames. */
TEST(controller_loop, an_agent_revoked_between_two_frames_gets_nothing)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_report(rig, &rig->agent[1], 1, 1, 10);
    rig_handle = rig_handle_revoke;
    rig_handle_server = 1;
    rig_ask(rig, "agent.revoke");
    EXPECT_TRUE(rig->is_answered);
    EXPECT_TEXT_EQ("", rig->answer_error);
    size_t kept = rig_entries_n(rig);
    memset(rig->agent[1].heard, 0, sizeof rig->agent[1].heard);
    rig_report(rig, &rig->agent[1], 2, 1, 10);
    rig_hello(rig, &rig->agent[1], 0);
    rig_pass(rig, 2 * TICK_MS);
    for (size_t i = 0; i < CAS_COUNT(rig->agent[1].heard); i++)
        EXPECT_INT_EQ(0, rig->agent[1].heard[i]);
    EXPECT_UINT_EQ(kept, rig_entries_n(rig));
    EXPECT_UINT_EQ(2, controller_counts_of(rig->controller).dropped_unknown);
    EXPECT_INT_EQ(
        CHANNEL_REFUSE,
        controller_handshake(rig->controller, CHANNEL_AGENTS, &rig->agent[1].key, "a", rig->now));
    controller_free(rig->controller);
    rig_start(rig); /* also after a restart */
    EXPECT_INT_EQ(
        CHANNEL_REFUSE,
        controller_handshake(rig->controller, CHANNEL_AGENTS, &rig->agent[1].key, "a", rig->now));
}

/* Why: what could not be saved did not happen. How: the disk is full when a plan is run, and again
 * in the middle. */
TEST(controller_loop, a_commit_that_fails_leaves_the_book_and_sends_nothing)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_handle = rig_handle_run;
    rig_disk_fill(rig);
    rig_ask(rig, "recycle.run");
    EXPECT_TRUE(rig->is_answered);
    EXPECT_TEXT_HAS("nothing was changed", rig->answer_error);
    EXPECT_UINT_EQ(0, rollout_book_size(controller_book(rig->controller)));
    EXPECT_TRUE(controller_is_stuck(rig->controller));
    rig_pass(rig, 5000);
    EXPECT_INT_EQ(0, rig_acts(rig));

    store_page_limit(controller_store(rig->controller), 0);
    rig_ask(rig, "recycle.run");
    EXPECT_TEXT_EQ("", rig->answer_error);
    EXPECT_FALSE(controller_is_stuck(rig->controller));
    rig_disk_fill(rig);
    rig_pass(rig, 30000);
    EXPECT_INT_EQ(0,
                  rig->agent[1].heard[MESSAGE_offer] + rig->agent[2].heard[MESSAGE_offer] +
                      rig->agent[3].heard[MESSAGE_offer]);
    EXPECT_TRUE(controller_is_stuck(rig->controller));
    store_page_limit(controller_store(rig->controller), 0);
    rig_pass(rig, 120000);
    EXPECT_INT_EQ(3, rig_acts(rig));
    EXPECT_FALSE(controller_is_stuck(rig->controller));
}

/* Why (K5): a full disk makes no false ACK, counts nothing twice, and ends by itself. */
TEST(controller_loop, reports_wait_while_the_disk_is_full)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    store_page_limit(controller_store(rig->controller), 1);
    uint64_t next = 1;
    for (int i = 0; i < 200 && !controller_is_stuck(rig->controller); i++) {
        rig_report(rig, &rig->agent[1], next, 60, 500);
        rig_pass(rig, 100);
        EXPECT_FALSE(rig->is_ack_early);
        next = rig->agent[1].ack_upto + 1;
    }
    EXPECT_TRUE(controller_is_stuck(rig->controller));
    EXPECT_UINT_EQ(next - 1, rig_entries_n(rig));
    EXPECT_UINT_EQ(next - 1,
                   inventory_by_id(controller_inventory(rig->controller), 1)->event_4227_n);
    rig_report(rig, &rig->agent[1], next, 60, 500); /* too early to try again */
    EXPECT_TRUE(controller_counts_of(rig->controller).reports_not_now > 0);
    store_page_limit(controller_store(rig->controller), 0);
    rig_pass(rig, 2000);
    rig_report(rig, &rig->agent[1], next, 60, 500);
    rig_pass(rig, 100);
    EXPECT_UINT_EQ(next + 59, rig->agent[1].ack_upto);
    EXPECT_UINT_EQ(next + 59, rig_entries_n(rig));
    EXPECT_UINT_EQ(next + 59,
                   inventory_by_id(controller_inventory(rig->controller), 1)->event_4227_n);
    EXPECT_FALSE(controller_is_stuck(rig->controller));
}

/* Why: a body nobody can read must not be acknowledged as kept; and who does so often is not heard
 * for a while. */
TEST(controller_loop, a_report_with_an_unreadable_body_is_refused_whole)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    struct record_entry entry = {.seq = 1, .kind = ENTRY_SAMPLE, .at_ms = 1, .body = {"\xc1", 1}};
    struct message message = {.type = MESSAGE_report};
    message.as.report = (struct message_report){.first_seq = 1, .entries = &entry, .entries_n = 1};
    for (int i = 0; i < PEER_VIOLATIONS_PER_MIN; i++)
        rig_put(rig, &rig->agent[1], &message);
    rig_pass(rig, 200);
    EXPECT_UINT_EQ(0, rig->agent[1].ack_upto);
    EXPECT_UINT_EQ(0, rig_entries_n(rig));
    struct controller_counts counts = controller_counts_of(rig->controller);
    EXPECT_UINT_EQ(3, counts.reports_refused);
    EXPECT_UINT_EQ(1, counts.quarantines);
    rig_report(rig, &rig->agent[1], 1, 1, 10);
    EXPECT_UINT_EQ(1, controller_counts_of(rig->controller).dropped_quarantine);
}

/* Why (R10): health counts by the TICK it echoes; one that was never sent, or of another epoch,
 * proves nothing. */
TEST(controller_loop, only_an_echo_of_a_tick_sent_in_this_epoch_is_proof)
{
    CAS_AUTO(rig) rig = rig_open();
    struct mock_agent *agent = &rig->agent[1];
    agent->is_mute = true;
    rig_hello(rig, agent, 0);
    rig_play(rig);
    const struct inventory_server *server =
        inventory_by_id(controller_inventory(rig->controller), 1);
    uint64_t epoch = controller_epoch(rig->controller);
    rig_hb(rig, agent, 2, epoch); /* WELCOME was 1 */
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, rig->now.mono_ms));
    rig_hb(rig, agent, 1, epoch - 1);
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, rig->now.mono_ms));
    rig_hb(rig, agent, 1, epoch);
    EXPECT_INT_EQ(SERVICE_UP, inventory_service_of(server, rig->now.mono_ms));
    EXPECT_INT_EQ(12345, server->live.proof_mono_ms);
}

/* Why (I11): a controller with a lost epoch is deaf until it steps; no agent may drive it. */
TEST(controller_loop, a_higher_epoch_of_an_agent_steps_ours_once_a_minute_and_is_not_adopted)
{
    CAS_AUTO(rig) rig = rig_open();
    uint64_t epoch = controller_epoch(rig->controller);
    rig_hello(rig, &rig->agent[1], UINT64_C(1) << 50);
    rig_pass(rig, 200);
    uint64_t stepped = controller_epoch(rig->controller);
    EXPECT_UINT_EQ(epoch + 1, stepped);
    rig_hello(rig, &rig->agent[1], UINT64_C(1) << 50);
    rig_pass(rig, 59000);
    EXPECT_UINT_EQ(stepped, controller_epoch(rig->controller));
    struct message message = {.type = MESSAGE_nack};
    message.as.nack.reason = NACK_STALE_EPOCH;
    rig_put(rig, &rig->agent[1], &message);
    rig_pass(rig, 2000);
    EXPECT_TRUE(controller_epoch(rig->controller) > stepped);
}

/* Why (W13): the right key at the wrong port is told so, audited, and cannot fill the disk. */
TEST(controller_loop, a_key_at_the_wrong_port_is_denied_and_audited_within_bounds)
{
    CAS_AUTO(rig) rig = rig_open();
    struct message message = {.type = MESSAGE_ask};
    message.as.ask = (struct message_ask){.id = 77, .verb = cas_slice_of("agent.approve")};
    rig_put_from(rig, &rig->agent[1].key, (struct channel_route){CHANNEL_OPERATORS, 50}, &message);
    EXPECT_UINT_EQ(1, rig->sent_n);
    rig_play(rig);
    EXPECT_TRUE(rig->is_answered);
    EXPECT_UINT_EQ(ASK_EXIT_DENIED, rig->answer_exit);
    EXPECT_TEXT_HAS("agent's key", rig->answer_error);
    rig_put_from(rig, &rig->operator_key, (struct channel_route){CHANNEL_AGENTS, 51}, &message);
    EXPECT_UINT_EQ(0, rig->sent_n);
    rig_pass(rig, 200);
    EXPECT_UINT_EQ(2, rig_audits_n(rig, ""));
    EXPECT_UINT_EQ(1, rig_audits_n(rig, "agent.approve"));

    rig_handle = rig_handle_deny;
    for (int i = 0; i < 100; i++) {
        rig_ask(rig, "agent.approve");
        rig_pass(rig, 100);
    }
    EXPECT_UINT_EQ(CONTROLLER_AUDIT_DENIED_PER_MIN, rig_audits_n(rig, ""));
    EXPECT_UINT_EQ(102, controller_counts_of(rig->controller).denied);
}

struct held_rows {
    size_t held_n, released_n, left_n; /* left_n: rows that tell of others */
    char newest[AUDIT_WORDS_BYTES];
    char verb[CAS_NAME_BYTES];
};

static void count_held(void *context, uint64_t id, const struct store_audit *audit)
{
    struct held_rows *rows = context;
    (void)id;
    bool is_held = strcmp(audit->verb, "server.held") == 0;
    bool is_released = strcmp(audit->verb, "server.released") == 0;
    if (!is_held && !is_released)
        return;
    if (rows->held_n + rows->released_n == 0) {
        memcpy(rows->newest, audit->words, sizeof rows->newest);
        memcpy(rows->verb, audit->verb, sizeof rows->verb);
    }
    rows->held_n += is_held;
    rows->released_n += is_released;
    rows->left_n += strstr(audit->words, "not written down") != NULL;
}

static struct held_rows held_rows_of(struct rig *rig)
{
    struct held_rows rows = {.held_n = 0};
    EXPECT_OK(
        store_audit_read(controller_store(rig->controller), "", 1000, count_held, &rows, NULL),
        NULL);
    return rows;
}

/* A change, heard with its next heartbeat. */
static void hold_turn(struct rig *rig)
{
    rig->agent[1].is_held = !rig->agent[1].is_held;
    rig_pass(rig, TICK_MS);
}

/* Why: an agent that says held and released in turns, by a mistake or on purpose, must not fill the
 * audit that others are looked for in; and what it did last is on record all the same.
 * How: as many changes as are written down, each on record at once; then one more, 20 more, and
 * quiet until the hour is over. */
TEST(controller_loop, holds_of_one_server_are_audited_within_bounds_and_the_rest_is_counted)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    rig_pass(rig, TICK_MS);
    int64_t from_ms = rig->now.mono_ms;
    for (size_t i = 1; i <= CONTROLLER_AUDIT_HELD; i++) {
        hold_turn(rig);
        struct held_rows rows = held_rows_of(rig);
        EXPECT_UINT_EQ(i, rows.held_n + rows.released_n);
        EXPECT_UINT_EQ(0, rows.left_n);
    }
    for (int i = 0; i < 21; i++)
        hold_turn(rig);
    struct held_rows rows = held_rows_of(rig);
    EXPECT_UINT_EQ(CONTROLLER_AUDIT_HELD, rows.held_n + rows.released_n);
    EXPECT_TEXT_EQ("server.released", rows.verb);

    rig_pass(rig, from_ms + CONTROLLER_AUDIT_HELD_MS - TICK_MS - rig->now.mono_ms);
    rows = held_rows_of(rig);
    EXPECT_UINT_EQ(CONTROLLER_AUDIT_HELD, rows.held_n + rows.released_n);
    rig_pass(rig, 3 * TICK_MS);
    rows = held_rows_of(rig);
    EXPECT_UINT_EQ(CONTROLLER_AUDIT_HELD + 1, rows.held_n + rows.released_n);
    EXPECT_TEXT_EQ("server.held", rows.verb);
    EXPECT_TEXT_EQ("held on the server by alice: replacing a fan; 20 holds and releases since the "
                   "row before are not written down, at most 10 an hour are",
                   rows.newest);
    hold_turn(rig);
    rows = held_rows_of(rig);
    EXPECT_UINT_EQ(CONTROLLER_AUDIT_HELD + 2, rows.held_n + rows.released_n);
    EXPECT_UINT_EQ(1, rows.left_n);
}

/* Why: an operator's queue may be full; the answer waits, whole and in order, and not for ever. */
TEST(controller_loop, an_answer_in_parts_waits_for_a_full_queue)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_handle = rig_handle_document;
    rig->operator_err = CAS_ERR_AGAIN;
    rig_ask(rig, "status");
    rig_pass(rig, 1000);
    EXPECT_FALSE(rig->is_answered);
    rig->operator_err = CAS_OK;
    rig_pass(rig, 100);
    EXPECT_TRUE(rig->is_answered);
    EXPECT_UINT_EQ(3 * WIRE_DOCUMENT_BYTES - 7, rig->answer_size);
    for (size_t i = 0; i < rig->answer_size; i++)
        EXPECT_INT_EQ('a' + (int)(i % 23), rig->answer[i]);
    rig->operator_err = CAS_ERR_AGAIN;
    rig_ask(rig, "status");
    rig_pass(rig, 61000);
    rig->operator_err = CAS_OK;
    rig_pass(rig, 1000);
    EXPECT_FALSE(rig->is_answered);
}

/* Why (R14): a leader that was replaced must not send another word. */
TEST(controller_loop, a_fenced_controller_ends_without_sending)
{
    CAS_AUTO(rig) rig = rig_open();
    static const uint8_t other_id[CAS_ID_BYTES] = {9};
    CAS_AUTO(store) other = NULL;
    struct cas_why why = {0};
    rig_all_hello(rig);
    EXPECT_OK(store_open(rig->uri, other_id, rig->now, &other, &why), &why);
    rig_report(rig, &rig->agent[1], 1, 1, 10);
    rig->now.mono_ms += 1000;
    EXPECT_ERR(CAS_ERR_FENCED, controller_tick(rig->controller, rig->now, &why));
    EXPECT_UINT_EQ(0, rig->sent_n);
    EXPECT_ERR(CAS_ERR_FENCED, controller_tick(rig->controller, rig->now, &why));
}

/* Why: every agent hears a TICK once a round, spread over it, so that its answers do not come all
 * at once. */
TEST(controller_loop, ticks_go_to_each_agent_once_a_round)
{
    CAS_AUTO(rig) rig = rig_open();
    rig_all_hello(rig);
    memset(rig->agent[1].heard, 0, sizeof rig->agent[1].heard);
    memset(rig->agent[3].heard, 0, sizeof rig->agent[3].heard);
    rig_pass(rig, 10 * TICK_MS);
    EXPECT_INT_EQ(10, rig->agent[1].heard[MESSAGE_tick]);
    EXPECT_INT_EQ(10, rig->agent[3].heard[MESSAGE_tick]);
    rig->now.mono_ms += 3600000; /* a pause of an hour is not made up for */
    rig->now.wall_ms += 3600000;
    rig_pass(rig, TICK_MS);
    EXPECT_TRUE(rig->agent[1].heard[MESSAGE_tick] <= 12);
}

/* ---- journals that were lost ---- */

static const struct rollout_step *step_now(const struct rig *rig)
{
    return &rollout_find(controller_book(rig->controller), 1)->step[0];
}

static struct mock_agent *acting(struct rig *rig)
{
    return &rig->agent[step_now(rig)->server_id];
}

/* A rollout whose first server has acted and not said so. */
static struct rig *rig_acted(uint64_t journal_head)
{
    struct rig *rig = rig_open();
    for (size_t i = 1; i <= SERVERS; i++) {
        rig->agent[i].journal_head = journal_head;
        rig->agent[i].is_slow_to_tell = true;
    }
    rig_all_hello(rig);
    for (size_t i = 1; i <= SERVERS; i++)
        rig_report(rig, &rig->agent[i], 1, 1, 10);
    rig_pass(rig, 1000);
    rig_handle = rig_handle_run;
    rig_ask(rig, "recycle.run");
    rig_pass(rig, 2000);
    EXPECT_INT_EQ(1, rig_acts(rig));
    EXPECT_TEXT_EQ("acting", rollout_step_words(step_now(rig)->state));
    return rig;
}

static void expect_forgotten(struct rig *rig)
{
    rig_pass(rig, 300000);
    EXPECT_INT_EQ(1, rig_acts(rig));
    EXPECT_TEXT_EQ("unknown", rollout_step_words(step_now(rig)->state));
    EXPECT_TEXT_EQ(rollout_reason_words(REASON_FORGOT),
                   rollout_reason_words(step_now(rig)->reason));
    EXPECT_UINT_EQ(1, step_now(rig)->attempt);
    EXPECT_TRUE(step_now(rig)->holds_slot);
}

/* Why (I3): an agent that lost its journal after the act answers REVOKED to what it has done, and a
 * new attempt would recycle it twice. How: its journal stands lower than it has been. */
TEST(controller_loop, a_wiped_journal_makes_what_was_granted_unknown)
{
    CAS_AUTO(rig) rig = rig_acted(5);
    rig_wipe(acting(rig));
    rig_hello(rig, acting(rig), acting(rig)->epoch);
    expect_forgotten(rig);
}

/* How: the controller dies as well, and what the agent says first is REVOKED. */
TEST(controller_loop, a_journal_wiped_while_the_controller_is_down_is_noticed)
{
    CAS_AUTO(rig) rig = rig_acted(5);
    uint8_t cmd_id[CAS_ID_BYTES];
    memcpy(cmd_id, step_now(rig)->cmd_id, CAS_ID_BYTES);
    controller_free(rig->controller);
    rig_start(rig);
    rig_wipe(acting(rig));
    struct message message = {.type = MESSAGE_revoked};
    message.as.revoked.seq = 1;
    memcpy(message.as.revoked.cmd_id, cmd_id, CAS_ID_BYTES);
    rig_put(rig, acting(rig), &message);
    rig_all_hello(rig);
    expect_forgotten(rig);
}

/* How: the journal had never been written, so its position tells nothing; the spool beside it is
 * another one. */
TEST(controller_loop, a_replaced_folder_is_noticed_by_its_spool)
{
    CAS_AUTO(rig) rig = rig_acted(0);
    rig_wipe(acting(rig));
    acting(rig)->spool = 8;
    rig_hello(rig, acting(rig), acting(rig)->epoch);
    expect_forgotten(rig);
}

/* How: the disk is full when the agent comes back, so that it cannot be noted at once. */
TEST(controller_loop, a_wiped_journal_is_noticed_once_the_store_writes_again)
{
    CAS_AUTO(rig) rig = rig_acted(0);
    rig_disk_fill(rig);
    rig_wipe(acting(rig));
    acting(rig)->spool = 8;
    rig_hello(rig, acting(rig), acting(rig)->epoch);
    rig_pass(rig, 30000);
    EXPECT_TRUE(controller_is_stuck(rig->controller));
    EXPECT_TEXT_EQ("acting", rollout_step_words(step_now(rig)->state));
    store_page_limit(controller_store(rig->controller), 0);
    expect_forgotten(rig);
}

/* How: revoked and approved again under a key of its own, before it has said anything. */
TEST(controller_loop, another_key_is_another_journal)
{
    CAS_AUTO(rig) rig = rig_acted(0);
    struct mock_agent *agent = acting(rig);
    rig_handle_server = agent->server_id;
    rig_handle = rig_handle_revoke;
    rig_ask(rig, "agent.revoke");
    rig_handle_key = (struct keys_public){{77}};
    rig_handle = rig_handle_approve;
    rig_ask(rig, "agent.approve");
    EXPECT_TEXT_EQ("", rig->answer_error);
    EXPECT_TEXT_EQ("unknown", rollout_step_words(step_now(rig)->state));
    agent->key = rig_handle_key;
    rig_wipe(agent);
    rig_hello(rig, agent, agent->epoch);
    expect_forgotten(rig);
}

/* Why: what only restarts knows what it did. How: HELLO again and again, the controller as well. */
TEST(controller_loop, a_journal_that_only_grows_loses_nothing)
{
    CAS_AUTO(rig) rig = rig_acted(5);
    struct mock_agent *agent = acting(rig);
    rig_hello(rig, agent, agent->epoch);
    rig_pass(rig, 6000);
    controller_free(rig->controller);
    rig_start(rig);
    rig_hello(rig, agent, agent->epoch);
    rig_pass(rig, 6000);
    EXPECT_TEXT_EQ("acting", rollout_step_words(step_now(rig)->state));
}

/* ---- changes that fail in memory, and answers nobody takes ---- */

static void
handle_torn(struct ask_scene *scene, const struct message_ask *ask, struct ask_reply *reply)
{
    struct rollout_actions actions = {0};
    struct cas_why why = {0};
    (void)ask;
    EXPECT_OK(rollout_pause(scene->book, 1, scene->now, &actions, &why), &why);
    rollout_actions_done(&actions);
    scene->book->is_torn = true;
    reply->exit = ASK_EXIT_ATTENTION;
}

/* Why: a change told as failed must not be half there. How: a handler without memory half-way. */
TEST(controller_loop, a_change_that_fails_in_memory_is_undone)
{
    CAS_AUTO(rig) rig = rig_acted(0);
    rig_handle = handle_torn;
    rig_ask(rig, "recycle.pause");
    EXPECT_INT_EQ(ROLLOUT_RUNNING, rollout_find(controller_book(rig->controller), 1)->state);
}

/* Why (I7): a key that is taken away gets nothing more, its answer's rest included. */
TEST(controller_loop, an_operator_taken_away_gets_no_more_of_an_answer)
{
    CAS_AUTO(rig) rig = rig_open();
    struct cas_why why = {0};
    rig_handle = rig_handle_document;
    rig->operator_err = CAS_ERR_AGAIN;
    rig_ask(rig, "document");
    test_write(rig->operators, "# none\n", 7);
    EXPECT_OK(controller_reload_operators(rig->controller, &why), &why);
    rig->operator_err = CAS_OK;
    rig_pass(rig, 1000);
    EXPECT_FALSE(rig->is_answered);
    EXPECT_UINT_EQ(0, rig->answer_size);
}
