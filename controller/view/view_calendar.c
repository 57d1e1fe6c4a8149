#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"
#include "controller/view/view_schedule_room.h"

static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;

struct events {
    struct window_event *item; /* [VIEW_CALENDAR] */
    size_t n;
};

static struct window_event *event_new(struct events *events)
{
    return events->n < VIEW_CALENDAR ? &events->item[events->n++] : NULL;
}

static void planned_event(const struct view_known *known,
                          const struct window_opening *opening,
                          const struct view_against *against,
                          struct window_event *event)
{
    const struct store_schedule *schedule = known->schedule;
    const char *site = "";
    struct window_rule own = view_window_rule(&known->rule, &known->sites, opening, &site);
    struct cas_text note = CAS_TEXT(event->words);
    enum view_stands stands = view_window_note(&own, site, &opening->time, against, &note);
    bool is_off = schedule->is_paused || stands != STANDS_OPEN;
    event->state = is_off ? WINDOW_EVENT_CANCELLED : WINDOW_EVENT_PLANNED;
    event->start_ms = opening->time.start_ms;
    event->end_ms = opening->time.end_ms;
    (void)snprintf(event->uid,
                   sizeof event->uid,
                   "schedule-%llu-%d%s%s@casfleet",
                   (unsigned long long)schedule->id,
                   (int)opening->time.day,
                   site[0] != '\0' ? "-" : "",
                   site);
    (void)snprintf(event->summary,
                   sizeof event->summary,
                   "%s%s%s: %s",
                   schedule->name,
                   site[0] != '\0' ? " " : "",
                   site,
                   verb_name(schedule->policy.verb));
}

static enum cas_err planned_events(const struct view_scene *scene,
                                   const struct store_schedule *schedule,
                                   const struct view_against *against,
                                   struct events *events,
                                   struct cas_why *why)
{
    struct window_opening opening[VIEW_CALENDAR_EACH];
    struct view_known known;
    struct window_cursor now = {.ms = scene->now.wall_ms};
    size_t n = 0;
    enum cas_err err = view_known_of(scene, schedule, &known, why);
    if (err == CAS_OK)
        err = window_openings(&known.rule,
                              known.sites.site,
                              known.sites.n,
                              &now,
                              VIEW_CALENDAR_EACH,
                              opening,
                              &n,
                              why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        const struct window_time *time = &opening[i].time;
        bool is_far = time->start_ms > scene->now.wall_ms + VIEW_AHEAD_DAYS * day_ms;
        struct window_event *event =
            is_far || time->shift == WINDOW_LEAPT_OVER ? NULL : event_new(events);
        if (event != NULL)
            planned_event(&known, &opening[i], against, event);
    }
    return err;
}

