/* store_sql.h - how is a statement of store_sql.def bound, run and read?
 *
 * Private to this room: the only place that shows SQLite's types. A struct sql is one use of a kept
 * statement; the first error sticks, so that binding needs no checks of its own. */
#ifndef CONTROLLER_STORE_STORE_SQL_H
#define CONTROLLER_STORE_STORE_SQL_H

#include <sqlite3.h>

#include "controller/store/store.h"
#include "proto/base/file.h"

enum {
    STORE_SCHEMA = 5,        /* the newest form this program knows */
    STORE_ENTRY_HEAD = 19,   /* bytes before each entry's body in a report row */
    STORE_EXPIRE_ROWS = 500, /* at most so many a call */
    STORE_SPOOLS_KEPT = 16,  /* earlier spools of a server */
    STORE_DRAFT_KEEP_MS =
        24 * 3600 * 1000, /* an expired plan is told apart from one never made for so long */
    STORE_CHECK_BYTES =
        32 * 1024 * 1024, /* a database up to this size is checked whole at each open */
};

enum sql_name {
#define SQL(name, text) SQL_##name,
#include "controller/store/store_sql.def"
#undef SQL
    SQL_N,
};

/* Where one server's reports have got to. */
struct spool {
    uint8_t id[CAS_ID_BYTES];
    uint64_t upto_seq;
    int64_t heard_ms;
    int64_t sample_report; /* row of the newest sample; 0: none */
};
struct spool_slot {
    struct spool now;
    struct spool kept; /* as committed */
    bool is_known;     /* a row is in the table, or a report came in */
    bool was_known;
    bool is_changed;               /* since the last commit */
    uint8_t gone_id[CAS_ID_BYTES]; /* as the agent said at HELLO; memory only */
    uint64_t gone_upto;
};

struct store {
    sqlite3 *db;
    struct file_lock *lock;
    char path[FILE_PATH_BYTES];
    sqlite3_stmt *stmt[SQL_N];
    struct store_leader leader;
    uint64_t write_version;
    bool is_begun;
    bool is_leader;           /* the row was taken: an orderly end marks it clean */
    enum cas_err failed;      /* of the open transaction; it can only be undone */
    struct spool_slot *spool; /* by server id */
    size_t spool_cap;
    uint32_t *changed; /* server ids with is_changed */
    size_t changed_n, changed_cap;
    int64_t report_next; /* id of the next row */
    int64_t report_kept; /* as committed */
    uint8_t *pack;       /* [STORE_PACK_BYTES] */
};
#define STORE_PACK_BYTES (WIRE_FRAME_BYTES + WIRE_REPORT_RECORDS * STORE_ENTRY_HEAD)

/* What SQLite said, as our error; what: "PATH: WHAT: its words (extended code)". */
enum cas_err store_fail(const struct store *store, int code, const char *what, struct cas_why *why);
/* A statement or pragma without result, as it is. */
CAS_CHECK enum cas_err store_exec(struct store *store, const char *text, struct cas_why *why);

struct sql {
    struct store *store;
    sqlite3_stmt *stmt;
    enum sql_name name;
    int at;   /* parameters bound so far */
    int code; /* SQLite's; SQLITE_OK so far */
};
struct sql sql_use(struct store *store, enum sql_name name);
void sql_i64(struct sql *sql, int64_t value);
void sql_u64(struct sql *sql, uint64_t value);
void sql_f64(struct sql *sql, double value);
void sql_text(struct sql *sql,
              const char *value); /* borrowed until sql_run or sql_end, as bytes are */
void sql_bytes(struct sql *sql, const void *bytes, size_t size);
/* One that gives no rows. */
CAS_CHECK enum cas_err sql_run(struct sql *sql, struct cas_why *why);
/* The next row; false after the last one, and then the statement has ended. */
CAS_CHECK enum cas_err sql_row(struct sql *sql, bool *ret_has, struct cas_why *why);
void sql_end(struct sql *sql); /* after the rows one wanted; fine when ended */

int64_t sql_get_i64(struct sql *sql, int column);
uint64_t sql_get_u64(struct sql *sql, int column);
uint32_t sql_get_u32(struct sql *sql, int column);
double sql_get_f64(struct sql *sql, int column);
/* Cut at cap. */
void sql_get_text(struct sql *sql, int column, char *ret_text, size_t cap);
/* CAS_ERR_CORRUPT when the value has not this size. */
CAS_CHECK enum cas_err
sql_get_id(struct sql *sql, int column, uint8_t *ret_bytes, size_t size, struct cas_why *why);
struct cas_slice sql_get_slice(struct sql *sql,
                               int column); /* borrowed until the next row or end */

/* Reads only: is it ours, and of which schema? CAS_ERR_VERSION, CAS_ERR_CORRUPT. */
CAS_CHECK enum cas_err
store_identify(struct store *store, int64_t *ret_version, struct cas_why *why);
/* Brings the schema from version, as identified, to STORE_SCHEMA. */
CAS_CHECK enum cas_err store_migrate(struct store *store, int64_t version, struct cas_why *why);
CAS_CHECK enum cas_err store_check(struct store *store, bool is_clean, struct cas_why *why);

/* store_report.c: what the others tell it. */
/* The next entry of a row; false at its end, CAS_ERR_CORRUPT where its lengths do not fit. */
CAS_CHECK enum cas_err store_entry_next(const struct store *store,
                                        struct cas_slice *rest,
                                        struct record_entry *ret_entry,
                                        bool *ret_has,
                                        struct cas_why *why);
CAS_CHECK enum cas_err store_spools_load(struct store *store, struct cas_why *why);
CAS_CHECK enum cas_err store_spools_flush(struct store *store,
                                          struct cas_why *why); /* before COMMIT */
void store_spools_settle(struct store *store, bool is_committed);
/* The newest sample of a server, and when it was heard last; fine when there is none. */
CAS_CHECK enum cas_err store_spool_show(struct store *store,
                                        struct inventory_server *server,
                                        struct cas_arena *arena,
                                        struct cas_why *why);

#endif
