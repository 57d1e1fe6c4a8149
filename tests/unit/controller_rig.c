#include "tests/unit/controller_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/log.h"
#include "proto/trust/order.h"
#include "tests/unit/test.h"

/* ---- the handlers' place: a test says what an ASK does ---- */

void (*rig_handle)(struct ask_scene *scene, const struct message_ask *ask, struct ask_reply *reply);

void ask_answer(struct ask_scene *scene,
                const struct ask_operator *who,
                const struct message_ask *ask,
                struct ask_reply *ret_reply)
{
    (void)who;
    *ret_reply = (struct ask_reply){0};
    rig_handle(scene, ask, ret_reply);
}

void ask_reply_done(struct ask_reply *reply)
{
    free(reply->document);
    *reply = (struct ask_reply){0};
}

static void settle(struct ask_reply *reply, enum cas_err err, const struct cas_why *why)
{
    reply->exit = err == CAS_OK ? ASK_EXIT_OK : ASK_EXIT_ATTENTION;
    (void)snprintf(reply->error, sizeof reply->error, "%s", err == CAS_OK ? "" : why->text);
}

static struct store_audit audit_of(const struct ask_scene *scene, const char *verb)
{
    struct store_audit audit = {.at_ms = scene->now.wall_ms, .who = "ops.a"};
    (void)snprintf(audit.verb, sizeof audit.verb, "%s", verb);
    return audit;
}

/* recycle.run: plans all servers and runs the plan at once. */
void rig_handle_run(struct ask_scene *scene, const struct message_ask *ask, struct ask_reply *reply)
{
    struct cas_why why = {0};
    struct rollout_wish wish;
    struct rollout_draft draft = {0};
    struct rollout_actions actions = {0};
    size_t at[SERVERS] = {0, 1, 2}, size = 0;
    uint64_t seq = 0;
    uint8_t bytes[4096], hash[CAS_HASH_BYTES];
    (void)ask;
    rollout_wish_default(&wish, scene->now);
    wish.gap_ms = 1000;
    wish.settle_ms = 1000;
    wish.drain_ms = 0;
    wish.floor_pct = 0;
    wish.healthy_n = 2;
    wish.until_ms = wish.start_ms + 3600000;
    wish.is_fixed_too = true;
    (void)snprintf(wish.by, sizeof wish.by, "ops.a");
    enum cas_err err = store_rollout_next_seq(scene->store, &seq, &why);
    if (err == CAS_OK)
        err = rollout_draft(scene->inventory,
                            scene->book,
                            at,
                            inventory_size(scene->inventory),
                            &wish,
                            seq,
                            scene->now,
                            &draft,
                            &why);
    if (err == CAS_OK)
        err = record_encode(RECORD_plan_body, &draft.body, bytes, sizeof bytes, &size, &why);
    struct cas_slice plan = {(const char *)bytes, size};
    if (err == CAS_OK) {
        sign_plan_hash(plan, hash);
        err = rollout_run(scene->book,
                          scene->inventory,
                          plan,
                          hash,
                          cas_slice_of("ops.a"),
                          cas_slice_of("test"),
                          scene->now,
                          &actions,
                          &why);
    }
    struct store_audit audit = audit_of(scene, "recycle.run");
    if (err == CAS_OK)
        err = scene->commit(scene->context, &actions, &audit, &why);
    rollout_actions_done(&actions);
    rollout_draft_done(&draft);
    settle(reply, err, &why);
}

uint32_t rig_handle_server;
void rig_handle_revoke(struct ask_scene *scene,
                       const struct message_ask *ask,
                       struct ask_reply *reply)
{
    struct cas_why why = {0};
    struct store_audit audit = audit_of(scene, "agent.revoke");
    (void)ask;
    enum cas_err err = scene->revoke(scene->context, rig_handle_server, &audit, &why);
    settle(reply, err, &why);
}

struct keys_public rig_handle_key;
void rig_handle_approve(struct ask_scene *scene,
                        const struct message_ask *ask,
                        struct ask_reply *reply)
{
    struct cas_why why = {0};
    char label[LABEL_N][LABEL_BYTES] = {{0}};
    struct store_audit audit = audit_of(scene, "agent.approve");
    (void)ask;
    const char *name = inventory_by_id(scene->inventory, rig_handle_server)->name;
    enum cas_err err =
        scene->approve(scene->context, name, rig_handle_key.byte, label, &audit, &why);
    settle(reply, err, &why);
}

