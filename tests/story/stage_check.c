#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/stage.h"

/* ---- the journal ---- */

static void line_put(struct story *s, bool is_main, const char *text)
{
    stage_trace_number(s, (uint64_t)s->now_ms);
    stage_trace(s, text, strlen(text));
    if (s->line_n == STAGE_LINES)
        return;
    if (s->line_n == s->line_cap) {
        s->line_cap = s->line_cap == 0 ? 64 : 2 * s->line_cap;
        s->line = realloc(s->line, s->line_cap * sizeof(*s->line));
        CAS_ASSERT(s->line != NULL);
    }
    struct stage_line *line = &s->line[s->line_n++];
    int64_t second = s->now_ms / 1000 % 86400;
    line->is_main = is_main;
    (void)snprintf(line->text,
                   sizeof line->text,
                   "%02d:%02d %s",
                   (int)(second / 3600),
                   (int)(second / 60 % 60),
                   text);
}

void stage_line_add(struct story *s, bool is_main, const char *fmt, ...)
{
    char text[STORY_LINE_BYTES - 8];
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    line_put(s, is_main, text);
}

void story_say(struct story *s, const char *fmt, ...)
{
    char text[STORY_LINE_BYTES - 8];
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    line_put(s, true, text);
}

/* The first promise that was broken is kept; what follows is often only its consequence. */
void stage_break(struct story *s, const char *fmt, ...)
{
    if (s->broken[0] != '\0')
        return;
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(s->broken, sizeof s->broken, fmt, list);
    va_end(list);
    stage_line_add(s, false, "BROKEN %s", s->broken);
}

size_t story_lines(const struct story *s)
{
    return s->line_n;
}

const char *story_line(const struct story *s, size_t i)
{
    return s->line[i].text;
}

bool story_line_is_main(const struct story *s, size_t i)
{
    return s->line[i].is_main;
}

const char *story_broken(const struct story *s)
{
    return s->broken;
}

/* ---- workers by their order: w1 is the first one seen ---- */

static size_t worker_of(struct stage_server *server, uint32_t pid)
{
    for (size_t i = 0; i < server->pid_n; i++) {
        if (server->pid[i] == pid)
            return i + 1;
    }
    if (server->pid_n < STAGE_PIDS)
        server->pid[server->pid_n++] = pid;
    return server->pid_n;
}

/* Copies words with each "worker 4120" and "now 7788" told as w1, w2. */
static void words_tell(struct stage_server *server, const char *words, char *ret_text, size_t cap)
{
    static const char *const marks[] = {"worker ", "is now "};
    struct cas_text text = {.data = ret_text, .cap = cap};
    cas_text_clear(&text);
    for (const char *at = words; *at != '\0';) {
        size_t skipped = 0;
        for (size_t i = 0; i < CAS_COUNT(marks) && skipped == 0; i++) {
            size_t size = strlen(marks[i]);
            if (strncmp(at, marks[i], size) == 0 && at[size] >= '1' && at[size] <= '9')
                skipped = size;
        }
        if (skipped == 0 || server == NULL) {
            cas_text_add(&text, "%c", *at++);
            continue;
        }
        int64_t pid = 0;
        size_t digits = strspn(at + skipped, "0123456789");
        (void)(cas_parse_i64((struct cas_slice){at + skipped, digits}, 0, UINT32_MAX, &pid, NULL) ==
               CAS_OK);
        cas_text_add(&text, "%.*sw%zu", (int)skipped, at, worker_of(server, (uint32_t)pid));
        at += skipped + digits;
    }
}

/* ---- commands and rollouts ---- */

static struct stage_command *command_find(struct story *s, const uint8_t *cmd_id)
{
    for (size_t i = 0; i < s->command_n; i++) {
        if (memcmp(s->command[i].cmd_id, cmd_id, CAS_ID_BYTES) == 0)
            return &s->command[i];
    }
    return NULL;
}

