#include "agent/journal/outbox.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "agent/journal/journal_db.h"
#include "proto/base/failpoint.h"

enum {
    CACHE_KIB = 192,
    CHECKPOINT_N = 120, /* pages: as many as LOG_BYTES hold */
    LOG_BYTES = 512 * 1024,
    ROW_BYTES =
        64, /* what a row costs beside its body: header, cell, index entry, share of inner pages */
    GAP_BYTES = 128, /* an encoded gap record at most */
    SCRATCH_BYTES = 8192
};

/* Classes leave in rising order when the cap is reached; gaps never do. */
enum class {
    CLASS_SAMPLE = 1,
    CLASS_FACT = 2,
    CLASS_EVENT = 3,
    CLASS_GAP = 9
};

static const char *const migrations[] = {
    "CREATE TABLE entry (seq INTEGER PRIMARY KEY, class INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL, cost INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE INDEX entry_class ON entry (class, seq);"
    "CREATE TABLE number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO number VALUES ('high', 0);"
    "CREATE TABLE spool (id BLOB NOT NULL) STRICT;"
    "INSERT INTO spool VALUES (randomblob(16));",
    /* Samples are nearly all there is and are found in the order of seq: not in the index, each
     * commit writes a page less. */
    "DROP INDEX entry_class;"
    "CREATE INDEX entry_other ON entry (class, seq) WHERE class > 1;",
};

