#include "agent/verb/verb.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/trust/order.h"
#include "tests/unit/test.h"

#define POOL "MSExchangeSyncAppPool"

enum {
    SENT_MOST = 64,
    ACT_MS = 60000,
    START_WALL_MS = 1000000
};

/* ---- a server that does what a test wants ---- */

struct fake {
    struct host host;
    struct host_pool pool;
    enum cas_err pool_err;
    enum cas_err begin_err;
    struct host_act act;
    uint32_t begun[8]; /* by enum verb */
    enum verb running;
    bool is_stuck;   /* acts never end */
    bool is_unmoved; /* acts end and change nothing */
};

static enum cas_err fake_pool(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_pool *ret_pool,
                              struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    (void)now;
    EXPECT_TEXT_EQ(POOL, pool);
    if (fake->pool_err != CAS_OK)
        return cas_fail(why, fake->pool_err, "the pool hides");
    fake->pool.probe_seq++;
    *ret_pool = fake->pool;
    return CAS_OK;
}

static enum cas_err fake_begin(struct host *host,
                               struct cas_now now,
                               enum verb verb,
                               const char *pool,
                               const uint8_t cmd_id[CAS_ID_BYTES],
                               int64_t deadline_ms,
                               struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    (void)now;
    EXPECT_TEXT_EQ(POOL, pool);
    EXPECT_NOT_NULL(cmd_id);
    EXPECT_TRUE(deadline_ms > 0);
    if (fake->begin_err != CAS_OK)
        return cas_fail(why, fake->begin_err, "appcmd is not there");
    fake->begun[verb]++;
    fake->running = verb;
    return CAS_OK;
}

static enum cas_err
fake_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    (void)why;
    *ret_act = fake->act;
    if (fake->is_stuck)
        ret_act->state = HOST_ACT_RUNNING;
    if (ret_act->state != HOST_ACT_DONE || fake->is_unmoved)
        return CAS_OK;
    if (fake->running == VERB_recycle) {
        fake->pool.worker[0].pid++;
        fake->pool.worker[0].start_ms = now.wall_ms;
    }
    if (fake->running == VERB_drain || fake->running == VERB_undrain)
        fake->pool.is_drained = fake->running == VERB_drain;
    return CAS_OK;
}

static const struct host_ops fake_ops = {.pool = fake_pool, .begin = fake_begin, .poll = fake_poll};

/* ---- the bench: a desk, a ledger, a controller's pen ---- */

struct sent {
    enum message_type type;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint8_t nonce[CAS_ID_BYTES];
    uint64_t reason;
    uint64_t state;
    uint64_t seq;
    struct message_result result;
    char text[320];
};
struct bench {
    struct fake fake;
    const char *path;
    struct ledger *ledger;
    struct verb_desk *desk;
    struct keys *command;
    struct keys_public self;
    struct cas_now now;
    struct sent sent[SENT_MOST];
    size_t sent_n;
    uint8_t dice;
    uint8_t plan_hash[CAS_HASH_BYTES];
    struct record_order order; /* for the next grant */
    unsigned told[VERB_NEWS_STALE + 1];
};

static const char allowed[2][POOL_BYTES] = {POOL, "MSExchangeOWAAppPool"};

static void text_keep(struct sent *sent, struct cas_slice text)
{
    (void)snprintf(sent->text, sizeof sent->text, "%.*s", (int)text.size, text.data);
}