static struct stage_command *command_of(struct story *s, size_t server, const uint8_t *cmd_id)
{
    struct stage_command *command = command_find(s, cmd_id);
    if (command != NULL)
        return command;
    CAS_ASSERT(s->command_n < STAGE_COMMANDS);
    command = &s->command[s->command_n++];
    *command = (struct stage_command){.server = server};
    memcpy(command->cmd_id, cmd_id, CAS_ID_BYTES);
    return command;
}

struct stage_rollout *stage_rollout_of(struct story *s, uint64_t seq)
{
    for (size_t i = 0; i < s->rollout_n; i++) {
        if (s->rollout[i].seq == seq)
            return &s->rollout[i];
    }
    CAS_ASSERT(s->rollout_n < STAGE_ROLLOUTS);
    s->rollout[s->rollout_n] = (struct stage_rollout){.seq = seq};
    return &s->rollout[s->rollout_n++];
}

/* ---- what the controller has decided and committed ---- */

static const struct {
    const char *word;
    bool is_main;
} note_words[] = {
    [NOTE_STARTED] = {"start", true},      [NOTE_RESERVED] = {"offer", false},
    [NOTE_GRANTED] = {"grant", false},     [NOTE_RESULT] = {"result", false},
    [NOTE_CLOSED] = {"done", true},        [NOTE_FAILED] = {"fail", true},
    [NOTE_UNKNOWN] = {"unknown", true},    [NOTE_HALTED] = {"halt", true},
    [NOTE_PAUSED] = {"pause", true},       [NOTE_RESUMED] = {"resume", true},
    [NOTE_CANCELLED] = {"cancel", true},   [NOTE_SKIPPED] = {"skip", true},
    [NOTE_RETRIED] = {"retry", true},      [NOTE_DONE] = {"end", true},
    [NOTE_ENDED] = {"end", true},          [NOTE_MISSED] = {"miss", true},
    [NOTE_WAVE] = {"wave", false},         [NOTE_HELD] = {"hold", false},
    [NOTE_EVIDENCE] = {"evidence", false},
};

static void rollout_noted(struct story *s, const struct rollout_action *note)
{
    struct stage_rollout *rollout = stage_rollout_of(s, note->seq);
    switch (note->note) {
    case NOTE_PAUSED:
    case NOTE_HALTED:
    case NOTE_ENDED:
        rollout->is_stopped = true;
        break;
    case NOTE_RESUMED:
    case NOTE_RETRIED:
        rollout->is_stopped = false;
        break;
    case NOTE_STARTED:
    case NOTE_RESERVED:
    case NOTE_GRANTED:
    case NOTE_RESULT:
    case NOTE_CLOSED:
    case NOTE_FAILED:
    case NOTE_UNKNOWN:
    case NOTE_CANCELLED:
    case NOTE_SKIPPED:
    case NOTE_DONE:
    case NOTE_MISSED:
    case NOTE_WAVE:
    case NOTE_HELD:
    case NOTE_EVIDENCE:
        break;
    }
}

static void
step_noted(struct story *s, struct stage_server *server, const struct rollout_action *note)
{
    struct stage_rollout *rollout = stage_rollout_of(s, note->seq);
    struct stage_command *command = command_of(s, server->index, note->cmd_id);
    if (note->note == NOTE_RESERVED)
        command->is_reserved = true;
    if (note->note == NOTE_GRANTED) {
        command->is_granted = true;
        if (rollout->is_stopped)
            stage_break(s,
                        "I10 %s is granted while r-%04llu is stopped",
                        server->name,
                        (unsigned long long)note->seq);
    }
    if (note->note == NOTE_CLOSED)
        check_proved(s->check, server->index, note->cmd_id);
}

