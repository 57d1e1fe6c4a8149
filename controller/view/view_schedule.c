#include "controller/view/view_schedule_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

enum {
    WINDOWS_SHOWN = 3
};
static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000; /* no window is longer */
enum cas_err view_against_read(const struct view_scene *scene,
                               int64_t from_ms,
                               int64_t to_ms,
                               struct view_against *ret,
                               struct cas_why *why)
{
    struct view_against against = {.blackout =
                                       malloc(SCHEDULE_BLACKOUTS * sizeof *against.blackout),
                                   .store = scene->store};
    if (against.blackout == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = store_blackouts_read(scene->store,
                                            from_ms,
                                            to_ms,
                                            SCHEDULE_BLACKOUTS,
                                            against.blackout,
                                            &against.n,
                                            why);
    if (err == CAS_OK)
        err = store_freeze_load(scene->store, &against.freeze, why);
    if (err != CAS_OK) {
        free(against.blackout);
        return err;
    }
    *ret = against;
    return CAS_OK;
}

/* By a clock that was ahead then: it is not begun again. */
static bool is_begun(const struct view_against *against,
                     const char *site,
                     const struct window_time *time,
                     struct cas_text *text)
{
    uint64_t seq = 0;
    char id[24];
    if (against->schedule_id == 0 ||
        store_schedule_run_seq(against->store,
                               against->schedule_id,
                               time->start_ms,
                               site,
                               &seq,
                               NULL) != CAS_OK ||
        seq == 0)
        return false;
    view_rollout_id(seq, id);
    cas_text_add(text, "has begun already: %s", id);
    return true;
}

enum view_stands view_window_note(const struct window_rule *rule,
                                  const char *site,
                                  const struct window_time *time,
                                  const struct view_against *against,
                                  struct cas_text *text)
{
    enum view_stands stands = time->shift == WINDOW_LEAPT_OVER ? STANDS_OFF : STANDS_OPEN;
    if (is_begun(against, site, time, text))
        return STANDS_OFF;
    cas_text_add(text, "%s", window_shift_words(time->shift));
    for (size_t i = 0; i < against->n; i++) {
        const struct store_blackout *item = &against->blackout[i];
        bool is_black = false;
        if (window_is_black(rule, time, &item->dates, &is_black, NULL) == CAS_OK && is_black) {
            cas_text_add(text,
                         "%sskipped: blackout \"%s\" of %s",
                         text->used > 0 ? "; " : "",
                         item->dates.name,
                         item->calendar);
            return STANDS_OFF;
        }
    }
    if (against->freeze.is_on)
        cas_text_add(text, "%sskipped as long as the freeze is on", text->used > 0 ? "; " : "");
    return against->freeze.is_on && stands == STANDS_OPEN ? STANDS_WAITING : stands;
}

static void set_time_text(json_t *object, const char *key, int64_t wall_ms, int32_t off_s)
{
    char shown[64] = "";
    struct cas_text text = CAS_TEXT(shown);
    window_text_time(&text, wall_ms, off_s);
    view_set_text(object, key, shown);
}

static json_t *window_json(const struct window_rule *rule,
                           const char *site,
                           const struct window_time *time,
                           const struct view_against *against)
{
    json_t *item = json_object();
    char note[VIEW_TEXT_BYTES] = "";
    struct cas_text text = CAS_TEXT(note);
    enum view_stands stands = view_window_note(rule, site, time, against, &text);
    view_set_text(item, "site", site);
    view_set_text(item, "zone", rule->zone);
    view_set_time(item, "start_ms", time->start_ms);
    view_set_time(item, "end_ms", time->end_ms);
    set_time_text(item, "local", time->start_ms, time->start_off_s);
    set_time_text(item, "utc", time->start_ms, 0);
    set_time_text(item, "until", time->end_ms, time->end_off_s);
    json_object_set_new(item, "length_ms", json_integer(time->end_ms - time->start_ms));
    view_set_text(item, "note", note);
    json_object_set_new(item, "off", json_boolean(stands == STANDS_OFF));
    return item;
}

struct window_rule view_window_rule(const struct window_rule *rule,
                                    const struct view_sites *sites,
                                    const struct window_opening *opening,
                                    const char **ret_site)
{
    bool is_by_site = window_is_by_site(rule);
    *ret_site = is_by_site ? sites->site[opening->site].name : "";
    return window_at_site(rule, is_by_site ? sites->site[opening->site].zone : "");
}

static void set_rule(json_t *object, const struct window_rule *rule)
{
    view_set_text(object, "window", rule->text);
    view_set_text(object, "recur", rule->recur);
    view_set_text(object, "zone", rule->zone);
    json_object_set_new(object, "by_site", json_boolean(window_is_by_site(rule)));
}

static void set_freeze(json_t *object, const struct store_freeze *freeze)
{
    if (!freeze->is_on) {
        json_object_set_new(object, "frozen", json_null());
        return;
    }
    json_t *frozen = json_object();
    view_set_text(frozen, "reason", freeze->reason);
    view_set_text(frozen, "by", freeze->by);
    view_set_time(frozen, "at_ms", freeze->at_ms);
    json_object_set_new(object, "frozen", frozen);
}

static void set_servers(json_t *object, const struct store_schedule *schedule)
{
    char shown[3 * SCHEDULE_TARGET_BYTES + 16] = "";
    struct cas_text text = CAS_TEXT(shown);
    cas_text_add(&text, "%s", schedule->target);
    if (schedule->selector[0] != '\0')
        cas_text_add(&text, "%s-l %s", text.used > 0 ? " " : "", schedule->selector);
    if (schedule->left_out[0] != '\0')
        cas_text_add(&text, "%s-x %s", text.used > 0 ? " " : "", schedule->left_out);
    view_set_text(object, "servers", text.used > 0 ? shown : "all");
}

static void set_run(json_t *object, const struct store_schedule_run *run)
{
    char id[24] = "";
    if (run->seq > 0)
        view_rollout_id(run->seq, id);
    view_set_time(object, "start_ms", run->start_ms);
    view_set_time(object, "end_ms", run->end_ms);
    view_set_text(object, "site", run->site);
    view_set_text(object, "rollout", id);
    view_set_text(object, "words", run->words);
}

enum cas_err view_known_of(const struct view_scene *scene,
                           const struct store_schedule *schedule,
                           struct view_known *known,
                           struct cas_why *why)
{
    size_t *at = NULL, n = 0;
    *known = (struct view_known){.schedule = schedule};
    enum cas_err err = window_parse(cas_slice_of(schedule->window), &known->rule, why);
    if (err != CAS_OK || !window_is_by_site(&known->rule))
        return err;
    /* What it means may be gone by now: that is no trouble of this document. */
    err = store_schedule_choose(schedule,
                                scene->inventory,
                                "",
                                scene->now.mono_ms,
                                &at,
                                &n,
                                &known->trouble);
    if (err != CAS_OK)
        return err == CAS_ERR_NOMEM ? err : CAS_OK;
    err = view_sites_of(scene, at, n, &known->sites, why);
    if (err == CAS_OK && view_sites_check(scene, at, n, &known->trouble) == CAS_ERR_NOMEM)
        err = CAS_ERR_NOMEM;
    free(at);
    return err;
}

/* The window it is armed for: by the rule, with its clock changes, or as it is stored if the rule
 * says otherwise by now. own: the rule by the clocks of where it opens. */
static enum cas_err stored_time(const struct store_schedule *schedule,
                                const struct window_rule *own,
                                struct window_time *ret_time,
                                struct cas_why *why)
{
    struct window_time time = {.start_ms = 0};
    size_t n = 0;
    enum cas_err err = window_next(own, schedule->start_ms - 1, 1, &time, &n, why);
    if (err != CAS_OK)
        return err;
    if (time.start_ms != schedule->start_ms || time.end_ms != schedule->end_ms) {
        time = (struct window_time){.start_ms = schedule->start_ms, .end_ms = schedule->end_ms};
        err = window_offset(own->zone, time.start_ms, &time.start_off_s, why);
        if (err == CAS_OK)
            err = window_offset(own->zone, time.end_ms, &time.end_off_s, why);
    }
    if (err == CAS_OK)
        *ret_time = time;
    return err;
}

/* What begins next: the window it is armed for; where none of its servers is that one passes by,
 * and the first after it comes. */
static enum cas_err next_of(const struct view_known *known,
                            struct window_opening *ret,
                            bool *ret_has,
                            struct cas_why *why)
{
    const struct store_schedule *schedule = known->schedule;
    bool is_by_site = window_is_by_site(&known->rule);
    size_t at = 0, n = 0;
    *ret_has = false;
    if (schedule->is_paused || schedule->start_ms == 0)
        return CAS_OK;
    while (is_by_site && at < known->sites.n &&
           strcmp(known->sites.site[at].name, schedule->site) != 0)
        at++;
    enum cas_err err = CAS_OK;
    if (is_by_site && at == known->sites.n) {
        struct window_cursor after = {.ms = schedule->start_ms, .site = schedule->site};
        err = window_openings(&known->rule,
                              known->sites.site,
                              known->sites.n,
                              &after,
                              1,
                              ret,
                              &n,
                              why);
        *ret_has = n > 0;
        return err;
    }
    struct window_rule own =
        window_at_site(&known->rule, is_by_site ? known->sites.site[at].zone : "");
    ret->site = at;
    err = stored_time(schedule, &own, &ret->time, why);
    *ret_has = err == CAS_OK;
    return err;
}

/* first: to be told before those after; NULL none. */
static enum cas_err set_windows(const struct view_scene *scene,
                                json_t *object,
                                const struct view_known *known,
                                const struct window_opening *first,
                                const struct window_cursor *after,
                                size_t most,
                                struct cas_why *why)
{
    struct window_opening opening[VIEW_WINDOWS + 1];
    size_t n = 0, first_n = first == NULL ? 0 : 1;
    struct view_against against;
    if (first != NULL)
        opening[0] = *first;
    most = most < VIEW_WINDOWS ? most : VIEW_WINDOWS;
    enum cas_err err = window_openings(&known->rule,
                                       known->sites.site,
                                       known->sites.n,
                                       after,
                                       most,
                                       opening + first_n,
                                       &n,
                                       why);
    n = n + first_n < most ? n + first_n : most;
    if (err == CAS_OK)
        err = view_against_read(scene,
                                n > 0 ? opening[0].time.start_ms : after->ms,
                                n > 0 ? opening[n - 1].time.start_ms + day_ms : after->ms,
                                &against,
                                why);
    if (err != CAS_OK)
        return err;
    against.schedule_id = known->schedule == NULL ? 0 : known->schedule->id;
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *site = "";
        struct window_rule own = view_window_rule(&known->rule, &known->sites, &opening[i], &site);
        json_array_append_new(items, window_json(&own, site, &opening[i].time, &against));
    }
    json_object_set_new(object, "items", items);
    free(against.blackout);
    return CAS_OK;
}

