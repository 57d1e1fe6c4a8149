#include "controller/store/store_sql.h"

#include <stdio.h>
#include <stdlib.h>

struct store_memory {
    sqlite3 *db;   /* keeps the named database alive */
    sqlite3 *mark; /* a private copy; NULL none */
};

enum cas_err
store_memory_open(const char *uri, struct store_memory **ret_memory, struct cas_why *why)
{
    CAS_AUTO(store_memory) memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return CAS_ERR_NOMEM;
    int code = sqlite3_open_v2(uri,
                               &memory->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                               NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(memory->db,
                            "PRAGMA page_size = 4096; PRAGMA user_version",
                            NULL,
                            NULL,
                            NULL);
    if (code != SQLITE_OK)
        return cas_fail(why, CAS_ERR_IO, "%s: %s", uri, sqlite3_errmsg(memory->db));
    *ret_memory = CAS_TAKE(memory);
    return CAS_OK;
}

void store_memory_free(struct store_memory *memory)
{
    if (memory == NULL)
        return;
    (void)sqlite3_close(memory->mark);
    (void)sqlite3_close(memory->db);
    free(memory);
}

static enum cas_err copy(sqlite3 *to, sqlite3 *from, struct cas_why *why)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL)
        return cas_fail(why, CAS_ERR_IO, "copy: %s", sqlite3_errmsg(to));
    int code = sqlite3_backup_step(backup, -1);
    (void)sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? CAS_OK
                               : cas_fail(why, CAS_ERR_IO, "copy: %s", sqlite3_errstr(code));
}

enum cas_err store_memory_mark(struct store_memory *memory, struct cas_why *why)
{
    sqlite3 *mark = NULL;
    if (sqlite3_open(":memory:", &mark) != SQLITE_OK) {
        (void)sqlite3_close(mark);
        return CAS_ERR_NOMEM;
    }
    enum cas_err err = copy(mark, memory->db, why);
    if (err != CAS_OK) {
        (void)sqlite3_close(mark);
        return err;
    }
    (void)sqlite3_close(memory->mark);
    memory->mark = mark;
    return CAS_OK;
}

enum cas_err store_memory_back(struct store_memory *memory, struct cas_why *why)
{
    if (memory->mark == NULL)
        return cas_fail(why, CAS_ERR_MISSING, "nothing was marked");
    return copy(memory->db, memory->mark, why);
}

void store_page_limit(struct store *store, int64_t page_most)
{
    char text[64];
    (void)snprintf(text,
                   sizeof text,
                   "PRAGMA max_page_count = %lld",
                   page_most > 0 ? (long long)page_most : 4294967294LL);
    (void)sqlite3_exec(store->db, text, NULL, NULL, NULL);
}
