/* view_json.h - small steps every document takes; within view only. */
#ifndef CONTROLLER_VIEW_VIEW_JSON_H
#define CONTROLLER_VIEW_VIEW_JSON_H

#include <jansson.h>

#include "controller/view/view_schedule.h"

enum {
    VIEW_TEXT_BYTES = 512,
    VIEW_FOLD_BYTES = 16384
};

/* A document begun: apiVersion, kind, at. NULL when memory is short. */
json_t *view_begin(const struct view_scene *scene, const char *kind);
/* Takes the document over, in every case. */
CAS_CHECK enum cas_err view_finish(json_t *document, char **ret_document);

void view_set_text(json_t *object, const char *key, const char *text); /* "" and NULL give null */
void view_set_time(json_t *object, const char *key, int64_t wall_ms);  /* 0 gives null */
void view_set_value(json_t *object, const char *key, const struct inventory_value *value);
void view_set_count(json_t *object, const char *key, size_t count);
/* "412" as "r-0412". */
void view_rollout_id(uint64_t seq, char ret_id[24]);
/* Positions folded into object[key]. */
CAS_CHECK enum cas_err view_set_fold(json_t *object,
                                     const char *key,
                                     const struct inventory *inventory,
                                     const size_t *at,
                                     size_t n);
/* object["frozen"] as a ScheduleList has it, object["schedule"]: the one that begins first, or
 * null.
 */
CAS_CHECK enum cas_err
view_set_coming(const struct view_scene *scene, json_t *object, struct cas_why *why);
/* Appends {"words","command","detail"} to a list; detail may be NULL. */
void view_add_next(json_t *list, const char *command, const char *detail);
int64_t view_age(const struct view_scene *scene, int64_t wall_ms); /* never below 0 */
/* The rollout that has a step of this server under way or a slot held; NULL none; *ret_step its
 * index. */
const struct rollout *
view_rollout_of(const struct view_scene *scene, uint32_t server_id, size_t *ret_step);
json_t *view_rollout_json(const struct view_scene *scene,
                          const struct rollout *rollout,
                          bool *ret_attention);
json_t *view_server_json(const struct view_scene *scene, const struct inventory_server *server);
/* object["zone"]: a site's time zone, null when it has none. */
void view_set_zone(const struct view_scene *scene, json_t *object, const char *site);
/* The Schedule document, with so many of its next windows. *ret_json: caller's. */
CAS_CHECK enum cas_err view_schedule_json(const struct view_scene *scene,
                                          const struct store_schedule *schedule,
                                          size_t windows_n,
                                          json_t **ret_json,
                                          struct cas_why *why);

/* Lines of a Why: {"at_ms","age_ms","words"}; at_ms 0: of no time. */
void view_add_line(json_t *items,
                   const struct view_scene *scene,
                   int64_t at_ms,
                   const char *fmt,
                   ...) CAS_PRINTF(4, 5);
/* history and evidence of a Why, oldest first. about: only rows that are about it, too; NULL all.
 * halted_ms: of the halt whose evidence is asked for; 0 none. */
void view_add_history(const struct view_scene *scene,
                      json_t *document,
                      const char *subject,
                      const char *about,
                      int64_t halted_ms);
/* What is sure of a failed step, and what is not. */
void view_why_failed(const struct view_scene *scene,
                     const struct rollout *rollout,
                     const struct rollout_step *step,
                     json_t *items);
const char *view_fix_words(enum compliance_fix fix);

#endif
