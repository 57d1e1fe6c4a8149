#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

enum {
    PATCH_STALE_MS = 60 * 60 * 1000,
    PATCH_GROUPS = 256
};

struct patch_group {
    char name[LABEL_BYTES];
    size_t *lacking; /* positions, [lacks] */
    size_t has, lacks, unknown;
    json_t *unknown_servers;
};

/* Against `below`, by build alone. A server whose build nobody could read is unknown, never
 * compliant. */
static enum compliance_fix patch_state(const struct inventory_server *server,
                                       const struct compliance_build *below)
{
    if (!server->has_build)
        return COMPLIANCE_UNKNOWN;
    return compliance_compare(&server->build, below) < 0 ? COMPLIANCE_LACKS : COMPLIANCE_HAS;
}

static const struct inventory_fact *build_fact(const struct inventory_server *server)
{
    for (size_t i = 0; i < server->fact_n; i++) {
        if (strcmp(server->fact[i].key, "exchange.build") == 0)
            return &server->fact[i];
    }
    return NULL;
}

static void add_unknown(const struct view_scene *scene,
                        struct patch_group *group,
                        const struct inventory_server *server)
{
    json_t *item = json_object();
    const struct inventory_fact *fact = build_fact(server);
    char words[160];
    struct cas_text text = CAS_TEXT(words);
    enum inventory_service service = inventory_service_of(server, scene->now.mono_ms);
    const char *state = inventory_service_words(service);
    if (fact != NULL && !fact->is_known)
        cas_text_add(&text, "%s, build not read: %s", state, fact->reason);
    else if (fact != NULL)
        cas_text_add(&text, "%s, not an Exchange build: %s", state, fact->value);
    else
        cas_text_add(&text, "%s, build never reported", state);
    view_set_text(item, "server", server->name);
    view_set_text(item, "words", words);
    json_array_append_new(group->unknown_servers, item);
}

static struct patch_group *
group_of(struct patch_group *group, size_t *n, const char *site, size_t most)
{
    const char *name = site[0] == '\0' ? "(no site)" : site;
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(group[i].name, name) == 0)
            return &group[i];
    }
    if (*n == PATCH_GROUPS) { /* the last one takes in all further sites, and says so */
        (void)snprintf(group[PATCH_GROUPS - 1].name, LABEL_BYTES, "(other sites)");
        return &group[PATCH_GROUPS - 1];
    }
    struct patch_group *added = &group[*n];
    added->lacking = calloc(most + 1, sizeof *added->lacking);
    added->unknown_servers = json_array();
    if (added->lacking == NULL)
        return NULL;
    if (cas_slice_copy(cas_slice_of(name), added->name, sizeof added->name) != CAS_OK)
        return NULL;
    *n += 1;
    return added;
}

static enum cas_err groups_json(const struct view_scene *scene,
                                struct patch_group *group,
                                size_t group_n,
                                json_t *document)
{
    json_t *items = json_array();
    size_t has = 0, lacks = 0, unknown = 0;
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < group_n; i++) {
        json_t *item = json_object();
        view_set_text(item, "group", group[i].name);
        view_set_count(item, "servers", group[i].has + group[i].lacks + group[i].unknown);
        view_set_count(item, "has", group[i].has);
        view_set_count(item, "lacks", group[i].lacks);
        view_set_count(item, "unknown", group[i].unknown);
        if (err == CAS_OK)
            err =
                view_set_fold(item, "lacking", scene->inventory, group[i].lacking, group[i].lacks);
        json_object_set(item, "unknown_servers", group[i].unknown_servers);
        json_array_append_new(items, item);
        has += group[i].has;
        lacks += group[i].lacks;
        unknown += group[i].unknown;
    }
    json_object_set_new(document, "items", items);
    json_t *total = json_object();
    view_set_count(total, "servers", has + lacks + unknown);
    view_set_count(total, "has", has);
    view_set_count(total, "lacks", lacks);
    view_set_count(total, "unknown", unknown);
    json_object_set_new(document, "total", total);
    return err;
}