/* From what begins next on; of one that is paused, what would. */
static enum cas_err set_coming(const struct view_scene *scene,
                               json_t *object,
                               const struct view_known *known,
                               size_t most,
                               struct cas_why *why)
{
    struct window_opening next = {.site = 0};
    struct window_cursor after = {.ms = scene->now.wall_ms};
    const char *site = "";
    bool has_next = false;
    enum cas_err err = next_of(known, &next, &has_next, why);
    if (err != CAS_OK)
        return err;
    if (has_next) {
        (void)view_window_rule(&known->rule, &known->sites, &next, &site);
        after = (struct window_cursor){.ms = next.time.start_ms, .site = site};
    }
    return set_windows(scene, object, known, has_next ? &next : NULL, &after, most, why);
}

static enum cas_err set_next(json_t *object, const struct view_known *known, struct cas_why *why)
{
    struct window_opening next = {.site = 0};
    bool has_next = false;
    enum cas_err err = next_of(known, &next, &has_next, why);
    if (err != CAS_OK)
        return err;
    const char *site = "";
    if (has_next) {
        (void)view_window_rule(&known->rule, &known->sites, &next, &site);
        set_time_text(object, "next_local", next.time.start_ms, next.time.start_off_s);
    }
    view_set_time(object, "next_ms", next.time.start_ms);
    view_set_time(object, "next_until_ms", next.time.end_ms);
    view_set_text(object, "next_site", site);
    return CAS_OK;
}

