#include "agent/journal/journal_db.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "agent/journal/journal_page.h"

enum {
    BUSY_MS = 2000,
    HEAP_SOFT_BYTES = 1024 * 1024,
    PRAGMA_BYTES = 128,
    JOURNAL_APPLICATION = 0x43415341 /* "CASA" */
};

static enum cas_err err_of(int result)
{
    if (result == SQLITE_IOERR_DATA) /* a page that is not as it was written */
        return CAS_ERR_CORRUPT;
    switch (result & 0xff) {
    case SQLITE_FULL:
        return CAS_ERR_FULL;
    case SQLITE_NOMEM:
        return CAS_ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return CAS_ERR_LOCKED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return CAS_ERR_CORRUPT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
        return CAS_ERR_BUG;
    default:
        return CAS_ERR_IO;
    }
}

enum cas_err journal_db_damaged(const char *path, const char *what, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_CORRUPT,
                    "%s: damaged: %s; move it away, and its -wal, and start again: what only it "
                    "knew is lost",
                    path,
                    what);
}

enum cas_err journal_db_fail(struct sqlite3 *db, int result, const char *what, struct cas_why *why)
{
    const char *path = db == NULL ? NULL : sqlite3_db_filename(db, "main");
    int extended = db == NULL ? result : sqlite3_extended_errcode(db);
    if ((extended & 0xff) != (result & 0xff))
        extended = result;
    if (err_of(extended) == CAS_ERR_CORRUPT)
        return journal_db_damaged(path == NULL ? "journal" : path,
                                  extended == SQLITE_IOERR_DATA ? "a page is not as it was written"
                                                                : sqlite3_errstr(extended),
                                  why);
    return cas_fail(why,
                    err_of(result),
                    "%s: %s: %s",
                    path == NULL ? "journal" : path,
                    what,
                    db == NULL ? sqlite3_errstr(result) : sqlite3_errmsg(db));
}

enum cas_err journal_db_exec(struct sqlite3 *db, const char *sql, struct cas_why *why)
{
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? CAS_OK : journal_db_fail(db, result, "write", why);
}

enum cas_err journal_db_prepare(struct sqlite3 *db,
                                const char *sql,
                                struct sqlite3_stmt **ret_stmt,
                                struct cas_why *why)
{
    int result = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
    return result == SQLITE_OK ? CAS_OK : journal_db_fail(db, result, "prepare", why);
}

void journal_db_drop(struct sqlite3_stmt *stmt)
{
    (void)sqlite3_finalize(stmt);
}

void journal_db_reset(struct sqlite3_stmt *stmt)
{
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
}

enum cas_err journal_db_step(struct sqlite3_stmt *stmt, bool *ret_is_row, struct cas_why *why)
{
    int result = sqlite3_step(stmt);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return journal_db_fail(sqlite3_db_handle(stmt), result, "read", why);
    *ret_is_row = result == SQLITE_ROW;
    return CAS_OK;
}

enum cas_err journal_db_run(struct sqlite3_stmt *stmt, struct cas_why *why)
{
    int result = sqlite3_step(stmt);
    enum cas_err err = CAS_OK;
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        err = journal_db_fail(sqlite3_db_handle(stmt), result, "write", why);
    journal_db_reset(stmt);
    return err;
}

enum cas_err journal_db_numbers(struct sqlite3 *db,
                                const char *sql,
                                int64_t *ret_value,
                                int n,
                                struct cas_why *why)
{
    struct sqlite3_stmt *stmt = NULL;
    enum cas_err err = journal_db_prepare(db, sql, &stmt, why);
    if (err != CAS_OK)
        return err;
    bool is_row = false;
    err = journal_db_step(stmt, &is_row, why);
    if (err == CAS_OK && !is_row)
        err = CAS_ERR_NOT_FOUND;
    for (int i = 0; err == CAS_OK && i < n; i++)
        err = sqlite3_column_type(stmt, i) == SQLITE_NULL ? CAS_ERR_NOT_FOUND : CAS_OK;
    for (int i = 0; err == CAS_OK && i < n; i++)
        ret_value[i] = sqlite3_column_int64(stmt, i);
    journal_db_drop(stmt);
    return err;
}

enum cas_err journal_db_check(struct sqlite3 *db, struct cas_why *why)
{
    struct sqlite3_stmt *stmt = NULL;
    enum cas_err err = journal_db_prepare(db, "PRAGMA integrity_check(1)", &stmt, why);
    if (err != CAS_OK)
        return err;
    bool is_row = false;
    err = journal_db_step(stmt, &is_row, why);
    const unsigned char *found = err == CAS_OK && is_row ? sqlite3_column_text(stmt, 0) : NULL;
    bool is_whole = found != NULL && strcmp((const char *)found, "ok") == 0;
    if (err == CAS_OK && found == NULL && sqlite3_errcode(db) == SQLITE_NOMEM)
        err = journal_db_fail(db, SQLITE_NOMEM, "read", why);
    journal_db_drop(stmt);
    if (err != CAS_OK || is_whole)
        return err;
    return journal_db_damaged(sqlite3_db_filename(db, "main"),
                              "its parts do not fit each other",
                              why);
}

void journal_db_undo(struct sqlite3_stmt *rollback)
{
    if (sqlite3_get_autocommit(sqlite3_db_handle(rollback)) == 0)
        (void)sqlite3_step(rollback);
    journal_db_reset(rollback);
}

