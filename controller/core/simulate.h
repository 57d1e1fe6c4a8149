/* simulate.h - what would a plan's waves have put on the servers that stay, a week ago?
 *
 * Pure: recorded readings and a timetable in, the worst moments out. While a server is out, what it
 * carried then is spread in equal parts over those of its group (label site) that stay and have a
 * record of that moment. Where a record is missing nothing is guessed: a server that stays without
 * one takes no part, as a silent one would; a moment at which an out server has none is not judged.
 * Used by view for `recycle simulate`. */
#ifndef CONTROLLER_CORE_SIMULATE_H
#define CONTROLLER_CORE_SIMULATE_H

#include "proto/base/cas.h"

struct simulate_server {
    uint32_t group; /* as simulate_groups numbers it */
    uint32_t wave;  /* 1 first; 0: the plan does not touch it */
};
struct simulate_reading {
    size_t server;
    int64_t at_ms;
    double requests; /* active requests of the pool */
};
struct simulate_record {
    const struct simulate_server *server; /* [server_n] */
    size_t server_n;
    const struct simulate_reading *reading; /* [reading_n], by server, then time */
    size_t reading_n;
    int64_t hold_ms; /* a reading counts until so long after it, 0 and more */
};
/* Wave 1 begins at start_ms of the record's clock and takes wave_ms; each rest takes rest_ms. A
 * wave is looked at when it begins, each step_ms from there and at its end; when step_ms is longer
 * than a wave, at its begin alone. */
struct simulate_pace {
    int64_t start_ms;
    int64_t wave_ms;
    int64_t rest_ms;
    int64_t step_ms;
};
/* One group in one wave. */
struct simulate_row {
    uint32_t wave;
    uint32_t group;
    size_t first; /* the group's first server */
    int64_t start_ms, end_ms;
    size_t out_n, left_n;        /* servers of the group in this wave, and not in it */
    size_t moment_n, unjudged_n; /* unjudged: an out server, or all that stay, without a record */
    bool is_known;               /* at least one moment was judged; else nothing below holds */
    size_t server;               /* who would have carried the most, and when */
    int64_t at_ms;
    double requests, was; /* with its part of what moved, and its own */
    size_t part_n;        /* servers that took a part then */
};
/* Equal names are one group; each NULL is one of its own. Groups are numbered from 0 in the order
 * of their names. CAS_ERR_NOMEM */
CAS_CHECK enum cas_err simulate_groups(const char *const *name, size_t n, uint32_t *ret_group);

/* How many moments of one wave are looked at. */
int64_t simulate_moments(const struct simulate_pace *pace);

/* By wave, then in the order of the groups' first servers. unknown: [server_n], moments of its
 * group's waves at which a server had no record.
 * Cost: servers x (waves + moments of one wave, for each group of it).
 * CAS_ERR_RANGE  a span is below 0, wave_ms or step_ms is 0, or readings are not in order or of no
 *                server
 * CAS_ERR_TOO_MANY  more than cap rows
 * CAS_ERR_NOMEM */
CAS_CHECK enum cas_err simulate_play(const struct simulate_record *record,
                                     const struct simulate_pace *pace,
                                     size_t cap,
                                     struct simulate_row *ret_row,
                                     size_t *ret_n,
                                     size_t *ret_unknown);

/* The reading with the most that one server of each group carried, by the number of the group
 * ([server_n]); NULL: none of them has any. */
void simulate_peaks(const struct simulate_record *record, const struct simulate_reading **ret_peak);

#endif