static void bench_send(void *context, const struct message *message)
{
    struct bench *b = context;
    uint8_t frame[4096];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(message_encode(message, frame, sizeof frame, &size, &why), &why);
    EXPECT_TRUE(b->sent_n < SENT_MOST);
    struct sent *sent = &b->sent[b->sent_n++];
    *sent = (struct sent){.type = message->type};
    switch ((int)message->type) {
    case MESSAGE_claim:
        memcpy(sent->cmd_id, message->as.claim.cmd_id, CAS_ID_BYTES);
        memcpy(sent->nonce, message->as.claim.nonce, CAS_ID_BYTES);
        return;
    case MESSAGE_nack:
        memcpy(sent->cmd_id, message->as.nack.cmd_id, CAS_ID_BYTES);
        sent->reason = message->as.nack.reason;
        if (message->as.nack.has_text)
            text_keep(sent, message->as.nack.text);
        return;
    case MESSAGE_result:
        memcpy(sent->cmd_id, message->as.result.cmd_id, CAS_ID_BYTES);
        sent->state = message->as.result.state;
        sent->seq = message->as.result.seq;
        sent->result = message->as.result;
        if (message->as.result.has_text)
            text_keep(sent, message->as.result.text);
        return;
    case MESSAGE_revoked:
        memcpy(sent->cmd_id, message->as.revoked.cmd_id, CAS_ID_BYTES);
        sent->state = COMMAND_REVOKED;
        sent->seq = message->as.revoked.seq;
        return;
    default:
        test_fail(TEST_PLACE("bench_send"), "a %s is sent", message_name(message->type));
    }
}

static void bench_random(void *context, uint8_t *ret_bytes, size_t size)
{
    struct bench *b = context;
    memset(ret_bytes, ++b->dice, size);
}

static void bench_tell(void *context, const struct verb_told *told)
{
    struct bench *b = context;
    b->told[told->news]++;
}

static void bench_open(struct bench *b)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(ledger_open(b->path, &b->ledger, &why), &why);
    struct verb_settings settings = {.ledger = b->ledger,
                                     .host = &b->fake.host,
                                     .self = b->self,
                                     .command = keys_public_of(b->command),
                                     .allowed = allowed,
                                     .allowed_n = CAS_COUNT(allowed),
                                     .send = bench_send,
                                     .random = bench_random,
                                     .tell = bench_tell,
                                     .context = b};
    EXPECT_OK(verb_desk_open(&settings, b->now, &b->desk, &why), &why);
}

static void bench_close(struct bench *b)
{
    verb_desk_free(b->desk);
    ledger_free(b->ledger);
    b->desk = NULL;
    b->ledger = NULL;
}

/* The agent dies here and comes back: nothing is written at the end, all in memory is gone. */
static void bench_crash(struct bench *b)
{
    bench_close(b);
    bench_open(b);
}

static void bench_done(struct bench *b)
{
    bench_close(b);
    keys_free(b->command);
}

static void plan_give(struct bench *b, enum verb verb, int64_t until_ms)
{
    struct record_plan_body plan = {.rollout_seq = 412,
                                    .verb = (uint64_t)verb,
                                    .pool = cas_slice_of(POOL),
                                    .start_ms = START_WALL_MS - 1000,
                                    .until_ms = until_ms,
                                    .at_once = 1,
                                    .drain_ms = 30000,
                                    .act_ms = ACT_MS,
                                    .proof_ms = 300000,
                                    .healthy_n = 3,
                                    .stop_after = 1,
                                    .by = cas_slice_of("anna"),
                                    .steps = cas_slice_of("LON-CAS01")};
    uint8_t bytes[1024];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(record_encode(RECORD_plan_body, &plan, bytes, sizeof bytes, &size, &why), &why);
    struct message_plan message = {.bytes = {(const char *)bytes, size}};
    sign_plan_hash(message.bytes, b->plan_hash);
    memcpy(b->order.plan_hash, b->plan_hash, CAS_HASH_BYTES);
    b->order.verb = (uint64_t)verb;
    verb_on_plan(b->desk, &message);
}

