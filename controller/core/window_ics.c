#include <stdlib.h>
#include <string.h>

#include "controller/core/window.h"
#include "controller/core/window_inside.h"

enum {
    FIRST_YEAR = 1900,          /* in which an event may begin */
    FIRST_YEAR_OF_ZONES = 1600, /* Outlook's begin in 1601 */
    DAY_S = 24 * 60 * 60,
};

/* ---- reading ---- */

struct blackout_list {
    struct window_blackout *item;
    size_t n, cap;
    int64_t first, last; /* seconds: a longer event is cut there */
    bool is_full;
    bool is_day;
    const char *name;
};

/* libical's own reader is not asked what it does with a file of components in components. */
static enum cas_err check_depth(struct cas_slice file, struct cas_why *why)
{
    int depth = 0;
    size_t line = 1;
    for (size_t at = 0; at < file.size; at++) {
        bool is_first = at == 0 || file.data[at - 1] == '\n';
        size_t left = file.size - at;
        line += at > 0 && is_first ? 1 : 0;
        if (is_first && left >= 6 && memcmp(file.data + at, "BEGIN:", 6) == 0)
            depth++;
        if (is_first && left >= 4 && memcmp(file.data + at, "END:", 4) == 0)
            depth--;
        if (depth > WINDOW_ICS_DEPTH || depth < 0)
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "line %zu: %s",
                            line,
                            depth < 0 ? "END without BEGIN"
                                      : "more than 8 components in each other");
    }
    return depth == 0 ? CAS_OK : cas_fail(why, CAS_ERR_FORMAT, "line %zu: END is missing", line);
}

static void on_occurrence(icalcomponent *event, struct icaltime_span *span, void *context)
{
    (void)event;
    struct blackout_list *list = context;
    if (list->n == list->cap) {
        list->is_full = true;
        return;
    }
    struct window_blackout *item = &list->item[list->n++];
    *item = (struct window_blackout){.is_day = list->is_day};
    int64_t start = (int64_t)span->start, end = (int64_t)span->end;
    start = start < list->first ? list->first : start > list->last ? list->last : start;
    end = end < start ? start : end > list->last ? list->last : end;
    if (list->is_day) {
        item->from_day = window_day_of(window_utc(start));
        item->to_day = window_day_of(window_utc(end));
    } else {
        item->start_ms = start * 1000;
        item->end_ms = end * 1000;
    }
    size_t size = strlen(list->name);
    if (size >= sizeof item->name)
        size = sizeof item->name - 1;
    memcpy(item->name, list->name, size);
}

/* What of the file's limits is used up. */
struct budget {
    size_t event_n, observance_n, exdate_n;
    int64_t day_n;
};

/* Followed by libical only if that ends soon: what comes every second, or never, would keep it busy
 * for minutes. what: "event" or "time zone". */
static enum cas_err check_rule(const struct icalrecurrencetype *recur,
                               struct icaltimetype begin,
                               const char *what,
                               const char *name,
                               struct cas_why *why)
{
    bool is_by_day =
        recur->freq == ICAL_DAILY_RECURRENCE || recur->freq == ICAL_WEEKLY_RECURRENCE ||
        recur->freq == ICAL_MONTHLY_RECURRENCE || recur->freq == ICAL_YEARLY_RECURRENCE;
    bool has_clock = recur->by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                     recur->by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                     recur->by_second[0] != ICAL_RECURRENCE_ARRAY_MAX;
    if (!is_by_day || has_clock)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s \"%s\": it recurs more often than daily",
                        what,
                        name);
    if (recur->rscale != NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "%s \"%s\": RSCALE is not taken", what, name);
    if (recur->interval < 1 || recur->interval > WINDOW_INTERVAL_MOST)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "%s \"%s\": INTERVAL is %d, 1 to %d",
                        what,
                        name,
                        recur->interval,
                        WINDOW_INTERVAL_MOST);
    if (!window_recur_comes(recur, begin))
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "%s \"%s\": its recurrence does not come in %d years",
                        what,
                        name,
                        WINDOW_SELDOM_YEARS);
    return CAS_OK;
}

static int64_t day_number(struct icaltimetype time)
{
    time.is_date = 1;
    return (int64_t)icaltime_as_timet_with_zone(time, icaltimezone_get_utc_timezone()) / DAY_S;
}

/* An event's own time. Asked for before its properties are gone through: that is one walk at once,
 * kept in the component. */
struct event_time {
    struct icaltimetype start;
    int64_t day_n; /* so long, begun days */
};

