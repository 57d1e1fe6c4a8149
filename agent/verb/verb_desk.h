/* verb_desk.h - what the files of the verb room share; for them alone. */
#ifndef AGENT_VERB_VERB_DESK_H
#define AGENT_VERB_VERB_DESK_H

#include "agent/verb/verb.h"

enum {
    VERB_PLANS = 4,
    RECOVER_MS = 10000,     /* how long is looked for what came of an act that nothing answered */
    UNDRAIN_MS = 60000,     /* the undrain after that may take so long */
    LOOK_MS = 500,          /* between looks at a tool or a pool */
    DRAIN_STILL_MS = 10000, /* requests that have not fallen for so long have stopped falling */
    IDLE_MS = 60000
};

/* Where the command in hand stands, INTENT to outcome. */
enum verb_phase {
    PHASE_NONE,
    PHASE_RECOVER, /* the tool's answer is lost, by a restart or its deadline: looking for evidence
                    */
    PHASE_BEGIN,   /* INTENT is on disk; that may have taken long */
    PHASE_DRAIN,   /* the tool that drains runs */
    PHASE_QUIET,   /* drained; requests fall */
    PHASE_ACT,     /* the tool that acts runs */
    PHASE_PROOF,   /* looking for a new worker */
    PHASE_UNDRAIN, /* the tool that undrains runs */
    PHASE_WRITE,   /* the outcome is known and not yet in the ledger */
};

struct verb_claim {
    bool is_given;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint8_t nonce[CAS_ID_BYTES];
    struct cas_now at;
};
/* What is kept of a plan: all an order is compared with. */
struct verb_plan {
    bool is_kept;
    uint8_t hash[CAS_HASH_BYTES];
    uint64_t rollout_seq;
    uint64_t verb;
    char pool[POOL_BYTES];
    int64_t start_ms;
    int64_t until_ms;
    uint64_t drain_ms;
    uint64_t act_ms;
};
struct verb_task {
    enum verb_phase phase;
    struct ledger_row row;
    enum command_state outcome; /* for PHASE_UNDRAIN and PHASE_WRITE */
    int64_t drain_ms;
    int64_t act_ms;
    int64_t until_wall_ms;  /* no act begins after */
    struct cas_now claimed; /* when the nonce was made */
    int64_t phase_end_ms;   /* monotonic, as the next three */
    int64_t drain_end_ms;
    int64_t still_since_ms;
    int64_t look_ms;
    double requests_least;
    bool was_drained; /* before the act */
    bool has_drained; /* by this command: it is undone after a success */
    bool is_journal_told;
    struct host_act late; /* HOST_ACT_UNKNOWN: PHASE_RECOVER by the deadline, not by a restart */
};
struct verb_desk {
    struct verb_settings settings;
    struct cas_arena *arena;
    struct verb_claim claim;
    struct verb_plan plan[VERB_PLANS];
    size_t plan_next;
    struct verb_task task;
    uint64_t heard_epoch; /* unsigned, so in memory only; 0 none */
    int64_t resend_ms;    /* monotonic */
    bool has_unacknowledged;
    uint64_t acts;
};

/* verb_desk.c */
/* At most limit_ms apart on both clocks; a wall clock that went back makes it old as well. */
bool verb_is_within(struct cas_now since, struct cas_now now, int64_t limit_ms);
void verb_news_tell(struct verb_desk *desk,
                    enum verb_news news,
                    const struct ledger_row *row,
                    const char *text);
void verb_answer(struct verb_desk *desk, const struct ledger_row *row);
void verb_nack(struct verb_desk *desk,
               enum nack_reason reason,
               const uint8_t *cmd_id,
               const char *text);

/* verb_run.c: CAS_OK when INTENT is durable; the next tick begins the act, by its own clock. */
struct verb_start {
    const struct record_order *order;
    struct cas_now claimed;
    int64_t until_wall_ms;
};
CAS_CHECK enum cas_err verb_start(struct verb_desk *desk,
                                  const struct verb_start *start,
                                  struct cas_now now,
                                  struct cas_why *why);
void verb_recover(struct verb_desk *desk, const struct ledger_row *row, struct cas_now now);
void verb_go_on(struct verb_desk *desk, struct cas_now now);

#endif