static void set_last(json_t *object, const struct store_schedule_run *last)
{
    char words[SCHEDULE_WORDS_BYTES + CAS_NAME_BYTES + 2] = "";
    struct cas_text text = CAS_TEXT(words);
    if (last != NULL && last->site[0] != '\0')
        cas_text_add(&text, "%s: ", last->site);
    if (last != NULL)
        cas_text_add(&text, "%s", last->words);
    view_set_text(object, "last", words);
    view_set_time(object, "last_ms", last != NULL ? last->start_ms : 0);
}

static enum cas_err set_schedule(const struct view_scene *scene,
                                 json_t *object,
                                 const struct view_known *known,
                                 struct cas_why *why)
{
    const struct store_schedule *schedule = known->schedule;
    struct store_schedule_run last;
    size_t n = 0;
    enum cas_err err =
        store_schedule_runs_read(scene->store, schedule->id, scene->now.wall_ms, 1, &last, &n, why);
    if (err != CAS_OK)
        return err;
    view_set_text(object, "name", schedule->name);
    view_set_text(object, "state", schedule->is_paused ? "paused" : "on");
    set_rule(object, &known->rule);
    set_servers(object, schedule);
    view_set_text(object, "verb", verb_name(schedule->policy.verb));
    view_set_text(object, "by", schedule->policy.by);
    view_set_time(object, "made_ms", schedule->made_ms);
    view_set_text(object, "trouble", known->trouble.text);
    set_last(object, n > 0 ? &last : NULL);
    return set_next(object, known, why);
}

