#include "controller/store/store_schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/store/store_sql.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000
};
static const int64_t keep_ms = INT64_C(400) * DAY_MS;

static enum cas_err next_id(struct store *store, uint64_t *ret_id, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_counter_next);
    sql_text(&sql, "schedule");
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    *ret_id = sql_get_u64(&sql, 0);
    sql_end(&sql);
    return CAS_OK;
}

static void policy_bind(struct sql *sql, const struct rollout_wish *policy)
{
    sql_i64(sql, policy->verb);
    sql_text(sql, policy->pool);
    sql_u64(sql, policy->at_once);
    sql_i64(sql, policy->gap_ms);
    sql_i64(sql, policy->settle_ms);
    sql_i64(sql, policy->drain_ms);
    sql_i64(sql, policy->act_ms);
    sql_i64(sql, policy->proof_ms);
    sql_u64(sql, policy->healthy_n);
    sql_u64(sql, policy->stop_after);
    sql_u64(sql, policy->floor_pct);
    sql_i64(sql, policy->has_canary);
    sql_i64(sql, policy->is_fixed_too);
    sql_text(sql, policy->by);
}

enum cas_err store_schedule_choose(const struct store_schedule *schedule,
                                   const struct inventory *inventory,
                                   const char *site,
                                   int64_t mono_ms,
                                   size_t **ret_at,
                                   size_t *ret_n,
                                   struct cas_why *why)
{
    struct inventory_choice choice = {.targets = cas_slice_of(schedule->target),
                                      .selector = cas_slice_of(schedule->selector),
                                      .exclude = cas_slice_of(schedule->left_out)};
    if (cas_slice_is(choice.targets, "all"))
        choice.targets = (struct cas_slice){0};
    size_t n = 0, kept_n = 0;
    size_t *at = calloc(inventory_size(inventory) + 1, sizeof *at);
    if (at == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = inventory_choose(inventory, &choice, mono_ms, at, &n, why);
    if (err != CAS_OK) {
        free(at);
        return err;
    }
    for (size_t i = 0; i < n; i++) {
        const struct inventory_server *server = inventory_at(inventory, at[i]);
        if (site[0] == '\0' || strcmp(server->label[LABEL_SITE], site) == 0)
            at[kept_n++] = at[i];
    }
    *ret_at = at;
    *ret_n = kept_n;
    return CAS_OK;
}

enum cas_err
store_schedule_save(struct store *store, struct store_schedule *schedule, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err == CAS_OK && schedule->id == 0)
        err = next_id(store, &schedule->id, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_schedule_save);
    sql_u64(&sql, schedule->id);
    sql_text(&sql, schedule->name);
    sql_text(&sql, schedule->window);
    sql_text(&sql, schedule->target);
    sql_text(&sql, schedule->selector);
    sql_text(&sql, schedule->left_out);
    policy_bind(&sql, &schedule->policy);
    sql_i64(&sql, schedule->made_ms);
    sql_i64(&sql, schedule->is_paused);
    sql_i64(&sql, schedule->start_ms);
    sql_i64(&sql, schedule->end_ms);
    sql_text(&sql, schedule->site);
    sql_i64(&sql, schedule->policy.ram);
    sql_i64(&sql, schedule->policy.is_just_in_time);
    sql_i64(&sql, schedule->policy.min_age_ms);
    sql_i64(&sql, schedule->armed_ms);
    return sql_run(&sql, why);
}

enum cas_err store_schedule_remove(struct store *store, uint64_t id, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_schedule_remove);
    sql_u64(&sql, id);
    return sql_run(&sql, why);
}

