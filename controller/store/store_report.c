#include "controller/store/store_sql.h"

#include <stdlib.h>
#include <string.h>

/* A report's row holds its entries one after the other, each as seq (8 bytes), at_ms (8), kind (1),
 * size of the body (2), all big-endian, and the body as it came. */

static void put(uint8_t *bytes, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static uint64_t get(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static size_t entry_pack(const struct record_entry *entry, uint8_t *bytes)
{
    put(bytes, entry->seq, 8);
    put(bytes + 8, (uint64_t)entry->at_ms, 8);
    put(bytes + 16, entry->kind, 1);
    put(bytes + 17, entry->body.size, 2);
    memcpy(bytes + STORE_ENTRY_HEAD, entry->body.data, entry->body.size);
    return STORE_ENTRY_HEAD + entry->body.size;
}

enum cas_err store_entry_next(const struct store *store,
                              struct cas_slice *rest,
                              struct record_entry *ret_entry,
                              bool *ret_has,
                              struct cas_why *why)
{
    *ret_has = rest->size > 0;
    if (rest->size == 0)
        return CAS_OK;
    const uint8_t *bytes = (const uint8_t *)rest->data;
    size_t size = rest->size >= STORE_ENTRY_HEAD ? (size_t)get(bytes + 17, 2) : 0;
    if (rest->size < STORE_ENTRY_HEAD + size || size == 0)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "%s: a report's row ends inside an entry",
                        store->path);
    *ret_entry = (struct record_entry){
        .seq = get(bytes, 8),
        .at_ms = (int64_t)get(bytes + 8, 8),
        .kind = get(bytes + 16, 1),
        .body = {rest->data + STORE_ENTRY_HEAD, size},
    };
    rest->data += STORE_ENTRY_HEAD + size;
    rest->size -= STORE_ENTRY_HEAD + size;
    return CAS_OK;
}

static enum cas_err slot_of(struct store *store, uint32_t server_id, struct spool_slot **ret_slot)
{
    if (server_id >= store->spool_cap) {
        size_t cap = store->spool_cap > 0 ? store->spool_cap : 64;
        while (cap <= server_id)
            cap *= 2;
        struct spool_slot *grown = realloc(store->spool, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        memset(grown + store->spool_cap, 0, (cap - store->spool_cap) * sizeof *grown);
        store->spool = grown;
        store->spool_cap = cap;
    }
    *ret_slot = &store->spool[server_id];
    return CAS_OK;
}

static enum cas_err slot_changed(struct store *store, uint32_t server_id, struct spool_slot *slot)
{
    if (slot->is_changed)
        return CAS_OK;
    if (store->changed_n == store->changed_cap) {
        size_t cap = store->changed_cap > 0 ? store->changed_cap * 2 : 64;
        uint32_t *grown = realloc(store->changed, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        store->changed = grown;
        store->changed_cap = cap;
    }
    store->changed[store->changed_n++] = server_id;
    slot->is_changed = true;
    return CAS_OK;
}

enum cas_err store_spools_load(struct store *store, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_spool_load);
    sql_u64(&sql, 0);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    for (; err == CAS_OK && has; err = sql_row(&sql, &has, why)) {
        struct spool_slot *slot = NULL;
        struct spool spool = {.upto_seq = sql_get_u64(&sql, 2),
                              .heard_ms = sql_get_i64(&sql, 3),
                              .sample_report = sql_get_i64(&sql, 4)};
        err = sql_get_id(&sql, 1, spool.id, sizeof spool.id, why);
        if (err == CAS_OK)
            err = slot_of(store, sql_get_u32(&sql, 0), &slot);
        if (err != CAS_OK)
            break;
        *slot =
            (struct spool_slot){.now = spool, .kept = spool, .is_known = true, .was_known = true};
    }
    sql_end(&sql);
    if (err != CAS_OK)
        return err;

    struct sql last = sql_use(store, SQL_report_last);
    err = sql_row(&last, &has, why);
    if (err != CAS_OK)
        return err;
    store->report_next = has ? sql_get_i64(&last, 0) + 1 : 1;
    store->report_kept = store->report_next;
    sql_end(&last);
    return CAS_OK;
}

static enum cas_err
spool_save(struct store *store, uint32_t server_id, const struct spool *spool, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_spool_save);
    sql_u64(&sql, server_id);
    sql_bytes(&sql, spool->id, sizeof spool->id);
    sql_u64(&sql, spool->upto_seq);
    sql_i64(&sql, spool->heard_ms);
    sql_i64(&sql, spool->sample_report);
    return sql_run(&sql, why);
}

enum cas_err store_spools_flush(struct store *store, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < store->changed_n && err == CAS_OK; i++)
        err = spool_save(store, store->changed[i], &store->spool[store->changed[i]].now, why);
    return err;
}