static struct event_time time_of(icalcomponent *event)
{
    struct event_time time = {.start = icalcomponent_get_dtstart(event)};
    struct icaltimetype end = icalcomponent_get_dtend(event);
    if (!icaltime_is_null_time(time.start) && !icaltime_is_null_time(end))
        time.day_n = day_number(end) - day_number(time.start) + 1;
    if (time.day_n < 0)
        time.day_n = 0;
    return time;
}

/* The day from which libical follows a recurrence: one whose occurrence may reach into the time
 * asked for; one with COUNT from its start. */
static int64_t
first_day(const struct event_time *time, const struct icalrecurrencetype *recur, int64_t from)
{
    int64_t start = day_number(time->start);
    int64_t first = from - time->day_n;
    return recur->count > 0 || first < start ? start : first;
}

/* One recurrence of an event: followed from where libical begins to count to where the file is no
 * longer asked for. */
static enum cas_err bound_rule(icalproperty *property,
                               const struct event_time *time,
                               int64_t from_ms,
                               int64_t to_ms,
                               struct budget *budget,
                               const char *name,
                               struct cas_why *why)
{
    struct icalrecurrencetype recur = icalproperty_get_rrule(property);
    enum cas_err err = check_rule(&recur, time->start, "event", name, why);
    if (err != CAS_OK)
        return err;
    struct icaltimetype end = window_utc(to_ms / 1000);
    int64_t first = first_day(time, &recur, from_ms / 1000 / DAY_S);
    int64_t last = day_number(end);
    bool is_thinned = recur.by_month[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                      recur.by_month_day[0] != ICAL_RECURRENCE_ARRAY_MAX;
    bool is_by_day = recur.freq == ICAL_DAILY_RECURRENCE || recur.freq == ICAL_WEEKLY_RECURRENCE;
    budget->day_n += last > first ? last - first : 0;
    /* One with COUNT takes no other end: its next day may be far away. */
    if (recur.count > 0 && is_by_day && is_thinned)
        budget->day_n += WINDOW_SELDOM_YEARS * 366;
    if (budget->day_n > WINDOW_ICS_DAYS)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "event \"%s\": the recurrences go over more than %d days, one after the "
                        "other: import the calendar in parts",
                        name,
                        WINDOW_ICS_DAYS);
    if (recur.count == 0) {
        window_recur_end(&recur, end);
        icalproperty_set_rrule(property, recur);
    }
    return CAS_OK;
}

static enum cas_err check_recurrence(icalcomponent *event,
                                     const struct event_time *time,
                                     int64_t from_ms,
                                     int64_t to_ms,
                                     struct budget *budget,
                                     const char *name,
                                     struct cas_why *why)
{
    if (icalcomponent_get_first_property(event, ICAL_EXRULE_PROPERTY) != NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "event \"%s\": EXRULE is not taken", name);
    for (icalproperty *date = icalcomponent_get_first_property(event, ICAL_EXDATE_PROPERTY);
         date != NULL;
         date = icalcomponent_get_next_property(event, ICAL_EXDATE_PROPERTY))
        budget->exdate_n++;
    if (budget->exdate_n > WINDOW_ICS_EXDATES)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "event \"%s\": more than %d EXDATE: import the calendar in parts",
                        name,
                        WINDOW_ICS_EXDATES);
    enum cas_err err = CAS_OK;
    for (icalproperty *rule = icalcomponent_get_first_property(event, ICAL_RRULE_PROPERTY);
         rule != NULL && err == CAS_OK;
         rule = icalcomponent_get_next_property(event, ICAL_RRULE_PROPERTY))
        err = bound_rule(rule, time, from_ms, to_ms, budget, name, why);
    return err;
}

static enum cas_err check_start(struct icaltimetype start, const char *name, struct cas_why *why)
{
    if (icaltime_is_null_time(start) || !icaltime_is_valid_time(start))
        return cas_fail(why, CAS_ERR_FORMAT, "event \"%s\": no DTSTART", name);
    if (start.month < 1 || start.month > 12 || start.day < 1 ||
        start.day > icaltime_days_in_month(start.month, start.year))
        return cas_fail(why, CAS_ERR_FORMAT, "event \"%s\": DTSTART is no day", name);
    if (start.year < FIRST_YEAR || start.year > WINDOW_LAST_YEAR)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "event \"%s\": DTSTART is in the year %d, %d to %d",
                        name,
                        start.year,
                        FIRST_YEAR,
                        WINDOW_LAST_YEAR);
    return CAS_OK;
}

