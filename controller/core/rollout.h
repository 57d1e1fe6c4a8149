/* rollout.h - which server may act next, and what does each answer mean?
 *
 * Pure: (book, event, inventory, now) -> (book, actions). No clock, log, store or wire; what it
 * decides leaves as actions, in order: everything to save is saved in one commit before anything is
 * sent. Budget is counted per group (label site) over all rollouts. A slot is freed by proof,
 * REVOKED or an operator, never by a clock. Used by the controller's loop; shown by view. */
#ifndef CONTROLLER_CORE_ROLLOUT_H
#define CONTROLLER_CORE_ROLLOUT_H

#include "controller/core/need.h"

enum rollout_state {
    ROLLOUT_SCHEDULED = 1, /* its start has not come */
    ROLLOUT_RUNNING = 2,
    ROLLOUT_PAUSED = 3, /* by an operator, or after a retry; no new grants */
    ROLLOUT_HALTED = 4, /* by the stop rule or the end of the window */
    ROLLOUT_DONE = 5,   /* every step closed or skipped */
    ROLLOUT_ENDED = 6,  /* by an operator; what was under way is resolved */
    ROLLOUT_MISSED = 7, /* the controller was not there at its start: never late */
};
enum rollout_step_state {
    STEP_PENDING = 1,
    STEP_RESERVED = 2,   /* slot taken, OFFER goes out */
    STEP_GRANTED = 3,    /* GRANT committed */
    STEP_PROVING = 4,    /* the agent says DONE; waiting for causal, fresh, repeated health */
    STEP_CLOSED = 5,     /* proved */
    STEP_FAILED = 6,     /* slot held */
    STEP_UNKNOWN = 7,    /* outcome not known; slot held; never retried by itself */
    STEP_CANCELLING = 8, /* REVOKE sent */
    STEP_CANCELLED =
        9, /* on the agent's REVOKED; never acted; may be taken up again with attempt + 1 */
    STEP_SKIPPED = 10, /* by an operator, or by end */
};
enum rollout_reason { /* machine-readable: every grant, denial and hold; words in
                         rollout_reason_words */
    REASON_NONE = 0,
    REASON_GAP = 1,      /* resting between waves */
    REASON_SETTLING = 2, /* requests have not settled */
    REASON_FLOOR = 3,    /* another one out would break the group's floor */
    REASON_WINDOW_EARLY = 4,
    REASON_WINDOW_CLOSED = 5,
    REASON_SILENT = 6, /* no fresh proof */
    REASON_UNHEALTHY = 7,
    REASON_DRAINED = 8,
    REASON_MAINTENANCE = 9,
    REASON_REVOKED = 10,
    REASON_JOURNAL = 11,       /* the agent's journal cannot be written */
    REASON_SLOT = 12,          /* another rollout holds this server */
    REASON_NO_CLAIM = 13,      /* OFFER not answered in CLAIM_WAIT_MS */
    REASON_NO_RESULT = 14,     /* granted, no outcome in time */
    REASON_NO_PROOF = 15,      /* DONE, but not healthy often enough in time */
    REASON_AGENT_FAILED = 16,  /* the agent's outcome was FAILED */
    REASON_AGENT_UNKNOWN = 17, /* the agent does not know */
    REASON_NACK = 18,
    REASON_EVIDENCE = 19, /* DONE without a new worker generation */
    REASON_STOP_RULE = 20,
    REASON_PAUSED = 21,
    REASON_OPERATOR = 22,
    REASON_MISSED = 23,
    REASON_WAVE = 24,       /* an earlier wave is not through */
    REASON_RETRY = 25,      /* a retry waits for the operator's next word */
    REASON_SKEW = 26,       /* the server's clock is more than 30 s off */
    REASON_AT_ONCE = 27,    /* at_once of this rollout are under way */
    REASON_LATE_PROOF = 28, /* closed after its deadline */
    REASON_FIXED = 29,      /* left out of a plan: has the fix */
    REASON_NO_DATA = 30,    /* left out of a plan: health not known */
    REASON_FORGOT = 31,     /* granted, and since then its journal lost its end */
    REASON_HELD = 32,       /* held on the server by its own people: beats every plan */
    REASON_RAM = 33,        /* two workers do not fit in memory, or the plan wants it known */
    REASON_NEIGHBOUR = 34,  /* a server of the site was recycled by itself: resting from that */
    REASON_BY_ITSELF = 35,  /* left out: a new worker since the plan was made, not ordered here */
    REASON_NO_LEAK = 36,    /* left out of a plan: just in time, and it does not leak */
    REASON_YOUNG = 37,      /* left out of a plan: its worker is younger than asked for */
    REASON_FROZEN = 38,     /* the farm is frozen: what has not begun waits, and is missed then */
    REASON_END
};
const char *rollout_state_words(enum rollout_state state);
const char *rollout_step_words(enum rollout_step_state state);
const char *rollout_reason_words(enum rollout_reason reason);
const char *rollout_ram_words(enum plan_ram ram); /* as typed: fit, known, any */
bool rollout_ram_from(struct cas_slice words, enum plan_ram *ret_ram);

