/* journal_db.h - how do ledger and outbox keep rows on disk, safely and small?
 *
 * One SQLite file: WAL, synchronous=FULL unless journal_db_set_durable says otherwise, one
 * connection that locks the file for itself (a second agent is refused), no memory map, a page
 * cache of a few dozen pages, a sum in each page (journal_page.h). Inside the journal wing only. */
#ifndef AGENT_JOURNAL_JOURNAL_DB_H
#define AGENT_JOURNAL_JOURNAL_DB_H

#include "proto/base/cas.h"

struct sqlite3;
struct sqlite3_stmt;

struct journal_db_settings {
    const char *path;
    const char *const *migration; /* SQL scripts: number i brings user_version from i to i + 1 */
    size_t migration_n;
    int cache_kib;     /* page cache */
    int checkpoint_n;  /* pages in the log before it is folded back; 0: by journal_db_fold only */
    int64_t log_bytes; /* the log file is cut to this when it starts over */
};
/* CAS_ERR_IO, CAS_ERR_FULL, CAS_ERR_CORRUPT, CAS_ERR_LOCKED another process has it, CAS_ERR_VERSION
 * a newer file. */
CAS_CHECK enum cas_err journal_db_open(const struct journal_db_settings *settings,
                                       struct sqlite3 **ret_db,
                                       struct cas_why *why);
/* NULL is fine. */
void journal_db_close(struct sqlite3 *db);
CAS_CHECK enum cas_err journal_db_exec(struct sqlite3 *db, const char *sql, struct cas_why *why);
/* For statements kept for the life of the connection; finalise with journal_db_drop. */
CAS_CHECK enum cas_err journal_db_prepare(struct sqlite3 *db,
                                          const char *sql,
                                          struct sqlite3_stmt **ret_stmt,
                                          struct cas_why *why);
void journal_db_drop(struct sqlite3_stmt *stmt);
/* Steps a statement that gives no row, then resets and unbinds it. */
CAS_CHECK enum cas_err journal_db_run(struct sqlite3_stmt *stmt, struct cas_why *why);
/* Steps to a row (*ret_is_row) or the end. The caller resets with journal_db_reset. */
CAS_CHECK enum cas_err
journal_db_step(struct sqlite3_stmt *stmt, bool *ret_is_row, struct cas_why *why);
void journal_db_reset(struct sqlite3_stmt *stmt);
/* The first n columns of the first row; CAS_ERR_NOT_FOUND without a row or where one is NULL. */
CAS_CHECK enum cas_err journal_db_numbers(struct sqlite3 *db,
                                          const char *sql,
                                          int64_t *ret_value,
                                          int n,
                                          struct cas_why *why);
/* Whether the file's parts fit each other: a page of an older copy has a right sum, and does not
 * fit the index or the tree it stands in. Reads all of it. CAS_ERR_CORRUPT. */
CAS_CHECK enum cas_err journal_db_check(struct sqlite3 *db, struct cas_why *why);
/* Runs the statement, which rolls back, when a transaction is open; never fails. */
void journal_db_undo(struct sqlite3_stmt *rollback);
/* Folds the log back into the file: the next write goes over the log's beginning. */
CAS_CHECK enum cas_err journal_db_fold(struct sqlite3 *db, struct cas_why *why);
/* Whether a commit waits until the disk has it, as it does after journal_db_open. One that does not
 * wait is the kernel's: the end of the program takes nothing, a loss of power maybe the last
 * commits, back to the last that waited, never one from the middle (each page in the log is checked
 * by a sum over all before it). Not within a transaction. */
CAS_CHECK enum cas_err
journal_db_set_durable(struct sqlite3 *db, bool is_durable, struct cas_why *why);
/* Waits until the disk has every commit so far. Needs no room. */
CAS_CHECK enum cas_err journal_db_sync(struct sqlite3 *db, struct cas_why *why);
/* CAS_ERR_CORRUPT, with what to do. */
CAS_CHECK enum cas_err journal_db_damaged(const char *path, const char *what, struct cas_why *why);
/* SQLite's result as an error of ours, with its words. */
enum cas_err journal_db_fail(struct sqlite3 *db, int result, const char *what, struct cas_why *why);

#endif