/* What took place, as long as it took; or the window that was skipped, and why. */
static enum cas_err done_events(const struct view_scene *scene,
                                const struct store_schedule *schedule,
                                struct events *events,
                                struct cas_why *why)
{
    size_t n = 0;
    struct store_schedule_run *run = malloc(VIEW_CALENDAR / 2 * sizeof *run);
    if (run == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = store_schedule_runs_read(scene->store,
                                                schedule == NULL ? 0 : schedule->id,
                                                scene->now.wall_ms,
                                                VIEW_CALENDAR / 2,
                                                run,
                                                &n,
                                                why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        struct window_event *event = event_new(events);
        if (event == NULL)
            break;
        const struct rollout *rollout =
            run[i].seq > 0 ? rollout_find(scene->book, run[i].seq) : NULL;
        event->state = run[i].seq > 0 ? WINDOW_EVENT_DONE : WINDOW_EVENT_CANCELLED;
        event->start_ms =
            rollout != NULL && rollout->begun_ms > 0 ? rollout->begun_ms : run[i].start_ms;
        event->end_ms =
            rollout != NULL && rollout->ended_ms > 0 ? rollout->ended_ms : run[i].end_ms;
        if (event->end_ms < event->start_ms)
            event->end_ms = event->start_ms;
        (void)snprintf(event->uid,
                       sizeof event->uid,
                       "window-%llu-%lld%s%s@casfleet",
                       (unsigned long long)run[i].schedule_id,
                       (long long)run[i].start_ms,
                       run[i].site[0] != '\0' ? "-" : "",
                       run[i].site);
        const char *state = rollout != NULL  ? rollout_state_words(rollout->state)
                            : run[i].seq > 0 ? "started"
                                             : "skipped";
        (void)snprintf(event->summary,
                       sizeof event->summary,
                       "%s%s%s: %s",
                       run[i].name,
                       run[i].site[0] != '\0' ? " " : "",
                       run[i].site,
                       state);
        (void)snprintf(event->words, sizeof event->words, "%s", run[i].words);
    }
    free(run);
    return err;
}

/* Run by hand, or to be. */
static void hand_event(const struct rollout *rollout, int64_t now_ms, struct window_event *event)
{
    bool is_waiting = rollout->state == ROLLOUT_SCHEDULED;
    bool has_begun = rollout->begun_ms > 0;
    event->start_ms = has_begun ? rollout->begun_ms : rollout->body.start_ms;
    event->end_ms = rollout->ended_ms > 0      ? rollout->ended_ms
                    : is_waiting               ? rollout->body.until_ms
                    : now_ms > event->start_ms ? now_ms
                                               : event->start_ms;
    event->state = is_waiting  ? WINDOW_EVENT_PLANNED
                   : has_begun ? WINDOW_EVENT_DONE
                               : WINDOW_EVENT_CANCELLED;
    if (event->end_ms < event->start_ms)
        event->end_ms = event->start_ms;
    char id[24];
    view_rollout_id(rollout->seq, id);
    (void)snprintf(event->uid, sizeof event->uid, "%s@casfleet", id);
    (void)snprintf(event->summary,
                   sizeof event->summary,
                   "%s %s: %s",
                   id,
                   rollout->plan_text,
                   rollout_state_words(rollout->state));
    (void)snprintf(event->words, sizeof event->words, "by %s: %s", rollout->by, rollout->why);
}

static void hand_events(const struct view_scene *scene, struct events *events)
{
    static const char by_schedule[] = "schedule "; /* as the loop gives its reason */
    for (size_t i = 0; i < rollout_book_size(scene->book); i++) {
        const struct rollout *rollout = rollout_at(scene->book, i);
        if (strncmp(rollout->why, by_schedule, sizeof by_schedule - 1) == 0)
            continue;
        struct window_event *event = event_new(events);
        if (event != NULL)
            hand_event(rollout, scene->now.wall_ms, event);
    }
}

static enum cas_err fill_events(const struct view_scene *scene,
                                const struct store_schedule *only,
                                struct events *events,
                                struct cas_why *why)
{
    struct store_schedule *schedule = malloc(SCHEDULE_MOST * sizeof *schedule);
    size_t n = 0;
    struct view_against against = {.blackout = NULL};
    if (schedule == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = store_schedules_read(scene->store, SCHEDULE_MOST, schedule, &n, why);
    if (err == CAS_OK)
        err = view_against_read(scene,
                                scene->now.wall_ms,
                                scene->now.wall_ms + (VIEW_AHEAD_DAYS + 1) * day_ms,
                                &against,
                                why);
    if (err == CAS_OK)
        err = done_events(scene, only, events, why);
    if (err == CAS_OK && only == NULL)
        hand_events(scene, events);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        against.schedule_id = schedule[i].id;
        if (only == NULL || only->id == schedule[i].id)
            err = planned_events(scene, &schedule[i], &against, events, why);
    }
    free(against.blackout);
    free(schedule);
    return err;
}

enum cas_err view_calendar(const struct view_scene *scene,
                           const struct store_schedule *schedule,
                           char **ret_document,
                           struct cas_why *why)
{
    struct events events = {.item = calloc(VIEW_CALENDAR, sizeof *events.item)};
    char *ics = NULL;
    if (events.item == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = fill_events(scene, schedule, &events, why);
    if (err == CAS_OK)
        err = window_calendar_write(events.item, events.n, scene->now.wall_ms, &ics);
    if (err == CAS_OK) {
        json_t *document = view_begin(scene, "Calendar");
        view_set_text(document, "ics", ics);
        view_set_count(document, "events", events.n);
        json_object_set_new(document, "items", json_array());
        err = view_finish(document, ret_document);
    }
    free(ics);
    free(events.item);
    return err;
}
