#include "controller/view/view_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *view_begin(const struct view_scene *scene, const char *kind)
{
    char at[40];
    struct cas_text text = CAS_TEXT(at);
    cas_text_utc(&text, scene->now.wall_ms);
    return json_pack("{s:s, s:s, s:s, s:I}",
                     "apiVersion",
                     "casfleet/v1",
                     "kind",
                     kind,
                     "at",
                     at,
                     "at_ms",
                     (json_int_t)scene->now.wall_ms);
}

enum cas_err view_finish(json_t *document, char **ret_document)
{
    if (document == NULL)
        return CAS_ERR_NOMEM;
    char *text = json_dumps(document, JSON_ENSURE_ASCII | JSON_COMPACT);
    json_decref(document);
    if (text == NULL)
        return CAS_ERR_NOMEM;
    *ret_document = text;
    return CAS_OK;
}

void view_set_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text == NULL || text[0] == '\0' ? json_null() : json_string(text);
    json_object_set_new(object, key, value);
}

void view_set_time(json_t *object, const char *key, int64_t wall_ms)
{
    json_object_set_new(object, key, wall_ms == 0 ? json_null() : json_integer(wall_ms));
}

void view_set_value(json_t *object, const char *key, const struct inventory_value *value)
{
    bool is_shown = value->is_known && value->at_ms != 0 && cas_is_number(value->value);
    json_object_set_new(object, key, is_shown ? json_real(value->value) : json_null());
}

void view_set_count(json_t *object, const char *key, size_t count)
{
    json_object_set_new(object, key, json_integer((json_int_t)count));
}

void view_rollout_id(uint64_t seq, char ret_id[24])
{
    snprintf(ret_id, 24, "r-%04llu", (unsigned long long)seq);
}

enum cas_err view_set_fold(json_t *object,
                           const char *key,
                           const struct inventory *inventory,
                           const size_t *at,
                           size_t n)
{
    char *folded = calloc(1, VIEW_FOLD_BYTES);
    if (folded == NULL)
        return CAS_ERR_NOMEM;
    struct cas_text text = {.data = folded, .cap = VIEW_FOLD_BYTES};
    inventory_fold(inventory, at, n, &text);
    json_object_set_new(object, key, json_string(folded));
    free(folded);
    return CAS_OK;
}

void view_add_next(json_t *list, const char *command, const char *detail)
{
    json_t *item = json_object();
    view_set_text(item, "command", command);
    view_set_text(item, "detail", detail);
    json_array_append_new(list, item);
}

int64_t view_age(const struct view_scene *scene, int64_t wall_ms)
{
    int64_t age_ms = scene->now.wall_ms - wall_ms;
    return age_ms > 0 ? age_ms : 0;
}

const struct rollout *
view_rollout_of(const struct view_scene *scene, uint32_t server_id, size_t *ret_step)
{
    for (size_t i = rollout_book_size(scene->book); i > 0; i--) {
        const struct rollout *rollout = rollout_at(scene->book, i - 1);
        for (size_t s = 0; s < rollout->step_n; s++) {
            const struct rollout_step *step = &rollout->step[s];
            if (step->server_id != server_id || !step->holds_slot)
                continue;
            *ret_step = s;
            return rollout;
        }
    }
    return NULL;
}

const char *view_fix_words(enum compliance_fix fix)
{
    switch (fix) {
    case COMPLIANCE_HAS:
        return "has";
    case COMPLIANCE_LACKS:
        return "lacks";
    case COMPLIANCE_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

enum cas_err view_done(const struct view_scene *scene,
                       const char *words,
                       const char *const *lines,
                       const char *const *next,
                       char **ret_document)
{
    json_t *document = view_begin(scene, "Done");
    if (document == NULL)
        return CAS_ERR_NOMEM;
    view_set_text(document, "words", words);
    json_t *line_list = json_array();
    for (size_t i = 0; lines != NULL && lines[i] != NULL; i++)
        json_array_append_new(line_list, json_string(lines[i]));
    json_object_set_new(document, "lines", line_list);
    json_t *next_list = json_array();
    for (size_t i = 0; next != NULL && next[i] != NULL; i++)
        view_add_next(next_list, next[i], NULL);
    json_object_set_new(document, "next", next_list);
    return view_finish(document, ret_document);
}
