#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "controller/view/view_schedule.h"

enum {
    WINDOWS_USUAL = 20,
    SHOWN_BYTES = 80,
};

enum cas_err
ask_settle(struct ask_call *call, enum cas_err saved, const char *subject, const char *words)
{
    if (saved != CAS_OK) {
        store_undo(call->scene->store);
        return saved;
    }
    struct rollout_actions none = {0};
    struct store_audit audit = ask_audit(call, subject, words);
    return call->scene->commit(call->scene->context, &none, &audit, &call->why);
}

static enum cas_err window_argument(struct ask_call *call, struct window_rule *ret_rule)
{
    struct cas_why inner = {.text = ""};
    if (!ask_has(call, "window"))
        return cas_fail(&call->why,
                        CAS_ERR_MISSING,
                        "--window is missing, as --window 'Sat 01:00-05:00 Europe/London'");
    enum cas_err err = window_parse(ask_get(call, "window"), ret_rule, &inner);
    return err == CAS_OK ? CAS_OK : cas_fail(&call->why, err, "--window: %s", inner.text);
}

static enum cas_err name_argument(struct ask_call *call, char ret_name[CAS_NAME_BYTES])
{
    struct cas_slice name = ask_get(call, "id");
    if (!cas_is_name(name))
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is no name of a schedule: 1 to 63 of letters, digits, . _ -",
                        (int)(name.size < SHOWN_BYTES ? name.size : SHOWN_BYTES),
                        name.data == NULL ? "" : name.data);
    return cas_slice_copy(name, ret_name, CAS_NAME_BYTES);
}

static enum cas_err find(struct ask_call *call, struct store_schedule *ret_schedule)
{
    char name[CAS_NAME_BYTES];
    enum cas_err err = name_argument(call, name);
    if (err == CAS_OK)
        err = store_schedule_find(call->scene->store, name, ret_schedule, &call->why);
    return err;
}

enum cas_err ask_schedule_named(struct ask_call *call, struct store_schedule *ret_schedule)
{
    char name[CAS_NAME_BYTES];
    struct cas_why inner = {.text = ""};
    struct cas_slice id = ask_get(call, "id");
    if (!cas_is_name(id) || cas_slice_copy(id, name, sizeof name) != CAS_OK)
        return CAS_ERR_NOT_FOUND;
    enum cas_err err = store_schedule_find(call->scene->store, name, ret_schedule, &inner);
    if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
        call->why = inner;
    return err;
}

static enum cas_err
answer(struct ask_call *call, const struct store_schedule *schedule, const char *words)
{
    return view_schedule(&call->view, schedule, words, &call->reply->document, &call->why);
}

/* The first window after now. */
static enum cas_err arm(struct ask_call *call, struct store_schedule *schedule)
{
    struct window_cursor now = {.ms = call->scene->now.wall_ms};
    return store_schedule_arm(call->scene->store, schedule, &now, &call->why);
}

/* ---- add ---- */

static enum cas_err copy_targets(struct ask_call *call, struct store_schedule *schedule)
{
    const struct {
        const char *key;
        char *text;
    } parts[] = {
        {"target", schedule->target},
        {"selector", schedule->selector},
        {"exclude", schedule->left_out},
    };
    for (size_t i = 0; i < CAS_COUNT(parts); i++) {
        if (cas_slice_copy(ask_get(call, parts[i].key), parts[i].text, SCHEDULE_TARGET_BYTES) !=
            CAS_OK)
            return cas_fail(&call->why,
                            CAS_ERR_TOO_LONG,
                            "--%s: %zu bytes, at most %d: a selector as -l site=LON also takes "
                            "servers that come later",
                            parts[i].key,
                            ask_get(call, parts[i].key).size,
                            SCHEDULE_TARGET_BYTES - 1);
    }
    return CAS_OK;
}

