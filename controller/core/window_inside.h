/* window_inside.h - what the files of window share; within window only. */
#ifndef CONTROLLER_CORE_WINDOW_INSIDE_H
#define CONTROLLER_CORE_WINDOW_INSIDE_H

#include <libical/ical.h>

#include "controller/core/window.h"

/* NULL when the system does not know it. */
icaltimezone *window_zone(const char *name);
/* A local date and minutes since its midnight (past it, too) as an instant in seconds. */
int64_t window_instant(icaltimezone *zone,
                       int32_t day,
                       int32_t minute,
                       int32_t *ret_off_s,
                       enum window_shift *ret_shift);
int32_t window_day_of(struct icaltimetype time); /* 20260329 */
struct icaltimetype window_day_time(int32_t day);
struct icaltimetype window_utc(int64_t second);
/* How many windows may be asked for at once. CAS_ERR_RANGE. */
CAS_CHECK enum cas_err window_check_most(size_t most, struct cas_why *why);
/* May libical be asked for it, once it has an end or COUNT? It goes on to the year 20000 for a
 * month or year in which a rule has a day: so those are tried one by one, for WINDOW_SELDOM_YEARS.
 */
bool window_recur_comes(const struct icalrecurrencetype *recur, struct icaltimetype begin);
/* Ends it, when it does not end sooner by itself. */
void window_recur_end(struct icalrecurrencetype *recur, struct icaltimetype end);

#endif
