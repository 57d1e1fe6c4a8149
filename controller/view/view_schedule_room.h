/* view_schedule_room.h - what documents of schedules and their calendar share; within view only. */
#ifndef CONTROLLER_VIEW_VIEW_SCHEDULE_ROOM_H
#define CONTROLLER_VIEW_VIEW_SCHEDULE_ROOM_H

#include "controller/view/view_schedule.h"

/* A schedule, its rule, and the sites it opens in: those of its servers that have a zone. */
struct view_known {
    const struct store_schedule *schedule;
    struct window_rule rule;
    struct view_sites sites;
    struct cas_why trouble; /* "": none */
};
CAS_CHECK enum cas_err view_known_of(const struct view_scene *scene,
                                     const struct store_schedule *schedule,
                                     struct view_known *known,
                                     struct cas_why *why);
/* Where an opening is: the rule by its clocks, and its name; "" of a rule that names its zone. */
struct window_rule view_window_rule(const struct window_rule *rule,
                                    const struct view_sites *sites,
                                    const struct window_opening *opening,
                                    const char **ret_site);

/* What may stand against a window, read once a document. */
struct view_against {
    struct store_blackout *blackout; /* [n] */
    size_t n;
    struct store_freeze freeze;
    struct store *store;
    uint64_t schedule_id; /* whose windows they are; 0: of none that is stored */
};
/* Between two instants. ret->blackout: caller frees. */
CAS_CHECK enum cas_err view_against_read(const struct view_scene *scene,
                                         int64_t from_ms,
                                         int64_t to_ms,
                                         struct view_against *ret,
                                         struct cas_why *why);

/* What becomes of a window, by what is said until now. */
enum view_stands {
    STANDS_OPEN,
    STANDS_WAITING, /* for the freeze to end */
    STANDS_OFF      /* nothing begins in it, whatever is said until then */
};
/* And why it is not as one would think; "" nothing. */
enum view_stands view_window_note(const struct window_rule *rule,
                                  const char *site,
                                  const struct window_time *time,
                                  const struct view_against *against,
                                  struct cas_text *text);

#endif
