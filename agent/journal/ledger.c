#include "agent/journal/ledger.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "agent/journal/journal_db.h"
#include "proto/base/failpoint.h"

enum {
    CACHE_KIB = 96,
    /* The reserve, on disk before an INTENT is written: LOG_BYTES of log, which the next writes go
     * over, and as many free pages in the file. An outcome dirties at most a dozen pages of 4 KiB:
     * row, two indexes, the head, and what they split into. To see whether the disk takes anything
     * PROBE_BYTES are written, more than the log keeps, so that it must grow: a full disk shows
     * before the reserve is needed. Their pages stay free in the file. */
    LOG_BYTES = 72 * 1024,
    PROBE_BYTES = 96 * 1024,
    EVICT_ROLLOUTS = 16, /* groups dropped at most in one write */
    EVICT_REVOKED = 64,  /* rows of no rollout dropped in one write */
    REVOKED_ACTING =
        16 /* such rows while an INTENT is open: they take from the outcome's reserve */
};

static const char *const migrations[] = {
    "CREATE TABLE command (id INTEGER PRIMARY KEY, cmd_id BLOB NOT NULL UNIQUE, state INTEGER NOT "
    "NULL,"
    " seq INTEGER NOT NULL, verb INTEGER NOT NULL, rollout_seq INTEGER NOT NULL, pool TEXT NOT "
    "NULL,"
    " code INTEGER NOT NULL, text TEXT NOT NULL, pid_before INTEGER NOT NULL, pid_after INTEGER "
    "NOT NULL,"
    " start_before_ms INTEGER NOT NULL, start_after_ms INTEGER NOT NULL, intent_ms INTEGER NOT "
    "NULL,"
    " drained_ms INTEGER NOT NULL, acted_ms INTEGER NOT NULL, done_ms INTEGER NOT NULL,"
    " requests_before REAL, requests_drained REAL, is_acknowledged INTEGER NOT NULL) STRICT;"
    "CREATE INDEX command_seq ON command (seq);"
    "CREATE INDEX command_rollout ON command (rollout_seq);"
    "CREATE TABLE number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO number VALUES ('head', 0), ('epoch', 0), ('rollout_floor', 0);"
    "CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE reserve (filler BLOB NOT NULL) STRICT;",
};

#define COLUMNS                                                                                    \
    "cmd_id, state, seq, verb, rollout_seq, pool, code, text, pid_before, pid_after, "             \
    "start_before_ms, start_after_ms, intent_ms, drained_ms, acted_ms, done_ms, requests_before, " \
    "requests_drained, is_acknowledged"

