#include "agent/agent_loop.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent_loop_state.h"
#include "proto/base/log.h"

enum {
    LOOK_MS = 2500,          /* between looks at the pool */
    LOOK_ACTING_MS = 1000,   /* while a command is in hand */
    LOOK_EARLY_MS = 750,     /* with what else is due: waking up costs more than looking */
    HEARTBEAT_GAP_MS = 1000, /* between heartbeats that no TICK asked for */
    REPORT_SPREAD_MS = 5000, /* a farm that comes back together does not report together */
    WRITABLE_MS = 300000, /* between checks of the ledger's reserve; sooner when the outbox fails */
    WRITABLE_OLD_MS = 60000, /* a check older than this does not answer for a new command */
    WRITABLE_BAD_MS = 5000,  /* while it is missing */
    SILENT_MS = 4 * TICK_MS, /* no TICK for so long: HELLO again */
    NACK_GAP_MS = 1000,
    REPORT_ARENA_BYTES = 2 * WIRE_ARENA_BYTES,
};

/* ---- sending ---- */

void agent_send_message(struct agent *agent, const struct message *message)
{
    size_t size = 0;
    struct cas_why why = {.text = ""};
    enum cas_err err = message_encode(message, agent->frame, sizeof agent->frame, &size, &why);
    if (err != CAS_OK) {
        log_event(EVENT_GRANT_REFUSED,
                  "message=%s not sent: %s",
                  message_name(message->type),
                  why.text);
        return;
    }
    agent->send(agent->context, (struct cas_slice){(const char *)agent->frame, size});
}

static void nack(struct agent *agent, enum nack_reason reason, const char *text)
{
    if (agent->now.mono_ms - agent->nack_ms < NACK_GAP_MS)
        return;
    agent->nack_ms = agent->now.mono_ms;
    struct message message = {.type = MESSAGE_nack};
    message.as.nack.reason = reason;
    message.as.nack.has_text = true;
    message.as.nack.text = cas_slice_of(text);
    message.as.nack.has_epoch_max = true;
    message.as.nack.epoch_max = verb_epoch(agent->desk);
    agent_send_message(agent, &message);
}

static void hello(struct agent *agent)
{
    struct message message = {.type = MESSAGE_hello};
    struct message_hello *hello = &message.as.hello;
    hello->agent_ver = cas_slice_of(CASFLEET_VERSION);
    memcpy(hello->boot_id, agent->boot_id, CAS_ID_BYTES);
    hello->epoch_max = verb_epoch(agent->desk);
    hello->journal_head = ledger_head(agent->ledger);
    memcpy(hello->spool_id, outbox_spool_id(agent->outbox), CAS_ID_BYTES);
    hello->spool_lo = outbox_low(agent->outbox);
    hello->spool_hi = outbox_high(agent->outbox);
    hello->wall_ms = agent->now.wall_ms;
    agent->hello_ms = agent->now.mono_ms + RESEND_MS;
    agent_send_message(agent, &message);
}

/* Text of the host as the wire takes it, in place; "" becomes absent. */
static bool text_put(char *text, struct cas_slice *ret_slice)
{
    *ret_slice = cas_slice_of(text);
    for (char *at = text; !cas_is_clean_text(*ret_slice) && *at != '\0'; at++) {
        if (*at < ' ' || *at > '~')
            *at = '?';
    }
    return text[0] != '\0';
}

struct look {
    uint64_t head;
    struct host_pool pool;
};

/* The tail changes with the head alone, and the head with commands alone: it is read once. */
static void tail_look(struct agent *agent, uint64_t head)
{
    struct ledger_row row[WIRE_TAIL];
    size_t row_n = 0;
    if (agent->has_tail && agent->tail_head == head)
        return;
    agent->has_tail = ledger_tail(agent->ledger, row, WIRE_TAIL, &row_n) == CAS_OK;
    agent->tail_head = head;
    agent->tail_n = agent->has_tail ? row_n : 0;
    for (size_t i = 0; i < agent->tail_n; i++) {
        memcpy(agent->tail[i].cmd_id, row[i].cmd_id, CAS_ID_BYTES);
        agent->tail[i].state = row[i].state;
        agent->tail[i].seq = row[i].seq;
    }
}