enum statement {
    ADD,
    READ,
    REMOVE,
    REMOVE_UPTO,
    SAMPLE,
    LOWEST,
    AT,
    SUM_UPTO,
    HIGH,
    RENEW,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENT_N
};
#define ROW "seq, class, kind, at_ms, cost, body"
static const char *const sql_of[STATEMENT_N] = {
    [ADD] = "INSERT INTO entry (" ROW ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [READ] = "SELECT " ROW " FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [REMOVE] = "DELETE FROM entry WHERE seq = ?1",
    [REMOVE_UPTO] = "DELETE FROM entry WHERE seq <= ?1",
    [SAMPLE] = "SELECT " ROW " FROM entry WHERE class = 1 AND seq >= ?1 ORDER BY seq LIMIT 1",
    [LOWEST] =
        "SELECT " ROW " FROM entry WHERE class > 1 AND class < 9 ORDER BY class, seq LIMIT 1",
    [AT] = "SELECT " ROW " FROM entry WHERE seq = ?1",
    [SUM_UPTO] = "SELECT ifnull(sum(cost), 0) FROM entry WHERE seq <= ?1",
    [HIGH] = "UPDATE number SET value = ?1 WHERE name = 'high'",
    [RENEW] = "UPDATE spool SET id = randomblob(16)",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

/* What a roll-back must restore. */
struct outbox_state {
    uint64_t high;
    uint64_t sample_low; /* no sample is below: where the search for the oldest begins */
    int64_t used_bytes;
};
struct outbox {
    struct sqlite3 *db;
    struct sqlite3_stmt *stmt[STATEMENT_N];
    struct cas_arena *scratch;
    uint8_t spool_id[CAS_ID_BYTES];
    int64_t cap_bytes;
    struct outbox_state now;
    struct outbox_state before; /* the transaction */
    uint64_t handed;            /* highest given out by outbox_read since the start */
    uint64_t dropped;           /* up to here all has left since the start; 0: nothing yet */
    int change_n;               /* of the connection, before the transaction */
    bool is_durable;            /* a commit waits for the disk */
    bool is_behind;             /* the disk may not have the last commits */
    bool is_torn;               /* and another sync would not bring them: see outbox_settle */
    bool is_open;               /* between outbox_begin and outbox_commit */
    bool is_spoilt;             /* and something in it failed: it was undone */
};
struct row {
    uint64_t seq;
    enum class class;
    enum entry_kind kind;
    int64_t at_ms;
    int64_t cost;
};

static enum class class_of(enum entry_kind kind) {
    switch (kind){case ENTRY_SAMPLE : return CLASS_SAMPLE; case ENTRY_FACT : return CLASS_FACT;
                  case ENTRY_EVENT : return CLASS_EVENT;
                  case ENTRY_GAP : return CLASS_GAP;
}
return CLASS_SAMPLE;
}

static int64_t cost_of(size_t body_bytes)
{
    return (int64_t)body_bytes + ROW_BYTES;
}

/* What is read decides what is told to the controller: a row that cannot be is damage. */
static enum cas_err row_take(struct sqlite3_stmt *stmt, struct row *ret_row)
{
    int64_t seq = sqlite3_column_int64(stmt, 0);
    int class = sqlite3_column_int(stmt, 1);
    int kind = sqlite3_column_int(stmt, 2);
    if (seq <= 0 || kind < ENTRY_SAMPLE || kind > ENTRY_GAP ||
        class != (int)class_of((enum entry_kind)kind))
        return CAS_ERR_CORRUPT;
    ret_row->seq = (uint64_t)seq;
    ret_row->class = (enum class) class;
    ret_row->kind = (enum entry_kind)kind;
    ret_row->at_ms = sqlite3_column_int64(stmt, 3);
    ret_row->cost = sqlite3_column_int64(stmt, 4);
    return CAS_OK;
}

static struct cas_slice body_of(struct sqlite3_stmt *stmt)
{
    /* The blob is asked for first: the other order may convert it. */
    struct cas_slice body = {.data = sqlite3_column_blob(stmt, 5)};
    body.size = (size_t)sqlite3_column_bytes(stmt, 5);
    return body;
}

/* The first row of a bound statement; CAS_ERR_NOT_FOUND. A gap's content goes to ret_gap when not
 * NULL. */
static enum cas_err row_first(struct outbox *outbox,
                              struct sqlite3_stmt *stmt,
                              struct row *ret_row,
                              struct record_gap *ret_gap)
{
    bool is_row = false;
    enum cas_err err = journal_db_step(stmt, &is_row, NULL);
    if (err == CAS_OK)
        err = is_row ? row_take(stmt, ret_row) : CAS_ERR_NOT_FOUND;
    if (err == CAS_OK && ret_row->kind == ENTRY_GAP && ret_gap != NULL) {
        cas_arena_clear(outbox->scratch);
        err = record_decode(RECORD_gap, body_of(stmt), outbox->scratch, ret_gap, NULL);
    }
    journal_db_reset(stmt);
    return err;
}

static enum cas_err
row_above(struct outbox *outbox, uint64_t seq, struct row *ret_row, struct record_gap *ret_gap)
{
    (void)sqlite3_bind_int64(outbox->stmt[READ], 1, (int64_t)seq);
    (void)sqlite3_bind_int64(outbox->stmt[READ], 2, 1);
    return row_first(outbox, outbox->stmt[READ], ret_row, ret_gap);
}

static enum cas_err spool_read(struct outbox *outbox, struct cas_why *why)
{
    struct sqlite3_stmt *stmt = NULL;
    enum cas_err err = journal_db_prepare(outbox->db, "SELECT id FROM spool", &stmt, why);
    if (err != CAS_OK)
        return err;
    bool is_row = false;
    err = journal_db_step(stmt, &is_row, why);
    const void *id = err == CAS_OK && is_row ? sqlite3_column_blob(stmt, 0) : NULL;
    if (err == CAS_OK && (id == NULL || sqlite3_column_bytes(stmt, 0) != CAS_ID_BYTES))
        err =
            journal_db_damaged(sqlite3_db_filename(outbox->db, "main"), "it has lost its id", why);
    if (err == CAS_OK)
        memcpy(outbox->spool_id, id, CAS_ID_BYTES);
    journal_db_drop(stmt);
    return err;
}

static enum cas_err state_read(struct outbox *outbox, struct cas_why *why)
{
    int64_t value[3] = {0};
    enum cas_err err = journal_db_numbers(outbox->db,
                                          "SELECT (SELECT value FROM number WHERE name = 'high'),"
                                          " ifnull(max(seq), 0), ifnull(sum(cost), 0) FROM entry",
                                          value,
                                          CAS_COUNT(value),
                                          why);
    int64_t kept = value[0], newest = value[1], used = value[2];
    if (err == CAS_ERR_NOT_FOUND || (err == CAS_OK && (kept < 0 || newest < 0 || used < 0)))
        return journal_db_damaged(sqlite3_db_filename(outbox->db, "main"),
                                  "its numbers cannot be",
                                  why);
    if (err != CAS_OK)
        return err;
    outbox->now.high = (uint64_t)(kept > newest ? kept : newest);
    outbox->now.used_bytes = used;
    return CAS_OK;
}

enum cas_err
outbox_open(const char *path, int64_t cap_bytes, struct outbox **ret_outbox, struct cas_why *why)
{
    CAS_AUTO(outbox) outbox = calloc(1, sizeof *outbox);
    if (outbox == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory", path);
    outbox->cap_bytes = cap_bytes;
    outbox->is_durable = true;
    outbox->is_behind = true; /* by what the run before committed and did not wait for */
    enum cas_err err = cas_arena_open(SCRATCH_BYTES, &outbox->scratch);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: no memory", path);
    struct journal_db_settings settings = {.path = path,
                                           .migration = migrations,
                                           .migration_n = CAS_COUNT(migrations),
                                           .cache_kib = CACHE_KIB,
                                           .checkpoint_n = CHECKPOINT_N,
                                           .log_bytes = LOG_BYTES};
    err = journal_db_open(&settings, &outbox->db, why);
    for (size_t i = 0; err == CAS_OK && i < STATEMENT_N; i++)
        err = journal_db_prepare(outbox->db, sql_of[i], &outbox->stmt[i], why);
    if (err == CAS_OK)
        err = journal_db_check(outbox->db, why);
    if (err == CAS_OK)
        err = spool_read(outbox, why);
    if (err == CAS_OK)
        err = state_read(outbox, why);
    if (err != CAS_OK)
        return err;
    *ret_outbox = CAS_TAKE(outbox);
    return CAS_OK;
}

void outbox_free(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_N; i++)
        journal_db_drop(outbox->stmt[i]);
    journal_db_close(outbox->db);
    cas_arena_free(outbox->scratch);
    free(outbox);
}

const uint8_t *outbox_spool_id(const struct outbox *outbox)
{
    return outbox->spool_id;
}

uint64_t outbox_low(struct outbox *outbox)
{
    struct row row;
    struct record_gap gap;
    if (row_above(outbox, 0, &row, &gap) != CAS_OK)
        return 0;
    return row.kind == ENTRY_GAP ? gap.first_seq : row.seq;
}

uint64_t outbox_high(const struct outbox *outbox)
{
    return outbox->now.high;
}

int64_t outbox_used(const struct outbox *outbox)
{
    return outbox->now.used_bytes;
}

/* ---- transactions ---- */

static enum cas_err begin(struct outbox *outbox, bool is_durable, struct cas_why *why)
{
    if (outbox->is_durable != is_durable) {
        enum cas_err err = journal_db_set_durable(outbox->db, is_durable, why);
        if (err != CAS_OK)
            return err;
        outbox->is_durable = is_durable;
    }
    outbox->before = outbox->now;
    outbox->change_n = sqlite3_total_changes(outbox->db);
    return journal_db_run(outbox->stmt[BEGIN], why);
}

/* Ends a transaction by what came of it. */
static enum cas_err end(struct outbox *outbox, enum cas_err err, struct cas_why *why)
{
    enum cas_err passed = CAS_FAILPOINT("outbox.commit");
    if (err == CAS_OK && passed != CAS_OK)
        err = cas_fail(why, passed, "outbox: COMMIT: %s", cas_err_words(passed));
    if (err == CAS_OK)
        err = journal_db_run(outbox->stmt[COMMIT], why);
    if (err != CAS_OK) {
        journal_db_undo(outbox->stmt[ROLLBACK]);
        outbox->now = outbox->before;
        outbox->is_torn = outbox->is_torn || outbox->is_durable;
        outbox->is_behind = outbox->is_behind || outbox->is_torn;
    } else if (sqlite3_total_changes(outbox->db) != outbox->change_n) {
        /* One that waits brings all before it along; an empty one writes and waits for nothing. */
        outbox->is_behind = !outbox->is_durable || outbox->is_torn;
    }
    return err;
}

static enum cas_err open_as(struct outbox *outbox, bool is_durable, struct cas_why *why)
{
    if (outbox->is_open)
        return cas_fail(why, CAS_ERR_BUG, "outbox: a transaction within one");
    /* A commit that waits must not stand behind one that is lost. */
    enum cas_err err = is_durable && outbox->is_torn ? outbox_settle(outbox, why) : CAS_OK;
    if (err == CAS_OK)
        err = begin(outbox, is_durable, why);
    outbox->is_open = err == CAS_OK;
    outbox->is_spoilt = false;
    return err;
}

enum cas_err outbox_begin(struct outbox *outbox, struct cas_why *why)
{
    return open_as(outbox, true, why);
}

enum cas_err outbox_begin_unsynced(struct outbox *outbox, struct cas_why *why)
{
    return open_as(outbox, false, why);
}

enum cas_err outbox_commit(struct outbox *outbox, struct cas_why *why)
{
    if (!outbox->is_open)
        return cas_fail(why, CAS_ERR_BUG, "outbox: no transaction to commit");
    outbox->is_open = false;
    if (outbox->is_spoilt)
        return cas_fail(why, CAS_ERR_IO, "outbox: undone, one of its writes had failed");
    return end(outbox, CAS_OK, why);
}

/* ---- writing ---- */

static enum cas_err
put(struct outbox *outbox, const struct row *row, struct cas_slice body, struct cas_why *why)
{
    struct sqlite3_stmt *stmt = outbox->stmt[ADD];
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)row->seq);
    (void)sqlite3_bind_int(stmt, 2, (int)row->class);
    (void)sqlite3_bind_int(stmt, 3, (int)row->kind);
    (void)sqlite3_bind_int64(stmt, 4, row->at_ms);
    (void)sqlite3_bind_int64(stmt, 5, row->cost);
    (void)sqlite3_bind_blob(stmt, 6, body.data, (int)body.size, SQLITE_STATIC);
    enum cas_err err = journal_db_run(stmt, why);
    if (err == CAS_OK)
        outbox->now.used_bytes += row->cost;
    return err;
}