struct rollout_evidence { /* as the agent wrote it; wall clocks are the agent's */
    uint64_t seq; /* journal position of the outcome; 0: none yet. With a state: an attempt before
                     this one was granted and never proved, so only proof or force frees the slot */
    enum command_state state;
    int64_t code;
    char text[256];
    uint32_t pid_before, pid_after;
    int64_t start_before_ms, start_after_ms;
    int64_t intent_ms, drained_ms, acted_ms, done_ms;
    bool has_requests;
    double requests_before, requests_drained;
};
struct rollout_step {
    uint32_t server_id;
    uint32_t wave;    /* 1 first */
    uint32_t attempt; /* 1 first; grows by an operator's retry or a durable REVOKED only */
    enum rollout_step_state state;
    enum rollout_reason reason;
    bool holds_slot;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint8_t nonce[CAS_ID_BYTES];
    int64_t reserved_ms, granted_ms, result_ms, closed_ms; /* wall, controller; 0: not reached */
    struct rollout_evidence evidence;
    uint32_t good_n;         /* good probes in a row after the act */
    uint64_t good_probe;     /* probe_seq counted last */
    char note[REASON_BYTES]; /* what was seen last while proving: "503" */
    /* of this run only, controller's mono; 0 after a restart: the core arms them anew in full */
    int64_t sent_mono_ms, deadline_mono_ms, granted_mono_ms, result_mono_ms;
    uint8_t good_boot[CAS_ID_BYTES]; /* agent's run that good_n counts in */
    int64_t granted_wall_issued_ms;  /* issued_wall of the GRANT, to send the same bytes again */
};
struct rollout {
    uint64_t seq; /* r-0412 is 412 */
    enum rollout_state state;
    enum rollout_reason reason;
    char by[CAS_NAME_BYTES];            /* who ran it */
    char why[REASON_BYTES];             /* --reason */
    int64_t run_ms, begun_ms, ended_ms; /* wall */
    int64_t halted_ms;
    uint32_t failed_n;     /* over the whole run */
    uint32_t forgiven_n;   /* of them, before the operator's last resume */
    uint32_t wave;         /* now */
    char plan_text[64];    /* short words for lists: "LON" */
    struct cas_slice plan; /* bytes as made; owned by the rollout */
    uint8_t plan_hash[CAS_HASH_BYTES];
    struct record_plan_body body; /* decoded; slices point into plan */
    struct rollout_step *step;    /* in plan order; owned */
    size_t step_n;
    bool is_ending; /* end was said while something is under way */
    bool is_alone;  /* a retry runs: only that step, then PAUSED */
    /* of this run only */
    int64_t rest_mono_ms; /* since when the gap runs; 0: not resting */
};

struct rollout_book;
/* A command's id from where it stands: sign_command_id by the loop, since core knows no hash. step
 * is the position in the plan, 1 first. Must be a function of its arguments alone (R15). */
typedef void rollout_derive(const uint8_t plan_hash[CAS_HASH_BYTES],
                            uint64_t step,
                            uint64_t server_id,
                            uint64_t attempt,
                            uint8_t ret_cmd_id[CAS_ID_BYTES]);