enum cas_err
view_schedule_list(const struct view_scene *scene, char **ret_document, struct cas_why *why)
{
    struct store_schedule *schedule = malloc(SCHEDULE_MOST * sizeof *schedule);
    struct view_known *known = calloc(1, sizeof *known);
    size_t n = 0;
    struct store_freeze freeze;
    enum cas_err err = schedule == NULL || known == NULL ? CAS_ERR_NOMEM : CAS_OK;
    if (err == CAS_OK)
        err = store_schedules_read(scene->store, SCHEDULE_MOST, schedule, &n, why);
    if (err == CAS_OK)
        err = store_freeze_load(scene->store, &freeze, why);
    json_t *items = json_array();
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        json_t *item = json_object();
        err = view_known_of(scene, &schedule[i], known, why);
        if (err == CAS_OK)
            err = set_schedule(scene, item, known, why);
        json_array_append_new(items, item);
    }
    free(known);
    free(schedule);
    if (err != CAS_OK) {
        json_decref(items);
        return err;
    }
    json_t *document = view_begin(scene, "ScheduleList");
    json_object_set_new(document, "items", items);
    set_freeze(document, &freeze);
    json_t *next = json_array();
    if (freeze.is_on)
        view_add_next(next, "casfleet freeze off", "nothing begins before");
    if (n == 0)
        view_add_next(next,
                      "casfleet schedule add NAME --window 'Sat 01:00-05:00 Europe/London' -l "
                      "site=LON",
                      NULL);
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}

static void set_policy(json_t *object, const struct rollout_wish *policy)
{
    json_t *shown = json_object();
    view_set_text(shown, "pool", policy->pool);
    view_set_count(shown, "at_once", policy->at_once);
    json_object_set_new(shown, "gap_ms", json_integer(policy->gap_ms));
    json_object_set_new(shown, "settle_ms", json_integer(policy->settle_ms));
    json_object_set_new(shown, "drain_ms", json_integer(policy->drain_ms));
    json_object_set_new(shown, "act_ms", json_integer(policy->act_ms));
    json_object_set_new(shown, "proof_ms", json_integer(policy->proof_ms));
    view_set_count(shown, "healthy_n", policy->healthy_n);
    view_set_count(shown, "stop_after", policy->stop_after);
    view_set_count(shown, "floor_pct", policy->floor_pct);
    json_object_set_new(shown, "canary", json_boolean(policy->has_canary));
    json_object_set_new(shown, "fixed_too", json_boolean(policy->is_fixed_too));
    json_object_set_new(shown, "just_in_time", json_boolean(policy->is_just_in_time));
    json_object_set_new(shown, "min_age_ms", json_integer(policy->min_age_ms));
    view_set_text(shown, "ram", rollout_ram_words(policy->ram));
    json_object_set_new(object, "policy", shown);
}

static enum cas_err fill_schedule(const struct view_scene *scene,
                                  json_t *document,
                                  const struct store_schedule *schedule,
                                  size_t windows_n,
                                  struct cas_why *why)
{
    struct store_schedule_run run[VIEW_RUNS];
    size_t run_n = 0;
    struct view_known known;
    struct store_freeze freeze;
    enum cas_err err = view_known_of(scene, schedule, &known, why);
    if (err == CAS_OK)
        err = set_schedule(scene, document, &known, why);
    size_t shown_n = windows_n * (known.sites.n > 0 ? known.sites.n : 1);
    if (err == CAS_OK)
        err = set_coming(scene, document, &known, shown_n, why);
    if (err == CAS_OK)
        err = store_schedule_runs_read(scene->store,
                                       schedule->id,
                                       scene->now.wall_ms,
                                       VIEW_RUNS,
                                       run,
                                       &run_n,
                                       why);
    if (err == CAS_OK)
        err = store_freeze_load(scene->store, &freeze, why);
    if (err != CAS_OK)
        return err;
    set_policy(document, &schedule->policy);
    set_freeze(document, &freeze);
    json_t *runs = json_array();
    for (size_t i = 0; i < run_n; i++) {
        json_t *item = json_object();
        set_run(item, &run[i]);
        json_array_append_new(runs, item);
    }
    json_object_set_new(document, "runs", runs);
    return CAS_OK;
}