void rig_handle_document(struct ask_scene *scene,
                         const struct message_ask *ask,
                         struct ask_reply *reply)
{
    (void)scene;
    (void)ask;
    reply->size = 3 * WIRE_DOCUMENT_BYTES - 7;
    reply->document = malloc(reply->size + 1);
    for (size_t i = 0; i < reply->size; i++)
        reply->document[i] = (char)('a' + i % 23);
    reply->document[reply->size] = '\0';
}

void rig_handle_deny(struct ask_scene *scene,
                     const struct message_ask *ask,
                     struct ask_reply *reply)
{
    struct cas_why why = {0};
    struct rollout_actions none = {0};
    struct store_audit audit = audit_of(scene, "denied");
    (void)ask;
    EXPECT_OK(scene->commit(scene->context, &none, &audit, &why), &why);
    reply->exit = ASK_EXIT_DENIED;
}

/* ---- the network: frames wait in a row until the rig plays them ---- */

static bool is_ack_kept(const struct rig *rig, const struct message_ack *ack)
{
    struct store_spool spool;
    if (!ack->has_upto_seq)
        return true;
    return !store_is_begun(controller_store(rig->controller)) &&
           store_spool_of(controller_store(rig->controller), 1, &spool) &&
           spool.upto_seq >= ack->upto_seq;
}

static enum cas_err rig_send(void *context, struct channel_route route, struct cas_slice bytes)
{
    struct rig *rig = context;
    if (route.port == CHANNEL_OPERATORS && rig->operator_err != CAS_OK)
        return rig->operator_err;
    EXPECT_TRUE(rig->sent_n < SENT_MOST);
    struct message message;
    cas_arena_clear(rig->arena);
    EXPECT_OK(message_decode(bytes, rig->arena, &message, NULL), NULL);
    if (message.type == MESSAGE_ack && !is_ack_kept(rig, &message.as.ack))
        rig->is_ack_early = true;
    rig->sent[rig->sent_n].route = route;
    rig->sent[rig->sent_n].bytes = malloc(bytes.size);
    memcpy(rig->sent[rig->sent_n].bytes, bytes.data, bytes.size);
    rig->sent[rig->sent_n++].size = bytes.size;
    return CAS_OK;
}

static void rig_noted(void *context,
                      const struct rollout_action *note,
                      const char *server_name,
                      struct cas_now now)
{
    struct rig *rig = context;
    (void)note;
    (void)server_name;
    (void)now;
    rig->notes++;
}

void rig_put_from(struct rig *rig,
                  const struct keys_public *key,
                  struct channel_route route,
                  const struct message *message)
{
    static uint8_t frame[WIRE_FRAME_BYTES];
    size_t size = 0;
    struct cas_why why = {0};
    EXPECT_OK(message_encode(message, frame, sizeof frame, &size, &why), &why);
    struct channel_frame in = {.route = route, .key = *key, .bytes = {(const char *)frame, size}};
    controller_frame(rig->controller, &in, rig->now);
}

void rig_put(struct rig *rig, struct mock_agent *agent, const struct message *message)
{
    rig_put_from(rig, &agent->key, (struct channel_route){CHANNEL_AGENTS, agent->route}, message);
}

void rig_hello(struct rig *rig, struct mock_agent *agent, uint64_t epoch_max)
{
    struct message message = {.type = MESSAGE_hello};
    message.as.hello = (struct message_hello){.agent_ver = cas_slice_of("0.1.0"),
                                              .epoch_max = epoch_max,
                                              .wall_ms = rig->now.wall_ms};
    message.as.hello.boot_id[0] = 1;
    message.as.hello.journal_head = agent->journal_head;
    message.as.hello.spool_id[0] = agent->spool;
    rig_put(rig, agent, &message);
}