CAS_CHECK enum cas_err rollout_book_open(rollout_derive *derive, struct rollout_book **ret_book);
void rollout_book_free(struct rollout_book *book);
CAS_AUTO_DEFINE(rollout_book);
/* An event of it failed for want of memory: to be reloaded, whoever was told. */
bool rollout_book_is_torn(const struct rollout_book *book);
size_t rollout_book_size(const struct rollout_book *book);
/* While it is frozen nothing that is scheduled begins; what runs goes on. Not kept: said again
 * after a load. */
void rollout_book_freeze(struct rollout_book *book, bool is_frozen);
const struct rollout *rollout_at(const struct rollout_book *book,
                                 size_t position); /* oldest first */
const struct rollout *rollout_find(const struct rollout_book *book, uint64_t seq); /* NULL */
/* At start, from the store; takes copies. Timers start anew in full. */
CAS_CHECK enum cas_err
rollout_load(struct rollout_book *book, const struct rollout *saved, struct cas_why *why);
/* What can free the slot that a step holds, besides an operator's force. */
enum rollout_freed {
    FREED_BY_NOTHING, /* no slot is held, or only a retry's proof can */
    FREED_BY_PROOF,   /* its server's worker and health: watched, also when the rollout is over */
    FREED_BY_ANSWER,  /* its agent's outcome, or its word that it never acted */
};
enum rollout_freed rollout_freed_by(const struct rollout_step *step);
struct rollout_tally { /* steps; each is in one of them */
    size_t proved, running, failed, unknown, to_go, skipped;
};
struct rollout_tally rollout_tally_of(const struct rollout *rollout);
/* Drops ended rollouts beyond the newest `keep` from memory (the store keeps them). */
void rollout_forget(struct rollout_book *book, size_t keep);

enum rollout_action_kind {
    ACTION_SAVE_ROLLOUT, /* row of rollout */
    ACTION_SAVE_STEP,    /* row of step */
    ACTION_LEAP,         /* the next rollout's number is above seq + ROLLOUT_LEAP */
    ACTION_SEND_PLAN,
    ACTION_SEND_OFFER,
    ACTION_SEND_GRANT, /* the loop seals it: order fields from step and rollout */
    ACTION_SEND_REVOKE,
    ACTION_SEND_ACK, /* of a RESULT or REVOKED: cmd_id, ack_seq */
    ACTION_NOTE,     /* audit row, log line and journal of stories: note[] */
};
enum rollout_note { /* what happened, for audit and log */
    NOTE_STARTED,
    NOTE_RESERVED,
    NOTE_GRANTED,
    NOTE_RESULT,
    NOTE_CLOSED,
    NOTE_FAILED,
    NOTE_UNKNOWN,
    NOTE_HALTED,
    NOTE_PAUSED,
    NOTE_RESUMED,
    NOTE_CANCELLED,
    NOTE_SKIPPED,
    NOTE_RETRIED,
    NOTE_DONE,
    NOTE_ENDED,
    NOTE_MISSED,
    NOTE_WAVE,
    NOTE_HELD,
    NOTE_EVIDENCE, /* at a halt, of the rollout: how it stood then, one server of its sites each */
};
struct rollout_action {
    enum rollout_action_kind kind;
    uint64_t seq; /* rollout */
    size_t step;  /* index into its steps; SIZE_MAX: the rollout itself */
    uint32_t server_id;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint64_t ack_seq;
    enum rollout_note note;
    enum rollout_reason reason;
    char words[ROLLOUT_WORDS_BYTES]; /* "worker 4120 is now 7788", "1 failed, limit 1" */
};
struct rollout_actions { /* grows; caller frees with rollout_actions_done */
    struct rollout_action *item;
    size_t n, cap;
};
void rollout_actions_done(struct rollout_actions *actions);