enum statement {
    FIND,
    WRITE,
    HEAD,
    ACKNOWLEDGE,
    TAIL,
    UNACKNOWLEDGED,
    INTENT,
    NUMBER,
    NOTE_GET,
    NOTE_SET,
    EVICTABLE,
    EVICT,
    REVOKED_COUNT,
    REVOKED_EVICT,
    RESERVE_FILL,
    RESERVE_EMPTY,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENT_N
};
/* All are made when the ledger is opened: between INTENT and outcome nothing is parsed. */
static const char *const sql_of[STATEMENT_N] = {
    [FIND] = "SELECT " COLUMNS " FROM command WHERE cmd_id = ?1",
    [WRITE] =
        "INSERT INTO command (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
        "?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
        " ON CONFLICT (cmd_id) DO UPDATE SET state = excluded.state, seq = excluded.seq,"
        " verb = excluded.verb, rollout_seq = excluded.rollout_seq, pool = excluded.pool,"
        " code = excluded.code, text = excluded.text, pid_before = excluded.pid_before,"
        " pid_after = excluded.pid_after, start_before_ms = excluded.start_before_ms,"
        " start_after_ms = excluded.start_after_ms, intent_ms = excluded.intent_ms,"
        " drained_ms = excluded.drained_ms, acted_ms = excluded.acted_ms, done_ms = "
        "excluded.done_ms,"
        " requests_before = excluded.requests_before, requests_drained = excluded.requests_drained,"
        " is_acknowledged = 0",
    [HEAD] = "UPDATE number SET value = ?1 WHERE name = 'head'",
    [ACKNOWLEDGE] =
        "UPDATE command SET is_acknowledged = 1 WHERE cmd_id = ?1 AND seq = ?2 AND state <> 2"
        " AND is_acknowledged = 0",
    [TAIL] = "SELECT " COLUMNS " FROM command ORDER BY seq DESC LIMIT ?1",
    [UNACKNOWLEDGED] = "SELECT " COLUMNS " FROM command WHERE is_acknowledged = 0 AND state <> 2"
                       " ORDER BY seq LIMIT ?1",
    [INTENT] = "SELECT " COLUMNS " FROM command WHERE state = 2 ORDER BY seq LIMIT 1",
    [NUMBER] = "UPDATE number SET value = ?2 WHERE name = ?1 AND value < ?2",
    [NOTE_GET] = "SELECT text FROM note WHERE name = ?1",
    [NOTE_SET] =
        "INSERT INTO note VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET text = excluded.text",
    /* The oldest rollout, if its rows are all settled; what was revoked unseen has no rollout.
     */
    [EVICTABLE] =
        "SELECT oldest FROM (SELECT min(rollout_seq) AS oldest FROM command WHERE rollout_seq > 0)"
        " WHERE oldest IS NOT NULL AND NOT EXISTS (SELECT 1 FROM command WHERE rollout_seq = oldest"
        " AND (state = 2 OR is_acknowledged = 0))",
    /* Rows of no rollout go with their neighbours in time. */
    [EVICT] = "DELETE FROM command WHERE is_acknowledged = 1 AND (rollout_seq = ?1 OR (rollout_seq "
              "= 0 AND"
              " seq < (SELECT max(seq) FROM command WHERE rollout_seq = ?1)))",
    [REVOKED_COUNT] = "SELECT count(*) FROM command WHERE rollout_seq = 0",
    [REVOKED_EVICT] = "DELETE FROM command WHERE id IN (SELECT id FROM command WHERE rollout_seq = "
                      "0 AND is_acknowledged = 1 ORDER BY seq LIMIT ?1)",
    [RESERVE_FILL] = "INSERT INTO reserve VALUES (randomblob(?1))",
    [RESERVE_EMPTY] = "DELETE FROM reserve",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct ledger {
    struct sqlite3 *db;
    struct sqlite3_stmt *stmt[STATEMENT_N];
    uint64_t head;
    uint64_t epoch;
    uint64_t rollout_floor;
    int64_t row_n;
    int64_t revoked_acting_n; /* since the INTENT that is open */
    bool has_intent;
};

static void row_bind(struct sqlite3_stmt *stmt, const struct ledger_row *row, uint64_t seq)
{
    int at = 1;
    (void)sqlite3_bind_blob(stmt, at++, row->cmd_id, CAS_ID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int(stmt, at++, (int)row->state);
    (void)sqlite3_bind_int64(stmt, at++, (int64_t)seq);
    (void)sqlite3_bind_int(stmt, at++, (int)row->verb);
    (void)sqlite3_bind_int64(stmt, at++, (int64_t)row->rollout_seq);
    (void)sqlite3_bind_text(stmt, at++, row->pool, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, at++, row->code);
    (void)sqlite3_bind_text(stmt, at++, row->text, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, at++, row->pid_before);
    (void)sqlite3_bind_int64(stmt, at++, row->pid_after);
    const int64_t instant[] = {row->start_before_ms,
                               row->start_after_ms,
                               row->intent_ms,
                               row->drained_ms,
                               row->acted_ms,
                               row->done_ms};
    for (size_t i = 0; i < CAS_COUNT(instant); i++)
        (void)sqlite3_bind_int64(stmt, at++, instant[i]);
    if (row->has_requests) { /* left NULL otherwise */
        (void)sqlite3_bind_double(stmt, at, row->requests_before);
        (void)sqlite3_bind_double(stmt, at + 1, row->requests_drained);
    }
    at += 2;
    (void)sqlite3_bind_int(stmt, at, 0);
}

static void text_take(struct sqlite3_stmt *stmt, int column, char *ret_text, size_t cap)
{
    struct cas_text text = {.data = ret_text, .cap = cap};
    const unsigned char *found = sqlite3_column_text(stmt, column);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", found == NULL ? "" : (const char *)found);
}

/* CAS_ERR_CORRUPT when the id is not one: what is read decides whether to act. */
static enum cas_err row_take(struct sqlite3_stmt *stmt, struct ledger_row *ret_row)
{
    int at = 0;
    const void *cmd_id = sqlite3_column_blob(stmt, at);
    if (cmd_id == NULL || sqlite3_column_bytes(stmt, at) != CAS_ID_BYTES)
        return CAS_ERR_CORRUPT;
    struct ledger_row row = {.state = COMMAND_NONE};
    memcpy(row.cmd_id, cmd_id, CAS_ID_BYTES);
    int state = sqlite3_column_int(stmt, ++at);
    if (state < COMMAND_INTENT || state > COMMAND_REVOKED)
        return CAS_ERR_CORRUPT;
    row.state = (enum command_state)state;
    row.seq = (uint64_t)sqlite3_column_int64(stmt, ++at);
    row.verb = (enum verb)sqlite3_column_int(stmt, ++at);
    row.rollout_seq = (uint64_t)sqlite3_column_int64(stmt, ++at);
    text_take(stmt, ++at, row.pool, sizeof row.pool);
    row.code = sqlite3_column_int64(stmt, ++at);
    text_take(stmt, ++at, row.text, sizeof row.text);
    row.pid_before = (uint32_t)sqlite3_column_int64(stmt, ++at);
    row.pid_after = (uint32_t)sqlite3_column_int64(stmt, ++at);
    row.start_before_ms = sqlite3_column_int64(stmt, ++at);
    row.start_after_ms = sqlite3_column_int64(stmt, ++at);
    row.intent_ms = sqlite3_column_int64(stmt, ++at);
    row.drained_ms = sqlite3_column_int64(stmt, ++at);
    row.acted_ms = sqlite3_column_int64(stmt, ++at);
    row.done_ms = sqlite3_column_int64(stmt, ++at);
    row.has_requests = sqlite3_column_type(stmt, ++at) != SQLITE_NULL;
    row.requests_before = sqlite3_column_double(stmt, at);
    row.requests_drained = sqlite3_column_double(stmt, ++at);
    row.is_acknowledged = sqlite3_column_int(stmt, ++at) != 0;
    *ret_row = row;
    return CAS_OK;
}

/* Rows of a statement already bound, at most cap. */
static enum cas_err
rows_take(struct sqlite3_stmt *stmt, struct ledger_row *ret_row, size_t cap, size_t *ret_n)
{
    size_t row_n = 0;
    bool is_row = true;
    enum cas_err err = CAS_OK;
    while (err == CAS_OK && is_row && row_n < cap) {
        err = journal_db_step(stmt, &is_row, NULL);
        if (err == CAS_OK && is_row)
            err = row_take(stmt, &ret_row[row_n++]);
    }
    journal_db_reset(stmt);
    if (err == CAS_OK)
        *ret_n = row_n;
    return err;
}

enum number {
    HEAD_VALUE,
    EPOCH_VALUE,
    FLOOR_VALUE,
    NUMBER_N, /* these three, and how many there are */
    NEWEST_SEQ,
    ROW_N,
    INTENT_N,
    VALUE_N
};
static const char numbers_sql[] = "SELECT (SELECT value FROM number WHERE name = 'head'),"
                                  " (SELECT value FROM number WHERE name = 'epoch'),"
                                  " (SELECT value FROM number WHERE name = 'rollout_floor'),"
                                  " (SELECT count(*) FROM number),"
                                  " (SELECT ifnull(max(seq), 0) FROM command),"
                                  " (SELECT count(*) FROM command),"
                                  " (SELECT count(*) FROM command WHERE state = 2)";

/* A damaged journal may hide that a command was done: it is not used at all. Each page has its sum;
 * a page of an older copy of the file does not fit the indexes, or the newest position. */
static enum cas_err numbers_read(struct ledger *ledger, const char *path, struct cas_why *why)
{
    int64_t value[VALUE_N];
    enum cas_err err = journal_db_check(ledger->db, why);
    if (err == CAS_OK)
        err = journal_db_numbers(ledger->db, numbers_sql, value, VALUE_N, why);
    if (err == CAS_ERR_NOT_FOUND)
        return journal_db_damaged(path, "one of its numbers is missing", why);
    if (err != CAS_OK)
        return err;
    if (value[NUMBER_N] != NUMBER_N)
        return journal_db_damaged(path, "its parts do not fit each other", why);
    if (value[NEWEST_SEQ] > 0 && value[NEWEST_SEQ] != value[HEAD_VALUE])
        return journal_db_damaged(path, "its newest row is not the last that was written", why);
    ledger->head = (uint64_t)value[HEAD_VALUE];
    ledger->epoch = (uint64_t)value[EPOCH_VALUE];
    ledger->rollout_floor = (uint64_t)value[FLOOR_VALUE];
    ledger->row_n = value[ROW_N];
    ledger->has_intent = value[INTENT_N] > 0;
    return CAS_OK;
}

enum cas_err ledger_open(const char *path, struct ledger **ret_ledger, struct cas_why *why)
{
    CAS_AUTO(ledger) ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory", path);
    struct journal_db_settings settings = {.path = path,
                                           .migration = migrations,
                                           .migration_n = CAS_COUNT(migrations),
                                           .cache_kib = CACHE_KIB,
                                           .checkpoint_n = 0,
                                           .log_bytes = LOG_BYTES};
    enum cas_err err = journal_db_open(&settings, &ledger->db, why);
    for (size_t i = 0; err == CAS_OK && i < STATEMENT_N; i++)
        err = journal_db_prepare(ledger->db, sql_of[i], &ledger->stmt[i], why);
    if (err == CAS_OK)
        err = numbers_read(ledger, path, why);
    if (err != CAS_OK)
        return err;
    *ret_ledger = CAS_TAKE(ledger);
    return CAS_OK;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_N; i++)
        journal_db_drop(ledger->stmt[i]);
    journal_db_close(ledger->db);
    free(ledger);
}

enum cas_err
ledger_find(struct ledger *ledger, const uint8_t cmd_id[CAS_ID_BYTES], struct ledger_row *ret_row)
{
    struct sqlite3_stmt *stmt = ledger->stmt[FIND];
    (void)sqlite3_bind_blob(stmt, 1, cmd_id, CAS_ID_BYTES, SQLITE_STATIC);
    size_t row_n = 0;
    struct ledger_row row;
    enum cas_err err = rows_take(stmt, &row, 1, &row_n);
    if (err != CAS_OK)
        return err;
    if (row_n == 0)
        return CAS_ERR_NOT_FOUND;
    *ret_row = row;
    return CAS_OK;
}

/* Writes more than the log holds, so that a full disk shows now while the reserve stays; afterwards
 * everything is folded and the pages used are free. To empty it writes a few pages only (see
 * secure_delete in journal_db.c), and that commit cuts the log to LOG_BYTES. */
static enum cas_err reserve_take(struct ledger *ledger, struct cas_why *why)
{
    enum cas_err passed = CAS_FAILPOINT("ledger.reserve");
    if (passed != CAS_OK)
        return cas_fail(why, passed, "ledger: its reserve: %s", cas_err_words(passed));
    enum cas_err err = journal_db_fold(ledger->db, why);
    (void)sqlite3_bind_int(ledger->stmt[RESERVE_FILL], 1, PROBE_BYTES);
    if (err == CAS_OK)
        err = journal_db_run(ledger->stmt[RESERVE_FILL], why);
    if (err != CAS_OK)
        return err;
    enum cas_err folded = journal_db_fold(ledger->db, why);
    err = journal_db_run(ledger->stmt[RESERVE_EMPTY], folded == CAS_OK ? why : NULL);
    if (err == CAS_OK && folded == CAS_OK)
        err = journal_db_fold(ledger->db, why);
    return folded != CAS_OK ? folded : err;
}

static bool is_next(enum command_state from, enum command_state to)
{
#ifdef CASFLEET_MUTANT_I3
    return from != to || to != COMMAND_NONE;
#else
    if (from == COMMAND_NONE)
        return to == COMMAND_INTENT || to == COMMAND_REVOKED;
    return from == COMMAND_INTENT && to >= COMMAND_INTENT && to <= COMMAND_UNKNOWN;
#endif
}

static enum cas_err commit(struct ledger *ledger, enum cas_err err, struct cas_why *why)
{
    enum cas_err passed = CAS_FAILPOINT("ledger.commit");
    if (err == CAS_OK && passed != CAS_OK)
        err = cas_fail(why, passed, "ledger: COMMIT: %s", cas_err_words(passed));
    if (err == CAS_OK)
        err = journal_db_run(ledger->stmt[COMMIT], why);
    if (err != CAS_OK) {
        journal_db_undo(ledger->stmt[ROLLBACK]);
        return err;
    }
    /* Folded at once, the log begins anew and the reserve stays; what cannot be folded now is
     * later. */
    enum cas_err folded = journal_db_fold(ledger->db, NULL);
    (void)folded;
    return CAS_OK;
}

/* Inside a transaction: drops the oldest settled rollouts while there are too many rows. */
static enum cas_err
evict(struct ledger *ledger, int64_t *ret_dropped, uint64_t *ret_floor, struct cas_why *why)
{
    for (int round = 0; round < EVICT_ROLLOUTS && ledger->row_n - *ret_dropped >= LEDGER_ROWS;
         round++) {
        bool is_row = false;
        enum cas_err err = journal_db_step(ledger->stmt[EVICTABLE], &is_row, why);
        int64_t rollout =
            err == CAS_OK && is_row ? sqlite3_column_int64(ledger->stmt[EVICTABLE], 0) : 0;
        journal_db_reset(ledger->stmt[EVICTABLE]);
        if (err != CAS_OK || !is_row)
            return err;
        (void)sqlite3_bind_int64(ledger->stmt[EVICT], 1, rollout);
        err = journal_db_run(ledger->stmt[EVICT], why);
        if (err != CAS_OK)
            return err;
        *ret_dropped += sqlite3_changes(ledger->db);
        (void)sqlite3_bind_text(ledger->stmt[NUMBER], 1, "rollout_floor", -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(ledger->stmt[NUMBER], 2, rollout);
        err = journal_db_run(ledger->stmt[NUMBER], why);
        if (err != CAS_OK)
            return err;
        if ((uint64_t)rollout > *ret_floor)
            *ret_floor = (uint64_t)rollout;
    }
    return CAS_OK;
}

/* Inside a transaction: makes room for a row of no rollout. A REVOKE is not signed and may be for a
 * command nobody has heard of: such rows have a limit of their own, and neither drive out what was
 * done nor fill the disk. Only what the controller has as well is forgotten. */
static enum cas_err revoked_room(struct ledger *ledger, int64_t *ret_dropped, struct cas_why *why)
{
    if (ledger->has_intent && ledger->revoked_acting_n >= REVOKED_ACTING)
        return cas_fail(why,
                        CAS_ERR_BUSY,
                        "ledger: %d commands were revoked during one act, no more until it ends",
                        (int)REVOKED_ACTING);
    bool is_row = false;
    enum cas_err err = journal_db_step(ledger->stmt[REVOKED_COUNT], &is_row, why);
    int64_t n = err == CAS_OK ? sqlite3_column_int64(ledger->stmt[REVOKED_COUNT], 0) : 0;
    journal_db_reset(ledger->stmt[REVOKED_COUNT]);
    if (err != CAS_OK || n < LEDGER_REVOKED)
        return err;
    (void)sqlite3_bind_int64(ledger->stmt[REVOKED_EVICT], 1, EVICT_REVOKED);
    err = journal_db_run(ledger->stmt[REVOKED_EVICT], why);
    if (err != CAS_OK)
        return err;
    int64_t dropped = sqlite3_changes(ledger->db);
    *ret_dropped += dropped;
    if (n - dropped < LEDGER_REVOKED)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_TOO_MANY,
                    "ledger: %lld revoked commands wait for the controller's ACK, limit %d",
                    (long long)n,
                    (int)LEDGER_REVOKED);
}

enum cas_err ledger_write(struct ledger *ledger, struct ledger_row *row, struct cas_why *why)
{
    struct ledger_row old = {.state = COMMAND_NONE};
    enum cas_err err = ledger_find(ledger, row->cmd_id, &old);
    bool is_new = err == CAS_ERR_NOT_FOUND;
    if (err != CAS_OK && !is_new)
        return cas_fail(why, err, "ledger: cannot be read");
    if (!is_next(old.state, row->state))
        return cas_fail(why,
                        CAS_ERR_BUG,
                        "ledger: state %d cannot follow %d",
                        (int)row->state,
                        (int)old.state);
    if (is_new && row->state == COMMAND_INTENT) {
        err = reserve_take(ledger, why);
        if (err != CAS_OK)
            return err;
    }
    err = journal_db_run(ledger->stmt[BEGIN], why);
    if (err != CAS_OK)
        return err;
    int64_t dropped = 0;
    uint64_t rollout_floor = ledger->rollout_floor;
    bool is_unseen = is_new && row->rollout_seq == 0;
    if (is_unseen)
        err = revoked_room(ledger, &dropped, why);
    if (is_new && err == CAS_OK)
        err = evict(ledger, &dropped, &rollout_floor, why);
    if (err == CAS_OK) {
        row_bind(ledger->stmt[WRITE], row, ledger->head + 1);
        err = journal_db_run(ledger->stmt[WRITE], why);
    }
    if (err == CAS_OK) {
        (void)sqlite3_bind_int64(ledger->stmt[HEAD], 1, (int64_t)ledger->head + 1);
        err = journal_db_run(ledger->stmt[HEAD], why);
    }
    err = commit(ledger, err, why);
    if (err != CAS_OK)
        return err;
    ledger->head++;
    row->seq = ledger->head;
    row->is_acknowledged = false;
    ledger->rollout_floor = rollout_floor;
    ledger->row_n += (is_new ? 1 : 0) - dropped;
    ledger->revoked_acting_n = ledger->has_intent ? ledger->revoked_acting_n + is_unseen : 0;
    if (row->state == COMMAND_INTENT || old.state == COMMAND_INTENT)
        ledger->has_intent = row->state == COMMAND_INTENT;
    return CAS_OK;
}

enum cas_err ledger_acknowledge(struct ledger *ledger,
                                const uint8_t cmd_id[CAS_ID_BYTES],
                                uint64_t seq,
                                struct cas_why *why)
{
    enum cas_err err = journal_db_run(ledger->stmt[BEGIN], why);
    if (err != CAS_OK)
        return err;
    (void)sqlite3_bind_blob(ledger->stmt[ACKNOWLEDGE], 1, cmd_id, CAS_ID_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_int64(ledger->stmt[ACKNOWLEDGE], 2, (int64_t)seq);
    return commit(ledger, journal_db_run(ledger->stmt[ACKNOWLEDGE], why), why);
}

uint64_t ledger_head(const struct ledger *ledger)
{
    return ledger->head;
}

enum cas_err
ledger_tail(struct ledger *ledger, struct ledger_row *ret_row, size_t cap, size_t *ret_n)
{
    (void)sqlite3_bind_int64(ledger->stmt[TAIL], 1, (int64_t)cap);
    size_t row_n = 0;
    enum cas_err err = rows_take(ledger->stmt[TAIL], ret_row, cap, &row_n);
    if (err != CAS_OK)
        return err;
    for (size_t i = 0; i < row_n / 2; i++) {
        struct ledger_row newer = ret_row[i];
        ret_row[i] = ret_row[row_n - 1 - i];
        ret_row[row_n - 1 - i] = newer;
    }
    *ret_n = row_n;
    return CAS_OK;
}

enum cas_err
ledger_unacknowledged(struct ledger *ledger, struct ledger_row *ret_row, size_t cap, size_t *ret_n)
{
    (void)sqlite3_bind_int64(ledger->stmt[UNACKNOWLEDGED], 1, (int64_t)cap);
    return rows_take(ledger->stmt[UNACKNOWLEDGED], ret_row, cap, ret_n);
}

enum cas_err ledger_open_intent(struct ledger *ledger, struct ledger_row *ret_row)
{
    size_t row_n = 0;
    struct ledger_row row;
    enum cas_err err = rows_take(ledger->stmt[INTENT], &row, 1, &row_n);
    if (err != CAS_OK)
        return err;
    if (row_n == 0)
        return CAS_ERR_NOT_FOUND;
    *ret_row = row;
    return CAS_OK;
}

bool ledger_is_writable(struct ledger *ledger, struct cas_why *why)
{
    /* The open INTENT holds the reserve; taking it again would first give it away. */
    if (ledger->has_intent)
        return true;
    return reserve_take(ledger, why) == CAS_OK;
}

uint64_t ledger_epoch(const struct ledger *ledger)
{
    return ledger->epoch;
}

enum cas_err ledger_raise_epoch(struct ledger *ledger, uint64_t epoch, struct cas_why *why)
{
    if (epoch <= ledger->epoch)
        return CAS_OK;
    enum cas_err err = journal_db_run(ledger->stmt[BEGIN], why);
    if (err != CAS_OK)
        return err;
    (void)sqlite3_bind_text(ledger->stmt[NUMBER], 1, "epoch", -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(ledger->stmt[NUMBER], 2, (int64_t)epoch);
    err = commit(ledger, journal_db_run(ledger->stmt[NUMBER], why), why);
    if (err == CAS_OK)
        ledger->epoch = epoch;
    return err;
}

uint64_t ledger_rollout_floor(const struct ledger *ledger)
{
    return ledger->rollout_floor;
}

enum cas_err ledger_note_get(struct ledger *ledger, const char *name, char *ret_text, size_t cap)
{
    struct sqlite3_stmt *stmt = ledger->stmt[NOTE_GET];
    (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    bool is_row = false;
    enum cas_err err = journal_db_step(stmt, &is_row, NULL);
    if (err == CAS_OK && !is_row)
        err = CAS_ERR_NOT_FOUND;
    if (err == CAS_OK)
        err =
            cas_slice_copy(cas_slice_of((const char *)sqlite3_column_text(stmt, 0)), ret_text, cap);
    journal_db_reset(stmt);
    return err;
}

enum cas_err
ledger_note_set(struct ledger *ledger, const char *name, const char *text, struct cas_why *why)
{
    enum cas_err err = journal_db_run(ledger->stmt[BEGIN], why);
    if (err != CAS_OK)
        return err;
    (void)sqlite3_bind_text(ledger->stmt[NOTE_SET], 1, name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(ledger->stmt[NOTE_SET], 2, text, -1, SQLITE_STATIC);
    return commit(ledger, journal_db_run(ledger->stmt[NOTE_SET], why), why);
}
