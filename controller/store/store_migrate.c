#include "controller/store/store_sql.h"

#include <stdio.h>

/* "CASF": a database of another program is refused rather than migrated. */
enum {
    STORE_APPLICATION = 0x43415346
};

/* Each row brings the schema one number up. Rows are never changed once released, only added. */
static const char *const migrations[STORE_SCHEMA] = {
    "CREATE TABLE leader (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, leader_id "
    "BLOB NOT NULL,"
    " write_version INTEGER NOT NULL, is_clean INTEGER NOT NULL) STRICT;"
    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"

    "CREATE TABLE server (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, curve_key BLOB NOT "
    "NULL UNIQUE,"
    " admission INTEGER NOT NULL, site TEXT NOT NULL, role TEXT NOT NULL, dag TEXT NOT NULL, pool "
    "TEXT NOT NULL,"
    " approved_ms INTEGER NOT NULL, approved_by TEXT NOT NULL) STRICT;"
    "CREATE TABLE server_events (server_id INTEGER PRIMARY KEY, event_4227_n INTEGER NOT NULL,"
    " event_4227_ms INTEGER NOT NULL, event_4231_n INTEGER NOT NULL, event_4231_ms INTEGER NOT "
    "NULL,"
    " recycled_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE fact (server_id INTEGER NOT NULL, name TEXT NOT NULL, is_known INTEGER NOT NULL, "
    "value TEXT NOT NULL,"
    " reason TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (server_id, name)) STRICT, WITHOUT "
    "ROWID;"

    /* Reports have no index of their own: each server's end of its spool and newest sample stand in
       spool. */
    "CREATE TABLE report (id INTEGER PRIMARY KEY, server_id INTEGER NOT NULL, spool_id BLOB NOT "
    "NULL,"
    " first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT "
    "NULL) STRICT;"
    "CREATE TABLE spool (server_id INTEGER NOT NULL, spool_id BLOB NOT NULL, upto_seq INTEGER NOT "
    "NULL,"
    " heard_ms INTEGER NOT NULL, sample_report INTEGER NOT NULL, PRIMARY KEY (server_id, spool_id))"
    " STRICT, WITHOUT ROWID;"

    "CREATE TABLE draft (seq INTEGER PRIMARY KEY, made_ms INTEGER NOT NULL, plan BLOB NOT NULL) "
    "STRICT;"
    "CREATE TABLE rollout (seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, reason INTEGER NOT "
    "NULL,"
    " run_by TEXT NOT NULL, why TEXT NOT NULL, run_ms INTEGER NOT NULL, begun_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL, halted_ms INTEGER NOT NULL, failed_n INTEGER NOT NULL, forgiven_n "
    "INTEGER NOT NULL,"
    " wave INTEGER NOT NULL, plan_text TEXT NOT NULL, is_ending INTEGER NOT NULL, is_alone INTEGER "
    "NOT NULL,"
    " is_open INTEGER NOT NULL, plan_hash BLOB NOT NULL, plan BLOB NOT NULL) STRICT;"
    "CREATE INDEX rollout_by_open ON rollout (is_open, seq);"
    "CREATE TABLE step (seq INTEGER NOT NULL, position INTEGER NOT NULL, server_id INTEGER NOT "
    "NULL,"
    " wave INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL, reason INTEGER NOT "
    "NULL,"
    " holds_slot INTEGER NOT NULL, cmd_id BLOB NOT NULL, nonce BLOB NOT NULL, reserved_ms INTEGER "
    "NOT NULL,"
    " granted_ms INTEGER NOT NULL, result_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL,"
    " granted_wall_issued_ms INTEGER NOT NULL, good_n INTEGER NOT NULL, good_probe INTEGER NOT "
    "NULL,"
    " note TEXT NOT NULL, evidence_seq INTEGER NOT NULL, evidence_state INTEGER NOT NULL,"
    " evidence_code INTEGER NOT NULL, evidence_text TEXT NOT NULL, pid_before INTEGER NOT NULL,"
    " pid_after INTEGER NOT NULL, start_before_ms INTEGER NOT NULL, start_after_ms INTEGER NOT "
    "NULL,"
    " intent_ms INTEGER NOT NULL, drained_ms INTEGER NOT NULL, acted_ms INTEGER NOT NULL, done_ms "
    "INTEGER NOT NULL,"
    " has_requests INTEGER NOT NULL, requests_before REAL NOT NULL, requests_drained REAL NOT NULL,"
    " PRIMARY KEY (seq, position)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL, verb "
    "TEXT NOT NULL,"
    " subject TEXT NOT NULL, about TEXT NOT NULL, words TEXT NOT NULL) STRICT;"
    "CREATE INDEX audit_by_subject ON audit (subject);"
    "CREATE INDEX audit_by_about ON audit (about);",

    "ALTER TABLE server_events ADD COLUMN journal_high INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX step_by_slot ON step (holds_slot, seq);",

    "CREATE TABLE schedule (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, open_at TEXT NOT "
    "NULL,"
    " target TEXT NOT NULL, selector TEXT NOT NULL, left_out TEXT NOT NULL, verb INTEGER NOT NULL,"
    " pool TEXT NOT NULL, at_once INTEGER NOT NULL, gap_ms INTEGER NOT NULL, settle_ms INTEGER NOT "
    "NULL,"
    " drain_ms INTEGER NOT NULL, act_ms INTEGER NOT NULL, proof_ms INTEGER NOT NULL, healthy_n "
    "INTEGER NOT NULL,"
    " stop_after INTEGER NOT NULL, floor_pct INTEGER NOT NULL, has_canary INTEGER NOT NULL,"
    " is_fixed_too INTEGER NOT NULL, made_by TEXT NOT NULL, made_ms INTEGER NOT NULL,"
    " is_paused INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE schedule_run (schedule_id INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms "
    "INTEGER NOT NULL,"
    " name TEXT NOT NULL, rollout_seq INTEGER NOT NULL, words TEXT NOT NULL,"
    " PRIMARY KEY (schedule_id, start_ms)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE blackout (calendar TEXT NOT NULL, position INTEGER NOT NULL, is_day INTEGER NOT "
    "NULL,"
    " from_day INTEGER NOT NULL, to_day INTEGER NOT NULL, start_ms INTEGER NOT NULL,"
    " end_ms INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (calendar, position)) STRICT, "
    "WITHOUT ROWID;"
    "CREATE TABLE freeze (id INTEGER PRIMARY KEY CHECK (id = 1), is_on INTEGER NOT NULL, reason "
    "TEXT NOT NULL,"
    " said_by TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;",

    /* Windows by the time of each site: what became of one is told for each of them. */
    "CREATE TABLE site (name TEXT PRIMARY KEY, zone TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "ALTER TABLE schedule ADD COLUMN site TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE schedule_run_by_site (schedule_id INTEGER NOT NULL, start_ms INTEGER NOT NULL,"
    " site TEXT NOT NULL, end_ms INTEGER NOT NULL, name TEXT NOT NULL, rollout_seq INTEGER NOT "
    "NULL,"
    " words TEXT NOT NULL, PRIMARY KEY (schedule_id, start_ms, site)) STRICT, WITHOUT ROWID;"
    "INSERT INTO schedule_run_by_site (schedule_id, start_ms, site, end_ms, name, rollout_seq, "
    "words)"
    " SELECT schedule_id, start_ms, '', end_ms, name, rollout_seq, words FROM schedule_run;"
    "DROP TABLE schedule_run;"
    "ALTER TABLE schedule_run_by_site RENAME TO schedule_run;",

    /* A policy's gates; those before stay as a plan's are when nothing is said. */
    "ALTER TABLE schedule ADD COLUMN ram INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE schedule ADD COLUMN is_just_in_time INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE schedule ADD COLUMN min_age_ms INTEGER NOT NULL DEFAULT 0;"
    /* And up to when its windows are dealt with: a clock that is set back behind it is seen. */
    "ALTER TABLE schedule ADD COLUMN armed_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE schedule SET armed_ms = made_ms;",
};

static enum cas_err
number_of(struct store *store, const char *text, int64_t *ret_value, struct cas_why *why)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, text, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    enum cas_err err = code == SQLITE_ROW ? CAS_OK : store_fail(store, code, text, why);
    (void)sqlite3_finalize(stmt);
    if (err == CAS_OK)
        *ret_value = value;
    return err;
}