/* ---- a plan ---- */
struct rollout_wish { /* what the operator asked; defaults filled by rollout_wish_default */
    enum verb verb;
    char pool[POOL_BYTES];
    int64_t start_ms, until_ms; /* until 0: 12 h after start */
    uint32_t at_once;
    int64_t gap_ms, settle_ms, drain_ms, act_ms, proof_ms;
    uint32_t healthy_n, stop_after, floor_pct;
    bool has_canary;      /* the first server alone */
    bool is_fixed_too;    /* also servers that have the fix (skipped otherwise, unless they leak) */
    bool is_just_in_time; /* only servers that leak, or of which it is not known */
    int64_t min_age_ms;   /* servers with a younger worker are left out; 0: none */
    enum plan_ram ram;
    char by[CAS_NAME_BYTES];
};
void rollout_wish_default(struct rollout_wish *ret_wish, struct cas_now now);
struct rollout_skip {
    size_t at;
    enum rollout_reason reason;
    char words[256];
};
struct rollout_draft { /* caller frees with rollout_draft_done */
    /* Steps text owned by the draft; pool and by borrowed from the wish. */
    struct record_plan_body body;
    char *steps;
    size_t server_n, wave_n;
    struct rollout_skip *skip; /* chosen but left out, each with why */
    size_t skip_n;
    size_t answering_n; /* of the planned servers */
    struct {
        char group[LABEL_BYTES];
        uint32_t server_n, planned_n, may_be_out, out_now, at_once_worst;
        bool holds;
    } floor[64];
    size_t floor_n;
    int64_t likely_ms, worst_ms; /* how long it takes */
    bool fits;                   /* likely before until_ms */
};
void rollout_draft_done(struct rollout_draft *draft);
/* Order: canary = the least busy one alone, then most urgent first (worst symptoms), at_once a
 * wave. CAS_ERR_GUARD: the floor allows none of them ever (names group, floor, size), or nothing is
 * left to do; the draft is filled all the same, for showing. */
CAS_CHECK enum cas_err rollout_draft(const struct inventory *inventory,
                                     const struct rollout_book *book,
                                     const size_t *at,
                                     size_t n,
                                     const struct rollout_wish *wish,
                                     uint64_t seq,
                                     struct cas_now now,
                                     struct rollout_draft *ret_draft,
                                     struct cas_why *why);
/* From a server's slot taken to its proof, 19 times in 20, over the turns of this verb that the
 * book remembers; 0 when there are fewer than 5. */
int64_t rollout_p95_ms(const struct rollout_book *book, enum verb verb);
/* max_unavailable of a group: floor(n * (100 - floor_pct) / 100), n = approved servers of the site.
 */
uint32_t rollout_may_be_out(uint32_t server_n, uint32_t floor_pct);

/* ---- events; each appends to actions and changes the book. CAS_ERR_NOMEM leaves book to be
 * reloaded. ---- Actions of one event: all that is saved or noted first, then all that is sent.
 * mono_ms is greater than 0. run: CAS_ERR_GUARD the plan is stale, or its window over; EXISTS,
 * TOO_MANY, UNSUPPORTED, and what decoding says. What is repeated or not expected changes nothing
 * and is not an error; RESULT and REVOKED are always acknowledged. */
CAS_CHECK enum cas_err rollout_run(struct rollout_book *book,
                                   const struct inventory *inventory,
                                   struct cas_slice plan,
                                   const uint8_t plan_hash[CAS_HASH_BYTES],
                                   struct cas_slice by,
                                   struct cas_slice reason,
                                   struct cas_now now,
                                   struct rollout_actions *actions,
                                   struct cas_why *why);
CAS_CHECK enum cas_err rollout_tick(struct rollout_book *book,
                                    const struct inventory *inventory,
                                    struct cas_now now,
                                    struct rollout_actions *actions);
CAS_CHECK enum cas_err rollout_claim(struct rollout_book *book,
                                     const struct inventory *inventory,
                                     uint32_t server_id,
                                     const struct message_claim *claim,
                                     struct cas_now now,
                                     struct rollout_actions *actions);
CAS_CHECK enum cas_err rollout_result(struct rollout_book *book,
                                      const struct inventory *inventory,
                                      uint32_t server_id,
                                      const struct message_result *result,
                                      struct cas_now now,
                                      struct rollout_actions *actions);
CAS_CHECK enum cas_err rollout_revoked(struct rollout_book *book,
                                       const struct inventory *inventory,
                                       uint32_t server_id,
                                       const struct message_revoked *revoked,
                                       struct cas_now now,
                                       struct rollout_actions *actions);
CAS_CHECK enum cas_err rollout_nack(struct rollout_book *book,
                                    const struct inventory *inventory,
                                    uint32_t server_id,
                                    const struct message_nack *nack,
                                    struct cas_now now,
                                    struct rollout_actions *actions);
