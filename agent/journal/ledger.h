/* ledger.h - what has this agent been told to do, and what came of it? Durable: INTENT before,
 * outcome after.
 *
 * SQLite, synchronous=FULL: a call that returns CAS_OK is on disk. Room for the outcome is kept
 * free, so that a full disk refuses the next INTENT, never loses this outcome. Used by verb and the
 * agent's loop. */
#ifndef AGENT_JOURNAL_LEDGER_H
#define AGENT_JOURNAL_LEDGER_H

#include "proto/wire/message.h"

struct ledger;
struct ledger_row {
    uint8_t cmd_id[CAS_ID_BYTES];
    enum command_state state; /* INTENT, DONE, FAILED, UNKNOWN, REVOKED */
    uint64_t seq;             /* position; grows with every write */
    enum verb verb;
    uint64_t rollout_seq;
    char pool[POOL_BYTES];
    int64_t code;
    char text[256];
    uint32_t pid_before, pid_after;
    int64_t start_before_ms, start_after_ms;
    int64_t intent_ms, drained_ms, acted_ms, done_ms; /* wall; 0: not reached */
    bool has_requests;
    double requests_before, requests_drained;
    bool is_acknowledged; /* by the controller */
};

/* path ":memory:" style names are for tests. CAS_ERR_CORRUPT, CAS_ERR_IO, CAS_ERR_FULL,
 * CAS_ERR_VERSION (newer file). */
CAS_CHECK enum cas_err
ledger_open(const char *path, struct ledger **ret_ledger, struct cas_why *why);
void ledger_free(struct ledger *ledger);
CAS_AUTO_DEFINE(ledger);
/* CAS_ERR_NOT_FOUND: state NONE. */
CAS_CHECK enum cas_err
ledger_find(struct ledger *ledger, const uint8_t cmd_id[CAS_ID_BYTES], struct ledger_row *ret_row);
/* New row, or the next state of a row; row->seq is set. Only NONE->INTENT, NONE->REVOKED,
 * INTENT->DONE|FAILED|UNKNOWN and a change of drained_ms/acted_ms/text within INTENT are possible
 * (CAS_ERR_BUG else). CAS_ERR_FULL, CAS_ERR_IO, and for a REVOKED of no rollout CAS_ERR_TOO_MANY
 * (LEDGER_REVOKED wait for their ACK) and CAS_ERR_BUSY (too many during one act): nothing was
 * written. */
CAS_CHECK enum cas_err
ledger_write(struct ledger *ledger, struct ledger_row *row, struct cas_why *why);
CAS_CHECK enum cas_err ledger_acknowledge(struct ledger *ledger,
                                          const uint8_t cmd_id[CAS_ID_BYTES],
                                          uint64_t seq,
                                          struct cas_why *why);
uint64_t ledger_head(const struct ledger *ledger);
/* Newest last, at most cap. */
CAS_CHECK enum cas_err
ledger_tail(struct ledger *ledger, struct ledger_row *ret_row, size_t cap, size_t *ret_n);
/* Rows the controller has not acknowledged, oldest first, state not INTENT. */
CAS_CHECK enum cas_err
ledger_unacknowledged(struct ledger *ledger, struct ledger_row *ret_row, size_t cap, size_t *ret_n);
/* The row in INTENT after a restart, if any. CAS_ERR_NOT_FOUND. */
CAS_CHECK enum cas_err ledger_open_intent(struct ledger *ledger, struct ledger_row *ret_row);
/* True when an INTENT and its outcome could be written now (the reserve is there and a small write
 * succeeds). */
bool ledger_is_writable(struct ledger *ledger, struct cas_why *why);
/* Durable numbers that only grow: highest epoch obeyed; rollouts at or below the floor are refused
 * (their rows were evicted). */
uint64_t ledger_epoch(const struct ledger *ledger);
CAS_CHECK enum cas_err
ledger_raise_epoch(struct ledger *ledger, uint64_t epoch, struct cas_why *why);
uint64_t ledger_rollout_floor(const struct ledger *ledger);
/* Small named texts (event bookmark, last facts hash). CAS_ERR_NOT_FOUND. */
CAS_CHECK enum cas_err
ledger_note_get(struct ledger *ledger, const char *name, char *ret_text, size_t cap);
CAS_CHECK enum cas_err
ledger_note_set(struct ledger *ledger, const char *name, const char *text, struct cas_why *why);

#endif
