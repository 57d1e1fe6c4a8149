/* window.h - when does a schedule's window open next, and do blackout dates forbid it?
 *
 * Pure: no clock; instants, texts and files come in as values. The only home of libical, for
 * recurrence arithmetic, time zones (libical reads them from the system's tzdata at first use) and
 * calendar files. Clock changes: a local time in the gap means the first valid instant after it, an
 * ambiguous one means its first instant, once. Limit: libical knows no clock changes from 2038 on.
 * Used by ask, view and the controller's loop. */
#ifndef CONTROLLER_CORE_WINDOW_H
#define CONTROLLER_CORE_WINDOW_H

#include "proto/base/cas.h"

enum {
    WINDOW_TEXT_BYTES = 256,
    WINDOW_RECUR_BYTES = 160,
    WINDOW_ZONE_BYTES = 64,
    WINDOW_NEXT_MOST = 1000, /* occurrences asked for at once */
    WINDOW_BLACKOUTS = 4096, /* dates and spans of one file, recurrences counted one by one */
    WINDOW_ICS_BYTES = 48000,
    WINDOW_ICS_DEPTH = 8,        /* components inside components */
    WINDOW_ICS_EVENTS = 1000,    /* of one file */
    WINDOW_ICS_DAYS = 250000,    /* its recurrences are followed over, all together */
    WINDOW_ICS_EXDATES = 200,    /* dates that its recurrences leave out, all together */
    WINDOW_ICS_OBSERVANCES = 64, /* summer and winter times of the time zones it brings along */
    WINDOW_INTERVAL_MOST = 1000, /* of a recurrence */
    WINDOW_SELDOM_YEARS = 40,    /* what does not come in so long is taken never to come */
    WINDOW_LAST_YEAR = 2199,     /* nothing is looked for after it */
    WINDOW_NAME_BYTES = 96,
    WINDOW_SITES = 128,     /* that have a time zone */
    WINDOW_USUAL_MIN = 240, /* length of a window whose end is not said */
};

struct window_rule {
    char text[WINDOW_TEXT_BYTES];   /* as typed */
    char recur[WINDOW_RECUR_BYTES]; /* the value of an RRULE, of days */
    char zone[WINDOW_ZONE_BYTES]; /* as Europe/London; "UTC" when none was named; "" each site's */
    int32_t start_min;            /* local time of day, 0..1439 */
    int32_t length_min;           /* on the local clock, 1..1439 */
    int32_t from_day;             /* 20261003: what intervals and counts begin at; 0 none */
};
/* Forms:  [DAYS] [from 2026-10-03] [01:00[-05:00]] [ZONE | site]
 *   DAYS: daily, weekdays, weekends, Sat, Mon,Wed, Mon-Fri, patch Tuesday (the second of a month),
 *   Sat after patch Tuesday; or an RRULE of whole days: FREQ=MONTHLY;BYDAY=1SU.
 * No time of day: 01:00-05:00. No end: 4 hours. No zone: UTC. site: at this time in
 * each site, by the site's own zone. The reason names the column (from 1),
 * what was found there and what is taken.
 * CAS_ERR_FORMAT, CAS_ERR_RANGE, CAS_ERR_MISSING, CAS_ERR_TOO_LONG, CAS_ERR_NOT_FOUND (the zone) */
CAS_CHECK enum cas_err
window_parse(struct cas_slice text, struct window_rule *ret_rule, struct cas_why *why);

/* A time of day, as 1:00 or 23:59, in minutes; false: it is none. */
bool window_clock(struct cas_slice text, int32_t *ret_min);

enum window_shift {
    WINDOW_AS_SAID,
    WINDOW_AFTER_GAP,    /* its local start does not exist that day: first valid instant after */
    WINDOW_FIRST_OF_TWO, /* its local start comes twice that day: the first */
    WINDOW_LEAPT_OVER,   /* the whole window does not exist that day: start and end are one */
};
const char *window_shift_words(enum window_shift shift); /* "" as said */
struct window_time {
    int64_t start_ms, end_ms;       /* UTC */
    int32_t start_off_s, end_off_s; /* local minus UTC */
    int32_t day;                    /* 20260329: local date of its start, as the rule gives it */
    enum window_shift shift;
};
/* The first most windows that begin after after_ms, in order; fewer when the rule ends, or comes no
 * more within WINDOW_SELDOM_YEARS. *ret_n may be 0. Cost: one step of the recurrence for each day
 * it gave since the first day it says, or, when it says none, since shortly before; and, when it is
 * to come never or seldom, 0.1 s.
 * CAS_ERR_RANGE  most is not 1..WINDOW_NEXT_MOST
 * CAS_ERR_NOT_FOUND  the system has lost the zone since */