/* A server with one worker, a plan for it, and an order that would be taken. */
static void bench_init_at(struct bench *b, const char *path)
{
    static const uint8_t seed[CAS_KEY_BYTES] = {7};
    *b = (struct bench){.fake = {.host = {.ops = &fake_ops}},
                        .path = path,
                        .self = {.byte = {1, 2, 3}},
                        .now = {.wall_ms = START_WALL_MS, .mono_ms = 5000}};
    b->fake.pool = (struct host_pool){.health = HEALTH_GOOD,
                                      .worker_n = 1,
                                      .worker = {{.pid = 4120, .start_ms = 500000}},
                                      .has_requests = true,
                                      .active_requests = 900};
    b->fake.act.state = HOST_ACT_DONE;
    EXPECT_OK(keys_start(NULL), NULL);
    EXPECT_OK(keys_make_from(KEYS_SIGN, seed, &b->command), NULL);
    bench_open(b);
    b->order = (struct record_order){.cmd_id = {42},
                                     .pool = cas_slice_of(POOL),
                                     .act_ms = ACT_MS,
                                     .epoch = 10,
                                     .rollout_seq = 412,
                                     .issued_wall_ms = START_WALL_MS};
    memcpy(b->order.audience, b->self.byte, CAS_KEY_BYTES);
    plan_give(b, VERB_recycle, START_WALL_MS + 3600000);
}

static void bench_init(struct bench *b)
{
    bench_init_at(b, test_path("ledger.db"));
}

static void pass_ms(struct bench *b, int64_t ms)
{
    b->now.wall_ms += ms;
    b->now.mono_ms += ms;
}

/* Ticks as the loop would, for so long. */
static void run_ms(struct bench *b, int64_t ms)
{
    int64_t end_ms = b->now.mono_ms + ms;
    while (b->now.mono_ms < end_ms) {
        int64_t due_ms = verb_on_tick(b->desk, b->now);
        EXPECT_TRUE(due_ms > b->now.mono_ms);
        pass_ms(b, (due_ms < end_ms ? due_ms : end_ms) - b->now.mono_ms);
    }
    (void)verb_on_tick(b->desk, b->now);
}

static struct sent *last(struct bench *b)
{
    EXPECT_TRUE(b->sent_n > 0);
    return &b->sent[b->sent_n - 1];
}

static void offer_id(struct bench *b, const uint8_t *cmd_id)
{
    struct message_offer offer = {.epoch = 10, .verb = b->order.verb, .pool = cas_slice_of(POOL)};
    memcpy(offer.cmd_id, cmd_id, CAS_ID_BYTES);
    verb_on_offer(b->desk, &offer, b->now);
}

/* OFFER; the CLAIM's nonce goes into the order. */
static void claim(struct bench *b)
{
    offer_id(b, b->order.cmd_id);
    EXPECT_INT_EQ(MESSAGE_claim, last(b)->type);
    memcpy(b->order.nonce, last(b)->nonce, CAS_ID_BYTES);
}

static void grant_by(struct bench *b, const struct keys *keys)
{
    uint8_t frame[2048];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(order_seal(&b->order, keys, frame, sizeof frame, &size, &why), &why);
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    struct message message;
    EXPECT_OK(message_decode((struct cas_slice){(const char *)frame, size}, arena, &message, &why),
              &why);
    verb_on_grant(b->desk, &message.as.grant, b->now);
}

/* GRANT, and the tick by which the loop follows every frame. */
static void grant(struct bench *b)
{
    grant_by(b, b->command);
    (void)verb_on_tick(b->desk, b->now);
}

/* GRANT, and time for the tool to answer. */
static void act(struct bench *b)
{
    grant(b);
    run_ms(b, 2000);
}

static void ack_last(struct bench *b)
{
    struct message_ack ack = {.has_cmd_id = true, .has_seq = true, .seq = last(b)->seq};
    memcpy(ack.cmd_id, last(b)->cmd_id, CAS_ID_BYTES);
    verb_on_ack(b->desk, &ack);
}

static void revoke(struct bench *b)
{
    struct message_revoke message = {.epoch = 10};
    memcpy(message.cmd_id, b->order.cmd_id, CAS_ID_BYTES);
    verb_on_revoke(b->desk, &message, b->now);
}

