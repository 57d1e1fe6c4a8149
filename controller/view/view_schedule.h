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

/* ScheduleList: items[{name, state, window, recur, zone, next_ms, next_local, verb, servers, by,
 * last, last_ms}], frozen{reason,by,at_ms} or null. */
CAS_CHECK enum cas_err
view_schedule_list(const struct view_scene *scene, char **ret_document, struct cas_why *why);
/* Schedule: the same of one, its policy, windows (as of a preview), runs[{start_ms, end_ms,
 * rollout, words}]. */
CAS_CHECK enum cas_err view_schedule(const struct view_scene *scene,
                                     const struct store_schedule *schedule,
                                     const char *words,
                                     char **ret_document,
                                     struct cas_why *why);
/* SchedulePreview: name, window, recur, zone, items[{start_ms, end_ms, local, utc, until, note}].
 * name "": of a window nobody has stored. */
CAS_CHECK enum cas_err view_schedule_preview(const struct view_scene *scene,
                                             const char *name,
                                             const struct window_rule *rule,
                                             int64_t after_ms,
                                             size_t most,
                                             char **ret_document,
                                             struct cas_why *why);
/* Calendar: ics, the planned and done work of one schedule; NULL: of all, and of what
 * was run by hand as far as the book remembers. */
CAS_CHECK enum cas_err view_calendar(const struct view_scene *scene,
                                     const struct store_schedule *schedule,
                                     char **ret_document,
                                     struct cas_why *why);

#endif
