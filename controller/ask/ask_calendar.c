#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "controller/view/view_schedule.h"

enum {
    DAY_MS = 24 * 60 * 60 * 1000,
    YEARS_MOST = 3, /* of recurring blackout dates, from today */
};

enum cas_err ask_schedule_export(struct ask_call *call)
{
    struct store_schedule schedule;
    char name[CAS_NAME_BYTES];
    bool has_name = ask_has(call, "id");
    if (has_name) {
        if (cas_slice_copy(ask_get(call, "id"), name, sizeof name) != CAS_OK)
            return cas_fail(&call->why, CAS_ERR_NOT_FOUND, "no such schedule");
        enum cas_err err = store_schedule_find(call->scene->store, name, &schedule, &call->why);
        if (err != CAS_OK)
            return err;
    }
    return view_calendar(&call->view,
                         has_name ? &schedule : NULL,
                         &call->reply->document,
                         &call->why);
}

/* Arguments take no control characters: lines end with U+2028, in up to four arguments. */
static const char line_end[] = "\xe2\x80\xa8";
enum {
    LINE_END_BYTES = sizeof line_end - 1
};

static enum cas_err join_file(struct ask_call *call, char **ret_file, size_t *ret_size)
{
    static const char *const keys[] = {"ics", "ics-2", "ics-3", "ics-4"};
    char *file = malloc(CAS_COUNT(keys) * WIRE_ARG_BYTES);
    size_t size = 0;
    if (file == NULL)
        return CAS_ERR_NOMEM;
    for (size_t i = 0; i < CAS_COUNT(keys); i++) {
        struct cas_slice part = ask_get(call, keys[i]);
        for (size_t at = 0; at < part.size; at++) {
            bool is_end = part.size - at >= LINE_END_BYTES &&
                          memcmp(part.data + at, line_end, LINE_END_BYTES) == 0;
            file[size++] = is_end ? '\n' : part.data[at];
            at += is_end ? LINE_END_BYTES - 1 : 0;
        }
    }
    *ret_file = file;
    *ret_size = size;
    return CAS_OK;
}

static enum cas_err
read_file(struct ask_call *call, struct window_blackout *ret_black, size_t *ret_n)
{
    char *file = NULL;
    size_t size = 0;
    struct cas_why inner = {.text = ""};
    enum cas_err err = join_file(call, &file, &size);
    if (err != CAS_OK)
        return err;
    int64_t now_ms = call->scene->now.wall_ms;
    err = window_blackouts_read((struct cas_slice){file, size},
                                now_ms - 2 * (int64_t)DAY_MS,
                                now_ms + YEARS_MOST * 366 * (int64_t)DAY_MS,
                                WINDOW_BLACKOUTS,
                                ret_black,
                                ret_n,
                                &inner);
    free(file);
    struct cas_slice name = ask_get(call, "id");
    return err == CAS_OK ? CAS_OK
                         : cas_fail(&call->why,
                                    err,
                                    "%.*s: %s",
                                    (int)(name.size < 120 ? name.size : 120),
                                    name.data == NULL ? "" : name.data,
                                    inner.text);
}

/* The name of the calendar: --calendar, or the file's without folder and end. */
static enum cas_err calendar_name(struct ask_call *call, char ret_name[CAS_NAME_BYTES])
{
    struct cas_slice name = ask_get(call, "calendar");
    if (!ask_has(call, "calendar")) {
        name = ask_get(call, "id");
        size_t base = name.size;
        while (base > 0 && name.data[base - 1] != '/' && name.data[base - 1] != '\\')
            base--;
        name = (struct cas_slice){name.data + base, name.size - base};
        if (name.size > 4 && memcmp(name.data + name.size - 4, ".ics", 4) == 0)
            name.size -= 4;
    }
    if (!cas_is_name(name))
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "say what the calendar is called: --calendar NAME, 1 to 63 of letters, "
                        "digits, . _ -");
    return cas_slice_copy(name, ret_name, CAS_NAME_BYTES);
}

/* Each window is held against all of them, of all calendars. */
static enum cas_err check_room(struct ask_call *call, const char *name, size_t n)
{
    size_t other_n = 0;
    enum cas_err err = store_blackouts_count(call->scene->store,
                                             name,
                                             call->scene->now.wall_ms,
                                             &other_n,
                                             &call->why);
    if (err != CAS_OK || n + other_n <= SCHEDULE_BLACKOUTS)
        return err;
    return cas_fail(&call->why,
                    CAS_ERR_TOO_MANY,
                    "%s: %zu blackout dates, with %zu of other calendars %zu: at most %d together",
                    name,
                    n,
                    other_n,
                    n + other_n,
                    SCHEDULE_BLACKOUTS);
}

