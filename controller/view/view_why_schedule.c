#include <stdio.h>
#include <string.h>

#include "controller/view/view_json.h"
#include "controller/view/view_why.h"

enum {
    OFF_SHOWN = 5, /* windows that are passed over, one by one */
    START_BYTES = 240,
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* "Sat 28 Nov 2026 01:00 +01:00 (Sat 28 Nov 2026 00:00 UTC)", by site time "BER Sat ..." */
static const char *start_of(const json_t *window, char ret_text[START_BYTES])
{
    const char *site = text_of(window, "site");
    const char *local = text_of(window, "local"), *utc = text_of(window, "utc");
    bool is_same = strcmp(local, utc) == 0;
    (void)snprintf(ret_text,
                   START_BYTES,
                   "%s%s%s%s%s%s",
                   site,
                   site[0] != '\0' ? " " : "",
                   local,
                   is_same ? "" : " (",
                   is_same ? "" : utc,
                   is_same ? "" : ")");
    return ret_text;
}

struct pause { /* the newest word on pausing */
    bool has;
    struct store_audit audit;
};

static void on_pause(void *context, uint64_t id, const struct store_audit *audit)
{
    struct pause *pause = context;
    (void)id;
    if (pause->has || strcmp(audit->verb, "schedule.pause") != 0)
        return;
    pause->has = true;
    pause->audit = *audit;
}

static void why_rule(const struct view_scene *scene,
                     const struct store_schedule *schedule,
                     const json_t *shown,
                     json_t *items)
{
    bool is_by_site = json_is_true(json_object_get(shown, "by_site"));
    view_add_line(items,
                  scene,
                  schedule->made_ms,
                  "rule: %s means %s on the clock of %s, by %s",
                  text_of(shown, "window"),
                  text_of(shown, "recur"),
                  is_by_site ? "each site" : text_of(shown, "zone"),
                  schedule->policy.by);
    const char *trouble = text_of(shown, "trouble");
    if (trouble[0] != '\0')
        view_add_line(items, scene, 0, "trouble: %s", trouble);
    view_add_line(items,
                  scene,
                  0,
                  "at its time: %s on %s, as a plan made then; late by more than 5 min it is "
                  "skipped, and what cannot end in the window is left out",
                  text_of(shown, "verb"),
                  text_of(shown, "servers"));
}

static void why_off(const struct view_scene *scene,
                    const struct store_schedule *schedule,
                    const json_t *shown,
                    json_t *items,
                    json_t *next)
{
    const json_t *frozen = json_object_get(shown, "frozen");
    char command[CAS_NAME_BYTES + 40];
    if (schedule->is_paused) {
        struct pause pause = {.has = false};
        struct cas_why why = {.text = ""};
        enum cas_err err =
            store_audit_read(scene->store, schedule->name, VIEW_WHY_AUDIT, on_pause, &pause, &why);
        if (err == CAS_OK && pause.has)
            view_add_line(items,
                          scene,
                          pause.audit.at_ms,
                          "rule: %s, by %s: nothing of it begins until it is resumed",
                          pause.audit.words,
                          pause.audit.who);
        else
            view_add_line(items,
                          scene,
                          0,
                          "rule: paused: nothing of it begins until it is resumed");
        (void)snprintf(command, sizeof command, "casfleet schedule resume %s", schedule->name);
        view_add_next(next, command, "it begins again at its next window");
    }
    if (frozen == NULL || json_is_null(frozen))
        return;
    const char *reason = text_of(frozen, "reason");
    view_add_line(items,
                  scene,
                  json_integer_value(json_object_get(frozen, "at_ms")),
                  "rule: the farm is frozen by %s%s%s: every window is skipped as long as it is",
                  text_of(frozen, "by"),
                  reason[0] != '\0' ? ", " : "",
                  reason);
    view_add_next(next, "casfleet freeze off", "nothing begins before");
}

/* The windows one after the other, up to the first that nothing stands against; a freeze may end.
 */
static void why_next(const struct view_scene *scene,
                     const struct store_schedule *schedule,
                     const json_t *windows,
                     json_t *items,
                     struct cas_text *words)
{
    size_t i = 0, off_n = 0;
    const json_t *window = NULL, *first = NULL;
    char start[START_BYTES];
    json_array_foreach(windows, i, window)
    {
        if (!json_is_true(json_object_get(window, "off"))) {
            first = window;
            break;
        }
        if (off_n++ < OFF_SHOWN)
            view_add_line(items,
                          scene,
                          0,
                          "passed over: %s, %s",
                          start_of(window, start),
                          text_of(window, "note"));
    }
    if (off_n > OFF_SHOWN)
        view_add_line(items,
                      scene,
                      0,
                      "passed over: %zu more windows after those",
                      off_n - OFF_SHOWN);
    if (first == NULL) {
        const char *none = json_array_size(windows) == 0 ? "its rule gives no window any more"
                                                         : "something stands against every window";
        view_add_line(items, scene, 0, "next: %s", none);
        cas_text_add(words, ": %s", none);
        return;
    }
    const char *note = text_of(first, "note");
    view_add_line(items,
                  scene,
                  0,
                  "%s: %s until %s, %s%s%s",
                  schedule->is_paused ? "would be next" : "next",
                  start_of(first, start),
                  text_of(first, "until"),
                  off_n == 0 ? "the first of the rule from now on"
                             : "the first nothing stands against",
                  note[0] != '\0' ? "; " : "",
                  note);
    if (!schedule->is_paused)
        cas_text_add(words, ": next %s", start_of(first, start));
}

/* What the plan of a window came to, as far as the book remembers it. */
static void outcome(const struct view_scene *scene, uint64_t seq, struct cas_text *text)
{
    const struct rollout *rollout = rollout_find(scene->book, seq);
    if (rollout == NULL)
        return;
    struct rollout_tally tally = rollout_tally_of(rollout);
    cas_text_add(text,
                 "; it is %s: %zu proved, %zu failed, %zu skipped, %zu to go",
                 rollout_state_words(rollout->state),
                 tally.proved,
                 tally.failed + tally.unknown,
                 tally.skipped,
                 tally.to_go + tally.running);
}

static enum cas_err why_runs(const struct view_scene *scene,
                             const struct store_schedule *schedule,
                             json_t *items,
                             struct cas_why *why)
{
    struct store_schedule_run run[VIEW_RUNS];
    size_t n = 0;
    enum cas_err err = store_schedule_runs_read(scene->store,
                                                schedule->id,
                                                scene->now.wall_ms,
                                                VIEW_RUNS,
                                                run,
                                                &n,
                                                why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        char words[480], id[24] = "";
        struct cas_text text = CAS_TEXT(words);
        cas_text_clear(&text);
        if (run[i].site[0] != '\0')
            cas_text_add(&text, "%s: ", run[i].site);
        if (run[i].seq > 0) {
            view_rollout_id(run[i].seq, id);
            cas_text_add(&text, "%s -> %s", run[i].words, id);
            outcome(scene, run[i].seq, &text);
        } else {
            cas_text_add(&text, "%s", run[i].words);
        }
        view_add_line(items, scene, run[i].start_ms, "%s: %s", i == 0 ? "last" : "before", words);
    }
    if (err == CAS_OK && n == 0)
        view_add_line(items, scene, 0, "last: no window has come yet");
    return err;
}

enum cas_err view_why_schedule(const struct view_scene *scene,
                               const struct store_schedule *schedule,
                               char **ret_document,
                               struct cas_why *why)
{
    json_t *shown = NULL;
    enum cas_err err = view_schedule_json(scene, schedule, VIEW_WHY_WINDOWS, &shown, why);
    if (err != CAS_OK)
        return err;
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array(), *next = json_array();
    char words[320], command[CAS_NAME_BYTES + 40];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    bool is_frozen = !json_is_null(json_object_get(shown, "frozen"));
    cas_text_add(&text,
                 "%s%s",
                 text_of(shown, "state"),
                 is_frozen ? ", but the farm is frozen" : "");
    why_rule(scene, schedule, shown, items);
    why_off(scene, schedule, shown, items, next);
    why_next(scene, schedule, json_object_get(shown, "items"), items, &text);
    err = why_runs(scene, schedule, items, why);
    view_set_text(document, "what", "schedule");
    view_set_text(document, "subject", schedule->name);
    view_set_text(document, "words", words);
    json_object_set_new(document, "items", items);
    (void)snprintf(command, sizeof command, "casfleet schedule preview %s", schedule->name);
    view_add_next(next, command, "its next windows, local and UTC");
    json_object_set_new(document, "next", next);
    json_object_del(shown, "next");
    json_object_set_new(document, "schedule", shown);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    view_add_history(scene, document, schedule->name, NULL, 0);
    return view_finish(document, ret_document);
}