void rig_hb(struct rig *rig, struct mock_agent *agent, uint64_t echo, uint64_t epoch)
{
    struct record_worker worker = {.pid = agent->pid, .start_ms = agent->start_ms};
    struct message message = {.type = MESSAGE_hb};
    message.as.hb = (struct message_hb){.echo = echo,
                                        .epoch = epoch,
                                        .journal_head = agent->journal_head,
                                        .health = HEALTH_GOOD,
                                        .workers = &worker,
                                        .workers_n = 1,
                                        .wall_ms = rig->now.wall_ms,
                                        .is_journal_writable = true,
                                        .probe_seq = ++agent->probe_seq};
    message.as.hb.boot_id[0] = 1;
    if (agent->is_held) {
        message.as.hb.has_held_reason = message.as.hb.has_held_by = true;
        message.as.hb.held_reason = cas_slice_of("replacing a fan");
        message.as.hb.held_by = cas_slice_of("alice");
    }
    rig_put(rig, agent, &message);
}

void rig_wipe(struct mock_agent *agent)
{
    agent->journal_head = 0;
    agent->has_done = false;
    agent->has_plan = false;
}

static void agent_act(struct rig *rig, struct mock_agent *agent, const struct message_grant *grant)
{
    struct record_order order;
    struct keys_public command = keys_public_of(rig->command);
    struct cas_why why = {0};
    EXPECT_OK(order_open(grant, &command, rig->arena, &order, &why), &why);
    EXPECT_BYTES_EQ(agent->key.byte, order.audience, CAS_KEY_BYTES);
    EXPECT_UINT_EQ(agent->nonce, order.nonce[0]);
    EXPECT_TRUE(agent->has_plan);
    agent->acts++;
    struct message message = {.type = MESSAGE_result};
    message.as.result = (struct message_result){.state = COMMAND_DONE,
                                                .seq = ++agent->journal_head,
                                                .pid_before = agent->pid,
                                                .start_before_ms = agent->start_ms,
                                                .pid_after = agent->pid + 1000,
                                                .start_after_ms = rig->now.wall_ms,
                                                .intent_ms = rig->now.wall_ms};
    memcpy(message.as.result.cmd_id, order.cmd_id, CAS_ID_BYTES);
    agent->pid += 1000;
    agent->start_ms = rig->now.wall_ms;
    agent->has_done = true;
    memcpy(agent->done_id, order.cmd_id, CAS_ID_BYTES);
    if (!agent->is_slow_to_tell)
        rig_put(rig, agent, &message);
}

static void agent_hear(struct rig *rig, struct mock_agent *agent, const struct message *message)
{
    struct message out = {.type = MESSAGE_claim};
    EXPECT_TRUE((size_t)message->type < CAS_COUNT(agent->heard));
    agent->heard[message->type]++;
    if (agent->is_mute)
        return;
    if (message->type == MESSAGE_tick) {
        agent->epoch = message->as.tick.epoch;
        rig_hb(rig, agent, message->as.tick.tick, message->as.tick.epoch);
    } else if (message->type == MESSAGE_plan) {
        agent->has_plan = true;
    } else if (message->type == MESSAGE_offer) {
        memcpy(out.as.claim.cmd_id, message->as.offer.cmd_id, CAS_ID_BYTES);
        memset(out.as.claim.nonce, 0, CAS_ID_BYTES);
        out.as.claim.nonce[0] = ++agent->nonce;
        rig_put(rig, agent, &out);
    } else if (message->type == MESSAGE_grant) {
        struct message_grant grant = message->as.grant;
        agent_act(rig, agent, &grant);
    } else if (message->type == MESSAGE_revoke) {
        const uint8_t *cmd_id = message->as.revoke.cmd_id;
        if (agent->has_done && memcmp(agent->done_id, cmd_id, CAS_ID_BYTES) == 0)
            return;
        out.type = MESSAGE_revoked;
        out.as.revoked = (struct message_revoked){.seq = ++agent->journal_head};
        memcpy(out.as.revoked.cmd_id, cmd_id, CAS_ID_BYTES);
        rig_put(rig, agent, &out);
    } else if (message->type == MESSAGE_ack && message->as.ack.has_upto_seq) {
        agent->ack_upto = message->as.ack.upto_seq;
    }
}

static void operator_hear(struct rig *rig, const struct message_answer *answer)
{
    if (answer->part == 0)
        rig->answer_size = 0;
    EXPECT_UINT_EQ(answer->part, rig->answer_size / WIRE_DOCUMENT_BYTES);
    EXPECT_TRUE(rig->answer_size + answer->document.size <= sizeof rig->answer);
    if (answer->document.size > 0)
        memcpy(rig->answer + rig->answer_size, answer->document.data, answer->document.size);
    rig->answer_size += answer->document.size;
    rig->answer_exit = answer->exit;
    if (answer->has_error)
        EXPECT_OK(cas_slice_copy(answer->error, rig->answer_error, sizeof rig->answer_error), NULL);
    rig->is_answered = !answer->is_more;
}