void stage_noted(void *context,
                 const struct rollout_action *note,
                 const char *server_name,
                 struct cas_now now)
{
    struct story *s = context;
    struct stage_server *server = server_name[0] == '\0' ? NULL : stage_find(s, server_name);
    char words[200], id[24];
    (void)now;
    bool is_run = s->run_seq == note->seq;
    if (is_run)
        s->run_seq = 0;
    if (is_run || (s->has_schedule && !stage_rollout_of(s, note->seq)->is_ordered))
        stage_run_check(s, note->seq);
    rollout_noted(s, note);
    stage_calendar_noted(s, note);
    stage_mark_reason(s, note->reason);
    if (server != NULL)
        step_noted(s, server, note);
    words_tell(server, note->words, words, sizeof words);
    (void)snprintf(id, sizeof id, "r-%04llu", (unsigned long long)note->seq);
    if (note->note == NOTE_GRANTED)
        (void)snprintf(words,
                       sizeof words,
                       "attempt %u",
                       story_step(s, note->seq, server_name)->attempt);
    stage_line_add(s,
                   note_words[note->note].is_main,
                   "%s %s %s",
                   note_words[note->note].word,
                   server == NULL ? id : server->name,
                   words);
}

/* ---- what goes over the wire ---- */

static struct cas_arena *decode(struct cas_slice bytes, struct message *ret_message)
{
    struct cas_arena *arena = NULL;
    struct cas_why why = {.text = ""};
    stage_need(cas_arena_open(WIRE_ARENA_BYTES, &arena), &why, "frame");
    stage_need(message_decode(bytes, arena, ret_message, &why), &why, "frame");
    return arena;
}

void stage_saw_up(struct stage_server *server, struct cas_slice bytes)
{
    struct message message;
    enum message_type type = stage_type(bytes);
    if (type != MESSAGE_claim && type != MESSAGE_revoked && type != MESSAGE_nack)
        return;
    struct cas_arena *arena = decode(bytes, &message);
    struct check *check = server->story->check;
    if (type == MESSAGE_nack) {
        stage_mark_nack(server->story, (enum nack_reason)message.as.nack.reason);
    } else if (type == MESSAGE_revoked) {
        check_gave_back(check, server->index, message.as.revoked.cmd_id);
    } else {
        struct check_nonce nonce = {.server = server->index,
                                    .at_ms = server->story->now_ms,
                                    .wall_ms = stage_now(server->story, &server->clock).wall_ms};
        memcpy(nonce.cmd_id, message.as.claim.cmd_id, CAS_ID_BYTES);
        memcpy(nonce.nonce, message.as.claim.nonce, CAS_ID_BYTES);
        check_claimed(check, &nonce);
    }
    cas_arena_free(arena);
}

static void ack_saw(struct stage_server *server, const struct message_ack *ack)
{
    struct story *s = server->story;
    if (!ack->has_spool_id || !ack->has_upto_seq)
        return;
    struct stage_acked *kept = NULL;
    for (size_t i = 0; i < s->acked_n && kept == NULL; i++) {
        if (memcmp(s->acked[i].spool_id, ack->spool_id, CAS_ID_BYTES) == 0)
            kept = &s->acked[i];
    }
    if (kept == NULL) {
        CAS_ASSERT(s->acked_n < CAS_COUNT(s->acked));
        kept = &s->acked[s->acked_n++];
        *kept = (struct stage_acked){.server_id = server->server_id};
        memcpy(kept->spool_id, ack->spool_id, CAS_ID_BYTES);
    }
    if (ack->upto_seq > kept->upto)
        kept->upto = ack->upto_seq;
}

static void order_of(const struct message_grant *grant, struct record_order *ret_order)
{
    CAS_AUTO(cas_arena) arena = NULL;
    struct cas_why why = {.text = ""};
    stage_need(cas_arena_open(WIRE_ARENA_BYTES, &arena), &why, "order");
    stage_need(record_decode(RECORD_order, grant->order, arena, ret_order, &why), &why, "order");
}

/* What is sent must have been committed: an OFFER its slot (R4), a GRANT itself. A revoked key gets
 * nothing (I7). */
