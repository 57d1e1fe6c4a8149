#include "controller/view/view_simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/view/view_json.h"

static const int64_t week_ms = INT64_C(7) * 24 * 60 * 60 * 1000;

static const char *name_at(const struct view_scene *scene, size_t position)
{
    return inventory_at(scene->inventory, position)->name;
}

static void set_null(json_t *item, const char *const *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_object_set_new(item, key[i], json_null());
}

static void set_load(json_t *item, const struct view_scene *scene, const struct simulate_row *row)
{
    static const char *const keys[] = {"requests", "was", "server", "at_ms"};
    json_object_set_new(item, "known", json_boolean(row->is_known));
    if (!row->is_known) {
        set_null(item, keys, CAS_COUNT(keys));
        return;
    }
    json_object_set_new(item, "requests", json_real(row->requests));
    json_object_set_new(item, "was", json_real(row->was));
    view_set_text(item, "server", name_at(scene, row->server));
    view_set_time(item, "at_ms", row->at_ms);
}

/* *ret_pct: of the group's own peak; below 0 when it is not known, or was 0. */
static void set_peak(json_t *item,
                     const struct view_scene *scene,
                     const struct view_simulation *simulation,
                     const struct simulate_row *row,
                     double *ret_pct)
{
    static const char *const keys[] = {"peak", "peak_server", "peak_ms", "pct"};
    const struct simulate_reading *peak = simulation->peak[row->group];
    *ret_pct = -1;
    if (peak == NULL) {
        set_null(item, keys, CAS_COUNT(keys));
        return;
    }
    if (row->is_known && peak->requests > 0)
        *ret_pct = 100 * row->requests / peak->requests;
    json_object_set_new(item, "peak", json_real(peak->requests));
    view_set_text(item, "peak_server", name_at(scene, peak->server));
    view_set_time(item, "peak_ms", peak->at_ms);
    json_object_set_new(item, "pct", *ret_pct < 0 ? json_null() : json_real(*ret_pct));
}

static enum cas_err set_out(json_t *item,
                            const struct view_scene *scene,
                            const struct view_simulation *simulation,
                            const struct simulate_row *row)
{
    size_t n = 0;
    size_t *at = calloc(simulation->record.server_n + 1, sizeof *at);
    if (at == NULL)
        return CAS_ERR_NOMEM;
    for (size_t s = 0; s < simulation->record.server_n; s++) {
        const struct simulate_server *server = &simulation->record.server[s];
        if (server->wave == row->wave && server->group == row->group)
            at[n++] = s;
    }
    enum cas_err err = view_set_fold(item, "servers", scene->inventory, at, n);
    free(at);
    return err;
}

static enum cas_err set_rows(json_t *document,
                             const struct view_scene *scene,
                             const struct view_simulation *simulation,
                             bool *ret_attention)
{
    json_t *items = json_array();
    json_t *worst = NULL;
    double worst_pct = -1;
    enum cas_err err = CAS_OK;
    *ret_attention = simulation->row_n == 0;
    for (size_t i = 0; i < simulation->row_n && err == CAS_OK; i++) {
        const struct simulate_row *row = &simulation->row[i];
        json_t *item = json_object();
        double pct = -1;
        view_set_count(item, "wave", row->wave);
        view_set_text(item, "group", inventory_at(scene->inventory, row->first)->label[LABEL_SITE]);
        err = set_out(item, scene, simulation, row);
        view_set_time(item, "start_ms", row->start_ms + simulation->back_ms);
        view_set_count(item, "out", row->out_n);
        view_set_count(item, "left", row->left_n);
        view_set_count(item, "moments", row->moment_n);
        view_set_count(item, "unjudged", row->unjudged_n);
        set_load(item, scene, row);
        set_peak(item, scene, simulation, row, &pct);
        if (pct > worst_pct) {
            worst_pct = pct;
            worst = item;
        }
        *ret_attention = *ret_attention || !row->is_known || pct > 100;
        json_array_append_new(items, item);
    }
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "worst", worst == NULL ? json_null() : json_deep_copy(worst));
    return err;
}