static void schedule_read(struct sql *sql, struct store_schedule *schedule)
{
    *schedule = (struct store_schedule){.id = sql_get_u64(sql, 0)};
    sql_get_text(sql, 1, schedule->name, sizeof schedule->name);
    sql_get_text(sql, 2, schedule->window, sizeof schedule->window);
    sql_get_text(sql, 3, schedule->target, sizeof schedule->target);
    sql_get_text(sql, 4, schedule->selector, sizeof schedule->selector);
    sql_get_text(sql, 5, schedule->left_out, sizeof schedule->left_out);
    struct rollout_wish *policy = &schedule->policy;
    policy->verb = (enum verb)sql_get_i64(sql, 6);
    sql_get_text(sql, 7, policy->pool, sizeof policy->pool);
    policy->at_once = sql_get_u32(sql, 8);
    policy->gap_ms = sql_get_i64(sql, 9);
    policy->settle_ms = sql_get_i64(sql, 10);
    policy->drain_ms = sql_get_i64(sql, 11);
    policy->act_ms = sql_get_i64(sql, 12);
    policy->proof_ms = sql_get_i64(sql, 13);
    policy->healthy_n = sql_get_u32(sql, 14);
    policy->stop_after = sql_get_u32(sql, 15);
    policy->floor_pct = sql_get_u32(sql, 16);
    policy->has_canary = sql_get_i64(sql, 17) != 0;
    policy->is_fixed_too = sql_get_i64(sql, 18) != 0;
    sql_get_text(sql, 19, policy->by, sizeof policy->by);
    schedule->made_ms = sql_get_i64(sql, 20);
    schedule->is_paused = sql_get_i64(sql, 21) != 0;
    schedule->start_ms = sql_get_i64(sql, 22);
    schedule->end_ms = sql_get_i64(sql, 23);
    sql_get_text(sql, 24, schedule->site, sizeof schedule->site);
    policy->ram = (enum plan_ram)sql_get_i64(sql, 25);
    policy->is_just_in_time = sql_get_i64(sql, 26) != 0;
    policy->min_age_ms = sql_get_i64(sql, 27);
    schedule->armed_ms = sql_get_i64(sql, 28);
}

enum cas_err store_schedule_find(struct store *store,
                                 const char *name,
                                 struct store_schedule *ret_schedule,
                                 struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_find);
    sql_text(&sql, name);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    if (!has)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "%s: no such schedule; casfleet schedule list shows them",
                        name);
    schedule_read(&sql, ret_schedule);
    sql_end(&sql);
    return CAS_OK;
}

enum cas_err store_schedules_read(struct store *store,
                                  size_t cap,
                                  struct store_schedule *ret_schedule,
                                  size_t *ret_n,
                                  struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_list);
    size_t n = 0;
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && n < cap) {
        schedule_read(&sql, &ret_schedule[n++]);
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    if (err == CAS_OK)
        *ret_n = n;
    return err;
}

static enum cas_err
one(struct sql *sql, struct store_schedule *ret_schedule, bool *ret_has, struct cas_why *why)
{
    bool has = false;
    enum cas_err err = sql_row(sql, &has, why);
    if (err != CAS_OK)
        return err;
    if (has)
        schedule_read(sql, ret_schedule);
    sql_end(sql);
    *ret_has = has;
    return CAS_OK;
}

enum cas_err store_schedule_first(struct store *store,
                                  struct store_schedule *ret_schedule,
                                  bool *ret_has,
                                  struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_first);
    return one(&sql, ret_schedule, ret_has, why);
}

enum cas_err store_schedule_furthest(struct store *store,
                                     struct store_schedule *ret_schedule,
                                     bool *ret_has,
                                     struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_furthest);
    return one(&sql, ret_schedule, ret_has, why);
}

static void set_opening(struct store_schedule *schedule,
                        const struct window_opening *opening,
                        const struct window_site *site)
{
    memset(schedule->site, 0, sizeof schedule->site);
    schedule->start_ms = opening->time.start_ms;
    schedule->end_ms = opening->time.end_ms;
    if (site != NULL)
        memcpy(schedule->site, site->name, sizeof schedule->site);
}

