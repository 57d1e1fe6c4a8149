#include "controller/controller_loop_room.h"

#include <string.h>

void loop_violation(struct controller *c,
                    struct hub_peer *peer,
                    struct cas_now now,
                    const struct cas_why *why)
{
    c->counts.violations++;
    if (!hub_violation(c->hub, peer, now))
        return;
    c->counts.quarantines++;
    const struct inventory_server *server =
        peer->is_operator ? NULL : inventory_by_id(c->inventory, peer->server_id);
    const char *name = server != NULL ? server->name : "";
    log_event(EVENT_PEER_QUARANTINED,
              "peer=%s %s",
              peer->is_operator ? peer->operator_.name : name,
              why->text);
}

static void skew_tell(struct controller *c, struct inventory_server *server)
{
    struct loop_peer *peer = &c->peer[server->id];
    int64_t skew = server->live.skew_ms;
    bool is_skewed = skew > CLOCK_SKEW_MS || skew < -CLOCK_SKEW_MS;
    if (is_skewed && !peer->is_skewed)
        log_event(EVENT_AGENT_SKEWED, "server=%s skew_ms=%lld", server->name, (long long)skew);
    peer->is_skewed = is_skewed;
}

static void up_tell(struct controller *c, const struct inventory_server *server, struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server->id];
    if (peer->is_up || inventory_service_of(server, now.mono_ms) == SERVICE_SILENT)
        return;
    peer->is_up = true;
    log_event(EVENT_AGENT_UP, "server=%s version=%s", server->name, server->live.agent_ver);
}

static void
epoch_compare(struct controller *c, const struct inventory_server *server, uint64_t theirs)
{
    if (theirs <= controller_epoch(c) || c->wants_epoch)
        return;
    c->wants_epoch = true;
    log_event(EVENT_EPOCH_RAISED,
              "server=%s has obeyed epoch %llu, ours is %llu",
              server->name,
              (unsigned long long)theirs,
              (unsigned long long)controller_epoch(c));
}

/* The core's own failure leaves a book that only the store can mend. */
static void core_done(struct controller *c, enum cas_err err, struct cas_now now)
{
    if (err != CAS_OK)
        c->spoiled = err;
    if (c->actions.n > 0 || err != CAS_OK)
        loop_gather(c, now);
}

static void
dirty_add(struct controller *c, uint32_t server_id, enum peer_dirt dirt, struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server_id];
    if (peer->dirt == PEER_CLEAN && loop_list_add(&c->dirty, server_id) != CAS_OK)
        c->spoiled = CAS_ERR_NOMEM;
    else
        peer->dirt |= (unsigned)dirt;
    loop_gather(c, now);
}

void loop_events_dirty(struct controller *c, uint32_t server_id, struct cas_now now)
{
    dirty_add(c, server_id, PEER_EVENTS, now);
}

/* Again with each heartbeat until the row of it is committed. An agent that says held and released
 * in turns is obeyed each time, and has so many rows an hour. */
static void
held_watch(struct controller *c, const struct inventory_server *server, struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server->id];
    bool is_held = inventory_is_held(server);
    bool is_same =
        is_held == peer->is_held && (!is_held || server->live.held_since_ms == peer->held_since_ms);
    if (!is_same)
        peer->held_change_n++;
    peer->is_held = is_held;
    peer->held_since_ms = server->live.held_since_ms;
    if (peer->held_row_n > 0 && now.mono_ms - peer->held_from_ms >= CONTROLLER_AUDIT_HELD_MS)
        peer->held_row_n = 0;
    if (peer->held_change_n > 0 && peer->held_row_n < CONTROLLER_AUDIT_HELD &&
        (peer->dirt & PEER_HELD) == 0)
        dirty_add(c, server->id, PEER_HELD, now);
}

/* A journal that stands before where it has been, or in another folder, was wiped or set back: what
 * the server was granted may have been done, and it does not know. Looked at before anything else
 * that it says is believed. */
static void journal_watch(struct controller *c, struct inventory_server *server, struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server->id];
    uint64_t head = server->live.journal_head;
    if (!peer->has_head || !loop_is_taking(c, now.mono_ms) || c->is_book_stale)
        return;
    bool is_back = head < server->journal_high || peer->is_replaced;
    if (is_back)
        core_done(c, rollout_forgot(c->book, c->inventory, server->id, now, &c->actions), now);
    if (!is_back && head == server->journal_high)
        return;
    server->journal_high = head;
    loop_events_dirty(c, server->id, now);
}

