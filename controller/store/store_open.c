#include "controller/store/store_sql.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/failpoint.h"

/* A URI names a database in memory, of tests: no file, so no lock file and no write-ahead log. */
static bool is_uri(const char *path)
{
    return strncmp(path, "file:", 5) == 0;
}

static enum cas_err lock_take(struct store *store, struct cas_why *why)
{
    char path[FILE_PATH_BYTES + 8];
    struct cas_text text = CAS_TEXT(path);
    cas_text_add(&text, "%s.lock", store->path);
    return file_lock_take(path, &store->lock, why);
}

static enum cas_err wal_set(struct store *store, struct cas_why *why)
{
    static const char text[] = "PRAGMA journal_mode = WAL";
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, text, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    enum cas_err err = CAS_OK;
    if (code != SQLITE_ROW)
        err = store_fail(store, code, text, why);
    else if (!cas_slice_is(cas_slice_of((const char *)sqlite3_column_text(stmt, 0)), "wal"))
        err = cas_fail(why,
                       CAS_ERR_IO,
                       "%s: this file system does not take a write-ahead log",
                       store->path);
    (void)sqlite3_finalize(stmt);
    return err;
}

static enum cas_err pragmas_set(struct store *store, struct cas_why *why)
{
    static const char *const common[] = {
        "PRAGMA page_size = 4096",
        "PRAGMA trusted_schema = OFF",
        "PRAGMA cache_size = -1000",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA wal_autocheckpoint = 2000",
        "PRAGMA journal_size_limit = 67108864",
    };
    (void)sqlite3_busy_timeout(store->db, is_uri(store->path) ? 0 : 1000);
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < CAS_COUNT(common) && err == CAS_OK; i++)
        err = store_exec(store, common[i], why);
    if (err == CAS_OK && !is_uri(store->path))
        err = wal_set(store, why);
    if (err == CAS_OK)
        err = store_exec(store, "PRAGMA synchronous = FULL", why);
    return err;
}

static enum cas_err database_open(struct store *store, int64_t *ret_version, struct cas_why *why)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (code != SQLITE_OK)
        return store_fail(store, code, "open", why);
    /* Before anything is set that would change a file that is not ours. */
    enum cas_err err = store_identify(store, ret_version, why);
    return err == CAS_OK ? pragmas_set(store, why) : err;
}

static enum cas_err
leader_read(struct store *store, uint64_t *ret_epoch, bool *ret_is_clean, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_leader_read);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    *ret_epoch = has ? sql_get_u64(&sql, 0) : 0;
    *ret_is_clean = !has || sql_get_i64(&sql, 3) != 0;
    sql_end(&sql);
    return CAS_OK;
}

/* Never a number from an agent: ours plus one, or the wall clock's seconds. */
static uint64_t epoch_after(uint64_t stored, struct cas_now now)
{
    uint64_t seconds = now.wall_ms > 0 ? (uint64_t)now.wall_ms / 1000 : 0;
    return seconds > stored ? seconds : stored + 1;
}

static enum cas_err
leader_take(struct store *store, uint64_t stored, struct cas_now now, struct cas_why *why)
{
    store->leader.epoch = epoch_after(stored, now);
    struct sql sql = sql_use(store, SQL_leader_take);
    sql_u64(&sql, store->leader.epoch);
    sql_bytes(&sql, store->leader.leader_id, sizeof store->leader.leader_id);
    enum cas_err err = sql_run(&sql, why);
    if (err != CAS_OK)
        return err;

    struct sql read = sql_use(store, SQL_leader_read);
    bool has = false;
    err = sql_row(&read, &has, why);
    if (err != CAS_OK)
        return err;
    CAS_ASSERT(has);
    store->write_version = sql_get_u64(&read, 2);
    sql_end(&read);
    return CAS_OK;
}

static void transaction_undo(struct store *store)
{
    if (store->db != NULL && sqlite3_get_autocommit(store->db) == 0)
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store->is_begun = false;
    store->failed = CAS_OK;
}

static enum cas_err lead(struct store *store, struct cas_now now, struct cas_why *why)
{
    uint64_t stored = 0;
    bool is_clean = false;
    enum cas_err err = leader_read(store, &stored, &is_clean, why);
    if (err == CAS_OK)
        err = store_check(store, is_clean, why);
    if (err == CAS_OK)
        err = store_exec(store, "BEGIN IMMEDIATE", why);
    if (err == CAS_OK)
        err = leader_read(store, &stored, &is_clean, why);
    if (err == CAS_OK)
        err = leader_take(store, stored, now, why);
    if (err == CAS_OK)
        err = store_exec(store, "COMMIT", why);
    store->is_leader = err == CAS_OK;
    transaction_undo(store);
    return err;
}

