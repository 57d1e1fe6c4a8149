#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/verb_bench.h"

/* ---- at most once ---- */

/* Why: I3. How: the GRANT comes again at once, while acting, after the outcome, after a restart,
 * and after a new OFFER. */
TEST(verb, grant_that_comes_again_acts_once)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    bench_grant(&b);
    bench_expect_result(&b, COMMAND_INTENT, "");
    b.fake.is_stuck = false;
    bench_run_ms(&b, 2000);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_grant(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_offer(&b, b.order.cmd_id);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_crash(&b);
    bench_plan(&b, VERB_recycle, START_WALL_MS + 3600000);
    bench_grant(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: R1; an INTENT that is not on disk before the act is no INTENT. How: the fake server looks
 * into the ledger's file when it is asked to act, by dying there. */
TEST(verb, intent_is_durable_before_the_act_begins)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_crash(&b);
    struct ledger_row row;
    EXPECT_OK(ledger_open_intent(b.ledger, &row), NULL);
    EXPECT_BYTES_EQ(b.order.cmd_id, row.cmd_id, CAS_ID_BYTES);
    EXPECT_UINT_EQ(4120, row.pid_before);
    bench_done(&b);
}

/* Why: R7. How: dead after INTENT; the worker started later than the INTENT, so the act took place.
 */
TEST(verb, restart_sees_a_younger_worker_and_says_done)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    bench_pass_ms(&b, 60000);
    b.fake.pool.worker[0] = (struct host_worker){.pid = 7788, .start_ms = START_WALL_MS + 1};
    bench_crash(&b);
    bench_run_ms(&b, 1);
    bench_expect_result(&b, COMMAND_DONE, "observed after a restart");
    EXPECT_UINT_EQ(7788, bench_last(&b)->result.pid_after);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: a server left drained serves nobody; what the command itself did it undoes, what it found it
 * leaves. How: dead after the drain and the act, once of a command that drained and once of one
 * that found the server drained. */
TEST(verb, restart_undoes_the_commands_own_drain)
{
    for (int was_drained = 0; was_drained < 2; was_drained++) {
        struct bench b;
        bench_init(&b);
        b.order.drain_ms = 1000;
        b.fake.pool.is_drained = was_drained != 0;
        bench_claim(&b);
        bench_grant(&b);
        b.fake.is_unmoved = true;
        for (int i = 0; i < 40 && b.fake.begun[VERB_recycle] == 0; i++) {
            b.fake.pool.is_drained = b.fake.pool.is_drained || b.fake.begun[VERB_drain] > 0;
            bench_run_ms(&b, 500);
        }
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
        EXPECT_UINT_EQ(1 - (unsigned)was_drained, b.fake.begun[VERB_drain]);
        b.fake.pool.worker[0] = (struct host_worker){.pid = 7788, .start_ms = b.now.wall_ms + 1};
        bench_crash(&b);
        b.fake.is_unmoved = false;
        bench_run_ms(&b, 2000);
        bench_expect_result(&b,
                            COMMAND_DONE,
                            was_drained != 0 ? "; still drained" : "; undrained then");
        EXPECT_UINT_EQ(1 - (unsigned)was_drained, b.fake.begun[VERB_undrain]);
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* How: dead while it waits for requests to fall; the old worker still runs, so nothing shows
 * whether anything was recycled. */
TEST(verb, restart_during_the_wait_after_a_drain_undrains_and_says_unknown)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 30000;
    b.fake.pool.has_requests = true;
    b.fake.pool.active_requests = 500;
    bench_claim(&b);
    bench_grant(&b);
    bench_run_ms(&b, 2000);
    EXPECT_TRUE(b.fake.pool.is_drained);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_crash(&b);
    bench_run_ms(&b, 9000);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_undrain]);
    bench_run_ms(&b, 3000);
    bench_expect_result(&b, COMMAND_UNKNOWN, "; undrained then");
    EXPECT_FALSE(b.fake.pool.is_drained);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: a state that cannot be read is not a server in service. How: the act is seen at once, the
 * drain not until the time is up; then it is undone unseen. */
TEST(verb, restart_that_cannot_read_the_drain_undoes_it_all_the_same)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 1000;
    bench_claim(&b);
    bench_grant(&b);
    for (int i = 0; i < 40 && b.fake.begun[VERB_recycle] == 0; i++) {
        b.fake.is_unmoved = b.fake.pool.is_drained;
        bench_run_ms(&b, 500);
    }
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    b.fake.pool.worker[0] = (struct host_worker){.pid = 7788, .start_ms = b.now.wall_ms + 1};
    b.fake.pool.is_drained = false;
    b.fake.pool.is_drain_unknown = true;
    bench_crash(&b);
    bench_run_ms(&b, 9000);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_undrain]);
    bench_run_ms(&b, 3000);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    bench_expect_result(&b, COMMAND_DONE, "; undrained then");
    bench_done(&b);
}