/* Reads the veto; a change is told and logged once. */
static void hold_look(struct agent *agent)
{
    if (agent->hold_path[0] == '\0')
        return;
    struct hold hold;
    hold_read(agent->hold_path, &hold);
    bool is_news = hold.is_held != agent->hold.is_held ||
                   (hold.is_held && (hold.since_ms != agent->hold.since_ms ||
                                     strcmp(hold.reason, agent->hold.reason) != 0));
    agent->hold = hold;
    if (!is_news)
        return;
    agent->is_heartbeat_due = true;
    if (hold.is_held)
        log_event(EVENT_HELD, "by=%s: %s", hold.by, hold.reason);
    else
        log_event(EVENT_RELEASED, "by=%s", hold.by[0] != '\0' ? hold.by : "-");
}

/* The journal first, the probe after: what the probe saw is then not older than the position told
 * with it, which is what makes it a proof. */
static void look(struct agent *agent, struct look *ret_look)
{
    hold_look(agent);
    ret_look->head = ledger_head(agent->ledger);
    tail_look(agent, ret_look->head);
    struct host_pool *pool = &ret_look->pool;
    struct cas_why why = {.text = ""};
    struct host *host = agent->host;
    memset(pool, 0, sizeof *pool);
    enum cas_err err = host->ops->pool(host, agent->now, agent->pool[0], pool, &why);
    if (err != CAS_OK) {
        memset(pool, 0, sizeof *pool);
        struct cas_text reason = CAS_TEXT(pool->reason);
        cas_text_clear(&reason);
        cas_text_add(&reason, "%s", why.text[0] != '\0' ? why.text : cas_err_words(err));
    }
    agent->look_ms = agent->now.mono_ms + (verb_is_acting(agent->desk) ? LOOK_ACTING_MS : LOOK_MS);
    if (symptom_plan_pool(&agent->plan, pool))
        agent->is_heartbeat_due = true;
}

static void heartbeat_send(struct agent *agent, struct look *seen)
{
    struct host_pool *pool = &seen->pool;
    struct record_worker worker[HOST_WORKERS];
    struct message message = {.type = MESSAGE_hb};
    struct message_hb *hb = &message.as.hb;
    memcpy(hb->boot_id, agent->boot_id, CAS_ID_BYTES);
    hb->echo = agent->echo;
    hb->epoch = agent->echo_epoch;
    hb->journal_head = seen->head;
    hb->tail = agent->tail;
    hb->tail_n = agent->tail_n;
    hb->health = pool->health;
    hb->has_health_reason =
        pool->health != HEALTH_GOOD && text_put(pool->reason, &hb->health_reason);
    for (size_t i = 0; i < pool->worker_n; i++) {
        if (pool->worker[i].pid == 0)
            continue;
        worker[hb->workers_n++] = (struct record_worker){.pid = pool->worker[i].pid,
                                                         .start_ms = pool->worker[i].start_ms};
    }
    hb->workers = worker;
    hb->is_drained = pool->is_drained;
    hb->has_maintenance = text_put(pool->maintenance, &hb->maintenance);
    hb->has_active_requests = pool->has_requests && cas_is_number(pool->active_requests);
    hb->active_requests = hb->has_active_requests ? pool->active_requests : 0.0;
    hb->wall_ms = agent->now.wall_ms;
    hb->is_journal_writable = agent->is_writable;
    hb->probe_seq = pool->probe_seq;
    const struct hold *hold = &agent->hold;
    hb->has_held_reason = hold->is_held;
    hb->held_reason = cas_slice_of(hold->reason);
    hb->has_held_by = hold->is_held;
    hb->held_by = cas_slice_of(hold->by);
    hb->has_held_since_ms = hold->is_held && hold->since_ms != 0;
    hb->held_since_ms = hold->since_ms;
    agent->heartbeat_ms = agent->now.mono_ms;
    agent->is_heartbeat_due = false;
    agent->counts.heartbeats++;
    agent_send_message(agent, &message);
}