static enum cas_err migrate_steps(struct store *store, int64_t version, struct cas_why *why)
{
    for (int64_t at = version; at < STORE_SCHEMA; at++) {
        enum cas_err err = store_exec(store, migrations[at], why);
        if (err != CAS_OK)
            return err;
    }
    char text[96];
    (void)snprintf(text,
                   sizeof text,
                   "PRAGMA application_id = %d; PRAGMA user_version = %d",
                   STORE_APPLICATION,
                   STORE_SCHEMA);
    return store_exec(store, text, why);
}

enum cas_err store_identify(struct store *store, int64_t *ret_version, struct cas_why *why)
{
    int64_t version = 0, application = 0, table_n = 0;
    enum cas_err err = number_of(store, "PRAGMA user_version", &version, why);
    if (err == CAS_OK)
        err = number_of(store, "PRAGMA application_id", &application, why);
    if (err == CAS_OK)
        err = number_of(store, "SELECT count(*) FROM sqlite_schema", &table_n, why);
    if (err != CAS_OK)
        return err;
    if (table_n > 0 && application != STORE_APPLICATION)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "%s: a database, but not of a casfleet controller",
                        store->path);
    if (version > STORE_SCHEMA || version < 0)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "%s: written by a newer casfleet (schema %lld, this one knows up to %d)",
                        store->path,
                        (long long)version,
                        STORE_SCHEMA);
    *ret_version = version;
    return CAS_OK;
}

