#include "controller/store/store_load.h"

#include "controller/store/store_sql.h"

/* The first report from an id on, and when it came; *ret_has false: there is none. */
static enum cas_err report_from(struct store *store,
                                int64_t id,
                                bool *ret_has,
                                int64_t *ret_id,
                                int64_t *ret_at_ms,
                                struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_report_after);
    sql_i64(&sql, id);
    enum cas_err err = sql_row(&sql, ret_has, why);
    if (err != CAS_OK)
        return err;
    if (*ret_has) {
        *ret_id = sql_get_i64(&sql, 0);
        *ret_at_ms = sql_get_i64(&sql, 1);
    }
    sql_end(&sql);
    return CAS_OK;
}

/* The first report that came at an instant or later, by bisection; ids rise as they come. */
static enum cas_err
find_first(struct store *store, int64_t at_ms, int64_t *ret_id, struct cas_why *why)
{
    int64_t low = 0, high = store->report_next;
    while (low < high) {
        int64_t middle = low + (high - low) / 2, id = 0, came_ms = 0;
        bool has = false;
        enum cas_err err = report_from(store, middle, &has, &id, &came_ms, why);
        if (err != CAS_OK)
            return err;
        if (!has || came_ms >= at_ms)
            high = middle;
        else
            low = id + 1;
    }
    *ret_id = low;
    return CAS_OK;
}

static enum cas_err tell_entry(const struct store_load *load,
                               uint32_t server_id,
                               const struct record_entry *entry,
                               struct cas_arena *arena,
                               struct cas_why *why)
{
    struct record_sample sample;
    cas_arena_clear(arena);
    enum cas_err err = record_decode(RECORD_sample, entry->body, arena, &sample, why);
    if (err != CAS_OK)
        return err;
    if (!cas_slice_is(sample.pool, load->pool))
        return CAS_OK;
    for (size_t i = 0; i < sample.readings_n; i++) {
        const struct record_reading *reading = &sample.readings[i];
        if (reading->symptom == SYMPTOM_active_requests && reading->has_value)
            load->tell(load->context, server_id, entry->at_ms, reading->value);
    }
    return CAS_OK;
}

static enum cas_err tell_report(struct store *store,
                                const struct store_load *load,
                                uint32_t server_id,
                                struct cas_slice rest,
                                int64_t from_ms,
                                int64_t to_ms,
                                struct cas_arena *arena,
                                struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    bool has = true;
    while (err == CAS_OK && has) {
        struct record_entry entry = {.seq = 0};
        err = store_entry_next(store, &rest, &entry, &has, why);
        bool is_in = err == CAS_OK && has && entry.kind == ENTRY_SAMPLE && entry.at_ms >= from_ms &&
                     entry.at_ms <= to_ms;
        if (is_in && load->wants(load->context, server_id, entry.at_ms))
            err = tell_entry(load, server_id, &entry, arena, why);
    }
    return err;
}

enum cas_err store_loads_read(struct store *store,
                              const struct store_load *load,
                              int64_t from_ms,
                              int64_t to_ms,
                              int64_t late_ms,
                              struct cas_why *why)
{
    CAS_AUTO(cas_arena) arena = NULL;
    int64_t first = 0;
    bool has = false;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err == CAS_OK)
        err = find_first(store, from_ms, &first, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_report_since);
    sql_i64(&sql, first);
    err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && sql_get_i64(&sql, 1) <= to_ms + late_ms) {
        err = tell_report(store,
                          load,
                          sql_get_u32(&sql, 0),
                          sql_get_slice(&sql, 2),
                          from_ms,
                          to_ms,
                          arena,
                          why);
        if (err == CAS_OK)
            err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}

enum cas_err store_loads_since(struct store *store, int64_t *ret_since_ms, struct cas_why *why)
{
    bool has = false;
    int64_t id = 0, at_ms = 0;
    enum cas_err err = report_from(store, 0, &has, &id, &at_ms, why);
    if (err == CAS_OK)
        *ret_since_ms = has ? at_ms : 0;
    return err;
}