void stage_saw_down(struct stage_server *server, struct cas_slice bytes)
{
    struct story *s = server->story;
    struct message message;
    enum message_type type = stage_type(bytes);
    if (server->is_revoked || server->server_id == 0)
        stage_break(s, "I7 %s is not approved and is sent %s", server->name, message_name(type));
    if (type != MESSAGE_offer && type != MESSAGE_grant && type != MESSAGE_ack)
        return;
    struct cas_arena *arena = decode(bytes, &message);
    const struct stage_command *command = NULL;
    struct record_order order;
    if (type == MESSAGE_ack) {
        ack_saw(server, &message.as.ack);
    } else if (type == MESSAGE_offer) {
        command = command_find(s, message.as.offer.cmd_id);
        if (command == NULL || !command->is_reserved)
            stage_break(s, "R4 %s is offered what is not committed", server->name);
    } else {
        order_of(&message.as.grant, &order);
        command = command_find(s, order.cmd_id);
        if (command == NULL || !command->is_granted)
            stage_break(s, "R4 %s is granted what is not committed", server->name);
    }
    cas_arena_free(arena);
}

void stage_saw_delivered(struct stage_server *server, struct cas_slice bytes, int64_t sent_ms)
{
    struct message message;
    struct record_order order;
    if (stage_type(bytes) != MESSAGE_grant)
        return;
    struct cas_arena *arena = decode(bytes, &message);
    order_of(&message.as.grant, &order);
    check_granted(server->story->check, server->index, order.cmd_id, order.nonce, sent_ms);
    cas_arena_free(arena);
}

void stage_saw_heartbeat(struct stage_server *server, const struct stage_frame *frame)
{
    check_heard(server->story->check,
                server->index,
                frame->echo_ms,
                frame->is_good,
                server->story->now_ms);
}

/* ---- what the servers really did ---- */

static void effect_take(struct stage_server *server, const struct host_sim_effect *effect)
{
    struct story *s = server->story;
    size_t before = worker_of(server, effect->pid_before);
    size_t after = worker_of(server, effect->pid_after);
    struct check_time time = {.at_ms = s->now_ms, .wall_ms = stage_now(s, &server->clock).wall_ms};
    stage_trace(s, effect->outcome, strlen(effect->outcome));
    stage_trace_number(s, (uint64_t)effect->kind << 32 | effect->pid_after);
    check_effect(s->check, server->index, effect, &time);
    if (effect->kind == HOST_SIM_RECYCLE || effect->kind == HOST_SIM_SELF)
        stage_line_add(s,
                       effect->kind == HOST_SIM_RECYCLE,
                       "%s %s, worker w%zu is now w%zu%s%s",
                       effect->kind == HOST_SIM_RECYCLE ? "act" : "self",
                       server->name,
                       before,
                       after,
                       strcmp(effect->outcome, "ok") == 0 ? "" : ", ",
                       strcmp(effect->outcome, "ok") == 0 ? "" : effect->outcome);
    else if (effect->kind != HOST_SIM_OUT && effect->kind != HOST_SIM_IN)
        stage_line_add(s,
                       false,
                       "%s %s",
                       effect->kind == HOST_SIM_DRAIN ? "drain" : "undrain",
                       server->name);
}

void stage_effects(struct stage_server *server)
{
    while (server->effect_n < host_sim_effect_n(server->model)) {
        struct host_sim_effect effect = *host_sim_effect(server->model, server->effect_n++);
        effect_take(server, &effect);
    }
}

/* ---- at the end ---- */

struct kept { /* records of one spool in the store */
    struct story *story;
    const struct stage_acked *acked;
    uint8_t *times; /* [upto + 1] */
};

static void kept_count(struct kept *kept, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last && seq <= kept->acked->upto; seq++) {
        if (kept->times[seq] < UINT8_MAX)
            kept->times[seq]++;
    }
}

static enum cas_err on_entry(void *context,
                             uint32_t server_id,
                             const uint8_t *spool_id,
                             const struct record_entry *entry)
{
    struct kept *kept = context;
    (void)server_id;
    if (memcmp(spool_id, kept->acked->spool_id, CAS_ID_BYTES) != 0)
        return CAS_OK;
    if (entry->kind != ENTRY_GAP) {
        kept_count(kept, entry->seq, entry->seq);
        return CAS_OK;
    }
    CAS_AUTO(cas_arena) arena = NULL;
    struct record_gap gap;
    struct cas_why why = {.text = ""};
    stage_need(cas_arena_open(WIRE_ARENA_BYTES, &arena), &why, "gap");
    stage_need(record_decode(RECORD_gap, entry->body, arena, &gap, &why), &why, "gap");
    kept_count(kept, gap.first_seq, gap.last_seq);
    return CAS_OK;
}

