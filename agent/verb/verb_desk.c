#include "agent/verb/verb_desk.h"

#include <stdlib.h>
#include <string.h>

#include "proto/trust/order.h"

enum {
    RESEND_ROWS = 8
};

static bool id_same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, CAS_ID_BYTES) == 0;
}

void verb_news_tell(struct verb_desk *desk,
                    enum verb_news news,
                    const struct ledger_row *row,
                    const char *text)
{
    struct verb_told told = {.news = news, .text = text};
    if (row != NULL) {
        told.cmd_id = row->cmd_id;
        told.verb = row->verb;
    }
    desk->settings.tell(desk->settings.context, &told);
}

void verb_nack(struct verb_desk *desk,
               enum nack_reason reason,
               const uint8_t *cmd_id,
               const char *text)
{
    struct message message = {.type = MESSAGE_nack};
    struct message_nack *nack = &message.as.nack;
    nack->reason = reason;
    nack->has_cmd_id = cmd_id != NULL;
    if (cmd_id != NULL)
        memcpy(nack->cmd_id, cmd_id, CAS_ID_BYTES);
    nack->has_text = text != NULL && text[0] != '\0';
    if (nack->has_text)
        nack->text = cas_slice_of(text);
    nack->has_epoch_max = true;
    nack->epoch_max = verb_epoch(desk);
    desk->settings.send(desk->settings.context, &message);
}

static void result_send(struct verb_desk *desk, const struct ledger_row *row)
{
    struct message message = {.type = MESSAGE_result};
    struct message_result *result = &message.as.result;
    memcpy(result->cmd_id, row->cmd_id, CAS_ID_BYTES);
    result->state = row->state;
    result->seq = row->seq;
    result->code = row->code;
    result->has_text = row->text[0] != '\0';
    result->text = cas_slice_of(row->text);
    result->pid_before = row->pid_before;
    result->start_before_ms = row->start_before_ms;
    result->pid_after = row->pid_after;
    result->start_after_ms = row->start_after_ms;
    result->intent_ms = row->intent_ms;
    result->has_drained_ms = row->drained_ms != 0;
    result->drained_ms = row->drained_ms;
    result->has_acted_ms = row->acted_ms != 0;
    result->acted_ms = row->acted_ms;
    result->has_done_ms = row->done_ms != 0;
    result->done_ms = row->done_ms;
    result->has_requests_before = row->has_requests;
    result->requests_before = row->requests_before;
    result->has_requests_drained = row->has_requests;
    result->requests_drained = row->requests_drained;
    desk->settings.send(desk->settings.context, &message);
}

/* What the journal says of a command: RESULT, or REVOKED. */
void verb_answer(struct verb_desk *desk, const struct ledger_row *row)
{
    if (row->state != COMMAND_REVOKED) {
        result_send(desk, row);
        return;
    }
    struct message message = {.type = MESSAGE_revoked};
    memcpy(message.as.revoked.cmd_id, row->cmd_id, CAS_ID_BYTES);
    message.as.revoked.seq = row->seq;
    desk->settings.send(desk->settings.context, &message);
}

enum cas_err verb_desk_open(const struct verb_settings *settings,
                            struct cas_now now,
                            struct verb_desk **ret_desk,
                            struct cas_why *why)
{
    CAS_AUTO(verb_desk) desk = calloc(1, sizeof *desk);
    if (desk == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the command desk");
    desk->settings = *settings;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &desk->arena);
    if (err != CAS_OK)
        return cas_fail(why, err, "no memory for the command desk");
    struct ledger_row row;
    err = ledger_open_intent(settings->ledger, &row);
    if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
        return cas_fail(why, err, "the ledger cannot be read");
    if (err == CAS_OK)
        verb_recover(desk, &row, now);
    desk->has_unacknowledged = true;
    *ret_desk = CAS_TAKE(desk);
    return CAS_OK;
}

void verb_desk_free(struct verb_desk *desk)
{
    if (desk == NULL)
        return;
    cas_arena_free(desk->arena);
    free(desk);
}