static void spool_compare(struct controller *c, uint32_t server_id, const uint8_t *spool_id)
{
    struct loop_peer *peer = &c->peer[server_id];
    struct store_spool kept;
    if (!peer->has_spool && store_spool_of(c->store, server_id, &kept)) {
        peer->has_spool = true;
        memcpy(peer->spool_id, kept.spool_id, CAS_ID_BYTES);
    }
    if (peer->has_spool && memcmp(peer->spool_id, spool_id, CAS_ID_BYTES) != 0)
        peer->is_replaced = true;
    peer->has_spool = true;
    memcpy(peer->spool_id, spool_id, CAS_ID_BYTES);
}

/* An ACK is sent after its commit only, and an agent lets go of what was acknowledged only: when it
 * holds none of what the store lacks, the store has been further than it is. Nothing it says is
 * taken over for that, numbers of rollouts neither: commands are named by their plans. */
static void behind_watch(struct controller *c,
                         uint32_t server_id,
                         const struct message_hello *hello,
                         struct cas_now now)
{
    struct loop_peer *peer = &c->peer[server_id];
    struct store_spool kept;
    uint64_t gone_upto = hello->spool_lo > 0 ? hello->spool_lo - 1 : hello->spool_hi;
    if (peer->is_behind_told || !loop_is_taking(c, now.mono_ms) ||
        !store_spool_of(c->store, server_id, &kept) || gone_upto <= kept.upto_seq ||
        memcmp(kept.spool_id, hello->spool_id, CAS_ID_BYTES) != 0)
        return;
    peer->theirs_upto = gone_upto;
    peer->ours_upto = kept.upto_seq;
    dirty_add(c, server_id, PEER_BEHIND, now);
}

static void on_hello(struct controller *c,
                     struct inventory_server *server,
                     const struct message_hello *hello,
                     struct cas_now now)
{
    inventory_hello(server, hello, now);
    spool_compare(c, server->id, hello->spool_id);
    c->peer[server->id].has_head = true;
    journal_watch(c, server, now);
    skew_tell(c, server);
    epoch_compare(c, server, hello->epoch_max);
    behind_watch(c, server->id, hello, now);
    enum cas_err err = store_spool_hello(c->store, server->id, hello);
    if (err != CAS_OK)
        return; /* no memory: no WELCOME, so it says HELLO again */
    loop_send_tick(c, server->id, true, now);

    /* What is committed needs not come again; what is under way is acknowledged by its commit. */
    struct store_spool spool;
    if (c->peer[server->id].has_ack || !store_spool_of(c->store, server->id, &spool) ||
        spool.upto_seq == 0 || memcmp(spool.spool_id, hello->spool_id, CAS_ID_BYTES) != 0)
        return;
    struct message message = {.type = MESSAGE_ack};
    message.as.ack = (struct message_ack){.has_spool_id = true,
                                          .has_upto_seq = true,
                                          .upto_seq = spool.upto_seq};
    memcpy(message.as.ack.spool_id, spool.spool_id, CAS_ID_BYTES);
    loop_send_to(c, server->id, &message);
}

static void on_hb(struct controller *c,
                  struct inventory_server *server,
                  const struct message_hb *hb,
                  struct cas_now now)
{
    int64_t recycled_ms = server->recycled_ms;
    inventory_heartbeat(server, hb, loop_tick_mono(c, server->id, hb->echo, hb->epoch), now);
    c->peer[server->id].has_head = true;
    journal_watch(c, server, now);
    skew_tell(c, server);
    up_tell(c, server, now);
    if (!loop_is_taking(c, now.mono_ms) || c->is_book_stale)
        return;
    held_watch(c, server, now);
    if (server->recycled_ms != recycled_ms)
        loop_events_dirty(c, server->id, now);
    core_done(c, rollout_health(c->book, c->inventory, server->id, now, &c->actions), now);
}

static void on_command(struct controller *c,
                       struct inventory_server *server,
                       const struct message *message,
                       struct cas_now now)
{
    if (!loop_is_taking(c, now.mono_ms) || c->is_book_stale)
        return; /* said again until it is answered */
    enum cas_err err = CAS_OK;
    bool is_revoked =
        message->type == MESSAGE_revoked ||
        (message->type == MESSAGE_result && message->as.result.state == COMMAND_REVOKED);
    if (is_revoked && !c->peer[server->id].has_head)
        return; /* its journal may be a new one: asked again once its HELLO has told */
    journal_watch(c, server, now);
    if (message->type == MESSAGE_claim)
        err =
            rollout_claim(c->book, c->inventory, server->id, &message->as.claim, now, &c->actions);
    else if (message->type == MESSAGE_result)
        err = rollout_result(c->book,
                             c->inventory,
                             server->id,
                             &message->as.result,
                             now,
                             &c->actions);
    else if (message->type == MESSAGE_revoked)
        err = rollout_revoked(c->book,
                              c->inventory,
                              server->id,
                              &message->as.revoked,
                              now,
                              &c->actions);
    else
        err = rollout_nack(c->book, c->inventory, server->id, &message->as.nack, now, &c->actions);
    core_done(c, err, now);
}