static void expect_result(struct bench *b, enum command_state state, const char *text)
{
    EXPECT_INT_EQ(MESSAGE_result, last(b)->type);
    EXPECT_UINT_EQ(state, last(b)->state);
    EXPECT_TEXT_HAS(text, last(b)->text);
}

/* ---- the good way ---- */

/* Why: this is the main job. How: the tool takes 3 s; evidence is the other worker. */
TEST(verb, granted_recycle_is_done_with_evidence)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    b.fake.act.state = HOST_ACT_RUNNING;
    grant(&b);
    EXPECT_TRUE(verb_is_acting(b.desk));
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_drain]);
    run_ms(&b, 3000);
    EXPECT_TRUE(verb_is_acting(b.desk));
    b.fake.act.state = HOST_ACT_DONE;
    run_ms(&b, 1000);
    EXPECT_FALSE(verb_is_acting(b.desk));
    expect_result(&b, COMMAND_DONE, "recycled");
    struct message_result *result = &last(&b)->result;
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
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "");
    size_t before = b.sent_n;
    run_ms(&b, RESEND_MS - 2000);
    EXPECT_UINT_EQ(before, b.sent_n);
    run_ms(&b, 2000);
    EXPECT_UINT_EQ(before + 1, b.sent_n);
    bench_crash(&b);
    run_ms(&b, 1);
    EXPECT_UINT_EQ(before + 2, b.sent_n);
    expect_result(&b, COMMAND_DONE, "recycled");
    ack_last(&b);
    run_ms(&b, 60000);
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
    claim(&b);
    grant(&b);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
    for (int i = 0; i < 4; i++) {
        b.fake.pool.active_requests -= 200;
        run_ms(&b, 1000);
    }
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    EXPECT_TRUE(b.fake.pool.is_drained);
    run_ms(&b, 9000);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    run_ms(&b, 2000);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    EXPECT_FALSE(b.fake.pool.is_drained);
    expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_NEAR(900, last(&b)->result.requests_before, 0);
    EXPECT_NEAR(100, last(&b)->result.requests_drained, 0);
    EXPECT_TRUE(last(&b)->result.has_drained_ms);
    bench_done(&b);
}

/* How: requests fall for ever, by one a second; a drain of 30 s must end after 30 s. */
TEST(verb, drain_ends_at_its_deadline)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 30000;
    claim(&b);
    grant(&b);
    for (int i = 0; i < 29; i++) {
        b.fake.pool.active_requests -= 1;
        run_ms(&b, 1000);
    }
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    run_ms(&b, 1500);
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
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_drain]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_undrain]);
    EXPECT_TRUE(b.fake.pool.is_drained);
    bench_done(&b);
}

TEST(verb, drain_undrain_and_probe_are_commands_too)
{
    struct bench b;
    bench_init(&b);
    plan_give(&b, VERB_drain, START_WALL_MS + 3600000);
    b.fake.pool.active_requests = 0;
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "drained");
    EXPECT_TRUE(b.fake.pool.is_drained);
    ack_last(&b);

    plan_give(&b, VERB_undrain, START_WALL_MS + 3600000);
    b.order.cmd_id[0]++;
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "undrained");
    EXPECT_FALSE(b.fake.pool.is_drained);

    plan_give(&b, VERB_probe, START_WALL_MS + 3600000);
    b.order.cmd_id[0]++;
    b.fake.pool.health = HEALTH_BAD;
    (void)snprintf(b.fake.pool.reason, sizeof b.fake.pool.reason, "HTTP 503");
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "not healthy: HTTP 503");
    EXPECT_INT_EQ(HEALTH_BAD, last(&b)->result.code);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_undrain]);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* ---- refusals ---- */