void verb_on_plan(struct verb_desk *desk, const struct message_plan *plan)
{
    struct verb_plan kept = {.is_kept = true};
    sign_plan_hash(plan->bytes, kept.hash);
    for (size_t i = 0; i < VERB_PLANS; i++) {
        if (desk->plan[i].is_kept && memcmp(desk->plan[i].hash, kept.hash, CAS_HASH_BYTES) == 0)
            return;
    }
    struct record_plan_body body;
    cas_arena_clear(desk->arena);
    if (record_decode(RECORD_plan_body, plan->bytes, desk->arena, &body, NULL) != CAS_OK ||
        cas_slice_copy(body.pool, kept.pool, sizeof kept.pool) != CAS_OK)
        return;
    kept.rollout_seq = body.rollout_seq;
    kept.verb = body.verb;
    kept.start_ms = body.start_ms;
    kept.until_ms = body.until_ms;
    kept.drain_ms = body.drain_ms;
    kept.act_ms = body.act_ms;
    desk->plan[desk->plan_next] = kept;
    desk->plan_next = (desk->plan_next + 1) % VERB_PLANS;
}

bool verb_on_epoch(struct verb_desk *desk, uint64_t epoch)
{
    uint64_t obeyed = verb_epoch(desk);
    if (epoch < obeyed) {
        verb_news_tell(desk, VERB_NEWS_STALE, NULL, "of a controller that has been replaced");
        return false;
    }
    desk->heard_epoch = epoch;
    if (epoch > obeyed)
        verb_news_tell(desk, VERB_NEWS_EPOCH, NULL, "of the controller");
    return true;
}

uint64_t verb_epoch(const struct verb_desk *desk)
{
    uint64_t durable = ledger_epoch(desk->settings.ledger);
    return desk->heard_epoch > durable ? desk->heard_epoch : durable;
}

void verb_epoch_forget(struct verb_desk *desk)
{
    desk->heard_epoch = 0;
}

static bool pool_is_allowed(const struct verb_desk *desk, struct cas_slice pool)
{
    for (size_t i = 0; i < desk->settings.allowed_n; i++) {
        if (cas_slice_is(pool, desk->settings.allowed[i]))
            return true;
    }
    return false;
}

/* Asked anew each time: who has just said no is not told that it was too late. */
static bool is_vetoed(const struct verb_desk *desk, struct cas_why *why)
{
    return desk->settings.held != NULL && desk->settings.held(desk->settings.context, why);
}

bool verb_is_within(struct cas_now since, struct cas_now now, int64_t limit_ms)
{
    int64_t mono_ms = now.mono_ms - since.mono_ms;
    int64_t wall_ms = now.wall_ms - since.wall_ms;
    return mono_ms >= 0 && mono_ms <= limit_ms && wall_ms >= 0 && wall_ms <= limit_ms;
}

void verb_on_offer(struct verb_desk *desk, const struct message_offer *offer, struct cas_now now)
{
    if (!verb_on_epoch(desk, offer->epoch)) {
        verb_nack(desk,
                  NACK_STALE_EPOCH,
                  offer->cmd_id,
                  "the offer's epoch is below the highest obeyed");
        return;
    }
    struct ledger_row row;
    enum cas_err err = ledger_find(desk->settings.ledger, offer->cmd_id, &row);
#ifdef CASFLEET_MUTANT_I3
    err = CAS_ERR_NOT_FOUND;
#endif
    if (err == CAS_OK) {
        verb_answer(desk, &row);
        return;
    }
    struct verb_claim *claim = &desk->claim;
    struct cas_why veto = {.text = ""};
    bool is_held = claim->is_given && verb_is_within(claim->at, now, GRANT_LIFE_MS);
    bool is_same = is_held && id_same(claim->cmd_id, offer->cmd_id);
    if (err != CAS_ERR_NOT_FOUND) {
        verb_nack(desk, NACK_JOURNAL, offer->cmd_id, "the journal cannot be read");
    } else if (offer->verb > UINT8_MAX || verb_name((enum verb)offer->verb) == NULL) {
        verb_nack(desk, NACK_UNKNOWN_VERB, offer->cmd_id, "no such verb here");
    } else if (!pool_is_allowed(desk, offer->pool)) {
        verb_nack(desk,
                  NACK_POOL_NOT_ALLOWED,
                  offer->cmd_id,
                  "the pool is not on this server's allow-list");
    } else if (is_vetoed(desk, &veto)) {
        verb_nack(desk, NACK_HELD, offer->cmd_id, veto.text);
    } else if (desk->task.phase != PHASE_NONE || (is_held && !is_same)) {
        verb_nack(desk, NACK_BUSY, offer->cmd_id, "another command is in hand");
    } else {
        /* An OFFER that comes twice within moments gets its CLAIM twice: a fresh nonce would make
         * the GRANT for the first one worthless. The nonce's age counts from when it was made. */
        if (!is_same || !verb_is_within(claim->at, now, RESEND_MS - 1)) {
            *claim = (struct verb_claim){.is_given = true, .at = now};
            memcpy(claim->cmd_id, offer->cmd_id, CAS_ID_BYTES);
            desk->settings.random(desk->settings.context, claim->nonce, CAS_ID_BYTES);
            memcpy(row.cmd_id, offer->cmd_id, CAS_ID_BYTES);
            row.verb = (enum verb)offer->verb;
            verb_news_tell(desk, VERB_NEWS_CLAIMED, &row, "waiting for its grant");
        }
        struct message message = {.type = MESSAGE_claim};
        memcpy(message.as.claim.cmd_id, claim->cmd_id, CAS_ID_BYTES);
        memcpy(message.as.claim.nonce, claim->nonce, CAS_ID_BYTES);
        desk->settings.send(desk->settings.context, &message);
    }
}

