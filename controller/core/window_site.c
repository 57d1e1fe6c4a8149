#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/window.h"
#include "controller/core/window_inside.h"

enum {
    SHOWN_BYTES = 60,
};

bool window_is_by_site(const struct window_rule *rule)
{
    return rule->zone[0] == '\0';
}

struct window_rule window_at_site(const struct window_rule *rule, const char *zone)
{
    struct window_rule own = *rule;
    if (window_is_by_site(rule))
        (void)snprintf(own.zone, sizeof own.zone, "%s", zone);
    return own;
}

enum cas_err
window_zone_check(struct cas_slice text, char ret_zone[WINDOW_ZONE_BYTES], struct cas_why *why)
{
    char zone[WINDOW_ZONE_BYTES];
    if (cas_slice_copy(text, zone, sizeof zone) != CAS_OK || window_zone(zone) == NULL)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "\"%.*s\": no time zone of this system (tzdata); they are written as "
                        "Europe/London, or UTC",
                        (int)(text.size < SHOWN_BYTES ? text.size : SHOWN_BYTES),
                        text.size == 0 ? "" : text.data);
    memcpy(ret_zone, zone, sizeof zone);
    return CAS_OK;
}

enum cas_err
window_offset(const char *zone, int64_t wall_ms, int32_t *ret_off_s, struct cas_why *why)
{
    icaltimezone *known = window_zone(zone);
    if (known == NULL)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "the time zone \"%s\" is not known to this system: is tzdata installed?",
                        zone);
    int is_daylight = 0;
    struct icaltimetype at = window_utc(wall_ms / 1000);
    *ret_off_s = (int32_t)icaltimezone_get_utc_offset_of_utc_time(known, &at, &is_daylight);
    return CAS_OK;
}

/* Sites come in order of name: so do openings at one instant. */
static int compare_openings(const void *left, const void *right)
{
    const struct window_opening *a = left, *b = right;
    if (a->time.start_ms != b->time.start_ms)
        return a->time.start_ms < b->time.start_ms ? -1 : 1;
    return a->site < b->site ? -1 : a->site > b->site;
}

/* The first most of all, kept in order: room for those of one site more. */
static size_t merge(struct window_opening *all,
                    size_t n,
                    const struct window_time *time,
                    size_t time_n,
                    size_t site,
                    size_t most)
{
    for (size_t i = 0; i < time_n; i++)
        all[n++] = (struct window_opening){.time = time[i], .site = site};
    qsort(all, n, sizeof *all, compare_openings);
    return n < most ? n : most;
}

enum cas_err window_openings(const struct window_rule *rule,
                             const struct window_site *site,
                             size_t n,
                             const struct window_cursor *after,
                             size_t most,
                             struct window_opening *ret_opening,
                             size_t *ret_n,
                             struct cas_why *why)
{
    static const struct window_site nowhere = {.name = ""};
    bool is_by_site = window_is_by_site(rule);
    enum cas_err err = window_check_most(most, why);
    if (err != CAS_OK)
        return err;
    struct window_time *time = calloc(most, sizeof *time);
    struct window_opening *all = calloc(2 * most, sizeof *all);
    err = time == NULL || all == NULL ? CAS_ERR_NOMEM : CAS_OK;
    size_t all_n = 0;
    for (size_t i = 0; i < (is_by_site ? n : 1) && err == CAS_OK; i++) {
        const struct window_site *here = is_by_site ? &site[i] : &nowhere;
        struct window_rule own = window_at_site(rule, here->zone);
        int order = after->site == NULL ? -1 : strcmp(here->name, after->site);
        bool is_to_come = order > 0 || (order == 0 && after->has_site);
        size_t time_n = 0;
        err = window_next(&own, after->ms - (is_to_come ? 1 : 0), most, time, &time_n, why);
        if (err == CAS_OK)
            all_n = merge(all, all_n, time, time_n, i, most);
    }
    if (err == CAS_OK && all_n > 0)
        memcpy(ret_opening, all, all_n * sizeof *all);
    if (err == CAS_OK)
        *ret_n = all_n;
    free(time);
    free(all);
    return err;
}