static void expect_refused(struct bench *b, enum nack_reason reason, const char *text)
{
    EXPECT_INT_EQ(MESSAGE_nack, last(b)->type);
    EXPECT_UINT_EQ(reason, last(b)->reason);
    EXPECT_TEXT_HAS(text, last(b)->text);
    EXPECT_UINT_EQ(0, b->fake.begun[VERB_recycle]);
    EXPECT_FALSE(verb_is_acting(b->desk));
    EXPECT_UINT_EQ(0, ledger_head(b->ledger));
}

/* Why: each of these alone must be enough to refuse. How: from the order that would be taken, one
 * thing is changed at a time; at the end the unchanged one is taken, so that none of the refusals
 * was for another reason. */
TEST(verb, grant_with_one_thing_wrong_is_refused)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    struct record_order good = b.order;
    static const uint8_t other_seed[CAS_KEY_BYTES] = {8};
    CAS_AUTO(keys) other = NULL;
    EXPECT_OK(keys_make_from(KEYS_SIGN, other_seed, &other), NULL);

    b.order.epoch = 99;
    grant_by(&b, other);
    expect_refused(&b, NACK_BAD_SIGNATURE, "command key");
    EXPECT_UINT_EQ(10, verb_epoch(b.desk)); /* the OFFER's: a wrong signature adds nothing */
    EXPECT_UINT_EQ(0, ledger_epoch(b.ledger));
    b.order = good;

    b.order.audience[31] ^= 1;
    grant(&b);
    expect_refused(&b, NACK_NOT_MINE, "another agent");
    b.order = good;

    b.order.nonce[0] ^= 1;
    grant(&b);
    expect_refused(&b, NACK_NONCE, "not the last one");
    b.order = good;

    b.order.cmd_id[0] ^= 1;
    grant(&b);
    expect_refused(&b, NACK_NONCE, "not the last one");
    b.order = good;

    b.order.epoch = 9;
    grant(&b);
    expect_refused(&b, NACK_STALE_EPOCH, "9 is below 10");
    b.order = good;

    b.order.keyset_ver = 1;
    grant(&b);
    expect_refused(&b, NACK_BAD_SIGNATURE, "keyset 1");
    b.order = good;

    b.order.verb = 77;
    grant(&b);
    expect_refused(&b, NACK_UNKNOWN_VERB, "verb");
    b.order = good;

    b.order.plan_hash[0] ^= 1;
    grant(&b);
    expect_refused(&b, NACK_NO_PLAN, "plan");
    b.order = good;

    b.order.verb = VERB_drain;
    grant(&b);
    expect_refused(&b, NACK_NOT_MINE, "plan says");
    b.order = good;

    b.order.pool = cas_slice_of(allowed[1]);
    grant(&b);
    expect_refused(&b, NACK_NOT_MINE, "plan says");
    b.order = good;

    b.order.rollout_seq = 413;
    grant(&b);
    expect_refused(&b, NACK_NOT_MINE, "plan says");
    b.order = good;

    b.order.act_ms = ACT_MS + 1;
    grant(&b);
    expect_refused(&b, NACK_NOT_MINE, "plan says");
    b.order = good;

    b.order.has_not_after_wall_ms = true;
    b.order.not_after_wall_ms = START_WALL_MS - 1;
    grant(&b);
    expect_refused(&b, NACK_WINDOW, "closed");
    b.order = good;

    b.fake.pool_err = CAS_ERR_IO;
    grant(&b);
    expect_refused(&b, NACK_BUSY, "the pool hides");
    b.fake.pool_err = CAS_OK;

    act(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
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
        plan_give(&b, VERB_recycle, INT64_C(1) << 50);
        claim(&b);
        b.now.wall_ms += row[i].wall_ms;
        b.now.mono_ms += row[i].mono_ms;
        grant(&b);
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
        claim(&b);
        grant_by(&b, b.command);
        EXPECT_TRUE(verb_is_acting(b.desk));
        EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
        b.now.wall_ms += row[i].wall_ms;
        b.now.mono_ms += row[i].mono_ms;
        run_ms(&b, 2000);
        EXPECT_UINT_EQ(row[i].is_done ? 1 : 0, b.fake.begun[VERB_recycle]);
        expect_result(&b,
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
        plan_give(&b, VERB_recycle, INT64_C(1) << 50);
        b.order.drain_ms = 30000;
        claim(&b);
        grant(&b);
        run_ms(&b, 1000);
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_drain]);
        b.now.wall_ms += jump[i].wall_ms;
        b.now.mono_ms += jump[i].mono_ms;
        run_ms(&b, 40000);
        expect_result(&b, COMMAND_FAILED, "took too long by one of the two clocks; undrained");
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
    plan_give(&b, VERB_recycle, START_WALL_MS - 1);
    claim(&b);
    grant(&b);
    expect_refused(&b, NACK_WINDOW, "has closed");
    b.now.wall_ms = START_WALL_MS - 1000 - CLOCK_SKEW_MS - 1;
    plan_give(&b, VERB_recycle, START_WALL_MS);
    b.order.cmd_id[0]++;
    claim(&b);
    grant(&b);
    expect_refused(&b, NACK_WINDOW, "not opened");
    b.now.wall_ms++;
    act(&b);
    expect_result(&b, COMMAND_DONE, "");
    bench_done(&b);
}