static void heartbeat(struct agent *agent)
{
    struct look seen;
    look(agent, &seen);
    heartbeat_send(agent, &seen);
}

/* ---- the desk's callbacks ---- */

static void desk_send(void *context, const struct message *message)
{
    agent_send_message(context, message);
}

static void desk_random(void *context, uint8_t *ret_bytes, size_t size)
{
    struct agent *agent = context;
    agent->random(agent->context, ret_bytes, size);
}

static bool desk_held(void *context, struct cas_why *why)
{
    struct agent *agent = context;
    hold_look(agent);
    struct cas_text text = CAS_TEXT(why->text);
    if (agent->hold.is_held) {
        cas_text_clear(&text);
        hold_words(&agent->hold, &text);
    }
    return agent->hold.is_held;
}

static enum event event_of(enum verb_news news)
{
    switch (news) {
    case VERB_NEWS_CLAIMED:
        return EVENT_CLAIMED;
    case VERB_NEWS_REFUSED:
        return EVENT_GRANT_REFUSED;
    case VERB_NEWS_INTENT:
    case VERB_NEWS_DONE:
    case VERB_NEWS_REVOKED:
        return EVENT_ACTED;
    case VERB_NEWS_FAILED:
        return EVENT_ACT_FAILED;
    case VERB_NEWS_UNKNOWN:
        return EVENT_ACT_UNKNOWN;
    case VERB_NEWS_JOURNAL:
        return EVENT_JOURNAL_FAILED;
    case VERB_NEWS_EPOCH:
        return EVENT_EPOCH_STEPPED;
    case VERB_NEWS_STALE:
        return EVENT_EPOCH_STALE;
    }
    return EVENT_NONE;
}

static const char *news_words(enum verb_news news)
{
    static const char *const words[] = {
        [VERB_NEWS_CLAIMED] = "claimed",
        [VERB_NEWS_REFUSED] = "refused",
        [VERB_NEWS_INTENT] = "begun",
        [VERB_NEWS_DONE] = "done",
        [VERB_NEWS_FAILED] = "failed",
        [VERB_NEWS_UNKNOWN] = "unknown",
        [VERB_NEWS_REVOKED] = "revoked",
        [VERB_NEWS_JOURNAL] = "journal",
        [VERB_NEWS_EPOCH] = "epoch",
        [VERB_NEWS_STALE] = "stale",
    };
    return words[news];
}

static void desk_tell(void *context, const struct verb_told *told)
{
    struct agent *agent = context;
    char cmd[2 * CAS_ID_BYTES + 1] = "-";
    if (told->cmd_id != NULL)
        cas_hex(told->cmd_id, CAS_ID_BYTES, cmd);
    const char *verb = verb_name(told->verb);
    log_event(event_of(told->news),
              "state=%s cmd=%s verb=%s epoch=%llu: %s",
              news_words(told->news),
              cmd,
              verb == NULL ? "-" : verb,
              (unsigned long long)(agent->desk == NULL ? 0 : verb_epoch(agent->desk)),
              told->text);
    if (told->news == VERB_NEWS_JOURNAL)
        agent->writable_ms = agent->now.mono_ms;
    if (told->news == VERB_NEWS_DONE || told->news == VERB_NEWS_FAILED ||
        told->news == VERB_NEWS_UNKNOWN)
        agent->is_heartbeat_due = true;
}

/* ---- opening ---- */

static void keys_random_for(void *context, uint8_t *ret_bytes, size_t size)
{
    (void)context;
    keys_random(ret_bytes, size);
}

