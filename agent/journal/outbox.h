/* outbox.h - what has been seen and not yet been acknowledged by the controller?
 *
 * SQLite, capped at OUTBOX_BYTES; a record leaves only on outbox_drop_upto (an ACK) or, when the
 * cap is reached, lowest class first (samples before facts before events), leaving an exact gap
 * record. spool_id is new when the file is new, so that a wiped agent that starts again at 1 is not
 * mistaken. Used by the agent's loop. */
#ifndef AGENT_JOURNAL_OUTBOX_H
#define AGENT_JOURNAL_OUTBOX_H

#include "proto/wire/message.h"

struct outbox;
CAS_CHECK enum cas_err
outbox_open(const char *path, int64_t cap_bytes, struct outbox **ret_outbox, struct cas_why *why);
void outbox_free(struct outbox *outbox);
CAS_AUTO_DEFINE(outbox);
const uint8_t *outbox_spool_id(const struct outbox *outbox); /* [CAS_ID_BYTES] */
uint64_t outbox_low(struct outbox *outbox);        /* oldest kept, or explained by a gap; 0: none */
uint64_t outbox_high(const struct outbox *outbox); /* newest ever written; 0: none */
/* What counts towards the cap: bodies and 64 bytes a record. */
int64_t outbox_used(const struct outbox *outbox);
/* Appends; *ret_seq its position. Committed when the call returns unless between outbox_begin and
 * outbox_commit. CAS_ERR_FULL, CAS_ERR_IO: nothing was written and the record is the caller's to
 * keep or drop; within a transaction all of it is undone and outbox_commit says so. Beyond the cap
 * the lowest class goes, oldest first, maybe this very record. A gap record stands at the position
 * of the last record it explains (its seq is its last_seq), covers first_seq..last_seq without
 * holes, and never crosses the newest position handed out by outbox_read: the positions in the
 * outbox, gaps spread out, have no holes. */
CAS_CHECK enum cas_err outbox_add(struct outbox *outbox,
                                  enum entry_kind kind,
                                  int64_t at_ms,
                                  struct cas_slice body,
                                  uint64_t *ret_seq,
                                  struct cas_why *why);
CAS_CHECK enum cas_err outbox_begin(struct outbox *outbox, struct cas_why *why);
/* As outbox_begin, but the commit does not wait for the disk: it survives the end of the program,
 * and a loss of power once it was settled, read, or followed by a commit that waits. What is lost
 * are then the newest records, none of which was handed out: their positions may be given again. */
CAS_CHECK enum cas_err outbox_begin_unsynced(struct outbox *outbox, struct cas_why *why);
CAS_CHECK enum cas_err outbox_commit(struct outbox *outbox, struct cas_why *why);
/* Waits until the disk has all that was committed. Needs no room; an error loses nothing and may be
 * over the next time. */
CAS_CHECK enum cas_err outbox_settle(struct outbox *outbox, struct cas_why *why);
/* Entries above after_seq, oldest first, at most WIRE_REPORT_RECORDS and WIRE_REPORT_BYTES of
 * bodies, in the arena. They are on the disk by then, or it is an error and none is handed out: a
 * position the controller has seen is never given to another record, whatever happens here. */
CAS_CHECK enum cas_err outbox_read(struct outbox *outbox,
                                   uint64_t after_seq,
                                   struct cas_arena *arena,
                                   struct record_entry **ret_entry,
                                   size_t *ret_n,
                                   struct cas_why *why);
/* Up to seq, but never what outbox_read has not given out since the start. Does not wait for the
 * disk: after a loss of power they may be here again, and the controller knows them. CAS_ERR_RANGE:
 * seq was never written; nothing is dropped. */
CAS_CHECK enum cas_err outbox_drop_upto(struct outbox *outbox, uint64_t seq, struct cas_why *why);
/* The controller knows positions that were never written here: the file is an older copy of itself,
 * as after a disk was put back. What it holds goes on under a new spool_id, or the positions to
 * come would be taken for those the controller has. */
CAS_CHECK enum cas_err outbox_renew(struct outbox *outbox, struct cas_why *why);

#endif
