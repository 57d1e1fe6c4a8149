/* agent_loop_state.h - what the files of the agent's loop share; for them alone. */
#ifndef AGENT_AGENT_LOOP_STATE_H
#define AGENT_AGENT_LOOP_STATE_H

#include "agent/agent_loop.h"
#include "agent/hold/hold.h"
#include "agent/journal/ledger.h"
#include "agent/journal/outbox.h"
#include "agent/symptom/symptom.h"
#include "agent/verb/verb.h"

#define AGENT_BOOKMARK "events.bookmark" /* name of the note in the ledger */

struct agent {
    struct host *host;
    struct keys_public self;
    char pool[POOLS_ALLOWED][POOL_BYTES];
    size_t pool_n;
    agent_send *send;
    agent_random *random;
    void *context;
    uint64_t seed;

    struct ledger *ledger;
    struct outbox *outbox;
    struct verb_desk *desk;
    struct cas_arena *arena; /* one frame in or out */
    struct symptom_plan plan;
    struct symptom_facts facts;
    uint8_t boot_id[CAS_ID_BYTES];
    char bookmark[REASON_BYTES];
    struct cas_now now; /* of the call being served */

    /* the controller */
    bool is_connected; /* agent_on_connected has been called */
    bool is_welcome;
    bool has_leader;
    uint8_t leader_id[CAS_ID_BYTES];
    uint64_t echo;
    uint64_t echo_epoch;
    int64_t hello_ms; /* monotonic, as all below; next one */
    int64_t heard_ms; /* last TICK */
    int64_t nack_ms;  /* last one of the loop's own */
    bool is_skewed;

    /* the veto */
    char hold_path[OPTIONS_PATH_BYTES]; /* "" none */
    struct hold hold;                   /* as read last */

    /* heartbeats */
    struct record_tail tail[WIRE_TAIL]; /* the journal's, as of tail_head */
    size_t tail_n;
    uint64_t tail_head;
    bool has_tail;
    int64_t look_ms;
    int64_t heartbeat_ms; /* last one */
    bool is_heartbeat_due;

    /* reports */
    bool is_report_due;
    bool is_in_flight;
    uint64_t in_flight_upto;
    int64_t report_sent_ms;
    int64_t report_not_before_ms;

    /* the disk */
    bool is_writable;
    int64_t writable_ms; /* next check */
    int64_t checked_ms;  /* last one */
    bool is_outbox_failing;
    uint64_t outage_lost_n; /* samples, since it has been failing */
    int64_t settled_ms;     /* the disk had all samples then */
    bool is_unsettled;      /* samples since then */
    bool is_settling;       /* the sink's next commit waits for it */
    bool is_sink_open;      /* it has begun a transaction */
    bool is_sink_spoilt;    /* a write of it failed */
    uint64_t samples_lost;  /* not yet told */
    int64_t clock_offset_ms;

    struct agent_counts counts;
    uint8_t frame[WIRE_FRAME_BYTES];
};

/* agent_loop.c */
void agent_send_message(struct agent *agent, const struct message *message);

/* agent_report.c: SYMPTOM_DUE_... into the outbox, samples in one commit, the rest in another. */
void agent_collect(struct agent *agent, unsigned due);
/* The next report; agent_report_at_ms: the instant it may go, INT64_MAX when nothing waits or
 * nobody listens. */
void agent_report(struct agent *agent);
int64_t agent_report_at_ms(const struct agent *agent);

#endif
