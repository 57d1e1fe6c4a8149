#include <string.h>

#include "agent/agent_loop_state.h"
#include "proto/base/log.h"

enum {
    REPORT_GAP_MS = 100,    /* between reports of a backlog: well below PEER_RATE_PER_S */
    REPORT_WAIT_MS = 10000, /* for its ACK, then it is sent again */
    EVENTS_ROUNDS = 4,      /* of HOST_EVENTS, in one tick */
    /* What a loss of power may cost of the samples, and TICK_MS. Below SAMPLE_MS: at the usual pace
     * each waits for the disk and none is lost; an agent that samples each second waits for ten. */
    SETTLE_MS = 10000
};

/* ---- samples, events, facts ---- */

static enum cas_err
sink(void *context, enum entry_kind kind, int64_t at_ms, struct cas_slice body, struct cas_why *why)
{
    struct agent *agent = context;
    uint64_t seq = 0;
    enum cas_err err = CAS_OK;
    if (!agent->is_sink_open)
        err = agent->is_settling ? outbox_begin(agent->outbox, why)
                                 : outbox_begin_unsynced(agent->outbox, why);
    agent->is_sink_open = agent->is_sink_open || err == CAS_OK;
    if (err == CAS_OK)
        err = outbox_add(agent->outbox, kind, at_ms, body, &seq, why);
    agent->is_sink_spoilt = agent->is_sink_spoilt || err != CAS_OK;
    return err;
}

/* Commits what the sink took, if anything: an empty transaction is never begun. */
static enum cas_err sink_end(struct agent *agent, enum cas_err err, struct cas_why *why)
{
    if (!agent->is_sink_open)
        return err;
    agent->is_sink_open = false;
    enum cas_err done = outbox_commit(agent->outbox, err == CAS_OK ? why : NULL);
    agent->is_unsettled = agent->is_unsettled || (done == CAS_OK && !agent->is_settling);
    return err == CAS_OK ? done : err;
}

/* Told once, once more when it begins to cost samples, and what it cost when it is over. */
static void
outbox_failed(struct agent *agent, enum cas_err err, bool is_kept, const struct cas_why *why)
{
    bool is_first_loss = !is_kept && agent->outage_lost_n <= 1;
    if (!agent->is_outbox_failing || is_first_loss)
        log_event(err == CAS_ERR_FULL ? EVENT_DISK_FULL : EVENT_OUTBOX_FAILED,
                  "%s; %s",
                  why->text,
                  is_kept ? "no sample is lost by it, and it is tried again"
                          : "samples are dropped and counted");
    agent->is_outbox_failing = true;
    agent->writable_ms = agent->now.mono_ms;
}