void store_spools_settle(struct store *store, bool is_committed)
{
    for (size_t i = 0; i < store->changed_n; i++) {
        struct spool_slot *slot = &store->spool[store->changed[i]];
        slot->is_changed = false;
        if (is_committed) {
            slot->kept = slot->now;
            slot->was_known = slot->is_known;
        } else {
            slot->now = slot->kept;
            slot->is_known = slot->was_known;
        }
    }
    store->changed_n = 0;
    if (is_committed)
        store->report_kept = store->report_next;
    else
        store->report_next = store->report_kept;
}

static bool is_spool(const struct spool_slot *slot, const uint8_t spool_id[CAS_ID_BYTES])
{
    return slot->is_known && memcmp(slot->now.id, spool_id, CAS_ID_BYTES) == 0;
}

/* The server writes another spool from now on: the old one's end is kept, and it may come back. */
static enum cas_err spool_switch(struct store *store,
                                 uint32_t server_id,
                                 struct spool_slot *slot,
                                 const uint8_t spool_id[CAS_ID_BYTES],
                                 struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    if (slot->is_changed && slot->is_known)
        err = spool_save(store, server_id, &slot->now, why);
    if (err != CAS_OK)
        return err;
    struct spool spool = {.heard_ms = slot->now.heard_ms, .sample_report = slot->now.sample_report};
    memcpy(spool.id, spool_id, CAS_ID_BYTES);
    struct sql sql = sql_use(store, SQL_spool_find);
    sql_u64(&sql, server_id);
    sql_bytes(&sql, spool_id, CAS_ID_BYTES);
    bool has = false;
    err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    if (has)
        spool.upto_seq = sql_get_u64(&sql, 0);
    sql_end(&sql);
    err = slot_changed(store, server_id, slot);
    if (err != CAS_OK)
        return err;
    slot->now = spool;
    slot->is_known = true;
    /* One that names another spool each time must not fill the table. */
    struct sql expire = sql_use(store, SQL_spool_expire);
    sql_u64(&expire, server_id);
    sql_u64(&expire, STORE_SPOOLS_KEPT);
    return sql_run(&expire, why);
}

bool store_spool_of(const struct store *store, uint32_t server_id, struct store_spool *ret_spool)
{
    if (server_id >= store->spool_cap || !store->spool[server_id].is_known)
        return false;
    const struct spool *spool = &store->spool[server_id].now;
    ret_spool->upto_seq = spool->upto_seq;
    memcpy(ret_spool->spool_id, spool->id, CAS_ID_BYTES);
    return true;
}

enum cas_err
store_spool_hello(struct store *store, uint32_t server_id, const struct message_hello *hello)
{
    struct spool_slot *slot = NULL;
    enum cas_err err = slot_of(store, server_id, &slot);
    if (err != CAS_OK)
        return err;
    memcpy(slot->gone_id, hello->spool_id, CAS_ID_BYTES);
    slot->gone_upto = hello->spool_lo > 0 ? hello->spool_lo - 1 : hello->spool_hi;
    return CAS_OK;
}

/* Positions first..last are missing: does a gap record of this report say so, or did the agent at
 * HELLO? */
static enum cas_err hole_explain(const struct message_report *report,
                                 const struct record_gap *gap,
                                 size_t gap_n,
                                 uint64_t first,
                                 uint64_t last,
                                 uint64_t gone,
                                 struct cas_why *why)
{
    uint64_t next = first <= gone ? gone + 1 : first;
    for (size_t round = 0; round < gap_n && next <= last; round++) {
        for (size_t i = 0; i < gap_n; i++) {
            if (gap[i].first_seq <= next && gap[i].last_seq >= next)
                next = gap[i].last_seq + 1;
        }
    }
    if (next > last)
        return CAS_OK;
    return cas_fail(
        why,
        CAS_ERR_FORMAT,
        "report from %llu: positions %llu to %llu are missing and no gap record explains them",
        (unsigned long long)report->first_seq,
        (unsigned long long)next,
        (unsigned long long)last);
}