static enum cas_err take(struct outbox *outbox, const struct row *row, struct cas_why *why)
{
    (void)sqlite3_bind_int64(outbox->stmt[REMOVE], 1, (int64_t)row->seq);
    enum cas_err err = journal_db_run(outbox->stmt[REMOVE], why);
    if (err == CAS_OK)
        outbox->now.used_bytes -= row->cost;
    return err;
}

static enum cas_err
put_gap(struct outbox *outbox, const struct record_gap *gap, struct cas_why *why)
{
    uint8_t bytes[GAP_BYTES];
    size_t size = 0;
    enum cas_err err = record_encode(RECORD_gap, gap, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    struct row row = {.seq = gap->last_seq,
                      .class = CLASS_GAP,
                      .kind = ENTRY_GAP,
                      .at_ms = gap->until_ms,
                      .cost = cost_of(size)};
    return put(outbox, &row, (struct cas_slice){(const char *)bytes, size}, why);
}

static void gap_join(struct record_gap *gap, const struct record_gap *other)
{
    if (other->first_seq < gap->first_seq) {
        gap->first_seq = other->first_seq;
        gap->from_ms = other->from_ms;
    }
    if (other->last_seq > gap->last_seq) {
        gap->last_seq = other->last_seq;
        gap->until_ms = other->until_ms;
    }
    gap->samples += other->samples;
    gap->others += other->others;
}

/* Position dropped->seq is empty now: a gap takes its place, joined with the gaps beside it. No gap
 * reaches over the highest position handed out: what the controller may have is kept apart from
 * what it cannot have, so that an ACK never cuts a gap in two. */
static enum cas_err gap_open(struct outbox *outbox, const struct row *dropped, struct cas_why *why)
{
    struct record_gap gap = {.first_seq = dropped->seq,
                             .last_seq = dropped->seq,
                             .samples = dropped->kind == ENTRY_SAMPLE ? 1 : 0,
                             .others = dropped->kind == ENTRY_SAMPLE ? 0 : 1,
                             .from_ms = dropped->at_ms,
                             .until_ms = dropped->at_ms};
    struct row beside;
    struct record_gap other;
    (void)sqlite3_bind_int64(outbox->stmt[AT], 1, (int64_t)dropped->seq - 1);
    enum cas_err err = row_first(outbox, outbox->stmt[AT], &beside, &other);
    if (err == CAS_OK && beside.kind == ENTRY_GAP && beside.seq != outbox->handed) {
        gap_join(&gap, &other);
        err = take(outbox, &beside, why);
    }
    if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
        return err;
    err = row_above(outbox, dropped->seq, &beside, &other);
    if (err == CAS_OK && beside.kind == ENTRY_GAP && other.first_seq == dropped->seq + 1 &&
        dropped->seq != outbox->handed) {
        gap_join(&gap, &other);
        err = take(outbox, &beside, why);
    }
    if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
        return err;
    return put_gap(outbox, &gap, why);
}

/* The record that goes first; CAS_ERR_NOT_FOUND when all are gaps. */
static enum cas_err lowest(struct outbox *outbox, struct row *ret_row)
{
    (void)sqlite3_bind_int64(outbox->stmt[SAMPLE], 1, (int64_t)outbox->now.sample_low);
    enum cas_err err = row_first(outbox, outbox->stmt[SAMPLE], ret_row, NULL);
    if (err == CAS_OK)
        outbox->now.sample_low = ret_row->seq;
    if (err != CAS_ERR_NOT_FOUND)
        return err;
    outbox->now.sample_low = outbox->now.high + 1;
    return row_first(outbox, outbox->stmt[LOWEST], ret_row, NULL);
}

/* Makes room by dropping, lowest class and oldest first, what ranks no higher than the newest
 * record; which has its position already, and may be the one that goes. */
static enum cas_err shrink(struct outbox *outbox, struct cas_why *why)
{
    while (outbox->now.used_bytes > outbox->cap_bytes) {
        struct row row;
        enum cas_err err = lowest(outbox, &row);
        if (err == CAS_ERR_NOT_FOUND)
            return CAS_OK; /* one gap is left, of constant size */
        if (err == CAS_OK)
            err = take(outbox, &row, why);
        if (err == CAS_OK)
            err = gap_open(outbox, &row, why);
        if (err != CAS_OK)
            return err;
    }
    return CAS_OK;
}

enum cas_err outbox_add(struct outbox *outbox,
                        enum entry_kind kind,
                        int64_t at_ms,
                        struct cas_slice body,
                        uint64_t *ret_seq,
                        struct cas_why *why)
{
    if (kind == ENTRY_GAP || body.size == 0 || body.size > WIRE_BODY_BYTES)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "outbox: a body of %zu bytes, possible are 1 to %d",
                        body.size,
                        (int)WIRE_BODY_BYTES);
    if (outbox->is_open && outbox->is_spoilt)
        return cas_fail(why, CAS_ERR_IO, "outbox: an earlier write of this transaction failed");
    enum cas_err err = outbox->is_open ? CAS_OK : begin(outbox, true, why);
    if (err != CAS_OK)
        return err;
    struct row row = {.seq = outbox->now.high + 1,
                      .class = class_of(kind),
                      .kind = kind,
                      .at_ms = at_ms,
                      .cost = cost_of(body.size)};
    err = put(outbox, &row, body, why);
    if (err == CAS_OK) {
        outbox->now.high = row.seq;
        err = shrink(outbox, why);
    }
    if (!outbox->is_open) {
        err = end(outbox, err, why);
    } else if (err != CAS_OK) {
        outbox->is_spoilt = true;
        (void)end(outbox, err, NULL);
    }
    if (err == CAS_OK)
        *ret_seq = row.seq;
    return err;
}

