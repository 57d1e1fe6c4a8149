#include "tests/story/stage_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum {
    CONNECTIONS = 128,
    KEPT = 192, /* statements of one connection; more are not kept */
    TOLD = 16,  /* settings of one connection */
    TOLD_BYTES = 64,
    NAME_BYTES = 640
};

struct kept {
    struct sqlite3_stmt *stmt;
    size_t size; /* of its text */
    bool is_used;
};
struct connection {
    struct sqlite3 *db;
    uint64_t story;
    bool is_laid_by;
    size_t kept_n;
    struct kept kept[KEPT];
    size_t told_n;
    char told[TOLD][TOLD_BYTES]; /* "x=1": no two of one name */
    char name[NAME_BYTES];
};

static struct {
    struct connection *connection[CONNECTIONS];
    size_t connection_n;
    uint64_t story;
    char full[NAME_BYTES]; /* the database whose disk is full; "" none */
} sql;

/* What SQLite has under a name, given by the linker (--wrap), and what is called in its place. */
#define WRAPPED(name, ...)          \
    int __real_##name(__VA_ARGS__); \
    int __wrap_##name(__VA_ARGS__)
typedef int sql_row(void *context, int n, char **value, char **name);
WRAPPED(sqlite3_open_v2, const char *name, struct sqlite3 **ret_db, int flags, const char *vfs);
WRAPPED(sqlite3_close, struct sqlite3 *db);
WRAPPED(sqlite3_prepare_v2,
        struct sqlite3 *db,
        const char *text,
        int size,
        struct sqlite3_stmt **ret_stmt,
        const char **ret_rest);
WRAPPED(sqlite3_prepare_v3,
        struct sqlite3 *db,
        const char *text,
        int size,
        unsigned flags,
        struct sqlite3_stmt **ret_stmt,
        const char **ret_rest);
WRAPPED(sqlite3_step, struct sqlite3_stmt *stmt);
WRAPPED(sqlite3_finalize, struct sqlite3_stmt *stmt);
WRAPPED(sqlite3_exec,
        struct sqlite3 *db,
        const char *text,
        sql_row *row,
        void *context,
        char **ret_error);

/* ---- connections ---- */

static struct connection *connection_of(const struct sqlite3 *db)
{
    for (size_t i = 0; i < sql.connection_n; i++) {
        if (sql.connection[i]->db == db)
            return sql.connection[i];
    }
    return NULL;
}

static struct connection *laid_by(const char *name)
{
    for (size_t i = 0; i < sql.connection_n; i++) {
        struct connection *connection = sql.connection[i];
        if (connection->is_laid_by && connection->story == sql.story &&
            strcmp(connection->name, name) == 0)
            return connection;
    }
    return NULL;
}

int __wrap_sqlite3_open_v2(const char *name, struct sqlite3 **ret_db, int flags, const char *vfs)
{
    struct connection *connection = laid_by(name);
    if (connection != NULL) {
        connection->is_laid_by = false;
        *ret_db = connection->db;
        return SQLITE_OK;
    }
    int code = __real_sqlite3_open_v2(name, ret_db, flags, vfs);
    if (code != SQLITE_OK)
        return code;
    CAS_ASSERT(sql.connection_n < CONNECTIONS && strlen(name) < NAME_BYTES);
    connection = calloc(1, sizeof *connection);
    CAS_ASSERT(connection != NULL);
    connection->db = *ret_db;
    connection->story = sql.story;
    memcpy(connection->name, name, strlen(name) + 1);
    sql.connection[sql.connection_n++] = connection;
    return SQLITE_OK;
}

/* "PRAGMA x = 1" as "x=1", and what follows it; false: it is no such setting. */
static bool setting_take(const char **at, char ret_text[TOLD_BYTES])
{
    static const char begin[] = "PRAGMA ";
    const char *from = *at + strspn(*at, " ");
    size_t end = strcspn(from, ";"), used = 0;
    if (strncmp(from, begin, sizeof begin - 1) != 0 || memchr(from, '=', end) == NULL)
        return false;
    CAS_ASSERT(end < TOLD_BYTES);
    for (size_t i = sizeof begin - 1; i < end; i++) {
        if (from[i] != ' ')
            ret_text[used++] = from[i];
    }
    ret_text[used] = '\0';
    *at = from + end + (from[end] == ';' ? 1 : 0);
    return true;
}

static bool is_settings(const char *text)
{
    char setting[TOLD_BYTES];
    while (text[strspn(text, " ")] != '\0') {
        if (!setting_take(&text, setting))
            return false;
    }
    return true;
}