static enum cas_err gaps_read(const struct message_report *report,
                              struct cas_arena *arena,
                              struct record_gap *ret_gap,
                              size_t *ret_n,
                              struct cas_why *why)
{
    size_t n = 0;
    for (size_t i = 0; i < report->entries_n; i++) {
        if (report->entries[i].kind != ENTRY_GAP)
            continue;
        enum cas_err err =
            record_decode(RECORD_gap, report->entries[i].body, arena, &ret_gap[n], why);
        if (err != CAS_OK)
            return err;
        n++;
    }
    *ret_n = n;
    return CAS_OK;
}

/* Only when there is a hole at all: the usual report has none and needs no gap records decoded. */
static enum cas_err
holes_check(const struct message_report *report, uint64_t upto, uint64_t gone, struct cas_why *why)
{
    struct record_gap gap[WIRE_REPORT_RECORDS];
    size_t gap_n = 0;
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err == CAS_OK)
        err = gaps_read(report, arena, gap, &gap_n, why);
    uint64_t before = upto;
    for (size_t i = 0; i < report->entries_n && err == CAS_OK; i++) {
        uint64_t seq = report->entries[i].seq;
        if (seq > before + 1)
            err = hole_explain(report, gap, gap_n, before + 1, seq - 1, gone, why);
        if (seq > before)
            before = seq;
    }
    return err;
}

/* The agent said at HELLO that it keeps nothing up to here: this database has lost what it once
 * acknowledged. */
static uint64_t gone_upto(const struct spool_slot *slot)
{
    return memcmp(slot->gone_id, slot->now.id, CAS_ID_BYTES) == 0 ? slot->gone_upto : 0;
}

static enum cas_err order_check(const struct message_report *report,
                                uint64_t upto,
                                bool *ret_has_hole,
                                struct cas_why *why)
{
    uint64_t before = 0, reached = upto;
    bool has_hole = false;
    for (size_t i = 0; i < report->entries_n; i++) {
        uint64_t seq = report->entries[i].seq;
        if (seq <= before)
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "report from %llu: position %llu after %llu",
                            (unsigned long long)report->first_seq,
                            (unsigned long long)seq,
                            (unsigned long long)before);
        has_hole = has_hole || seq > reached + 1;
        reached = seq > reached ? seq : reached;
        before = seq;
    }
    if (report->entries_n == 0 || report->entries[0].seq != report->first_seq)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "report from %llu: its first entry is not at this position",
                        (unsigned long long)report->first_seq);
    *ret_has_hole = has_hole;
    return CAS_OK;
}

static enum cas_err row_add(struct store *store,
                            uint32_t server_id,
                            const struct message_report *report,
                            size_t skip,
                            struct cas_now now,
                            struct cas_why *why)
{
    size_t size = 0;
    for (size_t i = skip; i < report->entries_n; i++) {
        if (report->entries[i].body.size > WIRE_BODY_BYTES ||
            size + STORE_ENTRY_HEAD + report->entries[i].body.size > STORE_PACK_BYTES)
            return cas_fail(why, CAS_ERR_TOO_LONG, "report: more than %d bytes", STORE_PACK_BYTES);
        size += entry_pack(&report->entries[i], store->pack + size);
    }
    struct sql sql = sql_use(store, SQL_report_add);
    sql_i64(&sql, store->report_next);
    sql_u64(&sql, server_id);
    sql_bytes(&sql, report->spool_id, CAS_ID_BYTES);
    sql_u64(&sql, report->entries[skip].seq);
    sql_u64(&sql, report->entries[report->entries_n - 1].seq);
    sql_i64(&sql, now.wall_ms);
    sql_bytes(&sql, store->pack, size);
    return sql_run(&sql, why);
}

enum cas_err store_report_add(struct store *store,
                              uint32_t server_id,
                              const struct message_report *report,
                              struct cas_now now,
                              uint64_t *ret_upto,
                              struct cas_why *why)
{
    struct spool_slot *slot = NULL;
    enum cas_err err = slot_of(store, server_id, &slot);
    if (err == CAS_OK)
        err = store_begin(store, why);
    if (err == CAS_OK && !is_spool(slot, report->spool_id))
        err = spool_switch(store, server_id, slot, report->spool_id, why);
    if (err != CAS_OK)
        return err;

