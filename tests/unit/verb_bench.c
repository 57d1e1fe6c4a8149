#include "tests/unit/verb_bench.h"

#include <stdio.h>

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

const char bench_allowed[2][POOL_BYTES] = {POOL, "MSExchangeOWAAppPool"};

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

static bool bench_held(void *context, struct cas_why *why)
{
    struct bench *b = context;
    if (b->held != NULL)
        (void)cas_fail(why, CAS_ERR_GUARD, "%s", b->held);
    return b->held != NULL;
}

static void bench_open(struct bench *b)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(ledger_open(b->path, &b->ledger, &why), &why);
    struct verb_settings settings = {.ledger = b->ledger,
                                     .host = &b->fake.host,
                                     .self = b->self,
                                     .command = keys_public_of(b->command),
                                     .allowed = bench_allowed,
                                     .allowed_n = CAS_COUNT(bench_allowed),
                                     .send = bench_send,
                                     .random = bench_random,
                                     .tell = bench_tell,
                                     .held = bench_held,
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
void bench_crash(struct bench *b)
{
    bench_close(b);
    bench_open(b);
}

void bench_done(struct bench *b)
{
    bench_close(b);
    keys_free(b->command);
}

void bench_plan(struct bench *b, enum verb verb, int64_t until_ms)
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
void bench_init_at(struct bench *b, const char *path)
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
    bench_plan(b, VERB_recycle, START_WALL_MS + 3600000);
}

void bench_init(struct bench *b)
{
    bench_init_at(b, test_path("ledger.db"));
}

void bench_pass_ms(struct bench *b, int64_t ms)
{
    b->now.wall_ms += ms;
    b->now.mono_ms += ms;
}

/* Ticks as the loop would, for so long. */
void bench_run_ms(struct bench *b, int64_t ms)
{
    int64_t end_ms = b->now.mono_ms + ms;
    while (b->now.mono_ms < end_ms) {
        int64_t due_ms = verb_on_tick(b->desk, b->now);
        EXPECT_TRUE(due_ms > b->now.mono_ms);
        bench_pass_ms(b, (due_ms < end_ms ? due_ms : end_ms) - b->now.mono_ms);
    }
    (void)verb_on_tick(b->desk, b->now);
}

struct sent *bench_last(struct bench *b)
{
    EXPECT_TRUE(b->sent_n > 0);
    return &b->sent[b->sent_n - 1];
}

void bench_offer(struct bench *b, const uint8_t *cmd_id)
{
    struct message_offer offer = {.epoch = 10, .verb = b->order.verb, .pool = cas_slice_of(POOL)};
    memcpy(offer.cmd_id, cmd_id, CAS_ID_BYTES);
    verb_on_offer(b->desk, &offer, b->now);
}

/* OFFER; the CLAIM's nonce goes into the order. */
void bench_claim(struct bench *b)
{
    bench_offer(b, b->order.cmd_id);
    EXPECT_INT_EQ(MESSAGE_claim, bench_last(b)->type);
    memcpy(b->order.nonce, bench_last(b)->nonce, CAS_ID_BYTES);
}

void bench_grant_by(struct bench *b, const struct keys *keys)
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
void bench_grant(struct bench *b)
{
    bench_grant_by(b, b->command);
    (void)verb_on_tick(b->desk, b->now);
}

/* GRANT, and time for the tool to answer. */
void bench_act(struct bench *b)
{
    bench_grant(b);
    bench_run_ms(b, 2000);
}

void bench_ack(struct bench *b)
{
    struct message_ack ack = {.has_cmd_id = true, .has_seq = true, .seq = bench_last(b)->seq};
    memcpy(ack.cmd_id, bench_last(b)->cmd_id, CAS_ID_BYTES);
    verb_on_ack(b->desk, &ack);
}

void bench_revoke(struct bench *b)
{
    struct message_revoke message = {.epoch = 10};
    memcpy(message.cmd_id, b->order.cmd_id, CAS_ID_BYTES);
    verb_on_revoke(b->desk, &message, b->now);
}

void bench_expect_result(struct bench *b, enum command_state state, const char *text)
{
    EXPECT_INT_EQ(MESSAGE_result, bench_last(b)->type);
    EXPECT_UINT_EQ(state, bench_last(b)->state);
    EXPECT_TEXT_HAS(text, bench_last(b)->text);
}