/* Hands out what was sent, in order; what comes back is handed in at once. */
void rig_play(struct rig *rig)
{
    while (rig->sent_at < rig->sent_n) {
        size_t at = rig->sent_at++;
        CAS_AUTO(cas_arena) arena = NULL;
        struct message message;
        EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
        struct cas_slice bytes = {(const char *)rig->sent[at].bytes, rig->sent[at].size};
        EXPECT_OK(message_decode(bytes, arena, &message, NULL), NULL);
        if (message.type == MESSAGE_answer)
            operator_hear(rig, &message.as.answer);
        for (size_t i = 1; i <= SERVERS; i++) {
            if (rig->sent[at].route.port == CHANNEL_AGENTS &&
                rig->agent[i].route == rig->sent[at].route.id)
                agent_hear(rig, &rig->agent[i], &message);
        }
        free(rig->sent[at].bytes);
    }
    rig->sent_n = 0;
    rig->sent_at = 0;
}

void rig_pass(struct rig *rig, int64_t ms)
{
    struct cas_why why = {0};
    for (int64_t end = rig->now.mono_ms + ms; rig->now.mono_ms < end;) {
        rig->now.mono_ms += STEP_MS;
        rig->now.wall_ms += STEP_MS;
        EXPECT_OK(controller_tick(rig->controller, rig->now, &why), &why);
        rig_play(rig);
    }
}

void rig_ask(struct rig *rig, const char *verb)
{
    struct message message = {.type = MESSAGE_ask};
    message.as.ask = (struct message_ask){.id = ++rig->next_ask, .verb = cas_slice_of(verb)};
    rig->is_answered = false;
    rig->answer_error[0] = '\0';
    rig_put_from(rig, &rig->operator_key, rig->operator_route, &message);
    rig_play(rig);
}

/* ---- set-up ---- */

static void quiet(void *arg, enum event event, const char *text)
{
    (void)arg;
    (void)event;
    (void)text;
}

static struct cas_now log_now(void *arg)
{
    return ((struct rig *)arg)->now;
}

void rig_start(struct rig *rig)
{
    struct cas_why why = {0};
    struct controller_settings settings = {.store_path = rig->uri,
                                           .operators_path = rig->operators,
                                           .command_keys = rig->command,
                                           .leader_id = {3},
                                           .send = rig_send,
                                           .noted = rig_noted,
                                           .context = rig};
    EXPECT_OK(controller_open(&settings, rig->now, &rig->controller, &why), &why);
}

static void fleet_make(struct rig *rig)
{
    static const uint8_t leader[CAS_ID_BYTES] = {1};
    CAS_AUTO(store) store = NULL;
    struct cas_why why = {0};
    EXPECT_OK(store_open(rig->uri, leader, (struct cas_now){0}, &store, &why), &why);
    for (uint8_t i = 1; i <= SERVERS; i++) {
        struct inventory_server server = {.admission = ADMISSION_APPROVED, .label = {"LON"}};
        (void)snprintf(server.name, sizeof server.name, "LON-CAS%02u", i);
        server.key[0] = i;
        EXPECT_OK(store_server_add(store, &server, &why), &why);
        EXPECT_UINT_EQ(i, server.id);
    }
    EXPECT_OK(store_commit(store, &why), &why);
}