static enum cas_err import_into(struct ask_call *call, struct window_blackout *black)
{
    char name[CAS_NAME_BYTES], words[160];
    size_t n = 0;
    enum cas_err err = calendar_name(call, name);
    if (err == CAS_OK)
        err = read_file(call, black, &n);
    if (err == CAS_OK)
        err = check_room(call, name, n);
    if (err != CAS_OK)
        return err;
    (void)snprintf(words, sizeof words, "%zu blackout dates in the next %d years", n, YEARS_MOST);
    err = store_blackouts_replace(call->scene->store, name, black, n, &call->why);
    err = ask_settle(call, err, name, words);
    if (err != CAS_OK)
        return err;
    char shown[CAS_NAME_BYTES + 240];
    (void)snprintf(shown,
                   sizeof shown,
                   "%s: %s; they stand in place of those imported before under this name.",
                   name,
                   words);
    static const char *const next[] = {"casfleet schedule list", NULL};
    return view_done(&call->view, shown, NULL, next, &call->reply->document);
}

enum cas_err ask_schedule_import(struct ask_call *call)
{
    struct window_blackout *black = malloc(WINDOW_BLACKOUTS * sizeof *black);
    if (black == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = import_into(call, black);
    free(black);
    return err;
}

/* ---- the freeze ---- */

static enum cas_err answer_freeze(struct ask_call *call, const struct store_freeze *freeze)
{
    char words[2 * REASON_BYTES + CAS_NAME_BYTES];
    char running[512] = "", waiting[512] = "";
    struct cas_text text = CAS_TEXT(running), later = CAS_TEXT(waiting);
    for (size_t i = 0; i < rollout_book_size(call->scene->book); i++) {
        const struct rollout *rollout = rollout_at(call->scene->book, i);
        if (rollout->state == ROLLOUT_RUNNING)
            cas_text_add(&text,
                         "%sr-%04llu",
                         text.used > 0 ? " " : "Still running, since a freeze ends nothing: ",
                         (unsigned long long)rollout->seq);
        if (rollout->state == ROLLOUT_SCHEDULED)
            cas_text_add(&later,
                         "%sr-%04llu",
                         later.used > 0 ? " " : "Does not begin while it is frozen: ",
                         (unsigned long long)rollout->seq);
    }
    (void)snprintf(words,
                   sizeof words,
                   freeze->is_on
                       ? "Frozen: nothing new begins anywhere, by schedule or by hand.%s%s"
                       : "The freeze is over.  Windows that went by are not made up for.%s%s",
                   freeze->reason[0] != '\0' ? "  Reason: " : "",
                   freeze->reason);
    const char *lines[3] = {NULL, NULL, NULL};
    size_t line_n = 0;
    if (text.used > 0 && freeze->is_on)
        lines[line_n++] = running;
    if (later.used > 0 && freeze->is_on)
        lines[line_n] = waiting;
    static const char *const on_next[] = {"casfleet recycle pause ID", "casfleet freeze off", NULL};
    static const char *const off_next[] = {"casfleet schedule list", NULL};
    return view_done(&call->view,
                     words,
                     lines,
                     freeze->is_on ? on_next : off_next,
                     &call->reply->document);
}

static enum cas_err set_freeze(struct ask_call *call, bool is_on)
{
    struct store_freeze freeze;
    enum cas_err err = store_freeze_load(call->scene->store, &freeze, &call->why);
    if (err != CAS_OK)
        return err;
    if (freeze.is_on == is_on)
        return cas_fail(&call->why,
                        CAS_ERR_GUARD,
                        is_on ? "the farm is frozen already, by %s" : "the farm is not frozen%s",
                        is_on ? freeze.by : "");
    freeze = (struct store_freeze){.is_on = is_on, .at_ms = call->scene->now.wall_ms};
    (void)snprintf(freeze.by, sizeof freeze.by, "%s", call->who->name);
    if (cas_slice_copy(ask_get(call, "reason"), freeze.reason, sizeof freeze.reason) != CAS_OK)
        return cas_fail(&call->why,
                        CAS_ERR_TOO_LONG,
                        "--reason: %zu bytes, at most %d",
                        ask_get(call, "reason").size,
                        REASON_BYTES - 1);
    err = store_freeze_save(call->scene->store, &freeze, &call->why);
    err = ask_settle(call, err, "freeze", is_on ? freeze.reason : "over");
    return err == CAS_OK ? answer_freeze(call, &freeze) : err;
}

enum cas_err ask_freeze_on(struct ask_call *call)
{
    return set_freeze(call, true);
}

enum cas_err ask_freeze_off(struct ask_call *call)
{
    return set_freeze(call, false);
}