static enum cas_err loss_tell(struct agent *agent, struct cas_why *why)
{
    uint8_t bytes[WIRE_BODY_BYTES];
    size_t size = 0;
    struct record_event event = {.id = EVENT_DISK_FULL,
                                 .provider = cas_slice_of("casfleet"),
                                 .count = agent->samples_lost,
                                 .has_text = true,
                                 .text =
                                     cas_slice_of("samples not kept: they could not be written")};
    enum cas_err err = record_encode(RECORD_event, &event, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    return sink(agent,
                ENTRY_EVENT,
                agent->now.wall_ms,
                (struct cas_slice){(const char *)bytes, size},
                why);
}

/* A host that cannot be asked now is no reason to lose the sample beside it: only the outbox's
 * errors count. */
static enum cas_err host_err(const struct agent *agent, enum cas_err err)
{
    return agent->is_sink_spoilt ? err : CAS_OK;
}

static enum cas_err
events_collect(struct agent *agent, char bookmark[REASON_BYTES], struct cas_why *why)
{
    bool is_more = true;
    for (int round = 0; is_more && round < EVENTS_ROUNDS; round++) {
        enum cas_err err = symptom_events(agent->host,
                                          agent->now,
                                          &agent->plan,
                                          sink,
                                          agent,
                                          bookmark,
                                          &is_more,
                                          why);
        if (err != CAS_OK)
            return host_err(agent, err);
    }
    return CAS_OK;
}

static enum cas_err sample_collect(struct agent *agent, unsigned due, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    bool is_read = false;
    size_t n = 0;
    /* What tells of a loss is no sample: it is there for good when the count begins anew. */
    agent->is_settling = agent->samples_lost > 0;
    if (agent->samples_lost > 0)
        err = loss_tell(agent, why);
    if (err == CAS_OK && (due & SYMPTOM_DUE_SAMPLE) != 0)
        err =
            symptom_sample(agent->host, agent->now, agent->pool[0], sink, agent, &is_read, &n, why);
    return sink_end(agent, err, why);
}

/* On the disk when it returns: the bookmark, and what was told of the facts, go past these. */
static enum cas_err
rest_collect(struct agent *agent, unsigned due, char bookmark[REASON_BYTES], struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    size_t n = 0;
    agent->is_settling = true;
    if ((due & SYMPTOM_DUE_FACTS) != 0)
        err = host_err(agent,
                       symptom_facts(agent->host, agent->now, &agent->facts, sink, agent, &n, why));
    if (err == CAS_OK && (due & SYMPTOM_DUE_EVENTS) != 0)
        err = events_collect(agent, bookmark, why);
    err = sink_end(agent, err, why);
    if (err != CAS_OK)
        memset(&agent->facts, 0, sizeof agent->facts);
    return err;
}

/* A failure costs no sample: they are in the file, and the next one tries again. */
static enum cas_err settle(struct agent *agent, struct cas_why *why)
{
    if (!agent->is_unsettled || agent->now.mono_ms - agent->settled_ms < SETTLE_MS)
        return CAS_OK;
    enum cas_err err = outbox_settle(agent->outbox, why);
    if (err != CAS_OK)
        return err;
    agent->is_unsettled = false;
    agent->settled_ms = agent->now.mono_ms;
    return CAS_OK;
}

/* The bookmark follows the commit of its events, so that a crash between the two tells events twice
 * rather than never. */
void agent_collect(struct agent *agent, unsigned due)
{
    struct cas_why why = {.text = ""};
    char bookmark[REASON_BYTES];
    memcpy(bookmark, agent->bookmark, sizeof bookmark);
    uint64_t high = outbox_high(agent->outbox);
    agent->is_sink_spoilt = false;
    enum cas_err err = sample_collect(agent, due, &why);
    bool is_kept = err == CAS_OK;
    if (is_kept)
        err = rest_collect(agent, due, bookmark, &why);
    if (err == CAS_OK)
        err = settle(agent, &why);
    bool is_empty = outbox_high(agent->outbox) == high;
    symptom_plan_done(&agent->plan, due, agent->now);
    if (is_kept) {
        agent->samples_lost = 0;
    } else if ((due & SYMPTOM_DUE_SAMPLE) != 0) {
        agent->samples_lost++;
        agent->outage_lost_n++;
        agent->counts.samples_dropped++;
    }
    if (err != CAS_OK) {
        outbox_failed(agent, err, is_kept, &why);
        return;
    }
    if (agent->is_outbox_failing && !is_empty) {
        log_event(EVENT_DISK_BACK,
                  "%llu samples were lost",
                  (unsigned long long)agent->outage_lost_n);
        agent->is_outbox_failing = false;
        agent->outage_lost_n = 0;
        agent->writable_ms = agent->now.mono_ms;
    }
    if (strcmp(bookmark, agent->bookmark) != 0) {
        memcpy(agent->bookmark, bookmark, sizeof bookmark);
        if (!is_empty && ledger_note_set(agent->ledger, AGENT_BOOKMARK, bookmark, &why) != CAS_OK)
            agent->writable_ms = agent->now.mono_ms;
    }
}

/* ---- reports ---- */

void agent_report(struct agent *agent)
{
    struct cas_why why = {.text = ""};
    struct record_entry *entry = NULL;
    size_t entry_n = 0;
    cas_arena_clear(agent->arena);
    enum cas_err err = outbox_read(agent->outbox, 0, agent->arena, &entry, &entry_n, &why);
    if (err != CAS_OK) {
        log_event(EVENT_OUTBOX_FAILED, "%s", why.text);
        agent->report_not_before_ms = agent->now.mono_ms + REPORT_WAIT_MS;
        return;
    }
    agent->is_report_due = entry_n == WIRE_REPORT_RECORDS;
    if (entry_n == 0)
        return;
    struct message message = {.type = MESSAGE_report};
    memcpy(message.as.report.spool_id, outbox_spool_id(agent->outbox), CAS_ID_BYTES);
    message.as.report.first_seq = entry[0].seq;
    message.as.report.entries = entry;
    message.as.report.entries_n = entry_n;
    agent->is_in_flight = true;
    agent->in_flight_upto = entry[entry_n - 1].seq;
    agent->is_report_due =
        agent->is_report_due || agent->in_flight_upto < outbox_high(agent->outbox);
    agent->report_sent_ms = agent->now.mono_ms;
    agent->report_not_before_ms = agent->now.mono_ms + REPORT_GAP_MS;
    agent->counts.reports++;
    agent_send_message(agent, &message);
}

/* The instant a report may go; INT64_MAX when nothing waits or nobody listens. One that could not
 * be read again waits as well: its ACK has been due for long. */
int64_t agent_report_at_ms(const struct agent *agent)
{
    if (!agent->is_welcome)
        return INT64_MAX;
    int64_t resend_ms = agent->report_sent_ms + REPORT_WAIT_MS;
    if (agent->is_in_flight)
        return resend_ms > agent->report_not_before_ms ? resend_ms : agent->report_not_before_ms;
    return agent->is_report_due ? agent->report_not_before_ms : INT64_MAX;
}
