#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

/* The servers of all waves, by position. Caller frees. */
static size_t
plan_servers(const struct view_scene *scene, const struct record_plan_body *body, size_t **ret_at)
{
    size_t *at = calloc(inventory_size(scene->inventory) + 1, sizeof *at);
    char *steps = calloc(body->steps.size + 1, 1);
    size_t n = 0;
    if (at != NULL && steps != NULL && body->steps.size > 0) {
        memcpy(steps, body->steps.data, body->steps.size);
        for (size_t i = 0; i < body->steps.size; i++) {
            if (steps[i] == ';')
                steps[i] = ',';
        }
        struct inventory_choice choice = {.targets = cas_slice_of(steps)};
        if (inventory_choose(scene->inventory, &choice, scene->now.mono_ms, at, &n, NULL) != CAS_OK)
            n = 0;
    }
    free(steps);
    *ret_at = at;
    return n;
}

/* Both workers of an overlapped recycle are in memory at once: what stays free on the tightest
 * server. */
static json_t *plan_ram(const struct view_scene *scene, const size_t *at, size_t n)
{
    json_t *ram = json_object();
    json_t *unfit = json_array();
    size_t known = 0;
    double spare = 0;
    const char *tightest = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct inventory_server *server = inventory_at(scene->inventory, at[i]);
        const struct inventory_value *available = &server->value[SYMPTOM_memory_available];
        const struct inventory_value *worker = &server->value[SYMPTOM_private_bytes];
        if (!available->is_known || !worker->is_known)
            continue;
        double left = available->value - worker->value;
        if (tightest == NULL || left < spare) {
            spare = left;
            tightest = server->name;
        }
        if (left < 0)
            json_array_append_new(unfit, json_string(server->name));
        known++;
    }
    view_set_text(ram, "tightest", tightest);
    json_object_set_new(ram, "spare_bytes", tightest == NULL ? json_null() : json_real(spare));
    view_set_count(ram, "known", known);
    json_object_set_new(ram, "unfit", unfit);
    return ram;
}

static json_t *plan_waves(const struct record_plan_body *body)
{
    json_t *waves = json_array();
    size_t begin = 0, wave = 0;
    for (size_t i = 0; i <= body->steps.size; i++) {
        if (i < body->steps.size && body->steps.data[i] != ';')
            continue;
        json_t *item = json_object();
        view_set_count(item, "wave", ++wave);
        json_object_set_new(item, "servers", json_stringn(body->steps.data + begin, i - begin));
        json_array_append_new(waves, item);
        begin = i + 1;
    }
    return waves;
}

static json_t *plan_floors(const struct rollout_draft *draft)
{
    json_t *floors = json_array();
    for (size_t i = 0; i < draft->floor_n; i++) {
        json_t *item = json_object();
        uint32_t size = draft->floor[i].server_n;
        uint32_t worst = draft->floor[i].at_once_worst + draft->floor[i].out_now;
        view_set_text(item, "group", draft->floor[i].group);
        view_set_count(item, "servers", size);
        view_set_count(item, "planned", draft->floor[i].planned_n);
        view_set_count(item, "may_be_out", draft->floor[i].may_be_out);
        view_set_count(item, "out_now", draft->floor[i].out_now);
        view_set_count(item, "least", size - draft->floor[i].may_be_out);
        view_set_count(item, "in_service_worst", size > worst ? size - worst : 0);
        json_object_set_new(item, "holds", json_boolean(draft->floor[i].holds));
        json_array_append_new(floors, item);
    }
    return floors;
}

static json_t *plan_skips(const struct view_scene *scene, const struct rollout_draft *draft)
{
    json_t *skips = json_array();
    for (size_t i = 0; i < draft->skip_n; i++) {
        json_t *item = json_object();
        const struct inventory_server *server = inventory_at(scene->inventory, draft->skip[i].at);
        view_set_text(item, "server", server->name);
        view_set_text(item, "words", draft->skip[i].words);
        json_array_append_new(skips, item);
    }
    return skips;
}

static size_t other_open_plans(const struct view_scene *scene)
{
    size_t n = 0;
    for (size_t i = 0; i < rollout_book_size(scene->book); i++) {
        enum rollout_state state = rollout_at(scene->book, i)->state;
        n += state != ROLLOUT_DONE && state != ROLLOUT_ENDED && state != ROLLOUT_MISSED;
    }
    return n;
}

static void plan_numbers(json_t *document, const struct record_plan_body *body)
{
    json_object_set_new(document, "start_ms", json_integer(body->start_ms));
    json_object_set_new(document, "until_ms", json_integer(body->until_ms));
    view_set_count(document, "at_once", (size_t)body->at_once);
    view_set_count(document, "gap_ms", (size_t)body->gap_ms);
    view_set_count(document, "settle_ms", (size_t)body->settle_ms);
    view_set_count(document, "drain_ms", (size_t)body->drain_ms);
    view_set_count(document, "proof_ms", (size_t)body->proof_ms);
    view_set_count(document, "healthy_n", (size_t)body->healthy_n);
    view_set_count(document, "stop_after", (size_t)body->stop_after);
    view_set_count(document, "floor_pct", (size_t)body->floor_pct);
    json_object_set_new(document, "by", json_stringn(body->by.data, body->by.size));
    json_object_set_new(document, "pool", json_stringn(body->pool.data, body->pool.size));
    view_set_text(document, "verb", verb_name((enum verb)body->verb));
}

enum cas_err view_plan(const struct view_scene *scene,
                       const struct rollout_draft *draft,
                       size_t chosen_n,
                       bool has_canary,
                       const char *refused,
                       char **ret_document)
{
    json_t *document = view_begin(scene, "Plan");
    if (document == NULL)
        return CAS_ERR_NOMEM;
    const struct record_plan_body *body = &draft->body;
    char id[24];
    view_rollout_id(body->rollout_seq, id);
    view_set_text(document, "id", id);
    plan_numbers(document, body);
    view_set_count(document, "planned", draft->server_n);
    view_set_count(document, "chosen", chosen_n);
    json_object_set_new(document, "canary", json_boolean(has_canary));
    json_object_set_new(document, "waves", plan_waves(body));
    json_object_set_new(document, "skip", plan_skips(scene, draft));
    view_set_count(document, "answering", draft->answering_n);
    view_set_count(document, "other_plans", other_open_plans(scene));
    size_t *at = NULL;
    size_t n = plan_servers(scene, body, &at);
    json_object_set_new(document, "ram", plan_ram(scene, at, n));
    enum cas_err err = view_set_fold(document, "servers", scene->inventory, at, n);
    free(at);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    json_object_set_new(document, "floor", plan_floors(draft));
    json_object_set_new(document, "likely_ms", json_integer(draft->likely_ms));
    json_object_set_new(document, "worst_ms", json_integer(draft->worst_ms));
    json_object_set_new(document, "ends_ms", json_integer(body->start_ms + draft->likely_ms));
    json_object_set_new(document, "fits", json_boolean(draft->fits));
    json_object_set_new(document, "valid_ms", json_integer(PLAN_VALID_MS));
    view_set_text(document, "refused", refused);
    json_t *next = json_array();
    char command[96];
    struct cas_text text = CAS_TEXT(command);
    cas_text_add(&text, "casfleet recycle run %s --reason \"...\"", id);
    if (refused == NULL || refused[0] == '\0')
        view_add_next(next, command, "valid 30 min, exactly what is shown");
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}