enum cas_err store_schedule_arm(struct store *store,
                                struct store_schedule *schedule,
                                const struct window_cursor *after,
                                struct cas_why *why)
{
    static const struct window_opening never = {.site = 0};
    struct window_rule rule;
    struct window_site site[WINDOW_SITES];
    struct window_cursor cursor = *after;
    struct store_schedule armed = *schedule;
    size_t site_n = 0;
    armed.armed_ms = after->ms;
    enum cas_err err = window_parse(cas_slice_of(schedule->window), &rule, why);
    bool is_by_site = err == CAS_OK && window_is_by_site(&rule);
    if (is_by_site)
        err = store_sites_read(store, WINDOW_SITES, site, &site_n, why);
    for (int i = 0; i < SCHEDULE_BEGUN && err == CAS_OK; i++) {
        struct window_opening opening = never;
        size_t n = 0;
        uint64_t seq = 0;
        err = window_openings(&rule, site, site_n, &cursor, 1, &opening, &n, why);
        if (err != CAS_OK)
            return err;
        set_opening(&armed, &opening, is_by_site && n > 0 ? &site[opening.site] : NULL);
        if (n > 0)
            err = store_schedule_run_seq(store, armed.id, armed.start_ms, armed.site, &seq, why);
        if (err == CAS_OK && seq == 0) {
            *schedule = armed;
            return CAS_OK;
        }
        cursor = (struct window_cursor){.ms = opening.time.start_ms,
                                        .site = is_by_site ? site[opening.site].name : NULL};
    }
    return err != CAS_OK ? err
                         : cas_fail(why,
                                    CAS_ERR_TOO_MANY,
                                    "%s: its next %d windows have begun, by a clock that was ahead",
                                    schedule->name,
                                    SCHEDULE_BEGUN);
}

enum cas_err store_schedule_run_add(struct store *store,
                                    const struct store_schedule_run *run,
                                    struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql old = sql_use(store, SQL_schedule_run_expire);
    sql_i64(&old, run->start_ms - keep_ms);
    err = sql_run(&old, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_schedule_run_add);
    sql_u64(&sql, run->schedule_id);
    sql_i64(&sql, run->start_ms);
    sql_i64(&sql, run->end_ms);
    sql_text(&sql, run->name);
    sql_u64(&sql, run->seq);
    sql_text(&sql, run->words);
    sql_text(&sql, run->site);
    return sql_run(&sql, why);
}

enum cas_err store_schedule_run_seq(struct store *store,
                                    uint64_t schedule_id,
                                    int64_t start_ms,
                                    const char *site,
                                    uint64_t *ret_seq,
                                    struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_run_seq);
    sql_u64(&sql, schedule_id);
    sql_i64(&sql, start_ms);
    sql_text(&sql, site);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    *ret_seq = has ? sql_get_u64(&sql, 0) : 0;
    sql_end(&sql);
    return CAS_OK;
}

enum cas_err store_schedule_runs_read(struct store *store,
                                      uint64_t schedule_id,
                                      int64_t now_ms,
                                      size_t cap,
                                      struct store_schedule_run *ret_run,
                                      size_t *ret_n,
                                      struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_schedule_run_read);
    sql_u64(&sql, schedule_id);
    sql_i64(&sql, now_ms);
    sql_u64(&sql, cap);
    size_t n = 0;
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && n < cap) {
        struct store_schedule_run *run = &ret_run[n++];
        *run = (struct store_schedule_run){.schedule_id = sql_get_u64(&sql, 0)};
        run->start_ms = sql_get_i64(&sql, 1);
        run->end_ms = sql_get_i64(&sql, 2);
        sql_get_text(&sql, 3, run->name, sizeof run->name);
        run->seq = sql_get_u64(&sql, 4);
        sql_get_text(&sql, 5, run->words, sizeof run->words);
        sql_get_text(&sql, 6, run->site, sizeof run->site);
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    if (err == CAS_OK)
        *ret_n = n;
    return err;
}

enum cas_err store_blackouts_replace(struct store *store,
                                     const char *calendar,
                                     const struct window_blackout *blackout,
                                     size_t n,
                                     struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql old = sql_use(store, SQL_blackout_remove);
    sql_text(&old, calendar);
    err = sql_run(&old, why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        struct sql sql = sql_use(store, SQL_blackout_add);
        sql_text(&sql, calendar);
        sql_u64(&sql, i);
        sql_i64(&sql, blackout[i].is_day);
        sql_i64(&sql, blackout[i].from_day);
        sql_i64(&sql, blackout[i].to_day);
        sql_i64(&sql, blackout[i].start_ms);
        sql_i64(&sql, blackout[i].end_ms);
        sql_text(&sql, blackout[i].name);
        err = sql_run(&sql, why);
    }
    return err;
}

/* 20261225, of UTC. A day begins at most 14 h before and ends at most 12 h after the same day
 * there: grace_days more. */
