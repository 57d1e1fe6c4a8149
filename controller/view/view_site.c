#include <stdio.h>
#include <string.h>

#include "controller/view/view_json.h"
#include "controller/view/view_schedule.h"

static const char *site_of(const struct view_scene *scene, size_t at)
{
    return inventory_at(scene->inventory, at)->label[LABEL_SITE];
}

static bool is_among(const struct view_scene *scene, const size_t *at, size_t n, const char *site)
{
    bool is_one = false;
    for (size_t i = 0; i < n && !is_one; i++)
        is_one = strcmp(site_of(scene, at[i]), site) == 0;
    return is_one;
}

enum cas_err view_sites_of(const struct view_scene *scene,
                           const size_t *at,
                           size_t n,
                           struct view_sites *ret_sites,
                           struct cas_why *why)
{
    struct view_sites all = {.n = 0};
    enum cas_err err = store_sites_read(scene->store, WINDOW_SITES, all.site, &all.n, why);
    if (err != CAS_OK)
        return err;
    *ret_sites = (struct view_sites){.n = 0};
    for (size_t i = 0; i < all.n; i++) {
        if (is_among(scene, at, n, all.site[i].name))
            ret_sites->site[ret_sites->n++] = all.site[i];
    }
    return CAS_OK;
}

static const struct window_site *find(const struct view_sites *sites, const char *name)
{
    for (size_t i = 0; i < sites->n; i++) {
        if (strcmp(sites->site[i].name, name) == 0)
            return &sites->site[i];
    }
    return NULL;
}

enum cas_err
view_sites_check(const struct view_scene *scene, const size_t *at, size_t n, struct cas_why *why)
{
    struct view_sites all = {.n = 0};
    enum cas_err err = store_sites_read(scene->store, WINDOW_SITES, all.site, &all.n, why);
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        const char *site = site_of(scene, at[i]),
                   *name = inventory_at(scene->inventory, at[i])->name;
        if (site[0] == '\0')
            err = cas_fail(why,
                           CAS_ERR_GUARD,
                           "%s has no site, so a window by site time never opens for it: "
                           "casfleet server label %s --site SITE",
                           name,
                           name);
        else if (find(&all, site) == NULL)
            err = cas_fail(why,
                           CAS_ERR_GUARD,
                           "site %s has no time zone, so a window by site time never opens there: "
                           "casfleet site zone %s Europe/London, or where it is",
                           site,
                           site);
    }
    return err;
}

void view_set_zone(const struct view_scene *scene, json_t *object, const char *site)
{
    struct view_sites all = {.n = 0};
    const struct window_site *known = NULL;
    if (store_sites_read(scene->store, WINDOW_SITES, all.site, &all.n, NULL) == CAS_OK)
        known = find(&all, site);
    view_set_text(object, "zone", known != NULL ? known->zone : NULL);
}

static json_t *site_json(const struct view_scene *scene, const char *name, const char *zone)
{
    json_t *item = json_object();
    char local[64] = "";
    int32_t off_s = 0;
    size_t server_n = 0;
    struct cas_text text = CAS_TEXT(local);
    for (size_t i = 0; i < inventory_size(scene->inventory); i++)
        server_n += strcmp(site_of(scene, i), name) == 0 ? 1 : 0;
    bool has_zone = zone != NULL && window_offset(zone, scene->now.wall_ms, &off_s, NULL) == CAS_OK;
    if (has_zone)
        window_text_time(&text, scene->now.wall_ms, off_s);
    view_set_text(item, "name", name);
    view_set_text(item, "zone", zone);
    view_set_text(item, "local", local);
    json_object_set_new(item, "offset_s", has_zone ? json_integer(off_s) : json_null());
    view_set_count(item, "servers", server_n);
    return item;
}

/* Those with a zone, then those that servers are of and that have none. */
enum cas_err
view_site_list(const struct view_scene *scene, char **ret_document, struct cas_why *why)
{
    struct view_sites all = {.n = 0};
    enum cas_err err = store_sites_read(scene->store, WINDOW_SITES, all.site, &all.n, why);
    if (err != CAS_OK)
        return err;
    json_t *document = view_begin(scene, "SiteList");
    json_t *items = json_array(), *next = json_array();
    for (size_t i = 0; i < all.n; i++)
        json_array_append_new(items, site_json(scene, all.site[i].name, all.site[i].zone));
    for (size_t i = 0; i < inventory_size(scene->inventory); i++) {
        const char *name = site_of(scene, i);
        bool is_told = name[0] == '\0' || find(&all, name) != NULL;
        for (size_t k = 0; k < i && !is_told; k++)
            is_told = strcmp(site_of(scene, k), name) == 0;
        if (is_told)
            continue;
        char command[CAS_NAME_BYTES + 48];
        (void)snprintf(command, sizeof command, "casfleet site zone %s Europe/London", name);
        json_array_append_new(items, site_json(scene, name, NULL));
        view_add_next(next, command, "or where it is: it has no time zone");
    }
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}