static char *told_of(struct connection *connection, const char *setting)
{
    size_t size = strcspn(setting, "=") + 1;
    for (size_t i = 0; i < connection->told_n; i++) {
        if (strncmp(connection->told[i], setting, size) == 0)
            return connection->told[i];
    }
    return NULL;
}

static void told_forget(struct connection *connection, char *row)
{
    if (row != NULL)
        memmove(row, connection->told[--connection->told_n], TOLD_BYTES);
}

/* To read some settings takes SQLite long, and some make it read every statement anew, even those
 * that change nothing. What the connection was told before, and nothing else of its name since, is
 * left out. */
static int settings_set(struct connection *connection, const char *text, char **ret_error)
{
    char setting[TOLD_BYTES], whole[sizeof "PRAGMA " + TOLD_BYTES];
    int code = SQLITE_OK;
    while (code == SQLITE_OK && setting_take(&text, setting)) {
        char *row = told_of(connection, setting);
        if (row != NULL && strcmp(row, setting) == 0)
            continue;
        (void)snprintf(whole, sizeof whole, "PRAGMA %s", setting);
        code = __real_sqlite3_exec(connection->db, whole, NULL, NULL, ret_error);
        told_forget(connection, row);
        if (code != SQLITE_OK || sqlite3_get_autocommit(connection->db) == 0)
            continue;
        CAS_ASSERT(connection->told_n < TOLD);
        memcpy(connection->told[connection->told_n++], setting, sizeof setting);
    }
    return code;
}

/* The bound a full disk was played with: in its place one that is never met. */
static void forget_bounds(struct connection *connection)
{
    (void)settings_set(connection, "PRAGMA max_page_count = 4294967294", NULL);
}

int __wrap_sqlite3_close(struct sqlite3 *db)
{
    struct connection *connection = connection_of(db);
    if (connection == NULL)
        return __real_sqlite3_close(db);
    for (size_t i = 0; i < connection->kept_n; i++) {
        if (connection->kept[i].is_used)
            return SQLITE_BUSY; /* as SQLite says it */
    }
    if (sqlite3_get_autocommit(db) == 0)
        (void)__real_sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    forget_bounds(connection);
    connection->is_laid_by = true;
    return SQLITE_OK;
}

static void give_up(size_t at)
{
    struct connection *connection = sql.connection[at];
    for (size_t i = 0; i < connection->kept_n; i++)
        (void)__real_sqlite3_finalize(connection->kept[i].stmt);
    (void)sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    CAS_ASSERT(__real_sqlite3_close(connection->db) == SQLITE_OK);
    free(connection);
    sql.connection[at] = sql.connection[--sql.connection_n];
}

/* ---- statements ---- */

static struct kept *kept_find(struct connection *connection, const char *text, size_t size)
{
    for (size_t i = 0; i < connection->kept_n; i++) {
        struct kept *kept = &connection->kept[i];
        if (!kept->is_used && kept->size == size &&
            memcmp(sqlite3_sql(kept->stmt), text, size) == 0)
            return kept;
    }
    return NULL;
}

int __wrap_sqlite3_prepare_v3(struct sqlite3 *db,
                              const char *text,
                              int size,
                              unsigned flags,
                              struct sqlite3_stmt **ret_stmt,
                              const char **ret_rest)
{
    struct connection *connection = connection_of(db);
    /* What a PRAGMA sets is partly set when it is read. */
    bool is_whole = connection != NULL && size < 0 && ret_rest == NULL && !is_settings(text);
    size_t text_size = strlen(text);
    struct kept *kept = is_whole ? kept_find(connection, text, text_size) : NULL;
    if (kept != NULL) {
        kept->is_used = true;
        *ret_stmt = kept->stmt;
        return SQLITE_OK;
    }
    int code = __real_sqlite3_prepare_v3(db, text, size, flags, ret_stmt, ret_rest);
    if (code == SQLITE_OK && *ret_stmt != NULL && is_whole && connection->kept_n < KEPT)
        connection->kept[connection->kept_n++] =
            (struct kept){.stmt = *ret_stmt, .size = text_size, .is_used = true};
    return code;
}

int __wrap_sqlite3_prepare_v2(struct sqlite3 *db,
                              const char *text,
                              int size,
                              struct sqlite3_stmt **ret_stmt,
                              const char **ret_rest)
{
    return __wrap_sqlite3_prepare_v3(db, text, size, 0, ret_stmt, ret_rest);
}