static enum cas_err day_of(int64_t wall_ms, int grace_days, int64_t *ret_day, struct cas_why *why)
{
    char utc[40];
    struct cas_text text = CAS_TEXT(utc);
    cas_text_utc(&text, wall_ms + grace_days * (int64_t)DAY_MS);
    int64_t year = 0, month = 0, day = 0;
    enum cas_err err = cas_parse_i64((struct cas_slice){utc, 4}, 0, 9999, &year, why);
    if (err == CAS_OK)
        err = cas_parse_i64((struct cas_slice){utc + 5, 2}, 1, 12, &month, why);
    if (err == CAS_OK)
        err = cas_parse_i64((struct cas_slice){utc + 8, 2}, 1, 31, &day, why);
    if (err == CAS_OK)
        *ret_day = year * 10000 + month * 100 + day;
    return err;
}

static void blackout_read(struct sql *sql, struct store_blackout *item)
{
    *item = (struct store_blackout){.calendar = ""};
    sql_get_text(sql, 0, item->calendar, sizeof item->calendar);
    item->dates.is_day = sql_get_i64(sql, 1) != 0;
    item->dates.from_day = (int32_t)sql_get_i64(sql, 2);
    item->dates.to_day = (int32_t)sql_get_i64(sql, 3);
    item->dates.start_ms = sql_get_i64(sql, 4);
    item->dates.end_ms = sql_get_i64(sql, 5);
    sql_get_text(sql, 6, item->dates.name, sizeof item->dates.name);
}

enum cas_err store_blackouts_read(struct store *store,
                                  int64_t from_ms,
                                  int64_t to_ms,
                                  size_t cap,
                                  struct store_blackout *ret_blackout,
                                  size_t *ret_n,
                                  struct cas_why *why)
{
    int64_t from_day = 0, to_day = 0;
    enum cas_err err = day_of(from_ms, -2, &from_day, why);
    if (err == CAS_OK)
        err = day_of(to_ms, 2, &to_day, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_blackout_read);
    sql_i64(&sql, from_day);
    sql_i64(&sql, to_day);
    sql_i64(&sql, from_ms);
    sql_i64(&sql, to_ms);
    sql_u64(&sql, cap + 1);
    size_t n = 0;
    bool has = false;
    err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && n < cap) {
        blackout_read(&sql, &ret_blackout[n++]);
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    if (err == CAS_OK && has)
        err = cas_fail(why,
                       CAS_ERR_TOO_MANY,
                       "more than %zu blackout dates at that time: casfleet schedule "
                       "import-blackouts puts fewer in place of a calendar's",
                       cap);
    if (err == CAS_OK)
        *ret_n = n;
    return err;
}

enum cas_err store_blackouts_count(struct store *store,
                                   const char *but,
                                   int64_t from_ms,
                                   size_t *ret_n,
                                   struct cas_why *why)
{
    int64_t from_day = 0;
    enum cas_err err = day_of(from_ms, -2, &from_day, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_blackout_count);
    sql_text(&sql, but);
    sql_i64(&sql, from_day);
    sql_i64(&sql, from_ms);
    bool has = false;
    err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    *ret_n = has ? (size_t)sql_get_u64(&sql, 0) : 0;
    sql_end(&sql);
    return CAS_OK;
}

enum cas_err
store_freeze_save(struct store *store, const struct store_freeze *freeze, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_freeze_save);
    sql_i64(&sql, freeze->is_on);
    sql_text(&sql, freeze->reason);
    sql_text(&sql, freeze->by);
    sql_i64(&sql, freeze->at_ms);
    return sql_run(&sql, why);
}

enum cas_err
store_freeze_load(struct store *store, struct store_freeze *ret_freeze, struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_freeze_load);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    if (err != CAS_OK)
        return err;
    *ret_freeze = (struct store_freeze){.is_on = false};
    if (!has)
        return CAS_OK;
    ret_freeze->is_on = sql_get_i64(&sql, 0) != 0;
    sql_get_text(&sql, 1, ret_freeze->reason, sizeof ret_freeze->reason);
    sql_get_text(&sql, 2, ret_freeze->by, sizeof ret_freeze->by);
    ret_freeze->at_ms = sql_get_i64(&sql, 3);
    sql_end(&sql);
    return CAS_OK;
}