enum cas_err view_schedule_json(const struct view_scene *scene,
                                const struct store_schedule *schedule,
                                size_t windows_n,
                                json_t **ret_json,
                                struct cas_why *why)
{
    json_t *document = view_begin(scene, "Schedule");
    enum cas_err err = fill_schedule(scene, document, schedule, windows_n, why);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    *ret_json = document;
    return CAS_OK;
}

enum cas_err view_schedule(const struct view_scene *scene,
                           const struct store_schedule *schedule,
                           const char *words,
                           char **ret_document,
                           struct cas_why *why)
{
    json_t *document = NULL;
    enum cas_err err = view_schedule_json(scene, schedule, WINDOWS_SHOWN, &document, why);
    if (err != CAS_OK)
        return err;
    view_set_text(document, "words", words);
    json_t *next = json_array();
    char command[CAS_NAME_BYTES + 40];
    (void)snprintf(command,
                   sizeof command,
                   "casfleet schedule %s %s",
                   schedule->is_paused ? "resume" : "preview",
                   schedule->name);
    view_add_next(next,
                  command,
                  schedule->is_paused ? "nothing begins before"
                                      : "its next windows, local and UTC");
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}

enum cas_err view_schedule_preview(const struct view_scene *scene,
                                   const struct view_preview *preview,
                                   char **ret_document,
                                   struct cas_why *why)
{
    json_t *document = view_begin(scene, "SchedulePreview");
    view_set_text(document, "name", preview->schedule == NULL ? "" : preview->schedule->name);
    set_rule(document, &preview->rule);
    struct view_known known = {.schedule = preview->schedule,
                               .rule = preview->rule,
                               .sites = preview->sites};
    struct window_cursor after = {.ms = preview->after_ms};
    enum cas_err err = set_windows(scene, document, &known, NULL, &after, preview->most, why);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    json_object_set_new(document, "next", json_array());
    return view_finish(document, ret_document);
}

/* Which one begins first? By its stored window, or the next one where it has servers. */
static enum cas_err first_of(const struct view_scene *scene,
                             const struct store_schedule *schedule,
                             size_t n,
                             struct view_known *known,
                             size_t *ret_first,
                             struct cas_why *why)
{
    int64_t first_ms = 0;
    enum cas_err err = CAS_OK;
    *ret_first = n;
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        struct window_opening next = {.time = {.start_ms = schedule[i].start_ms}};
        bool has = !schedule[i].is_paused && schedule[i].start_ms > 0;
        if (has && schedule[i].site[0] != '\0')
            err = view_known_of(scene, &schedule[i], known, why);
        if (err == CAS_OK && has && schedule[i].site[0] != '\0')
            err = next_of(known, &next, &has, why);
        if (err == CAS_OK && has && (*ret_first == n || next.time.start_ms < first_ms)) {
            first_ms = next.time.start_ms;
            *ret_first = i;
        }
    }
    return err;
}

static enum cas_err coming_json(const struct view_scene *scene, json_t **ret, struct cas_why *why)
{
    struct store_schedule *schedule = malloc(SCHEDULE_MOST * sizeof *schedule);
    struct view_known *known = calloc(1, sizeof *known);
    size_t n = 0, first = 0;
    json_t *coming = NULL;
    enum cas_err err = schedule == NULL || known == NULL ? CAS_ERR_NOMEM : CAS_OK;
    if (err == CAS_OK)
        err = store_schedules_read(scene->store, SCHEDULE_MOST, schedule, &n, why);
    if (err == CAS_OK)
        err = first_of(scene, schedule, n, known, &first, why);
    if (err == CAS_OK && first < n)
        err = view_known_of(scene, &schedule[first], known, why);
    if (err == CAS_OK && first < n)
        coming = json_object();
    if (coming != NULL)
        err = set_schedule(scene, coming, known, why);
    free(known);
    free(schedule);
    if (err != CAS_OK) {
        json_decref(coming);
        return err;
    }
    *ret = coming != NULL ? coming : json_null();
    return CAS_OK;
}

enum cas_err view_set_coming(const struct view_scene *scene, json_t *object, struct cas_why *why)
{
    struct store_freeze freeze = {.is_on = false};
    json_t *coming = json_null();
    enum cas_err err = CAS_OK;
    if (scene->store != NULL)
        err = store_freeze_load(scene->store, &freeze, why);
    if (err == CAS_OK && scene->store != NULL)
        err = coming_json(scene, &coming, why);
    if (err != CAS_OK)
        return err;
    set_freeze(object, &freeze);
    json_object_set_new(object, "schedule", coming);
    return CAS_OK;
}