CAS_CHECK enum cas_err window_next(const struct window_rule *rule,
                                   int64_t after_ms,
                                   size_t most,
                                   struct window_time *ret_time,
                                   size_t *ret_n,
                                   struct cas_why *why);

/* ---- by the time of each site ---- */
struct window_site {
    char name[CAS_NAME_BYTES];
    char zone[WINDOW_ZONE_BYTES];
};
struct window_opening {
    struct window_time time;
    size_t site; /* index; 0 of a rule that names its zone */
};
bool window_is_by_site(const struct window_rule *rule);
/* The same rule by the clocks of one site. A rule that names its zone stays as it is. */
struct window_rule window_at_site(const struct window_rule *rule, const char *zone);
/* CAS_ERR_NOT_FOUND the system does not know it; names as Europe/London, UTC. */
CAS_CHECK enum cas_err
window_zone_check(struct cas_slice text, char ret_zone[WINDOW_ZONE_BYTES], struct cas_why *why);
/* Local minus UTC, in seconds, at an instant. CAS_ERR_NOT_FOUND the zone. */
CAS_CHECK enum cas_err
window_offset(const char *zone, int64_t wall_ms, int32_t *ret_off_s, struct cas_why *why);
/* How far openings are gone through: those after ms are to come, and at ms itself those of sites
 * whose name comes after site, or is it. site NULL: none of those. */
struct window_cursor {
    int64_t ms;
    const char *site;
    bool has_site; /* the one of site itself is still to come */
};
/* The first most openings of all sites in order of time, at one instant in order of name. A rule
 * that names its zone opens once, not in each site; then n may be 0. site[n], in order of name.
 * Cost: window_next for each site. Errors as window_next; CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err window_openings(const struct window_rule *rule,
                                       const struct window_site *site,
                                       size_t n,
                                       const struct window_cursor *after,
                                       size_t most,
                                       struct window_opening *ret_opening,
                                       size_t *ret_n,
                                       struct cas_why *why);

/* "Sun 29 Mar 2026 03:00 +02:00"; off_s 0: "... 01:00 UTC". */
void window_text_time(struct cas_text *text, int64_t wall_ms, int32_t off_s);

/* ---- when nothing may begin ---- */
struct window_blackout {
    bool is_day;              /* whole days, in the zone of whoever asks; else a span of instants */
    int32_t from_day, to_day; /* 20261225, 20261227: the last one is not in it */
    int64_t start_ms, end_ms;
    char name[WINDOW_NAME_BYTES];
};
/* Events of a calendar file between two instants, recurrences as many as they are; cancelled ones
 * are none. An event without an end takes its day, or its instant. What libical would follow for
 * minutes (recurrences of seconds, or such as never come, of events or of the time zones in the
 * file) is refused before it is asked.
 * CAS_ERR_FORMAT no calendar, an event without a start, a recurrence that is not taken;
 * CAS_ERR_RANGE its start or interval, or it never comes; CAS_ERR_TOO_LONG, CAS_ERR_TOO_MANY, NOMEM
 */
CAS_CHECK enum cas_err window_blackouts_read(struct cas_slice file,
                                             int64_t from_ms,
                                             int64_t to_ms,
                                             size_t cap,
                                             struct window_blackout *ret_blackout,
                                             size_t *ret_n,
                                             struct cas_why *why);
/* Does the window touch it, days taken in the rule's zone? */
CAS_CHECK enum cas_err window_is_black(const struct window_rule *rule,
                                       const struct window_time *time,
                                       const struct window_blackout *blackout,
                                       bool *ret_is_black,
                                       struct cas_why *why);

/* ---- work as a calendar file ---- */
enum window_event_state {
    WINDOW_EVENT_PLANNED,
    WINDOW_EVENT_DONE,
    WINDOW_EVENT_CANCELLED
};
struct window_event {
    char uid[WINDOW_NAME_BYTES]; /* the same for the same work, whenever it is written */
    int64_t start_ms, end_ms;
    enum window_event_state state;
    char summary[WINDOW_NAME_BYTES * 2];
    char words[CAS_WHY_BYTES];
};
/* *ret_text: caller frees. CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err
window_calendar_write(const struct window_event *event, size_t n, int64_t made_ms, char **ret_text);

#endif
