#include "controller/store/store_sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum cas_err store_draft_save(struct store *store,
                              uint64_t seq,
                              struct cas_slice plan,
                              struct cas_now now,
                              struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_draft_save);
    sql_u64(&sql, seq);
    sql_i64(&sql, now.wall_ms);
    sql_bytes(&sql, plan.data, plan.size);
    return sql_run(&sql, why);
}

static enum cas_err draft_read(struct sql *sql,
                               uint64_t seq,
                               struct cas_now now,
                               char **ret_plan,
                               size_t *ret_size,
                               struct cas_why *why)
{
    int64_t age_ms = now.wall_ms - sql_get_i64(sql, 0);
    if (age_ms > PLAN_VALID_MS)
        return cas_fail(why,
                        CAS_ERR_STALE,
                        "plan r-%04" PRIu64 " is %" PRId64
                        " min old; a plan is valid for %d min: make a new one",
                        seq,
                        age_ms / 60000,
                        PLAN_VALID_MS / 60000);
    struct cas_slice plan = sql_get_slice(sql, 1);
    char *copy = malloc(plan.size + 1);
    if (copy == NULL)
        return CAS_ERR_NOMEM;
    if (plan.size > 0)
        memcpy(copy, plan.data, plan.size);
    copy[plan.size] = '\0';
    *ret_plan = copy;
    *ret_size = plan.size;
    return CAS_OK;
}

enum cas_err store_draft_load(struct store *store,
                              uint64_t seq,
                              struct cas_now now,
                              char **ret_plan,
                              size_t *ret_size,
                              struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_draft_load);
    sql_u64(&sql, seq);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    if (!has)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no plan r-%04" PRIu64, seq);
    err = draft_read(&sql, seq, now, ret_plan, ret_size, why);
    sql_end(&sql);
    return err;
}

/* A rollout whose steps still hold slots counts against the floor, ended or not: it must be in
 * memory after a start. */
static bool is_open(const struct rollout *rollout)
{
    if (rollout->state != ROLLOUT_DONE && rollout->state != ROLLOUT_ENDED &&
        rollout->state != ROLLOUT_MISSED)
        return true;
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].holds_slot)
            return true;
    }
    return false;
}

enum cas_err
store_rollout_save(struct store *store, const struct rollout *rollout, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_rollout_save);
    sql_u64(&sql, rollout->seq);
    sql_i64(&sql, rollout->state);
    sql_i64(&sql, rollout->reason);
    sql_text(&sql, rollout->by);
    sql_text(&sql, rollout->why);
    sql_i64(&sql, rollout->run_ms);
    sql_i64(&sql, rollout->begun_ms);
    sql_i64(&sql, rollout->ended_ms);
    sql_i64(&sql, rollout->halted_ms);
    sql_u64(&sql, rollout->failed_n);
    sql_u64(&sql, rollout->forgiven_n);
    sql_u64(&sql, rollout->wave);
    sql_text(&sql, rollout->plan_text);
    sql_i64(&sql, rollout->is_ending);
    sql_i64(&sql, rollout->is_alone);
    sql_i64(&sql, is_open(rollout));
    sql_bytes(&sql, rollout->plan_hash, sizeof rollout->plan_hash);
    sql_bytes(&sql, rollout->plan.data, rollout->plan.size);
    return sql_run(&sql, why);
}

static void evidence_bind(struct sql *sql, const struct rollout_evidence *evidence)
{
    sql_u64(sql, evidence->seq);
    sql_i64(sql, evidence->state);
    sql_i64(sql, evidence->code);
    sql_text(sql, evidence->text);
    sql_u64(sql, evidence->pid_before);
    sql_u64(sql, evidence->pid_after);
    sql_i64(sql, evidence->start_before_ms);
    sql_i64(sql, evidence->start_after_ms);
    sql_i64(sql, evidence->intent_ms);
    sql_i64(sql, evidence->drained_ms);
    sql_i64(sql, evidence->acted_ms);
    sql_i64(sql, evidence->done_ms);
    sql_i64(sql, evidence->has_requests);
    sql_f64(sql, evidence->requests_before);
    sql_f64(sql, evidence->requests_drained);
}