/* ---- GRANT ---- */

static const struct verb_plan *plan_find(const struct verb_desk *desk, const uint8_t *hash)
{
    for (size_t i = 0; i < VERB_PLANS; i++) {
        if (desk->plan[i].is_kept && memcmp(desk->plan[i].hash, hash, CAS_HASH_BYTES) == 0)
            return &desk->plan[i];
    }
    return NULL;
}

/* 0 when nothing speaks against it. */
static enum nack_reason claim_check(struct verb_desk *desk,
                                    const struct record_order *order,
                                    struct cas_now now,
                                    struct cas_why *why)
{
    const struct verb_claim *claim = &desk->claim;
#ifdef CASFLEET_MUTANT_I4
    bool is_last = true;
#else
    bool is_last = id_same(claim->nonce, order->nonce);
#endif
    if (!claim->is_given || !id_same(claim->cmd_id, order->cmd_id) || !is_last) {
        (void)cas_fail(why, CAS_ERR_STALE, "the nonce is not the last one given for this command");
        return NACK_NONCE;
    }
#ifndef CASFLEET_MUTANT_R3
    if (!verb_is_within(claim->at, now, GRANT_LIFE_MS)) {
        (void)cas_fail(why,
                       CAS_ERR_STALE,
                       "the nonce is %lld ms old by the monotonic and %lld ms by the wall clock, "
                       "limit %d ms",
                       (long long)(now.mono_ms - claim->at.mono_ms),
                       (long long)(now.wall_ms - claim->at.wall_ms),
                       (int)GRANT_LIFE_MS);
        return NACK_NONCE;
    }
#else
    (void)now;
#endif
    return (enum nack_reason)0;
}

/* The plan gives the verb, the pool, the window and the most an order may take. */
static enum nack_reason plan_check(const struct verb_plan *plan,
                                   const struct record_order *order,
                                   struct cas_now now,
                                   struct cas_why *why)
{
    if (plan == NULL) {
        (void)cas_fail(why, CAS_ERR_MISSING, "no plan with that hash has come");
        return NACK_NO_PLAN;
    }
    if (plan->verb != order->verb || !cas_slice_is(order->pool, plan->pool) ||
        plan->rollout_seq != order->rollout_seq || order->drain_ms > plan->drain_ms ||
        order->act_ms > plan->act_ms) {
        (void)cas_fail(why, CAS_ERR_DENIED, "the order is not what its plan says");
        return NACK_NOT_MINE;
    }
    bool is_late = now.wall_ms > plan->until_ms ||
                   (order->has_not_after_wall_ms && now.wall_ms > order->not_after_wall_ms);
    if (is_late || now.wall_ms < plan->start_ms - CLOCK_SKEW_MS) {
        (void)cas_fail(why,
                       CAS_ERR_GUARD,
                       is_late ? "the window has closed" : "the window has not opened");
        return NACK_WINDOW;
    }
    return (enum nack_reason)0;
}