/* Why: an act that comes after its window, because the drain took long, is an act outside its
 * window. How: the window closes during the drain; then the server is put back and the command has
 * failed. */
TEST(verb, window_that_closes_during_the_drain_stops_the_recycle)
{
    struct bench b;
    bench_init(&b);
    plan_give(&b, VERB_recycle, START_WALL_MS + 1000);
    b.order.drain_ms = 30000;
    claim(&b);
    grant(&b);
    for (int i = 0; i < 31; i++) {
        b.fake.pool.active_requests -= 1;
        run_ms(&b, 1000);
    }
    expect_result(&b, COMMAND_FAILED, "the window closed during the drain");
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
    claim(&b);
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
    grant(&b);
    expect_refused(&b, NACK_POOL_NOT_ALLOWED, "allow-list");
    bench_done(&b);
}

/* Why: two acts at once on one server would each spoil the other's evidence. */
TEST(verb, one_command_at_a_time)
{
    struct bench b;
    bench_init(&b);
    static const uint8_t other[CAS_ID_BYTES] = {77};
    claim(&b);
    offer_id(&b, other);
    expect_refused(&b, NACK_BUSY, "in hand");
    pass_ms(&b, GRANT_LIFE_MS + 1);
    offer_id(&b, other); /* the claim has run out: its controller may be gone */
    EXPECT_INT_EQ(MESSAGE_claim, last(&b)->type);
    pass_ms(&b, GRANT_LIFE_MS + 1);
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
    offer_id(&b, other);
    EXPECT_UINT_EQ(NACK_BUSY, last(&b)->reason);
    bench_done(&b);
}

/* Why: the OFFER is repeated every 5 s; a duplicate must not make the GRANT under way worthless. */
TEST(verb, offer_that_comes_twice_gets_the_same_claim)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    uint8_t first[CAS_ID_BYTES];
    memcpy(first, last(&b)->nonce, CAS_ID_BYTES);
    pass_ms(&b, RESEND_MS - 1);
    claim(&b);
    EXPECT_BYTES_EQ(first, last(&b)->nonce, CAS_ID_BYTES);
    pass_ms(&b, 1);
    claim(&b);
    EXPECT_TRUE(memcmp(first, last(&b)->nonce, CAS_ID_BYTES) != 0);
    bench_done(&b);
}

/* ---- at most once ---- */

/* Why: I3. How: the GRANT comes again at once, while acting, after the outcome, after a restart,
 * and after a new OFFER. */