/* Moments at which this server's group has somebody out. */
static size_t moments_of(const struct view_simulation *simulation, uint32_t group)
{
    size_t n = 0;
    for (size_t i = 0; i < simulation->row_n; i++)
        n += simulation->row[i].group == group ? simulation->row[i].moment_n : 0;
    return n;
}

static json_t *missing_json(const struct view_scene *scene,
                            const struct view_simulation *simulation)
{
    json_t *missing = json_array();
    for (size_t s = 0; s < simulation->record.server_n; s++) {
        if (simulation->unknown[s] == 0)
            continue;
        size_t moment_n = moments_of(simulation, simulation->record.server[s].group);
        bool is_all = simulation->unknown[s] == moment_n;
        bool is_out = simulation->record.server[s].wave > 0;
        char words[200];
        struct cas_text text = CAS_TEXT(words);
        cas_text_clear(&text);
        if (is_all)
            cas_text_add(&text, "no record of that time");
        else
            cas_text_add(&text,
                         "no record at %zu of %zu moments",
                         simulation->unknown[s],
                         moment_n);
        cas_text_add(&text,
                     "%s",
                     is_out
                         ? ": what it carried then is not known, its own wave is not judged there"
                         : ": it is taken as carrying nothing of what moves");
        json_t *item = json_object();
        view_set_text(item, "server", name_at(scene, s));
        view_set_text(item, "words", words);
        json_array_append_new(missing, item);
    }
    return missing;
}

static void set_head(json_t *document, const struct view_simulation *simulation)
{
    const struct simulate_pace *pace = &simulation->pace;
    char id[24] = "";
    if (simulation->schedule == NULL)
        view_rollout_id(simulation->seq, id);
    int64_t all_ms =
        simulation->wave_n == 0
            ? 0
            : (int64_t)simulation->wave_n * (pace->wave_ms + pace->rest_ms) - pace->rest_ms;
    view_set_text(document, "id", id);
    view_set_text(document, "schedule", simulation->schedule);
    view_set_text(document, "verb", verb_name(simulation->verb));
    view_set_time(document, "start_ms", simulation->start_ms);
    view_set_time(document, "end_ms", simulation->start_ms + all_ms);
    view_set_time(document, "record_ms", pace->start_ms);
    view_set_count(document, "weeks", (size_t)(simulation->back_ms / week_ms));
    view_set_time(document, "since_ms", simulation->since_ms);
    json_object_set_new(document, "look_ms", json_integer(simulation->look_ms));
    json_object_set_new(document, "wave_ms", json_integer(pace->wave_ms));
    json_object_set_new(document, "rest_ms", json_integer(pace->rest_ms));
    json_object_set_new(document, "step_ms", json_integer(pace->step_ms));
    view_set_text(document, "pace", simulation->is_p95 ? "p95" : "limits");
    view_set_count(document, "waves", simulation->wave_n);
    view_set_count(document, "cut_waves", simulation->cut_n);
}

enum cas_err view_simulate(const struct view_scene *scene,
                           const struct view_simulation *simulation,
                           char **ret_document,
                           bool *ret_attention)
{
    json_t *document = view_begin(scene, "Simulation");
    char command[CAS_NAME_BYTES + 24], id[24];
    set_head(document, simulation);
    enum cas_err err = set_rows(document, scene, simulation, ret_attention);
    if (err != CAS_OK) {
        json_decref(document);
        return err;
    }
    json_object_set_new(document, "missing", missing_json(scene, simulation));
    json_t *next = json_array();
    view_rollout_id(simulation->seq, id);
    const char *schedule = simulation->schedule;
    (void)snprintf(command, sizeof command, "casfleet why %s", schedule == NULL ? id : schedule);
    view_add_next(next, command, schedule == NULL ? "the plan, rule by rule" : "its rules");
    json_object_set_new(document, "next", next);
    return view_finish(document, ret_document);
}
