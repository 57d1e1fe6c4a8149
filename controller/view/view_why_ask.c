#include <stdio.h>

#include "controller/view/view_json.h"
#include "controller/view/view_why.h"

static void draft_items(const struct view_scene *scene,
                        const struct record_plan_body *body,
                        const struct store_freeze *freeze,
                        json_t *items)
{
    char span[48];
    struct cas_text text = CAS_TEXT(span);
    cas_text_clear(&text);
    int64_t left_ms = body->made_ms + PLAN_VALID_MS - scene->now.wall_ms;
    cas_text_span(&text, left_ms > 0 ? left_ms : 0);
    view_add_line(items,
                  scene,
                  body->made_ms,
                  "made by %.*s: %s on %.*s, at most %llu at once",
                  (int)body->by.size,
                  body->by.data,
                  verb_name((enum verb)body->verb),
                  (int)(body->steps.size < 300 ? body->steps.size : 300),
                  body->steps.data,
                  (unsigned long long)body->at_once);
    view_add_line(items,
                  scene,
                  0,
                  "rule: a plan runs as it was shown or not at all: it can be run for another %s",
                  span);
    if (freeze->is_on)
        view_add_line(items,
                      scene,
                      freeze->at_ms,
                      "rule: the farm is frozen by %s%s%s: run would be refused now",
                      freeze->by,
                      freeze->reason[0] != '\0' ? ", " : "",
                      freeze->reason);
    if (body->until_ms <= scene->now.wall_ms)
        view_add_line(items,
                      scene,
                      body->until_ms,
                      "rule: its window is over: run would be refused");
}

enum cas_err view_why_draft(const struct view_scene *scene,
                            uint64_t seq,
                            const struct record_plan_body *body,
                            const struct store_freeze *freeze,
                            char **ret_document)
{
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array(), *next = json_array();
    char id[24], command[80];
    view_rollout_id(seq, id);
    view_set_text(document, "what", "draft");
    view_set_text(document, "subject", id);
    if (body != NULL) {
        view_set_text(document, "words", "a plan nobody has run: nothing is scheduled");
        draft_items(scene, body, freeze, items);
        (void)snprintf(command, sizeof command, "casfleet recycle run %s --reason TEXT", id);
        view_add_next(next, command, "exactly what was shown");
    } else {
        view_set_text(document, "words", "a plan nobody has run in time: it can be run no more");
        view_add_line(items,
                      scene,
                      0,
                      "rule: a plan can be run for %d min; what it was made from is older now",
                      PLAN_VALID_MS / 60000);
        view_add_next(next, "casfleet recycle plan TARGET", "a new one, from what is now");
    }
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", next);
    view_add_history(scene, document, id, NULL, 0);
    return view_finish(document, ret_document);
}

enum cas_err view_why_verb(const struct view_scene *scene,
                           enum ask_verb verb,
                           enum ask_role role,
                           char **ret_document)
{
    json_t *document = view_begin(scene, "Why");
    json_t *items = json_array();
    bool is_allowed = ask_is_allowed(role, verb);
    const char *need = ask_role_name(ask_role(verb));
    const char *has = ask_role_name(role);
    view_set_text(document, "what", "verb");
    view_set_text(document, "subject", ask_name(verb));
    view_set_text(document, "words", is_allowed ? "allowed to you" : "refused to you");
    view_add_line(items,
                  scene,
                  0,
                  "rule: it needs %s, you are %s",
                  need == NULL ? "more than any role" : need,
                  has == NULL ? "no operator" : has);
    json_object_set_new(document, "items", items);
    json_object_set_new(document, "next", json_array());
    view_add_history(scene, document, ask_name(verb), NULL, 0);
    return view_finish(document, ret_document);
}