/* The server's journal is another or an older one: it cannot say any more what came of what it was
 * granted, and its REVOKED for that means nothing. Such steps are UNKNOWN, slot held. */
CAS_CHECK enum cas_err rollout_forgot(struct rollout_book *book,
                                      const struct inventory *inventory,
                                      uint32_t server_id,
                                      struct cas_now now,
                                      struct rollout_actions *actions);
/* After each HB of a server that a step is proving. */
CAS_CHECK enum cas_err rollout_health(struct rollout_book *book,
                                      const struct inventory *inventory,
                                      uint32_t server_id,
                                      struct cas_now now,
                                      struct rollout_actions *actions);

/* ---- the operator; CAS_ERR_NOT_FOUND, CAS_ERR_GUARD with why it is not possible in this state
 * ---- */
CAS_CHECK enum cas_err rollout_pause(struct rollout_book *book,
                                     uint64_t seq,
                                     struct cas_now now,
                                     struct rollout_actions *actions,
                                     struct cas_why *why);
/* skip: server ids left out from now on; also while it runs. A FAILED or UNKNOWN one is left as it
 * is, slot held, and no longer waited for. */
CAS_CHECK enum cas_err rollout_resume(struct rollout_book *book,
                                      uint64_t seq,
                                      const uint32_t *skip,
                                      size_t skip_n,
                                      struct cas_now now,
                                      struct rollout_actions *actions,
                                      struct cas_why *why);
CAS_CHECK enum cas_err rollout_retry(struct rollout_book *book,
                                     uint64_t seq,
                                     uint32_t server_id,
                                     struct cas_now now,
                                     struct rollout_actions *actions,
                                     struct cas_why *why);
/* is_forced: also gives up slots of FAILED, UNKNOWN and CANCELLING steps (audited as forced); of a
 * rollout that is over too. */
CAS_CHECK enum cas_err rollout_end(struct rollout_book *book,
                                   uint64_t seq,
                                   bool is_forced,
                                   struct cas_now now,
                                   struct rollout_actions *actions,
                                   struct cas_why *why);

/* Why nothing (more) starts now, for `why` and watch. */
struct rollout_hold {
    enum rollout_reason reason;
    char words[ROLLOUT_WORDS_BYTES];
    int64_t until_mono_ms; /* 0: not by time */
};
void rollout_hold_of(const struct rollout_book *book,
                     const struct inventory *inventory,
                     const struct rollout *rollout,
                     struct cas_now now,
                     struct rollout_hold *ret_hold);
/* The rules between a step that has not begun and its turn, in the order they are looked at. */
enum rollout_rule {
    RULE_PLAN, /* the rollout runs, and its steps may begin */
    RULE_WINDOW,
    RULE_WAVE,
    RULE_REST,
    RULE_AT_ONCE,
    RULE_SERVER, /* in service, heard, not held by its people */
    RULE_SLOT,
    RULE_MEMORY,
    RULE_FLOOR,
    ROLLOUT_RULES,
};
const char *rollout_rule_name(enum rollout_rule rule); /* "at once" */
enum rollout_verdict {
    VERDICT_HOLDS, /* it lets the step go */
    VERDICT_WAITS, /* the step waits for it */
    VERDICT_LATER, /* it cannot be said before another one holds */
};
struct rollout_link {
    enum rollout_rule rule;
    enum rollout_verdict verdict;
    enum rollout_reason reason; /* NONE unless it waits */
    char words[240];            /* with its numbers */
};
/* Why a step that is PENDING or CANCELLED has not begun: every rule, judged now. Changes nothing.
 * Of a rollout that is not in the book: the first rule alone. *ret_n 1..ROLLOUT_RULES.
 * CAS_ERR_NOMEM; CAS_ERR_RANGE no such step, or not one that has not begun. */
CAS_CHECK enum cas_err rollout_chain(const struct rollout_book *book,
                                     const struct inventory *inventory,
                                     const struct rollout *rollout,
                                     size_t step,
                                     struct cas_now now,
                                     struct rollout_link ret_link[ROLLOUT_RULES],
                                     size_t *ret_n);
/* Slots held in a group and servers out of service for any reason: what the floor counts. */
uint32_t rollout_out_now(const struct rollout_book *book,
                         const struct inventory *inventory,
                         const char *site,
                         int64_t mono_ms);

#endif
