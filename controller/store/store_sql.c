#include "controller/store/store_sql.h"

#include <string.h>

static const char *const sql_texts[SQL_N] = {
#define SQL(name, text) [SQL_##name] = (text),
#include "controller/store/store_sql.def"
#undef SQL
};
static const char *const sql_names[SQL_N] = {
#define SQL(name, text) [SQL_##name] = #name,
#include "controller/store/store_sql.def"
#undef SQL
};

static enum cas_err err_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return CAS_ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return CAS_ERR_CORRUPT;
    case SQLITE_NOMEM:
        return CAS_ERR_NOMEM;
    case SQLITE_TOOBIG:
        return CAS_ERR_TOO_LONG;
    case SQLITE_CONSTRAINT:
        return CAS_ERR_EXISTS;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return CAS_ERR_BUG;
    default:
        return CAS_ERR_IO;
    }
}

enum cas_err store_fail(const struct store *store, int code, const char *what, struct cas_why *why)
{
    const char *words = store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    return cas_fail(why, err_of(code), "%s: %s: %s (SQLite %d)", store->path, what, words, code);
}

enum cas_err store_exec(struct store *store, const char *text, struct cas_why *why)
{
    int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? CAS_OK : store_fail(store, code, text, why);
}

struct sql sql_use(struct store *store, enum sql_name name)
{
    struct sql sql = {.store = store, .name = name};
    if (store->stmt[name] == NULL)
        sql.code = sqlite3_prepare_v3(store->db,
                                      sql_texts[name],
                                      -1,
                                      SQLITE_PREPARE_PERSISTENT,
                                      &store->stmt[name],
                                      NULL);
    sql.stmt = store->stmt[name];
    return sql;
}

void sql_i64(struct sql *sql, int64_t value)
{
    sql->at++;
    if (sql->code == SQLITE_OK)
        sql->code = sqlite3_bind_int64(sql->stmt, sql->at, value);
}

void sql_u64(struct sql *sql, uint64_t value)
{
    CAS_ASSERT(value <= INT64_MAX);
    sql_i64(sql, (int64_t)value);
}

void sql_f64(struct sql *sql, double value)
{
    sql->at++;
    if (sql->code == SQLITE_OK)
        sql->code = sqlite3_bind_double(sql->stmt, sql->at, value);
}

void sql_text(struct sql *sql, const char *value)
{
    sql->at++;
    if (sql->code == SQLITE_OK)
        sql->code = sqlite3_bind_text(sql->stmt, sql->at, value, -1, SQLITE_STATIC);
}

void sql_bytes(struct sql *sql, const void *bytes, size_t size)
{
    sql->at++;
    if (sql->code == SQLITE_OK)
        sql->code = sqlite3_bind_blob64(sql->stmt, sql->at, bytes, size, SQLITE_STATIC);
}

void sql_end(struct sql *sql)
{
    if (sql->stmt != NULL)
        (void)sqlite3_reset(sql->stmt);
}

static enum cas_err sql_failed(struct sql *sql, struct cas_why *why)
{
    enum cas_err err = store_fail(sql->store, sql->code, sql_names[sql->name], why);
    sql_end(sql);
    /* SQLite may have undone the transaction by itself; what came next would then be committed
     * alone. */
    if (sql->store->is_begun)
        sql->store->failed = err;
    return err;
}

static enum cas_err sql_refused(const struct sql *sql, struct cas_why *why)
{
    return cas_fail(why,
                    sql->store->failed,
                    "%s: %s: an earlier part of this change failed (%s)",
                    sql->store->path,
                    sql_names[sql->name],
                    cas_err_words(sql->store->failed));
}

enum cas_err sql_run(struct sql *sql, struct cas_why *why)
{
    if (sql->store->failed != CAS_OK)
        return sql_refused(sql, why);
    if (sql->code == SQLITE_OK) {
        int code = sqlite3_step(sql->stmt);
        sql->code = code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
    }
    if (sql->code != SQLITE_OK)
        return sql_failed(sql, why);
    sql_end(sql);
    return CAS_OK;
}

enum cas_err sql_row(struct sql *sql, bool *ret_has, struct cas_why *why)
{
    if (sql->store->failed != CAS_OK)
        return sql_refused(sql, why);
    int code = sql->code == SQLITE_OK ? sqlite3_step(sql->stmt) : sql->code;
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        sql->code = code;
        return sql_failed(sql, why);
    }
    if (code == SQLITE_DONE)
        sql_end(sql);
    *ret_has = code == SQLITE_ROW;
    return CAS_OK;
}

int64_t sql_get_i64(struct sql *sql, int column)
{
    return sqlite3_column_int64(sql->stmt, column);
}

uint64_t sql_get_u64(struct sql *sql, int column)
{
    int64_t value = sql_get_i64(sql, column);
    return value > 0 ? (uint64_t)value : 0;
}

uint32_t sql_get_u32(struct sql *sql, int column)
{
    uint64_t value = sql_get_u64(sql, column);
    return value <= UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

double sql_get_f64(struct sql *sql, int column)
{
    return sqlite3_column_double(sql->stmt, column);
}

struct cas_slice sql_get_slice(struct sql *sql, int column)
{
    const void *bytes = sqlite3_column_blob(sql->stmt, column);
    int size = sqlite3_column_bytes(sql->stmt, column);
    return (struct cas_slice){bytes, bytes != NULL && size > 0 ? (size_t)size : 0};
}

void sql_get_text(struct sql *sql, int column, char *ret_text, size_t cap)
{
    struct cas_slice text = sql_get_slice(sql, column);
    size_t size = text.size < cap - 1 ? text.size : cap - 1;
    if (size > 0)
        memcpy(ret_text, text.data, size);
    ret_text[size] = '\0';
}

enum cas_err
sql_get_id(struct sql *sql, int column, uint8_t *ret_bytes, size_t size, struct cas_why *why)
{
    struct cas_slice bytes = sql_get_slice(sql, column);
    if (bytes.size != size)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "%s: %s: %zu bytes where %zu belong",
                        sql->store->path,
                        sql_names[sql->name],
                        bytes.size,
                        size);
    memcpy(ret_bytes, bytes.data, size);
    return CAS_OK;
}