static enum cas_err check_new(struct ask_call *call, const char *name)
{
    struct store_schedule *all = malloc(SCHEDULE_MOST * sizeof *all);
    size_t n = 0;
    if (all == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = store_schedules_read(call->scene->store, SCHEDULE_MOST, all, &n, &call->why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        if (strcmp(all[i].name, name) == 0)
            err = cas_fail(&call->why,
                           CAS_ERR_EXISTS,
                           "%s: there is such a schedule; remove it first, or take another name",
                           name);
    }
    free(all);
    if (err == CAS_OK && n >= SCHEDULE_MOST)
        return cas_fail(&call->why,
                        CAS_ERR_TOO_MANY,
                        "there are %d schedules, at most",
                        SCHEDULE_MOST);
    return err;
}

static enum cas_err add_checked(struct ask_call *call, struct store_schedule *schedule)
{
    struct window_rule rule;
    size_t *at = NULL, server_n = 0;
    enum cas_err err = name_argument(call, schedule->name);
    if (err == CAS_OK)
        err = window_argument(call, &rule);
    if (err == CAS_OK)
        err = ask_wish(call, &schedule->policy);
    if (err == CAS_OK)
        err = copy_targets(call, schedule);
    if (err == CAS_OK)
        err = ask_choose(call, true, &at, &server_n);
    if (err == CAS_OK && window_is_by_site(&rule))
        err = view_sites_check(&call->view, at, server_n, &call->why);
    free(at);
    if (err == CAS_OK)
        err = check_new(call, schedule->name);
    if (err != CAS_OK)
        return err;
    memcpy(schedule->window, rule.text, sizeof schedule->window);
    schedule->made_ms = call->scene->now.wall_ms;
    err = arm(call, schedule);
    if (err == CAS_OK && schedule->start_ms == 0)
        return cas_fail(&call->why, CAS_ERR_RANGE, "--window: \"%s\" never comes again", rule.text);
    return err;
}

enum cas_err ask_schedule_add(struct ask_call *call)
{
    struct store_schedule schedule = {.id = 0};
    enum cas_err err = add_checked(call, &schedule);
    if (err != CAS_OK)
        return err;
    char words[SCHEDULE_WORDS_BYTES];
    (void)snprintf(words, sizeof words, "added: %.250s", schedule.window);
    err = store_schedule_save(call->scene->store, &schedule, &call->why);
    err = ask_settle(call, err, schedule.name, words);
    return err == CAS_OK ? answer(call, &schedule, "added") : err;
}

/* ---- look ---- */

enum cas_err ask_schedule_list(struct ask_call *call)
{
    return view_schedule_list(&call->view, &call->reply->document, &call->why);
}

enum cas_err ask_schedule_show(struct ask_call *call)
{
    struct store_schedule schedule;
    enum cas_err err = find(call, &schedule);
    return err == CAS_OK ? answer(call, &schedule, NULL) : err;
}

/* A day, or what --at takes. */
static enum cas_err from_argument(struct ask_call *call, int64_t *ret_from_ms)
{
    char midnight[32];
    struct cas_slice from = ask_get(call, "from");
    *ret_from_ms = call->scene->now.wall_ms;
    if (!ask_has(call, "from"))
        return CAS_OK;
    if (from.size == 10) {
        (void)snprintf(midnight, sizeof midnight, "%.10sT00:00Z", from.data);
        if (cas_parse_utc(cas_slice_of(midnight), ret_from_ms, NULL) == CAS_OK)
            return CAS_OK;
    }
    struct cas_why inner = {.text = ""};
    enum cas_err err = ask_when(from, call->scene->now, ret_from_ms, &inner);
    return err == CAS_OK
               ? CAS_OK
               : cas_fail(&call->why, err, "--from: %s, or a day: 2026-03-28", inner.text);
}

/* Servers are named for a window that nobody has stored: a schedule has its own. */
static enum cas_err check_servers(struct ask_call *call)
{
    bool has_servers =
        ask_has(call, "target") || ask_has(call, "selector") || ask_has(call, "exclude");
    if (ask_has(call, "id") && has_servers)
        return cas_fail(&call->why,
                        CAS_ERR_UNSUPPORTED,
                        "a schedule has servers of its own: leave out -l and -x, or the name");
    return CAS_OK;
}

/* schedule: room for the one that is named. */
static enum cas_err
preview_of(struct ask_call *call, struct store_schedule *schedule, struct view_preview *preview)
{
    size_t *at = NULL, server_n = 0;
    bool is_stored = ask_has(call, "id");
    enum cas_err err = check_servers(call);
    if (err == CAS_OK)
        err = is_stored ? find(call, schedule) : window_argument(call, &preview->rule);
    if (err == CAS_OK && is_stored)
        err = window_parse(cas_slice_of(schedule->window), &preview->rule, &call->why);
    if (err != CAS_OK)
        return err;
    preview->schedule = is_stored ? schedule : NULL;
    if (!window_is_by_site(&preview->rule))
        return CAS_OK;
    err = is_stored ? store_schedule_choose(schedule,
                                            call->scene->inventory,
                                            "",
                                            call->scene->now.mono_ms,
                                            &at,
                                            &server_n,
                                            &call->why)
                    : ask_choose(call, false, &at, &server_n);
    if (err == CAS_OK)
        err = view_sites_check(&call->view, at, server_n, &call->why);
    if (err == CAS_OK)
        err = view_sites_of(&call->view, at, server_n, &preview->sites, &call->why);
    free(at);
    return err;
}

enum cas_err ask_schedule_preview(struct ask_call *call)
{
    struct store_schedule schedule;
    struct view_preview preview = {.most = WINDOWS_USUAL};
    if (ask_has(call, "id") == ask_has(call, "window"))
        return cas_fail(
            &call->why,
            CAS_ERR_MISSING,
            "say which: a schedule's name, or --window 'Sat 01:00-05:00 Europe/London'");
    int64_t from_ms = 0;
    enum cas_err err = preview_of(call, &schedule, &preview);
    if (err == CAS_OK)
        err = from_argument(call, &from_ms);
    if (err == CAS_OK)
        err = ask_get_count(call, "most", 1, VIEW_WINDOWS, &preview.most);
    if (err != CAS_OK)
        return err;
    preview.after_ms = from_ms - 1;
    return view_schedule_preview(&call->view, &preview, &call->reply->document, &call->why);
}

/* ---- change ---- */

static enum cas_err set_paused(struct ask_call *call, bool is_paused)
{
    struct store_schedule schedule;
    enum cas_err err = find(call, &schedule);
    if (err != CAS_OK)
        return err;
    if (schedule.is_paused == is_paused)
        return cas_fail(&call->why,
                        CAS_ERR_GUARD,
                        "%s is %s already",
                        schedule.name,
                        is_paused ? "paused" : "on");
    schedule.is_paused = is_paused;
    /* What its pause let go by is gone: never late. */
    err = arm(call, &schedule);
    if (err != CAS_OK)
        return err;
    char words[REASON_BYTES + 40];
    struct cas_slice reason = ask_get(call, "reason");
    (void)snprintf(words,
                   sizeof words,
                   "%s%s%.*s",
                   is_paused ? "paused" : "on again",
                   reason.size > 0 ? ": " : "",
                   (int)(reason.size < REASON_BYTES ? reason.size : REASON_BYTES),
                   reason.data == NULL ? "" : reason.data);
    err = store_schedule_save(call->scene->store, &schedule, &call->why);
    err = ask_settle(call, err, schedule.name, words);
    return err == CAS_OK ? answer(call, &schedule, is_paused ? "paused" : "on again") : err;
}

enum cas_err ask_schedule_pause(struct ask_call *call)
{
    return set_paused(call, true);
}

enum cas_err ask_schedule_resume(struct ask_call *call)
{
    return set_paused(call, false);
}

enum cas_err ask_schedule_remove(struct ask_call *call)
{
    struct store_schedule schedule;
    enum cas_err err = find(call, &schedule);
    if (err != CAS_OK)
        return err;
    err = store_schedule_remove(call->scene->store, schedule.id, &call->why);
    err = ask_settle(call, err, schedule.name, "removed");
    if (err != CAS_OK)
        return err;
    char words[CAS_NAME_BYTES + 80];
    (void)snprintf(words,
                   sizeof words,
                   "%s is removed; a rollout it has begun goes on.",
                   schedule.name);
    static const char *const next[] = {"casfleet recycle list", NULL};
    return view_done(&call->view, words, NULL, next, &call->reply->document);
}
