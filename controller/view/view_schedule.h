/* view_schedule.h - schedules, their next windows and what became of the last ones, as documents.
 *
 * A second door of view, for what belongs to the calendar. Used by ask (and by http). */
#ifndef CONTROLLER_VIEW_VIEW_SCHEDULE_H
#define CONTROLLER_VIEW_VIEW_SCHEDULE_H

#include "controller/store/store_schedule.h"
#include "controller/view/view.h"

enum {
    VIEW_WINDOWS = 100,   /* of one preview */
    VIEW_RUNS = 20,       /* last ones of one schedule */
    VIEW_CALENDAR = 2000, /* events of an export */
    VIEW_CALENDAR_EACH = 60,
    VIEW_AHEAD_DAYS = 400, /* blackout dates are looked at so far */
};

/* Sites that have a time zone, in order of name. */
struct view_sites {
    struct window_site site[WINDOW_SITES];
    size_t n;
};
/* The sites of these servers, as far as they have a zone. */
CAS_CHECK enum cas_err view_sites_of(const struct view_scene *scene,
                                     const size_t *at,
                                     size_t n,
                                     struct view_sites *ret_sites,
                                     struct cas_why *why);
/* CAS_ERR_GUARD  a server has no site, or its site no zone: a window by site time never opens for
 * it. The reason names it and the command. */
CAS_CHECK enum cas_err
view_sites_check(const struct view_scene *scene, const size_t *at, size_t n, struct cas_why *why);
/* SiteList: items[{name, zone or null, local, offset_s, servers}], next[]. */
CAS_CHECK enum cas_err
view_site_list(const struct view_scene *scene, char **ret_document, struct cas_why *why);

/* ScheduleList: items[{name, state, window, recur, zone, by_site, next_ms, next_local, next_site,
 * verb, servers, by, last, last_ms}], frozen{reason,by,at_ms} or null. zone null, by_site true: by
 * the time of each site. */
CAS_CHECK enum cas_err
view_schedule_list(const struct view_scene *scene, char **ret_document, struct cas_why *why);
/* Schedule: the same of one, its policy, windows (as of a preview), runs[{start_ms, end_ms, site,
 * rollout, words}], trouble: why it does not open for some of its servers, or null. */
CAS_CHECK enum cas_err view_schedule(const struct view_scene *scene,
                                     const struct store_schedule *schedule,
                                     const char *words,
                                     char **ret_document,
                                     struct cas_why *why);
struct view_preview {
    const struct store_schedule *schedule; /* NULL: a window nobody has stored */
    struct window_rule rule;
    struct view_sites sites; /* where it opens, by the time of each site */
    int64_t after_ms;
    uint32_t most;
};
/* SchedulePreview: name, window, recur, zone, by_site, items[{start_ms, end_ms, site, zone, local,
 * utc, until, note, off}]. off: nothing begins in it, and note says why; a freeze may yet end. */
CAS_CHECK enum cas_err view_schedule_preview(const struct view_scene *scene,
                                             const struct view_preview *preview,
                                             char **ret_document,
                                             struct cas_why *why);
/* Calendar: ics, the planned and done work of one schedule; NULL: of all, and of what
 * was run by hand as far as the book remembers. */
CAS_CHECK enum cas_err view_calendar(const struct view_scene *scene,
                                     const struct store_schedule *schedule,
                                     char **ret_document,
                                     struct cas_why *why);

#endif
