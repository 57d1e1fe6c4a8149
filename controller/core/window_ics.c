#include <stdlib.h>
#include <string.h>

#include "controller/core/window.h"
#include "controller/core/window_inside.h"

/* ---- reading ---- */

struct blackout_list {
    struct window_blackout *item;
    size_t n, cap;
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
    if (list->is_day) {
        item->from_day = window_day_of(window_utc((int64_t)span->start));
        item->to_day = window_day_of(window_utc((int64_t)span->end));
    } else {
        item->start_ms = (int64_t)span->start * 1000;
        item->end_ms = (int64_t)span->end * 1000;
    }
    size_t size = strlen(list->name);
    if (size >= sizeof item->name)
        size = sizeof item->name - 1;
    memcpy(item->name, list->name, size);
}

/* What comes every second would be counted for years before it is too many. */
static enum cas_err check_recurrence(icalcomponent *event, const char *name, struct cas_why *why)
{
    for (icalproperty *rule = icalcomponent_get_first_property(event, ICAL_RRULE_PROPERTY);
         rule != NULL;
         rule = icalcomponent_get_next_property(event, ICAL_RRULE_PROPERTY)) {
        struct icalrecurrencetype recur = icalproperty_get_rrule(rule);
        bool is_by_day =
            recur.freq == ICAL_DAILY_RECURRENCE || recur.freq == ICAL_WEEKLY_RECURRENCE ||
            recur.freq == ICAL_MONTHLY_RECURRENCE || recur.freq == ICAL_YEARLY_RECURRENCE;
        bool has_clock = recur.by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                         recur.by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                         recur.by_second[0] != ICAL_RECURRENCE_ARRAY_MAX;
        if (!is_by_day || has_clock)
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "event \"%s\": it recurs more often than daily",
                            name);
    }
    return CAS_OK;
}

static enum cas_err read_event(icalcomponent *event,
                               int64_t from_ms,
                               int64_t to_ms,
                               struct blackout_list *list,
                               struct cas_why *why)
{
    const char *name = icalcomponent_get_summary(event);
    list->name = name != NULL && cas_is_clean_text(cas_slice_of(name)) ? name : "(without a name)";
    if (icalcomponent_get_status(event) == ICAL_STATUS_CANCELLED)
        return CAS_OK;
    struct icaltimetype start = icalcomponent_get_dtstart(event);
    if (icaltime_is_null_time(start) || !icaltime_is_valid_time(start))
        return cas_fail(why, CAS_ERR_FORMAT, "event \"%s\": no DTSTART", list->name);
    enum cas_err err = check_recurrence(event, list->name, why);
    if (err != CAS_OK)
        return err;
    list->is_day = start.is_date != 0;
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

static enum cas_err read_calendar(icalcomponent *calendar,
                                  int64_t from_ms,
                                  int64_t to_ms,
                                  struct blackout_list *list,
                                  struct cas_why *why)
{
    if (calendar == NULL || icalcomponent_isa(calendar) != ICAL_VCALENDAR_COMPONENT)
        return cas_fail(why, CAS_ERR_FORMAT, "no calendar: it begins with BEGIN:VCALENDAR");
    enum cas_err err = CAS_OK;
    for (icalcomponent *event = icalcomponent_get_first_component(calendar, ICAL_VEVENT_COMPONENT);
         event != NULL && err == CAS_OK;
         event = icalcomponent_get_next_component(calendar, ICAL_VEVENT_COMPONENT))
        err = read_event(event, from_ms, to_ms, list, why);
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
    struct blackout_list list = {.item = ret_blackout, .cap = cap};
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
