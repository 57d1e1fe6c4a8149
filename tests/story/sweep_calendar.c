#include <stdio.h>
#include <string.h>

#include "controller/core/window.h"
#include "tests/story/sweep_play.h"

static const int64_t warm_ms = INT64_C(1795478400000);

/* In November, all without summer time. */
static const struct {
    const char *argument;
    int64_t off_min;
} zones[] = {{"zone=Europe/London", 0},
             {"zone=UTC", 0},
             {"zone=Africa/Abidjan", 0},
             {"zone=Atlantic/Azores", -60}};

/* Operators' words on schedules, and the stage told of them: what a schedule may do is asked by
 * stage_calendar.c. */

enum cas_err sweep_calendar_warm(void)
{
    static const char file[] =
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261124T010000Z\r\n"
        "RRULE:FREQ=DAILY;COUNT=2\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    struct window_blackout blackout;
    size_t n = 0;
    enum cas_err err = window_blackouts_read(cas_slice_of(file),
                                             warm_ms,
                                             warm_ms + INT64_C(86400000),
                                             1,
                                             &blackout,
                                             &n,
                                             NULL);
    for (size_t i = 0; i < CAS_COUNT(zones) && err == CAS_OK; i++) {
        char window[64];
        struct window_rule rule;
        struct window_time time;
        (void)snprintf(window,
                       sizeof window,
                       "daily 01:00-02:00 %s",
                       strchr(zones[i].argument, '=') + 1);
        err = window_parse(cas_slice_of(window), &rule, NULL);
        if (err == CAS_OK)
            err = window_next(&rule, warm_ms, 1, &time, &n, NULL);
    }
    return err;
}

/* Once: a zone set anew would move the windows that were told. */
static bool set_zones(struct play *p)
{
    static const char *const sites[] = {"id=LON", "id=NYC"};
    for (size_t i = 0; i < CAS_COUNT(sites) && !p->has_zones; i++) {
        size_t zone = (size_t)sweep_below(p, CAS_COUNT(zones));
        if (story_ask(p->s, "site.zone", sites[i], zones[zone].argument, NULL) != 0)
            return false;
        p->zone_min[i] = zones[zone].off_min;
    }
    p->has_zones = true;
    return true;
}

/* A window that opens in the next two minutes by the controller's clock, where a site is not an
 * hour behind. */
static void schedule(struct play *p)
{
    static const int64_t lengths_min[] = {2, 5, 30, 90};
    static const char *const sites[] = {"LON", "NYC"};
    char id[40], name[32], window[64];
    bool is_by_site = sweep_below(p, 2) == 0;
    int64_t ahead_min = 1 + (int64_t)sweep_below(p, 2), length_min = lengths_min[sweep_below(p, 4)];
    const char *floor = sweep_below(p, 2) == 0 ? "floor=30" : "floor=50";
    const char *at_once = sweep_below(p, 2) == 0 ? "at-once=1" : "at-once=2";
    if (p->schedule_n == SWEEP_SCHEDULES || story_controller_is_dead(p->s) ||
        (is_by_site && !set_zones(p)))
        return;
    int64_t minute = (story_now(p->s) + p->controller_off_ms) / 60000 + ahead_min;
    int64_t start_min = minute % 1440, end_min = (start_min + length_min) % 1440;
    (void)snprintf(name, sizeof name, "n%zu", p->schedule_n++);
    (void)snprintf(id, sizeof id, "id=%s", name);
    (void)snprintf(window,
                   sizeof window,
                   "window=daily %02d:%02d-%02d:%02d%s",
                   (int)(start_min / 60),
                   (int)(start_min % 60),
                   (int)(end_min / 60),
                   (int)(end_min % 60),
                   is_by_site ? " site" : "");
    story_say(p->s, "an operator adds schedule %s %s %s %s", name, window, floor, at_once);
    for (size_t i = 0; i < (is_by_site ? CAS_COUNT(sites) : 1); i++)
        story_told_window(p->s,
                          &(struct story_window){
                              .name = name,
                              .site = is_by_site ? sites[i] : "",
                              .start_min = (start_min - (is_by_site ? p->zone_min[i] : 0)) % 1440,
                              .length_ms = length_min * 60000});
    (void)story_ask(p->s,
                    "schedule.add",
                    id,
                    window,
                    "target=all",
                    floor,
                    at_once,
                    "gap=5s",
                    "settle=5s",
                    "act=10s",
                    "proof=60s",
                    "healthy=2",
                    "stop-after=2",
                    "no-drain",
                    NULL);
}