static enum cas_err
pools_take(struct agent *agent, const struct agent_settings *settings, struct cas_why *why)
{
    if (settings->pool_n == 0 || settings->pool_n > POOLS_ALLOWED)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%zu pools, possible are 1 to %d",
                        settings->pool_n,
                        (int)POOLS_ALLOWED);
    for (size_t i = 0; i < settings->pool_n; i++) {
        struct cas_slice name = cas_slice_of(settings->pool[i]);
        if (name.size == 0 || !cas_is_clean_text(name) ||
            cas_slice_copy(name, agent->pool[i], POOL_BYTES) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "pool %zu: a name has 1 to %d bytes of plain text",
                            i + 1,
                            (int)POOL_BYTES - 1);
    }
    agent->pool_n = settings->pool_n;
    return CAS_OK;
}

static enum cas_err
parts_open(struct agent *agent, const struct agent_settings *settings, struct cas_why *why)
{
    enum cas_err err = cas_arena_open(REPORT_ARENA_BYTES, &agent->arena);
    if (err != CAS_OK)
        return cas_fail(why, err, "no memory for a frame");
    err = ledger_open(settings->ledger_path, &agent->ledger, why);
    if (err != CAS_OK)
        return err;
    err = outbox_open(settings->outbox_path,
                      settings->outbox_bytes > 0 ? settings->outbox_bytes : OUTBOX_BYTES,
                      &agent->outbox,
                      why);
    if (err != CAS_OK)
        return err;
    struct verb_settings desk = {.ledger = agent->ledger,
                                 .host = agent->host,
                                 .self = settings->self,
                                 .command = settings->command,
                                 .allowed = (const char(*)[POOL_BYTES])agent->pool,
                                 .allowed_n = agent->pool_n,
                                 .send = desk_send,
                                 .random = desk_random,
                                 .tell = desk_tell,
                                 .held = desk_held,
                                 .context = agent};
    return verb_desk_open(&desk, agent->now, &agent->desk, why);
}

enum cas_err agent_open(const struct agent_settings *settings,
                        struct cas_now now,
                        struct agent **ret_agent,
                        struct cas_why *why)
{
    CAS_AUTO(agent) agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the agent");
    agent->host = settings->host;
    agent->self = settings->self;
    agent->send = settings->send;
    agent->random = settings->random == NULL ? keys_random_for : settings->random;
    agent->context = settings->context;
    agent->seed = settings->seed;
    agent->now = now;
    enum cas_err err = pools_take(agent, settings, why);
    if (err == CAS_OK && cas_slice_copy(cas_slice_of(settings->hold_path),
                                        agent->hold_path,
                                        sizeof agent->hold_path) != CAS_OK)
        err = cas_fail(why, CAS_ERR_TOO_LONG, "the hold file's path is too long");
    if (err == CAS_OK)
        err = parts_open(agent, settings, why);
    if (err != CAS_OK)
        return err;
    agent->random(agent->context, agent->boot_id, CAS_ID_BYTES);
    struct symptom_pace pace = symptom_pace_usual();
    pace.sample_ms = settings->sample_ms > 0 ? settings->sample_ms : pace.sample_ms;
    pace.report_ms = settings->report_ms > 0 ? settings->report_ms : pace.report_ms;
    symptom_plan_init(&agent->plan, &pace, now, settings->seed);
    if (ledger_note_get(agent->ledger, AGENT_BOOKMARK, agent->bookmark, sizeof agent->bookmark) !=
        CAS_OK)
        agent->bookmark[0] = '\0';
    agent->is_writable = true;
    agent->writable_ms = now.mono_ms;
    agent->settled_ms = now.mono_ms - SAMPLE_MS;
    agent->look_ms = now.mono_ms;
    agent->heartbeat_ms = now.mono_ms - HEARTBEAT_GAP_MS;
    agent->nack_ms = now.mono_ms - NACK_GAP_MS;
    agent->clock_offset_ms = now.wall_ms - now.mono_ms;
    *ret_agent = CAS_TAKE(agent);
    return CAS_OK;
}