static enum nack_reason order_check(struct verb_desk *desk,
                                    const struct record_order *order,
                                    struct cas_now now,
                                    struct cas_why *why)
{
    enum nack_reason reason = claim_check(desk, order, now, why);
    if (reason != 0)
        return reason;
    uint64_t obeyed = verb_epoch(desk);
    if (order->epoch < obeyed) {
        (void)cas_fail(why,
                       CAS_ERR_STALE,
                       "epoch %llu is below %llu",
                       (unsigned long long)order->epoch,
                       (unsigned long long)obeyed);
        return NACK_STALE_EPOCH;
    }
    if (ledger_raise_epoch(desk->settings.ledger, order->epoch, why) != CAS_OK)
        return NACK_JOURNAL;
    uint64_t rollout_floor = ledger_rollout_floor(desk->settings.ledger);
    if (order->rollout_seq <= rollout_floor) {
        (void)cas_fail(why,
                       CAS_ERR_STALE,
                       "rollout %llu is not above %llu, up to which all are closed here",
                       (unsigned long long)order->rollout_seq,
                       (unsigned long long)rollout_floor);
        return NACK_ROLLOUT_OLD;
    }
    if (order->keyset_ver != desk->settings.keyset_ver) {
        (void)cas_fail(why,
                       CAS_ERR_SIGNATURE,
                       "keyset %llu, in force here is %llu",
                       (unsigned long long)order->keyset_ver,
                       (unsigned long long)desk->settings.keyset_ver);
        return NACK_BAD_SIGNATURE;
    }
    if (verb_name((enum verb)order->verb) == NULL) {
        (void)cas_fail(why, CAS_ERR_UNSUPPORTED, "no such verb here");
        return NACK_UNKNOWN_VERB;
    }
    reason = plan_check(plan_find(desk, order->plan_hash), order, now, why);
    if (reason != 0)
        return reason;
    if (!pool_is_allowed(desk, order->pool)) {
        (void)cas_fail(why, CAS_ERR_DENIED, "the pool is not on this server's allow-list");
        return NACK_POOL_NOT_ALLOWED;
    }
    if (is_vetoed(desk, why)) {
        /* Also when it is released within moments: what was refused once is not taken later. */
        desk->claim.is_given = false;
        return NACK_HELD;
    }
    if (desk->task.phase != PHASE_NONE) {
        (void)cas_fail(why, CAS_ERR_BUSY, "another command is in hand");
        return NACK_BUSY;
    }
    return (enum nack_reason)0;
}

static void refuse(struct verb_desk *desk,
                   enum nack_reason reason,
                   const struct record_order *order,
                   const struct cas_why *why)
{
    struct ledger_row row = {.state = COMMAND_NONE};
    if (order != NULL) {
        memcpy(row.cmd_id, order->cmd_id, CAS_ID_BYTES);
        row.verb = (enum verb)order->verb;
    }
    verb_news_tell(desk, VERB_NEWS_REFUSED, order == NULL ? NULL : &row, why->text);
    char text[256];
    struct cas_text out = CAS_TEXT(text);
    cas_text_clear(&out);
    cas_text_add(&out, "%s", why->text);
    verb_nack(desk, reason, order == NULL ? NULL : order->cmd_id, text);
}

void verb_on_grant(struct verb_desk *desk, const struct message_grant *grant, struct cas_now now)
{
    struct cas_why why = {.text = ""};
    struct record_order order;
    cas_arena_clear(desk->arena);
    enum cas_err err = order_open(grant, &desk->settings.command, desk->arena, &order, &why);
    if (err != CAS_OK) {
        refuse(desk, err == CAS_ERR_SIGNATURE ? NACK_BAD_SIGNATURE : NACK_VERSION, NULL, &why);
        return;
    }
    if (memcmp(order.audience, desk->settings.self.byte, CAS_KEY_BYTES) != 0) {
        (void)cas_fail(&why, CAS_ERR_DENIED, "the order is for another agent");
        refuse(desk, NACK_NOT_MINE, &order, &why);
        return;
    }
#ifndef CASFLEET_MUTANT_I3
    struct ledger_row row;
    err = ledger_find(desk->settings.ledger, order.cmd_id, &row);
    if (err == CAS_OK) {
        verb_answer(desk, &row);
        return;
    }
    if (err != CAS_ERR_NOT_FOUND) {
        (void)cas_fail(&why, err, "the journal cannot be read");
        refuse(desk, NACK_JOURNAL, &order, &why);
        return;
    }
#endif
    enum nack_reason reason = order_check(desk, &order, now, &why);
    if (reason != 0) {
        refuse(desk, reason, &order, &why);
        return;
    }
    const struct verb_plan *plan = plan_find(desk, order.plan_hash);
    struct verb_start start = {.order = &order,
                               .claimed = desk->claim.at,
                               .until_wall_ms = plan->until_ms};
    if (order.has_not_after_wall_ms && order.not_after_wall_ms < start.until_wall_ms)
        start.until_wall_ms = order.not_after_wall_ms;
    err = verb_start(desk, &start, now, &why);
    if (err != CAS_OK) {
        if (err != CAS_ERR_BUSY)
            verb_news_tell(desk, VERB_NEWS_JOURNAL, NULL, why.text);
        refuse(desk, err == CAS_ERR_BUSY ? NACK_BUSY : NACK_JOURNAL, &order, &why);
        return;
    }
#ifndef CASFLEET_MUTANT_I3
    desk->claim.is_given = false;
#endif
}