/* I5: what was acknowledged can be read, exactly once. */
static void reports_check(struct story *s, const struct stage_acked *acked)
{
    struct kept kept = {.story = s, .acked = acked, .times = calloc(acked->upto + 1, 1)};
    CAS_ASSERT(kept.times != NULL);
    struct cas_why why = {.text = ""};
    struct store *store = controller_store(s->controller);
    stage_need(store_entries(store, acked->server_id, on_entry, &kept, &why), &why, "entries");
    for (uint64_t seq = 1; seq <= acked->upto; seq++) {
        if (kept.times[seq] != 1) {
            stage_break(s,
                        "I5 record %llu of server %u was acknowledged and is there %u times",
                        (unsigned long long)seq,
                        acked->server_id,
                        kept.times[seq]);
            break;
        }
    }
    free(kept.times);
}

struct audited {
    size_t granted_n, back_n;
};

static void audit_count(void *context, uint64_t id, const struct store_audit *audit)
{
    struct audited *audited = context;
    (void)id;
    audited->granted_n += strcmp(audit->verb, "step.granted") == 0 ? 1 : 0;
    audited->back_n += strcmp(audit->verb, "database.back") == 0 ? 1 : 0;
}

/* I6: what a server did on an order has its row in the audit. Only of a database that has gone back
 * is it said. */
static void audit_check(struct story *s, const struct stage_server *server)
{
    struct audited audited = {.granted_n = 0};
    size_t done_n = check_recycles(s->check, server->index);
    struct cas_why why = {.text = ""};
    stage_need(store_audit_read(controller_store(s->controller),
                                server->name,
                                1000,
                                audit_count,
                                &audited,
                                &why),
               &why,
               "audit");
    if (audited.back_n > 0)
        stage_break(s, "I6 %s: the database is said to have gone back", server->name);
    if (audited.granted_n < done_n)
        stage_break(s,
                    "I6 %s was recycled %zu times and the audit has %zu grants",
                    server->name,
                    done_n,
                    audited.granted_n);
}

bool story_check(struct story *s)
{
    if (s->controller == NULL) {
        story_controller_starts(s);
        story_pass(s, 10);
    }
    /* A restored database has lost what it had acknowledged; old reports expire by the wall clock.
     */
    for (size_t i = 0; i < s->acked_n && !s->has_restore && !s->has_clock_fault; i++)
        reports_check(s, &s->acked[i]);
    for (size_t i = 0; i < s->server_n && !s->has_restore; i++)
        audit_check(s, s->server[i]);
    return s->broken[0] == '\0';
}

static enum cas_err entry_count(void *context,
                                uint32_t server_id,
                                const uint8_t *spool_id,
                                const struct record_entry *entry)
{
    size_t *n = context;
    (void)server_id;
    (void)spool_id;
    (void)entry;
    (*n)++;
    return CAS_OK;
}

size_t story_kept(struct story *s, const char *name)
{
    size_t n = 0;
    struct cas_why why = {.text = ""};
    uint32_t server_id = stage_find(s, name)->server_id;
    stage_need(store_entries(controller_store(s->controller), server_id, entry_count, &n, &why),
               &why,
               name);
    return n;
}

bool story_is_settled(struct story *s)
{
    const struct rollout_book *book = controller_book(s->controller);
    for (size_t i = 0; i < rollout_book_size(book); i++) {
        const struct rollout *rollout = rollout_at(book, i);
        for (size_t k = 0; k < rollout->step_n; k++) {
            switch (rollout->step[k].state) {
            case STEP_RESERVED:
            case STEP_GRANTED:
            case STEP_PROVING:
            case STEP_CANCELLING:
                return false;
            case STEP_PENDING:
            case STEP_CLOSED:
            case STEP_FAILED:
            case STEP_UNKNOWN:
            case STEP_CANCELLED:
            case STEP_SKIPPED:
                break;
            }
        }
    }
    return true;
}