void agent_free(struct agent *agent)
{
    if (agent == NULL)
        return;
    verb_desk_free(agent->desk);
    outbox_free(agent->outbox);
    ledger_free(agent->ledger);
    cas_arena_free(agent->arena);
    free(agent);
}

/* ---- what comes in ---- */

void agent_on_connected(struct agent *agent, struct cas_now now)
{
    agent->now = now;
    agent->is_connected = true;
    agent->is_welcome = false;
    agent->heard_ms = now.mono_ms;
    agent->is_in_flight = false;
    int64_t spread_ms = agent->plan.pace.report_ms < REPORT_SPREAD_MS ? agent->plan.pace.report_ms
                                                                      : REPORT_SPREAD_MS;
    agent->report_not_before_ms = now.mono_ms + (int64_t)(agent->seed % (uint64_t)spread_ms);
    verb_resend(agent->desk);
    verb_epoch_forget(agent->desk);
    hello(agent);
}

static void skew_check(struct agent *agent, int64_t wall_ms)
{
    int64_t off_ms = agent->now.wall_ms - wall_ms;
    bool is_skewed = off_ms > CLOCK_SKEW_MS || off_ms < -(int64_t)CLOCK_SKEW_MS;
    if (is_skewed && !agent->is_skewed)
        log_event(EVENT_SKEWED,
                  "this clock is %lld ms %s the controller's, limit %d ms",
                  (long long)(off_ms < 0 ? -off_ms : off_ms),
                  off_ms < 0 ? "behind" : "ahead of",
                  (int)CLOCK_SKEW_MS);
    agent->is_skewed = is_skewed;
}

static void on_tick(struct agent *agent, const struct message_tick *tick)
{
    if (!verb_on_epoch(agent->desk, tick->epoch)) {
        agent->counts.ticks_stale++;
        nack(agent, NACK_STALE_EPOCH, "the tick's epoch is below the highest obeyed");
        return;
    }
    bool is_other =
        !agent->has_leader || memcmp(agent->leader_id, tick->leader_id, CAS_ID_BYTES) != 0;
    memcpy(agent->leader_id, tick->leader_id, CAS_ID_BYTES);
    agent->has_leader = true;
    agent->echo = tick->tick;
    agent->echo_epoch = tick->epoch;
    agent->heard_ms = agent->now.mono_ms;
    if (tick->is_welcome && !agent->is_welcome)
        log_event(EVENT_CONNECTED, "epoch=%llu", (unsigned long long)tick->epoch);
    if (tick->is_welcome) {
        agent->is_welcome = true;
    } else if (is_other) {
        /* Another run of the controller that has not heard our HELLO. */
        agent->is_welcome = false;
        agent->hello_ms = agent->now.mono_ms;
    }
    skew_check(agent, tick->wall_ms);
    heartbeat(agent);
}

/* Nothing is dropped by such an ACK. */
static void outbox_is_older(struct agent *agent, uint64_t upto_seq)
{
    struct cas_why why = {.text = ""};
    uint64_t high = outbox_high(agent->outbox);
    if (outbox_renew(agent->outbox, &why) != CAS_OK) {
        log_event(EVENT_OUTBOX_FAILED, "%s", why.text);
        return;
    }
    log_event(EVENT_OUTBOX_OLDER,
              "the controller has records up to %llu of it, it ends at %llu",
              (unsigned long long)upto_seq,
              (unsigned long long)high);
    agent->is_in_flight = false;
    agent->is_report_due = true;
    hello(agent);
}

