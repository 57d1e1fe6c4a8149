#include "controller/controller_loop_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERROR_TEXT_MOST = 500,
    MINUTE_MS = 60000
};

/* ---- answers, in parts ---- */

static void answer_free(struct controller *c, struct loop_answer *answer)
{
    c->answer_bytes -= answer->reply.size;
    ask_reply_done(&answer->reply);
    free(answer);
}

void loop_answers_free(struct controller *c)
{
    for (size_t i = 0; i < c->answer_n; i++)
        answer_free(c, c->answer[i]);
    c->answer_n = 0;
}

/* true: over, sent or given up. */
static bool answer_go_on(struct controller *c, struct loop_answer *answer)
{
    for (int i = 0; i < LOOP_ANSWER_PARTS; i++) {
        size_t left = answer->reply.size - answer->at;
        size_t size = left < WIRE_DOCUMENT_BYTES ? left : WIRE_DOCUMENT_BYTES;
        struct message message = {.type = MESSAGE_answer};
        message.as.answer = (struct message_answer){
            .id = answer->id,
            .exit = (uint64_t)answer->reply.exit,
            .part = answer->part,
            .document = {answer->reply.document != NULL ? answer->reply.document + answer->at : "",
                         size},
            .is_more = left > size,
        };
        if (answer->part == 0 && answer->reply.error[0] != '\0') {
            message.as.answer.has_error = true;
            message.as.answer.error = cas_slice_of(answer->reply.error);
            if (message.as.answer.error.size > ERROR_TEXT_MOST)
                message.as.answer.error.size = ERROR_TEXT_MOST;
        }
        enum cas_err err = loop_send(c, answer->route, &message);
        if (err == CAS_ERR_AGAIN)
            return false;
        if (err != CAS_OK || left <= size)
            return true;
        answer->at += size;
        answer->part++;
    }
    return false;
}

void loop_send_answers(struct controller *c, struct cas_now now)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->answer_n; i++) {
        struct loop_answer *answer = c->answer[i];
        if (now.mono_ms - answer->since_ms >= LOOP_ANSWER_MS ||
            !hub_is_operator(c->hub, answer->key.byte) || answer_go_on(c, answer))
            answer_free(c, answer);
        else
            c->answer[kept++] = answer;
    }
    c->answer_n = kept;
}

/* Takes over the reply's document. Errors are clean text already or are shown as such. */
static void answer_begin(struct controller *c,
                         const struct channel_frame *frame,
                         uint64_t id,
                         struct ask_reply *reply,
                         struct cas_now now)
{
    if (!cas_is_clean_text(cas_slice_of(reply->error)))
        (void)snprintf(reply->error, sizeof reply->error, "refused, and the reason is not text");
    if (reply->size > WIRE_DOCUMENT_TOTAL) {
        ask_reply_done(reply);
        *reply = (struct ask_reply){.exit = ASK_EXIT_ATTENTION};
        (void)snprintf(reply->error,
                       sizeof reply->error,
                       "the answer is above %d bytes: ask for less",
                       WIRE_DOCUMENT_TOTAL);
    }
    struct loop_answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) {
        ask_reply_done(reply);
        c->counts.sends_failed++;
        return;
    }
    /* Room is needed by one that must wait only: operators who do not read keep nobody else from
     * hearing what became of a pause. */
    bool has_room = c->answer_n < CONTROLLER_ANSWERS &&
                    c->answer_bytes + reply->size <= CONTROLLER_ANSWERS_BYTES;
    *answer = (struct loop_answer){.route = frame->route,
                                   .key = frame->key,
                                   .id = id,
                                   .reply = *reply,
                                   .since_ms = now.mono_ms};
    c->answer_bytes += reply->size;
    bool is_over = answer_go_on(c, answer);
    if (!is_over && has_room) {
        c->answer[c->answer_n++] = answer;
        return;
    }
    c->counts.sends_failed += is_over ? 0 : 1;
    answer_free(c, answer);
}

/* ---- denials ---- */

/* At most so many rows a minute: a peer that may not ask must not fill the disk by asking. */
static bool denial_may_be_audited(struct controller *c, struct cas_now now)
{
    c->counts.denied++;
    if (c->denied_n == 0 || now.mono_ms - c->denied_ms >= MINUTE_MS) {
        c->denied_n = 0;
        c->denied_ms = now.mono_ms;
    }
    return c->denied_n++ < CONTROLLER_AUDIT_DENIED_PER_MIN;
}