static enum cas_err read_event(icalcomponent *event,
                               int64_t from_ms,
                               int64_t to_ms,
                               struct blackout_list *list,
                               struct budget *budget,
                               struct cas_why *why)
{
    const char *name = icalcomponent_get_summary(event);
    list->name = name != NULL && cas_is_clean_text(cas_slice_of(name)) ? name : "(without a name)";
    if (++budget->event_n > WINDOW_ICS_EVENTS)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "event \"%s\": the calendar has more than %d: import it in parts",
                        list->name,
                        WINDOW_ICS_EVENTS);
    if (icalcomponent_get_status(event) == ICAL_STATUS_CANCELLED)
        return CAS_OK;
    struct event_time time = time_of(event);
    enum cas_err err = check_start(time.start, list->name, why);
    if (err == CAS_OK)
        err = check_recurrence(event, &time, from_ms, to_ms, budget, list->name, why);
    if (err != CAS_OK)
        return err;
    list->is_day = time.start.is_date != 0;
    icalcomponent_foreach_recurrence(event,
                                     window_utc(from_ms / 1000),
                                     window_utc(to_ms / 1000),
                                     on_occurrence,
                                     list);
    if (list->is_full)
        return cas_fail(
            why,
            CAS_ERR_TOO_MANY,
            "event \"%s\": more than %zu blackout dates, recurrences counted one by one",
            list->name,
            list->cap);
    return CAS_OK;
}

/* Summer and winter time of a zone in the file: libical follows them from their start, once. */
static enum cas_err
check_observance(icalcomponent *observance, struct budget *budget, struct cas_why *why)
{
    struct icaltimetype start = icalcomponent_get_dtstart(observance);
    int rule_n = icalcomponent_count_properties(observance, ICAL_RRULE_PROPERTY);
    budget->observance_n += 1 + (size_t)(rule_n > 1 ? rule_n - 1 : 0);
    if (budget->observance_n > WINDOW_ICS_OBSERVANCES)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "more than %d summer and winter times in the time zones of the file",
                        WINDOW_ICS_OBSERVANCES);
    if (start.year < FIRST_YEAR_OF_ZONES || start.year > WINDOW_LAST_YEAR)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "time zone: DTSTART is in the year %d, %d to %d",
                        start.year,
                        FIRST_YEAR_OF_ZONES,
                        WINDOW_LAST_YEAR);
    enum cas_err err = CAS_OK;
    for (icalproperty *rule = icalcomponent_get_first_property(observance, ICAL_RRULE_PROPERTY);
         rule != NULL && err == CAS_OK;
         rule = icalcomponent_get_next_property(observance, ICAL_RRULE_PROPERTY)) {
        struct icalrecurrencetype recur = icalproperty_get_rrule(rule);
        if (recur.freq != ICAL_YEARLY_RECURRENCE)
            err = cas_fail(why,
                           CAS_ERR_FORMAT,
                           "time zone: its summer and winter times come YEARLY, not otherwise");
        else
            err = check_rule(&recur, start, "time zone", "VTIMEZONE", why);
    }
    return err;
}

static enum cas_err check_zones(icalcomponent *calendar, struct budget *budget, struct cas_why *why)
{
    enum cas_err err = CAS_OK;
    for (icalcomponent *zone =
             icalcomponent_get_first_component(calendar, ICAL_VTIMEZONE_COMPONENT);
         zone != NULL && err == CAS_OK;
         zone = icalcomponent_get_next_component(calendar, ICAL_VTIMEZONE_COMPONENT)) {
        for (icalcomponent *part = icalcomponent_get_first_component(zone, ICAL_ANY_COMPONENT);
             part != NULL && err == CAS_OK;
             part = icalcomponent_get_next_component(zone, ICAL_ANY_COMPONENT))
            err = check_observance(part, budget, why);
    }
    return err;
}

static enum cas_err read_calendar(icalcomponent *calendar,
                                  int64_t from_ms,
                                  int64_t to_ms,
                                  struct blackout_list *list,
                                  struct cas_why *why)
{
    if (calendar == NULL || icalcomponent_isa(calendar) != ICAL_VCALENDAR_COMPONENT)
        return cas_fail(why, CAS_ERR_FORMAT, "no calendar: it begins with BEGIN:VCALENDAR");
    struct budget budget = {.event_n = 0};
    enum cas_err err = check_zones(calendar, &budget, why);
    for (icalcomponent *event = icalcomponent_get_first_component(calendar, ICAL_VEVENT_COMPONENT);
         event != NULL && err == CAS_OK;
         event = icalcomponent_get_next_component(calendar, ICAL_VEVENT_COMPONENT))
        err = read_event(event, from_ms, to_ms, list, &budget, why);
    return err;
}

