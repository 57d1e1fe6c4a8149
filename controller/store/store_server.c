#include "controller/store/store_sql.h"

#include <stdlib.h>
#include <string.h>

static enum cas_err
counter_next(struct store *store, const char *name, uint64_t *ret_value, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_counter_next);
    sql_text(&sql, name);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    CAS_ASSERT(has);
    *ret_value = sql_get_u64(&sql, 0);
    sql_end(&sql);
    return CAS_OK;
}

enum cas_err store_rollout_next_seq(struct store *store, uint64_t *ret_seq, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    return err == CAS_OK ? counter_next(store, "rollout", ret_seq, why) : err;
}

enum cas_err store_rollout_leap(struct store *store, uint64_t least, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_counter_leap);
    sql_text(&sql, "rollout");
    sql_u64(&sql, least);
    return sql_run(&sql, why);
}

enum cas_err
store_server_add(struct store *store, struct inventory_server *server, struct cas_why *why)
{
    uint64_t id = 0;
    enum cas_err err = store_begin(store, why);
    if (err == CAS_OK)
        err = counter_next(store, "server", &id, why);
    if (err != CAS_OK)
        return err;
    CAS_ASSERT(id > 0 && id < UINT32_MAX);
    server->id = (uint32_t)id;
    return store_server_save(store, server, why);
}

enum cas_err
store_server_save(struct store *store, const struct inventory_server *server, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_server_save);
    sql_u64(&sql, server->id);
    sql_text(&sql, server->name);
    sql_bytes(&sql, server->key, sizeof server->key);
    sql_i64(&sql, server->admission);
    sql_text(&sql, server->label[LABEL_SITE]);
    sql_text(&sql, server->label[LABEL_ROLE]);
    sql_text(&sql, server->label[LABEL_DAG]);
    sql_text(&sql, server->label[LABEL_POOL]);
    sql_i64(&sql, server->approved_ms);
    sql_text(&sql, server->approved_by);
    err = sql_run(&sql, why);
    if (err == CAS_OK)
        err = store_events_save(store, server, why);
    if (err == CAS_OK)
        err = store_facts_save(store, server, why);
    return err;
}

enum cas_err
store_events_save(struct store *store, const struct inventory_server *server, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_events_save);
    sql_u64(&sql, server->id);
    sql_u64(&sql, server->event_4227_n);
    sql_i64(&sql, server->event_4227_ms);
    sql_u64(&sql, server->event_4231_n);
    sql_i64(&sql, server->event_4231_ms);
    sql_i64(&sql, server->recycled_ms);
    sql_u64(&sql, server->journal_high);
    return sql_run(&sql, why);
}

enum cas_err
store_facts_save(struct store *store, const struct inventory_server *server, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    for (size_t i = 0; i < server->fact_n && err == CAS_OK; i++) {
        const struct inventory_fact *fact = &server->fact[i];
        struct sql sql = sql_use(store, SQL_fact_save);
        sql_u64(&sql, server->id);
        sql_text(&sql, fact->key);
        sql_i64(&sql, fact->is_known);
        sql_text(&sql, fact->value);
        sql_text(&sql, fact->reason);
        sql_i64(&sql, fact->at_ms);
        err = sql_run(&sql, why);
    }
    return err;
}

/* Through the inventory's own door, so that what it derives from a fact is there again as well. */
static enum cas_err
facts_load(struct store *store, struct inventory_server *server, struct cas_why *why)
{
    server->fact_n = 0;
    server->has_build = false;
    struct sql sql = sql_use(store, SQL_fact_load);
    sql_u64(&sql, server->id);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has) {
        struct record_fact fact = {
            .key = sql_get_slice(&sql, 0),
            .has_value = sql_get_i64(&sql, 1) != 0,
            .value = sql_get_slice(&sql, 2),
            .reason = sql_get_slice(&sql, 3),
        };
        fact.has_reason = fact.reason.size > 0;
        (void)inventory_record_fact(server, &fact, sql_get_i64(&sql, 4));
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}

static void events_read(struct sql *sql, struct inventory_server *server)
{
    server->event_4227_n = sql_get_u64(sql, 10);
    server->event_4227_ms = sql_get_i64(sql, 11);
    server->event_4231_n = sql_get_u64(sql, 12);
    server->event_4231_ms = sql_get_i64(sql, 13);
    server->recycled_ms = sql_get_i64(sql, 14);
    server->journal_high = sql_get_u64(sql, 15);
}

static enum cas_err
server_read(struct sql *sql, struct inventory_server *server, struct cas_why *why)
{
    memset(server, 0, sizeof *server);
    server->id = sql_get_u32(sql, 0);
    sql_get_text(sql, 1, server->name, sizeof server->name);
    enum cas_err err = sql_get_id(sql, 2, server->key, sizeof server->key, why);
    if (err != CAS_OK)
        return err;
    /* What is not known to be approved is not approved. */
    server->admission =
        sql_get_i64(sql, 3) == ADMISSION_APPROVED ? ADMISSION_APPROVED : ADMISSION_REVOKED;
    sql_get_text(sql, 4, server->label[LABEL_SITE], LABEL_BYTES);
    sql_get_text(sql, 5, server->label[LABEL_ROLE], LABEL_BYTES);
    sql_get_text(sql, 6, server->label[LABEL_DAG], LABEL_BYTES);
    sql_get_text(sql, 7, server->label[LABEL_POOL], LABEL_BYTES);
    server->approved_ms = sql_get_i64(sql, 8);
    sql_get_text(sql, 9, server->approved_by, sizeof server->approved_by);
    events_read(sql, server);
    return CAS_OK;
}

static enum cas_err servers_read(struct store *store,
                                 struct inventory *inventory,
                                 struct inventory_server *server,
                                 struct cas_arena *arena,
                                 struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_server_load);
    sql_u64(&sql, 0);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has) {
        err = server_read(&sql, server, why);
        if (err == CAS_OK)
            err = facts_load(store, server, why);
        if (err == CAS_OK)
            err = store_spool_show(store, server, arena, why);
        if (err == CAS_OK) {
            err = inventory_add(inventory, server);
            if (err != CAS_OK)
                err = cas_fail(why,
                               err,
                               "%s: server %s: %s",
                               store->path,
                               server->name,
                               cas_err_words(err));
        }
        if (err == CAS_OK) {
            *server = (struct inventory_server){0}; /* the facts are the inventory's now */
            err = sql_row(&sql, &has, why);
        }
    }
    sql_end(&sql);
    return err;
}

enum cas_err
store_servers_load(struct store *store, struct inventory *inventory, struct cas_why *why)
{
    struct inventory_server *server = calloc(1, sizeof *server);
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err == CAS_OK && server == NULL)
        err = CAS_ERR_NOMEM;
    if (err == CAS_OK)
        err = servers_read(store, inventory, server, arena, why);
    if (server != NULL)
        inventory_server_clear(server);
    free(server);
    return err;
}

enum cas_err
store_server_reload(struct store *store, struct inventory_server *server, struct cas_why *why)
{
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_server_load);
    sql_u64(&sql, server->id);
    bool has = false;
    err = sql_row(&sql, &has, why);
    if (err == CAS_OK && has) {
        events_read(&sql, server);
        sql_end(&sql);
        err = facts_load(store, server, why);
        if (err == CAS_OK)
            err = store_spool_show(store, server, arena, why);
    }
    return err;
}
