/* view_why.h - why is a step, a schedule, a plan nobody ran or a verb as it is, as documents.
 *
 * A third door of view; servers and rollouts stand in view.h. All answer a Why: subject, what
 * (step|absent|schedule|draft|verb), words, items[{age_ms,at_ms,words,rule,verdict}] as a chain in
 * the order the rules are looked at (rule and verdict (holds|waits|later) where it is one of them),
 * history[], evidence[], next[]. Used by ask (and by http). */
#ifndef CONTROLLER_VIEW_VIEW_WHY_H
#define CONTROLLER_VIEW_VIEW_WHY_H

#include "controller/store/store_schedule.h"
#include "controller/view/view.h"
#include "proto/wire/asks.h"

enum {
    VIEW_WHY_WINDOWS = 60, /* looked through for one that nothing stands against */
    VIEW_WHY_AUDIT = 400,  /* rows looked through for what is shown of them */
};

/* One step of a rollout: what it waits for, or what it came to and by which rule. */
CAS_CHECK enum cas_err view_why_step(const struct view_scene *scene,
                                     const struct rollout *rollout,
                                     size_t step,
                                     char **ret_document);
/* A server that the rollout has no step for, and what a plan made now would say. */
CAS_CHECK enum cas_err view_why_absent(const struct view_scene *scene,
                                       const struct rollout *rollout,
                                       const struct inventory_server *server,
                                       char **ret_document);
/* Also schedule: the Schedule document. */
CAS_CHECK enum cas_err view_why_schedule(const struct view_scene *scene,
                                         const struct store_schedule *schedule,
                                         char **ret_document,
                                         struct cas_why *why);
/* A plan nobody has run; body NULL: it is too old to be run. */
CAS_CHECK enum cas_err view_why_draft(const struct view_scene *scene,
                                      uint64_t seq,
                                      const struct record_plan_body *body,
                                      const struct store_freeze *freeze,
                                      char **ret_document);
/* What may be asked, by whom, and who was refused. */
CAS_CHECK enum cas_err view_why_verb(const struct view_scene *scene,
                                     enum ask_verb verb,
                                     enum ask_role role,
                                     char **ret_document);

#endif