enum cas_err window_blackouts_read(struct cas_slice file,
                                   int64_t from_ms,
                                   int64_t to_ms,
                                   size_t cap,
                                   struct window_blackout *ret_blackout,
                                   size_t *ret_n,
                                   struct cas_why *why)
{
    if (file.size > WINDOW_ICS_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "the calendar has %zu bytes, at most %d: import it in parts",
                        file.size,
                        WINDOW_ICS_BYTES);
    enum cas_err err = check_depth(file, why);
    if (err != CAS_OK)
        return err;
    char *text = calloc(1, file.size + 1);
    if (text == NULL)
        return CAS_ERR_NOMEM;
    if (file.size > 0)
        memcpy(text, file.data, file.size);
    const int64_t far = WINDOW_SELDOM_YEARS * INT64_C(366) * DAY_S;
    struct blackout_list list = {.item = ret_blackout,
                                 .cap = cap,
                                 .first = from_ms / 1000 - far,
                                 .last = to_ms / 1000 + far};
    icalerror_set_errors_are_fatal(0);
    icalcomponent *calendar = icalparser_parse_string(text);
    free(text);
    err = read_calendar(calendar, from_ms, to_ms, &list, why);
    if (calendar != NULL)
        icalcomponent_free(calendar);
    if (err == CAS_OK)
        *ret_n = list.n;
    return err;
}

enum cas_err window_is_black(const struct window_rule *rule,
                             const struct window_time *time,
                             const struct window_blackout *blackout,
                             bool *ret_is_black,
                             struct cas_why *why)
{
    int64_t start_ms = blackout->start_ms, end_ms = blackout->end_ms;
    if (blackout->is_day) {
        icaltimezone *zone = window_zone(rule->zone);
        int32_t off_s = 0;
        enum window_shift shift = WINDOW_AS_SAID;
        if (zone == NULL)
            return cas_fail(
                why,
                CAS_ERR_NOT_FOUND,
                "the time zone \"%s\" is not known to this system: is tzdata installed?",
                rule->zone);
        start_ms = 1000 * window_instant(zone, blackout->from_day, 0, &off_s, &shift);
        end_ms = 1000 * window_instant(zone, blackout->to_day, 0, &off_s, &shift);
    }
    *ret_is_black = time->start_ms < end_ms && start_ms < time->end_ms;
    /* An event that is an instant forbids the window it lies in. */
    if (start_ms == end_ms)
        *ret_is_black = time->start_ms <= start_ms && start_ms < time->end_ms;
    return CAS_OK;
}

/* ---- writing ---- */

static icalcomponent *event_of(const struct window_event *event, int64_t made_ms)
{
    icalcomponent *made = icalcomponent_new(ICAL_VEVENT_COMPONENT);
    if (made == NULL)
        return NULL;
    icalcomponent_set_uid(made, event->uid);
    icalcomponent_set_dtstamp(made, window_utc(made_ms / 1000));
    icalcomponent_set_dtstart(made, window_utc(event->start_ms / 1000));
    icalcomponent_set_dtend(made, window_utc(event->end_ms / 1000));
    icalcomponent_set_summary(made, event->summary);
    icalcomponent_set_description(made, event->words);
    enum icalproperty_status status = ICAL_STATUS_CONFIRMED;
    if (event->state == WINDOW_EVENT_PLANNED)
        status = ICAL_STATUS_TENTATIVE;
    else if (event->state == WINDOW_EVENT_CANCELLED)
        status = ICAL_STATUS_CANCELLED;
    icalcomponent_set_status(made, status);
    icalcomponent_add_property(made, icalproperty_new_transp(ICAL_TRANSP_TRANSPARENT));
    return made;
}

enum cas_err
window_calendar_write(const struct window_event *event, size_t n, int64_t made_ms, char **ret_text)
{
    icalcomponent *calendar =
        icalcomponent_vanew(ICAL_VCALENDAR_COMPONENT,
                            icalproperty_new_version("2.0"),
                            icalproperty_new_prodid("-//casfleet//casfleet//EN"),
                            NULL);
    if (calendar == NULL)
        return CAS_ERR_NOMEM;
    bool is_whole = true;
    for (size_t i = 0; i < n && is_whole; i++) {
        icalcomponent *made = event_of(&event[i], made_ms);
        is_whole = made != NULL;
        if (is_whole)
            icalcomponent_add_component(calendar, made);
    }
    char *shown = is_whole ? icalcomponent_as_ical_string_r(calendar) : NULL;
    icalcomponent_free(calendar);
    if (shown == NULL)
        return CAS_ERR_NOMEM;
    size_t size = strlen(shown);
    char *text = malloc(size + 1);
    if (text != NULL)
        memcpy(text, shown, size + 1);
    icalmemory_free_buffer(shown);
    if (text == NULL)
        return CAS_ERR_NOMEM;
    *ret_text = text;
    return CAS_OK;
}