static void on_ack(struct agent *agent, const struct message_ack *ack)
{
    verb_on_ack(agent->desk, ack);
    if (!ack->has_spool_id || !ack->has_upto_seq ||
        memcmp(ack->spool_id, outbox_spool_id(agent->outbox), CAS_ID_BYTES) != 0)
        return;
    if (ack->upto_seq > outbox_high(agent->outbox)) {
        outbox_is_older(agent, ack->upto_seq);
        return;
    }
    uint64_t low = outbox_low(agent->outbox);
    if (low == 0 || ack->upto_seq < low)
        return;
    struct cas_why why = {.text = ""};
    enum cas_err err = outbox_drop_upto(agent->outbox, ack->upto_seq, &why);
    if (err != CAS_OK) {
        log_event(EVENT_OUTBOX_FAILED, "%s", why.text);
        return;
    }
    uint64_t left = outbox_low(agent->outbox);
    agent->counts.records_acked += (left == 0 ? outbox_high(agent->outbox) + 1 : left) - low;
    if (agent->is_in_flight && ack->upto_seq >= agent->in_flight_upto)
        agent->is_in_flight = false;
}

static void writable_check(struct agent *agent)
{
    if (agent->now.mono_ms < agent->writable_ms)
        return;
    agent->checked_ms = agent->now.mono_ms;
    struct cas_why why = {.text = ""};
    bool is_writable = ledger_is_writable(agent->ledger, &why);
    if (is_writable != agent->is_writable) {
        agent->is_heartbeat_due = true;
        if (is_writable)
            log_event(EVENT_DISK_BACK, "the journal can be written again");
        else
            log_event(EVENT_JOURNAL_FAILED, "%s", why.text);
    }
    agent->is_writable = is_writable;
    agent->writable_ms = agent->now.mono_ms + (is_writable ? WRITABLE_MS : WRITABLE_BAD_MS);
}

/* Told before the NACK: so the controller holds the command and does not offer it again. */
static void hold_recheck(struct agent *agent)
{
    bool was_held = agent->hold.is_held;
    hold_look(agent);
    if (agent->hold.is_held != was_held)
        heartbeat(agent);
}

/* Told before the CLAIM: so the controller holds the command, where it would else hear it fail. */
static void writable_recheck(struct agent *agent)
{
    if (agent->now.mono_ms - agent->checked_ms < WRITABLE_OLD_MS)
        return;
    bool was_writable = agent->is_writable;
    agent->writable_ms = agent->now.mono_ms;
    writable_check(agent);
    if (agent->is_writable != was_writable)
        heartbeat(agent);
}

static void on_message(struct agent *agent, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_tick:
        on_tick(agent, &message->as.tick);
        return;
    case MESSAGE_ack:
        on_ack(agent, &message->as.ack);
        return;
    case MESSAGE_offer:
        writable_recheck(agent);
        hold_recheck(agent);
        verb_on_offer(agent->desk, &message->as.offer, agent->now);
        return;
    case MESSAGE_grant:
        hold_recheck(agent);
        verb_on_grant(agent->desk, &message->as.grant, agent->now);
        return;
    case MESSAGE_revoke:
        verb_on_revoke(agent->desk, &message->as.revoke, agent->now);
        return;
    case MESSAGE_plan:
        verb_on_plan(agent->desk, &message->as.plan);
        return;
    case MESSAGE_keyset: /* the keys pinned at the start stay in force */
        return;
    case MESSAGE_NONE:
    case MESSAGE_hello:
    case MESSAGE_hb:
    case MESSAGE_report:
    case MESSAGE_claim:
    case MESSAGE_result:
    case MESSAGE_revoked:
    case MESSAGE_nack:
    case MESSAGE_ask:
    case MESSAGE_answer:
        break;
    }
    agent->counts.frames_bad++;
    nack(agent, NACK_VERSION, "not a message for an agent");
}

void agent_on_frame(struct agent *agent, struct cas_slice frame, struct cas_now now)
{
    agent->now = now;
    cas_arena_clear(agent->arena);
    struct message message;
    struct cas_why why = {.text = ""};
    enum cas_err err = message_decode(frame, agent->arena, &message, &why);
    if (err == CAS_OK) {
        on_message(agent, &message);
        return;
    }
    agent->counts.frames_bad++;
    why.text[sizeof why.text / 2] = '\0';
    nack(agent, NACK_VERSION, why.text);
}

/* ---- the tick ---- */