/* ---- reading ---- */

static enum cas_err entry_take(struct sqlite3_stmt *stmt,
                               struct cas_arena *arena,
                               struct record_entry *ret_entry,
                               size_t *ret_bytes)
{
    struct row row;
    enum cas_err err = row_take(stmt, &row);
    if (err != CAS_OK)
        return err;
    struct cas_slice body = body_of(stmt);
    if (body.size == 0 || body.size > WIRE_BODY_BYTES)
        return CAS_ERR_CORRUPT;
    char *copy = cas_arena_take(arena, body.size, 1);
    if (copy == NULL)
        return CAS_ERR_NOMEM;
    memcpy(copy, body.data, body.size);
    *ret_entry = (struct record_entry){.seq = row.seq,
                                       .kind = row.kind,
                                       .at_ms = row.at_ms,
                                       .body = {copy, body.size}};
    *ret_bytes = body.size;
    return CAS_OK;
}

/* A kernel tells once that it could not write, and calls the pages clean from then on: a second
 * sync that succeeds has made sure of nothing. Folding the log writes what it holds anew, into the
 * file.
 */
enum cas_err outbox_settle(struct outbox *outbox, struct cas_why *why)
{
    if (!outbox->is_behind)
        return CAS_OK;
    enum cas_err err = CAS_FAILPOINT("outbox.sync");
    if (err != CAS_OK)
        return cas_fail(why, err, "outbox: SYNC: %s", cas_err_words(err));
    err = outbox->is_torn ? journal_db_fold(outbox->db, why) : journal_db_sync(outbox->db, why);
    outbox->is_torn = err != CAS_OK;
    outbox->is_behind = err != CAS_OK;
    return err;
}

