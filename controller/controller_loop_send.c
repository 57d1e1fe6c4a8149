#include "controller/controller_loop_room.h"

#include <inttypes.h>
#include <string.h>

#include "proto/trust/order.h"

static enum cas_err bytes_send(struct controller *c, struct channel_route route, size_t size)
{
    enum cas_err err = c->settings.send(c->settings.context,
                                        route,
                                        (struct cas_slice){(const char *)c->frame, size});
    if (err != CAS_OK)
        c->counts.sends_failed++;
    return err;
}

enum cas_err
loop_send(struct controller *c, struct channel_route route, const struct message *message)
{
    size_t size = 0;
    enum cas_err err = message_encode(message, c->frame, WIRE_FRAME_BYTES, &size, NULL);
    return err == CAS_OK ? bytes_send(c, route, size) : err;
}

static void gone(struct controller *c, uint32_t server_id)
{
    hub_forget_route(c->hub, server_id);
    struct inventory_server *server = inventory_by_id(c->inventory, server_id);
    if (server != NULL)
        inventory_lost(server);
    if (server != NULL && c->peer[server_id].is_up)
        log_event(EVENT_AGENT_DOWN, "server=%s its connection is gone", server->name);
    c->peer[server_id].is_up = false;
}

/* The route is asked for at every send: a revoked key gets nothing more. */
static void frame_send_to(struct controller *c, uint32_t server_id, size_t size)
{
    const struct channel_route *route = hub_route(c->hub, server_id);
    if (route != NULL && bytes_send(c, *route, size) == CAS_ERR_UNREACHABLE)
        gone(c, server_id);
}

void loop_send_to(struct controller *c, uint32_t server_id, const struct message *message)
{
    size_t size = 0;
    struct cas_why why = {0};
    if (message_encode(message, c->frame, WIRE_FRAME_BYTES, &size, &why) == CAS_OK)
        frame_send_to(c, server_id, size);
    else
        log_event(EVENT_COMMIT_FAILED,
                  "message %s cannot be sent: %s",
                  message_name(message->type),
                  why.text);
}

void loop_send_acks(struct controller *c)
{
    for (size_t i = 0; i < c->acks.n; i++) {
        const struct loop_peer *peer = &c->peer[c->acks.id[i]];
        struct message message = {.type = MESSAGE_ack};
        message.as.ack = (struct message_ack){.has_spool_id = true,
                                              .has_upto_seq = true,
                                              .upto_seq = peer->ack_upto};
        memcpy(message.as.ack.spool_id, peer->ack_spool, CAS_ID_BYTES);
        loop_send_to(c, c->acks.id[i], &message);
        c->counts.acks++;
    }
}

/* ---- what the core decided ---- */

static void grant_send(struct controller *c,
                       const struct rollout *rollout,
                       const struct rollout_step *step,
                       const struct inventory_server *server)
{
    struct store_leader leader = store_leader_of(c->store);
    struct record_order order = {
        .verb = rollout->body.verb,
        .pool = rollout->body.pool,
        .drain_ms = rollout->body.drain_ms,
        .act_ms = rollout->body.act_ms,
        .epoch = leader.epoch,
        .rollout_seq = rollout->seq,
        .keyset_ver = 0,
        .issued_wall_ms = step->granted_wall_issued_ms,
        .has_not_after_wall_ms = true,
        .not_after_wall_ms = rollout->body.until_ms,
    };
    memcpy(order.audience, server->key, CAS_KEY_BYTES);
    memcpy(order.cmd_id, step->cmd_id, CAS_ID_BYTES);
    memcpy(order.nonce, step->nonce, CAS_ID_BYTES);
    memcpy(order.leader_id, leader.leader_id, CAS_ID_BYTES);
    memcpy(order.plan_hash, rollout->plan_hash, CAS_HASH_BYTES);
    size_t size = 0;
    struct cas_why why = {0};
    enum cas_err err =
        order_seal(&order, c->settings.command_keys, c->frame, WIRE_FRAME_BYTES, &size, &why);
    if (err != CAS_OK) {
        log_event(EVENT_COMMIT_FAILED,
                  "r-%04" PRIu64 " %s: GRANT cannot be made: %s",
                  rollout->seq,
                  server->name,
                  why.text);
        return;
    }
    c->counts.grants++;
    frame_send_to(c, server->id, size);
}

static void
offer_send(struct controller *c, const struct rollout *rollout, const struct rollout_step *step)
{
    struct message message = {.type = MESSAGE_offer};
    message.as.offer = (struct message_offer){
        .epoch = controller_epoch(c),
        .verb = rollout->body.verb,
        .pool = rollout->body.pool,
    };
    memcpy(message.as.offer.cmd_id, step->cmd_id, CAS_ID_BYTES);
    c->counts.offers++;
    loop_send_to(c, step->server_id, &message);
}

static void plan_send(struct controller *c, const struct rollout *rollout, uint32_t server_id)
{
    struct message message = {.type = MESSAGE_plan};
    message.as.plan = (struct message_plan){.bytes = rollout->plan};
    loop_send_to(c, server_id, &message);
}

static void revoke_send(struct controller *c, const struct rollout_action *action)
{
    struct message message = {.type = MESSAGE_revoke};
    message.as.revoke.epoch = controller_epoch(c);
    memcpy(message.as.revoke.cmd_id, action->cmd_id, CAS_ID_BYTES);
    loop_send_to(c, action->server_id, &message);
}

static void result_ack_send(struct controller *c, const struct rollout_action *action)
{
    struct message message = {.type = MESSAGE_ack};
    message.as.ack =
        (struct message_ack){.has_cmd_id = true, .has_seq = true, .seq = action->ack_seq};
    memcpy(message.as.ack.cmd_id, action->cmd_id, CAS_ID_BYTES);
    loop_send_to(c, action->server_id, &message);
}

