#include "controller/controller_loop_room.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Each of the core's notes as an audit verb and as a line of the log. */
static const struct {
    const char *verb;
    enum event event; /* EVENT_NONE: audit only */
} notes[] = {
    [NOTE_STARTED] = {"rollout.started", EVENT_ROLLOUT_STARTED},
    [NOTE_RESERVED] = {"step.reserved", EVENT_STEP_OFFERED},
    [NOTE_GRANTED] = {"step.granted", EVENT_STEP_GRANTED},
    [NOTE_RESULT] = {"step.result", EVENT_NONE},
    [NOTE_CLOSED] = {"step.proved", EVENT_STEP_PROVED},
    [NOTE_FAILED] = {"step.failed", EVENT_STEP_FAILED},
    [NOTE_UNKNOWN] = {"step.unknown", EVENT_STEP_UNKNOWN},
    [NOTE_HALTED] = {"rollout.halted", EVENT_ROLLOUT_HALTED},
    [NOTE_PAUSED] = {"rollout.paused", EVENT_ROLLOUT_PAUSED},
    [NOTE_RESUMED] = {"rollout.resumed", EVENT_ROLLOUT_RESUMED},
    [NOTE_CANCELLED] = {"step.cancelled", EVENT_STEP_SKIPPED},
    [NOTE_SKIPPED] = {"step.skipped", EVENT_STEP_SKIPPED},
    [NOTE_RETRIED] = {"step.retried", EVENT_ROLLOUT_RESUMED},
    [NOTE_DONE] = {"rollout.done", EVENT_ROLLOUT_DONE},
    [NOTE_ENDED] = {"rollout.ended", EVENT_ROLLOUT_ENDED},
    [NOTE_MISSED] = {"rollout.missed", EVENT_ROLLOUT_HALTED},
    [NOTE_WAVE] = {"rollout.wave", EVENT_NONE},
    [NOTE_HELD] = {"step.held", EVENT_STEP_HELD},
    [NOTE_EVIDENCE] = {"rollout.evidence", EVENT_NONE},
};

static const char *server_name(const struct controller *c, const struct rollout_action *action)
{
    const struct inventory_server *server =
        action->step != SIZE_MAX ? inventory_by_id(c->inventory, action->server_id) : NULL;
    return server != NULL ? server->name : "";
}

static const char *note_verb(enum rollout_note note)
{
    return (size_t)note < CAS_COUNT(notes) && notes[note].verb != NULL ? notes[note].verb
                                                                       : "rollout.note";
}

void loop_note_audit(const struct controller *c,
                     const struct rollout_action *action,
                     struct cas_now now,
                     struct store_audit *ret_audit)
{
    struct store_audit audit = {.at_ms = now.wall_ms, .who = "casfleet"};
    const char *server = server_name(c, action);
    (void)snprintf(audit.verb, sizeof audit.verb, "%s", note_verb(action->note));
    char *rollout = server[0] != '\0' ? audit.about : audit.subject;
    (void)snprintf(rollout, CAS_NAME_BYTES, "r-%04" PRIu64, action->seq);
    if (server[0] != '\0')
        (void)snprintf(audit.subject, sizeof audit.subject, "%s", server);
    const char *reason = action->reason != REASON_NONE ? rollout_reason_words(action->reason) : "";
    if (strcmp(reason, action->words) == 0)
        reason = "";
    (void)snprintf(audit.words,
                   sizeof audit.words,
                   "%s%s%s",
                   action->words,
                   action->words[0] != '\0' && reason[0] != '\0' ? ": " : "",
                   reason);
    *ret_audit = audit;
}

void loop_note_tell(struct controller *c, const struct rollout_action *action, struct cas_now now)
{
    const char *server = server_name(c, action);
    enum event event =
        (size_t)action->note < CAS_COUNT(notes) ? notes[action->note].event : EVENT_NONE;
    char why[80] = "";
    struct cas_text reason = CAS_TEXT(why);
    if (action->reason != REASON_NONE &&
        strcmp(rollout_reason_words(action->reason), action->words) != 0)
        cas_text_add(&reason, " reason=\"%s\"", rollout_reason_words(action->reason));
    if (event != EVENT_NONE)
        log_event(event,
                  "id=r-%04" PRIu64 "%s%s%s %s",
                  action->seq,
                  server[0] != '\0' ? " server=" : "",
                  server,
                  why,
                  action->words);
    if (c->settings.noted != NULL)
        c->settings.noted(c->settings.context, action, server, now);
}
