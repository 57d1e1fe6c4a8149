#include "controller/controller_loop_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/trust/sign.h"

static void derive(const uint8_t plan_hash[CAS_HASH_BYTES],
                   uint64_t step,
                   uint64_t server_id,
                   uint64_t attempt,
                   uint8_t ret_cmd_id[CAS_ID_BYTES])
{
#ifdef CASFLEET_MUTANT_R15
    static uint64_t made;
    attempt += ++made * 1000;
#endif
    struct sign_command command = {.step = step, .server_id = server_id, .attempt = attempt};
    memcpy(command.plan_hash, plan_hash, CAS_HASH_BYTES);
    sign_command_id(&command, ret_cmd_id);
}

enum cas_err loop_book_load(struct controller *c, struct cas_why *why)
{
    CAS_AUTO(rollout_book) book = NULL;
    enum cas_err err = rollout_book_open(derive, &book);
    if (err == CAS_OK)
        err = store_rollouts_load(c->store, book, CONTROLLER_ENDED_KEPT, why);
    if (err != CAS_OK)
        return err;
    struct rollout_book *old = c->book;
    c->book = CAS_TAKE(book);
    c->scene.book = c->book;
    c->is_book_stale = false;
    /* A handler that is told of the failure may still hold rollouts of the old one. */
    if (c->is_asking && c->retired == NULL)
        c->retired = old;
    else
        rollout_book_free(old);
    return CAS_OK;
}

static enum cas_err action_save(struct controller *c,
                                const struct rollout_action *action,
                                uint64_t *saved_seq,
                                struct cas_now now,
                                struct cas_why *why)
{
    const struct rollout *rollout = rollout_find(c->book, action->seq);
    struct store_audit audit;
    switch (action->kind) {
    case ACTION_SAVE_ROLLOUT:
        /* The row is written as it is at the commit; once is enough. */
        if (rollout == NULL || *saved_seq == action->seq)
            return CAS_OK;
        *saved_seq = action->seq;
        return store_rollout_save(c->store, rollout, why);
    case ACTION_SAVE_STEP:
        return rollout != NULL ? store_step_save(c->store, rollout, action->step, why) : CAS_OK;
    case ACTION_LEAP:
        return store_rollout_leap(c->store, action->seq + ROLLOUT_LEAP, why);
    case ACTION_NOTE:
        loop_note_audit(c, action, now, &audit);
        return store_audit_add(c->store, &audit, why);
    case ACTION_SEND_PLAN:
    case ACTION_SEND_OFFER:
    case ACTION_SEND_GRANT:
    case ACTION_SEND_REVOKE:
    case ACTION_SEND_ACK:
        return CAS_OK;
    }
    return CAS_OK;
}

static enum cas_err actions_save(struct controller *c,
                                 const struct rollout_actions *actions,
                                 struct cas_now now,
                                 struct cas_why *why)
{
    uint64_t saved_seq = 0;
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < actions->n && err == CAS_OK; i++)
        err = action_save(c, &actions->item[i], &saved_seq, now, why);
    return err;
}

static enum cas_err held_save(struct controller *c,
                              const struct inventory_server *server,
                              struct cas_now now,
                              struct cas_why *why)
{
    bool is_held = inventory_is_held(server);
    struct store_audit audit = {.at_ms = now.wall_ms};
    struct cas_text words = CAS_TEXT(audit.words);
    (void)snprintf(audit.who, sizeof audit.who, "%s", server->name);
    (void)snprintf(audit.subject, sizeof audit.subject, "%s", server->name);
    (void)
        snprintf(audit.verb, sizeof audit.verb, "%s", is_held ? "server.held" : "server.released");
    if (is_held)
        inventory_held_words(server, &words);
    else
        cas_text_add(&words, "held no more by its own people");
    uint32_t change_n = c->peer[server->id].held_change_n;
    if (change_n > 1)
        cas_text_add(
            &words,
            "; %u holds and releases since the row before are not written down, at most %d "
            "an hour are",
            change_n - 1,
            CONTROLLER_AUDIT_HELD);
    return store_audit_add(c->store, &audit, why);
}