int __wrap_sqlite3_step(struct sqlite3_stmt *stmt)
{
    if (sql.full[0] != '\0' && strcmp(sqlite3_sql(stmt), "COMMIT") == 0) {
        const struct connection *connection = connection_of(sqlite3_db_handle(stmt));
        if (connection != NULL && connection->story == sql.story &&
            strcmp(connection->name, sql.full) == 0)
            return SQLITE_FULL;
    }
    return __real_sqlite3_step(stmt);
}

int __wrap_sqlite3_finalize(struct sqlite3_stmt *stmt)
{
    struct connection *connection = stmt == NULL ? NULL : connection_of(sqlite3_db_handle(stmt));
    for (size_t i = 0; connection != NULL && i < connection->kept_n; i++) {
        if (connection->kept[i].stmt != stmt)
            continue;
        int code = sqlite3_reset(stmt);
        (void)sqlite3_clear_bindings(stmt);
        connection->kept[i].is_used = false;
        return code;
    }
    return __real_sqlite3_finalize(stmt);
}

int __wrap_sqlite3_exec(struct sqlite3 *db,
                        const char *text,
                        sql_row *row,
                        void *context,
                        char **ret_error)
{
    struct connection *connection = connection_of(db);
    if (connection == NULL)
        return __real_sqlite3_exec(db, text, row, context, ret_error);
    int code = SQLITE_OK;
    bool is_set = row == NULL && is_settings(text);
    if (row != NULL || is_set || strchr(text, ';') != NULL) {
        code = is_set ? settings_set(connection, text, ret_error)
                      : __real_sqlite3_exec(db, text, row, context, ret_error);
        if (!is_set && strstr(text, "PRAGMA") != NULL)
            connection->told_n = 0; /* which was set, and whether for good, is not known */
        return code;
    }
    CAS_ASSERT(ret_error == NULL);
    struct sqlite3_stmt *stmt = NULL;
    code = __wrap_sqlite3_prepare_v3(db, text, -1, 0, &stmt, NULL);
    if (code != SQLITE_OK)
        return code;
    while ((code = __real_sqlite3_step(stmt)) == SQLITE_ROW)
        continue;
    return __wrap_sqlite3_finalize(stmt);
}

/* ---- the door ---- */

static const char *const controller_texts[] = {
#define SQL(name, text) (text),
#include "controller/store/store_sql.def"
#undef SQL
};

/* What changes of tables and settings made out of date. Left as they are: those a program has in
 * use; dropped: what can be asked but once. */
static void read_anew(struct connection *connection)
{
    size_t i = 0;
    while (i < connection->kept_n) {
        struct kept *kept = &connection->kept[i];
        struct sqlite3_stmt *old = kept->stmt;
        if (kept->is_used) {
            i++;
            continue;
        }
        int code =
            __real_sqlite3_prepare_v3(connection->db, sqlite3_sql(old), -1, 0, &kept->stmt, NULL);
        (void)__real_sqlite3_finalize(old);
        if (code == SQLITE_OK)
            i++;
        else
            *kept = connection->kept[--connection->kept_n];
    }
}

static void read_controller(const struct connection *connection)
{
    for (size_t k = 0; k < CAS_COUNT(controller_texts); k++) {
        struct sqlite3_stmt *stmt = NULL;
        CAS_ASSERT(
            __wrap_sqlite3_prepare_v2(connection->db, controller_texts[k], -1, &stmt, NULL) ==
            SQLITE_OK);
        (void)__wrap_sqlite3_finalize(stmt);
    }
}

void stage_sql_keep(const char *name)
{
    for (size_t i = 0; i < sql.connection_n; i++) {
        struct connection *connection = sql.connection[i];
        if (connection->story != sql.story)
            continue;
        read_anew(connection);
        if (strcmp(connection->name, name) == 0)
            read_controller(connection);
    }
}

void stage_sql_story(uint64_t number)
{
    sql.story = number;
}

void stage_sql_full(const char *name, bool is_full)
{
    CAS_ASSERT(strlen(name) < NAME_BYTES);
    sql.full[0] = '\0';
    if (is_full)
        memcpy(sql.full, name, strlen(name) + 1);
}

void stage_sql_drop(const char *name)
{
    size_t i = 0;
    while (i < sql.connection_n) {
        const struct connection *connection = sql.connection[i];
        if (connection->story != sql.story ||
            (name != NULL && strcmp(connection->name, name) != 0)) {
            i++;
            continue;
        }
        CAS_ASSERT(connection->is_laid_by);
        give_up(i);
    }
}