    bool has_hole = false;
    err = order_check(report, slot->now.upto_seq, &has_hole, why);
    if (err == CAS_OK && has_hole)
        err = holes_check(report, slot->now.upto_seq, gone_upto(slot), why);
    if (err != CAS_OK)
        return err;

    size_t skip = 0;
    bool has_sample = false;
    while (skip < report->entries_n && report->entries[skip].seq <= slot->now.upto_seq)
        skip++;
    for (size_t i = skip; i < report->entries_n; i++)
        has_sample = has_sample || report->entries[i].kind == ENTRY_SAMPLE;
    if (skip < report->entries_n) {
        err = slot_changed(store, server_id, slot);
        if (err == CAS_OK)
            err = row_add(store, server_id, report, skip, now, why);
        if (err != CAS_OK)
            return err;
        slot->now.upto_seq = report->entries[report->entries_n - 1].seq;
        slot->now.heard_ms = now.wall_ms;
        if (has_sample)
            slot->now.sample_report = store->report_next;
        store->report_next++;
    }
    *ret_upto = slot->now.upto_seq;
    return CAS_OK;
}

static enum cas_err entries_tell(struct store *store,
                                 struct sql *sql,
                                 store_on_entry *on_entry,
                                 void *context,
                                 struct cas_why *why)
{
    uint32_t server_id = sql_get_u32(sql, 0);
    uint8_t spool_id[CAS_ID_BYTES];
    enum cas_err err = sql_get_id(sql, 1, spool_id, sizeof spool_id, why);
    struct cas_slice rest = sql_get_slice(sql, 2);
    bool has = err == CAS_OK;
    while (err == CAS_OK && has) {
        struct record_entry entry;
        err = store_entry_next(store, &rest, &entry, &has, why);
        if (err == CAS_OK && has)
            err = on_entry(context, server_id, spool_id, &entry);
    }
    return err;
}

enum cas_err store_entries(struct store *store,
                           uint32_t server_id,
                           store_on_entry *on_entry,
                           void *context,
                           struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_report_read);
    sql_u64(&sql, server_id);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has) {
        err = entries_tell(store, &sql, on_entry, context, why);
        if (err == CAS_OK)
            err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}

static enum cas_err sample_show(struct store *store,
                                struct cas_slice row,
                                struct inventory_server *server,
                                struct cas_arena *arena,
                                struct cas_why *why)
{
    struct record_entry newest = {0};
    bool has = true;
    while (has) {
        struct record_entry entry = {0};
        enum cas_err err = store_entry_next(store, &row, &entry, &has, why);
        if (err != CAS_OK)
            return err;
        if (has && entry.kind == ENTRY_SAMPLE)
            newest = entry;
    }
    struct record_sample sample;
    if (newest.seq == 0)
        return CAS_OK;
    cas_arena_clear(arena);
    enum cas_err err = record_decode(RECORD_sample, newest.body, arena, &sample, why);
    if (err != CAS_OK)
        return err;
    inventory_record_sample(server, &sample, newest.at_ms);
    return CAS_OK;
}

enum cas_err store_spool_show(struct store *store,
                              struct inventory_server *server,
                              struct cas_arena *arena,
                              struct cas_why *why)
{
    if (server->id >= store->spool_cap || !store->spool[server->id].is_known)
        return CAS_OK;
    const struct spool *spool = &store->spool[server->id].now;
    server->live.heard_ms = spool->heard_ms;
    if (spool->sample_report == 0)
        return CAS_OK;
    struct sql sql = sql_use(store, SQL_report_one);
    sql_i64(&sql, spool->sample_report);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err == CAS_OK && has)
        err = sample_show(store, sql_get_slice(&sql, 0), server, arena, why);
    sql_end(&sql);
    return err;
}

enum cas_err
store_reports_expire(struct store *store, struct cas_now now, int64_t keep_ms, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_report_expire);
    sql_i64(&sql, STORE_EXPIRE_ROWS);
    sql_i64(&sql, now.wall_ms - keep_ms);
    err = sql_run(&sql, why);
    if (err != CAS_OK)
        return err;
    struct sql drafts = sql_use(store, SQL_draft_expire);
    sql_i64(&drafts, now.wall_ms - STORE_DRAFT_KEEP_MS);
    return sql_run(&drafts, why);
}