static enum cas_err behind_save(struct controller *c,
                                const struct inventory_server *server,
                                struct cas_now now,
                                struct cas_why *why)
{
    const struct loop_peer *peer = &c->peer[server->id];
    struct store_audit audit = {.at_ms = now.wall_ms, .who = "casfleet", .verb = "database.back"};
    (void)snprintf(audit.subject, sizeof audit.subject, "%s", server->name);
    (void)snprintf(audit.words,
                   sizeof audit.words,
                   "its records up to %llu were acknowledged, the database has them up to %llu: it "
                   "has gone back; what was done since is not in it, and numbers of rollouts made "
                   "since are given again",
                   (unsigned long long)peer->theirs_upto,
                   (unsigned long long)peer->ours_upto);
    return store_audit_add(c->store, &audit, why);
}

/* One line for all servers of a run; each has its row. */
static void
behind_tell(struct controller *c, struct loop_peer *peer, const struct inventory_server *server)
{
    peer->is_behind_told = true;
    if (!c->is_behind_told)
        log_event(EVENT_STORE_BEHIND,
                  "server=%s acknowledged up to %llu, here up to %llu",
                  server->name,
                  (unsigned long long)peer->theirs_upto,
                  (unsigned long long)peer->ours_upto);
    c->is_behind_told = true;
}

static void
held_tell(struct loop_peer *peer, const struct inventory_server *server, struct cas_now now)
{
    if (peer->held_row_n == 0)
        peer->held_from_ms = now.mono_ms;
    peer->held_row_n++;
    peer->held_change_n = 0;
    if (inventory_is_held(server))
        log_event(EVENT_SERVER_HELD,
                  "server=%s by=%s: %s",
                  server->name,
                  server->live.held_by,
                  server->live.held_reason);
    else
        log_event(EVENT_SERVER_RELEASED, "server=%s", server->name);
}

static enum cas_err dirty_save(struct controller *c, struct cas_now now, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < c->dirty.n && err == CAS_OK; i++) {
        const struct inventory_server *server = inventory_by_id(c->inventory, c->dirty.id[i]);
        unsigned dirt = c->peer[c->dirty.id[i]].dirt;
        if (server != NULL && (dirt & PEER_FACTS) != 0)
            err = store_facts_save(c->store, server, why);
        if (err == CAS_OK && server != NULL && (dirt & PEER_EVENTS) != 0)
            err = store_events_save(c->store, server, why);
        if (err == CAS_OK && server != NULL && (dirt & PEER_HELD) != 0)
            err = held_save(c, server, now, why);
        if (err == CAS_OK && server != NULL && (dirt & PEER_BEHIND) != 0)
            err = behind_save(c, server, now, why);
    }
    return err;
}

/* Once the rows are there: the steps of those whose folder was replaced are UNKNOWN for good now,
 * and the rest is told in the log. */
static void dirty_settle(struct controller *c, struct cas_now now)
{
    for (size_t i = 0; i < c->dirty.n; i++) {
        struct loop_peer *peer = &c->peer[c->dirty.id[i]];
        const struct inventory_server *server = inventory_by_id(c->inventory, c->dirty.id[i]);
        peer->is_replaced = false;
        if (server != NULL && (peer->dirt & PEER_HELD) != 0)
            held_tell(peer, server, now);
        if (server != NULL && (peer->dirt & PEER_BEHIND) != 0)
            behind_tell(c, peer, server);
    }
}

static void group_clear(struct controller *c)
{
    c->actions.n = 0;
    for (size_t i = 0; i < c->dirty.n; i++)
        c->peer[c->dirty.id[i]].dirt = PEER_CLEAN;
    for (size_t i = 0; i < c->acks.n; i++)
        c->peer[c->acks.id[i]].has_ack = false;
    c->dirty.n = 0;
    c->acks.n = 0;
    c->report_n = 0;
    c->is_gathering = false;
    c->spoiled = CAS_OK;
}

/* What reports had changed in memory comes once more with the same reports: it must not be counted
 * twice. */
static void group_drop(struct controller *c, bool is_book_changed)
{
    store_undo(c->store);
    bool is_lost = false;
    for (size_t i = 0; i < c->dirty.n; i++) {
        struct inventory_server *server = inventory_by_id(c->inventory, c->dirty.id[i]);
        if (server != NULL && store_server_reload(c->store, server, NULL) != CAS_OK)
            is_lost = true;
    }
    group_clear(c);
    if (is_book_changed || is_lost)
        c->is_book_stale = loop_book_load(c, NULL) != CAS_OK;
}