/* Positions follow each other, but for a gap's, which names its own. Where they do not, the disk
 * has put back a page of before: its sum is right, and what stood in the newer one is gone. */
static enum cas_err order_check(struct outbox *outbox,
                                const struct record_entry *entry,
                                uint64_t before,
                                struct cas_why *why)
{
    struct record_gap gap = {.first_seq = entry->seq};
    enum cas_err err = CAS_OK;
    if (entry->kind == ENTRY_GAP) {
        cas_arena_clear(outbox->scratch);
        err = record_decode(RECORD_gap, entry->body, outbox->scratch, &gap, NULL);
    }
    if (err == CAS_OK && (before == 0 || gap.first_seq <= before + 1))
        return CAS_OK;
    char what[96];
    struct cas_text text = CAS_TEXT(what);
    cas_text_clear(&text);
    cas_text_add(&text, "the records from %llu on are not in it", (unsigned long long)(before + 1));
    return journal_db_damaged(sqlite3_db_filename(outbox->db, "main"),
                              err == CAS_OK ? what : "a gap that cannot be one",
                              why);
}

/* The row a statement stands at. */
static enum cas_err next_take(struct outbox *outbox,
                              struct cas_arena *arena,
                              uint64_t before,
                              struct record_entry *ret_entry,
                              size_t *ret_bytes,
                              struct cas_why *why)
{
    enum cas_err err = entry_take(outbox->stmt[READ], arena, ret_entry, ret_bytes);
    if (err == CAS_ERR_CORRUPT)
        return journal_db_damaged(sqlite3_db_filename(outbox->db, "main"),
                                  "a record that cannot be one",
                                  why);
    return err == CAS_OK ? order_check(outbox, ret_entry, before, why) : err;
}