struct rig *rig_open(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct cas_why why = {0};
    char hex[KEYS_TEXT_BYTES], text[128];
    static int rigs;
    EXPECT_NOT_NULL(rig);
    (void)snprintf(rig->uri, sizeof rig->uri, "file:/loop%d?vfs=memdb", rigs++);
    rig->now = (struct cas_now){.wall_ms = INT64_C(1700000000000), .mono_ms = 12345};
    log_set_stage(&(struct log_stage){.now = log_now, .line = quiet, .arg = rig});
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_make_from(KEYS_SIGN, (const uint8_t[CAS_KEY_BYTES]){5}, &rig->command), NULL);
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &rig->arena), NULL);
    EXPECT_OK(store_memory_open(rig->uri, &rig->memory, &why), &why);
    rig->operator_key.byte[0] = 99;
    rig->operator_route = (struct channel_route){CHANNEL_OPERATORS, 1};
    keys_text(&rig->operator_key, hex);
    (void)snprintf(text, sizeof text, "ops.a admin %s\n", hex);
    (void)snprintf(rig->operators, sizeof rig->operators, "%s", test_path("operators"));
    test_write(rig->operators, text, strlen(text));
    fleet_make(rig);
    for (uint8_t i = 1; i <= SERVERS; i++)
        rig->agent[i] = (struct mock_agent){.server_id = i,
                                            .key = {{i}},
                                            .route = 10u + i,
                                            .spool = 7,
                                            .pid = 4000u + i,
                                            .start_ms = 1000};
    rig_start(rig);
    return rig;
}

void rig_free(struct rig *rig)
{
    if (rig == NULL)
        return;
    for (size_t i = rig->sent_at; i < rig->sent_n; i++)
        free(rig->sent[i].bytes);
    controller_free(rig->controller);
    store_memory_free(rig->memory);
    keys_free(rig->command);
    cas_arena_free(rig->arena);
    free(rig);
    log_set_stage(NULL);
}

void rig_all_hello(struct rig *rig)
{
    for (size_t i = 1; i <= SERVERS; i++)
        rig_hello(rig, &rig->agent[i], 0);
    rig_play(rig);
    rig_pass(rig, TICK_MS);
}

int rig_acts(const struct rig *rig)
{
    return rig->agent[1].acts + rig->agent[2].acts + rig->agent[3].acts;
}

/* An event entry of a size, so that pages fill fast. */
void rig_report(struct rig *rig,
                struct mock_agent *agent,
                uint64_t first,
                uint64_t n,
                size_t text_size)
{
    static char text[500];
    static uint8_t body[WIRE_REPORT_RECORDS][1024];
    struct record_entry entry[WIRE_REPORT_RECORDS];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < n; i++) {
        struct record_event event = {.id = 4227,
                                     .provider = cas_slice_of("Tcpip"),
                                     .count = 1,
                                     .has_text = true,
                                     .text = {text, text_size}};
        size_t size = 0;
        EXPECT_OK(record_encode(RECORD_event, &event, body[i], sizeof body[i], &size, NULL), NULL);
        entry[i] = (struct record_entry){.seq = first + i,
                                         .kind = ENTRY_EVENT,
                                         .at_ms = rig->now.wall_ms,
                                         .body = {(const char *)body[i], size}};
    }
    struct message message = {.type = MESSAGE_report};
    message.as.report =
        (struct message_report){.first_seq = first, .entries = entry, .entries_n = n};
    message.as.report.spool_id[0] = 7;
    rig_put(rig, agent, &message);
}

static enum cas_err count_entry(void *context,
                                uint32_t server_id,
                                const uint8_t *spool_id,
                                const struct record_entry *entry)
{
    (void)server_id;
    (void)spool_id;
    (void)entry;
    (*(size_t *)context)++;
    return CAS_OK;
}

size_t rig_entries_n(struct rig *rig)
{
    size_t n = 0;
    EXPECT_OK(store_entries(controller_store(rig->controller), 0, count_entry, &n, NULL), NULL);
    return n;
}

static void count_audit(void *context, uint64_t id, const struct store_audit *audit)
{
    (void)id;
    (void)audit;
    (*(size_t *)context)++;
}

size_t rig_audits_n(struct rig *rig, const char *subject)
{
    size_t n = 0;
    EXPECT_OK(
        store_audit_read(controller_store(rig->controller), subject, 1000, count_audit, &n, NULL),
        NULL);
    return n;
}

/* Takes all room there is: what comes next has none. */
void rig_disk_fill(struct rig *rig)
{
    struct store *store = controller_store(rig->controller);
    enum cas_err err = CAS_OK;
    store_page_limit(store, 1);
    for (int i = 0; i < 100000 && err == CAS_OK; i++) {
        struct store_audit audit = {.who = "test", .verb = "fill"};
        err = store_audit_add(store, &audit, NULL);
        if (err == CAS_OK)
            err = store_commit(store, NULL);
        else
            store_undo(store);
    }
    EXPECT_INT_EQ(CAS_ERR_FULL, err);
}