void loop_stuck(struct controller *c,
                enum cas_err err,
                struct cas_now now,
                const struct cas_why *why)
{
    c->counts.commits_failed++;
    if (err == CAS_ERR_FENCED) {
        c->is_fenced = true;
        log_event(EVENT_FENCED, "%s", why->text);
        return;
    }
    c->is_stuck = true;
    c->retry_ms = now.mono_ms + CONTROLLER_RETRY_MS;
    if (c->is_told_stuck)
        return;
    c->is_told_stuck = true;
    c->stuck_ms = now.wall_ms;
    (void)snprintf(c->stuck_words,
                   sizeof c->stuck_words,
                   "%s",
                   why->text[0] != '\0' ? why->text : cas_err_words(err));
    log_event(err == CAS_ERR_FULL ? EVENT_DISK_FULL : EVENT_COMMIT_FAILED, "%s", c->stuck_words);
}

static void unstuck(struct controller *c)
{
    c->counts.commits++;
    c->is_stuck = false;
    if (c->is_told_stuck)
        log_event(EVENT_DISK_BACK, "reports and changes are taken again");
    c->is_told_stuck = false;
}

static void
notes_tell(struct controller *c, const struct rollout_actions *actions, struct cas_now now)
{
    for (size_t i = 0; i < actions->n; i++) {
        if (actions->item[i].kind == ACTION_NOTE)
            loop_note_tell(c, &actions->item[i], now);
    }
}

enum cas_err loop_commit_change(struct controller *c,
                                const struct rollout_actions *actions,
                                const struct store_audit *audit,
                                struct cas_now now,
                                struct cas_why *why)
{
    struct cas_why inner = {0};
#ifdef CASFLEET_MUTANT_R4
    loop_send_actions(c, actions, now);
#endif
    enum cas_err err =
        c->is_book_stale && actions->n > 0 ? CAS_ERR_IO : store_begin(c->store, &inner);
    if (err == CAS_OK)
        err = actions_save(c, actions, now, &inner);
    if (err == CAS_OK && audit != NULL)
        err = store_audit_add(c->store, audit, &inner);
    if (err == CAS_OK)
        err = store_commit(c->store, &inner);
    if (err != CAS_OK) {
        group_drop(c, actions->n > 0);
        loop_stuck(c, err, now, &inner);
        return cas_fail(why,
                        err,
                        "nothing was changed: %s",
                        inner.text[0] != '\0' ? inner.text : cas_err_words(err));
    }
    unstuck(c);
    notes_tell(c, actions, now);
#ifndef CASFLEET_MUTANT_R4
    loop_send_actions(c, actions, now);
#endif
    return CAS_OK;
}

static enum cas_err group_save(struct controller *c, struct cas_now now, struct cas_why *why)
{
    enum cas_err err = c->spoiled;
    if (err != CAS_OK)
        return cas_fail(why, err, "a change could not be gathered: %s", cas_err_words(err));
    /* Only doubles that want their ACK once more: there is nothing to commit. */
    if (!store_is_begun(c->store) && c->actions.n == 0 && c->dirty.n == 0)
        return CAS_OK;
    err = store_begin(c->store, why);
    if (err == CAS_OK)
        err = actions_save(c, &c->actions, now, why);
    if (err == CAS_OK)
        err = dirty_save(c, now, why);
    return err == CAS_OK ? store_commit(c->store, why) : err;
}

enum cas_err loop_commit_group(struct controller *c, struct cas_now now, struct cas_why *why)
{
    struct cas_why inner = {0};
#ifdef CASFLEET_MUTANT_I5
    loop_send_acks(c);
#endif
#ifdef CASFLEET_MUTANT_R4
    loop_send_actions(c, &c->actions, now);
#endif
    enum cas_err err = group_save(c, now, &inner);
    if (err != CAS_OK) {
        group_drop(c, c->actions.n > 0 || c->spoiled != CAS_OK);
        loop_stuck(c, err, now, &inner);
        return cas_fail(why, err, "%s", inner.text[0] != '\0' ? inner.text : cas_err_words(err));
    }
    unstuck(c);
    notes_tell(c, &c->actions, now);
#ifndef CASFLEET_MUTANT_I5
    loop_send_acks(c);
#endif
#ifndef CASFLEET_MUTANT_R4
    loop_send_actions(c, &c->actions, now);
#endif
    dirty_settle(c, now);
    group_clear(c);
    return CAS_OK;
}