enum cas_err store_step_save(struct store *store,
                             const struct rollout *rollout,
                             size_t step,
                             struct cas_why *why)
{
    CAS_ASSERT(step < rollout->step_n);
    const struct rollout_step *row = &rollout->step[step];
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_step_save);
    sql_u64(&sql, rollout->seq);
    sql_u64(&sql, step);
    sql_u64(&sql, row->server_id);
    sql_u64(&sql, row->wave);
    sql_u64(&sql, row->attempt);
    sql_i64(&sql, row->state);
    sql_i64(&sql, row->reason);
    sql_i64(&sql, row->holds_slot);
    sql_bytes(&sql, row->cmd_id, sizeof row->cmd_id);
    sql_bytes(&sql, row->nonce, sizeof row->nonce);
    sql_i64(&sql, row->reserved_ms);
    sql_i64(&sql, row->granted_ms);
    sql_i64(&sql, row->result_ms);
    sql_i64(&sql, row->closed_ms);
    sql_i64(&sql, row->granted_wall_issued_ms);
    sql_u64(&sql, row->good_n);
    sql_u64(&sql, row->good_probe);
    sql_text(&sql, row->note);
    evidence_bind(&sql, &row->evidence);
    return sql_run(&sql, why);
}

static void evidence_read(struct sql *sql, int at, struct rollout_evidence *evidence)
{
    evidence->seq = sql_get_u64(sql, at);
    evidence->state = (enum command_state)sql_get_i64(sql, at + 1);
    evidence->code = sql_get_i64(sql, at + 2);
    sql_get_text(sql, at + 3, evidence->text, sizeof evidence->text);
    evidence->pid_before = sql_get_u32(sql, at + 4);
    evidence->pid_after = sql_get_u32(sql, at + 5);
    evidence->start_before_ms = sql_get_i64(sql, at + 6);
    evidence->start_after_ms = sql_get_i64(sql, at + 7);
    evidence->intent_ms = sql_get_i64(sql, at + 8);
    evidence->drained_ms = sql_get_i64(sql, at + 9);
    evidence->acted_ms = sql_get_i64(sql, at + 10);
    evidence->done_ms = sql_get_i64(sql, at + 11);
    evidence->has_requests = sql_get_i64(sql, at + 12) != 0;
    evidence->requests_before = sql_get_f64(sql, at + 13);
    evidence->requests_drained = sql_get_f64(sql, at + 14);
}

static enum cas_err step_read(struct sql *sql, struct rollout_step *step, struct cas_why *why)
{
    step->server_id = sql_get_u32(sql, 0);
    step->wave = sql_get_u32(sql, 1);
    step->attempt = sql_get_u32(sql, 2);
    step->state = (enum rollout_step_state)sql_get_i64(sql, 3);
    step->reason = (enum rollout_reason)sql_get_i64(sql, 4);
    step->holds_slot = sql_get_i64(sql, 5) != 0;
    enum cas_err err = sql_get_id(sql, 6, step->cmd_id, sizeof step->cmd_id, why);
    if (err == CAS_OK)
        err = sql_get_id(sql, 7, step->nonce, sizeof step->nonce, why);
    if (err != CAS_OK)
        return err;
    step->reserved_ms = sql_get_i64(sql, 8);
    step->granted_ms = sql_get_i64(sql, 9);
    step->result_ms = sql_get_i64(sql, 10);
    step->closed_ms = sql_get_i64(sql, 11);
    step->granted_wall_issued_ms = sql_get_i64(sql, 12);
    step->good_n = sql_get_u32(sql, 13);
    step->good_probe = sql_get_u64(sql, 14);
    sql_get_text(sql, 15, step->note, sizeof step->note);
    evidence_read(sql, 16, &step->evidence);
    return CAS_OK;
}

static enum cas_err steps_read(struct store *store, struct rollout *rollout, struct cas_why *why)
{
    struct sql count = sql_use(store, SQL_step_count);
    sql_u64(&count, rollout->seq);
    bool has = false;
    enum cas_err err = sql_row(&count, &has, why);
    if (err != CAS_OK)
        return err;
    size_t step_n = has ? (size_t)sql_get_u64(&count, 0) : 0;
    sql_end(&count);
    if (step_n > ROLLOUT_SERVERS)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "%s: rollout of %zu steps, at most %d",
                        store->path,
                        step_n,
                        ROLLOUT_SERVERS);
    rollout->step = calloc(step_n > 0 ? step_n : 1, sizeof *rollout->step);
    if (rollout->step == NULL)
        return CAS_ERR_NOMEM;

    struct sql sql = sql_use(store, SQL_step_load);
    sql_u64(&sql, rollout->seq);
    err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && rollout->step_n < step_n) {
        err = step_read(&sql, &rollout->step[rollout->step_n++], why);
        if (err == CAS_OK)
            err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}

