/* ask_room.h - what the handlers share; within ask only. */
#ifndef CONTROLLER_ASK_ASK_ROOM_H
#define CONTROLLER_ASK_ASK_ROOM_H

#include "controller/ask/ask.h"
#include "controller/store/store_schedule.h"
#include "controller/view/view.h"

/* One question being answered. */
struct ask_call {
    struct ask_scene *scene;
    const struct ask_operator *who;
    const struct message_ask *ask;
    struct ask_reply *reply;
    struct view_scene view;
    struct cas_why why;
};
/* Answers by itself; CAS_OK, or the error that ends the answer with call->why as its reason. */
typedef enum cas_err ask_handler(struct ask_call *call);

ask_handler ask_status, ask_server_list, ask_server_show, ask_server_label;
ask_handler ask_site_list, ask_site_zone;
ask_handler ask_recycle_plan, ask_recycle_run, ask_recycle_list, ask_recycle_show,
    ask_recycle_simulate, ask_recycle_pause;
ask_handler ask_recycle_resume, ask_recycle_retry, ask_recycle_end;
ask_handler ask_schedule_add, ask_schedule_list, ask_schedule_show, ask_schedule_preview,
    ask_schedule_pause, ask_schedule_resume, ask_schedule_remove;
ask_handler ask_schedule_export, ask_schedule_import, ask_freeze_on, ask_freeze_off;
ask_handler ask_patch_report, ask_why, ask_agent_list, ask_agent_approve, ask_agent_revoke;

/* The argument as typed; empty when it was not given. */
struct cas_slice ask_get(const struct ask_call *call, const char *key);
bool ask_has(const struct ask_call *call, const char *key);
/* Arguments as numbers and spans; untouched when not given. The reason begins with --key. */
CAS_CHECK enum cas_err ask_get_count(struct ask_call *call,
                                     const char *key,
                                     int64_t least,
                                     int64_t most,
                                     uint32_t *ret_value);
CAS_CHECK enum cas_err
ask_get_span(struct ask_call *call, const char *key, int64_t most_ms, int64_t *ret_span_ms);
/* A label as typed; "" when it was not given or is to be taken away. */
CAS_CHECK enum cas_err
ask_get_label(struct ask_call *call, enum inventory_label label, char ret_text[LABEL_BYTES]);
/* Servers by target, selector and exclude. *ret_at: caller frees. CAS_ERR_MISSING when is_needed
 * and nothing was named. */
CAS_CHECK enum cas_err
ask_choose(struct ask_call *call, bool is_needed, size_t **ret_at, size_t *ret_n);
/* "r-0412" or "412". */
CAS_CHECK enum cas_err ask_rollout_seq(struct ask_call *call, uint64_t *ret_seq);
/* The rollout in the book, or an old one from the store into *ret_old (caller frees it when not
 * NULL). */
CAS_CHECK enum cas_err ask_rollout(struct ask_call *call,
                                   uint64_t seq,
                                   struct rollout_book **ret_old,
                                   const struct rollout **ret_rollout);
/* A plan nobody has run; body points into it. As store_draft_load and record_decode. */
struct ask_draft {
    char *plan;
    struct cas_arena *arena;
    struct record_plan_body body;
};
CAS_CHECK enum cas_err ask_draft_open(const struct ask_call *call,
                                      uint64_t seq,
                                      struct ask_draft *ret_draft,
                                      struct cas_why *why);
void ask_draft_done(struct ask_draft *draft);
/* An audit row by this operator. */
struct store_audit ask_audit(const struct ask_call *call, const char *subject, const char *words);
/* A change of the calendar, saved but not committed: committed with its audit row, or undone. */
CAS_CHECK enum cas_err
ask_settle(struct ask_call *call, enum cas_err saved, const char *subject, const char *words);
/* The schedule of that name, as id; CAS_ERR_NOT_FOUND without words. */
CAS_CHECK enum cas_err ask_schedule_named(struct ask_call *call,
                                          struct store_schedule *ret_schedule);
/* What a plan is wished to be, by the flags; times as they stand by themselves. */
CAS_CHECK enum cas_err ask_wish(struct ask_call *call, struct rollout_wish *ret_wish);
/* "now", "01:00", "tonight 01:00", "tomorrow 01:00" (the controller's local time) or UTC as
 * 2026-10-15T00:00Z. */
CAS_CHECK enum cas_err
ask_when(struct cas_slice text, struct cas_now now, int64_t *ret_wall_ms, struct cas_why *why);

#endif