void loop_deny(struct controller *c,
               const char *who,
               const struct channel_frame *frame,
               const char *words,
               struct cas_now now)
{
    struct message message;
    cas_arena_clear(c->arena);
    bool is_ask = frame->route.port == CHANNEL_OPERATORS &&
                  message_decode(frame->bytes, c->arena, &message, NULL) == CAS_OK &&
                  message.type == MESSAGE_ask;
    if (denial_may_be_audited(c, now) && loop_is_taking(c, now.mono_ms)) {
        struct store_audit audit = {.at_ms = now.wall_ms, .verb = "denied"};
        (void)snprintf(audit.who, sizeof audit.who, "%s", who);
        if (is_ask)
            (void)snprintf(audit.subject,
                           sizeof audit.subject,
                           "%.*s",
                           (int)message.as.ask.verb.size,
                           message.as.ask.verb.data);
        (void)snprintf(audit.words, sizeof audit.words, "%s", words);
        log_event(EVENT_ASK_REFUSED, "by=%s %s", who, words);
        enum cas_err err = store_audit_add(c->store, &audit, NULL);
        if (err != CAS_OK)
            c->spoiled = err;
        loop_gather(c, now);
    }
    if (!is_ask)
        return;
    struct ask_reply reply = {.exit = ASK_EXIT_DENIED};
    (void)snprintf(reply.error, sizeof reply.error, "not allowed: %s", words);
    answer_begin(c, frame, message.as.ask.id, &reply, now);
}

/* ---- what a handler may change ---- */

static enum cas_err scene_commit(void *context,
                                 const struct rollout_actions *actions,
                                 const struct store_audit *audit,
                                 struct cas_why *why)
{
    struct controller *c = context;
    bool is_denial = strcmp(audit->verb, "denied") == 0;
    if (is_denial) {
        if (!denial_may_be_audited(c, c->scene.now))
            return CAS_OK;
        log_event(EVENT_ASK_REFUSED, "by=%s %s", audit->who, audit->words);
    }
    return loop_commit_change(c, actions, audit, c->scene.now, why);
}

static enum cas_err approve_check(struct controller *c,
                                  const char *name,
                                  const uint8_t key[CAS_KEY_BYTES],
                                  struct cas_why *why)
{
    const struct inventory_server *holder = inventory_by_key(c->inventory, key);
    const struct inventory_server *known = inventory_by_name(c->inventory, cas_slice_of(name));
    if (holder != NULL && holder != known)
        return cas_fail(why,
                        CAS_ERR_EXISTS,
                        "this key belongs to %s: give %s a key of its own",
                        holder->name,
                        name);
    if (known == NULL && inventory_size(c->inventory) >= FLEET_SERVERS)
        return cas_fail(why, CAS_ERR_TOO_MANY, "%d servers are known already", FLEET_SERVERS);
    if (known != NULL && known->admission == ADMISSION_APPROVED && holder == NULL)
        return cas_fail(why,
                        CAS_ERR_EXISTS,
                        "%s is approved with another key: casfleet agent revoke %s first",
                        known->name,
                        known->name);
    if (known != NULL && known->admission == ADMISSION_APPROVED)
        return cas_fail(why, CAS_ERR_EXISTS, "%s is approved with this key already", known->name);
    if (hub_is_operator(c->hub, key))
        return cas_fail(why,
                        CAS_ERR_EXISTS,
                        "this key is an operator's: give %s a key of its own",
                        name);
    return CAS_OK;
}

static enum cas_err admit_now(struct controller *c,
                              const struct inventory_server *server,
                              bool is_new,
                              struct cas_why *why)
{
    enum cas_err err =
        is_new ? inventory_add(c->inventory, server)
               : inventory_set_key(c->inventory, server->id, server->key, ADMISSION_APPROVED);
    if (err == CAS_OK)
        err = loop_peer_room(c, server->id);
    if (err == CAS_OK)
        c->peer[server->id] = (struct loop_peer){0};
    if (err == CAS_OK)
        err = hub_admit_server(c->hub, server->id, server->key);
    if (err != CAS_OK)
        return cas_fail(why,
                        err,
                        "%s is stored; it is let in after a restart: %s",
                        server->name,
                        cas_err_words(err));
    log_event(EVENT_AGENT_APPROVED, "server=%s by=%s", server->name, server->approved_by);
    return CAS_OK;
}

static enum cas_err approve_saved(struct controller *c,
                                  struct inventory_server *server,
                                  bool is_new,
                                  bool is_rekeyed,
                                  const struct store_audit *audit,
                                  struct cas_why *why)
{
    struct rollout_actions actions = {0};
    enum cas_err err =
        is_new ? store_server_add(c->store, server, why) : store_server_save(c->store, server, why);
    if (err != CAS_OK) {
        store_undo(c->store);
        return err;
    }
    /* Another key is another journal: it does not know what the one before was granted. */
    if (is_rekeyed)
        err = rollout_forgot(c->book, c->inventory, server->id, c->scene.now, &actions);
    if (err == CAS_OK)
        err = loop_commit_change(c, &actions, audit, c->scene.now, why);
    else
        store_undo(c->store);
    rollout_actions_done(&actions);
    return err;
}