static enum cas_err rollout_read(struct sql *sql, struct rollout *rollout, struct cas_why *why)
{
    rollout->seq = sql_get_u64(sql, 0);
    rollout->state = (enum rollout_state)sql_get_i64(sql, 1);
    rollout->reason = (enum rollout_reason)sql_get_i64(sql, 2);
    sql_get_text(sql, 3, rollout->by, sizeof rollout->by);
    sql_get_text(sql, 4, rollout->why, sizeof rollout->why);
    rollout->run_ms = sql_get_i64(sql, 5);
    rollout->begun_ms = sql_get_i64(sql, 6);
    rollout->ended_ms = sql_get_i64(sql, 7);
    rollout->halted_ms = sql_get_i64(sql, 8);
    rollout->failed_n = sql_get_u32(sql, 9);
    rollout->forgiven_n = sql_get_u32(sql, 10);
    rollout->wave = sql_get_u32(sql, 11);
    sql_get_text(sql, 12, rollout->plan_text, sizeof rollout->plan_text);
    rollout->is_ending = sql_get_i64(sql, 13) != 0;
    rollout->is_alone = sql_get_i64(sql, 14) != 0;
    enum cas_err err = sql_get_id(sql, 15, rollout->plan_hash, sizeof rollout->plan_hash, why);
    if (err == CAS_OK)
        rollout->plan = sql_get_slice(sql, 16);
    return err;
}

/* Decodes the plan while its bytes are still SQLite's; rollout_load takes copies of all of it. */
static enum cas_err rollout_hand(struct store *store,
                                 struct sql *sql,
                                 struct rollout_book *book,
                                 struct rollout *rollout,
                                 struct cas_why *why)
{
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = rollout_read(sql, rollout, why);
    if (err == CAS_OK)
        err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err == CAS_OK)
        err = record_decode(RECORD_plan_body, rollout->plan, arena, &rollout->body, why);
    if (err == CAS_OK)
        err = steps_read(store, rollout, why);
    if (err == CAS_OK)
        err = rollout_load(book, rollout, why);
    free(rollout->step);
    return err;
}

/* What is refused was written by us once: the file is named, whatever noticed it. */
static enum cas_err spoilt(const struct store *store,
                           uint64_t seq,
                           enum cas_err err,
                           const struct cas_why *inner,
                           struct cas_why *why)
{
    if (err == CAS_ERR_NOMEM || strncmp(inner->text, store->path, strlen(store->path)) == 0)
        return cas_fail(why, err, "%s", inner->text);
    return cas_fail(why,
                    CAS_ERR_CORRUPT,
                    "%s: r-%04" PRIu64 " cannot be read: %s",
                    store->path,
                    seq,
                    inner->text[0] != '\0' ? inner->text : cas_err_words(err));
}

enum cas_err store_rollout_load(struct store *store,
                                uint64_t seq,
                                struct rollout_book *book,
                                struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_rollout_load);
    sql_u64(&sql, seq);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    if (!has)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no rollout r-%04" PRIu64, seq);
    struct rollout rollout = {0};
    struct cas_why inner = {0};
    err = rollout_hand(store, &sql, book, &rollout, &inner);
    sql_end(&sql);
    return err == CAS_OK ? CAS_OK : spoilt(store, seq, err, &inner, why);
}

enum cas_err store_rollouts_load(struct store *store,
                                 struct rollout_book *book,
                                 size_t ended_most,
                                 struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_rollout_list);
    sql_u64(&sql, ended_most);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has) {
        uint64_t seq = sql_get_u64(&sql, 0);
        err = store_rollout_load(store, seq, book, why);
        if (err == CAS_ERR_NOT_FOUND)
            err = cas_fail(why,
                           CAS_ERR_CORRUPT,
                           "%s: r-%04" PRIu64 " is in the index and not in the table",
                           store->path,
                           seq);
        if (err == CAS_OK)
            err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}