/* A blackout by instants, as a calendar file is asked with. */
static void blacken(struct play *p)
{
    static const char eol[] = "\xe2\x80\xa8";
    char id[32], ics[400], stamp[2][32];
    int64_t from_ms = story_now(p->s) / 1000 * 1000 + (int64_t)sweep_below(p, 60) * 1000;
    const int64_t at_ms[] = {from_ms, from_ms + 1000 + (int64_t)sweep_below(p, 60) * 1000};
    bool is_off = p->controller_off_ms > 60000 || p->controller_off_ms < -60000;
    if (is_off || p->black_n == SWEEP_CALENDARS)
        return; /* its calendar would be of other years */
    for (size_t i = 0; i < CAS_COUNT(at_ms); i++) {
        char utc[40];
        struct cas_text text = CAS_TEXT(utc), to = CAS_TEXT(stamp[i]);
        cas_text_clear(&text);
        cas_text_clear(&to);
        cas_text_utc(&text, at_ms[i]);
        for (size_t k = 0; k < text.used && utc[k] != '.' && utc[k] != 'Z'; k++) {
            if (utc[k] != '-' && utc[k] != ':')
                cas_text_add(&to, "%c", utc[k]);
        }
    }
    (void)snprintf(id, sizeof id, "id=b%zu.ics", p->black_n++);
    (void)snprintf(ics,
                   sizeof ics,
                   "ics=BEGIN:VCALENDAR%sBEGIN:VEVENT%sUID:1%sDTSTART:%sZ%sDTEND:%sZ%sEND:VEVENT%s"
                   "END:VCALENDAR%s",
                   eol,
                   eol,
                   eol,
                   stamp[0],
                   eol,
                   stamp[1],
                   eol,
                   eol,
                   eol);
    story_say(p->s, "an operator blackens %s to %s", stamp[0], stamp[1]);
    if (story_ask(p->s, "schedule.import-blackouts", id, ics, NULL) == 0)
        story_told_black(p->s, at_ms[0], at_ms[1]);
}

static void stop_schedule(struct play *p, const char *verb, size_t which)
{
    char name[32], id[40];
    bool is_resume = strcmp(verb, "schedule.resume") == 0;
    (void)snprintf(name, sizeof name, "n%zu", which);
    (void)snprintf(id, sizeof id, "id=%s", name);
    if (is_resume && !p->is_removed[which])
        story_told_off(p->s, name, false);
    story_say(p->s, "an operator asks: %s %s", verb, name);
    if (story_ask(p->s, verb, id, NULL) != 0 || is_resume)
        return;
    story_told_off(p->s, name, true);
    p->is_removed[which] = p->is_removed[which] || strcmp(verb, "schedule.remove") == 0;
    stage_mark_fault(p->s, FAULT_schedule_off);
}

bool sweep_freeze(struct play *p, bool is_on)
{
    if (!is_on)
        story_told_frozen(p->s, false);
    story_say(p->s, "an operator asks: freeze %s", is_on ? "on" : "off");
    int code = story_ask(p->s, is_on ? "freeze.on" : "freeze.off", NULL);
    if (is_on && code == 0) {
        story_told_frozen(p->s, true);
        stage_mark_fault(p->s, FAULT_freeze);
    }
    return code == 0 || code == 6; /* it is so already */
}

static void speak(struct play *p)
{
    static const char *const verbs[] = {"schedule.pause",
                                        "schedule.resume",
                                        "schedule.resume",
                                        "schedule.remove"};
    uint64_t what = sweep_below(p, 9);
    size_t which = (size_t)sweep_below(p, p->schedule_n == 0 ? 1 : p->schedule_n);
    if (what < 3)
        (void)sweep_freeze(p, what == 0);
    else if (what < 5)
        blacken(p);
    else if (p->schedule_n > 0)
        stop_schedule(p, verbs[what - 5], which);
}

void sweep_calendar(struct play *p, enum script_kind kind)
{
    if (kind == SCRIPT_SCHEDULE)
        schedule(p);
    else
        speak(p);
}