TEST(verb, grant_that_comes_again_acts_once)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
    grant(&b);
    expect_result(&b, COMMAND_INTENT, "");
    b.fake.is_stuck = false;
    run_ms(&b, 2000);
    expect_result(&b, COMMAND_DONE, "recycled");
    grant(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
    offer_id(&b, b.order.cmd_id);
    expect_result(&b, COMMAND_DONE, "recycled");
    bench_crash(&b);
    plan_give(&b, VERB_recycle, START_WALL_MS + 3600000);
    grant(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}

/* Why: R1; an INTENT that is not on disk before the act is no INTENT. How: the fake server looks
 * into the ledger's file when it is asked to act, by dying there. */
TEST(verb, intent_is_durable_before_the_act_begins)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
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
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
    pass_ms(&b, 60000);
    b.fake.pool.worker[0] = (struct host_worker){.pid = 7788, .start_ms = START_WALL_MS + 1};
    bench_crash(&b);
    run_ms(&b, 1);
    expect_result(&b, COMMAND_DONE, "observed after a restart");
    EXPECT_UINT_EQ(7788, last(&b)->result.pid_after);
    EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
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
        claim(&b);
        b.fake.is_stuck = true;
        grant(&b);
        size_t before = b.sent_n;
        b.fake.pool.worker[0] = seen[i];
        bench_crash(&b);
        b.fake.is_stuck = false;
        run_ms(&b, 9000);
        EXPECT_UINT_EQ(before, b.sent_n);
        EXPECT_TRUE(verb_is_acting(b.desk));
        run_ms(&b, 1500);
        expect_result(&b, COMMAND_UNKNOWN, "nothing shows");
        plan_give(&b, VERB_recycle, START_WALL_MS + 3600000);
        offer_id(&b, b.order.cmd_id);
        expect_result(&b, COMMAND_UNKNOWN, "nothing shows");
        EXPECT_UINT_EQ(1, b.fake.begun[VERB_recycle]);
        bench_done(&b);
        (void)remove(b.path);
    }
}

TEST(verb, restart_during_drain_or_probe_is_settled_by_what_is_seen)
{
    struct bench b;
    bench_init(&b);
    plan_give(&b, VERB_drain, START_WALL_MS + 3600000);
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
    b.fake.pool.is_drained = true;
    bench_crash(&b);
    run_ms(&b, 1);
    expect_result(&b, COMMAND_DONE, "observed");
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
            claim(&b);
        revoke(&b);
        EXPECT_INT_EQ(MESSAGE_revoked, last(&b)->type);
        EXPECT_UINT_EQ(1, last(&b)->seq);
        grant(&b);
        EXPECT_INT_EQ(MESSAGE_revoked, last(&b)->type);
        bench_crash(&b);
        plan_give(&b, VERB_recycle, START_WALL_MS + 3600000);
        offer_id(&b, b.order.cmd_id);
        EXPECT_INT_EQ(MESSAGE_revoked, last(&b)->type);
        run_ms(&b, 1); /* and it is repeated */
        EXPECT_INT_EQ(MESSAGE_revoked, last(&b)->type);
        size_t before = b.sent_n;
        ack_last(&b);
        run_ms(&b, 30000);
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
    claim(&b);
    b.fake.is_stuck = true;
    grant(&b);
    revoke(&b);
    expect_result(&b, COMMAND_INTENT, "");
    b.fake.is_stuck = false;
    run_ms(&b, 2000);
    revoke(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
    struct message_revoke stale = {.epoch = 9, .cmd_id = {99}};
    verb_on_revoke(b.desk, &stale, b.now);
    EXPECT_UINT_EQ(NACK_STALE_EPOCH, last(&b)->reason);
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
        claim(&b);
        grant(&b);
        b.fake.pool.worker[0] = row[i].after;
        b.fake.pool.worker_n = 1;
        run_ms(&b, ACT_MS + 2000);
        expect_result(&b, row[i].state, "");
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
        claim(&b);
        act(&b);
        expect_result(&b, COMMAND_DONE, "recycled");
        EXPECT_INT_EQ(row[i].told, last(&b)->result.code);
        EXPECT_FALSE(last(&b)->result.has_requests_before);
        bench_done(&b);
        (void)remove(b.path);
    }
}