static void on_nack(struct controller *c,
                    const struct inventory_server *server,
                    const struct message_nack *nack)
{
    if (nack->reason != NACK_STALE_EPOCH || c->wants_epoch)
        return;
    c->wants_epoch = true;
    log_event(EVENT_EPOCH_RAISED,
              "server=%s refuses epoch %llu as stale",
              server->name,
              (unsigned long long)controller_epoch(c));
}

static void on_agent(struct controller *c,
                     struct inventory_server *server,
                     struct hub_peer *peer,
                     const struct message *message,
                     struct cas_now now)
{
    server->live.heard_ms = now.wall_ms;
    switch (message->type) {
    case MESSAGE_hello:
        on_hello(c, server, &message->as.hello, now);
        return;
    case MESSAGE_hb:
        on_hb(c, server, &message->as.hb, now);
        return;
    case MESSAGE_report:
        journal_watch(c, server, now);
        loop_on_report(c, server, peer, &message->as.report, now);
        return;
    case MESSAGE_nack:
        on_nack(c, server, &message->as.nack);
        on_command(c, server, message, now);
        return;
    case MESSAGE_claim:
    case MESSAGE_result:
    case MESSAGE_revoked:
        on_command(c, server, message, now);
        return;
    case MESSAGE_NONE:
    case MESSAGE_tick:
    case MESSAGE_ack:
    case MESSAGE_offer:
    case MESSAGE_grant:
    case MESSAGE_revoke:
    case MESSAGE_plan:
    case MESSAGE_keyset:
    case MESSAGE_ask:
    case MESSAGE_answer:
        break;
    }
    cas_assert_failed("a direction checked before", __FILE__, __LINE__);
}

static void on_wrong_port(struct controller *c,
                          struct hub_peer *peer,
                          const struct channel_frame *frame,
                          struct cas_now now)
{
    c->counts.dropped_port++;
    if (peer->is_operator) {
        loop_deny(c, peer->operator_.name, frame, "an operator's key on the agents' port", now);
        return;
    }
    const struct inventory_server *server = inventory_by_id(c->inventory, peer->server_id);
    loop_deny(c,
              server != NULL ? server->name : "agent",
              frame,
              "an agent's key on the operators' port",
              now);
}

static void on_peer(struct controller *c,
                    struct hub_peer *peer,
                    const struct channel_frame *frame,
                    struct cas_now now)
{
    struct message message;
    struct cas_why why = {0};
    cas_arena_clear(c->arena);
    enum cas_err err = message_decode(frame->bytes, c->arena, &message, &why);
    enum message_direction need = peer->is_operator ? MESSAGE_ASKS : MESSAGE_UP;
    if (err == CAS_OK && message_direction(message.type) != need)
        err = cas_fail(&why,
                       CAS_ERR_FORMAT,
                       "%s does not come from there",
                       message_name(message.type));
    if (err != CAS_OK) {
        loop_violation(c, peer, now, &why);
        return;
    }
    if (peer->is_operator) {
        loop_on_ask(c, peer, frame, &message.as.ask, now);
        return;
    }
    struct inventory_server *server = inventory_by_id(c->inventory, peer->server_id);
    if (server != NULL)
        on_agent(c, server, peer, &message, now);
}

void controller_frame(struct controller *c, const struct channel_frame *frame, struct cas_now now)
{
    struct hub_peer *peer = NULL;
    c->counts.frames++;
    if (c->is_fenced)
        return;
    c->is_core_due = true;
    switch (hub_receive(c->hub, frame, now, &peer)) {
    case HUB_PASS:
        on_peer(c, peer, frame, now);
        return;
    case HUB_DROP_UNKNOWN:
        c->counts.dropped_unknown++;
        return;
    case HUB_DROP_WRONG_PORT:
        on_wrong_port(c, peer, frame, now);
        return;
    case HUB_DROP_RATE:
        c->counts.dropped_rate++;
        return;
    case HUB_DROP_QUARANTINE:
        c->counts.dropped_quarantine++;
        return;
    }
}