/* ---- REVOKE, ACK, repeating ---- */

void verb_on_revoke(struct verb_desk *desk, const struct message_revoke *revoke, struct cas_now now)
{
    if (!verb_on_epoch(desk, revoke->epoch)) {
        verb_nack(desk,
                  NACK_STALE_EPOCH,
                  revoke->cmd_id,
                  "the revoke's epoch is below the highest obeyed");
        return;
    }
    struct ledger_row row;
    struct cas_why why = {.text = ""};
    enum cas_err err = ledger_find(desk->settings.ledger, revoke->cmd_id, &row);
    if (err == CAS_ERR_NOT_FOUND) {
        /* From here on no GRANT for it can be taken, whether or not the ledger can be written. */
        if (desk->claim.is_given && id_same(desk->claim.cmd_id, revoke->cmd_id))
            desk->claim.is_given = false;
        row = (struct ledger_row){.state = COMMAND_REVOKED, .done_ms = now.wall_ms};
        memcpy(row.cmd_id, revoke->cmd_id, CAS_ID_BYTES);
        err = ledger_write(desk->settings.ledger, &row, &why);
        if (err == CAS_OK) {
            desk->has_unacknowledged = true;
            desk->resend_ms = now.mono_ms + RESEND_MS;
            verb_news_tell(desk, VERB_NEWS_REVOKED, &row, "before it was begun");
        }
    }
    if (err == CAS_OK) {
        verb_answer(desk, &row);
        return;
    }
    verb_news_tell(desk, VERB_NEWS_JOURNAL, NULL, why.text);
    verb_nack(desk, NACK_JOURNAL, revoke->cmd_id, "the journal cannot be written");
}

void verb_on_ack(struct verb_desk *desk, const struct message_ack *ack)
{
    if (!ack->has_cmd_id || !ack->has_seq)
        return;
    struct cas_why why = {.text = ""};
    if (ledger_acknowledge(desk->settings.ledger, ack->cmd_id, ack->seq, &why) != CAS_OK)
        verb_news_tell(desk, VERB_NEWS_JOURNAL, NULL, why.text);
}

static void repeat(struct verb_desk *desk, struct cas_now now)
{
    if (!desk->has_unacknowledged || now.mono_ms < desk->resend_ms)
        return;
    struct ledger_row row[RESEND_ROWS];
    size_t row_n = 0;
    desk->resend_ms = now.mono_ms + RESEND_MS;
    if (ledger_unacknowledged(desk->settings.ledger, row, RESEND_ROWS, &row_n) != CAS_OK)
        return;
    desk->has_unacknowledged = row_n > 0;
    for (size_t i = 0; i < row_n; i++)
        verb_answer(desk, &row[i]);
}

int64_t verb_on_tick(struct verb_desk *desk, struct cas_now now)
{
    verb_go_on(desk, now);
    repeat(desk, now);
    int64_t due = now.mono_ms + IDLE_MS;
    if (desk->has_unacknowledged && desk->resend_ms < due)
        due = desk->resend_ms;
    if (desk->task.phase != PHASE_NONE && desk->task.look_ms < due)
        due = desk->task.look_ms;
    return due;
}

void verb_resend(struct verb_desk *desk)
{
    desk->resend_ms = INT64_MIN;
}

bool verb_is_acting(const struct verb_desk *desk)
{
    return desk->task.phase != PHASE_NONE;
}

uint64_t verb_acts(const struct verb_desk *desk)
{
    return desk->acts;
}
