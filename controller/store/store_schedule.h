/* store_schedule.h - which schedules, blackout dates and freeze must survive the controller?
 *
 * A second door of store, for what belongs to the calendar. Reads and writes as store.h says:
 * nothing is true before store_commit. Used by ask, view and the controller's loop. */
#ifndef CONTROLLER_STORE_STORE_SCHEDULE_H
#define CONTROLLER_STORE_STORE_SCHEDULE_H

#include "controller/core/window.h"
#include "controller/store/store.h"

enum {
    SCHEDULE_MOST = 256,
    SCHEDULE_TARGET_BYTES = 1024,
    SCHEDULE_WORDS_BYTES = 320,
    SCHEDULE_BLACKOUTS = WINDOW_BLACKOUTS, /* dates to come, of all calendars */
    SCHEDULE_BEGUN = 400,                  /* windows that have begun by a clock that was ahead */
};

struct store_schedule {
    uint64_t id; /* 0: not stored yet */
    char name[CAS_NAME_BYTES];
    char window[WINDOW_TEXT_BYTES]; /* as typed; window_parse took it */
    char target[SCHEDULE_TARGET_BYTES], selector[SCHEDULE_TARGET_BYTES],
        left_out[SCHEDULE_TARGET_BYTES];
    struct rollout_wish policy; /* without times; by: who made it */
    int64_t made_ms;
    bool is_paused;
    int64_t start_ms, end_ms;  /* its next window; 0: there is none any more */
    char site[CAS_NAME_BYTES]; /* where that one opens; "" everywhere */
    int64_t armed_ms;          /* all windows up to here are dealt with: that one is the next */
};
/* The servers it means now: those of a site, or with "" all of them. *ret_at: caller frees. As
 * inventory_choose; reads nothing of the store. */
CAS_CHECK enum cas_err store_schedule_choose(const struct store_schedule *schedule,
                                             const struct inventory *inventory,
                                             const char *site,
                                             int64_t mono_ms,
                                             size_t **ret_at,
                                             size_t *ret_n,
                                             struct cas_why *why);
/* A new one gets its id. CAS_ERR_EXISTS: the name. */
CAS_CHECK enum cas_err
store_schedule_save(struct store *store, struct store_schedule *schedule, struct cas_why *why);
CAS_CHECK enum cas_err store_schedule_remove(struct store *store, uint64_t id, struct cas_why *why);
CAS_CHECK enum cas_err store_schedule_find(struct store *store,
                                           const char *name,
                                           struct store_schedule *ret_schedule,
                                           struct cas_why *why);
/* All, by name, at most cap. */
CAS_CHECK enum cas_err store_schedules_read(struct store *store,
                                            size_t cap,
                                            struct store_schedule *ret_schedule,
                                            size_t *ret_n,
                                            struct cas_why *why);
/* The one that is not paused and begins first. *ret_has false: there is none. */
CAS_CHECK enum cas_err store_schedule_first(struct store *store,
                                            struct store_schedule *ret_schedule,
                                            bool *ret_has,
                                            struct cas_why *why);

/* The one that is not paused and is armed furthest on, with or without a window. */
CAS_CHECK enum cas_err store_schedule_furthest(struct store *store,
                                               struct store_schedule *ret_schedule,
                                               bool *ret_has,
                                               struct cas_why *why);
/* Its next window: the first one after, by its rule and the zones of sites, that has not begun yet,
 * however often the clock comes by. Sets start_ms, end_ms, site, armed_ms; saves nothing. Errors as
 * window_parse and window_openings; CAS_ERR_TOO_MANY: SCHEDULE_BEGUN of them have begun. */
CAS_CHECK enum cas_err store_schedule_arm(struct store *store,
                                          struct store_schedule *schedule,
                                          const struct window_cursor *after,
                                          struct cas_why *why);

struct store_schedule_run { /* what became of one window */
    uint64_t schedule_id;
    char name[CAS_NAME_BYTES];
    char site[CAS_NAME_BYTES]; /* where it opened; "" everywhere */
    int64_t start_ms, end_ms;  /* of the window */
    uint64_t seq;              /* the rollout it made; 0: skipped */
    char words[SCHEDULE_WORDS_BYTES];
};
/* Kept 400 days. A second one for the same window and site replaces the first. */
CAS_CHECK enum cas_err store_schedule_run_add(struct store *store,
                                              const struct store_schedule_run *run,
                                              struct cas_why *why);
/* *ret_seq: the rollout that this window of it made; 0: none, or it never came. */
CAS_CHECK enum cas_err store_schedule_run_seq(struct store *store,
                                              uint64_t schedule_id,
                                              int64_t start_ms,
                                              const char *site,
                                              uint64_t *ret_seq,
                                              struct cas_why *why);
/* Newest first; schedule_id 0: of all, removed ones too. One skipped after now_ms, by a clock that
 * was ahead, is yet to come and not among them. */
CAS_CHECK enum cas_err store_schedule_runs_read(struct store *store,
                                                uint64_t schedule_id,
                                                int64_t now_ms,
                                                size_t cap,
                                                struct store_schedule_run *ret_run,
                                                size_t *ret_n,
                                                struct cas_why *why);

/* The time zones of sites, all in order of name, at most cap. A site never spoken of has none. */
CAS_CHECK enum cas_err store_sites_read(struct store *store,
                                        size_t cap,
                                        struct window_site *ret_site,
                                        size_t *ret_n,
                                        struct cas_why *why);
CAS_CHECK enum cas_err
store_site_save(struct store *store, const struct window_site *site, struct cas_why *why);

/* One calendar's dates, all of them anew; n 0: it is gone. */
CAS_CHECK enum cas_err store_blackouts_replace(struct store *store,
                                               const char *calendar,
                                               const struct window_blackout *blackout,
                                               size_t n,
                                               struct cas_why *why);
struct store_blackout {
    char calendar[CAS_NAME_BYTES];
    struct window_blackout dates;
};
/* All that may touch the time between (whole days: two days of grace), in order of time.
 * CAS_ERR_TOO_MANY: more than cap; none is left out in silence. */
CAS_CHECK enum cas_err store_blackouts_read(struct store *store,
                                            int64_t from_ms,
                                            int64_t to_ms,
                                            size_t cap,
                                            struct store_blackout *ret_blackout,
                                            size_t *ret_n,
                                            struct cas_why *why);

/* How many that end after from_ms are in all calendars but this one? */
CAS_CHECK enum cas_err store_blackouts_count(struct store *store,
                                             const char *but,
                                             int64_t from_ms,
                                             size_t *ret_n,
                                             struct cas_why *why);

struct store_freeze {
    bool is_on;
    char reason[REASON_BYTES];
    char by[CAS_NAME_BYTES];
    int64_t at_ms;
};
CAS_CHECK enum cas_err
store_freeze_save(struct store *store, const struct store_freeze *freeze, struct cas_why *why);
/* Off when it was never said. */
CAS_CHECK enum cas_err
store_freeze_load(struct store *store, struct store_freeze *ret_freeze, struct cas_why *why);

#endif