enum cas_err store_open(const char *path,
                        const uint8_t leader_id[CAS_ID_BYTES],
                        struct cas_now now,
                        struct store **ret_store,
                        struct cas_why *why)
{
    CAS_AUTO(store) store = calloc(1, sizeof *store);
    if (store == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = cas_slice_copy(cas_slice_of(path), store->path, sizeof store->path);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: a path of more than %d bytes", path, FILE_PATH_BYTES - 1);
    memcpy(store->leader.leader_id, leader_id, CAS_ID_BYTES);
    store->pack = malloc(STORE_PACK_BYTES);
    if (store->pack == NULL)
        return CAS_ERR_NOMEM;

    if (!is_uri(path))
        err = lock_take(store, why);
    int64_t version = 0;
    if (err == CAS_OK)
        err = database_open(store, &version, why);
    if (err == CAS_OK)
        err = store_migrate(store, version, why);
    if (err == CAS_OK)
        err = lead(store, now, why);
    if (err == CAS_OK)
        err = store_spools_load(store, why);
    if (err != CAS_OK)
        return err;
    *ret_store = CAS_TAKE(store);
    return CAS_OK;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    transaction_undo(store);
    if (store->is_leader) {
        /* Best effort: not marked clean, the next open looks closer. */
        struct sql sql = sql_use(store, SQL_leader_clean);
        sql_u64(&sql, store->leader.epoch);
        sql_bytes(&sql, store->leader.leader_id, sizeof store->leader.leader_id);
        enum cas_err err = sql_run(&sql, NULL);
        (void)err;
    }
    for (size_t i = 0; i < SQL_N; i++)
        (void)sqlite3_finalize(store->stmt[i]);
    (void)sqlite3_close(store->db);
    file_lock_free(store->lock);
    free(store->spool);
    free(store->changed);
    free(store->pack);
    free(store);
}

struct store_leader store_leader_of(const struct store *store)
{
    return store->leader;
}

enum cas_err store_begin(struct store *store, struct cas_why *why)
{
    if (store->is_begun)
        return CAS_OK;
    struct sql sql = sql_use(store, SQL_begin);
    enum cas_err err = sql_run(&sql, why);
    store->is_begun = err == CAS_OK;
    return err;
}

bool store_is_begun(const struct store *store)
{
    return store->is_begun;
}

void store_undo(struct store *store)
{
    transaction_undo(store);
    store_spools_settle(store, false);
}

/* Every write of a leader is conditional on the row being as this leader left it (R14). */
static enum cas_err fence(struct store *store, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_leader_fence);
    sql_u64(&sql, store->leader.epoch);
    sql_bytes(&sql, store->leader.leader_id, sizeof store->leader.leader_id);
    sql_u64(&sql, store->write_version);
    enum cas_err err = sql_run(&sql, why);
    if (err != CAS_OK)
        return err;
#ifndef CASFLEET_MUTANT_R14
    if (sqlite3_changes(store->db) != 1)
        return cas_fail(why,
                        CAS_ERR_FENCED,
                        "%s: another controller has written since (this one leads epoch %llu)",
                        store->path,
                        (unsigned long long)store->leader.epoch);
#endif
    return CAS_OK;
}

/* A COMMIT that failed may have reached the disk all the same; the row says which. */
static void version_read_again(struct store *store)
{
    struct sql sql = sql_use(store, SQL_leader_read);
    bool has = false;
    if (sql_row(&sql, &has, NULL) != CAS_OK || !has)
        return;
    struct cas_slice leader_id = sql_get_slice(&sql, 1);
    uint64_t version = sql_get_u64(&sql, 2);
    if (sql_get_u64(&sql, 0) == store->leader.epoch && leader_id.size == CAS_ID_BYTES &&
        memcmp(leader_id.data, store->leader.leader_id, CAS_ID_BYTES) == 0 &&
        version == store->write_version + 1)
        store->write_version = version;
    sql_end(&sql);
}

static enum cas_err commit_now(struct store *store, struct cas_why *why)
{
    enum cas_err err = CAS_FAILPOINT("store.commit");
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: COMMIT: %s", store->path, cas_err_words(err));
    struct sql sql = sql_use(store, SQL_commit);
    err = sql_run(&sql, why);
    if (err != CAS_OK)
        return err;
    /* Nothing can fail here any more; a test may still end the process. */
    enum cas_err passed = CAS_FAILPOINT("store.committed");
    (void)passed;
    return CAS_OK;
}

enum cas_err store_commit(struct store *store, struct cas_why *why)
{
    CAS_ASSERT(store->is_begun);
    enum cas_err err = store->failed;
    if (err != CAS_OK)
        err = cas_fail(why,
                       err,
                       "%s: a part of this change failed (%s)",
                       store->path,
                       cas_err_words(err));
    if (err == CAS_OK)
        err = store_spools_flush(store, why);
    if (err == CAS_OK)
        err = fence(store, why);
    bool is_tried = err == CAS_OK;
    if (err == CAS_OK)
        err = commit_now(store, why);
    if (err != CAS_OK) {
        store_undo(store);
        if (is_tried)
            version_read_again(store);
        return err;
    }
    store->is_begun = false;
    store->write_version++;
    store_spools_settle(store, true);
    return CAS_OK;
}

enum cas_err store_step_epoch(struct store *store, struct cas_now now, struct cas_why *why)
{
    CAS_ASSERT(!store->is_begun);
    uint64_t epoch = epoch_after(store->leader.epoch, now);
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    err = fence(store, why);
    if (err == CAS_OK) {
        struct sql sql = sql_use(store, SQL_leader_step);
        sql_u64(&sql, epoch);
        err = sql_run(&sql, why);
    }
    if (err == CAS_OK)
        err = commit_now(store, why);
    if (err != CAS_OK) {
        store_undo(store);
        return err;
    }
    store->is_begun = false;
    store->write_version++;
    store->leader.epoch = epoch;
    return CAS_OK;
}