enum cas_err journal_db_fold(struct sqlite3 *db, struct cas_why *why)
{
    int result = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    return result == SQLITE_OK ? CAS_OK : journal_db_fail(db, result, "fold the log back", why);
}

enum cas_err journal_db_set_durable(struct sqlite3 *db, bool is_durable, struct cas_why *why)
{
    return journal_db_exec(db,
                           is_durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
                           why);
}

enum cas_err journal_db_sync(struct sqlite3 *db, struct cas_why *why)
{
    struct sqlite3_file *log = NULL;
    int result = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (result == SQLITE_OK && log != NULL && log->pMethods != NULL) /* none: a file in memory */
        result = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (result == SQLITE_OK)
        return CAS_OK;
    const char *path = sqlite3_db_filename(db, "main");
    return cas_fail(why,
                    err_of(result),
                    "%s: its log cannot be brought to the disk: %s",
                    path == NULL ? "journal" : path,
                    sqlite3_errstr(result));
}

#ifdef CASFLEET_MUTANT_R2
#define JOURNAL_SYNC "OFF"
#else
#define JOURNAL_SYNC "FULL"
#endif

/* The exclusive lock is asked for before the log is first used, so that no shared index file is
 * made: on a full disk a mapped file would end the program. Nothing in a journal is secret: a page
 * that is given up stays as it is, where a SQLite made to overwrite it would write it twice more,
 * to the log and to the file, and leave a log that is longer than the ledger's reserve. */
static enum cas_err
tune(struct sqlite3 *db, const struct journal_db_settings *settings, struct cas_why *why)
{
    char sql[PRAGMA_BYTES * 4];
    struct cas_text text = CAS_TEXT(sql);
    cas_text_add(&text,
                 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA auto_vacuum=NONE;"
                 "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF;"
                 "PRAGMA cache_size=-%d;",
                 settings->cache_kib);
    cas_text_add(&text,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=" JOURNAL_SYNC
                 "; PRAGMA wal_autocheckpoint=%d;"
                 "PRAGMA journal_size_limit=%lld;",
                 settings->checkpoint_n,
                 (long long)settings->log_bytes);
    CAS_ASSERT(!text.is_cut);
    return journal_db_exec(db, sql, why);
}

/* Before anything is set that would change a file that is not ours. */
static enum cas_err identify(struct sqlite3 *db,
                             const struct journal_db_settings *settings,
                             int64_t *ret_version,
                             struct cas_why *why)
{
    int64_t version = 0, application = 0, table_n = 0;
    enum cas_err err = journal_db_exec(db, "PRAGMA locking_mode=EXCLUSIVE", why);
    if (err == CAS_OK)
        err = journal_db_numbers(db, "PRAGMA user_version", &version, 1, why);
    if (err == CAS_OK)
        err = journal_db_numbers(db, "PRAGMA application_id", &application, 1, why);
    if (err == CAS_OK)
        err = journal_db_numbers(db, "SELECT count(*) FROM sqlite_schema", &table_n, 1, why);
    if (err != CAS_OK)
        return err;
    if (table_n > 0 && application != JOURNAL_APPLICATION)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "%s: a database, but not of a casfleet agent",
                        settings->path);
    if (version < 0 || version > (int64_t)settings->migration_n)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "%s: made by a newer casfleet: its version is %lld, known up to %zu",
                        settings->path,
                        (long long)version,
                        settings->migration_n);
    *ret_version = version;
    return CAS_OK;
}

static enum cas_err migrate(struct sqlite3 *db,
                            const struct journal_db_settings *settings,
                            int64_t version,
                            struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    for (size_t i = (size_t)version; i < settings->migration_n; i++) {
        char pragma[PRAGMA_BYTES];
        struct cas_text text = CAS_TEXT(pragma);
        cas_text_add(&text,
                     "PRAGMA application_id=%d; PRAGMA user_version=%zu; COMMIT",
                     JOURNAL_APPLICATION,
                     i + 1);
        err = journal_db_exec(db, "BEGIN IMMEDIATE", why);
        if (err == CAS_OK)
            err = journal_db_exec(db, settings->migration[i], why);
        if (err == CAS_OK)
            err = journal_db_exec(db, pragma, why);
        if (err != CAS_OK)
            return err; /* undone by the closing that follows */
    }
    return err;
}

enum cas_err journal_db_open(const struct journal_db_settings *settings,
                             struct sqlite3 **ret_db,
                             struct cas_why *why)
{
    (void)sqlite3_soft_heap_limit64(HEAP_SOFT_BYTES);
    struct sqlite3 *db = NULL;
    int result = sqlite3_open_v2(settings->path,
                                 &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                 journal_page_layer());
    if (result != SQLITE_OK) {
        enum cas_err err = cas_fail(why,
                                    err_of(result),
                                    "%s: cannot be opened: %s",
                                    settings->path,
                                    sqlite3_errstr(result));
        (void)sqlite3_close(db);
        return err;
    }
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_extended_result_codes(db, 1);
    journal_page_prepare(db);
    int64_t version = 0;
    enum cas_err err = identify(db, settings, &version, why);
    if (err == CAS_OK)
        err = tune(db, settings, why);
    if (err == CAS_OK)
        err = migrate(db, settings, version, why);
    if (err != CAS_OK) {
        journal_db_close(db);
        return err;
    }
    *ret_db = db;
    return CAS_OK;
}

void journal_db_close(struct sqlite3 *db)
{
    (void)sqlite3_close(db);
}