enum cas_err store_migrate(struct store *store, int64_t version, struct cas_why *why)
{
    if (version == STORE_SCHEMA)
        return CAS_OK;
    enum cas_err err = store_exec(store, "BEGIN IMMEDIATE", why);
    if (err == CAS_OK)
        err = migrate_steps(store, version, why);
    if (err == CAS_OK)
        err = store_exec(store, "COMMIT", why);
    if (err != CAS_OK && sqlite3_get_autocommit(store->db) == 0)
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

static enum cas_err check_one(struct store *store, const char *text, struct cas_why *why)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, text, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    enum cas_err err = CAS_OK;
    if (code != SQLITE_ROW)
        err = store_fail(store, code, text, why);
    else if (!cas_slice_is(cas_slice_of((const char *)sqlite3_column_text(stmt, 0)), "ok"))
        err = cas_fail(why,
                       CAS_ERR_CORRUPT,
                       "%s: damaged: %s",
                       store->path,
                       (const char *)sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt);
    return err;
}

/* A small database whole; a large one, after a crash only, without its reports: those are checked
 * as they are read. */
enum cas_err store_check(struct store *store, bool is_clean, struct cas_why *why)
{
    int64_t page_n = 0, page_bytes = 0;
    enum cas_err err = number_of(store, "PRAGMA page_count", &page_n, why);
    if (err == CAS_OK)
        err = number_of(store, "PRAGMA page_size", &page_bytes, why);
    if (err != CAS_OK)
        return err;
    if (page_n * page_bytes <= STORE_CHECK_BYTES)
        return check_one(store, "PRAGMA quick_check(1)", why);
    static const char *const checks[] = {
        "PRAGMA quick_check(leader)",
        "PRAGMA quick_check(counter)",
        "PRAGMA quick_check(server)",
        "PRAGMA quick_check(server_events)",
        "PRAGMA quick_check(fact)",
        "PRAGMA quick_check(spool)",
        "PRAGMA quick_check(rollout)",
        "PRAGMA quick_check(step)",
    };
    for (size_t i = 0; !is_clean && i < CAS_COUNT(checks) && err == CAS_OK; i++)
        err = check_one(store, checks[i], why);
    return err;
}
