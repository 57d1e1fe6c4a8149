#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "controller/view/view_schedule.h"

enum {
    SHOWN_BYTES = 80,
};

enum cas_err ask_site_list(struct ask_call *call)
{
    return view_site_list(&call->view, &call->reply->document, &call->why);
}

/* A window that has begun and was not yet taken is still to come. */
static enum cas_err arm_again(struct ask_call *call, struct store_schedule *schedule)
{
    struct window_rule rule;
    enum cas_err err = window_parse(cas_slice_of(schedule->window), &rule, &call->why);
    if (err != CAS_OK || !window_is_by_site(&rule))
        return err;
    int64_t now_ms = call->scene->now.wall_ms;
    bool is_due = schedule->start_ms > 0 && schedule->start_ms <= now_ms;
    struct window_cursor after = {.ms = is_due ? schedule->start_ms - 1 : now_ms};
    err = store_schedule_arm(call->scene->store, schedule, &after, &call->why);
    return err == CAS_OK ? store_schedule_save(call->scene->store, schedule, &call->why) : err;
}

/* Where a site's clocks are set anew, what opens next may be another window. */
static enum cas_err arm_all(struct ask_call *call)
{
    struct store_schedule *all = malloc(SCHEDULE_MOST * sizeof *all);
    size_t n = 0;
    if (all == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = store_schedules_read(call->scene->store, SCHEDULE_MOST, all, &n, &call->why);
    for (size_t i = 0; i < n && err == CAS_OK; i++)
        err = arm_again(call, &all[i]);
    free(all);
    return err;
}

static enum cas_err check_room(struct ask_call *call, const char *name)
{
    struct window_site site[WINDOW_SITES];
    size_t n = 0;
    bool is_known = false;
    enum cas_err err = store_sites_read(call->scene->store, WINDOW_SITES, site, &n, &call->why);
    for (size_t i = 0; i < n && err == CAS_OK; i++)
        is_known = is_known || strcmp(site[i].name, name) == 0;
    if (err == CAS_OK && !is_known && n == WINDOW_SITES)
        return cas_fail(&call->why,
                        CAS_ERR_TOO_MANY,
                        "%d sites have a time zone, at most",
                        WINDOW_SITES);
    return err;
}

static enum cas_err site_arguments(struct ask_call *call, struct window_site *ret_site)
{
    struct cas_slice name = ask_get(call, "id");
    if (!cas_is_name(name))
        return cas_fail(&call->why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is no name of a site: 1 to 63 of letters, digits, . _ -",
                        (int)(name.size < SHOWN_BYTES ? name.size : SHOWN_BYTES),
                        name.data == NULL ? "" : name.data);
    enum cas_err err = cas_slice_copy(name, ret_site->name, sizeof ret_site->name);
    if (err == CAS_OK)
        err = window_zone_check(ask_get(call, "zone"), ret_site->zone, &call->why);
    /* A mistake of typing, not servers that are not there. */
    return err == CAS_ERR_NOT_FOUND ? CAS_ERR_RANGE : err;
}

static enum cas_err answer(struct ask_call *call, const struct window_site *site)
{
    char words[CAS_NAME_BYTES + WINDOW_ZONE_BYTES + 160], local[64] = "";
    int32_t off_s = 0;
    size_t server_n = 0;
    struct cas_text text = CAS_TEXT(local);
    enum cas_err err = window_offset(site->zone, call->scene->now.wall_ms, &off_s, &call->why);
    if (err != CAS_OK)
        return err;
    window_text_time(&text, call->scene->now.wall_ms, off_s);
    for (size_t i = 0; i < inventory_size(call->scene->inventory); i++) {
        const struct inventory_server *server = inventory_at(call->scene->inventory, i);
        server_n += strcmp(server->label[LABEL_SITE], site->name) == 0 ? 1 : 0;
    }
    (void)snprintf(words,
                   sizeof words,
                   "%s goes by %s, where it is %s.  %zu servers%s",
                   site->name,
                   site->zone,
                   local,
                   server_n,
                   server_n == 0 ? ": is its name written as its servers' label is?" : "");
    static const char *const next[] = {"casfleet site list", "casfleet schedule list", NULL};
    return view_done(&call->view, words, NULL, next, &call->reply->document);
}

enum cas_err ask_site_zone(struct ask_call *call)
{
    struct window_site site = {.name = ""};
    char words[WINDOW_ZONE_BYTES + 32];
    enum cas_err err = site_arguments(call, &site);
    if (err == CAS_OK)
        err = check_room(call, site.name);
    if (err != CAS_OK)
        return err;
    (void)snprintf(words, sizeof words, "goes by %s", site.zone);
    err = store_site_save(call->scene->store, &site, &call->why);
    if (err == CAS_OK)
        err = arm_all(call);
    err = ask_settle(call, err, site.name, words);
    return err == CAS_OK ? answer(call, &site) : err;
}