/* Why: an agent that is stopped for an update must not leave its server out of service. */
TEST(verb, stop_during_the_wait_after_a_drain_undrains_and_fails)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 30000;
    b.fake.pool.has_requests = true;
    b.fake.pool.active_requests = 500;
    bench_claim(&b);
    bench_grant(&b);
    bench_run_ms(&b, 2000);
    EXPECT_TRUE(b.fake.pool.is_drained);
    verb_stop(b.desk, b.now);
    verb_stop(b.desk, b.now);
    bench_run_ms(&b, 2000);
    bench_expect_result(&b, COMMAND_FAILED, "told to end during the drain");
    EXPECT_FALSE(b.fake.pool.is_drained);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* How: the same worker as before, then one that is new but started before the INTENT; after 10 s of
 * looking it is unknown, and nothing was begun again. */
TEST(verb, restart_without_evidence_says_unknown_and_never_acts_again)
{
    static const struct host_worker seen[] = {{.pid = 4120, .start_ms = 500000},
                                              {.pid = 5000, .start_ms = START_WALL_MS}};
    for (size_t i = 0; i < CAS_COUNT(seen); i++) {
        struct bench b;
        bench_init(&b);
        bench_claim(&b);
        b.fake.is_stuck = true;
        bench_grant(&b);
        size_t before = b.sent_n;
        b.fake.pool.worker[0] = seen[i];
        bench_crash(&b);
        b.fake.is_stuck = false;
        bench_run_ms(&b, 9000);
        EXPECT_UINT_EQ(before, b.sent_n);
        EXPECT_TRUE(verb_is_acting(b.desk));
        bench_run_ms(&b, 1500);
        bench_expect_result(&b, COMMAND_UNKNOWN, "nothing shows");
        bench_plan(&b, VERB_recycle, START_WALL_MS + 3600000);
        bench_offer(&b, b.order.cmd_id);
        bench_expect_result(&b, COMMAND_UNKNOWN, "nothing shows");
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

TEST(verb, restart_during_drain_or_probe_is_settled_by_what_is_seen)
{
    struct bench b;
    bench_init(&b);
    bench_plan(&b, VERB_drain, START_WALL_MS + 3600000);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    b.fake.pool.is_drained = true;
    bench_crash(&b);
    bench_run_ms(&b, 1);
    bench_expect_result(&b, COMMAND_DONE, "observed");
    bench_done(&b);
}

/* ---- revoke ---- */

/* Why: I10, R13: what was revoked must never be done, also when its GRANT is under way. How: before
 * the OFFER, after the CLAIM, and with the GRANT coming right behind, and after a restart. */
TEST(verb, revoked_before_intent_is_never_done)
{
    for (int is_claimed = 0; is_claimed < 2; is_claimed++) {
        struct bench b;
        bench_init(&b);
        if (is_claimed != 0)
            bench_claim(&b);
        bench_revoke(&b);
        EXPECT_INT_EQ(MESSAGE_revoked, bench_last(&b)->type);
        EXPECT_UINT_EQ(1, bench_last(&b)->seq);
        bench_grant(&b);
        EXPECT_INT_EQ(MESSAGE_revoked, bench_last(&b)->type);
        bench_crash(&b);
        bench_plan(&b, VERB_recycle, START_WALL_MS + 3600000);
        bench_offer(&b, b.order.cmd_id);
        EXPECT_INT_EQ(MESSAGE_revoked, bench_last(&b)->type);
        bench_run_ms(&b, 1); /* and it is repeated */
        EXPECT_INT_EQ(MESSAGE_revoked, bench_last(&b)->type);
        size_t before = b.sent_n;
        bench_ack(&b);
        bench_run_ms(&b, 30000);
        EXPECT_UINT_EQ(before, b.sent_n);
        EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: an abort frees the slot only on REVOKED; once INTENT is written the truth is the outcome. */
TEST(verb, revoke_after_intent_gets_the_result)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.is_stuck = true;
    bench_grant(&b);
    bench_revoke(&b);
    bench_expect_result(&b, COMMAND_INTENT, "");
    b.fake.is_stuck = false;
    bench_run_ms(&b, 2000);
    bench_revoke(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    struct message_revoke stale = {.epoch = 9, .cmd_id = {99}};
    verb_on_revoke(b.desk, &stale, b.now);
    EXPECT_UINT_EQ(NACK_STALE_EPOCH, bench_last(&b)->reason);
    struct ledger_row none;
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(b.ledger, stale.cmd_id, &none));
    bench_done(&b);
}

/* ---- failures ---- */

/* Why: I13; "recycled" is said of a worker that is new. A start that the host works out from the
 * worker's age wobbles, and a worker that could not be seen before is no new one. How: the tool
 * says done and changes nothing but what is read; then the same process id comes with a start after
 * the INTENT, as Windows hands ids out again. */
TEST(verb, worker_that_only_looks_new_is_no_evidence)
{
    static const struct {
        struct host_worker before, after;
        enum command_state state;
    } row[] = {
        {{4120, 500000}, {4120, 500900}, COMMAND_FAILED},
        {{4120, 500000}, {4120, START_WALL_MS}, COMMAND_FAILED},
        {{0, 0}, {4120, 500000}, COMMAND_FAILED},
        {{4120, 500000}, {4120, START_WALL_MS + 1}, COMMAND_DONE},
        {{0, 0}, {4120, START_WALL_MS + 1}, COMMAND_DONE},
        {{4120, 500000}, {4121, 500000}, COMMAND_DONE},
    };
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        struct bench b;
        bench_init(&b);
        b.fake.is_unmoved = true;
        b.fake.pool.worker[0] = row[i].before;
        b.fake.pool.worker_n = row[i].before.pid == 0 ? 0 : 1;
        bench_claim(&b);
        bench_grant(&b);
        b.fake.pool.worker[0] = row[i].after;
        b.fake.pool.worker_n = 1;
        bench_run_ms(&b, ACT_MS + 2000);
        bench_expect_result(&b, row[i].state, "");
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: an outcome that does not fit its message is never told. How: exit codes as Windows gives
 * them and beyond, and requests that are no number. */
TEST(verb, outcome_is_told_whatever_the_host_reads)
{
    static const struct {
        int64_t read, told;
    } row[] = {
        {2147942405, -2147024891}, /* 0x80070005, access denied */
        {UINT32_MAX, -1},
        {INT32_MAX, INT32_MAX},
        {INT64_MAX, INT32_MAX},
        {INT64_MIN, INT32_MIN},
    };
    for (size_t i = 0; i < CAS_COUNT(row); i++) {
        struct bench b;
        bench_init(&b);
        b.fake.pool.active_requests = strtod("nan", NULL);
        b.fake.act.code = row[i].read;
        bench_claim(&b);
        bench_act(&b);
        bench_expect_result(&b, COMMAND_DONE, "recycled");
        EXPECT_INT_EQ(row[i].told, bench_last(&b)->result.code);
        EXPECT_FALSE(bench_last(&b)->result.has_requests_before);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: I13; the tool's word is no proof. */
TEST(verb, same_worker_after_the_tool_said_done_is_a_failure)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.is_unmoved = true;
    bench_grant(&b);
    bench_run_ms(&b, ACT_MS - 1000);
    EXPECT_TRUE(verb_is_acting(b.desk));
    bench_run_ms(&b, 1500);
    bench_expect_result(&b, COMMAND_FAILED, "the worker process is the same");
    EXPECT_UINT_EQ(4120, bench_last(&b)->result.pid_after);
    bench_done(&b);
}

TEST(verb, tool_that_fails_is_a_failure)
{
    struct bench b;
    bench_init(&b);
    bench_claim(&b);
    b.fake.act =
        (struct host_act){.state = HOST_ACT_FAILED, .code = 5, .text = "Access\x01 denied"};
    bench_act(&b);
    bench_expect_result(&b, COMMAND_FAILED, "Access? denied");
    EXPECT_INT_EQ(5, bench_last(&b)->result.code);

    b.order.cmd_id[0]++;
    b.fake.begin_err = CAS_ERR_UNSUPPORTED;
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_FAILED, "appcmd is not there");
    bench_done(&b);
}

static const struct host_act killed_tool = {.state = HOST_ACT_UNKNOWN,
                                            .code = -1,
                                            .text = "appcmd was killed"};

/* Why: a tool that does not answer may have worked, or work yet: that is neither done nor failed.
 * How: its end is never seen, or the host gives up with its own words; a new worker is seen after
 * that, or none. It is looked for 10 s, and nothing is begun again. */
TEST(verb, tool_without_an_answer_is_unknown_unless_a_new_worker_is_seen)
{
    for (int i = 0; i < 4; i++) {
        bool is_told = i % 2 != 0, is_evident = i >= 2;
        struct bench b;
        bench_init(&b);
        bench_claim(&b);
        b.fake.is_stuck = true;
        bench_grant(&b);
        bench_run_ms(&b, ACT_MS - 500);
        b.fake.is_stuck = !is_told;
        b.fake.act = killed_tool;
        size_t before = b.sent_n;
        bench_run_ms(&b, 1500);
        EXPECT_TRUE(verb_is_acting(b.desk));
        if (is_evident)
            b.fake.pool.worker[0] =
                (struct host_worker){.pid = 7788, .start_ms = START_WALL_MS + ACT_MS};
        bench_run_ms(&b, is_evident ? 1000 : 7000);
        EXPECT_UINT_EQ(is_evident ? 1 : 0, b.sent_n - before);
        bench_run_ms(&b, is_evident ? 0 : 3000);
        bench_expect_result(&b,
                            is_evident ? COMMAND_DONE : COMMAND_UNKNOWN,
                            is_evident ? "observed, the tool had not answered"
                                       : "no answer before the deadline and nothing shows");
        EXPECT_TEXT_HAS(is_told ? ": appcmd was killed" : ": its end was not seen",
                        bench_last(&b)->text);
        EXPECT_UINT_EQ(is_evident ? 7788 : 4120, bench_last(&b)->result.pid_after);
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: it is the host's own drain, and a server of which nothing bad is known belongs to its users:
 * the same as after a restart. */
TEST(verb, drain_before_an_act_without_an_answer_is_undone)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 1000;
    b.fake.pool.has_requests = true;
    b.fake.pool.active_requests = 500;
    bench_claim(&b);
    bench_grant(&b);
    while (!b.fake.pool.is_drained)
        bench_run_ms(&b, 100);
    b.fake.act = killed_tool;
    bench_run_ms(&b, 3000);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_undrain]);
    b.fake.is_stuck = true;
    bench_run_ms(&b, 9000);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    b.fake.act = (struct host_act){.state = HOST_ACT_DONE};
    b.fake.is_stuck = false;
    bench_run_ms(&b, 1000);
    bench_expect_result(&b, COMMAND_UNKNOWN, "nothing shows what came of it; undrained then");
    EXPECT_FALSE(b.fake.pool.is_drained);
    bench_done(&b);
}

/* How: the drain that the command is about has no answer, and is seen or not; then the one before a
 * recycle, after which nothing is recycled. */
TEST(verb, drain_without_an_answer_is_settled_by_what_is_seen)
{
    for (int i = 0; i < 3; i++) {
        struct bench b;
        bench_init(&b);
        if (i < 2)
            bench_plan(&b, VERB_drain, START_WALL_MS + 3600000);
        b.order.drain_ms = i == 2 ? 1000 : 0;
        bench_claim(&b);
        b.fake.act = killed_tool;
        bench_grant(&b);
        b.fake.pool.is_drained = i == 1;
        bench_run_ms(&b, 12000);
        bench_expect_result(&b,
                            i == 0   ? COMMAND_UNKNOWN
                            : i == 1 ? COMMAND_DONE
                                     : COMMAND_FAILED,
                            i == 0   ? "nothing shows"
                            : i == 1 ? "observed"
                                     : "nothing was recycled");
        EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: after a failure the server may be sick; bringing users back to it is a person's decision. */
TEST(verb, failure_after_the_drain_leaves_the_server_drained_and_says_so)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 1000;
    bench_claim(&b);
    b.fake.pool.active_requests = 0;
    b.fake.is_stuck = true;
    bench_grant(&b);
    b.fake.is_stuck = false;
    (void)verb_on_tick(b.desk, b.now);
    bench_pass_ms(&b, 500);
    (void)verb_on_tick(
        b.desk,
        b.now); /* drained, the recycle has begun and ended, and so has the undrain */
    bench_expect_result(&b, COMMAND_DONE, "");

    b.order.cmd_id[0]++;
    bench_claim(&b);
    b.fake.is_unmoved = true;
    b.fake.pool.is_drained = false;
    bench_grant(&b);
    bench_run_ms(&b, ACT_MS + 2000);
    bench_expect_result(&b, COMMAND_FAILED, "left drained");
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    bench_done(&b);
}

/* Why: I11; a controller that was replaced stays replaced over a restart and a new connection. How:
 * an order of epoch 11 is taken. */
TEST(verb, epoch_below_an_order_taken_is_never_obeyed_again)
{
    struct bench b;
    bench_init(&b);
    b.order.epoch = 11;
    bench_claim(&b);
    bench_act(&b);
    EXPECT_UINT_EQ(11, ledger_epoch(b.ledger));
    bench_crash(&b);
    verb_epoch_forget(b.desk);
    EXPECT_FALSE(verb_on_epoch(b.desk, 10));
    EXPECT_TRUE(verb_on_epoch(b.desk, 11));
    static const uint8_t other[CAS_ID_BYTES] = {77};
    bench_offer(&b, other); /* of epoch 10 */
    EXPECT_INT_EQ(MESSAGE_nack, bench_last(&b)->type);
    EXPECT_UINT_EQ(NACK_STALE_EPOCH, bench_last(&b)->reason);
    bench_done(&b);
}

/* Why: I11, I12; TICK, OFFER and REVOKE are not signed. Whoever has the controller's CURVE key, and
 * not its command key, must not make an agent deaf to the true one for good. How: the highest epoch
 * the wire takes, in each of the three; then the connection is another one. */
TEST(verb, unsigned_epoch_holds_for_its_connection_only)
{
    static const uint64_t most = UINT64_C(1) << 53;
    struct bench b;
    bench_init(&b);
    struct message_offer offer = {.epoch = most,
                                  .cmd_id = {1},
                                  .verb = VERB_recycle,
                                  .pool = cas_slice_of(POOL)};
    struct message_revoke revoked = {.epoch = most, .cmd_id = {2}};
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            EXPECT_TRUE(verb_on_epoch(b.desk, most));
        if (i == 1)
            verb_on_offer(b.desk, &offer, b.now);
        if (i == 2)
            verb_on_revoke(b.desk, &revoked, b.now);
        EXPECT_UINT_EQ(most, verb_epoch(b.desk));
        EXPECT_FALSE(verb_on_epoch(b.desk, 10));
        EXPECT_UINT_EQ(0, ledger_epoch(b.ledger));
        verb_epoch_forget(b.desk);
        EXPECT_TRUE(verb_on_epoch(b.desk, 10));
        verb_epoch_forget(b.desk);
    }
    EXPECT_UINT_EQ(6, b.told[VERB_NEWS_EPOCH]);
    bench_crash(&b);
    bench_pass_ms(&b, GRANT_LIFE_MS + 1);
    bench_plan(&b, VERB_recycle, START_WALL_MS + 3600000);
    bench_claim(&b);
    bench_act(&b);
    bench_expect_result(&b, COMMAND_DONE, "recycled");
    bench_done(&b);
}

/* Why: an evicted row must not come back to life. How: the floor is raised by more rows than are
 * kept. */
TEST(verb, rollout_at_the_floor_is_refused)
{
    struct bench b;
    bench_init_at(&b, ":memory:");
    for (int i = 0; i <= LEDGER_ROWS; i++) {
        struct ledger_row row = {.cmd_id = {9, (uint8_t)(i >> 8), (uint8_t)i},
                                 .state = COMMAND_REVOKED,
                                 .rollout_seq = i < 10 ? 412 : 500};
        EXPECT_OK(ledger_write(b.ledger, &row, NULL), NULL);
        EXPECT_OK(ledger_acknowledge(b.ledger, row.cmd_id, row.seq, NULL), NULL);
    }
    EXPECT_UINT_EQ(412, ledger_rollout_floor(b.ledger));
    bench_claim(&b);
    bench_grant(&b);
    EXPECT_UINT_EQ(NACK_ROLLOUT_OLD, bench_last(&b)->reason);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}