/* The step as committed, when it still is what the action was for: a later part of the same group
 * may have gone on. */
static const struct rollout_step *step_in(const struct rollout *rollout,
                                          const struct rollout_action *action,
                                          enum rollout_step_state state)
{
    if (rollout == NULL || action->step >= rollout->step_n)
        return NULL;
    const struct rollout_step *step = &rollout->step[action->step];
    bool is_same = memcmp(step->cmd_id, action->cmd_id, CAS_ID_BYTES) == 0;
    return is_same && step->state == state ? step : NULL;
}

static void action_send(struct controller *c, const struct rollout_action *action)
{
    const struct rollout *rollout = rollout_find(c->book, action->seq);
    const struct inventory_server *server = inventory_by_id(c->inventory, action->server_id);
    const struct rollout_step *step = NULL;
    if (server == NULL || hub_route(c->hub, action->server_id) == NULL)
        return;
    switch (action->kind) {
    case ACTION_SEND_PLAN:
        if (rollout != NULL)
            plan_send(c, rollout, action->server_id);
        return;
    case ACTION_SEND_OFFER:
        step = step_in(rollout, action, STEP_RESERVED);
        if (step != NULL)
            offer_send(c, rollout, step);
        return;
    case ACTION_SEND_GRANT:
        step = step_in(rollout, action, STEP_GRANTED);
        if (step != NULL)
            grant_send(c, rollout, step, server);
        return;
    case ACTION_SEND_REVOKE:
        revoke_send(c, action);
        return;
    case ACTION_SEND_ACK:
        result_ack_send(c, action);
        return;
    case ACTION_SAVE_ROLLOUT:
    case ACTION_SAVE_STEP:
    case ACTION_LEAP:
    case ACTION_NOTE:
        return;
    }
}

void loop_send_actions(struct controller *c,
                       const struct rollout_actions *actions,
                       struct cas_now now)
{
    (void)now;
    for (size_t i = 0; i < actions->n; i++)
        action_send(c, &actions->item[i]);
}

/* ---- TICK ---- */

/* Milliseconds of this run, from 1: nothing of the host's clock leaves the program. */
static uint64_t tick_value(const struct controller *c, struct cas_now now)
{
    return (uint64_t)(now.mono_ms - c->started.mono_ms) + 1;
}

int64_t
loop_tick_mono(const struct controller *c, uint32_t server_id, uint64_t echo, uint64_t epoch)
{
    if (echo == 0 || epoch != controller_epoch(c) || echo > c->peer[server_id].tick_sent)
        return 0;
    return c->started.mono_ms + (int64_t)(echo - 1);
}

static enum cas_err
tick_encode(struct controller *c, bool is_welcome, struct cas_now now, size_t *ret_size)
{
    struct store_leader leader = store_leader_of(c->store);
    struct message message = {.type = MESSAGE_tick};
    message.as.tick = (struct message_tick){
        .epoch = leader.epoch,
        .tick = tick_value(c, now),
        .keyset_ver = 0,
        .is_welcome = is_welcome,
        .wall_ms = now.wall_ms,
    };
    memcpy(message.as.tick.leader_id, leader.leader_id, CAS_ID_BYTES);
    return message_encode(&message, c->frame, WIRE_FRAME_BYTES, ret_size, NULL);
}

static void tick_send_to(struct controller *c, uint32_t server_id, size_t size, struct cas_now now)
{
    c->peer[server_id].tick_sent = tick_value(c, now);
    c->counts.ticks++;
    frame_send_to(c, server_id, size);
}

void loop_send_tick(struct controller *c, uint32_t server_id, bool is_welcome, struct cas_now now)
{
    size_t size = 0;
    if (tick_encode(c, is_welcome, now, &size) == CAS_OK)
        tick_send_to(c, server_id, size, now);
}

static void silence_tell(struct controller *c, uint32_t server_id, struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server_id];
    const struct inventory_server *server = inventory_by_id(c->inventory, server_id);
    if (!peer->is_up || server == NULL ||
        inventory_service_of(server, now.mono_ms) != SERVICE_SILENT)
        return;
    /* An agent that was restarted has said HELLO, and its first heartbeat is on its way. */
    if (server->live.is_connected && now.wall_ms - server->live.hello_ms < FRESH_MS)
        return;
    peer->is_up = false;
    log_event(EVENT_AGENT_DOWN, "server=%s no answer for %d s", server->name, FRESH_MS / 1000);
}

/* One round a tick_ms, spread evenly, so that the answers do not come all at once. */
void loop_send_ticks(struct controller *c, struct cas_now now)
{
    int64_t passed = now.mono_ms - c->round_ms;
    bool is_over = passed >= c->settings.tick_ms;
    size_t end =
        is_over ? c->server_end : (size_t)((int64_t)c->server_end * passed / c->settings.tick_ms);
    size_t size = 0;
    uint32_t server_id = 0;
    struct channel_route route;
    while (c->tick_next < end) {
        size_t next = c->tick_next;
        if (!hub_next(c->hub, &next, &server_id, &route) || server_id >= end)
            break;
        if (size == 0 && tick_encode(c, false, now, &size) != CAS_OK)
            break;
        c->tick_next = next;
        tick_send_to(c, server_id, size, now);
        silence_tell(c, server_id, now);
    }
    if (c->tick_next < end)
        c->tick_next = end;
    if (is_over) {
        c->tick_next = 0;
        /* A pause of many rounds is not made up for. */
        c->round_ms =
            passed < 2 * c->settings.tick_ms ? c->round_ms + c->settings.tick_ms : now.mono_ms;
    }
}
