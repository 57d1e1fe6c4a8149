#include <stdio.h>
#include <string.h>

#include "tests/story/stage.h"

/* Is what a schedule begins what operators' words allow? From those words alone: the rule is not
 * worked out here as the controller does it, only held against a time of day. A database that has
 * gone back has lost words: then only the window and the site are asked for. */

enum {
    LATE_MS = 5 * 60 * 1000,
    TICK_LATE_MS = 2000, /* from the window's start to the turn that takes it, and back */
};
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

static struct stage_window *window_find(struct story *s, const char *name, const char *site)
{
    for (size_t i = 0; i < s->calendar.window_n; i++) {
        struct stage_window *window = &s->calendar.window[i];
        if (strcmp(window->name, name) == 0 && strcmp(window->site, site) == 0)
            return window;
    }
    return NULL;
}

void story_told_window(struct story *s, const struct story_window *told)
{
    CAS_ASSERT(s->calendar.window_n < STAGE_WINDOWS);
    struct stage_window *window = &s->calendar.window[s->calendar.window_n++];
    *window = (struct stage_window){.start_min = told->start_min, .length_ms = told->length_ms};
    (void)snprintf(window->name, sizeof window->name, "%s", told->name);
    (void)snprintf(window->site, sizeof window->site, "%s", told->site);
}

void story_told_off(struct story *s, const char *name, bool is_off)
{
    for (size_t i = 0; i < s->calendar.window_n; i++) {
        if (strcmp(s->calendar.window[i].name, name) == 0)
            s->calendar.window[i].is_off = is_off;
    }
}

void story_told_frozen(struct story *s, bool is_frozen)
{
    s->calendar.is_frozen = is_frozen;
}

void story_told_black(struct story *s, int64_t from_ms, int64_t to_ms)
{
    CAS_ASSERT(s->calendar.black_n < STAGE_BLACK);
    s->calendar.black[s->calendar.black_n++] =
        (struct stage_black){.from_ms = from_ms, .to_ms = to_ms};
}

/* Once a window and site, over any crash and any clock. */
static void once_check(struct story *s, const struct stage_window *window, int64_t start_ms)
{
    struct stage_calendar *calendar = &s->calendar;
    size_t at = (size_t)(window - calendar->window);
    for (size_t i = 0; i < calendar->begun_n; i++) {
        if (calendar->begun[i].window == at && calendar->begun[i].start_ms == start_ms)
            stage_break(s, "S1 a window of %s %s begins twice", window->name, window->site);
    }
    CAS_ASSERT(calendar->begun_n < STAGE_BEGUN);
    calendar->begun[calendar->begun_n++] = (struct stage_begun){.window = at, .start_ms = start_ms};
}

static void words_check(struct story *s, const struct stage_window *window, int64_t start_ms)
{
    int64_t end_ms = start_ms + window->length_ms;
    if (window->is_off)
        stage_break(s, "S5 %s is paused or removed, and begins", window->name);
    for (size_t i = 0; i < s->calendar.black_n; i++) {
        const struct stage_black *black = &s->calendar.black[i];
        if (black->from_ms < end_ms && start_ms < black->to_ms)
            stage_break(s, "S4 %s begins in a blackout", window->name);
    }
    once_check(s, window, start_ms);
}

static void site_check(struct story *s, const struct rollout *run, const char *site)
{
    for (size_t i = 0; i < run->step_n; i++) {
        for (size_t k = 0; k < s->server_n; k++) {
            if (s->server[k]->server_id == run->step[i].server_id &&
                strcmp(s->server[k]->site, site) != 0)
                stage_break(s, "S3 %s is not of %s, whose window it is", s->server[k]->name, site);
        }
    }
}

/* "schedule NAME" or "schedule NAME, SITE": the plan says when it began and until when it may. */
static void scheduled_check(struct story *s, const struct rollout *run)
{
    char name[STORY_NAME_BYTES] = "";
    const char *from = run->why + strlen("schedule "), *parted = strstr(from, ", ");
    const char *site = parted == NULL ? "" : parted + 2;
    (void)snprintf(name,
                   sizeof name,
                   "%.*s",
                   parted == NULL ? (int)strlen(from) : (int)(parted - from),
                   from);
    const struct stage_window *window = window_find(s, name, site);
    if (window == NULL) {
        stage_break(s, "S2 %s %s begins, and nobody has added it", name, site);
        return;
    }
    int64_t start_ms = run->body.until_ms - window->length_ms;
    int64_t after_ms = run->body.start_ms - start_ms;
    if (start_ms % day_ms != window->start_min * INT64_C(60000) || after_ms < 0 ||
        after_ms > LATE_MS + TICK_LATE_MS)
        stage_break(s, "S2 %s %s begins outside its window", name, site);
    if (site[0] != '\0')
        site_check(s, run, site);
    if (!s->has_restore)
        words_check(s, window, start_ms);
    stage_mark_fault(s, site[0] != '\0' ? FAULT_schedule_site : FAULT_schedule);
}

void stage_calendar_noted(struct story *s, const struct rollout_action *note)
{
    if (note->note != NOTE_STARTED || s->calendar.window_n == 0)
        return;
    const struct rollout *run = story_rollout(s, note->seq);
    if (s->calendar.is_frozen && !s->has_restore)
        stage_break(s, "S4 r-%04llu begins, and the farm is frozen", (unsigned long long)note->seq);
    if (strncmp(run->why, "schedule ", strlen("schedule ")) == 0)
        scheduled_check(s, run);
}