/* Why: I13; the tool's word is no proof. */
TEST(verb, same_worker_after_the_tool_said_done_is_a_failure)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    b.fake.is_unmoved = true;
    grant(&b);
    run_ms(&b, ACT_MS - 1000);
    EXPECT_TRUE(verb_is_acting(b.desk));
    run_ms(&b, 1500);
    expect_result(&b, COMMAND_FAILED, "the worker process is the same");
    EXPECT_UINT_EQ(4120, last(&b)->result.pid_after);
    bench_done(&b);
}

TEST(verb, tool_that_fails_or_hangs_is_a_failure)
{
    struct bench b;
    bench_init(&b);
    claim(&b);
    b.fake.act =
        (struct host_act){.state = HOST_ACT_FAILED, .code = 5, .text = "Access\x01 denied"};
    act(&b);
    expect_result(&b, COMMAND_FAILED, "Access? denied");
    EXPECT_INT_EQ(5, last(&b)->result.code);

    b.order.cmd_id[0]++;
    b.fake.act = (struct host_act){.state = HOST_ACT_DONE};
    b.fake.is_stuck = true;
    claim(&b);
    grant(&b);
    run_ms(&b, ACT_MS - 1000);
    EXPECT_TRUE(verb_is_acting(b.desk));
    run_ms(&b, 1500);
    expect_result(&b, COMMAND_FAILED, "no answer before the deadline");

    b.order.cmd_id[0]++;
    b.fake.begin_err = CAS_ERR_UNSUPPORTED;
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_FAILED, "appcmd is not there");
    bench_done(&b);
}

/* Why: after a failure the server may be sick; bringing users back to it is a person's decision. */
TEST(verb, failure_after_the_drain_leaves_the_server_drained_and_says_so)
{
    struct bench b;
    bench_init(&b);
    b.order.drain_ms = 1000;
    claim(&b);
    b.fake.pool.active_requests = 0;
    b.fake.is_stuck = true;
    grant(&b);
    b.fake.is_stuck = false;
    (void)verb_on_tick(b.desk, b.now);
    pass_ms(&b, 500);
    (void)verb_on_tick(
        b.desk,
        b.now); /* drained, the recycle has begun and ended, and so has the undrain */
    expect_result(&b, COMMAND_DONE, "");

    b.order.cmd_id[0]++;
    claim(&b);
    b.fake.is_unmoved = true;
    b.fake.pool.is_drained = false;
    grant(&b);
    run_ms(&b, ACT_MS + 2000);
    expect_result(&b, COMMAND_FAILED, "left drained");
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
    claim(&b);
    act(&b);
    EXPECT_UINT_EQ(11, ledger_epoch(b.ledger));
    bench_crash(&b);
    verb_epoch_forget(b.desk);
    EXPECT_FALSE(verb_on_epoch(b.desk, 10));
    EXPECT_TRUE(verb_on_epoch(b.desk, 11));
    static const uint8_t other[CAS_ID_BYTES] = {77};
    offer_id(&b, other); /* of epoch 10 */
    EXPECT_INT_EQ(MESSAGE_nack, last(&b)->type);
    EXPECT_UINT_EQ(NACK_STALE_EPOCH, last(&b)->reason);
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
    pass_ms(&b, GRANT_LIFE_MS + 1);
    plan_give(&b, VERB_recycle, START_WALL_MS + 3600000);
    claim(&b);
    act(&b);
    expect_result(&b, COMMAND_DONE, "recycled");
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
    claim(&b);
    grant(&b);
    EXPECT_UINT_EQ(NACK_ROLLOUT_OLD, last(&b)->reason);
    EXPECT_UINT_EQ(0, b.fake.begun[VERB_recycle]);
    bench_done(&b);
}