static void clock_check(struct agent *agent)
{
    int64_t offset_ms = agent->now.wall_ms - agent->now.mono_ms;
    int64_t jump_ms = offset_ms - agent->clock_offset_ms;
    if (jump_ms > CLOCK_SKEW_MS || jump_ms < -(int64_t)CLOCK_SKEW_MS)
        log_event(EVENT_CLOCK_JUMPED, "by %lld ms", (long long)jump_ms);
    agent->clock_offset_ms = offset_ms;
}

static void presence(struct agent *agent)
{
    if (!agent->is_connected)
        return;
    int64_t silent_ms = agent->now.mono_ms - agent->heard_ms;
    if (silent_ms > SILENT_MS) {
        /* Whom we obeyed is gone: what only he said of epochs is no reason to refuse another. */
        verb_epoch_forget(agent->desk);
        agent->heard_ms = agent->now.mono_ms;
    }
    if (silent_ms > SILENT_MS && agent->is_welcome) {
        log_event(EVENT_DISCONNECTED,
                  "nothing for %lld ms; reports wait on disk",
                  (long long)silent_ms);
        agent->is_welcome = false;
        agent->is_in_flight = false;
        agent->hello_ms = agent->now.mono_ms;
    }
    if (!agent->is_welcome && agent->now.mono_ms >= agent->hello_ms)
        hello(agent);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t agent_tick(struct agent *agent, struct cas_now now)
{
    agent->now = now;
    clock_check(agent);
    int64_t due_ms = verb_on_tick(agent->desk, now);
    writable_check(agent);
    bool is_free = agent->is_welcome && now.mono_ms - agent->heartbeat_ms >= HEARTBEAT_GAP_MS;
    unsigned due = symptom_plan_due(&agent->plan, now);
    int64_t look_ms = due == 0 ? agent->look_ms : agent->look_ms - LOOK_EARLY_MS;
    if (now.mono_ms >= look_ms || (agent->is_heartbeat_due && is_free)) {
        struct look seen;
        look(agent, &seen);
        if (agent->is_heartbeat_due && is_free)
            heartbeat_send(agent, &seen);
    }
    due = symptom_plan_due(&agent->plan, now); /* the look may have found more */
    unsigned to_collect = due & (SYMPTOM_DUE_SAMPLE | SYMPTOM_DUE_EVENTS | SYMPTOM_DUE_FACTS);
    if (to_collect != 0)
        agent_collect(agent, to_collect);
    if ((symptom_plan_due(&agent->plan, now) & SYMPTOM_DUE_REPORT) != 0) {
        agent->is_report_due = true;
        symptom_plan_done(&agent->plan, SYMPTOM_DUE_REPORT, now);
    }
    presence(agent);
    if (now.mono_ms >= agent_report_at_ms(agent))
        agent_report(agent);

    due_ms = earlier(due_ms, now.mono_ms + symptom_plan_wait_ms(&agent->plan, now));
    due_ms = earlier(due_ms, agent->look_ms);
    due_ms = earlier(due_ms, agent->writable_ms);
    due_ms = earlier(due_ms, agent_report_at_ms(agent));
    if (agent->is_connected && !agent->is_welcome)
        due_ms = earlier(due_ms, agent->hello_ms);
    if (agent->is_welcome)
        due_ms = earlier(due_ms, agent->heard_ms + SILENT_MS + 1);
    if (agent->is_welcome && agent->is_heartbeat_due)
        due_ms = earlier(due_ms, agent->heartbeat_ms + HEARTBEAT_GAP_MS);
    return due_ms;
}

void agent_give_up_waiting(struct agent *agent, struct cas_now now)
{
    verb_stop(agent->desk, now);
}

bool agent_is_acting(const struct agent *agent)
{
    return verb_is_acting(agent->desk);
}

struct agent_counts agent_counts(const struct agent *agent)
{
    struct agent_counts counts = agent->counts;
    counts.acts = verb_acts(agent->desk);
    return counts;
}