enum cas_err outbox_read(struct outbox *outbox,
                         uint64_t after_seq,
                         struct cas_arena *arena,
                         struct record_entry **ret_entry,
                         size_t *ret_n,
                         struct cas_why *why)
{
    struct record_entry *entry = cas_arena_take(arena, WIRE_REPORT_RECORDS, sizeof *entry);
    if (entry == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "outbox: no memory for a report");
    if (outbox->is_open)
        return cas_fail(why, CAS_ERR_BUG, "outbox: reading within a transaction");
    struct sqlite3_stmt *stmt = outbox->stmt[READ];
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)after_seq);
    (void)sqlite3_bind_int64(stmt, 2, WIRE_REPORT_RECORDS);
    size_t entry_n = 0;
    size_t bytes = 0;
    bool is_row = true;
    uint64_t before = after_seq > outbox->dropped ? after_seq : outbox->dropped;
    /* A position whose record a loss of power takes is given again: had the controller seen it, it
     * would take the new record for the old one and acknowledge it unread. */
    enum cas_err err = outbox_settle(outbox, why);
    while (err == CAS_OK && entry_n < WIRE_REPORT_RECORDS) {
        err = journal_db_step(stmt, &is_row, why);
        if (err != CAS_OK || !is_row ||
            bytes + (size_t)sqlite3_column_bytes(stmt, 5) > WIRE_REPORT_BYTES)
            break;
        size_t body_bytes = 0;
        err = next_take(outbox, arena, before, &entry[entry_n], &body_bytes, why);
        bytes += body_bytes;
        before = entry[entry_n].seq;
        entry_n += err == CAS_OK ? 1 : 0;
    }
    journal_db_reset(stmt);
    if (err != CAS_OK)
        return err;
    if (entry_n > 0 && entry[entry_n - 1].seq > outbox->handed)
        outbox->handed = entry[entry_n - 1].seq;
    *ret_entry = entry;
    *ret_n = entry_n;
    return CAS_OK;
}