static json_t *stale_json(const struct view_scene *scene, const size_t *at, size_t n)
{
    json_t *stale = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, at[i]);
        bool is_silent = inventory_service_of(server, scene->now.mono_ms) == SERVICE_SILENT;
        int64_t age_ms = view_age(scene, server->live.heard_ms);
        if (!server->has_build || !is_silent || age_ms < PATCH_STALE_MS)
            continue;
        json_t *item = json_object();
        view_set_text(item, "server", server->name);
        view_set_time(item, "counted_ms", server->live.heard_ms);
        json_object_set_new(item, "age_ms", json_integer(age_ms));
        json_array_append_new(stale, item);
    }
    return stale;
}

static int by_build(const void *a, const void *b)
{
    const struct inventory_server *const *left = a;
    const struct inventory_server *const *right = b;
    return compliance_compare(&(*left)->build, &(*right)->build);
}

static json_t *builds_json(const struct view_scene *scene, const size_t *at, size_t n)
{
    json_t *list = json_array();
    const struct inventory_server **server = calloc(n + 1, sizeof *server);
    size_t known = 0;
    for (size_t i = 0; server != NULL && i < n; i++) {
        server[known] = inventory_at(scene->inventory, at[i]);
        known += server[known]->has_build;
    }
    if (known > 0)
        qsort(server, known, sizeof *server, by_build);
    for (size_t i = 0; i < known;) {
        size_t same = i;
        while (same < known && compliance_compare(&server[i]->build, &server[same]->build) == 0)
            same++;
        char build[64], name[96];
        struct cas_text build_text = CAS_TEXT(build), name_text = CAS_TEXT(name);
        compliance_text(&server[i]->build, &build_text);
        compliance_name(&server[i]->build, &name_text);
        json_t *item = json_object();
        view_set_text(item, "name", name);
        view_set_text(item, "build", build);
        view_set_count(item, "n", same - i);
        view_set_text(item, "fix", view_fix_words(compliance_has_fix(&server[i]->build)));
        json_array_append_new(list, item);
        i = same;
    }
    free(server);
    return list;
}

static enum cas_err gather(const struct view_scene *scene,
                           const size_t *at,
                           size_t n,
                           const struct compliance_build *below,
                           struct patch_group *group,
                           size_t *ret_n)
{
    for (size_t i = 0; i < n; i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, at[i]);
        struct patch_group *one = group_of(group, ret_n, server->label[LABEL_SITE], n);
        if (one == NULL)
            return CAS_ERR_NOMEM;
        switch (patch_state(server, below)) {
        case COMPLIANCE_HAS:
            one->has++;
            break;
        case COMPLIANCE_LACKS:
            one->lacking[one->lacks++] = at[i];
            break;
        case COMPLIANCE_UNKNOWN:
            one->unknown++;
            add_unknown(scene, one, server);
            break;
        }
    }
    return CAS_OK;
}

enum cas_err view_patch(const struct view_scene *scene,
                        const size_t *at,
                        size_t n,
                        const struct compliance_build *below,
                        const char *below_name,
                        char **ret_document)
{
    struct patch_group *group = calloc(PATCH_GROUPS, sizeof *group);
    size_t group_n = 0;
    if (group == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = gather(scene, at, n, below, group, &group_n);
    json_t *document = view_begin(scene, "PatchReport");
    if (err == CAS_OK)
        err = groups_json(scene, group, group_n, document);
    for (size_t i = 0; i < group_n; i++) {
        free(group[i].lacking);
        json_decref(group[i].unknown_servers);
    }
    free(group);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    json_t *named = json_object();
    char build[64];
    struct cas_text text = CAS_TEXT(build);
    compliance_text(below, &text);
    view_set_text(named, "name", below_name);
    view_set_text(named, "build", build);
    json_object_set_new(document, "below", named);
    json_object_set_new(document, "by_build", builds_json(scene, at, n));
    json_object_set_new(document, "stale", stale_json(scene, at, n));
    return view_finish(document, ret_document);
}