static enum cas_err scene_approve(void *context,
                                  const char *name,
                                  const uint8_t key[CAS_KEY_BYTES],
                                  char label[LABEL_N][LABEL_BYTES],
                                  const struct store_audit *audit,
                                  struct cas_why *why)
{
    struct controller *c = context;
    enum cas_err err = approve_check(c, name, key, why);
    if (err != CAS_OK)
        return err;
    struct inventory_server *known = inventory_by_name(c->inventory, cas_slice_of(name));
    struct inventory_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return CAS_ERR_NOMEM;
    if (known != NULL)
        *server = *known;
    else
        (void)snprintf(server->name, sizeof server->name, "%s", name);
    memcpy(server->key, key, CAS_KEY_BYTES);
    server->admission = ADMISSION_APPROVED;
    server->approved_ms = c->scene.now.wall_ms;
    (void)snprintf(server->approved_by, sizeof server->approved_by, "%s", audit->who);
    for (size_t i = 0; i < LABEL_N; i++) {
        if (label[i][0] != '\0')
            memcpy(server->label[i], label[i], LABEL_BYTES);
    }
    bool is_rekeyed = known != NULL && memcmp(known->key, key, CAS_KEY_BYTES) != 0;
    if (is_rekeyed)
        server->journal_high = 0;
    err = approve_saved(c, server, known == NULL, is_rekeyed, audit, why);
    if (err == CAS_OK && known != NULL) {
        memcpy(known->label, server->label, sizeof known->label);
        known->journal_high = server->journal_high;
        known->approved_ms = server->approved_ms;
        memcpy(known->approved_by, server->approved_by, sizeof known->approved_by);
    }
    if (err == CAS_OK)
        err = admit_now(c, server, known == NULL, why);
    free(server);
    return err;
}

static enum cas_err scene_revoke(void *context,
                                 uint32_t server_id,
                                 const struct store_audit *audit,
                                 struct cas_why *why)
{
    static const struct rollout_actions none = {0};
    struct controller *c = context;
    struct inventory_server *server = inventory_by_id(c->inventory, server_id);
    if (server == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no server with number %u", server_id);
    enum inventory_admission before = server->admission;
    server->admission = ADMISSION_REVOKED;
    enum cas_err err = store_server_save(c->store, server, why);
    if (err != CAS_OK)
        store_undo(c->store);
    else
        err = loop_commit_change(c, &none, audit, c->scene.now, why);
    if (err != CAS_OK) {
        server->admission = before;
        return err;
    }
    hub_revoke_server(c->hub, server_id);
    uint8_t key[CAS_KEY_BYTES];
    memcpy(key, server->key, sizeof key);
    log_event(EVENT_AGENT_REVOKED, "server=%s by=%s", server->name, audit->who);
    return inventory_set_key(c->inventory, server_id, key, ADMISSION_REVOKED);
}

static enum cas_err scene_label(void *context,
                                uint32_t server_id,
                                enum inventory_label label,
                                const char *value,
                                const struct store_audit *audit,
                                struct cas_why *why)
{
    static const struct rollout_actions none = {0};
    struct controller *c = context;
    struct inventory_server *server = inventory_by_id(c->inventory, server_id);
    if (server == NULL || label >= LABEL_N)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no server with number %u", server_id);
    char before[LABEL_BYTES];
    memcpy(before, server->label[label], sizeof before);
    enum cas_err err = cas_slice_copy(cas_slice_of(value), server->label[label], LABEL_BYTES);
    if (err == CAS_OK)
        err = store_server_save(c->store, server, why);
    if (err != CAS_OK)
        store_undo(c->store);
    else
        err = loop_commit_change(c, &none, audit, c->scene.now, why);
    if (err != CAS_OK)
        memcpy(server->label[label], before, sizeof before);
    return err;
}

void loop_scene_fill(struct controller *c, struct cas_now now)
{
    c->scene = (struct ask_scene){
        .now = now,
        .started_ms = c->started.wall_ms,
        .inventory = c->inventory,
        .book = c->book,
        .store = c->store,
        .refused_n = hub_refused_n(c->hub),
        .trouble = c->is_told_stuck ? c->stuck_words : NULL,
        .trouble_ms = c->stuck_ms,
        .context = c,
        .commit = scene_commit,
        .approve = scene_approve,
        .revoke = scene_revoke,
        .label = scene_label,
    };
    c->scene.waiting = hub_waiting(c->hub, &c->scene.waiting_n);
}

void loop_on_ask(struct controller *c,
                 struct hub_peer *peer,
                 const struct channel_frame *frame,
                 const struct message_ask *ask,
                 struct cas_now now)
{
    c->counts.asks++;
    /* What was gathered is settled first: an operator's change stands alone in its commit, and its
     * answer shows what is true. If it cannot be, the change will say so. */
    if (c->is_gathering) {
        enum cas_err err = loop_commit_group(c, now, NULL);
        if (err != CAS_OK && c->is_fenced)
            return;
    }
    struct ask_operator who = peer->operator_;
    struct ask_reply reply;
    loop_scene_fill(c, now);
    c->is_asking = true;
    ask_answer(&c->scene, &who, ask, &reply);
    c->is_asking = false;
    c->is_schedule_known = false; /* it may have changed one */
    c->is_freeze_known = false;
    rollout_book_free(c->retired);
    c->retired = NULL;
    /* A change that failed in memory was told as failed, and is in nobody's commit. */
    if (rollout_book_is_torn(c->book))
        c->is_book_stale = loop_book_load(c, NULL) != CAS_OK;
    if (store_is_begun(c->store))
        loop_gather(c, now);
    if (!c->is_fenced)
        answer_begin(c, frame, ask->id, &reply, now);
    else
        ask_reply_done(&reply);
}