/* ---- leaving ---- */

/* A gap that begins at or below seq and ends above it keeps its upper part. Only an ACK of an
 * earlier run of the program can cut one; what it counts is then taken from the kind there is more
 * of. */
static enum cas_err gap_trim(struct outbox *outbox, uint64_t seq, struct cas_why *why)
{
    struct row row;
    struct record_gap gap;
    enum cas_err err = row_above(outbox, seq, &row, &gap);
    if (err == CAS_ERR_NOT_FOUND)
        return CAS_OK;
    if (err != CAS_OK || row.kind != ENTRY_GAP || gap.first_seq > seq)
        return err;
    uint64_t gone = seq + 1 - gap.first_seq;
    uint64_t *most = gap.samples >= gap.others ? &gap.samples : &gap.others;
    uint64_t *least = most == &gap.samples ? &gap.others : &gap.samples;
    uint64_t of_most = gone < *most ? gone : *most;
    uint64_t of_least = gone - of_most < *least ? gone - of_most : *least;
    *most -= of_most;
    *least -= of_least;
    gap.first_seq = seq + 1;
    err = take(outbox, &row, why);
    return err == CAS_OK ? put_gap(outbox, &gap, why) : err;
}

enum cas_err outbox_drop_upto(struct outbox *outbox, uint64_t seq, struct cas_why *why)
{
    if (seq > outbox->now.high)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "outbox: position %llu was never written, the newest is %llu",
                        (unsigned long long)seq,
                        (unsigned long long)outbox->now.high);
    if (seq > outbox->handed)
        seq = outbox->handed;
    if (seq == 0)
        return CAS_OK;
    if (outbox->is_open)
        return cas_fail(why, CAS_ERR_BUG, "outbox: dropping within a transaction");
    /* Not waited for: what comes back after a loss of power is sent again and known there, and its
     * positions were on the disk before they were handed out. */
    enum cas_err err = begin(outbox, false, why);
    if (err != CAS_OK)
        return err;
    struct sqlite3_stmt *sum = outbox->stmt[SUM_UPTO];
    (void)sqlite3_bind_int64(sum, 1, (int64_t)seq);
    bool is_row = false;
    err = journal_db_step(sum, &is_row, why);
    int64_t gone = err == CAS_OK && is_row ? sqlite3_column_int64(sum, 0) : 0;
    journal_db_reset(sum);
    if (err == CAS_OK) {
        (void)sqlite3_bind_int64(outbox->stmt[HIGH], 1, (int64_t)outbox->now.high);
        err = journal_db_run(outbox->stmt[HIGH], why);
    }
    if (err == CAS_OK) {
        (void)sqlite3_bind_int64(outbox->stmt[REMOVE_UPTO], 1, (int64_t)seq);
        err = journal_db_run(outbox->stmt[REMOVE_UPTO], why);
    }
    if (err == CAS_OK) {
        outbox->now.used_bytes -= gone;
        err = gap_trim(outbox, seq, why);
    }
    err = end(outbox, err, why);
    if (err == CAS_OK && seq > outbox->dropped)
        outbox->dropped = seq;
    return err;
}

enum cas_err outbox_renew(struct outbox *outbox, struct cas_why *why)
{
    if (outbox->is_open)
        return cas_fail(why, CAS_ERR_BUG, "outbox: a new id within a transaction");
    enum cas_err err = begin(outbox, true, why);
    if (err == CAS_OK)
        err = end(outbox, journal_db_run(outbox->stmt[RENEW], why), why);
    if (err == CAS_OK)
        err = spool_read(outbox, why);
    if (err == CAS_OK)
        outbox->handed = 0;
    return err;
}
