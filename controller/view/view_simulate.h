/* view_simulate.h - what a plan would have put on the rest a week ago, as a document.
 *
 * A fourth door of view. Used by ask (and by http). */
#ifndef CONTROLLER_VIEW_VIEW_SIMULATE_H
#define CONTROLLER_VIEW_VIEW_SIMULATE_H

#include "controller/core/simulate.h"
#include "controller/view/view.h"

struct view_simulation {
    uint64_t seq;
    const char *schedule; /* whose next run it is; NULL: a plan */
    enum verb verb;
    int64_t start_ms; /* when it would begin */
    int64_t back_ms;  /* whole weeks from there to the record */
    int64_t since_ms; /* the oldest record kept; 0 none */
    int64_t look_ms;  /* the week's peak is looked for so often */
    bool is_p95;      /* a wave's length is the 95th percentile of turns, else the plan's limits */
    uint32_t wave_n;  /* waves played */
    uint32_t cut_n;   /* waves that would begin after the window's end, and are not played */
    struct simulate_pace pace;     /* on the record's clock */
    struct simulate_record record; /* of the time played; servers by position in the inventory */
    const struct simulate_reading *const
        *peak;                      /* of the last 7 days and the time played, by group */
    const struct simulate_row *row; /* [row_n] */
    size_t row_n;
    const size_t *unknown; /* [server_n] moments without a record */
};
/* Simulation: id or schedule (the other null), verb, start_ms, end_ms, record_ms, weeks, since_ms,
 * look_ms, wave_ms, rest_ms, step_ms (between looks at a wave), pace (p95|limits), waves,
 * cut_waves, items[{wave, group, servers (folded), start_ms, out, left, known, requests, was,
 * server, at_ms, moments, unjudged, peak, peak_server, peak_ms, pct}] (null where not known), worst
 * (the item with the highest pct, or null), missing[{server, words}], words, next[].
 * *ret_attention: more than the peak, or a wave of which nothing is known. */
CAS_CHECK enum cas_err view_simulate(const struct view_scene *scene,
                                     const struct view_simulation *simulation,
                                     char **ret_document,
                                     bool *ret_attention);

#endif
